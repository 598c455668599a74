"""A small fleet with disks and ssh, and the commands on its files run in this process: what their tests share.

Every instance is a host with sshd and dvbbox; its media folder is a real one. A file's length on disk is its duration.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import sshd
from applying import DAY, Program, Stage, program
from stages import Shown

from dvbboxes.demo.servers import tell
from dvbboxes.demo.world import World
from dvbboxes.wire import Command, program_key

#: Another length than SECONDS has, where a test needs files of its own: whole seconds, as a disk holds them.
LENGTHS = {"film": 59000, "clip": 1800, "jt": 900}


@dataclass
class Studio:
    """A fleet with disks. ``put`` gives files; programs and db 1 are loaded as the disks are."""

    stage: Stage
    hosts: sshd.Hosts

    @classmethod
    def build(cls, world: World, folder: Path, hosts: sshd.Hosts) -> Studio:
        stage = Stage(world, folder, hosts.config_path)
        for fqdn in world.layout.fqdns:
            stage.setting(fqdn, f"media_folder={cls.folder_of(hosts, fqdn)}")
        return cls(stage, hosts)

    @staticmethod
    def folder_of(hosts: sshd.Hosts, fqdn: str) -> Path:
        return hosts[fqdn].root / "disk" / "opt" / "tsfiles"

    def folder(self, fqdn: str) -> Path:
        return self.folder_of(self.hosts, fqdn)

    @property
    def fqdns(self) -> tuple[str, ...]:
        return tuple(self.stage.world.layout.fqdns)

    def load(
        self,
        programs: Mapping[date, Sequence[str]] | None = None,
        *,
        without: Mapping[str, Sequence[str]] | None = None,
        sid: str = "85",
        **extra: Sequence[str],
    ) -> None:
        """Give every instance LENGTHS on disk and in db 1 (but for ``without``), and these programs.

        ``extra``: more files by fqdn (``town1_1``), of 600 seconds each.
        """
        loads: dict[str, list[Command]] = {}
        for fqdn in self.fqdns:
            lacking = (without or {}).get(fqdn, ())
            files = {name: length for name, length in LENGTHS.items() if name not in lacking}
            files |= dict.fromkeys(extra.get(fqdn.replace("-", "_"), ()), 600)
            self.disk(fqdn, files)
            pairs = [part for name, length in files.items() for part in (f"{name}.ts", length)]
            loads[fqdn] = [(1, ("MSET", *pairs))]
            for day, names in (programs or {}).items():
                loads[fqdn].append(self.storing(fqdn, names, day, sid))
        self.stage.world.load(loads)

    def disk(self, fqdn: str, files: Mapping[str, int]) -> None:
        folder = self.folder(fqdn)
        folder.mkdir(parents=True, exist_ok=True)
        for name, length in files.items():
            (folder / f"{name}.ts").write_bytes(b"x" * length)

    def entries(self, fqdn: str, names: Sequence[str], day: date = DAY) -> Program:
        return program(*names, day=day, folder=str(self.folder(fqdn)))

    def storing(self, fqdn: str, names: Sequence[str], day: date = DAY, sid: str = "85") -> Command:
        pairs = [part for member, start in self.entries(fqdn, names, day) for part in (start, member)]
        return (0, ("ZADD", program_key(day, sid), *pairs))

    def has(self, fqdn: str, name: str) -> bool:
        return (self.folder(fqdn) / f"{name}.ts").exists()

    def listed(self, fqdn: str, name: str, replica: bool = False) -> bool:
        """Return whether db 1 of the master (or the replica) has a file."""
        server = self.stage.world.replica(fqdn) if replica else self.stage.world.master(fqdn)
        return bool(tell(server.endpoint, [(1, ("EXISTS", f"{name}.ts"))])[0])

    def names(self, fqdn: str, day: date = DAY, sid: str = "85") -> list[str]:
        """Return the files of a master's program, by start."""
        return [Path(member.rpartition(":")[0]).stem for member, _ in self.stage.master(fqdn, day, sid)]

    def rsh(self) -> str:
        """Return how one host of this machine reaches another."""
        keys = self.hosts[self.fqdns[0]].sshd._keys
        return shlex.join(["ssh", "-o", "BatchMode=yes", *keys.options()])

    def run(self, command: str, *words: Any, **options: Any) -> Shown:
        """Run a command of media or program; ``now`` is the time, ``progress`` told how far it is."""
        return self.stage.run(command, *words, **options)
