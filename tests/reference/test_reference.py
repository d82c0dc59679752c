"""Every program gives here what it gave on the reference: `expected/` was recorded there by `record.py`."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.reference.catalogue import programs, run
from tests.reference.differences import DIFFERENCES
from tests.reference.plain import differences

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
    expected = outcome.get("both", outcome.get(colour))
    actual, _ = run("threadkeep", module, name, colour=colour, saver=saver)
    difference = DIFFERENCES.get(f"{module}.{name}")
    if difference and colour in difference.colours:
        assert differences(expected, actual), "listed in DIFFERENCES, but it agrees with the reference"
        expected = difference.apply(expected)
    assert not (lines := differences(expected, actual)), f"{len(lines)} differences\n" + "\n".join(lines)


def test_every_program_is_recorded_and_every_recording_has_its_program() -> None:
    recorded = {path.stem: sorted(_recorded(path.stem)) for path in (HERE / "expected").glob("*.json")}
    assert recorded == {module: sorted(names) for module, names in programs().items()}


def test_every_listed_difference_names_a_recorded_program() -> None:
    names = {
        f"{path.stem}.{name}" for path in (HERE / "expected").glob("*.json") for name in _recorded(path.stem)
    }
    assert set(DIFFERENCES) <= names
