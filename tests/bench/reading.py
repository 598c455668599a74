"""The benches of reading: one program over all instances, warm and cold, frozen ones among them, the whole process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

from dvbboxes.commands import Asked, gather
from dvbboxes.fleet import Fleet, Talk
from dvbboxes.model import Gathered, Instance, Schedule
from dvbboxes.questions import hold
from dvbboxes.wire import day_text, decode_program, program_key, program_request

from .clients import Naive, Wire, whole
from .registry import Samples, Setting, at_least, at_most, bench, between, interleave, ratio, table, times_table
from .yard import COMMON, DAY, OWN, Yard

_DEADLINE = 10.0
_FROZEN = 4
_FROZEN_DEADLINE = 1.0
_STOPWATCH = Path(__file__).with_name("stopwatch.py")

#: By command: (wall seconds, CPU seconds, peak kB, exit status) of each run.
Runs: TypeAlias = dict[str, list[tuple[float, float, int, int]]]


# --- warm and cold --------------------------------------------------------------------------------------------------


@bench("program", "one program over all instances, connections kept (one round trip)")
def program(setting: Setting) -> None:
    for service_id, who in ((COMMON, "the same everywhere"), (OWN, "another in each town")):
        print(f"  a program that is {who}:")
        samples = _program(setting, service_id)
        times_table(samples, "wire")
        at_least("ours faster than naive", 4, ratio(samples, "naive", "ours"), "x")
        at_most("ours over the wire", 1.5, ratio(samples, "ours", "wire"), "x")


def _program(setting: Setting, service_id: str) -> Samples:
    yard, key = setting.yard, program_key(DAY, service_id)
    request, command = program_request([(DAY, service_id)]), ("ZRANGE", key, 0, -1, "WITHSCORES")
    with Fleet() as fleet, Fleet() as bare, _naive(yard, 0) as naive, _wire(yard) as wire:
        return interleave(
            {
                "ours": lambda: whole(fleet.gather(yard.instances, _Decoding(service_id).talk, _DEADLINE)),
                "Fleet.ask": lambda: whole(bare.ask(yard.instances, request, _DEADLINE)),
                "naive": lambda: naive.programs(key),
                "wire": lambda: wire.ask(command),
            },
            setting.rounds,
        )


@bench("show", "one program and the durations of its files over all instances, connections kept (two round trips)")
def show(setting: Setting) -> None:
    yard, whom, keys, key = setting.yard, _asked(setting.yard), [(DAY, COMMON)], program_key(DAY, COMMON)
    with Fleet() as fleet, _naive(yard, 0, 1) as naive, _wire(yard) as wire:
        names = _files(fleet, whom)
        first = (("SELECT", 0), ("ZRANGE", key, 0, -1, "WITHSCORES"))
        samples = interleave(
            {
                "ours": lambda: whole(hold(fleet, whom.instances, whom.deadline, keys)),
                "naive": lambda: naive.shows(key),
                "wire": lambda: (wire.ask(*first), wire.ask(("SELECT", 1), ("MGET", *names))),
            },
            setting.rounds,
        )
    times_table(samples, "wire")


@bench("cold", "the same two, connections made and closed each time")
def cold(setting: Setting) -> None:
    yard, whom, keys, key = setting.yard, _asked(setting.yard), [(DAY, COMMON)], program_key(DAY, COMMON)

    def ours() -> None:
        with Fleet() as fleet:
            whole(fleet.gather(yard.instances, _Decoding(COMMON).talk, _DEADLINE))

    def naively() -> None:
        with _naive(yard, 0) as naive:
            naive.programs(key)

    def naively_shown() -> None:
        with _naive(yard, 0, 1) as naive:
            naive.shows(key)

    def wired() -> None:
        with _wire(yard) as wire:
            wire.ask(("ZRANGE", key, 0, -1, "WITHSCORES"))

    samples = interleave(
        {
            "ours": ours,
            "naive": naively,
            "wire": wired,
            "ours, with durations": lambda: whole(gather(whom, hold, keys)),
            "naive, with durations": naively_shown,
        },
        setting.rounds,
    )
    times_table(samples, "wire")
    at_least("ours faster than naive", 8, ratio(samples, "naive", "ours"), "x")
    shown = ratio(samples, "naive, with durations", "ours, with durations")
    at_least("with durations, ours faster than naive", 8, shown, "x")


class _Decoding:
    """The first half of what :func:`dvbboxes.questions.hold` does: equal replies are decoded once."""

    def __init__(self, service_id: str) -> None:
        self._service_id = service_id
        self._request = program_request([(DAY, service_id)])
        self._seen: list[tuple[Any, Schedule]] = []

    def talk(self, instance: Instance) -> Talk[Schedule]:
        (reply,) = yield self._request
        for known, schedule in self._seen:
            if known == reply:
                return schedule
        schedule = decode_program(DAY, self._service_id, reply)
        self._seen.append((reply, schedule))
        return schedule


def _naive(yard: Yard, *databases: int) -> AbstractContextManager[Naive]:
    return closing(Naive(yard.instances, databases))


def _wire(yard: Yard) -> AbstractContextManager[Wire]:
    return closing(Wire(yard.instances))


def _asked(yard: Yard, deadline: float = _DEADLINE) -> Asked:
    return Asked(yard.instances, deadline, None)


def _files(fleet: Fleet, whom: Asked) -> list[str]:
    holdings = whole(hold(fleet, whom.instances, whom.deadline, [(DAY, COMMON)])).values()
    return list(next(iter(holdings.values())).media)


# --- frozen servers -------------------------------------------------------------------------------------------------


@bench("frozen", f"{_FROZEN} instances stand still (SIGSTOP), {_FROZEN_DEADLINE:g} s for all")
def frozen(setting: Setting) -> None:
    yard, whom, keys = setting.yard, _asked(setting.yard, _FROZEN_DEADLINE), [(DAY, COMMON)]
    expected = len(yard.instances) - min(_FROZEN, len(yard.instances))

    def answered(gathered: Gathered[Any]) -> None:
        if len(gathered.answered) != expected:
            raise RuntimeError(f"{len(gathered.answered)} answered, not {expected}")

    def warmed() -> None:
        answered(hold(fleet, whom.instances, whom.deadline, keys))

    with Fleet() as fleet:
        hold(fleet, whom.instances, whom.deadline, keys)
        with yard.frozen(_FROZEN):
            samples = interleave(
                {"connections kept": warmed, "connections made": lambda: answered(gather(whom, hold, keys))},
                max(2, setting.rounds // 10),
            )
    table(("", "median s", "max s"), [(n, f"{median(t):.3f}", f"{max(t):.3f}") for n, t in samples.items()])
    for name, times in samples.items():
        between(f"{name}, the slowest", _FROZEN_DEADLINE, _FROZEN_DEADLINE + 0.1, max(times), " s")


# --- the whole process ----------------------------------------------------------------------------------------------


@bench("process", "the whole of `dvbboxes program show DAY -s SID`, against the bare imports it cannot do without")
def process(setting: Setting) -> None:
    words = ["-c", str(setting.yard.config_path), "program", "show", day_text(DAY), "-s"]
    commands = {
        "imports": [sys.executable, "-c", "import flask_script_ng, redis"],
        "show": [*program_of_ours(), *words, COMMON],
        "show, towns differ": [*program_of_ours(), *words, OWN],
    }
    runs = timed(commands, setting.rounds, setting.yard.config_path.parent / "compiled")
    table(("", "median ms", "min ms", "CPU ms", "- imports", "CPU - imports", "peak MB", "exit"), _process_rows(runs))
    at_most("show over the imports", 60, _over(runs, "show", 0), " ms")
    at_most("peak memory of show", 80, peak_of(runs["show"]), " MB")


def timed(commands: dict[str, list[str]], rounds: int, compiled: Path) -> Runs:
    """Have the stopwatch run the commands in turn, with a place for bytecode: what is installed is compiled."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    order = {"commands": commands, "environ": environ | {"PYTHONPYCACHEPREFIX": str(compiled)}, "rounds": rounds}
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(_STOPWATCH)],
        input=json.dumps(order),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    runs: Runs = json.loads(done.stdout)
    return runs


def program_of_ours() -> list[str]:
    """Return the installed command; in a checkout without it, what it would run."""
    installed = Path(sys.executable).with_name("dvbboxes")
    if installed.is_file():
        return [str(installed)]
    return [sys.executable, "-c", "from dvbboxes.__main__ import cli; cli()"]


def _process_rows(runs: Runs) -> Iterator[tuple[str, ...]]:
    for name, results in runs.items():
        wall, cpu = ([run[column] * 1000 for run in results] for column in (0, 1))
        over = (f"{_over(runs, name, column):.2f}" for column in (0, 1))
        statuses = "/".join(str(status) for status in sorted({run[3] for run in results}))
        times = (f"{median(wall):.2f}", f"{min(wall):.2f}", f"{median(cpu):.2f}")
        yield (name, *times, *over, f"{peak_of(results):.1f}", statuses)


def _over(runs: Runs, name: str, column: int) -> float:
    """Return the median of a command's ms (wall or CPU) minus those of the imports in the same round."""
    return median((mine[column] - bare[column]) * 1000 for mine, bare in zip(runs[name], runs["imports"], strict=True))


def peak_of(results: list[tuple[float, float, int, int]]) -> float:
    return max(run[2] for run in results) * 1024 / 1e6
