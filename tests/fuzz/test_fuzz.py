"""Mutated configurations, listings and replies of Redis, seeded: a documented status, no traceback, no hang.

``make test`` has a few hundred of each; ``make test-fuzz`` sets DVBBOXES_FUZZ=10000 (in one process) and
DVBBOXES_FUZZ_PROCESSES=100 (as processes). Another seed: DVBBOXES_FUZZ_SEED. A failure names its seed and its number.
"""

from __future__ import annotations

import calendar
import contextlib
import json
import os
import random
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import peers
import pytest
from processes import Ran, run
from warm import Warm

from dvbboxes import config as configuration
from dvbboxes.errors import ConfigError, ListingError
from dvbboxes.fleet import Fleet
from dvbboxes.listing import parse
from dvbboxes.model import Endpoint, Instance, SshTarget
from dvbboxes.questions import durations, file_facts, hold, programs, search, shelves
from dvbboxes.wire import program_key

COUNT = int(os.environ.get("DVBBOXES_FUZZ", "300"))
PROCESSES = int(os.environ.get("DVBBOXES_FUZZ_PROCESSES", "8"))
SEED = int(os.environ.get("DVBBOXES_FUZZ_SEED", "20261124"))
#: What a process may end with (docs: exit statuses); 70 is a bug of ours and not among them.
DOCUMENTED = {0, 1, 2, 3, 4, 5, 6, 7, 75}
TODAY = date(2026, 11, 24)
#: Seconds for one case: far more than any needs, far less than a hang.
LONG = 10.0

# --- mutations --------------------------------------------------------------------------------------------------------

SNIPPETS = [
    *(b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\r\n", b"\r", b"\n\n", b"\t", b" ;", b"#", b"=", b"==", b":", b"%"),
    *(b"%(x)s", b"[", b"]", b"[]", b"[CLUSTER:]", b"[DEFAULT]\n", b"[LOG]\n", b"65536", b"-1", b"1e309", b"nan"),
    *(b"99999999999999999999", b"\xe2\x80\xae", "é".encode(), "日".encode(), b"../", b"$(id)", b"`id`", b"';--", b"*"),
    *(b"unix://", b"redis://u:p@h", b"rediss://h:1", b"::1", b"[::1]:1", b"a" * 300, b"[29/02]", b"[32/13/0000]"),
    b"{[(" * 40,
]


def mutated(rng: random.Random, data: bytes) -> bytes:
    """Return data with one to six changes: bytes, snippets, lines lost, doubled or moved, an early end."""
    for _ in range(rng.randint(1, 6)):
        data = rng.choice(MUTATIONS)(rng, data)
    return data


def _insert(rng: random.Random, data: bytes) -> bytes:
    at = rng.randint(0, len(data))
    return data[:at] + rng.choice(SNIPPETS) + data[at:]


def _replace(rng: random.Random, data: bytes) -> bytes:
    at = rng.randint(0, len(data))
    return data[:at] + rng.choice(SNIPPETS) + data[at + rng.randint(1, 9) :]


def _byte(rng: random.Random, data: bytes) -> bytes:
    at = rng.randint(0, len(data))
    return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]


def _cut(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randint(0, len(data))]


def _lose(rng: random.Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    if lines:
        del lines[rng.randrange(len(lines))]
    return b"".join(lines)


def _double(rng: random.Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    if lines:
        lines.insert(rng.randint(0, len(lines)), rng.choice(lines))
    return b"".join(lines)


def _shuffle(rng: random.Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    rng.shuffle(lines)
    return b"".join(lines)


MUTATIONS = (_insert, _replace, _byte, _cut, _lose, _double, _shuffle)


def cases(what: str, seed: bytes, count: int) -> Iterator[tuple[str, bytes]]:
    """Yield (name, data); a case depends on the seed and its own number alone."""
    for number in range(count):
        rng = random.Random(f"{SEED}:{what}:{number}")
        yield f"{what} {number} of seed {SEED}", mutated(rng, seed)


@contextlib.contextmanager
def soon(name: str) -> Iterator[None]:
    """Fail where the block takes as long as only a hang does."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < LONG, name


# --- configurations ---------------------------------------------------------------------------------------------------

CONFIGURATION = """\
[LOG]
filepath=log.txt
level=10
datefmt=%d-%m-%Y %H:%M:%S

[DATA]
folder=data

[CHANNELS]
85=Ma chaine
86=Deuxième chaîne ; la deux

[REDIS]
deadline=2
max_age=3600
username=dvbboxes
password_file=secrets/reader
tls=no

[SSH]
update=no
options=-F none
port=22

[SCHEDULE]
timezone=Indian/Antananarivo
day_start=07:30
cutoff=900

[CLUSTER:tana]
dvb-tana-1=6381
dvb-tana-2=unix:///run/redis/b.sock

[CLUSTER:nord:toamasina]
dvb-toamasina-1=10.0.0.7:6383
dvb-toamasina-2=rediss://h.example:6384

[INSTANCE:dvb-tana-1]
master=127.0.0.1:7001
channels=85
maintenance=yes
""".encode()
#: Lines that mean nothing: whatever is done with these, the file stays as valid as it was.
HARMLESS = [b"# a comment\n", b"; another\n", b"\n", b"   \n", b"#[CLUSTER:no]\n"]


def test_a_mutated_configuration_is_taken_or_every_mistake_in_it_has_its_place(tmp_path: Path) -> None:
    path = tmp_path / "configuration"
    taken = 0
    for name, data in cases("configuration", CONFIGURATION, COUNT):
        path.write_bytes(data)
        with soon(name):
            try:
                config = configuration.load(path)
            except ConfigError as error:
                assert error.mistakes, name
                for line in str(error).splitlines():
                    assert line.startswith(f"{path}:"), (name, line)
                    assert line.isprintable(), (name, line)
                continue
        taken += 1
        assert config.instances, name
        assert len({one.fqdn for one in config.instances}) == len(config.instances), name
        assert config.channels, name
    assert 0 < taken < COUNT


def test_a_valid_configuration_stays_one_whatever_harmless_stands_in_it(tmp_path: Path) -> None:
    path = tmp_path / "configuration"
    path.write_bytes(CONFIGURATION)
    plain = configuration.load(path)
    for number in range(COUNT):
        rng = random.Random(f"{SEED}:harmless:{number}")
        lines = CONFIGURATION.splitlines(keepends=True)
        for _ in range(rng.randint(1, 9)):
            lines.insert(rng.randint(0, len(lines)), rng.choice(HARMLESS))
        text = b"".join(lines)
        text = text.replace(b"\n", b"\r\n") if rng.random() < 0.5 else text
        path.write_bytes(b"\xef\xbb\xbf" + text if rng.random() < 0.5 else text)
        found = configuration.load(path)
        assert found.towns == plain.towns, f"harmless {number} of seed {SEED}"
        assert dict(found.channels) == dict(plain.channels)


# --- listings ---------------------------------------------------------------------------------------------------------

LISTING = b"# decembre\n[30/11]\nfilm_a\njt\nfilm_a\n\n[01/12]\nfilm_b\n\n[02/12/2026]\nfilm_a ; \n  jt  \nclips\n"
_SECTION = re.compile(r"\[(\d\d)/(\d\d)(?:/(\d{4}))?\]\Z", re.ASCII)
_NAME = re.compile(r"[0-9a-z_]+\Z", re.ASCII)


def independently_valid(data: bytes) -> bool | None:
    """Say whether a listing is valid by a reading of SPEC 5 of its own; None where SPEC leaves it open."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    if any(not (char.isprintable() or char in "\r\n\t ") for char in text) or "\r" in text.replace("\r\n", ""):
        return None
    days: list[date] = []
    names = 0
    for line in (line.strip(" \t\r") for line in text.split("\n")):
        if not line or line[0] in "#;":
            continue
        if line[0] == "[":
            found = _SECTION.match(line)
            if not found or (days and not names) or not (day := _day(found)) or day in days:
                return False
            days.append(day)
            names = 0
        elif not _NAME.match(line) or not days:
            return False
        else:
            names += 1
    if not days or not names or len(days) > 31:
        return False
    dated = sorted(days)
    return None if dated[-1] - dated[0] != timedelta(days=len(days) - 1) or dated != days else True


def _day(found: re.Match[str]) -> date | None:
    day, month = int(found[1]), int(found[2])
    year = int(found[3]) if found[3] else TODAY.year + (month < TODAY.month)
    if not (1 <= month <= 12 and 2000 <= year < 3000 and 1 <= day <= calendar.monthrange(year, month)[1]):
        return None
    return date(year, month, day)


def test_a_mutated_listing_is_taken_or_every_mistake_in_it_has_its_line() -> None:
    verdicts = {True: 0, False: 0}
    for name, data in cases("listing", LISTING.replace(b" ; ", b""), COUNT):
        valid = independently_valid(data)
        with soon(name):
            try:
                found = parse(data, today=TODAY)
            except ListingError as error:
                assert valid is not True, (name, data, str(error))
                assert error.mistakes, name
                assert all(0 <= line <= data.count(b"\n") + data.count(b"\r") + 1 for line, _ in error.mistakes), name
                continue
        assert valid is not False, (name, data)
        assert found.days, name
        if valid is not None:
            verdicts[valid] += 1
        assert all(_NAME.match(entry.name) for day in found.days for entry in day.entries), name
    assert verdicts[True] > COUNT // 100


# --- replies of Redis -------------------------------------------------------------------------------------------------

START = datetime(2026, 11, 24, 7, 30, tzinfo=UTC).timestamp()
INFO = (
    b"# Replication\r\nrole:slave\r\nmaster_host:a\r\nmaster_port:6379\r\nmaster_link_status:up\r\n"
    b"master_last_io_seconds_ago:1\r\nslave_repl_offset:10\r\nmaster_replid:x\r\n"
)
KEYSPACE = b"# Keyspace\r\ndb0:keys=1,expires=0\r\ndb1:keys=2,expires=0\r\n"
KEY = program_key(TODAY, "85")


def honest(command: Sequence[bytes]) -> Any:
    """Return what a good replica replies."""
    name = command[0].upper()
    if name == b"INFO":
        return KEYSPACE if b"keyspace" in command else INFO
    replies: dict[bytes, Any] = {
        b"SELECT": b"OK",
        b"ZRANGE": [b"/opt/tsfiles/film_a.ts:0", b"%d" % START, b"/opt/tsfiles/jt.ts:1", b"%d" % (START + 3600)],
        b"ZSCAN": [b"0", [b"/opt/tsfiles/film_a.ts:0", b"%d" % START]],
        b"KEYS": [KEY.encode() if isinstance(KEY, str) else KEY, b"film_a.ts", b"jt.ts"],
        b"MGET": [b"3600"] * (len(command) - 1),
        b"GET": b"3600",
        b"DBSIZE": 2,
    }
    return replies.get(name, b"OK")


class Liar:
    """A peer whose replies are good ones mutated: by value (odd types), or as bytes on the wire."""

    def __init__(self) -> None:
        self.rng = random.Random(0)
        self.peer = peers.Peer(self._serve)

    def _serve(self, connection: socket.socket, closing: threading.Event) -> None:
        rng = random.Random(self.rng.random())
        rate = rng.choice((0.1, 0.3, 1.0))
        for command in peers._parsed(connection):
            reply = honest(command)
            if rng.random() < rate / 2:
                reply = self._odd(rng, reply)
            data = peers.encode(reply)
            if rng.random() < rate / 2:
                data = mutated(rng, data)
            connection.sendall(data)
            if rng.random() < rate / 10:
                return

    def _odd(self, rng: random.Random, reply: Any) -> Any:
        odd = [None, b"", b"x", 7, -1, [], [None], [b""], [[b"a"], 3], b"\xff" * 9, [b"nan", b"inf"], b"1e400"]
        if isinstance(reply, list) and reply and rng.random() < 0.6:
            changed = list(reply)
            changed[rng.randrange(len(changed))] = rng.choice(odd)
            return changed[: rng.randint(0, len(changed))] if rng.random() < 0.2 else changed
        if isinstance(reply, bytes) and rng.random() < 0.5:
            return mutated(rng, reply)
        return rng.choice(odd)


@pytest.fixture
def liars() -> Iterator[list[Liar]]:
    with contextlib.ExitStack() as stack:
        made = [Liar() for _ in range(4)]
        for liar in made:
            stack.enter_context(liar.peer)
        yield made


QUESTIONS: list[Callable[[Fleet, Sequence[Instance]], Any]] = [
    lambda fleet, them: hold(fleet, them, 0.1, [(TODAY, "85")]),
    lambda fleet, them: programs(fleet, them, 0.1, [(TODAY, "85"), (TODAY, "86")]),
    lambda fleet, them: search(fleet, them, 0.1, "film"),
    lambda fleet, them: durations(fleet, them, 0.1, ["film_a.ts", "jt.ts"]),
    lambda fleet, them: file_facts(fleet, them, 0.1, "film_a"),
    lambda fleet, them: shelves(fleet, them, 0.1, ["85"], TODAY),
]


def test_whatever_a_redis_replies_every_instance_has_its_answer_or_its_reason(liars: list[Liar]) -> None:
    them = tuple(
        Instance("t", f"liar-{n}", liar.peer.endpoint, Endpoint(), SshTarget("h"), UTC) for n, liar in enumerate(liars)
    )
    answered = missing = 0
    for number in range(COUNT // len(liars)):
        for n, liar in enumerate(liars):
            liar.rng = random.Random(f"{SEED}:reply:{number}:{n}")
        name = f"reply {number} of seed {SEED}"
        with soon(name), Fleet() as fleet:
            gathered = QUESTIONS[number % len(QUESTIONS)](fleet, them)
        assert [answer.instance for answer in gathered.answers] == list(them), name
        for answer in gathered.answers:
            assert (answer.value is None) is (answer.error is not None), name
        answered += len(gathered.answered)
        missing += len(gathered.missing)
    assert answered > 0
    assert missing > 0


# --- as processes -----------------------------------------------------------------------------------------------------


def judged(name: str, ran: Ran, form: str) -> None:
    assert ran.status in DOCUMENTED, (name, ran)
    assert "Traceback" not in ran.err, (name, ran.err)
    assert "this is a bug" not in ran.err, (name, ran.err)
    if ran.status not in (2, 3) and form == "json":
        assert isinstance(json.loads(ran.out), dict), name
    assert not set(ran.out + ran.err) & {"\x1b", "\x00"}, name


@pytest.mark.slow
def test_mutated_configurations_as_processes(tmp_path: Path) -> None:
    path = tmp_path / "configuration"
    for name, data in cases("configuration process", CONFIGURATION, PROCESSES):
        path.write_bytes(data)
        judged(name, run("config", "check", "--format", "json", config=path, cwd=tmp_path), "json")


@pytest.mark.slow
def test_mutated_listings_and_replies_as_processes(liars: list[Liar], tmp_path: Path) -> None:
    path = tmp_path / "configuration"
    members = "".join(f"liar-{n}={liar.peer.endpoint.port}\n" for n, liar in enumerate(liars))
    path.write_text(
        f"[LOG]\nfilepath={tmp_path}/log\nlevel=10\ndatefmt=%d\n[DATA]\nfolder={tmp_path}/data\n[CHANNELS]\n85=Un\n"
        f"[SCHEDULE]\ntimezone=UTC\n[CLUSTER:t]\n{members}"
    )
    listing = tmp_path / "listing"
    with Warm.start(path) as warm:
        for number, (name, data) in enumerate(cases("listing process", LISTING, PROCESSES)):
            listing.write_bytes(data)
            for n, liar in enumerate(liars):
                liar.rng = random.Random(f"{SEED}:reply process:{number}:{n}")
            lines = [
                ["listing", "check", str(listing), "-s", "85"],
                ["program", "show", "2026-11-24", "-s", "85"],
                ["media", "show", "film_a"],
                ["cluster", "status"],
                ["program", "list"],
            ]
            for line in lines:
                for form in ("json", "text"):
                    warm_name = f"{name}: {' '.join(line)} {form}"
                    with soon(warm_name):
                        ran = warm.run(*line, "--timeout", "0.2", "--format", form)
                    judged(warm_name, ran, form)
