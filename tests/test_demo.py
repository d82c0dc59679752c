"""The demo, run as a user runs it, and what it claims, counted again from the files it leaves."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from rich.console import Console

from examples.refund_desk import show, stage
from examples.refund_desk.cases import Complaint, Decision, Request, load_requests
from examples.refund_desk.clerk import THREAD, ledger_of, opened
from examples.refund_desk.graph import rule
from examples.refund_desk.services import Ledger, Services
from examples.refund_desk.stage import ClerkFailed, Stage
from threadkeep.types import StateSnapshot

ROOT = Path(__file__).resolve().parents[1]
REQUESTS = [f"R-{number:02}" for number in range(1, 25)]
ABOVE_LIMIT = ["R-02", "R-06", "R-11", "R-14", "R-19"]
COMPLAINTS = {
    Complaint.DAMAGED: [1, 2, 6, 8, 11, 13, 18, 23],
    Complaint.CHANGED_MIND: [3, 9, 16, 19, 21],
    Complaint.WRONG_ITEM: [4, 10, 15, 20, 24],
    Complaint.NEVER_ARRIVED: [5, 12, 14, 22],
    Complaint.WORN_OUT: [7, 17],
}
NOT_PAID = {"R-07", "R-09", "R-11", "R-17", "R-21"}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What the demo printed, to a pipe, and the folder it left."""
    folder = tmp_path_factory.mktemp("demo") / "desk"
    command = [sys.executable, "-m", "examples.refund_desk", "--keep", str(folder)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stderr) == (0, ""), run.stdout
    return run.stdout, folder


def history(folder: Path) -> list[StateSnapshot]:
    """The thread that the demo left, oldest first."""
    with opened(folder) as graph:
        return list(graph.get_state_history(THREAD))[::-1]


@pytest.mark.slow
def test_the_demo_checks_every_claim_and_says_so(played: tuple[str, Path]) -> None:
    output, _ = played
    assert "All 26 claims were checked and hold." in output
    assert (output.count("✓"), output.count("✗")) == (26, 0)
    assert "was killed by SIGKILL" in output
    assert "\x1b" not in output


@pytest.mark.slow
def test_the_ledger_of_the_demo_shows_what_was_repeated_and_what_was_not(played: tuple[str, Path]) -> None:
    output, folder = played
    entries = ledger_of(folder).entries()
    readings = [entry for entry in entries if entry.what == "reading begun"]
    killed = next(entry.process for entry in readings)
    stored, begun = map(int, re.findall(r"has (\d+) of 24 results, (\d+) more were begun", output)[0])
    assert 9 <= stored < 24
    assert len([entry for entry in readings if entry.process == killed]) == stored + begun
    times = Counter(Counter(entry.request for entry in readings).values())
    assert times == Counter({1: 24 - begun, 2: begun})
    assert f"ledger       {24 + begun} readings, 20 payments, 25 letters" in output
    assert len({entry.process for entry in entries}) == 4


@pytest.mark.slow
def test_the_demo_leaves_both_outcomes_in_one_thread(played: tuple[str, Path]) -> None:
    _, folder = played
    past = history(folder)
    assert [(state.metadata or {})["step"] for state in past] == [-1, 0, 1, 2, 3, 4, 5, 6, 4, 5, 6, 7]
    first, fork = past[7], past[11]
    assert past[8].parent_config == past[4].config
    assert first.values["total"] == Decimal("2705.25")
    assert fork.values["total"] == Decimal("3604.25")
    assert first.values["decisions"]["R-11"] == Decision(False, "Ada", "out of warranty")
    assert fork.values["decisions"]["R-11"] == Decision(True, "Bela", "known fault of the series")
    assert set(REQUESTS) - set(first.values["receipts"]) == NOT_PAID
    assert set(REQUESTS) - set(fork.values["receipts"]) == NOT_PAID - {"R-11"}


@pytest.mark.slow
def test_the_demo_pays_nobody_twice_though_the_fork_asks_again(played: tuple[str, Path]) -> None:
    output, folder = played
    entries = ledger_of(folder).entries()
    payments = [entry.request for entry in entries if entry.what == "payment"]
    assert sorted(payments) == [request for request in REQUESTS if request not in NOT_PAID - {"R-11"}]
    assert payments[-1] == "R-11"
    letters = Counter(entry.request for entry in entries if entry.what.startswith("letter"))
    assert letters == Counter([*REQUESTS, "R-11"])
    assert re.search(r"total +2,705\.25 +3,604\.25", output)


@pytest.mark.slow
def test_the_demo_fits_a_narrow_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "PACE", 0.3)
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, highlight=False)
    assert show.run(console, tmp_path) == 0
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    board = "".join(shown.split("✓")[0].splitlines(keepends=True)[-7:])  # the last frame of the first act
    assert (board.count("kept") >= 9, board.count("lost") >= 1, board.count("reading")) == (True, True, 0)
    assert "- R-11 refused" in shown
    assert max(len(line) for line in re.split(r"[\r\n]", shown)) <= 80


@pytest.mark.slow
def test_a_repeated_task_would_make_the_demo_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "PACE", 0.3)
    screen = io.StringIO()
    desk = Stage(Console(file=screen, width=110), tmp_path)
    kept = show.killed_in_the_middle(desk)
    assert desk.claims.wrong == []
    desk.ledger.write("reading begun", sorted(kept)[0])  # as a second process that reads it again
    show.started_again(desk, kept)
    assert len(desk.claims.wrong) == 2
    assert desk.claims.wrong[0] == "none was repeated: only the dead process read them"
    assert desk.claims.wrong[1].startswith("read twice is only what was lost in the middle")
    assert show.verdict(desk) == 1
    assert "2 of 9 claims are wrong." in screen.getvalue()


def test_a_clerk_that_ends_with_an_error_ends_the_demo(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    desk = Stage(Console(file=io.StringIO()), tmp_path)
    with pytest.raises(ClerkFailed, match="the clerk that was to resume ended with exit code 1"):
        desk.clerk("resume", lambda event: None)
    assert "EmptyInputError" in capfd.readouterr().err


def test_a_folder_with_files_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    command = [sys.executable, "-m", "examples.refund_desk", "--keep", str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.returncode == 2
    assert "is not empty" in run.stderr


def test_the_letters_are_understood(tmp_path: Path) -> None:
    services = Services(Ledger(tmp_path / "ledger"))
    found = {request.id: services.read_letter(request) for request in load_requests().values()}
    assert found == {f"R-{number:02}": kind for kind, numbers in COMPLAINTS.items() for number in numbers}


@pytest.mark.parametrize(
    ("amount", "days", "complaint", "decision"),
    [
        ("200.00", 5, Complaint.DAMAGED, Decision(True, "policy", "damaged")),
        ("200.01", 5, Complaint.DAMAGED, None),
        ("10.00", 14, Complaint.CHANGED_MIND, Decision(True, "policy", "changed mind")),
        ("10.00", 15, Complaint.CHANGED_MIND, Decision(False, "policy", "more than 14 days")),
        ("900.00", 15, Complaint.CHANGED_MIND, Decision(False, "policy", "more than 14 days")),
        ("10.00", 400, Complaint.WORN_OUT, Decision(False, "policy", "wear is not a defect")),
    ],
)
def test_the_rules_decide_what_they_can(
    amount: str, days: int, complaint: Complaint, decision: Decision | None
) -> None:
    assert rule(Request("R", "A", "thing", Decimal(amount), days, "text"), complaint) == decision


def test_without_an_accident_the_desk_ends_in_the_first_outcome() -> None:
    values = show.undisturbed()
    assert values["total"] == Decimal("2705.25")
    assert set(REQUESTS) - set(values["receipts"]) == NOT_PAID
    assert [id for id, decision in values["decisions"].items() if decision.by == "Ada"] == ABOVE_LIMIT
    assert values["letters"] == 24


def test_the_bank_pays_a_request_once(tmp_path: Path) -> None:
    services = Services(Ledger(tmp_path / "ledger"))
    request = load_requests()["R-01"]
    assert [services.pay(request), services.pay(request)] == ["receipt for R-01", "receipt for R-01"]
    assert [(entry.what, entry.amount) for entry in services.ledger.entries()] == [("payment", "48.90")]
