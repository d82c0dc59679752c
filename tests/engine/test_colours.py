"""Threads and event loops run the same programs: every chunk, result, error and state is the same."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from itertools import permutations
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.graphs import parallel
from tests.engine.programs import Boom, Build, Colours, Program, plain, programs
from threadkeep.checkpoint.memory import InMemorySaver
from threadkeep.config import RunnableConfig
from threadkeep.errors import GraphRecursionError, InvalidUpdateError
from threadkeep.types import Command, Durability

MODES: Any = ["values", "updates", "custom", "tasks", "checkpoints", "debug"]
TURNS = 4
"""Runs on one thread: the first, and then answers and repeated attempts."""


class Setting(NamedTuple):
    """How a program is run."""

    saved: bool
    durability: Durability
    max_concurrency: int | None
    recursion_limit: int

    @property
    def config(self) -> RunnableConfig:
        return {
            "configurable": {"thread_id": "1"},
            "max_concurrency": self.max_concurrency,
            "recursion_limit": self.recursion_limit,
        }


class Trace(NamedTuple):
    """All that can be seen of a program."""

    chunks: dict[str, list[str]]
    """In the order in which they came, for each namespace; those that nodes write, apart."""
    ends: list[str]
    """After each turn: the error, the state and what is next."""
    history: list[str]


settings_of_runs = st.builds(
    Setting,
    st.booleans(),
    st.sampled_from(["sync", "async", "exit"]),
    st.just(1),
    st.integers(3, 9),
)


def following(number: int, state: Any) -> Any:
    """The input of the next turn: an answer to all that is asked, or another attempt."""
    if state is not None and state.interrupts:
        return Command(resume={asked.id: f"answer {number}" for asked in state.interrupts})
    return None


def source_of(chunk: Any) -> str:
    """What puts its chunks in an order of its own: a loop, or the nodes of one."""
    ns, mode, _ = chunk
    return plain((ns, mode == "custom"))


def ending(error: BaseException | None, state: Any) -> str:
    shown = None
    if state is not None:
        tasks = [(task.name, task.path, task.error, task.interrupts, task.result) for task in state.tasks]
        shown = (state.values, state.next, tasks, state.metadata)
    return plain((error, shown))


EXPECTED = (Boom, InvalidUpdateError, GraphRecursionError)


def trace(program: Program, setting: Setting) -> Trace:
    """The program, run by threads."""
    graph = Build(program, "sync").builder.compile(checkpointer=InMemorySaver() if setting.saved else None)
    chunks, ends = defaultdict[str, list[str]](list), list[str]()
    given: Any = {"log": ["in"]}
    for number in range(TURNS if setting.saved else 1):
        error = None
        try:
            for chunk in graph.stream(
                given, setting.config, stream_mode=MODES, subgraphs=True, durability=setting.durability
            ):
                chunks[source_of(chunk)].append(plain(chunk))
        except EXPECTED as raised:
            error = raised
        try:
            state = graph.get_state(setting.config) if setting.saved else None
        except InvalidUpdateError as unreadable:
            ends.append(plain((error, unreadable)))
            break
        ends.append(ending(error, state))
        if state is None or not state.next:
            break
        given = following(number, state)
    history = graph.get_state_history(setting.config) if setting.saved else ()
    return Trace(chunks, ends, [ending(None, state) for state in history])


async def atrace(program: Program, setting: Setting, colours: Colours) -> Trace:
    """The program, run by an event loop."""
    graph = Build(program, colours).builder.compile(checkpointer=InMemorySaver() if setting.saved else None)
    chunks, ends = defaultdict[str, list[str]](list), list[str]()
    given: Any = {"log": ["in"]}
    for number in range(TURNS if setting.saved else 1):
        error = None
        try:
            async for chunk in graph.astream(
                given, setting.config, stream_mode=MODES, subgraphs=True, durability=setting.durability
            ):
                chunks[source_of(chunk)].append(plain(chunk))
        except EXPECTED as raised:
            error = raised
        try:
            state = await graph.aget_state(setting.config) if setting.saved else None
        except InvalidUpdateError as unreadable:
            ends.append(plain((error, unreadable)))
            break
        ends.append(ending(error, state))
        if state is None or not state.next:
            break
        given = following(number, state)
    history = [state async for state in graph.aget_state_history(setting.config)] if setting.saved else []
    return Trace(chunks, ends, [ending(None, state) for state in history])


@settings(max_examples=150)
@given(
    programs(("plain", "nothing", "jump", "fail", "ask", "chunk")),
    settings_of_runs,
    st.sampled_from(["sync", "async", "mixed"]),
)
def test_one_task_at_a_time_every_chunk_comes_in_the_same_order_in_both_colours(
    program: Program, setting: Setting, colours: Colours
) -> None:
    expected = trace(program, setting)
    assert expected.ends
    assert asyncio.run(atrace(program, setting, colours)) == expected


@settings(max_examples=100)
@given(
    programs(("plain", "nothing", "jump", "ask", "chunk")),
    settings_of_runs,
    st.sampled_from(["sync", "async", "mixed"]),
)
def test_many_tasks_at_a_time_the_same_chunks_come_and_the_same_states_are_reached_in_both_colours(
    program: Program, setting: Setting, colours: Colours
) -> None:
    alone = trace(program, setting)
    together = setting._replace(max_concurrency=None)
    for seen in (trace(program, together), asyncio.run(atrace(program, together, colours))):
        assert sorted_each(seen.chunks) == sorted_each(alone.chunks)
        assert seen.ends == alone.ends
        assert seen.history == alone.history


def sorted_each(chunks: dict[str, list[str]]) -> dict[str, list[str]]:
    return {source: sorted(found) for source, found in chunks.items()}


@settings(max_examples=60)
@given(
    programs(("plain", "nothing", "jump", "fail", "chunk")),
    settings_of_runs,
    st.sampled_from(["sync", "async", "mixed"]),
)
def test_invoke_returns_what_the_stream_of_values_ends_with(
    program: Program, setting: Setting, colours: Colours
) -> None:
    async def run() -> Any:
        graph = Build(program, colours).builder.compile()
        return await graph.ainvoke({"log": ["in"]}, setting.config)

    async def last() -> Any:
        graph = Build(program, colours).builder.compile()
        values = [
            value async for value in graph.astream({"log": ["in"]}, setting.config, stream_mode="values")
        ]
        return values[-1]

    assert outcome(run) == outcome(last)


def outcome(run: Any) -> str:
    try:
        return plain(asyncio.run(run()))
    except EXPECTED as error:
        return plain(error)


@pytest.mark.parametrize("order", list(permutations("abc")))
def test_in_whatever_order_branches_end_their_writes_are_applied_in_the_order_of_their_names(
    order: tuple[str, ...],
) -> None:
    ended = {name: threading.Event() for name in order}

    def after(name: str, before: str | None) -> Any:
        def node(state: Any) -> dict[str, Any]:
            assert before is None or ended[before].wait(20)
            return {"log": [name]}

        return node

    chain = dict(zip(order, (None, *order), strict=False))
    graph = parallel({name: after(name, chain[name]) for name in "abc"}).compile()
    updates = []
    for chunk in graph.stream({"log": []}, stream_mode=["updates", "values"]):
        updates.append(chunk)
        if chunk[0] == "updates":
            ended[next(iter(chunk[1]))].set()
    assert updates == [
        ("values", {"log": []}),
        *(("updates", {name: {"log": [name]}}) for name in order),
        ("values", {"log": ["a", "b", "c"]}),
    ]
