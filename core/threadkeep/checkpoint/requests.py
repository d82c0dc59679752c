"""What a plan asks of the storage. Each request is one statement; the answer is what is noted here.

A plan is a generator: it yields requests, receives the answers, and returns its result. A driver runs it in
one transaction, which it rolls back if the plan raises. Memory and SQLite answer the same requests.

Storage holds, for each thread (a number that is never used again):
  * points: (namespace, checkpoint id) → parent id, body
  * writes: (namespace, checkpoint id, task id) → body
  * objects: number → blob; numbers rise
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast

from threadkeep.checkpoint.objects import Blob, Range

__all__ = [
    "AddObjects", "AddRows", "AddThread", "Copy", "DropObjects", "DropPoints", "DropThread", "FindObjects",
    "FindThread", "HasChild", "Head", "NewPoint", "NewWrites", "Numbers", "Page", "Plan", "PointRow",
    "ReadObjects", "ReadPoint", "ReadWrites", "Request", "Rows", "SetWrites", "Stale", "StoredRow",
    "ThreadRow", "Threads", "Touch", "WritesRow", "drive",
]  # fmt: skip


class ThreadRow(NamedTuple):
    """A thread. Two objects with one number but different epochs may differ."""

    no: int
    epoch: int
    """Odd while objects are swept: those that are there may then not be found by their bytes."""
    grave: str
    """An id made when the thread was last deleted, or ""."""
    next: int
    """The number of its next object."""
    head: str | None = None
    """Id of the newest checkpoint in `head_ns`."""
    head_ns: str | None = None
    """The namespace that was asked for."""

    @property
    def is_swept(self) -> bool:
        """Whether a sweep goes on, or was broken off."""
        return self.epoch % 2 == 1


class PointRow(NamedTuple):
    """A checkpoint."""

    no: int
    thread_id: str
    ns: str
    id: str
    parent: str | None
    body: bytes


class WritesRow(NamedTuple):
    """The writes of one task."""

    task: str
    body: bytes


class StoredRow(NamedTuple):
    """A checkpoint (task None) or the writes of a task."""

    ns: str | None
    """None if the storage cannot tell: of writes without a checkpoint."""
    id: str
    task: str | None
    body: bytes


class FindThread(NamedTuple):
    """→ ThreadRow | None; with the head of a namespace if one is given."""

    thread_id: str
    ns: str | None = None
    point: tuple[str, str | None] | None = None
    """Namespace and id (None for the newest) of the checkpoint that is read next: a hint."""
    cold: bool = False
    """Whether all of its objects will be asked for, since none is remembered: a hint."""


class AddThread(NamedTuple):
    """→ ThreadRow. The thread must not be there."""

    thread_id: str


class Head(NamedTuple):
    """→ id of the newest checkpoint, or None."""

    no: int
    ns: str


class ReadPoint(NamedTuple):
    """→ PointRow | None; the newest for an id of None."""

    no: int
    ns: str
    id: str | None


class HasChild(NamedTuple):
    """→ id of a checkpoint whose parent this is, or None."""

    no: int
    ns: str
    id: str


class ReadWrites(NamedTuple):
    """→ list[WritesRow]; of one task, or of all for None."""

    no: int
    ns: str
    id: str
    task: str | None


NewPoint = tuple[str, str, str | None, bytes]
"""Namespace, id, parent's id, body."""
NewWrites = tuple[str, str, str, bytes]
"""Namespace, checkpoint id, task id, body."""


class AddRows(NamedTuple):
    """→ list[int]: places of those writes that were not added, since their task has some already.

    Checkpoints replace those with their ids.
    """

    no: int
    points: Sequence[NewPoint]
    writes: Sequence[NewWrites]
    metadata: Sequence[Mapping[str, Any]] = ()
    """Of each checkpoint, as the program gave it: for storage that can search it."""


class SetWrites(NamedTuple):
    """→ None. Replaces the writes of the task."""

    no: int
    ns: str
    id: str
    task: str
    body: bytes


class FindObjects(NamedTuple):
    """→ dict[Blob, int]: the numbers of those blobs that the thread has."""

    no: int
    blobs: Sequence[Blob]


class AddObjects(NamedTuple):
    """→ None. Numbered from `first` on."""

    no: int
    first: int
    blobs: Sequence[Blob]


class ReadObjects(NamedTuple):
    """→ Mapping[int, Blob] with at least those of the ranges (and whatever is at hand)."""

    no: int
    ranges: Sequence[Range]


class Page(NamedTuple):
    """→ list[PointRow], newest first, older than `after`; of a thread and a namespace, or of all for None."""

    no: int | None
    ns: str | None
    after: tuple[str, int, str] | None
    """id, thread number and namespace of the last one seen."""
    limit: int
    filter: Mapping[str, Any] = {}
    """Metadata that is looked for: storage may leave out what surely differs, before it counts to `limit`."""


class Threads(NamedTuple):
    """→ list[tuple[str, ThreadRow]]: threads with higher numbers, in their order.

    All, or at least those with checkpoints of these runs.
    """

    runs: Collection[str]
    after: int
    limit: int


class Rows(NamedTuple):
    """→ tuple[list[StoredRow], Any]: checkpoints and writes, and where the next ones begin (None: no more).

    The checkpoints of a namespace come in the order of their ids.
    """

    no: int
    after: Any
    """What the answer before said; None at the beginning."""
    limit: int


class Stale(NamedTuple):
    """→ list[tuple[str, str]]: namespace and id of checkpoints that are not the newest of their namespace."""

    no: int
    limit: int


class Numbers(NamedTuple):
    """→ list[int]: the numbers of the thread's objects above `after`, rising."""

    no: int
    after: int
    limit: int


class DropPoints(NamedTuple):
    """→ None. Deletes checkpoints with their writes; `points` are (namespace, id)."""

    no: int
    points: Sequence[tuple[str, str]]


class DropObjects(NamedTuple):
    """→ None. Deletes the objects in these ranges, which are in order."""

    no: int
    ranges: Sequence[Range]


class Touch(NamedTuple):
    """→ int. Begins a new epoch and gives it: what is remembered of the thread's objects counts no more."""

    no: int
    sweeping: bool = False
    """Whether the epoch is odd."""


class DropThread(NamedTuple):
    """→ None. Deletes everything of the thread, begins a new (even) epoch, and notes the grave."""

    no: int
    grave: str


class Copy(NamedTuple):
    """→ None. Adds everything of one thread to another that is empty."""

    source: int
    target: int


Request = (
    FindThread | AddThread | Head | ReadPoint | HasChild | ReadWrites | AddRows | SetWrites | FindObjects |
    AddObjects | ReadObjects | Page | Threads | Rows | Stale | Numbers | DropPoints | DropObjects | Touch
    | DropThread | Copy
)  # fmt: skip

T = TypeVar("T")
Plan = Generator[Request, Any, T]


def drive(plan: Plan[T], answer: Callable[[Request], Any]) -> T:
    """Runs a plan to its end; `answer` performs one request."""
    try:
        request = next(plan)
        while True:
            request = plan.send(answer(request))
    except StopIteration as stop:
        return cast("T", stop.value)
