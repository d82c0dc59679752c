"""What the show prints as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal

from rich.table import Table

from examples.refund_desk.cases import Decision, Request
from examples.refund_desk.clerk import Answers
from threadkeep.types import StateSnapshot


def money(amount: Decimal) -> str:
    """The amount as people write it."""
    return f"{amount:,.2f}"


def short_id(snapshot: StateSnapshot) -> str:
    """The part of the checkpoint's id that tells it from its neighbours."""
    return str(snapshot.config["configurable"]["checkpoint_id"])[9:23]


def step(snapshot: StateSnapshot) -> int:
    """The number of the step that made the checkpoint; -1 for the input."""
    return int((snapshot.metadata or {})["step"])


def source(snapshot: StateSnapshot) -> str:
    """What made the checkpoint: "input", "loop" or "update"."""
    return str((snapshot.metadata or {})["source"])


def questions(requests: Iterable[Request], answers: Answers) -> Table:
    """What is asked, and what the person answers."""
    table = Table(box=None, padding=(0, 1))
    for heading in ("request", "amount", "what for", "answer", "because"):
        table.add_column(heading, justify="right" if heading == "amount" else "left")
    for request in requests:
        answer = answers[request.id]
        verdict = "[green]yes[/]" if answer["approved"] else "[red]no[/]"
        table.add_row(request.id, money(request.amount), request.item, verdict, answer["reason"])
    return table


def history(snapshots: Iterable[StateSnapshot]) -> Table:
    """The checkpoints, oldest first, and what each of them knows."""
    table = Table(box=None, padding=(0, 1))
    table.add_column("step", justify="right")
    for heading in ("checkpoint", "made by", "next", "letters so far"):
        table.add_column(heading)
    for snapshot in snapshots:
        waiting = [
            f"{node} × {count}" if count > 1 else node for node, count in Counter(snapshot.next).items()
        ]
        table.add_row(
            str(step(snapshot)),
            short_id(snapshot),
            source(snapshot),
            ", ".join(waiting) or "– (the end)",
            _contents(snapshot.values),
        )
    return table


def _contents(values: Mapping[str, object]) -> str:
    words = {"complaints": "read", "decisions": "decided", "receipts": "paid"}
    sizes = {word: len(part) for key, word in words.items() if isinstance(part := values.get(key), dict)}
    return ", ".join(f"{size} {word}" for word, size in sizes.items() if size) or "–"


def outcomes(first: StateSnapshot, fork: StateSnapshot, request: Request) -> Table:
    """Both ends of the thread side by side."""
    table = Table(box=None, padding=(0, 1))
    for heading in ("", "first outcome", "fork"):
        table.add_column(heading)
    ends = (first.values, fork.values)
    decisions: list[Decision] = [values["decisions"][request.id] for values in ends]
    table.add_row(f"{request.id}, {request.item}", *(f"{_verdict(d)} by {d.by}" for d in decisions))
    table.add_row("because", *(decision.reason for decision in decisions))
    table.add_row("requests paid", *(str(len(values["receipts"])) for values in ends))
    table.add_row("total", *(money(values["total"]) for values in ends))
    table.add_row("last checkpoint", short_id(first), short_id(fork))
    table.add_row("last step", *(str(step(end)) for end in (first, fork)))
    return table


def _verdict(decision: Decision) -> str:
    return "[green]approved[/]" if decision.approved else "[red]refused[/]"
