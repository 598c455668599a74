"""From the scanned sections to one frozen :class:`dvbboxes.model.Config`, or every mistake at once (SPEC 3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, tzinfo
from types import MappingProxyType
from typing import NamedTuple

from dvbboxes.config import values, zones
from dvbboxes.config.endpoints import Access, same_place
from dvbboxes.config.reader import Keys, Reader
from dvbboxes.config.scanner import Option, Scan
from dvbboxes.config.values import BadValue
from dvbboxes.errors import did_you_mean
from dvbboxes.model import (
    Config,
    Endpoint,
    Instance,
    LogSettings,
    RedisSettings,
    ScheduleSettings,
    SshSettings,
    SshTarget,
    Town,
)

SECTIONS = ("LOG", "DATA", "CHANNELS", "REDIS", "SSH", "SCHEDULE")
CLUSTER = "CLUSTER:"
INSTANCE = "INSTANCE:"


class _Common(NamedTuple):
    """What every instance has unless its ``[INSTANCE:fqdn]`` says otherwise."""

    master: Access
    master_port: int
    ssh_user: str | None
    ssh_port: int
    media_folder: str
    zone: tzinfo
    channels: Mapping[str, str]


class _Member(NamedTuple):
    """One ``fqdn=replica`` line of a cluster."""

    cluster: str
    fqdn: str
    replica: Endpoint
    line: int


def build(path: str, found: Scan, environ: Mapping[str, str]) -> Config:
    """Return the Config that the scanned file ``path`` describes; ``TZ`` in ``environ`` is the system's zone.

    Raises ConfigError with every mistake in the file, each ``file:line: [section] key: what is wrong``.
    """
    reader = Reader(path, found)
    _check_section_names(reader)
    log = _log(reader)
    data = reader.required("DATA", "folder=/var/lib/dvbboxes")
    folder = data.need("folder", values.plain_text, "/var/lib/dvbboxes")
    data.done()
    _warn_relative(data, "folder", folder)
    channels = _channels(reader)
    towns, redis, ssh, schedule = _fleet(reader, channels, environ)
    reader.finish()
    return Config(
        path=path,
        log=log,
        data_folder=folder,
        channels=MappingProxyType(channels),
        towns=towns,
        redis=redis,
        ssh=ssh,
        schedule=schedule,
        settings=tuple(reader.settings),
        warnings=tuple(reader.warnings),
    )


def _check_section_names(reader: Reader) -> None:
    for section in reader.sections.values():
        name = section.name
        prefix, colon, rest = name.partition(":")
        if name in SECTIONS or not name:
            continue
        if name.startswith((CLUSTER, INSTANCE)):
            if not rest.strip():
                reader.wrong(section.line, name, "", f"the name after [{prefix}: is missing")
            elif rest != rest.strip():
                reader.wrong(section.line, name, "", "spaces around the name: remove them")
            elif prefix == "CLUSTER" and "," in rest:
                reader.odd(section.line, name, "", "a comma in its name: --towns separates towns with commas")
            continue
        known = (*SECTIONS, "CLUSTER:name", "INSTANCE:fqdn")
        if colon:
            hint = did_you_mean(f"{prefix}:", (CLUSTER, INSTANCE)).replace(":?", f":{rest}?")
        else:
            hint = did_you_mean(name, (*SECTIONS, "CLUSTER", "INSTANCE"))
            hint = hint.replace("CLUSTER?", "CLUSTER:name?").replace("INSTANCE?", "INSTANCE:fqdn?")
        reader.wrong(section.line, name, "", f"unknown section{hint or ' (there are: ' + ', '.join(known) + ')'}")


def _warn_relative(keys: Keys, key: str, path: str | None) -> None:
    if path and not path.startswith("/"):
        what = f"{path!r} is relative: it depends on the folder the command is run in"
        keys.reader.odd(keys.line_of(key) or keys.line, keys.name, key, what)


def _log(reader: Reader) -> LogSettings:
    keys = reader.required("LOG", "filepath=, level= and datefmt=")
    settings = LogSettings(
        filepath=keys.need("filepath", values.plain_text, "/var/log/dvbboxes/dvbboxes.log"),
        level=keys.need("level", values.level, "10"),
        datefmt=keys.need("datefmt", values.plain_text, "%d-%m-%Y %H:%M:%S"),
    )
    _warn_relative(keys, "filepath", settings.filepath)
    keys.done()
    return settings


def _channels(reader: Reader) -> dict[str, str]:
    keys = reader.required("CHANNELS", "a line id=name for each channel")
    channels: dict[str, str] = {}
    for option in keys.options.values():
        try:
            service_id = values.service_id(option.name)
        except BadValue as error:
            keys.wrong(option.name, str(error))
            continue
        channels[service_id] = keys.text(option) or service_id
        reader.note(keys.name, service_id, channels[service_id], option.line)
    if keys.there() and not keys.options:
        reader.wrong(keys.line, keys.name, "", "no channel is configured: add a line such as 85=Ma chaine")
    _warn_ambiguous(keys, channels)
    return channels


def _warn_ambiguous(keys: Keys, channels: Mapping[str, str]) -> None:
    """A channel is its id or its name on the command line: one word should not mean two channels."""
    meanings: dict[str, list[str]] = {}
    for service_id, name in channels.items():
        meanings.setdefault(service_id, []).append(service_id)
        if name != service_id:
            meanings.setdefault(name, []).append(service_id)
    for word, ids in meanings.items():
        if len(ids) > 1:
            line = keys.options[ids[-1]].line
            keys.reader.odd(line, keys.name, ids[-1], f"{word!r} means the channels {' and '.join(ids)}: use their ids")


def _fleet(
    reader: Reader, channels: Mapping[str, str], environ: Mapping[str, str]
) -> tuple[tuple[Town, ...], RedisSettings, SshSettings, ScheduleSettings]:
    redis, replica, master, master_port = _redis(reader)
    ssh, ssh_user, ssh_port = _ssh(reader)
    schedule, media_folder = _schedule(reader, environ)
    common = _Common(master, master_port, ssh_user, ssh_port, media_folder, schedule.zone, channels)
    members = _members(reader, replica)
    extras = _extras(reader, members)
    instances = {fqdn: _instance(reader, common, member, extras.get(fqdn)) for fqdn, member in members.items()}
    _warn_shared_masters(reader, members, instances)
    return _towns(reader, instances.values()), redis, ssh, schedule


def _redis(reader: Reader) -> tuple[RedisSettings, Access, Access, int]:
    keys = reader.keys("REDIS")
    settings = RedisSettings(
        deadline=keys.get("deadline", values.positive_seconds, "2"),
        master_deadline=keys.get("master_deadline", values.positive_seconds, "5"),
        max_age=keys.get_or_none("max_age", values.seconds),
    )
    master_port = keys.get("master_port", values.port, "6379")
    user = keys.get_or_none("username", values.plain_text)
    password_file = keys.get_or_none("password_file", values.plain_text)
    master_user = keys.get_or_none("master_username", values.plain_text)
    master_password_file = keys.get_or_none("master_password_file", values.plain_text)
    tls = keys.get("tls", values.yes_no, "no")
    ca_file = keys.get_or_none("tls_ca_file", values.plain_text)
    keys.done()
    _warn_relative(keys, "password_file", password_file)
    _warn_relative(keys, "master_password_file", master_password_file)
    _warn_relative(keys, "tls_ca_file", ca_file)
    # A replica is on this machine as a rule: one that is not says rediss:// itself.
    replica = Access(user, password_file, False, ca_file)
    return settings, replica, Access(master_user, master_password_file, tls, ca_file), master_port


def _ssh(reader: Reader) -> tuple[SshSettings, str | None, int]:
    keys = reader.keys("SSH")
    settings = SshSettings(
        update=keys.get("update", values.yes_no, "yes"),
        command=keys.get("command", values.plain_text, "ssh"),
        options=keys.get_or_none("options", values.words) or (),
        dvbbox=keys.get("dvbbox", values.plain_text, "dvbbox"),
        parallel=keys.get("parallel", values.count, "16"),
        timeout=keys.get("timeout", values.positive_seconds, "60"),
    )
    user = keys.get_or_none("user", values.user)
    port = keys.get("port", values.port, "22")
    keys.done()
    return settings, user, port


def _schedule(reader: Reader, environ: Mapping[str, str]) -> tuple[ScheduleSettings, str]:
    keys = reader.keys("SCHEDULE")
    settings = ScheduleSettings(
        zone=_zone(keys, environ),
        day_start=keys.get("day_start", values.time_of_day, "07:30"),
        cutoff=keys.get("cutoff", values.seconds, "900"),
        tolerance=keys.get("tolerance", values.seconds, "1.2"),
    )
    media_folder = keys.get("media_folder", values.folder_on_instance, "/opt/tsfiles")
    keys.done()
    return settings, media_folder


def _zone(keys: Keys, environ: Mapping[str, str]) -> tzinfo:
    named = keys.optional("timezone", zones.zone)
    if named is not None:
        return named
    try:
        system, source = zones.system_zone(environ)
    except BadValue as error:
        keys.wrong("timezone", str(error))
        return UTC
    keys.reader.note(keys.name, "timezone", f"{system} (the system's, {source})", None)
    return system


def _members(reader: Reader, access: Access) -> dict[str, _Member]:
    """Return every ``fqdn=replica`` of every cluster, in file order; each mistake is remembered."""
    members: dict[str, _Member] = {}
    places: dict[tuple[str, int], _Member] = {}
    clusters = [name for name in reader.sections if name.startswith(CLUSTER)]
    if not clusters:
        what = "no cluster is configured: add [CLUSTER:name] with a line fqdn=6381 for each instance"
        reader.wrong(reader.last_line, "CLUSTER:name", "", what)
    for name in clusters:
        keys = reader.keys(name)
        if not keys.options:
            reader.wrong(keys.line, name, "", "no instance is in it: add a line fqdn=6381 for each")
        for option in keys.options.values():
            member = _member(keys, option, access)
            if member is None:
                continue
            first = members.setdefault(member.fqdn, member)
            if first is not member:
                what = f"is in [{CLUSTER}{first.cluster}] too (line {first.line}): a host has one cluster"
                keys.wrong(option.name, what)
                continue
            rival = places.setdefault(same_place(member.replica), member)
            if rival is not member:
                what = f"{member.replica} is the replica of {rival.fqdn} already (line {rival.line})"
                keys.wrong(option.name, what)
    return members


def _member(keys: Keys, option: Option, access: Access) -> _Member | None:
    text = keys.text(option)
    if text is None:
        return None
    try:
        fqdn = values.host(option.name)
        if not text:
            raise BadValue("it has no replica: write host=port, the port of its replica on this machine (e.g. 6381)")
        replica = access.parse(text)
    except BadValue as error:
        keys.wrong(option.name, str(error))
        return None
    keys.reader.note(keys.name, fqdn, str(replica), option.line)
    return _Member(keys.name.removeprefix(CLUSTER), fqdn, replica, option.line)


def _extras(reader: Reader, members: Mapping[str, _Member]) -> dict[str, Keys]:
    """Return the ``[INSTANCE:fqdn]`` sections by lower-case fqdn; one for a host in no cluster is a mistake."""
    extras: dict[str, Keys] = {}
    # A host whose own line is wrong is in a cluster all the same: one mistake, not two.
    clusters = (found for name, found in reader.sections.items() if name.startswith(CLUSTER))
    mentioned = {option.name for found in clusters for option in found.options.values()}
    for name, section in reader.sections.items():
        if not name.startswith(INSTANCE) or not name.removeprefix(INSTANCE).strip():
            continue
        fqdn = values.canonical_host(name.removeprefix(INSTANCE).strip())
        keys = reader.keys(name)
        if fqdn in extras:
            what = f"the section stands twice (first at line {extras[fqdn].line}): host names are case-insensitive"
            reader.wrong(section.line, name, "", what)
        elif fqdn in members:
            extras[fqdn] = keys
        elif fqdn not in mentioned:
            hint = did_you_mean(fqdn, members) or ": add it to a [CLUSTER:name]"
            reader.wrong(section.line, name, "", f"this host is in no cluster{hint}")
    return extras


def _instance(reader: Reader, common: _Common, member: _Member, extra: Keys | None) -> Instance:
    """Return one instance whole: its line in a cluster, its own section if it has one, what is common to all."""
    fqdn = member.fqdn
    section = extra.name if extra else f"{INSTANCE}{fqdn}"
    if extra is None:
        master = common.master.at(fqdn, common.master_port)
        instance = Instance(
            member.cluster,
            fqdn,
            member.replica,
            master,
            SshTarget(fqdn, common.ssh_user, common.ssh_port),
            common.zone,
            common.media_folder,
        )
    else:
        instance = _special(common, member, extra)
        master = instance.master
    line = extra.line_of("master") if extra else None
    if line is None:
        reader.note(section, "master", str(master), None)
    if same_place(master) == same_place(member.replica):
        what = f"{member.replica} is its master too: reading would burden it"
        reader.odd(member.line, f"{CLUSTER}{member.cluster}", fqdn, what)
    return instance


def _special(common: _Common, member: _Member, keys: Keys) -> Instance:
    """Return an instance that has a section of its own."""
    instance = Instance(
        cluster=member.cluster,
        fqdn=member.fqdn,
        replica=member.replica,
        master=keys.optional("master", common.master.parse) or common.master.at(member.fqdn, common.master_port),
        ssh=SshTarget(
            host=keys.optional("ssh_host", values.host) or member.fqdn,
            user=keys.optional("ssh_user", values.user) or common.ssh_user,
            port=keys.optional("ssh_port", values.port) or common.ssh_port,
        ),
        zone=keys.optional("timezone", zones.zone) or common.zone,
        media_folder=keys.optional("media_folder", values.folder_on_instance) or common.media_folder,
        channels=_carried(common, keys),
        maintenance=keys.optional("maintenance", values.yes_no) or False,
    )
    keys.done()
    return instance


def _carried(common: _Common, keys: Keys) -> frozenset[str] | None:
    """Return the service ids of ``channels=``, None for all; each must be configured."""
    text = keys.optional("channels", values.plain_text)
    if text is None:
        return None
    wanted = [word.strip() for word in text.split(",") if word.strip()]
    if not wanted:
        keys.wrong("channels", "it names no channel: leave it empty for all, or write ids (e.g. 85,86)")
    for word in wanted:
        if word not in common.channels:
            there = ", ".join(common.channels)
            what = f"{word!r} is not configured in [CHANNELS]{did_you_mean(word, common.channels)} (there are: {there})"
            keys.wrong("channels", what)
    return frozenset(wanted)


def _warn_shared_masters(reader: Reader, members: Mapping[str, _Member], instances: Mapping[str, Instance]) -> None:
    masters: dict[tuple[str, int], str] = {}
    for fqdn, instance in instances.items():
        rival = masters.setdefault(same_place(instance.master), fqdn)
        if rival != fqdn:
            what = f"its master {instance.master} is that of {rival} too"
            reader.odd(members[fqdn].line, f"{CLUSTER}{instance.cluster}", fqdn, what)


def _towns(reader: Reader, instances: Iterable[Instance]) -> tuple[Town, ...]:
    clusters = [name.removeprefix(CLUSTER) for name in reader.sections if name.startswith(CLUSTER)]
    towns: dict[str, list[Instance]] = {cluster: [] for cluster in clusters}
    for instance in instances:
        towns[instance.cluster].append(instance)
    return tuple(Town(name, tuple(members)) for name, members in towns.items())
