"""The sync tasks of a step, run in worker threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context

from threadkeep.pregel.execute import run_task
from threadkeep.pregel.task import Task
from threadkeep.pregel.threads import pool

PARALLEL = 32
"""Threads of one step where the config sets no `max_concurrency`."""


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
