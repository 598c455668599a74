"""``program converge``: instances that differ get what was meant for their town. A verb of ``program``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dvbboxes.commands import Context, Result, channels, option, scope
from dvbboxes.commands.writing import Draft, look_for, manner, write_wishes
from dvbboxes.days import parse_days
from dvbboxes.errors import NoAnswer, UsageError

if TYPE_CHECKING:
    from dvbboxes.journal import Journal
    from dvbboxes.model import Gathered, Instance, Town
    from dvbboxes.plan import Held, Key
    from dvbboxes.records import Applied, WholeRun
    from dvbboxes.records import Key as RecordKey
    from dvbboxes.wishes import Wish

SOURCE = option(
    "--from", dest="source", metavar="INSTANCE", help="what this instance holds is meant, whatever the others hold"
)


def converge(
    context: Context,
    day: str,
    source: str | None,
    services: Sequence[str] | None,
    towns: Sequence[str] | None,
    instances: Sequence[str] | None,
    **options: Any,
) -> Result:
    """Give instances that differ what was meant for their town: planned, asked, guarded and verified like an apply.

    That is what was last applied there by the journal; else what a strict majority of the town holds; else it is
    refused (exit status 7) unless --from INSTANCE says it. Never simply the longest.
    """
    config = context.config
    days = parse_days(day, context.today)
    sids = channels(config, services)
    targets = scope(config, towns, instances)
    giver = None if source is None else one_instance(context, source)
    how = manner(**options)
    keys = [(one, sid) for sid in sids for one in days]
    return write_wishes(context, how, lambda journal: _draft(context, journal, keys, targets, giver))


def one_instance(context: Context, name: str) -> Instance:
    """Return the instance that ``--from`` names; raises UsageError for more than one, UnknownName for none."""
    found = scope(context.config, None, [name])
    if len(found) != 1:
        raise UsageError(f"--from {name}: name one instance")
    return found[0]


def _draft(
    context: Context, journal: Journal, keys: Sequence[Key], targets: Sequence[Instance], source: Instance | None
) -> Draft:
    from dvbboxes.meant import Undecided, converge, meant_for_town
    from dvbboxes.plan import Refusal
    from dvbboxes.records import RunKind

    config = context.config
    wanted = frozenset(instance.fqdn for instance in targets)
    towns = [town for town in config.towns if any(one.fqdn in wanted for one in town.instances)]
    held = _look(context, towns, keys, source).values()
    if not held:
        raise NoAnswer("no master answered: what the instances hold is not known")
    applied, runs = _applied(journal, keys)
    wishes: list[Wish] = []
    refusals = []
    for town in towns:
        for key in keys:
            carrying = tuple(instance for instance in town.instances if instance.carries(key[1]))
            if not carrying:
                continue
            found = meant_for_town(carrying, held, key, applied, runs, config.schedule.day_start, source)
            mine = converge(carrying, wanted, held, key, found)
            if isinstance(found, Undecided) and not _alike(found, held, key):
                refusals.append(Refusal(None, *key, found.instances, found.text))
            wishes += mine
    days = sorted({day for day, _ in keys})
    when = f"{days[0]:%d/%m/%Y}" if len(days) == 1 else f"{days[0]:%d/%m/%Y}..{days[-1]:%d/%m/%Y}"
    return Draft(RunKind.CONVERGE, f"converge {when}", tuple(wishes), refusals=tuple(refusals))


def _alike(found: object, held: Mapping[str, Held], key: Key) -> bool:
    """Return whether those that answered hold nothing at all: there is nothing to decide."""
    fqdns = getattr(found, "instances", ())
    return not any(held[fqdn].programs.get(key) for fqdn in fqdns if fqdn in held)


def _look(context: Context, towns: Sequence[Town], keys: Sequence[Key], source: Instance | None) -> Gathered[Held]:
    """Return what the masters of whole towns hold: whom a majority is made of is not only whom we write to."""
    instances = {instance.fqdn: instance for town in towns for instance in town.instances}
    if source is not None:
        instances.setdefault(source.fqdn, source)
    return look_for(context, tuple(instances.values()), keys, ())


def _applied(journal: Journal, keys: Sequence[Key]) -> tuple[Mapping[RecordKey, Applied], Mapping[int, WholeRun]]:
    """Return what was last applied under the keys, and those runs whole."""
    from dvbboxes.records import Where

    days = [day for day, _ in keys]
    where = Where(min(days), max(days), None, tuple({sid for _, sid in keys}))
    applied = journal.last_all(where)
    return applied, {number: journal.run(number) for number in {one.run.id for one in applied.values()}}
