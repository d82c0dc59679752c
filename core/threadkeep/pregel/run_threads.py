"""The sync interpreter: performs the loop's effects in this thread and in worker threads."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import Any

from threadkeep.pregel.effects import Cancel, Execute, Load, Save, Wait
from threadkeep.pregel.execute import run_task
from threadkeep.pregel.loop import Steps
from threadkeep.pregel.run import Chunk, Run
from threadkeep.pregel.saver_queue import ThreadSaves
from threadkeep.pregel.task import Task
from threadkeep.pregel.workers import Workers


class _Step:
    """The tasks of one superstep while they run in worker threads."""

    def __init__(self, run: Run, tasks: list[Task], wake: SimpleQueue[Task | None]) -> None:
        self.open = set(tasks)
        timeout = run.graph.step_timeout
        self.deadline = None if timeout is None else time.monotonic() + timeout
        self.timeout = timeout
        self._wake = wake
        self._workers = Workers(tasks, run.config.get("max_concurrency"), wake.put)

    def wait(self) -> list[Task]:
        """Tasks that ended; empty where a chunk came first. Raises `TimeoutError`."""
        ended: list[Task] = []
        try:
            left = None if self.deadline is None else max(0.0, self.deadline - time.monotonic())
            item = self._wake.get(timeout=left)
            while True:
                if item is not None and item in self.open:
                    self.open.discard(item)
                    ended.append(item)
                item = self._wake.get_nowait()
        except Empty:
            if self.deadline is not None and not ended and time.monotonic() >= self.deadline:
                names = ", ".join(sorted(task.name for task in self.open))
                raise TimeoutError(f"A superstep took longer than {self.timeout} s. Still running: {names}.") from None
        return ended

    def cancel(self) -> None:
        """Drop what has not started; the rest is waited for by `wait`."""
        for task in self._workers.cancel():
            task.error = TaskDropped()
            task.done = True
            self._wake.put(task)


class TaskDropped(BaseException):
    """The error of a task that never started, since another of its step had failed."""


def drive(run: Run, loop: Steps, chunks: deque[Chunk] | None, live: bool) -> Generator[Chunk, None, Any]:
    """Perform the loop. Yields chunks as they come, returns its result.

    `live`: chunks may come while a task runs, so no task runs in this thread.
    """
    saves = ThreadSaves(run.saver) if run.saver is not None else None
    wake: SimpleQueue[Task | None] = SimpleQueue()
    if live and chunks is not None:
        run.on_chunk = lambda: wake.put(None)
    step: _Step | None = None
    inline = not live and run.graph.step_timeout is None
    reply: Any = None
    failure: BaseException | None = None
    try:
        while True:
            try:
                effect = loop.send(reply) if failure is None else loop.throw(failure)
            except StopIteration as stop:
                if chunks:
                    yield from _drain(chunks)
                return stop.value
            except BaseException:
                if chunks:
                    yield from _drain(chunks)
                raise
            failure = None
            if chunks:
                yield from _drain(chunks)
            try:
                kind = type(effect)
                if kind is Execute:
                    tasks: list[Task] = effect.tasks
                    if inline and len(tasks) == 1:
                        copy_context().run(run_task, tasks[0])
                        reply = tasks
                        continue
                    step = _Step(run, tasks, wake)
                elif kind is Load:
                    reply = run.saver.get_tuple(effect.config)
                    continue
                elif kind is Save:
                    reply = saves.save(effect.ops, effect.wait)
                    continue
                elif kind is Cancel:
                    step.cancel()
                reply = step.wait()
                while not reply:
                    if chunks:
                        yield from _drain(chunks)
                    reply = step.wait()
                if chunks:
                    yield from _drain(chunks)
            except GeneratorExit:
                raise
            except BaseException as error:
                failure = error
    finally:
        _close(run, loop, step, saves)


def _drain(chunks: deque[Chunk]) -> Generator[Chunk, None, None]:
    while chunks:
        yield chunks.popleft()


def _close(run: Run, loop: Steps, step: _Step | None, saves: ThreadSaves | None) -> None:
    """The consumer went away, or all is done: start nothing more, and keep what was finished."""
    run.stopped = True
    if step is not None:
        step.cancel()
    loop.close()
    if saves is not None:
        ops, run.ops = run.ops, []
        saves.save(ops, True)
