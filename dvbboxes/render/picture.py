"""``coverage`` as a picture: SVG, and a standalone HTML page around it. Strings that need nothing else. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from html import escape

from dvbboxes.coverage import Cell, Coverage, Row, State, tally
from dvbboxes.render.coverage import WORDS, until_text
from dvbboxes.render.style import clean, dated

_FILL = {
    State.GREEN: "#2e9e5b",
    State.ORANGE: "#e8912d",
    State.LIGHTBLUE: "#7cc4ea",
    State.RED: "#cf3a3a",
    State.UNEVEN: "url(#uneven)",
    State.NONE: "#5b1f24",
    State.UNKNOWN: "url(#unknown)",
    State.NOT_CARRIED: "none",
}
#: Said in the cell too, so that nobody needs to tell the colours apart.
_SIGN = {State.ORANGE: "short", State.LIGHTBLUE: "file", State.RED: "both", State.UNEVEN: "\N{NOT EQUAL TO}",
         State.NONE: "\N{EN DASH}", State.UNKNOWN: "?"}  # fmt: skip
_DARK_TEXT = {State.ORANGE, State.LIGHTBLUE, State.UNEVEN, State.UNKNOWN}
_CELL, _LINE, _TOP, _CHANNEL, _TOWN, _UNTIL = 44, 26, 64, 190, 130, 170
_WEEKDAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1d2126; }
.small { font-size: 11px; }
.dim { fill: #6a727c; }
.light { fill: #ffffff; }
.head { font-weight: 600; }
.line { stroke: #d5d9de; stroke-width: 1; }
"""
_PAGE_STYLE = """
body { margin: 2rem auto; max-width: 100rem; padding: 0 1rem; font: 15px/1.5 system-ui, sans-serif; color: #1d2126; }
h1 { font-size: 1.4rem; margin: 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin-top: 1.5rem; }
td, th { text-align: left; padding: .2rem .8rem; border-bottom: 1px solid #d5d9de; }
td:nth-child(-n+3), th { white-space: nowrap; }
"""


def svg(view: Coverage) -> str:
    """Return the picture as an SVG document."""
    legend = list(tally(view))
    width = _CHANNEL + _TOWN + _CELL * len(view.days) + _UNTIL + 20
    height = _TOP + _LINE * len(view.rows) + 40 + 20 * len(legend)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        ' role="img" aria-label="coverage">',
        f"<style>{_STYLE}</style>",
        _pattern("uneven", "#f4d35e", "#c79a12"),
        _pattern("unknown", "#e7e9ec", "#b4bac2"),
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="10" y="20" class="head">{_said(view)}</text>',
        *_heads(view),
    ]
    for number, row in enumerate(view.rows):
        new = number == 0 or view.rows[number - 1].service_id != row.service_id
        parts += _row(view, row, _TOP + _LINE * number, named=new, width=width)
    parts += _legend(legend, _TOP + _LINE * len(view.rows) + 30)
    return "\n".join([*parts, "</svg>\n"])


def html(view: Coverage) -> str:
    """Return a page of its own: the picture, and the same in words."""
    title = "Coverage"
    lines = "\n".join(
        f"<tr><td>{_text(row.service_id)} {_text(row.name)}</td><td>{_text(row.town)}</td>"
        f"<td>{_text(until_text(view, row))}</td><td>{_text(_in_words(view, row))}</td></tr>"
        for row in view.rows
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{_PAGE_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
        f'<div class="scroll">\n{svg(view)}</div>\n'
        f"<table>\n<tr><th>channel</th><th>town</th><th>scheduled until</th><th>what is amiss</th></tr>\n{lines}\n"
        "</table>\n</body>\n</html>\n"
    )


def _said(view: Coverage) -> str:
    local = datetime.fromtimestamp(view.now, view.zone)
    return f"{dated(view.days[0])} to {dated(view.days[-1])}, as of {dated(local.date())} {local:%H:%M}"


def _text(said: str) -> str:
    return escape(clean(said), quote=True)


def _pattern(name: str, ground: str, stripe: str) -> str:
    return (
        f'<pattern id="{name}" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        f'<rect width="8" height="8" fill="{ground}"/><rect width="3" height="8" fill="{stripe}"/></pattern>'
    )


def _heads(view: Coverage) -> Iterator[str]:
    yield f'<text x="10" y="{_TOP - 8}" class="small dim">channel</text>'
    yield f'<text x="{_CHANNEL}" y="{_TOP - 8}" class="small dim">town</text>'
    for number, day in enumerate(view.days):
        x = _x(number) + _CELL / 2
        yield f'<text x="{x}" y="{_TOP - 22}" class="small dim" text-anchor="middle">{_WEEKDAYS[day.weekday()]}</text>'
        yield f'<text x="{x}" y="{_TOP - 8}" class="small" text-anchor="middle">{day:%d/%m}</text>'
    yield f'<text x="{_x(len(view.days)) + 12}" y="{_TOP - 8}" class="small dim">scheduled until</text>'


def _x(number: int) -> int:
    return _CHANNEL + _TOWN + _CELL * number


def _row(view: Coverage, row: Row, y: int, *, named: bool, width: int) -> Iterator[str]:
    if named:
        yield f'<line x1="10" x2="{width - 10}" y1="{y}" y2="{y}" class="line"/>'
        yield f'<text x="10" y="{y + 18}" class="head">{_text(_short(f"{row.service_id} {row.name}", 24))}</text>'
    yield f'<text x="{_CHANNEL}" y="{y + 18}">{_text(_short(row.town, 16))}</text>'
    for number, (day, cell) in enumerate(zip(view.days, row.cells, strict=True)):
        if cell.state is not State.NOT_CARRIED:
            yield from _box(row, day, cell, _x(number), y)
    yield f'<text x="{_x(len(view.days)) + 12}" y="{y + 18}">{_text(until_text(view, row))}</text>'


def _box(row: Row, day: date, cell: Cell, x: int, y: int) -> Iterator[str]:
    told = (
        f"{row.service_id} {row.name}, {row.town}, {dated(day)}: {WORDS[cell.state]} ({cell.holders}/{cell.answered})"
    )
    yield f"<g><title>{_text(told)}</title>"
    size = f'width="{_CELL - 4}" height="{_LINE - 6}" rx="3"'
    yield f'<rect x="{x + 2}" y="{y + 3}" {size} fill="{_FILL[cell.state]}"/>'
    if sign := _SIGN.get(cell.state, ""):
        shade = "small" if cell.state in _DARK_TEXT else "small light"
        yield f'<text x="{x + _CELL / 2}" y="{y + 17}" class="{shade}" text-anchor="middle">{sign}</text>'
    yield "</g>"


def _short(said: str, most: int) -> str:
    return said if len(said) <= most else f"{said[: most - 1]}\N{HORIZONTAL ELLIPSIS}"


def _legend(legend: list[tuple[State, int]], y: int) -> Iterator[str]:
    for number, (state, count) in enumerate(entry for entry in legend if entry[0] is not State.NOT_CARRIED):
        top = y + 20 * number
        yield f'<rect x="10" y="{top - 11}" width="24" height="14" rx="3" fill="{_FILL[state]}"/>'
        yield f'<text x="42" y="{top}" class="small">{escape(WORDS[state])} ({count})</text>'


def _in_words(view: Coverage, row: Row) -> str:
    """Return the days of a row that are not as they should be, in words."""
    amiss: dict[State, list[str]] = {}
    for day, cell in zip(view.days, row.cells, strict=True):
        if cell.state not in (State.GREEN, State.NOT_CARRIED):
            amiss.setdefault(cell.state, []).append(f"{day:%d/%m}")
    return "; ".join(f"{WORDS[state]}: {', '.join(days)}" for state, days in amiss.items())
