"""Files that may have been renamed by hand: absent under their name, and another of the very same length only there.

Asked only where something is absent: the names on those instances, then who else has the few that fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dvbboxes.fleet import Fleet, Talk, TalkWith
from dvbboxes.model import DurationKind, Gathered, Instance
from dvbboxes.wire import MEDIA, Request, decode_duration, decode_durations, duration_request, text

#: A renamed file was not measured anew: its length is the same to the hundredth that dvbbox writes.
_SAME = 0.006
#: On more instances than this it is no renaming by hand.
MOST = 8
#: Seconds that a second look has at least, however long the first one took.
LEAST = 0.05
_NAMES = Request(((MEDIA, ("KEYS", "*.ts")),))


def renames(
    fleet: Fleet,
    instances: Sequence[Instance],
    deadline: float,
    absent: Mapping[str, Mapping[str, float]],
) -> dict[tuple[str, str], str]:
    """Return (fqdn, absent file) -> the other file, where exactly one fits.

    ``absent`` maps fqdn to the files it lacks, each with its length elsewhere (seconds). ``deadline`` is seconds for
    both gathers together.
    """
    there = [instance for instance in instances if instance.fqdn in absent][:MOST]
    if not there:
        return {}
    fitting = fleet.gather(there, _fitting(absent), deadline)
    wanted = sorted({name for each in fitting.values().values() for names in each.values() for name in names})
    if not wanted:
        return {}
    left = max(LEAST, deadline - fitting.elapsed)
    holders = _holders(fleet.ask(instances, duration_request(wanted), left), wanted)
    found: dict[tuple[str, str], str] = {}
    for fqdn, each in fitting.values().items():
        for media, names in each.items():
            only_here = [name for name in names if holders[name] == {fqdn}]
            if len(only_here) == 1:
                found[fqdn, media] = only_here[0]
    return found


def _fitting(absent: Mapping[str, Mapping[str, float]]) -> TalkWith[dict[str, tuple[str, ...]]]:
    """Return what finds, on one instance, the files of the lengths that are missed there."""

    def talk(instance: Instance) -> Talk[dict[str, tuple[str, ...]]]:
        (keys,) = yield _NAMES
        names = [text(key) for key in keys] if isinstance(keys, list) else []
        if not names:
            return {}
        (reply,) = yield duration_request(names)
        held = list(zip(names, decode_durations(reply, len(names)), strict=True))
        return {
            media: tuple(name for name, d in held if d.seconds is not None and abs(d.seconds - length) < _SAME)
            for media, length in absent[instance.fqdn].items()
        }

    return talk


def _holders(gathered: Gathered[list[object]], names: Sequence[str]) -> dict[str, set[str]]:
    """Return name -> fqdns that have it; who does not answer may have it."""
    found: dict[str, set[str]] = {name: set() for name in names}
    for answer in gathered.answers:
        values = answer.value[0] if answer.value else None
        for number, name in enumerate(names):
            value = values[number] if isinstance(values, list) and len(values) == len(names) else b""
            if decode_duration(value).kind is not DurationKind.ABSENT:
                found[name].add(answer.instance.fqdn)
    return found
