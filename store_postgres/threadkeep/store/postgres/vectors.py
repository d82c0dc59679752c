"""Vectors on their way to the server, in pgvector's own binary form, and the statements that write them.

As text a vector of 384 numbers takes a hundred times as long to write and to read.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from math import isfinite
from typing import Any

from psycopg.abc import AdaptContext
from psycopg.adapt import Dumper
from psycopg.pq import Format

from threadkeep.errors import InvalidOpError

__all__ = ["KEPT", "KNOWN", "REPLACE", "Packed", "adapt", "array", "pack"]


class Packed(bytes):
    """A parameter in the binary form of its type, which the statement names (`%(v)b::vector`)."""


class _PackedDumper(Dumper):
    format = Format.BINARY
    oid = 0
    """Left to the cast in the statement: the number of `vector` is another in each database."""

    def dump(self, obj: Any) -> Any:
        return obj


def adapt(conn: AdaptContext) -> None:
    """Lets statements on this connection have `Packed` parameters. Costs about 1 µs; may be repeated."""
    assert conn.adapters is not None
    conn.adapters.register_dumper(Packed, _PackedDumper)


@lru_cache(maxsize=16)
def _form(dims: int) -> struct.Struct:
    return struct.Struct(f">HH{dims}f")


def pack(vector: Sequence[float], dims: int) -> Packed:
    """The vector as pgvector receives it: the number of dimensions, 0, and single-precision numbers.

    Raises `InvalidOpError` for what cannot be one of these.
    """
    try:
        packed = _form(dims).pack(dims, 0, *vector)
    except (struct.error, OverflowError, TypeError) as error:
        raise InvalidOpError(f"The embedding made a vector that is none of {dims} numbers: {error}") from None
    if not isfinite(sum(vector)):
        raise InvalidOpError("The embedding made a vector with an infinity or NaN in it.")
    return Packed(packed)


_HEAD = struct.Struct(">iiIii")
_LENGTH = struct.Struct(">i")
_NULL = _LENGTH.pack(-1)


def array(elements: Sequence[bytes | None], oid: int) -> Packed:
    """Binary elements as one array; *oid* is the number of their type in this database."""
    length = _LENGTH.pack
    body = b"".join([_NULL if each is None else length(len(each)) + each for each in elements])
    return Packed(_HEAD.pack(1, 1, oid, len(elements), 1) + body)


# In the transaction of the puts, after them: they hold the items, so nobody else changes these rows.
KNOWN = """
    SELECT ask.i, v.hash FROM unnest(%(ns)b::text[], %(key)b::text[]) WITH ORDINALITY AS ask (ns, key, i)
    JOIN {item} AS item ON item.ns = ask.ns COLLATE "C" AND item.key = ask.key COLLATE "C"
    JOIN {vector} AS v ON v.item = item.no AND v.dims = %(dims)b"""
REPLACE = """
    WITH put AS MATERIALIZED (
        SELECT item.no, item.ns, asked.i
        FROM unnest(%(ns)b::text[], %(key)b::text[]) WITH ORDINALITY AS asked (ns, key, i)
        JOIN {item} AS item ON item.ns = asked.ns COLLATE "C" AND item.key = asked.key COLLATE "C"
    ), wanted AS MATERIALIZED (
        SELECT put.no, put.ns, each.hash, each.embedding
        FROM unnest(%(of)b::bigint[], %(hash)b::bytea[], %(vector)b::vector[]) AS each (i, hash, embedding)
        JOIN put ON put.i = each.i
    ), gone AS (
        DELETE FROM {vector} AS v USING put WHERE v.item = put.no
            AND NOT EXISTS (SELECT FROM wanted WHERE wanted.no = v.item AND wanted.hash = v.hash)
    )
    INSERT INTO {vector} (item, dims, hash, ns, embedding)
    SELECT no, %(dims)b, hash, ns, embedding FROM wanted WHERE embedding IS NOT NULL
    ON CONFLICT DO NOTHING"""
KEPT = """
    SELECT count(*) FROM unnest(%(ns)b::text[], %(key)b::text[], %(hash)b::bytea[]) AS kept (ns, key, hash)
    JOIN {item} AS item ON item.ns = kept.ns COLLATE "C" AND item.key = kept.key COLLATE "C"
    JOIN {vector} AS v ON v.item = item.no AND v.dims = %(dims)b AND v.hash = kept.hash"""
