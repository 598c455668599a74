"""What a writing run did, instance by instance and day by day: what is told at its end (SPEC 6, 8.6). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, tzinfo

from dvbboxes.plan import Plan
from dvbboxes.records import Applied, ChangeState, Event, Pruned, Run, RunKind, UpdateState, WholeRun


@dataclass(frozen=True, slots=True)
class Line:
    """One program on one instance at the end of a run. ``replicated`` None: nothing to wait for."""

    town: str
    instance: str
    day: date
    service_id: str
    state: ChangeState
    detail: str
    update: UpdateState
    update_text: str = ""
    replicated: bool | None = None

    @property
    def holds(self) -> bool:
        """Return whether everything that was asked for is true of it: verified, updated (or not asked), replicated."""
        return (
            self.state is ChangeState.VERIFIED
            and self.update in (UpdateState.DONE, UpdateState.NOT_ASKED)
            and self.replicated is True
        )


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a writing command. ``run`` 0: nothing was to be written and nothing was journalled.

    ``kept`` programs were already as meant; ``own`` were left alone, a town's own. ``notes`` are for the operator,
    ``relaunch`` the lines to type per host where a day on air was written. ``journalled``: the journal has all of it.
    """

    kind: RunKind
    run: int
    fingerprint: str
    lines: tuple[Line, ...]
    kept: int
    own: int
    notes: tuple[str, ...]
    relaunch: tuple[str, ...]
    channels: Mapping[str, str]
    journalled: bool = True

    @property
    def whole(self) -> bool:
        """Return whether all of it holds."""
        return self.journalled and all(line.holds for line in self.lines)


@dataclass(frozen=True, slots=True)
class ListingCheck:
    """The result of ``listing check``: the plan's days and files, seen from the replicas; nothing is compared.

    ``nearest`` maps a file that nobody has to the nearest names; ``tolerance`` is in seconds.
    """

    plan: Plan
    nearest: Mapping[str, tuple[str, ...]]
    zone: tzinfo
    tolerance: float
    channels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ListingPlan:
    """The result of ``listing plan``. ``again`` is the command line that applies exactly this."""

    plan: Plan
    nearest: Mapping[str, tuple[str, ...]]
    zone: tzinfo
    tolerance: float
    channels: Mapping[str, str]
    again: str


@dataclass(frozen=True, slots=True)
class Saved:
    """The result of ``program backup``: how much of whom is in the archive; ``passed`` keys are neither kind (SPEC 2).

    ``programs`` counts one for each instance that holds it, ``media`` different names.
    """

    file: str
    instances: int
    programs: int
    media: int
    passed: int


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The result of ``history --prune``: what went of the journal, and the days that were to be kept."""

    pruned: Pruned
    days: int


@dataclass(frozen=True, slots=True)
class History:
    """The result of ``history``: runs, newest first."""

    runs: tuple[Run, ...]
    zone: tzinfo


@dataclass(frozen=True, slots=True)
class Story:
    """The result of ``history ID``: one run whole."""

    whole: WholeRun
    zone: tzinfo
    channels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DayStory:
    """The result of ``history --day``: everything the journal tells of some days, in order of time."""

    events: tuple[Event, ...]
    zone: tzinfo
    channels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Owed:
    """The result of ``history --open``: what is still owed to which instance."""

    programs: tuple[Applied, ...]
    updates: tuple[Applied, ...]
    zone: tzinfo
    channels: Mapping[str, str]
