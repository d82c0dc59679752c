"""Every saver of ours, in both colours, over the plans. A backend says only how a plan is run."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Sequence
from copy import copy
from functools import partial
from typing import Any, ClassVar, Self, TypeVar

from threadkeep.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    PendingCommit,
    SavePoint,
    SaveWrites,
)
from threadkeep.checkpoint.commits import Commit, OnConflict
from threadkeep.checkpoint.drafts import Address, address_of
from threadkeep.checkpoint.memo import Learned, Memos
from threadkeep.checkpoint.objects import Codec
from threadkeep.checkpoint.reads import Listing, get_tuple
from threadkeep.checkpoint.requests import Plan
from threadkeep.checkpoint.serde.base import SerializerProtocol
from threadkeep.checkpoint.shallow import ShallowCommit
from threadkeep.checkpoint.upkeep import Job, copy_thread, delete_for_runs, delete_thread, next_batch, prune
from threadkeep.config import RunnableConfig
from threadkeep.errors import ConcurrentUpdateWarning

__all__ = ["PlannedSaver"]

T = TypeVar("T")
MEMO_BYTES = 64 * 1024 * 1024


class PlannedSaver(BaseCheckpointSaver[int]):
    """A saver whose operations are plans.

    `on_conflict` says what a put does whose parent is no longer the newest checkpoint of its namespace (time
    travel on purpose is never a conflict): "fork" keeps both branches, with a `ConcurrentUpdateWarning`;
    "reject" raises `ConcurrentUpdateError`. Each operation is one transaction; a failed one changes nothing.
    Only `prune` and `delete_for_runs` are several, each short: what is broken off is completed by the next.
    """

    keeps_history: ClassVar[bool] = True
    """If not, a thread has the newest checkpoint of each namespace only, whatever id is asked for."""

    def __init__(self, *, serde: SerializerProtocol | None = None, on_conflict: OnConflict = "fork") -> None:
        super().__init__(serde=serde)
        if on_conflict not in ("fork", "reject"):
            raise ValueError(f'on_conflict is "fork" or "reject", not {on_conflict!r}.')
        self.on_conflict: OnConflict = on_conflict
        self._codec = Codec(self.serde)
        self._memos = Memos(MEMO_BYTES)

    @abstractmethod
    def _read(self, plan: Callable[[], Plan[T]]) -> T:
        """Runs the plan that `plan` makes, which changes nothing, in one transaction; anew if that fails."""

    @abstractmethod
    async def _aread(self, plan: Callable[[], Plan[T]]) -> T:
        """As `_read`."""

    @abstractmethod
    def _write(self, plan: Callable[[], Plan[T]]) -> T:
        """Runs a plan in one transaction."""

    @abstractmethod
    async def _awrite(self, plan: Callable[[], Plan[T]]) -> T:
        """As `_write`."""

    @abstractmethod
    def _store(self, commit: Commit) -> list[Learned]:
        """Runs a commit's plan, perhaps with those of other callers in one transaction."""

    @abstractmethod
    async def _astore(self, commit: Commit) -> list[Learned]:
        """As `_store`."""

    def allow(self, types: Iterable[type]) -> None:
        """Lets this saver store and build values of these types too. Compiling a graph does so for its
        state.
        """
        before = self.serde
        super().allow(types)
        if self.serde is not before:
            self._codec = Codec(self.serde)

    def with_allowlist(self, extra_allowlist: Collection[tuple[str, ...] | type]) -> Self:
        """This saver, over the same storage, with a serialiser that also builds the given types."""
        allow = getattr(self.serde, "with_msgpack_allowlist", None)
        if allow is None:
            return self
        other = copy(self)
        other.serde = allow(extra_allowlist)
        other._codec = Codec(other.serde)
        return other

    def commit(self, ops: Sequence[SavePoint | SaveWrites]) -> None:
        """Stores several checkpoints and writes in order, all or nothing."""
        if ops:
            self._learn(self._store(self._commit_of(ops)))

    async def acommit(self, ops: Sequence[SavePoint | SaveWrites]) -> None:
        """As `commit`."""
        if ops:
            self._learn(await self._astore(self._commit_of(ops)))

    def open_commit(self) -> PendingCommit:
        """A commit to be collected and stored later; values count as they are when they are added."""
        return _Collected(self, self._commit_of(()))

    def _commit_of(self, ops: Iterable[SavePoint | SaveWrites]) -> Commit:
        kind = Commit if self.keeps_history else ShallowCommit
        commit = kind(self._codec, self._memos, self.on_conflict)
        for op in ops:
            commit.add(op)
        return commit

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that the config addresses, with metadata and pending writes."""
        return self._read(partial(get_tuple, self._address(config), self._codec, self._memos))

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """As `get_tuple`."""
        return await self._aread(partial(get_tuple, self._address(config), self._codec, self._memos))

    def _address(self, config: RunnableConfig) -> Address:
        address = address_of(config)
        return address if self.keeps_history else address._replace(id=None)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Checkpoints, newest first; read in pages, so that a later page sees what was stored meanwhile."""
        listing = Listing.of(self._listed(config), filter, before, limit, self._codec, self._memos)
        while page := self._read(listing.page):
            yield from page

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """As `list`."""
        listing = Listing.of(self._listed(config), filter, before, limit, self._codec, self._memos)
        while page := await self._aread(listing.page):
            for each in page:
                yield each

    def _listed(self, config: RunnableConfig | None) -> RunnableConfig | None:
        if config is None or self.keeps_history:
            return config
        named = {key: value for key, value in config["configurable"].items() if key != "checkpoint_id"}
        return {**config, "configurable": named}

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Stores a checkpoint as the child of the one that the config names; returns its address."""
        self.commit([SavePoint(config, checkpoint, metadata, new_versions)])
        return _address_after(config, checkpoint)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """As `put`."""
        await self.acommit([SavePoint(config, checkpoint, metadata, new_versions)])
        return _address_after(config, checkpoint)

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Stores what a task wrote, waiting for the successor of the checkpoint that the config names."""
        self.commit([SaveWrites(config, writes, task_id, task_path)])

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """As `put_writes`."""
        await self.acommit([SaveWrites(config, writes, task_id, task_path)])

    def delete_thread(self, thread_id: str) -> None:
        """Deletes a thread with everything in it. Late writes of runs that still go on are refused."""
        self._write(partial(delete_thread, thread_id))

    async def adelete_thread(self, thread_id: str) -> None:
        """As `delete_thread`."""
        await self._awrite(partial(delete_thread, thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Deletes the checkpoints (with their writes) whose metadata names one of these runs."""
        self._perform(delete_for_runs(run_ids, self._codec))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """As `delete_for_runs`."""
        await self._aperform(delete_for_runs(run_ids, self._codec))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copies all checkpoints and writes of a thread to one that has none."""
        self._write(partial(copy_thread, source_thread_id, target_thread_id))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """As `copy_thread`."""
        await self._awrite(partial(copy_thread, source_thread_id, target_thread_id))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Deletes all but the newest checkpoint of each namespace, or ("delete") all of the threads."""
        self._perform(prune(thread_ids, strategy))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """As `prune`."""
        await self._aperform(prune(thread_ids, strategy))

    def _perform(self, job: Job) -> None:
        result = None
        while batch := next_batch(job, result):
            result = self._write(batch.plan) if batch.writes else self._read(batch.plan)

    async def _aperform(self, job: Job) -> None:
        result = None
        while batch := next_batch(job, result):
            result = await (self._awrite(batch.plan) if batch.writes else self._aread(batch.plan))

    def _learn(self, news: Iterable[Learned]) -> None:
        self._memos.learn(news)
        for each in news:
            for warning in each.diverged:
                warnings.warn(warning, ConcurrentUpdateWarning, stacklevel=4)


def _address_after(config: RunnableConfig, checkpoint: Checkpoint) -> RunnableConfig:
    thread_id, ns, _ = address_of(config)
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": ns, "checkpoint_id": checkpoint["id"]}}


class _Collected(PendingCommit):
    """A pending commit that is drafted as it is collected."""

    def __init__(self, saver: PlannedSaver, commit: Commit) -> None:
        super().__init__(saver)
        self._planned = saver
        self._commit = commit

    def add(self, op: SavePoint | SaveWrites) -> None:
        self._commit.add(op)

    def store(self) -> None:
        self._planned._learn(self._planned._store(self._commit))

    async def astore(self) -> None:
        self._planned._learn(await self._planned._astore(self._commit))
