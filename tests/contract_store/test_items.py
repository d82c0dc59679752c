"""Putting, getting and deleting; what an item is; what a value may be."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum, IntEnum
from typing import Any

import pytest

from tests.contract_store.backends import Store
from threadkeep.store.base import InvalidOpError, Item, PutOp

NS = ("users", "alice")


class Number(IntEnum):
    """A kind of integer."""

    ONE = 1


class Colour(str, Enum):  # noqa: UP042  # as older programs write it
    """A kind of string."""

    RED = "red"


async def test_what_was_put_is_what_is_got(store: Store) -> None:
    value = {
        "theme": "dark",
        "n": 5,
        "f": 1.5,
        "on": True,
        "none": None,
        "list": [1, [2, {"x": "y"}]],
        "d": {},
    }
    assert await store.put(NS, "prefs", value) is None
    item = await store.get(NS, "prefs")
    assert type(item) is Item
    assert (item.namespace, item.key, item.value) == (NS, "prefs", value)
    assert type(item.value["n"]) is int and type(item.value["f"]) is float and item.value["on"] is True
    assert item.created_at == item.updated_at == store.clock.now
    assert item.created_at.tzinfo is not None
    assert item.dict() == {
        "namespace": ["users", "alice"],
        "key": "prefs",
        "value": value,
        "created_at": "2026-01-01T12:00:00+00:00",
        "updated_at": "2026-01-01T12:00:00+00:00",
    }


async def test_what_was_never_put_is_none(store: Store) -> None:
    await store.put(NS, "k", {"a": 1})
    assert await store.get(NS, "other") is None
    assert await store.get(("users",), "k") is None
    assert await store.get((*NS, "deeper"), "k") is None
    assert await store.get((), "k") is None


async def test_overwriting_replaces_the_value_and_keeps_the_time_of_creation(store: Store) -> None:
    created = store.clock.now
    await store.put(NS, "k", {"a": 1, "b": 2})
    store.clock.pass_by(seconds=90)
    await store.put(NS, "k", {"c": 3})
    item = await store.get(NS, "k")
    assert item.value == {"c": 3}
    assert item.created_at == created
    assert item.updated_at == store.clock.now == datetime(2026, 1, 1, 12, 1, 30, tzinfo=UTC)


async def test_a_deleted_item_is_gone_and_may_be_put_anew(store: Store) -> None:
    await store.put(NS, "k", {"a": 1})
    assert await store.delete(NS, "k") is None
    assert await store.get(NS, "k") is None
    assert await store.search(NS) == []
    assert await store.delete(NS, "k") is None
    store.clock.pass_by(minutes=1)
    await store.put(NS, "k", {"a": 2})
    assert (await store.get(NS, "k")).created_at == store.clock.now


async def test_a_put_of_none_deletes(store: Store) -> None:
    await store.put(NS, "k", {"a": 1})
    assert await store.batch([PutOp(NS, "k", None)]) == [None]
    assert await store.get(NS, "k") is None


async def test_values_are_the_callers_own(store: Store) -> None:
    value: dict[str, Any] = {"list": [1], "d": {"x": 1}}
    await store.put(NS, "k", value)
    value["list"].append(2)
    value["d"]["x"] = 2
    for read in range(2):
        for item in (await store.get(NS, "k"), (await store.search(NS))[0]):
            assert item.value == {"list": [1], "d": {"x": 1}}, read
            item.value["list"].append(3)
            item.value["d"]["x"] = 3


async def test_an_item_works_like_its_value_and_may_be_put_again(store: Store) -> None:
    await store.put(NS, "facts", {"items": ["a"]})
    existing = await store.get(NS, "facts") or {"items": []}
    existing["items"].append("b")
    existing["seen"] = True
    await store.put(NS, "facts", existing)
    assert (await store.get(NS, "facts")).value == {"items": ["a", "b"], "seen": True}
    item = await store.get(NS, "facts")
    assert item.get("seen") is True and item.get("gone", 7) == 7 and "items" in item and "gone" not in item
    assert dict(item) == item.value and list(item) == ["items", "seen"] and bool(item)


KEYS = [
    "",
    " ",
    "a.b",
    "ключ",
    "日本",
    "a/b",
    "%",
    "_",
    "*",
    "';--",
    '"',
    "\\",
    "\n",
    "nul\0l",
]


async def test_any_text_is_a_key(store: Store) -> None:
    await store.put(NS, "other", {"n": "other"})
    for key in KEYS:
        await store.put(NS, key, {"n": key})
    for key in KEYS:
        item = await store.get(NS, key)
        assert (item.key, item.value) == (key, {"n": key})
        assert [item.key for item in await store.search(NS, filter={"n": key})] == [key]
        await store.delete(NS, key)
    assert [item.key for item in await store.search(NS)] == ["other"]


async def test_texts_of_any_kind_come_back_as_they_were(store: Store) -> None:
    texts = [
        "",
        "nul \0 in it",
        "\0",
        "\x01\x02",
        "é",
        "e\u0301",
        "日本語",
        "😀",
        "\u2028",
        "\\u0000",
        '"',
        "\uffff",
    ]
    value = {text: [text, {text: text}] for text in texts}
    await store.put(NS, "k", value)
    assert (await store.get(NS, "k")).value == value


async def test_numbers_of_any_size_come_back_as_they_were(store: Store) -> None:
    value = {"n": [0, -1, 2**53 + 1, -(2**63), 2**64, 10**30, 0.1, 1e-9, -2.5, 123456789.123456]}
    await store.put(NS, "k", value)
    got = (await store.get(NS, "k")).value
    assert got == value
    assert [type(n) for n in got["n"]] == [type(n) for n in value["n"]]


async def test_tuples_become_lists_and_enums_what_they_stand_for(store: Store) -> None:
    await store.put(NS, "k", {Colour.RED: "key", "t": (1, (2,)), "n": Number.ONE, "s": Colour.RED})
    assert (await store.get(NS, "k")).value == {"red": "key", "t": [1, [2]], "n": 1, "s": "red"}


NOT_JSON: list[tuple[Any, str]] = [
    ({"a": [1, {"b": object()}]}, r"value\['a'\]\[1\]\['b'\] it holds a builtins.object"),
    ({"a": b"x"}, "a builtins.bytes"),
    ({"a": {1, 2}}, "a builtins.set"),
    ({"a": datetime(2026, 1, 1)}, "a datetime.datetime"),
    ({"a": float("nan")}, "the number nan"),
    ({"a": [float("inf")]}, "the number inf"),
    ({1: "a"}, "the key 1"),
    ({"a": {None: 1}}, "the key None"),
    ({"a": "\ud800"}, "lone surrogate"),
    ({"a": 1 << 5000}, "an integer of 5001 bits"),
    ([1], "A value must be a mapping"),
    ("text", "A value must be a mapping"),
]


async def test_a_value_that_is_not_json_is_refused(store: Store, subtests: pytest.Subtests) -> None:
    await store.put(NS, "k", {"old": 1})
    for value, said in NOT_JSON:
        with subtests.test(said=said):
            with pytest.raises(InvalidOpError, match=said):
                await store.put(NS, "k", value)
            with pytest.raises(InvalidOpError, match=said):
                await store.batch([PutOp(NS, "new", {"fine": 1}), PutOp(NS, "k", value)])
    assert [item.value for item in await store.search(())] == [{"old": 1}]


async def test_a_value_that_holds_itself_is_refused(store: Store) -> None:
    value: dict[str, Any] = {}
    value["a"] = [value]
    with pytest.raises(InvalidOpError, match="nested too deeply, or in itself"):
        await store.put(NS, "k", value)


async def test_a_value_is_refused_that_could_be_put_but_not_read(store: Store) -> None:
    deepest: dict[str, Any] = {"a": 1}
    for _ in range(249):
        deepest = {"a": deepest}
    await store.put(NS, "k", deepest)
    assert (await store.get(NS, "k")).value == deepest
    assert [item.key for item in await store.search(NS, filter={"a": {"$eq": deepest["a"]}})] == ["k"]
    with pytest.raises(InvalidOpError, match="nested too deeply, or in itself"):
        await store.put(NS, "k", {"a": deepest})


async def test_deep_and_large_values_come_back_as_they_were(store: Store) -> None:
    deep: Any = 1
    for _ in range(100):
        deep = {"a": [deep]}
    value = {"deep": deep, "long": "x" * 300_000, "many": {str(i): i for i in range(5000)}}
    await store.put(NS, "k", value)
    assert (await store.get(NS, "k")).value == value


async def test_a_key_that_is_no_text_is_refused(store: Store) -> None:
    for key in (None, 1, b"k", "\ud800"):
        for name, *rest in (("put", {}), ("get",), ("delete",)):
            with pytest.raises(InvalidOpError, match="A key must be"):
                await store.call(str(name), NS, key, *rest)
