"""An operation cancelled wherever it waits: stored whole or not at all, and what it ran on stays usable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from tests.checkpoint_postgres.steps import step, values
from tests.contract.points import address
from threadkeep.checkpoint.base import SavePoint
from threadkeep.checkpoint.postgres import PostgresSaver
from threadkeep.checkpoint.postgres.aio import AsyncPostgresSaver

KINDS = ["connection", "transactions", "pipeline", "pool", "string"]
# Who cancels the cancelling makes psycopg close the connection: only what can be made anew goes on then.
TWICE = [*((kind, 1) for kind in KINDS), ("pool", 3), ("string", 3)]


class Cancelled:
    """Awaits a coroutine whose task is cancelled when it waits for the n-th time, or some times from then."""

    def __init__(self, work: Coroutine[Any, Any, Any], at: int, times: int) -> None:
        self._work = work
        self._at = range(at, at + times)
        self.waited = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        task = asyncio.current_task()
        assert task is not None
        steps = self._work.__await__()
        resume: Callable[[], Any] = lambda: steps.send(None)  # noqa: E731
        while True:
            try:
                future = resume()
            except StopIteration as stop:
                return stop.value
            if self.waited in self._at:
                task.cancel()
            self.waited += 1
            try:
                yield future
                resume = lambda: steps.send(None)  # noqa: E731
            except BaseException as error:
                resume = lambda error=error: steps.throw(error)  # type: ignore[misc]  # noqa: E731


@asynccontextmanager
async def opened(kind: str, database: str) -> AsyncIterator[tuple[AsyncPostgresSaver, Any]]:
    """A saver, and the connection or pool that the program brought."""
    if kind == "pool":
        async with AsyncConnectionPool(
            database, min_size=1, max_size=1, kwargs={"autocommit": True}, open=False, timeout=5
        ) as pool:
            yield AsyncPostgresSaver(pool), pool
        return
    if kind == "string":
        async with AsyncPostgresSaver.from_conn_string(database) as saver:
            yield saver, saver
        return
    connection = psycopg.AsyncConnection.connect(database, autocommit=kind != "transactions")
    async with await connection as conn:
        if kind == "pipeline":
            async with conn.pipeline() as pipe:
                yield AsyncPostgresSaver(conn, pipe), conn
        else:
            yield AsyncPostgresSaver(conn), conn


async def is_idle(resource: Any) -> bool:
    """Whether no transaction was left open, and connections answer."""
    if isinstance(resource, AsyncPostgresSaver):
        return True  # it makes its connection anew if need be
    if isinstance(resource, AsyncConnectionPool):
        async with resource.connection() as conn:
            return await is_idle(conn)
    if resource.pgconn.pipeline_status:
        return bool(resource.pgconn.status == psycopg.pq.ConnStatus.OK)
    return bool(resource.info.transaction_status == psycopg.pq.TransactionStatus.IDLE)


@pytest.fixture
def reader(database: str) -> Iterator[PostgresSaver]:
    """A saver of its own, on a database that is set up."""
    with PostgresSaver.from_conn_string(database) as saver:
        saver.setup()
        yield saver


def seen(reader: PostgresSaver, thread: str) -> list[Any]:
    return [found.checkpoint["channel_values"] for found in reader.list(address(thread))]


@pytest.mark.parametrize(("kind", "times"), TWICE)
async def test_cancelled_wherever_it_waits_a_commit_is_whole_and_the_saver_goes_on(
    database: str, reader: PostgresSaver, kind: str, times: int
) -> None:
    async with opened(kind, database) as (saver, resource):
        for known in (False, True):
            at, cancelled = 0, True
            while cancelled:
                thread = f"{known} {at}"
                config = await saver.aput(address(thread), *step(thread, 0))
                other = saver if known or resource is saver else AsyncPostgresSaver(resource)
                work = other.acommit([SavePoint(config, *step(thread, 1))])
                task = asyncio.ensure_future(_run(Cancelled(work, at, times)))
                cancelled = await asyncio.wait_for(_is_cancelled(task), 10)
                assert await is_idle(resource)
                before = [values(thread, 0)]
                after = [values(thread, 1), *before]
                found = await asyncio.wait_for(saver.aget_tuple(address(thread)), 10)
                assert found is not None
                assert seen(reader, thread) in ((before, after) if cancelled else (after,))
                assert found.checkpoint["channel_values"] == seen(reader, thread)[0]
                at += 1
            assert at > 1


@pytest.mark.parametrize("kind", KINDS)
async def test_cancelled_wherever_they_wait_reads_and_deletions_leave_the_saver_usable(
    database: str, reader: PostgresSaver, kind: str
) -> None:
    async with opened(kind, database) as (saver, resource):
        for name in ("aget_tuple", "adelete_thread", "aprune"):
            at, cancelled = 0, True
            while cancelled:
                thread = f"{name} {at}"
                config = await saver.aput(address(thread), *step(thread, 0))
                await saver.aput(config, *step(thread, 1))
                argument: Any = {"aget_tuple": address(thread), "aprune": [thread]}.get(name, thread)
                other = saver if resource is saver else AsyncPostgresSaver(resource)
                work = getattr(other, name)(argument)
                task = asyncio.ensure_future(_run(Cancelled(work, at, 1)))
                cancelled = await asyncio.wait_for(_is_cancelled(task), 10)
                assert await is_idle(resource)
                all_of_it = [values(thread, 1), values(thread, 0)]
                after = {"aget_tuple": all_of_it, "aprune": all_of_it[:1]}.get(name, [])
                assert seen(reader, thread) in ((all_of_it, after) if cancelled else (after,))
                at += 1
            assert at > 1


@pytest.mark.parametrize("kind", KINDS)
async def test_of_commits_that_wait_together_only_the_cancelled_ones_are_missed(
    database: str, reader: PostgresSaver, kind: str
) -> None:
    async with opened(kind, database) as (saver, _):
        for at in range(4):
            works = {f"{at} {i}": saver.aput(address(f"{at} {i}"), *step(f"{at} {i}", 0)) for i in range(8)}
            tasks = [
                asyncio.ensure_future(_run(Cancelled(work, at if i % 2 else 1000, 1)))
                for i, work in enumerate(works.values())
            ]
            await asyncio.wait_for(asyncio.gather(*map(_is_cancelled, tasks)), 20)
            for i, thread in enumerate(works):
                whole = [values(thread, 0)]
                assert seen(reader, thread) in ((whole, []) if i % 2 else (whole,))


async def _run(work: Cancelled) -> Any:
    return await work


async def _is_cancelled(task: asyncio.Task[Any]) -> bool:
    try:
        await task
    except asyncio.CancelledError:
        return True
    return False
