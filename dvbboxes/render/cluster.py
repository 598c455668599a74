"""``cluster status``, its ``--probe`` and ``cluster forget`` as text, JSON and CSV. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from dvbboxes.aggregate.cluster import (
    ClusterForgotten,
    ClusterProbe,
    ClusterStatus,
    InstanceProbe,
    InstanceStatus,
    TownStatus,
    towns,
)
from dvbboxes.model import Gathered
from dvbboxes.render.style import Style, age, aligned, clean, clock, count, coverage, names

View: TypeAlias = ClusterStatus | ClusterProbe | ClusterForgotten
HEADER = (
    *("town", "instance", "replica", "state", "link", "age", "follows", "version", "programs", "media", "error"),
    *("behind", "master_version", "master_error", "memory", "until"),
)
_COLUMNS = (
    *("town", "instance", "replica", "state", "link", "age", "behind", "follows", "version", "master"),
    *("memory", "until", "programs", "files"),
)
_PROBED = ("town", "instance", "ready", "master", "version", "writing", "clock", "ssh", "dvbbox")
_TOWNS = ("town", "instances", "state", "oldest", "behind", "version", "programs", "files", "memory", "until")
_LOOKS = {"stale": "yellow", "unavailable": "red", "suspect": "red"}
#: To the upper left corner, and away with what is there.
_CLEAR = "\x1b[H\x1b[2J"


def text(view: View, gathered: Gathered[Any] | None, style: Style) -> Iterator[str]:
    """Yield the lines for a person."""
    if isinstance(view, ClusterForgotten):
        yield f"nothing is remembered of {names(view.instances)}"
        return
    if isinstance(view, ClusterProbe):
        yield from _probe_text(view, style)
    else:
        if view.watched:
            yield (_CLEAR if style.color else "") + style.paint(f"at {clock(view.now, view.zone)}", "dim")
        yield from _towns_text(view, style) if view.folded else _instances_text(view.instances, style)
    if gathered is not None:
        yield from coverage(gathered, style)


def _instances_text(instances: tuple[InstanceStatus, ...], style: Style) -> Iterator[str]:
    lines = aligned([_COLUMNS, *map(_cells, instances)], right=(5, 6, 10, 12, 13))
    yield style.paint(lines[0], "dim")
    for line, one in zip(lines[1:], instances, strict=True):
        yield style.paint(line, _LOOKS[one.state]) if one.state in _LOOKS else line


def _cells(one: InstanceStatus) -> tuple[str, ...]:
    return (
        clean(one.town),
        clean(one.fqdn),
        clean(one.replica),
        one.state,
        one.link or "-",
        "-" if one.error else age(one.age),
        _size(one.behind),
        clean(one.follows) or "-",
        clean(one.version) or "-",
        clean(one.master_version) or ("no answer" if one.master_error else "-"),
        _size(one.memory),
        "-" if one.until is None else one.until.strftime("%d-%m-%Y"),
        "-" if one.programs is None else str(one.programs),
        "-" if one.media is None else str(one.media),
    )


def _size(number: int | None) -> str:
    """Return a number of bytes for people."""
    if number is None:
        return "-"
    size = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 10 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _towns_text(view: ClusterStatus, style: Style) -> Iterator[str]:
    folded = towns(view)
    lines = aligned([_TOWNS, *map(_town_cells, folded)], right=(1, 3, 4, 6, 7, 8))
    yield style.paint(lines[0], "dim")
    for line, town in zip(lines[1:], folded, strict=True):
        worst = next((look for state, look in reversed(_LOOKS.items()) if state in town.states), "")
        yield style.paint(line, worst) if worst else line
    odd = tuple(one for town in folded for one in town.odd)
    if odd:
        yield ""
        yield from _instances_text(odd, style)


def _town_cells(town: TownStatus) -> tuple[str, ...]:
    return (
        clean(town.town),
        str(town.count),
        ", ".join(f"{number} {state}" for state, number in town.states.items()),
        age(town.oldest) if town.versions else "-",
        _size(town.behind),
        names(town.versions, 2) or "-",
        _range(town.programs),
        _range(town.media),
        _size(town.memory),
        "-" if town.until is None else town.until.strftime("%d-%m-%Y"),
    )


def _range(found: tuple[int, int] | None) -> str:
    if found is None:
        return "-"
    return str(found[0]) if found[0] == found[1] else f"{found[0]}..{found[1]}"


def _probe_text(view: ClusterProbe, style: Style) -> Iterator[str]:
    rows = [("town", "instance", "ready", "version", "clock", "dvbbox")]
    rows += [
        (
            clean(one.town),
            clean(one.fqdn),
            "yes" if one.ready else "NO",
            clean(one.version) or "-",
            "-" if one.clock is None else f"{one.clock:+.1f} s",
            clean(one.dvbbox) or "-",
        )
        for one in view.instances
    ]
    lines = aligned(rows, right=(4,))
    yield style.paint(lines[0], "dim")
    for line, one in zip(lines[1:], view.instances, strict=True):
        yield line if one.ready else style.paint(line, "red")
        yield from (style.paint(f"! {clean(one.fqdn)}: {clean(said)}", "red") for said in _complaints(one))
    ready = sum(one.ready for one in view.instances)
    yield f"{ready} of {count(len(view.instances), 'instance')} ready for a listing; nothing was written"


def _complaints(one: InstanceProbe) -> Iterator[str]:
    if one.master:
        yield one.master
    if one.writing:
        yield f"its master would not take a program: {one.writing}"
    if one.clock_off and one.clock is not None:
        yield f"its clock is {abs(one.clock):.1f} s {'ahead of' if one.clock > 0 else 'behind'} ours"
    if one.ssh:
        yield f"ssh: {one.ssh}"
    elif not one.dvbbox:
        yield "dvbbox is not on the PATH there ([SSH] dvbbox names it)"


def data(view: View) -> dict[str, Any]:
    """Return the JSON; state, age and error of each instance stand in the envelope."""
    if isinstance(view, ClusterForgotten):
        return {"instances": list(view.instances)}
    if isinstance(view, ClusterProbe):
        return {
            "instances": [
                {name: value if value != "" else None for name, value in zip(_PROBED, _probed(one), strict=True)}
                for one in view.instances
            ]
        }
    return {"instances": [_instance(one) for one in view.instances]}


def _instance(one: InstanceStatus) -> dict[str, Any]:
    return {
        "town": one.town,
        "instance": one.fqdn,
        "replica": one.replica,
        "link": one.link or None,
        "follows": one.follows or None,
        "version": one.version or None,
        "programs": one.programs,
        "media": one.media,
        "behind": one.behind,
        "master_version": one.master_version or None,
        "master_error": one.master_error or None,
        "memory": one.memory,
        "until": None if one.until is None else one.until.isoformat(),
    }


def _probed(one: InstanceProbe) -> tuple[object, ...]:
    clock_said = None if one.clock is None else round(one.clock, 3)
    return (one.town, one.fqdn, one.ready, one.master, one.version, one.writing, clock_said, one.ssh, one.dvbbox)


def table(view: View) -> tuple[tuple[str, ...], Iterator[tuple[object, ...]]]:
    """Return header and rows for CSV."""
    if isinstance(view, ClusterForgotten):
        return ("instance",), ((fqdn,) for fqdn in view.instances)
    if isinstance(view, ClusterProbe):
        return _PROBED, (_probed(one) for one in view.instances)
    return HEADER, (
        (
            *(one.town, one.fqdn, one.replica, one.state, one.link, one.age, one.follows, one.version),
            *(one.programs, one.media, one.error, one.behind, one.master_version, one.master_error, one.memory),
            None if one.until is None else one.until.isoformat(),
        )
        for one in view.instances
    )
