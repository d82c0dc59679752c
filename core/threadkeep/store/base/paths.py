"""Field paths: which texts of a value are embedded.

A path is names joined by periods: `a.b`. `a[0]`, `a[-1]` and `a[*]` are elements of a list, `*` every value
of a dict (every element of a list), `{b,c.d}` several paths. `"$"` or `""` is the whole value, as JSON with
sorted keys.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

_TOKEN = re.compile(r"\[[^\]]*\]|\{[^}]*\}|[^.\[{]+|[\[{]")


@lru_cache(maxsize=1024)
def _tokens(path: str) -> tuple[str, ...]:
    return tuple(_TOKEN.findall(path))


def tokenize_path(path: str) -> list[str]:
    """The steps of a field path: `"a[*].b"` is `["a", "[*]", "b"]`."""
    return list(_tokens(path))


def get_text_at_path(obj: Any, path: str | list[str]) -> list[str]:
    """The texts that *path* leads to: strings as they are, numbers and booleans by `str`, lists and dicts as
    JSON. None and what is missing gives nothing.
    """
    steps = _tokens(path) if isinstance(path, str) else tuple(path)
    if not steps or steps == ("$",):
        return [_json(obj)]
    if len(steps) == 1 and steps[0][0] not in "*{" and isinstance(obj, dict):
        text = obj.get(steps[0])
        if isinstance(text, str):  # the usual case, in half the time
            return [text]
    places = _children(obj, steps[0]) if len(steps) == 1 else _walk(obj, steps)
    return [_text(found) for found in places if found is not None]


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return _json(value) if isinstance(value, dict | list | tuple) else str(value)


def _walk(value: Any, steps: tuple[str, ...]) -> Iterator[Any]:
    if not steps:
        yield value
        return
    for child in _children(value, steps[0]):
        yield from _walk(child, steps[1:])


def _children(value: Any, step: str) -> Sequence[Any]:
    if isinstance(value, (dict, Mapping)):  # the second takes ten times as long
        return _members(value, step)
    if isinstance(value, list | tuple):
        return _elements(value, step)
    return ()


def _members(value: Mapping[str, Any], step: str) -> Sequence[Any]:
    if step == "*":
        return list(value.values())
    if step.startswith("{"):
        paths = [_tokens(path.strip()) for path in step[1:-1].split(",")]
        return [found for path in paths if path for found in _walk(value, path)]
    return [value[step]] if step in value else ()


def _elements(value: Sequence[Any], step: str) -> Sequence[Any]:
    if step in ("*", "[*]"):
        return value
    if not step.startswith("["):
        return ()
    try:
        return [value[int(step[1:-1])]]
    except (ValueError, IndexError):
        return ()
