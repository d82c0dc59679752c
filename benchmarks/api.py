"""One program for both libraries: modules are looked up under an import root that is an argument."""

import importlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

REFERENCE = "langgraph"
OURS = "threadkeep"


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
