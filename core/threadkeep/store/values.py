"""What a value may hold: JSON. The same on every store, so that what works in a test works on a server.

A value is a dict with string keys. In it: None, booleans, integers (up to 4,096 bits), finite floats, strings
of Unicode text (NUL included), lists (tuples become lists) and dicts, of which 250 at most lie in each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from threadkeep.errors import InvalidOpError
from threadkeep.store.base.ops import Item, is_unicode

MAX_INTEGER_BITS = 4096
"""Below the 4,300 digits that Python reads from JSON."""
MAX_DEPTH = 250
"""Dicts and lists in each other. What was put must also be read and compared, where more of Python's stack is
in use: one item that cannot be read makes every list that shows it fail."""


def own(value: Mapping[str, Any] | Item) -> dict[str, Any]:
    """A deep copy of *value* as plain dicts and lists; of an `Item` its value.

    Raises `InvalidOpError`, with the path to it, where something is not JSON.
    """
    copy: dict[str, Any] = plain(value.value if isinstance(value, Item) else value)
    return copy


def plain(value: Any) -> Any:
    """A deep copy of any JSON value. Raises `InvalidOpError` as `own`."""
    try:
        scalar = _SCALARS.get(type(value))
        return _nested(value, 1) if scalar is None else scalar(value)
    except _NotJSON as error:
        raise InvalidOpError(
            f"A value must be JSON, but at {error.path()} it holds {error.what}. Convert it first."
        ) from None
    except RecursionError:
        raise InvalidOpError(
            f"A value must be JSON, but this one is nested too deeply, or in itself: {MAX_DEPTH} dicts and "
            "lists may lie in each other."
        ) from None


class _NotJSON(Exception):
    def __init__(self, what: str) -> None:
        self.what = what
        self.steps: list[str] = []

    def path(self) -> str:
        return "value" + "".join(f"[{step}]" for step in reversed(self.steps))


def _dict(value: Mapping[str, Any], depth: int) -> dict[str, Any]:
    copy: dict[str, Any] = {}
    for key, held in value.items():
        if type(key) is not str or not key.isascii():
            key = _key(key)
        if type(held) is str and held.isascii():  # most of what is put; halves the time of a flat value
            copy[key] = held
            continue
        scalar = _SCALARS.get(type(held))
        try:
            copy[key] = _nested(held, depth + 1) if scalar is None else scalar(held)
        except _NotJSON as error:
            error.steps.append(repr(key))
            raise
    return copy


def _key(key: object) -> str:
    """The key as plain text: a member of a `StrEnum` is what it stands for."""
    if not isinstance(key, str) or not is_unicode(key):
        raise _NotJSON(f"the key {key!r}")
    return str.__str__(key)


def _list(value: list[Any] | tuple[Any, ...], depth: int) -> list[Any]:
    copy = []
    for place, held in enumerate(value):
        scalar = _SCALARS.get(type(held))
        try:
            copy.append(_nested(held, depth + 1) if scalar is None else scalar(held))
        except _NotJSON as error:
            error.steps.append(str(place))
            raise
    return copy


def _str(value: str) -> str:
    if not is_unicode(value):
        raise _NotJSON(f"text with a lone surrogate, {value[:40]!r}")
    return value


def _int(value: int) -> int:
    if value.bit_length() > MAX_INTEGER_BITS:
        raise _NotJSON(f"an integer of {value.bit_length()} bits")
    return value


def _float(value: float) -> float:
    if not isfinite(value):
        raise _NotJSON(f"the number {value}")
    return value


def _same(value: Any) -> Any:
    return value


def _nested(value: Any, depth: int) -> Any:
    """Lists, dicts and subclasses as their base (an `IntEnum` is an integer); anything else is refused."""
    if depth > MAX_DEPTH:
        raise RecursionError
    kind = type(value)
    if kind is dict:
        return _dict(value, depth)
    if kind is list or kind is tuple:
        return _list(value, depth)
    for base, copied in _BASES:
        if isinstance(value, base):
            return copied(value)
    if isinstance(value, Mapping | Item):
        return _dict(value.value if isinstance(value, Item) else value, depth)
    if isinstance(value, list | tuple):
        return _list(value, depth)
    raise _NotJSON(f"a {kind.__module__}.{kind.__qualname__}")


_SCALARS: dict[type, Any] = {str: _str, int: _int, float: _float, bool: _same, type(None): _same}
_BASES: tuple[tuple[type, Any], ...] = (
    (str, lambda text: _str(str.__str__(text))),
    (int, lambda number: _int(int.__int__(number))),
    (float, lambda number: _float(float.__float__(number))),
)
