"""The man page says what the help says, and the French pages are as plain and as linked as the others."""

from __future__ import annotations

import argparse
import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import ROOT

from dvbboxes.errors import ExitStatus
from dvbboxes.main import make_manager

FRENCH = sorted((ROOT / "docs/fr").glob("*.rst"))


@pytest.fixture(scope="module")
def manual() -> str:
    spec = importlib.util.spec_from_file_location("manpage", ROOT / "etc/manpage.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = module.page()
    assert isinstance(text, str)
    return text


def commands(parser: argparse.ArgumentParser, name: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield (full name, parser) of every command that has no further ones below it."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        yield name, parser
    for action in below:
        for word, child in action.choices.items():
            yield from commands(child, f"{name} {word}")


def test_every_command_and_option_is_in_the_man_page_and_every_exit_status(manual: str) -> None:
    read = manual.replace(r"\-", "-")
    found = list(commands(make_manager().create_parser("dvbboxes"), "dvbboxes"))
    assert len(found) > 10
    for name, parser in found:
        section = re.search(rf"^\.SS {re.escape(name)}(?: .*)?\n((?:(?!\.S[SH]).*\n)*)", read, re.M)
        assert section, name
        for action in parser._actions:
            missing = [word for word in action.option_strings if word not in section[1]]
            assert not missing or isinstance(action, argparse._HelpAction), f"{name}: {missing}"
    assert all(f"\n.B {status.value}\n" in read for status in ExitStatus)


def test_the_man_page_is_clean_roff(manual: str) -> None:
    if shutil.which("groff") is None:  # what apt brings with man-db; no part of a test machine
        pytest.skip("there is no groff")
    groff = ["groff", "-man", "-Tutf8", "-ww", "-z"]
    done = subprocess.run(groff, input=manual, capture_output=True, text=True, check=True)
    assert done.stderr == ""


@pytest.mark.parametrize("page", FRENCH, ids=lambda page: page.name)
def test_a_french_page_is_plain_and_its_links_lead_somewhere(page: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "docutils", "--strict", str(page)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    links = re.findall(r"<([a-z./_-]+\.rst)>`_", page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_tutorial_and_the_first_page_are_in_french_too() -> None:
    assert {page.name for page in FRENCH} >= {"tutoriel.rst", "lisez-moi.rst"}
    examples = [
        re.findall(r"^ +\$ (dvbboxes [a-z]+ [a-z]+)", page.read_text("utf-8"), re.M)
        for page in (ROOT / "docs/tutorial.rst", ROOT / "docs/fr/tutoriel.rst")
    ]
    assert set(examples[0]) == set(examples[1])
