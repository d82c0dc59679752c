"""What a node may ask of its run: context, store, stream, ids, a request to stop."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from threadkeep.config import current_task

if TYPE_CHECKING:
    from typing_extensions import TypeVar as DefaultTypeVar

    from threadkeep.store.base import BaseStore
    from threadkeep.types import StreamWriter

    ContextT = DefaultTypeVar("ContextT", default=None)
else:
    # Defaults of type variables are for type checkers; at run time they would cost an import.
    ContextT = TypeVar("ContextT")


def no_stream(_chunk: Any) -> None:
    """The stream writer of a run whose "custom" stream nobody reads."""


@dataclass(frozen=True, slots=True)
class ExecutionInfo:
    """Where in its thread a node runs."""

    checkpoint_id: str
    checkpoint_ns: str
    task_id: str
    thread_id: str | None = None
    run_id: str | None = None
    node_attempt: int = 1
    """1 for the first attempt, one more for each retry."""
    node_first_attempt_time: float | None = None
    """Seconds since the epoch."""

    def patch(self, **overrides: Any) -> ExecutionInfo:
        """A copy with some fields changed."""
        return replace(self, **overrides)


@dataclass(kw_only=True, slots=True, frozen=True)
class Runtime(Generic[ContextT]):
    """The run, as a node sees it. A node gets it as its parameter `runtime`."""

    context: ContextT = field(default=None)  # type: ignore[assignment]  # None is the default context
    """What was passed as `context=`; an instance of the graph's `context_schema`."""
    store: BaseStore | None = None
    """What the graph was compiled with."""
    stream_writer: StreamWriter = no_stream
    previous: Any = None
    execution_info: ExecutionInfo | None = None

    def merge(self, other: Runtime[ContextT]) -> Runtime[ContextT]:
        """This runtime, with what `other` sets."""
        return Runtime(
            context=other.context or self.context,
            store=other.store or self.store,
            stream_writer=self.stream_writer if other.stream_writer is no_stream else other.stream_writer,
            previous=self.previous if other.previous is None else other.previous,
            execution_info=other.execution_info or self.execution_info,
        )

    def override(self, **overrides: Any) -> Runtime[ContextT]:
        """A copy with some fields changed."""
        return replace(self, **overrides)


def get_runtime(context_schema: type[ContextT] | None = None) -> Runtime[ContextT]:
    """The runtime of the running node; `context_schema` only types it. Raises `RuntimeError` outside a
    node.
    """
    return cast("Runtime[ContextT]", current_task().runtime)
