"""Two hosts, each in a network namespace of its own, and the cable between them is pulled: real outage, real states."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redises
from processes import LONG, Ran, environment
from waiting import eventually

from dvbboxes import config as configuration
from dvbboxes import install
from dvbboxes.replicas import Places, kits

#: The seconds that TCP takes to notice a pulled cable: run by make test-slow.
pytestmark = pytest.mark.slow

MASTER, REPLICA = "10.231.77.1", "10.231.77.2"


@dataclass(frozen=True)
class Hosts:
    """A master's host and the aggregating one, with a cable between them."""

    names: tuple[str, str]
    folder: Path
    config: Path

    def cable(self, state: str) -> None:
        _ip("-n", self.names[0], "link", "set", "cable", state)

    def run(self, *words: str) -> Ran:
        """Run dvbboxes on the aggregating host."""
        line = ["ip", "netns", "exec", self.names[1], sys.executable, "-m", "dvbboxes", *words]
        done = subprocess.run(line, env=environment(self.config, {}), capture_output=True, text=True, timeout=LONG)
        return Ran(done.returncode, done.stdout, done.stderr, 0.0)

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("cluster", "status", "--format", "json").out)
        envelope: dict[str, Any] = found["instances"]["a"]
        instance: dict[str, Any] = found["data"]["instances"][0]
        return envelope | instance

    def becomes(self, state: str) -> bool:
        return eventually(lambda: self.status()["state"] == state)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def _namespaces_work() -> bool:
    if shutil.which("ip") is None or os.geteuid() != 0:
        return False
    name = f"dvbboxes-try-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode == 0
    if made:
        _ip("netns", "del", name)
    return made


@pytest.fixture
def hosts(
    need: Callable[[object, str], None], redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hosts]:
    need(_namespaces_work(), "there are no network namespaces (root, and apt-get install iproute2)")
    folder = tmp_path_factory.mktemp("cable")
    names = (f"dvbboxes-m-{os.getpid()}", f"dvbboxes-r-{os.getpid()}")
    with ExitStack() as stack:
        for name in names:
            _ip("netns", "add", name)
            stack.callback(_ip, "netns", "del", name)
        _ip("-n", names[0], "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", names[1])
        for name, address in zip(names, (MASTER, REPLICA), strict=True):
            _ip("-n", name, "address", "add", f"{address}/30", "dev", "cable")
            for device in ("lo", "cable"):
                _ip("-n", name, "link", "set", device, "up")
        yield _two_hosts(stack, names, folder, redis_server)


def _two_hosts(stack: ExitStack, names: tuple[str, str], folder: Path, binary: str) -> Hosts:
    config = redises.configured(folder / "etc", f"a=6381\n[INSTANCE:a]\nmaster={MASTER}:6379")
    where = Places(*(str(folder / name) for name in ("redis", "lib", "log", "run", "units")))
    for name in ("redis", "lib", "log", "run/redis-a"):
        (folder / name).mkdir(parents=True)
    (kit,) = kits(config, config.instances, install.passwords(config, config.instances, generate=True).by_path, where)
    for file in kit.files[:2]:
        Path(file.path).write_text(file.text)
    # The admin's own words, below ours: an outage is noticed in seconds instead of a minute.
    quick = ("--repl-timeout", "3", "--repl-ping-replica-period", "1")
    master = folder / "master.conf"
    master.write_text(
        f"bind {MASTER}\nprotected-mode no\nport 6379\nsave ''\ndir {folder}\nrepl-diskless-sync-delay 0\n"
    )
    ip = shutil.which("ip") or "ip"
    for name, conf, more in ((names[0], master, ()), (names[1], Path(kit.files[0].path), ("--supervised", "no"))):
        stack.enter_context(redises.started(ip, Path("netns"), "exec", name, binary, str(conf), *more, *quick))
    found = Hosts(names, folder, Path(configuration.load(config.path).path))
    assert eventually(lambda: found.status()["state"] in ("current", "suspect"))
    fill = ["ip", "netns", "exec", names[0], sys.executable, "-c", _FILL]
    subprocess.run(fill, env=environment(None, {}), check=True, timeout=LONG)
    assert found.becomes("current")
    return found


_FILL = f"""
from dvbboxes.demo.servers import tell
from dvbboxes.model import Endpoint
tell(Endpoint("{MASTER}", 6379), [(0, ("ZADD", "24112026:85", "1", "/x/a.ts:0")), (1, ("SET", "a.ts", "3600"))])
"""


def test_a_pulled_cable_makes_the_replica_stale_and_its_data_are_read_on(hosts: Hosts) -> None:
    whole = hosts.status()
    assert (whole["programs"], whole["media"], whole["behind"]) == (1, 1, 0)
    hosts.cable("down")
    assert hosts.becomes("stale")
    cut = hosts.status()
    assert (cut["link"], cut["programs"], cut["media"]) == ("down", 1, 1)
    assert cut["master_error"]
    assert eventually(lambda: (hosts.status()["age"] or 0) >= 1)
    assert hosts.run("media", "search", "a").out.split()[0] == "a"
    assert hosts.run("media", "search", "a", "--max-age", "0").status == 6
    assert hosts.run("cluster", "status", "--timeout", "0.5").status == 1
    hosts.cable("up")
    assert hosts.becomes("current")
    assert hosts.status()["link"] == "up"
