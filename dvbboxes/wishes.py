"""Plans made from anything but a listing: programs meant for instances -> Plan, with the same guards (SPEC 6). Pure.

A rollback, a resumed run, a converge, a copy, a deletion and a restored archive are all lists of wishes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta, tzinfo

from dvbboxes.aggregate.difference import Change as Difference
from dvbboxes.aggregate.difference import counted, edits
from dvbboxes.model import Config, Instance, Stored
from dvbboxes.plan import (
    Action,
    Applied,
    Change,
    DayFacts,
    FileFact,
    Hazard,
    Held,
    Key,
    Plan,
    Refusal,
    Target,
    foreign_refusals,
    missing_refusals,
    timing_refusals,
    verdict_of,
)
from dvbboxes.records import RunKind
from dvbboxes.schedule import moment, window
from dvbboxes.wire import slots_of, stem


@dataclass(frozen=True, slots=True)
class Wish:
    """A program meant for one instance (empty: it is to go), and what may stand there now.

    ``same`` are programs that count as it, such as what dvbbox's update made of it. ``expected`` are those that may be
    overwritten, None: any; another one is refused in the words of ``changed``, or left alone where that is empty.
    ``source`` says where the program comes from.
    """

    instance: Instance
    day: date
    service_id: str
    desired: Stored
    same: tuple[Stored, ...] = ()
    expected: tuple[Stored, ...] | None = None
    changed: str = ""
    source: str = ""

    @property
    def key(self) -> Key:
        """(day, service id)."""
        return self.day, self.service_id

    @property
    def media(self) -> tuple[str, ...]:
        """The files it names (with ``.ts``), each once, in order."""
        return tuple(dict.fromkeys(slot.media for slot in slots_of(self.desired)))


@dataclass(frozen=True, slots=True)
class ProgramPlan:
    """The plan of a command that writes programs without a listing.

    ``sources`` says where each instance's program comes from, by (fqdn, key); ``again`` is the command line that does
    exactly this; ``notes`` are for the operator.
    """

    kind: RunKind
    title: str
    plan: Plan
    sources: Mapping[tuple[str, Key], str]
    notes: tuple[str, ...]
    zone: tzinfo
    channels: Mapping[str, str]
    again: str


def plan_wishes(
    wishes: Sequence[Wish],
    targets: Sequence[Target],
    files: Mapping[str, FileFact],
    *,
    config: Config,
    now: float,
    applied: Mapping[tuple[str, Key], Applied],
    allow: Collection[Hazard],
) -> Plan:
    """Return the plan of making wishes true. Arguments as in :func:`dvbboxes.plan.build`.

    ``files`` may lack what no replica answered about: such a file counts 0 seconds.
    """
    held = {target.instance.fqdn: target.held for target in targets if target.held is not None}
    silent = {target.instance.fqdn: target.why for target in targets if target.held is None}
    changes, odd = [], []
    for wish in wishes:
        if wish.instance.fqdn in held:
            known = applied.get((wish.instance.fqdn, wish.key))
            change = _change(wish, held[wish.instance.fqdn], known, allow)
            changes.append(change)
            if change.writes and _unexpected(wish, change.existing):
                odd.append(wish)
    days = _days(wishes, files, config)
    refusals = list(_refusals(days, changes, held, files, config, now))
    refusals += _changed(odd)
    refusals += _unreachable(days, [wish for wish in wishes if wish.instance.fqdn in silent])
    return Plan(
        days,
        files,
        tuple(target.instance for target in targets),
        tuple(changes),
        tuple(refusal for refusal in refusals if refusal.hazard not in allow),
        tuple(refusal for refusal in refusals if refusal.hazard in allow),
        silent,
    )


def owed_wishes(plan: Plan, wishes: Iterable[Wish]) -> tuple[Change, ...]:
    """Return what is owed to masters that could not be looked at: what is there is not known, what is meant is."""
    ready = frozenset(plan.ready)
    nothing = Difference(0, 0, 0)
    return tuple(
        Change(
            wish.instance, *wish.key, (), wish.desired, Action.CREATE if wish.desired else Action.DELETE, nothing, ()
        )
        for wish in wishes
        if wish.instance.fqdn in plan.unreachable and wish.key in ready
    )


def _change(wish: Wish, held: Held, known: Applied | None, allow: Collection[Hazard]) -> Change:
    existing, wanted = held.programs.get(wish.key, ()), wish.desired
    foreign = wish.key in held.foreign  # it holds something: it is not as meant, whatever is meant
    same = (wanted, *wish.same)
    if known and known.updated is not None and known.desired == wanted:
        same = (*same, known.updated)
    nothing = Difference(0, 0, 0)
    if (existing in same and not foreign) or (not wish.changed and _unexpected(wish, existing)):
        action, difference = Action.KEEP, nothing
    elif known and known.own and existing in (known.desired, known.updated) and Hazard.OWN not in allow:
        action, difference = Action.OWN, nothing
    elif not wanted:
        action, difference = Action.DELETE, Difference(0, len(existing), 0)
    elif existing:
        action, difference = Action.REPLACE, counted(edits(slots_of(existing), slots_of(wanted)))
    else:
        action, difference = Action.CREATE, Difference(len(wanted), 0, 0)
    lacking = tuple(media for media in wish.media if media in held.lacking)
    return Change(wish.instance, wish.day, wish.service_id, existing, wanted, action, difference, lacking)


def _unexpected(wish: Wish, existing: Stored) -> bool:
    return wish.expected is not None and existing not in wish.expected


def _days(wishes: Sequence[Wish], files: Mapping[str, FileFact], config: Config) -> tuple[DayFacts, ...]:
    """Return what is to be said of each day: of the program that most instances are meant to have."""
    programs: dict[Key, Counter[Stored]] = {}
    for wish in wishes:
        programs.setdefault(wish.key, Counter())[wish.desired] += 1
    order = {service_id: number for number, service_id in enumerate(config.channels)}
    ordered = sorted(programs, key=lambda key: (order[key[1]], key[0]))
    return tuple(_facts(key, programs[key].most_common(1)[0][0], files, config) for key in ordered)


def _facts(key: Key, stored: Stored, files: Mapping[str, FileFact], config: Config) -> DayFacts:
    day, service_id = key
    schedule = config.schedule
    slots = slots_of(stored)
    start, day_end = window(day, schedule.zone, schedule.day_start)
    end = ends(stored, files) if slots else start
    starts: dict[str, float] = {}
    for slot in slots:
        starts.setdefault(slot.media, slot.start)
    missing = tuple(media for media in starts if media in files and files[media].missing)
    midnight = moment(day + timedelta(days=1), schedule.zone, time(0))
    verdict = verdict_of(end >= midnight, bool(missing))
    names = tuple(stem(slot.media) for slot in slots)
    first = min((slot.start for slot in slots), default=start)
    return DayFacts(day, service_id, names, {}, first, end, max(0.0, end - day_end), verdict, missing, starts)


def ends(stored: Stored, files: Mapping[str, FileFact]) -> float:
    """Return when a program ends (Unix seconds): its last start and the length of that file; 0 for no program."""
    last = max(slots_of(stored), key=lambda slot: slot.start, default=None)
    if last is None:
        return 0.0
    return last.start + (files[last.media].seconds if last.media in files else 0.0)


# --- what stands in the way -----------------------------------------------------------------------------------------


def _refusals(
    days: Sequence[DayFacts],
    changes: Sequence[Change],
    held: Mapping[str, Held],
    files: Mapping[str, FileFact],
    config: Config,
    now: float,
) -> Iterable[Refusal]:
    by_key: dict[Key, list[Change]] = {}
    for change in changes:
        if change.writes:
            by_key.setdefault(change.key, []).append(change)
    for facts in days:
        written = by_key.get(facts.key, [])
        yield from foreign_refusals(facts, written, held)
        yield from missing_refusals(facts, written)
        yield from timing_refusals(facts, written, config, now)
        yield from _short(facts, written, held, files)


def _short(
    facts: DayFacts, written: Sequence[Change], held: Mapping[str, Held], files: Mapping[str, FileFact]
) -> Iterable[Refusal]:
    """Yield the refusal of a program that ends before midnight where the one there does not.

    What is deleted is not shorter: it is shown, asked and counted as deleted.
    """
    shortened = []
    for change in written:
        midnight = moment(facts.day + timedelta(days=1), change.instance.zone, time(0))
        there = max(ends(change.existing, files), held[change.instance.fqdn].ends.get(facts.key, 0.0))
        if change.desired and ends(change.desired, files) < midnight <= there:
            shortened.append(change.instance.fqdn)
    if shortened:
        yield Refusal(Hazard.SHORT, *facts.key, tuple(shortened), "it ends before midnight, the one there does not")


def _changed(odd: Sequence[Wish]) -> list[Refusal]:
    groups: dict[tuple[Key, str], list[str]] = {}
    for wish in odd:
        groups.setdefault((wish.key, wish.changed), []).append(wish.instance.fqdn)
    return [Refusal(None, *key, tuple(fqdns), said) for (key, said), fqdns in groups.items()]


def _unreachable(days: Sequence[DayFacts], silent: Sequence[Wish]) -> list[Refusal]:
    found = []
    for facts in days:
        fqdns = tuple(wish.instance.fqdn for wish in silent if wish.key == facts.key)
        if fqdns:
            found.append(Refusal(Hazard.UNREACHABLE, *facts.key, fqdns, "the master did not answer"))
    return found
