"""The async interpreter: performs the loop's effects on an event loop.

Async nodes run as tasks; sync nodes run in worker threads, and consecutive steps of one sync node each share
one visit to a thread.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Coroutine, Generator
from contextvars import Context, copy_context
from typing import Any, NamedTuple

from threadkeep.pregel.effects import Cancel, Execute, Load, Save
from threadkeep.pregel.execute import arun_task, is_async, run_task
from threadkeep.pregel.loop import Steps
from threadkeep.pregel.run import Chunk, Run
from threadkeep.pregel.saver_queue import TaskSaves
from threadkeep.pregel.task import Task
from threadkeep.pregel.threads import call_in_thread
from threadkeep.pregel.workers import Workers


class InContext:
    """Awaits a coroutine within a context of its own, without the cost of an asyncio task."""

    __slots__ = ("_context", "_coro")

    def __init__(self, coro: Coroutine[Any, Any, Any], context: Context) -> None:
        self._coro = coro
        self._context = context

    def __await__(self) -> Generator[Any, Any, Any]:
        enter, coro = self._context.run, self._coro
        resume: Any = coro.send
        value: Any = None
        while True:
            try:
                waited = enter(resume, value)
            except StopIteration as stop:
                return stop.value
            try:
                value = yield waited
                resume = coro.send
            except GeneratorExit:
                enter(coro.close)
                raise
            except BaseException as error:
                resume, value = coro.throw, error


class _Step:
    """The tasks of one superstep while they run."""

    def __init__(self, run: Run, tasks: list[Task]) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended: list[Task] = []
        self._woken = self._loop.create_future()
        self._open = set(tasks)
        self.timeout = run.graph.step_timeout
        self._deadline = None if self.timeout is None else time.monotonic() + self.timeout
        limit = run.config.get("max_concurrency")
        own = deque(task for task in tasks if is_async(task))
        threaded = [task for task in tasks if not is_async(task)]
        count = len(own) if not limit else min(limit, len(own))
        create = self._loop.create_task
        self._running = [create(self._work(own)) for _ in range(count)]
        self._workers = Workers(threaded, limit, self._ended_in_thread) if threaded else None

    async def _work(self, todo: deque[Task]) -> None:
        while todo:
            task = todo.popleft()
            await InContext(arun_task(task), copy_context())
            self._end(task)

    def _end(self, task: Task) -> None:
        self._ended.append(task)
        self.wake()

    def _ended_in_thread(self, task: Task) -> None:
        self._loop.call_soon_threadsafe(self._end, task)

    def wake(self) -> None:
        if not self._woken.done():
            self._woken.set_result(None)

    async def wait(self) -> list[Task]:
        """Tasks that ended; empty where a chunk came first. Raises `TimeoutError`."""
        if not self._ended:
            left = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
            done, _ = await asyncio.wait((self._woken,), timeout=left)
            if not done:
                names = ", ".join(sorted(task.name for task in self._open))
                raise TimeoutError(f"A superstep took longer than {self.timeout} s. Still running: {names}.")
        self._woken = self._loop.create_future()
        ended, self._ended = self._ended, []
        self._open.difference_update(ended)
        return ended

    async def cancel(self) -> list[Task]:
        """Stop what can be stopped, wait for the rest. Returns the tasks not yet reported."""
        for running in self._running:
            running.cancel()
        if self._running:
            await asyncio.wait(self._running)
        dropped = self._workers.cancel() if self._workers else []
        for task in self._open:
            if task in dropped or (is_async(task) and not task.done):
                task.error = task.error or asyncio.CancelledError()
                task.done = True
        while any(not task.done for task in self._open):
            await self.wait()
        rest = list(self._open)
        self._open.clear()
        return rest


class _Done(NamedTuple):
    """The loop ended within a thread."""

    result: Any
    error: BaseException | None


async def adrive(run: Run, loop: Steps, chunks: deque[Chunk] | None, live: bool) -> AsyncGenerator[Chunk, None]:
    """Perform the loop. Yields chunks as they come; the result is then in `run.result`.

    `live`: chunks may come while a task runs.
    """
    saves = TaskSaves(run.saver) if run.saver is not None else None
    inline = not live and run.graph.step_timeout is None
    here = asyncio.get_running_loop()
    step: _Step | None = None
    reply: Any = None
    failure: BaseException | None = None
    effect: Any = None
    try:
        while True:
            if effect is None:
                effect = _advance(loop, reply, failure)
            failure = None
            while chunks:
                yield chunks.popleft()
            kind = type(effect)
            if kind is _Done:
                if effect.error is not None:
                    raise effect.error
                run.result = effect.result
                return
            try:
                if kind is Execute:
                    tasks: list[Task] = effect.tasks
                    if inline and len(tasks) == 1:
                        if is_async(tasks[0]):
                            await InContext(arun_task(tasks[0]), copy_context())
                            reply = tasks
                        else:
                            effect = await asyncio.wrap_future(call_in_thread(_hop, run, loop, tasks, chunks, saves, here))
                            continue
                    else:
                        step = _Step(run, tasks)
                        if live:
                            current = step
                            run.on_chunk = lambda current=current: here.call_soon_threadsafe(current.wake)
                elif kind is Load:
                    reply = await run.saver.aget_tuple(effect.config)
                elif kind is Save:
                    reply = await saves.save(effect.ops, effect.wait)
                elif kind is Cancel:
                    reply = await step.cancel()
                if kind not in (Load, Save, Cancel) and not (kind is Execute and inline and len(effect.tasks) == 1):
                    reply = await step.wait()
                    while not reply:
                        while chunks:
                            yield chunks.popleft()
                        reply = await step.wait()
            except GeneratorExit:
                raise
            except BaseException as error:
                failure = error
                if step is not None:
                    await step.cancel()
            effect = None
    finally:
        run.stopped = True
        if step is not None:
            await step.cancel()
        loop.close()
        if saves is not None:
            ops, run.ops = run.ops, []
            await saves.save(ops, True)


def _advance(loop: Steps, reply: Any, failure: BaseException | None) -> Any:
    """The loop's next effect, or its end."""
    try:
        return loop.send(reply) if failure is None else loop.throw(failure)
    except StopIteration as stop:
        return _Done(stop.value, None)
    except BaseException as error:
        return _Done(None, error)


def _hop(
    run: Run,
    loop: Steps,
    tasks: list[Task],
    chunks: deque[Chunk] | None,
    saves: TaskSaves | None,
    here: asyncio.AbstractEventLoop,
) -> Any:
    """Runs a sync task and all steps after it that are one sync task too, in a worker thread. Returns the effect
    that follows them."""
    while True:
        copy_context().run(run_task, tasks[0])
        if run.stopped:
            return _Done(None, None)
        effect = _advance(loop, tasks, None)
        while type(effect) is Save and not effect.wait and saves is not None:
            here.call_soon_threadsafe(saves.start, effect.ops)
            effect = _advance(loop, None, None)
        if chunks or type(effect) is not Execute or len(effect.tasks) > 1 or is_async(effect.tasks[0]):
            return effect
        tasks = effect.tasks
