"""``history``: runs, one run whole, a day's story, what is owed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, tzinfo
from typing import Any

from dvbboxes.model import Gathered
from dvbboxes.records import Applied, Change, Event, Run, RunState
from dvbboxes.render.style import Style, aligned, clean, count, dated, iso, names
from dvbboxes.report import DayStory, History, Owed, Story
from dvbboxes.wire import day_text

RUNS_HEADER = ("run", "kind", "state", "started", "finished", "who", "host", "file", "counts", "command")
CHANGES_HEADER = ("run", "instance", "day", "service_id", "state", "detail", "update", "replicated")
EVENTS_HEADER = ("at", "run", "instance", "day", "service_id", "text")
_MOST_EVENTS = 400


def text(view: History | Story | DayStory | Owed, gathered: Gathered[Any] | None, style: Style) -> Iterator[str]:
    """Yield the lines for a person."""
    if isinstance(view, History):
        yield from _runs(view, style)
    elif isinstance(view, Story):
        yield from _story(view, style)
    elif isinstance(view, DayStory):
        yield from _events(view.events, view.zone)
    else:
        yield from _owed(view, style)


def _when(moment: float | None, zone: tzinfo) -> str:
    if moment is None:
        return "-"
    local = datetime.fromtimestamp(moment, zone)
    return f"{dated(local.date())} {local:%H:%M:%S}"


def _counts(run: Run) -> str:
    return ", ".join(f"{number} {state.value}" for state, number in run.counts.items() if number) or "nothing"


def _runs(view: History, style: Style) -> Iterator[str]:
    if not view.runs:
        yield "nothing of that was written from here"
        return
    rows: list[tuple[str, ...]] = [("run", "started", "kind", "state", "programs", "who", "file")]
    for run in view.runs:
        asked = run.asked
        rows.append(
            (
                str(run.id),
                _when(asked.started, view.zone),
                asked.kind.value,
                run.state.value,
                _counts(run),
                clean(asked.who),
                clean(asked.file),
            )
        )
    lines = aligned(rows, right=(0,))
    yield style.paint(lines[0], "dim")
    for run, line in zip(view.runs, lines[1:], strict=True):
        yield line if run.state is RunState.DONE else style.paint(line, "yellow")


def _story(view: Story, style: Style) -> Iterator[str]:
    run = view.whole.run
    asked = run.asked
    heading = style.paint(f"run {run.id}  {asked.kind.value}  {run.state.value}", "bold")
    yield f"{heading}  {_when(asked.started, view.zone)} -> {_when(run.finished, view.zone)}"
    yield f"  by {clean(asked.who)} on {clean(asked.host)}: {clean(asked.command)}"
    if asked.undoes is not None:
        yield f"  takes back run {asked.undoes}"
    if asked.file:
        yield f"  listing {clean(asked.file)}  sha256 {asked.digest[:16]}"
    if asked.fingerprint:
        allowed = f"  allowed: {', '.join(asked.allow)}" if asked.allow else ""
        yield f"  plan {asked.fingerprint}{allowed}"
    yield f"  {_counts(run)}"
    yield ""
    yield from _events(view.whole.events, view.zone, alone=True)


def _events(events: Sequence[Event], zone: tzinfo, *, alone: bool = False) -> Iterator[str]:
    """Yield a line per event; the same thing at the same moment to several programs is one line."""
    folded: dict[tuple[float, int, str], list[Event]] = {}
    for event in events:
        folded.setdefault((event.at, event.run, event.text), []).append(event)
    if not folded:
        yield "nothing was written there from here"
    for number, ((at, run, said), same) in enumerate(folded.items()):
        if number == _MOST_EVENTS:
            yield f"and {len(folded) - number} more (--format json has them all)"
            return
        where = _where([event for event in same if event.instance])
        yield f"{_when(at, zone)}  {'' if alone else f'run {run}  '}{f'{where}: ' if where else ''}{clean(said)}"


def _where(events: Sequence[Event]) -> str:
    if not events:
        return ""
    fqdns = list(dict.fromkeys(event.instance or "" for event in events))
    programs = list(dict.fromkeys(f"{event.day:%d/%m} {event.service_id}" for event in events if event.day))
    return f"{names(fqdns, 3)} {names(programs, 3)}"


def _owed(view: Owed, style: Style) -> Iterator[str]:
    if not view.programs and not view.updates:
        yield "nothing is owed"
        return
    for title, owed in (("to be written", view.programs), ("to be updated by dvbbox", view.updates)):
        if owed:
            yield style.paint(f"{count(len(owed), 'program')} {title}:", "bold")
            rows = [_owed_row(one) for one in owed]
            yield from (f"  {line}" for line in aligned(rows, right=(0,)))
    for run in dict.fromkeys(one.run.id for one in (*view.programs, *view.updates)):
        yield f"  dvbboxes listing apply --resume {run}"


def _owed_row(one: Applied) -> tuple[str, ...]:
    change = one.change
    said = change.detail or change.update_text
    state = change.state.value if one.change.update_text == "" else change.update.value
    return (f"run {one.run.id}", clean(change.instance), dated(change.day), change.service_id, state, clean(said))


# --- json and csv


def data(view: History | Story | DayStory | Owed) -> dict[str, Any]:
    """Return the JSON; programs themselves are in the journal, not here."""
    if isinstance(view, History):
        return {"runs": [_run_data(run, view.zone) for run in view.runs]}
    if isinstance(view, Story):
        whole = view.whole
        return {
            **_run_data(whole.run, view.zone),
            "changes": [_change_data(change) for change in whole.changes],
            "events": [_event_data(event, view.zone) for event in whole.events],
        }
    if isinstance(view, DayStory):
        return {"events": [_event_data(event, view.zone) for event in view.events]}
    return {
        "programs": [_change_data(one.change) for one in view.programs],
        "updates": [_change_data(one.change) for one in view.updates],
    }


def _run_data(run: Run, zone: tzinfo) -> dict[str, Any]:
    asked = run.asked
    return {
        "run": run.id,
        "kind": asked.kind.value,
        "state": run.state.value,
        "started": iso(asked.started, zone),
        "finished": iso(run.finished, zone),
        "who": asked.who,
        "host": asked.host,
        "command": asked.command,
        "file": asked.file,
        "digest": asked.digest,
        "fingerprint": asked.fingerprint,
        "allow": list(asked.allow),
        "undoes": asked.undoes,
        "counts": {state.value: number for state, number in run.counts.items()},
    }


def _change_data(change: Change) -> dict[str, Any]:
    return {
        "run": change.run,
        "instance": change.instance,
        "town": change.town,
        "day": day_text(change.day),
        "service_id": change.service_id,
        "before": len(change.before),
        "after": len(change.after),
        "state": change.state.value,
        "detail": change.detail,
        "update": change.update.value,
        "update_text": change.update_text,
        "changed_by_update": change.after_update is not None,
        "replicated": change.replicated,
    }


def _event_data(event: Event, zone: tzinfo) -> dict[str, Any]:
    return {
        "at": iso(event.at, zone),
        "run": event.run,
        "instance": event.instance,
        "day": None if event.day is None else day_text(event.day),
        "service_id": event.service_id,
        "text": event.text,
    }


def table(view: History | Story | DayStory | Owed) -> tuple[tuple[str, ...], Iterable[Sequence[object]]]:
    """Return header and rows for CSV: runs, or changes, or events."""
    if isinstance(view, History):
        rows = (_run_data(run, view.zone) for run in view.runs)
        return RUNS_HEADER, ([_cell(row[name]) for name in RUNS_HEADER] for row in rows)
    if isinstance(view, DayStory):
        events = (_event_data(event, view.zone) for event in view.events)
        return EVENTS_HEADER, ([row[name] for name in EVENTS_HEADER] for row in events)
    changes = view.whole.changes if isinstance(view, Story) else [one.change for one in (*view.programs, *view.updates)]
    found = (_change_data(change) for change in changes)
    return CHANGES_HEADER, ([row[name] for name in CHANGES_HEADER] for row in found)


def _cell(value: Any) -> object:
    return " ".join(f"{number} {state}" for state, number in value.items()) if isinstance(value, dict) else value
