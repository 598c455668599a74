"""The rules of ``check`` where they meet: files and servers, time zones, folding, order, what is ignored, anything."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta, timezone
from itertools import permutations
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inmemory import ALL, DAYS, FULL, HOUR, NOW, OTHER, World, at

from dvbboxes.findings import Code, Finding, Material, Severity, find, without
from dvbboxes.model import Failure, FailureKind, Freshness, Gathered, State

pytestmark = pytest.mark.pure

PARIS = ZoneInfo("Europe/Paris")
#: The settings of instances two hours to the east, in one zone (a configuration reads each zone once).
EAST = {fqdn: {"zone": zone} for zone in (timezone(timedelta(hours=5)),) for fqdn in ALL[3:]}
TOWN1 = ALL[:3]

# --- files ------------------------------------------------------------------------------------------------------------


def test_an_absent_file_of_the_day_on_air_alone_hurts_when_it_airs_and_a_relaunch() -> None:
    world = World().schedule((*FULL, ("promo", 6.0))).have(promo=6 * HOUR).have(promo=None, on=["town2-1"])
    found = world.only
    assert (found.code, found.severity, found.moment) == (Code.ABSENT, Severity.CRITICAL, at("01:30"))
    assert found.text == "(airs 01:30): a relaunch would fail"
    assert found.mend == "dvbboxes media missing -s 85 --instance town2-1 --fetch"
    world.now = at("02:00")  # it is on air
    assert (world.only.moment, world.only.text) == (world.now, "(airs 02:00): a relaunch would fail")


def test_an_absent_file_that_opens_a_day_to_come_keeps_the_channel_from_starting() -> None:
    world = World().schedule((("promo", 0.5), *FULL), DAYS[1]).have(promo=1800).have(promo=None, on=["town2-1"])
    found = world.only
    assert (found.moment, found.text) == (at("07:30", DAYS[1]), "(airs 07:30): the channel will not start")


def test_an_absent_file_already_on_air_when_a_day_to_come_starts_keeps_it_from_starting() -> None:
    world = World().schedule((("promo", 1.0), *FULL), DAYS[1], late=-0.5).have(promo=HOUR)
    found = world.have(promo=None, on=["town2-1"]).only
    assert (found.moment, found.text) == (at("07:30", DAYS[1]), "(airs 07:00): the channel will not start")


def test_an_absent_file_of_the_day_on_air_and_of_one_to_come_says_which_launch_fails() -> None:
    world = World().schedule((*FULL, ("promo", 6.0))).schedule((("promo", 0.5), *FULL), DAYS[2])
    world.have(promo=6 * HOUR).have(promo=None, on=["town2-1"])
    (absent,) = [finding for finding in world.find() if finding.code is Code.ABSENT]
    assert absent.moment == at("01:30")
    assert absent.text == f"(airs 01:30): a relaunch would fail, and 85 will not start on {DAYS[2]:%d/%m}"


def test_an_entry_that_had_no_time_is_over_with_those_that_shared_its_start() -> None:
    world = World().schedule((("film_a", 5.0), ("gone", 0.0), *FULL[1:]))
    found = world.only
    assert (found.code, found.moment, found.media) == (Code.ABSENT, at("12:30"), "gone.ts")
    world.now = at("12:45")  # jt shares its start and is on air: a relaunch still walks over it
    assert (world.only.code, world.only.moment) == (Code.ABSENT, world.now)
    world.now = at("13:00")
    assert world.find() == ()
    world.withdrawn = frozenset({"gone.ts"})
    assert world.find() == ()


def test_a_file_that_nobody_who_answered_has_is_to_be_replaced() -> None:
    world = World().schedule((*FULL, ("promo", 6.0)), sid="86")
    found = world.only
    assert (found.code, found.instances, found.mend) == (Code.ABSENT, ALL, "dvbboxes media replace promo NEW")
    assert found.text == "(airs 01:30): a relaunch would fail, and no instance that answered has it"
    # Who is silent may have it, and may not; it does not count as one that has not.
    world.have(promo=6 * HOUR, on=["town2-2"]).kill("town2-2")
    silent, lost = world.find()
    assert (silent.code, silent.instances) == (Code.UNAVAILABLE, ("town2-2",))
    assert (lost.instances, lost.mend) == (ALL[:4], "dvbboxes media replace promo NEW")


def test_one_file_in_two_kinds_of_trouble_is_two_findings_and_each_names_its_own_instances() -> None:
    world = World().have(jt=None, on=["town1-1"]).have(jt="3.14", on=["town1-2"]).have(jt="1e999", on=["town2-1"])
    assert {(one.code, one.instances) for one in world.find()} == {
        (Code.ABSENT, ("town1-1",)),
        (Code.UNMEASURED, ("town1-2",)),
        (Code.CORRUPT_DURATION, ("town2-1",)),
    }


@pytest.mark.parametrize("value", ["", "-1", "nan", "inf", "1e999", "12,5", "0x10", "sixty", "1_0", "\u0661"])
def test_what_is_no_number_is_a_corrupt_duration_and_never_a_length(value: str) -> None:
    world = World().have(clips=value, on=TOWN1)
    found = world.only  # clips is last: town2 still says when it ends
    assert (found.code, found.severity, found.instances) == (Code.CORRUPT_DURATION, Severity.CRITICAL, TOWN1)


def test_a_file_that_nobody_could_measure_is_one_finding_and_its_time_no_gap() -> None:
    assert World().have(jt="3.14").codes == [Code.UNMEASURED]
    assert World().have(jt="0").codes == [Code.NO_LENGTH]


def test_the_length_that_fills_the_time_is_the_schedules_however_few_say_it() -> None:
    world = World().have(jt=2100, on=ALL[:4])
    found = world.only
    assert (found.code, found.instances) == (Code.DURATION, ALL[:4])
    assert found.text == "lasts 2100 s here, 1800 s elsewhere and in the schedule (airs 12:30)"


def test_of_three_lengths_the_schedules_is_told_and_not_the_most_common() -> None:
    world = World().have(jt=2100, on=TOWN1).have(jt=2400, on=["town2-1"])
    assert {one.instances: one.text for one in world.find()} == {
        TOWN1: "lasts 2100 s here, 1800 s elsewhere and in the schedule (airs 12:30)",
        ("town2-1",): "lasts 2400 s here, 1800 s elsewhere and in the schedule (airs 12:30)",
    }


def test_of_the_last_file_most_instances_say_the_length_and_of_as_many_those_with_the_longest() -> None:
    world = World().have(clips=7 * HOUR, on=["town1-1"])
    assert (world.only.code, world.only.instances) == (Code.DURATION, ("town1-1",))
    world.have(clips=7 * HOUR, on=["town1-2"]).kill("town2-2")
    assert [(one.code, one.instances) for one in world.find()] == [
        (Code.UNAVAILABLE, ("town2-2",)),
        (Code.DURATION, ("town1-3", "town2-1")),
    ]


def test_a_length_tolerated_on_some_is_the_schedules_though_others_say_another() -> None:
    world = World(tolerance=2.0).have(jt=1802, on=TOWN1).have(jt=600, on=ALL[3:])
    assert (world.only.code, world.only.instances) == (Code.DURATION, ALL[3:])


def test_files_that_nobody_schedules_are_nobodys_trouble() -> None:
    assert World().have(unused="x", on=["town1-1"]).find() == ()


def test_lengths_beyond_all_time_are_told_and_break_nothing() -> None:
    world = World().schedule((*FULL, ("promo", 0.0)), DAYS[1]).have(promo="1e300")
    (found,) = (one for one in world.find() if one.code is Code.OVERRUN)
    assert found.text == "ends at ?, after the next day has begun: promo is cut short"


# --- withdrawn --------------------------------------------------------------------------------------------------------


def test_a_withdrawn_file_that_is_held_and_scheduled_airs_then() -> None:
    world = World(withdrawn=frozenset({"clips.ts", "unheard_of.ts"}))
    found = world.only
    assert (found.code, found.severity, found.instances) == (Code.WITHDRAWN, Severity.CRITICAL, ALL)
    assert (found.moment, found.text) == (at("19:30"), "withdrawn, but held and scheduled (airs 19:30)")
    assert (found.mend, found.service_ids) == ("dvbboxes media withdraw clips", ("85", "86"))


def test_a_withdrawn_file_on_air_hurts_now_and_not_in_the_past() -> None:
    found = World(withdrawn=frozenset({"film_a.ts"})).only
    assert (found.moment, found.text) == (NOW, "withdrawn, but held and scheduled (airs 10:00)")


def test_a_withdrawn_file_that_is_gone_and_still_scheduled_stops_the_launch_besides() -> None:
    world = World(withdrawn=frozenset({"promo.ts"})).schedule((*FULL, ("promo", 6.0)), DAYS[1], on=["town2-1"])
    world.schedule((*FULL, ("promo", 6.0)), DAYS[1], on=["town2-2"])
    told = {one.code: one for one in world.find()}
    assert set(told) == {Code.ABSENT, Code.WITHDRAWN}
    assert told[Code.WITHDRAWN].instances == told[Code.ABSENT].instances == ("town2-1", "town2-2")
    assert told[Code.WITHDRAWN].text == "withdrawn, but scheduled"


def test_a_withdrawn_file_that_is_absent_where_it_airs_is_to_be_replaced_and_not_fetched() -> None:
    world = World().have(jt=None, on=["town2-1"])
    world.withdrawn = frozenset({"jt.ts"})
    (absent,) = [finding for finding in world.find() if finding.code is Code.ABSENT]
    assert absent.mend == "dvbboxes media replace jt NEW"


def test_a_name_that_a_shell_would_run_is_quoted_in_the_line_that_mends_it() -> None:
    world = World().schedule((*FULL, ("a;reboot", 6.0)))
    assert world.only.mend == "dvbboxes media replace 'a;reboot' NEW"
    long: dict[str, Any] = {"a;reboot": 6 * HOUR}
    unmeasured: dict[str, Any] = {"a;reboot": "3.14"}
    world.have(**long).have(**unmeasured, on=["town1-1"])
    assert world.only.mend == "dvbboxes media show 'a;reboot'"
    world = World().schedule((*FULL, ("promo", 6.0))).have(promo=6 * HOUR).have(promo=None, on=["town1-2"])
    world.others["town1-2", "promo.ts"] = "$(reboot).ts"
    assert world.only.mend == "dvbboxes media rename '$(reboot)' promo --instance town1-2"


def test_a_length_so_small_that_the_repeats_cannot_be_counted_is_a_gap_and_stops_nothing() -> None:
    assert set(World().have(jt="1e-310").codes) == {Code.GAP}


def test_a_withdrawn_file_whose_duration_is_corrupt_is_held_all_the_same() -> None:
    world = World(withdrawn=frozenset({"banned.ts"})).have(banned="x", on=["town1-2"])
    assert (world.only.code, world.only.instances) == (Code.WITHDRAWN, ("town1-2",))


def test_who_does_not_answer_is_not_said_to_hold_a_withdrawn_file() -> None:
    world = World(withdrawn=frozenset({"banned.ts"})).have(banned=60).kill("town1-1")
    (held,) = (one for one in world.find() if one.code is Code.WITHDRAWN)
    assert held.instances == ALL[1:]


# --- between instances ------------------------------------------------------------------------------------------------


def test_what_a_whole_town_holds_is_its_own_and_only_the_odd_one_of_a_town_differs() -> None:
    world = World().schedule(OTHER, DAYS[1], on=ALL[3:])
    assert world.find() == ()
    world.schedule(OTHER, DAYS[1], on=["town1-2"])
    assert (world.only.code, world.only.instances) == (Code.DIFFERS, ("town1-2",))


def test_in_a_town_of_two_the_rest_of_the_fleet_decides_and_then_the_longer_program() -> None:
    world = World().schedule(OTHER, DAYS[1], on=["town2-1"])
    assert world.only.instances == ("town2-1",)
    alone = World(towns={"town2": ALL[3:]}).schedule((*FULL, ("jt", 0.5)), DAYS[1], on=["town2-2"])
    assert (alone.only.instances, alone.only.text) == (
        ("town2-1",),
        "another program than the rest of the town: +0 -1 ~0",
    )


def test_the_same_files_at_other_times_differ_from_the_first_that_is_moved_and_still_to_come() -> None:
    moved = (("film_a", 5.0), ("jt", 0.75), ("film_b", 6.25), ("clips", 6.0))
    world = World(tolerance=3600).schedule(moved, on=["town1-3"])
    found = world.only
    assert (found.code, found.moment) == (Code.DIFFERS, at("13:00"))
    assert found.text.endswith(": +0 -0 ~1")
    world.now = at("14:00")
    assert world.only.moment == world.now


def test_who_has_no_program_or_another_than_was_applied_does_not_differ_besides() -> None:
    world = World().schedule((), DAYS[1], on=["town1-1"]).schedule(OTHER, DAYS[1], on=["town1-2"])
    assert world.codes == [Code.NO_PROGRAM, Code.DIFFERS]
    world.apply(4, FULL, DAYS[1], on=ALL)
    assert [(one.code, one.instances) for one in world.find()] == [
        (Code.NO_PROGRAM, ("town1-1",)),
        (Code.NOT_AS_APPLIED, ("town1-2",)),
    ]


def test_a_program_as_it_was_applied_is_the_one_that_is_meant_though_the_others_differ() -> None:
    world = World().schedule(OTHER, DAYS[1], on=TOWN1).apply(4, OTHER, DAYS[1], on=TOWN1)
    assert world.find() == ()
    world.tolerance = 2.0
    assert world.apply(5, OTHER, DAYS[1], on=TOWN1, shift=2.0).find() == ()
    found = world.apply(6, OTHER, DAYS[1], on=TOWN1, shift=2.5).only
    assert (found.code, found.instances, found.mend) == (Code.NOT_AS_APPLIED, TOWN1, "dvbboxes history 6")


def test_what_was_applied_by_different_runs_is_told_run_by_run() -> None:
    world = World().apply(4, OTHER, DAYS[1], on=["town1-1", "town2-2"]).apply(5, OTHER, DAYS[1], on=["town1-2"])
    assert [(one.instances, one.mend) for one in world.find()] == [
        (("town1-1", "town2-2"), "dvbboxes history 4"),
        (("town1-2",), "dvbboxes history 5"),
    ]


def test_a_program_that_was_deleted_from_here_and_stands_there_again_is_not_as_applied() -> None:
    assert World().apply(4, (), DAYS[1], on=["town1-1"]).only.code is Code.NOT_AS_APPLIED


# --- servers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FailureKind)
def test_an_instance_that_gives_no_answer_is_one_critical_finding_whatever_hangs_on_it(kind: FailureKind) -> None:
    world = World().schedule((), on=["town1-2"]).have(jt=None, clips="x", on=["town1-2"]).kill("town1-2", kind=kind)
    found = world.only
    told = {FailureKind.EMPTY: Code.SUSPECT, FailureKind.TOO_OLD: Code.STALE}.get(kind, Code.UNAVAILABLE)
    assert (found.code, found.severity, found.moment, found.instances) == (told, Severity.CRITICAL, NOW, ("town1-2",))


@pytest.mark.parametrize("kind", FailureKind)
def test_a_fleet_that_gives_no_answer_is_never_ok(kind: FailureKind) -> None:
    found = World().kill(*ALL, kind=kind).find()
    assert [one.instances for one in found] == [(fqdn,) for fqdn in ALL]
    assert {one.severity for one in found} == {Severity.CRITICAL}


def test_what_came_with_an_error_is_not_heard() -> None:
    material = World().have(jt=None, on=["town2-2"]).material
    *others, last = material.gathered.answers
    failed = replace(last, error=Failure(FailureKind.CLOSED, "closed half way"))
    found = find(replace(material, gathered=Gathered((*others, failed))))
    assert [(one.code, one.instances) for one in found] == [(Code.UNAVAILABLE, ("town2-2",))]


def test_what_a_stale_instance_says_is_still_looked_at() -> None:
    world = World().have(jt=None, on=["town1-1"])
    world.worth["town1-1"] = Freshness(State.STALE, None, "its link is down")
    lost, old = world.find()
    assert (lost.code, lost.instances) == (Code.ABSENT, ("town1-1",))
    assert (old.code, old.severity) == (Code.STALE, Severity.WARNING)
    assert old.text == "its data are of unknown age: its link is down"


def test_channels_that_are_not_configured_are_told_each_with_those_that_have_it() -> None:
    world = World(strangers={"town1-1": frozenset({"99", "7"}), "town2-1": frozenset({"99"})})
    assert [(one.service_ids, one.instances) for one in world.find()] == [
        (("7",), ("town1-1",)),
        (("99",), ("town1-1", "town2-1")),
    ]


def test_as_many_keys_passed_over_are_one_note() -> None:
    world = World(passed_over={"town1-1": 1, "town1-2": 3, "town2-1": 1})
    assert [(one.instances, one.text) for one in world.find()] == [
        (("town1-1", "town2-1"), "1 key of db 0 is no program: passed over"),
        (("town1-2",), "3 keys of db 0 are no programs: passed over"),
    ]


def test_a_channel_that_an_instance_does_not_carry_is_neither_missed_nor_looked_at_there() -> None:
    world = World(own={"town1-1": {"channels": frozenset({"86"})}}).schedule((), on=["town1-1"])
    assert world.find() == ()
    world.schedule((*FULL, ("promo", 6.0)), on=["town1-1"])
    assert world.find() == ()


# --- the day, its zone, and the clocks that change --------------------------------------------------------------------


@pytest.mark.parametrize(("eve", "hours"), [(date(2026, 3, 28), 23.0), (date(2026, 10, 24), 25.0), (DAYS[0], 24.0)])
def test_a_day_is_as_long_as_the_clocks_make_it(eve: date, hours: float) -> None:
    whole = (*FULL, ("night", hours - 18.0))
    world = World(zone=PARIS, days=(eve, eve + timedelta(days=1)), now=at("10:00", eve, PARIS), tolerance=0.0)
    assert world.find() == ()
    world.schedule(whole, eve).have(night=(hours - 18.0) * HOUR)
    assert world.find() == ()
    found = world.have(night=(hours - 18.0) * HOUR + 1).only
    morning = at("07:30", eve + timedelta(days=1), PARIS)
    assert (found.code, found.moment, found.days) == (Code.OVERRUN, morning, (eve,))
    assert morning - at("07:30", eve, PARIS) == hours * HOUR
    assert found.text.startswith("ends at 07:30:01")


@pytest.mark.parametrize("eve", [date(2026, 3, 28), date(2026, 10, 24)])
def test_on_the_day_after_the_clocks_changed_all_is_as_ever(eve: date) -> None:
    day = eve + timedelta(days=1)
    world = World(zone=PARIS, days=(eve, day), now=at("10:00", eve, PARIS)).schedule((), day)
    begin = at("07:30", day, PARIS)
    assert (world.only.moment, world.only.severity) == (begin, Severity.CRITICAL)
    world.now = begin - 1
    world.schedule((), eve).schedule(FULL, day)
    assert (world.only.days, world.only.moment) == ((eve,), world.now)  # the last second of the eve
    world.now = begin
    assert world.find() == ()


def test_each_instance_has_its_day_in_its_own_zone_and_moments_are_said_in_the_configured_one() -> None:
    world = World(own=EAST)  # the same days there begin, and end, two hours earlier
    assert world.find() == ()
    world.schedule(FULL[:3], DAYS[1])
    first, second = world.find()
    assert (first.code, first.instances, first.moment) == (Code.SHORT, ALL[3:], at("17:30", DAYS[1]))
    assert first.text == "ends at 17:30: dvbbox plays film_b 3 times"
    assert (second.instances, second.moment) == (TOWN1, at("19:30", DAYS[1]))
    assert second.mend == "dvbboxes program simulate 25112026 -s 85 --instance town1-1,town1-2,town1-3"


def test_one_trouble_in_two_zones_is_one_finding_from_when_it_first_hurts() -> None:
    west = at("07:30", DAYS[1])
    world = World(own=EAST, now=west - 25 * HOUR).schedule((), DAYS[1])
    found = world.only
    assert (found.code, found.instances, found.moment) == (Code.NO_PROGRAM, ALL, west - 2 * HOUR)
    assert found.severity is Severity.CRITICAL


def test_a_day_that_is_over_in_one_zone_and_on_air_in_another_is_looked_at_only_there() -> None:
    world = World(own=EAST, now=at("06:00", DAYS[0])).schedule((), DAYS[0])
    assert (world.only.code, world.only.instances) == (Code.NO_PROGRAM, TOWN1)


# --- folding, order, and what is left out -----------------------------------------------------------------------------


def test_one_cause_is_one_line_over_instances_channels_and_days() -> None:
    assert [one.instances for one in World().schedule(FULL[:3]).find()] == [ALL]
    lost = World().have(clips=None, on=TOWN1).only
    assert (lost.instances, lost.service_ids, lost.days) == (TOWN1, ("85", "86"), DAYS)
    odd = World().schedule((*FULL, ("jt", 0.5)), DAYS[1], on=["town1-1", "town2-1"]).only
    assert (odd.code, odd.instances) == (Code.DIFFERS, ("town1-1", "town2-1"))


def test_a_command_names_instances_where_they_are_few_and_not_all() -> None:
    def mends(world: World) -> str:
        return world.schedule(FULL[:3], DAYS[1]).only.mend

    every = "dvbboxes program simulate 25112026 -s 85"
    assert mends(World(towns={"town1": TOWN1})) == every
    five = World(towns={"town1": (*ALL, "silent")}).kill("silent").schedule(FULL[:3], DAYS[1])
    assert [one.mend for one in five.find()][1:] == [every]
    four = World().kill("town2-2").schedule(FULL[:3], DAYS[1])
    assert [one.mend for one in four.find()][1:] == [f"{every} --instance {','.join(ALL[:4])}"]


def test_two_troubles_at_once_on_one_channel_both_appear() -> None:
    world = World().schedule((("film_a", 5.0), ("jt", 1.0), ("film_b", 6.5)), DAYS[1]).have(jt=None, on=["town1-1"])
    assert world.codes == [Code.ABSENT, Code.GAP, Code.SHORT]


def test_the_gravest_comes_first_then_what_hurts_first_and_notes_last() -> None:
    world = World(passed_over={"town1-1": 1}).schedule(FULL[:3], DAYS[1]).schedule((), DAYS[1], "86", on=["town1-2"])
    world.schedule((("film_a", 5.0), ("jt", 1.0), *FULL[2:]), DAYS[2], "86").have(clips=None, on=["town1-3"])
    world.kill("town2-2")
    found = world.find()
    assert [one.code for one in found] == [
        Code.UNAVAILABLE, Code.ABSENT, Code.NO_PROGRAM, Code.SHORT, Code.GAP, Code.PASSED_OVER,
    ]  # fmt: skip
    assert list(found) == sorted(found, key=lambda one: (-one.severity, one.moment))


def test_a_program_far_longer_than_any_listing_makes_is_one_overrun() -> None:
    month = [entry for _ in range(40) for entry in (*FULL, ("night", 6.0))]
    world = World().have(night=6 * HOUR).schedule(month, DAYS[1])
    found = world.only
    assert (found.code, found.moment, found.days) == (Code.OVERRUN, at("07:30", DAYS[2]), (DAYS[1],))
    many = World().have(spot=1.0).schedule([("spot", 1 / 3600)] * 5000, DAYS[1])
    assert (many.only.code, many.only.text) == (Code.SHORT, "ends at 08:53:20: dvbbox plays spot 81341 times")


def test_what_is_ignored_is_left_out_everywhere_or_on_one_instance_and_counted_only_where_whole() -> None:
    found = World().have(clips=None, on=["town1-2", "town2-1"]).kill("town1-1").find()
    assert without(found, frozenset()) == (found, 0)
    dead, lost = found
    assert without(found, frozenset({(Code.ABSENT, None)})) == ((dead,), 1)
    assert without(found, frozenset({(Code.ABSENT, "town1-2")})) == ((dead, replace(lost, instances=("town2-1",))), 0)
    both = frozenset({(Code.ABSENT, "town1-2"), (Code.ABSENT, "town2-1")})
    assert without(found, both) == ((dead,), 1)
    assert without(found, frozenset({(Code.SHORT, None), (Code.UNAVAILABLE, "town1-2")})) == (found, 0)
    assert without(found, both | {(Code.UNAVAILABLE, None)}) == ((), 2)


def test_a_finding_is_taken_apart_by_instances_as_for_maintenance() -> None:
    found = World().have(clips=None, on=["town1-2", "town2-1"]).only
    assert found.on({"town1-2", "town2-1", "town1-1"}) is found
    assert found.on({"town2-1"}) == replace(found, instances=("town2-1",))
    assert found.on({"town1-1"}) is None


def test_an_instance_under_maintenance_is_looked_at_like_any_other() -> None:
    own = {"town1-2": {"maintenance": True}}
    assert World(own=own).have(clips=None, on=["town1-2"]).only == World().have(clips=None, on=["town1-2"]).only


def test_a_file_absent_on_two_and_renamed_on_one_is_told_apart() -> None:
    world = World().have(clips=None, on=["town1-2", "town2-1"])
    world.others["town1-2", "clips.ts"] = "klips.ts"
    world.others["town1-1", "jt.ts"] = "news.ts"  # nobody misses it there
    assert [(one.code, one.instances) for one in world.find()] == [
        (Code.ABSENT, ("town2-1",)),
        (Code.RENAMED, ("town1-2",)),
    ]


# --- whatever the fleet says ------------------------------------------------------------------------------------------

NAMES = ("film_a", "jt", "film_b", "clips", "lost")
#: What db 1 says of a file: nothing, each kind of value, lengths that fit the times below and such as never do.
VALUES = (None, "0", "3.14", "nan", "1e300", "0.001", "1800", "1801", "18000", "23400")
LISTED = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from((0.0, 0.5, 5.0, 6.5, 30.0))), max_size=5)
SMALL = {"town1": ("town1-1", "town1-2"), "town2": ("town2-1",)}
FQDNS = ("town1-1", "town1-2", "town2-1")


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Return a small fleet with anything in it: up to three different programs a day, any durations, any silence."""
    world = World(towns=SMALL, days=DAYS[:2], now=draw(st.sampled_from((NOW, at("07:30"), at("13:00"), at("03:00")))))
    pool = draw(st.lists(st.tuples(LISTED, st.sampled_from((0.0, 0.5, -1.0, -40.0))), min_size=1, max_size=3))
    for fqdn, day in [(fqdn, day) for fqdn in FQDNS for day in world.days]:
        listed, late = draw(st.sampled_from(pool))
        corrupt = draw(st.sampled_from(((), (), ("entry 'x' has no index",))))
        world.schedule(listed, day, on=[fqdn], late=late, corrupt=corrupt)
    for fqdn in FQDNS:
        world.have(on=[fqdn], **{name: draw(st.sampled_from(VALUES)) for name in NAMES})
        kind = draw(st.sampled_from((None, None, None, FailureKind.TIMEOUT, FailureKind.EMPTY)))
        if kind is not None:
            world.kill(fqdn, kind=kind)
    world.withdrawn = draw(st.sampled_from((frozenset(), frozenset({"jt.ts", "lost.ts"}))))
    if draw(st.booleans()):
        world.apply(3, draw(LISTED), DAYS[1], on=FQDNS)
    return world


def plain(one: Finding) -> tuple[object, ...]:
    return one.code, one.severity, one.moment, sorted(one.instances), one.service_ids, one.days, one.media


@given(worlds())
@settings(max_examples=60, deadline=None)
def test_whatever_a_fleet_says_is_found_of_it_in_the_same_order_whoever_is_heard_first(world: World) -> None:
    material = world.material
    found = find(material)
    known = {instance.fqdn for instance in material.config.instances}
    for one in found:
        assert one.instances and set(one.instances) <= known
        assert len(set(one.instances)) == len(one.instances)
        assert one.moment >= world.now
        assert one.text and one.mend.startswith("dvbboxes ")
    assert list(found) == sorted(found, key=lambda one: one.urgency)
    silent = set(world.failures)
    assert {fqdn for one in found if one.code in (Code.UNAVAILABLE, Code.SUSPECT) for fqdn in one.instances} == silent
    assert not any(silent & set(one.instances) and len(one.instances) > 1 for one in found)
    # Between equals the first in the configuration decides who differs (SPEC 4), so of that alone the order is a part.
    expected = [plain(one) for one in found if one.code is not Code.DIFFERS]
    for answers in permutations(material.gathered.answers):
        heard = find(replace(material, gathered=Gathered(answers)))
        told = [plain(one) for one in heard if one.code is not Code.DIFFERS]
        assert sorted(map(str, told)) == sorted(map(str, expected))
        assert [each[:3] for each in told] == [each[:3] for each in expected]


@given(worlds(), st.sampled_from(FQDNS))
@settings(max_examples=40, deadline=None)
def test_who_falls_silent_hides_nobody_elses_trouble(world: World, fqdn: str) -> None:
    def own(material: Material) -> set[tuple[Code, str, tuple[date, ...], str]]:
        """Return the trouble that hangs on nobody else's answer, instance by instance; a file's days are everyone's."""
        alone = (Code.NO_PROGRAM, Code.CORRUPT_PROGRAM, Code.ABSENT, Code.UNMEASURED, Code.CORRUPT_DURATION)
        return {
            (one.code, who, () if one.media else (day,), one.media)
            for one in find(material)
            if one.code in (*alone, Code.NO_LENGTH, Code.NOT_AS_APPLIED)
            for who in one.instances
            if who != fqdn
            for day in one.days
        }

    before = own(world.material)
    world.failures[fqdn] = Failure(FailureKind.TIMEOUT, "no answer")
    assert own(world.material) == before
