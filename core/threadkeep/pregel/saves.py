"""Saving beside a sync run: what was queued is stored in order, several operations in one commit.

With durability "async" a commit is made when operations have waited for `LINGER` seconds, in a worker
thread; what a run that ends sooner has queued is stored by its own thread in one commit. `saves_async` is
the twin for an event loop.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

from threadkeep.checkpoint.base import BaseCheckpointSaver, SavePoint, SaveWrites
from threadkeep.pregel.threads import call_in_thread

if TYPE_CHECKING:
    from concurrent.futures import Future

Ops = list[SavePoint | SaveWrites]

LINGER = 0.02
"""Seconds. A chat turn of two fast nodes is then one commit instead of three: 14 MB written in 500 turns,
not 25
(benchmarks, row chat-dicts)."""
_IDLE = 200
"""Rounds without work after which the watching thread sleeps until it is needed."""


class ThreadSaves:
    """The saves of one run."""

    def __init__(self, saver: BaseCheckpointSaver[Any]) -> None:
        self._saver = saver
        self._lock = threading.Lock()
        self._ops: Ops = []
        self._busy = False
        self._since = 0.0
        self._worker: Future[None] | None = None

    def save(self, ops: Ops, wait: bool) -> None:
        """Queue operations; with `wait`, return when all that was queued is stored.

        Raises what an earlier or this save raised.
        """
        if not (wait or self._saver.blocking):
            self._keep(ops)
            return
        worker = self._worker
        if worker is not None and (wait or worker.done()):
            worker.result()
        with self._lock:
            self._ops.extend(ops)
            if not wait:
                if not self._busy:
                    _watch.add(self)
                return
            ops, self._ops = self._ops, []
        if self._worker is not worker and self._worker is not None:
            self._worker.result()
        if ops:
            self._saver.commit(ops)

    def _keep(self, ops: Ops) -> None:
        """As `save`, for a saver that waits for nothing: a thread would only take its time from this one."""
        now = time.monotonic()
        if not self._ops:
            self._since = now
        self._ops.extend(ops)
        if now - self._since > LINGER:
            ops, self._ops = self._ops, []
            self._saver.commit(ops)

    def start(self) -> None:
        """Store what is queued, in a worker thread. Called by the watch."""
        with self._lock:
            if self._ops and not self._busy:
                self._busy = True
                self._worker = call_in_thread(self._drain)

    def _drain(self) -> None:
        while True:
            with self._lock:
                ops, self._ops = self._ops, []
                if not ops:
                    self._busy = False
                    return
            self._saver.commit(ops)


class _Watch:
    """One thread that starts the saves of all runs whose operations have waited long enough.

    It looks every `LINGER` seconds while there is work. To start a thread, or to wake one, for each run
    would cost more than a fast run takes.
    """

    def __init__(self) -> None:
        self._waiting: dict[ThreadSaves, float] = {}
        self._lock = threading.Lock()
        self._needed = threading.Event()
        self._started = False

    def add(self, saves: ThreadSaves) -> None:
        """Have these saves started in `LINGER` seconds, if they are not done by then."""
        with self._lock:
            self._waiting.setdefault(saves, time.monotonic() + LINGER)
            if not self._started:
                self._started = True
                threading.Thread(target=self._run, name="threadkeep-saves", daemon=True).start()
        if not self._needed.is_set():
            self._needed.set()

    def _run(self) -> None:
        idle = 0
        while True:
            time.sleep(LINGER)
            now = time.monotonic()
            with self._lock:
                due = [saves for saves, when in self._waiting.items() if when <= now]
                for saves in due:
                    del self._waiting[saves]
                idle = 0 if due or self._waiting else idle + 1
                if idle > _IDLE:
                    self._needed.clear()
            for saves in due:
                saves.start()
            if idle > _IDLE:
                self._needed.wait()
                idle = 0


_watch = _Watch()


def _watch_anew() -> None:
    global _watch
    _watch = _Watch()


os.register_at_fork(after_in_child=_watch_anew)
