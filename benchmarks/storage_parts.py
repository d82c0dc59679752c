"""What the parts of the storage cost: figures of docs/storage.md. `python -m benchmarks.storage_parts`."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage

from benchmarks.workloads.disk import MEGABYTE, stored_megabytes, written_bytes
from threadkeep.checkpoint.base import Checkpoint, SavePoint, SaveWrites, uuid6
from threadkeep.checkpoint.objects import Codec
from threadkeep.checkpoint.serde.fingerprint import fingerprint
from threadkeep.checkpoint.serde.jsonplus import JsonPlusSerializer
from threadkeep.checkpoint.sqlite import SqliteSaver, file

COUNT = 1_000
TURNS = 500


def text(number: int) -> str:
    return f"{number} word ".ljust(1024, "x")


def dicts(count: int) -> list[Any]:
    return [{"role": "user", "content": text(i)} for i in range(count)]


def messages(count: int) -> list[Any]:
    return [(HumanMessage if i % 2 else AIMessage)(content=text(i), id=f"id-{i}") for i in range(count)]


def milliseconds(work: Callable[[], object], repeat: int = 15) -> float:
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def elements() -> None:
    """An unchanged list of 1,000 elements of 1 KB: proving it, serialising it, loading it."""
    codec = Codec(JsonPlusSerializer())
    for name, values in (("dicts", dicts(COUNT)), ("messages", messages(COUNT))):
        parts: Any = [codec.dump(value) for value in values]
        print(f"1,000 {name} of 1 KB")
        for run in (8, 32, 128, 1000):
            print(f"  fingerprints of runs of {run:4}: {milliseconds(partial(prove, values, run)):6.2f} ms")
        for what, work in (
            ("serialised one by one", partial(each, codec.dump, values)),
            ("loaded in one call", partial(codec.load_run, COUNT, parts)),
            ("loaded in runs", partial(codec.load_elements, parts)),
            ("loaded one by one", partial(each, codec.load, parts)),
        ):
            print(f"  {what:29}: {milliseconds(work):6.2f} ms")


def each(work: Callable[[Any], object], values: list[Any]) -> None:
    for value in values:
        work(value)


def prove(values: list[Any], run: int) -> None:
    for i in range(0, len(values), run):
        fingerprint(values[i : i + run])


@contextmanager
def page_size(size: int) -> Iterator[None]:
    usual, file.PAGE_SIZE = file.PAGE_SIZE, size
    yield
    file.PAGE_SIZE = usual


def page_sizes() -> None:
    """A chat of 500 turns with one commit a turn, as the engine makes it, at several page sizes."""
    print(f"\nchat of {TURNS} turns, 1 KB each way, one commit a turn")
    for size in (1024, 2048, 4096, 8192):
        with page_size(size), tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            path = Path(folder) / "chat.db"
            before = written_bytes() or 0
            with SqliteSaver.from_conn_string(path) as saver:
                early, late = chat(saver)
            with SqliteSaver.from_conn_string(path) as saver:
                cold = milliseconds(partial(saver.get_tuple, thread()), 5)
                rows = [
                    saver.conn.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 (our names)
                    for table in ("object", "log")
                ]
            written = ((written_bytes() or 0) - before) / MEGABYTE
            print(
                f"  pages of {size}: stored {stored_megabytes(path):5.2f} MB, written {written:5.1f} MB, "
                f"commit {early:.2f} → {late:.2f} ms, read from the file {cold:.2f} ms, rows {rows}"
            )


def thread(id: str | None = None) -> Any:
    configurable = {"thread_id": "chat", "checkpoint_ns": ""}
    return {"configurable": configurable if id is None else {**configurable, "checkpoint_id": id}}


def chat(saver: SqliteSaver) -> tuple[float, float]:
    """Milliseconds of a commit at the first and the last 50 turns."""
    config, times = thread(), []
    history: list[Any] = []
    for turn in range(TURNS):
        said = {"role": "user", "content": text(2 * turn)}
        answer = {"role": "ai", "content": text(2 * turn + 1)}
        n = 2 * turn
        first = point(
            {"messages": history, "__start__": {"messages": [said]}}, {"messages": n, "__start__": n + 1}
        )
        second = point({"messages": [*history, said]}, {"messages": n + 1, "__start__": n + 2})
        history = [*history, said, answer]
        third = point({"messages": history}, {"messages": n + 2, "__start__": n + 2})
        at = [thread(each["id"]) for each in (first, second, third)]
        ops: list[SavePoint | SaveWrites] = [
            SavePoint(config, first, {"source": "input", "step": n - 1}, {"__start__": n + 1}),
            SaveWrites(at[0], [("messages", [said])], f"start-{turn}"),
            SavePoint(at[0], second, {"source": "loop", "step": n}, second["channel_versions"]),
            SaveWrites(at[1], [("messages", [answer])], f"answer-{turn}"),
            SavePoint(at[1], third, {"source": "loop", "step": n + 1}, {"messages": n + 2}),
        ]
        times.append(milliseconds(partial(saver.commit, ops), 1))
        config = at[2]
    return statistics.median(times[:50]), statistics.median(times[-50:])


def point(values: dict[str, Any], versions: dict[str, int]) -> Checkpoint:
    return Checkpoint(
        v=4,
        id=uuid6(),
        ts="2026-01-01T00:00:00+00:00",
        channel_values=values,
        channel_versions=versions,
        versions_seen={"answer": versions},
        updated_channels=[*values],
    )


if __name__ == "__main__":
    elements()
    page_sizes()
