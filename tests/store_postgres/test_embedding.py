"""Where texts are embedded: before the transaction, and async functions on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import psycopg
import pytest

from threadkeep.store.base import PutOp
from threadkeep.store.postgres import AsyncPostgresStore, PostgresStore
from threadkeep.store.postgres.base import PostgresIndexConfig

LOOPS: list[asyncio.AbstractEventLoop] = []


async def embed(texts: Sequence[str]) -> list[list[float]]:
    LOOPS.append(asyncio.get_running_loop())
    return [[1.0, float("cat" in text)] for text in texts]


INDEX: PostgresIndexConfig = {"dims": 2, "embed": embed, "fields": ["text"]}


@pytest.mark.parametrize("cls", [PostgresStore, AsyncPostgresStore])
async def test_an_async_function_embeds_on_the_running_loop(
    database: str, cls: type[PostgresStore] | type[AsyncPostgresStore]
) -> None:
    with PostgresStore.from_conn_string(database, index=INDEX) as sync:
        sync.setup()
        with pytest.raises(ValueError, match="async function"):
            sync.put(("a",), "k", {"text": "a dog"})
        assert sync.search(("a",)) == []
    LOOPS.clear()
    store = cls.from_conn_string(database, index=INDEX)
    await store.abatch([PutOp(("a",), "1", {"text": "a cat"}), PutOp(("a",), "2", {"text": "a dog"})])
    assert [item.key for item in await store.asearch(("a",), query="cat")] == ["1", "2"]
    assert [asyncio.get_running_loop()] * 2 == LOOPS
    if isinstance(store, AsyncPostgresStore):
        await store.aclose()
    else:
        store.close()


OPEN = """
    SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%' AND datname = current_database()"""


def test_nothing_is_open_while_texts_are_embedded(database: str) -> None:
    def looking(texts: Sequence[str]) -> list[list[float]]:
        with psycopg.connect(database) as other:
            seen.append(other.execute(OPEN).fetchone())
        return [[1.0] for _ in texts]

    seen: list[object] = []
    with PostgresStore.from_conn_string(database, index={"dims": 1, "embed": looking}) as store:
        store.setup()
        store.put(("a",), "k", {"text": "a cat"})
        assert len(store.search(("a",), query="cat")) == 1
    assert seen == [(0,), (0,)]
