"""What every channel is. A channel holds one key of the state and decides how the writes of a step
combine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Final, Generic, Self, TypeVar

from threadkeep.errors import EmptyChannelError

Value = TypeVar("Value")
Update = TypeVar("Update")


class Missing:
    """The type of `MISSING`."""

    def __repr__(self) -> str:
        return "MISSING"

    def __reduce__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()
"""Stands for "no value", where None is a value."""


class BaseChannel(Generic[Value, Update], ABC):
    """One key of the state. Subclass it to combine writes in another way than a reducer can.

    `volatile` says that `update([])` may change the channel, so the engine calls it in each step in which
    nothing was written; a subclass that keeps its value when nothing is written sets it to False.
    """

    __slots__ = ("key", "typ")

    volatile: ClassVar[bool] = True

    def __init__(self, typ: Any, key: str = "") -> None:
        self.typ = typ
        self.key = key

    @property
    def ValueType(self) -> Any:
        """The type of the value that is read."""
        return self.typ

    @property
    def UpdateType(self) -> Any:
        """The type of what is written."""
        return self.typ

    def copy(self) -> Self:
        """An independent channel with the same value."""
        return self.from_checkpoint(self.checkpoint())

    def checkpoint(self) -> Any:
        """The value to save, or `MISSING`."""
        try:
            return self.get()
        except EmptyChannelError:
            return MISSING

    @abstractmethod
    def from_checkpoint(self, checkpoint: Any) -> Self:
        """A new channel of this kind that holds what `checkpoint()` gave (or nothing, for `MISSING`)."""

    @abstractmethod
    def get(self) -> Value:
        """The value. Raises `EmptyChannelError` where there is none."""

    def is_available(self) -> bool:
        """Whether `get` would give a value."""
        try:
            self.get()
        except EmptyChannelError:
            return False
        return True

    @abstractmethod
    def update(self, values: Sequence[Update]) -> bool:
        """Take the writes of one step, in order. True where the channel changed.

        Raises `InvalidUpdateError` for writes that cannot be combined; the channel is then unchanged.
        """

    def consume(self) -> bool:
        """A task that this channel triggered has run. True where the channel changed."""
        return False

    def finish(self) -> bool:
        """The run is about to end. True where the channel changed, which lets the run go on."""
        return False
