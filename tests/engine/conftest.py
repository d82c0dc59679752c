"""The savers that engine tests run on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.postgres_server import empty_for, shared_database
from threadkeep.checkpoint.base import BaseCheckpointSaver
from threadkeep.checkpoint.memory import InMemorySaver
from threadkeep.checkpoint.postgres import PostgresSaver
from threadkeep.checkpoint.postgres.aio import AsyncPostgresSaver
from threadkeep.checkpoint.sqlite import SqliteSaver
from threadkeep.checkpoint.sqlite.aio import AsyncSqliteSaver

Saver = BaseCheckpointSaver[int]


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def saver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Saver]:
    """A saver for sync programs."""
    if request.param == "memory":
        yield InMemorySaver()
    elif request.param == "sqlite":
        with SqliteSaver.from_conn_string(tmp_path / "threads.db") as saver:
            yield saver
    else:
        empty_for(tmp_path)
        with PostgresSaver.from_conn_string(shared_database()) as postgres:
            postgres.setup()
            yield postgres


@pytest.fixture(params=["memory", "sqlite", "aiosqlite", "aiopostgres"])
async def asaver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Saver]:
    """A saver for async programs."""
    if request.param == "memory":
        yield InMemorySaver()
    elif request.param == "sqlite":
        with SqliteSaver.from_conn_string(tmp_path / "threads.db") as saver:
            yield saver
    elif request.param == "aiosqlite":
        async with AsyncSqliteSaver.from_conn_string(tmp_path / "threads.db") as aiosaver:
            yield aiosaver
    else:
        empty_for(tmp_path)
        pool: Any = {"min_size": 1, "max_size": 4}
        async with AsyncPostgresSaver.from_conn_string(shared_database(), pool_config=pool) as postgres:
            await postgres.setup()
            yield postgres
