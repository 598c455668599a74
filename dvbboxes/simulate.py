"""What a box really plays: the playlist dvbbox makes of a program at launch, by its own rules (SPEC 2). Pure.

At launch, and only then, each entry becomes a track. A file shorter than the time to the next start is repeated, the
last entry is stretched to a minute before the day's end, and so is one whose start the next entry shares. VLC then
plays track after track and knows no clock: what is too long or too short moves all that follows. An entry whose file is
absent (or has no length) is a division by zero: nothing starts at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, tzinfo
from itertools import pairwise

from dvbboxes.aggregate import Holding, largest_duration
from dvbboxes.model import Config, Duration, DurationKind, Gathered, Slot
from dvbboxes.schedule import cut, window

#: dvbbox's sentinel: it calculates with it as if it were the file's length.
SENTINEL = 3.14
#: The last entry is stretched to so many seconds after the day's start: 07:29 the next morning, whatever the clocks do.
STRETCH = 86340.0


@dataclass(frozen=True, slots=True)
class Track:
    """One entry as it is played. Times are Unix seconds; None from where no length is known.

    ``meant`` is when the schedule starts it, ``meant_end`` when it starts the next (or dvbbox stretches it to);
    ``times`` how often it is played in a row, ``length`` how long one of them is.
    """

    index: int
    media: str
    meant: float
    meant_end: float
    start: float | None
    end: float | None
    times: int
    length: float | None

    @property
    def shift(self) -> float | None:
        """By how many seconds it begins later than meant (negative: earlier); what was joined late does not count."""
        return None if self.start is None else self.start - self.meant


@dataclass(frozen=True, slots=True)
class Failure:
    """The entry at which the launch fails, and why."""

    index: int
    media: str
    meant: float
    why: str


@dataclass(frozen=True, slots=True)
class Launch:
    """What one launch makes of a program: its tracks, or the entry at which it fails.

    ``end`` is when VLC has played everything (None: not known, or it does not start).
    """

    at: float
    tracks: tuple[Track, ...]
    failure: Failure | None

    @property
    def end(self) -> float | None:
        """When the last track is over."""
        return self.tracks[-1].end if self.tracks and self.failure is None else None


def counted_with(duration: Duration | None) -> float | None:
    """Return the length dvbbox calculates with, in seconds; 0 for an absent file, None for one it cannot read."""
    if duration is None or duration.kind is DurationKind.ABSENT:
        return 0.0
    return SENTINEL if duration.kind is DurationKind.UNMEASURED else duration.seconds


def ordered(slots: Sequence[Slot]) -> tuple[Slot, ...]:
    """Return a program as dvbbox walks it: by start, equal starts by member, byte for byte (SPEC 2)."""
    if all(one.start < other.start for one, other in pairwise(slots)):
        return tuple(slots)
    return tuple(sorted(slots, key=_place))


def _place(slot: Slot) -> tuple[float, bytes]:
    return slot.start, f"{slot.path}{slot.media}:{slot.index}".encode("utf-8", "surrogateescape")


#: Beyond it a number of repeats says no more than that.
_MOST_TIMES = 1e15


def repeats(interval: float, length: float) -> int:
    """Return how often dvbbox has a file of ``length`` seconds repeated that is given ``interval`` seconds (SPEC 2).

    0: it plays once. Halves are rounded up, as Python 2 does. ``length`` is not 0 unless ``interval`` is no more.
    """
    if length >= interval:
        return 0
    times = min(interval / length, _MOST_TIMES)  # of a length of 1e-310 s it is infinite, and that can stand in db 1
    return max(0, int(times + 0.5) - 1)


def launch(
    slots: Sequence[Slot],
    own: Mapping[str, Duration],
    known: Mapping[str, float],
    day: tuple[float, float],
    at: float | None = None,
) -> Launch:
    """Return what a box plays of a program when it is launched ``at`` a moment (default: the start of the day).

    ``own`` are the durations that the box itself has, by file name: dvbbox calculates with them. ``known`` are the
    lengths known elsewhere (seconds): a file that the box could not measure lasts that long all the same. ``day`` is
    the window (start, end).
    """
    at = day[0] if at is None else at
    kept = ordered(cut(ordered(slots), at, 86400.0))
    tracks: list[Track] = []
    clock: float | None = at
    for number, slot in enumerate(kept):
        meant_end = kept[(number + 1) % len(kept)].start
        if meant_end <= slot.start:
            meant_end = day[0] + STRETCH
        counted = counted_with(own.get(slot.media))
        why = _unplayable(counted, meant_end - slot.start)
        if why or counted is None:
            return Launch(at, tuple(tracks), Failure(slot.index, slot.media, slot.start, why))
        times = 1 + repeats(meant_end - slot.start, counted)
        said = own.get(slot.media)
        length = known.get(slot.media) if said and said.kind is DurationKind.UNMEASURED else counted
        # VLC goes back to where it began, not to the file's beginning, when it repeats.
        offset = max(0.0, at - slot.start) if number == 0 else 0.0
        end = None if clock is None or length is None else clock + times * max(0.0, length - offset)
        meant = max(slot.start, at) if number == 0 else slot.start
        tracks.append(Track(slot.index, slot.media, meant, meant_end, clock, end, times, length))
        clock = end
    return Launch(at, tuple(tracks), None)


def _unplayable(counted: float | None, interval: float) -> str:
    """Return why a launch fails at an entry, empty if it does not."""
    if counted is None:
        return "its duration cannot be read"
    return "the file is absent or has no length: a division by zero" if counted == 0 and interval > 0 else ""


# --- the result of ``program simulate`` -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Box:
    """Instances (fqdns) on which the same launch comes of it. ``scheduled`` False: they hold no program."""

    instances: tuple[str, ...]
    launch: Launch
    scheduled: bool


@dataclass(frozen=True, slots=True)
class Simulated:
    """The result of ``program simulate``: one channel's day; ``boxes`` with the same launch folded, largest first.

    ``joining``: the moment of the launch that was asked for (None: the start of the day). ``tolerance`` in seconds.
    """

    service_id: str
    name: str
    day: date
    window: tuple[float, float]
    boxes: tuple[Box, ...]
    joining: float | None
    zone: tzinfo
    tolerance: float

    @property
    def wrong(self) -> bool:
        """Return whether anything is played otherwise than meant, the last entry's stretching apart."""
        return not self.boxes or any(map(self.box_wrong, self.boxes))

    def box_wrong(self, box: Box) -> bool:
        """Return whether these boxes play it otherwise than meant."""
        tracks = box.launch.tracks
        return (
            not box.scheduled
            or box.launch.failure is not None
            or any(track.times > 1 for track in tracks[:-1])
            or any(track.shift is None or abs(track.shift) > self.tolerance for track in tracks)
        )


def simulated(
    config: Config, gathered: Gathered[Holding], day: date, service_id: str, joining: float | None = None
) -> Simulated:
    """Return what every instance that carries the channel will play on that day if launched at ``joining``."""
    carrying = [answer for answer in gathered.answers if answer.instance.carries(service_id)]
    said: dict[str, list[Duration]] = {}
    for answer in carrying:
        for name, duration in answer.value.media.items() if answer.value else ():
            said.setdefault(name, []).append(duration)
    known = {name: length for name, each in said.items() if (length := largest_duration(each)) is not None}
    found: dict[tuple[Launch, bool], list[str]] = {}
    for answer in carrying:
        if answer.value is not None:
            slots = answer.value.programs[day, service_id].slots
            span = window(day, answer.instance.zone, config.schedule.day_start)
            made = launch(slots, answer.value.media, known, span, joining)
            found.setdefault((made, bool(slots)), []).append(answer.instance.fqdn)
    boxes = [Box(tuple(fqdns), made, scheduled) for (made, scheduled), fqdns in found.items()]
    schedule = config.schedule
    return Simulated(
        service_id,
        config.channels[service_id],
        day,
        window(day, schedule.zone, schedule.day_start),
        tuple(sorted(boxes, key=lambda box: -len(box.instances))),
        joining,
        schedule.zone,
        schedule.tolerance,
    )
