"""Every fault on some, many and all of a fleet's replicas, seen by every reading command (docs/faults.rst).

``make test`` has a short form; ``make test-faults`` sets DVBBOXES_FAULTS=all: 40 instances,
0, 1, 3 and 40 of them faulty, and writes the table that the documentation shows.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import faulty  # found by conftest
import peers
import pytest
import stages
from faulty import FAULTS, Fault, Stack
from warm import Ended, Warm

from dvbboxes import withdrawn
from dvbboxes.demo.servers import Servers, Wanted, launch, tell
from dvbboxes.demo.world import World
from dvbboxes.errors import ExitStatus, worst
from dvbboxes.findings import Severity
from dvbboxes.library.barred import Withdrawal
from dvbboxes.model import State
from dvbboxes.wire import program_key

ALL = os.environ.get("DVBBOXES_FAULTS") == "all"
#: The page whose end is replaced by the measured table; empty: none is.
BELOW = "Measured\n========\n\n"
TABLE = os.environ.get("DVBBOXES_FAULT_TABLE", "")
TOWNS, PER_TOWN, COUNTS, DEADLINE = (5, 8, (1, 3, 40), 1.0) if ALL else (2, 3, (1,), 1.5)
#: What a process may wait in vain: ``check`` has 50 ms beyond its deadline; twice it is somebody waited for twice.
ONCE = 1.5 * DEADLINE
#: Seconds of a gather that does not end, whatever else the machine does.
ENDLESS = 10 * DEADLINE
#: Every command runs at this moment: nobody waits for a midnight, and none comes in between.
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAYS = [NOW.date() + timedelta(days=n) for n in range(-1, 3)]
#: The deadline of the runs that others are compared with.
PATIENT = 20.0
FILES = [f"film_{n}" for n in range(8)]
#: Absent on the last instance, which is faulty only where all are.
SPARE = "spare"

COMMANDS = {
    "program show": ["program", "show", "{day}", "-s", "85"],
    "program diff": ["program", "diff", "{day}", "-s", "85"],
    "program now": ["program", "now"],
    "program list": ["program", "list"],
    "program simulate": ["program", "simulate", "{day}", "-s", "85"],
    "program backup": ["program", "backup", "{archive}"],
    "media search": ["media", "search", "film"],
    "media show": ["media", "show", "film_1"],
    "media check": ["media", "check", "{names}"],
    "media missing": ["media", "missing", "--days", "3"],
    "media conflicts": ["media", "conflicts"],
    "media unused": ["media", "unused"],
    "media withdraw --list": ["media", "withdraw", "--list"],
    "listing check": ["listing", "check", "{listing}", "-s", "85"],
    "cluster status": ["cluster", "status"],
    "replicas verify": ["replicas", "verify"],
    "check": ["check", "--days", "3"],
    "check --nagios": ["check", "--nagios", "--days", "3", "-s", "85"],
    "coverage": ["coverage", "--days", "3"],
}
#: So many at once; in the short form all: their times are of less interest.
TOGETHER = 1 if ALL else len(COMMANDS)
#: Those that tell of the instances themselves: one that is stale is something wrong.
OF_THE_SERVERS = frozenset({"cluster status", "replicas verify", "check", "check --nagios"})
#: The finding of ``check`` about an instance in each state.
CODES = {State.UNAVAILABLE: "unavailable", State.SUSPECT: "suspect", State.STALE: "stale"}
#: ``replicas verify`` asks how a replica runs, which it says whatever it holds: faults under which it still answers.
HEARD = {"MASTERDOWN": State.STALE, "never synced": State.STALE, "wiped": State.CURRENT}
ANSWERS = (State.CURRENT, State.STALE)


def held(odd: bool = False) -> list[tuple[int, tuple[Any, ...]]]:
    """Return what every instance holds: programs of two channels from yesterday on, and their files.

    On an ``odd`` one a file of tomorrow is absent, and one that nobody airs has another length.
    """
    commands: list[tuple[int, tuple[Any, ...]]] = []
    for day in DAYS:
        start = datetime(day.year, day.month, day.day, 7, 30, tzinfo=UTC).timestamp()
        # Long ones: what is on air stays the same for as long as the test takes.
        for sid in ("85", "86"):
            names = ("film_0", SPARE if sid == "86" and day == DAYS[2] else "film_1")
            entries = [part for n in range(2) for part in (start + n * 43200, f"/opt/tsfiles/{names[n]}.ts:{n}")]
            commands.append((0, ("ZADD", program_key(day, sid), *entries)))
    files = dict.fromkeys(FILES, "43200") | ({"other": "50"} if odd else {"other": "60", SPARE: "43200"})
    return [*commands, (1, ("MSET", *(part for name, said in files.items() for part in (f"{name}.ts", said))))]


@dataclass(kw_only=True)
class Stage(stages.Stage):
    """A stage with odd servers beside the fleet, and what it says without any fault."""

    odd: Servers
    warm: Warm
    zone: str = "UTC"
    measured: dict[tuple[str, int], dict[str, tuple[float, int]]] = field(default_factory=dict)
    known: dict[tuple[str, ...], dict[str, Ended]] = field(default_factory=dict)

    @property
    def fqdns(self) -> tuple[str, ...]:
        return self.world.layout.fqdns

    def run_all(self, *more: str, deadline: float = DEADLINE, together: int = TOGETHER) -> dict[str, Ended]:
        """Run every command, as a process of its own, so many at once."""
        config = self.config
        words = {name: str(self.folder / name) for name in ("names", "listing", "archive")} | {
            "day": DAYS[1].isoformat()
        }
        tail = ["--format", "json", "--timeout", f"{deadline:g}", *more]
        lines = [["-c", str(config), *(word.format(**words) for word in line), *tail] for line in COMMANDS.values()]
        groups = [lines[n : n + together] for n in range(0, len(lines), together)]
        done = [ran for group in groups for ran in self.warm.run_all(*group)]
        return dict(zip(COMMANDS, done, strict=True))

    def without(self, bad: Sequence[str]) -> dict[str, Ended]:
        """Return what every command says of the others, asked for alone, while all is well."""
        others = tuple(fqdn for fqdn in self.fqdns if fqdn not in bad)
        if others not in self.known:
            self.known[others] = self.run_all("--instance", ",".join(others), deadline=PATIENT)
        return self.known[others]


@pytest.fixture(scope="module")
def odd(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """A server that wants a password, one that says MASTERDOWN, and one that was never in sync."""
    wanted = [
        Wanted("locked", None, ("requirepass sesame_secret",)),
        Wanted("refusing", None, ("replica-serve-stale-data no",)),
        Wanted("never"),
    ]
    with launch(tmp_path_factory.mktemp("odd") / "servers", wanted) as running, Stack() as stack:
        nobody = stack.enter_context(peers.nobody())
        tell(running["refusing"].endpoint, held())
        for name in ("refusing", "never"):
            tell(running[name].endpoint, [(0, ("REPLICAOF", "127.0.0.1", nobody.port))])
        yield running


@pytest.fixture
def stage(
    small_fleet: Callable[..., World], odd: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stage]:
    monkeypatch.setenv("TZ", "UTC")
    world = small_fleet(TOWNS, PER_TOWN)
    *others, last = world.layout.fqdns
    world.load(dict.fromkeys(others, held()) | {last: held(odd=True)})
    Path(world.config().data_folder).mkdir(exist_ok=True)
    withdrawn.write(world.config().data_folder, [Withdrawal("gone.ts", 0.0, "op", "here", "")])
    (tmp_path / "names").write_text("\n".join(FILES), "utf-8")
    coming = NOW.date() + timedelta(days=1)
    (tmp_path / "listing").write_text(f"[{coming:%d/%m/%Y}]\n" + "\n".join(FILES) + "\n", "utf-8")
    with Warm.start(world.config_path, NOW.timestamp()) as warm:
        yield Stage(world, tmp_path, odd=odd, warm=warm)


def once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    assert len(names) == len(set(names)), f"named twice: {names}"
    return dict(pairs)


def parsed(ran: Ended) -> dict[str, Any]:
    """Return the JSON a command wrote; no name stands in an object twice."""
    assert "Traceback" not in ran.err
    assert "this is a bug" not in ran.err
    found: dict[str, Any] = json.loads(ran.out, object_pairs_hook=once)
    return found


def state_of(fault: Fault, command: str) -> State:
    """Return what a command calls a faulty instance."""
    return HEARD.get(fault.name, fault.state) if command == "replicas verify" else fault.state


def expected(state: State, count: int, total: int, command: str, healthy: int) -> ExitStatus:
    """Return the status of a command, from its status without a fault (DESIGN: exit statuses)."""
    if command == "check --nagios":  # Nagios' own numbers: never OK
        return ExitStatus(int(Severity.WARNING if state in ANSWERS else Severity.CRITICAL))
    if state in ANSWERS:
        wrong = state is State.STALE and command in OF_THE_SERVERS
        return worst((ExitStatus(healthy), ExitStatus.DIFFERENCE if wrong else ExitStatus.DONE))
    return ExitStatus.NO_ANSWER if count == total else worst((ExitStatus(healthy), ExitStatus.PARTIAL))


def of_the_healthy(data: Any, faulty_ones: frozenset[str]) -> Any:
    """Return a command's data without what it says of the faulty instances: their names are gone from it."""
    if isinstance(data, dict):
        kept = {key: of_the_healthy(value, faulty_ones) for key, value in data.items() if key not in faulty_ones}
        return None if kept.get("instance") in faulty_ones else kept
    if isinstance(data, list):
        found = [of_the_healthy(value, faulty_ones) for value in data if value not in tuple(faulty_ones)]
        return [value for value in found if value is not None]
    return data


def of_the_rest(fault: Fault, command: str, data: Any, bad: Sequence[str]) -> Any:
    """Return a command's data without what it says of the faulty instances.

    One that is stale answers: what it holds is in the data too, but for the commands about the instances themselves.
    """
    gone = frozenset(bad) if not fault.answers or command in ("cluster status", "replicas verify") else frozenset()
    if command.startswith("check"):
        data = {"findings": [one for one in data["findings"] if one["code"] not in CODES.values()]}
    return timeless(of_the_healthy(data, gone))


def named(data: Any) -> list[tuple[str, str]]:
    """Return the instances of which ``check`` tells what they are themselves, each with the code."""
    told = [one for one in data["findings"] if one["code"] in CODES.values()]
    return sorted((fqdn, one["code"]) for one in told for fqdn in one["instances"])


def never_well(command: str, data: Any) -> None:
    """Nobody answered: what depends on the instances is critical or unknown, never well."""
    if command.startswith("check"):
        assert data["severity"] == "critical"
    if command == "coverage":
        assert {day["state"] for row in data["rows"] for day in row["days"]} == {"unknown"}


def timeless(data: Any) -> Any:
    """Return data without what is another at every moment: the time, offsets, memory in use."""
    if isinstance(data, str):
        return re.sub(r"\d+ s ago", "lately", data)
    if isinstance(data, dict):
        moving = ("now", "behind", "memory", "elapsed", "age")
        return {key: timeless(value) for key, value in data.items() if key not in moving}
    return [timeless(value) for value in data] if isinstance(data, list) else data


def differences(ours: Any, theirs: Any, path: str = "data") -> Iterator[str]:
    """Yield where two data differ."""
    if isinstance(ours, dict) and isinstance(theirs, dict) and ours.keys() == theirs.keys():
        for key in ours:
            yield from differences(ours[key], theirs[key], f"{path}.{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from differences(one, other, f"{path}[{number}]")
    elif ours != theirs:
        yield f"{path}: {ours} is not {theirs}"


def check(
    stage: Stage, fault: Fault, bad: Sequence[str], without: Mapping[str, Ended], seen: Mapping[str, Ended]
) -> None:
    for command, ran in seen.items():
        where = f"{fault.name}, {len(bad)} of {len(stage.fqdns)}: {command}"
        envelope, calm = parsed(ran), parsed(without[command])
        total, state = len(stage.fqdns), state_of(fault, command)
        assert ran.status == expected(state, len(bad), total, command, without[command].status), (where, ran.err)
        assert list(envelope["instances"]) == list(stage.fqdns), where
        assert ran.waited <= ONCE, (where, ran.waited)
        assert envelope["elapsed"] < ENDLESS, where
        stage.measured.setdefault((fault.name, len(bad)), {})[command] = (envelope["elapsed"], ran.status)
        for fqdn, said in envelope["instances"].items():
            assert said["state"] == (state.value if fqdn in bad else "current"), (where, fqdn, said)
            assert (said["error"] is None) is (fqdn not in bad or state in ANSWERS), (where, fqdn, said)
        assert envelope["partial"] is (state not in ANSWERS), where
        if len(bad) < total:
            ours = of_the_rest(fault, command, envelope["data"], bad)
            theirs = of_the_rest(fault, command, calm["data"], bad)
            assert list(differences(ours, theirs)) == [], where
        elif not fault.answers:
            never_well(command, envelope["data"])
        if command.startswith("check"):
            assert named(envelope["data"]) == sorted((fqdn, CODES[fault.state]) for fqdn in bad), where


def calm(stage: Stage) -> dict[str, Ended]:
    """Return what every command says without a fault."""
    found = stage.run_all()
    for command, ran in found.items():
        envelope = parsed(ran)
        assert envelope["complete"], command
        assert ran.status in (ExitStatus.DONE, ExitStatus.DIFFERENCE), (command, ran.err)
        assert ran.waited <= ONCE, command
        assert envelope["elapsed"] < ENDLESS, command
        stage.measured.setdefault(("none", 0), {})[command] = (envelope["elapsed"], ran.status)
    return found


def suffering(stage: Stage, fault: Fault, bad: Sequence[str], calm: Mapping[str, Ended]) -> None:
    without = calm if fault.answers or len(bad) == len(stage.fqdns) else stage.without(bad)
    with Stack() as stack:
        places = faulty.put_out(fault, stage.world, stage.odd, stack, bad)
        stack.callback(stage.ports.clear)
        stage.ports |= {fqdn: endpoint.port for fqdn, endpoint in places.items()}
        # Processes that do nothing but wait for the deadline do so side by side.
        seen = stage.run_all(together=max(3, TOGETHER) if fault.waits else TOGETHER)
        check(stage, fault, bad, without, seen)
        if fault.answers:
            old = stage.run_all("--max-age", "600")
            nagios = old.pop("check --nagios")
            assert nagios.status == Severity.CRITICAL, nagios.err
            assert {command: ran.status for command, ran in old.items()} == dict.fromkeys(old, ExitStatus.TOO_OLD)


def chosen(stage: Stage, count: int) -> list[str]:
    """Return ``count`` instances, spread over the towns."""
    total = len(stage.fqdns)
    return [stage.fqdns[(n * total) // count] for n in range(count)]


def test_every_fault_costs_its_own_instances_alone(stage: Stage) -> None:
    without = calm(stage)
    for fault in FAULTS.values():
        for count in COUNTS:
            suffering(stage, fault, chosen(stage, count), without)
    if TABLE:
        page = Path(TABLE).read_text("utf-8")
        Path(TABLE).write_text(page[: page.index(BELOW) + len(BELOW)] + table(stage), "utf-8")


def table(stage: Stage) -> str:
    """Return the table of docs/faults.rst: the longest gather of all commands, in ms, and the exit statuses."""
    rows = []
    for (name, count), commands in stage.measured.items():
        longest = max(elapsed for elapsed, _ in commands.values()) * 1000
        statuses = sorted({status for _, status in commands.values()})
        rows.append(f"   {name},{count},{longest:.0f},{' '.join(map(str, statuses))}\n")
    head = f".. csv-table:: {len(stage.fqdns)} instances, deadline {DEADLINE * 1000:.0f} ms, {len(COMMANDS)} commands\n"
    return f'{head}   :header: "fault","faulty","longest gather (ms)","exit statuses"\n\n' + "".join(rows)
