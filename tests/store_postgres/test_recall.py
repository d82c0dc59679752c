"""Searches by meaning through an index: as many rows as there are, and the right ones, whatever the share."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import psycopg
import pytest

from tests.postgres_server import drop_database, fresh_database
from threadkeep.errors import StorageUnavailableError
from threadkeep.store.base import PutOp, SearchItem, SearchOp
from threadkeep.store.postgres import PostgresStore

DIMS = 48
MANY = 20_000
SHARES = {"30": 6_000, "10": 2_000, "3": 600, "1": 200, "tenth": 20}
OWNERS = [name for name, size in SHARES.items() for _ in range(size)]
OWNERS += [f"other {number % 40}" for number in range(MANY - len(OWNERS))]
ORDER = [number * 7_919 % MANY for number in range(MANY)]


def _matrix() -> np.ndarray[Any, np.dtype[np.float32]]:
    random = np.random.default_rng(3)
    made = random.standard_normal((MANY, 12)) @ random.standard_normal((12, DIMS))
    made += 0.3 * random.standard_normal((MANY, DIMS))
    unit: np.ndarray[Any, np.dtype[np.float32]] = (made / np.linalg.norm(made, axis=1)[:, None]).astype(
        np.float32
    )
    return unit


MATRIX = _matrix()


def embed(texts: Sequence[str]) -> list[list[float]]:
    """The vector of the number that a text is."""
    made: list[list[float]] = MATRIX[[int(text) for text in texts]].tolist()
    return made


def index(kind: str = "hnsw", **options: Any) -> Any:
    return {"dims": DIMS, "embed": embed, "fields": ["text"], "ann_index_config": {"kind": kind, **options}}


def put(number: int) -> PutOp:
    value = {"text": str(number), "number": number, "rare": number % 2_000 == 0}
    return PutOp(("tenants", OWNERS[number]), str(number), value)


@pytest.fixture(scope="module")
def filled() -> Iterator[str]:
    """A database with 20,000 items of tenants, interleaved, which no index was built for."""
    database = fresh_database()
    with PostgresStore.from_conn_string(database, index=index("flat")) as store:
        store.setup()
        for start in range(0, MANY, 2_000):
            store.batch([put(number) for number in ORDER[start : start + 2_000]])
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("VACUUM ANALYZE threadkeep_vector")
        conn.execute("VACUUM ANALYZE threadkeep_item")
    yield database
    drop_database(database)


@pytest.fixture(scope="module")
def graph(filled: str) -> Iterator[PostgresStore]:
    """The store with an HNSW index over all of them."""
    with PostgresStore.from_conn_string(filled, index=index()) as store:
        store.setup()
        yield store


def best(query: int, among: list[int], count: int) -> list[int]:
    scores = MATRIX[among] @ MATRIX[query]
    return [among[place] for place in np.argsort(-scores, kind="stable")[:count].tolist()]


def numbers(page: list[SearchItem]) -> list[int]:
    return [item.value["number"] for item in page]


def recall(store: PostgresStore, prefix: tuple[str, ...], among: list[int], **options: Any) -> float:
    """How many of the best ten are found, of 25 queries; each query must give ten."""
    right = 0
    for query in range(0, MANY, MANY // 25):
        found = numbers(store.search(prefix, query=str(query), limit=10, **options))
        assert len(found) == len(set(found)) == 10
        right += len(set(found) & set(best(query, among, 10)))
    return right / 250


@pytest.mark.parametrize("tenant", SHARES)
def test_a_tenant_of_any_size_gets_ten_of_ten_and_the_right_ones(graph: PostgresStore, tenant: str) -> None:
    held = [number for number in range(MANY) if OWNERS[number] == tenant]
    assert recall(graph, ("tenants", tenant), held) >= 0.95


def test_all_and_a_common_prefix_of_all_go_through_the_index(graph: PostgresStore) -> None:
    for prefix in ((), ("tenants",)):
        assert graph.explain(SearchOp(prefix, query="17")).way == "index"
        assert recall(graph, prefix, list(range(MANY))) >= 0.95


def test_few_vectors_are_compared_exactly(graph: PostgresStore) -> None:
    report = graph.explain(SearchOp(("tenants", "1"), query="17", limit=10))
    held = [number for number in range(MANY) if OWNERS[number] == "1"]
    assert (report.way, report.topped_up, report.matching) == ("exact", False, 200)
    assert numbers(report.items) == best(17, held, 10)
    assert "threadkeep_vector_by_place" in report.plans[0]


def test_a_hundred_of_a_hundred(graph: PostgresStore) -> None:
    found = numbers(graph.search((), query="17", limit=100))
    assert len(set(found)) == 100
    assert len(set(found) & set(best(17, list(range(MANY)), 100))) >= 95


def test_pages_at_any_offset_are_full_and_disjoint(graph: PostgresStore) -> None:
    prefix = ("tenants", "30")
    pages = [numbers(graph.search(prefix, query="4", limit=50, offset=at)) for at in (0, 50, 400, 450, 5_950)]
    assert [len(page) for page in pages] == [50] * 5
    assert len({number for page in pages for number in page}) == 250
    held = [number for number in range(MANY) if OWNERS[number] == "30"]
    assert pages[-1] == best(4, held, 6_000)[5_950:]
    assert graph.search(prefix, query="4", limit=50, offset=6_000) == []


def test_a_cursor_goes_on_where_the_page_ended(graph: PostgresStore) -> None:
    first = graph.search((), query="8", limit=30)
    second = graph.search((), query="8", limit=30, after=first[-1])
    assert numbers(first + second) == numbers(graph.search((), query="8", limit=60))


def test_a_filter_that_few_pass_gives_all_of_them(graph: PostgresStore) -> None:
    passing = list(range(0, MANY, 2_000))
    report = graph.explain(SearchOp((), {"rare": True}, 10, query="17"))
    assert numbers(report.items) == best(17, passing, 10)
    assert graph.search((), query="17", limit=10, filter={"number": -1}) == []


def test_what_the_index_does_not_give_is_found_by_comparing_all(filled: str) -> None:
    cut = index("hnsw", max_scan_tuples=50)
    with PostgresStore.from_conn_string(filled, index=cut) as store:
        report = store.explain(SearchOp((), {"rare": True}, 10, query="17"))
    assert (report.way, report.topped_up, len(report.plans)) == ("exact", True, 2)
    assert numbers(report.items) == best(17, list(range(0, MANY, 2_000)), 10)


def test_two_kinds_of_index_do_not_take_each_others_searches(graph: PostgresStore, filled: str) -> None:
    with PostgresStore.from_conn_string(filled, index=index("ivfflat")) as store:
        store.setup()
        for kind, asked in (("hnsw", graph), ("ivfflat", store), ("hnsw", graph)):
            (plan,) = asked.explain(SearchOp((), query="17")).plans
            assert re.findall(r"Index Scan using threadkeep_vector_(hnsw|ivfflat)", plan) == [kind]


def test_clusters_are_built_of_the_rows_and_find_them(filled: str) -> None:
    with PostgresStore.from_conn_string(filled, index=index("ivfflat")) as store:
        store.setup()
        assert store.explain(SearchOp((), query="17")).way == "index"
        assert recall(store, (), list(range(MANY))) >= 0.95
        assert recall(store, ("tenants", "30"), [n for n in range(MANY) if OWNERS[n] == "30"]) >= 0.95
    with psycopg.connect(filled, autocommit=True) as conn:  # of two kinds the planner takes the cheaper one
        conn.execute("DROP INDEX threadkeep_vector_ivfflat_cosine_vector_48")


@pytest.mark.parametrize("kind", ["halfvec", "bit"])
def test_less_precise_indexes_give_the_scores_of_the_full_vectors(filled: str, kind: str) -> None:
    with PostgresStore.from_conn_string(filled, index=index(vector_type=kind)) as store:
        store.setup()
        report = store.explain(SearchOp((), query="17", limit=10))
    assert report.way == "index"
    wide = MATRIX.astype(np.float64)
    expected = [float(wide[number] @ wide[17]) for number in numbers(report.items)]
    assert [item.score for item in report.items] == pytest.approx(expected, abs=1e-6)
    assert numbers(report.items)[0] == 17
    if kind == "halfvec":
        assert len(set(numbers(report.items)) & set(best(17, list(range(MANY)), 10))) >= 9


def test_a_backend_killed_between_value_and_vector_leaves_neither() -> None:
    database = fresh_database()
    try:
        with psycopg.connect(database, autocommit=True) as conn, psycopg.connect(database) as holder:
            store = PostgresStore(conn, index=index())
            store.setup()
            holder.execute("LOCK TABLE threadkeep_vector IN EXCLUSIVE MODE")
            stopped = threading.Thread(target=_kill_when_it_waits, args=(database, conn.info.backend_pid))
            stopped.start()
            with pytest.raises((StorageUnavailableError, psycopg.OperationalError)):
                store.batch([put(1), put(2)])
            stopped.join()
            holder.rollback()
            left = "SELECT (SELECT count(*) FROM threadkeep_item), (SELECT count(*) FROM threadkeep_vector)"
            assert holder.execute(left).fetchone() == (0, 0)
        with PostgresStore.from_conn_string(database, index=index()) as again:
            again.batch([put(1), put(2)])
            assert numbers(again.search((), query="2", limit=5)) == best(2, [1, 2], 2)
    finally:
        drop_database(database)


def _kill_when_it_waits(database: str, pid: int) -> None:
    """Ends the backend once its item is inserted and its vector waits for the table."""
    waits = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'"
    with psycopg.connect(database, autocommit=True) as conn:
        while conn.execute(waits, (pid,)).fetchone() != (1,):
            pass
        conn.execute("SELECT pg_terminate_backend(%s)", (pid,))


@pytest.mark.parametrize("prefix", [(), ("tenants",), ("tenants", "30")])
@pytest.mark.parametrize("filter", [None, {"number": {"$gte": 4_000}}])
def test_the_plan_uses_the_index_with_and_without_knowing_the_parameters(
    filled: str, prefix: tuple[str, ...], filter: dict[str, Any] | None
) -> None:
    with psycopg.connect(filled, autocommit=True) as conn:
        conn.cursor_factory = Noting
        store = PostgresStore(conn, index=index())
        store.setup()
        Noting.queries = []
        report = store.explain(SearchOp(prefix, filter, query="17"))
        assert "Index Scan using threadkeep_vector_hnsw_cosine_vector_48" in report.plans[0]
        assert "never executed" not in report.plans[0].partition("threadkeep_vector_hnsw")[2].splitlines()[0]
        (query,) = [each for each in Noting.queries if each.lstrip().startswith("WITH")]
        names = list(dict.fromkeys(re.findall(r"%\((\w+)\)b", query)))
        numbered = re.sub(r"%\((\w+)\)b", lambda found: f"${names.index(found[1]) + 1}", query)
        plain = psycopg.ClientCursor(conn)
        plan = plain.execute(f"EXPLAIN (GENERIC_PLAN) {numbered}".replace("%%", "%").encode()).fetchall()
        assert any("Index Scan using threadkeep_vector_hnsw" in line for (line,) in plan)


class Noting(psycopg.Cursor[Any]):
    """Notes the statements."""

    queries: list[str]

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        Noting.queries = [*getattr(Noting, "queries", []), query.decode()]
        return super().execute(query, params, **options)
