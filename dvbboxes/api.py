"""The Python API that existing callers use (SPEC 7): thin over the same rooms as the commands.

Nothing is read or connected to before the first use. A replica that does not answer does not raise: the answer is made
of the rest, and a warning goes to ``LOGGER``; only when no instance answers NoAnswer is raised.
"""

from __future__ import annotations

import json
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dvbboxes.errors import BadDay, DvbboxesError, ListingError, NoAnswer, UnknownName, UsageError
from dvbboxes.listing import parse
from dvbboxes.model import Config, DurationKind, Gathered, Instance, Slot
from dvbboxes.schedule import lay_out
from dvbboxes.wire import day_text, media_file, parse_day_text, shown

if TYPE_CHECKING:
    import logging
    from configparser import RawConfigParser

T = TypeVar("T")


# --- what is configured, at first use -------------------------------------------------------------------------------


@cache
def config() -> Config:
    """Return the configuration that ``DVBBOXES_CONFIG`` or the default path names; raises ConfigError."""
    from dvbboxes.config import load, locate

    return load(locate(None, os.environ))


@cache
def towns() -> list[str]:
    """Return ``TOWNS``: town names in file order, always the same list (callers sort it in place)."""
    return [town.name for town in config().towns]


@cache
def cluster() -> OrderedDict[str, list[str]]:
    """Return ``CLUSTER``: town -> its fqdns, sorted by town."""
    ordered = sorted(config().towns, key=lambda town: town.name)
    return OrderedDict((town.name, [instance.fqdn for instance in town.instances]) for town in ordered)


@cache
def channels() -> dict[str, str]:
    """Return ``CHANNELS``: service id -> name."""
    return dict(config().channels)


@cache
def raw_config() -> RawConfigParser:
    """Return ``CONFIG``: the standard parser over the file, values as they are written."""
    from dvbboxes.config import raw_parser

    return raw_parser(config().path)


@cache
def logger() -> logging.Logger:
    """Return ``LOGGER``: the logger ``dvbboxes``, writing where ``[LOG]`` says."""
    from dvbboxes.config import prepare
    from dvbboxes.logfile import logger as make

    log = make(config().log)
    for line in prepare(config()):
        log.warning(line)
    return log


# --- asking ---------------------------------------------------------------------------------------------------------


def _scope(names: str | Iterable[str] | None) -> tuple[Instance, ...]:
    """Return the instances of the towns named: None or empty is all, a str is one (SPEC 7); KeyError for no town."""
    if not names:
        return config().instances
    by_name = {town.name: town for town in config().towns}
    wanted = [names] if isinstance(names, str) else list(names)
    for name in wanted:
        if name not in by_name:
            raise UnknownName("town", name, by_name)
    # Once each: one connection cannot carry two talks at a time.
    named = tuple(instance for name in dict.fromkeys(wanted) for instance in by_name[name].instances)
    return named or config().instances


def _ask(names: str | Iterable[str] | None, question: Callable[..., Gathered[T]], *arguments: Any) -> Gathered[T]:
    from dvbboxes.fleet import Fleet
    from dvbboxes.memory import Memory

    settings = config().redis
    recall = Memory(config().data_folder, _calendar_day().isoformat())
    with Fleet(max_age=settings.max_age, recall=recall) as fleet:
        gathered = question(fleet, _scope(names), settings.deadline, *arguments)
    for answer in gathered.missing:
        logger().warning("%s: %s", answer.instance.fqdn, answer.error.message if answer.error else "")
    if gathered.answers and not gathered.answered:
        raise NoAnswer("no instance answered: " + "; ".join(_why(gathered)))
    return gathered


def _why(gathered: Gathered[Any]) -> Iterator[str]:
    for answer in gathered.missing[:3]:
        yield f"{answer.instance.fqdn}: {answer.error.message if answer.error else ''}"
    if len(gathered.missing) > 3:
        yield f"and {len(gathered.missing) - 3} more"


# --- Media ----------------------------------------------------------------------------------------------------------


class Media:
    """One file over all instances (SPEC 7): ``Media('film_a')``. Every look at it asks the fleet anew."""

    def __init__(self, name: str) -> None:
        self.name = media_file(name)

    def __repr__(self) -> str:
        return f"<Media {self.name}>"

    @property
    def towns(self) -> set[str]:
        """The towns that have the file."""
        from dvbboxes.questions import durations

        gathered = _ask(None, durations, (self.name,))
        return {
            answer.instance.cluster
            for answer in gathered.answered
            if answer.value and answer.value[self.name].kind is not DurationKind.ABSENT
        }

    @property
    def duration(self) -> float:
        """The largest duration known, in seconds: int if stored as an integer, 0 if absent.

        A file that nobody has measured keeps dvbbox's sentinel 3.14, which never wins over a measured duration.
        """
        from dvbboxes.questions import durations

        return _stored(_ask(None, durations, (self.name,)), self.name)

    @property
    def schedule(self) -> OrderedDict[str, set[float]]:
        """Service id -> starts (Unix seconds) of the file, over every instance of the towns that have it."""
        from dvbboxes.questions import file_facts

        gathered = _ask(None, file_facts, self.name)
        having = {
            answer.instance.cluster
            for answer in gathered.answered
            if answer.value and answer.value[0].kind is not DurationKind.ABSENT
        }
        starts: dict[str, set[float]] = {}
        for answer in gathered.answered:
            if answer.value and answer.instance.cluster in having:
                for service_id, _, _, start in answer.value[1]:
                    starts.setdefault(service_id, set()).add(start)
        return OrderedDict(sorted(starts.items()))

    @staticmethod
    def search(expression: str, towns: str | Iterable[str] | None = None) -> list[str]:
        """Return the sorted names (with ``.ts``) that contain ``expression``; ``*``, ``?`` and ``[...]`` are globs.

        ``''`` is everything. ``towns``: None or empty is all, a str is one, else an iterable; KeyError for no town.
        """
        from dvbboxes.questions import search

        found = _ask(towns, search, expression).values().values()
        return sorted(frozenset[str]().union(*found))


def _stored(gathered: Gathered[Mapping[str, Any]], name: str) -> float:
    said = [answer.value[name] for answer in gathered.answered if answer.value]
    measured = [duration for duration in said if duration.seconds is not None]
    if measured:
        best = max(measured, key=lambda duration: duration.seconds)
        return int(best.text) if best.text.isdigit() else float(best.seconds)
    return 3.14 if any(duration.kind is DurationKind.UNMEASURED for duration in said) else 0


# --- Program --------------------------------------------------------------------------------------------------------


class Program:
    """What one channel plays on one day, over all instances (SPEC 7).

    ``day`` is ``ddmmyyyy`` (ValueError otherwise); ``timestamp`` (Unix seconds) is the moment to cut at, None the start
    of the day.
    """

    def __init__(self, day: str, service_id: str | int, timestamp: float | None = None) -> None:
        parsed = parse_day_text(str(day))
        if parsed is None:
            raise BadDay(f"{shown(str(day))} is no day: write it ddmmyyyy")
        self.day = str(day)
        self.service_id = str(service_id)
        self.timestamp = timestamp
        self._date: date = parsed

    def __repr__(self) -> str:
        return f"<Program {self.day}:{self.service_id}>"

    def infos(self, towns: str | Iterable[str] | None = None) -> Iterator[tuple[str, float]]:
        """Yield (``'film_a.ts:0'``, start) by index, of the program that SPEC 4 chooses over the towns."""
        return iter([(f"{slot.media}:{slot.index}", slot.start) for slot in self._chosen(towns)])

    def get_start_times(self, name: str, towns: str | Iterable[str] | None = None) -> list[float]:
        """Return the starts (Unix seconds) of exactly that file in the program, by index."""
        media = media_file(name)
        return [slot.start for slot in self._chosen(towns) if slot.media == media]

    def _chosen(self, towns: str | Iterable[str] | None) -> Sequence[Slot]:
        from dvbboxes.questions import programs
        from dvbboxes.schedule import choose, cut, window

        key = (self._date, self.service_id)
        gathered = _ask(towns, programs, [key])
        day_start = config().schedule.day_start
        candidates = []
        for answer in gathered.answered:
            if answer.value is not None and answer.instance.carries(self.service_id):
                start, end = window(self._date, answer.instance.zone, day_start)
                moment = start if self.timestamp is None else self.timestamp
                candidates.append(cut(answer.value[key].slots, moment, end - start))
        best = choose(candidates)
        return candidates[best] if best is not None else ()


# --- Listing --------------------------------------------------------------------------------------------------------


class UndatedListing(DvbboxesError, Warning):
    """A listing without a day, or with one that is no date; its text has every mistake, with its line."""


class BadNames(UsageError):
    """Names in a listing that are no media names: ``args[0]`` is the list of them, ``str()`` has every mistake."""

    def __init__(self, names: list[str], text: str) -> None:
        super().__init__(names)
        self._text = text

    def __str__(self) -> str:
        return self._text


class Listing:
    """The text file a programmer writes (SPEC 5, 7), read and checked at once.

    Raises Warning where it has no day or one that is no date, ValueError whose first argument is the list of bad names,
    ValueError for whatever else is wrong.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.filepath = os.fspath(path)
        content = Path(path).read_bytes()
        try:
            self._listing = parse(content, filename=self.filepath, today=_calendar_day())
        except ListingError as error:
            if error.undated:
                raise UndatedListing(str(error)) from error
            if error.bad_names:
                raise BadNames(list(error.bad_names), str(error)) from error
            raise

    def __repr__(self) -> str:
        return f"<Listing {self.filepath}>"

    @property
    def days(self) -> list[str]:
        """The days as ``ddmmyyyy``, in the order of the file."""
        return [day_text(day.day) for day in self._listing.days]

    @property
    def filenames(self) -> dict[str, float]:
        """Name (without ``.ts``) -> duration in seconds; 0 if the file is missing."""
        from dvbboxes.questions import durations

        names = dict.fromkeys(entry.name for day in self._listing.days for entry in day.entries)
        gathered = _ask(None, durations, [media_file(name) for name in names])
        return {name: _stored(gathered, media_file(name)) for name in names}

    def parse(self) -> Iterator[str]:
        """Yield a JSON object per day, in the order of the file.

        ``{"day": "15062017", "1497501000.0_0": {"filename": "film_a", "duration": 5400.12}, ...}``, keys
        ``<start>_<index>`` in order, starts in Unix seconds.
        """
        seconds, schedule = self.filenames, config().schedule
        for day in self._listing.days:
            names = [entry.name for entry in day.entries]
            slots = lay_out(day.day, names, seconds, schedule.zone, schedule.day_start, "/")
            entries = {
                f"{slot.start}_{slot.index}": {"filename": name, "duration": seconds[name]}
                for slot, name in zip(slots, names, strict=True)
            }
            yield json.dumps({"day": day_text(day.day), **entries})

    @staticmethod
    def apply(
        parsed: Iterable[str | Mapping[str, Any]], service_id: str | int, towns: str | Iterable[str] | None = None
    ) -> dict[str, dict[str, dict[str, dict[str, bool]]]]:
        """Write days as :meth:`parse` yields them (decoded, or as JSON text) to the masters of the towns.

        Returns ``{town: {day: {instance: {'delete': bool, 'insert': bool}}}}``: true where the program stands there as
        meant. None of the command's questions and guards; the same lock, journal, transaction and read-back. Raises
        ValueError for what is no such object, KeyError for an unknown town or channel, Locked where another run writes.
        """
        from dvbboxes.apply.parsed import apply_parsed

        return apply_parsed(config(), parsed, str(service_id), _scope(towns))


def _calendar_day() -> date:
    return datetime.fromtimestamp(time.time(), config().schedule.zone).date()
