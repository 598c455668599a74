"""Commands over real OpenSSH, to real sshd on loopback: what arrives, what comes back, and that nothing is left."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import peers
import pytest
import sshd
from hypothesis import given, settings
from hypothesis import strategies as st
from waiting import eventually

from dvbboxes import remote, store
from dvbboxes.demo.world import World
from dvbboxes.errors import ConfigError, UnknownName, UsageError
from dvbboxes.model import Endpoint, FailureKind, Instance, SshSettings, SshTarget
from dvbboxes.remote import Job, Masters, Outcome, Progress, Transcript

#: Real ssh sessions, and the seconds that hosts take to be given up: run by make test-slow.
pytestmark = pytest.mark.slow

LONG = 30.0
SATURDAY = date(2017, 6, 17)
PRINT = "import json, sys; print(json.dumps(sys.argv[1:]))"


def instance(target: SshTarget, name: str = "dvb-1") -> Instance:
    return Instance("town", name, Endpoint(), Endpoint(), target, ZoneInfo("Indian/Antananarivo"))


def clients(word: str) -> list[str]:
    """Return the command lines of the ssh clients (zombies too) on this machine that hold a word."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                name = (entry / "comm").read_text().strip()
            except OSError:
                continue  # it went while we looked
            if name == "ssh" and word in line:
                found.append(line)
    return found


def still_asleep(pid: int) -> None:
    """Check that what a host was left with runs on there, which is here: nobody has waited for its end; then end it."""
    assert Path(f"/proc/{pid}/comm").read_text() == "sleep\n"
    os.kill(pid, signal.SIGKILL)


def children() -> list[int]:
    """Return our own child processes, those not waited for included."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread of the test runner that ended
            found += [int(each) for each in (task / "children").read_text().split()]
    return found


@pytest.fixture(scope="module")
def host(ssh_keys: sshd.Keys, tmp_path_factory: pytest.TempPathFactory) -> Iterator[sshd.Sshd]:
    """An sshd of any host."""
    server = sshd.Sshd(ssh_keys, tmp_path_factory.mktemp("sshd"))
    yield server
    server.close()


Run = Callable[..., Outcome]


@pytest.fixture
def run(host: sshd.Sshd, ssh_keys: sshd.Keys) -> Run:
    """``run(command, ..., target=, timeout=)``: the outcome of those commands in one session."""

    def ask(*commands: tuple[str, ...], target: SshTarget | None = None, timeout: float = LONG, **how: str) -> Outcome:
        job = Job(instance(target or host.target), commands)
        before = children()
        (outcome,) = remote.run([job], sshd.settings_for(ssh_keys, **how), timeout=timeout)
        assert children() == before, "a process was started and not waited for"
        return outcome

    return ask


def progress(outcome: Outcome) -> list[Progress]:
    return [result.progress for result in outcome.results]


# --- what arrives, what comes back ------------------------------------------------------------------------------------

AWKWARD = [
    "plain", "two words", "", "'", '"', "it's", "$HOME", "`id`", "$(id)", ";", "&&", "|", ">x", "*", "?", "~", "#", "!",
    "\\", "\\n", "a\nb", "\ttab", "-n", "--", "A=b", "é", "{a,b}", "%s",
]  # fmt: skip


def test_every_argument_arrives_unchanged(run: Run) -> None:
    import json

    outcome = run((sys.executable, "-c", PRINT, *AWKWARD), ("echo", *AWKWARD[:2]))
    assert [json.loads(line) for line in outcome.results[0].lines] == [AWKWARD]
    assert outcome.results[1].lines == ("plain two words",)
    assert outcome.ok


WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=50, deadline=None)  # each one starts a shell
@given(st.lists(st.lists(WORDS, min_size=1, max_size=4), min_size=1, max_size=3))
def test_a_shell_reads_from_a_script_the_very_words_that_were_put_into_it(lists: list[list[str]]) -> None:
    text = remote.script([("printf", r"%s\0", *words) for words in lists], "token")
    said = subprocess.run(["sh", "-c", text], stdout=subprocess.PIPE, check=True).stdout
    want = "\ntoken 0 0\n" + "".join(
        "".join(f"{word}\0" for word in words) + f"\ntoken {number} 0\n" for number, words in enumerate(lists, 1)
    )
    assert said == want.encode()


@pytest.mark.parametrize("word", ["if", "exit", "A=b", "cd", "exec"])
def test_a_first_word_is_never_more_than_the_name_of_a_command(run: Run, word: str) -> None:
    outcome = run((word, "/"), ("pwd",), ("echo", "$A"))
    assert progress(outcome) == [Progress.DONE] * 3
    assert outcome.results[1].lines != ("/",)
    assert outcome.results[2].lines == ("$A",)


def test_commands_run_in_order_in_one_session_and_one_that_fails_does_not_stop_the_next(
    host: sshd.Sshd, run: Run
) -> None:
    before = host.sessions
    outcome = run(("echo", "one"), ("sh", "-c", "echo wrong >&2; exit 3"), ("false",), ("echo", "last"))
    assert [(result.status, result.lines) for result in outcome.results] == [
        (0, ("one",)), (3, ("wrong",)), (1, ()), (0, ("last",)),
    ]  # fmt: skip
    assert outcome.error is None
    assert not outcome.ok
    assert host.sessions - before == 1


def test_status_255_of_a_command_is_not_taken_for_the_state_of_the_connection(run: Run) -> None:
    outcome = run(("sh", "-c", "exit 255"), ("echo", "next"))
    assert outcome.error is None
    assert [result.status for result in outcome.results] == [255, 0]


def test_a_command_that_is_not_there_has_the_status_and_the_words_of_the_shell(run: Run) -> None:
    outcome = run(("no-such-dvbbox", "x"), ("true",))
    assert [result.status for result in outcome.results] == [127, 0]
    assert "no-such-dvbbox" in outcome.results[0].lines[-1]


def test_a_command_reads_nothing_from_here_and_has_no_terminal(run: Run) -> None:
    outcome = run(("sh", "-c", "cat; test -t 0 || test -t 1 || echo none"))
    assert outcome.results[0].lines == ("none",)


def test_a_flood_is_cut_to_its_end_and_takes_no_memory(run: Run) -> None:
    import tracemalloc

    tracemalloc.start()
    flood = (
        "import sys\nfor n in range(16384): sys.stdout.write(f'{n:07d} ' + 'x' * 1015 + '\\n')\nprint('end', end='')"
    )
    outcome = run((sys.executable, "-c", flood), ("echo", "next"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    lines = outcome.results[0].lines
    assert outcome.ok
    assert lines[-2].startswith("0016383 ")
    assert lines[-1] == "end"
    assert sum(map(len, lines)) <= remote.KEEP
    assert all(len(line) == 1023 for line in lines[:-1]), "a line whose beginning was cut off is no line"
    assert outcome.results[1].lines == ("next",)
    assert peak < 3_000_000


def test_bytes_that_are_no_text_and_codes_that_move_the_cursor_come_out_harmless(run: Run) -> None:
    outcome = run(("printf", r"a\377b\033[2Jc\nd\r\n10%%\r20%%"))
    assert outcome.results[0].lines == ("a\ufffdb\ufffd[2Jc", "d", "10%", "20%")


def test_a_process_left_in_the_background_there_does_not_hold_us(run: Run) -> None:
    outcome = run(("sh", "-c", "sleep 600 & echo started $!"), timeout=20 * remote.GRACE)
    assert outcome.ok
    started, pid = outcome.results[0].lines[0].split()
    assert started == "started"
    still_asleep(int(pid))
    assert outcome.elapsed < 10 * remote.GRACE


# --- the transcript, byte by byte -------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.binary(max_size=40), st.integers(0, 255)), max_size=4),
    st.lists(st.integers(1, 30), min_size=1),
)
def test_a_transcript_does_not_depend_on_how_its_bytes_are_cut(
    parts: list[tuple[bytes, int]], sizes: list[int]
) -> None:
    data = b"motd\n\ntoken 0 0\n"
    for number, (said, status) in enumerate(parts, 1):
        data += said + b"\ntoken %d %d\n" % (number, status)
    commands = [(str(number),) for number in range(len(parts))]
    whole, pieces = Transcript("token", commands, 1000), Transcript("token", commands, 1000)
    whole.feed(data)
    at = 0
    while at < len(data):
        size = sizes[at % len(sizes)]
        pieces.feed(data[at : at + size])
        at += size
    assert whole.complete and pieces.complete
    assert [result.status for result in whole.results()] == [status for _, status in parts]
    assert pieces.results() == whole.results()


def test_a_marker_out_of_its_turn_is_output() -> None:
    transcript = Transcript("token", [("a",), ("b",)], 1000)
    transcript.feed(b"\ntoken 0 0\n\ntoken 2 0\nx\n\ntoken 1 4\nrest")
    assert transcript.current == ("b",)
    first, second = transcript.results()
    assert (first.status, first.lines) == (4, ("", "token 2 0", "x"))
    assert (second.progress, second.lines) == (Progress.UNFINISHED, ("rest",))


def test_a_host_greeting_is_no_output_of_a_command() -> None:
    transcript = Transcript("token", [("a",)], 1000)
    transcript.feed(b"Welcome!\n\ntoken 0 0\nmine\n\ntoken 1 0\n")
    assert transcript.results()[0].lines == ("mine",)
    assert transcript.noise() == "Welcome!"


# --- hosts that cannot be reached -------------------------------------------------------------------------------------


def test_a_refused_port_is_named_as_one(run: Run) -> None:
    with peers.nobody() as endpoint:
        outcome = run(("true",), target=SshTarget(endpoint.host, None, endpoint.port))
    assert outcome.error is not None
    assert outcome.error.kind is FailureKind.REFUSED
    assert "does sshd run there" in outcome.error.message
    assert progress(outcome) == [Progress.NOT_RUN]


def test_a_host_that_accepts_and_says_nothing_costs_the_connect_timeout(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "CONNECT_TIMEOUT", 1)
    with peers.Peer(peers.silent) as peer:
        target = SshTarget(peer.endpoint.host, None, peer.endpoint.port)
        outcome = run(("true",), target=target)
    assert outcome.error is not None
    assert outcome.error.kind is FailureKind.TIMEOUT
    assert "did not answer ssh in time" in outcome.error.message, "it was ssh that gave up, not we"
    assert 0.9 < outcome.elapsed < LONG / 2


def test_a_host_that_says_nothing_for_longer_than_we_have_is_killed(ssh_keys: sshd.Keys) -> None:
    with peers.Peer(peers.silent) as peer:
        settings = sshd.settings_for(ssh_keys)
        options = (*settings.options, "-o", "ConnectTimeout=60")
        job = Job(instance(SshTarget(peer.endpoint.host, None, peer.endpoint.port)), (("true",),))
        (outcome,) = remote.run([job], SshSettings(options=options), timeout=0.5)
        assert clients(str(peer.endpoint.port)) == []
    assert outcome.error is not None
    assert outcome.error.kind is FailureKind.TIMEOUT
    assert "did not let us in within 0.5 s" in outcome.error.message


def test_a_host_that_slams_the_door_or_speaks_no_ssh_is_said_so(run: Run) -> None:
    for behaviour in (peers.slam, peers.garbage):
        with peers.Peer(behaviour) as peer:
            target = SshTarget(peer.endpoint.host, None, peer.endpoint.port)
            outcome = run(("true",), target=target, timeout=LONG)
        assert outcome.error is not None
        assert outcome.error.kind in (FailureKind.CLOSED, FailureKind.TIMEOUT, FailureKind.UNREACHABLE)
        assert progress(outcome) == [Progress.NOT_RUN]


def test_a_name_that_does_not_resolve_is_named_as_one(run: Run) -> None:
    outcome = run(("true",), target=SshTarget("no-such-host.invalid"))
    assert outcome.error is not None
    assert outcome.error.kind is FailureKind.UNKNOWN_HOST
    assert "no-such-host.invalid" in outcome.error.message


def test_a_host_key_that_nobody_accepted_is_refused(run: Run, host: sshd.Sshd, ssh_keys: sshd.Keys) -> None:
    before = host.sessions
    outcome = run(("true",), known_hosts="nothing_known")
    assert outcome.error is not None
    assert outcome.error.kind is FailureKind.HOST_KEY
    assert "never accepted" in outcome.error.message
    assert host.sessions == before
    assert not (ssh_keys.folder / "nothing_known").exists(), "a key was accepted that nobody looked at"


def test_a_host_key_that_changed_is_refused_as_such(run: Run, host: sshd.Sshd, ssh_keys: sshd.Keys) -> None:
    known = f"[127.0.0.1]:{host.port} {ssh_keys.public('stranger')}\n"
    (ssh_keys.folder / "changed").write_text(known)
    outcome = run(("true",), known_hosts="changed")
    assert outcome.error is not None
    assert outcome.error.kind is FailureKind.HOST_KEY
    assert "another host key" in outcome.error.message


def test_a_host_that_asks_for_a_password_gets_none(run: Run) -> None:
    outcome = run(("true",), key="stranger")
    assert outcome.error is not None
    assert outcome.error.kind is FailureKind.AUTH
    assert "authorized_keys" in outcome.error.message
    assert "password" in outcome.error.message
    assert outcome.elapsed < 10


def test_a_machine_without_ssh_is_said_so_for_every_host(host: sshd.Sshd) -> None:
    jobs = [Job(instance(host.target, f"dvb-{n}"), (("true",),)) for n in range(3)]
    outcomes = remote.run(jobs, SshSettings(command="/nowhere/ssh"))
    assert [outcome.error.kind for outcome in outcomes if outcome.error] == [FailureKind.NO_SSH] * 3
    assert all("/nowhere/ssh cannot be started" in outcome.error.message for outcome in outcomes if outcome.error)


def test_an_account_that_runs_something_else_is_no_success(run: Run, host: sshd.Sshd, ssh_keys: sshd.Keys) -> None:
    authorized = host.folder / "authorized_keys"
    kept = authorized.read_text()
    authorized.write_text(f'command="echo This account is not available; exit 1" {kept}')
    try:
        outcome = run(("true",), ("true",))
    finally:
        authorized.write_text(kept)
    assert outcome.error is not None
    assert outcome.error.kind is FailureKind.SERVER
    assert "status 1" in outcome.error.message
    assert "This account is not available" in outcome.error.message
    assert progress(outcome) == [Progress.NOT_RUN] * 2


# --- time, interruption, numbers --------------------------------------------------------------------------------------


def test_a_command_that_hangs_is_killed_here_and_what_was_done_before_it_is_known(host: sshd.Sshd, run: Run) -> None:
    hangs = ("sh", "-c", "echo $$; exec sleep 60")
    outcome = run(("echo", "done"), hangs, ("echo", "never"), timeout=4.0)
    assert clients(str(host.port)) == []
    assert progress(outcome) == [Progress.DONE, Progress.UNFINISHED, Progress.NOT_RUN]
    (pid,) = outcome.results[1].lines
    still_asleep(int(pid))
    assert outcome.error is not None
    assert outcome.error.kind is FailureKind.TIMEOUT
    assert "exec sleep 60" in outcome.error.message
    assert "may still run there" in outcome.error.message
    assert outcome.elapsed > 3.9


def test_what_ssh_itself_started_is_killed_with_it(ssh_keys: sshd.Keys, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    options = (*ssh_keys.options(), "-o", f"ProxyCommand=sh -c 'echo $$ > {note}; exec sleep 30'")
    job = Job(instance(SshTarget("gate.invalid")), (("true",),))
    (outcome,) = remote.run([job], SshSettings(options=options), timeout=1.0)
    assert outcome.error is not None
    pid = int(note.read_text())
    assert eventually(lambda: not Path(f"/proc/{pid}").exists() or " Z " in Path(f"/proc/{pid}/stat").read_text())


def test_a_connection_lost_half_way_says_which_command_was_running(run: Run) -> None:
    # Of the processes above the command, the nearest called sshd is the one that holds the connection's end.
    lose = 'p=$PPID; while [ "$(cat /proc/$p/comm)" != sshd ]; do p=$(cut -d" " -f4 /proc/$p/stat); done; '
    lose += "kill -9 $p; sleep 5"
    outcome = run(("echo", "done"), ("sh", "-c", lose), ("echo", "never"))
    assert progress(outcome) == [Progress.DONE, Progress.UNFINISHED, Progress.NOT_RUN]
    assert outcome.error is not None
    assert outcome.error.kind in (FailureKind.CLOSED, FailureKind.UNREACHABLE)
    assert "was running, look what became of it" in outcome.error.message


def test_sixteen_hosts_are_asked_at_once_but_never_more_than_allowed(
    host: sshd.Sshd, ssh_keys: sshd.Keys, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    log.touch()
    note = f"echo + >> {log}; sleep 0.6; echo - >> {log}"
    jobs = [Job(instance(host.target, f"dvb-{n}"), (("sh", "-c", f"{note}; echo {n}"),)) for n in range(16)]
    before, seen = host.sessions, list[str]()
    outcomes = remote.run(
        jobs, sshd.settings_for(ssh_keys), parallel=4, on_done=lambda outcome: seen.append(outcome.instance.fqdn)
    )
    assert [outcome.results[0].lines for outcome in outcomes] == [(str(n),) for n in range(16)]
    assert sorted(seen) == sorted(job.instance.fqdn for job in jobs)
    assert host.sessions - before == 16
    running = most = 0
    for sign in log.read_text().split():
        running += 1 if sign == "+" else -1
        most = max(most, running)
    assert running == 0
    assert 2 <= most <= 4


def test_a_host_that_fails_stops_no_other(host: sshd.Sshd, ssh_keys: sshd.Keys) -> None:
    with peers.nobody() as refused, peers.Peer(peers.silent) as mute:
        targets = [
            SshTarget(refused.host, None, refused.port), SshTarget(mute.endpoint.host, None, mute.endpoint.port),
            host.target, SshTarget("no-such-host.invalid"), host.target,
        ]  # fmt: skip
        jobs = [Job(instance(target, f"dvb-{n}"), (("echo", str(n)),)) for n, target in enumerate(targets)]
        outcomes = remote.run(jobs, sshd.settings_for(ssh_keys), timeout=6.0)
    assert [outcome.instance.fqdn for outcome in outcomes] == [f"dvb-{n}" for n in range(5)]
    assert [outcome.ok for outcome in outcomes] == [False, False, True, False, True]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_whatever_interrupts_us_no_ssh_is_left(
    host: sshd.Sshd, ssh_keys: sshd.Keys, error: type[BaseException]
) -> None:
    def interrupt(outcome: Outcome) -> None:
        raise error

    jobs = [Job(instance(host.target), ((("true",) if n == 0 else ("sleep", "5")),)) for n in range(4)]
    before = children()
    with pytest.raises(error):
        remote.run(jobs, sshd.settings_for(ssh_keys), on_done=interrupt)
    assert children() == before
    assert clients(str(host.port)) == []


def test_no_jobs_have_no_outcomes() -> None:
    assert remote.run([], SshSettings()) == ()


# --- what is refused before anything starts ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [SshTarget("-oProxyCommand=id"), SshTarget(""), SshTarget("a b"), SshTarget("a;b"), SshTarget("u@h"),
     SshTarget("h", "-l"), SshTarget("h", "a b")],
)  # fmt: skip
def test_a_host_or_user_that_ssh_would_take_for_something_else_is_refused(target: SshTarget) -> None:
    with pytest.raises(UsageError):
        remote.run([Job(instance(target), (("true",),))], SshSettings(command="/nowhere/ssh"))


@pytest.mark.parametrize(
    "commands", [((),), (("",),), (("a", "\0"),), (("a", "x" * 130_000),)], ids=["none", "empty", "null", "too long"]
)
def test_commands_that_cannot_be_given_are_refused(commands: tuple[tuple[str, ...], ...]) -> None:
    with pytest.raises(UsageError):
        remote.run([Job(instance(SshTarget("h")), commands)], SshSettings(command="/nowhere/ssh"))


@pytest.mark.parametrize("command", ["", "  ", "ssh 'x"])
def test_a_command_that_is_none_is_a_mistake_of_the_configuration(command: str) -> None:
    with pytest.raises(ConfigError, match=r"\[SSH\] command"):
        remote.run([Job(instance(SshTarget("h")), (("true",),))], SshSettings(command=command))


def test_batch_mode_comes_first_then_the_host_then_the_administrator_then_our_defaults() -> None:
    settings = SshSettings(command="sudo -u dvb ssh", options=("-o", "BatchMode=no", "-o", "ConnectTimeout=3"))
    line = remote.command_line(SshTarget("h", "dvbbox", 2222), settings, 60.0)
    assert line[:11] == ["sudo", "-u", "dvb", "ssh", "-T", "-o", "BatchMode=yes", "-p", "2222", "-l", "dvbbox"]
    assert line.index("BatchMode=yes") < line.index("BatchMode=no")
    assert line.index("ConnectTimeout=3") < line.index("ConnectTimeout=10")
    assert line[-2:] == ["--", "h"]
    assert not any("StrictHostKeyChecking" in word for word in line)
    assert "-p" not in remote.command_line(SshTarget("h"), SshSettings(), 60.0)
    assert "ConnectTimeout=2" in remote.command_line(SshTarget("h"), SshSettings(), 2.5)


def test_ssh_itself_reads_the_options_in_that_order() -> None:
    settings = SshSettings(options=("-F", "none", "-o", "BatchMode=no", "-o", "ConnectTimeout=3"))
    line = remote.command_line(SshTarget("h", "dvbbox", 2222), settings, 60.0)
    if not sshd.find_sshd():
        pytest.skip("there is no OpenSSH")
    said = subprocess.run([line[0], "-G", *line[1:]], capture_output=True, text=True, check=True).stdout.splitlines()
    assert {"batchmode yes", "connecttimeout 3", "port 2222", "user dvbbox", "serveraliveinterval 10"} <= set(said)


def test_the_update_command_is_made_of_checked_words() -> None:
    day = date(2017, 6, 15)
    want = ("dvbbox", "program", "15062017", "--service_id", "85", "--update")
    assert remote.update_command(SshSettings(), day, "85", ["85"]) == want
    assert remote.update_command(SshSettings(dvbbox="sudo -n /opt/dvbbox"), day, "85")[:3] == (
        "sudo",
        "-n",
        "/opt/dvbbox",
    )
    for wrong in ("", "85;rm", "-1", "8 5", "٨٥", "85\n"):
        with pytest.raises(UsageError):
            remote.update_command(SshSettings(), day, wrong)
    with pytest.raises(UnknownName):
        remote.update_command(SshSettings(), day, "86", ["85"])
    with pytest.raises(ConfigError):
        remote.update_command(SshSettings(dvbbox="'"), day, "85")


# --- shared connections -----------------------------------------------------------------------------------------------


def test_runs_of_one_process_share_a_connection_and_it_ends_with_the_block(
    host: sshd.Sshd, ssh_keys: sshd.Keys, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, jobs = sshd.settings_for(ssh_keys), [Job(instance(host.target), (("echo", "x"),))]
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/tmp")
    connections, sessions = host.connections, host.sessions
    with Masters(settings) as masters:
        path = masters.path(host.target)
        assert path is not None
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        outcomes = [remote.run(jobs, settings, masters=masters, timeout=LONG)[0] for _ in range(3)]
        assert all(outcome.ok for outcome in outcomes), outcomes
        assert path.is_socket()
    assert (host.connections - connections, host.sessions - sessions) == (1, 3)
    assert not path.parent.exists()
    assert eventually(lambda: clients(str(path)) == [], remote.PERSIST - 10)  # it would end itself, later


def test_a_shared_connection_ends_with_a_command_that_hangs_on_it(
    host: sshd.Sshd, ssh_keys: sshd.Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/tmp")
    settings = sshd.settings_for(ssh_keys)
    with Masters(settings) as masters:
        path = masters.path(host.target)
        (hung,) = remote.run([Job(instance(host.target), (("sleep", "5"),))], settings, masters=masters, timeout=1.5)
        assert hung.error is not None
        assert eventually(lambda: clients(str(path)) == [], remote.PERSIST - 10)
        (next_one,) = remote.run([Job(instance(host.target), (("true",),))], settings, masters=masters, timeout=LONG)
        assert next_one.ok


def test_where_no_socket_fits_nothing_is_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with Masters(SshSettings()) as masters:
        assert masters.path(SshTarget("h")) is None
        assert not any("Control" in word for word in remote.command_line(SshTarget("h"), SshSettings(), 5.0, None))
    assert list(deep.iterdir()) == []


# --- the sister tool of the tests does what SPEC 2 says ---------------------------------------------------------------


def entries(world: World, fqdn: str, key: str) -> list[tuple[str, float]]:
    (reply,) = store.ask(world.master(fqdn).endpoint, [(0, ("ZRANGE", key, 0, -1, "WITHSCORES"))], LONG)
    return [(member.decode(), float(score)) for member, score in zip(reply[::2], reply[1::2], strict=True)]


def program(key: str, *slots: tuple[str, float]) -> tuple[int, tuple[str | float, ...]]:
    return 0, ("ZADD", key, *(word for member, start in slots for word in (start, member)))


def durations(**seconds: str) -> list[tuple[int, tuple[str, ...]]]:
    return [(1, ("SET", f"{name}.ts", value)) for name, value in seconds.items()]


@pytest.fixture
def one_host(
    small_fleet: Callable[..., World], ssh_hosts: Callable[[World], sshd.Hosts]
) -> tuple[World, sshd.DvbboxHost, Callable[..., Outcome]]:
    """A fleet of one instance, its host, and ``update(day, sid, ...)`` over ssh as its configuration says."""
    world = small_fleet(1, 1)
    hosts = ssh_hosts(world)

    def update(*days: date, service_id: str = "85", timeout: float = LONG) -> Outcome:
        from dvbboxes import config

        known = config.load(hosts.config_path)
        commands = tuple(remote.update_command(known.ssh, day, service_id) for day in days)
        (outcome,) = remote.run([Job(known.instances[0], commands)], known.ssh, timeout=timeout)
        return outcome

    return world, hosts["town1-1"], update


OneHost = tuple[World, sshd.DvbboxHost, Callable[..., Outcome]]


def start(day: date, clock: str = "07:30") -> float:
    return datetime.fromisoformat(f"{day.isoformat()}T{clock}+03:00").timestamp()


def test_an_update_repairs_paths_and_moves_starts_that_fall_into_the_file_before(one_host: OneHost) -> None:
    world, host, update = one_host
    day, at = date(2017, 6, 15), start(date(2017, 6, 15))
    host.put("/opt/tsfiles/a.ts", "/mnt/disk2/b.ts", "/opt/tsfiles/d.ts")
    slots = [
        ("/opt/tsfiles/a.ts:0", at), ("/opt/tsfiles/b.ts:1", at + 50.0), ("/opt/tsfiles/gone.ts:2", at + 60.0),
        ("/opt/tsfiles/d.ts:3", at + 500.0), ("/opt/tsfiles/a.ts:4", at + 501.0),
    ]  # fmt: skip
    world.load({"town1-1": [program("15062017:85", *slots), *durations(a="100.25", b="30", gone="10", d="3.14")]})
    outcome = update(day)
    assert outcome.ok, outcome
    assert "/opt/tsfiles/gone.ts is missing" in outcome.results[0].lines
    assert entries(world, "town1-1", "15062017:85") == [
        ("/opt/tsfiles/a.ts:0", at),
        ("/mnt/disk2/b.ts:1", at + 100.25),
        ("/opt/tsfiles/gone.ts:2", at + 130.25),
        ("/opt/tsfiles/d.ts:3", at + 500.0),
        ("/opt/tsfiles/a.ts:4", at + 501.0),
    ]


def test_an_update_walks_equal_starts_in_member_order(one_host: OneHost) -> None:
    world, host, update = one_host
    day, at = date(2017, 6, 15), start(date(2017, 6, 15))
    host.put("/opt/tsfiles/z.ts", "/opt/tsfiles/b.ts")
    slots = [("/opt/tsfiles/z.ts:0", at), ("/opt/tsfiles/b.ts:1", at)]
    world.load({"town1-1": [program("15062017:85", *slots), *durations(z="100", b="30")]})
    assert update(day).ok
    assert entries(world, "town1-1", "15062017:85") == [("/opt/tsfiles/b.ts:1", at), ("/opt/tsfiles/z.ts:0", at + 30)]


@pytest.mark.parametrize(("day", "touched"), [(SATURDAY, 3), (date(2017, 6, 18), 1)])
def test_an_update_of_a_saturday_covers_sunday_and_monday(one_host: OneHost, day: date, touched: int) -> None:
    world, host, update = one_host
    host.put("/mnt/disk2/a.ts")
    days = [date(2017, 6, n) for n in range(day.day, day.day + 4)]
    keys = [f"{each:%d%m%Y}:85" for each in days]
    old = "/opt/tsfiles/a.ts:0"
    world.load({"town1-1": [program(key, (old, start(each))) for key, each in zip(keys, days, strict=True)]})
    assert update(day).ok
    found = [entries(world, "town1-1", key)[0][0] for key in keys]
    assert found == ["/mnt/disk2/a.ts:0"] * touched + [old] * (4 - touched)


def test_a_program_that_needs_nothing_is_left_as_it_is(one_host: OneHost) -> None:
    world, host, update = one_host
    day = date(2017, 6, 15)
    host.put("/opt/tsfiles/a.ts")
    world.load({"town1-1": [program("15062017:85", ("/opt/tsfiles/a.ts:0", start(day)))]})
    outcome = update(day, date(2017, 6, 16))
    assert [(result.status, result.lines) for result in outcome.results] == [(0, ()), (0, ())]
    assert entries(world, "town1-1", "15062017:85") == [("/opt/tsfiles/a.ts:0", start(day))]
    assert entries(world, "town1-1", "16062017:85") == []


def test_a_service_that_is_not_configured_there_ends_with_2(one_host: OneHost) -> None:
    _, _, update = one_host
    outcome = update(date(2017, 6, 15), service_id="99")
    assert [(result.status, result.lines) for result in outcome.results] == [(2, ("99 is not configured",))]
    assert outcome.error is None


def test_a_month_is_one_session(one_host: OneHost) -> None:
    _, host, update = one_host
    days = [date(2017, 6, n) for n in range(1, 6)]
    assert update(*days).ok
    assert host.sshd.sessions == 1
    assert host.calls == [["program", f"{day:%d%m%Y}", "--service_id", "85", "--update"] for day in days]


def test_a_dvbbox_that_misbehaves_is_reported_as_it_does(one_host: OneHost) -> None:
    _, host, update = one_host
    day = date(2017, 6, 15)
    said: dict[str, tuple[int | None, Sequence[str]]] = {}
    for how in ("exit 1", "exit 255", "prompt", "flood 2"):
        host.behave(how)
        outcome = update(day)
        assert outcome.error is None
        said[how] = outcome.results[0].status, outcome.results[0].lines
    assert said["exit 1"] == (1, ("dvbbox: no space left on device",))
    assert said["exit 255"][0] == 255
    assert said["prompt"] == (1, ("Password: dvbbox: no password was given",))
    assert said["flood 2"][0] == 0
    assert sum(map(len, said["flood 2"][1])) <= remote.KEEP


def test_a_dvbbox_that_hangs_is_given_up_and_goes_when_nobody_listens(one_host: OneHost) -> None:
    _, host, update = one_host
    host.behave("hang")
    outcome = update(date(2017, 6, 15), date(2017, 6, 16), timeout=6.0)
    assert progress(outcome) == [Progress.UNFINISHED, Progress.NOT_RUN]
    assert outcome.error is not None
    assert outcome.error.kind is FailureKind.TIMEOUT
    assert "dvbbox program 15062017 --service_id 85 --update" in outcome.error.message
    assert clients(str(host.sshd.port)) == []
    assert len(host.pids) == 1
    assert eventually(lambda: not Path(f"/proc/{host.pids[0]}").exists())


def test_no_environment_of_ours_is_needed_for_it(one_host: OneHost) -> None:
    _, host, update = one_host
    assert "DVBBOX_ROOT" not in os.environ
    assert update(date(2017, 6, 15)).ok
    assert host.calls
