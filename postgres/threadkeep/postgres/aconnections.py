"""The twin of `connections` for asyncio: a pool, or a connection that a lock guards, on one event loop."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection, AsyncPipeline
from psycopg.abc import AdaptContext
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool

from threadkeep.loops import from_thread
from threadkeep.postgres.arrays import register
from threadkeep.postgres.connections import (
    ATTEMPTS,
    LostCommitError,
    PoolConfig,
    delay,
    is_broken,
    may_retry,
    pool_options,
    translated,
)
from threadkeep.postgres.statements import Statement, Steps

__all__ = ["AsyncConnections", "AsyncResource", "connecting"]

T = TypeVar("T")
AsyncResource = AsyncConnection[Any] | AsyncConnectionPool[Any]
Perform = Callable[[AsyncConnection[Any], list[Statement]], Awaitable[list[list[Any]]]]


async def perform(conn: AsyncConnection[Any], batch: list[Statement]) -> list[list[Any]]:
    """The rows of each statement."""
    cursors = []
    for query, parameters, _ in batch:
        cursor = conn.cursor(binary=True, row_factory=tuple_row)
        await cursor.execute(query, parameters)
        cursors.append(cursor)
    return [await cursor.fetchall() if each.rows else [] for cursor, each in zip(cursors, batch, strict=True)]


async def perform_apart(conn: AsyncConnection[Any], batch: list[Statement]) -> list[list[Any]]:
    """As `perform`; in pipeline mode the transaction before it ends, and its own too."""
    if not conn.pgconn.pipeline_status:
        return await perform(conn, batch)
    async with conn.pipeline():
        return await perform(conn, batch)


def connecting(conn_string: str, config: PoolConfig | None) -> Callable[[], Awaitable[AsyncResource]]:
    """A function that makes a pool as configured, or a connection if nothing is."""

    async def make() -> AsyncResource:
        if config is None:
            return await AsyncConnection.connect(conn_string, autocommit=True)
        return AsyncConnectionPool(conn_string, open=False, **pool_options(config))

    return make


class AsyncConnections:
    """What steps run on, for one event loop: the running one, or the first that uses it.

    A pool is used without a lock, a connection by one task at a time. `owner`: the class whose it is, for
    messages.
    """

    def __init__(
        self,
        resource: AsyncResource | None,
        make: Callable[[], Awaitable[AsyncResource]] | None = None,
        *,
        pipeline: bool = False,
        owner: str,
        adapt: Callable[[AdaptContext], None] | None = None,
    ) -> None:
        self._adapt = adapt
        self._adapted_to = weakref.WeakSet[Any]()
        self._owner = owner
        self._resource = resource
        self._make = make
        self._pipeline = pipeline
        self._open = AsyncExitStack()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = asyncio.Lock()
        self._closed = False
        self.joined = 0
        """As of the twin."""
        with suppress(RuntimeError):
            asyncio.get_running_loop()
            self._bind()

    @property
    def resource(self) -> AsyncResource | None:
        """The pool or connection; None before the first use of one that is to be made."""
        return self._resource

    async def open(self) -> AsyncResource:
        """The pool or connection; made if it is our own and is not there or broken."""
        self._bind()
        resource = self._resource
        if isinstance(resource, AsyncConnectionPool):
            return resource
        async with self._lock:
            return await self._opened()

    def _bind(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        if self._loop is not None:
            if not self._loop.is_closed() or self._make is None:
                raise RuntimeError(
                    f"An {self._owner} belongs to one event loop: make one for each loop; they may share "
                    "the database."
                )
            self._resource, self._open = None, AsyncExitStack()
        self._loop, self._lock = loop, asyncio.Lock()

    async def _opened(self) -> AsyncResource:
        """As `open`; the caller has the lock."""
        resource = self._resource
        if self._make is not None and (resource is None or resource.closed):
            if self._closed:
                raise psycopg.InterfaceError("It is closed.")
            resource = await self._make()
            self._open = AsyncExitStack()
            await self._open.enter_async_context(resource)
            if self._pipeline and isinstance(resource, AsyncConnection):
                await self._open.enter_async_context(resource.pipeline())
            self._resource = resource
        assert resource is not None
        return resource

    async def close(self) -> None:
        """Closes what was opened here."""
        self._closed = True
        try:
            await self._open.aclose()
        except psycopg.Error:
            # A pipeline on a connection that broke before; the connection is closed in any case.
            if isinstance(self._resource, AsyncConnection):
                await self._resource.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection[Any]]:
        """A connection for this task."""
        self._bind()
        if isinstance(self._resource, AsyncConnectionPool):
            async with self._resource.connection() as conn:
                yield self._adapted(conn)
            return
        async with self._lock:
            resource = await self._opened()
            if isinstance(resource, AsyncConnection):
                yield self._adapted(resource)
                return
        async with resource.connection() as conn:
            yield self._adapted(conn)

    def _adapted(self, conn: AsyncConnection[Any]) -> AsyncConnection[Any]:
        if conn.pgconn.transaction_status != TransactionStatus.IDLE:
            self.joined += 1
        if conn not in self._adapted_to:
            register(conn.adapters)
            if self._adapt is not None:
                self._adapt(conn)
            self._adapted_to.add(conn)
        return conn

    async def read(self, steps: Callable[[], Steps[T]]) -> T:
        """Runs steps whose statements need no transaction."""
        return await self._again(lambda: self._run(steps()))

    async def write(self, steps: Callable[[], Steps[T]], *, repeatable: bool = False) -> T:
        """Runs steps in a transaction. `repeatable`: they may be stored twice with the effect of once."""

        async def attempt() -> T:
            try:
                return await self._transact(steps())
            except LostCommitError as error:
                if repeatable and error.__cause__ is not None:
                    raise error.__cause__ from None
                raise

        return await self._again(attempt)

    async def apart(self, steps: Callable[[], Steps[T]]) -> T:
        """Runs steps each of whose statements must be a transaction of its own."""
        return await self._again(lambda: self._run_apart(steps()))

    async def _run(self, steps: Steps[T]) -> T:
        async with self.connection() as conn:
            if not conn.autocommit:
                async with conn.transaction():
                    return await _drive(conn, steps)
            if conn.pgconn.pipeline_status:
                async with conn.pipeline():  # what it ends with commits; until then all is one transaction
                    return await _drive(conn, steps)
            return await _drive(conn, steps)

    async def _run_apart(self, steps: Steps[T]) -> T:
        async with self.connection() as conn:
            if conn.autocommit:
                return await _drive(conn, steps, perform_apart)
            await conn.set_autocommit(True)
            try:
                return await _drive(conn, steps, perform_apart)
            finally:
                if not conn.closed:
                    await conn.set_autocommit(False)

    async def _transact(self, steps: Steps[T]) -> T:
        done = False
        try:
            async with self.connection() as conn, _pipeline(conn), conn.transaction():
                result = await _drive(conn, steps)
                done = True
            return result
        except psycopg.OperationalError as error:
            if done and is_broken(error):
                raise LostCommitError from error
            raise

    async def _again(self, attempt: Callable[[], Coroutine[Any, Any, T]]) -> T:
        for i in range(ATTEMPTS):
            try:
                return await attempt()
            except Exception as error:
                if not may_retry(error) or i == ATTEMPTS - 1 or not await self._recover():
                    if (shown := translated(error)) is error:
                        raise
                    raise shown from error
                await asyncio.sleep(delay(i))
        raise AssertionError

    async def _recover(self) -> bool:
        """Whether there may be a working connection at the next attempt."""
        resource = self._resource
        if isinstance(resource, AsyncConnectionPool):
            if not resource.closed:
                await resource.check()
            return not resource.closed
        made_anew = self._make is not None and not self._closed
        return made_anew or (resource is not None and not resource.closed)

    async def at_home(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of a coroutine of the loop, for a task of any loop."""
        home = self._loop
        if home is None or home is asyncio.get_running_loop() or not home.is_running():
            return await work()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work(), home))

    def from_thread(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine of the loop, for another thread."""
        return from_thread(self._loop, work, self._owner)


@asynccontextmanager
async def _pipeline(conn: AsyncConnection[Any]) -> AsyncIterator[None]:
    """As the twin in `connections`."""
    if conn.prepare_threshold is None or not AsyncPipeline.is_supported():
        yield
        return
    async with conn.pipeline():
        yield


async def _drive(conn: AsyncConnection[Any], steps: Steps[T], perform: Perform = perform) -> T:
    try:
        batch = next(steps)
        while True:
            batch = steps.send(await perform(conn, batch))
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        steps.close()
