"""Connections that break: a batch happens or does not, and what made its own connections goes on."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from tests.checkpoint_postgres.test_faults import Fuse, kill
from threadkeep.errors import StorageUnavailableError
from threadkeep.store.base import GetOp, PutOp, Result
from threadkeep.store.postgres import AsyncPostgresStore, PostgresStore


def writes(n: int) -> list[Any]:
    """Operations of every kind of statement: items written, deleted, read."""
    return [
        *(PutOp(("n",), str(k), {"n": n}) for k in range(5)),
        PutOp(("n",), f"of {n}", {"n": n}),
        PutOp(("n",), f"of {n - 1}", None),
        GetOp(("n",), "0"),
    ]


def state(store: PostgresStore) -> list[tuple[str, Any]]:
    return sorted((item.key, item.value["n"]) for item in store.search(("n",), limit=100))


def after(n: int) -> list[tuple[str, Any]]:
    """What is stored when batch *n* was the last."""
    return [*((str(k), n) for k in range(5)), (f"of {n}", n)]


def test_a_connection_killed_at_any_statement_leaves_all_of_a_batch_or_nothing(database: str) -> None:
    fuse = Fuse(database)
    with PostgresStore.from_conn_string(database) as reader:
        reader.setup()
        reader.batch(writes(0))
        last = 0
        outcomes: list[str] = []
        causes: list[BaseException | None] = []
        for at in range(8):
            with psycopg.connect(database, autocommit=True, cursor_factory=fuse.cursor) as conn:
                store = PostgresStore(conn)
                fuse.left = at
                try:
                    store.batch(writes(last + 1))
                    outcomes.append("stored")
                except StorageUnavailableError as error:
                    outcomes.append("lost")
                    causes.append(error.__cause__)
                fuse.left = None
            if state(reader) != after(last):
                last += 1
                assert state(reader) == after(last)
    assert (outcomes[0], outcomes[-1]) == ("lost", "stored")
    assert all(isinstance(cause, psycopg.OperationalError) for cause in causes)


def test_a_pool_whose_connections_are_killed_at_any_statement_stores_every_batch(database: str) -> None:
    fuse = Fuse(database)
    kwargs = {"autocommit": True, "cursor_factory": fuse.cursor}
    with ConnectionPool(database, min_size=2, max_size=2, kwargs=kwargs, open=True) as pool:
        store = PostgresStore(pool)
        store.setup()
        for at in range(8):
            fuse.left = at
            store.batch(writes(at))
            fuse.left = None
            assert state(store) == after(at)


@pytest.mark.parametrize("options", [{}, {"pool_config": {"min_size": 3, "max_size": 3}}, {"pipeline": True}])
def test_a_store_that_made_its_connections_survives_the_end_of_all_of_them(
    database: str, options: Any
) -> None:
    with PostgresStore.from_conn_string(database, **options) as store:
        store.setup()
        for n in range(3):
            store.batch(writes(n))
            kill(database)
            assert state(store) == after(n)
            kill(database)
        assert store.sweep_ttl() == 0
        kill(database)
        store.delete(("n",), "0")
        assert store.get(("n",), "0") is None


@pytest.mark.parametrize("options", [{}, {"pool_config": {"min_size": 3, "max_size": 3}}, {"pipeline": True}])
async def test_an_async_store_survives_the_end_of_all_its_connections(database: str, options: Any) -> None:
    async with AsyncPostgresStore.from_conn_string(database, **options) as store:
        await store.setup()
        for n in range(3):
            found: list[Result] = await store.abatch(writes(n))
            assert len(found) == 8
            kill(database)
            items = await store.asearch(("n",), limit=100)
            assert sorted((item.key, item.value["n"]) for item in items) == after(n)
            kill(database)
        await store.adelete(("n",), "0")
        assert await store.aget(("n",), "0") is None
