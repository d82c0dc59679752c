"""The worker threads that all runs of the process share: started when needed, kept for the next time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

_idle: deque[ThreadPoolExecutor] = deque()
"""Executors of one thread each; the one that worked last is taken first.

One executor of many threads can lose count of its idle ones from Python 3.12 on: it then starts more. On
3.12.1, 4,000 steps of four tasks left 4,096 threads, and took ten times as long. Nor may a step inside a step
inside a step ever wait for a free thread.
"""

os.register_at_fork(after_in_child=_idle.clear)


def submit(function: Callable[..., Any], *args: Any) -> Future[Any]:
    """A future of the call, made in a worker thread, at once."""
    try:
        thread = _idle.pop()
    except IndexError:
        # Imported with the first thread: it costs as much as a third of the engine's import.
        from concurrent.futures import ThreadPoolExecutor

        thread = ThreadPoolExecutor(1, thread_name_prefix="threadkeep")
    return thread.submit(_work, thread, function, args)


def _work(thread: ThreadPoolExecutor, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    try:
        return function(*args)
    finally:
        _idle.append(thread)


def call_in_thread(function: Callable[..., Any], *args: Any) -> Future[Any]:
    """A future of the call, made in a worker thread with a copy of this context."""
    return submit(copy_context().run, function, *args)
