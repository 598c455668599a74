"""``media rename`` and ``media delete``: real masters, real sshd, and a dvbbox whose exit status proves nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import sshd
from applying import DAY, NOW
from filming import Studio
from processes import run
from waiting import eventually

from dvbboxes.demo.servers import tell
from dvbboxes.demo.world import World
from dvbboxes.errors import ExitStatus, Refused, UsageError
from dvbboxes.journal import Journal
from dvbboxes.records import ChangeState, RunKind, RunState, WholeRun
from dvbboxes.sister import rewrite

#: Whole renames over ssh on four hosts: run by make test-slow.
pytestmark = pytest.mark.slow

NEXT = DAY + timedelta(days=1)
PAST = DAY - timedelta(days=30)
START = NOW + 7 * 86400


@pytest.fixture
def studio(fleet: World, tmp_path: Path, ssh_hosts: Callable[[World], sshd.Hosts]) -> Studio:
    return Studio.build(fleet, tmp_path, ssh_hosts(fleet))


def whole(studio: Studio, number: int = 1) -> WholeRun:
    with Journal.open(studio.stage.data) as journal:
        return journal.run(number)


def states(data: dict[str, Any]) -> dict[str, str]:
    return {one["instance"]: one["state"] for one in data["files"]}


def untouched(studio: Studio) -> bool:
    """Return whether no host was told to rename or delete anything."""
    words = [word for host in studio.hosts.by_name.values() for call in host.calls for word in call]
    return "--rename" not in words and "--delete" not in words


# --- rename


def test_a_rename_reaches_every_disk_and_every_program_and_the_journal_has_it(studio: Studio) -> None:
    studio.load({DAY: ["film", "clip", "film"], PAST: ["film"]}, without={"town1-2": ["film"]})
    before = studio.stage.master("town1-2")
    done = studio.run("media rename", "film", "movie.ts", yes=True)
    assert done.status is ExitStatus.DONE, done.text
    assert states(done.data) == {"town1-1": "done", "town1-2": "not-there", "town2-1": "done", "town2-2": "done"}
    for fqdn in studio.fqdns:
        assert studio.names(fqdn) == ["movie", "clip", "movie"]
        assert studio.names(fqdn, PAST) == ["movie"]
        assert not studio.has(fqdn, "film")
        assert not studio.listed(fqdn, "film", replica=True)
        assert studio.has(fqdn, "movie") is (fqdn != "town1-2")
        assert studio.stage.replica(fqdn) == studio.stage.master(fqdn)
    # Where the file is absent the starts stand as they stood, and nobody is asked to move them.
    assert [start for _, start in studio.stage.master("town1-2")] == [start for _, start in before]
    assert not any("program" in call for call in studio.hosts["town1-2"].calls)
    run = whole(studio)
    assert (run.run.asked.kind, run.run.state, run.run.asked.file) == (
        RunKind.RENAME,
        RunState.DONE,
        "film.ts movie.ts",
    )
    assert {change.state for change in run.changes} == {ChangeState.VERIFIED}
    assert len(run.changes) == 8
    assert {row["what"] for row in done.rows} == {"file", "program"}
    assert len(done.rows) == len(done.data["files"]) + len(done.data["programs"])


def test_what_it_hits_is_shown_before_the_question_and_a_no_changes_nothing(studio: Studio) -> None:
    studio.load({DAY: ["film"], PAST: ["film"]}, without={"town1-2": ["film"]})
    studio.stage.answer = False
    with pytest.raises(Refused, match="not confirmed"):
        studio.run("media rename", "film", "movie")
    assert studio.stage.asked == ["rename film to movie on 3 instances and in 2 programs?"]
    assert len(studio.stage.shown) == 1
    assert untouched(studio)
    shown = studio.run("media rename", "film", "movie", dry_run=True)
    assert shown.status is ExitStatus.DONE
    assert (shown.data["holders"], shown.data["lacking"]) == (["town1-1", "town2-1", "town2-2"], ["town1-2"])
    assert {(one["when"], one["day"]) for one in shown.data["airings"]} == {
        ("coming", "25112026"),
        ("past", "26102026"),
    }
    assert "NOTHING CHANGED" in shown.text
    assert len(shown.rows) == 2
    assert untouched(studio)


def test_a_new_name_that_exists_anywhere_refuses_it(studio: Studio) -> None:
    studio.load({DAY: ["film"]}, town2_2=["movie"])
    done = studio.run("media rename", "film", "movie", yes=True)
    assert done.status is ExitStatus.REFUSED
    assert "movie exists: dvbbox would overwrite it: town2-2" in done.text
    assert done.data["refused"][0]["instances"] == ["town2-2"]
    assert untouched(studio)


def test_a_new_name_that_only_the_disk_knows_refuses_it_too(studio: Studio) -> None:
    studio.load({DAY: ["film"]})
    studio.disk("town1-2", {"movie": 100})  # db 1 is as old as the last look at the disks
    with pytest.raises(Refused, match="movie exists on town1-2"):
        studio.run("media rename", "film", "movie", yes=True)
    assert untouched(studio)
    assert (studio.folder("town1-2") / "movie.ts").stat().st_size == 100


def test_on_air_refuses_it_and_later_today_is_released_by_name(studio: Studio) -> None:
    studio.load({DAY: ["film", "jt", "clip", "film"]})
    now = START + 3600
    done = studio.run("media rename", "film", "movie", yes=True, now=now, allow=["on-air"])
    assert done.status is ExitStatus.REFUSED
    assert "it is on air" in done.text
    later = studio.run("media rename", "jt", "news", yes=True, now=now)
    assert later.status is ExitStatus.REFUSED
    assert "--allow on-air" in later.text
    assert untouched(studio)
    assert studio.run("media rename", "jt", "news", yes=True, now=now, allow=["on-air"]).status is ExitStatus.DONE
    assert studio.names("town1-1") == ["film", "news", "clip", "film"]


@pytest.mark.parametrize("which", ["dead replica", "stale replica", "frozen master", "dead host"])
def test_an_instance_that_could_not_be_asked_refuses_it(studio: Studio, which: str) -> None:
    studio.load({DAY: ["film"]})
    world = studio.stage.world
    if which == "dead replica":
        world.kill(world.replica("town2-1"))
    elif which == "dead host":
        studio.hosts["town2-1"].sshd.close()
    elif which == "stale replica":
        world.kill(world.master("town2-1"))
        wait_for_link_down(studio, "town2-1")
    else:  # the link stays up for a while, and dvbbox on that host would wait for it
        studio.stage.deadline = 2.0
        studio.hosts["town2-1"].behave("exit 0")
        world.freeze(world.master("town2-1"))
    if which.endswith("replica"):
        done = studio.run("media rename", "film", "movie", yes=True)
        assert done.status is ExitStatus.REFUSED
        assert "could not be asked, or answered with old data" in done.text
        assert done.data["refused"][0]["instances"] == ["town2-1"]
    else:
        with pytest.raises(Refused, match=r"1 (hosts|masters) could not be asked, nothing was changed"):
            studio.run("media rename", "film", "movie", yes=True)
    assert untouched(studio)
    # The others can be renamed without it, by name.
    others = [fqdn for fqdn in studio.fqdns if fqdn != "town2-1"]
    assert studio.run("media rename", "film", "movie", yes=True, instances=others).status is ExitStatus.DONE


def wait_for_link_down(studio: Studio, fqdn: str) -> None:
    replica = studio.stage.world.replica(fqdn).endpoint
    down = eventually(lambda: b"master_link_status:down" in tell(replica, [(0, ("INFO", "replication"))])[0])
    assert down, "the link is still up"


def test_a_failure_on_one_is_told_its_programs_keep_the_name_and_resume_does_the_rest(studio: Studio) -> None:
    studio.load({DAY: ["film", "clip"]}, without={"town1-2": ["film"]})
    folder = studio.folder("town2-1")
    studio.hosts["town2-1"].behave("deaf rename")  # says nothing, does nothing, exits 0
    done = studio.run("media rename", "film", "movie", yes=True)
    assert done.status is ExitStatus.PARTIAL
    assert states(done.data) == {"town1-1": "done", "town1-2": "not-there", "town2-1": "failed", "town2-2": "done"}
    assert "status 0" in done.text
    assert "media rename film movie --resume 1" in done.text
    assert studio.names("town2-1") == ["film", "clip"]
    assert studio.names("town1-2") == ["movie", "clip"]
    assert whole(studio).run.state is RunState.PARTIAL
    assert studio.run("media rename", "film", "movie", yes=True).status is ExitStatus.REFUSED  # the new name exists
    studio.hosts["town2-1"].behave()
    again = studio.run("media rename", "film", "movie", yes=True, resume="1")
    assert again.status is ExitStatus.DONE, again.text
    assert (folder / "movie.ts").exists()
    assert {tuple(studio.names(fqdn)) for fqdn in studio.fqdns} == {("movie", "clip")}
    assert any("gone on with by run 2" in event.text for event in whole(studio).events)


def test_a_rename_that_was_killed_is_gone_on_with_and_owes_nothing_then(studio: Studio) -> None:
    studio.load({DAY: ["film", "clip"]}, without={"town1-2": ["film"]})

    def killed(phase: str, done: int, total: int) -> None:
        if phase == "renaming":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        studio.run("media rename", "film", "movie", yes=True, progress=killed)
    assert whole(studio).run.state is RunState.OPEN
    assert studio.names("town1-2") == ["film", "clip"]  # where the file is absent nothing was done yet
    done = studio.run("media rename", "film", "movie", yes=True, resume="1")
    assert done.status is ExitStatus.DONE, done.text
    assert {tuple(studio.names(fqdn)) for fqdn in studio.fqdns} == {("movie", "clip")}
    assert whole(studio).run.state is not RunState.OPEN
    assert not any(studio.listed(fqdn, "film", replica=True) for fqdn in studio.fqdns)
    with Journal.open(studio.stage.data) as journal:
        assert journal.owed() == ()


def test_a_resumed_rename_overwrites_nothing_either(studio: Studio) -> None:
    studio.load({DAY: ["film", "clip"]})
    studio.hosts["town2-1"].behave("deaf rename")
    assert studio.run("media rename", "film", "movie", yes=True).status is ExitStatus.PARTIAL
    studio.hosts["town2-1"].behave()
    studio.disk("town2-1", {"movie": 100})
    with pytest.raises(Refused, match="movie exists on town2-1"):
        studio.run("media rename", "film", "movie", yes=True, resume="1")
    assert (studio.folder("town2-1") / "movie.ts").stat().st_size == 100


def test_resume_is_for_that_very_rename(studio: Studio) -> None:
    studio.load({DAY: ["film"]})
    studio.run("media rename", "film", "movie", yes=True)
    with pytest.raises(UsageError, match="another one"):
        studio.run("media rename", "clip", "movie", yes=True, resume="1")


@pytest.mark.parametrize(
    ("old", "new"), [("film", "../movie"), ("fi*lm", "movie"), ("film", "film.ts"), ("film", "Movie")]
)
def test_a_name_that_is_none_is_a_mistake(studio: Studio, old: str, new: str) -> None:
    studio.load()
    with pytest.raises(UsageError):
        studio.run("media rename", old, new, yes=True)
    assert untouched(studio)


# --- delete


def test_a_delete_reaches_every_disk_and_is_journalled(studio: Studio) -> None:
    studio.load({DAY: ["film"]}, without={"town1-2": ["jt"]})
    done = studio.run("media delete", "jt", yes=True)
    assert done.status is ExitStatus.DONE, done.text
    assert states(done.data) == {"town1-1": "done", "town1-2": "not-there", "town2-1": "done", "town2-2": "done"}
    assert not any(studio.has(fqdn, "jt") or studio.listed(fqdn, "jt", replica=True) for fqdn in studio.fqdns)
    run = whole(studio)
    assert (run.run.asked.kind, run.run.state, run.changes) == (RunKind.MEDIA_DELETE, RunState.DONE, ())
    assert sum("jt: done" in event.text for event in run.events) == 3


@pytest.mark.parametrize("now", [NOW, START + 3600], ids=["to come", "on air"])
def test_a_file_that_is_scheduled_from_now_on_is_not_deleted(studio: Studio, now: float) -> None:
    studio.load({DAY: ["film"]})
    done = studio.run("media delete", "film", yes=True, now=now)
    assert done.status is ExitStatus.REFUSED
    assert "it is scheduled from now on" in done.text
    assert untouched(studio)


def test_where_a_past_program_names_it_dvbbox_deletes_nothing_and_that_is_told_beforehand(studio: Studio) -> None:
    studio.load()
    studio.stage.world.load({"town2-1": [studio.storing("town2-1", ["jt"], PAST)]})
    shown = studio.run("media delete", "jt", dry_run=True)
    assert shown.data["blocked"] == ["town2-1"]
    done = studio.run("media delete", "jt", yes=True)
    assert done.status is ExitStatus.PARTIAL
    assert states(done.data)["town2-1"] == "blocked"
    assert "26/10/2026 85" in done.text
    assert studio.has("town2-1", "jt")
    assert not studio.has("town1-1", "jt")
    assert not any("--delete" in call for call in studio.hosts["town2-1"].calls)
    alone = studio.run("media delete", "jt", yes=True)  # nothing is left that could be done
    assert alone.status is ExitStatus.REFUSED


def test_status_0_is_no_proof_and_the_same_command_goes_on(studio: Studio) -> None:
    studio.load()
    studio.hosts["town1-1"].behave("deaf delete")
    done = studio.run("media delete", "jt", yes=True)
    assert done.status is ExitStatus.PARTIAL
    assert states(done.data)["town1-1"] == "failed"
    assert "it is still there" in done.text
    studio.hosts["town1-1"].behave()
    again = studio.run("media delete", "jt", yes=True)
    assert again.status is ExitStatus.DONE
    assert states(again.data) == dict.fromkeys(studio.fqdns, "not-there") | {"town1-1": "done"}


def test_a_file_that_nobody_has_is_not_deleted(studio: Studio) -> None:
    studio.load()
    done = studio.run("media delete", "nosuch", yes=True)
    assert done.status is ExitStatus.REFUSED
    assert "no instance that answered has nosuch" in done.text


# --- the sister tool's forms


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("media film --rename movie", "media rename film movie"),
        ("media film.ts --rename=movie --yes", "media rename film.ts movie --yes"),
        ("media film --yes --rename movie --towns a", "media rename film movie --yes --towns a"),
        ("media film --delete", "media delete film"),
        ("media film --yes --delete", "media delete film --yes"),
        ("media film", "media show film"),
        ("media film --rename", "media rename film"),  # argparse says what is missing
        ("media rename film movie", "media rename film movie"),
        ("media Film --delete", "media Film --delete"),
    ],
)
def test_the_sister_forms_mean_ours(typed: str, meant: str) -> None:
    verbs = {"media": ("show", "rename", "delete")}
    assert rewrite(typed.split(), verbs) == meant.split()


def test_the_sister_tools_words_do_it_from_a_shell(studio: Studio) -> None:
    long_ago = date(2020, 1, 1)
    studio.load({long_ago: ["film"]}, without={"town1-2": ["film"]})
    config = str(studio.stage.config)
    asked = run("media", "film", "--rename", "movie", config=config)
    assert (asked.status, "--yes" in asked.err) == (ExitStatus.USAGE, True)  # nobody is there to ask
    assert "NOTHING CHANGED" in asked.err
    ran = run("media", "film", "--rename", "movie", "--yes", "--format", "json", config=config)
    assert ran.status == 0, ran.err
    body = json.loads(ran.out)
    assert (body["command"], body["data"]["whole"], body["data"]["new"]) == ("media rename", True, "movie.ts")
    assert {tuple(studio.names(fqdn, long_ago)) for fqdn in studio.fqdns} == {("movie",)}
    history = run("history", "1", config=config)
    assert "rename" in history.out
    quiet = run("media", "jt.ts", "--delete", "--yes", "-q", config=config)
    assert (quiet.status, quiet.out) == (0, "")
    assert not studio.has("town1-1", "jt")
