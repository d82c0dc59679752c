"""The size rules of STYLE.md hold in every file. Complexity is ruff's C901, run by `make check`."""

from __future__ import annotations

from tests.architecture.layout import ROOT, pyproject, relative, source_files
from tests.architecture.public_signatures import PUBLIC_SIGNATURES
from tests.architecture.source_rules import (
    MAX_FILE_LINES,
    MAX_FUNCTION_LINES,
    MAX_PARAMETERS,
    Function,
    functions,
)

FILES = source_files()


def test_no_file_is_longer_than_500_lines() -> None:
    lengths = {relative(path): len(path.read_text().splitlines()) for path in FILES}
    assert {name: n for name, n in lengths.items() if n > MAX_FILE_LINES} == {}


def test_no_function_is_longer_than_60_lines() -> None:
    too_long = [
        f"{relative(path)}:{f.line} {f.qualname}: {f.lines} lines"
        for path in FILES
        for f in functions(path.read_text())
        if f.lines > MAX_FUNCTION_LINES
    ]
    assert too_long == []


def test_no_function_takes_more_than_six_parameters_except_listed_public_signatures() -> None:
    too_many = [
        f"{relative(path)}:{f.line} {f.qualname}: {f.parameters} parameters"
        for path in FILES
        for f in functions(path.read_text())
        if f.parameters > MAX_PARAMETERS and f.qualname not in PUBLIC_SIGNATURES.get(relative(path), set())
    ]
    assert too_many == []


def test_the_list_of_public_signatures_names_nothing_that_keeps_the_rule() -> None:
    idle = {}
    for name, listed in PUBLIC_SIGNATURES.items():
        long = {f.qualname for f in functions((ROOT / name).read_text()) if f.parameters > MAX_PARAMETERS}
        idle[name] = listed - long
    assert {name: names for name, names in idle.items() if names} == {}


def test_the_engine_stays_near_6000_lines_and_a_backend_under_1000() -> None:
    lines = {relative(path): len(path.read_text().splitlines()) for path in FILES}

    def total(*beginnings: str) -> int:
        return sum(n for name, n in lines.items() if name.startswith(beginnings))

    migrations = total("core/threadkeep/checkpoint/foreign/")
    savers = total("core/threadkeep/checkpoint/") - migrations
    stores = total("core/threadkeep/store/")
    drawing = total("core/threadkeep/graph/draw")
    other_engines = total("core/threadkeep/interop/langgraph")
    moves = {name.split("/")[0]: n for name, n in lines.items() if name.endswith("/migrate.py")}
    sqlite, postgres = (
        total(f"{name}/") - moves[name] for name in ("checkpoint_sqlite", "checkpoint_postgres")
    )
    assert total("core/") - savers - migrations - stores - drawing - other_engines <= 7000
    assert other_engines <= 400
    assert savers <= 4200
    assert stores <= 1800
    assert drawing <= 1500
    assert migrations <= 900
    assert max(moves.values()) <= 300
    assert sqlite < 1000
    assert postgres < 1500  # a third of it are statements and tables
    assert total("store_memory/") < 1500  # ranking, words, equality indexes, a file format
    assert total("postgres/") < 1100


def test_ruff_refuses_complexity_above_10_and_sql_built_from_strings() -> None:
    lint = pyproject(ROOT)["tool"]["ruff"]["lint"]
    assert lint["mccabe"]["max-complexity"] == 10
    assert {"C90", "S"} <= set(lint["select"])
    assert not any(code.startswith(("C90", "S608")) for code in lint["ignore"])


def test_the_measure_counts_lines_and_parameters_without_self() -> None:
    source = """
class A:
    @property
    def m(self, a, *b, c, **d):
        def inner(): pass
        return 1
    @staticmethod
    def s(a, /, b): ...
    @classmethod
    def k(cls): ...
if True:
    async def f(): ...
"""
    assert functions(source) == [
        Function("A.m", 4, 3, 4),
        Function("A.m.inner", 5, 1, 0),
        Function("A.s", 8, 1, 2),
        Function("A.k", 10, 1, 0),
        Function("f", 12, 1, 0),
    ]
