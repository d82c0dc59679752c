"""Thirty-two conversations at once on one asynchronous SQLite saver."""

import asyncio
import itertools
import time
from collections.abc import Iterator

from benchmarks.api import Api
from benchmarks.scale import Sample, Scale
from benchmarks.workloads.chat import chat_graph, message_dialect, thread
from benchmarks.workloads.line import wal_connection
from benchmarks.workloads.text import kilobytes

CHATS = 32


def chats(api: Api, scale: Scale) -> Iterator[Sample]:
    """Each slice starts new conversations, so that their length stays the same."""
    turns = 2 if scale.quick else 5
    dialect, texts, names = message_dialect(api), kilobytes(CHATS * 2), itertools.count()

    async def measured() -> float:
        path = scale.folder / f"chats-{next(names)}.db"
        async with api.async_sqlite(path) as saver:
            graph = chat_graph(api, dialect, texts, saver)

            async def one(number: int) -> None:
                for turn in range(turns):
                    text = texts[(number + turn) % len(texts)]
                    result = await graph.ainvoke({"messages": [dialect.user(text)]}, thread(f"chat-{number}"))
                    assert len(result["messages"]) == 2 * (turn + 1)

            started = time.perf_counter()
            await asyncio.gather(*[one(number) for number in range(CHATS)])
            return CHATS * turns / (time.perf_counter() - started)

    with asyncio.Runner() as runner:
        while True:
            yield {"turns_per_s": runner.run(measured())}


def bare_chats(scale: Scale) -> Iterator[Sample]:
    """A turn of all conversations in one transaction: two rows of 1 KB each."""
    bodies = [(text,) for text in kilobytes(2 * CHATS)]
    connection = wal_connection(scale)
    connection.execute("CREATE TABLE message (id INTEGER PRIMARY KEY, body BLOB)")

    def batch() -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO message (body) VALUES (?)", bodies)
        connection.execute("COMMIT")

    async def measured() -> float:
        batches, started = 50, time.perf_counter()
        for _ in range(batches):
            await asyncio.to_thread(batch)
        return batches * CHATS / (time.perf_counter() - started)

    with asyncio.Runner() as runner:
        while True:
            yield {"turns_per_s": runner.run(measured())}
