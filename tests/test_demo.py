"""The demo fleet: what it plays, what is wrong in it, and that two of them never meet."""

from __future__ import annotations

import json
import math
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import inmemory
import processes
import pytest
from waiting import eventually

from dvbboxes import config, schedule, store, wire
from dvbboxes.demo import fleet as demo
from dvbboxes.demo import loading, process, sample, trouble
from dvbboxes.errors import DvbboxesError, ListingError, Locked, Refused, UsageError
from dvbboxes.findings import Code, Severity
from dvbboxes.model import Endpoint, Schedule

ROOT = Path(__file__).parents[1]
TODAY = date(2026, 11, 24)
FQDNS = ("dvb-tana-1", "dvb-tana-2", "dvb-toamasina-1", "dvb-toamasina-2")
LONG = 20.0


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Demos of their own for each test, all stopped at its end."""
    folder = tmp_path / "runtime"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    yield folder
    for lock in (folder / "dvbboxes").glob("*.lock"):
        demo.stop(lock.stem)


@dataclass(frozen=True)
class Held:
    """Everything one Redis holds."""

    programs: dict[tuple[date, str], Schedule]
    media: dict[str, float | None]


def held(port: int) -> Held:
    endpoint = Endpoint(port=port)
    keys = sorted(store.ask(endpoint, [(0, ("KEYS", "*"))], LONG)[0])
    days = [found for key in keys if (found := wire.parse_program_key(key))]
    assert len(days) == len(keys)
    replies = store.ask(endpoint, wire.program_request(days).commands, LONG)
    names = [wire.text(name) for name in sorted(store.ask(endpoint, [(1, ("KEYS", "*"))], LONG)[0])]
    values = store.ask(endpoint, wire.duration_request(names).commands, LONG)[0]
    programs = {key: wire.decode_program(*key, reply) for key, reply in zip(days, replies, strict=True)}
    assert not any(program.corrupt for program in programs.values())
    return Held(programs, {name: wire.decode_duration(v).seconds for name, v in zip(names, values, strict=True)})


def media_of(program: Schedule) -> list[str]:
    return [wire.stem(slot.media) for slot in program.slots]


def server_pids(state: demo.DemoState) -> list[int]:
    stored = json.loads((Path(state.folder) / "state.json").read_text("utf-8"))
    return [pid for name in FQDNS for pid, _ in stored["processes"][name]]


# --- the sample and its trouble (pure) --------------------------------------------------------------------------------


@pytest.mark.pure
@pytest.mark.parametrize("zone", ["Indian/Antananarivo", "Europe/Paris", "America/New_York"])
def test_every_day_of_the_sample_is_green(zone: str) -> None:
    tz = ZoneInfo(zone)
    for week in range(0, 370, 7):
        content = sample.content(TODAY + timedelta(days=week))
        for (day, _), names in content.programs.items():
            assert all(content.durations.get(name, 0) > 0 for name in names)
            start, end_of_day = schedule.window(day, tz, datetime.min.time().replace(hour=7, minute=30))
            midnight = datetime.combine(day + timedelta(days=1), datetime.min.time(), tz).timestamp()
            assert midnight <= start + sum(content.durations[name] for name in names) < end_of_day


@pytest.mark.pure
def test_the_sample_is_two_channels_and_a_week_and_always_the_same() -> None:
    content = sample.content(TODAY)
    assert dict(content.channels) == {"85": "Ma chaine", "86": "Deuxième chaîne"}
    assert content.days == tuple(TODAY + timedelta(days=n) for n in range(-3, 4))
    assert len(content.programs) == 14
    assert len(content.durations) >= 75
    assert all(wire.is_media_name(name) for name in content.durations)
    assert any(seconds % 1 for seconds in content.durations.values())
    assert content == sample.content(TODAY)
    # A day plays the same whatever day it is looked at from.
    shared = sample.content(TODAY + timedelta(days=1)).programs
    assert all(shared[key] == names for key, names in content.programs.items() if key in shared)
    # It is not the news alone that changes.
    rest = {tuple(n for n in names if not n.startswith(("jt_", "vaovao_"))) for names in content.programs.values()}
    assert len(rest) == 14


@pytest.mark.pure
@pytest.mark.parametrize("today", [TODAY + timedelta(days=n) for n in range(7)])
def test_trouble_is_of_each_kind_and_stands_in_the_programs_of_today_and_tomorrow(today: date) -> None:
    content = sample.content(today)
    made = trouble.make(5.0, content, FQDNS, today)
    tomorrow = today + timedelta(days=1)
    for soon in (today, tomorrow):
        playing = {name for (day, _), names in content.programs.items() if day == soon for name in names}
        assert made.lacks and all(each.name in playing for each in made.lacks)
        assert made.differs and all(each.name in playing for each in made.differs)
    assert {each.name for each in made.lacks}.isdisjoint(each.name for each in made.differs)
    assert all(abs(each.seconds - content.durations[each.name]) > 1.2 for each in made.differs)
    assert [old.day for old in made.old[:2]] == [today, tomorrow]
    for old in made.old:
        assert len(old.names) == len(content.programs[old.day, old.service_id]) + 1
        assert set(old.names) <= set(content.durations)
    assert 3 <= len(made.lacks) + len(made.differs) <= 5  # about 5 % of 80 files
    assert 2 <= len(made.old) <= 4  # about 5 % of 56 programs
    assert made == trouble.make(5.0, content, FQDNS, today)


def demo_in_memory(today: date, zone: ZoneInfo, percent: float = demo.DEFAULT_TROUBLE) -> inmemory.World:
    """Return what a demo that is started on this broadcast day holds, for the rules of ``check`` to look at."""
    content = sample.content(today)
    world = inmemory.World(zone=zone, towns=demo.TOWNS, days=[day for day in content.days if day >= today])
    made = trouble.make(percent, content, world.fqdns, today)
    own = {(old.fqdn, old.day, old.service_id): old.names for old in made.old}
    for fqdn in world.fqdns:
        for (day, sid), names in content.programs.items():
            slots = schedule.lay_out(
                *(day, own.get((fqdn, day, sid), names), content.durations, zone, inmemory.DAY_START),
                inmemory.FOLDER,
            )
            world.programs[fqdn, day, sid] = Schedule(day, sid, slots)
        world.files[fqdn] = {f"{name}.ts": f"{seconds:.15g}" for name, seconds in content.durations.items()}
    for lacks in made.lacks:
        world.have(on=[lacks.fqdn], **{lacks.name: None})
    for differs in made.differs:
        world.have(on=[differs.fqdn], **{differs.name: differs.seconds})
    return world


@pytest.mark.pure
@pytest.mark.parametrize(
    ("today", "zone"),
    [
        *((TODAY + timedelta(days=n), "Indian/Antananarivo") for n in range(7)),
        (date(2027, 3, 27), "Europe/Paris"),  # a broadcast day of 23 hours
        (date(2027, 10, 30), "Europe/Paris"),  # and one of 25
        (date(2026, 12, 31), "Pacific/Auckland"),
        (date(2028, 2, 28), "America/New_York"),
    ],
)
def test_what_the_tutorial_shows_is_there_at_every_hour_of_the_day_and_of_the_next(today: date, zone: str) -> None:
    """A demo may be left running over night: what is told of it has to be true the next day as well."""
    world = demo_in_memory(today, ZoneInfo(zone))
    begin, _ = world.window(today, world.fqdns[0])
    _, end = world.window(today + timedelta(days=1), world.fqdns[0])
    moments = [begin, *(begin + 60 * n for n in range(1, int((end - begin) / 60), 23)), end - 1]
    for world.now in moments:
        found = world.find()
        assert (found[0].severity, found[0].code) == (Severity.CRITICAL, Code.ABSENT), datetime.fromtimestamp(world.now)
        assert {Code.ABSENT, Code.DIFFERS, Code.DURATION} <= {finding.code for finding in found}


@pytest.mark.pure
def test_without_trouble_the_same_demo_has_nothing_to_tell() -> None:
    world = demo_in_memory(TODAY, ZoneInfo("Indian/Antananarivo"), percent=0)
    world.now = world.window(TODAY, world.fqdns[0])[0]
    assert world.find() == ()


@pytest.mark.pure
def test_more_trouble_is_more_and_none_is_none() -> None:
    content = sample.content(TODAY)
    assert trouble.make(0, content, FQDNS, TODAY) == trouble.Trouble()
    much = trouble.make(50, content, FQDNS, TODAY)
    assert len(much.lacks) + len(much.differs) == round(len(content.durations) / 2)
    assert len(much.old) > 10
    every = trouble.make(100, content, FQDNS, TODAY)
    assert {each.name for each in every.lacks} | {each.name for each in every.differs} == set(content.durations)


@pytest.mark.pure
def test_trouble_on_another_fortnight_is_put_on_the_day_nearest_to_today() -> None:
    content = sample.content(date(2015, 11, 26))
    assert trouble.make(5, content, FQDNS, TODAY).old[0].day == date(2015, 11, 29)


# --- listings of one's own --------------------------------------------------------------------------------------------


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def test_a_listing_moves_to_the_day_it_is_to_start_on(tmp_path: Path) -> None:
    one = write(tmp_path, "2_28022016_01032016", "[28/02]\na\n[29/02]\nb\nb\n[01/03]\nc\n")
    two = write(tmp_path, "5_29022016_29022016", "[29/02]\nd\n")
    lengths = write(tmp_path, "durations.tsv", "a.ts\t1800\nb.ts\t12.25\n\nd.ts\t3\n")
    write(tmp_path, "channels.tsv", "5\tCinquième\n")
    content = loading.read_content([one, two], lengths, TODAY, TODAY)
    assert content.channels == {"2": "2", "5": "Cinquième"}
    second = TODAY + timedelta(days=1)
    assert content.programs == {
        (TODAY, "2"): ("a",),
        (second, "2"): ("b", "b"),
        (TODAY + timedelta(days=2), "2"): ("c",),
        (second, "5"): ("d",),
    }
    assert content.durations == {"a": 1800.0, "b": 12.25, "d": 3.0}
    assert loading.read_content([two], lengths, None, TODAY).days == (date(2016, 2, 29),)


def test_the_two_real_listings_load_whole(samples: Path) -> None:
    listings = [samples / "2_26112015_08122015", samples / "5_26112015_08122015"]
    content = loading.read_content(listings, samples / "durations.tsv", None, TODAY)
    assert content.channels == {"2": "BBC2", "5": "Channel 5"}
    assert content.days == tuple(date(2015, 11, 26) + timedelta(days=n) for n in range(13))
    assert len(content.programs) == 26
    assert len(content.durations) == len((samples / "durations.tsv").read_text("utf-8").splitlines())


@pytest.mark.parametrize(
    "line", ["a.ts 1800", "a.ts\tabc", "a.ts\tnan", "a.ts\t-1", "A.ts\t5", "a.ts\t__import__('os')"]
)
def test_a_wrong_duration_is_named_with_file_and_line(tmp_path: Path, line: str) -> None:
    path = write(tmp_path, "durations.tsv", f"ok.ts\t5\n{line}\n")
    with pytest.raises(UsageError, match=r"durations\.tsv:2: .* is no duration"):
        loading.read_durations(path)


def test_bad_files_and_arguments_are_told_before_anything_starts(tmp_path: Path, runtime: Path) -> None:
    lengths = write(tmp_path, "durations.tsv", "a.ts\t1\n")
    good = write(tmp_path, "2_28022016_28022016", "[28/02]\na\n")
    double = write(tmp_path, "2_27022016_28022016", "[27/02]\na\n[28/02]\na\n")
    wrong = write(tmp_path, "3_28022016_28022016", "[28/02]\nA b\n")
    with pytest.raises(UsageError, match="is named SID_DDMMYYYY_DDMMYYYY"):
        demo.start(listings=[lengths], durations=lengths, today=TODAY)
    with pytest.raises(UsageError, match="needs --durations"):
        demo.start(listings=[good], today=TODAY)
    with pytest.raises(UsageError, match="go with --listing"):
        demo.start(starting=TODAY, today=TODAY)
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        demo.start(listings=[good], durations=tmp_path / "none.tsv", today=TODAY)
    with pytest.raises(UsageError, match="28/02/2016 in another listing"):
        demo.start(listings=[good, double], durations=lengths, today=TODAY)
    with pytest.raises(ListingError):
        demo.start(listings=[wrong], durations=lengths, today=TODAY)
    with pytest.raises(UsageError, match="percentage"):
        demo.start(trouble=101, today=TODAY)
    for name in ("", "..", "a/b", "A", "a" * 33, "a\n"):
        with pytest.raises(UsageError, match="cannot name a demo"):
            demo.start(name, today=TODAY)
    assert not list(runtime.rglob("state.json"))


# --- the folder -------------------------------------------------------------------------------------------------------


def test_the_folder_is_owner_only_and_a_foreign_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    base = tmp_path / f"dvbboxes-{os.getuid()}"
    assert demo.status() is None
    assert base.stat().st_mode & 0o777 == 0o700
    base.chmod(0o755)
    assert demo.status() is None
    assert base.stat().st_mode & 0o777 == 0o700
    base.rename(tmp_path / "moved")
    base.symlink_to(tmp_path / "moved")
    with pytest.raises(Refused, match="is a link"):
        demo.status()
    base.unlink()
    base.write_text("")
    with pytest.raises(Refused, match="is no folder"):
        demo.start(today=TODAY)
    base.unlink()
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    (tmp_path / "dvbboxes-54321").mkdir()
    with pytest.raises(Refused, match="another user"):
        demo.stop()


# --- real demos -------------------------------------------------------------------------------------------------------

real = pytest.mark.usefixtures("redis_server")


@real
def test_without_trouble_all_instances_hold_the_same_sample(runtime: Path) -> None:
    state = demo.start(trouble=0, today=TODAY)
    assert demo.status() == state
    assert Path(state.folder).is_relative_to(runtime)
    assert [(each.town, each.fqdn, each.alive) for each in state.instances] == [
        (fqdn.split("-")[1], fqdn, True) for fqdn in FQDNS
    ]
    found = [held(port) for each in state.instances for port in (each.replica_port, each.master_port)]
    assert len(found) == 8
    assert all(each == found[0] for each in found)
    content = sample.content(TODAY)
    assert {key: tuple(media_of(p)) for key, p in found[0].programs.items()} == dict(content.programs)
    assert found[0].media == {f"{name}.ts": seconds for name, seconds in content.durations.items()}
    settings = config.load(state.config_path).schedule
    for (day, sid), program in found[0].programs.items():
        names = content.programs[day, sid]
        expected = schedule.lay_out(day, names, content.durations, settings.zone, settings.day_start, "/opt/tsfiles")
        assert program.slots == expected


@real
def test_trouble_is_on_some_instances_and_their_replicas_say_so() -> None:
    state = demo.start(today=TODAY)
    holdings = {each.fqdn: held(each.replica_port) for each in state.instances}
    content = sample.content(TODAY)
    made = trouble.make(demo.DEFAULT_TROUBLE, content, FQDNS, TODAY)
    for fqdn, got in holdings.items():
        lacking = {f"{name}.ts" for name in content.durations} - set(got.media)
        assert lacking == {f"{each.name}.ts" for each in made.lacks if each.fqdn == fqdn}
        other = {name: s for name, s in got.media.items() if s != content.durations[wire.stem(name)]}
        assert other == {f"{each.name}.ts": each.seconds for each in made.differs if each.fqdn == fqdn}
        odd = {k: tuple(media_of(p)) for k, p in got.programs.items() if tuple(media_of(p)) != content.programs[k]}
        assert odd == {(each.day, each.service_id): each.names for each in made.old if each.fqdn == fqdn}
    assert any(each.day == TODAY for each in made.old)


@real
def test_the_real_fortnight_loads_and_starts_on_the_day_asked_for(samples: Path) -> None:
    listings = [samples / "2_26112015_08122015", samples / "5_26112015_08122015"]
    state = demo.start(trouble=0, listings=listings, durations=samples / "durations.tsv", starting=TODAY, today=TODAY)
    got = held(state.instances[-1].replica_port)
    assert {day for day, _ in got.programs} == {TODAY + timedelta(days=n) for n in range(13)}
    assert len(got.programs) == 26
    assert dict(config.load(state.config_path).channels) == {"2": "BBC2", "5": "Channel 5"}
    assert media_of(got.programs[TODAY, "2"])[0] == "escape_to_the_country_worcestershire_45m"


@real
def test_two_demos_never_meet() -> None:
    one, two = demo.start("one", trouble=0, today=TODAY), demo.start("two", trouble=0, today=TODAY)
    ports = [port for state in (one, two) for each in state.instances for port in (each.replica_port, each.master_port)]
    assert len(set(ports)) == 16
    assert one.folder != two.folder and one.keeper_pid != two.keeper_pid
    before = held(two.instances[0].master_port)
    store.ask(Endpoint(port=one.instances[0].master_port), [(0, ("FLUSHALL",))], LONG)
    assert demo.stop("one") is True
    assert demo.status("one") is None
    assert not Path(one.folder).exists()
    assert demo.status("two") == two
    assert held(two.instances[0].master_port) == before


@real
def test_a_demo_that_runs_is_not_started_again_but_said() -> None:
    state = demo.start(trouble=0, today=TODAY)
    with pytest.raises(UsageError, match=rf"'demo' is already running \(keeper {state.keeper_pid}\)"):
        demo.start(today=TODAY)
    assert demo.status() == state
    pids = [state.keeper_pid, *server_pids(state)]
    assert demo.stop() is True
    assert not any(map(process.started_at, pids))
    assert demo.stop() is False


@real
def test_a_demo_of_an_older_version_is_known_and_ends() -> None:
    state = demo.start(trouble=0, today=TODAY)
    file = Path(state.folder) / "state.json"
    stored = json.loads(file.read_text("utf-8"))
    del stored["state"]["last_day"]
    file.write_text(json.dumps(stored), "utf-8")
    assert demo.status() == replace(state, last_day=date.min)
    assert demo.stop() is True


@pytest.mark.parametrize(
    ("typed", "named", "meant"),
    [((), "", "demo"), ((), "mine", "mine"), (("--name", "its"), "mine", "its")],
)
def test_which_demo_is_meant(typed: tuple[str, ...], named: str, meant: str) -> None:
    assert processes.run("demo", "status", *typed, DVBBOXES_DEMO=named).out == f"demo {meant}: not running\n"
    assert processes.run("demo", "status", "--name", "", DVBBOXES_DEMO=named).status == 2


@real
def test_of_starts_at_the_same_time_one_wins() -> None:
    def attempt(_: int) -> demo.DemoState | DvbboxesError:
        try:
            return demo.start(trouble=0, today=TODAY)
        except DvbboxesError as error:
            return error

    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(attempt, range(3)))
    won = [each for each in results if isinstance(each, demo.DemoState)]
    assert len(won) == 1
    assert all(isinstance(each, Locked | UsageError) for each in results if each not in won)
    assert demo.status() == won[0]


CALLER = f"import datetime; from dvbboxes.demo import fleet; fleet.start(trouble=0, today={TODAY!r})"


def caller(**environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", CALLER], env={**os.environ, "PYTHONPATH": str(ROOT), **environment})


@real
def test_a_demo_outlives_its_caller() -> None:
    assert caller().wait(LONG * 2) == 0
    state = demo.status()
    assert state is not None
    assert all(each.alive for each in state.instances)
    assert store.ask(Endpoint(port=state.instances[0].replica_port), [(0, ("DBSIZE",))], LONG) == [14]
    assert os.getsid(state.keeper_pid) == state.keeper_pid  # a closing terminal does not reach it


@real
def test_a_keeper_killed_with_9_takes_the_servers_along_and_the_next_start_sweeps(
    need: Callable[[object, str], None],
) -> None:
    need(sys.platform.startswith("linux"), "only Linux kills children with their parent")
    state = demo.start(trouble=0, today=TODAY)
    pids = server_pids(state)
    assert len(pids) == 8 and all(map(process.started_at, pids))
    left = Path(state.folder) / "left"
    left.write_text("")
    os.kill(state.keeper_pid, signal.SIGKILL)
    assert eventually(lambda: not any(map(process.started_at, pids)))
    assert demo.status() is None
    assert left.exists()
    again = demo.start(trouble=0, today=TODAY)
    assert not left.exists()
    assert again.keeper_pid != state.keeper_pid
    assert demo.status() == again


@real
def test_a_server_that_died_is_said_by_status_and_stop_ends_a_frozen_keeper(monkeypatch: pytest.MonkeyPatch) -> None:
    state = demo.start(trouble=0, today=TODAY)
    server_pids_before = server_pids(state)
    os.kill(server_pids_before[2], signal.SIGKILL)  # the replica of dvb-tana-2

    def alive() -> Sequence[bool]:
        now = demo.status()
        return [each.alive for each in now.instances] if now else []

    assert eventually(lambda: alive() == [True, False, True, True])
    os.kill(state.keeper_pid, signal.SIGSTOP)
    sent, send = [], demo._signal

    def noted(pid: int, started: str, number: signal.Signals) -> None:
        sent.append(number)
        send(pid, started, number)

    monkeypatch.setattr(demo, "_signal", noted)
    monkeypatch.setattr(demo, "_END", LONG * 2)
    assert demo.stop() is True
    assert sent == [signal.SIGTERM, signal.SIGCONT]  # it was told to go on; it did not have to be killed
    assert not any(map(process.started_at, [state.keeper_pid, *server_pids_before]))


def test_a_caller_killed_during_the_start_leaves_nothing(tmp_path: Path, runtime: Path) -> None:
    mute = tmp_path / "mute"
    mute.write_text("#!/bin/sh\nexec sleep 600\n")
    mute.chmod(0o700)
    parent = caller(DVBBOXES_REDIS_SERVER=str(mute))
    try:
        assert eventually(lambda: len(list(runtime.glob("dvbboxes/demo/*/log"))) == 8)
        assert demo.status() is None
        with pytest.raises(Locked, match="being started or stopped by another run"):
            demo.start(today=TODAY)
        with pytest.raises(Locked):
            demo.stop()
    finally:
        parent.kill()
        parent.wait()
    assert eventually(lambda: not (runtime / "dvbboxes" / "demo").exists())
    assert eventually(lambda: demo.stop() is False)


# --- make demo --------------------------------------------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path: Path, need: Callable[[object, str], None]) -> Callable[[str], Path]:
    """``checkout(name)``: a folder with what `make demo` needs of a checkout; the environment is the tests' own."""
    need(Path(sys.executable).with_name("dvbboxes").exists(), "dvbboxes is not installed beside this Python: make venv")

    def make(name: str) -> Path:
        folder = tmp_path / name
        (folder / "etc").mkdir(parents=True)
        shutil.copy(ROOT / "etc" / "demo.py", folder / "etc")
        (folder / ".venv").mkdir()
        (folder / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
        return folder

    return make


def make_demo(folder: Path, verb: str) -> str:
    """Run what `make demo` or `make demo-stop` runs there, on a terminal's 80 columns, and return what it says."""
    line = [sys.executable, str(folder / "etc" / "demo.py"), verb]
    done = subprocess.run(line, env=processes.environment(None, {"COLUMNS": "80"}), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def go_on(folder: Path, *words: str) -> processes.Ran:
    """Run a command in a shell that has read the .demo of that checkout."""
    script = f"cd {shlex.quote(str(folder))} && . ./.demo && exec dvbboxes {shlex.join(words)}"
    environ = processes.environment(None, {})
    done = subprocess.run(["sh", "-c", script], env=environ, capture_output=True, text=True, check=False)
    return processes.Ran(done.returncode, done.stdout, done.stderr, 0.0)


@real
def test_make_demo_belongs_to_its_checkout_and_ends_its_own_only(checkout: Callable[[str], Path]) -> None:
    one, two = checkout("one"), checkout("two's")
    make_demo(one, "start")
    make_demo(two, "start")
    configs = [go_on(folder, "demo", "status", "--format", "json") for folder in (one, two)]
    assert [ran.status for ran in configs] == [0, 0]
    assert len({json.loads(ran.out)["data"]["config"] for ran in configs}) == 2
    make_demo(one, "stop")
    assert not (one / ".demo").exists()
    assert go_on(two, "demo", "status").status == 0
    assert go_on(two, "cluster", "status").status == 0
    make_demo(two, "stop")
    assert make_demo(two, "stop") == ""  # nothing left to stop is no failure


@real
def test_make_demo_fits_two_screens_and_ends_with_the_check(checkout: Callable[[str], Path]) -> None:
    folder = checkout("one")
    said = make_demo(folder, "start").splitlines()
    assert sum(max(1, math.ceil(len(line) / 80)) for line in said) <= 48
    commands = [line for line in said if line.startswith("$ ")]
    assert commands[-1] == "$ dvbboxes check"
    assert any(line.startswith("CRITICAL") for line in said)
    assert any(line.startswith(" ") and "ABSENT" in line for line in said)
    again = make_demo(folder, "start").splitlines()
    assert again[0] == "The demo of this checkout is running already."
    assert [line for line in again if line.startswith("$ ")] == commands


@real
def test_make_demo_starts_a_demo_anew_whose_week_is_over(checkout: Callable[[str], Path]) -> None:
    folder = checkout("one")
    make_demo(folder, "start")
    (name,) = [line.partition("=")[2] for line in (folder / ".demo").read_text().splitlines() if "DEMO=" in line]
    demo.stop(name)
    old = demo.start(name, today=date(2020, 2, 28))
    assert old.last_day == date(2020, 3, 2)
    assert make_demo(folder, "start").startswith("The demo of this checkout has programs until 02-03-2020 only")
    assert demo.status(name) not in (None, old)
    assert "ABSENT" in go_on(folder, "check").out  # nothing of 2020 is asked about: today has its program again
