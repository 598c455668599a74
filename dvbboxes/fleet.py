"""Scatter to all instances, one absolute deadline, gather: the heart.

A question to one instance is a :data:`Talk`, a generator that yields what to send and is resumed with the replies::

    def talk(instance):
        replies = yield request                 # one round trip
        yield RENDEZVOUS                        # until all others are here too, or late
        replies = yield another_request
        return value

All talks run side by side in one thread over one poll; every failure of an instance becomes a value in its answer
(SPEC 8.2, 8.3). What a replica's data are worth travels in the same round trip as the first request.
"""

from __future__ import annotations

import functools
import ipaddress
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from dvbboxes.model import Answer, Endpoint, Failure, FailureKind, Freshness, Gathered, Instance, State
from dvbboxes.store import NOT_REDIS, Alike, Link, ReplyError, Unanswered
from dvbboxes.wire import MEDIA, PROGRAMS, Request

T = TypeVar("T")


class Rendezvous(Enum):
    """The type of :data:`RENDEZVOUS`."""

    RENDEZVOUS = "rendezvous"


#: Yielded by a talk: go on when every other one is here as well, or none has answered for :data:`QUIET` seconds, and at
#: the latest when half of the deadline is gone.
RENDEZVOUS = Rendezvous.RENDEZVOUS
QUIET = 0.05

Talk: TypeAlias = Generator[Request | Rendezvous, list[Any], T]

#: Asked of every replica in front of the first request of a talk: its link and the age of its data.
HEAD = Request(((0, ("INFO", "replication")),))
#: Asked besides where the first replies show no data: whether anything is there at all. (INFO is the dearest part of a
#: short gather, and most replies show that by themselves.)
KEYSPACE = Request(((0, ("INFO", "keyspace")),))
#: Commands whose replies prove nothing of the kind.
_PROVE_NOTHING = frozenset({"INFO", "ZSCAN"})
#: What is missed where a database is empty.
_WORDS = {PROGRAMS: "programs", MEDIA: "media"}
#: Errors that speak of the server; all others (WRONGTYPE, ...) speak of one command and are its talk's business.
_INSTANCE_ERRORS = frozenset({"LOADING", "BUSY", "MASTERDOWN", "NOAUTH", "WRONGPASS", "NOPERM"})
#: A connection on this machine is made at once or not at all; a longer wait would be everybody's, and only the first
#: that is not made is waited for: the others then connect aside.
_LOCAL_CONNECT = 0.05


class Side(Enum):
    """Which Redis of an instance is asked: reading goes to the replica, writing to the master."""

    REPLICA = "replica"
    MASTER = "master"

    def endpoint(self, instance: Instance) -> Endpoint:
        """Return where that Redis listens."""
        return instance.replica if self is Side.REPLICA else instance.master

    def hint(self, instance: Instance) -> str:
        """Return the question to ask where that Redis refuses connections."""
        unit = f"redis-server@{instance.fqdn}" if self is Side.REPLICA else f"redis-server on {instance.fqdn}"
        return f" (is {unit} running?)"


class TalkWith(Protocol[T]):  # type: ignore[misc]  # T is only returned, which is what a protocol of one call needs
    """Makes the talk with one instance."""

    def __call__(self, instance: Instance) -> Talk[T]:
        """Return a fresh generator for this instance."""


class Recall(Protocol):
    """What each replica held when it was last seen, by database (:class:`dvbboxes.memory.Memory`)."""

    def held(self, instance: Instance) -> Mapping[int, str]:
        """Return which databases held something, each with the day that was last seen."""

    def saw(self, instance: Instance, databases: Collection[int]) -> None:
        """Remember that these databases hold something."""

    def save(self) -> None:
        """Write down what is new; raises nothing."""


# --- freshness ------------------------------------------------------------------------------------------------------

_UNKNOWN = Freshness(State.UNAVAILABLE)


def info_fields(reply: object) -> dict[str, str]:
    """Return the ``name:value`` lines of an INFO reply; nothing for what is none."""
    lines = reply.decode("utf-8", "replace").splitlines() if isinstance(reply, bytes) else []
    return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))


def assess(replication: Any, keyspace: Any = None) -> tuple[Freshness, Failure | None]:
    """Return what a replica's data are worth from its INFO replies, and why it gives no answer (DESIGN: states).

    ``keyspace`` None: it has shown data, so it is not empty. Ages are seconds since the link last carried something,
    good to the master's ping period of 10 s.
    """
    for reply in (replication,) if keyspace is None else (replication, keyspace):
        if isinstance(reply, ReplyError):
            return _worthless(reply.failure())
        if not isinstance(reply, bytes) or not reply.lstrip().startswith(b"#"):
            return _worthless(Failure(FailureKind.NOT_REDIS, NOT_REDIS))
    # Looked for where they stand: every answer is judged here, and splitting all of INFO costs ten times as much.
    empty = keyspace is not None and b"\ndb0:" not in keyspace and b"\ndb1:" not in keyspace
    if b"\nrole:slave\r" not in replication:
        return _unlinked(empty, Freshness(State.STALE, None, "follows no master (it is a master itself)", "none"))
    if b"\nmaster_link_status:up\r" not in replication:
        age = _seconds(replication, b"\nmaster_link_down_since_seconds:")
        return _unlinked(empty, Freshness(State.STALE, age, "the link to its master is down", "down"))
    age = _seconds(replication, b"\nmaster_last_io_seconds_ago:")
    if empty:
        said = "is linked to its master but holds nothing at all: was the master wiped?"
        return Freshness(State.SUSPECT, age, said, "up"), Failure(FailureKind.EMPTY, said)
    return Freshness(State.CURRENT, age, "", "up"), None


def _unlinked(empty: bool, stale: Freshness) -> tuple[Freshness, Failure | None]:
    if not empty:
        return stale, None
    said = f"has never been in sync: it holds nothing and {stale.reason}"
    return Freshness(State.UNAVAILABLE, None, said, stale.link), Failure(FailureKind.NEVER_SYNCED, said)


def _worthless(failure: Failure) -> tuple[Freshness, Failure]:
    return Freshness(State.UNAVAILABLE, None, failure.message), failure


def _seconds(info: bytes, field: bytes) -> float | None:
    _, _, rest = info.partition(field)
    try:
        seconds = float(rest.partition(b"\r")[0])
    except ValueError:  # it is not there, or no number
        return None
    return seconds if 0 <= seconds < 1e12 else None  # -1: not known; no clock counts to inf


# --- one instance's part in a gather --------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class _Turn(Generic[T]):
    """One instance on its way through a gather."""

    instance: Instance
    link: Link
    talk: Talk[T]
    pending: Request | None = None
    head: bool = False
    first: list[Any] | None = None  # its first replies, while it is asked whether it holds anything
    kept: bool = False  # the connection is from an earlier gather: its peer may have gone since
    value: T | None = None
    error: Failure | None = None
    freshness: Freshness = _UNKNOWN
    elapsed: float = 0.0


class Fleet:
    """Asks many instances at once. Connections are kept between gathers and closed by :meth:`close`.

    One fleet belongs to one thread. ``max_age`` (seconds): older data, or data of unknown age, is no answer.
    ``recall`` knows what each replica held: one that is empty of it now is suspect.
    """

    def __init__(
        self, side: Side = Side.REPLICA, *, max_age: float | None = None, recall: Recall | None = None
    ) -> None:
        self._side = side
        self._max_age = max_age
        self._recall = recall
        self._links: dict[str, Link] = {}

    def __enter__(self) -> Fleet:
        """Return itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close every connection."""
        self.close()

    def close(self) -> None:
        """Close every connection, and have what was seen remembered."""
        for link in self._links.values():
            link.close()
        self._links.clear()
        if self._recall is not None:
            self._recall.save()

    def ask(self, instances: Sequence[Instance], request: Request, deadline: float) -> Gathered[list[Any]]:
        """Return every instance's replies to one request, within ``deadline`` seconds for all of them together."""

        def talk(instance: Instance) -> Talk[list[Any]]:
            return (yield request)

        return self.gather(instances, talk, deadline)

    def gather(self, instances: Sequence[Instance], talk: TalkWith[T], deadline: float) -> Gathered[T]:
        """Return every instance's answer to ``talk``, in the order given, within ``deadline`` seconds for all.

        Raises nothing for an instance that fails: its answer carries the failure.
        """
        return _Gather(self._side, self._max_age, self._recall, self._links, instances, talk, deadline).run()


class _Gather(Generic[T]):
    """One gather in progress."""

    def __init__(
        self,
        side: Side,
        max_age: float | None,
        recall: Recall | None,
        links: dict[str, Link],
        instances: Sequence[Instance],
        talk: TalkWith[T],
        deadline: float,
    ) -> None:
        self._side, self._max_age, self._recall, self._links = side, max_age, recall, links
        self._start = time.monotonic()
        self._deadline = deadline
        self._end = self._start + deadline
        self._progress = self._start
        self._alike = Alike()
        self._patience = _LOCAL_CONNECT
        self._poll = select.poll()
        self._turns = [self._turn(instance, talk) for instance in instances]
        self._active: dict[int, _Turn[T]] = {}
        self._paused: list[_Turn[T]] = []
        self._connector: _Connector[T] | None = None

    def _turn(self, instance: Instance, talk: TalkWith[T]) -> _Turn[T]:
        link = self._links.get(instance.fqdn)
        kept = link is not None and link.connected
        if link is None or not kept:
            link = self._links[instance.fqdn] = Link(self._side.endpoint(instance))
        return _Turn(instance, link, talk(instance), kept=kept)

    def run(self) -> Gathered[T]:
        for turn in self._turns:
            self._begin(turn)
        while self._busy():
            self._step()
        if self._connector:
            self._connector.close()
        return Gathered(tuple(self._answer(turn) for turn in self._turns), time.monotonic() - self._start)

    def _busy(self) -> bool:
        return bool(self._active or self._paused or (self._connector and self._connector.under_way))

    def _answer(self, turn: _Turn[T]) -> Answer[T]:
        error = None
        if turn.error is not None:
            where = f"{self._side.value} {self._side.endpoint(turn.instance)}"
            hint = self._side.hint(turn.instance) if turn.error.kind is FailureKind.REFUSED else ""
            error = Failure(turn.error.kind, f"{where} {turn.error.message}{hint}")
        return Answer(turn.instance, turn.value, error, turn.elapsed, turn.freshness)

    # -- beginning

    def _begin(self, turn: _Turn[T]) -> None:
        if turn.link.connected:
            self._talk_first(turn)
            return
        endpoint = turn.link.endpoint
        if self._patience and _is_local(endpoint):
            try:
                turn.link.connect(max(0.001, min(self._patience, self._end - time.monotonic())))
            except Unanswered as failed:
                if failed.failure.kind is not FailureKind.TIMEOUT:
                    self._fail(turn, failed.failure)
                    return
                self._patience = 0.0
            else:
                self._talk_first(turn)
                return
        self._connect_aside(turn)

    def _connect_aside(self, turn: _Turn[T]) -> None:
        if self._connector is None:
            self._connector = _Connector()
            self._poll.register(self._connector.fileno(), select.POLLIN)
        self._connector.start(turn, self._end - time.monotonic())

    def _talk_first(self, turn: _Turn[T]) -> None:
        turn.head = self._side is Side.REPLICA
        if not turn.head:
            turn.freshness = Freshness(State.CURRENT, 0.0)
        if turn.pending is None:
            self._resume(turn, None)
        else:
            self._send(turn, turn.pending)

    # -- the loop

    def _step(self) -> None:
        left = self._end - time.monotonic()
        if left <= 0:
            self._give_up()
            return
        quiet = self._patient_until() - time.monotonic()
        ready = self._poll.poll(max(1.0, (min(left, quiet) if self._paused else left) * 1000))
        for fd, _ in ready:
            if self._connector and fd == self._connector.fileno():
                self._connected()
            elif fd in self._active:
                self._read(fd, self._active[fd])
        late = time.monotonic() >= self._patient_until()
        if self._paused and (late or not (self._active or (self._connector and self._connector.under_way))):
            paused, self._paused = self._paused, []
            for turn in paused:
                self._resume(turn, [])

    def _patient_until(self) -> float:
        """Return when those who wait at a rendezvous go on without the others."""
        # Progress is an answer, not a byte: a peer that drips must not hold those who wait for it.
        return min(self._progress + QUIET, self._start + self._deadline / 2)

    def _connected(self) -> None:
        assert self._connector is not None  # noqa: S101  # its descriptor is polled only while it exists
        for turn, failure in self._connector.finished():
            if failure is None:
                self._talk_first(turn)
            else:
                self._fail(turn, failure)

    def _read(self, fd: int, turn: _Turn[T]) -> None:
        try:
            complete = turn.link.ready()
        except Unanswered as failed:
            self._rest(fd)
            self._broken(turn, failed.failure)
            return
        if not complete:
            self._poll.modify(fd, turn.link.events)
            return
        self._rest(fd)
        self._progress = time.monotonic()
        turn.kept = False
        try:
            replies = turn.link.take()
        except Unanswered as failed:
            self._fail(turn, failed.failure)
            return
        tolerant = turn.pending is not None and turn.pending.tolerant
        if not tolerant and (failure := _instance_failure(replies)):
            self._fail(turn, failure)
        else:
            self._judge(turn, replies)

    def _rest(self, fd: int) -> None:
        self._poll.unregister(fd)
        del self._active[fd]

    def _judge(self, turn: _Turn[T], replies: list[Any]) -> None:
        """Decide whether this replica gives an answer, before its talk hears of its replies."""
        keyspace = None
        if turn.first is not None:
            (keyspace,), replies, turn.first = replies, turn.first, None
        elif turn.pending is not None and not _well_formed(turn.pending, replies[1:] if turn.head else replies):
            self._fail(turn, Failure(FailureKind.NOT_REDIS, NOT_REDIS))
            return
        elif self._doubts(turn, replies):
            turn.first = replies
            self._transmit(turn, KEYSPACE)
            return
        failure = None
        if turn.head:
            turn.head = False
            turn.freshness, failure = assess(replies[0], keyspace)
            failure = failure or self._too_old(turn.freshness)
            replies = replies[1:]
        failure = failure or self._compare(turn, replies, keyspace)
        if failure is None:
            self._resume(turn, replies)
        else:
            self._fail(turn, failure)

    def _doubts(self, turn: _Turn[T], replies: list[Any]) -> bool:
        """Return whether the replies show so little that it has to be asked whether anything is there at all."""
        if turn.pending is None or not (turn.head or self._recall):
            return False
        shown = _databases(turn.pending, replies[1:] if turn.head else replies)
        if turn.head and not any(shown.values()):
            return True
        if self._recall is None or all(shown.values()):
            return False
        held = self._recall.held(turn.instance)
        return any(db in held for db, something in shown.items() if not something)

    def _compare(self, turn: _Turn[T], replies: list[Any], keyspace: Any) -> Failure | None:
        """Compare a replica with what is remembered of it: what is gone makes it suspect, what is there is noted."""
        if self._recall is None or turn.pending is None:
            return None
        if isinstance(keyspace, bytes):
            there = {db for db in _WORDS if f"\ndb{db}:".encode() in keyspace}
            gone = {db: day for db, day in self._recall.held(turn.instance).items() if db not in there}
            if gone and turn.freshness.state is State.CURRENT:
                what, day = " and no ".join(_WORDS[db] for db in sorted(gone)), max(gone.values())
                said = (
                    f"is linked to its master but holds no {what}, which it did when last seen ({day}): was the "
                    f"master wiped? If it is meant to be empty: dvbboxes cluster forget --instance {turn.instance.fqdn}"
                )
                turn.freshness = Freshness(State.SUSPECT, turn.freshness.age, said, turn.freshness.link)
                return Failure(FailureKind.EMPTY, said)
        else:
            there = {db for db, something in _databases(turn.pending, replies).items() if something}
        self._recall.saw(turn.instance, there)
        return None

    def _too_old(self, worth: Freshness) -> Failure | None:
        if self._max_age is None or (worth.age is not None and worth.age <= self._max_age):
            return None
        age = "of unknown age" if worth.age is None else f"{worth.age:.0f} s old"
        return Failure(FailureKind.TOO_OLD, f"has data {age}; at most {self._max_age:g} s are allowed")

    def _resume(self, turn: _Turn[T], replies: list[Any] | None) -> None:
        try:
            wish = next(turn.talk) if replies is None else turn.talk.send(replies)
        except StopIteration as finished:
            turn.value = finished.value
            turn.elapsed = time.monotonic() - self._start
            return
        if isinstance(wish, Rendezvous):
            self._paused.append(turn)
            return
        self._send(turn, wish)

    def _send(self, turn: _Turn[T], request: Request) -> None:
        turn.pending = request
        self._transmit(turn, *((HEAD, request) if turn.head else (request,)))

    def _transmit(self, turn: _Turn[T], *requests: Request) -> None:
        try:
            turn.link.send(*requests, alike=self._alike)
        except Unanswered as failed:
            self._broken(turn, failed.failure)
            return
        fd = turn.link.fileno()
        self._active[fd] = turn
        self._poll.register(fd, turn.link.events)

    # -- ending

    def _broken(self, turn: _Turn[T], failure: Failure) -> None:
        """A connection broke: one that was kept from before is made once anew, its first request sent again."""
        if not turn.kept:
            self._fail(turn, failure)
            return
        turn.kept = False
        turn.link = self._links[turn.instance.fqdn] = Link(self._side.endpoint(turn.instance))
        self._begin(turn)

    def _fail(self, turn: _Turn[T], failure: Failure) -> None:
        turn.error = failure
        turn.elapsed = time.monotonic() - self._start
        turn.talk.close()
        if failure.kind not in (FailureKind.TOO_OLD, FailureKind.EMPTY, FailureKind.NEVER_SYNCED):
            turn.link.close()  # a late reply must never meet the next question (SPEC 8.5)
            turn.freshness = Freshness(State.UNAVAILABLE, None, failure.message, turn.freshness.link)

    def _give_up(self) -> None:
        for fd, turn in list(self._active.items()):
            self._rest(fd)
            self._fail(turn, Failure(FailureKind.TIMEOUT, f"timed out after {self._deadline:g} s"))
        for turn in self._paused:
            self._fail(turn, Failure(FailureKind.TIMEOUT, f"timed out after {self._deadline:g} s"))
        self._paused = []
        if self._connector:
            for turn in self._connector.abandon():
                self._links.pop(turn.instance.fqdn, None)  # its thread may still be at it
                said = f"did not accept the connection within {self._deadline:g} s"
                self._fail(turn, Failure(FailureKind.TIMEOUT, said))


@functools.lru_cache(maxsize=256)
def _positions(request: Request) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """Return each database a request speaks to, with the positions of the commands whose replies prove something."""
    found: dict[int, list[int]] = {}
    for position, (db, args) in enumerate(request.commands):
        if args[0] not in _PROVE_NOTHING:
            found.setdefault(db, []).append(position)
    return tuple((db, tuple(positions)) for db, positions in found.items())


@functools.lru_cache(maxsize=256)
def _listings(request: Request) -> tuple[int, ...]:
    """Return the positions of the commands that list names."""
    return tuple(position for position, (_, args) in enumerate(request.commands) if args[0] == "KEYS")


def _well_formed(request: Request, replies: Sequence[object]) -> bool:
    """Return whether every list of names is one: what is none must not pass for an instance that has nothing."""
    for position in _listings(request):
        names = replies[position]
        if isinstance(names, list):
            if not set(map(type, names)) <= {bytes}:
                return False
        elif not isinstance(names, ReplyError):
            return False
    return True


def _databases(request: Request, replies: Sequence[object]) -> dict[int, bool]:
    """Return, for each database a request speaks to, whether the replies show that something is in it."""
    return {db: any(_something(replies[n]) for n in positions) for db, positions in _positions(request)}


def _something(reply: object) -> bool:
    return any(map(_something, reply)) if isinstance(reply, list) else bool(reply)


def _instance_failure(replies: Sequence[object]) -> Failure | None:
    """Return the failure of the whole instance that an error among its replies stands for, if one does."""
    for reply in replies:
        if isinstance(reply, ReplyError) and reply.code in _INSTANCE_ERRORS:
            return reply.failure()
    return None


def _is_local(endpoint: Endpoint) -> bool:
    if endpoint.path is not None:
        return True
    if endpoint.tls:
        return False
    return endpoint.host == "localhost" or _is_loopback(endpoint.host)


@functools.lru_cache(maxsize=256)
def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Connector(Generic[T]):
    """Connects to remote and TLS peers side by side, one daemon thread each: a name or a host that hangs holds nobody.

    Threads that are given up finish by themselves; their links are closed then.
    """

    def __init__(self) -> None:
        self._mine, self._theirs = socket.socketpair()
        self._mine.setblocking(False)
        self._results: deque[tuple[_Turn[T], Failure | None]] = deque()
        self._waiting: set[_Turn[T]] = set()
        self._lock = threading.Lock()

    def fileno(self) -> int:
        return self._mine.fileno()

    @property
    def under_way(self) -> bool:
        return bool(self._waiting)

    def start(self, turn: _Turn[T], timeout: float) -> None:
        self._waiting.add(turn)
        threading.Thread(target=self._connect, args=(turn, max(0.001, timeout)), daemon=True).start()

    def _connect(self, turn: _Turn[T], timeout: float) -> None:
        failure = None
        try:
            turn.link.connect(timeout)
        except Unanswered as failed:
            failure = failed.failure
        with self._lock:
            if turn in self._waiting:
                self._results.append((turn, failure))
                self._theirs.send(b".")
            else:
                turn.link.close()

    def finished(self) -> list[tuple[_Turn[T], Failure | None]]:
        self._mine.recv(4096)
        with self._lock:
            results = list(self._results)
            self._results.clear()
            self._waiting.difference_update(turn for turn, _ in results)
        return results

    def abandon(self) -> list[_Turn[T]]:
        with self._lock:
            waiting = list(self._waiting)
            self._waiting.clear()
        return waiting

    def close(self) -> None:
        with self._lock:
            self._waiting.clear()
        self._mine.close()
        self._theirs.close()
