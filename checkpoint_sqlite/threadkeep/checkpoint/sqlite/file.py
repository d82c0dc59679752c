"""Answers the requests of plans with SQL, on one connection. No logic beyond that; no threads, no loop."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from hashlib import blake2b
from json import dumps
from typing import Any, Literal, TypeVar

from threadkeep.checkpoint.objects import NODE_TAG, Blob
from threadkeep.checkpoint.requests import (
    AddObjects,
    AddRows,
    AddThread,
    AllRows,
    Copy,
    DropObjects,
    DropPoints,
    DropThread,
    FindObjects,
    FindThread,
    HasChild,
    Head,
    Page,
    Plan,
    PointRow,
    ReadObjects,
    ReadPoint,
    ReadWrites,
    Request,
    SetWrites,
    ThreadNumbers,
    ThreadRow,
    Touch,
    WritesRow,
    drive,
)
from threadkeep.checkpoint.sqlite import sql
from threadkeep.checkpoint.sqlite.schema import migrate

__all__ = ["PAGE_SIZE", "File", "Synchronous"]

T = TypeVar("T")
Synchronous = Literal["OFF", "NORMAL", "FULL", "EXTRA"]
PAGE_SIZE = 4096
_FEW = 4
"""Up to so many rows are asked for one by one: cheaper than a list in JSON."""


class File:
    """A connection and the answers to requests. Used by one thread at a time."""

    def __init__(self, conn: sqlite3.Connection, synchronous: Synchronous, busy_timeout: float) -> None:
        self.conn = conn
        self._ready = False
        self._synchronous = synchronous
        self._busy_timeout = busy_timeout
        self._hash_key = b""
        self._answers: dict[type, Callable[[Any], Any]] = {
            FindThread: self._find_thread, AddThread: self._add_thread, Head: self._head,
            ReadPoint: self._read_point, HasChild: self._has_child, ReadWrites: self._read_writes,
            AddRows: self._add_rows, SetWrites: self._set_writes, FindObjects: self._find_objects,
            AddObjects: self._add_objects, ReadObjects: self._read_objects, Page: self._page,
            ThreadNumbers: self._thread_numbers, AllRows: self._all_rows, DropPoints: self._drop_points,
            DropObjects: self._drop_objects, Touch: self._touch, DropThread: self._drop_thread,
            Copy: self._copy,
        }  # fmt: skip

    def setup(self) -> None:
        """Prepares connection and file, once."""
        if self._ready:
            return
        if self._synchronous not in ("OFF", "NORMAL", "FULL", "EXTRA"):
            raise ValueError(f'synchronous is "OFF", "NORMAL", "FULL" or "EXTRA", not {self._synchronous!r}.')
        conn = self.conn
        conn.execute(f"PRAGMA busy_timeout = {int(self._busy_timeout * 1000):d}")
        conn.execute(f"PRAGMA page_size = {PAGE_SIZE:d}")
        self._hash_key = migrate(conn)
        conn.execute("PRAGMA journal_mode = WAL").fetchone()
        conn.execute(f"PRAGMA synchronous = {self._synchronous}")
        self._ready = True

    def read(self, plan: Plan[T]) -> T:
        """Runs a plan that only reads; it sees the file at one moment."""
        return self._transaction("BEGIN", plan)

    def write(self, plan: Plan[T]) -> T:
        """Runs a plan in a transaction of its own."""
        return self._transaction("BEGIN IMMEDIATE", plan)

    def write_all(self, plans: Sequence[Plan[T]]) -> list[T | BaseException]:
        """Runs several plans in one transaction; a plan that fails is undone alone, and gives its error."""
        if len(plans) == 1:
            try:
                return [self.write(plans[0])]
            except Exception as error:
                return [error]
        results: list[T | BaseException] = []
        self.setup()
        execute = self.conn.execute
        try:
            execute("BEGIN IMMEDIATE")
            for plan in plans:
                execute("SAVEPOINT one")
                try:
                    results.append(drive(plan, self._answer))
                except Exception as error:
                    execute("ROLLBACK TO one")
                    results.append(error)
                execute("RELEASE one")
            execute("COMMIT")
        except BaseException as error:
            if self.conn.in_transaction:
                execute("ROLLBACK")
            if not isinstance(error, Exception):
                raise
            return [error] * len(plans)
        return results

    def vacuum(self) -> None:
        """Gives free pages back to the disk, and empties the write-ahead log."""
        self.setup()
        self.conn.execute("VACUUM")
        self.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def _transaction(self, begin: str, plan: Plan[T]) -> T:
        self.setup()
        execute = self.conn.execute
        execute(begin)
        try:
            result = drive(plan, self._answer)
            execute("COMMIT")
        except BaseException:
            if self.conn.in_transaction:
                execute("ROLLBACK")
            raise
        return result

    def _answer(self, request: Request) -> Any:
        return self._answers[type(request)](request)

    def _rows(self, statement: str, parameters: Sequence[Any]) -> list[Any]:
        return self.conn.execute(statement, parameters).fetchall()

    def _find_thread(self, ask: FindThread) -> ThreadRow | None:
        rows = self._rows(sql.FIND_THREAD, ask)
        return ThreadRow(*rows[0]) if rows else None

    def _add_thread(self, ask: AddThread) -> ThreadRow:
        cursor = self.conn.execute(sql.ADD_THREAD, (ask.thread_id, time.time()))
        return ThreadRow(cursor.lastrowid or 0, 0, "", 1)

    def _head(self, ask: Head) -> str | None:
        rows = self._rows(sql.HEAD, ask)
        return rows[0][0] if rows else None

    def _read_point(self, ask: ReadPoint) -> PointRow | None:
        rows = self._rows(sql.NEWEST_POINT, ask[:2]) if ask.id is None else self._rows(sql.READ_POINT, ask)
        return PointRow(*rows[0]) if rows else None

    def _has_child(self, ask: HasChild) -> str | None:
        rows = self._rows(sql.HAS_CHILD, ask)
        return rows[0][0] if rows else None

    def _read_writes(self, ask: ReadWrites) -> list[WritesRow]:
        if ask.task is None:
            return [WritesRow(*row) for row in self._rows(sql.READ_WRITES, ask[:3])]
        return [WritesRow(*row) for row in self._rows(sql.READ_TASK, ask)]

    def _add_rows(self, ask: AddRows) -> list[int]:
        execute = self.conn.execute
        for point in ask.points:
            execute(sql.PUT_POINT, (ask.no, *point))
        return [
            i for i, each in enumerate(ask.writes) if not execute(sql.ADD_WRITES, (ask.no, *each)).rowcount
        ]

    def _set_writes(self, ask: SetWrites) -> None:
        self.conn.execute(sql.SET_WRITES, ask)

    def _place(self, no: int, blob: Blob) -> int:
        tag, data = ("", blob) if isinstance(blob, bytes) else blob
        digest = blake2b(data, digest_size=4, key=self._hash_key, salt=tag.encode()[:16]).digest()
        return no << 32 | int.from_bytes(digest, "big")

    def _find_objects(self, ask: FindObjects) -> dict[Blob, int]:
        places = [self._place(ask.no, blob) for blob in ask.blobs]
        if len(places) <= _FEW:
            rows = [row for place in places for row in self._rows(sql.OBJECTS_AT, (place,))]
        else:
            rows = self._rows(sql.OBJECTS_AT_ALL, (dumps(places),))
        wanted = set(ask.blobs)
        found = {}
        for key, tag, body in rows:
            blob = body if tag is None else (tag, body)
            if blob in wanted:
                found[blob] = key & 0xFFFFFFFF
        return found

    def _add_objects(self, ask: AddObjects) -> None:
        rows: list[tuple[int, int | None, str | None, bytes]] = []
        for key, blob in enumerate(ask.blobs, ask.no << 32 | ask.first):
            if isinstance(blob, bytes):
                rows.append((key, self._place(ask.no, blob), None, blob))
            else:
                place = None if blob[0] == NODE_TAG else self._place(ask.no, blob)
                rows.append((key, place, *blob))
        self.conn.executemany(sql.ADD_OBJECT, rows)

    def _read_objects(self, ask: ReadObjects) -> dict[int, Blob]:
        base = ask.no << 32
        bounds = [(base | first, base | first + count - 1) for first, count in ask.ranges]
        if len(bounds) <= _FEW:
            rows = [row for each in bounds for row in self._rows(sql.OBJECTS_BETWEEN, each)]
        else:
            rows = self._rows(sql.OBJECTS_BETWEEN_ALL, (dumps(bounds),))
        return {key & 0xFFFFFFFF: body if tag is None else (tag, body) for key, body, tag in rows}

    def _page(self, ask: Page) -> list[PointRow]:
        id, no, ns = ask.after or ("", 0, "")
        known = (ask.no is not None, ask.ns is not None)
        statement = sql.PAGES[known]
        given = {"no": ask.no, "ns": ask.ns, "first": ask.after is None, "limit": ask.limit}
        rows = self.conn.execute(statement, {**given, "after_id": id, "after_no": no, "after_ns": ns})
        return [PointRow(*row) for row in rows.fetchall()]

    def _thread_numbers(self, ask: ThreadNumbers) -> list[tuple[str, ThreadRow]]:
        return [(thread_id, ThreadRow(*row)) for thread_id, *row in self._rows(sql.THREADS, ())]

    def _all_rows(self, ask: AllRows) -> tuple[list[PointRow], list[bytes]]:
        points = [PointRow(*row) for row in self._rows(sql.ALL_POINTS, ask)]
        return points, [row[0] for row in self._rows(sql.ALL_WRITES, ask)]

    def _drop_points(self, ask: DropPoints) -> None:
        self.conn.executemany(sql.DROP_POINT, [(ask.no, ns, id) for ns, id in ask.points])

    def _drop_objects(self, ask: DropObjects) -> None:
        end = ask.no << 32
        gaps = []
        for first, count in ask.but:
            gaps.append((end, (ask.no << 32 | first) - 1))
            end = ask.no << 32 | first + count
        gaps.append((end, ask.no << 32 | 0xFFFFFFFF))
        self.conn.executemany(sql.DROP_OBJECTS, gaps)

    def _touch(self, ask: Touch) -> None:
        self.conn.execute(sql.TOUCH, ask)

    def _drop_thread(self, ask: DropThread) -> None:
        self.conn.execute(sql.DROP_LOG, (ask.no,))
        self.conn.execute(sql.DROP_OBJECTS, (ask.no << 32, ask.no << 32 | 0xFFFFFFFF))
        self.conn.execute(sql.BURY, (ask.grave, ask.no))

    def _copy(self, ask: Copy) -> None:
        self.conn.execute(sql.COPY_LOG, ask._asdict())
        self.conn.execute(sql.COPY_OBJECTS, ask._asdict())
