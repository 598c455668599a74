"""The rules of a broadcast day (SPEC 4, 5): windows over clock changes, the cut, the choice, the layout."""

from __future__ import annotations

import random
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvbboxes import schedule
from dvbboxes.model import Slot

pytestmark = pytest.mark.pure

PARIS, TANA = ZoneInfo("Europe/Paris"), ZoneInfo("Indian/Antananarivo")
START = time(7, 30)
DAY = date(2026, 11, 23)
HOUR = 3600.0


def program(*starts: float) -> tuple[Slot, ...]:
    return tuple(Slot(n, f"film_{n}.ts", "/opt/tsfiles/", start) for n, start in enumerate(starts))


programs = st.lists(st.floats(0, 200_000), max_size=12).map(lambda starts: program(*starts))


@pytest.mark.parametrize(
    ("day", "hours"),
    [(date(2026, 3, 28), 23), (date(2026, 10, 24), 25), (date(2026, 3, 29), 24), (date(2026, 6, 1), 24)],
)
def test_a_day_is_23_or_25_hours_long_when_the_clocks_change(day: date, hours: int) -> None:
    start, end = schedule.window(day, PARIS, START)
    assert end - start == hours * HOUR
    assert datetime.fromtimestamp(end, PARIS).strftime("%H:%M") == "07:30"


@given(st.dates(date(1980, 1, 1), date(2037, 1, 1)), st.sampled_from([PARIS, TANA, ZoneInfo("Australia/Lord_Howe")]))
def test_days_follow_one_another_without_gap_or_overlap(day: date, zone: ZoneInfo) -> None:
    assert schedule.window(day, zone, START)[1] == schedule.window(day + timedelta(days=1), zone, START)[0]


@given(st.floats(315_532_800, 2_000_000_000), st.sampled_from([PARIS, TANA]))
def test_the_day_on_air_is_the_one_whose_window_holds_the_moment(now: float, zone: ZoneInfo) -> None:
    start, end = schedule.window(schedule.broadcast_day(now, zone, START), zone, START)
    assert start <= now < end


def test_before_the_start_of_the_day_it_is_still_yesterdays() -> None:
    for clock, day in (("07:29:59", DAY), ("07:30:00", DAY + timedelta(days=1))):
        now = datetime.fromisoformat(f"2026-11-24T{clock}").replace(tzinfo=PARIS).timestamp()
        assert schedule.broadcast_day(now, PARIS, START) == day


@pytest.mark.parametrize(
    ("clock", "date_of"), [(time(7, 30), 23), (time(23, 59), 23), (time(0), 24), (time(7, 29), 24)]
)
def test_a_time_after_midnight_belongs_to_the_next_date(clock: time, date_of: int) -> None:
    moment = schedule.moment_of_day(DAY, TANA, START, clock)
    assert datetime.fromtimestamp(moment, TANA) == datetime(2026, 11, date_of, clock.hour, clock.minute, tzinfo=TANA)


def test_an_item_begun_before_the_moment_and_on_air_then_is_kept_what_came_before_is_not() -> None:
    assert schedule.cut(program(0, 100, 200), 150, 1000) == program(0, 100, 200)[1:]


def test_all_that_share_the_start_on_air_are_kept() -> None:
    assert [s.index for s in schedule.cut(program(0, 100, 100, 200), 150, 1000)] == [1, 2, 3]


def test_the_cut_ends_at_the_first_uncut_start_plus_the_day_inclusive() -> None:
    assert [s.start for s in schedule.cut(program(0, 100, 1000, 1001), 150, 1000)] == [100, 1000]


def test_everything_is_kept_when_the_moment_is_before_the_first_start() -> None:
    assert schedule.cut(program(10, 5000), 9.9, 1000) == program(10, 5000)


def test_nothing_cut_is_nothing() -> None:
    assert schedule.cut((), 5, 1000) == ()


@given(programs, st.floats(-1000, 300_000), st.floats(80_000, 90_000))
def test_the_cut_keeps_order_and_never_loses_what_is_on_air(slots: tuple[Slot, ...], now: float, length: float) -> None:
    kept = schedule.cut(slots, now, length)
    assert list(kept) == [slot for slot in slots if slot in kept]
    first = min((slot.start for slot in slots), default=0)
    begun = [slot for slot in slots if slot.start <= now]
    if begun and max(s.start for s in begun) <= first + length:
        assert max(begun, key=lambda s: s.start) in kept


@pytest.mark.parametrize(
    ("candidates", "best"),
    [
        ([program(0, 1), program(0, 1, 2)], 1),
        ([program(0, 1, 9), program(0, 1, 8)], 0),
        ([program(0, 5), program(0, 5)], 0),
        ([(), program(0)], 1),
        ([(), ()], None),
        ([], None),
    ],
)
def test_most_files_then_the_latest_last_start_then_the_first(candidates: list[tuple[Slot, ...]], best: object) -> None:
    assert schedule.choose(candidates) == best


@given(st.lists(programs, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_the_choice_does_not_depend_on_the_order_of_arrival(
    candidates: list[tuple[Slot, ...]], shuffler: random.Random
) -> None:
    best = schedule.choose(candidates)
    shuffled = candidates[:]
    shuffler.shuffle(shuffled)
    other = schedule.choose(shuffled)
    assert (best is None) == (other is None)
    if best is not None and other is not None:
        assert schedule.rank(candidates[best]) == schedule.rank(shuffled[other])


def test_a_listing_is_laid_out_from_the_start_of_the_day_unrounded_and_a_missing_file_counts_nothing() -> None:
    slots = schedule.lay_out(DAY, ["a", "gone", "b"], {"a": 5400.12, "b": 1.0}, TANA, START, "/srv/ts/")
    begin = datetime(2026, 11, 23, 7, 30, tzinfo=TANA).timestamp()
    assert [(s.index, s.media, s.path, s.start) for s in slots] == [
        (0, "a.ts", "/srv/ts/", begin),
        (1, "gone.ts", "/srv/ts/", begin + 5400.12),
        (2, "b.ts", "/srv/ts/", begin + 5400.12),
    ]
