"""Drawings of compiled graphs: equal to the recorded ones of the reference, and what those do not cover."""

from __future__ import annotations

import importlib.util
import itertools
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from threadkeep.graph import StateGraph
from threadkeep.graph.draw import Edge, Graph, Node
from threadkeep.graph.draw_mermaid import CurveStyle, NodeStyles
from threadkeep.graph.draw_trace import NodeInfo, build
from threadkeep.types import Command

HERE = Path(__file__).parent
RECORDED: dict[str, dict[str, Any]] = json.loads((HERE / "drawings.json").read_text())


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


graphs = load("drawn_graphs")


def drawing(name: str) -> Graph:
    graph, options = graphs.CASES[name](graphs.Api(StateGraph, Command))
    found = graph.get_graph(**options)
    assert isinstance(found, Graph)
    return found


def test_every_graph_was_recorded() -> None:
    assert list(RECORDED) == list(graphs.CASES)


@pytest.mark.parametrize("name", RECORDED)
def test_nodes_and_edges_are_those_of_the_reference(name: str) -> None:
    drawn = drawing(name)
    assert [[node.id, node.name, node.metadata] for node in drawn.nodes.values()] == RECORDED[name]["nodes"]
    assert [list(edge) for edge in drawn.edges] == RECORDED[name]["edges"]


@pytest.mark.parametrize("name", RECORDED)
def test_mermaid_text_is_that_of_the_reference(name: str) -> None:
    drawn = drawing(name)
    assert drawn.draw_mermaid().split("\n") == RECORDED[name]["mermaid"]
    edges = drawn.draw_mermaid(with_styles=False, wrap_label_n_words=3)
    assert edges.split("\n") == RECORDED[name]["edges_only"]


# The reference draws the others differently from process to process, or not at all.
@pytest.mark.parametrize("name", [name for name, found in RECORDED.items() if found["ascii"] is not None])
def test_character_drawing_is_that_of_the_reference(name: str) -> None:
    assert drawing(name).draw_ascii().split("\n") == RECORDED[name]["ascii"]


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.split("\n")]


def test_a_loop_of_a_node_is_a_mark_after_its_name() -> None:
    assert lines(drawing("loop_with_a_way_out").draw_ascii()) == [
        "+-----------+",
        "| __start__ |",
        "+-----------+",
        "      *",
        "      *",
        "      *",
        "   +-----+",
        "   | a . |",
        "   +-----+",
        "      .",
        "      .",
        "      .",
        " +---------+",
        " | __end__ |",
        " +---------+",
    ]


def test_an_agent_with_tools_is_drawn_alike_every_time() -> None:
    assert lines(drawing("agent_and_tools").draw_ascii()) == [
        "        +-----------+",
        "        | __start__ |",
        "        +-----------+",
        "               *",
        "               *",
        "               *",
        "          +-------+",
        "          | agent |",
        "          +-------+*",
        "          .         *",
        "        ..           **",
        "       .               *",
        "+---------+         +-------+",
        "| __end__ |         | tools |",
        "+---------+         +-------+",
    ]


def test_wide_characters_take_two_columns() -> None:
    drawn = build({"日本": NodeInfo()}, [("__start__", "日本")])
    assert lines(drawn.draw_ascii())[6:9] == ["  +------+", "  | 日本 |", "  +------+"]


def test_print_ascii_prints_the_drawing(capsys: pytest.CaptureFixture[str]) -> None:
    drawn = drawing("linear")
    drawn.print_ascii()
    assert capsys.readouterr().out == drawn.draw_ascii() + "\n"


def test_an_empty_graph_draws_as_nothing() -> None:
    assert Graph().draw_ascii() == ""
    assert Graph().draw_mermaid(with_styles=False) == "graph TD;\n"
    assert not Graph()
    assert Graph().first_node() is None


def test_curve_styles_and_front_matter_go_into_the_head() -> None:
    text = drawing("linear").draw_mermaid(
        curve_style=CurveStyle.BASIS,
        node_colors=NodeStyles(first="fill:#111", default="fill:#222", last="fill:#333"),
        frontmatter_config={
            "title": "a: b",
            "config": {
                "theme": "neutral",
                "flowchart": {"curve": "natural", "nodeSpacing": 8, "htmlLabels": True},
            },
        },
    )
    assert text.split("\n")[:11] == [
        "---",
        "config:",
        "  flowchart:",
        "    curve: basis",
        "    htmlLabels: true",
        "    nodeSpacing: 8",
        "  theme: neutral",
        'title: "a: b"',
        "---",
        "graph TD;",
        "\t__start__([<p>__start__</p>]):::first",
    ]
    assert text.endswith(
        "\tclassDef default fill:#222\n\tclassDef first fill:#111\n\tclassDef last fill:#333\n"
    )


def test_a_subgraph_of_one_node_inside_another_keeps_its_edges() -> None:
    # The reference loses the nodes and the edge between the two subgraphs.
    innermost = build({"x": NodeInfo()}, [("__start__", "x")])
    between = build({"in": NodeInfo()}, [("__start__", "in")])
    assert between.expand("in", innermost)
    drawn = build({"m1": NodeInfo(), "m2": NodeInfo()}, [("__start__", "m1"), ("m1", "m2")])
    assert drawn.expand("m1", between)
    assert drawn.expand("m2", between)
    assert drawn.draw_mermaid().split("\n")[6:20] == [
        "\t__start__([<p>__start__</p>]):::first",
        "\t__end__([<p>__end__</p>]):::last",
        "\t__start__ --> m1\\3ain\\3ax;",
        "\tm1\\3ain\\3ax --> m2\\3ain\\3ax;",
        "\tm2\\3ain\\3ax --> __end__;",
        "\tsubgraph m1",
        "\tsubgraph in",
        "\tm1\\3ain\\3ax(x)",
        "\tend",
        "\tend",
        "\tsubgraph m2",
        "\tsubgraph in",
        "\tm2\\3ain\\3ax(x)",
        "\tend",
    ]


def test_a_branch_and_a_command_to_one_node_draw_the_label() -> None:
    # The reference fails to compare the two.
    nodes = {"a": NodeInfo(ends=("b",)), "b": NodeInfo()}
    drawn = build(nodes, [("__start__", "a")], branches={"a": [{"x": "b"}]})
    assert drawn.edges == [
        Edge("__start__", "a"),
        Edge("a", "b", "x", conditional=True),
        Edge("b", "__end__"),
    ]


def test_json_names_the_type_of_a_node_its_metadata_and_the_labels() -> None:
    nodes = {"a": NodeInfo(data=Path("x"), metadata={"k": 1}), "b": NodeInfo()}
    drawn = build(nodes, [("__start__", "a")], branches={"a": [{"go": "b"}]})
    kind = [*type(Path("x")).__module__.split("."), type(Path("x")).__qualname__]
    assert drawn.to_json() == {
        "nodes": [
            {
                "id": "__start__",
                "type": "runnable",
                "data": {"id": ["threadkeep", "graph", "START"], "name": "__start__"},
            },
            {"id": "a", "type": "runnable", "data": {"id": kind, "name": "a"}, "metadata": {"k": 1}},
            {"id": "b"},
            {"id": "__end__"},
        ],
        "edges": [
            {"source": "__start__", "target": "a"},
            {"source": "a", "target": "b", "data": "go", "conditional": True},
            {"source": "b", "target": "__end__"},
        ],
    }


def test_a_drawing_can_be_made_by_hand() -> None:
    drawn = Graph()
    first = drawn.add_node(str, metadata={"k": 1})
    second = drawn.add_node(str)
    edge = drawn.add_edge(first, second, "next")
    assert (first.name, edge) == ("str", Edge(first.id, second.id, "next", conditional=False))
    assert list(drawn.reid().nodes) == ["str_1", "str_2"]
    assert (drawn.first_node(), drawn.last_node()) == (first, second)
    with pytest.raises(ValueError, match="'nowhere' is not in the drawing"):
        drawn.add_edge(first, Node("nowhere", "nowhere"))
    with pytest.raises(ValueError, match="already in the drawing"):
        drawn.add_node(str, first.id)
    drawn.remove_node(second)
    assert (list(drawn.nodes), drawn.edges) == ([first.id], [])


def test_a_graph_is_extended_under_a_prefix_and_trimmed_at_both_ends() -> None:
    drawn = drawing("linear")
    assert drawn.extend(drawing("linear"), prefix="p") == (
        Node("p:__start__", "__start__", "__start__"),
        Node("p:__end__", "__end__"),
    )
    assert list(drawn.nodes)[4:] == ["p:__start__", "p:a", "p:b", "p:__end__"]
    short = drawing("linear")
    short.trim_first_node()
    short.trim_last_node()
    assert list(short.nodes) == ["a", "b"]


def test_a_notebook_gets_the_mermaid_text_and_an_image() -> None:
    drawn = drawing("linear")
    assert drawn._repr_mimebundle_() == {
        "text/plain": repr(drawn),
        "text/vnd.mermaid": drawn.draw_mermaid(),
        "image/png": drawn.draw_mermaid_png(),
    }


def test_a_long_chain_is_drawn_to_its_end() -> None:
    names = ["__start__", *(f"n{number}" for number in range(400))]
    drawn = build({name: NodeInfo() for name in names[1:]}, list(itertools.pairwise(names)))
    assert len(drawn.edges) == 401
    assert drawn.draw_ascii().count("| n") == 400
