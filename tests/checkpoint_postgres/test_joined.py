"""Savers on a connection with a transaction of the program's, which takes part and may be undone."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.checkpoint_postgres.test_shallow import Sync
from tests.contract.points import Run, address, values
from threadkeep.checkpoint.postgres import PostgresSaver
from threadkeep.checkpoint.postgres.aio import AsyncPostgresSaver
from threadkeep.checkpoint.postgres.shallow import ShallowPostgresSaver


def big(i: int) -> list[str]:
    return [f"{i} " * 300]


@pytest.mark.parametrize("steps", [0, 1, 3])
@pytest.mark.parametrize("cls", [PostgresSaver, ShallowPostgresSaver])
async def test_what_a_transaction_of_the_program_undid_is_not_remembered(
    database: str, cls: type[PostgresSaver], steps: int
) -> None:
    with psycopg.connect(database, autocommit=True) as conn, cls.from_conn_string(database) as other:
        other.setup()
        saver = cls(conn)
        run = Run(Sync(saver))
        for i in range(steps):
            await run.put(a=big(i), b=big(10 + i))
        config, versions = run.config, dict(run.versions)
        with conn.transaction(force_rollback=True):
            await run.put(a=big(20))
            await run.put(a=big(21), b=big(22))
        run.config, run.versions = config, versions
        await run.put(a=big(20), b=big(22))
        for each in (saver, other):
            assert values(each.get_tuple(address())) == run.values


async def test_what_a_transaction_of_the_program_undid_is_not_remembered_by_the_async_saver(
    database: str,
) -> None:
    with PostgresSaver.from_conn_string(database) as other:
        other.setup()
        async with await psycopg.AsyncConnection.connect(database, autocommit=True) as conn:
            saver: Any = AsyncPostgresSaver(conn)

            class Async:
                async def put(self, *arguments: Any) -> Any:
                    return await saver.aput(*arguments)

            run = Run(Async())
            await run.put(a=big(1))
            config, versions = run.config, dict(run.versions)
            async with conn.transaction(force_rollback=True):
                await run.put(a=big(2))
            run.config, run.versions = config, versions
            await run.put(a=big(2))
            assert values(other.get_tuple(address())) == {"a": big(2)}


async def test_a_transaction_of_the_program_keeps_checkpoints_and_rows_together(database: str) -> None:
    with (
        psycopg.connect(database, autocommit=True) as conn,
        PostgresSaver.from_conn_string(database) as other,
    ):
        other.setup()
        conn.execute("CREATE TABLE mine (n int)")
        run = Run(Sync(PostgresSaver(conn)))
        with conn.transaction():
            conn.execute("INSERT INTO mine VALUES (1)")
            await run.put(a=big(1))
            assert other.get_tuple(address()) is None
        assert values(other.get_tuple(address())) == {"a": big(1)}
