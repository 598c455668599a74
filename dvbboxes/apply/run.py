"""One writing run from the journal's first line to its last: what is announced, written, updated, replicated (SPEC 6).

Whatever happens on one instance is a line of the report; whatever kills this process leaves a journal that says what
was under way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias, TypeVar

from dvbboxes.apply import masters
from dvbboxes.apply.masters import Written
from dvbboxes.errors import JournalError
from dvbboxes.journal import Journal, stamp
from dvbboxes.model import Config, Instance, Stored
from dvbboxes.plan import Change, Key
from dvbboxes.records import Change as Recorded
from dvbboxes.records import ChangeState, NewRun, PlannedChange, Progress, RunState, UpdateState
from dvbboxes.report import Line, Report
from dvbboxes.wire import day_text

T = TypeVar("T")

#: Updates in one ssh session: what a session is given has a longest length (`remote.LONGEST_SCRIPT`).
MOST_UPDATES = 500
#: Told how far a phase is: its name, how many of how many are done.
ShowProgress: TypeAlias = Callable[[str, int, int], None]

#: What the journal says of a change for a master that did not answer.
OWED = "owed: its master could not be looked at"
#: ... and of a program that was found as it is meant to be, where an older run still owed another one.
AS_MEANT = "found as it is meant"


def no_progress(phase: str, done: int, total: int) -> None:
    """Show nothing."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be carried out: the run as the journal has it, the changes that write something, and what is owed.

    ``owed`` are changes for masters that could not be looked at: they are journalled, not written. ``kept`` and ``own``
    count the programs left as they are. ``relaunch``: lines to type where a day on air is written. ``standing`` are
    changes that are on their masters already and only want dvbbox's update and the replica (a run that is resumed).
    ``confirmed`` are among the kept: an older run still owes something there, and this one must be seen to be newer.
    """

    run: NewRun
    changes: tuple[Change, ...]
    owed: tuple[Change, ...] = ()
    kept: int = 0
    own: int = 0
    notes: tuple[str, ...] = ()
    relaunch: tuple[str, ...] = ()
    standing: tuple[Change, ...] = ()
    confirmed: tuple[Change, ...] = ()

    @property
    def empty(self) -> bool:
        """Return whether there is nothing to do, and nothing to journal."""
        return not (self.changes or self.owed or self.standing or self.confirmed)


def carry_out(
    order: Order, journal: Journal, config: Config, progress: ShowProgress = no_progress, *, resumes: int | None = None
) -> Report:
    """Write, verify, update and wait for the replicas; return what became of each program on each instance.

    The journal has everything before the first master does. ``resumes``: the id of a run whose changes these are; no
    new run is begun then. Raises JournalError where the journal cannot be written: nothing has been written then.
    """
    number = journal.begin(order.run, _planned(order), stamp()) if resumes is None else resumes
    begun = [_progress(change, ChangeState.VERIFIED, AS_MEANT) for change in order.confirmed]
    writing = [_progress(change, ChangeState.WRITING) for change in order.changes]
    if resumes is not None:  # what is overwritten may not have been known when the run was begun
        pairs = zip(writing, order.changes, strict=True)
        writing = [replace(progress, before=change.existing) for progress, change in pairs]
    begun += writing
    journal.advance(number, begun, stamp())
    flow = _Flow(order, journal, config, progress, number)
    flow.write()
    flow.update()
    flow.replicate()
    return flow.finish()


def _planned(order: Order) -> list[PlannedChange]:
    planned = [_planned_change(change, "") for change in (*order.changes, *order.confirmed)]
    return planned + [replace(_planned_change(change, OWED), looked=False) for change in order.owed]


def _planned_change(change: Change, detail: str) -> PlannedChange:
    instance = change.instance
    return PlannedChange(
        instance.cluster, instance.fqdn, change.day, change.service_id, change.existing, change.desired, detail
    )


def _progress(change: Change | Written, state: ChangeState, detail: str | None = None) -> Progress:
    return Progress(change.instance.fqdn, change.day, change.service_id, state, detail)


@dataclass(slots=True)
class _Flow:
    """A run under way: its lines, filled in phase by phase."""

    order: Order
    journal: Journal
    config: Config
    progress: ShowProgress
    number: int
    lines: dict[tuple[str, Key], Line] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    positions: dict[str, masters.Position] = field(default_factory=dict)
    unjournalled: bool = False

    # -- writing

    def write(self) -> None:
        instances = {change.instance.fqdn for change in self.order.changes}
        done: set[str] = set()

        def on_done(instance: Instance) -> None:
            done.add(instance.fqdn)
            self.progress("writing", len(done), len(instances))

        report = masters.write(self.order.changes, self.config.redis.master_deadline, on_done)
        self.positions.update(report.positions)
        for written in report.written:
            self._line(written.instance, (written.day, written.service_id), written.state, written.detail)
        for change in self.order.standing:
            self._line(change.instance, change.key, ChangeState.VERIFIED, "")
        for change in self.order.owed:
            self._line(change.instance, change.key, ChangeState.PLANNED, OWED)
        updates = [_progress(written, written.state, written.detail) for written in report.written]
        self._record(updates)

    def _line(self, instance: Instance, key: Key, state: ChangeState, detail: str) -> None:
        line = Line(instance.cluster, instance.fqdn, *key, state, detail, UpdateState.NOT_ASKED)
        self.lines[instance.fqdn, key] = line

    def _standing(self) -> list[Change]:
        """Return the changes that stand on their masters."""
        changes = (*self.order.changes, *self.order.standing)
        return [change for change in changes if self._line_of(change).state is ChangeState.VERIFIED]

    def _line_of(self, change: Change) -> Line:
        return self.lines[change.instance.fqdn, change.key]

    def _amend(self, change: Change, **news: object) -> None:
        self.lines[change.instance.fqdn, change.key] = replace(self._line_of(change), **news)  # type: ignore[arg-type]

    # -- dvbbox's update

    def update(self) -> None:
        """Ask dvbbox on each host to update what was written there, and record what that changed."""
        standing = self._standing()
        if not self.config.ssh.update or not standing:
            return
        from dvbboxes.remote import Job, run, update_command

        self._journal_updates(standing, UpdateState.PENDING)
        before = self._read(standing)
        sessions = _sessions(standing)
        jobs = [
            Job(
                changes[0].instance,
                tuple(update_command(self.config.ssh, c.day, c.service_id, self.config.channels) for c in changes),
            )
            for changes in sessions
        ]
        done = 0

        def on_done(_: object) -> None:
            nonlocal done
            done += 1
            self.progress("updating", done, len(jobs))

        outcomes = run(jobs, self.config.ssh, on_done=on_done)
        for changes, outcome in zip(sessions, outcomes, strict=True):
            for change, result in zip(changes, outcome.results, strict=True):
                said = outcome.error.message if outcome.error and not result.ok else " / ".join(result.lines[-3:])
                if not result.ok and result.status is not None:
                    said = f"status {result.status}: {said}"
                state = UpdateState.DONE if result.ok else UpdateState.FAILED
                self._amend(change, update=state, update_text=said)
        self._record_updates(standing, before, self._read(standing))

    def _read(self, changes: Sequence[Change]) -> Mapping[str, Mapping[Key, Stored]]:
        keys = masters.touched(changes)
        instances = tuple({change.instance.fqdn: change.instance for change in changes}.values())
        return masters.read_programs(instances, keys, self.config.redis.master_deadline).values()

    def _journal_updates(self, changes: Iterable[Change], state: UpdateState) -> None:
        updates = [Progress(c.instance.fqdn, c.day, c.service_id, update=state) for c in changes]
        self._record(updates)

    def _record_updates(
        self,
        changes: Sequence[Change],
        before: Mapping[str, Mapping[Key, Stored]],
        after: Mapping[str, Mapping[Key, Stored]],
    ) -> None:
        """Journal what the updates did: to the programs that were written, and to a Saturday's next two days."""
        updates = []
        for change in changes:
            line = self._line_of(change)
            found = after.get(change.instance.fqdn, {}).get(change.key)
            changed = found if found is not None and found != change.desired else None
            updates.append(
                Progress(
                    *(change.instance.fqdn, change.day, change.service_id),
                    update=line.update,
                    update_text=line.update_text,
                    after_update=changed,
                )
            )
            if changed is not None:
                self._amend(change, update_text=f"{line.update_text} (the update changed it)".strip())
        self._record(updates)
        written = {(change.instance.fqdn, change.key) for change in changes}
        for fqdn, programs in after.items():
            for key, stored in programs.items():
                if (fqdn, key) not in written and stored != before.get(fqdn, {}).get(key, stored):
                    said = f"{fqdn}: the update of a Saturday also changed {day_text(key[0])}:{key[1]}"
                    self._journal(self.journal.note, said)
                    self.notes.append(said)

    # -- replication

    def replicate(self) -> None:
        standing = self._standing()
        if not standing:
            return
        instances = tuple({change.instance.fqdn: change.instance for change in standing}.values())
        if self.config.ssh.update or self.order.standing:  # dvbbox wrote after us, or an earlier process did
            self.positions.update(masters.positions(instances, self.config.redis.master_deadline))
        self.progress("replicating", 0, len(instances))
        there = masters.wait_replicated(instances, self.positions, self.config.redis.master_deadline)
        self.progress("replicating", sum(there.values()), len(instances))
        for change in standing:
            self._amend(change, replicated=there.get(change.instance.fqdn, False))
        updates = [
            Progress(c.instance.fqdn, c.day, c.service_id, replicated=self._line_of(c).replicated) for c in standing
        ]
        self._record(updates)

    # -- the end

    def finish(self) -> Report:
        order = self.order
        lines = tuple(self.lines[c.instance.fqdn, c.key] for c in (*order.changes, *order.standing, *order.owed))
        self._journal(self._end, None)
        return Report(
            order.run.kind,
            self.number,
            order.run.fingerprint,
            lines,
            order.kept,
            order.own,
            (*order.notes, *self.notes),
            order.relaunch,
            self.config.channels,
            not self.unjournalled,
        )

    # -- the journal

    def _end(self, number: int, _: None, now: float) -> None:
        self.journal.finish(number, run_state(self.journal.run(number).changes), now)

    def _record(self, updates: Sequence[Progress]) -> None:
        self._journal(self.journal.advance, updates)

    def _journal(self, write: Callable[[int, T, float], None], what: T) -> None:
        """Write to the journal. What is on the masters is told even if this fails: the report is all there is then."""
        try:
            write(self.number, what, stamp())
        except JournalError as error:
            if not self.unjournalled:
                self.notes.append(f"the journal does not have all of this run: {error}")
            self.unjournalled = True


def _sessions(changes: Iterable[Change]) -> list[list[Change]]:
    """Return the changes of each ssh session, by day: one session an instance, unless it would be too long for one."""
    by_host: dict[str, list[Change]] = {}
    for change in changes:
        by_host.setdefault(change.instance.fqdn, []).append(change)
    ordered = [sorted(each, key=lambda c: (c.day, c.service_id)) for each in by_host.values()]
    return [each[n : n + MOST_UPDATES] for each in ordered for n in range(0, len(each), MOST_UPDATES)]


def run_state(changes: Sequence[Recorded]) -> RunState:
    """Return how a run stands, all its changes looked at: those of earlier attempts too where it is resumed."""
    if all(_holds(change) for change in changes):
        return RunState.DONE
    if any(change.state is ChangeState.VERIFIED for change in changes):
        return RunState.PARTIAL
    if all(change.state is ChangeState.REFUSED for change in changes):
        return RunState.REFUSED
    return RunState.FAILED


def _holds(change: Recorded) -> bool:
    updated = change.update in (UpdateState.DONE, UpdateState.NOT_ASKED)
    there = change.replicated is True or change.detail == AS_MEANT
    return change.state is ChangeState.VERIFIED and updated and there


__all__ = ["Order", "ShowProgress", "carry_out", "no_progress", "run_state"]
