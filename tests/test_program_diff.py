"""``program diff`` on real servers: those that say the same folded, what the odd ones add, drop and move."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import peers
import pytest
from reading import DAY, START, Entries, Stage, clock, files, held
from stages import Shown

from dvbboxes.demo.world import World
from dvbboxes.errors import ExitStatus
from dvbboxes.wire import program_key

EVENING = (("film_a", "07:30"), ("jt", "19:00"), ("film_b", "20:00"), ("clips", "23:00"))
FILES = files(film_a=16200, jt=1800, film_b=7200.5, clips=3600)


@pytest.fixture
def stage(fleet: World, tmp_path: Path) -> Stage:
    return Stage(fleet, tmp_path)


def edits(shown: Shown, group: int = 1) -> list[tuple[str, str, float]]:
    found = shown.data["programs"][0]["groups"][group]["edits"]
    return [(edit["change"], edit["media"], edit["shift"]) for edit in found]


def test_those_that_say_the_same_are_one_line(stage: Stage) -> None:
    stage.load(others=[held(EVENING), FILES])
    shown = stage.ask("program diff", "24112026", services=["85"])
    assert shown.lines[0] == "85 Ma chaine  Tue 24-11-2026 07:30 -> Wed 25-11 07:30"
    assert shown.lines[1] == ("4 instances: town1-1, town1-2, town2-1, town2-2 agree: 4 files, the last at 23:00:00")
    assert (shown.data["programs"][0]["agreed"], shown.rows) == (True, [])
    assert shown.status is ExitStatus.DONE


def test_what_most_hold_comes_first_and_the_odd_ones_are_shown_as_what_they_change(stage: Stage) -> None:
    odd: Entries = [("film_a", "07:30"), ("jt", clock("19:00") + 1), ("clips", "20:30"), ("fin", "23:30")]
    stage.load(town1_1=[held(odd)], others=[held(EVENING)])
    shown = stage.ask("program diff", "24112026", services=["85"])
    assert [group["instances"] for group in shown.data["programs"][0]["groups"]] == [
        ["town1-2", "town2-1", "town2-2"],
        ["town1-1"],
    ]
    assert edits(shown, 0) == []
    assert edits(shown) == [
        ("moved", "jt.ts", 1.0),
        ("dropped", "film_b.ts", 0.0),
        ("moved", "clips.ts", -9000.0),
        ("added", "fin.ts", 0.0),
    ]
    assert "  ~  1  19:00:01  jt      was at 19:00:00 (+0:00:01)" in shown.lines
    assert "  -  2  20:00:00  film_b" in shown.lines
    assert "  ~  2  20:30:00  clips   was at 23:00:00 (-2:30:00)" in shown.lines
    assert "  +  3  23:30:00  fin" in shown.lines
    assert "1 instance: town1-1  4 files, the last at 23:30:00  +1 -1 ~2" in shown.lines
    assert shown.status is ExitStatus.DIFFERENCE


def test_a_fraction_of_a_second_is_a_difference_and_said(stage: Stage) -> None:
    moved: Entries = [("film_a", "07:30"), ("jt", clock("19:00") + 0.25), *EVENING[2:]]
    stage.load(town2_2=[held(moved)], others=[held(EVENING)])
    shown = stage.ask("program diff", "24112026", services=["85"])
    assert edits(shown) == [("moved", "jt.ts", 0.25)]
    assert "  ~  1  19:00:00  jt  was at 19:00:00 (+0.250 s)" in shown.lines


def test_a_run_that_only_starts_later_is_one_line_in_the_text_and_whole_in_the_rest(stage: Stage) -> None:
    later = [(name, clock(str(at)) + 90) for name, at in EVENING]
    stage.load(town1_2=[held(later)], others=[held(EVENING)])
    shown = stage.ask("program diff", "24112026", services=["85"])
    assert "  ~  0..3  07:31:30  4 files, film_a ...  all moved by +0:01:30" in shown.lines
    assert edits(shown) == [("moved", f"{name}.ts", 90.0) for name, _ in EVENING]
    assert [(row["media"], row["shift"]) for row in shown.rows] == [(f"{name}.ts", "90.0") for name, _ in EVENING]


def test_the_same_files_and_starts_at_other_positions_are_said(stage: Stage) -> None:
    key, pairs = program_key(DAY, "85"), (START, "/opt/tsfiles/film_a.ts:0", clock("20:00"), "/opt/tsfiles/jt.ts:7")
    stage.load(town1_1=[(0, ("ZADD", key, *pairs))], others=[held([("film_a", START), ("jt", "20:00")])])
    shown = stage.ask("program diff", "24112026", services=["85"])
    assert "1 instance: town1-1  2 files, the last at 20:00:00  the same, numbered otherwise" in shown.lines
    assert [group["renumbered"] for group in shown.data["programs"][0]["groups"]] == [False, True]
    assert shown.status is ExitStatus.DIFFERENCE


def test_another_folder_is_the_instances_own_business(stage: Stage) -> None:
    stage.load(
        town1_1=[(0, ("ZADD", program_key(DAY, "85"), START, "/mnt/films/film_a.ts:0"))],
        others=[held([("film_a", START)])],
    )
    assert stage.ask("program diff", "24112026", services=["85"]).status is ExitStatus.DONE


def test_one_that_holds_nothing_drops_everything_and_one_that_is_silent_nothing(stage: Stage) -> None:
    stage.load(town1_1=[FILES], others=[held(EVENING)])
    with peers.nobody() as nowhere:
        stage.ports["town2-2"] = nowhere.port
        shown = stage.ask("program diff", "24112026", services=["85"])
    assert "1 instance: town1-1  nothing scheduled  +0 -4 ~0" in shown.lines
    assert [change for change, _, _ in edits(shown)] == ["dropped"] * 4
    assert shown.data["programs"][0]["silent"] == ["town2-2"]
    assert not any("town2-2" in row["instances"] for row in shown.rows)
    assert shown.status is ExitStatus.PARTIAL


def test_ties_go_to_the_program_that_would_be_shown(stage: Stage) -> None:
    longer = [held([*EVENING, ("fin", "23:30")])]
    stage.load(town2_1=longer, town2_2=longer, others=[held(EVENING)])
    groups = stage.ask("program diff", "24112026", services=["85"]).data["programs"][0]["groups"]
    assert [group["instances"] for group in groups] == [["town2-1", "town2-2"], ["town1-1", "town1-2"]]


def test_a_channel_that_few_carry_is_compared_over_those_alone(stage: Stage) -> None:
    stage.settings = {"town1-2": "channels=86", "town2-2": "channels=86"}
    stage.load(town1_2=[held(EVENING[:1])], town2_2=[FILES], others=[held(EVENING)])
    shown = stage.ask("program diff", "24112026", services=["85"])
    assert shown.lines[1].startswith("2 instances: town1-1, town2-1 agree")
    assert shown.status is ExitStatus.DONE
    alone = stage.ask("program diff", "24112026", services=["85"], instances=["town1-2"])
    assert "no instance asked carries it" in alone.lines
    assert alone.data["programs"][0]["agreed"] is None


def test_one_in_another_zone_differs_by_the_hours_between_them(stage: Stage) -> None:
    """What Redis holds are moments: the same listing laid out in another zone is another program, to the hour."""
    east = ZoneInfo("Indian/Mauritius")
    stage.settings = {"town2-2": f"timezone={east.key}"}
    stage.load(town2_2=[held(EVENING, zone=east)], others=[held(EVENING)])
    shown = stage.ask("program diff", "24112026", services=["85"])
    assert "  ~  0..3  06:30:00  4 files, film_a ...  all moved by -1:00:00" in shown.lines


def test_the_day_the_clocks_change_keeps_its_25_hours(stage: Stage) -> None:
    paris, day = ZoneInfo("Europe/Paris"), date(2026, 10, 24)
    stage.zone = paris.key
    long_day = [("film_a", "07:30"), ("jt", "07:00")]
    stage.load(others=[held(long_day, day=day, zone=paris)])
    shown = stage.ask("program diff", "24102026", services=["85"])
    assert shown.lines[0].endswith("Sat 24-10-2026 07:30 -> Sun 25-10 07:30")
    channel = shown.result.view.channels[0]  # type: ignore[attr-defined]  # it is a ProgramDiff
    assert channel.window[1] - channel.window[0] == 25 * 3600


def test_names_from_outside_never_move_the_cursor(stage: Stage) -> None:
    evil = [(f"\x1b[2J{n}", clock("20:00") + 60 * n) for n in range(3)]
    later = [(name, at + 5) for name, at in evil]
    stage.load(town1_1=[held(later)], others=[held(evil)])
    shown = stage.ask("program diff", "24112026", services=["85"])
    assert "all moved by +0:00:05" in shown.text
    assert not any("\x1b" in shown.render(form) for form in ("text", "csv", "json"))


def test_corrupt_entries_are_passed_over_and_named(stage: Stage) -> None:
    stage.load(town1_1=[held(EVENING), (0, ("ZADD", program_key(DAY, "85"), "5", "nonsense"))], others=[held(EVENING)])
    shown = stage.ask("program diff", "24112026", services=["85"])
    assert any(line.startswith("! corrupt on town1-1 (passed over): entry 'nonsense'") for line in shown.lines)
    assert list(shown.data["programs"][0]["corrupt"]) == ["town1-1"]
    assert shown.status is ExitStatus.DONE


def test_several_days_and_channels_each_have_their_part(stage: Stage) -> None:
    stage.load(others=[held(EVENING), held(EVENING[:2], sid="86"), held(EVENING[:1], day=date(2026, 11, 25))])
    shown = stage.ask("program diff", "24/11/2026..25/11/2026")
    found = [(one["day"], one["service_id"], one["groups"][0]["files"]) for one in shown.data["programs"]]
    assert found == [("24112026", "85", 4), ("24112026", "86", 2), ("25112026", "85", 1), ("25112026", "86", 0)]


def test_when_nobody_answers_nothing_is_compared(stage: Stage) -> None:
    with peers.nobody() as nowhere:
        stage.ports["town1-1"] = nowhere.port
        shown = stage.ask("program diff", "24112026", instances=["town1-1"])
    assert shown.lines[0] == "0/1 instances answered; missing: 1"
    assert (shown.rows, shown.data["programs"][0]["agreed"]) == ([], None)
    assert shown.status is ExitStatus.NO_ANSWER
