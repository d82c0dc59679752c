"""Behind a pooler in transaction mode: two connections for all clients, and nothing kept in a session."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.checkpoint_postgres.steps import check, step
from tests.contract.points import address, point
from tests.postgres_pooler import KINDS, pooled
from threadkeep.checkpoint.postgres import PostgresSaver
from threadkeep.checkpoint.postgres.aio import AsyncPostgresSaver
from threadkeep.errors import ConcurrentUpdateError, StorageError, ThreadDeletedError

POOL: Any = {"min_size": 2, "max_size": 8, "kwargs": {"prepare_threshold": None}}


@pytest.fixture(params=KINDS)
def pooler(request: pytest.FixtureRequest, database: str) -> Iterator[str]:
    """The address of a pooler with two connections to an empty database."""
    with pooled(request.param, database) as address:
        yield address


def kept(pooler: str) -> list[tuple[int, int, int]]:
    """Prepared statements, advisory locks and temporary tables in the sessions of the server."""
    seen = {}
    with (
        psycopg.connect(pooler, autocommit=True, prepare_threshold=None) as one,
        psycopg.connect(pooler, autocommit=True, prepare_threshold=None) as two,
        one.transaction(),
        two.transaction(),  # at once, so each has a connection of its own
    ):
        for conn in (one, two):
            row = conn.execute(
                "SELECT pg_backend_pid(), (SELECT count(*) FROM pg_prepared_statements), "
                "(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'), "
                "(SELECT count(*) FROM pg_class WHERE relpersistence = 't')"
            ).fetchone()
            assert row is not None
            seen[row[0]] = row[1:]
    assert len(seen) == 2
    return list(seen.values())


def test_a_pooler_lends_a_connection_only_for_a_transaction(pooler: str) -> None:
    with (
        psycopg.connect(pooler, autocommit=True, prepare_threshold=None) as one,
        psycopg.connect(pooler, autocommit=True, prepare_threshold=None) as two,
    ):

        def pid(conn: psycopg.Connection[Any]) -> Any:
            return conn.execute("SELECT pg_backend_pid()").fetchone()

        with one.transaction():
            first = pid(one)
            with two.transaction():
                other = pid(two)
                assert other != first
                assert pid(one) == first
        with two.transaction():
            seen = {pid(two), pid(one)}
        assert seen == {first, other}


def test_everything_works_through_it(pooler: str) -> None:
    with PostgresSaver.from_conn_string(pooler, pool_config=POOL, on_conflict="reject") as saver:
        assert "CREATE TABLE" in saver.setup()
        assert saver.check()
        config: Any = address("t")
        start = config = saver.put(config, *step("t", 0))
        saver.put_writes(config, [("n", 0)], "task")
        for i in range(1, 12):
            config = saver.put(config, *step("t", i))
            saver.put_writes(config, [("n", i)], "task")
        check([*saver.list(address("t"))], "t", 12)
        check([*PostgresSaver(saver.conn).list(address("t"))], "t", 12)
        assert len([*saver.list(None, filter={"step": 3})]) == 1
        with pytest.raises(ConcurrentUpdateError):
            saver.put(start, *step("t", 1))
        saver.copy_thread("t", "copy")
        saver.prune(["t"])
        assert len([*saver.list(address("t"))]) == 1
        saver.delete_thread("t")
        with pytest.raises(ThreadDeletedError):
            saver.put(config, *step("t", 12))
        check([*saver.list(address("copy"))], "t", 12)
    assert kept(pooler) == [(0, 0, 0)] * 2


async def test_everything_works_through_it_with_tasks(pooler: str) -> None:
    async with AsyncPostgresSaver.from_conn_string(pooler, pool_config=POOL) as saver:
        await saver.setup()

        async def run(thread: str) -> None:
            config: Any = address(thread)
            for i in range(6):
                config = await saver.aput(config, *step(thread, i))
                await saver.aput_writes(config, [("n", i)], "task")

        await asyncio.gather(*(run(f"t{i}") for i in range(16)))
        for i in range(16):
            check([each async for each in saver.alist(address(f"t{i}"))], f"t{i}", 6)
    assert kept(pooler) == [(0, 0, 0)] * 2


def test_eight_threads_share_two_connections(pooler: str) -> None:
    with PostgresSaver.from_conn_string(pooler, pool_config=POOL) as saver:
        saver.setup()
        errors: list[BaseException] = []

        def run(thread: str) -> None:
            try:
                with psycopg.connect(pooler, autocommit=True, prepare_threshold=None) as conn:
                    config: Any = address(thread)
                    for i in range(12):
                        own = PostgresSaver(conn) if i % 3 else saver
                        config = own.put(config, *step(thread, i))
                        own.put_writes(config, [("n", i)], "task")
            except BaseException as error:
                errors.append(error)

        workers = [threading.Thread(target=run, args=(f"t{i}",)) for i in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert errors == []
        for i in range(8):
            check([*saver.list(address(f"t{i}"))], f"t{i}", 12)
    assert kept(pooler) == [(0, 0, 0)] * 2


def test_whoever_prepares_statements_behind_it_is_told_what_to_do(pooler: str) -> None:
    with PostgresSaver.from_conn_string(pooler, pool_config=POOL) as saver:
        saver.setup()

    def read(*savers: PostgresSaver) -> None:
        for i in range(100):
            for saver in savers:
                saver.get_tuple(address(f"t{i}"))

    with (
        PostgresSaver.from_conn_string(pooler) as one,
        PostgresSaver.from_conn_string(pooler) as two,
        pytest.raises(StorageError, match="prepare_threshold=None") as caught,
    ):
        read(one, two)
    assert isinstance(caught.value.__cause__, psycopg.Error)


def test_twenty_clients_set_up_at_once(pooler: str, database: str) -> None:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            with PostgresSaver.from_conn_string(pooler, pool_config=POOL) as saver:
                saver.setup()
                assert saver.check()
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=run) for _ in range(20)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert errors == []
    with psycopg.connect(database) as conn:
        assert conn.execute("SELECT count(*) FROM threadkeep_secret").fetchone() == (1,)


def test_an_index_that_was_left_invalid_is_rebuilt_again_and_again(pooler: str, database: str) -> None:
    with PostgresSaver.from_conn_string(pooler, pool_config=POOL) as saver:
        saver.setup()
        for _ in range(3):
            with psycopg.connect(database, autocommit=True) as conn:
                conn.execute(
                    "UPDATE pg_index SET indisvalid = false "
                    "WHERE indexrelid = 'threadkeep_point_by_id'::regclass"
                )
            assert not saver.check()
            saver.setup()
            assert saver.check()
    assert kept(pooler) == [(0, 0, 0)] * 2


async def test_a_cancelled_operation_leaves_the_poolers_connections_usable(pooler: str) -> None:
    async with AsyncPostgresSaver.from_conn_string(pooler, pool_config=POOL) as saver:
        await saver.setup()
        await saver.aput(address("t"), point({"n": 0}), {}, {"n": 1})
        async with await psycopg.AsyncConnection.connect(pooler, prepare_threshold=None) as blocker:
            await blocker.execute("SELECT 1 FROM threadkeep_thread FOR UPDATE")
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await saver.adelete_thread("t")
        await saver.adelete_thread("t")
        assert await saver.aget_tuple(address("t")) is None
    assert kept(pooler) == [(0, 0, 0)] * 2
