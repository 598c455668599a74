"""``python -m dvbboxes`` as an operator has it: a process of its own, its two streams and its exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).parents[2]
LONG = 60.0
#: What would make the streams of a run something else than an operator has.
STREAMS = {"PYTHONUNBUFFERED", "PYTHONIOENCODING", "PYTHONUTF8", "NO_COLOR"}


@dataclass(frozen=True)
class Ran:
    """What one run did; ``seconds`` is how long the whole process took."""

    status: int
    out: str
    err: str
    seconds: float


def upcoming() -> date:
    """Return a day for what runs by the real clock: ahead, and not on air, until the test is over.

    It is a week ahead: the date here, in UTC and in the fleet's zone, and the broadcast day there, differ by one, and
    midnight may pass while the test runs. So one more or less is no matter, but a test takes it once.
    """
    return datetime.now(UTC).date() + timedelta(days=7)


def environment(config: str | Path | None, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a run: ours without its DVBBOXES variables and STREAMS, and what is given."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("DVBBOXES_") and name not in STREAMS
    }
    named = {} if config is None else {"DVBBOXES_CONFIG": str(config)}
    return kept | {"PYTHONPATH": str(ROOT)} | named | dict(environ)


def run(
    *arguments: str,
    config: str | Path | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
    **environ: str,
) -> Ran:
    """Run one command line, with ``stdin`` piped into it (None: there is none), and return what it did."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "dvbboxes", *arguments],
        env=environment(config, environ),
        cwd=cwd,
        capture_output=True,
        # Nothing to read is an end of file at once, as it is under cron.
        input=b"" if stdin is None else stdin.encode("utf-8", "surrogateescape"),
        timeout=LONG,
        check=False,
    )
    out, err = done.stdout.decode("utf-8", "surrogateescape"), done.stderr.decode("utf-8", "surrogateescape")
    return Ran(done.returncode, out, err, time.monotonic() - began)


#: Runs each command line of a JSON list in a child that finds everything imported: a start costs 5 ms, not 200.
_MANY = """
import gc, json, os, sys, tempfile
import dvbboxes.main, dvbboxes.config, dvbboxes.fleet, dvbboxes.commands.program, dvbboxes.commands.cluster
gc.freeze()
results = []
for arguments in json.load(sys.stdin):
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        if (child := os.fork()) == 0:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            sys.argv = ["dvbboxes", *arguments]
            try:
                dvbboxes.main.cli()
            except SystemExit as ended:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(ended.code or 0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said = [stream.seek(0) or stream.read().decode() for stream in (out, err)]
    results.append([status, *said])
json.dump(results, sys.stdout)
"""


def run_many(lines: Sequence[Sequence[str]], *, config: str | Path, cwd: Path, **environ: str) -> list[Ran]:
    """Run many command lines, one process each, and return what each did (``seconds`` is that of all of them)."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _MANY],
        input=json.dumps(list(map(list, lines))).encode(),
        env=environment(config, environ),
        cwd=cwd,
        stdout=subprocess.PIPE,
        timeout=LONG,
        check=True,
    )
    seconds = time.monotonic() - began
    return [Ran(status, out, err, seconds) for status, out, err in json.loads(done.stdout)]
