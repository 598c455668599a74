"""The listing a programmer writes: text -> :class:`dvbboxes.model.Listing`, or every mistake in it (SPEC 5). Pure.

The rules, in the order the code has them: what a line is, which year a ``[dd/mm]`` means, what makes a day wrong.
Nothing is half accepted: one mistake anywhere and :class:`dvbboxes.errors.ListingError` carries them all.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import NamedTuple

from dvbboxes.errors import ListingError
from dvbboxes.model import Listing, ListingDay, ListingEntry
from dvbboxes.wire import is_media_name, parse_day_text, shown

MAX_DAYS = 31
#: A binary file is all mistakes: this many are told, the others are counted.
MAX_MISTAKES = 100

_FILE_NAME = re.compile(r"([0-9]+)_([0-9]{8})_([0-9]{8})")
_SECTION = re.compile(r"\[([0-9]{2})/([0-9]{2})(?:/([0-9]{4}))?\]")
_UNDECODABLE = re.compile(r"[\ud800-\udfff]")
#: Years whose days have a Unix time, a day before and a day after, in every zone.
_YEARS = range(1971, 9999)


class FileName(NamedTuple):
    """What ``SID_DDMMYYYY_DDMMYYYY`` says: channel, first and last day."""

    service_id: str
    first: date
    last: date


def parse_file_name(name: str) -> FileName | None:
    """Return (service id, first day, last day) that an upload's name says (SPEC 5), folders before it ignored.

    None for a name of another form, for one whose days are no dates and for one that ends before it begins.
    """
    found = _FILE_NAME.fullmatch(name.rpartition("/")[2])
    if not found:
        return None
    first, last = (parse_day_text(text) for text in found.group(2, 3))
    if first is None or last is None or last < first or first.year not in _YEARS or last.year not in _YEARS:
        return None
    return FileName(found.group(1), first, last)


def parse(text: str | bytes, *, filename: str = "", today: date, service_id: str | None = None) -> Listing:
    """Return the listing that ``text`` holds, or raise :class:`ListingError` with every mistake in it (SPEC 5).

    ``filename`` is the name the file came under: ``SID_DDMMYYYY_DDMMYYYY`` says the channel and the days, and decides
    the years. Without such a name ``today`` (the date where the channels play) does. ``service_id`` is the channel
    asked for; a file named for another one is a mistake.
    """
    named = parse_file_name(filename)
    reader = _Reader(today, named)
    if named is None and _FILE_NAME.fullmatch(filename.rpartition("/")[2]):
        reader.mistake(0, "the file is named like SID_DDMMYYYY_DDMMYYYY, but not after a real first and last day")
    if named and service_id is not None and service_id != named.service_id:
        reader.mistake(0, f"the file is named for channel {named.service_id}, not for {shown(service_id)}: rename it")
    reader.read(_lines(text))
    if reader.mistakes:
        raise ListingError(
            reader.mistakes,
            more=reader.more,
            source=_printable(filename.rpartition("/")[2]),
            bad_names=reader.bad_names,
            undated=reader.undated or reader.current is None,
        )
    return Listing(
        service_id if service_id is not None else named.service_id if named else None,
        named.first if named else None,
        named.last if named else None,
        tuple(ListingDay(opened.day, opened.line, tuple(opened.entries)) for opened in reader.days if opened.day),
    )


def render(days: Iterable[ListingDay]) -> str:
    """Return the text of a listing, its days dated ``[dd/mm/yyyy]`` so that they read the same in any year (SPEC 5)."""
    return "\n".join(
        f"[{day.day:%d/%m}/{day.day.year:04d}]\n" + "".join(f"{entry.name}\n" for entry in day.entries) for day in days
    )


# --- reading --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Opened:
    """A section while it is read. ``used``: something stood in it, if only a wrong name."""

    line: int
    day: date | None
    filled: bool
    used: bool = False
    entries: list[ListingEntry] = field(default_factory=list)


class _Dated(NamedTuple):
    """What a section's text means: a day (``filled``: its year was ours), or None and what is wrong."""

    day: date | None
    filled: bool
    wrong: str


class _Reader:
    """Goes through the lines once and collects days and mistakes, both in the order of the file."""

    def __init__(self, today: date, named: FileName | None) -> None:
        self.today = today
        self.named = named
        self.days: list[_Opened] = []
        self.current: _Opened | None = None
        self.seen: dict[date, int] = {}
        self.dates: dict[str, _Dated] = {}
        self.mistakes: list[tuple[int, str]] = []
        self.more = 0
        self.bad_names: list[str] = []
        self.undated = False

    def mistake(self, line: int, text: str) -> None:
        if len(self.mistakes) < MAX_MISTAKES:
            self.mistakes.append((line, text))
        else:
            self.more += 1

    def read(self, lines: Iterable[str]) -> None:
        entries: list[ListingEntry] | None = None
        for number, raw in enumerate(lines, 1):
            line = raw.strip(" \t\n")
            # The first test is the one nearly every line passes: ten megabytes go through here.
            if entries is not None and is_media_name(line):
                entries.append(ListingEntry(line, number))
            elif not line or line[0] in "#;":
                continue
            elif line[0] == "[":
                self._close()
                entries = self._open(number, line)
            else:
                self._wrong_line(number, line)
        self._close()
        if self.current is None and not self.mistakes:
            self.mistake(0, "there is no day in it: a listing begins with [dd/mm]")

    def _open(self, number: int, line: str) -> list[ListingEntry]:
        dated = self.dates.get(line)
        if dated is None:
            dated = self.dates[line] = self._date(line)
        opened = _Opened(number, dated.day, dated.filled)
        if dated.day is None:
            self.undated = True
            self.mistake(number, dated.wrong)
        else:
            self._place(opened, dated.day)
        self.current = opened
        # One day too many is kept, to be counted; the rest of an endless file is only read for its mistakes.
        if len(self.days) <= MAX_DAYS:
            self.days.append(opened)
            if len(self.days) > MAX_DAYS:
                self.mistake(number, f"this is day {MAX_DAYS + 1}: a listing has {MAX_DAYS} at most")
        return opened.entries

    def _close(self) -> None:
        """Note that the day read so far is over: it is empty unless something, even a wrong name, stood in it."""
        if self.current is not None and not self.current.entries and not self.current.used:
            self.mistake(self.current.line, "this day is empty: it would play nothing")

    def _wrong_line(self, number: int, line: str) -> None:
        misplaced = self.current is None
        if self.current is not None:
            self.current.used = True
        if len(self.mistakes) == MAX_MISTAKES:
            # A binary file has millions: no text is made for what is only counted.
            self.more += misplaced + (not is_media_name(line))
            return
        if misplaced:
            self.mistake(number, f"{shown(line)} stands before the first [dd/mm]")
        if not is_media_name(line):
            self.bad_names.append(line)
            self.mistake(number, _wrong_name(line))

    def _date(self, line: str) -> _Dated:
        """Return the date of a section, or what is wrong with it."""
        found = _SECTION.fullmatch(line)
        if not found:
            wrong = f"{shown(line)} is no day: write [dd/mm] or [dd/mm/yyyy], nothing else on the line"
            return _Dated(None, False, wrong)
        day, month = int(found.group(1)), int(found.group(2))
        if _date(2000, month, day) is None:  # a leap year: what is no date then never is
            return _Dated(None, False, f"{line} is no date")
        if found.group(3):
            return _Dated(_date(int(found.group(3)), month, day), False, f"{line} is no date")
        if self.named:
            wrong = f"{line} is not one day {_between(self.named)}, which the file is named for"
            return _Dated(_within(month, day, self.named), False, wrong)
        year = self.today.year + (month < self.today.month)
        return _Dated(_date(year, month, day), True, f"{line} is no date in {year}")

    def _place(self, opened: _Opened, day: date) -> None:
        """Check a day against the file's name and the days before it."""
        if self.named and not self.named.first <= day <= self.named.last:
            self.mistake(opened.line, f"{day:%d/%m/%Y} is not {_between(self.named)}, which the file is named for")
        if day in self.seen:
            self.mistake(opened.line, f"{day:%d/%m/%Y} stands twice: it began on line {self.seen[day]} already")
            return
        self.seen[day] = opened.line
        before = self.current
        if before is None or before.day is None or not (opened.filled or before.filled):
            return
        if day - before.day != timedelta(days=1):
            self.mistake(
                opened.line,
                f"{day:%d/%m/%Y} does not follow {before.day:%d/%m/%Y} (line {before.line}): "
                "write both as [dd/mm/yyyy], or name the file SID_DDMMYYYY_DDMMYYYY",
            )


def _lines(text: str | bytes) -> Iterable[str]:
    """Return the lines as an editor numbers them: ended by LF, CRLF or CR and by nothing else."""
    if isinstance(text, bytes):
        # What is no UTF-8 becomes lone surrogates, so that it is told line by line.
        text = text.decode("utf-8", "surrogateescape")
    return io.StringIO(text.removeprefix("\ufeff"), newline=None)


def _wrong_name(line: str) -> str:
    if _UNDECODABLE.search(line):
        return f"{shown(line)} is no UTF-8 text"
    if "\0" in line:
        return f"{shown(line)} is no text: it has NUL in it (is this a listing at all?)"
    rule = "a name has only a-z, 0-9 and _"
    stem = line.removesuffix(".ts")
    if stem != line and is_media_name(stem):
        rule = f"names stand without .ts: write {shown(stem)}"
    return f"{shown(line)} is no media name: {rule}"


def _within(month: int, day: int, named: FileName) -> date | None:
    """Return the one such day of the file name's span; None where there is none or, in a span of years, several."""
    found = None
    for year in range(named.first.year, named.last.year + 1):
        candidate = _date(year, month, day)
        if candidate is not None and named.first <= candidate <= named.last:
            if found is not None:
                return None
            found = candidate
    return found


def _between(named: FileName) -> str:
    return f"from {named.first:%d/%m/%Y} to {named.last:%d/%m/%Y}"


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day) if year in _YEARS else None
    except ValueError:
        return None


def _printable(name: str) -> str:
    return name if name.isprintable() and len(name) <= 60 else shown(name)
