"""The noun ``listing``: a month's programs on every server's air, or exactly where they are not."""

from __future__ import annotations

import hashlib
import shlex
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvbboxes.commands import SCOPE, Asked, Context, Result, Verb, asked, channels, option
from dvbboxes.days import parse_days
from dvbboxes.errors import NoAnswer, Refused, UsageError, did_you_mean

if TYPE_CHECKING:
    from dvbboxes.apply.run import Order
    from dvbboxes.model import Config, Duration, Gathered, Instance, Listing
    from dvbboxes.plan import Applied, Change, DayFacts, FileFact, Hazard, Held, Key, Plan

FILES = option("files", nargs="+", metavar="FILE", help="a listing; one called SID_DDMMYYYY_DDMMYYYY names its channel")
SERVICE = option(
    "-s",
    "--service-id",
    "--service_id",
    dest="service",
    metavar="SID",
    help="the channel, by service id or name, of files whose name does not say it",
)
DAYS = option("--days", metavar="A..B", help="only these days of the listing")
ALLOW = option(
    "--allow",
    action="append",
    metavar="HAZARD[,HAZARD...]",
    help="release refusals by name: missing, past, on-air, short, unreachable, own (repeatable)",
)
YES = option("--yes", action="store_true", help="do not ask; releases no refusal")
PLAN = option("--plan", dest="fingerprint", metavar="FINGERPRINT", help="only the plan that was seen, else nothing")
READY = option("--only-ready", action="store_true", help="the days that nothing refuses, each on all its targets")


def check(context: Context, files: Sequence[str], service: str | None, days: str | None, **scope: Any) -> Result:
    """Check listings: every error at once, and of each day its start, end, length and verdict, and the files missing.

    Green: long enough and whole; lightblue: a file is missing; orange: too short; red: both. Exit status 1 when a day
    is not green.
    """
    from dvbboxes.plan import Plan, Verdict
    from dvbboxes.report import ListingCheck

    config = context.config
    read = read_listings(context, files, service, days)
    whom = asked(context, **scope)
    durations = ask_durations(whom.instances, whom, read)
    facts, media = lay_out(config, read, durations)
    plan = Plan(facts, media, whom.instances, (), (), (), {})
    near = nearest_names(whom, media) if durations.answered else {}
    view = ListingCheck(plan, near, config.schedule.zone, config.schedule.tolerance, config.channels)
    green = all(day.verdict is Verdict.GREEN for day in facts)
    return Result(view, durations, bool(durations.answered) and not green)


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
    made = make_plan(context, read, hazards(allow), asked(context, **scope))
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

    # Everything typed is looked at before the journal or the lock is touched.
    read, released, whom = read_listings(context, files, service, days), hazards(allow), asked(context, **scope)
    context.must_write()
    folder = context.config.data_folder
    with hold(folder, context.who, context.command, context.now), Journal.open(folder, write=True) as journal:
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
        if not order.changes and not order.owed:
            return Result(nothing_to_do(context, order), made.held, refused=bool(made.plan.refusals))
        confirm(context, made, order, yes=yes)
        report = carry_out(order, journal, context.config, context.progress)
    return Result(report, made.held, refused=bool(made.plan.refusals), partial=not report.whole)


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
    """Return the listings in files; raises ListingError with every mistake, UsageError for a file or channel."""
    from dvbboxes.listing import parse

    config = context.config
    sid = None if service is None else channels(config, [service])[0]
    wanted = None if days is None else frozenset(parse_days(days, context.today))
    today = datetime.fromtimestamp(context.now, config.schedule.zone).date()
    digest, listings = hashlib.sha256(), []
    for file in files:
        content = _content(file)
        digest.update(content)
        listing = parse(content, filename=file, today=today, service_id=sid)
        if listing.service_id is None:
            raise UsageError(
                f"{file}: whose listing is it? name the channel with -s, or the file SID_DDMMYYYY_DDMMYYYY"
            )
        (known,) = channels(config, [listing.service_id])
        listings.append((known, _only(listing, wanted)))
    _no_day_twice(files, listings)
    if not any(listing.days for _, listing in listings):
        raise UsageError(f"no day of the listing is in --days {days}")
    return Read(tuple(listings), tuple(files), digest.hexdigest())


def _content(file: str) -> bytes:
    if file == "-":
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

    def view(self, context: Context) -> Any:
        """Return what is shown of it."""
        from dvbboxes.report import ListingPlan

        config = context.config
        again = f"dvbboxes listing apply {shlex.join(self.read.paths)} --plan {self.plan.fingerprint}"
        return ListingPlan(
            self.plan, self.nearest, config.schedule.zone, config.schedule.tolerance, config.channels, again
        )


def make_plan(context: Context, read: Read, released: frozenset[Hazard], whom: Asked) -> Made:
    """Return the plan of applying listings; raises NoAnswer where no replica answers."""
    from dvbboxes.apply.masters import look
    from dvbboxes.fleet import Fleet, Side
    from dvbboxes.plan import Target, build

    config = context.config
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
    return Made(read, plan, held, nearest_names(whom, media))


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
        last, reach = journal.last_all(where), journal.reach(where)
    found = {}
    for (fqdn, day, sid), one in last.items():
        own = reach[one.run.id, day, sid] < towns
        found[fqdn, (day, sid)] = Applied(one.change.after, one.change.after_update, own)
    return found


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
    )


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


def confirm(context: Context, made: Made, order: Order, *, yes: bool) -> None:
    """Show the plan and ask; raises Refused on a no."""
    if yes:
        return
    context.tell(made.view(context), made.held)
    instances = {change.instance.fqdn for change in order.changes}
    days = {change.key for change in order.changes}
    if not context.ask(f"write {len(days)} days to {len(instances)} instances?"):
        raise Refused("not confirmed: nothing was written")


def nothing_to_do(context: Context, order: Order) -> Any:
    """Return the report of an apply that finds everything as it is meant."""
    from dvbboxes.report import Report

    run = order.run
    return Report(run.kind, 0, run.fingerprint, (), order.kept, order.own, (), (), context.config.channels)


_TARGETS = (FILES, SERVICE, DAYS)
VERBS = (
    Verb("check", check, (*_TARGETS, *SCOPE)),
    Verb("plan", plan, (*_TARGETS, ALLOW, *SCOPE)),
    Verb("apply", apply, (*_TARGETS, ALLOW, YES, PLAN, READY, *SCOPE)),
)
