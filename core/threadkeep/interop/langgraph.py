"""Our savers and stores under LangGraph's own `compile()`. Only this module, and that of the stores, import
langgraph, and only when it is imported itself: `pip install "threadkeep-core[langgraph]"`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from threading import Lock
from typing import Any

from threadkeep.checkpoint import base as ours
from threadkeep.checkpoint.drafts import address_of
from threadkeep.checkpoint.serde.jsonplus import register
from threadkeep.constants import CONFIG_KEY_FORK
from threadkeep.errors import ThreadDeletedError

try:
    from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
    from langgraph.checkpoint.serde import types as serde_types
    from langgraph.store.base import Item, SearchItem
    from langgraph.types import Command, Interrupt, Overwrite, Send, TimeoutPolicy
except ImportError as cause:
    raise ImportError(
        'LangGraph is not installed, or too old: pip install "threadkeep-core[langgraph]".'
    ) from cause

from threadkeep.interop.langgraph_store import LangGraphStore, as_langgraph_store

__all__ = ["LangGraphSaver", "LangGraphStore", "as_langgraph_saver", "as_langgraph_store"]

REMEMBERED = 10_000
"""Checkpoints of which a saver remembers that they were stored."""


def as_langgraph_saver(saver: ours.BaseCheckpointSaver[Any]) -> LangGraphSaver:
    """One of our savers as a checkpointer of LangGraph: `compile(checkpointer=as_langgraph_saver(saver))`.

    Colours, options (`on_conflict`, `serde`) and life stay the saver's own: open and close that one. Classes
    in the state are closed by default, as everywhere here: register them, allow them in the saver's
    serialiser, or set LANGGRAPH_STRICT_MSGPACK=true, with which LangGraph names the classes of its state
    schema by itself.
    """
    return LangGraphSaver(saver)


class LangGraphSaver(BaseCheckpointSaver[Any]):
    """LangGraph's protocol over one of our savers."""

    def __init__(self, saver: ours.BaseCheckpointSaver[Any]) -> None:
        super().__init__(serde=saver.serde)
        self.saver = saver
        self._arrivals = _Arrivals()
        self._allowing: dict[frozenset[Any], LangGraphSaver] = {}

    @property
    def config_specs(self) -> list[Any]:
        """Config fields this saver understands beside the addresses."""
        return self.saver.config_specs

    def get_tuple(self, config: Any) -> CheckpointTuple | None:
        """The checkpoint that the config addresses, with metadata and pending writes."""
        return self._found(self.saver.get_tuple(config))

    async def aget_tuple(self, config: Any) -> CheckpointTuple | None:
        """As `get_tuple`."""
        return self._found(await self.saver.aget_tuple(config))

    def list(
        self,
        config: Any,
        *,
        filter: dict[str, Any] | None = None,
        before: Any = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Checkpoints, newest first."""
        for each in self.saver.list(config, filter=filter, before=before, limit=limit):
            yield _theirs(each)

    async def alist(
        self,
        config: Any,
        *,
        filter: dict[str, Any] | None = None,
        before: Any = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """As `list`."""
        async for each in self.saver.alist(config, filter=filter, before=before, limit=limit):
            yield _theirs(each)

    def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        """Stores a checkpoint as the child of the one that the config names; returns its address."""
        stored = self.saver.put(_with_intent(config), checkpoint, metadata, new_versions)
        for early in self._arrivals.stored(stored):
            self.saver.put_writes(*early)
        return stored

    async def aput(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        """As `put`."""
        stored = await self.saver.aput(_with_intent(config), checkpoint, metadata, new_versions)
        for early in self._arrivals.stored(stored):
            await self.saver.aput_writes(*early)
        return stored

    def put_writes(
        self, config: Any, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Stores what a task wrote, waiting for the successor of the checkpoint that the config names."""
        ask = ours.SaveWrites(config, writes, task_id, task_path)
        try:
            self.saver.put_writes(*ask)
        except ThreadDeletedError:
            if not self._arrivals.keep(ask):
                self.saver.put_writes(*ask)

    async def aput_writes(
        self, config: Any, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """As `put_writes`."""
        ask = ours.SaveWrites(config, writes, task_id, task_path)
        try:
            await self.saver.aput_writes(*ask)
        except ThreadDeletedError:
            if not self._arrivals.keep(ask):
                await self.saver.aput_writes(*ask)

    def delete_thread(self, thread_id: str) -> None:
        """Deletes a thread with everything in it. Late writes of runs that still go on are refused."""
        self.saver.delete_thread(thread_id)

    async def adelete_thread(self, thread_id: str) -> None:
        """As `delete_thread`."""
        await self.saver.adelete_thread(thread_id)

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Deletes the checkpoints (with their writes) whose metadata names one of these runs."""
        self.saver.delete_for_runs(run_ids)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """As `delete_for_runs`."""
        await self.saver.adelete_for_runs(run_ids)

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copies all checkpoints and writes of a thread to one that has none."""
        self.saver.copy_thread(source_thread_id, target_thread_id)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """As `copy_thread`."""
        await self.saver.acopy_thread(source_thread_id, target_thread_id)

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Deletes all but the newest checkpoint of each namespace, or ("delete") all of the threads."""
        self.saver.prune(thread_ids, strategy=strategy)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """As `prune`."""
        await self.saver.aprune(thread_ids, strategy=strategy)

    def get_next_version(self, current: Any, channel: None) -> Any:
        """The version after `current`, None for the first."""
        return self.saver.get_next_version(current, channel)

    def with_allowlist(self, extra_allowlist: Collection[tuple[str, ...]]) -> LangGraphSaver:
        """This saver with a serialiser that also builds the given types; the same one for the same types."""
        key = frozenset(extra_allowlist)
        allowing = self._allowing.get(key)
        if allowing is None:
            allowing = LangGraphSaver(self.saver.with_allowlist(key))
            allowing._arrivals = self._arrivals
            self._allowing[key] = allowing
        return allowing

    def _found(self, found: ours.CheckpointTuple | None) -> CheckpointTuple | None:
        if found is None:
            return None
        self._arrivals.seen(found.config)
        return _theirs(found)


def _theirs(found: ours.CheckpointTuple) -> CheckpointTuple:
    fields: tuple[Any, ...] = found
    return CheckpointTuple(*fields)


def _with_intent(config: Any) -> Any:
    """The config, marked where the run leaves the thread's head on purpose.

    A run that was started at a checkpoint has its id in the metadata. What it puts next to that checkpoint's
    children is a branch, not a conflict; so are the graphs inside such a run.
    """
    start = (config.get("metadata") or {}).get("checkpoint_id")
    configurable = config["configurable"]
    if start and (configurable.get("checkpoint_ns") or configurable.get("checkpoint_id") == start):
        return {**config, "configurable": {**configurable, CONFIG_KEY_FORK: True}}
    return config


class _Arrivals:
    """Orders writes that overtake their checkpoint.

    Under `durability="async"` LangGraph hands over a checkpoint and its writes side by side. A thread that
    was deleted before and begun anew refuses writes to a checkpoint that is not there, as of a run that
    outlived the deletion. A run writes only to what it loaded or puts: writes to a checkpoint that was never
    seen wait here for the put that is on its way. If that is refused, it raises, and they were not to be
    stored.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._there: OrderedDict[tuple[str, str, str], None] = OrderedDict()
        self._early: OrderedDict[tuple[str, str, str], list[ours.SaveWrites]] = OrderedDict()

    def seen(self, config: Any) -> None:
        """The config's checkpoint is stored."""
        with self._lock:
            self._note(_key(config))

    def stored(self, config: Any) -> list[ours.SaveWrites]:
        """The config's checkpoint is stored now; returns the writes that waited for it."""
        with self._lock:
            key = _key(config)
            self._note(key)
            return self._early.pop(key, [])

    def keep(self, writes: ours.SaveWrites) -> bool:
        """Keeps refused writes for their checkpoint; False if that was stored before."""
        with self._lock:
            key = _key(writes.config)
            if key in self._there:
                return False
            self._early.setdefault(key, []).append(writes)
            while len(self._early) > REMEMBERED:
                self._early.popitem(last=False)
            return True

    def _note(self, key: tuple[str, str, str]) -> None:
        self._there[key] = None
        self._there.move_to_end(key)
        if len(self._there) > REMEMBERED:
            self._there.popitem(last=False)


def _key(config: Any) -> tuple[str, str, str]:
    thread_id, ns, id = address_of(config)
    return thread_id, ns, id or ""


# LangGraph's own types in stored values. The names in the bytes are ours, so that a class of theirs may move.


def _send(state: Any) -> Send:
    node, arg, timeout = state
    return Send(node, arg, timeout=timeout)


def _interrupt(state: Any) -> Interrupt:
    value, id, schema = state
    return Interrupt(value, id, response_schema=schema)


def _command(state: Any) -> Command[Any]:
    graph, update, resume, goto = state
    return Command(graph=graph, update=update, resume=resume, goto=goto)


def _register() -> None:
    register(Send, name="langgraph:Send", to_state=lambda it: [it.node, it.arg, it.timeout], from_state=_send)
    register(
        Interrupt,
        name="langgraph:Interrupt",
        to_state=lambda it: [it.value, it.id, it.response_schema],
        from_state=_interrupt,
    )
    register(
        Command,
        name="langgraph:Command",
        to_state=lambda it: [it.graph, it.update, it.resume, it.goto],
        from_state=_command,
    )
    register(
        Overwrite,
        name="langgraph:Overwrite",
        to_state=lambda it: it.value,
        from_state=lambda it: Overwrite(it),
    )
    register(TimeoutPolicy, name="langgraph:TimeoutPolicy")
    for item in (Item, SearchItem):
        register(item, name=f"langgraph:{item.__name__}")
    snapshot = getattr(serde_types, "_DeltaSnapshot", None)  # what DeltaChannel stores now and then
    if snapshot is not None:
        register(snapshot, name="langgraph:DeltaSnapshot")


_register()
