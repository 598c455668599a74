"""What is wrong with the files that are scheduled: absent, unmeasured, corrupt, of another length, withdrawn. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from dvbboxes.findings.files import Files
from dvbboxes.findings.kinds import Code, Finding, Material, Severity
from dvbboxes.findings.programs import Variant
from dvbboxes.findings.say import at, instances_option, typed
from dvbboxes.model import Duration, DurationKind
from dvbboxes.simulate import SENTINEL, repeats


@dataclass(slots=True)
class _Trouble:
    """One file in one kind of trouble, airing by airing; ``moments`` maps fqdn to when it first hurts there.

    ``airs``, ``repeated`` and ``expected`` are of its first airing. ``launch`` is the first launch to come that fails:
    its moment, day and channel; ``on_air``: it is of a day on air as well, which only another launch would end.
    """

    moments: dict[str, float] = field(default_factory=dict)
    airs: float = float("inf")
    launch: tuple[float, date, str] | None = None
    on_air: bool = False
    repeated: int = 0
    expected: float | None = None
    service_ids: dict[str, None] = field(default_factory=dict)
    days: dict[date, None] = field(default_factory=dict)

    def add(self, variant: Variant, fqdns: Sequence[str], moment: float) -> None:
        self.service_ids[variant.key[1]] = None
        self.days[variant.key[0]] = None
        for fqdn in fqdns:
            self.moments[fqdn] = min(moment, self.moments.get(fqdn, moment))


_CODES = {
    DurationKind.ABSENT: Code.ABSENT,
    DurationKind.UNMEASURED: Code.UNMEASURED,
    DurationKind.CORRUPT: Code.CORRUPT_DURATION,
    DurationKind.MEASURED: Code.DURATION,
}
#: At which of them the launch of the whole channel fails.
_FATAL = {Code.ABSENT, Code.CORRUPT_DURATION, Code.NO_LENGTH}


def media_findings(
    material: Material, variants: Mapping[tuple[date, str], Sequence[Variant]], files: Files
) -> Iterator[Finding]:
    """Yield one finding for each file, kind of trouble and thing said, over all its airings and instances."""
    troubles: dict[tuple[Code, str, Duration], _Trouble] = {}
    for each in variants.values():
        for variant in each:
            if not files.odd.keys().isdisjoint(slot.media for slot in variant.slots):
                _collect(material, variant, files, troubles)
    for (code, media, duration), trouble in troubles.items():
        yield _finding(material, code, media, duration, trouble, files)


def _collect(
    material: Material, variant: Variant, files: Files, troubles: dict[tuple[Code, str, Duration], _Trouble]
) -> None:
    """Put every airing of an odd file on these instances down to the trouble it is part of."""
    on_air = _on_air(material, variant)
    tolerance = material.config.schedule.tolerance
    for slot, interval in variant.steps:
        if slot.media not in files.odd or slot.start < on_air:
            continue
        expected = files.length(slot.media, interval, tolerance)
        for said in files.odd[slot.media]:
            here = [fqdn for fqdn in variant.fqdns if fqdn in said.instances]
            code = _code(said.duration, expected, tolerance) if here else None
            if code is None:
                continue
            airs = max(material.now, slot.start)
            launch = code in _FATAL and variant.window[0] > material.now
            trouble = troubles.setdefault((code, slot.media, said.duration), _Trouble())
            trouble.add(variant, here, variant.window[0] if launch else airs)
            if launch:
                first = (variant.window[0], *variant.key)
                trouble.launch = min(trouble.launch or first, first)
            else:
                trouble.on_air = True
            if airs < trouble.airs:
                trouble.airs, trouble.expected = airs, expected
                trouble.repeated = _times(said.duration, interval)


def _on_air(material: Material, variant: Variant) -> float:
    """Return the start of what is on air: what starts before is over, what shares it counts as on air with it."""
    if variant.window[0] > material.now:
        return float("-inf")
    return max((slot.start for slot in variant.slots if slot.start <= material.now), default=float("-inf"))


def _code(duration: Duration, expected: float | None, tolerance: float) -> Code | None:
    """Return the trouble that a duration is for one airing, None for none."""
    if duration.kind is not DurationKind.MEASURED or duration.seconds is None:
        return _CODES[duration.kind]
    if duration.seconds == 0:
        return Code.NO_LENGTH
    return Code.DURATION if expected is not None and abs(expected - duration.seconds) > tolerance else None


def _times(duration: Duration, interval: float | None) -> int:
    seconds = SENTINEL if duration.kind is DurationKind.UNMEASURED else duration.seconds
    return 1 + repeats(interval, seconds) if seconds and interval else 1


def _finding(
    material: Material, code: Code, media: str, duration: Duration, trouble: _Trouble, files: Files
) -> Finding:
    fqdns = tuple(trouble.moments)
    moment = min(trouble.moments.values())
    severity = Severity.WARNING if code is Code.DURATION else material.grave(moment)
    text = _text(material, code, media, duration, trouble, files)
    return Finding(
        code,
        severity,
        moment,
        fqdns,
        text,
        _mend(material, code, media, trouble, files),
        tuple(sorted(trouble.service_ids)),
        tuple(sorted(trouble.days)),
        media,
    )


def _text(material: Material, code: Code, media: str, duration: Duration, trouble: _Trouble, files: Files) -> str:
    airs = f"airs {at(trouble.airs, material)}"
    hurt = _hurt(trouble)
    again = f": dvbbox plays it {trouble.repeated} times" if trouble.repeated > 1 else ""
    if code is Code.ABSENT:
        nowhere = "" if files.having(media) else ", and no instance that answered has it"
        return f"({airs}): {hurt}{nowhere}"
    if code is Code.UNMEASURED:
        return f"duration unknown, dvbbox takes it for 3.14 s ({airs}){again}"
    if code is Code.CORRUPT_DURATION:
        return f"duration {duration.text} is no number ({airs}): {hurt}"
    if code is Code.NO_LENGTH:
        return f"has no length, 0 s ({airs}): {hurt}"
    meant = trouble.expected or 0.0
    return f"lasts {duration.seconds:.15g} s here, {meant:.15g} s elsewhere and in the schedule ({airs}){again}"


def _hurt(trouble: _Trouble) -> str:
    if trouble.launch is None:
        return "a relaunch would fail"
    if not trouble.on_air:
        return "the channel will not start"
    _, day, service_id = trouble.launch
    return f"a relaunch would fail, and {service_id} will not start on {day:%d/%m}"


def _mend(material: Material, code: Code, media: str, trouble: _Trouble, files: Files) -> str:
    name = typed(media)
    option = instances_option(material, tuple(trouble.moments))
    if code is Code.ABSENT:
        if media in material.withdrawn or not files.having(media):
            return f"dvbboxes media replace {name} NEW"
        service_ids = ",".join(sorted(trouble.service_ids))
        return f"dvbboxes media missing -s {service_ids}{option} --fetch"
    return f"dvbboxes media show {name}"


def withdrawn_findings(
    material: Material, variants: Mapping[tuple[date, str], Sequence[Variant]], files: Files
) -> Iterator[Finding]:
    """Yield the withdrawn files that an instance holds, or schedules from now on."""
    if not material.withdrawn:
        return
    airing: dict[str, dict[str, float]] = {}
    service_ids: dict[str, dict[str, None]] = {}
    for each in variants.values():
        for variant in each:
            on_air = _on_air(material, variant)
            for slot in variant.slots:
                if slot.media in material.withdrawn and slot.start >= on_air:
                    starts = airing.setdefault(slot.media, {})
                    service_ids.setdefault(slot.media, {})[variant.key[1]] = None
                    airs = max(material.now, slot.start)
                    for fqdn in variant.fqdns:
                        starts[fqdn] = min(starts.get(fqdn, airs), airs)
    everyone = [instance.fqdn for instance, _ in material.voices()]
    for media in sorted(material.withdrawn):
        holding = files.having(media) if media in files.odd else frozenset(everyone if media in files.agreed else ())
        starts = airing.get(media, {})
        fqdns = tuple(fqdn for fqdn in everyone if fqdn in holding or fqdn in starts)
        if fqdns:
            first = min(starts.values(), default=None)
            said = f"withdrawn, but {'held' if holding else 'scheduled'}"
            said += f" and scheduled (airs {at(first, material)})" if holding and first is not None else ""
            mend = f"dvbboxes media withdraw {typed(media)}"
            when = material.now if first is None else first
            sids = tuple(sorted(service_ids.get(media, ())))
            yield Finding(Code.WITHDRAWN, Severity.CRITICAL, when, fqdns, said, mend, sids, (), media)
