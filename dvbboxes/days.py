"""The days and times people type: DAY, ranges of days, clock times (DESIGN: the command line). Pure."""

from __future__ import annotations

import re
from datetime import date, time, timedelta

from dvbboxes.errors import BadDay, did_you_mean
from dvbboxes.wire import parse_day_text, shown

#: A range longer than this is a slip of the finger.
MOST_DAYS = 400
WORDS = {"yesterday": -1, "today": 0, "tomorrow": 1}
FORMS = "15062017, 15/06, 15/06/2017, 2017-06-15, today, tomorrow, yesterday, +2, -1, or a range A..B"

_OFFSET = re.compile(r"[+-][0-9]{1,4}\Z")
_SHORT = re.compile(r"([0-9]{2})/([0-9]{2})\Z")
_LONG = re.compile(r"([0-9]{2})/([0-9]{2})/([0-9]{4})\Z")
_ISO = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})\Z")
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?\Z")


def parse_day(text: str, today: date) -> date:
    """Return the day that one DAY means; raises :class:`BadDay`.

    ``today`` is the broadcast day on air, which offsets and words count from. ``15/06`` is the nearest 15 June.
    """
    if text in WORDS or _OFFSET.match(text):
        return _shifted(today, WORDS.get(text) if text in WORDS else int(text), text)
    if found := _SHORT.match(text):
        return _nearest(int(found[2]), int(found[1]), today, text)
    if found := _LONG.match(text):
        return _date(int(found[3]), int(found[2]), int(found[1]), text)
    if found := _ISO.match(text):
        return _date(int(found[1]), int(found[2]), int(found[3]), text)
    if (day := parse_day_text(text)) is not None:
        return day
    raise BadDay(f"{shown(text)} is no day{did_you_mean(text, WORDS)}: write {FORMS}")


def parse_days(text: str, today: date) -> tuple[date, ...]:
    """Return the days that a DAY or a range ``A..B`` (both ends included) means, in order; raises :class:`BadDay`."""
    first, dots, last = text.partition("..")
    start = parse_day(first, today)
    if not dots:
        return (start,)
    end = parse_day(last, today)
    if end < start:
        raise BadDay(f"{shown(text)} ends before it begins: write the earlier day first")
    count = (end - start).days + 1
    if count > MOST_DAYS:
        raise BadDay(f"{shown(text)} is {count} days long: at most {MOST_DAYS} are shown at once")
    return tuple(start + timedelta(days=n) for n in range(count))


def looks_like_day(text: str) -> bool:
    """Return whether a word has the form of a DAY or a range, whether or not such a date exists."""
    return all(
        part in WORDS
        or any(form.match(part) for form in (_OFFSET, _SHORT, _LONG, _ISO))
        or (part.isascii() and part.isdigit() and len(part) == 8)
        for part in text.split("..", 1)
    )


def parse_clock(text: str) -> time:
    """Return the clock time in ``20:00``, ``7:05`` or ``20:00:30``; raises :class:`BadDay`."""
    found = _CLOCK.match(text)
    try:
        if found:
            return time(int(found[1]), int(found[2]), int(found[3] or 0))
    except ValueError:
        pass  # 25:00 has the form and is no time: the same sentence says so
    raise BadDay(f"{shown(text)} is no time of day: write it like 20:00, or now")


def _date(year: int, month: int, day: int, text: str) -> date:
    try:
        return date(year, month, day)
    except ValueError:
        raise BadDay(f"{shown(text)} is no date: there is no such day") from None


def _nearest(month: int, day: int, today: date, text: str) -> date:
    near = []
    for year in (today.year - 1, today.year, today.year + 1):
        try:
            near.append(date(year, month, day))
        except ValueError:
            continue
    if not near:
        raise BadDay(f"{shown(text)} is no date in these years: there is no such day")
    return min(near, key=lambda found: (abs(found - today), found < today))


def _shifted(today: date, by: int | None, text: str) -> date:
    try:
        return today + timedelta(days=by or 0)
    except OverflowError:
        raise BadDay(f"{shown(text)} leads out of the calendar") from None
