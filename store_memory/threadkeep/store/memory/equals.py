"""Items by what a field equals, so that a filter need not look at all of them.

Knows of filters, not of queries, time or vectors.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from threadkeep.store.filter import And, Equals, Node, Path
from threadkeep.store.memory.items import Record

MAX_PATHS = 16
"""Fields that have an index at once; the one asked for longest ago makes room."""

Index = dict[object, dict[Record, None]]


class EqualFields:
    """An index of each field that a filter compared by equality lately, built when it was first asked for."""

    def __init__(self) -> None:
        self.indexes: dict[Path, Index] = {}

    def add(self, record: Record) -> None:
        for path, index in self.indexes.items():
            index.setdefault(_key(_at(record.value, path)), {})[record] = None

    def remove(self, record: Record) -> None:
        for path, index in self.indexes.items():
            key = _key(_at(record.value, path))
            holders = index[key]
            del holders[record]
            if not holders:
                del index[key]

    def candidates(self, tree: Node, records: Iterable[Record]) -> Collection[Record] | None:
        """Few records (of *records*, which are all) among which are those that pass the filter; None if the
        filter asks for no equality.
        """
        found = [self._index(node.path, records).get(_key(node.value), {}) for node in _equalities(tree)]
        return min(found, key=len, default=None)

    def _index(self, path: Path, records: Iterable[Record]) -> Index:
        index = self.indexes.pop(path, None)
        if index is None:
            index = {}
            for record in records:
                index.setdefault(_key(_at(record.value, path)), {})[record] = None
            if len(self.indexes) >= MAX_PATHS:
                del self.indexes[next(iter(self.indexes))]
        self.indexes[path] = index
        return index


def _equalities(tree: Node) -> Iterator[Equals]:
    """The equalities without which the filter does not hold."""
    if isinstance(tree, Equals):
        yield tree
    elif isinstance(tree, And):
        for part in tree.parts:
            yield from _equalities(part)


def _at(value: Any, path: Path) -> Any:
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return _MISSING
        value = value[name]
    return value


_MISSING = object()


def _key(value: Any) -> object:
    """The same for values that are equal; for others it may be."""
    if isinstance(value, bool) or value is None or value is _MISSING:
        return type(value), value
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return "number", _float(value)
    return type(value)


def _float(number: int | float) -> float:
    try:
        return float(number)
    except OverflowError:
        return float("inf")
