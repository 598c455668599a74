"""What the journal records and tells: runs, their changes, and the story of a day. Pure; the file is `journal`'s.

Apart from `model`, so that only a command that speaks of the journal pays for these types. Times are Unix seconds, a
day is the date on which the broadcast day begins, a service id is a ``str``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import TypeAlias

from dvbboxes.model import Stored

#: What one change is about: (fqdn of the instance, day, service id).
Key: TypeAlias = tuple[str, date, str]


class RunKind(Enum):
    """What a run set out to do; the journal keeps the word, so that a new one needs no migration of the file."""

    APPLY = "apply"
    ROLLBACK = "rollback"
    CONVERGE = "converge"
    COPY = "copy"
    DELETE = "delete"
    RESTORE = "restore"
    REPLACE = "replace"
    RENAME = "rename"
    MEDIA_DELETE = "media-delete"


class RunState(Enum):
    """How a run ended. OPEN: it is at work, or it was killed."""

    OPEN = "open"
    DONE = "done"
    PARTIAL = "partial"
    FAILED = "failed"
    REFUSED = "refused"


class ChangeState(Enum):
    """How far one program of a run has come on one master."""

    PLANNED = "planned"
    WRITING = "writing"
    WRITTEN = "written"  # EXEC was acknowledged
    VERIFIED = "verified"  # ... and the same bytes were read back
    REFUSED = "refused"
    FAILED = "failed"
    UNKNOWN = "unknown"  # the connection was lost after EXEC was sent


#: The states in which a program stands on its master, as far as we were told.
REACHED = (ChangeState.WRITTEN, ChangeState.VERIFIED)
#: The states in which nothing more is to be done about the program itself.
SETTLED = (ChangeState.VERIFIED, ChangeState.REFUSED)


class UpdateState(Enum):
    """What became of asking dvbbox to update after the write."""

    NOT_ASKED = "not-asked"
    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run as it was asked for, before anything is written.

    ``command`` is the text of what was asked; ``file`` and ``digest`` (sha256 in hex) are the listing's, empty where
    there is none; ``allow`` are the refusals that were released; ``undoes`` is the id of the run a rollback takes back.
    """

    kind: RunKind
    who: str
    host: str
    command: str
    file: str
    digest: str
    fingerprint: str
    allow: tuple[str, ...]
    started: float
    undoes: int | None = None


@dataclass(frozen=True, slots=True)
class Where:
    """Which changes are meant: days from ``first`` to ``last``, both in it, on these instances, of these channels.

    None is no limit; an empty tuple is nothing at all.
    """

    first: date | None = None
    last: date | None = None
    instances: tuple[str, ...] | None = None
    service_ids: tuple[str, ...] | None = None


EVERYWHERE = Where()


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """One program to be written on one instance: what is there before (empty: nothing) and what is meant.

    ``looked`` False: its master could not be looked at, so ``before`` is empty and says nothing.
    """

    town: str
    instance: str
    day: date
    service_id: str
    before: Stored
    after: Stored
    detail: str = ""
    looked: bool = True

    @property
    def key(self) -> Key:
        """What it is about."""
        return self.instance, self.day, self.service_id


@dataclass(frozen=True, slots=True)
class Progress:
    """What is new about one change of a run; None (or nothing said) leaves what was recorded.

    ``after_update`` is the program as dvbbox's update left it, where it changed it; ``before`` what was found on a
    master that could not be looked at when the change was planned.
    """

    instance: str
    day: date
    service_id: str
    state: ChangeState | None = None
    detail: str | None = None
    update: UpdateState | None = None
    update_text: str | None = None
    replicated: bool | None = None
    after_update: Stored | None = None
    before: Stored | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One program of one run on one instance, as far as it came; ``changed`` is when that was last recorded.

    ``looked`` False: its master could not be looked at when it was planned, so ``before`` is not known.
    """

    run: int
    town: str
    instance: str
    day: date
    service_id: str
    before: Stored
    after: Stored
    state: ChangeState
    detail: str
    update: UpdateState
    update_text: str
    replicated: bool | None
    after_update: Stored | None
    changed: float
    looked: bool = True

    @property
    def key(self) -> Key:
        """What it is about."""
        return self.instance, self.day, self.service_id

    @property
    def expected(self) -> Stored:
        """What should be on the master if nobody wrote since: what was meant, or what the update made of it."""
        return self.after if self.after_update is None else self.after_update


@dataclass(frozen=True, slots=True)
class Run:
    """One run: as asked, how it ended (``finished`` None: it has not), how many changes are in which state."""

    id: int
    asked: NewRun
    state: RunState
    finished: float | None
    counts: Mapping[ChangeState, int]


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a story. ``instance``, ``day`` and ``service_id`` are None where it is about the run as a whole."""

    run: int
    at: float
    instance: str | None
    day: date | None
    service_id: str | None
    text: str


@dataclass(frozen=True, slots=True)
class WholeRun:
    """One run with its changes (by day, service id, instance) and its events in order."""

    run: Run
    changes: tuple[Change, ...]
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Applied:
    """A change and the run it belongs to."""

    change: Change
    run: Run


@dataclass(frozen=True, slots=True)
class Pruned:
    """How much was forgotten: runs, their changes, and programs that nothing speaks of any more."""

    runs: int
    changes: int
    programs: int
