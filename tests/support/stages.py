"""A stage: a fleet, a configuration made of its own, and any command run on it in this process, as of now.

What a command found is :class:`Shown`, in its three forms. Options that a test does not give are what they are for
somebody who does not type them.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from dvbboxes import parsers
from dvbboxes.commands import Context, Result, Verb
from dvbboxes.demo.world import World
from dvbboxes.errors import ExitStatus
from dvbboxes.model import Gathered
from dvbboxes.render import render
from dvbboxes.render.style import Style

ZONE = ZoneInfo("Indian/Antananarivo")
#: The instances of the small fleet.
ALL = ("town1-1", "town1-2", "town2-1", "town2-2")
#: Enough for whatever answers at all on a busy machine.
AMPLE = 20.0


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
        found: dict[str, Any] = json.loads(self.render("json"))
        return found

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = self.envelope["data"]
        return found

    @property
    def rows(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.render("csv"))))

    def states(self) -> dict[str, set[str]]:
        """Return what became of the programs of each instance."""
        states: dict[str, set[str]] = {}
        for line in self.data["programs"]:
            states.setdefault(line["instance"], set()).add(line["state"])
        return states


# --- any command ------------------------------------------------------------------------------------------------------


def verb_of(command: str) -> Verb:
    """Return the verb of ``program show`` or ``check``."""
    noun, _, name = command.partition(" ")
    (verb,) = (verb for verb in parsers.verbs(noun) if verb.name == (name or noun))
    return verb


def untyped(verb: Verb) -> dict[str, Any]:
    """Return a verb's arguments as they are when none is typed: argparse says so of the verb's own options."""
    parser = argparse.ArgumentParser(add_help=False)
    actions = [parser.add_argument(*option.names, **option.settings) for option in verb.options]
    return {action.dest: action.default for action in actions}


def perform(context: Context, command: str, *words: Any, **options: Any) -> Shown:
    """Run a command with the words that stand for its positional arguments in order, and with these options."""
    verb = verb_of(command)
    arguments = untyped(verb)
    places = [option.names[0] for option in verb.options if not option.names[0].startswith("-")]
    given = dict(zip(places, words, strict=False)) | options
    assert len(words) <= len(places), words
    assert given.keys() <= arguments.keys(), given.keys() - arguments.keys()
    return Shown(command, verb.run(context, **(arguments | given)))


# --- on a fleet -------------------------------------------------------------------------------------------------------


@dataclass
class Stage:
    """A fleet, a folder, and a configuration made of the fleet's (of ``source``, where one is given).

    ``ports`` and ``masters`` are other ports for replicas and masters, ``settings`` lines for ``[INSTANCE:fqdn]``,
    ``replace`` other text for some of it, ``more`` more text for ``[REDIS]``, ``deadline`` that of the masters. What a
    command says, asks and shows on its way is kept, and its questions are given the ``answer``.
    """

    world: World
    folder: Path
    source: Path | None = None
    zone: str = ZONE.key
    now: float = 0.0
    ports: dict[str, int] = field(default_factory=dict)
    masters: dict[str, int] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    replace: list[tuple[str, str]] = field(default_factory=list)
    more: str = ""
    deadline: float = AMPLE
    warnings: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    shown: list[object] = field(default_factory=list)
    answer: bool | Callable[[str], bool] = True

    @property
    def config(self) -> Path:
        """The configuration file, written anew."""
        text = (self.source or self.world.config_path).read_text("utf-8")
        for old, new in (*self._changes(), *self.replace):
            assert old in text, old
            text = text.replace(old, new)
        text += f"\n[SCHEDULE]\ntimezone={self.zone}\n[REDIS]\ndeadline={AMPLE}\nmaster_deadline={self.deadline}\n"
        path = self.folder / "configuration"
        path.write_text(text + self.more, "utf-8")
        return path

    def _changes(self) -> list[tuple[str, str]]:
        changes = []
        for fqdn, port in self.ports.items():
            changes.append((f"\n{fqdn}={self.world.replica(fqdn).port}\n", f"\n{fqdn}={port}\n"))
        for fqdn, port in self.masters.items():
            changes.append((f"master=127.0.0.1:{self.world.master(fqdn).port}\n", f"master=127.0.0.1:{port}\n"))
        for fqdn, lines in self.settings.items():
            changes.append((f"[INSTANCE:{fqdn}]\n", f"[INSTANCE:{fqdn}]\n{lines}\n"))
        return changes

    @property
    def data(self) -> Path:
        return self.world.servers.folder / "data"

    def setting(self, fqdn: str, line: str) -> None:
        """Add a line to an instance's section of the configuration."""
        self.settings[fqdn] = "\n".join(filter(None, (self.settings.get(fqdn), line)))

    def context(self, now: float | None = None, command: str = "a test", **more: Any) -> Context:
        def ask(question: str) -> bool:
            self.asked.append(question)
            return self.answer(question) if callable(self.answer) else self.answer

        def tell(view: object, gathered: Gathered[Any] | None) -> None:
            self.shown.append(view)

        known: dict[str, Any] = {"warn": self.warnings.append, "who": "tester", "host": "here", "ask": ask}
        known |= {"tell": tell, "command": command}
        return Context(str(self.config), self.now if now is None else now, **(known | more))

    def run(self, command: str, *words: Any, context: Context | None = None, **options: Any) -> Shown:
        """Run a command, see :func:`perform`; ``now`` and ``progress`` are its context's, where none is given."""
        more = {name: options.pop(name) for name in ("now", "progress") if name in options}
        return perform(context or self.context(**more), command, *words, **options)
