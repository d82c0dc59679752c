"""Who may import whom is enforced, and `import threadkeep.graph` stays light."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.layout import DISTRIBUTIONS, ROOT, modules, pyproject

CONTRACTS = pyproject(ROOT)["tool"]["importlinter"]["contracts"]
# Standard modules that cost much to import and that no graph needs to start.
HEAVY_STANDARD = {
    "multiprocessing", "unittest", "xml", "http", "urllib.request", "email", "sqlite3", "pdb", "doctest",
    "pydoc", "tkinter", "zipfile", "tarfile",
}  # fmt: skip


def python(code: str, *path: Path) -> str:
    """What *code* prints in a fresh interpreter."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return run.stdout


def contracts_hold(*path: Path) -> tuple[bool, str]:
    """Whether import-linter keeps every contract with *path* in front of the import path, and its report."""
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    run = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    return run.returncode == 0, run.stdout + run.stderr


def portion(tmp_path: Path, source: str) -> Path:
    """A further portion of the namespace that holds one module, `threadkeep.cache.stray`."""
    folder = tmp_path / "threadkeep" / "cache"
    folder.mkdir(parents=True)
    (folder / "stray.py").write_text(source)
    return tmp_path


def test_the_import_contracts_hold() -> None:
    held, report = contracts_hold()
    assert held, report


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("import threadkeep.graph.message", "threadkeep.cache.stray -> threadkeep.graph.message"),
        ("def f():\n    import langchain_core.messages", "threadkeep.cache.stray -> langchain_core"),
    ],
)
def test_a_module_that_breaks_a_contract_is_found(tmp_path: Path, source: str, named: str) -> None:
    held, report = contracts_hold(portion(tmp_path, source))
    assert not held
    assert named in " ".join(report.split())


def test_every_module_has_a_place_in_the_layers() -> None:
    names = set()
    for row in CONTRACTS[0]["layers"]:
        names |= {name.strip(" ()") for name in row.replace("|", ":").split(":")}
    homeless = {
        module
        for distribution in DISTRIBUTIONS
        for module in modules(distribution)
        if not any(f"{module}.".startswith(f"{name}.") for name in names)
    }
    assert homeless == set()


def test_importing_the_graph_module_loads_only_what_it_needs() -> None:
    printed = python("import sys, threadkeep.graph; print(*sys.modules)")
    loaded = set(printed.split())
    bare = set(python("import sys; print(*sys.modules)").split())
    ours = loaded - bare
    first_names = {name.split(".")[0] for name in ours if not name.startswith("_sysconfigdata")}
    third_party = first_names - set(sys.stdlib_module_names)
    assert third_party <= {"threadkeep", "ormsgpack", "typing_extensions"}
    assert ours & HEAVY_STANDARD == set()
    # The reference loads 949 modules; asyncio and ormsgpack alone are about 110.
    assert len(loaded) <= 250
