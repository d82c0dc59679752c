"""The stores that the contract is run over. A new backend is one line in `BACKENDS`."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tests.postgres_server import schema_for, shared_database
from threadkeep.store.base import BaseStore, Op, Result
from threadkeep.store.base.batch import AsyncBatchedBaseStore
from threadkeep.store.memory import InMemoryStore
from threadkeep.store.postgres import AsyncPostgresStore, PostgresStore

Colour = Literal["sync", "async", "thread"]
"""Which methods are called: sync, async, or sync from another thread than the loop's."""


class Clock:
    """The time of a store in a test."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, **time: float) -> None:
        """Lets time pass: `minutes=5`."""
        self.now += timedelta(**time)


class Gathered(AsyncBatchedBaseStore):
    """A store whose single operations are gathered before they reach a store in memory."""

    supports_ttl = True

    def __init__(self, path: Path, **options: Any) -> None:
        super().__init__()
        self.inner = InMemoryStore(**options)
        self.ttl_config = self.inner.ttl_config
        self.inner._now = lambda: datetime.now(UTC) if self._now is None else self._now()

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Does the work."""
        return await self.inner.abatch(ops)

    async def sweep_ttl(self) -> int:
        """Deletes what has expired."""
        return self.inner.sweep_ttl()


class Backend(NamedTuple):
    """One store in one colour."""

    name: str
    colour: Colour
    make: Callable[..., Any]
    """Takes a path and the options of the store: `index`, `ttl`."""

    @property
    def waits(self) -> bool:
        """Whether an async function may embed: a sync call from another thread has a loop to run it on."""
        return self.colour != "sync"


def postgres(cls: type[PostgresStore] | type[AsyncPostgresStore], **settings: Any) -> Callable[..., Any]:
    """Makes stores on one database, in a schema of their own for each path."""

    def make(path: Path, **options: Any) -> Any:
        return cls.from_conn_string(shared_database(), schema=schema_for(path), **settings, **options)

    return make


POOL: Any = {"pool_config": {"min_size": 1, "max_size": 4}}
BACKENDS = [
    Backend("memory", "sync", lambda path, **options: InMemoryStore(**options)),
    Backend("memory", "async", lambda path, **options: InMemoryStore(**options)),
    Backend("gathered", "async", Gathered),
    Backend("gathered", "thread", Gathered),
    Backend("postgres", "sync", postgres(PostgresStore)),
    Backend("postgres", "async", postgres(PostgresStore)),
    Backend("postgres-pool", "sync", postgres(PostgresStore, **POOL)),
    Backend("postgres-pipeline", "sync", postgres(PostgresStore, pipeline=True)),
    Backend("aiopostgres", "async", postgres(AsyncPostgresStore)),
    Backend("aiopostgres", "thread", postgres(AsyncPostgresStore)),
    Backend("aiopostgres-pool", "async", postgres(AsyncPostgresStore, **POOL)),
    Backend("aiopostgres-pipeline", "async", postgres(AsyncPostgresStore, pipeline=True)),
]


class Store:
    """A store with one interface for all colours."""

    def __init__(self, store: BaseStore, colour: Colour) -> None:
        self.raw = store
        self._colour = colour
        self.clock = Clock()
        store._now = self.clock

    async def call(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Calls a method in the colour."""
        if self._colour == "async" and hasattr(self.raw, f"a{name}"):
            return await getattr(self.raw, f"a{name}")(*arguments, **options)
        method = getattr(self.raw, name)
        if self._colour == "thread" and not inspect.iscoroutinefunction(method):
            return await asyncio.to_thread(method, *arguments, **options)
        result = method(*arguments, **options)
        return await result if inspect.isawaitable(result) else result

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def method(*arguments: Any, **options: Any) -> Any:
            return await self.call(name, *arguments, **options)

        return method


@asynccontextmanager
async def opened(backend: Backend, path: Path, **options: Any) -> AsyncIterator[Store]:
    """A store, set up, and closed at the end."""
    store = backend.make(path, **options)
    async with AsyncExitStack() as stack:
        if hasattr(store, "__aenter__"):
            await stack.enter_async_context(store)
        elif hasattr(store, "__enter__"):
            stack.enter_context(store)
        if hasattr(store, "setup"):
            done = store.setup()
            if inspect.isawaitable(done):
                await done
        yield Store(store, backend.colour)
