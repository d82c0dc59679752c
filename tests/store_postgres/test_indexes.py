"""Indexes of vectors: what is chosen, when it is built, and how it becomes what is configured now."""

from __future__ import annotations

import random
import threading
import warnings
from collections.abc import Sequence
from typing import Any

import psycopg
import pytest

from threadkeep.errors import InvalidOpError, StorageError
from threadkeep.store.base import PutOp
from threadkeep.store.postgres import AsyncPostgresStore, PostgresStore
from threadkeep.store.postgres.building import ReindexWarning, require
from threadkeep.store.postgres.indexes import IndexChoiceWarning, VectorIndex, chosen, lists_for
from threadkeep.store.postgres.reindexing import Progress

INDEXES = """SELECT indexrelid::regclass::text, coalesce(reloptions, '{}') FROM pg_index
    JOIN pg_class ON pg_class.oid = indexrelid
    JOIN pg_am ON pg_am.oid = relam AND amname IN ('hnsw', 'ivfflat')
    WHERE indisvalid ORDER BY 1"""
DIMENSIONS = "SELECT dims, count(*) FROM threadkeep_vector GROUP BY dims ORDER BY dims"


class Embedding:
    """A vector of so many numbers for each text; counts the texts."""

    def __init__(self, dims: int) -> None:
        self.dims = dims
        self.asked: list[str] = []

    def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        self.asked += texts
        return [[random.Random(f"{text}{i}").gauss(0, 1) for i in range(self.dims)] for text in texts]


def index(dims: int, embed: Any = None, **ann: Any) -> Any:
    made: dict[str, Any] = {"dims": dims, "embed": embed or Embedding(dims), "fields": ["text"]}
    return {**made, "ann_index_config": ann} if ann else made


def puts(count: int, start: int = 0) -> list[PutOp]:
    return [PutOp(("a",), str(number), {"text": f"text {number}"}) for number in range(start, start + count)]


def ask(database: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database) as conn:
        return conn.execute(query.encode()).fetchall()


def test_an_index_that_is_not_described_is_a_graph_by_cosine() -> None:
    built_with: dict[str, int | None] = {"m": 16, "ef_construction": 64}
    assert chosen(index(384)) == VectorIndex(384, "cosine", "hnsw", "vector", built_with, {})


@pytest.mark.parametrize(
    ("dims", "type_"),
    [(2_000, "vector"), (2_001, "halfvec"), (4_000, "halfvec"), (4_001, "bit"), (16_000, "bit")],
)
def test_dimensions_choose_the_type_and_less_precision_is_said(dims: int, type_: str) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert chosen(index(dims)).type == type_
    assert [(warning.category, type_ in str(warning.message)) for warning in said] == (
        [] if type_ == "vector" else [(IndexChoiceWarning, True)]
    )


def test_a_type_that_was_asked_for_is_not_warned_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert chosen(index(3_072, kind="hnsw", vector_type="halfvec")).type == "halfvec"
        assert chosen(index(8_000, kind="flat")).type == "vector"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (index(0), "dims"),
        (index(16_001), "dims"),
        ({**index(3), "distance_type": "hamming"}, "distance_type must be one of cosine, inner_product, l2"),
        (index(3, kind="diskann"), "kind must be one of hnsw, ivfflat, flat"),
        (index(3, kind="hnsw", vector_type="int8"), "vector_type must be one of vector, halfvec, bit"),
        (index(2_001, kind="hnsw", vector_type="vector"), "at most 2,000 dimensions"),
        (index(3, kind="hnsw", nlist=3), "an index of kind 'hnsw' has no nlist"),
        (index(3, kind="flat", probes=3), "an index of kind 'flat' has no probes"),
        (index(3, kind="hnsw", m=1), "m must be from 2 to 100, not 1"),
        (index(3, kind="hnsw", m=40), "ef_construction must be at least twice m"),
        (index(3, kind="hnsw", ef_search="40; DROP"), "ef_search must be from 1 to 1,000"),
        (index(3, kind="ivfflat", iterative_scan="strict_order"), "relaxed_order, off"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(config: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        chosen(config)


def test_clusters_have_a_thousand_rows_each() -> None:
    assert [lists_for(rows) for rows in (0, 5_000, 50_000, 1_000_000, 4_000_000)] == [
        10,
        10,
        50,
        1_000,
        2_000,
    ]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "needs pgvector 0.8.0 or newer, which this PostgreSQL server does not have"),
        ([("0.7.4", None)], "0.8.0 or newer, not 0.7.4: upgrade it on the server"),
        ([("0.8.1", "0.5.0")], "0.8.0 or newer, not 0.5.0: run ALTER EXTENSION vector UPDATE"),
    ],
)
def test_a_server_without_a_new_pgvector_is_told_which(rows: list[Any], said: str) -> None:
    steps = require()
    next(steps)
    with pytest.raises(StorageError, match=said):
        steps.send([rows])


def test_a_server_with_pgvector_will_do() -> None:
    for rows in ([("0.8.0", None)], [("0.10.1", "0.8.2")]):
        steps = require()
        next(steps)
        with pytest.raises(StopIteration):
            steps.send([rows])


def test_setup_builds_a_graph_at_once_and_nothing_the_second_time(database: str) -> None:
    with PostgresStore.from_conn_string(database, index=index(8, kind="hnsw", m=8)) as store:
        assert "CREATE INDEX" in store.setup()
        assert store.setup() == ""
        assert store.check()
    options = ["m=8", "ef_construction=64"]
    assert ask(database, INDEXES) == [("threadkeep_vector_hnsw_cosine_vector_8", options)]


def test_a_dry_run_changes_nothing(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    with PostgresStore.from_conn_string(database, index=index(8)) as store:
        text = store.setup(dry_run=True)
        assert "CREATE EXTENSION IF NOT EXISTS vector" in text
        assert capsys.readouterr().out == text
        assert not store.check()


def test_clusters_wait_for_rows_and_all_are_compared_until_then(database: str) -> None:
    with PostgresStore.from_conn_string(database, index=index(8, kind="ivfflat", nlist=12)) as store:
        store.setup()
        store.batch(puts(999))
        store.setup()
        assert ask(database, INDEXES) == []
        assert store.search(("a",), query="text 3", limit=1)[0].key == "3"
        store.batch(puts(1, 999))
        assert "ivfflat" in store.setup()
        assert ask(database, INDEXES) == [("threadkeep_vector_ivfflat_cosine_vector_8", ["lists=12"])]
        assert store.search(("a",), query="text 3", limit=1)[0].key == "3"


def test_other_parameters_are_said_and_reindex_builds_with_them(database: str) -> None:
    with PostgresStore.from_conn_string(database, index=index(8, kind="hnsw")) as store:
        store.setup()
        store.batch(puts(50))
    embed = Embedding(8)
    with PostgresStore.from_conn_string(database, index=index(8, embed, kind="hnsw", m=24)) as store:
        with pytest.warns(ReindexWarning, match=r"built with m = 16, and 24 is configured: reindex\(\)"):
            store.setup()
        store.reindex()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            store.setup()
    assert embed.asked == []
    assert ask(database, INDEXES) == [
        ("threadkeep_vector_hnsw_cosine_vector_8", ["m=24", "ef_construction=64"])
    ]


def test_another_kind_takes_the_place_of_the_index_before(database: str) -> None:
    with PostgresStore.from_conn_string(database, index=index(8, kind="hnsw")) as store:
        store.setup()
        store.batch(puts(1_200))
    with PostgresStore.from_conn_string(database, index=index(8, kind="ivfflat")) as store:
        store.reindex()
        assert store.search(("a",), query="text 7", limit=1)[0].key == "7"
    assert ask(database, INDEXES) == [("threadkeep_vector_ivfflat_cosine_vector_8", ["lists=10"])]
    with PostgresStore.from_conn_string(database, index=index(8, kind="flat")) as store:
        store.reindex()
        assert store.search(("a",), query="text 7", limit=1)[0].key == "7"
    assert ask(database, INDEXES) == []


def test_other_dimensions_are_said_and_reindex_embeds_everything_anew(database: str) -> None:
    with PostgresStore.from_conn_string(database, index=index(8)) as store:
        store.setup()
        store.batch(puts(600))
        store.put(("a",), "not", {"text": "not embedded"}, index=False)
        store.put(("a",), "other", {"title": "a title", "text": "x"}, index=["title"])
    embed, told = Embedding(12), list[Progress]()
    with PostgresStore.from_conn_string(database, index=index(12, embed)) as store:
        with pytest.warns(ReindexWarning, match="vectors of 8 dimensions; the index has dims=12"):
            store.setup()
        assert store.search(("a",), query="text 5") == []
        embed.asked.clear()
        store.reindex(told.append)
        assert sorted(embed.asked) == sorted([f"text {number}" for number in range(600)] + ["a title"])
        assert [item.key for item in store.search(("a",), query="text 5", limit=1)] == ["5"]
        assert [item.key for item in store.search(("a",), query="a title", limit=1)] == ["other"]
        assert len(store.search(("a",), query="a title", limit=1_000)) == 601
    assert ask(database, DIMENSIONS) == [(12, 601)]
    assert [name for name, _ in ask(database, INDEXES)] == ["threadkeep_vector_hnsw_cosine_vector_12"]
    assert [each for each in told if each.phase == "vectors"] == [
        Progress("vectors", 500, 602),
        Progress("vectors", 602, 602),
    ]
    assert told[-1] == Progress("done", 1, 1)


def test_an_index_for_items_that_were_put_without_one(database: str) -> None:
    with PostgresStore.from_conn_string(database) as store:
        store.setup()
        store.batch(puts(3))
    with PostgresStore.from_conn_string(database, index=index(8)) as store:
        store.setup()
        store.reindex()
        assert store.search(("a",), query="text 2", limit=1)[0].key == "2"
        found = store.search(("a",), query="text", mode="lexical")
        assert [item.key for item in found] == ["0", "1", "2"]


def test_what_is_written_while_it_is_reindexed_is_found_as_written(database: str) -> None:
    """Two others write, one as it was configured before, one as now."""
    with PostgresStore.from_conn_string(database, index=index(8)) as store:
        store.setup()
        store.batch(puts(700))
    done = threading.Event()

    def write(dims: int, start: int) -> None:
        with PostgresStore.from_conn_string(database, index=index(dims)) as other:
            number = start
            while not done.is_set():
                other.put(("a",), str(number % 700), {"text": f"new {number}"})
                number += 2

    writers = [threading.Thread(target=write, args=(8, 0)), threading.Thread(target=write, args=(12, 1))]
    pool: Any = {"min_size": 2, "max_size": 2}
    with PostgresStore.from_conn_string(database, index=index(12), pool_config=pool) as store:
        with pytest.warns(ReindexWarning):
            store.setup()
        for writer in writers:
            writer.start()
        store.reindex()
        done.set()
        for writer in writers:
            writer.join()
        store.reindex()
        for item in store.search(("a",), limit=700):
            (found,) = store.search(("a",), query=item.value["text"], limit=1)
            assert found.key == item.key
            assert found.score == pytest.approx(1)
    assert ask(database, DIMENSIONS) == [(12, 700)]


async def test_reindex_and_explain_of_the_async_store(database: str) -> None:
    async with AsyncPostgresStore.from_conn_string(database, index=index(8)) as store:
        await store.setup()
        await store.abatch(puts(20))
    told = list[Progress]()
    async with AsyncPostgresStore.from_conn_string(database, index=index(12)) as store:
        await store.reindex(told.append)
        assert [item.key for item in await store.asearch(("a",), query="text 5", limit=1)] == ["5"]
    assert told == [Progress("vectors", 20, 20), Progress("done", 1, 1)]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e39])
def test_a_vector_that_is_none_is_refused_before_anything_is_written(database: str, bad: float) -> None:
    config = index(2, lambda texts: [[1.0, bad] for _ in texts])
    with PostgresStore.from_conn_string(database, index=config) as store:
        store.setup()
        with pytest.raises(InvalidOpError, match="The embedding made a vector"):
            store.put(("a",), "1", {"text": "x"})
        assert store.get(("a",), "1") is None


@pytest.mark.parametrize(("dims", "type_"), [(2_100, "halfvec"), (4_100, "bit")])
def test_many_dimensions_are_stored_and_found(database: str, dims: int, type_: str) -> None:
    with pytest.warns(IndexChoiceWarning, match=type_):
        store = PostgresStore.from_conn_string(database, index=index(dims))
    with store:
        store.setup()
        store.batch(puts(20))
        assert store.search(("a",), query="text 5", limit=1)[0].score == pytest.approx(1)
    assert ask(database, INDEXES)[0][0] == f"threadkeep_vector_hnsw_cosine_{type_}_{dims}"


def test_an_unchanged_text_is_not_embedded_again_after_a_restart(database: str) -> None:
    with PostgresStore.from_conn_string(database, index=index(8)) as store:
        store.setup()
        store.batch(puts(3))
    embed = Embedding(8)
    with PostgresStore.from_conn_string(database, index=index(8, embed)) as store:
        store.batch([*puts(3), PutOp(("a",), "3", {"text": "text 3"})])
    assert embed.asked == ["text 3"]


def test_a_vector_that_another_removes_while_its_put_embeds_is_made_anew(database: str) -> None:
    """The put keeps the vector of one text and waits for that of another when its item is deleted."""
    embed = Embedding(8)
    config: Any = {"dims": 8, "embed": embed, "fields": ["text", "title"]}
    with (
        PostgresStore.from_conn_string(database, index=config) as store,
        PostgresStore.from_conn_string(database, index=index(8)) as other,
    ):
        store.setup()
        store.put(("a",), "1", {"text": "kept"})

        def embed_late(texts: Sequence[str]) -> list[list[float]]:
            other.delete(("a",), "1")
            return embed(texts)

        late: Any = {**config, "embed": embed_late}
        embed.asked.clear()
        with PostgresStore.from_conn_string(database, index=late) as third:
            third.put(("a",), "1", {"text": "kept", "title": "new"})
        assert embed.asked == ["new", "kept"]
        assert store.search(("a",), query="kept")[0].score == pytest.approx(1)
        assert store.search(("a",), query="new")[0].score == pytest.approx(1)
