"""Commits that share a statement: each counts alone, and none waits for a thread that somebody else holds."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import psycopg
import pytest

from tests.contract.points import address, point
from threadkeep.checkpoint.base import SavePoint, SaveWrites
from threadkeep.checkpoint.postgres import PostgresSaver
from threadkeep.checkpoint.postgres.aio import AsyncPostgresSaver

POOL: Any = {"min_size": 2, "max_size": 4}
NAMES = [f"t{i}" for i in range(12)]


async def transactions(database: str, table: str) -> int:
    """How many transactions stored the rows that are there."""
    async with await psycopg.AsyncConnection.connect(database) as other:
        rows = await other.execute(
            "SELECT count(DISTINCT xmin::text) FROM threadkeep_point"
            if table == "point"
            else "SELECT count(DISTINCT xmin::text) FROM threadkeep_write"
        )
        found = await rows.fetchone()
    assert found is not None
    return int(found[0])


async def started(saver: AsyncPostgresSaver) -> dict[str, Any]:
    """Threads with one checkpoint each, by name."""
    await saver.setup()
    await saver.aget_tuple(address("nobody"))
    for name in NAMES:
        assert await saver.aget_tuple(address(name)) is None
    configs = await asyncio.gather(
        *(saver.aput(address(name), point({"a": name}), {"step": 0}, {"a": 1}) for name in NAMES)
    )
    return dict(zip(NAMES, configs, strict=True))


async def values(saver: AsyncPostgresSaver) -> list[Any]:
    found = [await saver.aget_tuple(address(name)) for name in NAMES]
    return [each and each.checkpoint["channel_values"]["a"] for each in found]


async def test_first_and_later_commits_of_tasks_that_wait_are_one_statement_each(database: str) -> None:
    async with AsyncPostgresSaver.from_conn_string(database, pool_config=POOL) as saver:
        configs = await started(saver)
        assert await transactions(database, "point") == 1
        await asyncio.gather(
            *(saver.aput_writes(config, [("n", name)], "task") for name, config in configs.items())
        )
        assert await transactions(database, "write") == 1
        assert await values(saver) == NAMES
        for name in NAMES:
            found = await saver.aget_tuple(address(name))
            assert found is not None
            assert found.pending_writes == [("task", "n", name)]


async def test_one_that_cannot_be_stored_fails_alone(database: str) -> None:
    async with AsyncPostgresSaver.from_conn_string(
        database, pool_config=POOL, max_value_bytes=10_000
    ) as saver:
        configs = await started(saver)
        results = await asyncio.gather(
            *(
                saver.aput(
                    config, point({"a": "x" * 20_000 if name == "t5" else f"{name} again"}), {}, {"a": 2}
                )
                for name, config in configs.items()
            ),
            return_exceptions=True,
        )
        assert [name for name, each in zip(NAMES, results, strict=True) if isinstance(each, Exception)] == [
            "t5"
        ]
        assert str(results[5]).startswith("A value has 20,0")
        assert await values(saver) == [name if name == "t5" else f"{name} again" for name in NAMES]


async def test_a_thread_that_somebody_holds_does_not_hold_up_the_others(database: str) -> None:
    async with AsyncPostgresSaver.from_conn_string(database, pool_config=POOL) as saver:
        configs = await started(saver)
        async with await psycopg.AsyncConnection.connect(database) as other:
            await other.execute("SELECT FROM threadkeep_thread WHERE thread_id = 't3' FOR UPDATE")
            puts = [
                asyncio.ensure_future(saver.aput(config, point({"a": "new"}), {}, {"a": 2}))
                for config in configs.values()
            ]
            await asyncio.gather(*(put for name, put in zip(NAMES, puts, strict=True) if name != "t3"))
            assert not puts[3].done()
            await other.rollback()
        await puts[3]
        assert await values(saver) == ["new"] * 12


async def test_what_another_process_changed_meanwhile_goes_the_long_way(database: str) -> None:
    async with AsyncPostgresSaver.from_conn_string(database, pool_config=POOL) as saver:
        configs = await started(saver)
        async with AsyncPostgresSaver.from_conn_string(database) as other:
            await other.aput_writes(configs["t2"], [("n", "theirs")], "task")
        await asyncio.gather(
            *(saver.aput_writes(config, [("n", "ours"), ("m", 1)], "task") for config in configs.values())
        )
        found = await saver.aget_tuple(address("t2"))
        assert found is not None
        assert found.pending_writes == [("task", "n", "theirs"), ("task", "m", 1)]


def test_writes_that_were_there_before_their_checkpoint_are_kept(database: str) -> None:
    with PostgresSaver.from_conn_string(database) as saver:
        saver.setup()
        first = saver.put(address(), point({"a": 1}), {}, {"a": 1})
        second = point({"a": 2})
        with PostgresSaver.from_conn_string(database) as other:
            other.put_writes(
                {"configurable": {**first["configurable"], "checkpoint_id": second["id"]}}, [("n", 1)], "task"
            )
        saver.put_writes(first, [("n", 0)], "task")
        config = saver.put(first, second, {}, {"a": 2})
        saver.put_writes(config, [("n", 2), ("m", 3)], "task")
        found = saver.get_tuple(address())
        assert found is not None
        assert found.pending_writes == [("task", "n", 1), ("task", "m", 3)]


def test_two_processes_that_begin_one_thread_at_once_both_keep_theirs(database: str) -> None:
    with (
        PostgresSaver.from_conn_string(database) as one,
        PostgresSaver.from_conn_string(database) as other,
    ):
        one.setup()
        for saver in (one, other):
            assert saver.get_tuple(address()) is None
        one.put(address(), point({"a": 1}), {}, {"a": 1})
        with pytest.warns(match="Two runs continued thread"):
            other.put(address(), point({"a": 2}), {}, {"a": 1})
        assert [each.checkpoint["channel_values"]["a"] for each in one.list(address())] == [2, 1]


def test_the_commits_of_threads_that_wait_are_exact(database: str) -> None:
    with PostgresSaver.from_conn_string(database, pool_config=POOL) as saver:
        saver.setup()
        configs = {name: saver.put(address(name), point({"a": 0}), {}, {"a": 1}) for name in NAMES}
        gate = threading.Barrier(len(NAMES))

        def run(name: str) -> None:
            gate.wait()
            for task in "xyz":
                saver.commit([SaveWrites(configs[name], [("n", name)], task, "")])
            saver.commit([SavePoint(configs[name], point({"a": name}), {}, {"a": 2})])

        workers = [threading.Thread(target=run, args=(name,)) for name in NAMES]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        for name in NAMES:
            head, before = saver.list(address(name))
            assert head.checkpoint["channel_values"] == {"a": name}
            assert before.pending_writes == [(task, "n", name) for task in "xyz"]


def test_a_process_that_did_not_store_all_of_a_thread_looks_for_objects_and_commits_in_one_statement(
    database: str,
) -> None:
    document = {"text": "shared " * 100}
    sent: list[str] = []

    class Recording(psycopg.Cursor[Any]):
        def execute(self, query: Any, *arguments: Any, **options: Any) -> Any:
            sent.append(" ".join(bytes(query).decode().split()[:3]))
            return super().execute(query, *arguments, **options)

    with (
        PostgresSaver.from_conn_string(database) as one,
        psycopg.connect(database, autocommit=True) as conn,
    ):
        one.setup()
        first, versions = {"a": document, "b": {"text": "0 " * 100}}, {"a": 1, "b": 1}
        config = one.put(address("t"), point(first, versions), {"step": 0}, versions)
        other = PostgresSaver(conn)
        values: Any = None
        for step in range(1, 4):  # the first goes the long way: nothing is known of the thread
            values = {"a": document, "b": {"text": f"{step} " * 100}}
            versions = {"a": step + 1, "b": step + 1}
            conn.cursor_factory = Recording
            sent.clear()
            config = other.put(config, point(values, versions), {"step": step}, versions)
        assert sent == ["SELECT i, n", "WITH thread AS"]
        objects = one.conn.execute("SELECT count(*) FROM threadkeep_object").fetchone()  # type: ignore[union-attr]  # a connection
        assert objects == (5,)
        found = one.get_tuple(address("t"))
        assert found is not None
        assert found.checkpoint["channel_values"] == values
