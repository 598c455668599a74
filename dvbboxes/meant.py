"""What a program was meant to be: for a town whose instances differ, and for a copy of one (SPEC 4). Pure.

Never simply the longest: a server that was off for two days can hold an old program that is one film longer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, time

from dvbboxes.model import Instance, Slot, Stored
from dvbboxes.plan import Held, Key, stored_of
from dvbboxes.records import REACHED, Applied, WholeRun
from dvbboxes.records import Key as RecordKey
from dvbboxes.schedule import window
from dvbboxes.wire import day_text, slots_of
from dvbboxes.wishes import Wish


@dataclass(frozen=True, slots=True)
class Undecided:
    """A program of a town that nothing decides: nothing was applied there, and no strict majority holds one."""

    town: str
    key: Key
    instances: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Meant:
    """What one town's instances are meant to hold under one key, by fqdn, and what else counts as that; ``source``."""

    programs: Mapping[str, Stored]
    same: Mapping[str, tuple[Stored, ...]]
    source: str


def converge(
    town: Sequence[Instance],
    targets: frozenset[str],
    held: Mapping[str, Held],
    key: Key,
    found: Meant | Undecided,
) -> tuple[Wish, ...]:
    """Return wishes for the targets (fqdns) of a town under one key; where nothing is decided, to stay as they are."""
    wishes = []
    for instance in town:
        if instance.fqdn not in targets:
            continue
        if isinstance(found, Meant):
            wish = Wish(instance, *key, found.programs[instance.fqdn], found.same.get(instance.fqdn, ()))
            wishes.append(replace(wish, source=found.source))
        elif instance.fqdn in held:
            wishes.append(Wish(instance, *key, held[instance.fqdn].programs.get(key, ())))
    return tuple(wishes)


def meant_for_town(
    town: Sequence[Instance],
    held: Mapping[str, Held],
    key: Key,
    applied: Mapping[RecordKey, Applied],
    runs: Mapping[int, WholeRun],
    day_start: time,
    source: Instance | None = None,
) -> Meant | Undecided:
    """Return what is meant under a key for a town's instances that carry the channel.

    That is what ``source`` holds, where it is given; else what was last applied there by the journal (``applied`` maps
    each program to the newest change that reached its master, ``runs`` are those runs whole); else what a strict
    majority of the town holds.
    """
    if source is not None:
        return _from_instance(town, held, key, day_start, source)
    last = max((one for one in applied.values() if _is_of(one, town, key)), key=lambda one: one.run.id, default=None)
    if last is not None:
        return _from_journal(town, key, runs[last.run.id], last, day_start)
    return _from_majority(town, held, key, day_start)


def _is_of(one: Applied, town: Sequence[Instance], key: Key) -> bool:
    change = one.change
    return (change.day, change.service_id) == key and change.instance in {instance.fqdn for instance in town}


def _from_instance(
    town: Sequence[Instance], held: Mapping[str, Held], key: Key, day_start: time, source: Instance
) -> Meant | Undecided:
    stored = held[source.fqdn].programs.get(key, ()) if source.fqdn in held else ()
    if not stored:
        return _undecided(town, key, f"{source.fqdn} holds no program to take")
    programs = {instance.fqdn: moved(stored, source, instance, key[0], key[0], day_start) for instance in town}
    return Meant(programs, {}, source.fqdn)


def _from_journal(town: Sequence[Instance], key: Key, whole: WholeRun, last: Applied, day_start: time) -> Meant:
    """Return what the run meant for each instance; for one that it left out, what it meant for another of the town."""
    own = {change.instance: change for change in whole.changes if (change.day, change.service_id) == key}
    giver = next(instance for instance in town if instance.fqdn == last.change.instance)
    programs, same = {}, {}
    for instance in town:
        change = own.get(instance.fqdn)
        if change is None:
            programs[instance.fqdn] = moved(last.change.after, giver, instance, key[0], key[0], day_start)
        else:
            programs[instance.fqdn] = change.after
            if change.after_update is not None and change.state in REACHED:
                same[instance.fqdn] = (change.after_update,)
    return Meant(programs, same, f"run {whole.run.id}")


def _from_majority(town: Sequence[Instance], held: Mapping[str, Held], key: Key, day_start: time) -> Meant | Undecided:
    first = town[0]
    holders: dict[Stored, list[Instance]] = {}
    for instance in town:
        if instance.fqdn in held and key not in held[instance.fqdn].foreign:
            program = held[instance.fqdn].programs.get(key, ())
            alike = moved(program, instance, first, key[0], key[0], day_start)
            holders.setdefault(alike, []).append(instance)
    most, who = max(holders.items(), key=lambda item: len(item[1]), default=((), []))
    if len(who) * 2 <= len(town):
        silent = len(town) - sum(map(len, holders.values()))
        groups = " against ".join(str(len(each)) for each in sorted(holders.values(), key=len, reverse=True))
        said = f"nothing was applied there from here, and no strict majority holds one program ({groups or 'nobody'}"
        return _undecided(town, key, f"{said}{f', {silent} silent' if silent else ''}): --from INSTANCE says which")
    if not most and len(who) < len(town):
        return _undecided(town, key, "most hold nothing there: --from INSTANCE, or program delete")
    programs = {instance.fqdn: moved(most, first, instance, key[0], key[0], day_start) for instance in town}
    return Meant(programs, {}, f"{len(who)} of {len(town)}")


def _undecided(town: Sequence[Instance], key: Key, said: str) -> Undecided:
    fqdns = tuple(instance.fqdn for instance in town)
    return Undecided(town[0].cluster, key, fqdns, f"{day_text(key[0])}:{key[1]} in {town[0].cluster}: {said}")


def moved(stored: Stored, giver: Instance, taker: Instance, day: date, to: date, day_start: time) -> Stored:
    """Return one instance's program as another would hold it: in its own folder, its day beginning in its own zone.

    Between alike instances that is the very same program.
    """
    shift = window(to, taker.zone, day_start)[0] - window(day, giver.zone, day_start)[0]
    mine, theirs = (instance.media_folder.rstrip("/") + "/" for instance in (giver, taker))
    if not shift and mine == theirs:
        return stored
    slots = slots_of(stored)
    return stored_of(
        Slot(slot.index, slot.media, theirs if slot.path == mine else slot.path, slot.start + shift) for slot in slots
    )
