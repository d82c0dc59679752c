"""The drawing of a compiled graph, with its subgraphs unfolded on request."""

from __future__ import annotations

from typing import Any

from threadkeep.graph.compiled import CompiledStateGraph
from threadkeep.graph.draw import Graph
from threadkeep.graph.draw_trace import NodeInfo, build


def drawn(graph: CompiledStateGraph[Any, Any, Any, Any], xray: int | bool) -> Graph:
    """The drawing; `xray` says how deep subgraphs are unfolded (True: to the bottom)."""
    builder = graph.builder
    drawing = build(
        {
            name: NodeInfo(spec.runnable, spec.metadata, spec.defer, spec.ends)
            for name, spec in builder.nodes.items()
        },
        builder.edges,
        builder.waiting_edges,
        {
            source: [branch.ends for branch in branches.values()]
            for source, branches in builder.branches.items()
        },
        graph.interrupt_before_nodes,
        graph.interrupt_after_nodes,
    )
    if xray:
        deeper = xray if xray is True else xray - 1
        for name, subgraph in graph.get_subgraphs():
            if isinstance(subgraph, CompiledStateGraph):
                drawing.expand(name, drawn(subgraph, deeper))
    return drawing
