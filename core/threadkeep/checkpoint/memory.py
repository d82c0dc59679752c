"""Threads in the memory of the process, for tests and short-lived programs."""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar

from threadkeep.checkpoint.commits import Commit, OnConflict
from threadkeep.checkpoint.memo import Learned
from threadkeep.checkpoint.objects import NODE_TAG, Blob
from threadkeep.checkpoint.planned import PlannedSaver
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
    NewPoint,
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

    def _read(self, plan: Plan[T]) -> T:
        return self._memory.run(plan)

    async def _aread(self, plan: Plan[T]) -> T:
        return self._memory.run(plan)

    def _write(self, plan: Plan[T]) -> T:
        return self._memory.run(plan)

    async def _awrite(self, plan: Plan[T]) -> T:
        return self._memory.run(plan)

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
            FindThread: self._find_thread, AddThread: self._add_thread, Head: self._head,
            ReadPoint: self._read_point, HasChild: self._has_child, ReadWrites: self._read_writes,
            AddRows: self._add_rows, SetWrites: self._set_writes, FindObjects: self._find_objects,
            AddObjects: self._add_objects, ReadObjects: self._read_objects, Page: self._page,
            ThreadNumbers: self._thread_numbers, AllRows: self._all_rows, DropPoints: self._drop_points,
            DropObjects: self._drop_objects, Touch: self._touch, DropThread: self._drop_thread,
            Copy: self._copy,
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

    def _find_thread(self, ask: FindThread) -> ThreadRow | None:
        thread = self._names.get(ask.thread_id)
        if thread is None:
            return None
        order = thread.order.get(ask.ns) if ask.ns is not None else None
        return ThreadRow(
            thread.no, thread.epoch, thread.grave, thread.next, order[-1] if order else None, ask.ns
        )

    def _add_thread(self, ask: AddThread) -> ThreadRow:
        thread = _Thread(len(self._threads) + 1, ask.thread_id)
        self._names[ask.thread_id] = self._threads[thread.no] = thread
        self._undo.append(lambda: (self._names.pop(ask.thread_id), self._threads.pop(thread.no)))
        return thread.row()

    def _head(self, ask: Head) -> str | None:
        order = self._threads[ask.no].order.get(ask.ns)
        return order[-1] if order else None

    def _read_point(self, ask: ReadPoint) -> PointRow | None:
        thread = self._threads[ask.no]
        order = thread.order.get(ask.ns)
        if not order:
            return None
        return thread.points[ask.ns].get(ask.id or order[-1])

    def _has_child(self, ask: HasChild) -> str | None:
        rows = self._threads[ask.no].points.get(ask.ns, {})
        return next((row.id for row in rows.values() if row.parent == ask.id), None)

    def _read_writes(self, ask: ReadWrites) -> list[WritesRow]:
        tasks = self._threads[ask.no].writes.get((ask.ns, ask.id), {})
        return [WritesRow(task, body) for task, body in tasks.items() if ask.task in (None, task)]

    def _add_rows(self, ask: AddRows) -> list[int]:
        thread = self._threads[ask.no]
        for point in ask.points:
            self._put_point(thread, point)
        there = []
        for i, (ns, id, task, body) in enumerate(ask.writes):
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

    def _set_writes(self, ask: SetWrites) -> None:
        tasks = self._threads[ask.no].writes[ask.ns, ask.id]
        old = tasks[ask.task]
        tasks[ask.task] = ask.body
        self._undo.append(lambda: tasks.update({ask.task: old}))

    def _find_objects(self, ask: FindObjects) -> dict[Blob, int]:
        numbers = self._threads[ask.no].numbers
        return {blob: numbers[blob] for blob in ask.blobs if blob in numbers}

    def _add_objects(self, ask: AddObjects) -> None:
        thread = self._threads[ask.no]
        for n, blob in enumerate(ask.blobs, ask.first):
            thread.objects[n] = blob
            thread.numbers[blob] = n
        thread.next += len(ask.blobs)

        def undo() -> None:
            thread.next -= len(ask.blobs)
            for n, blob in enumerate(ask.blobs, ask.first):
                del thread.objects[n], thread.numbers[blob]

        self._undo.append(undo)

    def _read_objects(self, ask: ReadObjects) -> Mapping[int, Blob]:
        return self._threads[ask.no].objects

    def _page(self, ask: Page) -> list[PointRow]:
        if ask.no is not None and ask.ns is not None:
            thread = self._threads[ask.no]
            order = thread.order.get(ask.ns, [])
            end = len(order) if ask.after is None else bisect_left(order, ask.after[0])
            rows = thread.points.get(ask.ns, {})
            return [rows[id] for id in order[max(0, end - ask.limit) : end][::-1]]
        threads = self._threads.values() if ask.no is None else [self._threads[ask.no]]
        keys = [
            (row.id, row.no, row.ns)
            for thread in threads
            for ns, rows in thread.points.items()
            if ask.ns in (None, ns)
            for row in rows.values()
        ]
        if ask.after is not None:
            keys = [key for key in keys if key < ask.after]
        keys.sort(reverse=True)
        return [self._threads[no].points[ns][id] for id, no, ns in keys[: ask.limit]]

    def _thread_numbers(self, ask: ThreadNumbers) -> list[tuple[str, ThreadRow]]:
        return [(thread.name, thread.row()) for thread in self._threads.values()]

    def _all_rows(self, ask: AllRows) -> tuple[list[PointRow], list[bytes]]:
        thread = self._threads[ask.no]
        points = [row for rows in thread.points.values() for row in rows.values()]
        points.sort(key=lambda row: (row.id, row.ns), reverse=True)
        return points, [body for tasks in thread.writes.values() for body in tasks.values()]

    def _drop_points(self, ask: DropPoints) -> None:
        self._keep_copy(ask.no)
        thread = self._threads[ask.no]
        for ns, id in ask.points:
            del thread.points[ns][id]
            thread.writes.pop((ns, id), None)
        thread.order = {ns: sorted(rows) for ns, rows in thread.points.items()}

    def _drop_objects(self, ask: DropObjects) -> None:
        self._keep_copy(ask.no)
        thread = self._threads[ask.no]
        kept = {n for first, count in ask.but for n in range(first, first + count)}
        thread.objects = {n: blob for n, blob in thread.objects.items() if n in kept}
        thread.numbers = {blob: n for n, blob in thread.objects.items() if blob[0] != NODE_TAG}

    def _touch(self, ask: Touch) -> None:
        thread = self._threads[ask.no]
        thread.epoch += 1
        self._undo.append(lambda: setattr(thread, "epoch", thread.epoch - 1))

    def _drop_thread(self, ask: DropThread) -> None:
        self._keep_copy(ask.no)
        thread = self._threads[ask.no]
        thread.clear()
        thread.epoch += 1
        thread.grave = ask.grave

    def _copy(self, ask: Copy) -> None:
        self._keep_copy(ask.target)
        source, target = self._threads[ask.source], self._threads[ask.target]
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
