"""Writes ``drawings.json``: what LangGraph draws of the graphs in ``drawn_graphs.py``.

Run with a Python that has langgraph 1.2.22 and grandalf 0.8: ``python tests/graph/record_drawings.py``. The
reference orders edges by object address, so some character drawings differ from process to process: what is
not the same in every one of several processes is recorded as null, as is what it fails to draw.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PROCESSES = 8


def drawings() -> dict[str, dict[str, Any]]:
    from drawn_graphs import CASES, Api  # type: ignore[import-not-found]  # run as a script, from this folder
    from langgraph.graph import StateGraph
    from langgraph.types import Command

    found = {}
    for name, build in CASES.items():
        graph, options = build(Api(StateGraph, Command))
        drawn = graph.get_graph(**options)
        try:
            ascii_lines = drawn.draw_ascii().split("\n")
        except ValueError:
            ascii_lines = None
        found[name] = {
            "nodes": [[node.id, node.name, node.metadata] for node in drawn.nodes.values()],
            "edges": [list(edge) for edge in drawn.edges],
            "mermaid": drawn.draw_mermaid().split("\n"),
            "edges_only": drawn.draw_mermaid(with_styles=False, wrap_label_n_words=3).split("\n"),
            "ascii": ascii_lines,
        }
    return found


def main() -> None:
    runs = [
        json.loads(
            subprocess.run([sys.executable, __file__, "print"], capture_output=True, check=True).stdout
        )
        for _ in range(PROCESSES)
    ]
    for name, drawing in runs[0].items():
        if any(run[name]["ascii"] != drawing["ascii"] for run in runs):
            drawing["ascii"] = None
    (HERE / "drawings.json").write_text(json.dumps(runs[0], indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["print"]:
        sys.stdout.write(json.dumps(drawings()))
    else:
        main()
