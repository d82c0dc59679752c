"""Functions that may take more than six parameters, each with the reason.

The rule exists because long parameter lists are hard to read; it yields to signatures that programs written
for this API already call. Anything else is split, not listed here.
"""

from __future__ import annotations

# file → qualified names
PUBLIC_SIGNATURES: dict[str, set[str]] = {
    # The declared surface of StateGraph and of a compiled graph.
    "core/threadkeep/graph/state.py": {"StateGraph.add_node", "StateGraph.compile"},
    "core/threadkeep/pregel/main.py": {
        "Pregel.__init__",
        "Pregel.ainvoke",
        "Pregel.astream",
        "Pregel.invoke",
        "Pregel.stream",
    },
    # `store.search(prefix, query=, filter=, limit=, offset=, ...)` and its like, as programs call them.
    "core/threadkeep/store/base/base.py": {"BaseStore.asearch", "BaseStore.search"},
    # `graph.get_graph().draw_mermaid_png(...)` as programs call it.
    "core/threadkeep/graph/draw.py": {"Graph.draw_mermaid_png"},
    # `PostgresSaver.from_conn_string(uri, pipeline=, serde=, schema=, pool_config=)` as it is declared.
    "checkpoint_postgres/threadkeep/checkpoint/postgres/saver.py": {"PostgresSaver.from_conn_string"},
    "checkpoint_postgres/threadkeep/checkpoint/postgres/aio.py": {"AsyncPostgresSaver.from_conn_string"},
}
