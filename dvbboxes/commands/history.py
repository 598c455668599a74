"""``history``: what was done, read from the journal alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dvbboxes.commands import INSTANCES, SERVICES, TOWNS, Context, Result, Verb, channels, option, scope
from dvbboxes.commands.writing import number
from dvbboxes.days import parse_days
from dvbboxes.errors import UsageError

ID = option("id", nargs="?", metavar="ID", help="one run whole, with its story (default: a list of the runs)")
DAY = option("--day", metavar="DAY", help="everything that happened to the programs of this day, or A..B")
OPEN = option("--open", dest="owed", action="store_true", help="what is still owed to which instance")
LIMIT = option("--limit", default="30", metavar="N", help="how many runs to list (default: 30)")


def history(
    context: Context,
    id: str | None,  # the word the command line has
    day: str | None,
    owed: bool,
    limit: str,
    services: Sequence[str] | None,
    towns: Sequence[str] | None,
    instances: Sequence[str] | None,
    prune: str | None = None,
) -> Result:
    """Show what was written: the runs, newest first; one run whole; a day's whole story; or what is still owed.

    --prune forgets what is older than so many days, but never what is owed or was last applied to a younger day. Exit
    status 1 when --open finds anything, and for a run that does not hold.
    """
    from dvbboxes.journal import FILE, Journal
    from dvbboxes.records import RunState, Where
    from dvbboxes.report import DayStory, History, Owed, Story

    if sum((id is not None, day is not None, owed, prune is not None)) > 1:
        raise UsageError("one of ID, --day, --open and --prune at a time")
    if prune is not None:
        if services is not None or towns is not None or instances is not None:
            raise UsageError("--prune forgets runs whole: -s, --towns and --instance do not go with it")
        return _prune(context, prune)
    config = context.config
    zone = config.schedule.zone
    days = None if day is None else parse_days(day, context.today)
    where = Where(
        days[0] if days else None,
        days[-1] if days else None,
        None if towns is None and instances is None else tuple(i.fqdn for i in scope(config, towns, instances)),
        None if services is None else channels(config, services),
    )
    if not (Path(config.data_folder) / FILE).exists():
        if id is not None:
            raise UsageError(f"there is no run {id}: nothing was ever written from here")
        return Result(History((), zone))
    with Journal.open(config.data_folder) as journal:
        if id is not None:
            whole = journal.run(number("ID", id))
            return Result(Story(whole, zone, config.channels), difference=whole.run.state is not RunState.DONE)
        if days is not None:
            return Result(DayStory(journal.story(where), zone, config.channels))
        if owed:
            programs, updates = journal.owed(where), journal.owed_updates(where)
            return Result(Owed(programs, updates, zone, config.channels), difference=bool(programs or updates))
        return Result(History(journal.runs(limit=number("--limit", limit), where=where), zone))


def _prune(context: Context, days: str) -> Result:
    """Forget runs older than so many days, under the lock: no run is to begin on what is being forgotten."""
    from dvbboxes.journal import FILE, Journal
    from dvbboxes.lock import hold
    from dvbboxes.records import Pruned
    from dvbboxes.report import Forgotten

    if not (days.isascii() and days.isdigit() and 0 < int(days) < 10**5):
        raise UsageError(f"--prune {days!r} is no number of days to keep")
    context.must_write()
    folder = context.config.data_folder
    if not (Path(folder) / FILE).exists():
        return Result(Forgotten(Pruned(0, 0, 0), int(days)))
    with hold(folder, context.who, context.command, context.now), Journal.open(folder, write=True) as journal:
        return Result(Forgotten(journal.prune(context.now - int(days) * 86400), int(days)))


PRUNE = option("--prune", metavar="DAYS", help="forget runs that are older than so many days")
COMMAND = Verb("history", history, (ID, DAY, OPEN, LIMIT, PRUNE, SERVICES, TOWNS, INSTANCES))
