"""What a store with an index needs of its database: pgvector, and the index as configured. Steps; pure."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Sequence
from typing import NamedTuple

from threadkeep.errors import StorageError
from threadkeep.postgres import ledger
from threadkeep.postgres.statements import Statement, Steps, quoted
from threadkeep.store.postgres.indexes import VectorIndex

__all__ = ["ReindexWarning", "begun", "built", "create", "missing", "require", "state_of"]

PGVECTOR = (0, 8, 0)
"""The first that goes on with a search where too few rows passed (iterative scans)."""
SOME = 1_000
"""Vectors without which clusters would say nothing about those that follow."""

VERSION = b"SELECT default_version, installed_version FROM pg_available_extensions WHERE name = 'vector'"
INDEXES = b"""
    SELECT known.relname::text, indisvalid, coalesce(known.reloptions, '{}')
    FROM pg_index JOIN pg_class AS known ON known.oid = indexrelid
        JOIN pg_am AS method ON method.oid = known.relam AND method.amname IN ('hnsw', 'ivfflat')
        JOIN pg_class AS vectors ON vectors.oid = indrelid
        JOIN pg_namespace AS space ON space.oid = vectors.relnamespace
    WHERE nspname = %b AND vectors.relname = 'threadkeep_vector' ORDER BY 1"""
# Two that build at once wait for each other's snapshots, until Postgres ends one.
BUILDING = b"""
    SELECT count(*) > 0 FROM pg_stat_progress_create_index AS building
        JOIN pg_class ON pg_class.oid = building.relid
        JOIN pg_namespace AS space ON space.oid = relnamespace
    WHERE datname = current_database() AND nspname = %b AND relname = 'threadkeep_vector'"""
ROWS = """
    SELECT count(*), (SELECT dims FROM {vector} WHERE dims < %(dims)b OR dims > %(dims)b LIMIT 1)
    FROM {vector} WHERE dims = %(dims)b"""

logger = logging.getLogger(__name__)


class ReindexWarning(UserWarning):
    """The database has the vectors or the index otherwise than configured; `reindex` changes that."""


class State(NamedTuple):
    """What is there."""

    options: dict[str, int] | None
    """The storage parameters of the index; None if it is not there, or broken."""
    broken: list[str]
    others: list[str]
    """Indexes of vectors that are searched otherwise."""
    rows: int
    other_dims: int | None
    """Of some vectors, if there are such."""


def require() -> Steps[None]:
    """Raises `StorageError` unless the server has a pgvector that will do."""
    (rows,) = yield [Statement(VERSION, (), True)]
    needed = ".".join(map(str, PGVECTOR))
    if not rows:
        raise StorageError(
            f"An index needs pgvector {needed} or newer, which this PostgreSQL server does not have: install "
            "it there (https://github.com/pgvector/pgvector#installation), or leave index= out."
        )
    offered, installed = rows[0]
    if _version(installed or offered) < PGVECTOR:
        how = (
            "run ALTER EXTENSION vector UPDATE"
            if _version(offered) >= PGVECTOR
            else "upgrade it on the server"
        )
        raise StorageError(f"An index needs pgvector {needed} or newer, not {installed or offered}: {how}.")


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def state_of(index: VectorIndex, schema: str) -> Steps[State]:
    """What is there of the index and its vectors."""
    found, rows = yield [
        Statement(INDEXES, (schema,), True),
        Statement(quoted(ROWS, schema, ("vector",)), {"dims": index.dims}, True),
    ]
    options = None
    for name, valid, given in found:
        if name == index.name and valid:
            options = {key: int(value) for key, _, value in (each.partition("=") for each in given)}
    broken = [name for name, valid, _ in found if not valid]
    others = [name for name, valid, _ in found if valid and name != index.name]
    return State(options, broken, others, *rows[0])


def missing(index: VectorIndex, state: State) -> bool:
    """Whether the index is to be built now. Clusters are found in rows, so theirs waits for some."""
    if index.kind == "flat" or state.options is not None:
        return False
    return index.kind == "hnsw" or state.rows >= max(SOME, index.options(state.rows)["lists"])


def create(index: VectorIndex, schema: str, rows: int, name: str, *, concurrently: bool = True) -> Statement:
    """The statement that builds the index under a name; in a transaction only if not `concurrently`.

    Concurrently others write meanwhile, and it waits for every transaction that is open in the database.
    """
    template = index.create(rows).replace("<name>", name)
    if not concurrently:
        template = template.replace("CONCURRENTLY IF NOT EXISTS ", "")
    return Statement(quoted(template, schema, ("vector",)), (), False)


def begun(index: VectorIndex, schema: str) -> Steps[str]:
    """Builds the index if there are no vectors yet, in a transaction; returns the SQL for it."""
    yield [Statement(ledger.LOCK, (ledger.lock_number(schema),), True)]
    state = yield from state_of(index, schema)
    if state.rows or not missing(index, state):
        return ""
    statement = create(index, schema, 0, index.name, concurrently=False)
    yield [statement]
    return f"{statement.query.decode()};\n"


def built(index: VectorIndex, schema: str) -> Steps[str]:
    """Builds the index if it is not there but vectors are; returns the SQL for it. Outside transactions.

    Says with a `ReindexWarning` what is otherwise than configured.
    """
    state = yield from state_of(index, schema)
    ((others,),) = yield [Statement(BUILDING, (schema,), True)]
    text = ""
    if others[0]:
        logger.info(
            "An index of vectors is being built by another process; it will be used when it is ready."
        )
    elif state.rows and missing(index, state) and index.name not in state.broken:
        statement = create(index, schema, state.rows, index.name)
        yield [statement]
        text = f"{statement.query.decode()};\n"
    elif index.kind == "ivfflat" and state.options is None:
        logger.info(
            "The index of clusters is built when there are %d vectors (now %d), by setup() or reindex(); "
            "until then all are compared.",
            max(SOME, index.options(state.rows)["lists"]),
            state.rows,
        )
    for problem in problems(index, state):
        warnings.warn(problem, ReindexWarning, stacklevel=6)
    return text


def problems(index: VectorIndex, state: State) -> Sequence[str]:
    """What is otherwise than configured and stays so until `reindex`."""
    found = []
    if state.other_dims is not None:
        found.append(
            f"There are vectors of {state.other_dims} dimensions; the index has dims={index.dims}. Items "
            "that have only those are not found by meaning: reindex() embeds them anew."
        )
    for name, (there, here) in index.differs(state.options or {}).items() if state.options else ():
        found.append(
            f"The index {index.name} was built with {name} = {there}, and {here} is configured: reindex() "
            "builds it anew while it is used."
        )
    return found
