"""Finding items by meaning and by words, as steps: what is asked, and what is done if that was not enough.

Pure. Also which vectors a batch of puts adds and removes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

from threadkeep.errors import StorageError
from threadkeep.postgres.arrays import Byteas, Numbers, Texts
from threadkeep.postgres.statements import Statement, Steps
from threadkeep.store.base import SearchOp, ensure_embeddings
from threadkeep.store.lexical import deeper, fuse, fused_depth, words
from threadkeep.store.postgres import vectors
from threadkeep.store.postgres.filters import Condition
from threadkeep.store.postgres.indexes import PostgresIndexConfig, VectorIndex, chosen
from threadkeep.store.postgres.names import escaped, range_of, space
from threadkeep.store.postgres.ranking import Shape, by_meaning, by_words
from threadkeep.store.postgres.vectors import Packed, array, pack
from threadkeep.store.texts import check_vectors, fields_of, text_hash, texts_of

__all__ = ["Ask", "ChangedMeanwhileError", "Found", "NewVectors", "Recall", "together"]

T = TypeVar("T")
Place = tuple[str, str]
"""Namespace and key as the tables have them."""
Tell = Callable[[str, Any], Statement]
TYPE = "SELECT to_regtype('vector')::oid::bigint"
LEAST = 16
"""Candidates of the smallest search; their number is always a power of two, so that statements are few."""
_GROWTH = 4
_MOST = 2**40
"""Stands for every larger limit and offset."""
_KEPT = 500
"""Templates of statements; filters are of endless variety."""


class ChangedMeanwhileError(Exception):
    """A vector that a put relied on was removed by another process: the put begins anew."""


class Ask(NamedTuple):
    """A search with a query."""

    op: SearchOp
    condition: Condition
    parameters: dict[str, Any]
    """Those that all its statements have: of the filter, the time, the namespaces and the cursor."""
    query: Packed | None
    """The vector; None: by words only."""


class Found(NamedTuple):
    """What a search found and how."""

    rows: list[Sequence[Any]]
    """Namespace, key, body, created, updated, number if it is mortal, score; best first."""
    through_index: bool = False
    topped_up: bool = False
    """Whether the index gave too few, and all vectors were compared then."""
    matching: int | None = None
    """Vectors in the namespaces, counted up to `most` + 1; an estimate where the search is of all."""
    most: int | None = None
    """Up to so many are compared exactly."""
    candidates: int = 0
    """Vectors whose items were looked at in the end."""


class NewVectors(NamedTuple):
    """The texts of a batch of puts."""

    texts: dict[Place, dict[bytes, str]]
    """By their hash, for each put."""
    kept: Mapping[Place, set[bytes]]
    """Those that the store has a vector of."""
    made: Mapping[bytes, Packed]
    """The vectors of the others."""


class Recall:
    """The steps of searches with a query, and the statements about vectors. May be used from many threads."""

    def __init__(self, config: PostgresIndexConfig) -> None:
        self.index: VectorIndex = chosen(config)
        self.embeddings = ensure_embeddings(config.get("embed"))
        self.fields = fields_of(config)
        self._templates: dict[tuple[Shape, int, bool], str] = {}
        self.type_oid: int | None = None
        """Of `vector` in this database."""

    def ready(self, tell: Tell) -> Steps[None]:
        """Asks for what does not change in a database, the first time."""
        ((found,),) = yield [tell(TYPE, ())]
        self.type_oid = found[0]
        if self.type_oid is None:
            raise StorageError(
                "pgvector's type is not found: its schema must be in the search_path of the connection."
            )

    # Searching

    def ask(self, op: SearchOp, condition: Condition, now: Any, query: Packed | None) -> Ask:
        """The search with what its statements need."""
        parameters: dict[str, Any] = {**condition.parameters, "now": now}
        within, after = range_of(op.namespace_prefix), op.after
        if within is not None:
            parameters["first"], parameters["end"] = within
        if after is not None and after.score is not None:
            parameters |= {
                "after": after.score,
                "updated": after.updated_at,
                "ns": space(after.namespace),
                "key": escaped(after.key),
            }
        return Ask(op, condition, parameters, query)

    def search(self, ask: Ask, tell: Tell) -> Steps[Found]:
        """The page that is asked for."""
        op = ask.op._replace(limit=min(ask.op.limit, _MOST), offset=min(ask.op.offset, _MOST))
        ask = ask._replace(op=op)
        if op.mode == "hybrid":
            return (yield from self._by_both(ask, tell))
        if op.mode == "lexical" or ask.query is None:
            rows = yield from _by_words(ask, tell, op.limit, op.offset)
            return Found(rows)
        return (yield from self._by_meaning(ask, tell, op.limit, op.offset))

    def _by_meaning(self, ask: Ask, tell: Tell, limit: int, offset: int) -> Steps[Found]:
        """Takes more candidates while there are too few items; compares all if the index has no more."""
        if not limit:
            return Found([])
        shape = _shape(ask)
        count = max(LEAST, 1 << (limit + offset - 1).bit_length())
        assert ask.query is not None
        # To the null vector all are equally near, and an index of cosines gives none.
        exact, topped_up = self.index.kind == "flat" or not any(ask.query[4:]), False
        parameters = {**ask.parameters, "query": ask.query, "limit": limit, "offset": offset}
        while True:
            (rows,) = yield [tell(self._template(shape, count, exact), parameters)]
            about: tuple[Any, ...] = (None, None, False, 0)
            matching, most, indexed, candidates = rows[0][:4] if rows else about
            found = [row[4:] for row in rows if row[4] is not None]
            through_index = bool(indexed and matching > most)
            if len(found) >= limit or (not through_index and candidates < count):
                return Found(found, through_index, topped_up, matching, most, candidates)
            if through_index and candidates < count:
                exact = topped_up = True
            else:
                count *= _GROWTH

    def _template(self, shape: Shape, count: int, exact: bool) -> str:
        known = self._templates.get((shape, count, exact))
        if known is None:
            if len(self._templates) > _KEPT:
                self._templates.clear()
            known = by_meaning(self.index, shape, count, exact=exact)
            self._templates[shape, count, exact] = known
        return known

    def _by_both(self, ask: Ask, tell: Tell) -> Steps[Found]:
        """The best of both rankings, fused; more of them while the page behind a cursor is not full."""
        depth = fused_depth(ask.op.limit, ask.op.offset)
        whole = ask._replace(parameters={n: held for n, held in ask.parameters.items() if n != "after"})
        while True:
            both = yield from together([self._by_meaning(whole, tell, depth, 0), _worded(whole, tell, depth)])
            found = _fused(ask, *both)
            if len(found.rows) >= ask.op.limit or max(len(each.rows) for each in both) < depth:
                return found
            depth = deeper(depth)

    # Writing

    def texts(self, value: dict[str, Any], index: Literal[False] | list[str] | None) -> dict[bytes, str]:
        """The texts of a put that get vectors, by their hash."""
        return {text_hash(found.text): found.text for found in texts_of(value, index, self.fields)}

    def is_about_meaning(self, op: SearchOp) -> bool:
        """Whether the query of a search is to be embedded."""
        return bool(op.query) and op.mode != "lexical"

    def packed(self, made: Sequence[Sequence[float]], texts: Sequence[str]) -> list[Packed]:
        """The vectors of some texts. Raises `InvalidOpError` if they are not what was asked for."""
        check_vectors(made, texts, self.index.dims)
        return [pack(vector, self.index.dims) for vector in made]

    def known(self, places: Sequence[Place], tell: Tell) -> Steps[dict[Place, set[bytes]]]:
        """The hashes of the texts that have vectors, of the items at these places."""
        names = {"ns": Texts([ns for ns, _ in places]), "key": Texts([key for _, key in places])}
        (rows,) = yield [tell(vectors.KNOWN, {**names, "dims": self.index.dims})]
        found: dict[Place, set[bytes]] = {}
        for i, hash in rows:
            found.setdefault(places[i - 1], set()).add(hash)
        return found

    def writes(self, new: NewVectors, tell: Tell) -> Iterable[tuple[Statement, int | None]]:
        """The statements that follow the puts in their transaction.

        With each the number that it must give, lest the puts relied on vectors that are gone; None: it gives
        no rows.
        """
        assert self.type_oid is not None
        places = sorted(new.texts)
        wanted = [
            (i, hash, hash in new.kept.get(place, ()))
            for i, place in enumerate(places, 1)
            for hash in new.texts[place]
        ]
        names = {"ns": Texts([ns for ns, _ in places]), "key": Texts([key for _, key in places])}
        given = {
            **names,
            "of": Numbers([i for i, _, _ in wanted]),
            "hash": Byteas([hash for _, hash, _ in wanted]),
            "vector": array([None if kept else new.made[hash] for _, hash, kept in wanted], self.type_oid),
            "dims": self.index.dims,
        }
        yield tell(vectors.REPLACE, given)._replace(rows=False), None
        kept = [(i, hash) for i, hash, kept in wanted if kept]
        if kept:
            given = {
                "ns": Texts([places[i - 1][0] for i, _ in kept]),
                "key": Texts([places[i - 1][1] for i, _ in kept]),
                "hash": Byteas([hash for _, hash in kept]),
                "dims": self.index.dims,
            }
            yield tell(vectors.KEPT, given), len(kept)


def _fused(ask: Ask, meaning: Found, worded: Found) -> Found:
    """The page of what both found."""
    op, cursor = ask.op, ask.parameters.get("after")
    items = {tuple(row[:2]): row for row in (*worded.rows, *meaning.rows)}
    scores = fuse([[tuple(row[:2]) for row in found.rows] for found in (meaning, worded)])
    ranked = sorted((-score, items[name][4], *name) for name, score in scores.items())
    if cursor is not None:
        given = ask.parameters
        place = (-cursor, given["updated"], given["ns"], given["key"])
        ranked = [each for each in ranked if each > place]
    page = ranked[op.offset : op.offset + op.limit]
    return meaning._replace(rows=[(*items[ns, key][:6], -score) for score, _, ns, key in page])


def _shape(ask: Ask) -> Shape:
    return Shape(ask.condition.sql, "first" in ask.parameters, "after" in ask.parameters)


def _by_words(ask: Ask, tell: Tell, limit: int, offset: int) -> Steps[list[Sequence[Any]]]:
    asked = list(dict.fromkeys(words(ask.op.query or "")))
    if not asked or not limit:
        return []
    parameters = {**ask.parameters, "words": asked, "limit": limit, "offset": offset}
    (rows,) = yield [tell(by_words(_shape(ask)), parameters)]
    return rows


def _worded(ask: Ask, tell: Tell, depth: int) -> Steps[Found]:
    return Found((yield from _by_words(ask, tell, depth, 0)))


def together(many: Sequence[Steps[T]]) -> Steps[list[T]]:
    """The results of several steps, whose statements go out together."""
    results: dict[int, T] = {}
    asked: dict[int, list[Statement]] = {}

    def advance(i: int, answers: list[list[Any]] | None) -> None:
        try:
            asked[i] = next(many[i]) if answers is None else many[i].send(answers)
        except StopIteration as stop:
            asked.pop(i, None)
            results[i] = stop.value

    for i in range(len(many)):
        advance(i, None)
    while asked:
        order = list(asked.items())
        answers = iter((yield [statement for _, batch in order for statement in batch]))
        for i, batch in order:
            advance(i, [next(answers) for _ in batch])
    return [results[i] for i in range(len(many))]
