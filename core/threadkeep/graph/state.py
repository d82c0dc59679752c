"""`StateGraph`: the builder of graphs. It collects nodes and edges and refuses what cannot work."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Self, cast

from threadkeep.checkpoint.base import BaseCheckpointSaver
from threadkeep.constants import END, NS_END, NS_SEP, RESERVED, START
from threadkeep.graph import hints
from threadkeep.graph.compiled import CompiledStateGraph, compile_graph
from threadkeep.graph.schema import ROOT, Schema, read_schema
from threadkeep.pregel.bind import Bound, bind
from threadkeep.pregel.main import ContextT, InputT, OutputT, StateT
from threadkeep.types import Checkpointer, RetryPolicy, ensure_valid_checkpointer

if TYPE_CHECKING:
    from threadkeep.channels.base import BaseChannel
    from threadkeep.managed import ManagedValue
    from threadkeep.store.base import BaseStore

__all__ = ["END", "START", "BranchSpec", "CompiledStateGraph", "StateGraph", "StateNodeSpec"]


class StateNodeSpec(NamedTuple):
    """A node as it was added."""

    bound: Bound
    schema: Schema
    metadata: dict[str, Any] | None
    retry_policy: tuple[RetryPolicy, ...]
    defer: bool
    ends: dict[str, str] | tuple[str, ...]
    """Where a `Command` of the node may lead, with labels for a drawing."""

    @property
    def input_schema(self) -> Any:
        """The type that the node reads."""
        return self.schema.type

    @property
    def runnable(self) -> Any:
        """What the user passed as the node."""
        return self.bound.target


class BranchSpec(NamedTuple):
    """A conditional edge as it was added."""

    path: Bound
    ends: dict[Hashable, str] | None
    """From what the path returns to node names; None where it may return any name."""
    input_schema: Schema | None


class StateGraph(Generic[StateT, ContextT, InputT, OutputT]):
    """Builds a graph whose nodes read and update a shared state.

    The state is a TypedDict, a dataclass or a pydantic model. A key annotated with a function,
    `Annotated[list, operator.add]`, combines updates through it; a plain key keeps the last one.
    All methods that add something return the builder. `compile` makes the graph that runs.
    """

    def __init__(
        self,
        state_schema: type[StateT],
        context_schema: type[ContextT] | None = None,
        *,
        input_schema: type[InputT] | None = None,
        output_schema: type[OutputT] | None = None,
        **older: Any,
    ) -> None:
        names = {"config_schema": context_schema, "input": input_schema, "output": output_schema}
        for name in older:
            if name not in names:
                raise TypeError(f"StateGraph has no parameter {name!r}.")
            warnings.warn(
                f"{name}= is the older name of a parameter of StateGraph.", DeprecationWarning, stacklevel=2
            )
        if state_schema is None:
            raise TypeError("StateGraph needs a state schema: a TypedDict, a dataclass or a pydantic model.")
        self.state_schema = state_schema
        self.context_schema = context_schema or older.get("config_schema")
        self.input_schema = input_schema or older.get("input") or state_schema
        self.output_schema = output_schema or older.get("output") or state_schema
        self.nodes: dict[str, StateNodeSpec] = {}
        self.edges: set[tuple[str, str]] = set()
        self.waiting_edges: set[tuple[tuple[str, ...], str]] = set()
        self.branches: dict[str, dict[str, BranchSpec]] = {}
        self.channels: dict[str, BaseChannel[Any, Any]] = {}
        self.managed: dict[str, type[ManagedValue]] = {}
        self.schemas: dict[Any, Schema] = {}
        self.compiled = False
        for schema in (self.state_schema, self.input_schema, self.output_schema):
            self._add_schema(schema)

    def _add_schema(self, typ: Any) -> Schema:
        """The schema's keys become keys of the state. Raises `ValueError` where two schemas disagree on
        one.
        """
        if typ in self.schemas:
            return self.schemas[typ]
        schema = read_schema(typ)
        for key, channel in schema.channels.items():
            known = self.channels.get(key)
            if known is None or (known != channel and not hints.is_plain(channel) and hints.is_plain(known)):
                self.channels[key] = channel
            elif known != channel and not hints.is_plain(channel):
                raise ValueError(f"The state key {key!r} has another reducer in {typ!r} than before.")
        self.managed.update(schema.managed)
        self.schemas[typ] = schema
        return schema

    def _changed(self) -> None:
        if self.compiled:
            warnings.warn("The graph was compiled before; graphs that exist do not change.", stacklevel=3)

    # Nodes

    def add_node(
        self,
        node: str | Any,
        action: Any = None,
        *,
        defer: bool = False,
        metadata: dict[str, Any] | None = None,
        input_schema: type[Any] | None = None,
        retry_policy: RetryPolicy | Sequence[RetryPolicy] | None = None,
        destinations: dict[str, str] | tuple[str, ...] | None = None,
    ) -> Self:
        """Add a function, a callable, a compiled graph or a LangChain Runnable as a node.

        `defer`: run only when nothing else is left to run. `input_schema`: what the node reads; else the
        type of its first parameter, else the state. `destinations`: where its Commands may lead (for
        drawings and checks).

        Raises `ValueError` for a name that is taken, reserved or holds ":" or "|".
        """
        if isinstance(node, str):
            name, function = node, action
            if function is None:
                raise RuntimeError(f"add_node({name!r}) has no function: pass it as the second argument.")
        else:
            function = node
            name = bind(function).name or ""
        bound = bind(function)
        self._check_name(name)
        self._changed()
        read = input_schema or hints.input_type(function)
        self.nodes[name] = StateNodeSpec(
            bound=bound._replace(name=name),
            schema=self._add_schema(read if read is not None else self.state_schema),
            metadata=metadata,
            retry_policy=_policies(retry_policy),
            defer=defer,
            ends=destinations if destinations is not None else hints.command_ends(function),
        )
        return self

    def _check_name(self, name: str) -> None:
        if name in self.nodes:
            raise ValueError(f"There is a node {name!r} already.")
        if name in RESERVED or name in (START, END):
            raise ValueError(f"The node name {name!r} is reserved.")
        for character in (NS_SEP, NS_END):
            if character in name:
                raise ValueError(f"The node name {name!r} holds {character!r}, which is reserved.")

    def add_sequence(self, nodes: Sequence[Any]) -> Self:
        """Add nodes (functions or `(name, function)` pairs) that run one after the other."""
        if not nodes:
            raise ValueError("A sequence needs at least one node.")
        previous: str | None = None
        for item in nodes:
            name, function = item if isinstance(item, tuple) else (bind(item).name, item)
            self.add_node(name, function)
            if previous is not None:
                self.add_edge(previous, name)
            previous = name
        return self

    # Edges

    def add_edge(self, start_key: str | list[str], end_key: str) -> Self:
        """Run `end_key` after `start_key`; after all of them, for a list.

        Raises `ValueError` where END is a start, START is an end, or a start of a list is unknown.
        """
        self._changed()
        if end_key == START:
            raise ValueError("START cannot be the end of an edge.")
        starts = (start_key,) if isinstance(start_key, str) else tuple(start_key)
        if END in starts:
            raise ValueError("END cannot be the start of an edge.")
        if isinstance(start_key, str):
            self.edges.add((start_key, end_key))
            return self
        for name in (*starts, end_key):
            if name not in self.nodes and name != END:
                raise ValueError(f"The edge names the unknown node {name!r}: add_node it first.")
        self.waiting_edges.add((starts, end_key))
        return self

    def add_conditional_edges(
        self,
        source: str,
        path: Callable[..., Any] | Any,
        path_map: Mapping[Hashable, str] | Sequence[str] | None = None,
        then: str | None = None,
    ) -> Self:
        """Run what `path(state)` names: a node, several, `Send`s, or END.

        `path_map`: from what `path` returns to node names, or the list of nodes it may name. `then`: a node
        to run after the chosen ones; needs the map, or a `Literal` return type.

        Raises `ValueError` for a second edge of the same name from one node.
        """
        self._changed()
        bound = bind(path)
        name = bound.name if bound.name and bound.name != "<lambda>" else "condition"
        if name in self.branches.get(source, {}):
            raise ValueError(f"The node {source!r} has a conditional edge {name!r} already.")
        ends: dict[Hashable, str] | None
        if isinstance(path_map, Mapping):
            ends = dict(path_map)
        elif path_map is not None:
            ends = {target: target for target in path_map}
        else:
            ends = hints.literal_ends(path)
        read = hints.input_type(path)
        schema = self._add_schema(read) if read is not None else None
        self.branches.setdefault(source, {})[name] = BranchSpec(bound._replace(name=name), ends, schema)
        if then is not None:
            self._add_then(source, ends, then)
        return self

    def _add_then(self, source: str, ends: dict[Hashable, str] | None, then: str) -> None:
        if ends is None:
            raise ValueError(f"then={then!r} from {source!r} needs a path_map: the nodes it comes after.")
        for target in ends.values():
            if target not in (END, then):
                self.add_edge(target, then)

    def set_entry_point(self, key: str) -> Self:
        """The first node. As `add_edge(START, key)`."""
        return self.add_edge(START, key)

    def set_conditional_entry_point(
        self,
        path: Callable[..., Any] | Any,
        path_map: Mapping[Hashable, str] | Sequence[str] | None = None,
        then: str | None = None,
    ) -> Self:
        """The first nodes, chosen by the input. As `add_conditional_edges(START, path, path_map, then)`."""
        return self.add_conditional_edges(START, path, path_map, then)

    def set_finish_point(self, key: str) -> Self:
        """A last node. As `add_edge(key, END)`."""
        return self.add_edge(key, END)

    # Making the graph

    def validate(self, interrupt: Sequence[str] | None = None) -> Self:
        """Check that the graph can run. Raises `ValueError`, naming the node, where it cannot."""
        edges = [*self.edges, *((start, end) for starts, end in self.waiting_edges for start in starts)]
        for start, end in sorted(edges):
            self._check_edge("An edge", start, end)
        for source, branches in self.branches.items():
            for name, branch in branches.items():
                for target in (END, *(branch.ends or {}).values()):
                    self._check_edge(f"The conditional edge {name!r} of {source!r}", source, target)
        if START not in self.branches and not any(start == START for start, _ in edges):
            raise ValueError("The graph has no entry point: add an edge from START to its first node.")
        for name in interrupt or ():
            if name not in self.nodes:
                raise ValueError(f"A breakpoint names the unknown node {name!r}.")
        hints.check_reachable(self)
        return self

    def _check_edge(self, what: str, start: str, end: str) -> None:
        if start not in self.nodes and start != START:
            raise ValueError(f"{what} starts at the unknown node {start!r}.")
        if end not in self.nodes and end != END:
            raise ValueError(f"{what} ends at the unknown node {end!r}.")

    def compile(
        self,
        checkpointer: Checkpointer = None,
        *,
        store: BaseStore | None = None,
        interrupt_before: str | list[str] | None = None,
        interrupt_after: str | list[str] | None = None,
        debug: bool = False,
        name: str | None = None,
        recursion_limit: int | None = None,
        step_timeout: float | None = None,
    ) -> CompiledStateGraph[StateT, ContextT, InputT, OutputT]:
        """The graph that runs.

        `checkpointer`: keeps threads; as a subgraph, None takes the parent's, True keeps own memory between
        runs, False keeps nothing. `store`: items that all threads share, for the nodes; a subgraph without
        one takes the parent's. `interrupt_before`, `interrupt_after`: nodes to pause at ("*": all).
        `recursion_limit`: supersteps a run may take (25). `step_timeout`: seconds a superstep may take.

        Raises `ValueError` for a graph that cannot run.
        """
        before, after = (_names(given) for given in (interrupt_before, interrupt_after))
        self.validate([name for names in (before, after) if names != "*" for name in names])
        if recursion_limit is not None and recursion_limit < 1:
            raise ValueError("recursion_limit must be at least 1.")
        self.compiled = True
        graph = compile_graph(self, name or "LangGraph")
        graph.checkpointer = ensure_valid_checkpointer(checkpointer)
        graph.named_types = hints.named_types(self.schemas)
        if isinstance(graph.checkpointer, BaseCheckpointSaver):
            graph.checkpointer.allow(graph.named_types)
        graph.store = store
        graph.interrupt_before_nodes = before
        graph.interrupt_after_nodes = after
        graph.debug = debug
        graph.step_timeout = step_timeout
        if recursion_limit is not None:
            graph.recursion_limit = recursion_limit
        return cast("CompiledStateGraph[StateT, ContextT, InputT, OutputT]", graph)

    @property
    def output_keys(self) -> str | list[str]:
        """What a run returns."""
        return _keys(self.schemas[self.output_schema])


def _keys(schema: Schema) -> str | list[str]:
    return ROOT if ROOT in schema.channels else list(schema.keys)


def _names(given: str | list[str] | None) -> list[str] | str:
    if given is None:
        return []
    if isinstance(given, str):
        return "*" if given == "*" else [given]
    return list(given)


def _policies(given: RetryPolicy | Sequence[RetryPolicy] | None) -> tuple[RetryPolicy, ...]:
    if given is None:
        return ()
    return (given,) if isinstance(given, RetryPolicy) else tuple(given)
