"""Every program gives here what it gave on the reference: `expected/` was recorded there by `record.py`."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.reference.catalogue import programs, run
from tests.reference.differences import DIFFERENCES
from tests.reference.plain import differences, unordered

HERE = Path(__file__).parent


@cache
def _recorded(module: str) -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads((HERE / "expected" / f"{module}.json").read_text())
    return recorded


def _cases() -> list[Any]:
    cases = []
    for path in sorted((HERE / "expected").glob("*.json")):
        for name, outcome in _recorded(path.stem).items():
            savers = ["memory", "sqlite"] if outcome["persistent"] else ["memory"]
            for colour in ("sync", "async"):
                for saver in savers:
                    marks = f"{path.stem}.{name}-{colour}-{saver}"
                    cases.append(pytest.param(path.stem, name, colour, saver, id=marks))
    return cases


@pytest.mark.filterwarnings("ignore:The graph was compiled before")
@pytest.mark.parametrize(("module", "name", "colour", "saver"), _cases())
def test_a_program_does_what_it_did_on_the_reference(module: str, name: str, colour: str, saver: str) -> None:
    outcome = _recorded(module)[name]
    recorded = expected = outcome.get("both", outcome.get(colour))
    difference = DIFFERENCES.get(f"{module}.{name}")
    if difference and colour in difference.colours:
        expected = difference.apply(expected)
    # Tasks that run side by side end in any order, and streams show it. The recorded order is the usual one.
    lines = ["never run"]
    for _ in range(4):
        actual, _ = run("threadkeep", module, name, colour=colour, saver=saver)
        if expected is not recorded:
            assert differences(recorded, actual), "listed in DIFFERENCES, but it agrees with the reference"
        if not (lines := differences(expected, actual)) or differences(
            unordered(expected), unordered(actual)
        ):
            break
    assert not lines, f"{len(lines)} differences\n" + "\n".join(lines)


def test_every_program_is_recorded_and_every_recording_has_its_program() -> None:
    recorded = {path.stem: sorted(_recorded(path.stem)) for path in (HERE / "expected").glob("*.json")}
    assert recorded == {module: sorted(names) for module, names in programs().items()}


def test_every_listed_difference_names_a_recorded_program() -> None:
    names = {
        f"{path.stem}.{name}" for path in (HERE / "expected").glob("*.json") for name in _recorded(path.stem)
    }
    assert set(DIFFERENCES) <= names


def test_without_the_order_of_chunks_a_state_that_was_merged_in_another_order_still_differs() -> None:
    chunks: list[Any] = [{"b": {"log": ["id1"]}}, {"c": {"log": ["id2"]}}]
    assert unordered(chunks) == unordered([{"b": {"log": ["id2"]}}, {"c": {"log": ["id1"]}}][::-1])
    assert unordered({"log": ["b", "c"]}) != unordered({"log": ["c", "b"]})
    assert unordered(chunks) != unordered(chunks[:1])
