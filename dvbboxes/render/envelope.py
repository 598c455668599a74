"""The JSON envelope and the CSV sheet every command shares (DESIGN: the command line). Pure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

from dvbboxes.model import Gathered
from dvbboxes.render.style import clean


def envelope(command: str, data: object, gathered: Gathered[Any] | None) -> str:
    """Return a result as one JSON object; nobody asked is complete.

    ``instances`` maps each fqdn to its state, the age of its data in seconds, and its error (null: it answered).
    """
    answers = gathered.answers if gathered is not None else ()
    complete = gathered is None or gathered.complete
    body: dict[str, Any] = {
        "schema": 1,
        "command": command,
        "complete": complete,
        "partial": not complete,
        "instances": {
            answer.instance.fqdn: {
                "state": answer.freshness.state.value,
                "age": answer.freshness.age,
                "error": None if answer.error is None else f"{answer.error.kind.value}: {answer.error.message}",
            }
            for answer in answers
        },
    }
    if gathered is not None:
        body["elapsed"] = round(gathered.elapsed, 6)
    body["data"] = data
    return json.dumps(body, ensure_ascii=True, allow_nan=False) + "\n"


def sheet(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows as CSV with a header; None is an empty cell."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([clean(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return out.getvalue()
