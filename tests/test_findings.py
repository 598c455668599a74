"""The rules of ``check`` on fleets in memory: each trouble is planted, is found, and nothing else is.

`test_check` plants some of them in real Redis servers; what the rules are given here is what a survey makes of those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dvbboxes.findings import Code, Finding, Material, Severity, Survey, find, renamed
from dvbboxes.model import (
    Answer,
    Config,
    Duration,
    Endpoint,
    Entry,
    Failure,
    FailureKind,
    Freshness,
    Gathered,
    Instance,
    LogSettings,
    RedisSettings,
    Schedule,
    ScheduleSettings,
    Slot,
    SshSettings,
    SshTarget,
    State,
    Town,
)
from dvbboxes.records import Applied, Change, ChangeState, Key, NewRun, Run, RunKind, RunState, UpdateState
from dvbboxes.schedule import moment_of_day, window
from dvbboxes.wire import decode_duration, member

HOUR = 3600.0
ZONE = ZoneInfo("Indian/Antananarivo")  # UTC+3, and no clock there ever changes
DAY_START = time(7, 30)
DAYS = tuple(date(2026, 11, 24) + timedelta(days=n) for n in range(3))
START = window(DAYS[0], ZONE, DAY_START)[0]
NOW = START + 2.5 * HOUR  # 10:00 of the first day, while film_a plays
CHANNELS = {"85": "one", "86": "two"}
TOWNS = {"town1": ("town1-1", "town1-2", "town1-3"), "town2": ("town2-1", "town2-2")}
ALL = tuple(fqdn for fqdns in TOWNS.values() for fqdn in fqdns)

#: (media, hours): from 07:30 to 01:30, nothing missing, nothing too long.
FULL = (("film_a", 5.0), ("jt", 0.5), ("film_b", 6.5), ("clips", 6.0))
OTHER = (("film_b", 6.5), ("jt", 0.5), ("film_a", 5.0), ("clips", 6.0))
FOLDER = "/opt/tsfiles/"

Listed = Sequence[tuple[str, float]]


def at(clock: str, day: date = DAYS[0], zone: tzinfo = ZONE) -> float:
    """Return the moment of a clock time within a broadcast day."""
    return moment_of_day(day, zone, DAY_START, time.fromisoformat(clock))


def slots(start: float, listed: Listed) -> tuple[Slot, ...]:
    """Return a program: each file at the end of the time that the one before it has, in hours."""
    made = []
    for index, (name, hours) in enumerate(listed):
        made.append(Slot(index, f"{name}.ts", FOLDER, start))
        start += hours * HOUR
    return tuple(made)


@dataclass
class World:
    """A whole, healthy fleet in memory; the methods plant trouble in some of it, ``find`` says what comes of it.

    ``own`` maps an fqdn to settings of its instance; ``others`` is what a second look for renamed files has found.
    """

    now: float = NOW
    zone: tzinfo = ZONE
    tolerance: float = 1.2
    towns: Mapping[str, Sequence[str]] = field(default_factory=lambda: TOWNS)
    days: Sequence[date] = DAYS
    own: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    listed: Listed = FULL
    programs: dict[Key, Schedule] = field(default_factory=dict)
    files: dict[str, dict[str, str]] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    worth: dict[str, Freshness] = field(default_factory=dict)
    strangers: dict[str, frozenset[str]] = field(default_factory=dict)
    passed_over: dict[str, int] = field(default_factory=dict)
    applied: dict[Key, Applied] = field(default_factory=dict)
    withdrawn: frozenset[str] = frozenset()
    others: dict[tuple[str, str], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for fqdn in self.fqdns:
            self.files[fqdn] = {f"{name}.ts": f"{hours * HOUR:.15g}" for name, hours in FULL}
        for day in self.days:
            for sid in CHANNELS:
                self.schedule(self.listed, day, sid)

    @property
    def fqdns(self) -> tuple[str, ...]:
        return tuple(fqdn for fqdns in self.towns.values() for fqdn in fqdns)

    def window(self, day: date, fqdn: str) -> tuple[float, float]:
        return window(day, self.own.get(fqdn, {}).get("zone", self.zone), DAY_START)

    # --- planting -----------------------------------------------------------------------------------------------------

    def schedule(
        self,
        listed: Listed,
        day: date = DAYS[0],
        sid: str = "85",
        *,
        on: Sequence[str] | None = None,
        late: float = 0.0,
        corrupt: tuple[str, ...] = (),
    ) -> World:
        """Store a program, ``late`` hours after the day's start; an empty one is none."""
        for fqdn in self.fqdns if on is None else on:
            start = self.window(day, fqdn)[0] + late * HOUR
            self.programs[fqdn, day, sid] = Schedule(day, sid, slots(start, listed), corrupt)
        return self

    def have(self, *, on: Sequence[str] | None = None, **values: float | str | None) -> World:
        """Say of files what db 1 says of them; None: no such file."""
        for fqdn in self.fqdns if on is None else on:
            for name, value in values.items():
                self.files[fqdn].pop(f"{name}.ts", None)
                if value is not None:
                    self.files[fqdn][f"{name}.ts"] = value if isinstance(value, str) else f"{value:.15g}"
        return self

    def kill(self, *fqdns: str, kind: FailureKind = FailureKind.REFUSED) -> World:
        for fqdn in fqdns:
            self.failures[fqdn] = Failure(kind, f"the replica of {fqdn} is gone")
            self.worth[fqdn] = Freshness(State.SUSPECT if kind is FailureKind.EMPTY else State.UNAVAILABLE)
        return self

    def apply(self, run: int, listed: Listed, day: date, *, on: Sequence[str], shift: float = 0.0) -> World:
        """Have the journal say that this was the last thing applied there; it is not stored. ``shift`` in seconds."""
        for fqdn in on:
            meant = slots(self.window(day, fqdn)[0] + shift, listed)
            stored = tuple(Entry(member(slot), slot.start) for slot in meant)
            change = Change(
                *(run, fqdn[:5], fqdn, day, "85", (), stored, ChangeState.VERIFIED, ""),
                *(UpdateState.DONE, "", True, None, NOW - HOUR),
            )
            asked = NewRun(RunKind.APPLY, "me", "here", "x", "", "", "f", (), NOW - HOUR)
            self.applied[change.key] = Applied(change, Run(run, asked, RunState.DONE, NOW - HOUR, {}))
        return self

    # --- looking ------------------------------------------------------------------------------------------------------

    @property
    def config(self) -> Config:
        towns = tuple(Town(name, tuple(self._instance(name, f) for f in fqdns)) for name, fqdns in self.towns.items())
        return Config(
            *("configuration", LogSettings("log", 10, ""), "data", CHANNELS, towns, RedisSettings(), SshSettings()),
            ScheduleSettings(self.zone, DAY_START, tolerance=self.tolerance),
        )

    def _instance(self, town: str, fqdn: str) -> Instance:
        settings = {"zone": self.zone} | dict(self.own.get(fqdn, {}))
        return Instance(town, fqdn, Endpoint(), Endpoint(), SshTarget(fqdn), **settings)

    @property
    def material(self) -> Material:
        """What a survey would make of it: equal programs and equal sheets are one object."""
        config = self.config
        keys = tuple((day, sid) for day in self.days for sid in CHANNELS)
        programs: dict[Schedule, Schedule] = {}
        sheets: dict[tuple[tuple[str, Duration], ...], Mapping[str, Duration]] = {}
        names = list(dict.fromkeys([*self.withdrawn, *(s.media for p in self.programs.values() for s in p.slots)]))

        def sheet(fqdn: str, asked: Sequence[str]) -> Mapping[str, Duration]:
            values = (self.files[fqdn].get(name) for name in asked)
            said = tuple(
                (n, decode_duration(None if v is None else v.encode())) for n, v in zip(asked, values, strict=True)
            )
            return sheets.setdefault(said, dict(said))

        def answer(instance: Instance) -> Answer[Survey]:
            fqdn = instance.fqdn
            held = [self.programs.get((fqdn, day, sid), Schedule(day, sid)) for day, sid in keys]
            survey = Survey(
                tuple(programs.setdefault(program, program) for program in held),
                tuple(sheet(fqdn, names[n : n + 3]) for n in range(0, len(names), 3)),
                self.strangers.get(fqdn, frozenset()),
                self.passed_over.get(fqdn, 0),
            )
            error = self.failures.get(fqdn)
            worth = self.worth.get(fqdn, Freshness(State.CURRENT, 0.0, "", "up"))
            return Answer(instance, None if error else survey, error, 0.01, worth)

        gathered = Gathered(tuple(answer(instance) for instance in config.instances))
        return Material(config, gathered, keys, self.now, self.applied, self.withdrawn)

    def find(self) -> tuple[Finding, ...]:
        material = self.material
        found = find(material)
        return renamed(found, self.others, material) if self.others else found

    @property
    def codes(self) -> list[Code]:
        return [finding.code for finding in self.find()]

    @property
    def only(self) -> Finding:
        """Return the one finding there is."""
        found = self.find()
        assert len(found) == 1, found
        return found[0]


# --- all is well ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [-1.0, 0.0, 2.5, 23.99, 24.0, 71.9])
def test_a_healthy_fleet_gives_no_finding_whenever_it_is_looked_at(hours: float) -> None:
    assert World(now=START + hours * HOUR).find() == ()


def test_no_fleet_and_no_towns_and_no_days_are_no_finding_and_no_error() -> None:
    assert World(towns={}).find() == ()
    assert World(towns={"empty": ()}).find() == ()
    assert World(days=()).find() == ()


# --- every code: exactly that trouble, and exactly that finding -------------------------------------------------------


def unavailable(world: World) -> Finding:
    world.kill("town2-1")
    said = "the replica of town2-1 is gone"
    mend = "dvbboxes cluster status --instance town2-1"
    return Finding(Code.UNAVAILABLE, Severity.CRITICAL, NOW, ("town2-1",), said, mend)


def suspect(world: World) -> Finding:
    world.kill("town1-3", kind=FailureKind.EMPTY)
    said = "the replica of town1-3 is gone"
    mend = "dvbboxes cluster status --instance town1-3"
    return Finding(Code.SUSPECT, Severity.CRITICAL, NOW, ("town1-3",), said, mend)


def stale(world: World) -> Finding:
    world.worth["town1-1"] = Freshness(State.STALE, 5400.4, "the link to its master is down", "down")
    said = "its data are 5400 s old: the link to its master is down"
    mend = "dvbboxes cluster status --instance town1-1"
    return Finding(Code.STALE, Severity.WARNING, NOW, ("town1-1",), said, mend)


def no_program(world: World) -> Finding:
    world.schedule((), DAYS[1], on=["town2-1"])
    said = "nothing scheduled: the channel is black (4 other instances hold a program)"
    mend = "dvbboxes program diff 25112026 -s 85"
    begin = at("07:30", DAYS[1])
    return Finding(Code.NO_PROGRAM, Severity.CRITICAL, begin, ("town2-1",), said, mend, ("85",), (DAYS[1],))


def corrupt_program(world: World) -> Finding:
    world.schedule(FULL, DAYS[1], on=["town1-2"], corrupt=("entry 'x' has no index", "entry 'y' has no index"))
    said = "entry 'x' has no index (and 1 more)"
    mend = "dvbboxes program simulate 25112026 -s 85 --instance town1-2"
    begin = at("07:30", DAYS[1])
    return Finding(Code.CORRUPT_PROGRAM, Severity.CRITICAL, begin, ("town1-2",), said, mend, ("85",), (DAYS[1],))


def short(world: World) -> Finding:
    world.schedule(FULL[:3], DAYS[2], "86")
    said = "ends at 19:30: dvbbox plays film_b 3 times"  # 13:00 to 07:29 by 6 h 30: round(2.84)
    mend = "dvbboxes program simulate 26112026 -s 86"
    return Finding(Code.SHORT, Severity.WARNING, at("19:30", DAYS[2]), ALL, said, mend, ("86",), (DAYS[2],))


def overrun(world: World) -> Finding:
    world.schedule((*FULL, ("film_b", 6.5)), DAYS[1])
    said = "ends at 08:00, after the next day has begun: film_b is cut short"
    mend = "dvbboxes program simulate 25112026 -s 85"
    return Finding(Code.OVERRUN, Severity.WARNING, at("07:30", DAYS[2]), ALL, said, mend, ("85",), (DAYS[1],))


def gap(world: World) -> Finding:
    world.schedule((("film_a", 5.0), ("jt", 1.5), ("film_b", 6.5), ("clips", 6.0)), DAYS[1])
    said = "13:00-14:00 after jt: dvbbox plays it 3 times"
    mend = "dvbboxes program simulate 25112026 -s 85"
    return Finding(Code.GAP, Severity.WARNING, at("13:00", DAYS[1]), ALL, said, mend, ("85",), (DAYS[1],))


def overlap(world: World) -> Finding:
    world.schedule((("film_a", 4.5), ("jt", 0.5), ("film_b", 6.5), ("clips", 6.0)), DAYS[1])
    said = "film_a is 0:30:00 longer than its time: what follows is late"
    mend = "dvbboxes program simulate 25112026 -s 85"
    return Finding(Code.OVERLAP, Severity.WARNING, at("12:00", DAYS[1]), ALL, said, mend, ("85",), (DAYS[1],))


def absent(world: World) -> Finding:
    world.have(jt=None, on=["town1-2"])
    world.now = at("14:00")  # today's jt is over: the next launch needs it
    said = "(airs 12:30): the channel will not start"
    mend = "dvbboxes media missing -s 85,86 --instance town1-2 --fetch"
    begin = at("07:30", DAYS[1])
    return Finding(Code.ABSENT, Severity.CRITICAL, begin, ("town1-2",), said, mend, ("85", "86"), DAYS[1:], "jt.ts")


def renamed_by_hand(world: World) -> Finding:
    world.schedule((*FULL, ("promo", 6.0)), sid="86").have(promo=6 * HOUR)
    world.have(promo=None, on=["town1-2"])
    world.others["town1-2", "promo.ts"] = "promo_final.ts"
    said = "(airs 01:30): a relaunch would fail; promo_final has the same length and is only here: renamed by hand?"
    mend = "dvbboxes media rename promo_final promo --instance town1-2"
    airs = at("01:30")
    return Finding(Code.RENAMED, Severity.CRITICAL, airs, ("town1-2",), said, mend, ("86",), (DAYS[0],), "promo.ts")


def of_jt(code: Code, severity: Severity, text: str) -> Finding:
    """Return what is said of a file of half an hour that airs at 12:30 each day on both channels."""
    mend = "dvbboxes media show jt"
    return Finding(code, severity, at("12:30"), ("town2-2",), text, mend, ("85", "86"), DAYS, "jt.ts")


def unmeasured(world: World) -> Finding:
    world.have(jt="3.14", on=["town2-2"])
    said = "duration unknown, dvbbox takes it for 3.14 s (airs 12:30): dvbbox plays it 573 times"
    return of_jt(Code.UNMEASURED, Severity.CRITICAL, said)


def corrupt_duration(world: World) -> Finding:
    world.have(jt="nan", on=["town2-2"])
    said = "duration 'nan' is no number (airs 12:30): a relaunch would fail, and 85 will not start on 25/11"
    return of_jt(Code.CORRUPT_DURATION, Severity.CRITICAL, said)


def no_length(world: World) -> Finding:
    world.have(jt="0", on=["town2-2"])
    said = "has no length, 0 s (airs 12:30): a relaunch would fail, and 85 will not start on 25/11"
    return of_jt(Code.NO_LENGTH, Severity.CRITICAL, said)


def duration(world: World) -> Finding:
    world.have(jt=600, on=["town2-2"])
    said = "lasts 600 s here, 1800 s elsewhere and in the schedule (airs 12:30): dvbbox plays it 3 times"
    return of_jt(Code.DURATION, Severity.WARNING, said)


def differs(world: World) -> Finding:
    world.schedule((*FULL[:3], ("jt", 0.5), ("clips", 6.0)), DAYS[1], on=["town1-2"])
    said = "another program than the rest of the town: +1 -0 ~1"
    mend = "dvbboxes program diff 25112026 -s 85"
    return Finding(Code.DIFFERS, Severity.WARNING, at("19:30", DAYS[1]), ("town1-2",), said, mend, ("85",), (DAYS[1],))


def not_as_applied(world: World) -> Finding:
    world.apply(7, FULL, DAYS[1], on=ALL)
    world.apply(9, OTHER, DAYS[1], on=["town2-1"])
    said = "holds another program than run 9 applied"
    mend = "dvbboxes history 9"
    begin = at("07:30", DAYS[1])
    return Finding(Code.NOT_AS_APPLIED, Severity.WARNING, begin, ("town2-1",), said, mend, ("85",), (DAYS[1],))


def withdrawn(world: World) -> Finding:
    world.withdrawn = frozenset({"banned.ts"})
    world.have(banned=60, on=["town1-1", "town2-2"])
    mend = "dvbboxes media withdraw banned"
    holders = ("town1-1", "town2-2")
    return Finding(Code.WITHDRAWN, Severity.CRITICAL, NOW, holders, "withdrawn, but held", mend, media="banned.ts")


def unknown_channel(world: World) -> Finding:
    world.strangers["town1-1"] = frozenset({"99"})
    said = "has programs, but the configuration does not know this channel"
    return Finding(Code.UNKNOWN_CHANNEL, Severity.WARNING, NOW, ("town1-1",), said, "dvbboxes config show", ("99",))


def passed_over(world: World) -> Finding:
    world.passed_over["town2-1"] = 2
    said = "2 keys of db 0 are no programs: passed over"
    return Finding(Code.PASSED_OVER, Severity.NOTE, NOW, ("town2-1",), said, "dvbboxes program list")


PLANTED: dict[Code, Callable[[World], Finding]] = {
    Code.UNAVAILABLE: unavailable,
    Code.SUSPECT: suspect,
    Code.STALE: stale,
    Code.NO_PROGRAM: no_program,
    Code.CORRUPT_PROGRAM: corrupt_program,
    Code.SHORT: short,
    Code.OVERRUN: overrun,
    Code.GAP: gap,
    Code.OVERLAP: overlap,
    Code.ABSENT: absent,
    Code.RENAMED: renamed_by_hand,
    Code.UNMEASURED: unmeasured,
    Code.CORRUPT_DURATION: corrupt_duration,
    Code.NO_LENGTH: no_length,
    Code.DURATION: duration,
    Code.DIFFERS: differs,
    Code.NOT_AS_APPLIED: not_as_applied,
    Code.WITHDRAWN: withdrawn,
    Code.UNKNOWN_CHANNEL: unknown_channel,
    Code.PASSED_OVER: passed_over,
}


def test_every_code_there_is_is_planted_below() -> None:
    assert set(PLANTED) == set(Code)


@pytest.mark.parametrize("code", PLANTED, ids=lambda code: code.value)
def test_a_trouble_is_found_whole_and_nothing_else_is(code: Code) -> None:
    world = World()
    expected = PLANTED[code](world)
    assert expected.code is code
    assert world.find() == (expected,)


@pytest.mark.parametrize("code", PLANTED, ids=lambda code: code.value)
def test_the_same_trouble_beside_a_dead_town_is_still_found(code: Code) -> None:
    world = World(towns=TOWNS | {"far": ("far-1", "far-2")}).kill("far-1", "far-2")
    expected = PLANTED[code](world)
    found = {finding.code: finding for finding in world.find() if not finding.instances[0].startswith("far")}
    assert set(found) == {code}
    assert set(found[code].instances) >= set(expected.instances)
    assert (found[code].severity, found[code].moment) == (expected.severity, expected.moment)
    assert [f.instances for f in world.find() if f.instances[0].startswith("far")] == [("far-1",), ("far-2",)]
