"""Our stores under LangGraph's own `compile()`, with the real package."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langgraph.config import get_store
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.store.base import (
    BaseStore,
    GetOp,
    InvalidNamespaceError,
    Item,
    ListNamespacesOp,
    MatchCondition,
    PutOp,
    SearchItem,
    SearchOp,
)
from langgraph.store.memory import InMemoryStore as TheirStore

from tests.contract_store.backends import BACKENDS, Backend, Clock, opened
from tests.contract_store.embedding import DIMS, embed
from threadkeep.errors import InvalidOpError
from threadkeep.interop.langgraph import LangGraphStore, as_langgraph_store
from threadkeep.store.memory import InMemoryStore

NS = ("users", "ann")
CHOSEN = [each for each in BACKENDS if each.name in ("memory", "gathered", "postgres", "aiopostgres")]
ASYNC = [each for each in CHOSEN if each.colour == "async" and each.name != "postgres"]


class State(TypedDict, total=False):
    """Some text."""

    text: str


@pytest.fixture
def store() -> LangGraphStore:
    """A store of ours, as LangGraph sees it."""
    return as_langgraph_store(InMemoryStore())


@pytest.fixture(params=ASYNC, ids=lambda backend: f"{backend.name}-{backend.colour}")
async def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LangGraphStore]:
    """Stores for async programs."""
    backend: Backend = request.param
    async with opened(backend, tmp_path / "store.db") as ours:
        ours.raw._now = None
        yield as_langgraph_store(ours.raw)


def fill(store: BaseStore) -> None:
    """Some items."""
    for key, value in (
        ("a", {"n": 1, "text": "red apple"}),
        ("b", {"n": 2, "d": {"x": 1, "y": 2}}),
        ("c", {}),
    ):
        store.put(NS, key, value)
    store.put(("users", "bob", "deep"), "k", {"n": 1})
    store.put(NS, "a", {"n": 3, "text": "green apple"})
    store.delete(NS, "c")


def answers(store: BaseStore) -> list[Any]:
    """What a program sees of them, without times."""
    found: list[Any] = [
        store.get(NS, "a"),
        store.get(NS, "c"),
        store.search(("users",), filter={"n": 1}),
        store.search(NS, filter={"d": {"x": 1}}),
        store.search(NS, filter={"n": {"$ne": 3}}),
        store.search(NS, limit=1, offset=1),
    ]
    found += store.batch(
        [GetOp(NS, "b"), SearchOp(NS, {"n": {"$gte": 2}}), PutOp(NS, "d", {"n": 9}), GetOp(NS, "d")]
    )
    conditions = (MatchCondition("prefix", ("users", "*")), MatchCondition("suffix", ("deep",)))
    found += store.batch([ListNamespacesOp(conditions), ListNamespacesOp(None, 2)])
    found += [store.list_namespaces(prefix=("users",), max_depth=1), store.list_namespaces(suffix=("ann",))]
    return [timeless(each) for each in found]


def timeless(result: Any) -> Any:
    """Items as their type, namespace, key and value."""
    if isinstance(result, list):
        return sorted((timeless(each) for each in result), key=repr)
    if isinstance(result, Item):
        return type(result), result.namespace, result.key, result.value
    return result


def test_a_program_sees_what_it_sees_of_their_own_store(store: LangGraphStore) -> None:
    theirs = TheirStore()
    fill(store)
    fill(theirs)
    seen, expected = answers(store), answers(theirs)
    assert seen.pop(5) != expected.pop(5)  # theirs lists by the first write, ours by the last
    assert seen == expected


def test_the_order_of_a_list_is_ours(store: LangGraphStore) -> None:
    fill(store)
    assert [item.key for item in store.search(("users",))] == ["b", "k", "a"]


@pytest.mark.parametrize("backend", CHOSEN, ids=lambda backend: f"{backend.name}-{backend.colour}")
async def test_items_of_every_store_are_theirs(backend: Backend, tmp_path: Path) -> None:
    async with opened(backend, tmp_path / "store.db", index={"dims": DIMS, "embed": embed}) as ours:
        store = as_langgraph_store(ours.raw)
        await ours.put(NS, "k", {"text": "apple"})
        if backend.colour == "async":
            item, found = await store.aget(NS, "k"), await store.asearch(NS, query="apple")
        else:
            item = await asyncio.to_thread(store.get, NS, "k")
            found = await asyncio.to_thread(lambda: store.search(NS, query="apple"))
        assert type(item) is Item and type(found[0]) is SearchItem
        assert item.dict() == (await ours.get(NS, "k")).dict()
        assert found[0].dict() == (await ours.search(NS, query="apple"))[0].dict()
        assert found[0].score is not None and 0 < found[0].score < 1


async def test_a_graph_of_theirs_runs_on_our_stores(any_store: LangGraphStore) -> None:
    async def by_name(state: State, *, store: BaseStore) -> dict[str, Any]:
        await store.aput(NS, "name", {"text": state["text"]})
        return {}

    async def by_runtime(state: State, runtime: Runtime[None]) -> dict[str, Any]:
        assert runtime.store is any_store and get_store() is any_store
        found = await any_store.asearch(NS)
        return {"text": f"{[item.value['text'] for item in found]}"}

    builder = StateGraph(State).add_node(by_name).add_node(by_runtime)
    graph = builder.add_edge(START, "by_name").add_edge("by_name", "by_runtime").compile(store=any_store)
    assert await graph.ainvoke({"text": "hello"}) == {"text": "['hello']"}


def test_a_sync_graph_of_theirs_runs_on_our_stores(store: LangGraphStore) -> None:
    def node(state: State, *, store: BaseStore) -> dict[str, Any]:
        store.put(NS, "k", {"n": 1})
        item = store.get(NS, "k")
        assert item is not None
        return {"text": f"{item.value}"}

    graph = StateGraph(State).add_node(node).add_edge(START, "node").compile(store=store)
    assert graph.invoke({"text": "x"}) == {"text": "{'n': 1}"}


async def test_64_callers_at_once_get_what_is_theirs(any_store: LangGraphStore) -> None:
    async def caller(n: int) -> Any:
        await any_store.aput(NS, str(n), {"n": n})
        item = await any_store.aget(NS, str(n))
        return item and item.value["n"]

    assert await asyncio.gather(*(caller(n) for n in range(64))) == [*range(64)]


def test_expiry_and_its_defaults_are_those_of_the_store() -> None:
    ours = InMemoryStore(ttl={"default_ttl": 10, "refresh_on_read": False})
    ours._now = clock = Clock()
    store = as_langgraph_store(ours)
    store.put(NS, "default", {})
    store.put(NS, "short", {}, ttl=1)
    store.put(NS, "for ever", {}, ttl=None)
    clock.now += timedelta(minutes=5)
    assert store.get(NS, "short") is None and store.get(NS, "default") is not None
    clock.now += timedelta(minutes=5)
    assert [item.key for item in store.search(NS)] == ["for ever"]
    assert ours.sweep_ttl() == 2


def test_what_cannot_be_put_is_refused(store: LangGraphStore) -> None:
    with pytest.raises(InvalidNamespaceError):
        store.put(("a.b",), "k", {})
    with pytest.raises(InvalidOpError, match="reserved"):
        store.put(("threadkeep",), "k", {})
    with pytest.raises(InvalidOpError, match=r"a builtins\.object"):
        store.put(NS, "k", {"a": object()})
    with pytest.raises(InvalidOpError, match="An operation is a GetOp"):
        store.batch([MatchCondition("prefix", NS)])
    assert store.search(()) == []
