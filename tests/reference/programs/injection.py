"""What a node is given besides its state: config, runtime, previous; and how config is merged."""

import dataclasses
import functools
import operator
from typing import Annotated, Any, TypedDict

from tests.reference.lab import Lab, thread


class State(TypedDict, total=False):
    x: int
    log: Annotated[list[Any], operator.add]


@dataclasses.dataclass
class Context:
    user: str
    level: int = 1


def _run(lab: Lab, node: Any, *args: Any, **options: Any) -> Any:
    builder = lab.StateGraph(State, **{k: options.pop(k) for k in ("context_schema",) if k in options})
    builder.add_node("a", node)
    builder.add_edge(lab.START, "a")
    compiled = {k: options.pop(k) for k in ("store", "checkpointer") if k in options}
    graph = lab.compile(builder, **compiled)
    return lab.error(lambda: graph.invoke({"log": []}, *args, **options))


def _public(config: Any) -> Any:
    """A node's config without what belongs to the engine."""
    hidden = ("callbacks",)
    shown = {k: v for k, v in config.items() if k not in hidden}
    shown["configurable"] = {
        k: v for k, v in config["configurable"].items() if not k.startswith("__") and k != "checkpoint_map"
    }
    return shown


def config_by_name(lab: Lab) -> Any:
    seen: list[Any] = []
    _run(lab, lambda state, config: seen.append(_public(config)), thread(), checkpointer=lab.saver())
    return seen


def config_by_name_without_saver(lab: Lab) -> Any:
    seen: list[Any] = []
    _run(lab, lambda state, config: seen.append(_public(config)))
    return seen


def config_everything_given(lab: Lab) -> Any:
    seen: list[Any] = []
    config = {
        **thread(user="u", deep={"k": [1]}),
        "tags": ["t1"],
        "metadata": {"m": 1},
        "run_name": "run",
        "recursion_limit": 7,
        "max_concurrency": 2,
    }
    _run(lab, lambda state, config: seen.append(_public(config)), config, checkpointer=lab.saver())
    return seen


def config_as_keyword_only(lab: Lab) -> Any:
    seen: list[Any] = []
    _run(lab, lambda state, *, config: seen.append(config["configurable"]["thread_id"]), thread())
    return seen


def config_by_get_config(lab: Lab) -> Any:
    seen: list[Any] = []
    _run(lab, lambda state: seen.append(_public(lab.get_config())), thread(), checkpointer=lab.saver())
    return seen


def config_outside_of_a_run(lab: Lab) -> Any:
    return [
        lab.error(lab.get_config, "outside"),
        lab.error(lab.get_store),
        lab.error(lab.get_stream_writer),
        lab.error(lambda: lab.get_runtime() is None),
    ]


def config_in_two_parallel_nodes(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    for name in "ab":
        builder.add_node(name, lambda state, config: {"log": [config["metadata"]["langgraph_node"]]})
        builder.add_edge(lab.START, name)
    return lab.compile(builder).invoke({"log": []})


def config_metadata_of_a_send(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    seen: list[Any] = []
    builder.add_node("w", lambda arg, config: seen.append([arg, config["metadata"]]))
    builder.add_conditional_edges(lab.START, lambda s: [lab.Send("w", 1), lab.Send("w", 2)])
    lab.compile(builder).invoke({"log": []})
    return sorted(seen, key=lambda pair: pair[0])


def config_in_a_branch_function(lab: Lab) -> Any:
    seen: list[Any] = []
    builder = lab.StateGraph(State)
    builder.add_node("a", lambda s: {"log": ["a"]})
    builder.add_edge(lab.START, "a")

    def route(state: Any, config: Any) -> Any:
        seen.append(config["configurable"].get("user"))
        return lab.END

    del route.__annotations__["config"]
    builder.add_conditional_edges("a", route)
    lab.compile(builder).invoke({"log": []}, {"configurable": {"user": "u"}})
    return seen


def config_bound_by_with_config(lab: Lab) -> Any:
    seen: list[Any] = []
    builder = lab.StateGraph(State)
    builder.add_node("a", lambda state, config: seen.append(_public(config)))
    builder.add_edge(lab.START, "a")
    bound = lab.run(
        builder.compile().with_config(
            {
                "tags": ["bound"],
                "metadata": {"m": 1, "n": 1},
                "configurable": {"p": 1, "q": 1},
                "recursion_limit": 9,
            }
        )
    )
    bound.invoke({"log": []}, {"tags": ["call"], "metadata": {"m": 2}, "configurable": {"p": 2}})
    return seen


def config_bound_recursion_limit(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("a", lambda state: {"log": ["a"]})
    builder.add_edge(lab.START, "a")
    builder.add_edge("a", "a")
    bound = lab.run(builder.compile().with_config(recursion_limit=2))
    return bound.partial_stream({"log": []}, stream_mode="values")


def node_metadata_and_tags(lab: Lab) -> Any:
    seen: list[Any] = []
    builder = lab.StateGraph(State)
    builder.add_node(
        "a", lambda state, config: seen.append(config["metadata"]), metadata={"node": "meta", "m": 0}
    )
    builder.add_edge(lab.START, "a")
    lab.compile(builder).invoke({"log": []}, {"metadata": {"m": 1}})
    return seen


def runtime_by_name(lab: Lab) -> Any:
    seen: list[Any] = []
    _run(lab, lambda state, runtime: seen.append([runtime.context, runtime.previous, runtime.store is None]))
    return seen


def runtime_by_name_annotated_any(lab: Lab) -> Any:
    def node(state: Any, runtime: Any) -> Any:
        return {"log": [runtime.context]}

    return _run(lab, node)


def runtime_by_annotation(lab: Lab) -> Any:
    def node(state: Any, whatever: Any) -> Any:
        return {"log": [whatever.context]}

    node.__annotations__["whatever"] = lab.Runtime
    return _run(lab, node)


def runtime_by_name_and_annotation(lab: Lab) -> Any:
    def node(state: Any, runtime: Any) -> Any:
        return {"log": [runtime.context]}

    node.__annotations__["runtime"] = lab.Runtime[Context]
    return _run(lab, node, context=Context("ann"), context_schema=Context)


def runtime_context_from_dict(lab: Lab) -> Any:
    seen: list[Any] = []
    _run(
        lab, lambda s, runtime: seen.append(runtime.context), context={"user": "bob"}, context_schema=Context
    )
    return seen


def runtime_context_missing(lab: Lab) -> Any:
    seen: list[Any] = []
    _run(lab, lambda s, runtime: seen.append(runtime.context), context_schema=Context)
    return seen


def runtime_context_incomplete(lab: Lab) -> Any:
    return _run(lab, lambda s, runtime: None, context={"level": 3}, context_schema=Context)


def runtime_context_typed_dict(lab: Lab) -> Any:
    class Given(TypedDict):
        user: str

    seen: list[Any] = []
    _run(lab, lambda s, runtime: seen.append(runtime.context), context={"user": "ann"}, context_schema=Given)
    return seen


def runtime_context_without_schema(lab: Lab) -> Any:
    seen: list[Any] = []
    _run(lab, lambda s, runtime: seen.append(runtime.context), context={"user": "ann"})
    return seen


def runtime_context_in_subgraph(lab: Lab) -> Any:
    seen: list[Any] = []
    child = lab.StateGraph(State, context_schema=Context)
    child.add_node("c", lambda s, runtime: seen.append(runtime.context))
    child.add_edge(lab.START, "c")
    builder = lab.StateGraph(State, context_schema=Context)
    builder.add_node("sub", child.compile())
    builder.add_edge(lab.START, "sub")
    lab.compile(builder).invoke({}, context=Context("ann", 5))
    return seen


def runtime_by_get_runtime(lab: Lab) -> Any:
    seen: list[Any] = []

    def node(state: Any) -> Any:
        seen.append(lab.get_runtime(Context).context)

    _run(lab, node, context=Context("ann"), context_schema=Context)
    return seen


def runtime_execution_info(lab: Lab) -> Any:
    seen: list[Any] = []

    def note(state: Any) -> Any:
        info = lab.get_runtime().execution_info
        shown = {
            k: getattr(info, k) for k in ("checkpoint_id", "checkpoint_ns", "task_id", "thread_id", "run_id")
        }
        seen.append({**shown, "attempt": info.node_attempt})

    _run(lab, note, thread(), checkpointer=lab.saver())
    return seen


def all_at_once(lab: Lab) -> Any:
    def node(state: Any, config: Any, runtime: Any, writer: Any, previous: Any) -> Any:
        writer("w")
        return {"log": [config["configurable"]["k"], runtime.context, previous]}

    for name in ("config", "runtime", "writer", "previous"):
        del node.__annotations__[name]
    return _run(lab, node, {"configurable": {"k": 1}})


def order_of_parameters_is_free(lab: Lab) -> Any:
    return _run(
        lab, lambda state, writer, config: {"log": [config["configurable"]["k"]]}, {"configurable": {"k": 1}}
    )


def state_under_any_name(lab: Lab) -> Any:
    return _run(lab, lambda anything: {"log": [dict(anything)]})


def parameter_with_default(lab: Lab) -> Any:
    def node(state: Any, extra: int = 3) -> Any:
        return {"log": [extra]}

    return _run(lab, node)


def partial_as_a_node(lab: Lab) -> Any:
    def node(state: Any, extra: int) -> Any:
        return {"log": [extra]}

    return _run(lab, functools.partial(node, extra=5))


def method_as_a_node(lab: Lab) -> Any:
    class Worker:
        def work(self, state: Any) -> Any:
            return {"log": ["method"]}

    builder = lab.StateGraph(State)
    builder.add_node(Worker().work)
    builder.add_edge(lab.START, "work")
    return lab.compile(builder).stream({"log": []})


def callable_object_as_a_node(lab: Lab) -> Any:
    class Worker:
        def __call__(self, state: Any) -> Any:
            return {"log": ["called"]}

    return [_run(lab, Worker()), lab.error(lambda: list(lab.StateGraph(State).add_node(Worker()).nodes))]


def lambda_without_a_name(lab: Lab) -> Any:
    def add() -> Any:
        builder = lab.StateGraph(State)
        builder.add_node(lambda state: {"log": ["l"]})
        return list(builder.nodes)

    return lab.error(add)


def partial_without_a_name(lab: Lab) -> Any:
    def add() -> Any:
        builder = lab.StateGraph(State)
        builder.add_node(functools.partial(operator.add, {}))
        return list(builder.nodes)

    return lab.error(add)


def async_node(lab: Lab) -> Any:
    async def node(state: Any) -> Any:
        return {"log": ["async"]}

    return _run(lab, node)


def async_branch(lab: Lab) -> Any:
    async def route(state: Any) -> Any:
        return lab.END

    builder = lab.StateGraph(State)
    builder.add_node("a", lambda s: {"log": ["a"]})
    builder.add_edge(lab.START, "a")
    builder.add_conditional_edges("a", route)
    graph = lab.compile(builder)
    return lab.error(lambda: graph.invoke({"log": []}))


def async_callable_object(lab: Lab) -> Any:
    class Worker:
        async def __call__(self, state: Any) -> Any:
            return {"log": ["async called"]}

    return _run(lab, Worker())


def generator_function_as_a_node(lab: Lab) -> Any:
    def node(state: Any) -> Any:
        yield {"log": ["yielded"]}

    return _run(lab, node)


def runnable_run_name_and_id(lab: Lab) -> Any:
    seen: list[Any] = []
    config = {**thread(), "run_id": "5b0c1c9e-36a5-4b4f-a0f6-1f7d0d3bb3a1", "run_name": "named"}
    saver = lab.saver()
    _run(
        lab,
        lambda s, config: seen.append([config.get("run_name"), config["metadata"]]),
        config,
        checkpointer=saver,
    )
    return [seen, [r.metadata for r in lab.saved(saver, thread())]]


def runtime_execution_info_run_id(lab: Lab) -> Any:
    seen: list[Any] = []
    config = {**thread(), "run_id": "5b0c1c9e-36a5-4b4f-a0f6-1f7d0d3bb3a1"}
    _run(lab, lambda s, runtime: seen.append(runtime.execution_info.run_id), config, checkpointer=lab.saver())
    return seen
