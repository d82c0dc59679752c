"""All that a store holds, kept consistent (items, vectors, words, fields by value), and searching it.

Knows nothing of locks, threads or embedding functions. Every method runs under the store's lock, except
`items.get`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from threadkeep.store.base import Namespace, SearchOp
from threadkeep.store.filter import And, predicate
from threadkeep.store.filter import Node as Filter
from threadkeep.store.lexical import deeper, fuse, fused_depth
from threadkeep.store.memory.equals import EqualFields
from threadkeep.store.memory.items import Items, Node, Record
from threadkeep.store.memory.words import Words

if TYPE_CHECKING:
    from threadkeep.store.memory.vectors import Floats, Part, Vectors

GATHERED_SHARE = 8
"""Rows are gathered where they are less than so small a part of all: a gathered row costs five times one that
is passed over in the product of all (0.25 against 0.05 µs of 384 dimensions)."""
SCANNED = 256
"""Fewer items are looked at one by one: no index of a field is built for them."""
KEPT_BYTES = 32 << 20
"""Of gathered matrices, kept for the next query under the same prefix (500 rows: 0.09 ms the first time, then
0.015)."""
TRIED = 1000
"""A filter that does not fill the page from so many of the best matches lets few pass: it is then tried on
all items, and those that pass are ranked."""
MOST = 2**40
"""Stands for every larger limit and offset."""
EVERYTHING = And(())

Ranked = Iterator[tuple[Record, float | None]]


class Search(NamedTuple):
    """A search, its filter parsed and its query embedded."""

    op: SearchOp
    filter: Filter
    query: Floats | None
    now: datetime


class Contents:
    """What a store holds."""

    def __init__(self, vectors: Vectors[Record] | None) -> None:
        self.items = Items()
        self.vectors = vectors
        self._fields = EqualFields()
        self._words: Words | None = None
        self._kept: dict[int, Node] = {}
        self._kept_bytes = 0

    def put(self, record: Record, old: Record | None) -> None:
        """Puts *record* in the place of *old*; the rows of *old* that it has taken over are its own now."""
        if self.vectors is None and self._words is None and not self._fields.indexes:
            self.items.put(record, old)
            return
        if self.vectors is not None and record.rows:
            self.vectors.give(record.rows.values(), record)
        if old is not None:
            self._forget(old, record.rows)
        self.items.put(record, old)
        self._fields.add(record)
        if self._words is not None:
            self._words.add(record)

    def delete(self, record: Record) -> None:
        self._forget(record, {})
        self.items.delete(record)

    def _forget(self, record: Record, taken: Mapping[bytes, int]) -> None:
        self._fields.remove(record)
        if self._words is not None:
            self._words.remove(record)
        if self.vectors is not None and record.rows:
            self.vectors.remove([row for text, row in record.rows.items() if text not in taken])
            self.vectors.compact(_moved)

    def attach(self, matrix: Floats, owners: list[tuple[Record, bytes]]) -> None:
        """Gives each owner, a record that has been put and the hash of one of its texts, its row."""
        assert self.vectors is not None
        rows = self.vectors.add(matrix, [record for record, _ in owners])
        for (record, text), row in zip(owners, rows, strict=True):
            if record.rows:
                record.rows[text] = row
            else:
                record.rows = {text: row}

    def search(self, search: Search) -> list[tuple[Record, float | None]]:
        """The page of items that was asked for, with their scores."""
        op = search.op
        if op.limit > MOST or op.offset > MOST:
            op = op._replace(limit=min(op.limit, MOST), offset=min(op.offset, MOST))
            search = search._replace(op=op)
        node = self.items.nodes.get(op.namespace_prefix)
        if node is None or not op.limit:
            return []
        found = self._ranked(search, node)
        if op.after is not None:
            found = _behind(found, op)
        return list(islice(found, op.offset, op.offset + op.limit))

    def _ranked(self, search: Search, node: Node) -> Ranked:
        op = search.op
        if not op.query or self.vectors is None:
            return self._listed(search, node)
        if op.mode == "semantic":
            return self._similar(search, node)
        if op.mode == "lexical":
            return self._worded(search)
        return self._by_both(search, node)

    def _by_both(self, search: Search, node: Node) -> Ranked:
        """The best of both rankings, fused; more of them while more is asked for."""
        given, depth = 0, fused_depth(search.op.limit, search.op.offset)
        while True:
            both = [islice(self._similar(search, node), depth), islice(self._worded(search), depth)]
            rankings = [[record for record, _ in ranked] for ranked in both]
            fused = sorted(fuse(rankings).items(), key=lambda pair: (-pair[1], pair[0].order))
            yield from fused[given:]
            if max(map(len, rankings)) < depth:
                return
            given, depth = len(fused), deeper(depth)

    def _listed(self, search: Search, node: Node) -> Ranked:
        few = self._few(search, node)
        records = node.listing() if few is None else sorted(few, key=_order)
        if search.op.after is not None:
            last = search.op.after
            place = (last.updated_at, last.namespace, last.key)
            if search.op.order == "asc":
                records = records[bisect_right(records, place, key=_order) :]
            else:
                records = records[: bisect_left(records, place, key=_order)]
        passes = _passes(search)
        ordered = records if search.op.order == "asc" else reversed(records)
        return ((record, None) for record in ordered if passes(record))

    def _worded(self, search: Search) -> Ranked:
        if self._words is None:
            self._words = Words(self.items.nodes[()])
        passes = _passes(search)
        ranked = self._words.ranked(search.op.query or "", search.op.namespace_prefix)
        return ((record, score) for record, score in ranked if passes(record))

    def _similar(self, search: Search, node: Node) -> Ranked:
        """Best first. Items without vectors are not found by meaning."""
        assert self.vectors is not None
        assert search.query is not None
        op, part, share = search.op, None, 1
        few = self._few(search, node)
        if few is not None:
            part = self._rows_of(few)
        elif node.count * GATHERED_SHARE <= len(self.items):
            part = self._part(node)
        else:
            share = len(self.items) // node.count
        expected = (op.offset + op.limit) * share * (1 if search.filter == EVERYTHING else 4)
        passes = _passes(search)
        depth = len(op.namespace_prefix) if part is None else 0
        prefix = op.namespace_prefix[:depth]
        best = self.vectors.ranked(search.query, part, expected, _order)
        found = set()
        for record, score in islice(best, max(TRIED, 2 * expected)):
            if record.namespace[:depth] == prefix and passes(record):
                found.add(record)
                yield record, score
        if next(best, None) is not None:
            left = self._rows_of([record for record in node if record not in found and passes(record)])
            yield from self.vectors.ranked(search.query, left, expected, _order)

    def _rows_of(self, records: Iterable[Record]) -> Part:
        assert self.vectors is not None
        return self.vectors.part([row for record in records for row in record.rows.values()])

    def _few(self, search: Search, node: Node) -> Collection[Record] | None:
        """Some of the items below *node*, with all that pass the filter among them, if that spares work."""
        if node.count < SCANNED:
            return None
        found = self._fields.candidates(search.filter, self.items.nodes[()])
        if found is None or len(found) * GATHERED_SHARE > node.count:
            return None
        prefix = search.op.namespace_prefix
        return [record for record in found if record.namespace[: len(prefix)] == prefix]

    def _part(self, node: Node) -> Part:
        """The vectors below *node*, gathered; kept until something changes there."""
        assert self.vectors is not None
        state = (node.version, self.vectors.epoch)
        if node.kept_at == state:
            return node.kept  # type: ignore[no-any-return]
        self._drop(node)
        part = self._rows_of(node)
        size = part.matrix.nbytes + part.rows.nbytes
        if size <= KEPT_BYTES // 4:
            node.kept, node.kept_at = part, state
            self._kept[id(node)] = node
            self._kept_bytes += size
            while self._kept_bytes > KEPT_BYTES:
                self._drop(next(iter(self._kept.values())))
        return part

    def _drop(self, node: Node) -> None:
        if self._kept.pop(id(node), None) is not None:
            self._kept_bytes -= node.kept.matrix.nbytes + node.kept.rows.nbytes
            node.kept = node.kept_at = None


def _moved(record: Record, rows: list[int]) -> None:
    """`Vectors.compact` keeps the order of a record's rows."""
    record.rows = dict(zip(sorted(record.rows, key=record.rows.__getitem__), rows, strict=True))


def _order(record: Record) -> tuple[datetime, Namespace, str]:
    return record.order


def _passes(search: Search) -> Callable[[Record], bool]:
    now = search.now
    if search.filter == EVERYTHING:
        return lambda record: record.expires_at is None or record.expires_at > now
    test = predicate(search.filter)
    return lambda record: (record.expires_at is None or record.expires_at > now) and test(record.value)


def _behind(ranked: Ranked, op: SearchOp) -> Ranked:
    """What comes after the cursor."""
    last = op.after
    assert last is not None
    if last.score is None:
        yield from ranked
        return
    place = (-last.score, last.updated_at, last.namespace, last.key)
    for record, score in ranked:
        if score is None or (-score, *record.order) > place:  # a list begins there already
            yield record, score
