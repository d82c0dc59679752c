"""The saver contract: pending writes, and several operations in one commit."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.backends import Saver
from tests.contract.points import Run, address, point, values
from threadkeep.checkpoint.base import SavePoint, SaveWrites, uuid6


async def test_writes_wait_at_their_checkpoint_in_order(saver: Saver) -> None:
    run = Run(saver)
    await run.put(a=1)
    at = run.config
    await saver.put_writes(at, [("b", 1), ("a", [2])], "task-2")
    await saver.put_writes(at, [("a", None)], "task-1")
    await saver.put_writes(at, [("c", b"x")], "task-0", "~path")
    assert (await saver.get_tuple(address())).pending_writes == [
        ("task-1", "a", None),
        ("task-2", "b", 1),
        ("task-2", "a", [2]),
        ("task-0", "c", b"x"),
    ]
    await run.put(a=2)
    assert (await saver.get_tuple(address())).pending_writes == []
    assert len((await saver.get_tuple(at)).pending_writes) == 4 * saver.keeps_history


async def test_said_twice_the_first_write_at_each_place_counts(saver: Saver) -> None:
    run = Run(saver)
    await run.put(a=1)
    await saver.put_writes(run.config, [("a", 1), ("b", 2)], "task")
    await saver.put_writes(run.config, [("a", 10), ("c", 3), ("d", 4)], "task")
    assert (await saver.get_tuple(address())).pending_writes == [
        ("task", "a", 1),
        ("task", "b", 2),
        ("task", "d", 4),
    ]


async def test_errors_interrupts_and_resumes_have_one_place_each_where_the_last_counts(saver: Saver) -> None:
    run = Run(saver)
    await run.put(a=1)
    await saver.put_writes(run.config, [("a", 1)], "task")
    await saver.put_writes(
        run.config, [("__interrupt__", "i1"), ("__resume__", [1]), ("__error__", "e")], "task"
    )
    await saver.put_writes(run.config, [("__interrupt__", "i2"), ("a", 77)], "task")
    await saver.put_writes(run.config, [("__resume__", [1, 2])], "task")
    assert (await saver.get_tuple(address())).pending_writes == [
        ("task", "__resume__", [1, 2]),
        ("task", "__interrupt__", "i2"),
        ("task", "__error__", "e"),
        ("task", "a", 1),
        ("task", "a", 77),
    ]


async def test_writes_need_a_checkpoint(saver: Saver) -> None:
    with pytest.raises(ValueError, match="checkpoint_id"):
        await saver.put_writes(address(), [("a", 1)], "task")


async def test_writes_of_namespaces_and_checkpoints_are_apart(saver: Saver) -> None:
    run, child = Run(saver), Run(saver, ns="child")
    first = await run.put(a=1)
    await child.put(a=1)
    await saver.put_writes(run.config, [("a", "root")], "task")
    await saver.put_writes(child.config, [("a", "child")], "task")
    await run.put(a=2)
    await saver.put_writes(run.config, [("a", "second")], "task")
    if saver.keeps_history:
        assert (await saver.get_tuple(address(id=first))).pending_writes == [("task", "a", "root")]
    assert (await saver.get_tuple(address(ns="child"))).pending_writes == [("task", "a", "child")]
    assert (await saver.get_tuple(address())).pending_writes == [("task", "a", "second")]


@pytest.mark.needs("keeps_history")
async def test_a_commit_stores_a_chain_of_steps_at_once(saver: Saver) -> None:
    message = {"role": "user", "content": "hello " * 30}
    first = point({"__start__": {"messages": [message]}})
    second = point({"messages": [message]}, {"__start__": 2, "messages": 1})
    await saver.commit(
        [
            SavePoint(address(), first, {"step": -1}, {"__start__": 1}),
            SaveWrites(address(id=first["id"]), [("messages", [message])], "task"),
            SavePoint(address(id=first["id"]), second, {"step": 0}, {"__start__": 2, "messages": 1}),
        ]
    )
    found = await saver.list(address())
    assert [(values(each), each.metadata, each.pending_writes) for each in found] == [
        ({"messages": [message]}, {"step": 0}, []),
        ({"__start__": {"messages": [message]}}, {"step": -1}, [("task", "messages", [message])]),
    ]


async def test_a_commit_that_fails_stores_nothing(saver: Saver) -> None:
    await Run(saver).put(a=1)
    good = point({"a": 2}, {"a": 2})
    bad = point({"a": 2}, {"a": 2})
    bad["channel_versions"] = {"a": object()}
    with pytest.raises(ValueError, match="cannot be stored"):
        await saver.commit(
            [
                SavePoint(address("new"), good, {}, {"a": 2}),
                SavePoint(address("new", id=good["id"]), bad, {}, {}),
            ]
        )
    assert await saver.list(address("new")) == []
    assert len(await saver.list(None)) == 1


async def test_a_commit_of_several_threads_stores_each(saver: Saver) -> None:
    await saver.commit(
        [SavePoint(address(name), point({"a": name}), {}, {"a": 1}) for name in ("x", "y", "x")][:2]
    )
    assert {each.config["configurable"]["thread_id"] for each in await saver.list(None)} == {"x", "y"}


async def test_an_empty_commit_does_nothing(saver: Saver) -> None:
    await saver.commit([])
    assert await saver.list(None) == []


@pytest.mark.needs("keeps_history")
async def test_writes_may_come_before_their_checkpoint(saver: Saver) -> None:
    id = uuid6()
    await saver.put_writes(address(id=id), [("a", "early")], "task")
    assert await saver.get_tuple(address()) is None
    await saver.put(address(), point({"a": 1}, id=id), {}, {"a": 1})
    assert (await saver.get_tuple(address())).pending_writes == [("task", "a", "early")]


@pytest.mark.needs("keeps_history")
async def test_values_count_as_they_are_when_they_are_added_to_an_open_commit(saver: Saver) -> None:
    live: list[Any] = [{"role": "user", "content": f"{i} " * 60} for i in range(40)]
    message, versions = {"content": "m" * 100}, {"messages": 1}
    commit = saver.raw.open_commit()
    first = point({"messages": live}, versions)
    commit.add(SavePoint(address(), first, {"step": 0}, {"messages": 1}))
    commit.add(SaveWrites(address(id=first["id"]), [("messages", [message]), ("messages", message)], "task"))
    before = [dict(each) for each in live]
    live[0]["content"] = "changed " * 20
    live[39]["content"] = "changed " * 20
    message["content"] = "n" * 100
    versions["messages"] = 2
    first["versions_seen"]["later"] = {"messages": 7}
    live.append(message)
    second = point({"messages": live}, versions)
    commit.add(SavePoint(address(id=first["id"]), second, {"step": 1}, {"messages": 2}))
    after = [dict(each) for each in live]
    live.clear()
    versions["messages"] = 3
    await saver.call_on(commit, "store")
    newest, oldest = await saver.list(address())
    assert (values(oldest), values(newest)) == ({"messages": before}, {"messages": after})
    assert oldest.checkpoint["channel_versions"] == {"messages": 1}
    assert newest.checkpoint["channel_versions"] == {"messages": 2}
    assert oldest.checkpoint["versions_seen"] == {"node": {"messages": 1}}
    assert oldest.pending_writes == [
        ("task", "messages", [{"content": "m" * 100}]),
        ("task", "messages", {"content": "m" * 100}),
    ]
