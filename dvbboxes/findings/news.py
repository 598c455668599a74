"""What changed since an earlier check: what is new, what is told again, what is over. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from dvbboxes.findings.kinds import Code, Finding, Severity


@dataclass(frozen=True, slots=True)
class Remembered:
    """One trouble of one instance as it was last seen. ``last`` is the last day it is about (None: it has no days).

    ``since`` is Unix seconds, ``told`` the broadcast day it was last told on.
    """

    code: str
    instance: str
    service_ids: tuple[str, ...]
    media: str
    text: str
    severity: int
    since: float
    told: date
    last: date | None


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was wrong at an earlier check and is not any more: what was said of it, and since when (Unix seconds)."""

    code: str
    instances: tuple[str, ...]
    service_ids: tuple[str, ...]
    media: str
    text: str
    since: float


@dataclass(frozen=True, slots=True)
class News:
    """What ``--changes`` tells apart: new findings, CRITICAL ones told again today, what is over, and how many stay."""

    new: tuple[Finding, ...]
    again: tuple[Finding, ...]
    over: tuple[Recovered, ...]
    still: int

    @property
    def any(self) -> bool:
        """Return whether there is anything to tell."""
        return bool(self.new or self.again or self.over)


@dataclass(frozen=True, slots=True)
class Looked:
    """What a check looked at: instances that were asked, of them those that answered, channels, days.

    What it did not look at is neither new nor over. ``aside`` is what was left out on purpose: ignored (code, fqdn).
    """

    asked: Collection[str]
    answered: Collection[str]
    service_ids: Collection[str]
    days: Sequence[date]
    aside: Collection[tuple[Code, str | None]]


Memory = Mapping[str, Remembered]
_OF_THE_SERVER = {Code.UNAVAILABLE.value, Code.SUSPECT.value, Code.STALE.value}


def news(found: Sequence[Finding], memory: Memory, looked: Looked, now: float) -> tuple[News, dict[str, Remembered]]:
    """Return what to tell, and what to remember once it is told. ``looked.days[0]`` is the broadcast day on air."""
    today = looked.days[0]
    new: list[Finding] = []
    again: list[Finding] = []
    kept: dict[str, Remembered] = {}
    for finding in found:
        fresh, repeated = [], []
        for fqdn in finding.instances:
            known = memory.get(finding.key(fqdn))
            if known is None or known.severity < finding.severity:
                fresh.append(fqdn)
            elif finding.severity is Severity.CRITICAL and known.told != today:
                repeated.append(fqdn)
            kept[finding.key(fqdn)] = _remembered(finding, fqdn, known, now, today)
        new += filter(None, [finding.on(fresh)])
        again += filter(None, [finding.on(repeated)])
    over: list[Remembered] = []
    for key, known in memory.items():
        if key in kept or (known.last is not None and known.last < today):
            continue
        if _was_looked_at(known, looked):
            over.append(known)
        else:
            kept[key] = known
    told = {one.key(fqdn) for one in (*new, *again) for fqdn in one.instances}
    still = sum(not {one.key(fqdn) for fqdn in one.instances} <= told for one in found)
    return News(tuple(new), tuple(again), tuple(_recovered(over)), still), kept


def _recovered(over: Sequence[Remembered]) -> Iterator[Recovered]:
    """Yield what is over, instances of which the same was said joined."""
    same: dict[tuple[str, tuple[str, ...], str, str], list[Remembered]] = {}
    for one in over:
        same.setdefault((one.code, one.service_ids, one.media, one.text), []).append(one)
    for (code, service_ids, media, text), each in same.items():
        fqdns = tuple(one.instance for one in each)
        yield Recovered(code, fqdns, service_ids, media, text, min(one.since for one in each))


def _remembered(finding: Finding, fqdn: str, known: Remembered | None, now: float, today: date) -> Remembered:
    told = today if known is None or finding.severity is Severity.CRITICAL else known.told
    return Remembered(
        finding.code.value,
        fqdn,
        finding.service_ids,
        finding.media,
        finding.text,
        int(finding.severity),
        now if known is None else known.since,
        told,
        max(finding.days, default=None),
    )


def _was_looked_at(known: Remembered, looked: Looked) -> bool:
    """Return whether this check would have found it, were it still there."""
    if known.instance not in looked.asked:
        return False
    if {(code.value, fqdn) for code, fqdn in looked.aside} & {(known.code, None), (known.code, known.instance)}:
        return False
    if known.instance not in looked.answered and known.code not in _OF_THE_SERVER:
        return False  # nobody knows
    if known.service_ids and known.last is not None and not set(known.service_ids) <= set(looked.service_ids):
        return False
    return known.last is None or known.last <= looked.days[-1]
