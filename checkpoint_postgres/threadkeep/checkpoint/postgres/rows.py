"""What the tables' rows hold, as parameters: columns of checkpoints, writes, objects; whole commits. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

from psycopg.types.numeric import Int8

from threadkeep.checkpoint.foretold import Foretold
from threadkeep.checkpoint.objects import NODE_TAG, Blob, Range, blob_size
from threadkeep.checkpoint.postgres import sql
from threadkeep.checkpoint.postgres.names import checked_id, escape, key_of, labels, place_of
from threadkeep.checkpoint.requests import NewPoint, NewWrites
from threadkeep.postgres.arrays import Byteas, Numbers, Texts
from threadkeep.postgres.statements import Statement, Statements

__all__ = [
    "Storage", "bounds", "checked", "commit", "commit_all", "is_large", "object_columns", "point_columns",
    "reference", "write_columns",
]  # fmt: skip


class Storage(NamedTuple):
    """What the sessions of one saver share."""

    statements: Statements
    hash_key: bytes
    max_value_bytes: int
    searchable: bool
    """Whether metadata may be copied to where filters can search it: not if the serialiser encrypts."""


def checked(storage: Storage, blob: Blob) -> Any:
    """The same, if it is not too large."""
    if blob_size(blob) > storage.max_value_bytes:
        raise ValueError(
            f"A value has {blob_size(blob):,} bytes; at most {storage.max_value_bytes:,} are "
            "allowed (max_value_bytes). Store large files elsewhere and keep their address in the state."
        )
    return blob


def point_columns(
    storage: Storage, points: Sequence[NewPoint], metadata: Sequence[Mapping[str, Any]]
) -> tuple[Byteas, Texts, Texts, Texts, Texts, Byteas]:
    """Keys of namespaces, namespaces, ids, parents' ids, labels, bodies; of equal ids the last."""
    columns = Byteas(), Texts(), Texts(), Texts(), Texts(), Byteas()
    places = {(ns, id): i for i, (ns, id, _, _) in enumerate(points)}
    for i in places.values():
        ns, id, parent, body = points[i]
        columns[0].append(key_of(ns))
        columns[1].append(escape(ns))
        columns[2].append(checked_id(id))
        columns[3].append(None if parent is None else checked_id(parent))
        columns[4].append(labels(metadata[i]) if storage.searchable else None)
        columns[5].append(checked(storage, body))
    return columns


def write_columns(
    storage: Storage, writes: Sequence[NewWrites]
) -> tuple[Byteas, Texts, Byteas, Texts, Byteas]:
    """Namespaces' keys, checkpoints' ids, tasks' keys, tasks, bodies."""
    columns = Byteas(), Texts(), Byteas(), Texts(), Byteas()
    for ns, id, task, body in writes:
        columns[0].append(key_of(ns))
        columns[1].append(checked_id(id))
        columns[2].append(key_of(task))
        columns[3].append(escape(task))
        columns[4].append(checked(storage, body))
    return columns


def object_columns(
    storage: Storage, first: int, blobs: Sequence[Blob]
) -> tuple[Numbers, Byteas, Texts, Byteas]:
    """Numbers, places, tags, bodies."""
    columns = Numbers(range(first, first + len(blobs))), Byteas(), Texts(), Byteas()
    key = storage.hash_key
    for blob in blobs:
        checked(storage, blob)
        tag, body = (None, blob) if isinstance(blob, bytes) else blob
        columns[1].append(None if tag == NODE_TAG else place_of(blob, key))
        columns[2].append(tag)
        columns[3].append(body)
    return columns


def bounds(ranges: Sequence[Range]) -> tuple[Numbers, Numbers]:
    """First and last number of each range."""
    return Numbers(first for first, _ in ranges), Numbers(first + count - 1 for first, count in ranges)


def _columns_of(storage: Storage, it: Foretold) -> tuple[Sequence[Any], Sequence[Any], Sequence[Any]]:
    first, blobs = (it.objects.first, it.objects.blobs) if it.objects else (0, ())
    every = it.known.rows is not None
    return (
        point_columns(storage, it.points, it.metadata) if it.points or every else (),
        write_columns(storage, it.writes) if it.writes or every else (),
        object_columns(storage, first, blobs) if blobs or every else (),
    )


def commit(storage: Storage, it: Foretold) -> Statement:
    """The statement that stores a foretold commit; it gives the number of the thread, or no row."""
    row, change, *_ = it.known
    ask, parts = storage.statements.ask, _columns_of(storage, it)
    if it.known.rows is not None:
        thread: tuple[Any, ...] = (Int8(it.next), Int8(it.epoch), Int8(row.no), Int8(change))
        gone = Byteas(key_of(ns) for ns, _ in it.dropped), Texts(checked_id(id) for _, id in it.dropped)
        return ask(sql.COMMIT_SHALLOW, *thread, *chain.from_iterable(parts), *gone, *bounds(it.gone))
    if row.no:
        thread = Int8(it.next), Int8(row.no), Int8(change)
    else:
        thread = Int8(it.next), key_of(it.thread_id), escape(it.thread_id)
    points, writes, objects = map(bool, parts)
    return ask(sql.COMMITS[not row.no, points, writes, objects], *thread, *chain.from_iterable(parts))


def commit_all(storage: Storage, them: Sequence[Foretold]) -> Statement:
    """The statement that stores commits of different threads, all new or all known.

    It gives number and `reference` of the threads whose commits it stored.
    """
    new = not them[0].known.row.no
    refs: type[Any] = Byteas if new else Numbers
    threads: tuple[Any, ...] = (Numbers(), Byteas(), Texts()) if new else (Numbers(), Numbers(), Numbers())
    parts: list[tuple[Any, ...]] = [
        (refs(), Byteas(), Texts(), Texts(), Texts(), Texts(), Byteas()),
        (refs(), Byteas(), Texts(), Byteas(), Texts(), Byteas()),
        (refs(), Numbers(), Byteas(), Texts(), Byteas()),
    ]
    for it in sorted(them, key=reference):  # in one order in all processes: none waits for another in a ring
        ref = reference(it)
        thread = (it.next, ref, escape(it.thread_id) if new else it.known.change)
        for column, value in zip(threads, thread, strict=True):
            column.append(value)
        for columns, mine in zip(parts, _columns_of(storage, it), strict=True):
            if mine:
                columns[0].extend([ref] * len(mine[0]))
                for column, values in zip(columns[1:], mine, strict=True):
                    column.extend(values)
    return storage.statements.ask(
        sql.COMMIT_ALL_NEW if new else sql.COMMIT_ALL, *threads, *chain.from_iterable(parts)
    )


def reference(it: Foretold) -> Any:
    """What stands for the thread in `commit_all`: its number, or the key of a new one."""
    return it.known.row.no or key_of(it.thread_id)


def is_large(it: Foretold) -> bool:
    """Whether others should not wait for its objects: more than 256 KB."""
    return it.objects is not None and sum(map(blob_size, it.objects.blobs)) > 262_144
