"""``program simulate``: the playlist dvbbox makes of a program, by the rules of SPEC 2."""

from __future__ import annotations

from datetime import date, time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stages import ZONE, Shown, Stage

from dvbboxes.demo.world import World
from dvbboxes.errors import ExitStatus, UsageError
from dvbboxes.model import Duration, Slot
from dvbboxes.schedule import moment_of_day, window
from dvbboxes.simulate import Launch, launch, repeats
from dvbboxes.wire import Command, decode_duration, program_key

DAY = date(2026, 11, 24)
WINDOW = window(DAY, ZONE, time(7, 30))
START = WINDOW[0]
HOUR = 3600.0


def slots(*entries: tuple[str, float]) -> tuple[Slot, ...]:
    """Return a program of (media, hours after 07:30)."""
    return tuple(Slot(n, f"{name}.ts", "/opt/tsfiles/", START + at * HOUR) for n, (name, at) in enumerate(entries))


def own(**values: str) -> dict[str, Duration]:
    return {f"{name}.ts": decode_duration(value.encode()) for name, value in values.items()}


def played(made: Launch) -> list[tuple[str, int, float | None]]:
    """Return (media, times, hours after 07:30 at which it starts)."""
    return [
        (track.media[:-3], track.times, None if track.start is None else (track.start - START) / HOUR)
        for track in made.tracks
    ]


# --- the rules --------------------------------------------------------------------------------------------------------


def test_a_file_that_fills_its_time_is_played_once_and_the_last_is_stretched_to_0729() -> None:
    made = launch(slots(("a", 0), ("b", 10)), own(a="36000", b="7200"), {}, WINDOW)
    assert played(made) == [("a", 1, 0), ("b", 7, 10)]  # 13 h 59 min by files of 2 h: round(6.99)
    assert made.tracks[-1].meant_end == START + 86340
    assert made.end == START + 24 * HOUR


@pytest.mark.parametrize(("gap", "times"), [(1.0, 1), (1.49, 1), (1.5, 2), (2.0, 2), (2.49, 2), (2.5, 3), (0.5, 1)])
def test_a_gap_has_the_file_repeated_round_of_the_interval_less_one_times(gap: float, times: int) -> None:
    made = launch(slots(("a", 0), ("b", gap), ("b", 5)), own(a="3600", b="3600"), {}, WINDOW)
    assert made.tracks[0].times == times
    assert made.tracks[1].start == START + times * HOUR


def test_what_is_too_long_moves_all_that_follows() -> None:
    made = launch(slots(("a", 0), ("b", 1), ("c", 2)), own(a="5400", b="3600", c="3600"), {}, WINDOW)
    assert [track.shift for track in made.tracks] == [0, 1800, 1800]


def test_a_missing_file_anywhere_in_what_is_left_stops_the_launch() -> None:
    program = slots(("a", 0), ("gone", 1), ("c", 2))
    failed = launch(program, own(a="3600", c="3600"), {}, WINDOW)
    assert failed.failure is not None and (failed.failure.media, failed.failure.index) == ("gone.ts", 1)
    assert failed.end is None
    # ... and once it is passed, it stops nothing.
    assert launch(program, own(a="3600", c="3600"), {}, WINDOW, START + 2.5 * HOUR).failure is None


def test_no_length_and_an_unreadable_one_stop_it_as_well() -> None:
    for value in ("0", "nonsense"):
        assert launch(slots(("a", 0), ("b", 1)), own(a=value, b="60"), {}, WINDOW).failure is not None


def test_the_sentinel_is_calculated_with_and_the_file_repeated_hundreds_of_times() -> None:
    made = launch(slots(("a", 0), ("b", 1)), own(a="3.14", b="3600"), {"a.ts": 3600.0}, WINDOW)
    assert made.tracks[0].times == 1146  # round(3600 / 3.14)
    assert made.tracks[1].shift == 1145 * HOUR
    unknown = launch(slots(("a", 0), ("b", 1)), own(a="3.14", b="3600"), {}, WINDOW)
    assert unknown.tracks[1].start is None and unknown.end is None


def test_an_entry_whose_start_the_next_one_shares_is_stretched_to_0729_too() -> None:
    program = (Slot(0, "b.ts", "/", START), Slot(1, "a.ts", "/", START), Slot(2, "c.ts", "/", START + HOUR))
    made = launch(program, own(a="3600", b="3600", c="3600"), {}, WINDOW)
    # Equal starts are walked in member order: a:1 before b:0.
    assert [(track.media, track.times) for track in made.tracks] == [("a.ts", 24), ("b.ts", 1), ("c.ts", 23)]


def test_joining_begins_inside_the_file_on_air_and_leaves_out_what_was_before() -> None:
    made = launch(
        slots(("a", 0), ("b", 2), ("c", 3)), own(a="7200", b="3600", c="3600"), {}, WINDOW, START + 2.25 * HOUR
    )
    assert played(made)[:2] == [("b", 1, 2.25), ("c", 21, 3.0)]
    assert made.tracks[0].shift == 0


def test_a_repeat_goes_back_to_where_it_was_joined() -> None:
    made = launch(slots(("a", 0), ("b", 2)), own(a="3600", b="3600"), {}, WINDOW, START + 0.5 * HOUR)
    assert made.tracks[0].times == 2
    assert made.tracks[1].start == START + 1.5 * HOUR  # twice the half hour that was left


def test_a_program_that_begins_late_is_played_from_the_launch_on() -> None:
    made = launch(slots(("a", 1), ("b", 2)), own(a="3600", b="3600"), {}, WINDOW)
    assert [track.shift for track in made.tracks] == [-HOUR, -HOUR]


@given(st.floats(1, 90000), st.floats(1, 90000))
def test_repeated_or_not_the_time_filled_is_within_half_a_file_of_the_time_given(
    interval: float, length: float
) -> None:
    times = 1 + repeats(interval, length)
    assert times == 1 if length >= interval else abs(times * length - interval) <= length / 2 + 1e-6


# --- the command on real servers --------------------------------------------------------------------------------------


def program(*entries: tuple[str, str]) -> Command:
    flat: list[Any] = []
    for n, (name, at) in enumerate(entries):
        hour, minute = at.split(":")
        flat += [moment_of_day(DAY, ZONE, time(7, 30), time(int(hour), int(minute))), f"/opt/tsfiles/{name}.ts:{n}"]
    return (0, ("ZADD", program_key(DAY, "85"), *flat))


@pytest.fixture
def boxes(fleet: World, tmp_path: Path) -> Stage:
    entries = program(("film_a", "07:30"), ("jt", "12:00"), ("film_b", "20:00"))
    whole: Command = (1, ("MSET", "film_a.ts", "16200", "jt.ts", "28800", "film_b.ts", "41340"))
    fleet.load({fqdn: [entries, whole] for fqdn in fleet.layout.fqdns})
    fleet.load({"town1-2": [(1, ("DEL", "jt.ts"))], "town2-2": [(1, ("SET", "film_a.ts", "8100"))]})
    return Stage(fleet, tmp_path, now=START - HOUR)


def ask(boxes: Stage, joining: str | None = None, **options: Any) -> Shown:
    return boxes.run("program simulate", "24112026", joining=joining, **({"services": ["85"]} | options))


def test_boxes_are_folded_by_what_they_play_and_the_three_forms_agree(boxes: Stage) -> None:
    result = ask(boxes)
    assert result.status is ExitStatus.DIFFERENCE
    said = result.text
    assert "town1-1, town2-1: as meant" in said
    assert "town1-2: THE LAUNCH FAILS, the channel is black" in said
    assert "entry 1, jt (meant at 12:00:00): the file is absent" in said
    assert "repeated 1 times" in said
    found = result.data
    assert [(box["instances"], box["as_meant"]) for box in found["boxes"]] == [
        (["town1-1", "town2-1"], True),
        (["town1-2"], False),
        (["town2-2"], False),
    ]
    assert found["boxes"][1]["failure"]["media"] == "jt.ts" and found["boxes"][1]["tracks"] == []
    assert [track["times"] for track in found["boxes"][2]["tracks"]] == [2, 1, 1]
    rows = result.rows
    assert [(row["instances"], row["media"], row["times"]) for row in rows] == [
        ("town1-1 town2-1", "film_a.ts", "1"),
        ("town1-1 town2-1", "jt.ts", "1"),
        ("town1-1 town2-1", "film_b.ts", "1"),
        ("town1-2", "jt.ts", ""),
        ("town2-2", "film_a.ts", "2"),
        ("town2-2", "jt.ts", "1"),
        ("town2-2", "film_b.ts", "1"),
    ]


def test_a_box_that_plays_what_was_meant_is_a_yes_and_one_with_nothing_a_no(boxes: Stage) -> None:
    assert ask(boxes, instances=["town1-1"]).status is ExitStatus.DONE
    assert ask(boxes, instances=["town1-2"], joining="20:10").status is ExitStatus.DONE
    empty = ask(boxes, services=["86"], instances=["town1-1"])
    assert empty.status is ExitStatus.DIFFERENCE
    assert "town1-1: nothing scheduled" in empty.text


def test_a_launch_after_midnight_is_another_days(boxes: Stage) -> None:
    with pytest.raises(UsageError, match="from 07:30 to 23:59"):
        ask(boxes, joining="02:00")
    with pytest.raises(UsageError, match="one day and one channel"):
        ask(boxes, services=None)
