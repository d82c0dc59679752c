"""Behind a pooler in transaction mode: two connections for all clients, and nothing kept in a session."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.checkpoint_postgres.test_pooler import kept
from tests.postgres_pooler import KINDS, pooled
from threadkeep.store.base import GetOp, ListNamespacesOp, PutOp
from threadkeep.store.postgres import AsyncPostgresStore, PostgresStore

POOL: Any = {"min_size": 2, "max_size": 8, "kwargs": {"prepare_threshold": None}}
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(params=KINDS)
def pooler(request: pytest.FixtureRequest, database: str) -> Iterator[str]:
    """The address of a pooler with two connections to an empty database."""
    with pooled(request.param, database) as address:
        yield address


def test_everything_works_through_it(pooler: str) -> None:
    with PostgresStore.from_conn_string(pooler, pool_config=POOL) as store:
        assert "CREATE TABLE" in store.setup()
        assert store.check()
        store._now = lambda: START
        for i in range(12):
            store.put(("a", str(i)), "k", {"i": i}, ttl=1)
        first, _, listed = store.batch(
            [GetOp(("a", "1"), "k"), PutOp(("a", "0"), "k", None), ListNamespacesOp()]
        )
        assert first is not None
        assert isinstance(listed, list) and len(listed) == 12
        assert {item.value["i"] for item in store.search(("a",), filter={"i": {"$gte": 9}})} == {9, 10, 11}
        store._now = lambda: START + timedelta(hours=1)
        assert store.sweep_ttl() == 11
    assert kept(pooler) == [(0, 0, 0)] * 2


async def test_tasks_share_it(pooler: str) -> None:
    async with AsyncPostgresStore.from_conn_string(pooler, pool_config=POOL) as store:
        await store.setup()

        async def run(i: int) -> None:
            for n in range(5):
                await store.aput(("t", str(i)), "k", {"n": n})
                item = await store.aget(("t", str(i)), "k")
                assert item is not None and item.value == {"n": n}

        await asyncio.gather(*(run(i) for i in range(32)))
    assert kept(pooler) == [(0, 0, 0)] * 2
