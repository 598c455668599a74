"""Processes of dvbboxes that find everything imported, and are killed when we say: a start costs 5 ms, not 200."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import processes  # found by conftest

#: Reads orders, a JSON line each, and answers each with one. An order has command lines, each run by a child of its
#: own, all of them let go at the same moment; and when they are to be killed with -9: after so many seconds, or at so
#: many calls after the first one of the function named (a child that is only stopped there waits for another line).
_WARM = """
import gc, json, os, select, signal, sys, tempfile, time
sys.path.insert(0, sys.argv[1])
import waits
import dvbboxes.main, dvbboxes.config, dvbboxes.apply.run, dvbboxes.remote, dvbboxes.render.wishes, dvbboxes.undo
import dvbboxes.commands.listing, dvbboxes.commands.rollback, dvbboxes.commands.resuming, dvbboxes.commands.history
import dvbboxes.journal, dvbboxes.lock, dvbboxes.listing, dvbboxes.questions, dvbboxes.render.report, sqlite3, zoneinfo
gc.freeze()

def counting(order, found):
    name, last, what = order["function"], order["calls"], getattr(signal, order["signal"])
    count = [-1]

    def seen(frame, event, argument):
        if count[0] < 0:
            if event == "call" and frame.f_code.co_qualname == name:
                count[0] = 0
        elif event in ("call", "c_call", "c_return"):
            count[0] += 1
            if count[0] == last:
                os.kill(os.getpid(), what)
    sys.setprofile(seen)
    return count

def child(order, arguments, out, err, calls, gate):
    os.read(gate, 1)
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.argv = ["dvbboxes", *arguments]
    counted = waits.counted()
    waited = None
    if order["now"] is not None:
        time.time = lambda: order["now"]
        waited = counted.__enter__()
    count = counting(order, calls) if order["function"] else [0]
    status = 1
    try:
        dvbboxes.main.cli()
    except SystemExit as ended:
        status = ended.code or 0
    sys.setprofile(None)
    os.pwrite(calls.fileno(), json.dumps([count[0], waited.in_vain if waited else 0]).encode(), 0)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)

def start(order):
    gate, open_gate = os.pipe()
    started = []
    for arguments in order["lines"]:
        files = [tempfile.TemporaryFile() for _ in range(3)]
        pid = os.fork()
        if pid == 0:
            os.close(open_gate)
            child(order, arguments, *files, gate)
        started.append((pid, *files))
    os.close(gate)
    began = time.monotonic()
    os.close(open_gate)
    return began, started

def content(file):
    file.seek(0)
    with file:
        return file.read().decode("utf-8", "replace")

def end(began, started):
    answer = []
    for pid, *files in started:
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        seconds = time.monotonic() - began
        out, err, calls = map(content, files)
        answer.append([status, out, err, seconds, *json.loads(calls or "[-1, 0]")])
    return answer

def say(answer):
    sys.stdout.write(json.dumps(answer) + "\\n")
    sys.stdout.flush()

for line in sys.stdin:
    order = json.loads(line)
    began, started = start(order)
    if order["seconds"] is not None:
        select.poll().poll(order["seconds"] * 1000)
        for pid, *_ in started:
            os.kill(pid, signal.SIGKILL)
    if order["signal"] == "SIGSTOP":
        _, how = os.waitpid(started[0][0], os.WUNTRACED)
        say(os.WIFSTOPPED(how))
        sys.stdin.readline()
        os.kill(started[0][0], signal.SIGCONT)
    say(end(began, started))
"""


@dataclass(frozen=True)
class Point:
    """Where in a run something is to happen: after ``seconds``, or at so many ``calls`` after one of ``function``."""

    seconds: float | None = None
    function: str = ""
    calls: int = 0

    def __str__(self) -> str:
        return f"{self.seconds:.3f} s" if self.seconds is not None else f"{self.calls} calls after {self.function}"


NEVER = Point()


@dataclass(frozen=True)
class Ended(processes.Ran):
    """What one run did, and how many calls it made after the function that was named (-1: it was killed).

    ``waited`` is how long it waited for servers in vain (waits.py), where it runs at a moment that is given.
    """

    calls: int
    waited: float


@dataclass(frozen=True)
class Warm:
    """The process whose children the command lines are; a context manager that ends it."""

    process: subprocess.Popen[str]
    #: The moment at which all of them run; None: by the real clock.
    now: float | None = None

    @classmethod
    def start(cls, config: Path, now: float | None = None) -> Warm:
        return cls(
            subprocess.Popen(
                [sys.executable, "-c", _WARM, str(Path(__file__).parent)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=processes.environment(config, {}),
            ),
            now,
        )

    def __enter__(self) -> Warm:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self.process.wait()

    def _order(self, lines: Sequence[Sequence[str]], at: Point, signal: str) -> None:
        order: dict[str, Any] = {"lines": [list(line) for line in lines], "signal": signal, "now": self.now}
        order |= {"seconds": at.seconds, "function": at.function, "calls": at.calls}
        self._say(json.dumps(order))

    def _say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def _hear(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def run(self, *arguments: str, kill: Point = NEVER) -> Ended:
        """Run one command line; it is killed there with -9."""
        self._order([arguments], kill, "SIGKILL")
        return Ended(*self._hear()[0])

    def run_all(self, *lines: Sequence[str]) -> list[Ended]:
        """Run command lines, all let go at the same moment."""
        self._order(lines, NEVER, "SIGKILL")
        return [Ended(*one) for one in self._hear()]

    def run_and(self, *arguments: str, at: Point, then: Callable[[], None]) -> Ended:
        """Run one command line, stopped there for as long as ``then`` takes; ``at`` must be a point it comes to."""
        self._order([arguments], at, "SIGSTOP")
        assert self._hear() is True
        then()
        self._say("go on")
        return Ended(*self._hear()[0])
