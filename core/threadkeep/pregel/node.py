"""A node as the engine sees it: what starts it, what it reads, what it calls, what its result writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from threadkeep.managed import ManagedValue
from threadkeep.pregel.bind import Bound
from threadkeep.types import RetryPolicy

Writes = list[tuple[str, Any]]
"""What a task writes: (channel, value) in order."""


class Branch(NamedTuple):
    """A conditional edge: a function of the state that names what runs next."""

    name: str
    path: Bound
    route: Callable[[Any], Writes]
    """Turns what the path returned into writes. Raises `InvalidUpdateError` for an unknown target."""
    read: Callable[[dict[str, Any]], Any]
    """Makes the path's input of the values of the state and of the managed keys."""
    managed: tuple[tuple[str, type[ManagedValue]], ...] = ()


class PregelNode:
    """A node of a compiled graph. `invoke` calls it alone, without graph, thread or checkpointer."""

    __slots__ = (
        "bound", "branches", "channels", "defer", "hidden", "managed", "mapper", "metadata", "name",
        "reads_all",
        "retry_policy", "subgraphs", "triggers", "write",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        bound: Bound,
        *,
        triggers: Sequence[str],
        channels: str | tuple[str, ...],
        write: Callable[[Any], Writes],
    ) -> None:
        self.name = name
        self.bound = bound
        self.triggers = tuple(triggers)
        self.channels = channels
        self.write = write
        self.branches: tuple[Branch, ...] = ()
        self.managed: tuple[tuple[str, type[ManagedValue]], ...] = ()
        self.mapper: Callable[[dict[str, Any]], Any] | None = None
        self.reads_all = False
        self.retry_policy: tuple[RetryPolicy, ...] = ()
        self.metadata: dict[str, Any] = {}
        self.subgraphs: tuple[Any, ...] = ()
        self.defer = False
        self.hidden = False

    def __repr__(self) -> str:
        return f"PregelNode({self.name!r}, triggers={list(self.triggers)!r})"

    def invoke(self, input: Any, config: Any = None) -> Any:
        """The result of the node's function for `input`."""
        from threadkeep.pregel.execute import call_node
        from threadkeep.pregel.task import detached_task

        return call_node(detached_task(self, input, config))

    async def ainvoke(self, input: Any, config: Any = None) -> Any:
        """The result of the node's function for `input`."""
        from threadkeep.pregel.execute_async import acall_node
        from threadkeep.pregel.task import detached_task

        return await acall_node(detached_task(self, input, config))
