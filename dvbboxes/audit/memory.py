"""What ``check --changes`` remembers between two runs: one JSON file in the ``[DATA]`` folder."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from dvbboxes.errors import JournalError
from dvbboxes.files import SHARED, replace_whole
from dvbboxes.findings import Remembered

FILE = "check.json"
_SCHEMA = 1


def load(folder: str | os.PathLike[str]) -> dict[str, Remembered]:
    """Return what was remembered, nothing where there is no file.

    Raises JournalError where the file cannot be read, is damaged, or is a newer dvbboxes'.
    """
    path = Path(folder) / FILE
    try:
        stored = json.loads(path.read_text("utf-8"))
        if stored["schema"] != _SCHEMA:
            raise JournalError(f"{path}: schema {stored['schema']} is a newer dvbboxes': use that one, or remove it")
        return {key: _remembered(each) for key, each in stored["open"].items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise JournalError(f"{path}: it cannot be read ({error.strerror}): look at its rights") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise JournalError(f"{path}: it is damaged: remove it, and all that is open is told as new") from error


def _remembered(stored: Mapping[str, Any]) -> Remembered:
    return Remembered(
        str(stored["code"]),
        str(stored["instance"]),
        tuple(map(str, stored["service_ids"])),
        str(stored["media"]),
        str(stored["text"]),
        int(stored["severity"]),
        float(stored["since"]),
        date.fromisoformat(stored["told"]),
        None if stored["last"] is None else date.fromisoformat(stored["last"]),
    )


def save(folder: str | os.PathLike[str], memory: Mapping[str, Remembered]) -> None:
    """Remember that, whole or not at all. Raises JournalError where the file cannot be written."""
    path = Path(folder) / FILE
    body = {"schema": _SCHEMA, "open": {key: asdict(each) for key, each in memory.items()}}
    text = json.dumps(body, default=date.isoformat)
    try:
        replace_whole(path, text.encode(), SHARED)
    except OSError as error:
        raise JournalError(f"{path}: it cannot be written ({error.strerror}): look at [DATA] folder") from error
