"""One writing run at a time: real processes, killed ones too."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dvbboxes.errors import ExitStatus, JournalError, Locked
from dvbboxes.lock import FILE, hold

ROOT = Path(__file__).resolve().parents[1]
#: Say `held` or why not, then wait for the end of stdin.
HOLDER = """
import sys
from dvbboxes.errors import Locked
from dvbboxes.lock import hold
try:
    with hold(sys.argv[1], sys.argv[2], "listing apply x", 1795000000.0):
        print("held", flush=True)
        sys.stdin.read()
except Locked as error:
    print(error, flush=True)
    sys.exit(error.status)
"""
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """``start(folder, who, code=HOLDER)``: a Python process; killed when the test ends."""
    with ExitStack() as stack:

        def go(folder: Path, who: str, code: str = HOLDER) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-c", code, str(folder), who],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield go


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> int:
    assert process.stdin is not None
    process.stdin.close()
    return process.wait(10)


def test_a_second_run_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    with (
        hold(tmp_path, "rado", "listing apply 85\nx", 1795000000.0),
        pytest.raises(Locked) as told,
        hold(tmp_path, "lala", "y", 1.0),
    ):
        pass
    text = str(told.value)
    since = time.strftime("%d-%m-%Y %H:%M:%S", time.localtime(1795000000.0))
    for word in ("rado", os.uname().nodename, f"process {os.getpid()}", since, "listing apply 85?x", str(tmp_path)):
        assert word in text
    assert "\n" not in text
    assert told.value.status is ExitStatus.LOCKED


def test_the_lock_is_free_after_the_block_however_it_ends(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), hold(tmp_path, "a", "x", 1.0):
        raise KeyboardInterrupt
    assert (tmp_path / FILE).read_bytes() == b""
    with hold(tmp_path, "b", "x", 2.0) as holder:
        assert json.loads((tmp_path / FILE).read_text())["who"] == "b"
    assert (holder.who, holder.pid, holder.since) == ("b", os.getpid(), 2.0)


def test_of_twenty_processes_at_once_one_works_and_the_others_are_told_who(tmp_path: Path, start: Start) -> None:
    processes = {f"user{n}": start(tmp_path, f"user{n}") for n in range(20)}
    words = {who: said(process) for who, process in processes.items()}
    held = [who for who, word in words.items() if word == "held"]
    assert len(held) == 1
    told = [word for who, word in words.items() if who != held[0]]
    assert [word for word in told if f"holds the lock: {held[0]} on" not in word] == []
    assert sorted(end(process) for process in processes.values()) == [0] + [75] * 19


def test_kill_9_of_the_holder_frees_the_lock_and_its_text_names_nobody(tmp_path: Path, start: Start) -> None:
    dead = start(tmp_path, "the dead one")
    assert said(dead) == "held"
    dead.kill()
    dead.wait(10)
    assert "the dead one" in (tmp_path / FILE).read_text()
    with (tmp_path / FILE).open("rb+") as new:  # a holder that has not yet written who it is
        fcntl.flock(new, fcntl.LOCK_EX)
        with pytest.raises(Locked) as told, hold(tmp_path, "a", "x", 1.0, patience=0.05):
            pass
    assert "the dead one" not in str(told.value)
    assert "who it is cannot be read" in str(told.value)
    with hold(tmp_path, "a", "x", 1.0) as holder:
        assert holder.who == "a"


def test_a_killed_holder_that_nobody_has_waited_for_is_dead(tmp_path: Path, start: Start) -> None:
    dead = start(tmp_path, "the dead one")
    assert said(dead) == "held"
    dead.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)  # ended, and a zombie still
    with (tmp_path / FILE).open("rb+") as new:
        fcntl.flock(new, fcntl.LOCK_EX)
        with pytest.raises(Locked, match="cannot be read"), hold(tmp_path, "a", "x", 1.0, patience=0.05):
            pass


def _text(**other: object) -> bytes:
    whole = {"pid": os.getpid(), "process_start": "1", "who": "old", "host": os.uname().nodename, "since": 1.0}
    return json.dumps({**whole, "command": "x", **other}).encode()


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\x00", b"[]", b"null", b'{"pid": 1}', _text(), _text(pid=2**70, process_start=""), _text(since="?")],
    ids=["empty", "binary", "list", "null", "half", "a later process of that number", "no number", "no time"],
)
def test_a_text_that_names_no_living_holder_is_never_reported(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with (tmp_path / FILE).open("rb+") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with pytest.raises(Locked) as told, hold(tmp_path, "a", "x", 1.0, patience=0.05):
            pass
    assert "who it is cannot be read" in str(told.value)


def test_a_holder_on_another_host_is_believed(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(_text(host="elsewhere", pid=2**22 + 1))
    with (tmp_path / FILE).open("rb+") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with pytest.raises(Locked, match="old on elsewhere"), hold(tmp_path, "a", "x", 1.0, patience=0.05):
            pass


def test_a_child_does_not_inherit_the_lock(tmp_path: Path, start: Start) -> None:
    code = """
import subprocess, sys
from dvbboxes.lock import hold
with hold(sys.argv[1], sys.argv[2], "x", 1.0):
    child = subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL, close_fds=False)
    print(child.pid, flush=True)
    sys.stdin.read()
"""
    holder = start(tmp_path, "a", code)
    child = int(said(holder))
    try:
        holder.kill()
        holder.wait(10)
        os.kill(child, 0)  # it lives
        with hold(tmp_path, "b", "x", 1.0) as mine:
            assert mine.who == "b"
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_folder_that_does_not_let_us_lock_is_named(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / FILE).mkdir()
    for folder, why in ((tmp_path / "gone", "No such file"), (tmp_path / "sub", "Is a directory")):
        with pytest.raises(JournalError, match=why) as told, hold(folder, "a", "x", 1.0):
            pass
        assert str(folder / FILE) in str(told.value)
        assert told.value.status is ExitStatus.CONFIGURATION
