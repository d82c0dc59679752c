"""The layout, over random graphs: what holds for every drawing."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from threadkeep.graph.draw import Edge, Graph, Node
from threadkeep.graph.draw_layers import Bend, Layout, arrange

GAP = 3.0
names = st.integers(0, 9).map(lambda number: "n" * (1 + number % 3) + str(number))
edge_lists = st.lists(
    st.tuples(names, names).filter(lambda pair: pair[0] != pair[1]), max_size=25, unique=True
)


def layout(edges: list[tuple[str, str]]) -> tuple[dict[str, float], Layout]:
    widths = {name: len(name) + 4.0 for edge in edges for name in edge}
    return widths, arrange(widths, edges, 5.0, GAP)


@given(edge_lists)
def test_every_node_stands_in_one_layer_and_every_bend_in_its_own(edges: list[tuple[str, str]]) -> None:
    widths, found = layout(edges)
    items = [item for layer in found.layers for item in layer]
    bends = [bend for chain in found.bends for bend in chain]
    assert sorted(map(str, items)) == sorted(map(str, [*widths, *bends]))
    assert all(
        item.layer == n for n, layer in enumerate(found.layers) for item in layer if isinstance(item, Bend)
    )
    assert all(found.layers)


@given(edge_lists)
def test_neighbours_keep_their_distance(edges: list[tuple[str, str]]) -> None:
    widths, found = layout(edges)
    for layer in found.layers:
        for left, right in pairwise(layer):
            sizes = [5.0 if isinstance(item, Bend) else widths[str(item)] for item in (left, right)]
            assert found.columns[right] - found.columns[left] >= sum(sizes) / 2 + GAP - 1e-9


@given(edge_lists)
def test_an_edge_passes_every_layer_between_its_ends(edges: list[tuple[str, str]]) -> None:
    _, found = layout(edges)
    level = {item: n for n, layer in enumerate(found.layers) for item in layer}
    for (source, target), chain in zip(edges, found.bends, strict=True):
        passed = [level[source], *(bend.layer for bend in chain), level[target]]
        assert [abs(a - b) for a, b in pairwise(passed)] == [1] * (len(chain) + 1)
        assert len({a < b for a, b in pairwise(passed)}) == 1


@given(edge_lists)
def test_a_graph_without_circles_is_drawn_downwards(edges: list[tuple[str, str]]) -> None:
    edges = [(source, target) for source, target in edges if source[-1] < target[-1]]
    _, found = layout(edges)
    level = {item: n for n, layer in enumerate(found.layers) for item in layer}
    assert all(level[source] < level[target] for source, target in edges)


@given(edge_lists, st.booleans())
def test_any_graph_has_a_character_drawing_with_every_connected_name_once(
    edges: list[tuple[str, str]], conditional: bool
) -> None:
    nodes = {name: Node(name, name) for edge in edges for name in edge}
    text = Graph(nodes, [Edge(*edge, None, conditional) for edge in edges]).draw_ascii()
    near = set(list(nodes)[:1])
    while more := {b for edge in edges for a, b in (edge, edge[::-1]) if a in near} - near:
        near |= more
    assert {name: text.count(f"| {name} |") for name in nodes} == {name: int(name in near) for name in nodes}
    assert len({len(line) for line in text.split("\n")}) == 1
