"""Plans with scripted answers and no storage: what they ask, in which order, and what they conclude."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.points import address, point
from threadkeep.checkpoint import requests as ask
from threadkeep.checkpoint.base import SavePoint, SaveWrites
from threadkeep.checkpoint.commits import Commit
from threadkeep.checkpoint.drafts import Address
from threadkeep.checkpoint.memo import Learned, Memos
from threadkeep.checkpoint.objects import Codec
from threadkeep.checkpoint.reads import get_tuple
from threadkeep.checkpoint.records import Writes, body_of, pack_writes, writes_of
from threadkeep.checkpoint.requests import Plan, PointRow, StoredRow, ThreadRow, WritesRow
from threadkeep.checkpoint.serde.jsonplus import JsonPlusSerializer
from threadkeep.checkpoint.upkeep import OBJECTS, ROWS, Job, copy_thread, next_batch, prune
from threadkeep.errors import CheckpointError, ConcurrentUpdateError, ThreadDeletedError

CODEC = Codec(JsonPlusSerializer())
BIG = "x" * 1000


class Script:
    """Answers a plan's requests in turn, and notes them."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[Any] = []

    def run(self, plan: Plan[Any]) -> Any:
        result = ask.drive(plan, self._answer)
        assert self.answers == []
        return result

    def run_job(self, job: Job) -> None:
        result = None
        while batch := next_batch(job, result):
            result = ask.drive(batch.plan(), self._answer)
        assert self.answers == []

    def _answer(self, request: Any) -> Any:
        self.asked.append(request)
        return self.answers.pop(0)

    def kinds(self) -> list[str]:
        return [type(request).__name__ for request in self.asked]


def entries_of(body: bytes) -> list[Any]:
    return [*writes_of(body).entries]


def commit(*ops: SavePoint | SaveWrites, memos: Memos | None = None, on_conflict: Any = "fork") -> Commit:
    made = Commit(CODEC, memos or Memos(10**6), on_conflict)
    for op in ops:
        made.add(op)
    return made


def test_a_first_checkpoint_asks_for_its_thread_and_adds_rows_and_objects() -> None:
    made = point({"small": 1, "big": BIG})
    script = Script(None, ThreadRow(7, 0, "", 1, None, ""), [], None)
    news = script.run(commit(SavePoint(address(), made, {"step": -1}, {"small": 1, "big": 1})).plan())
    assert script.kinds() == ["FindThread", "AddThread", "AddRows", "AddObjects"]
    rows, objects = script.asked[2], script.asked[3]
    assert (rows.no, rows.writes) == (7, [])
    ((ns, id, parent, body),) = rows.points
    assert (ns, id, parent) == ("", made["id"], None)
    assert body_of(body).nodes == [b"\x01", 1]
    assert objects == ask.AddObjects(7, 1, [CODEC.dump(BIG)])
    assert news == [Learned("t", 7, 0, {}, news[0].points, {CODEC.dump(BIG): 1}, [])]


def test_a_commit_of_a_remembered_thread_asks_twice() -> None:
    memos = Memos(10**6)
    first, second = point({"big": BIG}), point({"big": BIG + "y"}, {"big": 2})
    memos.learn(
        Script(None, ThreadRow(7, 0, "", 1, None, ""), [], None).run(
            commit(SavePoint(address(), first, {}, {"big": 1}), memos=memos).plan()
        )
    )
    script = Script(ThreadRow(7, 0, "", 2, first["id"], ""), [], None)
    script.run(commit(SavePoint(address(id=first["id"]), second, {}, {"big": 2}), memos=memos).plan())
    assert script.kinds() == ["FindThread", "AddRows", "AddObjects"]
    again = Script(ThreadRow(7, 0, "", 2, first["id"], ""), [])
    again.run(commit(SavePoint(address(id=first["id"]), first, {}, {"big": 1}), memos=memos).plan())
    assert again.kinds() == ["FindThread", "AddRows"]


def test_in_another_epoch_nothing_remembered_counts() -> None:
    memos = Memos(10**6)
    made = point({"big": [BIG] * 40})
    memos.learn(
        Script(None, ThreadRow(7, 0, "", 1, None, ""), [], None).run(
            commit(SavePoint(address(), made, {}, {"big": 1}), memos=memos).plan()
        )
    )
    script = Script(ThreadRow(7, 2, "", 5, None, ""), {}, [], None)
    script.run(commit(SavePoint(address(), made, {}, {"big": 1}), memos=memos).plan())
    assert script.kinds() == ["FindThread", "FindObjects", "AddRows", "AddObjects"]
    assert script.asked[-1] == ask.AddObjects(7, 5, [CODEC.dump(BIG)])


def test_while_a_thread_is_swept_no_object_is_found_by_its_bytes() -> None:
    script = Script(ThreadRow(7, 1, "", 5, None, ""), [], None)
    script.run(commit(SavePoint(address(), point({"big": BIG}), {}, {"big": 1})).plan())
    assert script.kinds() == ["FindThread", "AddRows", "AddObjects"]
    assert script.asked[-1] == ask.AddObjects(7, 5, [CODEC.dump(BIG)])


def test_objects_that_another_process_stored_are_found() -> None:
    script = Script(ThreadRow(7, 0, "", 30, None, ""), {CODEC.dump(BIG): 12}, [])
    script.run(commit(SaveWrites(address(id="c"), [("a", BIG), ("b", None)], "task", "path")).plan())
    assert script.kinds() == ["FindThread", "FindObjects", "AddRows"]
    ((_, _, task, body),) = script.asked[-1].writes
    assert (task, entries_of(body)) == ("task", [[0, "a", 12], [1, "b", b"\xc0"]])


def test_writes_said_twice_are_merged_with_the_stored() -> None:
    stored = pack_writes(Writes("path", [(0, "a", b"\x01"), (-4, "__resume__", b"\x02")]))
    script = Script(ThreadRow(7, 0, "", 1, "c", ""), [0], [WritesRow("task", stored)], None)
    writes = [("a", 9), ("b", 8), ("__resume__", 7)]
    script.run(commit(SaveWrites(address(id="c"), writes, "task")).plan())
    assert script.kinds() == ["FindThread", "AddRows", "ReadWrites", "SetWrites"]
    assert entries_of(script.asked[-1].body) == [
        [0, "a", b"\x01"],
        [-4, "__resume__", b"\x07"],
        [1, "b", b"\x08"],
    ]


def test_a_conflict_is_found_before_anything_is_written() -> None:
    put = SavePoint(address(id="old"), point({"a": 1}), {}, {"a": 1})
    script = Script(ThreadRow(7, 0, "", 1, "new", ""), None)
    with pytest.raises(ConcurrentUpdateError):
        script.run(commit(put, on_conflict="reject").plan())
    assert script.kinds() == ["FindThread", "ReadPoint"]
    forked = Script(ThreadRow(7, 0, "", 1, "new", ""), None, "new", None, [])
    (news,) = forked.run(commit(put).plan())
    assert forked.kinds() == ["FindThread", "ReadPoint", "HasChild", "ReadPoint", "AddRows"]
    assert len(news.diverged) == 1


def test_a_late_write_of_a_deleted_thread_is_found_before_anything_is_written() -> None:
    for op in (
        SavePoint(address(id="gone"), point({"a": 1}), {}, {"a": 1}),
        SaveWrites(address(id="gone"), [("a", 1)], "task"),
    ):
        script = Script(ThreadRow(7, 1, "grave", 1, None, ""), None)
        with pytest.raises(ThreadDeletedError):
            script.run(commit(op).plan())
        assert script.kinds() == ["FindThread", "ReadPoint"]


def test_a_load_reads_ranges_and_says_what_is_missing() -> None:
    values = {"messages": [{"text": f"{i} " * 50} for i in range(5)]}
    store = Script(None, ThreadRow(7, 0, "", 1, None, ""), [], None)
    store.run(commit(SavePoint(address(), point(values), {}, {"messages": 1})).plan())
    ((ns, id, parent, body),) = store.asked[2].points
    row = PointRow(7, "t", ns, id, parent, body)
    objects = dict(enumerate(store.asked[3].blobs, 1))
    load = Script(ThreadRow(7, 0, "", 6), row, [], objects)
    found = load.run(get_tuple(Address("t", "", None), CODEC, Memos(0)))
    assert load.asked[-1] == ask.ReadObjects(7, [(1, 5)])
    assert found.checkpoint["channel_values"] == values
    del objects[3]
    damaged = Script(ThreadRow(7, 0, "", 6), row, [], objects)
    with pytest.raises(CheckpointError, match="object 3"):
        damaged.run(get_tuple(Address("t", "", None), CODEC, Memos(0)))


def test_what_is_remembered_is_not_read() -> None:
    memos = Memos(10**6)
    made = point({"messages": [{"text": f"{i} " * 50} for i in range(5)]})
    store = Script(None, ThreadRow(7, 0, "", 1, None, ""), [], None)
    memos.learn(store.run(commit(SavePoint(address(), made, {}, {"messages": 1}), memos=memos).plan()))
    ((ns, id, parent, body),) = store.asked[2].points
    row = PointRow(7, "t", ns, id, parent, body)
    load = Script(ThreadRow(7, 0, "", 6), row, [])
    assert load.run(get_tuple(Address("t", "", None), CODEC, memos)).checkpoint == made
    other_epoch = Script(ThreadRow(7, 1, "", 6), row, [], dict(enumerate(store.asked[3].blobs, 1)))
    assert other_epoch.run(get_tuple(Address("t", "", None), CODEC, memos)).checkpoint == made


def test_a_sweep_keeps_what_remains_reachable() -> None:
    bodies: list[bytes] = []
    for values in ({"a": "a" * 300}, {"a": "b" * 300}):
        script = Script(ThreadRow(7, 0, "", len(bodies) + 1, None, ""), *([{}] if bodies else []), [], None)
        script.run(commit(SavePoint(address(), point(values), {}, {"a": 1})).plan())
        bodies.append(next(each for each in script.asked if type(each) is ask.AddRows).points[0][3])
    kept = StoredRow("", "2", None, bodies[1])
    begun, swept = ThreadRow(7, 0, "", 3), ThreadRow(7, 3, "", 3)
    script = Script(
        *(begun, [("", "1")]),  # is anything stale?
        *(begun, [("", "1")], 1, None),  # it is deleted, in an odd epoch
        *(ThreadRow(7, 1, "", 3), 3),  # the sweep begins
        ([kept], None),
        *(swept, [1, 2], None, 4),
    )
    script.run_job(prune(["t"], "keep_latest"))
    assert script.asked == [
        *(ask.FindThread("t"), ask.Stale(7, 1)),
        *(
            ask.FindThread("t"),
            ask.Stale(7, ROWS),
            ask.Touch(7, sweeping=True),
            ask.DropPoints(7, [("", "1")]),
        ),
        *(ask.FindThread("t"), ask.Touch(7, sweeping=True)),
        ask.Rows(7, None, ROWS),
        *(ask.FindThread("t"), ask.Numbers(7, 0, OBJECTS), ask.DropObjects(7, [(1, 1)]), ask.Touch(7)),
    ]


def test_a_sweep_stops_when_another_began_later() -> None:
    unfinished = ThreadRow(7, 1, "", 3)
    script = Script(unfinished, unfinished, [], unfinished, 3, ([], None), ThreadRow(7, 5, "", 3))
    script.run_job(prune(["t"], "keep_latest"))
    assert script.kinds() == [
        "FindThread",
        "FindThread",
        "Stale",
        "FindThread",
        "Touch",
        "Rows",
        "FindThread",
    ]


def test_a_copy_goes_to_an_empty_thread_only() -> None:
    here, there = ThreadRow(1, 0, "", 1), ThreadRow(2, 0, "", 1)
    script = Script(here, None, there, None)
    script.run(copy_thread("x", "y"))
    assert script.asked[2:] == [ask.AddThread("y"), ask.Copy(1, 2)]
    with pytest.raises(ValueError, match="has checkpoints"):
        Script(here, there, ([StoredRow("", "1", None, b"")], None)).run(copy_thread("x", "y"))
