"""Drawings in characters: boxes for nodes, stars for edges, dots for conditional ones. Pure: text out."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, floor
from typing import TYPE_CHECKING, NamedTuple
from unicodedata import east_asian_width

from threadkeep.graph.draw_layers import Layout, arrange

if TYPE_CHECKING:
    from threadkeep.graph.draw import Edge, Graph

__all__ = ["Box", "Picture", "picture", "render"]

_ROW = 6
"""Lines from the top of one layer to the top of the next: a box of three, and three for the edges."""
_BOX = 3


class Box(NamedTuple):
    id: str
    name: str
    x: float
    y: float
    width: int


class Line(NamedTuple):
    edge: Edge
    points: list[tuple[float, float]]


class Picture(NamedTuple):
    """Boxes by their centre and lines between their borders, in characters; y grows downwards."""

    boxes: list[Box]
    lines: list[Line]


def render(graph: Graph) -> str:
    """*graph* in lines of equal length; an empty text for an empty graph.

    Shown is what is connected with the first node. An edge from a node to itself is a ``*`` (``.`` if it is
    conditional) after the name.
    """
    loops = {edge.source: " ." if edge.conditional else " *" for edge in graph.edges if _is_loop(edge)}
    shown = picture(graph, {id: graph.nodes[id].name + loops.get(id, "") for id in _connected(graph)})
    if not shown.boxes:
        return ""
    xs = [edge for box in shown.boxes for edge in (box.x - box.width / 2, box.x + box.width / 2)]
    xs += [x for line in shown.lines for x, _ in line.points]
    top = min(box.y for box in shown.boxes)
    bottom = max(box.y for box in shown.boxes)
    canvas = _Canvas(ceil(max(xs)) - floor(min(xs)) + 1, round(bottom - top) + _BOX, min(xs), top)
    for line in sorted(shown.lines, key=lambda line: not line.edge.conditional):  # stars over dots
        for start, end in zip(line.points, line.points[1:], strict=False):
            canvas.line(start, end, "." if line.edge.conditional else "*")
    for box in shown.boxes:
        canvas.box(box)
    return canvas.text()


def picture(graph: Graph, labels: Mapping[str, str]) -> Picture:
    """Where everything is drawn of the nodes that *labels* names, and of the edges between them."""
    edges = [edge for edge in graph.edges if edge.source in labels and not _is_loop(edge)]
    widths = {id: _width(label) + 4 for id, label in labels.items()}
    if not widths:
        return Picture([], [])
    ordered = sorted(widths.values())
    links = [(edge.source, edge.target) for edge in edges]
    layout = arrange(widths, links, ordered[len(ordered) // 2], ordered[0])
    boxes = {
        id: Box(id, labels[id], layout.columns[id], n * _ROW + _BOX / 2, widths[id])
        for n, layer in enumerate(layout.layers)
        for id in layer
        if isinstance(id, str)
    }
    lines = [Line(edge, _route(edge, n, boxes, layout)) for n, edge in enumerate(edges)]
    return Picture(list(boxes.values()), lines)


def _is_loop(edge: Edge) -> bool:
    return edge.source == edge.target


def _connected(graph: Graph) -> list[str]:
    """The ids that edges connect with the first node, in the order of the edges."""
    near: dict[str, list[str]] = {}
    for edge in graph.edges:
        near.setdefault(edge.source, []).append(edge.target)
        near.setdefault(edge.target, []).append(edge.source)
    first = list(graph.nodes)[:1]
    found = set(first)
    waiting = list(first)
    for id in waiting:
        fresh = [other for other in near.get(id, ()) if other not in found]
        found.update(fresh)
        waiting.extend(fresh)
    mentioned = dict.fromkeys(id for edge in graph.edges for id in (edge.source, edge.target))
    return [id for id in mentioned if id in found] or first


def _width(text: str) -> int:
    """Columns that *text* takes in a terminal."""
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in text)


def _route(edge: Edge, n: int, boxes: dict[str, Box], layout: Layout) -> list[tuple[float, float]]:
    source, target = boxes[edge.source], boxes[edge.target]
    bends = [(layout.columns[bend], bend.layer * _ROW + _BOX / 2) for bend in layout.bends[n]]
    stops = [(source.x, source.y), *bends, (target.x, target.y)]
    return [_border(source, stops[1]), *bends, _border(target, stops[-2])]


def _border(box: Box, towards: tuple[float, float]) -> tuple[float, float]:
    """The point where the line from the centre of *box* leaves it."""
    dx, dy = towards[0] - box.x, towards[1] - box.y
    reach = min(
        (box.width // 2) / abs(dx) if dx else float("inf"),
        (_BOX // 2) / abs(dy) if dy else float("inf"),
    )
    return box.x + dx * reach, box.y + dy * reach


class _Canvas:
    def __init__(self, columns: int, rows: int, left: float, top: float) -> None:
        self._cells = [[" "] * columns for _ in range(rows)]
        self._left = left
        self._top = top

    def _point(self, x: float, y: float) -> tuple[int, int]:
        return round(x - self._left), round(y - self._top)

    def line(self, start: tuple[float, float], end: tuple[float, float], char: str) -> None:
        """One character in each column or row, whichever are more.

        Drawn from left to right, so that a line looks the same in both directions.
        """
        (x0, y0), (x1, y1) = self._point(*start), self._point(*end)
        if abs(x1 - x0) >= abs(y1 - y0):
            (x0, y0), (x1, y1) = sorted(((x0, y0), (x1, y1)))
            for x in range(x0, x1 + 1):
                slope = (x - x0) * (y1 - y0) / (x1 - x0) if x1 > x0 else 0
                self._cells[y0 + round(slope)][x] = char
        else:
            (y0, x0), (y1, x1) = sorted(((y0, x0), (y1, x1)))
            for y in range(y0, y1 + 1):
                self._cells[y][x0 + round((y - y0) * (x1 - x0) / (y1 - y0))] = char

    def box(self, box: Box) -> None:
        x, y = self._point(box.x - box.width / 2, box.y)
        rule = "+" + "-" * (box.width - 2) + "+"
        # A wide character takes two columns: the cell after it stays empty.
        middle = [cell for char in f"| {box.name} |" for cell in (char, "")[: _width(char)]]
        for row, cells in ((y, rule), (y + 1, middle), (y + 2, rule)):
            self._cells[row][x : x + box.width] = cells

    def text(self) -> str:
        return "\n".join("".join(row) for row in self._cells)
