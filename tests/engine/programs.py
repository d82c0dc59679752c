"""Random programs, to be built with nodes of either colour."""

from __future__ import annotations

import asyncio
import operator
import re
from collections import Counter
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

from hypothesis import strategies as st

from threadkeep.channels import Topic
from threadkeep.config import get_stream_writer
from threadkeep.graph import START, StateGraph
from threadkeep.types import Command, RetryPolicy, Send, interrupt

Act = Literal["plain", "nothing", "jump", "fail", "ask", "chunk"]
Colours = Literal["sync", "async", "mixed"]


class Boom(Exception):
    """The failure of a node."""


class State(TypedDict, total=False):
    last: int
    log: Annotated[list[Any], operator.add]
    total: Annotated[int, operator.add]
    topic: Annotated[list[int], Topic(int)]
    pile: Annotated[list[int], Topic(int, accumulate=True)]


class Last(TypedDict, total=False):
    """What a subgraph takes of its parent: with its lists too, each step would double them."""

    last: int


class NodeSpec(NamedTuple):
    """What a node does."""

    name: str
    act: Act
    writes: tuple[tuple[str, int], ...]
    goto: tuple[str, ...]
    fails: int
    """How many of its first calls fail."""
    retries: bool
    defer: bool
    inner: bool
    """It is a subgraph of two nodes, the first of which acts."""


class BranchSpec(NamedTuple):
    """A conditional edge."""

    source: str
    targets: tuple[str, ...]
    kind: Literal["all", "by total", "packets"]


class Program(NamedTuple):
    """A graph."""

    nodes: tuple[NodeSpec, ...]
    edges: tuple[tuple[str, str], ...]
    joins: tuple[tuple[tuple[str, ...], str], ...]
    branches: tuple[BranchSpec, ...]


KEYS = ("last", "log", "total", "topic", "pile")


@st.composite
def programs(draw: st.DrawFn, acts: tuple[Act, ...], conflicts: bool = True) -> Program:
    """A graph of up to six nodes that do only these acts."""
    names = [f"n{i}" for i in range(draw(st.integers(2, 6)))]
    some = st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True).map(tuple)
    keys = KEYS if conflicts else KEYS[1:]
    written = st.lists(
        st.tuples(st.sampled_from(keys), st.integers(0, 9)), max_size=3, unique_by=lambda w: w[0]
    )
    rarely = st.sampled_from([False, False, False, True])
    nodes = tuple(
        NodeSpec(
            name, draw(st.sampled_from(acts)), tuple(draw(written)), draw(some), draw(st.integers(1, 2)),
            draw(st.booleans()), draw(rarely), draw(rarely),
        )
        for name in names
    )  # fmt: skip
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    edges = draw(st.lists(st.sampled_from(pairs), max_size=7, unique=True))
    joins = draw(st.lists(st.tuples(some, st.sampled_from(names)), max_size=1))
    branch = st.builds(
        BranchSpec, st.sampled_from(names), some, st.sampled_from(["all", "by total", "packets"])
    )
    branches = draw(st.lists(branch, max_size=2, unique_by=lambda found: found.source))
    return Program(nodes, tuple(edges), tuple((s, e) for s, e in joins if e not in s), tuple(branches))


class Build:
    """A program as a graph."""

    def __init__(self, program: Program, colours: Colours) -> None:
        self.calls: Counter[str] = Counter()
        self._colours = colours
        graph: Any = StateGraph(State)
        reached = {end for _, end in program.edges} | {
            end for starts, end in program.joins if max(starts) < end
        }
        for branch in program.branches:
            reached |= {target for target in branch.targets if target > branch.source}
        for number, node in enumerate(program.nodes):
            policy = RetryPolicy(initial_interval=0, jitter=False, max_attempts=2) if node.retries else None
            graph.add_node(node.name, self._node(node, number), defer=node.defer, retry_policy=policy)
            if number == 0 or node.name not in reached:
                graph.add_edge(START, node.name)
        for start, end in program.edges:
            graph.add_edge(start, end)
        for starts, end in program.joins:
            graph.add_edge(list(starts), end)
        for number, branch in enumerate(program.branches):
            path = self._coloured(route(branch), number)
            graph.add_conditional_edges(branch.source, path, list(branch.targets))
        self.builder = graph

    def _coloured(self, function: Callable[[Any], Any], number: int) -> Any:
        async def coroutine(state: Any) -> Any:
            await asyncio.sleep(0)
            return function(state)

        if self._colours == "sync" or (self._colours == "mixed" and number % 2):
            return function
        return coroutine

    def _node(self, node: NodeSpec, number: int) -> Any:
        act = self._coloured(lambda state: self._act(node), number)
        if not node.inner:
            return act
        inner: Any = StateGraph(State, input_schema=Last)
        inner.add_node("acts", act).add_node(
            "follows", self._coloured(lambda state: {"total": 1}, number + 1)
        )
        inner.add_edge(START, "acts").add_edge("acts", "follows")
        return inner.compile()

    def _act(self, node: NodeSpec) -> Any:
        self.calls[node.name] += 1
        if node.act == "nothing":
            return None
        if node.act == "fail" and self.calls[node.name] <= node.fails:
            raise Boom(node.name)
        update: dict[str, Any] = {key: [value] if key == "log" else value for key, value in node.writes}
        if node.act == "chunk":
            get_stream_writer()({"from": node.name})
        if node.act == "ask":
            update["log"] = [interrupt(f"{node.name}?")]
        if node.act == "jump" and not node.inner:
            return Command(update=update, goto=list(node.goto))
        return update


def route(branch: BranchSpec) -> Callable[[Any], Any]:
    """The path of a conditional edge. Packets go to later nodes only, or their number would explode."""

    def path(state: Any) -> Any:
        if branch.kind == "packets":
            later = [target for target in branch.targets if target > branch.source]
            return [Send(target, {"last": n}) for target in later for n in range(2)]
        if branch.kind == "by total":
            return branch.targets[state.get("total", 0) % len(branch.targets)]
        return list(branch.targets)

    return path


_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{32}\b")
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00")


def plain(value: Any) -> str:
    """A value as text, without ids and times."""
    return _STAMP.sub("<time>", _UUID.sub("<id>", repr(value)))
