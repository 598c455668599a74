"""Write docs/commands.rst: every command and option, from the help texts, which are their only description.

``python docs/reference.py`` prints the page; ``make docs`` writes it; a test compares the two.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any

from dvbboxes.main import NOUNS, make_manager

HEAD = """\
Commands
========

This page is made from the help texts (``make docs``): ``dvbboxes NOUN VERB -h`` shows the same. Options may be given in
any order after the verb, never abbreviated; ``-c``, ``--debug`` and ``--version`` stand before the noun. What every
exit status means, and the JSON that ``--format json`` writes, is in `output.rst <output.rst>`_.
"""


def page() -> str:
    """Return the page as reStructuredText."""
    parser = make_manager().create_parser("dvbboxes")
    lines = [HEAD, *_options("Before the noun", parser, "-")]
    for noun, command in _children(parser).items():
        lines += ["", *_title(noun, "-"), "", f"{NOUNS[noun][0].upper()}{NOUNS[noun][1:]}."]
        children = _children(command)
        for verb, one in (children or {noun: command}).items():
            lines += ["", *_command(one, noun, verb)]
    return "\n".join(lines) + "\n"


def _children(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _command(parser: Any, noun: str, verb: str) -> Iterator[str]:
    words = [_positional(action) for action in parser._actions if not action.option_strings]
    name = noun if noun == verb else f"{noun} {verb}"
    if noun != verb:
        yield from _title(name, "~")
        yield ""
    yield "::"
    yield ""
    yield f"    {' '.join(['dvbboxes', name, '[options]', *words])}"
    yield ""
    yield from (parser.description or "").splitlines()
    yield ""
    for action in parser._actions:
        yield from _entry(action)


def _options(title: str, parser: argparse.ArgumentParser, mark: str) -> Iterator[str]:
    yield from _title(title, mark)
    yield ""
    for action in parser._actions:
        yield from _entry(action)


def _title(text: str, mark: str) -> list[str]:
    return [text, mark * len(text)]


def _positional(action: argparse.Action) -> str:
    name = str(action.metavar or action.dest)
    return {"?": f"[{name}]", "+": f"{name} [{name} ...]", "*": f"[{name} ...]"}.get(str(action.nargs), name)


def _entry(action: argparse.Action) -> Iterator[str]:
    if isinstance(action, argparse._SubParsersAction | argparse._HelpAction):
        return
    value = "" if action.nargs == 0 else f" {action.metavar or '|'.join(map(str, action.choices or [action.dest]))}"
    names = [f"``{name}{value}``" for name in action.option_strings] or [f"``{_positional(action)}``"]
    yield ", ".join(names)
    yield f"    {(action.help or '').replace('%%', '%').replace('*', chr(92) + '*')}"
    yield ""


if __name__ == "__main__":
    sys.stdout.write(page())
