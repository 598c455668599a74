"""What dvbbox itself did on each host, command by command. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HostLine:
    """One command on one instance's host. ``status`` None: it is not known how it ended, ``said`` says why.

    ``said`` is the end of its output; ``changed`` are the programs (``ddmmyyyy:sid``) that are others than before.
    """

    instance: str
    command: str
    status: int | None
    said: str
    changed: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Return whether it ended with status 0."""
        return self.status == 0


@dataclass(frozen=True, slots=True)
class HostRuns:
    """The result of ``media update`` and ``program update``. ``notes`` are for the operator."""

    lines: tuple[HostLine, ...]
    notes: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Return whether every command ended well."""
        return all(line.ok for line in self.lines)
