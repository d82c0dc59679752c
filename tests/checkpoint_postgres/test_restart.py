"""The server is restarted while graphs run: they go on, or say so and can be continued with exact results."""

from __future__ import annotations

import asyncio
import operator
import threading
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

import psycopg
import pytest
from typing_extensions import TypedDict

from tests.postgres_server import OwnServer
from threadkeep.checkpoint.postgres import PostgresSaver
from threadkeep.checkpoint.postgres.aio import AsyncPostgresSaver
from threadkeep.errors import StorageUnavailableError
from threadkeep.graph import START, StateGraph

STEPS = 12
POOL: Any = {"min_size": 2, "max_size": 4, "timeout": 2}
MODES: list[dict[str, Any]] = [{}, {"pool_config": POOL}, {"pipeline": True}]


class State(TypedDict, total=False):
    log: Annotated[list[int], operator.add]


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    """A server that only these tests use."""
    own = OwnServer()
    with PostgresSaver.from_conn_string(own.address) as saver:
        saver.setup()
    yield own
    own.close()


class Counter:
    """A node that counts what is in the log; at some counts something happens beside it."""

    def __init__(self, happens: dict[int, Callable[[], None]], *, beside: bool = False) -> None:
        self._happens = happens
        self._beside = beside
        self._one = threading.Lock()
        self.others: list[threading.Thread] = []

    def __call__(self, state: State) -> State:
        i = len(state.get("log", []))
        event = self._happens.pop(i, None)
        if event is not None and self._beside:
            self.others.append(threading.Thread(target=self._run, args=(event,)))
            self.others[-1].start()
        elif event is not None:
            event()
        return {"log": [i]}

    async def acall(self, state: State) -> State:
        """As a call, without blocking the loop."""
        return await asyncio.to_thread(self, state)

    def _run(self, event: Callable[[], None]) -> None:
        with self._one:  # events may be many, but one after the other
            event()

    def join(self) -> None:
        """Waits until all that happened is over."""
        for other in self.others:
            other.join()


def graph(node: Any, saver: Any) -> Any:
    builder = StateGraph(State)
    for i in range(STEPS):
        builder.add_node(f"n{i}", node)
    builder.add_edge(START, "n0")
    for i in range(1, STEPS):
        builder.add_edge(f"n{i - 1}", f"n{i}")
    return builder.compile(checkpointer=saver)


def config(name: Any) -> Any:
    return {"configurable": {"thread_id": str(name)}}


def logs(history: list[Any]) -> list[list[int]]:
    return [state.values.get("log", []) for state in history]


EXPECTED = [[*range(i)] for i in (*reversed(range(STEPS + 1)), 0)]


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES, ids=["connection", "pool", "pipeline"])
@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_a_run_goes_on_over_restarts(server: OwnServer, mode: Any, how: Literal["fast", "immediate"]) -> None:
    with PostgresSaver.from_conn_string(server.address, **mode) as saver:
        happens = dict.fromkeys((3, 7), lambda: server.restart(how))
        program = graph(Counter(happens), saver)
        thread = config(f"{mode} {how}")
        assert program.invoke({}, thread, durability="sync") == {"log": [*range(STEPS)]}
        assert happens == {}
        assert logs([*program.get_state_history(thread)]) == EXPECTED


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES, ids=["connection", "pool", "pipeline"])
@pytest.mark.parametrize("how", ["fast", "immediate"])
async def test_an_async_run_goes_on_over_restarts(
    server: OwnServer, mode: Any, how: Literal["fast", "immediate"]
) -> None:
    async with AsyncPostgresSaver.from_conn_string(server.address, **mode) as saver:
        happens = dict.fromkeys((3, 7), lambda: server.restart(how))
        program = graph(Counter(happens).acall, saver)
        thread = config(f"async {mode} {how}")
        assert await program.ainvoke({}, thread, durability="sync") == {"log": [*range(STEPS)]}
        assert happens == {}
        assert logs([state async for state in program.aget_state_history(thread)]) == EXPECTED


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "durability"),
    [(MODES[0], "sync"), (MODES[0], "async"), (MODES[1], "async"), (MODES[1], "exit"), (MODES[2], "sync")],
    ids=["connection-sync", "connection-async", "pool-async", "pool-exit", "pipeline-sync"],
)
def test_restarted_at_any_moment_a_run_goes_on_or_is_continued(
    server: OwnServer, mode: Any, durability: str
) -> None:
    with PostgresSaver.from_conn_string(server.address, **mode) as saver:
        node = Counter(dict.fromkeys((2, 6, 10), server.restart), beside=True)
        program = graph(node, saver)
        thread = config(f"beside {mode} {durability}")
        given: Any = {}
        for _ in range(5):
            try:
                program.invoke(given, thread, durability=durability)
                break
            except StorageUnavailableError:
                node.join()
                given = None if program.get_state(thread).metadata else {}
        node.join()
        assert program.get_state(thread).values == {"log": [*range(STEPS)]}
        history = logs([*program.get_state_history(thread)])
        assert history == (EXPECTED if durability != "exit" else EXPECTED[:1])


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES[:2], ids=["connection", "pool"])
def test_without_a_server_a_run_fails_with_one_error_and_is_continued_later(
    server: OwnServer, mode: Any
) -> None:
    with PostgresSaver.from_conn_string(server.address, **mode) as saver:
        program = graph(Counter({5: server.stop}), saver)
        thread = config(f"away {mode}")
        with pytest.raises(StorageUnavailableError) as caught:
            program.invoke({}, thread, durability="sync")
        assert isinstance(caught.value.__cause__, psycopg.OperationalError)
        server.start()
        assert program.get_state(thread).values == {"log": [*range(5)]}
        assert program.invoke(None, thread) == {"log": [*range(STEPS)]}
        assert logs([*program.get_state_history(thread)]) == EXPECTED


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES[:2], ids=["connection", "pool"])
async def test_without_a_server_an_async_run_fails_with_one_error_and_is_continued_later(
    server: OwnServer, mode: Any
) -> None:
    async with AsyncPostgresSaver.from_conn_string(server.address, **mode) as saver:
        program = graph(Counter({5: server.stop}).acall, saver)
        thread = config(f"async away {mode}")
        with pytest.raises(StorageUnavailableError) as caught:
            await program.ainvoke({}, thread, durability="sync")
        assert isinstance(caught.value.__cause__, psycopg.OperationalError)
        server.start()
        assert (await program.aget_state(thread)).values == {"log": [*range(5)]}
        assert await program.ainvoke(None, thread) == {"log": [*range(STEPS)]}
        assert logs([state async for state in program.aget_state_history(thread)]) == EXPECTED
