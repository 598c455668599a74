"""``coverage``: channels across days, town by town, how well each is scheduled, and until when. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, time, timedelta, tzinfo
from enum import Enum

from dvbboxes.findings import Material, Survey
from dvbboxes.findings.files import Files, files_of
from dvbboxes.findings.programs import SaidProgram, Variant, variants_of
from dvbboxes.model import Answer, DurationKind, Town
from dvbboxes.plan import Verdict, verdict_of
from dvbboxes.schedule import moment


class State(Enum):
    """How well one channel's day is scheduled in one town, the best first; the worst instance decides."""

    GREEN = "green"
    ORANGE = "orange"
    LIGHTBLUE = "lightblue"
    RED = "red"
    UNEVEN = "uneven"
    NONE = "none"
    UNKNOWN = "unknown"
    NOT_CARRIED = "not-carried"


_OF_VERDICT = {
    Verdict.GREEN: State.GREEN,
    Verdict.ORANGE: State.ORANGE,
    Verdict.LIGHTBLUE: State.LIGHTBLUE,
    Verdict.RED: State.RED,
}
_BADNESS = list(State)


@dataclass(frozen=True, slots=True)
class Cell:
    """One day: its state, and how many of the instances that answered hold a program."""

    state: State
    holders: int
    answered: int


@dataclass(frozen=True, slots=True)
class Row:
    """One channel in one town: a cell per day, and the end (Unix seconds) of the days in a row from the first.

    ``until`` None: the first day is not scheduled on every instance that answered.
    """

    town: str
    service_id: str
    name: str
    cells: tuple[Cell, ...]
    until: float | None


@dataclass(frozen=True, slots=True)
class Coverage:
    """The result of ``coverage``: rows by channel and town. ``now`` is Unix seconds; ``output`` the file written."""

    days: tuple[date, ...]
    rows: tuple[Row, ...]
    zone: tzinfo
    now: float
    output: str = ""

    @property
    def wrong(self) -> bool:
        """Return whether a day is scheduled unevenly, short or with files missing, or the first one is not at all."""
        bad = {State.ORANGE, State.LIGHTBLUE, State.RED, State.UNEVEN}
        return any(cell.state in bad for row in self.rows for cell in row.cells) or any(
            row.cells[0].state is State.NONE for row in self.rows
        )

    def written_to(self, path: str) -> Coverage:
        """Return the same, with the file it was written to."""
        return replace(self, output=path)


def coverage(material: Material) -> Coverage:
    """Return how well each channel of :attr:`Material.keys` is scheduled in each town asked, day by day."""
    days = tuple(dict.fromkeys(day for day, _ in material.keys))
    service_ids = tuple(dict.fromkeys(sid for _, sid in material.keys))
    fqdns = {answer.instance.fqdn for answer in material.gathered.answers}
    towns = [
        Town(town.name, tuple(instance for instance in town.instances if instance.fqdn in fqdns))
        for town in material.config.towns
    ]
    answers = {answer.instance.fqdn: answer for answer in material.gathered.answers}
    held = _held(material)
    rows = [_row(material, town, sid, days, held, answers) for sid in service_ids for town in towns if town.instances]
    return Coverage(days, tuple(rows), material.zone, material.now)


@dataclass(frozen=True, slots=True)
class _Day:
    """One instance's day of one channel: what it holds, how well, and when it ends (Unix seconds)."""

    said: SaidProgram
    state: State
    end: float | None


def _held(material: Material) -> Mapping[tuple[str, date, str], _Day]:
    """Return (fqdn, day, service id) -> what is held there, of those that answered and hold something."""
    files = files_of(material.voices())
    found: dict[tuple[str, date, str], _Day] = {}
    for (day, sid), variants in variants_of(material).items():
        for variant in variants:
            if variant.slots:
                end = _end(variant, files, material)
                midnight = moment(day + timedelta(days=1), variant.instances[0].zone, time(0))
                whole = end is not None and end >= midnight - material.config.schedule.tolerance
                for fqdn in variant.fqdns:
                    state = _OF_VERDICT[verdict_of(whole, _lacks(variant, files, fqdn))]
                    found[fqdn, day, sid] = _Day(variant.said, state, end)
    return found


def _end(variant: Variant, files: Files, material: Material) -> float | None:
    last = variant.slots[-1]
    length = files.length(last.media, None, material.config.schedule.tolerance)
    return last.start + (length or 0.0)


def _lacks(variant: Variant, files: Files, fqdn: str) -> bool:
    return any(
        said.duration.kind is DurationKind.ABSENT and fqdn in said.instances
        for slot in variant.slots
        if slot.media in files.odd
        for said in files.odd[slot.media]
    )


def _row(
    material: Material,
    town: Town,
    sid: str,
    days: Sequence[date],
    held: Mapping[tuple[str, date, str], _Day],
    answers: Mapping[str, Answer[Survey]],
) -> Row:
    carrying = [instance.fqdn for instance in town.instances if instance.carries(sid)]
    answered = [fqdn for fqdn in carrying if answers[fqdn].ok]
    cells = tuple(_cell(carrying, answered, [held.get((fqdn, day, sid)) for fqdn in answered]) for day in days)
    until = None
    for day, cell in zip(days, cells, strict=True):
        if not cell.answered or cell.holders < cell.answered:
            break
        ends = [found.end for fqdn in answered if (found := held.get((fqdn, day, sid))) and found.end is not None]
        until = min(ends, default=until)
    return Row(town.name, sid, material.config.channels[sid], cells, until)


def _cell(carrying: Sequence[str], answered: Sequence[str], found: Sequence[_Day | None]) -> Cell:
    holding = [day for day in found if day is not None]
    if not carrying:
        state = State.NOT_CARRIED
    elif not answered:
        state = State.UNKNOWN
    elif not holding:
        state = State.NONE
    elif len(holding) < len(found) or len({day.said for day in holding}) > 1:
        state = State.UNEVEN
    else:
        state = max((day.state for day in holding), key=_BADNESS.index)
    return Cell(state, len(holding), len(answered))


def tally(view: Coverage) -> Iterator[tuple[State, int]]:
    """Yield each state there is, with how many cells are in it, in the order of :class:`State`."""
    for state in State:
        number = sum(cell.state is state for row in view.rows for cell in row.cells)
        if number:
            yield state, number
