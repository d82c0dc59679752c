"""Threads, tasks and processes on one database, each on its own thread and several on one."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.checkpoint_postgres.steps import check, step, values
from tests.contract.points import address, point
from threadkeep.checkpoint.base import SavePoint
from threadkeep.checkpoint.postgres import PostgresSaver
from threadkeep.checkpoint.postgres.aio import AsyncPostgresSaver
from threadkeep.errors import ConcurrentUpdateError, ConcurrentUpdateWarning, ThreadDeletedError

ROOT = Path(__file__).parents[2]
POOL: Any = {"min_size": 2, "max_size": 8}


def test_sixteen_threads_share_a_pool(database: str) -> None:
    with PostgresSaver.from_conn_string(database, pool_config=POOL) as saver:
        saver.setup()

        def run(thread: str) -> None:
            config: Any = address(thread)
            for i in range(12):
                config = saver.put(config, *step(thread, i))
                saver.put_writes(config, [("n", i)], "task")

        workers = [threading.Thread(target=run, args=(f"t{i}",)) for i in range(16)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        for i in range(16):
            check([*saver.list(address(f"t{i}"))], f"t{i}", 12)


async def test_sixty_four_tasks_share_a_pool(database: str) -> None:
    async with AsyncPostgresSaver.from_conn_string(database, pool_config=POOL) as saver:
        await saver.setup()

        async def run(thread: str) -> None:
            config: Any = address(thread)
            for i in range(4):
                config = await saver.aput(config, *step(thread, i))
                await saver.aput_writes(config, [("n", i)], "task")

        await asyncio.gather(*(run(f"t{i}") for i in range(64)))
        for i in range(64):
            check([each async for each in saver.alist(address(f"t{i}"))], f"t{i}", 4)


def test_of_many_runs_on_one_thread_one_moves_on_and_the_others_are_rejected(database: str) -> None:
    with PostgresSaver.from_conn_string(database, pool_config=POOL, on_conflict="reject") as saver:
        saver.setup()
        start = saver.put(address(), point({"a": 0}), {}, {"a": 1})
        outcomes: list[str] = []
        gate = threading.Barrier(8)

        def run(i: int) -> None:
            other = PostgresSaver(saver.conn, on_conflict="reject") if i % 2 else saver
            gate.wait()
            try:
                other.put(start, point({"a": i}), {}, {"a": 1})
                outcomes.append("moved on")
            except ConcurrentUpdateError:
                outcomes.append("rejected")

        workers = [threading.Thread(target=run, args=(i,)) for i in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert sorted(outcomes) == ["moved on"] + ["rejected"] * 7
        assert len([*saver.list(address())]) == 2


def test_writes_of_one_step_from_many_threads_are_all_kept(database: str) -> None:
    with PostgresSaver.from_conn_string(database, pool_config=POOL) as saver:
        saver.setup()
        start = saver.put(address(), point({"a": 0}), {}, {"a": 1})
        workers = [
            threading.Thread(target=saver.put_writes, args=(start, [("a", f"{i} " * 200)], f"task {i}"))
            for i in range(16)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        found = saver.get_tuple(start)
        assert found is not None
        assert sorted(found.pending_writes or []) == sorted(
            (f"task {i}", "a", f"{i} " * 200) for i in range(16)
        )


def test_a_thread_that_another_process_deleted_refuses_late_writes(database: str) -> None:
    with PostgresSaver.from_conn_string(database) as saver:
        saver.setup()
        config = saver.put(address(), point({"a": 0}), {}, {"a": 1})
        config = saver.put(config, point({"a": 1}), {}, {"a": 1})
        program = "import sys; from threadkeep.checkpoint.postgres import PostgresSaver as S; "
        program += "S.from_conn_string(sys.argv[1]).delete_thread('t')"
        subprocess.run([sys.executable, "-c", program, database], cwd=ROOT, check=True, timeout=60)
        with pytest.raises(ThreadDeletedError):
            saver.put(config, point({"a": 2}), {}, {"a": 1})
        assert [*saver.list(None)] == []


def test_two_savers_on_one_thread_see_each_others_changes(database: str) -> None:
    with (
        PostgresSaver.from_conn_string(database) as one,
        PostgresSaver.from_conn_string(database) as two,
    ):
        one.setup()
        config: Any = address()
        for i in range(6):
            config = (one, two)[i % 2].put(config, *step("t", i))
        two.prune(["t"])
        config = one.put(config, *step("t", 6))
        for saver in (one, two):
            found = [each.checkpoint["channel_values"] for each in saver.list(address())]
            assert found == [values("t", 6), values("t", 5)]


def test_readers_see_whole_checkpoints_while_a_writer_prunes(database: str) -> None:
    with PostgresSaver.from_conn_string(database, pool_config=POOL) as saver:
        saver.setup()
        saver.put(address(), *step("t", 0))
        done = threading.Event()
        errors: list[BaseException] = []

        def read() -> None:
            fresh = PostgresSaver(saver.conn)  # remembers no object
            while not done.is_set():
                try:
                    found = fresh.get_tuple(address())
                    assert found is not None
                    n = found.checkpoint["channel_values"]["n"]
                    assert found.checkpoint["channel_values"] == values("t", n)
                except BaseException as error:
                    errors.append(error)
                    return

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        config: Any = None
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConcurrentUpdateWarning)
            for i in range(1, 25):
                found = saver.get_tuple(address())
                assert found is not None
                config = saver.put(found.config, *step("t", i))
                saver.prune(["t"])
        done.set()
        for reader in readers:
            reader.join()
        assert errors == []
        assert config is not None


def test_commits_of_the_same_threads_in_opposite_orders_lock_them_in_one(database: str) -> None:
    names = [f"t{i}" for i in range(8)]
    with PostgresSaver.from_conn_string(database) as saver:
        saver.setup()

    def deadlocks() -> int:
        with psycopg.connect(database) as conn:
            row = conn.execute(
                "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
            ).fetchone()
        assert row is not None
        return int(row[0])

    def store(order: list[str]) -> None:
        with PostgresSaver.from_conn_string(database) as own:
            for i in range(10):
                own.commit([SavePoint(address(name), point({"n": i}), {}, {"n": 1}) for name in order])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConcurrentUpdateWarning)
        with ThreadPoolExecutor(4) as workers:
            list(workers.map(store, [names, names[::-1], names, names[::-1]]))
    assert deadlocks() == 0
