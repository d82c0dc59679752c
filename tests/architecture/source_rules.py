"""What the rules of STYLE.md measure in Python source: lengths, parameters, top-level imports.

Pure functions on text; the tests beside this file apply them to every file of the repository.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60
MAX_PARAMETERS = 6

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


class Function(NamedTuple):
    """One function or method: `qualname` is `Class.method` or `outer.inner`."""

    qualname: str
    line: int
    lines: int
    parameters: int


def functions(source: str) -> list[Function]:
    """Every function in *source*, nested ones too; decorators do not count, the docstring does."""
    return list(_walk(ast.parse(source), ()))


def _walk(node: ast.AST, path: tuple[str, ...]) -> Iterator[Function]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, FunctionNode):
            in_class = isinstance(node, ast.ClassDef)
            yield _measure(child, ".".join((*path, child.name)), in_class)
            yield from _walk(child, (*path, child.name))
        elif isinstance(child, ast.ClassDef):
            yield from _walk(child, (*path, child.name))
        else:
            yield from _walk(child, path)


def _measure(node: FunctionNode, qualname: str, in_class: bool) -> Function:
    arguments = node.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    count = len(named) + (arguments.vararg is not None) + (arguments.kwarg is not None)
    static = any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in node.decorator_list)
    if in_class and not static:
        count -= 1  # self or cls
    end = node.end_lineno if node.end_lineno is not None else node.lineno
    return Function(qualname, node.lineno, end - node.lineno + 1, count)


def top_level_imports(source: str) -> set[str]:
    """First names of the absolute imports that run when the module is imported (not those in functions,
    nor those for the type checker only)."""
    return {name.split(".")[0] for name in _imports(ast.parse(source).body)}


def all_imports(source: str) -> set[str]:
    """Full dotted names of every absolute import in *source*, wherever it stands."""
    return set(_imports(list(ast.walk(ast.parse(source)))))


def _imports(nodes: list[ast.stmt] | list[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
        elif isinstance(node, ast.If) and not _for_type_checker(node.test):
            yield from _imports([*node.body, *node.orelse])
        elif isinstance(node, ast.Try):
            handlers = [statement for handler in node.handlers for statement in handler.body]
            yield from _imports([*node.body, *handlers, *node.orelse, *node.finalbody])


def _for_type_checker(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )
