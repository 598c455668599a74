"""kill -9 of dvbboxes, and of masters, all along an apply of 31 days to 8 masters; and 20 processes at once.

``make test`` has a few points of each; ``make test-kill`` sets DVBBOXES_KILL_POINTS to many.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from processes import upcoming  # found by conftest
from warm import Point, Warm

from dvbboxes.demo.servers import tell
from dvbboxes.demo.world import World
from dvbboxes.errors import ExitStatus
from dvbboxes.journal import Journal
from dvbboxes.records import ChangeState, RunState
from dvbboxes.wire import program_key

POINTS = int(os.environ.get("DVBBOXES_KILL_POINTS", "10"))
#: Masters are killed at a quarter of the points.
MASTER_POINTS = max(4, POINTS // 4)
FIRST = upcoming()
DAYS = tuple(FIRST + timedelta(days=n) for n in range(31))
KEYS = tuple(program_key(day, "85") for day in DAYS)
ENTRIES = 60
#: The functions that calls are counted from.
PLANNING, RECORDING = "make_plan", "Journal.begin"
SETTINGS = ("appendonly yes", "appendfsync always")
Programs = tuple[tuple[bytes, ...], ...]


class Scene:
    """Eight masters, a listing of 31 days in two versions, and which of them stands."""

    def __init__(self, world: World, folder: Path, warm: Warm) -> None:
        self.world, self.warm = world, warm
        self.files = [folder / "one", folder / "two"]
        for number, file in enumerate(self.files):
            names = [f"film_{n}" for n in range(number, number + ENTRIES)]
            text = "".join(f"[{day:%d/%m/%Y}]\n" + "".join(f"{name}\n" for name in names) for day in DAYS)
            file.write_text(text, "utf-8")
        pairs = [part for n in range(ENTRIES + 1) for part in (f"film_{n}.ts", str(1300 + n))]
        world.load({fqdn: [(1, ("MSET", *pairs))] for fqdn in world.layout.fqdns})
        self.whole: list[Programs] = []
        self.seconds = 0.0
        self.calls = {PLANNING: 0, RECORDING: 0}
        for number, function in ((0, ""), (1, PLANNING), (0, RECORDING), (1, ""), (0, "")):
            done = warm.run(*self.apply(number), kill=Point(function=function))
            assert done.status == 0, done
            self.seconds = done.seconds
            self.calls[function] = done.calls
            self.whole.append(self.held(self.fqdns[0]))
        self.stands = 0

    @property
    def fqdns(self) -> tuple[str, ...]:
        return self.world.layout.fqdns

    @property
    def data(self) -> Path:
        return Path(self.world.config().data_folder)

    def apply(self, number: int) -> tuple[str, ...]:
        return ("listing", "apply", str(self.files[number]), "-s", "85", "--yes")

    def resume(self, run: int) -> tuple[str, ...]:
        return ("listing", "apply", "--resume", str(run), "--yes")

    def held(self, fqdn: str) -> Programs:
        """Return every program of the 31 days as that master holds it."""
        commands = [(0, ("ZRANGE", key, 0, -1, "WITHSCORES")) for key in KEYS]
        return tuple(tuple(reply) for reply in tell(self.world.master(fqdn).endpoint, commands))

    def where(self) -> dict[str, str]:
        """Return how each master stands: all old, all new; or, as one string, that something is half."""
        names = {self.whole[self.stands]: "old", self.whole[1 - self.stands]: "new"}
        return {fqdn: names.get(self.held(fqdn), "mixed") for fqdn in self.fqdns}

    def whole_or_not(self) -> list[str]:
        """Return the programs that are neither the old nor the new one."""
        odd = []
        for fqdn in self.fqdns:
            for key, held, old, new in zip(KEYS, self.held(fqdn), *self.whole[:2], strict=True):
                if held not in (old, new):
                    odd.append(f"{fqdn} {key}")
        return odd

    def newest(self) -> tuple[int, RunState, dict[ChangeState, int]]:
        with Journal.open(self.data) as journal:
            (run,) = journal.runs(limit=1)
            return run.id, run.state, dict(run.counts)

    def events(self, run: int) -> int:
        with Journal.open(self.data) as journal:
            return len(journal.run(run).events)

    def lock_is_free(self) -> bool:
        with (self.data / "lock").open("rb") as file:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            return False

    def brought_home(self, run: int, before: str) -> None:
        """Resume a run that was cut, look that everything is new; resume it again, look that nothing moved."""
        done = self.warm.run(*self.resume(run))
        assert done.status == 0, (before, done)
        assert set(self.where().values()) == {"new"}, before
        assert self.newest()[1] is RunState.DONE, before
        events, positions = self.events(run), self.positions()
        again = self.warm.run(*self.resume(run))
        assert again.status == 0, (before, again)
        assert (self.events(run), self.positions()) == (events, positions), before
        self.stands = 1 - self.stands

    def positions(self) -> list[bytes]:
        """Return how many changes each master has seen since it began: nothing written, nothing more."""
        found = []
        for fqdn in self.fqdns:
            (info,) = tell(self.world.master(fqdn).endpoint, [(0, ("INFO", "persistence"))])
            found.append(next(line for line in info.splitlines() if line.startswith(b"rdb_changes_since_last_save")))
        return found


@pytest.fixture
def scene(small_fleet: Callable[..., World], tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Scene]:
    world = small_fleet(1, 8, settings=getattr(request, "param", ()))
    with Warm.start(world.config_path) as started:
        yield Scene(world, tmp_path, started)


def points(count: int, scene: Scene) -> Sequence[Point]:
    """Return points of a run: in time and a little beyond its end, which any moment can be, within a system call too;
    and in calls of functions, spread over all that follows the making of the plan, and what follows the journal's first
    line: those are where they are however busy the machine is."""
    some, many = count // 4, count // 2
    found = [Point(seconds=scene.seconds * 1.2 * (n + 0.5) / some) for n in range(some)]
    found += [_called(scene, RECORDING, (n + 0.5) / many) for n in range(many)]
    rest = count - some - many
    return [*found, *(_called(scene, PLANNING, (n + 0.5) / rest) for n in range(rest))]


def _called(scene: Scene, function: str, part: float) -> Point:
    return Point(function=function, calls=max(1, int(scene.calls[function] * part)))


def test_dvbboxes_killed_anywhere_leaves_whole_programs_and_a_resume_that_ends_it(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: Counter[str] = Counter()
    began, last = time.monotonic(), scene.newest()[0]
    for point in points(POINTS, scene):
        done = scene.warm.run(*scene.apply(1 - scene.stands), kill=point)
        assert scene.whole_or_not() == []
        assert scene.lock_is_free()
        run, state, counts = scene.newest()
        found = scene.where()
        before = f"killed at {point}: {done.status}, run {run} {state.value} {counts}, {found}"
        if run == last:
            seen["before the journal"] += 1
            assert set(found.values()) == {"old"}, before
            continue
        last = run
        seen[_situation(done.status, state, counts, found)] += 1
        scene.brought_home(run, before)
    with capsys.disabled():
        print(f"\n{POINTS} kills in {time.monotonic() - began:.0f} s, an apply is {scene.seconds:.2f} s: {dict(seen)}")
    assert sum(seen.values()) == POINTS
    assert seen["before the journal"] > 0
    assert len(seen) >= (5 if POINTS >= 100 else 3)


def _situation(status: int, state: RunState, counts: dict[ChangeState, int], found: dict[str, str]) -> str:
    if status == 0:
        return "not killed: it was done"
    if state is not RunState.OPEN:
        return "recorded whole"
    if counts.get(ChangeState.VERIFIED):
        return "written and recorded"
    written = "none" if set(found.values()) == {"old"} else "all" if set(found.values()) == {"new"} else "some"
    return f"{'being written' if counts.get(ChangeState.WRITING) else 'planned'}, {written} written"


@pytest.mark.slow
@pytest.mark.parametrize("scene", [SETTINGS], indirect=True, ids=["aof"])
def test_a_master_killed_anywhere_has_whole_programs_when_it_is_back(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: Counter[str] = Counter()
    began = time.monotonic()
    for number in range(MASTER_POINTS):
        victim = scene.fqdns[number % len(scene.fqdns)]
        point = _called(scene, (PLANNING, RECORDING)[number % 2], (number + 0.5) / MASTER_POINTS)
        apply = (*scene.apply(1 - scene.stands), "--allow", "unreachable")
        done = scene.warm.run_and(*apply, at=point, then=partial(scene.world.kill, scene.world.master(victim)))
        scene.world.restart(scene.world.master(victim))
        scene.world.servers.wait_in_sync()
        run, state, counts = scene.newest()
        before = f"{victim} killed at {point}: {done.status}, run {run} {state.value} {counts}"
        assert scene.whole_or_not() == [], before
        others = {standing for fqdn, standing in scene.where().items() if fqdn != victim}
        assert others == {"new"}, before
        assert done.status in (ExitStatus.DONE, ExitStatus.PARTIAL), before
        seen[f"{state.value}, {scene.where()[victim]}"] += 1
        scene.brought_home(run, before)
    with capsys.disabled():
        print(f"\n{MASTER_POINTS} masters killed in {time.monotonic() - began:.0f} s: {dict(seen)}")
    assert sum(seen.values()) == MASTER_POINTS
    assert any(standing.startswith("partial") for standing in seen)


@pytest.mark.slow
def test_of_twenty_at_once_one_works_and_nothing_is_lost(scene: Scene) -> None:
    """One master is frozen, so that whoever has the lock holds it until all the others have asked for it."""
    frozen = scene.world.master(scene.fqdns[-1])
    last = scene.newest()[0]
    scene.world.freeze(frozen)
    ran = scene.warm.run_all(*[(*scene.apply(1), "--allow", "unreachable")] * 20)
    scene.world.resume(frozen)
    statuses = Counter(one.status for one in ran)
    assert statuses == {ExitStatus.PARTIAL: 1, ExitStatus.LOCKED: 19}, statuses
    assert all("another run holds the lock" in one.err for one in ran if one.status == ExitStatus.LOCKED)
    assert all(str(os.uname().nodename) in one.err for one in ran if one.status == ExitStatus.LOCKED)
    run, state, counts = scene.newest()
    assert (run, state) == (last + 1, RunState.PARTIAL)
    assert counts == {ChangeState.VERIFIED: 31 * 7, ChangeState.PLANNED: 31}
    assert scene.whole_or_not() == []
    scene.brought_home(run, "after twenty at once")
