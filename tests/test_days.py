"""DAY as people type it (DESIGN: the command line)."""

from __future__ import annotations

from datetime import date, time, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvbboxes.days import looks_like_day, parse_clock, parse_day, parse_days
from dvbboxes.errors import BadDay

pytestmark = pytest.mark.pure

TODAY = date(2026, 11, 23)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("15062017", date(2017, 6, 15)),
        ("15/06/2017", date(2017, 6, 15)),
        ("2017-06-15", date(2017, 6, 15)),
        ("today", TODAY),
        ("tomorrow", date(2026, 11, 24)),
        ("yesterday", date(2026, 11, 22)),
        ("+2", date(2026, 11, 25)),
        ("-1", date(2026, 11, 22)),
        ("24/11", date(2026, 11, 24)),
        ("05/01", date(2027, 1, 5)),
        ("31/10", date(2026, 10, 31)),
        ("29/02", date(2028, 2, 29)),
    ],
)
def test_every_form_of_a_day(text: str, day: date) -> None:
    today = date(2027, 12, 1) if text == "29/02" else TODAY
    assert parse_day(text, today) == day
    assert looks_like_day(text)


@pytest.mark.parametrize(
    "text",
    ["", "tody", "1/06", "32/06", "31/02", "31022017", "15-06-2017", "2017-02-30", "15/06/17", "+", "+99999", "..",
     "١٥٠٦٢٠١٧", "today\n", "15/06 ", "30/02/2024"],
)  # fmt: skip
def test_what_is_no_day_is_named(text: str) -> None:
    with pytest.raises(BadDay) as caught:
        parse_days(text, TODAY)
    assert "\n" not in str(caught.value)
    assert ascii(text.split("..")[0])[1:-1][:8] in str(caught.value)


def test_a_near_word_is_offered() -> None:
    with pytest.raises(BadDay, match="did you mean today"):
        parse_day("tody", TODAY)


@given(st.integers(0, 399), st.integers(-200, 200))
def test_a_range_has_both_its_ends_and_every_day_between(length: int, offset: int) -> None:
    days = parse_days(f"{offset:+d}..{offset + length:+d}", TODAY)
    assert days[0] == TODAY + timedelta(days=offset)
    assert all(b - a == timedelta(days=1) for a, b in pairwise(days))
    assert len(days) == length + 1


@pytest.mark.parametrize("text", ["tomorrow..today", "today..+400"])
def test_a_range_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(BadDay):
        parse_days(text, TODAY)


@given(st.dates(date(1990, 1, 1), date(2090, 1, 1)))
def test_day_and_month_mean_the_nearest_such_day(today: date) -> None:
    day = parse_day("15/06", today)
    assert (day.day, day.month) == (15, 6)
    assert abs(day - today) <= timedelta(days=183)


@pytest.mark.parametrize(("text", "clock"), [("20:00", time(20)), ("7:05", time(7, 5)), ("20:00:30", time(20, 0, 30))])
def test_clock_times(text: str, clock: time) -> None:
    assert parse_clock(text) == clock


@pytest.mark.parametrize("text", ["25:00", "8h", "20:60", "", "20", "20:00:99"])
def test_what_is_no_clock_time_is_named(text: str) -> None:
    with pytest.raises(BadDay, match="no time of day"):
        parse_clock(text)
