"""``check`` on real fleets: each trouble is planted, is found, and nothing else is; a fleet without any is silent."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, time, timedelta
from pathlib import Path
from typing import Any

import pytest
import waits
from processes import ROOT, environment, run
from stages import ALL, ZONE, Shown, Stage

from dvbboxes import parsers, withdrawn
from dvbboxes.audit import memory
from dvbboxes.demo.world import World
from dvbboxes.errors import ConfigError, ExitStatus, JournalError, UnknownName, UsageError
from dvbboxes.findings import Code
from dvbboxes.journal import Journal
from dvbboxes.library.barred import Withdrawal
from dvbboxes.records import ChangeState, NewRun, PlannedChange, Progress, RunKind
from dvbboxes.schedule import moment_of_day, window
from dvbboxes.wire import Command, decode_stored, program_key

DAY = date(2026, 11, 24)
HOUR = 3600.0
START = window(DAY, ZONE, time(7, 30))[0]
NOW = START + 2.5 * HOUR  # 10:00, while film_a plays
DAYS = [DAY + timedelta(days=n) for n in range(3)]
#: (media, hours): from 07:30 to 01:30, nothing missing, nothing too long.
FULL = (("film_a", 5.0), ("jt", 0.5), ("film_b", 6.5), ("clips", 6.0))
LENGTHS = {name: hours * HOUR for name, hours in FULL}

Entry = tuple[str, float]


def program(entries: Sequence[Entry] = FULL, *, sid: str = "85", day: date = DAY, at: float = 0.0) -> Command:
    """Return the command that stores a program: each file at the end of the one before, from 07:30 + ``at`` hours."""
    start = window(day, ZONE, time(7, 30))[0] + at * HOUR
    flat: list[Any] = []
    for n, (name, hours) in enumerate(entries):
        flat += [repr(start), f"/opt/tsfiles/{name}.ts:{n}"]
        start += hours * HOUR
    return (0, ("ZADD", program_key(day, sid), *flat))


def emptied(sid: str = "85", day: date = DAY) -> Command:
    return (0, ("DEL", program_key(day, sid)))


def stored(entries: Sequence[Entry], *, sid: str = "85", day: date = DAY, at: float = 0.0) -> list[Command]:
    return [emptied(sid, day), program(entries, sid=sid, day=day, at=at)]


def files(**values: object) -> Command:
    return (1, ("MSET", *(part for name, value in values.items() for part in (f"{name}.ts", str(value)))))


@dataclass
class Fleet(Stage):
    """A whole, healthy fleet of three days; ``plant`` does something to some of it."""

    now: float = NOW
    options: dict[str, Any] = field(default_factory=dict)

    def heal(self) -> None:
        healthy = [
            files(**{name: f"{seconds:.15g}" for name, seconds in LENGTHS.items()}),
            *(program(sid=sid, day=day) for day in DAYS for sid in ("85", "86")),
        ]
        self.world.load({fqdn: [(0, ("FLUSHALL",)), *healthy] for fqdn in ALL})

    def plant(self, *commands: Command, on: Sequence[str] = ALL) -> None:
        self.world.load(dict.fromkeys(on, commands))

    def check(self, **options: Any) -> Seen:
        return Seen("check", self.run("check", **({"days": "3"} | self.options | options)).result)


class Seen(Shown):
    """One result in its three forms, and the findings in it."""

    @property
    def found(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.data["findings"]
        return found

    @property
    def only(self) -> dict[str, Any]:
        """Return the one finding there is; the three forms agree on it."""
        assert len(self.found) == 1, self.text
        (finding,) = self.found
        assert [(row["code"], row["moment"], row["instances"].split(), row["text"]) for row in self.rows] == [
            (finding["code"], finding["moment"], finding["instances"], finding["text"])
        ]
        assert f"{finding['code'].upper()} {finding['text']}" in self.text
        assert finding["mend"] in self.text
        return finding


@pytest.fixture
def whole(fleet: World, tmp_path: Path) -> Fleet:
    made = Fleet(fleet, tmp_path)
    made.heal()
    return made


def said(finding: dict[str, Any]) -> tuple[str, str, list[str], str]:
    """Return (code, severity, instances, local time it first hurts)."""
    return finding["code"], finding["severity"], finding["instances"], finding["moment"][5:16]


# --- all is well ------------------------------------------------------------------------------------------------------


def test_a_fleet_without_trouble_is_silent_and_exits_0(whole: Fleet) -> None:
    seen = whole.check()
    assert seen.text == ""
    assert seen.found == []
    assert seen.result.status is ExitStatus.DONE
    assert whole.check(nagios=True).text.startswith("DVBBOXES OK - nothing wrong | critical=0;;;0 warning=0")
    assert seen.render("csv").splitlines()[1:] == []


# --- programs ---------------------------------------------------------------------------------------------------------


def test_no_program_anywhere_is_one_finding_over_days_in_a_row(whole: Fleet) -> None:
    whole.plant(emptied(day=DAYS[1]), emptied(day=DAYS[2]))
    finding = whole.check().only
    assert said(finding) == ("no-program", "critical", list(ALL), "11-25T07:30")
    assert finding["days"] == ["25112026", "26112026"]
    assert "listing plan FILE -s 85" in finding["mend"]


def test_no_program_on_one_instance_is_no_difference_besides(whole: Fleet) -> None:
    whole.plant(emptied(), on=["town2-1"])
    assert said(whole.check().only) == ("no-program", "critical", ["town2-1"], "11-24T10:00")


def test_no_program_far_ahead_is_only_a_warning(whole: Fleet) -> None:
    whole.plant(emptied(day=DAYS[2]))
    assert said(whole.check().only) == ("no-program", "warning", list(ALL), "11-26T07:30")


def test_a_program_shorter_than_the_day_says_what_dvbbox_plays_then(whole: Fleet) -> None:
    whole.plant(*stored(FULL[:3], day=DAYS[1]))
    finding = whole.check().only
    assert said(finding) == ("short", "warning", list(ALL), "11-25T19:30")
    assert finding["text"] == "ends at 19:30: dvbbox plays film_b 3 times"  # 18 h 29 min by 6 h 30: round(2.84)


def test_an_overrun_past_the_next_days_start(whole: Fleet) -> None:
    whole.plant(*stored((*FULL[:3], ("clips", 6.0), ("film_b", 6.5)), day=DAYS[1]))
    finding = whole.check().only
    assert said(finding) == ("overrun", "warning", list(ALL), "11-26T07:30")
    assert "ends at 08:00" in finding["text"] and "film_b is cut short" in finding["text"]


def test_a_gap_says_which_file_is_repeated_how_often(whole: Fleet) -> None:
    whole.plant(*stored((("film_a", 5.0), ("jt", 1.5), ("film_b", 6.5), ("clips", 6.0)), day=DAYS[1]))
    finding = whole.check().only
    assert said(finding) == ("gap", "warning", list(ALL), "11-25T13:00")
    assert finding["text"] == "13:00-14:00 after jt: dvbbox plays it 3 times"


def test_a_gap_too_short_to_repeat_the_file_makes_all_that_follows_early(whole: Fleet) -> None:
    whole.plant(*stored((("film_a", 5.25), ("jt", 0.5), ("film_b", 6.5), ("clips", 6.0)), day=DAYS[1]))
    finding = whole.check().only
    assert said(finding) == ("gap", "warning", list(ALL), "11-25T12:30")
    assert "too short to repeat it, what follows is 0:15:00 early" in finding["text"]


def test_a_program_that_begins_late_is_a_gap_before_it(whole: Fleet) -> None:
    whole.plant(*stored(FULL, day=DAYS[1], at=0.5))
    finding = whole.check().only
    assert said(finding) == ("gap", "warning", list(ALL), "11-25T07:30")
    assert "begins at 08:00: dvbbox plays at once, all of it 0:30:00 early" in finding["text"]


def test_a_gap_that_is_over_is_told_no_more(whole: Fleet) -> None:
    whole.plant(*stored((("film_a", 5.0), ("jt", 1.5), ("film_b", 6.5), ("clips", 6.0))))
    whole.now = START + 6 * HOUR
    assert whole.check().only["code"] == "gap"
    whole.now = START + 6.5 * HOUR
    assert whole.check().found == []


def test_an_overlap_makes_what_follows_late(whole: Fleet) -> None:
    whole.plant(*stored((("film_a", 4.5), ("jt", 0.5), ("film_b", 6.5), ("clips", 6.0)), day=DAYS[1]))
    finding = whole.check().only
    assert said(finding) == ("overlap", "warning", list(ALL), "11-25T12:00")
    assert finding["text"] == "film_a is 0:30:00 longer than its time: what follows is late"


def test_an_entry_scheduled_without_length_whose_file_has_come_is_an_overlap(whole: Fleet) -> None:
    whole.plant(*stored((("film_a", 5.0), ("jt", 0.0), ("film_b", 6.5), ("clips", 6.0)), day=DAYS[1]))
    finding = whole.check().only
    assert said(finding) == ("overlap", "warning", list(ALL), "11-25T12:30")
    # Equal starts are walked in member order: film_b comes before jt.
    assert "film_b has no time of its own at 12:30: dvbbox repeats it to the day's end" in finding["text"]


def test_what_is_no_entry_is_a_corrupt_program(whole: Fleet) -> None:
    whole.plant((0, ("ZADD", program_key(DAYS[1], "85"), "1", "no index")), on=["town1-2"])
    finding = whole.check().only
    assert said(finding) == ("corrupt-program", "critical", ["town1-2"], "11-25T07:30")
    assert "no index" in finding["text"]
    whole.heal()
    whole.plant(emptied(day=DAYS[1]), (0, ("SET", program_key(DAYS[1], "85"), "x")), on=["town1-2"])
    assert whole.check().only["code"] == "corrupt-program"


# --- files ------------------------------------------------------------------------------------------------------------


def test_an_absent_file_hurts_at_the_next_launch_that_needs_it(whole: Fleet) -> None:
    whole.plant((1, ("RENAME", "jt.ts", "elsewhere.ts")), (1, ("DEL", "elsewhere.ts")), on=["town1-2"])
    whole.now = START + 6 * HOUR  # today's jt is over
    finding = whole.check().only
    assert said(finding) == ("absent", "critical", ["town1-2"], "11-25T07:30")
    assert finding["text"] == "(airs 12:30): the channel will not start"
    assert finding["mend"] == "dvbboxes media missing -s 85,86 --instance town1-2 --fetch"
    assert (finding["media"], finding["service_ids"]) == ("jt.ts", ["85", "86"])


def test_an_absent_file_of_the_day_on_air_hurts_when_it_airs(whole: Fleet) -> None:
    whole.plant((1, ("DEL", "clips.ts")), on=["town1-2", "town2-1"])
    finding = whole.check().only
    assert said(finding) == ("absent", "critical", ["town1-2", "town2-1"], "11-24T19:30")


def test_a_file_that_nobody_has_is_told_so_and_its_end_is_not_guessed(whole: Fleet) -> None:
    whole.plant((1, ("DEL", "clips.ts")))
    finding = whole.check().only
    assert finding["code"] == "absent" and finding["instances"] == list(ALL)
    assert "no instance that answered has it" in finding["text"]
    assert finding["mend"] == "dvbboxes media replace clips NEW"


def test_another_file_of_the_same_length_only_here_was_perhaps_renamed_by_hand(whole: Fleet) -> None:
    whole.plant((1, ("RENAME", "clips.ts", "clips_final.ts")), on=["town1-2"])
    finding = whole.check().only
    assert said(finding) == ("renamed", "critical", ["town1-2"], "11-24T19:30")
    assert "clips_final has the same length and is only here: renamed by hand?" in finding["text"]
    whole.plant(files(clips_final=6 * 3600), on=["town2-2"])
    assert whole.check().only["code"] == "absent"


@pytest.mark.parametrize(
    ("value", "code", "severity", "what"),
    [
        ("3.14", "unmeasured", "critical", "dvbbox plays it 573 times"),  # 1800 s by 3.14
        ("nan", "corrupt-duration", "critical", "duration 'nan' is no number"),
        ("0", "no-length", "critical", "has no length"),
        ("1700", "duration", "warning", "lasts 1700 s here, 1800 s elsewhere"),
    ],
)
def test_a_duration_that_is_not_the_schedules(whole: Fleet, value: str, code: str, severity: str, what: str) -> None:
    whole.plant(files(jt=value), on=["town2-2"])
    finding = whole.check().only
    assert (finding["code"], finding["severity"], finding["instances"]) == (code, severity, ["town2-2"])
    assert what in finding["text"]
    assert said(finding)[3] == "11-24T12:30"


def test_a_duration_within_the_tolerance_is_none_and_a_longer_one_is_the_odd_one(whole: Fleet) -> None:
    whole.plant(files(jt="1801.1"), on=["town1-1"])
    assert whole.check().found == []
    whole.plant(files(jt="2100"), on=["town1-1", "town1-2"])  # two against two: the schedule knows
    finding = whole.check().only
    assert (finding["code"], finding["instances"]) == ("duration", ["town1-1", "town1-2"])


# --- between instances ------------------------------------------------------------------------------------------------


def test_the_odd_one_of_a_town_is_named_and_a_towns_own_program_is_no_difference(whole: Fleet) -> None:
    other = (("film_b", 6.5), ("jt", 0.5), ("film_a", 5.0), ("clips", 6.0))
    whole.plant(*stored(other, day=DAYS[1]), on=["town2-1", "town2-2"])
    assert whole.check().found == []
    whole.plant(*stored(other, day=DAYS[1]), on=["town1-2"])
    whole.plant(*stored(FULL, day=DAYS[1]), on=["town2-1", "town2-2"])
    finding = whole.check().only
    assert said(finding) == ("differs", "warning", ["town1-2"], "11-25T07:30")
    assert finding["mend"] == "dvbboxes program diff 25112026 -s 85"


def applied(whole: Fleet, fqdns: Sequence[str], entries: Sequence[Entry]) -> int:
    """Have the journal say that this was applied, and read back; return the run."""
    command = program(entries, day=DAYS[1])[1]
    after = decode_stored(
        [str(part).encode() for pair in zip(command[3::2], command[2::2], strict=True) for part in pair]
    )
    assert after is not None
    whole.data.mkdir(parents=True, exist_ok=True)
    changes = [PlannedChange("town", fqdn, DAYS[1], "85", (), after) for fqdn in fqdns]
    with Journal.open(whole.data, write=True) as journal:
        run_id = journal.begin(
            NewRun(RunKind.APPLY, "me", "here", "x", "", "", "f", (), NOW - HOUR), changes, NOW - HOUR
        )
        journal.advance(run_id, [Progress(fqdn, DAYS[1], "85", ChangeState.VERIFIED) for fqdn in fqdns], NOW - HOUR)
    return run_id


def test_another_program_than_was_last_applied_there(whole: Fleet) -> None:
    other = (("film_b", 6.5), ("jt", 0.5), ("film_a", 5.0), ("clips", 6.0))
    first = applied(whole, ALL, FULL)
    assert whole.check().found == []
    whole.plant(*stored(other, day=DAYS[1]), on=["town1-2"])
    finding = whole.check().only
    assert said(finding) == ("not-as-applied", "warning", ["town1-2"], "11-25T07:30")
    assert finding["mend"] == f"dvbboxes history {first}"
    # A town's own apply is no difference.
    whole.plant(*stored(other, day=DAYS[1]), on=["town1-1"])
    applied(whole, ["town1-1", "town1-2"], other)
    assert whole.check().found == []


def test_a_withdrawn_file_that_is_held_or_scheduled_is_critical(whole: Fleet) -> None:
    whole.data.mkdir(parents=True, exist_ok=True)
    withdrawn.write(whole.data, [Withdrawal("banned.ts", 0.0, "op", "here", "a film withdrawn today")])
    assert whole.check().found == []
    whole.plant(files(banned=60), on=["town1-1"])
    finding = whole.check().only
    assert said(finding) == ("withdrawn", "critical", ["town1-1"], "11-24T10:00")
    (whole.data / "withdrawn.json").write_text("{", "utf-8")
    with pytest.raises(JournalError, match=r"withdrawn\.json"):
        whole.check()


def test_a_withdrawn_file_that_is_scheduled_airs_then(whole: Fleet) -> None:
    whole.data.mkdir(parents=True, exist_ok=True)
    withdrawn.write(whole.data, [Withdrawal("clips.ts", 0.0, "op", "here", "")])
    finding = whole.check().only
    assert said(finding) == ("withdrawn", "critical", list(ALL), "11-24T19:30")


# --- servers ----------------------------------------------------------------------------------------------------------


def test_a_dead_server_is_one_finding_whatever_hangs_on_it(whole: Fleet) -> None:
    whole.world.kill(whole.world.replica("town2-1"))
    seen = whole.check()
    assert said(seen.only) == ("unavailable", "critical", ["town2-1"], "11-24T10:00")
    assert seen.result.status is ExitStatus.PARTIAL
    assert "3/4 answered" in seen.text.splitlines()[0]
    assert "all channels" in seen.text


def test_nobody_is_waited_for_twice_and_who_is_silent_may_have_the_renamed_file(whole: Fleet) -> None:
    whole.plant((1, ("RENAME", "clips.ts", "clips_final.ts")), on=["town1-2"])
    whole.world.freeze(whole.world.replica("town2-1"))
    with waits.counted() as waited:
        seen = whole.check(timeout="1")
    assert waited.in_vain < 1.5
    assert [finding["code"] for finding in seen.found] == ["unavailable", "absent"]


def test_a_replica_without_its_master_is_stale(whole: Fleet) -> None:
    whole.world.kill(whole.world.master("town1-1"))
    finding = whole.check().only
    assert (finding["code"], finding["severity"], finding["instances"]) == ("stale", "warning", ["town1-1"])


def test_an_empty_replica_is_suspect_and_nothing_of_it_is_taken_for_an_answer(whole: Fleet) -> None:
    whole.plant((0, ("FLUSHALL",)), on=["town1-1"])
    finding = whole.check().only
    assert (finding["code"], finding["severity"], finding["instances"]) == ("suspect", "critical", ["town1-1"])


def test_no_instance_answering_is_critical_and_exits_5(whole: Fleet) -> None:
    whole.world.kill(*(whole.world.replica(fqdn) for fqdn in ALL))
    seen = whole.check()
    assert [finding["code"] for finding in seen.found] == ["unavailable"] * 4
    assert seen.result.status is ExitStatus.NO_ANSWER
    assert int(whole.check(nagios=True).result.status) == 2


def test_a_channel_that_is_not_configured_and_keys_that_are_no_programs(whole: Fleet) -> None:
    whole.plant(program(sid="99"), on=["town1-1"])
    finding = whole.check().only
    assert (finding["code"], finding["service_ids"], finding["instances"]) == ("unknown-channel", ["99"], ["town1-1"])
    whole.heal()
    whole.plant((0, ("SET", "user:1", "x")), (0, ("HSET", "cache", "a", "b")), on=["town2-1"])
    seen = whole.check()
    assert (seen.only["code"], seen.only["severity"]) == ("passed-over", "note")
    assert "2 keys of db 0 are no programs" in seen.text
    assert seen.result.status is ExitStatus.DONE  # a note is no trouble


def test_an_instance_that_does_not_carry_a_channel_does_not_miss_it(whole: Fleet) -> None:
    whole.plant(*(emptied(day=day) for day in DAYS), on=["town1-1"])
    assert whole.check().only["code"] == "no-program"
    whole.setting("town1-1", "channels=86")
    assert whole.check().found == []


# --- order, and what is left out --------------------------------------------------------------------------------------


def test_the_gravest_comes_first_and_then_what_hurts_first(whole: Fleet) -> None:
    whole.plant(*stored(FULL[:3], day=DAYS[1]))  # short, tomorrow
    whole.plant((1, ("DEL", "clips.ts")), on=["town1-2"])
    whole.plant(emptied("86", DAYS[1]), on=["town2-2"])
    whole.world.kill(whole.world.replica("town2-1"))
    codes = [finding["code"] for finding in whole.check().found]
    assert codes == ["unavailable", "absent", "no-program", "short"]


def test_ignored_findings_are_counted_and_not_shown(whole: Fleet) -> None:
    whole.plant((1, ("DEL", "clips.ts")), on=["town1-2", "town2-1"])
    seen = whole.check(ignore=["absent:town1-2"])
    assert seen.only["instances"] == ["town2-1"]
    silenced = whole.check(ignore=["absent"])
    assert silenced.found == [] and silenced.data["ignored"] == 1
    assert "1 finding ignored" in silenced.text
    assert silenced.result.status is ExitStatus.DONE
    with pytest.raises(UnknownName, match="did you mean absent"):
        whole.check(ignore=["absant"])
    with pytest.raises(UsageError, match="no number of days"):
        whole.check(days="0")


def test_maintenance_is_told_apart_and_does_not_count(whole: Fleet) -> None:
    whole.setting("town2-1", "maintenance=yes")
    whole.world.kill(whole.world.replica("town2-1"))
    seen = whole.check()
    assert seen.found == []
    assert [finding["code"] for finding in seen.data["maintenance"]] == ["unavailable"]
    assert "UNDER MAINTENANCE" in seen.text
    assert seen.result.status is ExitStatus.DONE
    assert whole.check(nagios=True).text.startswith("DVBBOXES OK")


def test_only_the_channels_towns_and_days_asked_for_are_looked_at(whole: Fleet) -> None:
    whole.plant(emptied(day=DAYS[1]), on=["town1-1"])
    assert whole.check(services=["86"]).found == []
    assert whole.check(towns=["town2"]).found == []
    assert whole.check(days="1").found == []
    assert whole.check(services=["85"], towns=["town1"], days="2").only["code"] == "no-program"


# --- what mends it ----------------------------------------------------------------------------------------------------


def every_trouble(whole: Fleet) -> Iterator[Fleet]:
    """Yield the fleet with one set of troubles after the other; all of them together are of every code."""
    whole.plant(emptied("86", DAYS[2]), (0, ("ZADD", program_key(DAYS[1], "86"), "1", "no index")))
    whole.plant(emptied(day=DAYS[1]), on=["town2-1"])
    whole.plant(*stored(FULL[:3], day=DAYS[1]), on=["town1-2"])
    whole.plant(*stored((*FULL[:3], ("clips", 6.0), ("film_b", 6.5)), day=DAYS[2]))
    whole.plant((0, ("ZADD", program_key(DAY, "99"), "1", "a.ts:0")), (0, ("SET", "stray", "x")), on=["town1-2"])
    yield whole
    whole.heal()
    whole.plant(*stored((("film_a", 4.5), ("jt", 1.5), ("film_b", 6.5), ("clips", 6.0)), day=DAYS[1]))
    whole.plant(files(jt="3.14"), (1, ("RENAME", "clips.ts", "clips_final.ts")), on=["town1-2"])
    whole.plant(files(jt="nan", film_b="0", film_a="9000"), (1, ("DEL", "clips.ts")), on=["town2-2"])
    yield whole
    whole.heal()
    whole.plant((1, ("DEL", "film_b.ts")))
    applied(whole, ALL, FULL)
    whole.plant(*stored(FULL[:3], day=DAYS[1]), on=["town1-2"])
    withdrawn.write(whole.data, [Withdrawal("clips.ts", 0.0, "op", "here", "")])
    whole.plant((0, ("FLUSHALL",)), on=["town2-2"])
    whole.world.kill(whole.world.replica("town2-1"))
    whole.world.kill(whole.world.master("town1-1"))
    yield whole


def test_every_command_that_mends_something_can_be_typed(whole: Fleet) -> None:
    codes = set()
    for troubled in every_trouble(whole):
        for finding in troubled.check().found:
            codes.add(Code(finding["code"]))
            name, noun, *words = shlex.split(finding["mend"])
            assert name == "dvbboxes"
            parsed = parsers.of_all(noun).parse_args([noun, *words])  # raises UsageError for what is no word of ours
            assert parsed._command in (noun, words[0]), finding
    assert codes == set(Code)


# --- Nagios -----------------------------------------------------------------------------------------------------------


def test_nagios_gets_one_line_with_performance_data_and_its_own_status(whole: Fleet) -> None:
    whole.plant(*stored(FULL[:3], day=DAYS[1]))
    warning = whole.check(nagios=True)
    assert (int(warning.result.status), warning.text.count("\n")) == (1, 1)
    whole.plant((1, ("DEL", "clips.ts")), on=["town1-2"])
    critical = whole.check(nagios=True)
    assert int(critical.result.status) == 2
    line, _, perfdata = critical.text.partition(" | ")
    assert line == (
        "DVBBOXES CRITICAL - 1 critical, 1 warning: absent 85,86 clips on town1-2; "
        "short 85 25/11 on town1-1, town1-2, town2-1 and 1 more"
    )
    assert perfdata == "critical=1;;;0 warning=1;;;0 notes=0;;;0 answered=4;;;0;4\n"


def test_for_nagios_what_cannot_be_asked_is_unknown(whole: Fleet, tmp_path: Path) -> None:
    wrong = run("check", "--nagios", "--towns", "nowhere", config=whole.config)
    assert (wrong.status, wrong.out.startswith("DVBBOXES UNKNOWN - no town is called")) == (3, True)
    broken = run("check", "--nagios", config=tmp_path / "missing")
    assert (broken.status, broken.out.startswith("DVBBOXES UNKNOWN - ")) == (3, True)
    assert run("check", "--towns", "nowhere", config=whole.config).status == 2
    for line in ("check --nagios --dyas 2", "chekc --nagios", "--debug -c missing check --nagios"):
        told = run(*line.split(), config=whole.config)
        assert (told.status, told.out.startswith("DVBBOXES UNKNOWN - "), told.out.count("\n")) == (3, True, 1), line


#: A process whose check raises what is given, as if it were ours.
FAILING = """
import sys
import dvbboxes.main, dvbboxes.commands.check as check
def failing(*_, **__):
    raise {}
object.__setattr__(check.COMMAND, "run", failing)
sys.argv[0] = "dvbboxes"
dvbboxes.main.cli()
"""


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        ('ZeroDivisionError("a | b\\nc")', "this is a bug in dvbboxes: ZeroDivisionError: a / b"),
        ('KeyboardInterrupt("x")', "interrupted"),
        ('MemoryError("")', "this is a bug in dvbboxes: MemoryError: "),
    ],
)
def test_for_nagios_a_bug_of_ours_is_unknown(whole: Fleet, raised: str, said: str) -> None:
    line = [sys.executable, "-c", FAILING.format(raised), "check"]
    env = environment(whole.config, {})
    done = subprocess.run([*line, "--nagios"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert done.stdout.startswith(f"DVBBOXES UNKNOWN - {said}") and done.stdout.count("\n") == 1
    plain = subprocess.run(line, env=env, capture_output=True, text=True, check=False)
    assert (plain.returncode, plain.stdout) == (130 if said == "interrupted" else 70, "")


def test_for_nagios_no_room_for_the_line_is_unknown(whole: Fleet, tmp_path: Path) -> None:
    for config in (whole.config, tmp_path / "missing"):
        line = [sys.executable, "-m", "dvbboxes", "check", "--nagios"]
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                line, env=environment(config, {}), stdout=full, stderr=subprocess.PIPE, text=True, check=False
            )
        assert done.returncode == 3, done.stderr
        assert "Traceback" not in done.stderr


# --- changes ----------------------------------------------------------------------------------------------------------


def test_changes_tell_what_is_new_once_and_what_is_over_once(whole: Fleet) -> None:
    whole.options = {"changes": True}

    def told() -> tuple[list[str], list[str], int, bool]:
        seen = whole.check()
        seen.result.after()  # type: ignore[misc]  # --changes always remembers
        data = seen.data
        return (
            [f["code"] for f in data["findings"]],
            [one["code"] for one in data["over"]],
            data["still_open"],
            seen.result.silent,
        )

    assert told() == ([], [], 0, True)
    whole.plant(*stored(FULL[:3], day=DAYS[1]))
    assert told() == (["short"], [], 0, False)
    assert told() == ([], [], 1, True)
    whole.plant((1, ("DEL", "clips.ts")), on=["town1-2"])
    assert told() == (["absent"], [], 1, False)
    whole.plant((1, ("DEL", "clips.ts")), on=["town2-2"])
    seen = whole.check()
    assert [(f["code"], f["instances"]) for f in seen.found] == [("absent", ["town2-2"])]
    whole.heal()
    assert told() == ([], ["absent", "short"], 0, False)
    assert told() == ([], [], 0, True)


def test_an_open_critical_is_told_again_each_day_and_a_warning_is_not(whole: Fleet) -> None:
    whole.options = {"changes": True, "days": "2"}
    whole.plant(*stored(FULL[:3], day=DAYS[1]))
    whole.world.kill(whole.world.replica("town2-1"))
    whole.check().result.after()  # type: ignore[misc]
    whole.now = NOW + HOUR
    assert whole.check().found == []
    whole.now = NOW + 20 * HOUR  # 06:00 is still the same broadcast day
    assert whole.check().found == []
    whole.now = NOW + 22 * HOUR
    assert [(f["news"], f["code"]) for f in whole.check().found] == [("again", "unavailable")]


def test_what_was_not_looked_at_is_neither_new_nor_over(whole: Fleet) -> None:
    whole.options = {"changes": True}
    whole.plant(emptied(day=DAYS[1]), on=["town1-1"])
    whole.check().result.after()  # type: ignore[misc]
    for options in ({"towns": ["town2"]}, {"services": ["86"]}, {"ignore": ["no-program"]}):
        seen = whole.check(**options)
        assert (seen.found, seen.data["over"]) == ([], []), options
        seen.result.after()  # type: ignore[misc]
    whole.world.kill(whole.world.replica("town1-1"))
    seen = whole.check()
    assert ([f["code"] for f in seen.found], seen.data["over"]) == (["unavailable"], [])
    seen.result.after()  # type: ignore[misc]
    assert {key.split(" ")[0] for key in memory.load(whole.data)} == {"no-program", "unavailable"}


def test_it_is_remembered_only_once_it_was_written(whole: Fleet) -> None:
    whole.plant(*stored(FULL[:3], day=DAYS[1]))
    command = ["check", "--changes", "--days", "400"]
    assert run(*command, config=whole.config).status == 2
    assert not (whole.data / memory.FILE).exists()
    whole.options = {"changes": True}
    whole.check()  # nothing was written out
    assert not (whole.data / memory.FILE).exists()


def test_a_reader_that_went_away_has_seen_nothing(whole: Fleet, tmp_path: Path) -> None:
    def unread() -> None:
        read_end, write_end = os.pipe()
        os.close(read_end)
        words = [sys.executable, "-m", "dvbboxes", "check", "--changes"]
        subprocess.run(words, env=environment(whole.config, {}), cwd=ROOT, stdout=write_end, check=False)
        os.close(write_end)

    unread()
    assert not (whole.data / memory.FILE).exists()
    seen = run("check", "--changes", config=whole.config)
    assert "NEW" in seen.out and (whole.data / memory.FILE).exists()
    silent = run("check", "--changes", "-q", config=whole.config)
    assert (silent.out, silent.status) == ("", seen.status)


def test_a_damaged_memory_is_named_and_a_folder_that_cannot_be_written_stops_it(whole: Fleet) -> None:
    whole.options = {"changes": True}
    whole.data.mkdir(parents=True, exist_ok=True)
    (whole.data / memory.FILE).write_text("{", "utf-8")
    with pytest.raises(JournalError, match=r"check\.json: it is damaged: remove it"):
        whole.check()
    (whole.data / memory.FILE).unlink()
    shutil.rmtree(whole.data)
    whole.data.write_text("no folder", "utf-8")
    try:
        with pytest.raises(ConfigError):
            whole.check()
        assert whole.check(changes=False).found == []
    finally:
        whole.data.unlink()


# --- the demo ---------------------------------------------------------------------------------------------------------


def test_the_demos_trouble_is_found_in_full_and_nothing_else(small_fleet: Callable[..., World], tmp_path: Path) -> None:
    from dvbboxes.demo import loading, sample, trouble

    world = small_fleet()
    fleet = Fleet(world, tmp_path, now=START - 60)
    content = replace(sample.content(DAY + timedelta(days=3)))
    config = world.config()
    made = trouble.make(5.0, content, world.layout.fqdns, DAY)
    instances = [replace(instance, zone=ZONE) for instance in config.instances]
    world.load(loading.commands(content, made, instances, config.schedule))
    fleet.now = START + 1
    seen = fleet.check(days="7")
    ahead = {name for (day, _), names in content.programs.items() if day >= DAY for name in names}
    by_code: dict[str, set[tuple[str, str]]] = {}
    for finding in seen.found:
        for fqdn in finding["instances"]:
            what = finding["media"] or f"{finding['service_ids'][0]} {finding['days'][0]}"
            by_code.setdefault(finding["code"], set()).add((fqdn, str(what)))
    assert by_code.pop("absent") == {(one.fqdn, f"{one.name}.ts") for one in made.lacks if one.name in ahead}
    assert by_code.pop("duration") == {(one.fqdn, f"{one.name}.ts") for one in made.differs if one.name in ahead}
    assert by_code.pop("differs") == {
        (one.fqdn, f"{one.service_id} {one.day:%d%m%Y}") for one in made.old if one.day >= DAY
    }
    assert by_code == {}


def test_moments_of_the_clock_stand_in_the_configured_zone(whole: Fleet) -> None:
    whole.plant((1, ("DEL", "clips.ts")), on=["town1-2"])
    (line,) = [line for line in whole.check().text.splitlines() if "ABSENT" in line]
    assert line.startswith(" 19:30  85,86 clips  town1-2  ABSENT (airs 19:30)")
    assert moment_of_day(DAY, ZONE, time(7, 30), time(19, 30)) == START + 12 * HOUR


def test_every_code_is_explained_in_the_docs() -> None:
    page = (ROOT / "docs" / "check.rst").read_text("utf-8")
    assert [code.value for code in Code if f"   * - ``{code.value}``\n" not in page] == []
