"""The servers the bench reads from: N real replicas in towns of eight, each town following one real master.

So the replicas of a town hold the same bytes, as they mostly do in life; every fourth channel is a town's own, the rest
play the same everywhere. What follows nothing but the seed is the same in every run.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from dvbboxes import config
from dvbboxes.demo.servers import Servers, Wanted, launch, tell
from dvbboxes.model import Config, Instance
from dvbboxes.wire import MEDIA, PROGRAMS, Command, day_text

TOWN_SIZE = 8
FIRST_DAY = date(2026, 6, 1)
DAY = FIRST_DAY + timedelta(days=14)
#: A channel that plays the same in every town, and one that is each town's own.
COMMON, OWN = "101", "103"
_SEED = 20260601
_BATCH = 1000
#: Seconds for the start of all servers.
_DEADLINE = 120.0


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is on each instance."""

    instances: int = 64
    channels: int = 20
    days: int = 30
    entries: int = 60
    media: int = 10_000


@dataclass(frozen=True, slots=True)
class Yard:
    """The running servers and the configuration that names them."""

    size: Size
    servers: Servers
    config_path: Path
    config: Config

    @property
    def instances(self) -> tuple[Instance, ...]:
        """Every instance, in the order of the file."""
        return self.config.instances

    @contextmanager
    def frozen(self, count: int) -> Iterator[None]:
        """Have ``count`` replicas, spread over the towns, stand still (SIGSTOP) for as long as the block lasts."""
        step = max(1, len(self.instances) // count)
        names = [instance.fqdn for instance in self.instances[::step][:count]]
        for name in names:
            self.servers.freeze(name)
        try:
            yield
        finally:
            for name in names:
                self.servers.resume(name)

    def resident(self) -> float:
        """Return how many MB the servers hold together (pages that several share are counted by each)."""
        pages = [
            int(Path(f"/proc/{server.pid}/statm").read_text("ascii").split()[1])
            for server in self.servers.by_name.values()
        ]
        return sum(pages) * 4096 / 1e6


@contextmanager
def open_yard(size: Size) -> Iterator[Yard]:
    """Start the servers, fill them, and end them with the block. Raises ServerStartError. Says what it cost."""
    start = time.monotonic()
    towns = _towns(size.instances)
    wanted = [Wanted(town) for town in towns]
    wanted += [Wanted(fqdn, town) for town, fqdns in towns.items() for fqdn in fqdns]
    with TemporaryDirectory(prefix="dvbboxes-bench-") as top, _launched(Path(top), wanted) as servers:
        started = time.monotonic()
        for number, town in enumerate(towns):
            _fill(servers, town, number, size)
        servers.wait_in_sync(_DEADLINE)
        path = Path(top) / "configuration"
        path.write_text(_configuration(size, towns, servers, Path(top)), "utf-8")
        yard = Yard(size, servers, path, config.load(path))
        print(
            f"{size.instances} replicas of {len(towns)} masters, each with {size.channels} channels x {size.days}"
            f" days of {size.entries} entries and {size.media} media:"
            f" started in {started - start:.1f} s, filled in {time.monotonic() - started:.1f} s,"
            f" {yard.resident():.0f} MB"
        )
        yield yard


def _launched(folder: Path, wanted: list[Wanted]) -> Servers:
    return launch(folder / "yard", wanted, deadline=_DEADLINE)


def _towns(instances: int) -> dict[str, list[str]]:
    towns: dict[str, list[str]] = {}
    for number in range(instances):
        town = f"town{number // TOWN_SIZE + 1}"
        towns.setdefault(town, []).append(f"dvb-{town}-{number % TOWN_SIZE + 1}")
    return towns


def _services(size: Size) -> list[str]:
    return [str(100 + number) for number in range(size.channels)]


def _configuration(size: Size, towns: dict[str, list[str]], servers: Servers, folder: Path) -> str:
    lines = ["[LOG]", f"filepath={folder / 'log'}", "level=20", "datefmt=%d-%m-%Y"]
    lines += ["[DATA]", f"folder={folder / 'data'}"]
    lines += ["[CHANNELS]", *(f"{sid}=Chaîne {sid}" for sid in _services(size))]
    for town, fqdns in towns.items():
        # Masters stay at their default: nothing here writes, so nothing asks them.
        lines += [f"[CLUSTER:{town}]", *(f"{fqdn}={servers[fqdn].port}" for fqdn in fqdns)]
    return "\n".join([*lines, ""])


def _fill(servers: Servers, town: str, number: int, size: Size) -> None:
    commands = list(_commands(number, size))
    for at in range(0, len(commands), _BATCH):
        tell(servers[town].endpoint, commands[at : at + _BATCH])


def _commands(number: int, size: Size) -> Iterator[Command]:
    """Yield what a town's master is told: its media (one in 500 is missing, others in each town) and its programs."""
    draw = random.Random(_SEED)
    names = [f"{draw.choice(_KINDS)}_{n:05d}" for n in range(size.media)]
    lengths = {name: round(draw.uniform(300, 2700), 2) for name in names}
    here = [name for n, name in enumerate(names) if n % 500 != number]
    for at in range(0, len(here), _BATCH):
        pairs = [part for name in here[at : at + _BATCH] for part in (f"{name}.ts", lengths[name])]
        yield MEDIA, ("MSET", *pairs)
    for sid in _services(size):
        own = number if int(sid) % 4 == int(OWN) % 4 else 0
        for offset in range(size.days):
            day = FIRST_DAY + timedelta(days=offset)
            plays = random.Random(f"{sid} {day} {own}").choices(names, k=size.entries)
            yield PROGRAMS, ("ZADD", f"{day_text(day)}:{sid}", *_entries(day, plays, lengths))


def _entries(day: date, plays: list[str], lengths: dict[str, float]) -> Iterator[str | float]:
    start = (day - date(1970, 1, 1)).days * 86400 + 4.5 * 3600
    for index, name in enumerate(plays):
        yield start
        yield f"/opt/tsfiles/{name}.ts:{index}"
        start += lengths[name]


_KINDS = (
    "clips_gasy",
    "film_du_soir",
    "jt",
    "les_gardiens_de_l_isalo",
    "coeurs_de_vanille",
    "publicite",
    "meteo",
    "maraina_tsara",
    "docteur_rasoa",
    "magazine_terre_et_mer",
)
