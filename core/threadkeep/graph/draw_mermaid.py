"""Drawings as text in Mermaid's flowchart language. Pure: text out, nothing rendered."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from threadkeep.graph.draw import Edge, Graph, Node

__all__ = ["CurveStyle", "Look", "MermaidDrawMethod", "NodeStyles", "render", "render_edges"]


class CurveStyle(Enum):
    """How Mermaid bends edges."""

    BASIS = "basis"
    BUMP_X = "bumpX"
    BUMP_Y = "bumpY"
    CARDINAL = "cardinal"
    CATMULL_ROM = "catmullRom"
    LINEAR = "linear"
    MONOTONE_X = "monotoneX"
    MONOTONE_Y = "monotoneY"
    NATURAL = "natural"
    STEP = "step"
    STEP_AFTER = "stepAfter"
    STEP_BEFORE = "stepBefore"


class MermaidDrawMethod(Enum):
    """Who makes a PNG: this process with Pillow, or a mermaid.ink server."""

    LOCAL = "local"
    API = "api"


@dataclass
class NodeStyles:
    """CSS of the nodes."""

    default: str = "fill:#f2f0ff,line-height:1.2"
    first: str = "fill-opacity:0"
    last: str = "fill:#bfb6fc"


class Look(NamedTuple):
    curve: CurveStyle | str = CurveStyle.LINEAR
    styles: NodeStyles | None = None
    words_per_line: int = 9
    frontmatter: Mapping[str, Any] | None = None


def render(graph: Graph, look: Look) -> str:
    """The whole text: head, nodes and edges (a block for each subgraph), classes."""
    styles = look.styles or NodeStyles()
    lines = ["---", *_yaml(_head(look)), "---", "graph TD;"]
    lines += _blocks(graph, look.words_per_line, styled=True)
    for name in ("default", "first", "last"):
        lines.append(f"\tclassDef {name} {getattr(styles, name)}")
    return "\n".join(lines) + "\n"


def render_edges(graph: Graph, words_per_line: int = 9) -> str:
    """The edges alone."""
    return "\n".join(["graph TD;", *_blocks(graph, words_per_line, styled=False)]) + "\n"


# Nodes and edges, block by block


class _Block:
    """A subgraph, or the graph itself: what is drawn inside its frame."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.edges: list[Edge] = []
        self.blocks: dict[str, _Block] = {}

    def at(self, path: Iterable[str]) -> _Block:
        block = self
        for name in path:
            block = block.blocks.setdefault(name, _Block())
        return block

    def linked(self) -> bool:
        return bool(self.edges) or any(block.linked() for block in self.blocks.values())


def _blocks(graph: Graph, words_per_line: int, *, styled: bool) -> Iterator[str]:
    root = _Block()
    for node in graph.nodes.values():
        root.at(node.id.split(":")[:-1]).nodes.append(node)
    for edge in graph.edges:
        root.at(_shared(edge)).edges.append(edge)
    ends = {"first": graph.first_node(), "last": graph.last_node()} if styled else {}
    marks = {node.id: mark for mark, node in reversed(ends.items()) if node}

    def inside(block: _Block) -> Iterator[str]:
        if styled:
            for node in block.nodes:
                yield _node(node, marks.get(node.id))
        # Loops after the others, as in the reference.
        for edge in sorted(block.edges, key=lambda edge: edge.source == edge.target):
            yield _edge(edge, words_per_line)
        # Frames without an edge come last, as in the reference; without styles they would be empty.
        for name, inner in sorted(block.blocks.items(), key=lambda item: not item[1].linked()):
            if styled or inner.linked():
                yield f"\tsubgraph {name}"
                yield from inside(inner)
                yield "\tend"

    return inside(root)


def _shared(edge: Edge) -> list[str]:
    """The path of the innermost subgraph that holds both ends of *edge*."""
    path = []
    for a, b in zip(edge.source.split(":")[:-1], edge.target.split(":")[:-1], strict=False):
        if a != b:
            break
        path.append(a)
    return path


def _node(node: Node, mark: str | None) -> str:
    label = _label(node)
    return f"\t{_id(node.id)}([{label}]):::{mark}" if mark else f"\t{_id(node.id)}({label})"


def _label(node: Node) -> str:
    name = node.name
    if name and name[0] == name[-1] and name[0] in "*_`":
        name = f"<p>{name}</p>"  # else Mermaid reads it as Markdown
    facts = [
        f"{_escaped(key)} = {_fact(value)}" for key, value in (node.metadata or {}).items() if _told(value)
    ]
    return name + "<hr/><small><em>" + "\n".join(facts) + "</em></small>" if facts else name


def _edge(edge: Edge, words_per_line: int) -> str:
    label = ""
    if edge.data is not None:
        words = str(edge.data).split()
        rows = [" ".join(words[n : n + words_per_line]) for n in range(0, len(words), words_per_line)]
        label = f" &nbsp;{'&nbsp<br>&nbsp'.join(rows)}&nbsp; "
    if edge.conditional:
        arrow = f"-.{label}.->" if label else "-.->"
    else:
        arrow = f"--{label}-->" if label else "-->"
    return f"\t{_id(edge.source)} {arrow} {_id(edge.target)};"


# Escapes


def _id(name: str) -> str:
    """*name* as a Mermaid identifier: other characters become a CSS escape."""
    return re.sub(r"[^A-Za-z0-9_-]", lambda found: f"\\{ord(found.group()):x}", name)


def _escaped(value: object) -> str:
    """*value* with the characters that mean something to Mermaid as entities."""
    entities = {'"': "#quot;"}
    return re.sub(r'[#"<>()\[\]{}|]', lambda c: entities.get(c.group(), f"#{ord(c.group())};"), str(value))


def _told(value: object) -> bool:
    """Whether *value* is short enough to show: a scalar or a list of scalars."""
    items = value if isinstance(value, list | tuple) else (value,)
    return all(isinstance(item, str | int | float) for item in items)


def _fact(value: object) -> str:
    return ", ".join(map(_escaped, value)) if isinstance(value, list | tuple) else _escaped(value)


# The head, a small subset of YAML


def _head(look: Look) -> dict[str, Any]:
    given = dict(look.frontmatter or {})
    config = dict(given.get("config") or {})
    curve = getattr(look.curve, "value", look.curve)
    return {**given, "config": {**config, "flowchart": {**(config.get("flowchart") or {}), "curve": curve}}}


def _yaml(mapping: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    for key, value in sorted(mapping.items()):
        if isinstance(value, Mapping) and value:
            yield f"{indent}{_scalar(key)}:"
            yield from _yaml(value, indent + "  ")
        else:
            yield f"{indent}{_scalar(key)}: {_scalar(value)}"


def _scalar(value: object) -> str:
    import json

    if isinstance(value, str) and re.fullmatch(r"[A-Za-z][\w .-]*(?<! )", value):
        special = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}
        return json.dumps(value) if value.lower() in special else value
    return json.dumps(value, default=str)
