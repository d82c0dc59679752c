"""Threads that the real package wrote, moved into our savers: equal in all that can be seen; they go on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.moves import (
    FIRST,
    OURS,
    PROGRAMS,
    THEIRS,
    THREAD,
    Library,
    Place,
    compiled,
    place,
    seen,
    stored,
)
from tests.interop.programs import Trace


@pytest.fixture(params=["sqlite", "postgres"])
def moved(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with place(request.param, tmp_path) as made:
        yield made


def begun(name: str, at: Place) -> Any:
    """The program's graph on their saver, as it stands before the move."""
    program = PROGRAMS[name](THEIRS, [FIRST])
    graph = compiled(program, at.theirs)
    for step in program.before:
        step(graph)
    return graph


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_checkpoint_of_a_moved_thread_is_what_the_real_package_reads(name: str, moved: Place) -> None:
    begun(name, moved)
    theirs = stored(moved.theirs)
    report = moved.migrate()
    with moved.ours() as saver:
        assert stored(saver) == theirs
        assert report[:3] == (1, 0, {})
        assert report.checkpoints == len(list(saver.list(None)))


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_moved_thread_goes_on_as_it_would_have_there(name: str, moved: Place) -> None:
    runs: dict[str, list[str]] = {}
    lines: dict[str, list[str]] = {}
    begun(name, moved)
    moved.migrate()
    with moved.ours() as ours:
        for lib, saver in ((THEIRS, moved.theirs), (OURS, ours)):
            key = "theirs" if lib is THEIRS else "ours"
            runs[key] = []
            program = PROGRAMS[name](lib, runs[key])
            graph = compiled(program, saver)
            trace = Trace()
            seen(trace, graph)
            for step in program.after:
                trace.note(step(graph))
                trace.note(graph.get_state(THREAD).next)
                seen(trace, graph)
            lines[key] = trace.lines
    assert lines["ours"] == lines["theirs"]
    assert sorted(runs["ours"]) == sorted(runs["theirs"])  # the tasks of a step run side by side


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_a_moved_thread_can_be_run_again_from_each_of_its_checkpoints(name: str, moved: Place) -> None:
    begun(name, moved)
    moved.migrate()
    found: dict[Library, list[Any]] = {}
    with moved.ours() as ours:
        for lib, saver in ((THEIRS, moved.theirs), (OURS, ours)):
            runs: list[str] = []
            graph = compiled(PROGRAMS[name](lib, runs), saver)
            trace = Trace()
            for past in list(graph.get_state_history(THREAD)):
                one_by_one = {**past.config, "max_concurrency": 1}
                trace.note(graph.invoke(None, one_by_one, durability="sync"))
            seen(trace, graph)
            found[lib] = [sorted(runs), trace.lines]
    assert found[OURS] == found[THEIRS]


CUT = ["asks_twice_at_once", "sends", "joins", "nested", "sends_to_graphs", "fails", "fails_inside", "breaks"]


# Not `pauses`: there, an answer that was stored counts for the next question too.
@pytest.mark.parametrize("lost", range(3))
@pytest.mark.parametrize("name", CUT)
def test_a_step_that_a_crash_left_open_goes_on_as_it_would_have_there(
    name: str, lost: int, tmp_path: Path
) -> None:
    with place("sqlite", tmp_path) as moved:
        graph = begun(name, moved)
        head = graph.get_state(THREAD)
        task = head.tasks[lost % len(head.tasks)].id
        # As if the process had been killed before it stored what this task did.
        moved.bare.execute("DELETE FROM writes WHERE task_id = ?", (task,))
        moved.bare.commit()
        moved.migrate()
        found: dict[Library, list[Any]] = {}
        with moved.ours() as ours:
            for lib, saver in ((THEIRS, moved.theirs), (OURS, ours)):
                runs: list[str] = []
                graph = compiled(PROGRAMS[name](lib, runs), saver)
                trace = Trace()
                seen(trace, graph)
                trace.note(graph.invoke(None, {**THREAD, "max_concurrency": 1}, durability="sync"))
                seen(trace, graph)
                found[lib] = [sorted(runs), trace.lines]
        assert found[OURS] == found[THEIRS]


@pytest.mark.parametrize("name", ["pauses", "sends", "nested", "joins", "fails_inside"])
def test_what_happened_after_the_first_move_follows_with_the_second(name: str, moved: Place) -> None:
    begun(name, moved)
    moved.migrate()
    program = PROGRAMS[name](THEIRS, [])
    for step in program.after:
        step(compiled(program, moved.theirs))
    assert moved.migrate().migrated == 1
    with moved.ours() as saver:
        assert stored(saver) == stored(moved.theirs)
