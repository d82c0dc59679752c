"""The tables and their history. Knows SQL; yields statements as a session does, and performs none.

Migrations are immutable: a change is a new entry. The ledger keeps the checksum of each one that was applied.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator, Sequence
from typing import Any, NamedTuple

from psycopg import sql as compose

from threadkeep.checkpoint.postgres import sql
from threadkeep.checkpoint.postgres.sql import Statement, quoted
from threadkeep.errors import SchemaVersionError

__all__ = [
    "MIGRATIONS",
    "Migration",
    "SchemaState",
    "Steps",
    "apply",
    "pending",
    "rebuild",
    "script",
    "state_of",
]

Steps = Generator[list[Statement], list[list[Any]], Any]


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
            # A thread's number is never used again. `change` counts every commit, `epoch` those after which
            # an object's number may mean another object. `key` is the name, or its hash if that is long.
            """CREATE TABLE {thread} (
                no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                key bytea NOT NULL UNIQUE,
                thread_id text NOT NULL,
                epoch bigint NOT NULL DEFAULT 0,
                grave text NOT NULL DEFAULT '',
                next bigint NOT NULL DEFAULT 1,
                change bigint NOT NULL DEFAULT 0,
                created timestamptz NOT NULL DEFAULT now(),
                updated timestamptz NOT NULL DEFAULT now()
            ) WITH (fillfactor = 70)""",
            # `space` is the key of the namespace. `meta` is what filters search, nothing if the metadata are
            # encrypted.
            """CREATE TABLE {point} (
                no bigint NOT NULL,
                space bytea NOT NULL,
                id text COLLATE "C" NOT NULL,
                ns text NOT NULL,
                parent text COLLATE "C",
                meta jsonb,
                body bytea NOT NULL,
                PRIMARY KEY (no, space, id)
            )""",
            "CREATE INDEX threadkeep_point_by_thread ON {point} (no, id)",
            "CREATE INDEX threadkeep_point_by_id ON {point} (id, no)",
            "CREATE INDEX threadkeep_point_by_meta ON {point} USING gin (meta jsonb_path_ops)",
            "CREATE INDEX threadkeep_point_without_meta ON {point} (id) WHERE meta IS NULL",
            """CREATE TABLE {write} (
                no bigint NOT NULL,
                space bytea NOT NULL,
                id text COLLATE "C" NOT NULL,
                task_key bytea NOT NULL,
                task text NOT NULL,
                body bytea NOT NULL,
                PRIMARY KEY (no, space, id, task_key)
            )""",
            """CREATE TABLE {object} (
                no bigint NOT NULL,
                n bigint NOT NULL,
                place bytea,
                tag text,
                body bytea NOT NULL,
                PRIMARY KEY (no, n)
            )""",
            "CREATE INDEX threadkeep_object_by_place ON {object} (no, place) WHERE place IS NOT NULL",
            # Values are stored as the serialiser made them: packing them again costs more than it saves.
            "ALTER TABLE {object} ALTER COLUMN body SET STORAGE EXTERNAL",
            "ALTER TABLE {point} ALTER COLUMN body SET STORAGE EXTERNAL",
            "ALTER TABLE {write} ALTER COLUMN body SET STORAGE EXTERNAL",
            # One random key a schema, so that nobody can prepare values whose hashes collide.
            "CREATE TABLE {secret} (hash_key bytea NOT NULL)",
        ),
    ),
)
_COMPONENT = "checkpoint"
LEDGER = """CREATE TABLE IF NOT EXISTS {migration} (
    component text NOT NULL,
    number integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (component, number)
)"""
SCHEMA = "CREATE SCHEMA IF NOT EXISTS {schema}"
RECORD = "INSERT INTO {migration} (component, number, name, checksum) VALUES (%b, %b, %b, %b)"
STORE_KEY = "INSERT INTO {secret} SELECT %b WHERE NOT EXISTS (SELECT FROM {secret})"
LOCK = b"SELECT pg_advisory_xact_lock(%b::bigint)"
TRY_LOCK = b"SELECT pg_try_advisory_lock(%b::bigint)"
UNLOCK = b"SELECT pg_advisory_unlock(%b::bigint)"
LOOK = b"""
    SELECT current_setting('server_encoding'),
        EXISTS (SELECT FROM pg_namespace WHERE nspname = %(schema)b),
        EXISTS (SELECT FROM pg_class JOIN pg_namespace AS space ON space.oid = relnamespace
            WHERE nspname = %(schema)b AND relname = 'threadkeep_migration'),
        ARRAY(SELECT index.relname::text FROM pg_index JOIN pg_class AS index ON index.oid = indexrelid
            JOIN pg_class AS of_table ON of_table.oid = indrelid
            JOIN pg_namespace AS space ON space.oid = of_table.relnamespace
            WHERE nspname = %(schema)b AND of_table.relname LIKE 'threadkeep\\_%%' AND NOT indisvalid
            ORDER BY 1)"""


class SchemaState(NamedTuple):
    """What is there."""

    schema: bool
    ledger: bool
    applied: list[tuple[int, str]]
    """Number and checksum."""
    invalid: list[str]
    """Indexes whose building was broken off."""

    def is_current(self, migrations: Sequence[Migration] = MIGRATIONS) -> bool:
        """Whether there is nothing to do."""
        return len(self.applied) == len(migrations) and not self.invalid


def state_of(schema: str, migrations: Sequence[Migration] = MIGRATIONS) -> Steps:
    """The state of a schema. Raises SchemaVersionError for one that this version must not touch."""
    ((looked,),) = yield [Statement(LOOK, {"schema": schema}, True)]
    encoding, there, ledger, invalid = looked
    if encoding != "UTF8":
        raise SchemaVersionError(f"The database has the encoding {encoding}; threadkeep needs UTF8.")
    applied: list[tuple[int, str]] = []
    if ledger:
        (applied,) = yield [Statement(quoted(sql.STATE, schema), (), True)]
    check(schema, applied, migrations)
    return SchemaState(there, ledger, applied, invalid)


def check(
    schema: str, applied: Sequence[tuple[int, str]], migrations: Sequence[Migration] = MIGRATIONS
) -> None:
    """Raises SchemaVersionError if a newer or another version was here."""
    if len(applied) > len(migrations):
        raise SchemaVersionError(
            f"Schema {schema!r} has version {len(applied)} of the checkpoint tables; this threadkeep knows "
            f"{len(migrations)}. Upgrade threadkeep-checkpoint-postgres."
        )
    for number, checksum in applied:
        if number > len(migrations) or migrations[number - 1].checksum() != checksum:
            raise SchemaVersionError(
                f"Schema {schema!r}: migration {number} was applied in another form than this threadkeep "
                "has. It was made by a modified or unreleased version."
            )


def pending(schema: str, state: SchemaState, migrations: Sequence[Migration] = MIGRATIONS) -> list[Statement]:
    """The statements that bring the schema to the newest version, for one transaction."""
    todo = []
    if not state.schema:
        todo.append(SCHEMA)
    if not state.ledger:
        todo.append(LEDGER)
    found = [Statement(quoted(template, schema), (), False) for template in todo]
    for number, migration in enumerate(migrations[len(state.applied) :], len(state.applied) + 1):
        found += [Statement(quoted(each, schema), (), False) for each in migration.statements]
        record = (_COMPONENT, number, migration.name, migration.checksum())
        found.append(Statement(quoted(RECORD, schema), record, False))
    if not state.applied:
        found.append(Statement(quoted(STORE_KEY, schema), (os.urandom(32),), False))
    return found


def apply(schema: str, migrations: Sequence[Migration] = MIGRATIONS) -> Steps:
    """Brings the schema to the newest version, in one transaction. Others who try meanwhile wait."""
    yield [Statement(LOCK, (lock_number(schema),), True)]
    state = yield from state_of(schema, migrations)
    for statement in pending(schema, state, migrations):
        yield [statement]


def rebuild(schema: str, indexes: Sequence[str]) -> Steps:
    """Rebuilds indexes; outside a transaction, while others read and write.

    Whoever is second leaves it to the first: one that waited for the lock would hold the snapshot that the
    building waits for.
    """
    ((mine,),) = yield [Statement(TRY_LOCK, (lock_number(schema) ^ 1,), True)]
    if not mine[0]:
        return
    try:
        for index in indexes:
            yield [Statement(reindex(schema, index), None, False)]
    finally:
        yield [Statement(UNLOCK, (lock_number(schema) ^ 1,), True)]


def reindex(schema: str, index: str) -> bytes:
    """The statement that builds an index anew."""
    return (
        compose.SQL("REINDEX INDEX CONCURRENTLY {}").format(compose.Identifier(schema, index)).as_bytes(None)
    )


def script(schema: str, state: SchemaState, migrations: Sequence[Migration] = MIGRATIONS) -> str:
    """The SQL that `setup` would run, to be read."""
    lines = []
    if len(state.applied) < len(migrations):
        lines = ["BEGIN", f"SELECT pg_advisory_xact_lock({lock_number(schema)})"]
        for query, parameters, _ in pending(schema, state, migrations):
            lines.append(shown(query.decode(), parameters))
        lines.append("COMMIT")
    lines += [reindex(schema, index).decode() for index in state.invalid]
    return "".join(f"{line};\n" for line in lines)


def shown(text: str, parameters: Sequence[Any]) -> str:
    """The statement with its parameters in place; the secret key is left to the server."""
    for value in parameters:
        literal = "sha256(gen_random_uuid()::text::bytea)" if isinstance(value, bytes) else repr(value)
        text = text.replace("%b", literal, 1)
    return text.replace("%%", "%")


def lock_number(schema: str) -> int:
    """The advisory lock of a schema."""
    digest = hashlib.blake2b(f"threadkeep {schema}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True) & ~1
