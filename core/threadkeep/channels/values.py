"""Channels that hold the last value written: plain, any-of-several, for one step only, never saved, held
back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Generic, Self

from threadkeep.channels.base import MISSING, BaseChannel, Value
from threadkeep.errors import EmptyChannelError, ErrorCode, InvalidUpdateError


def _several_values(key: str, hint: str) -> InvalidUpdateError:
    code = ErrorCode.INVALID_CONCURRENT_GRAPH_UPDATE.value
    return InvalidUpdateError(f"At key '{key}': can receive only one value per step. {hint} [{code}]")


class _Held(BaseChannel[Value, Value], Generic[Value]):
    """A channel whose whole state is one value."""

    __slots__ = ("value",)

    def __init__(self, typ: Any, key: str = "") -> None:
        super().__init__(typ, key)
        self.value: Any = MISSING

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def __hash__(self) -> int:
        return hash(type(self))

    def _empty(self) -> Self:
        return type(self)(self.typ, self.key)

    def copy(self) -> Self:
        new = self._empty()
        new.value = self.value
        return new

    def from_checkpoint(self, checkpoint: Any) -> Self:
        new = self._empty()
        new.value = checkpoint
        return new

    def checkpoint(self) -> Any:
        return self.value

    def get(self) -> Value:
        if self.value is MISSING:
            raise EmptyChannelError(self.key)
        return self.value  # type: ignore[no-any-return]  # a held value has the channel's type

    def is_available(self) -> bool:
        return self.value is not MISSING


class LastValue(_Held[Value], Generic[Value]):
    """Keeps the last value. Takes one write a step; two raise `InvalidUpdateError`."""

    __slots__ = ()
    volatile: ClassVar[bool] = False

    def update(self, values: Sequence[Value]) -> bool:
        if len(values) != 1:
            if not values:
                return False
            raise _several_values(self.key, "Use an Annotated key with a reducer to combine several values.")
        self.value = values[0]
        return True


class AnyValue(_Held[Value], Generic[Value]):
    """Keeps the last of several writes of a step, taking them to be equal; empty after a step without one."""

    __slots__ = ()

    def update(self, values: Sequence[Value]) -> bool:
        if values:
            self.value = values[-1]
            return True
        if self.value is MISSING:
            return False
        self.value = MISSING
        return True


class _Guarded(_Held[Value], Generic[Value]):
    """A held value that refuses several writes a step where it is guarded."""

    __slots__ = ("guard",)

    def __init__(self, typ: Any, guard: bool = True, key: str = "") -> None:
        super().__init__(typ, key)
        self.guard = guard

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.guard == self.guard

    def __hash__(self) -> int:
        return hash((type(self), self.guard))

    def _empty(self) -> Self:
        return type(self)(self.typ, self.guard, self.key)

    def _take(self, values: Sequence[Value]) -> bool:
        if self.guard and len(values) > 1:
            name = type(self).__name__
            raise _several_values(self.key, f"{name}(guard=False) keeps the last of several.")
        self.value = values[-1]
        return True


class EphemeralValue(_Guarded[Value], Generic[Value]):
    """Holds a value for the one step after it was written."""

    __slots__ = ()

    def update(self, values: Sequence[Value]) -> bool:
        if values:
            return self._take(values)
        if self.value is MISSING:
            return False
        self.value = MISSING
        return True


class UntrackedValue(_Guarded[Value], Generic[Value]):
    """Keeps the last value within a run and never saves it."""

    __slots__ = ()
    volatile: ClassVar[bool] = False

    def checkpoint(self) -> Any:
        return MISSING

    def from_checkpoint(self, checkpoint: Any) -> Self:
        return self._empty()

    def update(self, values: Sequence[Value]) -> bool:
        return bool(values) and self._take(values)


class LastValueAfterFinish(_Held[Value], Generic[Value]):
    """Keeps the last value and shows it only when the run would otherwise end; then once."""

    __slots__ = ("finished",)
    volatile: ClassVar[bool] = False

    def __init__(self, typ: Any, key: str = "") -> None:
        super().__init__(typ, key)
        self.finished = False

    def copy(self) -> Self:
        return self.from_checkpoint(self.checkpoint())

    def checkpoint(self) -> Any:
        return MISSING if self.value is MISSING else (self.value, self.finished)

    def from_checkpoint(self, checkpoint: Any) -> Self:
        new = self._empty()
        if checkpoint is not MISSING:
            new.value, new.finished = checkpoint
        return new

    def update(self, values: Sequence[Value]) -> bool:
        if not values:
            return False
        self.finished = False
        self.value = values[-1]
        return True

    def consume(self) -> bool:
        if not self.finished:
            return False
        self.finished = False
        self.value = MISSING
        return True

    def finish(self) -> bool:
        if self.finished or self.value is MISSING:
            return False
        self.finished = True
        return True

    def get(self) -> Value:
        if not self.finished:
            raise EmptyChannelError(self.key)
        return super().get()

    def is_available(self) -> bool:
        return self.finished and self.value is not MISSING
