"""How a value is written down where a checkpoint or a write refers to it. Pure.

A node is one of

    None                    no value
    bytes                   the value itself, serialised (tag "msgpack")
    n                       the value is object n of the thread
    [0, tag, bytes]         the value itself, under another tag
    [1, pieces, count, b]   a list: its pieces, then `count` small elements whose bytes in a row are `b`
    [2, keys, nodes]        a dict
    [3, n]                  the node is written in object n
    [4, [n, …]]             a dict whose entries, in order, are those of the dict nodes in objects n, …

The pieces of a list are pairs of whole numbers: `n, c` are the c objects from n on, an element each; `n, -c`
is object n, which holds the bytes of c small elements in a row; `-n, c` is object n, which holds further
pieces with c elements in all. Objects that hold nodes or pieces have the tag "#" and refer only to older
objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ormsgpack

from threadkeep.checkpoint.objects.codec import Blob, blob_data

__all__ = [
    "NODE_TAG",
    "Node",
    "Number",
    "Pieces",
    "inherit",
    "note_dict",
    "note_list",
    "note_whole",
    "opened",
    "truncate",
]

Node = Any
Pieces = tuple[int, ...]
Number = Callable[[Blob], int]
"""Gives the number of the object with these bytes, a new one if there is none."""

NODE_TAG = "#"
_PIECES_MAX = 256
"""Numbers (two a piece) that a list node holds before the older half moves into an object of its own."""
_DICT_CHUNK = 32
_REPEATED_MAX = 24
"""Bytes that a checkpoint repeats from its parent; a larger node moves into an object."""


def note_whole(blob: Blob, limit: int, number: Number) -> Node:
    """The node of a value that is not cut: inline up to `limit` bytes."""
    if isinstance(blob, bytes):
        return blob if len(blob) <= limit else number(blob)
    return [0, *blob] if len(blob[1]) <= limit else number(blob)


def note_list(base: Pieces, leaves: Sequence[tuple[Blob, int]], number: Number) -> Pieces:
    """The pieces of a list: those of an older one, then leaves of one element (noted as 0) or of several."""
    pieces = list(base)
    for blob, count in leaves:
        n = number(blob)
        if count:
            pieces += (n, -count)
        elif len(pieces) > 1 and pieces[-2] > 0 and pieces[-1] > 0 and pieces[-2] + pieces[-1] == n:
            pieces[-1] += 1
        else:
            pieces += (n, 1)
    while len(pieces) > _PIECES_MAX:
        pieces = _fold(pieces, number)
    return tuple(pieces)


def _fold(pieces: list[int], number: Number) -> list[int]:
    # Folded pieces stand first. Enough plain ones behind them are folded alike; else the folds are folded.
    plain = next((i for i in range(0, len(pieces), 2) if pieces[i] > 0), len(pieces))
    start = plain if len(pieces) - plain >= _PIECES_MAX // 2 else 0
    end = start + _PIECES_MAX // 2
    part = pieces[start:end]
    n = number((NODE_TAG, ormsgpack.packb(part)))
    return [*pieces[:start], -n, sum(map(abs, part[1::2])), *pieces[end:]]


def truncate(pieces: Pieces, length: int) -> tuple[Pieces, int]:
    """The pieces of the first elements, `length` of them or as many fewer as lie inside one piece."""
    total = 0
    for i in range(0, len(pieces), 2):
        count = abs(pieces[i + 1])
        if total + count > length:
            if pieces[i] > 0 and pieces[i + 1] > 0 and length > total:
                return (*pieces[:i], pieces[i], length - total), length
            return pieces[:i], total
        total += count
    return pieces, total


def note_dict(keys: list[str], nodes: list[Node], number: Number) -> Node:
    """The node of a dict. A large one is cut, so that what did not change is not stored again."""
    if len(keys) <= _DICT_CHUNK:
        return [2, keys, nodes]
    return [4, [number((NODE_TAG, _pack_dict(keys[i:j], nodes[i:j]))) for i, j in _chunks(len(keys))]]


def _pack_dict(keys: list[str], nodes: list[Node]) -> bytes:
    return ormsgpack.packb([2, keys, nodes])


def _chunks(count: int) -> Iterator[tuple[int, int]]:
    return ((i, i + _DICT_CHUNK) for i in range(0, count, _DICT_CHUNK))


def opened(blob: Blob) -> Any:
    """The node or pieces that an object holds."""
    return ormsgpack.unpackb(blob_data(blob))


def inherit(node: Node, number: Number) -> Node:
    """The node of a channel that did not change, as the child of the checkpoint repeats it."""
    kind = type(node)
    if kind is bytes:
        return number(node) if len(node) > _REPEATED_MAX else node
    if kind is not list or node[0] > 2:
        return node
    if node[0] == 0:
        return number((node[1], node[2])) if len(node[2]) > _REPEATED_MAX else node
    packed = ormsgpack.packb(node)
    return [3, number((NODE_TAG, packed))] if len(packed) > _REPEATED_MAX else node
