"""A pause for a person: a run that stops at `interrupt` and the one that resumes it, on a SQLite file."""

import itertools
import statistics
from collections.abc import Iterator
from typing import Any, TypedDict

from benchmarks.api import Api
from benchmarks.scale import Sample, Scale, milliseconds
from benchmarks.workloads.chat import thread
from benchmarks.workloads.line import wal_connection


class Request(TypedDict):
    amount: int
    approved: bool


def approval_graph(api: Api, checkpointer: Any) -> Any:
    graph, interrupt = api.module("graph"), api.module("types").interrupt

    def approve(state: Request) -> dict[str, bool]:
        return {"approved": interrupt({"amount": state["amount"]})}

    builder = graph.StateGraph(Request)
    builder.add_node("approve", approve)
    builder.add_edge(graph.START, "approve")
    builder.add_edge("approve", graph.END)
    return builder.compile(checkpointer=checkpointer)


def pause(api: Api, scale: Scale) -> Iterator[Sample]:
    command, names = api.module("types").Command, itertools.count()
    with api.sqlite(scale.folder / "pause.db") as saver:
        graph = approval_graph(api, saver)

        def cycle() -> None:
            where = thread(f"request-{next(names)}")
            stopped = graph.invoke({"amount": 900, "approved": False}, where)
            assert stopped["__interrupt__"][0].value == {"amount": 900}
            assert graph.invoke(command(resume=True), where) == {"amount": 900, "approved": True}

        cycles = 10 if scale.quick else 25
        while True:
            yield {"cycle_ms": statistics.median(milliseconds(cycle) for _ in range(cycles))}


def bare_pause(scale: Scale) -> Iterator[Sample]:
    """Two transactions, one for the pause and one for the end."""
    connection = wal_connection(scale)
    connection.execute("CREATE TABLE step (id INTEGER PRIMARY KEY, body BLOB)")
    body = bytes(500)

    def cycle() -> None:
        for _ in range(2):
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO step (body) VALUES (?)", (body,))
            connection.execute("COMMIT")

    while True:
        yield {"cycle_ms": statistics.median(milliseconds(cycle) for _ in range(25))}
