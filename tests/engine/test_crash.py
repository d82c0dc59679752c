"""Killed with SIGKILL at each of its effects, a program goes on in a new process as if nothing was."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.engine.crash import THREAD, Colour, Journal, Killer, Orders, Program, opened, work_off
from tests.postgres_server import drop_database, fresh_database
from threadkeep.types import Durability

SPECIAL = {"__error__", "__interrupt__", "__resume__"}
LOG = [
    "in", "plan", "left", "right", "work 0", "work 1", "work 2", "join", "audit",
    "in", "plan", "left", "right", "work 0", "work 1", "work 2", "join", "ask", "book", "close 3340",
]  # fmt: skip

# The server imports the program once and forks a process for each run.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.engine.crash"])


def run_process(orders: Orders) -> int | None:
    """The exit code of a process that works the thread off."""
    process = _processes.Process(target=work_off, args=(orders,))
    process.start()
    process.join()
    return process.exitcode


class Stored(NamedTuple):
    """What the file says."""

    finished: set[str]
    """Ids of the tasks whose writes are stored."""
    history: list[Any]
    """The root's checkpoints, newest first."""
    inner: list[Any]
    """Step and source of the checkpoints of each subgraph."""


def stored(orders: Orders) -> Stored:
    killer = Killer(orders._replace(kill_at=None))
    with opened(orders) as saver:
        saver.killer = killer
        finished, inner = set(), []
        for found in saver.list({"configurable": {"thread_id": "crash"}}):
            finished |= {task for task, channel, _ in found.pending_writes or () if channel not in SPECIAL}
            ns = "|".join(
                part.partition(":")[0] for part in found.config["configurable"]["checkpoint_ns"].split("|")
            )
            inner.append((ns, found.metadata["step"], found.metadata["source"]))
        graph = Program(orders, killer, saver).graph
        history = [
            (state.metadata["step"], state.metadata["source"], state.next, state.values)
            for state in graph.get_state_history(THREAD)
        ]
    return Stored(finished, history, sorted(inner))


def assert_not_repeated(
    before: list[dict[str, str]], after: list[dict[str, str]], finished: set[str]
) -> None:
    """No task whose writes were stored ran again, nor did a task of its subgraph."""

    def is_stored(line: dict[str, str]) -> bool:
        return any(level.partition(":")[2] in finished for level in line["ns"].split("|"))

    assert [line for line in after if is_stored(line)] == []
    keys = {line["key"] for line in before if is_stored(line)}
    assert [line for line in after if line["key"] in keys] == []


def kills(tmp_path: Path, orders: Orders, first: int = 0, step: int = 1) -> Iterator[Orders]:
    """A run killed at each of its effects in turn, until one comes to its end before it is killed."""
    kill_at = first
    while True:
        folder = tmp_path / f"kill{kill_at}"
        folder.mkdir()
        killed = orders._replace(folder=folder, kill_at=kill_at)
        code = run_process(killed)
        if code == 0:
            assert kill_at > 30
            return
        assert code == -signal.SIGKILL
        yield killed
        kill_at += step


def undisturbed(tmp_path: Path, colour: Colour, durability: Durability, **more: Any) -> tuple[Orders, Stored]:
    folder = tmp_path / "undisturbed"
    folder.mkdir()
    orders = Orders(folder, colour, durability, None, **more)
    assert run_process(orders) == 0
    found = stored(orders)
    step, source, following, values = found.history[0]
    assert (step, source, following) == (5, "loop", ())
    assert values == {"log": LOG, "total": 1669, "answer": "yes"}
    return orders, found


@pytest.mark.slow
@pytest.mark.parametrize("colour", ["sync", "async"])
def test_killed_at_any_effect_a_run_ends_as_if_undisturbed_and_repeats_nothing_stored(
    tmp_path: Path, colour: Colour
) -> None:
    orders, expected = undisturbed(tmp_path, colour, "sync")
    for killed in kills(tmp_path, orders):
        journal = Journal(killed.folder)
        before = journal.lines()
        finished = stored(killed).finished
        assert run_process(killed._replace(kill_at=None)) == 0
        assert_not_repeated(before, journal.lines()[len(before) :], finished)
        assert stored(killed).history == expected.history
        assert stored(killed).inner == expected.inner


@pytest.fixture
def postgres() -> Iterator[str]:
    """The address of an empty database."""
    address = fresh_database()
    yield address
    drop_database(address)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("colour", "own_colour", "backend", "first"),
    [
        ("async", True, "sqlite", 1),
        ("sync", False, "postgres", 2),
        ("async", False, "postgres", 3),
        ("async", True, "postgres", 4),
    ],
    ids=["aiosqlite", "postgres-sync", "postgres-async", "aiopostgres"],
)
def test_killed_on_other_savers_a_run_ends_as_if_undisturbed_too(
    tmp_path: Path, postgres: str, colour: Colour, own_colour: bool, backend: str, first: int
) -> None:
    more = {"own_colour": own_colour, "postgres": postgres if backend == "postgres" else ""}
    orders, expected = undisturbed(tmp_path, colour, "sync", **more)
    for killed in kills(tmp_path, orders, first=first, step=5):
        journal = Journal(killed.folder)
        before = journal.lines()
        finished = stored(killed).finished
        assert run_process(killed._replace(kill_at=None)) == 0
        assert_not_repeated(before, journal.lines()[len(before) :], finished)
        assert stored(killed).history == expected.history
        assert stored(killed).inner == expected.inner


@pytest.mark.slow
def test_killed_between_any_two_statements_of_a_transaction_nothing_is_half_stored(tmp_path: Path) -> None:
    orders, expected = undisturbed(tmp_path, "sync", "sync")
    for killed in kills(tmp_path, orders._replace(statements=True), first=1, step=7):
        journal = Journal(killed.folder)
        before = journal.lines()
        finished = stored(killed).finished
        assert run_process(killed._replace(kill_at=None)) == 0
        assert_not_repeated(before, journal.lines()[len(before) :], finished)
        assert stored(killed) == Stored(stored(killed).finished, expected.history, expected.inner)


@pytest.mark.slow
@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize("lifetime", [16, 18, 21, 29])
def test_killed_again_and_again_a_run_gets_to_its_end(tmp_path: Path, colour: Colour, lifetime: int) -> None:
    orders, expected = undisturbed(tmp_path, colour, "sync")
    killed = orders._replace(folder=tmp_path / "again", kill_at=lifetime)
    killed.folder.mkdir()
    journal = Journal(killed.folder)
    codes: list[int | None] = []
    before, finished = journal.lines(), set[str]()
    while not codes or codes[-1] != 0:
        assert len(codes) < 40
        codes.append(run_process(killed))
        assert_not_repeated(before, journal.lines()[len(before) :], finished)
        before, finished = journal.lines(), stored(killed).finished
    assert set(codes[:-1]) == {-signal.SIGKILL}
    assert stored(killed).history == expected.history


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["async", "exit"])
def test_killed_under_a_weaker_durability_a_run_repeats_what_was_not_stored_and_ends_in_the_same_state(
    tmp_path: Path, durability: Durability
) -> None:
    orders, expected = undisturbed(tmp_path, "sync", durability)
    for killed in kills(tmp_path, orders, first=1, step=4):
        journal = Journal(killed.folder)
        before = journal.lines()
        finished = stored(killed).finished
        assert run_process(killed._replace(kill_at=None)) == 0
        assert_not_repeated(before, journal.lines()[len(before) :], finished)
        assert stored(killed).history[0] == expected.history[0]
