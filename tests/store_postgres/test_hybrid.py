"""Searches by words and by both: the same items as in memory, whole pages, each once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract_store.embedding import DIMS, embed
from tests.postgres_server import drop_database, fresh_database
from threadkeep.store.base import BaseStore, PutOp, SearchItem, SearchOp
from threadkeep.store.lexical import fuse
from threadkeep.store.memory import InMemoryStore
from threadkeep.store.postgres import PostgresStore

INDEX: Any = {"dims": DIMS, "embed": embed, "fields": ["text"]}
SPACES = [("a",), ("a", "b"), ("ab",)]
TEXTS = [
    "The red apple falls far from the tree",
    "A green apple, and a red pear!",
    "Straße nach Köln",
    "STRASSE IM WALD",
    "e-mail me@example.org at 3.14",
    "under_scored 'quoted' %percent%",
    "日本語 の テキスト",
    "apple apple apple apple",
    "",
]


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresStore]:
    database = fresh_database()
    with PostgresStore.from_conn_string(database, index=INDEX) as store:
        store.setup()
        store.batch(list(items()))
        yield store
    drop_database(database)


@pytest.fixture(scope="module")
def memory() -> InMemoryStore:
    store = InMemoryStore(index=INDEX)
    store.batch(list(items()))
    return store


def items() -> Iterator[PutOp]:
    """Each text in each namespace, and some in which it is deeper, or not to be found."""
    for space in SPACES:
        for number, text in enumerate(TEXTS):
            yield PutOp(space, str(number), {"text": text, "number": number})
            yield PutOp(
                space, f"deep {number}", {"notes": [{"title": text}], "number": number, "text": "note"}
            )
            yield PutOp(space, f"hidden {number}", {"text": text}, index=False)


def names(found: list[SearchItem]) -> list[tuple[tuple[str, ...], str]]:
    return [(item.namespace, item.key) for item in found]


WORDS = [
    "apple",
    "APPLE",
    "red",
    "strasse",
    "köln",
    "mail",
    "3",
    "14",
    "under_scored",
    "percent",
    "日本語",
    "zebra",
    "!",
]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=3),
    st.sampled_from([(), *SPACES]),
    st.sampled_from([None, {"number": {"$lt": 4}}]),
)
def test_the_same_items_match_as_in_memory(
    postgres: PostgresStore,
    memory: InMemoryStore,
    asked: list[str],
    prefix: tuple[str, ...],
    filter: dict[str, Any] | None,
) -> None:
    def found(store: BaseStore) -> list[tuple[tuple[str, ...], str]]:
        query = " ".join(asked)
        return sorted(names(store.search(prefix, query=query, filter=filter, limit=200, mode="lexical")))

    assert found(postgres) == found(memory)


def test_rare_words_count_more_and_repetition_counts(postgres: PostgresStore) -> None:
    texts = {"0": "common thing", "1": "common thought", "2": "common sense", "3": "rare thing"}
    postgres.batch([PutOp(("rank",), key, {"text": text}) for key, text in texts.items()])
    found = postgres.search(("rank",), query="common rare", mode="lexical")
    assert [item.key for item in found] == ["3", "0", "1", "2"]
    postgres.batch([PutOp(("rank",), key, None) for key in texts])
    assert postgres.search(("a", "b"), query="apple", mode="lexical", limit=1)[0].key == "7"


@pytest.mark.parametrize("mode", ["lexical", "hybrid"])
def test_pages_by_offset_and_by_cursor_hold_each_item_once(postgres: PostgresStore, mode: Any) -> None:
    whole = postgres.search((), query="red apple", limit=100, mode=mode)
    by_offset = [
        item
        for offset in range(0, len(whole), 5)
        for item in postgres.search((), query="red apple", limit=5, offset=offset, mode=mode)
    ]
    by_cursor = postgres.search((), query="red apple", limit=5, mode=mode)
    while page := postgres.search((), query="red apple", limit=5, mode=mode, after=by_cursor[-1]):
        by_cursor += page
    assert names(by_offset) == names(by_cursor) == names(whole)
    assert len(set(names(whole))) == len(whole)
    scores = [item.score for item in whole if item.score is not None]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == len(whole)


def test_a_hybrid_search_fuses_the_ranks_of_both(postgres: PostgresStore) -> None:
    meaning = names(postgres.search(("a",), query="red apple", limit=200))
    words = names(postgres.search(("a",), query="red apple", limit=200, mode="lexical"))
    found = postgres.search(("a",), query="red apple", limit=200, mode="hybrid")
    assert {(item.namespace, item.key): item.score for item in found} == fuse([meaning, words])


def test_a_report_says_how_it_was_ranked(postgres: PostgresStore) -> None:
    def way(**options: Any) -> str:
        return postgres.explain(SearchOp(("a",), **options)).way

    assert way(query="apple", mode="lexical") == "words"
    assert way(query="apple") == "exact"
    assert way() == "list"
    report = postgres.explain(SearchOp(("a",), query="apple", mode="hybrid"))
    assert len(report.plans) == 2
    assert names(report.items) == names(postgres.search(("a",), query="apple", mode="hybrid"))


def test_words_follow_what_is_written_and_deleted(postgres: PostgresStore) -> None:
    def found(query: str) -> list[str]:
        return [item.key for item in postgres.search(("new",), query=query, mode="lexical")]

    postgres.put(("new",), "1", {"text": "ephemeral walrus"})
    assert found("walrus") == ["1"]
    postgres.put(("new",), "1", {"text": "ephemeral otter"})
    assert (found("walrus"), found("otter")) == ([], ["1"])
    postgres.put(("new",), "1", {"text": "ephemeral otter"}, index=False)
    assert found("otter") == []
    postgres.put(("new",), "1", {"text": "otter"})
    postgres.delete(("new",), "1")
    assert found("otter") == []
