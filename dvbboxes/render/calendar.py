"""``program list``: days and channels that exist, as text, JSON and CSV. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import groupby
from typing import Any

from dvbboxes.aggregate.calendar import ListedChannel, ProgramList, Until
from dvbboxes.model import Gathered
from dvbboxes.render.style import Style, aligned, clean, columns, count, coverage, dated, iso, local, names
from dvbboxes.wire import day_text

HEADER = ("day", "service_id", "channel", "held", "asked", "lacking")


def text(view: ProgramList, gathered: Gathered[Any] | None, style: Style) -> Iterator[str]:
    """Yield the lines for a person."""
    if gathered is None:
        return
    if gathered.answered:
        yield from _days(view, style)
        yield ""
        yield from _untils(view, style)
        yield from _passed_over(view)
    yield from coverage(gathered, style)


def _days(view: ProgramList, style: Style) -> Iterator[str]:
    if not view.days:
        yield f"no programs{' from today on' if view.earlier else ''}"
    else:
        rows = [(_run(days), *cells) for cells, days in _folded(view)]
        lines = aligned([("day", *(f"{c.service_id} {clean(c.name)}" for c in view.channels)), *rows])
        if columns(lines[0]) > style.width:  # the names stand below once more
            lines = aligned([("day", *(c.service_id for c in view.channels)), *rows])
        yield style.paint(lines[0], "dim")
        for (cells, _), line in zip(_folded(view), lines[1:], strict=True):
            yield style.paint(line, "yellow") if any("/" in cell or cell == "-" for cell in cells) else line
    if view.earlier:
        yield style.paint(f"{count(view.earlier, 'earlier day')} held too", "dim")


def _folded(view: ProgramList) -> list[tuple[tuple[str, ...], list[date]]]:
    """Return the cells of the channels and the run of days, one after the other, that they are the same for."""

    def cells(day: date) -> tuple[str, ...]:
        return tuple(_cell(channel, day) for channel in view.channels)

    folded = []
    for same, run in groupby(view.days, key=cells):
        days: list[date] = []
        for day in run:
            if days and (day - days[-1]).days > 1:
                folded.append((same, days))
                days = []
            days.append(day)
        folded.append((same, days))
    return folded


def _run(days: Sequence[date]) -> str:
    return dated(days[0]) if len(days) == 1 else f"{dated(days[0])} .. {dated(days[-1])}"


def _cell(channel: ListedChannel, day: date) -> str:
    held, asked = len(channel.holders.get(day, ())), len(channel.asked)
    return "-" if not held else str(held) if held == asked else f"{held}/{asked}"


def _untils(view: ProgramList, style: Style) -> Iterator[str]:
    for channel in view.channels:
        title = f"{channel.service_id} {clean(channel.name)}"
        if not channel.asked:
            yield f"{title}: nobody that carries it answered"
            continue
        *odd, main = sorted(channel.until, key=lambda one: len(one.instances))
        line = f"{title}: scheduled until {_until(view, main)}"
        for one in odd:
            line += style.paint(f"; {names(one.instances)} until {_until(view, one)}", "yellow")
        yield line


def _until(view: ProgramList, until: Until) -> str:
    if until.moment is None:
        return "now: nothing today"
    moment = local(until.moment, view.zone)
    return "?" if moment is None else f"{dated(moment.date())} {moment:%H:%M}"


def _passed_over(view: ProgramList) -> Iterator[str]:
    if view.unknown:
        yield f"! channels in Redis that the configuration does not know: {names(view.unknown, 8)}"
    if view.passed_over:
        counts = [f"{fqdn} ({number})" for fqdn, number in view.passed_over.items()]
        yield f"! keys that are no programs, passed over: {names(counts, 6)}"


def data(view: ProgramList) -> dict[str, Any]:
    """Return the JSON."""
    return {
        "day_on_air": day_text(view.on_air),
        "days": [day_text(day) for day in view.days],
        "earlier_days": view.earlier,
        "unknown_channels": list(view.unknown),
        "passed_over": dict(view.passed_over),
        "channels": [
            {
                "service_id": channel.service_id,
                "channel": channel.name,
                "asked": list(channel.asked),
                "holders": {day_text(day): list(fqdns) for day, fqdns in channel.holders.items()},
                "until": [
                    {"moment": iso(one.moment, view.zone), "instances": list(one.instances)} for one in channel.until
                ],
            }
            for channel in view.channels
        ],
    }


def table(view: ProgramList) -> tuple[tuple[str, ...], Iterable[tuple[object, ...]]]:
    """Return header and rows for CSV: one row per day and channel that any instance holds."""
    return HEADER, (
        (
            day_text(day),
            channel.service_id,
            channel.name,
            len(channel.holders[day]),
            len(channel.asked),
            " ".join(fqdn for fqdn in channel.asked if fqdn not in channel.holders[day]),
        )
        for day in view.days
        for channel in view.channels
        if day in channel.holders
    )
