"""``program now``: what should be on air at a moment, by the schedule each instance holds. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, tzinfo

from dvbboxes.aggregate import Holding, largest_duration
from dvbboxes.model import Config, Duration, DurationKind, Gathered, Instance, Slot
from dvbboxes.schedule import broadcast_day


@dataclass(frozen=True, slots=True)
class Playing:
    """What should be on air: the file, since and until when (Unix seconds; None: not known), and what follows.

    ``media`` empty: nothing (no program, or it has not begun). ``file_end`` is when the file itself is over; between
    that and ``until`` dvbbox repeats it, and it stretches the last entry of the day (SPEC 2).
    """

    media: str = ""
    since: float | None = None
    until: float | None = None
    file_end: float | None = None
    next_media: str = ""
    last: bool = False


@dataclass(frozen=True, slots=True)
class NowGroup:
    """Instances (fqdns) that should play the same; ``absent`` of them lack the file, ``present`` have it."""

    playing: Playing
    instances: tuple[str, ...]
    towns: tuple[str, ...]
    absent: tuple[str, ...]
    present: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChannelNow:
    """One channel at the moment asked for; ``silent`` fqdns did not answer."""

    service_id: str
    name: str
    groups: tuple[NowGroup, ...]
    silent: tuple[str, ...]

    @property
    def wrong(self) -> bool:
        """Return whether instances differ, nothing is scheduled, or the file is absent somewhere."""
        return len(self.groups) > 1 or any(not group.playing.media or group.absent for group in self.groups)


@dataclass(frozen=True, slots=True)
class ProgramNow:
    """The result of ``program now``; ``now`` is Unix seconds."""

    channels: tuple[ChannelNow, ...]
    zone: tzinfo
    now: float


def playing(slots: Sequence[Slot], now: float, durations: Mapping[str, float | None]) -> Playing:
    """Return what a program has on air at ``now``: the latest start, and of several sharing it the last entry.

    (An entry whose start is the next one's too had no duration: its file was missing.)
    """
    begun = [slot for slot in slots if slot.start <= now]
    if not begun:
        return Playing(next_media=slots[0].media, until=slots[0].start) if slots else Playing()
    current = max(begun, key=lambda slot: (slot.start, slot.index))
    later = [slot for slot in slots if slot.start > current.start]
    following = min(later, key=lambda slot: (slot.start, slot.index), default=None)
    duration = durations.get(current.media)
    file_end = None if duration is None else current.start + duration
    return Playing(
        current.media,
        current.start,
        file_end if following is None else following.start,
        file_end,
        following.media if following else "",
        following is None,
    )


def channel_now(config: Config, gathered: Gathered[Holding], now: float, service_id: str) -> ChannelNow:
    """Return what should be on air of one channel, instances that should play the same folded into one.

    Each instance's broadcast day is counted in its own zone. The durations counted with are the largest known.
    """
    carrying = [answer for answer in gathered.answers if answer.instance.carries(service_id)]
    known = _durations([answer.value.media for answer in carrying if answer.value is not None])
    groups: dict[Playing, NowGroup] = {}
    for answer in carrying:
        if answer.value is None:
            continue
        instance, day = answer.instance, day_on_air(config, answer.instance, now)
        current = playing(answer.value.programs[day, service_id].slots, now, known)
        group = groups.get(current, NowGroup(current, (), (), (), ()))
        groups[current] = _joined(group, instance, answer.value.media.get(current.media))
    ordered = sorted(groups.values(), key=lambda group: -len(group.instances))
    silent = tuple(answer.instance.fqdn for answer in carrying if not answer.ok)
    return ChannelNow(service_id, config.channels[service_id], tuple(ordered), silent)


def day_on_air(config: Config, instance: Instance, now: float) -> date:
    """Return the broadcast day on air on an instance, in its own zone."""
    return broadcast_day(now, instance.zone, config.schedule.day_start)


def _joined(group: NowGroup, instance: Instance, duration: Duration | None) -> NowGroup:
    here = (instance.fqdn,)
    towns = group.towns if instance.cluster in group.towns else (*group.towns, instance.cluster)
    joined = replace(group, instances=group.instances + here, towns=towns)
    if duration is None:
        return joined
    if duration.kind is DurationKind.ABSENT:
        return replace(joined, absent=group.absent + here)
    return replace(joined, present=group.present + here)


def _durations(media: Sequence[Mapping[str, Duration]]) -> dict[str, float | None]:
    names = {name for one in media for name in one}
    return {name: largest_duration(one[name] for one in media if name in one) for name in names}
