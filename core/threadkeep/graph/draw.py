"""The drawable form of a graph: nodes, edges, and the ways to show them.

``draw_trace.build`` makes one from what a builder collected; a compiled graph returns it from ``get_graph``.
This module holds the shapes and the operations that subgraphs need. How a drawing looks is decided in
``draw_mermaid``, ``draw_ascii`` and ``draw_png``, which are imported when asked for.
"""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from threadkeep.constants import START

if TYPE_CHECKING:
    from threadkeep.graph.draw_mermaid import CurveStyle, MermaidDrawMethod, NodeStyles

__all__ = ["Edge", "Graph", "Node"]


class Node(NamedTuple):
    """A node of a drawing. ``id`` is unique in it; ``name`` is what is shown."""

    id: str
    name: str
    data: object = None
    metadata: dict[str, Any] | None = None

    def copy(self, *, id: str | None = None, name: str | None = None) -> Node:
        return Node(
            self.id if id is None else id, self.name if name is None else name, self.data, self.metadata
        )


class Edge(NamedTuple):
    """A way from one node to another. ``data`` is its label; ``conditional``: taken only on some runs."""

    source: str
    target: str
    data: str | None = None
    conditional: bool = False

    def copy(self, *, source: str | None = None, target: str | None = None) -> Edge:
        return self._replace(source=source or self.source, target=target or self.target)


@dataclass
class Graph:
    """Nodes by id and the edges between them, in drawing order."""

    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.nodes)

    # Building

    def next_id(self) -> str:
        return uuid.uuid4().hex

    def add_node(
        self, data: object, id: str | None = None, *, metadata: dict[str, Any] | None = None
    ) -> Node:
        """The new node, named by *id*, else by the name of *data*. Raises ``ValueError`` if *id* is taken."""
        if id is not None and id in self.nodes:
            raise ValueError(f"A node with id {id!r} is already in the drawing.")
        name = id or getattr(data, "name", None) or getattr(data, "__name__", None) or type(data).__name__
        node = Node(id or self.next_id(), name, data, metadata)
        self.nodes[node.id] = node
        return node

    def add_edge(
        self, source: Node, target: Node, data: str | None = None, conditional: bool = False
    ) -> Edge:
        """The new edge. Raises ``ValueError`` if one of its ends is not in the drawing."""
        for node in (source, target):
            if node.id not in self.nodes:
                raise ValueError(f"Node {node.id!r} is not in the drawing.")
        edge = Edge(source.id, target.id, data, conditional)
        self.edges.append(edge)
        return edge

    def remove_node(self, node: Node) -> None:
        """Takes *node* and its edges out."""
        del self.nodes[node.id]
        self.edges = [edge for edge in self.edges if node.id not in (edge.source, edge.target)]

    # Ends

    def first_node(self) -> Node | None:
        """The one node that no edge leads to; None if there are several or none."""
        return self._only({edge.target for edge in self.edges})

    def last_node(self) -> Node | None:
        """The one node that no edge leaves; None if there are several or none."""
        return self._only({edge.source for edge in self.edges})

    def _only(self, excluded: set[str]) -> Node | None:
        rest = [node for id, node in self.nodes.items() if id not in excluded]
        return rest[0] if len(rest) == 1 else None

    def trim_first_node(self) -> None:
        """Takes out the first node where its only edge leads to what is then the first node."""
        node = self.first_node()
        if node and sum(edge.source == node.id for edge in self.edges) == 1:
            self._trim(node, Graph.first_node)

    def trim_last_node(self) -> None:
        """Takes out the last node where its only edge comes from what is then the last node."""
        node = self.last_node()
        if node and sum(edge.target == node.id for edge in self.edges) == 1:
            self._trim(node, Graph.last_node)

    def _trim(self, node: Node, end: Any) -> None:
        shorter = Graph(dict(self.nodes), list(self.edges))
        shorter.remove_node(node)
        if end(shorter):
            self.nodes, self.edges = shorter.nodes, shorter.edges

    # Subgraphs

    def extend(self, graph: Graph, *, prefix: str = "") -> tuple[Node | None, Node | None]:
        """The first and the last node of *graph* in this drawing, after adding it under ids ``prefix:id``."""

        def placed(id: str) -> str:
            return f"{prefix}:{id}" if prefix else id

        self.nodes.update({placed(id): node.copy(id=placed(id)) for id, node in graph.nodes.items()})
        self.edges.extend(e.copy(source=placed(e.source), target=placed(e.target)) for e in graph.edges)
        first, last = graph.first_node(), graph.last_node()
        return first and first.copy(id=placed(first.id)), last and last.copy(id=placed(last.id))

    def expand(self, id: str, graph: Graph) -> bool:
        """Puts the inside of *graph* in the place of node *id*; False, and no change, where it cannot.

        The inside needs one way in and one way out. START and END of *graph* are left out where one node can
        stand for them. *graph* itself is not changed.
        """
        inside = Graph(dict(graph.nodes), list(graph.edges))
        if len(inside.nodes) > 1:
            inside.trim_first_node()
            inside.trim_last_node()
        first, last = inside.first_node(), inside.last_node()
        if id not in self.nodes or first is None or last is None:
            return False
        del self.nodes[id]
        self.edges = [
            edge.copy(
                source=f"{id}:{last.id}" if edge.source == id else None,
                target=f"{id}:{first.id}" if edge.target == id else None,
            )
            for edge in self.edges
        ]
        self.extend(inside, prefix=id)
        return True

    def reid(self) -> Graph:
        """The same drawing with names where ids were made up by ``add_node``; equal names are numbered."""
        made_up = [node for node in self.nodes.values() if re.fullmatch("[0-9a-f]{32}", node.id)]
        count = Counter(node.name for node in made_up)
        number: Counter[str] = Counter()
        ids = {id: id for id in self.nodes}
        for node in made_up:
            number[node.name] += 1
            ids[node.id] = node.name if count[node.name] == 1 else f"{node.name}_{number[node.name]}"
        return Graph(
            {ids[id]: node.copy(id=ids[id]) for id, node in self.nodes.items()},
            [edge.copy(source=ids[edge.source], target=ids[edge.target]) for edge in self.edges],
        )

    # Showing

    def to_json(self, *, with_schemas: bool = False) -> dict[str, list[dict[str, Any]]]:
        """Nodes and edges as JSON values. *with_schemas* is accepted; there are no schemas at nodes."""
        return {
            "nodes": [_node_json(node) for node in self.nodes.values()],
            "edges": [_edge_json(edge) for edge in self.edges],
        }

    def draw_mermaid(
        self,
        *,
        with_styles: bool = True,
        curve_style: CurveStyle | str = "linear",
        node_colors: NodeStyles | None = None,
        wrap_label_n_words: int = 9,
        frontmatter_config: Mapping[str, Any] | None = None,
    ) -> str:
        """The drawing in Mermaid's flowchart language.

        *frontmatter_config* goes into the head of the text (theme, look); *curve_style* and *node_colors*
        choose the lines and the CSS of the first, the last and the other nodes. Without *with_styles* only
        edges are written.
        """
        from threadkeep.graph.draw_mermaid import Look, render, render_edges

        graph = self.reid()
        if not with_styles:
            return render_edges(graph, wrap_label_n_words)
        return render(graph, Look(curve_style, node_colors, wrap_label_n_words, frontmatter_config))

    def draw_ascii(self) -> str:
        """The drawing in characters, for a terminal with a fixed-width font."""
        from threadkeep.graph.draw_ascii import render

        return render(self)

    def print_ascii(self) -> None:
        print(self.draw_ascii())  # noqa: T201  # it is what the method is for

    def draw_mermaid_png(
        self,
        *,
        curve_style: CurveStyle | str = "linear",
        node_colors: NodeStyles | None = None,
        wrap_label_n_words: int = 9,
        output_file_path: str | None = None,
        draw_method: MermaidDrawMethod | str | None = None,
        background_color: str = "white",
        padding: int = 10,
        max_retries: int = 1,
        retry_delay: float = 1.0,
        frontmatter_config: Mapping[str, Any] | None = None,
        base_url: str | None = None,
    ) -> bytes:
        """The drawing as a PNG image, also written to *output_file_path* if given.

        It is drawn here, with Pillow, and nothing leaves the machine; the look is ours, so *curve_style*,
        *wrap_label_n_words* and *frontmatter_config* do not matter. With ``draw_method="api"`` or a
        *base_url* the Mermaid text is sent to a mermaid.ink server and its image returned; the request is
        repeated *max_retries* times, *retry_delay* seconds apart.

        Raises ``ImportError`` where Pillow is missing, ``ValueError`` for a server that does not answer.
        """
        from threadkeep.graph.draw_png import PUBLIC_SERVER, Canvas, Server, fetch, render

        if base_url is None and getattr(draw_method, "value", draw_method) != "api":
            image = render(self, Canvas(background_color, padding, node_colors))
        else:
            text = self.draw_mermaid(
                curve_style=curve_style,
                node_colors=node_colors,
                wrap_label_n_words=wrap_label_n_words,
                frontmatter_config=frontmatter_config,
            )
            server = Server(base_url or PUBLIC_SERVER, max_retries, retry_delay)
            image = fetch(text, background_color, server)
        if output_file_path is not None:
            with open(output_file_path, "wb") as file:
                file.write(image)
        return image

    def _repr_mimebundle_(self, **options: Any) -> dict[str, str | bytes]:
        """What a notebook shows: an image where Pillow is installed, else the Mermaid text."""
        shown: dict[str, str | bytes] = {"text/plain": repr(self), "text/vnd.mermaid": self.draw_mermaid()}
        with suppress(ImportError):
            shown["image/png"] = self.draw_mermaid_png()
        return shown


def _node_json(node: Node) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": node.id}
    if node.data is not None:
        kind = type(node.data)
        path = ["threadkeep", "graph", "START"]
        if node.data != START:
            path = [*kind.__module__.split("."), kind.__qualname__]
        shown["type"] = "runnable"
        shown["data"] = {"id": path, "name": node.id}
    if node.metadata:
        shown["metadata"] = node.metadata
    return shown


def _edge_json(edge: Edge) -> dict[str, Any]:
    shown: dict[str, Any] = {"source": edge.source, "target": edge.target}
    if edge.data is not None:
        shown["data"] = edge.data
    if edge.conditional:
        shown["conditional"] = True
    return shown
