"""What renaming or deleting a file would hit, and why it is refused (SPEC 2). Pure.

A box without the file is hit too: dvbbox's rename does nothing there, so programs keep the old name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, tzinfo
from enum import Enum
from typing import TypeAlias

from dvbboxes.aggregate.media import Airing, folded_airings
from dvbboxes.library.stock import present
from dvbboxes.model import Answer, Config, Duration, Entry, Gathered, Instance, Schedule, State, Stored
from dvbboxes.records import RunKind
from dvbboxes.report import Line
from dvbboxes.schedule import cut, window
from dvbboxes.wire import stem

#: One airing as an instance holds it: (service id, day, index, start in Unix seconds).
Found: TypeAlias = tuple[str, date, int, float]
#: What one instance says of a file: its duration, and every airing, past and to come.
Facts: TypeAlias = tuple[Duration, tuple[Found, ...]]


class When(Enum):
    """Where an airing lies: over, on air now, still to come in a day whose playlist is made, or on a later day."""

    PAST = "past"
    ON_AIR = "on-air"
    TODAY = "today"
    COMING = "coming"


@dataclass(frozen=True, slots=True)
class Barrier:
    """Why it is refused, and because of which instances (fqdns). ``release`` is what ``--allow`` releases it by."""

    text: str
    instances: tuple[str, ...] = ()
    release: str = ""


@dataclass(frozen=True, slots=True)
class Blast:
    """What a rename or a delete would hit. ``new`` is empty for a delete; ``media`` and ``new`` are with ``.ts``.

    ``holders`` and ``lacking`` are fqdns; ``airings`` are by When, folded over instances. ``blocked`` are the holders
    whose past programs name the file: dvbbox does not delete it there. ``now`` is Unix seconds.
    """

    kind: RunKind
    media: str
    new: str
    holders: tuple[str, ...]
    lacking: tuple[str, ...]
    airings: Mapping[When, tuple[Airing, ...]]
    blocked: tuple[str, ...]
    barriers: tuple[Barrier, ...]
    channels: Mapping[str, str]
    zone: tzinfo
    now: float

    @property
    def programs(self) -> frozenset[tuple[date, str]]:
        """The (day, service id) of every program that names the file, on any instance."""
        return frozenset((one.day, one.service_id) for each in self.airings.values() for one in each)


def blast(
    kind: RunKind,
    media: str,
    new: str,
    facts: Gathered[Facts],
    taken: Gathered[Duration],
    programs: Gathered[Mapping[tuple[date, str], Schedule]],
    config: Config,
    now: float,
    *,
    allow: Collection[str] = (),
    resumed: bool = False,
) -> Blast:
    """Return what would be hit, from what the replicas say of the file, of the new name, and of the days on air.

    ``allow`` are releases given. ``resumed``: the new name may be there already.
    """
    said = facts.values()
    holders = tuple(fqdn for fqdn, (duration, _) in said.items() if present(duration))
    airings = _classified(facts, programs, config, now)
    past = {fqdn for one in airings[When.PAST] for fqdn in one.instances}
    blocked = tuple(fqdn for fqdn in holders if fqdn in past) if kind is RunKind.MEDIA_DELETE else ()
    barriers = [*_silent(facts.answers), *_nowhere(media, holders, resumed)]
    if kind is RunKind.MEDIA_DELETE:
        barriers += _scheduled(airings)
        if holders and len(blocked) == len(holders):
            barriers.append(Barrier("dvbbox deletes nothing that a stored program names: past ones do", blocked))
    else:
        there = taken.values()
        # After a rename that was cut short both may stand in db 1: the disks decide, once dvbbox has looked at them.
        both = () if resumed else tuple(fqdn for fqdn, one in there.items() if present(one))
        barriers += [Barrier(f"{stem(new)} exists: dvbbox would overwrite it", both)] if both else []
        barriers += _on_air(airings)
    return Blast(
        *(kind, media, new, holders, tuple(fqdn for fqdn in said if fqdn not in holders), airings, blocked),
        tuple(one for one in barriers if not one.release or one.release not in allow),
        *(config.channels, config.schedule.zone, now),
    )


def _silent(answers: Sequence[Answer[Facts]]) -> Iterable[Barrier]:
    """Yield what is refused because somebody was not asked: what is stale may have changed since."""
    silent = tuple(a.instance.fqdn for a in answers if not a.ok or a.freshness.state is not State.CURRENT)
    if silent:
        yield Barrier("could not be asked, or answered with old data (--instance names the others)", silent)


def _nowhere(media: str, holders: Sequence[str], resumed: bool) -> Iterable[Barrier]:
    if not holders and not resumed:
        yield Barrier(f"no instance that answered has {stem(media)}")


def _scheduled(airings: Mapping[When, tuple[Airing, ...]]) -> Iterable[Barrier]:
    coming = [one for when in (When.ON_AIR, When.TODAY, When.COMING) for one in airings[when]]
    if coming:
        fqdns = tuple(dict.fromkeys(fqdn for one in coming for fqdn in one.instances))
        yield Barrier("it is scheduled from now on: put another file there first (media replace)", fqdns)


def _on_air(airings: Mapping[When, tuple[Airing, ...]]) -> Iterable[Barrier]:
    if airings[When.ON_AIR]:
        fqdns = tuple(dict.fromkeys(fqdn for one in airings[When.ON_AIR] for fqdn in one.instances))
        yield Barrier("it is on air", fqdns)
    if airings[When.TODAY]:
        fqdns = tuple(dict.fromkeys(fqdn for one in airings[When.TODAY] for fqdn in one.instances))
        yield Barrier("it airs later today: the playlist that runs was made at launch and names it", fqdns, "on-air")


def _classified(
    facts: Gathered[Facts], programs: Gathered[Mapping[tuple[date, str], Schedule]], config: Config, now: float
) -> dict[When, tuple[Airing, ...]]:
    held = programs.values()

    def those(when: When) -> Gathered[Sequence[Found]]:
        return facts.map(lambda one, said: [a for a in said[1] if _when(one, a, held, config, now) is when])

    return {when: folded_airings(those(when)) for when in When}


def _when(
    instance: Instance,
    airing: Found,
    held: Mapping[str, Mapping[tuple[date, str], Schedule]],
    config: Config,
    now: float,
) -> When:
    service_id, day, index, start = airing
    begins, ends = window(day, instance.zone, config.schedule.day_start)
    if ends <= now:
        return When.PAST
    if begins > now:
        return When.COMING
    program = held.get(instance.fqdn, {}).get((day, service_id))
    if program is None:  # not known: it may still be to come
        return When.ON_AIR if start <= now else When.TODAY
    left = {slot.index for slot in cut(program.slots, now, ends - begins)}
    if index not in left:
        return When.PAST if start <= now else When.TODAY
    return When.ON_AIR if start <= now else When.TODAY


def renamed(stored: Stored, old: str, new: str) -> Stored:
    """Return a program with one file (names with ``.ts``) called another, everything else byte for byte as it was."""
    entries = [Entry(_called(entry.member, old, new), entry.start) for entry in stored]
    return tuple(sorted(entries, key=lambda entry: (entry.start, entry.member.encode("utf-8", "surrogateescape"))))


def _called(member: str, old: str, new: str) -> str:
    name, colon, index = member.rpartition(":")
    folder, slash, media = name.rpartition("/")
    return f"{folder}{slash}{new}{colon}{index}" if media == old else member


def names(stored: Stored, media: str) -> bool:
    """Return whether a program names a file (with ``.ts``)."""
    return any(entry.member.rpartition(":")[0].rpartition("/")[2] == media for entry in stored)


# --- what became of it ------------------------------------------------------------------------------------------------


class FileState(Enum):
    """What became of the file on one instance, its master looked at; stable codes for JSON."""

    DONE = "done"
    NOT_THERE = "not-there"  # nothing was to be done about the file itself
    BLOCKED = "blocked"  # past programs name it: dvbbox does not delete it
    FAILED = "failed"
    UNKNOWN = "unknown"  # its master did not answer afterwards

    @property
    def well(self) -> bool:
        """Return whether nothing is left to be done there."""
        return self in (FileState.DONE, FileState.NOT_THERE)


@dataclass(frozen=True, slots=True)
class FileLine:
    """The file on one instance at the end of a run; ``detail`` says why it is not as meant."""

    instance: str
    state: FileState
    detail: str = ""


@dataclass(frozen=True, slots=True)
class MediaRun:
    """The result of ``media rename`` and ``media delete``: the file on each instance, and programs that named it."""

    kind: RunKind
    run: int
    media: str
    new: str
    files: tuple[FileLine, ...]
    programs: tuple[Line, ...]

    @property
    def whole(self) -> bool:
        """Return whether nothing is left to be done anywhere."""
        return all(line.state.well for line in self.files) and all(line.holds for line in self.programs)
