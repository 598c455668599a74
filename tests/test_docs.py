"""Docs and code hold together: every example is run, every page is plain, the reference is what the help says."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from types import ModuleType

import pytest
from processes import LONG, ROOT, Ran, environment, run

from dvbboxes.demo import sample
from dvbboxes.main import NOUNS
from dvbboxes.wire import day_text, parse_day_text

PAGES = [ROOT / "README.rst", *sorted((ROOT / "docs").rglob("*.rst"))]
#: What an example may end with: it is an answer, or it is refused as unsafe; never a mistake of the page.
ANSWERS = {0, 1, 4, 7}
_EXAMPLE = re.compile(r"^ +\$ (.*)$")
_CONTINUED = re.compile(r"^ +> (.*)$")
_LISTING = re.compile(r"\b([0-9]+)_([0-9]{8})_([0-9]{8})\b")


@dataclass(frozen=True)
class Example:
    """A command line of a page, whole, and the lines that the page shows below it."""

    line: str
    shown: tuple[str, ...]


def examples(page: Path) -> tuple[Example, ...]:
    """Return every ``$ COMMAND`` in the literal blocks of a page, in order; ``>`` goes on with one, as a shell does."""
    found: list[Example] = []
    below = False
    for line in page.read_text("utf-8").splitlines():
        if begun := _EXAMPLE.match(line):
            found.append(Example(begun[1], ()))
            below = True
        elif not line.startswith(" "):
            below = False
        elif below and not found[-1].shown and (more := _CONTINUED.match(line)):
            found[-1] = replace(found[-1], line=f"{found[-1].line}\n{more[1]}")
        elif below:
            found[-1] = replace(found[-1], shown=(*found[-1].shown, line.strip()))
    return tuple(found)


WITH_EXAMPLES = [page for page in PAGES if examples(page)]


def load(page: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(page, ROOT / "docs" / f"{page}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def shell(tmp_path: Path, redis_server: str) -> Iterator[Callable[[str], Ran]]:
    """``shell(line)``: run a line in a shell that has read the ``.demo`` of a demo of its own, in an empty folder."""
    home = tmp_path / "run"
    home.mkdir(mode=0o700)
    started = run("demo", "start", "--format", "json", XDG_RUNTIME_DIR=str(home))
    assert started.status == 0, started.err
    command = tmp_path / "bin" / "dvbboxes"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m dvbboxes "$@"\n')
    command.chmod(0o700)
    environ = environment(
        json.loads(started.out)["data"]["config"],
        {"PATH": f"{command.parent}:{os.environ['PATH']}", "XDG_RUNTIME_DIR": str(home)},
    )
    work = tmp_path / "work"
    work.mkdir()

    def type_in(line: str) -> Ran:
        done = subprocess.run(
            ["sh", "-c", line], cwd=work, env=environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=LONG
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode(), 0.0)

    yield type_in
    assert run("demo", "stop", XDG_RUNTIME_DIR=str(home)).status == 0


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: page.name)
def test_the_examples_of_a_page_are_answers_and_look_as_shown(page: Path, shell: Callable[[str], Ran]) -> None:
    """In their order, as a reader types them: what one writes the next ones show."""
    listings: dict[str, str] = {}
    for example in examples(page):
        ran = shell(_LISTING.sub(lambda named: _in_a_week(named, listings, shell), example.line))
        assert ran.status in ANSWERS, f"$ {example.line}\n{ran.out}{ran.err}"
        said = [shape(one) for one in (ran.out + ran.err).splitlines()]
        for shown in example.shown:
            if shown and not shown.startswith("..."):
                assert any(like(shape(shown), one) for one in said), (
                    f"$ {example.line}\nshould say: {shown}\nbut says:\n{ran.out}{ran.err}"
                )


def _in_a_week(named: re.Match[str], listings: dict[str, str], shell: Callable[[str], Ran]) -> str:
    """Return the listing that a page names as one for days to come, from the same weekday on; it is written.

    The page's own days are over for whoever reads it later; the first is today's date in a week, by the shell's clock.
    """
    if named[0] not in listings:
        first, last = (parse_day_text(text) for text in named.group(2, 3))
        assert first and last, named[0]
        soon = date.fromisoformat(shell("date -d '+7 days' +%F").out.strip())
        start = soon + timedelta(days=(first.weekday() - soon.weekday()) % 7)
        days = [start + timedelta(days=n) for n in range((last - first).days + 1)]
        listings[named[0]] = f"{named[1]}_{day_text(days[0])}_{day_text(days[-1])}"
        written = shell(f"cat > {listings[named[0]]} <<'END'\n{listing(days)}END\n")
        assert written.status == 0, written.err
    return listings[named[0]]


def listing(days: list[date]) -> str:
    """Return a listing of the sample's files for some days."""
    names = sorted(name.removesuffix(".ts") for name in sample.durations())
    return "\n".join(f"[{day:%d/%m}]\n" + "\n".join(names[n : n + 28]) for n, day in enumerate(days)) + "\n"


def shape(line: str) -> str:
    """Return a line without what changes from day to day: figures, weekdays, names of runs and their blanks."""
    line = re.sub(r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b", "Day", line)
    return " ".join(re.sub(r"[0-9a-f]*[0-9][0-9a-f]*", "0", line).split())


def like(shown: str, said: str) -> bool:
    """Return whether a line is as shown; ``...`` in it stands for anything."""
    return re.fullmatch(".*".join(map(re.escape, shown.split("..."))), said) is not None


def test_there_are_examples() -> None:
    assert {"README.rst", "tutorial.rst", "tutoriel.rst", "black-at-six.rst"} <= {page.name for page in WITH_EXAMPLES}
    assert sum(len(examples(page)) for page in PAGES) >= 60


def test_an_example_is_found_whole(tmp_path: Path) -> None:
    page = tmp_path / "page.rst"
    page.write_text(
        "Text $ no\n\n::\n\n    $ one \\\n    > two\n    said\n    > said too\n    $ next\n\nText\n    no\n"
    )
    assert examples(page) == (Example("one \\\ntwo", ("said", "> said too")), Example("next", ()))


def test_a_line_that_is_not_as_shown_is_told() -> None:
    assert like(shape("all 12 programs hold."), shape("all 8 programs hold."))
    assert not like(shape("all 12 programs hold."), shape("7 of 8 programs hold."))
    assert like(shape("run 1  apply  plan ..."), shape("run 3 apply plan e5eccf13"))
    assert like("...", "anything")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_page_is_plain_enough_for_docutils(page: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "docutils", "--strict", str(page)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_reference_is_what_the_help_says() -> None:
    assert (ROOT / "docs" / "commands.rst").read_text("utf-8") == load("reference").page(), "run: make docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    links = re.findall(r"<([a-z./_-]+\.(?:rst|svg|py))>`_", text) + re.findall(r"image:: (\S+)", text)
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_stage_of_ci_has_its_budget_and_all_of_them_fit_into_an_hour() -> None:
    stages = re.findall(r'^stage "([^"]+)"', (ROOT / ".ci" / "run").read_text("utf-8"), re.M)
    page = (ROOT / "docs" / "contributing.rst").read_text("utf-8")
    rows = re.findall(r"^(\w[\w ]*?)  +.*  +([0-9.]+) +([0-9]+)$", page, re.M)
    assert [name for name, _, _ in rows] == stages
    assert all(float(measured) < float(budget) for _, measured, budget in rows)
    assert sum(float(budget) for _, _, budget in rows) <= 60


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "index.rst").read_text("utf-8")
    names = [page.relative_to(ROOT / "docs").as_posix() for page in PAGES[1:] if page.name != "index.rst"]
    assert [name for name in names if f"<{name}>" not in index] == []


def test_every_command_named_in_the_docs_exists() -> None:
    for page in PAGES:
        for noun in re.findall(r"^ +(?:\$ )?dvbboxes ([a-z]+)", page.read_text("utf-8"), re.M):
            assert noun in NOUNS, f"{page.name}: dvbboxes {noun}"
