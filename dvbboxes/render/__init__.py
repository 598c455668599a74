"""Results -> text, json, csv (DESIGN: the command line). Pure: a string comes out, nothing is printed.

Each kind of result has one module here with three functions: ``text`` (lines for a person), ``data`` (for the JSON
envelope) and ``table`` (a header and rows, for CSV).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from dvbboxes.model import Gathered
from dvbboxes.render.style import Style

FORMATS = ("text", "json", "csv")

#: Which module shows which kind of result, by the name of its class: only the one needed is imported.
_ROOMS = {
    "Programs": "programs",
    "ProgramDiff": "compare",
    "ProgramNow": "onair",
    "ProgramList": "calendar",
    "Simulated": "simulate",
    "Checked": "check",
    "Coverage": "coverage",
    "MediaSearch": "media",
    "MediaShow": "media",
    "MediaCheck": "media",
    "MissingMedia": "media_flows",
    "MediaConflicts": "media_flows",
    "MediaUnused": "media_flows",
    "Fetched": "media_flows",
    "HostRuns": "media_flows",
    "Blast": "media_runs",
    "MediaRun": "media_runs",
    "Withdrawn": "withdrawals",
    "ListingCheck": "listing",
    "ListingPlan": "listing",
    "ProgramPlan": "wishes",
    "Saved": "saved",
    "Forgotten": "saved",
    "Report": "report",
    "History": "history",
    "Story": "history",
    "DayStory": "history",
    "Owed": "history",
    "ClusterStatus": "cluster",
    "ClusterProbe": "cluster",
    "ClusterForgotten": "cluster",
    "ReplicasRendered": "replicas",
    "ReplicasInstalled": "replicas",
    "ReplicasVerified": "replicas",
    "ConfigChecked": "config",
    "ConfigShown": "config",
    "DemoShown": "demo",
}


def render(command: str, view: object, gathered: Gathered[Any] | None, form: str, style: Style) -> str:
    """Return a result as a string in ``form`` (one of :data:`FORMATS`), with its final newline.

    ``gathered`` says who answered; it is part of every form (CSV carries it in the rows' own columns where they have
    them, and on stderr).
    """
    room = import_module(f"dvbboxes.render.{_ROOMS[type(view).__name__]}")
    if form == "json":
        from dvbboxes.render.envelope import envelope

        return envelope(command, room.data(view), gathered)
    if form == "csv":
        from dvbboxes.render.envelope import sheet

        return sheet(*room.table(view))
    return "".join(f"{line}\n" for line in room.text(view, gathered, style))
