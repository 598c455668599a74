"""Every fault of a write, on real servers: what is known of each instance afterwards, and that no other is held up."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import peers
import pytest
from applying import DAY, NEXT, Stage, key_of, program, storing
from sshd import Hosts
from stages import ALL, Shown

from dvbboxes.apply import masters
from dvbboxes.demo.servers import Server, tell
from dvbboxes.demo.world import World
from dvbboxes.errors import ConfigError, ExitStatus, JournalError
from dvbboxes.journal import Journal
from dvbboxes.records import ChangeState, RunState, UpdateState
from dvbboxes.wire import Command

#: The seconds that frozen masters and hanging sessions are given: run by make test-slow.
pytestmark = pytest.mark.slow

WHOLE = ("film", "clip")
BAD = "town1-2"
OTHERS = tuple(fqdn for fqdn in ALL if fqdn != BAD)
OLD = program("jt", "clip")


@pytest.fixture
def stage(fleet: World, tmp_path: Path) -> Stage:
    """A stage where everybody holds an old program of that day."""
    found = Stage(fleet, tmp_path)
    found.load(storing(OLD))
    return found


@contextlib.contextmanager
def set_on(server: Server, name: str, value: str, *, password_file: Path | None = None) -> Iterator[None]:
    """Have a server configured otherwise for a while; ``password_file`` lets us in to undo it."""
    (found,) = tell(server.endpoint, [(0, ("CONFIG", "GET", name))])
    tell(server.endpoint, [(0, ("CONFIG", "SET", name, value))])
    endpoint = server.endpoint
    if password_file is not None:
        endpoint = replace(endpoint, password_file=str(password_file))
    try:
        yield
    finally:
        tell(endpoint, [(0, ("CONFIG", "SET", name, found[1]))])


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file with the password ``secret``."""
    path = tmp_path / "secret"
    path.write_text("secret\n", "utf-8")
    return path


def others_are_done(stage: Stage, done: Shown) -> None:
    """Check that no other instance noticed."""
    for fqdn in OTHERS:
        assert stage.master(fqdn) == stage.replica(fqdn) == program(*WHOLE)
        assert done.states()[fqdn] == {"verified"}
    assert done.status is ExitStatus.PARTIAL
    assert not done.data["whole"]


def recorded(stage: Stage, done: Shown) -> ChangeState:
    """Return what the journal says of the bad one, and check that it and the report say the same."""
    with Journal.open(stage.data) as journal:
        whole = journal.run(done.data["run"])
    states = {change.instance: change.state for change in whole.changes}
    assert {fqdn: {state.value} for fqdn, state in states.items()} == done.states()
    assert whole.run.state is RunState.PARTIAL
    return states[BAD]


def meanwhile(stage: Stage, act: Callable[[], object]) -> None:
    """Have something happen after the plan was made and before anything is written."""

    def ask(question: str) -> bool:
        act()
        return True

    stage.answer = ask


# --- a master that does not answer when it is looked at ---------------------------------------------------------------


def unreachable(stage: Stage, why: str) -> None:
    """Check that a plan is refused for that reason, and that allowing it writes the others and notes what is owed."""
    file = stage.write((DAY, WHOLE))
    refused = stage.apply(file)
    assert refused.status is ExitStatus.REFUSED
    assert (refused.data["refusals"][0]["hazard"], refused.data["refusals"][0]["instances"]) == ("unreachable", [BAD])
    assert "(--allow unreachable)" in refused.text
    assert why in refused.text
    assert not refused.envelope["complete"]
    assert [stage.master(fqdn) for fqdn in OTHERS] == [OLD] * 3
    done = stage.apply(file, allow=["unreachable"])
    others_are_done(stage, done)
    assert recorded(stage, done) is ChangeState.PLANNED
    assert f"! {BAD} 25/11 85: planned: owed: its master could not be looked at" in done.text
    owed = stage.run("history", owed=True)
    assert owed.status is ExitStatus.DIFFERENCE
    assert BAD in owed.text


def test_a_master_that_refuses(stage: Stage) -> None:
    with peers.nobody() as endpoint:
        stage.masters[BAD] = endpoint.port
        unreachable(stage, "refused the connection")
    assert stage.master(BAD) == OLD


def test_a_master_that_is_frozen(stage: Stage) -> None:
    stage.deadline = 1.5
    stage.world.freeze(stage.world.master(BAD))
    began = time.monotonic()
    unreachable(stage, "timed out after 1.5 s")
    assert time.monotonic() - began < 60
    stage.world.resume(stage.world.master(BAD))
    assert stage.master(BAD) == OLD


def test_a_master_that_drips_a_byte_per_100_ms(stage: Stage) -> None:
    stage.deadline = 1.5
    with peers.Peer(peers.proxy(stage.world.master(BAD).endpoint, drip=True)) as peer:
        stage.masters[BAD] = peer.endpoint.port
        began = time.monotonic()
        unreachable(stage, "timed out after 1.5 s")
        assert time.monotonic() - began < 60
    assert stage.master(BAD) == OLD


def test_a_master_that_wants_a_password(stage: Stage, secret: Path) -> None:
    with set_on(stage.world.master(BAD), "requirepass", "secret", password_file=secret):
        unreachable(stage, "does not let us in")
    assert stage.master(BAD) == OLD


def test_the_password_in_the_configured_file_lets_us_in(stage: Stage, secret: Path) -> None:
    stage.more = f"master_password_file={secret}\n"
    with contextlib.ExitStack() as stack:
        for fqdn in ALL:
            stack.enter_context(set_on(stage.world.master(fqdn), "requirepass", "secret", password_file=secret))
        done = stage.apply(stage.write((DAY, WHOLE)))
        assert done.status is ExitStatus.DONE, done.text
    assert stage.everywhere() == [program(*WHOLE)]


@contextlib.contextmanager
def following(server: Server) -> Iterator[None]:
    """Have a master follow a server that does not exist: it keeps its data and is read-only."""
    with peers.nobody() as endpoint:
        tell(server.endpoint, [(0, ("REPLICAOF", "127.0.0.1", endpoint.port))])
        try:
            yield
        finally:
            tell(server.endpoint, [(0, ("REPLICAOF", "NO", "ONE"))])


def test_a_master_that_is_itself_a_replica(stage: Stage) -> None:
    with following(stage.world.master(BAD)):
        unreachable(stage, "is itself a replica (read-only)")
    assert stage.master(BAD) == OLD


# --- a master that fails while it is written to -----------------------------------------------------------------------


def written_but_for_one(stage: Stage) -> Shown:
    done = stage.apply(stage.write((DAY, WHOLE)), yes=False)
    others_are_done(stage, done)
    return done


def test_a_master_that_becomes_read_only(stage: Stage) -> None:
    with contextlib.ExitStack() as stack:
        meanwhile(stage, lambda: stack.enter_context(following(stage.world.master(BAD))))
        done = written_but_for_one(stage)
        assert recorded(stage, done) is ChangeState.FAILED
        assert "it is itself a replica: nothing is written there" in done.text
    assert stage.master(BAD) == OLD


@pytest.mark.parametrize(
    ("name", "value", "said"), [("maxmemory", "1", "OOM"), ("min-replicas-to-write", "9", "NOREPLICAS")]
)
def test_a_master_that_takes_no_write(stage: Stage, name: str, value: str, said: str) -> None:
    """Out of memory, or told to write only while enough replicas follow: the old program is still whole."""
    with set_on(stage.world.master(BAD), name, value):
        done = written_but_for_one(stage)
    assert recorded(stage, done) is ChangeState.FAILED
    assert f"the master refused it: {said}" in done.text
    assert f"dvbboxes listing apply --resume {done.data['run']}" in done.text
    assert stage.master(BAD) == OLD


def test_a_master_that_freezes_before_the_write(stage: Stage) -> None:
    stage.deadline = 1.5
    meanwhile(stage, lambda: stage.world.freeze(stage.world.master(BAD)))
    done = written_but_for_one(stage)
    assert recorded(stage, done) is ChangeState.FAILED
    assert "timed out after 1.5 s; nothing was written" in done.text
    stage.world.resume(stage.world.master(BAD))
    assert stage.master(BAD) == OLD


@contextlib.contextmanager
def on_the_way(stage: Stage, word: bytes, act: Callable[[int], bool]) -> Iterator[list[int]]:
    """Stand between us and the bad master: before bytes with ``word`` go on, ``act(how many times before)``.

    What it returns says whether they go on at all, or the connection ends.
    """
    upstream = stage.world.master(BAD).endpoint
    seen: list[int] = []

    def behave(connection: socket.socket, closing: threading.Event) -> None:
        with socket.create_connection((upstream.host, upstream.port)) as server:
            threading.Thread(target=_back, args=(server, connection), daemon=True).start()
            while data := connection.recv(1 << 20):
                if word in data:
                    seen.append(len(seen))
                    if not act(seen[-1]):
                        return
                server.sendall(data)

    with peers.Peer(behave) as peer:
        stage.masters[BAD] = peer.endpoint.port
        yield seen


def _back(server: socket.socket, connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := server.recv(1 << 20):
            connection.sendall(data)
        connection.shutdown(socket.SHUT_RDWR)


def test_a_master_killed_in_the_midst_of_the_write_is_unknown(stage: Stage) -> None:
    server = stage.world.master(BAD)

    def kill(_: int) -> bool:
        stage.world.kill(server)
        peers.wait_until_gone(server.pid)
        return False

    with on_the_way(stage, b"MULTI", kill):
        done = written_but_for_one(stage)
    assert recorded(stage, done) is ChangeState.UNKNOWN
    assert f"! {BAD} 25/11 85: unknown: " in done.text
    assert "after the transaction was sent" in done.text


def test_a_connection_lost_before_the_transaction_arrived_is_settled_as_not_written(stage: Stage) -> None:
    with on_the_way(stage, b"MULTI", lambda _: False):
        done = written_but_for_one(stage)
    assert recorded(stage, done) is ChangeState.FAILED
    assert "the connection was lost; nothing was written" in done.text
    assert stage.master(BAD) == OLD


@pytest.mark.parametrize("answered", [0, 7])
def test_an_answer_lost_on_its_way_back_is_settled_as_written(stage: Stage, answered: int) -> None:
    with peers.Peer(peers.proxy(stage.world.master(BAD).endpoint, cut=(b"EXEC", answered))) as peer:
        stage.masters[BAD] = peer.endpoint.port
        done = stage.apply(stage.write((DAY, WHOLE)))
    assert done.status is ExitStatus.DONE, done.text
    assert stage.everywhere() == [program(*WHOLE)]
    details = {line["instance"]: line["detail"] for line in done.data["programs"]}
    assert details[BAD] == "the answer was lost; it is there"


def test_a_connection_lost_before_the_reading_back_is_settled_by_reading(stage: Stage) -> None:
    """The third ZRANGE of that key is the one after EXEC."""
    with on_the_way(stage, b"ZRANGE", lambda time_: time_ != 2) as seen:
        done = stage.apply(stage.write((DAY, WHOLE)))
    assert len(seen) == 4
    assert done.status is ExitStatus.DONE, done.text
    assert done.states()[BAD] == {"verified"}


def test_what_is_read_back_and_is_not_what_was_meant_is_a_failure(stage: Stage) -> None:
    def spoil(command: list[bytes], reply: object) -> object:
        if command[0] == b"ZRANGE" and isinstance(reply, list) and b"/opt/tsfiles/film.ts:0" in reply:
            return [*reply[:-1], b"1"]
        return reply

    with peers.Peer(peers.proxy(stage.world.master(BAD).endpoint, spoil)) as peer:
        stage.masters[BAD] = peer.endpoint.port
        done = stage.apply(stage.write((DAY, WHOLE)))
    others_are_done(stage, done)
    assert "what was read back is not what was written" in done.text
    assert recorded(stage, done) is ChangeState.FAILED


# --- somebody else writes ---------------------------------------------------------------------------------------------


def test_who_writes_between_plan_and_apply_is_not_overwritten(stage: Stage) -> None:
    theirs = program("clip", "clip", "clip")
    store: list[Command] = [(0, ("DEL", key_of())), storing(theirs)]
    meanwhile(stage, lambda: tell(stage.world.master(BAD).endpoint, store))
    done = written_but_for_one(stage)
    assert recorded(stage, done) is ChangeState.REFUSED
    assert stage.master(BAD) == theirs


def test_who_writes_between_watch_and_exec_is_not_overwritten_and_the_other_days_are_written(stage: Stage) -> None:
    theirs = [*OLD, ("/opt/tsfiles/theirs.ts:9", OLD[-1][1] + 1)]

    def write(number: int) -> bool:
        if number == 0:
            tell(stage.world.master(BAD).endpoint, [storing(theirs)])
        return True

    with on_the_way(stage, b"MULTI", write) as transactions:
        done = stage.apply(stage.write((DAY, WHOLE), (NEXT, WHOLE)))
    assert len(transactions) == 2
    assert (stage.master(BAD), stage.master(BAD, NEXT)) == (theirs, program(*WHOLE, day=NEXT))
    assert (done.status, done.states()[BAD]) == (ExitStatus.PARTIAL, {"refused", "verified"})


def test_who_never_stops_writing_is_given_up_on_after_three_attempts(stage: Stage) -> None:
    """He writes the same again: it is as planned each time it is read, and each transaction is undone by it."""
    master = stage.world.master(BAD).endpoint

    def write(_: int) -> bool:
        tell(master, [(0, ("DEL", key_of())), storing(OLD)])
        return True

    with on_the_way(stage, b"MULTI", write) as transactions:
        done = written_but_for_one(stage)
    assert len(transactions) == masters.ATTEMPTS == 3
    assert "somebody else wrote there at each of 3 attempts; nothing was written" in done.text
    assert stage.master(BAD) == OLD


def test_a_key_of_another_type_is_refused_whatever_is_allowed(stage: Stage) -> None:
    tell(stage.world.master(BAD).endpoint, [(0, ("DEL", key_of())), (0, ("SET", key_of(), "mine"))])
    done = stage.apply(stage.write((DAY, WHOLE)), allow=["missing,past,on-air,short,unreachable,own"])
    assert done.status is ExitStatus.REFUSED
    assert "holds something that is no program" in done.text
    assert tell(stage.world.master(BAD).endpoint, [(0, ("GET", key_of()))]) == [b"mine"]


# --- the replica ------------------------------------------------------------------------------------------------------


def test_a_replica_that_does_not_get_it_in_time_is_said(stage: Stage) -> None:
    stage.deadline = 2.0
    meanwhile(stage, lambda: stage.world.freeze(stage.world.replica(BAD)))
    done = stage.apply(stage.write((DAY, WHOLE)), yes=False)
    assert done.status is ExitStatus.PARTIAL
    assert {line["instance"]: line["replicated"] for line in done.data["programs"]} == {
        **dict.fromkeys(OTHERS, True), BAD: False,
    }  # fmt: skip
    assert f"! {BAD} 25/11 85: written and verified, but the local replica does not have it yet" in done.text


@pytest.mark.parametrize(("behind", "there"), [(3, True), (10**9, False)])
def test_the_replica_is_waited_for_until_it_has_read_as_far_as_the_master_wrote(
    stage: Stage, behind: int, there: bool
) -> None:
    """Its link is up and it answers: that it is behind shows in its offset alone."""
    asked = []

    def spoil(command: list[bytes], reply: object) -> object:
        if command[0] == b"INFO":
            asked.append(command)
            if len(asked) <= behind:
                return peers.info(slave_repl_offset="1")(command, reply)
        return reply

    stage.deadline = 2.0
    replica = stage.world.replica(BAD)
    with peers.Peer(peers.proxy(replica.endpoint, spoil)) as peer:
        stage.replace.append((f"{BAD}={replica.port}\n", f"{BAD}={peer.endpoint.port}\n"))
        meanwhile(stage, asked.clear)
        done = stage.apply(stage.write((DAY, WHOLE)), yes=False)
    replicated = {line["instance"]: line["replicated"] for line in done.data["programs"]}
    assert replicated == {**dict.fromkeys(OTHERS, True), BAD: there}
    assert len(asked) > 3


def test_a_frozen_replica_does_not_keep_us_from_looking_at_a_late_one_again(stage: Stage) -> None:
    """One says nothing at all; another one answers, and gets its data a second later: that one is seen to have it."""
    world = stage.world
    late, silent = world.replica("town2-1"), world.replica(BAD)
    stage.deadline = 6.0
    again: list[Command] = [(0, ("REPLICAOF", "127.0.0.1", world.master("town2-1").port))]
    with peers.nobody() as nobody:

        def part(_: str) -> bool:
            world.freeze(silent)
            tell(late.endpoint, [(0, ("REPLICAOF", "127.0.0.1", nobody.port))])
            threading.Timer(1.0, tell, (late.endpoint, again)).start()
            return True

        stage.answer = part
        done = stage.apply(stage.write((DAY, WHOLE)), yes=False)
    replicated = {line["instance"]: line["replicated"] for line in done.data["programs"]}
    assert (replicated["town2-1"], replicated[BAD]) == (True, False)


# --- ssh --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def hosted(fleet: World, tmp_path: Path, ssh_hosts: Callable[[World], Hosts]) -> tuple[Stage, Hosts]:
    hosts = ssh_hosts(fleet)
    for fqdn in ALL:
        hosts[fqdn].put("/opt/tsfiles/film.ts", "/opt/tsfiles/clip.ts")
    found = Stage(fleet, tmp_path, hosts.config_path)
    found.load(storing(OLD))
    return found, hosts


def not_updated(stage: Stage) -> str:
    """Apply; check that all is written, that all but the bad one is updated; return what is said of that one."""
    done = stage.apply(stage.write((DAY, WHOLE)))
    assert done.status is ExitStatus.PARTIAL
    assert stage.everywhere() == [program(*WHOLE)]
    assert {line["state"] for line in done.data["programs"]} == {"verified"}
    updates = {line["instance"]: line["update"] for line in done.data["programs"]}
    assert updates == {**dict.fromkeys(OTHERS, "done"), BAD: "failed"}
    assert f"! {BAD} 25/11 85: written and verified, but dvbbox did not update it" in done.text
    with Journal.open(stage.data) as journal:
        (owed,) = journal.owed_updates()
    assert (owed.change.instance, owed.change.update) == (BAD, UpdateState.FAILED)
    texts = {line["instance"]: line["update_text"] for line in done.data["programs"]}
    assert owed.change.update_text == texts[BAD]
    return str(texts[BAD])


def test_ssh_that_refuses(hosted: tuple[Stage, Hosts]) -> None:
    stage, hosts = hosted
    with peers.nobody() as endpoint:
        stage.replace.append((f"ssh_port={hosts[BAD].sshd.port}\n", f"ssh_port={endpoint.port}\n"))
        assert "refused the ssh connection" in not_updated(stage)


def test_ssh_to_a_host_that_says_nothing(hosted: tuple[Stage, Hosts]) -> None:
    stage, hosts = hosted
    stage.replace.append(("[SSH]\n", "[SSH]\ntimeout=8\n"))
    with peers.Peer(peers.silent) as peer:
        stage.replace.append((f"ssh_port={hosts[BAD].sshd.port}\n", f"ssh_port={peer.endpoint.port}\n"))
        began = time.monotonic()
        said = not_updated(stage)
        assert time.monotonic() - began < 90
    assert "ssh" in said


def test_a_dvbbox_that_hangs_is_ended_with_its_session(hosted: tuple[Stage, Hosts]) -> None:
    stage, hosts = hosted
    stage.replace.append(("[SSH]\n", "[SSH]\ntimeout=8\n"))
    hosts[BAD].behave("hang")
    said = not_updated(stage)
    assert "8 s" in said
    for pid in hosts[BAD].pids:
        peers.wait_until_gone(pid)


def test_ssh_that_asks_for_a_password(hosted: tuple[Stage, Hosts]) -> None:
    stage, hosts = hosted
    (hosts[BAD].sshd.folder / "authorized_keys").write_text("", "utf-8")
    assert "does not let us in" in not_updated(stage)


def test_a_dvbbox_that_asks_for_a_password(hosted: tuple[Stage, Hosts]) -> None:
    stage, hosts = hosted
    hosts[BAD].behave("prompt")
    assert "no password was given" in not_updated(stage)


@pytest.mark.parametrize("status", [1, 255])
def test_a_dvbbox_that_fails(hosted: tuple[Stage, Hosts], status: int) -> None:
    """255 is ssh's own status for a connection that failed: of dvbbox it is just a status."""
    stage, hosts = hosted
    hosts[BAD].behave(f"exit {status}")
    assert not_updated(stage) == f"status {status}: dvbbox: no space left on device"


def test_an_update_that_is_owed_is_still_said_when_all_is_written(hosted: tuple[Stage, Hosts]) -> None:
    """A cron job that runs a second time finds every program there: that is not all that was asked for."""
    stage, hosts = hosted
    hosts[BAD].behave("exit 1")
    not_updated(stage)
    again = stage.apply(str(stage.folder / "listing"))
    assert again.status is ExitStatus.PARTIAL
    assert again.text.splitlines() == [
        "nothing to write: 4 programs already as meant",
        "! 1 program of run 1 not updated by dvbbox: dvbboxes listing apply --resume 1",
    ]


def test_an_instance_that_was_not_written_is_not_asked_to_update(hosted: tuple[Stage, Hosts]) -> None:
    stage, hosts = hosted
    with set_on(stage.world.master(BAD), "maxmemory", "1"):
        done = stage.apply(stage.write((DAY, WHOLE)))
    others_are_done(stage, done)
    assert hosts[BAD].calls == []
    assert {line["instance"]: line["update"] for line in done.data["programs"]}[BAD] == "not-asked"


# --- the data folder --------------------------------------------------------------------------------------------------


@pytest.fixture
def tiny(tmp_path: Path, need: Callable[[object, str], None]) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    need(os.getuid() == 0 and shutil.which("mount"), "only root can mount a small file system")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    need(mounted.returncode == 0, f"this root may not mount: {mounted.stderr.decode()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Write until nothing more fits."""
    with contextlib.suppress(OSError), (folder / "ballast").open("wb", buffering=0) as ballast:
        while True:
            ballast.write(bytes(4096))


def test_a_full_data_folder_stops_before_anything_is_written(stage: Stage, tiny: Path) -> None:
    stage.replace.append((f"folder={stage.data}\n", f"folder={tiny}\n"))
    fill(tiny)
    with pytest.raises(JournalError, match=str(tiny)):
        stage.apply(stage.write((DAY, WHOLE)))
    assert stage.everywhere() == [OLD]


def test_a_data_folder_that_fills_while_we_ask_stops_before_anything_is_written(stage: Stage, tiny: Path) -> None:
    stage.replace.append((f"folder={stage.data}\n", f"folder={tiny}\n"))
    meanwhile(stage, lambda: fill(tiny))
    days = [(day, WHOLE * 200) for day in (DAY, NEXT)]  # more than what is left in the last page of anything
    with pytest.raises(JournalError, match=str(tiny)):
        stage.apply(stage.write(*days), yes=False)
    assert stage.everywhere() == [OLD]


def test_a_data_folder_that_fills_after_the_write_does_not_cost_the_report(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is on the masters is told all the same, and that the journal does not have it."""
    real = Journal.advance

    def advance(self: Journal, run: int, updates: object, now: float) -> None:
        calls.append(run)
        if len(calls) > 1:
            raise JournalError("journal.sqlite: database or disk is full")
        real(self, run, updates, now)  # type: ignore[arg-type]  # it is passed on

    calls: list[int] = []
    monkeypatch.setattr(Journal, "advance", advance)
    done = stage.apply(stage.write((DAY, WHOLE)))
    assert done.status is ExitStatus.PARTIAL
    assert stage.everywhere() == [program(*WHOLE)]
    assert done.states() == {fqdn: {"verified"} for fqdn in ALL}
    assert done.data["notes"] == ["the journal does not have all of this run: journal.sqlite: database or disk is full"]
    assert done.text.splitlines()[-1] == "every program stands as meant, but the journal does not have all of it."
    assert (done.data["whole"], done.data["journalled"]) == (False, False)


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Root may write everything: where the tests run as root, be nobody for a moment."""
    if os.getuid() == 0:
        os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        if os.geteuid() == 65534:
            os.setresuid(0, 0, 0)


def test_an_unwritable_data_folder_stops_before_anything_is_written(stage: Stage) -> None:
    with tempfile.TemporaryDirectory() as name:  # unlike the folders of pytest, everybody can be let into it
        folder = Path(name)
        folder.chmod(0o777)
        (folder / "data").mkdir(mode=0o555)
        stage.replace.append((f"folder={stage.data}\n", f"folder={folder / 'data'}\n"))
        stage.replace.append((f"{stage.data.parent}/log/", f"{folder}/"))
        stage.folder = folder
        file = stage.write((DAY, WHOLE))
        assert stage.plan(file).status is ExitStatus.DONE  # and all is imported: the checkout may be root's alone
        (folder / "dvbboxes.log").chmod(0o666)
        context = stage.context()
        with as_nobody(), pytest.raises(ConfigError, match=rf"\[DATA\] folder: {folder}/data cannot be used") as caught:
            stage.apply(file, context=context)
    assert "[LOG]" not in str(caught.value)
    assert stage.everywhere() == [OLD]
