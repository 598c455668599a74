"""What is wrong with a program itself, and between those that should hold the same. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta, tzinfo
from operator import sub
from typing import TypeAlias

from dvbboxes.aggregate.difference import counted, edits
from dvbboxes.findings.files import Files
from dvbboxes.findings.kinds import Code, Finding, Material, Severity
from dvbboxes.findings.say import at, instances_option, span_of
from dvbboxes.model import Instance, Schedule, Slot
from dvbboxes.schedule import cut, moment, rank, window
from dvbboxes.simulate import STRETCH, ordered, repeats
from dvbboxes.wire import day_text, slots_of, stem

SaidProgram: TypeAlias = tuple[tuple[int, str, float], ...]


@dataclass(frozen=True, slots=True)
class Variant:
    """One program as some instances of one zone hold it: ``slots`` from the day's start on, in dvbbox's order.

    ``steps`` are the same with the seconds to the next start; None for the last one.
    """

    key: tuple[date, str]
    schedule: Schedule
    window: tuple[float, float]
    slots: tuple[Slot, ...]
    steps: tuple[tuple[Slot, float | None], ...]
    instances: tuple[Instance, ...]

    @property
    def fqdns(self) -> tuple[str, ...]:
        """Who holds it."""
        return tuple(instance.fqdn for instance in self.instances)

    @property
    def said(self) -> SaidProgram:
        """What makes two programs the same: position, file, start; the folder is the instance's own."""
        return tuple((slot.index, slot.media, slot.start) for slot in self.schedule.slots)


def variants_of(material: Material) -> dict[tuple[date, str], list[Variant]]:
    """Return, key by key, the different programs held; equal ones were decoded once, so they are one object."""
    found: dict[tuple[date, str], list[Variant]] = {}
    voices = material.voices()
    zones = {instance.zone for instance, _ in voices}
    windows = {
        (day, zone): window(day, zone, material.config.schedule.day_start) for day, _ in material.keys for zone in zones
    }
    for number, key in enumerate(material.keys):
        groups: dict[tuple[int, int], tuple[Schedule, tzinfo, list[Instance]]] = {}
        for instance, survey in voices:
            if instance.carries(key[1]) and windows[key[0], instance.zone][1] > material.now:
                program = survey.programs[number]
                group = groups.setdefault((id(program), id(instance.zone)), (program, instance.zone, []))
                group[2].append(instance)
        found[key] = [_variant(key, program, windows[key[0], zone], who) for program, zone, who in groups.values()]
    return found


def _variant(key: tuple[date, str], program: Schedule, day: tuple[float, float], who: Sequence[Instance]) -> Variant:
    slots = ordered(program.slots)
    if slots and slots[0].start < day[0]:
        slots = cut(slots, day[0], day[1] - day[0])
    return Variant(key, program, day, slots, tuple(_steps(slots)), tuple(who))


def _steps(slots: Sequence[Slot]) -> Iterator[tuple[Slot, float | None]]:
    starts = [slot.start for slot in slots]
    yield from zip(slots, map(sub, starts[1:], starts), strict=False)
    if slots:
        yield slots[-1], None


# --- one program ------------------------------------------------------------------------------------------------------


def program_findings(material: Material, variant: Variant, files: Files) -> Iterator[Finding]:
    """Yield what is wrong with one program, whoever holds it: its entries, its end, its gaps and overlaps."""
    if variant.schedule.corrupt:
        corrupt = variant.schedule.corrupt
        more = f" (and {len(corrupt) - 1} more)" if len(corrupt) > 1 else ""
        begin = max(material.now, variant.window[0])
        yield _of(material, variant, Code.CORRUPT_PROGRAM, material.grave(begin), begin, f"{corrupt[0]}{more}")
    if not variant.slots:
        return
    yield from _ends(material, variant, files)
    gaps, overlaps = _gaps_and_overlaps(material, variant, files)
    for code, found in ((Code.GAP, gaps), (Code.OVERLAP, overlaps)):
        if found:
            worst = max(severity for severity, _, _ in found)
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            yield _of(material, variant, code, worst, found[0][1], f"{found[0][2]}{more}")


def _ends(material: Material, variant: Variant, files: Files) -> Iterator[Finding]:
    """Yield SHORT and OVERRUN. Where a length is not known its own finding says so, and the end cannot be told."""
    last = variant.slots[-1]
    tolerance = material.config.schedule.tolerance
    length = files.length(last.media, None, tolerance)
    if length is None or any(interval == 0 and not files.lengths(slot.media) for slot, interval in variant.steps):
        return
    end = last.start + length
    zone = variant.instances[0].zone
    midnight = moment(variant.key[0] + timedelta(days=1), zone, time(0))
    if end < midnight - tolerance:
        left = variant.window[0] + STRETCH - last.start
        said = f"ends at {at(end, material)}: dvbbox plays {stem(last.media)} {1 + repeats(left, length)} times"
        yield _of(material, variant, Code.SHORT, Severity.WARNING, max(material.now, end), said)
    elif end > variant.window[1] + tolerance:
        said = f"ends at {at(end, material)}, after the next day has begun: {stem(last.media)} is cut short"
        yield _of(material, variant, Code.OVERRUN, Severity.WARNING, variant.window[1], said)


_Trouble: TypeAlias = tuple[Severity, float, str]


def _gaps_and_overlaps(material: Material, variant: Variant, files: Files) -> tuple[list[_Trouble], list[_Trouble]]:
    """Return (severity, moment, text) of each gap and of each overlap that is still to come."""
    tolerance = material.config.schedule.tolerance
    gaps: list[_Trouble] = []
    overlaps: list[_Trouble] = []
    first = variant.slots[0]
    if first.start > variant.window[0] + tolerance and material.now < first.start:
        early = span_of(first.start - variant.window[0])
        said = f"begins at {at(first.start, material)}: dvbbox plays at once, all of it {early} early"
        gaps.append((Severity.WARNING, max(material.now, variant.window[0]), said))
    shared = None
    for slot, interval in variant.steps:
        before, shared = shared, slot.start
        usual = files.agreed.get(slot.media)
        if usual is not None and interval and abs(usual - interval) <= tolerance:
            continue  # as nearly all are
        if interval is None or (interval and (slot.start + interval <= material.now or slot.start == before)):
            continue  # the last of those that share a start has the time of another: that they do is told already
        length = files.length(slot.media, interval, tolerance)
        if length is None or abs(length - interval) <= tolerance:
            continue
        if not interval:
            if slot.start >= material.now:
                when = at(slot.start, material)
                said = f"{stem(slot.media)} has no time of its own at {when}: dvbbox repeats it to the day's end"
                overlaps.append((material.grave(slot.start), slot.start, said))
        elif length < interval:
            gaps.append(
                (Severity.WARNING, max(material.now, slot.start + length), _gap(material, slot, interval, length))
            )
        else:
            late = f"{stem(slot.media)} is {span_of(length - interval)} longer than its time: what follows is late"
            overlaps.append((Severity.WARNING, max(material.now, slot.start + interval), late))
    return gaps, overlaps


def _gap(material: Material, slot: Slot, interval: float, length: float) -> str:
    end = slot.start + interval
    where = f"{at(slot.start + length, material)}-{at(end, material)} after {stem(slot.media)}"
    more = repeats(interval, length)
    if more:
        return f"{where}: dvbbox plays it {more + 1} times"
    return f"{where}: too short to repeat it, what follows is {span_of(interval - length)} early"


def _of(
    material: Material, variant: Variant, code: Code, severity: Severity, when: float, text: str, mend: str = ""
) -> Finding:
    day, sid = variant.key
    mend = mend or f"dvbboxes program simulate {day_text(day)} -s {sid}{instances_option(material, variant.fqdns)}"
    return Finding(code, severity, when, variant.fqdns, text, mend, (sid,), (day,))


# --- between instances ------------------------------------------------------------------------------------------------


def between_findings(material: Material, key: tuple[date, str], variants: Sequence[Variant]) -> Iterator[Finding]:
    """Yield who has no program, who holds another than was last applied there, and who differs within a town.

    One cause is one finding: who holds nothing does not differ besides, nor does who is not as applied.
    """
    nothing = [variant for variant in variants if not variant.slots and not variant.schedule.corrupt]
    held = [variant for variant in variants if variant.slots]
    holders = sum(len(variant.instances) for variant in held)
    for variant in nothing:
        begin = max(material.now, variant.window[0])
        said = "nothing scheduled: the channel is black"
        mend = f"dvbboxes listing plan FILE -s {key[1]}"
        if held:
            said += f" ({holders} other instances hold a program)" if holders > 1 else ""
            mend = f"dvbboxes program diff {day_text(key[0])} -s {key[1]}"
        yield _of(material, variant, Code.NO_PROGRAM, material.grave(begin), begin, said, mend)
    accounted: set[str] = set()
    for finding in _not_as_applied(material, key, held):
        accounted.update(finding.instances)
        yield finding
    yield from _differing(material, key, held, accounted)


def _not_as_applied(material: Material, key: tuple[date, str], held: Sequence[Variant]) -> Iterator[Finding]:
    if not material.applied:
        return
    day, sid = key
    for variant in held:
        odd: dict[int, list[str]] = {}
        for fqdn in variant.fqdns:
            applied = material.applied.get((fqdn, day, sid))
            if applied is not None and not _same(variant.schedule.slots, slots_of(applied.change.expected), material):
                odd.setdefault(applied.run.id, []).append(fqdn)
        for run, fqdns in odd.items():
            said = f"holds another program than run {run} applied"
            mend = f"dvbboxes history {run}"
            begin = max(material.now, variant.window[0])
            yield Finding(Code.NOT_AS_APPLIED, Severity.WARNING, begin, tuple(fqdns), said, mend, (sid,), (day,))


def _same(held: Sequence[Slot], meant: Sequence[Slot], material: Material) -> bool:
    tolerance = material.config.schedule.tolerance
    return len(held) == len(meant) and all(
        one.index == other.index and one.media == other.media and abs(one.start - other.start) <= tolerance
        for one, other in zip(held, meant, strict=True)
    )


def _differing(
    material: Material, key: tuple[date, str], held: Sequence[Variant], accounted: set[str]
) -> Iterator[Finding]:
    """Yield the odd ones of each town; what a whole town holds is its own and no difference."""
    if len(held) < 2:
        return
    numbers: dict[SaidProgram, int] = {}  # a program is long: it is hashed once, and its number from then on
    programs: dict[int, list[Variant]] = {}
    for variant in held:
        programs.setdefault(numbers.setdefault(variant.said, len(numbers)), []).append(variant)
    if len(programs) < 2:
        return
    fleet = {said: sum(len(one.instances) for one in each) for said, each in programs.items()}
    towns: dict[str, dict[int, list[str]]] = {}
    for said, each in programs.items():
        for instance in (instance for variant in each for instance in variant.instances):
            towns.setdefault(instance.cluster, {}).setdefault(said, []).append(instance.fqdn)
    ranks = {said: rank(each[0].schedule.slots) for said, each in programs.items()}
    odd: dict[tuple[int, int], list[str]] = {}
    for shares in towns.values():
        if len(shares) > 1:
            most = -max((len(fqdns), fleet[said], ranks[said], -said) for said, fqdns in shares.items())[-1]
            for said, fqdns in shares.items():
                if said != most:
                    odd.setdefault((most, said), []).extend(fqdn for fqdn in fqdns if fqdn not in accounted)
    for (usual, said), fqdns in odd.items():
        if fqdns:
            yield _difference(material, key, programs[usual][0], programs[said][0], tuple(fqdns))


def _difference(
    material: Material, key: tuple[date, str], usual: Variant, other: Variant, fqdns: tuple[str, ...]
) -> Finding:
    day, sid = key
    found = edits(*_between(usual.schedule.slots, other.schedule.slots))
    starts = [slot.start for edit in found for slot in (edit.before, edit.after) if slot is not None]
    to_come = [start for start in starts if start >= material.now]
    when = max(material.now, other.window[0], min(to_come, default=0.0))
    said = f"another program than the rest of the town: {counted(found)}"
    mend = f"dvbboxes program diff {day_text(day)} -s {sid}"
    return Finding(Code.DIFFERS, Severity.WARNING, when, fqdns, said, mend, (sid,), (day,))


def _between(one: Sequence[Slot], other: Sequence[Slot]) -> tuple[Sequence[Slot], Sequence[Slot]]:
    """Return two programs without what both begin and end with: mostly little is left to be compared."""
    first = 0
    most = min(len(one), len(other))
    while first < most and _alike(one[first], other[first]):
        first += 1
    last = 0
    while last < most - first and _alike(one[-1 - last], other[-1 - last]):
        last += 1
    return one[first : len(one) - last], other[first : len(other) - last]


def _alike(one: Slot, other: Slot) -> bool:
    return one.media == other.media and one.start == other.start
