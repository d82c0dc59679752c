"""Values that programs and the engine exchange. Imports the errors and constants only."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Generic,
    Literal,
    NamedTuple,
    TypeAlias,
    TypedDict,
    TypeVar,
)

from threadkeep.checkpoint.serde.jsonplus import register

if TYPE_CHECKING:
    from threadkeep.checkpoint.base import BaseCheckpointSaver
    from threadkeep.config import RunnableConfig

__all__ = [
    "All", "CheckpointPayload", "CheckpointTask", "Checkpointer", "Command", "Durability", "GraphOutput",
    "Interrupt", "Overwrite",
    "PregelTask", "RetryPolicy", "Send", "StateSnapshot", "StateUpdate", "StreamMode", "StreamWriter",
    "TaskPayload", "TaskResultPayload", "default_retry_on", "ensure_valid_checkpointer", "interrupt",
]  # fmt: skip

All = Literal["*"]
"""Every node."""
Durability = Literal["sync", "async", "exit"]
"""When steps are saved: before the next step starts, while it runs, or once at the end of the run."""
StreamMode = Literal["values", "updates", "checkpoints", "tasks", "debug", "messages", "custom"]
StreamWriter: TypeAlias = Callable[[Any], None]
"""Sends its argument to the consumers of the "custom" stream at once."""
Checkpointer: TypeAlias = "bool | BaseCheckpointSaver[Any] | None"
"""A saver; True (own memory within the parent's saver), False (none), None (the parent's)."""

N = TypeVar("N", bound=Hashable)


def default_retry_on(exc: Exception) -> bool:
    """Whether an error is likely to pass: connection trouble and unknown errors are, programming errors are
    not.
    """
    if isinstance(exc, ConnectionError):
        return True
    status = getattr(getattr(exc, "response", None), "status_code", None)
    if isinstance(status, int) and type(exc).__module__.partition(".")[0] in ("httpx", "requests"):
        return 500 <= status < 600
    permanent = (
        ValueError, TypeError, ArithmeticError, ImportError, LookupError, NameError, SyntaxError,
        RuntimeError, ReferenceError, StopIteration, StopAsyncIteration, OSError,
    )  # fmt: skip
    return not isinstance(exc, permanent)


class RetryPolicy(NamedTuple):
    """How often and how soon a failed node runs again. Times in seconds."""

    initial_interval: float = 0.5
    backoff_factor: float = 2.0
    max_interval: float = 128.0
    max_attempts: int = 3
    """All attempts, the first included."""
    jitter: bool = True
    """Adds up to one second at random to each wait."""
    retry_on: type[Exception] | Sequence[type[Exception]] | Callable[[Exception], bool] = default_retry_on


@dataclass(init=False, slots=True, frozen=True)
class Interrupt:
    """A pause that waits for a value."""

    value: Any
    """What the node asks; shown to whoever resumes."""
    id: str
    """Names this pause in `Command(resume={id: value})`."""
    response_schema: Any
    """What answer is expected, for whoever asks the person; not enforced."""

    def __init__(self, value: Any, id: str = "placeholder-id", *, response_schema: Any = None) -> None:
        object.__setattr__(self, "value", value)
        object.__setattr__(self, "id", id)
        object.__setattr__(self, "response_schema", response_schema)

    @classmethod
    def from_ns(cls, value: Any, ns: str) -> Interrupt:
        """The interrupt of the task that runs in the checkpoint namespace `ns`."""
        return cls(value, interrupt_id(ns))

    @property
    def interrupt_id(self) -> str:
        """Older name of `id`."""
        return self.id


def interrupt_id(ns: str) -> str:
    """The id of the interrupts of the task that runs in `ns`: 32 hex digits, the same in every run."""
    return blake2b(ns.encode(), digest_size=16).hexdigest()


class StateUpdate(NamedTuple):
    """One update of `bulk_update_state`."""

    values: dict[str, Any] | None
    as_node: str | None = None
    task_id: str | None = None


class PregelTask(NamedTuple):
    """A task of a snapshot's next step."""

    id: str
    name: str
    path: tuple[str | int | tuple[Any, ...], ...]
    error: Exception | None = None
    interrupts: tuple[Interrupt, ...] = ()
    state: StateSnapshot | RunnableConfig | None = None
    """Of a subgraph: its snapshot with `subgraphs=True`, else the config that reads it."""
    result: Any | None = None
    """What the task wrote, where it has finished."""


class StateSnapshot(NamedTuple):
    """The state of a thread at one checkpoint."""

    values: dict[str, Any] | Any
    next: tuple[str, ...]
    """Nodes of the next step that have not finished."""
    config: RunnableConfig
    metadata: dict[str, Any] | None
    created_at: str | None
    """ISO 8601, UTC."""
    parent_config: RunnableConfig | None
    tasks: tuple[PregelTask, ...]
    interrupts: tuple[Interrupt, ...]


class Send:
    """Runs a node in the next step with an input of its own. Several may go to one node."""

    __slots__ = ("arg", "node")

    node: str
    arg: Any

    def __init__(self, /, node: str, arg: Any) -> None:
        self.node = node
        self.arg = arg

    def __hash__(self) -> int:
        return hash((self.node, repr(self.arg)))

    def __repr__(self) -> str:
        return f"Send(node={self.node!r}, arg={self.arg!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Send) and self.node == other.node and bool(self.arg == other.arg)


@dataclass(kw_only=True, slots=True, frozen=True)
class Command(Generic[N]):
    """An update of the state together with where to go next, or with the answer to an interrupt."""

    graph: str | None = None
    """None for this graph, `Command.PARENT` for the closest parent."""
    update: Any | None = None
    resume: dict[str, Any] | Any | None = None
    """The answer to the one pending interrupt, or a dict from interrupt ids to answers."""
    goto: Send | Sequence[Send | N] | N = ()

    PARENT: ClassVar[Literal["__parent__"]] = "__parent__"

    def __repr__(self) -> str:
        parts = (("graph", self.graph), ("update", self.update), ("resume", self.resume), ("goto", self.goto))
        return f"Command({', '.join(f'{name}={value!r}' for name, value in parts if value)})"


@dataclass(slots=True)
class Overwrite:
    """Replaces the value of a key instead of going through its reducer. At most one a key and step."""

    value: Any
    type: Literal["__overwrite__"] = field(default="__overwrite__")


@dataclass(frozen=True, slots=True)
class GraphOutput:
    """The result of `invoke(version="v2")`."""

    value: Any
    interrupts: tuple[Interrupt, ...] = ()
    """What the thread waits for."""


class TaskPayload(TypedDict):
    """Chunk of the "tasks" stream: a task starts."""

    id: str
    name: str
    input: Any
    triggers: list[str]
    metadata: dict[str, Any]


class TaskResultPayload(TypedDict):
    """Chunk of the "tasks" stream: a task ended."""

    id: str
    name: str
    error: str | None
    interrupts: list[dict[str, Any]]
    result: dict[str, Any]


class CheckpointTask(TypedDict, total=False):
    """A task within a chunk of the "checkpoints" stream."""

    id: str
    name: str
    error: str
    result: Any
    interrupts: list[dict[str, Any]]
    state: Any


class CheckpointPayload(TypedDict):
    """Chunk of the "checkpoints" stream: a checkpoint was made."""

    config: RunnableConfig | None
    metadata: dict[str, Any]
    values: Any
    next: list[str]
    parent_config: RunnableConfig | None
    tasks: list[CheckpointTask]


def interrupt(value: Any, *, response_schema: Any = None) -> Any:
    """The answer that the thread was resumed with; pauses the thread until there is one.

    The node runs again from its start on each resume; its earlier `interrupt` calls then return their answers
    again, matched by their order. Needs a checkpointer.

    Raises `GraphInterrupt` (the pause; let it pass) and `RuntimeError` outside a node.
    """
    from threadkeep.config import current_task

    return current_task().interrupt(value, response_schema)


def ensure_valid_checkpointer(checkpointer: Any) -> Checkpointer:
    """`checkpointer` itself. Raises `TypeError` for what is no checkpointer, such as an unopened context
    manager.
    """
    from threadkeep.checkpoint.base import BaseCheckpointSaver

    if checkpointer is None or isinstance(checkpointer, bool | BaseCheckpointSaver):
        return checkpointer
    hint = " Open it first: `with ... as checkpointer:`." if hasattr(checkpointer, "__enter__") else ""
    raise TypeError(f"A checkpointer is a BaseCheckpointSaver, a bool or None, not {checkpointer!r}.{hint}")


register(Send, to_state=lambda send: (send.node, send.arg), from_state=lambda state: Send(*state))
register(
    Interrupt,
    to_state=lambda asked: (asked.value, asked.id, asked.response_schema),
    from_state=lambda state: Interrupt(state[0], state[1], response_schema=state[2]),
)
register(Overwrite)
register(Command)
