"""The Python API that existing callers use (SPEC 7): thin over the same rooms as the commands.

Nothing is read or connected to before the first use. A replica that does not answer does not raise: the answer is made
of the rest, and a warning goes to ``LOGGER``; only when no instance answers NoAnswer is raised.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from dvbboxes.errors import BadDay, NoAnswer, UnknownName
from dvbboxes.model import Config, DurationKind, Gathered, Instance, Slot
from dvbboxes.wire import media_file, parse_day_text, shown

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
    return tuple(instance for name in wanted for instance in by_name[name].instances) or config().instances


def _ask(names: str | Iterable[str] | None, question: Callable[..., Gathered[T]], *arguments: Any) -> Gathered[T]:
    from dvbboxes.fleet import Fleet

    settings = config().redis
    with Fleet(max_age=settings.max_age) as fleet:
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
            if answer.value is not None:
                start, end = window(self._date, answer.instance.zone, day_start)
                moment = start if self.timestamp is None else self.timestamp
                candidates.append(cut(answer.value[key].slots, moment, end - start))
        best = choose(candidates)
        return candidates[best] if best is not None else ()
