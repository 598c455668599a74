"""``media search``, ``media show`` and ``media check`` on real servers, and globs proven against a real one."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import peers
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from processes import run
from reading import DAY, START, Stage, clock, files, held
from stages import Shown

from dvbboxes.aggregate.media import nearest
from dvbboxes.commands.media import read_names
from dvbboxes.demo.servers import tell
from dvbboxes.demo.world import World
from dvbboxes.errors import ExitStatus, UsageError
from dvbboxes.wire import MEDIA, PROGRAMS, Command, containing, encode, escape_glob, program_key, text

FILES = files(film_a=5400.12, film_ab=60, jt=1800, noel_a_tana=3600, xfilm_a=30)
GONE: Command = (1, ("DEL", "film_a.ts"))


@pytest.fixture
def stage(fleet: World, tmp_path: Path) -> Stage:
    return Stage(fleet, tmp_path)


# --- globs ------------------------------------------------------------------------------------------------------------

#: Whatever bytes a key can be made of, the ones that mean something to a glob more often than others.
ODD = st.text(st.sampled_from("*?[]\\^-!ab_.\udcff\udc80é\n\x00"), min_size=1, max_size=8)
ANY_NAME = st.one_of(ODD, st.binary(min_size=1, max_size=8).map(text))
ONCE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@ONCE
@given(names=st.sets(ANY_NAME, min_size=1, max_size=12))
def test_an_escaped_name_matches_itself_alone_in_a_real_keys(fleet: World, names: set[str]) -> None:
    keys = sorted(encode(name) for name in names)
    patterns: list[Command] = [(MEDIA, ("KEYS", encode(escape_glob(text(key))))) for key in keys]
    pairs = [part for key in keys for part in (key, "1")]
    _, _, *found = tell(fleet.master("town1-1").endpoint, [(MEDIA, ("FLUSHDB",)), (MEDIA, ("MSET", *pairs)), *patterns])
    assert found == [[key] for key in keys]


@ONCE
@given(names=st.sets(ANY_NAME, min_size=1, max_size=12))
def test_an_escaped_name_matches_itself_alone_in_a_real_zscan(fleet: World, names: set[str]) -> None:
    members = [encode(f"/opt/{name}.ts:{n}") for n, name in enumerate(sorted(names))]
    pairs = [part for member in members for part in (1, member)]
    scans: list[Command] = [
        (PROGRAMS, ("ZSCAN", "p", 0, "MATCH", encode(f"*/{escape_glob(name)}.ts:*"), "COUNT", 1000))
        for name in sorted(names)
    ]
    _, _, *found = tell(
        fleet.master("town1-1").endpoint, [(PROGRAMS, ("FLUSHDB",)), (PROGRAMS, ("ZADD", "p", *pairs)), *scans]
    )
    assert [reply[1][::2] for reply in found] == [[member] for member in members]


@ONCE
@given(names=st.sets(ANY_NAME, min_size=1, max_size=12), word=st.text("ab_", max_size=3))
def test_a_plain_expression_finds_what_contains_it(fleet: World, names: set[str], word: str) -> None:
    keys = sorted(encode(name) for name in names)
    pairs = [part for key in keys for part in (key, "1")]
    *_, found = tell(
        fleet.master("town1-1").endpoint,
        [(MEDIA, ("FLUSHDB",)), (MEDIA, ("MSET", *pairs)), (MEDIA, ("KEYS", containing(word)))],
    )
    assert sorted(found) == [key for key in keys if word.encode() in key]


@ONCE
@given(expression=ODD)
def test_no_expression_breaks_a_search(fleet: World, expression: str) -> None:
    """Whatever is typed is a glob: what the server makes of it is a list, never an error."""
    (found,) = tell(fleet.replica("town1-1").endpoint, [(MEDIA, ("KEYS", containing(expression)))])
    assert isinstance(found, list)


# --- media search -----------------------------------------------------------------------------------------------------


def found(shown: Shown) -> list[str]:
    return [one["media"] for one in shown.data["media"]]


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("", ["film_a", "film_ab", "jt", "noel_a_tana", "xfilm_a"]),
        ("film_a", ["film_a", "film_ab", "xfilm_a"]),
        ("film_a.ts", ["film_a", "xfilm_a"]),
        ("f?lm_ab", ["film_ab"]),
        ("l*a_t", ["noel_a_tana"]),
        ("[jn]", ["jt", "noel_a_tana"]),
        ("FILM", []),
        ("film\\_ab", ["film_ab"]),
        ("film_a\\", []),
        ("../film_a", []),
        ("\udcff", []),
    ],
)
def test_a_name_is_found_by_what_it_contains(stage: Stage, expression: str, names: list[str]) -> None:
    stage.load(others=[FILES, (1, ("MSET", "film_a.txt", "x", "users", "y"))])
    shown = stage.ask("media search", expression)
    assert found(shown) == [f"{name}.ts" for name in names]
    assert shown.status is (ExitStatus.DONE if names else ExitStatus.DIFFERENCE)


def test_a_backslash_at_the_end_is_taken_for_itself(stage: Stage) -> None:
    stage.load(others=[FILES, (1, ("MSET", "odd\\name.ts", "1", "odd*.ts", "1"))])
    assert found(stage.ask("media search", "odd\\")) == ["odd\\name.ts"]
    assert found(stage.ask("media search", "odd\\\\")) == ["odd\\name.ts"]
    assert found(stage.ask("media search", "odd\\*")) == ["odd*.ts"]


def test_who_lacks_a_file_is_said_and_who_does_not_answer_lacks_none(stage: Stage) -> None:
    stage.load(town1_2=[FILES, GONE], others=[FILES])
    with peers.nobody() as nowhere:
        stage.ports["town2-1"] = nowhere.port
        shown = stage.ask("media search", "film_a")
    assert "film_a   not on town1-2" in shown.lines
    assert "town2-1" not in "".join(shown.lines[:3])
    assert shown.data["media"][0]["instances"] == ["town1-1", "town2-2"]
    assert shown.status is ExitStatus.PARTIAL


def test_a_replica_that_holds_no_media_has_none_and_one_that_holds_nothing_is_suspect(stage: Stage) -> None:
    """The search itself looks whether there is anything: nothing found is no proof of an empty replica."""
    stage.load(town1_1=[held([("film_a", START)])], town1_2=[], others=[FILES])
    shown = stage.ask("media search", "film_a")
    states = {fqdn: said["state"] for fqdn, said in shown.envelope["instances"].items()}
    assert states == {"town1-1": "current", "town1-2": "suspect", "town2-1": "current", "town2-2": "current"}
    assert "film_a   not on town1-1" in shown.lines


def test_every_instance_is_given_its_own_files_though_equal_ones_are_read_once(stage: Stage) -> None:
    lots = {f"f{n:03d}": n for n in range(300)}
    other = {("g000" if name == "f000" else name): n for name, n in lots.items()}
    stage.load(town1_1=[files(**lots)], town2_2=[files(**other)], others=[files(**lots)])
    held_by = {one["media"]: one["instances"] for one in stage.ask("media search", "").data["media"]}
    assert held_by["f000.ts"] == ["town1-1", "town1-2", "town2-1"]
    assert held_by["g000.ts"] == ["town2-2"]
    assert held_by["f001.ts"] == ["town1-1", "town1-2", "town2-1", "town2-2"]
    assert len(held_by) == 301


# --- media show -------------------------------------------------------------------------------------------------------


def test_a_file_everywhere_is_two_lines_and_its_airings(stage: Stage) -> None:
    programs = [
        held([("film_a", "07:30"), ("jt", "12:00"), ("film_a", "20:00")]),
        held([("film_ab", "07:30"), ("film_a", "21:00")], sid="86", day=date(2026, 11, 26)),
        held([("film_a", "09:00")], day=date(2026, 11, 1)),
        held([("film_a", "09:00")], sid="99", day=date(2026, 11, 2)),
    ]
    stage.load(others=[FILES, *programs])
    shown = stage.ask("media show", "film_a", now=clock("12:00"))
    assert shown.lines[:3] == ["film_a  1:30:00", "town1, town2: on 4 of 4", "2 airings to come, 3 past:"]
    assert [(airing["service_id"], airing["day"], airing["index"]) for airing in shown.data["airings"]] == [
        ("85", "01112026", 0),
        ("99", "02112026", 0),
        ("85", "24112026", 0),
        ("85", "24112026", 2),
        ("86", "26112026", 1),
    ]
    assert "  Mon 02-11-2026  09:00:00  99 (not configured)  #0" in [line.rstrip() for line in shown.lines]
    assert all(len(airing["instances"]) == 4 for airing in shown.data["airings"])
    assert shown.status is ExitStatus.DONE
    assert stage.ask("media show", "film_a.ts", now=clock("12:00")).data == shown.data


def test_the_name_is_whole_and_never_a_prefix_or_a_suffix(stage: Stage) -> None:
    stage.load(others=[FILES, held([("film_ab", "08:00"), ("xfilm_a", "09:00"), ("film_a", "10:00")])])
    assert [airing["index"] for airing in stage.ask("media show", "film_a").data["airings"]] == [2]


def test_a_long_program_is_looked_through_to_its_end(stage: Stage) -> None:
    """More entries than Redis keeps in one piece: a scan of few would stop before the end."""
    entries = [("film_a" if n % 250 == 249 else "jt", START + n * 60) for n in range(1000)]
    stage.load(others=[FILES, held(entries)])
    assert [airing["index"] for airing in stage.ask("media show", "film_a").data["airings"]] == [249, 499, 749, 999]


def test_an_airing_on_some_instances_names_them(stage: Stage) -> None:
    stage.load(town2_1=[FILES, held([("jt", "07:30"), ("film_a", "20:00")])], others=[FILES, held([("jt", "07:30")])])
    shown = stage.ask("media show", "film_a")
    assert shown.lines[-2].rstrip().endswith("85 Ma chaine  #1  on town2-1")
    assert shown.data["airings"][0]["instances"] == ["town2-1"]


def test_durations_within_the_tolerance_agree_and_beyond_it_they_are_shown(stage: Stage) -> None:
    stage.load(town1_2=[FILES, files(film_a=5401.3)], others=[FILES])
    near = stage.ask("media show", "film_a")
    assert (near.data["disagrees"], near.status) == (False, ExitStatus.DONE)
    stage.load(town1_2=[files(film_a=5402)])
    far = stage.ask("media show", "film_a")
    assert "! the instances do not agree on its duration:" in far.lines
    assert "  1:30:00 (5400.12 s): town1-1, town2-1, town2-2" in far.lines
    assert "  1:30:02 (5402 s): town1-2" in far.lines
    assert (far.data["duration"], far.status) == (5402, ExitStatus.DIFFERENCE)


def test_the_sentinel_and_garbage_are_no_durations_and_never_win(stage: Stage) -> None:
    stage.load(
        town1_1=[FILES, files(film_a="3.14")],
        town1_2=[FILES, files(film_a="__import__('os').abort()")],
        town2_1=[FILES, files(film_a=1)],
        town2_2=[FILES, files(film_a=0)],
    )
    shown = stage.ask("media show", "film_a")
    assert "  not measured (3.14): town1-1" in shown.lines
    assert any(line.startswith('  corrupt ("__import__(') and line.endswith(": town1-2") for line in shown.lines)
    assert (shown.data["duration"], shown.data["found"]) == (1, True)
    assert {fqdn: said["kind"] for fqdn, said in shown.data["durations"].items()} == {
        "town1-1": "unmeasured",
        "town1-2": "corrupt",
        "town2-1": "measured",
        "town2-2": "measured",
    }
    assert shown.status is ExitStatus.DIFFERENCE


def test_a_file_that_nobody_has_comes_with_the_nearest_names_and_its_airings(stage: Stage) -> None:
    stage.load(others=[FILES, held([("noel_tana", "20:00")])])
    shown = stage.ask("media show", "noel_tana")
    assert shown.lines[:2] == ["noel_tana  ABSENT", "no instance that answered has it; nearest names: noel_a_tana"]
    assert (shown.data["nearest"], len(shown.data["airings"])) == (["noel_a_tana.ts"], 1)
    assert shown.status is ExitStatus.DIFFERENCE


def test_who_has_it_who_lacks_it_and_who_did_not_answer(stage: Stage) -> None:
    stage.load(town1_2=[FILES, GONE], others=[FILES])
    with peers.nobody() as nowhere:
        stage.ports["town2-1"] = nowhere.port
        shown = stage.ask("media show", "film_a")
    assert "town1: on 1 of 2; not on town1-2" in shown.lines
    assert "town2: on 1 of 2; town2-1 did not answer" in shown.lines
    assert shown.data["towns"]["town2"] == {"have": ["town2-2"], "lack": [], "silent": ["town2-1"]}
    assert shown.status is ExitStatus.PARTIAL


def test_other_keys_and_odd_types_are_passed_over(stage: Stage) -> None:
    odd: list[Command] = [
        (0, ("SET", program_key(DAY, "86"), "film_a.ts:0")),
        (0, ("HSET", "users", "film_a.ts:0", "x")),
        (0, ("ZADD", program_key(DAY, "85"), "inf", "/x/film_a.ts:1", START, "film_a.ts", START, "/x/film_a.ts:2")),
    ]
    stage.load(others=[FILES, *odd])
    assert [airing["index"] for airing in stage.ask("media show", "film_a").data["airings"]] == [2]


@pytest.mark.parametrize("name", ["", "film*", "Film_a", "../film_a", "a b", "film_a.ts.ts", "\udcff"])
def test_what_can_be_no_name_is_a_usage_error(stage: Stage, name: str) -> None:
    with pytest.raises(UsageError, match="is no media name"):
        stage.ask("media show", name)


KINDS = ("clips_gasy", "film_du_soir", "jt", "les_gardiens_de_l_isalo", "coeurs_de_vanille", "n")
MANY = [f"{kind}_{n}.ts" for kind in KINDS for n in range(1000)]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("film_du_soit_123", "film_du_soir_123"),
        ("fiml_du_soir_123", "film_du_soir_123"),
        ("les_gardiens_l_isalo_77", "les_gardiens_de_l_isalo_77"),
        ("coeur_de_vanille_999", "coeurs_de_vanille_999"),
        ("jt__42", "jt_42"),
        ("n8", "n_8"),
    ],
)
def test_the_nearest_of_very_many_names_is_the_one_that_was_meant(typed: str, meant: str) -> None:
    assert f"{meant}.ts" in nearest(f"{typed}.ts", MANY)
    assert nearest(f"{typed}.ts", MANY) == nearest(f"{typed}.ts", reversed(MANY))


def test_nothing_like_it_is_nothing() -> None:
    assert nearest("0123456789.ts", ["abcdefghijklm.ts"]) == nearest("x.ts", []) == ()


# --- media check ------------------------------------------------------------------------------------------------------


def a_list(stage: Stage, content: bytes) -> str:
    path = stage.folder / "names"
    path.write_bytes(content)
    return str(path)


def test_names_that_are_missing_somewhere_are_listed_with_where(stage: Stage) -> None:
    stage.load(town1_2=[FILES, GONE], others=[FILES])
    shown = stage.ask("media check", a_list(stage, b"film_a\njt\nnobody_has_it\n"))
    assert shown.lines[:3] == [
        "film_a         not on town1-2",
        "nobody_has_it  not on any instance that answered",
        "3 names: 1 everywhere, 2 missing somewhere",
    ]
    assert [one["media"] for one in shown.data["missing"]] == ["film_a.ts", "nobody_has_it.ts"]
    assert shown.status is ExitStatus.DIFFERENCE
    assert stage.ask("media check", a_list(stage, b"jt\n")).status is ExitStatus.DONE


def test_crlf_suffixes_blanks_comments_and_a_bom_are_fine() -> None:
    content = b"\xef\xbb\xbffilm_a.ts\r\n\r\n  jt \r\n# no name\nfilm_a\n\x0c\nlast"
    assert read_names(content) == (("film_a.ts", "jt.ts", "last.ts"), ())


@pytest.mark.parametrize("line", [b"\xff\xfe", b"Film", b"a b", b"../x", b"film*", b"x.ts.ts", b"\x1b[2J", b"\xc3\xa9"])
def test_a_line_that_is_no_name_is_named_with_its_number_and_the_rest_is_checked(stage: Stage, line: bytes) -> None:
    stage.load(others=[FILES])
    shown = stage.ask("media check", a_list(stage, b"jt\n\n" + line + b"\nfilm_a\n"))
    assert shown.lines[0].startswith("! line 3: ")
    assert shown.lines[0].isascii()
    assert "\x1b" not in shown.text
    assert shown.data["bad_lines"][0]["line"] == 3
    assert shown.data["names"] == 2
    assert shown.status is ExitStatus.DIFFERENCE


def test_a_hundred_thousand_names_are_checked(stage: Stage) -> None:
    names = [f"film_{n:06d}" for n in range(100_000)]
    there = [part for name in names if name != "film_054321" for part in (f"{name}.ts", "1")]
    stage.load(others=[(1, ("MSET", *there))])
    shown = stage.ask("media check", a_list(stage, "\r\n".join(names).encode()))
    assert [one["media"] for one in shown.data["missing"]] == ["film_054321.ts"]
    assert shown.lines[1] == "100000 names: 99999 everywhere, 1 missing somewhere"


def test_a_list_of_nothing_still_asks_whether_anybody_is_there(stage: Stage) -> None:
    """Who was not asked has not answered."""
    stage.load(others=[FILES])
    with peers.nobody() as nowhere:
        stage.ports["town2-1"] = nowhere.port
        shown = stage.ask("media check", a_list(stage, b"# nothing\n"))
    assert shown.envelope["instances"]["town1-1"]["state"] == "current"
    assert shown.status is ExitStatus.PARTIAL


def test_one_that_does_not_answer_lacks_nothing(stage: Stage) -> None:
    stage.load(others=[FILES])
    with peers.nobody() as nowhere:
        stage.ports["town2-1"] = nowhere.port
        shown = stage.ask("media check", a_list(stage, b"film_a\nnobody_has_it\n"))
    assert [one["absent"] for one in shown.data["missing"]] == [["town1-1", "town1-2", "town2-2"]]
    assert shown.status is ExitStatus.PARTIAL


def test_a_list_that_cannot_be_read_is_a_usage_error_that_names_it(stage: Stage) -> None:
    with pytest.raises(UsageError, match=r"the list .*/nowhere cannot be read: No such file"):
        stage.ask("media check", str(stage.folder / "nowhere"))


def test_a_list_comes_from_standard_input_too(stage: Stage) -> None:
    stage.load(others=[FILES])
    ran = run("media", "check", "-", config=stage.config)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith("0 names: 0 everywhere, 0 missing somewhere")


def test_many_days_and_channels_are_looked_through(stage: Stage) -> None:
    days = [DAY + timedelta(days=n) for n in range(30)]
    stage.load(
        others=[FILES, *(held([("jt", "07:30"), ("film_a", "20:00")], sid=s, day=d) for d in days for s in "12")]
    )
    airings: list[dict[str, Any]] = stage.ask("media show", "film_a").data["airings"]
    assert len(airings) == 60
    assert [airing["start_time"] for airing in airings] == sorted(airing["start_time"] for airing in airings)
