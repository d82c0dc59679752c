"""Saving beside the run: what was queued is stored by a worker, in order, several operations at a time."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import Any

from threadkeep.checkpoint.base import BaseCheckpointSaver, SavePoint, SaveWrites
from threadkeep.pregel.threads import call_in_thread

Ops = list[SavePoint | SaveWrites]


class ThreadSaves:
    """Saves of one run, made in a worker thread or, where waited for, in the caller's."""

    def __init__(self, saver: BaseCheckpointSaver[Any]) -> None:
        self._saver = saver
        self._lock = threading.Lock()
        self._ops: Ops = []
        self._busy = False
        self._worker: Future[None] | None = None

    def save(self, ops: Ops, wait: bool) -> None:
        """Queue operations; with `wait`, return when all that was queued is stored.

        Raises what an earlier or this save raised.
        """
        worker = self._worker
        if not wait:
            if worker is not None and worker.done():
                worker.result()
            with self._lock:
                self._ops.extend(ops)
                if not self._busy:
                    self._busy = True
                    self._worker = call_in_thread(self._drain)
            return
        if worker is not None:
            worker.result()
            self._worker = None
        ops = [*self._ops, *ops]
        self._ops = []
        if ops:
            self._saver.commit(ops)

    def _drain(self) -> None:
        while True:
            with self._lock:
                ops, self._ops = self._ops, []
                if not ops:
                    self._busy = False
                    return
            self._saver.commit(ops)


class TaskSaves:
    """Saves of one run, made in an asyncio task or, where waited for, in the caller's."""

    def __init__(self, saver: BaseCheckpointSaver[Any]) -> None:
        self._saver = saver
        self._ops: Ops = []
        self._worker: asyncio.Task[None] | None = None

    async def save(self, ops: Ops, wait: bool) -> None:
        """As `ThreadSaves.save`."""
        worker = self._worker
        if not wait:
            if worker is not None and worker.done():
                worker.result()
            self.start(ops)
            return
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
        if self._worker is None or (self._worker.done() and not self._worker.exception()):
            self._worker = asyncio.create_task(self._drain())

    async def _drain(self) -> None:
        while self._ops:
            ops, self._ops = self._ops, []
            await self._saver.acommit(ops)
