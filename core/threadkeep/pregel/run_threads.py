"""The sync interpreter: performs the loop's effects in this thread and in worker threads."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterable
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import Any, Final

from threadkeep.pregel.effects import Cancel, Done, Effect, Execute, Load, Save, Steps, advance
from threadkeep.pregel.execute import run_task
from threadkeep.pregel.loads import load
from threadkeep.pregel.run import Chunk, Run
from threadkeep.pregel.saves import ThreadSaves
from threadkeep.pregel.task import Task
from threadkeep.pregel.workers import Workers

NOT_YET: Final = object()
"""The reply of tasks none of which has ended; chunks may have come."""


class TaskDropped(BaseException):
    """The error of a task that never started, since another of its step had failed."""


class _Step:
    """The tasks of one superstep while they run in worker threads."""

    def __init__(self, run: Run, tasks: list[Task], wake: SimpleQueue[Task | None]) -> None:
        self._open = set(tasks)
        self._timeout = timeout = run.graph.step_timeout
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._wake = wake
        self._workers = Workers(tasks, run.config.get("max_concurrency"), wake.put)

    def wait(self) -> list[Task]:
        """Tasks that ended; empty where a chunk came first. Raises `TimeoutError`."""
        deadline = self._deadline
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            first = self._wake.get(timeout=left)
        except Empty:
            raise step_timeout(self._timeout, self._open) from None
        return self.ended(first)

    def ended(self, first: Task | None = None) -> list[Task]:
        """Tasks that have ended and were not reported yet."""
        found = [first]
        while True:
            try:
                found.append(self._wake.get_nowait())
            except Empty:
                break
        ended = [task for task in found if task is not None and task in self._open]
        self._open.difference_update(ended)
        return ended

    def runs(self) -> bool:
        """Whether a task has not been reported."""
        return bool(self._open)

    def settle(self) -> None:
        """Wait until no task runs."""
        self.cancel()
        while not all(task.done for task in self._open):
            self.wait()

    def leave(self) -> list[Task]:
        """Forget what still runs. Returns the tasks that have ended."""
        ended = self.ended()
        self._open.clear()
        return ended

    def cancel(self) -> None:
        """Drop what has not started; the rest is waited for by `wait`, for as long as it takes."""
        self._deadline = None
        for task in self._workers.cancel():
            task.error = TaskDropped()
            task.done = True
            self._wake.put(task)


def step_timeout(seconds: float | None, still_running: Iterable[Task]) -> TimeoutError:
    """The error of a superstep that took too long."""
    names = ", ".join(sorted(task.name for task in still_running))
    return TimeoutError(f"A superstep took longer than {seconds} s. Still running: {names}.")


class _Driver:
    """Performs effects. What an effect raises goes back into the loop."""

    def __init__(self, run: Run, live: bool) -> None:
        self._run = run
        self._inline = not live and run.graph.step_timeout is None
        self._saves = ThreadSaves(run.saver) if run.saver is not None else None
        self._step: _Step | None = None
        self._wake: SimpleQueue[Task | None] = SimpleQueue()
        if live:
            run.on_chunk = lambda: self._wake.put(None)

    def perform(self, effect: Effect) -> tuple[Any, BaseException | None]:
        """The effect's reply, or what it raised."""
        try:
            if type(effect) is Execute:
                if self._inline and len(effect.tasks) == 1:
                    copy_context().run(run_task, effect.tasks[0])
                    return effect.tasks, None
                self._step = None
                self._step = _Step(self._run, effect.tasks, self._wake)
            elif type(effect) is Load:
                assert self._run.saver is not None
                return load(self._run.saver, effect), None
            elif type(effect) is Save:
                assert self._saves is not None
                self._saves.save(self._run.take_ops(), effect.wait)
                return None, None
            elif type(effect) is Cancel:
                step = self._step
                if step is None or not step.runs():
                    return [], None
                step.cancel()
                if not effect.wait:
                    return step.leave(), None
        except BaseException as error:
            return None, error
        return self.wait()

    def wait(self) -> tuple[Any, BaseException | None]:
        """The tasks that ended, or `NOT_YET`."""
        assert self._step is not None
        try:
            return self._step.wait() or NOT_YET, None
        except BaseException as error:
            return None, error

    def close(self, loop: Steps) -> None:
        """All is done, or the consumer went away: start nothing more, and keep what was finished."""
        self._run.stopped = True
        try:
            if self._step is not None:
                self._step.settle()
        finally:
            loop.close()
            if self._saves is not None:
                self._saves.save(self._run.take_ops(), True)


def drive(run: Run, loop: Steps, chunks: deque[Chunk] | None, live: bool) -> Generator[Chunk, None, Any]:
    """Perform the loop. Yields chunks as they come, returns its result.

    `live`: chunks may come while a task runs, so no task runs in this thread.
    """
    driver = _Driver(run, live)
    reply: Any = None
    failure: BaseException | None = None
    try:
        while True:
            effect = advance(loop, reply, failure)
            while chunks:
                yield chunks.popleft()
            if isinstance(effect, Done):
                return effect.unwrap()
            reply, failure = driver.perform(effect)
            while reply is NOT_YET:
                while chunks:
                    yield chunks.popleft()
                reply, failure = driver.wait()
    finally:
        driver.close(loop)
