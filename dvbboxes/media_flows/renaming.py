"""Renaming and deleting a file on every instance: dvbbox does it, we look (SPEC 2: its exit status proves nothing).

Everything is decided by what the masters hold, never by what a command said. The journal has each program before it is
touched; what is not done can be done by the same command again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from dvbboxes.aggregate.difference import Change as Difference
from dvbboxes.apply.masters import look
from dvbboxes.apply.run import Order, ShowProgress, carry_out
from dvbboxes.errors import NoAnswer, Refused
from dvbboxes.fleet import Fleet, Side
from dvbboxes.journal import Journal, stamp
from dvbboxes.library.blast import Blast, FileLine, FileState, MediaRun, names, renamed
from dvbboxes.media_flows.hosts import dvbbox_command, followed, on_hosts, update_media
from dvbboxes.model import Config, Gathered, Instance, Stored
from dvbboxes.plan import Action, Change, Held, Key
from dvbboxes.records import ChangeState, NewRun, PlannedChange, Progress, RunState, UpdateState
from dvbboxes.remote import Job, Outcome
from dvbboxes.report import Line
from dvbboxes.wire import stem

#: What the journal says of a program whose file kept its name.
KEPT = "the file is still called as before there"


@dataclass(slots=True)
class Flow:
    """One rename or delete, as decided: the instances in order, and the keys of the programs that may name the file."""

    blast: Blast
    instances: Sequence[Instance]
    keys: Sequence[Key]
    config: Config
    progress: ShowProgress
    lines: dict[str, FileLine] = field(default_factory=dict)

    # -- looking

    def held(self) -> Gathered[Held]:
        """Return what the masters hold of the programs, and which of the two names they lack."""
        media = tuple(name for name in (self.blast.media, self.blast.new) if name)
        with Fleet(Side.MASTER) as fleet:
            return look(fleet, self.instances, self.config.redis.master_deadline, self.keys, media)

    def prepare(self) -> dict[str, Held]:
        """Have every dvbbox look at its disks first (db 1 is as old as its last look), then look at every master.

        Raises Refused where a host or a master could not be asked: nothing has been renamed or deleted then.
        """
        unwell = [line for line in update_media(self.instances, self.config, self.progress) if not line.ok]
        if unwell:
            said = "; ".join(f"{line.instance}: {line.said or f'status {line.status}'}" for line in unwell[:3])
            raise Refused(f"{len(unwell)} hosts could not be asked, nothing was changed: {said}")
        held = self.held()
        if held.missing:
            said = "; ".join(f"{a.instance.fqdn}: {a.error.message if a.error else ''}" for a in held.missing[:3])
            raise Refused(f"{len(held.missing)} masters could not be asked, nothing was changed: {said}")
        if not held.answers:
            raise NoAnswer("no instance was asked")
        return held.values()

    # -- acting

    def act(self, holders: Sequence[Instance], words: Sequence[str], phase: str) -> Mapping[str, Outcome]:
        """Run dvbbox's command and then its look at the disks on the holders; return what it said, by fqdn."""
        ssh = self.config.ssh
        commands = (dvbbox_command(ssh, "media", *words), dvbbox_command(ssh, "media", "update"))
        outcomes = on_hosts([Job(one, commands) for one in holders], self.config, self.progress, phase)
        return {outcome.instance.fqdn: outcome for outcome in outcomes}


def _said(outcome: Outcome | None) -> str:
    if outcome is None:
        return ""
    if outcome.error is not None:
        return outcome.error.message
    first = outcome.results[0]
    lines = " / ".join(first.lines[-2:])
    return f"dvbbox said{f' {lines!r}' if lines else ' nothing'}, status {first.status}"


# --- delete -----------------------------------------------------------------------------------------------------------


def delete(flow: Flow, journal: Journal, run: NewRun) -> MediaRun:
    """Delete the file wherever it is and nothing blocks it; return what became of it, the masters looked at."""
    media, blocked = flow.blast.media, set(flow.blast.blocked)
    held = flow.prepare()
    holders = [one for one in flow.instances if media not in held[one.fqdn].lacking]
    for one in flow.instances:
        naming = sorted(key for key, stored in held[one.fqdn].programs.items() if names(stored, media))
        if one not in holders:
            flow.lines[one.fqdn] = FileLine(one.fqdn, FileState.NOT_THERE)
        elif naming or one.fqdn in blocked:
            days = ", ".join(f"{day:%d/%m/%Y} {sid}" for day, sid in naming[:4])
            said = f"dvbbox deletes nothing that a stored program names: {days}"
            flow.lines[one.fqdn] = FileLine(one.fqdn, FileState.BLOCKED, said)
    targets = [one for one in holders if one.fqdn not in flow.lines]
    number = journal.begin(run, (), stamp())
    outcomes = flow.act(targets, (stem(media), "--delete"), "deleting") if targets else {}
    after = flow.held().values()
    for one in targets:
        there = after.get(one.fqdn)
        state, said = FileState.DONE, ""
        if there is None:
            state, said = FileState.UNKNOWN, "its master did not answer afterwards"
        elif media not in there.lacking:
            state, said = FileState.FAILED, f"it is still there; {_said(outcomes.get(one.fqdn))}"
        flow.lines[one.fqdn] = FileLine(one.fqdn, state, said)
    followed(flow.instances, flow.config)
    return _finished(flow, journal, number, ())


# --- rename -----------------------------------------------------------------------------------------------------------


def rename(flow: Flow, journal: Journal, run: NewRun, *, resumed: bool) -> MediaRun:
    """Rename the file wherever it is, and in the programs of those that lack it; return what became of all of it.

    Raises Refused where the new name turns out to exist once every dvbbox has looked at its disks. ``resumed``: it may
    exist where the old one does not.
    """
    old, new = flow.blast.media, flow.blast.new
    held = flow.prepare()
    taken = [fqdn for fqdn, one in held.items() if new not in one.lacking and not (resumed and old in one.lacking)]
    if taken:
        raise Refused(f"{stem(new)} exists on {', '.join(taken[:4])}: dvbbox would overwrite it; nothing was renamed")
    holders = [one for one in flow.instances if old not in held[one.fqdn].lacking]
    planned = _planned(flow, held)
    number = journal.begin(run, [_announced(change) for change in planned], stamp())
    outcomes = flow.act(holders, (stem(old), "--rename", stem(new)), "renaming") if holders else {}
    after = flow.held().values()
    for one in flow.instances:
        flow.lines[one.fqdn] = _renamed(one, one in holders, after.get(one.fqdn), flow.blast, outcomes.get(one.fqdn))
    programs = _rewrite(flow, journal, number, run, planned, after)
    followed(flow.instances, flow.config)
    return _finished(flow, journal, number, programs)


def _planned(flow: Flow, held: Mapping[str, Held]) -> list[Change]:
    """Return every program that names the file, with what it becomes; those that share one share the other."""
    made: dict[Stored, Stored] = {}
    found = []
    for one in flow.instances:
        for key, stored in held[one.fqdn].programs.items():
            if names(stored, flow.blast.media):
                desired = made.setdefault(stored, renamed(stored, flow.blast.media, flow.blast.new))
                moved = Difference(0, 0, len(stored))
                found.append(Change(one, *key, stored, desired, Action.REPLACE, moved, ()))
    return found


def _announced(change: Change) -> PlannedChange:
    one = change.instance
    return PlannedChange(one.cluster, one.fqdn, change.day, change.service_id, change.existing, change.desired)


def _renamed(one: Instance, holder: bool, held: Held | None, blast: Blast, outcome: Outcome | None) -> FileLine:
    if held is None:
        return FileLine(one.fqdn, FileState.UNKNOWN, "its master did not answer afterwards")
    if not holder:
        return FileLine(one.fqdn, FileState.NOT_THERE)
    if blast.media in held.lacking and blast.new not in held.lacking:
        return FileLine(one.fqdn, FileState.DONE)
    what = "it is still there" if blast.media not in held.lacking else "neither name is there: look at the disk"
    return FileLine(one.fqdn, FileState.FAILED, f"{what}; {_said(outcome)}")


def _rewrite(
    flow: Flow,
    journal: Journal,
    number: int,
    run: NewRun,
    planned: Sequence[Change],
    after: Mapping[str, Held],
) -> tuple[Line, ...]:
    """Put the new name into the programs that still have the old one, where the file does not; journal the others."""
    news, left, lines = [], [], []
    for change in planned:
        fqdn, there = change.instance.fqdn, after.get(change.instance.fqdn)
        found = there.programs.get(change.key, ()) if there is not None else None
        state, said, updated = ChangeState.VERIFIED, "", None
        if not flow.lines[fqdn].state.well:
            state, said = ChangeState.REFUSED, KEPT
        elif found == change.existing:
            left.append(change)
            continue
        elif found is None or names(found, flow.blast.media):
            state, said = ChangeState.REFUSED, "somebody else changed it meanwhile: resume the rename"
        elif found != change.desired:
            updated = found
        news.append(Progress(fqdn, change.day, change.service_id, state, said, after_update=updated))
        replicated = True if state is ChangeState.VERIFIED else None
        town = change.instance.cluster
        lines.append(Line(town, fqdn, *change.key, state, said, UpdateState.NOT_ASKED, replicated=replicated))
    if news:
        journal.advance(number, news, stamp())
    if not left:
        return tuple(lines)
    # A new name is no new start: dvbbox is not asked to look at these programs.
    unasked = replace(flow.config, ssh=replace(flow.config.ssh, update=False))
    report = carry_out(Order(run, tuple(left)), journal, unasked, flow.progress, resumes=number)
    return (*lines, *report.lines)


def _finished(flow: Flow, journal: Journal, number: int, programs: tuple[Line, ...]) -> MediaRun:
    files = tuple(flow.lines[one.fqdn] for one in flow.instances)
    blast = flow.blast
    result = MediaRun(blast.kind, number, blast.media, blast.new, files, programs)
    for line in files:
        if line.state is not FileState.NOT_THERE:
            said = f"{stem(blast.media)}: {line.state.value}{f': {line.detail}' if line.detail else ''}"
            journal.note(number, f"{line.instance}: {said}", stamp())
    somewhere = any(line.state is FileState.DONE for line in files) or any(line.holds for line in programs)
    state = RunState.DONE if result.whole else RunState.PARTIAL if somewhere else RunState.FAILED
    journal.finish(number, state, stamp())
    return result


__all__ = ["Flow", "delete", "rename"]
