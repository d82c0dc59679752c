"""Group commit: callers that come while a transaction runs share the next one. Knows threads; no SQL."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from threadkeep.checkpoint.requests import Plan

__all__ = ["Group"]

T = TypeVar("T")
_MOST = 64
"""Plans in one transaction."""


class _Entry(Generic[T]):
    __slots__ = ("lead", "plan", "result", "turn")

    def __init__(self, plan: Plan[T]) -> None:
        self.plan = plan
        self.result: T | BaseException | None = None
        self.lead = False
        self.turn = threading.Lock()
        """Held while the caller waits."""


class Group(Generic[T]):
    """Runs the plans of many threads, those that wait together. The first leads, then one that waits."""

    def __init__(self, run_all: Callable[[list[Plan[T]]], list[T | BaseException]]) -> None:
        self._run_all = run_all
        self._lock = threading.Lock()
        self._queue: deque[_Entry[T]] = deque()
        self._busy = False

    def run(self, plan: Plan[T]) -> T:
        """The plan's result, or its error. Returns when the transaction is committed."""
        entry = _Entry(plan)
        with self._lock:
            if self._busy:
                entry.turn.acquire()
                self._queue.append(entry)
            else:
                self._busy = entry.lead = True
        if not entry.lead:
            entry.turn.acquire()
        if entry.lead:
            self._lead(entry)
        if isinstance(entry.result, BaseException):
            raise entry.result
        return entry.result  # type: ignore[return-value]  # set by the leader

    def _lead(self, mine: _Entry[T]) -> None:
        batch = [mine]
        try:
            with self._lock:
                while self._queue and len(batch) < _MOST:
                    batch.append(self._queue.popleft())
            results = self._run_all([entry.plan for entry in batch])
            for entry, result in zip(batch, results, strict=True):
                entry.result = result
        except BaseException as error:
            for entry in batch:
                entry.result = error
        finally:
            with self._lock:
                following = self._queue.popleft() if self._queue else None
                self._busy = following is not None
            if following is not None:
                following.lead = True
                following.turn.release()
            for entry in batch[1:]:
                entry.turn.release()
