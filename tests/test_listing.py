"""The listing (SPEC 5): every rule by name, with the lines it is told on; then anything at all thrown at it."""

from __future__ import annotations

import time
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvbboxes.errors import ExitStatus, ListingError, UsageError
from dvbboxes.listing import MAX_MISTAKES, parse, parse_file_name, render
from dvbboxes.model import Listing, ListingDay, ListingEntry

pytestmark = pytest.mark.pure

JUNE = date(2017, 6, 10)


def mistakes(text: str | bytes, *, filename: str = "", today: date = JUNE, service_id: str | None = None) -> list[str]:
    """Return the mistakes as ``line: text``; fails if the text is accepted."""
    with pytest.raises(ListingError) as caught:
        parse(text, filename=filename, today=today, service_id=service_id)
    return [f"{line}: {said}" for line, said in caught.value.mistakes]


def days(text: str | bytes, *, filename: str = "", today: date = JUNE) -> list[date]:
    return [day.day for day in parse(text, filename=filename, today=today).days]


def names(listing: Listing) -> list[list[str]]:
    return [[entry.name for entry in day.entries] for day in listing.days]


# --- what is accepted -----------------------------------------------------------------------------------------------


def test_days_and_names_come_in_order_with_their_lines() -> None:
    listing = parse("[15/06]\nfilm_a\njt\n\n[16/06]\nfilm_b\n", today=JUNE)
    assert listing == Listing(
        None,
        None,
        None,
        (
            ListingDay(date(2017, 6, 15), 1, (ListingEntry("film_a", 2), ListingEntry("jt", 3))),
            ListingDay(date(2017, 6, 16), 5, (ListingEntry("film_b", 6),)),
        ),
    )


def test_a_name_may_stand_any_number_of_times() -> None:
    assert names(parse("[15/06]\njt\nfilm\njt\njt\n", today=JUNE)) == [["jt", "film", "jt", "jt"]]


@pytest.mark.parametrize(
    "text",
    [
        "[15/06]\r\nfilm_a\r\n\r\njt\r\n",
        "[15/06]\rfilm_a\r\rjt",
        "[15/06]\nfilm_a\n\njt",
        "\ufeff[15/06]\nfilm_a\n\njt\n",
        b"\xef\xbb\xbf[15/06]\r\nfilm_a\r\n\r\njt",
        "  [15/06]\t\n\tfilm_a  \n   \n jt ",
        "[15/06]\nfilm_a\n# jt de la veille\njt\n ; fin",
        b"[15/06]\nfilm_a\n# caf\xe9 in Latin-1, in a comment\njt\n",
    ],
)
def test_line_ends_bom_blanks_comments_and_spaces_are_fine(text: str | bytes) -> None:
    listing = parse(text, today=JUNE)
    assert [(entry.name, entry.line) for entry in listing.days[0].entries] == [("film_a", 2), ("jt", 4)]


def test_only_line_ends_end_a_line() -> None:
    """U+2028, form feed and their like would shift every line number after them."""
    assert mistakes("[15/06]\na\u2028b\n\x0cc\nD\n")[-1].startswith("4: 'D'")


# --- years ----------------------------------------------------------------------------------------------------------


def test_year_is_this_year_or_the_next_before_this_month() -> None:
    assert days("[01/06]\na", today=date(2017, 6, 30)) == [date(2017, 6, 1)]
    assert days("[31/05]\na", today=date(2017, 6, 1)) == [date(2018, 5, 31)]
    assert days("[31/12]\na\n[01/01]\nb", today=date(2017, 12, 9)) == [date(2017, 12, 31), date(2018, 1, 1)]


def test_a_dated_section_has_its_own_year() -> None:
    assert days("[15/06/2011]\na\n[29/02/2016]\nb\n[01/01/2030]\nc") == [
        date(2011, 6, 15),
        date(2016, 2, 29),
        date(2030, 1, 1),
    ]


def test_a_file_name_decides_year_and_channel() -> None:
    listing = parse("[26/11]\na\n[08/12]\nb", filename="up/2_26112015_08122015", today=date(2026, 12, 24))
    assert [day.day for day in listing.days] == [date(2015, 11, 26), date(2015, 12, 8)]
    assert (listing.service_id, listing.first, listing.last) == ("2", date(2015, 11, 26), date(2015, 12, 8))


def test_a_file_name_decides_the_year_across_new_year() -> None:
    assert days("[31/12]\na\n[01/01]\nb\n[02/01/2016]\nc", filename="2_31122015_02012016") == [
        date(2015, 12, 31),
        date(2016, 1, 1),
        date(2016, 1, 2),
    ]


def test_a_leap_day_follows_the_year_of_the_file_name() -> None:
    assert days("[29/02]\na", filename="2_28022016_01032016") == [date(2016, 2, 29)]
    assert mistakes("[29/02]\na", filename="2_28022015_01032015") == [
        "1: [29/02] is not one day from 28/02/2015 to 01/03/2015, which the file is named for"
    ]


def test_days_outside_the_file_name_are_errors() -> None:
    said = mistakes("[25/11]\na\n[26/11]\nb\n[26/11/2016]\nc", filename="2_26112015_08122015")
    assert said == [
        "1: [25/11] is not one day from 26/11/2015 to 08/12/2015, which the file is named for",
        "5: 26/11/2016 is not from 26/11/2015 to 08/12/2015, which the file is named for",
    ]


def test_a_day_that_falls_twice_in_a_span_of_years_is_an_error() -> None:
    assert mistakes("[26/11]\na", filename="2_01012015_31122016")[0].startswith("1: [26/11] is not one day")
    assert days("[26/11/2016]\na", filename="2_01012015_31122016") == [date(2016, 11, 26)]


def test_days_that_do_not_follow_one_another_must_be_dated() -> None:
    """The fortnight of 26/11 to 08/12 read in December: November would be next year's."""
    text = "[30/11]\na\n[01/12]\nb\n[02/12]\nc"
    assert mistakes(text, today=date(2015, 12, 3)) == [
        "3: 01/12/2015 does not follow 30/11/2016 (line 1): "
        "write both as [dd/mm/yyyy], or name the file SID_DDMMYYYY_DDMMYYYY"
    ]
    assert days(text, today=date(2015, 11, 3)) == [date(2015, 11, 30), date(2015, 12, 1), date(2015, 12, 2)]
    assert days(text, filename="5_30112015_02122015", today=date(2015, 12, 3))[0] == date(2015, 11, 30)
    assert len(mistakes("[15/06]\na\n[17/06]\nb")) == 1
    assert len(mistakes("[16/06]\na\n[15/06]\nb")) == 1
    assert len(mistakes("[15/06/2017]\na\n[17/06]\nb")) == 1
    assert len(mistakes("[15/06]\na\n[17/06/2017]\nb")) == 1
    assert days("[17/06/2017]\na\n[15/06/2017]\nb") == [date(2017, 6, 17), date(2017, 6, 15)]


# --- what is wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "section", ["[1/06]", "[15/6]", "[15/06/17]", "[15-06]", "[ 15/06 ]", "[15/06] lundi", "[15/06", "[]"]
)
def test_a_section_of_another_form_is_an_error(section: str) -> None:
    said = mistakes(f"[14/06]\na\n{section}\nb")
    assert len(said) == 1
    assert said[0].startswith(f"3: '{section}' is no day")


@pytest.mark.parametrize(
    "section",
    ["[32/06]", "[00/06]", "[15/13]", "[31/06/2017]", "[29/02/2017]", "[15/06/0000]", "[01/01/1970]", "[01/01/9999]"],
)
def test_a_date_that_does_not_exist_is_an_error(section: str) -> None:
    assert mistakes(f"{section}\na") == [f"1: {section} is no date"]


def test_29_02_in_no_leap_year_is_an_error() -> None:
    assert mistakes("[29/02]\na", today=date(2017, 1, 5)) == ["1: [29/02] is no date in 2017"]
    assert days("[29/02]\na", today=date(2015, 6, 5)) == [date(2016, 2, 29)]


def test_digits_of_other_scripts_are_no_digits() -> None:
    assert len(mistakes("[١٥/٠٦]\nfilm_٣")) == 2


@pytest.mark.parametrize(
    "name", ["Film", "film-a", "film a", "été", "../etc", "a/b", "film*", "film_a ; jt", "a:0", "a\xa0"]
)
def test_a_name_with_anything_else_in_it_is_an_error(name: str) -> None:
    assert mistakes(f"[15/06]\nok\n{name}\n") == [f"3: {name!a} is no media name: a name has only a-z, 0-9 and _"]


def test_a_name_with_ts_is_told_how_it_is_written() -> None:
    assert mistakes("[15/06]\nfilm_a.ts") == [
        "2: 'film_a.ts' is no media name: names stand without .ts: write 'film_a'"
    ]


def test_a_line_before_the_first_section_is_an_error() -> None:
    assert mistakes("# ok\nfilm_a\n[15/06]\nfilm_b") == ["2: 'film_a' stands before the first [dd/mm]"]
    assert [said[:9] for said in mistakes("Film\n")] == ["1: 'Film'", "1: 'Film'"]


@pytest.mark.parametrize("text", ["", "\n\n", b"", "# nothing\n; at all", "\ufeff"])
def test_an_empty_file_is_an_error(text: str | bytes) -> None:
    assert mistakes(text) == ["0: there is no day in it: a listing begins with [dd/mm]"]


def test_an_empty_day_is_an_error_wherever_it_stands() -> None:
    assert mistakes("[15/06]\n[16/06]\na\n[17/06]\n# only this\n") == [
        "1: this day is empty: it would play nothing",
        "4: this day is empty: it would play nothing",
    ]
    assert len(mistakes("[15/06]\nWRONG\n")) == 1, "a day of wrong names only is not empty"


def test_a_day_that_stands_twice_is_an_error() -> None:
    assert mistakes("[15/06]\na\n[16/06]\nb\n[15/06/2017]\nc") == [
        "5: 15/06/2017 stands twice: it began on line 1 already"
    ]


def month(count: int) -> str:
    return "".join(f"[{date(2017, 6, 1) + timedelta(days=n):%d/%m/%Y}]\na\n" for n in range(count))


def test_more_than_31_days_are_refused() -> None:
    assert len(days(month(31))) == 31
    assert mistakes(month(32)) == ["63: this is day 32: a listing has 31 at most"]
    assert len(mistakes(month(99))) == 1


@pytest.mark.parametrize(
    "name", ["2_31022015_08122015", "2_08122015_26112015", "2_01130000_01012015", "2_01011970_01012015"]
)
def test_a_file_named_after_impossible_days_is_an_error(name: str) -> None:
    assert mistakes("[15/06]\na", filename=name) == [
        "0: the file is named like SID_DDMMYYYY_DDMMYYYY, but not after a real first and last day"
    ]


def test_a_file_named_for_another_channel_is_an_error() -> None:
    name = "85_15062017_15062017"
    assert mistakes("[15/06]\na", filename=name, service_id="86") == [
        "0: the file is named for channel 85, not for '86': rename it"
    ]
    assert parse("[15/06]\na", filename=name, service_id="85", today=JUNE).service_id == "85"
    assert parse("[15/06]\na", filename="listing.txt", service_id="86", today=JUNE).service_id == "86"
    assert parse("[15/06]\na", filename="listing.txt", today=JUNE).service_id is None


def test_every_mistake_is_told_at_once_in_order_of_lines() -> None:
    text = "film\n[32/06]\nOups\n[15/06]\n[15/06]\nok\n[16/06] mardi\n../x\n[20/06]\n"
    assert [int(said.partition(":")[0]) for said in mistakes(text)] == [1, 2, 3, 4, 5, 7, 8, 9]


# --- the error itself -----------------------------------------------------------------------------------------------


def test_the_error_is_a_usage_error_that_shows_file_and_line() -> None:
    with pytest.raises(ListingError) as caught:
        parse("[15/06]\nA\n", filename="/srv/up/85_15062017_15062017", today=JUNE)
    assert isinstance(caught.value, UsageError)
    assert isinstance(caught.value, ValueError)
    assert caught.value.status is ExitStatus.USAGE
    assert str(caught.value).startswith("85_15062017_15062017:2: 'A' is no media name")
    with pytest.raises(ListingError, match=r"\Aline 2: 'A'"):
        parse("[15/06]\nA\n", today=JUNE)
    with pytest.raises(ListingError, match=r"\Aup: there is no day"):
        parse("", filename="up", today=JUNE)


def test_a_wrong_name_is_shown_safely() -> None:
    with pytest.raises(ListingError) as caught:
        parse(f"[15/06]\n\x1b[31mrouge\u202e\n{'A' * 5000}\n", filename="evil\n\x1b[2Jname", today=JUNE)
    said = str(caught.value)
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert len(said.splitlines()) == 2
    assert all(len(line) < 200 for line in said.splitlines())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"[15/06]\nfilm_a\ncaf\xe9\n", ["3: 'caf\\udce9' is no UTF-8 text"]),
        (b"[15/06]\nfi\0lm\n", ["2: 'fi\\x00lm' is no text: it has NUL in it (is this a listing at all?)"]),
        ("[15/06]\ncaf\udce9\n", ["2: 'caf\\udce9' is no UTF-8 text"]),
    ],
)
def test_what_is_no_text_is_an_error_on_its_line(text: str | bytes, expected: list[str]) -> None:
    assert mistakes(text) == expected


def test_a_listing_in_utf_16_is_refused() -> None:
    assert mistakes("[15/06]\nfilm_a\n".encode("utf-16"))


def test_ten_megabytes_are_read_fast_and_their_mistakes_bounded() -> None:
    for text in ("[15/06]\n" + "film_a_of_a_name\n" * 600_000, bytes(range(256)) * 40_000):
        began = time.process_time()
        try:
            assert len(parse(text, today=JUNE).days[0].entries) == 600_000
        except ListingError as error:
            assert len(error.mistakes) == MAX_MISTAKES
            assert str(error).endswith(f"\nand {error.more} more mistakes")
            assert error.more > 100_000
        assert time.process_time() - began < 20, "a quadratic reader would take hours"


def test_mistakes_beyond_the_bound_are_counted() -> None:
    text = "[15/06]\n" + "A\n" * (MAX_MISTAKES + 1)
    with pytest.raises(ListingError, match=r"and 1 more mistake\Z"):
        parse(text, today=JUNE)
    with pytest.raises(ListingError) as caught:
        parse("[15/06]\n" * 1000, today=JUNE)
    assert len(caught.value.mistakes) == MAX_MISTAKES
    assert caught.value.more == 1000 + 999 + 1 - MAX_MISTAKES, "empty days, days that stand twice, day 32"
    with pytest.raises(ListingError) as caught:
        parse("A\n" * MAX_MISTAKES, today=JUNE)
    assert caught.value.more == MAX_MISTAKES, "two mistakes a line: no day yet, and no name"
    assert len(str(caught.value).splitlines()) == MAX_MISTAKES + 1


# --- file names -----------------------------------------------------------------------------------------------------


def test_a_file_name_says_channel_and_days() -> None:
    assert parse_file_name("85_01122026_31122026") == ("85", date(2026, 12, 1), date(2026, 12, 31))
    assert parse_file_name("/srv/up/2_26112015_26112015") == ("2", date(2015, 11, 26), date(2015, 11, 26))


@pytest.mark.parametrize(
    "name",
    ["", "listing", "85_01122026", "85_01122026_31122026.txt", "85_01122026_31122026\n", "x_01122026_31122026",
     "85_32122026_31122026", "85_31122026_01122026", "85_00000000_31122026", "٨٥_01122026_31122026"],
)  # fmt: skip
def test_other_file_names_say_nothing(name: str) -> None:
    assert parse_file_name(name) is None


# --- properties -----------------------------------------------------------------------------------------------------

a_name = st.text("abcdefghijklmnopqrstuvwxyz0123456789_", min_size=1, max_size=20)
a_day = st.dates(date(1971, 1, 1), date(9998, 12, 31))
some_days = st.lists(
    st.tuples(a_day, st.lists(a_name, min_size=1, max_size=6)), min_size=1, max_size=31, unique_by=lambda pair: pair[0]
)
pieces = st.sampled_from(
    ["[15/06]", "[16/06]", "[29/02]", "[15/06/2017]", "[99/99]", "[", "]", "film_a", "jt", "É", ".ts", "#", ";", " ",
     "\n", "\r\n", "\r", "\n", "\0", "\ufeff", "\u2028", "\udc80", "\x1b"]
)  # fmt: skip
anything = st.one_of(st.text(), st.binary(), st.lists(pieces, max_size=40).map("".join))
a_file_name = st.one_of(
    st.text(max_size=30),
    st.from_regex(r"[0-9]{1,3}_[0-9]{8}_[0-9]{8}", fullmatch=True),
    st.just("2_01062017_31122017"),
)


def listed(content: list[tuple[date, list[str]]]) -> tuple[ListingDay, ...]:
    """Return the days as they stand in a rendered listing, with its line numbers."""
    line, result = 1, []
    for day, media in content:
        entries = tuple(ListingEntry(name, line + n) for n, name in enumerate(media, 1))
        result.append(ListingDay(day, line, entries))
        line += len(media) + 2
    return tuple(result)


@given(some_days, st.dates())
def test_what_is_rendered_reads_back_the_same_on_any_day(content: list[tuple[date, list[str]]], today: date) -> None:
    written = listed(content)
    assert parse(render(written), today=today).days == written


@given(some_days, st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
def test_bytes_and_text_read_the_same(content: list[tuple[date, list[str]]], end: str, bom: bool) -> None:
    text = ("\ufeff" if bom else "") + render(listed(content)).replace("\n", end)
    assert parse(text.encode(), today=JUNE) == parse(text, today=JUNE)
    assert parse(text, today=JUNE).days == listed(content)


@given(anything, a_file_name, st.dates(), st.one_of(st.none(), st.text(max_size=5)))
def test_nothing_but_a_listing_error_is_ever_raised(
    text: str | bytes, filename: str, today: date, service_id: str | None
) -> None:
    try:
        listing = parse(text, filename=filename, today=today, service_id=service_id)
    except ListingError as error:
        lines = [line for line, _ in error.mistakes]
        assert lines
        assert lines == sorted(lines)
        assert len(str(error).splitlines()) == len(lines) + (error.more > 0)
    else:
        assert 1 <= len(listing.days) <= 31
        assert all(day.entries for day in listing.days)
        assert len({day.day for day in listing.days}) == len(listing.days)
