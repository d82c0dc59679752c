"""Statements, and steps that yield them. Pure: the tables' names are quoted, nothing is performed."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from psycopg import sql

__all__ = ["RepeatError", "Statement", "Statements", "Steps", "checked_schema", "quoted"]

T = TypeVar("T")


class Statement(NamedTuple):
    """One statement for the server."""

    query: bytes
    parameters: Any
    rows: bool
    """Whether it gives rows."""


Steps = Generator[list[Statement], list[list[Any]], T]
"""Yields lists of statements, each of which goes out in one round trip; receives the rows of each one."""


class RepeatError(Exception):
    """What the steps read was changed meanwhile: they must be run anew. Its text says what is wrong else."""


def quoted(template: str, schema: str, tables: Iterable[str]) -> bytes:
    """The statement with the names of the tables in this schema. Execute it with parameters, if only ()."""
    schema = schema.replace("%", "%%")
    names = {name: sql.Identifier(schema, f"threadkeep_{name}") for name in tables}
    # A template is a constant: a statement or part of a migration.
    return sql.SQL(template).format(schema=sql.Identifier(schema), **names).as_bytes(None)


class Statements:
    """The statements for one schema."""

    def __init__(self, schema: str, tables: Sequence[str], templates: Iterable[str]) -> None:
        self._quoted = {template: quoted(template, schema, tables) for template in templates}

    def ask(self, template: str, *parameters: Any) -> Statement:
        """A statement that gives rows."""
        return Statement(self._quoted[template], parameters, True)

    def tell(self, template: str, *parameters: Any) -> Statement:
        """A statement that gives none."""
        return Statement(self._quoted[template], parameters, False)


def checked_schema(name: str) -> str:
    """The name of a schema. Raises ValueError for one that Postgres cannot have or would cut."""
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        length = 0
    if not 1 <= length <= 63 or "\x00" in name:
        raise ValueError(f"A schema's name has 1 to 63 bytes, none of them NUL, not {name[:80]!r}.")
    return name
