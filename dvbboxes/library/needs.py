"""Scheduled files that are absent, in the order in which that hurts (SPEC 2: at the next launch, then on air). Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date, tzinfo

from dvbboxes.aggregate import Holding
from dvbboxes.model import Config, DurationKind, Gathered, Instance, Schedule, Slot
from dvbboxes.schedule import cut, window


@dataclass(frozen=True, slots=True)
class Lack:
    """One file that one instance schedules and does not have.

    ``hurts`` is when it first does: at the start of the day, where that is still to come, for then the launch fails;
    else when the file airs, ``airs``. Both in Unix seconds. ``airings`` counts them over ``service_ids`` and ``days``;
    ``holders`` are the fqdns that have the file.
    """

    instance: Instance
    media: str
    hurts: float
    airs: float
    service_ids: tuple[str, ...]
    days: tuple[date, ...]
    airings: int
    holders: tuple[str, ...]


@dataclass(slots=True)
class _Found:
    """One lack, airing by airing."""

    hurts: float = float("inf")
    airs: float = float("inf")
    service_ids: dict[str, None] = field(default_factory=dict)
    days: dict[date, None] = field(default_factory=dict)
    airings: int = 0


def lacks(config: Config, gathered: Gathered[Holding], wanted: Collection[str], now: float) -> tuple[Lack, ...]:
    """Return what the instances ``wanted`` (fqdns) schedule and lack, what hurts first first.

    ``gathered`` is of the whole fleet: a copy may be anywhere. What has aired by ``now`` (Unix seconds) needs no file,
    nor does a channel that the instance does not carry.
    """
    values = gathered.values()
    left = _Left(config, now)
    found: list[Lack] = []
    for answer in gathered.answered:
        if answer.instance.fqdn not in wanted:
            continue
        holding = values[answer.instance.fqdn]
        absent = {name for name, duration in holding.media.items() if duration.kind is DurationKind.ABSENT}
        for media, one in _of(answer.instance, holding, absent, left).items():
            holders = tuple(fqdn for fqdn, held in values.items() if _has(held, media))
            found.append(
                Lack(
                    *(answer.instance, media, one.hurts, one.airs),
                    *(tuple(one.service_ids), tuple(sorted(one.days)), one.airings, holders),
                )
            )
    return tuple(sorted(found, key=lambda lack: (lack.hurts, lack.airs, lack.media)))


def _has(holding: Holding, media: str) -> bool:
    return media in holding.media and holding.media[media].kind is not DurationKind.ABSENT


def _of(instance: Instance, holding: Holding, absent: Collection[str], left: _Left) -> dict[str, _Found]:
    found: dict[str, _Found] = {}
    for (day, service_id), program in holding.programs.items():
        if not absent or not instance.carries(service_id):
            continue
        start, slots = left.of(program, instance)
        for slot in slots:
            if slot.media in absent:
                one = found.setdefault(slot.media, _Found())
                airs = max(left.now, slot.start)
                one.airs = min(one.airs, airs)
                one.hurts = min(one.hurts, start if start > left.now else airs)
                one.service_ids[service_id] = None
                one.days[day] = None
                one.airings += 1
    return found


class _Left:
    """What of each program is still to air, once for all instances that share it."""

    def __init__(self, config: Config, now: float) -> None:
        self.now = now
        self._day_start = config.schedule.day_start
        self._known: dict[tuple[int, tzinfo], tuple[float, tuple[Slot, ...]]] = {}

    def of(self, program: Schedule, instance: Instance) -> tuple[float, tuple[Slot, ...]]:
        """Return when the day of a program starts on an instance, and the entries that have not aired."""
        key = (id(program), instance.zone)
        if key not in self._known:
            start, end = window(program.day, instance.zone, self._day_start)
            # Entries that share a start with the one on air count as on air with it: a missing one has no length.
            slots = cut(program.slots, self.now, end - start) if start <= self.now else program.slots
            self._known[key] = (start, slots if self.now < end else ())
        return self._known[key]
