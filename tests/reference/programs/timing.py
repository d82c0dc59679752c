"""What runs at the same time: arrival of chunks, parallel tasks, cancelled siblings, streams left early."""

import asyncio
import operator
import threading
from typing import Annotated, Any, TypedDict

from tests.reference.lab import Lab, brief, thread

PATIENCE = 5


class State(TypedDict, total=False):
    x: int
    log: Annotated[list[Any], operator.add]


def custom_chunk_arrives_while_the_node_runs(lab: Lab) -> Any:
    heard = threading.Event()

    def node(state: Any) -> Any:
        lab.get_stream_writer()("early")
        return {"log": [heard.wait(PATIENCE)]}

    builder = lab.StateGraph(State)
    builder.add_node("a", node)
    builder.add_edge(lab.START, "a")
    graph = lab.compile(builder)
    return graph.each({"log": []}, lambda chunk: heard.set(), stream_mode=["custom", "updates"])


def update_arrives_while_the_sibling_runs(lab: Lab) -> Any:
    heard = threading.Event()
    builder = lab.StateGraph(State)
    builder.add_node("quick", lambda s: {"log": ["quick"]})
    builder.add_node("slow", lambda s: {"log": [heard.wait(PATIENCE)]})
    builder.add_edge(lab.START, "quick")
    builder.add_edge(lab.START, "slow")
    graph = lab.compile(builder)
    return graph.each({"log": []}, lambda chunk: heard.set(), stream_mode="updates")


def task_starts_arrive_before_the_tasks_end(lab: Lab) -> Any:
    heard = threading.Event()
    builder = lab.StateGraph(State)
    for name in "ab":
        builder.add_node(name, lambda s, name=name: {"log": [heard.wait(PATIENCE)]})
        builder.add_edge(lab.START, name)
    graph = lab.compile(builder)
    chunks = graph.each({"log": []}, lambda chunk: heard.set(), stream_mode=["tasks", "values"])
    return chunks[-1]


def branches_run_at_the_same_time(lab: Lab) -> Any:
    meeting = threading.Barrier(3)
    builder = lab.StateGraph(State)
    for name in "abc":
        builder.add_node(name, lambda s, name=name: {"log": [meeting.wait(PATIENCE) >= 0]})
        builder.add_edge(lab.START, name)
    return lab.compile(builder).invoke({"log": []})


def sends_run_at_the_same_time(lab: Lab) -> Any:
    meeting = threading.Barrier(4)
    builder = lab.StateGraph(State)
    builder.add_node("w", lambda arg: {"log": [arg, meeting.wait(PATIENCE) >= 0]})
    builder.add_conditional_edges(lab.START, lambda s: [lab.Send("w", n) for n in range(4)])
    return lab.compile(builder).invoke({"log": []})


def async_nodes_run_at_the_same_time(lab: Lab) -> Any:
    arrived: list[str] = []

    def node(name: str) -> Any:
        async def wait(state: Any) -> Any:
            arrived.append(name)
            for _ in range(1000):
                if len(arrived) == 3:
                    return {"log": [name]}
                await asyncio.sleep(0.001)
            return {"log": ["alone"]}

        return wait

    builder = lab.StateGraph(State)
    for name in "abc":
        builder.add_node(name, node(name))
        builder.add_edge(lab.START, name)
    graph = lab.compile(builder)
    return lab.error(lambda: graph.invoke({"log": []}))


def failing_branch_cancels_the_async_sibling(lab: Lab) -> Any:
    seen: list[str] = []

    async def slow(state: Any) -> Any:
        try:
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def fail(state: Any) -> Any:
        await asyncio.sleep(0.01)
        raise ValueError("no")

    builder = lab.StateGraph(State)
    builder.add_node("slow", slow)
    builder.add_node("fail", fail)
    builder.add_edge(lab.START, "slow")
    builder.add_edge(lab.START, "fail")
    graph = lab.compile(builder, checkpointer=lab.saver())
    outcome = lab.error(lambda: graph.invoke({"log": []}, thread()))
    if lab.colour == "sync":
        return outcome
    return [outcome, seen, brief(graph.state(thread()))]


def failing_branch_waits_for_the_sync_sibling(lab: Lab) -> Any:
    failed = threading.Event()
    runs: list[str] = []

    def slow(state: Any) -> Any:
        failed.wait(PATIENCE)
        runs.append("slow")
        return {"log": ["slow"]}

    def fail(state: Any) -> Any:
        runs.append("fail")
        failed.set()
        raise ValueError("no")

    builder = lab.StateGraph(State)
    builder.add_node("slow", slow)
    builder.add_node("fail", fail)
    builder.add_edge(lab.START, "slow")
    builder.add_edge(lab.START, "fail")
    graph = lab.compile(builder)
    outcome = lab.error(lambda: graph.invoke({"log": []}))
    return [outcome, sorted(runs)] if lab.colour == "sync" else outcome


def interrupt_waits_for_the_sibling(lab: Lab) -> Any:
    asked = threading.Event()

    def ask(state: Any) -> Any:
        asked.set()
        return {"log": [lab.interrupt("?")]}

    builder = lab.StateGraph(State)
    builder.add_node("ask", ask)
    builder.add_node("slow", lambda s: {"log": [asked.wait(PATIENCE)]})
    builder.add_edge(lab.START, "ask")
    builder.add_edge(lab.START, "slow")
    graph = lab.compile(builder, checkpointer=lab.saver())
    first = graph.invoke({"log": []}, thread())
    return [first, brief(graph.state(thread())), graph.invoke(lab.Command(resume="!"), thread())]


def interrupt_and_failure_in_one_step(lab: Lab) -> Any:
    asked = threading.Event()
    fails = [True]

    def ask(state: Any) -> Any:
        asked.set()
        return {"log": [lab.interrupt("?")]}

    def fail(state: Any) -> Any:
        asked.wait(PATIENCE)
        if fails:
            fails.pop()
            raise ValueError("no")
        return {"log": ["worked"]}

    builder = lab.StateGraph(State)
    builder.add_node("ask", ask)
    builder.add_node("fail", fail)
    builder.add_edge(lab.START, "ask")
    builder.add_edge(lab.START, "fail")
    graph = lab.compile(builder, checkpointer=lab.saver())
    first = lab.error(lambda: graph.invoke({"log": []}, thread()))
    again = lab.error(lambda: graph.invoke(None, thread()))
    waiting = brief(graph.state(thread()))
    last = lab.error(lambda: graph.invoke(lab.Command(resume="!"), thread()))
    return [first, again, waiting, last, [brief(s) for s in graph.history(thread())]]


def stream_left_after_the_first_update(lab: Lab) -> Any:
    runs: list[str] = []

    def node(name: str) -> Any:
        def run(state: Any) -> Any:
            runs.append(name)
            return {"log": [name]}

        return run

    builder = lab.StateGraph(State)
    for name in "abc":
        builder.add_node(name, node(name))
    builder.add_edge(lab.START, "a")
    builder.add_edge("a", "b")
    builder.add_edge("b", "c")
    graph = lab.compile(builder, checkpointer=lab.saver())
    first = graph.first({"log": []}, thread(), stream_mode="updates", durability="sync")
    return [first, graph.invoke(None, thread()), runs]


def many_turns_at_once_on_many_threads(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("a", lambda s: {"log": [s["x"]]})
    builder.add_node("b", lambda s: {"log": [s["x"] + 1]})
    builder.add_edge(lab.START, "a")
    builder.add_edge("a", "b")
    graph = lab.compile(builder, checkpointer=lab.saver())
    configs = [thread(str(n)) for n in range(8)]
    for turn in range(3):
        graph.batch([{"x": 10 * turn, "log": [n]} for n in range(8)], configs)
    return [graph.state(config).values for config in configs]


def max_concurrency_of_async_nodes(lab: Lab) -> Any:
    running: list[int] = []
    most: list[int] = []

    async def node(arg: Any) -> Any:
        running.append(1)
        most.append(len(running))
        await asyncio.sleep(0.005)
        running.pop()
        return {"log": [arg]}

    builder = lab.StateGraph(State)
    builder.add_node("w", node)
    builder.add_conditional_edges(lab.START, lambda s: [lab.Send("w", n) for n in range(6)])
    graph = lab.compile(builder)
    outcome = lab.error(lambda: graph.invoke({"log": []}, {"max_concurrency": 2}))
    return [outcome, max(most, default=0)]
