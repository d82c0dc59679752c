"""What both colours of a saver do, as steps: statements to perform and rows to receive. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from threadkeep.checkpoint.commits import Commit
from threadkeep.checkpoint.foretold import Foretold, KnownThread, KnownThreads, foretell
from threadkeep.checkpoint.memo import Learned
from threadkeep.checkpoint.objects import Blob, Codec
from threadkeep.checkpoint.postgres import sql
from threadkeep.checkpoint.postgres.names import place_of
from threadkeep.checkpoint.postgres.rows import Storage, commit_all, is_large, reference
from threadkeep.checkpoint.postgres.rows import commit as commit_one
from threadkeep.checkpoint.postgres.session import Session
from threadkeep.checkpoint.postgres.tables import CHECKPOINTS
from threadkeep.checkpoint.requests import FindObjects, Plan
from threadkeep.postgres import ledger
from threadkeep.postgres.arrays import Byteas, Numbers
from threadkeep.postgres.statements import Statements, Steps, checked_schema

__all__ = ["MAX_VALUE_BYTES", "Operations", "together"]

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
        session = Session((yield from self._ready(codec)), writing=False)
        result = yield from session.run(plan())
        if session.absent is not None:
            self._threads.learn_absent(session.absent)
        return result

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

    def foretell(self, commits: Sequence[Commit]) -> list[Foretold | FindObjects | None]:
        """What each commit will store if nobody else changes its thread.

        A request where `find` must be asked first. None where too little is known.
        """
        if self._hash_key is None:
            return [None] * len(commits)
        return [foretell(commit.plan, self._threads) for commit in commits]

    def find(
        self, commits: Sequence[Commit], told: Sequence[Foretold | FindObjects | None], codec: Codec
    ) -> Steps[list[Foretold | FindObjects | None]]:
        """What `foretell` says once it knows the objects that it asked for."""
        storage = yield from self._ready(codec)
        blobs = [(it.no, blob) for it in told if isinstance(it, FindObjects) for blob in it.blobs]
        places = Byteas(place_of(blob, storage.hash_key) for _, blob in blobs)
        threads = Numbers(no for no, _ in blobs)
        (rows,) = yield [self._statements.ask(sql.OBJECTS_OF_MANY, threads, places)]
        found: dict[int, dict[Blob, int]] = {}
        for i, n in rows:
            no, blob = blobs[i - 1]
            found.setdefault(no, {})[blob] = n
        return [
            foretell(commit.plan, self._threads, found.get(it.no, {})) if isinstance(it, FindObjects) else it
            for commit, it in zip(commits, told, strict=True)
        ]

    def store_foretold(self, them: Sequence[Foretold], codec: Codec) -> Steps[list[int | None]]:
        """Stores commits of different threads in one statement, or two if some are new.

        Those that keep no history take one each. Gives the numbers of their threads for `learn_foretold`;
        None, and nothing stored, for one whose thread somebody changed.
        """
        storage = yield from self._ready(codec)
        shallow = sorted((it for it in them if it.known.rows is not None), key=reference)
        parts = [[it] for it in shallow]
        for new in (False, True):
            parts.append([it for it in them if it.known.rows is None and (not it.known.row.no) is new])
        parts = [part for part in parts if part]
        # All are made before the first is sent: a value that is too large is refused with nothing stored.
        answers = yield [
            commit_one(storage, part[0]) if len(part) == 1 else commit_all(storage, part) for part in parts
        ]
        stored: dict[Any, int] = {}
        for part, rows in zip(parts, answers, strict=True):
            stored.update((ref[0] if ref else reference(part[0]), no) for no, *ref in rows)
        return [stored.get(reference(it)) for it in them]

    def learn_foretold(
        self, them: Sequence[Foretold], numbers: Sequence[int | None], *, certain: bool
    ) -> list[list[Learned] | None]:
        """As `learn`, of commits that were stored under these numbers; None for those that were not."""
        results: list[list[Learned] | None] = []
        for it, no in zip(them, numbers, strict=True):
            if no is None:
                self._threads.forget(it.thread_id)
                results.append(None)
            else:
                known = {it.thread_id: it.after(no)}
                results.append(self.learn(it.learned(no), known, certain=certain))
        return results

    def learn(self, news: list[Learned], threads: dict[str, KnownThread], *, certain: bool) -> list[Learned]:
        """Takes over what a transaction made true; gives what the memos may take over.

        `certain`: it is committed. Else it was part of a transaction of the program's, which may yet undo it:
        nothing is remembered.
        """
        if not certain:
            return [each.told() for each in news]
        for thread_id, known in threads.items():
            self._threads.learn(thread_id, known)
        return news


def together(told: Sequence[Foretold | FindObjects | None]) -> list[Foretold | None]:
    """Those that may share a statement: not large ones, nor those of whose thread there is one before."""
    threads: set[str] = set()
    kept: list[Foretold | None] = []
    for it in told:
        if not isinstance(it, Foretold):
            kept.append(None)
            continue
        kept.append(None if it.thread_id in threads or is_large(it) else it)
        threads.add(it.thread_id)
    return kept
