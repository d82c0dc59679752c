"""What a checkpoint is and what every saver does. Imports types, errors, serialiser; never a backend."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Generic,
    Literal,
    NamedTuple,
    Protocol,
    Self,
    TypedDict,
    TypeVar,
    cast,
)

from threadkeep.channels.base import MISSING
from threadkeep.checkpoint.ids import uuid6
from threadkeep.checkpoint.serde.base import SerializerProtocol, maybe_add_typed_methods
from threadkeep.constants import ERROR, INTERRUPT, RESUME
from threadkeep.errors import EmptyChannelError

if TYPE_CHECKING:
    from threadkeep.config import RunnableConfig

__all__ = [
    "EXCLUDED_METADATA_KEYS", "WRITES_IDX_MAP", "BaseCheckpointSaver", "ChannelProtocol", "ChannelVersions",
    "Checkpoint", "CheckpointMetadata", "CheckpointTuple", "EmptyChannelError", "PendingCommit",
    "PendingWrite", "SavePoint",
    "SaveWrites", "V", "copy_checkpoint", "create_checkpoint", "empty_checkpoint", "get_checkpoint_id",
    "get_checkpoint_metadata", "get_serializable_checkpoint_metadata", "uuid6", "writes_sort_key",
]  # fmt: skip

V = TypeVar("V", int, float, str)
ChannelVersions = dict[str, Any]
"""Channel name to version; a later version is greater. int, float or str, one kind in one thread."""
PendingWrite = tuple[str, str, Any]
"""(task id, channel, value)."""

LATEST_VERSION = 2
EXCLUDED_METADATA_KEYS = frozenset({
    "checkpoint_id", "checkpoint_map", "checkpoint_ns", "langgraph_checkpoint_ns", "langgraph_node",
    "langgraph_path", "langgraph_step", "langgraph_triggers", "thread_id",
})  # fmt: skip
"""Config keys that describe one task or address the checkpoint: never part of its metadata."""
WRITES_IDX_MAP: dict[str, int] = {ERROR: -1, "__scheduled__": -2, INTERRUPT: -3, RESUME: -4}
"""Channels with a fixed place among the writes of a task. A later write there replaces the earlier one."""


class CheckpointMetadata(TypedDict, total=False):
    """What is known about a checkpoint beside its state. Further keys come from the run's config."""

    source: Literal["input", "loop", "update", "fork"]
    step: int
    """-1 for the first input, 0 for the first step, and so on."""
    parents: dict[str, str]
    """Checkpoint namespace to checkpoint id, for every graph above this one."""
    run_id: str


class Checkpoint(TypedDict):
    """The state of a thread between two supersteps."""

    v: int
    id: str
    """Unique in its thread; greater than the ids made before."""
    ts: str
    """ISO 8601."""
    channel_values: dict[str, Any]
    channel_versions: ChannelVersions
    versions_seen: dict[str, ChannelVersions]
    """Node name to the channel versions it last ran on."""
    updated_channels: list[str] | None


class CheckpointTuple(NamedTuple):
    """A stored checkpoint, its address and its parent's, and the writes that wait for its successor."""

    config: RunnableConfig
    checkpoint: Checkpoint
    metadata: CheckpointMetadata
    parent_config: RunnableConfig | None = None
    pending_writes: list[PendingWrite] | None = None


class SavePoint(NamedTuple):
    """Asks for a checkpoint, as the arguments of `put`."""

    config: RunnableConfig
    checkpoint: Checkpoint
    metadata: CheckpointMetadata
    new_versions: ChannelVersions


class SaveWrites(NamedTuple):
    """Asks for the writes of one task, as the arguments of `put_writes`."""

    config: RunnableConfig
    writes: Sequence[tuple[str, Any]]
    task_id: str
    task_path: str = ""


class PendingCommit:
    """A commit that is collected first and stored later. Values count as they are when they are added.

    (Of a saver that is not ours: as they are when it is stored.)
    """

    def __init__(self, saver: BaseCheckpointSaver[Any]) -> None:
        self._saver = saver
        self._ops: list[SavePoint | SaveWrites] = []

    def add(self, op: SavePoint | SaveWrites) -> None:
        """Raises what the serialiser raises; the operation is then not part of the commit."""
        self._ops.append(op)

    def store(self) -> None:
        """Stores all that was added, as `BaseCheckpointSaver.commit`."""
        self._saver.commit(self._ops)

    async def astore(self) -> None:
        """As `store`."""
        await self._saver.acommit(self._ops)


class ChannelProtocol(Protocol):
    """The side of a channel that a checkpoint needs."""

    def checkpoint(self) -> Any:
        """The value to save; `MISSING` or `EmptyChannelError` where there is none."""


def empty_checkpoint() -> Checkpoint:
    """A checkpoint of no state at all."""
    return Checkpoint(
        v=LATEST_VERSION,
        id=uuid6(-2),
        ts=datetime.now(UTC).isoformat(),
        channel_values={},
        channel_versions={},
        versions_seen={},
        updated_channels=None,
    )


def copy_checkpoint(checkpoint: Checkpoint) -> Checkpoint:
    """A checkpoint whose dicts can be changed without changing the original; the values are shared."""
    updated = checkpoint.get("updated_channels")
    return Checkpoint(
        v=checkpoint["v"],
        id=checkpoint["id"],
        ts=checkpoint["ts"],
        channel_values=checkpoint["channel_values"].copy(),
        channel_versions=checkpoint["channel_versions"].copy(),
        versions_seen={node: seen.copy() for node, seen in checkpoint["versions_seen"].items()},
        updated_channels=None if updated is None else list(updated),
    )


def create_checkpoint(
    checkpoint: Checkpoint,
    channels: Mapping[str, ChannelProtocol] | None,
    step: int,
    *,
    id: str | None = None,
) -> Checkpoint:
    """The successor of a checkpoint, with the values that the channels hold now (or the same, for None).

    Only channels that have a version are asked. `updated_channels` is left None for the caller to set.
    """
    if channels is None:
        values = checkpoint["channel_values"]
    else:
        values = {}
        for name in checkpoint["channel_versions"]:
            if name in channels and (value := _value_of(channels[name])) is not MISSING:
                values[name] = value
    return Checkpoint(
        v=LATEST_VERSION,
        id=id or uuid6(step),
        ts=datetime.now(UTC).isoformat(),
        channel_values=values,
        channel_versions=checkpoint["channel_versions"],
        versions_seen=checkpoint["versions_seen"],
        updated_channels=None,
    )


def _value_of(channel: ChannelProtocol) -> Any:
    try:
        return channel.checkpoint()
    except EmptyChannelError:
        return MISSING


def get_checkpoint_id(config: RunnableConfig) -> str | None:
    """The checkpoint that a config names, or None for the newest."""
    return config["configurable"].get("checkpoint_id")


def get_checkpoint_metadata(config: RunnableConfig, metadata: CheckpointMetadata) -> CheckpointMetadata:
    """The metadata to store: the given, and what the config carries as str, int, float or bool.

    Of the config, first `metadata`, then `configurable`; keys that are given, begin with "__" or stand in
    `EXCLUDED_METADATA_KEYS` are left out.
    """
    merged: dict[str, Any] = dict(metadata)
    for source in (config.get("metadata"), config.get("configurable")):
        if source:
            for key, value in source.items():
                if (
                    key not in merged
                    and isinstance(value, (str, int, float))
                    and key not in EXCLUDED_METADATA_KEYS
                    and not key.startswith("__")
                ):
                    merged[key] = value
    return merged  # type: ignore[return-value]  # open at the end: configs add keys of their own


def get_serializable_checkpoint_metadata(
    config: RunnableConfig, metadata: CheckpointMetadata
) -> CheckpointMetadata:
    """As `get_checkpoint_metadata`, without the `writes` that old programs put there."""
    merged = get_checkpoint_metadata(config, metadata)
    merged.pop("writes", None)  # type: ignore[typeddict-item]  # a key of older versions
    return merged


def writes_sort_key(task_path: str, task_id: str = "", idx: int = 0) -> tuple[str, str, int]:
    """The order of pending writes: by path, then task, then place in the task."""
    return task_path, task_id, idx


class BaseCheckpointSaver(Generic[V]):
    """Saves and loads the checkpoints of threads.

    A config addresses a thread (`thread_id`), a graph in it (`checkpoint_ns`, "" for the outermost) and,
    where `checkpoint_id` is given, one checkpoint instead of the newest. A saver implements one colour or
    both; what it leaves out raises `NotImplementedError`. `commit` works on top of `put` and `put_writes`.
    """

    serde: SerializerProtocol
    blocking: ClassVar[bool] = True
    """Whether `commit` waits for a disk or a network, so that another thread can use the time."""

    def __init__(self, *, serde: SerializerProtocol | None = None) -> None:
        if serde is None:
            from threadkeep.checkpoint.serde.jsonplus import JsonPlusSerializer

            serde = JsonPlusSerializer()
        self.serde = maybe_add_typed_methods(serde)

    @property
    def config_specs(self) -> list[Any]:
        """Config fields this saver understands beside the addresses."""
        return []

    def get(self, config: RunnableConfig) -> Checkpoint | None:
        """The checkpoint that the config addresses."""
        found = self.get_tuple(config)
        return found.checkpoint if found else None

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that the config addresses, with metadata and pending writes."""
        raise NotImplementedError

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Checkpoints, newest first; of all threads for a config of None.

        `filter`: metadata keys and the values they must equal; None also matches a key that is not there.
        `before`: only checkpoints older than the one it names.
        """
        raise NotImplementedError

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Stores a checkpoint as the child of the one that the config names; returns its address.

        `channel_values` is whole; only the channels in `new_versions` are stored, others are the parent's. A
        channel in `new_versions` without a value is empty from this checkpoint on.
        """
        raise NotImplementedError

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Stores what a task wrote, waiting for the successor of the checkpoint that the config names.

        Said twice, the first write at each place of the task counts; of the channels of `WRITES_IDX_MAP`, the
        last.
        """
        raise NotImplementedError

    def commit(self, ops: Sequence[SavePoint | SaveWrites]) -> None:
        """Stores several checkpoints and writes in order; in one transaction where the saver can."""
        for op in ops:
            if isinstance(op, SavePoint):
                self.put(*op)
            else:
                self.put_writes(*op)

    def open_commit(self) -> PendingCommit:
        """A commit to be collected and stored later."""
        return PendingCommit(self)

    def delete_thread(self, thread_id: str) -> None:
        """Deletes a thread with everything in it. Late writes of runs that still go on are refused."""
        raise NotImplementedError

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Deletes the checkpoints (with their writes) whose metadata names one of these runs."""
        raise NotImplementedError

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copies all checkpoints and writes of a thread to another."""
        raise NotImplementedError

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Deletes all but the newest checkpoint of each namespace, or ("delete") all of the threads."""
        raise NotImplementedError

    async def aget(self, config: RunnableConfig) -> Checkpoint | None:
        """As `get`."""
        found = await self.aget_tuple(config)
        return found.checkpoint if found else None

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """As `get_tuple`."""
        raise NotImplementedError

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """As `list`."""
        raise NotImplementedError
        yield  # makes it an async generator

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """As `put`."""
        raise NotImplementedError

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """As `put_writes`."""
        raise NotImplementedError

    async def acommit(self, ops: Sequence[SavePoint | SaveWrites]) -> None:
        """As `commit`."""
        for op in ops:
            if isinstance(op, SavePoint):
                await self.aput(*op)
            else:
                await self.aput_writes(*op)

    async def adelete_thread(self, thread_id: str) -> None:
        """As `delete_thread`."""
        raise NotImplementedError

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """As `delete_for_runs`."""
        raise NotImplementedError

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """As `copy_thread`."""
        raise NotImplementedError

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """As `prune`."""
        raise NotImplementedError

    def get_next_version(self, current: V | None, channel: None) -> V:
        """The version after `current` (None for the first): whole numbers.

        A string (threads that were imported from elsewhere count "000…3.0.123") goes on after its whole part.
        Forks may reach one number with different values: our savers never find a value by its version alone.
        """
        number: Any = current or 0
        whole = number.partition(".")[0] if isinstance(number, str) else number
        return cast("V", int(whole) + 1)  # type: ignore[redundant-cast]  # V is int, float or str in turn

    def allow(self, types: Iterable[type]) -> None:
        """Lets this saver store and build values of these types too. Compiling a graph does so for its
        state.
        """
        known: set[type] = self.__dict__.setdefault("_allowed", set())
        extend = getattr(self.serde, "with_msgpack_allowlist", None)
        if extend is not None and (fresh := [typ for typ in types if typ not in known]):
            self.serde = extend(fresh)
            known.update(fresh)

    def with_allowlist(self, extra_allowlist: Collection[tuple[str, ...] | type]) -> Self:
        """This saver, over the same storage, with a serialiser that also builds the given types."""
        raise NotImplementedError
