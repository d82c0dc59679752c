"""The saver for threads: on a connection, a pool or a pipeline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import ClassVar, Self, TypeVar

from psycopg import Pipeline
from psycopg.errors import UniqueViolation

from threadkeep.checkpoint.commits import Commit, OnConflict
from threadkeep.checkpoint.foretold import Foretold
from threadkeep.checkpoint.group import Group
from threadkeep.checkpoint.memo import Learned
from threadkeep.checkpoint.planned import PlannedSaver
from threadkeep.checkpoint.postgres.operations import MAX_VALUE_BYTES, Operations, together
from threadkeep.checkpoint.postgres.tables import CHECKPOINTS
from threadkeep.checkpoint.requests import FindObjects, Plan
from threadkeep.checkpoint.serde.base import SerializerProtocol
from threadkeep.errors import StorageUnavailableError
from threadkeep.postgres import setup as tables
from threadkeep.postgres.connections import Connections, PoolConfig, Resource, connecting

__all__ = ["PostgresSaver", "ShallowPostgresSaver"]

T = TypeVar("T")


class PostgresSaver(PlannedSaver):
    """Checkpoints in PostgreSQL. May be used from many threads and many processes.

    `conn`: a pool, whose connections work in parallel, or a connection, which one thread uses at a time. Call
    `setup` once on a new database. `schema`: where the tables are. `max_value_bytes`: the largest single
    value. `pipe`: for programs that bring their connection in pipeline mode. The async methods run in worker
    threads.
    """

    def __init__(
        self,
        conn: Resource,
        pipe: Pipeline | None = None,
        serde: SerializerProtocol | None = None,
        *,
        on_conflict: OnConflict = "fork",
        schema: str = "public",
        max_value_bytes: int = MAX_VALUE_BYTES,
    ) -> None:
        super().__init__(serde=serde, on_conflict=on_conflict)
        self.pipe = pipe
        self._connections = Connections(conn)
        self._operations = Operations(schema, max_value_bytes)
        self._group = Group(self._store_all)

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
        """A saver that connects when first used. Use it in `with`, or `close` it.

        With `pool_config` it has a pool of connections (`min_size`, `max_size`, `kwargs` of each connection);
        else one, which is made anew when it breaks. Behind a pooler in transaction mode give the connections
        `kwargs={"prepare_threshold": None}`.
        """
        made = cls.__new__(cls)
        PlannedSaver.__init__(made, serde=serde, on_conflict=on_conflict)
        made.pipe = None
        made._operations = Operations(schema, max_value_bytes)
        made._group = Group(made._store_all)
        made._connections = Connections(None, connecting(conn_string, pool_config), pipeline=pipeline)
        return made

    @property
    def conn(self) -> Resource:
        """The pool or connection."""
        return self._connections.open()

    def setup(self, *, dry_run: bool = False) -> str:
        """Creates or upgrades the tables; returns the SQL for it. Does nothing if they are as they should be.

        Safe when many processes do it at once. `dry_run`: only prints the SQL.
        """
        return tables.setup(self._connections, CHECKPOINTS, self._operations.schema, dry_run=dry_run)

    def check(self) -> bool:
        """Whether the tables are of this version and whole; changes nothing."""
        return tables.check(self._connections, CHECKPOINTS, self._operations.schema)

    def close(self) -> None:
        """Closes the connection or pool, if the saver made it."""
        self._connections.close()

    def __enter__(self) -> Self:
        self._connections.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, plan: Callable[[], Plan[T]]) -> T:
        return self._connections.read(lambda: self._operations.read(plan, self._codec))

    async def _aread(self, plan: Callable[[], Plan[T]]) -> T:
        return await asyncio.to_thread(self._read, plan)

    def _write(self, plan: Callable[[], Plan[T]]) -> T:
        return self._connections.write(lambda: self._operations.write(plan, self._codec))

    async def _awrite(self, plan: Callable[[], Plan[T]]) -> T:
        return await asyncio.to_thread(self._write, plan)

    def _store(self, commit: Commit) -> list[Learned]:
        stored = self._group.run(commit)
        if stored is not None:
            return stored
        joined = self._connections.joined
        news, threads = self._connections.write(
            lambda: self._operations.store(commit, self._codec), repeatable=True
        )
        return self._operations.learn(news, threads, certain=self._connections.joined == joined)

    def _store_all(self, commits: list[Commit]) -> list[list[Learned] | BaseException | None]:
        """What each commit gave; None for one that must go the long way."""
        told = self._operations.foretell(commits)
        if any(isinstance(it, FindObjects) for it in told):
            told = self._connections.read(partial(self._operations.find, commits, told, self._codec))
        foretold = together(told)
        results = iter(self._store_foretold([it for it in foretold if it is not None]))
        return [None if it is None else next(results) for it in foretold]

    def _store_foretold(self, them: list[Foretold]) -> Sequence[list[Learned] | BaseException | None]:
        if not them:
            return []
        joined = self._connections.joined
        try:
            numbers = self._connections.read(lambda: self._operations.store_foretold(them, self._codec))
            certain = self._connections.joined == joined
            return self._operations.learn_foretold(them, numbers, certain=certain)
        except UniqueViolation:  # a task had written before, unseen by this process
            return [None] * len(them)
        except StorageUnavailableError:
            raise
        except Exception as error:  # one of them cannot be stored: the others can
            return [error] if len(them) == 1 else [self._store_foretold([it])[0] for it in them]

    async def _astore(self, commit: Commit) -> list[Learned]:
        return await asyncio.to_thread(self._store, commit)


class ShallowPostgresSaver(PostgresSaver):
    """As `PostgresSaver`, but of each namespace only the newest checkpoint is kept, with its writes.

    A config with the id of an older checkpoint means the newest. What a checkpoint no longer uses is deleted
    in the transaction that stores it, and so are the namespaces of subgraphs whose step is over. A checkpoint
    that comes after a newer one of another run is not kept, with a `ConcurrentUpdateWarning`, or refused.
    """

    keeps_history: ClassVar[bool] = False
