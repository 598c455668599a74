"""The configuration file (SPEC 3): what each rule accepts, and every mistake at once, each with its line."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvbboxes import config
from dvbboxes.config import builder, scanner, zones
from dvbboxes.config.values import BadValue
from dvbboxes.errors import ConfigError
from dvbboxes.model import Config, Endpoint, SshTarget

pytestmark = pytest.mark.pure

ROOT = pathlib.Path(__file__).resolve().parent.parent

SPEC_EXAMPLE = """\
[LOG]
filepath=/var/log/dvbboxes/dvbboxes.log
level=10
datefmt=%d-%m-%Y %H:%M:%S

[DATA]
folder=/var/lib/dvbboxes

[CHANNELS]
1=ma chaine
2=ta chaine

[CLUSTER:nom]
fqdn_1=6381
fqdn_2=6382
"""
LINES = SPEC_EXAMPLE.count("\n")


def parse(text: str, environ: dict[str, str] | None = None) -> Config:
    return builder.build("conf", scanner.scan(text), {"TZ": "UTC"} if environ is None else environ)


def mistakes(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return caught.value.mistakes


def mistakes_after(extra: str) -> tuple[str, ...]:
    """The mistakes of the example followed by ``extra``, whose first line is line 16."""
    return mistakes(SPEC_EXAMPLE + extra)


def only(found: tuple[str, ...]) -> str:
    assert len(found) == 1, found
    return found[0]


@pytest.fixture
def written(tmp_path: pathlib.Path) -> Callable[[str | bytes], pathlib.Path]:
    def write(content: str | bytes) -> pathlib.Path:
        path = tmp_path / "configuration"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


# --- what is accepted -----------------------------------------------------------------------------------------------


def test_the_example_of_the_spec_is_enough_and_gets_the_defaults() -> None:
    found = parse(SPEC_EXAMPLE)
    assert (found.log.filepath, found.log.level) == ("/var/log/dvbboxes/dvbboxes.log", 10)
    assert found.log.datefmt == "%d-%m-%Y %H:%M:%S"
    assert found.data_folder == "/var/lib/dvbboxes"
    assert list(found.channels.items()) == [("1", "ma chaine"), ("2", "ta chaine")]
    assert [town.name for town in found.towns] == ["nom"]
    first = found.instances[0]
    assert (first.fqdn, first.replica) == ("fqdn_1", Endpoint("127.0.0.1", 6381))
    assert (first.master, first.ssh) == (Endpoint("fqdn_1", 6379), SshTarget("fqdn_1"))
    assert (first.media_folder, first.channels, first.maintenance) == ("/opt/tsfiles", None, False)
    assert (found.redis.deadline, found.redis.master_deadline, found.redis.max_age) == (2.0, 5.0, None)
    ssh = found.ssh
    assert (ssh.update, ssh.command, ssh.options, ssh.dvbbox) == (True, "ssh", (), "dvbbox")
    assert (ssh.parallel, ssh.timeout) == (16, 60.0)
    schedule = found.schedule
    assert (schedule.day_start, schedule.cutoff, schedule.tolerance) == (time(7, 30), 900.0, 1.2)
    assert found.warnings == ()


def test_the_shipped_file_works_as_it_is_and_its_comments_are_the_defaults() -> None:
    path = ROOT / "etc" / "configuration"
    shipped = config.load(path)
    text = path.read_text(encoding="utf-8")
    uncommented = "\n".join(line.removeprefix(";") for line in text.splitlines())
    everything = parse(uncommented, dict(os.environ))
    assert (shipped.channels, shipped.log) == (parse(SPEC_EXAMPLE).channels, parse(SPEC_EXAMPLE).log)
    assert (everything.redis, everything.ssh, everything.schedule) == (shipped.redis, shipped.ssh, shipped.schedule)
    assert everything.instances[1] == shipped.instances[1]


def test_every_key_is_described_in_the_reference_page() -> None:
    page = (ROOT / "docs" / "configuration.rst").read_text(encoding="utf-8")
    shipped = (ROOT / "etc" / "configuration").read_text(encoding="utf-8")
    uncommented = "\n".join(line.removeprefix(";") for line in shipped.splitlines())
    keys = {s.key for s in parse(uncommented).settings if s.section.partition(":")[0] not in ("CHANNELS", "CLUSTER")}
    keys |= set(scanner.scan(uncommented).sections[-1].options)
    assert len(keys) > 30
    assert sorted(key for key in keys if f"``{key}``" not in page) == []


def test_bom_and_crlf_change_nothing(written: Callable[[str | bytes], pathlib.Path]) -> None:
    plain = config.load(written(SPEC_EXAMPLE))
    path = written(b"\xef\xbb\xbf" + SPEC_EXAMPLE.replace("\n", "\r\n").encode())
    assert config.load(path) == plain
    assert config.raw_parser(path).get("LOG", "datefmt") == "%d-%m-%Y %H:%M:%S"


def test_comments_are_whole_lines_or_follow_a_space_and_semicolon() -> None:
    text = SPEC_EXAMPLE.replace("1=ma chaine", "; a\n# b\n  # c\n1=a;b #c ; d ; e")
    assert parse(text).channels["1"] == "a;b #c"


def test_percent_is_literal_and_a_reference_expands_only_to_an_option_of_its_section() -> None:
    text = SPEC_EXAMPLE.replace("datefmt=%d-%m-%Y %H:%M:%S", "datefmt=%(Level)s %% %d %(folder)s %(nope)s")
    assert parse(text).log.datefmt == "10 %% %d %(folder)s %(nope)s"


def test_a_reference_that_leads_back_to_itself_is_a_mistake() -> None:
    found = mistakes(SPEC_EXAMPLE.replace("1=ma chaine", "1=%(3)s\n3=%(1)s"))
    assert found == (
        "conf:10: [CHANNELS] 1: 1 -> 3 -> 1 expands into itself",
        "conf:11: [CHANNELS] 3: 3 -> 1 -> 3 expands into itself",
    )


def test_a_channel_without_a_value_is_named_by_its_id() -> None:
    found = parse(SPEC_EXAMPLE.replace("1=ma chaine", "85\n86="))
    assert (found.channels["85"], found.channels["86"]) == ("85", "86")


def test_host_names_come_out_lower_case_and_other_names_as_they_are() -> None:
    text = SPEC_EXAMPLE.replace("[CLUSTER:nom]\nfqdn_1", "[CLUSTER:Nord: Île à Vache]\nDVB-Tana-1.Example")
    text = text.replace("ma chaine", "Ma Chaîne É")
    found = parse(text + "[INSTANCE:dvb-TANA-1.example]\nssh_host=GATE\nmaintenance=yes\n")
    assert found.towns[0].name == "Nord: Île à Vache"
    assert found.channels["1"] == "Ma Chaîne É"
    assert found.instances[0].fqdn == "dvb-tana-1.example"
    assert (found.instances[0].ssh.host, found.instances[0].maintenance) == ("gate", True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("6381", Endpoint("127.0.0.1", 6381)),
        ("Host-1.example:6381", Endpoint("host-1.example", 6381)),
        ("10.0.0.7:6381", Endpoint("10.0.0.7", 6381)),
        ("[::1]:6381", Endpoint("::1", 6381)),
        ("unix:///run/redis/a.sock", Endpoint(path="/run/redis/a.sock")),
        ("redis://host:6390", Endpoint("host", 6390)),
        ("redis://host/0", Endpoint("host", 6379)),
        ("redis://[fe80::1]/", Endpoint("fe80::1", 6379)),
        ("rediss://reader%40x@host:6390", Endpoint("host", 6390, tls=True, username="reader@x")),
    ],
)
def test_a_replica_is_a_port_a_host_and_port_or_a_url(text: str, expected: Endpoint) -> None:
    assert parse(SPEC_EXAMPLE.replace("6381", text)).instances[0].replica == expected


def test_credentials_go_to_their_side_and_a_url_names_its_own_user() -> None:
    text = SPEC_EXAMPLE.replace("fqdn_1=6381", "fqdn_1=rediss://own@far:6381") + (
        "[REDIS]\nusername=r\npassword_file=/r\nmaster_username=m\nmaster_password_file=/m\n"
        "tls=yes\ntls_ca_file=/ca\nmaster_port=7000\nmax_age=30\n[INSTANCE:fqdn_2]\nmaster=redis://plain:7001\n"
    )
    found = parse(text)
    first, second = found.instances
    assert first.replica == Endpoint("far", 6381, None, True, "/ca", "own", "/r")
    assert second.replica == Endpoint("127.0.0.1", 6382, None, False, None, "r", "/r")
    assert first.master == Endpoint("fqdn_1", 7000, None, True, "/ca", "m", "/m")
    assert second.master == Endpoint("plain", 7001, None, False, None, "m", "/m")
    assert found.redis.max_age == 30.0


def test_the_optional_sections_are_taken() -> None:
    found = parse(
        SPEC_EXAMPLE + "[SSH]\nupdate=off\noptions=-o 'ProxyJump=a b'\nuser=op\nport=2222\nparallel=4\ntimeout=.5\n"
        "[SCHEDULE]\ntimezone=Indian/Antananarivo\nday_start=6:05\nmedia_folder=/srv/ts/\ncutoff=0\n"
        "[INSTANCE:fqdn_1]\nssh_user=root\nssh_port=23\nchannels=2, 1\ntimezone=Europe/Paris\nmedia_folder=/x\n"
        "master=m:1\n"
    )
    first, second = found.instances
    assert (found.ssh.update, found.ssh.options) == (False, ("-o", "ProxyJump=a b"))
    assert (found.ssh.parallel, found.ssh.timeout) == (4, 0.5)
    assert (first.ssh, second.ssh) == (SshTarget("fqdn_1", "root", 23), SshTarget("fqdn_2", "op", 2222))
    assert (str(first.zone), str(second.zone)) == ("Europe/Paris", "Indian/Antananarivo")
    assert (first.media_folder, second.media_folder) == ("/x", "/srv/ts")
    assert (first.channels, first.master) == (frozenset({"1", "2"}), Endpoint("m", 1))
    assert (found.schedule.day_start, found.schedule.cutoff) == (time(6, 5), 0.0)


@pytest.mark.parametrize(("text", "number"), [("info", 20), ("WARNING", 30), ("Debug", 10), ("15", 15)])
def test_a_level_is_a_number_or_a_name(text: str, number: int) -> None:
    assert parse(SPEC_EXAMPLE.replace("level=10", f"level={text}")).log.level == number


# --- mistakes -------------------------------------------------------------------------------------------------------

MISTAKES = [
    ("[REDIS]\ndeadline=2s\n", "conf:17: [REDIS] deadline: '2s' is no number of seconds"),
    ("[REDIS]\ndeadline=nan\n", "conf:17: [REDIS] deadline: 'nan' is no number of seconds"),
    ("[REDIS]\ndeadline=0\n", "conf:17: [REDIS] deadline: '0': it must be more than 0"),
    ("[REDIS]\nmax_age=-1\n", "conf:17: [REDIS] max_age: '-1' is no number of seconds"),
    ("[REDIS]\nmaster_port=0\n", "conf:17: [REDIS] master_port: '0' is no port"),
    ("[REDIS]\ntls=maybe\n", "conf:17: [REDIS] tls: 'maybe': write yes or no"),
    ("[REDIS]\ndedline=2\n", "conf:17: [REDIS] dedline: unknown key (did you mean deadline?)"),
    ("[SSH]\nparallel=0\n", "conf:17: [SSH] parallel: '0' is no whole number from 1"),
    ("[SSH]\nuser=-oProxyCommand\n", "conf:17: [SSH] user: '-oProxyCommand' is no user name"),
    ("[SSH]\noptions='a\n", 'conf:17: [SSH] options: "\'a" cannot be split into words'),
    ("[SCHEDULE]\nday_start=24:00\n", "conf:17: [SCHEDULE] day_start: '24:00' is no time of day"),
    ("[SCHEDULE]\nday_start=730\n", "conf:17: [SCHEDULE] day_start: '730' is no time of day"),
    ("[SCHEDULE]\nmedia_folder=ts\n", "conf:17: [SCHEDULE] media_folder: 'ts' is no absolute folder"),
    (
        "[SCHEDULE]\ntimezone=Indian/Antanarivo\n",
        "conf:17: [SCHEDULE] timezone: 'Indian/Antanarivo' is no time zone (did you mean Indian/Antananarivo?)",
    ),
    ("[SCHEDULE]\ntimezone=../etc/passwd\n", "conf:17: [SCHEDULE] timezone: '../etc/passwd' is no time zone"),
    ("[INSTANCE:fqdn_3]\n", "conf:16: [INSTANCE:fqdn_3]: this host is in no cluster (did you mean fqdn_"),
    ("[INSTANCE:fqdn_1]\nchannels=1,7\n", "conf:17: [INSTANCE:fqdn_1] channels: '7' is not configured in [CHANNELS]"),
    ("[INSTANCE:fqdn_1]\nchannels=,\n", "conf:17: [INSTANCE:fqdn_1] channels: it names no channel"),
    ("[INSTANCE:fqdn_1]\nmaster=nine\n", "conf:17: [INSTANCE:fqdn_1] master: 'nine' is neither a port nor host:port"),
    (
        "[INSTANCE:fqdn_1]\n[INSTANCE:FQDN_1]\n",
        "conf:17: [INSTANCE:FQDN_1]: the section stands twice (first at line 16)",
    ),
    ("[INSTANCE:fqdn_1]\nssh_host=-x\n", "conf:17: [INSTANCE:fqdn_1] ssh_host: '-x' is no host name"),
    ("[DEFAULT]\nlevel=1\n", "conf:16: [DEFAULT]: unknown section"),
    ("[Redis]\n", "conf:16: [Redis]: unknown section (did you mean REDIS?)"),
    ("[CLUSTERS:b]\nx=1\n", "conf:16: [CLUSTERS:b]: unknown section (did you mean CLUSTER:b?)"),
    ("[CLUSTER]\n", "conf:16: [CLUSTER]: unknown section (did you mean CLUSTER:name?)"),
    ("[CLUSTER:b]\n", "conf:16: [CLUSTER:b]: no instance is in it"),
    ("[CLUSTER:]\nx=1\n", "conf:16: [CLUSTER:]: the name after [CLUSTER: is missing"),
    ("[CLUSTER: b]\nx=1\n", "conf:16: [CLUSTER: b]: spaces around the name"),
    ("[CLUSTER:b]\nx\n", "conf:17: [CLUSTER:b] x: it has no replica"),
    ("[CLUSTER:b]\nx=65536\n", "conf:17: [CLUSTER:b] x: '65536' is no port"),
    ("[CLUSTER:b]\nx=6_381\n", "conf:17: [CLUSTER:b] x: '6_381' is neither a port nor host:port"),
    ("[CLUSTER:b]\nx=h:p\n", "conf:17: [CLUSTER:b] x: 'p' is no port"),
    ("[CLUSTER:b]\nx=::1:6381\n", "conf:17: [CLUSTER:b] x: '::1:6381': put an IPv6 address in brackets"),
    ("[CLUSTER:b]\nx=[::1]\n", "conf:17: [CLUSTER:b] x: '[::1]' has no port"),
    ("[CLUSTER:b]\nx=unix://run/a\n", "conf:17: [CLUSTER:b] x: 'unix://run/a' has no absolute path"),
    ("[CLUSTER:b]\nx=http://h:1\n", "conf:17: [CLUSTER:b] x: 'http://h:1' is no endpoint"),
    ("[CLUSTER:b]\nx=redis://h/3\n", "conf:17: [CLUSTER:b] x: 'redis://h/3': leave out the database"),
    ("[CLUSTER:b]\nx y=1\n", "conf:17: [CLUSTER:b] x y: 'x y' is no host name or address"),
    ("[CLUSTER:b]\n-x=1\n", "conf:17: [CLUSTER:b] -x: '-x' is no host name or address"),
    ("[CLUSTER:b]\nFQDN_1=1\n", "conf:17: [CLUSTER:b] fqdn_1: is in [CLUSTER:nom] too (line 14)"),
    ("[CLUSTER:b]\nx=6381\n", "conf:17: [CLUSTER:b] x: 127.0.0.1:6381 is the replica of fqdn_1 already (line 14)"),
    ("[CLUSTER:b]\nx=localhost:6381\n", "conf:17: [CLUSTER:b] x: localhost:6381 is the replica of fqdn_1 already"),
    ("[CLUSTER:b]\nx=redis://127.0.0.1:6381\n", "conf:17: [CLUSTER:b] x: 127.0.0.1:6381 is the replica of fqdn_1"),
    (
        "[CLUSTER:b]\nx=unix:///a/b\ny=unix:///a//./b\n",
        "conf:18: [CLUSTER:b] y: unix:///a//./b is the replica of x already (line 17)",
    ),
    ("[LOG]\n", "conf:16: [LOG]: the section stands twice (first at line 1)"),
    ("fqdn_2=6383\n", "conf:16: [CLUSTER:nom] fqdn_2: stands twice (first at line 15)"),
    (" fqdn_3=6383\n", "conf:16: [CLUSTER:nom]: the line is indented"),
    ("=6383\n", "conf:16: [CLUSTER:nom]: a line that begins with = has no key"),
    ("[SSH\n", "conf:16: a section header has no closing ]"),
    ("[SSH] x\n", "conf:16: text after the ] of a section header"),
    ("[]\n", "conf:16: a section header without a name"),
    ("x\x1b=1\n", "conf:16: [CLUSTER:nom]: control character 0x1b"),
]


@pytest.mark.parametrize(("extra", "message"), MISTAKES, ids=[repr(extra) for extra, _ in MISTAKES])
def test_each_mistake_names_its_line_section_and_key(extra: str, message: str) -> None:
    assert mistakes_after(extra)[0].startswith(message)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("filepath=/var/log/dvbboxes/dvbboxes.log", "conf:1: [LOG] filepath: the key is missing"),
        ("level=10", "conf:1: [LOG] level: the key is missing"),
        ("datefmt=%d-%m-%Y %H:%M:%S", "conf:1: [LOG] datefmt: the key is missing"),
        ("folder=/var/lib/dvbboxes", "conf:6: [DATA] folder: the key is missing"),
        ("1=ma chaine\n2=ta chaine", "conf:9: [CHANNELS]: no channel is configured"),
    ],
)
def test_a_missing_required_key_is_named_at_its_section(line: str, message: str) -> None:
    assert only(mistakes(SPEC_EXAMPLE.replace(line, ""))).startswith(message)


def test_a_required_key_without_a_value_and_a_service_id_that_is_none_are_mistakes() -> None:
    text = SPEC_EXAMPLE.replace("folder=/var/lib/dvbboxes", "folder=").replace("1=ma", "x1=ma")
    text = text.replace("level=10", "level=loud")
    level, folder, channel = mistakes(text)
    assert level.startswith("conf:3: [LOG] level: 'loud' is no level")
    assert folder.startswith("conf:7: [DATA] folder: it has no value")
    assert channel.startswith("conf:10: [CHANNELS] x1: 'x1' is no service id")


def test_an_empty_file_misses_every_required_section() -> None:
    found = mistakes("")
    assert [line.split(": ")[1] for line in found] == ["[LOG]", "[DATA]", "[CHANNELS]", "[CLUSTER:name]"]
    assert all(line.startswith("conf:1: ") for line in found)


def test_options_before_the_first_section_are_each_reported() -> None:
    assert mistakes("a=1\nb\n" + SPEC_EXAMPLE) == (
        "conf:1: a: stands before the first [section]",
        "conf:2: b: stands before the first [section]",
    )


def test_every_mistake_is_reported_at_once_in_file_order() -> None:
    text = "".join(
        extra for extra, _ in MISTAKES if extra.startswith(("[REDIS]", "[SSH]", "[SCHEDULE]", "[CLUSTER:b]"))
    )
    found = mistakes_after(text)
    numbers = [int(line.split(":")[1]) for line in found]
    assert numbers == sorted(numbers)
    for what in (
        "'2s' is no number",
        "dedline: unknown key",
        "'24:00' is no time",
        "'maybe': write yes or no",
        "stands twice",
    ):
        assert any(what in line for line in found), what


@pytest.mark.parametrize(
    "extra",
    [
        "x=redis://u:s3cret@h:1\n",
        "x=redis://:s3cret@h:1\n",
        "x=redis://u:a/s3cret?#@h:1\n",
        "x=unix://u:s3cret@/run/a.sock\n",
        "x=u:s3cret@h:1\n",
        "x=redis://h:1?password=s3cret\n",
        "redis://u:s3cret@h\n",
        "redis://u:s3cret=1@h\n",
        "[REDIS]\npassword=s3cret\n",
        "[REDIS]\nmaster_password=s3cret\n",
    ],
)
def test_a_password_in_the_file_is_a_mistake_and_never_shown(extra: str) -> None:
    message = only(mistakes_after(extra))
    assert "s3cret" not in message
    assert message.startswith(f"conf:{LINES + extra.count(chr(10))}: [")


def test_the_way_out_of_a_password_is_password_file() -> None:
    assert "password_file" in only(mistakes_after("x=redis://u:s3cret@h:1\n"))
    assert "in master_password_file" in only(mistakes_after("[REDIS]\nmaster_password=x\n"))


# --- warnings and settings ------------------------------------------------------------------------------------------


def test_what_is_harmless_but_odd_is_a_warning_with_its_line() -> None:
    text = SPEC_EXAMPLE.replace("2=ta chaine", "2=ma chaine").replace("folder=/var", "folder=var")
    text = text.replace("CLUSTER:nom", "CLUSTER:nom,bis")
    found = parse(text + "[INSTANCE:fqdn_1]\nmaster=m:1\n[INSTANCE:fqdn_2]\nmaster=M:1\n").warnings
    starts = (
        "conf:13: [CLUSTER:nom,bis]: a comma",
        "conf:7: [DATA] folder: 'var/lib/dvbboxes' is relative",
        "conf:11: [CHANNELS] 2: 'ma chaine' means the channels 1 and 2",
        "conf:15: [CLUSTER:nom,bis] fqdn_2: its master m:1 is that of fqdn_1 too",
    )
    assert len(found) == len(starts)
    assert all(line.startswith(start) for line, start in zip(found, starts, strict=True)), found
    own = parse(SPEC_EXAMPLE.replace("6381", "fqdn_1:6379")).warnings
    assert own == ("conf:14: [CLUSTER:nom] fqdn_1: fqdn_1:6379 is its master too: reading would burden it",)


def test_settings_say_every_value_in_force_and_where_it_came_from() -> None:
    found = parse(SPEC_EXAMPLE + "[SSH]\nport=2222\ncommand=x //u:s3cret@h\n[INSTANCE:fqdn_1]\nmaster=m:1\n")
    table = {(s.section, s.key): (s.value, s.origin) for s in found.settings}
    assert len(table) == len(found.settings)
    assert table["LOG", "level"] == ("10", "conf:3")
    assert table["SSH", "port"] == ("2222", "conf:17")
    assert table["REDIS", "deadline"] == ("2", "default")
    assert table["CLUSTER:nom", "fqdn_1"] == ("127.0.0.1:6381", "conf:14")
    assert table["INSTANCE:fqdn_1", "master"] == ("m:1", "conf:20")
    assert table["INSTANCE:fqdn_2", "master"] == ("fqdn_2:6379", "default")
    assert table["SCHEDULE", "timezone"] == ("UTC (the system's, from TZ)", "default")
    assert (
        found.settings
        == parse(SPEC_EXAMPLE + "[SSH]\nport=2222\ncommand=x //u:s3cret@h\n[INSTANCE:fqdn_1]\nmaster=m:1\n").settings
    )


def test_what_looks_like_a_password_is_masked_in_the_settings() -> None:
    found = parse(SPEC_EXAMPLE + "[SSH]\ncommand=proxy http://u:s3cret@h ssh\n")
    (setting,) = [s for s in found.settings if (s.section, s.key) == ("SSH", "command")]
    assert (setting.value, setting.secret) == ("proxy http://***@h ssh", True)


# --- the system's zone ----------------------------------------------------------------------------------------------


def test_an_empty_timezone_is_tz_with_its_transitions() -> None:
    for tz in ("Europe/Paris", ":Europe/Paris", "CET-1CEST,M3.5.0,M10.5.0/3"):
        zone = parse(SPEC_EXAMPLE, {"TZ": tz}).schedule.zone
        winter, summer = (datetime(2026, month, 1, tzinfo=zone).utcoffset() for month in (1, 7))
        assert (winter, summer) == (timedelta(hours=1), timedelta(hours=2)), tz


def test_without_tz_it_is_the_localtime_file_and_utc_when_there_is_none(tmp_path: pathlib.Path) -> None:
    source = next(pathlib.Path(folder, "Europe/Paris") for folder in zoneinfo_folders())
    link, copy = tmp_path / "link", tmp_path / "copy"
    link.symlink_to(source)
    copy.write_bytes(source.read_bytes())
    assert str(zones.system_zone({}, str(link))[0]) == "Europe/Paris"
    zone, origin = zones.system_zone({}, str(copy))
    assert datetime(2026, 7, 1, tzinfo=zone).utcoffset() == timedelta(hours=2)
    assert origin == f"from {copy}"
    assert zones.system_zone({}, str(tmp_path / "none")) == (UTC, f"no {tmp_path / 'none'}")


def test_the_system_zone_is_called_what_the_first_link_says(tmp_path: pathlib.Path) -> None:
    zoneinfo_folders()
    tree = tmp_path / "zoneinfo"
    alias, localtime = tree / "Indian" / "Antananarivo", tmp_path / "localtime"
    alias.parent.mkdir(parents=True)
    alias.symlink_to(tree / "Africa" / "Nairobi")
    localtime.symlink_to(alias)
    assert str(zones.system_zone({}, str(localtime))[0]) == "Indian/Antananarivo"


def zoneinfo_folders() -> list[str]:
    import zoneinfo

    found = [folder for folder in zoneinfo.TZPATH if pathlib.Path(folder, "Europe/Paris").is_file()]
    if not found:
        pytest.skip("no zone files on this machine (tzdata)")
    return found


def test_a_system_zone_that_cannot_be_understood_is_a_mistake(tmp_path: pathlib.Path) -> None:
    broken = tmp_path / "localtime"
    broken.write_text("no zone")
    with pytest.raises(BadValue, match="is no zone file"):
        zones.system_zone({}, str(broken))
    with pytest.raises(ConfigError) as caught:
        parse(SPEC_EXAMPLE, {"TZ": "Paris"})
    assert only(caught.value.mistakes).startswith(f"conf:{LINES}: [SCHEDULE] timezone: TZ='Paris' in the environment")


# --- the file -------------------------------------------------------------------------------------------------------


def test_a_file_that_cannot_be_read_says_why_and_what_to_do(tmp_path: pathlib.Path) -> None:
    for path, what in ((tmp_path / "none", "there is no such file"), (tmp_path, "it is a folder")):
        with pytest.raises(ConfigError) as caught:
            config.load(path)
        message = only(caught.value.mistakes)
        assert message.startswith(f"{path}: {what}")
        assert "DVBBOXES_CONFIG" in message
    with pytest.raises(ConfigError, match="name of the configuration file is empty"):
        config.load("")


@contextlib.contextmanager
def nobody() -> Iterator[None]:
    """Root may read everything: where the tests run as root, be nobody for a moment."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_file_that_may_not_be_read_says_so(written: Callable[[str | bytes], pathlib.Path]) -> None:
    path = written(SPEC_EXAMPLE)
    path.chmod(0)
    with nobody(), pytest.raises(ConfigError, match="this user may not read it"):
        config.load(path)


def test_bytes_that_are_no_utf8_are_named_with_the_other_mistakes(
    written: Callable[[str | bytes], pathlib.Path],
) -> None:
    path = written(SPEC_EXAMPLE.replace("ma chaine", "ma cha\xeene").encode("latin-1") + b"x=0\n")
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    assert caught.value.mistakes == (
        f"{path}:10: [CHANNELS]: byte 0xee is not UTF-8: save the file as UTF-8",
        f"{path}:16: [CLUSTER:nom] x: '0' is no port (a number from 1 to 65535)",
    )
    with pytest.raises(ConfigError, match="UTF-16"):
        config.load(written(SPEC_EXAMPLE.encode("utf-16")))


def test_locate_takes_the_option_then_the_environment_then_the_default() -> None:
    environ = {"DVBBOXES_CONFIG": "/env"}
    assert config.locate("/opt", environ) == "/opt"
    assert config.locate(None, environ) == "/env"
    assert config.locate(None, {"DVBBOXES_CONFIG": ""}) == config.locate(None, {}) == "/etc/dvbboxes/configuration"
    assert config.locate("", environ) == ""


# --- prepare --------------------------------------------------------------------------------------------------------


def test_prepare_creates_the_log_file_and_the_data_folder_with_their_parents(
    tmp_path: pathlib.Path, written: Callable[[str | bytes], pathlib.Path]
) -> None:
    log, data = tmp_path / "a" / "b" / "log", tmp_path / "c" / "d"
    text = SPEC_EXAMPLE.replace("/var/log/dvbboxes/dvbboxes.log", str(log)).replace("/var/lib/dvbboxes", str(data))
    found = config.load(written(text))
    assert not log.parent.exists()
    assert config.prepare(found) == ()
    assert (log.read_bytes(), list(data.iterdir())) == (b"", [])
    log.write_text("kept")
    assert config.prepare(found) == ()
    assert log.read_text() == "kept"


def test_prepare_returns_a_line_for_what_cannot_be_made(
    tmp_path: pathlib.Path, written: Callable[[str | bytes], pathlib.Path]
) -> None:
    (tmp_path / "file").write_text("")
    text = SPEC_EXAMPLE.replace("/var/log/dvbboxes", str(tmp_path / "file")).replace(
        "/var/lib/dvbboxes", str(tmp_path / "file")
    )
    path = written(text)
    log, data = config.prepare(config.load(path))
    assert log.startswith(f"{path}:2: [LOG] filepath: {tmp_path}/file/dvbboxes.log cannot be written (")
    assert data.startswith(f"{path}:7: [DATA] folder: {tmp_path}/file cannot be used (")


# --- scanner and standard parser agree ------------------------------------------------------------------------------

_WORD = st.text(st.sampled_from("aAé1_-.:;#%()[]= \t\xa0\u2028/\"'"), max_size=8)
_LINE = st.one_of(
    st.builds("[{}]".format, _WORD),
    st.builds("{}={}".format, _WORD, _WORD),
    st.builds("{} = {} ; {}".format, _WORD, _WORD, _WORD),
    st.builds(
        "[{}]{}".format, st.sampled_from(["LOG", "DEFAULT", "CLUSTER:a:b"]), st.sampled_from(["", " ;c", "\t;c"])
    ),
    st.sampled_from(["", "   ", "# c", " ; c", ";", "85", "85=", "level=10", "LEVEL = %(x)s", "datefmt=%d"]),
    _WORD,
)
_BODY = st.builds(
    lambda lines, end: "[first]" + end + end.join(lines), st.lists(_LINE, max_size=8), st.sampled_from(["\n", "\r\n"])
)


@given(_BODY, st.booleans())
def test_what_the_scanner_calls_valid_the_standard_parser_reads_the_same(
    tmp_path_factory: pytest.TempPathFactory, text: str, bom: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / f"agree-{os.getpid()}"
    path.write_bytes(text.encode("utf-8-sig" if bom else "utf-8"))
    found = scanner.scan(text)
    if found.mistakes:
        with pytest.raises(ConfigError):
            config.raw_parser(path)
        return
    parser = config.raw_parser(path)
    ours = {s.name: {o.name: o.value for o in s.options.values()} for s in found.sections}
    assert {name: dict(parser.items(name)) for name in parser.sections()} == ours
    assert list(parser.sections()) == [section.name for section in found.sections]


def test_config_gives_raw_text_and_default_is_no_special_section(
    written: Callable[[str | bytes], pathlib.Path],
) -> None:
    parser = config.raw_parser(written("[DEFAULT]\na=1\n[LOG]\nDateFmt=%d %(a)s ; c\n[CLUSTER:x:y]\nHOST=1\n85\n"))
    assert parser.get("LOG", "datefmt") == "%d %(a)s"
    assert parser.sections() == ["DEFAULT", "LOG", "CLUSTER:x:y"]
    assert not parser.has_option("LOG", "a")
    assert parser.items("CLUSTER:x:y") == [("host", "1"), ("85", None)]


@given(st.text(st.characters(), max_size=60))
def test_no_text_whatever_makes_anything_but_a_config_error(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert all(line.isprintable() for line in caught.value.mistakes)
