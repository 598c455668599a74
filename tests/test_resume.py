"""Going on with a run: what is left, nothing twice, never over a newer one; what is not known is settled by reading."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import waits
from applying import DAY, NEXT, NOW, SECONDS, START, Stage, program, storing
from going import CONVERGE, HISTORY, ROLLBACK, go, hidden, resume, runs, whole
from sshd import Hosts
from stages import ALL

from dvbboxes.demo.servers import tell
from dvbboxes.demo.world import World
from dvbboxes.errors import ExitStatus, Locked, UnknownName, UsageError
from dvbboxes.journal import Journal
from dvbboxes.lock import hold
from dvbboxes.model import Entry, Stored
from dvbboxes.records import ChangeState, NewRun, PlannedChange, Progress, RunKind, RunState, UpdateState

WHOLE = ("film", "clip", "jt")
OTHER = ("film", "jt", "clip")
LAST = ALL[3]


@pytest.fixture
def stage(fleet: World, tmp_path: Path) -> Stage:
    return Stage(fleet, tmp_path)


def written(stage: Stage) -> list[bytes]:
    """Return how many changes each master has seen."""
    found = []
    for fqdn in ALL:
        (info,) = tell(stage.world.master(fqdn).endpoint, [(0, ("INFO", "persistence"))])
        found.append(next(line for line in info.splitlines() if line.startswith(b"rdb_changes_since_last_save")))
    return found


def events(stage: Stage, run: int) -> list[str]:
    return [event.text for event in whole(stage, run).events]


def half_done(stage: Stage) -> None:
    """Apply a day while the last master is off: it is owed there."""
    stage.load()
    with hidden(stage, LAST):
        done = stage.apply(stage.write((DAY, WHOLE)), allow=["unreachable"])
    assert done.status is ExitStatus.PARTIAL
    assert stage.master(LAST) == []


# --- what is left ---------------------------------------------------------------------------------------------------


def test_what_is_owed_is_written_when_the_master_is_back_and_nothing_else(stage: Stage) -> None:
    half_done(stage)
    before = written(stage)
    done = resume(stage, 1)
    assert (done.status, stage.everywhere()) == (ExitStatus.DONE, [program(*WHOLE)])
    assert [line["instance"] for line in done.data["programs"]] == [LAST]
    assert written(stage)[:3] == before[:3]
    assert (runs(stage), whole(stage, 1).run.state) == ([1], RunState.DONE)
    assert go(stage, HISTORY, owed=True).status is ExitStatus.DONE


def test_a_second_resume_changes_nothing(stage: Stage) -> None:
    half_done(stage)
    resume(stage, 1)
    before = (written(stage), events(stage, 1))
    again = resume(stage, 1)
    assert (again.status, again.data["run"], (written(stage), events(stage, 1))) == (0, None, before)


def test_a_master_that_is_still_off_stays_owed(stage: Stage) -> None:
    half_done(stage)
    with hidden(stage, LAST):
        done = resume(stage, 1)
    assert done.status is ExitStatus.NO_ANSWER
    assert f"{LAST}: 1 program: still owed" in done.text
    assert [one["instance"] for one in go(stage, HISTORY, owed=True).data["programs"]] == [LAST]
    assert resume(stage, 1).status is ExitStatus.DONE


def test_one_is_back_and_one_is_not(stage: Stage) -> None:
    stage.load()
    with hidden(stage, ALL[2], LAST):
        stage.apply(stage.write((DAY, WHOLE)), allow=["unreachable"])
    with hidden(stage, LAST):
        assert resume(stage, 1).status is ExitStatus.PARTIAL
    assert (stage.master(ALL[2]), stage.master(LAST)) == (program(*WHOLE), [])
    assert whole(stage, 1).run.state is RunState.PARTIAL


def test_only_the_instances_and_days_asked_for(stage: Stage) -> None:
    stage.load()
    with hidden(stage, ALL[2], LAST):
        stage.apply(stage.write((DAY, WHOLE), (NEXT, WHOLE)), allow=["unreachable"])
    resume(stage, 1, instances=[LAST], days="25/11/2026")
    assert (stage.master(LAST), stage.master(LAST, NEXT), stage.master(ALL[2])) == (program(*WHOLE), [], [])


def test_it_is_shown_and_asked(stage: Stage) -> None:
    half_done(stage)
    resume(stage, 1, yes=False)
    assert stage.asked == ["write 1 day on 1 instance?"]


def test_what_was_found_when_it_was_resumed_is_what_a_rollback_puts_back(stage: Stage) -> None:
    stage.load(storing([("/opt/tsfiles/jt.ts:0", START)]))
    with hidden(stage, LAST):
        stage.apply(stage.write((DAY, WHOLE)), allow=["unreachable"])
    resume(stage, 1, allow=["short"])
    assert go(stage, ROLLBACK, id="1", allow=["short"]).status is ExitStatus.DONE
    assert stage.everywhere() == [[("/opt/tsfiles/jt.ts:0", START)]]


def test_files_and_a_run_together_or_neither_are_usage_errors(stage: Stage) -> None:
    half_done(stage)
    with pytest.raises(UsageError, match="or --resume ID"):
        stage.apply()
    with pytest.raises(UsageError, match="or --resume ID"):
        stage.apply(stage.write((DAY, WHOLE)), resume="1")
    with pytest.raises(UsageError, match="no number of a run"):
        resume(stage, 0)
    with pytest.raises(UnknownName, match="no run is called '7'"):
        resume(stage, 7)
    assert stage.master(LAST) == []


# --- never over a newer one -----------------------------------------------------------------------------------------


def test_a_newer_apply_of_the_day_is_never_written_over(stage: Stage) -> None:
    half_done(stage)
    stage.apply(stage.write((DAY, OTHER)))
    done = resume(stage, 1)
    assert (done.status, stage.everywhere()) == (ExitStatus.DONE, [program(*OTHER)])
    assert events(stage, 1)[-2] == "refused: run 2 is newer there: it gives way"


def test_a_newer_apply_that_is_owed_too_is_the_one_that_counts(stage: Stage) -> None:
    half_done(stage)
    with hidden(stage, LAST):
        stage.apply(stage.write((DAY, OTHER)), allow=["unreachable"])
    resume(stage, 1)
    assert stage.master(LAST) == []
    resume(stage, 2)
    assert stage.everywhere() == [program(*OTHER)]
    assert go(stage, HISTORY, owed=True).text == "nothing is owed\n"


def test_a_newer_apply_that_found_the_day_as_it_means_it_counts_as_well(stage: Stage) -> None:
    """The last master holds the newer program already: nothing is written there, and yet it was meant."""
    stage.load(storing(program(*OTHER)))
    with hidden(stage, LAST):
        stage.apply(stage.write((DAY, WHOLE)), allow=["unreachable"])
    stage.apply(stage.write((DAY, OTHER)))
    resume(stage, 1)
    assert stage.everywhere() == [program(*OTHER)]


def test_the_same_where_nothing_at_all_was_left_to_write(stage: Stage) -> None:
    stage.load(storing(program(*OTHER)))
    with hidden(stage, LAST):
        stage.apply(stage.write((DAY, WHOLE)), allow=["unreachable"])
    stage.apply(stage.write((DAY, OTHER)), instances=[LAST])
    resume(stage, 1)
    assert stage.master(LAST) == program(*OTHER)
    assert go(stage, HISTORY, owed=True).text == "nothing is owed\n"


def test_the_same_where_it_was_a_converge_that_found_it(stage: Stage) -> None:
    stage.load(storing(program(*OTHER)))
    with hidden(stage, LAST):
        stage.apply(stage.write((DAY, WHOLE)), allow=["unreachable"])
    go(stage, CONVERGE, day="25/11/2026", services=["85"], source=LAST, instances=[LAST])
    resume(stage, 1)
    assert stage.master(LAST) == program(*OTHER)


def test_a_run_with_nothing_owed_journals_no_kept_program(stage: Stage) -> None:
    stage.load()
    stage.apply(stage.write((DAY, WHOLE)))
    assert stage.apply(stage.write((DAY, WHOLE))).data["run"] is None
    assert runs(stage) == [1]


# --- what is not known is settled by reading ------------------------------------------------------------------------


def killed(stage: Stage, state: ChangeState, before: Stored, *, update: UpdateState = UpdateState.NOT_ASKED) -> int:
    """Leave what a run that was killed leaves: one program in that state on the last master, the run open."""
    after = tuple(Entry(member, start) for member, start in program(*WHOLE))
    asked = NewRun(RunKind.APPLY, "rado", "hq", "x", "", "", "", (), NOW)
    stage.data.mkdir(parents=True, exist_ok=True)
    with Journal.open(stage.data, write=True) as journal:
        run = journal.begin(asked, [PlannedChange("town2", LAST, DAY, "85", before, after)], NOW)
        journal.advance(run, [Progress(LAST, DAY, "85", state, update=update)], NOW)
    return run


OPEN = [ChangeState.PLANNED, ChangeState.WRITING, ChangeState.WRITTEN, ChangeState.UNKNOWN, ChangeState.FAILED]


@pytest.mark.parametrize("state", OPEN)
def test_what_is_there_is_not_written_again(stage: Stage, state: ChangeState) -> None:
    stage.load(town2_2=[storing(program(*WHOLE))])
    run, before = killed(stage, state, ()), written(stage)
    done = resume(stage, run)
    assert (done.status, written(stage), stage.master(LAST)) == (ExitStatus.DONE, before, program(*WHOLE))
    (change,) = whole(stage, run).changes
    assert (change.state, change.replicated) == (ChangeState.VERIFIED, True)
    assert "verified: found on the master: it had been written" in events(stage, run)
    assert whole(stage, run).run.state is RunState.DONE


@pytest.mark.parametrize("state", OPEN)
def test_what_is_not_there_is_written(stage: Stage, state: ChangeState) -> None:
    stage.load()
    run = killed(stage, state, ())
    assert resume(stage, run).status is ExitStatus.DONE
    assert (stage.master(LAST), stage.touched()) == (program(*WHOLE), [LAST])


@pytest.mark.parametrize("state", OPEN)
def test_what_somebody_else_wrote_is_left(stage: Stage, state: ChangeState) -> None:
    stage.load(town2_2=[storing(program(*OTHER))])
    run = killed(stage, state, ())
    done = resume(stage, run)
    assert (stage.master(LAST), done.data["run"]) == (program(*OTHER), None)
    assert whole(stage, run).changes[0].state is ChangeState.REFUSED
    assert f"{LAST}: 1 program: left as it is, somebody else changed it since" in done.text


def test_a_run_killed_at_its_very_end_is_only_finished(stage: Stage) -> None:
    stage.load()
    stage.apply(stage.write((DAY, WHOLE)))
    with Journal.open(stage.data, write=True) as journal:
        journal.finish(1, RunState.OPEN, NOW)
    before = written(stage)
    assert resume(stage, 1).status is ExitStatus.DONE
    assert (whole(stage, 1).run.state, written(stage)) == (RunState.DONE, before)


def test_a_channel_that_is_no_longer_configured_is_named_and_left(stage: Stage) -> None:
    half_done(stage)
    stage.replace.append(("85=Ma chaine\n", ""))
    done = resume(stage, 1)
    assert (done.status, done.data["run"], stage.master(LAST)) == (ExitStatus.PARTIAL, None, [])
    assert f"{LAST}: this instance or its channel 85 is no longer in the configuration" in done.text


# --- guards ---------------------------------------------------------------------------------------------------------


def test_a_day_that_is_over_by_then_is_no_longer_owed(stage: Stage) -> None:
    stage.load()
    days = ((DAY, WHOLE), (NEXT, WHOLE))
    with hidden(stage, LAST):
        stage.apply(stage.write(*days), allow=["unreachable"])
    later = START + 86400 - 3600  # the first day is on air, the second begins in an hour
    assert resume(stage, 1, now=later).status is ExitStatus.REFUSED
    later = START + 86400 + 60
    done = resume(stage, 1, now=later, allow=["on-air"])
    assert (stage.master(LAST), stage.master(LAST, NEXT)) == ([], program(*WHOLE, day=NEXT))
    assert f"{LAST}: 1 program: no longer owed, the day is over" in done.text
    assert "dvbbox program 26112026 --service_id 85 --stream" in done.text


def test_what_was_released_for_good_stays_released_and_the_moment_is_judged_anew(stage: Stage) -> None:
    stage.load(without={fqdn: ["jt"] for fqdn in ALL})
    with hidden(stage, LAST):
        stage.apply(stage.write((DAY, WHOLE)), allow=["unreachable,missing,on-air"])
    assert stage.master(LAST) == []
    assert resume(stage, 1, now=START + 60).status is ExitStatus.REFUSED
    assert resume(stage, 1).status is ExitStatus.DONE
    assert len(stage.master(LAST)) == 3


# --- updates --------------------------------------------------------------------------------------------------------


@pytest.fixture
def hosted(fleet: World, tmp_path: Path, ssh_hosts: Callable[[World], Hosts]) -> Iterator[tuple[Stage, Hosts]]:
    hosts = ssh_hosts(fleet)
    for fqdn in ALL:
        hosts[fqdn].put(*(f"/opt/tsfiles/{name}.ts" for name in SECONDS))
    yield Stage(fleet, tmp_path, hosts.config_path), hosts


def test_an_update_that_failed_is_asked_again_and_nothing_is_written(hosted: tuple[Stage, Hosts]) -> None:
    stage, hosts = hosted
    stage.load()
    hosts[LAST].behave("exit 1")
    assert stage.apply(stage.write((DAY, WHOLE))).status is ExitStatus.PARTIAL
    assert [one["instance"] for one in go(stage, HISTORY, owed=True).data["updates"]] == [LAST]
    hosts[LAST].behave()
    before = len(hosts[ALL[0]].calls)
    done = resume(stage, 1)
    assert (done.status, whole(stage, 1).run.state) == (ExitStatus.DONE, RunState.DONE)
    assert ("writing" in events(stage, 1)[-6:], len(hosts[ALL[0]].calls)) == (False, before)
    assert go(stage, HISTORY, owed=True).text == "nothing is owed\n"


def test_a_run_killed_before_it_asked_for_the_update_asks_when_it_is_resumed(hosted: tuple[Stage, Hosts]) -> None:
    stage, hosts = hosted
    stage.load(town2_2=[storing(program(*WHOLE))])
    run = killed(stage, ChangeState.VERIFIED, ())
    assert resume(stage, run).status is ExitStatus.DONE
    assert len(hosts[LAST].calls) == 1
    assert whole(stage, run).changes[0].update is UpdateState.DONE


def test_what_a_killed_update_made_of_a_program_is_not_taken_for_somebody_else(hosted: tuple[Stage, Hosts]) -> None:
    stage, hosts = hosted
    moved = [(member, start + 60) for member, start in program(*WHOLE)]
    stage.load(town2_2=[storing(moved)])
    run = killed(stage, ChangeState.VERIFIED, (), update=UpdateState.PENDING)
    assert resume(stage, run).status is ExitStatus.DONE
    assert (len(hosts[LAST].calls), stage.master(LAST)) == (1, moved)
    (change,) = whole(stage, run).changes
    assert [(entry.member, entry.start) for entry in change.expected] == moved


# --- the story ------------------------------------------------------------------------------------------------------


def test_a_days_whole_story_is_read_from_history_alone(stage: Stage) -> None:
    half_done(stage)
    resume(stage, 1)
    go(stage, ROLLBACK, id="1", command="dvbboxes rollback 1")
    stage.apply(stage.write((DAY, OTHER)), instances=[ALL[0]])
    go(stage, CONVERGE, day="25/11/2026", services=["85"], towns=["town1"])
    told = go(stage, HISTORY, day="25/11/2026").text
    said = [line.split("  ", 1)[1] for line in told.splitlines()]
    expected = [
        "run 1  apply asked by tester on here",
        "run 1  town1-1, town1-2, town2-1 25/11 85: planned: create 3",
        "run 1  town2-2 25/11 85: planned: 3 entries: owed: its master could not be looked at",
        "run 1  partial: 1 planned, 3 verified",
        "run 1  resumed by tester on here",
        "run 1  town2-2 25/11 85: verified",
        "run 1  done: 4 verified",
        "run 2  rollback asked by tester on here: dvbboxes rollback 1",
        "run 2  town1-1, town1-2, town2-1 and 1 more 25/11 85: planned: delete 3",
        "run 3  apply asked by tester on here",
        "run 4  converge asked by tester on here",
        "run 4  town1-2 25/11 85: verified",
    ]
    positions = [next(n for n, line in enumerate(said) if line.startswith(start)) for start in expected]
    assert positions == sorted(positions)


def test_these_tests_do_not_wait_for_a_deadline(stage: Stage) -> None:
    half_done(stage)
    with hidden(stage, LAST), waits.counted() as waited:
        resume(stage, 1)
    assert waited.in_vain < stage.deadline / 2


# --- what is forgotten ----------------------------------------------------------------------------------------------


def test_pruning_keeps_what_is_owed_and_what_was_last_applied_to_a_younger_day(stage: Stage) -> None:
    half_done(stage)
    stage.apply(stage.write((NEXT, WHOLE)))
    stage.apply(stage.write((NEXT, OTHER)))
    much_later = NOW + 5 * 86400  # the days are still to come
    assert go(stage, HISTORY, prune="1", now=much_later).data["runs"] == 1
    assert runs(stage) == [1, 3]
    assert go(stage, HISTORY, prune="1", now=START + 30 * 86400).data["runs"] == 2
    assert runs(stage) == []


def test_pruning_waits_for_nobody_and_names_whole_days(stage: Stage) -> None:
    half_done(stage)
    with pytest.raises(UsageError, match="no number of days"):
        go(stage, HISTORY, prune="x")
    with pytest.raises(UsageError, match="one of ID"):
        go(stage, HISTORY, prune="3", owed=True)
    with hold(stage.data, "somebody", "a long run", NOW), pytest.raises(Locked, match="somebody"):
        go(stage, HISTORY, prune="3")
    assert runs(stage) == [1]
