"""The hot statements find their rows by indexes, on tables too large to be read through."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.contract.points import address, point
from tests.postgres_server import drop_database, fresh_database
from threadkeep.checkpoint.base import SavePoint, SaveWrites
from threadkeep.checkpoint.postgres import PostgresSaver

FILL = """
    INSERT INTO threadkeep_thread (key, thread_id)
        SELECT ('k' || i)::bytea, 'k' || i FROM generate_series(1, 5000) i;
    INSERT INTO threadkeep_point (no, space, id, ns, meta, body)
        SELECT i % 5000 + 1, '', 'id' || i, '', jsonb_build_object('step', i, 'source', 'loop'), 'x'
        FROM generate_series(1, 200000) i;
    INSERT INTO threadkeep_write (no, space, id, task_key, task, body)
        SELECT i % 5000 + 1, '', 'id' || i, 't', 't', 'x' FROM generate_series(1, 200000) i;
    INSERT INTO threadkeep_object (no, n, place, body)
        SELECT i % 5000 + 1, i / 5000 + 1, sha256(i::text::bytea), 'x' FROM generate_series(1, 200000) i;
    ANALYZE threadkeep_thread, threadkeep_point, threadkeep_write, threadkeep_object
"""


@pytest.fixture(scope="module")
def filled() -> Iterator[str]:
    database = fresh_database()
    with PostgresSaver.from_conn_string(database) as saver:
        saver.setup()
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(FILL)
    yield database
    drop_database(database)


TINY = (b"threadkeep_migration", b"threadkeep_secret")


class Explaining(psycopg.Cursor[Any]):
    """Notes the plan of each statement before it is executed."""

    plans: list[tuple[str, str]]

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        if isinstance(query, bytes) and not any(table in query for table in TINY):
            explained = b"EXPLAIN " + query
            rows = psycopg.Cursor(self.connection).execute(explained, params).fetchall()
            Explaining.plans.append((query.decode(), "\n".join(row[0] for row in rows)))
        return super().execute(query, params, **options)


def use(saver: PostgresSaver) -> None:
    """Every hot operation, the short way and the long one."""
    config: Any = address("mine")
    for i in range(4):
        made = point({"m": [f"{k} " * 200 for k in range(i + 1)], "n": i}, {"m": i + 1, "n": i + 1})
        saver.commit(
            [
                SavePoint(config, made, {"step": i}, {"m": i + 1, "n": i + 1}),
                SaveWrites(address("mine", id=made["id"]), [("n", i)], "task"),
            ]
        )
        config = address("mine", id=made["id"])
    saver.put_writes(config, [("n", "again")], "task")
    saver.get_tuple(config)
    saver.get_tuple(address("mine"))
    assert len([*saver.list(address("k7"), limit=0)]) == 0
    assert len([*saver.list(address("mine"), limit=3)]) == 3
    assert len([*saver.list({"configurable": {"thread_id": "mine"}})]) == 4


def test_no_hot_statement_reads_a_table_through(filled: str) -> None:
    Explaining.plans = []
    with psycopg.connect(filled, autocommit=True) as conn:
        conn.cursor_factory = Explaining
        use(PostgresSaver(conn))
        use_again = PostgresSaver(conn)
        assert use_again.get_tuple(address("mine")) is not None
    assert len(Explaining.plans) > 15
    seen = {query for query, _ in Explaining.plans}
    assert any("WITH thread AS" in query for query in seen)
    slow = [(query, plan) for query, plan in Explaining.plans if "Seq Scan" in plan]
    assert slow == []


def test_a_metadata_filter_over_all_threads_uses_the_index(filled: str) -> None:
    Explaining.plans = []
    with psycopg.connect(filled, autocommit=True) as conn:
        conn.cursor_factory = Explaining
        assert [*PostgresSaver(conn).list(None, filter={"step": -5})] == []
    ((_, plan),) = Explaining.plans
    assert "threadkeep_point_by_meta" in plan
    assert "Seq Scan" not in plan
