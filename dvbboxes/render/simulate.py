"""``program simulate``: what a box really plays beside what was meant, as text, JSON and CSV. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from dvbboxes.model import Gathered
from dvbboxes.render.style import Style, aligned, clean, clock, coverage, iso, length, names, span
from dvbboxes.simulate import Box, Simulated, Track
from dvbboxes.wire import day_text, stem

HEADER = (
    "instances", "service_id", "channel", "day", "index", "media", "meant", "start", "end", "times", "length", "shift",
    "failure",
)  # fmt: skip


def text(view: Simulated, gathered: Gathered[Any] | None, style: Style) -> Iterator[str]:
    """Yield the lines for a person."""
    if gathered is None:
        return
    title = f"{view.service_id} {clean(view.name)}  {span(view.window, view.zone)}"
    yield style.paint(title, "bold") + (f"   launched {clock(view.joining, view.zone)}" if view.joining else "")
    for box in view.boxes:
        yield ""
        yield from _box(view, box, style)
    if gathered.answered and not view.boxes:
        yield "no instance asked carries it"
    yield ""
    yield from coverage(gathered, style, "Calculated by dvbbox's rules, not observed.")


def _box(view: Simulated, box: Box, style: Style) -> Iterator[str]:
    who = names(box.instances)
    launch = box.launch
    if not box.scheduled:
        yield style.paint(f"{who}: nothing scheduled, nothing is played", "red")
        return
    if launch.failure:
        failed = launch.failure
        where = f"entry {failed.index}, {clean(stem(failed.media))} (meant at {clock(failed.meant, view.zone)})"
        yield style.paint(f"{who}: THE LAUNCH FAILS, the channel is black", "red")
        yield f"  {where}: {failed.why}"
        return
    yield f"{who}: {'as meant' if not view.box_wrong(box) else style.paint('otherwise than meant', 'yellow')}"
    rows: list[tuple[str, ...]] = [("#", "meant", "plays", "until", "times", "shift", "file", "")]
    rows += [_row(view, track, last=track is launch.tracks[-1]) for track in launch.tracks]
    lines = aligned(rows, right=(0, 4, 5))
    yield style.paint(lines[0], "dim")
    for track, line in zip(launch.tracks, lines[1:], strict=True):
        odd = (
            track.shift is None
            or abs(track.shift) > view.tolerance
            or (track.times > 1 and track is not launch.tracks[-1])
        )
        yield style.paint(line, "yellow") if odd else line
    yield from _ending(view, box, style)


def _row(view: Simulated, track: Track, *, last: bool) -> tuple[str, ...]:
    shift = "?" if track.shift is None else "" if abs(track.shift) <= view.tolerance else _signed(track.shift)
    note = ""
    if track.times > 1:
        note = f"{'stretched: ' if last else ''}repeated {track.times - 1} times"
    return (
        str(track.index),
        clock(track.meant, view.zone),
        clock(track.start, view.zone),
        clock(track.end, view.zone),
        str(track.times),
        shift,
        clean(stem(track.media)),
        note,
    )


def _signed(seconds: float) -> str:
    return f"{'+' if seconds > 0 else ''}{length(seconds)}"


def _ending(view: Simulated, box: Box, style: Style) -> Iterator[str]:
    end = box.launch.end
    if end is None:
        yield style.paint("  when it is over cannot be told: a length is not known", "yellow")
    elif end < view.window[1] - 60:
        yield f"  over at {clock(end, view.zone)}: black until the next launch"
    elif end > view.window[1] + 60:
        yield f"  over at {clock(end, view.zone)}, after the next launch: cut short there"


def data(view: Simulated) -> dict[str, Any]:
    """Return the JSON. Lengths and shifts are seconds."""
    return {
        "service_id": view.service_id,
        "channel": view.name,
        "day": day_text(view.day),
        "launched": iso(view.joining if view.joining is not None else view.window[0], view.zone),
        "as_meant": not view.wrong,
        "boxes": [
            {
                "instances": list(box.instances),
                "as_meant": not view.box_wrong(box),
                "scheduled": box.scheduled,
                "end": iso(box.launch.end, view.zone),
                "failure": None
                if box.launch.failure is None
                else {
                    "index": box.launch.failure.index,
                    "media": box.launch.failure.media,
                    "meant": iso(box.launch.failure.meant, view.zone),
                    "why": box.launch.failure.why,
                },
                "tracks": [] if box.launch.failure else [_track(view, track) for track in box.launch.tracks],
            }
            for box in view.boxes
        ],
    }


def _track(view: Simulated, track: Track) -> dict[str, Any]:
    return {
        "index": track.index,
        "media": track.media,
        "meant": iso(track.meant, view.zone),
        "start": iso(track.start, view.zone),
        "end": iso(track.end, view.zone),
        "times": track.times,
        "length": track.length,
        "shift": track.shift,
    }


def table(view: Simulated) -> tuple[tuple[str, ...], Iterable[tuple[object, ...]]]:
    """Return header and rows for CSV: one row per box and track, one for a launch that fails or has nothing."""
    return HEADER, (row for box in view.boxes for row in _rows(view, box))


def _rows(view: Simulated, box: Box) -> Iterator[tuple[object, ...]]:
    head = (" ".join(box.instances), view.service_id, view.name, day_text(view.day))
    failure = box.launch.failure
    if not box.scheduled:
        yield (*head, None, None, None, None, None, None, None, None, "nothing scheduled")
    elif failure is not None:
        yield (*head, failure.index, failure.media, iso(failure.meant, view.zone), *(None,) * 5, failure.why)
    else:
        for track in box.launch.tracks:
            one = _track(view, track)
            yield (*head, *(one[key] for key in HEADER[4:-1]), None)
