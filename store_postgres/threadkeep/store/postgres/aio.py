"""The store for asyncio: on a connection, a pool or a pipeline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Self

from psycopg import AsyncPipeline

from threadkeep.errors import StorageUnavailableError
from threadkeep.postgres import setup as tables
from threadkeep.postgres.aconnections import AsyncConnections, AsyncResource, connecting
from threadkeep.postgres.connections import PoolConfig
from threadkeep.store.base import Op, Result, SearchOp, TTLConfig
from threadkeep.store.base.batch import AsyncBatchedBaseStore
from threadkeep.store.postgres import building
from threadkeep.store.postgres.base import logger
from threadkeep.store.postgres.course import (
    Build,
    Read,
    Step,
    Write,
    aembedded,
    afollow,
    course,
    explaining,
    sweeping,
)
from threadkeep.store.postgres.indexes import PostgresIndexConfig
from threadkeep.store.postgres.operations import Operations, SearchReport
from threadkeep.store.postgres.recall import Recall
from threadkeep.store.postgres.reindexing import Progress, reindexing
from threadkeep.store.postgres.tables import ITEMS, VECTORS
from threadkeep.store.postgres.vectors import adapt
from threadkeep.store.sweeper import sweep_minutes

__all__ = ["AsyncPostgresStore"]

_OWNER = "AsyncPostgresStore"


class AsyncPostgresStore(AsyncBatchedBaseStore):
    """Items in PostgreSQL, for the tasks of one event loop, whose operations go out together.

    Options as of `PostgresStore`. The sync methods work from other threads while the loop runs; on the loop's
    own thread they raise, since they would wait for themselves.
    """

    supports_ttl = True

    def __init__(
        self,
        conn: AsyncResource,
        *,
        pipe: AsyncPipeline | None = None,
        deserializer: Callable[[bytes], dict[str, Any]] | None = None,
        index: PostgresIndexConfig | None = None,
        ttl: TTLConfig | None = None,
        schema: str = "public",
    ) -> None:
        self._configure(AsyncConnections(conn, owner=_OWNER, adapt=adapt), deserializer, index, ttl, schema)
        self.pipe = pipe

    @classmethod
    def from_conn_string(
        cls,
        conn_string: str,
        *,
        pipeline: bool = False,
        pool_config: PoolConfig | None = None,
        index: PostgresIndexConfig | None = None,
        ttl: TTLConfig | None = None,
        schema: str = "public",
    ) -> Self:
        """A store that connects when first used. For `async with`, or `aclose` it.

        Options as of `PostgresStore.from_conn_string`.
        """
        made = cls.__new__(cls)
        make = connecting(conn_string, pool_config)
        connections = AsyncConnections(None, make, pipeline=pipeline, owner=_OWNER, adapt=adapt)
        made._configure(connections, None, index, ttl, schema)
        made.pipe = None
        return made

    def _configure(
        self,
        connections: AsyncConnections,
        deserializer: Callable[[bytes], dict[str, Any]] | None,
        index: PostgresIndexConfig | None,
        ttl: TTLConfig | None,
        schema: str,
    ) -> None:
        AsyncBatchedBaseStore.__init__(self)
        self._connections = connections
        self.index_config = index
        self.ttl_config = ttl
        recall = None if index is None else Recall(index)
        self._operations = Operations(
            schema, deserializer, lambda: self._now() if self._now else None, recall
        )
        self._sweeper: tuple[asyncio.Event, asyncio.Task[None]] | None = None

    @property
    def conn(self) -> AsyncResource | None:
        """The pool or connection; None before the first use."""
        return self._connections.resource

    async def setup(self, *, dry_run: bool = False) -> str:
        """Creates or upgrades the tables; returns the SQL for it. Does nothing if they are as they should be.

        Safe when many processes do it at once. `dry_run`: only prints the SQL.
        """
        schema, recall = self._operations.schema, self._operations.recall
        text = await tables.asetup(self._connections, ITEMS, schema, dry_run=dry_run)
        if recall is not None:
            await self._connections.read(building.require)
            text += await tables.asetup(self._connections, VECTORS, schema, dry_run=dry_run)
            if not dry_run:
                text += await self._connections.write(
                    lambda: building.begun(recall.index, schema), repeatable=True
                )
                text += await self._connections.apart(lambda: building.built(recall.index, schema))
        return text

    async def check(self) -> bool:
        """Whether the tables are of this version and whole; changes nothing."""
        schema, recall = self._operations.schema, self._operations.recall
        current = await tables.acheck(self._connections, ITEMS, schema)
        return current and (recall is None or await tables.acheck(self._connections, VECTORS, schema))

    async def aclose(self) -> None:
        """Waits for what was asked, stops the sweeper, and closes what the store opened."""
        await self.settled()
        await self.stop_ttl_sweeper()
        await self._connections.close()

    async def __aenter__(self) -> Self:
        await self._connections.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """The results of *ops*, in their order; one transaction, whose statements go out together.

        Writing an item twice has the effect of once, so a batch is tried again when a connection breaks.
        Asked on another event loop than that of the connections, it is carried out there.
        """
        return await self._connections.at_home(partial(self._carried, ops))

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """As `abatch`, for other threads than that of the event loop."""
        return self._connections.from_thread(self._carried(ops))

    async def _carried(self, ops: Iterable[Op]) -> list[Result]:
        return await afollow(course(self._operations, ops), self._perform)

    async def explain(self, op: SearchOp) -> SearchReport:
        """How a search is carried out: exactly or through the index, with what candidates, by which plans.

        Carries it out twice, the second time under `EXPLAIN (ANALYZE)`; refreshes nothing.
        """
        return await afollow(explaining(self._operations, op), self._perform)

    async def reindex(self, progress: Callable[[Progress], None] | None = None) -> None:
        """Brings vectors and index to what is configured, while others read and write; may be repeated.

        Texts that have no vector of `dims` are embedded, the index is built beside the old one and takes its
        place, then other indexes and vectors of other dimensions are deleted. *progress* is told how far it
        is, of the building of the index about once a second.
        """
        await afollow(reindexing(self._operations, progress or (lambda _: None)), self._perform)

    async def _perform(self, step: Step) -> Any:
        if isinstance(step, Read):
            return await self._connections.read(step.steps)
        if isinstance(step, Write):
            return await self._connections.write(step.steps, repeatable=True)
        if isinstance(step, Build):
            return await self._build(step)
        return await aembedded(step)

    async def _build(self, step: Build) -> None:
        async def watch() -> None:
            while True:
                await asyncio.sleep(1.0)
                step.report(await self._connections.read(step.watch))

        watcher = asyncio.create_task(watch())
        try:
            await self._connections.apart(step.steps)
        finally:
            watcher.cancel()
            await asyncio.wait([watcher])

    async def sweep_ttl(self) -> int:
        """Deletes what has expired, in transactions of at most 1,000 items; returns how many these were.

        Does nothing while another sweeper, of any process, is at it.
        """
        return await afollow(sweeping(self._operations), self._perform)

    async def start_ttl_sweeper(self, sweep_interval_minutes: float | None = None) -> asyncio.Task[None]:
        """Sweeps in a task, now and every so many minutes; done when stopped. A running one stays.

        Where the database does not answer, that sweep is left out and a warning logged.
        """
        if self._sweeper is None or self._sweeper[1].done():
            minutes = sweep_minutes(sweep_interval_minutes, self.ttl_config)
            stop = asyncio.Event()
            self._sweeper = stop, asyncio.create_task(self._sweep_every(minutes * 60, stop))
        return self._sweeper[1]

    async def stop_ttl_sweeper(self, timeout: float | None = None) -> bool:
        """Whether no sweeper runs any more, waiting at most *timeout* seconds for it."""
        if self._sweeper is None:
            return True
        stop, task = self._sweeper
        stop.set()
        if task.done():  # perhaps with its event loop, which is closed now
            return True
        await asyncio.wait([task], timeout=timeout)
        return task.done()

    async def _sweep_every(self, seconds: float, stop: asyncio.Event) -> None:
        stopped = False
        while not stopped:
            try:
                await self.sweep_ttl()
            except StorageUnavailableError:
                logger.warning("Expired items were not swept; the next sweep will try again.", exc_info=True)
            with suppress(TimeoutError):
                stopped = await asyncio.wait_for(stop.wait(), seconds)
