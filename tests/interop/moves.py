"""Programs that begin on LangGraph and go on here, each written once for both libraries."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypedDict

import langgraph.graph
import langgraph.graph.message
import langgraph.types
import psycopg
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.checkpoint.postgres import PostgresSaver as TheirPostgres
from langgraph.checkpoint.sqlite import SqliteSaver as TheirSqlite
from psycopg.conninfo import make_conninfo

import threadkeep.graph
import threadkeep.types
from tests.interop.programs import Trace
from tests.postgres_server import drop_database, fresh_database
from threadkeep.checkpoint import postgres, sqlite
from threadkeep.checkpoint.foreign import MigrationReport

PLAIN: Any = {"configurable": {"thread_id": "t"}}
THREAD: Any = {"configurable": {"thread_id": "t", "user": "ann"}}


class Library(NamedTuple):
    """One of the two, by the names that the programs use."""

    graph: Any
    types: Any

    def line(self, *nodes: tuple[str, Any], schema: Any = None) -> Any:
        """A builder whose nodes run one after the other."""
        builder = self.graph.StateGraph(schema or Words)
        last = self.graph.START
        for name, node in nodes:
            builder.add_node(name, node)
            builder.add_edge(last, name)
            last = name
        return builder

    def asks(self, runs: list[str], name: str = "ask", *questions: str) -> Callable[[Any], Any]:
        """A node that needs answers."""

        def ask(state: Any) -> Any:
            runs.append(name)
            return {"words": [self.types.interrupt(each) for each in questions or (f"{name}?",)]}

        return ask


THEIRS = Library(langgraph.graph, langgraph.types)
OURS = Library(threadkeep.graph, threadkeep.types)


class Words(TypedDict):
    words: Annotated[list[str], operator.add]


class Chat(TypedDict):
    messages: Annotated[list[AnyMessage], langgraph.graph.message.add_messages]


def says(runs: list[str], word: str) -> Callable[[Any], Any]:
    """A node that adds a word."""

    def say(state: Any) -> Any:
        runs.append(word)
        return {"words": [word]}

    return say


FIRST = "before the move"
"""In `runs` where a program has not been moved yet."""
Steps = tuple[Callable[[Any], Any], ...]


class Program(NamedTuple):
    """A graph, what is done with it before the move, and after it. Each step gets the compiled graph."""

    builder: Any
    before: Steps
    after: Steps
    stops: tuple[str, ...] = ()
    """Nodes with a breakpoint."""


def _given(value: Any, durability: str = "sync") -> Callable[[Any], Any]:
    # LangGraph saves beside the run by default, and then may save the set of a join after the next step has
    # changed it.
    return lambda graph: graph.invoke(value, THREAD, durability=durability)


def _fails(graph: Any) -> Any:
    try:
        return graph.invoke({"words": []}, THREAD)
    except ValueError as error:
        return repr(error)


def _answers_all(lib: Library) -> Callable[[Any], Any]:
    """Answers every question by the id of its interrupt."""

    def answer(graph: Any) -> Any:
        asked = sorted(graph.get_state(THREAD).interrupts, key=lambda each: str(each.value))
        answers = {each.id: f"to {each.value}" for each in asked}
        return graph.invoke(lib.types.Command(resume=answers), THREAD)

    return answer


def chat(lib: Library, runs: list[str]) -> Program:
    def answer(state: Any) -> Any:
        call = {"name": "look", "args": {"n": len(state["messages"])}, "id": f"c{len(state['messages'])}"}
        text = f"to {state['messages'][-1].content}"
        return {"messages": [AIMessage(text, id=f"a{len(state['messages'])}", tool_calls=[call])]}

    turns = [_given({"messages": [HumanMessage(f"turn {n}", id=f"u{n}")]}) for n in range(5)]
    return Program(lib.line(("answer", answer), schema=Chat), (*turns[:3],), (*turns[3:],))


def pauses(lib: Library, runs: list[str]) -> Program:
    """Two questions of one node, the first answered before the move; its sibling has finished."""
    resume = lib.types.Command
    builder = lib.line(("first", says(runs, "a")), ("ask", lib.asks(runs, "ask", "q1", "q2")))
    builder.add_node("sibling", says(runs, "sibling"))
    builder.add_edge("first", "sibling")
    return Program(
        builder,
        (_given({"words": []}), _given(resume(resume="one"))),
        (_given(resume(resume="two")), _given({"words": ["again"]}), _given(resume(resume="three"))),
    )


def asks_twice_at_once(lib: Library, runs: list[str]) -> Program:
    builder = lib.line(("first", says(runs, "a")), ("ask", lib.asks(runs, "ask")))
    builder.add_node("other", lib.asks(runs, "other"))
    builder.add_edge("first", "other")
    return Program(builder, (_given({"words": []}),), (_answers_all(lib),))


def sends(lib: Library, runs: list[str]) -> Program:
    """Of three `Send`s one waits, two have finished."""

    def each(item: Any) -> Any:
        runs.append(f"each {item['n']}")
        return {"words": [lib.types.interrupt("which?") if item["n"] == 1 else f"each {item['n']}"]}

    builder = lib.line(("plan", says(runs, "plan")))
    builder.add_node("each", each)
    builder.add_node("end", says(runs, "end"))
    builder.add_conditional_edges(
        "plan", lambda _: [lib.types.Send("each", {"n": n}) for n in range(3)], ["each"]
    )
    builder.add_edge("each", "end")
    return Program(builder, (_given({"words": []}),), (_given(lib.types.Command(resume="this")),))


def nested(lib: Library, runs: list[str]) -> Program:
    """A question two graphs down, the first of two answered before the move."""
    inner = lib.line(("begin", says(runs, "i")), ("ask", lib.asks(runs, "ask", "q1", "q2"))).compile()
    middle = lib.line(("inner", inner), ("after", says(runs, "m"))).compile()
    builder = lib.line(("first", says(runs, "a")), ("middle", middle), ("last", says(runs, "z")))
    resume = lib.types.Command
    return Program(
        builder, (_given({"words": []}), _given(resume(resume="one"))), (_given(resume(resume="two")),)
    )


def sends_to_graphs(lib: Library, runs: list[str]) -> Program:
    """`Send`s into a subgraph, each of which asks."""
    inner = lib.line(("begin", says(runs, "i")), ("ask", lib.asks(runs, "ask"))).compile()
    builder = lib.line(("plan", says(runs, "plan")))
    builder.add_node("inner", inner)
    builder.add_conditional_edges(
        "plan", lambda _: [lib.types.Send("inner", {"words": [str(n)]}) for n in range(2)], ["inner"]
    )
    return Program(builder, (_given({"words": []}),), (_answers_all(lib),))


def remembers(lib: Library, runs: list[str]) -> Program:
    """A subgraph with a memory of its own."""
    inner = lib.line(("inner", says(runs, "i"))).compile(checkpointer=True)
    builder = lib.line(
        ("call", lambda state: {"words": [str(len(inner.invoke({"words": ["in"]})["words"]))]})
    )
    step = _given({"words": ["x"]})
    return Program(builder, (step, step), (step,))


def joins(lib: Library, runs: list[str]) -> Program:
    """A node that waits for two, one that waits for all, and a question beside them."""
    builder = lib.line(("b", says(runs, "b")), ("ask", lib.asks(runs, "ask")))
    builder.add_node("a", says(runs, "a"))
    builder.add_node("both", says(runs, "both"))
    builder.add_node("late", says(runs, "late"), defer=True)
    builder.add_node("end", says(runs, "end"))
    builder.add_edge(lib.graph.START, "a")
    builder.add_edge(["b", "a"], "both")
    builder.add_edge("a", "late")
    builder.add_edge(["both", "ask"], "end")
    return Program(
        builder,
        (_given({"words": []}),),
        (_given(lib.types.Command(resume="so")), _given({"words": ["more"]})),
    )


def fails(lib: Library, runs: list[str]) -> Program:
    """A node raises; what its sibling did is kept."""

    def fragile(state: Any) -> Any:
        runs.append("fragile")
        if FIRST in runs:
            raise ValueError("once")
        return {"words": ["recovered"]}

    builder = lib.line(("first", says(runs, "a")), ("fragile", fragile), ("end", says(runs, "end")))
    builder.add_node("sibling", says(runs, "sibling"))
    builder.add_edge("first", "sibling")
    return Program(builder, (_fails,), (_given(None),))


def fails_inside(lib: Library, runs: list[str]) -> Program:
    """A node of a subgraph raises."""

    def fragile(state: Any) -> Any:
        runs.append("fragile")
        if FIRST in runs:
            raise ValueError("once")
        return {"words": ["recovered"]}

    inner = lib.line(("begin", says(runs, "i")), ("fragile", fragile)).compile()
    builder = lib.line(("first", says(runs, "a")), ("inner", inner))
    return Program(builder, (_fails,), (_given(None),))


def forks(lib: Library, runs: list[str]) -> Program:
    """Branches made by running again and by updating; more are made after the move."""

    def before_b(graph: Any) -> Any:
        return [each for each in graph.get_state_history(THREAD) if each.next == ("b",)][-1].config

    def forked(graph: Any) -> Any:
        config = graph.update_state(before_b(graph), {"words": ["forked"]}, as_node="a")
        return graph.invoke(None, config)

    nodes = (("a", says(runs, "a")), ("b", says(runs, "b")), ("c", says(runs, "c")))
    return Program(
        lib.line(*nodes),
        (_given({"words": []}), lambda graph: graph.invoke(None, before_b(graph)), forked),
        (
            lambda graph: graph.invoke(None, before_b(graph)),
            forked,
            lambda graph: graph.update_state(PLAIN, {"words": ["at the head"]}),
            _given({"words": ["next"]}),
        ),
    )


def breaks(lib: Library, runs: list[str]) -> Program:
    """Held by a breakpoint, with `Send`s waiting."""
    builder = lib.line(("plan", says(runs, "plan")))
    builder.add_node("each", lambda item: {"words": [f"each {item['n']}"]})
    builder.add_conditional_edges(
        "plan", lambda _: [lib.types.Send("each", {"n": n}) for n in range(3)], ["each"]
    )
    return Program(builder, (_given({"words": []}),), (_given(None),), stops=("each",))


def exits(lib: Library, runs: list[str]) -> Program:
    """Saved at the end of a run only."""
    builder = lib.line(("first", says(runs, "a")), ("ask", lib.asks(runs, "ask")))
    return Program(
        builder,
        (_given({"words": []}, durability="exit"),),
        (_given(lib.types.Command(resume="so"), durability="exit"),),
    )


PROGRAMS: dict[str, Callable[[Library, list[str]], Program]] = {
    each.__name__: each
    for each in (
        chat, pauses, asks_twice_at_once, sends, nested, sends_to_graphs, remembers, joins, fails,
        fails_inside, forks, breaks, exits,
    )
}  # fmt: skip


def compiled(program: Program, saver: Any) -> Any:
    """The program's graph on a saver."""
    return program.builder.compile(checkpointer=saver, interrupt_before=list(program.stops))


class Place(NamedTuple):
    """A database of theirs, and how its threads come into one of ours."""

    theirs: Any
    migrate: Callable[..., MigrationReport]
    ours: Callable[[], Any]
    """Opens a saver of ours on the result."""
    bare: Any
    """A connection to the database of theirs."""


@contextmanager
def place(kind: str, folder: Path) -> Iterator[Place]:
    """A new place, of SQLite or Postgres."""
    if kind == "sqlite":
        old, new = folder / "theirs.db", folder / "ours.db"
        with TheirSqlite.from_conn_string(str(old)) as theirs:
            theirs.setup()
            yield Place(
                theirs,
                lambda **options: sqlite.migrate_langgraph(old, new, **options),
                lambda: sqlite.SqliteSaver.from_conn_string(new, on_conflict="reject"),
                theirs.conn,
            )
        return
    address = fresh_database()
    try:
        with (
            TheirPostgres.from_conn_string(address) as tables,
            psycopg.connect(make_conninfo(address), autocommit=True) as conn,
        ):
            tables.setup()
            yield Place(
                tables,
                lambda **options: postgres.migrate_langgraph(conn, schema="Own tables", **options),
                lambda: postgres.PostgresSaver.from_conn_string(
                    address, schema="Own tables", on_conflict="reject"
                ),
                conn,
            )
    finally:
        drop_database(address)


def stored(saver: Any) -> list[str]:
    """All checkpoints of a saver by id, with everything; ids of tasks and interrupts replaced."""
    trace = Trace()
    for each in sorted(saver.list(None), key=lambda found: found.checkpoint["id"]):
        it = each.checkpoint
        parent = each.parent_config and each.parent_config["configurable"]["checkpoint_id"]
        trace.note((each.config["configurable"], parent, it["id"], it["ts"], it["v"]))
        trace.note(sorted(each.metadata.items()))
        trace.note(sorted((name, _listed(value)) for name, value in it["channel_values"].items()))
        trace.note(sorted((name, whole(version)) for name, version in it["channel_versions"].items()))
        trace.note(
            sorted(
                (node, sorted((n, whole(v)) for n, v in seen.items()))
                for node, seen in it["versions_seen"].items()
            )
        )
        trace.note(it.get("updated_channels"))
        pending = [(channel, Trace.text(value), task) for task, channel, value in each.pending_writes or ()]
        trace.note(sorted(pending, key=lambda write: write[:2]))
    return trace.lines


def whole(version: Any) -> int:
    """The number of a version."""
    return int(str(version).partition(".")[0])


def _listed(value: Any) -> Any:
    return sorted(value) if isinstance(value, set) else value


def seen(trace: Trace, graph: Any) -> None:
    """Notes what a program can see of its thread, in its subgraphs too."""
    for each in graph.get_state_history(THREAD):
        trace.note((each.values, each.next, each.config, each.parent_config, each.created_at))
        trace.note(sorted(each.metadata.items()))  # Postgres keeps no order of keys
        trace.note([(task.name, task.path, task.error, task.interrupts, task.result) for task in each.tasks])
        trace.note(_inner(graph.get_state(each.config, subgraphs=True)))
    trace.note(_inner(graph.get_state(THREAD, subgraphs=True)))


def _inner(state: Any) -> Any:
    if not hasattr(state, "tasks"):
        return state
    tasks = [(task.name, task.path, task.interrupts, task.result, _inner(task.state)) for task in state.tasks]
    return state.values, state.next, state.interrupts, tasks
