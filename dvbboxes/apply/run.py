"""One writing run from the journal's first line to its last: what is announced, written, updated, replicated (SPEC 6).

Whatever happens on one instance is a line of the report; whatever kills this process leaves a journal that says what
was under way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from dvbboxes.apply import masters
from dvbboxes.apply.masters import Written
from dvbboxes.journal import Journal
from dvbboxes.model import Config, Instance, Stored
from dvbboxes.plan import Change, Key
from dvbboxes.records import ChangeState, NewRun, PlannedChange, Progress, RunState, UpdateState
from dvbboxes.report import Line, Report
from dvbboxes.wire import day_text

#: Told how far a phase is: its name, how many of how many are done.
ShowProgress: TypeAlias = Callable[[str, int, int], None]


def no_progress(phase: str, done: int, total: int) -> None:
    """Show nothing."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be carried out: the run as the journal has it, the changes that write something, and what is owed.

    ``owed`` are changes for masters that could not be looked at: they are journalled, not written. ``kept`` and ``own``
    count the programs left as they are. ``relaunch``: lines to type where a day on air is written.
    """

    run: NewRun
    changes: tuple[Change, ...]
    owed: tuple[Change, ...] = ()
    kept: int = 0
    own: int = 0
    notes: tuple[str, ...] = ()
    relaunch: tuple[str, ...] = ()


def carry_out(
    order: Order, journal: Journal, config: Config, progress: ShowProgress = no_progress, *, resumes: int | None = None
) -> Report:
    """Write, verify, update and wait for the replicas; return what became of each program on each instance.

    The journal has everything before the first master does. ``resumes``: the id of a run whose changes these are; no
    new run is begun then. Raises JournalError where the journal cannot be written: nothing has been written then.
    """
    number = journal.begin(order.run, _planned(order), time.time()) if resumes is None else resumes
    journal.advance(number, [_progress(change, ChangeState.WRITING) for change in order.changes], time.time())
    flow = _Flow(order, journal, config, progress, number)
    flow.write()
    flow.update()
    flow.replicate()
    return flow.finish()


def _planned(order: Order) -> list[PlannedChange]:
    planned = [_planned_change(change, "") for change in order.changes]
    return planned + [_planned_change(change, "owed: its master could not be looked at") for change in order.owed]


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
        for change in self.order.owed:
            self._line(change.instance, change.key, ChangeState.PLANNED, "owed: its master could not be looked at")
        updates = [_progress(written, written.state, written.detail) for written in report.written]
        self.journal.advance(self.number, updates, time.time())

    def _line(self, instance: Instance, key: Key, state: ChangeState, detail: str) -> None:
        line = Line(instance.cluster, instance.fqdn, *key, state, detail, UpdateState.NOT_ASKED)
        self.lines[instance.fqdn, key] = line

    def _standing(self) -> list[Change]:
        """Return the changes that stand on their masters."""
        return [c for c in self.order.changes if self._line_of(c).state is ChangeState.VERIFIED]

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

        by_host: dict[str, list[Change]] = {}
        for change in standing:
            by_host.setdefault(change.instance.fqdn, []).append(change)
        self._journal_updates(standing, UpdateState.PENDING)
        before = self._read(standing)
        jobs = [
            Job(
                changes[0].instance,
                tuple(
                    update_command(self.config.ssh, c.day, c.service_id, self.config.channels)
                    for c in sorted(changes, key=lambda c: (c.day, c.service_id))
                ),
            )
            for changes in by_host.values()
        ]
        done = 0

        def on_done(_: object) -> None:
            nonlocal done
            done += 1
            self.progress("updating", done, len(jobs))

        outcomes = run(jobs, self.config.ssh, on_done=on_done)
        for changes, outcome in zip(by_host.values(), outcomes, strict=True):
            ordered = sorted(changes, key=lambda c: (c.day, c.service_id))
            for change, result in zip(ordered, outcome.results, strict=True):
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
        self.journal.advance(self.number, updates, time.time())

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
        self.journal.advance(self.number, updates, time.time())
        written = {(change.instance.fqdn, change.key) for change in changes}
        for fqdn, programs in after.items():
            for key, stored in programs.items():
                if (fqdn, key) not in written and stored != before.get(fqdn, {}).get(key, stored):
                    said = f"{fqdn}: the update of a Saturday also changed {day_text(key[0])}:{key[1]}"
                    self.journal.note(self.number, said, time.time())
                    self.notes.append(said)

    # -- replication

    def replicate(self) -> None:
        standing = self._standing()
        if not standing:
            return
        instances = tuple({change.instance.fqdn: change.instance for change in standing}.values())
        if self.config.ssh.update:  # dvbbox wrote after us
            self.positions.update(masters.positions(instances, self.config.redis.master_deadline))
        self.progress("replicating", 0, len(instances))
        there = masters.wait_replicated(instances, self.positions, self.config.redis.master_deadline)
        self.progress("replicating", sum(there.values()), len(instances))
        for change in standing:
            self._amend(change, replicated=there.get(change.instance.fqdn, False))
        updates = [
            Progress(c.instance.fqdn, c.day, c.service_id, replicated=self._line_of(c).replicated) for c in standing
        ]
        self.journal.advance(self.number, updates, time.time())

    # -- the end

    def finish(self) -> Report:
        order = self.order
        lines = tuple(self.lines[c.instance.fqdn, c.key] for c in (*order.changes, *order.owed))
        self.journal.finish(self.number, _state(lines), time.time())
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
        )


def _state(lines: Sequence[Line]) -> RunState:
    if all(line.holds for line in lines):
        return RunState.DONE
    if any(line.state is ChangeState.VERIFIED for line in lines):
        return RunState.PARTIAL
    if all(line.state is ChangeState.REFUSED for line in lines):
        return RunState.REFUSED
    return RunState.FAILED


__all__ = ["Order", "ShowProgress", "carry_out", "no_progress"]
