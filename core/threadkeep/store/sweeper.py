"""Sweeping expired items now and then, in a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future

from threadkeep.store.base.ops import TTLConfig

DEFAULT_MINUTES = 5.0


def sweep_minutes(asked: float | None, config: TTLConfig | None) -> float:
    """How often to sweep: as asked, else as configured, else every 5 minutes."""
    configured = None if config is None else config.get("sweep_interval_minutes")
    minutes = asked if asked is not None else configured
    return DEFAULT_MINUTES if minutes is None else minutes


class Sweeper:
    """Calls a function once, and then whenever so many minutes have passed, until it is stopped.

    An exception of the function ends it and is that of `future`.
    """

    def __init__(self, sweep: Callable[[], object], minutes: float) -> None:
        self.future: Future[None] = Future()
        self._sweep = sweep
        self._seconds = minutes * 60
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="threadkeep-ttl-sweeper", daemon=True)
        self.future.set_running_or_notify_cancel()
        self._thread.start()

    def _run(self) -> None:
        try:
            self._sweep()
            while not self._stop.wait(self._seconds):
                self._sweep()
        except BaseException as error:
            self.future.set_exception(error)
        else:
            self.future.set_result(None)

    @property
    def running(self) -> bool:
        return not self.future.done()

    def stop(self, timeout: float | None = None) -> bool:
        """Whether it has ended, within *timeout* seconds if given."""
        self._stop.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()
