"""Config -> the files that make every replica of this server: what ``redis-server@NAME`` reads, and what masters need.

Debian's unit (``redis-server@.service``) decides the places: it reads ``/etc/redis/redis-NAME.conf`` and may write to
``/var/lib/redis``, ``/var/log/redis``, ``/run/redis-NAME`` and ``/etc/redis`` alone. Pure: passwords are arguments.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dvbboxes.model import Config, Endpoint, Instance

#: The user a replica is at its master, where masters ask for passwords.
REPLICATION_USER = "dvbboxes-replica"
#: What a reader of a replica may do there: nothing it could harm it with.
_READER = "~* resetchannels -@all +@read +info +select +ping +time +acl|whoami"
#: What a replica may do at its master.
_REPLICATION = "resetkeys resetchannels -@all +psync +replconf +ping"
#: What the one who applies listings may do at a master (SPEC 6), and ask it about itself.
_WRITER = (
    "~* resetchannels -@all +@read +@transaction +del +zadd "
    "+info +ping +select +time +acl|whoami +client|id +client|kill"
)
#: A unit's name has 255 characters at most: this leaves room for what stands around an instance's.
_LONGEST = 180
_UNSAFE = re.compile(r"[^a-z0-9._-]")
_LOOPBACK = frozenset({"localhost", "::1"})
_PENDING = "(a password that does not exist yet)"


@dataclass(frozen=True, slots=True)
class Places:
    """Where things lie on a Debian server."""

    config: str = "/etc/redis"
    data: str = "/var/lib/redis"
    log: str = "/var/log/redis"
    run: str = "/run"
    units: str = "/etc/systemd/system"


DEBIAN = Places()


@dataclass(frozen=True, slots=True)
class File:
    """One file to be there: its absolute path, what dvbboxes writes into it, and whether a secret is in it."""

    path: str
    text: str
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Kit:
    """Everything one instance's replica needs.

    ``name`` is the NAME of ``redis-server@NAME``; ``here`` is whether it is a replica of this server, ``host`` where it
    is if not. ``master`` are the lines for its master's redis.conf. ``problems`` keep it from working.
    """

    instance: Instance
    name: str
    here: bool
    host: str
    files: tuple[File, ...]
    master: str
    problems: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """The systemd unit."""
        return f"redis-server@{self.name}.service"

    @property
    def pending(self) -> bool:
        """Whether a password that it needs does not exist yet, or may not be read by this user."""
        return any(_PENDING in text for text in (self.master, *(file.text for file in self.files)))


def unit_names(instances: Sequence[Instance]) -> dict[str, str]:
    """Return the NAME of ``redis-server@NAME`` for each fqdn: the fqdn itself wherever that is safe, and no two alike.

    What is not ``a-z 0-9 . _ -`` (an IPv6 address) or too long for a unit is changed, with a few digits of its hash.
    """
    return {instance.fqdn: _unit_name(instance.fqdn) for instance in instances}


def _unit_name(fqdn: str) -> str:
    safe = _UNSAFE.sub("-", fqdn).strip(".-")
    if safe == fqdn and len(safe) <= _LONGEST:
        return safe
    return f"{safe[:_LONGEST]}-{hashlib.sha256(fqdn.encode()).hexdigest()[:8]}".lstrip("-")


def replication_file(config: Config, instance: Instance) -> str:
    """Return the path of the password of this instance's replica at its master: beside the configuration file."""
    return f"{_folder(config.path)}/passwords/{_unit_name(instance.fqdn)}.replication"


def password_files(config: Config, instances: Sequence[Instance]) -> tuple[str, ...]:
    """Return the password files that :func:`kits` speaks of, each once."""
    found: dict[str, None] = {}
    for instance in instances:
        if instance.replica.password_file:
            found[instance.replica.password_file] = None
        if instance.master.password_file:
            found[instance.master.password_file] = None
            found[replication_file(config, instance)] = None
    return tuple(found)


def is_here(endpoint: Endpoint) -> bool:
    """Return whether an endpoint can only be on this machine: a unix socket or a loopback address."""
    return endpoint.path is not None or endpoint.host in _LOOPBACK or endpoint.host.startswith("127.")


def kits(
    config: Config, instances: Sequence[Instance], passwords: Mapping[str, str], places: Places = DEBIAN
) -> tuple[Kit, ...]:
    """Return one kit per instance. ``passwords`` maps the files of :func:`password_files` to what is in them."""
    names = unit_names(instances)
    return tuple(_kit(config, instance, names[instance.fqdn], passwords, places) for instance in instances)


def _kit(config: Config, instance: Instance, name: str, passwords: Mapping[str, str], places: Places) -> Kit:
    files = (
        File(f"{places.config}/redis-{name}.conf", _lines(_configuration(config, instance, name, places))),
        File(f"{places.config}/redis-{name}.secrets", _lines(_secrets(config, instance, passwords)), secret=True),
        File(f"{places.units}/redis-server@{name}.service.d/dvbboxes.conf", _lines(_drop_in())),
    )
    here = is_here(instance.replica)
    problems = tuple(_problems(instance, name, places))
    host = "" if here else instance.replica.host
    return Kit(instance, name, here, host, files, _lines(_for_master(config, instance, passwords)), problems)


def _lines(lines: Iterator[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


# --- redis-NAME.conf --------------------------------------------------------------------------------------------------


def _configuration(config: Config, instance: Instance, name: str, places: Places) -> Iterator[str]:
    yield f"# The replica of {instance.fqdn} ({_comment(instance.cluster)}) on this server."
    yield from _listening(instance.replica, name, places)
    yield from _tls(config, instance)
    yield ""
    yield "# whom it follows"
    master = instance.master
    if master.path is None:
        yield f"replicaof {master.host} {master.port}"
    yield "replica-read-only yes"
    yield "# A link that is down is said (stale, with its age); the data are read on."
    yield "replica-serve-stale-data yes"
    yield "# During a new sync the old data stay readable: it takes twice the memory while it lasts."
    yield "repl-diskless-load swapdb"
    yield "# No sentinel may ever make a master of it."
    yield "replica-priority 0"
    yield ""
    yield "# a restart begins with what was there"
    yield f"dir {quoted(places.data)}"
    yield f"dbfilename {quoted(f'dump-{name}.rdb')}"
    yield "save 900 1 300 100 60 10000"
    yield "appendonly no"
    yield "# With yes, a replica on a full disk ends itself at the next write of its master."
    yield "stop-writes-on-bgsave-error no"
    yield ""
    yield "# one that reads too slowly, or never goes, harms nobody else"
    yield "maxclients 512"
    yield "timeout 600"
    yield "tcp-keepalive 60"
    yield "client-output-buffer-limit normal 256mb 64mb 60"
    yield "client-output-buffer-limit pubsub 8mb 2mb 60"
    yield ""
    yield "daemonize no"
    yield "supervised systemd"
    yield f"pidfile {quoted(f'{places.run}/redis-{name}/redis-server.pid')}"
    yield f"logfile {quoted(f'{places.log}/redis-server-{name}.log')}"
    yield "loglevel notice"
    yield "# users and passwords"
    yield f"include {quoted(f'{places.config}/redis-{name}.secrets')}"


def _listening(replica: Endpoint, name: str, places: Places) -> Iterator[str]:
    if replica.path is not None:
        yield "port 0"
        yield f"unixsocket {quoted(replica.path)}"
        yield "# As open as a port on loopback is: what somebody may do there is the user's matter, below."
        yield "unixsocketperm 777"
        return
    yield f"bind {'127.0.0.1 -::1' if replica.host == 'localhost' else quoted(replica.host)}"
    yield "protected-mode yes"
    if replica.tls:
        yield "port 0"
        yield f"tls-port {replica.port}"
        yield "tls-auth-clients no"
    else:
        yield f"port {replica.port}"


def _tls(config: Config, instance: Instance) -> Iterator[str]:
    if instance.master.tls:
        yield "tls-replication yes"
    if not (instance.master.tls or instance.replica.tls):
        return
    authority = instance.master.tls_ca_file or instance.replica.tls_ca_file
    yield f"tls-ca-cert-file {quoted(authority)}" if authority else "tls-ca-cert-dir /etc/ssl/certs"
    certificate, key = tls_files(config, instance)
    yield f"tls-cert-file {quoted(certificate)}"
    yield f"tls-key-file {quoted(key)}"


def tls_files(config: Config, instance: Instance) -> tuple[str, str]:
    """Return where a replica's own certificate and key are looked for: beside the CA file, else the configuration.

    Redis wants a pair of its own even where it is only the client of a TLS master.
    """
    authority = instance.master.tls_ca_file or instance.replica.tls_ca_file
    folder = _folder(authority or config.path)
    return f"{folder}/replica.crt", f"{folder}/replica.key"


def _folder(path: str) -> str:
    return path.rpartition("/")[0] if "/" in path else "."


def _drop_in() -> Iterator[str]:
    yield "[Unit]"
    yield "# However often it fails: it is started again, and dvbboxes check says that it fails."
    yield "StartLimitIntervalSec=0"
    yield ""
    yield "[Service]"
    yield "Restart=always"
    yield "RestartSec=5"


# --- users and passwords ----------------------------------------------------------------------------------------------


def _secrets(config: Config, instance: Instance, passwords: Mapping[str, str]) -> Iterator[str]:
    replica = instance.replica
    if replica.password_file is None:
        yield f"user default reset on nopass {_READER}"
    else:
        user = replica.username or "default"
        if user != "default":
            yield "user default reset off"
        yield f"user {quoted(user)} reset on #{_digest(passwords, replica.password_file)} {_READER}"
    if instance.master.password_file is not None:
        yield f"masteruser {REPLICATION_USER}"
        yield f"masterauth {quoted(passwords.get(replication_file(config, instance), _PENDING))}"


def _for_master(config: Config, instance: Instance, passwords: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines for a master's redis.conf; passwords stand there as hashes, which are no secret."""
    master = instance.master
    yield f"# for the redis.conf of {master}, the master of {instance.fqdn}"
    if master.password_file is None:
        yield "# nothing: the configuration has no [REDIS] master_password_file, so this master is asked without one"
        return
    yield f"user {REPLICATION_USER} reset on #{_digest(passwords, replication_file(config, instance))} {_REPLICATION}"
    if master.username and master.username != "default":
        yield f"user {quoted(master.username)} reset on #{_digest(passwords, master.password_file)} {_WRITER}"
    else:
        yield f"# and: requirepass with the password of {_comment(master.password_file)}"


def _digest(passwords: Mapping[str, str], path: str) -> str:
    password = passwords.get(path)
    return _PENDING if password is None else hashlib.sha256(password.encode()).hexdigest()


# --- what cannot work -------------------------------------------------------------------------------------------------


def _problems(instance: Instance, name: str, places: Places) -> Iterator[str]:
    replica, run = instance.replica, f"{places.run}/redis-{name}"
    if instance.master.path is not None:
        yield f"its master {instance.master} is a unix socket: Redis replicates over TCP alone"
    if replica.path is not None and replica.path.rpartition("/")[0] not in (run, f"/var{run}"):
        yield f"its socket {replica.path} is where the unit may not write: use unix://{run}/redis-server.sock"
    if not is_here(replica) and replica.password_file is None:
        yield f"it listens on {replica.host} for everybody: name a [REDIS] password_file"


def quoted(value: str) -> str:
    """Return a value as one word of a Redis configuration file."""
    if re.fullmatch(r"[0-9A-Za-z_./:@%+=,-]+", value):
        return value
    return '"' + "".join(_escaped(char) for char in value) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    return char if char.isprintable() else "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))


def _comment(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
