"""Connections that break, pools that are used up, operations that are cancelled."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolTimeout

from tests.contract.points import address, point
from threadkeep.checkpoint.base import SavePoint, SaveWrites
from threadkeep.checkpoint.postgres import PostgresSaver
from threadkeep.checkpoint.postgres.aio import AsyncPostgresSaver
from threadkeep.errors import StorageUnavailableError

LONG = "x" * 500


def kill(database: str, pid: int | None = None) -> None:
    """Ends one backend, or all others of the database; returns when they are gone."""
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
            "AND datname = current_database() AND backend_type = 'client backend' "
            "AND pid = coalesce(%s, pid)",
            (pid,),
        )


class Fuse:
    """Kills the backend of whoever executes the n-th statement from now, just before that."""

    def __init__(self, database: str) -> None:
        self.database = database
        self.left: int | None = None
        fuse = self

        class Cursor(psycopg.Cursor[Any]):
            def execute(self, *arguments: Any, **options: Any) -> Any:
                fuse.count(self.connection)
                return super().execute(*arguments, **options)

        self.cursor = Cursor

    def count(self, conn: psycopg.Connection[Any]) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left = None
                kill(self.database, conn.info.backend_pid)


def step(i: int, parent: Any) -> list[Any]:
    made = point({"m": [LONG + str(k) for k in range(i + 1)], "n": i}, {"m": i + 1, "n": i + 1})
    return [
        SavePoint(parent, made, {"step": i}, {"m": i + 1, "n": i + 1}),
        SaveWrites(address(id=made["id"]), [("n", i), ("m", [LONG])], "task"),
    ]


def seen(saver: PostgresSaver) -> list[Any]:
    return [
        (
            each.checkpoint["channel_values"]["n"],
            len(each.checkpoint["channel_values"]["m"]),
            each.pending_writes,
        )
        for each in saver.list(address())
    ]


def stored(count: int) -> list[Any]:
    return [(i, i + 1, [("task", "n", i), ("task", "m", [LONG])]) for i in range(count)][::-1]


@pytest.mark.parametrize("warm", [False, True], ids=["unknown thread", "known thread"])
def test_a_connection_killed_at_any_statement_leaves_the_thread_before_or_after(
    database: str, warm: bool
) -> None:
    fuse = Fuse(database)
    with PostgresSaver.from_conn_string(database) as reader:
        reader.setup()
        outcomes, causes = [], []
        parent, count = address(), 0
        for at in range(14):
            with psycopg.connect(database, autocommit=True, cursor_factory=fuse.cursor) as conn:
                saver = PostgresSaver(conn)
                if warm or count == 0:
                    ops = step(count, parent)
                    saver.commit(ops)
                    parent, count = address(id=ops[0].checkpoint["id"]), count + 1
                fuse.left = at
                ops = step(count, parent)
                try:
                    saver.commit(ops)
                    outcomes.append("stored")
                except StorageUnavailableError as error:
                    outcomes.append("lost")
                    causes.append(error.__cause__)
                fuse.left = None
            found = seen(reader)
            if found != stored(count):
                parent, count = address(id=ops[0].checkpoint["id"]), count + 1
                assert found == stored(count)
    assert outcomes[0] == "lost"
    assert all(isinstance(cause, psycopg.OperationalError) for cause in causes)
    assert outcomes[-1] == "stored"


def test_a_pool_whose_connections_are_killed_at_any_statement_stores_everything_once(database: str) -> None:
    fuse = Fuse(database)
    kwargs = {"autocommit": True, "cursor_factory": fuse.cursor}
    with ConnectionPool(database, min_size=2, max_size=2, kwargs=kwargs, open=True) as pool:
        saver = PostgresSaver(pool)
        saver.setup()
        parent: Any = address()
        for at in range(14):
            if at % 2:
                saver = PostgresSaver(pool)  # knows nothing, so it goes the long way
            fuse.left = at // 2
            ops = step(at, parent)
            saver.commit(ops)
            parent = address(id=ops[0].checkpoint["id"])
            fuse.left = None
        assert seen(saver) == stored(14)


@pytest.mark.parametrize("options", [{}, {"pool_config": {"min_size": 3, "max_size": 3}}, {"pipeline": True}])
def test_a_saver_that_made_its_connections_survives_the_end_of_all_of_them(
    database: str, options: Any
) -> None:
    with PostgresSaver.from_conn_string(database, **options) as saver:
        saver.setup()
        parent: Any = address()
        for i in range(3):
            ops = step(i, parent)
            saver.commit(ops)
            parent = address(id=ops[0].checkpoint["id"])
            kill(database)
            assert saver.get_tuple(address()) is not None
            kill(database)
        assert seen(saver) == stored(3)
        kill(database)
        saver.delete_thread("t")
        assert seen(saver) == []


async def test_the_async_saver_survives_it_too(database: str) -> None:
    both: list[dict[str, Any]] = [{}, {"pool_config": {"min_size": 2, "max_size": 2}}]
    for options in both:
        async with AsyncPostgresSaver.from_conn_string(database, **options) as saver:
            await saver.setup()
            config: Any = address(str(options))
            for i in range(3):
                config = await saver.aput(config, point({"n": i}, {"n": i + 1}), {}, {"n": i + 1})
                kill(database)
            found = [each async for each in saver.alist(address(str(options)))]
            assert [each.checkpoint["channel_values"]["n"] for each in found] == [2, 1, 0]


def test_a_server_that_is_not_there_is_an_error_with_its_cause() -> None:
    saver = PostgresSaver.from_conn_string("host=/nowhere dbname=x")
    with pytest.raises(StorageUnavailableError) as caught:
        saver.get_tuple(address())
    assert isinstance(caught.value.__cause__, psycopg.OperationalError)


def test_a_pool_that_is_used_up_says_so_and_works_again(database: str) -> None:
    with ConnectionPool(
        database, min_size=1, max_size=1, timeout=0.2, kwargs={"autocommit": True}, open=True
    ) as pool:
        saver = PostgresSaver(pool)
        saver.setup()
        for call in (saver.get_tuple, lambda config: saver.put(config, point({"n": 0}), {}, {"n": 1})):
            with pool.connection(), pytest.raises(StorageUnavailableError, match="max_size") as caught:
                call(address())
            assert isinstance(caught.value.__cause__, PoolTimeout)
            assert saver.get_tuple(address()) is None
        saver.put(address(), point({"n": 0}), {}, {"n": 1})


async def test_an_async_pool_that_is_used_up_says_so_and_works_again(database: str) -> None:
    async with AsyncConnectionPool(
        database, min_size=1, max_size=1, timeout=0.2, kwargs={"autocommit": True}, open=False
    ) as pool:
        saver = AsyncPostgresSaver(pool)
        await saver.setup()
        async with pool.connection():
            with pytest.raises(StorageUnavailableError, match="max_size") as caught:
                await saver.aput(address(), point({"n": 0}), {}, {"n": 1})
        assert isinstance(caught.value.__cause__, PoolTimeout)
        await saver.aput(address(), point({"n": 0}), {}, {"n": 1})
        assert await saver.aget_tuple(address()) is not None


def test_a_value_beyond_the_limit_is_refused_and_nothing_stored(database: str) -> None:
    with PostgresSaver.from_conn_string(database, max_value_bytes=10_000) as saver:
        saver.setup()
        for _ in range(2):
            with pytest.raises(ValueError, match="at most 10,000"):
                saver.put(address(), point({"a": "x" * 10_001}), {}, {"a": 1})
        assert [*saver.list(None)] == []
        config = saver.put(address(), point({"a": 1}), {}, {"a": 1})
        for large in (["x" * 10_001], [{"b": b"x" * 10_001}], "x" * 10_001):
            with pytest.raises(ValueError, match="at most 10,000"):
                saver.put_writes(config, [("a", 2), ("a", large)], "task")
            with pytest.raises(ValueError, match="at most 10,000"):
                saver.put(config, point({"a": large}), {}, {"a": 2})
        (found,) = saver.list(None)
        assert (found.checkpoint["channel_values"], found.pending_writes) == ({"a": 1}, [])
        saver.put_writes(config, [("a", ["x" * 6_000, "y" * 6_000])], "task")


def test_a_value_of_100_mb_comes_back(database: str) -> None:
    value = bytes(range(256)) * 409_600
    with PostgresSaver.from_conn_string(database) as saver:
        saver.setup()
        saver.put(address(), point({"a": value}), {}, {"a": 1})
    with PostgresSaver.from_conn_string(database) as saver:
        found = saver.get_tuple(address())
        assert found is not None
        assert found.checkpoint["channel_values"]["a"] == value


async def test_cancelled_operations_leave_pool_and_connection_usable(database: str) -> None:
    both: list[dict[str, Any]] = [{}, {"pool_config": {"min_size": 2, "max_size": 2}}]
    for options in both:
        async with AsyncPostgresSaver.from_conn_string(database, **options) as saver:
            await saver.setup()
            with psycopg.connect(database) as blocker:
                await saver.aput(address("t"), point({"n": 0}), {}, {"n": 1})
                blocker.execute("SELECT 1 FROM threadkeep_thread FOR UPDATE")
                for name in ("aput", "adelete_thread"):
                    arguments: Any = ("t",) if name == "adelete_thread" else (address("t"), point({}), {}, {})
                    with pytest.raises(TimeoutError):
                        async with asyncio.timeout(0.2):
                            await getattr(saver, name)(*arguments)
                assert await saver.aget_tuple(address("t")) is not None
            await saver.adelete_thread("t")
            assert await saver.aget_tuple(address("t")) is None


async def test_a_pool_of_the_program_stays_open_and_its_connections_clean(database: str) -> None:
    async with AsyncConnectionPool(database, min_size=1, max_size=1, open=False) as pool:
        async with AsyncPostgresSaver(pool) as saver:
            await saver.setup()
            await saver.aput(address(), point({"n": 0}), {}, {"n": 1})
            await saver.aput_writes(address(id="x"), [("n", 1)], "task")
        async with pool.connection() as conn:
            assert conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_threads_share_one_connection(database: str) -> None:
    with psycopg.connect(database, autocommit=True, prepare_threshold=None) as conn:
        saver = PostgresSaver(conn)
        saver.setup()

        def run(name: str) -> None:
            config: Any = address(name)
            for i in range(10):
                config = saver.put(config, point({"n": i}, {"n": i + 1}), {}, {"n": i + 1})

        workers = [threading.Thread(target=run, args=(str(i),)) for i in range(6)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        for i in range(6):
            found = [each.checkpoint["channel_values"]["n"] for each in saver.list(address(str(i)))]
            assert found == list(range(10))[::-1]


@pytest.mark.parametrize("pipeline", [True, False])
def test_an_error_of_the_server_is_not_taken_for_a_lost_commit(database: str, pipeline: bool) -> None:
    with PostgresSaver.from_conn_string(database, pipeline=pipeline) as saver:
        saver.setup()
        saver.put(address(), point({"n": 0}), {}, {"n": 1})
        with psycopg.connect(database, autocommit=True) as conn:
            conn.execute(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = 'disk_full'; END $$"
            )
            conn.execute(
                "CREATE TRIGGER full_disk BEFORE DELETE ON threadkeep_point "
                "FOR EACH ROW EXECUTE FUNCTION refuse()"
            )
        with pytest.raises(psycopg.errors.DiskFull, match="no room"):
            saver.delete_thread("t")
        assert saver.get_tuple(address()) is not None
