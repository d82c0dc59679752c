"""The plans that load checkpoints. Pure."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from threadkeep.checkpoint import requests as ask
from threadkeep.checkpoint.base import CheckpointTuple
from threadkeep.checkpoint.drafts import Address, address_of
from threadkeep.checkpoint.memo import Memos, ThreadMemo
from threadkeep.checkpoint.objects import Blob, Codec, PageCodec, missing, needs
from threadkeep.checkpoint.records import Body, body_of, checkpoint_tuple, nodes_of, writes_of
from threadkeep.checkpoint.requests import Plan, PointRow, ThreadRow, WritesRow

__all__ = ["Listing", "get_tuple"]

_PAGE = 20
_PAGE_MAX = 100
"""Checkpoints that are loaded together if so many are asked for."""
_MANY = 300
"""Objects from which on the collector waits."""


def get_tuple(address: Address, codec: Codec, memos: Memos) -> Plan[CheckpointTuple | None]:
    """The checkpoint at an address, or None."""
    cold = memos.get(address.thread_id) is None
    thread: ThreadRow | None = yield ask.FindThread(address.thread_id, None, (address.ns, address.id), cold)
    if thread is None:
        return None
    row: PointRow | None = yield ask.ReadPoint(thread.no, address.ns, address.id)
    if row is None:
        return None
    memo = _memo_of(thread, memos, address.thread_id)
    return (yield from _load([(row, body_of(row.body))], codec, memo))[0]


def _memo_of(thread: ThreadRow, memos: Memos, thread_id: str) -> ThreadMemo | None:
    """What is remembered of a thread, if it still holds."""
    memo = memos.get(thread_id)
    return memo if memo is not None and (memo.no, memo.epoch) == (thread.no, thread.epoch) else None


def _load(
    points: Sequence[tuple[PointRow, Body]], codec: Codec, memo: ThreadMemo | None
) -> Plan[list[CheckpointTuple]]:
    """The checkpoints of these rows. An object is read once, a remembered one not at all."""
    waiting: list[list[WritesRow]] = []
    nodes: dict[int, list[Any]] = {}
    bodies: list[Body] = []
    for row, body in points:
        writes: list[WritesRow] = yield ask.ReadWrites(row.no, row.ns, row.id, None)
        waiting.append(writes)
        bodies.append(_with_remembered_lists(row.ns, body, memo, codec) if memo and memo.lists else body)
        nodes.setdefault(row.no, []).extend(nodes_of(bodies[-1:], [writes_of(each.body) for each in writes]))
    objects: dict[int, Mapping[int, Blob]] = {}
    for no, of_thread in nodes.items():
        objects[no] = yield from _fetch(no, of_thread, memo.objects if memo else {})
    loader = PageCodec(codec) if len(points) > 1 else codec
    with _collector_paused(max(map(len, objects.values()))):
        return [
            checkpoint_tuple(row, body, writes, objects[row.no], loader)
            for (row, _), body, writes in zip(points, bodies, waiting, strict=True)
        ]


def _with_remembered_lists(ns: str, body: Body, memo: ThreadMemo, codec: Codec) -> Body:
    nodes = body.nodes.copy()
    for i, (channel, node) in enumerate(zip(body.versions, body.nodes, strict=True)):
        known = memo.lists.get((ns, channel)) if type(node) is list else None
        if known is not None:
            nodes[i] = known.begins_with(node, codec) or node
    return body._replace(nodes=nodes)


@contextmanager
def _collector_paused(objects: int) -> Iterator[None]:
    """Keeps the garbage collector out of a large load, whose values it would search again and again in vain.

    A page of 20 states with 1,000 LangChain messages took 117 ms with it and 54 ms without.
    """
    if objects < _MANY or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _fetch(no: int, nodes: Sequence[Any], remembered: Mapping[int, Blob]) -> Plan[Mapping[int, Blob]]:
    """The objects that these nodes need, and perhaps more."""
    objects = remembered
    while True:
        ranges, closed = needs(nodes, objects)
        if lacking := missing(ranges, objects):
            found = yield ask.ReadObjects(no, lacking)
            objects = {**objects, **found} if objects else found
        if not closed or any(n not in objects for n in closed):
            return objects


class Listing:
    """Checkpoints newest first: run `page`, each in its own transaction, until it gives none."""

    class Query(NamedTuple):
        """What to list."""

        thread_id: str | None
        ns: str | None
        id: str | None
        before: str | None
        filter: Mapping[str, Any]

    def __init__(self, query: Query, limit: int | None, codec: Codec, memos: Memos) -> None:
        self._query = query
        self._memos = memos
        self._left = limit
        self._codec = codec
        self._after = None if query.before is None else (query.before, -1, "")
        self._done = limit is not None and limit <= 0
        self._memo: ThreadMemo | None = None

    @classmethod
    def of(
        cls,
        config: Mapping[str, Any] | None,
        filter: Mapping[str, Any] | None,
        before: Mapping[str, Any] | None,
        limit: int | None,
        codec: Codec,
        memos: Memos,
    ) -> Listing:
        """The listing that the arguments of `list` ask for."""
        thread_id = ns = id = None
        if config is not None:
            thread_id, ns, id = address_of(config)
            ns = ns if config["configurable"].get("checkpoint_ns") is not None else None
        until = before["configurable"].get("checkpoint_id") if before else None
        return cls(cls.Query(thread_id, ns, id, until, filter or {}), limit, codec, memos)

    def page(self) -> Plan[list[CheckpointTuple]]:
        """The next checkpoints; none at the end. A plan that fails leaves the listing where it was."""
        place = (self._after, self._left, self._done)
        try:
            return (yield from self._next())
        except BaseException:
            self._after, self._left, self._done = place
            raise

    def _next(self) -> Plan[list[CheckpointTuple]]:
        while not self._done:
            rows = yield from self._rows()
            points = [(row, body_of(row.body)) for row in rows]
            chosen = [each for each in points if self._matches(*each)]
            if self._left is not None:
                chosen = chosen[: self._left]
                self._left -= len(chosen)
                self._done |= self._left <= 0
            if chosen:
                return (yield from _load(chosen, self._codec, self._memo))
        return []

    def _rows(self) -> Plan[list[PointRow]]:
        query = self._query
        no = None
        if query.thread_id is not None:
            thread: ThreadRow | None = yield ask.FindThread(query.thread_id)
            if thread is None:
                self._done = True
                return []
            no = thread.no
            self._memo = _memo_of(thread, self._memos, query.thread_id)
        if query.id is not None and no is not None and query.ns is not None:
            self._done = True
            row: PointRow | None = yield ask.ReadPoint(no, query.ns, query.id)
            return [row] if row and (query.before is None or row.id < query.before) else []
        size = _PAGE if self._left is None or query.filter or query.id else min(self._left, _PAGE_MAX)
        rows: list[PointRow] = yield ask.Page(no, query.ns, self._after, size, query.filter)
        if len(rows) < size:
            self._done = True
        else:
            self._after = (rows[-1].id, rows[-1].no, rows[-1].ns)
        return rows

    def _matches(self, row: PointRow, body: Body) -> bool:
        query = self._query
        if query.id is not None and row.id != query.id:
            return False
        if not query.filter:
            return True
        metadata = self._codec.load(body.metadata)
        return all(metadata.get(key) == value for key, value in query.filter.items())
