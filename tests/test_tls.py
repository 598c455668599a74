"""TLS for reading, writing and replicating: a CA file and host names are checked, on Debian's redis-server."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import certificates
import pytest
import redises
from stages import perform
from waiting import eventually

from dvbboxes import config as configuration
from dvbboxes import install
from dvbboxes.commands import Context
from dvbboxes.errors import ExitStatus
from dvbboxes.fleet import Fleet, Side
from dvbboxes.model import Config, FailureKind, Instance
from dvbboxes.replicas import Kit, Places, kits
from dvbboxes.wire import Request

PING = Request(((0, ("PING",)),))
LONG = 20.0


@dataclass(frozen=True)
class Site:
    """A TLS master and the replica that is rendered for it, both running."""

    folder: Path
    config: Config
    kit: Kit

    @property
    def instance(self) -> Instance:
        return self.config.instances[0]


def master_settings(folder: Path, port: int) -> str:
    lines = [
        *("port 0", f"tls-port {port}", f"tls-ca-cert-file {folder}/ca.crt", f"tls-cert-file {folder}/server.crt"),
        *(f"tls-key-file {folder}/server.key", "tls-auth-clients optional", 'save ""', "repl-diskless-sync-delay 0"),
        *("bind 127.0.0.1", f"dir {folder}", "user default reset off"),
    ]
    return "".join(f"{line}\n" for line in lines)


@pytest.fixture(scope="module")
def site(need: Callable[[object, str], None], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    binary = redises.debian_server()
    need(binary, "there is no redis-server with TLS (apt-get install redis-server)")
    need(shutil.which("openssl"), "there is no openssl")
    assert binary is not None
    folder = tmp_path_factory.mktemp("tls")
    certificates.authority(folder)
    for name in ("server", "replica"):
        certificates.certificate(folder, name, "DNS:localhost")
    master, replica = redises.free_port(), redises.free_port()
    (folder / "configuration").write_text(
        f"[LOG]\nfilepath={folder}/log.txt\nlevel=10\ndatefmt=%d\n[DATA]\nfolder={folder}/data\n[CHANNELS]\n85=Un\n"
        f"[REDIS]\ntls=yes\ntls_ca_file={folder}/ca.crt\nusername=reader\npassword_file={folder}/passwords/reader\n"
        f"master_username=writer\nmaster_password_file={folder}/passwords/writer\n"
        f"[CLUSTER:tana]\na=rediss://localhost:{replica}\n[INSTANCE:a]\nmaster=localhost:{master}\n"
    )
    config = configuration.load(folder / "configuration")
    where = Places(*(str(folder / name) for name in ("redis", "lib", "log", "run", "units")))
    for name in ("redis", "lib", "log", "run/redis-a"):
        (folder / name).mkdir(parents=True)
    (kit,) = kits(config, config.instances, install.passwords(config, config.instances, generate=True).by_path, where)
    for file in kit.files[:2]:
        Path(file.path).write_text(file.text)
    conf = folder / "master.conf"
    conf.write_text(master_settings(folder, master) + kit.master)
    with ExitStack() as stack:
        stack.enter_context(redises.started(binary, conf, log=folder / "log/master"))
        stack.enter_context(redises.started(binary, Path(kit.files[0].path), "--supervised", "no"))
        found = Site(folder, config, kit)
        up = eventually(lambda: redises.link(kit.instance.replica).get("master_link_status") == "up")
        assert up, (folder / "log/redis-server-a.log").read_text()
        yield found


def failure(site: Site, side: Side, **change: Any) -> Any:
    field = "replica" if side is Side.REPLICA else "master"
    endpoint = replace(getattr(site.instance, field), **change)
    with Fleet(side) as fleet:
        (answer,) = fleet.ask([replace(site.instance, **{field: endpoint})], PING, LONG).answers
    return answer.error


def test_reading_writing_and_replicating_all_go_over_tls_with_passwords(site: Site) -> None:
    with Fleet(Side.MASTER) as masters:
        written = masters.ask(site.config.instances, Request(((0, ("ZADD", "24112026:85", "1", "/x/a.ts:0")),)), LONG)
    assert [answer.value for answer in written.answers] == [[1]]
    assert eventually(lambda: redises.replies(site.instance.replica, ("DBSIZE",)) == [1])
    result = perform(Context(site.config.path, 1.8e9), "cluster status", timeout="20").result
    assert result.status is ExitStatus.DONE
    (one,) = result.view.instances  # type: ignore[attr-defined]
    assert (one.state, one.programs, one.behind, one.error, one.master_error) == ("current", 1, 0, "", "")
    assert one.replica.startswith("rediss://localhost:")


def test_what_runs_is_what_the_configuration_asks_for(site: Site) -> None:
    result = perform(Context(site.config.path, 1.8e9), "replicas verify", timeout="20").result
    found = {finding.what: finding for finding in result.view.replicas[0].findings}  # type: ignore[attr-defined]
    good = ("master", "link", "role", "user", "version")
    assert [found[what].level.value for what in good] == ["ok"] * 5


@pytest.mark.parametrize("side", Side)
def test_a_server_whose_certificate_is_of_another_authority_is_not_spoken_to(site: Site, side: Side) -> None:
    certificates.authority(site.folder, f"other-{side.value}")
    error = failure(site, side, tls_ca_file=f"{site.folder}/other-{side.value}.crt")
    assert error.kind is FailureKind.UNREACHABLE
    assert "has a certificate that is not accepted" in error.message


@pytest.mark.parametrize("side", Side)
def test_a_server_with_a_certificate_of_another_host_is_not_spoken_to(site: Site, side: Side) -> None:
    error = failure(site, side, host="127.0.0.1")
    assert error.kind is FailureKind.UNREACHABLE
    assert "not accepted" in error.message
    assert "127.0.0.1" in error.message


@pytest.mark.parametrize("side", Side)
def test_speaking_plainly_to_a_tls_port_is_told_and_costs_no_deadline(site: Site, side: Side) -> None:
    error = failure(site, side, tls=False)
    assert error.kind in (FailureKind.CLOSED, FailureKind.NOT_REDIS)


def test_a_ca_file_that_is_not_there_is_named(site: Site) -> None:
    error = failure(site, Side.REPLICA, tls_ca_file="/nonexistent/ca.crt")
    assert error.kind is FailureKind.CREDENTIALS
    assert "CA file /nonexistent/ca.crt: No such file" in error.message


def test_a_wrong_password_is_said_and_not_shown(site: Site, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("not_to_be_seen\n")
    error = failure(site, Side.REPLICA, password_file=str(wrong))
    assert error.kind is FailureKind.AUTH
    assert "not_to_be_seen" not in error.message
