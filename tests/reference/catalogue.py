"""Finds the programs and runs one: a program is a public function of `programs/*.py` that takes a `Lab`."""

import importlib
import inspect
from pathlib import Path
from typing import Any

from tests.reference.lab import open_lab
from tests.reference.plain import numbered, plain

HERE = Path(__file__).parent


def programs() -> dict[str, list[str]]:
    """Module name → names of its programs, in the order of the file."""
    found = {}
    for path in sorted((HERE / "programs").glob("*.py")):
        module = importlib.import_module(f"tests.reference.programs.{path.stem}")
        found[path.stem] = [name for name, item in vars(module).items() if _is_program(item, module)]
    return found


def _is_program(item: Any, module: Any) -> bool:
    if not inspect.isfunction(item) or item.__module__ != module.__name__ or item.__name__.startswith("_"):
        return False
    return list(inspect.signature(item).parameters) == ["lab"]


def run(
    root: str, module: str, name: str, *, colour: str = "sync", saver: str = "memory"
) -> tuple[Any, bool]:
    """The plain result of a program, and whether it made a saver."""
    program = getattr(importlib.import_module(f"tests.reference.programs.{module}"), name)
    with open_lab(root, colour=colour, saver=saver) as lab:
        result = numbered(plain(program(lab)))
        return result, lab.savers_made > 0
