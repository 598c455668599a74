"""One writing run at a time in a data folder: an flock on ``<data>/lock``, with a text in it that says who holds it.

The kernel lets go of the lock when its process ends, however it ends. The text is only words: one that a killed run
left is told from its holder's by the process it names.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from dvbboxes.errors import JournalError, Locked

FILE = "lock"
#: Seconds that a new holder may take to write who it is, on a machine that is busy.
PATIENCE = 2.0
_POLL = 0.01
_MODE = 0o664
_LONGEST = 64 * 1024


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the lock: process, when that process started (kernel's word, empty: unknown), and what it does.

    ``since`` is Unix seconds.
    """

    pid: int
    process_start: str
    who: str
    host: str
    since: float
    command: str


@contextmanager
def hold(
    folder: str | os.PathLike[str], who: str, command: str, now: float, *, patience: float = PATIENCE
) -> Iterator[Holder]:
    """Hold the lock of a data folder for the length of the block; ``now`` is Unix seconds.

    A lock that is held is not waited for; ``patience`` is how many seconds may pass until it is known by whom.
    Children do not inherit it. Raises Locked, saying who holds it, where another run does; JournalError where the
    folder does not let us lock.
    """
    path = Path(folder) / FILE
    descriptor = _opened(path)
    try:
        _acquire(descriptor, path, patience)
        holder = Holder(os.getpid(), _process_start(os.getpid()), who, os.uname().nodename, now, command)
        _write(descriptor, path, holder)
        try:
            yield holder
        finally:
            with contextlib.suppress(OSError):  # it is only words: whoever reads them checks them
                os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
    except OSError as error:
        raise _unusable(path, error) from error


def _acquire(descriptor: int, path: Path, patience: float) -> None:
    """Lock, or raise Locked once it is known who holds it, or that this cannot be known."""
    end = time.monotonic() + patience
    while not _try(descriptor, path):
        holder = _read(descriptor)
        if holder is not None and _lives(holder):
            raise Locked(_said(path, holder))
        if time.monotonic() >= end:
            raise Locked(f"{path}: another run holds the lock; who it is cannot be read there: try again later")
        time.sleep(_POLL)


def _try(descriptor: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise _unusable(path, error) from error
    return True


def _write(descriptor: int, path: Path, holder: Holder) -> None:
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(asdict(holder)).encode() + b"\n", 0)
    except OSError as error:
        raise _unusable(path, error) from error


def _read(descriptor: int) -> Holder | None:
    """Return what stands in the file; None where it is nothing, half written, or not ours."""
    try:
        found = json.loads(os.pread(descriptor, _LONGEST, 0))
        return Holder(
            int(found["pid"]), str(found["process_start"]), str(found["who"]), str(found["host"]),
            float(found["since"]), str(found["command"]),
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, OSError):
        return None


def _lives(holder: Holder) -> bool:
    """Return whether that very process is still there; of another host we can only believe it."""
    if holder.host != os.uname().nodename:
        return True
    if holder.process_start:
        return _process_start(holder.pid) == holder.process_start
    try:
        os.kill(holder.pid, 0)
    except PermissionError:
        return True  # another user's
    except (ProcessLookupError, OverflowError):
        return False
    return True


def _process_start(pid: int) -> str:
    """Return when a process started, in the kernel's ticks; empty where there is no /proc, or no such process alive."""
    try:
        # The name of the program stands in parentheses and may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        state, start = fields[0], fields[19]
    except (OSError, IndexError):
        return ""
    return "" if state in "ZX" else start  # a dead one that nobody has waited for yet holds nothing


def _said(path: Path, holder: Holder) -> str:
    since = time.strftime("%d-%m-%Y %H:%M:%S", time.localtime(holder.since))
    text = (
        f"{path}: another run holds the lock: {holder.who} on {holder.host}, process {holder.pid}, "
        f"since {since}: {holder.command}: wait until it ends"
    )
    return "".join(c if c.isprintable() else "?" for c in text)


def _unusable(path: Path, error: OSError) -> JournalError:
    return JournalError(f"{path}: the lock cannot be taken ({error.strerror}): look at [DATA] folder and its rights")
