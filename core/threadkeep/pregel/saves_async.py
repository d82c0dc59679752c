"""Saving beside an async run. The twin of `saves`."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from threadkeep.checkpoint.base import BaseCheckpointSaver, PendingCommit
from threadkeep.pregel.finishing import finished
from threadkeep.pregel.saves import LINGER, Ops, add_all


class TaskSaves:
    """The saves of one run, made in an asyncio task or, where waited for, in the caller's."""

    def __init__(self, saver: BaseCheckpointSaver[Any]) -> None:
        self._saver = saver
        self._lock = threading.Lock()
        self._pending: PendingCommit | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._worker: asyncio.Task[None] | None = None

    async def save(self, ops: Ops, wait: bool) -> None:
        """As `ThreadSaves.save`."""
        worker = self._worker
        if worker is not None and worker.done():
            worker.result()
        self.add(ops)
        if not wait:
            self.start()
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # What was finished before the run was cancelled is stored before the run ends.
        cancelled = None
        if worker is not None:
            cancelled = await finished(worker)
            worker.result()
            self._worker = None
        if (pending := self._take()) is not None:
            if self._saver.blocking:
                storing = asyncio.ensure_future(pending.astore())
                cancelled = await finished(storing) or cancelled
                storing.result()
            else:
                await pending.astore()
        if cancelled is not None:
            raise cancelled

    def add(self, ops: Ops) -> None:
        """Queue operations. Also from the worker thread that runs the loop just now."""
        if not ops:
            return
        with self._lock:
            if self._pending is None:
                self._pending = self._saver.open_commit()
            add_all(self._pending, ops)

    def _take(self) -> PendingCommit | None:
        with self._lock:
            pending, self._pending = self._pending, None
        return pending

    def start(self) -> None:
        """Have what is queued stored soon. A failure shows at the next `save`."""
        if self._timer is None and (self._worker is None or self._worker.done()):
            self._timer = asyncio.get_running_loop().call_later(LINGER, self._begin)

    def _begin(self) -> None:
        self._timer = None
        if self._worker is None or not (self._worker.done() and self._worker.exception()):
            self._worker = asyncio.create_task(self._drain())

    async def _drain(self) -> None:
        while (pending := self._take()) is not None:
            await pending.astore()
