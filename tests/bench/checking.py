"""The bench of the morning check: a week of every channel over all instances, against naive clients and a C client."""

from __future__ import annotations

import gc
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hiredis
import redis

from dvbboxes.audit.survey import survey
from dvbboxes.demo.servers import tell
from dvbboxes.findings import Material, Survey, find
from dvbboxes.fleet import Fleet
from dvbboxes.model import Gathered, Instance
from dvbboxes.wire import MEDIA, PROGRAMS, Command, decode_duration, decode_program, encode, program_key

from .clients import whole
from .reading import peak_of, timed
from .registry import Samples, Setting, at_least, at_most, bench, interleave, ratio, times_table
from .yard import FIRST_DAY, Yard

_DEADLINE = 30.0
_DAYS = 7
#: What the caches of the machine may add where there are more servers.
_SLACK = 1.25
_FIRST = FIRST_DAY + timedelta(days=14)
_C = Path(__file__).with_name("floor.c")

Key = tuple[date, str]


@bench("audit", f"{_DAYS} days of every channel over all instances, their files' durations, and what is wrong")
def check(setting: Setting) -> None:
    keys = _keys(setting.yard)
    for equal in (95, 0):
        print(f"  {equal} % of the replies equal within a town:")
        with _unequal(setting.yard, keys, equal):
            _measure(setting, keys, goals=equal == 95)


def _measure(setting: Setting, keys: Sequence[Key], *, goals: bool) -> None:
    yard = setting.yard
    rounds = max(3, setting.rounds // 5)
    with Fleet() as fleet, closing(Others(yard.instances)) as others, _no_collector():
        ours = _gather(fleet, yard.instances, keys, yard.config.channels)
        gathered = ours()
        names = _names(gathered)
        material = Material(yard.config, gathered, tuple(keys), _moment(yard))
        runs: dict[str, Callable[[], object]] = {"ours": ours, "findings": lambda: _found(material)}
        runs |= {"pipelines": lambda: others.pipelines(keys, names), "naive": lambda: others.naive(keys, names)}
        with _c_client(yard.instances, keys, names) as asking:
            if asking is not None:
                runs["C client"] = asking
            samples = interleave(runs, rounds)
    times_table(samples, "ours")
    print(f"  {len(keys)} programs and {len(names)} files of each instance; {_found(material)} findings")
    if goals:
        _goals(samples)
        _memory(yard)


@bench("growth", "the same gather over a quarter of the instances and over all, and the memory of a check over all")
def growth(setting: Setting) -> None:
    yard, rounds = setting.yard, max(3, setting.rounds // 5)
    keys, few = _keys(yard), yard.instances[: len(yard.instances) // 4]
    with ExitStack() as stack, _unequal(yard, keys, 95), _no_collector():
        runs: dict[str, Callable[[], object]] = {}
        for instances in (few, yard.instances):
            ours = _gather(stack.enter_context(Fleet()), instances, keys, yard.config.channels)
            runs[f"{len(instances)}: ours"] = ours
            names = _names(ours())
            asking = stack.enter_context(_c_client(instances, keys, names))
            if asking is not None:
                runs[f"{len(instances)}: C client"] = asking
        samples = interleave(runs, rounds)
        _memory(yard)
    times_table(samples, f"{len(few)}: ours")
    times = len(yard.instances) / len(few)
    for who in ("ours", "C client"):
        if f"{len(few)}: {who}" in samples:
            grown = ratio(samples, f"{len(yard.instances)}: {who}", f"{len(few)}: {who}")
            at_most(f"{who}, over {times:g} times the instances", times * _SLACK, grown, " times as long")


def _gather(
    fleet: Fleet, instances: Sequence[Instance], keys: Sequence[Key], known: Collection[str]
) -> Callable[[], Gathered[Survey]]:
    return lambda: whole(survey(fleet, instances, _DEADLINE, keys, known))


def _names(gathered: Gathered[Survey]) -> list[str]:
    return list(dict.fromkeys(name for value in gathered.values().values() for s in value.sheets for name in s))


def _found(material: Material) -> int:
    return len(find(material))


@contextmanager
def _no_collector() -> Iterator[None]:
    """Keep the collector away from all runs, as the command does: otherwise it ends the one that made the most."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _goals(samples: Samples) -> None:
    at_least("ours faster than naive clients", 12, ratio(samples, "naive", "ours"), "x")
    at_least("ours faster than one pipeline each", 6, ratio(samples, "pipelines", "ours"), "x")
    if "C client" in samples:
        at_most("ours over the C client that parses every reply", 1, ratio(samples, "ours", "C client"), "x")
    at_most("findings over the gather", 1, ratio(samples, "findings", "ours"), "x")


def _memory(yard: Yard) -> None:
    """Print the peak memory of a process that checks that week, at the moment the week begins."""
    scope = "services=None, changes=False, ignore=None, nagios=False, towns=None, instances=None, max_age=None"
    code = (
        "from dvbboxes.commands import Context; from dvbboxes.commands.check import check; "
        f"check(Context({str(yard.config_path)!r}, {_moment(yard)}), '{_DAYS}', timeout='30', {scope})"
    )
    runs = timed({"check": [sys.executable, "-c", code]}, 2, yard.config_path.parent / "compiled")
    peak = peak_of(runs["check"])
    at_most(f"peak memory of a check over {len(yard.instances)} instances", 300, peak, " MB")


def _keys(yard: Yard) -> list[Key]:
    return [(_FIRST + timedelta(days=n), sid) for n in range(_DAYS) for sid in yard.config.channels]


def _moment(yard: Yard) -> float:
    from dvbboxes.schedule import window

    return window(_FIRST, yard.config.schedule.zone, yard.config.schedule.day_start)[0] + 1


# --- replies that are not equal ---------------------------------------------------------------------------------------


@contextmanager
def _unequal(yard: Yard, keys: Sequence[Key], equal: int) -> Iterator[None]:
    """Have each replica stand alone with some programs and durations of its own, then follow its master again."""
    for number, instance in enumerate(yard.instances):
        tell(instance.replica, [(0, ("REPLICAOF", "NO", "ONE")), *_own(yard, keys, number, equal)])
    try:
        yield
    finally:
        for instance in yard.instances:
            server = yard.servers[instance.fqdn]
            master = yard.servers[server.follows or ""]
            tell(instance.replica, [(0, ("REPLICAOF", "127.0.0.1", master.port))])
        yard.servers.wait_in_sync(120.0)


def _own(yard: Yard, keys: Sequence[Key], number: int, equal: int) -> Iterator[Command]:
    for n, (day, sid) in enumerate(keys):
        if (n * 7 + number * 13) % 100 >= equal:
            key = program_key(day, sid)
            ((member, score),) = [
                tell(yard.instances[number].replica, [(PROGRAMS, ("ZRANGE", key, -1, -1, "WITHSCORES"))])[0]
            ]
            yield PROGRAMS, ("ZADD", key, float(score) + 60 + number, member)
    (files,) = tell(yard.instances[number].replica, [(MEDIA, ("KEYS", "*"))])
    # One name in a sheet is enough to make it another: of about a hundred sheets 5, or all.
    apart = len(files) // 5 if equal else 40
    for n, name in enumerate(sorted(files)):
        if n % apart == number * 37 % apart:
            yield MEDIA, ("SET", name, f"{600 + number}.25")


# --- the others -------------------------------------------------------------------------------------------------------


class Others:
    """``redis.Redis`` per instance and database with default settings, asked in turn; connections are kept."""

    def __init__(self, instances: Sequence[Instance]) -> None:
        self._clients = [
            [redis.Redis(host=each.replica.host, port=each.replica.port, db=db) for db in (PROGRAMS, MEDIA)]
            for each in instances
        ]

    def naive(self, keys: Sequence[Key], names: Sequence[str]) -> None:
        """Ask for one program a round trip, then for all durations."""
        for programs, media in self._clients:
            for day, sid in keys:
                _flat(day, sid, programs.zrange(program_key(day, sid), 0, -1, withscores=True))
            _decode(names, media.mget(names))
            programs.keys("*")

    def pipelines(self, keys: Sequence[Key], names: Sequence[str]) -> None:
        """Ask for all programs in one pipeline, then for all durations."""
        for programs, media in self._clients:
            pipeline = programs.pipeline(transaction=False)
            for day, sid in keys:
                pipeline.zrange(program_key(day, sid), 0, -1, withscores=True)
            pipeline.keys("*")
            for (day, sid), reply in zip(keys, pipeline.execute(), strict=False):
                _flat(day, sid, reply)
            _decode(names, media.mget(names))

    def close(self) -> None:
        """Close every connection."""
        for clients in self._clients:
            for client in clients:
                client.close()


def _flat(day: date, sid: str, reply: Any) -> object:
    return decode_program(day, sid, [part for member, start in reply for part in (member, b"%r" % start)])


def _decode(names: Sequence[str], reply: Any) -> object:
    return dict(zip(names, map(decode_duration, reply), strict=True))


@contextmanager
def _c_client(
    instances: Sequence[Instance], keys: Sequence[Key], names: Sequence[str]
) -> Iterator[Callable[[], object] | None]:
    """Give what has the C client ask once; None, with the reason printed, where it cannot be built."""
    with TemporaryDirectory(prefix="dvbboxes-floor-") as folder:
        program, phases = Path(folder) / "floor", Path(folder) / "phases"
        if shutil.which("cc") is None:
            print("  no C client: there is no cc")
            yield None
            return
        words = ["cc", "-O2", "-o", str(program), str(_C), "-lhiredis"]
        if subprocess.run(words, capture_output=True, check=False).returncode:
            print("  no C client: it does not compile (apt-get install libhiredis-dev)")
            yield None
            return
        phases.write_bytes(b"".join(_phase(commands) for commands in _commands(keys, names)))
        ports = [str(instance.replica.port) for instance in instances]
        words = [str(program), str(phases), *ports]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as client:
            assert client.stdin is not None and client.stdout is not None

            def ask(order: Any = client.stdin, answer: Any = client.stdout) -> None:
                order.write("\n")
                if not answer.readline():
                    raise RuntimeError("the C client ended")

            yield ask
            client.stdin.close()


def _commands(keys: Sequence[Key], names: Sequence[str]) -> Iterator[list[tuple[str | bytes | int, ...]]]:
    info = ("INFO", "replication")
    yield [("SELECT", 0), info, *(("ZRANGE", program_key(*key), 0, -1, "WITHSCORES") for key in keys)]
    yield [("SELECT", 1), ("MGET", *map(encode, names)), ("SELECT", 0), ("KEYS", "*")]


def _phase(commands: Sequence[tuple[str | bytes | int, ...]]) -> bytes:
    pack: Any = hiredis.pack_command  # its stub says a tuple of one
    payload = b"".join(pack(command) for command in commands)
    return b"%d %d\n" % (len(commands), len(payload)) + payload
