"""The state of one run of a graph: channels, versions, position, and where its chunks go.

Only the loop changes it. It does no I/O.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from threadkeep.channels.base import MISSING, BaseChannel
from threadkeep.checkpoint.base import BaseCheckpointSaver, CheckpointTuple, SavePoint, SaveWrites
from threadkeep.checkpoint.ids import uuid4
from threadkeep.config import RunnableConfig
from threadkeep.constants import INTERRUPT, NS_SEP
from threadkeep.types import Durability, Interrupt, interrupt_id

if TYPE_CHECKING:
    from threadkeep.pregel.main import Pregel
    from threadkeep.pregel.task import Task
    from threadkeep.store.base import BaseStore

Chunk = tuple[tuple[str, ...], str, Any]
"""(namespace, stream mode, payload)"""
PendingWrite = tuple[str, str, Any]
"""(task id, channel, value)"""


class Sink(NamedTuple):
    """A consumer of chunks."""

    modes: frozenset[str]
    put: Callable[[Chunk], None]
    subgraphs: bool
    """Takes the chunks of subgraphs too."""


class Replay(NamedTuple):
    """A checkpoint that a caller named, from which all that comes after it is run again."""

    point: CheckpointTuple
    visited: set[str]
    """Namespaces of subgraphs with a memory of their own that have found it as it was then."""


@dataclass(slots=True, eq=False)
class Run:
    """One run. See the module."""

    graph: Pregel
    config: RunnableConfig
    parent: Task | None
    ns: str = ""
    thread_id: str | None = None
    explicit_id: str | None = None
    """The checkpoint that the caller named to start from."""
    saver: BaseCheckpointSaver[Any] | None = None
    store: BaseStore | None = None
    context: Any = None
    durability: Durability = "async"
    recursion_limit: int = 0
    sinks: list[Sink] = field(default_factory=list)
    modes: frozenset[str] = frozenset()
    output_keys: str | list[str] = field(default_factory=list)
    before: list[str] | str = field(default_factory=list)
    after: list[str] | str = field(default_factory=list)
    chunks: deque[Chunk] | None = None
    on_chunk: Callable[[], None] | None = None
    """Wakes the interpreter that waits for tasks, from any thread."""
    result: Any = None
    shown: bool = False
    """One of the output keys was written."""
    last_output: Any = None
    stopped: bool = False
    """Set by an interpreter whose caller went away: no further step is started."""

    channels: dict[str, BaseChannel[Any, Any]] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    """The value of each available state key, in the order of the schema."""
    saved_values: dict[str, Any] = field(default_factory=dict)
    """What each channel would save."""
    live: set[str] = field(default_factory=set)
    """Volatile channels that hold a value."""
    updated: set[str] | None = None
    """Channels that the last step changed and that hold a value. None: not known, look at all."""
    versions: dict[str, Any] | None = None
    """None where nothing needs them: no saver and no breakpoints."""
    seen: dict[str, dict[str, Any]] = field(default_factory=dict)
    max_version: Any = None
    new_versions: dict[str, Any] = field(default_factory=dict)

    step: int = -1
    stop: int = 0
    checkpoint_id: str = ""
    address: RunnableConfig | None = None
    """Where the saver keeps the run; made with the first save."""
    parent_id: str | None = None
    saved_id: str | None = None
    """The newest checkpoint that was handed to the saver: the parent of the next."""
    head_id: str = ""
    """The newest checkpoint of the thread, where the caller named another."""
    at_head: bool = True
    """The run starts from the newest checkpoint of its thread."""
    fork: bool = False
    """The next checkpoint branches off on purpose."""
    replay: Replay | None = None
    """What is run again, where something is; subgraphs have that of their parent."""
    metadata: dict[str, Any] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    pending: list[PendingWrite] = field(default_factory=list)
    start_writes: list[tuple[str, Any]] = field(default_factory=list)
    """Jumps of a command that came as the input, beside what the input starts."""
    resuming: bool = False
    answers: dict[str, Any] = field(default_factory=dict)
    """Answers by interrupt id."""
    _answer: Any = MISSING
    _answer_lock: threading.Lock = field(default_factory=threading.Lock)
    _run_key: str | None = None
    ops: list[SavePoint | SaveWrites] = field(default_factory=list)
    """What is still to be handed to the saver, in order."""
    paused: bool = False
    interrupts: list[Interrupt] = field(default_factory=list)
    """What the run ended to wait for."""

    @property
    def run_key(self) -> str:
        """Names the run where there is no checkpoint to name it."""
        if self._run_key is None:
            self._run_key = uuid4()
        return self._run_key

    # Channels

    def restore(self, saved: CheckpointTuple | None) -> None:
        """Take over the state of a checkpoint, or start empty."""
        graph = self.graph
        found = saved.checkpoint["channel_values"] if saved else {}
        self.channels = {
            name: spec.from_checkpoint(found[name]) if name in found else spec.copy()
            for name, spec in graph.channels.items()
        }
        self.saved_values = dict(found)
        self.live = {name for name in graph.volatile if self.channels[name].is_available()}
        self.refresh_values()
        if self.versions is not None and saved:
            self.versions = dict(saved.checkpoint["channel_versions"])
            self.seen = {name: dict(seen) for name, seen in saved.checkpoint["versions_seen"].items()}
            self.max_version = max(self.versions.values(), default=None)
        if saved:
            self.checkpoint_id = self.saved_id = saved.checkpoint["id"]
            parent = saved.parent_config
            self.parent_id = parent["configurable"]["checkpoint_id"] if parent else None
            self.metadata = dict(saved.metadata)
            self.pending = list(saved.pending_writes or ())

    def refresh_values(self) -> None:
        """Read all state keys anew, in the order of the schema."""
        channels = self.channels
        self.values = {
            key: channel.get() for key in self.graph.state_keys if (channel := channels[key]).is_available()
        }

    def read(self, keys: str | list[str]) -> Any:
        """The value of one key, or a dict of those that have one."""
        values = self.values
        if isinstance(keys, str):
            return values.get(keys)
        return {key: values[key] for key in keys if key in values}

    def output(self) -> Any:
        """The values of the output keys."""
        return self.read(self.output_keys)

    def note_output(self, written: Iterable[str]) -> None:
        """Remember that, and where values are fleeting also what, the output keys held when they were
        written.
        """
        keys = self.output_keys
        if any(name == keys or (name in keys and not isinstance(keys, str)) for name in written):
            self.shown = True
            if self.graph.fleeting:
                self.last_output = self.output()

    def final_output(self) -> Any:
        """What the run returns: None where no output key was ever written."""
        if not self.shown:
            return None
        return self.last_output if self.graph.fleeting and self.last_output is not None else self.output()

    def shown_config(self, checkpoint_id: str) -> RunnableConfig:
        """The config that names a checkpoint of this run, as programs see it."""
        given = (self.config.get("configurable") or {}).items()
        own = {key: value for key, value in given if not key.startswith(("__", "checkpoint_"))}
        configurable = {
            **own,
            "thread_id": self.thread_id,
            "checkpoint_ns": self.ns,
            "checkpoint_id": checkpoint_id,
        }
        if self.ns:
            configurable["checkpoint_map"] = {**self.parents, self.ns: checkpoint_id}
        return {"configurable": configurable}

    # Chunks

    def consume(self, sink: Sink | None) -> None:
        """Connect the consumers: the caller of this run, and those of the runs around it."""
        around = [sink for sink in self.parent.run.sinks if sink.subgraphs] if self.parent is not None else []
        self.sinks = [*around, sink] if sink is not None else around
        self.modes = frozenset(mode for found in self.sinks for mode in found.modes)

    def wants(self, mode: str) -> bool:
        return mode in self.modes

    @property
    def ns_path(self) -> tuple[str, ...]:
        """The namespace as streams show it."""
        return tuple(self.ns.split(NS_SEP)) if self.ns else ()

    def emit(self, mode: str, payload: Any) -> None:
        """Hand a chunk to everybody who wants this mode."""
        chunk = (self.ns_path, mode, payload)
        for sink in self.sinks:
            if mode in sink.modes:
                sink.put(chunk)

    def stream_writer(self) -> Callable[[Any], None]:
        """Sends its argument to the "custom" stream."""
        return lambda payload: self.emit("custom", payload)

    # Answers to interrupts

    def offer_answer(self, value: Any) -> None:
        """Make `value` the answer of the next `interrupt` call that waits for one."""
        self._answer = value

    def take_answer(self) -> tuple[bool, Any]:
        """The answer that no `interrupt` call has taken yet, once.

        It is meant for a question of the step that is resumed: a later step of a subgraph does not get it. A
        subgraph without memory starts anew, and gets it in any step.
        """
        with self._answer_lock:
            if self._answer is not MISSING:
                value, self._answer = self._answer, MISSING
                return True, value
        if self.parent is None or not (self.resuming or self.saver is None):
            return False, None
        return self.parent.run.take_answer()

    def drop_answer(self) -> None:
        """The resumed step is over: its answer, if nobody asked for it, answers no later question."""
        with self._answer_lock:
            self._answer = MISSING

    def interrupt_id(self, ns: str, position: int) -> str:
        """The id of the `position`-th interrupt of the task that runs in `ns`."""
        return interrupt_id(f"{ns}|{position}" if position else ns)

    def take_ops(self) -> list[SavePoint | SaveWrites]:
        """What is to be handed to the saver now."""
        ops, self.ops = self.ops, []
        return ops

    def mark_input_seen(self) -> None:
        """Breakpoints do not fire again for what was there before."""
        if self.versions is not None:
            self.seen[INTERRUPT] = dict(self.versions)

    def writes_of(self, task_id: str, *, skip: Iterable[str]) -> list[tuple[str, Any]]:
        """The pending writes of one task."""
        return [
            (channel, value) for tid, channel, value in self.pending if tid == task_id and channel not in skip
        ]
