"""Threads in the memory of the process, for tests and short-lived programs."""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar

from threadkeep.checkpoint import requests as ask
from threadkeep.checkpoint.commits import Commit, OnConflict
from threadkeep.checkpoint.memo import Learned
from threadkeep.checkpoint.objects import NODE_TAG, Blob
from threadkeep.checkpoint.planned import PlannedSaver
from threadkeep.checkpoint.requests import (
    NewPoint,
    Plan,
    PointRow,
    Request,
    StoredRow,
    ThreadRow,
    WritesRow,
    drive,
)
from threadkeep.checkpoint.serde.base import SerializerProtocol

__all__ = ["InMemorySaver", "MemorySaver"]

T = TypeVar("T")


class InMemorySaver(PlannedSaver):
    """Checkpoints in memory, gone with the saver. Values are serialised, so later changes are not seen.

    May be used from many threads. Also a context manager, which does nothing.
    """

    blocking: ClassVar[bool] = False

    def __init__(self, *, serde: SerializerProtocol | None = None, on_conflict: OnConflict = "fork") -> None:
        super().__init__(serde=serde, on_conflict=on_conflict)
        self._memory = _Memory()

    def _read(self, plan: Callable[[], Plan[T]]) -> T:
        return self._memory.run(plan())

    async def _aread(self, plan: Callable[[], Plan[T]]) -> T:
        return self._memory.run(plan())

    def _write(self, plan: Callable[[], Plan[T]]) -> T:
        return self._memory.run(plan())

    async def _awrite(self, plan: Callable[[], Plan[T]]) -> T:
        return self._memory.run(plan())

    def _store(self, commit: Commit) -> list[Learned]:
        return self._memory.run(commit.plan())

    async def _astore(self, commit: Commit) -> list[Learned]:
        return self._memory.run(commit.plan())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


MemorySaver = InMemorySaver


class _Thread:
    """The rows of one thread."""

    def __init__(self, no: int, name: str) -> None:
        self.no = no
        self.name = name
        self.epoch = 0
        self.grave = ""
        self.clear()

    def clear(self) -> None:
        self.points: dict[str, dict[str, PointRow]] = {}
        self.order: dict[str, list[str]] = {}
        """Ids of each namespace, rising."""
        self.writes: dict[tuple[str, str], dict[str, bytes]] = {}
        self.objects: dict[int, Blob] = {}
        self.numbers: dict[Blob, int] = {}
        self.next = 1

    def row(self) -> ThreadRow:
        return ThreadRow(self.no, self.epoch, self.grave, self.next)


class _Memory:
    """Answers requests. What a failed plan did is undone."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._names: dict[str, _Thread] = {}
        self._threads: dict[int, _Thread] = {}
        self._undo: list[Callable[[], object]] = []
        self._answers: dict[type, Callable[[Any], Any]] = {
            ask.FindThread: self._find_thread, ask.AddThread: self._add_thread, ask.Head: self._head,
            ask.ReadPoint: self._read_point, ask.HasChild: self._has_child, ask.ReadWrites: self._read_writes,
            ask.AddRows: self._add_rows, ask.SetWrites: self._set_writes, ask.FindObjects: self._find_objects,
            ask.AddObjects: self._add_objects, ask.ReadObjects: self._read_objects, ask.Page: self._page,
            ask.Threads: self._all_threads, ask.Rows: self._rows, ask.Stale: self._stale,
            ask.Numbers: self._numbers, ask.DropPoints: self._drop_points,
            ask.DropObjects: self._drop_objects, ask.Touch: self._touch,
            ask.DropThread: self._drop_thread, ask.Copy: self._copy,
        }  # fmt: skip

    def run(self, plan: Plan[T]) -> T:
        with self._lock:
            try:
                return drive(plan, self._answer)
            except BaseException:
                for step in reversed(self._undo):
                    step()
                raise
            finally:
                self._undo.clear()

    def _answer(self, request: Request) -> Any:
        return self._answers[type(request)](request)

    def _find_thread(self, it: ask.FindThread) -> ThreadRow | None:
        thread = self._names.get(it.thread_id)
        if thread is None:
            return None
        order = thread.order.get(it.ns) if it.ns is not None else None
        return ThreadRow(
            thread.no, thread.epoch, thread.grave, thread.next, order[-1] if order else None, it.ns
        )

    def _add_thread(self, it: ask.AddThread) -> ThreadRow:
        thread = _Thread(len(self._threads) + 1, it.thread_id)
        self._names[it.thread_id] = self._threads[thread.no] = thread
        self._undo.append(lambda: (self._names.pop(it.thread_id), self._threads.pop(thread.no)))
        return thread.row()

    def _head(self, it: ask.Head) -> str | None:
        order = self._threads[it.no].order.get(it.ns)
        return order[-1] if order else None

    def _read_point(self, it: ask.ReadPoint) -> PointRow | None:
        thread = self._threads[it.no]
        order = thread.order.get(it.ns)
        if not order:
            return None
        return thread.points[it.ns].get(it.id or order[-1])

    def _has_child(self, it: ask.HasChild) -> str | None:
        rows = self._threads[it.no].points.get(it.ns, {})
        return next((row.id for row in rows.values() if row.parent == it.id), None)

    def _read_writes(self, it: ask.ReadWrites) -> list[WritesRow]:
        tasks = self._threads[it.no].writes.get((it.ns, it.id), {})
        return [WritesRow(task, body) for task, body in tasks.items() if it.task in (None, task)]

    def _add_rows(self, it: ask.AddRows) -> list[int]:
        thread = self._threads[it.no]
        for point in it.points:
            self._put_point(thread, point)
        there = []
        for i, (ns, id, task, body) in enumerate(it.writes):
            tasks = thread.writes.setdefault((ns, id), {})
            if task in tasks:
                there.append(i)
            else:
                tasks[task] = body
                self._undo.append(partial(tasks.pop, task))
        return there

    def _put_point(self, thread: _Thread, point: NewPoint) -> None:
        ns, id, parent, body = point
        rows = thread.points.get(ns)
        if rows is None:
            rows, thread.order[ns] = thread.points.setdefault(ns, {}), []
        order = thread.order[ns]
        old = rows.get(id)
        if old is not None:
            self._undo.append(partial(rows.__setitem__, id, old))
        else:
            if not order or id > order[-1]:
                order.append(id)
            else:
                insort(order, id)
            self._undo += (partial(rows.pop, id), partial(order.remove, id))
        rows[id] = PointRow(thread.no, thread.name, ns, id, parent, body)

    def _set_writes(self, it: ask.SetWrites) -> None:
        tasks = self._threads[it.no].writes[it.ns, it.id]
        old = tasks[it.task]
        tasks[it.task] = it.body
        self._undo.append(lambda: tasks.update({it.task: old}))

    def _find_objects(self, it: ask.FindObjects) -> dict[Blob, int]:
        numbers = self._threads[it.no].numbers
        return {blob: numbers[blob] for blob in it.blobs if blob in numbers}

    def _add_objects(self, it: ask.AddObjects) -> None:
        thread = self._threads[it.no]
        for n, blob in enumerate(it.blobs, it.first):
            thread.objects[n] = blob
            thread.numbers[blob] = n
        thread.next += len(it.blobs)

        def undo() -> None:
            thread.next -= len(it.blobs)
            for n, blob in enumerate(it.blobs, it.first):
                del thread.objects[n], thread.numbers[blob]

        self._undo.append(undo)

    def _read_objects(self, it: ask.ReadObjects) -> Mapping[int, Blob]:
        return self._threads[it.no].objects

    def _page(self, it: ask.Page) -> list[PointRow]:
        if it.no is not None and it.ns is not None:
            thread = self._threads[it.no]
            order = thread.order.get(it.ns, [])
            end = len(order) if it.after is None else bisect_left(order, it.after[0])
            rows = thread.points.get(it.ns, {})
            return [rows[id] for id in order[max(0, end - it.limit) : end][::-1]]
        threads = self._threads.values() if it.no is None else [self._threads[it.no]]
        keys = [
            (row.id, row.no, row.ns)
            for thread in threads
            for ns, rows in thread.points.items()
            if it.ns in (None, ns)
            for row in rows.values()
        ]
        if it.after is not None:
            keys = [key for key in keys if key < it.after]
        keys.sort(reverse=True)
        return [self._threads[no].points[ns][id] for id, no, ns in keys[: it.limit]]

    def _all_threads(self, it: ask.Threads) -> list[tuple[str, ThreadRow]]:
        numbers = range(it.after + 1, len(self._threads) + 1)[: it.limit]
        return [(self._threads[no].name, self._threads[no].row()) for no in numbers]

    def _rows(self, it: ask.Rows) -> tuple[list[StoredRow], None]:
        """All at once: they are in memory anyway."""
        thread = self._threads[it.no]
        found = [
            StoredRow(ns, id, None, thread.points[ns][id].body)
            for ns in thread.points
            for id in thread.order[ns]
        ]
        for (ns, id), tasks in thread.writes.items():
            found += [StoredRow(ns, id, task, body) for task, body in tasks.items()]
        return found, None

    def _stale(self, it: ask.Stale) -> list[tuple[str, str]]:
        order = self._threads[it.no].order
        return [(ns, id) for ns, ids in order.items() for id in ids[:-1]][: it.limit]

    def _numbers(self, it: ask.Numbers) -> list[int]:
        return sorted(n for n in self._threads[it.no].objects if n > it.after)[: it.limit]

    def _drop_points(self, it: ask.DropPoints) -> None:
        self._keep_copy(it.no)
        thread = self._threads[it.no]
        for ns, id in it.points:
            del thread.points[ns][id]
            thread.writes.pop((ns, id), None)
        thread.order = {ns: sorted(rows) for ns, rows in thread.points.items()}

    def _drop_objects(self, it: ask.DropObjects) -> None:
        self._keep_copy(it.no)
        thread = self._threads[it.no]
        gone = {n for first, count in it.ranges for n in range(first, first + count)}
        thread.objects = {n: blob for n, blob in thread.objects.items() if n not in gone}
        thread.numbers = {blob: n for n, blob in thread.objects.items() if blob[0] != NODE_TAG}

    def _touch(self, it: ask.Touch) -> int:
        thread = self._threads[it.no]
        self._undo.append(partial(setattr, thread, "epoch", thread.epoch))
        thread.epoch = (thread.epoch + 1) | 1 if it.sweeping else (thread.epoch | 1) + 1
        return thread.epoch

    def _drop_thread(self, it: ask.DropThread) -> None:
        self._keep_copy(it.no)
        thread = self._threads[it.no]
        thread.clear()
        thread.epoch = (thread.epoch | 1) + 1
        thread.grave = it.grave

    def _copy(self, it: ask.Copy) -> None:
        self._keep_copy(it.target)
        source, target = self._threads[it.source], self._threads[it.target]
        target.points = {
            ns: {id: row._replace(no=target.no, thread_id=target.name) for id, row in rows.items()}
            for ns, rows in source.points.items()
        }
        target.order = {ns: order.copy() for ns, order in source.order.items()}
        target.writes = {key: tasks.copy() for key, tasks in source.writes.items()}
        target.objects, target.numbers = source.objects.copy(), source.numbers.copy()
        target.next = source.next

    def _keep_copy(self, no: int) -> None:
        thread = self._threads[no]
        rows = {
            **thread.__dict__,
            "points": {ns: rows.copy() for ns, rows in thread.points.items()},
            "writes": {key: tasks.copy() for key, tasks in thread.writes.items()},
        }
        self._undo.append(lambda: thread.__dict__.update(rows))
