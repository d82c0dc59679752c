"""Channels that combine the writes of a step: by a reducer, into a list, or by waiting for all names."""

from __future__ import annotations

import collections.abc
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Generic, NotRequired, Required, Self, get_origin

from threadkeep.channels.base import MISSING, BaseChannel, Value
from threadkeep.errors import EmptyChannelError, ErrorCode, InvalidUpdateError
from threadkeep.types import Overwrite

_CONCRETE: dict[Any, Any] = {
    collections.abc.Sequence: list,
    collections.abc.MutableSequence: list,
    collections.abc.Collection: list,
    collections.abc.Iterable: list,
    collections.abc.Set: set,
    collections.abc.MutableSet: set,
    collections.abc.Mapping: dict,
    collections.abc.MutableMapping: dict,
}


def _initial(typ: Any) -> Any:
    """An empty value of `typ`, or `MISSING` where the type has none."""
    origin = get_origin(typ)
    while origin in (Required, NotRequired):
        typ = typ.__args__[0]
        origin = get_origin(typ)
    made = origin or typ
    made = _CONCRETE.get(made, made)
    if not isinstance(made, type):
        return MISSING
    try:
        return made()
    except Exception:  # a type that cannot be made empty starts without a value
        return MISSING


def overwritten(value: Any) -> tuple[bool, Any]:
    """Whether `value` replaces instead of being reduced, and by what."""
    if isinstance(value, Overwrite):
        return True, value.value
    if isinstance(value, dict) and len(value) == 1 and "__overwrite__" in value:
        return True, value["__overwrite__"]
    return False, None


class BinaryOperatorAggregate(BaseChannel[Value, Value], Generic[Value]):
    """Reduces the writes of a step into the value, one after the other, with a two-argument function.

    Starts from an empty value of its type (`list()`, `0`, …) where the type has one. `Overwrite(x)`
    replaces the value; a step may hold one of them, and later plain writes of the step are then left out.
    """

    __slots__ = ("operator", "value")
    volatile: ClassVar[bool] = False

    def __init__(self, typ: Any, operator: Callable[[Value, Value], Value], key: str = "") -> None:
        super().__init__(typ, key)
        self.operator = operator
        self.value: Any = _initial(typ)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BinaryOperatorAggregate):
            return False
        if "<lambda>" in (getattr(self.operator, "__name__", ""), getattr(other.operator, "__name__", "")):
            return True
        return self.operator == other.operator

    def __hash__(self) -> int:
        return hash(type(self))

    def copy(self) -> Self:
        return self.from_checkpoint(self.value)

    def checkpoint(self) -> Any:
        return self.value

    def from_checkpoint(self, checkpoint: Any) -> Self:
        new = type(self)(self.typ, self.operator, self.key)
        if checkpoint is not MISSING:
            new.value = checkpoint
        return new

    def get(self) -> Value:
        if self.value is MISSING:
            raise EmptyChannelError(self.key)
        return self.value  # type: ignore[no-any-return]  # a held value has the channel's type

    def is_available(self) -> bool:
        return self.value is not MISSING

    def update(self, values: Sequence[Value]) -> bool:
        if not values:
            return False
        result = self.value
        replaced = False
        for value in values:
            replaces, new = overwritten(value)
            if replaces:
                if replaced:
                    code = ErrorCode.INVALID_CONCURRENT_GRAPH_UPDATE.value
                    raise InvalidUpdateError(
                        f"At key '{self.key}': can receive only one Overwrite value per step. [{code}]"
                    )
                result, replaced = new, True
            elif not replaced:
                result = value if result is MISSING else self.operator(result, value)
        self.value = result
        return True


class Topic(BaseChannel[Sequence[Value], Any], Generic[Value]):
    """A list of what was written in the last step, or in all steps with `accumulate=True`."""

    __slots__ = ("accumulate", "values")

    def __init__(self, typ: Any, accumulate: bool = False, key: str = "") -> None:
        super().__init__(typ, key)
        self.accumulate = accumulate
        self.values: list[Value] = []

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Topic) and other.accumulate == self.accumulate

    def __hash__(self) -> int:
        return hash((type(self), self.accumulate))

    @property
    def ValueType(self) -> Any:
        return Sequence[self.typ]  # type: ignore[name-defined]  # a runtime type

    @property
    def UpdateType(self) -> Any:
        return self.typ | list[self.typ]  # type: ignore[name-defined]  # a runtime type

    def copy(self) -> Self:
        return self.from_checkpoint(self.checkpoint())

    def checkpoint(self) -> list[Value]:
        return self.values

    def from_checkpoint(self, checkpoint: Any) -> Self:
        new = type(self)(self.typ, self.accumulate, self.key)
        if checkpoint is not MISSING:
            new.values = list(checkpoint)
        return new

    def update(self, values: Sequence[Any]) -> bool:
        new: list[Value] = []
        for value in values:
            if isinstance(value, list):
                new.extend(value)
            else:
                new.append(value)
        if self.accumulate:
            self.values = [*self.values, *new]
            return bool(new)
        changed = bool(new or self.values)
        self.values = new
        return changed

    def get(self) -> Sequence[Value]:
        if not self.values:
            raise EmptyChannelError(self.key)
        return list(self.values)

    def is_available(self) -> bool:
        return bool(self.values)


class NamedBarrierValue(BaseChannel[None, Value], Generic[Value]):
    """Becomes available when every one of its names was written; a task that it triggered resets it."""

    __slots__ = ("names", "seen")
    volatile: ClassVar[bool] = False

    def __init__(self, typ: Any, names: Iterable[Value], key: str = "") -> None:
        super().__init__(typ, key)
        self.names = set(names)
        self.seen: set[Value] = set()

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.names == self.names

    def __hash__(self) -> int:
        return hash((type(self), frozenset(self.names)))

    def copy(self) -> Self:
        return self.from_checkpoint(self.checkpoint())

    def checkpoint(self) -> Any:
        return set(self.seen)

    def from_checkpoint(self, checkpoint: Any) -> Self:
        new = type(self)(self.typ, self.names, self.key)
        if checkpoint is not MISSING:
            new.seen = set(checkpoint)
        return new

    def update(self, values: Sequence[Value]) -> bool:
        for value in values:
            if value not in self.names:
                raise InvalidUpdateError(
                    f"At key '{self.key}': value {value!r} is none of {sorted(map(str, self.names))}"
                )
        before = len(self.seen)
        self.seen.update(values)
        return len(self.seen) != before

    def get(self) -> None:
        if not self.is_available():
            raise EmptyChannelError(self.key)

    def is_available(self) -> bool:
        return self.seen == self.names

    def consume(self) -> bool:
        if self.seen != self.names:
            return False
        self.seen = set()
        return True


class NamedBarrierValueAfterFinish(NamedBarrierValue[Value], Generic[Value]):
    """A barrier that, once complete, opens only when the run would otherwise end."""

    __slots__ = ("finished",)

    def __init__(self, typ: Any, names: Iterable[Value], key: str = "") -> None:
        super().__init__(typ, names, key)
        self.finished = False

    def checkpoint(self) -> Any:
        return (set(self.seen), self.finished)

    def from_checkpoint(self, checkpoint: Any) -> Self:
        new = type(self)(self.typ, self.names, self.key)
        if checkpoint is not MISSING:
            seen, new.finished = checkpoint
            new.seen = set(seen)
        return new

    def is_available(self) -> bool:
        return self.finished and self.seen == self.names

    def consume(self) -> bool:
        if not (self.finished and self.seen == self.names):
            return False
        self.finished = False
        self.seen = set()
        return True

    def finish(self) -> bool:
        if self.finished or self.seen != self.names:
            return False
        self.finished = True
        return True
