"""What the tests of writing share: a small fleet with files on it, listings, and the three verbs run in this process.

The day is a Wednesday, the clock stands a week before it, and everybody has every file.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from dvbboxes.commands import Context, Option, Result, Verb
from dvbboxes.commands import listing as verbs
from dvbboxes.demo.servers import Server, tell
from dvbboxes.demo.world import World
from dvbboxes.errors import ExitStatus
from dvbboxes.model import Gathered
from dvbboxes.render import render
from dvbboxes.render.style import Style
from dvbboxes.schedule import moment
from dvbboxes.wire import Command, day_text, program_key

DAY = date(2026, 11, 25)
NEXT = DAY + timedelta(days=1)
SATURDAY = date(2026, 11, 28)
ZONE = ZoneInfo("Indian/Antananarivo")
START = moment(DAY, ZONE, time(7, 30))
NOW = START - 7 * 86400
ALL = ("town1-1", "town1-2", "town2-1", "town2-2")
#: film and clip are a whole day.
SECONDS = {"film": 59000.25, "clip": 1800.0, "jt": 900.0}
#: Enough for whatever answers at all on a busy machine.
AMPLE = 20.0
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


@dataclass(frozen=True)
class Done:
    """One result in its three forms."""

    command: str
    result: Result

    def _render(self, form: str) -> str:
        return render(self.command, self.result.view, self.result.gathered, form, Style())

    @property
    def status(self) -> ExitStatus:
        return self.result.status

    @property
    def text(self) -> str:
        return self._render("text")

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._render("json"))["data"]
        return found

    @property
    def envelope(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._render("json"))
        return found

    @property
    def rows(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self._render("csv"))))

    def states(self) -> dict[str, set[str]]:
        """Return what became of the programs of each instance."""
        states: dict[str, set[str]] = {}
        for line in self.data["programs"]:
            states.setdefault(line["instance"], set()).add(line["state"])
        return states


@dataclass
class Stage:
    """A fleet, a folder for listings, and a configuration that may be changed.

    ``masters`` are other ports of masters, ``more`` is more text for ``[REDIS]``, ``deadline`` that of the masters.
    """

    world: World
    folder: Path
    source: Path
    replace: list[tuple[str, str]] = field(default_factory=list)
    masters: dict[str, int] = field(default_factory=dict)
    deadline: float = AMPLE
    more: str = ""
    warnings: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    shown: list[object] = field(default_factory=list)
    answer: bool | Callable[[str], bool] = True

    @property
    def config(self) -> Path:
        text = self.source.read_text("utf-8")
        for fqdn, port in self.masters.items():
            self.replace.append((f"master=127.0.0.1:{self.world.master(fqdn).port}\n", f"master=127.0.0.1:{port}\n"))
        self.masters.clear()
        for old, new in self.replace:
            assert old in text, old
            text = text.replace(old, new)
        text += f"\n[SCHEDULE]\ntimezone={ZONE.key}\n[REDIS]\ndeadline={AMPLE}\nmaster_deadline={self.deadline}\n"
        text += self.more
        path = self.folder / "configuration"
        path.write_text(text, "utf-8")
        return path

    @property
    def data(self) -> Path:
        return self.world.servers.folder / "data"

    def setting(self, fqdn: str, line: str) -> None:
        """Add a line to an instance's section of the configuration."""
        self.replace.append((f"[INSTANCE:{fqdn}]\n", f"[INSTANCE:{fqdn}]\n{line}\n"))

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

    def context(self, now: float = NOW, command: str = "a test", **more: Any) -> Context:
        def ask(question: str) -> bool:
            self.asked.append(question)
            return self.answer(question) if callable(self.answer) else self.answer

        def tell_view(view: object, gathered: Gathered[Any] | None) -> None:
            self.shown.append(view)

        settings: dict[str, Any] = {"warn": self.warnings.append, "who": "tester", "host": "here", "ask": ask}
        settings |= {"tell": tell_view, "command": command}
        return Context(str(self.config), now, **(settings | more))

    def run(self, verb: Verb, command: str, **options: Any) -> Done:
        """Run a verb with the options given, all others as they are when they are not typed."""
        context = options.pop("context", None) or self.context(
            **{key: options.pop(key) for key in ("now", "progress") if key in options}
        )
        return Done(command, verb.run(context, **(dict(map(_default, verb.options)) | options)))

    def _run(self, name: str, files: Sequence[str], options: dict[str, Any]) -> Done:
        (verb,) = (each for each in verbs.VERBS if each.name == name)
        return self.run(verb, f"listing {name}", **({"files": list(files), "service": "85"} | options))

    def check(self, *files: str, **options: Any) -> Done:
        return self._run("check", files, options)

    def plan(self, *files: str, **options: Any) -> Done:
        return self._run("plan", files, options)

    def apply(self, *files: str, **options: Any) -> Done:
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


def _default(option: Option) -> tuple[str, Any]:
    """Return the argument that an option is, and what it is when it is not given."""
    dest = option.settings.get("dest") or max(option.names, key=len).lstrip("-").replace("-", "_")
    return dest, option.settings.get("default", False if option.settings.get("action") == "store_true" else None)


def key_of(day: date = DAY, sid: str = "85") -> str:
    return f"{day_text(day)}:{sid}"
