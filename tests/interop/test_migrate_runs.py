"""Moving databases: killed and repeated, threads that cannot be read, and what stands in the way."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer as TheirSerializer
from langgraph.types import Send as TheirSend
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

from tests.interop.moves import OURS, THEIRS, Place, place, stored
from tests.interop.programs import Long
from tests.interop.test_migrate_values import Backwards, Colour
from tests.postgres_server import drop_database, fresh_database
from threadkeep.checkpoint.foreign import ThreadReport
from threadkeep.checkpoint.foreign.migrate import BATCH
from threadkeep.checkpoint.postgres import PostgresSaver
from threadkeep.checkpoint.postgres import migrate_langgraph as migrate_tables
from threadkeep.checkpoint.serde.jsonplus import JsonPlusSerializer
from threadkeep.checkpoint.sqlite import SqliteSaver, migrate_langgraph
from threadkeep.errors import ForeignFileError, MigrationError, StorageError
from threadkeep.types import Send

TURNS = 40


@pytest.fixture(params=["sqlite", "postgres"])
def moved(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with place(request.param, tmp_path) as made:
        yield made


def config(thread_id: str) -> Any:
    return {"configurable": {"thread_id": thread_id}}


def talk(saver: Any, thread_id: str, turns: int = 1) -> None:
    """A thread of three checkpoints a turn."""
    graph = THEIRS.line(("say", lambda state: {"words": [f"to {len(state['words'])}"]})).compile(
        checkpointer=saver
    )
    for turn in range(turns):
        graph.invoke({"words": [f"{thread_id} {turn}"]}, config(thread_id), durability="sync")


class Dying(JsonPlusSerializer):
    """Fails when it has dumped so many values."""

    def __init__(self, left: int, die: Callable[[], None]) -> None:
        super().__init__()
        self.left = left
        self.die = die

    def dumps(self, obj: Any) -> bytes:
        self.left -= 1
        if self.left < 0:
            self.die()
        return super().dumps(obj)


def interrupt() -> None:
    raise KeyboardInterrupt


def test_a_move_that_is_interrupted_again_and_again_gets_to_its_end(moved: Place) -> None:
    for name, turns in (("a", 1), ("long", TURNS), ("z", 1)):
        talk(moved.theirs, name, turns)
    lengths = set()
    left = 50
    while True:
        try:
            moved.migrate(serde=Dying(left, interrupt))
            break
        except KeyboardInterrupt:
            left += 30
            with moved.ours() as saver:
                lengths.add(len(list(saver.list(config("long")))))
    assert lengths == {0, BATCH, 2 * BATCH}
    with moved.ours() as saver:
        assert stored(saver) == stored(moved.theirs)


KILLED = """
import sys
from tests.interop.test_migrate_runs import Dying, die, migrate_tables, migrate_langgraph
import psycopg
kind, source, into, left = sys.argv[1:]
serde = Dying(int(left), die)
if kind == "sqlite":
    migrate_langgraph(source, into, serde=serde)
else:
    with psycopg.connect(source, autocommit=True) as conn:
        migrate_tables(conn, schema=into, serde=serde)
"""


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("left", [10, 500])
def test_a_move_whose_process_was_killed_goes_on(moved: Place, left: int, tmp_path: Path) -> None:
    talk(moved.theirs, "long", TURNS)
    if isinstance(moved.bare, sqlite3.Connection):
        arguments = ["sqlite", str(tmp_path / "theirs.db"), str(tmp_path / "ours.db")]
    else:
        arguments = ["postgres", moved.bare.info.dsn, "Own tables"]
    ended = subprocess.run([sys.executable, "-c", KILLED, *arguments, str(left)], timeout=60)
    assert ended.returncode == -signal.SIGKILL
    assert moved.migrate().migrated == 1
    with moved.ours() as saver:
        assert stored(saver) == stored(moved.theirs)


def test_a_second_move_changes_nothing(moved: Place, tmp_path: Path) -> None:
    talk(moved.theirs, "a", 3)
    talk(moved.theirs, "b")
    first = moved.migrate()
    assert first[:5] == (2, 0, {}, 12, 8)
    assert first.bytes_before > 0
    assert first.bytes_after > 0
    with moved.ours() as saver:
        before = stored(saver)
    assert moved.migrate()[:5] == (0, 2, {}, 0, 0)
    with moved.ours() as saver:
        assert stored(saver) == before


def test_a_thread_that_went_on_here_is_left_as_it_is(moved: Place) -> None:
    talk(moved.theirs, "a", 2)
    moved.migrate()
    with moved.ours() as saver:
        graph = OURS.line(("say", lambda state: {"words": ["here"]})).compile(checkpointer=saver)
        graph.invoke({"words": ["more"]}, config("a"))
        before = stored(saver)
    assert moved.migrate().unchanged == 1
    with moved.ours() as saver:
        assert stored(saver) == before
        saver.prune(["a"])
    assert moved.migrate().skipped == {
        "a": "a thread of this name is here already, and none of its checkpoints is the source's"
    }


def test_checkpoints_that_came_after_the_first_move_follow(moved: Place) -> None:
    talk(moved.theirs, "a", 2)
    moved.migrate()
    talk(moved.theirs, "a", 2)
    assert moved.migrate()[:4] == (1, 0, {}, 6)
    with moved.ours() as saver:
        assert stored(saver) == stored(moved.theirs)


def test_a_deleted_thread_stays_deleted_and_other_threads_are_not_overwritten(moved: Place) -> None:
    talk(moved.theirs, "a")
    talk(moved.theirs, "b")
    moved.migrate()
    with moved.ours() as saver:
        saver.delete_thread("a")
        saver.delete_thread("b")
        graph = OURS.line(("say", lambda state: {"words": ["here"]})).compile(checkpointer=saver)
        graph.invoke({"words": ["new"]}, config("b"))
        before = stored(saver)
    assert moved.migrate().skipped == {
        "a": "the thread was deleted here",
        "b": "a thread of this name is here already, and none of its checkpoints is the source's",
    }
    with moved.ours() as saver:
        assert stored(saver) == before


def test_a_thread_with_a_type_that_is_not_allowed_is_refused_whole(moved: Place) -> None:
    talk(moved.theirs, "a")
    graph: Any = THEIRS.line(("say", lambda state: {"words": [Colour.RED]}))
    talk(moved.theirs, "b", TURNS)
    graph.compile(checkpointer=moved.theirs).invoke({"words": []}, config("b"))
    talk(moved.theirs, "c")
    with pytest.raises(MigrationError) as caught:
        moved.migrate()
    assert (caught.value.thread_id, "Colour, which is not on the allow-list" in str(caught.value)) == (
        "b",
        True,
    )
    with moved.ours() as saver:
        assert {each.config["configurable"]["thread_id"] for each in saver.list(None)} == {"a"}
    reports: list[ThreadReport] = []
    report = moved.migrate(on_error="skip", progress=reports.append)
    assert [(each.thread_id, each.outcome) for each in reports] == [
        ("a", "unchanged"), ("b", "skipped"), ("c", "migrated"),
    ]  # fmt: skip
    assert report[:2] == (1, 1)
    assert report.skipped["b"].startswith("The data holds a tests.interop.test_migrate_values.Colour")
    assert moved.migrate(serde=JsonPlusSerializer(allowed_modules=[Colour])).migrated == 1


def test_encrypted_threads_are_moved_with_their_cipher(moved: Place) -> None:
    moved.theirs.serde = EncryptedSerializer(Backwards(), TheirSerializer())
    talk(moved.theirs, "a", 2)
    with pytest.raises(MigrationError, match=r"encrypted \(backwards\): pass cipher="):
        moved.migrate()
    assert moved.migrate(cipher=Backwards()).migrated == 1
    with moved.ours() as saver:
        assert stored(saver) == stored(moved.theirs)


def test_delta_channels_are_refused(moved: Place) -> None:
    graph = THEIRS.line(("say", lambda state: {"words": ["x"]}), schema=Long).compile(
        checkpointer=moved.theirs
    )
    graph.invoke({"words": []}, config("a"))
    with pytest.raises(MigrationError, match="DeltaChannel, whose values cannot be told without its reducer"):
        moved.migrate()


def test_sends_of_checkpoints_below_version_4_come_from_their_parents_writes(moved: Place) -> None:
    def point(id: str, step: int) -> Any:
        return {
            "v": 3, "id": id, "ts": "2025-01-01T00:00:00+00:00", "channel_values": {"words": ["x"]},
            "channel_versions": {"words": f"{step + 2:032}.0.5"}, "versions_seen": {},
            "updated_channels": None,
        }  # fmt: skip

    first, second = "1efd0000-0000-6000-8000-000000000000", "1efd0001-0000-6000-8001-000000000000"
    address: Any = {"configurable": {"thread_id": "old", "checkpoint_ns": ""}}
    versions = point(first, 0)["channel_versions"]
    put = moved.theirs.put(address, point(first, 0), {"source": "loop", "step": 0, "parents": {}}, versions)
    for task, path, sends in (("t2", "~__pregel_pull, b", [3]), ("t1", "~__pregel_pull, a", [1, 2])):
        writes = [("__pregel_tasks", TheirSend("each", {"n": n})) for n in sends]
        moved.theirs.put_writes(put, writes, task, path)
    versions = point(second, 1)["channel_versions"]
    moved.theirs.put(put, point(second, 1), {"source": "loop", "step": 1, "parents": {}}, versions)
    theirs = moved.theirs.get_tuple(config("old")).checkpoint
    moved.migrate()
    with moved.ours() as saver:
        ours = saver.get_tuple(config("old")).checkpoint
    assert ours["channel_values"]["__pregel_tasks"] == [Send("each", {"n": n}) for n in (1, 2, 3)]
    if not isinstance(moved.bare, sqlite3.Connection):  # their SQLite saver forgets such sends
        assert ours["channel_versions"].keys() == theirs["channel_versions"].keys()
        assert repr(ours["channel_values"]) == repr(theirs["channel_values"])


def test_the_source_is_only_read(tmp_path: Path) -> None:
    with place("sqlite", tmp_path) as moved:
        talk(moved.theirs, "a")
    before = (tmp_path / "theirs.db").read_bytes()
    os.chmod(tmp_path / "theirs.db", 0o400)
    migrate_langgraph(tmp_path / "theirs.db", tmp_path / "ours.db")
    assert (tmp_path / "theirs.db").read_bytes() == before


def test_files_that_cannot_be_moved_are_refused(tmp_path: Path) -> None:
    with place("sqlite", tmp_path) as moved:
        talk(moved.theirs, "a")
    theirs, ours = tmp_path / "theirs.db", tmp_path / "ours.db"
    with pytest.raises(FileNotFoundError, match="There is no file"):
        migrate_langgraph(tmp_path / "none.db", ours)
    with pytest.raises(ValueError, match="source and into are one file"):
        migrate_langgraph(theirs, theirs)
    shutil.copy(theirs, tmp_path / "copy.db")
    with pytest.raises(ForeignFileError, match="belongs to another application"):
        migrate_langgraph(theirs, tmp_path / "copy.db")
    with SqliteSaver.from_conn_string(ours) as saver:
        saver.setup()
    with pytest.raises(StorageError, match="not a file of LangGraph's SQLite saver"):
        migrate_langgraph(ours, tmp_path / "more.db")
    (tmp_path / "text").write_text("no database " * 100)
    with pytest.raises(StorageError, match="not a file of LangGraph's SQLite saver"):
        migrate_langgraph(tmp_path / "text", tmp_path / "more.db")
    assert not (tmp_path / "none.db").exists()


def test_on_error_is_raise_or_skip(tmp_path: Path) -> None:
    with place("sqlite", tmp_path) as moved:
        wrong: Any = "ignore"
        with pytest.raises(ValueError, match='on_error is "raise" or "skip", not \'ignore\''):
            moved.migrate(on_error=wrong)


@pytest.mark.parametrize("kind", ["pool", "dicts", "transactions"])
def test_tables_are_moved_over_any_connection(kind: str, tmp_path: Path) -> None:
    with place("postgres", tmp_path) as moved:
        talk(moved.theirs, "a", 10)
        address = moved.bare.info.dsn
        if kind == "pool":
            with ConnectionPool(address, min_size=1, open=True) as pool:
                assert migrate_tables(pool, schema="Own tables").checkpoints == 30
        else:
            options: Any = {"autocommit": True, "row_factory": dict_row} if kind == "dicts" else {}
            with psycopg.connect(address, **options) as conn:
                assert migrate_tables(conn, schema="Own tables").checkpoints == 30
        with moved.ours() as saver:
            assert stored(saver) == stored(moved.theirs)


def test_both_may_live_in_one_schema(tmp_path: Path) -> None:
    with place("postgres", tmp_path) as moved:
        talk(moved.theirs, "a")
        assert migrate_tables(moved.bare).migrated == 1
        with PostgresSaver.from_conn_string(moved.bare.info.dsn) as saver:
            assert stored(saver) == stored(moved.theirs)


def test_without_tables_of_theirs_nothing_is_made() -> None:
    address = fresh_database()
    with psycopg.connect(address, autocommit=True) as conn:
        with pytest.raises(StorageError, match="no tables of LangGraph's Postgres saver on the search path"):
            migrate_tables(conn)
        conn.execute("CREATE TABLE checkpoints (thread_id text, checkpoint jsonb)")
        with pytest.raises(StorageError, match="LangGraph's shallow saver"):
            migrate_tables(conn)
        assert conn.execute("SELECT to_regclass('threadkeep_thread')").fetchone() == (None,)
    drop_database(address)


def test_threads_may_be_moved_while_another_process_uses_the_new_tables(tmp_path: Path) -> None:
    with place("postgres", tmp_path) as moved:
        talk(moved.theirs, "old", 20)
        saver = PostgresSaver.from_conn_string(moved.bare.info.dsn, schema="Own tables")
        with saver:
            saver.setup()
            worker = threading.Thread(target=_work, args=(saver,))
            worker.start()
            moved.migrate()
            worker.join()
            assert len(list(saver.list(config("new")))) == 60
            assert len(list(saver.list(config("old")))) == 60


def _work(saver: Any) -> None:
    graph = OURS.line(("say", lambda state: {"words": ["here"]})).compile(checkpointer=saver)
    for turn in range(20):
        graph.invoke({"words": [str(turn)]}, config("new"))
