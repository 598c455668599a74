"""``replicas render | install | verify``: from a configuration to replicas that run, and what is wrong with them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redises
from hypothesis import given
from hypothesis import strategies as st
from redises import SECRETS, configured, locked_pair, places, running, to_the_master
from stages import Shown, perform
from waiting import eventually

from dvbboxes import config as configuration
from dvbboxes import install
from dvbboxes.commands import Context, Result
from dvbboxes.demo.servers import Servers, Wanted, launch, tell
from dvbboxes.errors import DvbboxesError, ExitStatus, UsageError
from dvbboxes.model import Answer, Config, Failure, FailureKind, Freshness, Gathered, State
from dvbboxes.replicas import Kit, Places, kits, quoted, unit_names
from dvbboxes.replicas.block import Found, merge
from dvbboxes.replicas.checks import answered, unanswered
from dvbboxes.replicas.versions import Version, can_follow, version_of
from dvbboxes.replicas.views import Finding, Level, ProcessFacts


def kit_of(config: Config, fqdn: str = "a", places: Places | None = None, **passwords: str) -> Kit:
    found = kits(config, config.instances, passwords, *([places] if places else []))
    return next(kit for kit in found if kit.instance.fqdn == fqdn)


def lines(kit: Kit, number: int = 0) -> list[str]:
    return kit.files[number].text.splitlines()


def shown(result: Result, form: str, command: str = "replicas install") -> str:
    return Shown(command, result).render(form)


# --- names and words --------------------------------------------------------------------------------------------------


def test_a_unit_is_named_by_its_fqdn_and_what_is_not_safe_there_is_changed_and_stays_unique(tmp_path: Path) -> None:
    long = ".".join(["a" * 60] * 4)
    config = configured(tmp_path, f"dvb-tana-1.example=1001\n::1=1002\n::2=1003\n{long}=1004\nx_y=1005")
    names = unit_names(config.instances)
    assert names["dvb-tana-1.example"] == "dvb-tana-1.example"
    assert names["x_y"] == "x_y"
    assert len(set(names.values())) == 5
    for name in names.values():
        assert re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name)
        assert len(f"redis-server@{name}.service.d") < 255


@given(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=40))
def test_a_word_is_quoted_so_that_redis_reads_it_back(value: str) -> None:
    word = quoted(value)
    assert "\n" not in word
    if not word.startswith('"'):
        assert word == value
        return
    inner = word[1:-1].encode()
    decoded = re.sub(rb"\\x([0-9a-f]{2})|\\(.)", lambda m: bytes([int(m[1], 16)]) if m[1] else m[2], inner)
    assert decoded.decode() == value


# --- what is rendered -------------------------------------------------------------------------------------------------


def test_a_port_a_socket_and_tls_listen_each_in_their_way(tmp_path: Path) -> None:
    members = "a=6381\nb=unix:///run/redis-b/x.sock\nc=rediss://127.0.0.1:6383\nd=localhost:6384"
    config = configured(tmp_path, members, "[REDIS]\ntls_ca_file={folder}/ca.crt")
    found = {kit.instance.fqdn: lines(kit) for kit in kits(config, config.instances, {})}
    assert {"bind 127.0.0.1", "port 6381"} <= set(found["a"])
    assert {"port 0", "unixsocket /run/redis-b/x.sock"} <= set(found["b"])
    assert {"port 0", "tls-port 6383", f"tls-ca-cert-file {tmp_path}/ca.crt"} <= set(found["c"])
    assert "bind 127.0.0.1 -::1" in found["d"]
    for each in found.values():
        always = {"replica-read-only yes", "replica-serve-stale-data yes", "repl-diskless-load swapdb"}
        assert always | {"replica-priority 0", "stop-writes-on-bgsave-error no"} <= set(each)
    assert f"tls-key-file {tmp_path}/replica.key" in found["c"]
    assert not any("tls" in line for line in found["a"])


def test_tls_to_the_master_is_tls_of_the_replication(tmp_path: Path) -> None:
    config = configured(tmp_path, "a=6381", "[REDIS]\ntls=yes")
    assert {"tls-replication yes", "tls-ca-cert-dir /etc/ssl/certs", "port 6381"} <= set(lines(kit_of(config)))


def test_without_password_files_nobody_is_asked_for_one(tmp_path: Path) -> None:
    kit = kit_of(configured(tmp_path, "a=6381"))
    assert [line.split()[:4] for line in lines(kit, 1)] == [["user", "default", "reset", "on"]]
    assert "nopass" in kit.files[1].text
    assert "# nothing:" in kit.master


def test_passwords_reach_the_secrets_file_alone_and_the_master_as_a_hash(tmp_path: Path) -> None:
    config = configured(tmp_path, "a=6381", SECRETS)
    folder = f"{tmp_path}/passwords"
    known = {f"{folder}/reader": "r-secret", f"{folder}/writer": "w-secret", f"{folder}/a.replication": "x-secret"}
    (kit,) = kits(config, config.instances, known)
    assert "secret" not in kit.files[0].text.replace(".secrets", "")
    assert "masterauth x-secret" in kit.files[1].text
    assert f"#{hashlib.sha256(b'r-secret').hexdigest()} " in kit.files[1].text
    assert "secret" not in kit.master
    for password in (b"x-secret", b"w-secret"):
        assert f"#{hashlib.sha256(password).hexdigest()} " in kit.master


def test_what_cannot_work_is_said(tmp_path: Path) -> None:
    members = "a=unix:///tmp/a.sock\nb=10.0.0.5:6381\nc=6383"
    config = configured(tmp_path, members, "[INSTANCE:c]\nmaster=unix:///run/c.sock")
    found = {kit.instance.fqdn: " ".join(kit.problems) for kit in kits(config, config.instances, {})}
    assert "the unit may not write: use unix:///run/redis-a/redis-server.sock" in found["a"]
    assert "name a [REDIS] password_file" in found["b"]
    assert "Redis replicates over TCP alone" in found["c"]


# --- a file of which one part is ours ---------------------------------------------------------------------------------


def test_lines_outside_the_marks_are_kept_and_an_edit_between_them_is_known() -> None:
    first = merge(None, "port 1\n")
    assert first.found is Found.NEW
    mine = f"# mine\n{first.text}maxclients 9\n"
    assert merge(mine, "port 1\n") == replace(merge(mine, "port 1\n"), found=Found.SAME, text=mine)
    changed = merge(mine, "port 2\n")
    assert changed.found is Found.CHANGED
    assert changed.text.startswith("# mine\n# BEGIN")
    assert changed.text.endswith("# END dvbboxes\nmaxclients 9\n")
    assert "port 2\n" in changed.text
    assert "port 1" not in changed.text
    assert merge(mine.replace("port 1", "port 7"), "port 2\n").found is Found.EDITED
    assert merge("port 3\n", "port 2\n").found is Found.FOREIGN


# --- install ----------------------------------------------------------------------------------------------------------


def put(config: Config, root: Path, **options: Any) -> Result:
    given = {"yes": True, "root": str(root)} | options
    return perform(Context(config.path, 1.8e9), "replicas install", **given).result


def test_a_dry_run_writes_nothing_and_says_everything(tmp_path: Path) -> None:
    config = configured(tmp_path / "etc", "a=6381", SECRETS)
    result = put(config, tmp_path / "root", dry_run=True, yes=False)
    assert result.status is ExitStatus.DIFFERENCE
    assert not (tmp_path / "root").exists()
    assert not (tmp_path / "etc/passwords").exists()
    text = shown(result, "text")
    assert "+replicaof a 6379" in text
    assert "redis-a.secrets: new\n  (holds secrets: not shown)" in text
    assert "by hand: systemctl enable --now redis-server@a.service" in text
    assert json.loads(shown(result, "json"))["data"]["done"] is False


def test_an_install_is_complete_private_and_done_once(tmp_path: Path) -> None:
    config, root = configured(tmp_path / "etc", "a=6381\nb=6382", SECRETS), tmp_path / "root"
    done = put(config, root)
    assert done.status is ExitStatus.DONE
    found = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    assert found == sorted(
        f"{path}"
        for n in "ab"
        for path in (
            f"etc/redis/redis-{n}.conf",
            f"etc/redis/redis-{n}.secrets",
            f"etc/systemd/system/redis-server@{n}.service.d/dvbboxes.conf",
        )
    )
    secret = root / "etc/redis/redis-a.secrets"
    assert secret.stat().st_mode & 0o777 == 0o640
    password = tmp_path / "etc/passwords/reader"
    assert password.stat().st_mode & 0o777 == 0o640
    assert len(password.read_text().strip()) >= 40
    before = secret.read_text(), password.read_text()
    again = put(config, root)
    assert (again.status, again.view.changes) == (ExitStatus.DONE, ())  # type: ignore[attr-defined]
    assert (secret.read_text(), password.read_text()) == before
    rows = list(csv.DictReader(io.StringIO(shown(done, "csv"))))
    assert [row["found"] for row in rows] == ["new"] * 6


def test_edits_are_kept_and_files_made_by_hand_are_left_alone_until_told(tmp_path: Path) -> None:
    config, root = configured(tmp_path / "etc", "a=6381\nb=6382"), tmp_path / "root"
    by_hand = root / "etc/redis/redis-b.conf"
    by_hand.parent.mkdir(parents=True)
    by_hand.write_text("port 6382\nmasterauth not_to_be_seen\n")
    first = put(config, root)
    assert first.status is ExitStatus.PARTIAL
    assert f"! {by_hand} was made or changed by hand: left alone" in shown(first, "text")
    assert by_hand.read_text().startswith("port 6382")
    ours = root / "etc/redis/redis-a.conf"
    ours.write_text(ours.read_text() + "maxclients 9\n")
    moved = configured(tmp_path / "etc", "a=6391\nb=6382")
    second = put(moved, root, replace=True)
    assert ours.read_text().endswith("maxclients 9\n")
    assert "port 6391" in ours.read_text()
    assert (root / "etc/redis/redis-b.conf.before").read_text().startswith("port 6382")
    assert "replicaof b" in by_hand.read_text()
    text = shown(second, "text")
    assert "by hand: systemctl restart redis-server@a.service" in text
    assert "-masterauth ********" in text
    assert "not_to_be_seen" not in text


def test_an_instance_that_left_the_configuration_is_named_and_one_of_another_host_is_not_installed(
    tmp_path: Path,
) -> None:
    root = tmp_path / "root"
    put(configured(tmp_path / "etc", "a=6381\nb=6382"), root)
    smaller = configured(tmp_path / "etc", "a=6381\nc=10.0.0.9:6381", SECRETS)
    text = shown(put(smaller, root), "text")
    assert "by hand: systemctl disable --now redis-server@b.service" in text
    assert "on another host, not installed here: c (10.0.0.9)" in text
    assert not (root / "etc/redis/redis-c.conf").exists()
    assert "disable" not in shown(put(smaller, root, instances=["a"]), "text")


def test_nothing_is_written_without_a_yes(tmp_path: Path) -> None:
    config = configured(tmp_path / "etc", "a=6381")
    with pytest.raises(UsageError, match="--yes says yes"):
        put(config, tmp_path / "root", yes=False)
    context = Context(config.path, 1.8e9, ask=lambda question: False)
    said_no = perform(context, "replicas install", root=str(tmp_path / "root"))
    assert said_no.status is ExitStatus.DIFFERENCE
    assert not (tmp_path / "root").exists()


def test_a_socket_where_the_unit_may_not_write_is_refused_before_anything(tmp_path: Path) -> None:
    config = configured(tmp_path / "etc", "a=unix:///tmp/a.sock")
    with pytest.raises(UsageError, match=r"a: its socket /tmp/a\.sock"):
        put(config, tmp_path / "root")
    assert not (tmp_path / "root").exists()


def test_render_shows_no_secret_and_writes_all_where_told(tmp_path: Path) -> None:
    config, out = configured(tmp_path / "etc", "a=6381\nb=10.0.0.9:6382", SECRETS), tmp_path / "out"
    context = Context(config.path, 1.8e9)
    only_shown = perform(context, "replicas render").result
    assert not (tmp_path / "etc/passwords").exists()
    assert "replicaof a 6379" in shown(only_shown, "text")
    written = perform(context, "replicas render", output=str(out)).result
    assert (out / "etc/redis/redis-a.conf").read_text().startswith("# BEGIN dvbboxes")
    assert (out / "hosts/10.0.0.9/etc/redis/redis-b.secrets").is_file()
    assert "user dvbboxes-replica" in (out / "masters/b.conf").read_text()
    password = (tmp_path / "etc/passwords/a.replication").read_text().strip()
    assert password in (out / "etc/redis/redis-a.secrets").read_text()
    for form in ("text", "json", "csv"):
        assert password not in shown(written, form, "replicas render")
    first = {path: path.read_text() for path in out.rglob("*") if path.is_file()}
    perform(context, "replicas render", output=str(out))
    assert {path: path.read_text() for path in out.rglob("*") if path.is_file()} == first


def test_systemd_finds_nothing_to_say_about_the_units(tmp_path: Path, need: Callable[[object, str], None]) -> None:
    need(shutil.which("systemd-analyze"), "there is no systemd-analyze (apt-get install systemd)")
    template = Path("/lib/systemd/system/redis-server@.service")
    need(template.is_file(), "there is no redis-server@.service (apt-get install redis-server)")
    put(configured(tmp_path / "etc", "dvb-tana-1.example=6381"), tmp_path / "root")
    units = tmp_path / "root/etc/systemd/system"
    unit = units / "redis-server@dvb-tana-1.example.service"
    shutil.copy(template, units / template.name)
    unit.symlink_to(template.name)

    def said() -> str:
        line = ["systemd-analyze", "verify", "--man=no", str(unit)]
        found = subprocess.run(line, capture_output=True, text=True, check=False)
        return found.stdout + found.stderr

    assert said() == ""
    drop_in = units / "redis-server@dvb-tana-1.example.service.d/dvbboxes.conf"
    drop_in.write_text(drop_in.read_text().replace("RestartSec", "RestartSecs"))
    assert "RestartSecs" in said()  # it does read the drop-in


# --- replicas that run ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def masters(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with launch(tmp_path_factory.mktemp("masters") / "servers", [Wanted("one"), Wanted("two")]) as running:
        yield running


@pytest.fixture
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose path leaves room for a socket's name."""
    return tmp_path_factory.mktemp("r")


def test_what_is_rendered_runs_follows_with_its_password_and_lets_readers_read_and_no_more(
    redis_server: str, masters: Servers, short: Path
) -> None:
    config = locked_pair(short, masters["one"].endpoint)
    with running(redis_server, config, places(short)) as kit:
        replica, master = kit.instance.replica, masters["one"].endpoint
        assert redises.link(replica)["master_link_status"] == "down"  # the master does not know it yet
        to_the_master(master, kit)
        tell(master, [(0, ("SET", "k", "v"))])
        assert eventually(lambda: redises.replies(replica, ("GET", "k")) == [b"v"])
        refused = redises.replies(
            replica, ("SET", "k", "w"), ("CONFIG", "GET", "masterauth"), ("SHUTDOWN",), ("REPLICAOF", "NO", "ONE")
        )
        assert all("NOPERM" in str(said) for said in refused)
        assert "NOAUTH" in str(redises.replies(replace(replica, password_file=None), ("GET", "k")))
        assert redises.replies(replica, ("ACL", "WHOAMI"), ("KEYS", "*"), ("DBSIZE",)) == [b"reader", [b"k"], 1]
        writer = kit.instance.master
        ours = [("MULTI",), ("DEL", "p"), ("ZADD", "p", "1", "m"), ("EXEC",), ("CLIENT", "ID"), ("WATCH", "p")]
        written = redises.replies(writer, *ours, ("INFO", "replication"))
        assert written[3] == [0, 1]
        assert not any("NOPERM" in str(said) for said in written)
        assert "NOPERM" in str(redises.replies(writer, ("FLUSHALL",)))


def test_a_restart_begins_with_what_was_there_though_the_master_is_gone(
    redis_server: str, masters: Servers, short: Path
) -> None:
    config = configured(
        short / "etc",
        f"a=unix://{short}/run/redis-a/redis-server.sock\n[INSTANCE:a]\nmaster=127.0.0.1:{masters['two'].port}",
    )
    tell(masters["two"].endpoint, [(0, ("SET", "k", "v"))])
    where = places(short)
    conf = short / "redis/redis-a.conf"
    with running(redis_server, config, where) as kit:
        replica = kit.instance.replica
        assert eventually(lambda: redises.replies(replica, ("GET", "k")) == [b"v"])
    with redises.started(redis_server, conf, "--supervised", "no", "--save", "1 1"):
        # A plain kill has no time to save; what systemd's SIGTERM does is asked for by the same save points.
        assert eventually(lambda: (short / "lib/dump-a.rdb").exists())
    with redises.started(redis_server, conf, "--supervised", "no", "--replicaof", f"127.0.0.1 {redises.free_port()}"):
        assert eventually(lambda: redises.replies(replica, ("GET", "k")) == [b"v"])
        assert redises.link(replica)["master_link_status"] == "down"


# --- verify -----------------------------------------------------------------------------------------------------------


def verified(config: Config) -> tuple[Result, dict[str, Finding]]:
    result = perform(Context(config.path, 1.8e9), "replicas verify", timeout="20").result
    (one,) = result.view.replicas  # type: ignore[attr-defined]
    return result, {finding.what: finding for finding in one.findings}


def test_a_replica_as_configured_is_told_from_one_that_follows_another(
    redis_server: str, masters: Servers, short: Path
) -> None:
    config = locked_pair(short, masters["one"].endpoint)
    with running(redis_server, config, places(short)) as kit:
        to_the_master(masters["one"].endpoint, kit)
        assert eventually(lambda: redises.link(kit.instance.replica).get("master_link_status") == "up")
        result, found = verified(config)
        assert {what: finding.level for what, finding in found.items() if what not in ("file", "process")} == {
            "master": Level.OK, "link": Level.OK, "role": Level.OK, "user": Level.OK, "version": Level.OK,
        }  # fmt: skip
        assert found["file"].level is Level.WRONG  # not the file that Debian's unit reads
        assert result.status is ExitStatus.DIFFERENCE
        text, envelope = shown(result, "text"), json.loads(shown(result, "json"))
        rows = list(csv.DictReader(io.StringIO(shown(result, "csv"))))
        assert f"follows 127.0.0.1:{masters['one'].port}" in text
        assert [f["says"] for f in envelope["data"]["replicas"][0]["findings"]] == [row["says"] for row in rows]
        moved = locked_pair(short, masters["one"].endpoint)
        Path(moved.path).write_text(
            Path(moved.path).read_text().replace(str(masters["one"].port), str(masters["two"].port))
        )
        _, other = verified(configuration.load(moved.path))
        assert other["master"].level is Level.WRONG
        assert f"the configuration says 127.0.0.1:{masters['two'].port}" in other["master"].says


LINK = {
    "role": "slave", "master_host": "a", "master_port": "6379", "master_link_status": "up",
    "slave_read_only": "1", "slave_priority": "0",
}  # fmt: skip
SERVER = {"redis_version": "7.0.15", "config_file": "/etc/redis/redis-a.conf"}
FINE = ProcessFacts(False, False, True)


def wrong(tmp_path: Path, **seen: Any) -> list[str]:
    kit = kit_of(configured(tmp_path, "a=6381"))
    told: dict[str, Any] = {"server": SERVER, "link": LINK, "who": "default", "master": SERVER, "facts": FINE} | seen
    return [f"{one.what}: {one.says}" for one in answered(kit, **told) if one.level is not Level.OK]


def test_each_thing_that_is_wrong_is_named_alone(tmp_path: Path) -> None:
    assert wrong(tmp_path) == []
    cases: list[tuple[dict[str, Any], str]] = [
        ({"link": {"role": "master"}}, "master: it follows nobody"),
        ({"link": LINK | {"master_host": "b"}}, "master: it follows b:6379, the configuration says a:6379"),
        ({"link": LINK | {"master_link_status": "down"}}, "link: down"),
        ({"link": LINK | {"master_sync_in_progress": "1"}}, "link: a sync is in progress"),
        ({"link": LINK | {"slave_read_only": "0"}}, "role: it can be written to"),
        ({"link": LINK | {"slave_priority": "100"}}, "role: a sentinel could"),
        ({"who": "somebody"}, "user: we are somebody there, the configuration says default"),
        ({"master": {"redis_version": "8.0.1"}}, "version: redis 7.0.15 cannot read"),
        ({"master": {}}, "version: redis 7.0.15; its master did not say"),
        ({"server": SERVER | {"config_file": "/x"}}, "file: it was started with /x"),
        ({"facts": replace(FINE, as_rendered=False)}, "file: /etc/redis/redis-a.conf is not as configured"),
        ({"facts": replace(FINE, stale_file=True)}, "process: its configuration was changed since it started"),
        ({"facts": replace(FINE, stale_binary=True)}, "process: its program was replaced since it started"),
        ({"facts": ProcessFacts(None, None, True)}, "process: whether it is as old as its files"),
    ]
    for seen, says in cases:
        found = wrong(tmp_path, **seen)
        assert found[0].startswith(says), (seen, found)


def test_an_instance_that_does_not_answer_is_wrong_with_its_reason(tmp_path: Path) -> None:
    (instance,) = configured(tmp_path, "a=6381").instances
    failure = Failure(FailureKind.REFUSED, "refused the connection")
    answer: Answer[Any] = Answer(instance, None, failure, 0.1, Freshness(State.UNAVAILABLE))
    assert [one.says for one in unanswered(answer)] == ["refused the connection"]
    assert Gathered((answer,), 0.1).missing == (answer,)


def test_who_can_follow_whom() -> None:
    def follows(replica: str, master: str) -> bool:
        return can_follow(*(Version(*each.split()) for each in (replica, master)))

    assert follows("redis 7.0.15", "redis 7.0.1")
    assert follows("redis 7.0.15", "redis 6.2.0")
    assert follows("redis 8.0.0", "redis 7.0.15")
    assert follows("valkey 9.1.2", "redis 7.2.4")
    assert follows("redis 8.2.0", "valkey 8.1.0")
    assert not follows("redis 7.0.15", "valkey 9.1.2")
    assert not follows("redis 7.0.15", "redis 8.0.0")
    assert not follows("redis 8.2.0", "valkey 9.0.0")
    assert not follows("valkey 9.0.0", "redis 7.4.0")
    assert (
        str(version_of({"server_name": "valkey", "redis_version": "7.2.4", "valkey_version": "9.1.2"}))
        == "valkey 9.1.2"
    )
    assert version_of({}).number == (0, 0)


def test_a_process_older_than_its_file_is_seen(tmp_path: Path) -> None:
    config = configured(tmp_path / "etc", "a=6381")
    put(config, tmp_path / "root")
    kit = kit_of(config)
    file = tmp_path / "root/etc/redis/redis-a.conf"
    age = file.stat().st_mtime
    server = {"config_file": str(file), "uptime_in_seconds": "100", "process_id": str(os.getpid())}
    facts = install.process_facts(kit, server, age + 200, str(tmp_path / "root"))
    assert facts == ProcessFacts(False, False, True)
    late = install.process_facts(kit, server, age + 50, str(tmp_path / "root"))
    assert late.stale_file is True
    its_own = server | {"server_time_usec": str(int((age + 200) * 1e6))}  # we asked long before it answered
    assert install.process_facts(kit, its_own, age + 50, str(tmp_path / "root")).stale_file is False
    file.write_text("port 1\n")
    assert install.process_facts(kit, server, age + 200, str(tmp_path / "root")).as_rendered is False
    replaced = tmp_path / "program"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", replaced)
    with subprocess.Popen([str(replaced), "600"]) as process:
        try:
            old = server | {"process_id": str(process.pid)}
            assert eventually(lambda: Path(f"/proc/{process.pid}/exe").readlink() == replaced)
            assert install.process_facts(kit, old, age + 200, "").stale_binary is False
            replaced.unlink()
            assert install.process_facts(kit, old, age + 200, "").stale_binary is True
        finally:
            process.kill()
    nothing = install.process_facts(kit, {"config_file": "/nonexistent/x"}, age, str(tmp_path / "root"))
    assert (nothing.stale_binary, nothing.stale_file) == (None, None)


# --- systemd ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A systemctl that notes what it is asked; it fails for what stands in ``fails``."""
    tools = tmp_path / "bin"
    tools.mkdir()
    script = tools / "systemctl"
    script.write_text(
        f'#!/bin/sh\nif [ "$1" = is-enabled ]; then grep -qxF "$3" {tmp_path}/enabled; exit; fi\n'
        f'echo "$*" >>{tmp_path}/calls\n'
        f'if grep -q "$1" {tmp_path}/fails 2>/dev/null; then echo "no such unit" >&2; exit 5; fi\n'
        f'[ "$1" != enable ] || echo "$3" >>{tmp_path}/enabled\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setattr(install, "has_systemd", lambda root="": True)
    return tmp_path


def test_what_is_new_is_enabled_and_started_and_what_runs_is_left_running(systemctl: Path) -> None:
    calls, root = systemctl / "calls", systemctl / "root"
    first = put(configured(systemctl / "etc", "a=6381"), root)
    assert calls.read_text().splitlines() == ["daemon-reload", "enable --now redis-server@a.service"]
    assert "ran: systemctl enable --now redis-server@a.service" in shown(first, "text")
    calls.unlink()
    second = put(configured(systemctl / "etc", "a=6391\nb=6382"), root)
    assert calls.read_text().splitlines() == ["daemon-reload", "enable --now redis-server@b.service"]
    assert "by hand: systemctl restart redis-server@a.service" in shown(second, "text")
    calls.unlink()
    assert put(configured(systemctl / "etc", "a=6391\nb=6382"), root, dry_run=True).status is ExitStatus.DONE
    assert put(configured(systemctl / "etc", "a=6371\nb=6382"), root, dry_run=True).status is ExitStatus.DIFFERENCE
    assert not calls.exists()


def test_a_unit_that_does_not_start_is_an_error_with_what_systemd_said(systemctl: Path) -> None:
    (systemctl / "fails").write_text("enable\n")
    with pytest.raises(DvbboxesError, match=r"systemctl enable --now redis-server@a\.service failed: no such unit"):
        put(configured(systemctl / "etc", "a=6381"), systemctl / "root")
    assert (systemctl / "root/etc/redis/redis-a.conf").exists()
    (systemctl / "fails").unlink()
    again = put(configured(systemctl / "etc", "a=6381"), systemctl / "root")
    assert shown(again, "text").splitlines()[0] == "ran: systemctl enable --now redis-server@a.service"
    assert put(configured(systemctl / "etc", "a=6381"), systemctl / "root").view.steps == ()  # type: ignore[attr-defined]
