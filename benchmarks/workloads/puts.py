"""The saver alone: a checkpoint with a value of 2 KB, then three writes, one being the next value."""

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from benchmarks.api import Api
from benchmarks.scale import Bench, Sample, Scale
from benchmarks.workloads.line import wal_connection
from benchmarks.workloads.text import kilobytes


class Step(NamedTuple):
    """What one superstep saves."""

    checkpoint: dict[str, Any]
    metadata: dict[str, Any]
    versions: dict[str, Any]
    writes: list[tuple[str, Any]]
    task: str


def prepared(api: Api, saver: Any, steps: int, seed: int) -> list[Step]:
    """The steps of one thread, made before the clock runs: versions and ids grow as in a run."""
    base = api.module("checkpoint.base")
    values = kilobytes(steps + 1, size=2048, seed=seed)
    checkpoint, version, made = base.empty_checkpoint(), None, []
    for number in range(steps):
        version = saver.get_next_version(version, None)
        checkpoint = base.create_checkpoint(checkpoint, None, number)
        checkpoint["channel_values"] = {"value": values[number]}
        checkpoint["channel_versions"] = {"value": version}
        writes = [("value", values[number + 1]), ("branch:to:next", None), ("note", f"step {number}")]
        metadata = {"source": "loop", "step": number, "parents": {}}
        made.append(Step(checkpoint, metadata, {"value": version}, writes, f"task-{number}"))
    return made


def fresh(name: str) -> dict[str, Any]:
    return {"configurable": {"thread_id": name, "checkpoint_ns": ""}}


def save(saver: Any, name: str, steps: list[Step]) -> None:
    config = fresh(name)
    for step in steps:
        config = saver.put(config, step.checkpoint, step.metadata, step.versions)
        saver.put_writes(config, step.writes, step.task)


async def asave(saver: Any, name: str, steps: list[Step]) -> None:
    config = fresh(name)
    for step in steps:
        config = await saver.aput(config, step.checkpoint, step.metadata, step.versions)
        await saver.aput_writes(config, step.writes, step.task)


def on_threads(saver: Any, work: dict[str, list[Step]]) -> None:
    """`save` of every thread of `work`, each on a thread of its own."""
    failures: list[BaseException] = []

    def guarded(name: str, steps: list[Step]) -> None:
        try:
            save(saver, name, steps)
        except BaseException as error:
            failures.append(error)

    runners = [threading.Thread(target=guarded, args=item) for item in work.items()]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    if failures:
        raise failures[0]


def puts(writers: int) -> Bench:
    """`writers` threads of a program that share one saver."""

    def bench(api: Api, scale: Scale) -> Iterator[Sample]:
        steps = (128 if scale.quick else 512) // writers
        with api.sqlite(scale.folder / "puts.db") as saver:
            for slice_number in itertools.count():
                work = {
                    f"thread-{slice_number}-{writer}": prepared(api, saver, steps, seed=writer)
                    for writer in range(writers)
                }
                started = time.perf_counter()
                if writers == 1:
                    save(saver, *next(iter(work.items())))
                else:
                    on_threads(saver, work)
                yield {"steps_per_s": writers * steps / (time.perf_counter() - started)}

    return bench


def puts_async(tasks: int) -> Bench:
    """`tasks` asyncio tasks that share one asynchronous saver."""

    def bench(api: Api, scale: Scale) -> Iterator[Sample]:
        steps, names = (256 if scale.quick else 1024) // tasks, itertools.count()

        async def measured() -> float:
            async with api.async_sqlite(scale.folder / f"puts-{next(names)}.db") as saver:
                work = {f"thread-{task}": prepared(api, saver, steps, seed=task) for task in range(tasks)}
                started = time.perf_counter()
                await asyncio.gather(*[asave(saver, name, made) for name, made in work.items()])
                return tasks * steps / (time.perf_counter() - started)

        with asyncio.Runner() as runner:
            while True:
                yield {"steps_per_s": runner.run(measured())}

    return bench


def bare_puts(batch: int) -> Callable[[Scale], Iterator[Sample]]:
    """Steps of one row of 2 KB and three writes, `batch` steps in a transaction."""

    def bench(scale: Scale) -> Iterator[Sample]:
        connection = wal_connection(scale)
        connection.execute("CREATE TABLE step (id INTEGER PRIMARY KEY, body BLOB)")
        bodies = [(text,) for text in kilobytes(batch, size=2048)]
        rows = [row for body in bodies for row in (body, body, ("branch:to:next",), ("step",))]
        transactions = 512 // batch
        while True:
            started = time.perf_counter()
            for _ in range(transactions):
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany("INSERT INTO step (body) VALUES (?)", rows)
                connection.execute("COMMIT")
            yield {"steps_per_s": transactions * batch / (time.perf_counter() - started)}

    return bench
