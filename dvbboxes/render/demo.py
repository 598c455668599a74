"""The ``demo`` commands as text, JSON and CSV. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from dvbboxes.aggregate import DemoShown
from dvbboxes.model import Gathered
from dvbboxes.render.style import Style, aligned

HEADER = ("town", "instance", "replica_port", "master_port", "alive")


def text(view: DemoShown, gathered: Gathered[Any] | None, style: Style) -> Iterator[str]:
    """Yield the lines for a person."""
    yield f"demo {view.name}: {view.state}"
    if not view.servers:
        return
    rows = [("town", "instance", "replica", "master", "")]
    for town, fqdn, replica, master, alive in view.servers:
        rows.append((town, fqdn, str(replica), str(master), "" if alive else "DEAD"))
    for line in aligned(rows, right=(2, 3)):
        yield f"  {line}"
    yield "its configuration, for this shell:"
    yield f"  export DVBBOXES_CONFIG={shlex.quote(view.config_path)}"


def data(view: DemoShown) -> dict[str, Any]:
    """Return the JSON."""
    return {
        "name": view.name,
        "state": view.state,
        "config": view.config_path or None,
        "servers": [dict(zip(HEADER, server, strict=True)) for server in view.servers],
    }


def table(view: DemoShown) -> tuple[tuple[str, ...], tuple[tuple[object, ...], ...]]:
    """Return header and rows for CSV."""
    return HEADER, view.servers
