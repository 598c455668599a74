"""``media search``, ``media show`` and ``media check`` as text, JSON and CSV. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from dvbboxes.aggregate.media import Airing, MediaCheck, MediaSearch, MediaShow
from dvbboxes.model import DurationKind, Gathered
from dvbboxes.render.style import (
    Style,
    aligned,
    clean,
    clock,
    count,
    coverage,
    dated,
    duration_said,
    iso,
    length,
    names,
)
from dvbboxes.wire import day_text, stem

_MOST_AIRINGS = 40


def text(view: MediaSearch | MediaShow | MediaCheck, gathered: Gathered[Any] | None, style: Style) -> Iterator[str]:
    """Yield the lines for a person."""
    if gathered is None:
        return
    if gathered.answered:
        if isinstance(view, MediaSearch):
            yield from _search(view, style)
        elif isinstance(view, MediaShow):
            yield from _show(view, style)
        else:
            yield from _check(view, style)
    yield from coverage(gathered, style)


# --- search


def _search(view: MediaSearch, style: Style) -> Iterator[str]:
    rows = []
    for name, holders in view.names:
        lack = [fqdn for fqdn in view.answered if fqdn not in holders] if len(holders) < len(view.answered) else []
        rows.append((clean(stem(name)), f"not on {names(lack)}" if lack else ""))
    for row, line in zip(rows, aligned(rows), strict=True):
        yield style.paint(line, "yellow") if row[1] else line
    yield style.paint(count(len(view.names), "file"), "dim")


# --- show


def _show(view: MediaShow, style: Style) -> Iterator[str]:
    said = length(view.duration) if view.found else "ABSENT"
    if view.found and view.duration is None:
        said = "duration unknown"
    yield f"{style.paint(clean(stem(view.file.name)), 'bold')}  {said}"
    if not view.found:
        near = ", ".join(clean(stem(name)) for name in view.nearest)
        yield f"no instance that answered has it{f'; nearest names: {near}' if near else ''}"
    else:
        yield from _towns(view, style)
        yield from _durations(view, style)
    yield from _airings(view, style)


def _towns(view: MediaShow, style: Style) -> Iterator[str]:
    whole = [town for town in view.towns if not town.lack and not town.silent]
    if whole:
        have = sum(len(town.have) for town in whole)
        yield f"{', '.join(clean(town.town) for town in whole)}: on {have} of {have}"
    for town in view.towns:
        if town in whole:
            continue
        line = f"{clean(town.town)}: on {len(town.have)} of {len(town.have) + len(town.lack) + len(town.silent)}"
        if town.lack:
            line += style.paint(f"; not on {names(town.lack)}", "red")
        if town.silent:
            line += style.paint(f"; {names(town.silent)} did not answer", "yellow")
        yield line


def _durations(view: MediaShow, style: Style) -> Iterator[str]:
    """Yield who says what, when they do not all say the same within the tolerance."""
    if not view.disagrees:
        return
    said: dict[str, list[str]] = {}
    for fqdn, duration in view.file.durations.items():
        if duration.kind is not DurationKind.ABSENT:
            said.setdefault(duration_said(duration), []).append(fqdn)
    yield style.paint("! the instances do not agree on its duration:", "yellow")
    for what, fqdns in sorted(said.items(), key=lambda item: -len(item[1])):
        yield f"  {what}: {names(fqdns, 6)}"


def _airings(view: MediaShow, style: Style) -> Iterator[str]:
    coming = [airing for airing in view.airings if airing.start >= view.now]
    past = [airing for airing in view.airings if airing.start < view.now]
    if not view.airings:
        yield "never scheduled"
        return
    yield f"{count(len(coming), 'airing')} to come, {len(past)} past:"
    shown = past[-10:] + coming[:_MOST_AIRINGS]
    asked = sum(len(town.have) + len(town.lack) for town in view.towns)
    rows = [_airing(view, airing, asked) for airing in shown]
    for airing, line in zip(shown, aligned(rows), strict=True):
        yield style.paint(f"  {line}", "dim") if airing.start < view.now else f"  {line}"
    if len(shown) < len(view.airings):
        yield f"  and {len(view.airings) - len(shown)} more (--format json has them all)"


def _airing(view: MediaShow, airing: Airing, asked: int) -> tuple[str, ...]:
    channel = f"{airing.service_id} {clean(view.channels.get(airing.service_id, '(not configured)'))}"
    who = "" if len(airing.instances) == asked else f"on {names(airing.instances)}"
    return (dated(airing.day), clock(airing.start, view.zone), channel, f"#{airing.index}", who)


# --- check


def _check(view: MediaCheck, style: Style) -> Iterator[str]:
    for bad in view.bad[:20]:
        yield style.paint("!", "red") + f" line {bad.line}: {bad.said} is no media name"
    if len(view.bad) > 20:
        yield f"! and {len(view.bad) - 20} more bad lines"
    rows = [(clean(stem(one.media)), _missing(one.absent, one.present)) for one in view.missing]
    yield from aligned(rows)
    there = len(view.names) - len(view.missing)
    yield f"{count(len(view.names), 'name')}: {there} everywhere, {len(view.missing)} missing somewhere"


def _missing(absent: Sequence[str], present: Sequence[str]) -> str:
    return f"not on {names(absent)}" if present else "not on any instance that answered"


# --- json and csv


def data(view: MediaSearch | MediaShow | MediaCheck) -> dict[str, Any]:
    """Return the JSON."""
    if isinstance(view, MediaSearch):
        return {
            "expression": view.expression,
            "media": [{"media": name, "instances": list(holders)} for name, holders in view.names],
        }
    if isinstance(view, MediaCheck):
        return {
            "names": len(view.names),
            "missing": [
                {"media": one.media, "absent": list(one.absent), "present": list(one.present)} for one in view.missing
            ],
            "bad_lines": [{"line": bad.line, "said": bad.said} for bad in view.bad],
        }
    return _show_data(view)


def _show_data(view: MediaShow) -> dict[str, Any]:
    return {
        "media": view.file.name,
        "found": view.found,
        "duration": view.duration,
        "disagrees": view.disagrees,
        "nearest": list(view.nearest),
        "durations": {
            fqdn: {"kind": duration.kind.value, "seconds": duration.seconds, "stored": duration.text or None}
            for fqdn, duration in view.file.durations.items()
        },
        "towns": {
            town.town: {"have": list(town.have), "lack": list(town.lack), "silent": list(town.silent)}
            for town in view.towns
        },
        "airings": [
            {
                "service_id": airing.service_id,
                "day": day_text(airing.day),
                "index": airing.index,
                "start": iso(airing.start, view.zone),
                "start_time": airing.start,
                "instances": list(airing.instances),
            }
            for airing in view.airings
        ],
    }


def table(
    view: MediaSearch | MediaShow | MediaCheck,
) -> tuple[tuple[str, ...], Iterable[tuple[object, ...]]]:
    """Return header and rows for CSV: names, instances with their durations, or names that are missing."""
    if isinstance(view, MediaSearch):
        return ("media", "instances"), ((name, " ".join(holders)) for name, holders in view.names)
    if isinstance(view, MediaCheck):
        return ("media", "absent", "present"), (
            (one.media, " ".join(one.absent), " ".join(one.present)) for one in view.missing
        )
    return ("media", "instance", "kind", "seconds"), (
        (view.file.name, fqdn, duration.kind.value, duration.seconds) for fqdn, duration in view.file.durations.items()
    )
