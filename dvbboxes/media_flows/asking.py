"""What a fleet of replicas is asked about all its files: each question is one gather, and none of them writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from dvbboxes.fleet import Fleet, Talk
from dvbboxes.library.stock import Stock
from dvbboxes.model import Duration, DurationKind, Gathered, Instance
from dvbboxes.wire import (
    MEDIA,
    PROGRAMS,
    Request,
    decode_durations,
    decode_program,
    duration_request,
    parse_program_key,
    program_request,
    text,
)

#: Names of one MGET: enough to be quick, few enough that nobody's memory holds the whole of it.
_CHUNK = 2_000
_ALL_MEDIA = Request(((MEDIA, ("KEYS", "*.ts")), (MEDIA, ("DBSIZE",))))
#: Every key of both databases: KEYS is for replicas alone, and the fastest listing of names there (DESIGN).
_EVERYTHING = Request(((MEDIA, ("KEYS", "*.ts")), (PROGRAMS, ("KEYS", "*"))))


def libraries(fleet: Fleet, instances: Sequence[Instance], deadline: float) -> Gathered[Mapping[str, Duration]]:
    """Return every file (name with ``.ts``) of each instance and what it says of it; ``deadline`` in seconds."""
    shelves = _Shelves()

    def talk(instance: Instance) -> Talk[Mapping[str, Duration]]:
        names, _ = yield _ALL_MEDIA
        return (yield from shelves.media(names))

    return fleet.gather(instances, talk, deadline)


def stocks(fleet: Fleet, instances: Sequence[Instance], deadline: float) -> Gathered[Stock]:
    """Return every file of each instance, and the last day on which any of its programs, past ones too, names one."""
    shelves = _Shelves()

    def talk(instance: Instance) -> Talk[Stock]:
        names, keys = yield _EVERYTHING
        media = yield from shelves.media(names)
        last = yield from shelves.last(keys)
        return Stock(media, last)

    return fleet.gather(instances, talk, deadline)


class _Shelves:
    """What the talks of one gather share: the same names are asked for by one request, equal replies decoded once."""

    def __init__(self) -> None:
        self._names: dict[frozenset[bytes], tuple[tuple[str, ...], tuple[Request, ...]]] = {}
        self._media: dict[tuple[tuple[str, ...], tuple[int, ...]], tuple[Any, Mapping[str, Duration]]] = {}
        self._keys: dict[frozenset[bytes], tuple[tuple[tuple[date, str], ...], Request]] = {}
        self._programs: dict[int, tuple[Any, frozenset[str]]] = {}
        self._last: dict[tuple[int, ...], Mapping[str, date]] = {}

    def media(self, found: Any) -> Talk[Mapping[str, Duration]]:
        """Ask what an instance says of the files it has."""
        held = frozenset(found) if isinstance(found, list) else frozenset()
        if held not in self._names:
            names = tuple(sorted(text(name) for name in held))
            chunks = [names[n : n + _CHUNK] for n in range(0, len(names), _CHUNK)]
            asking = (Request(duration_request(chunk).commands, alike=True) for chunk in chunks)
            self._names[held] = names, tuple(asking)
        names, requests = self._names[held]
        replies: list[Any] = []
        for request in requests:
            replies += yield request
        key = (names, tuple(map(id, replies)))
        if key not in self._media:
            pairs: dict[str, Duration] = {}
            for number, reply in enumerate(replies):
                chunk = names[number * _CHUNK : (number + 1) * _CHUNK]
                pairs.update(zip(chunk, decode_durations(reply, len(chunk)), strict=True))
            # Dropped between the two questions: it is not there. The replies are kept: an id must not be another's.
            there = {name: one for name, one in pairs.items() if one.kind is not DurationKind.ABSENT}
            self._media[key] = replies, there
        return self._media[key][1]

    def last(self, found: Any) -> Talk[Mapping[str, date]]:
        """Ask for all programs of an instance; return the last day on which one names a file."""
        held = frozenset(found) if isinstance(found, list) else frozenset()
        if held not in self._keys:
            keys = tuple(sorted(key for raw in held if (key := parse_program_key(raw)) is not None))
            self._keys[held] = keys, Request(program_request(keys).commands, alike=True)
        keys, request = self._keys[held]
        if not keys:
            return {}
        replies = yield request
        named = tuple(map(id, replies))
        if named not in self._last:
            last: dict[str, date] = {}
            for (day, service_id), reply in zip(keys, replies, strict=True):
                last.update(dict.fromkeys(self._media_of(day, service_id, reply), day))  # the days are in order
            self._last[named] = last
        return self._last[named]

    def _media_of(self, day: date, service_id: str, reply: Any) -> frozenset[str]:
        if id(reply) not in self._programs:
            slots = decode_program(day, service_id, reply).slots
            self._programs[id(reply)] = reply, frozenset(slot.media for slot in slots)
        return self._programs[id(reply)][1]
