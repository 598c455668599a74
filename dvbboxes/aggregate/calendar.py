"""``program list``: days x channels that exist, how many instances hold each, scheduled until when. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta, tzinfo

from dvbboxes.model import Config, Gathered


@dataclass(frozen=True, slots=True)
class Tail:
    """The last entry of a program: its start (Unix seconds), its file, and how long that is there (seconds or None)."""

    start: float
    media: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Shelf:
    """What one instance holds: the (day, service id) of every program, keys passed over, and how each channel ends.

    ``tails`` maps a service id to the end of the last program in the unbroken run of days from the day on air; a
    channel without a program today is not in it.
    """

    programs: frozenset[tuple[date, str]]
    passed_over: int
    tails: Mapping[str, Tail]


@dataclass(frozen=True, slots=True)
class Until:
    """Until when a channel is scheduled without a day missing: the instances (fqdns) that agree on it."""

    moment: float | None
    instances: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListedChannel:
    """One channel: ``asked`` instances answered and carry it; ``holders`` maps a day to those that hold a program.

    ``until`` is earliest first.
    """

    service_id: str
    name: str
    asked: tuple[str, ...]
    holders: Mapping[date, tuple[str, ...]]
    until: tuple[Until, ...]


@dataclass(frozen=True, slots=True)
class ProgramList:
    """The result of ``program list``: ``days`` in order; ``earlier`` days are held too but were not asked for.

    ``unknown`` are service ids in Redis that the configuration does not have; ``passed_over`` fqdn -> keys of db 0 that
    are no programs.
    """

    days: tuple[date, ...]
    channels: tuple[ListedChannel, ...]
    earlier: int
    unknown: tuple[str, ...]
    passed_over: Mapping[str, int]
    zone: tzinfo
    on_air: date

    @property
    def uneven(self) -> bool:
        """Return whether some instance lacks a program that another one holds."""
        return any(
            len(channel.holders.get(day, channel.asked)) < len(channel.asked)
            for channel in self.channels
            for day in self.days
        )


def program_list(
    config: Config,
    gathered: Gathered[Shelf],
    service_ids: Sequence[str],
    days: Collection[date] | None,
    on_air: date,
) -> ProgramList:
    """Return what exists over all instances that answered; ``days`` None: everything from the day on air."""
    held = {key for answer in gathered.answered if answer.value for key in answer.value.programs}
    wanted = [day for day, sid in held if sid in service_ids]
    shown = sorted({day for day in wanted if (day >= on_air if days is None else day in days)})
    return ProgramList(
        tuple(shown),
        tuple(_channel(config, gathered, sid, shown) for sid in service_ids),
        len({day for day in wanted if day < on_air}) if days is None else 0,
        tuple(sorted({sid for _, sid in held} - set(config.channels))),
        {
            answer.instance.fqdn: answer.value.passed_over
            for answer in gathered.answered
            if answer.value is not None and answer.value.passed_over
        },
        config.schedule.zone,
        on_air,
    )


def _channel(config: Config, gathered: Gathered[Shelf], service_id: str, days: Sequence[date]) -> ListedChannel:
    shelves = {
        answer.instance.fqdn: answer.value
        for answer in gathered.answered
        if answer.value is not None and answer.instance.carries(service_id)
    }
    holders = {
        day: tuple(fqdn for fqdn, shelf in shelves.items() if (day, service_id) in shelf.programs) for day in days
    }
    tails = {fqdn: shelf.tails.get(service_id) for fqdn, shelf in shelves.items()}
    lengths = _lengths(tail for tail in tails.values() if tail is not None)
    moments: dict[float | None, list[str]] = {}
    for fqdn, tail in tails.items():
        moment = None if tail is None else tail.start + lengths[tail.media]
        moments.setdefault(moment, []).append(fqdn)
    until = [Until(moment, tuple(fqdns)) for moment, fqdns in moments.items()]
    until.sort(key=lambda one: one.moment or 0.0)
    return ListedChannel(
        service_id,
        config.channels[service_id],
        tuple(shelves),
        {day: fqdns for day, fqdns in holders.items() if fqdns},
        tuple(until),
    )


def _lengths(tails: Iterable[Tail]) -> dict[str, float]:
    """Return file -> the duration to count with, in seconds: the largest known, 0 where none is (SPEC 5)."""
    lengths: dict[str, float] = {}
    for tail in tails:
        lengths[tail.media] = max(lengths.get(tail.media, 0.0), tail.seconds or 0.0)
    return lengths


def last_of_run(days: Collection[date], first: date) -> date | None:
    """Return the last day of the unbroken run of days that begins with ``first``; None if ``first`` is missing."""
    day = first
    while day in days:
        day += timedelta(days=1)
    return day - timedelta(days=1) if day != first else None
