"""How an object of an allowed class becomes a state of plain values, and comes back without its constructor.

`codec_of(cls)` gives both functions. States, by the kind of class:

- enum: the member's name; flag: its number
- named tuple: list of its fields
- pydantic model: see `models`
- dataclass and any other class: dict of its attributes, or what its own `__getstate__` gives
- subclass of str, int, float, bytes: list of the plain value (, attributes)
- subclass of a built-in collection: list of the plain collection (, attributes)
- exception class: list of its arguments (, attributes)

A class may grow between saving and loading: fields that the state lacks take their defaults, fields that the
class no longer has are dropped.
"""

from __future__ import annotations

import dataclasses
import enum
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import cached_property
from typing import Any, Generic, NamedTuple

from threadkeep.checkpoint.serde.base import DeserializationError
from threadkeep.checkpoint.serde.models import is_model, model_functions

__all__ = ["Codec", "Functions", "codec_of", "is_data", "name_of"]

Dump = Callable[[Any], Any]
Load = Callable[[Any], Any]
Functions = tuple[Dump, Load]


class Codec(NamedTuple):
    """A class that may be saved: the name it has in stored bytes, and how it is taken apart and built."""

    cls: type
    name: str
    dump: Dump
    load: Load


def name_of(cls: type) -> str:
    """`module:qualified name`, which is what stored bytes say."""
    return f"{cls.__module__}:{cls.__qualname__}"


def codec_of(cls: type, name: str | None = None) -> Codec:
    """The codec that the kind of *cls* calls for."""
    return Codec(cls, name or name_of(cls), *_functions(cls))


def is_data(cls: type) -> bool:
    """Whether *cls* is an enum, a named tuple, a dataclass or a pydantic model."""
    return (
        issubclass(cls, enum.Enum)
        or (issubclass(cls, tuple) and hasattr(cls, "_fields"))
        or dataclasses.is_dataclass(cls)
        or is_model(cls)
    )


def _functions(cls: type) -> Functions:
    if issubclass(cls, enum.Enum):
        return _enum_functions(cls)
    if is_model(cls):
        return model_functions(cls)
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return _named_tuple_functions(cls)
    for built_in in _BUILT_IN:
        if issubclass(cls, built_in.base):
            return _subclass_functions(cls, built_in)
    return _object_functions(cls)


def _enum_functions(cls: type[enum.Enum]) -> Functions:
    if issubclass(cls, enum.Flag):
        return (lambda member: member.value), cls
    return (lambda member: member.name), lambda name: cls[name]


def _named_tuple_functions(cls: Any) -> Functions:
    defaults = cls._field_defaults
    fields = cls._fields

    def load(state: list[Any]) -> Any:
        missing = fields[len(state) :]
        return cls._make([*state[: len(fields)], *(defaults[name] for name in missing)])

    return list, load


# Classes that derive from a built-in one


class _BuiltIn(NamedTuple):
    """A built-in class to derive from: the type of its plain value, how to get that, how to build from it."""

    base: type
    plain: type
    plain_of: Dump
    build: Callable[[Any, Any], Any]


_BUILT_IN: tuple[_BuiltIn, ...] = (
    _BuiltIn(str, str, str.__str__, str.__new__),
    _BuiltIn(int, int, int.__int__, int.__new__),
    _BuiltIn(float, float, float.__float__, float.__new__),
    _BuiltIn(bytes, bytes, lambda value: bytes(memoryview(value)), bytes.__new__),
    _BuiltIn(bytearray, bytes, bytes, lambda cls, plain: _filled(cls, bytearray.extend, plain)),
    _BuiltIn(tuple, list, list, tuple.__new__),
    _BuiltIn(list, list, list, lambda cls, plain: _filled(cls, list.extend, plain)),
    _BuiltIn(OrderedDict, dict, dict, lambda cls, plain: _filled(cls, OrderedDict.update, plain)),
    _BuiltIn(dict, dict, dict, lambda cls, plain: _filled(cls, dict.update, plain)),
    _BuiltIn(set, list, list, lambda cls, plain: _filled(cls, set.update, plain)),
    _BuiltIn(frozenset, list, list, frozenset.__new__),
    _BuiltIn(deque, list, list, lambda cls, plain: _filled(cls, deque.extend, plain)),
    _BuiltIn(
        BaseException, list, lambda value: list(value.args), lambda cls, plain: cls.__new__(cls, *plain)
    ),
)


def _filled(cls: Any, fill: Callable[[Any, Any], object], plain: Any) -> Any:
    value = cls.__new__(cls)
    fill(value, plain)
    return value


def _subclass_functions(cls: type, built_in: _BuiltIn) -> Functions:
    _, plain_type, plain_of, build = built_in
    attributes_of, set_attributes = _attribute_functions(cls)

    def dump(value: Any) -> list[Any]:
        attributes = attributes_of(value)
        return [plain_of(value), attributes] if attributes else [plain_of(value)]

    def load(state: list[Any]) -> Any:
        plain = state[0]
        if type(plain) is not plain_type:  # hostile bytes may give a length, or a huge range
            raise ValueError(f"expected {plain_type.__name__}, not {type(plain).__name__}")
        value = build(cls, plain)
        if len(state) > 1:
            set_attributes(value, state[1])
        return value

    return dump, load


# Dataclasses and any other class


def _object_functions(cls: type) -> Functions:
    dump, set_attributes = _attribute_functions(cls)
    if _has_own_state(cls, "__getstate__") or _has_own_state(cls, "__setstate__"):
        return _own_state_functions(cls, set_attributes)
    new = _new_of(cls)
    fields = dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()
    names = frozenset(field.name for field in fields)
    slots = frozenset(_all_slots(cls))
    if not slots and cls.__dictoffset__:
        return dump, _dict_loader(cls, new, fields, names)

    def load(state: dict[str, Any]) -> Any:
        value = new(cls)
        if not names <= state.keys():
            state = {**_defaults(cls, fields, state, slots), **state}
        set_attributes(value, state)
        return value

    return dump, load


def _dict_loader(
    cls: type, new: Callable[[type], Any], fields: tuple[Any, ...], names: frozenset[str]
) -> Load:
    """As above for the most frequent kind of class, without slots: the state becomes the object's dict."""
    set_attribute = object.__setattr__
    none: frozenset[str] = frozenset()

    def load(state: dict[str, Any]) -> Any:
        value = new(cls)
        if not names <= state.keys():
            state = {**_defaults(cls, fields, state, none), **state}
        set_attribute(value, "__dict__", state)
        return value

    return load


def _has_own_state(cls: type, method: str) -> bool:
    """Whether the author of *cls* wrote `__getstate__` or `__setstate__` (`dataclass` writes some, too)."""
    found = getattr(cls, method, None)
    return found is not getattr(object, method, None) and getattr(found, "__module__", None) != "dataclasses"


def _own_state_functions(cls: type, set_attributes: Callable[[Any, Any], None]) -> Functions:
    new = _new_of(cls)
    set_state = getattr(cls, "__setstate__", set_attributes)

    def load(state: Any) -> Any:
        value = new(cls)
        set_state(value, state)
        return value

    return (lambda value: value.__getstate__()), load


_HEAP_TYPE = 1 << 9


def _new_of(cls: Any) -> Callable[[type], Any]:
    """What makes an empty object: `object.__new__` where it can, as the class's own may want arguments."""
    built_in = next(base for base in cls.__mro__ if not base.__flags__ & _HEAP_TYPE)
    if built_in is object:
        return object.__new__
    new: Callable[[type], Any] = cls.__new__
    return new


def _defaults(
    cls: type, fields: tuple[Any, ...], state: dict[str, Any], slots: frozenset[str]
) -> dict[str, Any]:
    """What the fields that *state* lacks are, for an object saved before the class had them."""
    found: dict[str, Any] = {}
    for field in fields:
        if field.name in state:
            continue
        if field.default is not dataclasses.MISSING:
            if field.name in slots:  # elsewhere the default is an attribute of the class
                found[field.name] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            found[field.name] = field.default_factory()
        elif field.init:
            raise DeserializationError(
                f"saved state of {name_of(cls)} has no {field.name!r}, and the field has no default",
                type_name=name_of(cls),
            )
    return found


def _attribute_functions(cls: type) -> tuple[Callable[[Any], dict[str, Any]], Callable[[Any, Any], None]]:
    """How to read all attributes of an object of *cls* as a dict, and to set them."""
    slots = _all_slots(cls)
    if slots:
        return _slot_functions(slots, has_dict=bool(cls.__dictoffset__))
    if not cls.__dictoffset__:
        return (lambda value: {}), _no_attributes
    computed = frozenset(
        name for base in cls.__mro__ for name, item in vars(base).items() if isinstance(item, cached_property)
    )
    if issubclass(cls, Generic):
        computed |= {"__orig_class__"}  # what typing notes on the object that Class[int]() makes
    if not computed:
        return vars, lambda value, state: vars(value).update(state)
    return (
        lambda value: {name: item for name, item in vars(value).items() if name not in computed},
        lambda value, state: vars(value).update(state),
    )


def _no_attributes(value: Any, state: Any) -> None:
    """The class has no attributes any more: what was saved of them is dropped."""


def _all_slots(cls: type) -> tuple[str, ...]:
    return tuple(slot for base in reversed(cls.__mro__) for slot in _slots(base))


def _slots(base: type) -> list[str]:
    slots = base.__dict__.get("__slots__", ())
    names = [slots] if isinstance(slots, str) else list(slots)
    return [_mangled(base, name) for name in names if name not in ("__dict__", "__weakref__")]


def _mangled(cls: type, name: str) -> str:
    private = name.startswith("__") and not name.endswith("__")
    return f"_{cls.__name__.lstrip('_')}{name}" if private else name


def _slot_functions(
    slots: tuple[str, ...], has_dict: bool
) -> tuple[Callable[[Any], dict[str, Any]], Callable[[Any, Any], None]]:
    known = frozenset(slots)

    def dump(value: Any) -> dict[str, Any]:
        state = {name: getattr(value, name) for name in slots if hasattr(value, name)}
        return {**state, **vars(value)} if has_dict else state

    def set_attributes(value: Any, state: dict[str, Any]) -> None:
        for name, item in state.items():
            if name in known:
                object.__setattr__(value, name, item)
            elif has_dict:
                vars(value)[name] = item

    return dump, set_attributes
