"""Builds values from nodes and objects. Pure: says which objects it needs, and takes them as a mapping."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import ormsgpack

from threadkeep.checkpoint.objects.codec import Blob, Codec, blob_data
from threadkeep.checkpoint.objects.nodes import Node

__all__ = ["Range", "join", "missing", "needs"]

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
            todo.append(_opened(objects[n]))
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
                _needs_of_pieces(_opened(objects[-n]), ranges, closed, objects)
            else:
                closed.append(-n)


def missing(ranges: Iterable[Range], objects: Mapping[int, Blob]) -> list[Range]:
    """The ranges in order, merged, without those that `objects` has."""
    merged: list[Range] = []
    for first, count in sorted(set(ranges)):
        end = first + count
        if objects and all(n in objects for n in range(first, end)):
            continue
        if merged and first <= (last := merged[-1])[0] + last[1]:
            merged[-1] = (last[0], max(end, last[0] + last[1]) - last[0])
        else:
            merged.append((first, count))
    return merged


def join(node: Node, objects: Mapping[int, Blob], codec: Codec) -> Any:
    """The value of a node. Raises KeyError if an object is not there."""
    kind = type(node)
    if kind is bytes:
        return codec.load(node)
    if kind is int:
        return codec.load(objects[node])
    form = node[0]
    if form == 0:
        return codec.load((node[1], node[2]))
    if form == 1:
        return _join_list(node, objects, codec)
    if form == 2:
        return {key: join(child, objects, codec) for key, child in zip(node[1], node[2], strict=True)}
    if form == 3:
        return join(_opened(objects[node[1]]), objects, codec)
    merged: dict[str, Any] = {}
    for n in node[1]:
        merged.update(join(_opened(objects[n]), objects, codec))
    return merged


def _join_list(node: Node, objects: Mapping[int, Blob], codec: Codec) -> list[Any]:
    parts: list[Blob] = []
    count = node[2] + _collect(node[1], objects, parts)
    if codec.joinable:
        run = cast("list[bytes]", parts)  # those of a joinable serialiser have no tag
        return codec.load_run(count, [*run, node[3]] if node[2] else run)
    return [codec.load(part) for part in parts]


def _collect(pieces: Iterable[int], objects: Mapping[int, Blob], parts: list[Blob]) -> int:
    total = 0
    pairs = iter(pieces)
    for n, count in zip(pairs, pairs, strict=True):
        total += abs(count)
        if n < 0:
            _collect(_opened(objects[-n]), objects, parts)
        elif count < 0:
            parts.append(objects[n])
        else:
            parts += [objects[i] for i in range(n, n + count)]
    return total


def _opened(blob: Blob) -> Any:
    return ormsgpack.unpackb(blob_data(blob))
