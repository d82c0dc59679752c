"""A connection lost between any two statements, COMMIT too: a thread is before or after, never between.

What cuts is a go-between that speaks the protocol, so every way of sending statements passes it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Literal, NamedTuple

import psycopg
import pytest

from tests.contract.backends import Saver
from tests.contract.points import address, point
from tests.postgres_wire import Cutter
from threadkeep.checkpoint.base import SavePoint, SaveWrites
from threadkeep.checkpoint.postgres import PostgresSaver
from threadkeep.checkpoint.postgres.aio import AsyncPostgresSaver
from threadkeep.checkpoint.postgres.shallow import AsyncShallowPostgresSaver, ShallowPostgresSaver
from threadkeep.errors import StorageUnavailableError

Side = Literal["asked", "answered"]
SIDES: tuple[Side, ...] = ("asked", "answered")
SIZE: Any = {"min_size": 1, "max_size": 2}
LONG = "x" * 500


class Case(NamedTuple):
    """A way to reach the database."""

    colour: Literal["sync", "async"]
    mode: Literal["connection", "string", "pool", "pipeline"]
    shallow: bool = False

    def __str__(self) -> str:
        return f"{self.colour}-{self.mode}{'-shallow' * self.shallow}"

    @asynccontextmanager
    async def open(self, database: str) -> AsyncIterator[Saver]:
        """A saver that knows nothing yet."""
        own: Any = {"on_conflict": "reject"}
        options: Any = own | {
            "pipeline": self.mode == "pipeline",
            "pool_config": SIZE if self.mode == "pool" else None,
        }
        if (self.colour, self.mode) == ("sync", "connection"):
            with psycopg.connect(database, autocommit=True) as conn:
                yield Saver(PostgresSaver(conn, **own), "sync")
        elif self.colour == "sync":
            made = (ShallowPostgresSaver if self.shallow else PostgresSaver).from_conn_string(
                database, **options
            )
            with made as saver:
                yield Saver(saver, "sync")
        elif self.mode == "connection":
            async with await psycopg.AsyncConnection.connect(database, autocommit=True) as aconn:
                yield Saver(AsyncPostgresSaver(aconn, **own), "async")
        else:
            amade = (AsyncShallowPostgresSaver if self.shallow else AsyncPostgresSaver).from_conn_string(
                database, **options
            )
            async with amade as asaver:
                yield Saver(asaver, "async")


CASES = [
    Case(colour, mode)
    for colour in ("sync", "async")
    for mode in ("connection", "string", "pool", "pipeline")
]


@pytest.fixture
def reader(database: str) -> Iterator[PostgresSaver]:
    """A saver that nobody cuts off, on a database that is set up."""
    with PostgresSaver.from_conn_string(database) as saver:
        saver.setup()
        yield saver


@pytest.fixture
def cutter(database: str, reader: PostgresSaver) -> Iterator[tuple[Cutter, str]]:
    """What cuts, and the address at which it listens."""
    cutter = Cutter(database)
    with cutter.open() as listening:
        yield cutter, listening


def step(thread: str, i: int) -> list[Any]:
    """A put with the writes of its tasks; `i` counts from 0."""
    parent = address(thread, id=f"point {i - 1}") if i else address(thread)
    versions = {"m": i + 1, "n": i + 1}
    made = point({"m": [LONG + str(k) for k in range(i + 1)], "n": i}, versions, id=f"point {i}")
    writes = SaveWrites(address(thread, id=f"point {i}"), [("n", i), ("m", [LONG])], "task")
    return [SavePoint(parent, made, {"step": i}, versions), writes]


def stored(thread: str, count: int) -> list[Any]:
    """What is seen after so many steps."""
    return [
        (f"point {i}", i, [LONG + str(k) for k in range(i + 1)], [("task", "n", i), ("task", "m", [LONG])])
        for i in reversed(range(count))
    ]


def seen(reader: PostgresSaver, thread: str) -> list[Any]:
    """The whole thread."""
    return [
        (found.checkpoint["id"], values["n"], values["m"], found.pending_writes)
        for found in reader.list(address(thread))
        if (values := found.checkpoint["channel_values"])
    ]


def end_others(database: str) -> None:
    """Ends the backends whose client was cut off; returns when they are gone."""
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            "WHERE application_name = 'cut' AND datname = current_database()"
        )


async def outcome(saver: Saver, name: str, *arguments: Any) -> str:
    """Whether a method did its work or said that it was cut off; another error is a failure."""
    try:
        await saver.call(name, *arguments)
    except StorageUnavailableError:
        return "lost"
    return "done"


WAYS = [
    *(
        (case, steps)
        for steps in ("second of an unknown thread", "third of a known thread")
        for case in CASES
    ),
    *((case, "first of a new thread") for case in CASES if case.mode in ("string", "pool")),
    (Case("sync", "pool", shallow=True), "second of an unknown thread"),
    (Case("async", "string", shallow=True), "third of a known thread"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("case", "steps"), WAYS, ids=str)
async def test_cut_off_at_any_statement_a_commit_is_stored_whole_or_not_at_all(
    database: str, reader: PostgresSaver, cutter: tuple[Cutter, str], case: Case, steps: str
) -> None:
    knife, listening = cutter
    first = ("first", "second", "third").index(steps.partition(" ")[0])
    for side in SIDES:
        outcomes: list[tuple[bool, str]] = []
        while not outcomes or outcomes[-1][0]:
            thread = f"{side} {len(outcomes)}"
            async with case.open(listening) as saver:
                for i in range(first):
                    # What the saver did itself it knows: then the next commit is a single statement.
                    if "unknown" in steps:
                        reader.commit(step(thread, i))
                    else:
                        await saver.call("commit", step(thread, i))
                before = seen(reader, thread)
                knife.arm(side, len(outcomes))
                result = await outcome(saver, "commit", step(thread, first))
                outcomes.append((knife.disarm(), result))
            end_others(database)
            found = seen(reader, thread)
            after = stored(thread, first + 1)[: 1 if case.shallow else None]
            assert found in (before, after)
            if outcomes[-1][1] == "done":
                assert found == after
        # A connection that the program brought cannot be made anew; all others lose nothing.
        lost = {result for cut, result in outcomes if cut}
        assert lost == ({"lost"} if case.mode == "connection" else {"done"})
        assert len(outcomes) > (4 if "unknown" in steps else 2)


UPKEEP: dict[str, tuple[list[Any], list[Any]]] = {
    "delete_thread": (["t"], []),
    "prune": ([["t"]], stored("t", 3)[:1]),
    "copy_thread": (["t", "copy"], stored("t", 3)),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "name"),
    [
        (Case("sync", "string"), "delete_thread"),
        (Case("async", "pipeline"), "delete_thread"),
        (Case("async", "pool"), "prune"),
        (Case("sync", "pool"), "copy_thread"),
    ],
    ids=str,
)
async def test_cut_off_at_any_statement_upkeep_is_done_whole_or_not_at_all(
    database: str, reader: PostgresSaver, cutter: tuple[Cutter, str], case: Case, name: str
) -> None:
    knife, listening = cutter
    arguments, expected = UPKEEP[name]
    for side in SIDES:
        outcomes: list[tuple[bool, str]] = []
        while not outcomes or outcomes[-1][0]:
            for thread in ("t", "copy"):
                reader.delete_thread(thread)
            for i in range(3):
                reader.commit(step("t", i))
            async with case.open(listening) as saver:
                assert await saver.get_tuple(address("other")) is None
                # Pruning takes many transactions, in each of which the same statements follow one another.
                knife.arm(side, len(outcomes) * (3 if name == "prune" else 1))
                result = await outcome(saver, name, *arguments)
                outcomes.append((knife.disarm(), result))
            end_others(database)
            if name == "copy_thread":
                assert seen(reader, "t") == stored("t", 3)
                found, before = seen(reader, "copy"), []
            else:
                found, before = seen(reader, "t"), stored("t", 3)
            assert found in (before, expected)
            if outcomes[-1][1] == "done":
                assert found == expected
        assert len(outcomes) > 4
