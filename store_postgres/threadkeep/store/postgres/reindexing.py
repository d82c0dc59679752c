"""Bringing vectors and index to what is configured, while the store is used."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from threadkeep.postgres import ledger
from threadkeep.postgres.statements import Statement, Steps, quoted
from threadkeep.store.lexical import words_of
from threadkeep.store.postgres import building
from threadkeep.store.postgres.course import Build, Course, Embed, Read, Write
from threadkeep.store.postgres.operations import Operations
from threadkeep.store.postgres.vectors import Packed, array

__all__ = ["Progress", "reindexing"]

AT_ONCE = 500
_NEXT = "_next"

COUNT = "SELECT count(*) FROM {item}"
PAGE = """
    SELECT no, updated, body, fields, words IS NULL,
        ARRAY(SELECT hash FROM {vector} AS v WHERE v.item = item.no AND v.dims = %(dims)b)
    FROM {item} AS item WHERE no > %(after)b ORDER BY no LIMIT %(limit)b"""
# Whoever writes one of these items now waits, and sees the vectors that are added.
HOLD = "SELECT no FROM {item} WHERE no = ANY(%(no)b::bigint[]) ORDER BY no FOR UPDATE"
_SEEN = "JOIN {item} AS item ON item.no = seen.no AND item.updated = seen.updated"
ADD = """
    INSERT INTO {vector} (item, dims, hash, ns, embedding)
    SELECT item.no, %(dims)b, seen.hash, item.ns, seen.embedding
    FROM unnest(%(no)b::bigint[], %(updated)b::timestamptz[], %(hash)b::bytea[], %(vector)b::vector[])
        AS seen (no, updated, hash, embedding) <seen>
    ON CONFLICT DO NOTHING""".replace("<seen>", _SEEN)
FORGET = """
    DELETE FROM {vector} AS v USING
        unnest(%(no)b::bigint[], %(updated)b::timestamptz[], %(hash)b::bytea[]) AS seen (no, updated, hash)
        <seen>
    WHERE v.item = item.no AND v.dims = %(dims)b AND v.hash = seen.hash""".replace("<seen>", _SEEN)
WORDS = """
    UPDATE {item} AS item SET words = string_to_array(seen.words, ' ')
    FROM unnest(%(no)b::bigint[], %(updated)b::timestamptz[], %(words)b::text[]) AS seen (no, updated, words)
    WHERE item.no = seen.no AND item.updated = seen.updated"""
OTHERS = """
    WITH several AS (SELECT ctid FROM {vector} WHERE dims < %(dims)b OR dims > %(dims)b LIMIT %(limit)b)
    DELETE FROM {vector} AS v USING several WHERE v.ctid = several.ctid RETURNING 1"""
BUILDING = b"""
    SELECT phase, greatest(blocks_done, tuples_done), greatest(blocks_total, tuples_total)
    FROM pg_stat_progress_create_index JOIN pg_database USING (datname)
    WHERE datname = current_database() AND relid = %b::regclass"""


class Progress(NamedTuple):
    """How far it is."""

    phase: str
    """`vectors`, of items; then what Postgres says of an index, of blocks or rows; `done`."""
    done: int
    total: int


Report = Callable[[Progress], None]


def reindexing(operations: Operations, report: Report) -> Course[None]:
    """Embeds what has no vector as configured, builds the index anew and drops what is left of others."""
    recall = operations.recall
    if recall is None:
        raise ValueError("This store has no index= to build.")
    yield from _embedded(operations, report)
    index, schema = recall.index, operations.schema
    state = yield Read(partial(building.state_of, index, schema))
    needed = index.kind != "flat" and building.missing(index, state._replace(options=None))
    table = quoted("{vector}", schema, ("vector",)).decode().replace("%%", "%")
    yield Build(
        partial(_built, operations, state, needed),
        partial(_ask, Statement(BUILDING, (table,), True)),
        lambda rows: report(Progress(*rows[0])) if rows else None,
    )
    if needed:
        yield Write(partial(_swapped, operations))
    gone = AT_ONCE
    while gone == AT_ONCE:
        parameters = {"dims": index.dims, "limit": AT_ONCE}
        gone = len((yield Write(partial(_ask, operations.ask(OTHERS, parameters)))))
    report(Progress("done", 1, 1))


def _ask(statement: Statement) -> Steps[list[Any]]:
    (rows,) = yield [statement]
    return rows


def _embedded(operations: Operations, report: Report) -> Course[None]:
    recall = operations.recall
    assert recall is not None
    yield Read(operations.ready)
    ((total,),) = yield Read(partial(_ask, operations.ask(COUNT, ())))
    after = done = 0
    while True:
        parameters = {"after": after, "dims": recall.index.dims, "limit": AT_ONCE}
        rows = yield Read(partial(_ask, operations.ask(PAGE, parameters)))
        if not rows:
            return
        after, done = rows[-1][0], done + len(rows)
        changes = _changes(operations, rows)
        if changes.texts:
            made, _ = yield Embed(recall.embeddings, [*changes.texts.values()], [])
            packed = recall.packed(made, [*changes.texts.values()])
            vectors = dict(zip(changes.texts, packed, strict=True))
        else:
            vectors = {}
        if changes.added or changes.stale or changes.words:
            yield Write(partial(_filled, operations, changes, vectors))
        report(Progress("vectors", done, max(done, total)))


class _Changes(NamedTuple):
    texts: dict[bytes, str]
    added: list[tuple[int, Any, bytes]]
    stale: list[tuple[int, Any, bytes]]
    words: list[tuple[int, Any, str]]


def _changes(operations: Operations, rows: list[Any]) -> _Changes:
    """What these items lack, or have too much."""
    recall = operations.recall
    assert recall is not None
    changes = _Changes({}, [], [], [])
    for no, updated, body, fields, wordless, hashes in rows:
        value, given = operations.load(body), None if fields is None else json.loads(fields)
        wanted = recall.texts(value, given)
        changes.added.extend((no, updated, hash) for hash in wanted if hash not in hashes)
        changes.texts.update((hash, text) for hash, text in wanted.items() if hash not in hashes)
        changes.stale.extend((no, updated, hash) for hash in hashes if hash not in wanted)
        if wordless and given is not False and (found := words_of(value)):
            changes.words.append((no, updated, " ".join(found)))
    return changes


def _filled(operations: Operations, changes: _Changes, vectors: dict[bytes, Packed]) -> Steps[None]:
    recall = operations.recall
    assert recall is not None
    assert recall.type_oid is not None
    numbers = sorted({no for some in changes[1:] for no, *_ in some})
    batch = [operations.ask(HOLD, {"no": numbers})]
    dims = recall.index.dims
    if changes.stale:
        batch.append(operations.tell(FORGET, {**_columns(changes.stale, "hash"), "dims": dims}))
    if changes.added:
        packed = array([vectors[hash] for _, _, hash in changes.added], recall.type_oid)
        parameters = {**_columns(changes.added, "hash"), "dims": dims, "vector": packed}
        batch.append(operations.tell(ADD, parameters))
    if changes.words:
        batch.append(operations.tell(WORDS, _columns(changes.words, "words")))
    yield batch


def _columns(rows: list[tuple[int, Any, Any]], third: str) -> dict[str, list[Any]]:
    return {name: [row[i] for row in rows] for i, name in enumerate(("no", "updated", third))}


def _built(operations: Operations, state: building.State, needed: bool) -> Steps[None]:
    """Builds the index under another name, if it is needed; drops those of other configurations."""
    assert operations.recall is not None
    index, name = operations.recall.index, operations.recall.index.name + _NEXT
    for gone in (name, *state.others):
        yield [operations.tell(DROP.replace("<name>", gone), ())]
    if needed:
        yield [building.create(index, operations.schema, state.rows, name)]


DROP = "DROP INDEX CONCURRENTLY IF EXISTS {schema}.<name>"
SWAP = ("DROP INDEX IF EXISTS {schema}.<name>", "ALTER INDEX {schema}.<name>_next RENAME TO <name>")


def _swapped(operations: Operations) -> Steps[None]:
    assert operations.recall is not None
    yield [Statement(ledger.LOCK, (ledger.lock_number(operations.schema),), True)]
    state = yield from building.state_of(operations.recall.index, operations.schema)
    if operations.recall.index.name + _NEXT not in state.others:
        return  # another, who built it too, has done that
    for template in SWAP:
        yield [operations.tell(template.replace("<name>", operations.recall.index.name), ())]
