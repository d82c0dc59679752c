"""The saver contract: names and values that nobody chose with care."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.backends import Saver
from tests.contract.points import Run, address, point, values

REFUSAL = r"characters|surrogate"
NAMES = [
    "",
    " ",
    "a\x00b",
    "a",
    "a ",
    "%",
    "_",
    "'; DROP TABLE thread; --",
    "日本語",
    "🧵" * 100,
    "\x00",
    "x" * 16_384,
]


async def test_any_text_names_a_thread_and_is_told_apart(saver: Saver) -> None:
    for name in NAMES:
        await Run(saver, name).put(a=name)
    assert [values(await saver.get_tuple(address(name)))["a"] for name in NAMES] == NAMES
    await saver.delete_thread("a")
    assert await saver.get_tuple(address("a")) is None
    assert values(await saver.get_tuple(address("a\x00b"))) == {"a": "a\x00b"}


async def test_any_text_names_namespaces_tasks_and_channels(saver: Saver) -> None:
    for name in NAMES[1:]:
        run = Run(saver, "t", name)
        written: dict[str, Any] = {name: name}
        await run.put(**written)
        await saver.put_writes(run.config, [(name, name)], name, name)
    for name in NAMES[1:]:
        found = await saver.get_tuple(address("t", name))
        assert values(found) == {name: name}
        assert found.pending_writes == [(name, name, name)]


@pytest.mark.parametrize("name", ["x" * 16_385, "x" * 1_000_000, "\ud800"])
async def test_what_is_too_long_or_no_text_is_refused(saver: Saver, name: str) -> None:
    for config in (address(name), address(ns=name), address(id=name)):
        with pytest.raises(ValueError, match=REFUSAL):
            await saver.get_tuple(config)
        with pytest.raises(ValueError, match=REFUSAL):
            await saver.put(config, point({"a": 1}), {}, {"a": 1})
    with pytest.raises(ValueError, match=REFUSAL):
        await saver.put_writes(address(id="x"), [("a", 1)], name)
    with pytest.raises(ValueError, match=REFUSAL):
        await saver.delete_thread(name)
    assert await saver.list(None) == []


@pytest.mark.parametrize("config", [{"configurable": {}}, {"configurable": {"thread_id": None}}, {}])
async def test_a_config_without_a_thread_is_refused(saver: Saver, config: Any) -> None:
    for call in (
        saver.get_tuple(config),
        saver.put(config, point({"a": 1}), {}, {"a": 1}),
        saver.put_writes(config, [("a", 1)], "task"),
    ):
        with pytest.raises(ValueError, match="The config names no thread_id"):
            await call
    assert await saver.list(None) == []


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, -1, 2**63, 2**70, 1.5, float("inf"), "", "x", "x" * 199, "x" * 201, "x" * 100_000,
        b"", b"b" * 300, bytearray(b"y" * 300), [], {}, [[]], [{}], [None] * 500, list(range(2_000)),
        [0.5] * 70, [True, 1, 1.0] * 50, [f"word {i}" for i in range(300)],
        ["s" * 63, "l" * 64, "s", "l" * 500, "s", "s"], [[1, 2], [3] * 100] * 40,
        {f"key {i}": i for i in range(200)}, {f"key {i}": [i] * i for i in range(60)},
        {"a": [{"b": "c" * 100}]}, {1: "int key"}, {"a": {"b": {"c": ["d" * 500]}}}, (1, 2), {1, 2},
        [(1, "t" * 100)], "a\x00b", ["\ud800"], {"\ud800": "v" * 300}, {"": [""]},
        [b"b" * 100, None, "x" * 100],
    ],
    ids=lambda value: repr(value)[:30],
)  # fmt: skip
async def test_any_value_comes_back_equal_in_type_too(saver: Saver, value: Any) -> None:
    run = Run(saver)
    await run.put(a=value)
    await saver.put_writes(run.config, [("a", value)], "task")
    first = await saver.get_tuple(address())
    await run.put(b=1)
    (second, *_) = await saver.list(address())
    for got in (values(first)["a"], first.pending_writes[0][2], values(second)["a"]):
        assert repr(got) == repr(value)
        assert type(got) is type(value)
