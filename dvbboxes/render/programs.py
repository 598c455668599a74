"""``program show``: channel days as text, JSON and CSV. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from dvbboxes.aggregate import Block, ChannelDay, Programs, Row, TownVoice, Variant
from dvbboxes.model import Gathered
from dvbboxes.render.style import Style, aligned, clean, clock, count, coverage, iso, length, names, span
from dvbboxes.wire import day_text, stem

HEADER = (
    "day",
    "service_id",
    "channel",
    "towns",
    "index",
    "media",
    "start",
    "end",
    "length",
    "duration",
    "absent",
)
_MOST_NOTES = 12


def text(view: Programs, gathered: Gathered[Any] | None, style: Style) -> Iterator[str]:
    """Yield the lines for a person."""
    if gathered is not None and gathered.answered:
        for channel in view.channels:
            yield from _channel(view, channel, style)
            yield ""
    if gathered is not None:
        yield from coverage(gathered, style, "The schedule, not the transmission.")


def _channel(view: Programs, channel: ChannelDay, style: Style) -> Iterator[str]:
    if not channel.blocks:
        yield f"{style.paint(f'{channel.service_id} {clean(channel.name)}', 'bold')}  no instance asked carries it"
    for number, block in enumerate(channel.blocks):
        if number:
            yield ""
        yield _heading(view, channel, block, style)
        yield from _voices(block, style)
        if block.rows:
            yield from _table(view, channel, block, style)
        yield from _some(_notes(view, channel, block), style)
    corrupt = [f"{clean(fqdn)}: {said}" for fqdn, lines in channel.corrupt.items() for said in lines]
    yield from _some((f"corrupt on {line} (passed over)" for line in corrupt), style)


def _heading(view: Programs, channel: ChannelDay, block: Block, style: Style) -> str:
    line = style.paint(f"{channel.service_id} {clean(channel.name)}", "bold")
    line += f"  {span(channel.window, view.zone)}"
    if channel.day == view.on_air:
        line += f"   now {clock(view.now, view.zone)[:5]}"
    if block.outvoted:
        held = f"{count(block.holders, 'instance')} {'holds' if block.holders == 1 else 'hold'}"
        line += style.paint(f"   ! only {held} this program, {block.rivals} hold another", "red")
    return line


def _voices(block: Block, style: Style) -> Iterator[str]:
    """Yield who agrees and who differs, towns that say the same folded into one line."""
    folded: dict[tuple[bool, bool], list[TownVoice]] = {}
    plain = []
    for voice in block.towns:
        if not voice.differ and not voice.silent and block.rows:
            plain.append(voice)
        else:
            folded[bool(voice.differ), bool(voice.silent)] = [
                *folded.get((bool(voice.differ), bool(voice.silent)), []),
                voice,
            ]
    if plain:
        agree = sum(len(voice.agree) for voice in plain)
        yield f"{', '.join(clean(v.town) for v in plain)}: {agree} of {agree} {'agree' if agree > 1 else 'agrees'}"
    variants = {fqdn: variant for variant in block.variants for fqdn in variant.instances}
    for voices in folded.values():
        for voice in voices:
            yield _voice(voice, bool(block.rows), variants, style)


def _voice(voice: TownVoice, scheduled: bool, variants: dict[str, Variant], style: Style) -> str:
    town = clean(voice.town)
    asked = len(voice.agree) + len(voice.differ) + len(voice.silent)
    parts = []
    if scheduled:
        parts.append(f"{town}: {len(voice.agree)} of {asked} {'agrees' if len(voice.agree) == 1 else 'agree'}")
    elif voice.agree:
        parts.append(f"{town}: nothing scheduled on {names(voice.agree)}")
    else:
        parts.append(f"{town}: nobody answered")
    said: dict[int, list[str]] = {}
    for fqdn in voice.differ:
        said.setdefault(id(variants[fqdn]), []).append(fqdn)
    for fqdns in said.values():
        parts.append(style.paint(f"{names(fqdns)} {_variant(variants[fqdns[0]], len(fqdns))}", "yellow"))
    if voice.silent and (voice.agree or voice.differ):
        parts.append(style.paint(f"{names(voice.silent)} did not answer", "red"))
    return "; ".join(parts)


def _variant(variant: Variant, holders: int) -> str:
    if not variant.files:
        return "has nothing scheduled" if holders == 1 else "have nothing scheduled"
    like = f", as shown for {names(variant.shown_for)}" if variant.shown_for else ""
    return f"{'differs' if holders == 1 else 'differ'} ({count(variant.files, 'file')}, {variant.change}{like})"


def _table(view: Programs, channel: ChannelDay, block: Block, style: Style) -> Iterator[str]:
    today = channel.day == view.on_air
    rows = [("#", "start", "end", "length", "file", "absent on" if any(row.absent for row in block.rows) else "")]
    on_air = None
    for row in block.rows:
        playing = today and row.start <= view.now and (row.end is None or view.now < row.end)
        if playing:
            on_air = len(rows)
        rows.append(
            (
                f"{'>' if playing else ''}{row.index}",
                clock(row.start, view.zone),
                clock(row.end, view.zone),
                length(_seconds_shown(row)),
                clean(stem(row.media)),
                names(row.absent, 3),
            )
        )
    for number, line in enumerate(aligned(rows, right=(0, 3))):
        look = "dim" if number == 0 else "reverse" if number == on_air else None
        absent = number > 0 and block.rows[number - 1].absent
        yield style.paint(line, look) if look else style.paint(line, "red") if absent else line


def _seconds_shown(row: Row) -> float | None:
    """Return the length between the times as they are shown: whole seconds that add up on the screen."""
    return None if row.end is None else math.floor(row.end) - math.floor(row.start)


def _notes(view: Programs, channel: ChannelDay, block: Block) -> Iterator[str]:
    """Yield what an operator must know of the rows: files absent, and lengths that are not the files' own."""
    for row in block.rows:
        if row.absent and channel.day >= view.on_air and (row.end is None or row.end > view.now):
            copy = f" (a copy is on {names(row.holders, 2)})" if row.holders else " (no instance that answered has it)"
            yield f"{clean(stem(row.media))}: the launch fails on {names(row.absent)}{copy}"
    for row in block.rows:
        if off := _off(row, view.tolerance):
            yield f"{clean(stem(row.media))} at {clock(row.start, view.zone)}: {off}"


def _off(row: Row, tolerance: float) -> str:
    if row.length is None or row.duration is None or abs(row.length - row.duration) <= tolerance:
        return ""
    what = "a gap of" if row.length > row.duration else "an overlap of"
    lasts = f"scheduled for {length(row.length)}, the file lasts {length(row.duration)}"
    return f"{lasts}: {what} {length(abs(row.length - row.duration))}"


def _some(lines: Iterable[str], style: Style) -> Iterator[str]:
    found = list(dict.fromkeys(lines))
    for line in found[:_MOST_NOTES]:
        yield style.paint("!", "red") + f" {line}"
    if len(found) > _MOST_NOTES:
        yield f"! and {len(found) - _MOST_NOTES} more such lines (--format json has them all)"


def data(view: Programs) -> dict[str, Any]:
    """Return the JSON: times in ISO 8601 and Unix seconds, lengths in seconds."""
    return {
        "now": view.now,
        "day_on_air": day_text(view.on_air),
        "programs": [_channel_data(view, channel) for channel in view.channels],
    }


def _channel_data(view: Programs, channel: ChannelDay) -> dict[str, Any]:
    return {
        "day": day_text(channel.day),
        "service_id": channel.service_id,
        "channel": channel.name,
        "window": [iso(moment, view.zone) for moment in channel.window],
        "agreed": not channel.differs if any(_heard(block) for block in channel.blocks) else None,
        "corrupt": {fqdn: list(lines) for fqdn, lines in channel.corrupt.items()},
        "blocks": [_block_data(view, block) for block in channel.blocks],
    }


def _heard(block: Block) -> bool:
    return any(voice.agree or voice.differ for voice in block.towns)


def _block_data(view: Programs, block: Block) -> dict[str, Any]:
    return {
        "towns": {
            voice.town: {"agree": list(voice.agree), "differ": list(voice.differ), "silent": list(voice.silent)}
            for voice in block.towns
        },
        "holders": block.holders,
        "rivals": block.rivals,
        "variants": [
            {
                "instances": list(variant.instances),
                "files": variant.files,
                "last_start": iso(variant.last_start, view.zone),
                "added": variant.change.added,
                "dropped": variant.change.dropped,
                "moved": variant.change.moved,
                "shown_for": list(variant.shown_for),
            }
            for variant in block.variants
        ],
        # An empty list says that nothing is scheduled: only one who answered can say so (SPEC 8.3).
        "entries": [_row_data(view, row) for row in block.rows] if _heard(block) else None,
    }


def _row_data(view: Programs, row: Row) -> dict[str, Any]:
    return {
        "index": row.index,
        "media": row.media,
        "start": iso(row.start, view.zone),
        "start_time": row.start,
        "end": iso(row.end, view.zone),
        "length": row.length,
        "duration": row.duration,
        "present": list(row.holders),
        "absent": list(row.absent),
    }


def table(view: Programs) -> tuple[tuple[str, ...], Iterator[tuple[object, ...]]]:
    """Return header and rows for CSV: one row per entry of each program shown."""
    return HEADER, (
        (
            day_text(channel.day),
            channel.service_id,
            channel.name,
            " ".join(voice.town for voice in block.towns),
            row.index,
            row.media,
            iso(row.start, view.zone),
            iso(row.end, view.zone),
            row.length,
            row.duration,
            " ".join(row.absent),
        )
        for channel in view.channels
        for block in channel.blocks
        for row in block.rows
    )
