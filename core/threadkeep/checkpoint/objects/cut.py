"""Cuts values into objects. Pure: numbers and storage come later; `ListMemo`s tell what was stored before.

Only exact lists and dicts with string keys are cut, at most two levels deep; everything else is one blob.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from threadkeep.checkpoint.objects.codec import Blob, Codec, blob_size
from threadkeep.checkpoint.objects.nodes import (
    Node,
    Number,
    Pieces,
    note_dict,
    note_list,
    note_whole,
    opened,
    truncate,
)
from threadkeep.checkpoint.serde.copies import Copies, can_rebuild, copier, rebuild
from threadkeep.checkpoint.serde.fingerprint import Fingerprint, fingerprint, is_exact, is_of, keep, size

__all__ = ["Cutter", "DictTree", "ListMemo", "ListTree", "RememberedList", "Tree", "Whole", "rebased"]

INLINE_MAX = 200
"""Bytes of a value that is not worth an object."""
ELEMENT_MIN = 64
"""Bytes from which an element of a list or dict is an object of its own."""
SEGMENT_MIN = 256
"""Bytes from which a row of smaller elements is one."""
SCALARS = 64
"""Numbers in a row that are one object."""
RECORD_MAX = 4096
"""Bytes up to which a dict of a few simple values is one object: the same as where it stands in a list."""
RUN = 32
"""Elements that share a fingerprint: small enough to be compared in the cache of the processor."""
_NESTED = frozenset({list, dict})
_SCALAR = frozenset({int, float, bool, type(None)})


class Listed(NamedTuple):
    """Elements that have no fingerprint: the bytes of their list."""

    blob: Blob


class Run:
    """Some elements of a stored list: how to tell whether others are the same, and how to build them anew."""

    __slots__ = ("_copies", "_loaded", "can_load", "count", "mark")

    can_load: bool
    """Whether `load` can be called."""

    def __init__(self, elements: Sequence[Any], codec: Codec) -> None:
        mark = fingerprint(elements)
        self.count = len(elements)
        self.mark: Fingerprint | Listed
        if mark is not None and is_exact(mark):
            self.mark = keep(mark)
        else:
            self.mark = Listed(codec.dump(elements))
        self.can_load = isinstance(self.mark, Listed) or can_rebuild(self.mark)
        self._copies: Copies | None = None
        self._loaded = False

    def is_of(self, elements: Sequence[Any], codec: Codec) -> bool:
        """Whether these elements are certainly the same."""
        if len(elements) != self.count:
            return False
        mark = self.mark
        return mark.blob == codec.dump(elements) if isinstance(mark, Listed) else is_of(mark, elements)

    def load(self, codec: Codec) -> list[Any]:
        """The elements, new ones at each call."""
        mark = self.mark
        if isinstance(mark, Listed):
            return cast("list[Any]", codec.load(mark.blob))
        if self._copies is None:
            if not self._loaded:  # most are loaded once: the last of a list, which is another at each step
                self._loaded = True
                return rebuild(mark)
            self._copies = copier(mark)
        return self._copies()

    def size(self) -> int:
        """About how many bytes of memory it takes: twice as many where copies are made of it."""
        own = blob_size(self.mark.blob) if isinstance(self.mark, Listed) else size(self.mark)
        return 100 + own * (1 if self._copies is None else 2)


class ListMemo(NamedTuple):
    """A stored list: how to tell that another begins the same, and where the elements are."""

    runs: list[Run]
    pieces: Pieces
    codec: Codec

    def size(self) -> int:
        """About how many bytes of memory it takes."""
        return sum(run.size() for run in self.runs)

    def begins_with(self, node: Node, codec: Codec) -> RememberedList | None:
        """The list that a node stands for, if it can be had from here: it is the beginning of this one."""
        if node[0] != 1:
            return None
        _, pieces, tail_count, _ = node
        if tail_count or codec is not self.codec or not codec.faithful:
            return None
        length = sum(map(abs, pieces[1::2]))
        if truncate(self.pieces, length) != (tuple(pieces), length):
            return None
        if not all(run.can_load for run in self.runs):
            return None
        return RememberedList(self, length)


class RememberedList(NamedTuple):
    """Takes the place of a list's node where the list is remembered."""

    memo: ListMemo
    length: int

    def load(self) -> list[Any]:
        """The list, of new elements."""
        values: list[Any] = []
        for run in self.memo.runs:
            if len(values) >= self.length:
                break
            values += run.load(self.memo.codec)
        del values[self.length :]
        return values


class Whole(NamedTuple):
    """A value that is not cut."""

    blob: Blob
    limit: int

    def blobs(self) -> Iterator[Blob]:
        """The blobs that will be objects."""
        if blob_size(self.blob) > self.limit:
            yield self.blob

    def encode(self, number: Number) -> Node:
        """The node."""
        return note_whole(self.blob, self.limit, number)


class ListTree:
    """A list: pieces stored before, new leaves, and a tail too small for an object."""

    __slots__ = ("base", "leaves", "pieces", "runs", "tail", "tail_count")

    def __init__(self, base: Pieces, leaves: list[tuple[Blob, int]]) -> None:
        self.base = base
        self.leaves = leaves
        self.tail = b""
        self.tail_count = 0
        self.runs: list[Run] | None = None
        self.pieces: Pieces = ()

    def blobs(self) -> Iterator[Blob]:
        """The blobs that will be objects."""
        return (blob for blob, _ in self.leaves)

    def encode(self, number: Number) -> Node:
        """The node."""
        self.pieces = note_list(self.base, self.leaves, number)
        return [1, list(self.pieces), self.tail_count, self.tail]

    def memo(self, codec: Codec) -> ListMemo | None:
        """What to remember, once encoded; None if not worth it."""
        return ListMemo(self.runs, self.pieces, codec) if self.runs is not None and self.pieces else None


def rebased(tree: ListTree, objects: Mapping[int, Blob]) -> ListTree:
    """The same list, all of whose pieces are new leaves. `objects` holds those of its base."""
    whole = ListTree((), [*_leaves(tree.base, objects), *tree.leaves])
    whole.tail, whole.tail_count, whole.runs = tree.tail, tree.tail_count, tree.runs
    return whole


def _leaves(pieces: Iterable[int], objects: Mapping[int, Blob]) -> Iterator[tuple[Blob, int]]:
    pairs = iter(pieces)
    for n, count in zip(pairs, pairs, strict=True):
        if n < 0:
            yield from _leaves(opened(objects[-n]), objects)
        elif count < 0:
            yield objects[n], -count
        else:
            yield from ((objects[i], 0) for i in range(n, n + count))


class DictTree(NamedTuple):
    """A dict."""

    keys: list[str]
    children: list[Any]

    def blobs(self) -> Iterator[Blob]:
        """The blobs that will be objects."""
        for child in self.children:
            yield from child.blobs()

    def encode(self, number: Number) -> Node:
        """The node."""
        return note_dict(self.keys, [child.encode(number) for child in self.children], number)


Tree = bytes | Whole | ListTree | DictTree
"""Bytes are a value that stays inline."""


class Cutter:
    """Cuts the values of one operation.

    No code of the program runs meanwhile, so an element met twice is serialised once. The elements are kept
    alive as long as the cutter, so that an `id` stands for one of them.
    """

    __slots__ = ("_codec", "_elements")

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._elements: dict[int, tuple[Any, Blob]] = {}

    def cut(self, value: Any, memo: ListMemo | ListTree | None = None, *, remember: bool = False) -> Tree:
        """The tree of a value. `memo`: an older value of the channel; `remember`: prepare for the next."""
        kind = type(value)
        if kind is list:
            if len(value) > 4 or (memo is not None and value):
                return self._cut_list(value, memo, remember)
        elif kind is not dict or len(value) > 8:
            return self._cut_dict(value) if kind is dict else _whole(self._codec.dump(value))
        blob = self._codec.dump(value)
        if blob_size(blob) <= INLINE_MAX or not value:
            return _whole(blob)
        if kind is list:
            return self._cut_list(value, None, remember)
        if blob_size(blob) <= RECORD_MAX and _NESTED.isdisjoint(map(type, value.values())):
            return Whole(blob, INLINE_MAX)
        return self._cut_dict(value)

    def _cut_dict(self, value: dict[Any, Any]) -> Tree:
        keys = list(value)
        if set(map(type, keys)) != {str} or not _is_text("".join(keys)):
            return _whole(self._codec.dump(value))
        return DictTree(keys, [self._cut_entry(entry) for entry in value.values()])

    def _cut_entry(self, value: Any) -> Whole | ListTree:
        if type(value) is list and value:
            return self._cut_list(value, None, False)
        return Whole(self._codec.dump(value), ELEMENT_MIN - 1)

    def _cut_list(self, value: list[Any], memo: ListMemo | ListTree | None, remember: bool) -> ListTree:
        same = self._unchanged(value, memo) if memo is not None else 0
        tree, start = _resume(memo, same)
        rest = value[start:] if start else value
        if not self._codec.joinable:
            tree.leaves += [(self._element(element), 0) for element in rest]
        elif rest and type(rest[0]) in _SCALAR and set(map(type, rest)) <= _SCALAR:
            self._add_scalars(tree, rest)
        else:
            self._add_elements(tree, rest)
        if remember and (tree.base or tree.leaves):
            whole = same // RUN
            tree.runs = [*memo.runs[:whole]] if memo is not None and memo.runs else []
            known = len(tree.runs) * RUN
            tree.runs += [Run(value[i : i + RUN], self._codec) for i in range(known, len(value), RUN)]
        return tree

    def _add_scalars(self, tree: ListTree, rest: list[Any]) -> None:
        whole = len(rest) - len(rest) % SCALARS
        dump_run = self._codec.dump_run
        tree.leaves += [(dump_run(rest[i : i + SCALARS]), SCALARS) for i in range(0, whole, SCALARS)]
        tree.tail_count = len(rest) - whole
        tree.tail = dump_run(rest[whole:]) if tree.tail_count else b""

    def _add_elements(self, tree: ListTree, rest: list[Any]) -> None:
        small: list[bytes] = []
        room = SEGMENT_MIN
        for element in rest:
            blob: Any = self._element(element)
            if len(blob) < ELEMENT_MIN:
                small.append(blob)
                room -= len(blob)
                if room > 0:
                    continue
            if small:
                tree.leaves.append((b"".join(small), len(small) if len(small) > 1 else 0))
                small.clear()
                room = SEGMENT_MIN
            if len(blob) >= ELEMENT_MIN:
                tree.leaves.append((blob, 0))
        tree.tail = b"".join(small)
        tree.tail_count = len(small)

    def _element(self, element: Any) -> Blob:
        found = self._elements.get(id(element))
        if found is None:
            found = self._elements[id(element)] = (element, self._codec.dump_element(element))
        return found[1]

    def _unchanged(self, value: list[Any], memo: ListMemo | ListTree) -> int:
        """How many elements at the beginning are certainly the same as the memo's."""
        same = 0
        for run in memo.runs or ():
            if not run.is_of(value[same : same + run.count], self._codec):
                break
            same += run.count
        return same


def _resume(memo: ListMemo | ListTree | None, same: int) -> tuple[ListTree, int]:
    """A tree of the first `same` elements (or a few less, where one object holds several), and how many."""
    if memo is None or not same:
        return ListTree((), []), 0
    if type(memo) is ListMemo:
        base, start = truncate(memo.pieces, same)
        return ListTree(base, []), start
    assert isinstance(memo, ListTree)
    base, start = truncate(memo.base, same)
    leaves = []
    if base == memo.base:
        for blob, count in memo.leaves:
            if start + (count or 1) > same:
                break
            leaves.append((blob, count))
            start += count or 1
    return ListTree(base, leaves), start


def _whole(blob: Blob) -> Tree:
    if isinstance(blob, bytes) and len(blob) <= INLINE_MAX:
        return blob
    return Whole(blob, INLINE_MAX)


def _is_text(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)
