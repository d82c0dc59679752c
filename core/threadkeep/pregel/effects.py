"""What the loop asks of the world. The two interpreters perform these, in threads or on an event loop."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from threadkeep.checkpoint.base import SavePoint, SaveWrites
from threadkeep.config import RunnableConfig
from threadkeep.pregel.task import Task


class Load(NamedTuple):
    """Asks the saver for a checkpoint. Reply: a `CheckpointTuple` or None."""

    config: RunnableConfig


class Execute(NamedTuple):
    """Starts tasks. Reply: those that ended first, at least one."""

    tasks: list[Task]


class Wait(NamedTuple):
    """Reply: the next tasks that ended, at least one."""


class Cancel(NamedTuple):
    """Stops what has not ended, and waits for what cannot be stopped. Reply: the rest of the tasks."""


class Save(NamedTuple):
    """Hands operations to the saver. With `wait` they are stored on reply, as is all that came before."""

    ops: list[SavePoint | SaveWrites]
    wait: bool


Effect: TypeAlias = Load | Execute | Wait | Cancel | Save
Reply: TypeAlias = Any
