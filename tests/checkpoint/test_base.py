"""Ids, and the functions that make checkpoints and metadata."""

from __future__ import annotations

import os
import threading
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from threadkeep.channels import BinaryOperatorAggregate, LastValue
from threadkeep.checkpoint.base import (
    BaseCheckpointSaver,
    CheckpointTuple,
    SavePoint,
    SaveWrites,
    copy_checkpoint,
    create_checkpoint,
    empty_checkpoint,
    get_checkpoint_id,
    get_checkpoint_metadata,
    get_serializable_checkpoint_metadata,
    uuid6,
    writes_sort_key,
)
from threadkeep.checkpoint.memory import InMemorySaver, MemorySaver
from threadkeep.checkpoint.serde.jsonplus import JsonPlusSerializer


def test_ids_are_uuids_of_version_6_that_rise() -> None:
    ids = [uuid6(step) for step in range(-2, 5_000)]
    assert ids == sorted(set(ids))
    assert {(UUID(id).version, UUID(id).variant) for id in ids} == {(6, "specified in RFC 4122")}
    assert all(str(UUID(id)) == id for id in ids)
    assert [UUID(id).clock_seq for id in ids[2:102]] == list(range(100))


def test_ids_of_many_threads_differ_and_rise_in_each() -> None:
    made: list[list[str]] = []

    def work() -> None:
        made.append([uuid6() for _ in range(2_000)])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id for ids in made for id in ids}) == 16_000
    assert all(ids == sorted(ids) for ids in made)


def test_a_forked_process_makes_other_ids() -> None:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, "".join(uuid6() for _ in range(100)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    theirs = {text[i + 19 : i + 36] for i in range(0, len(text), 36)}
    ours = {uuid6()[19:] for _ in range(100)}
    assert len(theirs) == 100
    assert not theirs & ours


def test_an_empty_checkpoint_has_nothing() -> None:
    made = empty_checkpoint()
    assert {**made, "id": "", "ts": ""} == {
        "v": made["v"], "id": "", "ts": "", "channel_values": {}, "channel_versions": {}, "versions_seen": {},
        "updated_channels": None,
    }  # fmt: skip
    assert datetime.fromisoformat(made["ts"]).tzinfo is not None


def test_a_new_checkpoint_holds_what_channels_with_a_version_hold() -> None:
    full: LastValue[int]
    empty: LastValue[int]
    unknown: LastValue[int]
    full, empty, unknown = LastValue(int), LastValue(int), LastValue(int)
    full.update([1])
    unknown.update([2])
    added = BinaryOperatorAggregate(list, lambda a, b: a + b)
    before = empty_checkpoint()
    before["channel_versions"] = {"full": 1, "empty": 1, "added": 1, "none": 3}
    channels: dict[str, Any] = {"full": full, "empty": empty, "added": added, "unknown": unknown}
    made = create_checkpoint(before, channels, 3, id="given")
    assert made["id"] == "given"
    assert made["channel_values"] == {"full": 1, "added": []}
    assert made["channel_versions"] == before["channel_versions"]
    assert create_checkpoint(made, None, 4)["channel_values"] == {"full": 1, "added": []}


def test_a_copy_can_be_changed_alone() -> None:
    made = empty_checkpoint()
    made["channel_versions"]["a"] = 1
    made["versions_seen"]["n"] = {"a": 1}
    made["updated_channels"] = ["a"]
    copy = copy_checkpoint(made)
    assert copy == made
    copy["channel_versions"]["a"] = 2
    copy["versions_seen"]["n"]["a"] = 2
    copy["channel_values"]["a"] = 2
    assert copy["updated_channels"] is not None
    copy["updated_channels"].append("b")
    assert made["channel_versions"] == made["versions_seen"]["n"] == {"a": 1}
    assert made["channel_values"] == {}
    assert made["updated_channels"] == ["a"]


def test_metadata_takes_simple_entries_of_the_config() -> None:
    config: Any = {
        "configurable": {
            "thread_id": "t", "checkpoint_ns": "", "checkpoint_id": "c", "checkpoint_map": {},
            "user": "u\x00", "n": 1.5, "yes": True, "nothing": None, "object": object(), "list": [1],
            "__hidden": 1, "step": 77,
        },
        "metadata": {"user": "first", "langgraph_step": 3, "thread_id": "x", "deep": {"a": 1}, "team": "t"},
    }  # fmt: skip
    given: Any = {"source": "loop", "step": 1, "writes": {"a": 1}}
    expected: dict[str, Any] = {**given, "user": "first", "team": "t", "n": 1.5, "yes": True}
    assert dict(get_checkpoint_metadata(config, given)) == expected
    expected.pop("writes")
    assert dict(get_serializable_checkpoint_metadata(config, given)) == expected
    assert given == {"source": "loop", "step": 1, "writes": {"a": 1}}


def test_small_helpers() -> None:
    assert get_checkpoint_id({"configurable": {"checkpoint_id": "c"}}) == "c"
    assert get_checkpoint_id({"configurable": {}}) is None
    assert writes_sort_key("path", "task", 2) == ("path", "task", 2)
    assert MemorySaver is InMemorySaver


class Recorder(BaseCheckpointSaver[int]):
    """A saver of somebody else's that has only the classic methods."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Any] = []

    def put(self, *arguments: Any) -> Any:
        self.calls.append(("put", *arguments))
        return arguments[0]

    def put_writes(self, *arguments: Any) -> None:
        self.calls.append(("put_writes", *arguments))

    async def aput(self, *arguments: Any) -> Any:
        return self.put(*arguments)

    async def aput_writes(self, *arguments: Any) -> None:
        self.put_writes(*arguments)


async def test_a_classic_saver_gets_the_operations_of_a_commit_one_by_one() -> None:
    config: Any = {"configurable": {"thread_id": "t"}}
    point = SavePoint(config, empty_checkpoint(), {}, {})
    writes = SaveWrites(config, [("a", 1)], "task", "path")
    saver = Recorder()
    saver.commit([writes, point])
    await saver.acommit([writes, point])
    assert saver.calls == [("put_writes", *writes), ("put", *point)] * 2


async def test_what_a_saver_does_not_have_is_said() -> None:
    saver: BaseCheckpointSaver[int] = BaseCheckpointSaver()
    config: Any = {"configurable": {"thread_id": "t"}}
    for call in (saver.get_tuple, saver.list, saver.delete_thread, saver.prune):
        with pytest.raises(NotImplementedError):
            call(config)
    with pytest.raises(NotImplementedError):
        await saver.aget_tuple(config)
    with pytest.raises(NotImplementedError):
        _ = [each async for each in saver.alist(config)]


class Unlisted:
    """A type on no allow-list."""

    def __init__(self, a: int) -> None:
        self.a = a


def test_a_saver_with_an_allow_list_shares_the_storage() -> None:
    saver = InMemorySaver(serde=JsonPlusSerializer())
    wider = saver.with_allowlist([Unlisted])
    config: Any = {"configurable": {"thread_id": "t"}}
    made = {**empty_checkpoint(), "channel_values": {"a": Unlisted(5)}, "channel_versions": {"a": 1}}
    with pytest.raises(TypeError, match="Unlisted"):
        saver.put(config, made, {}, {"a": 1})  # type: ignore[arg-type]  # a plain dict
    assert saver.get_tuple(config) is None
    wider.put(config, made, {}, {"a": 1})  # type: ignore[arg-type]  # a plain dict
    found: CheckpointTuple | None = wider.get_tuple(config)
    assert found is not None
    assert found.checkpoint["channel_values"]["a"].a == 5
    with pytest.raises(ValueError, match="Unlisted"):
        saver.get_tuple(config)
