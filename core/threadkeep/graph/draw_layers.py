"""A layered layout of small directed graphs: which row, which column, and the points that edges pass.

The classic steps of Sugiyama, Tagawa and Toda: edges that close a circle are turned round, every node gets
a layer, edges that span several layers get a bend in each, the order inside the layers is improved until
crossings no longer vanish, and columns are assigned as Brandes and Köpf do (four extreme alignments, the
mean of the middle two). Knows nothing of nodes but their widths; ties are broken by the order of the input,
so that a graph is always drawn alike.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

__all__ = ["Bend", "Layout", "arrange"]

_SWEEPS = 8


class Bend(NamedTuple):
    """The place where an edge passes a layer."""

    edge: int
    layer: int


Item = Hashable
"""A node, by its name, or a bend."""


class Layout(NamedTuple):
    """Where everything stands."""

    layers: list[list[Item]]
    """From top to bottom, each from left to right."""
    columns: dict[Item, float]
    """The centre of every node and bend."""
    bends: list[list[Bend]]
    """Those of each edge, in the direction of the edge."""


def arrange(
    widths: Mapping[str, float], edges: Sequence[tuple[str, str]], bend_width: float, gap: float
) -> Layout:
    """The layout of the nodes that *widths* names.

    No edge may lead from a node to itself. *gap* is kept between neighbours.
    """
    down = _downward(list(widths), edges)
    layer = _layers(list(widths), down)
    layers, bends, links = _rows(list(widths), down, layer)
    layers = _untangle(layers, links)
    sizes: dict[Item, float] = {bend: bend_width for chain in bends for bend in chain}
    for name, width in widths.items():
        sizes[name] = width
    columns = _columns(layers, links, sizes, gap)
    for n, (source, target) in enumerate(edges):
        if down[n] != (source, target):
            bends[n].reverse()
    return Layout(layers, columns, bends)


# Layers


def _downward(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """*edges*, with those turned round that lead back to a node from which they can be reached."""
    following: dict[str, list[str]] = {node: [] for node in nodes}
    for source, target in edges:
        following[source].append(target)
    back: set[tuple[str, str]] = set()
    done: set[str] = set()
    roots = [node for node in nodes if all(target != node for _, target in edges)]
    for root in [*roots, *nodes]:
        trail: list[tuple[str, list[str]]] = [] if root in done else [(root, list(following[root]))]
        above = {root}
        while trail:
            node, left = trail[-1]
            if not left:
                trail.pop()
                above.discard(node)
                done.add(node)
                continue
            target = left.pop(0)
            if target in above:
                back.add((node, target))
            elif target not in done:
                trail.append((target, list(following[target])))
                above.add(target)
    return [(target, source) if (source, target) in back else (source, target) for source, target in edges]


def _layers(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """The layer of each node: as high as its predecessors allow, then as low as its successors do."""
    order = _topological(nodes, edges)
    layer = dict.fromkeys(nodes, 0)
    above: dict[str, list[str]] = {node: [] for node in nodes}
    below: dict[str, list[str]] = {node: [] for node in nodes}
    for source, target in edges:
        above[target].append(source)
        below[source].append(target)
    for node in order:
        layer[node] = max((layer[other] + 1 for other in above[node]), default=0)
    for node in reversed(order):
        if below[node]:
            layer[node] = min(layer[other] for other in below[node]) - 1
    return layer


def _topological(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> list[str]:
    waiting = dict.fromkeys(nodes, 0)
    for _, target in edges:
        waiting[target] += 1
    order = [node for node in nodes if not waiting[node]]
    for node in order:
        for source, target in edges:
            if source == node:
                waiting[target] -= 1
                if not waiting[target]:
                    order.append(target)
    return order


class _Links(NamedTuple):
    """Neighbours in the next layer, seen from above and from below."""

    below: dict[Item, list[Item]]
    above: dict[Item, list[Item]]


def _rows(
    nodes: Sequence[str], edges: Sequence[tuple[str, str]], layer: Mapping[str, int]
) -> tuple[list[list[Item]], list[list[Bend]], _Links]:
    """The layers in their first order, the bends of each edge, and what is linked to what."""
    leaving = {source for source, _ in edges}
    layers: list[list[Item]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    # Nodes that no edge leaves first, bends last.
    for node in sorted(nodes, key=lambda node: node in leaving):
        layers[layer[node]].append(node)
    links = _Links({}, {})
    bends: list[list[Bend]] = []
    for n, (source, target) in enumerate(edges):
        chain = [Bend(n, level) for level in range(layer[source] + 1, layer[target])]
        for bend in chain:
            layers[bend.layer].append(bend)
        stops: list[Item] = [source, *chain, target]
        for upper, lower in itertools.pairwise(stops):
            if lower not in links.below.setdefault(upper, []):
                links.below[upper].append(lower)
                links.above.setdefault(lower, []).append(upper)
        bends.append(chain)
    return layers, bends, links


# Order


def _untangle(layers: list[list[Item]], links: _Links) -> list[list[Item]]:
    """*layers* with as few crossings as sweeps by medians find."""
    best, least = layers, _crossings(layers, links)
    current = layers
    for sweep in range(_SWEEPS):
        if not least:
            break
        current = _swept(current, links, upward=sweep % 2 == 1)
        crossings = _crossings(current, links)
        if crossings < least:
            best, least = current, crossings
    return best


def _swept(layers: list[list[Item]], links: _Links, *, upward: bool) -> list[list[Item]]:
    result = list(layers)
    levels = range(len(layers) - 2, -1, -1) if upward else range(1, len(layers))
    neighbours = links.below if upward else links.above
    for level in levels:
        fixed = {item: n for n, item in enumerate(result[level + 1 if upward else level - 1])}
        here = {item: n for n, item in enumerate(result[level])}

        result[level] = sorted(
            result[level],
            key=lambda item: _middle(
                sorted(fixed[other] for other in neighbours.get(item, ())) or [here[item]]
            ),
        )
    return result


def _middle(places: list[int]) -> tuple[float, float]:
    return places[(len(places) - 1) // 2], sum(places) / len(places)


def _crossings(layers: list[list[Item]], links: _Links) -> int:
    count = 0
    for upper, lower in itertools.pairwise(layers):
        place = {item: n for n, item in enumerate(lower)}
        ends = [end for item in upper for end in sorted(place[other] for other in links.below.get(item, ()))]
        count += sum(ends[i] > ends[j] for i in range(len(ends)) for j in range(i + 1, len(ends)))
    return count


# Columns


def _columns(
    layers: list[list[Item]], links: _Links, sizes: Mapping[Item, float], gap: float
) -> dict[Item, float]:
    """The mean of the middle two of four alignments: from above and below, to the left and to the right."""
    strict = _strict(layers, links)
    found: list[dict[Item, float]] = []
    for rows, seen in ((layers, links.above), (layers[::-1], links.below)):
        for mirrored in (False, True):
            turned = [row[::-1] for row in rows] if mirrored else rows
            root, following = _aligned(turned, seen, strict)
            columns = _packed(turned, root, following, sizes, gap)
            found.append({item: -x for item, x in columns.items()} if mirrored else columns)
    mean = {}
    for item in found[0]:
        four = sorted(columns[item] for columns in found)
        mean[item] = (four[1] + four[2]) / 2
    return mean


def _strict(layers: list[list[Item]], links: _Links) -> set[tuple[Item, Item]]:
    """Links that may not be straight: they cross one between two bends of a long edge."""
    crossing: set[tuple[Item, Item]] = set()
    for upper, lower in itertools.pairwise(layers):
        high = {item: n for n, item in enumerate(upper)}
        low = {item: n for n, item in enumerate(lower)}
        pairs = [(item, other) for item in upper for other in links.below.get(item, ())]
        inner = [(a, b) for a, b in pairs if isinstance(a, Bend) and isinstance(b, Bend)]
        for a, b in pairs:
            if (a, b) not in inner and any((high[a] - high[c]) * (low[b] - low[d]) < 0 for c, d in inner):
                crossing.add((a, b))
    return crossing


def _aligned(
    rows: list[list[Item]], seen: Mapping[Item, list[Item]], strict: set[tuple[Item, Item]]
) -> tuple[dict[Item, Item], dict[Item, Item]]:
    """Items that stand under each other: the first of each column, and the next (the last's is the first)."""
    root: dict[Item, Item] = {item: item for row in rows for item in row}
    following = dict(root)
    for before, row in itertools.pairwise(rows):
        place = {item: n for n, item in enumerate(before)}
        taken = -1
        for item in row:
            others = sorted(seen.get(item, ()), key=place.__getitem__)
            half = (len(others) - 1) / 2
            for other in dict.fromkeys((others[int(half)], others[-int(-half // 1)])) if others else ():
                marked = (other, item) in strict or (item, other) in strict
                if following[item] == item and not marked and place[other] > taken:
                    following[other] = item
                    root[item] = root[other]
                    following[item] = root[item]
                    taken = place[other]
    return root, following


def _packed(
    rows: list[list[Item]],
    root: Mapping[Item, Item],
    following: Mapping[Item, Item],
    sizes: Mapping[Item, float],
    gap: float,
) -> dict[Item, float]:
    """Columns as far to the left as order and widths allow."""
    left: dict[Item, Item] = {b: a for row in rows for a, b in itertools.pairwise(row)}
    placed: dict[Item, float] = {}

    def place(start: Item) -> float:
        if start not in placed:
            placed[start] = 0.0
            item, least = start, 0.0
            while True:
                if item in left:
                    other = left[item]
                    apart = gap + (sizes[item] + sizes[other]) / 2
                    least = max(least, place(root[other]) + apart)
                item = following[item]
                if item == start:
                    break
            placed[start] = least
        return placed[start]

    return {item: place(root[item]) for row in rows for item in row}
