"""Is the replica that runs the one the configuration asks for? Pure: what was seen is an argument."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dvbboxes.model import Answer
from dvbboxes.replicas import Kit
from dvbboxes.replicas.versions import can_follow, version_of
from dvbboxes.replicas.views import Finding, Level, ProcessFacts

_LOOPBACK = {"localhost": "127.0.0.1"}


def unanswered(answer: Answer[Any]) -> tuple[Finding, ...]:
    """Return what there is to say of a replica that gave no answer."""
    said = answer.error.message if answer.error else ""
    return (Finding("answer", Level.WRONG, said),)


def answered(
    kit: Kit,
    server: Mapping[str, str],
    link: Mapping[str, str],
    who: str,
    master: Mapping[str, str],
    facts: ProcessFacts,
) -> tuple[Finding, ...]:
    """Return what was found of one replica.

    ``server`` and ``link`` are its ``INFO server`` and ``INFO replication``, ``who`` its ``ACL WHOAMI``; ``master`` is
    the ``INFO server`` of its master, empty where that did not answer.
    """
    return (
        _master(kit, link),
        _link(link),
        _role(link),
        _user(kit, who),
        _version(server, master),
        *_files(kit, server, facts),
    )


def _master(kit: Kit, link: Mapping[str, str]) -> Finding:
    wanted = kit.instance.master
    if "master_host" not in link:
        return Finding("master", Level.WRONG, f"it follows nobody: it should follow {wanted}")
    follows = link["master_host"].lower(), link.get("master_port", "")
    if (_LOOPBACK.get(follows[0], follows[0]), follows[1]) == (
        _LOOPBACK.get(wanted.host, wanted.host),
        str(wanted.port),
    ):
        return Finding("master", Level.OK, f"follows {wanted}")
    return Finding("master", Level.WRONG, f"it follows {':'.join(follows)}, the configuration says {wanted}")


def _link(link: Mapping[str, str]) -> Finding:
    if link.get("master_sync_in_progress") == "1":
        return Finding("link", Level.WRONG, "a sync is in progress: look again in a moment")
    if link.get("master_link_status") == "up":
        return Finding("link", Level.OK, f"up, last heard {link.get('master_last_io_seconds_ago', '?')} s ago")
    return Finding("link", Level.WRONG, "down: its log says why (address, password, version, certificate)")


def _role(link: Mapping[str, str]) -> Finding:
    if link.get("role") == "slave" and link.get("slave_read_only") != "1":
        return Finding("role", Level.WRONG, "it can be written to: set replica-read-only yes")
    if link.get("role") == "slave" and link.get("slave_priority") != "0":
        return Finding("role", Level.WRONG, "a sentinel could make a master of it: set replica-priority 0")
    return Finding("role", Level.OK, "read-only")


def _user(kit: Kit, who: str) -> Finding:
    replica = kit.instance.replica
    wanted = (replica.username or "default") if replica.password_file else "default"
    if not who:
        return Finding("user", Level.UNKNOWN, "it does not say as whom we are there")
    if who != wanted:
        return Finding("user", Level.WRONG, f"we are {who} there, the configuration says {wanted}")
    return Finding("user", Level.OK, who)


def _version(server: Mapping[str, str], master: Mapping[str, str]) -> Finding:
    ours = version_of(server)
    if not master:
        return Finding("version", Level.UNKNOWN, f"{ours}; its master did not say what it is")
    theirs = version_of(master)
    if can_follow(ours, theirs):
        return Finding("version", Level.OK, f"{ours} follows {theirs}")
    return Finding("version", Level.WRONG, f"{ours} cannot read what its master, {theirs}, sends: install a newer one")


def _files(kit: Kit, server: Mapping[str, str], facts: ProcessFacts) -> Iterator[Finding]:
    wanted = kit.files[0].path
    if not kit.here:
        yield Finding("process", Level.UNKNOWN, f"it is on {kit.host}")
        return
    if server.get("config_file", "") != wanted:
        yield Finding(
            "file", Level.WRONG, f"it was started with {server.get('config_file') or 'no file'}, not {wanted}"
        )
    elif facts.as_rendered is False:
        yield Finding("file", Level.WRONG, f"{wanted} is not as configured: dvbboxes replicas install")
    elif facts.as_rendered is None:
        yield Finding("file", Level.UNKNOWN, f"{wanted} cannot be read by this user: run this as root")
    else:
        yield Finding("file", Level.OK, wanted)
    if facts.stale_binary or facts.stale_file:
        what = "its program was replaced" if facts.stale_binary else "its configuration was changed"
        yield Finding("process", Level.WRONG, f"{what} since it started: systemctl restart {kit.unit}")
    elif facts.stale_binary is None or facts.stale_file is None:
        yield Finding("process", Level.UNKNOWN, "whether it is as old as its files cannot be seen by this user")
    else:
        yield Finding("process", Level.OK, "in step with its program and its file")
