"""The list of withdrawn files, one JSON file in the ``[DATA]`` folder: kept until somebody takes a name off it.

A list that cannot be read is no empty list: whatever depends on it stops.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dvbboxes.errors import JournalError
from dvbboxes.files import SHARED, replace_whole
from dvbboxes.library.barred import Withdrawal
from dvbboxes.wire import is_media_name, media_file, stem

FILE = "withdrawn.json"
SCHEMA = 1


def read(folder: str | os.PathLike[str]) -> tuple[Withdrawal, ...]:
    """Return what is withdrawn, in the order in which it was; nothing where there is no list. Raises JournalError."""
    path = Path(folder) / FILE
    try:
        found = json.loads(path.read_text("utf-8"))
        if found["schema"] != SCHEMA:
            raise JournalError(f"{path}: a newer dvbboxes wrote it: use that one")
        return tuple(_entry(name, said) for name, said in found["media"].items())
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise JournalError(f"{path}: it cannot be read ({error.strerror}): look at its rights") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise JournalError(f"{path}: it is damaged: mend it, or restore it from a backup") from error


def _entry(name: str, said: dict[str, Any]) -> Withdrawal:
    if not is_media_name(stem(name)):
        raise ValueError(name)
    words = (str(said[word]) for word in ("who", "host", "reason"))
    return Withdrawal(media_file(name), float(said["since"]), *words)


def names(folder: str | os.PathLike[str]) -> frozenset[str]:
    """Return the names (with ``.ts``) that are withdrawn. Raises JournalError."""
    return frozenset(entry.media for entry in read(folder))


def write(folder: str | os.PathLike[str], entries: Iterable[Withdrawal]) -> None:
    """Replace the list, whole or not at all. Raises JournalError where it cannot be written."""
    path = Path(folder) / FILE
    media = {e.media: {"since": e.since, "who": e.who, "host": e.host, "reason": e.reason} for e in entries}
    try:
        replace_whole(path, (json.dumps({"schema": SCHEMA, "media": media}, indent=1) + "\n").encode(), SHARED)
    except OSError as error:
        said = error.strerror or str(error)
        raise JournalError(f"{path}: it cannot be written ({said}): look at [DATA] folder") from error
