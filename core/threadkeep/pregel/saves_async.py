"""Saving beside an async run. The twin of `saves`."""

from __future__ import annotations

import asyncio
from typing import Any

from threadkeep.checkpoint.base import BaseCheckpointSaver
from threadkeep.pregel.saves import LINGER, Ops


class TaskSaves:
    """The saves of one run, made in an asyncio task or, where waited for, in the caller's."""

    def __init__(self, saver: BaseCheckpointSaver[Any]) -> None:
        self._saver = saver
        self._ops: Ops = []
        self._timer: asyncio.TimerHandle | None = None
        self._worker: asyncio.Task[None] | None = None

    async def save(self, ops: Ops, wait: bool) -> None:
        """As `ThreadSaves.save`."""
        worker = self._worker
        if not wait:
            if worker is not None and worker.done():
                worker.result()
            self.start(ops)
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if worker is not None:
            await asyncio.shield(worker)
            self._worker = None
        ops = [*self._ops, *ops]
        self._ops = []
        if ops:
            await self._saver.acommit(ops)

    def start(self, ops: Ops) -> None:
        """Queue operations, on the event loop. A failure shows at the next `save`."""
        self._ops.extend(ops)
        if self._timer is None and (self._worker is None or self._worker.done()):
            self._timer = asyncio.get_running_loop().call_later(LINGER, self._begin)

    def _begin(self) -> None:
        self._timer = None
        if self._worker is None or not (self._worker.done() and self._worker.exception()):
            self._worker = asyncio.create_task(self._drain())

    async def _drain(self) -> None:
        while self._ops:
            ops, self._ops = self._ops, []
            await self._saver.acommit(ops)
