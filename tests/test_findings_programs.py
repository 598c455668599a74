"""What ``check`` says of one program: none, corrupt, its end, its gaps and overlaps, and to the second from when."""

from __future__ import annotations

import pytest
from inmemory import ALL, DAYS, FULL, HOUR, NOW, OTHER, World, at

from dvbboxes.findings import Code, Severity

pytestmark = pytest.mark.pure


def test_no_program_is_told_from_now_on_of_the_day_on_air_and_folded_over_days_in_a_row() -> None:
    world = World()
    for day in DAYS:
        world.schedule((), day)
    found = world.only
    assert (found.severity, found.moment, found.instances, found.days) == (Severity.CRITICAL, NOW, ALL, DAYS)
    assert (found.text, found.mend) == ("nothing scheduled: the channel is black", "dvbboxes listing plan FILE -s 85")
    world.schedule(FULL, DAYS[1])
    assert [(one.days, one.severity) for one in world.find()] == [
        ((DAYS[0],), Severity.CRITICAL),
        ((DAYS[2],), Severity.WARNING),
    ]


def test_no_program_counts_all_that_hold_one_whichever() -> None:
    world = World().schedule((), DAYS[1], on=["town1-1"]).schedule(OTHER, DAYS[1], on=["town1-2", "town1-3"])
    assert "(4 other instances hold a program)" in world.only.text
    world.schedule((), DAYS[1], on=["town1-2", "town1-3", "town2-1"])
    assert "other instances" not in world.only.text


def test_a_program_wholly_before_its_day_is_nothing_scheduled() -> None:
    world = World().schedule((("film_a", 30.0), ("film_b", 6.5)), DAYS[1], late=-60.0)
    found = world.only
    assert (found.code, found.days, found.instances) == (Code.NO_PROGRAM, (DAYS[1],), ALL)
    # It is the same trouble as nothing at all: days in a row are one line whoever has which of them.
    world.schedule((), DAYS[1], on=["town1-1", "town1-3"]).schedule((), DAYS[2])
    assert (world.only.days, set(world.only.instances)) == (DAYS[1:], set(ALL))


def test_what_began_before_the_day_and_is_on_air_at_its_start_belongs_to_it() -> None:
    early = (("film_b", 6.5), *FULL)
    assert World().schedule(early, DAYS[1], late=-6.5).find() == ()
    world = World().schedule(early, DAYS[1], late=-6.0)  # film_b to 08:00, and all half an hour later
    assert world.find() == ()
    world.have(film_b=6 * HOUR)  # ... but it ends at 07:30 and leaves half an hour, and so does the day's own film_b
    assert (world.find()[0].code, world.find()[0].moment) == (Code.GAP, at("19:00"))


@pytest.mark.parametrize(("hours", "found"), [(24.0, Severity.CRITICAL), (24.001, Severity.WARNING)])
def test_a_black_channel_within_24_hours_is_critical_and_later_a_warning(hours: float, found: Severity) -> None:
    world = World().schedule((), DAYS[2])
    world.now = at("07:30", DAYS[2]) - hours * HOUR
    assert (world.only.code, world.only.severity) == (Code.NO_PROGRAM, found)
    world.schedule(FULL, DAYS[2], corrupt=("entry 'x' has no index",))
    assert (world.only.code, world.only.severity) == (Code.CORRUPT_PROGRAM, found)
    world.schedule((("promo", 0.5), *FULL), DAYS[2])
    assert (world.only.code, world.only.severity) == (Code.ABSENT, found)


def test_what_is_corrupt_throughout_is_corrupt_and_neither_absent_nor_another_program() -> None:
    world = World().schedule((), sid="86", on=["town1-1"], corrupt=("24112026:86 is no program: 'x'",))
    found = world.only
    assert (found.code, found.moment, found.instances) == (Code.CORRUPT_PROGRAM, NOW, ("town1-1",))
    assert found.text == "24112026:86 is no program: 'x'"


def test_an_end_before_midnight_is_short_and_one_at_midnight_is_not() -> None:
    world = World(tolerance=0.0)
    world.schedule((*FULL[:3], ("eve", 4.5)), DAYS[1])
    assert world.have(eve=4.5 * HOUR).find() == ()
    assert world.have(eve=4.5 * HOUR - 1).only.text == "ends at 23:59:59: dvbbox plays eve 3 times"
    world.tolerance = 1.0
    assert world.find() == ()


def test_an_end_at_0730_is_none_and_one_a_second_later_is_an_overrun() -> None:
    world = World(tolerance=0.0).schedule((*FULL, ("night", 6.0)), DAYS[1])
    assert world.have(night=6 * HOUR).find() == ()
    found = world.have(night=6 * HOUR + 1).only
    assert (found.code, found.moment) == (Code.OVERRUN, at("07:30", DAYS[2]))
    assert found.text.startswith("ends at 07:30:01, after")
    world.tolerance = 1.0
    assert world.find() == ()


def test_where_the_last_files_length_is_not_known_its_end_is_not_guessed() -> None:
    world = World().schedule((*FULL, ("night", 6.0)), DAYS[1])
    assert world.codes == [Code.ABSENT]
    assert world.have(night="3.14").codes == [Code.UNMEASURED]
    assert world.have(night="x").codes == [Code.CORRUPT_DURATION]
    assert world.have(night="0").codes == [Code.NO_LENGTH]


@pytest.mark.parametrize(("beyond", "code"), [(2.0, None), (-2.0, None), (2.5, Code.OVERLAP), (-2.5, Code.GAP)])
def test_a_file_as_much_longer_or_shorter_than_its_time_as_is_tolerated_is_none(
    beyond: float, code: Code | None
) -> None:
    world = World(tolerance=2.0).have(jt=1800 + beyond)
    assert set(world.codes) == ({code} if code else set())
    assert len(world.find()) == (6 if code else 0)  # each day of each channel


@pytest.mark.parametrize(("beyond", "code"), [(2.0, None), (-2.0, None), (2.5, Code.DURATION), (-2.5, Code.DURATION)])
def test_a_duration_as_far_from_the_schedules_as_is_tolerated_is_none(beyond: float, code: Code | None) -> None:
    world = World(tolerance=2.0).have(jt=1800 + beyond, on=["town1-1"])
    assert world.codes == ([code] if code else [])


def test_a_program_that_begins_late_is_a_gap_until_it_has_begun() -> None:
    world = World(tolerance=2.0).schedule(FULL, DAYS[1], late=2.0 / HOUR)
    assert world.find() == ()
    world.schedule(FULL, DAYS[1], late=0.5)
    found = world.only
    assert (found.code, found.moment) == (Code.GAP, at("07:30", DAYS[1]))
    assert found.text == "begins at 08:00: dvbbox plays at once, all of it 0:30:00 early"
    world.now = at("07:45", DAYS[1])
    assert world.only.moment == world.now
    world.now = at("08:00", DAYS[1])
    assert world.find() == ()


def test_gaps_and_overlaps_of_one_program_are_two_findings_and_count_what_they_fold() -> None:
    listed = (("film_a", 5.25), ("jt", 1.0), ("film_b", 6.0), ("clips", 6.0))
    world = World().schedule(listed, DAYS[1])
    gap, overlap = world.find()
    assert (gap.code, gap.moment) == (Code.GAP, at("12:30", DAYS[1]))
    assert gap.text == ("12:30-12:45 after film_a: too short to repeat it, what follows is 0:15:00 early (and 1 more)")
    assert (overlap.code, overlap.moment) == (Code.OVERLAP, at("19:45", DAYS[1]))


def test_what_is_over_is_told_no_more() -> None:
    listed = (("film_a", 5.0), ("jt", 1.0), ("film_b", 6.0), ("clips", 6.0))
    world = World().schedule(listed).have(film_a=5 * HOUR)
    world.now = at("13:59") - 1800  # jt ends at 13:00, the gap at 13:30
    assert world.codes == [Code.GAP, Code.OVERLAP]
    world.now = at("13:30")
    assert world.codes == [Code.OVERLAP]
    world.now = at("19:30")
    assert world.codes == []


def test_an_entry_without_a_time_whose_file_has_come_is_critical_within_24_hours() -> None:
    world = World().schedule((("film_a", 5.0), ("jt", 0.0), ("film_b", 6.5), ("clips", 6.0)), DAYS[1])
    found = world.only  # equal starts are walked in member order: film_b before jt
    assert found.text == "film_b has no time of its own at 12:30: dvbbox repeats it to the day's end"
    assert (found.code, found.severity, found.moment) == (Code.OVERLAP, Severity.WARNING, at("12:30", DAYS[1]))
    world.now = found.moment - 24 * HOUR
    assert (world.only.code, world.only.severity) == (Code.OVERLAP, Severity.CRITICAL)
    world.now = found.moment + 1
    assert world.find() == ()
