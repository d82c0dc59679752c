"""Threads, tasks and processes on one file."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from tests.contract.points import address, point
from threadkeep.checkpoint.base import SavePoint, SaveWrites
from threadkeep.checkpoint.sqlite import SqliteSaver
from threadkeep.checkpoint.sqlite.aio import AsyncSqliteSaver
from threadkeep.errors import ConcurrentUpdateError

ROOT = Path(__file__).parents[2]
MESSAGE = {"role": "user", "content": "shared " * 50}


def steps(saver: SqliteSaver, thread: str, count: int) -> None:
    """Puts `count` checkpoints with writes, each with one more message."""
    config: Any = address(thread)
    messages: list[Any] = []
    for i in range(count):
        messages = [*messages, MESSAGE, {"role": "ai", "content": f"{thread} {i} " * 20}]
        made = point({"messages": messages, "n": i}, {"messages": i + 1, "n": i + 1})
        config = saver.put(config, made, {"step": i}, {"messages": i + 1, "n": i + 1})
        saver.put_writes(config, [("messages", messages[-1:]), ("n", i + 1)], "task")


def check(saver: SqliteSaver, thread: str, count: int) -> None:
    found = [*saver.list(address(thread))]
    assert [each.checkpoint["channel_values"]["n"] for each in found] == list(range(count))[::-1]
    for each in found:
        n = each.checkpoint["channel_values"]["n"]
        contents = [message["content"] for message in each.checkpoint["channel_values"]["messages"]]
        assert contents == [
            text for i in range(n + 1) for text in (MESSAGE["content"], f"{thread} {i} " * 20)
        ]
        assert each.pending_writes == [
            ("task", "messages", [{"role": "ai", "content": f"{thread} {n} " * 20}]),
            ("task", "n", n + 1),
        ]


def test_eight_threads_share_a_saver(tmp_path: Path) -> None:
    with SqliteSaver.from_conn_string(tmp_path / "f.db") as saver:
        workers = [threading.Thread(target=steps, args=(saver, f"t{i}", 25)) for i in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        for i in range(8):
            check(saver, f"t{i}", 25)


def test_in_a_shared_transaction_only_the_failing_commit_fails(tmp_path: Path) -> None:
    with SqliteSaver.from_conn_string(tmp_path / "f.db", on_conflict="reject") as saver:
        start = saver.put(address(), point({"a": 0}), {}, {"a": 1})
        outcomes: list[str] = []
        gate = threading.Barrier(8)

        def run(i: int) -> None:
            gate.wait()
            for k in range(10):
                try:
                    saver.put(start, point({"a": i}), {}, {"a": 1})
                    outcomes.append("moved on")
                except ConcurrentUpdateError:
                    outcomes.append("rejected")
                saver.put_writes(start, [("a", k)], f"task {i}")
                saver.put_writes(start, [("b", k)], f"task {i}")

        workers = [threading.Thread(target=run, args=(i,)) for i in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert sorted(outcomes) == ["moved on"] + ["rejected"] * 79
        assert len([*saver.list(address())]) == 2
        found = saver.get_tuple(start)
        assert found is not None
        assert found.pending_writes == [(f"task {i}", "a", 0) for i in range(8)]


async def test_many_tasks_share_transactions(tmp_path: Path) -> None:
    async with AsyncSqliteSaver.from_conn_string(tmp_path / "f.db") as saver:

        async def run(thread: str) -> None:
            config: Any = address(thread)
            for i in range(20):
                config = await saver.aput(config, point({"n": i}, {"n": i + 1}), {}, {"n": i + 1})
                await saver.aput_writes(config, [("n", i)], "task")

        await asyncio.gather(*(run(f"t{i}") for i in range(32)))
        for i in range(32):
            found = [each async for each in saver.alist(address(f"t{i}"))]
            assert [each.checkpoint["channel_values"]["n"] for each in found] == list(range(20))[::-1]


async def test_a_connection_of_the_program_works_too() -> None:
    async with aiosqlite.connect(":memory:") as conn:
        saver = AsyncSqliteSaver(conn)
        await saver.setup()
        await saver.aput(address(), point({"a": 1}), {}, {"a": 1})
        assert await AsyncSqliteSaver(conn).aget(address()) is not None
        await saver.adelete_thread("t")
        await saver.vacuum()
    unopened = aiosqlite.connect(":memory:")
    saver = AsyncSqliteSaver(unopened)
    await saver.aput(address(), point({"a": 1}), {}, {"a": 1})
    await saver.close()


async def test_a_cancelled_caller_takes_nobody_with_it(tmp_path: Path) -> None:
    async with AsyncSqliteSaver.from_conn_string(tmp_path / "f.db") as saver:
        puts = [
            asyncio.create_task(saver.aput(address(f"t{i}"), point({"n": i}), {}, {"n": 1}))
            for i in range(20)
        ]
        await asyncio.sleep(0)
        for put in puts[::2]:
            put.cancel()
        results = await asyncio.gather(*puts, return_exceptions=True)
        assert [isinstance(result, asyncio.CancelledError) for result in results] == [True, False] * 10
        for i in range(1, 20, 2):
            assert await saver.aget_tuple(address(f"t{i}")) is not None


async def test_one_tasks_error_is_its_own(tmp_path: Path) -> None:
    async with AsyncSqliteSaver.from_conn_string(tmp_path / "f.db", on_conflict="reject") as saver:
        start = await saver.aput(address(), point({"a": 0}), {}, {"a": 1})
        results = await asyncio.gather(
            *(saver.aput(start, point({"a": i}), {}, {"a": 1}) for i in range(10)), return_exceptions=True
        )
        assert [type(result) for result in results].count(ConcurrentUpdateError) == 9


async def test_a_sync_method_on_the_loops_thread_is_refused(tmp_path: Path) -> None:
    async with AsyncSqliteSaver.from_conn_string(tmp_path / "f.db") as saver:
        for call in (
            lambda: saver.get_tuple(address()),
            lambda: saver.put(address(), point({}), {}, {}),
            lambda: saver.delete_thread("t"),
            lambda: [*saver.list(None)],
        ):
            with pytest.raises(asyncio.InvalidStateError, match="use the async one"):
                call()


def test_a_sync_method_without_a_loop_is_refused(tmp_path: Path) -> None:
    saver = AsyncSqliteSaver.from_conn_string(tmp_path / "f.db")
    with pytest.raises(asyncio.InvalidStateError, match="SqliteSaver"):
        saver.get_tuple(address())


def test_a_saver_made_outside_a_loop_opens_itself_and_does_not_keep_the_process_alive(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from threadkeep.checkpoint.sqlite.aio import AsyncSqliteSaver
from tests.contract.points import address, point
saver = AsyncSqliteSaver.from_conn_string(sys.argv[1])
asyncio.run(saver.aput(address(), point({"a": 1}), {}, {"a": 1}))
print(asyncio.run(saver.aget_tuple(address())).checkpoint["channel_values"])
"""
    done = python(program, tmp_path / "f.db")
    out, _ = done.communicate(timeout=60)
    assert (done.returncode, out) == (0, "{'a': 1}\n")


async def test_a_second_loop_is_refused_while_the_first_is_open(tmp_path: Path) -> None:
    async with AsyncSqliteSaver.from_conn_string(tmp_path / "f.db") as saver:

        def other_loop() -> None:
            asyncio.run(saver.aget_tuple(address()))

        with pytest.raises(RuntimeError, match="one event loop"):
            await asyncio.to_thread(other_loop)


def python(program: str, *arguments: object) -> subprocess.Popen[str]:
    """Starts a program with our packages on its path."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


STEPS = """
import sys
from tests.checkpoint_sqlite.test_concurrency import steps
from threadkeep.checkpoint.sqlite import SqliteSaver
with SqliteSaver.from_conn_string(sys.argv[1]) as saver:
    for thread in sys.argv[2:]:
        steps(saver, thread, 25)
"""


def test_four_processes_write_one_new_file(tmp_path: Path) -> None:
    children = [python(STEPS, tmp_path / "f.db", f"t{i}", f"u{i}") for i in range(4)]
    for child in children:
        child.communicate(timeout=120)
    assert [child.returncode for child in children] == [0] * 4
    with SqliteSaver.from_conn_string(tmp_path / "f.db") as saver:
        for i in range(4):
            check(saver, f"t{i}", 25)
            check(saver, f"u{i}", 25)


def test_two_savers_on_one_thread_see_each_others_deletions(tmp_path: Path) -> None:
    with (
        SqliteSaver.from_conn_string(tmp_path / "f.db") as one,
        SqliteSaver.from_conn_string(tmp_path / "f.db") as two,
    ):
        message = {"content": "m" * 300}
        config = one.put(address(), point({"messages": [message]}), {}, {"messages": 1})
        config = one.put(config, point({"messages": [{"content": "n" * 300}]}), {}, {"messages": 1})
        two.prune(["t"])
        config = one.put(config, point({"messages": [message]}), {}, {"messages": 1})
        found = two.get_tuple(address())
        assert found is not None
        assert found.checkpoint["channel_values"] == {"messages": [message]}
        two.delete_thread("t")
        config = one.put(address(), point({"messages": [message]}), {}, {"messages": 1})
        found = two.get_tuple(address())
        assert found is not None
        assert found.checkpoint["channel_values"] == {"messages": [message]}


KILLED = """
import sys
from tests.contract.points import address, point
from threadkeep.checkpoint.base import SavePoint, SaveWrites
from threadkeep.checkpoint.sqlite import SqliteSaver
with SqliteSaver.from_conn_string(sys.argv[1]) as saver:
    config, messages = address(), []
    for i in range(10**9):
        messages = [*messages, {"content": f"{i} " * 100}]
        made = point({"messages": messages, "n": i}, {"messages": i + 1, "n": i + 1})
        saver.commit([
            SavePoint(config, made, {"step": i}, {"messages": i + 1, "n": i + 1}),
            SaveWrites(address(id=made["id"]), [("n", i)], "task"),
        ])
        config = address(id=made["id"])
        print(i, flush=True)
"""


@pytest.mark.parametrize("after", [0, 1, 7, 40])
def test_a_process_killed_in_a_commit_leaves_whole_commits_only(tmp_path: Path, after: int) -> None:
    with python(KILLED, tmp_path / "f.db") as child:
        assert child.stdout is not None
        for line in child.stdout:
            if int(line) >= after:
                break
        os.kill(child.pid, signal.SIGKILL)
        rest = child.stdout.read().splitlines()
    told = int(rest[-1]) if rest and rest[-1].isdigit() else after
    with SqliteSaver.from_conn_string(tmp_path / "f.db") as saver:
        found = [*saver.list(address())]
        count = len(found)
        assert count > told
        assert [each.checkpoint["channel_values"]["n"] for each in found] == list(range(count))[::-1]
        assert [each.pending_writes for each in found] == [[("task", "n", i)] for i in range(count)][::-1]
        assert [each["content"] for each in found[0].checkpoint["channel_values"]["messages"]] == [
            f"{i} " * 100 for i in range(count)
        ]
        assert saver.conn.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        made = point({"n": "on"})
        saver.commit(
            [SavePoint(found[0].config, made, {}, {"n": 1}), SaveWrites(found[0].config, [("n", 0)], "x")]
        )
