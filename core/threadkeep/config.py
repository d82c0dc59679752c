"""The config of a run: its shape, how configs merge, and what a running node can ask for.

Imports types and errors only. The object behind the running node (`current_task`) is made by the engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol, TypedDict
from uuid import UUID

from threadkeep.constants import CONF

if TYPE_CHECKING:
    from threadkeep.runtime import Runtime
    from threadkeep.store.base import BaseStore
    from threadkeep.types import StreamWriter

DEFAULT_RECURSION_LIMIT = 25
"""Supersteps a run may take where neither `compile` nor the config says otherwise."""


class RunnableConfig(TypedDict, total=False):
    """Settings of one run."""

    tags: list[str]
    metadata: dict[str, Any]
    callbacks: Any
    run_name: str
    max_concurrency: int | None
    """How many tasks of a step may run at once; None: no limit of ours."""
    recursion_limit: int
    """How many supersteps the run may take."""
    configurable: dict[str, Any]
    """`thread_id`, `checkpoint_id`, and whatever the program passes to its nodes."""
    run_id: UUID | None


class CurrentTask(Protocol):
    """What the functions below need of the running task."""

    @property
    def config(self) -> RunnableConfig: ...
    @property
    def runtime(self) -> Runtime[Any]: ...
    def interrupt(self, value: Any, response_schema: Any = None) -> Any: ...


running: ContextVar[CurrentTask | None] = ContextVar("threadkeep_task", default=None)
"""The task whose node runs in this context."""


def current_task() -> CurrentTask:
    """The task of the running node. Raises `RuntimeError` outside a node."""
    task = running.get()
    if task is None:
        raise RuntimeError(
            "Called outside of a node: this is only possible while a node of a graph runs, in the node's "
            "own thread "
            "or in one that was started with its context (contextvars.copy_context().run)."
        )
    return task


def get_config() -> RunnableConfig:
    """The config of the running node. Raises `RuntimeError` outside a node."""
    return current_task().config


def get_store() -> BaseStore | None:
    """The store that the graph was compiled with, or None. Raises `RuntimeError` outside a node."""
    return current_task().runtime.store


def get_stream_writer() -> StreamWriter:
    """The writer of the running node's "custom" stream. Raises `RuntimeError` outside a node."""
    return current_task().runtime.stream_writer


def merge_configs(*configs: Mapping[str, Any] | None) -> RunnableConfig:
    """One new config: later ones win; tags, metadata and configurable are united."""
    merged: dict[str, Any] = {}
    for config in configs:
        if not config:
            continue
        for key, value in config.items():
            if value is None:
                continue
            if key in (CONF, "metadata"):
                merged[key] = {**merged.get(key, {}), **value}
            elif key == "tags":
                merged[key] = list(dict.fromkeys([*merged.get(key, ()), *value]))
            elif key == "callbacks":
                merged[key] = _merge_callbacks(merged.get(key), value)
            else:
                merged[key] = value
    return merged  # type: ignore[return-value]  # built from configs only


def _merge_callbacks(first: Any, second: Any) -> Any:
    """Handler lists are joined; a callback manager takes in the handlers of a list."""
    if first is None or first is second:
        return second
    if isinstance(first, Sequence) and isinstance(second, Sequence):
        return [*first, *(handler for handler in second if handler not in first)]
    manager, handlers = (second, first) if isinstance(first, Sequence) else (first, second)
    manager = manager.copy()
    for handler in handlers if isinstance(handlers, Sequence) else handlers.handlers:
        if handler not in manager.handlers:
            manager.add_handler(handler, inherit=True)
    return manager
