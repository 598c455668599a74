"""A stand-in for the sister tool: what a test's sshd has on its PATH as ``dvbbox`` (SPEC 2 says what that one does).

``DVBBOX_ROOT`` names the folder of the host it stands on:

- ``dvbbox.json``: the port of the host's master and the service ids it carries;
- ``disk/``: its disks; the file ``disk/opt/tsfiles/film_a.ts`` is ``/opt/tsfiles/film_a.ts`` there, and its size is
  its duration in seconds (an empty one cannot be measured);
- ``behaviour``: how it is to misbehave (one of BEHAVIOURS); absent or empty: not at all;
- ``calls``: a JSON line for each call, written here.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from dvbboxes import store
from dvbboxes.model import Endpoint
from dvbboxes.wire import MEDIA, PROGRAMS, Arg, parse_day_text, program_key

DEADLINE = 20.0
UNMEASURED = 3.14
SATURDAY = 5


@dataclass(frozen=True)
class Host:
    """The machine it stands on."""

    root: Path
    port: int
    services: tuple[str, ...]

    @classmethod
    def here(cls) -> Host:
        root = Path(os.environ["DVBBOX_ROOT"])
        known = json.loads((root / "dvbbox.json").read_text("utf-8"))
        return cls(root, int(known["port"]), tuple(known["services"]))

    def ask(self, db: int, *commands: tuple[Arg, ...]) -> list[Any]:
        replies = store.ask(Endpoint("127.0.0.1", self.port), [(db, command) for command in commands], DEADLINE)
        for reply in replies:
            if isinstance(reply, store.ReplyError):
                raise SystemExit(f"redis: {reply}")
        return replies

    def find(self, path: str) -> str | None:
        """Return where on the disks the file of that path is: there, or wherever one of its name is; None: nowhere."""
        disk = self.root / "disk"
        if (disk / path.lstrip("/")).is_file():
            return path
        found = sorted(disk.rglob(Path(path).name))
        return f"/{found[0].relative_to(disk)}" if found else None

    def duration(self, name: str) -> float:
        """Return the seconds db 1 has for a file; an unknown file, or one that could not be measured, has none."""
        (value,) = self.ask(MEDIA, ("GET", name))
        seconds = 0.0 if value is None else float(value)
        return 0.0 if seconds == UNMEASURED else seconds


# --- how it misbehaves ------------------------------------------------------------------------------------------------


def _hang(host: Host, argument: str) -> None:
    """Do nothing until nobody listens any more."""
    gone = select.poll()
    gone.register(1, 0)
    gone.poll(int(float(argument or 120) * 1000))
    raise SystemExit(1)


def _exit(host: Host, argument: str) -> None:
    """Say something and end with that status."""
    print("dvbbox: no space left on device", file=sys.stderr)
    raise SystemExit(int(argument or 1))


def _flood(host: Host, argument: str) -> None:
    """Write that many megabytes before doing what was asked."""
    for number in range(int(argument or 8) * 1024):
        print(f"{number:010d} {'x' * 1012}")


def _prompt(host: Host, argument: str) -> None:
    """Ask for a password as a tool does that finds no key; with no terminal there is no answer."""
    print("Password: ", end="", flush=True)
    if not sys.stdin.readline():
        raise SystemExit("dvbbox: no password was given")


def _slow(host: Host, argument: str) -> None:
    """Take that many seconds more."""
    time.sleep(float(argument or 1))


def _deaf(host: Host, argument: str) -> None:
    """Do nothing and end with status 0 where that option is among the words, as dvbbox does now and then."""
    if f"--{argument}" in sys.argv:
        raise SystemExit(0)


BEHAVIOURS: dict[str, Callable[[Host, str], None]] = {
    "hang": _hang,
    "exit": _exit,
    "flood": _flood,
    "prompt": _prompt,
    "slow": _slow,
    "deaf": _deaf,
}


def misbehave(host: Host) -> None:
    wanted = host.root / "behaviour"
    name, _, argument = (wanted.read_text("utf-8").strip() if wanted.exists() else "").partition(" ")
    if name:
        BEHAVIOURS[name](host, argument)


# --- program DAY --service_id SID --update ----------------------------------------------------------------------------


def program(arguments: Sequence[str], host: Host) -> int:
    parser = argparse.ArgumentParser(prog="dvbbox program")
    parser.add_argument("day")
    parser.add_argument("--service_id", required=True)
    parser.add_argument("--update", action="store_true", required=True)
    asked = parser.parse_args(arguments)
    day = parse_day_text(asked.day)
    if day is None:
        parser.error(f"{asked.day} is no day")
    if asked.service_id not in host.services:
        print(f"{asked.service_id} is not configured")
        return 2
    for each in covered(day):
        update(host, program_key(each, asked.service_id))
    return 0


def covered(day: date) -> list[date]:
    """Return the days one update is about: on a Saturday, Sunday and Monday too."""
    return [day + timedelta(days=n) for n in range(3 if day.weekday() == SATURDAY else 1)]


def update(host: Host, key: str) -> None:
    """Check the paths of one program against the disks, and move starts that fall into a file that still plays."""
    (reply,) = host.ask(PROGRAMS, ("ZRANGE", key, 0, -1, "WITHSCORES"))
    before = [(member.decode(), float(score)) for member, score in zip(reply[::2], reply[1::2], strict=True)]
    after = list(_walk(host, before))
    if after == before:
        return
    store_program(host, key, after)
    print(f"{key}: {len(after)} entries updated")


def _walk(host: Host, entries: Sequence[tuple[str, float]]) -> Iterator[tuple[str, float]]:
    end = 0.0
    # By start, equal starts by member: the order in which Redis gives them.
    for member, start in entries:
        path, _, index = member.rpartition(":")
        start = max(start, end)
        found = host.find(path)
        if found is None:
            print(f"{path} is missing")
        else:
            end = start + host.duration(Path(found).name)
        yield f"{found or path}:{index}", start


# --- media update, media NAME --rename X, media NAME --delete ---------------------------------------------------------


def media(arguments: Sequence[str], host: Host) -> int:
    parser = argparse.ArgumentParser(prog="dvbbox media")
    parser.add_argument("name")
    parser.add_argument("--rename")
    parser.add_argument("--delete", action="store_true")
    asked = parser.parse_args(arguments)
    if asked.name == "update":
        return update_media(host)
    file = f"{asked.name.removesuffix('.ts')}.ts"
    if asked.rename:
        rename(host, file, f"{asked.rename.removesuffix('.ts')}.ts")
    elif asked.delete:
        delete(host, file)
    return 0  # whatever came of it


def on_disk(host: Host) -> dict[str, Path]:
    """Return the files dvbbox takes for media, by name."""
    return {path.name: path for path in (host.root / "disk").rglob("*.ts") if not path.name.startswith(".")}


def update_media(host: Host) -> int:
    """Put new files into db 1 and drop vanished ones; a file that is known is never measured again."""
    there = on_disk(host)
    (keys,) = host.ask(MEDIA, ("KEYS", "*.ts"))
    known = {key.decode() for key in keys}
    for name in sorted(known - there.keys()):
        host.ask(MEDIA, ("DEL", name))
        print(f"{name} is gone")
    for name in sorted(there.keys() - known):
        host.ask(MEDIA, ("SET", name, str(there[name].stat().st_size or UNMEASURED)))
        print(f"{name} is new")
    return 0


def rename(host: Host, old: str, new: str) -> None:
    """Move the file over whatever is there, and put the new name into every program; the old key stays in db 1."""
    path = on_disk(host).get(old)
    if path is None:
        print(f"{old} is not here")
        return
    path.replace(path.with_name(new))
    (seconds,) = host.ask(MEDIA, ("GET", old))
    host.ask(MEDIA, ("SET", new, seconds or str(UNMEASURED)))
    for key, entries in naming(host, old).items():
        after = [(member.replace(f"/{old}:", f"/{new}:"), start) for member, start in entries]
        store_program(host, key, after)


def delete(host: Host, name: str) -> None:
    """Remove the file and its key, unless any stored program names it."""
    programs = naming(host, name)
    if programs:
        print(f"{name} is scheduled: {' '.join(sorted(programs))}")
        return
    path = on_disk(host).get(name)
    if path is not None:
        path.unlink()
    host.ask(MEDIA, ("DEL", name))


def naming(host: Host, name: str) -> dict[str, list[tuple[str, float]]]:
    """Return the programs that name a file, past ones too, by key."""
    (keys,) = host.ask(PROGRAMS, ("KEYS", "*:*"))
    found = {}
    for key in map(bytes.decode, keys):
        (reply,) = host.ask(PROGRAMS, ("ZRANGE", key, 0, -1, "WITHSCORES"))
        entries = [(member.decode(), float(score)) for member, score in zip(reply[::2], reply[1::2], strict=True)]
        if any(f"/{name}:" in member for member, _ in entries):
            found[key] = entries
    return found


def store_program(host: Host, key: str, entries: Sequence[tuple[str, float]]) -> None:
    scores: list[Arg] = [word for member, start in entries for word in (repr(start), member)]
    host.ask(PROGRAMS, ("MULTI",), ("DEL", key), ("ZADD", key, *scores), ("EXEC",))


# --- the command ------------------------------------------------------------------------------------------------------

COMMANDS: dict[str, Callable[[Sequence[str], Host], int]] = {"program": program, "media": media}


def main() -> int:
    host = Host.here()
    with (host.root / "calls").open("a") as calls:
        calls.write(json.dumps({"arguments": sys.argv[1:], "pid": os.getpid()}) + "\n")
    misbehave(host)
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        print(f"usage: dvbbox {{{','.join(COMMANDS)}}} ...", file=sys.stderr)
        return 2
    return COMMANDS[sys.argv[1]](sys.argv[2:], host)


if __name__ == "__main__":
    sys.exit(main())
