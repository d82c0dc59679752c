"""The store of a graph: what nodes, subgraphs and branches get, in both colours."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import pytest

from threadkeep.checkpoint.memory import InMemorySaver
from threadkeep.config import get_store
from threadkeep.graph import END, START, StateGraph
from threadkeep.runtime import Runtime, get_runtime
from threadkeep.store.base import BaseStore, SearchItem
from threadkeep.store.memory import InMemoryStore
from threadkeep.types import Command, Send, interrupt

NS = ("seen",)


class State(TypedDict, total=False):
    """Some text."""

    text: str


@dataclass
class Context:
    """Whose run it is."""

    user: str


@pytest.fixture
def store() -> InMemoryStore:
    """An empty store."""
    return InMemoryStore()


@pytest.fixture(params=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> str:
    """How graphs are run."""
    return str(request.param)


async def run(colour: str, graph: Any, given: Any, **options: Any) -> Any:
    """The result of a run in the colour."""
    if colour == "async":
        return await graph.ainvoke(given, **options)
    return graph.invoke(given, **options)


def keys(store: BaseStore) -> list[str]:
    """The keys of everything in the store."""
    return sorted(item.key for item in store.search((), limit=100))


def seen(store: BaseStore | None, key: str) -> dict[str, Any]:
    """Leaves a mark."""
    assert store is not None
    store.put(NS, key, {"here": True})
    return {}


async def test_a_node_gets_the_store_by_parameter_runtime_and_function(
    colour: str, store: InMemoryStore
) -> None:
    def by_name(state: State, store: Any) -> dict[str, Any]:
        return seen(store, "name")

    def by_keyword(state: State, *, store: BaseStore) -> dict[str, Any]:
        return seen(store, "keyword")

    def by_type(state: State, memory: BaseStore) -> dict[str, Any]:
        return seen(memory, "type")

    def by_optional_type(state: State, memory: BaseStore | None = None) -> dict[str, Any]:
        return seen(memory, "optional type")

    def by_runtime(state: State, runtime: Runtime[None]) -> dict[str, Any]:
        return seen(runtime.store, "runtime")

    def by_function(state: State) -> dict[str, Any]:
        assert get_runtime().store is get_store()
        return seen(get_store(), "function")

    def branch(state: State, store: BaseStore) -> str:
        seen(store, "branch")
        return END

    builder = StateGraph(State)
    nodes = [by_name, by_keyword, by_type, by_optional_type, by_runtime, by_function]
    builder.add_sequence(nodes).add_edge(START, "by_name").add_conditional_edges("by_function", branch)
    assert await run(colour, builder.compile(store=store), {"text": "x"}) == {"text": "x"}
    assert keys(store) == sorted(
        ["name", "keyword", "type", "optional type", "runtime", "function", "branch"]
    )


async def test_an_async_node_awaits_the_store(store: InMemoryStore) -> None:
    async def remember(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
        assert runtime.store is not None
        namespace = (runtime.context.user, "memories")
        await runtime.store.aput(namespace, state["text"], {"data": state["text"]})
        found = await runtime.store.asearch(namespace, query=state["text"], limit=3)
        return {"text": ", ".join(item.value["data"] for item in found)}

    builder = StateGraph(State, context_schema=Context)
    graph = builder.add_node(remember).add_edge(START, "remember").compile(store=store)
    assert await graph.ainvoke({"text": "tea"}, context=Context("ann")) == {"text": "tea"}
    assert await graph.ainvoke({"text": "milk"}, context=Context("ann")) == {"text": "tea, milk"}
    assert await graph.ainvoke({"text": "rum"}, context=Context("bob")) == {"text": "rum"}


async def test_memories_are_shared_by_threads_and_state_is_not(colour: str, store: InMemoryStore) -> None:
    class Notes(TypedDict):
        notes: Annotated[list[str], lambda a, b: a + b]

    def note(state: Notes, store: BaseStore) -> None:
        for text in state["notes"]:
            store.put(NS, text, {"text": text})

    graph = StateGraph(Notes).add_node(note).add_edge(START, "note")
    compiled = graph.compile(checkpointer=InMemorySaver(), store=store)
    first, second = ({"configurable": {"thread_id": thread}} for thread in "12")
    await run(colour, compiled, {"notes": ["a"]}, config=first)
    assert await run(colour, compiled, {"notes": ["b"]}, config=second) == {"notes": ["b"]}
    assert keys(store) == ["a", "b"]


def mark(state: State, store: BaseStore) -> dict[str, Any]:
    """A node that leaves a mark."""
    return seen(store, state["text"])


def child(store: BaseStore | None) -> Any:
    """A graph of one node."""
    return StateGraph(State).add_node("mark", mark).add_edge(START, "mark").compile(store=store)


async def test_a_subgraph_takes_the_store_of_its_parent_unless_it_has_one(
    colour: str, store: InMemoryStore
) -> None:
    own = InMemoryStore()
    for compiled_with, expected in ((None, store), (own, own)):
        parent = StateGraph(State).add_node("child", child(compiled_with)).add_edge(START, "child")
        await run(colour, parent.compile(store=store), {"text": "x"})
        assert keys(expected) == ["x"]
        assert len(keys(store)) == 1


async def test_a_graph_that_a_node_calls_takes_the_store_too(colour: str, store: InMemoryStore) -> None:
    called = child(None)

    def call(state: State) -> Any:
        return called.invoke({"text": "called"})

    graph = StateGraph(State).add_node(call).add_edge(START, "call").compile(store=store)
    await run(colour, graph, {"text": "x"})
    assert keys(store) == ["called"]


async def test_tasks_of_a_step_share_the_store(colour: str, store: InMemoryStore) -> None:
    def spread(state: State) -> list[Send]:
        return [Send("mark", {"text": str(n)}) for n in range(20)]

    builder = StateGraph(State).add_node("mark", mark).add_conditional_edges(START, spread, ["mark"])
    await run(colour, builder.compile(store=store), {"text": "x"})
    assert keys(store) == sorted(str(n) for n in range(20))


async def test_a_resumed_node_finds_what_it_put_before_it_paused(colour: str, store: InMemoryStore) -> None:
    def ask(state: State, store: BaseStore) -> dict[str, Any]:
        asked = (store.get(NS, "asked") or {"times": 0})["times"] + 1
        store.put(NS, "asked", {"times": asked})
        return {"text": f"{interrupt('?')} after {asked}"}

    graph = StateGraph(State).add_node(ask).add_edge(START, "ask")
    compiled = graph.compile(checkpointer=InMemorySaver(), store=store)
    config = {"configurable": {"thread_id": "1"}}
    await run(colour, compiled, {"text": "x"}, config=config)
    result = await run(colour, compiled, Command(resume="yes"), config=config)
    assert result == {"text": "yes after 2"}


async def test_without_a_store_there_is_none(colour: str) -> None:
    def node(state: State, store: BaseStore | None, runtime: Runtime[None]) -> dict[str, Any]:
        return {"text": f"{store} {runtime.store} {get_store()}"}

    graph = StateGraph(State).add_node(node).add_edge(START, "node").compile()
    assert await run(colour, graph, {"text": "x"}) == {"text": "None None None"}


async def test_an_item_may_be_part_of_the_state(colour: str, store: InMemoryStore) -> None:
    class Found(TypedDict):
        items: list[SearchItem]

    def look(state: Found, store: BaseStore) -> dict[str, Any]:
        store.put(NS, "k", {"a": [1]})
        return {"items": store.search(NS)}

    graph = StateGraph(Found).add_node(look).add_edge(START, "look")
    compiled = graph.compile(checkpointer=InMemorySaver(), store=store)
    config: Any = {"configurable": {"thread_id": "1"}}
    await run(colour, compiled, {"items": []}, config=config)
    (item,) = compiled.get_state(config).values["items"]
    assert item == store.search(NS)[0] and type(item) is SearchItem


async def test_64_runs_at_once_on_one_store(store: InMemoryStore) -> None:
    async def count(state: State, store: BaseStore) -> dict[str, Any]:
        await store.aput((state["text"],), "k", {"text": state["text"]})
        item = await store.aget((state["text"],), "k")
        assert item is not None
        return {"text": item["text"] + "!"}

    graph = StateGraph(State).add_node(count).add_edge(START, "count").compile(store=store)
    results = await asyncio.gather(*(graph.ainvoke({"text": str(n)}) for n in range(64)))
    assert results == [{"text": f"{n}!"} for n in range(64)]


@pytest.mark.parametrize("module", ["threadkeep.graph", "threadkeep.store.base", "threadkeep.store.filter"])
def test_the_types_of_stores_load_neither_numpy_nor_langchain_nor_asyncio(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"numpy", "langchain_core", "pydantic", "asyncio"} & set(done.stdout.split()) == set()


def test_the_graph_does_not_load_the_stores() -> None:
    code = "import sys, threadkeep.graph; print([m for m in sys.modules if 'threadkeep.store' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
