"""``history``: what was done, read from the journal alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dvbboxes.commands import INSTANCES, SERVICES, TOWNS, Context, Result, Verb, channels, option, scope
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
) -> Result:
    """Show what was written: the runs, newest first; one run whole; a day's whole story; or what is still owed.

    Exit status 1 when --open finds anything, and for a run that does not hold.
    """
    from dvbboxes.journal import FILE, Journal
    from dvbboxes.records import RunState, Where
    from dvbboxes.report import DayStory, History, Owed, Story

    if sum((id is not None, day is not None, owed)) > 1:
        raise UsageError("one of ID, --day and --open at a time")
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


def number(name: str, value: str) -> int:
    """Return a whole number above 0 that was typed; raises UsageError."""
    if not (value.isascii() and value.isdigit() and 0 < int(value) < 10**9):
        raise UsageError(f"{name} {value!r} is no number of a run: history lists them")
    return int(value)


COMMAND = Verb("history", history, (ID, DAY, OPEN, LIMIT, SERVICES, TOWNS, INSTANCES))
