"""The filter language: a filter is parsed once into a small tree; the tree is evaluated here, or compiled to
SQL by a backend. Both mean the same.

A filter is a dict; everything in it must hold. `{"name": condition}` is about a field of the value, where
`"a.b"` is the field `b` of the object `a`. A backslash takes a special first `$`, a period or a backslash in
a name as it is: `"a\\\\.b"`. Names lead into objects only, never into lists.

A condition is one of:

- a plain value: the field equals it;
- a dict with names: the field is an object and the conditions in it hold; it may have other fields as well.
  `{}` is any object. For exact equality use `$eq`;
- a dict with operators, all of which must hold:

  `$eq`, `$ne`: equal, or not. `$in`, `$nin`: equal to one of a list, or to none.
  `$gt`, `$gte`, `$lt`, `$lte`: to a number or a text. False if the field is of another type.
  `$exists`: the field is there (true), or not (false).
  `$contains`: an element of the list equals the operand, or the text has the operand as a part.
  `$not`: a condition that does not hold. `$and`, `$or`: a list of conditions.

At the top stand `$and`, `$or` (lists of filters) and `$not` (a filter), beside names.

Values have types, and a value of one type never equals one of another:

- Numbers are the decimals that JSON writes for them, compared exactly: 1 equals 1.0, 2**53 + 1 does not equal
  2**53, 1e23 equals 10**23. A boolean is not a number.
- Texts are compared by code point.
- Lists are equal element by element, objects field by field, both exactly.
- null is a value: `{"a": None}` is true of `{"a": None}` only. Of a field that is missing only `$ne`, `$nin`,
  `$not` and `{"$exists": False}` are true.

Every test is true or false, so `$not` always turns it. (In SQL: no part of a filter may become NULL.)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from operator import ge, gt, le, lt
from typing import Any, Literal, NamedTuple, TypeAlias, cast

from threadkeep.errors import InvalidFilterError, InvalidOpError
from threadkeep.store.base.ops import is_unicode
from threadkeep.store.values import plain

Path: TypeAlias = tuple[str, ...]
"""Names from the root of the value inwards."""
Comparison: TypeAlias = Literal["$gt", "$gte", "$lt", "$lte"]


class Equals(NamedTuple):
    """The field is there and equals a JSON value."""

    path: Path
    value: Any


class In(NamedTuple):
    """The field is there and equals one of some JSON values."""

    path: Path
    values: tuple[Any, ...]


class Compare(NamedTuple):
    """The field is of the operand's type, number or text, and stands to it as the operator says."""

    path: Path
    operator: Comparison
    operand: int | float | str


class Exists(NamedTuple):
    """The field is there, null or not."""

    path: Path


class IsObject(NamedTuple):
    """The field is an object."""

    path: Path


class Contains(NamedTuple):
    """The field is a list with an element that equals the operand, or a text with the operand in it."""

    path: Path
    operand: Any


class And(NamedTuple):
    """All of the parts; true if there are none."""

    parts: tuple[Node, ...]


class Or(NamedTuple):
    """One of the parts, of which there is at least one."""

    parts: tuple[Node, ...]


class Not(NamedTuple):
    """Not the part."""

    part: Node


Node: TypeAlias = Equals | In | Compare | Exists | IsObject | Contains | And | Or | Not

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {"$gt": gt, "$gte": ge, "$lt": lt, "$lte": le}
MAX_DEPTH = 100
"""Conditions in each other."""
_LOGIC = ("$and", "$or", "$not")
OPERATORS = ("$eq", "$ne", *_COMPARISONS, "$in", "$nin", "$exists", "$contains", *_LOGIC)


def parse(filter: Mapping[str, Any] | None) -> Node:
    """The tree of *filter*; `And(())` for None. Raises `InvalidFilterError`, which names what is wrong and
    what is allowed.
    """
    if filter is None:
        return And(())
    if not isinstance(filter, Mapping):
        raise InvalidFilterError(f"A filter must be a dict, not {type(filter).__name__}: {filter!r}")
    try:
        tree = _all(_members(filter, ()))
    except RecursionError:
        tree = None
    if tree is None or _is_too_deep(tree):
        raise InvalidFilterError(
            f"The filter is nested too deeply, or in itself: {MAX_DEPTH} conditions may lie in each other."
        )
    return tree


def _is_too_deep(tree: Node) -> bool:
    """Whether evaluating or compiling it could run out of Python's stack."""
    level = [tree]
    for _ in range(MAX_DEPTH):
        level = [part for node in level for part in _parts(node)]
        if not level:
            return False
    return True


def _parts(node: Node) -> tuple[Node, ...]:
    if isinstance(node, And | Or):
        return node.parts
    return (node.part,) if isinstance(node, Not) else ()


def _all(parts: Iterator[Node]) -> Node:
    found = tuple(parts)
    return found[0] if len(found) == 1 else And(found)


def _members(filter: Mapping[Any, Any], path: Path) -> Iterator[Node]:
    """What a dict of names says about the object at *path*."""
    for name, condition in filter.items():
        if not isinstance(name, str) or not is_unicode(name):
            raise InvalidFilterError(f"The names in a filter must be strings of Unicode text, not {name!r}")
        if not name.startswith("$"):
            yield _condition(condition, path + split(name))
        elif name in _LOGIC:
            yield _operator(name, condition, path)
        else:
            raise InvalidFilterError(
                f"{name} cannot stand {_place(path)}. Allowed there: names, {', '.join(_LOGIC)}. "
                f"A field of this name is written '\\{name}'."
            )


def _condition(condition: Any, path: Path) -> Node:
    if not path:  # under $and, $or, $not at the top: whole filters
        if not isinstance(condition, Mapping):
            raise InvalidFilterError(f"$and, $or and $not at the top take filters, not {condition!r}")
        return _all(_members(condition, path))
    if not isinstance(condition, Mapping):
        return Equals(path, _operand(condition, "the value", path))
    if condition and all(isinstance(name, str) and name.startswith("$") for name in condition):
        return _all(_operator(name, operand, path) for name, operand in condition.items())
    return And((IsObject(path), *_members(condition, path)))


def _operator(name: str, operand: Any, path: Path) -> Node:
    build = _BUILD.get(name)
    if build is None:
        raise InvalidFilterError(
            f"There is no operator {name!r} ({_place(path)}). There are: {', '.join(OPERATORS)}."
        )
    return build(path, operand, name)


def _eq(path: Path, operand: Any, name: str) -> Node:
    return Equals(path, _operand(operand, name, path))


def _in(path: Path, operand: Any, name: str) -> Node:
    values = _sequence(operand, name, path)
    return In(path, tuple(_operand(value, name, path) for value in values))


def _compare(path: Path, operand: Any, name: str) -> Node:
    if isinstance(operand, bool) or not isinstance(operand, int | float | str):
        raise InvalidFilterError(f"{name} takes a number or a text, not {operand!r} ({_place(path)})")
    return Compare(path, cast("Comparison", name), _operand(operand, name, path))


def _exists(path: Path, operand: Any, name: str) -> Node:
    if not isinstance(operand, bool):
        raise InvalidFilterError(f"{name} takes true or false, not {operand!r} ({_place(path)})")
    return Exists(path) if operand else Not(Exists(path))


def _contains(path: Path, operand: Any, name: str) -> Node:
    return Contains(path, _operand(operand, name, path))


def _logic(path: Path, operand: Any, name: str) -> Node:
    parts = tuple(_condition(part, path) for part in _sequence(operand, name, path))
    if name == "$and":
        return And(parts)
    return Or(parts) if parts else Not(And(()))


_BUILD: dict[str, Callable[[Path, Any, str], Node]] = {
    "$eq": _eq,
    "$ne": lambda path, operand, name: Not(_eq(path, operand, name)),
    "$in": _in,
    "$nin": lambda path, operand, name: Not(_in(path, operand, name)),
    **dict.fromkeys(_COMPARISONS, _compare),
    "$exists": _exists,
    "$contains": _contains,
    "$and": _logic,
    "$or": _logic,
    "$not": lambda path, operand, name: Not(_condition(operand, path)),
}


def _sequence(operand: Any, name: str, path: Path) -> list[Any] | tuple[Any, ...]:
    if isinstance(operand, list | tuple):
        return operand
    raise InvalidFilterError(f"{name} takes a list, not {operand!r} ({_place(path)})")


def _operand(operand: Any, name: str, path: Path) -> Any:
    try:
        return plain(operand)
    except InvalidOpError as error:
        raise InvalidFilterError(f"{name} ({_place(path)}): {error}") from None


def _place(path: Path) -> str:
    return f"at {'.'.join(path)!r}" if path else "at the top of a filter"


_NAME_PART = re.compile(r"\\(.)|(\.)", re.DOTALL)


@lru_cache(maxsize=1024)
def split(name: str) -> Path:
    """The path that a name in a filter stands for: parted at periods, backslashes taken off."""
    if "\\" not in name:
        return tuple(name.split("."))
    parts, start = [""], 0
    for found in _NAME_PART.finditer(name):
        parts[-1] += name[start : found.start()] + (found[1] or "")
        if found[2]:
            parts.append("")
        start = found.end()
    parts[-1] += name[start:]
    return tuple(parts)


# The reference evaluator

Test: TypeAlias = Callable[[Mapping[str, Any]], bool]
_MISSING = object()


def matches(tree: Node, value: Mapping[str, Any]) -> bool:
    """Whether *value* passes the filter."""
    return predicate(tree)(value)


def predicate(tree: Node) -> Test:
    """A function that says whether a value passes the filter; for many values faster than `matches`."""
    return _PREDICATES[type(tree)](tree)


def _getter(path: Path) -> Callable[[Mapping[str, Any]], Any]:
    """Finds the field of a value, or _MISSING."""
    if len(path) == 1:
        (name,) = path
        return lambda value: value.get(name, _MISSING)

    def nested(value: Any) -> Any:
        for name in path:
            if not isinstance(value, dict) or (value := value.get(name, _MISSING)) is _MISSING:
                return _MISSING
        return value

    return nested


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_EXACT = 2.0**53


def _decimal(number: int | float) -> int | float:
    """The number that compares, by Python's exact comparison, as the decimal that JSON writes.

    Below 2**53 a float compares to any integer as its shortest decimal does; from there on that decimal is
    an integer.
    """
    if isinstance(number, float) and abs(number) >= _EXACT:
        return int(Decimal(repr(number)))
    return number


def equal(a: Any, b: Any) -> bool:
    """Whether two JSON values are equal, as the filter language understands it."""
    if a is None or isinstance(a, str | bool):
        return type(a) is type(b) and bool(a == b)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(equal(a[name], b[name]) for name in a)
    return _is_number(a) and _is_number(b) and _decimal(a) == _decimal(b)


def _equals(node: Equals) -> Test:
    get, operand = _getter(node.path), node.value
    if isinstance(operand, str):
        return lambda value: bool(get(value) == operand)
    return lambda value: equal(operand, get(value))


def _one_of(node: In) -> Test:
    get = _getter(node.path)
    texts = frozenset(operand for operand in node.values if isinstance(operand, str))
    others = [operand for operand in node.values if not isinstance(operand, str)]

    def test(value: Mapping[str, Any]) -> bool:
        held = get(value)
        return held in texts if isinstance(held, str) else any(equal(operand, held) for operand in others)

    return test


def _compares(node: Compare) -> Test:
    get, compare = _getter(node.path), _COMPARISONS[node.operator]
    if isinstance(node.operand, str):
        text = node.operand
        return lambda value: isinstance(held := get(value), str) and compare(held, text)
    number = _decimal(node.operand)
    return lambda value: _is_number(held := get(value)) and compare(_decimal(held), number)


def _holds(node: Contains) -> Test:
    get, operand = _getter(node.path), node.operand

    def test(value: Mapping[str, Any]) -> bool:
        held = get(value)
        if isinstance(held, str):
            return isinstance(operand, str) and operand in held
        return isinstance(held, list) and any(equal(operand, element) for element in held)

    return test


def _exist(node: Exists) -> Test:
    get = _getter(node.path)
    return lambda value: get(value) is not _MISSING


def _is_object(node: IsObject) -> Test:
    get = _getter(node.path)
    return lambda value: isinstance(get(value), dict)


def _conjunction(node: And) -> Test:
    tests = [predicate(part) for part in node.parts]
    return lambda value: all(test(value) for test in tests)


def _disjunction(node: Or) -> Test:
    tests = [predicate(part) for part in node.parts]
    return lambda value: any(test(value) for test in tests)


def _negation(node: Not) -> Test:
    test = predicate(node.part)
    return lambda value: not test(value)


_PREDICATES: dict[type, Callable[[Any], Test]] = {
    Equals: _equals,
    In: _one_of,
    Compare: _compares,
    Exists: _exist,
    IsObject: _is_object,
    Contains: _holds,
    And: _conjunction,
    Or: _disjunction,
    Not: _negation,
}
