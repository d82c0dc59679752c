"""Turns the requests of a plan into statements and their rows into answers. Pure: a driver performs them.

A session yields lists of statements, each of which goes out in one round trip, and receives the rows of each
statement. It serves one run of one plan, or several plans that only read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from threadkeep.checkpoint import requests as ask
from threadkeep.checkpoint.foretold import KnownThread
from threadkeep.checkpoint.memo import Learned
from threadkeep.checkpoint.objects import Blob, missing
from threadkeep.checkpoint.postgres import sql
from threadkeep.checkpoint.postgres.names import checked_id, conditions, escape, key_of, place_of, unescape
from threadkeep.checkpoint.postgres.rows import (
    Storage,
    bounds,
    checked,
    object_columns,
    point_columns,
    write_columns,
)
from threadkeep.checkpoint.requests import Plan, PointRow, Request, StoredRow, ThreadRow, WritesRow
from threadkeep.postgres.arrays import Byteas, Texts
from threadkeep.postgres.statements import RepeatError, Steps

__all__ = ["Session"]

T = TypeVar("T")
_VANISHED = "A checkpoint refers to an object that is not stored: the storage is damaged."


class Session:
    """One run of a plan; `writing` if it changes something, which takes a transaction."""

    def __init__(self, storage: Storage, *, writing: bool) -> None:
        self._storage = storage
        self._sql = storage.statements
        self._writing = writing
        self._epochs: dict[int, int] = {}
        self._point: tuple[ask.ReadPoint, PointRow | None] | None = None
        """The checkpoint that came with its thread."""
        self._writes: dict[tuple[int, str, str], list[WritesRow]] = {}
        """The writes that came with their checkpoints."""
        self._objects: dict[int, Blob] = {}
        """The objects that came with a checkpoint."""
        self._changed: dict[int, int] = {}
        """Threads that are locked, with the number of their next object."""
        self._known: dict[int, KnownThread] = {}
        self._learnable = True
        self.absent: str | None = None
        """A thread that is not there."""
        self._answers: dict[type, Callable[[Any], Steps[Any]]] = {
            ask.FindThread: self._find_thread, ask.AddThread: self._add_thread, ask.Head: self._head,
            ask.ReadPoint: self._read_point, ask.HasChild: self._has_child, ask.ReadWrites: self._read_writes,
            ask.AddRows: self._add_rows, ask.SetWrites: self._set_writes, ask.FindObjects: self._find_objects,
            ask.AddObjects: self._add_objects, ask.ReadObjects: self._read_objects, ask.Page: self._page,
            ask.Threads: self._all_threads, ask.Rows: self._some_rows, ask.Stale: self._stale,
            ask.Numbers: self._numbers, ask.DropPoints: self._drop_points,
            ask.DropObjects: self._drop_objects, ask.Touch: self._touch,
            ask.DropThread: self._drop_thread, ask.Copy: self._copy,
        }  # fmt: skip

    def run(self, plan: Plan[T]) -> Steps[T]:
        """The statements of a plan; returns its result."""
        try:
            request: Request = next(plan)
            while True:
                request = plan.send((yield from self._answers[type(request)](request)))
        except StopIteration as stop:
            if self._changed:
                yield [self._sql.tell(sql.CHANGED, next, no) for no, next in sorted(self._changed.items())]
            return cast("T", stop.value)

    def learned(self, news: Sequence[Learned]) -> dict[str, KnownThread]:
        """What is true of the threads once the transaction of a commit is committed."""
        if not self._learnable and any(each.rows is None for each in news):
            return {}
        found = {}
        for each in news:
            known = self._known[each.no]
            row = known.row._replace(next=self._changed[each.no], epoch=each.epoch)
            found[each.thread_id] = known._replace(row=row, change=known.change + 1, rows=each.rows)
        return found

    def _find_thread(self, it: ask.FindThread) -> Steps[ThreadRow | None]:
        key = key_of(it.thread_id)
        if it.point is not None and not self._writing:
            return (yield from self._find_with_point(it, key))
        space = None if it.ns is None else key_of(it.ns)
        found = self._sql.ask(sql.LOCK_THREAD if self._writing else sql.FIND_THREAD, key)
        batch = [found] if space is None else [found, self._sql.ask(sql.HEAD_BY_KEY, key, space)]
        rows, *heads = yield batch
        return self._thread(it, rows, heads[0] if heads else [])

    def _thread(self, it: ask.FindThread, rows: list[Any], heads: list[Any]) -> ThreadRow | None:
        if not rows:
            self.absent = it.thread_id
            return None
        no, epoch, grave, next, change = rows[0]
        head = unescape(heads[0][0]) if heads else None
        row = ThreadRow(no, epoch, grave, next, head, it.ns)
        known = self._known.get(no) or KnownThread(row, change, {}, {})
        self._known[no] = known = known._replace(row=row, change=change)
        self._epochs[no] = epoch
        if it.ns is not None:
            known.heads[it.ns] = head
        if self._writing:
            self._changed[no] = max(next, self._changed.get(no, 0))
        return row

    def _find_with_point(self, it: ask.FindThread, key: bytes) -> Steps[ThreadRow | None]:
        assert it.point is not None
        ns, id = it.point
        if id is None:
            template = sql.FIND_NEWEST_COLD if it.cold else sql.FIND_NEWEST
            statement = self._sql.ask(template, key_of(ns), key)
        else:
            statement = self._sql.ask(sql.FIND_POINT, key_of(ns), checked_id(id), key)
        (rows,) = yield [statement]
        if not rows:
            self.absent = it.thread_id
            return None
        thread, point, objects = rows[0][:5], rows[0][5:11], rows[0][11:]
        if objects and objects[0] is not None:
            self._objects = {n: _blob(*each) for n, *each in zip(*objects, strict=True)}
        row = self._thread(ask.FindThread(it.thread_id), [thread], [])
        assert row is not None
        asked = ask.ReadPoint(row.no, ns, id)
        self._point = (asked, self._keep(row.no, (it.thread_id, *point)) if point[1] is not None else None)
        return row

    def _keep(self, no: int, columns: Sequence[Any], *, escaped: bool = False) -> PointRow:
        """A checkpoint's row; the writes that came with it are kept."""
        thread_id, ns, id, parent, body, tasks, bodies = columns
        row = PointRow(
            no,
            unescape(thread_id) if escaped else thread_id,
            unescape(ns),
            unescape(id),
            parent if parent is None else unescape(parent),
            body,
        )
        waiting = zip(tasks or (), bodies or (), strict=True)
        self._writes[no, row.ns, row.id] = [WritesRow(unescape(task), body) for task, body in waiting]
        return row

    def _add_thread(self, it: ask.AddThread) -> Steps[ThreadRow]:
        key = key_of(it.thread_id)
        add = self._sql.ask(sql.ADD_THREAD, key, escape(it.thread_id))
        # Another process may have added it, and more, since it was looked for.
        rows, locked = yield [add, self._sql.ask(sql.LOCK_THREAD, key)]
        row = self._thread(ask.FindThread(it.thread_id), rows or locked, [])
        assert row is not None
        if rows:
            self._known[row.no].heads[""] = None
        return row if not rows else row._replace(head=None, head_ns="")

    def _head(self, it: ask.Head) -> Steps[str | None]:
        (rows,) = yield [self._sql.ask(sql.HEAD, it.no, key_of(it.ns))]
        head = unescape(rows[0][0]) if rows else None
        if it.no in self._known:
            self._known[it.no].heads[it.ns] = head
        return head

    def _read_point(self, it: ask.ReadPoint) -> Steps[PointRow | None]:
        if self._point is not None and self._point[0] == it:
            return self._point[1]
        if it.id is None:
            (rows,) = yield [self._sql.ask(sql.NEWEST_POINT, it.no, key_of(it.ns))]
        else:
            (rows,) = yield [self._sql.ask(sql.READ_POINT, it.no, key_of(it.ns), checked_id(it.id))]
        return self._keep(it.no, rows[0], escaped=True) if rows else None

    def _has_child(self, it: ask.HasChild) -> Steps[str | None]:
        (rows,) = yield [self._sql.ask(sql.HAS_CHILD, it.no, key_of(it.ns), checked_id(it.id))]
        return unescape(rows[0][0]) if rows else None

    def _read_writes(self, it: ask.ReadWrites) -> Steps[list[WritesRow]]:
        if it.task is None and not self._writing and (it.no, it.ns, it.id) in self._writes:
            return self._writes[it.no, it.ns, it.id]
        where = (it.no, key_of(it.ns), checked_id(it.id))
        if it.task is None:
            (rows,) = yield [self._sql.ask(sql.READ_WRITES, *where)]
        else:
            (rows,) = yield [self._sql.ask(sql.READ_TASK, *where, key_of(it.task))]
        return [WritesRow(unescape(task), body) for task, body in rows]

    def _add_rows(self, it: ask.AddRows) -> Steps[list[int]]:
        batch = []
        if it.no in self._known:
            self._known[it.no].note(it.points, it.writes)
        if it.points:
            points = point_columns(self._storage, it.points, it.metadata)
            batch.append(self._sql.tell(sql.ADD_POINTS, it.no, *points))
        if not it.writes:
            yield batch
            return []
        spaces, ids, keys, *rest = write_columns(self._storage, it.writes)
        batch.append(self._sql.ask(sql.ADD_WRITES, it.no, spaces, ids, keys, *rest))
        *_, rows = yield batch
        added = {(space, id, task) for space, id, task in rows}
        there = []
        for i, key in enumerate(zip(spaces, ids, keys, strict=True)):
            if key in added:
                added.discard(key)
            else:
                there.append(i)
        return there

    def _set_writes(self, it: ask.SetWrites) -> Steps[None]:
        where = (it.no, key_of(it.ns), checked_id(it.id), key_of(it.task))
        yield [self._sql.tell(sql.SET_WRITES, checked(self._storage, it.body), *where)]

    def _find_objects(self, it: ask.FindObjects) -> Steps[dict[Blob, int]]:
        places = {place_of(blob, self._storage.hash_key): blob for blob in it.blobs}
        (rows,) = yield [self._sql.ask(sql.OBJECTS_AT, it.no, Byteas(places))]
        return {places[place]: n for place, n in rows}

    def _add_objects(self, it: ask.AddObjects) -> Steps[None]:
        self._changed[it.no] = it.first + len(it.blobs)
        columns = object_columns(self._storage, it.first, it.blobs)
        yield [self._sql.tell(sql.ADD_OBJECTS, it.no, *columns)]

    def _read_objects(self, it: ask.ReadObjects) -> Steps[dict[int, Blob]]:
        if not missing(it.ranges, self._objects):
            return self._objects
        (rows,) = yield [
            self._sql.ask(sql.OBJECTS_BETWEEN, *bounds(it.ranges), it.no, it.no, self._epochs.get(it.no))
        ]
        found = {n: _blob(tag, body) for n, tag, body in rows}
        if len(found) < sum(count for _, count in it.ranges) and not self._writing:
            raise RepeatError(_VANISHED)  # deleted while the plan read, if all is well
        return found

    def _page(self, it: ask.Page) -> Steps[list[PointRow]]:
        wanted = conditions(it.filter) if self._storage.searchable else []
        known = (it.no is not None, it.ns is not None, it.after is None, bool(wanted))
        given: dict[str, Any] = {"limit": it.limit}
        if it.no is not None:
            given["no"] = it.no
        if it.ns is not None:
            given["space"] = key_of(it.ns)
        if it.after is not None:
            id, no, ns = it.after
            given |= (
                {"id": escape(id)} if it.ns is not None else {"id": escape(id), "after": no, "ns": escape(ns)}
            )
        if wanted:
            given["meta"] = wanted
        (rows,) = yield [self._sql.ask(sql.PAGES[known])._replace(parameters=given)]
        return [self._keep(no, columns, escaped=True) for no, *columns in rows]

    def _all_threads(self, it: ask.Threads) -> Steps[list[tuple[str, ThreadRow]]]:
        wanted = [conditions({"run_id": run}) for run in it.runs]
        if it.runs and self._storage.searchable and all(wanted):
            flat = [each for some in wanted for each in some]
            (rows,) = yield [self._sql.ask(sql.THREADS_OF_RUNS, it.after, flat, it.limit)]
        else:
            (rows,) = yield [self._sql.ask(sql.THREADS, it.after, it.limit)]
        return [(unescape(name), ThreadRow(*row)) for name, *row in rows]

    def _some_rows(self, it: ask.Rows) -> Steps[tuple[list[StoredRow], Any]]:
        space, id, task = it.after or (b"", "", None)
        end: tuple[Any, ...] | None
        if task is None:  # the writes come after all checkpoints
            (rows,) = yield [self._sql.ask(sql.POINT_ROWS, it.no, space, id, it.limit)]
            end = (*rows[-1][:2], None) if len(rows) == it.limit else (b"", "", b"")
        else:
            (rows,) = yield [self._sql.ask(sql.WRITE_ROWS, it.no, space, id, task, it.limit)]
            end = rows[-1][:3] if len(rows) == it.limit else None
        return [
            StoredRow(ns if ns is None else unescape(ns), unescape(id), task and unescape(task), body)
            for *_, id, _, ns, task, body in rows
        ], end

    def _stale(self, it: ask.Stale) -> Steps[list[tuple[str, str]]]:
        (rows,) = yield [self._sql.ask(sql.STALE, it.no, it.limit)]
        return [(unescape(ns), unescape(id)) for ns, id in rows]

    def _numbers(self, it: ask.Numbers) -> Steps[list[int]]:
        (rows,) = yield [self._sql.ask(sql.NUMBERS, it.no, it.after, it.limit)]
        return [n for (n,) in rows]

    def _drop_points(self, it: ask.DropPoints) -> Steps[None]:
        self._learnable = False
        spaces, ids = Byteas(key_of(ns) for ns, _ in it.points), Texts(checked_id(id) for _, id in it.points)
        gone = spaces, ids, it.no
        yield [self._sql.tell(sql.DROP_POINTS, *gone), self._sql.tell(sql.DROP_WRITES, *gone)]

    def _drop_objects(self, it: ask.DropObjects) -> Steps[None]:
        yield [self._sql.tell(sql.DROP_OBJECTS, *bounds(it.ranges), it.no)]

    def _touch(self, it: ask.Touch) -> Steps[int]:
        self._learnable = False
        (((epoch,),),) = yield [self._sql.ask(sql.SWEEP if it.sweeping else sql.TOUCH, it.no)]
        return int(epoch)

    def _drop_thread(self, it: ask.DropThread) -> Steps[None]:
        self._learnable = False
        drops = (sql.DROP_ALL_POINTS, sql.DROP_ALL_WRITES, sql.DROP_ALL_OBJECTS)
        bury = self._sql.tell(sql.BURY, it.grave, it.no)
        yield [*(self._sql.tell(drop, it.no) for drop in drops), bury]

    def _copy(self, it: ask.Copy) -> Steps[None]:
        self._learnable = False
        copies = (sql.COPY_POINTS, sql.COPY_WRITES, sql.COPY_OBJECTS)
        numbers = self._sql.ask(sql.COPY_NEXT, it.source, it.target)
        *_, ((next,),) = yield [*(self._sql.tell(copy, it.target, it.source) for copy in copies), numbers]
        self._changed[it.target] = next


def _blob(tag: str | None, body: bytes) -> Blob:
    return body if tag is None else (tag, body)
