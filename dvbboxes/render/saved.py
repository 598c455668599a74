"""What a backup saved and what a pruning forgot, as text, JSON and CSV. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from dvbboxes.model import Gathered
from dvbboxes.render.style import Style, clean, count, coverage
from dvbboxes.report import Forgotten, Saved


def text(view: Saved | Forgotten, gathered: Gathered[Any] | None, style: Style) -> Iterator[str]:
    """Yield the lines for a person."""
    if isinstance(view, Forgotten):
        gone = view.pruned
        kept = f"what is younger than {count(view.days, 'day')}, owed, or last applied to a younger day is kept"
        went = (count(gone.runs, "run"), count(gone.changes, "change"), count(gone.programs, "program"))
        yield f"forgot {', '.join(went)}; {kept}"
        return
    if view.instances:
        passed = f"; {count(view.passed, 'key')} passed over, neither program nor file" if view.passed else ""
        held = (
            f"{count(view.programs, 'program')} and {count(view.media, 'file')} of {count(view.instances, 'instance')}"
        )
        yield f"{clean(view.file)}: {held}{passed}"
    if gathered is not None:
        yield from coverage(gathered, style)


def data(view: Saved | Forgotten) -> dict[str, Any]:
    """Return the JSON."""
    if isinstance(view, Forgotten):
        gone = view.pruned
        return {"days": view.days, "runs": gone.runs, "changes": gone.changes, "programs": gone.programs}
    return {
        "file": view.file,
        "instances": view.instances,
        "programs": view.programs,
        "media": view.media,
        "passed_over": view.passed,
    }


def table(view: Saved | Forgotten) -> tuple[tuple[str, ...], Iterable[Sequence[object]]]:
    """Return header and the one row for CSV."""
    found = data(view)
    return tuple(found), [tuple(found.values())]
