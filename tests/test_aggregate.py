"""Many answers -> one truth and a list of disagreements (SPEC 4)."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvbboxes.aggregate import ChannelDay, Holding, Span, channel_day
from dvbboxes.aggregate.difference import Change, counted, edits
from dvbboxes.model import (
    Answer,
    Config,
    Duration,
    DurationKind,
    Endpoint,
    Failure,
    FailureKind,
    Freshness,
    Gathered,
    Instance,
    LogSettings,
    RedisSettings,
    Schedule,
    ScheduleSettings,
    Slot,
    SshSettings,
    SshTarget,
    State,
    Town,
)
from dvbboxes.wire import ABSENT

pytestmark = pytest.mark.pure

ZONE = ZoneInfo("Indian/Antananarivo")
DAY = date(2026, 11, 23)
BEGIN = datetime(2026, 11, 23, 7, 30, tzinfo=ZONE).timestamp()
TOWNS = {"tana": ("t1", "t2", "t3"), "mahajanga": ("m1", "m2")}


def config(**channels: frozenset[str]) -> Config:
    towns = tuple(
        Town(
            town,
            tuple(
                Instance(town, f, Endpoint(), Endpoint(), SshTarget(f), ZONE, channels=channels.get(f)) for f in fqdns
            ),
        )
        for town, fqdns in TOWNS.items()
    )
    return Config(
        "x", LogSettings("x", 10, ""), "x", {"85": "Ma chaine"}, towns, RedisSettings(), SshSettings(),
        ScheduleSettings(ZONE, time(7, 30)),
    )  # fmt: skip


def program(*names: str, step: float = 3600.0) -> Schedule:
    return Schedule(
        DAY, "85", tuple(Slot(n, f"{name}.ts", "/opt/tsfiles/", BEGIN + n * step) for n, name in enumerate(names))
    )


def seconds(value: float) -> Duration:
    return Duration(DurationKind.MEASURED, value, str(value))


def gathered(
    conf: Config, programs: Mapping[str, Schedule], media: Mapping[str, Mapping[str, Duration]] | None = None
) -> Gathered[Holding]:
    """Return a gathering in which the instances not in ``programs`` did not answer."""
    answers: list[Answer[Holding]] = []
    for instance in conf.instances:
        if instance.fqdn in programs:
            holding = Holding({(DAY, "85"): programs[instance.fqdn]}, (media or {}).get(instance.fqdn, {}))
            answers.append(Answer(instance, holding, None, 0.0, Freshness(State.CURRENT, 1.0)))
        else:
            dead = Failure(FailureKind.TIMEOUT, "timed out")
            answers.append(Answer(instance, None, dead, 0.0, Freshness(State.UNAVAILABLE)))
    return Gathered(tuple(answers))


def shown(programs: Mapping[str, Schedule], span: Span | None = None, **channels: frozenset[str]) -> ChannelDay:
    conf = config(**channels)
    return channel_day(conf, gathered(conf, programs), DAY, "85", span)


def files(channel: ChannelDay, block: int = 0) -> list[str]:
    return [row.media.removesuffix(".ts") for row in channel.blocks[block].rows]


def test_all_that_say_the_same_are_one_block() -> None:
    channel = shown(dict.fromkeys(("t1", "t2", "t3", "m1", "m2"), program("a", "b")))
    (block,) = channel.blocks
    assert [(voice.town, voice.agree) for voice in block.towns] == [
        ("tana", ("t1", "t2", "t3")),
        ("mahajanga", ("m1", "m2")),
    ]
    assert (block.holders, block.rivals, block.variants, channel.differs) == (5, 0, (), False)


def test_the_longest_is_shown_and_the_first_line_says_when_fewer_hold_it() -> None:
    channel = shown({"t1": program("a", "b", "old"), **dict.fromkeys(("t2", "t3", "m1", "m2"), program("a", "b"))})
    assert files(channel) == ["a", "b", "old"]
    first = channel.blocks[0]
    assert (first.holders, first.rivals, first.outvoted) == (1, 4, True)
    assert [(v.instances, v.change, v.shown_for) for v in first.variants] == [
        (("t2", "t3"), Change(0, 1, 0), ("mahajanga",))
    ]


def test_a_town_where_nobody_holds_it_is_shown_apart() -> None:
    channel = shown(
        {**dict.fromkeys(("t1", "t2", "t3"), program("a", "b", "c")), **dict.fromkeys(("m1", "m2"), program("x", "y"))}
    )
    assert [[voice.town for voice in block.towns] for block in channel.blocks] == [["tana"], ["mahajanga"]]
    assert files(channel, 1) == ["x", "y"]
    assert channel.differs is False


def test_an_instance_that_did_not_answer_is_silent_not_empty() -> None:
    channel = shown(dict.fromkeys(("t1", "t2", "m1", "m2"), program("a")))
    tana = channel.blocks[0].towns[0]
    assert (tana.agree, tana.differ, tana.silent) == (("t1", "t2"), (), ("t3",))
    assert channel.blocks[0].variants == ()


def test_an_instance_that_holds_nothing_differs() -> None:
    channel = shown({"t1": program("a"), "t2": program(), "t3": program("a"), "m1": program("a"), "m2": program("a")})
    (variant,) = channel.blocks[0].variants
    assert (variant.instances, variant.files, variant.last_start) == (("t2",), 0, None)


def test_nothing_anywhere_is_one_block_without_rows() -> None:
    channel = shown(dict.fromkeys(("t1", "t2", "t3", "m1", "m2"), program()))
    (block,) = channel.blocks
    assert (block.rows, block.variants, channel.scheduled, channel.differs) == ((), (), False, False)


def test_an_instance_that_does_not_carry_the_channel_is_not_missed() -> None:
    channel = shown(
        {"t1": program("a"), "t2": program("a"), "m1": program("a"), "m2": program("a"), "t3": program()},
        t3=frozenset({"86"}),
    )
    assert channel.differs is False
    assert channel.blocks[0].towns[0].agree == ("t1", "t2")


def test_presence_is_per_instance_and_unknown_where_nobody_was_asked() -> None:
    conf = config()
    media = {
        "t1": {"a.ts": seconds(10), "b.ts": ABSENT},
        "t2": {"a.ts": seconds(12), "b.ts": Duration(DurationKind.UNMEASURED, None, "3.14")},
        "m1": {"a.ts": Duration(DurationKind.CORRUPT, None, "nan"), "b.ts": ABSENT},
    }
    channel = channel_day(conf, gathered(conf, dict.fromkeys(("t1", "t2", "m1"), program("a", "b")), media), DAY, "85")
    a, b = channel.blocks[0].rows
    assert (a.absent, a.holders, a.duration) == ((), ("t1", "t2", "m1"), 12.0)
    assert (b.absent, b.holders, b.duration) == (("t1", "m1"), ("t2",), None)
    assert {"t3", "m2"}.isdisjoint({*b.absent, *b.holders})


def test_an_entry_ends_at_the_next_start_and_the_last_one_with_its_file() -> None:
    conf = config()
    channel = channel_day(conf, gathered(conf, {"t1": program("a", "b")}, {"t1": {"b.ts": seconds(60.5)}}), DAY, "85")
    a, b = channel.blocks[0].rows
    assert (a.end, a.length) == (BEGIN + 3600, 3600)
    assert (b.end, b.length) == (BEGIN + 3660.5, 60.5)


def test_the_last_entry_of_an_unknown_file_has_no_end() -> None:
    assert shown({"t1": program("a")}).blocks[0].rows[0].end is None


def test_the_cut_comes_before_the_comparison() -> None:
    # t1 holds more files, but all its surplus is over when the cut is made.
    early = Schedule(DAY, "85", tuple(Slot(n, f"e{n}.ts", "/", BEGIN + n * 60) for n in range(9)))
    late = program("a", "b", "c")
    channel = shown({"t1": early, "t2": late}, Span(since=BEGIN + 3700))
    assert files(channel) == ["b", "c"]
    assert channel.blocks[0].variants[0].files == 1


def test_an_item_on_air_at_the_start_of_the_day_is_kept_and_what_came_before_is_not() -> None:
    slots = tuple(Slot(n, f"f{n}.ts", "/", BEGIN - 7200 + n * 3000) for n in range(5))
    assert files(shown({"t1": Schedule(DAY, "85", slots)})) == ["f2", "f3", "f4"]


def test_until_ends_what_is_shown_but_not_what_is_compared() -> None:
    channel = shown({"t1": program("a", "b", "c"), "t2": program("a", "b")}, Span(until=BEGIN + 3600))
    assert files(channel) == ["a"]
    assert channel.blocks[0].rows[0].end == BEGIN + 3600
    assert channel.differs is True


def test_the_folder_of_a_file_is_the_instances_own_business() -> None:
    there = Schedule(DAY, "85", tuple(Slot(s.index, s.media, "/srv/ts/", s.start) for s in program("a").slots))
    assert shown({"t1": program("a"), "t2": there}).differs is False


@pytest.mark.parametrize(
    ("base", "other", "expected"),
    [
        (("a", "b"), ("a", "b"), Change(0, 0, 0)),
        (("a", "b"), ("a", "x", "b"), Change(1, 0, 1)),
        (("a", "b", "c"), ("a", "c"), Change(0, 1, 1)),
        ((), ("a",), Change(1, 0, 0)),
        (("a", "a", "a"), ("a", "a"), Change(0, 1, 0)),
        (("a", "b", "c"), ("b", "a", "c"), Change(0, 0, 2)),
    ],
)
def test_a_change_counts_what_is_added_dropped_and_moved(
    base: Sequence[str], other: Sequence[str], expected: Change
) -> None:
    assert counted(edits(program(*base).slots, program(*other).slots)) == expected


names = st.lists(st.sampled_from("abc"), max_size=4)


@given(st.lists(names, min_size=5, max_size=5), st.randoms(use_true_random=False))
def test_the_choice_does_not_depend_on_the_order_of_arrival(contents: list[list[str]], shuffler: random.Random) -> None:
    fqdns = ["t1", "t2", "t3", "m1", "m2"]
    programs = {fqdn: program(*content) for fqdn, content in zip(fqdns, contents, strict=True)}
    order = list(programs)
    shuffler.shuffle(order)
    again = shown({fqdn: programs[fqdn] for fqdn in order})
    assert again == shown(programs)
    voices = [fqdn for block in again.blocks for voice in block.towns for fqdn in (*voice.agree, *voice.differ)]
    assert sorted(voices) == sorted(fqdns)
    assert len(again.blocks[0].rows) == max(len(content) for content in contents)
