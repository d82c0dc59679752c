"""Value types of the standard library: one encoder a type, one decoder an extension code.

Codes are part of the stored form: never renumber one, never give one a second meaning.

| code | of | data |
|---|---|---|
| 1–3 | tuple, set, frozenset | msgpack list |
| 4 | deque | msgpack list: maxlen, then the items |
| 5 | int beyond 64 bit | two's complement, big endian |
| 6, 7 | str with lone surrogates, bytearray | UTF-8 with surrogates, the bytes |
| 8 | dict with keys other than plain strings | msgpack list: key, value, key, value … |
| 9 | OrderedDict, Counter, defaultdict | msgpack list: kind, default factory, dict |
| 10 | datetime, naive or UTC | year, month (+ 128: fold), day, hour, minute, second, microsecond; Z if UTC |
| 11 | datetime with another tzinfo | msgpack list: the same bytes, tzinfo |
| 12 | date | ISO 8601 |
| 13 | time, naive or with a fixed offset | ISO 8601 |
| 14 | time with fold or another tzinfo | msgpack list: naive ISO 8601, fold, tzinfo |
| 15, 16 | timedelta, timezone | msgpack list: days, seconds, microseconds (, name) |
| 17 | ZoneInfo | key |
| 18 | UUID | 16 bytes |
| 19 | Decimal | text |
| 20, 21 | paths, IP addresses | index of the class in one byte, then text |
| 22 | re.Pattern | msgpack list: pattern, flags |
| 23 | complex | two doubles, big endian |
| 24 | range | msgpack list: start, stop, step |
| 32 | object of a class on the allow-list (`allowlist`) | msgpack list: name, state |
| 34, 35 | numpy array, scalar (`arrays`) | msgpack list |
| 36 | pickle, by explicit opt-in only (`jsonplus`) | pickle |
| 64–127 | LangChain object (`langchain`) | msgpack: state |
"""

from __future__ import annotations

import os
import re
import struct
import zoneinfo
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from importlib.util import find_spec
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import PosixPath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import Any, Final
from uuid import UUID, SafeUUID
from zoneinfo import ZoneInfo

from ormsgpack import Ext

from threadkeep.checkpoint.serde.base import SerializationError
from threadkeep.checkpoint.serde.unusual import Buffer, LoneSurrogates, Pairs
from threadkeep.checkpoint.serde.wire import Decoder, Encoder, Pack, Unpack

__all__ = ["DECODERS", "ENCODERS", "encode_exception"]

# Collections


def _list(data: bytes, unpack: Unpack) -> list[Any]:
    """The list in *data*, and nothing else that can be iterated: hostile bytes may hold a huge range."""
    items = unpack(data)
    if type(items) is not list:
        raise ValueError(f"expected a list, not {type(items).__name__}")
    return items


def _encode_tuple(value: tuple[Any, ...], pack: Pack) -> Ext:
    return Ext(1, pack(list(value)))


def _decode_tuple(data: bytes, unpack: Unpack) -> tuple[Any, ...]:
    return tuple(_list(data, unpack))


def _encode_set(value: set[Any], pack: Pack) -> Ext:
    return Ext(2, pack(_in_stable_order(value, pack)))


def _encode_frozenset(value: frozenset[Any], pack: Pack) -> Ext:
    return Ext(3, pack(_in_stable_order(value, pack)))


_ORDERED: Final = frozenset({str, bytes, int})


def _in_stable_order(value: set[Any] | frozenset[Any], pack: Pack) -> list[Any]:
    """The elements in an order that does not depend on the process: equal sets make equal bytes."""
    kinds = set(map(type, value))
    if len(kinds) == 1 and kinds <= _ORDERED:
        return sorted(value)
    return sorted(value, key=pack)


def _decode_set(data: bytes, unpack: Unpack) -> set[Any]:
    return set(_list(data, unpack))


def _decode_frozenset(data: bytes, unpack: Unpack) -> frozenset[Any]:
    return frozenset(_list(data, unpack))


def _encode_deque(value: deque[Any], pack: Pack) -> Ext:
    return Ext(4, pack([value.maxlen, *value]))


def _decode_deque(data: bytes, unpack: Unpack) -> deque[Any]:
    maxlen, *items = _list(data, unpack)
    return deque(items, maxlen)


def _encode_pairs(value: Pairs, pack: Pack) -> Ext:
    return Ext(8, pack(value.items))


def _decode_pairs(data: bytes, unpack: Unpack) -> dict[Any, Any]:
    items = _list(data, unpack)
    return dict(zip(items[::2], items[1::2], strict=True))


_FACTORIES: Final = (None, list, dict, set, int, float, str, bool, bytes, tuple, frozenset, deque)


def _encode_mapping(value: Any, pack: Pack) -> Ext:
    kind = type(value)
    if kind is OrderedDict:
        return Ext(9, pack([0, 0, dict(value)]))
    if kind is Counter:
        return Ext(9, pack([1, 0, dict(value)]))
    if value.default_factory not in _FACTORIES:
        raise SerializationError(
            f"a defaultdict whose factory is {value.default_factory!r} cannot be saved,"
            " only one whose factory is None or a built-in type: use dict(value)",
            type_name="collections.defaultdict",
        )
    return Ext(9, pack([2, _FACTORIES.index(value.default_factory), dict(value)]))


def _decode_mapping(data: bytes, unpack: Unpack) -> dict[Any, Any]:
    kind, factory, items = _list(data, unpack)
    if type(items) is not dict:
        raise ValueError(f"expected a dict, not {type(items).__name__}")
    if kind == 0:
        return OrderedDict(items)
    if kind == 1:
        return Counter(items)
    return defaultdict(_FACTORIES[factory], items)


# Numbers, text and bytes


def _encode_int(value: int, pack: Pack) -> Ext:
    return Ext(5, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def _decode_int(data: bytes, unpack: Unpack) -> int:
    return int.from_bytes(data, "big", signed=True)


def _encode_surrogates(value: LoneSurrogates, pack: Pack) -> Ext:
    return Ext(6, value.text.encode("utf-8", "surrogatepass"))


def _decode_surrogates(data: bytes, unpack: Unpack) -> str:
    return data.decode("utf-8", "surrogatepass")


def _encode_buffer(value: Buffer, pack: Pack) -> Ext:
    return Ext(7, bytes(value.data))


def _decode_buffer(data: bytes, unpack: Unpack) -> bytearray:
    return bytearray(data)


def _encode_decimal(value: Decimal, pack: Pack) -> Ext:
    return Ext(19, str(value).encode())


def _decode_decimal(data: bytes, unpack: Unpack) -> Decimal:
    return Decimal(data.decode())


def _encode_complex(value: complex, pack: Pack) -> Ext:
    return Ext(23, struct.pack(">dd", value.real, value.imag))


def _decode_complex(data: bytes, unpack: Unpack) -> complex:
    return complex(*struct.unpack(">dd", data))


def _encode_range(value: range, pack: Pack) -> Ext:
    return Ext(24, pack([value.start, value.stop, value.step]))


def _decode_range(data: bytes, unpack: Unpack) -> range:
    return range(*_list(data, unpack))


def encode_exception(value: BaseException, pack: Pack) -> Any:
    """An exception is saved as the text of its repr; it does not come back as an exception."""
    text = repr(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        return _encode_surrogates(LoneSurrogates(text), pack)
    return text


# Time


def _in_iso_form(zone: tzinfo | None) -> bool:
    """Whether ISO 8601 says everything about *zone*: none, or an offset without a name of its own."""
    if zone is None or zone is UTC:
        return True
    return type(zone) is timezone and len(zone.__getinitargs__()) == 1  # type: ignore[attr-defined]  # not in typeshed


def _encode_datetime(value: datetime, pack: Pack) -> Ext:
    # The ten bytes that pickle uses, fold included: an eighth of the time of isoformat().
    state: bytes = value.__reduce_ex__(4)[1][0]  # type: ignore[assignment]  # typeshed knows no more than a tuple
    zone = value.tzinfo
    if zone is None:
        return Ext(10, state)
    if zone is UTC:
        return Ext(10, state + b"Z")
    return Ext(11, pack([state, zone]))


_unpack_fields = struct.Struct(">HBBBBBBH").unpack
_FOLD: Final = 0x80


def _decode_datetime(data: bytes, unpack: Unpack) -> datetime:
    if len(data) == 11 and data[10] == 90:
        return _datetime(data[:10], UTC)
    return _datetime(data, None)


def _decode_zoned_datetime(data: bytes, unpack: Unpack) -> datetime:
    state, zone = unpack(data)
    return _datetime(state, zone)


def _datetime(state: bytes, zone: tzinfo | None) -> datetime:
    # Not datetime(state, zone), which pickle calls: it takes hour 99.
    year, month, day, hour, minute, second, high, low = _unpack_fields(state)
    if month & _FOLD:
        micro = high << 16 | low
        return datetime(year, month & ~_FOLD, day, hour, minute, second, micro, zone, fold=1)
    return datetime(year, month, day, hour, minute, second, high << 16 | low, zone)


def _encode_date(value: date, pack: Pack) -> Ext:
    return Ext(12, value.isoformat().encode())


def _decode_date(data: bytes, unpack: Unpack) -> date:
    return date.fromisoformat(data.decode())


def _encode_time(value: time, pack: Pack) -> Ext:
    zone = value.tzinfo
    if not value.fold and _in_iso_form(zone):
        return Ext(13, value.isoformat().encode())
    return Ext(14, pack([value.replace(tzinfo=None).isoformat(), value.fold, zone]))


def _decode_time(data: bytes, unpack: Unpack) -> time:
    return time.fromisoformat(data.decode())


def _decode_zoned_time(data: bytes, unpack: Unpack) -> time:
    text, fold, zone = unpack(data)
    return time.fromisoformat(text).replace(tzinfo=zone, fold=fold)


def _encode_timedelta(value: timedelta, pack: Pack) -> Ext:
    return Ext(15, pack([value.days, value.seconds, value.microseconds]))


def _decode_timedelta(data: bytes, unpack: Unpack) -> timedelta:
    days, seconds, microseconds = unpack(data)
    return timedelta(days, seconds, microseconds)


def _encode_timezone(value: timezone, pack: Pack) -> Ext:
    offset, *name = value.__getinitargs__()  # type: ignore[attr-defined]  # not in typeshed
    return Ext(16, pack([offset.days, offset.seconds, offset.microseconds, *name]))


def _decode_timezone(data: bytes, unpack: Unpack) -> timezone:
    days, seconds, microseconds, *name = _list(data, unpack)
    return timezone(timedelta(days, seconds, microseconds), *name)


def _encode_zone(value: ZoneInfo, pack: Pack) -> Ext:
    if not value.key:
        raise SerializationError("a ZoneInfo without a key cannot be saved", type_name="zoneinfo.ZoneInfo")
    return Ext(17, value.key.encode())


_zones: dict[str, ZoneInfo] = {}


def _decode_zone(data: bytes, unpack: Unpack) -> ZoneInfo:
    key = data.decode()
    zone = _zones.get(key)
    if zone is None:
        if not _is_zone(key):
            raise ValueError(f"no key of a time zone: {key!r}")
        zone = _zones[key] = ZoneInfo(key)
    return zone


def _is_zone(key: str) -> bool:
    """Whether *key* is a time zone of this machine. `ZoneInfo` alone would import what it names."""
    if not re.fullmatch(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*", key):
        return False
    if any(os.path.isfile(os.path.join(folder, key)) for folder in zoneinfo.TZPATH):
        return True
    if find_spec("tzdata") is None:
        return False
    from importlib.resources import files

    return key in files("tzdata").joinpath("zones").read_text().split()


# Identifiers, places, patterns


def _encode_uuid(value: UUID, pack: Pack) -> Ext:
    return Ext(18, value.int.to_bytes(16, "big"))


_UNKNOWN = SafeUUID.unknown
_new = object.__new__
_set_int = UUID.__dict__["int"].__set__  # past UUID.__setattr__, which refuses
_set_is_safe = UUID.__dict__["is_safe"].__set__


def _decode_uuid(data: bytes, unpack: Unpack) -> UUID:
    # A third of the time of UUID(bytes=data), which checks the five ways to call it.
    if len(data) != 16:
        raise ValueError("a UUID has 16 bytes")
    value = _new(UUID)
    _set_int(value, int.from_bytes(data, "big"))
    _set_is_safe(value, _UNKNOWN)
    return value


_PATHS: Final = (PurePosixPath, PureWindowsPath, PosixPath, WindowsPath)
_ADDRESSES: Final = (IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network)


def _numbered(code: int, number: int) -> Encoder:
    prefix = bytes([number])

    def encode(value: Any, pack: Pack) -> Ext:
        return Ext(code, prefix + str(value).encode("utf-8", "surrogatepass"))

    return encode


def _by_number(classes: tuple[Callable[[str], Any], ...]) -> Decoder:
    def decode(data: bytes, unpack: Unpack) -> Any:
        return classes[data[0]](data[1:].decode("utf-8", "surrogatepass"))

    return decode


_FLAGS: Final = int(re.ASCII | re.IGNORECASE | re.LOCALE | re.UNICODE | re.MULTILINE | re.DOTALL | re.VERBOSE)


def _encode_pattern(value: re.Pattern[Any], pack: Pack) -> Ext:
    return Ext(22, pack([value.pattern, value.flags & _FLAGS]))


def _decode_pattern(data: bytes, unpack: Unpack) -> re.Pattern[Any]:
    pattern, flags = unpack(data)
    return re.compile(pattern, flags & _FLAGS)


ENCODERS: Final[dict[type, Encoder]] = {
    tuple: _encode_tuple,
    set: _encode_set,
    frozenset: _encode_frozenset,
    deque: _encode_deque,
    int: _encode_int,
    LoneSurrogates: _encode_surrogates,
    Buffer: _encode_buffer,
    Pairs: _encode_pairs,
    OrderedDict: _encode_mapping,
    Counter: _encode_mapping,
    defaultdict: _encode_mapping,
    datetime: _encode_datetime,
    date: _encode_date,
    time: _encode_time,
    timedelta: _encode_timedelta,
    timezone: _encode_timezone,
    ZoneInfo: _encode_zone,
    UUID: _encode_uuid,
    Decimal: _encode_decimal,
    **{cls: _numbered(20, number) for number, cls in enumerate(_PATHS)},
    **{cls: _numbered(21, number) for number, cls in enumerate(_ADDRESSES)},
    re.Pattern: _encode_pattern,
    complex: _encode_complex,
    range: _encode_range,
}

DECODERS: Final[dict[int, Decoder]] = {
    1: _decode_tuple,
    2: _decode_set,
    3: _decode_frozenset,
    4: _decode_deque,
    5: _decode_int,
    6: _decode_surrogates,
    7: _decode_buffer,
    8: _decode_pairs,
    9: _decode_mapping,
    10: _decode_datetime,
    11: _decode_zoned_datetime,
    12: _decode_date,
    13: _decode_time,
    14: _decode_zoned_time,
    15: _decode_timedelta,
    16: _decode_timezone,
    17: _decode_zone,
    18: _decode_uuid,
    19: _decode_decimal,
    20: _by_number(_PATHS),
    21: _by_number(_ADDRESSES),
    22: _decode_pattern,
    23: _decode_complex,
    24: _decode_range,
}
