"""What ``cluster status``, its ``--probe`` and ``cluster forget`` find; a town's instances folded into one. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, tzinfo

from dvbboxes.aggregate.calendar import last_of_run
from dvbboxes.model import Instance, State


@dataclass(frozen=True, slots=True)
class InstanceStatus:
    """One instance in ``cluster status``. ``age`` in seconds; versions are server and number.

    ``programs`` and ``media`` are the numbers of keys in db 0 and db 1, ``memory`` what its Redis uses, in bytes; all
    None where it did not answer. ``behind`` is how many bytes of its master's stream it has yet to get, None where the
    master did not say (``master_error``) or speaks of another history. ``until`` is the last day up to which every
    channel it carries has a program, none missing from the day on air on; None: not even that one.
    """

    town: str
    fqdn: str
    replica: str
    state: str
    link: str
    age: float | None
    error: str
    follows: str = ""
    version: str = ""
    master_version: str = ""
    master_error: str = ""
    behind: int | None = None
    programs: int | None = None
    media: int | None = None
    memory: int | None = None
    until: date | None = None

    @property
    def answered(self) -> bool:
        """Whether its replica gave an answer."""
        return not self.error


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """The result of ``cluster status``: every instance asked, in order; ``now`` is Unix seconds.

    ``folded``: a person is shown the towns, and of instances only those that stand out. ``watched``: it is one of many
    pictures, each drawn over the one before.
    """

    instances: tuple[InstanceStatus, ...]
    zone: tzinfo
    now: float
    folded: bool = False
    watched: bool = False


@dataclass(frozen=True, slots=True)
class TownStatus:
    """The instances of one town folded: how many are in which state, and the worst of each figure among them."""

    town: str
    states: Mapping[str, int]
    oldest: float | None
    behind: int | None
    versions: tuple[str, ...]
    programs: tuple[int, int] | None
    media: tuple[int, int] | None
    memory: int | None
    until: date | None
    odd: tuple[InstanceStatus, ...]

    @property
    def count(self) -> int:
        """How many instances it has."""
        return sum(self.states.values())


def towns(status: ClusterStatus) -> tuple[TownStatus, ...]:
    """Return the towns of a status, in order, folded."""
    members: dict[str, list[InstanceStatus]] = {}
    for one in status.instances:
        members.setdefault(one.town, []).append(one)
    return tuple(_fold(town, each) for town, each in members.items())


def _fold(town: str, members: list[InstanceStatus]) -> TownStatus:
    there = [one for one in members if one.answered]
    ages = [one.age for one in there]
    known = [one.behind for one in there if one.behind is not None]
    versions = Counter(one.version for one in there if one.version)
    usual = versions.most_common(1)[0][0] if versions else ""
    days = [one.until for one in there]
    return TownStatus(
        town,
        Counter(one.state for one in members),
        None if not ages or None in ages else max(age for age in ages if age is not None),
        max(known, default=None),
        tuple(version for version, _ in versions.most_common()),
        _extremes(one.programs for one in there if one.programs is not None),
        _extremes(one.media for one in there if one.media is not None),
        max((one.memory for one in there if one.memory is not None), default=None),
        None if not days or None in days else min(day for day in days if day is not None),
        tuple(one for one in members if one.state != State.CURRENT.value or one.version != usual),
    )


def _extremes(numbers: Iterable[int]) -> tuple[int, int] | None:
    found = sorted(numbers)
    return (found[0], found[-1]) if found else None


def scheduled_until(
    instance: Instance, service_ids: Collection[str], programs: Collection[tuple[date, str]], on_air: date
) -> date | None:
    """Return the last day of the run from ``on_air`` on in which every channel the instance carries has a program.

    ``programs`` are the (day, service id) it holds. None: some channel has nothing for the day on air, or it carries
    none.
    """
    days: dict[str, set[date]] = {sid: set() for sid in service_ids if instance.carries(sid)}
    for day, sid in programs:
        if sid in days:
            days[sid].add(day)
    last = [last_of_run(each, on_air) for each in days.values()]
    return None if not last or None in last else min(day for day in last if day is not None)


@dataclass(frozen=True, slots=True)
class InstanceProbe:
    """One instance as ``cluster status --probe`` finds it. Every text is empty where all is well.

    ``master`` is why its master gave no answer, ``writing`` why nothing could be written there; ``version`` its
    server and number; ``clock`` is its clock minus ours in seconds (None: not told), good to ``precision``. ``ssh`` is
    why its host let us not in, ``dvbbox`` where dvbbox is there (empty: nowhere, or not asked).
    """

    town: str
    fqdn: str
    master: str
    writing: str
    version: str
    clock: float | None
    precision: float
    ssh: str
    dvbbox: str

    @property
    def ready(self) -> bool:
        """Whether a listing could be applied to it now."""
        return not (self.master or self.writing or self.ssh) and bool(self.dvbbox) and not self.clock_off

    @property
    def clock_off(self) -> bool:
        """Whether its clock is certainly off by more than a program may be."""
        return self.clock is not None and abs(self.clock) - self.precision > 2.0


@dataclass(frozen=True, slots=True)
class ClusterProbe:
    """The result of ``cluster status --probe``: every instance asked, in order."""

    instances: tuple[InstanceProbe, ...]


@dataclass(frozen=True, slots=True)
class ClusterForgotten:
    """The result of ``cluster forget``: the fqdns of which nothing is remembered any more."""

    instances: tuple[str, ...]
