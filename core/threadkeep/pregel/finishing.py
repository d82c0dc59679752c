"""Waiting for what must not be left alone: a thread that runs the loop, a commit under way."""

from __future__ import annotations

import asyncio
from typing import Any


async def finished(*futures: asyncio.Future[Any]) -> asyncio.CancelledError | None:
    """Waits until all are done, however often this task is cancelled meanwhile. Returns the last
    cancellation.

    Cancelling once is not the rule: an anyio scope cancels again on every turn of the event loop.
    """
    cancelled: asyncio.CancelledError | None = None
    while waiting := [future for future in futures if not future.done()]:
        try:
            await asyncio.wait(waiting)
        except asyncio.CancelledError as error:
            cancelled = error
    return cancelled
