"""``media missing``, ``conflicts``, ``unused``, ``update``, ``program update``: the files as they are. No noun."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from dvbboxes.commands import (
    INSTANCES,
    SCOPE,
    SERVICES,
    TOWNS,
    Asked,
    Context,
    Result,
    Verb,
    asked,
    channels,
    gather,
    option,
    scope,
    seconds,
)
from dvbboxes.errors import UsageError

if TYPE_CHECKING:
    from dvbboxes.aggregate import Holding
    from dvbboxes.library.fetch import FetchPlan, Manner
    from dvbboxes.library.needs import Lack
    from dvbboxes.model import Gathered, Stored
    from dvbboxes.plan import Key

#: Days looked at, and hours a single copy may take, where nothing else is said.
_DAYS = "7"
_GIVE_UP = "21600"
_MOST_DAYS = 400

DAYS = option("--days", metavar="N", default=_DAYS, help=f"days to look at, from the one on air (default: {_DAYS})")
FETCH = option("--fetch", action="store_true", help="show by which rsync each instance would pull what it lacks")
RUN = option("--run", action="store_true", help="with --fetch: do it, then dvbbox's own update, then look")
BWLIMIT = option("--bwlimit", metavar="KIB", default="0", help="at most this many KiB a second for one copy")
PER_SOURCE = option("--per-source", metavar="N", default="2", help="at most N copies from one instance (default: 2)")
RSH = option("--rsh", metavar="COMMAND", help="how an instance reaches another one (default: ssh -o BatchMode=yes)")
GIVE_UP = option(
    "--give-up", metavar="SECONDS", default=_GIVE_UP, help=f"how long one copy may take (default: {_GIVE_UP})"
)
DAY = option("day", metavar="DAY", help="15062017, 15/06, 15/06/2017, 2017-06-15, today, tomorrow, +2, or A..B")


def missing(
    context: Context,
    days: str,
    services: Sequence[str] | None,
    fetch: bool,
    run: bool,
    bwlimit: str,
    per_source: str,
    rsh: str | None,
    give_up: str,
    **wanted: Any,
) -> Result:
    """List scheduled files that an instance lacks, what hurts first first, and who has a copy (exit status 1: any).

    A missing file fails the next launch of its day, and where that is over, it hurts when it airs. --fetch shows an
    rsync for each, to be run on the instance that needs the file; --fetch --run runs them over ssh, side by side, has
    dvbbox update its media there, and looks whether the replica has them. What was cut short goes on the next time.
    """
    from dvbboxes.library.fetch import MissingMedia
    from dvbboxes.library.needs import lacks

    if run and not fetch:
        raise UsageError("--run runs what --fetch shows: give both")
    config, whom = context.config, asked(context, **wanted)
    manner, limit = _manner(context, bwlimit, per_source, rsh), seconds("--give-up", give_up)
    keys = _keys(context, whole("--days", days, _MOST_DAYS), channels(config, services))
    everywhere, gathered = _held(context, whom, keys)
    fqdns = {one.fqdn for one in whom.instances}
    found = lacks(config, everywhere, fqdns, context.now)
    plan = _plan(context, everywhere, found, manner) if fetch else None
    if run and plan is not None:
        return _fetched(context, plan, limit, gathered)
    silent = tuple(one.instance.fqdn for one in everywhere.missing if one.instance.fqdn not in fqdns)
    view = MissingMedia(found, silent, int(days), config.schedule.zone, config.channels, context.now, plan)
    return Result(view, gathered, bool(found))


def _manner(context: Context, bwlimit: str, per_source: str, rsh: str | None) -> Manner:
    from dvbboxes.library.fetch import RSH as DEFAULT
    from dvbboxes.library.fetch import Manner

    if rsh is not None and not rsh.strip():
        raise UsageError("--rsh is empty: say how an instance reaches another one, or leave the option out")
    limit = 0 if bwlimit == "0" else whole("--bwlimit", bwlimit, 10**9)
    return Manner(limit, whole("--per-source", per_source, 1000), context.config.ssh.parallel, rsh or DEFAULT)


def whole(name: str, value: str, most: int) -> int:
    """Return an option's value as a whole number from 1 to ``most``; raises UsageError."""
    if not (value.isascii() and value.isdigit() and 0 < int(value) <= most):
        raise UsageError(f"{name} {value!r} is no whole number from 1 to {most}")
    return int(value)


def _keys(context: Context, days: int, sids: Sequence[str]) -> list[Key]:
    return [(context.today + timedelta(days=n), sid) for n in range(days) for sid in sids]


def _held(context: Context, whom: Asked, keys: Sequence[Key]) -> tuple[Gathered[Holding], Gathered[Holding]]:
    """Return what the whole fleet holds (a copy may be anywhere), and the answers of those that were asked for."""
    from dvbboxes.questions import hold

    fqdns = {one.fqdn for one in whom.instances}
    others = tuple(one for one in context.config.instances if one.fqdn not in fqdns)
    everywhere = gather(replace(whom, instances=(*whom.instances, *others)), hold, keys)
    asked_for = tuple(answer for answer in everywhere.answers if answer.instance.fqdn in fqdns)
    return everywhere, replace(everywhere, answers=asked_for)


def _plan(context: Context, everywhere: Gathered[Holding], found: Sequence[Lack], manner: Manner) -> FetchPlan:
    from dvbboxes.library.fetch import plan
    from dvbboxes.withdrawn import names as withdrawn

    config, values = context.config, everywhere.values()
    folders = {
        (fqdn, slot.media): slot.path
        for fqdn, holding in values.items()
        for program in holding.programs.values()
        for slot in program.slots
    }
    said = {fqdn: holding.media for fqdn, holding in values.items()}
    instances = {one.fqdn: one for one in config.instances}
    return plan(found, said, folders, instances, manner, config.schedule.tolerance, withdrawn(config.data_folder))


def _fetched(context: Context, plan: FetchPlan, limit: float, gathered: Gathered[Any]) -> Result:
    from dvbboxes.lock import hold
    from dvbboxes.media_flows.fetching import fetch

    context.must_write()
    with hold(context.config.data_folder, context.who, context.command, context.now):
        view = fetch(plan, context.config, limit, context.progress)
    return Result(view, gathered, partial=not view.whole)


def conflicts(context: Context, **wanted: Any) -> Result:
    """List the files whose durations differ from instance to instance, the worst first (exit status 1: any).

    A file that some measured and others could not is one too. Durations closer than [SCHEDULE] tolerance are the same.
    """
    from dvbboxes.library.stock import conflicts as found
    from dvbboxes.media_flows.asking import libraries

    gathered = gather(asked(context, **wanted), libraries)
    view = found(gathered, context.config.schedule.tolerance)
    return Result(view, gathered, bool(view.conflicts))


def unused(context: Context, **wanted: Any) -> Result:
    """List the files that no program names from the day on air on, the longest first.

    Where a past program still names one, dvbbox does not delete it there. What an instance that does not answer
    schedules is not known: the answer is partial then.
    """
    from dvbboxes.library.stock import unused as found
    from dvbboxes.media_flows.asking import stocks

    gathered = gather(asked(context, **wanted), stocks)
    return Result(found(gathered, context.today, context.config.schedule.zone), gathered)


def update(context: Context, towns: Sequence[str] | None, instances: Sequence[str] | None) -> Result:
    """Have dvbbox look at its disks on each instance, side by side: new files get into db 1, vanished ones out of it.

    It is dvbbox's own media update, over ssh; a file that is known already is not measured again.
    """
    from dvbboxes.library.hosts import HostRuns
    from dvbboxes.lock import hold
    from dvbboxes.media_flows.hosts import update_media

    chosen = scope(context.config, towns, instances)
    context.must_write()
    with hold(context.config.data_folder, context.who, context.command, context.now):
        view = HostRuns(update_media(chosen, context.config, context.progress))
    return Result(view, partial=not view.whole)


def update_program(
    context: Context,
    day: str,
    services: Sequence[str] | None,
    towns: Sequence[str] | None,
    instances: Sequence[str] | None,
) -> Result:
    """Have dvbbox re-check the programs of a day on each instance, side by side: paths, and starts that overlap.

    It is dvbbox's own program DAY --service_id SID --update, over ssh; on a Saturday it covers the two days after it
    too. What it changes is recorded, so that it does not count as somebody else's change.
    """
    from dvbboxes.days import parse_days
    from dvbboxes.library.hosts import HostRuns
    from dvbboxes.lock import hold
    from dvbboxes.media_flows.hosts import update_programs

    config = context.config
    keys = [(one, sid) for one in parse_days(day, context.today) for sid in channels(config, services)]
    chosen = scope(config, towns, instances)
    if not any(one.carries(sid) for one in chosen for _, sid in keys):
        raise UsageError("no instance asked for carries a channel asked for ([INSTANCE:...] channels): name others")
    context.must_write()
    with hold(config.data_folder, context.who, context.command, context.now):
        lines, before, after = update_programs(chosen, keys, config, context.progress)
        _remember(context, before, after)
    view = HostRuns(lines)
    return Result(view, partial=not view.whole)


def _remember(
    context: Context, before: Mapping[str, Mapping[Key, Stored]], after: Mapping[str, Mapping[Key, Stored]]
) -> None:
    """Record what dvbbox made of programs that stood as they were last applied: an apply expects them so."""
    from pathlib import Path

    from dvbboxes.journal import FILE, Journal
    from dvbboxes.records import Progress

    changed = [
        (fqdn, *key)
        for fqdn, programs in after.items()
        for key, stored in programs.items()
        if stored != before.get(fqdn, {}).get(key, stored)
    ]
    if not changed or not (Path(context.config.data_folder) / FILE).exists():
        return
    with Journal.open(context.config.data_folder, write=True) as journal:
        for fqdn, day, sid in changed:
            last = journal.last(fqdn, day, sid)
            if last is not None and last.change.expected == before[fqdn][day, sid]:
                news = Progress(fqdn, day, sid, after_update=after[fqdn][day, sid])
                journal.advance(last.run.id, [news], context.now)


FETCHING = (FETCH, RUN, BWLIMIT, PER_SOURCE, RSH, GIVE_UP)
MEDIA_VERBS = (
    Verb("missing", missing, (DAYS, SERVICES, *FETCHING, *SCOPE)),
    Verb("conflicts", conflicts, SCOPE),
    Verb("unused", unused, SCOPE),
    Verb("update", update, (TOWNS, INSTANCES)),
)
UPDATE_PROGRAM = Verb("update", update_program, (DAY, SERVICES, TOWNS, INSTANCES))
