"""The plan of a commit that keeps no history: the newest checkpoint of each namespace, and its writes. Pure.

It reads all rows of the thread, which are few, works out what they are afterwards, and stores the difference:
new rows, and the deletion of checkpoints and objects that are not needed any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from threadkeep.checkpoint import requests as ask
from threadkeep.checkpoint.commits import Commit, Numbers, OnConflict, merged_places, versioned
from threadkeep.checkpoint.drafts import Address, Draft, PointDraft, WritesDraft
from threadkeep.checkpoint.memo import Learned, Memos
from threadkeep.checkpoint.objects import (
    Blob,
    Codec,
    Cutter,
    ListMemo,
    ListTree,
    Node,
    Range,
    Tree,
    minus,
    missing,
    needs,
    rebased,
)
from threadkeep.checkpoint.records import Writes, body_of, pack_body, pack_writes, writes_of
from threadkeep.checkpoint.requests import NewPoint, NewWrites, Plan, StoredRow, ThreadRow
from threadkeep.checkpoint.upkeep import marks, nodes_in
from threadkeep.errors import ConcurrentUpdateError, ThreadDeletedError

__all__ = ["ShallowCommit"]

_PAGE = 1_000
Key = tuple[str | None, str, str | None]
"""Namespace, checkpoint id, and the task if it is a row of writes."""


class ShallowCommit(Commit):
    """A commit whose checkpoints take the place of the newest of their namespaces.

    Of two runs that continue from one checkpoint the one with the newer id stays. Writes for another
    checkpoint than the newest are not kept. What is drafted can be stored whatever becomes of the thread.
    """

    __slots__ = ("_objects",)

    def __init__(self, codec: Codec, memos: Memos, on_conflict: OnConflict) -> None:
        super().__init__(codec, memos, on_conflict)
        self._objects: dict[str, Mapping[int, Blob]] = {}
        """The objects at hand when a thread's first operation was drafted: the drafts need no others."""

    def _last_of(self, thread_id: str, ns: str, channel: str) -> ListMemo | None:
        last = super()._last_of(thread_id, ns, channel)
        memo = self._memo_of(thread_id)
        if last is None or memo is None:
            return None
        objects = self._objects.setdefault(thread_id, memo.objects)
        return None if missing(_ranges_of(last.pieces, objects), objects) else last

    def _finding(self, address: Address) -> ask.FindThread:
        return ask.FindThread(address.thread_id)

    def _store(self, thread_id: str, row: ThreadRow, places: Sequence[int]) -> Plan[Learned]:
        memo = self._memos.get(thread_id)
        if memo is not None and (memo.no, memo.epoch) != (row.no, row.epoch):
            memo = None
        rows = yield from _all_rows(row.no)
        marked = yield from marks(row.no, nodes_in(rows), memo.objects if memo else {})
        thread = _Thread(thread_id, row, rows, self._codec, reject=self._on_conflict == "reject")
        thread.take([self._drafts[i] for i in places])
        thread.rebase(marked, self._objects.get(thread_id, {}))
        numbers = Numbers(memo.known if memo else {}, row.next)
        if missing(marked, memo.objects if memo else {}) and not row.is_swept:
            numbers.found = yield from _find(row.no, numbers, thread.blobs())
        change = thread.encode(numbers)
        yield from _write(row, change, numbers)
        at_hand = {**(memo.objects if memo else {}), **{n: blob for blob, n in numbers.fresh.items()}}
        # After a sweep that was broken off there may be objects that no row refers to.
        before = [(1, row.next - 1)] if row.is_swept else marked
        gone = minus(before, (yield from marks(row.no, nodes_in(change.rows), at_hand)))
        epoch = row.epoch
        if gone:
            yield ask.DropObjects(row.no, gone)
            epoch = yield ask.Touch(row.no)
        known = {**numbers.found, **numbers.fresh}
        lists = thread.lists()
        return Learned(
            thread_id, row.no, epoch, lists, {}, known, thread.diverged, change.rows, gone, row.epoch
        )


def _all_rows(no: int) -> Plan[list[StoredRow]]:
    rows: list[StoredRow] = []
    after: Any = ()
    while after is not None:
        more, after = yield ask.Rows(no, after or None, _PAGE)
        rows += more
    return rows


def _find(no: int, numbers: Numbers, blobs: Iterator[Blob]) -> Plan[dict[Blob, int]]:
    unknown = {blob: 0 for blob in blobs if numbers.lacks(blob)}
    found: dict[Blob, int] = (yield ask.FindObjects(no, list(unknown))) if unknown else {}
    return found


def _write(row: ThreadRow, change: _Change, numbers: Numbers) -> Plan[None]:
    if change.points or change.writes:
        yield ask.AddRows(row.no, change.points, change.writes, change.metadata)
    for writes in change.merged:
        yield ask.SetWrites(row.no, *writes)
    if change.dropped:
        yield ask.DropPoints(row.no, change.dropped)
    if numbers.fresh:
        yield ask.AddObjects(row.no, numbers.first, list(numbers.fresh))


class _Change(NamedTuple):
    """What is to be stored, and all rows of the thread after that."""

    points: list[NewPoint]
    metadata: list[Mapping[str, Any]]
    writes: list[NewWrites]
    merged: list[NewWrites]
    """Writes of tasks that have some already."""
    dropped: list[tuple[str, str]]
    rows: list[StoredRow]


class _NewCheckpoint(NamedTuple):
    draft: PointDraft
    nodes: dict[str, tuple[Any, Node | Tree]]
    extra: dict[str, Node | Tree]


class _NewWrites(NamedTuple):
    path: str
    places: dict[int, tuple[int, str, Node | Tree]]


class _Thread:
    """The rows of a thread, as operations change them. Nodes are trees until they are encoded."""

    def __init__(
        self, thread_id: str, row: ThreadRow, rows: Sequence[StoredRow], codec: Codec, *, reject: bool
    ) -> None:
        self._thread_id = thread_id
        self._row = row
        self._codec = codec
        self._reject = reject
        self._stored: dict[Key, StoredRow] = {(each.ns, each.id, each.task): each for each in rows}
        self._rows: dict[Key, StoredRow | _NewCheckpoint | _NewWrites] = {**self._stored}
        self._heads = {each.ns: each.id for each in rows if each.task is None}
        self._mine: set[tuple[str, str]] = set()
        """The checkpoints of this commit: not in its own way if it is stored again."""
        self.diverged: list[str] = []
        """Warnings for the caller."""

    def take(self, drafts: Sequence[Draft]) -> None:
        """Performs operations. Raises for those that are refused."""
        self._mine = {(each.address.ns, each.id) for each in drafts if isinstance(each, PointDraft)}
        for each in drafts:
            if isinstance(each, PointDraft):
                self._put_point(each)
            else:
                self._put_writes(each)

    def _put_point(self, point: PointDraft) -> None:
        ns, id = point.address.ns, point.id
        head = self._heads.get(ns)
        if not self._is_next(point, head):
            return
        parent = self._rows.get((ns, point.address.id, None)) if point.address.id else None
        new = _NewCheckpoint(point, self._nodes(point, parent), {})
        for channel, value in point.others.items():
            if channel not in new.nodes:
                new.extra[channel] = Cutter(self._codec).cut(value)
        if head is not None and head != id:
            for space in [space for space in self._heads if space and self._ended(space, ns, id)]:
                self._drop(space, None)
        self._drop(ns, id)
        self._rows[ns, id, None] = new
        self._heads[ns] = id

    def _drop(self, ns: str | None, but: str | None) -> None:
        """Drops the checkpoints of a namespace, but one, with their writes."""
        for key in [key for key in self._rows if key[0] == ns and key[1] != but]:
            del self._rows[key]
        self._heads.pop(ns, None)

    def _ended(self, space: str, ns: str, id: str) -> bool:
        """Whether a namespace is of a task that ran under an older checkpoint of `ns` than this one."""
        beginning = ns + "|" if ns else ""
        if not space.startswith(beginning) or ":" not in space[len(beginning) :].partition("|")[0]:
            return False
        child = self._rows[space, self._heads[space], None]
        if isinstance(child, _NewCheckpoint):
            parents = child.draft.parents
        else:
            parents = self._codec.load(body_of(cast("StoredRow", child).body).metadata).get("parents") or {}
        return bool(parents.get(ns, id) < id)

    def _is_next(self, point: PointDraft, head: str | None) -> bool:
        """Whether the checkpoint becomes the newest. Refuses late ones of deleted threads."""
        parent = point.address.id
        if self._row.grave and (parent is None or parent != head):
            before = point.parents.values() if parent is None else [parent]
            if any(_may_be_older(each, self._row.grave) for each in before):
                raise ThreadDeletedError(self._thread_id)
        ns = point.address.ns
        if head in (None, parent, point.id) or point.fork or (ns, head) in self._mine:
            return True
        if self._reject:
            raise ConcurrentUpdateError(self._thread_id, ns, parent, head)
        earlier, later = sorted((point.id, head or ""))
        self.diverged.append(
            f"Two runs continued thread {self._thread_id!r} (namespace {ns!r}) at once: {later} is kept, "
            f"{earlier} is lost, for this saver keeps no history. "
            'Use on_conflict="reject" to refuse the later one.'
        )
        return point.id == later

    def _nodes(self, point: PointDraft, parent: Any) -> dict[str, tuple[Any, Node | Tree]]:
        """The node of each channel that has a version: written, of the parent, or of the value as it is."""
        inherited: Mapping[str, tuple[Any, Node | Tree]] = {}
        if isinstance(parent, _NewCheckpoint):
            inherited = parent.nodes
        elif parent is not None:
            inherited = versioned(body_of(parent.body))
        nodes: dict[str, tuple[Any, Node | Tree]] = {}
        for channel, version in point.versions.items():
            old = inherited.get(channel)
            if channel in point.fresh:
                nodes[channel] = (version, point.fresh[channel])
            elif old is not None and old[0] == version:
                nodes[channel] = old
            elif channel in point.others:
                nodes[channel] = (version, Cutter(self._codec).cut(point.others[channel]))
            else:
                nodes[channel] = (version, None)
        return nodes

    def _put_writes(self, writes: WritesDraft) -> None:
        ns, id = writes.address.ns, cast("str", writes.address.id)
        if self._heads.get(ns) != id:
            if self._row.grave and _may_be_older(id, self._row.grave):
                raise ThreadDeletedError(self._thread_id)
            return
        key = (ns, id, writes.task)
        path, places = writes.path, {entry[0]: entry for entry in writes.entries}
        old = self._rows.get(key)
        if isinstance(old, StoredRow):
            stored = writes_of(old.body)
            old = _NewWrites(stored.path, {place: (place, *rest) for place, *rest in stored.entries})
        if isinstance(old, _NewWrites):
            path, places = old.path, merged_places(old.places, places)
        self._rows[key] = _NewWrites(path, places)

    def rebase(self, marked: Sequence[Range], objects: Mapping[int, Blob]) -> None:
        """Makes lists whole that begin with objects which are not there any more."""

        def sound(tree: Any) -> Any:
            if type(tree) is ListTree and minus(_ranges_of(tree.base, objects), marked):
                return rebased(tree, objects)
            return tree

        for row in self._rows.values():
            if isinstance(row, _NewCheckpoint):
                row.nodes.update(
                    (name, (version, sound(tree))) for name, (version, tree) in row.nodes.items()
                )
            elif isinstance(row, _NewWrites):
                row.places.update((i, (i, name, sound(tree))) for i, name, tree in row.places.values())

    def _trees(self) -> Iterator[Any]:
        for row in self._rows.values():
            if isinstance(row, _NewCheckpoint):
                yield from (tree for _, tree in row.nodes.values())
                yield from row.extra.values()
            elif isinstance(row, _NewWrites):
                yield from (tree for _, _, tree in row.places.values())

    def blobs(self) -> Iterator[Blob]:
        """Those that will be objects."""
        for tree in self._trees():
            if _is_tree(tree):
                yield from tree.blobs()

    def lists(self) -> dict[tuple[str, str], Any]:
        """What to remember of lists, once encoded."""
        return {
            (cast("str", key[0]), channel): memo
            for key, row in self._rows.items()
            if isinstance(row, _NewCheckpoint)
            for channel, (_, tree) in row.nodes.items()
            if type(tree) is ListTree and (memo := tree.memo(self._codec))
        }

    def encode(self, numbers: Numbers) -> _Change:
        """What is to be stored."""
        change = _Change([], [], [], [], [], [])
        for (ns, id, task), row in self._rows.items():
            if isinstance(row, StoredRow):
                change.rows.append(row)
                continue
            space = cast("str", ns)
            if isinstance(row, _NewCheckpoint):
                nodes = [_encoded(tree, numbers) for _, tree in row.nodes.values()]
                extra = {name: _encoded(tree, numbers) for name, tree in row.extra.items()}
                body = pack_body(row.draft.head, nodes, extra)
                change.points.append((space, id, None, body))
                change.metadata.append(row.draft.metadata)
            else:
                entries = [(i, name, _encoded(tree, numbers)) for i, name, tree in row.places.values()]
                body = pack_writes(Writes(row.path, entries))
                there = (ns, id, task) in self._stored
                (change.merged if there else change.writes).append((space, id, cast("str", task), body))
            change.rows.append(StoredRow(ns, id, task, body))
        left = {key[:2] for key in self._rows}
        gone = dict.fromkeys(key[:2] for key in self._stored if key[:2] not in left)
        change.dropped.extend(cast("list[tuple[str, str]]", list(gone)))
        return change


def _is_tree(tree: Any) -> bool:
    return hasattr(tree, "encode")


def _encoded(tree: Any, numbers: Numbers) -> Node:
    return tree.encode(numbers) if _is_tree(tree) else tree


def _ranges_of(pieces: Sequence[int], objects: Mapping[int, Blob]) -> list[Range]:
    """The objects of a list."""
    return missing(needs([[1, pieces, 0, b""]], objects)[0], {})


def _may_be_older(id: str, grave: str) -> bool:
    """Whether an id may have been made before the grave: any may that is no UUID of version 6."""
    return not (len(id) == 36 and id[14] == "6" and id > grave)
