"""Many answers -> one truth and a list of disagreements (SPEC 4). Pure.

One channel's day over all instances asked becomes a :class:`ChannelDay`: the program to show, who holds it, who holds
something else and how that differs, and which file which instance lacks. Presence on an instance that did not answer
is unknown, never missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time, tzinfo
from typing import TypeAlias

from dvbboxes.aggregate.difference import Change, counted, edits
from dvbboxes.model import Answer, Config, Duration, DurationKind, Gathered, Instance, Schedule, Setting, Slot
from dvbboxes.schedule import choose, cut, rank, window


@dataclass(frozen=True, slots=True)
class Holding:
    """What one instance says: its programs by (day, service id), and of the files it was asked about, by name."""

    programs: Mapping[tuple[date, str], Schedule]
    media: Mapping[str, Duration]


@dataclass(frozen=True, slots=True)
class Variant:
    """A program other than the one shown, and the instances (fqdns) that hold it; ``files`` 0: nothing scheduled.

    ``last_start`` is in Unix seconds; ``shown_for`` are the towns of the block that shows this very program.
    """

    instances: tuple[str, ...]
    files: int
    last_start: float | None
    change: Change
    shown_for: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TownVoice:
    """One town's part: fqdns that hold the program shown, that hold another, that did not answer."""

    town: str
    agree: tuple[str, ...]
    differ: tuple[str, ...]
    silent: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One entry of the program shown. Times in Unix seconds, lengths in seconds; None where not known.

    ``end`` is the next start, or start + duration for the last entry. ``duration`` is the largest known on any
    instance. ``absent`` are the fqdns whose disks lack the file, ``holders`` those that have it; an instance in neither
    is unknown.
    """

    index: int
    media: str
    start: float
    end: float | None
    duration: float | None
    absent: tuple[str, ...]
    holders: tuple[str, ...]

    @property
    def length(self) -> float | None:
        """Seconds from start to end."""
        return None if self.end is None else self.end - self.start


@dataclass(frozen=True, slots=True)
class Block:
    """One program and the towns it stands for. ``rows`` empty: nothing is scheduled there.

    ``holders`` is how many instances hold it, ``rivals`` how many hold the most-held other program, over all asked.
    """

    towns: tuple[TownVoice, ...]
    rows: tuple[Row, ...]
    variants: tuple[Variant, ...]
    holders: int
    rivals: int

    @property
    def outvoted(self) -> bool:
        """Return whether more instances hold another program than hold this one (SPEC 4: the first line says so)."""
        return self.rivals > self.holders


@dataclass(frozen=True, slots=True)
class ChannelDay:
    """One channel's broadcast day over the instances asked; ``window`` is (start, end) in Unix seconds."""

    service_id: str
    name: str
    day: date
    window: tuple[float, float]
    blocks: tuple[Block, ...]
    corrupt: Mapping[str, tuple[str, ...]]

    @property
    def differs(self) -> bool:
        """Return whether instances of one block hold different programs."""
        return any(block.variants for block in self.blocks)

    @property
    def scheduled(self) -> bool:
        """Return whether any instance holds a program."""
        return any(block.rows for block in self.blocks)


@dataclass(frozen=True, slots=True)
class Span:
    """What part of the day is wanted: the moment to cut at and where to stop, Unix seconds (SPEC 4; None: the day)."""

    since: float | None = None
    until: float | None = None


_Said: TypeAlias = tuple[tuple[int, str, float], ...]


@dataclass(frozen=True, slots=True)
class _Voice:
    """One instance's program after the cut; ``said`` is what makes two programs the same: position, file, start."""

    instance: Instance
    slots: tuple[Slot, ...]
    said: _Said


def channel_day(
    config: Config, gathered: Gathered[Holding], day: date, service_id: str, span: Span | None = None
) -> ChannelDay:
    """Return one channel's day out of all answers (SPEC 4).

    The program shown first is the one with the most files, among those the one that ends latest, over all towns asked;
    a town where nobody holds it gets a block of its own. ``span`` cuts before the comparison.
    """
    span = span or Span()
    carrying = [answer for answer in gathered.answers if answer.instance.carries(service_id)]
    voices = _voices(carrying, day, service_id, span.since, config.schedule.day_start)
    durations = _durations(carrying)
    return ChannelDay(
        service_id,
        config.channels[service_id],
        day,
        window(day, config.schedule.zone, config.schedule.day_start),
        tuple(_blocks(carrying, voices, durations, span)),
        _corrupt(carrying, day, service_id),
    )


def largest_duration(durations: Iterable[Duration]) -> float | None:
    """Return the duration to count with, in seconds: the largest measured one; None where none is (SPEC 5)."""
    return max((d.seconds for d in durations if d.seconds is not None), default=None)


def _voices(
    answers: Sequence[Answer[Holding]], day: date, service_id: str, since: float | None, day_start: time
) -> list[_Voice]:
    """Return what each instance says, cut; equal answers (decoded once, so one object) are cut once."""
    cuts: dict[tuple[int, tzinfo], tuple[tuple[Slot, ...], _Said]] = {}
    voices = []
    for answer in answers:
        if answer.value is None:
            continue
        program, zone = answer.value.programs[day, service_id], answer.instance.zone
        if (id(program), zone) not in cuts:
            start, end = window(day, zone, day_start)
            slots = cut(program.slots, start if since is None else since, end - start)
            cuts[id(program), zone] = slots, tuple((slot.index, slot.media, slot.start) for slot in slots)
        voices.append(_Voice(answer.instance, *cuts[id(program), zone]))
    return voices


def _durations(answers: Sequence[Answer[Holding]]) -> dict[str, dict[str, Duration]]:
    """Return name -> fqdn -> Duration of the instances that answered."""
    found: dict[str, dict[str, Duration]] = {}
    for answer in answers:
        if answer.value is not None:
            for name, duration in answer.value.media.items():
                found.setdefault(name, {})[answer.instance.fqdn] = duration
    return found


def _corrupt(answers: Sequence[Answer[Holding]], day: date, service_id: str) -> dict[str, tuple[str, ...]]:
    """Return fqdn -> what stands there and cannot be understood: of the program, and of the files it names."""
    values = {answer.instance.fqdn: answer.value for answer in answers if answer.value is not None}
    programs = {id(value.programs[day, service_id]): value.programs[day, service_id] for value in values.values()}
    named = {slot.media for program in programs.values() for slot in program.slots}
    found = {
        fqdn: (*value.programs[day, service_id].corrupt, *_corrupt_durations(value.media, named))
        for fqdn, value in values.items()
    }
    return {fqdn: lines for fqdn, lines in found.items() if lines}


def _corrupt_durations(media: Mapping[str, Duration], named: set[str]) -> Iterable[str]:
    for name, duration in media.items():
        if duration.kind is DurationKind.CORRUPT and name in named:
            yield f"{name} has the duration {duration.text}, which is no number of seconds"


def _blocks(
    answers: Sequence[Answer[Holding]],
    voices: Sequence[_Voice],
    durations: Mapping[str, Mapping[str, Duration]],
    span: Span,
) -> Iterable[Block]:
    """Yield a block for the program chosen over all, then one for the towns where nobody holds it, and so on."""
    silent = [answer.instance for answer in answers if not answer.ok]
    votes = Counter(voice.said for voice in voices if voice.said)
    shares = list(_shares(dict.fromkeys(answer.instance.cluster for answer in answers), voices))
    shown_for = {said: towns for said, _, towns in shares if said}
    for said, slots, towns in shares:
        inside = [voice for voice in voices if voice.instance.cluster in towns]
        yield Block(
            tuple(_town_voice(town, inside, silent, said) for town in towns),
            tuple(_rows(slots, durations, span)),
            tuple(_variants(inside, said, slots, shown_for)),
            votes[said] if said else sum(not voice.said for voice in inside),
            max((number for other, number in votes.items() if other != said), default=0) if said else 0,
        )


def _shares(
    towns: Iterable[str], voices: Sequence[_Voice]
) -> Iterable[tuple[_Said, tuple[Slot, ...], tuple[str, ...]]]:
    """Yield each program to show with the towns it stands for, the choice over all towns first (SPEC 4)."""
    left = list(towns)
    while left:
        candidates = [voice for voice in voices if voice.instance.cluster in left]
        best = choose([voice.slots for voice in candidates])
        if best is None:
            yield (), (), tuple(left)
            return
        said = candidates[best].said
        held_in = {voice.instance.cluster for voice in candidates if voice.said == said}
        yield said, candidates[best].slots, tuple(town for town in left if town in held_in)
        left = [town for town in left if town not in held_in]


def _town_voice(town: str, voices: Sequence[_Voice], silent: Sequence[Instance], said: _Said) -> TownVoice:
    ours = [voice for voice in voices if voice.instance.cluster == town]
    return TownVoice(
        town,
        tuple(voice.instance.fqdn for voice in ours if voice.said == said),
        tuple(voice.instance.fqdn for voice in ours if voice.said != said),
        tuple(instance.fqdn for instance in silent if instance.cluster == town),
    )


def _variants(
    voices: Sequence[_Voice], said: _Said, base: Sequence[Slot], shown_for: Mapping[_Said, tuple[str, ...]]
) -> Iterable[Variant]:
    groups: dict[_Said, list[_Voice]] = {}
    for voice in voices:
        if voice.said != said:
            groups.setdefault(voice.said, []).append(voice)
    for other, group in groups.items():
        slots = group[0].slots
        yield Variant(
            tuple(voice.instance.fqdn for voice in group),
            len(slots),
            rank(slots)[1] if slots else None,
            counted(edits(base, slots)),
            shown_for.get(other, ()),
        )


def _rows(slots: Sequence[Slot], durations: Mapping[str, Mapping[str, Duration]], span: Span) -> Iterable[Row]:
    for position, slot in enumerate(slots):
        if span.until is not None and slot.start >= span.until:
            continue
        said = durations.get(slot.media, {})
        duration = largest_duration(said.values())
        if position + 1 < len(slots):
            end: float | None = slots[position + 1].start
        else:
            end = None if duration is None else slot.start + duration
        yield Row(
            slot.index,
            slot.media,
            slot.start,
            end,
            duration,
            tuple(fqdn for fqdn, d in said.items() if d.kind is DurationKind.ABSENT),
            tuple(fqdn for fqdn, d in said.items() if d.kind is not DurationKind.ABSENT),
        )


# --- results --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Programs:
    """The result of ``program show``: channel days in the order asked for. ``now`` is Unix seconds.

    ``on_air`` is the broadcast day on air; ``tolerance`` the seconds by which lengths may differ without a word.
    """

    channels: tuple[ChannelDay, ...]
    zone: tzinfo
    now: float
    on_air: date
    tolerance: float
    span: Span


@dataclass(frozen=True, slots=True)
class ConfigChecked:
    """The result of ``config check`` on a file without mistakes: its path and how much it names."""

    path: str
    towns: int
    instances: int
    channels: int


@dataclass(frozen=True, slots=True)
class ConfigShown:
    """The result of ``config show``: every setting in force."""

    path: str
    settings: tuple[Setting, ...]


@dataclass(frozen=True, slots=True)
class DemoShown:
    """The result of the ``demo`` commands; ``servers`` are (town, fqdn, replica port, master port, alive)."""

    name: str
    state: str
    config_path: str = ""
    servers: tuple[tuple[str, str, int, int, bool], ...] = ()
