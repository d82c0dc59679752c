"""Several runs at once: on one thread, on a thread that is deleted, in batches, before and after a fork."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.engine.graphs import awrites, line, parallel, thread, writes
from threadkeep.checkpoint.base import BaseCheckpointSaver
from threadkeep.checkpoint.commits import OnConflict
from threadkeep.checkpoint.memory import InMemorySaver
from threadkeep.checkpoint.sqlite import SqliteSaver
from threadkeep.checkpoint.sqlite.aio import AsyncSqliteSaver
from threadkeep.errors import ConcurrentUpdateError, ConcurrentUpdateWarning, ThreadDeletedError
from threadkeep.types import Durability

TIMEOUT = 20
Make = Callable[[OnConflict], BaseCheckpointSaver[int]]


@pytest.fixture(params=["memory", "sqlite"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    with ExitStack() as opened:

        def sqlite(on_conflict: OnConflict) -> BaseCheckpointSaver[int]:
            saver = SqliteSaver.from_conn_string(tmp_path / "t.db", on_conflict=on_conflict)
            return opened.enter_context(saver)

        yield (
            sqlite
            if request.param == "sqlite"
            else lambda on_conflict: InMemorySaver(on_conflict=on_conflict)
        )


class Duel:
    """Two runs on one thread: the first waits in its node until the second has ended."""

    def __init__(self, saver: BaseCheckpointSaver[int], durability: Durability) -> None:
        self._durability = durability
        self._entered, self._second_ended = threading.Event(), threading.Event()
        self.graph = line({"node": self._node, "last": writes("last")}).compile(checkpointer=saver)

    def _node(self, state: Any) -> dict[str, Any]:
        if state["log"][-1] == "first":
            self._entered.set()
            assert self._second_ended.wait(TIMEOUT)
        return {"log": ["node"]}

    def _run(self, name: str, outcomes: dict[str, Any]) -> None:
        try:
            outcomes[name] = self.graph.invoke({"log": [name]}, thread(), durability=self._durability)
        except Exception as error:
            outcomes[name] = error

    def fight(self) -> dict[str, Any]:
        """What each run returned or raised."""
        outcomes: dict[str, Any] = {}
        first = threading.Thread(target=self._run, args=("first", outcomes))
        first.start()
        assert self._entered.wait(TIMEOUT)
        self._run("second", outcomes)
        self._second_ended.set()
        first.join(TIMEOUT)
        return outcomes


@pytest.mark.parametrize("durability", ["sync", "exit"])
def test_two_runs_at_once_both_end_as_branches_with_a_warning(make: Make, durability: Durability) -> None:
    saver = make("fork")
    duel = Duel(saver, durability)
    duel.graph.invoke({"log": ["zeroth"]}, thread())
    with pytest.warns(ConcurrentUpdateWarning, match="thread '1'") as warned:
        outcomes = duel.fight()
    log = ["zeroth", "node", "last"]
    assert outcomes["first"] == {"log": [*log, "first", "node", "last"]}
    branch = [] if durability == "exit" else ["first"]
    assert outcomes["second"] == {"log": [*log, *branch, "second", "node", "last"]}
    assert len(warned) == 1
    ids = [point.config["configurable"]["checkpoint_id"] for point in saver.list(thread())]
    parents = [
        point.parent_config["configurable"]["checkpoint_id"]
        for point in saver.list(thread())
        if point.parent_config
    ]
    assert len(set(parents)) == len(ids) - 2


@pytest.mark.parametrize("durability", ["sync", "exit"])
def test_under_reject_the_later_of_two_runs_fails_and_leaves_nothing(
    make: Make, durability: Durability
) -> None:
    saver = make("reject")
    duel = Duel(saver, durability)
    outcomes = duel.fight()
    assert type(outcomes["first"]) is ConcurrentUpdateError
    branch = [] if durability == "exit" else ["first"]
    assert outcomes["second"] == {"log": [*branch, "second", "node", "last"]}
    assert duel.graph.get_state(thread()).values == outcomes["second"]
    written = [point.checkpoint["channel_values"].get("log") for point in saver.list(thread())]
    assert [log for log in written if log and log[-1] == "node" and "second" not in log] == []
    assert duel.graph.invoke({"log": ["third"]}, thread())["log"][-3:] == ["third", "node", "last"]


@pytest.mark.parametrize("on_conflict", ["fork", "reject"])
def test_time_travel_is_never_a_conflict(make: Make, on_conflict: OnConflict) -> None:
    graph = line({"a": writes("a"), "b": writes("b")}).compile(checkpointer=make(on_conflict))
    graph.invoke({"log": ["in"]}, thread())
    history = list(graph.get_state_history(thread()))
    before_b = history[1].config
    assert graph.invoke(None, before_b) == {"log": ["in", "a", "b"]}
    fork = graph.update_state(before_b, {"log": ["edited"]})
    assert graph.invoke(None, fork) == {"log": ["in", "a", "edited", "b"]}
    assert graph.invoke({"log": ["again"]}, before_b) == {"log": ["in", "a", "again", "a", "b"]}
    assert graph.invoke({"log": ["more"]}, thread())["log"][-3:] == ["more", "a", "b"]


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_a_thread_deleted_during_a_run_stays_deleted(make: Make, durability: Durability) -> None:
    saver = make("fork")
    ran: list[str] = []

    def delete(state: Any) -> dict[str, Any]:
        saver.delete_thread("1")
        ran.append("delete")
        return {"log": ["delete"]}

    graph = line({"a": writes("a"), "delete": delete, "b": writes("b")}).compile(checkpointer=saver)
    graph.invoke({"log": []}, thread("2"), durability="sync", interrupt_before=["delete"])
    graph.invoke({"log": []}, thread(), durability="sync", interrupt_before=["delete"])
    with pytest.raises(ThreadDeletedError, match="'1'"):
        graph.invoke(None, thread(), durability=durability)
    assert ran == ["delete"]
    assert list(saver.list(thread())) == []
    assert graph.get_state(thread()).values == {}
    assert graph.get_state(thread("2")).next == ("delete",)
    again = graph.invoke({"log": ["new"]}, thread(), durability=durability, interrupt_before=["delete"])
    assert again == {"log": ["new", "a"]}


async def test_a_thread_deleted_during_an_async_run_stays_deleted(asaver: Any) -> None:
    async def delete(state: Any) -> dict[str, Any]:
        await asaver.adelete_thread("1")
        return {"log": ["delete"]}

    nodes = {"a": awrites("a"), "delete": delete, "b": awrites("b")}
    graph = line(nodes).compile(checkpointer=asaver)
    await graph.ainvoke({"log": []}, thread(), interrupt_before=["delete"])
    with pytest.raises(ThreadDeletedError, match="'1'"):
        await graph.ainvoke(None, thread())
    assert (await graph.aget_state(thread())).values == {}


def test_a_batch_runs_its_inputs_at_the_same_time_and_keeps_their_order() -> None:
    barrier = threading.Barrier(5)

    def meet(state: Any) -> dict[str, Any]:
        barrier.wait(TIMEOUT)
        return {"log": ["met"]}

    inputs: list[Any] = [{"log": [n]} for n in range(5)]
    assert line({"meet": meet}).compile().batch(inputs) == [{"log": [n, "met"]} for n in range(5)]


async def test_an_abatch_runs_its_inputs_at_the_same_time_and_keeps_their_order() -> None:
    barrier = asyncio.Barrier(5)

    async def meet(state: Any) -> dict[str, Any]:
        async with asyncio.timeout(TIMEOUT):
            await barrier.wait()
        return {"log": ["met"]}

    inputs: list[Any] = [{"log": [n]} for n in range(5)]
    assert await line({"meet": meet}).compile().abatch(inputs) == [{"log": [n, "met"]} for n in range(5)]


def test_a_batch_gives_each_input_its_thread_and_its_error(make: Make) -> None:
    def fail(state: Any) -> dict[str, Any]:
        if state["log"] == [1]:
            raise ValueError(1)
        return {"log": ["ok"]}

    graph = line({"fail": fail}).compile(checkpointer=make("fork"))
    inputs: list[Any] = [{"log": [n]} for n in range(3)]
    configs = [thread(str(n)) for n in range(3)]
    results = graph.batch(inputs, configs, return_exceptions=True)
    assert [str(result) for result in results] == ["{'log': [0, 'ok']}", "1", "{'log': [2, 'ok']}"]
    with pytest.raises(ValueError, match="1"):
        graph.batch(inputs, [thread(f"again {n}") for n in range(3)])
    assert [graph.get_state(config).next for config in configs] == [(), ("fail",), ()]


def test_many_threads_of_the_process_share_one_graph_and_one_saver(make: Make) -> None:
    graph = parallel({"a": writes("a"), "b": writes("b")}).compile(checkpointer=make("reject"))

    def talk(name: str) -> None:
        for turn in range(5):
            graph.invoke({"log": [turn]}, thread(name))

    threads = [threading.Thread(target=talk, args=(str(n),)) for n in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(TIMEOUT)
    expected = {"log": [item for turn in range(5) for item in (turn, "a", "b")]}
    assert [graph.get_state(thread(str(n))).values for n in range(8)] == [expected] * 8


async def test_many_tasks_share_one_graph_and_one_saver(asaver: Any) -> None:
    graph = parallel({"a": awrites("a"), "b": writes("b")}).compile(checkpointer=asaver)

    async def talk(name: str) -> None:
        for turn in range(5):
            await graph.ainvoke({"log": [turn]}, thread(name))

    await asyncio.gather(*(talk(str(n)) for n in range(8)))
    expected = {"log": [item for turn in range(5) for item in (turn, "a", "b")]}
    for n in range(8):
        assert (await graph.aget_state(thread(str(n)))).values == expected


def test_two_savers_of_two_loops_share_a_file(tmp_path: Path) -> None:
    async def talk(name: str) -> dict[str, Any]:
        async with AsyncSqliteSaver.from_conn_string(tmp_path / "t.db") as saver:
            graph = line({"a": awrites("a")}).compile(checkpointer=saver)
            for turn in range(5):
                await graph.ainvoke({"log": [turn]}, thread(name))
            return (await graph.aget_state(thread(name))).values

    results: dict[str, Any] = {}
    threads = [
        threading.Thread(target=lambda name=name: results.update({name: asyncio.run(talk(name))}))
        for name in "xy"
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join(TIMEOUT)
    expected = {"log": [item for turn in range(5) for item in (turn, "a")]}
    assert results == {"x": expected, "y": expected}


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_starts_threads_of_its_own() -> None:
    """A server that forks its workers after a first run: the parent's threads do not exist in the child."""
    graph = parallel({"a": writes("a"), "b": writes("b")}).compile(checkpointer=InMemorySaver())
    assert graph.invoke({}, thread()) == {"log": ["a", "b"]}
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if graph.invoke({}, thread()) == {"log": ["a", "b", "a", "b"]} else 2
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
