"""The plans of the hot statements on a million checkpoints.

`python -m tests.checkpoint_postgres.explain [--short]`

Prints EXPLAIN (ANALYZE, BUFFERS) of each statement of each operation; the tests assert on the same plans.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from tests.contract.points import address, point
from tests.postgres_server import drop_database, fresh_database
from threadkeep.checkpoint.base import SavePoint, SaveWrites
from threadkeep.checkpoint.postgres import PostgresSaver, ShallowPostgresSaver

CHECKPOINTS = 1_000
TABLES = ("thread", "point", "write", "object")
# A thousand threads are copies of the first, with ids and runs of their own, so that each can be read; the
# others have ended.
COPIES = (
    """INSERT INTO threadkeep_thread (key, thread_id, next, change)
        SELECT ('t' || i)::bytea, 't' || i, next, change
        FROM threadkeep_thread, generate_series(2, 100000) AS i""",
    """INSERT INTO threadkeep_point (no, space, id, ns, parent, meta, body)
        SELECT copy.no, space, copy.no || id, ns, copy.no || parent,
            meta || jsonb_build_object('run_id', copy.no || (meta ->> 'run_id')), body
        FROM (SELECT no FROM threadkeep_thread WHERE no BETWEEN 2 AND 1000) AS copy CROSS JOIN LATERAL
            (SELECT * FROM threadkeep_point AS mine WHERE mine.no = 1 ORDER BY id) AS mine""",
    """INSERT INTO threadkeep_write (no, space, id, task_key, task, body)
        SELECT copy.no, space, copy.no || id, task_key, task, body
        FROM (SELECT no FROM threadkeep_thread WHERE no BETWEEN 2 AND 1000) AS copy CROSS JOIN LATERAL
            (SELECT * FROM threadkeep_write AS mine WHERE mine.no = 1 ORDER BY id) AS mine""",
    """INSERT INTO threadkeep_object (no, n, place, tag, body)
        SELECT copy.no, n, place, tag, body
        FROM (SELECT no FROM threadkeep_thread WHERE no BETWEEN 2 AND 1000) AS copy CROSS JOIN LATERAL
            (SELECT * FROM threadkeep_object AS mine WHERE mine.no = 1 ORDER BY n) AS mine""",
)
INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE indexname ~ '^threadkeep_.*_(by|without)_'"


def ops(thread: str, i: int, parent: Any) -> list[Any]:
    """The i-th step of a chat."""
    versions = {"m": i + 1, "n": i + 1}
    made = point({"m": [f"message {k} " * 8 for k in range(i + 1)], "n": i}, versions)
    about: Any = {"step": i, "source": "loop", "run_id": f"run {i // 10}"}
    writes = SaveWrites(address(thread, id=made["id"]), [("n", i)], f"task {i}")
    return [SavePoint(parent, made, about, versions), writes]


def chat(saver: PostgresSaver, thread: str, steps: int) -> Any:
    """The config of the last of so many steps."""
    config = address(thread)
    for i in range(steps):
        step = ops(thread, i, config)
        saver.commit(step)
        config = address(thread, id=step[0].checkpoint["id"])
    return config


@contextmanager
def filled() -> Iterator[str]:
    """A database with a million checkpoints, a million objects and a million writes. Takes half a minute."""
    database = fresh_database()
    with PostgresSaver.from_conn_string(database) as saver:
        saver.setup()
        chat(saver, "t1", CHECKPOINTS)
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("SET synchronous_commit = off")
        conn.execute("SET maintenance_work_mem = '256MB'")
        indexes = conn.execute(INDEXES).fetchall()
        for name, _ in indexes:
            conn.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
        for copy in COPIES:
            conn.execute(copy)
        for _, definition in indexes:
            conn.execute(definition)
        for table in TABLES:
            conn.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(f"threadkeep_{table}")))
    try:
        yield database
    finally:
        drop_database(database)


class Seen(NamedTuple):
    """A statement that an operation executed, and how the server performs it."""

    operation: str
    query: str
    plan: str
    """With the parameters that were given."""
    generic: str
    """For any parameters: what the server may use after it has prepared the statement."""


class Watcher:
    """Explains each statement on our tables before it is executed."""

    def __init__(self, options: str = "COSTS OFF") -> None:
        self.seen: list[Seen] = []
        self.operation = ""
        watcher = self

        class Cursor(psycopg.Cursor[Any]):
            def execute(self, query: Any, params: Any = None, **more: Any) -> Any:
                if isinstance(query, bytes) and any(
                    f"threadkeep_{name}".encode() in query for name in TABLES
                ):
                    watcher.explain(self.connection, query, params, options.encode())
                return super().execute(query, params, **more)

        self.cursor = Cursor

    def explain(self, conn: psycopg.Connection[Any], query: bytes, params: Any, options: bytes) -> None:
        """Notes the plans; what ANALYZE changes is undone."""
        with conn.transaction(force_rollback=True):
            plan = psycopg.Cursor(conn).execute(b"EXPLAIN (" + options + b") " + query, params).fetchall()
            generic = psycopg.Cursor(conn).execute(b"EXPLAIN (GENERIC_PLAN, COSTS OFF) " + numbered(query))
            self.seen.append(Seen(self.operation, query.decode(), text_of(plan), text_of(generic.fetchall())))


def text_of(rows: list[Any]) -> str:
    return "\n".join(row[0] for row in rows)


def numbered(query: bytes) -> bytes:
    """The statement with $1, $2, … for its parameters."""
    names: dict[bytes, int] = {}

    def number(found: re.Match[bytes]) -> bytes:
        if found[0] == b"%%":
            return b"%"
        return b"$%d" % names.setdefault(found[1] or b"%d" % len(names), len(names) + 1)

    return re.sub(rb"%%|%(?:\((\w+)\))?b", number, query)


def operations(
    fresh: Callable[[], PostgresSaver], shallow: Callable[[], ShallowPostgresSaver]
) -> dict[str, Callable[[], Any]]:
    """The hot operations, by name; each as a saver that knows nothing does it, if not said otherwise."""
    known, known_shallow = fresh(), shallow()
    last = chat(known, "mine", 12)
    newest = chat(known_shallow, "shallow", 12)

    def put(saver: PostgresSaver) -> None:
        nonlocal last
        step = ops("mine", 12, last)
        saver.commit(step)
        last = address("mine", id=step[0].checkpoint["id"])

    def put_shallow(saver: ShallowPostgresSaver) -> None:
        nonlocal newest
        step = ops("shallow", 3, newest)  # a shorter list: some objects go
        saver.commit(step)
        newest = address("shallow", id=step[0].checkpoint["id"])

    middle = [*fresh().list(address("t77"), limit=500)][-1].config
    return {
        "get_tuple, newest": lambda: fresh().get_tuple(address("t77")),
        "get_tuple, by id": lambda: fresh().get_tuple(middle),
        "list, first page": lambda: [*fresh().list(address("t77"), limit=20)],
        "list, later page": lambda: [*fresh().list(address("t77"), limit=20, before=middle)],
        "list, filter that few match": lambda: [*fresh().list(address("t77"), filter={"step": 7})],
        "list, filter that all match": lambda: [
            *fresh().list(address("t77"), filter={"source": "loop"}, limit=20)
        ],
        "list, filter over all threads": lambda: [*fresh().list(None, filter={"run_id": "77run 3"})],
        "list, over all threads": lambda: [*fresh().list(None, limit=20)],
        "list, pages over all threads": lambda: [*fresh().list(None, filter={"step": 7}, limit=500)],
        "put, known thread": lambda: put(known),
        "put, unknown thread": lambda: put(fresh()),
        "put_writes": lambda: fresh().put_writes(last, [("n", 1)], "late"),
        "put_writes, again": lambda: fresh().put_writes(last, [("n", 2), ("m", ["x"])], "late"),
        "shallow put, known thread": lambda: put_shallow(known_shallow),
        "shallow put, unknown thread": lambda: put_shallow(shallow()),
        "copy_thread": lambda: fresh().copy_thread("mine", "copy"),
        "delete_for_runs": lambda: fresh().delete_for_runs(["78run 5"]),
        "prune": lambda: fresh().prune(["copy"]),
        "prune, long thread": lambda: fresh().prune(["t79"]),
        "delete_thread": lambda: fresh().delete_thread("mine"),
    }


def watched(database: str, options: str = "COSTS OFF") -> list[Seen]:
    """The statements of all hot operations, in their order."""
    watcher = Watcher(options)
    # Without prepared statements there is no pipeline either, in which nothing could be explained between.
    with psycopg.connect(database, autocommit=True, prepare_threshold=None) as conn:
        todo = operations(lambda: PostgresSaver(conn), lambda: ShallowPostgresSaver(conn))
        conn.cursor_factory = watcher.cursor
        for watcher.operation, run in todo.items():
            run()
    return watcher.seen


def main() -> None:
    """Each statement once, with the operations that execute it and the plan of its first execution."""
    short = "--short" in sys.argv
    with filled() as database:
        seen = watched(database, "ANALYZE, BUFFERS, COSTS OFF, SUMMARY ON")
    by_query: dict[str, list[Seen]] = {}
    for each in seen:
        by_query.setdefault(each.query, []).append(each)
    for query, executed in by_query.items():
        names = dict.fromkeys(each.operation for each in executed)
        lines = executed[0].plan.splitlines()
        if short:
            lines = [line.strip(" ->") for line in lines if " Scan " in line or "Execution Time" in line]
        text = " ".join(query.split())
        sys.stdout.write("\n".join((f"-- {'; '.join(names)}", f"-- {text[:100]} …", *lines, "\n")))


if __name__ == "__main__":
    main()
