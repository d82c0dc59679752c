"""Savers that keep no history: constant space, late steps, graphs that run on them."""

from __future__ import annotations

import asyncio
import contextlib
import operator
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, TypedDict

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from tests.checkpoint_postgres.test_faults import Fuse
from tests.contract.backends import Saver
from tests.contract.points import Run, address, point, values
from threadkeep.checkpoint.base import SavePoint, SaveWrites
from threadkeep.checkpoint.postgres import PostgresSaver
from threadkeep.checkpoint.postgres.aio import AsyncPostgresSaver
from threadkeep.checkpoint.postgres.shallow import AsyncShallowPostgresSaver, ShallowPostgresSaver
from threadkeep.checkpoint.upkeep import next_batch, prune
from threadkeep.errors import ConcurrentUpdateError, ConcurrentUpdateWarning, StorageUnavailableError
from threadkeep.graph import START, StateGraph
from threadkeep.types import Command, Send, interrupt

TABLES = ("point", "write", "object")


@pytest.fixture
def saver(database: str) -> Iterator[ShallowPostgresSaver]:
    with ShallowPostgresSaver.from_conn_string(database) as made:
        made.setup()
        yield made


def rows(database: str) -> list[int]:
    """How many checkpoints, tasks with writes and objects are stored."""
    with psycopg.connect(database) as conn:
        found = [conn.execute(f"SELECT count(*) FROM threadkeep_{each}").fetchone() for each in TABLES]  # noqa: S608
    return [each[0] for each in found if each is not None]


def stored_bytes(database: str) -> int:
    with psycopg.connect(database) as conn:
        row = conn.execute(
            "SELECT coalesce(sum(length(body)), 0) + (SELECT coalesce(sum(length(body)), 0) FROM "
            "threadkeep_point) + (SELECT coalesce(sum(length(body)), 0) FROM threadkeep_write) "
            "FROM threadkeep_object"
        ).fetchone()
    assert row is not None
    return int(row[0])


class Sync:
    """A sync saver with the methods that `Run` awaits."""

    def __init__(self, saver: Any) -> None:
        self.saver = saver

    async def put(self, *arguments: Any) -> Any:
        return self.saver.put(*arguments)


async def test_a_thousand_turns_that_overwrite_a_value_leave_one_value(
    database: str, saver: ShallowPostgresSaver
) -> None:
    run = Run(Sync(saver))
    for i in range(1_000):
        await run.put(value=f"{i:05} " * 1_700, count=i)
        if i % 10 == 0:
            saver.put_writes(run.config, [("value", "w" * 500)], "task")
    assert rows(database) == [1, 0, 1]
    assert 10_200 < stored_bytes(database) < 10_600
    assert values(saver.get_tuple(address())) == {"value": "00999 " * 1_700, "count": 999}


async def test_a_growing_list_is_stored_once(database: str, saver: ShallowPostgresSaver) -> None:
    run = Run(Sync(saver))
    messages: list[Any] = []
    for i in range(200):
        messages = [*messages, {"role": "user", "content": f"{i:05} " * 100}]
        await run.put(messages=messages)
        saver.put_writes(run.config, [("messages", messages[-1:])], "task")
    assert rows(database) == [1, 1, 200]
    assert stored_bytes(database) < 200 * 660
    await run.put(messages=messages[:1])
    assert rows(database) == [1, 0, 1]


class Counting(psycopg.Cursor[Any]):
    """Notes the statements."""

    seen: list[bytes]

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        Counting.seen.append(query)
        return super().execute(query, params, **options)


async def test_a_known_thread_is_stored_in_one_statement(database: str, saver: ShallowPostgresSaver) -> None:
    with psycopg.connect(database, autocommit=True, cursor_factory=Counting) as conn:
        counted = ShallowPostgresSaver(conn)
        Counting.seen = []
        run = Run(Sync(counted))
        live: list[Any] = []
        await run.put(value="v" * 500)
        Counting.seen = []
        for i in range(20):
            live = [*live, {"text": f"{i} " * 50}]
            await run.put(value=f"{i}" * 500, messages=live)
            counted.put_writes(run.config, [("messages", [{"text": f"{i + 1} " * 50}])], "task")
        assert [b"no_objects" in each for each in Counting.seen] == [True] * 40
        assert rows(database) == [1, 1, 22]
        assert values(counted.get_tuple(address())) == {"value": "19" * 500, "messages": live}


async def test_a_late_step_does_not_overwrite_a_newer_one(database: str, saver: ShallowPostgresSaver) -> None:
    late = [point({"a": i}, {"a": i}) for i in range(3)]
    saver.put(address(), late[0], {}, {"a": 0})
    at = address(id=late[0]["id"])
    saver.put(at, late[2], {"step": 2}, {"a": 2})
    for _ in range(2):
        with pytest.warns(ConcurrentUpdateWarning, match=f"{late[2]['id']} is kept, {late[1]['id']} is lost"):
            saver.put(at, late[1], {"step": 1}, {"a": 1})
    saver.put_writes(address(id=late[1]["id"]), [("a", 7)], "task")
    found = saver.get_tuple(address(id=late[1]["id"]))
    assert (values(found), found and found.pending_writes) == ({"a": 2}, [])
    newer = point({"a": 3}, {"a": 3})
    with pytest.warns(ConcurrentUpdateWarning, match=f"{newer['id']} is kept"):
        saver.put(at, newer, {"step": 2}, {"a": 3})
    assert values(saver.get_tuple(address())) == {"a": 3}
    assert rows(database) == [1, 0, 0]


def test_a_late_step_is_refused_where_conflicts_are(database: str, saver: ShallowPostgresSaver) -> None:
    with ShallowPostgresSaver.from_conn_string(database, on_conflict="reject") as strict:
        start, mine, late = (point({"a": i}, {"a": i}) for i in range(3))
        strict.put(address(), start, {}, {"a": 0})
        strict.put(address(id=start["id"]), mine, {}, {"a": 1})
        with pytest.raises(ConcurrentUpdateError):
            strict.put(address(id=start["id"]), late, {}, {"a": 2})
        assert values(strict.get_tuple(address())) == {"a": 1}


def test_a_commit_stored_twice_has_the_effect_of_once(database: str, saver: ShallowPostgresSaver) -> None:
    first, second = point({"a": "a" * 300}), point({"a": "b" * 300}, {"a": 2})
    ops: list[SavePoint | SaveWrites] = [
        SavePoint(address(), first, {}, {"a": 1}),
        SaveWrites(address(id=first["id"]), [("a", "w" * 300)], "task"),
        SavePoint(address(id=first["id"]), second, {}, {"a": 2}),
        SaveWrites(address(id=second["id"]), [("a", "x" * 300)], "task"),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            saver.commit(ops)
            found = saver.get_tuple(address())
            assert found is not None
            assert (values(found), found.pending_writes) == ({"a": "b" * 300}, [("task", "a", "x" * 300)])
            assert rows(database) == [1, 1, 2]


async def test_values_count_as_they_were_drafted_though_the_thread_changed_since(
    database: str, saver: ShallowPostgresSaver
) -> None:
    """A commit is drafted from lists whose objects another commit deletes before it is stored."""
    run = Run(Sync(saver))
    long: list[Any] = [{"text": f"{i} " * 50, "n": i} for i in range(50)]
    await run.put(messages=long)
    start = run.config["configurable"]["checkpoint_id"]
    between, last = point({"messages": []}, {"messages": 2}), point({"messages": long}, {"messages": 3})
    pending = saver.open_commit()
    pending.add(SavePoint(address(id=between["id"]), last, {}, {"messages": 3}))
    long[3]["n"] = "changed in place"
    saver.put(address(id=start), between, {}, {"messages": 2})
    assert rows(database) == [1, 0, 0]
    pending.store()
    found = values(saver.get_tuple(address()))["messages"]
    assert [each["n"] for each in found] == list(range(50))
    with ShallowPostgresSaver.from_conn_string(database) as other:
        assert values(other.get_tuple(address()))["messages"] == found


async def test_a_thread_with_a_history_loses_it_when_it_goes_on(
    database: str, saver: ShallowPostgresSaver
) -> None:
    with PostgresSaver.from_conn_string(database) as full:
        run = Run(Sync(full))
        for i in range(30):
            await run.put(messages=[{"text": f"{k} " * 50} for k in range(i + 1)], value=f"{i}" * 300)
            full.put_writes(run.config, [("value", f"w{i}" * 100)], "task")
        run.saver = Sync(saver)
        await run.put(value="new" * 100)
        assert rows(database) == [1, 0, 31]
        assert values(saver.get_tuple(address())) == run.values
        run.saver = Sync(full)
        await run.put(value="on" * 200)
        assert values(full.get_tuple(address())) == run.values


class State(TypedDict):
    notes: Annotated[list[str], operator.add]
    big: str


def question(state: State) -> dict[str, Any]:
    return {"notes": [interrupt("more?")]}


def growing() -> Any:
    child = StateGraph(State)
    child.add_node("ask", question)
    child.add_node("think", lambda state: {"notes": ["thought"]})
    child.add_edge(START, "think")
    child.add_edge("think", "ask")
    parent = StateGraph(State)
    parent.add_node("start", lambda state: {"big": "b" * 1_000})
    parent.add_node("child", child.compile())
    parent.add_node("leaf", lambda state: {"notes": ["leaf"]})
    parent.add_edge(START, "start")
    parent.add_edge("start", "child")
    parent.add_conditional_edges("child", lambda state: [Send("leaf", state) for _ in range(3)])
    return parent


THREAD: Any = {"configurable": {"thread_id": "t"}}


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_interrupts_in_subgraphs_are_answered_and_no_space_is_lost(
    database: str, saver: ShallowPostgresSaver, durability: Any
) -> None:
    graph = growing().compile(checkpointer=saver)
    expected: list[str] = []
    counts = set()
    for turn in range(5):
        graph.invoke({"notes": [], "big": f"{turn}"}, THREAD, durability=durability)
        state = graph.get_state(THREAD, subgraphs=True)
        assert state.next == ("child",)
        assert state.tasks[0].state.next == ("ask",)
        assert state.tasks[0].state.values["notes"] == [*expected, "thought"]
        assert len([*graph.get_state_history(THREAD)]) == 1
        end = graph.invoke(Command(resume=f"answer {turn}"), THREAD, durability=durability)
        expected = end["notes"]
        assert expected[-4:] == [f"answer {turn}", "leaf", "leaf", "leaf"]
        (state,) = graph.get_state_history(THREAD)
        assert (state.next, state.values, state.parent_config) == ((), end, None)
        counts.add(tuple(rows(database)[:2]))
    assert counts == {(1, 0)}


async def test_the_async_saver_runs_graphs_in_the_same_way(database: str) -> None:
    async with AsyncShallowPostgresSaver.from_conn_string(database, pool_config={"min_size": 1}) as saver:
        await saver.setup()
        graph = growing().compile(checkpointer=saver)
        await graph.ainvoke({"notes": [], "big": ""}, THREAD)
        end = await graph.ainvoke(Command(resume="yes"), THREAD)
        assert end["notes"].count("leaf") == 3
        forked = await graph.aupdate_state(THREAD, {"notes": ["mine"]}, as_node="start")
        assert (await graph.aget_state(forked)).next == ("child",)
        history = [each.values["notes"][-1] async for each in graph.aget_state_history(THREAD)]
        assert history == ["mine"]
    assert rows(database)[0] == 1


def test_an_old_id_goes_on_from_the_newest_state(saver: ShallowPostgresSaver) -> None:
    graph = StateGraph(State)
    graph.add_node("note", lambda state: {"notes": [f"{len(state['notes'])}"]})
    graph.add_edge(START, "note")
    app = graph.compile(checkpointer=saver)
    app.invoke({"notes": [], "big": ""}, THREAD)
    old = app.get_state(THREAD).config
    app.invoke({"notes": [], "big": ""}, THREAD)
    assert app.get_state(old).values["notes"] == ["0", "1"]
    assert app.invoke({"notes": [], "big": ""}, old)["notes"] == ["0", "1", "2"]


def test_the_savers_take_what_the_others_take(database: str) -> None:
    assert issubclass(ShallowPostgresSaver, PostgresSaver)
    assert issubclass(AsyncShallowPostgresSaver, AsyncPostgresSaver)
    with ConnectionPool(database, min_size=1, kwargs={"autocommit": True}, open=True) as pool:
        saver = ShallowPostgresSaver(pool)
        saver.setup()
        assert saver.get_tuple(address()) is None


def test_readers_see_one_state_or_the_next_while_a_run_goes_on(
    database: str, saver: ShallowPostgresSaver
) -> None:
    seen: list[list[int]] = [[], []]
    done = threading.Event()

    def read(found: list[int]) -> None:
        with ShallowPostgresSaver.from_conn_string(database) as reader:
            while not done.is_set():
                state = reader.get_tuple(address())
                if state is not None:
                    values = state.checkpoint["channel_values"]
                    assert values == {"n": values["n"], "value": f"{values['n']} " * 500}
                    found.append(values["n"])

    with ThreadPoolExecutor(2) as readers:
        reading = [readers.submit(read, found) for found in seen]
        try:
            config: Any = address()
            for n in range(400):
                made = point({"n": n, "value": f"{n} " * 500}, {"n": n + 1, "value": n + 1})
                saver.put(config, made, {}, {"n": n + 1, "value": n + 1})
                config = address(id=made["id"])
        finally:
            done.set()
        for each in reading:
            each.result(30)
    assert all(found == sorted(found) and len(set(found)) > 3 for found in seen)


@pytest.mark.filterwarnings("ignore::threadkeep.errors.ConcurrentUpdateWarning")
def test_runs_of_several_processes_on_one_thread_leave_one_whole_state(
    database: str, saver: ShallowPostgresSaver
) -> None:
    """Each saver knows nothing of the others, as if it were in another process."""

    def work(mark: str) -> None:
        with ShallowPostgresSaver.from_conn_string(database) as mine:
            for n in range(40):
                state = mine.get_tuple(address())
                before = state.checkpoint["channel_values"]["messages"] if state else []
                version = state.checkpoint["channel_versions"]["messages"] if state else 0
                messages = [*before[-20:], {"by": mark, "text": f"{mark} {n % 5} " * 40}]
                made = point({"messages": messages}, {"messages": version + 1})
                parent = state.config if state else address()
                mine.put(parent, made, {}, {"messages": version + 1})
                mine.put_writes(address(id=made["id"]), [("messages", messages[-2:])], mark)

    with ThreadPoolExecutor(4) as pool:
        for each in [pool.submit(work, mark) for mark in "abcd"]:
            each.result(60)
    with ShallowPostgresSaver.from_conn_string(database) as reader:
        state = reader.get_tuple(address())
        assert state is not None
        messages = state.checkpoint["channel_values"]["messages"]
        assert all(each["text"].startswith(each["by"]) for each in messages)
        waiting = {id(value): value for _, _, value in state.pending_writes or []}
    points, _, objects = rows(database)
    texts = {each["text"] for each in [*messages, *(e for value in waiting.values() for e in value)]}
    assert (points, objects) == (1, len(texts))


def is_whole(fuse: Fuse) -> bool:
    """Whether the operation had fewer statements than it takes to burn."""
    whole, fuse.left = fuse.left is not None, None
    return whole


@pytest.mark.parametrize("known", [False, True], ids=["unknown thread", "known thread"])
def test_killed_at_any_statement_a_thread_is_before_or_after_and_loses_no_object(
    database: str, saver: ShallowPostgresSaver, known: bool
) -> None:
    fuse = Fuse(database)
    states = [{"messages": [f"{i} {k} " * 50 for k in range(3)], "n": i} for i in range(2)]
    outcomes = set()
    for at in range(30):
        before, after = (point(state, dict.fromkeys(state, i + 1)) for i, state in enumerate(states))
        thread = f"t{at}"
        with psycopg.connect(database, autocommit=True, cursor_factory=fuse.cursor) as conn:
            killed = ShallowPostgresSaver(conn)
            (killed if known else saver).put(address(thread), before, {}, before["channel_versions"])
            saver.put_writes(address(thread, id=before["id"]), [("n", "w" * 300)], "task")
            if known:
                killed.put_writes(address(thread, id=before["id"]), [("n", "w" * 300)], "other")
            assert killed.get_tuple(address(thread)) is not None
            fuse.left = at
            with contextlib.suppress(StorageUnavailableError, psycopg.OperationalError):
                killed.put(address(thread, id=before["id"]), after, {}, after["channel_versions"])
        found = values(saver.get_tuple(address(thread)))
        assert found in states
        outcomes.add(found["n"])
        stored = [1, 1 + known, 4] if found["n"] == 0 else [1, 0, 3]
        assert rows(database) == stored
        if is_whole(fuse):
            break
        saver.delete_thread(thread)
    assert outcomes == {0, 1}


async def test_commits_of_tasks_that_wait_together_delete_what_they_replace(database: str) -> None:
    pool: Any = {"min_size": 1, "max_size": 1}
    async with AsyncShallowPostgresSaver.from_conn_string(database, pool_config=pool) as saver:
        await saver.setup()

        async def work(name: str) -> None:
            run = Run(Saver(saver, "async"), name)
            for i in range(15):
                await run.put(value=f"{i} " * 200, n=i)
                await saver.aput_writes(run.config, [("value", f"w{i} " * 200)], "task")

        await asyncio.gather(*(work(f"t{i}") for i in range(24)))
        for i in range(24):
            found = await saver.aget_tuple(address(f"t{i}"))
            assert values(found) == {"value": "14 " * 200, "n": 14}
    assert rows(database) == [24, 24, 48]


async def test_what_pruning_left_when_it_was_broken_off_is_deleted_by_the_next_checkpoint(
    database: str, saver: ShallowPostgresSaver
) -> None:
    with PostgresSaver.from_conn_string(database) as before:
        run = Run(Sync(before))
        for i in range(10):
            await run.put(value=[f"{i} " * 300], same="s" * 300)
        job, result = prune(["t"], "keep_latest"), None
        for _ in range(2):
            batch = next_batch(job, result)
            assert batch is not None
            result = (before._write if batch.writes else before._read)(batch.plan)
        assert rows(database) == [1, 0, 11]
        run.saver = Sync(saver)
        await run.put(value=["newest " * 300])
        assert rows(database) == [1, 0, 2]
        assert values(before.get_tuple(address())) == run.values
