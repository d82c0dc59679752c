"""The savers that the contract is run over. A new backend is one line in `BACKENDS`."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tests.postgres_server import empty_for, shared_database
from threadkeep.checkpoint import requests as ask
from threadkeep.checkpoint.base import BaseCheckpointSaver
from threadkeep.checkpoint.memory import InMemorySaver
from threadkeep.checkpoint.postgres import PostgresSaver
from threadkeep.checkpoint.postgres.aio import AsyncPostgresSaver
from threadkeep.checkpoint.postgres.shallow import AsyncShallowPostgresSaver, ShallowPostgresSaver
from threadkeep.checkpoint.requests import Plan
from threadkeep.checkpoint.sqlite import SqliteSaver
from threadkeep.checkpoint.sqlite.aio import AsyncSqliteSaver
from threadkeep.checkpoint.upkeep import marks, nodes_in

Colour = Literal["sync", "async", "thread"]
"""Which methods are called: sync, async, or sync from another thread than the loop's."""


class Backend(NamedTuple):
    """One saver in one colour."""

    name: str
    colour: Colour
    make: Callable[..., Any]
    """Takes a path and the options of the saver."""
    survives: bool
    """Whether a second saver made with the same path sees what the first stored."""
    keeps_history: bool = True
    """Whether older checkpoints stay."""


def postgres(cls: type[PostgresSaver] | type[AsyncPostgresSaver], **settings: Any) -> Callable[..., Any]:
    """Makes savers on one database, which is emptied when a new path comes: quicker than a schema a test."""

    def make(path: Path | str, **options: Any) -> Any:
        empty_for(path)
        return cls.from_conn_string(shared_database(), **settings, **options)

    return make


POOL: Any = {"pool_config": {"min_size": 1, "max_size": 4}}
SHALLOW: list[tuple[str, Colour, Any]] = [
    ("shallow", "sync", ShallowPostgresSaver),
    ("aioshallow", "async", AsyncShallowPostgresSaver),
]
BACKENDS = [
    Backend("memory", "sync", lambda path, **options: InMemorySaver(**options), survives=False),
    Backend("memory", "async", lambda path, **options: InMemorySaver(**options), survives=False),
    Backend("sqlite", "sync", SqliteSaver.from_conn_string, survives=True),
    Backend("sqlite", "async", SqliteSaver.from_conn_string, survives=True),
    Backend("aiosqlite", "async", AsyncSqliteSaver.from_conn_string, survives=True),
    Backend("aiosqlite", "thread", AsyncSqliteSaver.from_conn_string, survives=True),
    Backend("postgres", "sync", postgres(PostgresSaver), survives=True),
    Backend("postgres-pool", "sync", postgres(PostgresSaver, **POOL), survives=True),
    Backend("postgres-pipeline", "sync", postgres(PostgresSaver, pipeline=True), survives=True),
    Backend("aiopostgres", "async", postgres(AsyncPostgresSaver), survives=True),
    Backend("aiopostgres-pool", "async", postgres(AsyncPostgresSaver, **POOL), survives=True),
    Backend("aiopostgres-pipeline", "async", postgres(AsyncPostgresSaver, pipeline=True), survives=True),
    *(
        Backend(f"{name}{how}", colour, postgres(cls, **given), survives=True, keeps_history=False)
        for name, colour, cls in SHALLOW
        for how, given in (("", {}), ("-pool", POOL), ("-pipeline", {"pipeline": True}))
    ),
]


class Saver:
    """A saver with one interface for all colours."""

    def __init__(
        self, saver: BaseCheckpointSaver[Any], colour: Colour, *, keeps_history: bool = True
    ) -> None:
        self.raw = saver
        self.keeps_history = keeps_history
        self._colour = colour

    async def call(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Calls a method in the colour."""
        return await self.call_on(self.raw, name, *arguments, **options)

    async def call_on(self, saver: Any, name: str, *arguments: Any, **options: Any) -> Any:
        """Calls a method of another saver in the colour."""
        if self._colour == "async":
            return await getattr(saver, f"a{name}")(*arguments, **options)
        method = getattr(saver, name)
        if self._colour == "thread":
            return await asyncio.to_thread(method, *arguments, **options)
        return method(*arguments, **options)

    async def list(self, config: Any, **options: Any) -> list[Any]:
        """All that `list` gives."""
        if self._colour == "async":
            return [each async for each in self.raw.alist(config, **options)]
        if self._colour == "thread":
            return await asyncio.to_thread(lambda: [*self.raw.list(config, **options)])
        return [*self.raw.list(config, **options)]

    async def call_inner(self, name: str, plan: Any) -> Any:
        """Runs a plan in the colour, as the saver itself does: to "read" or to "write"."""
        if self._colour == "async":
            return await getattr(self.raw, f"_a{name}")(plan)
        method = getattr(self.raw, f"_{name}")
        return await asyncio.to_thread(method, plan) if self._colour == "thread" else method(plan)

    async def object_count(self, thread_id: str) -> int:
        """How many objects a thread has in the storage."""

        def count() -> Plan[int]:
            thread = yield ask.FindThread(thread_id)
            return len((yield ask.Numbers(thread.no, 0, 10**6)))

        return int(await self.call_inner("read", count))

    async def marked_count(self, thread_id: str) -> int:
        """How many objects the checkpoints and writes of a thread refer to."""

        def count() -> Plan[int]:
            thread = yield ask.FindThread(thread_id)
            rows, after = yield ask.Rows(thread.no, None, 1000)
            while after is not None:
                more, after = yield ask.Rows(thread.no, after, 1000)
                rows += more
            ranges = yield from marks(thread.no, nodes_in(rows), {})
            return sum(size for _, size in ranges)

        return int(await self.call_inner("read", count))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def method(*arguments: Any, **options: Any) -> Any:
            return await self.call(name, *arguments, **options)

        return method


@asynccontextmanager
async def opened(backend: Backend, path: Path, **options: Any) -> AsyncIterator[Saver]:
    """A saver on a path, closed at the end."""
    saver = backend.make(path, **options)
    if hasattr(saver, "__aenter__"):
        async with saver:
            await _set_up(saver)
            yield Saver(saver, backend.colour, keeps_history=backend.keeps_history)
    else:
        with saver:
            await _set_up(saver)
            yield Saver(saver, backend.colour, keeps_history=backend.keeps_history)


async def _set_up(saver: Any) -> None:
    """Makes the tables, where a saver has them."""
    if hasattr(saver, "setup"):
        done = saver.setup()
        if inspect.isawaitable(done):
            await done
