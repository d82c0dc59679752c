"""The saver for asyncio: on a connection, a pool or a pipeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import ClassVar, Self, TypeVar

from psycopg import AsyncPipeline
from psycopg.errors import UniqueViolation

from threadkeep.checkpoint.commits import Commit, OnConflict
from threadkeep.checkpoint.foretold import Foretold
from threadkeep.checkpoint.group import AsyncGroup
from threadkeep.checkpoint.memo import Learned
from threadkeep.checkpoint.planned import PlannedSaver
from threadkeep.checkpoint.postgres.operations import MAX_VALUE_BYTES, Operations, together
from threadkeep.checkpoint.postgres.tables import CHECKPOINTS
from threadkeep.checkpoint.requests import FindObjects, Plan
from threadkeep.checkpoint.serde.base import SerializerProtocol
from threadkeep.errors import StorageUnavailableError
from threadkeep.postgres import setup as tables
from threadkeep.postgres.aconnections import AsyncConnections, AsyncResource, connecting
from threadkeep.postgres.connections import PoolConfig

__all__ = ["AsyncPostgresSaver", "AsyncShallowPostgresSaver"]

T = TypeVar("T")
_OWNER = "AsyncPostgresSaver"
_RUNS = 2
"""Group commits at a time."""


class AsyncPostgresSaver(PlannedSaver):
    """Checkpoints in PostgreSQL, for the tasks of one event loop.

    Options as of `PostgresSaver`. The sync methods work from other threads while the loop runs; on the loop's
    own thread they raise, since they would wait for themselves.
    """

    def __init__(
        self,
        conn: AsyncResource,
        pipe: AsyncPipeline | None = None,
        serde: SerializerProtocol | None = None,
        *,
        on_conflict: OnConflict = "fork",
        schema: str = "public",
        max_value_bytes: int = MAX_VALUE_BYTES,
    ) -> None:
        super().__init__(serde=serde, on_conflict=on_conflict)
        self.pipe = pipe
        self._connections = AsyncConnections(conn, owner=_OWNER)
        self._operations = Operations(schema, max_value_bytes)
        self._group = AsyncGroup(self._store_all, runs=_RUNS)

    @classmethod
    def from_conn_string(
        cls,
        conn_string: str,
        *,
        pipeline: bool = False,
        serde: SerializerProtocol | None = None,
        on_conflict: OnConflict = "fork",
        schema: str = "public",
        pool_config: PoolConfig | None = None,
        max_value_bytes: int = MAX_VALUE_BYTES,
    ) -> Self:
        """A saver that connects when first used. For `async with`, or `aclose` it.

        Options as of `PostgresSaver.from_conn_string`.
        """
        made = cls.__new__(cls)
        PlannedSaver.__init__(made, serde=serde, on_conflict=on_conflict)
        made.pipe = None
        made._operations = Operations(schema, max_value_bytes)
        made._group = AsyncGroup(made._store_all, runs=_RUNS)
        make = connecting(conn_string, pool_config)
        made._connections = AsyncConnections(None, make, pipeline=pipeline, owner=_OWNER)
        return made

    @property
    def conn(self) -> AsyncResource | None:
        """The pool or connection; None before the first use."""
        return self._connections.resource

    async def setup(self, *, dry_run: bool = False) -> str:
        """Creates or upgrades the tables; returns the SQL for it. Does nothing if they are as they should be.

        Safe when many processes do it at once. `dry_run`: only prints the SQL.
        """
        return await tables.asetup(self._connections, CHECKPOINTS, self._operations.schema, dry_run=dry_run)

    async def check(self) -> bool:
        """Whether the tables are of this version and whole; changes nothing."""
        return await tables.acheck(self._connections, CHECKPOINTS, self._operations.schema)

    async def aclose(self) -> None:
        """Closes the connection or pool, if the saver made it."""
        await self._connections.close()

    async def __aenter__(self) -> Self:
        await self._connections.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _read(self, plan: Callable[[], Plan[T]]) -> T:
        return self._connections.from_thread(self._aread(plan))

    async def _aread(self, plan: Callable[[], Plan[T]]) -> T:
        return await self._connections.read(lambda: self._operations.read(plan, self._codec))

    def _write(self, plan: Callable[[], Plan[T]]) -> T:
        return self._connections.from_thread(self._awrite(plan))

    async def _awrite(self, plan: Callable[[], Plan[T]]) -> T:
        return await self._connections.write(lambda: self._operations.write(plan, self._codec))

    def _store(self, commit: Commit) -> list[Learned]:
        return self._connections.from_thread(self._astore(commit))

    async def _astore(self, commit: Commit) -> list[Learned]:
        stored = await self._group.run(commit)
        if stored is not None:
            return stored
        joined = self._connections.joined
        news, threads = await self._connections.write(
            lambda: self._operations.store(commit, self._codec), repeatable=True
        )
        return self._operations.learn(news, threads, certain=self._connections.joined == joined)

    async def _store_all(self, commits: list[Commit]) -> list[list[Learned] | BaseException | None]:
        """What each commit gave; None for one that must go the long way."""
        told = self._operations.foretell(commits)
        if any(isinstance(it, FindObjects) for it in told):
            told = await self._connections.read(partial(self._operations.find, commits, told, self._codec))
        foretold = together(told)
        results = iter(await self._store_foretold([it for it in foretold if it is not None]))
        return [None if it is None else next(results) for it in foretold]

    async def _store_foretold(self, them: list[Foretold]) -> Sequence[list[Learned] | BaseException | None]:
        if not them:
            return []
        joined = self._connections.joined
        try:
            numbers = await self._connections.read(lambda: self._operations.store_foretold(them, self._codec))
            certain = self._connections.joined == joined
            return self._operations.learn_foretold(them, numbers, certain=certain)
        except UniqueViolation:  # a task had written before, unseen by this process
            return [None] * len(them)
        except StorageUnavailableError:
            raise
        except Exception as error:  # one of them cannot be stored: the others can
            return [error] if len(them) == 1 else [(await self._store_foretold([it]))[0] for it in them]


class AsyncShallowPostgresSaver(AsyncPostgresSaver):
    """As `ShallowPostgresSaver`, for the tasks of one event loop."""

    keeps_history: ClassVar[bool] = False
