"""Real servers for every test that talks to one. Each xdist worker has its own, and nothing outlives a killed run."""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from dvbboxes.demo.servers import find_server
from dvbboxes.demo.world import Layout, World, build
from dvbboxes.errors import ServerStartError

# Helpers that tests share (support/peers.py, clocks) are imported by name: importlib mode puts no folder on the path.
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).with_name("support")))

import sshd  # found by the lines above

#: What a test that is marked ``pure`` may not do: it is to be quick, and green wherever it runs.
_MACHINE = {"subprocess.Popen", "os.posix_spawn", "os.system", "os.fork", "socket.connect", "socket.bind"}
_pure_test: list[str] = []


def _forbid_the_machine(event: str, arguments: object) -> None:
    if _pure_test and event in _MACHINE:
        raise RuntimeError(f"{_pure_test[-1]} is marked pure, and does: {event} {arguments}")


sys.addaudithook(_forbid_the_machine)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """See that a test marked ``pure`` starts no process and opens no connection."""
    if item.get_closest_marker("pure") is None:
        return (yield)
    _pure_test.append(item.nodeid)
    try:
        return (yield)
    finally:
        _pure_test.pop()


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--shuffle SEED`` runs the tests in another order, the same for the same seed: none may need another one."""
    parser.addoption("--shuffle", metavar="SEED", help="run the tests in an order drawn by this seed")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if (seed := config.getoption("--shuffle")) is not None:
        random.Random(seed).shuffle(items)


CHANNELS = (("85", "Ma chaine"), ("86", "Deuxième chaîne"))


def _need(condition: object, reason: str) -> None:
    if condition:
        return
    if os.environ.get("DVBBOXES_TEST_REQUIRE") == "all":
        pytest.fail(f"DVBBOXES_TEST_REQUIRE=all, and {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def need() -> Callable[[object, str], None]:
    """``need(condition, reason)``: skip the test with that reason, or fail it where CI requires every test."""
    return _need


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder with two real listings and their durations beside the checkout.

    They are not the project's to carry: where a clone stands alone, their tests are skipped, even where all are
    required.
    """
    folder = Path(__file__).parents[1] / ".." / "shared" / "samples"
    if not folder.is_dir():
        pytest.skip("the sample listings are not beside this checkout")
    return folder.resolve()


@pytest.fixture(scope="session")
def redis_server() -> str:
    """The path of the server binary that tests start; skipped where there is none."""
    try:
        return find_server()
    except ServerStartError as error:
        _need(False, str(error))
        raise


@pytest.fixture(scope="session")
def _worlds(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Layout], World]]:
    running: dict[str, World] = {}

    def get(layout: Layout) -> World:
        key = repr(layout)
        if key not in running:
            running[key] = build(tmp_path_factory.mktemp("world") / "fleet", layout)
        return running[key]

    yield get
    for world in running.values():
        world.close()


@pytest.fixture
def small_fleet(_worlds: Callable[[Layout], World]) -> Iterator[Callable[..., World]]:
    """``small_fleet(towns=2, per_town=2, channels=..., settings=(), extra="")``: masters and replicas, in sync, empty.

    Towns are ``town1``..., their instances ``town1-1``...; ``settings`` are server configuration lines, ``extra`` more
    text of the configuration file. The same arguments give the same servers in the whole session. Whatever a test does
    to them (freeze, kill, other data) is undone when it ends.
    """
    used: list[World] = []

    def get(
        towns: int = 2,
        per_town: int = 2,
        *,
        channels: tuple[tuple[str, str], ...] = CHANNELS,
        settings: tuple[str, ...] = (),
        extra: str = "",
    ) -> World:
        names = {
            f"town{town}": tuple(f"town{town}-{n}" for n in range(1, per_town + 1)) for town in range(1, towns + 1)
        }
        world = _worlds(Layout(names, dict(channels), settings, extra))
        used.append(world)
        return world

    yield get
    for world in used:
        world.wipe()
        for left in (world.servers.folder / "data", world.servers.folder / "log"):
            shutil.rmtree(left, ignore_errors=True)


@pytest.fixture
def fleet(small_fleet: Callable[..., World]) -> World:
    """Two towns of two instances: :func:`small_fleet` with its defaults."""
    return small_fleet()


# --- ssh --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def ssh_keys(need: Callable[[object, str], None], tmp_path_factory: pytest.TempPathFactory) -> sshd.Keys:
    """The keys of every sshd of ours; skipped where there is no OpenSSH, or no shell to log in to."""
    need(sshd.find_sshd(), "there is no sshd (apt-get install openssh-server)")
    need(sshd.can_log_in(), "the user of the tests has no shell that ssh could log in to")
    return sshd.Keys.make(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def ssh_hosts(ssh_keys: sshd.Keys, tmp_path: Path) -> Iterator[Callable[[World], sshd.Hosts]]:
    """``ssh_hosts(world)``: a host with sshd and ``dvbbox`` per instance, and a configuration that reaches them."""
    started: list[sshd.Hosts] = []

    def start(world: World) -> sshd.Hosts:
        started.append(sshd.start_hosts(ssh_keys, tmp_path / f"hosts{len(started)}", world))
        return started[-1]

    yield start
    for hosts in started:
        hosts.close()
