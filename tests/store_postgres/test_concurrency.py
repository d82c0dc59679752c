"""Threads, tasks and sweepers on one database."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from threadkeep.errors import StorageError
from threadkeep.store.base import GetOp, InvalidOpError, PutOp
from threadkeep.store.postgres import AsyncPostgresStore, PostgresStore
from threadkeep.store.postgres.operations import SWEPT_AT_ONCE

POOL: Any = {"min_size": 2, "max_size": 8}
START = datetime(2026, 1, 1, tzinfo=UTC)
DELETED = PutOp(("n",), "1", None)
WAITING = "SELECT FROM pg_locks WHERE NOT granted"


def in_threads(count: int, run: Any) -> None:
    """Runs a function of 0 to count - 1 in as many threads; raises what one of them raised."""
    failed: list[BaseException] = []

    def guarded(i: int) -> None:
        try:
            run(i)
        except BaseException as error:
            failed.append(error)

    workers = [threading.Thread(target=guarded, args=(i,)) for i in range(count)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if failed:
        raise failed[0]


@pytest.mark.parametrize("options", [{}, {"pool_config": POOL}, {"pipeline": True}])
def test_sixteen_threads_share_a_store(database: str, options: Any) -> None:
    with PostgresStore.from_conn_string(database, **options) as store:
        store.setup()

        def run(i: int) -> None:
            for n in range(10):
                store.put(("t", str(i)), str(n), {"n": n})
                item = store.get(("t", str(i)), str(n))
                assert item is not None and item.value == {"n": n}
            store.delete(("t", str(i)), "0")

        in_threads(16, run)
        assert len(store.search(("t",), limit=1000)) == 144
        assert store.list_namespaces(max_depth=1) == [("t",)]


def test_a_batch_that_puts_and_deletes_holds_its_items_in_the_order_of_their_names(database: str) -> None:
    with PostgresStore.from_conn_string(database) as store, psycopg.connect(database) as other:
        store.setup()
        store.batch([PutOp(("n",), key, {"v": 0}) for key in "12"])
        hold = "SELECT FROM threadkeep_item WHERE key = %s FOR UPDATE NOWAIT"
        other.execute(hold, ("1",))
        work = threading.Thread(target=store.batch, args=([PutOp(("n",), "2", {"v": 1}), DELETED],))
        work.start()
        with psycopg.connect(database, autocommit=True) as observer:
            while work.is_alive() and not observer.execute(WAITING).fetchall():
                pass
        other.execute(hold, ("2",))  # were it held by the batch, both would wait for each other
        other.commit()
        work.join()
        assert [(item.key, item.value) for item in store.search(("n",))] == [("2", {"v": 1})]


def test_batches_that_write_the_same_items_in_other_orders_all_happen(database: str) -> None:
    with PostgresStore.from_conn_string(database, pool_config=POOL) as store:
        store.setup()

        def run(i: int) -> None:
            for n in range(8):
                ops = [PutOp(("n",), str(k), {"by": [i, n]} if (k + i + n) % 3 else None) for k in range(20)]
                store.batch(ops if i % 2 else ops[::-1])

        in_threads(8, run)
        writers = {(*item.value["by"],) for item in store.search(("n",), limit=100)}
        assert len(writers) == 1, "the items of one batch are of one batch"


async def test_sixty_four_callers_get_their_own_items(database: str) -> None:
    async with AsyncPostgresStore.from_conn_string(database) as store:
        await store.setup()

        async def run(i: int) -> None:
            for n in range(10):
                await store.aput(("t", str(i)), "k", {"n": n})
                item = await store.aget(("t", str(i)), "k")
                assert item is not None and item.value == {"n": n} and item.namespace == ("t", str(i))

        await asyncio.gather(*(run(i) for i in range(64)))
        assert len(await store.asearch(("t",), limit=100)) == 64


async def test_gets_of_callers_at_once_are_one_statement(database: str) -> None:
    async with AsyncPostgresStore.from_conn_string(database) as store:
        await store.setup()
        await store.abatch([PutOp(("t",), str(i), {"i": i}) for i in range(64)])
        statements = 0

        class Counting(psycopg.AsyncCursor[Any]):
            async def execute(self, *arguments: Any, **options: Any) -> Any:
                nonlocal statements
                statements += 1
                return await super().execute(*arguments, **options)

        conn = store.conn
        assert isinstance(conn, psycopg.AsyncConnection)
        conn.cursor_factory = Counting
        items = await asyncio.gather(*(store.aget(("t",), str(i)) for i in range(64)))
        assert [item.value for item in items if item] == [{"i": i} for i in range(64)]
        assert statements == 1


async def test_a_bad_operation_fails_only_its_caller(database: str) -> None:
    async with AsyncPostgresStore.from_conn_string(database) as store:
        await store.setup()
        puts = [store.aput(("t",), str(i), {"i": i}) for i in range(8)]
        bad = store.aput(("t",), "k" * 3000, {})
        results = await asyncio.gather(*puts, bad, return_exceptions=True)
        assert results[:8] == [None] * 8
        assert isinstance(results[8], InvalidOpError)
        assert len(await store.asearch(("t",))) == 8


async def test_a_cancelled_operation_leaves_the_store_usable(database: str) -> None:
    async with AsyncPostgresStore.from_conn_string(database) as store:
        await store.setup()
        await store.aput(("t",), "k", {"n": 0})
        with psycopg.connect(database) as blocker:
            blocker.execute("LOCK TABLE threadkeep_item IN ACCESS EXCLUSIVE MODE")
            task = asyncio.create_task(store.abatch([GetOp(("t",), "k"), PutOp(("t",), "k", {"n": 1})]))
            waits = "SELECT FROM pg_locks WHERE NOT granted"
            while not blocker.execute(waits).fetchall():
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        item = await store.aget(("t",), "k")
        assert item is not None and item.value == {"n": 0}


async def test_sync_methods_work_from_threads_and_raise_on_the_loop(database: str) -> None:
    async with AsyncPostgresStore.from_conn_string(database) as store:
        await store.setup()
        await asyncio.to_thread(store.put, ("t",), "k", {"n": 1})
        item = await asyncio.to_thread(store.get, ("t",), "k")
        assert item is not None and item.value == {"n": 1}
        with pytest.raises(asyncio.InvalidStateError, match="await store"):
            store.get(("t",), "k")


@pytest.mark.parametrize("options", [{}, {"pool_config": POOL}])
def test_a_store_made_outside_of_loops_is_used_from_two_of_them_and_by_a_thread(
    database: str, options: Any
) -> None:
    store = AsyncPostgresStore.from_conn_string(database, **options)

    async def elsewhere(i: int) -> Any:
        await store.aput(("t",), str(i), {"i": i})
        items = await asyncio.gather(*(store.aget(("t",), str(i)) for _ in range(5)))
        return [item.value["i"] for item in items if item]

    async def main() -> None:
        async with store:
            await store.setup()
            assert await asyncio.to_thread(store.get, ("t",), "k") is None
            threads = [asyncio.to_thread(asyncio.run, elsewhere(i)) for i in range(3)]
            assert await asyncio.gather(elsewhere(3), *threads) == [[i] * 5 for i in (3, 0, 1, 2)]

    asyncio.run(main())


def mortal(database: str, count: int) -> PostgresStore:
    """A store, an hour after that many items expired, beside one that lives."""
    store = PostgresStore.from_conn_string(database, pool_config=POOL)
    store.setup()
    store._now = lambda: START
    store.batch([PutOp(("m",), str(i), {"i": i}, None, 1.0) for i in range(count)])
    store.put(("m",), "lives", {})
    store._now = lambda: START + timedelta(hours=1)
    return store


def left(database: str) -> Any:
    with psycopg.connect(database) as conn:
        return conn.execute("SELECT count(*), max(key) FROM threadkeep_item").fetchone()


def test_a_sweep_deletes_all_that_has_expired_in_bounded_batches(database: str) -> None:
    with mortal(database, 2 * SWEPT_AT_ONCE + 5) as store:
        assert store.sweep_ttl() == 2 * SWEPT_AT_ONCE + 5
        assert store.sweep_ttl() == 0
        assert left(database) == (1, "lives")


def test_two_sweepers_delete_everything_once(database: str) -> None:
    with mortal(database, 3 * SWEPT_AT_ONCE) as store:
        swept: list[int] = []
        gate = threading.Barrier(4)

        def run(i: int) -> None:
            gate.wait()
            swept.append(store.sweep_ttl())

        in_threads(4, run)
        swept.append(store.sweep_ttl())
        assert sum(swept) == 3 * SWEPT_AT_ONCE
        assert left(database) == (1, "lives")


def test_while_one_sweeps_another_does_nothing(database: str) -> None:
    with mortal(database, 3) as store, psycopg.connect(database) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", (store._operations._sweepers_lock(),))
        assert store.sweep_ttl() == 0
        other.rollback()
        assert store.sweep_ttl() == 3


def test_an_item_that_is_written_while_it_would_be_swept_stays(database: str) -> None:
    with mortal(database, 2) as store, psycopg.connect(database) as other:
        other.execute("UPDATE threadkeep_item SET expires = NULL, ttl = NULL WHERE key = '1'")
        assert store.sweep_ttl() == 1  # the writer is not waited for
        other.commit()
        assert store.sweep_ttl() == 0
        item = store.get(("m",), "1")
        assert item is not None and item.value == {"i": 1}


def test_a_sweeper_thread_sweeps_until_it_is_stopped(database: str) -> None:
    with mortal(database, 5) as store:
        future = store.start_ttl_sweeper(sweep_interval_minutes=60)
        assert store.start_ttl_sweeper() is future
        assert store.stop_ttl_sweeper() is True  # waits for the sweep under way
        assert future.result(timeout=0) is None
        assert left(database) == (1, "lives")
        assert store.stop_ttl_sweeper() is True


async def test_a_sweeper_task_sweeps_until_it_is_stopped(database: str) -> None:
    mortal(database, 5).close()
    async with AsyncPostgresStore.from_conn_string(database, ttl={"sweep_interval_minutes": 60}) as store:
        store._now = lambda: START + timedelta(hours=1)
        task = await store.start_ttl_sweeper()
        assert await store.start_ttl_sweeper() is task
        assert await store.stop_ttl_sweeper() is True  # waits for the first sweep
        assert task.done() and task.exception() is None
        assert left(database) == (1, "lives")


async def test_a_sweeper_ends_with_an_error_that_waiting_does_not_mend(database: str) -> None:
    async with AsyncPostgresStore.from_conn_string(database) as store:
        task = await store.start_ttl_sweeper()
        with pytest.raises(StorageError, match=r"setup\(\)"):
            await task


def test_a_sweeper_whose_event_loop_is_closed_does_not_keep_the_store_from_closing(database: str) -> None:
    store = AsyncPostgresStore.from_conn_string(database)

    async def begin() -> None:
        await store.setup()
        await store.start_ttl_sweeper()
        await store.aput(("n",), "k", {"a": 1})

    async def end() -> bool:
        stopped = await store.stop_ttl_sweeper()
        await store.aclose()
        return stopped

    asyncio.run(begin())
    assert asyncio.run(end()) is True


def test_a_store_without_an_index_that_waits_for_one_with_leaves_no_vector_of_what_it_overwrote(
    database: str,
) -> None:
    def embed(texts: Any) -> list[list[float]]:
        return [[1.0, 0.0] if text == "apple" else [0.0, 1.0] for text in texts]

    with (
        psycopg.connect(database, autocommit=True) as conn,
        PostgresStore.from_conn_string(database) as without,
        psycopg.connect(database, autocommit=True) as observer,
    ):
        store = PostgresStore(conn, index={"dims": 2, "embed": embed, "fields": ["text"]})
        store.setup()
        store.put(("n",), "k", {"text": "pear"})
        with conn.transaction():
            store.put(("n",), "k", {"text": "apple"})
            work = threading.Thread(target=without.put, args=(("n",), "k", {"text": "banana"}))
            work.start()
            while work.is_alive() and not observer.execute(WAITING).fetchall():
                pass
        work.join()
        assert store.search(("n",), query="apple") == []
        assert [item.value for item in store.search(("n",))] == [{"text": "banana"}]
