"""The noun ``listing``: a month's programs on every instance's air, or exactly where they are not."""

from __future__ import annotations

import hashlib
import shlex
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvbboxes.commands import SCOPE, Asked, Context, Result, Verb, asked, channels, option
from dvbboxes.commands.writing import (
    ALLOW,
    PLAN,
    READY,
    YES,
    Manner,
    applied,
    confirmed,
    hazards,
    number,
    reach,
    relaunches,
    saturdays,
)
from dvbboxes.days import parse_days
from dvbboxes.errors import NoAnswer, Refused, UnknownName, UsageError

if TYPE_CHECKING:
    from dvbboxes.apply.run import Order
    from dvbboxes.model import Config, Duration, Gathered, Instance, Listing
    from dvbboxes.plan import DayFacts, FileFact, Hazard, Held, Key, Plan

FILES = option("files", nargs="+", metavar="FILE", help="a listing; one called SID_DDMMYYYY_DDMMYYYY names its channel")
SERVICE = option(
    "-s",
    "--service-id",
    "--service_id",
    dest="service",
    metavar="SID",
    help="the channel, by service id or name, of files whose name does not say it",
)
APPLIED = option("files", nargs="*", metavar="FILE", help=f"{FILES.settings['help']}; none with --resume")
RESUME = option("--resume", metavar="ID", help="do what this run has left (history --open says which)")
DAYS = option("--days", metavar="A..B", help="only these days of the listing")


def check(context: Context, files: Sequence[str], service: str | None, days: str | None, **scope: Any) -> Result:
    """Check listings: every error at once, and of each day its start, end, length and verdict, and the files missing.

    Green: long enough and whole; lightblue: a file is missing; orange: too short; red: both. Exit status 1 when a day
    is not green.
    """
    from dvbboxes.library.barred import bar_listing
    from dvbboxes.plan import Plan, Verdict
    from dvbboxes.report import ListingCheck
    from dvbboxes.withdrawn import names as withdrawn

    config = context.config
    read = read_listings(context, files, service, days)
    whom = asked(context, **scope)
    durations = ask_durations(whom.instances, whom, read)
    facts, media = lay_out(config, read, durations)
    plan = bar_listing(Plan(facts, media, whom.instances, (), (), (), {}), withdrawn(config.data_folder))
    near = nearest_names(whom, media) if durations.answered else {}
    view = ListingCheck(plan, near, config.schedule.zone, config.schedule.tolerance, config.channels)
    green = all(day.verdict is Verdict.GREEN for day in facts)
    return Result(view, durations, bool(durations.answered) and (not green or bool(plan.refusals)))


def plan(
    context: Context,
    files: Sequence[str],
    service: str | None,
    days: str | None,
    allow: Sequence[str] | None,
    **scope: Any,
) -> Result:
    """Show what applying listings would change, per instance and day, and what stands in the way. Nothing is written.

    Existing programs and the presence of each file are read from the masters. The fingerprint names exactly this plan.
    Exit status 7 when something is refused.
    """
    read = read_listings(context, files, service, days)
    released = hazards(allow)
    made = make_plan(context, read, released, asked(context, **scope))
    typed = {"-s": [service] if service else (), "--days": [days] if days else (), "--allow": allow or ()}
    made = replace(made, options=repeated(typed, scope))
    return Result(made.view(context), made.held, refused=bool(made.plan.refusals))


def apply(
    context: Context,
    files: Sequence[str],
    service: str | None,
    days: str | None,
    allow: Sequence[str] | None,
    yes: bool,
    fingerprint: str | None,
    only_ready: bool,
    resume: str | None,
    **scope: Any,
) -> Result:
    """Write listings to the masters: shows the plan, asks, writes, verifies, has dvbbox update, waits for the replicas.

    Refused as unsafe (exit status 7, nothing written): a file missing on a target, a day past, on air or about to be,
    shorter than the one there, an unreachable master; --allow releases each by name, --only-ready leaves those days
    out. A program applied on purpose to fewer towns is left alone unless --allow own. What changed since the plan is
    never overwritten. Exit status 0 only if everything is written, verified, updated (or not asked) and replicated.
    """
    from dvbboxes.apply.run import carry_out
    from dvbboxes.journal import Journal
    from dvbboxes.lock import hold

    if resume is not None or not files:
        return _resumed(
            context, resume, files, service, days, Manner(hazards(allow), yes, fingerprint, only_ready), scope
        )
    # Everything typed is looked at before the journal or the lock is touched.
    read, released, whom = read_listings(context, files, service, days), hazards(allow), asked(context, **scope)
    context.must_write()
    folder = context.config.data_folder
    with hold(folder, context.who, context.command, context.now):
        made = make_plan(context, read, released, whom)
        if fingerprint is not None and fingerprint != made.plan.fingerprint:
            raise Refused(
                f"the plan is now {made.plan.fingerprint}, not {fingerprint}: something changed since; look again with"
                " listing plan"
            )
        if made.plan.refusals and not only_ready:
            return Result(made.view(context), made.held, refused=True)
        ready = replace(made, plan=made.plan.only_ready())
        order = order_of(context, ready, released)
        if order.empty and made.plan.refusals:  # nothing is ready: what stands in the way is the answer
            return Result(made.view(context), made.held, refused=True)
        notes = not_updated(context.config, ready.plan)
        if order.empty:
            return Result(nothing_to_do(context, order, notes), made.held, partial=bool(notes))
        # The journal is opened before the question: one that cannot be written is told before it is answered.
        with Journal.open(folder, write=True) as journal:
            confirm(context, made, order, yes=yes)
            report = carry_out(order, journal, context.config, context.progress)
    report = replace(report, notes=(*report.notes, *notes))
    partial = bool(notes) or not report.whole
    return Result(report, made.held, refused=bool(made.plan.refusals), partial=partial)


# --- reading listings -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Read:
    """Listings as read: each with its service id, the files' paths and one digest over their bytes (sha256, hex)."""

    listings: tuple[tuple[str, Listing], ...]
    paths: tuple[str, ...]
    digest: str

    @property
    def media(self) -> tuple[str, ...]:
        """Every file named (with ``.ts``), once, in order."""
        from dvbboxes.wire import media_file

        entries = (entry for _, listing in self.listings for day in listing.days for entry in day.entries)
        return tuple(dict.fromkeys(media_file(entry.name) for entry in entries))


def read_listings(context: Context, files: Sequence[str], service: str | None, days: str | None) -> Read:
    """Return the listings in files; raises ListingError, or UsageError with the mistakes of all files (SPEC 5)."""
    config = context.config
    sid = None if service is None else channels(config, [service])[0]
    wanted = None if days is None else frozenset(parse_days(days, context.today))
    today = datetime.fromtimestamp(context.now, config.schedule.zone).date()
    digest, listings, wrong = hashlib.sha256(), [], []
    for file in files:
        try:
            content = _content(file)
            known, listing = _parsed(content, file, today, sid, config)
        except UsageError as error:
            wrong.append(error)
            continue
        digest.update(content)
        listings.append((known, _only(listing, wanted)))
    if len(wrong) == 1:
        raise wrong[0]
    if wrong:
        raise UsageError("\n".join(map(str, wrong)))
    _no_day_twice(files, listings)
    if not any(listing.days for _, listing in listings):
        raise UsageError(f"no day of the listing is in --days {days}")
    return Read(tuple(listings), tuple(files), digest.hexdigest())


def _parsed(content: bytes, file: str, today: date, sid: str | None, config: Config) -> tuple[str, Listing]:
    """Return a file's service id and its listing; ``sid`` is the channel that was asked for."""
    from dvbboxes.listing import parse

    listing = parse(content, filename=file, today=today, service_id=sid)
    if listing.service_id is None:
        raise UsageError(f"{file}: whose listing is it? name the channel with -s, or the file SID_DDMMYYYY_DDMMYYYY")
    if listing.service_id not in config.channels:
        raise UsageError(f"{file}: {UnknownName('channel', listing.service_id, config.channels)}")
    return listing.service_id, listing


def _content(file: str) -> bytes:
    if file == "-":
        if sys.stdin is None:  # it was closed before we began (<&-)
            raise UsageError("the listing - cannot be read: there is no standard input")
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"the listing {file} cannot be read: {error.strerror}") from error


def _only(listing: Listing, wanted: Collection[Any] | None) -> Listing:
    if wanted is None:
        return listing
    return replace(listing, days=tuple(day for day in listing.days if day.day in wanted))


def _no_day_twice(files: Sequence[str], listings: Sequence[tuple[str, Listing]]) -> None:
    seen: dict[Key, str] = {}
    for file, (sid, listing) in zip(files, listings, strict=True):
        for day in listing.days:
            if (day.day, sid) in seen:
                raise UsageError(f"{day.day:%d/%m/%Y} of channel {sid} stands in {seen[day.day, sid]} and in {file}")
            seen[day.day, sid] = file


# --- from listings to a plan ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Made:
    """A plan with all it was made from."""

    read: Read
    plan: Plan
    held: Gathered[Held]
    nearest: Mapping[str, tuple[str, ...]]
    options: str = ""  # those that this very plan depends on, as typed again

    def view(self, context: Context) -> Any:
        """Return what is shown of it."""
        from dvbboxes.report import ListingPlan

        config = context.config
        files = shlex.join(self.read.paths)
        again = f"dvbboxes listing apply {files}{self.options} --plan {self.plan.fingerprint}"
        return ListingPlan(
            self.plan, self.nearest, config.schedule.zone, config.schedule.tolerance, config.channels, again
        )


def make_plan(context: Context, read: Read, released: frozenset[Hazard], whom: Asked) -> Made:
    """Return the plan of applying listings; raises NoAnswer where no replica answers."""
    from dvbboxes.apply.masters import look
    from dvbboxes.fleet import Fleet, Side
    from dvbboxes.library.barred import bar_listing
    from dvbboxes.plan import Target, build
    from dvbboxes.withdrawn import names as withdrawn

    config = context.config
    somebody_carries(read, whom.instances)
    durations = ask_durations(config.instances, whom, read)
    if not durations.answered:
        raise NoAnswer("no replica answered, so no file's duration is known: nothing can be planned")
    for answer in durations.missing:
        context.warn(f"{answer.instance.fqdn}: its durations are not counted: {answer.error and answer.error.message}")
    facts, media = lay_out(config, read, durations)
    keys = [day.key for day in facts]
    with Fleet(Side.MASTER) as fleet:
        held = look(fleet, whom.instances, config.redis.master_deadline, keys, read.media)
    targets = [
        Target(answer.instance, answer.value, answer.error.message if answer.error else "") for answer in held.answers
    ]
    known = applied(config, keys, whom.instances)
    plan = build(facts, media, targets, config=config, now=context.now, applied=known, allow=released)
    plan = bar_listing(plan, withdrawn(config.data_folder))
    return Made(read, plan, held, nearest_names(whom, media))


def repeated(typed: Mapping[str, Sequence[str]], scope: Mapping[str, Any]) -> str:
    """Return the options that name the same plan again: a line that is copied must not mean other instances."""
    towns = {"--towns": scope.get("towns") or (), "--instance": scope.get("instances") or ()}
    words = [word for name, values in {**typed, **towns}.items() for value in values for word in (name, value)]
    return f" {shlex.join(words)}" if words else ""


def somebody_carries(read: Read, instances: Sequence[Instance]) -> None:
    """Raise UsageError for a channel that none of the targets carries: to write nothing would be called done."""
    for sid, listing in read.listings:
        if listing.days and not any(instance.carries(sid) for instance in instances):
            raise UsageError(f"no instance asked for carries channel {sid} ([INSTANCE:...] channels): name others")


def nearest_names(whom: Asked, media: Mapping[str, FileFact]) -> dict[str, tuple[str, ...]]:
    """Return, for each file that no instance has, the nearest names there are: a typing mistake, perhaps."""
    from dvbboxes.aggregate.media import nearest
    from dvbboxes.questions import search

    missing = [fact.media for fact in media.values() if fact.missing]
    if not missing:
        return {}
    with whom.fleet() as fleet:
        found = search(fleet, whom.instances, whom.deadline, "").values().values()
    known = frozenset[str]().union(*found)
    return {name: nearest(name, known, most=1) for name in missing}


def ask_durations(instances: Sequence[Instance], whom: Asked, read: Read) -> Gathered[Mapping[str, Duration]]:
    """Return what the replicas say of every file the listings name."""
    from dvbboxes.questions import durations

    with whom.fleet() as fleet:
        return durations(fleet, instances, whom.deadline, read.media)


def lay_out(
    config: Config, read: Read, durations: Gathered[Mapping[str, Duration]]
) -> tuple[tuple[DayFacts, ...], dict[str, FileFact]]:
    """Return the listings' days laid out, and what is known of each file."""
    from dvbboxes.plan import day_facts, file_facts

    media = file_facts(read.media, durations.values())
    facts = [day_facts(day, sid, media, config) for sid, listing in read.listings for day in listing.days]
    return tuple(facts), media


# --- from a plan to an order ----------------------------------------------------------------------------------------


def order_of(context: Context, made: Made, released: frozenset[Hazard]) -> Order:
    """Return what is to be carried out for a plan that nothing refuses any more."""
    from dvbboxes.apply.run import Order
    from dvbboxes.plan import Action, owed_changes
    from dvbboxes.records import NewRun, RunKind

    plan, config = made.plan, context.config
    run = NewRun(
        RunKind.APPLY,
        context.who,
        context.host,
        context.command,
        " ".join(made.read.paths),
        made.read.digest,
        plan.fingerprint,
        tuple(sorted(hazard.value for hazard in released)),
        context.now,
    )
    actions = [change.action for change in plan.changes]
    return Order(
        run,
        plan.writes,
        owed_changes(plan, config),
        actions.count(Action.KEEP),
        actions.count(Action.OWN),
        tuple(saturdays(plan.writes, asked=config.ssh.update)),
        tuple(relaunches(plan)),
        confirmed=confirmed(config, plan),
    )


def confirm(context: Context, made: Made, order: Order, *, yes: bool) -> None:
    """Show the plan and ask; raises Refused on a no."""
    from dvbboxes.render.style import count

    if yes or not (order.changes or order.owed):
        return
    context.tell(made.view(context), made.held)
    changes = (*order.changes, *order.owed)
    instances = {change.instance.fqdn for change in changes}
    days = {change.key for change in changes}
    if not context.ask(f"write {count(len(days), 'day')} to {count(len(instances), 'instance')}?"):
        raise Refused("not confirmed: nothing was written")


def not_updated(config: Config, plan: Plan) -> tuple[str, ...]:
    """Return a note for each run that left kept programs without dvbbox's update: they are there, and it is owed."""
    from dvbboxes.journal import FILE, Journal
    from dvbboxes.plan import Action
    from dvbboxes.records import Where
    from dvbboxes.render.style import count

    kept = {(change.instance.fqdn, *change.key) for change in plan.changes if change.action is Action.KEEP}
    if not kept or not config.ssh.update or not (Path(config.data_folder) / FILE).exists():
        return ()
    days = [day for _, day, _ in kept]
    runs: dict[int, int] = {}
    with Journal.open(config.data_folder) as journal:
        for one in journal.owed_updates(Where(min(days), max(days))):
            if one.change.key in kept:
                runs[one.run.id] = runs.get(one.run.id, 0) + 1
    return tuple(
        f"{count(number, 'program')} of run {run} not updated by dvbbox: dvbboxes listing apply --resume {run}"
        for run, number in runs.items()
    )


def nothing_to_do(context: Context, order: Order, notes: tuple[str, ...]) -> Any:
    """Return the report of an apply that finds everything as it is meant."""
    from dvbboxes.report import Report

    run = order.run
    return Report(run.kind, 0, run.fingerprint, (), order.kept, order.own, notes, (), context.config.channels)


def _resumed(
    context: Context,
    run: str | None,
    files: Sequence[str],
    service: str | None,
    days: str | None,
    how: Manner,
    scope: Mapping[str, Any],
) -> Result:
    """Return what became of resuming a run; the journal says what it is about, so no file is read."""
    from dvbboxes.commands.resuming import resume

    if run is None or files:
        raise UsageError("name a listing to apply, or --resume ID, which needs none (history --open says which)")
    services = None if service is None else [service]
    where = reach(context, days, services, scope.get("towns"), scope.get("instances"))
    return resume(context, number("--resume", run), where, how)


_TARGETS = (FILES, SERVICE, DAYS)
VERBS = (
    Verb("check", check, (*_TARGETS, *SCOPE)),
    Verb("plan", plan, (*_TARGETS, ALLOW, *SCOPE)),
    Verb("apply", apply, (APPLIED, SERVICE, DAYS, RESUME, ALLOW, YES, PLAN, READY, *SCOPE)),
)
