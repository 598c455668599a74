"""Docs and code hold together: every example is run, every page is plain, the reference is what the help says."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from types import ModuleType

import pytest
from processes import ROOT, Ran, run

from dvbboxes.demo import sample
from dvbboxes.main import NOUNS
from dvbboxes.wire import day_text, parse_day_text

PAGES = [ROOT / "README.rst", *sorted((ROOT / "docs").rglob("*.rst"))]
#: What an example may end with: it is an answer, or it is refused as unsafe; never a mistake of the page.
ANSWERS = {0, 1, 4, 7}
_EXAMPLE = re.compile(r"^ +\$ (dvbboxes .*)$")
_LISTING = re.compile(r"([0-9]+)_([0-9]{8})_([0-9]{8})\Z")


def examples() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield (page, command line, the output below it) of every ``$ dvbboxes`` in a literal block."""
    for page in PAGES:
        lines = page.read_text("utf-8").splitlines()
        for number, line in enumerate(lines):
            if found := _EXAMPLE.match(line):
                output = []
                for below in lines[number + 1 :]:
                    if not below.startswith(" ") or _EXAMPLE.match(below):
                        break
                    output.append(below.strip())
                yield page.name, found[1], tuple(output)


EXAMPLES = list(examples())


def load(page: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(page, ROOT / "docs" / f"{page}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Iterator[Path]:
    """A demo fleet of its own, in whose folder the examples are run; it plays the built-in sample."""
    folder = tmp_path_factory.mktemp("docs")
    (folder / "run").mkdir(mode=0o700)
    started = run("demo", "start", cwd=folder, XDG_RUNTIME_DIR=str(folder / "run"))
    assert started.status == 0, started.err
    yield folder
    run("demo", "stop", cwd=folder, XDG_RUNTIME_DIR=str(folder / "run"))


def example(line: str, folder: Path) -> Ran:
    words = [_in_a_week(word, folder) for word in shlex.split(line)[1:]]
    config = next((folder / "run").rglob("configuration"))
    return run(*words, config=config, cwd=folder, XDG_RUNTIME_DIR=str(folder / "run"))


def _in_a_week(word: str, folder: Path) -> str:
    """Return the listing a page names as one for days to come, from the same weekday on; it is written."""
    named = _LISTING.match(word)
    if not named:
        return word
    first, last = (parse_day_text(text) for text in named.group(2, 3))
    assert first and last
    soon = date.today() + timedelta(days=7)
    start = soon + timedelta(days=(first.weekday() - soon.weekday()) % 7)
    days = [start + timedelta(days=n) for n in range((last - first).days + 1)]
    name = f"{named[1]}_{day_text(days[0])}_{day_text(days[-1])}"
    (folder / name).write_text(listing(days))
    return name


def listing(days: list[date]) -> str:
    """Return a listing of the sample's files for some days."""
    names = sorted(name.removesuffix(".ts") for name in sample.durations())
    return "\n".join(f"[{day:%d/%m}]\n" + "\n".join(names[n : n + 28]) for n, day in enumerate(days)) + "\n"


@pytest.mark.parametrize(("page", "line", "output"), EXAMPLES, ids=[f"{page}: {line}" for page, line, _ in EXAMPLES])
def test_every_example_is_an_answer_and_looks_as_shown(
    page: str, line: str, output: tuple[str, ...], demo: Path
) -> None:
    ran = example(line, demo)
    assert ran.status in ANSWERS, ran.err
    said = [shape(one) for one in (ran.out + ran.err).splitlines()]
    for shown in output:
        if shown and not shown.startswith("..."):
            assert any(like(shape(shown), one) for one in said), f"{page} shows {shown!r}, which is not in:\n{ran.out}"


def shape(line: str) -> str:
    """Return a line without what changes from day to day: figures, weekdays, names of runs and their blanks."""
    line = re.sub(r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b", "Day", line)
    return " ".join(re.sub(r"[0-9a-f]*[0-9][0-9a-f]*", "0", line).split())


def like(shown: str, said: str) -> bool:
    """Return whether a line is as shown; ``...`` in it stands for anything."""
    return re.fullmatch(".*".join(map(re.escape, shown.split("..."))), said) is not None


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 10


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


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "index.rst").read_text("utf-8")
    names = [page.relative_to(ROOT / "docs").as_posix() for page in PAGES[1:] if page.name != "index.rst"]
    assert [name for name in names if f"<{name}>" not in index] == []


def test_every_command_named_in_the_docs_exists() -> None:
    for page in PAGES:
        for noun in re.findall(r"^ +(?:\$ )?dvbboxes ([a-z]+)", page.read_text("utf-8"), re.M):
            assert noun in NOUNS, f"{page.name}: dvbboxes {noun}"
