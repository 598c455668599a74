"""The two others that every measure stands between: the naive client and the wire."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Sequence
from typing import Any, TypeAlias, TypeVar

import hiredis
import redis

from dvbboxes.model import Gathered, Instance

T = TypeVar("T")


def whole(gathered: Gathered[T]) -> Gathered[T]:
    """Return what was gathered, if all answered: otherwise it measured something else."""
    for answer in gathered.missing:
        raise RuntimeError(f"{answer.instance.fqdn} did not answer: {answer.error}")
    return gathered


Play: TypeAlias = tuple[str, int, float]
Command: TypeAlias = tuple[str | bytes | int, ...]


class Naive:
    """What one writes first: a ``redis.Redis`` per instance and database with default settings, asked in turn.

    One command a round trip. Nothing is said of freshness, and one dead instance would end it.
    """

    def __init__(self, instances: Sequence[Instance], databases: Sequence[int] = (0,)) -> None:
        self._clients = [
            [redis.Redis(host=each.replica.host, port=each.replica.port, db=db) for db in databases]
            for each in instances
        ]

    def programs(self, key: str) -> list[list[Play]]:
        """Return every instance's program, by index."""
        return [self._program(clients[0], key) for clients in self._clients]

    def shows(self, key: str) -> list[tuple[list[Play], dict[str, float | None]]]:
        """Return every instance's program and the durations of the files in it."""
        found = []
        for clients in self._clients:
            program = self._program(clients[0], key)
            names = list(dict.fromkeys(name for name, _, _ in program))
            values = clients[1].mget(names)
            found.append((program, {n: None if v is None else float(v) for n, v in zip(names, values, strict=True)}))
        return found

    def airings(self, media: str) -> list[int]:
        """Return how often every instance airs a file, over all its programs, each of which is fetched."""
        found = []
        for client, *_ in self._clients:
            programs = [self._program(client, _text(key)) for key in client.keys("*")]
            found.append(sum(name == media for program in programs for name, _, _ in program))
        return found

    def durations(self, names: Sequence[str]) -> list[dict[str, float | None]]:
        """Return every instance's durations, one GET each; of the last database given."""
        found = []
        for *_, client in self._clients:
            values = {name: client.get(name) for name in names}
            found.append({name: None if value is None else float(value) for name, value in values.items()})
        return found

    @staticmethod
    def _program(client: Any, key: str) -> list[Play]:
        plays = []
        for member, start in client.zrange(key, 0, -1, withscores=True):
            path, _, index = member.decode().rpartition(":")
            plays.append((path.rsplit("/", 1)[1], int(index), start))
        return sorted(plays, key=lambda play: play[1])

    def close(self) -> None:
        """Close every connection."""
        for clients in self._clients:
            for client in clients:
                client.close()


class Wire:
    """The floor for Python: non-blocking sockets under one poll and hiredis's reader; nothing is done with a reply."""

    def __init__(self, instances: Sequence[Instance]) -> None:
        self._socks = [socket.create_connection((each.replica.host, each.replica.port)) for each in instances]
        self._readers = {}
        self._poll = select.poll()
        for sock in self._socks:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setblocking(False)
            self._readers[sock.fileno()] = sock, hiredis.Reader(notEnoughData=_MORE)

    def ask(self, *commands: Command) -> list[list[Any]]:
        """Return every instance's replies to the commands, which go out in one piece."""
        pack: Any = hiredis.pack_command  # its stub says a tuple of one
        payload = b"".join(pack(command) for command in commands)
        poll, readers, expected = self._poll, self._readers, len(commands)
        replies: dict[int, list[Any]] = {fd: [] for fd in readers}
        for sock in self._socks:
            sock.sendall(payload)
            poll.register(sock.fileno(), select.POLLIN)
        waiting = len(readers)
        while waiting:
            for fd, _ in poll.poll():
                sock, reader = readers[fd]
                reader.feed(sock.recv(65536))
                got = replies[fd]
                while (reply := reader.gets()) is not _MORE:
                    got.append(reply)
                if len(got) == expected:
                    poll.unregister(fd)
                    waiting -= 1
        return list(replies.values())

    def close(self) -> None:
        """Close every connection."""
        for sock in self._socks:
            with contextlib.suppress(OSError):
                sock.close()


def _text(key: Any) -> str:
    return str(key, "utf-8")


_MORE = object()
