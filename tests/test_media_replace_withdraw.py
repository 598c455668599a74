"""``media replace`` and ``media withdraw``: planned, journalled, and kept until it is taken back."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from applying import DAY, NOW, SECONDS, START, Stage, program, storing
from stages import ALL, Shown

from dvbboxes.demo.world import World
from dvbboxes.errors import ExitStatus, JournalError, Refused, UsageError
from dvbboxes.journal import Journal
from dvbboxes.library.replaced import replaced
from dvbboxes.model import Entry, Stored
from dvbboxes.records import RunKind, RunState
from dvbboxes.withdrawn import FILE, names, read

#: Whole plans and writes, and servers that are off: run by make test-slow.
pytestmark = pytest.mark.slow

NEXT = DAY + timedelta(days=1)


@pytest.fixture
def stage(fleet: World, tmp_path: Path) -> Stage:
    return Stage(fleet, tmp_path)


def run(stage: Stage, verb: str, *words: str, **options: Any) -> Shown:
    return stage.run(f"media {verb}", *words, **options)


def stored(*entries: tuple[str, float]) -> Stored:
    return tuple(Entry(member, start) for member, start in entries)


# --- the rule


def test_what_follows_moves_and_gaps_stay_as_long() -> None:
    before = stored(("/a/x.ts:0", 0.0), ("/a/old.ts:1", 100.0), ("/a/y.ts:2", 170.0), ("/a/old.ts:3", 200.0))
    after, count = replaced(before, "old.ts", "new.ts", (60.0, 20.0), 0.0)
    # 60 s of the old one and a gap of 10: 20 s of the new one and a gap of 10.
    assert after == stored(("/a/x.ts:0", 0.0), ("/a/new.ts:1", 100.0), ("/a/y.ts:2", 130.0), ("/a/new.ts:3", 160.0))
    assert count == 2


def test_only_airings_from_then_on_are_replaced() -> None:
    before = stored(("/a/old.ts:0", 0.0), ("/a/old.ts:1", 60.0))
    after, count = replaced(before, "old.ts", "new.ts", (60.0, 20.0), 1.0)
    assert (after, count) == (stored(("/a/old.ts:0", 0.0), ("/a/new.ts:1", 60.0)), 1)
    assert replaced(before, "old.ts", "new.ts", (60.0, 20.0), 61.0) == (before, 0)


def test_a_file_that_was_missing_when_it_was_scheduled_gets_its_length() -> None:
    before = stored(("/a/old.ts:0", 0.0), ("/a/x.ts:1", 0.0), ("/a/y.ts:2", 10.0))
    after, _ = replaced(before, "old.ts", "new.ts", (60.0, 20.0), 0.0)
    assert after == stored(("/a/new.ts:0", 0.0), ("/a/x.ts:1", 20.0), ("/a/y.ts:2", 30.0))


def test_a_name_that_only_begins_so_and_what_is_no_entry_stay() -> None:
    before = stored(("nonsense", 5.0), ("/a/old_2.ts:0", 10.0), ("/a/old.ts:1", 20.0))
    after, count = replaced(before, "old.ts", "new.ts", (60.0, 20.0), 0.0)
    assert (after, count) == (stored(("nonsense", 5.0), ("/a/old_2.ts:0", 10.0), ("/a/new.ts:1", 20.0)), 1)


# --- replace


def test_a_replace_is_planned_written_and_journalled(stage: Stage) -> None:
    stage.load(storing(program("jt", "film", "clip")), storing(program("jt", "film", "clip", day=NEXT), day=NEXT))
    shown = run(stage, "replace", "jt", "clip", dry_run=True, since=f"{NEXT:%d/%m/%Y}")
    assert shown.status is ExitStatus.DONE
    assert "jt is 0:15:00 long, clip 0:30:00" in shown.text
    assert {row["day"] for row in shown.data["changes"]} == {"26112026"}
    assert stage.everywhere(NEXT) == [program("jt", "film", "clip", day=NEXT)]
    done = run(stage, "replace", "jt", "clip", yes=True)
    assert done.status is ExitStatus.DONE, done.text
    assert stage.everywhere() == [program("clip", "film", "clip")]
    assert stage.everywhere(NEXT) == [program("clip", "film", "clip", day=NEXT)]
    with Journal.open(stage.data) as journal:
        (one,) = journal.runs()
    assert (one.asked.kind, one.state) == (RunKind.REPLACE, RunState.DONE)


def test_a_day_on_air_is_refused_and_released_by_name_for_what_has_not_begun(stage: Stage) -> None:
    stage.load(storing(program("jt", "film", "jt")))
    now = START + 60  # the first one is on air
    assert run(stage, "replace", "jt", "clip", yes=True, now=now).status is ExitStatus.REFUSED
    done = run(stage, "replace", "jt", "clip", yes=True, now=now, allow=["on-air"])
    assert done.status is ExitStatus.DONE, done.text
    assert stage.everywhere() == [program("jt", "film", "clip")]
    assert "--stream" in done.text


def test_a_refusal_over_two_channels_names_each_day_with_its_channel(stage: Stage) -> None:
    stage.load(storing(program("jt", "film", "jt")), storing(program("jt", "film", "jt"), sid="86"))
    seen = run(stage, "replace", "jt", "clip", dry_run=True, now=START + 60)
    assert "refused: 25/11 85, 25/11 86: the day is on air" in seen.text
    alone = run(stage, "replace", "jt", "clip", dry_run=True, now=START + 60, services=["85"])
    assert "refused: 25/11: the day is on air" in alone.text


def test_a_file_that_a_target_lacks_or_nobody_measured_is_refused(stage: Stage) -> None:
    stage.load(storing(program("jt", "film")), without={"town2-2": ["clip"]})
    done = run(stage, "replace", "jt", "clip", yes=True)
    assert done.status is ExitStatus.REFUSED
    assert "clip" in done.text
    assert "town2-2" in done.text
    with pytest.raises(Refused, match="no instance that answered has measured nosuch"):
        run(stage, "replace", "jt", "nosuch", yes=True)
    assert stage.everywhere() == [program("jt", "film")]


def test_where_a_silent_replica_alone_airs_it_is_said_to_be_unknown(stage: Stage) -> None:
    stage.load(storing(program("jt", "film")))
    stage.world.kill(stage.world.replica("town1-2"))
    done = run(stage, "replace", "jt", "clip", yes=True)
    assert done.status is ExitStatus.PARTIAL
    assert "town1-2: its replica did not answer: where it alone airs jt is not known, and left as it is" in done.text
    assert stage.master("town1-2") == program("clip", "film")  # what others air as well is replaced there too


def test_a_master_that_is_silent_refuses_it_unless_it_is_left_out(stage: Stage) -> None:
    stage.load(storing(program("jt", "film")))
    stage.world.kill(stage.world.master("town1-2"))
    with pytest.raises(Refused, match="town1-2"):
        run(stage, "replace", "jt", "clip", yes=True)
    done = run(stage, "replace", "jt", "clip", yes=True, allow=["unreachable"])
    assert done.status is ExitStatus.PARTIAL
    assert "town1-2: its master did not answer, nothing is replaced there" in done.text
    assert stage.master("town1-1") == program("clip", "film")


def test_what_is_not_scheduled_is_not_replaced(stage: Stage) -> None:
    stage.load(storing(program("film")))
    done = run(stage, "replace", "jt", "clip", yes=True)
    assert "jt is not scheduled from then on" in done.text
    assert done.status is ExitStatus.DONE
    seen = run(stage, "replace", "jt", "clip", dry_run=True)
    assert "NOTHING WRITTEN" in seen.text
    assert "plan " not in seen.text  # a fingerprint of nothing
    for each in (seen, done):
        assert [line for line in each.text.splitlines() if line.startswith("nothing to write")], each.text
    with pytest.raises(UsageError, match="the same"):
        run(stage, "replace", "jt", "jt.ts", yes=True)


# --- withdraw


def test_a_withdrawn_file_is_kept_on_the_list_with_who_and_why(stage: Stage) -> None:
    stage.load(storing(program("jt", "film")), without={"town1-1": ["jt"]})
    done = run(stage, "withdraw", "jt", reason="rights\tend\ntoday")
    assert done.status is ExitStatus.DONE
    assert "still on town1-2, town2-1, town2-2" in done.text
    assert "airs Wed 25-11-2026 07:30 85 Ma chaine" in done.text
    (entry,) = read(stage.data)
    assert (entry.media, entry.since, entry.who, entry.host) == ("jt.ts", NOW, "tester", "here")
    assert entry.reason == "rights\tend\ntoday"
    run(stage, "withdraw", "jt", now=NOW + 60)
    run(stage, "withdraw", "clip")
    assert [(one.media, one.since) for one in read(stage.data)] == [("jt.ts", NOW), ("clip.ts", NOW)]
    listed = run(stage, "withdraw", listing=True)
    assert listed.status is ExitStatus.DIFFERENCE
    assert listed.data["withdrawn"][0]["instances"] == ["town1-2", "town2-1", "town2-2"]
    assert [row["media"] for row in listed.rows] == ["jt.ts", "clip.ts"]


def test_taking_it_back_needs_that_it_was_withdrawn(stage: Stage) -> None:
    stage.load(storing(program("film")))
    run(stage, "withdraw", "jt")
    assert "no longer withdrawn" in run(stage, "withdraw", "jt", undo=True).text
    assert names(stage.data) == frozenset()
    assert run(stage, "withdraw", listing=True).status is ExitStatus.DONE
    with pytest.raises(UsageError, match="is not withdrawn"):
        run(stage, "withdraw", "jt", undo=True)
    with pytest.raises(UsageError, match="--list"):
        run(stage, "withdraw")


def test_a_listing_that_names_it_is_refused_by_check_plan_and_apply(stage: Stage) -> None:
    stage.load()
    path = stage.write((DAY, ["film", "jt", "clip"]), (NEXT, ["film", "clip"]))
    run(stage, "withdraw", "jt")
    checked = stage.check(path)
    assert checked.status is ExitStatus.DIFFERENCE
    assert "jt (line 3) was withdrawn (media withdraw jt --undo takes that back)" in checked.text
    assert [one["day"] for one in checked.data["refusals"]] == ["25112026"]
    assert [(row["day"], row["refused"]) for row in checked.rows] == [("25112026", "True"), ("26112026", "False")]
    assert stage.plan(path).status is ExitStatus.REFUSED
    every = ["missing,past,on-air,short,unreachable,own"]
    assert stage.apply(path, allow=every).status is ExitStatus.REFUSED  # nothing releases it
    assert stage.touched() == []
    assert stage.apply(path, only_ready=True).status is ExitStatus.REFUSED
    assert stage.everywhere(NEXT) == [program("film", "clip", day=NEXT)]
    assert stage.everywhere() == [[]]
    run(stage, "withdraw", "jt", undo=True)
    assert stage.check(path).status is ExitStatus.DONE
    assert stage.apply(path).status is ExitStatus.DONE


def test_it_is_not_put_in_anothers_place_but_may_be_on_its_way_out(stage: Stage) -> None:
    stage.load(storing(program("jt", "film", "jt")))
    run(stage, "withdraw", "jt")
    assert run(stage, "replace", "film", "jt", yes=True, allow=["short"]).status is ExitStatus.REFUSED
    now = START + SECONDS["jt"] + 60  # the first one has aired: it stays in the program, the second one goes
    done = run(stage, "replace", "jt", "clip", yes=True, now=now, allow=["on-air"])
    assert done.status is ExitStatus.DONE, done.text
    assert stage.everywhere() == [program("jt", "film", "clip")]


def test_a_silent_instance_makes_it_partial_and_the_name_is_kept_all_the_same(stage: Stage) -> None:
    stage.load(storing(program("jt", "film")))
    stage.world.kill(stage.world.replica("town2-1"), stage.world.master("town2-1"))
    assert run(stage, "withdraw", "jt").status is ExitStatus.PARTIAL
    assert names(stage.data) == {"jt.ts"}


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"media": {}}',
        '{"schema": 1, "media": {"../x": {"since": 1, "who": "", "host": "", "reason": ""}}}',
        '{"schema": 1, "media": {"x": {"since": "soon", "who": "", "host": "", "reason": ""}}}',
        '{"schema": 2, "media": {}}',
    ],
)
def test_a_list_that_cannot_be_read_is_no_empty_list(stage: Stage, text: str) -> None:
    stage.load()
    run(stage, "withdraw", "jt")
    (stage.data / FILE).write_text(text, "utf-8")
    listing = stage.write((DAY, ["film", "clip"]))
    for command in (stage.check, stage.plan, stage.apply):
        with pytest.raises(JournalError, match=FILE):
            command(listing)
    with pytest.raises(JournalError):
        run(stage, "withdraw", "clip")
    assert (stage.data / FILE).read_text("utf-8") == text
    assert stage.touched() == []


def test_a_server_that_was_off_is_named_by_the_check_when_it_is_back(stage: Stage) -> None:
    stage.load(storing(program("film", "clip")), without={fqdn: ["jt"] for fqdn in ALL if fqdn != "town2-1"})
    stage.deadline = 2.0
    away = stage.world.replica("town2-1")
    stage.world.freeze(away)
    assert run(stage, "withdraw", "jt", timeout="1").status is ExitStatus.PARTIAL
    assert withdrawn_on(stage, timeout="1") == []
    stage.world.resume(away)
    stage.world.servers.wait_in_sync()
    assert withdrawn_on(stage, timeout="20") == ["town2-1"]


def withdrawn_on(stage: Stage, timeout: str) -> list[str]:
    """Return the instances that ``check`` names because of a withdrawn file."""
    done = stage.run("check", days="1", timeout=timeout)
    return [fqdn for one in done.data["findings"] if one["code"] == "withdrawn" for fqdn in one["instances"]]
