"""Real sshd on loopback: one process per host, each with its own port and log, one pair of keys for all of them.

A host for :mod:`dvbbox` has a folder (its ROOT) with disks and a behaviour; ``configure`` makes the configuration of a
fleet reach its instances over ssh. Nothing here needs root; as root, sshd wants ``/run/sshd``.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from waiting import eventually

from dvbboxes.demo.world import World
from dvbboxes.model import SshSettings, SshTarget

ROOT = Path(__file__).parents[2]
DEADLINE = 20.0
_ATTEMPTS = 10
_SESSION = "Starting session: command"


def find_sshd() -> str | None:
    """Return the path of sshd (which wants to be started by it), where the OpenSSH client is there too."""
    found = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    return found if found and shutil.which("ssh") and shutil.which("ssh-keygen") else None


def can_log_in() -> bool:
    """Return whether the user of the tests has a shell that runs what ssh asks for."""
    try:
        shell = pwd.getpwuid(os.getuid()).pw_shell
    except KeyError:
        return False
    return Path(shell).name not in ("nologin", "false")


@dataclass(frozen=True)
class Keys:
    """One host key for every sshd, one client key that all of them accept, and one that none does."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Keys:
        for name in ("host", "client", "stranger"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)], check=True
            )
        (folder / "known_hosts").touch()
        return cls(folder)

    def public(self, name: str) -> str:
        return (self.folder / f"{name}.pub").read_text("utf-8").strip()

    def know(self, port: int) -> None:
        """Accept the host key of the sshd on a port, as an administrator does beforehand."""
        with (self.folder / "known_hosts").open("a") as known:
            known.write(f"[127.0.0.1]:{port} {self.public('host')}\n")

    def options(self, *, key: str = "client", known_hosts: str = "known_hosts") -> tuple[str, ...]:
        """Return what goes into ``[SSH] options`` so that nothing of this machine's own ssh set-up is used."""
        return (
            *("-F", "none", "-i", str(self.folder / key), "-o", "IdentitiesOnly=yes"),
            *("-o", f"UserKnownHostsFile={self.folder / known_hosts}", "-o", "GlobalKnownHostsFile=/dev/null"),
        )


class Sshd:
    """One sshd that runs: ``port``, and what its log says."""

    def __init__(self, keys: Keys, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self._keys = keys
        self._environment = dict(environment or {})
        folder.mkdir(parents=True, exist_ok=True)
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # the folder it locks its children into
        for _ in range(_ATTEMPTS):
            # Between our look and its bind another may take the port: then it ends, and we take the next.
            self.port = _free_port()
            self.process = self._start()
            if self._is_up():
                break
        else:
            raise AssertionError(f"sshd did not start: {self.log}")
        keys.know(self.port)

    @property
    def target(self) -> SshTarget:
        return SshTarget("127.0.0.1", None, self.port)

    @property
    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    @property
    def sessions(self) -> int:
        """How many sessions with a command it has seen."""
        return self.log.count(_SESSION)

    @property
    def connections(self) -> int:
        """How many connections it has let in."""
        return self.log.count("Accepted publickey")

    def close(self) -> None:
        """End it, and the connections that are still open."""
        for pid in _children(self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        # It collects them itself; a container's first process may not.
        eventually(lambda: not _children(self.process.pid), DEADLINE)
        self.process.terminate()
        self.process.wait(DEADLINE)

    def _start(self) -> subprocess.Popen[bytes]:
        config = self.folder / "sshd_config"
        config.write_text(self._config(), "utf-8")
        (self.folder / "log").unlink(missing_ok=True)
        sshd = find_sshd()
        assert sshd is not None
        return subprocess.Popen(
            # setpriv: it goes when we go, even by kill -9.
            [*_until_we_die(), sshd, "-D", "-f", str(config), "-E", str(self.folder / "log")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _config(self) -> str:
        authorized = self.folder / "authorized_keys"
        authorized.write_text(self._keys.public("client") + "\n", "utf-8")
        lines = [
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {self._keys.folder / 'host'}",
            f"AuthorizedKeysFile {authorized}",
            f"PidFile {self.folder / 'pid'}",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication yes",  # so that a stranger would be asked for one
            "PermitRootLogin yes",
            "LogLevel VERBOSE",
            "MaxStartups 200",
            "MaxSessions 50",
        ]
        if self._environment:
            lines.append("SetEnv " + " ".join(f'"{name}={value}"' for name, value in self._environment.items()))
        return "\n".join([*lines, ""])

    def _is_up(self) -> bool:
        eventually(lambda: self.process.poll() is not None or "Server listening" in self.log, DEADLINE)
        if self.process.poll() is None and "Server listening" in self.log:
            return True
        self.process.kill()
        self.process.wait()
        return False


class DvbboxHost:
    """The host of one instance: an sshd, and a ``dvbbox`` on its PATH that knows its master and its disks."""

    def __init__(self, keys: Keys, folder: Path, master_port: int, services: Sequence[str]) -> None:
        self.root = folder / "root"
        tools = folder / "bin"
        tools.mkdir(parents=True)
        (self.root / "disk").mkdir(parents=True)
        known = {"port": master_port, "services": list(services)}
        (self.root / "dvbbox.json").write_text(json.dumps(known), "utf-8")
        command = shlex.join([sys.executable, "-P", str(Path(__file__).with_name("dvbbox.py"))])
        (tools / "dvbbox").write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {command} "$@"\n', "utf-8")
        (tools / "dvbbox").chmod(0o755)
        path = f"{tools}:/usr/local/bin:/usr/bin:/bin"
        self.sshd = Sshd(keys, folder / "sshd", {"DVBBOX_ROOT": str(self.root), "PATH": path})

    def put(self, *paths: str) -> None:
        """Put (empty) files on its disks, by the paths they have there: ``/opt/tsfiles/film_a.ts``."""
        for path in paths:
            file = self.root / "disk" / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()

    def behave(self, how: str = "") -> None:
        """Make its dvbbox misbehave (``hang``, ``exit 1``, ``flood 8``, ``prompt``, ``slow 1``); empty: no longer."""
        (self.root / "behaviour").write_text(how, "utf-8")

    @property
    def calls(self) -> list[list[str]]:
        """The arguments of every call of its dvbbox, in order."""
        path = self.root / "calls"
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        return [json.loads(line)["arguments"] for line in lines]

    @property
    def pids(self) -> list[int]:
        """The processes that its calls were."""
        path = self.root / "calls"
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        return [int(json.loads(line)["pid"]) for line in lines]

    def close(self) -> None:
        self.sshd.close()


@dataclass(frozen=True)
class Hosts:
    """The hosts of a fleet, by fqdn, and a configuration file by which they are reached (``[SSH] update=yes``)."""

    by_name: Mapping[str, DvbboxHost]
    config_path: Path

    def __getitem__(self, fqdn: str) -> DvbboxHost:
        return self.by_name[fqdn]

    def close(self) -> None:
        for host in self.by_name.values():
            host.close()


def start_hosts(keys: Keys, folder: Path, world: World) -> Hosts:
    """Start an sshd for every instance of a fleet and write a configuration like the fleet's that uses them."""
    started: dict[str, DvbboxHost] = {}
    with contextlib.ExitStack() as stack:
        for fqdn in world.layout.fqdns:
            port = world.master(fqdn).port
            started[fqdn] = DvbboxHost(keys, folder / fqdn, port, list(world.layout.channels))
            stack.callback(started[fqdn].close)
        stack.pop_all()  # all of them are up: they are the caller's to close
    targets = {fqdn: host.sshd.target for fqdn, host in started.items()}
    config_path = folder / "configuration"
    config_path.write_text(configured(world.config_path.read_text("utf-8"), targets, keys.options()), "utf-8")
    return Hosts(started, config_path)


def configured(text: str, targets: Mapping[str, SshTarget], options: Sequence[str], settings: str = "") -> str:
    """Return a fleet's configuration with ssh in it: the targets, the options, more lines of ``[SSH]``."""
    ssh = f"[SSH]\nupdate=yes\noptions={shlex.join(options)}\n{settings}"
    assert "[SSH]\nupdate=no" in text
    text = text.replace("[SSH]\nupdate=no", ssh.rstrip("\n"))
    for fqdn, target in targets.items():
        section = f"[INSTANCE:{fqdn}]\n"
        assert section in text
        text = text.replace(section, f"{section}ssh_host={target.host}\nssh_port={target.port}\n")
    return text


def settings_for(keys: Keys, *, key: str = "client", known_hosts: str = "known_hosts", **more: object) -> SshSettings:
    """Return ``[SSH]`` settings that use our keys and nothing of this machine's own."""
    return SshSettings(options=keys.options(key=key, known_hosts=known_hosts), **more)  # type: ignore[arg-type]  # each test gives the fields it means


def _until_we_die() -> list[str]:
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM"] if setpriv else []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(each) for each in path.read_text().split()] if path.exists() else []
