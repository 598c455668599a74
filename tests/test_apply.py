"""A listing on every server's air: checked, planned, applied and verified on real masters, replicas and hosts."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from applying import DAY, NEXT, NOW, SATURDAY, SECONDS, START, Program, Stage, key_of, program, storing
from processes import environment, run, upcoming
from sshd import Hosts
from stages import ALL, ZONE, Shown

from dvbboxes.demo.servers import tell
from dvbboxes.demo.world import World
from dvbboxes.errors import BadDay, ExitStatus, Refused, UsageError
from dvbboxes.fleet import Fleet
from dvbboxes.journal import Journal
from dvbboxes.lock import hold
from dvbboxes.records import ChangeState, RunState, UpdateState
from dvbboxes.schedule import moment
from dvbboxes.wire import Command

WHOLE = ("film", "clip")


@pytest.fixture
def stage(fleet: World, tmp_path: Path) -> Stage:
    return Stage(fleet, tmp_path)


@pytest.fixture
def hosted(fleet: World, tmp_path: Path, ssh_hosts: Callable[[World], Hosts]) -> Iterator[tuple[Stage, Hosts]]:
    """A stage whose instances have hosts, each with its files on its disks."""
    hosts = ssh_hosts(fleet)
    for fqdn in ALL:
        hosts[fqdn].put(*(f"/opt/tsfiles/{name}.ts" for name in SECONDS))
    yield Stage(fleet, tmp_path, hosts.config_path), hosts


# --- check ------------------------------------------------------------------------------------------------------------


def test_check_shows_each_day_and_what_is_wrong_with_its_files(stage: Stage) -> None:
    stage.load(
        without={"town1-1": ["jt"], "town2-2": ["clip"]},
        town1_2=[(1, ("SET", "jt.ts", "903"))],
        town2_1=[(1, ("SET", "odd.ts", "3.14"))],
    )
    file = stage.write((DAY, WHOLE), (NEXT, ("film", "fim", "odd")), (NEXT + timedelta(days=1), ("jt",)))
    done = stage.check(file)
    assert done.status is ExitStatus.DIFFERENCE
    lines = done.text.splitlines()
    assert lines[0] == "85 Ma chaine  3 days"
    assert [re.split(r" {2,}", line) for line in lines[2:5]] == [
        ["Wed 25-11-2026", "07:30", "Thu 00:23", "16:53:20", "2", "green"],
        ["Thu 26-11-2026", "07:30", "Thu 23:53", "16:23:23", "3", "red"],
        ["Fri 27-11-2026", "07:30", "Fri 07:45", "0:15:03", "1", "orange"],
    ]
    assert lines[5:-1] == [
        "! fim missing everywhere: 26/11 at 23:53, line 7; nearest name: film (a typing mistake?)",
        "! clip missing on town2-2: 25/11 at 23:53, line 3",
        "! odd missing on town1-1, town1-2, town2-2: 26/11 at 23:53, line 8",
        "! jt missing on town1-1: 27/11 at 07:30, line 11",
        "! odd: its duration is known nowhere; it counts 3.14 s",
        "! jt: its durations differ by 0:00:03; the largest counts, 0:15:03",
    ]
    assert [row["verdict"] for row in done.rows] == [day["verdict"] for day in done.data["days"]]
    assert done.rows[1]["missing"] == "fim.ts"
    assert done.data["days"][1]["missing"][0]["line"] == 7
    assert not (stage.data / "journal.sqlite").exists()


def test_check_is_silent_of_nothing_when_all_is_green(stage: Stage) -> None:
    stage.load()
    done = stage.check(stage.write((DAY, WHOLE)))
    assert done.status is ExitStatus.DONE
    assert not any(line.startswith("!") for line in done.text.splitlines())


def test_check_of_a_file_that_lasts_for_ever_is_shown_all_the_same(stage: Stage) -> None:
    stage.load((1, ("SET", "clip.ts", "1e300")))
    done = stage.check(stage.write((DAY, WHOLE)))
    assert "overrun" in done.text
    assert done.data["days"][0]["end"] is None


def test_check_asks_the_fleet_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.load()
    calls, real = [], Fleet.gather

    def gather(*arguments: Any) -> Any:
        calls.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(Fleet, "gather", gather)
    assert stage.check(stage.write((DAY, WHOLE), (NEXT, WHOLE))).status is ExitStatus.DONE
    assert len(calls) == 1


# --- the flow without ssh ---------------------------------------------------------------------------------------------


def test_a_listing_goes_whole_to_every_master_and_replica(stage: Stage) -> None:
    stage.load(town1_1=[storing(program("jt"))], town2_1=[storing(program(*WHOLE))])
    file = stage.write((DAY, WHOLE), (NEXT, ("film", "jt", "jt", "clip")))
    planned = stage.plan(file)
    assert planned.status is ExitStatus.DONE
    assert stage.touched() == ["town1-1", "town2-1"]
    assert "NOTHING WRITTEN" in planned.text
    cells = {(row["instance"], row["day"]): row["action"] for row in planned.rows}
    assert [cells[fqdn, "25112026"] for fqdn in ALL] == ["replace", "create", "keep", "create"]
    done = stage.apply(file)
    assert done.status is ExitStatus.DONE, done.text
    assert stage.everywhere() == [program(*WHOLE)]
    assert stage.everywhere(NEXT) == [program("film", "jt", "jt", "clip", day=NEXT)]
    assert done.text.splitlines()[-1] == "all 7 programs hold. 1 program already as meant"
    assert "not asked" in done.text
    assert {(row["state"], row["update"], row["replicated"]) for row in done.rows} == {
        ("verified", "not-asked", "True")
    }
    assert [row["instance"] for row in done.rows] == [line["instance"] for line in done.data["programs"]]
    assert done.data["fingerprint"] == planned.data["fingerprint"]


def test_the_plan_folds_instances_that_change_alike(stage: Stage) -> None:
    stage.load(town1_1=[storing(program("jt"))])
    text = stage.plan(stage.write((DAY, WHOLE))).text
    assert re.search(r"day +ends +verdict +3 instances +town1-1\n25/11 +Thu 00:23 +green +create 2 +\+2 -1 ~0", text)


def test_what_the_plan_says_to_type_means_the_same_plan(stage: Stage) -> None:
    """The options travel with it: without --towns the line would be about other instances."""
    stage.load()
    file = stage.write((DAY, WHOLE), (NEXT, WHOLE))
    planned = stage.plan(file, towns=["town2"], days="25/11/2026")
    (line,) = [each for each in planned.text.splitlines() if "listing apply" in each]
    print_ = planned.data["fingerprint"]
    assert line.strip() == f"dvbboxes listing apply {file} -s 85 --days 25/11/2026 --towns town2 --plan {print_}"


def test_a_second_apply_finds_nothing_to_do(stage: Stage) -> None:
    stage.load()
    file = stage.write((DAY, WHOLE))
    stage.apply(file)
    again = stage.apply(file, yes=False)
    assert (again.status, again.text) == (ExitStatus.DONE, "nothing to write: 4 programs already as meant\n")
    planned = stage.plan(file)
    assert planned.text.splitlines()[-1] == "nothing to write: 4 programs already as meant. 4/4 masters answered."
    assert stage.asked == []
    with Journal.open(stage.data) as journal:
        assert len(journal.runs()) == 1


def test_folders_zones_and_channels_are_each_instance_s_own(stage: Stage) -> None:
    stage.load()
    stage.setting("town1-1", "media_folder=/srv/ts")
    stage.setting("town1-2", "timezone=Europe/Paris")
    stage.setting("town2-1", "channels=86")
    done = stage.apply(stage.write((DAY, WHOLE)))
    assert done.status is ExitStatus.DONE
    assert stage.replica("town1-1") == program(*WHOLE, folder="/srv/ts")
    assert stage.replica("town1-2") == program(*WHOLE, zone=ZoneInfo("Europe/Paris"))
    assert stage.master("town2-1") == []
    assert stage.replica("town2-2") == program(*WHOLE)
    assert {line["instance"] for line in done.data["programs"]} == {"town1-1", "town1-2", "town2-2"}


def test_a_channel_that_no_target_carries_is_an_error_and_not_nothing_to_do(stage: Stage) -> None:
    stage.load()
    stage.setting("town2-1", "channels=86")
    with pytest.raises(UsageError, match=r"no instance asked for carries channel 85"):
        stage.apply(stage.write((DAY, WHOLE)), instances=["town2-1"])


def test_the_bytes_are_those_that_were_meant(stage: Stage) -> None:
    """Fractions are kept, starts are not rounded, and the members are paths with an index."""
    stage.load()
    stage.apply(stage.write((DAY, ("jt", "film", "jt"))), allow=["short"])
    (reply,) = tell(stage.world.master("town1-1").endpoint, [(0, ("ZRANGE", key_of(), 0, -1, "WITHSCORES"))])
    assert reply == [
        b"/opt/tsfiles/jt.ts:0",
        f"{START:.0f}".encode(),
        b"/opt/tsfiles/film.ts:1",
        f"{START + 900:.0f}".encode(),
        b"/opt/tsfiles/jt.ts:2",
        f"{START + 900 + 59000.25:.2f}".encode(),
    ]


def test_what_stood_under_the_key_is_gone_and_other_keys_are_untouched(stage: Stage) -> None:
    other = storing(program("jt", day=NEXT), day=NEXT)
    stage.load(storing(program("jt", "jt", "jt", "jt")), other, (0, ("SET", "a cache", "x")))
    assert stage.apply(stage.write((DAY, WHOLE))).status is ExitStatus.DONE
    assert stage.everywhere() == [program(*WHOLE)]
    assert stage.everywhere(NEXT) == [program("jt", day=NEXT)]
    assert tell(stage.world.master("town1-1").endpoint, [(0, ("GET", "a cache"))]) == [b"x"]


def test_towns_and_instances_narrow_what_is_written(stage: Stage) -> None:
    stage.load()
    stage.apply(stage.write((DAY, WHOLE)), towns=["town2"])
    assert stage.touched() == ["town2-1", "town2-2"]


def test_durations_are_the_largest_known_anywhere_whoever_is_written_to(stage: Stage) -> None:
    stage.load(town2_2=[(1, ("SET", "film.ts", "59500"))])
    stage.apply(stage.write((DAY, WHOLE)), towns=["town1"])
    assert stage.master("town1-1")[1] == ("/opt/tsfiles/clip.ts:1", START + 59500)


def test_days_narrows_what_is_written(stage: Stage) -> None:
    stage.load()
    file = stage.write((DAY, WHOLE), (NEXT, WHOLE))
    assert stage.apply(file, days="26/11/2026").status is ExitStatus.DONE
    assert (stage.everywhere(), stage.everywhere(NEXT)) == ([[]], [program(*WHOLE, day=NEXT)])
    with pytest.raises(UsageError, match="no day of the listing is in --days 01/12/2026"):
        stage.apply(file, days="01/12/2026")
    with pytest.raises(BadDay):
        stage.apply(file, days="32/01/2026")


def test_several_files_and_channels_are_one_run(stage: Stage) -> None:
    stage.load()
    one = stage.write((DAY, WHOLE), name="85_25112026_25112026")
    two = stage.write((DAY, ("clip", "film")), name="86_25112026_25112026")
    done = stage.apply(one, two, service=None)
    assert done.status is ExitStatus.DONE
    assert stage.everywhere() == [program(*WHOLE)]
    assert stage.everywhere(sid="86") == [program("clip", "film")]
    with Journal.open(stage.data) as journal:
        (run_,) = journal.runs()
    assert (run_.asked.file, run_.counts) == (f"{one} {two}", {ChangeState.VERIFIED: 8})
    with pytest.raises(UsageError, match=r"25/11/2026 of channel 85 stands in .* and in "):
        stage.apply(one, stage.write((DAY, WHOLE)), service="85")


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_what_is_refused_writes_nothing_and_names_its_release(stage: Stage) -> None:
    stage.load(without={"town2-1": ["clip"]})
    file = stage.write((DAY, WHOLE), (NEXT, ("film", "jt", "jt")))
    done = stage.apply(file, now=START - 60, yes=False)
    assert (done.status, stage.touched(), stage.asked) == (ExitStatus.REFUSED, [], [])
    said = [line for line in done.text.splitlines() if "refused:" in line]
    assert said == [
        "! refused: 25/11: clip (line 3) is not there: town2-1 (--allow missing)",
        "! refused: 25/11: the day begins within 900 s: it is not on air before a relaunch: every target"
        " (--allow on-air)",
    ]
    assert "1 day ready, 1 refused." in done.text
    assert done.text.splitlines()[-1].endswith("--only-ready")
    assert {refusal["hazard"] for refusal in done.data["refusals"]} == {"missing", "on-air"}
    assert {row["day"] for row in done.rows if row["refused"] == "True"} == {"25112026"}
    assert not (stage.data / "journal.sqlite").exists()


def test_yes_allows_nothing_by_itself(stage: Stage) -> None:
    stage.load(without={"town2-1": ["clip"]})
    assert stage.apply(stage.write((DAY, WHOLE)), yes=True).status is ExitStatus.REFUSED


def test_only_ready_writes_the_other_days_and_says_that_some_were_refused(stage: Stage) -> None:
    stage.load(without={"town2-1": ["clip"]})
    done = stage.apply(stage.write((DAY, WHOLE), (NEXT, ("film", "jt", "jt"))), only_ready=True)
    assert done.status is ExitStatus.REFUSED
    assert stage.everywhere() == [[]]
    assert stage.everywhere(NEXT) == [program("film", "jt", "jt", day=NEXT)]


def test_only_ready_with_nothing_ready_says_what_stands_in_the_way(stage: Stage) -> None:
    stage.load(without={"town2-1": ["clip"]})
    done = stage.apply(stage.write((DAY, WHOLE)), only_ready=True)
    assert done.status is ExitStatus.REFUSED
    assert "refused: 25/11: clip (line 3) is not there: town2-1 (--allow missing)" in done.text


def test_a_day_on_air_is_written_when_allowed_and_says_how_to_relaunch(stage: Stage) -> None:
    stage.load()
    stage.setting("town2-1", "ssh_port=2222")
    stage.setting("town2-1", "ssh_user=tv")
    stage.setting("town2-1", "ssh_host=10.0.0.7")
    done = stage.apply(stage.write((DAY, WHOLE)), now=START + 60, allow=["on-air"], towns=["town2"])
    assert done.status is ExitStatus.DONE
    assert "written, not on air before a relaunch" in done.text
    assert done.data["relaunch"] == [
        "ssh -p 2222 tv@10.0.0.7 dvbbox program 25112026 --service_id 85 --stream",
        "ssh town2-2 dvbbox program 25112026 --service_id 85 --stream",
    ]


def test_a_hazard_that_is_none_is_named(stage: Stage) -> None:
    stage.load()
    with pytest.raises(UsageError, match=r"--allow 'mising' is no hazard \(did you mean missing\?\)"):
        stage.apply(stage.write((DAY, WHOLE)), allow=["mising"])


def test_a_short_day_does_not_replace_one_that_ends_with_a_file_the_listing_does_not_name(stage: Stage) -> None:
    late = [*program("film"), ("/opt/tsfiles/other.ts:1", START + 59000)]
    stage.load(storing(late), (1, ("SET", "other.ts", "5000")))
    file = stage.write((DAY, ("jt",)))
    refused = stage.plan(file)
    assert [refusal["hazard"] for refusal in refused.data["refusals"]] == ["short"]
    assert stage.apply(file, allow=["short"]).status is ExitStatus.DONE


def test_a_town_s_own_program_is_left_alone(stage: Stage) -> None:
    stage.load()
    stage.apply(stage.write((DAY, ("clip", "film"))), towns=["town1"])
    everywhere = stage.write((DAY, WHOLE), name="later")
    assert "keep (own)" in stage.plan(everywhere).text
    done = stage.apply(everywhere)
    assert done.status is ExitStatus.DONE
    assert "2 programs left alone, a town's own (--allow own)" in done.text
    assert (stage.master("town1-1"), stage.master("town2-1")) == (program("clip", "film"), program(*WHOLE))
    assert stage.apply(everywhere, allow=["own"]).status is ExitStatus.DONE
    assert stage.everywhere() == [program(*WHOLE)]


# --- what changed since the plan --------------------------------------------------------------------------------------


def test_only_the_plan_that_was_seen_is_applied(stage: Stage) -> None:
    stage.load()
    file = stage.write((DAY, WHOLE))
    seen = stage.plan(file).data["fingerprint"]
    tell(stage.world.master("town2-2").endpoint, [storing(program("jt"))])
    with pytest.raises(Refused, match=f"the plan is now [0-9a-f]{{8}}, not {seen}"):
        stage.apply(file, fingerprint=seen)
    assert stage.touched() == ["town2-2"]
    assert stage.apply(file, fingerprint=stage.plan(file).data["fingerprint"]).status is ExitStatus.DONE


def test_a_no_writes_nothing(stage: Stage) -> None:
    stage.load()
    stage.answer = False
    with pytest.raises(Refused, match="not confirmed"):
        stage.apply(stage.write((DAY, WHOLE), (NEXT, WHOLE)), yes=False)
    assert stage.asked == ["write 2 days to 4 instances?"]
    assert (len(stage.shown), stage.touched()) == (1, [])
    with Journal.open(stage.data) as journal:
        assert journal.runs() == ()


def test_what_somebody_writes_while_we_ask_is_not_overwritten(stage: Stage) -> None:
    stage.load()
    theirs = program("jt", "jt")

    def meanwhile(question: str) -> bool:
        tell(stage.world.master("town1-2").endpoint, [storing(theirs)])
        return True

    stage.answer = meanwhile
    done = stage.apply(stage.write((DAY, WHOLE), (NEXT, WHOLE)), yes=False)
    assert done.status is ExitStatus.PARTIAL
    assert stage.master("town1-2") == theirs
    assert stage.master("town1-2", NEXT) == stage.master("town1-1", NEXT) == program(*WHOLE, day=NEXT)
    assert "town1-2 25/11 85: refused: somebody else changed it since the plan" in done.text
    with Journal.open(stage.data) as journal:
        (run_,) = journal.runs()
    assert (run_.state, run_.counts) == (RunState.PARTIAL, {ChangeState.VERIFIED: 7, ChangeState.REFUSED: 1})


# --- the terminal -----------------------------------------------------------------------------------------------------


def on_a_terminal(stage: Stage, *arguments: str, answer: str) -> tuple[int, str]:
    """Run the command on a terminal of its own, answer its question; return its status and what it showed."""
    ours, theirs = pty.openpty()
    environ = environment(stage.config, {"TERM": "xterm", "COLUMNS": "200"})
    words = [sys.executable, "-m", "dvbboxes", *arguments]
    process = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, env=environ, start_new_session=True)
    os.close(theirs)
    shown, end = "", time.monotonic() + 60
    typed = False
    while time.monotonic() < end and select.select([ours], [], [], 60)[0]:
        try:
            data = os.read(ours, 65536)
        except OSError:  # the other side is closed: EIO on Linux
            break
        shown += data.decode()
        if "[y/N]" in shown and not typed:
            typed = True
            os.write(ours, f"{answer}\n".encode())
    os.close(ours)
    return process.wait(60), shown


@pytest.mark.parametrize("answer", ["y", "YES", "o", "Oui"])
def test_yes_in_two_languages_is_a_yes(stage: Stage, answer: str) -> None:
    stage.load()
    file = stage.write((upcoming(), WHOLE))
    status, shown = on_a_terminal(stage, "listing", "apply", file, "-s", "85", "--instance", "town1-1", answer=answer)
    assert status == ExitStatus.DONE, shown
    assert "NOTHING WRITTEN" in shown
    assert "write 1 day to 1 instance? [y/N]" in shown
    assert re.search(r"writing +\[#{30}\] 1/1", shown)
    assert stage.touched() == ["town1-1"]


@pytest.mark.parametrize("answer", ["n", "", "yess"])
def test_anything_else_is_a_no(stage: Stage, answer: str) -> None:
    stage.load()
    file = stage.write((upcoming(), WHOLE))
    status, shown = on_a_terminal(stage, "listing", "apply", file, "-s", "85", answer=answer)
    assert (status, stage.touched()) == (ExitStatus.REFUSED, [])
    assert "not confirmed: nothing was written" in shown


def test_without_a_terminal_and_without_yes_it_stops(stage: Stage) -> None:
    stage.load()
    ran = run("listing", "apply", stage.write((upcoming(), WHOLE)), "-s", "85", config=stage.config)
    assert (ran.status, stage.touched()) == (ExitStatus.USAGE, [])
    assert "--yes" in ran.err


def test_for_cron_yes_and_q_are_silent_on_success(stage: Stage) -> None:
    stage.load()
    file = stage.write((upcoming(), WHOLE))
    ran = run("listing", "apply", file, "-s", "Ma chaine", "--yes", "-q", config=stage.config)
    assert (ran.status, ran.out, ran.err) == (0, "", "")
    assert stage.touched() == list(ALL)


def test_a_second_run_is_turned_away_and_told_by_whom(stage: Stage) -> None:
    stage.load()
    file = stage.write((upcoming(), WHOLE))
    config = stage.config
    stage.data.mkdir(exist_ok=True)
    with hold(stage.data, "rasoa", "dvbboxes listing apply x", NOW):
        ran = run("listing", "apply", file, "-s", "85", "--yes", config=config)
    assert (ran.status, stage.touched()) == (ExitStatus.LOCKED, [])
    assert "rasoa" in ran.err
    assert run("listing", "apply", file, "-s", "85", "--yes", config=config).status == 0


# --- dvbbox's update --------------------------------------------------------------------------------------------------


def lines_of(done: Shown) -> dict[str, tuple[str, str]]:
    return {line["instance"]: (line["update"], line["update_text"]) for line in done.data["programs"]}


def test_dvbbox_is_asked_once_per_day_in_one_session_per_host(hosted: tuple[Stage, Hosts]) -> None:
    stage, hosts = hosted
    stage.load()
    seen: list[tuple[str, int, int]] = []
    done = stage.apply(stage.write((NEXT, WHOLE), (DAY, WHOLE)), progress=lambda *step: seen.append(step))
    assert done.status is ExitStatus.DONE, done.text
    for fqdn in ALL:
        assert hosts[fqdn].sshd.sessions == 1
        assert hosts[fqdn].calls == [
            ["program", day, "--service_id", "85", "--update"] for day in ("25112026", "26112026")
        ]
    assert {line["update"] for line in done.data["programs"]} == {"done"}
    assert {line["replicated"] for line in done.data["programs"]} == {True}
    assert [step for step in seen if step[1] == step[2]] == [
        ("writing", 4, 4),
        ("updating", 4, 4),
        ("replicating", 4, 4),
    ]


def test_what_the_update_changed_is_recorded_and_no_failure(hosted: tuple[Stage, Hosts]) -> None:
    stage, hosts = hosted
    stage.load()
    disks = hosts["town1-1"].root / "disk"
    (disks / "opt/tsfiles/clip.ts").unlink()
    hosts["town1-1"].put("/disk2/clip.ts")
    file = stage.write((DAY, WHOLE))
    done = stage.apply(file)
    assert done.status is ExitStatus.DONE, done.text
    repaired = [program(*WHOLE)[0], ("/disk2/clip.ts:1", program(*WHOLE)[1][1])]
    assert stage.master("town1-1") == stage.replica("town1-1") == repaired
    assert "(the update changed it)" in lines_of(done)["town1-1"][1]
    with Journal.open(stage.data) as journal:
        changes = {change.instance: change for change in journal.run(done.data["run"]).changes}
    assert [(entry.member, entry.start) for entry in changes["town1-1"].after_update or ()] == repaired
    assert changes["town1-2"].after_update is None
    again = stage.apply(file)  # what the update made of it is what is meant
    assert again.text == "nothing to write: 4 programs already as meant\n"


def test_on_a_saturday_what_became_of_sunday_and_monday_is_said(hosted: tuple[Stage, Hosts]) -> None:
    stage, _ = hosted
    sunday = SATURDAY + timedelta(days=1)
    overlapping = [(member, start if n == 0 else start - 600) for n, (member, start) in
                   enumerate(program(*WHOLE, day=sunday))]  # fmt: skip
    stage.load(town1_1=[storing(overlapping, day=sunday)])
    done = stage.apply(stage.write((SATURDAY, WHOLE)), instances=["town1-1"])
    assert done.status is ExitStatus.DONE, done.text
    assert stage.master("town1-1", sunday) == program(*WHOLE, day=sunday)
    assert done.data["notes"] == [
        "28/11 is a Saturday: the update also touches the two days after it",
        "town1-1: the update of a Saturday also changed 29112026:85",
    ]
    with Journal.open(stage.data) as journal:
        said = [event.text for event in journal.run(done.data["run"]).events]
    assert any("also changed 29112026:85" in text for text in said)


def test_more_updates_than_one_session_takes_go_in_several(
    hosted: tuple[Stage, Hosts], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, hosts = hosted
    stage.load()
    monkeypatch.setattr("dvbboxes.apply.run.MOST_UPDATES", 2)
    days = [DAY + timedelta(days=n) for n in range(5)]
    done = stage.apply(stage.write(*((day, WHOLE) for day in days)), instances=["town1-1"])
    assert done.status is ExitStatus.DONE, done.text
    assert hosts["town1-1"].sshd.sessions == 3
    assert len(hosts["town1-1"].calls) == 5


def test_an_update_that_is_not_asked_is_no_failure(stage: Stage) -> None:
    stage.load()
    done = stage.apply(stage.write((DAY, WHOLE)))
    assert (done.status, {line["update"] for line in done.data["programs"]}) == (ExitStatus.DONE, {"not-asked"})
    with Journal.open(stage.data) as journal:
        assert {change.update for change in journal.run(1).changes} == {UpdateState.NOT_ASKED}


# --- the journal ------------------------------------------------------------------------------------------------------


def test_the_journal_has_who_when_what_was_there_and_what_was_meant(stage: Stage) -> None:
    stage.load(town1_1=[storing(program("jt"))])
    file = stage.write((DAY, WHOLE))
    done = stage.apply(file, instances=["town1-1"], allow=["missing"])
    with Journal.open(stage.data) as journal:
        whole = journal.run(done.data["run"])
    asked = whole.run.asked
    assert (asked.who, asked.host, asked.command, asked.file) == ("tester", "here", "a test", file)
    assert (asked.started, asked.allow, asked.fingerprint) == (NOW, ("missing",), done.data["fingerprint"])
    assert len(asked.digest) == 64
    (change,) = whole.changes
    assert [(entry.member, entry.start) for entry in change.before] == program("jt")
    assert [(entry.member, entry.start) for entry in change.after] == program(*WHOLE)
    assert (change.state, change.replicated, whole.run.state) == (ChangeState.VERIFIED, True, RunState.DONE)


def test_history_tells_the_runs_one_run_and_a_day_in_all_three_forms(stage: Stage) -> None:
    stage.load(town1_1=[storing(program("jt"))])
    file = stage.write((DAY, WHOLE))
    stage.apply(file, instances=["town1-1", "town2-1"])
    stage.apply(stage.write((NEXT, WHOLE), name="later"), instances=["town1-1"])
    runs = stage.run("history")
    assert [run_["run"] for run_ in runs.data["runs"]] == [2, 1]
    assert [row["run"] for row in runs.rows] == ["2", "1"]
    assert [line.split()[0] for line in runs.text.splitlines()[1:3]] == ["2", "1"]
    whole = stage.run("history", id="1")
    assert (whole.status, whole.data["digest"]) == (
        ExitStatus.DONE,
        hashlib.sha256(Path(file).read_bytes()).hexdigest(),
    )
    assert [(row["instance"], row["state"]) for row in whole.rows] == [
        (change["instance"], change["state"]) for change in whole.data["changes"]
    ]
    assert any(line.endswith("town1-1 25/11 85: planned: replace 1 by 2") for line in whole.text.splitlines())
    assert any(line.endswith("town1-1, town2-1 25/11 85: verified") for line in whole.text.splitlines())
    day = stage.run("history", day="25/11/2026")
    assert {event["run"] for event in day.data["events"]} == {1}
    assert [row["text"] for row in day.rows] == [event["text"] for event in day.data["events"]]
    owed = stage.run("history", owed=True)
    assert (owed.status, owed.text) == (ExitStatus.DONE, "nothing is owed\n")
    other = stage.run("history", services=["86"])
    assert other.text == "nothing of that was written from here\n"
    with pytest.raises(UsageError, match=r"no run is called '9' \(there are: 2, 1\)"):
        stage.run("history", id="9")


# --- the samples ------------------------------------------------------------------------------------------------------


def shifted(text: str, first: date) -> tuple[str, list[date]]:
    """Return a listing with its days moved so that the first one is ``first``, and those days."""
    days = [first + timedelta(days=number) for number in range(text.count("["))]
    new = iter(days)
    return re.sub(r"^\[.*\]$", lambda _: f"[{next(new):%d/%m/%Y}]", text, flags=re.M), days


def laid_out(names: list[str], seconds: dict[str, float], day: date) -> Program:
    start, entries = moment(day, ZONE, clock(7, 30)), []
    for index, name in enumerate(names):
        entries.append((f"/opt/tsfiles/{name}.ts:{index}", start))
        start += seconds[f"{name}.ts"]
    return entries


def test_the_sample_listings_shifted_to_next_week_go_on_air_with_one_command(
    small_fleet: Callable[..., World], samples: Path, tmp_path: Path
) -> None:
    """And ``program show`` and ``program diff`` agree with them to the second."""
    world = small_fleet(channels=(("2", "BBC2"), ("5", "Channel 5")))
    stage = Stage(world, tmp_path)
    pairs = [line.split("\t") for line in (samples / "durations.tsv").read_text("utf-8").splitlines()]
    seconds = {name: float(value) for name, value in pairs}
    known: Command = (1, ("MSET", *(part for pair in pairs for part in pair)))
    world.load({fqdn: [known] for fqdn in ALL})
    files, meant, first = [], {}, upcoming()
    for sid in ("2", "5"):
        text, days = shifted((samples / f"{sid}_26112015_08122015").read_text("utf-8"), first)
        files.append(tmp_path / f"{sid}_{days[0]:%d%m%Y}_{days[-1]:%d%m%Y}")
        files[-1].write_text(text, "utf-8")
        for day, section in zip(days, re.split(r"^\[.*\]$", text, flags=re.M)[1:], strict=True):
            meant[day, sid] = laid_out(section.split(), seconds, day)
    config = stage.config
    ran = run("listing", "apply", *map(str, files), "--yes", config=config)
    assert ran.status == 0, ran.out + ran.err
    for (day, sid), expected in meant.items():
        assert [sorted(found) for found in stage.everywhere(day, sid)] == [sorted(expected)]
    for day, sid in ((first, "2"), (first + timedelta(days=5), "5")):
        words = (f"{day:%d%m%Y}", "-s", sid)
        shown = run("program", "show", *words, "--format", "csv", config=config)
        assert shown.status == 0, shown.out + shown.err
        rows = [(row["media"], datetime.fromisoformat(row["start"]).timestamp()) for row in csv_rows(shown.out)]
        assert rows == [(Path(member).name.rpartition(":")[0], start) for member, start in meant[day, sid]]
        diff = run("program", "diff", *words, config=config)
        assert diff.status == 0, diff.out + diff.err


def csv_rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))
