"""Channels through graphs: annotated channels, their life over steps and turns, what is stored of them."""

import operator
from typing import Annotated, Any, TypedDict

from tests.reference.lab import Lab, noting, thread, with_keys


class Log(TypedDict, total=False):
    log: Annotated[list[Any], operator.add]


def _schema(**keys: Any) -> Any:
    return with_keys(Log, **keys)


def _watch(lab: Lab, schema: Any, writes: list[Any], given: Any, **options: Any) -> Any:
    """A chain n0 → n1 → …: each notes the state it sees and returns its write."""
    seen: list[Any] = []
    builder = lab.StateGraph(schema)
    for index, write in enumerate(writes):
        builder.add_node(f"n{index}", noting(seen, write))
        builder.add_edge(f"n{index - 1}" if index else lab.START, f"n{index}")
    graph = lab.compile(builder, **options)
    return {
        "out": lab.error(lambda: graph.invoke(given, *([thread()] if options else [])), "c"),
        "seen": seen,
    }


def _together(lab: Lab, schema: Any, writes: list[Any], given: Any) -> Any:
    """All writes in one step, then one reader."""
    seen: list[Any] = []
    builder = lab.StateGraph(schema)
    for index, write in enumerate(writes):
        builder.add_node(f"n{index}", lambda s, write=write: write)
        builder.add_edge(lab.START, f"n{index}")
    builder.add_node("reader", lambda s: seen.append(dict(s)))
    builder.add_edge([f"n{index}" for index in range(len(writes))], "reader")
    graph = lab.compile(builder)
    return {"out": lab.error(lambda: graph.invoke(given), "c"), "seen": seen}


def any_value(lab: Lab) -> Any:
    schema = _schema(c=Annotated[int, lab.AnyValue])
    return [
        _together(lab, schema, [{"c": 1}, {"c": 2}], {"log": []}),
        _watch(lab, schema, [{"c": 1}, {}, {}], {"c": 0}),
    ]


def ephemeral_value(lab: Lab) -> Any:
    schema = _schema(c=Annotated[int, lab.EphemeralValue])
    return [
        _watch(lab, schema, [{}, {"c": 1}, {}, {}], {"c": 0}),
        _together(lab, schema, [{"c": 1}, {"c": 2}], {"log": []}),
    ]


def ephemeral_value_object_without_guard(lab: Lab) -> Any:
    schema = _schema(c=Annotated[int, lab.EphemeralValue(int, guard=False)])
    return _together(lab, schema, [{"c": 1}, {"c": 2}], {"log": []})


def untracked_value(lab: Lab) -> Any:
    schema = _schema(c=Annotated[int, lab.UntrackedValue])
    return [
        _watch(lab, schema, [{}, {"c": 1}, {}], {"c": 0}),
        _together(lab, schema, [{"c": 1}, {"c": 2}], {"log": []}),
    ]


def untracked_value_is_not_stored(lab: Lab) -> Any:
    schema = _schema(c=Annotated[int, lab.UntrackedValue])
    saver = lab.saver()
    seen: list[Any] = []
    builder = lab.StateGraph(schema)
    builder.add_node("a", lambda s: {"c": 5, "log": ["a"]})
    builder.add_node("b", lambda s: seen.append(dict(s)))
    builder.add_edge(lab.START, "a")
    builder.add_edge("a", "b")
    graph = lab.compile(builder, checkpointer=saver, interrupt_before=["b"])
    first = graph.invoke({"log": []}, thread())
    state = graph.state(thread()).values
    second = graph.invoke(None, thread())
    rows = [
        [r.checkpoint["channel_values"], r.checkpoint["channel_versions"], r.pending_writes]
        for r in lab.saved(saver, thread())
    ]
    return {"first": first, "state": state, "second": second, "seen": seen, "rows": rows}


def topic(lab: Lab) -> Any:
    schema = _schema(c=Annotated[list[int], lab.Topic(int)])
    return [
        _watch(lab, schema, [{"c": 1}, {"c": [2, 3]}, {}, {}], {"log": []}),
        _together(lab, schema, [{"c": 1}, {"c": [2, 3]}], {"log": []}),
        _watch(lab, schema, [{}], {"c": [7]}),
    ]


def topic_accumulating(lab: Lab) -> Any:
    schema = _schema(c=Annotated[list[int], lab.Topic(int, accumulate=True)])
    return _watch(lab, schema, [{"c": 1}, {"c": [2, 3]}, {}, {}], {"log": []})


def binary_operator_object(lab: Lab) -> Any:
    schema = _schema(c=Annotated[int, lab.BinaryOperatorAggregate(int, operator.mul)])
    return _watch(lab, schema, [{"c": 2}, {"c": 3}, {}], {"log": []})


def last_value_object(lab: Lab) -> Any:
    schema = _schema(c=Annotated[int, lab.LastValue(int)])
    return [
        _watch(lab, schema, [{"c": 2}, {}], {"log": []}),
        _together(lab, schema, [{"c": 1}, {"c": 2}], {}),
    ]


def ephemeral_stored(lab: Lab) -> Any:
    schema = _schema(c=Annotated[int, lab.EphemeralValue])
    saver = lab.saver()
    graph = lab.StateGraph(schema)
    graph.add_node("a", lambda s: {"c": 1})
    graph.add_node("b", lambda s: {"log": [s.get("c")]})
    graph.add_edge(lab.START, "a")
    graph.add_edge("a", "b")
    compiled = lab.compile(graph, checkpointer=saver)
    compiled.invoke({"log": []}, thread())
    return [
        [r.checkpoint["channel_values"], r.checkpoint["channel_versions"]] for r in lab.saved(saver, thread())
    ]


def join_stored(lab: Lab) -> Any:
    saver = lab.saver()
    builder = lab.StateGraph(_schema())
    for name in ("a", "b", "c", "d"):
        builder.add_node(name, lambda s, name=name: {"log": [name]})
    builder.add_edge(lab.START, "a")
    builder.add_edge(lab.START, "b")
    builder.add_edge("b", "c")
    builder.add_edge(["a", "c"], "d")
    lab.compile(builder, checkpointer=saver).invoke({"log": []}, thread(), durability="sync")
    rows = [row.checkpoint for row in lab.saved(saver, thread())]
    return [[row["channel_values"], row["channel_versions"], row["versions_seen"]] for row in rows]


def key_in_two_schemas_with_different_reducers(lab: Lab) -> Any:
    class One(TypedDict, total=False):
        c: Annotated[list[int], operator.add]

    class Two(TypedDict, total=False):
        c: list[int]

    class Three(TypedDict, total=False):
        c: Annotated[list[int], lambda a, b: b]

    return [
        lab.error(lambda: lab.StateGraph(One, input_schema=Two) and None, "c"),
        lab.error(lambda: lab.StateGraph(One, input_schema=Three) and None, "c"),
    ]


def messages_state(lab: Lab) -> Any:
    from langchain_core.messages import AIMessage, HumanMessage

    builder = lab.StateGraph(lab.MessagesState)
    builder.add_node("bot", lambda s: {"messages": [AIMessage(f"{len(s['messages'])} so far", id="a1")]})
    builder.add_edge(lab.START, "bot")
    graph = lab.compile(builder, checkpointer=lab.saver())
    given = {"messages": [HumanMessage("hello", id="h1")]}
    first = graph.stream(given, thread(), stream_mode=["updates", "values"])
    second = graph.invoke({"messages": [("user", "again")]}, thread())
    return [first, second]


def messages_replaced_and_removed(lab: Lab) -> Any:
    from langchain_core.messages import HumanMessage, RemoveMessage

    steps: list[Any] = [
        [HumanMessage("one", id="1"), HumanMessage("two", id="2")],
        HumanMessage("uno", id="1"),
        [RemoveMessage("2")],
        [{"role": "assistant", "content": "hi", "id": "3"}],
        [RemoveMessage(lab.REMOVE_ALL_MESSAGES), HumanMessage("fresh", id="4")],
    ]
    builder = lab.StateGraph(lab.MessagesState)
    builder.add_node("n", lambda s: None)
    builder.add_edge(lab.START, "n")
    graph = lab.compile(builder, checkpointer=lab.saver())
    return [graph.invoke({"messages": step}, thread()) for step in steps]


def messages_remove_unknown(lab: Lab) -> Any:
    from langchain_core.messages import RemoveMessage

    return lab.error(lambda: lab.add_messages([], [RemoveMessage("ghost")]), "ghost")


def lists_are_not_shared_with_the_caller(lab: Lab) -> Any:
    given = {"log": ["in"]}
    builder = lab.StateGraph(_schema())
    builder.add_node("a", lambda s: {"log": ["a"]})
    builder.add_edge(lab.START, "a")
    graph = lab.compile(builder, checkpointer=lab.saver())
    result = graph.invoke(given, thread())
    result["log"].append("outside")
    return [given, graph.state(thread()).values]
