"""What a value may hold: JSON. The same on every store, so that what works in a test works on a server.

A value is a dict with string keys. In it: None, booleans, integers (up to 4,096 bits), finite floats, strings
of Unicode text (NUL included), lists (tuples become lists) and dicts.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from threadkeep.errors import InvalidOpError
from threadkeep.store.base.ops import Item, is_unicode

MAX_INTEGER_BITS = 4096
"""Below the 4,300 digits that Python reads from JSON."""


def own(value: Mapping[str, Any] | Item) -> dict[str, Any]:
    """A deep copy of *value* as plain dicts and lists; of an `Item` its value.

    Raises `InvalidOpError`, with the path to it, where something is not JSON.
    """
    copy: dict[str, Any] = plain(value.value if isinstance(value, Item) else value)
    return copy


def plain(value: Any) -> Any:
    """A deep copy of any JSON value. Raises `InvalidOpError` as `own`."""
    try:
        return _COPIES.get(type(value), _other)(value)
    except _NotJSON as error:
        raise InvalidOpError(
            f"A value must be JSON, but at {error.path()} it holds {error.what}. Convert it first."
        ) from None
    except RecursionError:
        raise InvalidOpError(
            "A value must be JSON, but this one is nested too deeply, or in itself."
        ) from None


class _NotJSON(Exception):
    def __init__(self, what: str) -> None:
        self.what = what
        self.steps: list[str] = []

    def path(self) -> str:
        return "value" + "".join(f"[{step}]" for step in reversed(self.steps))


def _dict(value: Mapping[str, Any]) -> dict[str, Any]:
    copy: dict[str, Any] = {}
    for key, held in value.items():
        if type(key) is not str or not key.isascii():
            key = _key(key)
        if type(held) is str and held.isascii():  # most of what is put; halves the time of a flat value
            copy[key] = held
            continue
        try:
            copy[key] = held if held is None or type(held) is bool else _COPIES.get(type(held), _other)(held)
        except _NotJSON as error:
            error.steps.append(repr(key))
            raise
    return copy


def _key(key: object) -> str:
    """The key as plain text: a member of a `StrEnum` is what it stands for."""
    if not isinstance(key, str) or not is_unicode(key):
        raise _NotJSON(f"the key {key!r}")
    return str.__str__(key)


def _list(value: list[Any] | tuple[Any, ...]) -> list[Any]:
    copy = []
    for place, held in enumerate(value):
        try:
            copy.append(_COPIES.get(type(held), _other)(held))
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


def _other(value: Any) -> Any:
    """Subclasses as their base (an `IntEnum` is an integer); anything else is refused."""
    for base, copied in _BASES:
        if isinstance(value, base):
            return copied(value)
    raise _NotJSON(f"a {type(value).__module__}.{type(value).__qualname__}")


_COPIES: dict[type, Any] = {
    str: _str,
    int: _int,
    float: _float,
    bool: _same,
    type(None): _same,
    dict: _dict,
    list: _list,
    tuple: _list,
}
_BASES: tuple[tuple[type, Any], ...] = (
    (str, lambda text: _str(str.__str__(text))),
    (int, lambda number: _int(int.__int__(number))),
    (float, lambda number: _float(float.__float__(number))),
    (Mapping, _dict),
    (list, _list),
    (tuple, _list),
    (Item, lambda item: _dict(item.value)),
)
