"""Group commit and the saver's memory, on their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from threadkeep.checkpoint.group import AsyncGroup, Group
from threadkeep.checkpoint.memo import Learned, Memos
from threadkeep.checkpoint.requests import Plan, drive


def plan_of(value: int) -> Callable[[], Plan[int]]:
    def plan() -> Plan[int]:
        yield from ()
        return value

    return plan


def run_all(plans: Any) -> list[Any]:
    return [drive(plan(), lambda _: None) for plan in plans]


def test_a_single_caller_runs_alone() -> None:
    sizes: list[int] = []

    def noted(plans: Any) -> list[Any]:
        sizes.append(len(plans))
        return run_all(plans)

    group: Group[Any, int] = Group(noted)
    assert [group.run(plan_of(i)) for i in range(5)] == [0, 1, 2, 3, 4]
    assert sizes == [1] * 5


def test_callers_that_come_meanwhile_share_the_next_run() -> None:
    sizes: list[int] = []
    started, go_on = threading.Event(), threading.Event()

    def noted(plans: Any) -> list[Any]:
        sizes.append(len(plans))
        started.set()
        assert go_on.wait(10)
        return run_all(plans)

    group: Group[Any, int] = Group(noted)
    results: dict[int, int] = {}
    workers = [
        threading.Thread(target=lambda i=i: results.update({i: group.run(plan_of(i))})) for i in range(6)
    ]
    workers[0].start()
    assert started.wait(10)
    for worker in workers[1:]:
        worker.start()
    while len(group._queue) < 5:
        go_on.wait(0.001)
    go_on.set()
    for worker in workers:
        worker.join()
    assert results == {i: i for i in range(6)}
    assert sizes == [1, 5]


def test_what_interrupts_the_leader_reaches_its_followers_as_an_error() -> None:
    started, go_on = threading.Event(), threading.Event()
    calls: list[int] = []

    def interrupted(plans: Any) -> list[Any]:
        calls.append(len(plans))
        if len(calls) == 1:
            started.set()
            assert go_on.wait(10)
            return run_all(plans)
        raise KeyboardInterrupt

    group: Group[Any, int] = Group(interrupted)
    outcomes: list[str] = []

    def run(i: int) -> None:
        try:
            group.run(plan_of(i))
            outcomes.append("done")
        except BaseException as error:
            outcomes.append(type(error).__name__)

    workers = [threading.Thread(target=run, args=(i,)) for i in range(4)]
    workers[0].start()
    assert started.wait(10)
    for worker in workers[1:]:
        worker.start()
    while len(group._queue) < 3:
        go_on.wait(0.001)
    go_on.set()
    for worker in workers:
        worker.join()
    assert calls == [1, 3]
    assert sorted(outcomes) == ["CheckpointError", "CheckpointError", "KeyboardInterrupt", "done"]


def test_an_error_of_one_is_raised_to_that_one() -> None:
    group: Group[Any, int] = Group(lambda plans: [ValueError("mine")])
    with pytest.raises(ValueError, match="mine"):
        group.run(plan_of(1))


def test_after_an_error_of_the_whole_run_the_group_goes_on() -> None:
    broken = True

    def run(plans: Any) -> list[Any]:
        if broken:
            raise OSError("disk")
        return run_all(plans)

    group: Group[Any, int] = Group(run)
    with pytest.raises(OSError, match="disk"):
        group.run(plan_of(1))
    broken = False
    assert group.run(plan_of(2)) == 2


async def test_tasks_that_wait_share_a_run_and_a_cancelled_one_takes_nobody_with_it() -> None:
    go_on = asyncio.Event()
    batches: list[list[int]] = []

    async def run(items: list[int]) -> list[int | BaseException]:
        batches.append(items)
        await go_on.wait()
        return [ValueError("odd") if item == 3 else item * 10 for item in items]

    group: AsyncGroup[int, int] = AsyncGroup(run, runs=1)
    callers = [asyncio.ensure_future(group.run(i)) for i in range(3)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    callers += [asyncio.ensure_future(group.run(i)) for i in range(3, 6)]
    await asyncio.sleep(0)
    callers[1].cancel()
    callers[4].cancel()
    go_on.set()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert batches == [[0, 1, 2], [3, 5]]
    assert [results[0], results[2], results[5]] == [0, 20, 50]
    assert [type(results[i]) for i in (1, 3, 4)] == [
        asyncio.CancelledError,
        ValueError,
        asyncio.CancelledError,
    ]


async def test_when_a_run_of_tasks_fails_all_of_it_get_the_error_and_the_next_goes_on() -> None:
    async def run(items: list[int]) -> list[int | BaseException]:
        if 0 in items:
            raise OSError("disk")
        return list(items)

    group: AsyncGroup[int, int] = AsyncGroup(run, runs=2)
    results = await asyncio.gather(group.run(0), group.run(1), return_exceptions=True)
    assert [str(each) for each in results] == ["disk", "disk"]
    assert await group.run(2) == 2


def news(thread: str, epoch: int = 0, *blobs: bytes) -> Learned:
    return Learned(thread, 1, epoch, {}, {}, {blob: i for i, blob in enumerate(blobs, 1)}, [])


def test_the_threads_used_longest_ago_are_forgotten_first() -> None:
    memos = Memos(30_000)
    for name in "abc":
        memos.learn([news(name, 0, name.encode() * 3_000)])
    memos.learn([news("a")])
    for name in "defgh":
        memos.learn([news(name, 0, name.encode() * 3_000)])
    assert [name for name in "abcdefgh" if memos.get(name)] == ["a", *"cdefgh"]


def test_a_thread_keeps_its_newest_objects() -> None:
    memos = Memos(80_000)
    for i in range(30):
        memos.learn([Learned("t", 1, 0, {}, {}, {bytes([i]) * 1_000: i + 1}, [])])
    memo = memos.get("t")
    assert memo is not None
    assert memo.known == {blob: n for n, blob in memo.objects.items()}
    assert 30 in memo.objects
    assert 1 not in memo.objects
    assert len(memo.known) <= 10
    assert not memo.has_all(31)


def test_a_new_epoch_starts_a_new_memo() -> None:
    memos = Memos(80_000)
    memos.learn([news("t", 0, b"x" * 100)])
    old = memos.get("t")
    assert old is not None
    assert old.has_all(2)
    memos.learn([news("t", 1)])
    memo = memos.get("t")
    assert memo is not None
    assert (memo.epoch, memo.known) == (1, {})
