"""A program that can be killed at any of its effects, and the process that runs it.

Each node writes a line to a journal, synced to the disk, when it starts and when it ends: what really
happened, whatever the checkpoints say.
"""

from __future__ import annotations

import asyncio
import json
import operator
import os
import signal
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from typing_extensions import TypedDict

from threadkeep.checkpoint.base import BaseCheckpointSaver, CheckpointTuple, SavePoint, SaveWrites
from threadkeep.checkpoint.postgres import PostgresSaver
from threadkeep.checkpoint.postgres.aio import AsyncPostgresSaver
from threadkeep.checkpoint.sqlite import SqliteSaver
from threadkeep.checkpoint.sqlite.aio import AsyncSqliteSaver
from threadkeep.config import RunnableConfig
from threadkeep.graph import END, START, StateGraph
from threadkeep.runtime import Runtime, get_runtime
from threadkeep.types import Command, Durability, Send, interrupt

THREAD: RunnableConfig = {"configurable": {"thread_id": "crash"}}
Colour = Literal["sync", "async"]


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]
    total: Annotated[int, operator.add]
    answer: str


class Parcel(TypedDict):
    item: int


class Stamp(TypedDict):
    number: int


class Orders(NamedTuple):
    """What a process is to do."""

    folder: Path
    colour: Colour
    durability: Durability
    kill_at: int | None
    statements: bool = False
    """Statements of SQLite are effects too."""
    own_colour: bool = False
    """Whether an async program has an async saver, not the sync one."""
    postgres: str = ""
    """The address of a database, in which the folder has a schema; else a file in the folder is used."""


class Killer:
    """Counts effects, in all threads, and kills the process at one of them."""

    def __init__(self, orders: Orders) -> None:
        self._at = orders.kill_at
        self._lock = threading.Lock()
        self._count = 0

    def effect(self, _name: str) -> None:
        with self._lock:
            if self._count == self._at:
                os.kill(os.getpid(), signal.SIGKILL)
                threading.Event().wait()
            self._count += 1


class Killed(BaseCheckpointSaver[int]):
    """A saver whose every operation is two effects: before it and after it."""

    killer: Killer

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        self.killer.effect("load")
        found = super().get_tuple(config)
        self.killer.effect("loaded")
        return found

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        self.killer.effect("load")
        found = await super().aget_tuple(config)
        self.killer.effect("loaded")
        return found

    def commit(self, ops: Sequence[SavePoint | SaveWrites]) -> None:
        self.killer.effect("save")
        super().commit(ops)
        self.killer.effect("saved")

    async def acommit(self, ops: Sequence[SavePoint | SaveWrites]) -> None:
        self.killer.effect("save")
        await super().acommit(ops)
        self.killer.effect("saved")


class KilledSqlite(Killed, SqliteSaver):
    pass


class KilledAsyncSqlite(Killed, AsyncSqliteSaver):
    pass


class KilledPostgres(Killed, PostgresSaver):
    pass


class KilledAsyncPostgres(Killed, AsyncPostgresSaver):
    pass


class Journal:
    """The lines that nodes wrote, of all processes, in order."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "journal"

    def append(self, event: str, key: str, runtime: Runtime[Any]) -> None:
        assert runtime.execution_info is not None
        line = {"event": event, "key": key, "ns": runtime.execution_info.checkpoint_ns}
        handle = os.open(self._path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
        os.write(handle, (json.dumps(line) + "\n").encode())
        os.fsync(handle)
        os.close(handle)

    def lines(self) -> list[dict[str, str]]:
        return (
            [json.loads(line) for line in self._path.read_text().splitlines()] if self._path.exists() else []
        )


class Program:
    """The graph: parallel nodes, `Send`s, a subgraph that asks, a graph that is called inside a node."""

    def __init__(self, orders: Orders, killer: Killer, saver: BaseCheckpointSaver[int]) -> None:
        self._journal = Journal(orders.folder)
        self._killer = killer
        self._colour = orders.colour
        self.graph: Any = self._outer().compile(checkpointer=saver)

    def _node(self, name: str, body: Callable[[Any], Any]) -> Any:
        """A node of the program's colour that notes in the journal when it starts and ends."""

        def run(state: Any) -> Any:
            key = f"{name}{state['item']}" if "item" in state else name
            runtime = get_runtime()
            self._journal.append("start", key, runtime)
            self._killer.effect("start")
            result = body(state)
            self._journal.append("end", key, runtime)
            self._killer.effect("end")
            return result

        async def arun(state: Any) -> Any:
            return run(state)

        return arun if self._colour == "async" else run

    def _adder(self, name: str, amount: int) -> Any:
        return self._node(name, lambda state: {"log": [name], "total": amount})

    def _desk(self) -> Any:
        desk = StateGraph(State)
        desk.add_node("ask", self._node("ask", lambda state: {"answer": interrupt("sure?"), "log": ["ask"]}))
        desk.add_node("book", self._adder("book", 1000))
        desk.add_edge(START, "ask")
        desk.add_edge("ask", "book")
        return desk.compile()

    def _stamp(self) -> Any:
        stamp = StateGraph(Stamp)
        stamp.add_node("ink", self._node("ink", lambda state: {"number": state["number"] + 1}))
        stamp.add_node("press", self._node("press", lambda state: {"number": state["number"] * 2}))
        stamp.add_edge(START, "ink")
        stamp.add_edge("ink", "press")
        return stamp.compile()

    def _close(self) -> Any:
        stamp = self._stamp()

        def close(state: Any) -> Any:
            return {"log": [f"close {stamp.invoke({'number': state['total']})['number']}"]}

        async def aclose(state: Any) -> Any:
            stamped = await stamp.ainvoke({"number": state["total"]})
            return {"log": [f"close {stamped['number']}"]}

        return aclose if self._colour == "async" else close

    def _outer(self) -> Any:
        outer = StateGraph(State)
        outer.add_node("plan", self._adder("plan", 1))
        outer.add_node("left", self._adder("left", 10))
        outer.add_node("right", self._adder("right", 20))
        outer.add_node(
            "work", self._node("work", lambda parcel: {"log": [f"work {parcel['item']}"], "total": 100})
        )
        outer.add_node("join", self._adder("join", 2))
        outer.add_node("desk", self._desk())
        outer.add_node("audit", self._adder("audit", 3))
        outer.add_node("close", self._close())
        outer.add_edge(START, "plan")
        outer.add_conditional_edges(
            "plan",
            lambda state: ["left", "right", *(Send("work", {"item": item}) for item in range(3))],
            ["left", "right", "work"],
        )
        for parallel in ("left", "right", "work"):
            outer.add_edge(parallel, "join")
        outer.add_edge("join", "desk")
        outer.add_edge("join", "audit")
        outer.add_edge(["desk", "audit"], "close")
        outer.add_edge("close", END)
        return outer


def database(folder: Path) -> sqlite3.Connection:
    return sqlite3.connect(folder / "threads.db", check_same_thread=False, isolation_level=None)


@contextmanager
def opened(orders: Orders) -> Iterator[KilledSqlite | KilledPostgres]:
    """A saver for the sync methods, or for both colours."""
    if orders.postgres:
        with KilledPostgres.from_conn_string(orders.postgres, schema=orders.folder.name) as saver:
            saver.setup()
            yield saver
    else:
        conn = database(orders.folder)
        yield KilledSqlite(conn)
        conn.close()


@asynccontextmanager
async def aopened(orders: Orders) -> AsyncIterator[KilledAsyncSqlite | KilledAsyncPostgres]:
    """An async saver."""
    if orders.postgres:
        async with KilledAsyncPostgres.from_conn_string(
            orders.postgres, schema=orders.folder.name
        ) as postgres:
            await postgres.setup()
            yield postgres
    else:
        async with KilledAsyncSqlite.from_conn_string(str(orders.folder / "threads.db")) as sqlite:
            yield sqlite


def work_off(orders: Orders) -> None:
    """Bring the thread from wherever it stands to its end, answering what it asks."""
    killer = Killer(orders)
    if orders.own_colour:
        asyncio.run(_awork_off_alone(orders, killer))
        return
    with opened(orders) as saver:
        saver.killer = killer
        if orders.statements and isinstance(saver, SqliteSaver):
            saver.conn.set_trace_callback(killer.effect)
        graph = Program(orders, killer, saver).graph
        if orders.colour == "async":
            asyncio.run(_awork_off(graph, orders.durability))
            return
        while (given := _next_input(graph.get_state(THREAD))) is not None:
            graph.invoke(*given, durability=orders.durability)


async def _awork_off_alone(orders: Orders, killer: Killer) -> None:
    async with aopened(orders) as saver:
        saver.killer = killer
        await _awork_off(Program(orders, killer, saver).graph, orders.durability)


async def _awork_off(graph: Any, durability: Durability) -> None:
    while (given := _next_input(await graph.aget_state(THREAD))) is not None:
        await graph.ainvoke(*given, durability=durability)


def _next_input(state: Any) -> tuple[Any, RunnableConfig] | None:
    if state.metadata is None:
        return {"log": ["in"]}, THREAD
    if state.interrupts:
        return Command(resume="yes"), THREAD
    return (None, THREAD) if state.next else None
