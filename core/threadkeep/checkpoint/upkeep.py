"""The plans that delete, prune and copy. Pure.

Whatever deletes a checkpoint sweeps its thread: objects that nothing refers to any more go with it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from threadkeep.checkpoint import requests as ask
from threadkeep.checkpoint.drafts import check_name
from threadkeep.checkpoint.ids import uuid6
from threadkeep.checkpoint.objects import Blob, Codec, Range, missing, needs
from threadkeep.checkpoint.records import body_of, nodes_of, writes_of
from threadkeep.checkpoint.requests import Plan, PointRow, ThreadRow

__all__ = ["copy_thread", "delete_for_runs", "delete_thread", "prune"]


def delete_thread(thread_id: str) -> Plan[None]:
    """Deletes a thread and leaves a grave, so that late writes are refused. Nothing for an unknown thread."""
    row: ThreadRow | None = yield ask.FindThread(check_name("thread_id", thread_id))
    if row is not None:
        yield ask.DropThread(row.no, uuid6())


def delete_for_runs(run_ids: Collection[str], codec: Codec) -> Plan[None]:
    """Deletes the checkpoints of these runs. Reads the metadata of every checkpoint there is."""
    wanted = set(map(str, run_ids))

    def of_run(row: PointRow) -> bool:
        return str(codec.load(body_of(row.body).metadata).get("run_id")) in wanted

    threads: list[tuple[str, ThreadRow]] = yield ask.ThreadNumbers(wanted)
    for _, thread in threads:
        yield from _drop(thread.no, lambda rows: filter(of_run, rows))


def prune(thread_ids: Sequence[str], strategy: str) -> Plan[None]:
    """Deletes all but the newest checkpoint of each namespace ("keep_latest"), or the threads ("delete")."""
    if strategy not in ("keep_latest", "delete"):
        raise ValueError(f'strategy is "keep_latest" or "delete", not {strategy!r}.')
    for thread_id in thread_ids:
        if strategy == "delete":
            yield from delete_thread(thread_id)
            continue
        thread: ThreadRow | None = yield ask.FindThread(check_name("thread_id", thread_id))
        if thread is not None:
            yield from _drop(thread.no, _not_latest)


def _not_latest(rows: Iterable[PointRow]) -> list[PointRow]:
    seen: set[str] = set()
    older = []
    for row in rows:
        if row.ns in seen:
            older.append(row)
        seen.add(row.ns)
    return older


def _drop(no: int, choose: Callable[[list[PointRow]], Iterable[PointRow]]) -> Plan[None]:
    points, _ = yield ask.AllRows(no)
    if gone := [(row.ns, row.id) for row in choose(points)]:
        yield ask.DropPoints(no, gone)
        yield from _sweep(no)


def _sweep(no: int) -> Plan[None]:
    """Deletes the objects of a thread that no checkpoint and no write refers to."""
    points, writes = yield ask.AllRows(no)
    nodes = list(nodes_of([body_of(row.body) for row in points], [writes_of(body) for body in writes]))
    objects: Mapping[int, Blob] = {}
    while True:
        ranges, closed = needs(nodes, objects)
        lacking = [n for n in closed if n not in objects]
        if not lacking:
            break
        found: Mapping[int, Blob] = yield ask.ReadObjects(no, missing([(n, 1) for n in lacking], {}))
        objects = {**objects, **{n: found[n] for n in lacking}}
    kept: list[Range] = missing(ranges, {})
    yield ask.DropObjects(no, kept)
    yield ask.Touch(no)


def copy_thread(source: str, target: str) -> Plan[None]:
    """Copies a thread. Raises ValueError if the target has checkpoints; nothing if the source has none."""
    here: ThreadRow | None = yield ask.FindThread(check_name("source_thread_id", source))
    there: ThreadRow | None = yield ask.FindThread(check_name("target_thread_id", target))
    if here is None:
        return
    if there is not None:
        points, writes = yield ask.AllRows(there.no)
        if points or writes:
            raise ValueError(f"Thread {target!r} has checkpoints; copy to a new thread, or delete it first.")
        yield ask.Touch(there.no)
    else:
        there = yield ask.AddThread(target)
    yield ask.Copy(here.no, there.no)
