"""``program now`` on real servers: what should be on air, since, until, next, and whether the file is there."""

from __future__ import annotations

import re
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import peers
import pytest
from reading import DAY, Entries, Stage, clock, files, held
from stages import Shown

from dvbboxes.demo.world import World
from dvbboxes.errors import ExitStatus

EVENING = (("film_a", "07:30"), ("jt", "19:00"), ("film_b", "20:00"), ("clips", "01:00"))
FILES = files(film_a=41400, jt=3600, film_b=18000, clips=3600)


@pytest.fixture
def stage(fleet: World, tmp_path: Path) -> Stage:
    return Stage(fleet, tmp_path)


def on_air(shown: Shown, channel: int = 0) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shown.data["channels"][channel]["on_air"]
    return found


def test_what_is_on_air_since_when_until_when_and_what_follows(stage: Stage) -> None:
    stage.load(others=[held(EVENING), FILES])
    shown = stage.ask("program now", services=["85"], now=clock("19:20"))
    assert shown.lines[0] == "Tue 24-11-2026 19:20:00"
    row = re.split(r"\s{2,}", shown.lines[2])
    assert row == ["85 Ma chaine", "jt", "19:00:00", "20:00:00", "film_b", "4: town1, town2"]
    (group,) = on_air(shown)
    assert (group["media"], group["next"], group["last"]) == ("jt.ts", "film_b.ts", False)
    assert (group["since"], group["until"]) == ("2026-11-24T19:00:00+03:00", "2026-11-24T20:00:00+03:00")
    assert (len(group["present"]), group["absent"]) == (4, [])
    assert shown.lines[-1].endswith("The schedule, not the transmission.")
    assert shown.status is ExitStatus.DONE


@pytest.mark.parametrize(
    ("at", "media"),
    [("07:30", "film_a"), ("18:59", "film_a"), ("19:00", "jt"), ("00:59", "film_b"), ("01:00", "clips")],
)
def test_an_item_is_on_air_from_its_very_start(stage: Stage, at: str, media: str) -> None:
    stage.load(others=[held(EVENING), FILES])
    assert on_air(stage.ask("program now", services=["85"], now=clock(at)))[0]["media"] == f"{media}.ts"


def test_before_half_past_seven_the_day_on_air_is_yesterdays(stage: Stage) -> None:
    stage.load(others=[held(EVENING), held([("fin", "07:30")], day=date(2026, 11, 25)), FILES])
    shown = stage.ask("program now", services=["85"], now=clock("07:29"))
    assert shown.lines[0].startswith("Wed 25-11-2026 07:29")
    (group,) = on_air(shown)
    assert (group["media"], group["last"]) == ("clips.ts", True)
    assert "! 85: clips is over since 02:00:00: dvbbox repeats it (4 instances)" in shown.lines
    assert on_air(stage.ask("program now", services=["85"], now=clock("07:30", date(2026, 11, 25))))[0]["media"] == (
        "fin.ts"
    )


def test_of_items_that_share_a_start_the_last_is_on_air(stage: Stage) -> None:
    """The others had no duration when they were scheduled: their files were missing."""
    stage.load(others=[held([("film_a", "07:30"), ("gone", "19:00"), ("jt", "19:00"), ("film_b", "20:00")]), FILES])
    (group,) = on_air(stage.ask("program now", services=["85"], now=clock("19:30")))
    assert (group["media"], group["next"]) == ("jt.ts", "film_b.ts")


def test_instances_that_should_play_something_else_are_named(stage: Stage) -> None:
    stage.load(town2_1=[held([("film_a", "07:30"), ("clips", "19:00")]), FILES], others=[held(EVENING), FILES])
    shown = stage.ask("program now", services=["85"], now=clock("19:20"))
    assert [(group["media"], len(group["instances"])) for group in on_air(shown)] == [("jt.ts", 3), ("clips.ts", 1)]
    assert "! 85: town2-1 should play clips" in shown.lines
    assert shown.status is ExitStatus.DIFFERENCE


def test_a_file_that_is_not_there_is_said_with_who_has_a_copy(stage: Stage) -> None:
    stage.load(town1_2=[held(EVENING), FILES, (1, ("DEL", "jt.ts"))], others=[held(EVENING), FILES])
    shown = stage.ask("program now", services=["85"], now=clock("19:20"))
    assert "! 85: jt is not on town1-2 (a copy is on town1-1, town2-1 and 1 more)" in shown.lines
    assert on_air(shown)[0]["absent"] == ["town1-2"]
    assert shown.rows[0]["absent"] == "town1-2"
    assert shown.status is ExitStatus.DIFFERENCE


def test_a_file_on_one_that_does_not_answer_is_unknown_not_missing(stage: Stage) -> None:
    stage.load(others=[held(EVENING), FILES])
    with peers.nobody() as nowhere:
        stage.ports["town1-2"] = nowhere.port
        shown = stage.ask("program now", services=["85"], now=clock("19:20"))
    (group,) = on_air(shown)
    assert "town1-2" not in [*group["instances"], *group["present"], *group["absent"]]
    assert shown.data["channels"][0]["silent"] == ["town1-2"]
    assert shown.status is ExitStatus.PARTIAL


def test_a_channel_without_a_program_has_nothing_on_air(stage: Stage) -> None:
    stage.load(others=[held(EVENING), FILES])
    shown = stage.ask("program now", services=["86"], now=clock("19:20"))
    assert "NOTHING" in shown.lines[2]
    assert on_air(shown)[0]["media"] is None
    assert shown.status is ExitStatus.DIFFERENCE


def test_a_program_that_has_not_begun_says_when_it_does(stage: Stage) -> None:
    stage.load(others=[held([("film_a", "09:00")]), FILES])
    shown = stage.ask("program now", services=["85"], now=clock("08:00"))
    assert shown.lines[2].split()[3:6] == ["NOTHING", "begins", "09:00:00"]
    assert on_air(shown)[0]["next"] == "film_a.ts"


def test_each_instances_day_is_counted_in_its_own_zone(stage: Stage) -> None:
    """At 07:10 here the day in Mauritius, an hour ahead, has begun."""
    east = ZoneInfo("Indian/Mauritius")
    stage.settings = {"town2-1": f"timezone={east.key}", "town2-2": f"timezone={east.key}"}
    tomorrow = date(2026, 11, 25)
    theirs = [held(EVENING, zone=east), held([("fin", "07:30")], day=tomorrow, zone=east), FILES]
    ours = [held(EVENING), held([("fin", "07:30")], day=tomorrow), FILES]
    stage.load(town2_1=theirs, town2_2=theirs, others=ours)
    shown = stage.ask("program now", services=["85"], now=clock("07:10"))
    assert [(group["media"], group["instances"]) for group in on_air(shown)] == [
        ("clips.ts", ["town1-1", "town1-2"]),
        ("fin.ts", ["town2-1", "town2-2"]),
    ]


@pytest.mark.parametrize(
    ("day", "moment", "media"),
    [
        # 02:30 comes twice in the night of 24-10: film_b begins at the first, jt at the second.
        (date(2026, 10, 24), datetime(2026, 10, 25, 2, 40, fold=0), "film_b"),
        (date(2026, 10, 24), datetime(2026, 10, 25, 2, 40, fold=1), "jt"),
        (date(2026, 10, 24), datetime(2026, 10, 25, 7, 29), "jt"),
        # 02:30 does not come in the night of 28-03.
        (date(2026, 3, 28), datetime(2026, 3, 29, 3, 10), "film_b"),
    ],
)
def test_the_nights_the_clocks_change(stage: Stage, day: date, moment: datetime, media: str) -> None:
    paris = ZoneInfo("Europe/Paris")
    stage.zone = paris.key
    first = datetime(day.year, day.month, day.day + 1, 2, 30, fold=0, tzinfo=paris).timestamp()
    second = datetime(day.year, day.month, day.day + 1, 2, 30, fold=1, tzinfo=paris).timestamp()
    starts: Entries = [("film_a", "07:30"), ("film_b", min(first, second)), ("jt", max(first, second))]
    stage.load(others=[held(starts, day=day, zone=paris), FILES])
    shown = stage.ask("program now", services=["85"], now=moment.replace(tzinfo=paris).timestamp())
    assert on_air(shown)[0]["media"] == f"{media}.ts"


def test_a_channel_that_few_carry_is_nobody_elses_business(stage: Stage) -> None:
    stage.settings = dict.fromkeys(("town1-1", "town1-2"), "channels=86")
    stage.load(town2_1=[held(EVENING), FILES], town2_2=[held(EVENING), FILES], others=[held(EVENING, sid="86"), FILES])
    shown = stage.ask("program now", services=["85"], now=clock("19:20"))
    assert on_air(shown)[0]["instances"] == ["town2-1", "town2-2"]
    assert shown.status is ExitStatus.DONE
    none = stage.ask("program now", services=["85"], towns=["town1"], now=clock("19:20"))
    assert "no instance asked carries it" in none.lines[2]


def test_the_sentinel_and_a_corrupt_duration_are_files_that_are_there(stage: Stage) -> None:
    stage.load(
        town1_1=[held(EVENING), FILES, files(jt="3.14")],
        town1_2=[held(EVENING), FILES, files(jt="__import__('os')")],
        others=[held(EVENING), FILES],
    )
    (group,) = on_air(stage.ask("program now", services=["85"], now=clock("19:20")))
    assert (group["absent"], group["file_end"]) == ([], "2026-11-24T20:00:00+03:00")


def test_nobody_answers(stage: Stage) -> None:
    with peers.nobody() as nowhere:
        stage.ports["town1-1"] = nowhere.port
        shown = stage.ask("program now", instances=["town1-1"], now=clock("19:20", DAY))
    assert shown.lines[0] == "0/1 instances answered; missing: 1"
    assert shown.status is ExitStatus.NO_ANSWER
