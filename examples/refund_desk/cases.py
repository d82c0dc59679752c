"""What the refund desk deals with: requests, what is wrong with them, decisions. Data only."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

REQUESTS = Path(__file__).with_name("requests.json")


class Complaint(StrEnum):
    """What a request is about."""

    NEVER_ARRIVED = "never arrived"
    DAMAGED = "damaged"
    WRONG_ITEM = "wrong item"
    WORN_OUT = "worn out"
    CHANGED_MIND = "changed mind"


@dataclass(frozen=True)
class Request:
    """One request for a refund. `days`: how many passed since the delivery was due."""

    id: str
    customer: str
    item: str
    amount: Decimal
    days: int
    text: str


@dataclass(frozen=True)
class Decision:
    """Whether a request is paid, who said so, and why."""

    approved: bool
    by: str
    reason: str


def load_requests(file: Path = REQUESTS) -> dict[str, Request]:
    """The requests in *file*, by id."""
    rows = json.loads(file.read_text(encoding="utf-8"))
    return {row["id"]: Request(**{**row, "amount": Decimal(row["amount"])}) for row in rows}
