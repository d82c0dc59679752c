"""What both colours of a saver do, as steps: statements to perform and rows to receive. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from threadkeep.checkpoint.commits import Commit
from threadkeep.checkpoint.foretold import Foretold, KnownThread, KnownThreads, foretell
from threadkeep.checkpoint.memo import Learned
from threadkeep.checkpoint.objects import Codec
from threadkeep.checkpoint.postgres import sql
from threadkeep.checkpoint.postgres.session import Session, Storage
from threadkeep.checkpoint.postgres.tables import CHECKPOINTS
from threadkeep.checkpoint.requests import Plan
from threadkeep.postgres import ledger
from threadkeep.postgres.statements import Statements, Steps, checked_schema

__all__ = ["MAX_VALUE_BYTES", "Operations"]

T = TypeVar("T")
MAX_VALUE_BYTES = 256 * 1024 * 1024


class Operations:
    """The steps of one saver's operations. May be used from many threads."""

    def __init__(self, schema_name: str, max_value_bytes: int) -> None:
        self.schema = checked_schema(schema_name)
        self.max_value_bytes = max_value_bytes
        self._statements = Statements(
            self.schema, (*CHECKPOINTS.tables, "migration"), (ledger.STATE, *sql.ALL)
        )
        self._hash_key: bytes | None = None
        self._threads = KnownThreads()

    def _ready(self, codec: Codec) -> Steps[Storage]:
        """What sessions share; asks for the version of the schema the first time."""
        if self._hash_key is None:
            applied, secret = yield [
                self._statements.ask(ledger.STATE, CHECKPOINTS.name),
                self._statements.ask(sql.HASH_KEY),
            ]
            ledger.check(CHECKPOINTS, self.schema, applied)
            self._hash_key = secret[0][0]
        return Storage(self._statements, self._hash_key, self.max_value_bytes, codec.joinable)

    def read(self, plan: Callable[[], Plan[T]], codec: Codec) -> Steps[T]:
        """Runs a plan that changes nothing."""
        storage = yield from self._ready(codec)
        return (yield from Session(storage, writing=False).run(plan()))

    def write(self, plan: Callable[[], Plan[T]], codec: Codec) -> Steps[T]:
        """Runs a plan; in a transaction."""
        storage = yield from self._ready(codec)
        return (yield from Session(storage, writing=True).run(plan()))

    def store(self, commit: Commit, codec: Codec) -> Steps[tuple[list[Learned], dict[str, KnownThread]]]:
        """Stores a commit the long way, in a transaction; `learn` what it gives when that is committed."""
        storage = yield from self._ready(codec)
        session = Session(storage, writing=True)
        news = yield from session.run(commit.plan())
        return news, session.learned(news)

    def foretell(self, commit: Commit) -> Foretold | None:
        """What a commit will store if nobody else changed its thread; None where too little is known."""
        return foretell(commit.plan, self._threads) if self._hash_key is not None else None

    def store_foretold(self, foretold: Foretold, codec: Codec) -> Steps[list[Learned] | None]:
        """Stores a commit in one statement; None, and nothing stored, if somebody changed its thread."""
        storage = yield from self._ready(codec)
        (rows,) = yield [Session(storage, writing=True).store(foretold)]
        if not rows:
            self._threads.forget(foretold.thread_id)
            return None
        self._threads.learn(foretold.thread_id, foretold.after())
        news: list[Learned] = foretold.result
        return news

    def learn(self, threads: dict[str, KnownThread]) -> None:
        """Takes over what a transaction made true."""
        for thread_id, known in threads.items():
            self._threads.learn(thread_id, known)
