"""Makes the arguments of savers."""

from __future__ import annotations

from typing import Any

from threadkeep.checkpoint.base import Checkpoint, CheckpointTuple, uuid6


def address(thread_id: Any = "t", ns: str = "", id: str | None = None, **more: Any) -> Any:
    """A config."""
    configurable = {"thread_id": thread_id, "checkpoint_ns": ns, **more}
    return {"configurable": configurable if id is None else {**configurable, "checkpoint_id": id}}


def point(
    values: dict[str, Any], versions: dict[str, Any] | None = None, *, id: str | None = None
) -> Checkpoint:
    """A checkpoint; every value at version 1 if not told otherwise."""
    versions = dict.fromkeys(values, 1) if versions is None else versions
    return Checkpoint(
        v=2,
        id=id or uuid6(),
        ts="2026-11-20T12:00:00+00:00",
        channel_values=values,
        channel_versions=versions,
        versions_seen={"node": versions},
        updated_channels=sorted(values),
    )


class Run:
    """One branch of a thread, put step by step as the engine does: whole values, versions that rise."""

    def __init__(self, saver: Any, thread_id: str = "t", ns: str = "") -> None:
        self.saver = saver
        self.config = address(thread_id, ns)
        self.values: dict[str, Any] = {}
        self.versions: dict[str, int] = {}
        self.step = -1

    async def put(
        self, *, metadata: dict[str, Any] | None = None, gone: tuple[str, ...] = (), **written: Any
    ) -> str:
        """Puts the next checkpoint; returns its id."""
        self.values = {**self.values, **written}
        for channel in gone:
            del self.values[channel]
        new = {channel: self.versions.get(channel, 0) + 1 for channel in (*written, *gone)}
        self.versions = {**self.versions, **new}
        made = point(self.values, dict(self.versions))
        stored = {"source": "loop", "step": self.step, "parents": {}, **(metadata or {})}
        self.config = await self.saver.put(self.config, made, stored, new)
        self.step += 1
        return made["id"]

    def fork(self, id: str, values: dict[str, Any], versions: dict[str, int]) -> Run:
        """A run that branches off on purpose."""
        other = Run(self.saver)
        where = self.config["configurable"]
        other.config = address(where["thread_id"], where["checkpoint_ns"], id, __threadkeep_fork=True)
        other.values, other.versions = dict(values), dict(versions)
        return other


def values(found: CheckpointTuple | None) -> dict[str, Any]:
    """The values of a checkpoint that must be there."""
    assert found is not None
    return found.checkpoint["channel_values"]


def ids(found: list[Any]) -> list[str]:
    """The ids of checkpoints."""
    return [each.checkpoint["id"] for each in found]
