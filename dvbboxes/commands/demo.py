"""The noun ``demo``: a whole small fleet of real servers on this machine, without root."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from dvbboxes.aggregate import DemoShown
from dvbboxes.commands import Context, Result, Verb, option
from dvbboxes.errors import UsageError

if TYPE_CHECKING:
    from dvbboxes.demo.fleet import DemoState

NAME = option(
    "--name", metavar="NAME", help="which demo; two names never meet (default: the one DVBBOXES_DEMO names, or demo)"
)
TROUBLE = option("--trouble", default="5", metavar="PERCENT", help="how much is to be wrong (default: 5; 0: nothing)")
LISTING = option(
    "--listing",
    dest="listings",
    action="append",
    metavar="FILE",
    help="load this listing, called SID_DDMMYYYY_DDMMYYYY, instead of the built-in sample (repeatable)",
)
DURATIONS = option("--durations", metavar="FILE", help="with --listing: lines of name.ts<TAB>seconds")
STARTING = option("--starting", metavar="DAY", help="with --listing: move its first day to this one")


def start(
    context: Context,
    name: str | None,
    trouble: str,
    listings: Sequence[str] | None,
    durations: str | None,
    starting: str | None,
) -> Result:
    """Start a demo fleet: 2 towns of 2 servers, each with its replica, loaded and in sync.

    It lives until "demo stop". Without --listing it plays a built-in sample of two channels, a week around today, with
    a few percent of realistic trouble: a file one server lacks, a duration that differs, a day one server has old.
    """
    from dvbboxes.days import parse_day
    from dvbboxes.demo import fleet

    today = _today(context)
    state = fleet.start(
        _name(context, name),
        trouble=_percent(trouble),
        listings=listings or (),
        durations=durations,
        starting=None if starting is None else parse_day(starting, today),
        today=today,
    )
    return Result(_shown(state))


def stop(context: Context, name: str | None) -> Result:
    """Stop a demo fleet and remove everything of it."""
    from dvbboxes.demo import fleet

    name = _name(context, name)
    ended = fleet.stop(name)
    return Result(DemoShown(name, "stopped" if ended else "not running"))


def status(context: Context, name: str | None) -> Result:
    """Show whether a demo fleet runs, where its configuration is, and its servers' ports (exit status 1: none runs)."""
    from dvbboxes.demo import fleet

    name = _name(context, name)
    state = fleet.status(name)
    if state is None:
        return Result(DemoShown(name, "not running"), difference=True)
    return Result(_shown(state), difference=not all(one.alive for one in state.instances))


def _name(context: Context, name: str | None) -> str:
    return context.environ.get("DVBBOXES_DEMO") or "demo" if name is None else name


def _shown(state: DemoState) -> DemoShown:
    servers = tuple((one.town, one.fqdn, one.replica_port, one.master_port, one.alive) for one in state.instances)
    return DemoShown(state.name, "running", state.config_path, servers)


def _today(context: Context) -> date:
    """Return the broadcast day on air here: a demo is configured with the system's zone and SPEC's 07:30."""
    from datetime import time

    from dvbboxes.config.values import BadValue
    from dvbboxes.config.zones import system_zone
    from dvbboxes.schedule import broadcast_day

    try:
        zone, _ = system_zone(context.environ)
    except BadValue as error:
        raise UsageError(f"this system's time zone cannot be told: {error}") from error
    return broadcast_day(context.now, zone, time(7, 30))


def _percent(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"--trouble {text!r} is no percentage: a number from 0 to 100") from None


VERBS = (
    Verb("start", start, (NAME, TROUBLE, LISTING, DURATIONS, STARTING)),
    Verb("stop", stop, (NAME,)),
    Verb("status", status, (NAME,)),
)
