"""``media withdraw`` as text, JSON and CSV. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from dvbboxes.library.barred import Withdrawal, Withdrawn
from dvbboxes.model import Gathered
from dvbboxes.render.style import Style, clean, clock, count, coverage, dated, iso, local, names
from dvbboxes.wire import day_text, stem

HEADER = ("media", "since", "who", "host", "reason", "instances", "airings")
_MOST = 20


def text(view: Withdrawn, gathered: Gathered[Any] | None, style: Style) -> Iterator[str]:
    """Yield the lines for a person."""
    for entry in view.entries:
        yield from _entry(view, entry, style)
    if not view.entries:
        yield "nothing is withdrawn"
    if gathered is not None:
        yield from coverage(gathered, style)


def _entry(view: Withdrawn, entry: Withdrawal, style: Style) -> Iterator[str]:
    name = clean(stem(entry.media))
    if view.done == "undone":
        yield f"{style.paint(name, 'bold')}: no longer withdrawn"
        return
    since = local(entry.since, view.zone)
    at = f"{dated(since.date())} {since:%H:%M}" if since else "?"
    why = f": {clean(entry.reason)}" if entry.reason else ""
    yield f"{style.paint(name, 'bold')}: withdrawn since {at} by {clean(entry.who)} on {clean(entry.host)}{why}"
    holders, coming = view.holders.get(entry.media, ()), view.coming.get(entry.media, ())
    if holders:
        yield style.paint("!", "red") + f" still on {names(holders, 6)}"
        yield f"  dvbboxes media delete {name}"
    for one in coming[:_MOST]:
        channel = f"{one.service_id} {clean(view.channels.get(one.service_id, ''))}".rstrip()
        when = f"{dated(one.day)} {clock(one.start, view.zone)[:5]}"
        yield style.paint("!", "red") + f" airs {when} {channel}: {names(one.instances)}"
    if len(coming) > _MOST:
        yield f"  and {count(len(coming) - _MOST, 'airing')} more (--format json has them all)"
    if coming:
        yield f"  dvbboxes media replace {name} ANOTHER"


def data(view: Withdrawn) -> dict[str, Any]:
    """Return the JSON."""
    return {
        "done": view.done or None,
        "withdrawn": [
            {
                "media": entry.media,
                "since": iso(entry.since, view.zone),
                "who": entry.who,
                "host": entry.host,
                "reason": entry.reason,
                "instances": list(view.holders.get(entry.media, ())),
                "airings": [
                    {
                        "service_id": one.service_id,
                        "day": day_text(one.day),
                        "index": one.index,
                        "start": iso(one.start, view.zone),
                        "instances": list(one.instances),
                    }
                    for one in view.coming.get(entry.media, ())
                ],
            }
            for entry in view.entries
        ],
    }


def table(view: Withdrawn) -> tuple[tuple[str, ...], Iterable[tuple[object, ...]]]:
    """Return header and rows for CSV: a withdrawn file a row; ``airings`` counts those from now on."""
    return HEADER, (
        (
            *(entry.media, iso(entry.since, view.zone), entry.who, entry.host, entry.reason),
            *(" ".join(view.holders.get(entry.media, ())), len(view.coming.get(entry.media, ()))),
        )
        for entry in view.entries
    )
