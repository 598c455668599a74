"""The demo fleet: ``start``, ``status`` and ``stop`` of a fleet that outlives the caller, one for each name.

Everything of a demo is in one folder of its own, owner-only. A lock beside it is held by the one who starts it and then
by its keeper for as long as that lives: so two starts of one name do not race, and a demo whose keeper was killed is
known for dead, whatever process has its number now.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from dvbboxes.demo import loading, process, sample, trouble
from dvbboxes.demo.world import Layout, World, build
from dvbboxes.errors import Locked, Refused, ServerStartError, UsageError
from dvbboxes.files import replace_whole

TOWNS = {
    "tana": ("dvb-tana-1", "dvb-tana-2"),
    "toamasina": ("dvb-toamasina-1", "dvb-toamasina-2"),
}
DEFAULT_NAME = "demo"
DEFAULT_TROUBLE = 5.0
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}\Z")
_STATE = "state.json"
_KEEPER = "keeper"  # no instance is called that
#: Seconds a lock may take that someone only looks at, and a keeper to end its servers.
_LOOK, _END = 0.5, 10.0
_POLL = 0.01


@dataclass(frozen=True, slots=True)
class DemoInstance:
    """One instance of a demo: loopback ports of its two servers; ``alive`` says whether both processes run."""

    town: str
    fqdn: str
    replica_port: int
    master_port: int
    alive: bool


@dataclass(frozen=True, slots=True)
class DemoState:
    """A demo that runs: its name, folder, configuration file, the keeper's pid, and its instances in file order.

    ``last_day`` is the last one that it has a program for.
    """

    name: str
    folder: str
    config_path: str
    keeper_pid: int
    last_day: date
    instances: tuple[DemoInstance, ...]


def start(
    name: str = DEFAULT_NAME,
    *,
    trouble: float = DEFAULT_TROUBLE,
    listings: Sequence[str | Path] = (),
    durations: str | Path | None = None,
    starting: date | None = None,
    today: date,
) -> DemoState:
    """Start the demo called ``name``, load it, and return once every replica has everything.

    ``trouble`` is a percentage (0: all instances agree). Without ``listings`` the built-in sample is loaded around
    ``today`` (the broadcast day); with them, ``durations`` is required and ``starting`` moves their first day. What a
    dead demo of that name left is swept first. Raises UsageError (a bad name or file, or it runs already), Locked
    (another start of it is on its way), Refused (its folder is not ours), ServerStartError.
    """
    _check_name(name)
    if not 0 <= trouble <= 100:
        raise UsageError(f"trouble is a percentage from 0 to 100, not {trouble:g}")
    content = _content(listings, durations, starting, today)
    base = _base_folder()
    with _lock(base, name, _LOOK) as lock:
        if lock is None:
            raise _in_the_way(base, name)
        folder = base / name
        _sweep(folder)
        world = build(folder, Layout(TOWNS, content.channels), lock=(lock,))
        try:
            _load(world, content, trouble, today)
            state = _write_state(name, world, max(content.days, default=today))
            world.servers.stay()
        except BaseException:
            world.close()
            raise
        return state


def status(name: str = DEFAULT_NAME) -> DemoState | None:
    """Return the running demo of that name, None if there is none (or it is only being started)."""
    _check_name(name)
    base = _base_folder()
    with _lock(base, name, 0, fcntl.LOCK_SH) as lock:
        return None if lock is not None else _read_state(base / name)


def stop(name: str = DEFAULT_NAME) -> bool:
    """End the demo of that name and remove its folder; return whether one was running.

    Raises Locked while it is being started, ServerStartError if its keeper does not end.
    """
    _check_name(name)
    base = _base_folder()
    folder = base / name
    keeper = _keeper(folder)
    if keeper is None:
        with _lock(base, name, _LOOK) as lock:
            if lock is None:
                raise _in_the_way(base, name)
            _sweep(folder)  # nobody keeps it: at most a dead one's folder is left
            return False
    for number in (signal.SIGTERM, signal.SIGKILL):  # the second for a keeper that does not obey
        _signal(*keeper, number)
        _signal(*keeper, signal.SIGCONT)  # a stopped one hears SIGTERM when it goes on
        with _lock(base, name, _END) as lock:
            if lock is not None:
                _sweep(folder)
                return True
    raise ServerStartError(f"the keeper of demo {name!r} (pid {keeper[0]}) does not end")


def _content(
    listings: Sequence[str | Path], durations: str | Path | None, starting: date | None, today: date
) -> sample.Content:
    if not listings:
        if durations is not None or starting is not None:
            raise UsageError("--durations and --starting go with --listing: name at least one")
        return sample.content(today)
    if durations is None:
        raise UsageError("--listing needs --durations FILE, lines of name.ts<TAB>seconds")
    return loading.read_content([Path(path) for path in listings], Path(durations), starting, today)


def _load(world: World, content: sample.Content, percent: float, today: date) -> None:
    config = world.config()
    bad = trouble.make(percent, content, world.layout.fqdns, today)
    world.load(loading.commands(content, bad, config.instances, config.schedule))


# --- the folder, the lock, the state --------------------------------------------------------------------------------


def _check_name(name: str) -> None:
    if not _NAME.match(name):
        raise UsageError(f"{name!r} cannot name a demo: use a-z, 0-9, - and _, 32 at most")


def _base_folder() -> Path:
    """Return the folder of all our demos, owner-only; raises Refused where somebody else could have made it."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and _owned_folder(Path(runtime)):
        base = Path(runtime) / "dvbboxes"
    else:
        base = Path(tempfile.gettempdir()) / f"dvbboxes-{os.getuid()}"
    try:
        base.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise Refused(f"{base} is no folder and cannot be made one ({error.strerror}): remove it") from error
    if not _owned_folder(base):
        raise Refused(f"{base} is a link or belongs to another user: it is not used (set XDG_RUNTIME_DIR to another)")
    if stat.S_IMODE(base.stat().st_mode) != 0o700:
        base.chmod(0o700)
    return base


def _owned_folder(path: Path) -> bool:
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()


@contextmanager
def _lock(base: Path, name: str, patience: float, kind: int = fcntl.LOCK_EX) -> Iterator[int | None]:
    """Give the descriptor that holds the lock of a demo, or None if it is not to be had within ``patience`` seconds.

    A keeper that inherited the descriptor goes on holding it. The file stays: to remove a lock is to race.
    """
    descriptor = os.open(base / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor if _try_lock(descriptor, kind, patience) else None
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, kind: int, patience: float) -> bool:
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(_POLL)
        else:
            return True


def _in_the_way(base: Path, name: str) -> UsageError | Locked:
    running = _read_state(base / name)
    if running is None:
        return Locked(f"demo {name!r} is being started or stopped by another run: try again in a moment")
    return UsageError(
        f"demo {name!r} is already running (keeper {running.keeper_pid}): dvbboxes demo stop --name {name}, "
        "or start another --name"
    )


def _sweep(folder: Path) -> None:
    """Remove what a dead demo left; the lock is ours."""
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


def _write_state(name: str, world: World, last_day: date) -> DemoState:
    instances = [
        (town, fqdn, world.replica(fqdn), world.master(fqdn)) for town, fqdns in TOWNS.items() for fqdn in fqdns
    ]
    state = DemoState(
        name,
        str(world.servers.folder),
        str(world.config_path),
        world.servers.keeper_pid,
        last_day,
        tuple(DemoInstance(town, fqdn, replica.port, master.port, True) for town, fqdn, replica, master in instances),
    )
    processes = {
        fqdn: [(replica.pid, replica.started), (master.pid, master.started)] for _, fqdn, replica, master in instances
    }
    processes[_KEEPER] = [(state.keeper_pid, process.started_at(state.keeper_pid))]
    stored = asdict(state) | {"last_day": last_day.isoformat()}
    body = json.dumps({"state": stored, "processes": processes})
    replace_whole(world.servers.folder / _STATE, body.encode(), synced=False)
    return state


def _stored(folder: Path) -> dict[str, Any]:
    """Return what :func:`_write_state` wrote, empty if it is not there."""
    try:
        stored: dict[str, Any] = json.loads((folder / _STATE).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return stored


def _keeper(folder: Path) -> tuple[int, str] | None:
    """Return pid and start of a demo's living keeper. The start tells it from a process that has its number now."""
    for pid, started in _stored(folder).get("processes", {}).get(_KEEPER, []):
        if process.is_alive(pid, started):
            return pid, started
    return None


def _read_state(folder: Path) -> DemoState | None:
    stored = _stored(folder)
    if not stored:
        return None
    processes = stored["processes"]
    instances = tuple(
        DemoInstance(**{**each, "alive": all(process.is_alive(*one) for one in processes[each["fqdn"]])})
        for each in stored["state"]["instances"]
    )
    # One that was started by an older version does not say it.
    last_day = date.fromisoformat(stored["state"].get("last_day", date.min.isoformat()))
    return DemoState(**{**stored["state"], "last_day": last_day, "instances": instances})


def _signal(pid: int, started: str, number: signal.Signals) -> None:
    if process.is_alive(pid, started):
        with suppress(ProcessLookupError):  # it ended by itself in between
            os.kill(pid, number)
