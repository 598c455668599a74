"""Hands that know the sister tool are understood: one table of argument rewrites (DESIGN: the command line). Pure.

dvbbox has ``program DAY``, ``media NAME``, ``listing FILE``; here a noun is followed by a verb. A rewrite is tried only
when the word after the noun is no verb of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from dvbboxes.days import looks_like_day
from dvbboxes.wire import is_media_name, stem


def _program(words: Sequence[str]) -> list[str] | None:
    # A first word that is neither a day nor an option is a verb mistyped: it is to be named as one.
    plain = words[0].startswith("-") or looks_like_day(words[0])
    return ["show", *words] if plain and any(looks_like_day(word) for word in words) else None


def _media(words: Sequence[str]) -> list[str] | None:
    if not is_media_name(stem(words[0])):
        return None
    for number, word in enumerate(words):
        if word == "--delete":
            return ["delete", words[0], *words[1:number], *words[number + 1 :]]
        option, equals, value = word.partition("=")
        if option == "--rename":
            new = [value] if equals else list(words[number + 1 : number + 2])
            return ["rename", words[0], *new, *words[1:number], *words[number + (1 if equals else 2) :]]
    # A second plain word is the argument of a verb mistyped: it is to be named as one.
    return None if any(not word.startswith("-") for word in words[1:]) else ["show", *words]


#: noun -> what its sister form means, verb and arguments, seen from the words after the noun; None: it is none.
FORMS: Mapping[str, Callable[[Sequence[str]], list[str] | None]] = {"program": _program, "media": _media}


#: Options before the noun that take a value: it is no noun, whatever it is.
_VALUED = ("-c", "--config")


def noun_position(arguments: Sequence[str], nouns: Collection[str]) -> int | None:
    """Return where the noun stands in ``arguments`` (what follows the program's name); None if there is none."""
    for position, word in enumerate(arguments):
        if word in nouns and (position == 0 or arguments[position - 1] not in _VALUED):
            return position
    return None


def rewrite(arguments: Sequence[str], verbs: Mapping[str, Collection[str]]) -> list[str]:
    """Return ``arguments`` (what follows the program's name) with a sister form written as ours.

    ``verbs`` maps each noun to its verbs. What is no sister form comes back as it was.
    """
    position = noun_position(arguments, verbs)
    if position is None or arguments[position] not in FORMS:
        return list(arguments)
    noun, rest = arguments[position], arguments[position + 1 :]
    if not rest or rest[0] in verbs[noun] or rest[0] in ("-h", "--help"):
        return list(arguments)
    return [*arguments[: position + 1], *(FORMS[noun](rest) or rest)]
