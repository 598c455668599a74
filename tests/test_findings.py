"""The rules of ``check`` on fleets in memory: each trouble is planted, is found, and nothing else is.

`test_check` plants some of them in real Redis servers; what the rules are given here is what a survey makes of those.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from inmemory import ALL, DAYS, FULL, HOUR, NOW, OTHER, START, TOWNS, World, at

from dvbboxes.findings import Code, Finding, Severity
from dvbboxes.model import FailureKind, Freshness, State

pytestmark = pytest.mark.pure

# --- all is well ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [-1.0, 0.0, 2.5, 23.99, 24.0, 71.9])
def test_a_healthy_fleet_gives_no_finding_whenever_it_is_looked_at(hours: float) -> None:
    assert World(now=START + hours * HOUR).find() == ()


def test_no_fleet_and_no_towns_and_no_days_are_no_finding_and_no_error() -> None:
    assert World(towns={}).find() == ()
    assert World(towns={"empty": ()}).find() == ()
    assert World(days=()).find() == ()


# --- every code: exactly that trouble, and exactly that finding -------------------------------------------------------


def unavailable(world: World) -> Finding:
    world.kill("town2-1")
    said = "the replica of town2-1 is gone"
    mend = "dvbboxes cluster status --instance town2-1"
    return Finding(Code.UNAVAILABLE, Severity.CRITICAL, NOW, ("town2-1",), said, mend)


def suspect(world: World) -> Finding:
    world.kill("town1-3", kind=FailureKind.EMPTY)
    said = "the replica of town1-3 is gone"
    mend = "dvbboxes cluster status --instance town1-3"
    return Finding(Code.SUSPECT, Severity.CRITICAL, NOW, ("town1-3",), said, mend)


def stale(world: World) -> Finding:
    world.worth["town1-1"] = Freshness(State.STALE, 5400.4, "the link to its master is down", "down")
    said = "its data are 5400 s old: the link to its master is down"
    mend = "dvbboxes cluster status --instance town1-1"
    return Finding(Code.STALE, Severity.WARNING, NOW, ("town1-1",), said, mend)


def no_program(world: World) -> Finding:
    world.schedule((), DAYS[1], on=["town2-1"])
    said = "nothing scheduled: the channel is black (4 other instances hold a program)"
    mend = "dvbboxes program diff 25112026 -s 85"
    begin = at("07:30", DAYS[1])
    return Finding(Code.NO_PROGRAM, Severity.CRITICAL, begin, ("town2-1",), said, mend, ("85",), (DAYS[1],))


def corrupt_program(world: World) -> Finding:
    world.schedule(FULL, DAYS[1], on=["town1-2"], corrupt=("entry 'x' has no index", "entry 'y' has no index"))
    said = "entry 'x' has no index (and 1 more)"
    mend = "dvbboxes program simulate 25112026 -s 85 --instance town1-2"
    begin = at("07:30", DAYS[1])
    return Finding(Code.CORRUPT_PROGRAM, Severity.CRITICAL, begin, ("town1-2",), said, mend, ("85",), (DAYS[1],))


def short(world: World) -> Finding:
    world.schedule(FULL[:3], DAYS[2], "86")
    said = "ends at 19:30: dvbbox plays film_b 3 times"  # 13:00 to 07:29 by 6 h 30: round(2.84)
    mend = "dvbboxes program simulate 26112026 -s 86"
    return Finding(Code.SHORT, Severity.WARNING, at("19:30", DAYS[2]), ALL, said, mend, ("86",), (DAYS[2],))


def overrun(world: World) -> Finding:
    world.schedule((*FULL, ("film_b", 6.5)), DAYS[1])
    said = "ends at 08:00, after the next day has begun: film_b is cut short"
    mend = "dvbboxes program simulate 25112026 -s 85"
    return Finding(Code.OVERRUN, Severity.WARNING, at("07:30", DAYS[2]), ALL, said, mend, ("85",), (DAYS[1],))


def gap(world: World) -> Finding:
    world.schedule((("film_a", 5.0), ("jt", 1.5), ("film_b", 6.5), ("clips", 6.0)), DAYS[1])
    said = "13:00-14:00 after jt: dvbbox plays it 3 times"
    mend = "dvbboxes program simulate 25112026 -s 85"
    return Finding(Code.GAP, Severity.WARNING, at("13:00", DAYS[1]), ALL, said, mend, ("85",), (DAYS[1],))


def overlap(world: World) -> Finding:
    world.schedule((("film_a", 4.5), ("jt", 0.5), ("film_b", 6.5), ("clips", 6.0)), DAYS[1])
    said = "film_a is 0:30:00 longer than its time: what follows is late"
    mend = "dvbboxes program simulate 25112026 -s 85"
    return Finding(Code.OVERLAP, Severity.WARNING, at("12:00", DAYS[1]), ALL, said, mend, ("85",), (DAYS[1],))


def absent(world: World) -> Finding:
    world.have(jt=None, on=["town1-2"])
    world.now = at("14:00")  # today's jt is over: the next launch needs it
    said = "(airs 12:30): the channel will not start"
    mend = "dvbboxes media missing -s 85,86 --instance town1-2 --fetch"
    begin = at("07:30", DAYS[1])
    return Finding(Code.ABSENT, Severity.CRITICAL, begin, ("town1-2",), said, mend, ("85", "86"), DAYS[1:], "jt.ts")


def renamed_by_hand(world: World) -> Finding:
    world.schedule((*FULL, ("promo", 6.0)), sid="86").have(promo=6 * HOUR)
    world.have(promo=None, on=["town1-2"])
    world.others["town1-2", "promo.ts"] = "promo_final.ts"
    said = "(airs 01:30): a relaunch would fail; promo_final has the same length and is only here: renamed by hand?"
    mend = "dvbboxes media rename promo_final promo --instance town1-2"
    airs = at("01:30")
    return Finding(Code.RENAMED, Severity.CRITICAL, airs, ("town1-2",), said, mend, ("86",), (DAYS[0],), "promo.ts")


def of_jt(code: Code, severity: Severity, text: str) -> Finding:
    """Return what is said of a file of half an hour that airs at 12:30 each day on both channels."""
    mend = "dvbboxes media show jt"
    return Finding(code, severity, at("12:30"), ("town2-2",), text, mend, ("85", "86"), DAYS, "jt.ts")


def unmeasured(world: World) -> Finding:
    world.have(jt="3.14", on=["town2-2"])
    said = "duration unknown, dvbbox takes it for 3.14 s (airs 12:30): dvbbox plays it 573 times"
    return of_jt(Code.UNMEASURED, Severity.CRITICAL, said)


def corrupt_duration(world: World) -> Finding:
    world.have(jt="nan", on=["town2-2"])
    said = "duration 'nan' is no number (airs 12:30): a relaunch would fail, and 85 will not start on 25/11"
    return of_jt(Code.CORRUPT_DURATION, Severity.CRITICAL, said)


def no_length(world: World) -> Finding:
    world.have(jt="0", on=["town2-2"])
    said = "has no length, 0 s (airs 12:30): a relaunch would fail, and 85 will not start on 25/11"
    return of_jt(Code.NO_LENGTH, Severity.CRITICAL, said)


def duration(world: World) -> Finding:
    world.have(jt=600, on=["town2-2"])
    said = "lasts 600 s here, 1800 s elsewhere and in the schedule (airs 12:30): dvbbox plays it 3 times"
    return of_jt(Code.DURATION, Severity.WARNING, said)


def differs(world: World) -> Finding:
    world.schedule((*FULL[:3], ("jt", 0.5), ("clips", 6.0)), DAYS[1], on=["town1-2"])
    said = "another program than the rest of the town: +1 -0 ~1"
    mend = "dvbboxes program diff 25112026 -s 85"
    return Finding(Code.DIFFERS, Severity.WARNING, at("19:30", DAYS[1]), ("town1-2",), said, mend, ("85",), (DAYS[1],))


def not_as_applied(world: World) -> Finding:
    world.apply(7, FULL, DAYS[1], on=ALL)
    world.apply(9, OTHER, DAYS[1], on=["town2-1"])
    said = "holds another program than run 9 applied"
    mend = "dvbboxes history 9"
    begin = at("07:30", DAYS[1])
    return Finding(Code.NOT_AS_APPLIED, Severity.WARNING, begin, ("town2-1",), said, mend, ("85",), (DAYS[1],))


def withdrawn(world: World) -> Finding:
    world.withdrawn = frozenset({"banned.ts"})
    world.have(banned=60, on=["town1-1", "town2-2"])
    mend = "dvbboxes media withdraw banned"
    holders = ("town1-1", "town2-2")
    return Finding(Code.WITHDRAWN, Severity.CRITICAL, NOW, holders, "withdrawn, but held", mend, media="banned.ts")


def unknown_channel(world: World) -> Finding:
    world.strangers["town1-1"] = frozenset({"99"})
    said = "has programs, but the configuration does not know this channel"
    return Finding(Code.UNKNOWN_CHANNEL, Severity.WARNING, NOW, ("town1-1",), said, "dvbboxes config show", ("99",))


def passed_over(world: World) -> Finding:
    world.passed_over["town2-1"] = 2
    said = "2 keys of db 0 are no programs: passed over"
    return Finding(Code.PASSED_OVER, Severity.NOTE, NOW, ("town2-1",), said, "dvbboxes program list")


PLANTED: dict[Code, Callable[[World], Finding]] = {
    Code.UNAVAILABLE: unavailable,
    Code.SUSPECT: suspect,
    Code.STALE: stale,
    Code.NO_PROGRAM: no_program,
    Code.CORRUPT_PROGRAM: corrupt_program,
    Code.SHORT: short,
    Code.OVERRUN: overrun,
    Code.GAP: gap,
    Code.OVERLAP: overlap,
    Code.ABSENT: absent,
    Code.RENAMED: renamed_by_hand,
    Code.UNMEASURED: unmeasured,
    Code.CORRUPT_DURATION: corrupt_duration,
    Code.NO_LENGTH: no_length,
    Code.DURATION: duration,
    Code.DIFFERS: differs,
    Code.NOT_AS_APPLIED: not_as_applied,
    Code.WITHDRAWN: withdrawn,
    Code.UNKNOWN_CHANNEL: unknown_channel,
    Code.PASSED_OVER: passed_over,
}


def test_every_code_there_is_is_planted_below() -> None:
    assert set(PLANTED) == set(Code)


@pytest.mark.parametrize("code", PLANTED, ids=lambda code: code.value)
def test_a_trouble_is_found_whole_and_nothing_else_is(code: Code) -> None:
    world = World()
    expected = PLANTED[code](world)
    assert expected.code is code
    assert world.find() == (expected,)


@pytest.mark.parametrize("code", PLANTED, ids=lambda code: code.value)
def test_the_same_trouble_beside_a_dead_town_is_still_found(code: Code) -> None:
    world = World(towns=TOWNS | {"far": ("far-1", "far-2")}).kill("far-1", "far-2")
    expected = PLANTED[code](world)
    found = {finding.code: finding for finding in world.find() if not finding.instances[0].startswith("far")}
    assert set(found) == {code}
    assert set(found[code].instances) >= set(expected.instances)
    assert (found[code].severity, found[code].moment) == (expected.severity, expected.moment)
    assert [f.instances for f in world.find() if f.instances[0].startswith("far")] == [("far-1",), ("far-2",)]
