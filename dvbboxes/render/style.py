"""How text looks: colour, columns, times, and making strings from outside fit to print. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import Any

from dvbboxes.model import Duration, DurationKind, Gathered, State

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "36", "reverse": "7"}
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, slots=True)
class Style:
    """What the terminal can do. Without ``color`` no escape sequence is written."""

    color: bool = False
    width: int = 120

    def paint(self, text: str, look: str) -> str:
        """Return ``text`` in a look of :data:`_CODES`."""
        return f"\x1b[{_CODES[look]}m{text}\x1b[0m" if self.color and text else text


def clean(text: str) -> str:
    """Return text from outside as it can be printed: control characters and broken bytes become escapes."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text)


def columns(text: str) -> int:
    """Return how many columns of a terminal a printable text takes."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(bool(unicodedata.combining(char)) for char in text)


def aligned(rows: Sequence[Sequence[str]], right: Iterable[int] = ()) -> list[str]:
    """Return rows of cells as lines with aligned columns; the columns in ``right`` are set to the right."""
    if not rows:
        return []
    widths = [max(columns(row[n]) for row in rows) for n in range(len(rows[0]))]
    to_right = set(right)
    lines = []
    for row in rows:
        cells = []
        for n, cell in enumerate(row):
            gap = " " * (widths[n] - columns(cell))
            cells.append(gap + cell if n in to_right else cell + gap)
        lines.append("  ".join(cells).rstrip())
    return lines


def clock(moment: float | None, zone: tzinfo) -> str:
    """Return a moment's local time of day, ``05:20:00``; ``?`` for none."""
    found = local(moment, zone)
    return "?" if found is None else found.strftime("%H:%M:%S")


def iso(moment: float | None, zone: tzinfo) -> str | None:
    """Return a moment in ISO 8601 with its offset, for JSON and CSV; fractions are kept."""
    found = local(moment, zone)
    return None if found is None else found.isoformat()


def local(moment: float | None, zone: tzinfo) -> datetime | None:
    """Return a moment in a zone; None for a moment no calendar has (a file that lasts 1e300 s ends then)."""
    try:
        return None if moment is None else datetime.fromtimestamp(moment, zone)
    except (OverflowError, ValueError, OSError):
        return None


def dated(day: date, *, year: bool = True) -> str:
    """Return a date with its weekday, ``Mon 23-11-2026``."""
    return f"{_WEEKDAYS[day.weekday()]} {day.strftime('%d-%m-%Y' if year else '%d-%m')}"


def span(window: tuple[float, float], zone: tzinfo) -> str:
    """Return a day's window, ``Mon 23-11-2026 07:30 -> Tue 24-11 07:30``."""
    start, end = (datetime.fromtimestamp(moment, zone) for moment in window)
    return f"{dated(start.date())} {start:%H:%M} -> {dated(end.date(), year=False)} {end:%H:%M}"


def length(seconds: float | None) -> str:
    """Return a length as ``h:mm:ss`` (to the nearest second); ``?`` for None."""
    if seconds is None:
        return "?"
    sign, whole = ("-", round(-seconds)) if seconds < 0 else ("", round(seconds))
    return f"{sign}{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def age(seconds: float | None) -> str:
    """Return an age for people: ``4 s``, ``12 min``, ``3 h 20 min``, ``2 d 4 h``."""
    if seconds is None:
        return "unknown"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def names(found: Sequence[str], most: int = 4) -> str:
    """Return names as a list for people, the end of a long one counted."""
    shown = ", ".join(clean(name) for name in found[:most])
    return f"{shown} and {len(found) - most} more" if len(found) > most else shown


def count(number: int, noun: str) -> str:
    """Return ``1 file``, ``2 files``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration_said(duration: Duration) -> str:
    """Return what an instance that has a file says of its duration."""
    if duration.kind is DurationKind.UNMEASURED:
        return "not measured (3.14)"
    if duration.kind is DurationKind.CORRUPT:
        return f"corrupt ({clean(duration.text)})"
    return f"{length(duration.seconds)} ({clean(duration.text)} s)"


def left_alone(kept: int, own: int) -> str:
    """Return what a writing command leaves as it is: programs that are as meant, and a town's own; empty for none."""
    parts = [f"{count(kept, 'program')} already as meant"] if kept else []
    parts += [f"{count(own, 'program')} left alone, a town's own (--allow own)"] if own else []
    return "; ".join(parts)


def nothing_to_write(kept: int, own: int) -> str:
    """Return what a plan, and a command that was to carry one out, say where nothing is to be written."""
    left = left_alone(kept, own)
    return f"nothing to write{f': {left}' if left else ''}"


def coverage(gathered: Gathered[Any], style: Style, closing: str = "") -> list[str]:
    """Return the lines that say who answered, how old the oldest answer is, and why each missing one is missing."""
    answered, missing = gathered.answered, gathered.missing
    head = f"{len(answered)}/{len(gathered.answers)} instances answered"
    if answered:
        head += f", oldest {age(gathered.oldest)}" if gathered.oldest is not None else ", oldest of unknown age"
    head += f"; missing: {len(missing)}" if missing else "."
    lines = [style.paint(head, "red" if missing else "dim") + (f" {closing}" if closing and not missing else "")]
    for answer in missing:
        said = answer.error.message if answer.error else ""
        lines.append(f"  {clean(answer.instance.fqdn)}: {clean(said)}")
    for answer in answered:
        if answer.freshness.state is State.STALE:
            held = "of unknown age" if answer.freshness.age is None else f"{age(answer.freshness.age)} old"
            lines.append(
                style.paint(f"  {clean(answer.instance.fqdn)}: stale, {held}: {answer.freshness.reason}", "yellow")
            )
    if closing and missing:
        lines.append(closing)
    return lines
