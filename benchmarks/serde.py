"""The serialiser against the reference's, row by row, each side in a process of its own, rounds interleaved.

    python benchmarks/serde.py --reference PATH_OF_A_PYTHON_THAT_HAS_LANGGRAPH

The value of each row is built by the same code on both sides. Times are medians over the rounds of the best
of a few runs. "bare" is ormsgpack alone on the same content as plain dicts and strings.
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from time import perf_counter
from typing import Any
from uuid import UUID

ROUNDS = 9
NOON = datetime(2024, 5, 17, 12, tzinfo=UTC)
TEXT = "The quick brown fox jumps over the lazy dog, again. "


@dataclass
class Line:
    sku: str
    amount: int
    price: Decimal
    due: date


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reference", help="interpreter of an environment with langgraph", default=None)
    parser.add_argument("--side", choices=["threadkeep", "langgraph", "bare"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        serve(options.side)
        return
    sides = {"threadkeep": sys.executable, "bare": sys.executable}
    if options.reference:
        sides["langgraph"] = options.reference
    print_table(measured(sides))


def measured(sides: dict[str, str]) -> dict[str, dict[str, float]]:
    """Median by side and row."""
    workers = {
        side: subprocess.Popen(
            [python, __file__, "--side", side], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for side, python in sides.items()
    }
    rounds: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    for _ in range(ROUNDS):
        for side, worker in workers.items():
            assert worker.stdin is not None
            assert worker.stdout is not None
            print("go", file=worker.stdin, flush=True)
            rounds[side].append(json.loads(worker.stdout.readline()))
    for worker in workers.values():
        worker.communicate()
    return {
        side: {row: statistics.median(found[row] for found in samples) for row in samples[0]}
        for side, samples in rounds.items()
    }


def print_table(medians: dict[str, dict[str, float]]) -> None:
    print(f"{'row':34}" + "".join(f"{side:>12}" for side in medians) + f"{'reference / ours':>19}")
    for row, ours in medians["threadkeep"].items():
        cells = "".join(f"{medians[side].get(row, float('nan')):>12.4g}" for side in medians)
        reference = medians.get("langgraph", {}).get(row)
        print(f"{row:34}{cells}" + (f"{reference / ours:>19.2f}" if reference else ""))


def serve(side: str) -> None:
    """Answer each line of standard input with one sample of every row."""
    rows = bare_rows() if side == "bare" else typed_rows(side)
    for _ in sys.stdin:
        print(json.dumps({name: row() for name, row in rows.items()}), flush=True)


def typed_rows(side: str) -> dict[str, Callable[[], float]]:
    jsonplus = importlib.import_module(f"{side}.checkpoint.serde.jsonplus")
    customer = customer_class()
    serde = jsonplus.JsonPlusSerializer(
        allowed_msgpack_modules=[(Line.__module__, "Line"), (customer.__module__, "Customer")]
    )
    rows: dict[str, Callable[[], float]] = {}
    for name, value in {"200 messages": messages(200), "nested": nested(customer)}.items():
        add_rows(rows, name, value, serde)
    one = messages(2)
    packed = [serde.dumps_typed(message) for message in one]
    rows["one message, dumps µs"] = timed(lambda: [serde.dumps_typed(message) for message in one], 500)
    rows["one message, loads µs"] = timed(lambda: [serde.loads_typed(data) for data in packed], 500)
    rows["one message, bytes over its text"] = lambda: len(packed[1][1]) - len(one[1].content)
    return rows


def add_rows(rows: dict[str, Callable[[], float]], name: str, value: Any, serde: Any) -> None:
    packed = serde.dumps_typed(value)
    assert serde.loads_typed(packed) == value
    rows[f"{name}, dumps ms"] = timed(lambda: serde.dumps_typed(value), 1)
    rows[f"{name}, loads ms"] = timed(lambda: serde.loads_typed(packed), 1)
    rows[f"{name}, bytes"] = lambda: len(packed[1])


def bare_rows() -> dict[str, Callable[[], float]]:
    import ormsgpack

    rows: dict[str, Callable[[], float]] = {}
    for name, value in {"200 messages": plain_messages(200), "nested": plain_nested()}.items():
        packed = ormsgpack.packb(value)
        rows[f"{name}, dumps ms"] = timed(lambda value=value: ormsgpack.packb(value), 1)  # type: ignore[misc]
        rows[f"{name}, loads ms"] = timed(lambda packed=packed: ormsgpack.unpackb(packed), 1)  # type: ignore[misc]
        rows[f"{name}, bytes"] = lambda packed=packed: len(packed)  # type: ignore[misc]
    return rows


def timed(run: Callable[[], object], times: int) -> Callable[[], float]:
    """A row: the best time of a run in milliseconds; if repeated, per item of two in microseconds."""

    def row() -> float:
        best = float("inf")
        for _ in range(7):
            start = perf_counter()
            for _ in range(times):
                run()
            best = min(best, perf_counter() - start)
        return best * 1e3 if times == 1 else best * 1e6 / times / 2

    return row


def messages(count: int) -> list[Any]:
    from langchain_core.messages import AIMessage, HumanMessage

    speakers = (HumanMessage, AIMessage)
    return [speakers[i % 2](content=TEXT * 20, id=str(UUID(int=i))) for i in range(count)]


def plain_messages(count: int) -> list[Any]:
    return [
        {"type": ("human", "ai")[i % 2], "content": TEXT * 20, "id": str(UUID(int=i))} for i in range(count)
    ]


def customer_class() -> Any:
    from pydantic import create_model

    customer = create_model(
        "Customer", __module__=__name__, name=(str, ...), since=(datetime, ...), credit=(Decimal, ...)
    )
    globals()["Customer"] = customer
    return customer


def nested(customer: Any) -> dict[str, Any]:
    return {
        f"order-{i}": {
            "id": UUID(int=i << 64 | 0xC4C5C6),
            "at": NOON + timedelta(hours=i),
            "total": Decimal(i) / 4,
            "lines": [Line(f"sku-{i}-{n}", n, Decimal(i) / 8, date(2024, 1, 1)) for n in range(2)],
            "customer": customer(name=f"name {i}", since=NOON, credit=Decimal(i)),
            "tags": ["new", "paid"],
        }
        for i in range(60)
    }


def plain_nested() -> dict[str, Any]:
    line = {"sku": "sku-1-1", "amount": 1, "price": "0.125", "due": "2024-01-01"}
    return {
        f"order-{i}": {
            "id": str(UUID(int=i)),
            "at": NOON.isoformat(),
            "total": str(Decimal(i) / 4),
            "lines": [line, line],
            "customer": {"name": f"name {i}", "since": NOON.isoformat(), "credit": str(i)},
            "tags": ["new", "paid"],
        }
        for i in range(60)
    }


if __name__ == "__main__":
    main()
