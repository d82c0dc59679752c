"""Answers the requests of plans with SQL, on one connection. No logic beyond that; no threads, no loop."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from hashlib import blake2b
from json import dumps
from typing import Any, Literal, TypeVar

from threadkeep.checkpoint import requests as ask
from threadkeep.checkpoint.objects import NODE_TAG, Blob
from threadkeep.checkpoint.requests import Plan, PointRow, Request, StoredRow, ThreadRow, WritesRow, drive
from threadkeep.checkpoint.sqlite import sql
from threadkeep.checkpoint.sqlite.batch import Batch, ObjectRow
from threadkeep.checkpoint.sqlite.schema import migrate
from threadkeep.checkpoint.sqlite.threads import ThreadCache

__all__ = ["PAGE_SIZE", "File", "Synchronous"]

T = TypeVar("T")
Synchronous = Literal["OFF", "NORMAL", "FULL", "EXTRA"]
PAGE_SIZE = 4096
Job = tuple[bool, Callable[[], Plan[Any]]]
"""Whether a plan writes, and what makes it."""
_FEW = 4
"""Up to so many rows are asked for one by one: cheaper than a list in JSON."""

_CHANGES = frozenset({
    ask.AddObjects, ask.AddRows, ask.Copy, ask.DropObjects, ask.DropPoints, ask.DropThread, ask.SetWrites,
    ask.Touch,
})  # fmt: skip


class File:
    """A connection and the answers to requests. Used by one thread at a time."""

    def __init__(self, conn: sqlite3.Connection, synchronous: Synchronous, busy_timeout: float) -> None:
        self.conn = conn
        self._ready = False
        self._synchronous = synchronous
        self._busy_timeout = busy_timeout
        self._hash_key = b""
        self._threads = ThreadCache()
        self._writing = False
        self._answers: dict[type, Callable[[Any], Any]] = {
            ask.FindThread: self._find_thread, ask.AddThread: self._add_thread, ask.Head: self._head,
            ask.ReadPoint: self._read_point, ask.HasChild: self._has_child, ask.ReadWrites: self._read_writes,
            ask.AddRows: self._add_rows, ask.SetWrites: self._set_writes, ask.FindObjects: self._find_objects,
            ask.AddObjects: self._add_objects, ask.ReadObjects: self._read_objects, ask.Page: self._page,
            ask.Threads: self._all_threads, ask.Rows: self._some_rows, ask.Numbers: self._numbers,
            ask.DropPoints: self._drop_points, ask.DropObjects: self._drop_objects, ask.Touch: self._touch,
            ask.DropThread: self._drop_thread, ask.Copy: self._copy,
            ask.Stale: lambda it: self._rows(sql.STALE, it),
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
        self._use_wal()
        conn.execute(f"PRAGMA synchronous = {self._synchronous}")
        self._ready = True

    def _use_wal(self) -> None:
        """Changes the mode of a new file. SQLite does not wait where another connection does the same."""
        give_up = time.monotonic() + self._busy_timeout
        while True:
            try:
                self.conn.execute("PRAGMA journal_mode = WAL").fetchone()
                return
            except sqlite3.OperationalError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.002)

    def read(self, plan: Plan[T]) -> T:
        """Runs a plan that only reads; it sees the file at one moment."""
        return self._in_transaction(lambda: drive(plan, self._answer), writing=False)

    def write(self, plan: Plan[T]) -> T:
        """Runs a plan in a transaction of its own."""
        return self._in_transaction(lambda: drive(plan, self._answer))

    def run_all(self, jobs: Sequence[Job]) -> list[Any]:
        """Runs plans that came together: those that write in one transaction, then the readers in one.

        Gives the result, or the error, of each.
        """
        results: dict[int, Any] = {}
        for writing, run in ((True, self.write_all), (False, self.read_all)):
            places = [i for i, job in enumerate(jobs) if job[0] is writing]
            if places:
                results.update(zip(places, run([jobs[i][1] for i in places]), strict=True))
        return [results[i] for i in range(len(jobs))]

    def read_all(self, plans: Sequence[Callable[[], Plan[T]]]) -> list[T | BaseException]:
        """Runs plans that only read, all at one moment of the file; gives the result or the error of each."""

        def read(plan: Callable[[], Plan[T]]) -> T | BaseException:
            try:
                return drive(plan(), self._answer)
            except Exception as error:
                return error

        try:
            return self._in_transaction(lambda: [read(plan) for plan in plans], writing=False)
        except Exception as error:
            return [error] * len(plans)

    def write_all(self, plans: Sequence[Callable[[], Plan[T]]]) -> list[T | BaseException]:
        """Runs plans, which are made by these functions, in one transaction.

        A plan that fails is undone alone, and gives its error. An error of the transaction itself is given
        for all.
        """
        try:
            try:
                return self._in_transaction(lambda: self._together(plans))
            except Exception:
                return self._in_transaction(lambda: self._one_by_one(plans))
        except Exception as error:
            return [error] * len(plans)

    def _together(self, plans: Sequence[Callable[[], Plan[T]]]) -> list[T | BaseException]:
        """The quick way: inserts are made at the end. Raises if any plan fails or repeats writes."""
        batch = Batch(self.conn, self._answer, self._object_rows, self._threads)
        results: list[T | BaseException] = [drive(plan(), batch.answer) for plan in plans]
        batch.flush()
        return results

    def _one_by_one(self, plans: Sequence[Callable[[], Plan[T]]]) -> list[T | BaseException]:
        results: list[T | BaseException] = []
        execute = self.conn.execute
        for plan in plans:
            execute("SAVEPOINT one")
            try:
                results.append(drive(plan(), self._answer))
            except Exception as error:
                execute("ROLLBACK TO one")
                self._threads.clear()
                results.append(error)
            execute("RELEASE one")
        return results

    def forget(self) -> None:
        """To be called when the connection was used for other statements."""
        self._threads.clear()

    def vacuum(self) -> None:
        """Gives free pages back to the disk, and empties the write-ahead log."""
        self.setup()
        self.conn.execute("VACUUM")
        self.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def _in_transaction(self, work: Callable[[], T], *, writing: bool = True) -> T:
        self.setup()
        execute = self.conn.execute
        execute("BEGIN IMMEDIATE" if writing else "BEGIN")
        self._writing = writing
        try:
            if writing:
                self._threads.begin(self.conn)
            result = work()
            execute("COMMIT")
        except BaseException:
            self._threads.clear()
            if self.conn.in_transaction:
                execute("ROLLBACK")
            raise
        return result

    def _answer(self, request: Request) -> Any:
        kind = type(request)
        if kind in _CHANGES:
            self._threads.note(request)
        return self._answers[kind](request)

    def _rows(self, statement: str, parameters: Sequence[Any]) -> list[Any]:
        return self.conn.execute(statement, parameters).fetchall()

    def _find_thread(self, it: ask.FindThread) -> ThreadRow | None:
        if self._writing and (known := self._threads.find(it)) is not None:
            return known
        rows = self._rows(sql.FIND_THREAD, (it.ns, it.thread_id))
        if not rows:
            return None
        no, epoch, grave, next, head = rows[0]
        row = ThreadRow(no, epoch, grave, next, head, it.ns)
        if self._writing:
            self._threads.keep(it.thread_id, row)
        return row

    def _add_thread(self, it: ask.AddThread) -> ThreadRow:
        cursor = self.conn.execute(sql.ADD_THREAD, (it.thread_id, time.time()))
        row = ThreadRow(cursor.lastrowid or 0, 0, "", 1, None, "")
        self._threads.keep(it.thread_id, row)
        return row

    def _head(self, it: ask.Head) -> str | None:
        rows = self._rows(sql.HEAD, it)
        return rows[0][0] if rows else None

    def _read_point(self, it: ask.ReadPoint) -> PointRow | None:
        rows = self._rows(sql.NEWEST_POINT, it[:2]) if it.id is None else self._rows(sql.READ_POINT, it)
        return PointRow(*rows[0]) if rows else None

    def _has_child(self, it: ask.HasChild) -> str | None:
        rows = self._rows(sql.HAS_CHILD, it)
        return rows[0][0] if rows else None

    def _read_writes(self, it: ask.ReadWrites) -> list[WritesRow]:
        if it.task is None:
            return [WritesRow(*row) for row in self._rows(sql.READ_WRITES, it[:3])]
        return [WritesRow(*row) for row in self._rows(sql.READ_TASK, it)]

    def _add_rows(self, it: ask.AddRows) -> list[int]:
        execute = self.conn.execute
        for point in it.points:
            execute(sql.PUT_POINT, (it.no, *point))
        return [i for i, each in enumerate(it.writes) if not execute(sql.ADD_WRITES, (it.no, *each)).rowcount]

    def _set_writes(self, it: ask.SetWrites) -> None:
        self.conn.execute(sql.SET_WRITES, it)

    def _place(self, no: int, blob: Blob) -> int:
        tag, data = ("", blob) if isinstance(blob, bytes) else blob
        digest = blake2b(data, digest_size=4, key=self._hash_key, salt=tag.encode()[:16]).digest()
        return no << 32 | int.from_bytes(digest, "big")

    def _find_objects(self, it: ask.FindObjects) -> dict[Blob, int]:
        places = [self._place(it.no, blob) for blob in it.blobs]
        if len(places) <= _FEW:
            rows = [row for place in places for row in self._rows(sql.OBJECTS_AT, (place,))]
        else:
            rows = self._rows(sql.OBJECTS_AT_ALL, (dumps(places),))
        wanted = set(it.blobs)
        found = {}
        for key, tag, body in rows:
            blob = body if tag is None else (tag, body)
            if blob in wanted:
                found[blob] = key & 0xFFFFFFFF
        return found

    def _add_objects(self, it: ask.AddObjects) -> None:
        self.conn.executemany(sql.ADD_OBJECT, self._object_rows(it))

    def _object_rows(self, it: ask.AddObjects) -> list[ObjectRow]:
        rows: list[ObjectRow] = []
        for key, blob in enumerate(it.blobs, it.no << 32 | it.first):
            if isinstance(blob, bytes):
                rows.append((key, self._place(it.no, blob), None, blob))
            else:
                place = None if blob[0] == NODE_TAG else self._place(it.no, blob)
                rows.append((key, place, *blob))
        return rows

    def _read_objects(self, it: ask.ReadObjects) -> dict[int, Blob]:
        base = it.no << 32
        bounds = [(base | first, base | first + count - 1) for first, count in it.ranges]
        if len(bounds) <= _FEW:
            rows = [row for each in bounds for row in self._rows(sql.OBJECTS_BETWEEN, each)]
        else:
            rows = self._rows(sql.OBJECTS_BETWEEN_ALL, (dumps(bounds),))
        return {key & 0xFFFFFFFF: body if tag is None else (tag, body) for key, body, tag in rows}

    def _page(self, it: ask.Page) -> list[PointRow]:
        id, no, ns = it.after or (b"", 0, "")  # in SQLite every text is less than any bytes
        given = {"no": it.no, "ns": it.ns, "limit": it.limit, "after_id": id, "after_no": no, "after_ns": ns}
        rows = self.conn.execute(sql.PAGES[it.no is not None, it.ns is not None], given).fetchall()
        return [PointRow(*row) for row in rows]

    def _all_threads(self, it: ask.Threads) -> list[tuple[str, ThreadRow]]:
        return [(thread_id, ThreadRow(*row)) for thread_id, *row in self._rows(sql.THREADS, it[1:])]

    def _some_rows(self, it: ask.Rows) -> tuple[list[StoredRow], Any]:
        rows = self._rows(sql.ROWS, (it.no, *(it.after or ("", "", -1, "")), it.limit))
        found = [StoredRow(ns, id, task if kind else None, body) for ns, id, kind, task, body in rows]
        return found, rows[-1][:4] if len(rows) == it.limit else None

    def _numbers(self, it: ask.Numbers) -> list[int]:
        last = it.no << 32 | 0xFFFFFFFF
        return [
            key & 0xFFFFFFFF for (key,) in self._rows(sql.NUMBERS, (it.no << 32 | it.after, last, it.limit))
        ]

    def _drop_points(self, it: ask.DropPoints) -> None:
        self.conn.executemany(sql.DROP_POINT, [(it.no, ns, id) for ns, id in it.points])

    def _drop_objects(self, it: ask.DropObjects) -> None:
        gone = [(it.no << 32 | n, it.no << 32 | n + count - 1) for n, count in it.ranges]
        self.conn.executemany(sql.DROP_OBJECTS, gone)

    def _touch(self, it: ask.Touch) -> int:
        self.conn.execute(sql.SWEEP if it.sweeping else sql.TOUCH, it[:1])
        return int(self._rows(sql.EPOCH, it[:1])[0][0])

    def _drop_thread(self, it: ask.DropThread) -> None:
        self.conn.execute(sql.DROP_LOG, (it.no,))
        self.conn.execute(sql.DROP_OBJECTS, (it.no << 32, it.no << 32 | 0xFFFFFFFF))
        self.conn.execute(sql.BURY, (it.grave, it.no))

    def _copy(self, it: ask.Copy) -> None:
        self.conn.execute(sql.COPY_LOG, it._asdict())
        self.conn.execute(sql.COPY_OBJECTS, it._asdict())
