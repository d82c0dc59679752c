"""Each distribution installs alone from its wheel, brings only what it declares, and its types are seen.

The wheels are built once, without build isolation (the lock file has the build backend), and installed by
path into empty environments, so that no package of the same name elsewhere can take their place.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest
import uv

ROOT = Path(__file__).resolve().parents[1]
UV = uv.find_uv_bin()
SHARED_LEVELS = ("threadkeep", "threadkeep/checkpoint", "threadkeep/store", "threadkeep/cache")
BACKEND = ("threadkeep_serde", "threadkeep_core", "threadkeep_checkpoint_sqlite")

pytestmark = pytest.mark.slow

CORE_PROGRAM = """
import importlib.util, operator
from typing import Annotated, TypedDict
from threadkeep.checkpoint.memory import InMemorySaver
from threadkeep.graph import END, START, StateGraph

class State(TypedDict):
    log: Annotated[list[str], operator.add]

builder = StateGraph(State)
builder.add_node("a", lambda state: {"log": ["a"]})
builder.add_edge(START, "a")
builder.add_edge("a", END)
graph = builder.compile(checkpointer=InMemorySaver())
config = {"configurable": {"thread_id": "1"}}
graph.invoke({"log": ["in"]}, config)
print(graph.invoke({"log": ["again"]}, config)["log"])
print([name for name in ("langchain_core", "pydantic", "numpy") if importlib.util.find_spec(name)])
"""

ASK_PROGRAM = """
import sys
from typing import TypedDict
from threadkeep.checkpoint.sqlite import SqliteSaver
from threadkeep.graph import END, START, StateGraph
from threadkeep.types import Command, interrupt

class State(TypedDict):
    answer: str

builder = StateGraph(State)
builder.add_node("ask", lambda state: {"answer": interrupt("how many?")})
builder.add_edge(START, "ask")
builder.add_edge("ask", END)
with SqliteSaver.from_conn_string(sys.argv[1]) as saver:
    graph = builder.compile(checkpointer=saver)
    config = {"configurable": {"thread_id": "1"}}
    if len(sys.argv) == 2:
        print([i.value for i in graph.invoke({"answer": ""}, config)["__interrupt__"]])
    else:
        print(graph.invoke(Command(resume=sys.argv[2]), config)["answer"])
"""

INTEROP_PROGRAM = """
from langgraph.graph import END, START, StateGraph
from threadkeep.checkpoint.memory import InMemorySaver
from threadkeep.interop.langgraph import as_langgraph_saver

builder = StateGraph(dict)
builder.add_node("double", lambda state: {"n": state["n"] * 2})
builder.add_edge(START, "double")
builder.add_edge("double", END)
saver = InMemorySaver()
graph = builder.compile(checkpointer=as_langgraph_saver(saver))
config = {"configurable": {"thread_id": "1"}}
graph.invoke({"n": 21}, config)
print(type(saver).__module__, saver.get_tuple(config).checkpoint["channel_values"]["__root__"])
"""

SERDE_PROGRAM = """
from datetime import date
from threadkeep.checkpoint.serde.jsonplus import JsonPlusSerializer
serializer = JsonPlusSerializer()
print(serializer.loads_typed(serializer.dumps_typed({"day": date(2025, 1, 2)})))
"""

# Fails under `mypy --strict` if a distribution hides its types: an untyped import is an error there,
# and a wrong type below must be found.
TYPED_PROGRAM = """
from typing import TypedDict
from threadkeep.checkpoint.serde.jsonplus import JsonPlusSerializer
from threadkeep.checkpoint.sqlite import SqliteSaver
from threadkeep.checkpoint.sqlite.aio import AsyncSqliteSaver
from threadkeep.graph import StateGraph
from threadkeep.types import Send

class State(TypedDict):
    n: int

send: Send = Send("node", 1)
builder: StateGraph[State] = StateGraph(State)
serializer: int = JsonPlusSerializer()
saver: int = SqliteSaver
later: int = AsyncSqliteSaver
"""


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """What *command* prints; its error output is the failure."""
    env = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=env, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Environment:
    """An empty virtual environment outside the repository."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "venv" / "bin" / "python"
        run(UV, "venv", "--quiet", "--python", sys.executable, folder / "venv")

    def install(self, wheels: Iterable[Path]) -> None:
        """Install *wheels* and what they need, at the versions of the lock file."""
        locked = self.folder / "constraints.txt"
        everything = ("--all-packages", "--all-extras", "--no-emit-workspace", "--no-hashes")
        run(UV, "export", "--quiet", "--frozen", *everything, "--project", ROOT, "--output-file", locked)
        into = ("--python", self.python, "--constraint", locked)
        run(UV, "pip", "install", "--quiet", *into, *wheels)

    def installed(self) -> set[str]:
        """Names of the distributions in it."""
        listed = run(UV, "pip", "list", "--quiet", "--python", self.python, "--format", "json")
        return {entry["name"] for entry in json.loads(listed)}

    def run(self, program: str, *args: str | Path) -> str:
        """What *program* prints."""
        return run(self.python, "-c", program, *args, cwd=self.folder).strip()


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Distribution name → wheel."""
    folder = tmp_path_factory.mktemp("dist")
    build = ("build", "--quiet", "--all-packages", "--wheel", "--no-build-isolation")
    run(UV, *build, "--python", sys.executable, "--out-dir", folder, cwd=ROOT)
    return {path.name.split("-")[0]: path for path in folder.glob("*.whl")}


def test_every_distribution_of_the_workspace_is_built(wheels: dict[str, Path]) -> None:
    postgres = {"threadkeep_postgres", "threadkeep_checkpoint_postgres", "threadkeep_store_postgres"}
    assert set(wheels) == {*BACKEND, *postgres, "threadkeep_store_memory", "threadkeep"}


def test_no_wheel_holds_an_init_file_at_a_shared_level_of_the_namespace(wheels: dict[str, Path]) -> None:
    names = [name for path in wheels.values() for name in zipfile.ZipFile(path).namelist()]
    assert [name for name in names if name in {f"{level}/__init__.py" for level in SHARED_LEVELS}] == []


def test_no_file_is_in_two_wheels_so_removing_one_leaves_the_others_whole(wheels: dict[str, Path]) -> None:
    names = [name for path in wheels.values() for name in zipfile.ZipFile(path).namelist()]
    assert sorted(names) == sorted(set(names))


def test_the_serialiser_installs_alone(wheels: dict[str, Path], tmp_path: Path) -> None:
    environment = Environment(tmp_path)
    environment.install([wheels["threadkeep_serde"]])
    assert environment.installed() == {"ormsgpack", "threadkeep-serde", "typing-extensions"}
    assert environment.run(SERDE_PROGRAM) == "{'day': datetime.date(2025, 1, 2)}"


def test_core_runs_a_graph_without_langchain_pydantic_or_numpy(
    wheels: dict[str, Path], tmp_path: Path
) -> None:
    environment = Environment(tmp_path)
    environment.install(wheels[name] for name in ("threadkeep_serde", "threadkeep_core"))
    assert environment.installed() == {
        "ormsgpack",
        "threadkeep-core",
        "threadkeep-serde",
        "typing-extensions",
    }
    assert environment.run(CORE_PROGRAM) == "['in', 'a', 'again', 'a']\n[]"


def test_one_backend_installs_alone_and_a_thread_in_its_file_goes_on_in_a_new_process(
    wheels: dict[str, Path], tmp_path: Path
) -> None:
    environment = Environment(tmp_path)
    environment.install(wheels[name] for name in BACKEND)
    assert "langchain-core" not in environment.installed()
    assert environment.run(ASK_PROGRAM, tmp_path / "threads.db") == "['how many?']"
    assert environment.run(ASK_PROGRAM, tmp_path / "threads.db", "three") == "three"


def test_the_extra_langgraph_brings_what_plugging_our_savers_into_it_needs(
    wheels: dict[str, Path], tmp_path: Path
) -> None:
    environment = Environment(tmp_path)
    core = wheels["threadkeep_core"]
    environment.install([wheels["threadkeep_serde"], Path(f"{core}[langgraph]")])
    assert environment.run(INTEROP_PROGRAM) == "threadkeep.checkpoint.memory {'n': 42}"


def test_a_type_checker_sees_the_types_of_every_installed_distribution(
    wheels: dict[str, Path], tmp_path: Path
) -> None:
    environment = Environment(tmp_path)
    environment.install(wheels[name] for name in BACKEND)
    (tmp_path / "program.py").write_text(TYPED_PROGRAM)
    check = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(environment.python)]
    done = subprocess.run(
        [*check, "--cache-dir", str(tmp_path / "cache"), "--no-error-summary", "program.py"],
        cwd=tmp_path, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert [line.split(" ", 1)[0] + line.rsplit(" ", 1)[1] for line in done.stdout.splitlines()] == [
        "program.py:14:[assignment]",
        "program.py:15:[assignment]",
        "program.py:16:[assignment]",
    ]


def test_the_distribution_threadkeep_brings_the_parts_and_langchain(wheels: dict[str, Path]) -> None:
    with zipfile.ZipFile(wheels["threadkeep"]) as wheel:
        [metadata] = [name for name in wheel.namelist() if name.endswith("/METADATA")]
        text = wheel.read(metadata).decode()
    needs = sorted(
        line.removeprefix("Requires-Dist: ")
        for line in text.splitlines()
        if line.startswith("Requires-Dist: ")
    )
    assert needs == [
        "threadkeep-checkpoint-postgres<0.2,>=0.1.0; extra == 'postgres'",
        "threadkeep-checkpoint-sqlite<0.2,>=0.1.0",
        "threadkeep-core[langchain]<0.2,>=0.1.0",
        "threadkeep-serde<0.2,>=0.1.0",
        "threadkeep-store-memory<0.2,>=0.1.0",
        "threadkeep-store-postgres<0.2,>=0.1.0; extra == 'postgres'",
    ]
