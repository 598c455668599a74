"""``coverage``: a cell for each channel, town and day; the same in the terminal, as SVG and as a page of its own."""

from __future__ import annotations

import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from datetime import date, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from stages import ALL, ZONE, Shown, Stage

from dvbboxes.demo.world import World
from dvbboxes.errors import DvbboxesError, ExitStatus, UsageError
from dvbboxes.render.style import Style
from dvbboxes.schedule import window
from dvbboxes.wire import Command, program_key

DAY = date(2026, 11, 24)
FULL = (("film_a", 12.0), ("film_b", 6.0))  # to 01:30
SHORT = (("film_a", 12.0),)
CHANNELS = (("85", 'Ma <b>chaine</b> & "co"'), ("86", "Deux"))


def program(entries: Sequence[tuple[str, float]], *, sid: str = "85", ahead: int = 0) -> Command:
    day = DAY + timedelta(days=ahead)
    at = window(day, ZONE, time(7, 30))[0]
    flat: list[Any] = []
    for n, (name, hours) in enumerate(entries):
        flat += [at, f"/opt/tsfiles/{name}.ts:{n}"]
        at += hours * 3600
    return (0, ("ZADD", program_key(day, sid), *flat))


FILES: Command = (1, ("MSET", "film_a.ts", "43200", "film_b.ts", "21600", "gone.ts", "60"))


class Wall(Stage):
    """A fleet with one state of each kind on channel 85, and channel 86 whole."""

    def fill(self) -> None:
        common = [FILES, *(program(FULL, sid="86", ahead=n) for n in range(6))]
        days = [program(FULL), program(FULL, ahead=1), program(SHORT, ahead=2)]
        days += [program((*FULL, ("gone", 0.1)), ahead=3), program((("film_a", 12.0), ("gone", 0.1)), ahead=4)]
        for fqdn in ALL:
            self.world.load({fqdn: [*common, *days]})
        self.world.load({"town2-2": [(1, ("DEL", "gone.ts"))]})
        self.world.load({"town1-2": [program((("film_b", 1.0),), ahead=1)]})

    def look(self, **options: Any) -> Shown:
        return self.run("coverage", days="6", **options)


@pytest.fixture
def wall(small_fleet: Callable[..., World], tmp_path: Path) -> Wall:
    found = Wall(small_fleet(channels=CHANNELS), tmp_path, now=window(DAY, ZONE, time(7, 30))[0] + 3600)
    found.fill()
    return found


EXPECTED = {
    ("85", "town1"): ["green", "uneven", "orange", "green", "orange", "none"],
    ("85", "town2"): ["green", "green", "orange", "lightblue", "red", "none"],
    ("86", "town1"): ["green"] * 6,
    ("86", "town2"): ["green"] * 6,
}


def test_each_cell_is_as_good_as_the_worst_instance_of_its_town_and_the_forms_agree(wall: Wall) -> None:
    result = wall.look()
    rows = result.data["rows"]
    assert {(r["service_id"], r["town"]): [cell["state"] for cell in r["days"]] for r in rows} == EXPECTED
    sheet = result.rows
    assert len(sheet) == 24
    for row in sheet:
        nth = (date(int(row["day"][4:]), int(row["day"][2:4]), int(row["day"][:2])) - DAY).days
        assert row["state"] == EXPECTED[row["service_id"], row["town"]][nth]
    lines = result.text.splitlines()
    assert lines[1].split("town1")[1].split()[:6] == ["G", "~", "O", "G", "O", "-"]
    assert lines[2].split("town2")[1].split()[:6] == ["G", "G", "O", "L", "R", "-"]
    assert result.status is ExitStatus.DIFFERENCE


def test_scheduled_until_is_the_end_of_the_days_in_a_row(wall: Wall) -> None:
    rows = wall.look().data["rows"]
    # 85 ends with its last file on the fifth day, 86 in the night after the sixth.
    assert [row["until"][:16] for row in rows] == ["2026-11-28T19:31"] * 2 + ["2026-11-30T01:30"] * 2


def test_a_whole_channel_is_a_yes_and_a_town_that_is_silent_is_unknown(wall: Wall) -> None:
    assert wall.look(services=["86"]).status is ExitStatus.DONE
    wall.world.kill(*(wall.world.replica(fqdn) for fqdn in ALL[2:]))
    result = wall.look(services=["86"])
    rows = result.data["rows"]
    assert [row["days"][0]["state"] for row in rows] == ["green", "unknown"]
    assert result.status is ExitStatus.PARTIAL


def test_colour_is_for_terminals_alone(wall: Wall) -> None:
    result = wall.look()
    assert "\x1b[" not in result.text
    assert "\x1b[32m██\x1b[0m" in result.render("text", Style(color=True))


def test_the_picture_is_well_formed_escaped_and_says_each_cell(wall: Wall) -> None:
    path = wall.folder / "week.svg"
    result = wall.look(output=str(path))
    assert f"written to {path}" in result.text
    root = ET.fromstring(path.read_text("utf-8"))
    titles = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}title")]
    assert len(titles) == 24
    assert '85 Ma <b>chaine</b> & "co", town1, Wed 25-11-2026: instances differ, or some hold nothing (2/2)' in titles
    assert "<b>" not in path.read_text("utf-8")


def test_the_page_stands_alone(wall: Wall) -> None:
    path = wall.folder / "week.html"
    wall.look(output=str(path))
    page = path.read_text("utf-8")
    assert page.startswith("<!DOCTYPE html>") and page.count("<svg ") == 1
    assert "<b>chaine" not in page and "Ma &lt;b&gt;chaine&lt;/b&gt; &amp; &quot;co&quot;" in page
    assert "src=" not in page and "href=" not in page and "<script" not in page
    assert "nothing scheduled: 29/11" in page


def test_a_file_that_cannot_be_written_and_another_kind_are_errors(wall: Wall) -> None:
    with pytest.raises(DvbboxesError, match="cannot be written: No such file"):
        wall.look(output=str(wall.folder / "nowhere" / "x.svg"))
    with pytest.raises(UsageError, match=r"name it FILE\.svg or FILE\.html"):
        wall.look(output="x.png")


def test_a_real_browser_draws_it(wall: Wall, need: Callable[[object, str], None]) -> None:
    chromium = shutil.which("chromium")
    need(chromium, "there is no chromium (apt-get install chromium)")
    path, shot = wall.folder / "week.html", wall.folder / "week.png"
    wall.look(output=str(path))
    words = [str(chromium), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
    words += ["--disable-background-networking", "--disable-component-update", "--window-size=900,600"]
    words += [f"--user-data-dir={wall.folder / 'profile'}"]
    done = subprocess.run([*words, "--dump-dom", path.as_uri()], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.count("<rect") >= 24
    subprocess.run([*words, f"--screenshot={shot}", path.as_uri()], capture_output=True, timeout=60, check=True)
    assert shot.read_bytes().startswith(b"\x89PNG")
