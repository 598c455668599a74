"""Peers that answer as no Redis should: each listens on a free loopback port, in threads of its own.

A behaviour is called with every connection that is accepted and with an event that is set when the peer closes; what it
waits for, it waits for on that event. :func:`proxy` stands in front of a real server and spoils its answers.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import hiredis
from waiting import eventually

from dvbboxes.model import Endpoint
from dvbboxes.store import ReplyError

Behaviour: TypeAlias = Callable[[socket.socket, threading.Event], None]
#: Command and the real reply to it -> the reply to give instead.
Spoil: TypeAlias = Callable[[list[bytes], Any], Any]
_DRIP = 0.1


class Peer:
    """A listener on loopback; ``connections`` counts those it accepted, ``was_asked`` is set at the first."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.connections = 0
        self.was_asked = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint("127.0.0.1", int(self._listener.getsockname()[1]))

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *exc: object) -> None:
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the accept
        self.drop()
        self._listener.close()

    def drop(self) -> None:
        """End every connection there is."""
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # wakes whoever reads it

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._open.append(connection)
                self.was_asked.set()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            self._behaviour(connection, self._closing)


# --- peers that speak nothing of the kind -----------------------------------------------------------------------------


def silent(connection: socket.socket, closing: threading.Event) -> None:
    """Accept and say nothing."""
    closing.wait()


def slam(connection: socket.socket, closing: threading.Event) -> None:
    """Close right after the accept."""


def garbage(connection: socket.socket, closing: threading.Event) -> None:
    """Answer the first bytes with bytes that mean nothing."""
    connection.recv(4096)
    connection.sendall(b"\x00\xffgarbage\r\n" * 10)
    closing.wait()


def talkative(connection: socket.socket, closing: threading.Event) -> None:
    """Answer the first bytes with more replies than anybody asks for."""
    connection.recv(4096)
    connection.sendall(b"+OK\r\n" * 50)
    closing.wait()


def web_server(connection: socket.socket, closing: threading.Event) -> None:
    """Answer as a web server does that is sent something else than HTTP."""
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def firehose(connection: socket.socket, closing: threading.Event) -> None:
    """Announce a reply of 500 MB and send it without an end: 200 MB a second at most, so that a second is too short."""
    connection.recv(4096)
    connection.sendall(b"$500000000\r\n")
    plenty = bytes(1 << 20)
    while not closing.wait(0.005):
        connection.sendall(plenty)


def says(line: bytes) -> Behaviour:
    """Speak RESP and answer every command with the same line (``-LOADING ...``)."""

    def behave(connection: socket.socket, closing: threading.Event) -> None:
        for _ in _parsed(connection):
            connection.sendall(line + b"\r\n")

    return behave


# --- peers in front of a real server ----------------------------------------------------------------------------------


def proxy(
    upstream: Endpoint, spoil: Spoil | None = None, *, drip: bool = False, cut: tuple[bytes, int] | None = None
) -> Behaviour:
    """Pass commands on to a real server and its replies back.

    ``spoil`` changes replies; ``drip`` sends them a byte per 100 ms; ``cut`` names a command, and after how many
    bytes of the reply to it the connection is closed.
    """

    def behave(connection: socket.socket, closing: threading.Event) -> None:
        with socket.create_connection((upstream.host, upstream.port)) as server:
            replies = _parsed(server)
            for command in _parsed(connection):
                server.sendall(hiredis.pack_command(tuple(command)))
                reply = next(replies)
                data = encode(spoil(command, reply) if spoil else reply)
                if drip:
                    _drip(connection, data, closing)
                elif cut and cut[0] == command[0]:
                    connection.sendall(data[: cut[1]])
                    return
                else:
                    connection.sendall(data)

    return behave


def info(**fields: str | None) -> Spoil:
    """Return what rewrites fields of INFO replies (None: takes the line out)."""

    def spoil(command: list[bytes], reply: Any) -> Any:
        if command[0].upper() != b"INFO":
            return reply
        for name, value in fields.items():
            line = b"" if value is None else f"{name}:{value}\r\n".encode()
            reply = re.sub(rf"{name}:[^\r]*\r\n".encode(), line, reply)
        return reply

    return spoil


def encode(reply: Any) -> bytes:
    """Return a parsed reply as RESP2 again."""
    if reply is None:
        return b"$-1\r\n"
    if isinstance(reply, ReplyError):
        return b"-" + str(reply).encode() + b"\r\n"
    if isinstance(reply, int):
        return b":%d\r\n" % reply
    if isinstance(reply, bytes):
        return b"$%d\r\n%s\r\n" % (len(reply), reply)
    return b"*%d\r\n" % len(reply) + b"".join(map(encode, reply))


def _drip(connection: socket.socket, data: bytes, closing: threading.Event) -> None:
    for position in range(len(data)):
        if closing.wait(_DRIP):
            return
        connection.sendall(data[position : position + 1])


def _parsed(connection: socket.socket) -> Iterator[Any]:
    """Yield the commands or replies that come in, until the other side goes."""
    reader = hiredis.Reader(replyError=ReplyError, notEnoughData=_parsed)
    while data := connection.recv(65536):
        reader.feed(data)
        while (found := reader.gets()) is not _parsed:
            yield found


@contextlib.contextmanager
def nobody() -> Iterator[Endpoint]:
    """Give an endpoint that refuses connections: bound, so that nobody else gets it, and never listening."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield Endpoint("127.0.0.1", int(held.getsockname()[1]))


@contextlib.contextmanager
def full_backlog() -> Iterator[Endpoint]:
    """Give an endpoint where a connect hangs: it listens, accepts nothing, and its queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield Endpoint("127.0.0.1", int(listener.getsockname()[1]))


def wait_until_gone(pid: int) -> None:
    """Wait until a killed server is collected by its keeper, which only then can start it again."""
    gone = eventually(lambda: not Path(f"/proc/{pid}").exists(), pause=0.002)
    assert gone, f"process {pid} is still there"
