"""From the builder's nodes and edges to the graph that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic

from threadkeep.channels.base import BaseChannel
from threadkeep.channels.collect import NamedBarrierValue, NamedBarrierValueAfterFinish, Topic
from threadkeep.channels.values import EphemeralValue, LastValueAfterFinish
from threadkeep.constants import END, START, TASKS
from threadkeep.graph import hints
from threadkeep.graph.schema import ROOT, Schema
from threadkeep.graph.write import branch_to, join_of, make_route, make_write
from threadkeep.pregel.bind import Bound
from threadkeep.pregel.main import ContextT, InputT, OutputT, Pregel, StateT
from threadkeep.pregel.node import Branch, PregelNode, Writes
from threadkeep.types import Send

if TYPE_CHECKING:
    from threadkeep.config import RunnableConfig
    from threadkeep.graph.draw import Graph as DrawableGraph
    from threadkeep.graph.state import BranchSpec, StateGraph


class CompiledStateGraph(
    Pregel[StateT, ContextT, InputT, OutputT], Generic[StateT, ContextT, InputT, OutputT]
):
    """A `StateGraph` that runs."""

    builder: StateGraph[StateT, ContextT, InputT, OutputT]

    def get_graph(self, config: RunnableConfig | None = None, *, xray: int | bool = False) -> DrawableGraph:
        """The drawable graph; with `xray`, subgraphs unfolded to that depth (True: all)."""
        from threadkeep.graph.drawn import drawn

        return drawn(self, xray)

    async def aget_graph(
        self, config: RunnableConfig | None = None, *, xray: int | bool = False
    ) -> DrawableGraph:
        """As `get_graph`."""
        return self.get_graph(config, xray=xray)


def compile_graph(
    builder: StateGraph[Any, Any, Any, Any], name: str
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The graph of a builder that has passed its checks."""
    channels = _channels(builder)
    nodes: dict[str, PregelNode] = {}
    ways = _Ways(builder)
    nodes[START] = _start_node(builder, ways)
    for key in builder.nodes:
        nodes[key] = _node(builder, key, ways)
    for key, node in nodes.items():
        node.branches = tuple(
            _branch(builder, key, branch_name, spec)
            for branch_name, spec in builder.branches.get(key, {}).items()
        )
    keys = tuple(builder.channels)
    graph: CompiledStateGraph[Any, Any, Any, Any] = CompiledStateGraph(
        nodes=nodes,
        channels=channels,
        managed=builder.managed,
        state_keys=keys,
        input_channels=START,
        output_channels=builder.output_keys,
        stream_channels=ROOT if ROOT in builder.channels else list(keys),
        name=name,
    )
    graph.builder = builder
    graph.context_schema = builder.context_schema
    return graph


def _channels(builder: StateGraph[Any, Any, Any, Any]) -> dict[str, BaseChannel[Any, Any]]:
    channels: dict[str, BaseChannel[Any, Any]] = {
        key: channel.copy() for key, channel in builder.channels.items()
    }
    channels[START] = EphemeralValue(builder.input_schema)
    channels[TASKS] = Topic(Send)
    for name, spec in builder.nodes.items():
        channels[branch_to(name)] = (
            LastValueAfterFinish(Any) if spec.defer else EphemeralValue(Any, guard=False)
        )
    for starts, end in builder.waiting_edges:
        if end == END:
            continue
        barrier = NamedBarrierValueAfterFinish if builder.nodes[end].defer else NamedBarrierValue
        channels[join_of(starts, end)] = barrier(str, starts)
    for key, channel in channels.items():
        channel.key = key
    return channels


class _Ways:
    """The edges of a builder, looked up by either end, in a fixed order."""

    def __init__(self, builder: StateGraph[Any, Any, Any, Any]) -> None:
        self.out: dict[str, Writes] = {}
        """What each node writes besides its result: the triggers of its edges."""
        self.joins: dict[str, list[str]] = {}
        """The barriers that start each node."""
        for start, end in sorted(builder.edges):
            if end != END:
                self.out.setdefault(start, []).append((branch_to(end), None))
        for starts, end in sorted(builder.waiting_edges):
            if end == END:
                continue
            self.joins.setdefault(end, []).append(join_of(starts, end))
            for start in starts:
                self.out.setdefault(start, []).append((join_of(starts, end), start))


def _start_node(builder: StateGraph[Any, Any, Any, Any], ways: _Ways) -> PregelNode:
    schema = builder.schemas[builder.input_schema]
    keys = schema.channels if ROOT in schema.channels else {**schema.channels}
    write = make_write(START, keys, builder.nodes, ways.out.get(START, []))
    bound = Bound(START, lambda given: given, None)
    node = PregelNode(START, bound, triggers=(START,), channels=START, write=write)
    node.hidden = True
    return node


def _node(builder: StateGraph[Any, Any, Any, Any], name: str, ways: _Ways) -> PregelNode:
    spec = builder.nodes[name]
    schema = spec.schema
    triggers = [branch_to(name), *ways.joins.get(name, ())]
    node = PregelNode(
        name,
        spec.bound,
        triggers=triggers,
        channels=ROOT if ROOT in schema.channels else schema.keys,
        write=make_write(name, builder.channels, builder.nodes, ways.out.get(name, [])),
    )
    node.managed = tuple(schema.managed.items())
    node.mapper = schema.mapper
    node.reads_all = ROOT not in schema.channels and set(schema.channels) == set(builder.channels)
    node.retry_policy = spec.retry_policy
    node.metadata = dict(spec.metadata or {})
    node.defer = spec.defer
    target = spec.runnable
    node.subgraphs = (target,) if isinstance(target, Pregel) else tuple(hints.called_graphs(target, Pregel))
    return node


def _branch(builder: StateGraph[Any, Any, Any, Any], source: str, name: str, spec: BranchSpec) -> Branch:
    schema = spec.input_schema
    if schema is None:
        schema = builder.schemas[builder.state_schema] if source == START else builder.nodes[source].schema
    return Branch(
        name,
        spec.path,
        make_route(source, name, spec.ends, builder.nodes),
        _reader(schema),
        tuple(schema.managed.items()),
    )


def _reader(schema: Schema) -> Any:
    """Makes what a path function gets of the state's values."""
    if ROOT in schema.channels:
        return lambda values: values.get(ROOT)
    keys, mapper = (*schema.keys, *schema.managed), schema.mapper

    def read(values: dict[str, Any]) -> Any:
        found = {key: values[key] for key in keys if key in values}
        return found if mapper is None else mapper(found)

    return read
