"""The inserts of several plans, made together: fewer calls of SQLite, and each lets other threads cut in."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from threadkeep.checkpoint.requests import AddObjects, AddRows, FindThread, Request
from threadkeep.checkpoint.sqlite import sql
from threadkeep.checkpoint.sqlite.threads import ThreadCache

__all__ = ["Batch", "ObjectRow"]

ObjectRow = tuple[int, int | None, str | None, bytes]


class RepeatedWrites(Exception):
    """Some task has writes already; its plan must be told, so the plans cannot run in this way."""


class Batch:
    """Answers requests; keeps back the rows to insert until a plan asks about their thread, or `flush`."""

    def __init__(
        self,
        conn: sqlite3.Connection,
        answer: Callable[[Request], Any],
        object_rows: Callable[[AddObjects], list[ObjectRow]],
        cache: ThreadCache,
    ) -> None:
        self._conn = conn
        self._answer = answer
        self._object_rows = object_rows
        self._cache = cache
        self._threads: set[int] = set()
        self._points: list[tuple[Any, ...]] = []
        self._writes: list[tuple[Any, ...]] = []
        self._objects: list[ObjectRow] = []

    def answer(self, request: Request) -> Any:
        """The answer to a request, as if the rows kept back were stored."""
        if isinstance(request, AddRows):
            self._threads.add(request.no)
            self._cache.note(request)
            self._points += [(request.no, *point) for point in request.points]
            self._writes += [(request.no, *writes) for writes in request.writes]
            return []
        if isinstance(request, AddObjects):
            self._objects += self._object_rows(request)
            self._cache.note(request)
            return None
        if self._threads and self._asks_about_them(request):
            self.flush()
        return self._answer(request)

    def _asks_about_them(self, request: Request) -> bool:
        """Whether the answer must count with the rows kept back. A cached row does."""
        if isinstance(request, FindThread):
            return self._cache.find(request) is None
        return getattr(request, "no", None) in self._threads

    def flush(self) -> None:
        """Inserts the rows kept back."""
        if self._points:
            self._conn.executemany(sql.PUT_POINT, self._points)
        if self._writes:
            cursor = self._conn.executemany(sql.ADD_WRITES, self._writes)
            if cursor.rowcount != len(self._writes):
                raise RepeatedWrites
        if self._objects:
            self._conn.executemany(sql.ADD_OBJECT, self._objects)
        self._points, self._writes, self._objects = [], [], []
        self._threads.clear()
