"""Poolers in transaction mode: one of our own that needs nothing, and PgBouncer where it is installed.

Behind such a pooler a client has a server's connection only as long as a transaction lasts; the next one may
run on another, which other clients used before. So nothing may be kept in the session: no prepared
statement, no lock, no setting (https://www.pgbouncer.org/features.html).
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import struct
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.postgres_wire import CANCEL, Message, Peer, connect, log_in, served

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
KINDS = ["ours", *(["pgbouncer"] if PGBOUNCER else [])]


@contextmanager
def pooled(kind: str, address: str, *, size: int = 2) -> Iterator[str]:
    """The address at which a pooler answers for a database, with `size` connections to the server."""
    with tempfile.TemporaryDirectory(prefix="tk-pool-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with (_pgbouncer if kind == "pgbouncer" else _ours)(folder, address, size):
            yield make_conninfo(address, host=name, port="5432")


class Exchange:
    """What decides when a transaction has ended: the questions without an answer, and the server's status."""

    def __init__(self) -> None:
        self._unanswered = 0
        self._unfinished = False
        self._status = b"I"

    def asked(self, message: Message) -> None:
        """Takes note of a client's message; Query, FunctionCall and Sync are answered by ReadyForQuery."""
        if message.kind in (b"Q", b"S", b"F"):
            self._unanswered += 1
            self._unfinished = False
        else:
            self._unfinished = True

    def answered(self, message: Message) -> None:
        """Takes note of a server's message."""
        if message.kind == b"Z":
            self._unanswered -= 1
            self._status = message.body

    @property
    def is_quiet(self) -> bool:
        """Whether the server waits for the client."""
        return not self._unanswered and not self._unfinished

    @property
    def has_ended(self) -> bool:
        """Whether the server's connection may go to another client."""
        return self.is_quiet and self._status == b"I"


class Pooler:
    """Lends `size` connections to the server, in turn, each for one transaction.

    The connections are those with which the first clients logged in, so that any kind of login works.
    """

    def __init__(self, server: str, size: int) -> None:
        self._server = server
        self._size = size
        self._made = 0
        self._idle: asyncio.Queue[Peer] = asyncio.Queue()
        self._numbers = itertools.count(1)
        self._lent: dict[bytes, Peer] = {}
        self._clients: set[Peer] = set()

    async def serve(self, client: Peer) -> None:
        """One client, until it leaves."""
        self._clients.add(client)
        try:
            hello = await client.receive_hello()
            if struct.unpack("!i", hello[:4]) == (CANCEL,):
                await self._cancel(hello[4:])
            elif await self._log_in(client, hello):
                while (first := await client.receive()).kind != b"X":
                    await self._transact(client, first)
        finally:
            self._clients.discard(client)

    def close(self) -> None:
        """Hangs up on everybody."""
        while not self._idle.empty():
            self._idle.get_nowait().close()
        for client in self._clients:
            client.close()

    async def _log_in(self, client: Peer, hello: bytes) -> bool:
        server = await connect(self._server)
        key = struct.pack("!ii", next(self._numbers), 1)
        succeeded = await log_in(client, server, hello, key)
        if succeeded and self._made < self._size:
            self._made += 1
            self._idle.put_nowait(server)
        else:
            server.send(Message(b"X", b""))
            server.close()
        return succeeded

    async def _transact(self, client: Peer, first: Message) -> None:
        server = self._lent[client.key] = await self._idle.get()
        exchange = Exchange()
        try:
            exchange.asked(first)
            server.send(first)
            while not exchange.has_ended:
                await self._pass_on(client, server, exchange)
        except (asyncio.IncompleteReadError, ConnectionError):
            await _end(server, exchange)
            raise
        finally:
            del self._lent[client.key]
            self._idle.put_nowait(server)

    async def _pass_on(self, client: Peer, server: Peer, exchange: Exchange) -> None:
        waits = (client.expected(), server.expected())
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if waits[1].done():
            message = await server.receive()
            exchange.answered(message)
            client.send(message)
        elif (message := await client.receive()).kind == b"X":
            raise ConnectionError
        else:
            exchange.asked(message)
            server.send(message)

    async def _cancel(self, key: bytes) -> None:
        """Tells the server on whose connection the client's transaction runs, if there is one."""
        if key in self._lent:
            server = await connect(self._server)
            server.send_hello(struct.pack("!i", CANCEL) + self._lent[key].key)
            await server.until_closed()
            server.close()


async def _end(server: Peer, exchange: Exchange) -> None:
    """Takes back a transaction whose client left."""
    rest = [] if exchange.is_quiet else [Message(b"S", b"")]
    for message in (*rest, Message(b"Q", b"ROLLBACK\x00")):
        exchange.asked(message)
        server.send(message)
    while not exchange.has_ended:
        exchange.answered(await server.receive())


@contextmanager
def _ours(folder: Path, address: str, size: int) -> Iterator[None]:
    pooler = Pooler(address, size)
    with served(folder, pooler.serve, pooler.close):
        yield


SETTINGS = """
[databases]
* = {target}
[pgbouncer]
listen_addr =
unix_socket_dir = {folder}
listen_port = 5432
auth_type = any
pool_mode = transaction
default_pool_size = {size}
server_round_robin = 1
max_client_conn = 500
logfile = {folder}/log
"""


@contextmanager
def _pgbouncer(folder: Path, address: str, size: int) -> Iterator[None]:
    assert PGBOUNCER is not None
    info = conninfo_to_dict(address)
    wanted = {name: info[name] for name in ("host", "port", "user", "password") if info.get(name)}
    target = " ".join(f"{name}={value}" for name, value in wanted.items())
    settings = folder / "settings.ini"
    settings.write_text(SETTINGS.format(target=target, folder=folder, size=size))
    user = None
    if os.getuid() == 0:  # as which PgBouncer refuses to run: it becomes whoever may use the server's socket
        host = Path(str(info["host"]))
        user = host.stat().st_uid if host.is_absolute() else 65534
        os.chown(folder, user, -1)
    child = subprocess.Popen([PGBOUNCER, "-q", settings], user=user)
    try:
        _wait_until_it_answers(make_conninfo(address, host=str(folder), port="5432"), child)
        yield
    finally:
        child.terminate()
        child.wait()


def _wait_until_it_answers(address: str, child: subprocess.Popen[bytes]) -> None:
    pause = threading.Event()
    for _ in range(500):
        with suppress(psycopg.OperationalError):
            psycopg.connect(address).close()
            return
        assert child.poll() is None
        pause.wait(0.02)
    raise AssertionError("PgBouncer does not answer")
