"""The saver contract: listing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.backends import Saver
from tests.contract.points import Run, address, ids, values


@pytest.mark.needs("keeps_history")
async def test_the_newest_comes_first(saver: Saver) -> None:
    run = Run(saver)
    put = [await run.put(a=i) for i in range(55)]
    found = await saver.list(address())
    assert ids(found) == put[::-1]
    assert [values(each)["a"] for each in found] == list(range(54, -1, -1))


@pytest.mark.needs("keeps_history")
@pytest.mark.parametrize(
    ("limit", "count"), [(None, 45), (0, 0), (1, 1), (19, 19), (20, 20), (21, 21), (45, 45), (99, 45)]
)
async def test_a_limit_holds_across_pages(saver: Saver, limit: int | None, count: int) -> None:
    run = Run(saver)
    put = [await run.put(a=i) for i in range(45)]
    assert ids(await saver.list(address(), limit=limit)) == put[::-1][:count]


@pytest.mark.needs("keeps_history")
async def test_before_leaves_out_the_named_and_all_later(saver: Saver) -> None:
    run = Run(saver)
    put = [await run.put(a=i) for i in range(5)]
    assert ids(await saver.list(address(), before=address(id=put[3]))) == [put[2], put[1], put[0]]
    assert ids(await saver.list(address(), before=address(id=put[3]), limit=1)) == [put[2]]
    assert ids(await saver.list(address(), before=address(id=put[0]))) == []


@pytest.mark.needs("keeps_history")
async def test_a_config_with_an_id_lists_that_one(saver: Saver) -> None:
    run = Run(saver)
    put = [await run.put(a=i) for i in range(3)]
    assert ids(await saver.list(address(id=put[1]))) == [put[1]]
    assert ids(await saver.list({"configurable": {"thread_id": "t", "checkpoint_id": put[1]}})) == [put[1]]


@pytest.mark.needs("keeps_history")
async def test_without_a_namespace_all_of_the_thread_are_listed(saver: Saver) -> None:
    root, child = Run(saver), Run(saver, ns="child")
    put = [await run.put(a=1) for _ in range(15) for run in (root, child)]
    assert ids(await saver.list({"configurable": {"thread_id": "t"}})) == put[::-1]
    assert ids(await saver.list(address(ns="child"))) == put[1::2][::-1]


@pytest.mark.needs("keeps_history")
async def test_without_a_config_all_threads_are_listed_newest_first(saver: Saver) -> None:
    runs = [Run(saver, name) for name in ("x", "y", "z")]
    put = [await run.put(a=name) for name in range(12) for run in runs]
    assert ids(await saver.list(None)) == put[::-1]
    assert ids(await saver.list(None, limit=4)) == put[::-1][:4]


@pytest.mark.needs("keeps_history")
async def test_one_id_in_two_threads_is_listed_twice_across_a_page_border(saver: Saver) -> None:
    run = Run(saver, "x")
    put = [await run.put(a=i) for i in range(25)]
    await saver.copy_thread("x", "y")
    assert ids(await saver.list(None)) == [id for id in put[::-1] for _ in range(2)]


@pytest.mark.needs("keeps_history")
@pytest.mark.parametrize(
    ("wanted", "steps"),
    [
        ({"step": 1}, [1]),
        ({"step": 1.0}, [1]),
        ({"step": "1"}, []),
        ({"source": "loop", "even": True}, [2, 0]),
        ({"source": "input"}, []),
        ({"deep": {"x": 1, "y": [2]}}, [0]),
        ({"deep": {"x": 1}}, []),
        ({"deep": None}, [2, 1]),
        ({"nowhere": None}, [2, 1, 0]),
        ({}, [2, 1, 0]),
    ],
)
async def test_a_filter_names_metadata_that_must_be_equal(
    saver: Saver, wanted: dict[str, Any], steps: list[int]
) -> None:
    run = Run(saver)
    for step in range(3):
        deep = {"deep": {"x": 1, "y": [2]}} if step == 0 else {}
        await run.put(metadata={"step": step, "even": step % 2 == 0, **deep}, a=step)
    found = await saver.list(address(), filter=wanted)
    assert [each.metadata["step"] for each in found] == steps


@pytest.mark.needs("keeps_history")
async def test_filter_and_limit_count_what_matches(saver: Saver) -> None:
    run = Run(saver)
    for step in range(90):
        await run.put(metadata={"step": step, "odd": step % 2}, a=step)
    found = await saver.list(None, filter={"odd": 1}, limit=30)
    assert [each.metadata["step"] for each in found] == list(range(89, 29, -2))


@pytest.mark.needs("keeps_history")
async def test_what_is_stored_while_a_list_is_read_does_not_disturb_it(saver: Saver) -> None:
    run = Run(saver)
    put = [await run.put(a=i) for i in range(30)]
    seen = []
    if hasattr(saver.raw, "alist"):
        async for each in saver.raw.alist(address()):
            seen.append(each.checkpoint["id"])
            await run.put(a=each.checkpoint["id"])
    assert seen == put[::-1]


@pytest.mark.needs("keeps_history")
async def test_listed_checkpoints_carry_parents_and_writes(saver: Saver) -> None:
    run = Run(saver)
    first = await run.put(a=1)
    await saver.put_writes(run.config, [("a", "w" * 300)], "task")
    second = await run.put(a=2)
    found = await saver.list(address())
    assert [each.parent_config for each in found] == [address(id=first), None]
    assert [each.pending_writes for each in found] == [[], [("task", "a", "w" * 300)]]
    assert found[0].config == address(id=second)


@pytest.mark.needs("keeps_history")
async def test_lists_share_nothing_that_a_program_can_change(saver: Saver) -> None:
    run = Run(saver)
    message = {"content": "m" * 300}
    await run.put(messages=[message])
    await run.put(other=1)
    newer, older = await saver.list(address())
    values(newer)["messages"][0]["content"] = "changed"
    assert values(older)["messages"] == [{"content": "m" * 300}]
    assert values(newer)["messages"] == [{"content": "changed"}]
