"""The types everything speaks: frozen, without behaviour that needs a file, a socket or the clock.

Words are those of SPEC section 1. Times are Unix seconds (float), lengths are seconds (float), a day is a
:class:`datetime.date` (the date on which the broadcast day begins), a service id is a ``str``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, time, tzinfo
from enum import Enum
from typing import Generic, NamedTuple, TypeAlias, TypeVar

T = TypeVar("T")
U = TypeVar("U")


# --- the configured world -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one Redis listens: TCP (``host``, ``port``), TLS (``tls``) or a unix socket (``path``).

    It names the file that holds a password, never the password (SPEC 3).
    """

    host: str = "127.0.0.1"
    port: int = 6379
    path: str | None = None
    tls: bool = False
    tls_ca_file: str | None = None
    username: str | None = None
    password_file: str | None = None

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss://' if self.tls else ''}{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class SshTarget:
    """How OpenSSH reaches one instance's host; ``user`` None is ssh's own choice."""

    host: str
    user: str | None = None
    port: int = 22


@dataclass(frozen=True, slots=True)
class Instance:
    """One dvbbox server, named by its fqdn, in one cluster (town).

    ``channels`` None: it carries every channel. ``zone`` is the zone its broadcast day is counted in.
    """

    cluster: str
    fqdn: str
    replica: Endpoint
    master: Endpoint
    ssh: SshTarget
    zone: tzinfo
    media_folder: str = "/opt/tsfiles"
    channels: frozenset[str] | None = None
    maintenance: bool = False

    def carries(self, service_id: str) -> bool:
        """Return whether this instance is meant to play the channel (``[INSTANCE:fqdn] channels``)."""
        return self.channels is None or service_id in self.channels


@dataclass(frozen=True, slots=True)
class Town:
    """A cluster: a named group of instances, in the order of the file."""

    name: str
    instances: tuple[Instance, ...]


@dataclass(frozen=True, slots=True)
class LogSettings:
    """``[LOG]``: where one line per command goes. ``level`` is Python's number."""

    filepath: str
    level: int
    datefmt: str


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """``[REDIS]``: seconds for one whole gather, from replicas and from masters, and the age allowed (None: any)."""

    deadline: float = 2.0
    master_deadline: float = 5.0
    max_age: float | None = None


@dataclass(frozen=True, slots=True)
class SshSettings:
    """``[SSH]``: how dvbbox is asked to update after an apply. ``timeout`` in seconds."""

    update: bool = True
    command: str = "ssh"
    options: tuple[str, ...] = ()
    dvbbox: str = "dvbbox"
    parallel: int = 16
    timeout: float = 60.0


@dataclass(frozen=True, slots=True)
class ScheduleSettings:
    """``[SCHEDULE]``: the zone and local time a broadcast day begins in; ``cutoff`` and ``tolerance`` in seconds."""

    zone: tzinfo
    day_start: time = time(7, 30)
    cutoff: float = 900.0
    tolerance: float = 1.2


@dataclass(frozen=True, slots=True)
class Setting:
    """One value in force and where it came from: ``file:line``, or ``default``. ``secret`` values are shown masked."""

    section: str
    key: str
    value: str
    origin: str
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Config:
    """One configuration file, whole and checked (SPEC 3). ``channels`` maps service id to name, in file order."""

    path: str
    log: LogSettings
    data_folder: str
    channels: Mapping[str, str]
    towns: tuple[Town, ...]
    redis: RedisSettings
    ssh: SshSettings
    schedule: ScheduleSettings
    settings: tuple[Setting, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def instances(self) -> tuple[Instance, ...]:
        """Every instance, towns in file order, instances in file order."""
        return tuple(instance for town in self.towns for instance in town.instances)


# --- programs and media ---------------------------------------------------------------------------------------------


class Slot(NamedTuple):
    """One entry of a program: position, file name (with ``.ts``), its folder as stored, start in Unix seconds.

    A tuple, because a week of a whole fleet is a million of them, and a frozen dataclass costs three times as much.
    """

    index: int  # type: ignore[assignment]  # it hides tuple.index, which is no question to a slot
    media: str
    path: str
    start: float


@dataclass(frozen=True, slots=True)
class Schedule:
    """What one instance holds for one channel and day, ordered by index.

    ``corrupt`` says, entry by entry, what stood in the sorted set and is no program entry; it is never fatal.
    """

    day: date
    service_id: str
    slots: tuple[Slot, ...] = ()
    corrupt: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One member of a program's sorted set exactly as an instance holds it (SPEC 2), start in Unix seconds.

    ``member`` is text with bytes that are no UTF-8 kept as surrogates: the same bytes can be written back.
    """

    member: str
    start: float


#: A whole program as held, ordered by (start, member) as Redis orders it; empty: there is no such key.
Stored: TypeAlias = tuple[Entry, ...]


class DurationKind(Enum):
    """What the value of one db 1 key is (SPEC 2)."""

    MEASURED = "measured"
    UNMEASURED = "unmeasured"  # dvbbox's sentinel 3.14: the file is there, its duration is not known
    CORRUPT = "corrupt"
    ABSENT = "absent"


class Duration(NamedTuple):
    """What one instance says of one file. ``seconds`` is set when ``kind`` is MEASURED; ``text`` is the raw value.

    A tuple as :class:`Slot` is one, and for the same reason.
    """

    kind: DurationKind
    seconds: float | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class MediaFile:
    """One file over the instances that answered: fqdn -> Duration. An instance not in it is *unknown*, never absent."""

    name: str
    durations: Mapping[str, Duration]


# --- listings -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ListingEntry:
    """One media of a listing: its name without ``.ts`` and the line it stands on (from 1)."""

    name: str
    line: int


@dataclass(frozen=True, slots=True)
class ListingDay:
    """One day of a listing: its date, the line of its ``[dd/mm]`` (from 1) and its media in order."""

    day: date
    line: int
    entries: tuple[ListingEntry, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """A listing without a mistake in it (SPEC 5), days in the order of the file.

    ``service_id`` is what was asked for or what the file's name says; ``first`` and ``last`` are the days that name
    says. Each is None where nothing says it.
    """

    service_id: str | None
    first: date | None
    last: date | None
    days: tuple[ListingDay, ...]


# --- answers --------------------------------------------------------------------------------------------------------


class State(Enum):
    """What an instance's replica is worth (DESIGN: only CURRENT and STALE count as answers)."""

    CURRENT = "current"
    STALE = "stale"
    UNAVAILABLE = "unavailable"
    SUSPECT = "suspect"


@dataclass(frozen=True, slots=True)
class Freshness:
    """State of a replica and the age of its data in seconds (None: unknown).

    ``reason`` says why it is not current; ``link`` is ``up``, ``down``, ``none`` (follows nobody) or empty (unknown).
    """

    state: State
    age: float | None = None
    reason: str = ""
    link: str = ""


class FailureKind(Enum):
    """Why an instance gave no answer; stable codes for JSON."""

    REFUSED = "refused"
    TIMEOUT = "timeout"
    CLOSED = "closed"
    UNREACHABLE = "unreachable"
    LOADING = "loading"
    NEVER_SYNCED = "never-synced"
    EMPTY = "empty"
    AUTH = "auth"
    NOT_REDIS = "not-redis"
    TOO_OLD = "too-old"
    READONLY = "readonly"
    OUT_OF_MEMORY = "out-of-memory"
    SERVER = "server"
    CREDENTIALS = "credentials"
    HOST_KEY = "host-key"
    UNKNOWN_HOST = "unknown-host"
    NO_SSH = "no-ssh"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one instance did not answer: a value, not an exception. ``message`` says what to do about it."""

    kind: FailureKind
    message: str


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """One instance's answer: ``value`` or ``error``, after ``elapsed`` seconds, worth ``freshness``."""

    instance: Instance
    value: T | None
    error: Failure | None
    elapsed: float
    freshness: Freshness

    @property
    def ok(self) -> bool:
        """Return whether this counts as an answer."""
        return self.error is None


@dataclass(frozen=True, slots=True)
class Gathered(Generic[T]):
    """All answers to one question, in configuration order; no result leaves the fleet without it."""

    answers: tuple[Answer[T], ...]
    elapsed: float = 0.0

    @property
    def answered(self) -> tuple[Answer[T], ...]:
        """The answers that count."""
        return tuple(answer for answer in self.answers if answer.ok)

    @property
    def missing(self) -> tuple[Answer[T], ...]:
        """The instances that gave none, each with its error."""
        return tuple(answer for answer in self.answers if not answer.ok)

    @property
    def complete(self) -> bool:
        """Return whether every instance asked has answered."""
        return all(answer.ok for answer in self.answers)

    @property
    def oldest(self) -> float | None:
        """Age in seconds of the oldest data among the answers; None: unknown, or nobody answered."""
        ages = [answer.freshness.age for answer in self.answered]
        known = [age for age in ages if age is not None]
        return max(known) if known and len(known) == len(ages) else None

    def values(self) -> dict[str, T]:
        """Return fqdn -> value of the answers that count, in order."""
        return {answer.instance.fqdn: answer.value for answer in self.answers if answer.error is None}  # type: ignore[misc]  # value is set where error is not

    def map(self, function: Callable[[Instance, T], U]) -> Gathered[U]:
        """Return the same gathering with each value replaced by ``function(instance, value)``."""
        return Gathered(
            tuple(
                Answer(a.instance, None if a.error else function(a.instance, a.value), a.error, a.elapsed, a.freshness)  # type: ignore[arg-type]  # value is set where error is not
                for a in self.answers
            ),
            self.elapsed,
        )
