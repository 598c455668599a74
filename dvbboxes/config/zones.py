"""Time zones: one by its name, or the system's with its real transition rules (SPEC 3, ``timezone=``)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, tzinfo
from pathlib import Path

from dvbboxes.config.values import BadValue

LOCALTIME = "/etc/localtime"


def zone(text: str) -> tzinfo:
    """Return the zone called ``text`` (``Indian/Antananarivo``). Raises BadValue with the nearest name."""
    from zoneinfo import ZoneInfo, available_timezones

    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError) as error:  # unknown, ill-formed, a folder such as "Europe"
        from dvbboxes.errors import did_you_mean

        hint = did_you_mean(text, available_timezones())
        raise BadValue(f"{text!r} is no time zone{hint or ' (e.g. Indian/Antananarivo)'}") from error


def system_zone(environ: Mapping[str, str], localtime: str = LOCALTIME) -> tuple[tzinfo, str]:
    """Return the system's zone and where it came from: ``TZ`` in ``environ``, the ``localtime`` file, or neither (UTC).

    Raises BadValue where one is there and cannot be understood: a day counted in a wrong zone is worse than none.
    """
    if "TZ" in environ:
        return _from_tz(environ["TZ"].removeprefix(":")), "from TZ"
    try:
        return _from_localtime(localtime), f"from {localtime}"
    except FileNotFoundError:
        return UTC, f"no {localtime}"
    except (OSError, ValueError) as error:
        raise BadValue(f"{localtime} is no zone file ({error}): name a zone here, e.g. Indian/Antananarivo") from error


def _from_tz(text: str) -> tzinfo:
    from zoneinfo import ZoneInfo

    if not text:
        return UTC  # as the C library has it
    try:
        if text.startswith("/"):
            return _from_localtime(text)
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        return _from_rule(text)


def _from_rule(text: str) -> tzinfo:
    """Return the zone of a POSIX rule such as ``CET-1CEST,M3.5.0,M10.5.0/3``.

    zoneinfo only reads such a rule as the last line of a zone file: so it gets a zone file with nothing else in it.
    """
    import io
    from zoneinfo import ZoneInfo

    header = b"TZif2" + bytes(15) + bytes(16) + (1).to_bytes(4, "big") + (1).to_bytes(4, "big")
    body = bytes(6) + b"\0"
    try:
        rule = text.encode("ascii")
        return ZoneInfo.from_file(io.BytesIO((header + body) * 2 + b"\n" + rule + b"\n"), key=text)
    except ValueError as error:
        raise BadValue(f"TZ={text!r} in the environment is no time zone: name one here, or unset TZ") from error


def _from_localtime(path: str) -> tzinfo:
    from zoneinfo import ZoneInfo

    name = _zone_name(path)
    try:
        if name:
            return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        name = ""  # a zone tree of its own: the file itself has the rules
    with Path(path).open("rb") as file:
        return ZoneInfo.from_file(file, key=path)


def _zone_name(path: str) -> str:
    """Return the zone's name as the link spells it: following every link would turn Antananarivo into Nairobi."""
    try:
        target = str(Path(path).readlink())
    except OSError:
        target = path
    for candidate in (target, os.path.realpath(path)):
        name = candidate.partition("/zoneinfo/")[2]
        if name:
            return name
    return ""
