"""The SQLite file itself: who may open it, what it looks like, and what deleting gives back."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.contract.points import address, point
from threadkeep.checkpoint.sqlite import SqliteSaver, sql
from threadkeep.checkpoint.sqlite.schema import APPLICATION_ID, MIGRATIONS, Migration, migrate
from threadkeep.errors import CheckpointError, ForeignFileError, SchemaVersionError


def pragma(path: Path, name: str) -> Any:
    conn = sqlite3.connect(path)
    try:
        return conn.execute(f"PRAGMA {name}").fetchone()[0]
    finally:
        conn.close()


def execute(path: Path, *statements: str) -> None:
    conn = sqlite3.connect(path)
    for statement in statements:
        conn.execute(statement)
    conn.commit()
    conn.close()


def fill(saver: SqliteSaver, thread: str, count: int = 50) -> None:
    """A chat of messages of 1 KB."""
    messages: list[Any] = []
    config = address(thread)
    for i in range(count):
        messages = [*messages, {"role": "user", "content": f"{thread} {i} ".ljust(1024, "x")}]
        config = saver.put(
            config, point({"messages": messages}, {"messages": i + 1}), {"step": i}, {"messages": i + 1}
        )


PAGE = {"no": 1, "ns": "", "limit": 20, "after_id": b"", "after_no": 0, "after_ns": ""}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "threads.db"


def test_a_new_file_is_marked_and_in_wal_mode(path: Path) -> None:
    with SqliteSaver.from_conn_string(path) as saver:
        saver.setup()
        saver.setup()
        assert saver.conn.execute("PRAGMA synchronous").fetchone()[0] == 1
    assert pragma(path, "application_id") == APPLICATION_ID
    assert pragma(path, "user_version") == len(MIGRATIONS)
    assert pragma(path, "journal_mode") == "wal"


@pytest.mark.parametrize(("mode", "number"), [("OFF", 0), ("NORMAL", 1), ("FULL", 2), ("EXTRA", 3)])
def test_synchronous_can_be_set(path: Path, mode: Any, number: int) -> None:
    with SqliteSaver.from_conn_string(path, synchronous=mode) as saver:
        saver.setup()
        assert saver.conn.execute("PRAGMA synchronous").fetchone()[0] == number


def test_a_wrong_synchronous_is_refused(path: Path) -> None:
    wrong: Any = "NORMAL; DROP TABLE thread"
    with (
        SqliteSaver.from_conn_string(path, synchronous=wrong) as saver,
        pytest.raises(ValueError, match="DROP TABLE"),
    ):
        saver.setup()


def test_a_file_of_another_application_is_refused_and_left_alone(path: Path) -> None:
    execute(path, "CREATE TABLE mine (a)", "PRAGMA journal_mode = DELETE")
    before = path.read_bytes()
    with (
        SqliteSaver.from_conn_string(path) as saver,
        pytest.raises(ForeignFileError, match="another application"),
    ):
        saver.get_tuple(address())
    assert path.read_bytes() == before


def test_a_file_with_another_application_id_is_refused(path: Path) -> None:
    execute(path, "PRAGMA application_id = 77")
    with SqliteSaver.from_conn_string(path) as saver, pytest.raises(ForeignFileError, match="0x4d"):
        saver.get_tuple(address())


def test_what_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"no database at all" * 1000)
    with (
        SqliteSaver.from_conn_string(path) as saver,
        pytest.raises(ForeignFileError, match=r"threads\.db is not"),
    ):
        saver.get_tuple(address())


def test_a_newer_schema_is_refused(path: Path) -> None:
    with SqliteSaver.from_conn_string(path) as saver:
        saver.setup()
    execute(path, f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with SqliteSaver.from_conn_string(path) as saver, pytest.raises(SchemaVersionError, match="Upgrade"):
        saver.get_tuple(address())


def test_a_changed_migration_is_refused(path: Path) -> None:
    with SqliteSaver.from_conn_string(path) as saver:
        saver.setup()
    execute(path, "UPDATE migration SET checksum = 'x'")
    with SqliteSaver.from_conn_string(path) as saver, pytest.raises(SchemaVersionError, match="migration 1"):
        saver.get_tuple(address())


def test_migrations_are_applied_step_by_step_and_all_or_nothing(path: Path) -> None:
    two = (*MIGRATIONS, Migration("more", ("CREATE TABLE more (a)",)))
    broken = (*two, Migration("broken", ("CREATE TABLE third (a)", "NO SQL")))
    with SqliteSaver.from_conn_string(path) as saver:
        fill(saver, "t", 3)
    conn = sqlite3.connect(path, isolation_level=None)
    migrate(conn, two)
    with pytest.raises(sqlite3.OperationalError):
        migrate(conn, broken)
    names = {row[0] for row in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    ledger = conn.execute("SELECT number, name, checksum FROM migration").fetchall()
    assert "more" in names
    assert "third" not in names
    assert ledger == [(i, each.name, each.checksum()) for i, each in enumerate(two, 1)]
    assert conn.execute("PRAGMA user_version").fetchone()[0] == 2
    conn.close()


def test_the_shipped_migrations_never_change() -> None:
    assert [(each.name, each.checksum()[:16]) for each in MIGRATIONS] == [("checkpoints", "e3b141488fc47f25")]


def test_deleted_space_is_used_again_and_vacuum_returns_it(path: Path) -> None:
    with SqliteSaver.from_conn_string(path) as saver:
        fill(saver, "a", 300)
        saver.vacuum()
        full = path.stat().st_size
        saver.delete_thread("a")
        fill(saver, "b", 300)
        saver.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert path.stat().st_size <= full * 1.2
        saver.delete_thread("b")
        saver.vacuum()
        assert path.stat().st_size < full / 8


def test_pruning_frees_what_only_older_checkpoints_held(path: Path) -> None:
    with SqliteSaver.from_conn_string(path) as saver:
        config = address()
        for i in range(100):
            made = point({"page": f"{i}".ljust(5_000, "x"), "kept": "k" * 5_000}, {"page": i + 1, "kept": 1})
            new = {"page": i + 1} if i else {"page": 1, "kept": 1}
            config = saver.put(config, made, {}, new)
        assert saver.conn.execute("SELECT count(*) FROM object").fetchone()[0] == 101
        saver.prune(["t"])
        assert saver.conn.execute("SELECT count(*) FROM object").fetchone()[0] == 2


def test_a_message_is_stored_once_however_often_it_is_mentioned(path: Path) -> None:
    message = {"role": "user", "content": "once " * 200}
    with SqliteSaver.from_conn_string(path) as saver:
        start = saver.put(address(), point({"__start__": {"messages": [message]}}), {}, {"__start__": 1})
        saver.put_writes(start, [("messages", [message]), ("copy", message)], "task")
        first = saver.put(start, point({"messages": [message]}), {}, {"messages": 1})
        saver.put(first, point({"messages": [message, message]}), {}, {"messages": 1})
    with SqliteSaver.from_conn_string(path) as saver:  # remembers nothing
        fork = address(id=first["configurable"]["checkpoint_id"], __threadkeep_fork=True)
        saver.put(
            fork,
            point({"messages": [{"other": 1}, message], "last": message}),
            {},
            {"messages": 1, "last": 1},
        )
        saver.put(address(ns="child"), point({"messages": [message]}), {}, {"messages": 1})
        assert saver.conn.execute("SELECT count(*) FROM object WHERE length(body) > 500").fetchone()[0] == 1
        assert saver.conn.execute("SELECT max(length(body)) FROM log").fetchone()[0] < 500
        assert len([*saver.list(None)]) == 5


def test_a_chat_takes_linear_space(path: Path) -> None:
    with SqliteSaver.from_conn_string(path) as saver:
        fill(saver, "t", 400)
        saver.vacuum()
    assert path.stat().st_size < 400 * 1024 * 2


def test_values_with_equal_hashes_are_told_apart(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("threadkeep.checkpoint.sqlite.file.blake2b", _Same)
    with SqliteSaver.from_conn_string(path) as saver:
        fill(saver, "t", 20)
    with SqliteSaver.from_conn_string(path) as saver:
        found = saver.get_tuple(address())
        assert found is not None
        messages = found.checkpoint["channel_values"]["messages"]
        assert [each["content"][:5].split()[1] for each in messages] == [str(i) for i in range(20)]
        saver.put(found.config, point({"messages": messages[::-1]}), {}, {"messages": 1})
        assert saver.conn.execute("SELECT count(*) FROM object").fetchone()[0] == 20


class _Same:
    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def digest(self) -> bytes:
        return b"same"


def test_a_damaged_file_is_reported(path: Path) -> None:
    with SqliteSaver.from_conn_string(path) as saver:
        fill(saver, "t", 3)
        saver.conn.execute("DELETE FROM object")
    with SqliteSaver.from_conn_string(path) as saver, pytest.raises(CheckpointError, match="is damaged"):
        saver.get_tuple(address())


def test_a_connection_of_the_program_works_too() -> None:
    conn = sqlite3.connect(":memory:", check_same_thread=False)
    saver = SqliteSaver(conn)
    fill(saver, "t", 3)
    found = saver.get_tuple(address())
    assert found is not None
    assert len(found.checkpoint["channel_values"]["messages"]) == 3
    with saver.cursor() as cursor:
        assert cursor.execute("SELECT count(*) FROM thread").fetchone()[0] == 1
    conn.close()


def test_statements_through_the_cursor_are_seen_by_the_saver(path: Path) -> None:
    with SqliteSaver.from_conn_string(path) as saver:
        fill(saver, "t", 3)
        with saver.cursor() as cursor:
            cursor.execute("DELETE FROM log")
        assert saver.get_tuple(address()) is None
        fill(saver, "t", 2)
        with pytest.raises(sqlite3.IntegrityError):
            delete_and_fail(saver)
        assert saver.get_tuple(address()) is not None


def delete_and_fail(saver: SqliteSaver) -> None:
    with saver.cursor() as cursor:
        cursor.execute("DELETE FROM log")
        cursor.execute("INSERT INTO thread (thread_id, created) VALUES ('t', 0)")


@pytest.mark.parametrize(
    ("statement", "given", "plan"),
    [
        (
            sql.FIND_THREAD,
            ("t", ""),
            ["thread USING INDEX", "object USING INTEGER PRIMARY KEY", "log USING PRIMARY KEY"],
        ),
        (sql.HEAD, (1, ""), ["log USING PRIMARY KEY (no=? AND ns=?)"]),
        (sql.NEWEST_POINT, (1, ""), ["log USING PRIMARY KEY (no=? AND ns=?)"]),
        (sql.READ_POINT, (1, "", "c"), ["log USING PRIMARY KEY (no=? AND ns=? AND id=? AND kind=?)"]),
        (sql.READ_WRITES, (1, "", "c"), ["log USING PRIMARY KEY (no=? AND ns=? AND id=? AND kind=?)"]),
        (sql.OBJECTS_AT, (1,), ["object USING INDEX object_by_place"]),
        (sql.OBJECTS_AT_ALL, ("[]",), ["object USING INDEX object_by_place"]),
        (sql.OBJECTS_BETWEEN, (1, 2), ["object USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"]),
        (sql.OBJECTS_BETWEEN_ALL, ("[]",), ["object USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"]),
        (sql.PAGES[True, True], PAGE, ["log USING PRIMARY KEY (no=? AND ns=? AND id<?)"]),
        (sql.PAGES[True, False], PAGE, ["log USING PRIMARY KEY (no=?)"]),
    ],
)
def test_hot_statements_search_by_a_key(path: Path, statement: str, given: Any, plan: list[str]) -> None:
    with SqliteSaver.from_conn_string(path) as saver:
        saver.setup()
        steps = [row[3] for row in saver.conn.execute(f"EXPLAIN QUERY PLAN {statement}", given)]
    for part in plan:
        assert any(f"SEARCH {part}" in step for step in steps), steps
    assert not any(step.startswith("SCAN") and "VIRTUAL" not in step for step in steps), steps
    assert not any("TEMP B-TREE" in step for step in steps) or statement == sql.PAGES[True, False]
