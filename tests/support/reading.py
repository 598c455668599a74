"""A stage to read from: what the tests of the reading commands share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import stages
from stages import ALL, ZONE

from dvbboxes.days import parse_clock
from dvbboxes.schedule import moment_of_day, window
from dvbboxes.wire import Command, program_key

DAY = date(2026, 11, 24)
START = window(DAY, ZONE, time(7, 30))[0]
#: Media name and start (clock time within the day, or Unix time), in order.
Entries: TypeAlias = Sequence[tuple[str, str | float]]


def clock(text: str, day: date = DAY, zone: ZoneInfo = ZONE) -> float:
    """Return the moment of a clock time within a broadcast day."""
    return moment_of_day(day, zone, time(7, 30), parse_clock(text))


def held(entries: Entries, *, sid: str = "85", day: date = DAY, zone: ZoneInfo = ZONE) -> Command:
    """Return the command that stores a program: (media name, clock time or Unix time) in order."""
    pairs: list[Any] = []
    for index, (name, at) in enumerate(entries):
        pairs += (repr(clock(at, day, zone) if isinstance(at, str) else at), f"/opt/tsfiles/{name}.ts:{index}")
    return (0, ("ZADD", program_key(day, sid), *pairs))


def files(**durations: object) -> Command:
    """Return the command that stores durations."""
    return (1, ("MSET", *(part for name, value in durations.items() for part in (f"{name}.ts", str(value)))))


@dataclass
class Stage(stages.Stage):
    """A stage at the start of the day, whose instances are loaded by name."""

    now: float = START

    def load(self, named: Mapping[str, Sequence[Command]] | None = None, **others: Sequence[Command]) -> None:
        """Load instances by fqdn (``town1_1`` as a keyword); ``others`` are all the rest."""
        given = dict(named or {}) | {name.replace("_", "-"): each for name, each in others.items()}
        rest = given.pop("others", ())
        loaded = {fqdn: given.pop(fqdn, rest) for fqdn in ALL}
        assert not given
        self.world.load({fqdn: commands for fqdn, commands in loaded.items() if commands})

    #: What is asked changes nothing.
    ask = stages.Stage.run
