"""Equality as the serialiser promises it: type for type, all the way down."""

from __future__ import annotations

import dataclasses
import math
import re
from collections import defaultdict, deque
from datetime import datetime, time
from decimal import Decimal
from typing import Any

__all__ = ["differences", "same"]


def same(one: Any, other: Any) -> bool:
    """Whether *other* is what *one* was: equal in type, order and content, NaN and signed zero included."""
    return differences(one, other) is None


def differences(one: Any, other: Any, path: str = "value") -> str | None:
    """The first difference, as text; None if there is none."""
    if type(one) is not type(other):
        return f"{path}: {type(one)} is not {type(other)}"
    return _BY_KIND.get(_kind(one), _plain)(one, other, path)


def _kind(value: Any) -> str:
    if hasattr(type(value), "model_fields"):
        return "model"
    if dataclasses.is_dataclass(value):
        return "dataclass"
    if type(value).__module__ == "numpy":
        return "array"
    for cls, kind in _KINDS:
        if isinstance(value, cls):
            return kind
    return "plain"


_KINDS: list[tuple[type, str]] = [
    (dict, "dict"), (list, "items"), (tuple, "items"), (deque, "items"), (set, "set"), (frozenset, "set"),
    (float, "float"), (complex, "complex"), (Decimal, "decimal"), (datetime, "time"), (time, "time"),
    (re.Pattern, "pattern"),
]  # fmt: skip


def _plain(one: Any, other: Any, path: str) -> str | None:
    return None if one == other else f"{path}: {one!r} is not {other!r}"


def _items(one: Any, other: Any, path: str) -> str | None:
    if len(one) != len(other) or getattr(one, "maxlen", None) != getattr(other, "maxlen", None):
        return f"{path}: {one!r} is not {other!r}"
    found = (
        differences(left, right, f"{path}[{at}]")
        for at, (left, right) in enumerate(zip(one, other, strict=True))
    )
    return next(filter(None, found), None)


def _dict(one: Any, other: Any, path: str) -> str | None:
    if isinstance(one, defaultdict) and one.default_factory is not other.default_factory:
        return f"{path}: default_factory"
    return _items(list(one), list(other), f"{path} keys") or _items(
        list(one.values()), list(other.values()), f"{path} values"
    )


def _set(one: Any, other: Any, path: str) -> str | None:
    left, right = list(one), list(other)
    for item in left:
        match = next((found for found in right if same(item, found)), None)
        if match is None and item is not None:
            return f"{path}: {item!r} is missing"
    return None if len(left) == len(right) else f"{path}: {one!r} is not {other!r}"


def _float(one: Any, other: Any, path: str) -> str | None:
    if math.isnan(one) or math.isnan(other):
        return None if math.isnan(one) and math.isnan(other) else f"{path}: {one!r} is not {other!r}"
    equal = one == other and math.copysign(1, one) == math.copysign(1, other)
    return None if equal else f"{path}: {one!r} is not {other!r}"


def _complex(one: Any, other: Any, path: str) -> str | None:
    return _float(one.real, other.real, path) or _float(one.imag, other.imag, path)


def _decimal(one: Any, other: Any, path: str) -> str | None:
    return None if one.as_tuple() == other.as_tuple() else f"{path}: {one!r} is not {other!r}"


def _time(one: Any, other: Any, path: str) -> str | None:
    naive = _plain(one.replace(tzinfo=None), other.replace(tzinfo=None), path)
    if naive or one.fold != other.fold:
        return naive or f"{path}: fold"
    return differences(one.tzinfo, other.tzinfo, f"{path}.tzinfo") or _plain(
        repr(one.tzinfo), repr(other.tzinfo), path
    )


def _pattern(one: Any, other: Any, path: str) -> str | None:
    return _plain((one.pattern, one.flags), (other.pattern, other.flags), path)


def _dataclass(one: Any, other: Any, path: str) -> str | None:
    names = [field.name for field in dataclasses.fields(one)]
    left = {name: getattr(one, name) for name in names if hasattr(one, name)}
    right = {name: getattr(other, name) for name in names if hasattr(other, name)}
    return _dict(left, right, path) or _dict(
        dict(sorted(getattr(one, "__dict__", {}).items())),
        dict(sorted(getattr(other, "__dict__", {}).items())),
        path,
    )


def _model(one: Any, other: Any, path: str) -> str | None:
    for part in ("__dict__", "__pydantic_extra__", "__pydantic_private__", "__pydantic_fields_set__"):
        found = differences(getattr(one, part), getattr(other, part), f"{path}.{part}")
        if found:
            return found
    return None


def _array(one: Any, other: Any, path: str) -> str | None:
    if one.dtype != other.dtype or one.shape != other.shape:
        return f"{path}: {one.dtype}{one.shape} is not {other.dtype}{other.shape}"
    if one.dtype.kind == "T":
        return _plain(one.tolist(), other.tolist(), path)
    left, right = one.flags, other.flags
    if (left.c_contiguous or left.f_contiguous) and left.f_contiguous != right.f_contiguous:
        return f"{path}: order"
    # The memory of a long double has bytes that mean nothing.
    equal = (one == other).all() if one.dtype.char in "gG" else one.tobytes() == other.tobytes()
    return None if equal else f"{path}: {one!r} is not {other!r}"


_BY_KIND = {
    "model": _model, "dataclass": _dataclass, "array": _array, "dict": _dict, "items": _items, "set": _set,
    "float": _float, "complex": _complex, "decimal": _decimal, "time": _time, "pattern": _pattern,
}  # fmt: skip
