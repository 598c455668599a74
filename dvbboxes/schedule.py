"""The rules of a broadcast day: its window, its layout, the cut and the choice of a program (SPEC 4 and 5). Pure.

Times are Unix seconds; the zone and the local time a day begins in are arguments, the clock never is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta, tzinfo

from dvbboxes.model import Slot


def window(day: date, zone: tzinfo, day_start: time) -> tuple[float, float]:
    """Return (start, end) of a broadcast day in Unix seconds.

    Calendar arithmetic in the zone: 07:30 to 07:30 is 23 h or 25 h when the clocks change (SPEC 4).
    """
    return moment(day, zone, day_start), moment(day + timedelta(days=1), zone, day_start)


def moment(day: date, zone: tzinfo, clock: time) -> float:
    """Return the Unix time of a local clock time on a calendar date."""
    return datetime.combine(day, clock, zone).timestamp()


def moment_of_day(day: date, zone: tzinfo, day_start: time, clock: time) -> float:
    """Return the Unix time of a clock time within a broadcast day: 02:00 belongs to the next calendar date."""
    return moment(day if clock >= day_start else day + timedelta(days=1), zone, clock)


def broadcast_day(now: float, zone: tzinfo, day_start: time) -> date:
    """Return the broadcast day on air at ``now``: before ``day_start`` it is yesterday's date."""
    local = datetime.fromtimestamp(now, zone)
    return local.date() if local.timetz().replace(tzinfo=None) >= day_start else local.date() - timedelta(days=1)


def lay_out(
    day: date, names: Sequence[str], durations: Mapping[str, float], zone: tzinfo, day_start: time, folder: str
) -> tuple[Slot, ...]:
    """Return the program of a listing's day (SPEC 5): the first start at ``day_start``, each next one after it.

    ``names`` are media names without ``.ts``; ``durations`` maps them to seconds, a missing one counts 0. Starts are
    not rounded. ``folder`` is the instance's media folder.
    """
    start = moment(day, zone, day_start)
    path = folder.rstrip("/") + "/"
    slots = []
    for index, name in enumerate(names):
        slots.append(Slot(index, f"{name}.ts", path, start))
        start += durations.get(name, 0.0)
    return tuple(slots)


def cut(slots: Sequence[Slot], now: float, length: float) -> tuple[Slot, ...]:
    """Return the program from a moment on (SPEC 4).

    Kept is everything from the latest start <= ``now`` (with all that share it) up to the first start of the uncut
    program + ``length`` of the day, inclusive; everything if ``now`` is before the first start. Order is kept.
    """
    starts = [slot.start for slot in slots]
    begun = [start for start in starts if start <= now]
    if not begun:
        return tuple(slots)
    first, last = max(begun), min(starts) + length
    return tuple(slot for slot in slots if first <= slot.start <= last)


def choose(programs: Sequence[Sequence[Slot]]) -> int | None:
    """Return the position of the program to show (SPEC 4): most files, then latest last start, then the first.

    None when no program has an entry.
    """
    best = max(range(len(programs)), key=lambda n: (rank(programs[n]), -n), default=None)
    return best if best is not None and programs[best] else None


def rank(slots: Sequence[Slot]) -> tuple[int, float]:
    """Return what the choice compares: (number of files, last start)."""
    return len(slots), max((slot.start for slot in slots), default=float("-inf"))
