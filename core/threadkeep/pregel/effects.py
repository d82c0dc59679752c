"""What the loop asks of the world. The two interpreters perform these, in threads or on an event loop."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple, TypeAlias

from threadkeep.config import RunnableConfig
from threadkeep.pregel.task import Task


class Load(NamedTuple):
    """Asks the saver for a checkpoint. Reply: a `CheckpointTuple` or None."""

    config: RunnableConfig
    before: str | None = None
    """The newest one older than this id, instead of the newest."""


class Execute(NamedTuple):
    """Starts tasks. Reply: those that ended first, at least one."""

    tasks: list[Task]


class Wait(NamedTuple):
    """Reply: the next tasks that ended, at least one."""


class Cancel(NamedTuple):
    """Stops what has not ended. Reply: tasks that ended, or none where what still runs is left behind."""

    wait: bool
    """For what cannot be stopped; without it, that is left behind."""


class Save(NamedTuple):
    """Hands the run's queued operations to the saver. With `wait` they are stored on reply, as is all
    before.
    """

    wait: bool


Effect: TypeAlias = Load | Execute | Wait | Cancel | Save
Reply: TypeAlias = Any
Steps: TypeAlias = Generator[Effect, Reply, Any]
"""A loop: yields effects, is sent replies, returns the result of the run."""


class Done(NamedTuple):
    """The loop has ended."""

    result: Any
    error: BaseException | None

    def unwrap(self) -> Any:
        """The result. Raises the error, where the loop ended with one."""
        if self.error is not None:
            raise self.error
        return self.result


def advance(loop: Steps, reply: Reply, failure: BaseException | None) -> Effect | Done:
    """The loop's next effect, after the last one was answered or failed."""
    try:
        return loop.send(reply) if failure is None else loop.throw(failure)
    except StopIteration as stop:
        return Done(stop.value, None)
    except BaseException as error:
        return Done(None, error)
