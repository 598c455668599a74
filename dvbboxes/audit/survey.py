"""One gather of many days x all channels x all instances: programs, the files they name, and every key of db 0.

Two round trips. Instances of a town mostly say the same bytes: the connection recognises them before they are parsed
(`wire.Request.alike`), so an equal reply is the same object, and is decoded once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date
from typing import Any, Generic, TypeVar

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
    encode,
    parse_program_key,
    program_request,
    shown,
)

T = TypeVar("T")

#: Names of one MGET: few enough that a file which differs costs little, enough that a command is worth its head.
SHEET = 128


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
    request = Request(program_request(keys).commands, alike=True)
    board = _Board(keys, known, besides)

    def talk(instance: Instance) -> Talk[Survey]:
        replies = yield request
        programs = board.programs(replies)
        yield RENDEZVOUS  # by then all names are on the board
        *said, held = yield board.request()
        strangers, passed_over = board.keys(held)
        return Survey(programs, board.sheets(said), strangers, passed_over)

    with uncollected():
        return fleet.gather(instances, talk, deadline)


class _Same(Generic[T]):
    """Decodes a reply once, by identity: the connection gives equal replies as one object."""

    def __init__(self, decode: Callable[[Any], T]) -> None:
        self._decode = decode
        self._known: dict[int, tuple[Any, T]] = {}

    def __call__(self, reply: Any) -> T:
        found = self._known.get(id(reply))
        if found is None:  # the reply is kept too: its id must not become another's
            found = self._known[id(reply)] = (reply, self._decode(reply))
        return found[1]


class _Board:
    """What the talks of one survey share: replies decoded once, and the names of all files in them."""

    def __init__(self, keys: Sequence[tuple[date, str]], known: Collection[str], besides: Collection[str]) -> None:
        self._programs = [_Same(ProgramDecoder(*key)) for key in keys]
        self._known = frozenset(known)
        self._names = dict.fromkeys(besides)
        self._named: set[int] = set()
        self._sheets: list[tuple[Command, _Same[Mapping[str, Duration]]]] = []
        self._asked = 0
        self._request: Request | None = None
        self._durations = _Durations()
        self._fine: set[bytes] = set()

    def programs(self, replies: Sequence[Any]) -> tuple[Schedule, ...]:
        held = tuple([once(reply) for once, reply in zip(self._programs, replies, strict=True)])
        for program in held:
            if id(program) not in self._named:
                self._named.add(id(program))
                self._names.update(dict.fromkeys([slot.media for slot in program.slots]))
        return held

    def request(self) -> Request:
        """Return the request for all names known by now, a sheet at a time, and for the keys of db 0."""
        if self._request is None or self._asked != len(self._names):
            fresh = list(self._names)[self._asked :]
            for n in range(0, len(fresh), SHEET):
                names = tuple(fresh[n : n + SHEET])
                command: Command = (MEDIA, ("MGET", *(encode(name) for name in names)))
                self._sheets.append((command, _Same(self._sheet_of(names))))
            self._asked = len(self._names)
            self._request = Request((*(command for command, _ in self._sheets), (PROGRAMS, ("KEYS", "*"))), alike=True)
        return self._request

    def _sheet_of(self, names: tuple[str, ...]) -> Callable[[Any], Mapping[str, Duration]]:
        def decode(reply: Any) -> Mapping[str, Duration]:
            if not isinstance(reply, list) or len(reply) != len(names):
                return dict.fromkeys(names, Duration(DurationKind.CORRUPT, None, shown(reply)))
            return dict(zip(names, map(self._durations.__getitem__, reply), strict=True))

        return decode

    def sheets(self, replies: Sequence[Any]) -> tuple[Mapping[str, Duration], ...]:
        # An instance that was asked before more names were known has fewer sheets than there are now.
        return tuple([once(reply) for (_, once), reply in zip(self._sheets, replies, strict=False)])

    def keys(self, held: Any) -> tuple[frozenset[str], int]:
        """Return the channels among all keys that are not configured, and how many keys are no programs."""
        strangers: set[str] = set()
        passed_over = 0
        for key in set(held).difference(self._fine) if isinstance(held, list) else ():
            parsed = parse_program_key(key)
            if parsed is None:
                passed_over += 1
            elif parsed[1] in self._known:
                self._fine.add(key)
            else:
                strangers.add(parsed[1])
        return frozenset(strangers), passed_over


class _Durations(dict[Any, Duration]):
    """db 1 values decoded once each."""

    def __missing__(self, value: Any) -> Duration:
        decoded = self[value] = decode_duration(value)
        return decoded
