"""One program for both libraries: modules are looked up under an import root that is an argument."""

import importlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

REFERENCE = "langgraph"
OURS = "threadkeep"
POOL = 8
"""Connections of a pool, for all sides."""


class Api:
    """The public modules of the library that lives under `root`."""

    def __init__(self, root: str, synchronous: str | None = None) -> None:
        self.root = root
        self.synchronous = synchronous

    def module(self, name: str) -> Any:
        return importlib.import_module(f"{self.root}.{name}")

    @contextmanager
    def sqlite(self, path: Path) -> Iterator[Any]:
        """A saver on the file `path`, with the library's own defaults unless `synchronous` was asked for."""
        with self.module("checkpoint.sqlite").SqliteSaver.from_conn_string(str(path)) as saver:
            saver.setup()
            if self.synchronous is not None:
                saver.conn.execute(f"PRAGMA synchronous = {self.synchronous}")
            yield saver

    @asynccontextmanager
    async def async_sqlite(self, path: Path) -> AsyncIterator[Any]:
        saver_class = self.module("checkpoint.sqlite.aio").AsyncSqliteSaver
        async with saver_class.from_conn_string(str(path)) as saver:
            await saver.setup()
            if self.synchronous is not None:
                await saver.conn.execute(f"PRAGMA synchronous = {self.synchronous}")
            yield saver

    @contextmanager
    def postgres(self, uri: str, setup: bool = False) -> Iterator[Any]:
        """A saver on one connection, with the library's own options."""
        with self.module("checkpoint.postgres").PostgresSaver.from_conn_string(uri) as saver:
            if setup:
                saver.setup()
            yield saver

    @contextmanager
    def postgres_pool(self, uri: str) -> Iterator[Any]:
        """A saver on a pool of eight connections, with the options that the reference's documents ask for."""
        from psycopg.rows import dict_row
        from psycopg_pool import ConnectionPool

        options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
        with ConnectionPool(uri, min_size=POOL, max_size=POOL, kwargs=options) as pool:
            pool.wait()
            yield self.module("checkpoint.postgres").PostgresSaver(pool)

    @asynccontextmanager
    async def async_postgres_pool(self, uri: str) -> AsyncIterator[Any]:
        """As `postgres_pool`."""
        from psycopg.rows import dict_row
        from psycopg_pool import AsyncConnectionPool

        options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
        async with AsyncConnectionPool(uri, min_size=POOL, max_size=POOL, kwargs=options, open=False) as pool:
            await pool.wait()
            yield self.module("checkpoint.postgres.aio").AsyncPostgresSaver(pool)
