"""The bodies of checkpoints and writes, and the tuples that are built of them. Pure.

A checkpoint's body is msgpack: v, ts, metadata (a blob), channel versions, versions seen, updated channels,
nodes (one for each channel that has a version, in that order), and a dict of nodes of values without a
version. The body of a task's writes: its path, and [place, channel, node] of each. A blob with a tag is [tag,
bytes].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

import ormsgpack

from threadkeep.checkpoint.base import Checkpoint, CheckpointMetadata, CheckpointTuple
from threadkeep.checkpoint.objects import Blob, Codec, Node, join
from threadkeep.checkpoint.requests import PointRow, WritesRow
from threadkeep.errors import CheckpointError

__all__ = [
    "Body",
    "Writes",
    "body_of",
    "checkpoint_tuple",
    "nodes_of",
    "pack_body",
    "pack_writes",
    "writes_of",
]


class Body(NamedTuple):
    """A checkpoint without its address and values."""

    v: int
    ts: str
    metadata: Blob
    versions: dict[str, Any]
    seen: dict[str, dict[str, Any]]
    updated: list[str] | None
    nodes: list[Node]
    extra: dict[str, Node]


class Writes(NamedTuple):
    """The writes of one task."""

    path: str
    entries: list[tuple[int, str, Node]]


def pack_head(checkpoint: Checkpoint, metadata: Blob) -> bytes:
    """The part of a body that needs no nodes. Raises ValueError where a name or version cannot be stored."""
    head = (
        checkpoint.get("v", 1),
        checkpoint.get("ts"),
        metadata,
        checkpoint["channel_versions"],
        checkpoint.get("versions_seen") or {},
        checkpoint.get("updated_channels"),
    )
    try:
        return ormsgpack.packb(head)
    except TypeError as error:
        raise ValueError(
            f"The checkpoint has a channel name or version that cannot be stored: {error}"
        ) from error


def pack_body(head: bytes, nodes: Sequence[Node], extra: Mapping[str, Node]) -> bytes:
    """The bytes of a body: one array of the head's six elements (0x96) and these two (0x92)."""
    return b"\x98" + head[1:] + ormsgpack.packb((nodes, extra))[1:]


def body_of(data: bytes) -> Body:
    """What `pack_body` was given."""
    v, ts, metadata, *rest = ormsgpack.unpackb(data)
    return Body(v, ts, metadata if isinstance(metadata, bytes) else (metadata[0], metadata[1]), *rest)


def pack_writes(writes: Writes) -> bytes:
    """The bytes of a task's writes."""
    try:
        return ormsgpack.packb([writes.path, writes.entries])
    except TypeError as error:
        raise ValueError(f"The writes have a channel name that cannot be stored: {error}") from error


def writes_of(data: bytes) -> Writes:
    """What `pack_writes` was given."""
    return Writes(*ormsgpack.unpackb(data))


def nodes_of(bodies: Sequence[Body], writes: Sequence[Writes]) -> Iterator[Node]:
    """All nodes in these."""
    for body in bodies:
        yield from body.nodes
        yield from body.extra.values()
    for task in writes:
        for _, _, node in task.entries:
            yield node


def checkpoint_tuple(
    row: PointRow,
    body: Body,
    waiting: Sequence[WritesRow],
    objects: Mapping[int, Blob],
    codec: Codec,
) -> CheckpointTuple:
    """The checkpoint as programs see it. Raises CheckpointError if an object is missing."""
    try:
        values = {
            channel: join(node, objects, codec)
            for channel, node in zip(body.versions, body.nodes, strict=True)
            if node is not None
        }
        values.update((channel, join(node, objects, codec)) for channel, node in body.extra.items())
        tasks = [(*writes_of(row.body), row.task) for row in waiting]
        pending = [
            (task, channel, join(node, objects, codec))
            for _, entries, task in sorted(tasks, key=_path_and_task)
            for _, channel, node in sorted(entries, key=_place)
        ]
    except KeyError as error:
        raise CheckpointError(
            f"Checkpoint {row.id} of thread {row.thread_id!r} refers to object {error}, which is not stored: "
            "the storage is damaged."
        ) from error
    here = {"thread_id": row.thread_id, "checkpoint_ns": row.ns}
    return CheckpointTuple(
        config={"configurable": {**here, "checkpoint_id": row.id}},
        checkpoint=Checkpoint(
            v=body.v,
            id=row.id,
            ts=body.ts,
            channel_values=values,
            channel_versions=body.versions,
            versions_seen=body.seen,
            updated_channels=body.updated,
        ),
        metadata=cast("CheckpointMetadata", codec.load(body.metadata)),
        parent_config={"configurable": {**here, "checkpoint_id": row.parent}} if row.parent else None,
        pending_writes=pending,
    )


def _path_and_task(task: tuple[str, list[tuple[int, str, Node]], str]) -> tuple[str, str]:
    return task[0], task[2]


def _place(entry: tuple[int, str, Node]) -> int:
    return entry[0]
