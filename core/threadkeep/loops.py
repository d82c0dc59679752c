"""The results of one event loop's coroutines for other threads."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["from_thread"]

T = TypeVar("T")


def from_thread(loop: asyncio.AbstractEventLoop | None, work: Coroutine[Any, Any, T], owner: str) -> T:
    """The result of a coroutine of `loop`, for another thread, which waits.

    Raises asyncio.InvalidStateError on the loop's own thread, where waiting would never end, and where the
    loop does not run. `owner` names the class in that error.
    """
    try:
        here = asyncio.get_running_loop()
    except RuntimeError:
        here = None
    if loop is None or not loop.is_running() or here is loop:
        work.close()
        raise asyncio.InvalidStateError(
            f"This is a sync method of {owner} on its event loop's own thread: use the async one (await "
            "graph.ainvoke(…), await saver.aget_tuple(…), await store.aget(…)). From other threads it works "
            f"while the loop runs. For programs without a loop there is {owner.removeprefix('Async')}."
        )
    return asyncio.run_coroutine_threadsafe(work, loop).result()
