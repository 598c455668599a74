"""No secret is ever in an argument, a log, an error, a result or the journal: planted everywhere, looked for."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redises
from processes import run, run_many, upcoming
from waiting import eventually

from dvbboxes import config as configuration
from dvbboxes.commands import Context
from dvbboxes.demo.servers import Servers, Wanted, launch, tell
from dvbboxes.replicas import Kit

#: Every command there is, in several configurations: run by make test-slow.
pytestmark = pytest.mark.slow

#: A password of each kind, and words of each that would give it away.
PLANTED = {
    "reader": "Rd-tomato7-pw",
    "writer": "Wr-banana8-pw",
    "a.replication": "Rp-cherry9-pw",
}
WRONG = "Xx-walnut6-pw"
IN_URL = "Ur-quince5-pw"
#: A day that is not on air: nothing guards it.
LISTING = f"[{upcoming():%d/%m/%Y}]\nfilm_a\n"


@dataclass(frozen=True)
class Site:
    """A locked master and its locked replica, a configuration, and an ssh that notes how it is called."""

    folder: Path
    config: Path

    @property
    def passwords(self) -> Path:
        return self.folder / "etc/passwords"


@pytest.fixture
def site(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("s")
    with launch(folder / "servers", [Wanted("one")]) as masters:
        config = redises.locked_pair(folder, masters["one"].endpoint, str(redises.free_port()))
        (folder / "etc/passwords").mkdir()
        for name, password in PLANTED.items():
            path = folder / "etc/passwords" / name
            path.write_text(f"{password}\n")
            path.chmod(0o640)
        ssh = folder / "ssh"
        ssh.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >>{folder}/ssh-calls\nexit 255\n')
        ssh.chmod(0o755)
        path = Path(config.path)
        path.write_text(f"{path.read_text()}[SSH]\ncommand={ssh}\n")
        (folder / "85.txt").write_text(LISTING)
        with redises.running(redis_server, config, redises.places(folder)) as kit:
            _lock(masters, kit)
            assert eventually(lambda: redises.link(kit.instance.replica).get("master_link_status") == "up")
            yield Site(folder, path)


def _lock(masters: Servers, kit: Kit) -> None:
    redises.to_the_master(masters["one"].endpoint, kit)
    tell(masters["one"].endpoint, [(1, ("SET", "film_a.ts", "3600")), (0, ("ACL", "SETUSER", "default", "off"))])


class Arguments:
    """Every command line that was seen on this machine while the block lasted."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._over.wait(0.002):
            for entry in os.scandir("/proc"):
                if entry.name.isdigit():
                    try:
                        self.seen.add(Path(entry.path, "cmdline").read_bytes())
                    except OSError:
                        continue  # it has ended

    def __enter__(self) -> Arguments:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()


COMMANDS = [
    ["config", "show"],
    ["config", "check"],
    ["program", "show", "2026-11-24", "-s", "85"],
    ["program", "show", "2026-11-24", "--format", "json"],
    ["media", "search", "film"],
    ["cluster", "status", "--format", "json"],
    ["cluster", "status"],
    ["cluster", "status", "--probe"],
    ["replicas", "render"],
    ["replicas", "render", "--format", "json"],
    ["replicas", "install", "--dry-run", "--root", "{folder}/root"],
    ["replicas", "install", "--yes", "--root", "{folder}/root"],
    ["replicas", "verify", "--format", "json"],
    ["listing", "plan", "{folder}/85.txt", "-s", "85"],
    ["listing", "apply", "{folder}/85.txt", "-s", "85", "--yes"],
    ["history", "--format", "json"],
]


def run_all(site: Site) -> tuple[bytes, set[int]]:
    """Run every command, as a process; return all that came out, and the exit statuses."""
    lines = [["--debug", *(word.format(folder=site.folder) for word in words)] for words in COMMANDS]
    done = run_many(lines, config=site.config, cwd=site.folder)
    assert not any("this is a bug" in ran.err for ran in done)
    return "".join(ran.out + ran.err for ran in done).encode(), {ran.status for ran in done}


def run_each(site: Site) -> None:
    """Run every command as an operator does, each with its arguments in sight of everybody."""
    for words in COMMANDS:
        run(*(word.format(folder=site.folder) for word in words), config=site.config)


def left_behind(site: Site) -> bytes:
    """Return everything that was written: log, data folder (journal, memory), what ssh was called with."""
    files = [path for path in (site.folder / "etc").rglob("*") if path.is_file() and path.parent != site.passwords]
    files += [site.folder / "ssh-calls", *(site.folder / "log").glob("*")]
    files += [path for path in (site.folder / "root").rglob("*") if path.is_file() and path.suffix != ".secrets"]
    return b"".join(path.read_bytes() for path in files if path.exists())


def given_away(text: bytes, *more: str) -> list[str]:
    return [secret for secret in (*PLANTED.values(), *more) if secret.encode() in text]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="arguments are looked for in /proc")
def test_no_secret_comes_out_anywhere_when_all_is_well(site: Site) -> None:
    with Arguments() as arguments:
        run_each(site)
    out, statuses = run_all(site)
    assert 0 in statuses
    everything = out + left_behind(site) + b"\n".join(arguments.seen)
    assert given_away(everything) == []
    # What is looked at is what there is: the log, the journal, the ssh calls and our own command lines are in it.
    for there in (
        b"dvbboxes program show",
        b"listing apply",
        b"SQLite format 3",
        b"ConnectTimeout",
        b"replicas\0install",
    ):
        assert there in everything, there
    secrets = (site.folder / "root/etc/redis/redis-a.secrets").read_bytes()
    assert given_away(secrets) == [PLANTED["a.replication"]]  # the one file that Redis needs it in


def _wrong(path: Path) -> None:
    path.write_text(f"{WRONG}\n")


def _empty(path: Path) -> None:
    path.write_text("\n")


def _binary(path: Path) -> None:
    path.write_bytes(WRONG.encode() + b"\xff\xfe\n")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("spoil", [_wrong, _empty, _binary, _folder])
def test_no_secret_comes_out_when_passwords_are_wrong(site: Site, spoil: Callable[[Path], None]) -> None:
    for name in ("reader", "writer"):
        spoil(site.passwords / name)
    out, statuses = run_all(site)
    assert statuses & {3, 4, 5}
    assert given_away(out + left_behind(site), WRONG) == []


def test_a_password_in_a_url_is_refused_and_not_repeated(site: Site) -> None:
    text = site.config.read_text()
    for url in (f"redis://reader:{IN_URL}@127.0.0.1:6381", f"rediss://:{IN_URL}@h", f"redis://u:{IN_URL}/x?y#z@h:1"):
        site.config.write_text(re.sub(r"^a=.*$", f"a={url}", text, flags=re.M))
        out, statuses = run_all(site)
        assert statuses == {3}
        assert given_away(out + left_behind(site).replace(site.config.read_bytes(), b""), IN_URL) == []


def test_a_password_file_that_others_can_read_is_warned_of_at_every_command(site: Site) -> None:
    warnings: list[str] = []
    assert Context(str(site.config), 1.8e9, warn=warnings.append).config.instances
    assert warnings == []
    (site.passwords / "reader").chmod(0o644)
    (site.passwords / "writer").chmod(0o642)
    assert Context(str(site.config), 1.8e9, warn=warnings.append).config.instances
    for key, name, line in zip(("password_file", "master_password_file"), ("reader", "writer"), warnings, strict=True):
        path = site.passwords / name
        assert line.startswith(f"{site.config}:")
        assert line.endswith(f"[REDIS] {key}: {path} can be read by everybody on this machine: chmod o= {path}")
    assert configuration.exposed(configuration.load(site.config)) == tuple(warnings)
