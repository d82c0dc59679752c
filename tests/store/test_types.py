"""Items and operations by themselves; the protocol's own defaults."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from threadkeep.checkpoint.serde.jsonplus import JsonPlusSerializer
from threadkeep.store.base import (
    NOT_GIVEN,
    NOT_PROVIDED,
    BaseStore,
    GetOp,
    InvalidNamespaceError,
    InvalidOpError,
    Item,
    ListNamespacesOp,
    MatchCondition,
    NotProvided,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    TTLConfig,
    get_text_at_path,
    tokenize_path,
    validate_op_namespace,
)
from threadkeep.store.base.batch import AsyncBatchedBaseStore
from threadkeep.store.lexical import words
from threadkeep.store.texts import Text, check_vectors, texts_of

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Recorder(BaseStore):
    """A store that only writes down what it is asked."""

    def __init__(self, ttl: TTLConfig | None = None, supports_ttl: bool = True) -> None:
        self.ttl_config = ttl
        self.supports_ttl = supports_ttl
        self.asked: list[Op] = []

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Nothing for each."""
        self.asked += ops
        return [None]

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """As `batch`."""
        return self.batch(ops)


async def test_every_call_is_one_operation() -> None:
    store = Recorder()
    item = SearchItem(("a",), "k", {}, NOON, NOON)
    store.get(("a",), "k")
    store.search(("a",), query="q", filter={"x": 1}, limit=5, offset=2, mode="hybrid")
    store.search((), order="desc", after=item, refresh_ttl=False)
    store.put(("a",), "k", {"x": 1}, ["x"], ttl=5)
    store.delete(("a",), "k")
    store.list_namespaces(prefix=("a",), suffix=("b",), max_depth=2, limit=3, offset=1, match=("a", "*"))
    asked, store.asked = store.asked, []
    assert asked == [
        GetOp(("a",), "k", True),
        SearchOp(("a",), {"x": 1}, 5, 2, "q", True, "hybrid"),
        SearchOp((), refresh_ttl=False, order="desc", after=item),
        PutOp(("a",), "k", {"x": 1}, ["x"], 5),
        PutOp(("a",), "k", None),
        ListNamespacesOp(
            (
                MatchCondition("prefix", ("a",)),
                MatchCondition("prefix", ("a", "*")),
                MatchCondition("suffix", ("b",)),
            ),
            2,
            3,
            1,
        ),
    ]
    await store.aget(("a",), "k")
    await store.asearch(("a",), query="q", filter={"x": 1}, limit=5, offset=2, mode="hybrid")
    await store.asearch((), order="desc", after=item, refresh_ttl=False)
    await store.aput(("a",), "k", {"x": 1}, ["x"], ttl=5)
    await store.adelete(("a",), "k")
    await store.alist_namespaces(
        prefix=("a",), suffix=("b",), max_depth=2, limit=3, offset=1, match=("a", "*")
    )
    assert store.asked == asked


def test_defaults_come_from_the_configuration() -> None:
    store = Recorder({"default_ttl": 7, "refresh_on_read": False})
    store.put(("a",), "k", {})
    store.put(("a",), "k", {}, ttl=None)
    store.get(("a",), "k")
    store.search(("a",))
    store.get(("a",), "k", refresh_ttl=True)
    assert [op.ttl for op in store.asked if isinstance(op, PutOp)] == [7, None]
    reads = [op.refresh_ttl for op in store.asked if isinstance(op, GetOp | SearchOp)]
    assert reads == [False, False, True]


def test_a_store_that_keeps_for_ever_refuses_a_ttl() -> None:
    store = Recorder(supports_ttl=False)
    with pytest.raises(NotImplementedError, match="Recorder keeps items for ever; put with ttl=None"):
        store.put(("a",), "k", {}, ttl=5)
    store.put(("a",), "k", {}, ttl=None)
    store.put(("a",), "k", {})
    assert len(store.asked) == 2


TWINS = ["get", "search", "put", "delete", "list_namespaces", "batch"]


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("cls", [BaseStore, AsyncBatchedBaseStore], ids=lambda cls: cls.__name__)
def test_twins_take_the_same(cls: type, name: str) -> None:
    sync, twin = getattr(cls, name), getattr(cls, f"a{name}")
    assert inspect.signature(sync) == inspect.signature(twin)
    assert inspect.iscoroutinefunction(twin)


def test_items_are_equal_by_what_they_hold() -> None:
    fields: dict[str, Any] = {"value": {"a": 1}, "key": "k", "namespace": ("a",), "created_at": NOON}
    item = Item(**fields, updated_at=NOON)
    assert item == Item(**fields, updated_at=NOON.isoformat())  # type: ignore[arg-type]  # as JSON has it
    assert item == SearchItem(("a",), "k", {"a": 1}, NOON, NOON, 0.5)
    assert item != Item(**{**fields, "key": "l"}, updated_at=NOON)
    assert item != {"a": 1}
    assert hash(item) == hash(Item(**{**fields, "value": {}}, updated_at=NOON))
    again: dict[str, Any] = item.dict()
    assert Item(**again) == item and Item(**again).namespace == ("a",)
    assert repr(item).startswith("Item(namespace=['a'], key='k', value={'a': 1}, created_at='2026-01-01T12")


def test_items_are_saved_with_their_class() -> None:
    serde = JsonPlusSerializer()
    items = [
        Item(value={"a": [1]}, key="k", namespace=("a", "b"), created_at=NOON, updated_at=NOON),
        SearchItem(("a",), "k", {}, NOON, NOON, 0.5),
    ]
    loaded = serde.loads_typed(serde.dumps_typed(items))
    assert loaded == items
    assert [type(item) for item in loaded] == [Item, SearchItem]
    assert loaded[1].score == 0.5 and loaded[0].namespace == ("a", "b")


def test_not_given_is_false_and_no_value() -> None:
    assert NOT_GIVEN is NOT_PROVIDED and type(NOT_GIVEN) is NotProvided
    assert bool(NOT_PROVIDED) is False
    assert repr(NOT_GIVEN) == "NOT_GIVEN"


def test_the_check_of_an_operation_says_what_is_wrong() -> None:
    validate_op_namespace(PutOp(("a", "b"), "k", {}))
    validate_op_namespace(SearchOp(()))
    with pytest.raises(InvalidNamespaceError, match=r"must not contain a period: 'a\.b' in \('a\.b',\)"):
        validate_op_namespace(GetOp(("a.b",), "k"))
    with pytest.raises(InvalidOpError, match="not str"):
        validate_op_namespace("get")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "steps", "texts"),
    [
        ("{a.b,c}.d", ["{a.b,c}", "d"], ["1", "2"]),
        ("t[0]", ["t", "[0]"], ["x"]),
        ("t.*", ["t", "*"], ["x", "y"]),
        ("t[x]", ["t", "[x]"], []),
        ("a.b[0]", ["a", "b", "[0]"], []),
    ],
)
def test_paths_go_further_than_those_of_the_reference(path: str, steps: list[str], texts: list[str]) -> None:
    value = {"a": {"b": {"d": 1}}, "c": {"d": 2}, "t": ("x", "y")}
    assert tokenize_path(path) == steps
    assert get_text_at_path(value, path) == get_text_at_path(value, steps) == texts


def test_the_texts_to_embed_are_those_of_the_put_or_of_the_index() -> None:
    value = {"a": ["x", " ", "x"], "b": "y", "n": None}
    assert texts_of(value, None, ["b", "a[*]", "b"]) == [
        Text("b", 0, "y"), Text("a[*]", 0, "x"), Text("a[*]", 2, "x"),
    ]  # fmt: skip
    assert texts_of(value, ["b", "n", "none"], ["a"]) == [Text("b", 0, "y")]
    assert texts_of(value, [], ["a"]) == texts_of(value, False, ["a"]) == []


def test_vectors_of_the_wrong_number_or_length_are_refused() -> None:
    check_vectors([[1.0, 2.0]], ["a"], 2)
    with pytest.raises(InvalidOpError, match="made 1 vectors of 2 texts"):
        check_vectors([[1.0]], ["a", "b"], 1)
    with pytest.raises(InvalidOpError, match="a vector of 1 numbers, but the index has dims=2"):
        check_vectors([[1.0]], ["a"], 2)


def test_words_are_runs_of_letters_digits_and_underscores_in_lower_case() -> None:
    assert words("Don't PANIC: it's 42_x, naïve STRASSE ß!") == [
        "don", "t", "panic", "it", "s", "42_x", "naïve", "strasse", "ss",
    ]  # fmt: skip
