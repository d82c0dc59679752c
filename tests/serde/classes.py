"""Classes of an application, as the tests of the serialiser save them."""

from __future__ import annotations

import enum
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Generic, NamedTuple, TypedDict, TypeVar

from pydantic import BaseModel, ConfigDict, PrivateAttr, RootModel

T = TypeVar("T")


class Colour(enum.Enum):
    RED = "r"
    GREEN = object()


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Status(enum.StrEnum):
    OPEN = "open"


class Rights(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()


class Point(NamedTuple):
    x: int
    y: Any = 0


class Row(TypedDict):
    name: str
    count: int


@dataclass
class Order:
    number: int
    lines: list[Any] = field(default_factory=list)
    total: Decimal = Decimal(0)
    serial: int = field(init=False, default=7)

    def __post_init__(self) -> None:
        self.note = f"order {self.number}"


@dataclass(frozen=True)
class Frozen:
    name: str
    inner: Any = None


@dataclass(slots=True)
class Slotted:
    name: str
    inner: Any = None


@dataclass(frozen=True, slots=True)
class FrozenSlotted:
    name: str
    inner: Any = None


@dataclass
class Unset:
    name: str
    later: int = field(init=False)


@dataclass
class WithCache:
    count: int

    @cached_property
    def double(self) -> Any:
        return lambda: self.count * 2


@dataclass
class Holder(Generic[T]):
    item: T


class Plain:
    def __init__(self, name: str, *, loud: bool) -> None:
        self.name = name.upper() if loud else name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plain) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(self.name)


class WithOwnState:
    def __init__(self, name: str) -> None:
        self.name = name
        self.connection = object()

    def __getstate__(self) -> dict[str, Any]:
        return {"name": self.name}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.name = state["name"]
        self.connection = object()


class PrivateSlots:
    __slots__ = ("__secret", "open")

    def __init__(self, secret: int) -> None:
        self.__secret = secret
        self.open = secret + 1

    @property
    def secret(self) -> int:
        return self.__secret


class Customer(BaseModel):
    name: str
    since: datetime | None = None
    tags: list[str] = []
    parent: Customer | None = None


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")

    name: str
    _count: int = PrivateAttr(default=3)
    _unset: int = PrivateAttr()

    @cached_property
    def size(self) -> int:
        return len(self.name)


class FrozenModel(BaseModel):
    model_config = ConfigDict(frozen=True)

    point: Point
    level: Level = Level.LOW


class Names(RootModel[list[str]]):
    pass


class Box(BaseModel, Generic[T]):
    content: T


IntBox = Box[int]


class UserId(str):
    __slots__ = ()


class Tagged(str):
    tag: str


class Metres(float):
    pass


class Port(int):
    pass


class Digest(bytes):
    pass


class Stack(list[Any]):
    label: str = ""


class Config(dict[str, Any]):
    pass


class Ordered(OrderedDict[str, Any]):
    pass


class Unique(set[Any]):
    pass


class Fixed(frozenset[Any]):
    pass


class Pair(tuple[Any, ...]):
    __slots__ = ()


class Recent(deque[Any]):
    pass


class Refused(Exception):
    def __init__(self, code: int, why: str) -> None:
        super().__init__(code, why)
        self.code = code

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Refused) and (self.args, self.code) == (other.args, other.code)

    def __hash__(self) -> int:
        return hash(self.args)


REGISTERED: list[type] = [
    Colour, Level, Status, Rights, Point, Order, Frozen, Slotted, FrozenSlotted, Unset, WithCache, Holder,
    Plain,
    WithOwnState, PrivateSlots, Customer, Loose, FrozenModel, Names, Box, UserId, Tagged, Metres, Port,
    Digest,
    Stack, Config, Ordered, Unique, Fixed, Pair, Recent, Refused,
]  # fmt: skip
