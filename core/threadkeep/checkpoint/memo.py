"""What a saver remembers of the threads it wrote, to store the next checkpoint fast. Bounded; never needed.

A memo is true for one epoch of a thread: the commit plan compares epochs inside the transaction. Memos are
learned only after the commit, and hold no reference to a value of the program.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from threading import Lock
from typing import Any, NamedTuple

from threadkeep.checkpoint.objects import Blob, ListMemo, Node, Range, blob_size
from threadkeep.checkpoint.requests import StoredRow

__all__ = ["Learned", "Memos", "PointMemo", "ThreadMemo"]

_NAMESPACES_MAX = 64
_RECOUNT = 16
"""Commits of a thread between two countings of its lists' size."""


class PointMemo(NamedTuple):
    """A checkpoint: its id, and of each channel the version and the node."""

    id: str
    nodes: dict[str, tuple[Any, Node]]


class Learned(NamedTuple):
    """What one commit taught about a thread."""

    thread_id: str
    no: int
    epoch: int
    lists: dict[tuple[str, str], ListMemo]
    points: dict[str, PointMemo]
    known: dict[Blob, int]
    diverged: list[str]
    """Warnings for the caller."""
    rows: Sequence[StoredRow] | None = None
    """All rows of the thread, where the commit keeps no history."""
    gone: Sequence[Range] = ()
    """Objects that it deleted, which began this epoch."""
    since: int | None = None
    """The epoch before, if they were deleted."""

    def told(self) -> Learned:
        """The same with the warnings only, and nothing to remember."""
        return Learned(self.thread_id, self.no, self.epoch, {}, {}, {}, self.diverged)


class ThreadMemo:
    """One thread in one epoch. Replaced entry by entry, so that readers need no lock."""

    __slots__ = (
        "_known_size", "_learned", "_lists_size", "epoch", "known", "lists", "no", "objects", "points",
        "size",
    )  # fmt: skip

    def __init__(self, no: int, epoch: int) -> None:
        self.no = no
        self.epoch = epoch
        self.lists: dict[tuple[str, str], ListMemo] = {}
        """By namespace and channel."""
        self.points: dict[str, PointMemo] = {}
        """The checkpoint stored last, by namespace."""
        self.known: dict[Blob, int] = {}
        """The objects stored last: their numbers. Nothing is taken out of this dict or the next,"""
        self.objects: dict[int, Blob] = {}
        """which is the same turned round: a reader may use them without a lock."""
        self.size = 1_000
        self._known_size = 0
        self._lists_size = 0
        self._learned = 0

    def has_all(self, next: int) -> bool:
        """Whether all objects of the thread are remembered, if the next one will have this number."""
        return len(self.objects) == next - 1

    def learn(self, news: Learned, known_max: int) -> None:
        """Takes over what a commit taught; forgets the oldest objects above `known_max` bytes."""
        if news.gone:
            self._drop(news.gone)
        if news.rows is not None:
            spaces = {row.ns for row in news.rows}
            self.lists = {key: memo for key, memo in self.lists.items() if key[0] in spaces}
        self.lists.update(news.lists)
        self.points.update(news.points)
        while len(self.points) > _NAMESPACES_MAX:
            ns = next(iter(self.points))
            del self.points[ns]
            for key in [key for key in self.lists if key[0] == ns]:
                del self.lists[key]
        if news.known:
            self.known.update(news.known)
            self.objects.update((n, blob) for blob, n in news.known.items())
            self._known_size += sum(map(blob_size, news.known))
        if self._known_size > known_max:
            self._forget(known_max // 2)
        if news.lists:
            if self._learned % _RECOUNT == 0:
                self._lists_size = sum(memo.size() for memo in self.lists.values())
            self._learned += 1
        self.size = 1_000 + self._known_size + self._lists_size

    def _drop(self, gone: Sequence[Range]) -> None:
        """Forgets objects that are no more. In new dicts: a reader may hold the old ones."""
        lost = {n for first, count in gone for n in range(first, first + count)}
        self.objects = {n: blob for n, blob in self.objects.items() if n not in lost}
        self.known = {blob: n for blob, n in self.known.items() if n not in lost}
        self._known_size = sum(map(blob_size, self.known))

    def _forget(self, limit: int) -> None:
        """Keeps the newest objects. In new dicts: a reader may hold the old ones."""
        kept, total = [], 0
        for blob, n in reversed(self.known.items()):
            total += blob_size(blob)
            if total > limit:
                break
            kept.append((blob, n))
        self.known = dict(reversed(kept))
        self.objects = {n: blob for blob, n in self.known.items()}
        self._known_size = total


class Memos:
    """The memos of the threads written last, in about `limit` bytes. May be used from many threads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._threads: OrderedDict[str, ThreadMemo] = OrderedDict()
        self._lock = Lock()

    def get(self, thread_id: str) -> ThreadMemo | None:
        """What is remembered of a thread. Whether it still holds, the epoch tells."""
        return self._threads.get(thread_id)

    def learn(self, all_news: Iterable[Learned]) -> None:
        """Takes over what commits taught. Call it after the transaction."""
        with self._lock:
            for news in all_news:
                memo = self._threads.pop(news.thread_id, None)
                if memo is not None:
                    self._size -= memo.size
                since = news.epoch if news.since is None else news.since
                if memo is None or (memo.no, memo.epoch) != (news.no, since):
                    memo = ThreadMemo(news.no, news.epoch)
                memo.learn(news, self._limit // 8)
                memo.epoch = news.epoch
                self._threads[news.thread_id] = memo
                self._size += memo.size
            while self._size > self._limit and len(self._threads) > 1:
                self._size -= self._threads.popitem(last=False)[1].size
