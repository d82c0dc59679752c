"""State schemas: what a node receives, what may be returned, what comes out."""

import dataclasses
import operator
from typing import Annotated, Any, NotRequired, Optional, Required, TypedDict

from pydantic import BaseModel, Field, field_validator

from tests.reference.lab import Lab, brief, thread


class Typed(TypedDict, total=False):
    x: int
    log: Annotated[list[Any], operator.add]


@dataclasses.dataclass
class Data:
    x: int
    y: int = 5
    log: Annotated[list[Any], operator.add] = dataclasses.field(default_factory=list)


class Model(BaseModel):
    x: int
    y: int = 5
    log: Annotated[list[Any], operator.add] = Field(default_factory=list)


class Strict(BaseModel):
    x: int

    @field_validator("x")
    @classmethod
    def check(cls, value: int) -> int:
        if value < 0:
            raise ValueError("negative")
        return value


def _single(lab: Lab, schema: Any, node: Any, **options: Any) -> Any:
    builder = lab.StateGraph(schema, **options)
    builder.add_node("a", node)
    builder.add_edge(lab.START, "a")
    return lab.compile(builder)


def _seen(lab: Lab, schema: Any, given: Any, returned: Any = None, **options: Any) -> Any:
    """What the node saw and what came out."""
    seen: list[Any] = []

    def node(state: Any) -> Any:
        seen.append(state)
        return returned

    graph = _single(lab, schema, node, **options)
    return {"out": lab.error(lambda: graph.invoke(given), "a", "x"), "seen": seen}


def typed_dict_all_keys(lab: Lab) -> Any:
    return _seen(lab, Typed, {"x": 1, "log": [0]}, {"x": 2, "log": [1]})


def typed_dict_missing_keys(lab: Lab) -> Any:
    return _seen(lab, Typed, {"x": 1}, {})


def typed_dict_unknown_input_key(lab: Lab) -> Any:
    return _seen(lab, Typed, {"x": 1, "alien": 3}, {})


def typed_dict_only_unknown_input(lab: Lab) -> Any:
    return _seen(lab, Typed, {"alien": 3}, {})


def empty_input(lab: Lab) -> Any:
    return _seen(lab, Typed, {}, {"x": 2})


def empty_input_without_reducer(lab: Lab) -> Any:
    class Plain(TypedDict, total=False):
        x: int

    return _seen(lab, Plain, {}, {"x": 2})


def none_input(lab: Lab) -> Any:
    return _seen(lab, Typed, None, {"x": 2})


def none_input_fresh_thread(lab: Lab) -> Any:
    builder = lab.StateGraph(Typed)
    builder.add_node("a", lambda s: {"x": 1})
    builder.add_edge(lab.START, "a")
    graph = lab.compile(builder, checkpointer=lab.saver())
    return lab.error(lambda: graph.invoke(None, thread()))


def non_dict_input(lab: Lab) -> Any:
    return [_seen(lab, Typed, given, {"x": 2}) for given in ("text", 5, [1], [("x", 3), ("log", [4])])]


def returned_unknown_key(lab: Lab) -> Any:
    return _seen(lab, Typed, {"x": 1}, {"alien": 3, "x": 2})


def returned_only_unknown_key(lab: Lab) -> Any:
    return _seen(lab, Typed, {"x": 1}, {"alien": 3})


def returned_none(lab: Lab) -> Any:
    graph = _single(lab, Typed, lambda s: None)
    return [graph.stream({"x": 1}), graph.stream({"x": 1}, stream_mode="tasks"), graph.invoke({"x": 1})]


def returned_empty_dict(lab: Lab) -> Any:
    graph = _single(lab, Typed, lambda s: {})
    return [graph.stream({"x": 1}), graph.stream({"x": 1}, stream_mode="tasks"), graph.invoke({"x": 1})]


def returned_wrong_type(lab: Lab) -> Any:
    wrong: list[Any] = [5, "text", [1, 2], [{"x": 1}], (("x", 1),), {"x"}, True]
    outcomes = []
    for value in wrong:
        graph = _single(lab, Typed, lambda s, value=value: value)
        outcomes.append(lab.error(lambda g=graph: g.invoke({"x": 1}), "a"))
    return outcomes


def returned_whole_state(lab: Lab) -> Any:
    def node(state: Any) -> Any:
        state["x"] += 1
        state["log"].append("mutated")
        return state

    return _single(lab, Typed, node).invoke({"x": 1, "log": ["in"]})


def mutation_without_return(lab: Lab) -> Any:
    def node(state: Any) -> Any:
        state["x"] = 99
        state["log"].append("mutated")

    return _single(lab, Typed, node).invoke({"x": 1, "log": ["in"]})


def none_as_a_value(lab: Lab) -> Any:
    return _seen(lab, Typed, {"x": 1}, {"x": None})


def input_none_value(lab: Lab) -> Any:
    return _seen(lab, Typed, {"x": None}, {})


def data_class(lab: Lab) -> Any:
    return _seen(lab, Data, {"x": 1}, {"x": 2, "log": [1]})


def data_class_input_object(lab: Lab) -> Any:
    return _seen(lab, Data, Data(x=3, log=["in"]), {"log": [1]})


def data_class_returned_object(lab: Lab) -> Any:
    return _seen(lab, Data, {"x": 1}, Data(x=7, y=8, log=["new"]))


def data_class_missing_required(lab: Lab) -> Any:
    return _seen(lab, Data, {"y": 1}, {"x": 3})


def data_class_streams(lab: Lab) -> Any:
    graph = _single(lab, Data, lambda s: {"x": s.x + 1})
    modes = ["values", "updates", "tasks"]
    return graph.stream(Data(x=1), stream_mode=modes)


def data_class_state(lab: Lab) -> Any:
    builder = lab.StateGraph(Data)
    builder.add_node("a", lambda s: {"x": s.x + s.y})
    builder.add_edge(lab.START, "a")
    graph = lab.compile(builder, checkpointer=lab.saver())
    graph.invoke({"x": 1}, thread())
    return [brief(s) for s in graph.history(thread())]


def pydantic_model(lab: Lab) -> Any:
    return _seen(lab, Model, {"x": 1}, {"x": 2, "log": [1]})


def pydantic_coerces_input(lab: Lab) -> Any:
    return _seen(lab, Model, {"x": "12"}, {})


def pydantic_input_object(lab: Lab) -> Any:
    return _seen(lab, Model, Model(x=3), {"y": 1})


def pydantic_returned_object(lab: Lab) -> Any:
    return _seen(lab, Model, {"x": 1}, Model(x=7))


def pydantic_returned_object_default_reset(lab: Lab) -> Any:
    return _seen(lab, Model, {"x": 1, "y": 9, "log": [1]}, Model(x=7))


def pydantic_returned_object_explicit_default(lab: Lab) -> Any:
    return _seen(lab, Model, {"x": 1, "y": 9}, Model(x=7, y=5))


def pydantic_object_with_none_defaults(lab: Lab) -> Any:
    class Loose(BaseModel):
        a: int | None = None
        b: int | None = 3
        c: list[int] = Field(default_factory=list)

    before = {"a": 1, "b": 2, "c": [9]}
    objects = [Loose(), Loose(a=None), Loose(b=None), Loose(b=3), Loose(c=[1])]
    return [_seen(lab, Loose, before, returned)["out"] for returned in objects]


def data_class_object_with_none_defaults(lab: Lab) -> Any:
    @dataclasses.dataclass
    class Loose:
        a: int | None = None
        b: int | None = 3

    before = {"a": 1, "b": 2}
    return [_seen(lab, Loose, before, returned)["out"] for returned in (Loose(), Loose(a=None), Loose(b=7))]


def pydantic_bad_input(lab: Lab) -> Any:
    return _seen(lab, Model, {"x": "no number"}, {})


def pydantic_validator_runs_on_node_input(lab: Lab) -> Any:
    builder = lab.StateGraph(Strict)
    builder.add_node("a", lambda s: {"x": -1})
    builder.add_node("b", lambda s: {"x": 2})
    builder.add_edge(lab.START, "a")
    builder.add_edge("a", "b")
    graph = lab.compile(builder)
    return lab.error(lambda: graph.invoke({"x": 1}), "negative")


def pydantic_last_output_not_validated(lab: Lab) -> Any:
    return _seen(lab, Strict, {"x": 1}, {"x": "anything"})


def pydantic_streams(lab: Lab) -> Any:
    graph = _single(lab, Model, lambda s: {"x": s.x + 1})
    return graph.stream(Model(x=1), stream_mode=["values", "updates", "tasks"])


def pydantic_nested_model(lab: Lab) -> Any:
    class Inner(BaseModel):
        n: int = 0

    class Outer(BaseModel):
        inner: Inner
        many: list[Inner] = []

    return _seen(lab, Outer, {"inner": {"n": 1}, "many": [{"n": 2}]}, {"inner": {"n": 4}})


def optional_and_required_keys(lab: Lab) -> Any:
    class Mixed(TypedDict):
        a: Required[int]
        b: NotRequired[int]
        c: Optional[int]  # noqa: UP045

    return _seen(lab, Mixed, {"a": 1}, {"b": 2})


def required_with_reducer(lab: Lab) -> Any:
    class Mixed(TypedDict):
        a: Required[Annotated[list[int], operator.add]]
        b: NotRequired[Annotated[int, operator.add]]
        c: Annotated[NotRequired[list[int]], operator.add]

    return _seen(lab, Mixed, {}, {"a": [1], "b": 2, "c": [3]})


def input_and_output_schema(lab: Lab) -> Any:
    class In(TypedDict):
        x: int

    class Out(TypedDict):
        y: int

    class Both(TypedDict):
        x: int
        y: int
        z: int

    return _seen(lab, Both, {"x": 1, "z": 9}, {"y": 2, "z": 3}, input_schema=In, output_schema=Out)


def input_schema_streams(lab: Lab) -> Any:
    class In(TypedDict):
        x: int

    class Out(TypedDict):
        y: int

    class Both(TypedDict):
        x: int
        y: int
        z: int

    graph = _single(lab, Both, lambda s: {"y": 1, "z": 2}, input_schema=In, output_schema=Out)
    return graph.stream({"x": 0}, stream_mode=["values", "updates", "tasks"])


def private_keys_between_nodes(lab: Lab) -> Any:
    class Private(TypedDict):
        secret: int

    seen: list[Any] = []

    def second(state: Private) -> Any:
        seen.append(dict(state))
        return {"x": state["secret"] + 1}

    builder = lab.StateGraph(Typed)
    builder.add_node("first", lambda s: {"secret": 41})
    builder.add_node("second", second)
    builder.add_edge(lab.START, "first")
    builder.add_edge("first", "second")
    graph = lab.compile(builder, checkpointer=lab.saver())
    return [
        graph.stream({"x": 1}, thread(), stream_mode=["values", "updates"]),
        seen,
        graph.state(thread()).values,
    ]


def node_input_schema_argument(lab: Lab) -> Any:
    class Part(TypedDict):
        x: int

    seen: list[Any] = []
    builder = lab.StateGraph(Typed)
    builder.add_node("a", lambda s: seen.append(dict(s)), input_schema=Part)
    builder.add_edge(lab.START, "a")
    return [lab.compile(builder).invoke({"x": 1, "log": [1]}), seen]


def node_input_from_annotation_model(lab: Lab) -> Any:
    class Part(BaseModel):
        x: int
        extra: int = 3

    seen: list[Any] = []

    def node(state: Part) -> Any:
        seen.append(state)
        return {"log": [state.extra]}

    builder = lab.StateGraph(Typed)
    builder.add_node("a", node)
    builder.add_edge(lab.START, "a")
    return [lab.compile(builder).invoke({"x": 1, "log": []}), seen]


def reducer_without_initial_value(lab: Lab) -> Any:
    class Numbers(TypedDict, total=False):
        total: Annotated[int, operator.add]
        text: Annotated[str, operator.add]
        seen: Annotated[set[int], operator.or_]
        table: Annotated[dict[str, int], operator.or_]

    return _seen(lab, Numbers, {"total": 2}, {"total": 3, "text": "t", "seen": {1}, "table": {"k": 1}})


def reducer_lambda(lab: Lab) -> Any:
    class Kept(TypedDict, total=False):
        best: Annotated[int, lambda old, new: max(old, new)]

    builder = lab.StateGraph(Kept)
    for name, value in (("a", 3), ("b", 7), ("c", 5)):
        builder.add_node(name, lambda s, value=value: {"best": value})
        builder.add_edge(lab.START, name)
    return lab.compile(builder).invoke({"best": 1})


def reducer_of_unknown_type(lab: Lab) -> Any:
    class Box:
        def __init__(self, n: int) -> None:
            self.n = n

    class Boxed(TypedDict, total=False):
        box: Annotated[Box, lambda old, new: Box(old.n + new.n)]

    graph = _single(lab, Boxed, lambda s: {"box": Box(s["box"].n)})
    return lab.error(lambda: graph.invoke({"box": Box(4)})["box"].n)


def reducer_fails(lab: Lab) -> Any:
    graph = _single(lab, Typed, lambda s: {"log": "text"})
    return lab.error(lambda: graph.invoke({"log": []}))


def reducer_with_three_arguments(lab: Lab) -> Any:
    class Odd(TypedDict, total=False):
        a: Annotated[int, lambda x, y, z: x]

    return lab.error(lambda: lab.StateGraph(Odd))


def last_value_conflict(lab: Lab) -> Any:
    builder = lab.StateGraph(Typed)
    for name in "ab":
        builder.add_node(name, lambda s: {"x": 1})
        builder.add_edge(lab.START, name)
    graph = lab.compile(builder)
    return lab.error(lambda: graph.invoke({"x": 0}), "x")


def last_value_conflict_saved(lab: Lab) -> Any:
    builder = lab.StateGraph(Typed)
    for name in "ab":
        builder.add_node(name, lambda s, name=name: {"x": 1, "log": [name]})
        builder.add_edge(lab.START, name)
    saver = lab.saver()
    graph = lab.compile(builder, checkpointer=saver)
    outcome = lab.error(lambda: graph.invoke({"x": 0, "log": []}, thread()), "x")
    writes = [sorted(r.pending_writes, key=lambda w: str(w[1:])) for r in lab.saved(saver, thread())]
    return [outcome, writes, lab.error(lambda: graph.state(thread()), "x")]


def overwrite_a_reducer(lab: Lab) -> Any:
    return _seen(lab, Typed, {"log": [1, 2]}, {"log": lab.Overwrite(["only"])})


def overwrite_together_with_appends(lab: Lab) -> Any:
    builder = lab.StateGraph(Typed)
    builder.add_node("a", lambda s: {"log": ["a"]})
    builder.add_node("b", lambda s: {"log": lab.Overwrite(["b"])})
    builder.add_node("c", lambda s: {"log": ["c"]})
    for name in "abc":
        builder.add_edge(lab.START, name)
    return lab.error(lambda: lab.compile(builder).invoke({"log": ["in"]}))


def overwrite_twice(lab: Lab) -> Any:
    builder = lab.StateGraph(Typed)
    for name in "ab":
        builder.add_node(name, lambda s, name=name: {"log": lab.Overwrite([name])})
        builder.add_edge(lab.START, name)
    graph = lab.compile(builder)
    return lab.error(lambda: graph.invoke({"log": ["in"]}), "log")


def overwrite_as_input(lab: Lab) -> Any:
    builder = lab.StateGraph(Typed)
    builder.add_node("a", lambda s: {"log": ["a"]})
    builder.add_edge(lab.START, "a")
    graph = lab.compile(builder, checkpointer=lab.saver())
    first = graph.invoke({"log": [1, 2]}, thread())
    return [first, graph.invoke({"log": lab.Overwrite(["new"])}, thread())]


def overwrite_in_streams(lab: Lab) -> Any:
    graph = _single(lab, Typed, lambda s: {"log": lab.Overwrite(["only"])})
    return graph.stream({"log": [1]}, stream_mode=["updates", "values", "tasks"])


def overwrite_as_plain_dict(lab: Lab) -> Any:
    return _seen(lab, Typed, {"log": [1, 2]}, {"log": {"__overwrite__": ["only"]}})


def overwrite_a_last_value(lab: Lab) -> Any:
    return _seen(lab, Typed, {"x": 1}, {"x": lab.Overwrite(5)})


def root_schema(lab: Lab) -> Any:
    graph = lab.error(lambda: _single(lab, int, lambda s: s + 1).stream(4, stream_mode=["values", "updates"]))
    return [
        graph,
        lab.error(lambda: _single(lab, Annotated[list[Any], operator.add], lambda s: ["b"]).invoke(["a"])),
    ]


def output_keys_argument(lab: Lab) -> Any:
    graph = _single(lab, Typed, lambda s: {"x": 2, "log": ["a"]})
    return [
        graph.invoke({"x": 1}, output_keys="x"),
        graph.invoke({"x": 1}, output_keys=["x"]),
        graph.stream({"x": 1}, output_keys="log", stream_mode=["values", "updates"]),
        graph.stream({"x": 1}, output_keys=["log"], stream_mode=["values", "updates", "tasks"]),
        lab.error(lambda: graph.invoke({"x": 1}, output_keys="alien"), "alien"),
    ]
