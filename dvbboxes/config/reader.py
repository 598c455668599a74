"""Asking a scanned file for its values, one key at a time, and remembering what was wrong and what was asked.

What is never asked for is unknown: there is no second list of keys that could lag behind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from dvbboxes.config.scanner import ExpansionLoop, Mistake, Option, Scan, Section, expand
from dvbboxes.config.values import BadValue, mask
from dvbboxes.errors import ConfigError, did_you_mean
from dvbboxes.model import Setting

T = TypeVar("T")


class Reader:
    """One file being read: its sections, and the mistakes, warnings and settings found so far."""

    def __init__(self, path: str, found: Scan) -> None:
        self.path = path
        self.mistakes = list(found.mistakes)
        self.warnings: list[str] = []
        self.settings: list[Setting] = []
        self.sections = {section.name: section for section in found.sections}
        self.last_line = max(found.lines, 1)

    def wrong(self, line: int, section: str, key: str, what: str) -> None:
        """Remember one mistake."""
        self.mistakes.append(Mistake(line, section, key, what))

    def odd(self, line: int, section: str, key: str, what: str) -> None:
        """Remember one warning: harmless, but hardly meant."""
        self.warnings.append(self._sentence(Mistake(line, section, key, what)))

    def note(self, section: str, key: str, value: str, line: int | None) -> None:
        """Remember one setting in force; ``line`` None: it is the default."""
        value, secret = mask(value)
        self.settings.append(Setting(section, key, value, f"{self.path}:{line}" if line else "default", secret))

    def keys(self, name: str) -> Keys:
        """Return the keys of section ``name``, of an empty one where the file has none."""
        return Keys(self, self.sections.get(name) or Section(name, self.last_line, {}))

    def required(self, name: str, example: str) -> Keys:
        """Return the keys of a section that must be there; it is a mistake when it is not."""
        if name not in self.sections:
            # It is missing everywhere: the end of the file is where it would be added.
            self.wrong(self.last_line, name, "", f"the section is missing: add [{name}] with {example}")
        return self.keys(name)

    def finish(self) -> None:
        """Raise ConfigError with every mistake, in the order of the file, if there is one."""
        if self.mistakes:
            ordered = sorted(self.mistakes, key=lambda mistake: mistake.line)
            raise ConfigError(dict.fromkeys(map(self._sentence, ordered)))

    def _sentence(self, mistake: Mistake) -> str:
        section = f" [{mistake.section}]" if mistake.section else ""
        # A misplaced URL would be taken for a key: nothing secret in the name of the place either.
        name, scheme, _ = mistake.key.partition("://")
        key = f" {name}{scheme and '://***'}" if mistake.key else ""
        where = f"{section}{key}:" if section or key else ""
        return printable(f"{self.path}:{mistake.line}:{where} {mistake.what}")


class Keys:
    """The options of one section, asked for by key."""

    def __init__(self, reader: Reader, section: Section) -> None:
        self.reader = reader
        self.name = section.name
        self.line = section.line
        self.options = section.options
        self.asked: set[str] = set()

    def there(self) -> bool:
        """Return whether the file has this section."""
        return self.name in self.reader.sections

    def line_of(self, key: str) -> int | None:
        """Return the line that sets ``key``, None where the default is in force."""
        option = self.options.get(key)
        return option.line if option and option.value else None

    def wrong(self, key: str, what: str) -> None:
        """Remember a mistake in ``key``."""
        option = self.options.get(key)
        self.reader.wrong(option.line if option else self.line, self.name, key, what)

    def text(self, option: Option) -> str | None:
        """Return the expanded text of one of this section's options; None for a loop, which is remembered."""
        if option.value is None or "%(" not in option.value:
            return option.value or ""
        try:
            return expand(self.options, option.name).strip()
        except ExpansionLoop as error:
            self.wrong(option.name, str(error))
            return None

    def optional(self, key: str, parse: Callable[[str], T]) -> T | None:
        """Return the value of ``key``; None where it is absent, empty or wrong (which is remembered)."""
        self.asked.add(key)
        option = self.options.get(key)
        text = self.text(option) if option else ""
        if not option or not text:
            return None
        try:
            value = parse(text)
        except BadValue as error:
            self.wrong(key, str(error))
            return None
        self.reader.note(self.name, key, text, option.line)
        return value

    def get(self, key: str, parse: Callable[[str], T], default: str) -> T:
        """Return the value of ``key``; that of the ``default`` text where it is absent, empty or wrong."""
        value = self.optional(key, parse)
        if value is None:
            self.reader.note(self.name, key, default, None)
            value = parse(default)
        return value

    def get_or_none(self, key: str, parse: Callable[[str], T]) -> T | None:
        """Return the value of ``key``, None by default; either way it is a setting in force."""
        value = self.optional(key, parse)
        if value is None:
            self.reader.note(self.name, key, "", None)
        return value

    def need(self, key: str, parse: Callable[[str], T], stand_in: str) -> T:
        """Return the value of a key that must be there, or ``stand_in`` after remembering that it is not."""
        value = self.optional(key, parse)
        if value is not None:
            return value
        option = self.options.get(key)
        if self.there() and option is None:
            self.reader.wrong(self.line, self.name, key, f"the key is missing (e.g. {key}={stand_in})")
        elif option is not None and self.text(option) == "":
            self.wrong(key, f"it has no value (e.g. {key}={stand_in})")
        return parse(stand_in)

    def done(self) -> None:
        """Remember every option that nobody asked for as a mistake."""
        for key in self.options:
            if key in self.asked:
                continue
            hint = did_you_mean(key, self.asked)
            if key.endswith("password"):
                hint = ": no password stands in this file, name a file that holds it"
                hint += " in master_password_file" if key.startswith("master") else " in password_file"
            self.wrong(key, f"unknown key{hint or ' (there are: ' + ', '.join(sorted(self.asked)) + ')'}")


def printable(text: str) -> str:
    """Return ``text`` with what a terminal or a log must not be given (control characters, broken bytes) escaped."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
