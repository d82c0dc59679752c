"""Where the code lies: the distributions of the workspace and the source files the rules apply to."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def pyproject(folder: Path) -> dict[str, Any]:
    """The parsed pyproject.toml of *folder*."""
    return tomllib.loads((folder / "pyproject.toml").read_text())


DISTRIBUTIONS = [ROOT / member for member in pyproject(ROOT)["tool"]["uv"]["workspace"]["members"]]
# Levels of the namespace that several distributions share.
SHARED_LEVELS = ["threadkeep", "threadkeep/checkpoint", "threadkeep/store", "threadkeep/cache"]


def modules(distribution: Path) -> dict[str, Path]:
    """Dotted name → file of every module in *distribution*."""
    found = {}
    for path in sorted((distribution / "threadkeep").rglob("*.py")):
        parts = path.relative_to(distribution).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def source_files() -> list[Path]:
    """Every Python file of ours: distributions, tests, examples, benchmarks."""
    folders = [*DISTRIBUTIONS, ROOT / "tests", ROOT / "examples", ROOT / "benchmarks"]
    return [path for folder in folders for path in sorted(folder.rglob("*.py"))]


def relative(path: Path) -> str:
    """*path* as messages show it."""
    return path.relative_to(ROOT).as_posix()
