"""A graph whose threads and memory are both in PostgreSQL, in both colours."""

from __future__ import annotations

from typing import Any, TypedDict

from threadkeep.checkpoint.postgres import PostgresSaver
from threadkeep.checkpoint.postgres.aio import AsyncPostgresSaver
from threadkeep.graph import START, StateGraph
from threadkeep.runtime import Runtime
from threadkeep.store.base import BaseStore
from threadkeep.store.postgres import AsyncPostgresStore, PostgresStore


class State(TypedDict):
    said: str
    known: list[str]


def thread(id: str) -> Any:
    return {"configurable": {"thread_id": id}}


def test_a_graph_remembers_across_threads(database: str) -> None:
    def node(state: State, store: BaseStore) -> dict[str, Any]:
        known = [item["text"] for item in store.search(("facts",))]
        store.put(("facts",), state["said"], {"text": state["said"]})
        return {"known": known}

    builder = StateGraph(State)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    with PostgresStore.from_conn_string(database) as store, PostgresSaver.from_conn_string(database) as saver:
        store.setup()
        saver.setup()
        graph = builder.compile(checkpointer=saver, store=store)
        assert graph.invoke({"said": "a"}, thread("1"))["known"] == []
        assert graph.invoke({"said": "b"}, thread("2"))["known"] == ["a"]
        assert graph.get_state(thread("1")).values == {"said": "a", "known": []}


async def test_an_async_graph_remembers_across_threads(database: str) -> None:
    async def node(state: State, runtime: Runtime[None]) -> dict[str, Any]:
        assert runtime.store is not None
        known = [item["text"] for item in await runtime.store.asearch(("facts",))]
        await runtime.store.aput(("facts",), state["said"], {"text": state["said"]})
        return {"known": known}

    def sync(state: State, store: BaseStore) -> dict[str, Any]:
        return {"known": [*state["known"], str(len(store.search(("facts",))))]}

    builder = StateGraph(State)
    builder.add_node("node", node)
    builder.add_node("sync", sync)
    builder.add_edge(START, "node")
    builder.add_edge("node", "sync")
    async with (
        AsyncPostgresStore.from_conn_string(database) as store,
        AsyncPostgresSaver.from_conn_string(database) as saver,
    ):
        await store.setup()
        await saver.setup()
        graph = builder.compile(checkpointer=saver, store=store)
        assert (await graph.ainvoke({"said": "a"}, thread("1")))["known"] == ["1"]
        assert (await graph.ainvoke({"said": "b"}, thread("2")))["known"] == ["a", "2"]
