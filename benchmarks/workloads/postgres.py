"""The savers on a PostgreSQL server: chats, steps of the saver alone, reads, pauses."""

import asyncio
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypedDict

from benchmarks.api import Api
from benchmarks.postgres import Database, database
from benchmarks.scale import Bench, Sample, Scale, milliseconds
from benchmarks.workloads.chat import Dialect, chat_graph, in_slices, message_dialect, reads, thread
from benchmarks.workloads.pause import approval_graph
from benchmarks.workloads.puts import asave, fresh, on_threads, prepared, save
from benchmarks.workloads.text import kilobytes

CHATS, THREADS = 32, 8
LONG, OTHERS, LISTED = 1_000, 999, 100


def ready(api: Api, made: Database) -> int:
    """The library's tables are there, and nobody is connected. Returns the commits of connecting alone."""
    with api.postgres(made.uri, setup=True):
        pass
    before = made.commits()
    with api.postgres(made.uri):
        pass
    return made.commits() - before


def chat(make: Callable[[Api], Dialect]) -> Bench:
    """One conversation on one connection; a turn is an invoke."""

    def bench(api: Api, scale: Scale) -> Iterator[Sample]:
        dialect, where, texts = make(api), thread("conversation"), kilobytes(2 * scale.turns)
        with database() as made:
            idle = ready(api, made)
            before = made.commits()
            with api.postgres(made.uri) as saver:
                graph = chat_graph(api, dialect, texts, saver)

                def turn(number: int) -> None:
                    graph.invoke({"messages": [dialect.user(texts[2 * number])]}, where)

                yield from in_slices(scale.turns, turn)
            yield {"commits": (made.commits() - before - idle) / scale.turns}
            with api.postgres(made.uri) as saver:
                yield from reads(chat_graph(api, dialect, texts, saver), where, 2 * scale.turns)
            yield {"stored_mb": made.stored_megabytes()}

    return bench


def commits(durability: str) -> Bench:
    """Commits of a turn, of short conversations in one mode of durability."""

    def bench(api: Api, scale: Scale) -> Iterator[Sample]:
        dialect, names, turns = message_dialect(api), itertools.count(), 20 if scale.quick else 60
        texts = kilobytes(2 * turns)
        with database() as made:
            idle = ready(api, made)
            while True:
                before, writes, where = made.commits(), made.writing_transactions(), thread(f"{next(names)}")
                with api.postgres(made.uri) as saver:
                    graph = chat_graph(api, dialect, texts, saver)
                    for text in texts[:turns]:
                        graph.invoke({"messages": [dialect.user(text)]}, where, durability=durability)
                yield {
                    "commits": (made.commits() - before - idle) / turns,
                    "writing": (made.writing_transactions() - writes) / turns,
                }

    return bench


def puts(writers: int) -> Bench:
    """One writer on one connection, or threads that share a saver on a pool."""

    def bench(api: Api, scale: Scale) -> Iterator[Sample]:
        steps = (128 if scale.quick else 512) // writers
        with database() as made:
            ready(api, made)
            with (api.postgres if writers == 1 else api.postgres_pool)(made.uri) as saver:
                for number in itertools.count():
                    work = {
                        f"thread-{number}-{writer}": prepared(api, saver, steps, seed=writer)
                        for writer in range(writers)
                    }
                    started = time.perf_counter()
                    if writers == 1:
                        save(saver, *next(iter(work.items())))
                    else:
                        on_threads(saver, work)
                    yield {"steps_per_s": writers * steps / (time.perf_counter() - started)}

    return bench


def puts_async(tasks: int) -> Bench:
    """Tasks that share a saver on a pool."""

    def bench(api: Api, scale: Scale) -> Iterator[Sample]:
        steps, names = (256 if scale.quick else 512) // tasks, itertools.count()

        async def measured(made: Database) -> float:
            async with api.async_postgres_pool(made.uri) as saver:
                number = next(names)
                work = {
                    f"thread-{number}-{task}": prepared(api, saver, steps, seed=task) for task in range(tasks)
                }
                started = time.perf_counter()
                await asyncio.gather(*[asave(saver, name, step) for name, step in work.items()])
                return tasks * steps / (time.perf_counter() - started)

        with database() as made, asyncio.Runner() as runner:
            ready(api, made)
            while True:
                yield {"steps_per_s": runner.run(measured(made))}

    return bench


class Paper(TypedDict):
    draft: dict[str, str]
    notes: dict[str, str]
    plan: dict[str, str]
    review: dict[str, str]
    count: int


def rewriting_graph(api: Api, checkpointer: Any) -> Any:
    """A run of it is a thread of `LONG` checkpoints: the input, the start, and every step.

    A step changes four dicts of 500 characters. (Strings and numbers the reference keeps in the checkpoint's
    own row.)
    """
    graph, texts = api.module("graph"), kilobytes(LONG, size=500)

    def rewrite(state: Paper) -> Paper:
        text = {"text": texts[state["count"]]}
        return {"draft": text, "notes": text, "plan": text, "review": text, "count": state["count"] + 1}

    builder = graph.StateGraph(Paper)
    builder.add_node("rewrite", rewrite)
    builder.add_edge(graph.START, "rewrite")
    builder.add_conditional_edges(
        "rewrite", lambda state: "rewrite" if state["count"] < LONG - 2 else graph.END
    )
    return builder.compile(checkpointer=checkpointer)


def filled(api: Api, made: Database) -> None:
    """A thread of 1,000 checkpoints, and 999 of one."""
    ready(api, made)
    with api.postgres_pool(made.uri) as saver:
        work = {f"other-{n}": prepared(api, saver, 1, seed=n) for n in range(OTHERS)}
        with ThreadPoolExecutor(THREADS) as threads:
            for _ in threads.map(lambda item: save(saver, *item), work.items()):
                pass
        first = {"draft": {}, "notes": {}, "plan": {}, "review": {}, "count": 0}
        rewriting_graph(api, saver).invoke(first, {**thread("long"), "recursion_limit": 2 * LONG})


def read(api: Api, scale: Scale) -> Iterator[Sample]:
    """The end of a thread of 1,000 checkpoints among 1,000 threads, before and after an ANALYZE.

    A new saver each time, so that ours reads what it does not remember.
    """
    times, where = 5 if scale.quick else 15, fresh("long")
    with database() as made:
        filled(api, made)
        for suffix in ("", "_analyzed"):
            for _ in range(3 if scale.quick else 7):
                with api.postgres(made.uri) as saver:
                    cold = milliseconds(partial(saver.get_tuple, where))
                    gets = [milliseconds(partial(saver.get_tuple, where)) for _ in range(times)]
                with api.postgres(made.uri) as saver:
                    page = milliseconds(partial(listed, saver, where))
                yield {
                    f"first_get_ms{suffix}": cold,
                    f"get_ms{suffix}": statistics.median(gets),
                    f"list_ms{suffix}": page,
                }
            made.analyze()


def listed(saver: Any, where: Any) -> None:
    found = list(saver.list(where, limit=LISTED))
    assert len(found) == LISTED
    assert found[0].checkpoint["channel_values"]["count"] == LONG - 2


def chats_async(api: Api, scale: Scale) -> Iterator[Sample]:
    """Conversations at once, as tasks on a pool; each slice starts new ones."""
    turns, dialect = 2 if scale.quick else 5, message_dialect(api)
    texts, names = kilobytes(CHATS * 2), itertools.count()

    async def measured(made: Database) -> float:
        async with api.async_postgres_pool(made.uri) as saver:
            graph, slice_number = chat_graph(api, dialect, texts, saver), next(names)

            async def one(number: int) -> None:
                where = thread(f"chat-{slice_number}-{number}")
                for turn in range(turns):
                    result = await graph.ainvoke({"messages": [dialect.user(texts[number + turn])]}, where)
                    assert len(result["messages"]) == 2 * (turn + 1)

            started = time.perf_counter()
            await asyncio.gather(*[one(number) for number in range(CHATS)])
            return CHATS * turns / (time.perf_counter() - started)

    with database() as made, asyncio.Runner() as runner:
        ready(api, made)
        while True:
            yield {"turns_per_s": runner.run(measured(made))}


def chats_threads(api: Api, scale: Scale) -> Iterator[Sample]:
    """The same conversations on eight threads."""
    turns, dialect = 2 if scale.quick else 5, message_dialect(api)
    texts, names = kilobytes(CHATS * 2), itertools.count()
    with database() as made, ThreadPoolExecutor(THREADS) as threads:
        ready(api, made)
        with api.postgres_pool(made.uri) as saver:
            graph = chat_graph(api, dialect, texts, saver)
            while True:
                slice_number = next(names)

                def one(number: int, slice_number: int = slice_number) -> None:
                    where = thread(f"chat-{slice_number}-{number}")
                    for turn in range(turns):
                        result = graph.invoke({"messages": [dialect.user(texts[number + turn])]}, where)
                        assert len(result["messages"]) == 2 * (turn + 1)

                started = time.perf_counter()
                for _ in threads.map(one, range(CHATS)):
                    pass
                yield {"turns_per_s": CHATS * turns / (time.perf_counter() - started)}


def pause(api: Api, scale: Scale) -> Iterator[Sample]:
    """A run that stops at `interrupt` and the one that resumes it, on a new thread each time."""
    command, names, cycles = api.module("types").Command, itertools.count(), 10 if scale.quick else 25
    with database() as made:
        idle = ready(api, made)
        while True:
            before, writes = made.commits(), made.writing_transactions()
            with api.postgres(made.uri) as saver:
                graph = approval_graph(api, saver)

                def cycle(graph: Any = graph) -> None:
                    where = thread(f"request-{next(names)}")
                    stopped = graph.invoke({"amount": 900, "approved": False}, where)
                    assert stopped["__interrupt__"][0].value == {"amount": 900}
                    assert graph.invoke(command(resume=True), where) == {"amount": 900, "approved": True}

                times = [milliseconds(cycle) for _ in range(cycles)]
            yield {
                "cycle_ms": statistics.median(times),
                "commits": (made.commits() - before - idle) / cycles,
                "writing": (made.writing_transactions() - writes) / cycles,
            }
