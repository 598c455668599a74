"""What the tests of writing share: a stage with files on it, listings, and the three verbs.

The day is a Wednesday, the clock stands a week before it, and everybody has every file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import stages
from stages import ZONE, Shown

from dvbboxes.demo.servers import Server, tell
from dvbboxes.schedule import moment
from dvbboxes.wire import Command, day_text, program_key

DAY = date(2026, 11, 25)
NEXT = DAY + timedelta(days=1)
SATURDAY = date(2026, 11, 28)
START = moment(DAY, ZONE, time(7, 30))
NOW = START - 7 * 86400
#: film and clip are a whole day.
SECONDS = {"film": 59000.25, "clip": 1800.0, "jt": 900.0}
Program = list[tuple[str, float]]


def seconds_of(name: str) -> float:
    return SECONDS.get(name, 0.0)


def program(*names: str, day: date = DAY, folder: str = "/opt/tsfiles", zone: ZoneInfo = ZONE) -> Program:
    """Return what a day of these files is, by start."""
    start, entries = moment(day, zone, time(7, 30)), []
    for index, name in enumerate(names):
        entries.append((f"{folder}/{name}.ts:{index}", start))
        start += seconds_of(name)
    return entries


def storing(entries: Program, *, day: date = DAY, sid: str = "85") -> Command:
    """Return the command that stores a program."""
    return (0, ("ZADD", program_key(day, sid), *(part for member, start in entries for part in (start, member))))


def listing(*days: tuple[date, Sequence[str]]) -> str:
    return "\n".join(f"[{day:%d/%m/%Y}]\n" + "".join(f"{name}\n" for name in names) for day, names in days)


@dataclass
class Stage(stages.Stage):
    """A stage with files on it and a folder for listings, a week before the day."""

    now: float = NOW

    def load(
        self, *commands: Command, without: Mapping[str, Sequence[str]] | None = None, **held: Sequence[Command]
    ) -> None:
        """Give all the files and the commands; ``held``: more for one (``town1_1``), ``without``: files it lacks."""
        loads: dict[str, list[Command]] = {}
        for fqdn in self.world.layout.fqdns:
            lacking = (without or {}).get(fqdn, ())
            pairs = [part for name, s in SECONDS.items() if name not in lacking for part in (f"{name}.ts", s)]
            loads[fqdn] = [(1, ("MSET", *pairs)), *commands, *held.get(fqdn.replace("-", "_"), ())]
        self.world.load(loads)

    def write(self, *days: tuple[date, Sequence[str]], name: str = "listing") -> str:
        """Write a listing and return its path."""
        path = self.folder / name
        path.write_text(listing(*days), "utf-8")
        return str(path)

    # -- the verbs

    def _run(self, name: str, files: Sequence[str], options: dict[str, Any]) -> Shown:
        return self.run(f"listing {name}", **({"files": list(files), "service": "85"} | options))

    def check(self, *files: str, **options: Any) -> Shown:
        return self._run("check", files, options)

    def plan(self, *files: str, **options: Any) -> Shown:
        return self._run("plan", files, options)

    def apply(self, *files: str, **options: Any) -> Shown:
        return self._run("apply", files, {"yes": True} | options)

    # -- what is there

    def held(self, server: Server, day: date = DAY, sid: str = "85") -> Program:
        (reply,) = tell(server.endpoint, [(0, ("ZRANGE", program_key(day, sid), 0, -1, "WITHSCORES"))])
        return [(member.decode(), float(score)) for member, score in zip(reply[::2], reply[1::2], strict=True)]

    def master(self, fqdn: str, day: date = DAY, sid: str = "85") -> Program:
        return self.held(self.world.master(fqdn), day, sid)

    def replica(self, fqdn: str, day: date = DAY, sid: str = "85") -> Program:
        return self.held(self.world.replica(fqdn), day, sid)

    def everywhere(self, day: date = DAY, sid: str = "85") -> list[Program]:
        """Return what each master and each replica holds, every different program once."""
        found: list[Program] = []
        for fqdn in self.world.layout.fqdns:
            for program_there in (self.master(fqdn, day, sid), self.replica(fqdn, day, sid)):
                if program_there not in found:
                    found.append(program_there)
        return found

    def touched(self) -> list[str]:
        """Return the masters that hold any program at all."""
        return [
            fqdn for fqdn in self.world.layout.fqdns if tell(self.world.master(fqdn).endpoint, [(0, ("DBSIZE",))])[0]
        ]


def key_of(day: date = DAY, sid: str = "85") -> str:
    return f"{day_text(day)}:{sid}"
