"""Each reading command's text, JSON and CSV say the same: on a fleet like the demo's, and with servers missing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import peers
import pytest
from reading import DAY, Stage, clock
from stages import ALL, Shown

from dvbboxes.aggregate.cluster import ClusterStatus
from dvbboxes.config import load
from dvbboxes.demo import loading, sample, trouble
from dvbboxes.demo.world import World
from dvbboxes.render.style import length
from dvbboxes.wire import day_text, program_key, stem

NOW = clock("20:10")
CONTENT = sample.content(DAY)
TROUBLE = trouble.make(5, CONTENT, ALL, DAY)
WHO_IS_MISSING = [(), ("town1-2",), ("town1-1", "town2-1")]


@pytest.fixture(params=WHO_IS_MISSING, ids=[" ".join(missing) or "all answer" for missing in WHO_IS_MISSING])
def stage(fleet: World, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """A fleet loaded as the demo is, with its troubles, of which some instances do not answer."""
    stage = Stage(fleet, tmp_path)
    config = load(stage.config)
    stage.load(loading.commands(CONTENT, TROUBLE, config.instances, config.schedule))
    stage.load(town2_2=[(0, ("DEL", program_key(DAY + timedelta(days=2), "86")))])
    with ExitStack() as stack:
        for fqdn in request.param:
            stage.ports[fqdn] = stack.enter_context(peers.nobody()).port
        yield stage


def cells(line: str) -> list[str]:
    return re.split(r"\s{2,}", line.strip())


def same_coverage(shown: Shown) -> None:
    """Text and JSON name the same instances as missing, and every answer is of a configured instance."""
    missing = [fqdn for fqdn, said in shown.envelope["instances"].items() if said["error"]]
    head = f"{4 - len(missing)}/4 instances answered"
    assert head in shown.text
    assert [line.split(":")[0].strip() for line in shown.lines if re.match(r"  town\d-\d: replica", line)] == missing
    assert shown.envelope["partial"] is bool(missing)
    assert (shown.status == 4) is bool(missing)


def test_program_diff_agrees_with_itself(stage: Stage) -> None:
    shown = stage.ask("program diff", f"{day_text(DAY)}..{day_text(DAY + timedelta(days=1))}")
    edits = [
        (one["day"], one["service_id"], " ".join(group["instances"]), edit)
        for one in shown.data["programs"]
        for group in one["groups"]
        for edit in group["edits"]
    ]
    assert edits
    marks = {"added": "+", "dropped": "-", "moved": "~"}
    lines = [cells(line) for line in shown.lines if re.match(r"  [+~-]  ", line)]
    folded = sum(int(line[3].split()[0]) - 1 for line in lines if "files," in line[3])
    assert len(lines) + folded == len(edits) == len(shown.rows)
    for (day, sid, who, edit), row in zip(edits, shown.rows, strict=True):
        assert (row["day"], row["service_id"], row["instances"], row["change"]) == (day, sid, who, edit["change"])
        assert (row["media"], row["start"], float(row["shift"])) == (edit["media"], edit["start"], edit["shift"])
    unfolded = [line for line in lines if "files," not in line[3]]
    for line in unfolded:
        said = {(marks[e["change"]], str(e["index"]), e["start"][11:19], stem(e["media"])) for *_, e in edits}
        assert tuple(line[:4]) in said
    for one in shown.data["programs"]:
        for group in one["groups"]:
            assert any(line.startswith(_counted(group["instances"])) for line in shown.lines)
    same_coverage(shown)


def _counted(fqdns: list[str]) -> str:
    return f"{len(fqdns)} instance{'s' * (len(fqdns) > 1)}: {', '.join(fqdns)}"


def test_program_now_agrees_with_itself(stage: Stage) -> None:
    shown = stage.ask("program now", now=NOW)
    groups = [(one, group) for one in shown.data["channels"] for group in one["on_air"]]
    table = shown.lines[2 : 2 + len(groups)]
    assert len(groups) == len(shown.rows) == len(table) >= 2
    for (one, group), row, line in zip(groups, shown.rows, table, strict=True):
        assert (row["service_id"], row["media"], row["next"]) == (one["service_id"], group["media"], group["next"])
        assert (row["since"], row["until"]) == (group["since"], group["until"])
        assert (row["instances"].split(), row["absent"].split()) == (group["instances"], group["absent"])
        on_air, since, until, following, who = cells(line)[-5:]
        assert (on_air, following) == (stem(group["media"]), stem(group["next"]))
        assert (since, until) == (group["since"][11:19], group["until"][11:19])
        assert who.startswith(f"{len(group['instances'])}: ")
        for fqdn in group["absent"]:
            assert any(f"{on_air} is not on" in note and fqdn in note for note in shown.lines)
    same_coverage(shown)


def test_program_list_agrees_with_itself(stage: Stage) -> None:
    shown = stage.ask("program list", now=NOW)
    held = {
        (day, one["service_id"]): (len(fqdns), len(one["asked"]), [f for f in one["asked"] if f not in fqdns])
        for one in shown.data["channels"]
        for day, fqdns in one["holders"].items()
    }
    rows = {
        (row["day"], row["service_id"]): (int(row["held"]), int(row["asked"]), row["lacking"].split())
        for row in shown.rows
    }
    assert rows == held
    assert len(rows) == 2 * 4  # from the day on air to three days after it
    (line,) = [cells(line) for line in shown.lines if line.startswith("Tue 24-11-2026")]
    assert line[1:] == [str(4 - _missing(shown))] * 2
    for one in shown.data["channels"]:
        moment = one["until"][0]["moment"]
        title = f"{one['service_id']} {one['channel']}: scheduled until "
        (said,) = [line for line in shown.lines if line.startswith(title)]
        assert moment[11:16] in said
    same_coverage(shown)


def _missing(shown: Shown) -> int:
    return sum(said["error"] is not None for said in shown.envelope["instances"].values())


def test_media_search_agrees_with_itself(stage: Stage) -> None:
    shown = stage.ask("media search", "")
    found = [(one["media"], one["instances"]) for one in shown.data["media"]]
    assert [(row["media"], row["instances"].split()) for row in shown.rows] == found
    answered = [fqdn for fqdn, said in shown.envelope["instances"].items() if not said["error"]]
    table = [cells(line) for line in shown.lines[: len(found)]]
    for (media, holders), line in zip(found, table, strict=True):
        lack = [fqdn for fqdn in answered if fqdn not in holders]
        assert line == [stem(media), *([f"not on {', '.join(lack)}"] if lack else [])]
    assert shown.lines[len(found)] == f"{len(found)} files"
    same_coverage(shown)


def test_media_show_agrees_with_itself(stage: Stage) -> None:
    config = stage.world.config()
    for name in (TROUBLE.lacks[0].name, TROUBLE.differs[0].name):
        shown = stage.ask("media show", name, now=NOW)
        durations = shown.data["durations"]
        assert [(row["instance"], row["kind"], row["seconds"]) for row in shown.rows] == [
            (fqdn, said["kind"], "" if said["seconds"] is None else str(said["seconds"]))
            for fqdn, said in durations.items()
        ]
        assert shown.lines[0] == f"{name}  {length(shown.data['duration'])}"
        lacking = [fqdn for fqdn, said in durations.items() if said["kind"] == "absent"]
        assert lacking == [fqdn for town in shown.data["towns"].values() for fqdn in town["lack"]]
        assert all(f"not on {fqdn}" in shown.text for fqdn in lacking)
        assert ("do not agree" in shown.text) is shown.data["disagrees"]
        coming = [airing for airing in shown.data["airings"] if airing["start_time"] >= NOW]
        past = len(shown.data["airings"]) - len(coming)
        assert f"{len(coming)} airing{'s' * (len(coming) != 1)} to come, {past} past:" in shown.lines
        table = [cells(line) for line in shown.lines if re.match(r"  \w{3} \d\d-\d\d-\d{4}  ", line)]
        for airing, line in zip(shown.data["airings"], table, strict=True):
            channel = f"{airing['service_id']} {config.channels[airing['service_id']]}"
            assert line[1:4] == [airing["start"][11:19], channel, f"#{airing['index']}"]
        same_coverage(shown)


def test_media_check_agrees_with_itself(stage: Stage) -> None:
    names = sorted(sample.durations())
    path = stage.folder / "names"
    path.write_text("\n".join([*names, "nobody_has_it", "No Name"]), "utf-8")
    shown = stage.ask("media check", str(path))
    missing = [(one["media"], one["absent"], one["present"]) for one in shown.data["missing"]]
    assert [(row["media"], row["absent"].split(), row["present"].split()) for row in shown.rows] == missing
    table = [cells(line) for line in shown.lines if re.match(r"\w+ +not on ", line)]
    for (media, absent, present), line in zip(missing, table, strict=True):
        who = ", ".join(absent) if present else "any instance that answered"
        assert line == [stem(media), f"not on {who}"]
    total, there = len(names) + 1, len(names) + 1 - len(missing)
    assert f"{total} names: {there} everywhere, {len(missing)} missing somewhere" in shown.lines
    assert [bad["line"] for bad in shown.data["bad_lines"]] == [total + 1]
    assert any(line.startswith(f"! line {total + 1}: ") for line in shown.lines)
    same_coverage(shown)


def test_cluster_status_agrees_with_itself(stage: Stage) -> None:
    shown = stage.ask("cluster status", now=NOW)
    assert isinstance(shown.result.view, ClusterStatus)
    table = [cells(line) for line in shown.lines[1:5]]
    instances = shown.envelope["instances"]
    for one, row, line in zip(shown.data["instances"], shown.rows, table, strict=True):
        said = instances[one["instance"]]
        assert line[:4] == [one["town"], one["instance"], one["replica"], said["state"]]
        assert (row["instance"], row["state"], row["replica"]) == (one["instance"], said["state"], one["replica"])
        assert [row["programs"], row["media"]] == ["" if n is None else str(n) for n in (one["programs"], one["media"])]
        assert line[-2:] == ["-" if n is None else str(n) for n in (one["programs"], one["media"])]
        assert bool(row["error"]) is bool(said["error"])
    same_coverage(shown)
