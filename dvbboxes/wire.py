"""Redis keys, members and values <-> model (SPEC 2). Pure: bytes in, values out, nothing is executed or believed.

What cannot be understood becomes a sentence in ``Schedule.corrupt`` or a ``Duration`` of kind CORRUPT; it never
raises and never hides the rest.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import repeat
from operator import ne
from typing import Any, TypeAlias

from dvbboxes.model import Duration, DurationKind, Entry, Schedule, Slot, Stored

#: db 0 holds programs, db 1 the files' durations.
PROGRAMS, MEDIA = 0, 1

Arg: TypeAlias = str | bytes | int | float
Command: TypeAlias = tuple[int, tuple[Arg, ...]]

_DAY = re.compile(r"[0-9]{8}\Z")
_PROGRAM_KEY = re.compile(rb"([0-9]{8}):([^:]+)\Z")
_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?\Z")
#: Ordinary durations, one a line.
_NUMBERS = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,15})?\n)+\Z")
#: What dvbbox writes where it could not measure a file.
_SENTINEL = 3.14
_NAME = re.compile(r"[0-9a-z_]+\Z")
#: A member with nothing odd about it, one a line.
_ORDINARY = re.compile(r"([^\n]*/)([^/\n]+):(0|[1-9][0-9]{0,8})\n")
_GLOB = re.compile(r"([*?\[\]\\^-])")
#: A start further than this from its day is no start of that day (the longest listing is 31 days).
_DRIFT = timedelta(days=32).total_seconds()
_SHOWN = 60


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """Commands for one round trip, each with the database it is meant for: ``((db, (name, *args)), ...)``.

    Compared by identity: build one and give it to every instance, and it is packed once. ``tolerant``: an error reply
    of whatever kind is the talk's business; otherwise one that speaks of the server (NOPERM, ...) ends the talk.
    ``alike``: many instances will mostly say the same: an equal reply is recognised before it is parsed, and is the
    same object, which nobody may change.
    """

    commands: tuple[Command, ...]
    tolerant: bool = False
    alike: bool = False


# --- names ----------------------------------------------------------------------------------------------------------


def day_text(day: date) -> str:
    """Return the ``ddmmyyyy`` of a day, as keys have it."""
    return f"{day.day:02d}{day.month:02d}{day.year:04d}"


def parse_day_text(text: str) -> date | None:
    """Return the date that ``ddmmyyyy`` means; None unless it is eight ASCII digits and a real date."""
    if not _DAY.match(text):
        return None
    try:
        return date(int(text[4:]), int(text[2:4]), int(text[:2]))
    except ValueError:
        return None


def program_key(day: date, service_id: str) -> str:
    """Return the db 0 key of one channel's day, ``15062017:85``."""
    return f"{day_text(day)}:{service_id}"


def parse_program_key(key: bytes) -> tuple[date, str] | None:
    """Return (day, service id) of a db 0 key, None for a key that is no program's."""
    found = _PROGRAM_KEY.match(key)
    if not found:
        return None
    day = parse_day_text(found.group(1).decode("ascii"))
    return None if day is None else (day, text(found.group(2)))


def is_media_name(name: str) -> bool:
    """Return whether ``name`` (without ``.ts``) follows the rule ``[0-9a-z_]+``."""
    return bool(_NAME.match(name))


def media_file(name: str) -> str:
    """Return the file name for a media name: ``.ts`` is appended if absent."""
    return name if name.endswith(".ts") else f"{name}.ts"


def stem(media: str) -> str:
    """Return a file's name without its ``.ts``."""
    return media.removesuffix(".ts")


def member(slot: Slot) -> str:
    """Return the sorted-set member of a slot, ``/path/name.ts:index``, byte for byte as it was read."""
    return f"{slot.path}{slot.media}:{slot.index}"


def encode(value: str) -> bytes:
    """Return the bytes of a decoded member or key; what was no UTF-8 comes back as it was."""
    return value.encode("utf-8", "surrogateescape")


def text(value: bytes) -> str:
    """Return bytes as text, losing nothing: :func:`encode` gives the same bytes back."""
    return value.decode("utf-8", "surrogateescape")


def escape_glob(literal: str) -> str:
    """Return a Redis glob that matches ``literal`` and nothing else."""
    return _GLOB.sub(r"\\\1", literal)


# --- programs -------------------------------------------------------------------------------------------------------


def program_request(keys: Iterable[tuple[date, str]]) -> Request:
    """Return the request for whole programs, one reply per (day, service id): members with scores, by score."""
    return Request(tuple((PROGRAMS, ("ZRANGE", program_key(day, sid), 0, -1, "WITHSCORES")) for day, sid in keys))


def decode_program(day: date, service_id: str, reply: object) -> Schedule:
    """Return the program in a ``ZRANGE ... WITHSCORES`` reply, ordered by index (SPEC 2).

    Whatever in it is no entry (no index, a score that is no date near the day, a key of another type) is described
    in ``corrupt``.
    """
    if not isinstance(reply, list):
        return Schedule(day, service_id, (), (f"{program_key(day, service_id)} is no program: {shown(reply)}",))
    noon = _noon(day)
    slots: list[Slot] = []
    corrupt: list[str] = []
    for raw, score in zip(reply[::2], reply[1::2], strict=False):
        slot = _slot(raw, score, noon)
        if isinstance(slot, Slot):
            slots.append(slot)
        else:
            corrupt.append(slot)
    slots.sort(key=lambda slot: (slot.index, slot.start))
    return Schedule(day, service_id, tuple(slots), tuple(corrupt))


class ProgramDecoder:
    """Decodes many replies about one (day, service id) as :func:`decode_program` does; what they share only once.

    The file names in them are keys of ``names``, in the order in which they were met.
    """

    def __init__(self, day: date, service_id: str, names: dict[str, None]) -> None:
        self._day, self._service_id = day, service_id
        self._names = names
        self._noon = _noon(day)
        #: By their first member: one that begins like another mostly goes on like it.
        self._known: dict[bytes, tuple[list[Any], list[Slot]]] = {}

    def __call__(self, reply: object) -> Schedule:
        """Return the program in a ``ZRANGE ... WITHSCORES`` reply."""
        if not (isinstance(reply, list) and reply and isinstance(reply[0], bytes)):
            return decode_program(self._day, self._service_id, reply)
        known = self._known.get(reply[0])
        slots = self._like(*known, reply) if known is not None else None
        if slots is None:
            slots = _plain(reply, self._noon)
            if slots is None:
                return self._odd(reply)
            self._known[reply[0]] = reply, slots
            self._note(slots)
        return Schedule(self._day, self._service_id, _in_order(slots))

    def _like(self, known: list[Any], slots: list[Slot], reply: list[Any]) -> list[Slot] | None:
        """Return the slots of a reply that differs little from a known one; None where it differs in more."""
        apart = differences(known, reply)
        if apart is None or len(apart) > _FEW:
            return None
        slots = slots.copy()
        for n in {position // 2 for position in apart}:
            found = _slot(reply[2 * n], reply[2 * n + 1], self._noon)
            if isinstance(found, str):
                return None
            slots[n] = found
            self._names[found.media] = None
        return slots

    def _odd(self, reply: list[Any]) -> Schedule:
        program = decode_program(self._day, self._service_id, reply)
        self._note(program.slots)
        return program

    def _note(self, slots: Sequence[Slot]) -> None:
        self._names.update(dict.fromkeys([slot.media for slot in slots]))


#: So many values apart, a reply is dearer to patch than to decode.
_FEW = 16


def differences(one: Sequence[object], other: Sequence[object]) -> list[int] | None:
    """Return the positions at which two replies of the same length differ; None for others."""
    if len(one) != len(other):
        return None
    return [n for n, apart in enumerate(map(ne, one, other)) if apart]


def _plain(reply: list[object], noon: float) -> list[Slot] | None:
    """Return the slots of a reply in one go where every entry in it is an ordinary one; None where any is not."""
    members, scores = reply[::2], reply[1::2]
    try:
        lines = b"\n".join(members).decode("ascii")  # type: ignore[arg-type]  # TypeError where one is no bytes
        starts = list(map(float, scores))  # type: ignore[arg-type]  # so here
    except (TypeError, ValueError):
        return None
    if len(starts) != len(members) or lines.count("\n") != len(members) - 1:
        return None
    if not (math.isfinite(sum(starts)) and noon - _DRIFT < min(starts) and max(starts) < noon + _DRIFT):
        return None
    return _in_one_folder(lines, starts) or _ordinary(lines, starts)


def _in_one_folder(lines: str, starts: list[float]) -> list[Slot] | None:
    """Return the slots of members, one a line, as good as all programs are: one folder, indexes from 0 in order."""
    folder = lines[: lines.rfind("/", 0, lines.find("\n")) + 1]
    names = lines.removeprefix(folder).split(f"\n{folder}")
    if len(names) != len(starts) or len(names) > len(_INDEXES) or "/" in "".join(names):
        return None
    media, _, indexes = zip(*[name.rpartition(":") for name in names], strict=True)
    if indexes != _INDEXES[: len(names)] or not (folder and all(media)):
        return None
    return list(map(Slot._make, zip(range(len(names)), media, repeat(folder), starts, strict=False)))


#: The indexes of all but the longest programs.
_INDEXES = tuple(map(str, range(256)))


def _ordinary(lines: str, starts: list[float]) -> list[Slot] | None:
    """Return the slots of members, one a line, where each is an ordinary one."""
    found = _ORDINARY.findall(f"{lines}\n")
    if len(found) != len(starts):
        return None
    folders, media, indexes = zip(*found, strict=True)
    return list(map(Slot._make, zip(map(int, indexes), media, folders, starts, strict=True)))


def _in_order(slots: Sequence[Slot]) -> tuple[Slot, ...]:
    indexes = [slot.index for slot in slots]
    if indexes == list(range(len(indexes))):  # as good as always
        return tuple(slots)
    return tuple(sorted(slots, key=_by_index))


def _by_index(slot: Slot) -> tuple[int, float]:
    return slot.index, slot.start


def _slot(raw: object, score: object, noon: float) -> Slot | str:
    if not isinstance(raw, bytes) or not isinstance(score, bytes):
        return f"entry {shown(raw)} is no member with a score"
    parts = _parts(text(raw))
    if parts is None:
        return f"entry {shown(raw)} has no index"
    try:
        start = float(score)
    except ValueError:
        start = math.nan
    if not abs(start - noon) < _DRIFT:  # false for nan too
        return f"entry {shown(raw)} starts at {shown(score)}, which is no time of that day"
    return Slot(*parts, start)


def _parts(name: str) -> tuple[int, str, str] | None:
    """Return (index, media, folder) of a member; None for what is none, or would not be written the same again."""
    name, _, index = name.rpartition(":")
    folder, slash, media = name.rpartition("/")
    if not (media and index.isascii() and index.isdigit() and len(index) < 10) or str(int(index)) != index:
        return None
    return int(index), media, folder + slash


def decode_stored(reply: object) -> Stored | None:
    """Return a program exactly as held, from a ``ZRANGE ... WITHSCORES`` reply: the same bytes can be written back.

    None for a key that holds something else. Nothing is left out: what is no entry is carried along.
    """
    if not isinstance(reply, list):
        return None
    entries = [Entry(text(raw), float(score)) for raw, score in zip(reply[::2], reply[1::2], strict=True)]
    return tuple(entries)  # Redis orders by (score, member), and so does Stored


def slots_of(stored: Stored) -> tuple[Slot, ...]:
    """Return the entries of a stored program that are slots, ordered by index; what is none is left out."""
    parts = [(_parts(entry.member), entry.start) for entry in stored]
    slots = [Slot(*found, start) for found, start in parts if found is not None]
    return tuple(sorted(slots, key=lambda slot: (slot.index, slot.start)))


def write_commands(day: date, service_id: str, stored: Stored) -> tuple[Command, ...]:
    """Return what replaces one program: DEL, and one ZADD of all members; an empty one is only deleted."""
    key = program_key(day, service_id)
    delete: Command = (PROGRAMS, ("DEL", key))
    if not stored:
        return (delete,)
    pairs: list[Arg] = []
    for entry in stored:
        pairs += (repr(entry.start), encode(entry.member))
    return delete, (PROGRAMS, ("ZADD", key, *pairs))


def _noon(day: date) -> float:
    """Return noon UTC of a day: the middle of what its starts can be in any zone."""
    return (day - date(1970, 1, 1)).days * 86400.0 + 43200.0


def shown(value: object) -> str:
    """Return a value from outside as one short printable line."""
    line = _quoted(value) if isinstance(value, bytes) else ascii(str(value))
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 3]}..."


def _quoted(value: bytes) -> str:
    try:
        return ascii(value.decode("utf-8"))
    except UnicodeDecodeError:
        return ascii(value)[1:]  # without the b of a Python literal


# --- media ----------------------------------------------------------------------------------------------------------

ABSENT = Duration(DurationKind.ABSENT)
#: Looking a member up in its enum costs as much as reading the number.
_MEASURED, _UNMEASURED, _CORRUPT = DurationKind.MEASURED, DurationKind.UNMEASURED, DurationKind.CORRUPT


def duration_request(media: Sequence[str]) -> Request:
    """Return the request for the durations of files (names with ``.ts``): one reply, a list in the same order."""
    return Request(((MEDIA, ("MGET", *(encode(name) for name in media))),))


def decode_duration(value: object) -> Duration:
    """Return what a db 1 value says: a finite number >= 0 is a duration in seconds, 3.14 dvbbox's sentinel."""
    if value is None:
        return ABSENT
    if not isinstance(value, bytes):
        return Duration(_CORRUPT, None, shown(value))
    raw = value.decode("utf-8", "replace")
    seconds = float(raw) if _NUMBER.match(raw) and len(raw) < 40 else math.inf
    if not math.isfinite(seconds):
        return Duration(_CORRUPT, None, shown(value))
    if seconds == _SENTINEL:
        return Duration(_UNMEASURED, None, raw)
    return Duration(_MEASURED, seconds, raw)


def plain_durations(values: Sequence[bytes]) -> list[Duration] | None:
    """Return what many values say in one go where every one of them is an ordinary number; None where any is not."""
    try:
        lines = b"\n".join(values).decode("ascii")
    except UnicodeDecodeError:
        return None
    if not _NUMBERS.match(f"{lines}\n") or lines.count("\n") != len(values) - 1:
        return None
    texts = lines.split("\n")
    seconds = list(map(float, texts))
    if _SENTINEL in seconds:
        return None
    return list(map(Duration._make, zip(repeat(_MEASURED), seconds, texts, strict=False)))


def decode_durations(reply: object, count: int) -> tuple[Duration, ...]:
    """Return the durations in an ``MGET`` reply of ``count`` names; a reply of another shape is CORRUPT throughout."""
    if not isinstance(reply, list) or len(reply) != count:
        return (Duration(_CORRUPT, None, shown(reply)),) * count
    return tuple(decode_duration(value) for value in reply)


def containing(expression: str) -> bytes:
    """Return the glob for names that contain ``expression``, whose own globs stay live (SPEC 7).

    A backslash at its end would escape the star that follows: it is taken for itself.
    """
    dangling = (len(expression) - len(expression.rstrip("\\"))) % 2
    return encode("*" + expression + "\\" * dangling + "*")
