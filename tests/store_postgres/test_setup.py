"""The tables: made once by whoever comes first, in any schema, and never touched by an older version."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from threadkeep.checkpoint.postgres import PostgresSaver
from threadkeep.errors import SchemaVersionError, StorageError
from threadkeep.store.postgres import AsyncPostgresStore, PostgresStore


def execute(database: str, statement: Any) -> list[Any]:
    with psycopg.connect(database, autocommit=True) as conn:
        cursor = conn.execute(statement)
        return cursor.fetchall() if cursor.description else []


def test_setup_makes_the_tables_once_and_check_says_whether_it_did(database: str) -> None:
    with PostgresStore.from_conn_string(database) as store:
        assert not store.check()
        assert "CREATE TABLE" in store.setup()
        assert store.check()
        assert store.setup() == ""


def test_a_dry_run_prints_sql_that_makes_the_tables(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with PostgresStore.from_conn_string(database, schema='my "app" %s') as store:
        text = store.setup(dry_run=True)
        assert capsys.readouterr().out == text
        assert not store.check()
        execute(database, sql.SQL(text))
        assert store.check()
        store.put(("a",), "k", {"x": 1})
        assert store.search((), filter={"x": {"$gt": 0}})[0].value == {"x": 1}


async def test_many_stores_set_one_database_up_at_once(database: str) -> None:
    failed: list[BaseException] = []
    gate = threading.Barrier(12)

    def run() -> None:
        try:
            with PostgresStore.from_conn_string(database) as store:
                gate.wait()
                store.setup()
                store.put(("a",), "k", {})
        except BaseException as error:
            failed.append(error)

    workers = [threading.Thread(target=run) for _ in range(12)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failed == []
    async with AsyncPostgresStore.from_conn_string(database) as store:
        assert await store.check()
        assert await store.setup() == ""


def test_savers_and_stores_share_a_schema_and_its_ledger(database: str) -> None:
    with PostgresStore.from_conn_string(database) as store, PostgresSaver.from_conn_string(database) as saver:
        saver.setup()
        assert not store.check()
        store.setup()
        assert saver.check() and store.check()
    components = execute(database, "SELECT DISTINCT component FROM threadkeep_migration ORDER BY 1")
    assert components == [("checkpoint",), ("store",)]


def test_a_newer_schema_is_refused_before_anything_is_read_or_written(database: str) -> None:
    with PostgresStore.from_conn_string(database) as store:
        store.setup()
    later = "INSERT INTO threadkeep_migration VALUES ('store', 99, 'later', 'x')"
    execute(database, later)
    with PostgresStore.from_conn_string(database) as store:
        with pytest.raises(SchemaVersionError, match="Upgrade threadkeep-store-postgres"):
            store.put(("a",), "k", {})
        with pytest.raises(SchemaVersionError):
            store.setup()
    assert execute(database, "SELECT count(*) FROM threadkeep_item") == [(0,)]


async def test_without_tables_every_operation_says_what_to_do(database: str) -> None:
    with PostgresStore.from_conn_string(database) as store:
        with pytest.raises(StorageError, match=r"call setup\(\) once"):
            store.get(("a",), "k")
        with pytest.raises(StorageError, match=r"call setup\(\) once"):
            store.sweep_ttl()
    async with AsyncPostgresStore.from_conn_string(database) as other:
        with pytest.raises(StorageError, match=r"call setup\(\) once"):
            await other.aput(("a",), "k", {})


def test_a_store_may_be_used_without_with_and_be_closed(database: str) -> None:
    store = PostgresStore.from_conn_string(database)
    store.setup()
    store.put(("a",), "k", {"x": 1})
    store.close()
    with pytest.raises(StorageError):
        store.get(("a",), "k")


def test_a_connection_of_the_programs_own_is_used_and_left_open(database: str) -> None:
    with psycopg.connect(database) as conn:
        store = PostgresStore(conn, deserializer=lambda body: {"bytes": len(body)})
        store.setup()
        store.put(("a",), "k", {"x": "é"})
        item = store.get(("a",), "k")
        assert item is not None and item.value == {"bytes": 10}
        assert store.conn is conn
        store.close()
        assert not conn.closed


def test_times_come_from_the_server_even_within_one_long_transaction(database: str) -> None:
    with psycopg.connect(database) as conn, conn.transaction():
        store = PostgresStore(conn)
        store.setup()
        store.put(("a",), "1", {})
        store.put(("a",), "2", {})
        first, second = store.search(("a",))
        assert (first.key, second.key) == ("1", "2")
        assert first.updated_at < second.updated_at


def test_times_are_utc_whatever_the_time_zone_of_the_connection(database: str) -> None:
    with psycopg.connect(database, autocommit=True, options="-c timezone=Asia/Kolkata") as conn:
        store = PostgresStore(conn)
        store.setup()
        store.put(("a",), "k", {})
        for item in (store.get(("a",), "k"), store.search(("a",))[0]):
            assert item is not None
            assert item.created_at.utcoffset() == item.updated_at.utcoffset() == timedelta(0)
            assert item.dict()["created_at"].endswith("+00:00")
