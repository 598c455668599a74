"""The memory of what replicas held: a wiped one is suspect, and nothing of the memory is ever in the way (DESIGN)."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from stages import Shown, perform

from dvbboxes.commands import Context, Result
from dvbboxes.demo.world import World
from dvbboxes.errors import ExitStatus, UsageError
from dvbboxes.memory import NAME, Memory
from dvbboxes.model import Instance, State
from dvbboxes.wire import program_key

DAY = date(2026, 11, 24)
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()
FQDN = "town1-2"


@pytest.fixture
def world(fleet: World) -> World:
    """The small fleet, one program and its file on every instance."""
    start = datetime(2026, 11, 24, 8, tzinfo=UTC).timestamp()
    held = [(0, ("ZADD", program_key(DAY, "85"), start, "/opt/tsfiles/a.ts:0")), (1, ("SET", "a.ts", "3600"))]
    fleet.load(dict.fromkeys(fleet.layout.fqdns, held))
    return fleet


@pytest.fixture
def folder(world: World, tmp_path: Path) -> Path:
    """A data folder of the test's own: the configuration of :func:`context` names it."""
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def context(world: World, folder: Path) -> Context:
    text = world.config_path.read_text("utf-8")
    path = folder.parent / "configuration"
    data = world.config().data_folder
    assert f"folder={data}" in text
    zone = "\n[SCHEDULE]\ntimezone=UTC\n"  # the zone of NOW: what is remembered carries a date of the fleet's zone
    path.write_text(text.replace(f"folder={data}", f"folder={folder}") + zone, "utf-8")
    return Context(str(path), NOW)


def show(context: Context, day: str = "2026-11-24", **given: Any) -> Result:
    return perform(context, "program show", day, **({"services": ["85"], "timeout": "20"} | given)).result


def search(context: Context) -> Result:
    return perform(context, "media search", "a", timeout="20").result


def status(context: Context) -> Result:
    return perform(context, "cluster status", timeout="20").result


def complete(result: Result) -> bool:
    return result.gathered is not None and result.gathered.complete


def state(result: Result, fqdn: str = FQDN) -> State:
    assert result.gathered is not None
    return next(a.freshness.state for a in result.gathered.answers if a.instance.fqdn == fqdn)


def said(result: Result, fqdn: str = FQDN) -> str:
    assert result.gathered is not None
    return next(a.error.message for a in result.gathered.missing if a.instance.fqdn == fqdn and a.error)


def lines(folder: Path) -> list[list[str]]:
    return [line.split("\t") for line in (folder / NAME).read_text().splitlines() if not line.startswith("#")]


def test_a_replica_that_lost_its_programs_is_suspect_where_it_is_asked_for_one(
    context: Context, world: World, folder: Path
) -> None:
    assert complete(show(context))
    assert {(line[0], line[2], line[3]) for line in lines(folder)} == {
        (fqdn, db, "2026-11-24") for fqdn in world.layout.fqdns for db in "01"
    }
    world.load({FQDN: [(0, ("FLUSHDB",))]})
    result = show(context)
    assert state(result) is State.SUSPECT
    assert result.status is ExitStatus.PARTIAL
    assert "holds no programs, which it did when last seen (2026-11-24)" in said(result)
    assert f"dvbboxes cluster forget --instance {FQDN}" in said(result)
    assert state(show(context, instances=["town1-1"]), "town1-1") is State.CURRENT


def test_one_that_lost_its_files_is_suspect_and_none_of_them_is_called_missing(
    context: Context, world: World, folder: Path
) -> None:
    show(context)
    world.load({FQDN: [(1, ("FLUSHDB",))]})
    result = show(context)
    assert state(result) is State.SUSPECT
    assert "holds no media, which it did when last seen" in said(result)
    shown = Shown("program show", result).envelope
    absent = re.findall(r'"absent": (\[[^]]*\])', json.dumps(shown))
    assert absent == ["[]"] * len(absent) != []
    assert state(search(context)) is State.SUSPECT


def test_a_file_or_a_program_that_nobody_has_makes_nobody_suspect(context: Context, world: World) -> None:
    show(context)
    other = show(context, day="2026-11-30")
    assert [state(other, fqdn) for fqdn in world.layout.fqdns] == [State.CURRENT] * 4


def test_what_is_meant_to_be_empty_is_forgotten_and_then_answers(context: Context, world: World, folder: Path) -> None:
    show(context)
    world.load({FQDN: [(0, ("FLUSHDB",))]})
    assert state(show(context)) is State.SUSPECT
    with pytest.raises(UsageError, match="name --towns or --instance"):
        perform(context, "cluster forget")
    assert perform(context, "cluster forget", instances=[FQDN]).status is ExitStatus.DONE
    assert FQDN not in {line[0] for line in lines(folder)}
    assert state(show(context)) is State.CURRENT


def test_status_finds_a_wiped_database_too(context: Context, world: World) -> None:
    assert status(context).status is ExitStatus.DONE
    world.load({FQDN: [(0, ("FLUSHDB",))]})
    assert state(status(context)) is State.SUSPECT


def test_the_file_is_written_when_something_changed_and_only_then(context: Context, world: World, folder: Path) -> None:
    show(context)
    first = (folder / NAME).stat().st_ino
    show(context)
    assert (folder / NAME).stat().st_ino == first  # a new file is renamed into place: it would be another
    later = Context(context.config_path, NOW + 86400)
    show(later)
    assert (folder / NAME).stat().st_ino != first
    assert {line[3] for line in lines(folder)} == {"2026-11-25"}
    assert [path.name for path in folder.iterdir()] == [NAME]


GARBAGE = [b"", b"\xff\xfe\x00" * 100, b"a\tb\n", b"x\ty\t7\t\n" * 50, b"town1-1\tm\t0\n", b"\t\t\t\t\t\n"]


@pytest.mark.parametrize("content", GARBAGE)
def test_a_spoiled_file_is_in_nobodys_way_and_is_replaced(
    context: Context, world: World, folder: Path, content: bytes
) -> None:
    (folder / NAME).write_bytes(content)
    assert complete(show(context))
    assert {line[0] for line in lines(folder)} >= set(world.layout.fqdns)


def test_a_folder_in_place_of_the_file_costs_no_answer(context: Context, folder: Path) -> None:
    (folder / NAME).mkdir()
    assert complete(show(context))
    assert list(folder.iterdir()) == [folder / NAME]


def test_a_data_folder_that_is_gone_costs_no_answer(context: Context, world: World, folder: Path) -> None:
    assert context.config.data_folder == str(folder)
    folder.rmdir()
    assert complete(show(context))
    assert not folder.exists()


def test_another_master_is_another_replica(world: World, tmp_path: Path) -> None:
    one, two = world.config().instances[:2]
    memory = Memory(str(tmp_path), "2026-11-24")
    memory.saw(one, {0, 1})
    memory.save()
    moved = Instance(one.cluster, one.fqdn, one.replica, two.master, one.ssh, one.zone)
    again = Memory(str(tmp_path), "2026-11-25")
    assert dict(again.held(one)) == {0: "2026-11-24", 1: "2026-11-24"}
    assert dict(again.held(moved)) == {}


def test_two_processes_do_not_lose_each_others_lines(world: World, tmp_path: Path) -> None:
    one, two = world.config().instances[:2]
    first, second = Memory(str(tmp_path), "d"), Memory(str(tmp_path), "d")
    assert not first.held(one)
    assert not second.held(two)
    first.saw(one, {0})
    second.saw(two, {1})
    first.save()
    second.save()
    both = Memory(str(tmp_path), "d")
    assert (dict(both.held(one)), dict(both.held(two))) == ({0: "d"}, {1: "d"})


def test_a_reader_who_may_not_write_there_still_reads_it(
    world: World, tmp_path: Path, need: Callable[[object, str], None]
) -> None:
    need(os.geteuid() == 0, "only root can become nobody")
    one = world.config().instances[0]
    tmp_path.chmod(0o755)
    Memory(str(tmp_path), "d").saw(one, {0})
    writer = Memory(str(tmp_path), "d")
    writer.saw(one, {0})
    writer.save()
    child = os.fork()
    if child == 0:
        os.setgid(65534)
        os.setuid(65534)
        reader = Memory(str(tmp_path), "e")
        known = dict(reader.held(one)) if os.access(tmp_path / NAME, os.R_OK) else {0: "d"}
        reader.saw(one, {1})
        reader.save()
        os._exit(0 if known == {0: "d"} else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [line[2:] for line in lines(tmp_path)] == [["0", "d"]]
