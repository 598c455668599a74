"""What a finding is: its kinds, how grave it is, and what the rules are given to look at. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, tzinfo
from enum import Enum, IntEnum

from dvbboxes.model import Config, Duration, Gathered, Instance, Schedule
from dvbboxes.records import Applied, Key
from dvbboxes.wire import day_text

#: What blackens a channel is CRITICAL within so many seconds, later it is a WARNING: there is a day to mend it.
SOON = 86400.0


class Severity(IntEnum):
    """How grave a finding is; the numbers are Nagios' but for NOTE, which never changes an exit status."""

    NOTE = 0
    WARNING = 1
    CRITICAL = 2


class Code(Enum):
    """The stable code of each kind of finding (docs: check)."""

    UNAVAILABLE = "unavailable"
    SUSPECT = "suspect"
    STALE = "stale"
    NO_PROGRAM = "no-program"
    CORRUPT_PROGRAM = "corrupt-program"
    SHORT = "short"
    OVERRUN = "overrun"
    GAP = "gap"
    OVERLAP = "overlap"
    ABSENT = "absent"
    RENAMED = "renamed"
    UNMEASURED = "unmeasured"
    CORRUPT_DURATION = "corrupt-duration"
    NO_LENGTH = "no-length"
    DURATION = "duration"
    DIFFERS = "differs"
    NOT_AS_APPLIED = "not-as-applied"
    WITHDRAWN = "withdrawn"
    UNKNOWN_CHANNEL = "unknown-channel"
    PASSED_OVER = "passed-over"


@dataclass(frozen=True, slots=True)
class Finding:
    """One cause of trouble. ``moment`` is when it first hurts (Unix seconds); ``mend`` a command that mends it.

    ``instances`` are the fqdns it stands on, ``service_ids`` and ``days`` what it touches (empty: all, or none in
    particular), ``media`` a file's name with ``.ts``.
    """

    code: Code
    severity: Severity
    moment: float
    instances: tuple[str, ...]
    text: str
    mend: str
    service_ids: tuple[str, ...] = ()
    days: tuple[date, ...] = ()
    media: str = ""

    @property
    def urgency(self) -> tuple[int, float, str, str, str]:
        """What findings are sorted by: the gravest first, then what hurts first."""
        return -self.severity, self.moment, self.code.value, self.media, " ".join(self.instances)

    def on(self, fqdns: Collection[str]) -> Finding | None:
        """Return the finding as far as it stands on these instances; None where it stands on none of them."""
        kept = tuple(fqdn for fqdn in self.instances if fqdn in fqdns)
        if kept == self.instances:
            return self
        return replace(self, instances=kept) if kept else None

    def key(self, fqdn: str) -> str:
        """Return what makes this the same trouble of an instance on another day's check: never a time or a number."""
        if self.media or self.code in _OF_INSTANCE:
            return f"{self.code.value} {fqdn} {self.media}".rstrip()
        if self.code is Code.NO_PROGRAM:  # a run of days whose first one passes is the same run
            return f"{self.code.value} {fqdn} {','.join(self.service_ids)}"
        first = day_text(self.days[0]) if self.days else "-"
        return f"{self.code.value} {fqdn} {','.join(self.service_ids) or '-'} {first}"


_OF_INSTANCE = {Code.UNAVAILABLE, Code.SUSPECT, Code.STALE, Code.PASSED_OVER}


@dataclass(frozen=True, slots=True)
class Survey:
    """What one instance says: its programs in the order of :attr:`Material.keys`, and of the files in sheets.

    Sheet n is about the same names on every instance; equal sheets, like equal programs, are one object.
    ``strangers`` are service ids in its keys that the configuration does not know, ``passed_over`` counts keys that
    are no programs.
    """

    programs: tuple[Schedule, ...]
    sheets: tuple[Mapping[str, Duration], ...]
    strangers: frozenset[str] = frozenset()
    passed_over: int = 0


@dataclass(frozen=True, slots=True)
class Material:
    """All that the rules look at. ``keys`` are (day, service id), asked of everyone; ``now`` is Unix seconds.

    ``applied`` is what the journal says was last applied; ``withdrawn`` are file names nobody may hold or schedule.
    """

    config: Config
    gathered: Gathered[Survey]
    keys: tuple[tuple[date, str], ...]
    now: float
    applied: Mapping[Key, Applied] = field(default_factory=dict)
    withdrawn: frozenset[str] = frozenset()

    @property
    def zone(self) -> tzinfo:
        """The zone in which moments are said."""
        return self.config.schedule.zone

    def voices(self) -> tuple[tuple[Instance, Survey], ...]:
        """Return the instances that answered, each with what it said."""
        return tuple((a.instance, a.value) for a in self.gathered.answers if a.value is not None and a.ok)

    def grave(self, moment: float) -> Severity:
        """Return how grave it is that a channel is black from that moment on."""
        return Severity.CRITICAL if moment <= self.now + SOON else Severity.WARNING
