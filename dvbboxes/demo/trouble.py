"""The trouble a real fleet has, in a small measure and always the same: who lacks a file, who has an old day (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date, timedelta

from dvbboxes.demo.sample import Content

#: Seconds by which a duration is made to differ: more than ``tolerance`` (1.2) by far, as after a second encoding.
_OTHER_LENGTH = 4.24


@dataclass(frozen=True, slots=True)
class Lacks:
    """An instance without one file (named without ``.ts``)."""

    fqdn: str
    name: str


@dataclass(frozen=True, slots=True)
class Differs:
    """An instance on which one file has another duration, in seconds."""

    fqdn: str
    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Old:
    """An instance whose program of one day is an old one, one film longer than the others'."""

    fqdn: str
    day: date
    service_id: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Everything that is wrong with a demo fleet."""

    lacks: tuple[Lacks, ...] = ()
    differs: tuple[Differs, ...] = ()
    old: tuple[Old, ...] = ()


def make(percent: float, content: Content, fqdns: Sequence[str], today: date) -> Trouble:
    """Return trouble in about ``percent`` of the files and of the (instance, channel, day) programs; none for 0.

    Above 0 there is one of each kind at least, and the first of each stands in the program of ``today`` (or of the
    loaded day nearest to it) and in those of the days after it: so it is still to come at every minute of ``today``,
    and when ``today`` is over while somebody looks. Deterministic.
    """
    if percent <= 0 or not content.programs or not fqdns:
        return Trouble()
    nearest = min(content.days, key=lambda day: (abs((day - today).days), day))
    names = _spread(_files_by_airing(content, nearest), max(2, round(len(content.durations) * percent / 100)))
    lacks = tuple(Lacks(fqdns[-1 - n % len(fqdns)], name) for n, name in enumerate(names[::2]))
    differs = tuple(
        Differs(fqdns[n % len(fqdns)], name, _other_length(content.durations[name]))
        for n, name in enumerate(names[1::2])
    )
    return Trouble(lacks, differs, _old_days(percent, content, fqdns, nearest))


def _files_by_airing(content: Content, today: date) -> list[str]:
    """Return the files some instance can lack: first those that air on the most days in a row from ``today`` on.

    Among equals the one that airs last in the program of ``today`` comes first, then what airs on other days.
    """
    playing = {day: set[str]() for day in content.days}
    for (day, _), names in content.programs.items():
        playing[day].update(names)
    days = {name: _days_in_a_row(playing, name, today) for name in content.durations}
    last = _last_airings(content, today)
    return sorted(content.durations, key=lambda name: (-days[name], -last.get(name, 0.0), name))


def _last_airings(content: Content, today: date) -> dict[str, float]:
    """Return how far into the program of ``today`` each file airs for the last time, from 0 to 1."""
    last: dict[str, float] = {}
    for (day, _), names in content.programs.items():
        for position, name in enumerate(names if day == today else ()):
            last[name] = max(position / len(names), last.get(name, 0.0))
    return last


def _days_in_a_row(playing: Mapping[date, Set[str]], name: str, first: date) -> int:
    days = 0
    while name in playing.get(first + timedelta(days=days), ()):
        days += 1
    return days


def _spread(names: Sequence[str], count: int) -> list[str]:
    """Return ``count`` of them: the first and every fifth from there, so that neighbours are rarely both in trouble.

    What does not fit into one passage comes from the next ones.
    """
    step = 5
    order = [name for first in range(step) for name in names[first::step]]
    return order[:count]


def _other_length(seconds: float) -> float:
    # Shorter: the largest of all is the one that counts, so the starts stay what they are.
    return round(seconds - _OTHER_LENGTH if seconds > 2 * _OTHER_LENGTH else seconds + _OTHER_LENGTH, 2)


def _old_days(percent: float, content: Content, fqdns: Sequence[str], today: date) -> tuple[Old, ...]:
    """Return old days: the first on the last channel of ``today``, the second on that of the day after it, the others
    on other days and instances."""
    soon = (today, today + timedelta(days=1))
    keys = sorted(
        content.programs,
        key=lambda key: (soon.index(key[0]) if key[0] in soon else 2, -key[0].toordinal(), -_position(content, key[1])),
    )
    first = [next(key for key in keys if key[0] == day) for day in soon if day in content.days]
    rest = [key for key in keys if key not in first]
    count = max(len(first), round(len(keys) * len(fqdns) * percent / 100))
    chosen = first + rest[:: max(1, len(rest) // max(1, count - len(first)))][: count - len(first)]
    return tuple(
        Old(fqdns[(len(fqdns) - 1 + n) % len(fqdns)], day, sid, _old_names(content, (day, sid)))
        for n, (day, sid) in enumerate(chosen)
    )


def _position(content: Content, service_id: str) -> int:
    return list(content.channels).index(service_id)


def _old_names(content: Content, key: tuple[date, str]) -> tuple[str, ...]:
    """Return what an older listing of the day might have been: two items the other way round, one film more."""
    names = list(content.programs[key])
    if len(names) > 3:
        names[2], names[3] = names[3], names[2]
    film = max(content.durations, key=lambda name: (name not in names, content.durations[name]), default=names[-1])
    return (*names, film)
