"""A fleet in memory, for the rules of ``check``: what they are given is what a survey makes of real servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from dvbboxes.findings import Code, Finding, Material, Survey, find, renamed
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
