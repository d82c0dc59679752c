"""A chat that grows by a message each step: what is put, and what must come back."""

from __future__ import annotations

from typing import Any

from tests.contract.points import point

MESSAGE = {"role": "user", "content": "shared " * 50}


def values(thread: str, i: int) -> dict[str, Any]:
    """The values of the i-th step."""
    return {"messages": [MESSAGE, *({"content": f"{thread} {k} " * 30} for k in range(i))], "n": i}


def step(thread: str, i: int) -> tuple[Any, Any, Any]:
    """What `put` takes beside the config."""
    versions = {"messages": i + 1, "n": i + 1}
    return point(values(thread, i), versions), {"step": i}, versions


def check(found: list[Any], thread: str, count: int) -> None:
    """Asserts that a list is of so many steps, each with its write."""
    assert [each.checkpoint["channel_values"] for each in found] == [
        values(thread, i) for i in reversed(range(count))
    ]
    assert [each.pending_writes for each in found] == [[("task", "n", i)] for i in reversed(range(count))]
