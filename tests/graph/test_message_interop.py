"""LangChain next to a graph: what a node passes on to models, and a graph in the place of a Runnable."""

from __future__ import annotations

import copy
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator
from contextvars import copy_context
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import FakeListChatModel
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_core.runnables.config import ensure_config

from threadkeep.checkpoint.memory import InMemorySaver
from threadkeep.constants import START
from threadkeep.graph import MessagesState, StateGraph
from threadkeep.graph.draw import Graph
from threadkeep.graph.draw_trace import NodeInfo, build
from threadkeep.interop import langchain


class Doubler(langchain.RunnableFace):
    """Has the methods of a compiled graph, and no base class of LangChain."""

    name = "Doubler"

    def invoke(self, input: Any, config: Any = None, **options: Any) -> Any:
        return {"doubled": input * 2, "tags": (config or {}).get("tags"), **options}

    async def ainvoke(self, input: Any, config: Any = None, **options: Any) -> Any:
        return {"async": input * 2}

    def stream(self, input: Any, config: Any = None, **options: Any) -> Iterator[Any]:
        yield {"first": input}
        yield {"second": input * 2}

    async def astream(self, input: Any, config: Any = None, **options: Any) -> AsyncIterator[Any]:
        yield {"async": input}

    def get_graph(self, config: Any = None, *, xray: bool = False) -> Graph:
        return build({"double": NodeInfo()}, [("__start__", "double")])


class Task:
    """What a task shows of itself; counts how often its config is made."""

    def __init__(self, **config: Any) -> None:
        self.made = 0
        self._config = config

    @property
    def config(self) -> dict[str, Any]:
        self.made += 1
        return self._config


def plus_one(number: int) -> int:
    return number + 1


def test_a_runnable_pipes_into_a_graph() -> None:
    chain = RunnableLambda(plus_one) | Doubler()
    assert chain.invoke(1, {"tags": ["t"]}) == {"doubled": 4, "tags": ["t"]}
    assert chain.batch([1, 2]) == [{"doubled": 4, "tags": []}, {"doubled": 6, "tags": []}]


def test_a_prompt_pipes_into_a_graph() -> None:
    class Last(Doubler):
        def invoke(self, input: Any, config: Any = None, **options: Any) -> Any:
            return input.to_messages()[-1].content

    prompt = ChatPromptTemplate.from_messages([("user", "{x}!")])
    assert (prompt | Last()).invoke({"x": "hi"}) == "hi!"


def test_a_graph_pipes_into_a_runnable_a_function_a_dict_and_a_graph() -> None:
    graph = Doubler()
    after = RunnableLambda(lambda found: found["doubled"])
    assert (graph | after).invoke(2) == 4
    assert (graph | (lambda found: found["doubled"])).invoke(2) == 4
    assert (graph | {"same": lambda found: found["doubled"]}).invoke(2) == {"same": 4}
    assert (graph | after | Doubler()).invoke(2) == {"doubled": 8, "tags": []}


def test_a_function_and_a_dict_pipe_into_a_graph() -> None:
    class Keys(Doubler):
        def invoke(self, input: Any, config: Any = None, **options: Any) -> Any:
            return list(input)

    assert (plus_one | Doubler()).invoke(1) == {"doubled": 4, "tags": []}
    assert ({"a": plus_one} | Keys()).invoke(1) == ["a"]


async def test_a_chain_with_a_graph_runs_async_and_streams_what_the_graph_streams() -> None:
    chain = RunnableLambda(plus_one) | Doubler()
    assert await chain.ainvoke(1) == {"async": 4}
    assert list(chain.stream(1)) == [{"first": 2}, {"second": 4}]
    assert [chunk async for chunk in chain.astream(1)] == [{"async": 2}]


def test_a_graph_has_the_methods_of_a_runnable() -> None:
    graph: Any = Doubler()
    assert graph.bind(extra=1).invoke(2) == {"doubled": 4, "tags": [], "extra": 1}
    assert graph.map().invoke([1, 2]) == [{"doubled": 2, "tags": []}, {"doubled": 4, "tags": []}]
    assert graph.with_retry().invoke(3) == {"doubled": 6, "tags": []}
    assert graph.pipe(lambda found: found["doubled"]).invoke(3) == 6


def test_a_graph_counts_as_a_runnable_and_other_things_do_not() -> None:
    assert isinstance(Doubler(), Runnable)
    assert [langchain.is_runnable(x) for x in (Doubler(), RunnableLambda(plus_one), plus_one, 1)] == [
        True,
        True,
        False,
        False,
    ]
    assert Doubler().__class__ is Doubler


def test_the_drawing_of_a_chain_shows_the_inside_of_the_graph() -> None:
    chain = RunnableLambda(plus_one) | Doubler()
    names = [node.name for node in chain.get_graph().nodes.values()]
    assert "double" in names


def test_other_attributes_are_missing_as_usual() -> None:
    with pytest.raises(AttributeError, match="'Doubler' object has no attribute 'nope'"):
        Doubler().nope  # type: ignore[attr-defined]  # noqa: B018  # the mistake under test
    assert type(copy.deepcopy(Doubler())) is Doubler


class Seen(BaseCallbackHandler):
    def __init__(self) -> None:
        self.calls: list[tuple[Any, Any]] = []

    def on_chat_model_start(self, serialized: Any, messages: Any, **facts: Any) -> None:
        self.calls.append((facts["tags"], facts["metadata"]["who"]))


def test_a_model_called_in_a_node_inherits_tags_metadata_and_callbacks() -> None:
    seen = Seen()

    def node() -> None:
        langchain.node_context(Task(tags=["t"], metadata={"who": "me"}, callbacks=[seen]))
        FakeListChatModel(responses=["ok"]).invoke("hi")

    copy_context().run(node)
    assert seen.calls == [(["t"], "me")]


def test_the_config_of_a_task_is_made_only_when_langchain_reads_it() -> None:
    task = Task(tags=["t"], configurable={"thread_id": "1"})

    def node() -> None:
        langchain.node_context(task)
        assert task.made == 0
        config = ensure_config()
        assert (config["tags"], config["configurable"]) == (["t"], {"thread_id": "1"})
        assert task.made > 0

    copy_context().run(node)


def test_a_graph_called_in_a_chain_finds_the_config_of_the_chain() -> None:
    def called(_: Any) -> Any:
        config = langchain.inherited_config()
        assert config is not None
        return config["configurable"]

    assert RunnableLambda(called).invoke(0, {"configurable": {"thread_id": "1"}}) == {"thread_id": "1"}


def test_outside_a_chain_and_directly_in_a_node_nothing_is_inherited() -> None:
    def node() -> Any:
        langchain.node_context(Task(tags=["t"]))
        return langchain.inherited_config()

    assert langchain.inherited_config() is None
    assert copy_context().run(node) is None


def test_where_langchain_is_not_loaded_nothing_is_asked_of_it_and_nothing_loads_it() -> None:
    program = """
        import sys
        from threadkeep.interop import langchain
        class Graph(langchain.RunnableFace):
            pass
        class Task:
            @property
            def config(self):
                raise AssertionError("not to be read")
        langchain.node_context(Task())
        print(langchain.is_runnable(Graph()), langchain.inherited_config(), Graph().__class__ is Graph)
        print("langchain_core" in sys.modules)
        sys.modules["langchain_core"] = None  # what an import finds where the package is missing
        print(hasattr(Graph(), "bind"))
        try:
            Graph() | print
        except ImportError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "False None True",
        "False",
        "False",
        "A graph in a LangChain chain needs langchain-core, which is not installed. "
        'Install the extra: pip install "threadkeep-core[langchain]"',
    ]


def test_a_graph_made_before_langchain_is_loaded_pipes_all_the_same() -> None:
    program = """
        from threadkeep.interop.langchain import RunnableFace
        class Graph(RunnableFace):
            name = "Graph"
            def invoke(self, input, config=None):
                return input + 1
            ainvoke = stream = astream = get_graph = None
        graph = Graph()
        from langchain_core.runnables import RunnableLambda
        print((RunnableLambda(lambda x: x * 10) | graph).invoke(4))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "41\n"


# Compiled graphs


def chat(**options: Any) -> Any:
    model = FakeListChatModel(responses=["one", "two", "three"])

    def answer(state: Any) -> Any:
        return {"messages": [model.invoke(state["messages"])]}

    return StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer").compile(**options)


def texts(result: Any) -> list[str]:
    return [message.content for message in result["messages"]]


def test_a_compiled_graph_gives_its_models_the_config_of_the_run() -> None:
    seen = Seen()
    config = {"tags": ["t"], "metadata": {"who": "me"}, "callbacks": [seen]}
    assert texts(chat().invoke({"messages": "hi"}, config)) == ["hi", "one"]
    assert seen.calls == [(["t"], "me")]


async def test_a_compiled_graph_stands_in_a_chain() -> None:
    prompt = ChatPromptTemplate.from_messages([("user", "{q}?")])
    chain = prompt | (lambda value: {"messages": value.to_messages()}) | chat() | texts
    assert chain.invoke({"q": "why"}) == ["why?", "one"]
    assert await chain.ainvoke({"q": "why"}) == ["why?", "two"]


def test_a_chain_is_a_node_of_a_graph() -> None:
    model = FakeListChatModel(responses=["one"])
    steps = (
        RunnableLambda(lambda state: state["messages"]) | model | (lambda message: {"messages": [message]})
    )
    graph = StateGraph(MessagesState).add_node("steps", steps).add_edge(START, "steps").compile()
    assert texts(graph.invoke({"messages": "hi"})) == ["hi", "one"]


def test_a_graph_called_in_a_chain_runs_on_the_thread_of_the_chain() -> None:
    graph = chat(checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "1"}}
    chain = RunnableLambda(lambda text: graph.invoke({"messages": text}))
    chain.invoke("hi", thread)
    chain.invoke("again", thread)
    assert texts(graph.get_state(thread).values) == ["hi", "one", "again", "two"]
