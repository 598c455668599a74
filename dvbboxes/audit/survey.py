"""One gather of many days x all channels x all instances: programs, the files they name, and every key of db 0.

Two round trips, and a third for the files that only others name. Nobody waits for anybody between the first two: the
servers work on the second while the first is decoded here. Instances of a town mostly say the same bytes: the
connection recognises them before they are parsed (`wire.Request.alike`), so an equal reply is the same object, and is
decoded once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import Any, TypeVar

from dvbboxes.audit import uncollected
from dvbboxes.findings import Survey
from dvbboxes.fleet import RENDEZVOUS, Fleet, Talk
from dvbboxes.model import Duration, DurationKind, Gathered, Instance, Schedule
from dvbboxes.wire import (
    MEDIA,
    PROGRAMS,
    Command,
    ProgramDecoder,
    Request,
    decode_duration,
    differences,
    encode,
    parse_program_key,
    plain_durations,
    program_request,
    shown,
)

T = TypeVar("T")

#: Names of one MGET: few enough that a file which differs costs little, enough that a command is worth its head.
SHEET = 128
#: So many times the names of a request are worth another, which has to be packed.
_FAR_MORE = 1.25


def survey(
    fleet: Fleet,
    instances: Sequence[Instance],
    deadline: float,
    keys: Sequence[tuple[date, str]],
    known: Collection[str],
    besides: Collection[str] = (),
) -> Gathered[Survey]:
    """Return what each instance holds under (day, service id) keys, and says of every file anyone names there.

    ``known`` are the service ids of the configuration, ``besides`` names of files (with ``.ts``) to ask about too.
    ``deadline`` is seconds for all of it.
    """
    request = Request((*program_request(keys).commands, (PROGRAMS, ("KEYS", "*"))), alike=True)
    board = _Board(keys, known, besides)

    def talk(instance: Instance) -> Talk[Survey]:
        *replies, held = yield request
        programs = board.programs(replies)
        strangers, passed_over = board.keys(held)
        said: list[Any] = []
        if (first := board.first_request()) is not None:
            said += yield first
        yield RENDEZVOUS  # by then all names are on the board
        if (others := board.request(len(said))) is not None:
            said += yield others
        return Survey(programs, board.sheets(said), strangers, passed_over)

    with uncollected():
        return fleet.gather(instances, talk, deadline)


class _Once(dict[int, T]):
    """What replies were decoded to, by identity: the connection gives equal replies as one object."""

    def __init__(self) -> None:
        self._kept: list[Any] = []  # the replies: an id must not become another's

    def of(self, replies: Sequence[Any], decoders: Iterable[Callable[[Any], T]]) -> list[T]:
        """Return what replies say, each decoded by its own decoder."""
        values: list[Any] = list(map(self.get, map(id, replies)))
        for n, (reply, decode) in enumerate(zip(replies, decoders, strict=False)):
            if values[n] is None:
                self._kept.append(reply)
                values[n] = self[id(reply)] = decode(reply)
        return values


class _Board:
    """What the talks of one survey share: replies decoded once, and the names of all files in them."""

    def __init__(self, keys: Sequence[tuple[date, str]], known: Collection[str], besides: Collection[str]) -> None:
        self._names = dict.fromkeys(besides)
        self._decoders = [ProgramDecoder(*key, self._names) for key in keys]
        self._programs: _Once[Schedule] = _Once()
        self._known = frozenset(known)
        self._asked = 0
        self._commands: list[Command] = []
        self._sheets: list[_Sheet] = []
        self._said: _Once[Mapping[str, Duration]] = _Once()
        self._requests: dict[tuple[int, int], Request] = {}
        self._first: Request | None = None
        self._durations = _Durations()
        self._fine: set[bytes] = set()

    def programs(self, replies: Sequence[Any]) -> tuple[Schedule, ...]:
        return tuple(self._programs.of(replies, self._decoders))

    def first_request(self) -> Request | None:
        """Return the request for most names known by now: one for many instances, made anew when there are far more."""
        if self._first is None or len(self._names) > SHEET * len(self._first.commands) * _FAR_MORE:
            self._first = self.request(0)
        return self._first

    def request(self, after: int) -> Request | None:
        """Return the request for all names known by now, a sheet at a time, after so many sheets; None: no more."""
        if self._asked != len(self._names):
            fresh = list(self._names)[self._asked :]
            for n in range(0, len(fresh), SHEET):
                names = tuple(fresh[n : n + SHEET])
                self._commands.append((MEDIA, ("MGET", *map(encode, names))))
                self._sheets.append(_Sheet(names, self._durations))
            self._asked = len(self._names)
        known = len(self._commands)
        if after == known:
            return None
        if (after, known) not in self._requests:
            self._requests[after, known] = Request(tuple(self._commands[after:]), alike=True)
        return self._requests[after, known]

    def sheets(self, replies: Sequence[Any]) -> tuple[Mapping[str, Duration], ...]:
        # An instance that was asked before more names were known has fewer sheets than there are now.
        return tuple(self._said.of(replies, self._sheets))

    def keys(self, held: Any) -> tuple[frozenset[str], int]:
        """Return the channels among all keys that are not configured, and how many keys are no programs."""
        strangers: set[str] = set()
        passed_over = 0
        if not isinstance(held, list) or self._fine.issuperset(held):
            return frozenset(), 0
        for key in set(held).difference(self._fine):
            parsed = parse_program_key(key)
            if parsed is None:
                passed_over += 1
            elif parsed[1] in self._known:
                self._fine.add(key)
            else:
                strangers.add(parsed[1])
        return frozenset(strangers), passed_over


class _Sheet:
    """Decodes the replies to one MGET: one that differs little from the first is not taken apart again."""

    def __init__(self, names: tuple[str, ...], durations: _Durations) -> None:
        self._names, self._durations = names, durations
        self._first: tuple[list[Any], dict[str, Duration]] | None = None

    def __call__(self, reply: Any) -> Mapping[str, Duration]:
        names = self._names
        if not isinstance(reply, list) or len(reply) != len(names):
            return dict.fromkeys(names, Duration(DurationKind.CORRUPT, None, shown(reply)))
        if not _VALUES.issuperset(map(type, reply)):
            return dict(zip(names, map(decode_duration, reply), strict=True))
        if self._first is None:
            self._durations.learn(reply)
            self._first = reply, dict(zip(names, map(self._durations.__getitem__, reply), strict=True))
            return self._first[1]
        said = self._first[1].copy()
        for n in differences(self._first[0], reply) or ():
            said[names[n]] = self._durations[reply[n]]
        return said


#: What an ordinary reply to MGET is made of.
_VALUES = frozenset({bytes, type(None)})


class _Durations(dict[Any, Duration]):
    """db 1 values decoded once each."""

    def learn(self, values: Iterable[bytes | None]) -> None:
        """Decode what is new among many values, in one go if it can be."""
        fresh = [value for value in values if value is not None and value not in self]
        plain = plain_durations(fresh) if fresh else None
        if plain is not None:
            self.update(zip(fresh, plain, strict=True))

    def __missing__(self, value: Any) -> Duration:
        decoded = self[value] = decode_duration(value)
        return decoded
