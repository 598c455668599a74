"""Bringing a town home: what was last applied there, else what most of it holds, never simply the longest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from applying import DAY, NEXT, START, Program, Stage, program, storing
from going import CONVERGE, HISTORY, ROLLBACK, go, hidden, resume, whole
from stages import ALL

from dvbboxes.demo.servers import tell
from dvbboxes.demo.world import World
from dvbboxes.errors import ExitStatus, Refused, UnknownName, UsageError
from dvbboxes.records import RunKind
from dvbboxes.wire import Command

MEANT = ("film", "clip", "jt")
LONGER = ("film", "clip", "jt", "clip", "film")
OTHER = ("film", "jt", "clip")
TOWN = ("town1-1", "town1-2", "town1-3")
TODAY: dict[str, Any] = {"day": "25/11/2026", "services": ["85"]}


@pytest.fixture
def stage(fleet: World, tmp_path: Path) -> Stage:
    return Stage(fleet, tmp_path)


@pytest.fixture
def three(small_fleet: Callable[..., World], tmp_path: Path) -> Stage:
    """One town of three."""
    world = small_fleet(1, 3)
    return Stage(world, tmp_path)


def put(stage: Stage, fqdn: str, command: Command) -> None:
    """Write a program behind our back, over what is there."""
    tell(stage.world.master(fqdn).endpoint, [(0, ("DEL", command[1][1])), command])


def held(stage: Stage) -> list[Program]:
    return [stage.master(fqdn) for fqdn in stage.world.layout.fqdns]


# --- what was last applied ------------------------------------------------------------------------------------------


def test_what_was_last_applied_wins_over_a_longer_program_and_over_a_majority(three: Stage) -> None:
    three.load()
    three.apply(three.write((DAY, MEANT)))
    for fqdn in TOWN[1:]:
        put(three, fqdn, storing(program(*LONGER)))
    done = go(three, CONVERGE, **TODAY)
    assert (done.status, three.everywhere()) == (ExitStatus.DONE, [program(*MEANT)])
    assert sorted(line["instance"] for line in done.data["programs"]) == list(TOWN[1:])
    assert whole(three, 2).run.asked.kind is RunKind.CONVERGE


def test_the_source_of_each_program_is_shown_and_nothing_is_written_by_looking(three: Stage) -> None:
    three.load()
    three.apply(three.write((DAY, MEANT)))
    put(three, TOWN[0], storing(program(*LONGER)))
    seen = go(three, CONVERGE, dry_run=True, **TODAY)
    assert "+0 -2 ~0  <- run 1" in seen.text
    assert {(c["instance"], c["action"], c["source"]) for c in seen.data["changes"]} == {
        (TOWN[0], "replace", "run 1"), (TOWN[1], "keep", "run 1"), (TOWN[2], "keep", "run 1"),
    }  # fmt: skip
    assert [(r["instance"], r["source"]) for r in seen.rows] == [(fqdn, "run 1") for fqdn in TOWN]
    assert three.master(TOWN[0]) == program(*LONGER)


def test_each_town_gets_what_was_applied_there(stage: Stage) -> None:
    stage.load()
    stage.apply(stage.write((DAY, MEANT)))
    stage.apply(stage.write((DAY, OTHER)), towns=["town2"])
    put(stage, ALL[0], storing(program(*OTHER)))
    put(stage, ALL[2], storing(program(*MEANT)))
    assert go(stage, CONVERGE, **TODAY).status is ExitStatus.DONE
    assert held(stage) == [program(*MEANT)] * 2 + [program(*OTHER)] * 2


def test_an_instance_that_was_owed_gets_what_was_meant_for_it_and_is_owed_no_more(stage: Stage) -> None:
    stage.load()
    with hidden(stage, ALL[3]):
        stage.apply(stage.write((DAY, MEANT)), allow=["unreachable"])
    assert go(stage, CONVERGE, **TODAY).status is ExitStatus.DONE
    assert stage.everywhere() == [program(*MEANT)]
    assert go(stage, HISTORY, owed=True).text == "nothing is owed\n"
    before = held(stage)
    resume(stage, 1)
    assert held(stage) == before


def test_what_was_taken_back_is_not_brought_again(stage: Stage) -> None:
    stage.load(storing(program(*OTHER)))
    stage.apply(stage.write((DAY, MEANT)))
    go(stage, ROLLBACK, id="1")
    put(stage, ALL[0], storing(program(*MEANT)))
    assert go(stage, CONVERGE, **TODAY).status is ExitStatus.DONE
    assert stage.everywhere() == [program(*OTHER)]


def test_a_town_of_its_own_stays_its_own_after_it_was_brought_home(stage: Stage) -> None:
    """A converge of one town means nothing of its own: the next apply to all must not pass it over, nor write over
    a program that is another town's on purpose."""
    stage.load()
    stage.apply(stage.write((DAY, MEANT)))
    stage.apply(stage.write((NEXT, MEANT)), towns=["town2"])
    for day in (DAY, NEXT):
        put(stage, ALL[3], storing([("/opt/tsfiles/jt.ts:0", START)], day=day))
        assert go(stage, CONVERGE, day=f"{day:%d/%m/%Y}", services=["85"], towns=["town2"]).status is ExitStatus.DONE
    done = stage.apply(stage.write((DAY, OTHER), (NEXT, OTHER)))
    assert (stage.everywhere(), done.data["own"]) == ([program(*OTHER)], 2)
    assert [stage.master(fqdn, NEXT) for fqdn in ALL] == [program(*OTHER, day=NEXT)] * 2 + [
        program(*MEANT, day=NEXT)
    ] * 2


# --- a strict majority ----------------------------------------------------------------------------------------------


def test_without_a_journal_a_strict_majority_wins_over_a_longer_program(three: Stage) -> None:
    three.load(
        town1_1=[storing(program(*LONGER))], town1_2=[storing(program(*MEANT))], town1_3=[storing(program(*MEANT))]
    )
    done = go(three, CONVERGE, **TODAY)
    assert (done.status, three.everywhere()) == (ExitStatus.DONE, [program(*MEANT)])


def test_a_half_is_no_majority(stage: Stage) -> None:
    stage.load(town1_1=[storing(program(*LONGER))], town1_2=[storing(program(*MEANT))])
    done = go(stage, CONVERGE, **TODAY)
    assert done.status is ExitStatus.REFUSED
    assert "no strict majority holds one program (1 against 1): --from INSTANCE says which" in done.text
    assert held(stage)[:2] == [program(*LONGER), program(*MEANT)]


def test_a_day_that_nothing_decides_is_refused_in_the_table_and_not_kept(stage: Stage) -> None:
    stage.load(town1_1=[storing(program(*LONGER))], town1_2=[storing(program(*MEANT))])
    seen = go(stage, CONVERGE, dry_run=True, towns=["town1"], **TODAY)
    (row,) = (line for line in seen.text.splitlines() if line.startswith("Wed 25-11-2026"))
    assert (row.split()[-1], "keep" in row) == ("REFUSED", False)


def test_those_that_do_not_answer_count_as_members_of_the_town(three: Stage) -> None:
    three.load(town1_2=[storing(program(*MEANT))], town1_3=[storing(program(*LONGER))])
    with hidden(three, TOWN[0]):
        done = go(three, CONVERGE, allow=["unreachable"], **TODAY)
    assert (done.status, held(three)) == (ExitStatus.REFUSED, [[], program(*MEANT), program(*LONGER)])
    assert "1 silent" in done.text


def test_a_majority_that_holds_nothing_deletes_nothing(three: Stage) -> None:
    three.load(town1_3=[storing(program(*MEANT))])
    done = go(three, CONVERGE, **TODAY)
    assert (done.status, held(three)) == (ExitStatus.REFUSED, [[], [], program(*MEANT)])
    assert "most hold nothing there" in done.text


def test_from_an_instance_decides_what_nothing_else_does(stage: Stage) -> None:
    stage.load(town1_1=[storing(program(*LONGER))], town1_2=[storing(program(*MEANT))])
    assert go(stage, CONVERGE, source="town1-2", towns=["town1"], **TODAY).status is ExitStatus.DONE
    assert held(stage) == [program(*MEANT), program(*MEANT), [], []]


def test_from_an_instance_that_holds_nothing_is_refused(stage: Stage) -> None:
    stage.load(town1_1=[storing(program(*LONGER))])
    done = go(stage, CONVERGE, source=ALL[1], **TODAY)
    assert (done.status, held(stage)[0]) == (ExitStatus.REFUSED, program(*LONGER))
    assert f"{ALL[1]} holds no program to take" in done.text


def test_from_nobody_and_from_two_are_usage_errors(stage: Stage) -> None:
    stage.load()
    with pytest.raises(UnknownName, match="no instance is called"):
        go(stage, CONVERGE, source="nobody", **TODAY)
    with pytest.raises(UsageError, match="name one instance"):
        go(stage, CONVERGE, source=f"{ALL[0]},{ALL[1]}", **TODAY)


def test_only_the_instances_asked_for_are_written_but_the_whole_town_is_counted(three: Stage) -> None:
    three.load(
        town1_1=[storing(program(*LONGER))], town1_2=[storing(program(*MEANT))], town1_3=[storing(program(*MEANT))]
    )
    go(three, CONVERGE, instances=[TOWN[1]], **TODAY)
    assert held(three)[0] == program(*LONGER)
    go(three, CONVERGE, instances=[TOWN[0]], **TODAY)
    assert three.everywhere() == [program(*MEANT)]


# --- the same guards as an apply ------------------------------------------------------------------------------------


def test_a_file_that_the_instance_lacks_is_refused(three: Stage) -> None:
    three.load(without={TOWN[0]: ["jt"]}, town1_2=[storing(program(*MEANT))], town1_3=[storing(program(*MEANT))])
    done = go(three, CONVERGE, **TODAY)
    assert (done.status, three.master(TOWN[0])) == (ExitStatus.REFUSED, [])
    assert [(r["hazard"], r["instances"]) for r in done.data["refusals"]] == [("missing", [TOWN[0]])]


def test_the_day_on_air_is_refused_and_says_what_to_type_once_released(three: Stage) -> None:
    three.load(town1_2=[storing(program(*MEANT))], town1_3=[storing(program(*MEANT))])
    assert go(three, CONVERGE, now=START + 60, **TODAY).status is ExitStatus.REFUSED
    done = go(three, CONVERGE, now=START + 60, allow=["on-air"], **TODAY)
    assert done.status is ExitStatus.DONE
    assert "dvbbox program 25112026 --service_id 85 --stream" in done.text


def test_a_key_that_holds_no_program_is_never_written(three: Stage) -> None:
    three.load(
        town1_1=[(0, ("SET", "25112026:85", "x"))],
        town1_2=[storing(program(*MEANT))],
        town1_3=[storing(program(*MEANT))],
    )
    done = go(three, CONVERGE, allow=["missing,past,on-air,short,unreachable,own"], **TODAY)
    assert (done.status, [r["hazard"] for r in done.data["refusals"]]) == (ExitStatus.REFUSED, [None])
    assert tell(three.world.master(TOWN[0]).endpoint, [(0, ("GET", "25112026:85"))]) == [b"x"]


def test_a_channel_that_an_instance_does_not_carry_is_not_written_there(three: Stage) -> None:
    three.setting(TOWN[0], "channels=86")
    three.load(town1_2=[storing(program(*MEANT))], town1_3=[storing(program(*MEANT))])
    done = go(three, CONVERGE, **TODAY)
    assert (done.data["run"], held(three)) == (None, [[], program(*MEANT), program(*MEANT)])


def test_folders_are_each_instances_own(three: Stage) -> None:
    three.setting(TOWN[0], "media_folder=/srv/ts")
    mine = program(*MEANT, folder="/srv/ts")
    three.load(town1_1=[storing(mine)], town1_2=[storing(program(*MEANT))], town1_3=[storing(program(*LONGER))])
    assert go(three, CONVERGE, **TODAY).status is ExitStatus.DONE
    assert held(three) == [mine, program(*MEANT), program(*MEANT)]
    put(three, TOWN[0], storing([("/srv/ts/jt.ts:0", START)]))
    go(three, CONVERGE, source=TOWN[1], **TODAY)
    assert held(three) == [mine, program(*MEANT), program(*MEANT)]


def test_a_range_of_days_and_all_channels(three: Stage) -> None:
    three.load()
    three.apply(three.write((DAY, MEANT), (NEXT, MEANT)))
    put(three, TOWN[0], storing(program(*LONGER)))
    put(three, TOWN[1], storing(program(*LONGER, day=NEXT), day=NEXT))
    done = go(three, CONVERGE, day="25/11/2026..26/11/2026")
    assert (done.status, len(done.data["programs"])) == (ExitStatus.DONE, 2)
    assert (three.everywhere(), three.everywhere(NEXT)) == ([program(*MEANT)], [program(*MEANT, day=NEXT)])


def test_a_no_writes_nothing(three: Stage) -> None:
    three.load(town1_2=[storing(program(*MEANT))], town1_3=[storing(program(*MEANT))])
    three.answer = False
    with pytest.raises(Refused, match="not confirmed"):
        go(three, CONVERGE, yes=False, **TODAY)
    assert held(three)[0] == []
