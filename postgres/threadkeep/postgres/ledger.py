"""The ledger of what was done to the tables of a component. Yields statements, and performs none.

Migrations are immutable: a change is a new entry. The ledger keeps the checksum of each one that was applied.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from psycopg import sql

from threadkeep.errors import SchemaVersionError
from threadkeep.postgres.statements import Statement, Steps, quoted

__all__ = [
    "STATE",
    "Component",
    "Migration",
    "SchemaState",
    "apply",
    "check",
    "rebuild",
    "script",
    "state_of",
]


class Migration(NamedTuple):
    """A step from one version of the tables to the next."""

    name: str
    statements: tuple[str, ...]

    def checksum(self) -> str:
        """What the ledger keeps."""
        return hashlib.sha256("\n;\n".join((self.name, *self.statements)).encode()).hexdigest()


class Component(NamedTuple):
    """A set of tables with a history of its own. Several may share a schema, and its ledger."""

    name: str
    distribution: str
    """What to upgrade if the tables are newer than the code."""
    tables: tuple[str, ...]
    """Their names, without the beginning `threadkeep_`."""
    migrations: tuple[Migration, ...]

    def quoted(self, template: str, schema: str) -> bytes:
        """A statement with the names of these tables."""
        return quoted(template, schema, (*self.tables, "migration"))


LEDGER = """CREATE TABLE IF NOT EXISTS {migration} (
    component text NOT NULL,
    number integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (component, number)
)"""
SCHEMA = "CREATE SCHEMA IF NOT EXISTS {schema}"
STATE = "SELECT number, checksum FROM {migration} WHERE component = %b ORDER BY number"
RECORD = "INSERT INTO {migration} (component, number, name, checksum) VALUES (%b, %b, %b, %b)"
# Else what the others did while this one waited for the lock would not be seen.
ISOLATION = b"SET TRANSACTION ISOLATION LEVEL READ COMMITTED"
LOCK = b"SELECT pg_advisory_xact_lock(%b::bigint)"
LOOK = b"""
    SELECT current_setting('server_encoding'),
        EXISTS (SELECT FROM pg_namespace WHERE nspname = %(schema)b),
        EXISTS (SELECT FROM pg_class JOIN pg_namespace AS space ON space.oid = relnamespace
            WHERE nspname = %(schema)b AND relname = 'threadkeep_migration'),
        ARRAY(SELECT index.relname::text FROM pg_index JOIN pg_class AS index ON index.oid = indexrelid
            JOIN pg_class AS of_table ON of_table.oid = indrelid
            JOIN pg_namespace AS space ON space.oid = of_table.relnamespace
            WHERE nspname = %(schema)b AND of_table.relname = ANY(%(tables)b::text[]) AND NOT indisvalid
            ORDER BY 1)"""
BUILDING = b"""
    SELECT EXISTS (SELECT FROM pg_stat_progress_create_index AS work
        JOIN pg_class AS of_table ON of_table.oid = work.relid
        JOIN pg_namespace AS space ON space.oid = relnamespace
        WHERE work.datname = current_database() AND nspname = %(schema)b
        AND relname = ANY(%(tables)b::text[]))"""


class SchemaState(NamedTuple):
    """What is there of a component."""

    schema: bool
    ledger: bool
    applied: list[tuple[int, str]]
    """Number and checksum."""
    invalid: list[str]
    """Indexes whose building was broken off."""

    def is_current(self, component: Component) -> bool:
        """Whether there is nothing to do."""
        return len(self.applied) == len(component.migrations) and not self.invalid


def state_of(component: Component, schema: str) -> Steps[SchemaState]:
    """The state of a component's tables. Raises SchemaVersionError if this version must not touch them."""
    ((looked,),) = yield [Statement(LOOK, _names(component, schema), True)]
    encoding, there, ledger, invalid = looked
    if encoding != "UTF8":
        raise SchemaVersionError(f"The database has the encoding {encoding}; threadkeep needs UTF8.")
    applied: list[tuple[int, str]] = []
    if ledger:
        (applied,) = yield [Statement(component.quoted(STATE, schema), (component.name,), True)]
    check(component, schema, applied)
    return SchemaState(there, ledger, applied, invalid)


def _names(component: Component, schema: str) -> dict[str, Any]:
    return {"schema": schema, "tables": [f"threadkeep_{name}" for name in component.tables]}


def check(component: Component, schema: str, applied: Sequence[tuple[int, str]]) -> None:
    """Raises SchemaVersionError if a newer or another version was here."""
    known = component.migrations
    if len(applied) > len(known):
        raise SchemaVersionError(
            f"Schema {schema!r} has version {len(applied)} of the {component.name} tables; this threadkeep "
            f"knows {len(known)}. Upgrade {component.distribution}."
        )
    for number, checksum in applied:
        if number > len(known) or known[number - 1].checksum() != checksum:
            raise SchemaVersionError(
                f"Schema {schema!r}: migration {number} of the {component.name} tables was applied in "
                "another form than this threadkeep has. It was made by a modified or unreleased version."
            )


def pending(component: Component, schema: str, state: SchemaState) -> list[Statement]:
    """The statements that bring the tables to the newest version, for one transaction."""
    todo = [] if state.schema else [SCHEMA]
    todo += [] if state.ledger else [LEDGER]
    found = [Statement(component.quoted(template, schema), (), False) for template in todo]
    done = len(state.applied)
    for number, migration in enumerate(component.migrations[done:], done + 1):
        found += [Statement(component.quoted(each, schema), (), False) for each in migration.statements]
        record = (component.name, number, migration.name, migration.checksum())
        found.append(Statement(component.quoted(RECORD, schema), record, False))
    return found


def apply(component: Component, schema: str) -> Steps[None]:
    """Brings the tables to the newest version, in one transaction. Others who try meanwhile wait."""
    yield [Statement(ISOLATION, None, False)]
    yield [Statement(LOCK, (lock_number(schema),), True)]
    state = yield from state_of(component, schema)
    for statement in pending(component, schema, state):
        yield [statement]


def rebuild(component: Component, schema: str) -> Steps[None]:
    """Builds broken indexes anew; each statement outside a transaction, while others read and write.

    Whoever is second leaves it to the first. If two begin in the same moment, they wait for each other's
    snapshots, Postgres ends one of them with a deadlock, and that one looks again. There is no lock of ours:
    one of a transaction would be held by what must run outside one, and one of the session is lost behind a
    pooler.
    """
    state = yield from state_of(component, schema)
    ((looked,),) = yield [Statement(BUILDING, _names(component, schema), True)]
    if not looked[0]:
        for index in state.invalid:
            yield [Statement(repair(schema, index), None, False)]


def repair(schema: str, index: str) -> bytes:
    """The statement that builds an index anew, or deletes what is left of such a building.

    https://www.postgresql.org/docs/current/sql-reindex.html says which names are left and what to do.
    """
    if re.search(r"_cc(new|old)\d*$", index):
        statement = sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}")
    else:
        statement = sql.SQL("REINDEX INDEX CONCURRENTLY {}")
    return statement.format(sql.Identifier(schema, index)).as_bytes(None)


def script(component: Component, schema: str, state: SchemaState) -> str:
    """The SQL that `setup` would run, to be read."""
    lines = []
    if len(state.applied) < len(component.migrations):
        lines = ["BEGIN", f"SELECT pg_advisory_xact_lock({lock_number(schema)})"]
        lines += [shown(*each[:2]) for each in pending(component, schema, state)]
        lines.append("COMMIT")
    lines += [repair(schema, index).decode() for index in state.invalid]
    return "".join(f"{line};\n" for line in lines)


def shown(query: bytes, parameters: Sequence[str | int]) -> str:
    """The statement with its parameters in place."""
    text = query.decode()
    for value in parameters:
        text = text.replace("%b", repr(value), 1)
    return text.replace("%%", "%")


def lock_number(schema: str) -> int:
    """The advisory lock of a schema."""
    digest = hashlib.blake2b(f"threadkeep {schema}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
