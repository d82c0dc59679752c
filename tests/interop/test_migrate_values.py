"""Values as the real serialiser writes them, read without it."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import ipaddress
import json
import pathlib
import re
import uuid
import zoneinfo
from decimal import Decimal
from typing import Any

import langgraph.types
import numpy as np
import ormsgpack
import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, RemoveMessage, ToolMessage
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer as TheirSerializer
from pydantic import BaseModel, Field, SecretStr

from threadkeep.checkpoint.foreign import ForeignValues
from threadkeep.checkpoint.serde.base import DeserializationError
from threadkeep.checkpoint.serde.jsonplus import InvalidModuleError, JsonPlusSerializer
from threadkeep.types import Command, Interrupt, Overwrite, Send


class Address(BaseModel):
    street: str
    zip: int = 0


class Customer(BaseModel):
    name: str = Field(alias="customerName")
    address: Address | None = None


class Shop:
    class Item(BaseModel):
        sku: str


@dataclasses.dataclass
class Order:
    total: Decimal
    customer: Address
    lines: list[str]
    number: int = dataclasses.field(init=False, default=7)


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Span(collections.namedtuple("Span", "start end")):
    __slots__ = ()


ALLOWED: list[type] = [Address, Customer, Shop.Item, Order, Colour, Level, Rights, Span, SecretStr]

SAME: list[Any] = [
    None, b"bytes", bytearray(b"array"), True, 1.5, "tëxt", [1, [2]], {"a": {"b": None}},
    {1: "one", 2.5: "x"}, {1, 2}, frozenset({"a"}), collections.deque([1, 2]), [{"deep": {(1, 2): {3}}}],
    dt.datetime(2020, 1, 2, 3, 4, 5, 6), dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.date(2020, 1, 2),
    dt.time(1, 2, 3, tzinfo=dt.UTC, fold=1), dt.timedelta(1, 2, 3), dt.timezone(dt.timedelta(hours=1)),
    zoneinfo.ZoneInfo("Europe/Berlin"), uuid.UUID(int=7), Decimal("1.50"), pathlib.PosixPath("/a/b"),
    ipaddress.ip_address("1.2.3.4"), ipaddress.ip_network("::/64"), re.compile("a.b", re.IGNORECASE),
    Address(street="s"), Colour.RED, Level.HIGH, Rights.READ | Rights.WRITE, Span(1, 2),
    SecretStr("s"), [Address(street="in a list")],
    HumanMessage("hi", id="1", name="ann"), RemoveMessage(id="1"),
    ToolMessage("r", tool_call_id="t", artifact=[1]),
    AIMessage("x", tool_calls=[{"name": "f", "args": {"a": 1}, "id": "t"}], response_metadata={"m": 1}),
    AIMessageChunk(content="part"), Document("page", metadata={"k": 1}),
]  # fmt: skip


def ours(allowed: list[type] | None = None) -> ForeignValues:
    return ForeignValues(JsonPlusSerializer(allowed_modules=ALLOWED if allowed is None else allowed))


def theirs() -> TheirSerializer:
    return TheirSerializer(allowed_msgpack_modules=ALLOWED)


@pytest.mark.parametrize("value", SAME, ids=lambda value: f"{type(value).__name__} {value!r:.30}")
def test_a_value_is_what_the_real_package_reads_and_can_be_stored_here(value: Any) -> None:
    stored = theirs().dumps_typed(value)
    read = ours().load(*stored)
    expected = theirs().loads_typed(stored)
    assert (type(read), read) == (type(expected), expected)
    serde = JsonPlusSerializer(allowed_modules=ALLOWED)
    assert serde.loads_typed(serde.dumps_typed(read)) == read


@pytest.mark.parametrize("module", ["pathlib", "pathlib._local"])
@pytest.mark.parametrize("name", ["PosixPath", "PurePosixPath", "PureWindowsPath"])
def test_a_path_is_read_whatever_the_python_that_wrote_it_called_its_module(module: str, name: str) -> None:
    stored = ormsgpack.packb(ormsgpack.Ext(1, ormsgpack.packb((module, name, ("/", "a")))))
    assert ours().load("msgpack", stored) == getattr(pathlib, name)("/a")


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_come_back_with_their_type_shape_and_order(order: Any) -> None:
    array = np.array([[1, 2, 3], [4, 5, 6]], dtype="<i4", order=order)
    read = ours().load(*theirs().dumps_typed({"a": array}))["a"]
    assert (read.dtype, read.tolist()) == (array.dtype, array.tolist())
    assert read.flags["F_CONTIGUOUS"] == array.flags["F_CONTIGUOUS"]
    assert read.flags["WRITEABLE"]


def test_what_the_engine_passes_around_becomes_ours() -> None:
    given: Any = langgraph.types
    stored = theirs().dumps_typed(
        [
            given.Send("node", {"n": 1}),
            given.Command(resume="yes", goto="x"),
            given.Interrupt("who?", "an id"),
            given.Overwrite([1]),
        ]
    )
    assert ours().load(*stored) == [
        Send("node", {"n": 1}),
        Command(resume="yes", goto="x"),
        Interrupt("who?", "an id"),
        Overwrite([1]),
    ]


def test_a_model_with_aliases_and_models_inside_is_whole() -> None:
    customer = Customer(customerName="ann", address=Address(street="s", zip=1))
    assert ours().load(*theirs().dumps_typed(customer)) == customer


def test_a_class_within_a_class_is_found() -> None:
    assert ours().load(*theirs().dumps_typed(Shop.Item(sku="x"))) == Shop.Item(sku="x")


def test_fields_that_a_model_refuses_today_are_kept() -> None:
    fields = {"street": "s", "zip": "not a number"}
    data = ormsgpack.packb(ormsgpack.Ext(5, ormsgpack.packb([__name__, "Address", fields])))
    read = ours().load("msgpack", data)
    assert (type(read), read.__dict__) == (Address, fields)
    assert theirs().loads_typed(("msgpack", data)).__dict__ == fields


def test_a_dataclass_with_fields_outside_its_constructor_is_whole() -> None:
    order = Order(Decimal(3), Address(street="s"), ["a"])
    order.number = 9
    assert ours().load(*theirs().dumps_typed(order)) == order


def test_a_type_that_is_not_allowed_is_named_with_the_remedy() -> None:
    stored = theirs().dumps_typed({"o": [Colour.RED]})
    with pytest.raises(InvalidModuleError) as caught:
        ours([]).load(*stored)
    assert str(caught.value) == (
        f"The data holds a {__name__}.Colour, which is not on the allow-list. Allow it with"
        " threadkeep.checkpoint.serde.jsonplus.register(Colour), or for one serialiser with"
        " JsonPlusSerializer(allowed_modules=[Colour])."
    )


@pytest.mark.parametrize(
    ("module", "name", "argument"),
    [
        ("os", "system", "true"),
        ("builtins", "eval", "1"),
        ("subprocess", "Popen", ["true"]),
        ("no.such", "X", 1),
    ],
)
@pytest.mark.parametrize("code", range(6))
def test_hostile_bytes_build_nothing(code: int, module: str, name: str, argument: Any) -> None:
    inner = ormsgpack.packb([module, name, argument, "fromisoformat"])
    with pytest.raises(DeserializationError, match=f"{module}.{name}, which is not on the allow-list"):
        ours().load("msgpack", ormsgpack.packb({"a": ormsgpack.Ext(code, inner)}))


EMPTY = ("msgpack", ormsgpack.packb(ormsgpack.Ext(1, b"\x90")))


@pytest.mark.parametrize(
    "stored", [("msgpack", b"\xc1"), ("json", b"{"), ("pickle", b"."), ("what", b""), EMPTY]
)
def test_damaged_bytes_and_unknown_tags_are_errors(stored: tuple[str, bytes]) -> None:
    with pytest.raises(DeserializationError):
        ours().load(*stored)


def test_extensions_nest_only_so_deep() -> None:
    def nested(levels: int) -> bytes:
        value: Any = 1
        for _ in range(levels):
            value = ormsgpack.Ext(0, ormsgpack.packb(["builtins", "frozenset", [value]]))
        return ormsgpack.packb(value)

    assert type(ours().load("msgpack", nested(64))) is frozenset
    with pytest.raises(DeserializationError, match="nests more than 64"):
        ours().load("msgpack", nested(65))


def test_json_of_older_versions_is_read() -> None:
    def made(module: list[str], **parts: Any) -> dict[str, Any]:
        return {
            "lc": 2,
            "type": "constructor",
            "id": module,
            "method": None,
            "args": [],
            "kwargs": {},
            **parts,
        }

    message = {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "HumanMessage"]}
    stored = {
        "plain": [1, None],
        "uuid": made(["uuid", "UUID"], args=[uuid.UUID(int=7).hex]),
        "set": made(["builtins", "set"], args=[[1, 2]]),
        "time": made(["datetime", "datetime"], method="fromisoformat", args=["2020-01-01T00:00:00"]),
        "message": {**message, "kwargs": {"content": "hi", "type": "human", "id": "1"}},
    }
    assert ours().load("json", json.dumps(stored).encode()) == {
        "plain": [1, None],
        "uuid": uuid.UUID(int=7),
        "set": {1, 2},
        "time": dt.datetime(2020, 1, 1),
        "message": HumanMessage("hi", id="1"),
    }


class Backwards:
    """A cipher that can be seen through."""

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        return "backwards", plaintext[::-1]

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        assert ciphername == "backwards"
        return ciphertext[::-1]


def test_an_encrypted_value_needs_its_cipher() -> None:
    stored = EncryptedSerializer(Backwards()).dumps_typed({"a": {1}})
    with pytest.raises(DeserializationError, match=r"encrypted \(backwards\): pass cipher="):
        ours().load(*stored)
    assert ForeignValues(JsonPlusSerializer(), Backwards()).load(*stored) == {"a": {1}}


def test_pickles_need_the_serialiser_that_reads_them() -> None:
    stored = TheirSerializer(pickle_fallback=True).dumps_typed(2**70)
    assert stored[0] == "pickle"
    with pytest.raises(DeserializationError, match="pickle_fallback=True"):
        ours().load(*stored)
    assert ForeignValues(JsonPlusSerializer(pickle_fallback=True)).load(*stored) == 2**70
