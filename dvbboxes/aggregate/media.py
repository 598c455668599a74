"""Files over all instances: who has them, how long they are, when they air. Pure.

Presence on an instance that did not answer is unknown, never missing (DESIGN).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, tzinfo

from dvbboxes.aggregate import largest_duration
from dvbboxes.model import Duration, DurationKind, Gathered, MediaFile


@dataclass(frozen=True, slots=True)
class MediaSearch:
    """The result of ``media search``: file names (with ``.ts``), sorted, each with the fqdns that have it.

    ``answered`` are the instances that were looked at.
    """

    expression: str
    names: tuple[tuple[str, tuple[str, ...]], ...]
    answered: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Airing:
    """One airing of a file: channel, day, position, start (Unix seconds), and the fqdns whose program has it."""

    service_id: str
    day: date
    index: int
    start: float
    instances: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TownShare:
    """One town's part: fqdns that have the file, that lack it, that did not answer."""

    town: str
    have: tuple[str, ...]
    lack: tuple[str, ...]
    silent: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MediaShow:
    """The result of ``media show``. ``durations`` holds the instances that answered; ``nearest`` names when absent.

    ``channels`` maps service id to name; ids the configuration does not know are their own names.
    """

    file: MediaFile
    towns: tuple[TownShare, ...]
    airings: tuple[Airing, ...]
    channels: Mapping[str, str]
    nearest: tuple[str, ...]
    tolerance: float
    zone: tzinfo
    now: float

    @property
    def duration(self) -> float | None:
        """The duration to count with, in seconds: the largest measured one."""
        return largest_duration(self.file.durations.values())

    @property
    def found(self) -> bool:
        """Return whether any instance that answered has the file."""
        return any(d.kind is not DurationKind.ABSENT for d in self.file.durations.values())

    @property
    def disagrees(self) -> bool:
        """Return whether measured durations differ by more than the tolerance, or one is none."""
        known = [d for d in self.file.durations.values() if d.kind is not DurationKind.ABSENT]
        return disagree(known, self.tolerance) or any(d.seconds is None for d in known)


def disagree(durations: Iterable[Duration], tolerance: float) -> bool:
    """Return whether measured durations (seconds) differ by more than ``tolerance``."""
    measured = [d.seconds for d in durations if d.seconds is not None]
    return bool(measured) and max(measured) - min(measured) > tolerance


@dataclass(frozen=True, slots=True)
class BadLine:
    """One line of a list of names that is no media name: its number, from 1, and what it says, fit to print."""

    line: int
    said: str


@dataclass(frozen=True, slots=True)
class CheckedName:
    """One name of a ``media check`` list that is not everywhere: fqdns that lack it and that have it."""

    media: str
    absent: tuple[str, ...]
    present: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MediaCheck:
    """The result of ``media check``: ``names`` in all, of them ``missing`` (in the list's order) not everywhere.

    ``answered`` are the instances that were looked at; ``bad`` lines are no names.
    """

    names: tuple[str, ...]
    missing: tuple[CheckedName, ...]
    bad: tuple[BadLine, ...]
    answered: tuple[str, ...]


def searched(expression: str, gathered: Gathered[frozenset[str]]) -> MediaSearch:
    """Return the names found anywhere, with the instances that have each."""
    found = gathered.values()
    # Instances that hold the same share one set: each is looked through once.
    shared: frozenset[str] = frozenset.intersection(*set(found.values())) if found else frozenset()
    everywhere = tuple(found)
    rest: dict[str, list[str]] = {}
    for fqdn, held in found.items():
        for name in held - shared:
            rest.setdefault(name, []).append(fqdn)
    names = [(name, everywhere) for name in shared] + [(name, tuple(fqdns)) for name, fqdns in rest.items()]
    return MediaSearch(expression, tuple(sorted(names)), everywhere)


def folded_airings(gathered: Gathered[Sequence[tuple[str, date, int, float]]]) -> tuple[Airing, ...]:
    """Return the airings (service id, day, index, start) of all instances, the same ones folded, in order of time."""
    holders: dict[tuple[str, date, int, float], list[str]] = {}
    for fqdn, airings in gathered.values().items():
        for airing in airings:
            holders.setdefault(airing, []).append(fqdn)
    found = [Airing(*airing, tuple(fqdns)) for airing, fqdns in holders.items()]
    return tuple(sorted(found, key=lambda one: (one.start, one.service_id, one.index)))


def town_shares(gathered: Gathered[Duration]) -> tuple[TownShare, ...]:
    """Return, town by town, who has a file, who lacks it and who did not answer."""
    shares: dict[str, tuple[list[str], list[str], list[str]]] = {}
    for answer in gathered.answers:
        have, lack, silent = shares.setdefault(answer.instance.cluster, ([], [], []))
        if answer.value is None:
            silent.append(answer.instance.fqdn)
        else:
            (lack if answer.value.kind is DurationKind.ABSENT else have).append(answer.instance.fqdn)
    return tuple(TownShare(town, *(tuple(part) for part in parts)) for town, parts in shares.items())


def checked(names: Sequence[str], bad: Sequence[BadLine], gathered: Gathered[frozenset[str]]) -> MediaCheck:
    """Return where each name is and is not; each instance's value is the set of names it lacks."""
    lacking = gathered.values()
    lacked = frozenset[str]().union(*lacking.values()) if lacking else frozenset()
    missing = []
    for name in names:
        if name in lacked:
            absent = tuple(fqdn for fqdn, lacks in lacking.items() if name in lacks)
            present = tuple(fqdn for fqdn, lacks in lacking.items() if name not in lacks)
            missing.append(CheckedName(name, absent, present))
    return MediaCheck(tuple(names), tuple(missing), tuple(bad), tuple(lacking))


#: How many of all names are compared closely; the comparison is dear, and there can be a hundred thousand.
_LIKELY = 200


def nearest(name: str, known: Iterable[str], most: int = 3) -> tuple[str, ...]:
    """Return the names nearest to one that is nowhere: a typing mistake, perhaps."""
    from difflib import get_close_matches  # only an absent name pays for it
    from heapq import nlargest

    pairs = {name[n : n + 2] for n in range(len(name) - 1)}

    def likeness(other: str) -> tuple[int, int, str]:
        return sum(pair in other for pair in pairs), -abs(len(other) - len(name)), other

    return tuple(get_close_matches(name, nlargest(_LIKELY, known, key=likeness), n=most, cutoff=0.6))
