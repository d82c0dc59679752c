"""Moves threads, one after the other, so that a move can be killed at any moment and begun again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

from threadkeep.checkpoint import requests as ask
from threadkeep.checkpoint.base import CheckpointTuple, SavePoint, SaveWrites
from threadkeep.checkpoint.drafts import Address
from threadkeep.checkpoint.foreign.threads import Key, Point, Source, Survey, operations
from threadkeep.checkpoint.memo import Memos
from threadkeep.checkpoint.objects import Codec
from threadkeep.checkpoint.planned import PlannedSaver
from threadkeep.checkpoint.reads import get_tuple
from threadkeep.checkpoint.requests import Plan, PointRow, ThreadRow
from threadkeep.checkpoint.serde.base import SerdeError
from threadkeep.errors import MigrationError

__all__ = ["MigrationReport", "OnError", "ThreadReport", "migrate"]

OnError = Literal["raise", "skip"]
BATCH = 50
"""Checkpoints that are stored in one transaction."""


class ThreadReport(NamedTuple):
    """What became of one thread."""

    thread_id: str
    outcome: Literal["migrated", "unchanged", "skipped"]
    """"unchanged": an earlier call had migrated all of it."""
    checkpoints: int = 0
    writes: int = 0
    """Tasks whose pending writes were stored."""
    reason: str = ""
    """Why it was skipped."""


class MigrationReport(NamedTuple):
    """What a call did."""

    migrated: int
    """Threads, also those that an earlier call had begun."""
    unchanged: int
    skipped: dict[str, str]
    """Thread to reason."""
    checkpoints: int
    writes: int
    bytes_before: int
    """What the source takes, in all."""
    bytes_after: int


def migrate(
    source: Source,
    saver: PlannedSaver,
    size: Callable[[], int],
    on_error: OnError = "raise",
    progress: Callable[[ThreadReport], None] | None = None,
) -> MigrationReport:
    """Moves every thread of the source into the saver, whose storage has *size* bytes.

    A thread is read once in whole before anything of it is written. Then it is stored, oldest checkpoint
    first, in transactions of `BATCH` checkpoints, and its newest checkpoint is compared with the source's.
    Raises `MigrationError` for a thread that cannot be read; "skip" goes on with the next.
    """
    if on_error not in ("raise", "skip"):
        raise ValueError(f'on_error is "raise" or "skip", not {on_error!r}.')
    reports = []
    for thread_id in source.threads():
        try:
            report = _migrate_thread(source, saver, thread_id)
        except SerdeError as error:
            if on_error == "raise":
                raise MigrationError(thread_id, str(error)) from error
            report = ThreadReport(thread_id, "skipped", reason=str(error))
        reports.append(report)
        if progress is not None:
            progress(report)
    return MigrationReport(
        migrated=sum(each.outcome == "migrated" for each in reports),
        unchanged=sum(each.outcome == "unchanged" for each in reports),
        skipped={each.thread_id: each.reason for each in reports if each.outcome == "skipped"},
        checkpoints=sum(each.checkpoints for each in reports),
        writes=sum(each.writes for each in reports),
        bytes_before=source.size(),
        bytes_after=size(),
    )


def _migrate_thread(source: Source, saver: PlannedSaver, thread_id: str) -> ThreadReport:
    keys = source.keys(thread_id)
    standing: _Standing = saver._read(partial(_standing, thread_id, keys))
    if standing.reason:
        return ThreadReport(thread_id, "skipped", reason=standing.reason)
    if standing.done == len(keys):
        return ThreadReport(thread_id, "unchanged")
    survey = Survey()
    for point in source.read(thread_id, keys):
        _refuse_deltas(point)
        survey.note(point)
    checkpoints = writes = 0
    last: list[SavePoint | SaveWrites] = []
    if standing.done:
        # Tasks may have ended since these were stored. What is stored already stays as it is.
        heads = list({key.ns: key for key in keys[: standing.done]}.values())
        saver.commit(
            [
                op
                for point in source.read(thread_id, heads)
                for op in operations(thread_id, point, survey)
                if isinstance(op, SaveWrites)
            ]
        )
    for start in range(standing.done, len(keys), BATCH):
        batch = [
            operations(thread_id, point, survey)
            for point in source.read(thread_id, keys[start : start + BATCH])
        ]
        saver.commit([op for ops in batch for op in ops])
        checkpoints += len(batch)
        writes += sum(len(ops) - 1 for ops in batch)
        last = batch[-1]
    _verify(saver, thread_id, last)
    return ThreadReport(thread_id, "migrated", checkpoints, writes)


def _refuse_deltas(point: Point) -> None:
    if point.metadata.get("counters_since_delta_snapshot"):
        raise SerdeError(
            f"checkpoint {point.key.id} has a DeltaChannel, whose values cannot be told without its reducer:"
            " run the graph once with a plain reducer there before migrating"
        )


class _Standing(NamedTuple):
    """How far a thread is here."""

    done: int
    """Of its checkpoints, in order."""
    reason: str = ""
    """Why it is left alone."""


def _standing(thread_id: str, keys: Sequence[Key]) -> Plan[_Standing]:
    """What is here of a thread. Batches are stored in the order of ids, each in whole: the newest tells."""
    thread: ThreadRow | None = yield ask.FindThread(thread_id)
    if thread is None or not keys:
        return _Standing(0 if keys else len(keys))
    places = {key.id: place for place, key in enumerate(keys)}
    newest = keys[-1].id
    after: Any = None
    while rows := (yield ask.Page(thread.no, None, after, BATCH)):
        found: list[PointRow] = rows
        for row in found:
            if row.id <= newest:
                return _found(places.get(row.id), len(keys), continued=row is not found[0] or bool(after))
        after = (found[-1].id, found[-1].no, found[-1].ns)
    if after is not None:
        return _Standing(
            0, "a thread of this name is here already, and none of its checkpoints is the source's"
        )
    return _Standing(0, "the thread was deleted here") if thread.grave else _Standing(0)


def _found(place: int | None, count: int, *, continued: bool) -> _Standing:
    if place is None:
        return _Standing(
            0, "a thread of this name is here already, with checkpoints that are not the source's"
        )
    if continued and place + 1 < count:
        return _Standing(0, "the thread was continued here before all of it was migrated")
    return _Standing(place + 1)


def _verify(saver: PlannedSaver, thread_id: str, ops: Sequence[SavePoint | SaveWrites]) -> None:
    """Reads the newest checkpoint back. Raises `MigrationError` if it is not what was given."""
    point = next(op for op in ops if isinstance(op, SavePoint))
    ns = point.config["configurable"]["checkpoint_ns"]
    address = Address(thread_id, ns, point.checkpoint["id"])
    stored: CheckpointTuple | None = saver._read(
        lambda: get_tuple(address, Codec(saver.serde), Memos(0))  # not of this process's memory
    )
    given = {
        (op.task_id, *write) for op in ops if isinstance(op, SaveWrites) for write in _bytes(saver, op.writes)
    }
    if (
        stored is None
        or sorted(_bytes(saver, stored.checkpoint["channel_values"].items()))
        != sorted(_bytes(saver, point.checkpoint["channel_values"].items()))
        or stored.checkpoint["channel_versions"] != point.checkpoint["channel_versions"]
        or {(task, *write) for task, *rest in stored.pending_writes or () for write in _bytes(saver, [rest])}
        != given
    ):
        raise MigrationError(thread_id, f"checkpoint {address.id} does not read back as it was written")


def _bytes(saver: PlannedSaver, values: Any) -> list[tuple[str, tuple[str, bytes]]]:
    return [(name, saver.serde.dumps_typed(value)) for name, value in values]
