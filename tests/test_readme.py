"""Every code block of README.md runs; a Python line that ends in `# → text` prints that text.

Shell blocks are run against a copy of this repository, with the user's `pip` in an empty environment.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import uv

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PYTHON = [source for language, source in BLOCKS if language == "python"]
SHELL = [source for language, source in BLOCKS if language == "sh"]
INSTALLS = [source for source in SHELL if "pip install" in source]
COMMANDS = [source for source in SHELL if "pip install" not in source]
IGNORED = shutil.ignore_patterns(".git", ".venv*", ".tools", "dist", "__pycache__", ".*_cache", ".hypothesis")


def promised(source: str) -> list[str]:
    return re.findall(r"# → (.*)$", source, re.MULTILINE)


def run(command: list[str], cwd: Path, env: dict[str, str]) -> str:
    """What *command* prints; its error output is the failure."""
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_readme_has_no_block_that_no_test_runs() -> None:
    assert {language for language, _ in BLOCKS} == {"sh", "python"}
    assert len(INSTALLS) == 4
    assert COMMANDS == ["make demo\nmake test\n"]
    assert all(promised(source) for source in PYTHON)


def test_the_python_blocks_print_what_they_promise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {"__name__": "readme"}
    for source in PYTHON:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            code = compile(source, "README.md", "exec", dont_inherit=True)
            exec(code, scope)  # noqa: S102 - the README is ours
        assert printed.getvalue().splitlines() == promised(source)


def test_the_two_commands_are_targets_of_the_makefile() -> None:
    plan = run(["make", "--dry-run", "demo", "test"], ROOT, dict(os.environ))
    assert "-m examples.refund_desk" in plan
    assert "-m pytest" in plan


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this repository as its own git repository, with the tools already there."""
    folder = tmp_path_factory.mktemp("repository") / "threadkeep"
    shutil.copytree(ROOT, folder, ignore=IGNORED)
    tools = folder / ".tools" / "bin"
    tools.mkdir(parents=True)
    (tools / "uv").symlink_to(uv.find_uv_bin())
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")
    for command in (("init", "-q"), ("add", "."), (*identity, "commit", "-q", "-m", "copy")):
        subprocess.run(["git", *command], cwd=folder, check=True, timeout=60)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("source", INSTALLS, ids=["wheels", "checkout", "git", "everything"])
def test_each_way_to_install_gives_a_graph_that_keeps_its_thread(
    source: str, copy: Path, tmp_path: Path
) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True, timeout=120)
    commands = source.replace("git+https://example.org/threadkeep.git", f"git+file://localhost{copy}")
    program = tmp_path / "program.py"
    program.write_text("\n".join(PYTHON))
    env = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "VIRTUAL_ENV", "MAKEFLAGS"}}
    env["PATH"] = f"{tmp_path / 'venv' / 'bin'}{os.pathsep}{env['PATH']}"
    run(["bash", "-euc", commands], copy, env)
    assert run(["python", str(program)], tmp_path, env).splitlines() == [
        line for block in PYTHON for line in promised(block)
    ]
