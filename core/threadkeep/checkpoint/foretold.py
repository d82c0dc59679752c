"""What this process knows of threads, and commits foretold from it. Pure.

A row is true as long as the thread's `change` in the database is the one noted here: the statement that
stores a foretold commit looks at that, and the long way is gone where it does not hold.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from threading import Lock
from typing import Any, NamedTuple

from threadkeep.checkpoint import requests as ask
from threadkeep.checkpoint.objects import Blob, Range
from threadkeep.checkpoint.requests import NewPoint, NewWrites, Plan, Request, StoredRow, ThreadRow

__all__ = ["Foretold", "KnownThread", "KnownThreads", "foretell"]

_MOST = 10_000
_HEADS_MOST = 64
"""Namespaces of a thread. Each run of a subgraph has a new one."""
_HEAD_BYTES, _TASK_BYTES = 400, 150
"""What one takes with its names, about."""
_ROWS_MOST = 32_768
"""Bytes of the rows that are remembered of a thread."""
_ALL_MOST = 32 * 1024 * 1024
"""Bytes of all threads."""


class KnownThread(NamedTuple):
    """A thread's row, the heads of some namespaces, and what waits there, all at one `change`."""

    row: ThreadRow
    """Has the number 0 if there is no such thread yet."""
    change: int
    heads: dict[str, str | None]
    waiting: dict[str, tuple[str, frozenset[str]]]
    """By namespace, the newest checkpoint if it came while this process looked, and the tasks that wrote."""
    rows: Sequence[StoredRow] | None = None
    """All rows, of a thread that keeps no history."""

    def size(self) -> int:
        """Bytes, about."""
        tasks = sum(1 + len(tasks) for _, tasks in self.waiting.values())
        return _HEAD_BYTES * (1 + len(self.heads)) + _TASK_BYTES * tasks + self.rows_size()

    def rows_size(self) -> int:
        """Bytes of its rows."""
        return sum(len(row.body) for row in self.rows or ())

    def note(self, points: Iterable[NewPoint], writes: Iterable[NewWrites]) -> None:
        """Takes over what was stored."""
        heads, waiting = self.heads, self.waiting
        for ns, id, _, _ in points:
            if ns in heads and ((head := heads[ns]) is None or id > head):
                heads[ns] = id
                waiting[ns] = (id, frozenset())
        for ns, id, task, _ in writes:
            if ns in waiting and (mine := waiting[ns])[0] == id:
                waiting[ns] = (id, mine[1] | {task})


_ABSENT = KnownThread(ThreadRow(0, 0, "", 1), 0, {}, {})


class KnownThreads:
    """The threads that were written last. May be used from many threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._threads: OrderedDict[str, KnownThread] = OrderedDict()
        self._size = 0

    def get(self, thread_id: str) -> KnownThread | None:
        """What was learned last."""
        return self._threads.get(thread_id)

    def learn(self, thread_id: str, known: KnownThread) -> None:
        """Takes over what is true after a transaction."""
        if len(known.heads) > _HEADS_MOST:
            known.heads.clear()
            known.waiting.clear()
        if known.rows_size() > _ROWS_MOST:
            known = known._replace(rows=None)
        with self._lock:
            self._take_out(thread_id)
            self._threads[thread_id] = known
            self._size += known.size()
            while len(self._threads) > _MOST or self._size > _ALL_MOST:
                self._take_out(next(iter(self._threads)))

    def _take_out(self, thread_id: str) -> None:
        if (known := self._threads.pop(thread_id, None)) is not None:
            self._size -= known.size()

    def learn_absent(self, thread_id: str) -> None:
        """A thread was looked for, and was not there."""
        if thread_id not in self._threads:
            self.learn(thread_id, _ABSENT)

    def forget(self, thread_id: str) -> None:
        """A row proved wrong."""
        with self._lock:
            self._take_out(thread_id)


class Foretold(NamedTuple):
    """What a commit will store if its thread is as known."""

    thread_id: str
    known: KnownThread
    points: list[NewPoint]
    metadata: list[Any]
    writes: list[NewWrites]
    objects: ask.AddObjects | None
    dropped: Sequence[tuple[str, str]]
    """Checkpoints that are deleted."""
    gone: Sequence[Range]
    """Objects that are deleted."""
    epoch: int
    result: Any

    @property
    def next(self) -> int:
        """The number of the thread's next object afterwards."""
        return self.objects.first + len(self.objects.blobs) if self.objects else self.known.row.next

    def after(self, no: int) -> KnownThread:
        """What is true of the thread, whose number this is, once it is stored."""
        row, change, heads, waiting, rows = self.known
        if not row.no:
            heads = {ns: None for ns, *_ in self.points}
        row = row._replace(no=no, next=self.next, epoch=self.epoch)
        rows = None if rows is None else self.result[0].rows
        after = KnownThread(row, change + 1, heads.copy(), waiting.copy(), rows)
        after.note(self.points, self.writes)
        return after

    def learned(self, no: int) -> list[Any]:
        """What the commit taught, of the thread with this number."""
        return self.result if self.known.row.no else [each._replace(no=no) for each in self.result]


class _Unknown(Exception):
    """A plan asked for more than is known."""


class _Asked(Exception):
    """A plan must know which of some objects the thread has."""

    def __init__(self, request: ask.FindObjects) -> None:
        self.request = request


def foretell(
    plan: Callable[[], Plan[Any]], threads: KnownThreads, found: dict[Blob, int] | None = None
) -> Foretold | ask.FindObjects | None:
    """What a commit will store, found without asking the database; None if that takes more than is known.

    Where it only takes the numbers of objects that other processes may have stored, the request for them:
    foretell again with the answer. It counts as what is known does: until the thread changes.
    """
    seer = _Seer(threads, found)
    try:
        result = ask.drive(plan(), seer.answer)
    except _Unknown:
        return None
    except _Asked as asked:
        return asked.request
    except Exception:  # the plan refuses what it sees here; whether it really does is for the long way to say
        return None
    if seer.known is None:
        return None
    return Foretold(
        seer.thread_id, seer.known, seer.points, seer.metadata, seer.writes, seer.objects, seer.dropped,
        seer.gone, seer.epoch, result,
    )  # fmt: skip


class _Seer:
    """Answers the requests of one commit on one thread, or raises `_Unknown`."""

    def __init__(self, threads: KnownThreads, found: dict[Blob, int] | None) -> None:
        self._threads = threads
        self._found = found
        self.thread_id = ""
        self.known: KnownThread | None = None
        self.points: list[NewPoint] = []
        self.metadata: list[Any] = []
        self.writes: list[NewWrites] = []
        self.objects: ask.AddObjects | None = None
        self.dropped: Sequence[tuple[str, str]] = ()
        self.gone: Sequence[Range] = ()
        self.epoch = 0

    def answer(self, request: Request) -> Any:
        if isinstance(request, ask.FindThread):
            return self._find(request)
        if self.known is not None and self.known.rows is not None:
            return self._answer_without_history(request, self.known.rows)
        return self._answer(request)

    def _answer_without_history(self, request: Request, rows: Sequence[StoredRow]) -> Any:
        if isinstance(request, ask.Rows) and request.after is None:
            return rows, None
        if isinstance(request, ask.DropPoints):
            self.dropped = request.points
        elif isinstance(request, ask.DropObjects):
            self.gone = request.ranges
        elif isinstance(request, ask.Touch) and not request.sweeping:
            self.epoch = (self.epoch | 1) + 1
            return self.epoch
        else:
            return self._answer(request)
        return None

    def _answer(self, request: Request) -> Any:
        if isinstance(request, ask.AddThread) and self.known is not None:
            return self.known.row
        if isinstance(request, ask.Head) and self.known is not None:
            return self._head(request.ns)
        if isinstance(request, ask.AddRows) and not self.points and not self.writes:
            return self._add_rows(request)
        if isinstance(request, ask.AddObjects):
            self.objects = request
            return None
        if isinstance(request, ask.FindObjects):
            if self._found is None:
                raise _Asked(request)
            return self._found
        raise _Unknown

    def _find(self, request: ask.FindThread) -> ThreadRow | None:
        known = self._threads.get(request.thread_id)
        if known is None or self.known is not None:
            raise _Unknown
        self.thread_id, self.known, self.epoch = request.thread_id, known, known.row.epoch
        if not known.row.no:
            return None
        if request.ns is None:
            return known.row
        return known.row._replace(head=self._head(request.ns), head_ns=request.ns)

    def _head(self, ns: str) -> str | None:
        assert self.known is not None
        if not self.known.row.no:
            return None
        if ns not in self.known.heads:
            raise _Unknown
        return self.known.heads[ns]

    def _add_rows(self, request: ask.AddRows) -> list[int]:
        assert self.known is not None
        self.points, self.writes = list(request.points), list(request.writes)
        self.metadata = list(request.metadata)
        fresh = {(ns, id) for ns, id, _, _ in self.points if id > (self._head(ns) or "")}
        tasks = {(ns, id, task) for ns, id, task, _ in self.writes}
        if (
            len({each[:2] for each in self.points}) < len(self.points)
            or len(tasks) < len(self.writes)
            or not all(self._is_first(each, fresh) for each in tasks)
        ):
            raise _Unknown
        return []

    def _is_first(self, write: tuple[str, str, str], fresh: set[tuple[str, str]]) -> bool:
        """Whether nothing is stored yet of what this task writes, as far as this process has seen."""
        assert self.known is not None
        ns, id, task = write
        if self.known.rows is not None:
            return all((row.ns, row.id, row.task) != write for row in self.known.rows)
        if not self.known.row.no or (ns, id) in fresh:
            return True
        mine = self.known.waiting.get(ns)
        return mine is not None and mine[0] == id and task not in mine[1]
