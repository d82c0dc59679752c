"""The store for threads: on a connection, a pool or a pipeline."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

from psycopg import Pipeline

from threadkeep.errors import StorageUnavailableError
from threadkeep.postgres import setup as tables
from threadkeep.postgres.connections import Connections, PoolConfig, Resource, connecting
from threadkeep.store.base import BaseStore, Op, Result, SearchOp, TTLConfig
from threadkeep.store.postgres import building
from threadkeep.store.postgres.course import (
    Build,
    Embed,
    Read,
    Step,
    Write,
    aembedded,
    afollow,
    course,
    embedded,
    explaining,
    follow,
    sweeping,
)
from threadkeep.store.postgres.indexes import (
    ANNIndexConfig,
    FlatConfig,
    HNSWConfig,
    IVFFlatConfig,
    PostgresIndexConfig,
)
from threadkeep.store.postgres.operations import Operations, SearchReport
from threadkeep.store.postgres.recall import Recall
from threadkeep.store.postgres.reindexing import Progress, reindexing
from threadkeep.store.postgres.tables import ITEMS, VECTORS
from threadkeep.store.postgres.vectors import adapt
from threadkeep.store.sweeper import Sweeper, sweep_minutes

__all__ = [
    "ANNIndexConfig",
    "FlatConfig",
    "HNSWConfig",
    "IVFFlatConfig",
    "PoolConfig",
    "PostgresIndexConfig",
    "PostgresStore",
]


logger = logging.getLogger(__name__)


class PostgresStore(BaseStore):
    """Items in PostgreSQL. May be used from many threads and many processes.

    `conn`: a pool, whose connections work in parallel, or a connection, which one thread uses at a time. Call
    `setup` once on a new database. `pipe`: for programs that bring their connection in pipeline mode.
    `deserializer`: makes the value of its JSON. `schema`: where the tables are. The async methods run in
    worker threads, but async embeddings on the event loop.
    """

    supports_ttl = True

    def __init__(
        self,
        conn: Resource,
        *,
        pipe: Pipeline | None = None,
        deserializer: Callable[[bytes], dict[str, Any]] | None = None,
        index: PostgresIndexConfig | None = None,
        ttl: TTLConfig | None = None,
        schema: str = "public",
    ) -> None:
        self._configure(Connections(conn, adapt=adapt), deserializer, index, ttl, schema)
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
        """A store that connects when first used. Use it in `with`, or `close` it.

        With `pool_config` it has a pool of connections (`min_size`, `max_size`, `kwargs` of each connection);
        else one, which is made anew when it breaks. Behind a pooler in transaction mode give the connections
        `kwargs={"prepare_threshold": None}`.
        """
        made = cls.__new__(cls)
        connections = Connections(None, connecting(conn_string, pool_config), pipeline=pipeline, adapt=adapt)
        made._configure(connections, None, index, ttl, schema)
        made.pipe = None
        return made

    def _configure(
        self,
        connections: Connections,
        deserializer: Callable[[bytes], dict[str, Any]] | None,
        index: PostgresIndexConfig | None,
        ttl: TTLConfig | None,
        schema: str,
    ) -> None:
        self._connections = connections
        self.index_config = index
        self.ttl_config = ttl
        recall = None if index is None else Recall(index)
        self._operations = Operations(
            schema, deserializer, lambda: self._now() if self._now else None, recall
        )
        self._sweeper: Sweeper | None = None

    @property
    def conn(self) -> Resource:
        """The pool or connection."""
        return self._connections.open()

    def setup(self, *, dry_run: bool = False) -> str:
        """Creates or upgrades the tables; returns the SQL for it. Does nothing if they are as they should be.

        Safe when many processes do it at once. `dry_run`: only prints the SQL.
        """
        schema, recall = self._operations.schema, self._operations.recall
        text = tables.setup(self._connections, ITEMS, schema, dry_run=dry_run)
        if recall is not None:
            self._connections.read(building.require)
            text += tables.setup(self._connections, VECTORS, schema, dry_run=dry_run)
            if not dry_run:
                text += self._connections.write(lambda: building.begun(recall.index, schema), repeatable=True)
                text += self._connections.apart(lambda: building.built(recall.index, schema))
        return text

    def check(self) -> bool:
        """Whether the tables are of this version and whole; changes nothing."""
        schema, recall = self._operations.schema, self._operations.recall
        current = tables.check(self._connections, ITEMS, schema)
        return current and (recall is None or tables.check(self._connections, VECTORS, schema))

    def close(self) -> None:
        """Stops the sweeper, and closes what the store opened."""
        self.stop_ttl_sweeper()
        self._connections.close()

    def __enter__(self) -> Self:
        self._connections.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """The results of *ops*, in their order; one transaction, whose statements go out together.

        Writing an item twice has the effect of once, so a batch is tried again when a connection breaks.
        """
        return follow(course(self._operations, ops), self._perform)

    def explain(self, op: SearchOp) -> SearchReport:
        """How a search is carried out: exactly or through the index, with what candidates, by which plans.

        Carries it out twice, the second time under `EXPLAIN (ANALYZE)`; refreshes nothing.
        """
        return follow(explaining(self._operations, op), self._perform)

    def reindex(self, progress: Callable[[Progress], None] | None = None) -> None:
        """Brings vectors and index to what is configured, while others read and write; may be repeated.

        Texts that have no vector of `dims` are embedded, the index is built beside the old one and takes its
        place, then other indexes and vectors of other dimensions are deleted. *progress* is told how far it
        is, of the building of the index about once a second.
        """
        follow(reindexing(self._operations, progress or (lambda _: None)), self._perform)

    def _perform(self, step: Step) -> Any:
        if isinstance(step, Read):
            return self._connections.read(step.steps)
        if isinstance(step, Write):
            return self._connections.write(step.steps, repeatable=True)
        if isinstance(step, Build):
            return self._build(step)
        return embedded(step)

    def _build(self, step: Build) -> None:
        done = threading.Event()

        def watch() -> None:
            while not done.wait(1.0):
                step.report(self._connections.read(step.watch))

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            self._connections.apart(step.steps)
        finally:
            done.set()
            watcher.join()

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """As `batch`."""
        return await afollow(course(self._operations, ops), self._aperform)

    async def _aperform(self, step: Step) -> Any:
        return (
            await aembedded(step) if isinstance(step, Embed) else await asyncio.to_thread(self._perform, step)
        )

    def sweep_ttl(self) -> int:
        """Deletes what has expired, in transactions of at most 1,000 items; returns how many these were.

        Does nothing while another sweeper, of any process, is at it.
        """
        return follow(sweeping(self._operations), self._perform)

    def start_ttl_sweeper(self, sweep_interval_minutes: float | None = None) -> Future[None]:
        """Sweeps in a thread, now and every so many minutes; done when stopped. A running one stays.

        Where the database does not answer, that sweep is left out and a warning logged.
        """
        if self._sweeper is None or not self._sweeper.running:
            minutes = sweep_minutes(sweep_interval_minutes, self.ttl_config)
            self._sweeper = Sweeper(self._sweep_if_possible, minutes)
        return self._sweeper.future

    def stop_ttl_sweeper(self, timeout: float | None = None) -> bool:
        """Whether no sweeper runs any more, waiting at most *timeout* seconds for it."""
        return self._sweeper is None or self._sweeper.stop(timeout)

    def _sweep_if_possible(self) -> None:
        try:
            self.sweep_ttl()
        except StorageUnavailableError:
            logger.warning("Expired items were not swept; the next sweep will try again.", exc_info=True)
