"""What the tests of undoing share: any command run on a :class:`applying.Stage`, and masters that hide."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

from applying import NOW, Stage
from stages import Shown, untyped, verb_of

from dvbboxes.commands import archiving, converging, copying
from dvbboxes.journal import Journal
from dvbboxes.records import WholeRun

ROLLBACK, HISTORY, DIFF = "rollback", "history", "program diff"
CONVERGE, COPY, DELETE = "program converge", "program copy", "program delete"
BACKUP, RESTORE = "program backup", "program restore"
RUN = [verb_of(command).run for command in (CONVERGE, COPY, BACKUP)]
assert [converging.converge, copying.copy, archiving.backup] == RUN


def go(stage: Stage, what: str, *, now: float = NOW, command: str = "a test", **options: Any) -> Shown:
    """Run a command with these options, ``command`` being the line as typed; it does not ask."""
    unasked = {"yes": True} if "yes" in untyped(verb_of(what)) else {}
    return stage.run(what, context=stage.context(now, command), **(unasked | options))


def resume(stage: Stage, run: int, **options: Any) -> Shown:
    """Resume a run, all channels of it."""
    return stage.apply(resume=str(run), **({"service": None} | options))


@contextlib.contextmanager
def hidden(stage: Stage, *fqdns: str) -> Iterator[None]:
    """Within the block the masters refuse connections, as those of servers that are off do."""
    before = dict(stage.masters)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound, not listening: nobody else gets the port
        stage.masters |= {fqdn: free.getsockname()[1] for fqdn in fqdns}
        yield
        stage.masters = before


def whole(stage: Stage, run: int) -> WholeRun:
    with Journal.open(stage.data) as journal:
        return journal.run(run)


def runs(stage: Stage) -> list[int]:
    """Return the ids of all runs, oldest first."""
    with Journal.open(stage.data) as journal:
        return sorted(run.id for run in journal.runs())
