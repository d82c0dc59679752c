"""Distributions share one PEP 420 namespace, each marks its types, and each declares what it imports."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.architecture.layout import DISTRIBUTIONS, ROOT, SHARED_LEVELS, modules, pyproject
from tests.architecture.source_rules import all_imports, top_level_imports

by_distribution = pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=lambda path: path.name)

# What another distribution provides, longest prefix first; the rest of the namespace is core's.
PROVIDERS = {
    "threadkeep.checkpoint.serde": "threadkeep-serde",
    "threadkeep.checkpoint.sqlite": "threadkeep-checkpoint-sqlite",
    "threadkeep.checkpoint.postgres": "threadkeep-checkpoint-postgres",
    "threadkeep.store.memory": "threadkeep-store-memory",
    "threadkeep.store.postgres": "threadkeep-store-postgres",
    "threadkeep.postgres": "threadkeep-postgres",
    "threadkeep": "threadkeep-core",
}
IMPORT_NAMES = {
    "langchain-core": "langchain_core",
    "typing-extensions": "typing_extensions",
    "pillow": "PIL",
    "psycopg-pool": "psycopg_pool",
}
# Types the serialiser knows without needing them: imported by its hooks only when they are met.
OPTIONAL_IMPORTS = {"threadkeep-serde": {"langchain_core", "pydantic", "numpy", "pandas"}}
OPTIONAL_IMPORTS["threadkeep-core"] = {"pydantic"}


def provider(module: str) -> str:
    return next(name for prefix, name in PROVIDERS.items() if f"{module}.".startswith(f"{prefix}."))


def declared(distribution: Path) -> set[str]:
    project = pyproject(distribution)["project"]
    extras = project.get("optional-dependencies", {}).values()
    requirements = [*project["dependencies"], *(r for extra in extras for r in extra)]
    return {re.split(r"[^A-Za-z0-9-]", requirement, maxsplit=1)[0] for requirement in requirements}


@by_distribution
def test_shared_levels_of_the_namespace_have_no_init_file(distribution: Path) -> None:
    stray = [level for level in SHARED_LEVELS if (distribution / level / "__init__.py").exists()]
    assert stray == []


@by_distribution
def test_every_package_below_the_shared_levels_has_an_init_file(distribution: Path) -> None:
    folders = {path.parent for path in modules(distribution).values()}
    bare = {
        folder.relative_to(distribution).as_posix()
        for folder in folders
        if not (folder / "__init__.py").exists()
    }
    assert bare - set(SHARED_LEVELS) == set()


@by_distribution
def test_a_distribution_holds_only_its_own_part_of_the_namespace(distribution: Path) -> None:
    name = pyproject(distribution)["project"]["name"]
    assert {module for module in modules(distribution) if provider(module) != name} == set()


@by_distribution
def test_every_module_lies_under_a_py_typed_marker_of_its_own_distribution(distribution: Path) -> None:
    marked = [path.parent for path in (distribution / "threadkeep").rglob("py.typed")]
    unmarked = {
        name
        for name, path in modules(distribution).items()
        if not any(folder in path.parents for folder in marked)
    }
    assert marked
    assert unmarked == set()


def test_only_core_marks_the_top_of_the_namespace_so_that_no_two_wheels_hold_one_file() -> None:
    assert [d.name for d in DISTRIBUTIONS if (d / "threadkeep/py.typed").exists()] == ["core"]


@by_distribution
def test_a_distribution_declares_every_distribution_it_imports(distribution: Path) -> None:
    name = pyproject(distribution)["project"]["name"]
    allowed = {IMPORT_NAMES.get(d, d) for d in declared(distribution)} | OPTIONAL_IMPORTS.get(name, set())
    undeclared = set()
    for module, path in modules(distribution).items():
        for imported in all_imports(path.read_text()):
            first = imported.split(".")[0]
            needed = provider(imported) if first == "threadkeep" else first
            if first not in sys.stdlib_module_names and needed not in {*allowed, name}:
                undeclared.add(f"{module} imports {imported}")
    assert undeclared == set()


@by_distribution
def test_heavy_optional_packages_are_imported_only_inside_functions(distribution: Path) -> None:
    heavy = {"langchain_core", "pydantic", "numpy", "pandas", "langsmith", "PIL"}
    if distribution.name == "store_memory":
        heavy -= {"numpy"}
    eager = {m: top_level_imports(p.read_text()) & heavy for m, p in modules(distribution).items()}
    assert {module: names for module, names in eager.items() if names} == {}


@by_distribution
def test_versions_and_licences_agree_with_the_root(distribution: Path) -> None:
    root, project = pyproject(ROOT)["project"], pyproject(distribution)["project"]
    for field in ("version", "requires-python", "license", "authors"):
        assert project[field] == root[field]
    assert (distribution / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_the_lock_file_names_the_public_index_and_no_other() -> None:
    hosts = set(re.findall(r'https?://([^/"]+)', (ROOT / "uv.lock").read_text()))
    assert hosts == {"pypi.org", "files.pythonhosted.org"}


def test_top_level_imports_leave_out_functions_and_type_checking_blocks() -> None:
    source = """
import a.b, c
from d.e import f
from . import g
if TYPE_CHECKING:
    import h
if sys.version_info > (3, 12):
    import i
try:
    import j
except ImportError:
    import k
def l():
    import m.n
"""
    assert top_level_imports(source) == {"a", "c", "d", "i", "j", "k"}
    assert all_imports(source) == {"a.b", "c", "d.e", "h", "i", "j", "k", "m.n"}
