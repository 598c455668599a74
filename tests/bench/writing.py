"""The benches of writing: a month of programs to every master, and a month's listing checked in one gather."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias
from unittest.mock import patch

import redis

from dvbboxes.aggregate.difference import Change as Difference
from dvbboxes.apply import masters
from dvbboxes.commands import Asked, Context
from dvbboxes.commands.listing import ask_durations, lay_out, read_listings
from dvbboxes.demo.servers import Wanted, launch
from dvbboxes.fleet import Fleet
from dvbboxes.journal import Journal
from dvbboxes.model import Endpoint, Entry, Instance, Stored
from dvbboxes.plan import Action, Change
from dvbboxes.records import ChangeState, NewRun, PlannedChange, Progress, RunKind, RunState
from dvbboxes.wire import program_key, write_commands

from .clients import Command, Wire
from .registry import Setting, at_least, at_most, bench, interleave, ratio, times_table
from .yard import COMMON, FIRST_DAY, Yard

_DEADLINE = 30.0
_DAYS = 31
_ENTRIES = 60
_NAMES = 100
_REPLICATION: Command = ("INFO", "replication")
#: When all of it happens.
_NOW = datetime.combine(FIRST_DAY, datetime.min.time(), UTC).timestamp()

Month: TypeAlias = Mapping[date, Stored]


# --- writing ----------------------------------------------------------------------------------------------------------


@bench("write", f"{_DAYS} days x {_ENTRIES} entries to 64 masters (or as many as there are replicas), ssh apart")
def write(setting: Setting) -> None:
    month = _month()
    with _masters(setting.yard) as instances, TemporaryDirectory(prefix="dvbboxes-bench-") as folder:
        changes = _changes(instances, month, {})
        _ours(changes)
        # From here on everybody writes what is there: then each finds what the one before it left as it is meant.
        changes = _changes(instances, month, month)
        with Journal.open(folder, write=True) as journal:
            samples = interleave(
                {
                    "ours": lambda: _ours(changes),
                    "ours, journalled": lambda: _journalled(changes, journal),
                    "naive": lambda: _naive(instances, month),
                    "wire": lambda: _wire(instances, month),
                },
                max(3, setting.rounds // 3),
            )
    times_table(samples, "wire")
    at_most("ours over the wire", 1.5, ratio(samples, "ours", "wire"), "x")
    at_least("ours faster than naive, which neither looks nor reads back", 1, ratio(samples, "naive", "ours"), "x")


@contextmanager
def _masters(yard: Yard) -> Iterator[list[Instance]]:
    """Start a master for every replica of the yard: those of a town there share one."""
    with TemporaryDirectory(prefix="dvbboxes-bench-") as top:
        wanted = [Wanted(instance.fqdn) for instance in yard.instances]
        with launch(Path(top) / "masters", wanted, deadline=120.0) as servers:
            endpoints = [Endpoint("127.0.0.1", servers[instance.fqdn].port) for instance in yard.instances]
            yield [replace(i, master=e, replica=e) for i, e in zip(yard.instances, endpoints, strict=True)]


def _month() -> dict[date, Stored]:
    draw = random.Random(31)
    month = {}
    for number in range(_DAYS):
        day = FIRST_DAY + timedelta(days=number)
        start, entries = (day - date(1970, 1, 1)).days * 86400 + 4.5 * 3600, []
        for index in range(_ENTRIES):
            entries.append(Entry(f"/opt/tsfiles/magazine_terre_et_mer_{draw.randrange(10_000):05d}.ts:{index}", start))
            start += round(draw.uniform(300, 2700), 2)
        month[day] = tuple(entries)
    return month


def _changes(instances: Sequence[Instance], after: Month, before: Month) -> list[Change]:
    return [
        Change(instance, day, COMMON, before.get(day, ()), stored, Action.REPLACE, Difference(0, 0, 0), ())
        for instance in instances
        for day, stored in after.items()
    ]


def _ours(changes: Sequence[Change]) -> None:
    report = masters.write(changes, _DEADLINE)
    if any(written.state is not ChangeState.VERIFIED for written in report.written):
        raise RuntimeError(f"not everything was written: {report.written[0]}")


def _journalled(changes: Sequence[Change], journal: Journal) -> None:
    """Announce, write, and record, as an apply does."""
    now = _NOW
    run = NewRun(RunKind.APPLY, "bench", "here", "bench", "", "", "", (), now)
    planned = [
        PlannedChange(c.instance.cluster, c.instance.fqdn, c.day, c.service_id, c.existing, c.desired) for c in changes
    ]
    number = journal.begin(run, planned, now)
    journal.advance(number, [_progress(change, ChangeState.WRITING) for change in changes], now)
    _ours(changes)
    journal.advance(number, [_progress(change, ChangeState.VERIFIED) for change in changes], now)
    journal.finish(number, RunState.DONE, now)


def _progress(change: Change, state: ChangeState) -> Progress:
    return Progress(change.instance.fqdn, change.day, change.service_id, state)


def _naive(instances: Sequence[Instance], month: Month) -> None:
    """Write as one does first: an instance at a time, a transaction for each day, nothing looked at or read back."""
    for instance in instances:
        client = redis.Redis(host=instance.master.host, port=instance.master.port)
        for day, stored in month.items():
            pipeline = client.pipeline()
            pipeline.delete(program_key(day, COMMON))
            pipeline.zadd(program_key(day, COMMON), {entry.member: entry.start for entry in stored})
            pipeline.execute()
        client.close()


def _wire(instances: Sequence[Instance], month: Month) -> None:
    """Send and receive what ours does, byte for byte, in as many round trips; understand none of it."""
    keys = [program_key(day, COMMON) for day in month]
    reading: list[Command] = [("ZRANGE", key, 0, -1, "WITHSCORES") for key in keys]
    writing: list[Command] = [args for day, stored in month.items() for _, args in write_commands(day, COMMON, stored)]  # type: ignore[misc]  # bytes are sent as they are
    wire = Wire(instances)
    try:
        wire.ask(("CLIENT", "ID"), ("WATCH", *keys), *reading, _REPLICATION)
        wire.ask(("MULTI",), *writing, ("EXEC",))
        wire.ask(*reading, _REPLICATION)
    finally:
        wire.close()


# --- listing check ----------------------------------------------------------------------------------------------------


@bench("check", f"a listing of {_DAYS} days x {_NAMES} names checked over all instances, in one gather")
def check(setting: Setting) -> None:
    yard, names = setting.yard, _names(setting.yard)
    with TemporaryDirectory(prefix="dvbboxes-bench-") as folder:
        file = _listing(Path(folder), names)
        context = Context(str(yard.config_path), _NOW)
        read = read_listings(context, [file], COMMON, None)
        whom = Asked(yard.instances, _DEADLINE, None)

        def ours() -> None:
            again = read_listings(context, [file], COMMON, None)
            gathered = ask_durations(yard.instances, whom, again)
            if gathered.missing or len(lay_out(context.config, again, gathered)[0]) != _DAYS:
                raise RuntimeError("not everybody answered")

        samples = interleave(
            {
                "ours": ours,
                "ours, the gather alone": lambda: ask_durations(yard.instances, whom, read),
                "naive": lambda: _naive_durations(yard.instances, read.media),
                "wire": lambda: _wire_durations(yard.instances, read.media),
            },
            max(3, setting.rounds // 2),
        )
        gathers = _gathers(ours)
    times_table(samples, "wire")
    at_least("ours faster than naive", 1, ratio(samples, "naive", "ours"), "x")
    at_most("gathers in it", 1, gathers)


def _gathers(run: Callable[[], None]) -> int:
    """Return how many gathers something takes."""
    calls, real = [], Fleet.gather

    def gather(*arguments: Any) -> Any:
        calls.append(arguments)
        return real(*arguments)

    with patch.object(Fleet, "gather", gather):
        run()
    return len(calls)


def _names(yard: Yard) -> list[str]:
    """Return names that the replicas have, a month of them."""
    client: Any = redis.Redis(host=yard.instances[0].replica.host, port=yard.instances[0].replica.port, db=1)
    found: list[bytes] = client.keys("*")
    known = sorted(name.decode() for name in found)
    client.close()
    return random.Random(100).choices(known, k=_DAYS * _NAMES)


def _listing(folder: Path, names: Sequence[str]) -> str:
    lines = []
    for number in range(_DAYS):
        lines.append(f"[{FIRST_DAY + timedelta(days=number):%d/%m/%Y}]")
        lines += [name.removesuffix(".ts") for name in names[number * _NAMES : (number + 1) * _NAMES]]
    path = folder / "listing"
    path.write_text("\n".join([*lines, ""]), "utf-8")
    return str(path)


def _naive_durations(instances: Sequence[Instance], media: Sequence[str]) -> None:
    for instance in instances:
        client = redis.Redis(host=instance.replica.host, port=instance.replica.port, db=1)
        found = client.mget(media)
        dict(zip(media, (None if value is None else float(value) for value in found), strict=True))
        client.close()


def _wire_durations(instances: Sequence[Instance], media: Sequence[str]) -> None:
    wire = Wire(instances)
    try:
        wire.ask(("INFO", "replication"), ("SELECT", 1), ("MGET", *media))
    finally:
        wire.close()
