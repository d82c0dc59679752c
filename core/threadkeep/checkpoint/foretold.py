"""What this process knows of threads, and commits foretold from it. Pure.

A row is true as long as the thread's `change` in the database is the one noted here: the statement that
stores a foretold commit looks at that, and the long way is gone where it does not hold.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, NamedTuple

from threadkeep.checkpoint import requests as ask
from threadkeep.checkpoint.objects import Range
from threadkeep.checkpoint.requests import NewPoint, NewWrites, Plan, Request, StoredRow, ThreadRow

__all__ = ["Foretold", "KnownThread", "KnownThreads", "foretell"]

_MOST = 10_000
_HEADS_MOST = 256
_ROWS_MOST = 32_768
"""Bytes of the rows that are remembered of a thread."""


class KnownThread(NamedTuple):
    """A thread's row and the heads of some namespaces, all at one `change`."""

    row: ThreadRow
    change: int
    heads: dict[str, str | None]
    rows: Sequence[StoredRow] | None = None
    """All rows, of a thread that keeps no history."""


class KnownThreads:
    """The threads that were written last. May be used from many threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._threads: OrderedDict[str, KnownThread] = OrderedDict()

    def get(self, thread_id: str) -> KnownThread | None:
        """What was learned last."""
        return self._threads.get(thread_id)

    def learn(self, thread_id: str, known: KnownThread) -> None:
        """Takes over what is true after a transaction."""
        if len(known.heads) > _HEADS_MOST:
            known.heads.clear()
        if known.rows is not None and sum(len(row.body) for row in known.rows) > _ROWS_MOST:
            known = known._replace(rows=None)
        with self._lock:
            self._threads.pop(thread_id, None)
            self._threads[thread_id] = known
            if len(self._threads) > _MOST:
                self._threads.popitem(last=False)

    def forget(self, thread_id: str) -> None:
        """A row proved wrong."""
        with self._lock:
            self._threads.pop(thread_id, None)


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

    def after(self) -> KnownThread:
        """What is true of the thread once it is stored."""
        row, change, heads, rows = self.known
        heads = dict(heads)
        for ns, id, _, _ in self.points:
            if ns in heads and ((head := heads[ns]) is None or id > head):
                heads[ns] = id
        if self.objects is not None:
            row = row._replace(next=self.objects.first + len(self.objects.blobs))
        rows = None if rows is None else self.result[0].rows
        return KnownThread(row._replace(epoch=self.epoch), change + 1, heads, rows)


class _Unknown(Exception):
    """A plan asked for more than is known."""


def foretell(plan: Callable[[], Plan[Any]], threads: KnownThreads) -> Foretold | None:
    """What a commit will store, found without asking the database; None if that takes more than is known."""
    seer = _Seer(threads)
    try:
        result = ask.drive(plan(), seer.answer)
    except _Unknown:
        return None
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

    def __init__(self, threads: KnownThreads) -> None:
        self._threads = threads
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
        if isinstance(request, ask.Head) and self.known is not None and request.ns in self.known.heads:
            return self.known.heads[request.ns]
        if isinstance(request, ask.AddRows) and not self.points and not self.writes:
            self.points, self.writes = list(request.points), list(request.writes)
            self.metadata = list(request.metadata)
            if len({each[:2] for each in self.points}) == len(self.points) and len(
                {each[:3] for each in self.writes}
            ) == len(self.writes):
                return []
        if isinstance(request, ask.AddObjects):
            self.objects = request
            return None
        raise _Unknown

    def _find(self, request: ask.FindThread) -> ThreadRow:
        known = self._threads.get(request.thread_id)
        ns = request.ns
        if known is None or self.known is not None or (ns is not None and ns not in known.heads):
            raise _Unknown
        self.thread_id, self.known, self.epoch = request.thread_id, known, known.row.epoch
        return known.row if ns is None else known.row._replace(head=known.heads[ns], head_ns=ns)
