"""The noun ``program``: what a channel plays on one day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, time
from typing import TYPE_CHECKING, Any

from dvbboxes.commands import SCOPE, SERVICES, Asked, Context, Result, Verb, asked, channels, option
from dvbboxes.days import parse_clock, parse_days
from dvbboxes.errors import UsageError

if TYPE_CHECKING:
    from dvbboxes.aggregate import Holding, Span
    from dvbboxes.fleet import Talk
    from dvbboxes.model import Config, Gathered, Instance, Schedule

DAY = option("day", metavar="DAY", help="15062017, 15/06, 15/06/2017, 2017-06-15, today, tomorrow, +2, or A..B")
FROM = option("--from", dest="since", metavar="TIME", help="from what is on air at this time (20:00, or now)")
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

    config = context.config
    days = parse_days(day, context.today)
    sids = channels(config, services)
    whom = asked(context, **scope)
    gathered = hold(whom, [(one, sid) for one in days for sid in sids])
    spans = {one: _span(context, one, since, until) for one in days}
    shown = tuple(channel_day(config, gathered, one, sid, spans[one]) for one in days for sid in sids)
    view = Programs(shown, config.schedule.zone, context.now, context.today, config.schedule.tolerance, spans[days[0]])
    answered = bool(gathered.answered)
    return Result(view, gathered, answered and any(c.differs or not c.scheduled for c in shown))


def hold(whom: Asked, keys: Sequence[tuple[date, str]]) -> Gathered[Holding]:
    """Return what each instance holds under the (day, service id) keys, and of every file named there by anyone."""
    from dvbboxes.fleet import Fleet
    from dvbboxes.wire import program_request

    request = program_request(keys)
    board = _Board(keys)

    def talk(instance: Instance) -> Talk[Holding]:
        return (yield from board.talk(request))

    with Fleet(max_age=whom.max_age) as fleet:
        return fleet.gather(whom.instances, talk, whom.deadline)


class _Board:
    """What the talks of one gather share: equal replies are decoded once, and every file named is asked of everyone."""

    def __init__(self, keys: Sequence[tuple[date, str]]) -> None:
        self._keys = keys
        self._seen: dict[tuple[date, str], list[tuple[Any, Schedule]]] = {key: [] for key in keys}
        self._names: dict[str, None] = {}
        self._requests: dict[int, tuple[tuple[str, ...], Any]] = {}
        self._media: list[tuple[Any, tuple[str, ...], Any]] = []

    def talk(self, request: Any) -> Talk[Holding]:
        from dvbboxes.aggregate import Holding
        from dvbboxes.fleet import RENDEZVOUS

        replies = yield request
        programs = {key: self._program(key, reply) for key, reply in zip(self._keys, replies, strict=True)}
        yield RENDEZVOUS
        if not self._names:
            return Holding(programs, {})
        names, wanted = self._wanted()
        (reply,) = yield wanted
        return Holding(programs, self._durations(names, reply))

    def _program(self, key: tuple[date, str], reply: Any) -> Schedule:
        from dvbboxes.wire import decode_program

        for known, program in self._seen[key]:
            if known == reply:
                return program
        program = decode_program(*key, reply)
        self._seen[key].append((reply, program))
        self._names.update((slot.media, None) for slot in program.slots)
        return program

    def _wanted(self) -> tuple[tuple[str, ...], Any]:
        from dvbboxes.wire import duration_request

        if len(self._names) not in self._requests:
            names = tuple(self._names)
            self._requests[len(names)] = names, duration_request(names)
        return self._requests[len(self._names)]

    def _durations(self, names: tuple[str, ...], reply: Any) -> Any:
        from dvbboxes.wire import decode_durations

        for known, asked_for, durations in self._media:
            if asked_for is names and known == reply:
                return durations
        durations = dict(zip(names, decode_durations(reply, len(names)), strict=True))
        self._media.append((reply, names, durations))
        return durations


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


VERBS = (Verb("show", show, (DAY, SERVICES, FROM, TO, *SCOPE)),)
