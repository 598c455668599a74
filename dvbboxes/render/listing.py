"""``listing check`` and ``listing plan`` as text, JSON and CSV. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from dvbboxes.model import Gathered, Instance
from dvbboxes.plan import Action, Change, DayFacts, Key, Plan, Refusal, Verdict
from dvbboxes.render.style import (
    Style,
    aligned,
    clean,
    clock,
    count,
    coverage,
    dated,
    iso,
    length,
    names,
    nothing_to_write,
)
from dvbboxes.report import ListingCheck, ListingPlan
from dvbboxes.wire import day_text, stem

CHECK_HEADER = ("day", "service_id", "start", "end", "length", "files", "verdict", "overrun", "missing", "refused")
PLAN_HEADER = ("instance", "day", "service_id", "action", "added", "dropped", "moved", "files", "lacking", "refused")
_LOOKS = {Verdict.GREEN: "green", Verdict.LIGHTBLUE: "blue", Verdict.ORANGE: "yellow", Verdict.RED: "red"}
_MOST_NOTES = 30


def text(view: ListingCheck | ListingPlan, gathered: Gathered[Any] | None, style: Style) -> Iterator[str]:
    """Yield the lines for a person."""
    if isinstance(view, ListingCheck):
        yield from _check(view, gathered, style)
    else:
        yield from _plan(view, gathered, style)


# --- check


def _check(view: ListingCheck, gathered: Gathered[Any] | None, style: Style) -> Iterator[str]:
    if gathered is None or gathered.answered:
        for sid, days in by_channel(view.plan.days).items():
            yield f"{_title(view, sid, style)}  {count(len(days), 'day')}"
            yield from _days(view, days, style)
        yield from limited((*_file_notes(view), *refusals(view.plan)), style)
    if gathered is not None:
        yield from coverage(gathered, style)


def _title(view: ListingCheck | ListingPlan, sid: str, style: Style) -> str:
    return style.paint(f"{sid} {clean(view.channels.get(sid, ''))}", "bold")


def by_channel(days: Sequence[DayFacts]) -> dict[str, list[DayFacts]]:
    """Return the days of each channel, by service id, in order."""
    channels: dict[str, list[DayFacts]] = {}
    for facts in days:
        channels.setdefault(facts.service_id, []).append(facts)
    return channels


def _days(view: ListingCheck, days: Sequence[DayFacts], style: Style) -> Iterator[str]:
    rows: list[tuple[str, ...]] = [("day", "start", "ends", "length", "files", "verdict", "")]
    for facts in days:
        rows.append(
            (
                dated(facts.day),
                clock(facts.start, view.zone)[:5],
                _ends(view, facts),
                length(facts.end - facts.start),
                str(len(facts.names)),
                facts.verdict.value,
                f"overrun {length(facts.overrun)}" if facts.overrun else "",
            )
        )
    lines = aligned(rows, right=(3, 4))
    yield style.paint(lines[0], "dim")
    for facts, line in zip(days, lines[1:], strict=True):
        yield style.paint(line, _LOOKS[facts.verdict]) if facts.verdict is not Verdict.GREEN else line


def _ends(view: ListingCheck | ListingPlan, facts: DayFacts) -> str:
    try:
        end = datetime.fromtimestamp(facts.end, view.zone)
    except (OverflowError, ValueError, OSError):  # a file that "lasts" 1e300 s: no calendar has that moment
        return "?"
    return f"{dated(end.date(), year=False)[:3]} {end:%H:%M}"


def _file_notes(view: ListingCheck | ListingPlan) -> Iterator[str]:
    """Yield what is to be said of the files: missing everywhere first, then missing somewhere, then durations."""
    facts = view.plan.files.values()
    for fact in facts:
        if fact.missing:
            near = view.nearest.get(fact.media, ())
            hint = f"; nearest name: {clean(stem(near[0]))} (a typing mistake?)" if near else " (not there yet?)"
            yield f"{clean(stem(fact.media))} missing everywhere: {_where(view, fact.media)}{hint}"
    for fact in facts:
        if fact.absent and not fact.missing:
            yield f"{clean(stem(fact.media))} missing on {names(fact.absent)}: {_where(view, fact.media)}"
    for fact in facts:
        if not fact.measured and not fact.missing:
            yield f"{clean(stem(fact.media))}: its duration is known nowhere; it counts {fact.seconds:g} s"
        elif fact.disagrees(view.tolerance):
            differ = f"its durations differ by {length(fact.seconds - fact.lowest)}"
            yield f"{clean(stem(fact.media))}: {differ}; the largest counts, {length(fact.seconds)}"


def _where(view: ListingCheck | ListingPlan, media: str) -> str:
    days = [facts for facts in view.plan.days if media in facts.lines]
    shown = [f"{f.day:%d/%m} at {clock(f.starts[media], view.zone)[:5]}, line {f.lines[media]}" for f in days[:3]]
    more = f" and {count(len(days) - 3, 'more day')}" if len(days) > 3 else ""
    return "; ".join(shown) + more


def limited(lines: Iterable[str], style: Style) -> Iterator[str]:
    """Yield lines that want attention, marked; the end of a long list is counted."""
    found = list(lines)
    for line in found[:_MOST_NOTES]:
        yield style.paint("!", "red") + f" {line}"
    if len(found) > _MOST_NOTES:
        yield f"! and {len(found) - _MOST_NOTES} more such lines (--format json has them all)"


# --- plan


def _plan(view: ListingPlan, gathered: Gathered[Any] | None, style: Style) -> Iterator[str]:
    plan = view.plan
    for sid, days in by_channel(plan.days).items():
        size = f"{count(len(days), 'day')}, {count(len(plan.instances), 'instance')}"
        yield f"{_title(view, sid, style)}  {size}  plan {plan.fingerprint}  {style.paint('NOTHING WRITTEN', 'bold')}"
        yield from _changes(view, sid, days, style)
    yield from limited((*_file_notes(view), *refusals(plan), *saturdays(plan)), style)
    answered = len(gathered.answered) if gathered else 0
    masters = f"{answered}/{len(plan.instances)} masters answered."
    yield from closing(plan, view.again, masters, gathered, style)


def _changes(view: ListingPlan, sid: str, days: Sequence[DayFacts], style: Style) -> Iterator[str]:
    refused = view.plan.refused
    columns = _columns(view.plan, sid, days)
    rows: list[tuple[str, ...]] = [("day", "ends", "verdict", *(label for label, _ in columns))]
    for number, facts in enumerate(days):
        cells = (
            "REFUSED" if facts.key in refused and cell not in ("keep", "UNREACHABLE") else cell
            for cell in (cells[number] for _, cells in columns)
        )
        rows.append((f"{facts.day:%d/%m}", _ends(view, facts), facts.verdict.value, *cells))
    lines = aligned(rows)
    yield style.paint(lines[0], "dim")
    for facts, line in zip(days, lines[1:], strict=True):
        look = "red" if facts.key in refused else _LOOKS[facts.verdict] if facts.verdict is not Verdict.GREEN else ""
        yield style.paint(line, look) if look else line


def _columns(plan: Plan, sid: str, days: Sequence[DayFacts]) -> list[tuple[str, tuple[str, ...]]]:
    """Return a column for each set of instances that would change the same way: its heading and its cells."""
    changes = {(change.instance.fqdn, change.key): change for change in plan.changes}
    groups: dict[tuple[str, ...], list[Instance]] = {}
    for instance in plan.instances:
        if instance.carries(sid):
            cells = tuple(_cell(plan, instance, changes.get((instance.fqdn, facts.key))) for facts in days)
            groups.setdefault(cells, []).append(instance)
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    return [(label(plan, instances), cells) for cells, instances in ordered]


def _cell(plan: Plan, instance: Instance, change: Change | None) -> str:
    if instance.fqdn in plan.unreachable or change is None:
        return "UNREACHABLE"
    if change.action is Action.KEEP:
        return "keep"
    if change.action is Action.OWN:
        return "keep (own)"
    if change.action is Action.CREATE:
        return f"create {len(change.desired)}"
    return str(change.difference)


def label(plan: Plan, instances: Sequence[Instance]) -> str:
    """Return the heading over instances that would change the same way: one by name, whole towns, else a number."""
    if len(instances) == 1:
        return clean(instances[0].fqdn)
    towns = {instance.cluster for instance in instances}
    whole = [instance for instance in plan.instances if instance.cluster in towns]
    if len(towns) < 3 and len(whole) == len(instances) < len(plan.instances):
        return f"{', '.join(clean(town) for town in sorted(towns))}({len(instances)})"
    return count(len(instances), "instance")


def refusals(plan: Plan) -> Iterator[str]:
    """Yield a line for each reason why something is refused, and what releases it."""
    folded: dict[tuple[Any, str, tuple[str, ...]], list[Refusal]] = {}
    for refusal in plan.refusals:
        folded.setdefault((refusal.hazard, refusal.text, refusal.instances), []).append(refusal)
    for (hazard, said, fqdns), refusals in folded.items():
        days = ", ".join(f"{refusal.day:%d/%m}{_channel(plan, refusal)}" for refusal in refusals[:6])
        more = f" and {len(refusals) - 6} more" if len(refusals) > 6 else ""
        release = f" (--allow {hazard.value})" if hazard else ""
        who = "every target" if len(fqdns) == len(plan.instances) else names(fqdns)
        yield f"refused: {days}{more}: {clean(said)}: {who}{release}"


def _channel(plan: Plan, refusal: Refusal) -> str:
    """Return the channel of a refusal, where a day alone would not say which."""
    several = len({key[1] for key in (*plan.refused, *(facts.key for facts in plan.days))}) > 1
    return f" {clean(refusal.service_id)}" if several else ""


def saturdays(plan: Plan) -> Iterator[str]:
    """Yield a line for each Saturday written: the update covers two days more (SPEC 2)."""
    from datetime import timedelta

    for day in sorted({change.day for change in plan.writes if change.day.weekday() == 5}):
        after = [day + timedelta(days=1), day + timedelta(days=2)]
        yield f"{day:%d/%m} is a Saturday: the update also touches {after[0]:%d/%m} and {after[1]:%d/%m}"


def closing(plan: Plan, again: str, masters: str, gathered: Gathered[Any] | None, style: Style) -> Iterator[str]:
    """Yield the last lines of a plan, whatever it was made from: how much is ready, who is missing, how to go on."""
    ready, refused = len(plan.ready), len(plan.days) - len(plan.ready)
    if not plan.writes and not plan.refusals:
        actions = [change.action for change in plan.changes]
        yield f"{nothing_to_write(actions.count(Action.KEEP), actions.count(Action.OWN))}. {masters}"
    else:
        yield f"{count(ready, 'day')} ready, {refused} refused. {masters}"
    if gathered is not None:
        for answer in gathered.missing:
            said = answer.error.message if answer.error else ""
            yield style.paint(f"  {clean(answer.instance.fqdn)}: {clean(said)}", "red")
    if ready and plan.writes:
        yield f"  {again}{' --only-ready' if refused else ''}"


# --- json and csv


def data(view: ListingCheck | ListingPlan) -> dict[str, Any]:
    """Return the JSON."""
    plan = view.plan
    body: dict[str, Any] = {
        "days": [_day_data(view, facts) for facts in plan.days],
        "files": [
            {
                "media": fact.media,
                "seconds": fact.seconds,
                "measured": fact.measured,
                "disagrees": fact.disagrees(view.tolerance),
                "missing": fact.missing,
                "absent": list(fact.absent),
                "nearest": list(view.nearest.get(fact.media, ())),
            }
            for fact in plan.files.values()
        ],
    }
    body["refusals"] = [refusal_data(refusal) for refusal in plan.refusals]
    if isinstance(view, ListingPlan):
        body |= {
            "fingerprint": plan.fingerprint,
            "ready": [key_data(key) for key in plan.ready],
            "changes": [change_data(change) for change in plan.changes],
            "released": [refusal_data(refusal) for refusal in plan.released],
            "unreachable": dict(plan.unreachable),
        }
    return body


def key_data(key: Key) -> dict[str, str]:
    """Return the JSON of (day, service id)."""
    return {"day": day_text(key[0]), "service_id": key[1]}


def _day_data(view: ListingCheck | ListingPlan, facts: DayFacts) -> dict[str, Any]:
    return {
        **key_data(facts.key),
        "start": iso(facts.start, view.zone),
        "end": iso(facts.end, view.zone),
        "length": facts.end - facts.start,
        "overrun": facts.overrun,
        "files": len(facts.names),
        "verdict": facts.verdict.value,
        "missing": [
            {"media": media, "line": facts.lines[media], "start": iso(facts.starts[media], view.zone)}
            for media in facts.missing
        ],
    }


def change_data(change: Change) -> dict[str, Any]:
    """Return the JSON of one change."""
    return {
        "instance": change.instance.fqdn,
        **key_data(change.key),
        "action": change.action.value,
        "added": change.difference.added,
        "dropped": change.difference.dropped,
        "moved": change.difference.moved,
        "files": len(change.desired),
        "lacking": list(change.lacking),
    }


def refusal_data(refusal: Refusal) -> dict[str, Any]:
    """Return the JSON of one refusal."""
    return {
        "hazard": refusal.hazard.value if refusal.hazard else None,
        **key_data(refusal.key),
        "instances": list(refusal.instances),
        "text": refusal.text,
    }


def table(view: ListingCheck | ListingPlan) -> tuple[tuple[str, ...], Iterable[Sequence[object]]]:
    """Return header and rows for CSV: a day a row for a check, a change a row for a plan."""
    refused = view.plan.refused
    if isinstance(view, ListingCheck):
        return CHECK_HEADER, (
            flat({**_day_data(view, facts), "refused": facts.key in refused}, CHECK_HEADER) for facts in view.plan.days
        )
    return PLAN_HEADER, (
        flat({**change_data(change), "refused": change.key in refused}, PLAN_HEADER) for change in view.plan.changes
    )


def flat(row: Mapping[str, Any], header: Sequence[str]) -> list[object]:
    """Return a row of JSON as cells of CSV."""
    cells = []
    for name in header:
        cell = row[name]
        if isinstance(cell, list):
            cell = " ".join(one["media"] if isinstance(one, dict) else str(one) for one in cell)
        cells.append(cell)
    return cells
