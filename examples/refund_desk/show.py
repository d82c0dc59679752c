"""The show: clerks in processes of their own, one of them killed. What is said about it is checked.

The desk itself is in `graph.py`. This process only starts the clerks and reads what they leave: the ledger,
and the file of the thread, while they work and after they are gone.
"""

from __future__ import annotations

import signal
import tempfile
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.rule import Rule
from rich.table import Table

from examples.refund_desk import board as marks
from examples.refund_desk import tables
from examples.refund_desk.cases import REQUESTS, load_requests
from examples.refund_desk.clerk import THREAD, Answers, answering, ledger_of
from examples.refund_desk.graph import LIMIT, build
from examples.refund_desk.services import Services
from examples.refund_desk.stage import Event, Stage
from threadkeep.checkpoint.memory import InMemorySaver
from threadkeep.types import StateSnapshot

READING = "reading begun"
KILL_AFTER = 9  # letters whose result is in the file

# What the person at the desk says.
ANSWERS: Answers = {
    "R-02": {"approved": True, "by": "Ada", "reason": "three weeks old"},
    "R-06": {"approved": True, "by": "Ada", "reason": "unsafe"},
    "R-11": {"approved": False, "by": "Ada", "reason": "out of warranty"},
    "R-14": {"approved": True, "by": "Ada", "reason": "the neighbour has nothing"},
    "R-19": {"approved": True, "by": "Ada", "reason": "unused, in time"},
}
APPEAL: Answers = {"R-11": {"approved": True, "by": "Bela", "reason": "known fault of the series"}}


def run(console: Console, folder: Path) -> int:
    """Plays all acts; the exit code, 0 only if everything that was claimed is true."""
    began = time.monotonic()
    stage = Stage(console, folder)
    console.print(
        f"{len(stage.requests)} requests for a refund. A clerk reads the letters, which is slow and paid for "
        f"by the call; rules decide; above {LIMIT}, a person does; then money is paid and letters are sent."
    )
    kept = killed_in_the_middle(stage)
    started_again(stage, kept)
    first = approved(stage)
    listed(stage, first)
    forked(stage, first)
    figures(stage, time.monotonic() - began)
    return verdict(stage)


def title(stage: Stage, text: str) -> None:
    """A heading."""
    stage.console.print()
    stage.console.print(Rule(f"[bold]{text}", align="left", style="dim"))


def follow(stage: Stage, event: Event) -> None:
    """Puts what a clerk tells on the board."""
    match event:
        case {"event": "begun", "request": request}:
            stage.board.set(request, marks.READING)
        case {"event": "read", "request": request, "reused": True}:
            stage.board.set(request, marks.KEPT)
        case {"event": "read", "request": request, "complaint": complaint}:
            stage.board.set(request, marks.read(complaint))
        case {"event": "paid", "request": request}:
            stage.board.set(request, marks.PAID)


def killed_in_the_middle(stage: Stage) -> dict[str, Any]:
    """Act 1; what the file kept of the parallel step."""
    title(stage, "1  A clerk starts, and is killed in the middle of the parallel step")
    total = len(stage.requests)
    with stage.board.moving():
        code = stage.clerk(
            "start",
            lambda event: follow(stage, event),
            kill_when=lambda: len(stage.letters_kept()) >= KILL_AFTER,
        )
        kept = stage.letters_kept()
        lost = set(stage.done(READING)) - set(kept)
        stage.board.marks |= dict.fromkeys(set(stage.requests) - set(kept) - lost, marks.WAITING)
        stage.board.marks |= dict.fromkeys(lost, marks.LOST) | dict.fromkeys(kept, marks.KEPT)
    missing = total - len(kept)
    check = stage.claims.check
    check(f"process {stage.processes[0]} was killed by SIGKILL", code, -signal.SIGKILL)
    in_the_middle = KILL_AFTER <= len(kept) < total and len(lost) > 0
    check(f"the file has {len(kept)} of {total} results, {len(lost)} more were begun", in_the_middle, True)
    waiting = stage.thread().next
    check(f"the thread stands in that step, {missing} tasks to go", waiting, ("triage",) * missing)
    return kept


def started_again(stage: Stage, kept: dict[str, Any]) -> None:
    """Act 2."""
    title(stage, "2  Another process starts on the same file")
    lost = sorted(set(stage.done(READING)) - set(kept))
    told: list[Event] = []

    def watch(event: Event) -> None:
        told.append(event)
        follow(stage, event)

    with stage.board.moving():
        stage.clerk("resume", watch)
    check = stage.claims.check
    reused = sorted(event["request"] for event in told if event.get("reused"))
    check(f"{len(kept)} finished tasks were taken from the file", reused, sorted(kept))
    readings = [entry for entry in stage.ledger.entries() if entry.what == READING]
    by = {entry.request: entry.process for entry in readings if entry.request in kept}
    check("none was repeated: only the dead process read them", by, dict.fromkeys(kept, stage.processes[0]))
    times = Counter(entry.request for entry in readings)
    expected = Counter([*stage.requests, *lost])
    check(f"read twice is only what was lost in the middle: {', '.join(lost)}", times, expected)
    values = stage.thread().values
    check(
        "what was read before the kill stands unchanged", {id: values["complaints"][id] for id in kept}, kept
    )
    asked = sorted(event["request"] for event in told if event["event"] == "asked")
    above = [id for id, request in stage.requests.items() if request.amount > LIMIT]
    check(f"the run has paused: {len(above)} requests above {LIMIT} wait for a person", asked, above)
    check("nothing is paid yet", stage.done("payment"), [])


def approved(stage: Stage) -> StateSnapshot:
    """Act 3; the end of the run."""
    title(stage, "3  A person answers; a third process pays and writes")
    readings = stage.done(READING)
    asking = [stage.requests[question.value["request"]] for question in stage.thread().interrupts]
    stage.console.print(tables.questions(asking, ANSWERS))
    stage.board.marks = dict.fromkeys(stage.requests, marks.WAITING)
    with stage.board.moving():
        stage.clerk("answer", lambda event: follow(stage, event), answers=ANSWERS)
        end = stage.thread()
        granted = [id for id in stage.requests if end.values["decisions"][id].approved]
        stage.board.marks |= dict.fromkeys(set(stage.requests) - set(granted), marks.REFUSED)
    check = stage.claims.check
    check("the run is finished", end.next, ())
    check(f"{len(granted)} requests were paid, each once", sorted(stage.done("payment")), granted)
    total = end.values["total"]
    check(f"the bank paid {tables.money(total)}, as the state says", paid(stage), total)
    check(f"{len(stage.requests)} letters were sent", len(letters(stage)), len(stage.requests))
    check("no letter was read again", stage.done(READING), readings)
    check("the state equals that of a run that nobody killed", end.values, undisturbed())
    return end


def paid(stage: Stage) -> Decimal:
    """What the ledger says was paid."""
    amounts = (Decimal(entry.amount) for entry in stage.ledger.entries() if entry.what == "payment")
    return sum(amounts, Decimal(0))


def letters(stage: Stage) -> list[str]:
    """What letters the ledger says were sent, in order."""
    return [
        f"{entry.request} {entry.what}" for entry in stage.ledger.entries() if entry.what.startswith("letter")
    ]


def undisturbed() -> Any:
    """The last state of the same day in memory, with the same answers and no accident."""
    with tempfile.TemporaryDirectory() as folder:
        services = Services(ledger_of(Path(folder)))
        graph = build(InMemorySaver())
        graph.invoke({"requests": load_requests()}, THREAD, context=services)
        graph.invoke(answering(graph, ANSWERS), THREAD, context=services)
        return graph.get_state(THREAD).values


def listed(stage: Stage, end: StateSnapshot) -> None:
    """Act 4."""
    title(stage, "4  The history of the thread, read from the file")
    history = stage.history()
    stage.console.print(tables.history(history))
    check = stage.claims.check
    steps = [tables.step(past) for past in history]
    check("one checkpoint a step, none twice, though three processes wrote them", steps, list(range(-1, 7)))
    parents = [past.parent_config for past in history]
    check("each one follows the one before", parents, [None, *(past.config for past in history[:-1])])
    check("the last one is where the run ended", history[-1], end)


def forked(stage: Stage, first: StateSnapshot) -> None:
    """Act 5."""
    (request,) = (stage.requests[id] for id in APPEAL)
    title(stage, f"5  An appeal: {request.id} is decided again, in a fork from before the payments")
    before, readings = stage.history(), stage.done(READING)
    paid_before, letters_before = paid(stage), letters(stage)
    with stage.console.status("a fourth process pays what the bank has not paid yet …"):
        stage.clerk("reconsider", lambda event: None, answers=APPEAL)
    after = stage.history()
    added, fork = after[len(before) :], after[-1]
    stage.console.print(tables.history(added))
    stage.console.print()
    stage.console.print(tables.outcomes(first, fork, request))
    check = stage.claims.check
    start = next(past for past in before if past.next == ("settle",))
    check(f"the fork starts at step {tables.step(start)}", added[0].parent_config, start.config)
    check("the first outcome is still in the history, unchanged", after[: len(before)], before)
    ours, theirs = fork.values, first.values
    differing = [id for id in stage.requests if ours["decisions"][id] != theirs["decisions"][id]]
    check(f"the outcomes differ in one decision, {request.id}", differing, [request.id])
    difference = ours["total"] - theirs["total"]
    check(f"the totals differ by its {tables.money(request.amount)}", difference, request.amount)
    check("the bank paid that much more for the fork", paid(stage) - paid_before, request.amount)
    check("the bank paid nobody twice", max(Counter(stage.done("payment")).values()), 1)
    check("one letter more was sent", letters(stage), [*letters_before, f"{request.id} letter: paid"])
    check("no letter was read for the fork", stage.done(READING), readings)


def figures(stage: Stage, seconds: float) -> None:
    """What it took."""
    history = stage.history()
    fork = [tables.source(past) for past in history].index("update")
    run = [tables.source(past) == "loop" and tables.step(past) > 0 for past in history]
    size = sum(file.stat().st_size for file in stage.folder.glob("threads.sqlite*"))
    work = Counter(entry.what.split(":")[0] for entry in stage.ledger.entries())
    rows = {
        "steps run": f"{sum(run[:fork])} to the first outcome, {sum(run[fork:])} for the fork",
        "checkpoints": f"{fork} and {len(history) - fork}, all in one thread",
        "file": f"{kib(size)} of SQLite; the requests alone are {kib(REQUESTS.stat().st_size)} of JSON",
        "processes": f"{len(stage.processes)}, one of them killed",
        "ledger": f"{work[READING]} readings, {work['payment']} payments, {work['letter']} letters",
        "time": f"{seconds:.1f} s",
    }
    title(stage, "In figures")
    table = Table.grid(padding=(0, 2))
    for name, value in rows.items():
        table.add_row("", f"[dim]{name}", value)
    stage.console.print(table)


def kib(size: int) -> str:
    """A number of bytes as people read it."""
    return f"{size / 1024:.0f} KiB"


def verdict(stage: Stage) -> int:
    """Whether everything that was said is true, as an exit code."""
    claims = stage.claims
    stage.console.print()
    if claims.wrong:
        stage.console.print(f"[bold red]{len(claims.wrong)} of {claims.made} claims are wrong.")
        return 1
    stage.console.print(f"[bold green]All {claims.made} claims were checked and hold.")
    return 0
