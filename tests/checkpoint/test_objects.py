"""Cutting values into objects and joining them: nothing lost, nothing stored twice, little written."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import ormsgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from threadkeep.checkpoint.objects import Blob, Codec, Cutter, ListMemo, ListTree, Node, join, missing, needs
from threadkeep.checkpoint.objects.nodes import NODE_TAG, inherit, truncate
from threadkeep.checkpoint.serde.jsonplus import JsonPlusSerializer


class Tagged:
    """A serialiser whose bytes cannot be joined, as an encrypting one."""

    def __init__(self) -> None:
        self._inner = JsonPlusSerializer()

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        tag, data = self._inner.dumps_typed(obj)
        return f"{tag}+x", data[::-1]

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        return self._inner.loads_typed((data[0][:-2], data[1][::-1]))


CODECS = {"msgpack": Codec(JsonPlusSerializer()), "tagged": Codec(Tagged())}


class Thread:
    """The objects of a thread."""

    def __init__(self) -> None:
        self.objects: dict[int, Blob] = {}
        self.numbers: dict[Blob, int] = {}

    def number(self, blob: Blob) -> int:
        if blob not in self.numbers:
            self.numbers[blob] = len(self.numbers) + 1
            self.objects[self.numbers[blob]] = blob
        return self.numbers[blob]

    def store(self, value: Any, codec: Codec, memo: ListMemo | None = None) -> tuple[Node, ListMemo | None]:
        tree = Cutter(codec).cut(value, memo, remember=True)
        node = tree if isinstance(tree, bytes) else tree.encode(self.number)
        return ormsgpack.unpackb(ormsgpack.packb(node)), tree.memo(codec) if isinstance(
            tree, ListTree
        ) else None

    def load(self, node: Node, codec: Codec) -> Any:
        """Joins a node, with only the objects that it says it needs."""
        at_hand: dict[int, Blob] = {}
        while True:
            ranges, closed = needs([node], at_hand)
            lacking = missing(ranges, at_hand)
            for first, count in lacking:
                at_hand.update({n: self.objects[n] for n in range(first, first + count)})
            if not closed or not lacking:
                return join(node, at_hand, codec)


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=90)
    | st.binary()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=12) | st.dictionaries(st.text(max_size=9), inner, max_size=12),
    max_leaves=40,
)
BIG = st.lists(VALUES | st.text(min_size=60, max_size=300), max_size=80) | st.dictionaries(
    st.text(max_size=9), VALUES | st.lists(st.integers()), max_size=70
)


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
@given(value=VALUES | BIG)
def test_any_value_is_joined_as_it_was_cut(codec: Codec, value: Any) -> None:
    thread = Thread()
    node, _ = thread.store(value, codec)
    assert repr(thread.load(node, codec)) == repr(value)
    repeated = inherit(node, thread.number)
    assert repr(thread.load(repeated, codec)) == repr(value)
    assert inherit(repeated, thread.number) == repeated


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
@given(value=BIG)
def test_the_same_value_needs_no_new_object(codec: Codec, value: Any) -> None:
    thread = Thread()
    node, _ = thread.store(value, codec)
    count = len(thread.objects)
    assert thread.store(value, codec)[0] == node
    assert len(thread.objects) == count


@given(seed=st.integers(0, 2**32))
@example(seed=64000)  # more than 128 pieces
def test_a_list_grown_in_steps_has_the_nodes_of_one_stored_at_once(seed: int) -> None:
    rng = random.Random(seed)
    kind: Callable[[], Any] = rng.choice((lambda: rng.randrange(99), lambda: "s" * rng.randrange(120)))
    codec, grown, memo = CODECS["msgpack"], Thread(), None
    value: list[Any] = []
    node: Node = None
    for _ in range(rng.randrange(1, 12)):
        value = [*value, *(kind() for _ in range(rng.randrange(60)))]
        node, memo = grown.store(value, codec, memo)
        assert grown.load(node, codec) == value
    once = Thread()
    other, _ = once.store(value, codec)
    assert grown.load(node, codec) == once.load(other, codec) == value
    # Growing leaves no object behind but the ends that were too short for one. (Objects that hold numbers of
    # others differ: the numbers of the others do.)
    assert {blob for blob in once.numbers if blob[0] != NODE_TAG} <= {*grown.numbers}


def test_appending_to_a_list_alone_keeps_one_range() -> None:
    thread, codec, memo = Thread(), CODECS["msgpack"], None
    value: list[Any] = []
    node: Node = None
    for i in range(1000):
        value = [*value, {"text": f"{i} " * 40}]
        node, memo = thread.store(value, codec, memo)
    assert node == [1, [1, 1000], 0, b""]
    assert len(thread.objects) == 1000


def test_appending_among_other_objects_writes_little() -> None:
    thread, codec, memo = Thread(), CODECS["msgpack"], None
    value: list[Any] = []
    written = 0
    node: Node = None
    for i in range(3000):
        value = [*value, {"text": f"{i} " * 40}]
        thread.number(f"another object {i}".encode())
        before = len(thread.objects)
        node, memo = thread.store(value, codec, memo)
        added = [thread.objects[n] for n in range(before + 1, len(thread.objects) + 1)]
        written += len(ormsgpack.packb(node)) + sum(len(blob[1]) for blob in added if isinstance(blob, tuple))
    assert thread.load(node, codec) == value
    assert len(ormsgpack.packb(node)) < 1_500
    assert written < 3000 * 1_200


@pytest.mark.parametrize("changed", [0, 31, 32, 500, 998, 999])
def test_a_change_in_place_stores_one_element_again(changed: int) -> None:
    thread, codec = Thread(), CODECS["msgpack"]
    value: list[Any] = [{"text": f"{i} " * 40, "tags": []} for i in range(1000)]
    node, memo = thread.store(value, codec)
    value[changed]["tags"].append("new")
    after, memo = thread.store(value, codec, memo)
    assert len(thread.objects) == 1001
    assert thread.load(after, codec) == value
    value[changed]["tags"].clear()
    assert thread.store(value, codec, memo)[0] == node


@pytest.mark.parametrize(
    ("edit", "new_objects"),
    [
        (lambda value: value[1:], 0),
        (lambda value: value[:-1], 0),
        (lambda value: value[::-1], 0),
        (lambda value: value[:300], 0),
        (lambda value: [*value, *value], 0),
        (lambda value: [{"text": "x" * 99}, *value], 1),
        (lambda value: [*value[:500], {"text": "x" * 99}, *value[500:]], 1),
    ],
)
def test_moved_elements_are_not_stored_again(
    edit: Callable[[list[Any]], list[Any]], new_objects: int
) -> None:
    thread, codec = Thread(), CODECS["msgpack"]
    value = [{"text": f"{i} " * 40} for i in range(1000)]
    _, memo = thread.store(value, codec)
    plain = {blob for blob in thread.numbers if isinstance(blob, bytes)}
    node, _ = thread.store(edit(value), codec, memo)
    assert thread.load(node, codec) == edit(value)
    assert len({blob for blob in thread.numbers if isinstance(blob, bytes)} - plain) == new_objects


def test_a_large_dict_stores_the_chunk_that_changed() -> None:
    thread, codec = Thread(), CODECS["msgpack"]
    value = {f"key {i}": i for i in range(2000)}
    thread.store(value, codec)
    count = len(thread.objects)
    node, _ = thread.store({**value, "key 7": "changed"}, codec)
    assert len(thread.objects) == count + 1
    assert thread.load(node, codec) == {**value, "key 7": "changed"}


@pytest.mark.parametrize(
    ("pieces", "length", "expected"),
    [
        ((), 5, ((), 0)),
        ((1, 10), 10, ((1, 10), 10)),
        ((1, 10), 4, ((1, 4), 4)),
        ((1, 10), 0, ((), 0)),
        ((1, 2, 9, -5, 20, 3), 10, ((1, 2, 9, -5, 20, 3), 10)),
        ((1, 2, 9, -5, 20, 3), 8, ((1, 2, 9, -5, 20, 1), 8)),
        ((1, 2, 9, -5, 20, 3), 6, ((1, 2), 2)),
        ((-4, 100, 9, 1), 50, ((), 0)),
        ((-4, 100, 9, 1), 100, ((-4, 100), 100)),
    ],
)
def test_pieces_are_cut_where_an_object_begins(pieces: Any, length: int, expected: Any) -> None:
    assert truncate(pieces, length) == expected


def test_ranges_that_are_missing_are_merged_and_in_order() -> None:
    assert missing([(5, 2), (1, 2), (3, 1), (9, 1), (6, 4), (1, 2)], {}) == [(1, 3), (5, 5)]
    assert missing([(1, 3), (5, 2)], {1: b"", 2: b"", 3: b"", 5: b""}) == [(5, 2)]
    assert missing([], {}) == []


def test_our_serialiser_is_joinable_and_a_tagging_one_is_not() -> None:
    assert CODECS["msgpack"].joinable
    assert not CODECS["tagged"].joinable
    assert CODECS["tagged"].dump("x") == ("msgpack+x", b"x\xa1")
