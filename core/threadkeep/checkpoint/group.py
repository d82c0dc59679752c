"""Group commit: callers that come while a transaction runs share the next one. Knows no SQL."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from threadkeep.errors import CheckpointError

__all__ = ["AsyncGroup", "Group"]

S = TypeVar("S")
T = TypeVar("T")
_MOST = 64
"""Commits in one transaction."""
_GATHER_SECONDS = 0.0005


def _interrupted() -> CheckpointError:
    return CheckpointError("The thread that stored this commit together with its own was interrupted.")


class _Entry(Generic[S, T]):
    __slots__ = ("commit", "lead", "result", "turn")

    def __init__(self, commit: S) -> None:
        self.commit = commit
        self.result: T | BaseException | None = None
        self.lead = False
        self.turn = threading.Lock()
        """Held while the caller waits."""


class Group(Generic[S, T]):
    """Runs the commits of many threads, those that wait together. The first leads, then one that waits.

    A leader waits a moment for as many as came last time: they are about to come again, and while they
    prepare, each call of SQLite would hand them the interpreter. (8 threads: 4,600 steps a second without,
    see storage.md. On Postgres every other group would have one commit, and 40 % more time would go by.)
    """

    def __init__(self, run_all: Callable[[list[S]], Sequence[T | BaseException]]) -> None:
        self._run_all = run_all
        self._lock = threading.Lock()
        self._queue: deque[_Entry[S, T]] = deque()
        self._busy = False
        self._expected = 0
        """How many followers the last leader had."""
        self._gathering: _Entry[S, T] | None = None
        """A leader that waits for followers."""

    def run(self, commit: S) -> T:
        """The result of the commit, or its error. Returns when the transaction is committed."""
        entry: _Entry[S, T] = _Entry(commit)
        with self._lock:
            if self._busy:
                entry.turn.acquire()
                self._queue.append(entry)
                if self._gathering is not None and len(self._queue) >= self._expected:
                    self._gathering.turn.release()
                    self._gathering = None
            else:
                self._busy = entry.lead = True
        if not entry.lead:
            self._wait(entry)
        if entry.lead:
            self._lead(entry)
        if isinstance(entry.result, BaseException):
            raise entry.result
        return entry.result  # type: ignore[return-value]  # set by the leader

    def _wait(self, entry: _Entry[S, T]) -> None:
        """Until the entry is stored or leads. A signal handler that raises takes it out of the queue."""
        try:
            entry.turn.acquire()
        except BaseException:
            with self._lock:
                queued = entry in self._queue
                if queued:
                    self._queue.remove(entry)
            if not queued and entry.turn.acquire() and entry.lead:
                self._pass_on(())
            raise

    def _lead(self, mine: _Entry[S, T]) -> None:
        batch = [mine]
        try:
            if self._queue or self._expected:
                batch += self._followers(mine)
            results = self._run_all([entry.commit for entry in batch])
            for entry, result in zip(batch, results, strict=True):
                entry.result = result
        except BaseException as error:
            # What interrupts the leader (Ctrl-C) is not the followers' affair; theirs may be stored or not.
            for entry in batch:
                entry.result = error if entry is mine or isinstance(error, Exception) else _interrupted()
        finally:
            self._pass_on(batch[1:])

    def _pass_on(self, stored: Sequence[_Entry[S, T]]) -> None:
        """Let those that were stored go, and one that waits lead."""
        with self._lock:
            following = self._queue.popleft() if self._queue else None
            self._busy = following is not None
        for entry in stored:
            entry.turn.release()
        if following is not None:
            following.lead = True
            following.turn.release()

    def _followers(self, mine: _Entry[S, T]) -> list[_Entry[S, T]]:
        with self._lock:
            wait = len(self._queue) < self._expected
            if wait:
                mine.turn = threading.Lock()
                mine.turn.acquire()
                self._gathering = mine
        if wait:
            mine.turn.acquire(timeout=_GATHER_SECONDS)
        with self._lock:
            self._gathering = None
            followers = [self._queue.popleft() for _ in range(min(len(self._queue), _MOST - 1))]
            self._expected = len(followers)
        return followers


class AsyncGroup(Generic[S, T]):
    """Runs the commits of many tasks, those that wait together, `runs` transactions at a time.

    They run in tasks of their own, so that a caller that is cancelled takes nobody with it. What such a
    caller asked for may be stored or not.
    """

    def __init__(
        self, run_all: Callable[[list[S]], Awaitable[Sequence[T | BaseException]]], *, runs: int
    ) -> None:
        self._run_all = run_all
        self._most = runs
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queue: deque[tuple[S, asyncio.Future[T]]] = deque()
        self._running: set[asyncio.Task[None]] = set()

    async def run(self, commit: S) -> T:
        """The result of the commit, or its error. Returns when the transaction is committed."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._queue, self._running = loop, deque(), set()
        done: asyncio.Future[T] = loop.create_future()
        self._queue.append((commit, done))
        if len(self._running) < self._most:
            # It begins when the tasks that are ready now have queued too.
            self._running.add(loop.create_task(self._drain()))
        return await done

    async def _drain(self) -> None:
        queue = self._queue
        batch: list[tuple[S, asyncio.Future[T]]] = []
        try:
            while queue:
                batch = [queue.popleft() for _ in range(min(len(queue), _MOST))]
                batch = [each for each in batch if not each[1].cancelled()]
                try:
                    results = await self._run_all([commit for commit, _ in batch])
                except Exception as error:
                    results = [error] * len(batch)
                for (_, done), result in zip(batch, results, strict=True):
                    if done.cancelled():
                        continue
                    if isinstance(result, BaseException):
                        done.set_exception(result)
                    else:
                        done.set_result(result)
        finally:
            for _, done in batch:
                done.cancel()  # only if the loop ends now: else it has its result
            task = asyncio.current_task()
            assert task is not None
            self._running.discard(task)
