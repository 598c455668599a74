"""One value of the configuration: text in, something checked out, or :class:`BadValue` (SPEC 3). Pure.

No parser here is given an empty text: an empty value is the default, which the reader decides.
"""

from __future__ import annotations

import re
from datetime import time
from math import isfinite

LEVELS = {"NOTSET": 0, "DEBUG": 10, "INFO": 20, "WARN": 30, "WARNING": 30, "ERROR": 40, "CRITICAL": 50, "FATAL": 50}
_YES_NO = {"yes": True, "true": True, "on": True, "1": True, "no": False, "false": False, "off": False, "0": False}


class BadValue(ValueError):
    """A value that cannot be what its key wants; the text says why and what to write. It never shows a password."""


def shown(text: str) -> str:
    """Return ``text`` as a message may show it: quoted, and without what could be a password (before @, after ?)."""
    scheme, mark, rest = text.rpartition("://")
    if "@" in rest:
        rest = "***@" + rest.rpartition("@")[2]
    if "?" in rest:
        rest = rest.partition("?")[0] + "?***"
    return repr(scheme + mark + rest)


def mask(text: str) -> tuple[str, bool]:
    """Return a setting with any ``//user:password@`` masked, and whether there was one."""
    if "://" not in text or "@" not in text:
        return text, False
    masked = re.sub(r"(\w://)[^/\s@]*:.*@", r"\1***@", text)
    return masked, masked != text


def plain_text(text: str) -> str:
    """Return the text: anything goes."""
    return text


def folder_on_instance(text: str) -> str:
    """Return an absolute folder without its final slash; it is the front of what programs store (SPEC 6)."""
    if not text.startswith("/") or not text.strip("/"):
        raise BadValue(f"{text!r} is no absolute folder below / (e.g. /opt/tsfiles)")
    return text.rstrip("/")


def level(text: str) -> int:
    """Return a logging level: Python's number, or one of its names."""
    if text.upper() in LEVELS:
        return LEVELS[text.upper()]
    if text.isascii() and text.isdigit() and len(text) < 4:
        return int(text)
    raise BadValue(f"{text!r} is no level (10, 20, 30, 40, 50, or DEBUG, INFO, WARNING, ERROR, CRITICAL)")


def seconds(text: str) -> float:
    """Return a number of seconds >= 0."""
    if not (text.isascii() and text.replace(".", "", 1).isdigit() and isfinite(float(text))):
        raise BadValue(f"{text!r} is no number of seconds (e.g. 2 or 1.5)")
    return float(text)


def positive_seconds(text: str) -> float:
    """Return a number of seconds > 0."""
    number = seconds(text)
    if not number:
        raise BadValue(f"{text!r}: it must be more than 0 seconds")
    return number


def count(text: str) -> int:
    """Return a whole number >= 1."""
    if not (text.isascii() and text.isdigit() and len(text) < 7 and int(text)):
        raise BadValue(f"{text!r} is no whole number from 1")
    return int(text)


def port(text: str) -> int:
    """Return a TCP port, 1 to 65535."""
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise BadValue(f"{shown(text)} is no port (a number from 1 to 65535)")
    return int(text)


def yes_no(text: str) -> bool:
    """Return a yes or no, in any of the ways INI files say it."""
    if text.lower() not in _YES_NO:
        raise BadValue(f"{text!r}: write yes or no")
    return _YES_NO[text.lower()]


def time_of_day(text: str) -> time:
    """Return a local time written ``07:30``."""
    hours, _, minutes = text.partition(":")
    digits = text.isascii() and hours.isdigit() and minutes.isdigit()
    if not digits or len(hours) > 2 or len(minutes) != 2 or int(hours) > 23 or int(minutes) > 59:
        raise BadValue(f"{text!r} is no time of day (e.g. 07:30)")
    return time(int(hours), int(minutes))


def host(text: str) -> str:
    """Return a host name or address, lower-case. Brackets around an IPv6 address are not part of it."""
    if text.isascii() and all(map(_is_label, text.split("."))):
        return text.lower()
    if "://" in text:
        raise BadValue("a URL stands where a host name belongs: write host=URL")
    if ":" in text and "@" not in text:
        import ipaddress  # only IPv6 addresses pay for it

        try:
            return str(ipaddress.IPv6Address(text))
        except ValueError as error:
            raise BadValue(f"{shown(text)} is no host name or address") from error
    raise BadValue(f"{shown(text)} is no host name or address")


def _is_label(text: str) -> bool:
    # No leading dash: a host reaches ssh's command line.
    return text.replace("-", "").replace("_", "").isalnum() and "-" not in (text[0], text[-1])


def canonical_host(text: str) -> str:
    """Return the one spelling of a host name by which two are compared; what is no host name is only lower-cased."""
    try:
        return host(text)
    except BadValue:
        return text.lower()


def user(text: str) -> str:
    """Return a user name that no command line can take for an option."""
    if not re.fullmatch(r"\w[\w.@\\-]*\$?", text):
        raise BadValue(f"{text!r} is no user name")
    return text


def service_id(text: str) -> str:
    """Return a service id: ASCII digits."""
    if not (text.isascii() and text.isdigit()):
        raise BadValue(f"{text!r} is no service id (digits, e.g. 85)")
    return text


def words(text: str) -> tuple[str, ...]:
    """Return the words of a command line, quotes understood as a shell does."""
    import shlex  # only who sets [SSH] options pays for it

    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise BadValue(f"{text!r} cannot be split into words: {str(error).lower()}") from error
