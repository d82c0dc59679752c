"""The worker threads that all runs of the process share: started when needed, kept for the next time."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

_THREADS = 4096
"""Never reached in practice: a step inside a step inside a step must not wait for a free thread."""

_pool: ThreadPoolExecutor | None = None


def pool() -> ThreadPoolExecutor:
    """The shared threads."""
    global _pool
    if _pool is None:
        # Imported with the first thread: it costs as much as a third of the engine's import.
        from concurrent.futures import ThreadPoolExecutor

        _pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="threadkeep")
    return _pool


def _forget_threads() -> None:
    global _pool
    _pool = None


os.register_at_fork(after_in_child=_forget_threads)


def call_in_thread(function: Callable[..., Any], *args: Any) -> Future[Any]:
    """A future of the call, made in a worker thread with a copy of this context."""
    return pool().submit(copy_context().run, function, *args)
