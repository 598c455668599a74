"""Keys, members and values on the wire (SPEC 2): round trips, and nothing from Redis is believed or executed."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvbboxes import wire
from dvbboxes.model import Duration, DurationKind, Schedule, Slot

pytestmark = pytest.mark.pure

DAY = date(2017, 6, 15)
NOON = 1497528000.0
days = st.dates(date(1971, 1, 1), date(2999, 12, 31))
stems = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyz0123456789_"), min_size=1, max_size=30)
folders = st.lists(st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), max_size=8), max_size=4)


@st.composite
def slots(draw: st.DrawFn) -> Slot:
    folder = "/".join(["", *draw(folders), ""])
    start = draw(st.floats(NOON - 86400, NOON + 86400, allow_nan=False))
    return Slot(draw(st.integers(0, 999_999)), f"{draw(stems)}.ts", folder, start)


def pairs(*entries: tuple[bytes, bytes]) -> list[bytes]:
    return [part for entry in entries for part in entry]


@given(st.lists(slots(), max_size=20, unique_by=lambda slot: slot.index))
def test_a_program_that_was_written_is_read_back_the_same(program: list[Slot]) -> None:
    reply = pairs(*((wire.encode(wire.member(slot)), repr(slot.start).encode()) for slot in program))
    read = wire.decode_program(DAY, "85", reply)
    assert read == Schedule(DAY, "85", tuple(sorted(program, key=lambda slot: slot.index)), ())


@given(st.binary(max_size=40))
def test_a_member_that_is_accepted_comes_back_byte_for_byte(raw: bytes) -> None:
    read = wire.decode_program(DAY, "85", [raw, b"1497528000"])
    assert len(read.slots) + len(read.corrupt) == 1
    for slot in read.slots:
        assert wire.encode(wire.member(slot)) == raw


@given(st.one_of(st.none(), st.integers(), st.binary(), st.lists(st.one_of(st.binary(), st.none(), st.integers()))))
def test_no_reply_whatever_raises(reply: object) -> None:
    program = wire.decode_program(DAY, "85", reply)
    assert all(line.isprintable() for line in program.corrupt)
    assert all(isinstance(d, Duration) for d in wire.decode_durations(reply, 2))


@given(days, st.text(st.characters(exclude_characters=":", exclude_categories=["Cs"]), min_size=1, max_size=8))
def test_program_keys_round_trip(day: date, service_id: str) -> None:
    key = wire.program_key(day, service_id)
    assert wire.parse_program_key(key.encode()) == (day, service_id)


@pytest.mark.parametrize(
    "key",
    [b"15062017", b"15062017:", b"1506201:85", b"31022017:85", b"x15062017:85", b"15062017:85:1", b"users",
     "\u0661\u0665062017:85".encode(), b"15062017:85\n:"],
)  # fmt: skip
def test_other_keys_are_no_programs(key: bytes) -> None:
    assert wire.parse_program_key(key) is None


@pytest.mark.parametrize("text", ["1506201", "150620177", "15-06-17", "31022017", "00000000", "١٥٠٦٢٠١٧", "15062017\n"])
def test_what_is_no_ddmmyyyy_is_no_day(text: str) -> None:
    assert wire.parse_day_text(text) is None


@pytest.mark.parametrize(
    ("member", "score", "why"),
    [
        (b"/opt/tsfiles/film_a.ts", b"1497528000", "has no index"),
        (b"/opt/tsfiles/film_a.ts:", b"1497528000", "has no index"),
        (b"/opt/tsfiles/film_a.ts:-1", b"1497528000", "has no index"),
        (b"/opt/tsfiles/:0", b"1497528000", "has no index"),
        (b"/opt/tsfiles/film_a.ts:007", b"1497528000", "has no index"),
        (b"/opt/tsfiles/film_a.ts:0", b"inf", "no time of that day"),
        (b"/opt/tsfiles/film_a.ts:0", b"nan", "no time of that day"),
        (b"/opt/tsfiles/film_a.ts:0", b"1e300", "no time of that day"),
        (b"/opt/tsfiles/film_a.ts:0", b"12", "no time of that day"),
        (b"__import__('os').system('x')", b"1497528000", "has no index"),
    ],
)
def test_an_entry_that_is_none_is_described_and_the_rest_stays(member: bytes, score: bytes, why: str) -> None:
    good = (b"/opt/tsfiles/film_b.ts:1", b"1497528000.5")
    read = wire.decode_program(DAY, "85", pairs((member, score), good))
    assert [slot.media for slot in read.slots] == ["film_b.ts"]
    assert len(read.corrupt) == 1
    assert why in read.corrupt[0]


def test_a_key_of_another_type_is_described() -> None:
    read = wire.decode_program(DAY, "85", ValueError("WRONGTYPE Operation against a key"))
    assert read.slots == ()
    assert "15062017:85 is no program" in read.corrupt[0]


def test_entries_are_ordered_by_index_not_by_score() -> None:
    read = wire.decode_program(DAY, "85", pairs((b"/a/b.ts:1", b"1497528000"), (b"/a/a.ts:0", b"1497528001")))
    assert [slot.index for slot in read.slots] == [0, 1]


@pytest.mark.parametrize(
    ("value", "kind", "seconds"),
    [
        (b"5400.12", DurationKind.MEASURED, 5400.12),
        (b"3601", DurationKind.MEASURED, 3601.0),
        (b"0", DurationKind.MEASURED, 0.0),
        (b"1e3", DurationKind.MEASURED, 1000.0),
        (b"3.14", DurationKind.UNMEASURED, None),
        (b"3.140", DurationKind.UNMEASURED, None),
        (None, DurationKind.ABSENT, None),
        (b"abc", DurationKind.CORRUPT, None),
        (b"nan", DurationKind.CORRUPT, None),
        (b"inf", DurationKind.CORRUPT, None),
        (b"-1", DurationKind.CORRUPT, None),
        (b"1e999", DurationKind.CORRUPT, None),
        (b" 12", DurationKind.CORRUPT, None),
        (b"1_000", DurationKind.CORRUPT, None),
        ("\u0661\u0662".encode(), DurationKind.CORRUPT, None),
        (b"", DurationKind.CORRUPT, None),
        (b"12\n", DurationKind.CORRUPT, None),
        (b"__import__('os')", DurationKind.CORRUPT, None),
        (b"\xff\xfe", DurationKind.CORRUPT, None),
    ],
)
def test_a_duration_is_a_finite_number_and_nothing_else(value: object, kind: DurationKind, seconds: object) -> None:
    read = wire.decode_duration(value)
    assert (read.kind, read.seconds) == (kind, seconds)


@pytest.mark.parametrize(
    ("literal", "pattern"),
    [("film_a", "film_a"), ("*", r"\*"), ("a?[b-c]^", r"a\?\[b\-c\]\^"), ("\\", r"\\")],
)
def test_every_character_a_glob_knows_is_escaped(literal: str, pattern: str) -> None:
    assert wire.escape_glob(literal) == pattern


@pytest.mark.parametrize(("name", "stem"), [("strts.ts", "strts"), ("a.ts", "a"), ("s", "s"), ("t.s", "t.s")])
def test_a_suffix_is_cut_as_a_suffix(name: str, stem: str) -> None:
    assert wire.stem(name) == stem


def test_media_file_appends_the_suffix_once() -> None:
    assert [wire.media_file("film_a"), wire.media_file("film_a.ts")] == ["film_a.ts", "film_a.ts"]
