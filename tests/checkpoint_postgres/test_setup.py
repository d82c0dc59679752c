"""The tables: made once by whoever comes first, checked, and never touched by an older version."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.contract.points import address, point
from threadkeep.checkpoint.postgres import PostgresSaver
from threadkeep.checkpoint.postgres.aio import AsyncPostgresSaver
from threadkeep.checkpoint.postgres.tables import CHECKPOINTS
from threadkeep.errors import SchemaVersionError, StorageError

ROOT = Path(__file__).parents[2]


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


def test_processes_set_an_empty_database_up_at_once(database: str) -> None:
    program = "import sys; from threadkeep.checkpoint.postgres import PostgresSaver as S; "
    program += "S.from_conn_string(sys.argv[1]).setup()"
    command = [sys.executable, "-c", program, database]
    children = [subprocess.Popen(command, cwd=ROOT) for _ in range(4)]
    assert [child.wait(60) for child in children] == [0] * 4


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


def test_an_index_that_was_left_invalid_is_rebuilt(database: str) -> None:
    with PostgresSaver.from_conn_string(database) as saver:
        saver.setup()
        execute(
            database,
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'threadkeep_point_by_id'::regclass",
        )
        assert not saver.check()
        assert saver.setup() == 'REINDEX INDEX CONCURRENTLY "public"."threadkeep_point_by_id";\n'
        assert saver.check()


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
