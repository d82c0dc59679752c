"""The tables: made once by whoever comes first, checked, and never touched by an older version."""

from __future__ import annotations

import multiprocessing
import threading
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.contract.points import address, point
from threadkeep.checkpoint.postgres import PostgresSaver
from threadkeep.checkpoint.postgres.aio import AsyncPostgresSaver
from threadkeep.checkpoint.postgres.tables import CHECKPOINTS
from threadkeep.errors import SchemaVersionError, StorageError
from threadkeep.postgres.connections import Connections
from threadkeep.postgres.ledger import Migration
from threadkeep.postgres.setup import check, setup


def execute(database: str, statement: Any) -> list[Any]:
    with psycopg.connect(database, autocommit=True) as conn:
        cursor = conn.execute(statement)
        return cursor.fetchall() if cursor.description else []


def tables(database: str) -> list[str]:
    rows = execute(
        database,
        "SELECT schemaname || '.' || tablename FROM pg_tables WHERE tablename LIKE 'thread%' ORDER BY 1",
    )
    return [name for (name,) in rows]


def fresh(database: str) -> str:
    """The same database, set up by one alone in the schema "fresh"."""
    with PostgresSaver.from_conn_string(database, schema="fresh") as saver:
        saver.setup()
    return database


def columns(database: str, schema: str) -> list[Any]:
    """Columns and indexes of a schema."""
    with psycopg.connect(database) as conn:
        return [
            *conn.execute(
                "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns "
                "WHERE table_schema = %s ORDER BY 1, ordinal_position",
                (schema,),
            ),
            *conn.execute(
                "SELECT replace(indexdef, schemaname || '.', '') FROM pg_indexes WHERE schemaname = %s "
                "ORDER BY 1",
                (schema,),
            ),
        ]


def test_setup_makes_the_tables_once_and_check_says_whether_it_did(database: str) -> None:
    with PostgresSaver.from_conn_string(database) as saver:
        assert not saver.check()
        assert "CREATE TABLE" in saver.setup()
        assert saver.check()
        assert saver.setup() == ""
    names = ("migration", "object", "point", "secret", "thread", "write")
    assert tables(database) == [f"public.threadkeep_{name}" for name in names]


def test_a_dry_run_prints_sql_that_makes_the_tables(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with PostgresSaver.from_conn_string(database, schema="my app") as saver:
        text = saver.setup(dry_run=True)
        assert capsys.readouterr().out == text
        assert tables(database) == []
        execute(database, text)
        assert saver.check()
        saver.put(address(), point({"a": "x" * 999}), {}, {"a": 1})
        assert len([*saver.list(None)]) == 1


def test_forty_threads_set_an_empty_database_up_at_once(database: str) -> None:
    errors: list[BaseException] = []
    gate = threading.Barrier(40)

    def run() -> None:
        try:
            with PostgresSaver.from_conn_string(database, schema="new") as saver:
                gate.wait()
                saver.setup()
                assert saver.check()
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=run) for _ in range(40)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert errors == []
    assert execute(database, "SELECT count(*) FROM new.threadkeep_migration") == [
        (len(CHECKPOINTS.migrations),)
    ]
    assert execute(database, "SELECT count(*) FROM new.threadkeep_secret") == [(1,)]


def set_up(database: str, gate: Any) -> None:
    """What each of many processes does, when all are there."""
    with PostgresSaver.from_conn_string(database) as saver:
        saver.conn  # noqa: B018 (connects)
        gate.wait()
        saver.setup()
        assert saver.check()


@pytest.mark.slow
def test_forty_processes_set_an_empty_database_up_at_once(database: str) -> None:
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([__name__])
    gate = processes.Barrier(40)
    children = [processes.Process(target=set_up, args=(database, gate)) for _ in range(40)]
    for child in children:
        child.start()
    for child in children:
        child.join(120)
    assert [child.exitcode for child in children] == [0] * 40
    ledger = execute(database, "SELECT component, number, checksum FROM threadkeep_migration ORDER BY number")
    assert ledger == [
        ("checkpoint", number, migration.checksum())
        for number, migration in enumerate(CHECKPOINTS.migrations, 1)
    ]
    assert execute(database, "SELECT count(*) FROM threadkeep_secret") == [(1,)]
    assert columns(database, "public") == columns(fresh(database), "fresh")


@pytest.mark.parametrize(
    "schema", ['a"b', "Großes Schema", "x'; DROP TABLE thread; --", "{thread}", "%s", "1"]
)
def test_any_name_of_a_schema_is_quoted(database: str, schema: str) -> None:
    with PostgresSaver.from_conn_string(database, schema=schema) as saver:
        saver.setup()
        saver.put(address(), point({"a": 1}), {"step": 1}, {"a": 1})
        assert len([*saver.list(None, filter={"step": 1})]) == 1
    assert {name.rpartition(".")[0] for name in tables(database)} == {schema}


@pytest.mark.parametrize("schema", ["", "x" * 64, "a\x00b", "\ud800"])
def test_a_name_that_postgres_cannot_have_is_refused(schema: str) -> None:
    with pytest.raises(ValueError, match="schema"):
        PostgresSaver.from_conn_string("", schema=schema)


def test_two_schemas_are_strangers(database: str) -> None:
    for schema in ("one", "two"):
        with PostgresSaver.from_conn_string(database, schema=schema) as saver:
            saver.setup()
            assert saver.get_tuple(address()) is None
            saver.put(address(), point({"a": schema}), {}, {"a": 1})


def test_without_setup_the_error_names_the_remedy(database: str) -> None:
    with (
        PostgresSaver.from_conn_string(database) as saver,
        pytest.raises(StorageError, match=r"setup\(\)") as caught,
    ):
        saver.get_tuple(address())
    assert isinstance(caught.value.__cause__, psycopg.errors.UndefinedTable)


def test_a_newer_schema_is_refused_by_every_operation(database: str) -> None:
    with PostgresSaver.from_conn_string(database) as saver:
        saver.setup()
    execute(database, "INSERT INTO threadkeep_migration VALUES ('checkpoint', 99, 'later', 'x')")
    with PostgresSaver.from_conn_string(database) as saver:
        for call in (saver.setup, saver.check, lambda: saver.get_tuple(address())):
            with pytest.raises(SchemaVersionError, match="Upgrade"):
                call()


def test_a_changed_migration_is_refused(database: str) -> None:
    with PostgresSaver.from_conn_string(database) as saver:
        saver.setup()
        execute(database, "UPDATE threadkeep_migration SET checksum = 'other'")
        with pytest.raises(SchemaVersionError, match="another form"):
            saver.setup()


INVALIDATE = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'threadkeep_point_by_id'::regclass"
REINDEX = 'REINDEX INDEX CONCURRENTLY "public"."threadkeep_point_by_id";\n'


@pytest.mark.parametrize("options", [{}, {"pipeline": True}, {"pool_config": {"min_size": 1}}])
def test_an_index_that_was_left_invalid_is_rebuilt(database: str, options: Any) -> None:
    with PostgresSaver.from_conn_string(database, **options) as saver:
        saver.setup()
        execute(database, INVALIDATE)
        assert not saver.check()
        assert saver.setup() == REINDEX
        assert saver.check()
        assert saver.get_tuple(address()) is None


@pytest.mark.parametrize("options", [{}, {"pipeline": True}, {"pool_config": {"min_size": 1}}])
async def test_the_async_saver_rebuilds_it_too(database: str, options: Any) -> None:
    async with AsyncPostgresSaver.from_conn_string(database, **options) as saver:
        await saver.setup()
        execute(database, INVALIDATE)
        assert await saver.setup() == REINDEX
        assert await saver.check()
        assert await saver.aget_tuple(address()) is None


def test_a_connection_that_begins_transactions_itself_rebuilds_it_too(database: str) -> None:
    with psycopg.connect(database) as conn:
        saver = PostgresSaver(conn)
        saver.setup()
        execute(database, INVALIDATE)
        assert saver.setup() == REINDEX
        assert saver.check()
        assert not conn.autocommit


def test_what_a_killed_rebuilding_left_is_deleted(database: str) -> None:
    with PostgresSaver.from_conn_string(database) as saver:
        saver.setup()
        saver.put(address(), point({"a": 1}), {}, {"a": 1})
        execute(database, INVALIDATE)
        with psycopg.connect(database) as reader, psycopg.connect(database, autocommit=True) as conn:
            # What an open transaction may still read makes the building wait, and then it is killed.
            reader.execute("DECLARE old CURSOR FOR SELECT * FROM threadkeep_point")
            conn.execute("SET statement_timeout = 300")
            with pytest.raises(psycopg.errors.QueryCanceled):
                conn.execute("REINDEX INDEX CONCURRENTLY threadkeep_point_by_id")
        left = 'DROP INDEX CONCURRENTLY IF EXISTS "public"."threadkeep_point_by_id_ccnew";\n'
        assert saver.setup() in (REINDEX + left, left)
        assert saver.check()
        names = execute(database, "SELECT indexname FROM pg_indexes WHERE indexname LIKE '%point_by_id%'")
        assert names == [("threadkeep_point_by_id",)]


def test_many_rebuild_at_once_and_it_is_done(database: str) -> None:
    errors: list[BaseException] = []
    with PostgresSaver.from_conn_string(database) as saver:
        saver.setup()
        execute(database, INVALIDATE)

        def run() -> None:
            try:
                with PostgresSaver.from_conn_string(database) as own:
                    gate.wait()
                    own.setup()
            except BaseException as error:
                errors.append(error)

        gate = threading.Barrier(8)
        workers = [threading.Thread(target=run) for _ in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert errors == []
        assert saver.check()


def test_a_dry_run_on_an_older_version_prints_what_is_new(database: str) -> None:
    later = Migration("later", ("ALTER TABLE {point} ADD COLUMN later text DEFAULT '100%%'",))
    newer = CHECKPOINTS._replace(migrations=(*CHECKPOINTS.migrations, later))
    with PostgresSaver.from_conn_string(database, schema="my app") as saver:
        saver.setup()
        saver.put(address(), point({"a": 1}), {}, {"a": 1})
        connections = Connections(saver.conn)
        text = setup(connections, newer, "my app", dry_run=True)
        begin, lock, alter, record, commit = text.splitlines()
        assert (begin, commit) == ("BEGIN;", "COMMIT;")
        assert "pg_advisory_xact_lock" in lock
        assert alter == """ALTER TABLE "my app"."threadkeep_point" ADD COLUMN later text DEFAULT '100%';"""
        number = len(newer.migrations)
        assert record.endswith(f" VALUES ('checkpoint', {number}, 'later', '{later.checksum()}');")
        assert not check(connections, newer, "my app")
        assert saver.check()
        assert setup(connections, newer, "my app", dry_run=False) == text
        assert check(connections, newer, "my app")
        assert execute(database, 'SELECT later FROM "my app".threadkeep_point') == [("100%",)]
        with pytest.raises(SchemaVersionError, match="Upgrade threadkeep-checkpoint-postgres"):
            saver.check()


def test_a_broken_setup_leaves_nothing(database: str) -> None:
    execute(database, "CREATE TABLE threadkeep_object (mine int)")
    with PostgresSaver.from_conn_string(database) as saver, pytest.raises(psycopg.errors.DuplicateTable):
        saver.setup()
    assert tables(database) == ["public.threadkeep_object"]


async def test_the_async_saver_sets_up_checks_and_shows_in_the_same_way(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with AsyncPostgresSaver.from_conn_string(database, pipeline=True) as saver:
        assert not await saver.check()
        assert await saver.setup(dry_run=True) == capsys.readouterr().out
        assert "CREATE TABLE" in await saver.setup()
        assert await saver.check()
        assert await saver.setup() == ""


def test_who_waits_for_a_setup_sees_it_where_transactions_keep_their_first_snapshot(database: str) -> None:
    keeping = make_conninfo(database, options="-c default_transaction_isolation=serializable")
    waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    failed: list[BaseException] = []

    def come_later() -> None:
        try:
            with PostgresSaver.from_conn_string(keeping) as saver:
                saver.setup()
        except BaseException as error:
            failed.append(error)

    with (
        psycopg.connect(database, autocommit=True) as first,
        psycopg.connect(database, autocommit=True) as seer,
    ):
        later = threading.Thread(target=come_later)
        with first.transaction():
            PostgresSaver(first).setup()
            later.start()
            while seer.execute(waits).fetchone() == (0,) and later.is_alive():
                pass
        later.join()
    assert failed == []
