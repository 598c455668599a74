"""Files that were withdrawn: nobody is to hold or schedule them, until that is taken back. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import tzinfo

from dvbboxes.aggregate.media import Airing
from dvbboxes.model import Stored
from dvbboxes.plan import Change, Key, Plan, Refusal
from dvbboxes.wire import slots_of, stem


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """One file (name with ``.ts``) that was withdrawn, since when (Unix seconds), by whom, on which host, and why."""

    media: str
    since: float
    who: str
    host: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The result of ``media withdraw``. ``done`` is ``withdrawn``, ``undone``, or empty where the list is only shown.

    ``holders`` maps a name to the fqdns that still have the file; ``coming`` are its airings from now on.
    """

    done: str
    entries: tuple[Withdrawal, ...]
    holders: Mapping[str, tuple[str, ...]]
    coming: Mapping[str, tuple[Airing, ...]]
    channels: Mapping[str, str]
    zone: tzinfo

    @property
    def present(self) -> bool:
        """Return whether any of them is still held or scheduled somewhere."""
        return any(self.holders.values()) or any(self.coming.values())


def bar_listing(plan: Plan, withdrawn: Collection[str]) -> Plan:
    """Return the plan of a listing with every day refused that names a withdrawn file; nothing releases that."""
    found = []
    for facts in plan.days:
        carriers = tuple(one.fqdn for one in plan.instances if one.carries(facts.service_id))
        for media, line in facts.lines.items():
            if media in withdrawn:
                found.append(Refusal(None, *facts.key, carriers, _said(media, f" (line {line})")))
    return replace(plan, refusals=(*plan.refusals, *found)) if found else plan


def bar_changes(plan: Plan, withdrawn: Collection[str]) -> Plan:
    """Return a plan with every change refused that puts a withdrawn file where it is not, or more often than it is.

    What only leaves one where it stands is not refused: it may be on the way out.
    """
    found: dict[tuple[Key, str], list[str]] = {}
    for change in plan.writes if withdrawn else ():
        for media in _brought(change, withdrawn):
            found.setdefault((change.key, media), []).append(change.instance.fqdn)
    refusals = [Refusal(None, *key, tuple(fqdns), _said(media)) for (key, media), fqdns in found.items()]
    return replace(plan, refusals=(*plan.refusals, *refusals)) if refusals else plan


def _brought(change: Change, withdrawn: Collection[str]) -> Iterable[str]:
    meant, there = _counts(change.desired, withdrawn), _counts(change.existing, withdrawn)
    return [media for media, number in meant.items() if number > there.get(media, 0)]


def _counts(stored: Stored, withdrawn: Collection[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for slot in slots_of(stored):
        if slot.media in withdrawn:
            counts[slot.media] = counts.get(slot.media, 0) + 1
    return counts


def _said(media: str, where: str = "") -> str:
    name = stem(media)
    return f"{name}{where} was withdrawn (media withdraw {name} --undo takes that back)"
