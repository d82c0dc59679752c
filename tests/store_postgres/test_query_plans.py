"""The statements find their rows by indexes, on a table too large to be read through."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.postgres_server import drop_database, fresh_database
from threadkeep.store.base import GetOp, PutOp
from threadkeep.store.postgres import PostgresStore

FILL = """
    INSERT INTO threadkeep_item (ns, key, body, value, created, updated, ttl, expires)
        SELECT 'users' || E'\\x01' || i % 2000 || E'\\x01', 'k' || i, '{}', '{}', now(), now(), 1,
            CASE WHEN i % 100 = 0 THEN now() - interval '1 day' ELSE now() + interval '1 day' END
        FROM generate_series(1, 200000) i;
    ANALYZE threadkeep_item
"""


@pytest.fixture(scope="module")
def filled() -> Iterator[str]:
    database = fresh_database()
    with PostgresStore.from_conn_string(database) as store:
        store.setup()
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(FILL)
    yield database
    drop_database(database)


class Explaining(psycopg.Cursor[Any]):
    """Notes the plan of each statement before it is executed, with any parameters and with these."""

    plans: list[tuple[str, str]]

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        if isinstance(query, bytes) and b"threadkeep_migration" not in query:
            for mode in ("force_generic_plan", "force_custom_plan"):
                plain = psycopg.Cursor(self.connection)
                plain.execute("SELECT set_config('plan_cache_mode', %s, false)", (mode,))
                rows = plain.execute(b"EXPLAIN " + query, params).fetchall()
                Explaining.plans.append((query.decode(), "\n".join(row[0] for row in rows)))
        return super().execute(query, params, **options)


def test_no_statement_reads_the_table_through(filled: str) -> None:
    Explaining.plans = []
    with psycopg.connect(filled, autocommit=True) as conn:
        conn.cursor_factory = Explaining
        store = PostgresStore(conn)
        home = ("users", "7")
        store.get(home, "k7")
        store.batch([GetOp(home, f"k{7 + 2000 * i}") for i in range(50)])
        store.batch([PutOp(home, f"new {i}", {"i": i}) for i in range(50)])
        store.batch([PutOp(home, f"new {i}", None) for i in range(50)])
        assert len(store.search(home, limit=10)) == 10
        assert len(store.search(home, filter={"a": {"$exists": False}}, order="desc", limit=10)) == 10
        assert store.list_namespaces(prefix=("users",), max_depth=1) == [("users",)]
        assert len(store.list_namespaces(suffix=("7",))) == 1
        assert store.sweep_ttl() == 2000
    read_through = [
        (query, plan) for query, plan in Explaining.plans if "Seq Scan on threadkeep_item" in plan
    ]
    assert read_through == []
    assert len(Explaining.plans) >= 2 * 11


def test_an_index_of_values_finds_what_equals(filled: str) -> None:
    Explaining.plans = []
    with psycopg.connect(filled, autocommit=True) as conn:
        conn.execute("CREATE INDEX by_value ON threadkeep_item USING gin (value jsonb_path_ops)")
        conn.cursor_factory = Explaining
        store = PostgresStore(conn)
        store.put(("users", "7"), "found", {"a": {"b": 5}, "c": "x"})
        for filter in ({"a.b": 5.0}, {"a": {"b": {"$in": [4, 5]}}, "c": "x"}, {"c": {"$eq": "x"}}):
            Explaining.plans = []
            assert [item.key for item in store.search((), filter=filter)] == ["found"]
            assert all("by_value" in plan for _, plan in Explaining.plans)
            assert len(Explaining.plans) == 2
        store.delete(("users", "7"), "found")
