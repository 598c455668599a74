"""The archive: what is in it comes out of it byte for byte, and no line of it is believed unlooked at."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from applying import DAY, NEXT, NOW, SECONDS, START, Stage, program, storing
from going import BACKUP, RESTORE, ROLLBACK, go, runs, whole
from hypothesis import given, settings
from hypothesis import strategies as st
from stages import ALL

from dvbboxes.archive import MAGIC, Archive, Contents, read, write
from dvbboxes.demo.servers import tell
from dvbboxes.demo.world import World
from dvbboxes.errors import DvbboxesError, ExitStatus, ListingError, UsageError
from dvbboxes.model import Entry
from dvbboxes.records import RunKind
from dvbboxes.wire import encode

WHOLE = ("film", "clip", "jt")
OTHER = ("film", "jt", "clip")


@pytest.fixture
def stage(fleet: World, tmp_path: Path) -> Stage:
    return Stage(fleet, tmp_path)


# --- the format -----------------------------------------------------------------------------------------------------

raw = st.binary(max_size=12).map(lambda value: value.decode("utf-8", "surrogateescape"))
entries = st.builds(Entry, raw.filter(bool), st.floats(allow_nan=False, allow_infinity=False))
programs = st.lists(entries, min_size=1, max_size=5, unique_by=lambda entry: entry.member).map(
    lambda found: tuple(sorted(found, key=lambda entry: (entry.start, encode(entry.member))))
)
keys = st.tuples(st.dates(), raw.filter(lambda sid: sid and ":" not in sid))
held = st.builds(Contents, st.dictionaries(keys, programs, max_size=4), st.dictionaries(raw, raw, max_size=4))


@given(st.dictionaries(raw.filter(bool), held, max_size=3), raw)
@settings(max_examples=60, deadline=None)
def test_whatever_is_written_is_read_again(contents: dict[str, Contents], town: str) -> None:
    archive = Archive("24-11-2026 10:00:00 +0300", dict.fromkeys(contents, town), contents, {})
    text = write(archive)
    assert text.isascii()
    assert read(text.encode(), "x") == archive


def small() -> bytes:
    program = (Entry("/opt/tsfiles/film.ts:0", START), Entry("/opt/tsfiles/jt.ts:1", START + 0.5))
    both = Contents({(DAY, "85"): program}, {"film.ts": "5400.12"})
    return write(Archive("now", {"a": "t", "b": "t", "c": "t"}, {"a": both, "b": both}, {"c": "it is off"})).encode()


def test_it_is_plain_and_a_program_that_several_hold_stands_once() -> None:
    assert small().decode().splitlines()[:-1] == [
        "dvbboxes-archive 1 now",
        "instance\tt\ta",
        "instance\tt\tb",
        "instance\tt\tc",
        "silent\tc\tit%20is%20off",
        "media\tfilm.ts\t5400.12\ta b",
        "program\t25112026\t85\t2\ta b",
        f"entry\t{START!r}\t/opt/tsfiles/film.ts:0",
        f"entry\t{START + 0.5!r}\t/opt/tsfiles/jt.ts:1",
    ]


def test_an_archive_that_is_cut_anywhere_is_refused() -> None:
    content = small()
    for length in range(len(content)):
        with pytest.raises(ListingError, match=r"cut|no archive|lines|changed"):
            read(content[:length], "x")


def test_one_byte_changed_anywhere_is_found() -> None:
    content = small()
    for at in range(len(MAGIC), len(content)):
        wrong = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        with pytest.raises(ListingError):
            read(wrong, "x")


def sealed(*lines: str) -> bytes:
    body = "".join(f"{line}\n" for line in lines)
    return f"{body}end\t{len(lines)}\t{hashlib.sha256(body.encode()).hexdigest()}\n".encode()


START_LINES = ("dvbboxes-archive 1 now", "instance\tt\ta")
BAD = [
    ("prog\t25112026\t85\t1\ta", "'prog' is no kind of line"),
    ("program\t25112026\t85\t1", "program has 4 fields after it, not 3"),
    ("program\t25 112026\t85\t1\ta", "'25 112026' is no day"),
    ("program\t32112026\t85\t1\ta", "'32112026' is no day"),
    ("program\t25112026\t8:5\t1\ta", "'8:5' is no service id"),
    ("program\t25112026\t85\tx\ta", "'x' is no number of entries"),
    ("program\t25112026\t85\t1\tz", "'z' is none of the archive's instances"),
    ("entry\t1.0\t/x.ts:0", "an entry without its program"),
    ("instance\tt\ta", "the instance 'a' stands twice"),
    ("media\tx.ts\t1\ta a", "has two durations on a"),
    ("silent\tz\tx", "'z' is none of the archive's instances"),
    ("", "is no kind of line"),
]


@pytest.mark.parametrize(("line", "said"), BAD)
def test_every_bad_line_is_told_with_its_number(line: str, said: str) -> None:
    with pytest.raises(ListingError) as caught:
        read(sealed(*START_LINES, line), "x")
    assert caught.value.mistakes[0][0] == 3
    assert said in caught.value.mistakes[0][1]


@pytest.mark.parametrize("start", ["1795", "nan", "inf", "x", "1e5", " 1.0", "1.0 ", "1_0.0"])
def test_a_start_that_would_not_be_written_like_that_is_no_start(start: str) -> None:
    with pytest.raises(ListingError, match="is no start"):
        read(sealed(*START_LINES, "program\t25112026\t85\t1\ta", f"entry\t{start}\t/x.ts:0"), "x")


def test_programs_with_too_few_too_many_and_double_entries_are_found() -> None:
    one = "program\t25112026\t85\t1\ta"
    for lines, said in [
        ((one,), "has 0 entries, not 1"),
        ((one, "entry\t1.0\tx:0", "entry\t2.0\ty:1"), "has 2 entries, not 1"),
        ((one, "entry\t1.0\tx:0", "entry\t2.0\tx:0"), "stands twice in its program"),
        ((one, "entry\t1.0\tx:0", one, "entry\t1.0\tx:0"), "of a before it stands twice"),
    ]:
        with pytest.raises(ListingError, match=said):
            read(sealed(*START_LINES, *lines), "x")


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ListingError) as caught:
        read(sealed(*START_LINES, *[line for line, _ in BAD]), "x")
    assert len(caught.value.mistakes) >= len(BAD) - 1


def test_a_hand_that_edits_is_told_the_new_digest_and_may_write_it() -> None:
    edited = small().replace(b"5400.12", b"5400.13")
    with pytest.raises(ListingError, match="it was changed since it was made") as caught:
        read(edited, "x")
    digest = str(caught.value).split("now ")[1].split(":")[0]
    mended = edited[: edited.rindex(b"\t") + 1] + digest.encode() + b"\n"
    assert read(mended, "x").contents["a"].media == {"film.ts": "5400.13"}


def test_what_is_no_archive_is_said_to_be_none() -> None:
    for content in (b"", b"[15/06]\nfilm\n", b"\x00\xff"):
        with pytest.raises(ListingError, match="no archive of dvbboxes"):
            read(content, "x")


# --- a fleet saved and put back -------------------------------------------------------------------------------------


def test_a_fleet_comes_back_exactly(stage: Stage) -> None:
    fractions = [("/mnt/x/film.ts:0", START + 0.1234567), ("/opt/tsfiles/jt.ts:1", START + 70000)]
    stage.load(storing(program(*WHOLE)), town2_2=[(0, ("DEL", "25112026:85")), storing(fractions)])
    file = str(stage.folder / "archive")
    saved = go(stage, BACKUP, file=file)
    assert (saved.status, saved.data["programs"], saved.data["media"]) == (ExitStatus.DONE, 4, len(SECONDS))
    before = [stage.master(fqdn) for fqdn in ALL]
    stage.apply(stage.write((DAY, OTHER)))
    done = go(stage, RESTORE, file=file)
    assert (done.status, [stage.master(fqdn) for fqdn in ALL]) == (ExitStatus.DONE, before)
    run = whole(stage, 2).run.asked
    assert (run.kind, run.file, run.digest) == (
        RunKind.RESTORE, file, hashlib.sha256(Path(file).read_bytes()).hexdigest(),
    )  # fmt: skip
    assert go(stage, ROLLBACK, id="2").status is ExitStatus.DONE
    assert stage.everywhere() == [program(*OTHER)]


def test_the_same_fleet_gives_the_same_lines(stage: Stage) -> None:
    stage.load(storing(program(*WHOLE)), storing(program(*OTHER, day=NEXT), day=NEXT))
    first, second = stage.folder / "one", stage.folder / "two"
    go(stage, BACKUP, file=str(first))
    tell(stage.world.master(ALL[0]).endpoint, [(0, ("DEL", "25112026:85")), storing(program(*WHOLE))])
    stage.world.servers.wait_in_sync()
    go(stage, BACKUP, file=str(second), now=NOW + 60)
    one, two = (path.read_text().splitlines() for path in (first, second))
    assert one[1:-1] == two[1:-1]


def test_what_did_not_answer_is_named_and_what_is_neither_is_counted(stage: Stage) -> None:
    stage.load(storing(program(*WHOLE)), (0, ("SET", "users", "x")), (1, ("SET", "cache", "x")))
    file = stage.folder / "archive"
    stage.world.kill(stage.world.replica(ALL[3]))
    saved = go(stage, BACKUP, file=str(file))
    assert (saved.status, saved.data["passed_over"]) == (ExitStatus.PARTIAL, 3 * 2)
    archive = read(file.read_bytes(), "x")
    assert (list(archive.silent), ALL[3] in archive.contents) == ([ALL[3]], False)


def test_only_days_from_the_one_on_air_unless_others_are_named(stage: Stage) -> None:
    stage.load(storing(program(*WHOLE)), storing(program(*WHOLE, day=NEXT), day=NEXT))
    file = str(stage.folder / "archive")
    go(stage, BACKUP, file=file)
    for fqdn in ALL:
        tell(stage.world.master(fqdn).endpoint, [(0, ("FLUSHDB",))])
    later = START + 86400 - 3600
    seen = go(stage, RESTORE, file=file, now=START + 90000, allow=["on-air"])
    assert (seen.status, stage.everywhere()) == (ExitStatus.DONE, [[]])
    assert stage.everywhere(NEXT) == [program(*WHOLE, day=NEXT)]
    go(stage, RESTORE, file=file, now=later, days="25/11/2026", allow=["on-air"])
    assert stage.everywhere() == [program(*WHOLE)]


def test_an_archive_of_another_fleet_is_refused(stage: Stage, tmp_path: Path) -> None:
    stage.load()
    entry = (Entry("/opt/tsfiles/film.ts:0", START),)
    both = {fqdn: Contents({(DAY, "85"): entry}, {}) for fqdn in ("elsewhere", ALL[0])}
    file = tmp_path / "foreign"
    file.write_text(write(Archive("now", dict.fromkeys(both, "t"), both, {})))
    with pytest.raises(UsageError, match="is of another fleet: 1 of its 2 instances"):
        go(stage, RESTORE, file=str(file), allow=["short"])
    assert stage.touched() == []
    with pytest.raises(UsageError, match="nothing of the instances asked for"):
        go(stage, RESTORE, file=str(file), instances=[ALL[1]])
    assert go(stage, RESTORE, file=str(file), instances=[ALL[0]]).status is ExitStatus.DONE
    assert stage.master(ALL[0]) == [("/opt/tsfiles/film.ts:0", START)]


@pytest.mark.parametrize("member", ["/opt/../etc/film.ts:0", "/opt/tsfiles/a;rm.ts:0", "no entry"])
def test_a_name_or_a_folder_that_we_would_not_write_is_not_restored(stage: Stage, tmp_path: Path, member: str) -> None:
    stage.load()
    file = tmp_path / "edited"
    held = {ALL[0]: Contents({(DAY, "85"): (Entry(member, START),)}, {})}
    file.write_text(write(Archive("now", {ALL[0]: "town1"}, held, {})))
    with pytest.raises(UsageError, match="leave it out"):
        go(stage, RESTORE, file=str(file), allow=["missing"])
    assert (stage.touched(), runs(stage)) == ([], [])


def test_a_cut_archive_writes_nothing(stage: Stage) -> None:
    stage.load(storing(program(*WHOLE)))
    file = stage.folder / "archive"
    go(stage, BACKUP, file=str(file))
    stage.apply(stage.write((DAY, OTHER)))
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(ListingError, match="the archive is cut"):
        go(stage, RESTORE, file=str(file))
    assert stage.everywhere() == [program(*OTHER)]


def test_an_archive_is_written_whole_or_not_at_all(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.load(storing(program(*WHOLE)))
    file = stage.folder / "archive"
    file.write_text("what was there")
    before = {*stage.folder.iterdir(), stage.folder / "configuration"}

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DvbboxesError, match=r"archive .* cannot be written: No space left on device"):
        go(stage, BACKUP, file=str(file))
    assert file.read_text() == "what was there"
    assert {*stage.folder.iterdir()} == before
    with pytest.raises(DvbboxesError, match="cannot be written"):
        go(stage, BACKUP, file=str(stage.folder / "nowhere" / "archive"))


def test_a_file_that_cannot_be_read_is_a_usage_error(stage: Stage) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        go(stage, RESTORE, file=str(stage.folder / "nothing"))
