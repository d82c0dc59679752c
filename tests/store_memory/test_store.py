"""What only the store in memory has: threads, loops, locks; indexes built on the way; the sweeper."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threadkeep.errors import InvalidNamespaceError, InvalidOpError
from threadkeep.store.base import Item, SearchItem
from threadkeep.store.filter import matches, parse
from threadkeep.store.memory import InMemoryStore, MemoryIndexConfig, contents, equals, vectors

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def embed(texts: Sequence[str]) -> list[list[float]]:
    return [[float(len(text)), 1.0, float(text.count("a"))] for text in texts]


INDEX: MemoryIndexConfig = {"dims": 3, "embed": embed, "fields": ["text"]}


VALUES: list[Any] = [1, True, "1", None, 2**60, 10**400, []]


def keys(found: list[SearchItem]) -> list[str]:
    return [item.key for item in found]


def test_items_are_of_the_public_classes_and_each_reader_has_its_own() -> None:
    store = InMemoryStore()
    store.put(("u",), "k", {"a": 1, "b": [{"c": 1}]})
    first, second = store.get(("u",), "k"), store.get(("u",), "k")
    assert type(first) is Item
    assert first == second
    assert first is not None
    first.value["b"][0]["c"] = 2
    assert store.get(("u",), "k") == second
    (found,) = store.search(("u",))
    assert type(found) is SearchItem
    assert found.score is None


@pytest.mark.parametrize("namespace", [["u"], ("u", ["v"]), "u", 5])
def test_a_namespace_that_is_none_is_refused_on_the_short_ways_too(namespace: Any) -> None:
    store = InMemoryStore()
    store.put(("u",), "k", {})
    with pytest.raises(InvalidNamespaceError):
        store.get(namespace, "k")
    with pytest.raises(InvalidNamespaceError):
        store.put(namespace, "k", {})


def test_a_second_put_takes_the_short_way_and_is_checked_all_the_same() -> None:
    store = InMemoryStore()
    store._now = lambda: NOON
    store.put(("u",), "k", {"a": 1}, ttl=5)
    store._now = lambda: NOON + timedelta(minutes=1)
    for bad in ({"a": {1}}, {1: "a"}, {"a": float("nan")}, [("a", 1)], None):
        with pytest.raises(InvalidOpError):
            store.put(("u",), "k", bad or "none")  # type: ignore[arg-type]
    with pytest.raises(InvalidOpError):
        store.put(("u",), 5, {})  # type: ignore[arg-type]
    store.put(("u",), "k", {"a": 2})
    item = store.get(("u",), "k")
    assert item is not None
    assert (item.value, item.created_at, item.updated_at) == ({"a": 2}, NOON, NOON + timedelta(minutes=1))
    store._now = lambda: NOON + timedelta(minutes=60)
    assert store.sweep_ttl() == 0
    assert store.get(("u",), "k") == item


def test_a_default_ttl_counts_for_every_put() -> None:
    store = InMemoryStore(ttl={"default_ttl": 5})
    store._now = lambda: NOON
    store.put(("u",), "j", {}, ttl=None)
    store.put(("u",), "k", {})
    store._now = lambda: NOON + timedelta(minutes=5)
    assert keys(store.search(("u",))) == ["j"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([("a",), ("a", "b"), ("c",)]),
            st.sampled_from("xyz"),
            st.one_of(st.none(), st.sampled_from([1.0, {}, 2.0**60, *VALUES])),
        ),
        max_size=30,
    ),
    st.integers(0, 30),
)
@settings(max_examples=150, deadline=None)
def test_an_index_of_equal_fields_goes_with_every_change(changes: list[Any], built: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contents, "SCANNED", 0)
        compare_filters(changes, built)


def compare_filters(changes: list[Any], built: int) -> None:
    """Makes the changes, the indexes in the midst of them, and looks for everything."""
    store = InMemoryStore(INDEX)
    held: dict[Any, dict[str, Any]] = {}
    filters: list[dict[str, Any]] = [{"a.b": value} for value in VALUES]
    for number, (namespace, key, value) in enumerate(changes):
        if number == built:
            for filter in filters:
                store.search((), filter=filter)
        content = {"a": {"b": value}, "text": key} if key != "z" else {"text": key}
        if value is None and (namespace, key) in held:
            store.delete(namespace, key)
            del held[namespace, key]
        else:
            store.put(namespace, key, content)
            held[namespace, key] = content
    for filter in filters:
        for prefix in ((), ("a",)):
            wanted = sorted(
                place for place, content in held.items()
                if place[0][: len(prefix)] == prefix and matches(parse(filter), content)
            )  # fmt: skip
            for query in (None, "x"):
                found = store.search(prefix, query=query, filter=filter)
                assert sorted((item.namespace, item.key) for item in found) == wanted


def test_few_items_are_looked_at_without_an_index() -> None:
    store = InMemoryStore()
    for number in range(300):
        store.put(("few",) if number < 100 else ("many",), f"{number}", {"n": number % 3})
    assert len(store.search(("few",), filter={"n": 1}, limit=100)) == 33
    assert len(store._contents._fields.indexes) == 0
    assert len(store.search((), filter={"n": 1}, limit=200)) == 100
    assert len(store._contents._fields.indexes) == 1


def test_fields_with_an_index_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "SCANNED", 0)
    monkeypatch.setattr(equals, "MAX_PATHS", 2)
    store = InMemoryStore()
    store.put(("u",), "k", {"a": 1, "b": 2, "c": 3})
    for name in "abcab":
        assert keys(store.search((), filter={name: ord(name) - 96})) == ["k"]
        store.put(("u",), "k", {"a": 1, "b": 2, "c": 3})
    assert len(store._contents._fields.indexes) == 2


def test_vectors_that_are_kept_for_a_namespace_go_with_every_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "KEPT_BYTES", 4 * (5 * 24))  # of about four namespaces
    store = InMemoryStore(INDEX)
    for number in range(100):
        store.put(("u", f"{number % 20}"), f"{number}", {"text": "a" * number + "b"})
    for turn in range(3):
        for number in range(20):
            home = ("u", f"{number}")
            wanted = [f"{n}" for n in range(number, 100, 20)]
            assert sorted(keys(store.search(home, query="aaa"))) == sorted([*wanted, *["new"] * (turn > 0)])
            store.put(home, "new", {"text": "c" * (200 + turn)})
            assert keys(store.search(home, query="c" * 200))[0] == "new"
    assert store._contents._kept_bytes <= contents.KEPT_BYTES
    assert len(store._contents._kept) < 20


def test_many_deletions_leave_what_is_left_to_be_found() -> None:
    store = InMemoryStore(INDEX)
    for start in range(0, 3000, 500):
        for number in range(start, start + 500):
            store.put(("u", f"{number % 3}"), f"{number}", {"text": "a" * (number % 50)})
    for number in range(3000):
        if number % 10:
            store.delete(("u", f"{number % 3}"), f"{number}")
    assert len(store.search((), query="aaaa", limit=1000)) == 240  # of 300; the others have no text
    assert store._contents.vectors is not None
    assert store._contents.vectors.used < 1600
    store.put(("u", "1"), "3001", {"text": "a" * 10})
    assert [i.key for i in store.search(("u",), query="a" * 10, limit=61, filter={"text": "a" * 10})][
        -1
    ] == "3001"


def test_threads_see_whole_items_and_lose_no_write() -> None:
    store = InMemoryStore(INDEX)

    def work(number: int) -> int:
        seen = 0
        for turn in range(60):
            home = ("u", f"{number % 4}")
            store.put(home, f"{number}-{turn % 7}", {"text": "a" * turn, "twice": [turn, turn]})
            item = store.get(home, f"{number}-{turn % 7}")
            assert item is not None and item.value["twice"] == [turn, turn]
            for found in store.search(("u",), query="aa", limit=5):
                assert found.value["twice"][0] == found.value["twice"][1] == len(found.value["text"])
                seen += 1
            if turn % 5 == 4:
                store.delete(home, f"{number}-{turn % 7}")
        return seen

    with ThreadPoolExecutor(8) as pool:
        assert min(pool.map(work, range(8))) > 0
    held = store.search((), limit=1000)
    found = store.search((), query="a", limit=1000)
    assert len(held) == 8 * 5
    assert {(i.namespace, i.key) for i in found} == {(i.namespace, i.key) for i in held if i.value["text"]}


async def test_a_sync_embedding_leaves_the_event_loop_free() -> None:
    started, release = threading.Event(), threading.Event()

    def slow(texts: Sequence[str]) -> list[list[float]]:
        started.set()
        assert release.wait(10)
        return embed(texts)

    store = InMemoryStore({**INDEX, "embed": slow})
    task = asyncio.create_task(store.aput(("u",), "k", {"text": "aaa"}))
    while not started.is_set():
        await asyncio.sleep(0)
    assert await store.aget(("u",), "k") is None
    release.set()
    await task
    assert keys(await store.asearch(("u",), query="a")) == ["k"]


async def test_a_put_whose_vector_went_while_it_embedded_embeds_what_is_missing() -> None:
    asked: list[str] = []
    blocked = asyncio.Event()

    async def slow(texts: Sequence[str]) -> list[list[float]]:
        asked.extend(texts)
        if "slow" in texts:
            await blocked.wait()
        return embed(texts)

    store = InMemoryStore({**INDEX, "embed": slow, "fields": ["text", "more"]})
    await store.aput(("u",), "k", {"text": "kept"})
    # "kept" has a vector in the store when the put begins, and none any more when it is to write.
    task = asyncio.create_task(store.aput(("u",), "k", {"text": "kept", "more": "slow"}))
    while "slow" not in asked:
        await asyncio.sleep(0)
    await store.adelete(("u",), "k")
    blocked.set()
    await task
    assert asked == ["kept", "slow", "kept"]
    (item,) = await store.asearch(("u",), query="kept")
    assert item.score == pytest.approx(1)


async def test_an_async_embedding_says_why_it_cannot_serve_a_sync_operation() -> None:
    async def embedding(texts: Sequence[str]) -> list[list[float]]:
        return embed(texts)

    store = InMemoryStore({**INDEX, "embed": embedding})
    with pytest.raises(ValueError, match="async function"):
        store.put(("u",), "k", {"text": "a"})
    await store.aput(("u",), "k", {"text": "a"})
    assert keys(await store.asearch((), query="a", mode="hybrid")) == ["k"]
    assert keys(store.search((), query="a", mode="lexical")) == ["k"]


def test_one_store_serves_several_event_loops() -> None:
    async def work(number: int) -> None:
        await store.aput(("u",), f"{number}", {"text": "a" * number})
        assert await store.aget(("u",), f"{number}") is not None
        assert f"{number}" in keys(await store.asearch((), query="a" * number, limit=20))

    store = InMemoryStore(INDEX)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: asyncio.run(work(number)), range(1, 13)))
    assert len(store.search((), limit=20)) == 12


@pytest.mark.parametrize(
    ("index", "said"),
    [({"embed": embed}, '"dims"'), ({"dims": 3}, "embed"), ({"dims": 0, "embed": embed}, "dims"),
     ({"dims": 3, "embed": embed, "distance_type": "dot"}, "distance_type must be one of")],
)  # fmt: skip
def test_an_index_that_lacks_something_is_refused(index: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        InMemoryStore(index)


def test_a_sweeper_sweeps_at_once_and_ends_when_it_is_told() -> None:
    store = InMemoryStore(ttl={"sweep_interval_minutes": 60})
    store._now = lambda: NOON
    for number in range(2500):
        store.put(("u",), f"{number}", {}, ttl=None if number % 5 == 0 else 1)
    store._now = lambda: NOON + timedelta(minutes=1)
    running = store.start_ttl_sweeper()
    assert store.start_ttl_sweeper() is running
    assert store.stop_ttl_sweeper(timeout=10)
    assert running.result(timeout=10) is None
    assert len(store._contents.items) == 500
    assert store.stop_ttl_sweeper()
    again = store.start_ttl_sweeper(1)
    assert again is not running
    assert store.stop_ttl_sweeper(timeout=10)


def test_a_sweeper_that_fails_says_so() -> None:
    store = InMemoryStore()

    def broken() -> datetime:
        raise RuntimeError("no clock")

    store._now = broken
    with pytest.raises(RuntimeError, match="no clock"):
        store.start_ttl_sweeper().result(timeout=10)
    assert store.stop_ttl_sweeper(timeout=10)


def test_a_store_without_an_index_does_not_load_numpy(tmp_path: Path) -> None:
    program = (
        "import sys; from threadkeep.store.memory import InMemoryStore; store = InMemoryStore()\n"
        "store.put(('u',), 'k', {'text': 'words'}); store.search(('u',), query='words')\n"
        f"store.save({str(tmp_path / 'memory')!r}); store.load({str(tmp_path / 'memory')!r})\n"
        "print(len(store.search(())), 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "1 False\n"


@pytest.mark.parametrize("limit", [1, 7, 30])
@pytest.mark.parametrize("least", [0, 900, 1990, 1999, 2000])
def test_a_filter_that_few_items_pass_finds_the_best_of_them(least: int, limit: int) -> None:
    store = InMemoryStore(INDEX)
    for number in range(2000):
        text = {"text": "a" * (number % 40 + 1) + "b" * (number % 7)}
        store.put(
            ("u", f"{number % 3}"), f"{number}", {**text, "n": number}, index=None if number % 9 else False
        )
    for prefix in ((), ("u", "1")):
        ranked = store.search(prefix, query="aaab", limit=2000)
        wanted = [item for item in ranked if item.value["n"] >= least]
        found = store.search(prefix, query="aaab", limit=limit, filter={"n": {"$gte": least}})
        assert found == wanted[:limit]
        rest = store.search(prefix, query="aaab", limit=limit, offset=limit, filter={"n": {"$gte": least}})
        assert rest == wanted[limit : 2 * limit]


def test_an_item_may_have_thousands_of_texts() -> None:
    store = InMemoryStore({**INDEX, "fields": ["parts[*]"]})
    parts = ["a" * (number % 100) + f" {number}" for number in range(5000)]
    store.put(("u",), "k", {"parts": parts})
    store.put(("u",), "l", {"parts": parts[:10]})
    store.put(("u",), "k", {"parts": parts[:2500]})
    assert store._contents.vectors is not None
    assert len(store._contents.vectors) == 2510
    found = store.search(("u",), query=parts[2400])
    assert (found[0].key, round(found[0].score or 0, 6)) == ("k", 1.0)
    assert keys(found) == ["k", "l"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([("a",), ("a", "b"), ("c",)]),
            st.sampled_from("xyz"),
            st.one_of(st.none(), st.lists(st.sampled_from(["a", "ab", "abb", "aaa", "b"]), max_size=3)),
        ),
        min_size=25,
        max_size=60,
    ),
    st.sampled_from(["cosine", "inner_product", "l2"]),
)
@settings(max_examples=100, deadline=None)
def test_whatever_was_changed_and_compacted_a_store_finds_what_a_fresh_one_finds(
    changes: list[Any], distance: Any
) -> None:
    index: MemoryIndexConfig = {**INDEX, "fields": ["parts[*]"], "distance_type": distance}
    store, fresh = InMemoryStore(index), InMemoryStore(index)
    held: dict[Any, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectors, "MIN_COMPACTED", 2)
        for number, (namespace, key, parts) in enumerate(changes):
            store._now = lambda number=number: NOON + timedelta(seconds=number)
            if parts is None:
                store.delete(namespace, key)
                held.pop((namespace, key), None)
            else:
                store.put(namespace, key, {"parts": parts})
                held.pop((namespace, key), None)
                held[namespace, key] = parts, store._now()
            if number % 5 == 4:
                store.search(("a",), query="ab")
    for (namespace, key), (parts, time) in held.items():
        fresh._now = lambda time=time: time
        fresh.put(namespace, key, {"parts": parts})
    for prefix in ((), ("a",), ("a", "b"), ("c",)):
        found = store.search(prefix, query="ab", limit=30)
        wanted = fresh.search(prefix, query="ab", limit=30)
        assert [(i.key, i.score, i.updated_at) for i in found] == [
            (i.key, i.score, i.updated_at) for i in wanted
        ]
    assert store._contents.vectors is not None
    assert len(store._contents.vectors) == sum(len(set(parts)) for parts, _ in held.values())
