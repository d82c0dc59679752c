"""What the annotations and the code of a program's functions say about the graph. Reads them, runs
nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from enum import Enum
from functools import partial
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from threadkeep.channels.base import BaseChannel
from threadkeep.channels.values import LastValue
from threadkeep.constants import END, START
from threadkeep.graph.schema import Schema, is_dict_class
from threadkeep.types import Command

if TYPE_CHECKING:
    from threadkeep.graph.state import StateGraph


_NEVER_NEW = frozenset({"builtins", "typing", "collections", "langchain_core"})
"""Packages whose types the serialiser knows or refuses of itself."""


def is_plain(channel: BaseChannel[Any, Any]) -> bool:
    """Whether the channel is what a key without annotation gets."""
    return type(channel) is LastValue


def _function(func: Any) -> Any:
    """The function whose annotations count, or None."""
    while isinstance(func, partial):
        func = func.func
    if inspect.isfunction(func) or inspect.ismethod(func):
        return func
    call = getattr(type(func), "__call__", None)  # noqa: B004
    return func.__call__ if inspect.isfunction(call) and not hasattr(func, "invoke") else None


def _type_hints(func: Any) -> dict[str, Any]:
    found = _function(func)
    if found is None:
        return {}
    try:
        return get_type_hints(found)
    except Exception:  # a name that only a type checker can see
        return {}


def input_type(func: Any) -> Any:
    """The state class that the first parameter is annotated with, or None."""
    found = _function(func)
    if found is None:
        return None
    hints = _type_hints(found)
    parameters = list(inspect.signature(found).parameters.values())
    hint = hints.get(parameters[0].name) if parameters else None
    if isinstance(hint, type) and (
        is_dict_class(hint) or is_dataclass(hint) or hasattr(hint, "model_fields")
    ):
        return hint if getattr(hint, "__annotations__", None) or hasattr(hint, "__mro__") else None
    return None


def literal_ends(path: Any) -> dict[Any, str] | None:
    """The nodes that a path function's return annotation lists: `-> Literal["a", "b"]`."""
    hint = _type_hints(path).get("return")
    if get_origin(hint) is Literal:
        return {name: name for name in get_args(hint)}
    return None


def command_ends(func: Any) -> tuple[str, ...]:
    """The nodes that a return annotation lists: `-> Command[Literal["a", "b"]]`, alone or in a union."""
    hint = _type_hints(func).get("return")
    ends: list[str] = []
    for option in get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,):
        while get_origin(option) in (list, tuple):
            option = get_args(option)[0]
        if get_origin(option) is Command:
            for target in get_args(option):
                if get_origin(target) is Literal:
                    ends.extend(get_args(target))
    return tuple(ends)


def named_types(schemas: Mapping[Any, Schema]) -> list[type]:
    """The classes that state schemas name, for the serialiser to allow: dataclasses, models, enums, …"""
    found: dict[type, None] = {}
    for schema in schemas.values():
        hints = [channel.typ for channel in schema.channels.values()]
        if isinstance(schema.type, type) and not is_dict_class(schema.type):
            hints.append(schema.type)
        for hint in hints:
            _collect_types(hint, found)
    return list(found)


def _collect_types(hint: Any, found: dict[type, None]) -> None:
    for argument in get_args(hint):
        _collect_types(argument, found)
    if not isinstance(hint, type) or hint in found or hint.__module__.partition(".")[0] in _NEVER_NEW:
        return
    fields = hint.__annotations__ if "__annotations__" in hint.__dict__ else {}
    custom = (
        is_dataclass(hint)
        or hasattr(hint, "model_fields")
        or issubclass(hint, Enum)
        or hasattr(hint, "_fields")
    )
    if custom:
        found[hint] = None
    if fields and (custom or is_dict_class(hint)):
        try:
            inner = get_type_hints(hint)
        except Exception:  # a name that only a type checker can see
            inner = {}
        for value in inner.values():
            _collect_types(value, found)


def called_graphs(func: Any, kind: type) -> list[Any]:
    """The compiled graphs that a function names: as a free variable, a global, or an attribute of either."""
    found = _function(func)
    function = getattr(found, "__func__", found)
    if not isinstance(function, FunctionType):
        return []
    names = set(_names(function.__code__))
    values = [value for name, value in inspect.getclosurevars(function).nonlocals.items() if name in names]
    values += [function.__globals__[name] for name in names if name in function.__globals__]
    return [value for value in values if isinstance(value, kind)]


def _names(code: CodeType) -> Iterable[str]:
    """All names that a piece of code mentions, its inner functions included."""
    yield from code.co_names
    yield from code.co_freevars
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _may_jump(func: Any) -> bool:
    """Whether a node's function may return a Command: it mentions one, or nobody can know."""
    found = _function(func)
    function = getattr(found, "__func__", found)
    if not isinstance(function, FunctionType):
        return True
    names = set(_names(function.__code__))
    if "Command" in names or "Send" in names:
        return True
    helpers = [function.__globals__.get(name) for name in names]
    helpers += [cell.cell_contents for cell in function.__closure__ or () if _filled(cell)]
    return any(_holds_command(helper) for helper in helpers)


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _holds_command(value: Any) -> bool:
    """Whether something that a function uses is a command, makes one, or may."""
    if isinstance(value, FunctionType):
        return "Command" in set(_names(value.__code__))
    if isinstance(value, list | tuple | set):
        return any(_holds_command(item) for item in value)
    if isinstance(value, dict):
        return any(_holds_command(item) for item in value.values())
    return not isinstance(value, type | ModuleType | BuiltinFunctionType | str | int | float | bytes | None)


def check_reachable(builder: StateGraph[Any, Any, Any, Any]) -> None:
    """Refuse a node that no edge, conditional edge or command can lead to. Raises `ValueError`, naming it.

    Where something may lead anywhere (a conditional edge without path_map, a node that may return a
    Command), no node is refused.
    """
    ways: dict[str, set[str]] = {}
    for start, end in builder.edges:
        ways.setdefault(start, set()).add(end)
    for starts, end in builder.waiting_edges:
        for start in starts:
            ways.setdefault(start, set()).add(end)
    anywhere = False
    for source, branches in builder.branches.items():
        for branch in branches.values():
            anywhere = anywhere or branch.ends is None
            ways.setdefault(source, set()).update((branch.ends or {}).values())
    for name, node in builder.nodes.items():
        ways.setdefault(name, set()).update(node.ends)
    reached, todo = {START, END}, [START]
    while todo:
        fresh = ways.get(todo.pop(), set()) - reached
        reached |= fresh
        todo.extend(fresh)
    lost = [name for name in builder.nodes if name not in reached]
    if not lost or anywhere or any(_may_jump(node.runnable) for node in builder.nodes.values()):
        return
    raise ValueError(
        f"No way leads to the node{'s' * (len(lost) > 1)} {', '.join(map(repr, lost))}. Add an edge to it; "
        "if a Command "
        "leads there, annotate the node that returns it, -> Command[Literal[...]], or pass "
        "add_node(destinations=...)."
    )
