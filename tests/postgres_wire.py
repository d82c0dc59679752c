"""Go-betweens that speak the protocol of PostgreSQL: its messages, logging in, and one that hangs up on time.

https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

from __future__ import annotations

import asyncio
import struct
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, NamedTuple

from psycopg.conninfo import conninfo_to_dict, make_conninfo

__all__ = ["CANCEL", "SOCKET", "Cutter", "Message", "Peer", "connect", "log_in", "served"]

SOCKET = ".s.PGSQL.5432"
CANCEL = 80877102
QUESTIONS = frozenset({3, 5, 10, 11})
"""Kinds of authentication messages that the client answers."""
MARKS = {"asked": frozenset({b"Q", b"E", b"S"}), "answered": frozenset({b"C", b"Z"})}
"""Kinds of messages that are the border between two statements, by the side they come from."""
Handler = Callable[["Peer"], Awaitable[None]]


class Message(NamedTuple):
    """A message of the protocol: its kind, one byte, and what follows the length."""

    kind: bytes
    body: bytes

    def packed(self) -> bytes:
        """As it is sent."""
        return self.kind + struct.pack("!i", len(self.body) + 4) + self.body


async def _read(reader: asyncio.StreamReader) -> Message:
    kind = await reader.readexactly(1)
    return Message(kind, await _read_body(reader))


async def _read_body(reader: asyncio.StreamReader) -> bytes:
    (length,) = struct.unpack("!i", await reader.readexactly(4))
    return await reader.readexactly(length - 4)


class Peer:
    """One end of a connection. Its messages are read as they come."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.key = b""
        """What the client shows to have its statement cancelled."""
        self._reader = reader
        self._writer = writer
        self._next: asyncio.Task[Message] | None = None

    async def receive_hello(self) -> bytes:
        """What a client begins with: it has no kind."""
        return await _read_body(self._reader)

    def expected(self) -> asyncio.Task[Message]:
        """The task that reads the next message; the same one until `receive` took it."""
        if self._next is None:
            self._next = asyncio.create_task(_read(self._reader))
        return self._next

    async def receive(self) -> Message:
        """The next message. Raises IncompleteReadError or ConnectionError when there is none."""
        message = await self.expected()
        self._next = None
        return message

    def send(self, *messages: Message) -> None:
        """Sends without waiting: a peer that waits for the other's answer must not wait here."""
        for message in messages:
            self._writer.write(message.packed())

    def send_hello(self, body: bytes) -> None:
        """Sends what has no kind."""
        self._writer.write(struct.pack("!i", len(body) + 4) + body)

    async def until_closed(self) -> None:
        """Waits until the other end hung up."""
        await self._reader.read()

    def close(self) -> None:
        """Hangs up; whoever waits for a message gets IncompleteReadError."""
        if self._next is not None and self._next.done():
            self._next.exception()
        self._writer.close()


async def connect(address: str) -> Peer:
    """The server at an address of psycopg."""
    info = conninfo_to_dict(address)
    host, port = str(info["host"]), int(info.get("port") or 5432)
    if host.startswith("/"):
        return Peer(*await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}"))
    return Peer(*await asyncio.open_connection(host, port))


async def log_in(client: Peer, server: Peer, hello: bytes, key: bytes | None = None) -> bool:
    """Passes a login on, whatever its kind; whether it succeeded. `key`: given to the client for its own."""
    server.send_hello(hello)
    while True:
        message = await server.receive()
        if message.kind == b"K":
            server.key, client.key = message.body, key or message.body
            message = Message(b"K", client.key)
        client.send(message)
        if message.kind in (b"Z", b"E"):
            return message.kind == b"Z"
        if message.kind == b"R" and struct.unpack("!i", message.body[:4])[0] in QUESTIONS:
            server.send(await client.receive())


@contextmanager
def served(folder: Path, handle: Handler, close: Callable[[], None]) -> Iterator[None]:
    """Handles each client that comes to `folder`, in a thread; `close` must end the handlers."""
    loop = asyncio.new_event_loop()

    async def come(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Peer(reader, writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await handle(client)
        client.close()

    async def end() -> None:
        close()
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)

    started = loop.run_until_complete(asyncio.start_unix_server(come, folder / SOCKET))
    thread = threading.Thread(target=loop.run_forever, name="go-between")
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        started.close()
        loop.run_until_complete(end())
        loop.close()


class Cutter:
    """Hangs up on client and server at a chosen message: what a lost connection looks like to both.

    "asked": a statement or COMMIT that does not reach the server any more. "answered": one that the server
    has performed, but whose success the client does not hear of.
    """

    def __init__(self, address: str) -> None:
        self._server = address
        self._lock = threading.Lock()
        self._side: str | None = None
        self._left = 0
        self._peers: set[Peer] = set()

    @contextmanager
    def open(self) -> Iterator[str]:
        """The address for clients."""
        with tempfile.TemporaryDirectory(prefix="tk-cut-") as name:

            def close() -> None:
                for peer in self._peers:
                    peer.close()

            with served(Path(name), self._serve, close):
                yield make_conninfo(self._server, host=name, port="5432", application_name="cut")

    def arm(self, side: Literal["asked", "answered"], at: int) -> None:
        """Cuts at the `at`-th mark from now, once."""
        with self._lock:
            self._side, self._left = side, at

    def disarm(self) -> bool:
        """Whether it cut since it was armed."""
        with self._lock:
            armed, self._side = self._side is not None, None
        return not armed

    async def _serve(self, client: Peer) -> None:
        server = await connect(self._server)
        self._peers |= {client, server}
        hello = await client.receive_hello()
        try:
            if struct.unpack("!i", hello[:4]) == (CANCEL,):
                server.send_hello(hello)
                await server.until_closed()
            elif await log_in(client, server, hello):
                while await self._pass_on(client, server):
                    pass
        finally:
            server.close()
            self._peers -= {client, server}

    async def _pass_on(self, client: Peer, server: Peer) -> bool:
        waits = (client.expected(), server.expected())
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        answered = waits[1].done()
        message = await (server if answered else client).receive()
        if self._cuts("answered" if answered else "asked", message):
            return False
        (client if answered else server).send(message)
        return message.kind != b"X"

    def _cuts(self, side: str, message: Message) -> bool:
        with self._lock:
            if self._side != side or message.kind not in MARKS[side]:
                return False
            self._left -= 1
            if self._left >= 0:
                return False
            self._side = None
            return True
