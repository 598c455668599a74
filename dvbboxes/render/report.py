"""The end of a writing command: what became of each program on each instance. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from dvbboxes.model import Gathered
from dvbboxes.records import ChangeState, UpdateState
from dvbboxes.render.style import Style, aligned, clean, count, left_alone, names, nothing_to_write
from dvbboxes.report import Line, Report
from dvbboxes.wire import day_text

HEADER = ("instance", "town", "day", "service_id", "state", "detail", "update", "update_text", "replicated")
_MOST_LINES = 60


def text(view: Report, gathered: Gathered[Any] | None, style: Style) -> Iterator[str]:
    """Yield the lines for a person."""
    if not view.run:
        yield nothing_to_write(view.kept, view.own)
        yield from (f"! {clean(note)}" for note in view.notes)
        return
    yield f"run {view.run}  {view.kind.value}{f'  plan {view.fingerprint}' if view.fingerprint else ''}"
    yield from _table(view, style)
    odd = [line for line in view.lines if not line.holds]
    for line in odd[:_MOST_LINES]:
        yield style.paint("!", "red") + f" {_odd(line)}"
    if len(odd) > _MOST_LINES:
        yield f"! and {len(odd) - _MOST_LINES} more: dvbboxes history {view.run}"
    yield from (f"! {clean(note)}" for note in view.notes)
    yield from _relaunch(view)
    yield from _closing(view, odd, style)


def _table(view: Report, style: Style) -> Iterator[str]:
    """Yield a row per set of instances that fared the same."""
    groups: dict[tuple[str, ...], list[str]] = {}
    by_instance: dict[str, list[Line]] = {}
    for line in view.lines:
        by_instance.setdefault(line.instance, []).append(line)
    for fqdn, lines in by_instance.items():
        groups.setdefault(_cells(lines), []).append(fqdn)
    rows: list[tuple[str, ...]] = [("", "programs", "verified", "updated", "replicated")]
    rows += [(_who(fqdns), *cells) for cells, fqdns in groups.items()]
    printed = aligned(rows, right=(1, 2, 3, 4))
    yield style.paint(printed[0], "dim")
    for cells, row in zip(groups, printed[1:], strict=True):
        whole = cells[1] == cells[0] == cells[3] and cells[2] in (cells[0], "not asked")
        yield row if whole else style.paint(row, "red")


def _cells(lines: list[Line]) -> tuple[str, ...]:
    verified = [line for line in lines if line.state is ChangeState.VERIFIED]
    updated = [line for line in verified if line.update is UpdateState.DONE]
    unasked = all(line.update is UpdateState.NOT_ASKED for line in lines)
    replicated = [line for line in lines if line.replicated]
    return str(len(lines)), str(len(verified)), "not asked" if unasked else str(len(updated)), str(len(replicated))


def _who(fqdns: list[str]) -> str:
    return clean(fqdns[0]) if len(fqdns) == 1 else f"{len(fqdns)} instances: {names(fqdns, 3)}"


def _odd(line: Line) -> str:
    where = f"{clean(line.instance)} {line.day:%d/%m} {line.service_id}"
    if line.state is not ChangeState.VERIFIED:
        return f"{where}: {line.state.value}: {clean(line.detail)}"
    if line.update is UpdateState.FAILED:
        return f"{where}: written and verified, but dvbbox did not update it: {clean(line.update_text)}"
    return f"{where}: written and verified, but the local replica does not have it yet"


def _relaunch(view: Report) -> Iterator[str]:
    if view.relaunch:
        yield "written, not on air before a relaunch (not between 00:00 and the day's start; it stops no running VLC):"
        yield from (f"  {clean(line)}" for line in view.relaunch)


def _closing(view: Report, odd: list[Line], style: Style) -> Iterator[str]:
    left = left_alone(view.kept, view.own)
    if not odd and not view.journalled:
        yield style.paint("every program stands as meant, but the journal does not have all of it.", "red")
        return
    if not odd:
        yield style.paint(f"all {count(len(view.lines), 'program')} hold.", "green") + (f" {left}" if left else "")
        return
    yield style.paint(f"{len(odd)} of {count(len(view.lines), 'program')} do not hold.", "red")
    yield f"  dvbboxes history {view.run}"
    if any(line.state is not ChangeState.REFUSED for line in odd):
        yield f"  dvbboxes listing apply --resume {view.run}"


def data(view: Report) -> dict[str, Any]:
    """Return the JSON."""
    return {
        "run": view.run or None,
        "kind": view.kind.value,
        "fingerprint": view.fingerprint,
        "whole": view.whole,
        "journalled": view.journalled,
        "kept": view.kept,
        "own": view.own,
        "notes": list(view.notes),
        "relaunch": list(view.relaunch),
        "programs": [dict(zip(HEADER, _row(line), strict=True)) for line in view.lines],
    }


def _row(line: Line) -> tuple[object, ...]:
    return (
        line.instance,
        line.town,
        day_text(line.day),
        line.service_id,
        line.state.value,
        line.detail,
        line.update.value,
        line.update_text,
        line.replicated,
    )


def table(view: Report) -> tuple[tuple[str, ...], Iterable[tuple[object, ...]]]:
    """Return header and rows for CSV: one row per program and instance."""
    return HEADER, (_row(line) for line in view.lines)
