"""The process that owns our Redis servers: ``python -m dvbboxes.demo.keeper``, started by :mod:`dvbboxes.demo.servers`.

It talks with the process that started it in lines of JSON, orders on stdin and answers on stdout:

* first ``{"folder", "binary", "deadline", "servers": {name: [configuration lines]}}``, answered by
  ``{"servers": {name: {"port", "pid"}}}`` once all of them accept connections, or by ``{"error": text}``;
* ``{"start": name}``: start that dead server again on its port; answered by ``{"port", "pid"}`` or an error;
* ``{"stay": true}``: from now on live until SIGTERM, whatever becomes of the one that started it (the demo).

Without a ``stay``, the end of stdin is the end: the servers are killed and the folder is removed. So nothing outlives a
parent killed with -9. When the keeper itself is killed with -9 the kernel kills the servers (Linux); the folder is left
to the next start. The keeper is single-threaded, and has to be: the kernel's promise follows the thread that forked.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

LOG_NAME = "log"
_PR_SET_PDEATHSIG = 1
_READY = "Ready to accept connections"
_IN_USE = "Address already in use"
_POLL_MS = 5
_PORT_ATTEMPTS = 20


class CannotStart(Exception):
    """A server did not come up; the text carries the end of its log."""


@dataclass(slots=True)
class _Owned:
    """One server of this keeper; ``seen`` is how long its log was when this run of it began."""

    name: str
    folder: Path
    lines: Sequence[str]
    port: int = 0
    seen: int = 0
    attempts: int = 0
    process: subprocess.Popen[bytes] | None = None

    def log(self) -> str:
        """Return what this run of the server has logged."""
        return (self.folder / LOG_NAME).read_bytes()[self.seen :].decode("utf-8", "replace")

    def answer(self) -> dict[str, int]:
        """Return port and pid, as they are told to the one who asked."""
        return {"port": self.port, "pid": self.process.pid if self.process else 0}


@dataclass(slots=True)
class Keeper:
    """All servers of one folder. ``deadline`` is how many seconds a start may take, for all of them together."""

    folder: Path
    binary: str
    deadline: float
    owned: dict[str, _Owned] = field(default_factory=dict)

    def start_all(self, servers: Mapping[str, Sequence[str]]) -> dict[str, dict[str, int]]:
        """Start every server on a free loopback port; return name -> port and pid. Raises CannotStart."""
        for (name, lines), port in zip(servers.items(), free_ports(len(servers)), strict=True):
            folder = self.folder / name
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.owned[name] = _Owned(name, folder, lines, port)
            self._spawn(self.owned[name])
        self._wait_ready(list(self.owned.values()), lambda: free_ports(1)[0])
        return {name: owned.answer() for name, owned in self.owned.items()}

    def start_again(self, name: str) -> dict[str, int]:
        """Start one dead server again on the port it had; a living one is left alone. Raises CannotStart."""
        owned = self.owned[name]
        if owned.process is None or owned.process.poll() is not None:
            owned.attempts = 0
            self._spawn(owned)
            self._wait_ready([owned], lambda: owned.port)
        return owned.answer()

    def reap(self) -> None:
        """Collect the servers that ended, so that none stays as a zombie."""
        for owned in self.owned.values():
            if owned.process is not None:
                owned.process.poll()

    def end(self) -> None:
        """Kill every server and remove the folder. SIGKILL at once: nothing in it is to be saved, and a stopped
        (SIGSTOP) server hears no other signal."""
        for owned in self.owned.values():
            if owned.process is not None:
                owned.process.kill()
        for owned in self.owned.values():
            if owned.process is not None:
                owned.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _spawn(self, owned: _Owned) -> None:
        log = owned.folder / LOG_NAME
        owned.seen = log.stat().st_size if log.exists() else 0
        owned.attempts += 1
        (owned.folder / "server.conf").write_text("\n".join([*owned.lines, f"port {owned.port}", ""]), "utf-8")
        with log.open("ab") as output:
            owned.process = subprocess.Popen(
                [self.binary, "server.conf"],
                cwd=owned.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=_die_with_parent(os.getpid()),  # safe: this process has one thread
            )

    def _wait_ready(self, starting: Sequence[_Owned], next_port: Callable[[], int]) -> None:
        """Wait until each has said so in its own log (someone else's server might answer on a port it did not get)."""
        end = time.monotonic() + self.deadline
        gone = hung_up()
        waiting = list(starting)
        while waiting:
            for owned in list(waiting):
                # Whether it runs is read before its log: what it says last is then in the log.
                running = owned.process is not None and owned.process.poll() is None
                text = owned.log()
                if running and _READY in text:
                    waiting.remove(owned)
                elif not running:
                    if _IN_USE not in text or owned.attempts >= _PORT_ATTEMPTS:
                        raise CannotStart(f"{self.binary} for {owned.name} ended at once: {_tail(text)}")
                    owned.port = next_port()
                    self._spawn(owned)
            if waiting and time.monotonic() > end:
                names = ", ".join(owned.name for owned in waiting)
                raise CannotStart(f"not ready after {self.deadline:g} s: {names}: {_tail(waiting[0].log())}")
            if waiting and gone.poll(_POLL_MS):
                raise CannotStart("the one who wanted them is gone")


def hung_up() -> select.poll:
    """Return a poll that only the end of our stdin wakes before its time."""
    end = select.poll()
    end.register(0, 0)
    return end


def free_ports(count: int) -> list[int]:
    """Return that many different loopback ports that were free a moment ago (another may take one: retry)."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _tail(text: str, lines: int = 3) -> str:
    return " / ".join(text.strip().splitlines()[-lines:]) or "(its log is empty)"


def _die_with_parent(parent: int) -> Callable[[], None] | None:
    """Return what a child runs between fork and exec so that the kernel kills it when the keeper dies (Linux)."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def ask_kernel() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died between the fork and the call: the promise came too late
            os._exit(1)

    return ask_kernel


def _say(answer: Mapping[str, Any]) -> None:
    os.write(1, json.dumps(answer).encode() + b"\n")


def _obey(keeper: Keeper) -> None:
    """Follow orders until stdin ends, or, told to stay, for ever (a signal ends that)."""
    for line in sys.stdin.buffer:
        order = json.loads(line)
        if "stay" in order:
            _detach()
            while True:
                signal.pause()
        try:
            _say(keeper.start_again(order["start"]))
        except CannotStart as error:
            _say({"error": str(error)})


def _detach() -> None:
    """Say that the order was understood, then let go of both pipes."""
    _say({"stay": True})
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)


def main() -> int:
    """Own the servers of one order from stdin until it ends; return the exit status."""
    order = json.loads(sys.stdin.buffer.readline() or b"null")
    if order is None:
        return 0
    keeper = Keeper(Path(order["folder"]), order["binary"], order["deadline"])

    def leave(_signal: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, leave)
    signal.signal(signal.SIGCHLD, lambda _signal, _frame: keeper.reap())
    try:
        _say({"servers": keeper.start_all(order["servers"])})
        _obey(keeper)
    except (CannotStart, OSError) as error:
        with contextlib.suppress(BrokenPipeError):  # nobody is there to be told
            _say({"error": str(error)})
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_IGN if number != signal.SIGCHLD else signal.SIG_DFL)
        keeper.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
