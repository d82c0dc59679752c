"""The savers that engine tests run on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from threadkeep.checkpoint.base import BaseCheckpointSaver
from threadkeep.checkpoint.memory import InMemorySaver
from threadkeep.checkpoint.sqlite import SqliteSaver
from threadkeep.checkpoint.sqlite.aio import AsyncSqliteSaver

Saver = BaseCheckpointSaver[int]


@pytest.fixture(params=["memory", "sqlite"])
def saver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Saver]:
    """A saver for sync programs."""
    if request.param == "memory":
        yield InMemorySaver()
        return
    with SqliteSaver.from_conn_string(tmp_path / "threads.db") as saver:
        yield saver


@pytest.fixture(params=["memory", "sqlite", "aiosqlite"])
async def asaver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Saver]:
    """A saver for async programs."""
    if request.param == "memory":
        yield InMemorySaver()
    elif request.param == "sqlite":
        with SqliteSaver.from_conn_string(tmp_path / "threads.db") as saver:
            yield saver
    else:
        async with AsyncSqliteSaver.from_conn_string(tmp_path / "threads.db") as aiosaver:
            yield aiosaver
