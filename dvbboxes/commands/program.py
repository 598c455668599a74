"""The noun ``program``: what a channel plays on one day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, time, timedelta
from typing import TYPE_CHECKING, Any

from dvbboxes.commands import (
    SCOPE,
    SERVICES,
    Context,
    Result,
    Verb,
    archiving,
    asked,
    channels,
    converging,
    copying,
    gather,
    option,
)
from dvbboxes.commands.library import UPDATE_PROGRAM
from dvbboxes.commands.writing import TARGETS, WRITING
from dvbboxes.days import parse_clock, parse_days
from dvbboxes.errors import UsageError

if TYPE_CHECKING:
    from dvbboxes.aggregate import Span
    from dvbboxes.model import Config

DAY = option("day", metavar="DAY", help="15062017, 15/06, 15/06/2017, 2017-06-15, today, tomorrow, +2, or A..B")
DAYS = option("day", metavar="DAY", nargs="?", help="only this day, or these: A..B (default: from the day on air)")
FROM = option("--from", dest="since", metavar="TIME", help="from what is on air at this time (20:00, or now)")
JOINING = option("--joining", metavar="TIME", help="when it is launched (20:00, or now; default: the day's start)")
TO = option("--to", dest="until", metavar="TIME", help="up to this time (times before the day's start: next morning)")


def show(
    context: Context,
    day: str,
    services: Sequence[str] | None,
    since: str | None,
    until: str | None,
    **scope: Any,
) -> Result:
    """Show the program of a day: what to air, who agrees, who differs, which files are missing where.

    The program shown is the one with the most files, and among those the one that ends latest; a town where no instance
    holds it is shown apart. Without -s all channels are shown. It is the schedule, not the transmission.
    """
    from dvbboxes.aggregate import Programs, channel_day
    from dvbboxes.questions import hold

    config = context.config
    days = parse_days(day, context.today)
    sids = channels(config, services)
    whom = asked(context, **scope)
    gathered = gather(whom, hold, [(one, sid) for one in days for sid in sids])
    spans = {one: _span(context, one, since, until) for one in days}
    shown = tuple(channel_day(config, gathered, one, sid, spans[one]) for one in days for sid in sids)
    view = Programs(shown, config.schedule.zone, context.now, context.today, config.schedule.tolerance, spans[days[0]])
    answered = bool(gathered.answered)
    return Result(view, gathered, answered and any(c.differs or not c.scheduled for c in shown))


def diff(context: Context, day: str, services: Sequence[str] | None, **scope: Any) -> Result:
    """Compare the program of a day over the instances: those that say the same folded, and what the others change.

    The program that most instances hold comes first; the others are shown as what they add (+), drop (-) and move (~).
    Exit status 1 when any differ.
    """
    from dvbboxes.aggregate.compare import ProgramDiff, channel_diff
    from dvbboxes.questions import hold

    config = context.config
    days = parse_days(day, context.today)
    sids = channels(config, services)
    gathered = gather(asked(context, **scope), hold, [(one, sid) for one in days for sid in sids])
    compared = tuple(channel_diff(config, gathered, one, sid) for one in days for sid in sids)
    view = ProgramDiff(compared, config.schedule.zone, context.today)
    return Result(view, gathered, any(channel.differs for channel in compared))


def now(context: Context, services: Sequence[str] | None, **scope: Any) -> Result:
    """Show what should be on air now: since, until, what is next, whether the file is there, on which instances.

    It is the schedule, not the transmission. Exit status 1 when instances differ, nothing is scheduled, or a file is
    missing.
    """
    from dvbboxes.aggregate.onair import ProgramNow, channel_now, day_on_air
    from dvbboxes.questions import hold

    config = context.config
    sids = channels(config, services)
    whom = asked(context, **scope)
    days = dict.fromkeys(day_on_air(config, instance, context.now) for instance in whom.instances)
    gathered = gather(whom, hold, [(day, sid) for day in days for sid in sids])
    playing = tuple(channel_now(config, gathered, context.now, sid) for sid in sids)
    view = ProgramNow(playing, config.schedule.zone, context.now)
    return Result(view, gathered, bool(gathered.answered) and any(channel.wrong for channel in playing))


def list_(context: Context, day: str | None, services: Sequence[str] | None, **scope: Any) -> Result:
    """List the programs that exist: days and channels, how many instances hold each, and until when it is scheduled.

    Without DAY everything from the day on air is listed. Exit status 1 when some instance lacks what another one holds.
    """
    from dvbboxes.aggregate.calendar import program_list
    from dvbboxes.questions import shelves

    config = context.config
    days = None if day is None else parse_days(day, context.today)
    sids = channels(config, services)
    gathered = gather(asked(context, **scope), shelves, sids, context.today)
    view = program_list(config, gathered, sids, days, context.today)
    return Result(view, gathered, view.uneven)


def simulate(context: Context, day: str, services: Sequence[str] | None, joining: str | None, **scope: Any) -> Result:
    """Show what each instance will really play on a day, by dvbbox's own rules, beside what was meant.

    Repeats, the stretched last entry, and where an absent file stops the launch. The playlist is made once, at launch:
    --joining says when (default: the start of the day). Exit status 1 when anything is played otherwise than meant.
    """
    from dvbboxes.questions import hold
    from dvbboxes.simulate import simulated

    config = context.config
    days = parse_days(day, context.today)
    sids = channels(config, services) if services is not None else ()
    if len(days) != 1 or len(sids) != 1:
        raise UsageError("a simulation is of one day and one channel: program simulate DAY -s SID")
    at = None if joining is None else _launch(context, days[0], joining)
    gathered = gather(asked(context, **scope), hold, [(days[0], sids[0])])
    view = simulated(config, gathered, days[0], sids[0], at)
    return Result(view, gathered, bool(gathered.answered) and view.wrong)


def _launch(context: Context, day: date, joining: str) -> float:
    """Return the moment of a launch; raises UsageError where dvbbox would launch another day's program then."""
    from dvbboxes.schedule import window

    schedule = context.config.schedule
    at = _moment(context, context.config, day, joining)
    if not window(day, schedule.zone, schedule.day_start)[0] <= at < _midnight(context, day):
        raise UsageError(
            f"--joining {joining}: a launch takes the program of its calendar date: from {_clock(context.config)} to "
            "23:59 of that day"
        )
    return at


def _midnight(context: Context, day: date) -> float:
    from dvbboxes.schedule import moment

    return moment(day + timedelta(days=1), context.config.schedule.zone, time(0))


def _span(context: Context, day: date, since: str | None, until: str | None) -> Span:
    from dvbboxes.aggregate import Span

    config = context.config
    start = None if since is None else _moment(context, config, day, since)
    stop = None if until is None else _moment(context, config, day, until)
    if stop is not None and start is not None and stop <= start:
        raise UsageError(f"--to {until} is not after --from {since}: the day begins at {_clock(config)}")
    return Span(start, stop)


def _moment(context: Context, config: Config, day: date, text: str) -> float:
    from dvbboxes.schedule import moment_of_day

    if text == "now":
        return context.now
    return moment_of_day(day, config.schedule.zone, config.schedule.day_start, parse_clock(text))


def _clock(config: Config) -> str:
    start: time = config.schedule.day_start
    return start.strftime("%H:%M")


VERBS = (
    Verb("show", show, (DAY, SERVICES, FROM, TO, *SCOPE)),
    Verb("diff", diff, (DAY, SERVICES, *SCOPE)),
    Verb("now", now, (SERVICES, *SCOPE)),
    Verb("simulate", simulate, (DAY, SERVICES, JOINING, *SCOPE)),
    Verb("converge", converging.converge, (DAY, converging.SOURCE, *WRITING, *TARGETS)),
    Verb("copy", copying.copy, (DAY, *copying.OPTIONS, *WRITING, *TARGETS)),
    Verb("delete", copying.delete, (DAY, *WRITING, *TARGETS)),
    Verb("backup", archiving.backup, (archiving.FILE, SERVICES, *SCOPE)),
    Verb("restore", archiving.restore, (archiving.ARCHIVE, archiving.DAYS, *WRITING, *TARGETS)),
    UPDATE_PROGRAM,
    Verb("list", list_, (DAYS, SERVICES, *SCOPE)),
)
