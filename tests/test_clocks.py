"""The clocks of ``make test-clocks``: their table covers what it says, and what is preloaded shifts what it should."""

from __future__ import annotations

import json
import os
import py_compile
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from clocks import shim, table
from waiting import eventually

from dvbboxes.model import Endpoint
from dvbboxes.store import Unanswered, ask

#: A shift that no rounding hides, and not a whole number of days.
SHIFT = 400 * 86400 + 3661
NEAR = 30.0  # seconds within which two processes look at one clock, on a busy machine


# --- the table (pure) -------------------------------------------------------------------------------------------------


def test_every_time_zone_and_kind_of_day_stands_in_the_table() -> None:
    assert {clock.time for clock in table.CLOCKS} == set(table.TIMES)
    assert {clock.zone for clock in table.CLOCKS} == set(table.ZONES)
    days = {kind for clock in table.CLOCKS for kind in table.kinds_of_day(date.fromisoformat(clock.day))}
    assert days == set(table.KINDS)


def test_the_whole_suite_runs_at_three_of_them() -> None:
    assert sum(clock.whole for clock in table.CLOCKS) == 3
    assert len(set(table.CLOCKS)) == len(table.CLOCKS)


def test_every_moment_of_the_table_is_on_that_clock_there() -> None:
    for clock in table.CLOCKS:
        local = datetime.fromtimestamp(clock.moment, ZoneInfo(clock.zone))
        assert (local.date().isoformat(), local.time().replace(microsecond=0).isoformat("auto")[: len(clock.time)]) == (
            clock.day,
            clock.time,
        )


@pytest.mark.parametrize(
    ("day", "kinds"),
    [
        ("2027-06-16", {"ordinary"}),
        ("2027-03-28", {"clocks forward in Paris"}),
        ("2027-10-31", {"clocks back in Paris"}),
        ("2028-01-01", {"first of a month", "Saturday"}),
        ("2028-02-29", {"29 February"}),
    ],
)
def test_a_day_is_of_its_kinds(day: str, kinds: set[str]) -> None:
    assert table.kinds_of_day(date.fromisoformat(day)) == kinds


# --- the clock itself -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def library(need: Callable[[object, str], None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    need(sys.platform.startswith("linux"), "the shifted clock is for Linux")
    need(shim.compiler(), "there is no C compiler (apt-get install gcc libc6-dev)")
    return shim.compile_shim(tmp_path_factory.mktemp("clock"), SHIFT)


@pytest.fixture
def there(library: Path) -> Callable[..., Any]:
    """``there(program, *arguments)``: run a Python program under the shifted clock; it prints JSON."""
    environ = shim.environment(os.environ, library, "Pacific/Auckland")

    def run(program: str, *arguments: str) -> Any:
        line = [sys.executable, "-c", program, *arguments]
        done = subprocess.run(line, env=environ, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    return run


def test_every_way_to_read_the_clock_is_shifted_and_the_monotonic_one_is_not(there: Callable[..., Any]) -> None:
    said = there("""
import ctypes, datetime, json, subprocess, time
class Spec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("fraction", ctypes.c_long)]
libc, spec = ctypes.CDLL(None), Spec()
libc.gettimeofday(ctypes.byref(spec), None)
of_day = spec.seconds
libc.timespec_get(ctypes.byref(spec), 1)
said = [time.time(), time.clock_gettime(time.CLOCK_REALTIME), datetime.datetime.now().timestamp(), of_day, spec.seconds,
        libc.time(None), int(subprocess.check_output(["date", "+%s"]))]
print(json.dumps([said, time.monotonic(), time.tzname]))
""")
    wall, monotonic, zone = said
    assert [abs(one - time.time() - SHIFT) < NEAR for one in wall] == [True] * 7
    assert abs(monotonic - time.monotonic()) < NEAR
    assert zone == ["NZST", "NZDT"]


def test_a_file_is_as_old_there_as_it_is_here(there: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    ages = there(
        """
import json, os, pathlib, subprocess, sys, time
name = sys.argv[1]
def ages():
    with open(name) as file:
        found = [os.stat(name), os.lstat(name), os.fstat(file.fileno()), next(os.scandir(os.path.dirname(name))).stat()]
    return [time.time() - one.st_mtime for one in found] + [
        time.time() - int(subprocess.check_output(["stat", "-c", "%Y", name]))]
made = ages()
os.utime(name, (time.time() - 3600, time.time() - 3600))
set_back = ages()
os.utime(name)
print(json.dumps([made, set_back, ages()]))
""",
        str(file),
    )
    for said, age in zip(ages, (0, 3600, 0), strict=True):
        assert [abs(one - age) < NEAR for one in said] == [True] * 5
    assert abs(file.stat().st_mtime - time.time()) < NEAR  # here it is of now, too


def test_bytecode_made_here_is_good_there_and_is_left_as_it_is(there: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("ANSWER = 42\n")
    py_compile.compile(str(tmp_path / "module.py"), doraise=True)
    (bytecode,) = (tmp_path / "__pycache__").iterdir()
    before = bytecode.read_bytes(), bytecode.stat().st_ino
    program = "import sys; sys.path.insert(0, sys.argv[1]); import module; print(module.ANSWER)"
    assert there(program, str(tmp_path)) == 42
    assert (bytecode.read_bytes(), bytecode.stat().st_ino) == before


def test_who_waits_there_waits_as_long_as_here(there: Callable[..., Any]) -> None:
    """A wait until a moment of the wall clock (sem_timedwait, a condition of C) must not last for years."""
    waits = there("""
import ctypes, json, multiprocessing, select, threading, time
libc = ctypes.CDLL(None)
class Spec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("fraction", ctypes.c_long)]
def until(seconds):
    now = time.time() + seconds
    return ctypes.byref(Spec(int(now), int(now % 1 * 1e9)))
def condition():
    held, wanted = ctypes.create_string_buffer(64), ctypes.create_string_buffer(64)
    libc.pthread_mutex_lock(held)
    return libc.pthread_cond_timedwait(wanted, held, until(0.2))
lock = threading.Lock()
lock.acquire()
ways = [lambda: time.sleep(0.2), lambda: threading.Event().wait(0.2), lambda: lock.acquire(timeout=0.2),
        lambda: multiprocessing.Semaphore(0).acquire(timeout=0.2), lambda: select.poll().poll(200), condition,
        lambda: libc.clock_nanosleep(0, 1, until(0.2), None)]
def took(way):
    began = time.monotonic()
    way()
    return time.monotonic() - began
print(json.dumps([took(way) for way in ways]))
""")
    assert [0.19 < took < NEAR for took in waits] == [True] * 7


@pytest.fixture
def a_server(redis_server: str, library: Path, tmp_path: Path) -> Iterator[Path]:
    """A real Redis server under the shifted clock, on a socket."""
    socket = tmp_path / "redis.sock"
    environ = shim.environment(os.environ, library, "UTC")
    options = ["--port", "0", "--unixsocket", str(socket), "--dir", str(tmp_path), "--save", ""]
    with subprocess.Popen([redis_server, *options], env=environ, stdout=subprocess.DEVNULL) as server:
        yield socket
        server.kill()


def test_a_server_lives_by_it_too(a_server: Path) -> None:

    def said() -> int:
        try:
            return int(ask(Endpoint(path=str(a_server)), [(0, ("TIME",))], NEAR)[0][0])
        except Unanswered:
            return 0

    assert eventually(lambda: said() > 0)
    assert abs(said() - time.time() - SHIFT) < NEAR
