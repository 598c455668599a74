"""All the files of a fleet: those whose durations differ, and those that no program needs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, tzinfo

from dvbboxes.aggregate import largest_duration
from dvbboxes.model import Duration, DurationKind, Gathered


@dataclass(frozen=True, slots=True)
class Conflict:
    """One file of which instances say different things: who says what, what most say first.

    ``spread`` is the largest measured duration less the smallest, in seconds; 0 where one alone was measured.
    """

    media: str
    spread: float
    said: tuple[tuple[Duration, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class MediaConflicts:
    """The result of ``media conflicts``, worst first; ``files`` is how many there are in all."""

    conflicts: tuple[Conflict, ...]
    files: int
    tolerance: float


@dataclass(frozen=True, slots=True)
class Stock:
    """What one instance holds: its files with their durations, and the last day on which its programs name a file."""

    media: Mapping[str, Duration]
    last: Mapping[str, date]


@dataclass(frozen=True, slots=True)
class Unused:
    """One file that no program names from now on. ``last`` is the last day one did (None: no stored program does).

    ``blocking`` are the holders whose past programs still name it: dvbbox does not delete it there (SPEC 2).
    """

    media: str
    seconds: float | None
    last: date | None
    holders: tuple[str, ...]
    blocking: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MediaUnused:
    """The result of ``media unused``, the longest first; ``files`` is how many there are in all."""

    unused: tuple[Unused, ...]
    files: int
    zone: tzinfo


def conflicts(gathered: Gathered[Mapping[str, Duration]], tolerance: float) -> MediaConflicts:
    """Return the files whose durations differ by more than ``tolerance`` seconds, or that not everybody measured."""
    voices: dict[str, dict[Duration, list[str]]] = {}
    for fqdn, media in gathered.values().items():
        for name, duration in media.items():
            voices.setdefault(name, {}).setdefault(duration, []).append(fqdn)
    found = []
    for name, said in voices.items():
        measured = [duration.seconds for duration in said if duration.seconds is not None]
        spread = max(measured) - min(measured) if measured else 0.0
        mixed = bool(measured) and len(measured) < len(said)
        if spread > tolerance or mixed:
            ordered = sorted(said.items(), key=lambda item: (-len(item[1]), item[0].text))
            found.append(Conflict(name, spread, tuple((duration, tuple(fqdns)) for duration, fqdns in ordered)))
    worst_first = sorted(found, key=lambda conflict: (-conflict.spread, conflict.media))
    return MediaConflicts(tuple(worst_first), len(voices), tolerance)


def unused(gathered: Gathered[Stock], today: date, zone: tzinfo) -> MediaUnused:
    """Return the files that no program of any instance that answered names from ``today`` on."""
    stocks = gathered.values()
    last: dict[str, date] = {}
    for stock in {id(stock.last): stock for stock in stocks.values()}.values():
        for name, day in stock.last.items():
            last[name] = max(day, last.get(name, day))
    holders: dict[str, list[str]] = {}
    for fqdn, stock in stocks.items():
        for name in stock.media:
            holders.setdefault(name, []).append(fqdn)
    found = []
    for name, fqdns in holders.items():
        latest = last.get(name)
        if latest is None or latest < today:
            seconds = largest_duration([stocks[fqdn].media[name] for fqdn in fqdns])
            blocking = tuple(fqdn for fqdn in fqdns if name in stocks[fqdn].last)
            found.append(Unused(name, seconds, latest, tuple(fqdns), blocking))
    longest_first = sorted(found, key=lambda one: (-(one.seconds or 0.0), one.media))
    return MediaUnused(tuple(longest_first), len(holders), zone)


def present(duration: Duration | None) -> bool:
    """Return whether an instance that says this has the file."""
    return duration is not None and duration.kind is not DurationKind.ABSENT
