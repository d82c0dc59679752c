"""Every error that threadkeep raises on purpose. Imports only the serialiser's errors.

Errors derive from `Exception`. Control flow (a pause, a drain, a command for the parent graph) derives from
`BaseException`, so that a node's `except Exception` cannot swallow it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal

from threadkeep.checkpoint.serde.base import DeserializationError, SerializationError

if TYPE_CHECKING:
    from threadkeep.types import Command, Interrupt

__all__ = [
    "CheckpointError", "ConcurrentUpdateError", "ConcurrentUpdateWarning", "DeserializationError",
    "EmptyChannelError", "EmptyInputError", "ErrorCode", "ForeignFileError", "GraphBubbleUp",
    "GraphInterrupt",
    "GraphRecursionError", "InvalidFilterError", "InvalidNamespaceError", "InvalidOpError",
    "InvalidUpdateError", "MigrationError", "NodeInterrupt", "ParentCommand", "SchemaVersionError",
    "SerializationError", "StorageError", "StorageUnavailableError", "TaskNotFound", "ThreadDeletedError",
    "UnknownInterruptError",
]  # fmt: skip


class ErrorCode(Enum):
    """A stable code in the message of a common mistake, to search for."""

    GRAPH_RECURSION_LIMIT = "GRAPH_RECURSION_LIMIT"
    INVALID_CONCURRENT_GRAPH_UPDATE = "INVALID_CONCURRENT_GRAPH_UPDATE"
    INVALID_GRAPH_NODE_RETURN_VALUE = "INVALID_GRAPH_NODE_RETURN_VALUE"
    MULTIPLE_SUBGRAPHS = "MULTIPLE_SUBGRAPHS"
    INVALID_CHAT_HISTORY = "INVALID_CHAT_HISTORY"


class EmptyChannelError(Exception):
    """A channel was read that holds no value yet."""


class InvalidUpdateError(Exception):
    """A write that the state cannot take: an unknown key, a wrong shape, two values for one key in a step."""


class EmptyInputError(Exception):
    """A run was started with no input and nothing to resume."""


class TaskNotFound(Exception):
    """An update names a task that the checkpoint does not have."""


class GraphRecursionError(RecursionError):
    """A run did not finish within its limit of supersteps."""


class UnknownInterruptError(RuntimeError):
    """A resume does not match what the thread waits for.

    `reason` is "not_pending" (an id that is not waiting), "empty_map" or "ambiguous" (one value, several
    waiting).
    """

    def __init__(
        self,
        message: str,
        *,
        reason: Literal["not_pending", "empty_map", "ambiguous"],
        interrupt_ids: Sequence[str] = (),
        pending_ids: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.interrupt_ids = tuple(interrupt_ids)
        self.pending_ids = tuple(pending_ids)


class StorageError(Exception):
    """A checkpointer or store refused an operation, or cannot reach its database; nothing was written."""


class CheckpointError(StorageError):
    """A checkpointer refused an operation; nothing of it was written."""


class ConcurrentUpdateError(CheckpointError):
    """Another run moved the thread on, and the saver was told to reject the later one."""

    def __init__(
        self, thread_id: str, checkpoint_ns: str, parent_id: str | None, head_id: str | None
    ) -> None:
        where = f" (namespace {checkpoint_ns!r})" if checkpoint_ns else ""
        super().__init__(
            f"Thread {thread_id!r}{where} is at checkpoint {head_id}, but this run continues from "
            f"{parent_id}: "
            "another run was faster. Nothing was written. Load the thread again and repeat the run, or use "
            'on_conflict="fork" to keep both as branches.'
        )
        self.thread_id = thread_id
        self.checkpoint_ns = checkpoint_ns
        self.parent_id = parent_id
        self.head_id = head_id


class ConcurrentUpdateWarning(UserWarning):
    """Two runs continued one checkpoint of a thread; both were kept, as branches."""


class ThreadDeletedError(CheckpointError):
    """The thread was deleted while a run was still writing to it."""

    def __init__(self, thread_id: str) -> None:
        super().__init__(
            f"Thread {thread_id!r} was deleted while this run was still going; its late write was refused. "
            "Start a new run without a checkpoint_id to begin the thread anew."
        )
        self.thread_id = thread_id


class SchemaVersionError(StorageError):
    """The stored schema is newer than this version of the library, or its migrations differ."""


class ForeignFileError(StorageError):
    """The database belongs to another application."""


class MigrationError(StorageError):
    """A thread of another library could not be taken over; those before it were, and stay."""

    def __init__(self, thread_id: str, reason: str) -> None:
        super().__init__(
            f"Thread {thread_id!r} was not migrated: {reason} "
            "Threads before it are complete; when this is mended, the same call goes on. "
            'on_error="skip" reports such threads and goes on without them.'
        )
        self.thread_id = thread_id
        self.reason = reason


class StorageUnavailableError(StorageError):
    """The database did not answer, though it was asked again. The driver's own error is the cause."""


class InvalidOpError(ValueError):
    """An operation of a store that cannot be carried out; nothing was written."""


class InvalidNamespaceError(InvalidOpError):
    """A namespace that no item can live under."""


class InvalidFilterError(InvalidOpError):
    """A filter that is not in the filter language."""


class GraphBubbleUp(BaseException):
    """Control flow that leaves a node; never an error."""


class GraphInterrupt(GraphBubbleUp):
    """A node pauses its thread. `args[0]` is the sequence of its interrupts."""

    def __init__(self, interrupts: Sequence[Interrupt] = ()) -> None:
        super().__init__(interrupts)


class NodeInterrupt(GraphInterrupt):
    """Older way to pause a thread from a node; `interrupt()` is the newer."""

    def __init__(self, value: Any, id: str | None = None) -> None:
        from threadkeep.types import Interrupt

        super().__init__([Interrupt(value=value) if id is None else Interrupt(value=value, id=id)])


class ParentCommand(GraphBubbleUp):
    """A command on its way from a subgraph to its parent."""

    args: tuple[Command[Any]]

    def __init__(self, command: Command[Any]) -> None:
        super().__init__(command)
