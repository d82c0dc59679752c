"""The serialiser alone: 200 LangChain messages, and a nested dict of types that programs keep in state."""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from benchmarks.api import Api
from benchmarks.scale import Bench, Sample, Scale, milliseconds
from benchmarks.workloads.text import kilobytes

MESSAGES = 200
ORDERS = 100
MODULE = __name__
NOON = datetime(2024, 5, 17, 12, tzinfo=UTC)


@dataclass
class Line:
    sku: str
    amount: int
    price: Decimal


def messages(api: Api) -> Any:
    from langchain_core.messages import AIMessage, HumanMessage

    texts = kilobytes(MESSAGES, size=100)
    speakers = (HumanMessage, AIMessage)
    return [speakers[i % 2](content=text, id=f"message-{i}") for i, text in enumerate(texts)]


def nested(api: Api) -> Any:
    customer = customer_type()
    return {
        f"order-{i}": {
            "id": UUID(int=i),
            "at": NOON + timedelta(hours=i),
            "total": Decimal(i) / 4,
            "lines": [Line(sku=f"sku-{i}", amount=i, price=Decimal(i) / 8)],
            "customer": customer(name=f"name {i}", since=NOON, credit=Decimal(i)),
            "tags": ["new", "paid"],
        }
        for i in range(ORDERS)
    }


def customer_type() -> Any:
    """The pydantic model of the nested dict, defined on first use as a name of this module."""
    if "Customer" not in globals():
        from pydantic import create_model

        globals()["Customer"] = create_model(
            "Customer", __module__=MODULE, name=(str, ...), since=(datetime, ...), credit=(Decimal, ...)
        )
    return globals()["Customer"]


def serialiser(make: Callable[[Api], Any]) -> Bench:
    def bench(api: Api, scale: Scale) -> Iterator[Sample]:
        value = make(api)
        jsonplus = api.module("checkpoint.serde.jsonplus")
        serde = jsonplus.JsonPlusSerializer(allowed_msgpack_modules=[(MODULE, "Line"), (MODULE, "Customer")])
        packed = serde.dumps_typed(value)
        assert serde.loads_typed(packed) == value
        while True:
            yield timed(lambda: serde.dumps_typed(value), lambda: serde.loads_typed(packed), scale)

    return bench


def timed(dumps: Callable[[], object], loads: Callable[[], object], scale: Scale) -> Sample:
    times = 10 if scale.quick else 30
    return {
        "dumps_ms": statistics.median(milliseconds(dumps) for _ in range(times)),
        "loads_ms": statistics.median(milliseconds(loads) for _ in range(times)),
    }


def bare_msgpack(plain: Callable[[], Any]) -> Callable[[Scale], Iterator[Sample]]:
    """ormsgpack on the same content as plain dicts and strings."""

    def bench(scale: Scale) -> Iterator[Sample]:
        import ormsgpack

        value = plain()
        packed = ormsgpack.packb(value)
        while True:
            yield timed(lambda: ormsgpack.packb(value), lambda: ormsgpack.unpackb(packed), scale)

    return bench


def plain_messages() -> Any:
    texts = kilobytes(MESSAGES, size=100)
    return [
        {"type": ("human", "ai")[i % 2], "content": text, "id": f"message-{i}"}
        for i, text in enumerate(texts)
    ]


def plain_nested() -> Any:
    return {
        f"order-{i}": {
            "id": str(UUID(int=i)),
            "at": str(NOON + timedelta(hours=i)),
            "total": str(Decimal(i) / 4),
            "lines": [{"sku": f"sku-{i}", "amount": i, "price": str(Decimal(i) / 8)}],
            "customer": {"name": f"name {i}", "since": str(NOON), "credit": str(Decimal(i))},
            "tags": ["new", "paid"],
        }
        for i in range(ORDERS)
    }
