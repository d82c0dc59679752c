"""Setting up a run: which config, which thread and namespace, which saver, who gets the chunks."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from threadkeep.checkpoint.base import BaseCheckpointSaver
from threadkeep.config import RunnableConfig, merge_configs, running
from threadkeep.constants import CONF, CONFIG_KEY_CHECKPOINTER, CONFIG_KEY_TASK, INTERRUPT, NS_SEP
from threadkeep.interop.langchain import inherited_config
from threadkeep.pregel.plan import stable_namespace
from threadkeep.pregel.run import Chunk, Run, Sink
from threadkeep.types import Durability

if TYPE_CHECKING:
    from threadkeep.pregel.main import Pregel
    from threadkeep.pregel.task import Task

MODES = ("values", "updates", "checkpoints", "tasks", "debug", "custom")
DURABILITIES = ("sync", "async", "exit")
_TASK_KEYS = frozenset({
    CONFIG_KEY_TASK, "checkpoint_ns", "checkpoint_id", "checkpoint_map", "langgraph_step", "langgraph_node",
    "langgraph_triggers", "langgraph_path", "langgraph_checkpoint_ns", "thread_id",
})  # fmt: skip
"""What a task's config says about the task and not about the run."""


class StreamSettings(NamedTuple):
    """What a caller of `stream` wants to see, and how."""

    modes: tuple[str, ...]
    printed: tuple[str, ...]
    tagged: bool
    """Chunks carry the name of their mode."""
    subgraphs: bool
    live: bool
    """Chunks may come while a task runs."""
    typed: bool
    """Chunks are dicts with "type", "ns" and "data"."""

    @classmethod
    def of(
        cls,
        graph: Pregel[Any, Any, Any, Any],
        mode: Any,
        printed: Any,
        subgraphs: bool,
        debug: bool | None,
        version: str = "v1",
    ) -> StreamSettings:
        """The settings of a call. Raises `ValueError` for an unknown mode or version."""
        if version not in ("v1", "v2"):
            raise ValueError(f"{version!r} is no version of the stream. Versions: v1, v2.")
        mode = graph.stream_mode if mode is None else mode
        modes = (mode,) if isinstance(mode, str) else tuple(mode)
        shown = (printed,) if isinstance(printed, str) else tuple(printed)
        if debug or (debug is None and graph.debug):
            shown = (*shown, "debug")
        for name in (*modes, *shown):
            if name not in MODES:
                raise ValueError(f"{name!r} is no stream mode. Modes: {', '.join(MODES)}.")
        live = subgraphs or "custom" in (*modes, *shown)
        return cls(modes, shown, not isinstance(mode, str), subgraphs, live, version == "v2")

    def sink(self, run: Run) -> Sink:
        """Where the run puts the chunks of this call."""
        chunks = run.chunks = deque()

        def put(chunk: Chunk) -> None:
            chunks.append(chunk)
            if run.on_chunk is not None:
                run.on_chunk()

        return Sink(frozenset((*self.modes, *self.printed)), put, self.subgraphs)

    def shown(self, chunk: Chunk) -> Iterator[Any]:
        """The chunk in the form that the caller asked for, if he did; prints it if he asked for that."""
        ns, mode, payload = chunk
        if mode in self.printed:
            where = f" {'|'.join(ns)}" if ns else ""
            sys.stdout.write(f"[{mode}]{where} {payload}\n")
        if mode not in self.modes:
            return
        if self.typed:
            yield _typed(ns, mode, payload)
        elif self.subgraphs:
            yield (ns, mode, payload) if self.tagged else (ns, payload)
        else:
            yield (mode, payload) if self.tagged else payload


def _typed(ns: tuple[str, ...], mode: str, payload: Any) -> dict[str, Any]:
    """A chunk as a dict; the interrupts of a values chunk stand beside its data."""
    shown = {"type": mode, "ns": ns, "data": payload}
    if mode == "values":
        interrupts: tuple[Any, ...] = ()
        if isinstance(payload, dict) and INTERRUPT in payload:
            interrupts = payload[INTERRUPT]
            shown["data"] = {key: value for key, value in payload.items() if key != INTERRUPT}
        shown["interrupts"] = interrupts
    return shown


class Asked(NamedTuple):
    """What a caller of `invoke` or `stream` asked for, besides input and config."""

    context: Any
    keys: str | Sequence[str]
    """Which keys to return and to stream."""
    before: str | Sequence[str] | None
    after: str | Sequence[str] | None
    """Breakpoints; None: those that the graph was compiled with."""
    durability: Durability | None


def start_run(
    graph: Pregel[Any, Any, Any, Any],
    config: RunnableConfig | None,
    asked: Asked,
    settings: StreamSettings | None,
) -> Run:
    """A run of the graph: at the root, or within the task that calls it. Its chunks are in `run.chunks`.

    Raises `ValueError` for a config that names no thread where a checkpointer needs one, and for keys,
    nodes, limits and modes that do not exist.
    """
    parent = _parent(config)
    inherited = inherited_config() if parent is None else parent.run.config
    merged = merge_configs(inherited, graph.config, config if parent is None else _without_task(config))
    run = Run(graph, merged, parent)
    configurable = merged.get(CONF) or {}
    run.recursion_limit = _checked_limit(merged.get("recursion_limit"), graph)
    run.durability = _checked_durability(asked.durability) or (parent.run.durability if parent else "async")
    run.store = graph.store if graph.store is not None or parent is None else parent.run.store
    run.saver = _saver(graph, configurable, parent)
    if run.saver is not None and run.saver is not graph.checkpointer:
        run.saver.allow(graph.named_types)
    run.context = _context(graph, asked.context, parent)
    if parent is not None:
        run.ns = _nested_namespace(run, parent)
        run.parents = {**parent.run.parents, parent.run.ns: parent.checkpoint_id}
        if run.saver is parent.run.saver:
            run.replay = parent.run.replay
    if run.saver is not None:
        _address(run, configurable)
    run.output_keys = _checked_keys(asked.keys, graph)
    run.before = _checked_breakpoints(asked.before, graph.interrupt_before_nodes, graph)
    run.after = _checked_breakpoints(asked.after, graph.interrupt_after_nodes, graph)
    if run.saver is not None or run.before or run.after:
        run.versions = {}
    run.consume(settings.sink(run) if settings else None)
    return run


def _parent(config: RunnableConfig | None) -> Any:
    """The task within which a graph is called, if there is one."""
    given = (config.get(CONF) if config else None) or {}
    parent: Any = given.get(CONFIG_KEY_TASK) or running.get()
    # A node that names a thread starts a run of its own there; a node called alone has no run at all.
    detached = "thread_id" in given and CONFIG_KEY_TASK not in given
    return None if parent is None or detached or not getattr(parent.run, "graph", None) else parent


def _checked_limit(limit: int | None, graph: Pregel[Any, Any, Any, Any]) -> int:
    limit = graph.recursion_limit if limit is None else limit
    if limit < 1:
        raise ValueError("recursion_limit must be at least 1.")
    return limit


def _checked_durability(durability: Durability | None) -> Durability | None:
    if durability is not None and durability not in DURABILITIES:
        raise ValueError(f"{durability!r} is no durability. Choose of: {', '.join(DURABILITIES)}.")
    return durability


def _checked_keys(keys: str | Sequence[str], graph: Pregel[Any, Any, Any, Any]) -> str | list[str]:
    listed = [keys] if isinstance(keys, str) else list(keys)
    for key in listed:
        if key not in graph.channels:
            raise ValueError(
                f"output_keys names the unknown key {key!r}. Keys: {', '.join(graph.state_keys)}."
            )
    return keys if isinstance(keys, str) else listed


def _checked_breakpoints(
    given: str | Sequence[str] | None, default: list[str] | str, graph: Pregel[Any, Any, Any, Any]
) -> list[str] | str:
    if given is None:
        return default
    if given == "*":
        return "*"
    names = [given] if isinstance(given, str) else list(given)
    for name in names:
        if name not in graph.nodes:
            raise ValueError(
                f"A breakpoint names the unknown node {name!r}. Nodes: {', '.join(graph.nodes)}."
            )
    return names


def _without_task(config: RunnableConfig | None) -> RunnableConfig | None:
    """The config that a node passes on, without what describes the node's own task."""
    if not config or CONFIG_KEY_TASK not in (config.get(CONF) or {}):
        return config
    kept = config.copy()
    kept[CONF] = {key: value for key, value in config[CONF].items() if key not in _TASK_KEYS}
    kept["metadata"] = {
        key: value for key, value in (config.get("metadata") or {}).items() if key not in _TASK_KEYS
    }
    return kept


def _saver(
    graph: Pregel[Any, Any, Any, Any], configurable: dict[str, Any], parent: Task | None
) -> BaseCheckpointSaver[Any] | None:
    own = graph.checkpointer
    if own is False:
        return None
    if parent is not None and parent.run.saver is not None:
        return parent.run.saver
    if isinstance(own, BaseCheckpointSaver):
        return own
    given = configurable.get(CONFIG_KEY_CHECKPOINTER)
    if isinstance(given, BaseCheckpointSaver):
        return given
    if own is True and parent is None:
        raise RuntimeError(
            "checkpointer=True is for subgraphs: the outermost graph needs a checkpointer of its own."
        )
    return None


def _address(run: Run, configurable: dict[str, Any]) -> None:
    """Thread and, at the root, namespace and checkpoint of the run."""
    thread_id = configurable.get("thread_id")
    if thread_id is None:
        raise ValueError(
            'A graph with a checkpointer needs a thread: pass config={"configurable": {"thread_id": "..."}}.'
        )
    run.thread_id = str(thread_id)
    if run.parent is None:
        run.ns = configurable.get("checkpoint_ns") or ""
        run.explicit_id = configurable.get("checkpoint_id")


def _nested_namespace(run: Run, parent: Task) -> str:
    if run.saver is not None and run.saver is not parent.run.saver:
        return ""
    ns = parent.ns
    if run.graph.own_memory:
        ns = stable_namespace(ns)
    count = parent.nested_runs
    parent.nested_runs += 1
    return f"{ns}{NS_SEP}{count}" if count else ns


def _context(graph: Pregel[Any, Any, Any, Any], context: Any, parent: Task | None) -> Any:
    if context is None:
        return parent.run.context if parent is not None else None
    schema = graph.context_schema
    if schema is not None and isinstance(context, dict) and not issubclass(schema, dict):
        return schema(**context)
    return context
