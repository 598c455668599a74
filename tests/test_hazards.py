"""What must never happen again (SPEC 8), where it concerns reading: every reading command and the API, each hazard.

Each of these has failed once, when its hazard was put back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import peers
import pytest
import waits
from reading import DAY, START, Stage, clock, files, held
from stages import ALL, Shown

from dvbboxes import api
from dvbboxes.demo.servers import Server, tell
from dvbboxes.demo.world import World
from dvbboxes.errors import ExitStatus
from dvbboxes.fleet import Fleet
from dvbboxes.questions import durations, file_facts, programs, search
from dvbboxes.wire import Command, day_text, program_key

EVENING = (("film_a", "07:30"), ("jt", "19:00"), ("film_b", "20:00"))
FILES = files(film_a=5400, jt=1800, film_b=7200)
NOW = clock("19:10")


@pytest.fixture
def stage(fleet: World, tmp_path: Path) -> Stage:
    return Stage(fleet, tmp_path)


@pytest.fixture
def old_api(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The API of SPEC 7 on the stage's configuration, which is read once a process."""
    monkeypatch.setenv("DVBBOXES_CONFIG", str(stage.config))
    made = (api.config, api.logger)
    for one in made:
        one.cache_clear()
    yield
    for one in made:
        one.cache_clear()


def every_reading(stage: Stage, **options: Any) -> Iterator[Shown]:
    """Run every reading command."""
    names = stage.folder / "names"
    names.write_text("film_a\njt\nnobody_has_it\n", "utf-8")
    day = day_text(DAY)
    lines = (
        ("program show", day),
        ("program diff", day),
        ("program now",),
        ("program list", None),
        ("media search", ""),
        ("media show", "film_a"),
        ("media check", str(names)),
    )
    for command, *words in lines:
        yield stage.ask(command, *words, now=NOW, **options)


def every_form(shown: Shown) -> str:
    return "".join(shown.render(form) for form in ("text", "json", "csv"))


# --- 1: data from Redis passed to eval --------------------------------------------------------------------------------


def test_1_code_that_stands_in_redis_is_text(stage: Stage, old_api: None) -> None:
    mark = stage.folder / "executed"
    code = f"__import__('pathlib').Path({str(mark)!r}).touch()"
    evil: list[Command] = [
        (0, ("ZADD", program_key(DAY, "85"), START, f"/x/film_a.ts:{code}", START, code, START, f"/x/{code}.ts:7")),
        (0, ("ZADD", f"24112026:{code}", START, "/x/film_a.ts:0")),
        (0, ("SET", code, code)),
        (1, ("MSET", "film_a.ts", code, f"{code}.ts", code)),
    ]
    stage.load(town1_2=[held(EVENING), FILES, *evil], others=[held(EVENING), FILES])
    for shown in every_reading(stage):
        every_form(shown)
    api.Media("film_a").duration  # noqa: B018  # looking at it is what may not execute
    list(api.Program(day_text(DAY), "85").infos())
    assert api.Media.search("pathlib") != []
    assert api.Media("film_a").schedule["85"] == {START}
    assert not mark.exists()


# --- 2: one dead instance failing every command, or waited for in turn ------------------------------------------------


def test_2_frozen_and_dead_instances_cost_one_deadline_and_nobody_elses_answer(stage: Stage) -> None:
    stage.load(others=[held(EVENING), FILES])
    stage.world.freeze(stage.world.replica("town1-1"), stage.world.replica("town2-1"), stage.world.replica("town2-2"))
    with waits.counted() as waited:
        for shown in every_reading(stage, timeout="0.4"):
            gathered = shown.result.gathered
            assert gathered is not None
            assert [answer.instance.fqdn for answer in gathered.answered] == ["town1-2"]
            assert waited.in_vain < 0.6, shown.command  # one deadline, not two, and not three for the three of them
            assert shown.status is ExitStatus.PARTIAL
            assert "1/4 instances answered" in shown.text
            waited.begin()


# --- 3: one that did not answer counted as one that has nothing -------------------------------------------------------


def paths_to(fqdn: str, data: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the keys that lead to a name in JSON."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from paths_to(fqdn, key, path)
            yield from paths_to(fqdn, value, (*path, key))
    elif isinstance(data, list):
        for value in data:
            yield from paths_to(fqdn, value, path)
    elif data == fqdn:
        yield path


def test_3_whoever_does_not_answer_lacks_nothing_and_holds_nothing(stage: Stage) -> None:
    stage.load(others=[held(EVENING), FILES])
    with peers.nobody() as nowhere:
        stage.ports["town1-2"] = nowhere.port
        for shown in every_reading(stage):
            assert {path[-1] for path in paths_to("town1-2", shown.data)} <= {"silent"}, shown.command
            assert "town1-2" not in shown.render("csv"), shown.command
            about = [line for line in shown.lines if "town1-2" in line]
            assert about[-1].startswith("  town1-2: replica 127.0.0.1:")
            assert all("town1-2 did not answer" in line for line in about[:-1]), about
            assert shown.status is ExitStatus.PARTIAL


# --- 4: a stale, never-synced or wiped replica answering as if it were current ----------------------------------------


def test_4_a_wiped_and_a_never_synced_replica_give_no_answer(stage: Stage) -> None:
    stage.load(town1_1=[], town1_2=[], others=[held(EVENING), FILES])
    never = peers.info(master_link_status="down\r\nmaster_link_down_since_seconds:-1")
    with peers.Peer(peers.proxy(stage.world.replica("town1-2").endpoint, never)) as peer:
        stage.ports["town1-2"] = peer.endpoint.port
        for shown in every_reading(stage):
            states = {fqdn: said["state"] for fqdn, said in shown.envelope["instances"].items()}
            assert states == dict(zip(ALL, ("suspect", "unavailable", "current", "current"), strict=True)), (
                shown.command
            )
            assert shown.status is ExitStatus.PARTIAL


def test_4_a_stale_replica_says_its_age_and_none_of_unknown_age_is_young_enough(stage: Stage) -> None:
    stage.load(others=[held(EVENING), FILES])
    down = peers.info(master_link_status="down\r\nmaster_link_down_since_seconds:7200")
    lost = peers.info(master_link_status="down\r\nmaster_link_down_since_seconds:-1")
    replica = stage.world.replica
    with (
        peers.Peer(peers.proxy(replica("town1-2").endpoint, down)) as old,
        peers.Peer(peers.proxy(replica("town2-1").endpoint, lost)) as unknown,
    ):
        stage.ports |= {"town1-2": old.endpoint.port, "town2-1": unknown.endpoint.port}
        for shown in every_reading(stage):
            assert "  town1-2: stale, 2 h 0 min old: the link to its master is down" in shown.lines
            assert "  town2-1: stale, of unknown age: the link to its master is down" in shown.lines
            assert "4/4 instances answered, oldest of unknown age" in shown.text
        for shown in every_reading(stage, max_age="86400"):
            assert [path[-1] for path in paths_to("town2-1", shown.data) if path[-1] != "silent"] == []
            assert shown.status is ExitStatus.TOO_OLD


# --- 5: a reply that meets another question ---------------------------------------------------------------------------


def test_5_a_question_that_failed_leaves_nothing_for_the_next(stage: Stage) -> None:
    tomorrow = DAY + timedelta(days=1)
    stage.load(
        others=[held(EVENING), held(EVENING[:1], day=tomorrow), FILES, (0, ("SET", program_key(DAY, "86"), "x"))]
    )
    instances, frozen = stage.world.config().instances, stage.world.replica("town1-2")
    with Fleet() as fleet:
        durations(fleet, instances, 20.0, ["jt.ts"])  # every connection is made, and kept
        stage.world.freeze(frozen)
        late = programs(fleet, instances, 0.2, [(DAY, "85"), (DAY, "86")])
        assert [answer.instance.fqdn for answer in late.missing] == ["town1-2"]
        stage.world.resume(frozen)
        for _ in range(3):  # what it was asked before has been answered by then
            tell(frozen.endpoint, [(0, ("PING",))])
        other = programs(fleet, instances, 20.0, [(tomorrow, "85"), (tomorrow, "86")]).values()
        assert [len(held[tomorrow, "85"].slots) for held in other.values()] == [1] * 4
        assert (
            list(search(fleet, instances, 20.0, "film").values().values())
            == [frozenset({"film_a.ts", "film_b.ts"})] * 4
        )


# --- 8: a plain name taken for a glob ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["film*", "film_?", "*", "[f]ilm_a", "film_[ab]", "\\film_a", "../film_a", "film_a\\"])
def test_8_a_name_is_a_name_whatever_characters_it_is_made_of(stage: Stage, old_api: None, name: str) -> None:
    pairs = (START, f"/opt/tsfiles/{name}.ts:5") if "/" not in name else (START, "/opt/film_b.ts:5")
    stage.load(others=[held(EVENING), FILES, (0, ("ZADD", program_key(DAY, "86"), *pairs))])
    there = {} if "/" in name else {"86": {START}}
    assert api.Media(name).duration == 0
    assert api.Media(name).towns == set()
    assert api.Program(day_text(DAY), "85").get_start_times(name) == []
    with Fleet() as fleet:
        facts = file_facts(fleet, stage.world.config().instances, 20.0, name).values()
    found = [{sid: {start} for sid, _, _, start in airings} for _, airings in facts.values()]
    assert found == [there] * 4


# --- 9: a read that writes --------------------------------------------------------------------------------------------

READS = {"info", "select", "keys", "mget", "get", "zrange", "zscan", "dbsize", "auth"}
#: What a replica is asked by its tests, by the link to its master, and what it does by itself.
OTHERS = {"config|resetstat", "ping", "replconf", "psync"}


def asked_of(server: Server) -> set[str]:
    """Return the commands a server was given since its statistics were reset."""
    (said,) = tell(server.endpoint, [(0, ("INFO", "commandstats"))])
    return set(re.findall(r"cmdstat_([^:]+):", said.decode()))


def counted(server: Server, field: str) -> int:
    (said,) = tell(server.endpoint, [(0, ("INFO", "everything"))])
    return int(re.findall(rf"\b{field}:(\d+)", said.decode())[0])


def test_9_no_reading_writes_and_no_master_is_asked(stage: Stage, old_api: None) -> None:
    stage.load(others=[held(EVENING), FILES])
    masters = [stage.world.master(fqdn) for fqdn in ALL]
    replicas = [stage.world.replica(fqdn) for fqdn in ALL]
    for server in (*masters, *replicas):
        tell(server.endpoint, [(0, ("CONFIG", "RESETSTAT"))])
    offsets = [counted(master, "master_repl_offset") for master in masters]
    for shown in every_reading(stage):
        every_form(shown)
    api.Media("film_a").schedule  # noqa: B018  # looking at it is the reading
    api.Media.search("film")
    list(api.Program(day_text(DAY), "85").infos())
    assert [asked_of(replica) - READS - OTHERS for replica in replicas] == [set()] * 4
    assert [asked_of(master) - {"info", "select"} - OTHERS for master in masters] == [set()] * 4
    pings = len(b"*1\r\n$4\r\nPING\r\n")
    for master, before in zip(masters, offsets, strict=True):
        assert (counted(master, "master_repl_offset") - before) % pings == 0


# --- 10: rstrip('.ts'), prefixes taken for matches --------------------------------------------------------------------


def test_10_a_suffix_is_cut_once_and_no_more(stage: Stage, old_api: None) -> None:
    odd = ("sports", "best", "ts", "t_s", "tests")
    stage.load(others=[files(**dict.fromkeys(odd, 60)), held([(name, START + 60 * n) for n, name in enumerate(odd)])])
    assert [line.split()[0] for line in stage.ask("media search", "").lines[: len(odd)]] == sorted(odd)
    for name in odd:
        assert stage.ask("media show", name).lines[0].startswith(f"{name}  0:01:00")
        assert api.Media(name).name == api.Media(f"{name}.ts").name == f"{name}.ts"
    show = stage.ask("program show", day_text(DAY), services=["85"], now=START - 86400)
    assert [line.split()[4] for line in show.lines if re.match(r"\s*\d+  \d\d:", line)] == list(odd)


def test_10_a_key_or_a_name_that_begins_the_same_is_another(stage: Stage, old_api: None) -> None:
    others: list[Command] = [
        held([("film_ab", "08:00")], sid="850"),
        (0, ("ZADD", "24112026", START + 60, "/x/film_a.ts:9")),
        (0, ("ZADD", "24112026:85:old", START + 60, "/x/film_a.ts:9")),
        (0, ("ZADD", "124112026:85", START + 60, "/x/film_a.ts:9")),
    ]
    stage.load(others=[held([*EVENING, ("film_ab", "22:00"), ("xfilm_a", "23:00")]), FILES, *others])
    assert api.Program(day_text(DAY), "85").get_start_times("film_a") == [START]
    assert len(list(api.Program(day_text(DAY), "85").infos())) == 5
    assert api.Media("film_a").schedule == {"85": {START}}
    listed = stage.ask("program list", now=NOW)
    assert (listed.data["days"], listed.data["unknown_channels"]) == (["24112026"], ["850"])
    assert listed.data["passed_over"] == dict.fromkeys(ALL, 3)
