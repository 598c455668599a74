"""``program diff``: instances that say the same folded into one, and what the odd ones change. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, tzinfo
from typing import TypeAlias

from dvbboxes.aggregate import Holding
from dvbboxes.aggregate.difference import Edit, edits
from dvbboxes.model import Config, Gathered, Schedule, Slot
from dvbboxes.schedule import rank, window

_Said: TypeAlias = tuple[tuple[int, str, float], ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Instances (fqdns) that hold the same program, and how it differs from that of the first group.

    ``renumbered``: the same files at the same starts, at other positions.
    """

    instances: tuple[str, ...]
    slots: tuple[Slot, ...]
    edits: tuple[Edit, ...]
    renumbered: bool = False


@dataclass(frozen=True, slots=True)
class ChannelDiff:
    """One channel's day, compared: ``groups`` largest first; ``silent`` fqdns did not answer.

    Programs are compared whole, by position, file and start to the fraction of a second; the folder is the instance's.
    """

    service_id: str
    name: str
    day: date
    window: tuple[float, float]
    groups: tuple[Group, ...]
    silent: tuple[str, ...]
    corrupt: Mapping[str, tuple[str, ...]]

    @property
    def differs(self) -> bool:
        """Return whether the instances that answered hold more than one program."""
        return len(self.groups) > 1


@dataclass(frozen=True, slots=True)
class ProgramDiff:
    """The result of ``program diff``."""

    channels: tuple[ChannelDiff, ...]
    zone: tzinfo
    on_air: date


def channel_diff(config: Config, gathered: Gathered[Holding], day: date, service_id: str) -> ChannelDiff:
    """Return one channel's day over the instances that carry it, the program most of them hold first.

    Ties go to the program that SPEC 4 would choose, then to the first in configuration order.
    """
    carrying = [answer for answer in gathered.answers if answer.instance.carries(service_id)]
    holders: dict[_Said, list[str]] = {}
    programs: dict[_Said, Schedule] = {}
    for answer in carrying:
        if answer.value is not None:
            program = answer.value.programs[day, service_id]
            said = tuple((slot.index, slot.media, slot.start) for slot in program.slots)
            holders.setdefault(said, []).append(answer.instance.fqdn)
            programs.setdefault(said, program)
    order = sorted(holders, key=lambda said: (len(holders[said]), rank(programs[said].slots)), reverse=True)
    base: Sequence[Slot] = programs[order[0]].slots if order else ()
    return ChannelDiff(
        service_id,
        config.channels[service_id],
        day,
        window(day, config.schedule.zone, config.schedule.day_start),
        tuple(_group(holders[said], base, programs[said].slots) for said in order),
        tuple(answer.instance.fqdn for answer in carrying if not answer.ok),
        {
            answer.instance.fqdn: answer.value.programs[day, service_id].corrupt
            for answer in carrying
            if answer.value is not None and answer.value.programs[day, service_id].corrupt
        },
    )


def _group(fqdns: Sequence[str], base: Sequence[Slot], slots: tuple[Slot, ...]) -> Group:
    found = edits(base, slots)
    renumbered = not found and [slot.index for slot in base] != [slot.index for slot in slots]
    return Group(tuple(fqdns), slots, found, renumbered)
