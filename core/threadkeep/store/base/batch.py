"""Single async operations that happen at the same time go to the database together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TypeAlias

from threadkeep.errors import StorageUnavailableError
from threadkeep.loops import from_thread
from threadkeep.store.base.base import BaseStore
from threadkeep.store.base.ops import GetOp, Op, PutOp, Result, validate_op_namespace

_Waiting: TypeAlias = tuple[Op, "asyncio.Future[Result]"]


class _Queue:
    """The operations of one event loop that wait, and the task that carries them out while there are any."""

    __slots__ = ("waiting", "task")

    def __init__(self) -> None:
        self.waiting: list[_Waiting] = []
        self.task: asyncio.Task[None] | None = None


class AsyncBatchedBaseStore(BaseStore):
    """A store whose async single operations (`aget`, `aput`, ...) are gathered into batches.

    A subclass implements `abatch`. What is asked while a batch is under way forms the next one. Operations
    take effect in the order in which they were asked: a read sees every write that was asked before it on
    the same event loop. Of a batch that fails each operation is tried alone, so that only the caller of the
    failing one gets the error; where the database does not answer, all get it. A caller that is cancelled
    disturbs nobody; its operation may still happen.

    Every event loop that uses the store has its own queue and calls `abatch` itself. There is no task while
    nothing is asked, hence nothing to close. The sync operations work from other threads while the store's
    loop runs (that which made it, or used it last); on the loop's own thread they raise
    `asyncio.InvalidStateError`.
    """

    def __init__(self) -> None:
        self._queues: dict[asyncio.AbstractEventLoop, _Queue] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        with suppress(RuntimeError):  # made outside a loop, it belongs to the first that uses it
            self._loop = asyncio.get_running_loop()

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """As `abatch`, for other threads than that of the event loop."""
        return from_thread(self._loop, self.abatch(ops), type(self).__name__)

    async def settled(self) -> None:
        """Returns when all that was asked on this event loop so far has been carried out."""
        queue = self._queues.get(asyncio.get_running_loop())
        if queue is not None and queue.task is not None:
            await asyncio.wait([queue.task])

    def _aone(self, op: Op) -> asyncio.Future[Result]:
        validate_op_namespace(op)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        queue = self._queues.get(loop)
        if queue is not None:
            queue.waiting.append((op, future))
            return future
        queue = self._queues[loop] = _Queue()
        queue.waiting.append((op, future))
        if self._loop is None or not self._loop.is_running():
            self._loop = loop
        # The task starts when those that are ready now have asked for what they want.
        queue.task = loop.create_task(self._work(loop, queue))
        return future

    async def _work(self, loop: asyncio.AbstractEventLoop, queue: _Queue) -> None:
        taken: list[_Waiting] = []
        try:
            while queue.waiting:
                taken, queue.waiting = queue.waiting, []
                for run in _runs(taken):
                    await self._carry_out(run)
        finally:  # nobody is left waiting when the loop shuts down
            del self._queues[loop]
            for _, future in taken + queue.waiting:
                future.cancel()

    async def _carry_out(self, run: Sequence[_Waiting]) -> None:
        """Asks `abatch` and tells the callers. Of those that were cancelled meanwhile nothing is asked."""
        run = [waiting for waiting in run if not waiting[1].done()]
        if not run:
            return
        try:
            results = await self.abatch([op for op, _ in run])
            answers = list(zip(run, results, strict=True))
        except StorageUnavailableError as error:
            for _, future in run:
                _fail(future, error)
        except Exception as error:
            if len(run) == 1:
                _fail(run[0][1], error)
                return
            for waiting in run:
                await self._carry_out([waiting])
        else:
            for (_, future), result in answers:
                if not future.done():
                    future.set_result(result)


def _fail(future: asyncio.Future[Result], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def _runs(waiting: Sequence[_Waiting]) -> Iterator[Sequence[_Waiting]]:
    """Cuts what waits into batches. Reads see the state before their batch: one that must see a write which
    was asked earlier begins the next batch.
    """
    start = 0
    written: set[tuple[tuple[str, ...], str]] = set()
    for i, (op, _) in enumerate(waiting):
        if type(op) is PutOp:
            written.add((op.namespace, op.key))
        elif written and (type(op) is not GetOp or (op.namespace, op.key) in written):
            yield waiting[start:i]
            start = i
            written.clear()
    yield waiting[start:]
