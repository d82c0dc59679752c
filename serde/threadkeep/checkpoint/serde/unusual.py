"""Values that msgpack has no place for where they stand: what ormsgpack refuses, or would change unseen.

A dict key that is not a plain string, a string with lone surrogates, a bytearray. The common case pays
nothing for them: they are looked for only after packing failed or the packed bytes gave a hint.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from threadkeep.checkpoint.serde.base import SerializationError

__all__ = ["Buffer", "LoneSurrogates", "Pairs", "holds_buffer", "reshaped"]

MAX_DEPTH: Final = 254
"""What ormsgpack packs; one list in another a level."""


class Pairs:
    """A dict as the list of its keys and values in turn."""

    __slots__ = ("items",)

    def __init__(self, items: list[Any]) -> None:
        self.items = items


class LoneSurrogates(NamedTuple):
    """A string that UTF-8 cannot express."""

    text: str


class Buffer(NamedTuple):
    """A bytearray."""

    data: bytearray


def holds_buffer(value: Any) -> bool:
    """Whether the lists and dicts of *value*, which are not cyclic, hold a bytearray or memoryview."""
    kind = type(value)
    if kind is list:
        return _any_buffer(value)
    if kind is dict:
        return _any_buffer(value.values())
    return kind is bytearray or kind is memoryview


_BUFFERS = frozenset({bytearray, memoryview})
_CONTAINERS = frozenset({list, dict})


def _any_buffer(values: Iterable[Any]) -> bool:
    kinds = set(map(type, values))
    if not kinds.isdisjoint(_BUFFERS):
        return True
    if kinds.isdisjoint(_CONTAINERS):
        return False
    return any(holds_buffer(value) for value in values if type(value) in _CONTAINERS)


def reshaped(value: Any, depth: int = 0) -> Any:
    """A copy of the lists and dicts of *value* that packs without loss, the unusual wrapped as above."""
    if depth > MAX_DEPTH:
        raise SerializationError(
            f"the value contains itself, or nests lists and dicts more than {MAX_DEPTH} deep"
        )
    kind = type(value)
    if kind is list:
        return [reshaped(item, depth + 1) for item in value]
    if kind is dict:
        return _reshaped_dict(value, depth + 1)
    if kind is str:
        return value if _is_utf8(value) else LoneSurrogates(value)
    if kind is bytearray:
        return Buffer(value)
    if kind is memoryview:
        raise SerializationError("a memoryview cannot be saved: use bytes(view)", type_name="memoryview")
    return value


def _reshaped_dict(value: dict[Any, Any], depth: int) -> Any:
    if all(type(key) is str and _is_utf8(key) for key in value):
        return {key: reshaped(item, depth) for key, item in value.items()}
    return Pairs([part for pair in value.items() for part in pair])


def _is_utf8(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
