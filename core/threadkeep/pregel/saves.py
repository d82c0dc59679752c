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

from threadkeep.checkpoint.base import BaseCheckpointSaver, PendingCommit, SavePoint, SaveWrites
from threadkeep.errors import SerializationError
from threadkeep.pregel.threads import call_in_thread

if TYPE_CHECKING:
    from concurrent.futures import Future

Ops = list[SavePoint | SaveWrites]

LINGER = 0.02
"""Seconds. A chat turn of two fast nodes is then one commit instead of two or three: 18.7 MB written in 500
turns, not 25, and a third more turns of 32 chats at once (benchmarks, rows chat-dicts and chats-32).
"""
_IDLE = 200
"""Rounds without work after which the watching thread sleeps until it is needed."""


def add_all(pending: PendingCommit, ops: Ops) -> None:
    """Add operations to a commit. Where a value cannot be stored: all but that, and no later checkpoint."""
    failure: SerializationError | None = None
    for op in ops:
        if failure is not None and isinstance(op, SavePoint):
            break
        try:
            pending.add(op)
        except SerializationError as error:
            failure = failure or error
    if failure is not None:
        raise failure


class ThreadSaves:
    """The saves of one run. Values are taken as they are when they are queued, whatever nodes do to them
    later.
    """

    def __init__(self, saver: BaseCheckpointSaver[Any]) -> None:
        self._saver = saver
        self._lock = threading.Lock()
        self._pending: PendingCommit | None = None
        self._since = 0.0
        self._busy = False
        self._worker: Future[None] | None = None

    def save(self, ops: Ops, wait: bool) -> None:
        """Queue operations; with `wait`, return when all that was queued is stored.

        Raises what an earlier or this save raised.
        """
        worker = self._worker
        if worker is not None and (wait or worker.done()):
            worker.result()
        with self._lock:
            self._add(ops)
            if not wait and self._saver.blocking:
                if not self._busy:
                    _watch.add(self)
                return
            # A saver that waits for nothing is called from here: a thread would only take this one's time.
            now = wait or time.monotonic() - self._since > LINGER
            pending = self._take() if now else None
        if self._worker is not worker and self._worker is not None:
            self._worker.result()
        if pending is not None:
            pending.store()

    def _add(self, ops: Ops) -> None:
        if not ops:
            return
        if self._pending is None:
            self._pending = self._saver.open_commit()
            self._since = time.monotonic()
        add_all(self._pending, ops)

    def _take(self) -> PendingCommit | None:
        pending, self._pending = self._pending, None
        return pending

    def start(self) -> None:
        """Store what is queued, in a worker thread. Called by the watch."""
        with self._lock:
            if self._pending is not None and not self._busy:
                self._busy = True
                self._worker = call_in_thread(self._drain)

    def _drain(self) -> None:
        while True:
            with self._lock:
                pending = self._take()
                if pending is None:
                    self._busy = False
                    return
            pending.store()


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
