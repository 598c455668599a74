"""``config check`` and ``config show`` as text, JSON and CSV. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dvbboxes.aggregate import ConfigChecked, ConfigShown
from dvbboxes.model import Gathered, Setting
from dvbboxes.render.style import Style, aligned, clean, count

_MASK = "********"


def text(view: ConfigChecked | ConfigShown, gathered: Gathered[Any] | None, style: Style) -> Iterator[str]:
    """Yield the lines for a person."""
    if isinstance(view, ConfigChecked):
        found = (count(view.towns, "town"), count(view.instances, "instance"), count(view.channels, "channel"))
        yield f"{clean(view.path)}: no mistakes: {', '.join(found)}"
        return
    rows = [(f"[{clean(s.section)}] {clean(s.key)}", clean(_value(s)), clean(s.origin)) for s in view.settings]
    yield style.paint(f"in force, from {clean(view.path)}", "dim")
    yield from aligned(rows)


def _value(setting: Setting) -> str:
    return _MASK if setting.secret and setting.value else setting.value


def data(view: ConfigChecked | ConfigShown) -> dict[str, Any]:
    """Return the JSON."""
    if isinstance(view, ConfigChecked):
        return {"path": view.path, "towns": view.towns, "instances": view.instances, "channels": view.channels}
    return {
        "path": view.path,
        "settings": [
            {"section": s.section, "key": s.key, "value": _value(s), "origin": s.origin} for s in view.settings
        ],
    }


def table(view: ConfigChecked | ConfigShown) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Return header and rows for CSV."""
    if isinstance(view, ConfigChecked):
        return ("path", "towns", "instances", "channels"), [(view.path, view.towns, view.instances, view.channels)]
    return ("section", "key", "value", "origin"), [(s.section, s.key, _value(s), s.origin) for s in view.settings]
