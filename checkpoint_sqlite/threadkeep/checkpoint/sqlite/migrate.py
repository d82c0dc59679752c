"""Takes over the threads of a file that LangGraph's SQLite saver wrote."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

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
from threadkeep.checkpoint.serde.base import CipherProtocol, SerializerProtocol
from threadkeep.checkpoint.sqlite.saver import SqliteSaver
from threadkeep.errors import StorageError

__all__ = ["migrate_langgraph"]

_READ = """
    SELECT parent_checkpoint_id, type, checkpoint, metadata FROM checkpoints
    WHERE thread_id = ? AND checkpoint_ns = ? AND checkpoint_id = ?
"""
_WRITES = """
    SELECT task_id, idx, channel, type, value FROM writes
    WHERE thread_id = ? AND checkpoint_ns = ? AND checkpoint_id = ? ORDER BY task_id, idx
"""
_WRITES_WITH_PATH = """
    SELECT task_id, idx, channel, type, value, task_path FROM writes
    WHERE thread_id = ? AND checkpoint_ns = ? AND checkpoint_id = ? ORDER BY task_id, idx
"""


def migrate_langgraph(
    source: str | Path,
    into: str | Path,
    *,
    serde: SerializerProtocol | None = None,
    cipher: CipherProtocol | None = None,
    on_error: OnError = "raise",
    progress: Callable[[ThreadReport], None] | None = None,
) -> MigrationReport:
    """Copies every thread of LangGraph's file *source* to the file *into*, a new one or one of ours.

    *source* is only read, and nobody should write to it meanwhile. A call that was killed is simply repeated:
    it goes on, and leaves complete threads as they are. *serde* stores the values, and says which types may
    be loaded; *cipher* decrypts values that were encrypted. *progress* is called after each thread.

    Raises `MigrationError` for a thread that cannot be read, before anything of it is written;
    `on_error="skip"` reports it and goes on. `StorageError` if *source* is not such a file.
    """
    path = Path(source).resolve()
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {source}.")
    if path == Path(into).resolve():
        raise ValueError("source and into are one file: threads are copied to a file of their own.")
    with (
        closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as conn,
        SqliteSaver.from_conn_string(into, serde=serde) as saver,
    ):
        rows = _File(conn, ForeignValues(saver.serde, cipher))
        return migrate(rows, saver, lambda: _size(saver.conn), on_error, progress)


class _File:
    """The rows of LangGraph's file."""

    def __init__(self, conn: sqlite3.Connection, values: ForeignValues) -> None:
        self._conn = conn
        self._values = values
        try:
            columns = {row[1] for row in conn.execute("PRAGMA table_info(writes)")}
            there = conn.execute("SELECT count(*) FROM checkpoints WHERE checkpoint_ns IS NULL").fetchone()
        except sqlite3.DatabaseError as error:
            raise StorageError(f"This is not a file of LangGraph's SQLite saver: {error}.") from error
        if there is None or "task_id" not in columns:
            raise StorageError("This is not a file of LangGraph's SQLite saver: it has no table of writes.")
        self._writes = _WRITES_WITH_PATH if "task_path" in columns else _WRITES

    def threads(self) -> list[str]:
        """The names of all threads."""
        return [row[0] for row in self._conn.execute("SELECT DISTINCT thread_id FROM checkpoints ORDER BY 1")]

    def keys(self, thread_id: str) -> list[Key]:
        """The thread's checkpoints, in order."""
        statement = "SELECT checkpoint_id, checkpoint_ns FROM checkpoints WHERE thread_id = ? ORDER BY 1, 2"
        return [Key(*row) for row in self._conn.execute(statement, (thread_id,))]

    def read(self, thread_id: str, keys: Sequence[Key]) -> Iterator[Point]:
        """These checkpoints."""
        for key in keys:
            address = (thread_id, key.ns, key.id)
            parent, tag, body, metadata = self._conn.execute(_READ, address).fetchone()
            yield Point(
                key,
                parent or None,
                self._values.load(tag, body),
                _metadata(metadata),
                self._tasks(address),
            )

    def _tasks(self, address: tuple[str, str, str]) -> list[TaskWrites]:
        tasks: dict[str, TaskWrites] = {}
        for task, place, channel, tag, value, *path in self._conn.execute(self._writes, address):
            found = tasks.setdefault(task, TaskWrites(task, path[0] if path else "", []))
            found.entries.append((place, channel, self._values.load(tag, value)))
        return sorted(tasks.values(), key=lambda each: (each.path, each.task))

    def size(self) -> int:
        """Bytes that the rows of all threads take."""
        return _size(self._conn)


def _metadata(stored: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stored) if stored else {}
    return found


def _size(conn: sqlite3.Connection) -> int:
    pages, page = (conn.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    return int(pages * page)
