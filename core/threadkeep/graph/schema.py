"""Reading a state schema: which channel each key has, and how a node's view of the state is built.

A schema is a TypedDict, a dataclass, a pydantic model, or a type that is the whole state. Knows no nodes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple, NotRequired, Required, get_args, get_origin, get_type_hints

from threadkeep.channels.base import BaseChannel
from threadkeep.channels.collect import BinaryOperatorAggregate
from threadkeep.channels.values import LastValue
from threadkeep.constants import RESERVED
from threadkeep.managed import ManagedValue

ROOT = "__root__"
"""The key of a state that is one value instead of a mapping."""


class Schema(NamedTuple):
    """What a schema says."""

    type: Any
    channels: dict[str, BaseChannel[Any, Any]]
    managed: dict[str, type[ManagedValue]]
    mapper: Callable[[dict[str, Any]], Any] | None
    """Builds the object that a node gets; None where it gets the dict."""

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(self.channels)


def read_schema(typ: Any) -> Schema:
    """The channels of a schema.

    Raises `ValueError` for a reserved key and for a reducer that does not take two arguments.
    """
    hints = _hints(typ)
    if not hints:
        root = typ if get_origin(typ) is Annotated else (typ or dict)
        return Schema(typ, {ROOT: _channel(ROOT, root)}, {}, None)
    channels: dict[str, BaseChannel[Any, Any]] = {}
    managed: dict[str, type[ManagedValue]] = {}
    for key, hint in hints.items():
        if key in RESERVED:
            raise ValueError(f"The state key {key!r} is reserved.")
        if (value := _managed(hint)) is not None:
            managed[key] = value
        else:
            channels[key] = _channel(key, hint)
    return Schema(typ, channels, managed, _mapper(typ))


def _hints(typ: Any) -> dict[str, Any]:
    """The annotated keys; empty where the type is the whole state."""
    if not any(getattr(base, "__annotations__", None) for base in getattr(typ, "__mro__", ())):
        return {}
    hints = get_type_hints(typ, include_extras=True)
    if hasattr(typ, "model_fields"):
        return {key: hint for key, hint in hints.items() if key in typ.model_fields}
    if hasattr(typ, "__dataclass_fields__"):
        return {key: hint for key, hint in hints.items() if key in typ.__dataclass_fields__}
    return hints


def _bare(hint: Any) -> Any:
    """A hint without Required, NotRequired and ReadOnly around it."""
    while (origin := get_origin(hint)) in (Required, NotRequired) or getattr(
        origin, "_name", ""
    ) == "ReadOnly":
        hint = get_args(hint)[0]
    return hint


def _marks(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """The type of a hint and what Annotated adds to it."""
    hint = _bare(hint)
    if get_origin(hint) is not Annotated:
        return hint, ()
    typ, *marks = get_args(hint)
    return _bare(typ), tuple(marks)


def _managed(hint: Any) -> type[ManagedValue] | None:
    _, marks = _marks(hint)
    for mark in marks:
        if isinstance(mark, type) and issubclass(mark, ManagedValue):
            return mark
    return None


def _channel(key: str, hint: Any) -> BaseChannel[Any, Any]:
    typ, marks = _marks(hint)
    channel: BaseChannel[Any, Any] = LastValue(typ)
    if marks:
        last = marks[-1]
        if isinstance(last, BaseChannel):
            channel = last.copy()
        elif isinstance(last, type) and issubclass(last, BaseChannel):
            channel = last(typ)
        elif callable(last) and not isinstance(last, type):
            _check_reducer(key, last)
            channel = BinaryOperatorAggregate(typ, last)
    channel.key = key
    return channel


def _check_reducer(key: str, reducer: Callable[..., Any]) -> None:
    try:
        parameters = inspect.signature(reducer).parameters.values()
    except (TypeError, ValueError):  # builtins without a signature
        return
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [p for p in positional if p.default is p.empty]
    takes_all = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    if len(required) > 2 or (len(positional) < 2 and not takes_all):
        name = getattr(reducer, "__name__", repr(reducer))
        raise ValueError(
            f"Invalid reducer signature for the state key {key!r}: {name} must take two arguments, (old, "
            "new)."
        )


def _mapper(typ: Any) -> Callable[[dict[str, Any]], Any] | None:
    if is_dict_class(typ):
        return None
    return lambda values: typ(**values)


def is_dict_class(typ: Any) -> bool:
    """Whether a state of this type is a dict: a TypedDict (of typing or typing_extensions), or a mapping."""
    return isinstance(typ, type) and issubclass(typ, Mapping)


def state_fields(value: Any, keys: Mapping[str, Any]) -> list[tuple[str, Any]] | None:
    """The state keys that an object (dataclass, pydantic model) holds; None for what is no such object.

    Fields of a model that were not set and are None are left out.
    """
    if hasattr(value, "model_fields_set"):
        was_set = value.model_fields_set
        pairs = [(key, getattr(value, key)) for key in type(value).model_fields if key in keys]
        return [(key, field) for key, field in pairs if field is not None or key in was_set]
    if hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        return [(key, getattr(value, key)) for key in value.__dataclass_fields__ if key in keys]
    if (
        not isinstance(value, type)
        and type(value).__module__ != "builtins"
        and getattr(value, "__annotations__", None)
    ):
        return [
            (key, getattr(value, key)) for key in value.__annotations__ if key in keys and hasattr(value, key)
        ]
    return None
