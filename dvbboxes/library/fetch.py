"""Which copy of a missing file goes where, by which rsync, and in which order: a plan, before anything runs. Pure.

The copy runs on the instance that needs the file, which pulls it from one that has it. It lands beside its place under
a name that dvbbox does not take for a file, and is moved when it is whole: half a film never gets into db 1. What was
copied of it stays, so the next try goes on from there.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from enum import Enum

from dvbboxes.library.needs import Lack
from dvbboxes.model import Duration, DurationKind, Instance

#: How an instance reaches another one, unless --rsh says otherwise: with its own keys, never asking for a password.
RSH = "ssh -o BatchMode=yes"
#: Seconds without a byte after which rsync gives up; the next try goes on where it stopped.
SILENCE = 60


@dataclass(frozen=True, slots=True)
class Manner:
    """How files are copied: ``bwlimit`` in KiB/s a copy (0: none), ``per_source`` copies from one instance at once.

    ``parallel`` is how many copies run at once in all; ``rsh`` is what rsync on the instance reaches another one with.
    """

    bwlimit: int = 0
    per_source: int = 2
    parallel: int = 16
    rsh: str = RSH


@dataclass(frozen=True, slots=True)
class Copy:
    """One file to be pulled onto ``target`` from ``source``; ``script`` is what a shell on the target runs."""

    target: Instance
    source: Instance
    media: str
    script: str


@dataclass(frozen=True, slots=True)
class FetchPlan:
    """All copies, in waves that run one after the other; within one, each instance takes one file at most.

    ``orphans`` maps a file that nobody has a usable copy of to the fqdns that need it, ``withdrawn`` one that is kept
    from air: it is not copied to where it would air.
    """

    waves: tuple[tuple[Copy, ...], ...]
    orphans: Mapping[str, tuple[str, ...]]
    withdrawn: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def copies(self) -> tuple[Copy, ...]:
        """Every copy, in order."""
        return tuple(copy for wave in self.waves for copy in wave)


@dataclass(frozen=True, slots=True)
class MissingMedia:
    """The result of ``media missing``. ``fetch`` is how to mend it, where that was asked for; ``now`` is Unix seconds.

    ``silent`` are instances elsewhere in the fleet that did not say whether they have a copy.
    """

    lacks: tuple[Lack, ...]
    silent: tuple[str, ...]
    days: int
    zone: tzinfo
    channels: Mapping[str, str]
    now: float
    fetch: FetchPlan | None = None


def plan(
    lacks: Sequence[Lack],
    durations: Mapping[str, Mapping[str, Duration]],
    folders: Mapping[tuple[str, str], str],
    instances: Mapping[str, Instance],
    manner: Manner,
    tolerance: float,
    withdrawn: Collection[str] = (),
) -> FetchPlan:
    """Return the copies that end the lacks, the most urgent first; what is ``withdrawn`` (names) is not copied.

    ``durations`` is fqdn -> name -> Duration of the whole fleet; ``folders`` is (fqdn, name) -> the folder in which
    that instance's own programs have the file, where one names it (else its media folder). A copy whose length is not
    the largest known, within ``tolerance`` seconds, is no source: it may be half a file.
    """
    waves: list[list[Copy]] = []
    orphans: dict[str, list[str]] = {}
    kept: dict[str, list[str]] = {}
    for lack in lacks:
        if lack.media in withdrawn:
            kept.setdefault(lack.media, []).append(lack.instance.fqdn)
            continue
        sources = [instances[fqdn] for fqdn in usable(lack, durations, tolerance) if not instances[fqdn].maintenance]
        if not sources:
            orphans.setdefault(lack.media, []).append(lack.instance.fqdn)
            continue
        target = lack.instance
        free = {one.fqdn: _first_free(waves, target, one, manner) for one in sources}
        load = {one.fqdn: sum(copy.source == one for wave in waves for copy in wave) for one in sources}
        source = min(sources, key=lambda one: (one.cluster != target.cluster, free[one.fqdn], load[one.fqdn]))
        number = free[source.fqdn]
        if number == len(waves):
            waves.append([])
        folder = folders.get((source.fqdn, lack.media), source.media_folder)
        waves[number].append(Copy(target, source, lack.media, script(target, source, lack.media, folder, manner)))
    return FetchPlan(tuple(map(tuple, waves)), _fixed(orphans), _fixed(kept))


def _fixed(fqdns: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    return {media: tuple(each) for media, each in fqdns.items()}


def usable(lack: Lack, durations: Mapping[str, Mapping[str, Duration]], tolerance: float) -> tuple[str, ...]:
    """Return the holders (fqdns) whose copy is as long as the longest known; where nobody measured it, all of them."""
    said = {fqdn: durations[fqdn][lack.media] for fqdn in lack.holders}
    measured = {fqdn: one.seconds for fqdn, one in said.items() if one.seconds}
    if measured:
        longest = max(measured.values())
        return tuple(fqdn for fqdn, seconds in measured.items() if longest - seconds <= tolerance)
    return tuple(fqdn for fqdn, one in said.items() if one.kind is DurationKind.UNMEASURED)


def _first_free(waves: Sequence[Sequence[Copy]], target: Instance, source: Instance, manner: Manner) -> int:
    """Return the first wave in which the target takes nothing yet and the source gives to fewer than it may."""
    for number, wave in enumerate(waves):
        given = sum(copy.source == source for copy in wave)
        taken = any(copy.target == target for copy in wave)
        if not taken and given < manner.per_source and len(wave) < manner.parallel:
            return number
    return len(waves)


def script(target: Instance, source: Instance, media: str, folder: str, manner: Manner) -> str:
    """Return what a shell on the target runs: an rsync that can be resumed, then a move into place."""
    here = target.media_folder.rstrip("/")
    part, place = f"{here}/.{media}.part", f"{here}/{media}"
    ssh = source.ssh
    host = f"[{ssh.host}]" if ":" in ssh.host else ssh.host
    there = f"{ssh.user}@{host}" if ssh.user else host
    rsh = f"{manner.rsh} -p {ssh.port}" if ssh.port != 22 else manner.rsh
    # -s: the remote shell sees no word of ours; --partial keeps what was copied when it is cut short.
    words = ["rsync", "-s", "--times", "--partial", f"--timeout={SILENCE}"]
    words += [f"--bwlimit={manner.bwlimit}"] if manner.bwlimit else []
    words += ["-e", rsh, f"{there}:{folder.rstrip('/')}/{media}", part]
    return f"{shlex.join(words)} && {shlex.join(['mv', '-n', '--', part, place])}"


# --- what became of it ------------------------------------------------------------------------------------------------


class Fetch(Enum):
    """What became of one copy; stable codes for JSON. THERE: the replica says so, whatever rsync's status was."""

    THERE = "there"
    UNSEEN = "unseen"  # rsync ended well, and yet the replica does not have it in time
    FAILED = "failed"
    NO_COPY = "no-copy"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class FetchLine:
    """One file on one instance at the end of a fetch; ``source`` empty: nobody had a usable copy."""

    instance: str
    media: str
    source: str
    state: Fetch
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Fetched:
    """The result of ``media missing --fetch --run``."""

    lines: tuple[FetchLine, ...]

    @property
    def whole(self) -> bool:
        """Return whether everything that was missing is there."""
        return all(line.state is Fetch.THERE for line in self.lines)
