"""Write the man page dvbboxes(1) from the help texts, which are the only description of a command.

``python etc/manpage.py`` prints it; `make` puts it into build/.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator

from dvbboxes import __version__
from dvbboxes.errors import ExitStatus
from dvbboxes.main import NOUNS, make_manager

FILES = (
    ("/etc/dvbboxes/configuration", "the configuration; DVBBOXES_CONFIG or -c names another"),
    ("/etc/cron.d/dvbboxes", "an example, all of it commented out"),
    ("/var/log/dvbboxes", "the log"),
    ("/var/lib/dvbboxes", "the journal of what was written, and the lock"),
)
STATUSES = {
    ExitStatus.DONE: "done, and complete",
    ExitStatus.DIFFERENCE: "the answer is no, or a difference was found",
    ExitStatus.USAGE: "the command line cannot be understood",
    ExitStatus.CONFIGURATION: "the configuration, or the folders and journal it names",
    ExitStatus.PARTIAL: "partial: some instance did not answer, or did not take it",
    ExitStatus.NO_ANSWER: "no instance answered",
    ExitStatus.TOO_OLD: "data older than --max-age allows",
    ExitStatus.REFUSED: "refused as unsafe",
    ExitStatus.FAILED: "it could not be done for a reason of its own",
    ExitStatus.LOCKED: "another run holds the lock",
    ExitStatus.INTERRUPTED: "interrupted",
}


def page() -> str:
    """Return the page as roff."""
    parser = make_manager().create_parser("dvbboxes")
    lines = [f'.TH DVBBOXES 1 "" "dvbboxes {__version__}" "User Commands"', ".SH NAME"]
    lines += [f"dvbboxes \\- {plain(_lowered(parser.description or ''))}", ".SH SYNOPSIS"]
    lines += [r".B dvbboxes", r"[\-c FILE] NOUN VERB [options] ...", ".SH OPTIONS BEFORE THE NOUN"]
    lines += [line for action in parser._actions for line in entry(action)]
    for noun, command in children(parser).items():
        lines += [f".SH {noun.upper()}", plain(f"{NOUNS[noun][0].upper()}{NOUNS[noun][1:]}.")]
        for verb, one in (children(command) or {noun: command}).items():
            lines += described(one, noun if verb == noun else f"{noun} {verb}")
    lines += [".SH EXIT STATUS"]
    lines += [line for status in ExitStatus for line in (".TP", f".B {status.value}", plain(STATUSES[status]))]
    lines += [".SH FILES", *(line for path, said in FILES for line in (".TP", f".I {path}", plain(said)))]
    return "\n".join(lines) + "\n"


def described(parser: argparse.ArgumentParser, name: str) -> Iterator[str]:
    """Yield the lines of one command: how it is called, what it does, its arguments."""
    words = [positional(action) for action in parser._actions if not action.option_strings]
    yield f".SS {plain(' '.join(['dvbboxes', name, *words]))}"
    for paragraph in re.split(r"\n\s*\n", parser.description or ""):
        yield from [".PP", plain(" ".join(paragraph.split()))]
    for action in parser._actions:
        yield from entry(action)


def children(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the parsers below one, by name."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def positional(action: argparse.Action) -> str:
    """Return how an argument is written in a usage line."""
    name = str(action.metavar or action.dest)
    return {"?": f"[{name}]", "+": f"{name} ...", "*": f"[{name} ...]"}.get(str(action.nargs), name)


def entry(action: argparse.Action) -> Iterator[str]:
    """Yield the lines of one argument or option."""
    if isinstance(action, argparse._SubParsersAction | argparse._HelpAction):
        return
    value = "" if action.nargs == 0 else f" {action.metavar or '|'.join(map(str, action.choices or [action.dest]))}"
    names = ", ".join(f"{name}{value}" for name in action.option_strings) or positional(action)
    yield from [".TP", f".B {plain(names)}", plain((action.help or "").replace("%%", "%"))]


def plain(text: str) -> str:
    """Return text that roff takes as it is."""
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:].rstrip(".")


if __name__ == "__main__":
    sys.stdout.write(page())
