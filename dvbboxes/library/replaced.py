"""Programs with another file in the place of one: starts recomputed, gaps kept as long as they were. Pure."""

from __future__ import annotations

from dvbboxes.model import Entry, Stored
from dvbboxes.wire import member, slots_of


def replaced(
    stored: Stored, old: str, new: str, lengths: tuple[float | None, float], since: float
) -> tuple[Stored, int]:
    """Return a program with ``new`` in every airing of ``old`` (names with ``.ts``) from ``since`` on, and how many.

    ``since`` is Unix seconds; ``lengths`` are those of both files in seconds (None: not known). What follows moves by
    as much as the length changes; a gap after the old file stays as long as it was. A file that had no length when it
    was scheduled (SPEC 2) gets the new one's. What is no entry is carried along as it is.
    """
    was, becomes = lengths
    slots = sorted(slots_of(stored), key=lambda slot: (slot.start, slot.index))
    made: dict[str, Entry] = {}
    shift, count = 0.0, 0
    for number, slot in enumerate(slots):
        name, start = member(slot), slot.start + shift
        if slot.media != old or slot.start < since:
            made[name] = Entry(name, start)
            continue
        count += 1
        folder = slot.path
        made[name] = Entry(f"{folder}{new}:{slot.index}", start)
        if number + 1 < len(slots):
            before = slots[number + 1].start - slot.start
            gap = max(0.0, before - was) if was is not None else 0.0
            shift += becomes + gap - before
    entries = [made.get(entry.member, entry) for entry in stored]
    ordered = sorted(entries, key=lambda entry: (entry.start, entry.member.encode("utf-8", "surrogateescape")))
    return tuple(ordered), count
