"""What a commit will store, as far as it is known without the storage: addresses, bytes, trees. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

from threadkeep.channels.base import MISSING
from threadkeep.checkpoint.base import (
    WRITES_IDX_MAP,
    SavePoint,
    SaveWrites,
    get_serializable_checkpoint_metadata,
)
from threadkeep.checkpoint.objects import Codec, Cutter, ListMemo, ListTree, Tree
from threadkeep.checkpoint.records import pack_head
from threadkeep.constants import CONFIG_KEY_FORK

__all__ = ["Address", "Draft", "Drafter", "PointDraft", "WritesDraft", "address_of", "check_name"]

NAME_MAX = 16_384
"""Characters of a thread id, namespace, checkpoint id or task id."""


class Address(NamedTuple):
    """Where a config points."""

    thread_id: str
    ns: str
    id: str | None


class PointDraft(NamedTuple):
    """A checkpoint to be stored."""

    address: Address
    """`id` is the parent's."""
    id: str
    head: bytes
    """The beginning of the body, packed."""
    parents: Mapping[str, str]
    fork: bool
    metadata: Mapping[str, Any]
    versions: Mapping[str, Any]
    fresh: dict[str, Tree | None]
    """Of the channels that were written; None for no value."""
    others: Mapping[str, Any]
    """All values, in case that the parent lacks one that was not written. Taken as they are when stored."""


class WritesDraft(NamedTuple):
    """The writes of a task, to be stored."""

    address: Address
    task: str
    path: str
    entries: list[tuple[int, str, Tree]]
    """Place in the task, channel, value."""


Draft = PointDraft | WritesDraft


def address_of(config: Mapping[str, Any]) -> Address:
    """The address in a config. Raises ValueError without a `thread_id`, and for what cannot be stored."""
    configurable = config.get("configurable") or {}
    thread_id = configurable.get("thread_id")
    if thread_id is None:
        raise ValueError('The config names no thread_id: {"configurable": {"thread_id": "..."}}.')
    ns = configurable.get("checkpoint_ns") or ""
    id = configurable.get("checkpoint_id") or None
    if not _is_plain(thread_id):
        thread_id = check_name("thread_id", thread_id)
    if ns and not _is_plain(ns):
        ns = check_name("checkpoint_ns", ns)
    if id is not None and not _is_plain(id):
        id = check_name("checkpoint_id", id)
    return Address(thread_id, ns, id)


def _is_plain(name: Any) -> bool:
    return type(name) is str and name.isascii() and len(name) <= NAME_MAX


def check_name(what: str, name: object) -> str:
    """The name as a string. Raises ValueError if it is too long or not Unicode text."""
    name = name if isinstance(name, str) else str(name)
    if len(name) > NAME_MAX:
        raise ValueError(
            f"{what} has {len(name):,} characters; at most {NAME_MAX:,} are allowed: {name[:40]!r}…"
        )
    if not name.isascii():
        try:
            name.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{what} holds a lone surrogate, which is not text: {name[:40]!r}") from None
    return name


class Drafter:
    """Makes the drafts of one commit, in the order of its operations. Raises what the serialiser raises.

    The program may run between two operations: a draft holds nothing that it could change.
    """

    def __init__(self, codec: Codec, last_of: Callable[[str, str, str], ListMemo | None]) -> None:
        self._codec = codec
        self._last_of = last_of
        """The memo of the list stored last, by thread, namespace and channel."""
        self._lists: dict[tuple[str, str, str], ListTree] = {}

    def draft(self, op: SavePoint | SaveWrites) -> Draft:
        """What the operation will store, of its values as they are now."""
        return self._point(op) if isinstance(op, SavePoint) else self._writes(op)

    def _point(self, op: SavePoint) -> PointDraft:
        config, checkpoint, metadata, new_versions = op
        address = address_of(config)
        values, versions = checkpoint["channel_values"], checkpoint["channel_versions"]
        stored = get_serializable_checkpoint_metadata(config, metadata)
        fresh: dict[str, Tree | None] = {}
        cutter = Cutter(self._codec)
        for channel in new_versions:
            value = values.get(channel, MISSING)
            fresh[channel] = None if value is MISSING else self._cut(cutter, address, channel, value)
        return PointDraft(
            address,
            check_name("checkpoint id", checkpoint["id"]),
            pack_head(checkpoint, self._codec.dump(stored)),
            stored.get("parents") or {},
            bool(config["configurable"].get(CONFIG_KEY_FORK)),
            cast("Mapping[str, Any]", stored),
            versions.copy(),
            fresh,
            values,
        )

    def _writes(self, op: SaveWrites) -> WritesDraft:
        config, writes, task_id, task_path = op
        address = address_of(config)
        if address.id is None:
            raise ValueError("Writes belong to a checkpoint: the config must have a checkpoint_id.")
        entries = []
        cutter = Cutter(self._codec)
        for place, (channel, value) in enumerate(writes):
            last = self._last_of(address.thread_id, address.ns, channel) if type(value) is list else None
            tree = cutter.cut(value, last)
            entries.append((WRITES_IDX_MAP.get(channel, place), channel, tree))
        return WritesDraft(address, check_name("task_id", task_id), task_path, entries)

    def _cut(self, cutter: Cutter, address: Address, channel: str, value: Any) -> Tree:
        if type(value) is not list:
            return cutter.cut(value)
        key = (address.thread_id, address.ns, channel)
        last = self._lists.get(key) or self._last_of(*key)
        tree = cutter.cut(value, last, remember=True)
        if type(tree) is ListTree:
            self._lists[key] = tree
        return tree
