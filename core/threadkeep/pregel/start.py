"""Setting up a run: which config, which thread and namespace, which saver, who gets the chunks."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
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


def start_run(
    graph: Pregel[Any, Any, Any, Any],
    config: RunnableConfig | None,
    context: Any,
    durability: Durability | None,
) -> Run:
    """A run of the graph: at the root, or within the task that calls it.

    Raises `ValueError` for a config that names no thread where a checkpointer needs one.
    """
    given = config.get(CONF) if config else None
    parent: Any = (given or {}).get(CONFIG_KEY_TASK) or running.get()
    detached = given is not None and "thread_id" in given and CONFIG_KEY_TASK not in given
    if parent is not None and (detached or not getattr(parent.run, "graph", None)):
        # A node that names a thread starts a run of its own there; a node called alone has no run at all.
        parent = None
    if parent is None:
        merged = merge_configs(inherited_config(), graph.config, config)
    else:
        merged = merge_configs(parent.run.config, graph.config, _without_task(config))
    run = Run(graph, merged, parent)
    configurable = merged.get(CONF) or {}
    limit = merged.get("recursion_limit")
    run.recursion_limit = (
        graph.recursion_limit if limit is None or (parent and not _own(config, graph)) else limit
    )
    if run.recursion_limit < 1:
        raise ValueError("recursion_limit must be at least 1.")
    if durability is not None and durability not in DURABILITIES:
        raise ValueError(f"{durability!r} is no durability. Choose of: {', '.join(DURABILITIES)}.")
    run.durability = durability or (parent.run.durability if parent else "async")
    run.store = graph.store if graph.store is not None or parent is None else parent.run.store
    run.saver = _saver(graph, configurable, parent)
    run.context = _context(graph, context, parent)
    if parent is not None:
        run.ns = _nested_namespace(run, parent)
        run.parents = {**parent.run.parents, parent.run.ns: parent.checkpoint_id}
    if run.saver is not None:
        _address(run, configurable)
    return run


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


def _own(config: RunnableConfig | None, graph: Pregel[Any, Any, Any, Any]) -> bool:
    """Whether a subgraph's call sets its own recursion limit."""
    return "recursion_limit" in (config or {}) or "recursion_limit" in (graph.config or {})


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
