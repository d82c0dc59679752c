"""Turns anything a graph returns into exact JSON: types named, ids numbered in order of appearance.

Knows both roots by shape only (tuple with `_fields`, dataclass, pydantic model), imports neither.
"""

import builtins
import dataclasses
import datetime
import enum
import json
import re
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
ID = re.compile(rf"{UUID}|\b[0-9a-f]{{32}}\b")
NUMBERED = re.compile(r"\bid\d+\b")
ZERO = "00000000-0000-0000-0000-000000000000"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d|Z)?")


def plain(value: Any) -> Any:
    """JSON that keeps the types: what is no JSON type becomes `{"$name": …}`."""
    if value is None or (isinstance(value, bool | int | float | str) and not isinstance(value, enum.Enum)):
        return value
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return _mapping(value)
    if isinstance(value, tuple):
        return _tuple(value)
    return _object(value)


def _mapping(value: Mapping[Any, Any]) -> Any:
    if all(isinstance(key, str) for key in value):
        return {key: plain(item) for key, item in value.items()}
    return {"$dict": [[plain(key), plain(item)] for key, item in value.items()]}


def _tuple(value: tuple[Any, ...]) -> Any:
    fields = getattr(value, "_fields", None)
    if fields is None:
        return {"$tuple": [plain(item) for item in value]}
    return {f"${type(value).__name__}": {name: plain(getattr(value, name)) for name in fields}}


def _object(value: Any) -> Any:
    name = type(value).__name__
    if isinstance(value, BaseException):
        return plain_error(value, ())
    if isinstance(value, set | frozenset | deque):
        items = [plain(item) for item in value]
        return {f"${name}": items if isinstance(value, deque) else sorted(items, key=repr)}
    if isinstance(value, bytes):
        return {"$bytes": value.hex()}
    if isinstance(value, datetime.datetime):
        return {"$datetime": value.isoformat()}
    if isinstance(value, enum.Enum):
        return {"$enum": [name, value.name]}
    if isinstance(value, type):
        return {"$type": value.__name__}
    return _record(name, value)


def _record(name: str, value: Any) -> Any:
    if name == "Send":
        return {"$Send": [value.node, plain(value.arg)]}
    if name.endswith("Message"):
        kept = {k: plain(v) for k, v in value.__dict__.items() if v and k in ("id", "name", "tool_calls")}
        return {f"${name}": {"content": plain(value.content), **kept}}
    if dataclasses.is_dataclass(value):
        return {f"${name}": {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}}
    if hasattr(value, "model_dump"):
        return {f"${name}": {key: plain(item) for key, item in value}}
    return {"$repr": name}


def plain_error(error: BaseException, words: Sequence[str]) -> Any:
    """Class and text of a program's own error; else class, built-in base, which of `words` the text has."""
    kind = type(error)
    if not words and _raised_by_a_program(error):
        return {"$raised": kind.__name__, "text": str(error)}
    base = next(
        c for c in kind.__mro__ if c.__module__ == "builtins" and c is getattr(builtins, c.__name__, None)
    )
    text = str(error)
    return {"$raised": kind.__name__, "is": base.__name__, "says": [word for word in words if word in text]}


def _raised_by_a_program(error: BaseException) -> bool:
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return frame is not None and Path(frame.tb_frame.f_code.co_filename).parent.name == "programs"


def numbered(value: Any) -> Any:
    """`plain` data with ids as `id1`, `id2` … in order of appearance (keys sorted) and times as `ts`."""
    return _numbered(value, {})


def _numbered(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, str):
        value = ID.sub(
            lambda m: m[0] if m[0] == ZERO else names.setdefault(m[0], f"id{len(names) + 1}"), value
        )
        return TIME.sub("ts", value)
    if isinstance(value, list):
        return [_numbered(item, names) for item in value]
    if isinstance(value, dict):
        return {_numbered(key, names): _numbered(value[key], names) for key in sorted(value)}
    return value


def unordered(value: Any) -> Any:
    """`numbered` data without the order of chunks and records; lists of text keep theirs."""
    if isinstance(value, dict):
        return {key: unordered(item) for key, item in value.items()}
    if isinstance(value, str):
        return NUMBERED.sub("id", value)
    if not isinstance(value, list):
        return value
    items = [unordered(item) for item in value]
    nested = all(isinstance(item, dict | list) for item in items)
    return sorted(items, key=lambda item: json.dumps(item, sort_keys=True)) if nested else items


def differences(expected: Any, actual: Any, path: str = "") -> list[str]:
    """Where two plain values differ, one line each; an error may say more than was expected of it."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        if "$raised" in expected and "says" in expected and "says" in actual:
            actual = {**actual, "says": [w for w in expected["says"] if w in actual["says"]]}
        keys = sorted(set(expected) | set(actual))
        return [line for key in keys for line in _entry(expected, actual, key, f"{path}.{key}")]
    if isinstance(expected, list) and isinstance(actual, list):
        return _lists(expected, actual, path)
    if type(expected) is type(actual) and expected == actual:
        return []
    return [f"{path or '.'}: expected {expected!r}, got {actual!r}"]


def _entry(expected: dict[str, Any], actual: dict[str, Any], key: str, path: str) -> list[str]:
    if key not in actual:
        return [f"{path}: missing, expected {expected[key]!r}"]
    if key not in expected:
        return [f"{path}: unexpected {actual[key]!r}"]
    return differences(expected[key], actual[key], path)


def _lists(expected: list[Any], actual: list[Any], path: str) -> list[str]:
    lines = [
        line
        for index, (want, got) in enumerate(zip(expected, actual, strict=False))
        for line in differences(want, got, f"{path}[{index}]")
    ]
    if len(expected) != len(actual):
        lines.append(
            f"{path}: expected {len(expected)} items, got {len(actual)}: {actual[len(expected) :]!r}"
        )
    return lines
