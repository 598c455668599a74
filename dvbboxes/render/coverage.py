"""``coverage``: a picture in the terminal, JSON, CSV; as SVG and HTML see `picture`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from dvbboxes.coverage import Cell, Coverage, Row, State, tally
from dvbboxes.model import Gathered
from dvbboxes.render.style import Style, aligned, clean, columns, coverage, dated, iso
from dvbboxes.wire import day_text

HEADER = ("service_id", "channel", "town", "day", "state", "holders", "answered", "until")
WORDS = {
    State.GREEN: "whole day, every file there",
    State.ORANGE: "short",
    State.LIGHTBLUE: "a file missing",
    State.RED: "short and a file missing",
    State.UNEVEN: "instances differ, or some hold nothing",
    State.NONE: "nothing scheduled",
    State.UNKNOWN: "nobody answered",
    State.NOT_CARRIED: "not carried",
}
#: (what is drawn, its look); the letter alone tells them apart where there is no colour.
_DRAWN = {
    State.GREEN: ("G", "green"),
    State.ORANGE: ("O", "yellow"),
    State.LIGHTBLUE: ("L", "blue"),
    State.RED: ("R", "red"),
    State.UNEVEN: ("~", "yellow"),
    State.NONE: ("-", "red"),
    State.UNKNOWN: ("?", "dim"),
    State.NOT_CARRIED: (" ", "dim"),
}
_BLOCK = "\N{FULL BLOCK}"


def text(view: Coverage, gathered: Gathered[Any] | None, style: Style) -> Iterator[str]:
    """Yield the lines for a person."""
    titles = aligned([("channel", "town"), *((_channel(row), clean(row.town)) for row in view.rows)])
    left = max(map(columns, titles))
    yield style.paint(f"{titles[0]:<{left}}  {' '.join(f'{day:%d}' for day in view.days)}  scheduled until", "dim")
    for row, title in zip(view.rows, titles[1:], strict=True):
        gap = " " * (left - columns(title))
        yield f"{title}{gap}  {' '.join(_drawn(cell, style) for cell in row.cells)}  {until_text(view, row)}"
    yield ""
    yield "  ".join(f"{_drawn(Cell(state, 0, 0), style).strip()} {WORDS[state]}" for state, _ in tally(view))
    yield f"{dated(view.days[0])} .. {dated(view.days[-1])}"
    if view.output:
        yield f"written to {clean(view.output)}"
    if gathered is not None:
        yield from coverage(gathered, style)


def _channel(row: Row) -> str:
    return f"{row.service_id} {clean(row.name)}"


def _drawn(cell: Cell, style: Style) -> str:
    letter, look = _DRAWN[cell.state]
    if not style.color:
        return f" {letter}"
    return style.paint(f"{_BLOCK}{letter}" if letter in "~-?" else _BLOCK * 2, look)


def until_text(view: Coverage, row: Row) -> str:
    """Return until when a row is scheduled, for people."""
    if row.until is None:
        return "not today" if any(cell.answered for cell in row.cells) else "unknown"
    try:
        local = datetime.fromtimestamp(row.until, view.zone)
    except (OverflowError, ValueError, OSError):  # a file that lasts 1e300 s
        return "?"
    return f"{dated(local.date())} {local:%H:%M}"


def data(view: Coverage) -> dict[str, Any]:
    """Return the JSON."""
    return {
        "now": iso(view.now, view.zone),
        "days": [day_text(day) for day in view.days],
        "output": view.output or None,
        "rows": [
            {
                "service_id": row.service_id,
                "channel": row.name,
                "town": row.town,
                "until": iso(row.until, view.zone),
                "days": [
                    {
                        "day": day_text(day),
                        "state": cell.state.value,
                        "holders": cell.holders,
                        "answered": cell.answered,
                    }
                    for day, cell in zip(view.days, row.cells, strict=True)
                ],
            }
            for row in view.rows
        ],
    }


def table(view: Coverage) -> tuple[tuple[str, ...], Iterable[tuple[object, ...]]]:
    """Return header and rows for CSV: one row per channel, town and day."""
    return HEADER, (
        (
            row.service_id,
            row.name,
            row.town,
            day_text(day),
            cell.state.value,
            cell.holders,
            cell.answered,
            iso(row.until, view.zone),
        )
        for row in view.rows
        for day, cell in zip(view.days, row.cells, strict=True)
    )
