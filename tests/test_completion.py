"""A TAB, as bash asks for it: nouns, verbs, options, and the words of this fleet; it waits for nobody."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import waits
from processes import ROOT, environment
from reading import files
from waiting import eventually

from dvbboxes import completion
from dvbboxes.demo.world import World

pytest.importorskip("argcomplete")


def tab(line: str, config: str | Path | None, cache: Path) -> list[str]:
    """Return the completions of a line, as argcomplete's bash function gets them."""
    reading, writing = os.pipe()
    given = {
        "_ARGCOMPLETE": "1", "_ARGCOMPLETE_SHELL": "bash", "_ARGCOMPLETE_SUPPRESS_SPACE": "1", "COMP_LINE": line,
        "_ARGCOMPLETE_COMP_WORDBREAKS": " \t\n\"'><=;|&(:", "COMP_POINT": str(len(line.encode())), "COMP_TYPE": "9",
        "XDG_CACHE_HOME": str(cache),
    }  # fmt: skip
    script = f"exec 8>&{writing} 9>/dev/null; exec {sys.executable} -m dvbboxes"
    with subprocess.Popen(
        ["bash", "-c", script],
        env=environment(config, given), pass_fds=[writing], cwd=ROOT, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as stream:
            said = stream.read()
        assert process.stderr is not None
        complaints = process.stderr.read().decode()
    assert complaints == ""
    return [word for word in said.split("\013") if word]


def test_nouns_verbs_and_options_are_completed_at_every_level(tmp_path: Path) -> None:
    assert {"program", "listing", "--config"} <= set(tab("dvbboxes ", None, tmp_path))
    assert tab("dvbboxes prog", None, tmp_path) == ["program"]
    assert {"show", "diff", "now"} <= set(tab("dvbboxes program ", None, tmp_path))
    assert set(tab("dvbboxes program show today --to", None, tmp_path)) == {"--to", "--towns"}
    assert tab("dvbboxes program show today --format c", None, tmp_path) == ["csv"]


def test_the_words_of_flask_scripts_own_shell_are_completed_too(tmp_path: Path) -> None:
    assert tab("dvbboxes sh", None, tmp_path) == ["shell"]
    assert "--no-ipython" in tab("dvbboxes shell --no-", None, tmp_path)


def test_nothing_else_needs_flask_which_takes_longer_than_all_the_rest(tmp_path: Path) -> None:
    code = (
        "import os, sys; exit, os._exit = os._exit, lambda status: exit('flask' in sys.modules);"
        "from dvbboxes.__main__ import cli; cli()"
    )
    given = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_STDOUT_FILENAME": os.devnull, "COMP_POINT": "17", "COMP_TYPE": "9"}
    for line, imported in (("dvbboxes program ", 0), ("dvbboxes shell --", 1)):
        words = [sys.executable, "-c", code]
        done = subprocess.run(words, env=environment(None, {**given, "COMP_LINE": line}), cwd=ROOT, timeout=60)
        assert (line, done.returncode) == (line, imported)


def test_towns_instances_and_channels_come_from_the_configuration(fleet: World, tmp_path: Path) -> None:
    config = fleet.config_path
    assert tab("dvbboxes program show today --towns ", config, tmp_path) == ["town1", "town2"]
    assert tab("dvbboxes program show today --towns town1,", config, tmp_path) == ["town1,town2"]
    assert tab(f"dvbboxes -c {config} cluster status --instance town2-", None, tmp_path) == ["town2-1", "town2-2"]
    assert tab("dvbboxes program show today -s ", config, tmp_path) == ["85", "86"]


def test_a_tab_without_a_configuration_says_nothing(tmp_path: Path) -> None:
    assert tab("dvbboxes program show today --towns ", tmp_path / "none", tmp_path) == []
    assert tab("dvbboxes media show f", tmp_path / "none", tmp_path) == []


def test_a_tab_prepares_nothing(fleet: World, tmp_path: Path) -> None:
    """The log file and the data folder are made by commands, not by looking at what could be typed."""
    text = Path(fleet.config_path).read_text("utf-8")
    moved = tmp_path / "configuration"
    moved.write_text(text.replace(fleet.config().data_folder, str(tmp_path / "data")), "utf-8")
    assert tab("dvbboxes program show today --towns ", moved, tmp_path) == ["town1", "town2"]
    assert not (tmp_path / "data").exists()


def test_files_are_asked_for_once_then_listed_and_the_list_is_renewed_behind(fleet: World, tmp_path: Path) -> None:
    config = fleet.config_path
    cache = completion.cache_file(str(config), {"XDG_CACHE_HOME": str(tmp_path)})
    fleet.load({name: (files(film_a=5400, film_b=60, jt=1),) for name in fleet.layout.fqdns})
    # Who answers within 30 ms is asked; on a busy machine that may be nobody.
    assert set(tab("dvbboxes media show film_", config, tmp_path)) <= {"film_a", "film_b"}
    assert eventually(cache.exists)
    assert cache.read_text().split() == ["film_a", "film_b", "jt"]
    cache.write_text("film_c\n")
    assert tab("dvbboxes media show film_", config, tmp_path) == ["film_c"]
    for line in ("rename", "replace", "rename film_c", "replace film_c", "delete", "withdraw"):
        assert tab(f"dvbboxes media {line} film_", config, tmp_path) == ["film_c"], line
    os.utime(cache, (0, 0))
    assert tab("dvbboxes media show film_", config, tmp_path) == ["film_c"]
    assert eventually(lambda: "film_c" not in cache.read_text())


def test_a_dead_fleet_is_not_waited_for(fleet: World) -> None:
    config = fleet.config()
    fleet.load({name: (files(film_a=5400),) for name in fleet.layout.fqdns})
    assert completion._asked(config, config.instances, "film_", 20) == {"film_a"}
    fleet.freeze(*map(fleet.replica, fleet.layout.fqdns))
    with waits.counted() as waited:
        assert completion._asked(config, config.instances, "film_", completion.DEADLINE) == set()
    assert waited.in_vain < 1.5 * completion.DEADLINE  # not in turn


@pytest.mark.parametrize("count", [1, 7, 8, 9, 64, 300])
def test_while_somebody_waits_a_few_from_all_over_the_fleet_are_asked(count: int) -> None:
    few: Any = completion._spread(range(count))  # type: ignore[arg-type]  # of instances, but of anything
    assert min(count, completion.FEW) <= len(few) < 2 * completion.FEW
    assert (few[0], count - few[-1] <= max(1, count // completion.FEW)) == (0, True)


def test_what_is_listed_already_is_not_offered_again() -> None:
    known = {"tana": "2 instances", "toamasina": "2 instances"}
    assert list(completion.listed("t", known)) == ["tana", "toamasina"]
    assert list(completion.listed("tana,t", known)) == ["tana,toamasina"]
