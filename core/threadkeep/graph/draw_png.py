"""Drawings as PNG images: made here with Pillow, or by a mermaid.ink server on request."""

from __future__ import annotations

import base64
import itertools
import re
import time
from io import BytesIO
from math import atan2, cos, hypot, pi, sin
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import urlopen

from threadkeep.graph.draw_ascii import Box, Line, Picture, picture
from threadkeep.graph.draw_mermaid import NodeStyles

if TYPE_CHECKING:
    from threadkeep.graph.draw import Graph

__all__ = ["PUBLIC_SERVER", "Canvas", "Server", "fetch", "render"]

# Drawn twice as large as shown and scaled down, which smooths the edges of everything.
_COLUMN, _LINE, _FONT, _PEN = 30, 50, 44, 4
_ARROW = 26
_INK, _FRAME = "#333333", "#9370db"


class Canvas(NamedTuple):
    background: str = "white"
    """A colour; one with a ``!`` before it, as mermaid.ink writes names, means the same."""
    padding: int = 10
    """Pixels around the drawing."""
    styles: NodeStyles | None = None


def render(graph: Graph, canvas: Canvas) -> bytes:
    """The PNG of *graph*. Raises ``ImportError`` where Pillow is missing."""
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError as cause:
        raise ImportError(
            'Drawing a PNG needs Pillow. Install the extra: pip install "threadkeep-core[draw]". Without it '
            "draw_mermaid() gives the text for any Mermaid viewer, and draw_mermaid_png with "
            'draw_method="api" asks the public server mermaid.ink.'
        ) from cause
    shown = picture(graph, {id: node.name for id, node in graph.nodes.items()})
    pixels = _Scale(shown, canvas.padding * 2)
    image = Image.new("RGB", pixels.size, canvas.background.removeprefix("!"))
    pen = _Pen(ImageDraw.Draw(image), ImageFont.load_default(size=_FONT), pixels)
    for line in shown.lines:
        pen.edge(line)
    for edge in graph.edges:
        if edge.source == edge.target:
            pen.loop(next(box for box in shown.boxes if box.id == edge.source), edge.conditional)
    fills = _fills(graph, canvas.styles or NodeStyles())
    for box in shown.boxes:
        pen.node(box, fills[box.id])
    for line in shown.lines:
        if line.edge.data is not None:
            pen.label(line, str(line.edge.data), canvas.background.removeprefix("!"))
    out = BytesIO()
    image.resize((pixels.size[0] // 2, pixels.size[1] // 2), Image.Resampling.LANCZOS).save(out, "PNG")
    return out.getvalue()


def _fills(graph: Graph, styles: NodeStyles) -> dict[str, str | None]:
    """The colour of each node, taken from its CSS; None: not filled."""
    ends = ((graph.last_node(), styles.last), (graph.first_node(), styles.first))
    css = {node.id: style for node, style in ends if node}
    found: dict[str, str | None] = {}
    for id in graph.nodes:
        fill = re.search(r"fill:\s*(#[0-9a-fA-F]{3,8}|\w+)", css.get(id, styles.default))
        found[id] = fill.group(1) if fill else None
    return found


class _Scale:
    """From columns and lines of characters to pixels."""

    def __init__(self, shown: Picture, padding: int) -> None:
        xs = [x for box in shown.boxes for x in (box.x - box.width / 2, box.x + box.width / 2 + 3)]
        xs += [x for line in shown.lines for x, _ in line.points]
        ys = [box.y for box in shown.boxes]
        self._padding = padding
        self._left = min(xs, default=0.0)
        self._top = min(ys, default=0.0) - 1
        right, bottom = max(xs, default=0.0), max(ys, default=0.0) + 1
        self.size = (
            max(2, round((right - self._left) * _COLUMN) + 2 * padding),
            max(2, round((bottom - self._top) * _LINE) + 2 * padding),
        )

    def at(self, x: float, y: float) -> tuple[float, float]:
        return (x - self._left) * _COLUMN + self._padding, (y - self._top) * _LINE + self._padding


class _Pen:
    def __init__(self, draw: Any, font: Any, pixels: _Scale) -> None:
        self._draw = draw
        self._font = font
        self._pixels = pixels

    def node(self, box: Box, fill: str | None) -> None:
        left, top = self._pixels.at(box.x - box.width / 2, box.y - 1)
        right, bottom = self._pixels.at(box.x + box.width / 2, box.y + 1)
        self._draw.rounded_rectangle(
            (left, top, right, bottom), radius=_COLUMN, fill=fill, outline=_FRAME, width=_PEN
        )
        self._text(((left + right) / 2, (top + bottom) / 2), box.name)

    def edge(self, line: Line) -> None:
        points = [self._pixels.at(*point) for point in line.points]
        for start, end in itertools.pairwise(points):
            self._stroke(start, end, line.edge.conditional)
        self._arrow(points[-2], points[-1])

    def loop(self, box: Box, conditional: bool) -> None:
        left, top = self._pixels.at(box.x + box.width / 2 - 1, box.y - 0.5)
        right, bottom = self._pixels.at(box.x + box.width / 2 + 2, box.y + 0.5)
        steps = range(-150, 150, 12)
        for angle in steps[:: 2 if conditional else 1]:
            self._draw.arc((left, top, right, bottom), angle, angle + 12, fill=_INK, width=_PEN)
        tip = self._pixels.at(box.x + box.width / 2, box.y + 0.4)
        self._arrow((tip[0] + _COLUMN, tip[1] + 10), tip)

    def label(self, line: Line, text: str, background: str) -> None:
        points = [self._pixels.at(*point) for point in line.points]
        (x0, y0), (x1, y1) = points[(len(points) - 1) // 2 : (len(points) - 1) // 2 + 2]
        middle = ((x0 + x1) / 2, (y0 + y1) / 2)
        box = self._draw.textbbox(middle, text, font=self._font, anchor="mm")
        self._draw.rectangle(box, fill=background)
        self._text(middle, text)

    def _text(self, middle: tuple[float, float], text: str) -> None:
        self._draw.text(middle, text, font=self._font, fill=_INK, anchor="mm")

    def _stroke(self, start: tuple[float, float], end: tuple[float, float], dashed: bool) -> None:
        length = hypot(end[0] - start[0], end[1] - start[1])
        if not dashed or not length:
            self._draw.line((*start, *end), fill=_INK, width=_PEN)
            return
        dx, dy = (end[0] - start[0]) / length, (end[1] - start[1]) / length
        for far in range(0, int(length), 24):
            until = min(far + 12, length)
            self._draw.line(
                (start[0] + dx * far, start[1] + dy * far, start[0] + dx * until, start[1] + dy * until),
                fill=_INK,
                width=_PEN,
            )

    def _arrow(self, start: tuple[float, float], tip: tuple[float, float]) -> None:
        angle = atan2(start[1] - tip[1], start[0] - tip[0])
        wings = [
            (tip[0] + _ARROW * cos(angle + a), tip[1] + _ARROW * sin(angle + a)) for a in (pi / 8, -pi / 8)
        ]
        self._draw.polygon([tip, *wings], fill=_INK)


# By a server

PUBLIC_SERVER = "https://mermaid.ink"
_TIMEOUT = 10.0


class Server(NamedTuple):
    url: str = PUBLIC_SERVER
    retries: int = 1
    delay: float = 1.0
    """Seconds between two tries."""


def fetch(text: str, background: str, server: Server) -> bytes:
    """The PNG that a mermaid.ink server makes of Mermaid *text*.

    Raises ``ValueError`` where the address is no web address, the server does not answer, or it refuses.
    """
    if urlsplit(server.url).scheme not in ("http", "https"):
        raise ValueError(f"base_url is a mermaid.ink server, https://..., not {server.url!r}.")
    colour = background if background.startswith(("#", "!")) else f"!{background}"
    code = base64.b64encode(text.encode()).decode()
    address = f"{server.url.rstrip('/')}/img/{quote(code)}?type=png&bgColor={quote(colour.removeprefix('#'))}"
    for left in range(server.retries, -1, -1):
        try:
            with urlopen(address, timeout=_TIMEOUT) as reply:  # noqa: S310  # the scheme was checked
                image: bytes = reply.read()
                return image
        except (URLError, TimeoutError) as error:  # HTTPError is a URLError
            refused = isinstance(error, HTTPError) and error.code < 500
            if isinstance(error, HTTPError):
                error.close()
            if refused or not left:
                raise ValueError(
                    f"{server.url} did not draw the graph: {error}. Without draw_method and base_url "
                    "it is drawn here (needs Pillow); draw_mermaid() is for any Mermaid viewer."
                ) from error
            time.sleep(server.delay)
    raise AssertionError("unreachable")
