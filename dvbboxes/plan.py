"""Listing + durations + what the masters hold -> Plan: a value, printable before anything happens (SPEC 5, 6). Pure.

The plan says for each target instance and day what would be written, what stands in its way and what would release it.
Its fingerprint names exactly that: what changed since needs a new plan.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, time, timedelta
from enum import Enum
from typing import TypeAlias

from dvbboxes.aggregate.difference import Change as Difference
from dvbboxes.aggregate.difference import counted, edits
from dvbboxes.model import Config, Duration, DurationKind, Entry, Instance, ListingDay, Slot, Stored
from dvbboxes.schedule import broadcast_day, lay_out, moment, window
from dvbboxes.wire import media_file, member, slots_of

#: One program of one channel: (day, service id).
Key: TypeAlias = tuple[date, str]


class Verdict(Enum):
    """How good a day is (SPEC 5): long enough is to the next midnight at least; a missing file is known nowhere."""

    GREEN = "green"
    LIGHTBLUE = "lightblue"
    ORANGE = "orange"
    RED = "red"

    @property
    def long_enough(self) -> bool:
        """Return whether the day reaches midnight."""
        return self in (Verdict.GREEN, Verdict.LIGHTBLUE)


class Hazard(Enum):
    """Why a change is refused as unsafe; the value is what ``--allow`` releases it by."""

    MISSING = "missing"
    PAST = "past"
    ON_AIR = "on-air"
    SHORT = "short"
    UNREACHABLE = "unreachable"
    OWN = "own"


class Action(Enum):
    """What a change does on its instance. OWN: left alone, a program applied on purpose to fewer towns.

    DELETE: the program goes, and nothing takes its place; a listing never does that.
    """

    CREATE = "create"
    REPLACE = "replace"
    DELETE = "delete"
    KEEP = "keep"
    OWN = "own"


@dataclass(frozen=True, slots=True)
class FileFact:
    """What the replicas say of one file a listing names (with ``.ts``).

    ``seconds`` is what it counts: the largest measured duration, dvbbox's sentinel where nobody measured it, else 0.
    ``lowest`` is the smallest measured one. ``present``/``absent`` are the fqdns that have it and lack it.
    """

    media: str
    seconds: float
    measured: bool
    lowest: float
    present: tuple[str, ...]
    absent: tuple[str, ...]

    @property
    def missing(self) -> bool:
        """Return whether no instance that answered has it."""
        return not self.present

    def disagrees(self, tolerance: float) -> bool:
        """Return whether measured durations differ by more than ``tolerance`` seconds."""
        return self.measured and self.seconds - self.lowest > tolerance


@dataclass(frozen=True, slots=True)
class DayFacts:
    """One day of a listing, laid out. ``start`` and ``end`` in Unix seconds; ``overrun`` seconds past the day's end.

    ``lines`` maps a file name to the listing's line where it stands first; ``missing`` are files known nowhere.
    """

    day: date
    service_id: str
    names: tuple[str, ...]
    lines: Mapping[str, int]
    start: float
    end: float
    overrun: float
    verdict: Verdict
    missing: tuple[str, ...]
    starts: Mapping[str, float]

    @property
    def key(self) -> Key:
        """(day, service id)."""
        return self.day, self.service_id


def file_facts(names: Iterable[str], said: Mapping[str, Mapping[str, Duration]]) -> dict[str, FileFact]:
    """Return what counts for each file (names with ``.ts``), from fqdn -> name -> Duration of those that answered."""
    # The instances of a town mostly said the same, and share what was decoded: it is looked through once for all.
    voices = {id(media): media for media in said.values()}
    whose: dict[tuple[frozenset[int], frozenset[int]], tuple[tuple[str, ...], tuple[str, ...]]] = {}
    facts = {}
    for name in dict.fromkeys(names):
        durations = {voice: media[name] for voice, media in voices.items() if name in media}
        known = [d.seconds for d in durations.values() if d.seconds is not None]
        unmeasured = any(d.kind is DurationKind.UNMEASURED for d in durations.values())
        absent = frozenset(voice for voice, d in durations.items() if d.kind is DurationKind.ABSENT)
        who = (frozenset(durations) - absent, absent)
        if who not in whose:
            present_on, absent_on = (tuple(fqdn for fqdn, media in said.items() if id(media) in v) for v in who)
            whose[who] = present_on, absent_on
        seconds = max(known) if known else 3.14 if unmeasured else 0.0
        facts[name] = FileFact(name, seconds, bool(known), min(known, default=0.0), *whose[who])
    return facts


def day_facts(listed: ListingDay, service_id: str, files: Mapping[str, FileFact], config: Config) -> DayFacts:
    """Return a listing's day laid out in the configured zone, with its verdict (SPEC 5)."""
    schedule = config.schedule
    names = tuple(entry.name for entry in listed.entries)
    seconds = {name: files[media_file(name)].seconds for name in names}
    slots = lay_out(listed.day, names, seconds, schedule.zone, schedule.day_start, schedule_folder(config))
    start, day_end = window(listed.day, schedule.zone, schedule.day_start)
    end = slots[-1].start + seconds[names[-1]] if slots else start
    lines: dict[str, int] = {}
    starts: dict[str, float] = {}
    for entry, slot in zip(listed.entries, slots, strict=True):
        lines.setdefault(media_file(entry.name), entry.line)
        starts.setdefault(media_file(entry.name), slot.start)
    missing = tuple(media for media in lines if files[media].missing)
    midnight = moment(listed.day + timedelta(days=1), schedule.zone, time(0))
    verdict = verdict_of(end >= midnight, bool(missing))
    return DayFacts(listed.day, service_id, names, lines, start, end, max(0.0, end - day_end), verdict, missing, starts)


def schedule_folder(config: Config) -> str:
    """Return the folder a layout is shown with; each instance's own comes in when it is written there."""
    return config.instances[0].media_folder if config.instances else "/opt/tsfiles"


def verdict_of(long_enough: bool, some_missing: bool) -> Verdict:
    """Return the verdict of SPEC 5's table."""
    if long_enough:
        return Verdict.LIGHTBLUE if some_missing else Verdict.GREEN
    return Verdict.RED if some_missing else Verdict.ORANGE


# --- the plan -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Held:
    """What one master said: its programs by (day, service id) exactly as held, and which files it lacks.

    ``foreign`` are the keys that hold something else than a program: they are never written. ``ends`` says when each
    program ends (Unix seconds), its last file as long as that master knows it; empty where that is not asked.
    """

    programs: Mapping[Key, Stored]
    lacking: frozenset[str]
    foreign: frozenset[Key] = frozenset()
    ends: Mapping[Key, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Applied:
    """What the journal says was last applied under a key on an instance, and what it became by dvbbox's update.

    ``own``: that run was meant for fewer towns than this plan.
    """

    desired: Stored
    updated: Stored | None
    own: bool


@dataclass(frozen=True, slots=True)
class Change:
    """What would become of one program on one instance.

    ``lacking`` are the files (with ``.ts``) of ``desired`` that this very instance does not have.
    """

    instance: Instance
    day: date
    service_id: str
    existing: Stored
    desired: Stored
    action: Action
    difference: Difference
    lacking: tuple[str, ...]

    @property
    def key(self) -> Key:
        """(day, service id)."""
        return self.day, self.service_id

    @property
    def writes(self) -> bool:
        """Return whether anything would be written."""
        return self.action in (Action.CREATE, Action.REPLACE, Action.DELETE)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one program is not written, and on which instances (fqdns). ``hazard`` None: nothing releases it."""

    hazard: Hazard | None
    day: date
    service_id: str
    instances: tuple[str, ...]
    text: str

    @property
    def key(self) -> Key:
        """(day, service id)."""
        return self.day, self.service_id


@dataclass(frozen=True, slots=True)
class Plan:
    """What an apply would do. ``unreachable`` maps the fqdn of a master that did not answer to why.

    ``refusals`` are those not released; ``released`` those that ``--allow`` released. ``files`` by name with ``.ts``.
    """

    days: tuple[DayFacts, ...]
    files: Mapping[str, FileFact]
    instances: tuple[Instance, ...]
    changes: tuple[Change, ...]
    refusals: tuple[Refusal, ...]
    released: tuple[Refusal, ...]
    unreachable: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """Eight hex digits that name exactly these changes, from what is held to what is meant, on these instances."""
        digest = hashlib.sha256()
        digests: dict[int, bytes] = {}  # most instances share the very same programs
        for change in sorted(self.changes, key=lambda c: (c.instance.fqdn, c.service_id, c.day)):
            digest.update(
                f"{change.instance.fqdn}\0{change.service_id}\0{change.day}\0{change.action.value}\1".encode()
            )
            for stored in (change.existing, change.desired):
                if id(stored) not in digests:
                    digests[id(stored)] = _digest(stored)
                digest.update(digests[id(stored)])
            digest.update("\0".join(change.lacking).encode())
        digest.update("\0".join(sorted(self.unreachable)).encode())
        for refusal in self.refusals:
            if refusal.hazard is None:  # what stands there is no program, so it is in no change
                digest.update(f"\2{refusal.service_id}\0{refusal.day}\0{refusal.instances}".encode())
        return digest.hexdigest()[:8]

    @property
    def refused(self) -> frozenset[Key]:
        """The programs that something refuses."""
        return frozenset(refusal.key for refusal in self.refusals)

    @property
    def ready(self) -> tuple[Key, ...]:
        """The programs that nothing refuses, in order."""
        refused = self.refused
        return tuple(facts.key for facts in self.days if facts.key not in refused)

    def only_ready(self) -> Plan:
        """Return the plan without the programs that something refuses: each on all its targets or on none."""
        ready = frozenset(self.ready)
        return replace(
            self,
            days=tuple(facts for facts in self.days if facts.key in ready),
            changes=tuple(change for change in self.changes if change.key in ready),
            refusals=(),
            released=tuple(refusal for refusal in self.released if refusal.key in ready),
        )

    @property
    def writes(self) -> tuple[Change, ...]:
        """The changes that would write something."""
        return tuple(change for change in self.changes if change.writes)


def _digest(stored: Stored) -> bytes:
    text = "\1".join(f"{entry.member}\0{entry.start!r}" for entry in stored)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


@dataclass(frozen=True, slots=True)
class Target:
    """One instance to write to and what its master said (None: it did not answer, ``why``)."""

    instance: Instance
    held: Held | None
    why: str = ""


def build(
    days: Sequence[DayFacts],
    files: Mapping[str, FileFact],
    targets: Sequence[Target],
    *,
    config: Config,
    now: float,
    applied: Mapping[tuple[str, Key], Applied],
    allow: Collection[Hazard],
) -> Plan:
    """Return the plan of applying laid-out days to instances.

    ``applied`` maps (fqdn, key) to what the journal knows; ``allow`` are the hazards released by name. An instance that
    does not carry a channel is no target of it. ``now`` is Unix seconds.
    """
    seconds = {media.removesuffix(".ts"): fact.seconds for media, fact in files.items()}
    desired = _Desired(config, seconds)
    changes: list[Change] = []
    for target in targets:
        if target.held is None:
            continue
        for facts in days:
            if target.instance.carries(facts.service_id):
                known = applied.get((target.instance.fqdn, facts.key))
                changes.append(_change(target.instance, target.held, facts, desired, known, allow))
    refusals = list(_refusals(days, targets, changes, config, now, files))
    return Plan(
        tuple(days),
        files,
        tuple(target.instance for target in targets),
        tuple(changes),
        tuple(refusal for refusal in refusals if refusal.hazard not in allow),
        tuple(refusal for refusal in refusals if refusal.hazard in allow),
        {target.instance.fqdn: target.why for target in targets if target.held is None},
    )


class _Desired:
    """Programs laid out for an instance, once for all that share its zone and folder."""

    def __init__(self, config: Config, seconds: Mapping[str, float]) -> None:
        self._config = config
        self._seconds = seconds
        self._known: dict[tuple[object, ...], Stored] = {}

    def of(self, instance: Instance, facts: DayFacts) -> Stored:
        key = (instance.zone, instance.media_folder, facts.key)
        if key not in self._known:
            slots = lay_out(
                facts.day,
                facts.names,
                self._seconds,
                instance.zone,
                self._config.schedule.day_start,
                instance.media_folder,
            )
            self._known[key] = stored_of(slots)
        return self._known[key]


def stored_of(slots: Iterable[Slot]) -> Stored:
    """Return slots as Redis holds them, ordered by (start, member)."""
    entries = [Entry(member(slot), slot.start) for slot in slots]
    return tuple(sorted(entries, key=lambda entry: (entry.start, entry.member.encode("utf-8", "surrogateescape"))))


def _change(
    instance: Instance,
    held: Held,
    facts: DayFacts,
    desired: _Desired,
    known: Applied | None,
    allow: Collection[Hazard],
) -> Change:
    existing, wanted = held.programs.get(facts.key, ()), desired.of(instance, facts)
    difference = Difference(len(wanted), 0, 0)
    if existing == wanted or (known and known.desired == wanted and known.updated == existing):
        action, difference = Action.KEEP, Difference(0, 0, 0)
    elif known and known.own and existing in (known.desired, known.updated) and Hazard.OWN not in allow:
        action, difference = Action.OWN, Difference(0, 0, 0)
    elif existing:
        action = Action.REPLACE
        difference = counted(edits(slots_of(existing), slots_of(wanted)))
    else:
        action = Action.CREATE
    lacking = tuple(media for media in facts.lines if media in held.lacking)
    return Change(instance, facts.day, facts.service_id, existing, wanted, action, difference, lacking)


def owed_changes(plan: Plan, config: Config) -> tuple[Change, ...]:
    """Return what is owed to masters that could not be looked at: what is there is not known, what is meant is."""
    seconds = {media.removesuffix(".ts"): fact.seconds for media, fact in plan.files.items()}
    desired = _Desired(config, seconds)
    ready = frozenset(plan.ready)
    owed = []
    for instance in plan.instances:
        for facts in plan.days:
            if instance.fqdn in plan.unreachable and instance.carries(facts.service_id) and facts.key in ready:
                wanted = desired.of(instance, facts)
                difference = Difference(len(wanted), 0, 0)
                owed.append(Change(instance, *facts.key, (), wanted, Action.CREATE, difference, ()))
    return tuple(owed)


# --- what stands in the way -----------------------------------------------------------------------------------------


def _refusals(
    days: Sequence[DayFacts],
    targets: Sequence[Target],
    changes: Sequence[Change],
    config: Config,
    now: float,
    files: Mapping[str, FileFact],
) -> Iterable[Refusal]:
    by_key: dict[Key, list[Change]] = {}
    for change in changes:
        by_key.setdefault(change.key, []).append(change)
    silent = [target.instance for target in targets if target.held is None]
    held = {target.instance.fqdn: target.held for target in targets if target.held is not None}
    for facts in days:
        written = [change for change in by_key.get(facts.key, ()) if change.writes]
        yield from foreign_refusals(facts, written, held)
        yield from missing_refusals(facts, written)
        yield from timing_refusals(facts, written, config, now)
        yield from _short(facts, written, config, files, held)
        unreachable = tuple(instance.fqdn for instance in silent if instance.carries(facts.service_id))
        if unreachable:
            yield Refusal(Hazard.UNREACHABLE, *facts.key, unreachable, "the master did not answer")


def foreign_refusals(facts: DayFacts, written: Sequence[Change], held: Mapping[str, Held]) -> Iterable[Refusal]:
    """Yield the refusal to write a key that holds no program; nothing releases it. ``held`` is by fqdn."""
    odd = tuple(change.instance.fqdn for change in written if facts.key in held[change.instance.fqdn].foreign)
    if odd:
        yield Refusal(None, *facts.key, odd, "the key there holds something that is no program: look at it first")


def missing_refusals(facts: DayFacts, written: Sequence[Change]) -> Iterable[Refusal]:
    """Yield a refusal for each file that instances written to lack: there the launch fails (SPEC 2)."""
    lacking: dict[str, list[str]] = {}
    for change in written:
        for media in change.lacking:
            lacking.setdefault(media, []).append(change.instance.fqdn)
    for media, fqdns in lacking.items():
        where = f"line {facts.lines[media]}" if facts.lines.get(media) else "the program"
        yield Refusal(Hazard.MISSING, *facts.key, tuple(fqdns), f"{media.removesuffix('.ts')} ({where}) is not there")


def timing_refusals(facts: DayFacts, written: Sequence[Change], config: Config, now: float) -> Iterable[Refusal]:
    """Yield the refusals of a day that is over, on air, or about to be; ``now`` is Unix seconds."""
    schedule = config.schedule
    past, on_air = [], []
    for change in written:
        start, end = window(facts.day, change.instance.zone, schedule.day_start)
        if end <= now:
            past.append(change.instance.fqdn)
        elif start - schedule.cutoff <= now:
            on_air.append(change.instance.fqdn)
    if past:
        yield Refusal(Hazard.PAST, *facts.key, tuple(past), "the day is over")
    if on_air:
        today = broadcast_day(now, schedule.zone, schedule.day_start)
        said = "the day is on air" if facts.day <= today else f"the day begins within {schedule.cutoff:g} s"
        yield Refusal(Hazard.ON_AIR, *facts.key, tuple(on_air), f"{said}: it is not on air before a relaunch")


def _short(
    facts: DayFacts,
    written: Sequence[Change],
    config: Config,
    files: Mapping[str, FileFact],
    held: Mapping[str, Held],
) -> Iterable[Refusal]:
    if facts.verdict.long_enough:
        return
    zone = config.schedule.zone
    midnight = moment(facts.day + timedelta(days=1), zone, time(0))
    shortened = []
    for change in written:
        slots = slots_of(change.existing)
        last = max(slots, key=lambda slot: slot.start, default=None)
        if last is None:
            continue
        known = files.get(last.media)
        end = max(
            last.start + (known.seconds if known else 0.0),
            held[change.instance.fqdn].ends.get(facts.key, last.start),
        )
        if end >= midnight:
            shortened.append(change.instance.fqdn)
    if shortened:
        yield Refusal(Hazard.SHORT, *facts.key, tuple(shortened), "it ends before midnight, the one there does not")
