"""``cluster status``: every instance, its replica's state, link, age, version, keys, and the exit status."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, timedelta
from pathlib import Path
from typing import Any

import peers
import pytest
import sshd
from stages import ALL, Shown, Stage, perform

from dvbboxes.aggregate.cluster import ClusterProbe, ClusterStatus, InstanceProbe, InstanceStatus, towns
from dvbboxes.commands import Context, cluster
from dvbboxes.commands.cluster import version
from dvbboxes.demo.servers import tell
from dvbboxes.demo.world import World
from dvbboxes.errors import ExitStatus, UsageError
from dvbboxes.model import Gathered
from dvbboxes.render import cluster as render_cluster
from dvbboxes.render import render
from dvbboxes.render.style import Style
from dvbboxes.wire import program_key


@pytest.fixture
def world(fleet: World) -> World:
    """The small fleet; each instance holds two programs and three files."""
    held = [(0, ("MSET", "a", "1", "b", "2")), (1, ("MSET", "x.ts", "1", "y.ts", "2", "z.ts", "3"))]
    fleet.load(dict.fromkeys(ALL, held))
    return fleet


def ask(world: World, tmp_path: Path, ports: dict[str, int] | None = None, **scope: Any) -> Shown:
    return Stage(world, tmp_path, ports=ports or {}, now=1.8e9).run("cluster status", **scope)


def rows(result: Shown) -> dict[str, dict[str, str]]:
    return {row["instance"]: row for row in result.rows}


def test_a_healthy_fleet_is_told_in_three_forms(world: World, tmp_path: Path) -> None:
    result = ask(world, tmp_path)
    assert result.status is ExitStatus.DONE
    real = tell(world.replica("town1-1").endpoint, [(0, ("INFO", "server"))])[0].decode()
    fields = dict(line.split(":", 1) for line in real.splitlines() if ":" in line)
    name = "valkey " + fields["valkey_version"] if "valkey_version" in fields else "redis " + fields["redis_version"]
    envelope = result.envelope
    assert list(envelope["instances"]) == list(ALL)
    assert all(one["state"] == "current" and one["age"] < 20 for one in envelope["instances"].values())
    for one in envelope["data"]["instances"]:
        fqdn = one["instance"]
        assert one["replica"] == f"127.0.0.1:{world.replica(fqdn).port}"
        assert one["follows"] == f"127.0.0.1:{world.master(fqdn).port}"
        assert (one["link"], one["version"], one["programs"], one["media"]) == ("up", name, 2, 3)
        row = rows(result)[fqdn]
        assert (row["town"], row["state"], row["version"]) == (fqdn[:5], "current", name)
        assert (row["master_version"], row["master_error"], row["behind"], row["until"]) == (name, "", "0", "")
        assert (one["master_version"], one["behind"], one["until"]) == (name, 0, None)
        assert one["memory"] == int(row["memory"]) > 100_000
        assert (row["programs"], row["media"], row["error"]) == ("2", "3", "")
    lines = result.text.splitlines()
    assert lines[0].split() == [
        *("town", "instance", "replica", "state", "link", "age", "behind", "follows", "version", "master"),
        *("memory", "until", "programs", "files"),
    ]
    assert lines[1].startswith("town1  town1-1   127.0.0.1:")
    assert name in lines[1]
    assert re.search(r"  [0-9.]+ [kM]B  - +2 +3$", lines[1])
    assert lines[-1].startswith("4/4 instances answered, oldest ")


def test_a_stale_one_is_a_difference_and_a_dead_one_is_partial(world: World, tmp_path: Path) -> None:
    down = peers.info(master_link_status="down\r\nmaster_link_down_since_seconds:90000")
    with peers.Peer(peers.proxy(world.replica("town1-2").endpoint, down)) as peer:
        stale = ask(world, tmp_path, {"town1-2": peer.endpoint.port})
        assert stale.status is ExitStatus.DIFFERENCE
        row = rows(stale)["town1-2"]
        assert (row["state"], row["link"], row["age"], row["programs"]) == ("stale", "down", "90000.0", "2")
        line = next(line for line in stale.text.splitlines() if "town1-2" in line)
        assert re.search(r"stale +down +25 h 0 min", line)
        too_old = ask(world, tmp_path, {"town1-2": peer.endpoint.port}, max_age="3600")
        assert too_old.status is ExitStatus.TOO_OLD
        with peers.nobody() as nowhere:
            both = ask(world, tmp_path, {"town1-2": peer.endpoint.port, "town2-1": nowhere.port})
    assert both.status is ExitStatus.PARTIAL
    dead = rows(both)["town2-1"]
    assert (dead["state"], dead["age"], dead["version"], dead["programs"]) == ("unavailable", "", "", "")
    assert "refused the connection" in dead["error"]
    assert "  town2-1: replica 127.0.0.1:" in both.text


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
    assert result.text.splitlines()[2] == "0/1 instances answered; missing: 1"


def test_only_those_asked_for_are_asked(world: World, tmp_path: Path) -> None:
    assert list(rows(ask(world, tmp_path, towns=["town2", "town1"]))) == [*ALL[2:], *ALL[:2]]
    assert list(rows(ask(world, tmp_path, towns=["town2"], instances=["TOWN1-1"]))) == [*ALL[2:], "town1-1"]


def test_a_hostile_server_cannot_paint_the_screen(world: World, tmp_path: Path) -> None:
    spoil = peers.info(redis_version="7\x1b[2J", valkey_version="9\x1b[2J", master_host="a\x1b[2J")
    with peers.Peer(peers.proxy(world.replica("town1-2").endpoint, spoil)) as peer:
        result = ask(world, tmp_path, {"town1-2": peer.endpoint.port})
    for form in ("text", "csv"):
        assert "\x1b" not in result.render(form)
        assert "a\\x1b[2J" in result.render(form)


@pytest.mark.parametrize("age", ["inf", "nan", "1e300", "soon", "-1"])
def test_an_age_that_is_none_is_unknown_in_every_form(world: World, tmp_path: Path, age: str) -> None:
    spoil = peers.info(master_last_io_seconds_ago=age)
    with peers.Peer(peers.proxy(world.replica("town1-2").endpoint, spoil)) as peer:
        result = ask(world, tmp_path, {"town1-2": peer.endpoint.port})
    assert result.envelope["instances"]["town1-2"]["age"] is None
    assert rows(result)["town1-2"]["age"] == ""
    assert result.text.splitlines()[-1] == "4/4 instances answered, oldest of unknown age."


def test_a_valkey_is_told_from_the_redis_it_says_it_is() -> None:
    assert version({"server_name": "valkey", "redis_version": "7.2.4", "valkey_version": "9.1.2"}) == "valkey 9.1.2"
    assert version({"redis_version": "7.0.15"}) == "redis 7.0.15"
    assert version({}) == "redis ?"


# --- lag, versions of both, scheduled until ---------------------------------------------------------------------------


def test_what_a_replica_has_yet_to_get_is_counted_and_another_history_is_not(world: World, tmp_path: Path) -> None:
    fields = tell(world.replica("town1-2").endpoint, [(0, ("INFO", "replication"))])[0].decode()
    has = int(re.search(r"slave_repl_offset:(\d+)", fields)[1])  # type: ignore[index]  # every replica says it
    with peers.Peer(
        peers.proxy(world.replica("town1-2").endpoint, peers.info(slave_repl_offset=str(has - 10)))
    ) as peer:
        late = ask(world, tmp_path, {"town1-2": peer.endpoint.port})
    # A ping of the master may come in between: 14 bytes more.
    assert int(rows(late)["town1-2"]["behind"]) in range(10, 200)
    with peers.Peer(peers.proxy(world.replica("town1-2").endpoint, peers.info(master_replid="0" * 40))) as peer:
        other = ask(world, tmp_path, {"town1-2": peer.endpoint.port})
    assert rows(other)["town1-2"]["behind"] == ""
    assert rows(other)["town1-1"]["behind"] != ""


def test_a_master_that_does_not_answer_costs_its_own_columns_alone(world: World, tmp_path: Path) -> None:
    world.freeze(world.master("town2-1"))
    result = ask(world, tmp_path, timeout="0.5")
    assert result.status is ExitStatus.DONE
    assert result.result.gathered is not None
    row = rows(result)["town2-1"]
    assert (row["state"], row["behind"], row["master_version"]) == ("current", "", "")
    assert "timed out after 0.5 s" in row["master_error"]
    assert "  no answer  " in next(line for line in result.text.splitlines() if "town2-1" in line)
    assert result.data["instances"][2]["master_error"] == row["master_error"]


def test_scheduled_until_is_the_last_day_without_a_gap_on_every_channel(world: World, tmp_path: Path) -> None:
    on_air = Context(str(world.config_path), 1.8e9).today
    days = {"85": (0, 1, 2, 5), "86": (0, 1, 2, 3)}
    keys = [program_key(on_air + timedelta(days=n), sid) for sid, each in days.items() for n in each]
    world.load({"town1-1": [(0, ("ZADD", key, "1", "/x/a.ts:0")) for key in keys]})
    found = rows(ask(world, tmp_path))
    assert found["town1-1"]["until"] == (on_air + timedelta(days=2)).isoformat()
    assert found["town1-2"]["until"] == ""


# --- folded by town ---------------------------------------------------------------------------------------------------


def one_of(number: int, **fields: Any) -> InstanceStatus:
    known: dict[str, Any] = {"state": "current", "link": "up", "age": 1.0, "error": "", "version": "redis 7.0.15"}
    known |= {"behind": 0, "programs": 600, "media": 10_000, "memory": 50_000_000, "until": date(2026, 12, 5)} | fields
    return InstanceStatus(f"town{number // 16}", f"dvb-{number}", f"127.0.0.1:{7000 + number}", **known)


def test_256_instances_are_one_screen_and_the_odd_ones_stand_out() -> None:
    odd: dict[int, dict[str, Any]] = {
        3: {"state": "unavailable", "error": "refused", "version": "", "age": None, "programs": None, "until": None},
        40: {"state": "stale", "age": 90_000.0, "until": date(2026, 11, 30)},
        77: {"version": "redis 6.0.16", "behind": 5_200_000},
    }
    lines = tuple(one_of(n, **odd.get(n, {})) for n in range(256))
    text = list(render_cluster.text(ClusterStatus(lines, UTC, 0.0, folded=True), None, Style()))
    assert len(text) <= 24
    assert re.search(r"15 current, 1 unavailable", text[1])
    assert re.search(r"town2 +16 +15 current, 1 stale +25 h 0 min +.*30-11-2026", text[3])
    assert re.search(r"town4 .* 5\.2 MB +redis 7\.0\.15, redis 6\.0\.16 ", text[5])
    assert [line.split()[1] for line in text if " dvb-" in line] == ["dvb-3", "dvb-40", "dvb-77"]
    assert list(render_cluster.table(ClusterStatus(lines, UTC, 0.0, folded=True))[1])[255][1] == "dvb-255"


def test_few_instances_have_a_line_each_and_many_too_where_that_is_asked_for(
    small_fleet: Callable[..., World], tmp_path: Path
) -> None:
    world = small_fleet()
    view = ask(world, tmp_path).result.view
    assert isinstance(view, ClusterStatus)
    assert not view.folded
    fold = towns(view)
    assert [(town.town, town.count) for town in fold] == [("town1", 2), ("town2", 2)]
    text = world.config_path.read_text("utf-8")
    more = "".join(f"other-{n}=unix:///nonexistent/{n}\n" for n in range(30))
    many = tmp_path / "many"
    many.write_text(f"{text}\n[CLUSTER:other]\n{more}" + "".join(
        f"[INSTANCE:other-{n}]\nmaster=127.0.0.1:{n + 1}\n" for n in range(30)
    ), "utf-8")  # fmt: skip
    stage = Stage(world, tmp_path, many, now=1.8e9)
    assert stage.run("cluster status").result.view.folded  # type: ignore[attr-defined]
    assert not stage.run("cluster status", each=True).result.view.folded  # type: ignore[attr-defined]


# --- watched ----------------------------------------------------------------------------------------------------------


class Enough(Exception):
    """The operator has seen enough."""


def test_watching_shows_it_again_and_again_as_it_is_then(world: World, tmp_path: Path) -> None:
    seen: list[str] = []

    def tell_it(view: object, gathered: Gathered[Any] | None) -> None:
        seen.append(render("cluster status", view, gathered, "text", Style(color=len(seen) == 2)))
        if len(seen) == 1:
            world.kill(world.replica("town1-2"))
        if len(seen) == 3:
            raise Enough

    stage = Stage(world, tmp_path, now=1.8e9)
    with pytest.raises(Enough):
        stage.run("cluster status", watch="0.01", context=stage.context(tell=tell_it))
    assert seen[0].startswith("at ")
    assert "4/4 instances answered" in seen[0]
    assert "3/4 instances answered" in seen[1]
    assert seen[2].startswith("\x1b[H\x1b[2J")
    with pytest.raises(UsageError, match="--probe and --watch do not go together"):
        stage.run("cluster status", watch="1", probe=True)
    with pytest.raises(UsageError, match="--watch"):
        stage.run("cluster status", watch="never")


# --- the probe --------------------------------------------------------------------------------------------------------


@pytest.fixture
def hosts(fleet: World, ssh_hosts: Callable[[World], sshd.Hosts]) -> sshd.Hosts:
    return ssh_hosts(fleet)


def probe(hosts: sshd.Hosts) -> Shown:
    return perform(Context(str(hosts.config_path), 1.8e9), "cluster status", probe=True, timeout="20")


def test_a_new_town_is_proven_ready_and_nothing_is_written_there(fleet: World, hosts: sshd.Hosts) -> None:
    before = [tell(fleet.master(fqdn).endpoint, [(0, ("DBSIZE",)), (1, ("DBSIZE",))]) for fqdn in ALL]
    result = probe(hosts)
    assert result.status is ExitStatus.DONE
    for row in rows(result).values():
        assert row["ready"] == "True"
        assert row["dvbbox"].endswith("/bin/dvbbox")
        assert abs(float(row["clock"])) < 2
    assert [tell(fleet.master(fqdn).endpoint, [(0, ("DBSIZE",)), (1, ("DBSIZE",))]) for fqdn in ALL] == before
    assert not any(hosts[fqdn].calls for fqdn in ALL)
    assert "4 of 4 instances ready for a listing; nothing was written" in result.text
    assert [one["ready"] for one in result.data["instances"]] == [True] * 4


def test_each_thing_that_keeps_a_town_from_its_first_listing_is_named(fleet: World, hosts: sshd.Hosts) -> None:
    for fqdn, words in {
        "town1-1": ("CONFIG", "SET", "maxmemory", "1"),
        "town1-2": ("REPLICAOF", "127.0.0.1", str(fleet.master("town1-1").port)),
    }.items():
        tell(fleet.master(fqdn).endpoint, [(0, words)])
    hosts["town2-1"].sshd.close()
    (hosts["town2-2"].root.parent / "bin/dvbbox").unlink()
    try:
        result = probe(hosts)
    finally:
        tell(fleet.master("town1-1").endpoint, [(0, ("CONFIG", "SET", "maxmemory", "0"))])
        tell(fleet.master("town1-2").endpoint, [(0, ("REPLICAOF", "NO", "ONE"))])
    assert result.status is ExitStatus.PARTIAL
    found = rows(result)
    assert [row["ready"] for row in found.values()] == ["False"] * 4
    assert "OOM" in found["town1-1"]["writing"]
    assert "it is a replica itself, of 127.0.0.1:" in found["town1-2"]["writing"]
    assert found["town2-1"]["ssh"] != ""
    assert (found["town2-2"]["ssh"], found["town2-2"]["dvbbox"]) == ("", "")
    text = result.text
    assert "! town2-2: dvbbox is not on the PATH there" in text
    assert "0 of 4 instances ready" in text


def test_a_clock_is_off_only_where_that_is_certain() -> None:
    ready = InstanceProbe("t", "a", "", "", "redis 7", 0.1, 0.01, "", "/usr/bin/dvbbox")
    assert ready.ready
    assert not replace(ready, clock=-5.0).ready
    assert replace(ready, clock=-5.0, precision=4.0).ready  # it took that long to answer
    view = ClusterProbe((replace(ready, clock=-5.0),))
    assert "! a: its clock is 5.0 s behind ours" in list(render_cluster.text(view, None, Style()))


def test_an_info_without_the_masters_port_is_no_crash(world: World, tmp_path: Path) -> None:
    with peers.Peer(peers.proxy(world.replica("town1-2").endpoint, peers.info(master_port=None))) as peer:
        result = ask(world, tmp_path, {"town1-2": peer.endpoint.port})
    assert rows(result)["town1-2"]["follows"] == "127.0.0.1:?"


def test_what_fails_beside_is_raised_once_and_prints_no_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise ValueError("beside")

    with pytest.raises(ValueError, match="beside"):
        cluster.beside(lambda: None, fail)
    assert capfd.readouterr() == ("", "")
