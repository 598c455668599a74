"""The noun ``cluster``: the instances themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dvbboxes.commands import SCOPE, Context, Result, Verb, asked

if TYPE_CHECKING:
    from dvbboxes.aggregate import InstanceStatus
    from dvbboxes.model import Answer


def status(context: Context, **scope: Any) -> Result:
    """Show every instance: its replica's state, link and age, versions, and how many programs and files it holds.

    Exit status 1 when a replica is stale, 4 when one gives no answer.
    """
    from dvbboxes.aggregate import ClusterStatus
    from dvbboxes.fleet import Fleet
    from dvbboxes.model import State
    from dvbboxes.wire import Request

    whom = asked(context, **scope)
    request = Request(((0, ("INFO", "server")), (0, ("INFO", "replication")), (0, ("DBSIZE",)), (1, ("DBSIZE",))))
    with Fleet(max_age=whom.max_age) as fleet:
        gathered = fleet.ask(whom.instances, request, whom.deadline)
    view = ClusterStatus(tuple(_describe(answer) for answer in gathered.answers))
    stale = any(answer.freshness.state is not State.CURRENT for answer in gathered.answered)
    return Result(view, gathered, stale)


def _describe(answer: Answer[list[Any]]) -> InstanceStatus:
    from dvbboxes.aggregate import InstanceStatus
    from dvbboxes.fleet import info_fields

    instance, worth = answer.instance, answer.freshness
    error = "" if answer.error is None else answer.error.message
    known = InstanceStatus(
        instance.cluster, instance.fqdn, str(instance.replica), worth.state.value, worth.link, worth.age, error
    )
    if answer.value is None:
        return known
    server, link = info_fields(answer.value[0]), info_fields(answer.value[1])
    return replace(
        known,
        follows=f"{link['master_host']}:{link['master_port']}" if "master_host" in link else "",
        version=version(server),
        programs=_count(answer.value[2]),
        media=_count(answer.value[3]),
    )


def _count(reply: object) -> int | None:
    return reply if isinstance(reply, int) else None


def version(server: dict[str, str]) -> str:
    """Return a server's name and version from its INFO server fields: Valkey calls itself redis 7.2.4 too."""
    if server.get("server_name") == "valkey":
        return f"valkey {server.get('valkey_version', '?')}"
    return f"redis {server.get('redis_version', '?')}"


VERBS = (Verb("status", status, SCOPE),)
