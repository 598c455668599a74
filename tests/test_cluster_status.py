"""``cluster status``: every instance, its replica's state, link, age, version, keys, and the exit status."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import peers
import pytest

from dvbboxes.commands import Context, Result
from dvbboxes.commands.cluster import status, version
from dvbboxes.demo.servers import tell
from dvbboxes.demo.world import World
from dvbboxes.errors import ExitStatus
from dvbboxes.render import render
from dvbboxes.render.style import Style

ALL = ("town1-1", "town1-2", "town2-1", "town2-2")


@pytest.fixture
def world(fleet: World) -> World:
    """The small fleet; each instance holds two programs and three files."""
    held = [(0, ("MSET", "a", "1", "b", "2")), (1, ("MSET", "x.ts", "1", "y.ts", "2", "z.ts", "3"))]
    fleet.load(dict.fromkeys(ALL, held))
    return fleet


def ask(world: World, tmp_path: Path, ports: dict[str, int] | None = None, **scope: Any) -> Result:
    text = world.config_path.read_text("utf-8")
    for fqdn, port in (ports or {}).items():
        text = re.sub(rf"^{fqdn}=\d+$", f"{fqdn}={port}", text, flags=re.M)
    path = tmp_path / "configuration"
    path.write_text(text, "utf-8")
    given = dict.fromkeys(("towns", "instances", "max_age")) | {"timeout": "20"} | scope
    return status(Context(str(path), 1.8e9), **given)


def shown(result: Result, form: str) -> str:
    return render("cluster status", result.view, result.gathered, form, Style())


def rows(result: Result) -> dict[str, dict[str, str]]:
    return {row["instance"]: row for row in csv.DictReader(io.StringIO(shown(result, "csv")))}


def test_a_healthy_fleet_is_told_in_three_forms(world: World, tmp_path: Path) -> None:
    result = ask(world, tmp_path)
    assert result.status is ExitStatus.DONE
    real = tell(world.replica("town1-1").endpoint, [(0, ("INFO", "server"))])[0].decode()
    fields = dict(line.split(":", 1) for line in real.splitlines() if ":" in line)
    name = "valkey " + fields["valkey_version"] if "valkey_version" in fields else "redis " + fields["redis_version"]
    envelope = json.loads(shown(result, "json"))
    assert list(envelope["instances"]) == list(ALL)
    assert all(one["state"] == "current" and one["age"] < 20 for one in envelope["instances"].values())
    for one in envelope["data"]["instances"]:
        fqdn = one["instance"]
        assert one["replica"] == f"127.0.0.1:{world.replica(fqdn).port}"
        assert one["follows"] == f"127.0.0.1:{world.master(fqdn).port}"
        assert (one["link"], one["version"], one["programs"], one["media"]) == ("up", name, 2, 3)
        row = rows(result)[fqdn]
        assert (row["town"], row["state"], row["version"]) == (fqdn[:5], "current", name)
        assert (row["programs"], row["media"], row["error"]) == ("2", "3", "")
    lines = shown(result, "text").splitlines()
    assert lines[0].split() == [
        *("town", "instance", "replica", "state", "link", "age", "follows", "version", "programs", "files"),
    ]
    assert lines[1].startswith("town1  town1-1   127.0.0.1:")
    assert name in lines[1]
    assert re.search(r"  2 +3$", lines[1])
    assert lines[-1].startswith("4/4 instances answered, oldest ")


def test_a_stale_one_is_a_difference_and_a_dead_one_is_partial(world: World, tmp_path: Path) -> None:
    down = peers.info(master_link_status="down\r\nmaster_link_down_since_seconds:90000")
    with peers.Peer(peers.proxy(world.replica("town1-2").endpoint, down)) as peer:
        stale = ask(world, tmp_path, {"town1-2": peer.endpoint.port})
        assert stale.status is ExitStatus.DIFFERENCE
        row = rows(stale)["town1-2"]
        assert (row["state"], row["link"], row["age"], row["programs"]) == ("stale", "down", "90000.0", "2")
        line = next(line for line in shown(stale, "text").splitlines() if "town1-2" in line)
        assert re.search(r"stale +down +25 h 0 min", line)
        too_old = ask(world, tmp_path, {"town1-2": peer.endpoint.port}, max_age="3600")
        assert too_old.status is ExitStatus.TOO_OLD
        with peers.nobody() as nowhere:
            both = ask(world, tmp_path, {"town1-2": peer.endpoint.port, "town2-1": nowhere.port})
    assert both.status is ExitStatus.PARTIAL
    dead = rows(both)["town2-1"]
    assert (dead["state"], dead["age"], dead["version"], dead["programs"]) == ("unavailable", "", "", "")
    assert "refused the connection" in dead["error"]
    assert "  town2-1: replica 127.0.0.1:" in shown(both, "text")


def test_one_whose_master_was_wiped_is_suspect(world: World, tmp_path: Path) -> None:
    world.load({"town1-2": [(0, ("FLUSHALL",))]})
    result = ask(world, tmp_path)
    assert result.status is ExitStatus.PARTIAL
    row = rows(result)["town1-2"]
    assert (row["state"], row["link"]) == ("suspect", "up")
    assert "was the master wiped?" in row["error"]


def test_when_nobody_answers_the_status_says_so(world: World, tmp_path: Path) -> None:
    with peers.nobody() as nowhere:
        result = ask(world, tmp_path, {"town1-1": nowhere.port}, instances=["town1-1"])
    assert result.status is ExitStatus.NO_ANSWER
    assert shown(result, "text").splitlines()[2] == "0/1 instances answered; missing: 1"


def test_only_those_asked_for_are_asked(world: World, tmp_path: Path) -> None:
    assert list(rows(ask(world, tmp_path, towns=["town2", "town1"]))) == [*ALL[2:], *ALL[:2]]
    assert list(rows(ask(world, tmp_path, towns=["town2"], instances=["TOWN1-1"]))) == [*ALL[2:], "town1-1"]


def test_a_hostile_server_cannot_paint_the_screen(world: World, tmp_path: Path) -> None:
    spoil = peers.info(redis_version="7\x1b[2J", valkey_version="9\x1b[2J", master_host="a\x1b[2J")
    with peers.Peer(peers.proxy(world.replica("town1-2").endpoint, spoil)) as peer:
        result = ask(world, tmp_path, {"town1-2": peer.endpoint.port})
    for form in ("text", "csv"):
        assert "\x1b" not in shown(result, form)
        assert "a\\x1b[2J" in shown(result, form)


@pytest.mark.parametrize("age", ["inf", "nan", "1e300", "soon", "-1"])
def test_an_age_that_is_none_is_unknown_in_every_form(world: World, tmp_path: Path, age: str) -> None:
    spoil = peers.info(master_last_io_seconds_ago=age)
    with peers.Peer(peers.proxy(world.replica("town1-2").endpoint, spoil)) as peer:
        result = ask(world, tmp_path, {"town1-2": peer.endpoint.port})
    assert json.loads(shown(result, "json"))["instances"]["town1-2"]["age"] is None
    assert rows(result)["town1-2"]["age"] == ""
    assert shown(result, "text").splitlines()[-1] == "4/4 instances answered, oldest of unknown age."


def test_a_valkey_is_told_from_the_redis_it_says_it_is() -> None:
    assert version({"server_name": "valkey", "redis_version": "7.2.4", "valkey_version": "9.1.2"}) == "valkey 9.1.2"
    assert version({"redis_version": "7.0.15"}) == "redis 7.0.15"
    assert version({}) == "redis ?"
