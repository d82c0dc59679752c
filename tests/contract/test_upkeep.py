"""The saver contract: delete, prune, copy."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.backends import Saver
from tests.contract.points import Run, address, ids, values


def messages(count: int, mark: str = "") -> list[dict[str, Any]]:
    """Messages that are objects."""
    return [{"role": "user", "content": f"{mark}{i} " * 40} for i in range(count)]


async def test_a_deleted_thread_is_gone_and_others_stay(saver: Saver) -> None:
    for name in ("t", "other"):
        run = Run(saver, name)
        await run.put(messages=messages(5))
        await saver.put_writes(run.config, [("a", 1)], "task")
        await Run(saver, name, "child").put(a=1)
    await saver.delete_thread("t")
    assert await saver.list({"configurable": {"thread_id": "t"}}) == []
    assert len(await saver.list({"configurable": {"thread_id": "other"}})) == 2
    assert (await saver.get_tuple(address("other"))).pending_writes == [("task", "a", 1)]


async def test_deleting_what_is_not_there_does_nothing(saver: Saver) -> None:
    await saver.delete_thread("nobody")
    await saver.delete_for_runs(["nobody"])
    await saver.delete_for_runs([])
    await saver.prune(["nobody"])
    await saver.prune([])
    await saver.copy_thread("nobody", "target")
    assert await saver.list(None) == []


async def test_pruning_keeps_the_newest_of_each_namespace_with_its_writes(saver: Saver) -> None:
    run, child = Run(saver), Run(saver, ns="child")
    for i in range(10):
        await run.put(messages=messages(i + 1), step=i)
        await child.put(step=i)
        await saver.put_writes(run.config, [("w", messages(2, "w"))], "task")
    await saver.prune(["t"])
    found = await saver.list({"configurable": {"thread_id": "t"}})
    assert [values(each) for each in found] == [{"step": 9}, {"messages": messages(10), "step": 9}]
    assert found[1].pending_writes == [("task", "w", messages(2, "w"))]
    await run.put(messages=[*messages(10), *messages(1, "new")])
    assert values(await saver.get_tuple(address())) == {
        "messages": [*messages(10), *messages(1, "new")],
        "step": 9,
    }


async def test_a_run_goes_on_after_pruning_though_what_it_remembers_is_gone(saver: Saver) -> None:
    run = Run(saver)
    await run.put(messages=messages(40))
    await run.put(messages=messages(1, "only"))
    await saver.prune(["t"])
    await run.put(messages=messages(40))
    assert values(await saver.get_tuple(address())) == {"messages": messages(40)}


async def test_pruning_with_delete_removes_the_threads(saver: Saver) -> None:
    for name in ("x", "y", "z"):
        await Run(saver, name).put(a=1)
    await saver.prune(["x", "y"], strategy="delete")
    assert [each.config["configurable"]["thread_id"] for each in await saver.list(None)] == ["z"]


async def test_an_unknown_strategy_is_refused(saver: Saver) -> None:
    with pytest.raises(ValueError, match="keep_all"):
        await saver.prune(["t"], strategy="keep_all")


@pytest.mark.needs("keeps_history")
async def test_checkpoints_of_runs_are_deleted_in_all_threads(saver: Saver) -> None:
    for name in ("x", "y"):
        run = Run(saver, name)
        await run.put(metadata={"run_id": "first"}, messages=messages(3))
        await run.put(metadata={"run_id": "second"}, messages=messages(4))
        await saver.put_writes(run.config, [("a", 1)], "task")
        await run.put(metadata={"run_id": "third"}, messages=messages(5))
    await saver.delete_for_runs(["second", "third"])
    found = await saver.list(None)
    assert [(each.metadata["run_id"], values(each)) for each in found] == [
        ("first", {"messages": messages(3)})
    ] * 2


async def test_a_copy_has_everything_and_is_independent(saver: Saver) -> None:
    run = Run(saver, "source")
    await run.put(messages=messages(3))
    await saver.put_writes(run.config, [("w", messages(1, "w"))], "task")
    await run.put(messages=messages(4))
    await Run(saver, "source", "child").put(a=1)
    await saver.copy_thread("source", "copy")
    source = await saver.list({"configurable": {"thread_id": "source"}})
    copy = await saver.list({"configurable": {"thread_id": "copy"}})
    assert ids(copy) == ids(source)
    assert [(values(each), each.pending_writes, each.metadata) for each in copy] == [
        (values(each), each.pending_writes, each.metadata) for each in source
    ]
    assert {each.config["configurable"]["thread_id"] for each in copy} == {"copy"}
    await run.put(messages=messages(1, "later"))
    await saver.delete_thread("source")
    assert values(await saver.get_tuple(address("copy"))) == {"messages": messages(4)}
    other = Run(saver, "copy")
    other.config, other.versions = address("copy", id=ids(copy)[1]), {"messages": 2}
    await other.put(messages=messages(6))
    assert values(await saver.get_tuple(address("copy"))) == {"messages": messages(6)}


async def test_a_copy_does_not_overwrite_a_thread(saver: Saver) -> None:
    for name in ("x", "y"):
        await Run(saver, name).put(a=name)
    with pytest.raises(ValueError, match="'y' has checkpoints"):
        await saver.copy_thread("x", "y")
    with pytest.raises(ValueError, match="'x' has checkpoints"):
        await saver.copy_thread("x", "x")
    await saver.delete_thread("y")
    await saver.copy_thread("x", "y")
    assert values(await saver.get_tuple(address("y"))) == {"a": "x"}
