"""The way of a batch from its operations to their results: what is read, embedded and written, in order.

A generator yields what is to be done and receives the outcome; each colour of the store does it in its way.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterable
from functools import partial
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

from threadkeep.errors import StorageError
from threadkeep.postgres.statements import Steps
from threadkeep.store.base import Embeddings, Op, Result, SearchOp
from threadkeep.store.postgres.operations import SWEPT_AT_ONCE, Operations, Place, SearchReport, prepared
from threadkeep.store.postgres.recall import ChangedMeanwhileError, NewVectors
from threadkeep.store.postgres.vectors import Packed

__all__ = [
    "Build", "Course", "Embed", "Read", "Step", "Write", "aembedded", "afollow", "course", "embedded",
    "explaining", "follow", "sweeping",
]  # fmt: skip

T = TypeVar("T")
ATTEMPTS = 5


class Embed(NamedTuple):
    """Make vectors of texts and of queries; the outcome is both lists."""

    embeddings: Embeddings
    texts: list[str]
    queries: list[str]


class Read(NamedTuple):
    """Run steps that need no transaction."""

    steps: Callable[[], Steps[Any]]


class Write(NamedTuple):
    """Run steps in a transaction; they may be repeated."""

    steps: Callable[[], Steps[Any]]


class Build(NamedTuple):
    """Run steps outside transactions; others beside them, now and then, whose results are reported."""

    steps: Callable[[], Steps[Any]]
    watch: Callable[[], Steps[Any]]
    report: Callable[[Any], None]


Step: TypeAlias = Embed | Read | Write | Build
Course: TypeAlias = Generator[Step, Any, T]
Vectors: TypeAlias = tuple[list[list[float]], list[list[float]]]


def course(operations: Operations, ops: Iterable[Op]) -> Course[list[Result]]:
    """The results of *ops*, in their order.

    Texts are embedded before the transaction begins: what fails there leaves everything as it was.
    """
    recall = operations.recall
    batch = prepared(ops, indexed=recall is not None)
    if recall is None:
        single = batch.is_one_statement and not (batch.writes and operations.forgets)
        results: list[Result] = yield _of(single)(lambda: operations.run(batch))
        return results
    texts = {
        place: recall.texts(put.value, put.op.index) for place, put in batch.writes.items() if put is not None
    }
    queries = [
        *dict.fromkeys(op.query for _, op, _ in batch.searches if op.query and recall.is_about_meaning(op))
    ]
    vectors: dict[bytes, Packed] = {}
    asked: dict[str, Packed] = {}
    for _ in range(ATTEMPTS):
        kept: dict[Place, set[bytes]] = {}
        if any(texts.values()):
            places = [place for place, some in texts.items() if some]
            kept = yield Read(partial(operations.known_vectors, places))
        missing = _missing(texts, kept, vectors)
        if missing or len(asked) < len(queries):
            made = yield Embed(recall.embeddings, [*missing.values()], [q for q in queries if q not in asked])
            vectors |= zip(missing, recall.packed(made[0], [*missing.values()]), strict=True)
            if len(asked) < len(queries):
                asked |= zip(queries, recall.packed(made[1], queries), strict=True)
        kind, new = _of(batch.is_one_statement and not texts), NewVectors(texts, kept, vectors)
        try:
            results = yield kind(partial(operations.run, batch, new, asked))
        except ChangedMeanwhileError:
            continue
        return results
    raise StorageError("The items of a batch were written by others again and again meanwhile.")


def sweeping(operations: Operations) -> Course[int]:
    """Deletes what has expired, in bounded transactions; how many items these were."""
    swept = 0
    while True:
        gone: int = yield Write(operations.sweep)
        swept += gone
        if gone < SWEPT_AT_ONCE:
            return swept


def follow(way: Course[T], perform: Callable[[Step], Any]) -> T:
    """The result of a way whose steps are performed one after the other."""
    try:
        step = next(way)
        while True:
            try:
                outcome = perform(step)
            except ChangedMeanwhileError as error:
                step = way.throw(error)
            else:
                step = way.send(outcome)
    except StopIteration as end:
        return cast("T", end.value)


async def afollow(way: Course[T], perform: Callable[[Step], Awaitable[Any]]) -> T:
    """As `follow`."""
    try:
        step = next(way)
        while True:
            try:
                outcome = await perform(step)
            except ChangedMeanwhileError as error:
                step = way.throw(error)
            else:
                step = way.send(outcome)
    except StopIteration as end:
        return cast("T", end.value)


def embedded(step: Embed) -> Vectors:
    """The vectors of the texts and of the queries."""
    texts = step.embeddings.embed_documents(step.texts) if step.texts else []
    return texts, [step.embeddings.embed_query(query) for query in step.queries]


async def aembedded(step: Embed) -> Vectors:
    """As `embedded`."""
    texts = await step.embeddings.aembed_documents(step.texts) if step.texts else []
    return texts, [await step.embeddings.aembed_query(query) for query in step.queries]


def explaining(operations: Operations, op: SearchOp) -> Course[SearchReport]:
    """How a search is carried out."""
    recall, asked = operations.recall, {}
    ((_, _, condition),) = prepared([op], indexed=recall is not None).searches
    if recall is not None and op.query and recall.is_about_meaning(op):
        _, (vector,) = yield Embed(recall.embeddings, [], [op.query])
        asked[op.query] = recall.packed([vector], [op.query])[0]
    report: SearchReport = yield Read(partial(operations.explained, op, condition, asked))
    return report


def _of(single: bool) -> type[Read] | type[Write]:
    return Read if single else Write


def _missing(
    texts: dict[Place, dict[bytes, str]], kept: dict[Place, set[bytes]], made: dict[bytes, Packed]
) -> dict[bytes, str]:
    """The texts that neither the store nor this batch has a vector of."""
    return {
        hash: text
        for place, some in texts.items()
        for hash, text in some.items()
        if hash not in made and hash not in kept.get(place, ())
    }
