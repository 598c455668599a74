"""What the tests of undoing share: any verb run in this process on a :class:`applying.Stage`, and masters that hide."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

from applying import NOW, Done, Stage, _default

from dvbboxes.commands import Verb, archiving, converging, copying, history, rollback
from dvbboxes.commands.program import VERBS
from dvbboxes.journal import Journal
from dvbboxes.records import WholeRun

PROGRAM = {verb.name: verb for verb in VERBS}
ROLLBACK = rollback.COMMAND
HISTORY = history.COMMAND
CONVERGE, COPY, DELETE = PROGRAM["converge"], PROGRAM["copy"], PROGRAM["delete"]
BACKUP, RESTORE = PROGRAM["backup"], PROGRAM["restore"]
assert (CONVERGE.run, COPY.run, BACKUP.run) == (converging.converge, copying.copy, archiving.backup)


def go(stage: Stage, verb: Verb, *, now: float = NOW, command: str = "a test", **options: Any) -> Done:
    """Run a verb with its defaults and these options; it does not ask."""
    arguments = dict(map(_default, verb.options))
    unknown = set(options) - set(arguments)
    assert not unknown, unknown
    if "yes" in arguments:
        arguments["yes"] = True
    return Done(verb.name, verb.run(stage.context(now, command), **(arguments | options)))


def resume(stage: Stage, run: int, **options: Any) -> Done:
    """Resume a run, all channels of it."""
    return stage.apply(resume=str(run), **({"service": None} | options))


@contextlib.contextmanager
def hidden(stage: Stage, *fqdns: str) -> Iterator[None]:
    """Within the block the masters refuse connections, as those of servers that are off do."""
    before = list(stage.replace)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound, not listening: nobody else gets the port
        stage.masters.update({fqdn: free.getsockname()[1] for fqdn in fqdns})
        yield
        stage.replace[:] = before


def whole(stage: Stage, run: int) -> WholeRun:
    with Journal.open(stage.data) as journal:
        return journal.run(run)


def runs(stage: Stage) -> list[int]:
    """Return the ids of all runs, oldest first."""
    with Journal.open(stage.data) as journal:
        return sorted(run.id for run in journal.runs())
