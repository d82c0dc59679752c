"""`InMemoryStore`: the operations of a store over `Contents`, under one lock.

Nothing waits while the lock is held: texts are embedded before.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from threadkeep.checkpoint.serde.base import SerializerProtocol
from threadkeep.checkpoint.serde.jsonplus import JsonPlusSerializer
from threadkeep.store.base import (
    NOT_GIVEN,
    GetOp,
    IndexConfig,
    Item,
    ListNamespacesOp,
    Namespace,
    NotProvided,
    Op,
    PutOp,
    Result,
    SearchOp,
    TTLConfig,
    check_mode,
    ensure_embeddings,
    validate_op_namespace,
)
from threadkeep.store.base.base import BaseStore
from threadkeep.store.expiry import expired, expires
from threadkeep.store.filter import Node as Filter
from threadkeep.store.filter import parse
from threadkeep.store.memory import file
from threadkeep.store.memory.contents import Contents, Search
from threadkeep.store.memory.items import Record
from threadkeep.store.namespaces import listed
from threadkeep.store.sweeper import Sweeper, sweep_minutes
from threadkeep.store.texts import check_vectors, fields_of, text_hash, texts_of
from threadkeep.store.values import own

if TYPE_CHECKING:
    from threadkeep.store.memory.vectors import Floats, Vectors

BEFORE = datetime.min
"""The time of what is not written yet."""
SWEPT_AT_ONCE = 1000
"""Expired items that are deleted before other threads have their turn."""


class MemoryIndexConfig(IndexConfig, total=False):
    """How the items of an `InMemoryStore` are found by meaning."""

    distance_type: Literal["cosine", "inner_product", "l2"]
    """What the score is: 1 - cosine distance, the inner product, or minus the Euclidean distance. "cosine" if
    left out."""


class _Wanted:
    """Texts and queries that a batch needs vectors for, and then those vectors."""

    def __init__(self, texts: dict[bytes, str], queries: list[str]) -> None:
        self.texts = texts
        self.queries = queries
        self.text_vectors: Sequence[Sequence[float]] = []
        self.query_vectors: Sequence[Sequence[float]] = []


class _Draft(NamedTuple):
    """A checked put: what to keep (None: delete) and the texts to embed by their hash."""

    record: Record | None
    texts: dict[bytes, str]


class _Batch:
    """The checked operations of one batch, and the vectors made for it so far."""

    def __init__(self, ops: list[Op]) -> None:
        self.ops = ops
        self.drafts: dict[tuple[Namespace, str], _Draft] = {}
        self.filters: dict[int, Filter] = {}
        self.queries: dict[str, Floats | None] = {}
        self.made: dict[bytes, int] = {}
        """Rows of `matrix`, by the hash of their text."""
        self.matrix: Floats | None = None
        self.state: tuple[Contents, int] | None = None
        """Of the store when it was last found out what is missing."""


Steps = Generator[_Wanted, None, list[Result]]


class InMemoryStore(BaseStore):
    """Items in the memory of this process, searched exactly.

    May be used by any number of threads and event loops. Values are copied in and out. Searches by meaning
    need *index*; those by words do not. *ttl* sets the defaults of expiry; nothing is swept unless
    `start_ttl_sweeper` or `sweep_ttl` is called, but expired items are never returned.
    """

    supports_ttl = True

    def __init__(
        self, index: MemoryIndexConfig | IndexConfig | None = None, *, ttl: TTLConfig | None = None
    ) -> None:
        self.index_config = index
        self.ttl_config = ttl
        self.embeddings = None if index is None else ensure_embeddings(index.get("embed"))
        self._fields = [] if index is None else fields_of(index)
        self._contents = Contents(None if index is None else _vectors(index))
        self._mortal: dict[Record, None] = {}
        self._lock = threading.Lock()
        self._sweeper: Sweeper | None = None

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """See `BaseStore`. The texts of a batch are embedded in one call."""
        steps = self._steps(ops)
        try:
            while True:
                self._embed(next(steps))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """As `batch`. Embedding does not block the event loop; a search may for as long as it takes."""
        steps = self._steps(ops)
        try:
            while True:
                await self._aembed(next(steps))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    def get(self, namespace: Namespace, key: str, *, refresh_ttl: bool | None = None) -> Item | None:
        record = self._readable(namespace, key)
        return super().get(namespace, key, refresh_ttl=refresh_ttl) if record is None else record.item()

    async def aget(self, namespace: Namespace, key: str, *, refresh_ttl: bool | None = None) -> Item | None:
        record = self._readable(namespace, key)
        return super().get(namespace, key, refresh_ttl=refresh_ttl) if record is None else record.item()

    def put(
        self,
        namespace: Namespace,
        key: str,
        value: Mapping[str, Any] | Item,
        index: Literal[False] | list[str] | None = None,
        *,
        ttl: float | NotProvided | None = NOT_GIVEN,
    ) -> None:
        if type(value) is dict and self._is_simple(namespace, key, index, ttl):
            self._put_simply(namespace, key, value)
        else:
            super().put(namespace, key, value, index, ttl=ttl)

    async def aput(
        self,
        namespace: Namespace,
        key: str,
        value: Mapping[str, Any] | Item,
        index: Literal[False] | list[str] | None = None,
        *,
        ttl: float | NotProvided | None = NOT_GIVEN,
    ) -> None:
        if type(value) is dict and self._is_simple(namespace, key, index, ttl):
            self._put_simply(namespace, key, value)
        else:
            await super().aput(namespace, key, value, index, ttl=ttl)

    def _readable(self, namespace: Namespace, key: str) -> Record | None:
        """The record, if it is there for ever: reading it needs neither a lock nor a clock."""
        try:
            record = self._contents.items.get(namespace, key)
        except TypeError:  # not hashable: the long way says what is wrong
            return None
        return record if record is None or record.expires_at is None else None

    def _is_simple(self, namespace: object, key: object, index: object, ttl: object) -> bool:
        """Whether a put needs no check, no vector and no expiry."""
        if self.embeddings is not None or index is not None or type(key) is not str or not key.isascii():
            return False
        try:
            known = namespace in self._contents.items.homes
        except TypeError:
            return False
        return known and (ttl is None or (ttl is NOT_GIVEN and self.ttl_config is None))

    def _put_simply(self, namespace: Namespace, key: str, value: dict[str, Any]) -> None:
        """As the batch of one put, in a third of the time (7 µs)."""
        record = Record(namespace, key, own(value), BEFORE, BEFORE)
        with self._lock:
            self._put(record, datetime.now(UTC) if self._now is None else self._now(), {})

    def _embed(self, wanted: _Wanted) -> None:
        assert self.embeddings is not None
        if wanted.texts:
            wanted.text_vectors = self.embeddings.embed_documents(list(wanted.texts.values()))
        wanted.query_vectors = [self.embeddings.embed_query(query) for query in wanted.queries]

    async def _aembed(self, wanted: _Wanted) -> None:
        assert self.embeddings is not None
        if wanted.texts:
            wanted.text_vectors = await self.embeddings.aembed_documents(list(wanted.texts.values()))
        wanted.query_vectors = [await self.embeddings.aembed_query(query) for query in wanted.queries]

    def _steps(self, ops: Iterable[Op]) -> Steps:
        """The results of a batch; yields what must be embedded before."""
        batch = self._checked(list(ops))
        while True:
            with self._lock:
                wanted = self._wanted(batch)
                if not wanted.texts and not wanted.queries:
                    return self._performed(batch)
            yield wanted
            self._take(batch, wanted)

    def _checked(self, ops: list[Op]) -> _Batch:
        """Raises `InvalidOpError` if one of the operations cannot be carried out."""
        batch = _Batch(ops)
        for place, op in enumerate(ops):
            validate_op_namespace(op)
            if isinstance(op, PutOp):
                batch.drafts[op.namespace, op.key] = self._draft(op)
            elif isinstance(op, SearchOp):
                check_mode(op, indexed=self.embeddings is not None)
                batch.filters[place] = parse(op.filter)
                if op.query and op.mode != "lexical" and self.embeddings is not None:
                    batch.queries[op.query] = None
        return batch

    def _draft(self, op: PutOp) -> _Draft:
        if op.value is None:
            return _Draft(None, {})
        record = Record(op.namespace, op.key, own(op.value), BEFORE, BEFORE)
        record.ttl, record.words = op.ttl, op.index is not False
        if self.embeddings is None:
            return _Draft(record, {})
        texts = texts_of(record.value, op.index, self._fields)
        return _Draft(record, {text_hash(found.text): found.text for found in texts})

    def _wanted(self, batch: _Batch) -> _Wanted:
        """The texts that have no vector yet, neither in this batch nor in the item that is overwritten."""
        find, known, missing = self._contents.items.get, batch.made, {}
        state = (self._contents, self._contents.items.version)
        if batch.state != state:  # else nothing has changed since it was last found out
            batch.state = state
            for (namespace, key), draft in batch.drafts.items():
                if draft.texts:
                    old = find(namespace, key)
                    for name, text in draft.texts.items():
                        if name not in known and (old is None or name not in old.rows):
                            missing[name] = text
        return _Wanted(missing, [query for query, vector in batch.queries.items() if vector is None])

    def _take(self, batch: _Batch, wanted: _Wanted) -> None:
        """Puts the vectors into the batch. Raises `InvalidOpError` if they are not what was asked for.

        Their lists of floats are not kept: the garbage collector would go through them during the writes,
        which took a third of an ingest.
        """
        rows = self._contents.vectors
        assert rows is not None
        if wanted.texts:
            check_vectors(wanted.text_vectors, list(wanted.texts.values()), rows.dims)
            made = rows.matrix(wanted.text_vectors)
            start = len(batch.made)
            batch.made.update((name, start + place) for place, name in enumerate(wanted.texts))
            batch.matrix = made if batch.matrix is None else rows.joined(batch.matrix, made)
        check_vectors(wanted.query_vectors, wanted.queries, rows.dims)
        for query, vector in zip(wanted.queries, wanted.query_vectors, strict=True):
            batch.queries[query] = rows.query(vector)
        wanted.text_vectors = []

    def _time(self) -> datetime:
        return datetime.now(UTC) if self._now is None else self._now()

    # Persistence

    def save(self, path: str | Path, *, serde: SerializerProtocol | None = None) -> None:
        """Writes all items with their vectors to one file, in the place of what was there.

        *serde*: what turns it into bytes, for instance encrypted ones; `load` needs the same.
        """
        with self._lock:
            items = [file.plain(record) for record in self._contents.items]
            rows = self._contents.vectors
            saved = file.Saved(None, items, None)
            if rows is not None:
                places = [row for record in self._contents.items for row in record.rows.values()]
                saved = file.Saved(rows.distance, items, rows.part(places).matrix.copy())
        file.save(Path(path), saved, serde or JsonPlusSerializer())

    def load(self, path: str | Path, *, serde: SerializerProtocol | None = None) -> None:
        """Holds what a file holds, instead of what it held.

        Nothing is embedded: items of a store that was saved without an index are not found by meaning until
        they are put again, and a store without an index leaves vectors out. Raises `StorageError` if the file
        is not readable, `ValueError` if its vectors are of other dimensions or another distance; the store is
        then as it was.
        """
        loaded = file.load(Path(path), serde or JsonPlusSerializer())
        rows = None if self.index_config is None else _vectors(self.index_config)
        if rows is not None and loaded.matrix is not None:
            found, expected = (loaded.distance, loaded.matrix.shape[1]), (rows.distance, rows.dims)
            if found != expected:
                raise ValueError(f"{path} holds vectors of {found}, but the index is of {expected}")
        contents = Contents(rows)
        for record, _ in loaded.items:
            contents.put(record, None)
        if rows is not None and loaded.matrix is not None:
            owners = [(record, name) for record, names in loaded.items for name in names]
            contents.attach(rows.restored(loaded.matrix), owners)
        with self._lock:
            self._contents = contents
            self._mortal = {record: None for record, _ in loaded.items if record.expires_at is not None}

    # Under the lock

    def _performed(self, batch: _Batch) -> list[Result]:
        now = self._time()
        results = [
            None if type(op) is PutOp else self._read(batch, place, op, now)
            for place, op in enumerate(batch.ops)
        ]
        if batch.drafts:
            self._write(batch, now)
        return results

    def _read(self, batch: _Batch, place: int, op: Op, now: datetime) -> Result:
        if isinstance(op, GetOp):
            record = self._contents.items.get(op.namespace, op.key)
            if record is None or expired(record.expires_at, now):
                return None
            if op.refresh_ttl:
                _refresh(record, now)
            return record.item()
        if isinstance(op, SearchOp):
            query = batch.queries.get(op.query) if op.query else None
            found = self._contents.search(Search(op, batch.filters[place], query, now))
            if op.refresh_ttl and self._mortal:
                for record, _ in found:
                    _refresh(record, now)
            return [record.found(score) for record, score in found]
        if isinstance(op, ListNamespacesOp):
            return listed(self._namespaces(now), op)
        return None

    def _namespaces(self, now: datetime) -> Iterable[Namespace]:
        homes = self._contents.items.homes
        if not self._mortal:
            return homes
        return (
            namespace
            for namespace, home in homes.items()
            if any(not expired(record.expires_at, now) for record in home.values())
        )

    def _write(self, batch: _Batch, now: datetime) -> None:
        owners: list[tuple[Record, bytes]] = []
        for (namespace, key), (record, texts) in batch.drafts.items():
            if record is None:
                self._delete(self._contents.items.get(namespace, key))
                continue
            self._put(record, now, texts)
            if texts:
                owners += [(record, name) for name in texts if name not in record.rows]
        if owners:
            assert batch.matrix is not None
            places = [batch.made[name] for _, name in owners]
            in_place = places == list(range(len(batch.matrix)))
            self._contents.attach(batch.matrix if in_place else batch.matrix[places], owners)

    def _put(self, record: Record, now: datetime, texts: Mapping[bytes, str]) -> None:
        """Keeps *record*. An item that has not expired keeps its creation, unchanged texts their vectors."""
        record.created_at = record.updated_at = now
        old = self._contents.items.get(record.namespace, record.key)
        if old is not None:
            if old.expires_at is None or old.expires_at > now:
                record.created_at = old.created_at
            if old.expires_at is not None:
                del self._mortal[old]
            if texts and old.rows:
                record.rows = {name: old.rows[name] for name in texts if name in old.rows}
        if record.ttl is not None:
            record.expires_at = expires(now, record.ttl)
            self._mortal[record] = None
        self._contents.put(record, old)

    def _delete(self, record: Record | None) -> None:
        if record is not None:
            self._mortal.pop(record, None)
            self._contents.delete(record)

    # Expiry

    def sweep_ttl(self) -> int:
        """Deletes the items that have expired; how many they were."""
        now, swept = self._time(), 0
        with self._lock:
            mortal = list(self._mortal)
        for start in range(0, len(mortal), SWEPT_AT_ONCE):
            with self._lock:
                for record in mortal[start : start + SWEPT_AT_ONCE]:
                    if record in self._mortal and expired(record.expires_at, now):
                        self._delete(record)
                        swept += 1
        return swept

    def start_ttl_sweeper(self, sweep_interval_minutes: float | None = None) -> Future[None]:
        """Sweeps in a thread, now and every so many minutes; done when stopped. A running one stays."""
        if self._sweeper is None or not self._sweeper.running:
            self._sweeper = Sweeper(self.sweep_ttl, sweep_minutes(sweep_interval_minutes, self.ttl_config))
        return self._sweeper.future

    def stop_ttl_sweeper(self, timeout: float | None = None) -> bool:
        """Whether no sweeper runs any more, waiting at most *timeout* seconds for it."""
        return self._sweeper is None or self._sweeper.stop(timeout)


def _vectors(index: MemoryIndexConfig | IndexConfig) -> Vectors[Record]:
    from threadkeep.store.memory.vectors import Vectors  # NumPy: 0.1 s that a store without an index spares

    if "dims" not in index or "embed" not in index:
        raise ValueError('index needs "dims", the length of the vectors, and "embed", what makes them')
    return Vectors(index["dims"], str(index.get("distance_type", "cosine")))


def _refresh(record: Record, now: datetime) -> None:
    if record.ttl is not None:
        record.expires_at = expires(now, record.ttl)
