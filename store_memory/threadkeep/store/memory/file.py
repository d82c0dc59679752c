"""A store as one file: a header, then what it holds through a serialiser.

The header: 16 bytes of magic, the version of the format (4 bytes, little-endian), a digest of the rest (16
bytes); then the serialiser's tag, a zero byte and its bytes. Loading builds JSON values and float32 arrays
only, and checks each as a put would.
"""

from __future__ import annotations

import os
import tempfile
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
    """What a file holds. The rows of *matrix* are those of the items, in their order."""

    distance: str | None
    items: list[list[Any]]
    """As `plain` makes them."""
    matrix: Floats | None
    """None of a store without an index."""


def plain(record: Record) -> list[Any]:
    """An item as it is saved."""
    return [
        list(record.namespace),
        record.key,
        record.value,
        record.created_at,
        record.updated_at,
        record.ttl,
        record.expires_at,
        record.words,
        list(record.rows),
    ]


def save(path: Path, saved: Saved, serde: SerializerProtocol) -> None:
    """Writes the file in one go: after a crash there is the old one or the new one."""
    tag, body = serde.dumps_typed(saved._asdict())
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


class Loaded(NamedTuple):
    """A checked `Saved`: each record, and the hashes of the texts whose vectors are its rows."""

    distance: str | None
    items: list[tuple[Record, list[bytes]]]
    matrix: Floats | None


def load(path: Path, serde: SerializerProtocol) -> Loaded:
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
        return _checked(serde.loads_typed((data[HEADER:end].decode(), data[end + 1 :])))
    except Exception as error:
        raise StorageError(f"{path} does not hold a store that this serialiser reads: {error}") from error


def _digest(data: bytes | memoryview) -> bytes:
    return blake2b(data, digest_size=16).digest()


def _checked(found: Any) -> Loaded:
    matrix = None if found["matrix"] is None else _matrix(found["matrix"])
    items = [_record(item) for item in found["items"]]
    _check(len({(record.namespace, record.key) for record, _ in items}) == len(items), "items twice")
    _check(sum(len(names) for _, names in items) == (0 if matrix is None else len(matrix)), "vectors")
    return Loaded(found["distance"], items, matrix)


def _matrix(found: Any) -> Floats:
    import numpy as np

    _check(isinstance(found, np.ndarray) and found.dtype == np.float32 and found.ndim == 2, "vectors")
    _check(bool(np.isfinite(found).all()), "vectors")
    return np.ascontiguousarray(found)


def _record(item: Any) -> tuple[Record, list[bytes]]:
    namespace, key, value, created, updated, ttl, expires_at, words, names = item
    _check(isinstance(value, dict), "values")
    op = PutOp(tuple(namespace), key, value, ttl=ttl)
    validate_op_namespace(op)
    record = Record(op.namespace, op.key, own(value), created, updated)
    times = [created, updated] if expires_at is None else [created, updated, expires_at]
    _check(all(isinstance(time, datetime) and time.tzinfo is not None for time in times), "times")
    _check((ttl is None) == (expires_at is None) and isinstance(words, bool), "expiry")
    _check(all(isinstance(name, bytes) for name in names) and len(set(names)) == len(names), "vectors")
    record.ttl, record.expires_at, record.words = ttl, expires_at, words
    return record, names


def _check(right: bool, what: str) -> None:
    if not right:
        raise ValueError(f"its {what} are not such as a store saves")
