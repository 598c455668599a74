"""The journal on real files, read and written by real processes, some of them killed."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dvbboxes.errors import ExitStatus, JournalError, UnknownName
from dvbboxes.journal import FILE, Journal
from dvbboxes.journal.database import open_database
from dvbboxes.journal.schema import APPLICATION_ID, SCHEMA, Schema
from dvbboxes.model import Entry, Stored
from dvbboxes.records import (
    ChangeState,
    NewRun,
    PlannedChange,
    Progress,
    Pruned,
    RunKind,
    RunState,
    UpdateState,
    Where,
)

ROOT = Path(__file__).resolve().parents[1]
MONDAY = date(2026, 11, 23)
TUESDAY = MONDAY + timedelta(1)
OLD: Stored = (Entry("/opt/tsfiles/film_a.ts:0", 1795411800.0), Entry("/opt/tsfiles/jt.ts:1", 1795417200.12))
NEW: Stored = (Entry("/opt/tsfiles/film_b.ts:0", 1795411800.0),)
ASKED = NewRun(RunKind.APPLY, "rado", "hq", "listing apply x", "/x", "ab" * 32, "7f3a91c2", ("past", "short"), 10.0)
V, W, F, U = ChangeState.VERIFIED, ChangeState.WRITTEN, ChangeState.FAILED, ChangeState.UNKNOWN
Need = Callable[[object, str], None]


def change(instance: str = "a", day: date = MONDAY, before: Stored = OLD, after: Stored = NEW) -> PlannedChange:
    return PlannedChange("tana", instance, day, "85", before, after)


def progress(planned: PlannedChange, state: ChangeState | None = None, **more: object) -> Progress:
    return Progress(planned.instance, planned.day, planned.service_id, state, **more)  # type: ignore[arg-type]  # the fields' own


def ran(journal: Journal, *changes: PlannedChange, state: ChangeState = V, started: float = 10.0) -> int:
    """A run that brought all its changes to one state."""
    run = journal.begin(replace(ASKED, started=started), changes, started)
    journal.advance(run, [progress(planned, state) for planned in changes], started + 1)
    journal.finish(run, RunState.DONE if state is V else RunState.PARTIAL, started + 2)
    return run


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path, write=True) as opened:
        yield opened


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)


# --- what is recorded is what is told -------------------------------------------------------------------------------


def test_a_run_is_told_as_it_was_asked_planned_and_done(journal: Journal) -> None:
    planned = [change("b"), change("a", TUESDAY, before=()), change("a")]
    run = journal.begin(ASKED, planned, 11.0)
    journal.advance(run, [progress(planned[0], W), progress(planned[2], F, detail="refused the connection")], 12.0)
    journal.advance(
        run,
        [progress(planned[0], V, update=UpdateState.DONE, update_text="ok", replicated=True, after_update=OLD)],
        13.0,
    )
    journal.finish(run, RunState.PARTIAL, 14.0)
    whole = journal.run(run)
    assert (whole.run.asked, whole.run.state, whole.run.finished) == (ASKED, RunState.PARTIAL, 14.0)
    assert whole.run.counts == {V: 1, F: 1, ChangeState.PLANNED: 1}
    assert [found.key for found in whole.changes] == [("a", MONDAY, "85"), ("b", MONDAY, "85"), ("a", TUESDAY, "85")]
    failed, verified, waiting = whole.changes
    assert (failed.state, failed.detail, failed.changed, failed.expected) == (F, "refused the connection", 12.0, NEW)
    assert (verified.before, verified.after, verified.after_update, verified.expected) == (OLD, NEW, OLD, OLD)
    assert (verified.update, verified.update_text, verified.replicated) == (UpdateState.DONE, "ok", True)
    assert (waiting.before, waiting.update, waiting.replicated) == ((), UpdateState.NOT_ASKED, None)


def test_what_progress_does_not_say_is_left_as_it_was(journal: Journal) -> None:
    run = journal.begin(ASKED, [change()], 11.0)
    journal.advance(run, [progress(change(), V, detail="d", replicated=False, after_update=OLD)], 12.0)
    journal.advance(run, [progress(change(), update=UpdateState.FAILED, update_text="exit 1")], 13.0)
    found = journal.run(run).changes[0]
    assert (found.state, found.detail, found.replicated, found.after_update) == (V, "d", False, OLD)
    assert (found.update, found.update_text, found.changed) == (UpdateState.FAILED, "exit 1", 13.0)


#: Whatever bytes can stand in a member, a file's name or an argument.
TEXTS = st.one_of(st.text(max_size=20), st.binary(max_size=20).map(lambda raw: raw.decode("utf-8", "surrogateescape")))
PROGRAMS = st.lists(st.builds(Entry, TEXTS, st.floats(allow_nan=False)), max_size=5).map(tuple)


@settings(max_examples=40, deadline=None)
@example((Entry("\udcff\U0001f600\0", -0.0), Entry("", float("inf"))), (), [f"\udcff\0{n}" for n in range(8)], 0.1)
@given(before=PROGRAMS, after=PROGRAMS, words=st.lists(TEXTS, min_size=8, max_size=8), at=st.floats(0, 1e11))
def test_nothing_is_lost_of_any_text_or_number(before: Stored, after: Stored, words: list[str], at: float) -> None:
    who, host, command, file, allow, town, instance, detail = words
    asked = replace(ASKED, who=who, host=host, command=command, file=file, allow=(allow, who), started=at, undoes=3)
    planned = PlannedChange(town, instance, date.max, "85", before, after, detail)
    with tempfile.TemporaryDirectory() as folder, Journal.open(folder, write=True) as journal:
        run = journal.begin(asked, [planned], at)
        journal.advance(run, [progress(planned, V, update_text=file, after_update=before)], at)
        whole = journal.run(run)
        found = whole.changes[0]
        assert whole.run.asked == asked
        assert repr((found.before, found.after)) == repr((before, after))  # repr: -0.0 is not 0.0
        assert (found.town, found.instance, found.day, found.detail) == (town, instance, date.max, detail)
        assert (found.update_text, found.after_update, found.changed) == (file, before, at)


def test_a_program_that_many_share_is_stored_once(journal: Journal, tmp_path: Path) -> None:
    equal = [tuple(Entry(e.member, e.start) for e in OLD) for _ in range(4)]
    journal.begin(ASKED, [change(f"i{n}", before=equal[n]) for n in range(4)], 11.0)
    journal.begin(ASKED, [change("i0", before=NEW, after=OLD)], 12.0)
    with sqlite3.connect(tmp_path / FILE) as file:
        assert file.execute("SELECT count(*) FROM programs").fetchone() == (2,)
    file.close()


def test_a_run_that_names_a_program_twice_leaves_nothing(journal: Journal) -> None:
    with pytest.raises(ValueError, match="twice"):
        journal.begin(ASKED, [change(), change(after=OLD)], 11.0)
    assert journal.runs() == ()


@pytest.mark.parametrize("count", [1, 200])
def test_many_updates_are_recorded_all_or_none(journal: Journal, count: int) -> None:
    known = [change(f"instance-{n}") for n in range(count)]
    journal.begin(ASKED, [change("of another run")], 10.0)
    run = journal.begin(ASKED, known, 11.0)
    updates = [progress(each, ChangeState.WRITING) for each in known]
    with pytest.raises(ValueError, match=f"run {run} writes no program 2026-11-23:85 on elsewhere"):
        journal.advance(run, [*updates, progress(change("elsewhere"), V)], 12.0)
    assert {each.state for each in journal.run(run).changes} == {ChangeState.PLANNED}
    journal.advance(run, updates, 13.0)
    whole = journal.run(run)
    assert {(each.instance, each.state, each.changed) for each in whole.changes} == {
        (each.instance, ChangeState.WRITING, 13.0) for each in known
    }
    said = Counter((event.instance, event.text) for event in whole.events if event.instance)
    assert said == Counter((each.instance, text) for each in known for text in ("planned: replace 2 by 1", "writing"))


def test_an_unknown_run_is_refused_with_the_ids_there_are(journal: Journal) -> None:
    ran(journal, change())
    calls: list[Callable[[], object]] = [
        lambda: journal.run(7),
        lambda: journal.run(2**70),
        lambda: journal.advance(7, [], 1.0),
        lambda: journal.finish(7, RunState.DONE, 1.0),
        lambda: journal.note(7, "x", 1.0),
    ]
    for call in calls:
        with pytest.raises(UnknownName, match=r"no run is called '\d+' \(there are: 1\)"):
            call()


# --- finding --------------------------------------------------------------------------------------------------------


def test_runs_are_found_by_days_instance_and_channel_newest_first(journal: Journal) -> None:
    first = ran(journal, change("a", MONDAY))
    second = ran(journal, change("b", TUESDAY), state=F)
    empty = journal.begin(ASKED, [], 11.0)

    def ids(**where: object) -> list[int]:
        return [run.id for run in journal.runs(where=Where(**where))]  # type: ignore[arg-type]  # the fields' own

    assert ids() == [empty, second, first]
    assert [run.id for run in journal.runs(limit=1)] == [empty]
    assert [run.id for run in journal.runs(limit=1, where=Where(first=MONDAY))] == [second]
    assert (ids(first=TUESDAY), ids(last=MONDAY), ids(first=MONDAY, last=TUESDAY)) == (
        [second], [first], [second, first],
    )  # fmt: skip
    assert (ids(instances=("a", "x")), ids(instances=()), ids(service_ids=("86",))) == ([first], [], [])
    assert journal.runs(where=Where(instances=("b",)))[0].counts == {F: 1}


def test_last_is_what_was_last_written_there_not_what_was_last_meant(journal: Journal) -> None:
    ran(journal, change(after=OLD))
    wrote = ran(journal, change(after=NEW), state=W)
    ran(journal, change(after=()), state=F)
    ran(journal, change("b"), state=F)
    found = journal.last("a", MONDAY, "85")
    assert found is not None
    assert (found.run.id, found.change.after, found.run.counts) == (wrote, NEW, {W: 1})
    assert journal.last("b", MONDAY, "85") is None
    assert journal.last("a", MONDAY, "86") is None
    failed = journal.last("a", MONDAY, "85", states=(F,))
    assert failed is not None and failed.change.after == ()


def test_last_of_many_is_the_last_of_each(journal: Journal) -> None:
    days = [MONDAY + timedelta(n) for n in range(3)]
    ran(journal, *(change(instance, day) for instance in "ab" for day in days))
    newer = ran(journal, change("b", days[1], after=()))
    found = journal.last_all(Where(days[0], days[1]))
    assert set(found) == {(instance, day, "85") for instance in "ab" for day in days[:2]}
    for key, applied in found.items():
        assert applied == journal.last(*key)
    assert [applied.run.id for key, applied in found.items() if key[:2] == ("b", days[1])] == [newer]


def owed(journal: Journal, where: Where | None = None) -> list[tuple[int, str]]:
    return [(found.run.id, found.change.instance) for found in journal.owed(where or Where())]


def test_owed_is_what_is_not_verified_nor_refused(journal: Journal) -> None:
    planned = {state: change(state.value) for state in ChangeState}
    run = journal.begin(ASKED, list(planned.values()), 11.0)
    journal.advance(run, [progress(asked, state) for state, asked in planned.items()], 12.0)
    assert {name for _, name in owed(journal)} == {"planned", "writing", "written", "failed", "unknown"}
    assert owed(journal, Where(first=TUESDAY)) == []


@pytest.mark.parametrize("state", ChangeState)
def test_what_a_newer_run_wrote_or_may_have_written_is_no_longer_owed(journal: Journal, state: ChangeState) -> None:
    older = ran(journal, change("a"), change("b"), state=F)
    newer = ran(journal, change("a"), state=state)
    mine = [] if state in (V, ChangeState.REFUSED) else [(newer, "a")]
    taken = state in (W, V, U, ChangeState.WRITING)
    assert owed(journal) == ([] if taken else [(older, "a")]) + [(older, "b")] + mine


def test_a_newer_run_takes_over_that_program_alone(journal: Journal) -> None:
    older = ran(journal, change("a"), state=F)
    other_channel = replace(change("a"), service_id="86")
    ran(journal, change("a", TUESDAY), change("b"), other_channel)
    assert owed(journal) == [(older, "a")]


def test_an_older_run_takes_nothing_over(journal: Journal) -> None:
    ran(journal, change("a"))
    newer = ran(journal, change("a"), state=F)
    assert owed(journal) == [(newer, "a")]


def test_updates_that_were_asked_and_not_done_are_owed(journal: Journal) -> None:
    names = {state: change(state.value) for state in UpdateState}
    run = ran(journal, *names.values())
    journal.advance(run, [progress(planned, update=state) for state, planned in names.items()], 12.0)
    assert [found.change.instance for found in journal.owed_updates()] == ["failed", "pending"]
    assert journal.owed() == ()
    ran(journal, names[UpdateState.FAILED])
    assert [found.change.instance for found in journal.owed_updates()] == ["pending"]


def test_a_days_story_is_read_from_the_journal_alone(journal: Journal) -> None:
    ours, other = change("a", before=()), change("a", TUESDAY)
    applied = journal.begin(ASKED, [ours, other], 11.0)
    journal.advance(applied, [progress(ours, F, detail="timed out"), progress(other, V)], 12.0)
    journal.finish(applied, RunState.PARTIAL, 13.0)
    journal.note(applied, "resumed by lala", 14.0)
    journal.advance(applied, [progress(ours, V), progress(ours, update=UpdateState.DONE, replicated=True)], 15.0)
    journal.finish(applied, RunState.DONE, 16.0)
    ran(journal, other)
    undone = replace(ASKED, kind=RunKind.ROLLBACK, command="rollback 1", undoes=applied)
    back = journal.begin(undone, [change("a", before=NEW, after=())], 17.0)
    story = [(found.run, found.at, found.day, found.text) for found in journal.story(Where(MONDAY, MONDAY))]
    assert story == [
        (applied, 11.0, None, "apply asked by rado on hq: listing apply x"),
        (applied, 11.0, MONDAY, "planned: create 1"),
        (applied, 12.0, MONDAY, "failed: timed out"),
        (applied, 13.0, None, "partial: 1 failed, 1 verified"),
        (applied, 14.0, None, "resumed by lala"),
        (applied, 15.0, MONDAY, "verified"),
        (applied, 15.0, MONDAY, "update done; replicated"),
        (applied, 16.0, None, "done: 2 verified"),
        (back, 17.0, None, "rollback asked by rado on hq: rollback 1"),
        (back, 17.0, MONDAY, "planned: delete 1"),
    ]


# --- forgetting -----------------------------------------------------------------------------------------------------


def noon(day: date) -> float:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp()


def test_prune_forgets_old_runs_whole_and_keeps_what_matters(journal: Journal, tmp_path: Path) -> None:
    long_ago, horizon = date(2026, 6, 1), MONDAY
    old = noon(long_ago)
    past = ran(journal, change("a", long_ago, after=(Entry("only here", 1.0),)), started=old)
    ran(journal, change("b", TUESDAY), started=old)  # overwritten by the next one
    last = ran(journal, change("b", TUESDAY), change("c", long_ago), started=old)
    failed = ran(journal, change("d", TUESDAY), state=F, started=old)
    updated: Stored = (Entry("as the update left it", 2.0),)
    to_update = ran(journal, change("e", TUESDAY), started=old)
    journal.advance(to_update, [progress(change("e", TUESDAY), update=UpdateState.PENDING, after_update=updated)], old)
    still_open = journal.begin(replace(ASKED, started=old), [change("f", long_ago)], old)
    young = ran(journal, change("g", long_ago), started=noon(horizon) + 1)
    assert journal.prune(noon(horizon)) == Pruned(2, 2, 1)
    assert [run.id for run in journal.runs()] == [young, still_open, to_update, failed, last]
    assert len(journal.run(last).changes) == 2
    assert journal.run(to_update).changes[0].after_update == updated
    with pytest.raises(UnknownName):
        journal.run(past)
    assert journal.prune(noon(horizon)) == Pruned(0, 0, 0)
    with sqlite3.connect(tmp_path / FILE) as file:
        assert file.execute("SELECT count(*) FROM events WHERE run = ?", (past,)).fetchone() == (0,)
    file.close()


def test_prune_gives_the_room_back_and_never_an_id_again(journal: Journal, tmp_path: Path) -> None:
    for run in range(3):
        long = tuple(Entry(f"{run}:{n}" * 20, n / 3) for n in range(2000))
        newest = ran(journal, change(after=long), started=noon(date(2026, 1, 1)))
    full = (tmp_path / FILE).stat().st_size
    assert journal.prune(noon(date(2027, 1, 1))).runs == 3
    assert (tmp_path / FILE).stat().st_size < full / 5
    assert journal.begin(ASKED, [], 11.0) == newest + 1


# --- the file -------------------------------------------------------------------------------------------------------


def test_to_read_where_there_is_no_journal_gives_an_empty_one_and_makes_none(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "gone"):
        with Journal.open(folder) as journal:
            assert (journal.runs(), journal.owed(), journal.last_all()) == ((), (), {})
    assert list(tmp_path.iterdir()) == []


def test_a_journal_opened_to_read_cannot_write(journal: Journal, tmp_path: Path) -> None:
    with Journal.open(tmp_path) as reader, pytest.raises(JournalError, match="may only be read"):
        reader.begin(ASKED, [change()], 11.0)
    assert journal.runs() == ()


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o002, 0o664)])
def test_the_file_honours_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        Journal.open(tmp_path, write=True).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == mode


def test_a_transaction_is_synced_and_keeps_no_other_file(tmp_path: Path) -> None:
    connection = open_database(tmp_path / FILE, write=True)
    ask = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode")]
    assert ask == [3, "delete"]
    assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
    Journal(tmp_path / FILE, connection).begin(ASKED, [change()], 11.0)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    connection.close()


def test_an_empty_file_that_a_killed_run_left_is_taken(tmp_path: Path) -> None:
    (tmp_path / FILE).touch()
    with Journal.open(tmp_path) as reader:
        assert reader.runs() == ()
    with Journal.open(tmp_path, write=True) as journal:
        assert journal.begin(ASKED, [change()], 11.0) == 1


def database(path: Path, *statements: str) -> None:
    file = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        file.execute(statement)
    file.close()


def garbage(path: Path) -> None:
    path.write_bytes(b"Dear diary, today nothing happened. " * 200)


def somebody_elses(path: Path) -> None:
    database(path, "CREATE TABLE a (b)", "PRAGMA application_id = 7")


def anonymous(path: Path) -> None:
    database(path, "CREATE TABLE a (b)")


def newer(path: Path) -> None:
    database(path, "CREATE TABLE a (b)", f"PRAGMA application_id = {APPLICATION_ID}", "PRAGMA user_version = 99")


def ours(path: Path) -> bytearray:
    with Journal.open(path.parent, write=True) as journal:
        long = tuple(Entry(f"/opt/tsfiles/film_{n}.ts:{n}", n / 3) for n in range(4000))
        ran(journal, *(change(f"i{n}") for n in range(300)), change(after=long))
    return bytearray(path.read_bytes())


def truncated(path: Path) -> None:
    path.write_bytes(ours(path)[:-9000])


def overwritten(path: Path) -> None:
    data = ours(path)
    data[8192:-4096] = b"\xa5" * (len(data) - 12288)
    path.write_bytes(data)


REFUSED = [
    (garbage, "no SQLite file"), (somebody_elses, "another program"), (anonymous, "another program"),
    (newer, "newer dvbboxes"), (truncated, "damaged"), (overwritten, "damaged"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "why"), REFUSED, ids=[make.__name__ for make, _ in REFUSED])
def test_a_damaged_or_foreign_file_is_refused_by_name_and_never_overwritten(
    tmp_path: Path, make: Callable[[Path], None], why: str
) -> None:
    path = tmp_path / FILE
    make(path)
    content = path.read_bytes()
    with pytest.raises(JournalError, match=why) as told:
        Journal.open(tmp_path, write=True)
    with pytest.raises(JournalError, match=why), Journal.open(tmp_path) as journal:
        journal.run(1)
    assert str(told.value).startswith(f"{path}: ")
    assert "\n" not in str(told.value)
    assert told.value.status is ExitStatus.CONFIGURATION
    assert path.read_bytes() == content


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    for write in (False, True):
        with pytest.raises(JournalError, match=r"no file|Is a directory"):
            Journal.open(tmp_path, write)


def test_words_that_are_not_ours_are_damage(journal: Journal, tmp_path: Path) -> None:
    run = ran(journal, change())
    for statement in ("UPDATE changes SET state = 'lost'", "DELETE FROM programs"):
        database(tmp_path / FILE, statement)
        with pytest.raises(JournalError, match="damaged"):
            journal.run(run)
        database(tmp_path / FILE, "UPDATE changes SET state = 'verified'")


def test_a_file_that_another_process_holds_is_named(tmp_path: Path) -> None:
    connection = open_database(tmp_path / FILE, write=True)
    connection.execute("PRAGMA busy_timeout = 20")
    holder = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with Journal(tmp_path / FILE, connection) as journal, pytest.raises(JournalError, match="another process"):
        journal.begin(ASKED, [], 1.0)
    holder.close()


# --- older files ----------------------------------------------------------------------------------------------------

NEXT = Schema(APPLICATION_ID, (*SCHEMA.migrations, ("ALTER TABLE runs ADD COLUMN mood TEXT NOT NULL DEFAULT 'calm'",)))
BROKEN = Schema(APPLICATION_ID, (*NEXT.migrations, ("CREATE TABLE more (x)", "CREATE TABLE runs (y)")))


def version(path: Path) -> int:
    file = sqlite3.connect(path)
    found = int(file.execute("PRAGMA user_version").fetchone()[0])
    file.close()
    return found


def test_a_file_of_version_0_is_brought_to_version_1(tmp_path: Path) -> None:
    path = tmp_path / FILE
    database(path, f"PRAGMA application_id = {APPLICATION_ID}")
    assert (version(path), path.stat().st_size > 0) == (0, True)
    with Journal.open(tmp_path) as reader:
        assert reader.runs() == ()
    assert version(path) == 0
    with Journal.open(tmp_path, write=True) as journal:
        assert ran(journal, change()) == 1
    assert version(path) == 1


def test_an_older_file_is_migrated_with_all_that_is_in_it(journal: Journal, tmp_path: Path) -> None:
    run = ran(journal, change())
    connection = open_database(tmp_path / FILE, write=True, schema=NEXT)
    assert connection.execute("SELECT id, mood FROM runs").fetchall() == [(run, "calm")]
    connection.close()
    assert version(tmp_path / FILE) == 2
    with pytest.raises(JournalError, match=r"newer dvbboxes \(schema 2, this one knows 1\)"):
        Journal.open(tmp_path)


def test_a_migration_that_fails_leaves_the_file_as_it_was(journal: Journal, tmp_path: Path) -> None:
    ran(journal, change())
    content = (tmp_path / FILE).read_bytes()
    with pytest.raises(JournalError, match="already exists"):
        open_database(tmp_path / FILE, write=True, schema=BROKEN)
    assert (tmp_path / FILE).read_bytes() == content


def test_to_read_an_older_file_does_not_change_it(journal: Journal, tmp_path: Path) -> None:
    run = ran(journal, change())
    content = (tmp_path / FILE).read_bytes()
    connection = open_database(tmp_path / FILE, write=False, schema=NEXT)
    assert connection.execute("SELECT id, mood FROM runs").fetchall() == [(run, "calm")]
    connection.close()
    assert (tmp_path / FILE).read_bytes() == content


# --- killed processes, other users, full disks ----------------------------------------------------------------------

BEGIN = """
import sys
from datetime import date
from dvbboxes.journal import Journal
from dvbboxes.model import Entry
from dvbboxes.records import NewRun, PlannedChange, RunKind
asked = NewRun(RunKind.APPLY, "rado", "hq", "x", "", "", "", (), 10.0)
after = tuple(Entry(f"/opt/tsfiles/film_{n}.ts:{n}", n / 3) for n in range(4000))
change = PlannedChange("tana", "a", date(2026, 11, 23), "85", (), after)
"""


def test_kill_9_after_begin_leaves_a_readable_journal_that_says_what_is_owed(tmp_path: Path) -> None:
    code = "print(Journal.open(sys.argv[1], write=True).begin(asked, [change], 11.0), flush=True); sys.stdin.read()"
    with python(BEGIN + code, tmp_path) as process:
        assert process.stdout is not None
        run = int(process.stdout.readline())
        process.kill()
    with Journal.open(tmp_path) as reader:
        assert [(found.run.id, found.change.state) for found in reader.owed()] == [(run, ChangeState.PLANNED)]
        assert reader.run(run).run.state is RunState.OPEN
    with Journal.open(tmp_path, write=True) as journal:
        journal.advance(run, [Progress("a", MONDAY, "85", V)], 12.0)
        assert journal.owed() == ()


#: Die in the middle of a transaction, a part of it in the file already.
HALF = """
import os, sqlite3, sys
file = sqlite3.connect(sys.argv[1] + "/journal.sqlite", isolation_level=None)
file.execute("PRAGMA cache_size = 1")
file.execute("BEGIN IMMEDIATE")
file.execute("UPDATE changes SET state = 'verified', detail = printf('%.500c', 'x')")
file.execute("DELETE FROM events")
os.kill(os.getpid(), 9)
"""


def half_written(folder: Path) -> tuple[int, bytes]:
    with Journal.open(folder, write=True) as journal:
        run = ran(journal, *(change(f"i{n}") for n in range(500)), state=F)
    content = (folder / FILE).read_bytes()
    with python(HALF, folder) as process:
        assert process.wait(20) == -9
    assert (folder / f"{FILE}-journal").stat().st_size > 0
    assert (folder / FILE).read_bytes() != content
    return run, content


@pytest.mark.parametrize("write", [False, True])
def test_kill_9_inside_a_transaction_leaves_the_state_before_it(tmp_path: Path, write: bool) -> None:
    run, content = half_written(tmp_path)
    with Journal.open(tmp_path, write=write) as journal:
        assert journal.run(run).run.counts == {F: 500}
    assert (tmp_path / FILE).read_bytes() == content


RIGHTS = "look at [DATA] folder and its rights"
#: The interpreter and the checkout may be root's alone: all is imported before the process becomes nobody.
AS_NOBODY = """
import os, sqlite3, sys
from dvbboxes.errors import JournalError
from dvbboxes.journal import Journal
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
try:
    with Journal.open(sys.argv[1], write=sys.argv[2] == "write") as journal:
        print("runs:", len(journal.runs()))
except JournalError as error:
    print(error)
"""


@pytest.fixture
def open_folder(need: Need) -> Iterator[Path]:
    """A data folder that every user can reach."""
    need(os.geteuid() == 0, "only root can become nobody")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def as_nobody(folder: Path, intent: str) -> str:
    """Return how many runs `nobody` finds when opening the journal to read or to write, or what is said instead."""
    with python(AS_NOBODY, folder, intent) as process:
        out, _ = process.communicate(timeout=20)
    return out.strip()


def test_another_user_reads_the_journal_and_cannot_write_it(open_folder: Path) -> None:
    file = open_folder / FILE
    with Journal.open(open_folder, write=True) as journal:
        ran(journal, change())
        file.chmod(0o644)
        assert as_nobody(open_folder, "read") == "runs: 1"
    content = file.read_bytes()
    assert as_nobody(open_folder, "write") == f"{file}: Permission denied: {RIGHTS}"
    assert file.read_bytes() == content
    file.chmod(0o600)
    assert as_nobody(open_folder, "read").startswith(f"{file}: it cannot be opened")


def test_a_folder_without_rights_is_named(open_folder: Path) -> None:
    assert as_nobody(open_folder, "read") == "runs: 0"
    assert as_nobody(open_folder, "write") == f"{open_folder / FILE}: Permission denied: {RIGHTS}"
    open_folder.chmod(0o700)
    assert as_nobody(open_folder, "read") == f"{open_folder / FILE}: Permission denied: {RIGHTS}"


def test_another_user_is_told_who_repairs_what_a_killed_run_left(open_folder: Path) -> None:
    half_written(open_folder)
    (open_folder / FILE).chmod(0o644)
    (open_folder / f"{FILE}-journal").chmod(0o644)
    assert "a killed run left it half written" in as_nobody(open_folder, "read")


FILL = """
    try:
        while True:
            change = replace(change, after=tuple(Entry(e.member, e.start + 1) for e in change.after))
            done = journal.begin(asked, [change], 11.0)
    except JournalError as error:
        print(len(journal.runs()) == done, error)
"""
FILLING = f"""{BEGIN}
from dataclasses import replace
from dvbboxes.errors import JournalError
done = 0
with Journal.open(sys.argv[1], write=True) as journal:
    if len(sys.argv) > 2:
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
{FILL}
"""


def test_a_file_that_may_not_grow_fails_the_run_and_nothing_else(tmp_path: Path) -> None:
    with python(FILLING, tmp_path, 1_000_000) as process:
        out, _ = process.communicate(timeout=20)
    assert out.startswith(f"True {tmp_path / FILE}: the disk or a limit of this process failed it")
    with Journal.open(tmp_path, write=True) as journal:
        assert journal.begin(ASKED, [], 1.0) == len(journal.runs()) > 1


def test_a_full_disk_is_named_and_the_journal_stays_whole(tmp_path: Path, need: Need) -> None:
    private = ["unshare", "--mount", "sh", "-ec"]
    mount = f"mount -t tmpfs -o size=1m none {tmp_path}"
    try:
        able = subprocess.run([*private, mount], capture_output=True).returncode == 0
    except FileNotFoundError:
        able = False
    need(able, "no right to mount a small disk")
    script = f'{mount}; "$0" -c "$1" {tmp_path}; "$0" -c "$2" {tmp_path}'
    check = "import sys; from dvbboxes.journal import Journal; print(len(Journal.open(sys.argv[1]).runs()) > 0)"
    out = subprocess.run(
        [*private, script, sys.executable, FILLING, check],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=30,
    )  # fmt: skip
    assert out.stdout.splitlines()[0].startswith(f"True {tmp_path / FILE}: the disk is full")
    assert out.stdout.splitlines()[1:] == ["True"]


def test_sqlite_is_imported_by_those_who_open_a_journal() -> None:
    with python("import sys, dvbboxes.journal; print('sqlite3' in sys.modules)") as process:
        assert process.communicate(timeout=20)[0].strip() == "False"
