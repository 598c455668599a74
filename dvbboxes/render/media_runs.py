"""``media rename``, ``media delete`` and ``media withdraw`` as text, JSON and CSV. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from dvbboxes.aggregate.media import Airing
from dvbboxes.library.blast import Blast, FileLine, FileState, MediaRun, When
from dvbboxes.model import Gathered
from dvbboxes.records import ChangeState
from dvbboxes.render.style import Style, aligned, clean, clock, count, coverage, dated, iso, names
from dvbboxes.wire import day_text, stem

View: TypeAlias = Blast | MediaRun
Table: TypeAlias = tuple[tuple[str, ...], Iterable[tuple[object, ...]]]

BLAST = ("when", "service_id", "day", "index", "start", "instances")
RUN = ("what", "instance", "day", "service_id", "state", "detail")
_MOST = 20
_TITLES = {
    When.ON_AIR: "on air now",
    When.TODAY: "to come today, in a playlist that is made",
    When.COMING: "to come",
    When.PAST: "past",
}


def text(view: View, gathered: Gathered[Any] | None, style: Style) -> Iterator[str]:
    """Yield the lines for a person."""
    if isinstance(view, Blast):
        yield from _blast(view, style)
    else:
        yield from _run(view, style)
    if gathered is not None:
        yield from coverage(gathered, style)


# --- what it hits


def _what(media: str, new: str) -> str:
    return f"rename {clean(stem(media))} to {clean(stem(new))}" if new else f"delete {clean(stem(media))}"


def _blast(view: Blast, style: Style) -> Iterator[str]:
    title = style.paint(_what(view.media, view.new), "bold")
    yield f"{title}  {style.paint('NOTHING CHANGED', 'bold')}"
    yield f"on {count(len(view.holders), 'instance')}: {names(view.holders, 6) or '-'}"
    if view.lacking:
        also = "; there the programs are rewritten" if view.new else ""
        yield f"not on {count(len(view.lacking), 'instance')}: {names(view.lacking, 6)}{also}"
    for when in (When.ON_AIR, When.TODAY, When.COMING, When.PAST):
        airings = view.airings[when]
        if airings:
            yield f"{count(len(airings), 'airing')} {_TITLES[when]}:"
            yield from _airings(view, airings, style if when is not When.PAST else Style())
    if not any(view.airings.values()):
        yield "no program names it"
    if view.blocked and view.blocked != view.holders:
        mark = style.paint("!", "red")
        yield f"{mark} past programs name it on {names(view.blocked)}: dvbbox deletes nothing there, they are left out"
    for barrier in view.barriers:
        release = f" (--allow {barrier.release})" if barrier.release else ""
        who = f": {names(barrier.instances)}" if barrier.instances else ""
        yield style.paint("!", "red") + f" refused: {clean(barrier.text)}{who}{release}"


def _airings(view: Blast, airings: Sequence[Airing], style: Style) -> Iterator[str]:
    everybody = len(view.holders) + len(view.lacking)
    rows = []
    for one in airings[:_MOST]:
        channel = f"{one.service_id} {clean(view.channels.get(one.service_id, '(not configured)'))}"
        who = "" if len(one.instances) == everybody else f"on {names(one.instances)}"
        rows.append((dated(one.day), clock(one.start, view.zone)[:5], channel, f"#{one.index}", who))
    yield from (style.paint(f"  {line}", "yellow") for line in aligned(rows))
    if len(airings) > _MOST:
        yield f"  and {len(airings) - _MOST} more (--format json has them all)"


def _blast_data(view: Blast) -> dict[str, Any]:
    return {
        "kind": view.kind.value,
        "media": view.media,
        "new": view.new or None,
        "holders": list(view.holders),
        "lacking": list(view.lacking),
        "blocked": list(view.blocked),
        "airings": [
            {**dict(zip(BLAST, row, strict=True)), "instances": str(row[-1]).split()} for row in _blast_rows(view)
        ],
        "refused": [
            {"text": one.text, "instances": list(one.instances), "release": one.release or None}
            for one in view.barriers
        ],
    }


def _blast_rows(view: Blast) -> Iterator[tuple[object, ...]]:
    for when in When:
        for one in view.airings[when]:
            start = iso(one.start, view.zone)
            yield (when.value, one.service_id, day_text(one.day), one.index, start, " ".join(one.instances))


# --- what became of it


def _run(view: MediaRun, style: Style) -> Iterator[str]:
    yield f"run {view.run}  {_what(view.media, view.new)}"
    done = [line.instance for line in view.files if line.state is FileState.DONE]
    if done:
        yield f"{'renamed' if view.new else 'deleted'} on {count(len(done), 'instance')}: {names(done, 6)}"
    absent = [line.instance for line in view.files if line.state is FileState.NOT_THERE]
    if absent:
        yield f"was not on {count(len(absent), 'instance')}: {names(absent, 6)}"
    if view.programs:
        held = sum(line.holds for line in view.programs)
        yield f"{held} of {count(len(view.programs), 'program')} have the new name"
    yield from (style.paint("!", "red") + f" {_odd(line)}" for line in view.files if not line.state.well)
    odd = [line for line in view.programs if not line.holds]
    for line in odd[:_MOST]:
        where = f"{clean(line.instance)} {line.day:%d/%m} {line.service_id}"
        said = line.detail or "the local replica does not have it yet"
        yield style.paint("!", "red") + f" {where}: {line.state.value}: {clean(said)}"
    if len(odd) > _MOST:
        yield f"! and {len(odd) - _MOST} more: dvbboxes history {view.run}"
    if view.whole:
        yield style.paint("all of it is done, as the masters say.", "green")
    else:
        yield style.paint("some of it is not done.", "red")
        yield f"  dvbboxes {_again(view)}"


def _again(view: MediaRun) -> str:
    if view.new:
        return f"media rename {stem(view.media)} {stem(view.new)} --resume {view.run}"
    return f"media delete {stem(view.media)}"


def _odd(line: FileLine) -> str:
    return f"{clean(line.instance)}: {line.state.value}: {clean(line.detail)}"


def _run_rows(view: MediaRun) -> Iterator[tuple[object, ...]]:
    for line in view.files:
        yield ("file", line.instance, None, None, line.state.value, line.detail)
    for one in view.programs:
        late = one.state is ChangeState.VERIFIED and not one.holds
        said = "not on the local replica yet" if late else one.detail
        yield ("program", one.instance, day_text(one.day), one.service_id, one.state.value, said)


def _run_data(view: MediaRun) -> dict[str, Any]:
    rows = [dict(zip(RUN, row, strict=True)) for row in _run_rows(view)]
    return {
        "run": view.run,
        "kind": view.kind.value,
        "media": view.media,
        "new": view.new or None,
        "whole": view.whole,
        "files": [
            {name: row[name] for name in ("instance", "state", "detail")} for row in rows if row["what"] == "file"
        ],
        "programs": [{name: row[name] for name in RUN[1:]} for row in rows if row["what"] == "program"],
    }


def data(view: View) -> dict[str, Any]:
    """Return the JSON."""
    return _blast_data(view) if isinstance(view, Blast) else _run_data(view)


def table(view: View) -> Table:
    """Return header and rows for CSV: airings that would be hit, or the file and its programs on each instance."""
    return (BLAST, _blast_rows(view)) if isinstance(view, Blast) else (RUN, _run_rows(view))
