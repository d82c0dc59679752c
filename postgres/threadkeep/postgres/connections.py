"""The connections of a saver or store: a pool, or one that a lock guards. Runs steps on them."""

from __future__ import annotations

import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypedDict, TypeVar

import psycopg
from psycopg import Connection, Pipeline
from psycopg.abc import AdaptContext
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row
from psycopg_pool import ConnectionPool, PoolTimeout, TooManyRequests

from threadkeep.errors import StorageError, StorageUnavailableError
from threadkeep.postgres.arrays import register
from threadkeep.postgres.statements import RepeatError, Statement, Steps

__all__ = [
    "ATTEMPTS",
    "Connections",
    "LostCommitError",
    "PoolConfig",
    "Resource",
    "connecting",
    "delay",
    "is_broken",
    "may_retry",
    "pool_options",
    "translated",
]

T = TypeVar("T")
Resource = Connection[Any] | ConnectionPool[Any]
Perform = Callable[[Connection[Any], list[Statement]], list[list[Any]]]
ATTEMPTS = 8
"""With the pauses between them about 2.5 s: a server that is restarted is there again."""
_BUSY = frozenset({"40001", "40P01"})
_NO_SESSION = (psycopg.errors.DuplicatePreparedStatement, psycopg.errors.InvalidSqlStatementName)
_GONE = frozenset({"57P01", "57P02", "57P03", "25P03", "25P04"})


class PoolConfig(TypedDict, total=False):
    """Options of a pool; what is left out is as in psycopg_pool."""

    min_size: int
    max_size: int | None
    kwargs: dict[str, Any]
    """Options of each connection."""


def pool_options(config: PoolConfig) -> dict[str, Any]:
    """Arguments of a pool."""
    return {**config, "kwargs": {"autocommit": True, **(config.get("kwargs") or {})}}


def connecting(conn_string: str, config: PoolConfig | None) -> Callable[[], Resource]:
    """A function that makes a pool as configured, or a connection if nothing is."""

    def make() -> Resource:
        if config is None:
            return psycopg.connect(conn_string, autocommit=True)
        return ConnectionPool(conn_string, open=True, **pool_options(config))

    return make


class LostCommitError(Exception):
    """The connection broke while a transaction was committed: whether it was, is not known."""


def may_retry(error: BaseException) -> bool:
    """Whether the same steps may work a moment later, perhaps on another connection."""
    if isinstance(error, RepeatError):
        return True
    if isinstance(error, (PoolTimeout, TooManyRequests)) or not isinstance(error, psycopg.Error):
        return False  # the pool has tried and waited itself
    return error.sqlstate in _BUSY or is_broken(error)


def is_broken(error: psycopg.Error) -> bool:
    """Whether the connection broke, or the server ended it."""
    state = error.sqlstate
    if state is None:
        return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
    return state in _GONE or state.startswith("08")


def delay(attempt: int) -> float:
    """Seconds to wait after a failed attempt (0, 1, …)."""
    return 0.02 * 2.0**attempt * random.uniform(0.5, 1.5)  # noqa: S311 (jitter)


def translated(error: BaseException) -> BaseException:
    """The error that the caller sees for one that stays."""
    if isinstance(error, psycopg.errors.UndefinedTable):
        return StorageError("The tables of threadkeep are not there: call setup() once on this database.")
    if isinstance(error, _NO_SESSION):
        return StorageError(
            "Another client uses the same connection of the server: there is a pooler in transaction mode. "
            'Connect with prepare_threshold=None (pool_config={"kwargs": {"prepare_threshold": None}}) and '
            "without pipeline=True."
        )
    if isinstance(error, RepeatError):
        return StorageError(str(error))
    if isinstance(error, (PoolTimeout, TooManyRequests)):
        return StorageUnavailableError(
            f"No connection of the pool became free: {error}. All of them (max_size) are in use, or the "
            "server does not answer."
        )
    if may_retry(error) and isinstance(error, psycopg.Error):
        return StorageUnavailableError(f"Postgres did not answer, and asking again did not help: {error}")
    if isinstance(error, LostCommitError):
        return StorageUnavailableError(
            "The connection broke while the transaction was committed; whether it was, is not known. "
            "Look before you repeat the operation."
        )
    return error


def perform(conn: Connection[Any], batch: list[Statement]) -> list[list[Any]]:
    """The rows of each statement."""
    cursors = []
    for query, parameters, _ in batch:
        cursor = conn.cursor(binary=True, row_factory=tuple_row)
        cursor.execute(query, parameters)
        cursors.append(cursor)
    return [cursor.fetchall() if each.rows else [] for cursor, each in zip(cursors, batch, strict=True)]


def perform_apart(conn: Connection[Any], batch: list[Statement]) -> list[list[Any]]:
    """As `perform`; in pipeline mode the transaction before it ends, and its own too."""
    if not conn.pgconn.pipeline_status:
        return perform(conn, batch)
    with conn.pipeline():
        return perform(conn, batch)


class Connections:
    """What steps run on. A pool is used without a lock, a connection by one thread at a time.

    `adapt`: is given each connection before it is used, to make types of parameters known to it.
    """

    def __init__(
        self,
        resource: Resource | None,
        make: Callable[[], Resource] | None = None,
        *,
        pipeline: bool = False,
        adapt: Callable[[AdaptContext], None] | None = None,
    ) -> None:
        self._adapt = adapt
        self._adapted_to = weakref.WeakSet[Any]()
        self._resource = resource
        self._make = make
        self._pipeline = pipeline
        self._open = ExitStack()
        self._lock = threading.RLock()
        self._closed = False
        self.joined = 0
        """Operations that found a transaction of the program's on their connection, and are part of it."""

    def open(self) -> Resource:
        """The pool or connection; made if it is our own and is not there or broken."""
        resource = self._resource
        if isinstance(resource, ConnectionPool):
            return resource
        with self._lock:
            resource = self._resource
            if self._make is not None and (resource is None or resource.closed):
                if self._closed:
                    raise psycopg.InterfaceError("It is closed.")
                self._open = ExitStack()
                resource = self._make()
                self._open.enter_context(resource)
                if self._pipeline and isinstance(resource, Connection):
                    self._open.enter_context(resource.pipeline())
                self._resource = resource
            assert resource is not None
            return resource

    def close(self) -> None:
        """Closes what was opened here."""
        with self._lock:
            self._closed = True
            try:
                self._open.close()
            except psycopg.Error:
                # A pipeline on a connection that broke before; the connection is closed in any case.
                if isinstance(self._resource, Connection):
                    self._resource.close()

    @contextmanager
    def connection(self) -> Iterator[Connection[Any]]:
        """A connection for this thread."""
        resource = self.open()
        if isinstance(resource, ConnectionPool):
            with resource.connection() as conn:
                yield self._adapted(conn)
        else:
            with self._lock:
                yield self._adapted(resource)

    def _adapted(self, conn: Connection[Any]) -> Connection[Any]:
        if conn.pgconn.transaction_status != TransactionStatus.IDLE:
            self.joined += 1
        if conn not in self._adapted_to:
            register(conn.adapters)
            if self._adapt is not None:
                self._adapt(conn)
            self._adapted_to.add(conn)
        return conn

    def read(self, steps: Callable[[], Steps[T]]) -> T:
        """Runs steps whose statements need no transaction."""
        return self._again(lambda: self._run(steps()))

    def write(self, steps: Callable[[], Steps[T]], *, repeatable: bool = False) -> T:
        """Runs steps in a transaction. `repeatable`: they may be stored twice with the effect of once."""

        def attempt() -> T:
            try:
                return self._transact(steps())
            except LostCommitError as error:
                if repeatable and error.__cause__ is not None:
                    raise error.__cause__ from None
                raise

        return self._again(attempt)

    def apart(self, steps: Callable[[], Steps[T]]) -> T:
        """Runs steps each of whose statements must be a transaction of its own."""
        return self._again(lambda: self._run_apart(steps()))

    def _run(self, steps: Steps[T]) -> T:
        with self.connection() as conn:
            if not conn.autocommit:
                with conn.transaction():
                    return _drive(conn, steps)
            if conn.pgconn.pipeline_status:
                with conn.pipeline():  # what it ends with commits; until then all is one transaction
                    return _drive(conn, steps)
            return _drive(conn, steps)

    def _run_apart(self, steps: Steps[T]) -> T:
        with self.connection() as conn:
            if conn.autocommit:
                return _drive(conn, steps, perform_apart)
            conn.autocommit = True
            try:
                return _drive(conn, steps, perform_apart)
            finally:
                if not conn.closed:
                    conn.autocommit = False

    def _transact(self, steps: Steps[T]) -> T:
        done = False
        try:
            with self.connection() as conn, _pipeline(conn), conn.transaction():
                result = _drive(conn, steps)
                done = True
            return result
        except psycopg.OperationalError as error:
            if done and is_broken(error):
                raise LostCommitError from error
            raise

    def _again(self, attempt: Callable[[], T]) -> T:
        for i in range(ATTEMPTS):
            try:
                return attempt()
            except Exception as error:
                if not may_retry(error) or i == ATTEMPTS - 1 or not self._recover():
                    if (shown := translated(error)) is error:
                        raise
                    raise shown from error
                time.sleep(delay(i))
        raise AssertionError

    def _recover(self) -> bool:
        """Whether there may be a working connection at the next attempt."""
        resource = self._resource
        if isinstance(resource, ConnectionPool):
            if not resource.closed:
                resource.check()
            return not resource.closed
        made_anew = self._make is not None and not self._closed
        return made_anew or (resource is not None and not resource.closed)


@contextmanager
def _pipeline(conn: Connection[Any]) -> Iterator[None]:
    """Pipeline mode, where libpq has it: statements whose rows nobody waits for cost no round trip.

    Not without prepared statements, the setting for poolers: what a pipeline ends with may send a Flush after
    the Sync, and if that comes when a pooler in transaction mode has already taken the server's connection
    back, it lends another one, until this client's next transaction.
    """
    if conn.prepare_threshold is None or not Pipeline.is_supported():
        yield
        return
    with conn.pipeline():
        yield


def _drive(conn: Connection[Any], steps: Steps[T], perform: Perform = perform) -> T:
    try:
        batch = next(steps)
        while True:
            batch = steps.send(perform(conn, batch))
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        steps.close()
