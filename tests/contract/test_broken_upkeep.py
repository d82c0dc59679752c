"""The saver contract: upkeep in batches that is broken off, and goes on beside others."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.backends import BACKENDS, Backend, Saver, opened
from tests.contract.points import Run, address, ids, values
from tests.contract.test_histories import SPACES, THREADS, History, expected, seen
from threadkeep.checkpoint import upkeep
from threadkeep.checkpoint.objects import Codec
from threadkeep.checkpoint.upkeep import Job, delete_for_runs, next_batch, prune


@pytest.fixture(autouse=True)
def small_batches() -> Iterator[None]:
    """So that few checkpoints need many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upkeep, "ROWS", 3)
        patch.setattr(upkeep, "OBJECTS", 4)
        yield


class Broken:
    """Runs a job batch by batch."""

    def __init__(self, saver: Saver, job: Job) -> None:
        self.saver = saver
        self.job = job
        self.result: Any = None

    async def step(self) -> bool:
        """Runs the next batch; False if there is none."""
        batch = next_batch(self.job, self.result)
        if batch is not None:
            self.result = await self.saver.call_inner("write" if batch.writes else "read", batch.plan)
        return batch is not None


def big(i: int) -> list[str]:
    return [f"{i} " * 100]


async def test_pruning_broken_off_anywhere_changes_no_kept_checkpoint_and_is_finished_by_the_next(
    saver: Saver,
) -> None:
    for batches in range(0, 60, 3):
        name = f"t{batches}"
        run, child = Run(saver, name), Run(saver, name, "child:1")
        for i in range(9):
            await run.put(a=big(i), same="s" * 300)
            await child.put(b=big(100 + i))
        await saver.put_writes(run.config, [("__interrupt__", "wait " * 60)], "task")
        broken = Broken(saver, prune([name], "keep_latest"))
        went = [await broken.step() for _ in range(batches)]
        newest = await saver.get_tuple(address(name))
        assert values(newest) == {"a": big(8), "same": "s" * 300}
        assert newest.pending_writes == [("task", "__interrupt__", "wait " * 60)]
        await run.put(a=[*big(8), *big(0)])
        await saver.prune([name])
        found = await saver.list({"configurable": {"thread_id": name}})
        assert [values(each) for each in found] == [
            {"a": [*big(8), *big(0)], "same": "s" * 300},
            {"b": big(108)},
        ]
        assert await saver.object_count(name) == 4
        if not all(went):
            return
    raise AssertionError("The last round must have run to the end.")


async def test_what_is_stored_while_a_thread_is_swept_stays(saver: Saver) -> None:
    """An object that is garbage when the sweep begins, and is put again before it is deleted."""
    run = Run(saver)
    await run.put(a=big(1))
    await run.put(a=big(2))
    job = Broken(saver, prune(["t"], "keep_latest"))
    i = 0
    while await job.step():
        i += 1
        await run.put(a=big(1) if i % 2 else big(2), b=big(i))
        await saver.put_writes(run.config, [("a", big(1))], "task")
        assert values(await saver.get_tuple(address())) == run.values
    for each in await saver.list(address()):
        assert each.pending_writes in ([], [("task", "a", big(1))])
    assert values(await saver.get_tuple(address())) == run.values


@pytest.mark.needs("keeps_history")
async def test_deleting_runs_broken_off_is_finished_by_the_next(saver: Saver) -> None:
    run = Run(saver)
    put = [await run.put(metadata={"run_id": "old" if i % 3 else "kept"}, a=big(i)) for i in range(12)]
    broken = Broken(saver, delete_for_runs(["old"], Codec(saver.raw.serde)))
    for _ in range(4):
        assert await broken.step()
    await saver.delete_for_runs(["old"])
    found = await saver.list(address())
    assert ids(found) == put[::3][::-1]
    assert [values(each) for each in found] == [{"a": big(i)} for i in (9, 6, 3, 0)]
    assert await saver.object_count("t") == 4


@pytest.mark.needs("keeps_history")
async def test_a_thread_is_copied_to_one_whose_runs_were_deleted_halfway(saver: Saver) -> None:
    source, run = Run(saver, "source"), Run(saver)
    await source.put(a=big(1))
    for i in range(3):
        await run.put(metadata={"run_id": "old"}, a=big(10 + i))
    broken = Broken(saver, delete_for_runs(["old"], Codec(saver.raw.serde)))
    while await saver.list(address()):
        assert await broken.step()
    assert await saver.object_count("t") == 3
    await saver.copy_thread("source", "t")
    assert values(await saver.get_tuple(address())) == {"a": big(1)}
    assert await saver.object_count("t") == 1
    while await broken.step():
        pass
    assert values(await saver.get_tuple(address())) == {"a": big(1)}
    run = Run(saver)
    run.config, run.values, run.versions = address(id=source.config["configurable"]["checkpoint_id"]), {}, {}
    await run.put(a=[*big(1), *big(12)])
    assert values(await saver.get_tuple(address())) == run.values


class Interleaved(History):
    """A random history in which upkeep goes on for a while, and may never end."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        self.jobs: list[Broken] = []

    async def step(self, saver: Saver) -> None:
        if self.rng.random() < 0.1:
            self.jobs.append(Broken(saver, prune([self.rng.choice(THREADS)], "keep_latest")))
        for job in [each for each in self.jobs if self.rng.random() < 0.5]:
            if not await job.step():
                self.jobs.remove(job)
            await self.see_what_is_gone(saver)
        await super().step(saver)

    async def see_what_is_gone(self, saver: Saver) -> None:
        """Takes out of the model what was deleted, which is never the newest."""
        for name, rows in self.threads.items():
            found = await saver.list({"configurable": {"thread_id": name}})
            left = {(each.config["configurable"]["checkpoint_ns"], each.checkpoint["id"]) for each in found}
            newest = {
                max(key for key in rows if key[0] == ns) for ns in SPACES if any(k[0] == ns for k in rows)
            }
            assert newest <= left <= rows.keys()
            self.keep(name, left)
            assert [seen(each) for each in found] == [
                expected(key, rows[key]) for key in sorted(left, key=lambda k: (k[1], k[0]), reverse=True)
            ]


@pytest.mark.parametrize(
    "backend",
    [
        each
        for each in BACKENDS
        if each.name in ("memory", "sqlite", "postgres-pool") and each.colour == "sync"
    ],
    ids=lambda backend: backend.name,
)
@settings(max_examples=15)
@given(seed=st.integers(0, 2**32))
def test_every_kept_checkpoint_reads_the_same_while_upkeep_goes_on(backend: Backend, seed: int) -> None:
    async def play() -> None:
        rng = random.Random(seed)
        history = Interleaved(rng)
        with TemporaryDirectory() as folder:
            async with opened(backend, Path(folder) / "threads.db") as saver:
                for _ in range(rng.randrange(10, 50)):
                    await history.step(saver)
                await history.check(saver)

    asyncio.run(play())
