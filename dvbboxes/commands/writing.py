"""What the commands that write share, with a listing or without one: plan, show, ask, write, report. No noun."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dvbboxes.commands import INSTANCES, SERVICES, TOWNS, Context, Result, channels, option, replica_fleet, scope
from dvbboxes.errors import Refused, UsageError, did_you_mean

if TYPE_CHECKING:
    from dvbboxes.apply.run import Order
    from dvbboxes.journal import Journal
    from dvbboxes.model import Config, Gathered, Instance
    from dvbboxes.plan import Applied, Change, FileFact, Hazard, Held, Key, Plan, Refusal
    from dvbboxes.records import Progress, RunKind, Where
    from dvbboxes.report import Report
    from dvbboxes.wishes import ProgramPlan, Wish

ALLOW = option(
    "--allow",
    action="append",
    metavar="HAZARD[,HAZARD...]",
    help="release refusals by name: missing, past, on-air, short, unreachable, own (repeatable)",
)
YES = option("--yes", action="store_true", help="do not ask; releases no refusal")
PLAN = option("--plan", dest="fingerprint", metavar="FINGERPRINT", help="only the plan that was seen, else nothing")
READY = option("--only-ready", action="store_true", help="the days that nothing refuses, each on all its targets")
DRY_RUN = option("--dry-run", action="store_true", help="show the plan and its fingerprint; write nothing")
#: Options of every command that makes a plan without a listing, and then those of whom it is about.
WRITING = (ALLOW, YES, PLAN, READY, DRY_RUN)
TARGETS = (SERVICES, TOWNS, INSTANCES)


@dataclass(frozen=True, slots=True)
class Manner:
    """How a plan is to be carried out: the options of :data:`WRITING`, understood."""

    released: frozenset[Hazard]
    yes: bool
    fingerprint: str | None
    only_ready: bool
    dry_run: bool = False


def manner(allow: Sequence[str] | None, yes: bool, fingerprint: str | None, only_ready: bool, dry_run: bool) -> Manner:
    """Return the options of :data:`WRITING` understood: what a verb's own parameters leave. Raises UsageError."""
    return Manner(hazards(allow), yes, fingerprint, only_ready, dry_run)


@dataclass(frozen=True, slots=True)
class Draft:
    """What a command wants: programs for instances, in whose name, and what else is to be said and recorded.

    ``notes`` are for the operator; ``undone``: something that was asked for cannot be done. ``undoes`` and ``resumes``
    are ids of runs; ``news`` is what is recorded of the latter (of the run taken back) before anything is written.
    ``refusals`` are those that the plan itself cannot see. ``guards_own``: programs applied on purpose to fewer towns
    are left alone. ``held`` is what the masters said, where they were asked already; ``file`` and ``digest`` are those
    of an archive.
    """

    kind: RunKind
    title: str
    wishes: tuple[Wish, ...]
    notes: tuple[str, ...] = ()
    undone: bool = False
    undoes: int | None = None
    resumes: int | None = None
    news: tuple[Progress, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    guards_own: bool = False
    held: Gathered[Held] | None = None
    file: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Planned:
    """A draft with its plan, what the masters said, and how it is shown."""

    draft: Draft
    plan: Plan
    held: Gathered[Held]
    view: ProgramPlan


def reach(
    context: Context,
    days: str | None,
    services: Sequence[str] | None,
    towns: Sequence[str] | None,
    instances: Sequence[str] | None,
) -> Where:
    """Return which changes the options of a command about a run mean; raises UsageError and UnknownName."""
    from dvbboxes.days import parse_days
    from dvbboxes.records import Where

    config = context.config
    found = None if days is None else parse_days(days, context.today)
    everywhere = towns is None and instances is None
    return Where(
        found[0] if found else None,
        found[-1] if found else None,
        None if everywhere else tuple(instance.fqdn for instance in scope(config, towns, instances)),
        None if services is None else channels(config, services),
    )


def number(name: str, value: str) -> int:
    """Return a whole number above 0 that was typed, the id of a run; raises UsageError."""
    if not (value.isascii() and value.isdigit() and 0 < int(value) < 10**9):
        raise UsageError(f"{name} {value!r} is no number of a run: history lists them")
    return int(value)


def write_wishes(context: Context, how: Manner, draw: Callable[[Journal], Draft]) -> Result:
    """Plan what ``draw`` wants, show it, ask, write it, and return what became of it; or only show it.

    ``draw`` is called with the journal open, under the lock of the data folder where something is to be written. Raises
    Refused where the plan is another than the one named, or the operator says no.
    """
    from dvbboxes.journal import Journal
    from dvbboxes.lock import hold

    folder = context.config.data_folder
    if how.dry_run:
        with Journal.open(folder) as journal:
            planned = make(context, draw(journal), how)
        return Result(planned.view, planned.held, refused=bool(planned.plan.refusals), partial=planned.draft.undone)
    context.must_write()
    with hold(folder, context.who, context.command, context.now), Journal.open(folder, write=True) as journal:
        return _carried(context, how, make(context, draw(journal), how), journal)


def _carried(context: Context, how: Manner, planned: Planned, journal: Journal) -> Result:
    from dvbboxes.apply.run import carry_out

    plan, draft = planned.plan, planned.draft
    if how.fingerprint not in (None, plan.fingerprint):
        raise Refused(
            f"the plan is now {plan.fingerprint}, not {how.fingerprint}: something changed since; look again with"
            " --dry-run"
        )
    if plan.refusals and not how.only_ready:
        return Result(planned.view, planned.held, refused=True)
    order = order_of(context, planned, plan.only_ready(), how)
    if order.changes or order.owed:
        _confirm(context, how, planned, order)
    _record(context, draft, order, journal)
    if order.empty:
        report = _nothing(context, draft, order, journal)
    else:
        report = carry_out(order, journal, context.config, context.progress, resumes=draft.resumes)
        report = replace(report, notes=(*draft.notes, *report.notes))
    silent = bool(draft.held and draft.held.missing)
    partial = not report.whole or draft.undone or silent
    return Result(report, planned.held, refused=bool(plan.refusals), partial=partial)


def make(context: Context, draft: Draft, how: Manner) -> Planned:
    """Return the plan of a draft: masters are looked at, and durations read from the replicas."""
    from dvbboxes.library.barred import bar_changes
    from dvbboxes.plan import Target
    from dvbboxes.wishes import ProgramPlan, plan_wishes
    from dvbboxes.withdrawn import names as withdrawn

    config = context.config
    held = draft.held or look_at(context, draft.wishes)
    wanted = {wish.instance.fqdn for wish in draft.wishes}
    targets = [
        Target(answer.instance, answer.value, answer.error.message if answer.error else "")
        for answer in held.answers
        if answer.instance.fqdn in wanted
    ]
    keys = tuple(dict.fromkeys(wish.key for wish in draft.wishes))
    known = applied(config, keys, [target.instance for target in targets]) if draft.guards_own else {}
    plan = plan_wishes(
        draft.wishes,
        targets,
        durations_of(context, draft.wishes),
        config=config,
        now=context.now,
        applied=known,
        allow=how.released,
    )
    plan = bar_changes(replace(plan, refusals=(*plan.refusals, *draft.refusals)), withdrawn(config.data_folder))
    sources = {(wish.instance.fqdn, wish.key): wish.source for wish in draft.wishes}
    view = ProgramPlan(
        draft.kind,
        draft.title,
        plan,
        sources,
        draft.notes,
        config.schedule.zone,
        config.channels,
        _again(context.command, plan.fingerprint),
    )
    return Planned(draft, plan, held, view)


def look_at(context: Context, wishes: Sequence[Wish]) -> Gathered[Held]:
    """Return what the masters of the wishes hold under all their keys."""
    instances = tuple({wish.instance.fqdn: wish.instance for wish in wishes}.values())
    keys = tuple(dict.fromkeys(wish.key for wish in wishes))
    media = tuple(dict.fromkeys(name for wish in wishes for name in wish.media))
    return look_for(context, instances, keys, media)


def look_for(
    context: Context, instances: Sequence[Instance], keys: Sequence[Key], media: Sequence[str]
) -> Gathered[Held]:
    """Return what masters hold under keys, and which of the files they lack."""
    from dvbboxes.apply.masters import look
    from dvbboxes.fleet import Fleet, Side

    with Fleet(Side.MASTER) as fleet:
        return look(fleet, instances, context.config.redis.master_deadline, keys, media)


def durations_of(context: Context, wishes: Sequence[Wish]) -> Mapping[str, FileFact]:
    """Return what the replicas say of every file the wishes name; nothing where none of them answers."""
    from dvbboxes.plan import file_facts
    from dvbboxes.questions import durations

    config = context.config
    media = tuple(dict.fromkeys(name for wish in wishes for name in wish.media))
    if not media:
        return {}
    with replica_fleet(context) as fleet:
        said = durations(fleet, config.instances, config.redis.deadline, media)
    if not said.answered:
        context.warn("no replica answered: how long a program is cannot be told")
        return {}
    return file_facts(media, said.values())


def order_of(context: Context, planned: Planned, ready: Plan, how: Manner) -> Order:
    """Return what is to be carried out for a plan that nothing refuses any more."""
    from dvbboxes.apply.run import Order
    from dvbboxes.plan import Action
    from dvbboxes.records import NewRun
    from dvbboxes.wishes import owed_wishes

    draft, config = planned.draft, context.config
    allow = tuple(sorted(hazard.value for hazard in how.released))
    run = NewRun(
        draft.kind,
        context.who,
        context.host,
        context.command,
        draft.file,
        draft.digest,
        ready.fingerprint,
        allow,
        context.now,
        draft.undoes,
    )
    actions = [change.action for change in ready.changes]
    resumed = draft.resumes is not None
    kept = tuple(change for change in ready.changes if change.action is Action.KEEP)
    return Order(
        run,
        ready.writes,
        owed_wishes(ready, planned.draft.wishes),
        0 if resumed else len(kept),
        actions.count(Action.OWN),
        tuple(saturdays(ready.writes, asked=config.ssh.update)),
        tuple(relaunches(ready)),
        standing=kept if resumed else (),
        confirmed=() if resumed else confirmed(config, ready),
    )


def confirmed(config: Config, plan: Plan) -> tuple[Change, ...]:
    """Return the kept programs under which an older run still owes another one: this run is to be seen as newer."""
    from dvbboxes.journal import FILE, Journal
    from dvbboxes.plan import Action
    from dvbboxes.records import Where

    kept = [change for change in plan.changes if change.action is Action.KEEP]
    if not kept or not (Path(config.data_folder) / FILE).exists():
        return ()
    days = [change.day for change in kept]
    with Journal.open(config.data_folder) as journal:
        owed = {one.change.key for one in journal.owed(Where(min(days), max(days)))}
    return tuple(change for change in kept if (change.instance.fqdn, *change.key) in owed)


def _confirm(context: Context, how: Manner, planned: Planned, order: Order) -> None:
    if how.yes:
        return
    from dvbboxes.plan import Action
    from dvbboxes.render.style import count

    context.tell(planned.view, planned.held)
    changes = (*order.changes, *order.owed)
    instances = {change.instance.fqdn for change in changes}
    gone = {change.key for change in changes if change.action is Action.DELETE}
    written = {change.key for change in changes if change.action is not Action.DELETE}
    words = [f"write {count(len(written), 'day')}"] if written else []
    words += [f"delete {count(len(gone), 'day')}"] if gone else []
    if not context.ask(f"{' and '.join(words)} on {count(len(instances), 'instance')}?"):
        raise Refused("not confirmed: nothing was written")


def _record(context: Context, draft: Draft, order: Order, journal: Journal) -> None:
    """Record what a resume or a rollback settles of the run it is about, before anything is written."""
    from dvbboxes.records import RunState

    by = f"{context.who} on {context.host}: {context.command}"
    if draft.resumes is not None and (draft.news or not order.empty):
        journal.note(draft.resumes, f"resumed by {by}", context.now)
        journal.finish(draft.resumes, RunState.OPEN, context.now)
        journal.advance(draft.resumes, draft.news, context.now)
    elif draft.undoes is not None and draft.news:
        journal.note(draft.undoes, f"what it owes is withdrawn by {by}", context.now)
        journal.advance(draft.undoes, draft.news, context.now)


def _nothing(context: Context, draft: Draft, order: Order, journal: Journal) -> Report:
    """Return the report of a command that writes nothing; a run that was killed at its very end is finished."""
    from dvbboxes.apply.run import run_state
    from dvbboxes.records import RunState
    from dvbboxes.report import Report

    if draft.resumes is not None:
        whole = journal.run(draft.resumes)
        if whole.run.state is RunState.OPEN:
            journal.finish(draft.resumes, run_state(whole.changes), context.now)
    run = order.run
    return Report(run.kind, 0, run.fingerprint, (), order.kept, order.own, draft.notes, (), context.config.channels)


def _again(command: str, fingerprint: str) -> str:
    """Return the command line that does exactly what a plan says."""
    words = shlex.split(command)
    kept = [word for word in words if word not in ("--dry-run", "--yes")]
    if "--plan" in kept:
        at = kept.index("--plan")
        del kept[at : at + 2]
    return shlex.join([*kept, "--plan", fingerprint])


# --- what a listing is planned with too ------------------------------------------------------------------------------


def hazards(allow: Sequence[str] | None) -> frozenset[Hazard]:
    """Return the hazards named by ``--allow``; raises UsageError for a word that is none."""
    from dvbboxes.commands import words
    from dvbboxes.plan import Hazard

    known = {hazard.value: hazard for hazard in Hazard}
    found = words("--allow", allow) if allow is not None else []
    for word in found:
        if word not in known:
            raise UsageError(f"--allow {word!r} is no hazard{did_you_mean(word, known)}: {', '.join(known)}")
    return frozenset(known[word] for word in found)


def applied(config: Config, keys: Sequence[Key], targets: Sequence[Instance]) -> dict[tuple[str, Key], Applied]:
    """Return what the journal knows was last applied under the keys; nothing where there is no journal yet."""
    from dvbboxes.journal import FILE, Journal
    from dvbboxes.plan import Applied
    from dvbboxes.records import Where

    if not keys or not (Path(config.data_folder) / FILE).exists():
        return {}
    days = [day for day, _ in keys]
    where = Where(min(days), max(days), None, tuple({sid for _, sid in keys}))
    towns = frozenset(instance.cluster for instance in targets)
    with Journal.open(config.data_folder) as journal:
        last, meant = journal.last_all(where), _meant_for(journal, where)
    found = {}
    for (fqdn, day, sid), one in last.items():
        own = meant.get((one.change.town, (day, sid)), towns) < towns
        found[fqdn, (day, sid)] = Applied(one.change.after, one.change.after_update, own)
    return found


def _meant_for(journal: Journal, where: Where) -> dict[tuple[str, Key], frozenset[str]]:
    """Return (town, key) -> the towns that the newest run which meant something for that town was meant for.

    A rollback and a converge mean nothing of their own: they bring back what another run meant. One that was taken back
    no longer means anything.
    """
    from dvbboxes.records import RunKind

    runs = journal.runs(where=where)
    undone = {run.asked.undoes for run in runs}
    meaning = {
        run.id for run in runs if run.asked.kind not in (RunKind.ROLLBACK, RunKind.CONVERGE) and run.id not in undone
    }
    newest: dict[tuple[str, Key], tuple[int, frozenset[str]]] = {}
    for (number, day, sid), towns in journal.reach(where).items():
        for town in towns if number in meaning else ():
            known = newest.get((town, (day, sid)))
            if known is None or known[0] < number:
                newest[town, (day, sid)] = (number, towns)
    return {key: towns for key, (_, towns) in newest.items()}


def saturdays(changes: Iterable[Change], *, asked: bool) -> Iterable[str]:
    """Yield a note for each Saturday written: dvbbox's update covers Sunday and Monday too (SPEC 2)."""
    for day in sorted({change.day for change in changes if change.day.weekday() == 5}):
        if asked:
            yield f"{day:%d/%m} is a Saturday: the update also touches the two days after it"


def relaunches(plan: Plan) -> Iterable[str]:
    """Yield the line to type per host for each day on air that is written all the same (SPEC 2: a relaunch)."""
    from dvbboxes.plan import Hazard
    from dvbboxes.wire import day_text

    for refusal in plan.released:
        if refusal.hazard is Hazard.ON_AIR:
            for instance in plan.instances:
                if instance.fqdn in refusal.instances:
                    target = f"{instance.ssh.user}@{instance.ssh.host}" if instance.ssh.user else instance.ssh.host
                    port = f"-p {instance.ssh.port} " if instance.ssh.port != 22 else ""
                    words = f"dvbbox program {day_text(refusal.day)} --service_id {refusal.service_id} --stream"
                    yield f"ssh {port}{target} {words}"
