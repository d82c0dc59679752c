"""The saver for asyncio. The connection lives in aiosqlite's thread; a plan, or many, is one hop there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

import aiosqlite

from threadkeep.checkpoint.commits import Commit, OnConflict
from threadkeep.checkpoint.group import AsyncGroup
from threadkeep.checkpoint.memo import Learned
from threadkeep.checkpoint.planned import PlannedSaver
from threadkeep.checkpoint.requests import Plan
from threadkeep.checkpoint.serde.base import SerializerProtocol
from threadkeep.checkpoint.sqlite.file import File, Job, Synchronous
from threadkeep.loops import from_thread

__all__ = ["AsyncSqliteSaver"]

T = TypeVar("T")


class AsyncSqliteSaver(PlannedSaver):
    """Checkpoints in an SQLite file, for the tasks of one event loop. Many processes may use the file.

    Options as of `SqliteSaver`. The connection belongs to the saver from now on. The sync methods work from
    other threads while the loop runs; on the loop's own thread they raise, since they would wait for
    themselves.
    """

    def __init__(
        self,
        conn: aiosqlite.Connection,
        *,
        serde: SerializerProtocol | None = None,
        on_conflict: OnConflict = "fork",
        synchronous: Synchronous = "NORMAL",
        busy_timeout: float = 30.0,
    ) -> None:
        super().__init__(serde=serde, on_conflict=on_conflict)
        self.conn = conn
        self._worker = _Worker(conn, synchronous, busy_timeout)

    @classmethod
    def from_conn_string(
        cls,
        conn_string: str | Path,
        *,
        serde: SerializerProtocol | None = None,
        on_conflict: OnConflict = "fork",
        synchronous: Synchronous = "NORMAL",
        busy_timeout: float = 30.0,
    ) -> Self:
        """A saver on a file (or ":memory:"), opened when first used. For `async with`, or `close` it."""
        conn = aiosqlite.connect(conn_string, isolation_level=None, cached_statements=256)
        # A saver that nobody closes must not keep the process alive: all that was promised is committed.
        conn._thread.daemon = True
        return cls(
            conn, serde=serde, on_conflict=on_conflict, synchronous=synchronous, busy_timeout=busy_timeout
        )

    async def setup(self) -> None:
        """Creates or upgrades the tables. Called by itself at the first use."""
        await self._worker.do(File.setup)

    async def vacuum(self) -> None:
        """Gives the space of deleted threads and checkpoints back to the disk. Rewrites the file."""
        await self._worker.do(File.vacuum)

    async def close(self) -> None:
        """Closes the connection. A closed saver cannot be used again."""
        await self.conn.close()

    async def __aenter__(self) -> Self:
        await self._worker.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _read(self, plan: Callable[[], Plan[T]]) -> T:
        return self._worker.from_thread(self._worker.run(False, plan))

    async def _aread(self, plan: Callable[[], Plan[T]]) -> T:
        return await self._worker.run(False, plan)

    def _write(self, plan: Callable[[], Plan[T]]) -> T:
        return self._worker.from_thread(self._worker.run(True, plan))

    async def _awrite(self, plan: Callable[[], Plan[T]]) -> T:
        return await self._worker.run(True, plan)

    def _store(self, commit: Commit) -> list[Learned]:
        return self._worker.from_thread(self._worker.run(True, commit.plan))

    async def _astore(self, commit: Commit) -> list[Learned]:
        return await self._worker.run(True, commit.plan)


class _Worker:
    """The connection, its file, and the plans that wait. All but `from_thread` is called on one loop."""

    def __init__(self, conn: aiosqlite.Connection, synchronous: Synchronous, busy_timeout: float) -> None:
        self._conn = conn
        self._options = (synchronous, busy_timeout)
        self._file: File | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening = asyncio.Lock()
        self._group: AsyncGroup[Job, Any] = AsyncGroup(partial(self.do, File.run_all), runs=1)
        with suppress(RuntimeError):  # made outside a loop, it belongs to the first that uses it
            self._loop = asyncio.get_running_loop()

    async def open(self) -> None:
        """Binds the saver to the running loop, and connects if that was not done."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._loop is not None and not self._loop.is_closed():
                raise RuntimeError(
                    "An AsyncSqliteSaver belongs to one event loop, and its loop is still open. Make a saver "
                    "for each loop; they may share the file."
                )
            self._loop, self._opening = loop, asyncio.Lock()
        async with self._opening:
            if self._file is None:
                try:
                    self._conn.in_transaction  # noqa: B018 (raises if not connected)
                except ValueError:
                    await self._conn
                self._file = File(self._conn._conn, *self._options)

    async def do(self, action: Callable[..., T], *arguments: Any) -> T:
        """Runs `action(file, …)` in the connection's thread."""
        if self._file is None or self._loop is not asyncio.get_running_loop():
            await self.open()
        # aiosqlite has no public way to run a function in its thread; a test holds this one.
        execute: Any = self._conn._execute
        result: T = await execute(action, self._file, *arguments)
        return result

    async def run(self, writing: bool, plan: Callable[[], Plan[T]]) -> T:
        """Runs a plan, in one hop with those of other tasks that wait."""
        if self._file is None or self._loop is not asyncio.get_running_loop():
            await self.open()
        result: T = await self._group.run((writing, plan))
        return result

    def from_thread(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine of the loop, for another thread."""
        return from_thread(self._loop, work, "AsyncSqliteSaver")
