"""The wire form: msgpack, extension codes, and the recursion through them. Knows no type of value.

A value that msgpack has no form for becomes an extension whose data is msgpack again, so packing and
unpacking recurse through Python. Each level of that recursion has its own function, made once with the next
level bound to it: the depth is bounded without being counted at run time.

ormsgpack swallows what its hooks raise and reports only that one failed; `_failure` carries the real error.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

import ormsgpack

from threadkeep.checkpoint.serde.base import DeserializationError, SerializationError
from threadkeep.checkpoint.serde.unusual import holds_buffer, reshaped

__all__ = ["Decoder", "Encoder", "Pack", "Unpack", "Unusual", "make_careful_pack", "make_pack", "make_unpack"]

Pack = Callable[[Any], bytes]
Unpack = Callable[[bytes], Any]
Encoder = Callable[[Any, Pack], Any]
"""Gives the `ormsgpack.Ext` (or a plain value) that stands for a value; packs what is inside with `Pack`."""
Decoder = Callable[[bytes, Unpack], Any]
"""Gives the value for the data of an extension."""

MAX_LEVELS: Final = 64
"""Extensions within extensions."""
FREE_LEVELS: Final = 4
"""Levels that may nest plain lists and dicts as deep as ormsgpack allows (254 packing, 1,022 unpacking)."""
MAX_PLAIN_DEPTH: Final = 32
"""Plain nesting on the deeper levels. ormsgpack takes some 650 bytes of C stack for each, so that
4 x 1,022 + 60 x 32 levels stay below 4 MB; 16 x 1,000 were seen to overflow the 8 MB of a thread."""

OPTIONS: Final = (
    ormsgpack.OPT_PASSTHROUGH_BIG_INT
    | ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
    | ormsgpack.OPT_PASSTHROUGH_TUPLE
    | ormsgpack.OPT_PASSTHROUGH_UUID
)

_packb = ormsgpack.packb
_unpackb = ormsgpack.unpackb


class Unusual(Exception):
    """The value holds something that msgpack has no place for where it stands (see `unusual`)."""


class _Failure(threading.local):
    """The error of the innermost failed hook of this thread."""

    error: BaseException | None = None

    def take(self) -> BaseException | None:
        error, self.error = self.error, None
        return error


_failure = _Failure()


def make_pack(encoders: Mapping[type, Encoder]) -> Pack:
    """The function that packs a value, with *encoders* for the types that msgpack does not have.

    It raises `Unusual` for a value that ormsgpack refuses, or would change: that is for `make_careful_pack`,
    from the top. Trying again on the level where it stands would take time exponential in the levels.
    """
    return _levels(encoders, _pack_level)


def make_careful_pack(encoders: Mapping[type, Encoder]) -> Pack:
    """The function that packs any value, at several times the cost."""
    return _levels(encoders, _careful_pack_level)


def _levels(encoders: Mapping[type, Encoder], make_level: Callable[[Callable[[Any], Any]], Pack]) -> Pack:
    pack: Pack = _pack_too_deep
    for level in reversed(range(MAX_LEVELS)):
        pack = make_level(_pack_hook(encoders, pack))
        if level >= FREE_LEVELS:
            pack = _guarded(pack)
    return pack


def make_unpack(decoders: Mapping[int, Decoder]) -> Unpack:
    """The function that unpacks bytes, with *decoders* by extension code."""
    unpack: Unpack = _unpack_too_deep
    for level in reversed(range(MAX_LEVELS)):
        unpack = _unpack_level(decoders, unpack, guarded=level >= FREE_LEVELS)
    return unpack


def _pack_hook(encoders: Mapping[type, Encoder], deeper: Pack) -> Callable[[Any], Any]:
    def hook(value: Any) -> Any:
        try:
            return encoders[type(value)](value, deeper)
        except BaseException as error:
            _failure.error = error
            raise

    return hook


def _pack_level(hook: Callable[[Any], Any]) -> Pack:
    def pack(value: Any) -> bytes:
        try:
            data = _packb(value, hook, OPTIONS)
        except TypeError:
            failed = _failure.take()
            if failed is not None:
                raise failed from None
            raise Unusual from None
        # ormsgpack packs a bytearray as bytes without asking. Look where a byte could be the header of bytes.
        # (`0xC4 in data` searches with memchr, seven times as fast as `b"\xc4" in data`.)
        hint = 0xC4 in data or (len(data) > 255 and (0xC5 in data or 0xC6 in data))
        if hint and holds_buffer(value):
            raise Unusual
        return data

    return pack


def _careful_pack_level(hook: Callable[[Any], Any]) -> Pack:
    def pack(value: Any) -> bytes:
        try:
            return _packb(reshaped(value), hook, OPTIONS)
        except TypeError as error:
            failed = _failure.take()
            if failed is not None:
                raise failed from None
            if isinstance(error, SerializationError):
                raise
            raise SerializationError(f"the value cannot be packed: {error}") from error

    return pack


def _guarded(pack: Pack) -> Pack:
    def pack_guarded(value: Any) -> bytes:
        data = pack(value)
        if _deeper_than_allowed(data):
            raise SerializationError(_TOO_DEEP)
        return data

    return pack_guarded


def _unpack_level(decoders: Mapping[int, Decoder], deeper: Unpack, guarded: bool) -> Unpack:
    def hook(code: int, data: bytes) -> Any:
        try:
            return decoders[code](data, deeper)
        except BaseException as error:
            _failure.error = error
            raise

    def unpack(data: bytes) -> Any:
        try:
            return _unpackb(data, ext_hook=hook)
        except ValueError:
            failed = _failure.take()
            if failed is not None:
                raise failed from None
            raise

    def unpack_guarded(data: bytes) -> Any:
        if _deeper_than_allowed(data):
            raise DeserializationError(f"the data nests {_LIMITS}")
        return unpack(data)

    return unpack_guarded if guarded else unpack


_LIMITS = f"more than {MAX_LEVELS} typed values, or more than {MAX_PLAIN_DEPTH} plain ones deep inside them"
_TOO_DEEP = f"the value contains itself, or nests {_LIMITS}"


def _pack_too_deep(value: Any) -> bytes:
    raise SerializationError(_TOO_DEEP)


def _unpack_too_deep(data: bytes) -> Any:
    raise DeserializationError(f"the data nests {_LIMITS}")


_CONTAINER_HEADERS = bytes([*range(0x80, 0xA0), 0xDC, 0xDD, 0xDE, 0xDF])


def _deeper_than_allowed(data: bytes) -> bool:
    """Whether lists and dicts in *data* nest deeper than `MAX_PLAIN_DEPTH`, extensions not looked into."""
    if len(data) - len(data.translate(None, _CONTAINER_HEADERS)) <= MAX_PLAIN_DEPTH:
        return False
    return plain_depth(data) > MAX_PLAIN_DEPTH


_FIXED = {0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
_FIXED |= {0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17}
_SIZED = {0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0), 0xC7: (1, 1), 0xC8: (2, 1), 0xC9: (4, 1)}
_SIZED |= {0xD9: (1, 0), 0xDA: (2, 0), 0xDB: (4, 0)}
_COUNTED = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}


def plain_depth(data: bytes) -> int:
    """How deep lists and dicts nest in *data*. Of damaged data: as far as it can be read."""
    at, deepest, end = 0, 0, len(data)
    open_items: list[int] = []
    while at < end:
        step, items = _header(data, at)
        at += step
        if open_items:
            open_items[-1] -= 1
        if items:
            open_items.append(items)
            deepest = max(deepest, len(open_items))
        while open_items and not open_items[-1]:
            open_items.pop()
    return deepest


def _header(data: bytes, at: int) -> tuple[int, int]:
    """Of the value at *at*: the bytes it takes without its items, and how many items follow."""
    byte = data[at]
    if byte < 0x80 or byte >= 0xE0:
        return 1, 0
    if byte < 0x90:
        return 1, (byte & 15) * 2
    if byte < 0xA0:
        return 1, byte & 15
    if byte < 0xC0:
        return 1 + (byte & 31), 0
    if byte in _SIZED:
        width, more = _SIZED[byte]
        return 1 + width + more + int.from_bytes(data[at + 1 : at + 1 + width], "big"), 0
    if byte in _COUNTED:
        width, each = _COUNTED[byte]
        return 1 + width, int.from_bytes(data[at + 1 : at + 1 + width], "big") * each
    return 1 + _FIXED.get(byte, 0), 0
