"""What ``check --changes`` makes of findings and of what it remembers: new, told again, over. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from inmemory import ALL, CHANNELS, DAYS, FULL, HOUR, NOW, ZONE, World

from dvbboxes.findings import Checked, Code, Finding, Looked, News, Recovered, Remembered, Severity, find, news

pytestmark = pytest.mark.pure

LOOKED = Looked(ALL, ALL, CHANNELS, DAYS, frozenset())
TOMORROW = replace(LOOKED, days=[day + timedelta(days=1) for day in DAYS])
Memory = dict[str, Remembered]


def told(world: World, memory: Memory, looked: Looked = LOOKED, now: float = NOW) -> tuple[News, Memory]:
    return news(find(world.material), memory, looked, now)


def codes(found: tuple[Finding, ...]) -> list[tuple[Code, tuple[str, ...]]]:
    return [(one.code, one.instances) for one in found]


def test_what_is_new_is_told_once_and_on_the_instance_alone_on_which_it_is_new() -> None:
    world = World().have(jt=600, on=["town1-2"])
    first, memory = told(world, {})
    assert codes(first.new) == [(Code.DURATION, ("town1-2",))] and first.any
    second, memory = told(world, memory, now=NOW + HOUR)
    assert (second.new, second.again, second.over, second.still, second.any) == ((), (), (), 1, False)
    assert [one.since for one in memory.values()] == [NOW]
    third, _ = told(world.have(jt=600, on=["town2-1"]), memory)
    assert codes(third.new) == [(Code.DURATION, ("town2-1",))]
    assert third.still == 1  # of the other instance it was told before


def test_an_open_critical_is_told_again_each_day_and_a_warning_is_not() -> None:
    world = World().kill("town2-1").schedule(FULL[:3], DAYS[2])
    _, memory = told(world, {})
    again, memory = told(world, memory, TOMORROW)
    assert codes(again.again) == [(Code.UNAVAILABLE, ("town2-1",))]
    assert (again.new, again.still) == ((), 1)
    assert told(world, memory, TOMORROW)[0].any is False


def test_what_has_grown_graver_is_new() -> None:
    world = World().schedule((), DAYS[2])
    warned, memory = told(world, {})
    assert warned.new[0].severity is Severity.WARNING
    world.now += 24 * HOUR
    assert told(world, memory)[0].new[0].severity is Severity.CRITICAL


def test_what_is_over_is_told_once_and_of_many_instances_as_one() -> None:
    _, memory = told(World().have(jt=600, on=["town1-2", "town2-1"]), {})
    over, memory = told(World(), memory, now=NOW + HOUR)
    (one,) = over.over
    assert isinstance(one, Recovered)
    assert (one.code, one.instances, one.media, one.since) == ("duration", ("town1-2", "town2-1"), "jt.ts", NOW)
    assert memory == {} and told(World(), memory)[0].any is False


def test_a_day_that_has_passed_with_its_trouble_is_no_recovery() -> None:
    _, memory = told(World().schedule(FULL[:3], DAYS[0]), {})
    gone, kept = told(World(days=DAYS[1:]), memory, TOMORROW)
    assert (gone.any, kept) == (False, {})


def test_a_run_of_days_without_a_program_whose_first_day_passes_is_the_same_run() -> None:
    world = World()
    for day in DAYS:
        world.schedule((), day)
    _, memory = told(world, {})
    world.days, world.now = DAYS[1:], NOW + 24 * HOUR
    later, _ = told(world, memory, TOMORROW)
    assert (later.new, later.over) == ((), ())
    assert codes(later.again) == [(Code.NO_PROGRAM, ALL)]


def test_what_was_not_looked_at_is_neither_new_nor_over() -> None:
    _, memory = told(World().have(jt=600, on=["town1-2"]).schedule(FULL[:3], DAYS[2], "86"), {})
    assert len(memory) == 1 + len(ALL)
    fewer = [
        replace(LOOKED, asked=["town2-1"]),
        replace(LOOKED, answered=[]),
        replace(LOOKED, service_ids=["85"]),
        replace(LOOKED, days=DAYS[:1]),
        replace(LOOKED, aside={(Code.DURATION, "town1-2"), (Code.SHORT, None)}),
    ]
    for looked in fewer[1:]:
        assert told(World(), memory, looked) == (News((), (), (), 0), memory), looked
    part, kept = told(World(), memory, fewer[0])
    assert [one.instances for one in part.over] == [("town2-1",)]
    assert len(kept) == len(memory) - 1
    assert len(told(World(), memory)[0].over) == 2


def test_a_server_that_answers_again_is_over_and_one_that_still_does_not_is_not() -> None:
    _, memory = told(World().kill("town2-1"), {})
    without = replace(LOOKED, answered=[fqdn for fqdn in ALL if fqdn != "town2-1"])
    assert told(World().kill("town2-1"), memory, without)[0].any is False
    assert [one.code for one in told(World(), memory)[0].over] == ["unavailable"]


def test_a_check_is_as_grave_as_its_gravest_finding_and_a_note_is_no_trouble() -> None:
    def checked(world: World) -> Checked:
        return Checked(find(world.material), (), 0, None, CHANNELS, ZONE, NOW, len(ALL), len(ALL))

    assert checked(World()).severity is Severity.NOTE
    note = World(passed_over={"town1-1": 1})
    assert (checked(note).severity, checked(note).count(Severity.NOTE)) == (Severity.NOTE, 1)
    both = checked(note.schedule(FULL[:3], DAYS[2]))
    assert (both.severity, both.count(Severity.WARNING), both.count(Severity.CRITICAL)) == (Severity.WARNING, 1, 0)
    assert checked(note.kill("town1-1")).severity is Severity.CRITICAL
