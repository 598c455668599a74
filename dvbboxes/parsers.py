"""The command line's grammar, by argparse: what can be typed, and what is said of what cannot. Knows no Flask.

The manager of ``main`` makes its parsers of these, and a TAB needs no more than them.
"""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any, NoReturn

from dvbboxes.commands import Option, Verb, option
from dvbboxes.config import DEFAULT_PATH
from dvbboxes.errors import UsageError, did_you_mean
from dvbboxes.render import FORMATS
from dvbboxes.terminal import PROG, width, write

DESCRIPTION = "See and steer many dvbbox playout servers from one machine."

#: The nouns, in the order of the help, each with its one line; ``dvbboxes.commands.NOUN`` holds its verbs.
NOUNS = {
    "program": "what a channel plays on a day, on every instance",
    "listing": "a month's programs: check a listing, plan it, put it on every instance's air",
    "rollback": "the programs that stood before a run, put back exactly",
    "history": "what was written: runs, a day's whole story, what is still owed",
    "check": "the morning check: what will go wrong on air, where: the critical first, then what hurts first",
    "coverage": "channels across days: what is scheduled, and until when",
    "media": "the files: find them, where they are, when they air",
    "cluster": "the instances themselves: state, link, age",
    "replicas": "this server's own Redis, one per instance: set them up, verify them",
    "config": "the configuration file: check it, show what is in force",
    "demo": "a whole small fleet on this machine, to try everything on",
    "shell": "a Python shell with the API and the fleet at hand",
}

#: Words that are commands by themselves, without verbs.
LONE = frozenset({"check", "coverage", "history", "rollback"})

FORMAT = option("--format", choices=FORMATS, default="text", help="how to show the result (default: text)")
QUIET = option("-q", "--quiet", action="store_true", help="no output when all is well, for cron")
#: Options that stand before the noun.
TOP = (
    option(
        "-c",
        "--config",
        dest="config",
        metavar="FILE",
        help=f"the configuration file (default: DVBBOXES_CONFIG, else {DEFAULT_PATH})",
    ),
    option("--debug", dest="debug", action="store_true", help="show the traceback of an error"),
    option("--version", dest="version", action="store_true", help="show the version and exit"),
)


class Parser(argparse.ArgumentParser):
    """An argument parser without abbreviations, whose errors are ours and name the program in full."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)
        self.leaf = True
        # argparse's own pattern knows -1, but a range such as -3..+3 is a DAY as well, not an option.
        self._negative_number_matcher = re.compile(r"-[0-9]+(\.\..*)?\Z")

    def add_subparsers(self, **kwargs: Any) -> Any:
        """Add sub-parsers as argparse does: what is left over is then theirs to complain of."""
        self.leaf = False
        return super().add_subparsers(**kwargs)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse as argparse does, but a parser without sub-parsers names the first word it does not know."""
        found, left = super().parse_known_args(args, namespace)
        if self.leaf and left:
            self.error(self.unknown(left[0]))
        return found, left

    def unknown(self, word: str) -> str:
        """Return the sentence about the first word that nobody took."""
        if not word.startswith("-"):
            return f"{word!r} is one word too many"
        name = word.partition("=")[0]
        if name in ("-c", "--config", "--debug"):
            return f"{name} goes before the noun: {PROG} {name} ..."
        return f"there is no option {name}{did_you_mean(name, self._option_string_actions)}"

    def error(self, message: str) -> NoReturn:
        """Raise :class:`UsageError`: the message, then the usage in one line."""
        words = [str(action.metavar or action.dest) for action in self._actions if not action.option_strings]
        raise UsageError(f"{message}\nusage: {self.prog} [options] {' '.join(words)} (-h shows them)")

    def _print_message(self, message: str, file: Any = None) -> None:
        write(message)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        # argparse lists every choice in the error; ours says which one was probably meant.
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            raise argparse.ArgumentError(
                None, f"{value!r} is no {self._what(action)}{did_you_mean(str(value), known)}: {', '.join(known)}"
            )

    @staticmethod
    def _what(action: argparse.Action) -> str:
        return f"value of {action.option_strings[-1]}" if action.option_strings else str(action.metavar).lower()


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the terminal, but never wider than is good to read."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=min(100, width()))


#: A word of a parser with others below it: its name, its line, and what makes its parser (None: it is not needed).
Child = tuple[str, str, Callable[[str], Parser] | None]


def new(prog: str, description: str | None, options: Iterable[Option] = ()) -> Parser:
    """Return a parser with ``-h`` and these options."""
    parser = Parser(prog=prog, description=description, add_help=False, formatter_class=_Help)
    parser.add_argument(
        "-h", "--help", action="help", default=argparse.SUPPRESS, help="show this help message and exit"
    )
    for one in options:
        parser.add_argument(*one.names, **one.settings)
    return parser


def grow(parser: Parser, children: Iterable[Child], settings: Mapping[str, str]) -> None:
    """Add the words that come next to a parser, each with its full name in its usage line."""
    subparsers = parser.add_subparsers(**settings)
    subparsers.required = True
    for name, line, make in children:
        if make is None:
            subparsers.add_parser(name, help=line, add_help=False)
            continue
        subparsers._name_parser_map[name] = make(f"{subparsers._prog_prefix} {name}")
        subparsers._choices_actions.append(subparsers._ChoicesPseudoAction(name, (), line))


NOUN_WORDS = {"title": "nouns", "metavar": "NOUN", "dest": "_command"}
VERB_WORDS = {"title": "verbs", "metavar": "VERB", "dest": "_command"}


def of_verb(prog: str, verb: Verb) -> Parser:
    """Return the parser of one command."""
    return new(prog, inspect.cleandoc(verb.run.__doc__ or ""), (*verb.options, FORMAT, QUIET))


def of_noun(prog: str, noun: str) -> Parser:
    """Return the parser of a noun and its verbs, or of a command without verbs."""
    if noun in LONE:
        return of_verb(prog, *verbs(noun))
    parser = new(prog, said_of(noun))
    children = [(verb.name, first_line(verb.run), _maker(verb)) for verb in verbs(noun)]
    grow(parser, children, VERB_WORDS)
    return parser


def _maker(verb: Verb) -> Callable[[str], Parser]:
    return lambda prog: of_verb(prog, verb)


def of_all(only: str) -> Parser:
    """Return the parser of the whole command line, in which only this noun has its words."""
    parser = new(PROG, DESCRIPTION, TOP)
    grow(
        parser,
        [(noun, line, (lambda prog: of_noun(prog, only)) if noun == only else None) for noun, line in NOUNS.items()],
        NOUN_WORDS,
    )
    return parser


def said_of(noun: str) -> str:
    """Return a noun's line as a sentence."""
    line = NOUNS[noun]
    return f"{line[0].upper()}{line[1:]}."


def first_line(described: object) -> str:
    """Return the first line of a docstring: the help line of what it describes."""
    return (described.__doc__ or "").strip().partition("\n")[0]


def verbs(noun: str) -> tuple[Verb, ...]:
    """Return the verbs of a noun; a command without verbs is one of its own name."""
    if noun in LONE:
        return (import_module(f"dvbboxes.commands.{noun}").COMMAND,)
    found: tuple[Verb, ...] = import_module(f"dvbboxes.commands.{noun}").VERBS
    return found


class Verbs(dict[str, tuple[str, ...]]):
    """noun -> names of its verbs, looked up (and imported) only for the noun that is used."""

    def __missing__(self, noun: str) -> tuple[str, ...]:
        names = tuple(verb.name for verb in verbs(noun))
        self[noun] = names
        return names

    def __contains__(self, noun: object) -> bool:
        return noun in NOUNS
