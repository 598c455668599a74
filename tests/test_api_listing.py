"""``Listing`` of SPEC 7: callers as they exist, in processes of their own, on real masters and replicas."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import peers
import pytest
from applying import DAY, NEXT, NOW, START, Stage, key_of, program, storing
from processes import environment
from stages import ALL

from dvbboxes.demo.servers import tell
from dvbboxes.demo.world import World
from dvbboxes.journal import Journal
from dvbboxes.lock import hold
from dvbboxes.records import ChangeState

#: Callers' own processes, one after the other: run by make test-slow.
pytestmark = pytest.mark.slow

WHOLE = ("film", "clip")
#: What a caller does with an upload: read it, show the days, apply them.
UPLOAD = """
import json, sys
from dvbboxes import Listing
listing = Listing(sys.argv[1])
parsed = list(listing.parse())
said = Listing.apply([json.loads(day) for day in parsed], "85", *map(json.loads, sys.argv[2:]))
"""


@pytest.fixture
def stage(fleet: World, tmp_path: Path) -> Stage:
    found = Stage(fleet, tmp_path)
    found.load()
    return found


def call(stage: Stage, script: str, *arguments: str) -> Any:
    """Run a caller's script in a process of its own and return what it assigns to ``said``."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script) + "\nprint(json.dumps(said))", *arguments],
        env=environment(stage.config, {}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def raised(stage: Stage, script: str, *arguments: str) -> list[Any]:
    """Return what a caller catches: the names of the exception's classes, its arguments, its text."""
    return list(
        call(
            stage,
            f"""
import json, sys
from dvbboxes import Listing
try:
    {script}
except Exception as error:
    said = [[one.__name__ for one in type(error).__mro__], [repr(one) for one in error.args], str(error)]
""",
            *arguments,
        )
    )


# --- reading ----------------------------------------------------------------------------------------------------------


def test_a_listing_is_what_it_was(stage: Stage) -> None:
    file = stage.write((NEXT, ("jt",)), (DAY, ("film", "gone", "film", "clip")))
    said = call(
        stage,
        """
        import json, sys
        from dvbboxes import Listing
        listing = Listing(sys.argv[1])
        said = [listing.filepath, listing.days, listing.filenames, list(listing.parse())]
        """,
        file,
    )
    path, days, filenames, parsed = said
    assert (path, days) == (file, ["26112026", "25112026"])
    assert filenames == {"jt": 900, "film": 59000.25, "gone": 0, "clip": 1800}
    second = json.loads(parsed[1])
    assert list(second) == [  # in order, the starts as floats, unrounded
        "day",
        f"{START:.1f}_0",
        f"{START + 59000.25:.2f}_1",
        f"{START + 59000.25:.2f}_2",
        f"{START + 118000.5:.1f}_3",
    ]
    assert (second["day"], second[f"{START:.1f}_0"]) == ("25112026", {"filename": "film", "duration": 59000.25})
    assert second[f"{START + 59000.25:.2f}_1"] == {"filename": "gone", "duration": 0}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "Warning"),
        ("film\n", "Warning"),
        ("[32/06]\nfilm\n", "Warning"),
        ("[1/06]\nfilm\n", "Warning"),
        ("[15/06]\nfilm\nFilm\n../x\n", "ValueError"),
        ("[15/06]\n", "ValueError"),
        ("[15/06]\nfilm\n[15/06]\nfilm\n", "ValueError"),
    ],
)
def test_what_is_wrong_is_raised_as_callers_catch_it_with_every_line(stage: Stage, text: str, kind: str) -> None:
    path = stage.folder / "bad"
    path.write_text(text, "utf-8")
    classes, arguments, said = raised(stage, "list(Listing(sys.argv[1]).parse())", str(path))
    assert kind in classes
    assert "bad" in said
    if "../x" in text:
        assert arguments[0] == "['Film', '../x']"
        assert "bad:3:" in said
        assert "bad:4:" in said


# --- applying ---------------------------------------------------------------------------------------------------------


def test_an_upload_goes_to_every_instance_of_every_town(stage: Stage) -> None:
    said = call(stage, UPLOAD, stage.write((DAY, WHOLE), (NEXT, WHOLE)))
    done = {"delete": True, "insert": True}
    assert said == {
        town: {day: {f"{town}-1": done, f"{town}-2": done} for day in ("25112026", "26112026")}
        for town in ("town1", "town2")
    }
    assert (stage.everywhere(), stage.everywhere(NEXT)) == ([program(*WHOLE)], [program(*WHOLE, day=NEXT)])
    with Journal.open(stage.data) as journal:
        (run,) = journal.runs()
    assert run.counts == {ChangeState.VERIFIED: 8}


def test_a_second_apply_and_one_over_another_program_are_successes_too(stage: Stage) -> None:
    stage.load(town1_1=[storing(program("jt"))])
    file = stage.write((DAY, WHOLE))
    first, second = call(stage, UPLOAD, file), call(stage, UPLOAD, file)
    assert first == second
    outcomes = [done for days in first.values() for done in days["25112026"].values()]
    assert outcomes == [{"delete": True, "insert": True}] * 4
    with Journal.open(stage.data) as journal:
        assert len(journal.runs()) == 1  # the second time all was there


@pytest.mark.parametrize("towns", ['"town2"', '["town2"]', '["town2", "town2"]'])
def test_towns_is_one_or_several(stage: Stage, towns: str) -> None:
    said = call(stage, UPLOAD, stage.write((DAY, WHOLE)), towns)
    assert list(said) == ["town2"]
    assert stage.touched() == ["town2-1", "town2-2"]


@pytest.mark.parametrize("towns", ["null", "[]"])
def test_no_towns_are_all(stage: Stage, towns: str) -> None:
    call(stage, UPLOAD, stage.write((DAY, WHOLE)), towns)
    assert stage.touched() == list(ALL)


def test_json_text_is_taken_too(stage: Stage) -> None:
    said = call(
        stage,
        """
        import json, sys
        from dvbboxes import Listing
        said = Listing.apply(Listing(sys.argv[1]).parse(), 85)
        """,
        stage.write((DAY, WHOLE)),
    )
    assert set(said) == {"town1", "town2"}
    assert stage.everywhere() == [program(*WHOLE)]


def test_an_instance_that_failed_has_false_and_the_rest_still_happens(stage: Stage) -> None:
    with peers.nobody() as endpoint:
        stage.masters["town1-2"] = endpoint.port
        said = call(stage, UPLOAD, stage.write((DAY, WHOLE)))
    assert said["town1"]["25112026"] == {
        "town1-1": {"delete": True, "insert": True},
        "town1-2": {"delete": False, "insert": False},
    }
    assert stage.touched() == ["town1-1", "town2-1", "town2-2"]


def test_a_key_of_another_type_is_a_failure_and_stays(stage: Stage) -> None:
    tell(stage.world.master("town1-2").endpoint, [(0, ("SET", key_of(), "mine"))])
    said = call(stage, UPLOAD, stage.write((DAY, WHOLE)))
    assert said["town1"]["25112026"]["town1-2"] == {"delete": False, "insert": False}
    assert tell(stage.world.master("town1-2").endpoint, [(0, ("GET", key_of()))]) == [b"mine"]


def test_without_a_data_folder_that_can_be_written_nothing_is(stage: Stage) -> None:
    (stage.folder / "file").touch()
    stage.replace.append((f"folder={stage.data}\n", f"folder={stage.folder / 'file'}\n"))
    script = "Listing.apply(list(Listing(sys.argv[1]).parse()), '85')"
    classes, _, said = raised(stage, script, stage.write((DAY, WHOLE)))
    assert "ConfigError" in classes
    assert "[DATA] folder" in said
    assert stage.touched() == []


def test_it_takes_the_same_lock(stage: Stage) -> None:
    file = stage.write((DAY, WHOLE))
    stage.data.mkdir(exist_ok=True)
    with hold(stage.data, "rasoa", "dvbboxes listing apply x", NOW):
        classes, _, said = raised(stage, "Listing.apply(list(Listing(sys.argv[1]).parse()), '85')", file)
    assert "Locked" in classes
    assert "rasoa" in said
    assert stage.touched() == []


ONE = {"filename": "film", "duration": 1}
GOOD = {"day": "26112026", "1.0_0": ONE}
NO_DAYS: list[Any] = [
    {},
    {"day": "25112026"},
    {"day": "31022026", "1.0_0": ONE},
    {"day": "25112026:85 x", "1.0_0": ONE},
    {"day": "25112026", "x_0": ONE},
    {"day": "25112026", "nan_0": ONE},
    {"day": "25112026", "1.0_1": ONE},
    {"day": "25112026", "1.0_0": {"filename": "../x"}},
    {"day": "25112026", "1.0_0": {"filename": "a;rm"}},
    {"day": "25112026", "1.0_0": None},
    "no json",
    7,
    GOOD,  # it stands twice then
]


def test_what_is_no_day_is_a_value_error_and_writes_nothing(stage: Stage) -> None:
    said = call(
        stage,
        """
        import json, sys
        from dvbboxes import Listing
        good, bad = json.loads(sys.argv[1])
        said = []
        for one in bad:
            try:
                said.append(Listing.apply([good, one], "85"))
            except ValueError as error:
                said.append(str(error))
        """,
        json.dumps([GOOD, NO_DAYS]),
    )
    assert [each for each in said if not isinstance(each, str)] == []
    assert said[7] == "'../x' is no media name: small letters, digits and _"
    assert stage.touched() == []
    assert not (stage.data / "journal.sqlite").exists()


def test_an_unknown_town_or_channel_is_a_key_error(stage: Stage) -> None:
    file = stage.write((DAY, WHOLE))
    for call_ in ("'85', 'nowhere'", "'99'"):
        classes, _, _ = raised(stage, f"Listing.apply(list(Listing(sys.argv[1]).parse()), {call_})", file)
        assert "KeyError" in classes
    assert stage.touched() == []
