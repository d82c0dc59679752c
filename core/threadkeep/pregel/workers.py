"""Worker threads that run the tasks of a step: started when needed, kept for the next step, shared by all runs."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from typing import Any

from threadkeep.pregel.execute import run_task
from threadkeep.pregel.task import Task

PARALLEL = 32
"""Threads of one step where the config sets no `max_concurrency`."""
_THREADS = 4096
"""Never reached in practice: a step inside a step inside a step must not wait for a free thread."""

_pool: ThreadPoolExecutor | None = None


def pool() -> ThreadPoolExecutor:
    """The threads that all runs of the process share."""
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="threadkeep")
    return _pool


def _forget_threads() -> None:
    global _pool
    _pool = None


os.register_at_fork(after_in_child=_forget_threads)


class Workers:
    """The sync tasks of one step. Each is reported once, from its thread, to `ended`."""

    def __init__(self, tasks: list[Task], limit: int | None, ended: Callable[[Task], None]) -> None:
        self._todo = deque(tasks)
        self._ended = ended
        context = copy_context()
        for _ in range(min(len(tasks), limit or PARALLEL)):
            pool().submit(self._work, context)

    def _work(self, context: Context) -> None:
        todo = self._todo
        while True:
            try:
                task = todo.popleft()
            except IndexError:
                return
            context.copy().run(run_task, task)
            self._ended(task)

    def cancel(self) -> list[Task]:
        """Start no more tasks. Returns those that now never start; what runs, runs on."""
        dropped: list[Task] = []
        while True:
            try:
                dropped.append(self._todo.popleft())
            except IndexError:
                return dropped


def call_in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """A future of the call, made in a worker thread with a copy of this context."""
    return pool().submit(copy_context().run, function, *args)
