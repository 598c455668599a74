"""Towns of real instances on this machine: a master and a replica each, and the configuration file that names them.

The demo fleet is one such world, the tests and the bench make others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dvbboxes.demo.servers import DEADLINE, Server, Servers, Wanted, launch, tell
from dvbboxes.errors import ServerStartError
from dvbboxes.model import Config
from dvbboxes.wire import Command

CONFIGURATION = "configuration"


@dataclass(frozen=True, slots=True)
class Layout:
    """A fleet to build: town -> fqdns, service id -> channel name; ``settings`` are lines for every server.

    ``extra`` is more text for the end of the configuration file.
    """

    towns: Mapping[str, tuple[str, ...]]
    channels: Mapping[str, str]
    settings: tuple[str, ...] = ()
    extra: str = ""

    @property
    def fqdns(self) -> tuple[str, ...]:
        """Every instance, in the order of the file."""
        return tuple(fqdn for fqdns in self.towns.values() for fqdn in fqdns)


@dataclass(frozen=True, slots=True)
class World:
    """A fleet that runs: its servers, and the configuration file (``config_path``) that describes it."""

    layout: Layout
    servers: Servers
    config_path: Path

    def config(self) -> Config:
        """Return the configuration file as the rest of the package reads it."""
        from dvbboxes import config

        return config.load(self.config_path)

    def master(self, fqdn: str) -> Server:
        """Return the master of an instance."""
        return self.servers[master_name(fqdn)]

    def replica(self, fqdn: str) -> Server:
        """Return the replica of an instance."""
        return self.servers[replica_name(fqdn)]

    def freeze(self, *servers: Server) -> None:
        """Stop servers as they are (SIGSTOP): they accept connections and answer nothing."""
        for server in servers:
            self.servers.freeze(server.name)

    def resume(self, *servers: Server) -> None:
        """Let frozen servers go on."""
        for server in servers:
            self.servers.resume(server.name)

    def kill(self, *servers: Server) -> None:
        """Kill servers, so that their ports refuse connections."""
        for server in servers:
            self.servers.kill(server.name)

    def restart(self, *servers: Server) -> None:
        """Start dead servers again on their ports, empty; replicas begin to follow their masters."""
        for server in servers:
            self.servers.restart(server.name)

    def load(self, commands: Mapping[str, Sequence[Command]]) -> None:
        """Send commands to the masters, by fqdn, and wait until the replicas have what came of them."""
        for fqdn, each in commands.items():
            tell(self.master(fqdn).endpoint, each)
        self.servers.wait_in_sync()

    def wipe(self) -> None:
        """Undo whatever was done to the servers and empty them all."""
        self.servers.mend()
        self.load({fqdn: [(0, ("FLUSHALL",))] for fqdn in self.layout.fqdns})

    def close(self) -> None:
        """End the servers and remove their folder."""
        self.servers.close()


def build(folder: Path, layout: Layout, *, deadline: float = DEADLINE, lock: Iterable[int] = ()) -> World:
    """Start a fleet in ``folder`` and write its configuration there; every replica is in sync.

    ``deadline`` in seconds; ``lock`` as in :func:`dvbboxes.demo.servers.launch`. Raises ServerStartError, with nothing
    left running.
    """
    wanted = []
    for fqdn in layout.fqdns:
        wanted.append(Wanted(master_name(fqdn), None, layout.settings))
        wanted.append(Wanted(replica_name(fqdn), master_name(fqdn), layout.settings))
    servers = launch(folder, wanted, deadline=deadline, lock=lock)
    config_path = servers.folder / CONFIGURATION
    try:
        config_path.write_text(configuration(layout, servers.by_name, servers.folder), "utf-8")
    except OSError as error:
        servers.close()
        raise ServerStartError(f"{config_path} cannot be written: {error.strerror}") from error
    return World(layout, servers, config_path)


def configuration(layout: Layout, servers: Mapping[str, Server], folder: Path) -> str:
    """Return the configuration file (SPEC 3) of a fleet whose servers run: log and data stay in its folder."""
    lines = [
        "# Written by dvbboxes for a fleet on this machine; it goes when the fleet goes.",
        "[LOG]",
        f"filepath={folder / 'log' / 'dvbboxes.log'}",
        "level=20",
        "datefmt=%d-%m-%Y %H:%M:%S",
        "",
        "[DATA]",
        f"folder={folder / 'data'}",
        "",
        "[CHANNELS]",
        *(f"{sid}={name}" for sid, name in layout.channels.items()),
        "",
        "[SSH]",
        "update=no",
    ]
    for town, fqdns in layout.towns.items():
        lines += ["", f"[CLUSTER:{town}]", *(f"{fqdn}={servers[replica_name(fqdn)].port}" for fqdn in fqdns)]
    for fqdn in layout.fqdns:
        lines += ["", f"[INSTANCE:{fqdn}]", f"master=127.0.0.1:{servers[master_name(fqdn)].port}"]
    return "\n".join([*lines, "", layout.extra, ""])


def master_name(fqdn: str) -> str:
    """Return how the master of an instance is called among the servers of a world."""
    return f"{fqdn}-master"


def replica_name(fqdn: str) -> str:
    """Return how the replica of an instance is called among the servers of a world."""
    return f"{fqdn}-replica"
