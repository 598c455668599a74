"""Is a process still running? Asked of ``/proc`` where there is one."""

from __future__ import annotations

import os
from pathlib import Path


def started_at(pid: int) -> str:
    """Return a text that tells this process from a later one of the same number; empty if it is dead.

    Dead includes a zombie: an orphan that exited may never be collected. One whose other threads still run is not dead
    yet: its port still accepts. Without ``/proc`` (macOS) the text is the same for every living process.
    """
    if not Path("/proc/self/stat").exists():
        return "alive" if _signalled(pid) else ""
    try:
        # The command in parentheses may hold spaces and parentheses itself: count from the last one.
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    dead = fields[0] == "X" or (fields[0] == "Z" and int(fields[17]) <= 1)
    return "" if dead else fields[19]


def is_alive(pid: int, started: str) -> bool:
    """Return whether the process that had this :func:`started_at` still runs (stopped by SIGSTOP counts as running)."""
    return started != "" and started_at(pid) == started


def _signalled(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
