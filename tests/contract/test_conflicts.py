"""The saver contract: two runs on one thread, and late writes of deleted threads."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from tests.contract.backends import Saver
from tests.contract.points import Run, address, ids, point, values
from threadkeep.checkpoint.base import SavePoint, SaveWrites, uuid6
from threadkeep.errors import ConcurrentUpdateError, ConcurrentUpdateWarning, ThreadDeletedError

REJECT = pytest.mark.parametrize("options", [{"on_conflict": "reject"}])


async def two_runs(saver: Saver) -> tuple[Run, Run, str]:
    """Two runs that continue from the same checkpoint."""
    run = Run(saver)
    start = await run.put(a=0)
    other = Run(saver)
    other.config, other.values, other.versions = run.config, run.values, run.versions
    return run, other, start


@pytest.mark.needs("keeps_history")
async def test_both_runs_continue_as_branches_with_one_warning(saver: Saver) -> None:
    run, other, start = await two_runs(saver)
    mine = await run.put(a="mine")
    with pytest.warns(ConcurrentUpdateWarning) as caught:
        theirs = await other.put(a="theirs")
    assert len(caught) == 1
    assert all(each in str(caught[0].message) for each in ("'t'", start, mine, theirs))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        await run.put(a="mine 2")
        await other.put(a="theirs 2")
    found = await saver.list(address())
    assert [
        (values(each)["a"], each.parent_config["configurable"]["checkpoint_id"]) for each in found[:-1]
    ] == [
        ("theirs 2", theirs),
        ("mine 2", mine),
        ("theirs", start),
        ("mine", start),
    ]


@REJECT
async def test_the_later_run_is_rejected_and_nothing_of_its_commit_stored(saver: Saver) -> None:
    run, other, start = await two_runs(saver)
    mine = await run.put(a="mine")
    late = point({"a": "theirs"}, {"a": 2})
    with pytest.raises(ConcurrentUpdateError) as caught:
        await saver.commit(
            [
                SaveWrites(address(id=start), [("a", "theirs")], "task"),
                SavePoint(other.config, late, {}, {"a": 2}),
            ]
        )
    error = caught.value
    assert (error.thread_id, error.checkpoint_ns, error.parent_id, error.head_id) == ("t", "", start, mine)
    assert ids(await saver.list(address())) == ([mine, start] if saver.keeps_history else [mine])
    assert (await saver.get_tuple(address(id=start))).pending_writes == []
    await run.put(a="on")


@REJECT
async def test_a_fork_on_purpose_is_no_conflict(saver: Saver) -> None:
    run, _, start = await two_runs(saver)
    await run.put(a="mine")
    fork = run.fork(start, {"a": 0}, {"a": 1})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        forked = await fork.put(a="forked")
    assert ids(await saver.list(address()))[0] == forked


@REJECT
async def test_a_start_without_a_parent_conflicts_where_checkpoints_are(saver: Saver) -> None:
    head = await Run(saver).put(a=1)
    with pytest.raises(ConcurrentUpdateError) as caught:
        await Run(saver).put(a=2)
    assert (caught.value.parent_id, caught.value.head_id) == (None, head)
    await Run(saver, ns="child").put(a=1)
    await Run(saver, "other").put(a=1)


@pytest.mark.needs("keeps_history")
@REJECT
async def test_the_same_checkpoint_put_again_is_no_conflict(saver: Saver) -> None:
    made = [point({"a": i}) for i in range(2)]
    await saver.put(address(), made[0], {}, {"a": 1})
    await saver.put(address(id=made[0]["id"]), made[1], {}, {"a": 1})
    await saver.put(address(), made[0], {}, {"a": 1})
    await saver.put(address(id=made[0]["id"]), made[1], {}, {"a": 1})
    assert len(await saver.list(address())) == 2


def test_a_wrong_option_is_refused(backend: Any, tmp_path: Any) -> None:
    with pytest.raises(ValueError, match="'merge'"):
        backend.make(tmp_path / "x.db", on_conflict="merge")


async def test_a_late_put_does_not_bring_a_deleted_thread_back(saver: Saver) -> None:
    run = Run(saver)
    await run.put(a=1)
    await saver.delete_thread("t")
    with pytest.raises(ThreadDeletedError) as caught:
        await run.put(a=2)
    assert caught.value.thread_id == "t"
    with pytest.raises(ThreadDeletedError):
        await saver.put_writes(run.config, [("a", 2)], "task")
    assert await saver.list(address()) == []
    assert await saver.get_tuple(address()) is None


async def test_a_run_without_a_parent_begins_the_threads_new_life(saver: Saver) -> None:
    old = Run(saver)
    await old.put(a="old" * 100)
    await saver.delete_thread("t")
    new = Run(saver)
    await new.put(a="new" * 100)
    await new.put(b=1)
    await saver.put_writes(new.config, [("a", 2)], "task")
    with pytest.raises(ThreadDeletedError):
        await old.put(a=2)
    found = await saver.list(address())
    assert values(found[0]) == {"a": "new" * 100, "b": 1}
    assert [values(each) for each in found[1:]] == [{"a": "new" * 100}] * saver.keeps_history


async def test_a_late_subgraph_does_not_begin_a_new_life(saver: Saver) -> None:
    run = Run(saver)
    parent = await run.put(a=1)
    await saver.delete_thread("t")
    with pytest.raises(ThreadDeletedError):
        await Run(saver, ns="child").put(metadata={"parents": {"": parent}}, a=1)
    await Run(saver, ns="child").put(metadata={"parents": {"": uuid6()}}, a=1)


async def test_deleting_again_and_pruning_away_bury_as_well(saver: Saver) -> None:
    for _ in range(2):
        run = Run(saver)
        await run.put(a=1)
        await saver.prune(["t"], strategy="delete")
        with pytest.raises(ThreadDeletedError):
            await run.put(a=2)
