"""A file of which one part is ours: what dvbboxes writes stands between two marks, all else is kept as it is. Pure.

The first mark carries the hash of what was written: so an edit between the marks is known for one and not overwritten.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import Enum

_BEGIN = "# BEGIN dvbboxes"
_END = "# END dvbboxes"
_HINT = "dvbboxes writes from here to END; lines of your own go below END, where the last word counts"
_BLOCK = re.compile(rf"^{_BEGIN} ([0-9a-f]{{16}}) .*\n((?:.*\n)*?){_END}\n", re.MULTILINE)


class Found(Enum):
    """What stands in a file against what is meant to; the values are for JSON."""

    NEW = "new"
    SAME = "same"
    CHANGED = "changed"
    EDITED = "edited"  # somebody changed our part by hand
    FOREIGN = "foreign"  # the file is not ours: it has no marks


@dataclass(frozen=True, slots=True)
class Merged:
    """What was found, and the whole text of the file as it is to be once it is written."""

    found: Found
    text: str


def merge(existing: str | None, text: str) -> Merged:
    """Return an existing file's text (None: there is none) with our part replaced by ``text``."""
    block = f"{_BEGIN} {_hash(text)} {_HINT}\n{text}{_END}\n"
    if existing is None or not existing.strip():
        return Merged(Found.NEW, block)
    match = _BLOCK.search(existing)
    if match is None:
        return Merged(Found.FOREIGN, block)
    whole = existing[: match.start()] + block + existing[match.end() :]
    if match[1] != _hash(match[2]):
        return Merged(Found.EDITED, whole)
    return Merged(Found.SAME if match[2] == text else Found.CHANGED, whole)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
