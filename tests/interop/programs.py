"""Programs written for LangGraph, each run on any checkpointer; what they give is plain and holds no ids."""

from __future__ import annotations

import asyncio
import operator
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.channels import DeltaChannel
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, Overwrite, Send, interrupt

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00")
THREAD: Any = {"configurable": {"thread_id": "t", "user": "ann"}, "metadata": {"team": "blue"}}


class Trace:
    """What a program saw, with every id replaced by its place among the ids, and without times."""

    def __init__(self, runner: asyncio.Runner | None = None) -> None:
        """With a runner, the graphs are called in their asynchronous colour."""
        self.lines: list[str] = []
        self._runner = runner
        self._ids: dict[str, str] = {}

    def compiled(self, builder: StateGraph[Any], saver: Any, **options: Any) -> Any:
        graph = builder.compile(checkpointer=saver, **options)
        return Awaited(graph, self._runner) if self._runner else graph

    @staticmethod
    def text(thing: object) -> str:
        """The thing without ids and times."""
        return UUID.sub("(id)", TIME.sub("(time)", repr(thing)))

    def note(self, thing: object) -> None:
        text = TIME.sub("(time)", repr(thing))
        self.lines.append(UUID.sub(lambda found: self._name(found.group()), text))

    def _name(self, id: str) -> str:
        return self._ids.setdefault(id, f"#{len(self._ids)}")

    def history(self, graph: Any, config: Any = THREAD) -> list[Any]:
        """Notes all that a snapshot has but its time, for every checkpoint; returns the snapshots."""
        found = list(graph.get_state_history(config))
        for each in found:
            tasks = [(t.name, t.path, t.error, t.interrupts, t.state, t.result) for t in each.tasks]
            self.note((each.values, each.next, each.config, each.metadata, each.parent_config, tasks))
        return found


class Awaited:
    """A graph whose methods run their asynchronous twins to the end."""

    def __init__(self, graph: Any, runner: asyncio.Runner) -> None:
        self._graph = graph
        self._runner = runner

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._graph, f"a{name}")

        async def call(*arguments: Any, **options: Any) -> Any:
            begun = method(*arguments, **options)
            return [each async for each in begun] if hasattr(begun, "__aiter__") else await begun

        return lambda *arguments, **options: self._runner.run(call(*arguments, **options))


class Words(TypedDict):
    words: Annotated[list[str], operator.add]


def says(word: str) -> Callable[[Any], dict[str, list[str]]]:
    return lambda state: {"words": [word]}


def asks(state: Any) -> dict[str, list[str]]:
    return {"words": [interrupt({"after": state["words"]}), interrupt("sure?")]}


def line(*nodes: tuple[str, Any], schema: Any = Words) -> StateGraph[Any]:
    builder = StateGraph(schema)
    last = START
    for name, node in nodes:
        builder.add_node(name, node)
        builder.add_edge(last, name)
        last = name
    return builder


def chat(saver: Any, trace: Trace) -> None:
    def answer(state: Any) -> Any:
        last = state["messages"][-1]
        return {"messages": [AIMessage(f"to {last.content}", id=f"a{len(state['messages'])}")]}

    graph = trace.compiled(line(("answer", answer), schema=MessagesState), saver)
    for turn in range(5):
        trace.note(graph.invoke({"messages": [HumanMessage(f"turn {turn}", id=f"u{turn}")]}, THREAD))
    trace.history(graph)


def pauses(saver: Any, trace: Trace) -> None:
    graph = trace.compiled(line(("first", says("a")), ("ask", asks), ("last", says("z"))), saver)
    trace.note(graph.invoke({"words": []}, THREAD))
    trace.note(graph.get_state(THREAD).interrupts)
    trace.note(graph.invoke(Command(resume="yes"), THREAD))
    trace.history(graph)
    trace.note(graph.invoke(Command(resume="sure", update={"words": ["by the way"]}), THREAD))
    trace.history(graph)


def sends(saver: Any, trace: Trace) -> None:
    def fan(state: Any) -> list[Send]:
        return [Send("each", {"n": n}) for n in range(3)]

    def gather(state: Any) -> Command[Any]:
        return Command(update={"words": Overwrite(["fresh"])}, goto=Send("end", {"n": 9}))

    builder: Any = StateGraph(Words)
    builder.add_node("plan", says("plan"))
    builder.add_node("each", lambda it: {"words": [f"each {it['n']}"]})
    builder.add_node("gather", gather)
    builder.add_node("end", lambda it: {"words": [f"end {it['n']}"]})
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", fan, ["each"])
    builder.add_edge("each", "gather")
    graph = trace.compiled(builder, saver, interrupt_before=["each", "end"])
    for _ in range(3):
        trace.note(graph.invoke({"words": []} if not trace.lines else None, THREAD))
        trace.history(graph)


def nested(saver: Any, trace: Trace) -> None:
    inner = line(("ask", asks), ("after", says("inner"))).compile()
    middle = line(("inner", inner)).compile()
    graph = trace.compiled(line(("first", says("a")), ("middle", middle)), saver)
    trace.note(graph.invoke({"words": []}, THREAD))
    trace.note(graph.get_state(THREAD, subgraphs=True).tasks[0].state)
    for answer in ("one", "two"):
        trace.note([*graph.stream(Command(resume=answer), THREAD, subgraphs=True)])
    trace.history(graph)


def remembering(saver: Any, trace: Trace) -> None:
    inner = line(("inner", says("i"))).compile(checkpointer=True)

    def call(state: Any) -> Any:
        return {"words": [str(len(inner.invoke({"words": ["in"]})["words"]))]}

    graph = trace.compiled(line(("call", call)), saver)
    for _ in range(3):
        trace.note(graph.invoke({"words": ["x"]}, THREAD))


def travels(saver: Any, trace: Trace) -> None:
    graph = trace.compiled(line(("a", says("a")), ("b", asks), ("c", says("c"))), saver)
    graph.invoke({"words": []}, THREAD)
    for answer in ("1", "2"):
        graph.invoke(Command(resume=answer), THREAD)
    history = trace.history(graph)
    before_b = next(each for each in history if each.next == ("b",))
    trace.note(graph.invoke(None, before_b.config))
    trace.note(graph.invoke(Command(resume={graph.get_state(THREAD).interrupts[0].id: "other"}), THREAD))
    trace.history(graph)
    forked = graph.update_state(history[-1].config, {"words": ["forked"]}, as_node="a")
    trace.note(forked)
    trace.note(graph.invoke(None, forked))
    trace.note(graph.update_state(THREAD, {"words": ["at the head"]}))
    trace.history(graph)


def fails(saver: Any, trace: Trace) -> None:
    sibling_ran = threading.Event()
    failing = [True]

    def fragile(state: Any) -> Any:
        if failing.pop() if failing else False:
            # Whether a task's writes are stored that ends after another one failed is a matter of luck.
            assert sibling_ran.wait(20)
            raise ValueError("once")
        return {"words": ["recovered"]}

    def sibling(state: Any) -> Any:
        sibling_ran.set()
        return {"words": ["sibling"]}

    builder: Any = line(("first", says("a")), ("fragile", fragile))
    builder.add_node("sibling", sibling)
    builder.add_edge("first", "sibling")
    graph = trace.compiled(builder, saver)
    try:
        graph.invoke({"words": []}, THREAD)
    except ValueError as error:
        trace.note(error)
    trace.history(graph)
    trace.note(graph.invoke(None, THREAD))


def extend(value: list[str], writes: list[list[str]]) -> list[str]:
    return [*value, *[word for write in writes for word in write]]


class Long(TypedDict):
    words: Annotated[list[str], DeltaChannel(extend, snapshot_frequency=4)]


def deltas(saver: Any, trace: Trace) -> None:
    graph = trace.compiled(line(("a", says("a")), ("b", says("b")), schema=Long), saver)
    for turn in range(6):
        trace.note(graph.invoke({"words": [f"turn {turn}"]}, THREAD))
    trace.note([each.values for each in graph.get_state_history(THREAD)])


PROGRAMS: dict[str, Callable[[Any, Trace], None]] = {
    each.__name__: each for each in (chat, pauses, sends, nested, remembering, travels, fails, deltas)
}


@dataclass
class Order:
    """A class of an application, that no list allows yet."""

    total: int
