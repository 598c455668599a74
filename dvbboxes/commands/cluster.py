"""The noun ``cluster``: the instances themselves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from dvbboxes.commands import (
    INSTANCES,
    SCOPE,
    TOWNS,
    Asked,
    Context,
    Result,
    Verb,
    asked,
    memory,
    option,
    scope,
    seconds,
)
from dvbboxes.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from dvbboxes.aggregate.cluster import ClusterStatus, InstanceProbe, InstanceStatus
    from dvbboxes.fleet import Fleet
    from dvbboxes.model import Answer, Gathered, Instance
    from dvbboxes.remote import Outcome

T = TypeVar("T")

#: More instances than this are shown by town: their lines would not fit on a screen.
_SCREEN = 24

WATCH = option(
    "--watch",
    nargs="?",
    const="2",
    metavar="SECONDS",
    help="show it again every SECONDS (default: 2) until interrupted",
)
EACH = option("--each", action="store_true", help=f"a line for every instance, also of more than {_SCREEN}")
PROBE = option(
    "--probe",
    action="store_true",
    help="ask the masters and their hosts instead: reachable, writable, clock, ssh, dvbbox; nothing is written",
)


def status(
    context: Context, *, watch: str | None = None, each: bool = False, probe: bool = False, **asking: Any
) -> Result:
    """Show every instance: its replica's state, link and age, versions, and how much it holds, until when.

    Many instances are folded by town. With --probe, whether a listing could be applied: that is for a new town, before
    its first. Exit status 1 when a replica is stale or a probe finds something, 4 when an instance gives no answer.
    """
    whom = asked(context, **asking)
    if probe:
        if watch is not None:
            raise UsageError("--probe and --watch do not go together: it is asked once")
        return _probe(context, whom)
    pause = None if watch is None else seconds("--watch", watch)
    with _Pair(whom) as pair:
        if pause is None:
            return _result(*_picture(context, whom, pair, each, context.now))
        return _watch(context, whom, pair, each, pause)


def _watch(context: Context, whom: Asked, pair: _Pair, each: bool, pause: float) -> Result:
    began, never = time.monotonic(), threading.Event()
    while True:
        view, gathered = _picture(context, whom, pair, each, context.now + time.monotonic() - began)
        context.tell(replace(view, watched=True), gathered)
        never.wait(pause)


def _result(view: ClusterStatus, gathered: Gathered[Any]) -> Result:
    from dvbboxes.model import State

    return Result(view, gathered, any(one.freshness.state is not State.CURRENT for one in gathered.answered))


class _Pair:
    """Both Redis of every instance, asked side by side: the masters must not cost the replicas their time."""

    def __init__(self, whom: Asked) -> None:
        from dvbboxes.fleet import Fleet, Side

        self._replicas, self._masters = whom.fleet(), Fleet(Side.MASTER)

    def __enter__(self) -> _Pair:
        return self

    def __exit__(self, *exc: object) -> None:
        self._replicas.close()
        self._masters.close()

    def ask(
        self, replicas: Callable[[Fleet], Gathered[list[Any]]], masters: Callable[[Fleet], Gathered[list[Any]]]
    ) -> tuple[Gathered[list[Any]], Gathered[list[Any]]]:
        """Return what both questions gathered."""
        return beside(lambda: replicas(self._replicas), lambda: masters(self._masters))


def beside(first: Callable[[], T], second: Callable[[], T]) -> tuple[T, T]:
    """Return what both functions return, run at the same time; what the second raises is raised."""
    found: list[T] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            found.append(second())
        except BaseException as error:  # noqa: BLE001  # raised again below: a thread would print its traceback
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        mine = first()
    finally:
        thread.join()
    if raised:
        raise raised[0]
    return mine, found[0]


def _picture(
    context: Context, whom: Asked, pair: _Pair, each: bool, now: float
) -> tuple[ClusterStatus, Gathered[list[Any]]]:
    from dvbboxes.aggregate.cluster import ClusterStatus
    from dvbboxes.wire import Request

    infos = tuple((0, ("INFO", section)) for section in ("server", "replication", "memory"))
    request = Request((*infos, (0, ("DBSIZE",)), (1, ("DBSIZE",)), (0, ("KEYS", "*"))))
    of_master = Request(infos[:2])
    gathered, masters = pair.ask(
        lambda fleet: fleet.ask(whom.instances, request, whom.deadline),
        lambda fleet: fleet.ask(whom.instances, of_master, whom.deadline),
    )
    describe = _Describer(context)
    lines = tuple(map(describe, gathered.answers, masters.answers))
    return ClusterStatus(lines, context.config.schedule.zone, now, not each and len(lines) > _SCREEN), gathered


class _Describer:
    """Makes the line of an instance; what equal instances share is worked out once."""

    def __init__(self, context: Context) -> None:
        self._channels, self._on_air = tuple(context.config.channels), context.today
        self._parsed: dict[frozenset[bytes], frozenset[tuple[Any, str]]] = {}

    def __call__(self, answer: Answer[list[Any]], master: Answer[list[Any]]) -> InstanceStatus:
        from dvbboxes.aggregate.cluster import InstanceStatus, scheduled_until
        from dvbboxes.fleet import info_fields

        instance, worth = answer.instance, answer.freshness
        error = "" if answer.error is None else answer.error.message
        known = InstanceStatus(
            instance.cluster, instance.fqdn, str(instance.replica), worth.state.value, worth.link, worth.age, error
        )
        theirs = info_fields(master.value[0]) if master.value else {}
        known = replace(
            known,
            master_version=version(theirs) if theirs else "",
            master_error="" if master.error is None else master.error.message,
        )
        if answer.value is None:
            return known
        server, link, used = map(info_fields, answer.value[:3])
        return replace(
            known,
            follows=f"{link['master_host']}:{link.get('master_port', '?')}" if "master_host" in link else "",
            version=version(server),
            behind=_behind(info_fields(master.value[1]), link) if master.value else None,
            programs=_count(answer.value[3]),
            media=_count(answer.value[4]),
            memory=_number(used.get("used_memory")),
            until=scheduled_until(instance, self._channels, self._programs(answer.value[5]), self._on_air),
        )

    def _programs(self, keys: object) -> frozenset[tuple[Any, str]]:
        from dvbboxes.wire import parse_program_key

        held = frozenset(keys) if isinstance(keys, list) else frozenset()
        if held not in self._parsed:
            self._parsed[held] = frozenset(found for key in held if (found := parse_program_key(key)))
        return self._parsed[held]


def _behind(master: Mapping[str, str], replica: Mapping[str, str]) -> int | None:
    """Return how many bytes of its master's stream a replica has yet to get; None: they speak of two histories."""
    has, sent = _number(replica.get("slave_repl_offset")), _number(master.get("master_repl_offset"))
    if has is None or sent is None or master.get("master_replid") != replica.get("master_replid"):
        return None
    return max(0, sent - has)


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else None


def _count(reply: object) -> int | None:
    return reply if isinstance(reply, int) else None


def version(server: Mapping[str, str]) -> str:
    """Return a server's name and version from its INFO server fields: Valkey calls itself redis 7.2.4 too."""
    from dvbboxes.replicas.versions import version_of

    return str(version_of(server))


# --- the probe --------------------------------------------------------------------------------------------------------


def _probe(context: Context, whom: Asked) -> Result:
    """Ask every master whether it could be written to, and every host for dvbbox; nothing is written anywhere."""
    from dvbboxes import remote
    from dvbboxes.aggregate.cluster import ClusterProbe
    from dvbboxes.fleet import Fleet, Side

    settings, deadline = context.config.ssh, context.config.redis.master_deadline
    jobs = [remote.Job(one, _looking_for(settings.dvbbox)) for one in whom.instances]

    def masters() -> tuple[Any, ...]:
        with Fleet(Side.MASTER) as fleet:
            began = time.time()  # the command's own moment is older, by its imports: a clock would seem off by that
            gathered = fleet.gather(whom.instances, _Rehearsal(context), deadline)
            return began, gathered

    (began, gathered), outcomes = beside(masters, lambda: remote.run(jobs, settings))
    found = tuple(_probed(answer, began, outcome) for answer, outcome in zip(gathered.answers, outcomes, strict=True))
    unreached = any(one.ssh for one in found)
    return Result(ClusterProbe(found), gathered, not all(one.ready for one in found), partial=unreached)


class _Rehearsal:
    """The talk that finds out whether a program could be written: everything is queued, then thrown away.

    A master refuses what it would refuse (READONLY, OOM, NOPERM, MISCONF) when a command is queued.
    """

    def __init__(self, context: Context) -> None:
        from dvbboxes.wire import Request, program_key

        key = program_key(context.today, next(iter(context.config.channels)))
        writing = (("MULTI",), ("DEL", key), ("ZADD", key, "1", "x.ts:0"), ("DISCARD",))
        commands = (("TIME",), ("INFO", "server"), ("INFO", "replication"), *writing)
        self._request = Request(tuple((0, words) for words in commands), tolerant=True)

    def __call__(self, instance: Instance) -> Any:
        """Return the talk with one master."""
        replies = yield self._request
        return replies


def _looking_for(dvbbox: str) -> tuple[tuple[str, ...], ...]:
    import shlex

    try:
        words = shlex.split(dvbbox)
    except ValueError:
        words = []
    if not words:
        raise ConfigError([f"[SSH] dvbbox: {dvbbox!r} is no command"])
    return (("command", "-v", words[-1]),)


def _probed(answer: Answer[list[Any]], began: float, outcome: Outcome) -> InstanceProbe:
    from dvbboxes.aggregate.cluster import InstanceProbe
    from dvbboxes.fleet import info_fields

    instance, (result,) = answer.instance, outcome.results
    found = InstanceProbe(
        instance.cluster,
        instance.fqdn,
        master="" if answer.error is None else answer.error.message,
        writing="",
        version="",
        clock=None,
        precision=0.0,
        ssh="" if outcome.error is None else outcome.error.message,
        dvbbox=result.lines[-1] if result.ok and result.lines else "",
    )
    if answer.value is None:
        return found
    clock, server, link, *writing = answer.value
    half = answer.elapsed / 2
    return replace(
        found,
        version=version(info_fields(server)),
        clock=None if (said := _clock(clock)) is None else said - (began + half),
        precision=half,
        writing=_unwritable(info_fields(link), writing),
    )


def _clock(reply: object) -> float | None:
    if not isinstance(reply, list) or len(reply) != 2 or not all(isinstance(part, bytes) for part in reply):
        return None
    whole, micro = (_number(part.decode("ascii", "replace")) for part in reply)
    return None if whole is None or micro is None else whole + micro / 1e6


def _unwritable(link: Mapping[str, str], replies: Sequence[object]) -> str:
    refusal = next((str(reply) for reply in replies if isinstance(reply, Exception)), "")
    if link.get("role") == "slave":
        return f"it is a replica itself, of {link.get('master_host')}:{link.get('master_port')}"
    return refusal


def forget(context: Context, towns: Sequence[str] | None, instances: Sequence[str] | None) -> Result:
    """Forget what replicas held when last seen: one that is meant to be empty is then no longer suspect."""
    from dvbboxes.aggregate.cluster import ClusterForgotten

    if towns is None and instances is None:
        raise UsageError("cluster forget: name --towns or --instance")
    context.must_write()
    chosen = scope(context.config, towns, instances)
    try:
        memory(context).forget(chosen)
    except OSError as error:
        what = f"[DATA] folder {context.config.data_folder} cannot be written to: {error.strerror}"
        raise ConfigError([what]) from error
    return Result(ClusterForgotten(tuple(one.fqdn for one in chosen)))


VERBS = (Verb("status", status, (*SCOPE, WATCH, EACH, PROBE)), Verb("forget", forget, (TOWNS, INSTANCES)))
