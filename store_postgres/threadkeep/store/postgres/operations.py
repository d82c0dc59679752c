"""A batch of operations as steps: statements to perform and rows to receive. Pure; both colours run it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import groupby, zip_longest
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeAlias, cast

from threadkeep.postgres import ledger
from threadkeep.postgres.arrays import Texts
from threadkeep.postgres.statements import Statement, Steps, checked_schema, quoted
from threadkeep.store import filter as filters
from threadkeep.store.base import (
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    check_mode,
    validate_op_namespace,
)
from threadkeep.store.lexical import words_of
from threadkeep.store.postgres import sql
from threadkeep.store.postgres.filters import Condition, compiled
from threadkeep.store.postgres.names import (
    END,
    LAST,
    body_of,
    checked,
    escaped,
    namespace_of,
    range_of,
    searchable,
    space,
    unescaped,
)
from threadkeep.store.postgres.recall import (
    ChangedMeanwhileError,
    Found,
    NewVectors,
    Recall,
    together,
)
from threadkeep.store.postgres.tables import ITEMS, VECTORS
from threadkeep.store.postgres.vectors import Packed
from threadkeep.store.values import own

__all__ = ["SWEPT_AT_ONCE", "Batch", "Operations", "Place", "Put", "SearchReport", "prepared"]

SWEPT_AT_ONCE = 1_000
_MOST = 2**62
"""Stands for every larger limit and offset."""
_TABLES = (*ITEMS.tables, *VECTORS.tables, "migration")
Place = tuple[str, str]
"""Namespace and key as the table has them."""
Reader = Callable[[list[Any]], Iterable[int]]
"""Takes the rows of a statement; gives the numbers of the items whose time starts anew."""


class Put(NamedTuple):
    """An item to be written."""

    op: PutOp
    value: dict[str, Any]
    body: str
    searchable: str | None


class Batch(NamedTuple):
    """Operations that were checked. Of several writes to one place only the last is here."""

    size: int
    gets: list[tuple[int, GetOp]]
    searches: list[tuple[int, SearchOp, Condition]]
    lists: list[tuple[int, ListNamespacesOp]]
    writes: dict[Place, Put | None]
    """None: to be deleted."""

    @property
    def is_one_statement(self) -> bool:
        """Whether it takes a single statement, apart from what it refreshes: no transaction is needed."""
        kinds = {put is None for put in self.writes.values()} if self.writes else ()
        return bool(self.gets) + len(self.searches) + len(self.lists) + len(kinds) <= 1


def prepared(ops: Iterable[Op], *, indexed: bool) -> Batch:
    """The batch of some operations. Raises `InvalidOpError` if one of them is bad."""
    batch = Batch(0, [], [], [], {})
    place = -1
    for place, op in enumerate(ops):
        validate_op_namespace(op)
        if isinstance(op, GetOp):
            batch.gets.append((place, op))
        elif isinstance(op, PutOp):
            name = space(op.namespace), escaped(op.key)
            checked(*name)
            batch.writes[name] = None if op.value is None else _put(op)
        elif isinstance(op, SearchOp):
            check_mode(op, indexed=indexed)
            batch.searches.append((place, op, compiled(filters.parse(op.filter))))
        else:
            batch.lists.append((place, op))
    return batch._replace(size=place + 1)


def _put(op: PutOp) -> Put:
    assert op.value is not None
    value = own(op.value)
    body = body_of(value)
    return Put(op, value, body, None if (shown := searchable(body)) is body else shown)


Way: TypeAlias = Literal["exact", "index", "words", "list"]


class SearchReport(NamedTuple):
    """How a search was carried out."""

    items: list[SearchItem]
    way: Way
    """How it ranked in the end: all vectors compared, through the index, by words; or it only lists."""
    topped_up: bool
    """Whether the index gave too few, and all vectors were compared then."""
    matching: int | None
    """Vectors in the namespaces, counted up to `most` + 1; an estimate where the search is of all."""
    most: int | None
    """Up to so many are compared exactly."""
    candidates: int
    """Vectors whose items were looked at in the end."""
    plans: list[str]
    """What `EXPLAIN (ANALYZE)` says of each statement, in their order."""


class Operations:
    """The steps of one store's operations. May be used from many threads."""

    def __init__(
        self,
        schema_name: str,
        deserializer: Callable[[bytes], dict[str, Any]] | None,
        now: Callable[[], datetime | None],
        recall: Recall | None = None,
    ) -> None:
        self.schema = checked_schema(schema_name)
        self.recall = recall
        self._now = now
        self.load = json.loads if deserializer is None else lambda body: deserializer(body.encode())
        self._quoted: dict[str, bytes] = {}
        self._checked = False
        self.forgets = recall is None
        """Whether it overwrites what may have vectors and makes none: where others have an index."""

    def ask(self, template: str, parameters: Any) -> Statement:
        """A statement that gives rows."""
        return Statement(self._query(template), parameters, True)

    def tell(self, template: str, parameters: Any) -> Statement:
        """A statement that gives none."""
        return Statement(self._query(template), parameters, False)

    def _query(self, template: str) -> bytes:
        query = self._quoted.get(template)
        if query is None:
            if len(self._quoted) > 500:  # filters are of endless variety
                self._quoted.clear()
            query = self._quoted[template] = quoted(template, self.schema, _TABLES)
        return query

    def ready(self) -> Steps[None]:
        """Asks for the version of the tables, the first time."""
        if not self._checked:
            applied, of_vectors = yield [self.ask(ledger.STATE, (each.name,)) for each in (ITEMS, VECTORS)]
            ledger.check(ITEMS, self.schema, applied)
            if self.recall is not None:
                ledger.check(VECTORS, self.schema, of_vectors)
                yield from self.recall.ready(self.ask)
            else:
                self.forgets = bool(of_vectors)
            self._checked = True

    def run(
        self,
        batch: Batch,
        new: NewVectors | None = None,
        queries: Mapping[str, Packed] = MappingProxyType({}),
    ) -> Steps[list[Result]]:
        """The results of a batch. What it reads comes before what it writes.

        *new* and *queries*: the vectors of its puts and searches, of a store with an index. Raises
        `ChangedMeanwhileError` if *new* is out of date; the transaction must then be undone.
        """
        yield from self.ready()
        results: list[Result] = [None] * batch.size
        now = self._now()
        touched = yield from self._ranked(batch, queries, results, now)
        asked = [*self._gets(batch, results, now)]
        asked += [
            self._search(place, op, condition, results, now)
            for place, op, condition in batch.searches
            if self.recall is None or not op.query
        ]
        asked += [self._list(place, op, results, now) for place, op in batch.lists]
        writes: list[tuple[Statement, int | None]] = [(each, None) for each in self._writes(batch, now)]
        if self.recall is not None and new is not None and new.texts:
            writes += self.recall.writes(new, self.ask)
        statements = [statement for statement, _ in (*asked, *writes)]
        if statements:
            answers = yield statements
            touched |= {no for (_, read), rows in zip(asked, answers, strict=False) for no in read(rows)}
            for (_, count), rows in zip(writes, answers[len(asked) :], strict=True):
                if count is not None and rows[0][0] != count:
                    raise ChangedMeanwhileError
        if touched:
            yield [self.tell(sql.TOUCH, {"no": sorted(touched), "now": now})]
        return results

    def known_vectors(self, places: list[Place]) -> Steps[dict[Place, set[bytes]]]:
        """The hashes of the texts that have vectors, of the items at these places."""
        assert self.recall is not None
        yield from self.ready()
        return (yield from self.recall.known(places, self.ask))

    def _ranked(
        self, batch: Batch, queries: Mapping[str, Packed], results: list[Result], now: datetime | None
    ) -> Steps[set[int]]:
        """Searches with a query; gives the numbers of the items whose time starts anew."""
        searches = [each for each in batch.searches if self.recall is not None and each[1].query]
        touched: set[int] = set()
        if self.recall is None or not searches:
            return touched
        asked = [
            self.recall.ask(op, condition, now, queries.get(op.query or "")) for _, op, condition in searches
        ]
        found: list[Found] = yield from together([self.recall.search(each, self.ask) for each in asked])
        for (place, op, _), ranked in zip(searches, found, strict=True):
            results[place] = self._found(ranked.rows)
            touched |= _mortal(op, ranked.rows)
        return touched

    def explained(
        self, op: SearchOp, condition: Condition, queries: Mapping[str, Packed]
    ) -> Steps[SearchReport]:
        """How a search is carried out: its result, and the server's account of each statement."""
        yield from self.ready()
        asked: list[Statement] = []

        def ask(template: str, parameters: Any) -> Statement:
            asked.append(self.ask(template, parameters))
            return asked[-1]

        now = self._now()
        if self.recall is not None and op.query:
            ranking = self.recall.ask(op, condition, now, queries.get(op.query))
            found = yield from self.recall.search(ranking, ask)
            way: Way = "words" if op.mode == "lexical" else "index" if found.through_index else "exact"
        else:
            statement, _ = self._search(0, op, condition, [None], now)
            asked.append(statement)
            (rows,) = yield [statement]
            found, way = Found(rows), "list"
        plans = []
        for statement in asked:
            (lines,) = yield [statement._replace(query=b"EXPLAIN (ANALYZE) " + statement.query)]
            plans.append("\n".join(line for (line,) in lines))
        return SearchReport(self._found(found.rows), way, *found[2:], plans)

    def _gets(
        self, batch: Batch, results: list[Result], now: datetime | None
    ) -> Iterable[tuple[Statement, Reader]]:
        wanted: dict[Place, list[tuple[int, GetOp]]] = {}
        for place, op in batch.gets:
            wanted.setdefault((space(op.namespace), escaped(op.key)), []).append((place, op))
        if not wanted:
            return
        asked = [*wanted.values()]
        if len(asked) == 1:
            ((ns, key),) = wanted
            statement = self.ask(sql.GET, {"ns": ns, "key": key, "now": now})
        else:
            spaces, keys = (list(column) for column in zip(*wanted, strict=True))
            statement = self.ask(sql.GET_MANY, {"ns": Texts(spaces), "key": Texts(keys), "now": now})
        load = self.load

        def read(rows: list[Any]) -> Iterable[int]:
            for i, body, created, updated, mortal in rows:
                for place, op in asked[i - 1]:
                    results[place] = Item(
                        value=load(body),
                        key=op.key,
                        namespace=op.namespace,
                        created_at=created.astimezone(UTC),
                        updated_at=updated.astimezone(UTC),
                    )
                    if mortal is not None and op.refresh_ttl:
                        yield mortal

        yield statement, read

    def _search(
        self, place: int, op: SearchOp, condition: Condition, results: list[Result], now: datetime | None
    ) -> tuple[Statement, Reader]:
        parameters: dict[str, Any] = {
            **condition.parameters,
            "now": now,
            "limit": min(op.limit, _MOST),
            "offset": min(op.offset, _MOST),
        }
        within, after = range_of(op.namespace_prefix), op.after
        if within is not None:
            parameters["first"], parameters["end"] = within
        if after is not None:
            parameters |= {
                "updated": after.updated_at,
                "ns": space(after.namespace),
                "key": escaped(after.key),
            }
        template = sql.search(condition.sql, op.order, within=within is not None, behind=after is not None)

        def read(rows: list[Any]) -> Iterable[int]:
            results[place] = self._found(rows)
            return _mortal(op, rows)

        return self.ask(template, parameters), read

    def _found(self, rows: Iterable[Sequence[Any]]) -> list[SearchItem]:
        """The items of rows: namespace, key, body, created, updated, number if it is mortal, score if any."""
        return [
            SearchItem(
                namespace_of(row[0]),
                unescaped(row[1]),
                self.load(row[2]),
                row[3].astimezone(UTC),
                row[4].astimezone(UTC),
                *row[6:],
            )
            for row in rows
        ]

    def _list(
        self, place: int, op: ListNamespacesOp, results: list[Result], now: datetime | None
    ) -> tuple[Statement, Reader]:
        prefix, suffix = (_merged(op.match_conditions or (), kind) for kind in ("prefix", "suffix"))
        known = [] if prefix is None else prefix[: [*prefix, None].index(None)]
        first, end = range_of(tuple(cast("list[str]", known))) or ("", LAST)
        parameters = {
            "first": first,
            "end": end,
            "prefix": None if prefix is None else [label and escaped(label) for label in prefix],
            "suffix": None if suffix is None else [label and escaped(label) for label in suffix],
            "depth": op.max_depth,
            "limit": 0 if prefix is None or suffix is None else min(op.limit, _MOST),
            "offset": min(op.offset, _MOST),
            "now": now,
        }

        def read(rows: list[Any]) -> Iterable[int]:
            results[place] = [namespace_of(name + END) for (name,) in rows]
            return ()

        return self.ask(sql.NAMESPACES, parameters), read

    def _writes(self, batch: Batch, now: datetime | None) -> Iterable[Statement]:
        """In the order of the places, puts and deletes mixed as they come: so no two batches wait for each
        other, whatever of it exists.
        """
        for deletes, run in groupby(sorted(batch.writes.items(), key=_place), lambda write: write[1] is None):
            if deletes:
                yield self.tell(sql.DELETE, _names([place for place, _ in run]))
            else:
                yield from self._puts([(place, cast("Put", put)) for place, put in run], now)

    def _puts(self, puts: list[tuple[Place, Put]], now: datetime | None) -> Iterable[Statement]:
        names = _names([place for place, _ in puts])
        yield self.tell(
            sql.PUT,
            {
                **names,
                "body": Texts([put.body for _, put in puts]),
                "searchable": Texts([put.searchable for _, put in puts]),
                "ttl": [None if put.op.ttl is None else float(put.op.ttl) for _, put in puts],
                "words": Texts([self._words(put) for _, put in puts]),
                "fields": Texts([_fields(put) for _, put in puts]),
                "now": now,
            },
        )
        if self.forgets:
            yield self.tell(sql.FORGET, names)

    def _words(self, put: Put) -> str | None:
        """What the item is found by in a search by words."""
        if self.recall is None or put.op.index is False:
            return None
        return " ".join(words_of(put.value)) or None

    def sweep(self) -> Steps[int]:
        """Deletes some of what has expired; returns how many. 0 if another sweeper is at it."""
        yield from self.ready()
        ((mine,),) = yield [self.ask(sql.TRY_SWEEPING, (self._sweepers_lock(),))]
        if not mine[0]:
            return 0
        (gone,) = yield [self.ask(sql.SWEEP, {"now": self._now(), "limit": SWEPT_AT_ONCE})]
        return len(gone)

    def _sweepers_lock(self) -> int:
        digest = blake2b(f"threadkeep sweeper {self.schema}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big", signed=True)


def _fields(put: Put) -> str | None:
    return None if put.op.index is None else json.dumps(put.op.index)


def _names(places: list[Place]) -> dict[str, Texts]:
    return {"ns": Texts([ns for ns, _ in places]), "key": Texts([key for _, key in places])}


def _place(write: tuple[Place, Put | None]) -> Place:
    return write[0]


def _mortal(op: SearchOp, rows: Iterable[Sequence[Any]]) -> set[int]:
    """The numbers of the items whose time starts anew because a search found them."""
    return {row[5] for row in rows if row[5] is not None} if op.refresh_ttl else set()


def _merged(conditions: Iterable[MatchCondition], kind: str) -> list[str | None] | None:
    """The one path that says what all conditions of a kind say, None where it has "*"; None if two of them
    contradict each other. Paths of a suffix lie against the end.
    """
    merged: list[str | None] = []
    for condition in conditions:
        if condition.match_type == kind:
            path = [None if label == "*" else label for label in condition.path]
            if kind == "suffix":
                path.reverse()
            pairs = zip_longest(merged, path)
            merged = []
            for known, label in pairs:
                if known is not None and label is not None and known != label:
                    return None
                merged.append(known if label is None else label)
    return merged[::-1] if kind == "suffix" else merged
