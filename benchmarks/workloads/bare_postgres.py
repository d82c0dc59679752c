"""What bare psycopg takes to move the same bytes: plain tables, one transaction for what belongs together."""

import asyncio
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from benchmarks.api import POOL
from benchmarks.postgres import Database, database
from benchmarks.scale import Sample, Scale, milliseconds
from benchmarks.workloads.chat import PAGE, PAGES, READS, in_slices
from benchmarks.workloads.text import kilobytes

TABLE = "CREATE TABLE row (id bigserial PRIMARY KEY, thread text, body text)"
INDEX = "CREATE INDEX ON row (thread, id)"
INSERT = "INSERT INTO row (thread, body) VALUES (%s, %s), (%s, %s)"
STEP = "INSERT INTO row (thread, body) VALUES (%s, %s), (%s, %s), (%s, 'branch:to:next'), (%s, 'step')"


@contextmanager
def table() -> Iterator[tuple[Database, Any]]:
    """A database with the table, and a connection that commits every statement."""
    import psycopg

    with database() as made, psycopg.connect(made.uri, autocommit=True, prepare_threshold=0) as connection:
        connection.execute(TABLE)
        connection.execute(INDEX)
        yield made, connection


def chat(scale: Scale) -> Iterator[Sample]:
    """A turn is two rows; the reads fetch all rows, once and twenty times."""
    texts = kilobytes(2 * scale.turns)
    with table() as (made, connection):

        def turn(number: int) -> None:
            connection.execute(INSERT, ("c", texts[2 * number], "c", texts[2 * number + 1]))

        def everything(times: int = 1) -> None:
            for _ in range(times):
                assert len(connection.execute("SELECT body FROM row").fetchall()) == len(texts)

        yield from in_slices(scale.turns, turn)
        yield {"commits": 1}
        for _ in range(READS):
            yield {"get_state_ms": milliseconds(everything)}
        for _ in range(PAGES):
            yield {"history_ms": milliseconds(lambda: everything(PAGE))}
        yield {"stored_mb": made.stored_megabytes()}


def step_of(connection: Any, name: str, values: list[str], number: int) -> None:
    connection.execute(STEP, (name, values[number], name, values[number + 1], name, name))


def puts(writers: int) -> Callable[[Scale], Iterator[Sample]]:
    """A step is one statement of four rows; on as many connections as there are writers."""

    def bench(scale: Scale) -> Iterator[Sample]:
        import psycopg

        steps = 512 // writers
        values = kilobytes(steps + 1, size=2048)
        with table() as (made, _), ThreadPoolExecutor(writers) as threads:
            connections = [
                psycopg.connect(made.uri, autocommit=True, prepare_threshold=0) for _ in range(writers)
            ]

            def work(writer: int) -> None:
                for number in range(steps):
                    step_of(connections[writer], f"thread-{writer}", values, number)

            while True:
                started = time.perf_counter()
                for _ in threads.map(work, range(writers)):
                    pass
                yield {"steps_per_s": writers * steps / (time.perf_counter() - started)}

    return bench


def async_rate(tasks: int, steps: int, metric: str, statement: Callable[[str, int], Any]) -> Any:
    """`tasks` tasks on a pool, each with `steps` statements."""

    def bench(scale: Scale) -> Iterator[Sample]:
        async def measured(made: Database) -> float:
            from psycopg_pool import AsyncConnectionPool

            options = {"autocommit": True, "prepare_threshold": 0}
            async with AsyncConnectionPool(
                made.uri, min_size=POOL, max_size=POOL, kwargs=options, open=False
            ) as pool:
                await pool.wait()

                async def one(task: int) -> None:
                    for number in range(steps):
                        async with pool.connection() as connection:
                            await connection.execute(*statement(f"thread-{task}", number))

                started = time.perf_counter()
                await asyncio.gather(*[one(task) for task in range(tasks)])
                return tasks * steps / (time.perf_counter() - started)

        with table() as (made, _), asyncio.Runner() as runner:
            while True:
                yield {metric: runner.run(measured(made))}

    return bench


def puts_async(tasks: int) -> Callable[[Scale], Iterator[Sample]]:
    """As `puts`, of tasks on a pool."""
    values = kilobytes(2, size=2048)
    made: Callable[[Scale], Iterator[Sample]] = async_rate(
        tasks, 16, "steps_per_s", lambda name, _: (STEP, (name, values[0], name, values[1], name, name))
    )
    return made


def chats(tasks: int) -> Callable[[Scale], Iterator[Sample]]:
    """A turn is one statement of two rows."""
    values = kilobytes(2)
    made: Callable[[Scale], Iterator[Sample]] = async_rate(
        tasks, 16, "turns_per_s", lambda name, _: (INSERT, (name, values[0], name, values[1]))
    )
    return made


def read(scale: Scale) -> Iterator[Sample]:
    """The newest row of a thread of 1,000, and its newest hundred, by index."""
    values, newest = (
        kilobytes(1_000, size=2048),
        "SELECT body FROM row WHERE thread = 'long' ORDER BY id DESC LIMIT %s",
    )
    with table() as (made, connection):
        for name, value in zip(itertools.chain(("long",) * 1_000), values, strict=True):
            connection.execute("INSERT INTO row (thread, body) VALUES (%s, %s)", (name, value))
        made.analyze()

        def rows(count: int) -> None:
            assert len(connection.execute(newest, (count,)).fetchall()) == count

        for suffix in ("", "_analyzed"):
            for _ in range(7):
                yield {
                    f"get_ms{suffix}": statistics.median(milliseconds(lambda: rows(1)) for _ in range(15)),
                    f"list_ms{suffix}": statistics.median(milliseconds(lambda: rows(100)) for _ in range(3)),
                }


def pause(scale: Scale) -> Iterator[Sample]:
    """Two transactions, one for the pause and one for the end."""
    with table() as (_, connection):

        def cycle() -> None:
            for _ in range(2):
                connection.execute(INSERT, ("r", "x" * 400, "r", "y" * 100))

        while True:
            yield {"cycle_ms": statistics.median(milliseconds(cycle) for _ in range(25)), "commits": 2}
