"""The lines of a configuration file, read without judging what they mean (SPEC 3). Pure.

The standard parser stops at the first mistake and forgets where a value stood; this one goes on and remembers.
What it calls valid, :func:`dvbboxes.config.raw_parser` reads the same way (a property test says so).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

# NamedTuples in this package, not dataclasses: defining one takes 0.07 ms instead of 0.5, and every start pays for it.

# Other control characters would reach terminals and logs; surrogates are bytes that were no UTF-8.
_UNWANTED = "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]"


class Option(NamedTuple):
    """One ``name=value`` line. ``name`` is lower-case; ``value`` is the raw text, None where there is no ``=``."""

    name: str
    value: str | None
    line: int


class Section(NamedTuple):
    """One ``[name]`` with its options, by name, in file order."""

    name: str
    line: int
    options: dict[str, Option]


class Mistake(NamedTuple):
    """What is wrong, at which line (from 1), in which section and key (either may be empty)."""

    line: int
    section: str
    key: str
    what: str


class Scan(NamedTuple):
    """A whole text: its sections in file order, the mistakes of form in it, and how many lines it has."""

    sections: tuple[Section, ...]
    mistakes: tuple[Mistake, ...]
    lines: int


class ExpansionLoop(ValueError):
    """``%(name)s`` that leads back to itself; the text says how."""


def scan(text: str) -> Scan:
    """Return the sections and options of ``text`` with their lines, and every mistake of form (SPEC 3).

    Nothing is raised: a line that is wrong is reported and, where its meaning is plain, still taken.
    """
    lines = text.split("\n")
    scanner = _Scanner()
    for number, line in enumerate(lines, start=1):
        # Nearly every line is printable: it costs no search, and a file of such lines no compiled pattern.
        if not line.isprintable():
            scanner.check_characters(number, line)
        scanner.take(number, line)
    count = len(lines) - 1 if len(lines) > 1 and not lines[-1] else len(lines)
    return Scan(tuple(scanner.sections.values()), tuple(scanner.mistakes), count)


def expand(options: Mapping[str, Option], name: str) -> str:
    """Return the value of option ``name`` with ``%(other)s`` expanded where ``other`` is an option of the section.

    Every other ``%`` is literal (SPEC 3). A name without a value is an empty string. Raises ExpansionLoop.
    """
    return _expand(options, name, (name,))


def _expand(options: Mapping[str, Option], name: str, seen: tuple[str, ...]) -> str:
    text = options[name].value or ""
    if "%(" not in text:
        return text

    def replacement(match: re.Match[str]) -> str:
        other = match.group(1).lower()
        if other not in options:
            return match.group(0)
        if other in seen:
            raise ExpansionLoop(f"{' -> '.join((*seen, other))} expands into itself")
        return _expand(options, other, (*seen, other))

    return re.sub(r"%\(([^)]+)\)s", replacement, text)


class _Scanner:
    """The state of one scan: where we are and what was found."""

    def __init__(self) -> None:
        self.sections: dict[str, Section] = {}
        self.mistakes: list[Mistake] = []
        self.current: Section | None = None

    def wrong(self, line: int, what: str, key: str = "") -> None:
        self.mistakes.append(Mistake(line, self.current.name if self.current else "", key, what))

    def check_characters(self, number: int, line: str) -> None:
        found = re.search(_UNWANTED, line.removesuffix("\r"))
        if not found:
            return
        character = ord(found.group())
        if character >= 0xD800:
            what = f"byte 0x{character - 0xDC00:02x} is not UTF-8: save the file as UTF-8"
        else:
            what = f"control character 0x{character:02x} in the line: remove it"
        self.wrong(number, what)

    def take(self, number: int, line: str) -> None:
        text = _without_comment(line).strip()
        if not text:
            return
        if line[0].isspace():
            self.wrong(number, "the line is indented: remove the spaces in front of it")
        if text[0] == "[":
            self.take_header(number, text)
        else:
            self.take_option(number, text)

    def take_header(self, number: int, text: str) -> None:
        name, bracket, rest = text[1:].rpartition("]")
        if not bracket:
            self.current = None
            self.wrong(number, "a section header has no closing ]")
            name, rest = text[1:], ""
        elif rest:
            self.current = None
            self.wrong(number, "text after the ] of a section header: put it on its own line, or after ' ;'")
        first = self.sections.get(name)
        self.current = first or Section(name, number, {})
        if not name:
            self.wrong(number, "a section header without a name")
        elif first:
            self.wrong(number, f"the section stands twice (first at line {first.line}): merge the two")
        self.sections[name] = self.current

    def take_option(self, number: int, text: str) -> None:
        name, equals, value = text.partition("=")
        name = name.rstrip().lower()
        if self.current is None:
            self.wrong(number, "stands before the first [section]", name)
        elif not name:
            self.wrong(number, "a line that begins with = has no key")
        elif name in self.current.options:
            first = self.current.options[name]
            self.wrong(number, f"stands twice (first at line {first.line}): remove one", name)
        else:
            self.current.options[name] = Option(name, value.strip() if equals else None, number)


def _without_comment(line: str) -> str:
    """Return the line up to its comment: ``#`` or ``;`` first on the line, or a ``;`` after a space."""
    if line.lstrip().startswith("#"):
        return ""
    at = line.find(";")
    while at > 0 and not line[at - 1].isspace():
        at = line.find(";", at + 1)
    return line if at < 0 else line[:at]
