"""The commands on the fleet's files as text, JSON and CSV: missing, conflicts, unused, fetched, hosts. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

from dvbboxes.library.fetch import Fetch, Fetched, FetchPlan, MissingMedia
from dvbboxes.library.hosts import HostLine, HostRuns
from dvbboxes.library.needs import Lack
from dvbboxes.library.stock import Conflict, MediaConflicts, MediaUnused
from dvbboxes.model import Gathered
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
    local,
    names,
)
from dvbboxes.wire import day_text, stem

View: TypeAlias = MissingMedia | MediaConflicts | MediaUnused | Fetched | HostRuns
Table: TypeAlias = tuple[tuple[str, ...], Iterable[tuple[object, ...]]]

MISSING = (
    *("media", "instance", "hurts", "airs", "service_ids", "days", "airings", "holders"),
    *("source", "command"),
)
CONFLICT = ("media", "spread", "kind", "seconds", "stored", "instances")
UNUSED = ("media", "seconds", "last_day", "instances", "blocking")
FETCHED = ("instance", "media", "source", "state", "detail")
HOSTS = ("instance", "command", "ok", "status", "said", "changed")


def text(view: View, gathered: Gathered[Any] | None, style: Style) -> Iterator[str]:
    """Yield the lines for a person."""
    if gathered is None or gathered.answered:
        yield from _TEXTS[type(view).__name__](view, style)
    if gathered is not None:
        yield from coverage(gathered, style)


# --- missing


def _missing(view: MissingMedia, style: Style) -> Iterator[str]:
    folded: dict[tuple[Any, ...], list[Lack]] = {}
    for lack in view.lacks:
        folded.setdefault((lack.media, lack.hurts, lack.airs, lack.service_ids, lack.holders), []).append(lack)
    rows: list[tuple[str, ...]] = [("hurts", "airs", "channel", "file", "absent on", "a copy is on")]
    for lacks in folded.values():
        first = lacks[0]
        holders = names(first.holders, 3) if first.holders else "nobody who answered"
        times = f" ({first.airings} times)" if first.airings > 1 else ""
        rows.append(
            (
                "now" if first.hurts <= view.now else _when(view, first.hurts),
                f"{_when(view, first.airs) if first.airs > view.now else 'now'}{times}",
                " ".join(first.service_ids),
                clean(stem(first.media)),
                names([lack.instance.fqdn for lack in lacks], 3),
                holders,
            )
        )
    if view.lacks:
        lines = aligned(rows)
        yield style.paint(lines[0], "dim")
        for lacks, line in zip(folded.values(), lines[1:], strict=True):
            yield line if lacks[0].holders else style.paint(line, "red")
    files = {lack.media for lack in view.lacks}
    yield f"{count(len(files), 'file')} missing somewhere in {count(view.days, 'day')}, {len(view.lacks)} to copy"
    if view.silent:
        yield f"! whether a copy is on {names(view.silent)} is not known"
    if view.fetch is not None:
        yield from _plan(view.fetch, style)


def _when(view: MissingMedia, moment: float) -> str:
    found = local(moment, view.zone)
    return "?" if found is None else f"{dated(found.date(), year=False)} {clock(moment, view.zone)[:5]}"


def _plan(plan: FetchPlan, style: Style) -> Iterator[str]:
    for number, wave in enumerate(plan.waves, 1):
        copies = "1 copy" if len(wave) == 1 else f"{len(wave)} copies"
        yield style.paint(f"wave {number} of {len(plan.waves)}: {copies}", "bold")
        for copy in wave:
            yield f"  on {clean(copy.target.fqdn)}, from {clean(copy.source.fqdn)}:"
            yield f"    {clean(copy.script)}"
    for media, fqdns in plan.orphans.items():
        yield style.paint("!", "red") + f" {clean(stem(media))}: no copy that could be used (lacking on {names(fqdns)})"
    for media, fqdns in plan.withdrawn.items():
        said = f" {clean(stem(media))} is withdrawn and not copied (scheduled on {names(fqdns)}):"
        yield style.paint("!", "red") + f"{said} dvbboxes media replace {clean(stem(media))} NEW"
    if plan.waves:
        yield "NOTHING COPIED: --fetch --run does it"


def _missing_data(view: MissingMedia) -> dict[str, Any]:
    found = _copies(view.fetch)
    return {
        "days": view.days,
        "missing": [
            {
                "media": lack.media,
                "instance": lack.instance.fqdn,
                "hurts": iso(lack.hurts, view.zone),
                "airs": iso(lack.airs, view.zone),
                "service_ids": list(lack.service_ids),
                "days": [day_text(day) for day in lack.days],
                "airings": lack.airings,
                "holders": list(lack.holders),
                "source": found.get((lack.instance.fqdn, lack.media), (None, None))[0],
                "command": found.get((lack.instance.fqdn, lack.media), (None, None))[1],
            }
            for lack in view.lacks
        ],
        "unknown": list(view.silent),
        "waves": None
        if view.fetch is None
        else [[{"instance": copy.target.fqdn, "media": copy.media} for copy in wave] for wave in view.fetch.waves],
        "orphans": None if view.fetch is None else {media: list(each) for media, each in view.fetch.orphans.items()},
        "withdrawn": None if view.fetch is None else {name: list(each) for name, each in view.fetch.withdrawn.items()},
    }


def _copies(plan: FetchPlan | None) -> dict[tuple[str, str], tuple[str | None, str | None]]:
    """Return (fqdn, media) -> the source and what runs."""
    copies = () if plan is None else plan.copies
    return {(copy.target.fqdn, copy.media): (copy.source.fqdn, copy.script) for copy in copies}


def _missing_table(view: MissingMedia) -> Table:
    rows = (
        tuple(" ".join(value) if isinstance(value, list) else value for value in (row[name] for name in MISSING))
        for row in _missing_data(view)["missing"]
    )
    return MISSING, rows


# --- conflicts


def _conflicts(view: MediaConflicts, style: Style) -> Iterator[str]:
    for conflict in view.conflicts:
        by = f"differs by {length(conflict.spread)}" if conflict.spread else "was not measured everywhere"
        yield f"{style.paint(clean(stem(conflict.media)), 'bold')}  {by}"
        yield from (f"  {duration_said(duration)}: {names(fqdns, 6)}" for duration, fqdns in conflict.said)
    yield f"{len(view.conflicts)} of {count(view.files, 'file')} differ by more than {view.tolerance:g} s"


def _conflict_data(conflict: Conflict) -> dict[str, Any]:
    return {
        "media": conflict.media,
        "spread": conflict.spread,
        "said": [
            {"kind": one.kind.value, "seconds": one.seconds, "stored": one.text, "instances": list(fqdns)}
            for one, fqdns in conflict.said
        ],
    }


def _conflicts_data(view: MediaConflicts) -> dict[str, Any]:
    found = [_conflict_data(conflict) for conflict in view.conflicts]
    return {"files": view.files, "tolerance": view.tolerance, "conflicts": found}


def _conflicts_table(view: MediaConflicts) -> Table:
    return CONFLICT, (
        (conflict.media, conflict.spread, one.kind.value, one.seconds, one.text, " ".join(fqdns))
        for conflict in view.conflicts
        for one, fqdns in conflict.said
    )


# --- unused


def _unused(view: MediaUnused, style: Style) -> Iterator[str]:
    rows: list[tuple[str, ...]] = [("file", "length", "last scheduled", "on", "")]
    for one in view.unused:
        blocked = f"past programs keep it from being deleted on {names(one.blocking, 3)}" if one.blocking else ""
        last = "never, as stored" if one.last is None else dated(one.last)
        rows.append((clean(stem(one.media)), length(one.seconds), last, names(one.holders, 3), blocked))
    if view.unused:
        lines = aligned(rows, right=(1,))
        yield style.paint(lines[0], "dim")
        yield from lines[1:]
    yield f"{len(view.unused)} of {count(view.files, 'file')}: no program names them from now on"


def _unused_data(view: MediaUnused) -> dict[str, Any]:
    return {
        "files": view.files,
        "unused": [
            {
                "media": one.media,
                "seconds": one.seconds,
                "last_day": None if one.last is None else day_text(one.last),
                "instances": list(one.holders),
                "blocking": list(one.blocking),
            }
            for one in view.unused
        ],
    }


def _unused_table(view: MediaUnused) -> Table:
    rows = (
        (one.media, one.seconds, one.last and day_text(one.last), " ".join(one.holders), " ".join(one.blocking))
        for one in view.unused
    )
    return UNUSED, rows


# --- fetched


def _fetched(view: Fetched, style: Style) -> Iterator[str]:
    there = [line for line in view.lines if line.state is Fetch.THERE]
    yield from aligned(
        [(clean(stem(one.media)), clean(one.instance), f"from {clean(one.source)}", clean(one.detail)) for one in there]
    )
    for line in view.lines:
        if line.state is not Fetch.THERE:
            source = f" from {clean(line.source)}" if line.source else ""
            what = f"{clean(stem(line.media))} to {clean(line.instance)}{source}"
            yield style.paint("!", "red") + f" {what}: {line.state.value}: {clean(line.detail)}"
    if not view.lines:
        yield "nothing is missing"
    elif view.whole:
        yield style.paint(f"all {count(len(there), 'file')} there, as the replicas say.", "green")
    else:
        yield style.paint(f"{len(view.lines) - len(there)} of {len(view.lines)} are not there.", "red")
        yield "  what was copied of them stays: the same command goes on from there"


def _fetched_rows(view: Fetched) -> Iterator[tuple[object, ...]]:
    return ((one.instance, one.media, one.source, one.state.value, one.detail) for one in view.lines)


def _fetched_data(view: Fetched) -> dict[str, Any]:
    return {"whole": view.whole, "files": [dict(zip(FETCHED, row, strict=True)) for row in _fetched_rows(view)]}


# --- hosts


def _hosts(view: HostRuns, style: Style) -> Iterator[str]:
    alike: dict[tuple[object, ...], list[HostLine]] = {}
    for line in view.lines:
        alike.setdefault((line.command, line.status, line.said, line.changed), []).append(line)
    for lines in alike.values():
        first = lines[0]
        who = names([line.instance for line in lines], 4)
        ended = "done" if first.ok else "not done" if first.status is None else f"status {first.status}"
        said = f": {clean(first.said)}" if first.said else ""
        changed = f" (changed {names(first.changed, 3)})" if first.changed else ""
        mark = "" if first.ok else style.paint("!", "red") + " "
        yield f"{mark}{who}: {clean(first.command)}: {ended}{said}{changed}"
    yield from (f"! {clean(note)}" for note in view.notes)
    bad = sum(not line.ok for line in view.lines)
    ended = count(len(view.lines), "command")
    said, look = (f"{bad} of {ended} did not end well.", "red") if bad else (f"all {ended} done.", "green")
    yield style.paint(said, look)


def _hosts_rows(view: HostRuns) -> Iterator[tuple[object, ...]]:
    return ((one.instance, one.command, one.ok, one.status, one.said, " ".join(one.changed)) for one in view.lines)


def _hosts_data(view: HostRuns) -> dict[str, Any]:
    rows = (dict(zip(HOSTS, row, strict=True)) for row in _hosts_rows(view))
    commands = [{**row, "changed": list(line.changed)} for row, line in zip(rows, view.lines, strict=True)]
    return {"whole": view.whole, "commands": commands, "notes": list(view.notes)}


# --- which is which

_TEXTS: dict[str, Callable[[Any, Style], Iterator[str]]] = {
    "MissingMedia": _missing,
    "MediaConflicts": _conflicts,
    "MediaUnused": _unused,
    "Fetched": _fetched,
    "HostRuns": _hosts,
}
_DATA: dict[str, Callable[[Any], dict[str, Any]]] = {
    "MissingMedia": _missing_data,
    "MediaConflicts": _conflicts_data,
    "MediaUnused": _unused_data,
    "Fetched": _fetched_data,
    "HostRuns": _hosts_data,
}
_TABLES: dict[str, Callable[[Any], Table]] = {
    "MissingMedia": _missing_table,
    "MediaConflicts": _conflicts_table,
    "MediaUnused": _unused_table,
    "Fetched": lambda view: (FETCHED, _fetched_rows(view)),
    "HostRuns": lambda view: (HOSTS, _hosts_rows(view)),
}


def data(view: View) -> dict[str, Any]:
    """Return the JSON."""
    return _DATA[type(view).__name__](view)


def table(view: View) -> Table:
    """Return header and rows for CSV."""
    return _TABLES[type(view).__name__](view)
