"""A thousand `Send` tasks in one superstep, their results appended to one list by `operator.add`."""

import asyncio
import operator
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, TypedDict

from benchmarks.api import Api
from benchmarks.scale import Sample, Scale, async_rate, rate

TASKS = 1000


class Results(TypedDict):
    results: Annotated[list[int], operator.add]


class Job(TypedDict):
    number: int


def work(job: Job) -> dict[str, list[int]]:
    return {"results": [job["number"]]}


async def work_async(job: Job) -> dict[str, list[int]]:
    return {"results": [job["number"]]}


def fan_out_graph(api: Api, node: Callable[[Job], Any]) -> Any:
    graph, send = api.module("graph"), api.module("types").Send
    builder = graph.StateGraph(Results)
    builder.add_node("work", node)
    builder.add_conditional_edges(
        graph.START, lambda state: [send("work", {"number": i}) for i in range(TASKS)], ["work"]
    )
    builder.add_edge("work", graph.END)
    return builder.compile()


def checked(result: Any) -> None:
    assert result["results"] == list(range(TASKS)), result


def sends_sync(api: Api, scale: Scale) -> Iterator[Sample]:
    graph = fan_out_graph(api, work)
    while True:
        yield {
            "tasks_per_s": rate(lambda: checked(graph.invoke({"results": []})), TASKS, scale.seconds),
        }


def sends_async(api: Api, scale: Scale) -> Iterator[Sample]:
    graph = fan_out_graph(api, work_async)

    async def once() -> None:
        checked(await graph.ainvoke({"results": []}))

    with asyncio.Runner() as runner:
        while True:
            yield {"tasks_per_s": runner.run(async_rate(once, TASKS, scale.seconds))}


def bare_threads(scale: Scale) -> Iterator[Sample]:
    """The same calls through a thread pool."""

    def once() -> None:
        futures = [pool.submit(work, {"number": i}) for i in range(TASKS)]
        checked({"results": [n for future in futures for n in future.result()["results"]]})

    with ThreadPoolExecutor() as pool:
        while True:
            yield {"tasks_per_s": rate(once, TASKS, scale.seconds)}


def bare_asyncio(scale: Scale) -> Iterator[Sample]:
    """The same calls as asyncio tasks."""

    async def once() -> None:
        done = await asyncio.gather(*[asyncio.create_task(work_async({"number": i})) for i in range(TASKS)])
        checked({"results": [n for update in done for n in update["results"]]})

    with asyncio.Runner() as runner:
        while True:
            yield {"tasks_per_s": runner.run(async_rate(once, TASKS, scale.seconds))}
