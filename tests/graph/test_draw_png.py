"""Drawings as PNG images: made in this process, or asked of a server."""

from __future__ import annotations

import base64
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote

import pytest
from PIL import Image

from threadkeep.graph.draw import Graph
from threadkeep.graph.draw_mermaid import MermaidDrawMethod, NodeStyles
from threadkeep.graph.draw_trace import NodeInfo, build


def graph() -> Graph:
    nodes = {"plan": NodeInfo(), "act": NodeInfo()}
    ends = {"again": "act", "replan": "plan", "done": "__end__"}
    return build(nodes, [("__start__", "plan"), ("plan", "act")], branches={"act": [ends]})


def colours(image: bytes) -> set[Any]:
    picture = Image.open(BytesIO(image))
    assert picture.format == "PNG"
    width, height = picture.size
    return {picture.getpixel((x, y)) for x in range(width) for y in range(height)}


def test_the_first_node_is_empty_the_last_dark_and_the_others_light() -> None:
    found = colours(graph().draw_mermaid_png())
    assert {(255, 255, 255), (0xF2, 0xF0, 0xFF), (0xBF, 0xB6, 0xFC), (0x33, 0x33, 0x33)} <= found


def test_background_and_node_colours_can_be_chosen() -> None:
    styles = NodeStyles(default="fill:#102030", first="fill:#405060", last="fill:#708090")
    found = colours(graph().draw_mermaid_png(background_color="#abcdef", node_colors=styles))
    assert {(0xAB, 0xCD, 0xEF), (0x10, 0x20, 0x30), (0x40, 0x50, 0x60), (0x70, 0x80, 0x90)} <= found
    assert (255, 255, 255) not in found


def test_padding_is_added_on_every_side() -> None:
    narrow = Image.open(BytesIO(graph().draw_mermaid_png(padding=0))).size
    wide = Image.open(BytesIO(graph().draw_mermaid_png(padding=30))).size
    assert (wide[0] - narrow[0], wide[1] - narrow[1]) == (60, 60)


def test_the_image_is_also_written_to_a_file(tmp_path: Path) -> None:
    file = tmp_path / "graph.png"
    image = graph().draw_mermaid_png(output_file_path=str(file), draw_method=MermaidDrawMethod.LOCAL)
    assert file.read_bytes() == image


def test_an_empty_graph_gives_an_image_too() -> None:
    assert colours(Graph().draw_mermaid_png()) == {(255, 255, 255)}


def test_without_pillow_the_error_names_the_extra() -> None:
    program = """
        import sys
        sys.modules["PIL"] = None  # what an import finds where the package is missing
        from threadkeep.graph.draw import Graph
        try:
            Graph().draw_mermaid_png()
        except ImportError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert 'pip install "threadkeep-core[draw]"' in done.stdout


class Renderer:
    """A server that answers with the next of *statuses* and remembers what it was asked."""

    def __init__(self, *statuses: int) -> None:
        left = list(statuses)
        asked: list[str] = []
        self.asked = asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(left.pop(0))
                self.end_headers()
                self.wfile.write(b"image")

            def log_message(self, *args: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def renderer(request: pytest.FixtureRequest) -> Iterator[Renderer]:
    found = Renderer(*request.param)
    thread = Thread(target=found.server.serve_forever)
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


@pytest.mark.parametrize("renderer", [(200,)], indirect=True)
def test_a_server_is_sent_the_mermaid_text_and_the_colour(renderer: Renderer) -> None:
    assert graph().draw_mermaid_png(base_url=renderer.url) == b"image"
    path, _, query = renderer.asked[0].partition("?")
    assert path.startswith("/img/")
    assert base64.b64decode(unquote(path.removeprefix("/img/"))).decode() == graph().draw_mermaid()
    assert query == "type=png&bgColor=%21white"


@pytest.mark.parametrize("renderer", [(500, 503, 200)], indirect=True)
def test_a_server_that_fails_is_asked_again(renderer: Renderer) -> None:
    assert graph().draw_mermaid_png(base_url=renderer.url, max_retries=2, retry_delay=0) == b"image"
    assert len(renderer.asked) == 3


@pytest.mark.parametrize(("renderer", "calls"), [((500, 500), 2), ((400,), 1)], indirect=["renderer"])
def test_a_server_that_does_not_draw_is_an_error_that_names_it(renderer: Renderer, calls: int) -> None:
    with pytest.raises(ValueError, match=renderer.url) as raised:
        graph().draw_mermaid_png(base_url=renderer.url, max_retries=1, retry_delay=0)
    assert "draw_mermaid()" in str(raised.value)
    assert len(renderer.asked) == calls


def test_an_address_that_is_no_web_address_is_refused() -> None:
    with pytest.raises(ValueError, match="'file:///etc/passwd'"):
        graph().draw_mermaid_png(base_url="file:///etc/passwd")
