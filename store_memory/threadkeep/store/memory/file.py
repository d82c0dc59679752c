"""A store as one file: a header, then what it holds through a serialiser.

The header: 16 bytes of magic, the version of the format (4 bytes, little-endian), a digest of the rest (16
bytes); then the serialiser's tag, a zero byte and its bytes. Loading builds JSON values and float32 arrays
only, and checks each as a put would.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from threadkeep.checkpoint.serde.base import SerializerProtocol
from threadkeep.errors import ForeignFileError, SchemaVersionError, StorageError
from threadkeep.store.base import PutOp, validate_op_namespace
from threadkeep.store.memory.items import Record
from threadkeep.store.values import own

if TYPE_CHECKING:
    from threadkeep.store.memory.vectors import Floats

MAGIC = b"threadkeep store"
VERSION = 1
HEADER = len(MAGIC) + 4 + 16


class Saved(NamedTuple):
    """What a file holds: items, and the rows of their vectors (None of a store without an index)."""

    distance: str | None
    items: list[Record]
    """Their `rows` count from 0 in *matrix*."""
    matrix: Floats | None


def save(path: Path, saved: Saved, serde: SerializerProtocol) -> None:
    """Writes the file in one go: after a crash there is the old one or the new one."""
    items = [_plain(record) for record in saved.items]
    tag, body = serde.dumps_typed({"distance": saved.distance, "items": items, "vectors": saved.matrix})
    rest = tag.encode() + b"\0" + body
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(MAGIC + VERSION.to_bytes(4, "little") + _digest(rest))
            file.write(rest)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def load(path: Path, serde: SerializerProtocol) -> Saved:
    """What `save` wrote. Raises `ForeignFileError`, `SchemaVersionError`, `StorageError` if it is damaged."""
    data = path.read_bytes()
    if data[: len(MAGIC)] != MAGIC:
        raise ForeignFileError(f"{path} is not a file that InMemoryStore.save wrote.")
    version = int.from_bytes(data[len(MAGIC) : len(MAGIC) + 4], "little")
    if version > VERSION:
        raise SchemaVersionError(
            f"{path} has version {version} of the format; this library reads up to {VERSION}. Upgrade it."
        )
    rest = memoryview(data)[HEADER:]
    if _digest(rest) != data[HEADER - 16 : HEADER]:
        raise StorageError(
            f"{path} is damaged: it is cut short, or its bytes have changed. Use a copy of it."
        )
    try:
        end = data.index(b"\0", HEADER)
        return _saved(serde.loads_typed((data[HEADER:end].decode(), data[end + 1 :])))
    except Exception as error:
        raise StorageError(f"{path} does not hold a store that this serialiser reads: {error}") from error


def _digest(data: bytes | memoryview) -> bytes:
    return blake2b(data, digest_size=16).digest()


def _plain(record: Record) -> list[Any]:
    return [
        list(record.namespace),
        record.key,
        record.value,
        record.created_at,
        record.updated_at,
        record.ttl,
        record.expires_at,
        record.words,
        record.rows,
    ]


def _saved(found: Any) -> Saved:
    matrix = None if found["vectors"] is None else _matrix(found["vectors"])
    items = [_record(item) for item in found["items"]]
    _check(len({(record.namespace, record.key) for record in items}) == len(items), "items twice")
    rows = [row for record in items for row in record.rows.values()]
    _check(sorted(rows) == list(range(0 if matrix is None else len(matrix))), "rows")
    return Saved(found["distance"], items, matrix)


def _matrix(found: Any) -> Floats:
    import numpy as np

    _check(isinstance(found, np.ndarray) and found.dtype == np.float32 and found.ndim == 2, "vectors")
    _check(bool(np.isfinite(found).all()), "vectors")
    return np.ascontiguousarray(found)


def _record(item: Any) -> Record:
    namespace, key, value, created, updated, ttl, expires_at, words, rows = item
    _check(isinstance(value, dict), "values")
    op = PutOp(tuple(namespace), key, value, ttl=ttl)
    validate_op_namespace(op)
    record = Record(op.namespace, op.key, own(value), created, updated)
    times = [created, updated] if expires_at is None else [created, updated, expires_at]
    _check(all(isinstance(time, datetime) and time.tzinfo is not None for time in times), "times")
    _check((ttl is None) == (expires_at is None) and isinstance(words, bool), "expiry")
    _check(all(isinstance(name, bytes) and type(row) is int for name, row in rows.items()), "rows")
    record.ttl, record.expires_at, record.words, record.rows = ttl, expires_at, words, dict(rows)
    return record


def _check(right: bool, what: str) -> None:
    if not right:
        raise ValueError(f"its {what} are not such as a store saves")


def numbered(records: Iterable[Record]) -> tuple[list[Record], list[int]]:
    """Copies of the records whose rows count from 0, and where each of these rows is now."""
    copies: list[Record] = []
    places: list[int] = []
    for record in records:
        copy = record.copied()
        copy.rows = {name: len(places) + number for number, name in enumerate(record.rows)}
        places.extend(record.rows.values())
        copies.append(copy)
    return copies, places
