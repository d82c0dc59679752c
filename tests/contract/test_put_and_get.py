"""The saver contract: what is put is what is got."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from pydantic import BaseModel

from tests.contract.backends import Backend, Saver, opened
from tests.contract.points import Run, address, point, values


async def test_an_empty_saver_has_nothing(saver: Saver) -> None:
    assert await saver.get_tuple(address()) is None
    assert await saver.get(address()) is None
    assert await saver.list(address()) == []
    assert await saver.list(None) == []


async def test_a_checkpoint_comes_back_whole(saver: Saver) -> None:
    made = point({"a": [1, "x", None], "b": {"k": datetime(2026, 1, 1, tzinfo=UTC)}})
    config = await saver.put(
        address(), made, {"source": "input", "step": -1, "parents": {}}, {"a": 1, "b": 1}
    )
    assert config == address(id=made["id"])
    found = await saver.get_tuple(address())
    assert found.config == config
    assert found.checkpoint == made
    assert found.metadata == {"source": "input", "step": -1, "parents": {}}
    assert found.parent_config is None
    assert found.pending_writes == []
    assert await saver.get(config) == made


async def test_the_newest_checkpoint_answers_unless_one_is_named(saver: Saver) -> None:
    run = Run(saver)
    first = await run.put(a=1)
    second = await run.put(a=2)
    assert values(await saver.get_tuple(address())) == {"a": 2}
    found = await saver.get_tuple(address(id=second))
    if saver.keeps_history:
        assert values(await saver.get_tuple(address(id=first))) == {"a": 1}
        assert found.parent_config == address(id=first)
        assert await saver.get_tuple(address(id="no such id")) is None
    else:
        assert found.parent_config is None
        assert await saver.get_tuple(address(id=first)) == found
    assert await saver.get_tuple(address("other")) is None
    assert await saver.get_tuple(address(ns="other")) is None


async def test_a_channel_that_was_not_written_keeps_the_parents_value(saver: Saver) -> None:
    run = Run(saver)
    big = {"text": "x" * 500}
    await run.put(a=big, b="y" * 100, c=7)
    run.values = {"a": "not written", "b": "not written", "c": "not written"}
    await run.put(d=1)
    assert values(await saver.get_tuple(address())) == {"a": big, "b": "y" * 100, "c": 7, "d": 1}


async def test_a_channel_written_without_a_value_is_empty_from_then_on(saver: Saver) -> None:
    run = Run(saver)
    first = await run.put(a=1, b=2)
    await run.put(gone=("a",), b=3)
    found = await saver.get_tuple(address())
    assert values(found) == {"b": 3}
    assert found.checkpoint["channel_versions"] == {"a": 2, "b": 2}
    await run.put(c=1)
    assert values(await saver.get_tuple(address())) == {"b": 3, "c": 1}
    if saver.keeps_history:
        assert values(await saver.get_tuple(address(id=first))) == {"a": 1, "b": 2}


async def test_namespaces_of_a_thread_are_apart(saver: Saver) -> None:
    await Run(saver).put(a=1)
    await Run(saver, ns="child:1").put(a=2)
    await Run(saver, ns="child:1|leaf:2").put(a=3)
    assert [values(await saver.get_tuple(address(ns=ns))) for ns in ("", "child:1", "child:1|leaf:2")] == [
        {"a": 1},
        {"a": 2},
        {"a": 3},
    ]


async def test_numbers_and_uuids_name_threads_as_their_text_does(saver: Saver) -> None:
    name = UUID("12345678-1234-5678-1234-567812345678")
    await saver.put(address(7), point({"a": 1}), {}, {"a": 1})
    await saver.put(address(name), point({"a": 2}), {}, {"a": 1})
    assert values(await saver.get_tuple(address("7"))) == {"a": 1}
    assert values(await saver.get_tuple(address(str(name)))) == {"a": 2}


async def test_the_config_may_leave_the_namespace_out(saver: Saver) -> None:
    await saver.put({"configurable": {"thread_id": "t"}}, point({"a": 1}), {}, {"a": 1})
    found = await saver.get_tuple({"configurable": {"thread_id": "t"}})
    assert found.config["configurable"]["checkpoint_ns"] == ""


async def test_simple_entries_of_the_config_join_the_metadata(saver: Saver) -> None:
    config = address(user="u", tries=3, __hidden=1, deep={"no": 1}, checkpoint_map={})
    config["metadata"] = {"team": "x", "step": 99, "list": [1]}
    await saver.put(config, point({}), {"step": 1, "writes": {"old": 1}}, {})
    assert (await saver.get_tuple(address())).metadata == {"step": 1, "team": "x", "user": "u", "tries": 3}


async def test_a_checkpoint_put_again_replaces_the_first(saver: Saver) -> None:
    made = point({"a": 1}, id="1f000000-0000-6000-8000-000000000000")
    await saver.put(address(), made, {"step": 1}, {"a": 1})
    await saver.put(address(), {**made, "channel_values": {"a": 5}}, {"step": 2}, {"a": 1})
    found = await saver.list(address())
    assert [(values(each), each.metadata) for each in found] == [({"a": 5}, {"step": 2})]


async def test_a_value_changed_later_does_not_change_what_was_put(saver: Saver) -> None:
    run = Run(saver)
    live = [{"role": "user", "content": "c" * 300}]
    first = await run.put(messages=live)
    live[0]["content"] = "other" * 100
    live.append({"role": "late", "content": "late"})
    assert values(await saver.get_tuple(address(id=first))) == {
        "messages": [{"role": "user", "content": "c" * 300}]
    }
    got = values(await saver.get_tuple(address()))
    got["messages"].clear()
    assert len(values(await saver.get_tuple(address()))["messages"]) == 1


@pytest.mark.needs("keeps_history")
@pytest.mark.parametrize("place", [0, 31, 32, 63, 99])
async def test_an_element_changed_in_place_is_seen_when_its_channel_is_written(
    saver: Saver, place: int
) -> None:
    run = Run(saver)
    live: list[Any] = [{"role": "user", "content": f"{i} " * 60, "flag": 1} for i in range(100)]
    before = await run.put(messages=live)
    live[place]["flag"] = True
    after = await run.put(messages=[*live, {"role": "ai", "content": "z" * 99, "flag": 0}])
    old = values(await saver.get_tuple(address(id=before)))["messages"]
    new = values(await saver.get_tuple(address(id=after)))["messages"]
    assert [type(each["flag"]) for each in old] == [int] * 100
    assert [i for i, each in enumerate(new) if each["flag"] is True] == [place]
    assert len(new) == 101


async def test_bytes_of_both_kinds_in_a_list_keep_their_type(saver: Saver) -> None:
    run = Run(saver)
    parts: list[dict[str, Any]] = [{"n": n, "data": bytearray(b"x" * 100)} for n in range(40)]
    await run.put(parts=parts)
    assert repr(values(await saver.get_tuple(address()))["parts"]) == repr(parts)
    parts[3]["data"] = bytes(parts[3]["data"])
    await run.put(parts=parts)
    assert repr(values(await saver.get_tuple(address()))["parts"]) == repr(parts)


@pytest.mark.needs("survives")
async def test_states_of_a_page_share_nothing_that_can_change(backend: Backend, tmp_path: Any) -> None:
    messages: list[Any] = [HumanMessage(f"{n}" * 100, id=str(n), name="a") for n in range(70)]
    messages += [AIMessage("", id=str(n), response_metadata={"usage": {"n": n}}) for n in range(70, 100)]
    async with opened(backend, tmp_path / "f.db") as saver:
        run = Run(saver)
        for n in range(5):
            await run.put(messages=messages, others=[{"n": i, "in": ["x" * 100]} for i in range(100 + n)])
        await look_at_page(saver, messages)
    async with opened(backend, tmp_path / "f.db") as saver:
        await look_at_page(saver, messages)


async def look_at_page(saver: Saver, messages: list[Any]) -> None:
    """Changes all states of a page, then looks at them again."""
    expected = repr(messages)
    for _ in range(2):
        page = await saver.list(address())
        assert len(page) == (5 if saver.keeps_history else 1)
        for found in page:
            assert repr(values(found)["messages"]) == expected
            count = len(values(found)["others"])
            assert values(found)["others"] == [{"n": i, "in": ["x" * 100]} for i in range(count)]
            for message in values(found)["messages"]:
                message.content += "!"
                message.additional_kwargs["more"] = message.response_metadata["usage"] = 1
                message.__pydantic_fields_set__.add("more")
            for other in values(found)["others"]:
                other["n"] = 0
                other["in"].append("more")


async def test_versions_may_be_text_or_floats(saver: Saver) -> None:
    versions = {"a": "00000000000000000000000000000003.0.25", "b": 1.5}
    made = point({"a": 1, "b": 2}, versions)
    await saver.put(address(), made, {}, versions)
    assert (await saver.get(address()))["channel_versions"] == versions


async def test_the_next_version_counts_on_from_any_other(saver: Saver) -> None:
    following = saver.raw.get_next_version
    assert [following(given, None) for given in (None, 1, 41, "00000000000000000000000000000003.0.25")] == [
        1,
        2,
        42,
        4,
    ]


async def test_a_value_without_a_version_is_kept(saver: Saver) -> None:
    made = point({"a": 1, "loose": [1, 2]}, {"a": 1})
    await saver.put(address(), made, {}, {"a": 1})
    assert values(await saver.get_tuple(address())) == {"a": 1, "loose": [1, 2]}


@pytest.mark.needs("keeps_history")
async def test_a_version_that_the_parent_lacks_is_found_elsewhere_in_the_namespace(saver: Saver) -> None:
    await saver.put(address(), point({"a": "x" * 300}), {}, {"a": 1})
    made = point({"b": 1}, {"a": 1, "b": 1})
    await saver.put(address(__threadkeep_fork=True), made, {}, {"b": 1})
    assert values(await saver.get_tuple(address())) == {"a": "x" * 300, "b": 1}


@pytest.mark.needs("survives")
async def test_a_saver_opened_again_finds_everything_and_goes_on(backend: Backend, tmp_path: Any) -> None:
    messages = [{"role": "user", "content": f"{i} " * 50} for i in range(70)]
    async with opened(backend, tmp_path / "f.db") as saver:
        run = Run(saver)
        await run.put(messages=messages)
        await saver.put_writes(run.config, [("messages", [{"late": "w" * 100}])], "task")
    async with opened(backend, tmp_path / "f.db") as saver:
        found = await saver.get_tuple(address())
        assert values(found) == {"messages": messages}
        assert found.pending_writes == [("task", "messages", [{"late": "w" * 100}])]
        run.saver = saver
        await run.put(messages=[*messages[1:], {"late": "w" * 100}])
        assert values(await saver.get_tuple(address())) == {"messages": [*messages[1:], {"late": "w" * 100}]}


async def test_lists_of_models_come_back_as_new_equal_objects(saver: Saver) -> None:
    messages: list[Any] = []
    run, put = Run(saver), {}
    for i in range(70):
        message = (HumanMessage if i % 2 else AIMessage)(f"{i} " * 40, id=str(i))
        messages = [*messages, message]
        put[await run.put(messages=messages)] = [each.model_copy(deep=True) for each in messages]
    found = {each.checkpoint["id"]: values(each)["messages"] for each in await saver.list(address())}
    assert found == (put if saver.keeps_history else {max(put): put[max(put)]})
    newest = values(await saver.get_tuple(address()))["messages"]
    assert newest == messages
    assert not {id(each) for each in newest} & {id(each) for each in messages}
    newest[0].content = "changed by the program"
    messages[1].additional_kwargs["changed"] = True
    assert values(await saver.get_tuple(address()))["messages"] == put[max(put)]


async def test_a_list_stored_with_another_allow_list_is_loaded_with_care(saver: Saver) -> None:
    wider = saver.raw.with_allowlist([Note])
    notes = [Note(text=f"{i} " * 40) for i in range(40)]
    await saver.call_on(wider, "put", address(), point({"notes": notes}), {}, {"notes": 1})
    assert values(await saver.call_on(wider, "get_tuple", address())) == {"notes": notes}
    with pytest.raises(ValueError, match="Note"):
        await saver.get_tuple(address())


class Note(BaseModel):
    """A type on no allow-list."""

    text: str
