"""Pydantic models, without validation: their fields are taken from and put back into the object directly.

The state is the dict of the fields, or, where that does not say all, a list: fields, names of the fields that
were not set by the caller (, extra, private). pydantic itself is never imported: a model brings it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from operator import itemgetter
from typing import Any, NamedTuple

from threadkeep.checkpoint.serde.base import DeserializationError

__all__ = ["is_model", "model_functions", "setter"]


def is_model(cls: type) -> bool:
    """Whether *cls* is a pydantic (version 2) model."""
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and issubclass(cls, pydantic.BaseModel)


def model_functions(
    cls: Any, *, omit_defaults: bool = False
) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """How to take apart and build a model.

    With *omit_defaults* fields the caller did not set are left out where they hold a simple default: for
    classes whose defaults do not change under stored data.
    """
    shape = _Shape(cls, frozenset(cls.model_fields), cls.model_config.get("extra") == "allow")
    if omit_defaults:
        load = _load_usual(shape, _load_function(shape, _filling(shape)))
        return _with_shortcut(cls, _dump_function(_omitting(cls))), load
    return _dump_function(_all_fields(shape)), _load_function(shape)


class _Shape(NamedTuple):
    cls: Any
    fields: frozenset[str]
    allows_extra: bool


def _simple_defaults(cls: Any) -> dict[str, Any]:
    """Defaults that are one unchangeable object, so that identity tells whether a field holds it."""
    return {
        name: field.default
        for name, field in cls.model_fields.items()
        if type(field.default) in (str, bool, type(None)) and field.default_factory is None
    }


def _empty_defaults(cls: Any) -> dict[str, type]:
    """Fields that start as a new empty collection, with its type."""
    return {
        name: field.default_factory
        for name, field in cls.model_fields.items()
        if field.default_factory in (list, dict, set)
    }


def _all_fields(shape: _Shape) -> Callable[[Any], dict[str, Any]]:
    names, count = shape.fields, len(shape.fields)

    def fields_of(model: Any) -> dict[str, Any]:
        fields: dict[str, Any] = model.__dict__
        if len(fields) == count:
            return fields
        return {name: value for name, value in fields.items() if name in names}  # less cached properties

    return fields_of


def _omitting(cls: Any) -> Callable[[Any], dict[str, Any]]:
    """Fields that were given or hold no simple default."""
    names = frozenset(cls.model_fields)
    simple, empty = _simple_defaults(cls), _empty_defaults(cls)
    absent = object()
    default_of = {name: simple.get(name, absent) for name in names}
    empty_type_of = {name: empty.get(name, absent) for name in names}

    def fields_of(model: Any) -> dict[str, Any]:
        given = model.__pydantic_fields_set__
        return {
            name: value
            for name, value in model.__dict__.items()
            if name in given
            or (
                name in names
                and value is not default_of[name]
                and (type(value) is not empty_type_of[name] or value)
            )
        }

    return fields_of


def _usual_fields(cls: Any) -> frozenset[str]:
    """The fields that every model of the class has reason to give: those without a default, and the id."""
    simple, empty = _simple_defaults(cls), _empty_defaults(cls)
    return frozenset(name for name in cls.model_fields if name == "id" or name not in {**simple, **empty})


def _with_shortcut(cls: Any, dump: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """*dump*; but where just two known fields were given, the others compare with their defaults at once.

    Those are content and id of a message: most messages, in a third of the time that all fields take.
    """
    simple, empty = _simple_defaults(cls), _empty_defaults(cls)
    usual = _usual_fields(cls)
    rare = [name for name in cls.model_fields if name not in usual]
    if len(usual) != 2 or len(rare) < 2:
        return dump
    first, second = sorted(usual)
    count = len(cls.model_fields)
    rare_of = itemgetter(*rare)
    rare_defaults = rare_of({**simple, **{name: make() for name, make in empty.items()}})

    def dump_usual(model: Any) -> Any:
        fields = model.__dict__
        if (
            model.__pydantic_fields_set__ == usual
            and len(fields) == count
            and rare_of(fields) == rare_defaults
            and not model.__pydantic_extra__
            and model.__pydantic_private__ is None
        ):
            return {first: fields[first], second: fields[second]}
        return dump(model)

    return dump_usual


def _dump_function(fields_of: Callable[[Any], dict[str, Any]]) -> Callable[[Any], Any]:
    def dump(model: Any) -> Any:
        fields, given = fields_of(model), model.__pydantic_fields_set__
        extra, private = model.__pydantic_extra__, model.__pydantic_private__
        if not extra and private is None:
            if len(fields) == len(given):
                return fields
            return [fields, [name for name in fields if name not in given]]
        unset = [name for name in (*fields, *(extra or ())) if name not in given]
        return [fields, unset, extra or None, private]

    return dump


def _load_function(
    shape: _Shape, whole: Callable[[dict[str, Any]], dict[str, Any]] | None = None
) -> Callable[[Any], Any]:
    """The function that builds a model; *whole* completes its fields where defaults were left out."""
    cls, names, allows_extra = shape
    private_attributes = dict(cls.__private_attributes__)
    is_root = bool(cls.__pydantic_root_model__)  # has neither extra fields nor private attributes
    new = cls.__new__
    set_fields, set_given = setter(cls, "__dict__"), setter(cls, "__pydantic_fields_set__")
    set_extra, set_private = setter(cls, "__pydantic_extra__"), setter(cls, "__pydantic_private__")

    plain = whole is None and not private_attributes and not is_root

    def load(state: Any) -> Any:
        extra = private = None
        if type(state) is dict:
            given = set(state)
            if plain and given == names:
                model = new(cls)
                set_fields(model, state)
                set_given(model, given)
                set_extra(model, {} if allows_extra else None)
                set_private(model, None)
                return model
        else:
            state, unset, extra, private = _parts(state)
            given = {*state, *extra}.difference(unset)
        model = new(cls)
        set_fields(model, whole(state) if whole else _completed(cls, names, state))
        set_given(model, given if given <= names else given & {*names, *(extra or ())})
        if not is_root:
            set_extra(model, (extra or {}) if allows_extra else None)
            set_private(model, _private(private, private_attributes) if private_attributes else None)
        return model

    return load


def _load_usual(shape: _Shape, load: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """*load*, with a shortcut for what `_with_shortcut` dumps: two thirds of the time for most messages."""
    cls, _, allows_extra = shape
    usual = _usual_fields(cls)
    if len(usual) != 2 or cls.__private_attributes__ or cls.__pydantic_root_model__:
        return load
    first, second = sorted(usual)
    simple, empty = _simple_defaults(cls), tuple(_empty_defaults(cls).items())
    template = {name: simple.get(name) for name in cls.model_fields}
    new = cls.__new__
    set_fields, set_given = setter(cls, "__dict__"), setter(cls, "__pydantic_fields_set__")
    set_extra, set_private = setter(cls, "__pydantic_extra__"), setter(cls, "__pydantic_private__")

    def load_usual(state: Any) -> Any:
        if type(state) is not dict or len(state) != 2 or first not in state or second not in state:
            return load(state)
        fields = template.copy()
        fields.update(state)
        for name, make in empty:
            fields[name] = make()
        model = new(cls)
        set_fields(model, fields)
        set_given(model, {first, second})
        set_extra(model, {} if allows_extra else None)
        set_private(model, None)
        return model

    return load_usual


def setter(cls: type, name: str) -> Callable[[Any, Any], None]:
    """What sets the attribute past the model's own `__setattr__`: its slot, twice as fast as by name."""
    for base in cls.__mro__:
        slot: Any = vars(base).get(name)
        if hasattr(slot, "__set__"):
            set_slot: Callable[[Any, Any], None] = slot.__set__
            return set_slot
    return lambda model, value: object.__setattr__(model, name, value)


def _parts(state: Any) -> tuple[dict[str, Any], list[str], dict[str, Any], dict[str, Any] | None]:
    """A state in list form, its parts checked: anything can stand in hostile bytes."""
    fields, unset, *rest = state[:4]
    extra, private = rest or (None, None)
    if type(fields) is not dict or type(unset) is not list:
        raise ValueError("not the state of a model")
    if type(extra or {}) is not dict or type(private or {}) is not dict:
        raise ValueError("not the state of a model")
    return fields, unset, extra or {}, private


def _filling(shape: _Shape) -> Callable[[dict[str, Any]], dict[str, Any]]:
    cls, names, _ = shape
    simple, empty = _simple_defaults(cls), list(_empty_defaults(cls).items())
    template = {name: simple.get(name) for name in cls.model_fields}
    required = sorted(names - simple.keys() - dict(empty).keys())

    def whole(state: dict[str, Any]) -> dict[str, Any]:
        for name in required:
            if name not in state:
                return _completed(cls, names, state)
        fields = {**template, **state}
        if len(fields) != len(template):
            return _completed(cls, names, state)
        for name, make in empty:
            if name not in state:
                fields[name] = make()
        return fields

    return whole


def _completed(cls: Any, names: frozenset[str], state: dict[str, Any]) -> dict[str, Any]:
    """*state* in the order of the class's fields: defaults for what it lacks, nothing unknown."""
    if state.keys() == names:
        return state
    whole = {}
    for name, field in cls.model_fields.items():
        if name in state:
            whole[name] = state[name]
        elif not field.is_required():
            whole[name] = field.get_default(call_default_factory=True, validated_data=whole)
        else:
            raise DeserializationError(
                f"saved state of {cls.__module__}:{cls.__qualname__} has no {name!r},"
                " and the field has no default",
                type_name=f"{cls.__module__}:{cls.__qualname__}",
            )
    return whole


def _private(saved: dict[str, Any] | None, attributes: dict[str, Any]) -> dict[str, Any]:
    """Private attributes as saved; those the saved object did not have yet take their defaults."""
    found = {} if saved is None else saved
    if saved is None:
        for name, attribute in attributes.items():
            value = attribute.get_default()
            if type(value).__name__ != "PydanticUndefinedType":
                found[name] = value
    return found
