"""``program list`` on real servers: which days and channels exist, who holds them, until when."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import peers
import pytest
from reading import DAY, Stage, clock, files, held
from stages import Shown

from dvbboxes.demo.world import World
from dvbboxes.errors import ExitStatus
from dvbboxes.render.style import Style
from dvbboxes.wire import Command, day_text, program_key

NOW = clock("12:00")
DURATIONS = files(film_a=3600, jt=1800, film_b=5400)


@pytest.fixture
def stage(fleet: World, tmp_path: Path) -> Stage:
    return Stage(fleet, tmp_path)


def run_of(*offsets: int, sid: str = "85") -> list[Command]:
    """Return the commands for programs on days counted from the day on air; each ends at 02:30."""
    days = [DAY + timedelta(days=n) for n in offsets]
    return [held([("film_a", "07:30"), ("film_b", "01:00")], sid=sid, day=day) for day in days]


def channel(shown: Shown, number: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = shown.data["channels"][number]
    return found


def test_days_from_the_one_on_air_are_listed_and_the_earlier_counted(stage: Stage) -> None:
    stage.load(others=[*run_of(-2, -1, 0, 1, 2), *run_of(0, 1, sid="86"), DURATIONS])
    shown = stage.ask("program list", now=NOW)
    assert shown.data["days"] == [day_text(DAY + timedelta(days=n)) for n in range(3)]
    assert shown.data["earlier_days"] == 2
    assert "2 earlier days held too" in shown.lines
    assert shown.status is ExitStatus.DONE
    assert [(row["day"], row["service_id"], row["held"]) for row in shown.rows][-1] == ("26112026", "85", "4")


def test_days_that_are_the_same_are_one_line_and_a_gap_parts_them(stage: Stage) -> None:
    stage.load(others=[*run_of(0, 1, 2, 5), DURATIONS])
    shown = stage.ask("program list", services=["85"], now=NOW)
    assert shown.lines[1].split() == ["Tue", "24-11-2026", "..", "Thu", "26-11-2026", "4"]
    assert shown.lines[2].split() == ["Sun", "29-11-2026", "4"]


def test_scheduled_until_the_end_of_the_last_day_before_a_gap(stage: Stage) -> None:
    stage.load(others=[*run_of(0, 1, 2, 5), DURATIONS])
    shown = stage.ask("program list", services=["85"], now=NOW)
    assert "85 Ma chaine: scheduled until Fri 27-11-2026 02:30" in shown.lines
    assert channel(shown)["until"][0]["moment"] == "2026-11-27T02:30:00+03:00"


def test_one_that_holds_fewer_days_is_named_with_its_own_end(stage: Stage) -> None:
    stage.load(town2_1=[*run_of(0), DURATIONS], others=[*run_of(0, 1), DURATIONS])
    shown = stage.ask("program list", services=["85"], now=NOW)
    assert "3/4" in shown.lines[2]
    assert "85 Ma chaine: scheduled until Thu 26-11-2026 02:30; town2-1 until Wed 25-11-2026 02:30" in shown.lines
    assert [row["lacking"] for row in shown.rows] == ["", "town2-1"]
    assert shown.status is ExitStatus.DIFFERENCE


def test_nothing_today_is_scheduled_until_now(stage: Stage) -> None:
    stage.load(others=[*run_of(3), DURATIONS])
    shown = stage.ask("program list", services=["85"], now=NOW)
    assert "85 Ma chaine: scheduled until now: nothing today" in shown.lines
    assert channel(shown)["until"] == [{"moment": None, "instances": ["town1-1", "town1-2", "town2-1", "town2-2"]}]


def test_the_end_counts_with_the_largest_duration_known_whoever_lacks_the_file(stage: Stage) -> None:
    stage.load(
        town1_2=[*run_of(0), DURATIONS, (1, ("DEL", "film_b.ts"))],
        town2_2=[*run_of(0), DURATIONS, files(film_b="3.14")],
        others=[*run_of(0), DURATIONS],
    )
    until = channel(stage.ask("program list", services=["85"], now=NOW))["until"]
    assert [(one["moment"], len(one["instances"])) for one in until] == [("2026-11-25T02:30:00+03:00", 4)]


def test_an_end_beyond_every_calendar_is_shown_as_unknown(stage: Stage) -> None:
    stage.load(others=[*run_of(0), files(film_b="1e300")])
    shown = stage.ask("program list", services=["85"], now=NOW)
    assert "85 Ma chaine: scheduled until ?" in shown.lines
    assert channel(shown)["until"][0]["moment"] is None


def test_a_range_asks_for_its_days_alone_past_ones_too(stage: Stage) -> None:
    stage.load(others=[*run_of(-2, -1, 0, 1), DURATIONS])
    shown = stage.ask("program list", "22/11/2026..23/11/2026", services=["85"], now=NOW)
    assert shown.data["days"] == ["22112026", "23112026"]
    assert (shown.data["earlier_days"], "earlier" in shown.text) == (0, False)


def test_before_half_past_seven_the_list_begins_with_yesterdays_date(stage: Stage) -> None:
    stage.load(others=[*run_of(-1, 0), DURATIONS])
    shown = stage.ask("program list", services=["85"], now=clock("06:00", date(2026, 11, 23)))
    assert shown.data["day_on_air"] == "23112026"
    assert shown.data["days"] == ["23112026", "24112026"]


def test_other_keys_and_channels_that_nobody_configured_are_said(stage: Stage) -> None:
    clutter: list[Command] = [
        (0, ("HSET", "users", "a", "b")),
        (0, ("SET", b"\xff\xfe", "x")),
        (0, ("SET", "32132026:85", "no date")),
        held([("film_a", "07:30")], sid="99"),
    ]
    stage.load(town1_1=[*run_of(0), DURATIONS, *clutter], others=[*run_of(0), DURATIONS])
    shown = stage.ask("program list", now=NOW)
    assert "! channels in Redis that the configuration does not know: 99" in shown.lines
    assert "! keys that are no programs, passed over: town1-1 (3)" in shown.lines
    assert (shown.data["unknown_channels"], shown.data["passed_over"]) == (["99"], {"town1-1": 3})


def test_a_program_key_of_another_type_crashes_nothing(stage: Stage) -> None:
    stage.load(town1_1=[(0, ("SET", program_key(DAY, "85"), "x")), DURATIONS], others=[*run_of(0), DURATIONS])
    shown = stage.ask("program list", services=["85"], now=NOW)
    assert {(str(one["moment"])[:16], len(one["instances"])) for one in channel(shown)["until"]} == {
        ("None", 1),
        ("2026-11-25T02:30", 3),
    }


def test_one_that_does_not_answer_lacks_nothing(stage: Stage) -> None:
    stage.load(others=[*run_of(0), DURATIONS])
    with peers.nobody() as nowhere:
        stage.ports["town2-2"] = nowhere.port
        shown = stage.ask("program list", services=["85"], now=NOW)
    assert shown.rows[0]["lacking"] == ""
    assert (shown.rows[0]["held"], shown.rows[0]["asked"]) == ("3", "3")
    assert shown.status is ExitStatus.PARTIAL


def test_one_that_does_not_carry_a_channel_is_not_asked_for_it(stage: Stage) -> None:
    stage.settings = {"town1-2": "channels=86"}
    stage.load(town1_2=[DURATIONS], others=[*run_of(0), DURATIONS])
    shown = stage.ask("program list", services=["85"], now=NOW)
    assert channel(shown)["asked"] == ["town1-1", "town2-1", "town2-2"]
    assert shown.status is ExitStatus.DONE


def test_where_the_names_of_the_channels_do_not_fit_their_ids_stand_alone(stage: Stage) -> None:
    stage.load(others=[*run_of(0), DURATIONS])
    shown = stage.ask("program list", now=NOW)
    assert shown.lines[0].endswith("  85 Ma chaine  86 Deuxième chaîne")
    narrow = shown.render("text", Style(width=40)).splitlines()
    assert narrow[0].split() == ["day", "85", "86"]
    assert narrow[3].startswith("85 Ma chaine: scheduled until ")


def test_nothing_at_all_is_said(stage: Stage) -> None:
    stage.load(others=[DURATIONS])
    assert "no programs" in stage.ask("program list", now=NOW).lines
    stage.load(others=run_of(-3))
    assert "no programs from today on" in stage.ask("program list", now=NOW).lines
