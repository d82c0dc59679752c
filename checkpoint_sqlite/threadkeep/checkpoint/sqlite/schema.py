"""The tables of a file and their history. Knows SQL and `sqlite3`; nothing of checkpoints.

Migrations are immutable: a change is a new entry. The ledger keeps the checksum of each one that was applied.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from typing import NamedTuple

from threadkeep.errors import ForeignFileError, SchemaVersionError

__all__ = ["APPLICATION_ID", "MIGRATIONS", "Migration", "migrate"]

APPLICATION_ID = 0x746B6565
"""Marks the file as ours ("tkee")."""
_LOCK = "BEGIN IMMEDIATE"


class Migration(NamedTuple):
    """A step from one version of the schema to the next."""

    name: str
    statements: tuple[str, ...]

    def checksum(self) -> str:
        """What the ledger keeps."""
        return hashlib.sha256("\n;\n".join((self.name, *self.statements)).encode()).hexdigest()


MIGRATIONS = (
    Migration(
        "checkpoints",
        (
            # A thread's number is never used again, so that what a process remembers under it stays true.
            """CREATE TABLE thread (
                no INTEGER PRIMARY KEY AUTOINCREMENT,
                thread_id TEXT NOT NULL UNIQUE,
                epoch INTEGER NOT NULL DEFAULT 0,
                grave TEXT NOT NULL DEFAULT '',
                created REAL NOT NULL
            )""",
            # Checkpoints (task '', kind 0) and the writes that wait at them (kind 1), in one tree: a thread's
            # rows lie together in the order of time, so a commit touches the last page only.
            """CREATE TABLE log (
                no INTEGER NOT NULL,
                ns TEXT NOT NULL,
                id TEXT NOT NULL,
                kind INTEGER NOT NULL,
                task TEXT NOT NULL,
                parent TEXT,
                body BLOB NOT NULL,
                PRIMARY KEY (no, ns, id, kind, task)
            ) WITHOUT ROWID""",
            # key: number of the thread << 32 | number of the object. place: number of the thread << 32 |
            # hash.
            """CREATE TABLE object (
                key INTEGER PRIMARY KEY,
                place INTEGER,
                tag TEXT,
                body BLOB NOT NULL
            )""",
            "CREATE INDEX object_by_place ON object (place) WHERE place IS NOT NULL",
            # One random key a file, so that nobody can prepare values whose hashes collide.
            "CREATE TABLE secret (hash_key BLOB NOT NULL)",
        ),
    ),
)


def migrate(conn: sqlite3.Connection, migrations: tuple[Migration, ...] = MIGRATIONS) -> bytes:
    """Brings the file to the newest schema; returns its hash key. Safe when many processes do it at once.

    Raises ForeignFileError for a file of another application, SchemaVersionError for one that a newer version
    of this library wrote or whose ledger differs from our history.
    """
    if not _is_current(conn, migrations):
        conn.execute(_LOCK)
        try:
            if not _is_current(conn, migrations):
                _apply(conn, migrations)
            conn.execute("COMMIT")
        except BaseException:
            conn.execute("ROLLBACK")
            raise
    row = conn.execute("SELECT hash_key FROM secret").fetchone()
    return bytes(row[0])


def _is_current(conn: sqlite3.Connection, migrations: tuple[Migration, ...]) -> bool:
    try:
        # In this order: between the statements another process may make the file ours.
        tables = conn.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        application = conn.execute("PRAGMA application_id").fetchone()[0]
        version = conn.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        raise ForeignFileError(f"{_name(conn)} is not an SQLite database: {error}.") from error
    if application not in (0, APPLICATION_ID) or (application == 0 and tables):
        raise ForeignFileError(
            f"{_name(conn)} belongs to another application: it has tables that threadkeep did not make"
            f"{f' and the application id {application:#x}' if application else ''}. Use a file of its own."
        )
    if version > len(migrations):
        raise SchemaVersionError(
            f"{_name(conn)} has schema version {version}; this threadkeep knows {len(migrations)}. "
            "Upgrade threadkeep-checkpoint-sqlite."
        )
    if application:
        _check_ledger(conn, migrations)
    return bool(application) and version == len(migrations)


def _check_ledger(conn: sqlite3.Connection, migrations: tuple[Migration, ...]) -> None:
    applied = conn.execute("SELECT number, checksum FROM migration ORDER BY number").fetchall()
    for number, checksum in applied:
        if number <= len(migrations) and migrations[number - 1].checksum() != checksum:
            raise SchemaVersionError(
                f"{_name(conn)}: migration {number} was applied in another form than this threadkeep has. "
                "The file was made by a modified or unreleased version."
            )


def _apply(conn: sqlite3.Connection, migrations: tuple[Migration, ...]) -> None:
    version = conn.execute("PRAGMA user_version").fetchone()[0]
    if not version:
        conn.execute(
            "CREATE TABLE migration (number INTEGER PRIMARY KEY, name TEXT, checksum TEXT, applied TEXT)"
        )
    for number, migration in enumerate(migrations[version:], version + 1):
        for statement in migration.statements:
            conn.execute(statement)
        conn.execute(
            "INSERT INTO migration VALUES (?, ?, ?, datetime('now'))",
            (number, migration.name, migration.checksum()),
        )
    if not version:
        conn.execute("INSERT INTO secret VALUES (?)", (os.urandom(16),))
    # A PRAGMA takes no parameters; both values are numbers of ours.
    conn.execute(f"PRAGMA application_id = {APPLICATION_ID:d}")
    conn.execute(f"PRAGMA user_version = {len(migrations):d}")


def _name(conn: sqlite3.Connection) -> str:
    rows = conn.execute("PRAGMA database_list").fetchall()
    return (rows and rows[0][2]) or "The database"
