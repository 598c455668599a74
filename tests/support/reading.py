"""A small fleet to read from, and results in their three forms: what the tests of the reading commands share."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time
from pathlib import Path
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from dvbboxes.commands import Context, Result, media, program
from dvbboxes.days import parse_clock
from dvbboxes.demo.world import World
from dvbboxes.errors import ExitStatus
from dvbboxes.render import render
from dvbboxes.render.style import Style
from dvbboxes.schedule import moment_of_day, window
from dvbboxes.wire import Command, program_key

DAY = date(2026, 11, 24)
ZONE = ZoneInfo("Indian/Antananarivo")
ALL = ("town1-1", "town1-2", "town2-1", "town2-2")
START = window(DAY, ZONE, time(7, 30))[0]
#: Media name and start (clock time within the day, or Unix time), in order.
Entries: TypeAlias = Sequence[tuple[str, str | float]]
_SCOPE = ("towns", "instances", "max_age")
_VERBS: dict[str, tuple[Callable[..., Result], tuple[str, ...], tuple[str, ...]]] = {
    "program show": (program.show, ("day",), ("services", "since", "until")),
    "program diff": (program.diff, ("day",), ("services",)),
    "program now": (program.now, (), ("services",)),
    "program list": (program.list_, ("day",), ("services",)),
    "media search": (media.search, ("expression",), ()),
    "media show": (media.show, ("name",), ()),
    "media check": (media.check, ("file",), ()),
}


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
class Stage:
    """A fleet of two towns of two; ``settings`` are lines for ``[INSTANCE:fqdn]``, ``ports`` stand-ins for replicas."""

    world: World
    folder: Path
    ports: dict[str, int] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    zone: str = ZONE.key

    def load(self, named: Mapping[str, Sequence[Command]] | None = None, **others: Sequence[Command]) -> None:
        """Load instances by fqdn (``town1_1`` as a keyword); ``others`` are all the rest."""
        given = dict(named or {}) | {name.replace("_", "-"): each for name, each in others.items()}
        rest = given.pop("others", ())
        loaded = {fqdn: given.pop(fqdn, rest) for fqdn in ALL}
        assert not given
        self.world.load({fqdn: commands for fqdn, commands in loaded.items() if commands})

    @property
    def config(self) -> Path:
        text = self.world.config_path.read_text("utf-8")
        for fqdn, port in self.ports.items():
            text, changed = re.subn(rf"^{fqdn}=\d+$", f"{fqdn}={port}", text, flags=re.M)
            assert changed == 1
        for fqdn, lines in self.settings.items():
            text = text.replace(f"[INSTANCE:{fqdn}]\n", f"[INSTANCE:{fqdn}]\n{lines}\n")
        path = self.folder / "configuration"
        path.write_text(f"{text}\n[SCHEDULE]\ntimezone={self.zone}\n", "utf-8")
        return path

    def ask(self, command: str, *words: str | None, now: float = START, timeout: str = "20", **options: Any) -> Shown:
        """Run a reading command as of ``now`` (Unix seconds)."""
        verb, names, more = _VERBS[command]
        given = dict.fromkeys((*_SCOPE, *more, *names)) | dict(zip(names, words, strict=False)) | options
        return Shown(command, verb(Context(str(self.config), now), timeout=timeout, **given))


@dataclass(frozen=True)
class Shown:
    """One result in its three forms."""

    command: str
    result: Result

    def render(self, form: str, style: Style | None = None) -> str:
        return render(self.command, self.result.view, self.result.gathered, form, style or Style())

    @property
    def status(self) -> ExitStatus:
        return self.result.status

    @property
    def text(self) -> str:
        return self.render("text")

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def envelope(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.render("json"))
        return body

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = self.envelope["data"]
        return found

    @property
    def rows(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.render("csv"))))
