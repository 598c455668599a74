"""Bad listings through the command: every mistake with its line, exit status 2, and nothing written, nor journalled."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from applying import DAY, Stage, program
from processes import Ran, run

from dvbboxes.demo.world import World
from dvbboxes.errors import ExitStatus, ListingError, UsageError
from dvbboxes.listing import MAX_MISTAKES

MANY_DAYS = "".join(f"[{1 + n % 28:02d}/{1 + n // 28:02d}/2031]\nfilm\n" for n in range(32))

#: What is wrong -> the file, and (line, words) of every mistake that is told.
BAD: dict[str, tuple[str | bytes, list[tuple[int, str]]]] = {
    "one digit": ("[1/06]\nfilm\n", [(1, "'[1/06]' is no day")]),
    "no such date": ("[32/06]\nfilm\n", [(1, "[32/06] is no date")]),
    "no leap year": ("[29/02/2027]\nfilm\n", [(1, "[29/02/2027] is no date")]),
    "a word after the date": ("[15/06] lundi\nfilm\n", [(1, "'[15/06] lundi' is no day")]),
    "an upper-case name": ("[15/06]\nFilm\n", [(2, "'Film' is no media name")]),
    "a name with .ts": ("[15/06]\nfilm.ts\n", [(2, "names stand without .ts: write 'film'")]),
    "a name with a space": ("[15/06]\nfilm a\n", [(2, "'film a' is no media name")]),
    "a way out of the folder": ("[15/06]\n../x\n", [(2, "'../x' is no media name")]),
    "a slash": ("[15/06]\n/etc/passwd\n", [(2, "'/etc/passwd' is no media name")]),
    "a command": ("[15/06]\na;rm\n$(reboot)\n", [(2, "'a;rm' is no media name"), (3, "'$(reboot)' is no media name")]),
    "an index": ("[15/06]\nfilm:0\n", [(2, "'film:0' is no media name")]),
    "a glob": ("[15/06]\nfilm*\n", [(2, "'film*' is no media name")]),
    "before the first day": ("film\n[15/06]\nfilm\n", [(1, "'film' stands before the first [dd/mm]")]),
    "an empty file": ("", [(0, "there is no day in it")]),
    "only comments": ("# nothing\n\n; nothing\n", [(0, "there is no day in it")]),
    "an empty day": ("[15/06]\n\n[16/06]\nfilm\n", [(1, "this day is empty")]),
    "a day twice": ("[15/06]\nfilm\n[15/06]\nfilm\n", [(3, "15/06/2027 stands twice: it began on line 1")]),
    "days that do not follow": ("[15/06]\nfilm\n[17/06]\nfilm\n", [(3, "does not follow")]),
    "too many days": (MANY_DAYS, [(63, "this is day 32")]),
    "everything at once": (
        "jt\n[15/06]\nA\n[15/06]\n[31/06]\nb.ts\n",
        [(1, "before the first"), (3, "'A'"), (4, "stands twice"), (4, "empty"), (5, "no date"), (6, "without .ts")],
    ),
    "bytes that are no text": (b"[15/06]\nfilm\n\xff\xfe\n", [(3, "is no UTF-8 text")]),
    "a binary file": (bytes(range(256)) * 40, [(1, ""), (2, "")]),
}  # fmt: skip


@pytest.fixture
def stage(fleet: World, tmp_path: Path) -> Stage:
    found = Stage(fleet, tmp_path)
    found.load()
    return found


def nothing_written(stage: Stage) -> None:
    """Check that no master was touched, and that the data folder is as it was: no journal, not even a lock."""
    assert stage.touched() == []
    assert not stage.data.exists() or list(stage.data.iterdir()) == []


def told(ran: Ran) -> list[str]:
    return ran.err.removeprefix("dvbboxes: ").splitlines()


@pytest.mark.parametrize("what", BAD)
def test_every_mistake_is_told_with_its_line_by_all_three_commands(stage: Stage, what: str) -> None:
    content, mistakes = BAD[what]
    path = stage.folder / "bad"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for verb, options in ((stage.check, {}), (stage.plan, {}), (stage.apply, {"only_ready": True})):
        with pytest.raises(ListingError) as caught:
            verb(str(path), **options)
        found = str(caught.value).splitlines()
        for line, words in mistakes:
            where = f"bad:{line}: " if line else "bad: "
            assert any(each.startswith(where) and words in each for each in found), (line, words, found)
        if what != "a binary file":
            assert len(found) == len(mistakes), found
        assert len(found) <= MAX_MISTAKES + 1
    nothing_written(stage)


@pytest.mark.parametrize("what", ["everything at once", "a command", "a binary file"])
def test_the_process_says_them_on_stderr_and_ends_with_2(stage: Stage, what: str) -> None:
    path = stage.folder / "bad"
    content = BAD[what][0]
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    ran = run("listing", "apply", str(path), "-s", "85", "--yes", config=stage.config)
    assert (ran.status, ran.out) == (ExitStatus.USAGE, "")
    assert told(ran)[0].startswith("bad:")
    assert all(line.isprintable() for line in told(ran))
    assert "Traceback" not in ran.err
    nothing_written(stage)


def test_ten_megabytes_of_mistakes_are_read_to_their_end_and_told_in_short(stage: Stage) -> None:
    path = stage.folder / "big"
    path.write_bytes(b"[15/06]\n" + b"NOT A NAME\n" * 950_000)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    ran = run("listing", "apply", str(path), "-s", "85", "--yes", config=stage.config)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 20, "a quadratic reader would take hours"
    assert ran.status == ExitStatus.USAGE
    assert told(ran)[-1].endswith(f"and {950_000 - MAX_MISTAKES} more mistakes")
    nothing_written(stage)


def test_a_name_longer_than_any_file_s_is_missing_everywhere(stage: Stage) -> None:
    """It follows the rule of names, and no file can have it: nothing releases what is not there but --allow missing."""
    name = "x" * 300
    done = stage.apply(stage.write((DAY, ("film", name))))
    assert done.status is ExitStatus.REFUSED
    assert f"{name} missing everywhere" in done.text
    assert stage.touched() == []
    assert not (stage.data / "journal.sqlite").exists()


# --- whose listing it is ----------------------------------------------------------------------------------------------


def test_a_channel_that_is_not_configured_is_named(stage: Stage) -> None:
    file = stage.write((DAY, ("film",)), name="99_25112026_25112026")
    for verb in (stage.check, stage.plan, stage.apply):
        with pytest.raises(UsageError, match=r"99_25112026_25112026: no channel is called '99' \(there are: 85, 86\)"):
            verb(file, service=None)
        with pytest.raises(UsageError, match="no channel is called '98'"):
            verb(file, service="98")
    nothing_written(stage)


def test_another_channel_than_the_file_is_named_for_is_an_error(stage: Stage) -> None:
    file = stage.write((DAY, ("film",)), name="85_25112026_25112026")
    with pytest.raises(ListingError, match="the file is named for channel 85, not for '86'"):
        stage.apply(file, service="86")
    nothing_written(stage)


def test_days_that_the_file_s_name_does_not_say_are_an_error(stage: Stage) -> None:
    file = stage.write((DAY, ("film",)), name="85_26112026_27112026")
    with pytest.raises(ListingError, match=r"85_26112026_27112026:1: 25/11/2026 is not from 26/11/2026 to 27/11/2026"):
        stage.apply(file, service=None)
    nothing_written(stage)


def test_a_file_that_says_no_channel_needs_one(stage: Stage) -> None:
    with pytest.raises(UsageError, match="whose listing is it"):
        stage.apply(stage.write((DAY, ("film",))), service=None)
    nothing_written(stage)


@pytest.mark.parametrize("service", ["8?", "85;reboot", "85 86", "-1", "8*", ""])
def test_a_service_id_is_a_configured_one_and_nothing_else(stage: Stage, service: str) -> None:
    with pytest.raises(UsageError):
        stage.apply(stage.write((DAY, ("film",))), service=service)
    nothing_written(stage)


# --- files ------------------------------------------------------------------------------------------------------------


def test_the_mistakes_of_all_files_are_told_at_once(stage: Stage) -> None:
    for name, content in (("one", "[15/06]\nA\n"), ("two", "[15/06]\nfilm\n"), ("three", "[15/06]\nfilm\nB\n")):
        (stage.folder / name).write_text(content, "utf-8")
    files = [str(stage.folder / name) for name in ("one", "two", "three", "four")]
    with pytest.raises(UsageError) as caught:
        stage.check(*files)
    lines = str(caught.value).splitlines()
    assert [line.partition(" ")[0] for line in lines[:2]] == ["one:2:", "three:3:"]
    assert lines[2] == f"the listing {files[3]} cannot be read: No such file or directory"


def test_a_folder_is_no_listing(stage: Stage) -> None:
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        stage.apply(str(stage.folder))


def test_a_good_day_beside_a_bad_one_is_not_half_accepted(stage: Stage) -> None:
    path = stage.folder / "half"
    path.write_text("[25/11/2026]\nfilm\nclip\n\n[26/11/2026]\nfilm\nCLIP\n", "utf-8")
    with pytest.raises(ListingError, match="half:7"):
        stage.apply(str(path), only_ready=True)
    nothing_written(stage)
    path.write_text("[25/11/2026]\nfilm\nclip\n", "utf-8")
    assert stage.apply(str(path)).status is ExitStatus.DONE
    assert stage.everywhere() == [program("film", "clip")]
