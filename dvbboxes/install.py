"""Puts what :mod:`dvbboxes.replicas` renders onto this server: passwords, /etc/redis, systemd; and looks at processes.

Files are replaced whole (a new one is renamed into place), with the group that has to read them and nobody else.
"""

from __future__ import annotations

import contextlib
import difflib
import grp
import os
import pwd
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dvbboxes.errors import DvbboxesError, UsageError
from dvbboxes.files import replace_whole
from dvbboxes.model import Config, Instance
from dvbboxes.replicas import DEBIAN, File, Kit, Places, kits, password_files
from dvbboxes.replicas.block import Found, merge
from dvbboxes.replicas.views import Change, ProcessFacts

REDIS = "redis"
#: Seconds for one systemctl: Type=notify waits until Redis says that it is ready.
_SYSTEMCTL = 120
#: What a file made by hand may hold: its diff must not show it.
_SECRET = re.compile(
    r"^([-+ ]?\s*(?:masterauth|requirepass|primaryauth|tls-key-file-pass\S*|user\s+\S+))\s.*", re.IGNORECASE
)
_RUNNING_SYSTEMD = "/run/systemd/system"


# --- passwords --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Passwords:
    """What is in the password files, by path, and which were made up just now (or would have to be)."""

    by_path: Mapping[str, str]
    generated: tuple[str, ...]


def passwords(config: Config, instances: Sequence[Instance], *, generate: bool) -> Passwords:
    """Return the passwords of instances; with ``generate``, a file that does not exist is made, with a random one.

    A made file is readable by its owner and the configuration's group. Raises UsageError where a file cannot be read
    or made. Without ``generate``, one that is missing or may not be read is left out.
    """
    found: dict[str, str] = {}
    generated = []
    for path in password_files(config, instances):
        try:
            found[path] = _first_line(Path(path))
        except FileNotFoundError:
            generated.append(path)
            if generate:
                found[path] = _make_password(Path(path), config)
        except OSError as error:
            if generate:
                raise UsageError(f"password file {path} cannot be read ({error.strerror}): run this as root") from error
    return Passwords(found, tuple(generated))


def _first_line(path: Path) -> str:
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise UsageError(f"password file {path} is no text: put a password into its first line") from error
    if not lines or not lines[0].strip():
        raise UsageError(f"password file {path} is empty: put a password into its first line, or remove it")
    return lines[0].strip()


def _make_password(path: Path, config: Config) -> str:
    password = secrets.token_urlsafe(32)
    try:
        group = Path(config.path).stat().st_gid
        if not path.parent.is_dir():
            path.parent.mkdir(mode=0o750, parents=True)
            _give(path.parent, -1, group)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o640)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{password}\n")
        _give(path, -1, group)
        path.chmod(0o640)
    except OSError as error:
        raise UsageError(f"password file {path} cannot be made ({error.strerror}): run this as root") from error
    return password


def _give(path: Path, user: int, group: int) -> None:
    """Change a file's owner; somebody who is not root keeps it for themselves."""
    with contextlib.suppress(PermissionError):
        os.chown(path, user, group)


# --- files ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Target:
    """One file as it is found and as it is to be. ``mode`` in octal; ``owner`` is a user and group, None: root's."""

    path: Path
    change: Change
    text: str
    mode: int
    owner: str | None


def targets(found: Iterable[Kit], root: str = "") -> tuple[Target, ...]:
    """Return every file of kits against what is there, ``root`` before its path; raises UsageError (unreadable)."""
    return tuple(_target(file, root) for kit in found for file in kit.files)


def _target(file: File, root: str) -> Target:
    path = Path(f"{root}{file.path}")
    try:
        existing = path.read_text("utf-8", "surrogateescape")
    except FileNotFoundError:
        existing = None
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}): run this as root") from error
    merged = merge(existing, file.text)
    diff = () if file.secret else _diff(existing or "", merged.text, str(path))
    unit = file.path.endswith(".d/dvbboxes.conf")
    return Target(
        path,
        Change(str(path), merged.found, diff, file.secret),
        merged.text,
        0o644 if unit else 0o640,
        None if unit else REDIS,
    )


def _diff(before: str, after: str, path: str) -> tuple[str, ...]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), path, path, lineterm="")
    return tuple(_SECRET.sub(r"\1 ********", line) for line in lines)


def write(target: Target) -> None:
    """Write one file; one that was not ours is kept beside it as FILE.before. Raises DvbboxesError."""
    path = target.path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if target.change.found in (Found.FOREIGN, Found.EDITED):
            before = path.with_name(f"{path.name}.before")
            before.unlink(missing_ok=True)
            before.hardlink_to(path)
        replace_whole(path, target.text.encode("utf-8", "surrogateescape"), target.mode, owner=_owner(target.owner))
    except OSError as error:
        raise DvbboxesError(f"{path} cannot be written ({error.strerror}): run this as root") from error


def _owner(name: str | None) -> tuple[int, int] | None:
    """Return the ids of a user and of the group of its name; None for nobody else than who runs this."""
    if name is None or os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(name).pw_uid, grp.getgrnam(name).gr_gid
    except KeyError:  # no such user: the package is not installed (yet)
        return None


def write_out(found: Sequence[Kit], folder: str) -> None:
    """Write kits below a folder, each file under its own path, and what each master needs under ``masters/``.

    Replicas of other hosts go below ``hosts/HOST``. Raises UsageError where it cannot be written.
    """
    base = Path(folder)
    try:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        for kit in found:
            root = base if kit.here else base / "hosts" / kit.host
            for file in kit.files:
                _put(root / file.path.lstrip("/"), merge(None, file.text).text)
            _put(base / "masters" / f"{kit.name}.conf", kit.master)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written to ({error.strerror}): name another --output") from error


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def left_over(found: Iterable[Kit], root: str = "", places: Places = DEBIAN) -> tuple[str, ...]:
    """Return the units whose drop-in is ours and whose instance is no longer configured."""
    wanted = {kit.unit for kit in found}
    folders = Path(f"{root}{places.units}").glob("redis-server@*.service.d")
    units = (folder.name.removesuffix(".d") for folder in folders if (folder / "dvbboxes.conf").is_file())
    return tuple(sorted(unit for unit in units if unit not in wanted))


# --- systemd ----------------------------------------------------------------------------------------------------------


def has_systemd(root: str = "") -> bool:
    """Return whether this machine is run by systemd and files go where it looks for them."""
    return not root and Path(_RUNNING_SYSTEMD).is_dir() and shutil.which("systemctl") is not None


def systemctl(*words: str) -> None:
    """Run ``systemctl`` and wait for it; raises DvbboxesError with what it said."""
    line = ["systemctl", *words]
    try:
        done = subprocess.run(line, capture_output=True, stdin=subprocess.DEVNULL, timeout=_SYSTEMCTL, check=False)
    except subprocess.TimeoutExpired as error:
        raise DvbboxesError(f"{' '.join(line)} has not ended after {_SYSTEMCTL} s: look at it by hand") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise DvbboxesError(f"{' '.join(line)} failed: {said}")


def enabled(unit: str) -> bool:
    """Return whether systemd starts a unit at boot."""
    line = ["systemctl", "is-enabled", "--quiet", unit]
    try:
        done = subprocess.run(line, capture_output=True, stdin=subprocess.DEVNULL, timeout=_SYSTEMCTL, check=False)
    except subprocess.TimeoutExpired as error:
        raise DvbboxesError(f"{' '.join(line)} has not ended after {_SYSTEMCTL} s: look at it by hand") from error
    return done.returncode == 0


# --- the process ------------------------------------------------------------------------------------------------------


def process_facts(kit: Kit, server: Mapping[str, str], now: float, root: str = "") -> ProcessFacts:
    """Return what can be seen of a replica on this machine whose ``INFO server`` fields are ``server``."""
    # Its own time when it answered, if it says it: ours (Unix seconds) is of before it was asked, and then a file that
    # was written just before it started seems to be younger than it.
    said = server.get("server_time_usec", "")
    answered = int(said) / 1e6 if said.isascii() and said.isdigit() else now
    started = answered - float(server.get("uptime_in_seconds", "0") or 0)
    return ProcessFacts(
        _stale_binary(server, started),
        _changed_since(server.get("config_file", ""), started),
        _as_rendered(kit, root),
    )


def _stale_binary(server: Mapping[str, str], started: float) -> bool | None:
    try:
        process = Path(f"/proc/{int(server.get('process_id', ''))}/exe")
        return str(process.readlink()).endswith(" (deleted)")
    except (OSError, ValueError):
        return _newer_binary(server, started)  # another user's process


def _newer_binary(server: Mapping[str, str], started: float) -> bool | None:
    try:
        # A package's files carry the date of its build: when they came here is the change of the inode.
        return Path(server.get("executable") or "/nonexistent").stat().st_ctime > started + 1
    except OSError:
        return None


def _changed_since(path: str, started: float) -> bool | None:
    try:
        return Path(path).stat().st_mtime > started + 1 if path else None
    except OSError:
        return None


def _as_rendered(kit: Kit, root: str) -> bool | None:
    if kit.pending:
        return None
    try:
        return all(target.change.found is Found.SAME for target in targets((kit,), root))
    except UsageError:
        return None


def render_here(config: Config, instances: Sequence[Instance], *, generate: bool) -> tuple[tuple[Kit, ...], Passwords]:
    """Return the kits of instances with the passwords of this machine (made where ``generate`` and missing)."""
    known = passwords(config, instances, generate=generate)
    return kits(config, instances, known.by_path), known
