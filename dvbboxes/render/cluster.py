"""``cluster status``: every instance as text, JSON and CSV. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dvbboxes.aggregate import ClusterStatus
from dvbboxes.model import Gathered
from dvbboxes.render.style import Style, age, aligned, clean, coverage

HEADER = ("town", "instance", "replica", "state", "link", "age", "follows", "version", "programs", "media", "error")
_LOOKS = {"stale": "yellow", "unavailable": "red", "suspect": "red"}


def text(view: ClusterStatus, gathered: Gathered[Any] | None, style: Style) -> Iterator[str]:
    """Yield the lines for a person."""
    if gathered is None:
        return
    rows = [("town", "instance", "replica", "state", "link", "age", "follows", "version", "programs", "files")]
    for one in view.instances:
        rows.append(
            (
                clean(one.town),
                clean(one.fqdn),
                one.replica,
                one.state,
                one.link or "-",
                "-" if one.error else age(one.age),
                clean(one.follows) or "-",
                clean(one.version) or "-",
                "-" if one.programs is None else str(one.programs),
                "-" if one.media is None else str(one.media),
            )
        )
    lines = aligned(rows, right=(5, 8, 9))
    yield style.paint(lines[0], "dim")
    for line, one in zip(lines[1:], view.instances, strict=True):
        yield style.paint(line, _LOOKS[one.state]) if one.state in _LOOKS else line
    yield from coverage(gathered, style)


def data(view: ClusterStatus) -> dict[str, Any]:
    """Return the JSON; state, age and error of each instance stand in the envelope."""
    return {
        "instances": [
            {
                "town": one.town,
                "instance": one.fqdn,
                "replica": one.replica,
                "link": one.link or None,
                "follows": one.follows or None,
                "version": one.version or None,
                "programs": one.programs,
                "media": one.media,
            }
            for one in view.instances
        ]
    }


def table(view: ClusterStatus) -> tuple[tuple[str, ...], Iterator[tuple[object, ...]]]:
    """Return header and rows for CSV."""
    return HEADER, (
        (
            one.town,
            one.fqdn,
            one.replica,
            one.state,
            one.link,
            one.age,
            one.follows,
            one.version,
            one.programs,
            one.media,
            one.error,
        )
        for one in view.instances
    )
