"""Random histories of a thread: turns, answers, failures, updates, forks, replays, beside a simple model."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.postgres_server import empty_for, shared_database
from threadkeep.checkpoint.base import BaseCheckpointSaver
from threadkeep.checkpoint.memory import InMemorySaver
from threadkeep.checkpoint.postgres import PostgresSaver
from threadkeep.checkpoint.sqlite import SqliteSaver
from threadkeep.config import RunnableConfig
from threadkeep.graph import START, StateGraph
from threadkeep.types import Command, Durability, interrupt

CONFIG: RunnableConfig = {"configurable": {"thread_id": "1"}, "max_concurrency": 1}


class Boom(Exception):
    """The failure of node c."""


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]


class Op(NamedTuple):
    """What happens to the thread next."""

    kind: Literal["turn", "answer", "retry", "update", "fork", "replay", "turn from", "break c"]
    at: int
    """Which checkpoint, counted from the newest; where the operation takes one."""


ops = st.builds(
    Op,
    st.sampled_from(
        ["turn", "turn", "answer", "answer", "retry", "update", "fork", "replay", "turn from", "break c"]
    ),
    st.integers(0, 9),
)


@dataclass
class Point:
    """A checkpoint of the model."""

    parent: int | None
    source: str
    log: list[str]
    next: tuple[str, ...]
    given: str = ""
    """The input that waits in it."""
    done: dict[str, str] = field(default_factory=dict)
    """What tasks of the next step have written."""
    asks: bool = False
    """Node b waits for an answer."""


class Model:
    """a, then b (which asks) beside c (which may fail), then d."""

    def __init__(self) -> None:
        self.points: list[Point] = []
        self.calls: list[str] = []
        self.failures = 0
        self.failed = False

    def add(self, parent: int | None, source: str, log: list[str], following: tuple[str, ...]) -> int:
        self.points.append(Point(parent, source, log, following))
        return len(self.points) - 1

    def begin(self, at: int | None, given: str) -> None:
        """New input, on top of a checkpoint."""
        log = [] if at is None else self.points[at].log
        new = self.add(at, "input", log, ("__start__",))
        self.points[new].given = given
        self.run(new)

    def update(self, at: int, value: str) -> None:
        self.add(at, "update", [*self.points[at].log, value], ("b", "c"))

    def replay(self, at: int) -> None:
        """Going on from a checkpoint: on a branch of its own, unless it is a fresh branch already."""
        point = self.points[at]
        if self.is_fresh(at):
            self.run(at)
            return
        new = self.add(at, "fork", point.log, point.next)
        self.points[new].given = point.given
        self.run(new)

    def is_fresh(self, at: int) -> bool:
        """Whether it is the newest and was made from outside."""
        return at == len(self.points) - 1 and self.points[at].source in ("update", "fork")

    def run(self, at: int, answer: str | None = None) -> None:
        self.failed = False
        while (point := self.points[at]).next:
            log = self._step(point, answer)
            if log is None:
                return
            following = {"__start__": ("a",), "a": ("b", "c"), "b": ("d",), "d": ()}[point.next[0]]
            at = self.add(at, "loop", log, following)

    def _step(self, point: Point, answer: str | None) -> list[str] | None:
        """The log after the step; None where it did not end."""
        if point.next == ("__start__",):
            return [*point.log, point.given]
        if point.next != ("b", "c"):
            self.calls.append(point.next[0])
            return [*point.log, point.next[0]]
        if "b" not in point.done:
            self.calls.append("b")
            point.asks = answer is None
            if answer is not None:
                point.done["b"] = f"b:{answer}"
        if "c" not in point.done:
            self.calls.append("c")
            if self.failures:
                self.failures -= 1
                self.failed = True
                return None
            point.done["c"] = "c"
        return None if point.asks else [*point.log, point.done["b"], point.done["c"]]


class Program:
    """The same, as a graph."""

    def __init__(self, saver: BaseCheckpointSaver[int], durability: Durability) -> None:
        self.calls: list[str] = []
        self.failures = 0
        self.failed = False
        self._durability = durability
        graph: Any = StateGraph(State)
        for name in "abcd":
            graph.add_node(name, getattr(self, name))
        graph.add_edge(START, "a")
        for start, end in ("ab", "ac", "bd", "cd"):
            graph.add_edge(start, end)
        self.graph = graph.compile(checkpointer=saver)

    def a(self, state: State) -> State:
        self.calls.append("a")
        return {"log": ["a"]}

    def b(self, state: State) -> State:
        self.calls.append("b")
        return {"log": [f"b:{interrupt('b?')}"]}

    def c(self, state: State) -> State:
        self.calls.append("c")
        if self.failures:
            self.failures -= 1
            raise Boom
        return {"log": ["c"]}

    def d(self, state: State) -> State:
        self.calls.append("d")
        return {"log": ["d"]}

    def invoke(self, given: Any, config: RunnableConfig = CONFIG) -> None:
        self.failed = False
        try:
            self.graph.invoke(given, {**config, "max_concurrency": 1}, durability=self._durability)
        except Boom:
            self.failed = True


class Both:
    """The model and the graph, which do the same."""

    def __init__(self, saver: BaseCheckpointSaver[int], durability: Durability) -> None:
        self.model = Model()
        self.program = Program(saver, durability)

    def do(self, number: int, op: Op) -> None:
        model, points = self.model, self.model.points
        head = len(points) - 1 if points else None
        if op.kind == "break c":
            model.failures = self.program.failures = 1
        elif op.kind == "turn":
            model.begin(head, f"in {number}")
            self.program.invoke({"log": [f"in {number}"]})
        elif head is None:
            return
        elif op.kind == "answer" and points[head].asks:
            model.run(head, f"answer {number}")
            self.program.invoke(Command(resume=f"answer {number}"))
        elif op.kind == "retry" and points[head].next:
            model.run(head)
            self.program.invoke(None)
        elif op.kind == "update":
            model.update(head, f"update {number}")
            self.program.graph.update_state(CONFIG, {"log": [f"update {number}"]}, as_node="a")
        else:
            self._travel(number, op, max(0, head - op.at))

    def _travel(self, number: int, op: Op, at: int) -> None:
        model, point = self.model, self.model.points[at]
        config = self._history()[len(model.points) - 1 - at].config
        if op.kind == "fork":
            model.update(at, f"fork {number}")
            self.program.graph.update_state(config, {"log": [f"fork {number}"]}, as_node="a")
        elif op.kind == "turn from":
            model.begin(at, f"in {number}")
            self.program.invoke({"log": [f"in {number}"]}, config)
        elif op.kind == "replay" and point.next and not (model.is_fresh(at) and (point.done or point.asks)):
            model.replay(at)
            self.program.invoke(None, config)

    def _history(self) -> list[Any]:
        return list(self.program.graph.get_state_history(CONFIG))

    def check(self) -> None:
        model, program = self.model, self.program
        assert program.calls == model.calls
        assert (program.failed, program.failures) == (model.failed, model.failures)
        if not model.points:
            assert self._history() == []
            return
        head = model.points[-1]
        state = program.graph.get_state(CONFIG)
        assert state.values["log"] == head.log + [head.done[name] for name in "bc" if name in head.done]
        assert state.next == tuple(name for name in head.next if name not in head.done)
        assert [asked.value for asked in state.interrupts] == (["b?"] if head.asks else [])
        self._check_history()

    def _check_history(self) -> None:
        history = self._history()[::-1]
        ids = [state.config["configurable"]["checkpoint_id"] for state in history]
        seen = [
            (
                ids.index(state.parent_config["configurable"]["checkpoint_id"])
                if state.parent_config
                else None,
                state.metadata["source"],
                state.values.get("log", []),
                state.next,
            )
            for state in history
        ]
        assert seen == [(point.parent, point.source, point.log, point.next) for point in self.model.points]


@contextmanager
def saver_of(kind: str) -> Iterator[BaseCheckpointSaver[int]]:
    if kind == "memory":
        yield InMemorySaver(on_conflict="reject")
        return
    if kind == "postgres":
        empty_for(object())
        with PostgresSaver.from_conn_string(shared_database(), on_conflict="reject") as postgres:
            postgres.setup()
            yield postgres
        return
    with (
        TemporaryDirectory() as folder,
        SqliteSaver.from_conn_string(Path(folder) / "t.db", on_conflict="reject", synchronous="OFF") as saver,
    ):
        yield saver


@pytest.mark.parametrize(("kind", "examples"), [("memory", 150), ("sqlite", 50), ("postgres", 30)])
@pytest.mark.parametrize("durability", ["sync", "async"])
def test_whatever_happens_to_a_thread_it_stands_where_the_model_stands(
    kind: str, examples: int, durability: Durability
) -> None:
    @settings(max_examples=examples)
    @given(st.lists(ops, min_size=3, max_size=14))
    def live(history: list[Op]) -> None:
        with saver_of(kind) as saver:
            both = Both(saver, durability)
            for number, op in enumerate(history):
                both.do(number, op)
                both.check()

    live()
