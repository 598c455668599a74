"""``program show`` on a small real fleet: which program is chosen, how it is cut, who differs, what is absent where."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import peers
import pytest
import reading
import stages
from processes import run
from reading import DAY, START, Entries, clock, files
from reading import held as program
from stages import ALL

from dvbboxes.demo.servers import tell
from dvbboxes.demo.world import World
from dvbboxes.errors import ExitStatus
from dvbboxes.model import State
from dvbboxes.wire import Command, day_text, parse_day_text, program_key

#: A moment long before the day: nothing is on air.
BEFORE = 1.7e9
LONGER: Entries = (("film_a", "07:30"), ("jt", "12:00"), ("film_b", "20:00"))
SHORTER: Entries = (("film_a", "07:30"), ("film_b", "23:00"))


FILES = files(film_a=16200, jt=1800, film_b=7200.5)


class Stage(reading.Stage):
    def show(self, day: str = "24112026", *, now: float = BEFORE, **options: Any) -> Shown:
        return Shown("program show", self.run("program show", day, now=now, **({"services": ["85"]} | options)).result)


class Shown(stages.Shown):
    """One result in its three forms, and what stands in a program."""

    @property
    def programs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.data["programs"]
        return found

    @property
    def blocks(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.programs[0]["blocks"]
        return found

    @property
    def files(self) -> list[str]:
        return [entry["media"].removesuffix(".ts") for entry in self.blocks[0]["entries"]]

    def row(self, name: str) -> str:
        """Return the line of the table that shows a file."""
        return next(line for line in self.lines if re.match(rf"\s*>?\d+  [\d:]+ .* {name}\b", line))


@pytest.fixture
def stage(fleet: World, tmp_path: Path) -> Stage:
    """A stage where everybody has FILES."""
    found = Stage(fleet, tmp_path)
    found.load(others=[FILES])
    return found


# --- which program ----------------------------------------------------------------------------------------------------


def test_the_program_with_most_files_is_shown_even_where_another_ends_later(stage: Stage) -> None:
    stage.load(town2_2=[program(LONGER)], others=[program(SHORTER)])
    assert stage.show(towns=["town2"]).files == ["film_a", "jt", "film_b"]
    assert stage.show().files == ["film_a", "jt", "film_b"]


def test_of_programs_with_as_many_files_the_one_that_ends_latest_is_shown(stage: Stage) -> None:
    stage.load(town1_2=[program([("film_a", "07:30"), ("jt", "23:30")])], others=[program(SHORTER)])
    assert stage.show(towns=["town1"]).files == ["film_a", "jt"]


def test_ties_go_to_the_first_in_the_order_asked_for(stage: Stage) -> None:
    one, other = [("film_a", "07:30"), ("jt", "23:00")], [("film_b", "07:30"), ("jt", "23:00")]
    stage.load(town1_1=[program(one)], town1_2=[program(other)], others=[program(other)])
    assert stage.show().files == ["film_a", "jt"]
    assert stage.show(towns=["town2,town1"]).files == ["film_b", "jt"]
    assert stage.show(instances=["town1-2", "town1-1"]).files == ["film_b", "jt"]


def test_the_first_line_says_when_more_instances_hold_another_program(stage: Stage) -> None:
    stage.load(town1_1=[program(LONGER)], others=[program(SHORTER)])
    shown = stage.show()
    assert "! only 1 instance holds this program, 3 hold another" in shown.lines[0]
    assert (shown.blocks[0]["holders"], shown.blocks[0]["rivals"]) == (1, 3)
    stage.load(town1_2=[program(LONGER)], town2_1=[program(LONGER)])
    assert "hold another" not in stage.show().lines[0]


# --- the cut ----------------------------------------------------------------------------------------------------------


def day_with_a_night_before(stage: Stage) -> None:
    stored = program([("film_b", "20:00"), ("jt", "22:00")])
    entries = [(START - 7200, "early", 0), (START - 2400, "on_air", 1), (START + 3600, "film_a", 2)]
    key = program_key(DAY, "85")
    stage.load(
        others=[
            (0, ("ZADD", key, *(part for at, name, n in entries for part in (at, f"/opt/tsfiles/{name}.ts:{n}")))),
            (0, (*stored[1][:2], clock("20:00"), "/opt/tsfiles/film_b.ts:3", clock("02:00"), "/opt/tsfiles/jt.ts:4")),
        ]
    )


def test_what_began_before_the_day_and_is_still_on_air_is_kept_and_nothing_before_it(stage: Stage) -> None:
    day_with_a_night_before(stage)
    shown = stage.show()
    assert shown.files == ["on_air", "film_a", "film_b", "jt"]
    assert shown.blocks[0]["entries"][0]["start"] == "2026-11-24T06:50:00+03:00"
    assert [entry["index"] for entry in shown.blocks[0]["entries"]] == [1, 2, 3, 4]


def test_from_and_to_show_a_part_and_from_keeps_what_is_on_air(stage: Stage) -> None:
    day_with_a_night_before(stage)
    assert stage.show(since="20:30").files == ["film_b", "jt"]
    assert stage.show(since="20:00").files == ["film_b", "jt"]
    assert stage.show(until="20:00").files == ["on_air", "film_a"]
    assert stage.show(since="20:30", until="02:00").files == ["film_b"]  # 02:00 is the next morning's
    assert stage.show(since="06:00").files == ["jt"]
    assert stage.show(since="20:30", until="02:00").blocks[0]["entries"][0]["end"] == "2026-11-25T02:00:00+03:00"


def test_from_now_begins_with_what_is_on_air_and_it_is_marked(stage: Stage) -> None:
    day_with_a_night_before(stage)
    shown = stage.show("today", since="now", now=clock("20:30"))
    assert shown.files == ["film_b", "jt"]
    assert "now 20:30" in shown.lines[0]
    assert shown.row("film_b").lstrip().startswith(">3  20:00:00")
    assert not shown.row("jt").lstrip().startswith(">")
    assert "now" not in stage.show(now=clock("20:30", DAY + timedelta(days=1))).lines[0]


def test_before_half_past_seven_today_is_yesterdays_date(stage: Stage) -> None:
    day_with_a_night_before(stage)
    shown = stage.show("today", now=clock("02:15"))
    assert shown.programs[0]["day"] == "24112026"
    assert shown.row("jt").lstrip().startswith(">4")
    assert shown.lines[0].startswith("85 Ma chaine  Tue 24-11-2026 07:30 -> Wed 25-11 07:30   now 02:15")


# --- which channels and days ------------------------------------------------------------------------------------------


def test_channels_by_id_and_name_in_the_order_asked_for_and_all_without(stage: Stage) -> None:
    stage.load(others=[program(LONGER), program(SHORTER, sid="86")])
    for asked in (["86,85"], ["86", "85"], ["deuxième CHAÎNE", "ma chaine"]):
        assert [one["service_id"] for one in stage.show(services=asked).programs] == ["86", "85"]
    both = stage.show(services=None)
    assert [(one["service_id"], len(one["blocks"][0]["entries"])) for one in both.programs] == [("85", 3), ("86", 2)]
    assert both.status is ExitStatus.DONE


def test_a_range_shows_each_of_its_days(stage: Stage) -> None:
    days = [DAY + timedelta(days=n) for n in range(3)]
    stage.load(others=[program(LONGER, day=day) for day in days])
    shown = stage.show("24/11/2026..26/11/2026")
    assert [parse_day_text(one["day"]) for one in shown.programs] == days
    assert [line.split("  ")[1][:14] for line in shown.lines if line.startswith("85 ")] == [
        "Tue 24-11-2026",
        "Wed 25-11-2026",
        "Thu 26-11-2026",
    ]
    assert shown.status is ExitStatus.DONE


def test_a_day_that_nobody_has_is_said_and_is_a_no(stage: Stage) -> None:
    stage.load(others=[program(LONGER)])
    shown = stage.show("25112026")
    assert "town1: nothing scheduled on town1-1, town1-2" in shown.lines
    assert shown.blocks[0]["entries"] == []
    assert shown.status is ExitStatus.DIFFERENCE


# --- who agrees, who differs ------------------------------------------------------------------------------------------


def test_towns_that_say_the_same_are_folded_into_one_line(stage: Stage) -> None:
    stage.load(others=[program(LONGER)])
    shown = stage.show()
    assert shown.lines[1] == "town1, town2: 4 of 4 agree"
    assert shown.programs[0]["agreed"] is True
    assert len(shown.blocks) == 1
    assert re.match(r"4/4 instances answered, oldest \d+ s\. The schedule, not the transmission\.", shown.lines[-1])
    assert shown.status is ExitStatus.DONE


def test_one_that_differs_is_named_with_what_differs(stage: Stage) -> None:
    moved = [("film_a", "07:30"), ("jt", "12:05"), ("film_x", "20:00")]
    stage.load(town1_2=[program(SHORTER)], town2_2=[program(moved)], others=[program(LONGER)])
    shown = stage.show()
    assert "town1: 1 of 2 agrees; town1-2 differs (2 files, +0 -1 ~1)" in shown.lines
    assert "town2: 1 of 2 agrees; town2-2 differs (3 files, +1 -1 ~1)" in shown.lines
    assert shown.programs[0]["agreed"] is False
    assert [variant["instances"] for variant in shown.blocks[0]["variants"]] == [["town1-2"], ["town2-2"]]
    assert shown.status is ExitStatus.DIFFERENCE


def test_one_that_has_nothing_is_named(stage: Stage) -> None:
    stage.load(town1_2=[], others=[program(LONGER)])
    shown = stage.show()
    assert "town1: 1 of 2 agrees; town1-2 has nothing scheduled" in shown.lines
    assert shown.status is ExitStatus.DIFFERENCE


def test_a_town_with_a_program_of_its_own_has_a_block_of_its_own(stage: Stage) -> None:
    stage.load(town2_1=[program(SHORTER)], town2_2=[program(SHORTER)], others=[program(LONGER)])
    shown = stage.show()
    assert [list(block["towns"]) for block in shown.blocks] == [["town1"], ["town2"]]
    assert [len(block["entries"]) for block in shown.blocks] == [3, 2]
    assert "town1: 2 of 2 agree" in shown.lines
    assert "town2: 2 of 2 agree" in shown.lines
    assert shown.status is ExitStatus.DONE


def test_an_instance_that_does_not_carry_a_channel_is_neither_missed_nor_asked_of_it(stage: Stage) -> None:
    stage.load(town1_2=[], others=[program(LONGER, sid="86"), program(LONGER)])
    stage.setting("town1-2", "channels=85")
    shown = stage.show(services=["86"])
    assert "town1, town2: 3 of 3 agree" in shown.lines
    assert shown.status is ExitStatus.DONE
    assert "town1-2" not in shown.text
    alone = stage.show(services=["86"], instances=["town1-2"])
    assert alone.lines[0] == "86 Deuxième chaîne  no instance asked carries it"
    assert alone.status is ExitStatus.DIFFERENCE


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_file_is_absent_on_those_that_lack_it_and_only_there(stage: Stage) -> None:
    gone: Command = (1, ("DEL", "jt.ts"))
    stage.load(town1_2=[program(LONGER), gone], town2_1=[program(LONGER), gone], others=[program(LONGER)])
    shown = stage.show()
    assert shown.row("jt").endswith("jt      town1-2, town2-1")
    assert shown.row("film_a").endswith("film_a")
    jt = shown.blocks[0]["entries"][1]
    assert (jt["present"], jt["absent"]) == (["town1-1", "town2-2"], ["town1-2", "town2-1"])
    assert "! jt: the launch fails on town1-2, town2-1 (a copy is on town1-1, town2-2)" in shown.lines


def test_presence_on_one_that_does_not_answer_is_unknown_never_missing(stage: Stage) -> None:
    stage.load(town1_2=[program(LONGER), (1, ("DEL", "jt.ts"))], others=[program(LONGER)])
    with peers.nobody() as nowhere:
        stage.ports["town1-2"] = nowhere.port
        shown = stage.show()
    for entry in shown.blocks[0]["entries"]:
        assert entry["present"] == ["town1-1", "town2-1", "town2-2"]
        assert entry["absent"] == []
    assert "launch fails" not in shown.text
    assert "town1: 1 of 2 agrees; town1-2 did not answer" in shown.lines
    assert shown.status is ExitStatus.PARTIAL


def test_a_gap_and_an_overlap_are_said_and_fractions_are_kept(stage: Stage) -> None:
    stage.load(others=[program([("film_a", "07:30"), ("jt", "12:10"), ("film_b", "12:20")])])
    shown = stage.show()
    assert "! film_a at 07:30:00: scheduled for 4:40:00, the file lasts 4:30:00: a gap of 0:10:00" in shown.lines
    assert "! jt at 12:10:00: scheduled for 0:10:00, the file lasts 0:30:00: an overlap of 0:20:00" in shown.lines
    last = shown.blocks[0]["entries"][-1]
    assert (last["duration"], last["length"]) == (7200.5, 7200.5)


# --- who does not answer ----------------------------------------------------------------------------------------------


def test_a_town_where_nobody_answers_is_not_one_with_nothing_scheduled(stage: Stage) -> None:
    stage.load(others=[program(LONGER)])
    with peers.nobody() as one, peers.nobody() as two:
        stage.ports |= {"town2-1": one.port, "town2-2": two.port}
        shown = stage.show()
    assert "town1: 2 of 2 agree" in shown.lines
    assert "town2: nobody answered" in shown.lines
    assert "nothing scheduled" not in shown.text
    assert [block["entries"] is None for block in shown.blocks] == [False, True]
    assert shown.status is ExitStatus.PARTIAL


def test_when_nobody_answers_nothing_is_said_of_any_program(stage: Stage) -> None:
    with peers.nobody() as nowhere:
        stage.ports |= {"town1-1": nowhere.port}
        shown = stage.show(instances=["town1-1"])
    assert shown.lines[0] == "0/1 instances answered; missing: 1"
    assert "Ma chaine" not in shown.text
    assert (shown.programs[0]["agreed"], shown.blocks[0]["entries"]) == (None, None)
    assert shown.rows == []
    assert shown.status is ExitStatus.NO_ANSWER


def test_a_wiped_master_is_suspect_and_not_an_empty_day(stage: Stage) -> None:
    stage.load(others=[program(LONGER)])
    stage.world.load({"town1-2": [(0, ("FLUSHALL",))]})
    shown = stage.show()
    assert shown.envelope["instances"]["town1-2"]["state"] == "suspect"
    assert "town1: 1 of 2 agrees; town1-2 did not answer" in shown.lines
    assert shown.status is ExitStatus.PARTIAL


def test_a_stale_one_answers_with_its_age_unless_its_age_is_forbidden(stage: Stage) -> None:
    stage.load(others=[program(LONGER)])
    down = peers.info(master_link_status="down\r\nmaster_link_down_since_seconds:7200")
    with peers.Peer(peers.proxy(stage.world.replica("town1-2").endpoint, down)) as peer:
        stage.ports["town1-2"] = peer.endpoint.port
        shown = stage.show()
        assert "town1, town2: 4 of 4 agree" in shown.lines
        assert "  town1-2: stale, 2 h 0 min old: the link to its master is down" in shown.lines
        assert shown.envelope["instances"]["town1-2"] == {"state": "stale", "age": 7200.0, "error": None}
        assert shown.status is ExitStatus.DONE
        young = stage.show(max_age="3600")
        assert young.status is ExitStatus.TOO_OLD
        assert "town1: 1 of 2 agrees; town1-2 did not answer" in young.lines
        assert young.envelope["instances"]["town1-2"]["error"].startswith("too-old: ")
        assert stage.show(max_age="3600", instances=["town1-2"]).status is ExitStatus.TOO_OLD


# --- garbage in Redis -------------------------------------------------------------------------------------------------


GARBAGE: Mapping[str, tuple[Command, str]] = {
    "a list under the key": ((0, ("LPUSH", program_key(DAY, "86"), "x")), "24112026:86 is no program: 'WRONGTYPE"),
    "a string under the key": ((0, ("SET", program_key(DAY, "86"), "x")), "24112026:86 is no program: 'WRONGTYPE"),
    "a member with no index": (
        (0, ("ZADD", program_key(DAY, "86"), START, "/opt/tsfiles/film_a.ts")),
        "entry '/opt/tsfiles/film_a.ts' has no index",
    ),
    "code for a member": (
        (0, ("ZADD", program_key(DAY, "86"), START, "__import__('os').abort()")),
        "entry \"__import__('os').abort()\" has no index",
    ),
    "an infinite score": (
        (0, ("ZADD", program_key(DAY, "86"), "+inf", "/opt/tsfiles/film_a.ts:9")),
        "starts at 'inf', which is no time of that day",
    ),
    "a score of no date": (
        (0, ("ZADD", program_key(DAY, "86"), "1e300", "/opt/tsfiles/film_a.ts:9")),
        "which is no time of that day",
    ),
    "a negative score": (
        (0, ("ZADD", program_key(DAY, "86"), "-5", "/opt/tsfiles/film_a.ts:9")),
        "starts at '-5', which is no time of that day",
    ),
    "bytes that are no text": (
        (0, ("ZADD", program_key(DAY, "86"), START, b"\xff\xfe\x1b[31m")),
        "has no index",
    ),
    "a duration in words": (files(jt="abc"), "jt.ts has the duration 'abc', which is no number of seconds"),
    "a duration that is nan": (files(jt="nan"), "jt.ts has the duration 'nan', which is no number of seconds"),
    "a duration below nothing": (files(jt="-1"), "jt.ts has the duration '-1', which is no number of seconds"),
    "a duration that is infinite": (files(jt="inf"), "jt.ts has the duration 'inf', which is no number"),
    "code for a duration": (
        files(jt="__import__('os').abort()"),
        "jt.ts has the duration \"__import__('os').abort()\", which is no number of seconds",
    ),
}


@pytest.mark.parametrize(("command", "says"), GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_is_reported_as_corrupt_and_the_rest_is_shown(stage: Stage, command: Command, says: str) -> None:
    both = [program(LONGER), program(LONGER, sid="86")]
    wrong_type = "86" in str(command[1][1]) and command[1][0] != "ZADD"
    stage.load(town1_2=[program(LONGER), *([] if wrong_type else [both[1]]), command], others=both)
    shown = stage.show(services=None)
    assert any(line.startswith("! corrupt on town1-2: ") and says in line for line in shown.lines)
    assert "\x1b" not in shown.text
    first, second = shown.programs
    assert [entry["media"] for entry in first["blocks"][0]["entries"]] == ["film_a.ts", "jt.ts", "film_b.ts"]
    assert [entry["media"] for entry in second["blocks"][0]["entries"]] == ["film_a.ts", "jt.ts", "film_b.ts"]
    assert any(says in line for line in second["corrupt"]["town1-2"])
    assert second["blocks"][0]["entries"][1]["duration"] == 1800  # the others measured it
    assert len(shown.rows) == 6
    assert shown.status is (ExitStatus.DIFFERENCE if wrong_type else ExitStatus.DONE)
    assert shown.result.gathered is not None
    assert all(answer.freshness.state is State.CURRENT for answer in shown.result.gathered.answers)


@pytest.mark.parametrize("value", ["1e300", "99999999999999", "253402300800"])
def test_a_duration_beyond_every_calendar_is_shown_without_an_end(stage: Stage, value: str) -> None:
    stage.load(others=[program(LONGER), files(film_b=value)])
    shown = stage.show()
    last = shown.blocks[0]["entries"][-1]
    assert (last["end"], last["duration"]) == (None, float(value))
    assert shown.row("film_b").split()[:3] == ["2", "20:00:00", "?"]
    assert shown.rows[-1]["end"] == ""


def test_the_sentinel_is_no_duration_and_the_file_is_there(stage: Stage) -> None:
    stage.load(others=[program(LONGER), files(film_b="3.14")])
    shown = stage.show()
    last = shown.blocks[0]["entries"][-1]
    assert (last["end"], last["duration"], last["absent"], len(last["present"])) == (None, None, [], 4)
    assert "corrupt" not in shown.text


def test_other_keys_in_both_databases_are_no_ones_business(stage: Stage) -> None:
    clutter: list[Command] = [(0, ("HSET", "users", "a", "b")), (1, ("LPUSH", "cache", "x")), (1, ("SET", "odd", "y"))]
    stage.load(others=[program(LONGER), *clutter])
    shown = stage.show()
    assert shown.status is ExitStatus.DONE
    assert shown.files == ["film_a", "jt", "film_b"]


def test_names_that_would_move_the_cursor_are_shown_as_what_they_are(stage: Stage) -> None:
    stage.load(others=[(0, ("ZADD", program_key(DAY, "85"), START, b"/opt/\x1b[2J\xff\n.ts:0"))])
    shown = stage.show()
    assert "\\x1b[2J\\udcff\\n" in shown.text
    assert "\x1b" not in shown.text
    assert shown.rows[0]["media"] == "\\x1b[2J\\udcff\\n.ts"
    assert shown.status is ExitStatus.DONE


# --- the three forms --------------------------------------------------------------------------------------------------


def test_text_json_and_csv_agree_on_the_entries(stage: Stage) -> None:
    gone: Command = (1, ("DEL", "jt.ts"))
    stage.load(town1_2=[program(LONGER), gone], others=[program(LONGER), program(SHORTER, sid="86")])
    shown = stage.show(services=None)
    entries = [
        (one["service_id"], entry) for one in shown.programs for block in one["blocks"] for entry in block["entries"]
    ]
    assert len(entries) == 5
    table = [line.split() for line in shown.lines if re.match(r"\s*\d+  \d\d:\d\d:\d\d ", line)]
    for (sid, entry), row, cells in zip(entries, shown.rows, table, strict=True):
        assert (row["service_id"], row["index"], row["media"]) == (sid, str(entry["index"]), entry["media"])
        assert (row["start"], row["end"]) == (entry["start"], entry["end"])
        assert (float(row["length"]), float(row["duration"])) == (entry["length"], entry["duration"])
        assert row["absent"].split() == entry["absent"]
        assert cells[:3] == [row["index"], row["start"][11:19], row["end"][11:19]]
        assert cells[4] == entry["media"].removesuffix(".ts")
        assert [cell.rstrip(",") for cell in cells[5:]] == entry["absent"]
    assert {row["day"] for row in shown.rows} == {day_text(DAY)}


# --- as a process -----------------------------------------------------------------------------------------------------


def test_one_replica_stopped_and_one_frozen_still_answers_in_time_and_names_them(stage: Stage) -> None:
    stage.load(others=[program(LONGER, day=date(2040, 1, 2))])
    whole = run("program", "show", "02012040", "-s", "85", config=stage.config)
    assert (whole.status, whole.err) == (0, "")
    stopped, frozen = stage.world.replica("town1-2"), stage.world.replica("town2-1")
    stage.world.freeze(frozen)
    stage.world.kill(stopped)
    peers.wait_until_gone(stopped.pid)
    ran = run("program", "show", "02012040", "-s", "85", "--timeout", "0.3", config=stage.config)
    assert ran.status == 4
    assert ran.err == ""
    assert "town1-2: replica 127.0.0.1:" in ran.out
    assert "refused the connection (is redis-server@town1-2 running?)" in ran.out
    assert f"town2-1: replica 127.0.0.1:{frozen.port} timed out after 0.3 s" in ran.out
    assert ran.out.count("town1-2: replica") == ran.out.count("town2-1: replica") == 1
    table = [line for line in whole.out.splitlines() if re.match(r"\s*\d+  \d\d:", line)]
    assert len(table) == 3
    assert [line for line in ran.out.splitlines() if re.match(r"\s*\d+  \d\d:", line)] == table
    sister = run("program", "02012040", "--service_id", "85", "--timeout", "0.3", config=stage.config)
    ageless = [re.sub(r"oldest \d+ s", "", said) for said in (sister.out, ran.out)]
    assert (sister.status, ageless[0]) == (4, ageless[1])


def test_reading_writes_nothing(stage: Stage) -> None:
    stage.load(others=[program(LONGER)])
    before = [tell(stage.world.master(fqdn).endpoint, [(0, ("INFO", "replication"))])[0] for fqdn in ALL]
    stage.show(services=None)
    after = [tell(stage.world.master(fqdn).endpoint, [(0, ("INFO", "replication"))])[0] for fqdn in ALL]
    offsets = [re.findall(rb"master_repl_offset:(\d+)", said)[0] for said in (*before, *after)]
    assert offsets[:4] == offsets[4:]
