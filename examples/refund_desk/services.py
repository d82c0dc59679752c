"""The world outside the refund desk, in small: a slow model that reads letters, a bank, a post office.

Everything it does leaves a line in the ledger, a file of JSON lines. The show counts these lines: the ledger
knows nothing of graphs and checkpoints.
"""

from __future__ import annotations

import json
import os
import threading
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from examples.refund_desk.cases import Complaint, Request

# The stand-in for a language model: the first row with a word of the letter wins.
WORDS: list[tuple[Complaint, tuple[str, ...]]] = [
    (Complaint.NEVER_ARRIVED, ("never arrived", "lost")),
    (Complaint.WRONG_ITEM, ("instead of", "wrong", "different", "you sent")),
    (Complaint.DAMAGED, ("broken", "cracked", "shattered", "torn", "defective", "does not work")),
    (Complaint.WORN_OUT, ("worn",)),
]


class Entry(NamedTuple):
    """One line of the ledger: what was done for which request, by which process."""

    what: str
    request: str
    process: int
    amount: str = ""


class Ledger:
    """An append-only file. What `write` has returned for survives the death of the process."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lock = threading.Lock()

    def write(self, what: str, request: str, amount: str = "") -> None:
        """Adds a line."""
        line = json.dumps(Entry(what, request, os.getpid(), amount)._asdict()) + "\n"
        with self._lock, self.file.open("a", encoding="utf-8") as file:
            file.write(line)

    def write_once(self, what: str, request: str, amount: str = "") -> bool:
        """Adds a line unless there is one of that kind for the request; whether it did."""
        with self._lock:
            known = any((entry.what, entry.request) == (what, request) for entry in self.entries())
        if not known:
            self.write(what, request, amount)
        return not known

    def entries(self) -> list[Entry]:
        """Every line so far, in order."""
        if not self.file.exists():
            return []
        rows: list[dict[str, Any]] = [json.loads(line) for line in self.file.read_text("utf-8").splitlines()]
        return [Entry(**row) for row in rows]


class Services:
    """What nodes may call. `pace`: how many seconds a letter of a hundred characters takes to read."""

    def __init__(self, ledger: Ledger, pace: float = 0.0) -> None:
        self.ledger = ledger
        self.pace = pace

    def read_letter(self, request: Request) -> Complaint:
        """What the customer complains about. Slow and paid for by the call, as a language model would be."""
        self.ledger.write("reading begun", request.id)
        time.sleep(self.pace * len(request.text) / 100)
        text = request.text.lower()
        found = (kind for kind, words in WORDS if any(word in text for word in words))
        self.ledger.write("reading done", request.id)
        return next(found, Complaint.CHANGED_MIND)

    def pay(self, request: Request) -> str:
        """The receipt of the payment. The bank pays a request once, however often it is asked."""
        time.sleep(self.pace / 4)
        self.ledger.write_once("payment", request.id, str(request.amount))
        return f"receipt for {request.id}"

    def send_letter(self, request: Request, approved: bool) -> None:
        """Tells the customer. The same letter goes out once."""
        time.sleep(self.pace / 20)
        total = request.amount if approved else Decimal(0)
        self.ledger.write_once("letter: paid" if approved else "letter: refused", request.id, str(total))
