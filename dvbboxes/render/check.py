"""``check``: what will go wrong, as text, JSON, CSV and a Nagios line. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from dvbboxes.findings import Checked, Finding, Recovered, Severity
from dvbboxes.model import Gathered
from dvbboxes.render.style import Style, age, aligned, clean, count, dated, iso, names
from dvbboxes.wire import day_text, stem

HEADER = (
    "news", "code", "severity", "moment", "instances", "service_ids", "days", "media", "text", "mend", "maintenance",
)  # fmt: skip
_LOOKS = {Severity.CRITICAL: "red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}
_NAGIOS = {Severity.CRITICAL: "CRITICAL", Severity.WARNING: "WARNING", Severity.NOTE: "OK"}
#: Findings that fit into the one line of a Nagios plugin.
_MOST_NAGIOS = 5


def text(view: Checked, gathered: Gathered[Any] | None, style: Style) -> Iterator[str]:
    """Yield the lines for a person: none where nothing is wrong, one for Nagios."""
    if view.nagios:
        yield _nagios(view)
        return
    if not (view.findings or view.apart or view.ignored or view.news):
        return
    yield _head(view, gathered, style)
    if view.news is None:
        yield from _lines(view, view.findings, style)
    else:
        for title, found in (("NEW", view.news.new), ("STILL CRITICAL", view.news.again)):
            yield from _section(view, title, found, style)
        if view.news.over:
            yield style.paint("OVER", "bold")
            yield from aligned([_over(view, one) for one in view.news.over])
    yield from _section(view, "UNDER MAINTENANCE", view.apart, style)
    if view.ignored:
        yield style.paint(f"{count(view.ignored, 'finding')} ignored", "dim")


def _head(view: Checked, gathered: Gathered[Any] | None, style: Style) -> str:
    local = datetime.fromtimestamp(view.now, view.zone)
    said = f"{view.answered}/{view.asked} answered"
    if gathered is not None and gathered.oldest is not None:
        said += f", oldest {age(gathered.oldest)}"
    numbers = _numbers(view)
    if view.news is not None:
        numbers = f"{len(view.news.new)} new, {len(view.news.over)} over, {view.news.still} still open"
    word = style.paint(_NAGIOS[view.severity], _LOOKS[view.severity] if view.findings else "green")
    return f"{word}  {numbers}   {dated(local.date())} {local:%H:%M}   {said}"


def _numbers(view: Checked) -> str:
    counts = [(view.count(Severity.CRITICAL), "critical"), (view.count(Severity.WARNING), "warning")]
    said = [f"{number} {word}" for number, word in counts if number]
    if notes := view.count(Severity.NOTE):
        said.append(count(notes, "note"))
    return ", ".join(said) or "nothing wrong"


def _section(view: Checked, title: str, found: Sequence[Finding], style: Style) -> Iterator[str]:
    if found:
        yield style.paint(title, "bold")
        yield from _lines(view, found, style)


def _lines(view: Checked, found: Sequence[Finding], style: Style) -> Iterator[str]:
    rows = aligned([(f" {_when(view, one)}", _where(one), _who(view, one), _what(one)) for one in found])
    for finding, row in zip(found, rows, strict=True):
        yield style.paint(row, _LOOKS[finding.severity])
        yield style.paint(f"        {clean(finding.mend)}", "dim")


def _when(view: Checked, finding: Finding) -> str:
    if finding.moment <= view.now:
        return "now"
    try:
        local = datetime.fromtimestamp(finding.moment, view.zone)
    except (OverflowError, ValueError, OSError):  # a start that no calendar has
        return "?"
    today = finding.moment < view.now + 86400
    return f"{local:%H:%M}" if today else f"{dated(local.date(), year=False)} {local:%H:%M}"


def _where(finding: Finding) -> str:
    channels = ",".join(clean(sid) for sid in finding.service_ids)
    if not channels and not finding.media:
        return "all channels"
    days = ""
    if finding.days and not finding.media:
        first, last = finding.days[0], finding.days[-1]
        days = f"{first:%d/%m}" if first == last else f"{first:%d/%m}..{last:%d/%m}"
    return " ".join(word for word in (channels, days, clean(stem(finding.media))) if word)


def _who(view: Checked, finding: Finding) -> str:
    number = len(finding.instances)
    return f"all {number} instances" if 3 < number == view.answered else names(finding.instances, 3)


def _what(finding: Finding) -> str:
    return f"{finding.code.value.upper()} {clean(finding.text)}"


def _over(view: Checked, one: Recovered) -> tuple[str, ...]:
    where = " ".join(word for word in (",".join(one.service_ids), clean(stem(one.media))) if word)
    since = datetime.fromtimestamp(one.since, view.zone)
    said = f"{one.code.upper()} {clean(one.text)}"
    return (
        f" {where or 'all channels'}",
        names(one.instances, 3),
        f"{said} (since {dated(since.date())} {since:%H:%M})",
    )


def _nagios(view: Checked) -> str:
    """Return the one line of a Nagios plugin, with its performance data behind the bar."""
    told = [*view.news.new, *view.news.again] if view.news is not None else view.findings
    said = [f"{one.code.value} {_where(one)} on {names(one.instances, 3)}" for one in told if one.severity]
    more = f"; and {len(said) - _MOST_NAGIOS} more" if len(said) > _MOST_NAGIOS else ""
    what = f": {'; '.join(said[:_MOST_NAGIOS])}{more}" if said else ""
    line = f"DVBBOXES {_NAGIOS[view.severity]} - {_numbers(view)}{what}".replace("|", "/")
    figures = {
        "critical": view.count(Severity.CRITICAL),
        "warning": view.count(Severity.WARNING),
        "notes": view.count(Severity.NOTE),
    }
    perfdata = " ".join(f"{name}={number};;;0" for name, number in figures.items())
    return f"{line} | {perfdata} answered={view.answered};;;0;{view.asked}"


def _told(view: Checked) -> Iterator[tuple[str | None, Finding]]:
    if view.news is None:
        yield from ((None, finding) for finding in view.findings)
    else:
        yield from (("new", finding) for finding in view.news.new)
        yield from (("again", finding) for finding in view.news.again)


def data(view: Checked) -> dict[str, Any]:
    """Return the JSON. With ``--changes`` ``findings`` are the new ones and those told again."""
    return {
        "now": iso(view.now, view.zone),
        "severity": view.severity.name.lower() if view.findings else None,
        "counts": {severity.name.lower(): view.count(severity) for severity in Severity},
        "findings": [_finding(view, news, finding) for news, finding in _told(view)],
        "over": None if view.news is None else [_recovered(view, one) for one in view.news.over],
        "still_open": None if view.news is None else view.news.still,
        "maintenance": [_finding(view, None, finding) for finding in view.apart],
        "ignored": view.ignored,
    }


def _finding(view: Checked, news: str | None, finding: Finding) -> dict[str, Any]:
    return {
        "news": news,
        "code": finding.code.value,
        "severity": finding.severity.name.lower(),
        "moment": iso(finding.moment, view.zone),
        "instances": list(finding.instances),
        "service_ids": list(finding.service_ids),
        "days": [day_text(day) for day in finding.days],
        "media": finding.media or None,
        "text": finding.text,
        "mend": finding.mend,
    }


def _recovered(view: Checked, one: Recovered) -> dict[str, Any]:
    return {
        "code": one.code,
        "instances": list(one.instances),
        "service_ids": list(one.service_ids),
        "media": one.media or None,
        "text": one.text,
        "since": iso(one.since, view.zone),
    }


def table(view: Checked) -> tuple[tuple[str, ...], Iterable[tuple[object, ...]]]:
    """Return header and rows for CSV: one row per finding, then what is over, then what is under maintenance."""
    return HEADER, _rows(view)


def _rows(view: Checked) -> Iterator[tuple[object, ...]]:
    told = [(news, finding, False) for news, finding in _told(view)]
    for news, finding, resting in [*told, *((None, finding, True) for finding in view.apart)]:
        yield (
            news,
            finding.code.value,
            finding.severity.name.lower(),
            iso(finding.moment, view.zone),
            " ".join(finding.instances),
            " ".join(finding.service_ids),
            " ".join(map(day_text, finding.days)),
            finding.media or None,
            finding.text,
            finding.mend,
            resting,
        )
    for one in view.news.over if view.news is not None else ():
        ids = " ".join(one.service_ids)
        yield (
            "over",
            one.code,
            None,
            None,
            " ".join(one.instances),
            ids,
            None,
            one.media or None,
            one.text,
            None,
            False,
        )
