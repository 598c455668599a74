"""``media rename`` and ``media delete``: what they hit is shown, then asked, done everywhere, looked at. No noun."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dvbboxes.commands import INSTANCES, TOWNS, Asked, Context, Result, Verb, memory, option, scope
from dvbboxes.commands.writing import YES, number
from dvbboxes.errors import Refused, UsageError, did_you_mean

if TYPE_CHECKING:
    from dvbboxes.journal import Journal
    from dvbboxes.library.blast import Blast, Facts, MediaRun
    from dvbboxes.media_flows.renaming import Flow
    from dvbboxes.model import Gathered, Instance
    from dvbboxes.records import RunKind

NAME = option("name", metavar="NAME", help="the file's name, with or without .ts")
OLD = option("old", metavar="OLD", help="the file's name, with or without .ts")
NEW = option("new", metavar="NEW", help="what it is to be called")
ALLOW = option("--allow", action="append", metavar="on-air", help="release on-air: a file that airs later today")
DRY_RUN = option("--dry-run", action="store_true", help="show what it would hit; change nothing")
RESUME = option("--resume", metavar="ID", help="go on with this run: the new name may be there already")


def rename(
    context: Context,
    old: str,
    new: str,
    allow: Sequence[str] | None,
    resume: str | None,
    yes: bool,
    dry_run: bool,
    towns: Sequence[str] | None,
    instances: Sequence[str] | None,
) -> Result:
    """Rename a file on every instance, and in every program: what that hits is shown first, then asked.

    dvbbox renames it where it is; where it is absent the programs are rewritten. Refused (exit status 7) while it is on
    air, while the new name exists anywhere, or while an instance could not be asked. Verified by looking at the
    masters. What a failure left undone is done with --resume.
    """
    from dvbboxes.records import RunKind

    media, called = named(old), named(new)
    if media == called:
        raise UsageError("OLD and NEW are the same name")
    run = None if resume is None else _run(context, number("--resume", resume), media, called)
    made = _Asked(context, RunKind.RENAME, media, called, _releases(allow), run is not None)
    return _carried(made, scope(context.config, towns, instances), yes, dry_run, run)


def delete(
    context: Context,
    name: str,
    yes: bool,
    dry_run: bool,
    towns: Sequence[str] | None,
    instances: Sequence[str] | None,
) -> Result:
    """Delete a file on every instance: what that hits is shown first, then asked.

    Refused (exit status 7) while it is scheduled from now on, or while an instance could not be asked. Where a past
    program still names it, dvbbox deletes nothing: those instances are left out and told (exit status 4). Verified by
    looking at the masters; the same command goes on where one failed.
    """
    from dvbboxes.records import RunKind

    made = _Asked(context, RunKind.MEDIA_DELETE, named(name), "", frozenset(), False)
    return _carried(made, scope(context.config, towns, instances), yes, dry_run, None)


def named(name: str) -> str:
    """Return the file name that NAME means, with ``.ts``; raises UsageError where it can be none."""
    from dvbboxes.wire import is_media_name, media_file, shown, stem

    if not is_media_name(stem(name)):
        raise UsageError(f"{shown(name)} is no media name: small letters, digits and _ (media search finds globs)")
    return media_file(name)


def _releases(allow: Sequence[str] | None) -> frozenset[str]:
    from dvbboxes.commands import words

    found = words("--allow", allow) if allow is not None else []
    for word in found:
        if word != "on-air":
            raise UsageError(f"--allow {word!r} is no hazard here{did_you_mean(word, ['on-air'])}: on-air")
    return frozenset(found)


class _Asked:
    """One rename or delete as asked for: what to do to which file."""

    def __init__(
        self, context: Context, kind: RunKind, media: str, new: str, allow: frozenset[str], resumed: bool
    ) -> None:
        self.context, self.kind, self.media, self.new = context, kind, media, new
        self.allow, self.resumed = allow, resumed

    def look(self, whom: Asked) -> tuple[Blast, Gathered[Facts]]:
        """Return what would be hit, as the replicas say."""
        from dvbboxes.library.blast import blast
        from dvbboxes.questions import durations, file_facts, programs
        from dvbboxes.schedule import window
        from dvbboxes.wire import ABSENT

        context, config = self.context, self.context.config
        with whom.fleet() as fleet:
            facts = file_facts(fleet, whom.instances, whom.deadline, self.media)
            taken = durations(fleet, whom.instances, whom.deadline, [self.new] if self.new else [])
            found = {(day, sid) for _, airings in facts.values().values() for sid, day, _, _ in airings}
            zones = {one.zone for one in whom.instances}
            on_air = [
                key
                for key in sorted(found)
                for begins, ends in (window(key[0], zone, config.schedule.day_start) for zone in zones)
                if begins <= context.now < ends
            ]
            held = programs(fleet, whom.instances, whom.deadline, list(dict.fromkeys(on_air)))
        said = taken.map(lambda _, media: media.get(self.new, ABSENT))
        view = blast(
            *(self.kind, self.media, self.new, facts, said, held, config, context.now),
            allow=self.allow,
            resumed=self.resumed,
        )
        return view, facts


def _carried(made: _Asked, chosen: Sequence[Instance], yes: bool, dry_run: bool, resumes: int | None) -> Result:
    from dvbboxes.journal import Journal
    from dvbboxes.lock import hold
    from dvbboxes.media_flows.renaming import Flow

    context = made.context
    config = context.config
    whom = Asked(tuple(chosen), config.redis.deadline, config.redis.max_age, memory(context))
    if dry_run:
        view, facts = made.look(whom)
        return Result(view, facts, refused=bool(view.barriers))
    context.must_write()
    with hold(config.data_folder, context.who, context.command, context.now):
        view, facts = made.look(whom)
        if view.barriers:
            return Result(view, facts, refused=True)
        with Journal.open(config.data_folder, write=True) as journal:
            _confirm(context, view, facts, yes)
            flow = Flow(view, chosen, sorted(view.programs), config, context.progress)
            done = _done(context, made, flow, journal, resumes)
    return Result(done, facts, partial=not done.whole)


def _confirm(context: Context, view: Blast, facts: Gathered[Facts], yes: bool) -> None:
    from dvbboxes.render.style import count
    from dvbboxes.wire import stem

    if yes:
        return
    context.tell(view, facts)
    what = f"rename {stem(view.media)} to {stem(view.new)}" if view.new else f"delete {stem(view.media)}"
    where = count(len(view.holders) - len(view.blocked), "instance")
    besides = f" and in {count(len(view.programs), 'program')}" if view.new else ""
    if not context.ask(f"{what} on {where}{besides}?"):
        raise Refused("not confirmed: nothing was changed")


def _done(context: Context, made: _Asked, flow: Flow, journal: Journal, resumes: int | None) -> MediaRun:
    from dvbboxes.media_flows.renaming import delete as delete_file
    from dvbboxes.media_flows.renaming import rename as rename_file
    from dvbboxes.records import NewRun

    file = " ".join(name for name in (made.media, made.new) if name)
    run = NewRun(
        made.kind, context.who, context.host, context.command, file, "", "", tuple(sorted(made.allow)), context.now
    )
    if not made.new:
        return delete_file(flow, journal, run)
    done = rename_file(flow, journal, run, resumed=made.resumed)
    if resumes is not None:
        _conclude(context, journal, resumes, done)
    return done


def _run(context: Context, resumes: int, media: str, new: str) -> int:
    """Return the id of the run that is gone on with; raises UsageError where it renamed something else."""
    from dvbboxes.journal import Journal
    from dvbboxes.records import RunKind

    with Journal.open(context.config.data_folder) as journal:
        asked = journal.run(resumes).run.asked
    if asked.kind is not RunKind.RENAME or asked.file != f"{media} {new}":
        raise UsageError(f"--resume {resumes}: that run is another one: {asked.kind.value} {asked.file}".rstrip())
    return resumes


def _conclude(context: Context, journal: Journal, resumes: int, done: MediaRun) -> None:
    """Record in the run that was gone on with what this one settled of it."""
    from dvbboxes.apply.run import AS_MEANT, run_state
    from dvbboxes.records import SETTLED, ChangeState, Progress

    whole = journal.run(resumes)
    redone = {(line.instance, line.day, line.service_id) for line in done.programs}
    well = {line.instance for line in done.files if line.state.well}
    left = [change for change in whole.changes if change.state not in SETTLED and change.key not in redone]
    news = [Progress(*change.key, ChangeState.VERIFIED, AS_MEANT) for change in left if change.instance in well]
    journal.note(resumes, f"gone on with by run {done.run}", context.now)
    journal.advance(resumes, news, context.now)
    journal.finish(resumes, run_state(journal.run(resumes).changes), context.now)


RENAMING = (
    Verb("rename", rename, (OLD, NEW, ALLOW, RESUME, YES, DRY_RUN, TOWNS, INSTANCES)),
    Verb("delete", delete, (NAME, YES, DRY_RUN, TOWNS, INSTANCES)),
)
