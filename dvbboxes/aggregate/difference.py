"""How one program differs from another: entries added, dropped, moved (SPEC 4: who differs *and how*). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from dvbboxes.model import Slot


class Kind(Enum):
    """What happened to one entry; a moved one is the same file at another start or another place."""

    ADDED = "added"
    DROPPED = "dropped"
    MOVED = "moved"


@dataclass(frozen=True, slots=True)
class Edit:
    """One entry of the difference: ``before`` is the slot in the base (None: added), ``after`` in the other."""

    kind: Kind
    before: Slot | None
    after: Slot | None

    @property
    def media(self) -> str:
        """The file's name."""
        return (self.after or self.before or _NOTHING).media

    @property
    def shift(self) -> float:
        """By how many seconds a moved entry starts later (negative: earlier); 0 for the others."""
        return self.after.start - self.before.start if self.after and self.before else 0.0


@dataclass(frozen=True, slots=True)
class Change:
    """A difference counted: entries added, dropped, and the same file at another start."""

    added: int
    dropped: int
    moved: int

    def __str__(self) -> str:
        return f"+{self.added} -{self.dropped} ~{self.moved}"


_NOTHING = Slot(0, "", "", 0.0)


def edits(base: Sequence[Slot], other: Sequence[Slot]) -> tuple[Edit, ...]:
    """Return what turns ``base`` into ``other``, in the order of the day.

    Entries are matched by file, in order; what is left on both sides under one name is the same file moved elsewhere.
    """
    from difflib import SequenceMatcher  # only a difference pays for it

    matcher = SequenceMatcher(None, [slot.media for slot in base], [slot.media for slot in other], autojunk=False)
    found: list[Edit] = []
    left: list[Slot] = []
    come: list[Slot] = []
    for tag, a, a_end, b, b_end in matcher.get_opcodes():
        if tag == "equal":
            pairs = zip(base[a:a_end], other[b:b_end], strict=True)
            found += [Edit(Kind.MOVED, old, new) for old, new in pairs if old.start != new.start]
        else:
            left += base[a:a_end]
            come += other[b:b_end]
    found += _elsewhere(left, come)
    return tuple(sorted(found, key=_place))


def _elsewhere(left: Sequence[Slot], come: Sequence[Slot]) -> Iterable[Edit]:
    waiting: dict[str, list[Slot]] = {}
    for slot in left:
        waiting.setdefault(slot.media, []).append(slot)
    for slot in come:
        if waiting.get(slot.media):
            yield Edit(Kind.MOVED, waiting[slot.media].pop(0), slot)
        else:
            yield Edit(Kind.ADDED, None, slot)
    for slots in waiting.values():
        yield from (Edit(Kind.DROPPED, slot, None) for slot in slots)


def _place(edit: Edit) -> tuple[float, int, str]:
    slot = edit.after or edit.before or _NOTHING
    return slot.start, slot.index, edit.kind.value


def counted(found: Iterable[Edit]) -> Change:
    """Return edits as numbers."""
    kinds = [edit.kind for edit in found]
    return Change(kinds.count(Kind.ADDED), kinds.count(Kind.DROPPED), kinds.count(Kind.MOVED))
