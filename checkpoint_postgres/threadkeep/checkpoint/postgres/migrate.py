"""Takes over the threads in the tables of LangGraph's Postgres saver."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from psycopg import Connection, Cursor
from psycopg.rows import tuple_row
from psycopg_pool import ConnectionPool

from threadkeep.checkpoint.foreign import (
    ForeignValues,
    Key,
    MigrationReport,
    OnError,
    Point,
    TaskWrites,
    ThreadReport,
    migrate,
)
from threadkeep.checkpoint.postgres.saver import PostgresSaver
from threadkeep.checkpoint.postgres.tables import CHECKPOINTS
from threadkeep.checkpoint.serde.base import CipherProtocol, SerializerProtocol
from threadkeep.errors import StorageError

__all__ = ["migrate_langgraph"]

_PAGE = 20
"""Checkpoints that are read at once."""
_COLUMNS = """
    SELECT attname FROM pg_attribute
    WHERE attrelid = to_regclass('checkpoints') AND attnum > 0 AND NOT attisdropped
"""
_THREADS = "SELECT DISTINCT thread_id FROM checkpoints"
_KEYS = "SELECT checkpoint_id, checkpoint_ns FROM checkpoints WHERE thread_id = %s"
_POINTS = """
    SELECT c.checkpoint_ns, c.checkpoint_id, c.parent_checkpoint_id, c.checkpoint, c.metadata
    FROM unnest(%s::text[], %s::text[]) AS k (ns, id)
    JOIN checkpoints c ON c.thread_id = %s AND c.checkpoint_ns = k.ns AND c.checkpoint_id = k.id
"""
_BLOBS = """
    SELECT b.checkpoint_ns, b.channel, b.version, b.type, b.blob
    FROM unnest(%s::text[], %s::text[], %s::text[]) AS k (ns, channel, version)
    JOIN checkpoint_blobs b ON b.thread_id = %s AND b.checkpoint_ns = k.ns
        AND b.channel = k.channel AND b.version = k.version
"""
_WRITES = """
    SELECT w.checkpoint_ns, w.checkpoint_id, w.task_id, w.task_path, w.idx, w.channel, w.type, w.blob
    FROM unnest(%s::text[], %s::text[]) AS k (ns, id)
    JOIN checkpoint_writes w ON w.thread_id = %s AND w.checkpoint_ns = k.ns AND w.checkpoint_id = k.id
    ORDER BY w.task_path, w.task_id, w.idx
"""
_SIZE = """
    SELECT sum(pg_total_relation_size(name)) FROM unnest(ARRAY[
        'checkpoints'::regclass, 'checkpoint_blobs'::regclass, 'checkpoint_writes'::regclass]) AS name
"""
_OUR_SIZE = """
    SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND c.relname = ANY(%s)
"""
Conn = Connection[Any] | ConnectionPool[Any]


def migrate_langgraph(
    conn: Conn,
    *,
    schema: str = "public",
    serde: SerializerProtocol | None = None,
    cipher: CipherProtocol | None = None,
    on_error: OnError = "raise",
    progress: Callable[[ThreadReport], None] | None = None,
) -> MigrationReport:
    """Copies every thread of LangGraph's tables, which *conn* finds by its search path, to ours in *schema*.

    Its tables are only read, and nobody should write to them meanwhile; ours are set up if need be. A call
    that was killed is simply repeated: it goes on, and leaves complete threads as they are. *serde* stores
    the values, and says which types may be loaded; *cipher* decrypts values that were encrypted. *progress*
    is called after each thread.

    Raises `MigrationError` for a thread that cannot be read, before anything of it is written;
    `on_error="skip"` reports it and goes on. `StorageError` if there are no such tables.
    """
    saver = PostgresSaver(conn, serde=serde, schema=schema)
    rows = _Tables(conn, ForeignValues(saver.serde, cipher))
    saver.setup()
    names = [f"threadkeep_{name}" for name in CHECKPOINTS.tables]

    def size() -> int:
        return int(rows.all(_OUR_SIZE, (schema, names))[0][0])

    return migrate(rows, saver, size, on_error, progress)


class _Tables:
    """The rows of LangGraph's tables."""

    def __init__(self, conn: Conn, values: ForeignValues) -> None:
        self._conn = conn
        self._values = values
        columns = {row[0] for row in self.all(_COLUMNS)}
        if not columns:
            raise StorageError("There are no tables of LangGraph's Postgres saver on the search path.")
        if "checkpoint_id" not in columns:
            raise StorageError("These are the tables of LangGraph's shallow saver, which are not read here.")

    @contextmanager
    def _cursor(self) -> Iterator[Cursor[Any]]:
        """A cursor in a transaction of its own."""
        if isinstance(self._conn, ConnectionPool):
            with self._conn.connection() as conn, conn.transaction():
                yield conn.cursor(row_factory=tuple_row, binary=True)
        else:
            with self._conn.transaction():
                yield self._conn.cursor(row_factory=tuple_row, binary=True)

    def all(self, statement: Any, parameters: Sequence[Any] = ()) -> list[Any]:
        """All rows of a statement."""
        with self._cursor() as cursor:
            return cursor.execute(statement, parameters).fetchall()

    def threads(self) -> list[str]:
        """The names of all threads."""
        return sorted(row[0] for row in self.all(_THREADS))

    def keys(self, thread_id: str) -> list[Key]:
        """The thread's checkpoints, in order."""
        return sorted(Key(*row) for row in self.all(_KEYS, (thread_id,)))

    def read(self, thread_id: str, keys: Sequence[Key]) -> Iterator[Point]:
        """These checkpoints."""
        for start in range(0, len(keys), _PAGE):
            yield from self._page(thread_id, keys[start : start + _PAGE])

    def _page(self, thread_id: str, keys: Sequence[Key]) -> Iterator[Point]:
        places = [key.ns for key in keys], [key.id for key in keys], thread_id
        with self._cursor() as cursor:
            points = {Key(row[1], row[0]): row[2:] for row in cursor.execute(_POINTS, places)}
            wanted = {
                (ns, channel, str(version))
                for (_, ns), (_, checkpoint, _) in points.items()
                for channel, version in (checkpoint.get("channel_versions") or {}).items()
            }
            columns = [list(column) for column in zip(*wanted, strict=True)] or [[], [], []]
            blobs = cursor.execute(_BLOBS, (*columns, thread_id)).fetchall()
            writes = cursor.execute(_WRITES, places).fetchall()
        values = {
            (ns, channel, version): self._values.load(tag, blob)
            for ns, channel, version, tag, blob in blobs
            if tag != "empty"
        }
        tasks: dict[Key, dict[str, TaskWrites]] = {}
        for ns, id, task, path, place, channel, tag, blob in writes:
            found = tasks.setdefault(Key(id, ns), {}).setdefault(task, TaskWrites(task, path, []))
            found.entries.append((place, channel, self._values.load(tag, blob)))
        for key in keys:
            parent, checkpoint, metadata = points[key]
            checkpoint["channel_values"] = _all_values(key.ns, checkpoint, values)
            yield Point(key, parent or None, checkpoint, metadata, list(tasks.get(key, {}).values()))

    def size(self) -> int:
        """Bytes that the rows of all threads take."""
        return int(self.all(_SIZE)[0][0])


def _all_values(
    ns: str, checkpoint: dict[str, Any], values: dict[tuple[str, str, str], Any]
) -> dict[str, Any]:
    """The values that stand in the checkpoint's own row, and those of the table of values."""
    found: dict[str, Any] = dict(checkpoint.get("channel_values") or {})
    for channel, version in (checkpoint.get("channel_versions") or {}).items():
        place = (ns, channel, str(version))
        if place in values:
            found[channel] = values[place]
    return found
