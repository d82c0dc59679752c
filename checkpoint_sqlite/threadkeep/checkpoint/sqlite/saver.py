"""The saver for threads. One connection; commits of many threads share transactions."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypeVar

from threadkeep.checkpoint.commits import Commit, OnConflict
from threadkeep.checkpoint.group import Group
from threadkeep.checkpoint.memo import Learned
from threadkeep.checkpoint.planned import PlannedSaver
from threadkeep.checkpoint.requests import Plan
from threadkeep.checkpoint.serde.base import SerializerProtocol
from threadkeep.checkpoint.sqlite.file import File, Synchronous

__all__ = ["SqliteSaver"]

T = TypeVar("T")


class SqliteSaver(PlannedSaver):
    """Checkpoints in an SQLite file. May be used from many threads, and the file from many processes.

    The connection must allow other threads (`check_same_thread=False`) and belongs to the saver from now on.
    It is put into WAL mode; `synchronous` is SQLite's: "NORMAL" survives a crash of the process, and keeps
    the file whole when the power fails, though the last commits may be lost; "FULL" loses none.
    `busy_timeout`: seconds to wait for another process that writes. The async methods run in a worker thread.
    """

    def __init__(
        self,
        conn: sqlite3.Connection,
        *,
        serde: SerializerProtocol | None = None,
        on_conflict: OnConflict = "fork",
        synchronous: Synchronous = "NORMAL",
        busy_timeout: float = 30.0,
    ) -> None:
        super().__init__(serde=serde, on_conflict=on_conflict)
        self.conn = conn
        self._file = File(conn, synchronous, busy_timeout)
        self._lock = threading.RLock()
        self._group = Group(self._store_all)

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
        """A saver on a file (or ":memory:"). Use it in `with`, or `close` it."""
        conn = sqlite3.connect(
            conn_string, check_same_thread=False, isolation_level=None, cached_statements=256
        )
        return cls(
            conn, serde=serde, on_conflict=on_conflict, synchronous=synchronous, busy_timeout=busy_timeout
        )

    def setup(self) -> None:
        """Creates or upgrades the tables. Called by itself at the first use."""
        with self._lock:
            self._file.setup()

    def vacuum(self) -> None:
        """Gives the space of deleted threads and checkpoints back to the disk. Rewrites the file."""
        with self._lock:
            self._file.vacuum()

    def close(self) -> None:
        """Closes the connection. A closed saver cannot be used again."""
        with self._lock:
            self.conn.close()

    @contextmanager
    def cursor(self, transaction: bool = True) -> Iterator[sqlite3.Cursor]:
        """A cursor on the file, for statements of your own; committed at the end if `transaction`."""
        with self._lock:
            self._file.setup()
            self._file.forget()
            cursor = self.conn.cursor()
            try:
                if transaction:
                    cursor.execute("BEGIN IMMEDIATE")
                yield cursor
                if transaction:
                    cursor.execute("COMMIT")
            finally:
                if transaction and self.conn.in_transaction:
                    cursor.execute("ROLLBACK")
                cursor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, plan: Callable[[], Plan[T]]) -> T:
        with self._lock:
            return self._file.read(plan())

    async def _aread(self, plan: Callable[[], Plan[T]]) -> T:
        return await asyncio.to_thread(self._read, plan)

    def _write(self, plan: Callable[[], Plan[T]]) -> T:
        with self._lock:
            return self._file.write(plan())

    async def _awrite(self, plan: Callable[[], Plan[T]]) -> T:
        return await asyncio.to_thread(self._write, plan)

    def _store(self, commit: Commit) -> list[Learned]:
        return self._group.run(commit.plan)

    async def _astore(self, commit: Commit) -> list[Learned]:
        return await asyncio.to_thread(self._store, commit)

    def _store_all(
        self, plans: list[Callable[[], Plan[list[Learned]]]]
    ) -> list[list[Learned] | BaseException]:
        with self._lock:
            return self._file.write_all(plans)
