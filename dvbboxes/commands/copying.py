"""``program copy`` and ``program delete``: programs on other days, channels and towns, or gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from dvbboxes.commands import Context, Result, channels, option, replica_fleet, scope
from dvbboxes.commands.converging import one_instance
from dvbboxes.commands.writing import Draft, look_for, manner, write_wishes
from dvbboxes.days import parse_days
from dvbboxes.errors import NoAnswer, Refused, UsageError

if TYPE_CHECKING:
    from dvbboxes.model import Gathered, Instance
    from dvbboxes.plan import Held, Key
    from dvbboxes.wishes import Wish

TO = option("to", metavar="TO", help="the day to copy to; of a range its first day, or the range")
TO_SERVICE = option("--to-service", metavar="SID", help="the channel to copy to (default: the same)")
FROM_TOWN = option("--from-town", metavar="TOWN", help="copy what the instances of this town hold (default: all)")
FROM = option("--from", dest="source", metavar="INSTANCE", help="copy what this instance holds")
OPTIONS = (TO, TO_SERVICE, FROM_TOWN, FROM)


def copy(
    context: Context,
    day: str,
    to: str,
    to_service: str | None,
    from_town: str | None,
    source: str | None,
    services: Sequence[str] | None,
    towns: Sequence[str] | None,
    instances: Sequence[str] | None,
    **options: Any,
) -> Result:
    """Copy programs to other days, another channel or other towns: the same files in order, the starts computed anew.

    Planned, asked, guarded and verified like an apply. Refused where the instances copied from hold different programs:
    --from INSTANCE, or --from-town, says whose. --towns and --instance say to whom.
    """
    days, targets = parse_days(day, context.today), parse_days(to, context.today)
    if len(targets) not in (1, len(days)):
        raise UsageError(f"{day} is {len(days)} days and {to} is {len(targets)}: name the first day to copy to")
    sids = channels(context.config, services) if services is not None else ()
    target = None if to_service is None else channels(context.config, [to_service])[0]
    if not sids or (target is not None and len(sids) != 1):
        raise UsageError("name the channel to copy with -s (with --to-service only one)")
    givers = _givers(context, from_town, source)
    takers = scope(context.config, towns, instances)
    shift = targets[0] - days[0]
    if not shift and target in (None, *sids) and {one.fqdn for one in takers} <= {one.fqdn for one in givers}:
        raise UsageError("copied to the same day and channel of the same instances it stays as it is: name another TO")
    how = manner(**options)
    keys = [(one, sid) for sid in sids for one in days]
    return write_wishes(context, how, lambda _: _copied(context, keys, givers, takers, shift, target))


def _givers(context: Context, town: str | None, source: str | None) -> tuple[Instance, ...]:
    if town is not None and source is not None:
        raise UsageError("--from and --from-town: one of them")
    if source is not None:
        return (one_instance(context, source),)
    return scope(context.config, None if town is None else [town], None)


def _copied(
    context: Context,
    keys: Sequence[Key],
    givers: Sequence[Instance],
    takers: Sequence[Instance],
    shift: timedelta,
    target: str | None,
) -> Draft:
    from dvbboxes.records import RunKind

    held = look_for(context, givers, keys, ())
    if not held.answered:
        raise NoAnswer("no master that is to be copied from answered")
    names = {key: _names(held, key) for key in keys}
    lengths = _lengths(context, sorted({name for each in names.values() for name in each}))
    wishes = [
        _laid_out(context, taker, key[0] + shift, target or key[1], names[key], lengths, _source(key))
        for key in keys
        for taker in takers
        if names[key] and taker.carries(target or key[1])
    ]
    empty = [f"{day:%d/%m/%Y} {sid}: there is no program to copy" for (day, sid), each in names.items() if not each]
    return Draft(RunKind.COPY, "copy", tuple(wishes), tuple(empty), undone=bool(empty), guards_own=True)


def _source(key: Key) -> str:
    return f"{key[0]:%d/%m} {key[1]}"


def _names(held: Gathered[Held], key: Key) -> tuple[str, ...]:
    """Return the media names (without .ts) of the one program that those who hold any hold under a key."""
    from dvbboxes.wire import is_media_name, shown, slots_of, stem

    holders: dict[tuple[str, ...], list[str]] = {}
    for answer in held.answered:
        stored = answer.value.programs.get(key, ()) if answer.value is not None else ()
        if stored:
            found = tuple(stem(slot.media) for slot in slots_of(stored))
            holders.setdefault(found, []).append(answer.instance.fqdn)
    if len(holders) > 1:
        who = "; ".join(", ".join(fqdns[:3]) for fqdns in holders.values())
        raise Refused(
            f"{_source(key)}: the instances hold {len(holders)} different programs ({who}): --from INSTANCE or"
            " --from-town says whose is copied"
        )
    (names,) = holders or ((),)
    for name in names:
        if not is_media_name(name):
            raise Refused(f"{_source(key)}: {shown(name)} is no media name: it is not written anywhere")
    return names


def _lengths(context: Context, names: Sequence[str]) -> Mapping[str, float]:
    """Return seconds by media name, the largest known on any instance; raises NoAnswer where nobody says any."""
    from dvbboxes.plan import file_facts
    from dvbboxes.questions import durations
    from dvbboxes.wire import media_file

    config = context.config
    if not names:
        return {}
    with replica_fleet(context) as fleet:
        said = durations(fleet, config.instances, config.redis.deadline, [media_file(name) for name in names])
    if not said.answered:
        raise NoAnswer("no replica answered, so no file's duration is known: nothing can be laid out")
    facts = file_facts([media_file(name) for name in names], said.values())
    return {name: facts[media_file(name)].seconds for name in names}


def _laid_out(
    context: Context,
    taker: Instance,
    day: date,
    service_id: str,
    names: Sequence[str],
    lengths: Mapping[str, float],
    source: str,
) -> Wish:
    from dvbboxes.plan import stored_of
    from dvbboxes.schedule import lay_out
    from dvbboxes.wishes import Wish

    start = context.config.schedule.day_start
    slots = lay_out(day, names, lengths, taker.zone, start, taker.media_folder)
    return Wish(taker, day, service_id, stored_of(slots), source=source)


def delete(
    context: Context,
    day: str,
    services: Sequence[str] | None,
    towns: Sequence[str] | None,
    instances: Sequence[str] | None,
    **options: Any,
) -> Result:
    """Delete programs: shown, asked and guarded like an apply; the journal keeps them, so a rollback puts them back."""
    from dvbboxes.records import RunKind
    from dvbboxes.wishes import Wish

    days = parse_days(day, context.today)
    if services is None:
        raise UsageError("name the channels with -s: without it every channel would be deleted")
    sids, targets = channels(context.config, services), scope(context.config, towns, instances)
    how = manner(**options)
    wishes = tuple(
        Wish(instance, one, sid, ()) for sid in sids for one in days for instance in targets if instance.carries(sid)
    )
    draft = Draft(RunKind.DELETE, "delete", wishes, guards_own=True)
    return write_wishes(context, how, lambda _: draft)
