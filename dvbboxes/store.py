"""One connection to one Redis: the only file that imports redis. Redis errors become ours here.

redis-py makes the connection (TCP, TLS, unix socket); its ``parser_class=`` hook hands us the connected socket, which
from then on is non-blocking and driven by whoever polls it, so that no peer can hold more than its own answer.
Replies are parsed by hiredis: bytes, int, None, lists, and :class:`ReplyError` as a value. Measured: RESP2, no
``CLIENT SETINFO`` and AUTH/SELECT inside the pipeline make a connection ten times cheaper than the defaults.
"""

from __future__ import annotations

import errno
import functools
import itertools
import select
import socket
import ssl
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hiredis
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.event import EventDispatcher
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from dvbboxes.model import Endpoint, Failure, FailureKind
from dvbboxes.wire import Arg, Command, Request, shown

READ, WRITE = select.POLLIN, select.POLLOUT
NOT_REDIS = "does not speak Redis's protocol: is something else on that port?"
_CHUNK = 1 << 16
#: Most chunks taken from one peer before the others have their turn and the deadline is looked at.
_MOUTHFUL = 16
_MORE = object()
_AUTH = ("NOAUTH", "WRONGPASS", "NOPERM")


class ReplyError(Exception):
    """An error reply of the server, as a value among the replies; ``code`` is its first word."""

    @property
    def code(self) -> str:
        """Return the first word of the error, ``WRONGTYPE`` for instance."""
        return str(self).partition(" ")[0]

    def failure(self) -> Failure:
        """Return what this error means for the instance that sent it."""
        said = shown(str(self))
        if self.code == "LOADING":
            return Failure(FailureKind.LOADING, "is still loading its data")
        if self.code in _AUTH:
            return Failure(FailureKind.AUTH, f"does not let us in: {said}")
        if self.code == "READONLY":
            return Failure(FailureKind.READONLY, f"is read-only: {said}")
        if self.code == "OOM":
            return Failure(FailureKind.OUT_OF_MEMORY, f"is out of memory: {said}")
        return Failure(FailureKind.SERVER, f"answered with an error: {said}")


class Unanswered(Exception):  # the state of an instance, not a programming error
    """A connection that gives no answer; ``failure`` says why. Never leaves the fleet: it becomes a value there."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.failure = Failure(kind, message)


def _pack(*args: Arg) -> bytes:
    packed: bytes = hiredis.pack_command(args)  # type: ignore[arg-type]  # its stub says a tuple of one
    return packed


@functools.lru_cache(maxsize=256)
def _packed(
    requests: tuple[Request, ...],
) -> tuple[bytes, tuple[bool, ...], tuple[bool, ...], tuple[Command | None, ...]]:
    """Return the bytes of requests and, reply by reply, whether it was asked for, is ours, and what is alike elsewhere.

    A SELECT is ours. What is alike is told by the command, which several requests may share.
    """
    pieces: list[bytes] = []
    wanted: list[bool] = []
    alike: list[Command | None] = []
    current: int | None = None
    for request in requests:
        for command in request.commands:
            db, args = command
            if db != current:
                pieces.append(_pack("SELECT", db))
                wanted.append(False)
                alike.append(None)
                current = db
            pieces.append(_pack(*args))
            wanted.append(True)
            alike.append(command if request.alike and args[0] not in _NEVER_ALIKE else None)
    return b"".join(pieces), tuple(wanted), tuple(not each for each in wanted), tuple(alike)


#: Two servers with the same keys list them in another order.
_NEVER_ALIKE = frozenset({"KEYS", "SCAN", "INFO"})


# --- replies that many instances give alike ---------------------------------------------------------------------------

#: Most different replies to one command that are kept to be recognised.
_MOST_KINDS = 64
#: A reply in front of the one to be measured. hiredis lets go of what it has read, and so tells how much is left, when
#: that is 1024 bytes or more: with these four bytes less in front, any reply makes it do so.
_PRIMER = b"$1011\r\n" + b"x" * 1011 + b"\r\n"
_FIRST_PIECE = 1 << 13
_LONG = 1 << 17


class _Heard:
    """The different replies to one command, as bytes and parsed, the one met twice last in front."""

    __slots__ = ("found", "kinds")

    def __init__(self) -> None:
        self.kinds: list[tuple[bytes, Any]] = []
        self.found = False

    def find(self, buffer: bytearray, at: int) -> tuple[bytes, Any] | object | None:
        """Return the kind whose bytes stand in the buffer there, None for none, ``_MORE`` if one still might."""
        kinds = self.kinds
        if len(kinds) >= _MOST_KINDS and not self.found:
            return None  # they are not alike after all
        left = len(buffer) - at
        partial: bytes | None = None
        for number, kind in enumerate(kinds):
            raw = kind[0]
            if buffer.startswith(raw, at):
                if number:
                    kinds.insert(0, kinds.pop(number))
                return kind
            if left < len(raw):
                partial = bytes(buffer[at:]) if partial is None else partial
                if raw.startswith(partial):
                    return _MORE
        return None

    def keep(self, raw: bytes, reply: Any) -> None:
        if len(self.kinds) < _MOST_KINDS:
            # Behind the first: what one instance alone says must not be in the way of what most say.
            self.kinds.insert(1, (raw, reply))


class Alike:
    """What the instances of one gather have said alike; :meth:`Link.send` takes it. It lives as long as the gather."""

    def __init__(self) -> None:
        self._plans: dict[tuple[Request, ...], tuple[_Heard | None, ...]] = {}
        self._heard: dict[int, _Heard] = {}  # by the identity of a command, which a request among the plans keeps alive

    def of(self, requests: tuple[Request, ...]) -> tuple[_Heard | None, ...]:
        """Return, reply by reply, what was heard so far; empty where nothing of it is alike."""
        if requests not in self._plans:
            alike = _packed(requests)[3] if _measures() else ()
            self._plans[requests] = tuple(map(self._of, alike)) if any(alike) else ()
        return self._plans[requests]

    def _of(self, command: Command | None) -> _Heard | None:
        return None if command is None else self._heard.setdefault(id(command), _Heard())


class _Recogniser:
    """Takes the replies of one link apart while they arrive: those heard before are not parsed again.

    RESP says where a reply ends before anything follows it, so bytes that begin with those of a whole reply are that
    reply, whatever comes after.
    """

    def __init__(self, plan: tuple[_Heard | None, ...], replies: list[Any]) -> None:
        self._plan = plan
        self._replies = replies
        self._buffer = bytearray()
        self._stream: Any = None

    def feed(self, data: bytes) -> None:
        """Take what has arrived; whole replies are added to the list. Raises hiredis.ProtocolError."""
        buffer = self._buffer
        buffer += data
        if self._stream is None:
            del buffer[: self._take(buffer)]
        if self._stream is not None:
            self._flow()

    def _take(self, buffer: bytearray) -> int:
        """Add the replies that are there whole; return where the first begins that is not."""
        replies, at, end = self._replies, 0, len(buffer)
        begins = buffer.startswith
        for heard in self._plan[len(replies) :]:
            if at == end:
                return at
            if heard is not None:
                kinds = heard.kinds
                # What it mostly is, without a call: a week of a fleet is thousands of replies.
                kind: Any = kinds[0] if kinds and begins(kinds[0][0], at) else heard.find(buffer, at)
                if kind is _MORE:
                    return at
                if kind is not None:
                    heard.found = True
                    replies.append(kind[1])
                    at += len(kind[0])
                    continue
            size = self._measure(buffer, at)
            if not size:
                return at
            if heard is not None:
                heard.keep(bytes(buffer[at : at + size]), replies[-1])
            at += size
        if at < end:
            replies.append(None)  # one too many: the link says so
        return at

    def _measure(self, buffer: bytearray, at: int) -> int:
        """Parse the reply that begins there and add it; return its length, 0 if more is needed.

        Every attempt begins anew: where a reply ends is only told by a reader that takes it in one go. So one that is
        long, and comes in many pieces, is not measured: from there on the link is read as any other.
        """
        left = len(buffer) - at
        piece = min(left, _FIRST_PIECE)
        while True:
            reader = _primed()
            reader.feed(buffer, at, piece)
            reply = reader.gets()
            if reply is not _MORE:
                self._replies.append(reply)
                return piece - int(reader.len())
            if piece == left:
                break
            piece = min(left, 4 * piece)
        if left > _LONG:
            self._stream = hiredis.Reader(replyError=ReplyError, notEnoughData=_MORE)
        return 0

    def _flow(self) -> None:
        self._stream.feed(self._buffer)
        self._buffer.clear()
        while (reply := self._stream.gets()) is not _MORE:
            self._replies.append(reply)


def _primed() -> Any:
    reader = hiredis.Reader(replyError=ReplyError, notEnoughData=_MORE)
    reader.feed(_PRIMER)
    reader.gets()
    return reader


@functools.cache
def _measures() -> bool:
    """Return whether this hiredis tells where a reply ends as we expect of it; without, all replies are parsed."""
    for reply in (b":1\r\n", b"$-1\r\n", b"*2\r\n$1\r\na\r\n$1\r\n1\r\n", b"$2000\r\n" + b"x" * 2000 + b"\r\n"):
        reader = _primed()
        reader.feed(reply + b"+PONG\r\n")
        reader.gets()
        if reader.len() != 7:
            return False
    return True


class _Attach:
    """redis-py's parser hook: it takes the socket out of a fresh connection and reads nothing itself."""

    def __init__(self, socket_read_size: int) -> None:
        self.sock: socket.socket | None = None

    def on_connect(self, connection: Any) -> None:
        self.sock, connection._sock = connection._sock, None

    def on_disconnect(self) -> None:
        self.sock = None


def _attach(connection: Any) -> None:
    # AUTH and SELECT travel with the first request instead of costing a round trip each.
    connection._parser.on_connect(connection)


class Link:
    """One connection, driven from outside: :meth:`send`, then :meth:`ready` whenever poll says so, until it is true.

    After any :class:`Unanswered` the link is closed and must not be used again: a late reply would be taken for the
    answer to another question (SPEC 8.5).
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.replies: list[Any] = []
        self._made: Any = None
        self._sock: Any = None
        self._reader: Any = None
        self._out = memoryview(b"")
        self._wanted: tuple[bool, ...] = ()
        self._ours: tuple[bool, ...] = ()
        self._expected = 0
        self._authenticated = False
        self._recogniser: _Recogniser | None = None

    @property
    def connected(self) -> bool:
        """Return whether the link can be used."""
        return self._sock is not None

    def connect(self, timeout: float) -> None:
        """Connect within ``timeout`` seconds; raises :class:`Unanswered`."""
        connection = _connection(self.endpoint, timeout)
        try:
            connection.connect()
        except RedisTimeoutError as error:
            raise Unanswered(FailureKind.TIMEOUT, "did not accept the connection in time") from error
        except RedisConnectionError as error:
            raise _unreachable(error, self.endpoint) from error
        except (RedisError, OSError, ssl.SSLError, UnicodeError) as error:
            raise Unanswered(FailureKind.UNREACHABLE, f"cannot be reached: {shown(str(error))}") from error
        self._made = connection  # kept: a Ctrl-C that comes while it is deleted would be swallowed
        self._sock = connection._parser.sock
        self._sock.setblocking(False)
        self._reader = hiredis.Reader(replyError=ReplyError, notEnoughData=_MORE)

    def fileno(self) -> int:
        """Return the descriptor to poll."""
        return int(self._sock.fileno())

    @property
    def events(self) -> int:
        """Return the poll events this link waits for."""
        return READ | WRITE if self._out else READ

    def send(self, *requests: Request, alike: Alike | None = None) -> None:
        """Send requests in one go; their replies come in one list. Raises :class:`Unanswered`.

        ``alike``: what other instances said to the same requests.
        """
        payload, self._wanted, self._ours, _ = _packed(requests)
        plan = alike.of(requests) if alike is not None else ()
        if not self._authenticated:
            if self._has_credentials:
                payload = self._introduction() + payload
                self._wanted, self._ours = (False, *self._wanted), (True, *self._ours)
                plan = (None, *plan) if plan else ()
            self._authenticated = True
        self.replies = []
        self._recogniser = _Recogniser(plan, self.replies) if plan else None
        self._expected = len(self._wanted)
        self._out = memoryview(payload)
        self._flush()

    @property
    def _has_credentials(self) -> bool:
        return self.endpoint.password_file is not None

    def _introduction(self) -> bytes:
        password = read_password(self.endpoint.password_file or "")
        credentials = (self.endpoint.username, password) if self.endpoint.username else (password,)
        return _pack("AUTH", *credentials)

    def ready(self) -> bool:
        """Send and read what can be without waiting; return whether every reply is there. Raises Unanswered."""
        if self._out:
            self._flush()
        self._receive()
        return len(self.replies) >= self._expected

    def take(self) -> list[Any]:
        """Return the replies to the commands that were asked for, in order, once :meth:`ready` said so.

        A refused AUTH or SELECT of ours raises :class:`Unanswered`; other error replies are values.
        """
        for reply in itertools.compress(self.replies, self._ours):
            if isinstance(reply, ReplyError):
                self.close()
                failure = reply.failure()
                raise Unanswered(failure.kind, failure.message)
        return list(itertools.compress(self.replies, self._wanted))

    def _flush(self) -> None:
        try:
            while self._out:
                self._out = self._out[self._sock.send(self._out) :]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            raise self._lost(error) from error

    def _receive(self) -> None:
        try:
            for _ in range(_MOUTHFUL):
                data = self._sock.recv(_CHUNK)
                if not data:
                    self.close()
                    raise Unanswered(FailureKind.CLOSED, self._closed_text())
                self._parse(data)
                if len(data) < _CHUNK and not getattr(self._sock, "pending", int)():
                    return
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            raise self._lost(error) from error

    def _parse(self, data: bytes) -> None:
        try:
            if self._recogniser is not None:
                self._recogniser.feed(data)
            else:
                self._reader.feed(data)
                gets = self._reader.gets
                while (reply := gets()) is not _MORE:
                    self.replies.append(reply)
        except hiredis.ProtocolError as error:
            self.close()
            raise Unanswered(FailureKind.NOT_REDIS, NOT_REDIS) from error
        if len(self.replies) > self._expected:
            self.close()
            raise Unanswered(FailureKind.NOT_REDIS, "sent more replies than were asked for")

    def _closed_text(self) -> str:
        last = self.replies[-1] if self.replies else None
        said = f" after saying {shown(str(last))}" if isinstance(last, ReplyError) else ""
        return f"closed the connection{said}"

    def _lost(self, error: OSError) -> Unanswered:
        self.close()
        return Unanswered(FailureKind.CLOSED, f"broke the connection: {error.strerror or shown(str(error))}")

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._sock is not None:
            self._sock.close()
        self._made = self._sock = self._reader = self._recogniser = None
        self._out = memoryview(b"")


#: Nobody listens, and one of its own is a tenth of what a connection costs.
_EVENTS = EventDispatcher()


def _connection(endpoint: Endpoint, timeout: float) -> Any:
    options: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        # None is Retry(NoBackoff(), 0) there; giving that very thing has it deep-copied, a fifth of the whole.
        "retry": None,
        "event_dispatcher": _EVENTS,
        "protocol": 2,
        "driver_info": None,
        "parser_class": _Attach,
        "redis_connect_func": _attach,
    }
    kind: Any = Connection
    if endpoint.path is not None:
        kind = UnixDomainSocketConnection
        options["path"] = endpoint.path
    else:
        options |= {"host": endpoint.host, "port": endpoint.port}
        if endpoint.tls:
            kind = SSLConnection
            options["ssl_ca_certs"] = endpoint.tls_ca_file
    return kind(**options)


def _unreachable(error: RedisConnectionError, endpoint: Endpoint) -> Unanswered:
    cause = error.__context__
    if endpoint.tls_ca_file is not None and isinstance(cause, FileNotFoundError | PermissionError):
        return Unanswered(FailureKind.CREDENTIALS, f"was not asked: CA file {endpoint.tls_ca_file}: {cause.strerror}")
    if isinstance(cause, ConnectionRefusedError) or (isinstance(cause, OSError) and cause.errno == errno.ENOENT):
        return Unanswered(FailureKind.REFUSED, "refused the connection")
    if isinstance(cause, TimeoutError):
        return Unanswered(FailureKind.TIMEOUT, "did not accept the connection in time")
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Unanswered(FailureKind.UNREACHABLE, f"has a certificate that is not accepted: {cause.verify_message}")
    said = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(error)
    return Unanswered(FailureKind.UNREACHABLE, f"cannot be reached: {shown(said)}")


def read_password(path: str) -> str:
    """Return the password in a file (its first line); raises :class:`Unanswered` naming the file, never the secret."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is no text"
        raise Unanswered(FailureKind.CREDENTIALS, f"was not asked: password file {path}: {why}") from error
    if not lines or not lines[0].strip():
        raise Unanswered(FailureKind.CREDENTIALS, f"was not asked: password file {path} is empty")
    return lines[0].strip()


def ask(endpoint: Endpoint, commands: Sequence[Command], timeout: float) -> list[Any]:
    """Return the replies of one server to ``commands`` ((db, args) pairs), in one pipeline on one connection.

    For a single server (the demo, tests); a fleet is asked by :mod:`dvbboxes.fleet`. ``timeout`` is seconds for all
    of it. Raises :class:`Unanswered`; error replies are :class:`ReplyError` values.
    """
    end = time.monotonic() + timeout
    link = Link(endpoint)
    link.connect(timeout)
    try:
        link.send(Request(tuple(commands)))
        poll = select.poll()
        while True:
            poll.register(link.fileno(), link.events)
            if not poll.poll(max(0.0, end - time.monotonic()) * 1000):
                raise Unanswered(FailureKind.TIMEOUT, f"did not answer within {timeout:g} s")
            if link.ready():
                return link.take()
    finally:
        link.close()
