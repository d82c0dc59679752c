"""Small graphs that several tests build on."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Annotated, Any

from typing_extensions import TypedDict

from threadkeep.config import RunnableConfig
from threadkeep.graph import START, StateGraph


class Log(TypedDict, total=False):
    """A state that remembers in which order things were written."""

    log: Annotated[list[Any], operator.add]


def thread(name: str = "1", **configurable: Any) -> RunnableConfig:
    """A config that names a thread."""
    return {"configurable": {"thread_id": name, **configurable}}


def parallel(nodes: Mapping[str, Any], schema: Any = Log) -> StateGraph[Any, Any, Any, Any]:
    """All nodes start at once."""
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(schema)
    for name, node in nodes.items():
        graph.add_node(name, node)
        graph.add_edge(START, name)
    return graph


def line(nodes: Mapping[str, Any], schema: Any = Log) -> StateGraph[Any, Any, Any, Any]:
    """The nodes one after the other."""
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(schema)
    last = START
    for name, node in nodes.items():
        graph.add_node(name, node)
        graph.add_edge(last, name)
        last = name
    return graph


def writes(*values: Any) -> Any:
    """A node that appends to the log."""

    def write(state: Any) -> dict[str, Any]:
        return {"log": list(values)}

    return write


def awrites(*values: Any) -> Any:
    """As `writes`, async."""

    async def write(state: Any) -> dict[str, Any]:
        return {"log": list(values)}

    return write
