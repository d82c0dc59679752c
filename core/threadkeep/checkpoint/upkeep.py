"""The plans that delete, prune and copy. Pure.

What takes long is a job: it yields batches, each of which is one short transaction and safe alone. A job that
is broken off leaves objects that nothing refers to, and an odd epoch that says so; the next one sweeps them.

A sweep first marks what checkpoints and writes refer to, page by page, and then deletes the rest. Meanwhile
others may store. An object that nothing refers to is not found again, since in an odd epoch nobody looks for
objects by their bytes, and nobody remembers any of before. What a new checkpoint has of its parent was marked
with the parent, or is marked with the new one, which comes later in its namespace. Numbers of new objects are
greater than those that are swept; to keep it so, the sweep goes from low numbers to high.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from threadkeep.checkpoint import requests as ask
from threadkeep.checkpoint.drafts import check_name
from threadkeep.checkpoint.ids import uuid6
from threadkeep.checkpoint.objects import Blob, Codec, Node, Range, minus, missing, needs
from threadkeep.checkpoint.records import body_of, nodes_of, writes_of
from threadkeep.checkpoint.requests import Plan, PointRow, StoredRow, ThreadRow

__all__ = ["Batch", "Job", "copy_thread", "delete_for_runs", "delete_thread", "marks", "next_batch", "prune"]

ROWS = 200
"""Checkpoints and writes in one batch."""
OBJECTS = 5_000


class Batch(NamedTuple):
    """One transaction of a job."""

    plan: Callable[[], Plan[Any]]
    writes: bool = True


Job = Generator[Batch, Any, None]


def next_batch(job: Job, result: Any) -> Batch | None:
    """What is to be done after a batch that gave this result (None to begin); None at the end."""
    try:
        return job.send(result)
    except StopIteration:
        return None


def delete_thread(thread_id: str) -> Plan[None]:
    """Deletes a thread and leaves a grave, so that late writes are refused. Nothing for an unknown thread."""
    row: ThreadRow | None = yield ask.FindThread(check_name("thread_id", thread_id))
    if row is not None:
        yield ask.DropThread(row.no, uuid6())


def prune(thread_ids: Sequence[str], strategy: str) -> Job:
    """Deletes all but the newest checkpoint of each namespace ("keep_latest"), or the threads ("delete")."""
    if strategy not in ("keep_latest", "delete"):
        raise ValueError(f'strategy is "keep_latest" or "delete", not {strategy!r}.')
    for thread_id in [check_name("thread_id", each) for each in thread_ids]:
        if strategy == "delete":
            yield Batch(partial(delete_thread, thread_id))
        elif (yield Batch(partial(_needs_pruning, thread_id), writes=False)):
            while (yield Batch(partial(_drop_stale, thread_id))):
                pass
            yield from _sweep(thread_id)


def delete_for_runs(run_ids: Collection[str], codec: Codec) -> Job:
    """Deletes the checkpoints of these runs. Where storage cannot search metadata, all are read."""
    wanted = set(map(str, run_ids))
    last = 0
    while wanted:
        batch = Batch(partial(_one, ask.Threads(wanted, last, ROWS)), writes=False)
        threads: list[tuple[str, ThreadRow]] = yield batch
        for thread_id, thread in threads:
            yield from _delete_runs_of(thread_id, thread, wanted, codec)
        if len(threads) < ROWS:
            break
        last = threads[-1][1].no


def _one(request: ask.Request) -> Plan[Any]:
    return (yield request)


def _delete_runs_of(thread_id: str, thread: ThreadRow, wanted: set[str], codec: Codec) -> Job:
    filter = {"run_id": next(iter(wanted))} if len(wanted) == 1 else {}
    after: tuple[str, int, str] | None = None
    dropped = thread.is_swept
    while True:
        page = ask.Page(thread.no, None, after, ROWS, filter)
        rows: list[PointRow] = yield Batch(partial(_one, page), writes=False)
        if gone := [(row.ns, row.id) for row in rows if _run_of(row, codec) in wanted]:
            dropped = True
            yield Batch(partial(_drop, thread_id, gone))
        if len(rows) < ROWS:
            break
        after = (rows[-1].id, rows[-1].no, rows[-1].ns)
    if dropped:
        yield from _sweep(thread_id)


def _run_of(row: PointRow, codec: Codec) -> str:
    return str(codec.load(body_of(row.body).metadata).get("run_id"))


def _needs_pruning(thread_id: str) -> Plan[bool]:
    thread: ThreadRow | None = yield ask.FindThread(thread_id)
    return thread is not None and (thread.is_swept or bool((yield ask.Stale(thread.no, 1))))


def _drop_stale(thread_id: str) -> Plan[bool]:
    """Deletes some checkpoints; says whether there may be more."""
    thread: ThreadRow = yield ask.FindThread(thread_id)
    stale: list[tuple[str, str]] = yield ask.Stale(thread.no, ROWS)
    yield from _drop_points(thread, stale)
    return len(stale) == ROWS


def _drop(thread_id: str, points: Sequence[tuple[str, str]]) -> Plan[None]:
    thread: ThreadRow = yield ask.FindThread(thread_id)
    yield from _drop_points(thread, points)


def _drop_points(thread: ThreadRow, points: Sequence[tuple[str, str]]) -> Plan[None]:
    if not points:
        return
    if not thread.is_swept:
        yield ask.Touch(thread.no, sweeping=True)
    yield ask.DropPoints(thread.no, points)


def _sweep(thread_id: str) -> Job:
    """Deletes the objects of a thread that no checkpoint and no write refers to."""
    thread: ThreadRow = yield Batch(partial(_begin_sweep, thread_id))
    marked: list[Range] = []
    after: Any = ()
    while after is not None:
        more, after = yield Batch(partial(_mark, thread.no, after or None), writes=False)
        marked = missing([*marked, *more], {})
    last: int | None = 0
    while last is not None:
        last = yield Batch(partial(_sweep_some, thread_id, thread, marked, last))


def _begin_sweep(thread_id: str) -> Plan[ThreadRow]:
    thread: ThreadRow = yield ask.FindThread(thread_id)
    epoch: int = yield ask.Touch(thread.no, sweeping=True)
    return thread._replace(epoch=epoch)


def _mark(no: int, after: Any) -> Plan[tuple[list[Range], Any]]:
    rows, end = yield ask.Rows(no, after, ROWS)
    return (yield from marks(no, nodes_in(rows), {})), end


def nodes_in(rows: Iterable[StoredRow]) -> list[Node]:
    """All nodes in these rows."""
    bodies = [body_of(row.body) for row in rows if row.task is None]
    return [*nodes_of(bodies, [writes_of(row.body) for row in rows if row.task is not None])]


def marks(no: int, nodes: Sequence[Node], objects: Mapping[int, Blob]) -> Plan[list[Range]]:
    """The numbers of all objects that nodes refer to. `objects`: some of the thread's that are at hand."""
    while True:
        ranges, closed = needs(nodes, objects)
        lacking = [n for n in closed if n not in objects]
        if not lacking:
            return missing(ranges, {})
        found: Mapping[int, Blob] = yield ask.ReadObjects(no, missing([(n, 1) for n in lacking], {}))
        objects = {**objects, **{n: found[n] for n in lacking}}


def _sweep_some(thread_id: str, begun: ThreadRow, marked: Sequence[Range], last: int) -> Plan[int | None]:
    """Deletes some objects above the last number seen; gives the next, None at the end."""
    thread: ThreadRow = yield ask.FindThread(thread_id)
    if thread.epoch != begun.epoch:
        return None  # a sweep that began later finds what this one would
    numbers: list[int] = yield ask.Numbers(thread.no, last, OBJECTS)
    old = [n for n in numbers if n < begun.next]
    if garbage := minus(missing([(n, 1) for n in old], {}), marked):
        yield ask.DropObjects(thread.no, garbage)
    if len(old) == OBJECTS:
        return old[-1]
    yield ask.Touch(thread.no)
    return None


def copy_thread(source: str, target: str) -> Plan[None]:
    """Copies a thread. Raises ValueError if the target has checkpoints; nothing if the source has none."""
    here: ThreadRow | None = yield ask.FindThread(check_name("source_thread_id", source))
    there: ThreadRow | None = yield ask.FindThread(check_name("target_thread_id", target))
    if here is None:
        return
    if there is not None:
        rows, _ = yield ask.Rows(there.no, None, 1)
        if rows:
            raise ValueError(f"Thread {target!r} has checkpoints; copy to a new thread, or delete it first.")
        # Writes without a checkpoint may be there, and what a sweep that was broken off has left.
        yield ask.DropThread(there.no, there.grave)
    else:
        there = yield ask.AddThread(target)
    yield ask.Copy(here.no, there.no)
