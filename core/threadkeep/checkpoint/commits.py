"""The plan of a commit: checks the parent, numbers the objects, stores checkpoints and writes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from threadkeep.checkpoint.base import SavePoint, SaveWrites
from threadkeep.checkpoint.drafts import Draft, PointDraft, WritesDraft, draft
from threadkeep.checkpoint.memo import Learned, Memos, PointMemo, ThreadMemo
from threadkeep.checkpoint.objects import Blob, Codec, Cutter, ListTree, Node, inherit
from threadkeep.checkpoint.records import Body, Writes, body_of, pack_body, pack_writes, writes_of
from threadkeep.checkpoint.requests import (
    AddObjects,
    AddThread,
    AddWrites,
    FindObjects,
    FindThread,
    HasChild,
    Head,
    Page,
    Plan,
    PutPoint,
    ReadPoint,
    ReadWrites,
    SetWrites,
    ThreadRow,
)
from threadkeep.errors import ConcurrentUpdateError, ThreadDeletedError

__all__ = ["Commit", "OnConflict"]

OnConflict = Literal["fork", "reject"]
_PAGE = 50


class Commit:
    """One commit, drafted when made. `plan` stores it; run it once, in a transaction.

    Drafting serialises, so it is done where the values belong: in the caller's thread, before any waiting.
    """

    __slots__ = ("_codec", "_drafts", "_memos", "_on_conflict", "_ops")

    def __init__(
        self, ops: Sequence[SavePoint | SaveWrites], codec: Codec, memos: Memos, on_conflict: OnConflict
    ) -> None:
        self._ops = ops
        self._codec = codec
        self._on_conflict = on_conflict
        self._memos: dict[str, ThreadMemo | None] = {}

        def memo_of(thread_id: str) -> ThreadMemo | None:
            if thread_id not in self._memos:
                self._memos[thread_id] = memos.get(thread_id)
            return self._memos[thread_id]

        self._drafts = draft(ops, codec, memo_of)

    def plan(self) -> Plan[list[Learned]]:
        """Stores all; returns what to remember once the transaction is committed."""
        threads: dict[str, list[int]] = {}
        for i, each in enumerate(self._drafts):
            threads.setdefault(each.address.thread_id, []).append(i)
        news = []
        for thread_id, places in threads.items():
            row: ThreadRow | None = yield FindThread(thread_id)
            if row is None:
                row = yield AddThread(thread_id)
            drafts: list[Draft] = [self._drafts[i] for i in places]
            memo = self._memos.get(thread_id)
            if memo is not None and (memo.no, memo.epoch) != (row.no, row.epoch):
                memo = None
                drafts = draft([self._ops[i] for i in places], self._codec, lambda _: None)
            writer = _ThreadWriter(thread_id, row, memo, self._codec, self._on_conflict)
            news.append((yield from writer.store(drafts)))
        return news


class _Numbers:
    """Gives each blob its object number."""

    def __init__(self, known: dict[Blob, int], first: int) -> None:
        self._known = known
        self.first = first
        self.found: dict[Blob, int] = {}
        self.fresh: dict[Blob, int] = {}

    def lacks(self, blob: Blob) -> bool:
        return blob not in self._known and blob not in self.found

    def __call__(self, blob: Blob) -> int:
        n = self._known.get(blob) or self.found.get(blob) or self.fresh.get(blob)
        if n is None:
            n = self.fresh[blob] = self.first + len(self.fresh)
        return n


class _ThreadWriter:
    """Stores drafts of one thread."""

    def __init__(
        self, thread_id: str, row: ThreadRow, memo: ThreadMemo | None, codec: Codec, on_conflict: OnConflict
    ) -> None:
        self._thread_id = thread_id
        self._row = row
        self._codec = codec
        self._reject = on_conflict == "reject"
        self._numbers = _Numbers(memo.known if memo else {}, row.next)
        self._remembered = memo.points if memo else {}
        self._points: dict[str, PointMemo] = {}
        self._trees: dict[tuple[str, str], ListTree] = {}
        self._diverged: list[str] = []

    def store(self, drafts: Sequence[Draft]) -> Plan[Learned]:
        numbers, row = self._numbers, self._row
        if row.next > 1 and (unknown := {b: 0 for b in _blobs(drafts) if numbers.lacks(b)}):
            numbers.found = yield FindObjects(row.no, list(unknown))
        for each in drafts:
            if isinstance(each, PointDraft):
                yield from self._put_point(each)
            else:
                yield from self._put_writes(each)
        if numbers.fresh:
            yield AddObjects(row.no, numbers.first, list(numbers.fresh))
        lists = {key: memo for key, tree in self._trees.items() if (memo := tree.memo())}
        known = {**numbers.found, **numbers.fresh}
        return Learned(self._thread_id, row.no, row.epoch, lists, self._points, known, self._diverged)

    def _put_point(self, point: PointDraft) -> Plan[None]:
        no, (_, ns, parent) = self._row.no, point.address
        yield from self._check_parent(point)
        inherited = yield from self._nodes_of(ns, parent)
        nodes: dict[str, tuple[Any, Node]] = {}
        for channel, version in point.versions.items():
            if channel in point.fresh:
                node = self._encode(ns, channel, point.fresh[channel])
            elif (old := inherited.get(channel)) is not None and old[0] == version:
                node = inherit(old[1], self._numbers)
            elif channel in point.others:
                node = Cutter(self._codec).cut(point.others[channel]).encode(self._numbers)
            else:
                node = yield from self._node_at(ns, channel, version)
            nodes[channel] = (version, node)
        extra = {}
        if not point.others.keys() <= nodes.keys():
            for channel in point.others.keys() - nodes.keys():
                extra[channel] = Cutter(self._codec).cut(point.others[channel]).encode(self._numbers)
        body = pack_body(point.head, [node for _, node in nodes.values()], extra)
        yield PutPoint(no, ns, point.id, parent, body)
        self._points[ns] = PointMemo(point.id, nodes)

    def _encode(self, ns: str, channel: str, tree: Any) -> Node:
        if tree is None:
            return None
        if type(tree) is ListTree:
            self._trees[ns, channel] = tree
        return tree.encode(self._numbers)

    def _nodes_of(self, ns: str, id: str | None) -> Plan[dict[str, tuple[Any, Node]]]:
        """The nodes of a checkpoint, by channel, with their versions; none if it is not there."""
        if id is None:
            return {}
        for memo in (self._points.get(ns), self._remembered.get(ns)):
            if memo is not None and memo.id == id:
                return memo.nodes
        row = yield ReadPoint(self._row.no, ns, id)
        return _versioned(body_of(row.body)) if row else {}

    def _node_at(self, ns: str, channel: str, version: Any) -> Plan[Node]:
        """The node of a channel at a version, of the newest checkpoint that has it."""
        after = None
        while rows := (yield Page(self._row.no, ns, after, _PAGE)):
            for row in rows:
                old = _versioned(body_of(row.body)).get(channel)
                if old is not None and old[0] == version:
                    return inherit(old[1], self._numbers)
            after = (rows[-1].id, rows[-1].no, rows[-1].ns)
        return None

    def _check_parent(self, point: PointDraft) -> Plan[None]:
        """Refuses late writes of deleted threads; refuses or notes a parent that is not the head."""
        no, (thread_id, ns, parent) = self._row.no, point.address
        mine = self._points.get(ns)
        head = mine.id if mine else (yield Head(no, ns))
        if self._row.grave and (parent is None or parent != head):
            yield from self._check_alive(point)
        if parent == head or head is None or head == point.id or point.fork:
            return
        if (yield ReadPoint(no, ns, point.id)) is not None:
            return
        if self._reject:
            raise ConcurrentUpdateError(thread_id, ns, parent, head)
        sibling = (yield HasChild(no, ns, parent)) if parent else head
        if sibling is not None:
            self._diverged.append(_divergence(point, sibling))

    def _check_alive(self, point: PointDraft) -> Plan[None]:
        thread_id, ns, parent = point.address
        if parent is not None:
            if (yield ReadPoint(self._row.no, ns, parent)) is None:
                raise ThreadDeletedError(thread_id)
        elif any(_is_older(id, self._row.grave) for id in point.parents.values()):
            raise ThreadDeletedError(thread_id)

    def _put_writes(self, writes: WritesDraft) -> Plan[None]:
        no, (thread_id, ns, id) = self._row.no, writes.address
        assert id is not None  # the draft refuses it
        mine = self._points.get(ns)
        if self._row.grave and not (mine and mine.id == id) and (yield ReadPoint(no, ns, id)) is None:
            raise ThreadDeletedError(thread_id)
        entries = {
            place: (place, channel, tree.encode(self._numbers)) for place, channel, tree in writes.entries
        }
        body = pack_writes(Writes(writes.path, list(entries.values())))
        if (yield AddWrites(no, ns, id, writes.task, body)):
            return
        row = (yield ReadWrites(no, ns, id, writes.task))[0]
        path, stored = writes_of(row.body)
        merged = {place: (place, channel, node) for place, channel, node in stored}
        for place, entry in entries.items():
            if place < 0:
                merged[place] = entry
            else:
                merged.setdefault(place, entry)
        yield SetWrites(no, ns, id, writes.task, pack_writes(Writes(path, list(merged.values()))))


def _divergence(point: PointDraft, sibling: str) -> str:
    thread_id, ns, parent = point.address
    where = f"{thread_id!r} (namespace {ns!r})" if ns else repr(thread_id)
    start = f"checkpoint {parent}" if parent else "its beginning"
    return (
        f"Two runs continued thread {where} from {start}: {sibling} is there, {point.id} comes later. "
        "Both are kept, as branches; the newest checkpoint counts as the thread's state. "
        'Use on_conflict="reject" to refuse the later one.'
    )


def _blobs(drafts: Sequence[Draft]) -> Iterator[Blob]:
    for each in drafts:
        trees = each.fresh.values() if isinstance(each, PointDraft) else [tree for _, _, tree in each.entries]
        for tree in trees:
            if tree is not None:
                yield from tree.blobs()


def _versioned(body: Body) -> dict[str, tuple[Any, Node]]:
    return {
        channel: (version, node)
        for (channel, version), node in zip(body.versions.items(), body.nodes, strict=True)
    }


def _is_older(id: str, grave: str) -> bool:
    """Whether an id was made before the grave; False for one that does not tell (no UUID of version 6)."""
    return len(id) == 36 and id[14] == "6" and id < grave
