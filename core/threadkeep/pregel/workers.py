"""The sync tasks of a step, run in worker threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context

from threadkeep.pregel.execute import run_task
from threadkeep.pregel.task import Task
from threadkeep.pregel.threads import submit

PARALLEL = 32
"""Threads of one step where the config sets no `max_concurrency`."""


class Workers:
    """The sync tasks of a step. Each is reported once, from its thread, to `ended`.

    As many as may run at once always start; after a failure no other does.
    """

    def __init__(self, tasks: list[Task], limit: int | None, ended: Callable[[Task], None]) -> None:
        self._todo = todo = deque(tasks)
        self._ended = ended
        self._failed = False
        context = copy_context()
        # Taken before the first is started: a quick worker goes on with what it finds in `_todo`.
        first = deque(todo.popleft() for _ in range(min(len(tasks), limit or PARALLEL)))
        for _ in range(len(first)):
            submit(self._work, context, first)

    def _work(self, context: Context, first: deque[Task]) -> None:
        task = first.popleft()  # whichever thread wakes first, the tasks start in their order
        while True:
            context.copy().run(run_task, task)
            if task.failed:
                self._failed = True
            self._ended(task)
            if self._failed:
                return
            try:
                task = self._todo.popleft()
            except IndexError:
                return

    def cancel(self) -> list[Task]:
        """Start no more tasks. Returns those that now never start; what runs, runs on."""
        dropped: list[Task] = []
        while True:
            try:
                dropped.append(self._todo.popleft())
            except IndexError:
                return dropped
