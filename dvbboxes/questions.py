"""What a fleet of replicas can be asked: each question is one gather, and none of them writes (SPEC 8.9).

Equal replies are decoded once, and one request serves all instances wherever it can: it is packed once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date
from typing import Any, Generic, TypeAlias, TypeVar

from dvbboxes.aggregate import Holding
from dvbboxes.aggregate.calendar import Shelf, Tail, last_of_run
from dvbboxes.fleet import RENDEZVOUS, Fleet, Talk
from dvbboxes.model import Duration, DurationKind, Gathered, Instance, Schedule
from dvbboxes.wire import (
    MEDIA,
    PROGRAMS,
    Request,
    containing,
    decode_duration,
    decode_durations,
    decode_program,
    duration_request,
    encode,
    escape_glob,
    media_file,
    parse_program_key,
    program_key,
    program_request,
    text,
)

T = TypeVar("T")

#: One airing of a file as an instance holds it: (service id, day, index, start in Unix seconds).
FoundAiring: TypeAlias = tuple[str, date, int, float]

#: Names of one MGET of a long list: enough to be quick, few enough that nobody's memory holds the whole of it.
_CHUNK = 5_000
#: Every entry of a program in one ZSCAN: no program is this long.
_ALL = 1_000_000
_ALL_PROGRAMS = Request(((PROGRAMS, ("KEYS", "*")),))
#: No question, only whether there is anybody: who was not asked has not answered (SPEC 8.3).
_ANYBODY = Request(((PROGRAMS, ("DBSIZE",)),))


class _Once(Generic[T]):
    """Decodes equal replies once; instances of one town mostly say the same bytes."""

    def __init__(self, decode: Callable[[Any], T]) -> None:
        self._decode = decode
        self._known: list[tuple[Any, T]] = []

    def __call__(self, reply: Any) -> T:
        for known, value in self._known:
            if known is reply or known == reply:  # one that was said to be alike is the very same
                return value
        value = self._decode(reply)
        self._known.append((reply, value))
        return value


class _OnceInAnyOrder:
    """Makes a set of each list of names, and the same one of lists that hold the same names (KEYS has no order)."""

    def __init__(self) -> None:
        self._known: list[frozenset[bytes]] = []

    def __call__(self, names: Any) -> frozenset[bytes]:
        if not isinstance(names, list):
            return frozenset()
        for known in reversed(self._known):  # neighbours hold the same, as a rule
            # No name stands in a reply twice; and this stops at the first that is strange.
            if len(known) == len(names) and known.issuperset(names):
                return known
        self._known.append(frozenset(names))
        return self._known[-1]


def programs(
    fleet: Fleet, instances: Sequence[Instance], deadline: float, keys: Sequence[tuple[date, str]]
) -> Gathered[Mapping[tuple[date, str], Schedule]]:
    """Return the programs each instance holds under (day, service id) keys; one it does not hold is empty."""
    request = program_request(keys)
    decoders = [_Once(_program_of(key)) for key in keys]

    def talk(instance: Instance) -> Talk[Mapping[tuple[date, str], Schedule]]:
        replies = yield request
        return {key: decode(reply) for key, decode, reply in zip(keys, decoders, replies, strict=True)}

    return fleet.gather(instances, talk, deadline)


def _program_of(key: tuple[date, str]) -> Callable[[Any], Schedule]:
    return lambda reply: decode_program(*key, reply)


def hold(
    fleet: Fleet, instances: Sequence[Instance], deadline: float, keys: Sequence[tuple[date, str]]
) -> Gathered[Holding]:
    """Return what each instance holds under (day, service id) keys, and says of every file that anyone names there."""
    request = program_request(keys)
    board = _Board(keys)

    def talk(instance: Instance) -> Talk[Holding]:
        replies = yield request
        held = board.programs(replies)
        yield RENDEZVOUS  # by then all names are on the board
        if not board.names:
            return Holding(held, {})
        wanted, decode = board.media()
        (reply,) = yield wanted
        return Holding(held, decode(reply))

    return fleet.gather(instances, talk, deadline)


class _Board:
    """What the talks of one gather share: programs decoded once, and the names of all files in them."""

    def __init__(self, keys: Sequence[tuple[date, str]]) -> None:
        self._keys = keys
        self._decoders = [_Once(_program_of(key)) for key in keys]
        self.names: dict[str, None] = {}
        self._named: set[int] = set()
        self._media: tuple[int, Request, _Once[Mapping[str, Duration]]] | None = None

    def programs(self, replies: Sequence[Any]) -> dict[tuple[date, str], Schedule]:
        held = {key: once(reply) for key, once, reply in zip(self._keys, self._decoders, replies, strict=True)}
        for program in held.values():
            if id(program) not in self._named:
                self._named.add(id(program))
                self.names.update((slot.media, None) for slot in program.slots)
        return held

    def media(self) -> tuple[Request, _Once[Mapping[str, Duration]]]:
        """Return the request for all names known by now and what decodes its reply: one for all until one more name."""
        if self._media is None or self._media[0] != len(self.names):
            self._media = (len(self.names), *_media(tuple(self.names)))
        return self._media[1:]


def _media(names: Sequence[str]) -> tuple[Request, _Once[Mapping[str, Duration]]]:
    def decode(reply: Any) -> Mapping[str, Duration]:
        return dict(zip(names, decode_durations(reply, len(names)), strict=True))

    return duration_request(names), _Once(decode)


def search(fleet: Fleet, instances: Sequence[Instance], deadline: float, expression: str) -> Gathered[frozenset[str]]:
    """Return the file names (with ``.ts``) on each instance that contain ``expression`` (SPEC 7).

    ``*``, ``?`` and ``[...]`` are live globs, the empty expression is everything; case matters.
    """
    # DBSIZE shows that the replica holds something where nothing is found: that spares a question of its own.
    request = Request(((MEDIA, ("KEYS", containing(expression))), (MEDIA, ("DBSIZE",))))
    once = _OnceInAnyOrder()

    def talk(instance: Instance) -> Talk[frozenset[bytes]]:
        names, _ = yield request
        return once(names)

    found = fleet.gather(instances, talk, deadline)
    different = set(found.values().values())
    texts = {name: text(name) for name in frozenset[bytes]().union(*different) if name.endswith(b".ts")}
    files = {names: frozenset(texts[name] for name in names if name in texts) for names in different}
    return found.map(lambda _, names: files[names])


def durations(
    fleet: Fleet, instances: Sequence[Instance], deadline: float, media: Sequence[str]
) -> Gathered[Mapping[str, Duration]]:
    """Return what each instance says of many files, by name (with ``.ts``)."""
    request, decode = _media(media)

    def talk(instance: Instance) -> Talk[Mapping[str, Duration]]:
        if not media:
            yield _ANYBODY
            return {}
        (reply,) = yield request
        return decode(reply)

    return fleet.gather(instances, talk, deadline)


def lacking(
    fleet: Fleet, instances: Sequence[Instance], deadline: float, media: Sequence[str]
) -> Gathered[frozenset[str]]:
    """Return which of many files (names with ``.ts``) each instance lacks; a hundred thousand names are fine."""
    chunks = [media[n : n + _CHUNK] for n in range(0, len(media), _CHUNK)]
    requests = [duration_request(chunk) for chunk in chunks]
    decoders = [_Once(_absent_of(chunk)) for chunk in chunks]

    def talk(instance: Instance) -> Talk[frozenset[str]]:
        absent: set[str] = set()
        if not requests:
            yield _ANYBODY
        for request, decode in zip(requests, decoders, strict=True):
            (reply,) = yield request
            absent |= decode(reply)
        return frozenset(absent)

    return fleet.gather(instances, talk, deadline)


def _absent_of(names: Sequence[str]) -> Callable[[Any], frozenset[str]]:
    def decode(reply: Any) -> frozenset[str]:
        found = zip(names, decode_durations(reply, len(names)), strict=True)
        return frozenset(name for name, duration in found if duration.kind is DurationKind.ABSENT)

    return decode


def file_facts(
    fleet: Fleet, instances: Sequence[Instance], deadline: float, media: str
) -> Gathered[tuple[Duration, tuple[FoundAiring, ...]]]:
    """Return what each instance says of one file: its duration, and every airing, past and to come.

    The programs are scanned where they are (ZSCAN MATCH, the name's own globs escaped, the name whole): only the
    entries that matched travel.
    """
    name = media_file(media)
    first = Request((*_ALL_PROGRAMS.commands, (MEDIA, ("GET", encode(name)))))
    scans = _Scans(encode(f"*{escape_glob(name)}:*"))

    def talk(instance: Instance) -> Talk[tuple[Duration, tuple[FoundAiring, ...]]]:
        keys, value = yield first
        programs, request = scans.of(keys)
        if not programs:
            return decode_duration(value), ()
        replies = yield request
        found: list[FoundAiring] = []
        for (day, service_id), reply in zip(programs, replies, strict=True):
            entries = reply[1] if isinstance(reply, list) and len(reply) == 2 else None
            if entries:  # most programs have none
                slots = decode_program(day, service_id, entries).slots
                found += [(service_id, day, slot.index, slot.start) for slot in slots if slot.media == name]
        return decode_duration(value), tuple(found)

    return fleet.gather(instances, talk, deadline)


class _Scans:
    """The scan of a set of programs, built once for all instances that hold the same programs."""

    def __init__(self, pattern: bytes) -> None:
        self._pattern = pattern
        self._known: dict[frozenset[bytes], tuple[tuple[tuple[date, str], ...], Request]] = {}

    def of(self, keys: Any) -> tuple[tuple[tuple[date, str], ...], Request]:
        held = frozenset(keys) if isinstance(keys, list) else frozenset()
        if held not in self._known:
            programs = [(found, key) for key in held if (found := parse_program_key(key))]
            commands = tuple(
                (PROGRAMS, ("ZSCAN", key, 0, "MATCH", self._pattern, "COUNT", _ALL)) for _, key in programs
            )
            self._known[held] = tuple(found for found, _ in programs), Request(commands)
        return self._known[held]


def shelves(
    fleet: Fleet, instances: Sequence[Instance], deadline: float, service_ids: Collection[str], on_air: date
) -> Gathered[Shelf]:
    """Return what programs each instance holds and, for ``service_ids``, how the last day before a gap ends.

    KEYS is for replicas alone, and the fastest listing of names there (DESIGN).
    """

    def talk(instance: Instance) -> Talk[Shelf]:
        (keys,) = yield _ALL_PROGRAMS
        parsed = [parse_program_key(key) for key in keys] if isinstance(keys, list) else []
        programs = frozenset(found for found in parsed if found is not None)
        last: dict[str, date] = {}
        for sid in service_ids:
            day = last_of_run({day for day, held in programs if held == sid}, on_air)
            if day is not None:
                last[sid] = day
        tails: dict[str, Tail] = {}
        if last:
            tails = yield from _tails(last)
        return Shelf(programs, len(parsed) - len(programs), tails)

    return fleet.gather(instances, talk, deadline)


def _tails(last: Mapping[str, date]) -> Talk[dict[str, Tail]]:
    """Return the last entry of each channel's program on its day."""
    replies = yield Request(
        tuple((PROGRAMS, ("ZRANGE", program_key(day, sid), -1, -1, "WITHSCORES")) for sid, day in last.items())
    )
    slots = {
        sid: program.slots[-1]
        for (sid, day), reply in zip(last.items(), replies, strict=True)
        if (program := decode_program(day, sid, reply)).slots
    }
    if not slots:
        return {}
    (reply,) = yield duration_request([slot.media for slot in slots.values()])
    lengths = decode_durations(reply, len(slots))
    return {sid: Tail(slot.start, slot.media, d.seconds) for (sid, slot), d in zip(slots.items(), lengths, strict=True)}
