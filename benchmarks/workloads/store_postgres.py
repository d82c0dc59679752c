"""Stores on PostgreSQL with pgvector: 10,000 items in 100 namespaces; recall of tenants of 20,000."""

import asyncio
import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from benchmarks.api import OURS, Api
from benchmarks.postgres import Database, database
from benchmarks.scale import Bench, Sample, Scale, milliseconds
from benchmarks.workloads.stores import DIMS, Embedding, namespace, puts

BATCH = 1_000
ROUNDS = 7
LIMIT = 10
TASKS = 64
TENANTS = {"30": 6_000, "10": 2_000, "3": 600, "1": 200, "01": 20}
"""Items of the tenants whose recall is measured; 20,000 with all the others."""
MANY = 20_000
INNER = 24
"""Independent directions: real embeddings spread over far fewer of them than they have numbers."""


class Topics(Embedding):
    """Unit vectors that have near neighbours, as those of texts have; by the number in a text."""

    def __init__(self, count: int) -> None:
        import numpy as np

        random = np.random.default_rng(7)
        made = random.standard_normal((count, INNER)) @ random.standard_normal((INNER, DIMS))
        made += 0.3 * random.standard_normal((count, DIMS))
        self.matrix = (made / np.linalg.norm(made, axis=1)[:, None]).astype(np.float32)

    def best(self, query: int, among: Sequence[int], count: int) -> set[int]:
        """The numbers of the texts that are nearest to one."""
        import numpy as np

        scores = self.matrix[among] @ self.matrix[query]
        return {among[place] for place in np.argsort(-scores)[:count].tolist()}


def items(scale: Scale) -> int:
    return 2_000 if scale.quick else 10_000


def batches(count: int) -> list[range]:
    return [range(start, min(start + BATCH, count)) for start in range(0, count, BATCH)]


@contextmanager
def opened(api: Api, made: Database, index: dict[str, Any] | None) -> Iterator[Any]:
    with api.module("store.postgres").PostgresStore.from_conn_string(made.uri, index=index) as store:
        store.setup()
        yield store


def indexed(embedding: Embedding, kind: str) -> dict[str, Any]:
    return {**embedding.index(), "ann_index_config": {"kind": kind}}


def ingest(kind: str) -> Bench:
    """Batches of 1,000 into a store with an index; then queries where it is an HNSW, recall of an IVFFlat.

    Ours builds clusters when there are rows, by another `setup`; the reference at once.
    """

    def bench(api: Api, scale: Scale) -> Iterator[Sample]:
        embedding, count = Topics(items(scale)), items(scale)
        with database() as made, opened(api, made, indexed(embedding, kind)) as store:
            spent = 0.0
            for numbers in batches(count):
                ops = puts(api, numbers)
                spent += milliseconds(partial(store.batch, ops))
                yield {}
            spent += milliseconds(store.setup)
            yield {"items_per_s": count / spent * 1e3}
            made.analyze()
            for _ in range(0 if kind == "flat" else ROUNDS):
                yield queries(store, embedding)

    return bench


def queries(store: Any, embedding: Topics) -> Sample:
    count = len(embedding.matrix)
    numbers = itertools.count(step=37)

    def best(prefix: Callable[[int], tuple[str, ...]], limit: int = LIMIT, **options: Any) -> float:
        def once() -> None:
            number = next(numbers) % count
            assert store.search(prefix(number), query=f"{number} ?", limit=limit, **options)

        return statistics.median(milliseconds(once) for _ in range(30))

    whole = range(count)
    found = [store.search((), query=f"{number} ?", limit=LIMIT) for number in range(0, count, count // 20)]
    right = [
        len(embedding.best(number, whole, LIMIT) & {item.value["number"] for item in page})
        for number, page in zip(range(0, count, count // 20), found, strict=True)
    ]
    return {
        "all_ms": best(lambda _: ()),
        "namespace_ms": best(namespace),
        "filter_ms": best(lambda _: (), filter={"number": {"$gte": count * 9 // 50}}),
        "rows": len(store.search((), query="7 ?", limit=100)),
        "recall": sum(right) / len(right) / LIMIT,
    }


def bulk(api: Api, scale: Scale) -> Iterator[Sample]:
    """All items into a store without an index, which an HNSW is then built for."""
    if api.root != OURS:
        return
    embedding = Topics(items(scale))
    for _ in range(3):
        with database() as made:
            started = time.perf_counter()
            with opened(api, made, indexed(embedding, "flat")) as store:
                for numbers in batches(items(scale)):
                    store.batch(puts(api, numbers))
            with opened(api, made, indexed(embedding, "hnsw")):
                yield {"items_per_s": items(scale) / (time.perf_counter() - started)}


def tenants(api: Api, scale: Scale) -> Iterator[Sample]:
    """Recall and rows of the best ten of tenants of several sizes, HNSW over all; another text each time."""
    embedding, put = Topics(MANY), api.module("store.base").PutOp
    owners = [name for name, size in TENANTS.items() for _ in range(size)]
    owners += [f"other-{number % 50}" for number in range(MANY - len(owners))]
    order = sorted(range(MANY), key=lambda number: number * 7_919 % MANY)
    of = {name: [number for number in range(MANY) if owners[number] == name] for name in TENANTS}
    with database() as made, opened(api, made, indexed(embedding, "hnsw")) as store:
        for chosen in batches(MANY):
            numbers = [order[place] for place in chosen]
            value = {number: {"text": f"{number} of many", "number": number} for number in numbers}
            store.batch([put((owners[number],), f"key-{number}", value[number]) for number in numbers])
            yield {}
        made.analyze()
        sample: dict[str, float] = {}
        for name, held in of.items():
            right = rows = 0
            for query in range(0, MANY, MANY // 50):
                page = store.search((name,), query=f"{query} ?", limit=LIMIT)
                rows += len(page)
                right += len(embedding.best(query, held, LIMIT) & {item.value["number"] for item in page})
            sample |= {f"recall_{name}": right / 50 / LIMIT, f"rows_{name}": rows / 50}
        yield sample


def batched(api: Api, scale: Scale) -> Iterator[Sample]:
    """1,000 items in one batch, put and got, and one by one; a store without an index."""
    get, number = api.module("store.base").GetOp, itertools.count()
    with database() as made, opened(api, made, None) as store:
        while True:
            start = next(number) % 10 * BATCH
            ops = puts(api, range(start, start + BATCH))
            gets = [get(op.namespace, op.key) for op in ops]
            put_ms, get_ms = milliseconds(partial(store.batch, ops)), milliseconds(partial(store.batch, gets))
            single = statistics.median(
                milliseconds(partial(store.get, op.namespace, op.key)) for op in ops[:200]
            )
            yield {
                "puts_per_s": BATCH / put_ms * 1e3,
                "gets_per_s": BATCH / get_ms * 1e3,
                "single_per_s": 1e3 / single,
            }


def gets_async(api: Api, scale: Scale) -> Iterator[Sample]:
    """64 tasks on one connection, each reading items one after the other."""
    ops = puts(api, range(BATCH))

    async def measured(made: Database) -> float:
        async with api.module("store.postgres.aio").AsyncPostgresStore.from_conn_string(made.uri) as store:

            async def one(task: int) -> None:
                for op in ops[task * 15 : task * 15 + 15] * 4:
                    assert await store.aget(op.namespace, op.key) is not None

            await asyncio.gather(*[one(task) for task in range(TASKS)])
            started = time.perf_counter()
            await asyncio.gather(*[one(task) for task in range(TASKS)])
            return TASKS * 60 / (time.perf_counter() - started)

    with database() as made:
        with opened(api, made, None) as store:
            store.batch(ops)
        while True:
            yield {"calls_per_s": asyncio.run(measured(made))}


PUT = """INSERT INTO item SELECT * FROM unnest(%s::text[], %s::text[], %s::jsonb[])
    ON CONFLICT (ns, key) DO UPDATE SET value = excluded.value"""
GET = """SELECT i, value FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS ask (ns, key, i)
    JOIN item USING (ns, key)"""
GET_ONE = "SELECT value FROM item WHERE ns = %s AND key = %s"


@contextmanager
def bare_items() -> Iterator[tuple[Database, Any, list[list[str]]]]:
    """A table of 1,000 items, a connection, and their columns."""
    import json

    import psycopg

    from benchmarks.workloads.stores import value

    numbers = range(BATCH)
    columns = [
        ["/".join(namespace(number)) for number in numbers],
        [f"key-{number}" for number in numbers],
        [json.dumps(value(number)) for number in numbers],
    ]
    with database() as made, psycopg.connect(made.uri, autocommit=True, prepare_threshold=0) as connection:
        connection.execute("CREATE TABLE item (ns text, key text, value jsonb, PRIMARY KEY (ns, key))")
        connection.execute(PUT, columns)
        yield made, connection, columns


def bare_batched(scale: Scale) -> Iterator[Sample]:
    """One statement for 1,000 items; single ones by key."""
    with bare_items() as (_, connection, columns):
        spaces, keys, _ = columns
        while True:
            put_ms = milliseconds(lambda: connection.execute(PUT, columns))
            get_ms = milliseconds(lambda: connection.execute(GET, (spaces, keys)).fetchall())
            single = statistics.median(
                milliseconds(lambda: connection.execute(GET_ONE, (spaces[7], keys[7])).fetchone())
                for _ in range(200)
            )
            rates = {"puts_per_s": BATCH / put_ms, "gets_per_s": BATCH / get_ms, "single_per_s": 1 / single}
            yield {name: rate * 1e3 for name, rate in rates.items()}


def bare_gets_async(scale: Scale) -> Iterator[Sample]:
    """A statement for what 64 tasks ask."""

    async def measured(made: Database, columns: list[list[str]]) -> float:
        from psycopg import AsyncConnection

        connection = await AsyncConnection.connect(made.uri, autocommit=True, prepare_threshold=0)
        async with connection:
            started = time.perf_counter()
            for _ in range(60):
                asked = [column[:TASKS] for column in columns[:2]]
                assert len(await (await connection.execute(GET, asked)).fetchall()) == TASKS
            return TASKS * 60 / (time.perf_counter() - started)

    with bare_items() as (made, _, columns):
        while True:
            yield {"calls_per_s": asyncio.run(measured(made, columns))}


@contextmanager
def bare_table(method: str | None = None) -> Iterator[Any]:
    """A connection to a database with one table of vectors."""
    import psycopg

    with database() as made, psycopg.connect(made.uri, autocommit=True, prepare_threshold=0) as connection:
        connection.execute("CREATE EXTENSION vector")
        connection.execute(f"CREATE TABLE memory (id bigint, ns text, value jsonb, embedding vector({DIMS}))")
        yield connection


_BUILD = {
    "hnsw": "CREATE INDEX ON memory USING hnsw (embedding vector_cosine_ops)",
    "ivfflat": "CREATE INDEX ON memory USING ivfflat (embedding vector_cosine_ops) WITH (lists = 10)",
    "flat": "SELECT 1",
}


def bare_ingest(kind: str) -> Callable[[Scale], Iterator[Sample]]:
    """COPY, binary, of vectors that are packed already; then the index is built; then bare queries."""

    def bench(scale: Scale) -> Iterator[Sample]:
        import json

        import numpy as np

        embedding, count = Topics(items(scale)), items(scale)
        head = np.array([DIMS, 0], dtype=">u2").tobytes()
        packed = [head + row.tobytes() for row in embedding.matrix.astype(">f4")]
        with bare_table() as connection:
            started = time.perf_counter()
            with connection.cursor() as cursor, cursor.copy("COPY memory FROM STDIN (FORMAT binary)") as copy:
                copy.set_types(["int8", "text", "jsonb", "bytea"])
                for number in range(count):
                    held = {"number": number, "text": f"{number} is the number of this memory"}
                    space = "/".join(namespace(number))
                    copy.write_row((number, space, psycopg_json(json.dumps(held)), packed[number]))
            connection.execute(_BUILD[kind])
            yield {"items_per_s": count / (time.perf_counter() - started)}
            connection.execute("CREATE INDEX ON memory (ns)")
            connection.execute("VACUUM ANALYZE memory")
            for _ in batches(count):  # while the others write theirs
                yield {}
            for _ in range(0 if kind == "flat" else ROUNDS):
                yield bare_queries(connection, packed)

    return bench


def psycopg_json(text: str) -> Any:
    from psycopg.types.json import Jsonb

    return Jsonb(text, dumps=lambda ready: ready)


def bare_queries(connection: Any, packed: list[bytes]) -> Sample:
    """The best ten by one statement each; the vector goes as text that was made before."""
    texts = {}
    numbers = itertools.count(step=37)
    for number in range(0, 37 * 200, 37):
        row = connection.execute(
            "SELECT embedding::text FROM memory WHERE id = %s", (number % len(packed),)
        ).fetchone()
        texts[number] = row[0]

    def best(where: str, parameters: Callable[[int], tuple[Any, ...]]) -> float:
        statement = f"SELECT id, value, 1 - (embedding <=> %s::vector) FROM memory {where}"  # noqa: S608
        statement += " ORDER BY embedding <=> %s::vector LIMIT 10"

        def once() -> None:
            number = next(numbers)
            vector = texts[number]
            assert connection.execute(statement, (vector, *parameters(number), vector)).fetchall()

        return statistics.median(milliseconds(once) for _ in range(30))

    return {
        "all_ms": best("", lambda _: ()),
        "namespace_ms": best("WHERE ns = %s", lambda number: ("/".join(namespace(number)),)),
        "filter_ms": best("WHERE (value -> 'number')::int >= %s", lambda _: (len(packed) * 9 // 50,)),
    }
