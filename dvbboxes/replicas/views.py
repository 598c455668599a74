"""The results of the ``replicas`` commands. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from dvbboxes.replicas import Kit
from dvbboxes.replicas.block import Found


@dataclass(frozen=True, slots=True)
class Change:
    """One file against what is meant to be in it. ``diff`` are lines, empty for a secret; ``written``: it is done."""

    path: str
    found: Found
    diff: tuple[str, ...]
    secret: bool
    written: bool = False


@dataclass(frozen=True, slots=True)
class ReplicasRendered:
    """The result of ``replicas render``. ``folder`` None: nothing was written, the files are shown."""

    kits: tuple[Kit, ...]
    folder: str | None
    generated: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReplicasInstalled:
    """The result of ``replicas install``. ``done`` False: a dry run, or the operator said no.

    ``kept`` are paths that were left alone, ``steps`` the systemctl lines that were run (or, in a dry run, would be),
    ``by_hand`` what is left to do by hand, ``elsewhere`` the instances whose replica is on another host.
    """

    changes: tuple[Change, ...]
    done: bool
    kept: tuple[str, ...]
    generated: tuple[str, ...]
    steps: tuple[str, ...]
    by_hand: tuple[str, ...]
    elsewhere: tuple[str, ...]
    problems: tuple[str, ...]
    masters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """What can be seen of a running replica from this machine; None: not by this user, or not from here.

    ``stale_binary``: the file it was started from was replaced since; ``stale_file``: its configuration was changed
    since it started; ``as_rendered``: the files are as dvbboxes would write them now.
    """

    stale_binary: bool | None = None
    stale_file: bool | None = None
    as_rendered: bool | None = None


class Level(Enum):
    """What a finding means."""

    OK = "ok"
    WRONG = "wrong"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at (``what``: master, link, user, version, file, process) and what was seen."""

    what: str
    level: Level
    says: str


@dataclass(frozen=True, slots=True)
class VerifiedReplica:
    """One replica that runs against the one the configuration asks for."""

    town: str
    fqdn: str
    unit: str
    findings: tuple[Finding, ...]

    @property
    def wrong(self) -> tuple[Finding, ...]:
        """What is not as it should be."""
        return tuple(finding for finding in self.findings if finding.level is Level.WRONG)


@dataclass(frozen=True, slots=True)
class ReplicasVerified:
    """The result of ``replicas verify``."""

    replicas: tuple[VerifiedReplica, ...]
