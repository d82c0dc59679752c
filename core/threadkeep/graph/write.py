"""From what a node returns to what its task writes: state keys, edges, jumps. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from threadkeep.constants import END, START, TASKS
from threadkeep.errors import ErrorCode, InvalidUpdateError, ParentCommand
from threadkeep.graph.schema import ROOT, state_fields
from threadkeep.pregel.node import Writes
from threadkeep.types import Command, Send


def branch_to(node: str) -> str:
    """The channel that starts a node."""
    return f"branch:to:{node}"


def join_of(starts: tuple[str, ...], end: str) -> str:
    """The channel that starts `end` when all of `starts` have run."""
    return f"join:{'+'.join(starts)}:{end}"


def make_write(
    node: str, keys: Mapping[str, Any], nodes: Mapping[str, Any], edges: Writes
) -> Callable[[Any], Writes]:
    """The function from a node's result to its writes. It raises `InvalidUpdateError` for a result it
    cannot take.
    """
    fixed = tuple(edges)
    root = ROOT in keys

    def write(result: Any) -> Writes:
        if type(result) is dict and not root:
            writes = [pair for pair in result.items() if pair[0] in keys]
            writes += fixed
            return writes
        return [*_updates(node, result, keys, nodes), *fixed]

    return write


def _updates(node: str, result: Any, keys: Mapping[str, Any], nodes: Mapping[str, Any]) -> Writes:
    if result is None:
        return []
    if isinstance(result, Command):
        return _command(node, result, keys, nodes)
    if isinstance(result, list | tuple) and any(isinstance(item, Command) for item in result):
        return [write for item in result for write in _updates(node, item, keys, nodes)]
    if ROOT in keys:
        return [(ROOT, result)]
    if isinstance(result, dict):
        return [(key, value) for key, value in result.items() if key in keys]
    fields = state_fields(result, keys)
    if fields is None:
        code = ErrorCode.INVALID_GRAPH_NODE_RETURN_VALUE.value
        where = "The input" if node == START else f"Node {node!r}"
        raise InvalidUpdateError(
            f"{where} gave {type(result).__name__} ({result!r:.100}), expected dict: an update is a dict "
            "of state "
            f"keys, a Command, an object of the state's class, or None. [{code}]"
        )
    return fields


def _command(node: str, command: Command[Any], keys: Mapping[str, Any], nodes: Mapping[str, Any]) -> Writes:
    if command.graph == Command.PARENT:
        raise ParentCommand(command)
    if command.graph is not None:
        raise InvalidUpdateError(
            f"Node {node!r} sent a command to {command.graph!r}; only Command.PARENT is possible."
        )
    update = command.update
    if isinstance(update, list | tuple) and all(
        isinstance(pair, tuple) and len(pair) == 2 for pair in update
    ):
        writes = [(key, value) for key, value in update if key in keys]
    else:
        writes = _updates(node, update, keys, nodes)
    targets = command.goto if isinstance(command.goto, list | tuple | set) else (command.goto,)
    return writes + routed(f"Node {node!r} (goto)", targets, nodes)


def routed(source: str, targets: Any, nodes: Mapping[str, Any]) -> Writes:
    """The writes that make `targets` (names and `Send`s) run next. Raises `InvalidUpdateError` for an
    unknown one.
    """
    writes: Writes = []
    for target in targets:
        sent = isinstance(target, Send)
        name = target.node if sent else target
        if name == END and not sent:
            continue
        if name not in nodes or name == START:
            known = ", ".join(key for key in nodes if key != START)
            raise InvalidUpdateError(f"{source} leads to the unknown node {name!r}. Nodes: {known}.")
        writes.append((TASKS, target) if sent else (branch_to(name), None))
    return writes


def make_route(
    node: str, name: str, ends: Mapping[Any, str] | None, nodes: Mapping[str, Any]
) -> Callable[[Any], Writes]:
    """The function from what a conditional edge's path returned to the writes that start the chosen nodes."""
    source = f"The conditional edge {name!r} of {node!r}"

    def route(result: Any) -> Writes:
        chosen = result if isinstance(result, list | tuple | set) else [result]
        targets: list[Any] = []
        for choice in chosen:
            if ends is not None and not isinstance(choice, Send):
                if choice not in ends:
                    raise KeyError(f"{source} returned {choice!r}, which its path_map lacks: {list(ends)!r}")
                choice = ends[choice]
            if choice is None or choice == START:
                raise ValueError(f"{source} did not return a valid destination: {choice!r}")
            if isinstance(choice, Send) and choice.node == END:
                raise InvalidUpdateError(f"{source} sends a packet to END; nothing runs there.")
            targets.append(choice)
        return routed(source, targets, nodes)

    return route
