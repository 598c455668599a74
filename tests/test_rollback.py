"""Taking a run back: exactly what stood before, refused where somebody wrote since, and a run like any other."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from applying import DAY, NEXT, START, Stage, program, storing
from going import HISTORY, ROLLBACK, go, hidden, resume, runs, whole
from stages import ALL

from dvbboxes.demo.servers import tell
from dvbboxes.demo.world import World
from dvbboxes.errors import ExitStatus, Refused, UnknownName, UsageError
from dvbboxes.model import Entry
from dvbboxes.records import (
    EVERYWHERE,
    Change,
    ChangeState,
    NewRun,
    Run,
    RunKind,
    RunState,
    UpdateState,
    WholeRun,
)
from dvbboxes.undo import rollback

WHOLE = ("film", "clip", "jt")
OTHER = ("film", "jt", "clip")
#: What no listing would write: another folder, a start with a fraction, a member that is no entry.
ODD = [
    ("/mnt/x/film.ts:0", START + 0.12345678),
    ("not an entry", START + 60000.5),
    ("/opt/tsfiles/jt.ts:1", START + 70000),
]


@pytest.fixture
def stage(fleet: World, tmp_path: Path) -> Stage:
    return Stage(fleet, tmp_path)


def test_what_stood_before_is_put_back_member_for_member_score_for_score(stage: Stage) -> None:
    stage.load(storing(ODD))
    assert stage.apply(stage.write((DAY, WHOLE))).status == 0
    done = go(stage, ROLLBACK, id="1")
    assert (done.status, stage.everywhere()) == (ExitStatus.DONE, [sorted(ODD, key=lambda entry: entry[1])])
    assert done.data["kind"] == "rollback"
    assert whole(stage, 2).run.asked.undoes == 1


def test_a_rollback_is_a_run_that_can_be_rolled_back(stage: Stage) -> None:
    stage.load(storing(ODD))
    stage.apply(stage.write((DAY, WHOLE)))
    go(stage, ROLLBACK, id="1")
    assert go(stage, ROLLBACK, id="2").status == 0
    assert stage.everywhere() == [program(*WHOLE)]
    assert go(stage, ROLLBACK, id="3").status == 0
    assert stage.everywhere() == [sorted(ODD, key=lambda entry: entry[1])]


def test_a_program_that_was_created_goes(stage: Stage) -> None:
    stage.load()
    stage.apply(stage.write((DAY, WHOLE), (NEXT, WHOLE)))
    planned = go(stage, ROLLBACK, id="1", dry_run=True)
    assert {change["action"] for change in planned.data["changes"]} == {"delete"}
    assert "delete 3" in planned.text
    assert stage.everywhere() == [program(*WHOLE)]
    assert go(stage, ROLLBACK, id="1").status == 0
    assert stage.touched() == []


def test_what_changed_since_is_refused_and_nothing_is_written(stage: Stage) -> None:
    stage.load()
    stage.apply(stage.write((DAY, WHOLE), (NEXT, WHOLE)))
    tell(stage.world.master(ALL[1]).endpoint, [storing([("/opt/tsfiles/jt.ts:0", START)])])
    changed = stage.master(ALL[1])
    done = go(stage, ROLLBACK, id="1", allow=["missing,past,on-air,short,unreachable,own"])
    assert done.status is ExitStatus.REFUSED
    assert [(r["instances"], r["hazard"]) for r in done.data["refusals"]] == [([ALL[1]], None)]
    assert "changed since run 1" in done.text
    assert (stage.master(ALL[0]), stage.master(ALL[1]), runs(stage)) == (program(*WHOLE), changed, [1])
    rest = go(stage, ROLLBACK, id="1", only_ready=True)
    assert rest.status is ExitStatus.REFUSED
    assert [stage.master(fqdn, NEXT) for fqdn in ALL] == [[]] * 4
    assert (stage.master(ALL[0]), stage.master(ALL[1])) == (program(*WHOLE), changed)


def test_only_the_days_towns_and_channels_asked_for(stage: Stage) -> None:
    stage.load()
    stage.apply(stage.write((DAY, WHOLE), (NEXT, WHOLE)))
    assert go(stage, ROLLBACK, id="1", days="25/11/2026", towns=["town1"]).status == 0
    assert [stage.master(fqdn) for fqdn in ALL] == [[], [], program(*WHOLE), program(*WHOLE)]
    assert stage.everywhere(NEXT) == [program(*WHOLE, day=NEXT)]
    go(stage, ROLLBACK, id="1", services=["86"])
    assert stage.everywhere(NEXT) == [program(*WHOLE, day=NEXT)]


def test_a_second_rollback_writes_nothing_and_says_which_run_was_the_first(stage: Stage) -> None:
    stage.load()
    stage.apply(stage.write((DAY, WHOLE)))
    go(stage, ROLLBACK, id="1")
    again = go(stage, ROLLBACK, id="1")
    assert (again.status, again.data["run"], again.data["kept"], runs(stage)) == (0, None, 4, [1, 2])
    assert "run 2 took back run 1 before" in again.text


def test_an_unknown_run_and_no_number_are_usage_errors(stage: Stage) -> None:
    stage.load()
    stage.apply(stage.write((DAY, WHOLE)))
    with pytest.raises(UnknownName, match=r"no run is called .9..*1"):
        go(stage, ROLLBACK, id="9")
    with pytest.raises(UsageError, match="no number of a run"):
        go(stage, ROLLBACK, id="x")
    assert stage.everywhere() == [program(*WHOLE)]


def test_it_is_shown_and_asked_and_a_no_writes_nothing(stage: Stage) -> None:
    stage.load()
    stage.apply(stage.write((DAY, WHOLE)))
    stage.answer = False
    with pytest.raises(Refused, match="not confirmed"):
        go(stage, ROLLBACK, id="1", yes=False)
    assert stage.asked == ["delete 1 day on 4 instances?"]
    assert len(stage.shown) == 1
    assert (stage.everywhere(), runs(stage)) == ([program(*WHOLE)], [1])


def test_only_the_plan_that_was_seen(stage: Stage) -> None:
    stage.load()
    stage.apply(stage.write((DAY, WHOLE)))
    seen = go(stage, ROLLBACK, id="1", dry_run=True).data["fingerprint"]
    with pytest.raises(Refused, match=f"the plan is now {seen}, not 12345678"):
        go(stage, ROLLBACK, id="1", fingerprint="12345678")
    assert stage.everywhere() == [program(*WHOLE)]
    assert go(stage, ROLLBACK, id="1", fingerprint=seen).status == 0
    assert stage.touched() == []


def test_a_day_that_is_over_is_refused_unless_it_is_released(stage: Stage) -> None:
    stage.load()
    stage.apply(stage.write((DAY, WHOLE)))
    over = START + 2 * 86400
    assert go(stage, ROLLBACK, id="1", now=over).status is ExitStatus.REFUSED
    assert stage.everywhere() == [program(*WHOLE)]
    assert go(stage, ROLLBACK, id="1", now=over, allow=["past"]).status is ExitStatus.DONE
    assert stage.touched() == []


def test_a_shorter_program_is_not_put_back_over_a_long_enough_one_unless_it_is_released(stage: Stage) -> None:
    stage.load(storing(program("jt")))
    stage.apply(stage.write((DAY, WHOLE)))
    done = go(stage, ROLLBACK, id="1")
    assert (done.status, {r["hazard"] for r in done.data["refusals"]}) == (ExitStatus.REFUSED, {"short"})
    assert stage.everywhere() == [program(*WHOLE)]
    assert go(stage, ROLLBACK, id="1", allow=["short"]).status is ExitStatus.DONE
    assert stage.everywhere() == [program("jt")]


def test_what_the_run_still_owes_is_withdrawn(stage: Stage) -> None:
    stage.load()
    with hidden(stage, ALL[3]):
        assert stage.apply(stage.write((DAY, WHOLE)), allow=["unreachable"]).status is ExitStatus.PARTIAL
    done = go(stage, ROLLBACK, id="1")
    assert (done.status, stage.touched()) == (ExitStatus.DONE, [])
    assert "no longer owes 1 program" in done.text
    assert go(stage, HISTORY, owed=True).text == "nothing is owed\n"
    assert (resume(stage, 1).data["run"], stage.touched()) == (None, [])


def test_a_master_that_is_off_is_owed_the_rollback(stage: Stage) -> None:
    stage.load(storing(ODD))
    stage.apply(stage.write((DAY, WHOLE)))
    with hidden(stage, ALL[3]):
        assert go(stage, ROLLBACK, id="1").status is ExitStatus.REFUSED
        assert go(stage, ROLLBACK, id="1", allow=["unreachable"]).status is ExitStatus.PARTIAL
    assert stage.master(ALL[3]) == program(*WHOLE)
    assert resume(stage, 2).status is ExitStatus.DONE
    assert stage.everywhere() == [sorted(ODD, key=lambda entry: entry[1])]


def test_a_rollback_that_is_resumed_does_not_write_over_what_changed_meanwhile(stage: Stage) -> None:
    stage.load(storing(ODD))
    stage.apply(stage.write((DAY, WHOLE)))
    with hidden(stage, ALL[3]):
        go(stage, ROLLBACK, id="1", allow=["unreachable"])
    tell(stage.world.master(ALL[3]).endpoint, [storing([("/opt/tsfiles/jt.ts:0", START)])])
    changed = stage.master(ALL[3])
    resume(stage, 2)
    assert stage.master(ALL[3]) == changed


# --- what is decided, on records alone ------------------------------------------------------------------------------

OLD, NEW, UPDATED = ((Entry(f"/opt/tsfiles/{name}.ts:0", START),) for name in ("old", "new", "updated"))
ASKED = NewRun(RunKind.APPLY, "rado", "hq", "x", "", "", "", (), 1.0)


def recorded(state: ChangeState, instance: str = ALL[0], day: date = DAY, **more: object) -> Change:
    change = Change(*(1, "town1", instance, day, "85", OLD, NEW, state, "", UpdateState.NOT_ASKED, "", None, None, 2.0))
    return replace(change, **more)  # type: ignore[arg-type]  # the fields' own


def run_of(*changes: Change) -> WholeRun:
    return WholeRun(Run(1, ASKED, RunState.PARTIAL, 2.0, {}), changes, ())


def test_what_the_update_made_of_a_program_may_be_taken_back_too(stage: Stage) -> None:
    (wish,) = rollback(
        run_of(recorded(ChangeState.VERIFIED, after_update=UPDATED)), stage.context().config, EVERYWHERE
    ).wishes
    assert (wish.desired, wish.expected) == (OLD, (UPDATED, NEW))


@pytest.mark.parametrize("state", list(ChangeState))
def test_only_what_may_stand_is_taken_back_and_only_what_was_written_is_insisted_on(
    stage: Stage, state: ChangeState
) -> None:
    found = rollback(run_of(recorded(state)), stage.context().config, EVERYWHERE)
    written = state in (ChangeState.WRITTEN, ChangeState.VERIFIED)
    settled = written or state is ChangeState.REFUSED
    assert bool(found.wishes) is (state not in (ChangeState.PLANNED, ChangeState.REFUSED))
    assert all(bool(wish.changed) is written for wish in found.wishes)
    assert bool(found.withdrawn) is not settled


def test_what_was_never_seen_and_who_is_gone_are_named_and_left(stage: Stage) -> None:
    unseen, gone = recorded(ChangeState.VERIFIED, looked=False), recorded(ChangeState.VERIFIED, "elsewhere")
    found = rollback(run_of(unseen, gone), stage.context().config, EVERYWHERE)
    assert found.wishes == ()
    assert ["is not known" in line for line in found.left] == [True, False]
    assert "elsewhere 25/11 85: the instance or channel is no longer in the configuration" in found.left[1]
    other = rollback(run_of(recorded(ChangeState.VERIFIED, service_id="99")), stage.context().config, EVERYWHERE)
    assert (other.wishes, len(other.left)) == ((), 1)
