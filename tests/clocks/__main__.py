"""``python -m tests.clocks``: run the suite under the clocks of `table`, one after the other.

``python -m tests.clocks 2 3`` runs the second and the third only, ``--whole`` the whole of ``make test`` at each.
What an ordinary run says of its tests is kept back where all of them pass.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from . import shim
from .table import CLOCKS, Clock

ROOT = Path(__file__).parents[2]
#: What can depend on the clock: it asks the real one, or starts processes that do.
BY_THE_CLOCK = ("docs", "demo", "main", "check", "completion", "memory", "listing", "listing_bad", "api_listing")
_CLOSING = re.compile(r"^=* ?([0-9]+ (?:passed|failed|error).*?) in [0-9.]+s.*$", re.M)


def run(clock: Clock, whole: bool, arguments: Sequence[str]) -> bool:
    """Run the tests under one clock, say how they ended, and return whether they passed."""
    with tempfile.TemporaryDirectory(prefix="dvbboxes-clock-") as folder:
        library = shim.compile_shim(Path(folder), round(clock.moment - time.time()))
        environ = shim.environment(os.environ, library, clock.zone)
        files = [] if whole else [f"tests/test_{name}.py" for name in BY_THE_CLOCK]
        line = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", *arguments, *files]
        began = time.monotonic()
        done = subprocess.run(line, cwd=ROOT, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    closing = _CLOSING.search(done.stdout)
    scope = "make test" if whole else "by the clock"
    say(f"{clock!s:<48} {scope:<13} {closing[1] if closing else 'no tests'} in {time.monotonic() - began:.0f} s")
    if done.returncode:
        say(done.stdout + done.stderr)
    return done.returncode == 0


def say(line: str) -> None:
    """Write one line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Run what the command line asks for; 1 where anything failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.clocks", description=__doc__)
    parser.add_argument("numbers", nargs="*", type=int, metavar="N", help="which clocks, counted from 1 (default: all)")
    parser.add_argument("--whole", action="store_true", help="the whole of `make test` at each of them")
    parser.add_argument("--pytest", default="-n auto --dist worksteal", help="more arguments for pytest, in one word")
    asked = parser.parse_args()
    if shim.compiler() is None:
        sys.exit("make test-clocks: there is no C compiler (apt-get install gcc libc6-dev)")
    chosen = [CLOCKS[number - 1] for number in asked.numbers] or list(CLOCKS)
    failed = [clock for clock in chosen if not run(clock, asked.whole or clock.whole, asked.pytest.split())]
    say(f"{len(chosen) - len(failed)} passed, {len(failed)} failed")
    for clock in failed:
        say(f"failed: {clock}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
