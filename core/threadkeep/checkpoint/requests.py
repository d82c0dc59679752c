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
    "AddObjects", "AddRows", "AddThread", "AllRows", "Copy", "DropObjects", "DropPoints", "DropThread",
    "FindObjects", "FindThread", "HasChild", "Head", "NewPoint", "NewWrites", "Page", "Plan", "PointRow",
    "ReadObjects", "ReadPoint", "ReadWrites", "Request", "SetWrites", "ThreadNumbers", "ThreadRow", "Touch",
    "WritesRow", "drive",
]  # fmt: skip


class ThreadRow(NamedTuple):
    """A thread. Two objects with one number but different epochs may differ."""

    no: int
    epoch: int
    grave: str
    """An id made when the thread was last deleted, or ""."""
    next: int
    """The number of its next object."""
    head: str | None = None
    """Id of the newest checkpoint in `head_ns`."""
    head_ns: str | None = None
    """The namespace that was asked for."""


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


class FindThread(NamedTuple):
    """→ ThreadRow | None; with the head of a namespace if one is given."""

    thread_id: str
    ns: str | None = None
    point: tuple[str, str | None] | None = None
    """Namespace and id (None for the newest) of the checkpoint that is read next: a hint."""


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


class ThreadNumbers(NamedTuple):
    """→ list[tuple[str, ThreadRow]]: all threads, or at least those with checkpoints of these runs."""

    runs: Collection[str] = ()


class AllRows(NamedTuple):
    """→ tuple[list[PointRow], list[bytes]]: a thread's checkpoints, newest first; bodies of its writes."""

    no: int


class DropPoints(NamedTuple):
    """→ None. Deletes checkpoints with their writes; `points` are (namespace, id)."""

    no: int
    points: Sequence[tuple[str, str]]


class DropObjects(NamedTuple):
    """→ None. Deletes all objects of the thread but those in the ranges, which are in order."""

    no: int
    but: Sequence[Range]


class Touch(NamedTuple):
    """→ None. Begins a new epoch: some object is gone, and its number may be used again."""

    no: int


class DropThread(NamedTuple):
    """→ None. Deletes everything of the thread, begins a new epoch, and notes the grave."""

    no: int
    grave: str


class Copy(NamedTuple):
    """→ None. Adds everything of one thread to another that is empty."""

    source: int
    target: int


Request = (
    FindThread | AddThread | Head | ReadPoint | HasChild | ReadWrites | AddRows | SetWrites | FindObjects |
    AddObjects | ReadObjects | Page | ThreadNumbers | AllRows | DropPoints | DropObjects | Touch | DropThread
    | Copy
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
