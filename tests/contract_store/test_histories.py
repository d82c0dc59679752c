"""Random histories beside a model: a dict, the filter's evaluator and the order of results, nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.contract_store.backends import BACKENDS, Backend, Store, opened
from tests.contract_store.embedding import DIMS, embed
from threadkeep.store.base import (
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Namespace,
    PutOp,
    SearchItem,
    SearchOp,
)
from threadkeep.store.expiry import expired, expires
from threadkeep.store.filter import matches, parse
from threadkeep.store.namespaces import listed


def begins(namespace: Namespace, prefix: Namespace) -> bool:
    """Whether a search below the prefix looks here."""
    return namespace[: len(prefix)] == prefix


def place(item: SearchItem) -> tuple[datetime, Namespace, str]:
    """Where an item stands in a list."""
    return item.updated_at, item.namespace, item.key


class Held(NamedTuple):
    """An item in the model."""

    value: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    ttl: float | None
    expires_at: datetime | None
    found: bool
    """Whether a query may find it."""


class Model:
    """What a store is, said as plainly as possible."""

    def __init__(self) -> None:
        self.items: dict[tuple[Namespace, str], Held] = {}

    def alive(self, now: datetime) -> dict[tuple[Namespace, str], Held]:
        """The items that have not expired."""
        return {at: held for at, held in self.items.items() if not expired(held.expires_at, now)}

    def put(self, op: PutOp, now: datetime) -> None:
        """Writes or deletes."""
        old = self.alive(now).get((op.namespace, op.key))
        self.items.pop((op.namespace, op.key), None)
        if isinstance(op.value, dict):
            created = now if old is None else old.created_at
            found = op.index is not False and "text" in op.value
            self.items[op.namespace, op.key] = Held(
                op.value, created, now, op.ttl, expires(now, op.ttl), found
            )

    def get(self, op: GetOp, now: datetime) -> dict[str, Any] | None:
        """The item as a dict."""
        held = self.alive(now).get((op.namespace, op.key))
        if held is None:
            return None
        self.refresh((op.namespace, op.key), op.refresh_ttl, now)
        return shown(
            Item(
                namespace=op.namespace,
                key=op.key,
                value=held.value,
                created_at=held.created_at,
                updated_at=held.updated_at,
            )
        )

    def search(self, op: SearchOp, now: datetime) -> list[dict[str, Any]]:
        """A page of a list."""
        tree = parse(op.filter)
        found = [
            SearchItem(namespace, key, held.value, held.created_at, held.updated_at)
            for (namespace, key), held in self.alive(now).items()
            if begins(namespace, op.namespace_prefix) and matches(tree, held.value)
        ]
        found.sort(key=place, reverse=op.order == "desc")
        page = found[op.offset : op.offset + op.limit]
        for item in page:
            self.refresh((item.namespace, item.key), op.refresh_ttl, now)
        return [shown(item) for item in page]

    def refresh(self, at: tuple[Namespace, str], asked: bool, now: datetime) -> None:
        """Starts the time of an item anew."""
        held = self.items[at]
        if asked and held.ttl is not None:
            self.items[at] = held._replace(expires_at=expires(now, held.ttl))


def shown(item: Item) -> dict[str, Any]:
    """What is compared."""
    return item.dict()


SPACES = st.sampled_from([("a",), ("a", "b"), ("a", "bb"), ("ab",), ("a", "b", "c")])
KEYS = st.sampled_from(["1", "2", "three"])
VALUES = st.fixed_dictionaries(
    {"n": st.sampled_from([0, 1, True, 1.5, None, "1"])},
    optional={"text": st.sampled_from(["red apple", "green apple", "blue sky"]), "tags": st.just(["x", 1])},
)
TTLS = st.sampled_from([None, None, 1, 5, 0.5])
INDEXES = st.sampled_from([None, None, False])
PUTS = st.builds(PutOp, SPACES, KEYS, st.one_of(st.none(), VALUES, VALUES), INDEXES, TTLS)
GETS = st.builds(GetOp, SPACES, KEYS, st.booleans())
PREFIXES = st.sampled_from([(), ("a",), ("a", "b"), ("ab",), ("b",)])
FILTERS = st.sampled_from(
    [
        None,
        {"n": 1},
        {"n": {"$gt": 0}},
        {"tags": {"$contains": 1}},
        {"$not": {"n": None}},
        {"text": {"$ne": "x"}},
    ]
)
SEARCHES = st.builds(
    lambda prefix, filter, page, refresh, order: SearchOp(
        prefix, filter, limit=page[0], offset=page[1], refresh_ttl=refresh, order=order
    ),
    PREFIXES,
    FILTERS,
    st.sampled_from([(1, 0), (2, 0), (2, 1), (10, 0), (10, 3)]),
    st.booleans(),
    st.sampled_from(["asc", "desc"]),
)
CONDITIONS = st.sampled_from(
    [None, (MatchCondition("prefix", ("a",)),), (MatchCondition("suffix", ("*", "b")),)]
)
LISTS = st.builds(
    ListNamespacesOp, CONDITIONS, st.sampled_from([None, 1, 2]), st.just(10), st.sampled_from([0, 1])
)


class History(RuleBasedStateMachine):
    """A store and the model, side by side."""

    backend: Backend

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        path = Path(self.folder.name) / "store.db"
        index = {"dims": DIMS, "embed": embed, "fields": ["text"]}
        self.opening = opened(self.backend, path, index=index)
        self.store: Store = self.run(self.opening.__aenter__())
        self.model = Model()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The result of a call to the store."""
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        """Closes the store."""
        self.run(self.opening.__aexit__(None, None, None))
        self.loop.close()
        self.folder.cleanup()

    @property
    def now(self) -> datetime:
        """The time of the store."""
        return self.store.clock.now

    @rule(minutes=st.sampled_from([0.1, 0.5, 1, 4, 5]))
    def time_passes(self, minutes: float) -> None:
        self.store.clock.now += timedelta(minutes=minutes)

    @rule(ops=st.lists(PUTS, min_size=1, max_size=4))
    def put(self, ops: list[PutOp]) -> None:
        assert self.run(self.store.batch(ops)) == [None] * len(ops)
        for op in {(op.namespace, op.key): op for op in ops}.values():
            self.model.put(op, self.now)

    @rule(ops=st.lists(GETS, min_size=1, max_size=4, unique_by=lambda op: op[:2]))
    def get(self, ops: list[GetOp]) -> None:
        got = [None if item is None else shown(item) for item in self.run(self.store.batch(ops))]
        assert got == [self.model.get(op, self.now) for op in ops]

    @rule(op=SEARCHES)
    def list_items(self, op: SearchOp) -> None:
        self.list_items_as_asked(op)

    def list_items_as_asked(self, op: SearchOp) -> None:
        """Compares a page."""
        found = [shown(item) for item in self.run(self.store.batch([op]))[0]]
        assert found == self.model.search(op, self.now)

    @rule(op=LISTS)
    def list_namespaces(self, op: ListNamespacesOp) -> None:
        spaces = {namespace for namespace, _ in self.model.alive(self.now)}
        assert self.run(self.store.batch([op])) == [listed(spaces, op)]

    @rule(prefix=PREFIXES, filter=FILTERS, query=st.sampled_from(["apple", "blue"]))
    def search(self, prefix: Namespace, filter: dict[str, Any] | None, query: str) -> None:
        found = self.run(self.store.search(prefix, query=query, filter=filter, limit=100, refresh_ttl=False))
        expected = {
            (namespace, key): similarity(held.value["text"], query)
            for (namespace, key), held in self.model.alive(self.now).items()
            if held.found and begins(namespace, prefix) and matches(parse(filter), held.value)
        }
        assert {(item.namespace, item.key): item.score for item in found} == pytest.approx(expected, abs=1e-5)
        assert [item.score for item in found] == sorted((item.score for item in found), reverse=True)

    @rule()
    def sweep(self) -> None:
        alive = self.model.alive(self.now)
        assert self.run(self.store.sweep_ttl()) == len(self.model.items) - len(alive)
        self.model.items = alive

    @invariant()
    def everything_is_as_in_the_model(self) -> None:
        op = SearchOp((), limit=100, refresh_ttl=False)
        assert [shown(item) for item in self.run(self.store.batch([op]))[0]] == self.model.search(
            op, self.now
        )


def similarity(text: str, query: str) -> float:
    """The cosine of two texts."""
    a, b = embed([text, query])
    return sum(x * y for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: f"{backend.name}-{backend.colour}")
def test_random_histories_go_as_in_the_model(backend: Backend) -> None:
    case = type("History", (History,), {"backend": backend})
    run_state_machine_as_test(
        case, settings=settings(max_examples=8, stateful_step_count=30, derandomize=True, deadline=None)
    )
