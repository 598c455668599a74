"""What the fleet says of its files: odd ones by name, found once per distinct sheet and not once per instance. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dvbboxes.findings.kinds import Survey
from dvbboxes.model import Duration, DurationKind, Instance


@dataclass(frozen=True, slots=True)
class Said:
    """One duration and the fqdns that say it."""

    duration: Duration
    instances: frozenset[str]


@dataclass(frozen=True, slots=True)
class Files:
    """Durations over the fleet. ``agreed`` maps a name to seconds where all that answered say the same, above 0.

    ``odd`` maps every other name to what is said of it and by whom.
    """

    agreed: Mapping[str, float]
    odd: Mapping[str, tuple[Said, ...]]

    def lengths(self, media: str) -> tuple[float, ...]:
        """Return the lengths measured of a file, in seconds: what most instances say first, ties to the longest."""
        if media in self.agreed:
            return (self.agreed[media],)
        votes: dict[float, int] = {}
        for said in self.odd.get(media, ()):
            if said.duration.seconds:
                votes[said.duration.seconds] = votes.get(said.duration.seconds, 0) + len(said.instances)
        return tuple(sorted(votes, key=lambda seconds: (-votes[seconds], -seconds)))

    def length(self, media: str, interval: float | None, tolerance: float) -> float | None:
        """Return the length to count with: one that fills the interval (seconds) if any does, else the first."""
        known = self.lengths(media)
        if interval is not None:
            known = tuple(one for one in known if abs(one - interval) <= tolerance) or known
        return known[0] if known else None

    def having(self, media: str) -> frozenset[str]:
        """Return the instances that say they have an odd file."""
        some = (said.instances for said in self.odd.get(media, ()) if said.duration.kind is not DurationKind.ABSENT)
        return frozenset[str]().union(*some)


def files_of(voices: Sequence[tuple[Instance, Survey]]) -> Files:
    """Return what is said of every file that was asked about."""
    agreed: dict[str, float] = {}
    odd: dict[str, tuple[Said, ...]] = {}
    for number in range(max((len(survey.sheets) for _, survey in voices), default=0)):
        holders: dict[int, list[str]] = {}
        sheets: dict[int, Mapping[str, Duration]] = {}
        for instance, survey in voices:
            if number < len(survey.sheets):
                sheet = survey.sheets[number]
                holders.setdefault(id(sheet), []).append(instance.fqdn)
                sheets[id(sheet)] = sheet
        if len(sheets) == 1:
            only = next(iter(sheets.values()))
            agreed.update((name, d.seconds) for name, d in only.items() if d.seconds)
            rest = iter([name for name, d in only.items() if not d.seconds])
        else:
            rest = _disputed(list(sheets.values()), agreed)
        for name in rest:
            odd[name] = tuple(_said(name, sheets, holders))
    return Files(agreed, odd)


def _disputed(sheets: Sequence[Mapping[str, Duration]], agreed: dict[str, float]) -> Iterator[str]:
    """Yield the names not all say the same of, or no length; put the others among the agreed."""
    base, *others = sheets
    differing = {
        name
        for other in others
        for (name, here), there in zip(base.items(), other.values(), strict=True)
        if here is not there and here != there  # equal values are decoded once: mostly it is the same object
    }
    for name, duration in base.items():
        if name not in differing and duration.seconds:
            agreed[name] = duration.seconds
        else:
            yield name


def _said(name: str, sheets: Mapping[int, Mapping[str, Duration]], holders: Mapping[int, list[str]]) -> Iterator[Said]:
    found: dict[Duration, list[str]] = {}
    for number, sheet in sheets.items():
        found.setdefault(sheet[name], []).extend(holders[number])
    for duration, fqdns in found.items():
        yield Said(duration, frozenset(fqdns))
