"""``media missing``, ``conflicts``, ``unused`` and dvbbox's own updates: real replicas, real sshd, real rsync."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sshd
from applying import DAY, NOW
from filming import LENGTHS, Studio
from stages import ZONE

from dvbboxes.demo.servers import tell
from dvbboxes.demo.world import World
from dvbboxes.errors import ExitStatus, UsageError
from dvbboxes.library.fetch import Manner, plan, script
from dvbboxes.library.needs import Lack
from dvbboxes.model import Duration, DurationKind, Endpoint, Instance, SshTarget

#: Whole copies over ssh between hosts: run by make test-slow.
pytestmark = pytest.mark.slow

NEXT = DAY + timedelta(days=1)
START = NOW + 7 * 86400


@pytest.fixture
def studio(fleet: World, tmp_path: Path, ssh_hosts: Callable[[World], sshd.Hosts]) -> Studio:
    return Studio.build(fleet, tmp_path, ssh_hosts(fleet))


@pytest.fixture
def rsync(need: Callable[[object, str], None]) -> None:
    need(shutil.which("rsync"), "there is no rsync (apt-get install rsync)")


# --- what is missing


def test_what_hurts_first_comes_first_and_who_has_a_copy_is_said(studio: Studio) -> None:
    studio.load({DAY: ["film", "clip"], NEXT: ["jt", "film"]}, without={"town1-1": ["jt", "clip"]})
    done = studio.run("media missing", now=START - 3600)
    assert done.status is ExitStatus.DIFFERENCE
    found = done.data["missing"]
    # clip airs on the evening of the first day, jt at once on the second: but the launch of the first comes first.
    assert [(one["media"], one["instance"]) for one in found] == [("clip.ts", "town1-1"), ("jt.ts", "town1-1")]
    assert found[0]["hurts"] == "2026-11-25T07:30:00+03:00"
    assert found[0]["airs"] == "2026-11-25T23:53:20.250000+03:00"
    assert found[0]["holders"] == ["town1-2", "town2-1", "town2-2"]
    assert [row["media"] for row in done.rows] == ["clip.ts", "jt.ts"]
    assert "clip" in done.text.splitlines()[1]
    assert "town1-2" in done.text.splitlines()[1]


def test_after_the_launch_a_missing_file_hurts_when_it_airs_and_what_has_aired_not_at_all(studio: Studio) -> None:
    studio.load({DAY: ["jt", "film", "clip"]}, without={"town2-1": ["jt", "clip"]})
    done = studio.run("media missing", now=START + 4000)
    (one,) = done.data["missing"]
    assert one["media"] == "clip.ts"
    assert one["hurts"] == one["airs"] == "2026-11-26T00:08:20.250000+03:00"


def test_an_instance_that_is_silent_lacks_nothing_and_makes_the_answer_partial(studio: Studio) -> None:
    studio.load({DAY: ["film"]}, without={"town1-1": ["film"]})
    studio.stage.world.kill(studio.stage.world.replica("town1-2"))
    done = studio.run("media missing", now=START - 3600)
    assert {one["instance"] for one in done.data["missing"]} == {"town1-1"}
    assert done.data["missing"][0]["holders"] == ["town2-1", "town2-2"]
    assert done.status is ExitStatus.PARTIAL


def test_a_copy_elsewhere_counts_where_only_one_instance_is_asked(studio: Studio) -> None:
    studio.load({DAY: ["film"]}, without={"town1-1": ["film"], "town1-2": ["film"]})
    done = studio.run("media missing", now=START - 3600, instances=["town1-1"], services=["85"])
    assert [(one["instance"], one["holders"]) for one in done.data["missing"]] == [("town1-1", ["town2-1", "town2-2"])]
    assert list(done.envelope["instances"]) == ["town1-1"]
    nothing = studio.run("media missing", now=START - 3600, instances=["town2-1"])
    assert (nothing.status, nothing.data["missing"]) == (ExitStatus.DONE, [])


# --- the plan of a fetch


def instance(fqdn: str, town: str = "a", **more: object) -> Instance:
    at = Endpoint()
    return replace(Instance(town, fqdn, at, at, SshTarget(fqdn), ZONE, "/opt/my files"), **more)  # type: ignore[arg-type]  # each test gives the fields it means


def lack(target: Instance, media: str, *holders: str) -> Lack:
    return Lack(target, media, 1.0, 1.0, ("85",), (DAY,), 1, holders)


def measured(seconds: float) -> Duration:
    return Duration(DurationKind.MEASURED, seconds, str(seconds))


def planned(lacks: list[Lack], instances: list[Instance], lengths: dict[str, float], manner: Manner) -> list[list[str]]:
    said = {fqdn: {one.media: measured(length) for one in lacks} for fqdn, length in lengths.items()}
    made = plan(lacks, said, {}, {one.fqdn: one for one in instances}, manner, 1.2)
    return [[f"{copy.source.fqdn}>{copy.target.fqdn}" for copy in wave] for wave in made.waves]


def test_no_source_gives_to_more_than_it_may_at_once_and_no_target_takes_two() -> None:
    targets = [instance(f"t{n}") for n in range(5)]
    source = instance("s")
    lacks = [lack(one, "film.ts", "s") for one in targets] + [lack(targets[0], "clip.ts", "s")]
    waves = planned(lacks, [*targets, source], {"s": 10.0}, Manner(per_source=2))
    assert waves == [["s>t0", "s>t1"], ["s>t2", "s>t3"], ["s>t4", "s>t0"]]


def test_a_target_takes_one_file_after_the_other() -> None:
    target, sources = instance("t"), [instance("s1"), instance("s2")]
    lacks = [lack(target, f"film{n}.ts", "s1", "s2") for n in range(3)]
    waves = planned(lacks, [target, *sources], {"s1": 10.0, "s2": 10.0}, Manner(per_source=2))
    assert waves == [["s1>t"], ["s2>t"], ["s1>t"]]


def test_the_load_is_spread_and_a_neighbour_comes_first() -> None:
    targets = [instance("t0", "a"), instance("t1", "b"), instance("t2", "c"), instance("t3", "c")]
    sources = [instance("sa", "a"), instance("sb", "b")]
    lacks = [lack(one, "film.ts", "sb", "sa") for one in targets]
    waves = planned(lacks, [*targets, *sources], {"sa": 10.0, "sb": 10.0}, Manner(per_source=2))
    assert waves == [["sa>t0", "sb>t1", "sb>t2", "sa>t3"]]


def test_half_a_file_is_no_source_nor_is_a_server_under_maintenance() -> None:
    target, half, whole, mended = instance("t"), instance("half"), instance("whole"), instance("m", maintenance=True)
    lacks = [lack(target, "film.ts", "half", "m", "whole")]
    waves = planned(lacks, [target, half, whole, mended], {"half": 5.0, "m": 10.0, "whole": 9.0}, Manner())
    assert waves == [["whole>t"]]
    said = {"m": {"film.ts": measured(10.0)}}
    made = plan([lack(target, "film.ts", "m")], said, {}, {"t": target, "m": mended}, Manner(), 1.2)
    assert (made.waves, dict(made.orphans)) == ((), {"film.ts": ("t",)})


def test_the_copy_lands_beside_its_place_and_every_word_is_quoted() -> None:
    source = instance("s", ssh=SshTarget("10.0.0.9", "dvb", 2222))
    made = script(instance("t"), source, "film.ts", "/mnt/b c", Manner(bwlimit=500))
    assert made == (
        "rsync -s --times --partial --timeout=60 --bwlimit=500 -e 'ssh -o BatchMode=yes -p 2222' "
        "'dvb@10.0.0.9:/mnt/b c/film.ts' '/opt/my files/.film.ts.part' "
        "&& mv -n -- '/opt/my files/.film.ts.part' '/opt/my files/film.ts'"
    )


# --- the fetch itself


def test_fetch_shows_and_changes_nothing(studio: Studio) -> None:
    studio.load({DAY: ["film"]}, without={"town1-1": ["film"]})
    done = studio.run("media missing", now=START - 3600, fetch=True)
    assert done.status is ExitStatus.DIFFERENCE
    assert "NOTHING COPIED" in done.text
    (one,) = done.data["missing"]
    assert one["source"] == "town1-2"
    assert one["command"] in done.text
    assert done.rows[0]["command"] == one["command"]
    assert not studio.has("town1-1", "film")
    assert [host.sshd.sessions for host in studio.hosts.by_name.values()] == [0, 0, 0, 0]


def test_run_copies_from_neighbours_updates_and_looks(studio: Studio, rsync: None) -> None:
    studio.load({DAY: ["film", "clip"]}, without={"town1-1": ["film", "clip"], "town2-2": ["film"]})
    told: list[tuple[str, int, int]] = []

    def progress(phase: str, done: int, total: int) -> None:
        told.append((phase, done, total))

    done = studio.run("media missing", now=START - 3600, fetch=True, run=True, rsh=studio.rsh(), progress=progress)
    assert done.status is ExitStatus.DONE, done.text
    lines = {(one["instance"], one["media"], one["source"], one["state"]) for one in done.data["files"]}
    assert lines == {
        ("town1-1", "film.ts", "town1-2", "there"),
        ("town1-1", "clip.ts", "town1-2", "there"),
        ("town2-2", "film.ts", "town2-1", "there"),
    }
    for fqdn, name in (("town1-1", "film"), ("town1-1", "clip"), ("town2-2", "film")):
        assert (studio.folder(fqdn) / f"{name}.ts").stat().st_size == LENGTHS[name]
        assert studio.listed(fqdn, name, replica=True)
        assert not (studio.folder(fqdn) / f".{name}.ts.part").exists()
    assert studio.hosts["town1-1"].calls == [["media", "update"]]
    assert studio.hosts["town1-2"].calls == []
    assert ("fetching", 3, 3) in told
    assert studio.run("media missing", now=START - 3600).status is ExitStatus.DONE


def test_what_was_cut_short_is_gone_on_with(studio: Studio, rsync: None) -> None:
    studio.load({DAY: ["film"]}, without={"town1-1": ["film"]})
    part = studio.folder("town1-1") / ".film.ts.part"
    part.write_bytes(b"x" * 58000)
    done = studio.run("media missing", now=START - 3600, fetch=True, run=True, rsh=studio.rsh(), instances=["town1-1"])
    assert done.status is ExitStatus.DONE, done.text
    assert studio.has("town1-1", "film")
    assert not part.exists()


def test_a_copy_that_is_given_up_ends_there_too_and_the_next_run_goes_on(studio: Studio, rsync: None) -> None:
    studio.load({DAY: ["film", "jt"]}, without={"town1-1": ["film"], "town2-1": ["jt"]})
    studio.disk("town1-2", {"film": 400_000})
    asked = {"now": START - 3600, "fetch": True, "run": True, "rsh": studio.rsh()}
    done = studio.run("media missing", bwlimit="50", give_up="3", **asked)  # the film would take 8 s
    lines = {one["instance"]: (one["state"], one["detail"]) for one in done.data["files"]}
    assert lines["town1-1"][0] == "failed", lines
    assert "given up after 3 s: what was copied stays for the next run" in lines["town1-1"][1]
    assert lines["town2-1"] == ("there", "")
    assert done.status is ExitStatus.PARTIAL
    assert not studio.has("town1-1", "film")
    part = studio.folder("town1-1") / ".film.ts.part"
    copied = part.stat().st_size
    assert 0 < copied < 400_000
    assert not list(studio.folder("town1-1").glob(".film.ts.part.*"))  # what rsync writes to while it runs
    again = studio.run("media missing", **asked)
    assert again.status is ExitStatus.DONE, again.text
    assert (studio.folder("town1-1") / "film.ts").stat().st_size == 400_000
    assert not part.exists()


def test_rsyncs_word_is_not_believed_and_one_failure_stops_no_other(studio: Studio, rsync: None) -> None:
    studio.load({DAY: ["film"]}, without={"town1-1": ["film"], "town2-1": ["film"], "town2-2": ["film"]})
    studio.hosts["town1-1"].behave("exit 1")  # dvbbox there does not update: the replica never sees the file
    (studio.folder("town2-1")).rename(studio.folder("town2-1").with_name("elsewhere"))
    studio.folder("town2-1").touch()  # no folder to copy into
    done = studio.run("media missing", now=START - 3600, fetch=True, run=True, rsh=studio.rsh())
    states = {one["instance"]: (one["state"], one["detail"]) for one in done.data["files"]}
    assert states["town1-1"][0] == "unseen"
    assert "no space left on device" in states["town1-1"][1]
    assert states["town2-1"][0] == "failed"
    assert "rsync ended with status" in states["town2-1"][1]
    assert states["town2-2"][0] == "there"
    assert done.status is ExitStatus.PARTIAL
    assert "2 of 3 are not there" in done.text


def test_a_file_that_nobody_has_is_named_and_not_copied(studio: Studio) -> None:
    studio.load({DAY: ["film", "gone"]})
    done = studio.run("media missing", now=START - 3600, fetch=True, run=True)
    assert {(one["media"], one["state"]) for one in done.data["files"]} == {("gone.ts", "no-copy")}
    assert done.status is ExitStatus.PARTIAL


def test_what_is_withdrawn_is_not_copied_to_where_it_would_air(studio: Studio) -> None:
    studio.load({DAY: ["film", "clip"]}, without={"town1-1": ["film"]})
    studio.run("media withdraw", name="film")
    shown = studio.run("media missing", now=START - 3600, fetch=True)
    assert shown.data["withdrawn"] == {"film.ts": ["town1-1"]}
    assert (shown.data["waves"], shown.data["orphans"]) == ([], {})
    assert "film is withdrawn and not copied (scheduled on town1-1): dvbboxes media replace film NEW" in shown.text
    done = studio.run("media missing", now=START - 3600, fetch=True, run=True)
    assert [(one["instance"], one["state"]) for one in done.data["files"]] == [("town1-1", "withdrawn")]
    assert done.status is ExitStatus.PARTIAL
    assert not studio.has("town1-1", "film")


@pytest.mark.parametrize(
    ("option", "value"),
    [("days", "0"), ("days", "x"), ("per_source", "0"), ("bwlimit", "-1"), ("give_up", "soon"), ("rsh", " ")],
)
def test_a_figure_that_is_none_is_named(studio: Studio, option: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"--{option.replace('_', '-')}"):
        studio.run("media missing", fetch=True, **{option: value})


def test_run_without_fetch_is_a_mistake(studio: Studio) -> None:
    with pytest.raises(UsageError, match="--fetch"):
        studio.run("media missing", run=True)


# --- conflicts, unused


def test_conflicts_come_worst_first_and_the_tolerance_is_no_conflict(studio: Studio) -> None:
    studio.load()
    set_in(studio, "town1-1", film=59001, clip=1700, jt="3.14")
    set_in(studio, "town2-2", clip=1000)
    done = studio.run("media conflicts")
    assert done.status is ExitStatus.DIFFERENCE
    assert [(one["media"], one["spread"]) for one in done.data["conflicts"]] == [("clip.ts", 800.0), ("jt.ts", 0.0)]
    assert [said["instances"] for said in done.data["conflicts"][0]["said"]] == [
        ["town1-2", "town2-1"],
        ["town2-2"],
        ["town1-1"],
    ]
    assert [row["instances"] for row in done.rows][:3] == ["town1-2 town2-1", "town2-2", "town1-1"]
    assert done.text.splitlines()[0] == "clip  differs by 0:13:20"
    assert "not measured (3.14): town1-1" in done.text


def test_no_conflict_is_no_difference(studio: Studio) -> None:
    studio.load()
    done = studio.run("media conflicts")
    assert (done.status, done.data["conflicts"], done.data["files"]) == (ExitStatus.DONE, [], 3)


def test_unused_is_what_no_instance_schedules_from_today_on(studio: Studio) -> None:
    old = DAY - timedelta(days=30)
    studio.load({DAY: ["film"], old: ["jt"]}, town2_2=["extra"])
    done = studio.run("media unused", now=START + 60)
    found = {one["media"]: (one["last_day"], one["instances"], one["blocking"]) for one in done.data["unused"]}
    assert found == {
        "clip.ts": (None, list(studio.fqdns), []),
        "jt.ts": ("26102026", list(studio.fqdns), list(studio.fqdns)),
        "extra.ts": (None, ["town2-2"], []),
    }
    assert [one["media"] for one in done.data["unused"]] == ["clip.ts", "jt.ts", "extra.ts"]  # the longest first
    assert done.status is ExitStatus.DONE
    assert [row["media"] for row in done.rows] == ["clip.ts", "jt.ts", "extra.ts"]
    studio.stage.world.kill(studio.stage.world.replica("town2-1"))
    assert studio.run("media unused", now=START + 60).status is ExitStatus.PARTIAL


def set_in(studio: Studio, fqdn: str, **durations: object) -> None:
    commands = [(1, ("SET", f"{name}.ts", str(value))) for name, value in durations.items()]
    tell(studio.stage.world.master(fqdn).endpoint, commands)
    studio.stage.world.servers.wait_in_sync()


# --- dvbbox's own updates


def test_media_update_runs_everywhere_and_one_failure_is_told(studio: Studio) -> None:
    studio.load()
    studio.disk("town1-1", {"fresh": 700})
    studio.hosts["town2-1"].behave("exit 3")
    done = studio.run("media update")
    assert done.status is ExitStatus.PARTIAL
    states = {one["instance"]: (one["ok"], one["status"]) for one in done.data["commands"]}
    assert states == {
        "town1-1": (True, 0),
        "town1-2": (True, 0),
        "town2-1": (False, 3),
        "town2-2": (True, 0),
    }
    assert studio.listed("town1-1", "fresh", replica=True)
    assert "1 of 4 commands did not end well" in done.text
    only = studio.run("media update", instances=["town1-2"])
    assert [row["instance"] for row in only.rows] == ["town1-2"]


def test_program_update_says_what_it_changed_and_an_apply_still_knows_its_own(studio: Studio) -> None:
    studio.stage.settings.clear()  # as dvbbox sees its disks: nothing is to be repaired
    studio.load()
    listing = studio.stage.write((DAY, ["jt", "film", "clip"]))
    assert studio.stage.apply(listing).status is ExitStatus.DONE
    set_in(studio, "town1-1", jt=1000)  # longer than when it was scheduled: the update moves what follows
    done = studio.run("program update", f"{DAY:%d/%m/%Y}", services=["85"])
    assert done.status is ExitStatus.DONE
    changed = {one["instance"]: one["changed"] for one in done.data["commands"]}
    assert changed == {"town1-1": ["25112026:85"], "town1-2": [], "town2-1": [], "town2-2": []}
    assert "changed 25112026:85" in done.text
    set_in(studio, "town1-1", jt=900)
    assert {row["action"] for row in studio.stage.plan(listing).data["changes"]} == {"keep"}


def test_program_update_of_a_channel_nobody_carries_is_a_mistake(studio: Studio) -> None:
    studio.load()
    studio.stage.setting("town1-1", "channels=86")
    with pytest.raises(UsageError, match="carries"):
        studio.run("program update", "today", services=["85"], instances=["town1-1"])
