"""Items that live for a time. The clock is the test's."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract_store.backends import Store
from threadkeep.store.base import GetOp, PutOp, SearchOp

NS = ("sessions",)


def options(**ttl: Any) -> pytest.MarkDecorator:
    """Runs a test with a store of this `TTLConfig`."""
    return pytest.mark.parametrize("options", [{"ttl": ttl}], ids=[repr(ttl)])


async def test_an_item_is_gone_from_the_moment_of_its_expiry_on(store: Store) -> None:
    await store.put(NS, "short", {"n": 1}, ttl=10)
    await store.put(NS, "long", {"n": 2})
    store.clock.pass_by(minutes=9, seconds=59.999999)
    assert (await store.get(NS, "short", refresh_ttl=False)).value == {"n": 1}
    store.clock.pass_by(microseconds=1)
    assert await store.get(NS, "short") is None
    assert [item.key for item in await store.search(NS)] == ["long"]
    assert [item.key for item in await store.search(NS, filter={"n": {"$lt": 9}}, limit=1)] == ["long"]


async def test_a_namespace_of_expired_items_is_not_listed(store: Store) -> None:
    await store.put(("a",), "k", {}, ttl=1)
    await store.put(("b",), "k", {}, ttl=1)
    await store.put(("b",), "other", {})
    assert await store.list_namespaces() == [("a",), ("b",)]
    store.clock.pass_by(minutes=1)
    assert await store.list_namespaces() == [("b",)]
    assert await store.list_namespaces(limit=1) == [("b",)]


async def test_a_put_on_an_expired_item_makes_a_new_one(store: Store) -> None:
    await store.put(NS, "k", {"n": 1}, ttl=1)
    store.clock.pass_by(minutes=2)
    await store.put(NS, "k", {"n": 2})
    item = await store.get(NS, "k")
    assert item.created_at == item.updated_at == store.clock.now
    store.clock.pass_by(days=1000)
    assert (await store.get(NS, "k")).value == {"n": 2}


async def test_a_put_decides_anew_how_long_its_item_lives(store: Store) -> None:
    created = store.clock.now
    await store.put(NS, "k", {"n": 1}, ttl=10)
    store.clock.pass_by(minutes=9)
    await store.put(NS, "k", {"n": 2}, ttl=5)
    store.clock.pass_by(minutes=4)
    item = await store.get(NS, "k", refresh_ttl=False)
    assert item.value == {"n": 2} and item.created_at == created
    store.clock.pass_by(minutes=1)
    assert await store.get(NS, "k") is None


async def test_ttl_may_be_parts_of_a_minute(store: Store) -> None:
    await store.put(NS, "k", {}, ttl=0.5)
    store.clock.pass_by(seconds=29)
    assert await store.get(NS, "k", refresh_ttl=False) is not None
    store.clock.pass_by(seconds=1)
    assert await store.get(NS, "k") is None


async def test_reads_start_the_time_anew_and_change_nothing_else(store: Store) -> None:
    await store.put(NS, "k", {}, ttl=10)
    updated = store.clock.now
    for read in range(5):
        store.clock.pass_by(minutes=9)
        item = (await store.search(NS))[0] if read % 2 else await store.get(NS, "k")
        assert item.updated_at == updated
    store.clock.pass_by(minutes=10)
    assert await store.get(NS, "k") is None


async def test_reads_without_refresh_leave_the_time_as_it_is(store: Store) -> None:
    await store.put(NS, "k", {}, ttl=10)
    store.clock.pass_by(minutes=9)
    assert await store.get(NS, "k", refresh_ttl=False) is not None
    assert len(await store.search(NS, refresh_ttl=False)) == 1
    assert (await store.batch([GetOp(NS, "k", False), SearchOp(NS, refresh_ttl=False)]))[0] is not None
    store.clock.pass_by(minutes=1)
    assert await store.get(NS, "k") is None


async def test_a_search_refreshes_only_what_it_returns(store: Store) -> None:
    for n in range(4):
        await store.put(NS, str(n), {"even": n % 2 == 0}, ttl=10)
    store.clock.pass_by(minutes=9)
    assert [item.key for item in await store.search(NS, filter={"even": True}, limit=1, offset=1)] == ["2"]
    store.clock.pass_by(minutes=9)
    assert [item.key for item in await store.search(NS)] == ["2"]


@options(refresh_on_read=False, default_ttl=10)
async def test_the_configuration_decides_where_a_call_says_nothing(store: Store) -> None:
    await store.put(NS, "default", {})
    await store.put(NS, "longer", {}, ttl=20)
    await store.put(NS, "for ever", {}, ttl=None)
    store.clock.pass_by(minutes=9)
    assert await store.get(NS, "default") is not None
    assert len(await store.search(NS)) == 3
    store.clock.pass_by(minutes=1)
    assert await store.get(NS, "default") is None
    assert await store.get(NS, "longer", refresh_ttl=True) is not None
    store.clock.pass_by(minutes=15)
    assert await store.get(NS, "longer") is not None
    store.clock.pass_by(days=365)
    assert [item.key for item in await store.search(NS)] == ["for ever"]


@options(default_ttl=10)
async def test_an_operation_without_ttl_lives_for_ever_whatever_the_default(store: Store) -> None:
    await store.batch([PutOp(NS, "op", {}), PutOp(NS, "short", {}, ttl=1)])
    store.clock.pass_by(minutes=11)
    assert [item.key for item in await store.search(NS)] == ["op"]


@options(omit_expired=False, default_ttl=1)
async def test_expired_items_are_never_returned_whatever_is_configured(store: Store) -> None:
    await store.put(NS, "k", {})
    store.clock.pass_by(minutes=1)
    assert await store.get(NS, "k") is None and await store.search(NS) == []


async def test_sweeping_deletes_what_has_expired_and_says_how_many(store: Store) -> None:
    await store.batch([PutOp(NS, str(n), {"n": n}, ttl=n + 1) for n in range(10)])
    await store.put(NS, "for ever", {})
    assert await store.sweep_ttl() == 0
    store.clock.pass_by(minutes=5)
    assert await store.sweep_ttl() == 5
    assert await store.sweep_ttl() == 0
    found = await store.search(NS, limit=100)
    assert sorted(item.key for item in found) == ["5", "6", "7", "8", "9", "for ever"]


async def test_an_item_that_was_put_again_or_read_is_not_swept(store: Store) -> None:
    for key in ("put again", "read", "left"):
        await store.put(NS, key, {}, ttl=10)
    store.clock.pass_by(minutes=9)
    await store.put(NS, "put again", {}, ttl=10)
    await store.get(NS, "read")
    store.clock.pass_by(minutes=5)
    assert await store.sweep_ttl() == 1
    assert {item.key for item in await store.search(NS)} == {"put again", "read"}
