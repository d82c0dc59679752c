"""What a process knows of threads."""

from __future__ import annotations

import tracemalloc

from threadkeep.checkpoint.foretold import KnownThread, KnownThreads
from threadkeep.checkpoint.requests import ThreadRow


def test_what_is_known_of_threads_with_many_subgraphs_and_tasks_takes_40_mb_at_most() -> None:
    threads = KnownThreads()
    tracemalloc.start()
    try:
        for no in range(1, 900):
            known = KnownThread(ThreadRow(no, 0, "", 1), 1, {}, {})
            for i in range(60):
                ns, id = f"child:{no:08}-{i:027}", f"{no:08}-{i:027}"
                known.heads[ns] = None
                tasks = [(ns, id, f"{no:08}-{i:018}-{task:08}", b"") for task in range(2)]
                known.note([(ns, id, None, b"")], tasks)
            threads.learn(f"thread-{no}", known)
        assert tracemalloc.get_traced_memory()[0] < 40_000_000
    finally:
        tracemalloc.stop()
    assert threads.get("thread-1") is None
    assert threads.get("thread-899") is not None


def test_ten_thousand_threads_of_one_namespace_are_known() -> None:
    threads = KnownThreads()
    for no in range(1, 10_001):
        known = KnownThread(ThreadRow(no, 0, "", 1), 1, {"": None}, {})
        known.note([("", "1", None, b"")], [("", "1", "task", b"")])
        threads.learn(f"thread-{no}", known)
    assert threads.get("thread-1") is not None
