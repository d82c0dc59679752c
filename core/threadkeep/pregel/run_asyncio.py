"""The async interpreter: performs the loop's effects on an event loop.

Async nodes run as tasks; sync nodes run in worker threads, and consecutive steps of one sync node each share
one visit to a thread.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Coroutine, Generator
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from typing import Any, NamedTuple

from threadkeep.pregel.effects import Cancel, Done, Effect, Execute, Load, Save, Steps, advance
from threadkeep.pregel.execute import is_async, run_task
from threadkeep.pregel.execute_async import arun_task
from threadkeep.pregel.finishing import finished
from threadkeep.pregel.loads import aload
from threadkeep.pregel.run import Chunk, Run
from threadkeep.pregel.run_threads import NOT_YET, step_timeout
from threadkeep.pregel.saves_async import TaskSaves
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
        self._open = dict.fromkeys(tasks)
        self._timeout = timeout = run.graph.step_timeout
        self._deadline = None if timeout is None else time.monotonic() + timeout
        limit = run.config.get("max_concurrency")
        own = deque(task for task in tasks if is_async(task))
        threaded = [task for task in tasks if not is_async(task)]
        if limit and own and threaded:
            # One limit for both kinds: the same workers run both.
            own, threaded = deque(tasks), []
        self._todo = own
        self._failed = False
        count = min(limit, len(own)) if limit else len(own)
        self._running = [self._loop.create_task(self._work()) for _ in range(count)]
        self._workers = Workers(threaded, limit, self._ended_in_thread) if threaded else None

    async def _work(self) -> None:
        todo = self._todo
        while todo and not self._failed:
            task = todo.popleft()
            if is_async(task):
                await InContext(arun_task(task), copy_context())
                self._end(task)
            else:
                call = call_in_thread(run_task, task)
                call.add_done_callback(partial(self._ended_in_thread, task))
                await asyncio.shield(asyncio.wrap_future(call))
            if task.failed:
                self._failed = True

    def _end(self, task: Task) -> None:
        self._ended.append(task)
        self.wake()

    def _ended_in_thread(self, task: Task, _: object = None) -> None:
        self._loop.call_soon_threadsafe(self._end, task)

    def wake(self) -> None:
        """Let `wait` return."""
        if not self._woken.done():
            self._woken.set_result(None)

    def wake_from_thread(self) -> None:
        """As `wake`, from any thread."""
        self._loop.call_soon_threadsafe(self.wake)

    async def wait(self) -> list[Task]:
        """Tasks that ended; empty where a chunk came first. Raises `TimeoutError`."""
        if not self._ended:
            left = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
            done, _ = await asyncio.wait((self._woken,), timeout=left)
            if not done:
                raise step_timeout(self._timeout, self._open)
        self._woken = self._loop.create_future()
        ended, self._ended = self._ended, []
        for task in ended:
            self._open.pop(task, None)
        return ended

    async def cancel(self, wait: bool) -> list[Task]:
        """Stop what can be stopped; `wait` for the rest, or leave it. Returns tasks not yet reported."""
        dropped = set(self._todo)
        self._todo.clear()
        if self._workers is not None:
            dropped.update(self._workers.cancel())
        for running in self._running:
            running.cancel()
        await finished(*self._running)
        for task in self._open:
            if not task.done and (task in dropped or is_async(task)):
                task.error = asyncio.CancelledError()
                task.done = True
        self._deadline = None
        rest = list(self._open)
        while wait and not all(task.done for task in self._open):
            with suppress(
                asyncio.CancelledError
            ):  # what runs in a thread ends first, however often we are cancelled
                await self.wait()
        self._open.clear()
        return [task for task in rest if task.done]


class _Outcome(NamedTuple):
    """What performing an effect gave: a reply, an error, or already the loop's next effect."""

    reply: Any = None
    failure: BaseException | None = None
    effect: Effect | Done | None = None


class _Driver:
    """Performs effects. What an effect raises goes back into the loop."""

    def __init__(self, run: Run, loop: Steps, chunks: deque[Chunk] | None, live: bool) -> None:
        self._run = run
        self._loop = loop
        self._chunks = chunks
        self._live = live
        self._inline = not live and run.graph.step_timeout is None
        self._saves = TaskSaves(run.saver) if run.saver is not None else None
        self._step: _Step | None = None
        self._leaving = False
        self._here = asyncio.get_running_loop()

    async def perform(self, effect: Effect) -> _Outcome:
        """The effect's reply, or what it raised."""
        try:
            if type(effect) is Execute:
                if self._inline and len(effect.tasks) == 1:
                    return await self._execute_one(effect.tasks)
                self._step = None
                self._step = _Step(self._run, effect.tasks)
                if self._live:
                    self._run.on_chunk = self._step.wake_from_thread
            elif type(effect) is Load:
                assert self._run.saver is not None
                return _Outcome(await aload(self._run.saver, effect))
            elif type(effect) is Save:
                assert self._saves is not None
                await self._saves.save(self._run.take_ops(), effect.wait)
                return _Outcome()
            elif type(effect) is Cancel:
                return _Outcome(await self._step.cancel(effect.wait) if self._step is not None else [])
        except BaseException as error:
            return _Outcome(failure=error)
        return await self.wait()

    async def _execute_one(self, tasks: list[Task]) -> _Outcome:
        if is_async(tasks[0]):
            await InContext(arun_task(tasks[0]), copy_context())
            return _Outcome(tasks)
        hop = asyncio.wrap_future(call_in_thread(self._hop, tasks))
        try:
            return _Outcome(effect=await asyncio.shield(hop))
        except asyncio.CancelledError:
            # The thread cannot be stopped, and what its node has done must not be lost: let it end first.
            self._leaving = True
            await finished(hop)
            raise

    def _hop(self, tasks: list[Task]) -> Effect | Done:
        """Runs a sync task and all steps after it that are one sync task too, in this worker thread.

        Returns the effect that follows them.
        """
        while True:
            copy_context().run(run_task, tasks[0])
            effect = advance(self._loop, tasks, None)
            while type(effect) is Save and not effect.wait and self._saves is not None:
                self._saves.add(self._run.take_ops())
                self._here.call_soon_threadsafe(self._saves.start)
                effect = advance(self._loop, None, None)
            if (
                self._leaving
                or self._chunks
                or type(effect) is not Execute
                or len(effect.tasks) > 1
                or is_async(effect.tasks[0])
            ):
                return effect
            tasks = effect.tasks

    async def wait(self) -> _Outcome:
        """The tasks that ended, or `NOT_YET`."""
        assert self._step is not None
        try:
            return _Outcome(await self._step.wait() or NOT_YET)
        except BaseException as error:
            return _Outcome(failure=error)

    async def close(self) -> None:
        """All is done, or the consumer went away: start nothing more, and keep what was finished."""
        self._run.stopped = True
        try:
            if self._step is not None:
                await self._step.cancel(True)
        finally:
            self._loop.close()
            if self._saves is not None:
                await self._saves.save(self._run.take_ops(), True)


async def adrive(
    run: Run, loop: Steps, chunks: deque[Chunk] | None, live: bool
) -> AsyncGenerator[Chunk, None]:
    """Perform the loop. Yields chunks as they come; the result is then in `run.result`.

    `live`: chunks may come while a task runs.
    """
    driver = _Driver(run, loop, chunks, live)
    outcome = _Outcome()
    try:
        while True:
            effect = outcome.effect or advance(loop, outcome.reply, outcome.failure)
            while chunks:
                yield chunks.popleft()
            if isinstance(effect, Done):
                run.result = effect.unwrap()
                return
            outcome = await driver.perform(effect)
            while outcome.reply is NOT_YET:
                while chunks:
                    yield chunks.popleft()
                outcome = await driver.wait()
    finally:
        await driver.close()
