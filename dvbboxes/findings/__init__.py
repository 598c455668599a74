"""A whole fleet's answers -> what will go wrong, in the order in which it hurts. Pure.

One cause is one finding: a dead server is one, however many programs it should have told of; a file that is absent is
one, however often it airs. The rules stand in `programs`, `media` and `servers`; what they look at in `kinds`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta, tzinfo
from typing import TypeAlias

from dvbboxes.findings.files import files_of
from dvbboxes.findings.kinds import Code, Finding, Material, Severity, Survey
from dvbboxes.findings.media import media_findings, withdrawn_findings
from dvbboxes.findings.news import Looked, News, Recovered, Remembered, news
from dvbboxes.findings.programs import between_findings, program_findings, variants_of
from dvbboxes.findings.say import typed
from dvbboxes.findings.servers import key_findings, server_findings
from dvbboxes.wire import stem

#: What ``--ignore`` names: a code, everywhere (None) or on one instance.
Ignored: TypeAlias = frozenset[tuple[Code, str | None]]


def find(material: Material) -> tuple[Finding, ...]:
    """Return everything that is wrong, the gravest first and then what hurts first."""
    variants = variants_of(material)
    files = files_of(material.voices())
    found = [*server_findings(material), *key_findings(material)]
    found += media_findings(material, variants, files)
    found += withdrawn_findings(material, variants, files)
    for key, each in variants.items():
        for variant in each:
            found += program_findings(material, variant, files)
        found += between_findings(material, key, each)
    return tuple(sorted(_folded(found), key=lambda finding: finding.urgency))


def _folded(found: Iterable[Finding]) -> Iterator[Finding]:
    """Yield findings with those that say the same joined: over instances, and no-program over days in a row."""
    same: dict[tuple[object, ...], list[Finding]] = {}
    for one in found:
        same.setdefault((one.code, one.service_ids, one.days, one.media, one.text, one.mend), []).append(one)
    joined = [_joined(each) for each in same.values()]
    yield from (one for one in joined if one.code is not Code.NO_PROGRAM)
    yield from _runs([one for one in joined if one.code is Code.NO_PROGRAM])


def _joined(each: list[Finding]) -> Finding:
    if len(each) == 1:
        return each[0]
    fqdns = tuple(dict.fromkeys(fqdn for one in each for fqdn in one.instances))
    worst = max(one.severity for one in each)
    return replace(each[0], instances=fqdns, severity=worst, moment=min(one.moment for one in each))


def _runs(found: list[Finding]) -> Iterator[Finding]:
    """Yield days in a row on which the same instances have nothing on the same channel as one finding."""
    open_run: dict[tuple[object, ...], Finding] = {}
    for one in sorted(found, key=lambda finding: finding.days):
        key = (one.service_ids, frozenset(one.instances))
        run = open_run.get(key)
        if run is not None and one.days[0] - run.days[-1] == timedelta(days=1):
            open_run[key] = replace(run, days=run.days + one.days)
            continue
        if run is not None:
            yield run
        open_run[key] = one
    yield from open_run.values()


def without(found: Iterable[Finding], ignored: Ignored) -> tuple[tuple[Finding, ...], int]:
    """Return findings without what is to be ignored, and how many were left out whole."""
    kept: list[Finding] = []
    number = 0
    for finding in found:
        here = [f for f in finding.instances if not {(finding.code, None), (finding.code, f)} & ignored]
        left = finding.on(here)
        if left is None:
            number += 1
        else:
            kept.append(left)
    return tuple(kept), number


def renamed(found: Iterable[Finding], others: Mapping[tuple[str, str], str], material: Material) -> tuple[Finding, ...]:
    """Return findings with an absent file told as renamed where another of its length stands on that instance alone.

    ``others`` maps (fqdn, absent file) to that other file; names have ``.ts``.
    """
    told: list[Finding] = []
    for finding in found:
        odd = [fqdn for fqdn in finding.instances if (fqdn, finding.media) in others]
        if finding.code is not Code.ABSENT or not odd:
            told.append(finding)
            continue
        told += filter(None, [finding.on([fqdn for fqdn in finding.instances if fqdn not in odd])])
        for fqdn in odd:
            other = others[fqdn, finding.media]
            text = f"{finding.text}; {stem(other)} has the same length and is only here: renamed by hand?"
            mend = f"dvbboxes media rename {typed(other)} {typed(finding.media)} --instance {fqdn}"
            told.append(replace(finding, code=Code.RENAMED, instances=(fqdn,), text=text, mend=mend))
    return tuple(sorted(told, key=lambda one: one.urgency))


# --- results ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of ``check``: ``findings`` in order, those under maintenance ``apart``. ``now`` is Unix seconds.

    ``asked`` and ``answered`` count instances. ``news`` is what changed since the last check that was asked for changes
    (None: not asked). ``ignored`` counts what was left out whole. ``nagios``: it is to be told as a Nagios plugin does.
    """

    findings: tuple[Finding, ...]
    apart: tuple[Finding, ...]
    ignored: int
    news: News | None
    channels: Mapping[str, str]
    zone: tzinfo
    now: float
    asked: int
    answered: int
    nagios: bool = False

    @property
    def severity(self) -> Severity:
        """How grave the gravest finding is; NOTE for none."""
        return max((finding.severity for finding in self.findings), default=Severity.NOTE)

    def count(self, severity: Severity) -> int:
        """Return how many findings are of a severity."""
        return sum(finding.severity is severity for finding in self.findings)


__all__ = [
    "Checked",
    "Code",
    "Finding",
    "Ignored",
    "Looked",
    "Material",
    "News",
    "Recovered",
    "Remembered",
    "Severity",
    "Survey",
    "find",
    "news",
    "renamed",
    "without",
]
