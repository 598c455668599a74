"""How findings say moments, spans and options. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Collection
from datetime import datetime

from dvbboxes.findings.kinds import Material
from dvbboxes.wire import stem


def at(moment: float, material: Material) -> str:
    """Return a moment's clock time in the configured zone, with its seconds where it has any."""
    try:
        local = datetime.fromtimestamp(moment, material.zone)
    except (OverflowError, ValueError, OSError):  # a file that lasts 1e300 s ends then
        return "?"
    return local.strftime("%H:%M" if local.second == 0 else "%H:%M:%S")


def span_of(seconds: float) -> str:
    """Return a length as ``h:mm:ss``."""
    whole = round(seconds) if seconds < 1e12 else 0
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def typed(media: str) -> str:
    """Return a file's name as it can be typed: it comes from a Redis, and the line it stands in will be pasted."""
    return shlex.quote(stem(media))


def instances_option(material: Material, fqdns: Collection[str]) -> str:
    """Return `` --instance a,b`` for some of the instances asked, nothing for all of them or for many."""
    if len(fqdns) > 4 or len(fqdns) == len(material.gathered.answers):
        return ""
    return f" --instance {','.join(fqdns)}"
