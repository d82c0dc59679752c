"""The rows of threads that this connection saw last, so that a commit need not ask for them again."""

from __future__ import annotations

import sqlite3

from threadkeep.checkpoint.requests import AddObjects, AddRows, FindThread, Request, ThreadRow

__all__ = ["ThreadCache"]

_MOST = 10_000


class ThreadCache:
    """Rows and heads of threads. True inside a write transaction that began with `begin`.

    SQLite tells whether another connection changed the file; what this one does passes through `note`.
    """

    def __init__(self) -> None:
        self._version: int | None = None
        self._rows: dict[str, ThreadRow] = {}
        self._names: dict[int, str] = {}
        self._heads: dict[tuple[int, str], str | None] = {}

    def begin(self, conn: sqlite3.Connection) -> None:
        """Forgets everything if the file was changed by others."""
        version = conn.execute("PRAGMA data_version").fetchone()[0]
        if version != self._version or len(self._rows) > _MOST or len(self._heads) > _MOST:
            self.clear()
            self._version = version

    def clear(self) -> None:
        """Forgets everything: a transaction was undone, or somebody used the connection."""
        self._rows.clear()
        self._names.clear()
        self._heads.clear()

    def find(self, ask: FindThread) -> ThreadRow | None:
        """The row, if it is known together with the head that was asked for."""
        row = self._rows.get(ask.thread_id)
        if row is None or ask.ns is None:
            return row
        key = (row.no, ask.ns)
        if key not in self._heads:
            return None
        return ThreadRow(row.no, row.epoch, row.grave, row.next, self._heads[key], ask.ns)

    def keep(self, thread_id: str, row: ThreadRow) -> None:
        """Remembers a row that was read or made."""
        self._rows[thread_id] = row
        self._names[row.no] = thread_id
        if row.head_ns is not None:
            self._heads[row.no, row.head_ns] = row.head

    def note(self, request: Request) -> None:
        """Follows a change of this connection; forgets everything for one that is not of a commit."""
        if isinstance(request, AddRows):
            for ns, id, _, _ in request.points:
                key = (request.no, ns)
                if key in self._heads and ((head := self._heads[key]) is None or id > head):
                    self._heads[key] = id
        elif isinstance(request, AddObjects):
            name = self._names.get(request.no)
            if name is not None:
                row = self._rows[name]
                self._rows[name] = row._replace(next=request.first + len(request.blobs))
        else:
            self.clear()
