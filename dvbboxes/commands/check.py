"""``check``: what will go wrong on air today and this week, on which instance, the critical first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvbboxes.commands import SCOPE, SERVICES, Asked, Context, Result, Verb, asked, channels, option, words
from dvbboxes.errors import ExitStatus, UnknownName, UsageError
from dvbboxes.model import Config, Gathered

if TYPE_CHECKING:
    from dvbboxes.findings import Checked, Finding, Ignored, Material
    from dvbboxes.records import Applied, Key

#: More days than this nobody schedules.
MOST_DAYS = 62

DAYS = option("--days", default="7", metavar="N", help="how many days, from the broadcast day on air (default: 7)")
CHANGES = option(
    "--changes", action="store_true", help="only what is new or over since the last run with this, open CRITICALs daily"
)
IGNORE = option(
    "--ignore",
    action="append",
    metavar="CODE[:FQDN][,...]",
    help="leave out findings of this code, everywhere or on one instance (repeatable)",
)
NAGIOS = option("--nagios", action="store_true", help="one line and the exit status of a Nagios plugin")


def check(
    context: Context,
    days: str,
    services: Sequence[str] | None,
    changes: bool,  # what the command line has
    ignore: Sequence[str] | None,
    nagios: bool,  # what the command line has
    **scope: Any,
) -> Result:
    """Say what will go wrong on air, today and this week, on which instance: the critical first, then what hurts first.

    One line a cause, with the first moment it hurts and a command that mends it; nothing at all where all is well.
    Instances under maintenance are told apart and do not count. Exit status 1 when anything is wrong. With --nagios
    0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN, which is whatever goes wrong with the check itself.
    """
    config = context.config
    if changes:
        context.must_write()
    keys = _keys(context, days, services)
    whom = asked(context, **scope)
    ignored = _ignored(config, ignore)
    material = _material(config, whom, keys, context.now)
    resting = {instance.fqdn for instance in whom.instances if instance.maintenance}
    counted = Gathered(
        tuple(a for a in material.gathered.answers if a.instance.fqdn not in resting), material.gathered.elapsed
    )
    view = _checked(whom, material, counted, ignored, nagios)
    after = None
    if changes:
        view, after = _changes(config, view, material, counted, ignored)
    return _result(view, counted, after)


def _checked(
    whom: Asked,
    material: Material,
    counted: Gathered[Any],
    ignored: Ignored,
    nagios: bool,  # what the command line has
) -> Checked:
    """Return what is wrong, that of instances under maintenance (those that are not counted) apart."""
    from dvbboxes.audit import uncollected
    from dvbboxes.findings import Checked, find, without

    with uncollected():
        everything = find(material)
    found, left_out = without(_looked_twice(whom, material, everything), ignored)
    here = {answer.instance.fqdn for answer in counted.answers}
    return Checked(
        _on(found, here),
        _on(found, {instance.fqdn for instance in whom.instances} - here),
        left_out,
        None,
        material.config.channels,
        material.zone,
        material.now,
        len(counted.answers),
        len(counted.answered),
        nagios,
    )


def _keys(context: Context, days: str, services: Sequence[str] | None) -> tuple[tuple[date, str], ...]:
    sids = channels(context.config, services)
    number = whole_days(days)
    return tuple((context.today + timedelta(days=n), sid) for n in range(number) for sid in sids)


def whole_days(text: str) -> int:
    """Return how many days ``--days`` says; raises UsageError."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MOST_DAYS):
        raise UsageError(f"--days {text!r} is no number of days: 1 to {MOST_DAYS}")
    return int(text)


def _ignored(config: Config, ignore: Sequence[str] | None) -> Ignored:
    from dvbboxes.findings import Code

    codes = {code.value: code for code in Code}
    fqdns = {instance.fqdn for instance in config.instances}
    found = []
    for word in words("--ignore", ignore) if ignore is not None else ():
        name, colon, fqdn = word.partition(":")
        if name not in codes:
            raise UnknownName("code of a finding", name, codes)
        if colon and fqdn.lower() not in fqdns:
            raise UnknownName("instance", fqdn, fqdns)
        found.append((codes[name], fqdn.lower() if colon else None))
    return frozenset(found)


def _material(config: Config, whom: Asked, keys: tuple[tuple[date, str], ...], now: float) -> Material:
    from dvbboxes import withdrawn
    from dvbboxes.audit.survey import survey
    from dvbboxes.findings import Material

    gone = withdrawn.names(config.data_folder)
    with whom.fleet() as fleet:
        gathered = survey(fleet, whom.instances, whom.deadline, keys, config.channels, sorted(gone))
    return Material(config, gathered, keys, now, _applied(config, keys), gone)


def _applied(config: Config, keys: Sequence[tuple[date, str]]) -> Mapping[Key, Applied]:
    """Return what was last applied where; nothing was ever written from here: nothing."""
    from dvbboxes.journal import FILE, Journal
    from dvbboxes.records import Where

    if not (Path(config.data_folder) / FILE).exists():
        return {}
    service_ids = tuple(dict.fromkeys(sid for _, sid in keys))
    with Journal.open(config.data_folder) as journal:
        return journal.last_all(Where(keys[0][0], keys[-1][0], None, service_ids))


def _looked_twice(whom: Asked, material: Material, found: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Return the findings with what may only have been renamed told so: another look, in what the first one left."""
    from dvbboxes.audit.renames import LEAST, renames
    from dvbboxes.findings import Code, renamed
    from dvbboxes.findings.files import files_of

    gone = [finding for finding in found if finding.code is Code.ABSENT]
    if not gone:
        return found
    left = max(LEAST, whom.deadline - material.gathered.elapsed)
    files = files_of(material.voices())
    absent: dict[str, dict[str, float]] = {}
    for finding in gone:
        length = files.length(finding.media, None, 0.0)
        for fqdn in finding.instances if length is not None else ():
            absent.setdefault(fqdn, {})[finding.media] = length or 0.0
    with whom.fleet() as fleet:
        return renamed(found, renames(fleet, whom.instances, left, absent), material)


def _on(found: Sequence[Finding], fqdns: set[str]) -> tuple[Finding, ...]:
    return tuple(here for finding in found if (here := finding.on(fqdns)) is not None)


def _changes(
    config: Config, view: Checked, material: Material, counted: Gathered[Any], ignored: Ignored
) -> tuple[Checked, Callable[[], None]]:
    """Return the view with its news, and what remembers them once they are told."""
    from dataclasses import replace

    from dvbboxes.audit import memory
    from dvbboxes.findings import Looked, news

    looked = Looked(
        {answer.instance.fqdn for answer in counted.answers},
        {answer.instance.fqdn for answer in counted.answered},
        {sid for _, sid in material.keys},
        sorted({day for day, _ in material.keys}),
        ignored,
    )
    told, kept = news(view.findings, memory.load(config.data_folder), looked, view.now)
    return replace(view, news=told), lambda: memory.save(config.data_folder, kept)


def _result(view: Checked, counted: Gathered[Any], after: Callable[[], None] | None) -> Result:
    from dvbboxes.findings import Severity

    status = ExitStatus(int(view.severity)) if view.nagios else None  # Nagios' own numbers
    silent = view.news is not None and not view.news.any
    wrong = view.severity > Severity.NOTE
    return Result(view, counted, difference=wrong, exit_status=status, silent=silent, after=after)


COMMAND = Verb("check", check, (DAYS, SERVICES, CHANGES, IGNORE, NAGIOS, *SCOPE))
