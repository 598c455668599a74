"""Two days without one server: listings are applied meanwhile, and it comes back with its old, longer programs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from applying import DAY, START, Stage, program
from going import CONVERGE, DIFF, HISTORY, go, resume
from stages import ALL

from dvbboxes.demo.world import World
from dvbboxes.errors import ExitStatus

#: Two days of outage, played through on a fleet of its own: run by make test-slow.
pytestmark = pytest.mark.slow

OFF = ALL[3]
#: What the server that goes off holds: one film longer than what is meant by the time it is back.
OLD = ("film", "clip", "jt", "clip", "film")
NEW = ("film", "jt", "clip")
DAYS = tuple(DAY + timedelta(days=n) for n in range(4))
SPAN = f"{DAYS[0]:%d/%m/%Y}..{DAYS[-1]:%d/%m/%Y}"
#: Before the first day, and when the server is back: the first two days are over, the third is on air.
BEFORE, BACK = START - 3600, START + 2 * 86400 + 3600


@pytest.fixture
def stage(small_fleet: Callable[..., World], tmp_path: Path) -> Stage:
    """A fleet that keeps its data over a restart, put through the outage up to the server's return."""
    world = small_fleet(settings=("appendonly yes", "appendfsync always"))
    stage = Stage(world, tmp_path)
    stage.load()
    done = stage.apply(stage.write(*((day, OLD) for day in DAYS)), now=BEFORE)
    assert done.status is ExitStatus.DONE
    world.kill(world.master(OFF), world.replica(OFF))
    listing = stage.write(*((day, NEW) for day in DAYS))
    refused = stage.apply(listing, now=BEFORE, allow=["on-air"])
    assert refused.status is ExitStatus.REFUSED
    done = stage.apply(listing, now=BEFORE, allow=["unreachable"])
    assert done.status is ExitStatus.PARTIAL
    world.restart(world.master(OFF), world.replica(OFF))
    world.servers.mend()
    return stage


def on_air_and_after(stage: Stage) -> list[bool]:
    """Return, for each day, whether every master and replica holds what is meant."""
    return [stage.everywhere(day) == [program(*NEW, day=day)] for day in DAYS]


def test_the_old_longer_program_is_seen_and_not_brought_home_by_itself(stage: Stage) -> None:
    assert stage.master(OFF) == program(*OLD)
    diff = go(stage, DIFF, day=SPAN, services=["85"], now=BACK)
    assert diff.status is ExitStatus.DIFFERENCE
    assert "3 instances" in diff.text and OFF in diff.text
    owed = go(stage, HISTORY, owed=True)
    assert (owed.status, {one["instance"] for one in owed.data["programs"]}) == (ExitStatus.DIFFERENCE, {OFF})


def test_resume_brings_it_home(stage: Stage) -> None:
    assert resume(stage, 2, now=BACK).status is ExitStatus.REFUSED  # the third day is on air
    done = resume(stage, 2, now=BACK, allow=["on-air"])
    assert [line["day"] for line in done.data["programs"]] == [f"{day:%d%m%Y}" for day in DAYS[2:]]
    assert on_air_and_after(stage) == [False, False, True, True]
    assert "2 programs: no longer owed, the day is over" in done.text
    assert "--service_id 85 --stream" in done.text
    assert go(stage, HISTORY, owed=True).text == "nothing is owed\n"
    assert resume(stage, 2, now=BACK).data["run"] is None


def test_converge_brings_it_home_too_and_the_longer_program_wins_nowhere(stage: Stage) -> None:
    days = f"{DAYS[2]:%d/%m/%Y}..{DAYS[3]:%d/%m/%Y}"
    assert go(stage, CONVERGE, day=days, now=BACK).status is ExitStatus.REFUSED
    done = go(stage, CONVERGE, day=days, now=BACK, allow=["on-air"])
    assert {line["instance"] for line in done.data["programs"]} == {OFF}
    assert on_air_and_after(stage) == [False, False, True, True]
    resume(stage, 2, now=BACK)
    assert on_air_and_after(stage) == [False, False, True, True]
    again = go(stage, DIFF, day=days, services=["85"], now=BACK)
    assert again.status is ExitStatus.DONE


def test_a_whole_fleet_of_old_programs_against_one_is_not_outvoted_by_length(stage: Stage) -> None:
    """Even where the journal is lost, two of two in a town that differ are for a person to decide."""
    (stage.data / "journal.sqlite").unlink()
    done = go(stage, CONVERGE, day=f"{DAYS[3]:%d/%m/%Y}", now=BACK)
    assert done.status is ExitStatus.REFUSED
    assert stage.master(OFF, DAYS[3]) == program(*OLD, day=DAYS[3])
    go(stage, CONVERGE, day=f"{DAYS[3]:%d/%m/%Y}", now=BACK, source=ALL[2])
    assert stage.everywhere(DAYS[3]) == [program(*NEW, day=DAYS[3])]
