"""``program now``: what should be on air, as text, JSON and CSV. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from dvbboxes.aggregate.onair import ChannelNow, NowGroup, Playing, ProgramNow
from dvbboxes.model import Gathered
from dvbboxes.render.style import Style, aligned, clean, clock, count, coverage, dated, iso, names
from dvbboxes.wire import stem

HEADER = ("service_id", "channel", "media", "since", "until", "next", "instances", "absent")


def text(view: ProgramNow, gathered: Gathered[Any] | None, style: Style) -> Iterator[str]:
    """Yield the lines for a person."""
    if gathered is None:
        return
    if gathered.answered:
        yield f"{dated(_today(view))} {clock(view.now, view.zone)}"
        yield from _table(view, style)
        for channel in view.channels:
            yield from _notes(view, channel, style)
        yield ""
    yield from coverage(gathered, style, "The schedule, not the transmission.")


def _today(view: ProgramNow) -> Any:
    from datetime import datetime

    return datetime.fromtimestamp(view.now, view.zone).date()


def _table(view: ProgramNow, style: Style) -> Iterator[str]:
    rows: list[tuple[str, ...]] = [("channel", "on air", "since", "until", "next", "instances")]
    looks: list[str | None] = ["dim"]
    for channel in view.channels:
        title = f"{channel.service_id} {clean(channel.name)}"
        for number, group in enumerate(channel.groups):
            rows.append(_row(view, title if number == 0 else "", group))
            looks.append("red" if group.absent or not group.playing.media else "yellow" if number else None)
        if not channel.groups:
            said = "nobody that carries it answered" if channel.silent else "no instance asked carries it"
            rows.append((title, said, "", "", "", ""))
            looks.append("red")
    for line, look in zip(aligned(rows), looks, strict=True):
        yield style.paint(line, look) if look else line


def _row(view: ProgramNow, title: str, group: NowGroup) -> tuple[str, ...]:
    playing = group.playing
    who = f"{len(group.instances)}: {names(group.towns)}"
    if not playing.media:
        begins = f"begins {clock(playing.until, view.zone)}" if playing.until else ""
        return (title, "NOTHING", "", begins, clean(stem(playing.next_media)), who)
    end = f"{clock(playing.until, view.zone)}{' (end)' if playing.last else ''}"
    following = clean(stem(playing.next_media)) or "-"
    return (title, clean(stem(playing.media)), clock(playing.since, view.zone), end, following, who)


def _notes(view: ProgramNow, channel: ChannelNow, style: Style) -> Iterator[str]:
    mark = style.paint("!", "red")
    odd = channel.groups[1:]
    for group in odd:
        yield f"{mark} {channel.service_id}: {names(group.instances)} should play {_what(group.playing)}"
    for group in channel.groups:
        playing = group.playing
        if group.absent:
            copy = f"a copy is on {names(group.present, 2)}" if group.present else "no instance that answered has it"
            yield f"{mark} {channel.service_id}: {clean(stem(playing.media))} is not on {names(group.absent)} ({copy})"
        if playing.file_end is not None and playing.file_end < view.now - 1:
            said = f"over since {clock(playing.file_end, view.zone)}: dvbbox repeats it"
            yield f"{mark} {channel.service_id}: {clean(stem(playing.media))} is {said} ({_who(group)})"


def _who(group: NowGroup) -> str:
    return names(group.instances) if len(group.instances) < 4 else count(len(group.instances), "instance")


def _what(playing: Playing) -> str:
    return clean(stem(playing.media)) or "nothing"


def data(view: ProgramNow) -> dict[str, Any]:
    """Return the JSON."""
    return {
        "now": iso(view.now, view.zone),
        "channels": [
            {
                "service_id": channel.service_id,
                "channel": channel.name,
                "silent": list(channel.silent),
                "on_air": [_group_data(view, group) for group in channel.groups],
            }
            for channel in view.channels
        ],
    }


def _group_data(view: ProgramNow, group: NowGroup) -> dict[str, Any]:
    playing = group.playing
    return {
        "media": playing.media or None,
        "since": iso(playing.since, view.zone),
        "until": iso(playing.until, view.zone),
        "file_end": iso(playing.file_end, view.zone),
        "next": playing.next_media or None,
        "last": playing.last,
        "instances": list(group.instances),
        "present": list(group.present),
        "absent": list(group.absent),
    }


def table(view: ProgramNow) -> tuple[tuple[str, ...], Iterable[tuple[object, ...]]]:
    """Return header and rows for CSV: one row per channel and group of instances."""
    return HEADER, (
        (
            channel.service_id,
            channel.name,
            group.playing.media,
            iso(group.playing.since, view.zone),
            iso(group.playing.until, view.zone),
            group.playing.next_media,
            " ".join(group.instances),
            " ".join(group.absent),
        )
        for channel in view.channels
        for group in channel.groups
    )
