"""One conversation on a SQLite file: a turn is an invoke with a user's message to which a node answers.

A slice is ten turns, so that the sides alternate all through the conversation; then come reads of its end,
and at last, after closing, what lies on the disk.
"""

import itertools
import operator
import statistics
from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated, Any, NamedTuple, TypedDict

from benchmarks.api import Api
from benchmarks.scale import Bench, Sample, Scale, milliseconds
from benchmarks.workloads.disk import footprint, written_bytes
from benchmarks.workloads.line import wal_connection
from benchmarks.workloads.text import kilobytes

SLICE = 10
READS, PAGES, PAGE = 7, 3, 20


class DictChat(TypedDict):
    messages: Annotated[list[dict[str, str]], operator.add]


class Dialect(NamedTuple):
    """How the two speakers' messages are made, and the state that keeps them."""

    state: Any
    user: Callable[[str], Any]
    assistant: Callable[[str], Any]


def dicts(state: Any) -> Dialect:
    return Dialect(
        state,
        lambda text: {"role": "user", "content": text},
        lambda text: {"role": "assistant", "content": text},
    )


def dict_dialect(api: Api) -> Dialect:
    return dicts(DictChat)


def message_dialect(api: Api) -> Dialect:
    from langchain_core.messages import AIMessage, HumanMessage

    return Dialect(
        api.module("graph").MessagesState,
        lambda text: HumanMessage(content=text),
        lambda text: AIMessage(content=text),
    )


def delta_dialect(api: Api) -> Dialect:
    """Dicts under the reference's opt-in channel that stores differences; threadkeep runs its plain dicts."""
    if api.root != "langgraph":
        return dict_dialect(api)

    def extend(value: list[dict[str, str]], writes: list[list[dict[str, str]]]) -> list[dict[str, str]]:
        return [*value, *itertools.chain.from_iterable(writes)]

    channel = api.module("channels").DeltaChannel(extend)

    class DeltaChat(TypedDict):
        messages: Annotated[list[dict[str, str]], channel]

    return dicts(DeltaChat)


def chat_graph(api: Api, dialect: Dialect, texts: list[str], checkpointer: Any) -> Any:
    graph = api.module("graph")

    def answer(state: Any) -> dict[str, list[Any]]:
        return {"messages": [dialect.assistant(texts[len(state["messages"]) % len(texts)])]}

    builder = graph.StateGraph(dialect.state)
    builder.add_node("answer", answer)
    builder.add_edge(graph.START, "answer")
    builder.add_edge("answer", graph.END)
    return builder.compile(checkpointer=checkpointer)


def thread(name: str) -> dict[str, Any]:
    return {"configurable": {"thread_id": name}}


def window(first: int, turns: int) -> str | None:
    """The part of the conversation whose turns are timed: its first and its last tenth."""
    part = turns // 10
    if first < part:
        return "early_ms"
    return "late_ms" if first >= turns - part else None


def in_slices(turns: int, one: Callable[[int], object]) -> Iterator[Sample]:
    for first in range(0, turns, SLICE):
        times = [milliseconds(partial(one, turn)) for turn in range(first, first + SLICE)]
        part = window(first, turns)
        yield {part: statistics.median(times)} if part else {}


def reads(graph: Any, where: dict[str, Any], messages: int) -> Iterator[Sample]:
    def state() -> None:
        assert len(graph.get_state(where).values["messages"]) == messages

    def page() -> None:
        snapshots = list(graph.get_state_history(where, limit=PAGE))
        assert len(snapshots) == PAGE
        assert len(snapshots[0].values["messages"]) == messages

    for _ in range(READS):
        yield {"get_state_ms": milliseconds(state)}
    for _ in range(PAGES):
        yield {"history_ms": milliseconds(page)}


def chat(make: Callable[[Api], Dialect]) -> Bench:
    def bench(api: Api, scale: Scale) -> Iterator[Sample]:
        dialect, where = make(api), thread("conversation")
        texts = kilobytes(2 * scale.turns)
        path = scale.folder / "chat.db"
        before = written_bytes()
        with api.sqlite(path) as saver:
            graph = chat_graph(api, dialect, texts, saver)

            def turn(number: int) -> None:
                graph.invoke({"messages": [dialect.user(texts[2 * number])]}, where)

            yield from in_slices(scale.turns, turn)
            yield from reads(graph, where, 2 * scale.turns)
        yield footprint(path, before)

    return bench


def bare_chat(scale: Scale) -> Iterator[Sample]:
    """One transaction of two rows a turn; the reads fetch all rows, once and twenty times."""
    texts, path, before = kilobytes(2 * scale.turns), scale.folder / "bare.db", written_bytes()
    connection = wal_connection(scale)
    connection.execute("CREATE TABLE message (id INTEGER PRIMARY KEY, body BLOB)")

    def turn(number: int) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO message (body) VALUES (?)", (texts[2 * number],))
        connection.execute("INSERT INTO message (body) VALUES (?)", (texts[2 * number + 1],))
        connection.execute("COMMIT")

    def everything() -> None:
        assert len(connection.execute("SELECT body FROM message").fetchall()) == 2 * scale.turns

    yield from in_slices(scale.turns, turn)

    def twenty_times() -> None:
        for _ in range(PAGE):
            everything()

    for _ in range(READS):
        yield {"get_state_ms": milliseconds(everything)}
    for _ in range(PAGES):
        yield {"history_ms": milliseconds(twenty_times)}
    connection.close()
    yield footprint(path, before)
