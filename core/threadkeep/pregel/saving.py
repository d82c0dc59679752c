"""What a run hands to its saver: checkpoints and writes, queued in order. Pure; the loop says when they are
sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from threadkeep.checkpoint.base import Checkpoint, SavePoint, SaveWrites, uuid6
from threadkeep.config import RunnableConfig
from threadkeep.constants import CONF, CONFIG_KEY_FORK, NO_WRITES
from threadkeep.pregel.run import Run
from threadkeep.pregel.task import Task

CHECKPOINT_VERSION = 4


def save_config(run: Run, checkpoint_id: str | None) -> RunnableConfig:
    """The address that the saver gets: the thread, the namespace, and the checkpoint to continue."""
    if run.address is None:
        run.address = _address(run)
    configurable = run.address[CONF]
    if checkpoint_id:
        configurable = {**configurable, "checkpoint_id": checkpoint_id}
    if run.fork:
        configurable = {**configurable, CONFIG_KEY_FORK: True}
    return {**run.address, CONF: configurable}


def _address(run: Run) -> RunnableConfig:
    """What all addresses of the run share. The saver takes metadata from it too."""
    given = run.config.get(CONF) or {}
    configurable = {key: value for key, value in given.items() if not key.startswith("__")}
    configurable.pop("checkpoint_id", None)
    configurable.update(thread_id=run.thread_id, checkpoint_ns=run.ns)
    config: RunnableConfig = {CONF: configurable}
    if metadata := run.config.get("metadata"):
        config["metadata"] = metadata
    return config


def checkpoint_of(run: Run, updated: Iterable[str] | None) -> Checkpoint:
    """The run's state as a checkpoint with a new id."""
    assert run.versions is not None
    return Checkpoint(
        v=CHECKPOINT_VERSION,
        ts=datetime.now(UTC).isoformat(),
        id=uuid6(run.step, max(run.checkpoint_id, run.saved_id or "", run.head_id)),
        channel_values=dict(run.saved_values),
        channel_versions=dict(run.versions),
        versions_seen=dict(run.seen),
        updated_channels=None if updated is None else sorted(updated),
    )


def save_point(run: Run, source: str) -> None:
    """The run stands on a new checkpoint, which is queued for the saver."""
    run.metadata = {"source": source, "step": run.step, "parents": run.parents}
    run.pending = []
    if run.saver is not None:
        checkpoint = checkpoint_of(run, run.updated)
        config = save_config(run, run.saved_id)
        new_versions = run.new_versions
        if run.durability == "exit":
            # Only the last checkpoint of the run is saved, and the writes that wait on it.
            for op in run.ops:
                if isinstance(op, SavePoint):
                    config = op.config
                    new_versions = {**op.new_versions, **new_versions}
            run.ops.clear()
        run.ops.append(SavePoint(config, checkpoint, run.metadata, new_versions))  # type: ignore[arg-type]  # closed keys
        run.new_versions = {}
        run.parent_id = run.saved_id
        run.checkpoint_id = checkpoint["id"]
        if run.durability != "exit":
            run.saved_id = run.checkpoint_id
        run.fork = False
    run.step += 1


def save_writes(run: Run, task_id: str, writes: list[tuple[str, Any]], path: str = "") -> None:
    """The outcome of a task is queued for the saver and noted in the run."""
    if run.saver is None:
        return
    if run.graph.untracked:
        writes = [write for write in writes if write[0] not in run.graph.untracked]
    kept = writes or [(NO_WRITES, None)]
    run.pending.extend((task_id, channel, value) for channel, value in kept)
    run.ops.append(SaveWrites(save_config(run, run.checkpoint_id), kept, task_id, path))


def path_text(task: Task) -> str:
    """A task's path as the saver sorts it."""
    return "~" + ", ".join(f"{part:010d}" if isinstance(part, int) else str(part) for part in task.path[:3])
