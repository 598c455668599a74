"""Every fault on some, many and all of a fleet's replicas, seen by every reading command (docs/faults.rst).

``make test`` has a short form with slack in its times; ``make test-faults`` sets DVBBOXES_FAULTS=all: 40 instances,
0, 1, 3 and 40 of them faulty, and writes the table that the documentation shows.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import faulty  # found by conftest
import peers
import pytest
from faulty import FAULTS, Fault, Stack
from processes import Ran
from warm import Warm

from dvbboxes.demo.servers import Servers, Wanted, launch, tell
from dvbboxes.demo.world import World
from dvbboxes.errors import ExitStatus, worst
from dvbboxes.wire import program_key

ALL = os.environ.get("DVBBOXES_FAULTS") == "all"
#: The page whose end is replaced by the measured table; empty: none is.
BELOW = "Measured\n========\n\n"
TABLE = os.environ.get("DVBBOXES_FAULT_TABLE", "")
TOWNS, PER_TOWN, COUNTS, DEADLINE, SLACK = (5, 8, (1, 3, 40), 1.0, 0.1) if ALL else (2, 3, (1,), 1.5, 3.0)
NOW = datetime.now(UTC)
DAYS = [NOW.date() + timedelta(days=n) for n in range(-1, 3)]
#: The deadline of the runs that others are compared with.
PATIENT = 20.0
FILES = [f"film_{n}" for n in range(8)]

COMMANDS = {
    "program show": ["program", "show", "{day}", "-s", "85"],
    "program diff": ["program", "diff", "{day}", "-s", "85"],
    "program now": ["program", "now"],
    "program list": ["program", "list"],
    "media search": ["media", "search", "film"],
    "media show": ["media", "show", "film_1"],
    "media check": ["media", "check", "{names}"],
    "listing check": ["listing", "check", "{listing}", "-s", "85"],
    "cluster status": ["cluster", "status"],
}


def held() -> list[tuple[int, tuple[Any, ...]]]:
    """Return what every instance holds: programs of two channels from yesterday on, and their files."""
    commands: list[tuple[int, tuple[Any, ...]]] = []
    for day in DAYS:
        start = datetime(day.year, day.month, day.day, 7, 30, tzinfo=UTC).timestamp()
        # Long ones: what is on air stays the same for as long as the test takes.
        entries = [part for n in range(2) for part in (start + n * 43200, f"/opt/tsfiles/{FILES[n]}.ts:{n}")]
        commands += [(0, ("ZADD", program_key(day, sid), *entries)) for sid in ("85", "86")]
    return [*commands, (1, ("MSET", *(part for name in FILES for part in (f"{name}.ts", "43200"))))]


@dataclass
class Stage:
    """The fleet, the odd servers beside it, and what it says without any fault."""

    world: World
    odd: Servers
    folder: Path
    warm: Warm
    measured: dict[tuple[str, int], dict[str, tuple[float, int]]] = field(default_factory=dict)
    known: dict[tuple[str, ...], dict[str, Ran]] = field(default_factory=dict)

    @property
    def fqdns(self) -> tuple[str, ...]:
        return self.world.layout.fqdns

    def run(self, config: Path, *more: str, deadline: float = DEADLINE) -> dict[str, Ran]:
        """Run every command, as a process of its own."""
        words = {name: str(self.folder / name) for name in ("names", "listing")} | {"day": DAYS[1].isoformat()}
        tail = ["--format", "json", "--timeout", f"{deadline:g}", *more]
        lines = [["-c", str(config), *(word.format(**words) for word in line), *tail] for line in COMMANDS.values()]
        # In the short form all at once: their times are of less interest.
        done = [self.warm.run(*line) for line in lines] if ALL else self.warm.run_all(*lines)
        return dict(zip(COMMANDS, done, strict=True))

    def without(self, bad: Sequence[str]) -> dict[str, Ran]:
        """Return what every command says of the others, asked for alone, while all is well."""
        others = tuple(fqdn for fqdn in self.fqdns if fqdn not in bad)
        if others not in self.known:
            self.known[others] = self.run(self.world.config_path, "--instance", ",".join(others), deadline=PATIENT)
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
    world.load(dict.fromkeys(world.layout.fqdns, held()))
    (tmp_path / "names").write_text("\n".join(FILES), "utf-8")
    coming = NOW.date() + timedelta(days=1)
    (tmp_path / "listing").write_text(f"[{coming:%d/%m/%Y}]\n" + "\n".join(FILES) + "\n", "utf-8")
    with Warm.start(world.config_path) as warm:
        yield Stage(world, odd, tmp_path, warm)


def once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    assert len(names) == len(set(names)), f"named twice: {names}"
    return dict(pairs)


def parsed(ran: Ran) -> dict[str, Any]:
    """Return the JSON a command wrote; no name stands in an object twice."""
    assert "Traceback" not in ran.err
    assert "this is a bug" not in ran.err
    found: dict[str, Any] = json.loads(ran.out, object_pairs_hook=once)
    return found


def expected(fault: Fault, count: int, total: int, command: str, healthy: int) -> ExitStatus:
    """Return the status of a command, from its status without a fault (DESIGN: exit statuses)."""
    if fault.answers:
        stale = ExitStatus.DIFFERENCE if command == "cluster status" else ExitStatus.DONE
        return worst((ExitStatus(healthy), stale))
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


def timeless(data: Any) -> Any:
    """Return data without what is another at every moment: the time, offsets, memory in use."""
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


def check(stage: Stage, fault: Fault, bad: Sequence[str], without: Mapping[str, Ran], seen: Mapping[str, Ran]) -> None:
    for command, ran in seen.items():
        where = f"{fault.name}, {len(bad)} of {len(stage.fqdns)}: {command}"
        envelope, calm = parsed(ran), parsed(without[command])
        total = len(stage.fqdns)
        assert ran.status == expected(fault, len(bad), total, command, without[command].status), (where, ran.err)
        assert list(envelope["instances"]) == list(stage.fqdns), where
        assert envelope["elapsed"] <= DEADLINE + SLACK, where
        stage.measured.setdefault((fault.name, len(bad)), {})[command] = (envelope["elapsed"], ran.status)
        for fqdn, said in envelope["instances"].items():
            assert said["state"] == (fault.state.value if fqdn in bad else "current"), (where, fqdn, said)
            assert (said["error"] is None) is (fqdn not in bad or fault.answers), (where, fqdn, said)
        assert envelope["partial"] is (not fault.answers), where
        if len(bad) < total:
            gone = frozenset(bad) if not fault.answers or command == "cluster status" else frozenset()
            ours, theirs = (timeless(of_the_healthy(one["data"], gone)) for one in (envelope, calm))
            assert list(differences(ours, theirs)) == [], where


def calm(stage: Stage) -> dict[str, Ran]:
    """Return what every command says without a fault."""
    found = stage.run(stage.world.config_path)
    for command, ran in found.items():
        envelope = parsed(ran)
        assert envelope["complete"], command
        assert ran.status in (ExitStatus.DONE, ExitStatus.DIFFERENCE), (command, ran.err)
        assert envelope["elapsed"] <= DEADLINE + SLACK
        stage.measured.setdefault(("none", 0), {})[command] = (envelope["elapsed"], ran.status)
    return found


def suffering(stage: Stage, fault: Fault, bad: Sequence[str], calm: Mapping[str, Ran]) -> None:
    without = calm if fault.answers or len(bad) == len(stage.fqdns) else stage.without(bad)
    with Stack() as stack:
        config = faulty.moved(stage.world, stage.folder, faulty.put_out(fault, stage.world, stage.odd, stack, bad))
        seen = stage.run(config)
        check(stage, fault, bad, without, seen)
        if fault.answers:
            old = stage.run(config, "--max-age", "600")
            assert {ran.status for ran in old.values()} == {ExitStatus.TOO_OLD}


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
