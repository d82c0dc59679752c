"""Asking the saver for what the loop wants to load, in both colours."""

from __future__ import annotations

from typing import Any

from threadkeep.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from threadkeep.config import RunnableConfig
from threadkeep.pregel.effects import Load


def load(saver: BaseCheckpointSaver[Any], asked: Load) -> CheckpointTuple | None:
    """The checkpoint that was asked for."""
    if asked.before is None:
        return saver.get_tuple(asked.config)
    return next(iter(saver.list(asked.config, before=_before(asked.before), limit=1)), None)


async def aload(saver: BaseCheckpointSaver[Any], asked: Load) -> CheckpointTuple | None:
    """As `load`."""
    if asked.before is None:
        return await saver.aget_tuple(asked.config)
    async for found in saver.alist(asked.config, before=_before(asked.before), limit=1):
        return found
    return None


def _before(checkpoint_id: str) -> RunnableConfig:
    return {"configurable": {"checkpoint_id": checkpoint_id}}
