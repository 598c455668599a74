"""``program diff``: programs folded by sameness, and what the odd ones change. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from dvbboxes.aggregate.compare import ChannelDiff, Group, ProgramDiff
from dvbboxes.aggregate.difference import Edit, Kind, counted
from dvbboxes.model import Gathered, Slot
from dvbboxes.render.style import Style, aligned, clean, clock, count, coverage, iso, length, names, span
from dvbboxes.wire import day_text, stem

HEADER = ("day", "service_id", "channel", "instances", "change", "media", "index", "start", "before", "shift")
_MARKS = {Kind.ADDED: "+", Kind.DROPPED: "-", Kind.MOVED: "~"}
_LOOKS = {Kind.ADDED: "green", Kind.DROPPED: "red", Kind.MOVED: "yellow"}


def text(view: ProgramDiff, gathered: Gathered[Any] | None, style: Style) -> Iterator[str]:
    """Yield the lines for a person."""
    if gathered is not None and gathered.answered:
        for channel in view.channels:
            yield from _channel(view, channel, style)
            yield ""
    if gathered is not None:
        yield from coverage(gathered, style)


def _channel(view: ProgramDiff, channel: ChannelDiff, style: Style) -> Iterator[str]:
    heading = style.paint(f"{channel.service_id} {clean(channel.name)}", "bold")
    yield f"{heading}  {span(channel.window, view.zone)}"
    if not channel.groups:
        said = "nobody that carries it answered" if channel.silent else "no instance asked carries it"
        yield style.paint(said, "red")
    for number, group in enumerate(channel.groups):
        yield _group(view, group, style, alone=len(channel.groups) == 1)
        if number:
            yield from _edits(view, group.edits, style)
    for fqdn, lines in channel.corrupt.items():
        yield from (style.paint("!", "red") + f" corrupt on {clean(fqdn)} (passed over): {line}" for line in lines)


def _group(view: ProgramDiff, group: Group, style: Style, *, alone: bool) -> str:
    who = f"{count(len(group.instances), 'instance')}: {names(group.instances, 6)}"
    if alone:
        verb = "agrees" if len(group.instances) == 1 else "agree"
        return f"{who} {verb}: {_program(view, group.slots)}"
    said = f"  {counted(group.edits)}" if group.edits else "  the same, numbered otherwise" if group.renumbered else ""
    return f"{style.paint(who, 'bold')}  {_program(view, group.slots)}{said}"


def _program(view: ProgramDiff, slots: Sequence[Slot]) -> str:
    if not slots:
        return "nothing scheduled"
    last = max(slot.start for slot in slots)
    return f"{count(len(slots), 'file')}, the last at {clock(last, view.zone)}"


def _edits(view: ProgramDiff, edits: Sequence[Edit], style: Style) -> Iterator[str]:
    """Yield a line per entry; a run of entries that only start later, or earlier, by the same time is one line."""
    rows: list[tuple[str, ...]] = []
    looks = []
    for shift, run in groupby(edits, key=_shift):
        found = list(run)
        if shift is not None and len(found) > 2:
            rows.append(_folded(view, found, shift))
            looks.append(Kind.MOVED)
        else:
            rows += [_row(view, edit) for edit in found]
            looks += [edit.kind for edit in found]
    for kind, line in zip(looks, aligned(rows, right=(1,)), strict=True):
        yield style.paint(f"  {line}", _LOOKS[kind])


def _shift(edit: Edit) -> float | None:
    return round(edit.shift, 3) if edit.kind is Kind.MOVED else None


def _row(view: ProgramDiff, edit: Edit) -> tuple[str, ...]:
    slot = edit.after or edit.before
    index, start = ("", "?") if slot is None else (str(slot.index), clock(slot.start, view.zone))
    was = ""
    if edit.kind is Kind.MOVED and edit.before:
        was = f"was at {clock(edit.before.start, view.zone)} ({_signed(edit.shift)})"
    return (_MARKS[edit.kind], index, start, clean(stem(edit.media)), was)


def _folded(view: ProgramDiff, edits: Sequence[Edit], shift: float) -> tuple[str, ...]:
    first, last = edits[0].after, edits[-1].after
    indexes = f"{first.index}..{last.index}" if first and last else ""
    start = clock(first.start if first else None, view.zone)
    return (
        "~",
        indexes,
        start,
        f"{len(edits)} files, {clean(stem(edits[0].media))} ...",
        f"all moved by {_signed(shift)}",
    )


def _signed(seconds: float) -> str:
    if 0 < abs(seconds) < 1:
        return f"{seconds:+.3f} s"
    return length(seconds) if seconds < 0 else f"+{length(seconds)}"


def data(view: ProgramDiff) -> dict[str, Any]:
    """Return the JSON: the first group is what the others' edits start from."""
    return {"programs": [_channel_data(view, channel) for channel in view.channels]}


def _channel_data(view: ProgramDiff, channel: ChannelDiff) -> dict[str, Any]:
    return {
        "day": day_text(channel.day),
        "service_id": channel.service_id,
        "channel": channel.name,
        "agreed": not channel.differs if channel.groups else None,
        "silent": list(channel.silent),
        "corrupt": {fqdn: list(lines) for fqdn, lines in channel.corrupt.items()},
        "groups": [
            {
                "instances": list(group.instances),
                "files": len(group.slots),
                "renumbered": group.renumbered,
                "edits": [_edit_data(view, edit) for edit in group.edits],
            }
            for group in channel.groups
        ],
    }


def _edit_data(view: ProgramDiff, edit: Edit) -> dict[str, Any]:
    slot = edit.after or edit.before
    return {
        "change": edit.kind.value,
        "media": edit.media,
        "index": None if slot is None else slot.index,
        "start": None if slot is None else iso(slot.start, view.zone),
        "before": iso(edit.before.start, view.zone) if edit.before and edit.after else None,
        "shift": edit.shift,
    }


def table(view: ProgramDiff) -> tuple[tuple[str, ...], Iterable[tuple[object, ...]]]:
    """Return header and rows for CSV: one row per edit; a channel without differences has none."""
    return HEADER, (
        (
            day_text(channel.day),
            channel.service_id,
            channel.name,
            " ".join(group.instances),
            row["change"],
            row["media"],
            row["index"],
            row["start"],
            row["before"],
            row["shift"],
        )
        for channel in view.channels
        for group in channel.groups
        for row in (_edit_data(view, edit) for edit in group.edits)
    )
