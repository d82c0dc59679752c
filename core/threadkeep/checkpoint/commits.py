"""The plan of a commit: checks the parent, numbers the objects, stores checkpoints and writes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar, cast

from threadkeep.checkpoint import requests as ask
from threadkeep.checkpoint.base import SavePoint, SaveWrites
from threadkeep.checkpoint.drafts import Address, Draft, Drafter, PointDraft, WritesDraft
from threadkeep.checkpoint.memo import Learned, Memos, PointMemo, ThreadMemo
from threadkeep.checkpoint.objects import Blob, Codec, Cutter, ListMemo, ListTree, Node, Tree, inherit
from threadkeep.checkpoint.records import Body, Writes, body_of, pack_body, pack_writes, writes_of
from threadkeep.checkpoint.requests import NewPoint, NewWrites, Plan, PointRow, ThreadRow, WritesRow
from threadkeep.errors import ConcurrentUpdateError, ThreadDeletedError

__all__ = ["Commit", "Numbers", "OnConflict", "merged_places", "versioned"]

T = TypeVar("T")
OnConflict = Literal["fork", "reject"]
_PAGE = 50


class Commit:
    """One commit. `plan` stores it; run it in a transaction (again, if that was undone).

    `add` drafts an operation. Drafting serialises, so it is done where the values belong: in the caller's
    thread, before any waiting.
    """

    __slots__ = ("_codec", "_drafter", "_drafts", "_memos", "_on_conflict", "_ops", "_used")

    def __init__(self, codec: Codec, memos: Memos, on_conflict: OnConflict) -> None:
        self._codec = codec
        self._on_conflict = on_conflict
        self._memos = memos
        self._used: dict[str, ThreadMemo | None] = {}
        self._drafter = Drafter(codec, self._last_of)
        self._ops: list[SavePoint | SaveWrites] = []
        self._drafts: list[Draft] = []

    def add(self, op: SavePoint | SaveWrites) -> None:
        """Adds an operation. Raises what the serialiser raises; the commit is then as before."""
        self._drafts.append(self._drafter.draft(op))
        self._ops.append(op)

    def _memo_of(self, thread_id: str) -> ThreadMemo | None:
        """The memo of a thread, the same one for drafting and for storing."""
        if thread_id not in self._used:
            self._used[thread_id] = self._memos.get(thread_id)
        return self._used[thread_id]

    def _last_of(self, thread_id: str, ns: str, channel: str) -> ListMemo | None:
        """What is remembered of the list that was stored last."""
        memo = self._memo_of(thread_id)
        return memo.lists.get((ns, channel)) if memo is not None else None

    def plan(self) -> Plan[list[Learned]]:
        """Stores all; returns what to remember once the transaction is committed."""
        threads: dict[str, list[int]] = {}
        for i, each in enumerate(self._drafts):
            threads.setdefault(each.address.thread_id, []).append(i)
        news = []
        for thread_id, places in sorted(threads.items()):  # all lock them in one order: no deadlock
            row: ThreadRow | None = yield self._finding(self._drafts[places[0]].address)
            if row is None:
                row = yield ask.AddThread(thread_id)
            news.append((yield from self._store(thread_id, row, places)))
        return news

    def _finding(self, address: Address) -> ask.FindThread:
        return ask.FindThread(address.thread_id, address.ns)

    def _store(self, thread_id: str, row: ThreadRow, places: Sequence[int]) -> Plan[Learned]:
        """Stores the operations on one thread."""
        drafts: list[Draft] = [self._drafts[i] for i in places]
        memo = self._memo_of(thread_id)
        if memo is not None and (memo.no, memo.epoch) != (row.no, row.epoch):
            # The thread was pruned or deleted meanwhile: rare. The values are serialised as they are now.
            memo = None
            drafter = Drafter(self._codec, lambda *_: None)
            drafts = [drafter.draft(self._ops[i]) for i in places]
        writer = _ThreadWriter(thread_id, row, memo, self._codec, self._on_conflict)
        return (yield from writer.store(drafts))


class Numbers:
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
    """Stores drafts of one thread: collects rows, and hands them over together."""

    def __init__(
        self, thread_id: str, row: ThreadRow, memo: ThreadMemo | None, codec: Codec, on_conflict: OnConflict
    ) -> None:
        self._thread_id = thread_id
        self._row = row
        self._codec = codec
        self._reject = on_conflict == "reject"
        self._numbers = Numbers(memo.known if memo else {}, row.next)
        self._may_have_more = not row.is_swept and (not memo.has_all(row.next) if memo else row.next > 1)
        """Whether the storage may know objects that the memo does not. Those that are swept do not count."""
        self._remembered = memo.points if memo else {}
        self._points: dict[str, PointMemo] = {}
        self._trees: dict[tuple[str, str], ListTree] = {}
        self._diverged: list[str] = []
        self._new_points: list[NewPoint] = []
        self._new_metadata: list[Mapping[str, Any]] = []
        self._new_writes: list[NewWrites] = []

    def store(self, drafts: Sequence[Draft]) -> Plan[Learned]:
        numbers, row = self._numbers, self._row
        if self._may_have_more and (unknown := {b: 0 for b in _blobs(drafts) if numbers.lacks(b)}):
            numbers.found = yield ask.FindObjects(row.no, list(unknown))
        for each in drafts:
            if type(each) is PointDraft:
                yield from self._put_point(each)
            elif type(each) is WritesDraft:
                if row.grave:
                    yield from self._check_target(each)
                self._put_writes(each)
        yield from self._flush()
        if numbers.fresh:
            yield ask.AddObjects(row.no, numbers.first, list(numbers.fresh))
        known = {**numbers.found, **numbers.fresh} if numbers.fresh or numbers.found else {}
        lists = {key: memo for key, tree in self._trees.items() if (memo := tree.memo(self._codec))}
        return Learned(self._thread_id, row.no, row.epoch, lists, self._points, known, self._diverged)

    def _flush(self) -> Plan[None]:
        """Stores the rows collected so far, so that a request can find them."""
        if not self._new_points and not self._new_writes:
            return
        writes = self._new_writes
        there: list[int] = yield ask.AddRows(self._row.no, self._new_points, writes, self._new_metadata)
        self._new_points, self._new_writes, self._new_metadata = [], [], []
        for i in there:
            ns, id, task, body = writes[i]
            old: WritesRow = (yield ask.ReadWrites(self._row.no, ns, id, task))[0]
            yield ask.SetWrites(self._row.no, ns, id, task, _merged(writes_of(old.body), writes_of(body)))

    def _put_point(self, point: PointDraft) -> Plan[None]:
        _, ns, parent = point.address
        mine = self._points.get(ns)
        head: str | None
        if mine is not None:
            head = mine.id
        else:
            head = self._row.head if ns == self._row.head_ns else (yield ask.Head(self._row.no, ns))
        if parent != head or self._row.grave:
            yield from self._flush()
            yield from self._check_parent(point, head)
        memo = mine or self._remembered.get(ns)
        if memo is not None and memo.id == parent:
            inherited = memo.nodes
        else:
            inherited = yield from self._nodes_of(ns, parent)
        nodes: dict[str, tuple[Any, Node]] = {}
        fresh, numbers = point.fresh, self._numbers
        for channel, version in point.versions.items():
            if channel in fresh:
                node = self._encode(ns, channel, fresh[channel])
            elif (old := inherited.get(channel)) is not None and old[0] == version:
                node = old[1] and inherit(old[1], numbers)
            else:
                node = yield from self._other_node(point, channel, version)
            nodes[channel] = (version, node)
        extra = {
            channel: self._encode(ns, channel, Cutter(self._codec).cut(value))
            for channel, value in (() if point.others.keys() <= nodes.keys() else point.others.items())
            if channel not in nodes
        }
        body = pack_body(point.head, [node for _, node in nodes.values()], extra)
        self._new_points.append((ns, point.id, parent, body))
        self._new_metadata.append(point.metadata)
        self._points[ns] = PointMemo(point.id, nodes)

    def _encode(self, ns: str, channel: str, tree: Tree | None) -> Node:
        if tree is None or isinstance(tree, bytes):
            return tree
        if type(tree) is ListTree:
            self._trees[ns, channel] = tree
        return tree.encode(self._numbers)

    def _nodes_of(self, ns: str, id: str | None) -> Plan[dict[str, tuple[Any, Node]]]:
        """The nodes of a checkpoint, by channel, with their versions; none if it is not there."""
        if id is None:
            return {}
        yield from self._flush()
        row: PointRow | None = yield ask.ReadPoint(self._row.no, ns, id)
        return versioned(body_of(row.body)) if row else {}

    def _other_node(self, point: PointDraft, channel: str, version: Any) -> Plan[Node]:
        """The node of a channel that was not written and that the parent does not have at this version.

        The value is taken where the checkpoint has it, else from the newest checkpoint that has the version.
        """
        ns = point.address.ns
        if channel in point.others:
            return self._encode(ns, channel, Cutter(self._codec).cut(point.others[channel]))
        yield from self._flush()
        after = None
        while rows := (yield ask.Page(self._row.no, ns, after, _PAGE)):
            for row in rows:
                old = versioned(body_of(row.body)).get(channel)
                if old is not None and old[0] == version:
                    return old[1] and inherit(old[1], self._numbers)
            after = (rows[-1].id, rows[-1].no, rows[-1].ns)
        return None

    def _check_parent(self, point: PointDraft, head: str | None) -> Plan[None]:
        """Refuses late writes of deleted threads; refuses or notes a parent that is not the head."""
        no, (thread_id, ns, parent) = self._row.no, point.address
        if self._row.grave and (parent is None or parent != head):
            yield from self._check_alive(point)
        if parent == head or head is None or head == point.id or point.fork:
            return
        if (yield ask.ReadPoint(no, ns, point.id)) is not None:
            return
        if self._reject:
            raise ConcurrentUpdateError(thread_id, ns, parent, head)
        sibling = (yield ask.HasChild(no, ns, parent)) if parent else head
        if sibling is not None:
            self._diverged.append(_divergence(point, sibling))

    def _check_alive(self, point: PointDraft) -> Plan[None]:
        thread_id, ns, parent = point.address
        if parent is not None:
            if (yield ask.ReadPoint(self._row.no, ns, parent)) is None:
                raise ThreadDeletedError(thread_id)
        elif any(_is_older(id, self._row.grave) for id in point.parents.values()):
            raise ThreadDeletedError(thread_id)

    def _check_target(self, writes: WritesDraft) -> Plan[None]:
        thread_id, ns, id = writes.address
        yield from self._flush()
        if (yield ask.ReadPoint(self._row.no, ns, id)) is None:
            raise ThreadDeletedError(thread_id)

    def _put_writes(self, writes: WritesDraft) -> None:
        _, ns, id = writes.address
        places: dict[int, tuple[int, str, Node]] = {}
        for place, channel, tree in writes.entries:
            node = tree if isinstance(tree, bytes) else tree.encode(self._numbers)
            places[place] = (place, channel, node)
        body = pack_writes(Writes(writes.path, list(places.values())))
        self._new_writes.append((ns, cast("str", id), writes.task, body))


def merged_places(old: Mapping[int, T], new: Mapping[int, T]) -> dict[int, T]:
    """What counts of writes said twice: the first at each place, but the last at the fixed ones."""
    return {**old, **{place: entry for place, entry in new.items() if place < 0 or place not in old}}


def _merged(old: Writes, new: Writes) -> bytes:
    places = [{entry[0]: entry for entry in writes.entries} for writes in (old, new)]
    return pack_writes(Writes(old.path, list(merged_places(*places).values())))


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
            if tree is not None and not isinstance(tree, bytes):
                yield from tree.blobs()


def versioned(body: Body) -> dict[str, tuple[Any, Node]]:
    """Version and node of each channel that has a version."""
    return {
        channel: (version, node)
        for (channel, version), node in zip(body.versions.items(), body.nodes, strict=True)
    }


def _is_older(id: str, grave: str) -> bool:
    """Whether an id was made before the grave; False for one that does not tell (no UUID of version 6)."""
    return len(id) == 36 and id[14] == "6" and id < grave
