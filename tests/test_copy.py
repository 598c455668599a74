"""Programs on other days, channels and towns, with starts of their own; and programs that go, but not for good."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from applying import DAY, NEXT, START, Stage, program, storing
from going import COPY, DELETE, ROLLBACK, go, hidden, resume, runs, whole
from stages import ALL, Shown

from dvbboxes.demo.world import World
from dvbboxes.errors import ExitStatus, Refused, UnknownName, UsageError
from dvbboxes.records import RunKind

WHOLE = ("film", "clip", "jt")
OTHER = ("film", "jt", "clip")
THEN = DAY + timedelta(days=14)


@pytest.fixture
def stage(fleet: World, tmp_path: Path) -> Stage:
    return Stage(fleet, tmp_path)


def copy(stage: Stage, day: str = "25/11/2026", to: str = "09/12/2026", **options: Any) -> Shown:
    return go(stage, COPY, day=day, to=to, **({"services": ["85"]} | options))


def test_a_day_is_copied_to_another_and_its_starts_are_computed_anew(stage: Stage) -> None:
    gap = [(member, start + 600 * index) for index, (member, start) in enumerate(program(*WHOLE))]
    stage.load(storing(gap))
    copy(stage)
    assert stage.everywhere(THEN) == [program(*WHOLE, day=THEN)]
    assert stage.everywhere() == [gap]
    assert whole(stage, 1).run.asked.kind is RunKind.COPY


def test_a_range_is_copied_day_by_day(stage: Stage) -> None:
    stage.load(storing(program(*WHOLE)), storing(program(*OTHER, day=NEXT), day=NEXT))
    copy(stage, "25/11/2026..26/11/2026", "09/12/2026")
    later = THEN + timedelta(days=1)
    assert stage.everywhere(THEN) == [program(*WHOLE, day=THEN)]
    assert stage.everywhere(later) == [program(*OTHER, day=later)]


def test_a_range_to_another_length_is_a_usage_error(stage: Stage) -> None:
    stage.load(storing(program(*WHOLE)))
    with pytest.raises(UsageError, match=r"2 days and .* is 3"):
        copy(stage, "25/11/2026..26/11/2026", "09/12/2026..11/12/2026")


def test_a_channel_is_copied_to_another(stage: Stage) -> None:
    stage.load(storing(program(*WHOLE)))
    copy(stage, to="25/11/2026", to_service="86")
    assert stage.everywhere(DAY, "86") == [program(*WHOLE)]


def test_a_town_is_copied_to_another_in_the_folders_of_that(stage: Stage) -> None:
    stage.setting(ALL[3], "media_folder=/srv/ts")
    stage.load(town1_1=[storing(program(*WHOLE))], town1_2=[storing(program(*WHOLE))])
    copy(stage, to="25/11/2026", from_town="town1", towns=["town2"])
    assert (stage.master(ALL[2]), stage.master(ALL[3])) == (program(*WHOLE), program(*WHOLE, folder="/srv/ts"))


def test_different_programs_are_refused_unless_one_is_named(stage: Stage) -> None:
    stage.load(town1_1=[storing(program(*WHOLE))], town2_1=[storing(program(*OTHER))])
    with pytest.raises(Refused, match="2 different programs"):
        copy(stage)
    assert stage.everywhere(THEN) == [[]]
    copy(stage, source=ALL[2])
    assert stage.everywhere(THEN) == [program(*OTHER, day=THEN)]


def test_a_day_without_a_program_is_named_and_the_others_are_copied(stage: Stage) -> None:
    stage.load(storing(program(*WHOLE)))
    done = go(stage, COPY, day="25/11/2026..26/11/2026", to="09/12/2026", services=["85"])
    assert (done.status, stage.everywhere(THEN)) == (ExitStatus.PARTIAL, [program(*WHOLE, day=THEN)])
    assert "26/11/2026 85: there is no program to copy" in done.text


@pytest.mark.parametrize("name", ["a;rm", "Film", "a b"])
def test_a_name_that_is_none_is_copied_nowhere(stage: Stage, name: str) -> None:
    stage.load(storing([(f"/opt/tsfiles/{name}.ts:0", START)]))
    with pytest.raises(Refused, match="no media name"):
        copy(stage, allow=["missing"])
    assert stage.everywhere(THEN) == [[]]


def test_the_folder_of_the_source_is_not_taken_over(stage: Stage) -> None:
    stage.load(storing([("/opt/tsfiles/../jt.ts:0", START)]))
    copy(stage)
    assert stage.everywhere(THEN) == [program("jt", day=THEN)]


def test_the_same_place_and_no_channel_are_usage_errors(stage: Stage) -> None:
    stage.load(storing(program(*WHOLE)))
    with pytest.raises(UsageError, match="stays as it is"):
        copy(stage, to="25/11/2026")
    with pytest.raises(UsageError, match="name the channel"):
        copy(stage, services=None)
    with pytest.raises(UsageError, match="one of them"):
        copy(stage, source=ALL[0], from_town="town1")
    with pytest.raises(UnknownName, match="no town is called"):
        copy(stage, from_town="nowhere")
    assert runs(stage) == []


def test_a_file_that_a_target_lacks_is_refused(stage: Stage) -> None:
    stage.load(storing(program(*WHOLE)), without={ALL[3]: ["jt"]})
    done = go(stage, COPY, day="25/11/2026", to="09/12/2026", services=["85"])
    assert (done.status, stage.everywhere(THEN)) == (ExitStatus.REFUSED, [[]])


# --- delete ---------------------------------------------------------------------------------------------------------


def test_a_deleted_program_is_kept_in_the_journal_and_comes_back_exactly(stage: Stage) -> None:
    odd = [*program(*WHOLE), ("not an entry", START + 0.123456)]
    stage.load(storing(odd))
    done = go(stage, DELETE, day="25/11/2026", services=["85"])
    assert (done.status, stage.everywhere()) == (ExitStatus.DONE, [[]])
    assert go(stage, ROLLBACK, id="1").status is ExitStatus.DONE
    assert stage.everywhere() == [sorted(odd, key=lambda entry: entry[1])]


def test_only_what_is_named_is_deleted(stage: Stage) -> None:
    stage.load(storing(program(*WHOLE)), storing(program(*WHOLE, day=NEXT), day=NEXT), storing(program("jt"), sid="86"))
    go(stage, DELETE, day="25/11/2026", services=["85"], towns=["town1"])
    assert [stage.master(fqdn) for fqdn in ALL] == [[], [], program(*WHOLE), program(*WHOLE)]
    assert (stage.everywhere(NEXT), stage.everywhere(DAY, "86")) == ([program(*WHOLE, day=NEXT)], [program("jt")])


def test_without_a_channel_nothing_is_deleted(stage: Stage) -> None:
    stage.load(storing(program(*WHOLE)))
    with pytest.raises(UsageError, match="every channel would be deleted"):
        go(stage, DELETE, day="25/11/2026")
    assert stage.everywhere() == [program(*WHOLE)]


def test_the_question_says_delete(stage: Stage) -> None:
    stage.load(storing(program(*WHOLE)))
    stage.answer = False
    with pytest.raises(Refused, match="not confirmed"):
        go(stage, DELETE, day="25/11/2026", services=["85"], yes=False)
    assert stage.asked == ["delete 1 day on 4 instances?"]
    assert stage.everywhere() == [program(*WHOLE)]


def test_a_day_on_air_or_over_is_refused(stage: Stage) -> None:
    stage.load(storing(program(*WHOLE)))
    for now, hazard in ((START + 60, "on-air"), (START + 90000, "past")):
        done = go(stage, DELETE, now=now, day="25/11/2026", services=["85"])
        assert (done.status, {r["hazard"] for r in done.data["refusals"]}) == (ExitStatus.REFUSED, {hazard})
    assert stage.everywhere() == [program(*WHOLE)]


def test_a_deletion_that_is_owed_is_done_when_it_is_resumed(stage: Stage) -> None:
    stage.load(storing(program(*WHOLE)))
    with hidden(stage, ALL[3]):
        go(stage, DELETE, day="25/11/2026", services=["85"], allow=["unreachable"])
    assert stage.master(ALL[3]) == program(*WHOLE)
    assert resume(stage, 1).status is ExitStatus.DONE
    assert stage.everywhere() == [[]]
