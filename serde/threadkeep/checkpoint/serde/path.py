"""Where in a value a part of it stands, for the message of an error. Reads attributes, decides nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Final

__all__ = ["path_of"]

MAX_STEPS: Final = 100_000


def path_of(part: Any, value: Any) -> str | None:
    """The way from *value* to *part*, like `["orders"][3].customer`; None if it is not found soon."""
    waiting: list[tuple[str, Any]] = [("", value)]
    seen: set[int] = set()
    for _ in range(MAX_STEPS):
        if not waiting:
            return None
        path, found = waiting.pop()
        if found is part:
            return path
        if id(found) not in seen:
            seen.add(id(found))
            waiting.extend((path + step, inner) for step, inner in _parts(found))
    return None


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in dict.items(value):
            yield f"[{key!r:.80}]", item
            yield f" key {key!r:.80}", key
    elif isinstance(value, (list, tuple)):
        yield from ((f"[{at}]", item) for at, item in enumerate(value))
    elif isinstance(value, (set, frozenset)):
        yield from (("{…}", item) for item in value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = (field.name for field in dataclasses.fields(value))
        yield from ((f".{name}", getattr(value, name, None)) for name in names)
    elif hasattr(type(value), "model_fields"):
        yield from ((f".{name}", item) for name, item in vars(value).items())
