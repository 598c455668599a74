"""Redis servers started from configuration files of their own, as ``redis-server@NAME`` starts them."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from waiting import eventually

from dvbboxes import config as configuration
from dvbboxes import install
from dvbboxes.demo.servers import tell
from dvbboxes.model import Config, Endpoint, FailureKind
from dvbboxes.replicas import Kit, Places, kits
from dvbboxes.store import ReplyError, Unanswered, ask

#: The kernel ends it with us, however we end; elsewhere than on Linux it is ended by the ``with`` block alone.
_ORPHANED = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)
os.execv(sys.argv[1], sys.argv[1:])
"""


def debian_server() -> str | None:
    """Return the redis-server on PATH that speaks TLS (the wheel's does not), None where there is none."""
    found = shutil.which("redis-server")
    if found is None:
        return None
    refusal = subprocess.run([found, "--tls-port", "x"], capture_output=True, text=True, check=False)
    return found if "Bad directive" not in refusal.stdout + refusal.stderr else None


@contextlib.contextmanager
def started(binary: str, config: Path, *options: str, log: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server of this configuration file for the length of a ``with`` block."""
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(log.open("ab")) if log else subprocess.DEVNULL
        line = [sys.executable, "-c", _ORPHANED, binary, str(config), *options]
        server = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            yield server
        finally:
            server.kill()
            server.wait()


def replies(endpoint: Endpoint, *commands: Sequence[str], db: int = 0) -> list[object]:
    """Return what a server says, error replies as their text; nothing while it does not answer."""
    try:
        found = ask(endpoint, [(db, tuple(command)) for command in commands], 2.0)
    except Unanswered as error:
        return [error.failure.message] if error.failure.kind is FailureKind.AUTH else []
    return [str(reply) if isinstance(reply, ReplyError) else reply for reply in found]


def link(endpoint: Endpoint) -> Mapping[str, str]:
    """Return the ``INFO replication`` fields of a server; nothing while it does not answer."""
    for reply in replies(endpoint, ("INFO", "replication")):
        if isinstance(reply, bytes):
            return dict(line.split(":", 1) for line in reply.decode().splitlines() if ":" in line)
    return {}


def free_port() -> int:
    """Return a port that nobody has at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


# --- replicas as they are rendered ------------------------------------------------------------------------------------

SECRETS = """
[REDIS]
username=reader
password_file={folder}/passwords/reader
master_username=writer
master_password_file={folder}/passwords/writer
"""


def configured(folder: Path, members: str, extra: str = "") -> Config:
    folder.mkdir(exist_ok=True)
    path = folder / "configuration"
    path.write_text(
        f"[LOG]\nfilepath={folder}/log\nlevel=10\ndatefmt=%d\n[DATA]\nfolder={folder}/data\n[CHANNELS]\n85=Un\n"
        f"{extra.replace('{folder}', str(folder))}\n[CLUSTER:tana]\n{members}\n",
        "utf-8",
    )
    return configuration.load(path)


def places(folder: Path) -> Places:
    for name in ("redis", "lib", "log", "run/redis-a"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return Places(*(str(folder / name) for name in ("redis", "lib", "log", "run", "units")))


@contextlib.contextmanager
def running(redis_server: str, config: Config, where: Places) -> Iterator[Kit]:
    """Run instance ``a``'s replica from the very files that are rendered for it."""
    known = install.passwords(config, config.instances, generate=True)
    (kit,) = kits(config, config.instances, known.by_path, where)
    for file in kit.files[:2]:
        Path(file.path).write_text(file.text)
    with started(redis_server, Path(kit.files[0].path), "--supervised", "no"):
        assert eventually(lambda: link(kit.instance.replica)), Path(where.log, "redis-server-a.log").read_text()
        yield kit


def to_the_master(master: Endpoint, kit: Kit) -> None:
    """Do at a master what the lines for its redis.conf do at its next start."""
    for line in kit.master.splitlines():
        if line.startswith("user "):
            tell(master, [(0, ("ACL", "SETUSER", *line.split()[1:]))])


def locked_pair(folder: Path, master: Endpoint, replica: str = "") -> Config:
    """Configure one instance with passwords; its replica is at a socket in the folder unless another is named."""
    (folder / "etc").mkdir(parents=True, exist_ok=True)
    here = f"unix://{folder}/run/redis-a/redis-server.sock"
    special = f"[INSTANCE:a]\nmaster=127.0.0.1:{master.port}"
    return configured(folder / "etc", f"a={replica or here}\n{special}", SECRETS)
