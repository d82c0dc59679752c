"""Builds values from nodes and objects. Pure: says which objects it needs, and takes them as a mapping."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, cast

from threadkeep.checkpoint.objects.codec import Blob, Codec
from threadkeep.checkpoint.objects.cut import RememberedList
from threadkeep.checkpoint.objects.nodes import Node, opened

__all__ = ["Range", "join", "minus", "missing", "needs"]

Range = tuple[int, int]
"""First number and count."""


def needs(nodes: Iterable[Node], objects: Mapping[int, Blob]) -> tuple[list[Range], list[int]]:
    """Ranges of the objects that these nodes refer to (may overlap), and those that hide further ones."""
    ranges: list[Range] = []
    closed: list[int] = []
    todo = list(nodes)
    while todo:
        node = todo.pop()
        kind = type(node)
        if kind is int:
            ranges.append((node, 1))
        elif kind is list:
            form = node[0]
            if form == 1:
                _needs_of_pieces(node[1], ranges, closed, objects)
            elif form == 2:
                todo += node[2]
            elif form:
                _follow((node[1],) if form == 3 else node[1], todo, ranges, closed, objects)
    return ranges, closed


def _follow(
    numbers: Iterable[int],
    todo: list[Node],
    ranges: list[Range],
    closed: list[int],
    objects: Mapping[int, Blob],
) -> None:
    for n in numbers:
        ranges.append((n, 1))
        if n in objects:
            todo.append(opened(objects[n]))
        else:
            closed.append(n)


def _needs_of_pieces(
    pieces: Iterable[int], ranges: list[Range], closed: list[int], objects: Mapping[int, Blob]
) -> None:
    pairs = iter(pieces)
    for n, count in zip(pairs, pairs, strict=True):
        if n > 0:
            ranges.append((n, count if count > 0 else 1))
        else:
            ranges.append((-n, 1))
            if -n in objects:
                _needs_of_pieces(opened(objects[-n]), ranges, closed, objects)
            else:
                closed.append(-n)


def missing(ranges: Iterable[Range], objects: Mapping[int, Blob]) -> list[Range]:
    """The ranges in order, merged, without those that `objects` has."""
    merged: list[Range] = []
    for first, count in sorted(set(ranges)):
        end = first + count
        if objects and all(map(objects.__contains__, range(first, end))):
            continue
        if merged and first <= (last := merged[-1])[0] + last[1]:
            merged[-1] = (last[0], max(end, last[0] + last[1]) - last[0])
        else:
            merged.append((first, count))
    return merged


def minus(ranges: Iterable[Range], others: Sequence[Range]) -> list[Range]:
    """The parts of ranges that are in none of the others; those are merged, and all are in order."""
    firsts = [first for first, _ in others]
    left: list[Range] = []
    for first, count in ranges:
        end = first + count
        for other, size in others[max(0, bisect_right(firsts, first) - 1) :]:
            if other >= end:
                break
            if other > first:
                left.append((first, other - first))
            first = max(first, other + size)
        if first < end:
            left.append((first, end - first))
    return left


def join(node: Node, objects: Mapping[int, Blob], codec: Codec) -> Any:
    """The value of a node. Raises KeyError if an object is not there."""
    kind = type(node)
    if kind is bytes:
        return codec.load(node)
    if kind is int:
        return codec.load(objects[node])
    if kind is RememberedList:
        return node.load()
    form = node[0]
    if form == 0:
        return codec.load((node[1], node[2]))
    if form == 1:
        return _join_list(node, objects, codec)
    if form == 2:
        return {key: join(child, objects, codec) for key, child in zip(node[1], node[2], strict=True)}
    if form == 3:
        return join(opened(objects[node[1]]), objects, codec)
    merged: dict[str, Any] = {}
    for n in node[1]:
        merged.update(join(opened(objects[n]), objects, codec))
    return merged


def _join_list(node: Node, objects: Mapping[int, Blob], codec: Codec) -> list[Any]:
    values: list[Any] = []
    _add_pieces(node[1], objects, codec, values)
    if node[2]:
        values += codec.load_run(node[2], (node[3],))
    return values


def _add_pieces(pieces: Iterable[int], objects: Mapping[int, Blob], codec: Codec, values: list[Any]) -> None:
    pairs = iter(pieces)
    for n, count in zip(pairs, pairs, strict=True):
        if n < 0:
            _add_pieces(opened(objects[-n]), objects, codec, values)
        elif count < 0:
            values += codec.load_run(-count, (cast("bytes", objects[n]),))
        else:
            parts = [objects[n]] if count == 1 else itemgetter(*range(n, n + count))(objects)
            values += codec.load_elements(cast("Sequence[Blob]", parts))
