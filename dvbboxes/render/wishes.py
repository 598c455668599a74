"""The plan of a command that writes programs without a listing, as text, JSON and CSV. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from dvbboxes.model import Gathered, Instance
from dvbboxes.plan import Action, Change, DayFacts, Key, Plan
from dvbboxes.render.listing import (
    by_channel,
    change_data,
    closing,
    flat,
    key_data,
    label,
    limited,
    refusal_data,
    refusals,
    saturdays,
)
from dvbboxes.render.style import Style, aligned, clean, clock, count, dated, iso
from dvbboxes.wishes import ProgramPlan

HEADER = (
    *("instance", "day", "service_id", "action", "added", "dropped", "moved", "files", "lacking", "refused"),
    "source",
)
_NONE = "-"


def text(view: ProgramPlan, gathered: Gathered[Any] | None, style: Style) -> Iterator[str]:
    """Yield the lines for a person."""
    plan = view.plan
    heading = style.paint(clean(view.title), "bold")
    size = f"{count(len(plan.days), 'day')}, {count(len(plan.instances), 'instance')}"
    named = f"plan {plan.fingerprint}  " if plan.writes else ""  # where nothing changes it would name nothing
    yield f"{heading}  {size}  {named}{style.paint('NOTHING WRITTEN', 'bold')}"
    for sid, days in by_channel(plan.days).items():
        yield style.paint(f"{sid} {clean(view.channels.get(sid, ''))}", "bold")
        yield from _table(view, sid, days, style)
    notes = (clean(note) for note in view.notes)
    yield from limited((*refusals(plan), *notes, *saturdays(plan)), style)
    masters = f"{len(gathered.answered)}/{len(gathered.answers)} masters answered." if gathered is not None else ""
    yield from closing(view.plan, view.again, masters, gathered, style)


def _table(view: ProgramPlan, sid: str, days: Sequence[DayFacts], style: Style) -> Iterator[str]:
    columns = _columns(view, sid, days)
    rows: list[tuple[str, ...]] = [("day", "files", "ends", *(heading for heading, _ in columns))]
    for number, facts in enumerate(days):
        ends = clock(facts.end, view.zone)[:5] if facts.names else _NONE
        files = str(len(facts.names)) if facts.names else _NONE
        rows.append((dated(facts.day), files, ends, *(cells[number] for _, cells in columns)))
    lines = aligned(rows, right=(1,))
    refused = view.plan.refused
    yield style.paint(lines[0], "dim")
    for facts, line in zip(days, lines[1:], strict=True):
        yield style.paint(line, "red") if facts.key in refused else line


def _columns(view: ProgramPlan, sid: str, days: Sequence[DayFacts]) -> list[tuple[str, tuple[str, ...]]]:
    """Return a column for each set of instances that would change the same way: its heading and its cells."""
    plan = view.plan
    changes = {(change.instance.fqdn, change.key): change for change in plan.changes}
    groups: dict[tuple[str, ...], list[Instance]] = {}
    for instance in plan.instances:
        cells = tuple(_cell(view, instance, facts.key, changes.get((instance.fqdn, facts.key))) for facts in days)
        if any(cell != _NONE for cell in cells):
            groups.setdefault(cells, []).append(instance)
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    return [(label(plan, instances), cells) for cells, instances in ordered]


def _cell(view: ProgramPlan, instance: Instance, key: Key, change: Change | None) -> str:
    source = view.sources.get((instance.fqdn, key))
    if source is None:
        return _NONE
    if change is None:
        return "UNREACHABLE"
    refused = key in view.plan.refused
    if change.action in (Action.KEEP, Action.OWN) and not (refused and _undecided(view.plan, instance, key)):
        return "keep" if change.action is Action.KEEP else "keep (own)"
    if refused:
        return "REFUSED"
    said = {Action.CREATE: f"create {len(change.desired)}", Action.DELETE: f"delete {len(change.existing)}"}
    return f"{said.get(change.action, str(change.difference))}{f'  <- {clean(source)}' if source else ''}"


def _undecided(plan: Plan, instance: Instance, key: Key) -> bool:
    """Return whether an instance keeps what it has only because nobody knows what it is to have."""
    return any(
        refusal.hazard is None and refusal.key == key and instance.fqdn in refusal.instances
        for refusal in plan.refusals
    )


# --- json and csv


def data(view: ProgramPlan) -> dict[str, Any]:
    """Return the JSON."""
    plan = view.plan
    return {
        "kind": view.kind.value,
        "title": view.title,
        "fingerprint": plan.fingerprint,
        "days": [
            {
                **key_data(facts.key),
                "start": iso(facts.start, view.zone) if facts.names else None,
                "end": iso(facts.end, view.zone) if facts.names else None,
                "files": len(facts.names),
            }
            for facts in plan.days
        ],
        "ready": [key_data(key) for key in plan.ready],
        "changes": [_row(view, change) for change in plan.changes],
        "refusals": [refusal_data(refusal) for refusal in plan.refusals],
        "released": [refusal_data(refusal) for refusal in plan.released],
        "unreachable": dict(plan.unreachable),
        "notes": list(view.notes),
    }


def _row(view: ProgramPlan, change: Change) -> dict[str, Any]:
    source = view.sources.get((change.instance.fqdn, change.key), "")
    return {**change_data(change), "refused": change.key in view.plan.refused, "source": source}


def table(view: ProgramPlan) -> tuple[tuple[str, ...], Iterable[Sequence[object]]]:
    """Return header and rows for CSV: one row per program and instance."""
    return HEADER, (flat(_row(view, change), HEADER) for change in view.plan.changes)
