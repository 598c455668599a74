"""Looking at masters, writing to them, and waiting for the replicas (SPEC 6).

Each master gets one transaction for all its days, on what it held when the plan was made or not at all; instances are
written side by side under one deadline, and one that fails stops no other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, TypeVar

from dvbboxes.fleet import Fleet, Side, Talk, info_fields
from dvbboxes.model import Answer, Duration, DurationKind, Failure, FailureKind, Gathered, Instance, Slot, Stored
from dvbboxes.plan import Change, Held, Key
from dvbboxes.records import ChangeState
from dvbboxes.store import ReplyError
from dvbboxes.wire import (
    PROGRAMS,
    Command,
    Request,
    decode_durations,
    decode_stored,
    duration_request,
    program_key,
    program_request,
    slots_of,
    write_commands,
)

T = TypeVar("T")

#: How often a transaction that somebody else's write undid is tried (each time with what that somebody left).
ATTEMPTS = 3
#: Seconds between two looks at a replica that is not there yet.
_PAUSE = 0.02
#: Half the seconds that the first look at the replicas takes at most; each next look may take twice as long.
_FIRST_LOOK = 0.125
_REPLICATION: Command = (0, ("INFO", "replication"))


# --- what the masters hold ------------------------------------------------------------------------------------------


def look(
    fleet: Fleet, instances: Sequence[Instance], deadline: float, keys: Sequence[Key], media: Sequence[str]
) -> Gathered[Held]:
    """Return what each master holds under the keys, byte for byte, and which of the files (with ``.ts``) it lacks.

    One gather. A server that is itself a replica is no master: it fails.
    """
    request = Request(
        (_REPLICATION, *program_request(keys).commands, *(duration_request(media).commands if media else ()))
    )
    programs: dict[Key, list[tuple[Any, Stored | None]]] = {key: [] for key in keys}
    said: list[tuple[Any, dict[str, Duration]]] = []

    def talk(instance: Instance) -> Talk[Held | None]:
        replication, *replies = yield request
        if info_fields(replication).get("role") == "slave":
            return None
        held = {key: _once(programs[key], reply, decode_stored) for key, reply in zip(keys, replies, strict=False)}
        durations = _once(said, replies[-1], lambda reply: _durations(media, reply)) if media else {}
        tails = {key: tail for key, stored in held.items() if stored and (tail := _tail(stored))}
        others = list(dict.fromkeys(tail.media for tail in tails.values() if tail.media not in durations))
        if others:
            (reply,) = yield duration_request(others)
            durations = durations | _durations(others, reply)
        return Held(
            {key: stored or () for key, stored in held.items()},
            frozenset(name for name in media if durations[name].kind is DurationKind.ABSENT),
            frozenset(key for key, stored in held.items() if stored is None),
            {key: tail.start + (durations[tail.media].seconds or 0.0) for key, tail in tails.items()},
        )

    found = fleet.gather(instances, talk, deadline)
    return Gathered(tuple(map(_writable, found.answers)), found.elapsed)


def _writable(answer: Answer[Held | None]) -> Answer[Held]:
    """Return a master's answer; that of a server which follows another one is a failure."""
    error = answer.error
    if error is None and answer.value is None:
        said = f"master {answer.instance.master} is itself a replica (read-only): nothing can be written there"
        error = Failure(FailureKind.READONLY, said)
    return Answer(answer.instance, answer.value, error, answer.elapsed, answer.freshness)


def _tail(stored: Stored) -> Slot | None:
    """Return the entry of a program that starts last; None where nothing in it is one."""
    return max(slots_of(stored), key=lambda slot: slot.start, default=None)


def _once(known: list[tuple[Any, T]], reply: Any, decode: Callable[[Any], T]) -> T:
    for seen, value in known:
        if seen == reply:
            return value
    known.append((reply, decode(reply)))
    return known[-1][1]


def _durations(media: Sequence[str], reply: Any) -> dict[str, Duration]:
    return dict(zip(media, decode_durations(reply, len(media)), strict=True))


# --- writing --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Written:
    """What became of one program on one master, and in words why."""

    instance: Instance
    day: date
    service_id: str
    state: ChangeState
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a master's replication stream stands after the write: a replica that has read to there has it."""

    replid: str
    offset: int


class _Shared:
    """What the talks of one writing share: most instances are asked the same and say the same.

    A request is packed once for all that are given it, and equal replies are decoded once.
    """

    def __init__(self) -> None:
        self._requests: dict[tuple[Any, ...], Request] = {}
        self._decoded: dict[Key, list[tuple[Any, Stored | None]]] = {}

    def look(self, changes: Sequence[Change]) -> Request:
        """Return the request that watches and reads the programs of the changes."""
        keys = tuple(change.key for change in changes)
        return self._one(("look", keys), lambda: _watching(keys))

    def transaction(self, changes: Sequence[Change]) -> Request:
        """Return the transaction that makes the changes."""
        what = tuple((change.key, id(change.desired)) for change in changes)
        return self._one(("write", what), lambda: _transaction(changes))

    def read_back(self, changes: Sequence[Change]) -> Request:
        """Return the request that reads the programs of the changes."""
        keys = tuple(change.key for change in changes)
        return self._one(("read", keys), lambda: Request((*program_request(keys).commands, _REPLICATION)))

    def _one(self, what: tuple[Any, ...], make: Callable[[], Request]) -> Request:
        if what not in self._requests:
            self._requests[what] = make()
        return self._requests[what]

    def decode(self, change: Change, reply: Any) -> Stored | None:
        """Return the program in a reply about the change's key."""
        return _once(self._decoded.setdefault(change.key, []), reply, decode_stored)


@dataclass(slots=True)
class _Attempt:
    """How far the writing of one master has come; what a failure of the connection means depends on it."""

    changes: list[Change]
    shared: _Shared
    sent: bool = False  # EXEC is on its way and not answered
    client: int | None = None
    results: dict[Key, Written] = field(default_factory=dict)
    position: Position | None = None

    def unsettled(self) -> list[Change]:
        """Return the changes of which it is not known, or was not looked at, whether they are there."""
        open_states = (ChangeState.UNKNOWN, ChangeState.WRITTEN)
        return [c for c in self.changes if c.key in self.results and self.results[c.key].state in open_states]

    def conclude(self, changes: Iterable[Change], state: ChangeState, detail: str = "") -> None:
        for change in changes:
            self.results[change.key] = Written(change.instance, change.day, change.service_id, state, detail)


@dataclass(frozen=True, slots=True)
class WriteReport:
    """The writing of one plan: what became of every change, and each master's position (fqdn -> Position)."""

    written: tuple[Written, ...]
    positions: Mapping[str, Position]


def write(
    changes: Sequence[Change], deadline: float, on_done: Callable[[Instance], None] = lambda _: None
) -> WriteReport:
    """Write the changes to their masters, all instances side by side, within ``deadline`` seconds.

    Per master: WATCH, read, compare with the plan, one MULTI ... EXEC, read back. What somebody else changed since the
    plan is REFUSED, a connection lost after EXEC was sent is settled by reading, else it is UNKNOWN. ``on_done`` is
    called as each instance ends.
    """
    attempts: dict[str, _Attempt] = {}
    instances: dict[str, Instance] = {}
    shared = _Shared()
    for change in changes:
        instances[change.instance.fqdn] = change.instance
        attempts.setdefault(change.instance.fqdn, _Attempt([], shared)).changes.append(change)

    def talk(instance: Instance) -> Talk[None]:
        yield from _write_one(attempts[instance.fqdn])
        on_done(instance)

    with Fleet(Side.MASTER) as fleet:
        gathered = fleet.gather(tuple(instances.values()), talk, deadline)
    lost = [answer.instance for answer in gathered.missing]
    for answer in gathered.missing:
        _give_up(attempts[answer.instance.fqdn], answer.error)
        on_done(answer.instance)
    _settle([one for one in lost if attempts[one.fqdn].unsettled()], attempts, deadline)
    return WriteReport(
        tuple(attempts[change.instance.fqdn].results[change.key] for change in changes),
        {fqdn: attempt.position for fqdn, attempt in attempts.items() if attempt.position is not None},
    )


def _write_one(attempt: _Attempt) -> Talk[None]:
    left = attempt.changes
    for _ in range(ATTEMPTS):
        left = yield from _still_as_planned(attempt, left)
        if not left:
            return
        attempt.sent = True
        replies = yield attempt.shared.transaction(left)
        attempt.sent = False
        executed = replies[-1]
        if isinstance(executed, ReplyError):
            # EXEC only says that something was refused before; what it was says why.
            why = next(reply for reply in replies if isinstance(reply, ReplyError))
            attempt.conclude(left, ChangeState.FAILED, f"the master refused it: {why}; nothing was written")
            return
        if executed is not None:
            yield from _read_back(attempt, left)
            return
    said = f"somebody else wrote there at each of {ATTEMPTS} attempts; nothing was written"
    attempt.conclude(left, ChangeState.FAILED, said)


def _still_as_planned(attempt: _Attempt, changes: Sequence[Change]) -> Talk[list[Change]]:
    """WATCH and read; return the changes whose program is still what the plan saw, the others are refused."""
    client, *_, replication = replies = yield attempt.shared.look(changes)
    attempt.client = client if isinstance(client, int) else None
    if info_fields(replication).get("role") == "slave":
        attempt.conclude(changes, ChangeState.FAILED, "it is itself a replica: nothing is written there")
        return []
    if isinstance(replies[1], ReplyError):
        attempt.conclude(changes, ChangeState.FAILED, f"the master refused to watch the programs: {replies[1]}")
        return []
    same = []
    for change, reply in zip(changes, replies[2:-1], strict=True):
        if attempt.shared.decode(change, reply) == change.existing:
            same.append(change)
        else:
            attempt.conclude([change], ChangeState.REFUSED, "somebody else changed it since the plan: make a new one")
    return same


def _watching(keys: Sequence[Key]) -> Request:
    watched: Command = (PROGRAMS, ("WATCH", *(program_key(*key) for key in keys)))
    commands = ((0, ("CLIENT", "ID")), watched, *program_request(keys).commands, _REPLICATION)
    return Request(commands, tolerant=True)


def _transaction(changes: Sequence[Change]) -> Request:
    commands: list[Command] = [(PROGRAMS, ("MULTI",))]
    for change in changes:
        commands += write_commands(change.day, change.service_id, change.desired)
    return Request((*commands, (PROGRAMS, ("EXEC",))))


def _read_back(attempt: _Attempt, changes: Sequence[Change]) -> Talk[None]:
    attempt.conclude(changes, ChangeState.WRITTEN, "written, not read back")
    *replies, replication = yield attempt.shared.read_back(changes)
    for change, reply in zip(changes, replies, strict=True):
        if attempt.shared.decode(change, reply) == change.desired:
            attempt.conclude([change], ChangeState.VERIFIED)
        else:
            attempt.conclude([change], ChangeState.FAILED, "what was read back is not what was written")
    attempt.position = _position(replication)


def _position(replication: object) -> Position | None:
    fields = info_fields(replication)
    offset = fields.get("master_repl_offset", "")
    return Position(fields.get("master_replid", ""), int(offset)) if offset.isdigit() else None


def _give_up(attempt: _Attempt, failure: Failure | None) -> None:
    said = failure.message if failure else "it failed"
    left = [change for change in attempt.changes if change.key not in attempt.results]
    if attempt.sent:
        attempt.conclude(left, ChangeState.UNKNOWN, f"{said}, after the transaction was sent")
    else:
        attempt.conclude(left, ChangeState.FAILED, f"{said}; nothing was written")


def _settle(instances: Sequence[Instance], attempts: Mapping[str, _Attempt], deadline: float) -> None:
    """Read what became of transactions whose answer, or the reading back of which, was lost.

    The lost connection is killed first: its EXEC, if it is still waiting in a buffer there, must not come after the
    look. Where that is not allowed an old program proves nothing, and the change stays UNKNOWN.
    """
    if not instances:
        return

    def talk(instance: Instance) -> Talk[None]:
        attempt = attempts[instance.fqdn]
        left = attempt.unsettled()
        killed, *replies, replication = yield Request(
            (
                (0, ("CLIENT", "KILL", "ID", attempt.client or 0)),
                *program_request(change.key for change in left).commands,
                _REPLICATION,
            ),
            tolerant=True,
        )
        for change, reply in zip(left, replies, strict=True):
            stored = decode_stored(reply)
            if stored == change.desired:
                attempt.conclude([change], ChangeState.VERIFIED, "the answer was lost; it is there")
            elif attempt.results[change.key].state is ChangeState.WRITTEN:
                attempt.conclude([change], ChangeState.FAILED, "it was written, and is not what is there now")
            elif stored == change.existing and isinstance(killed, int) and attempt.client is not None:
                attempt.conclude([change], ChangeState.FAILED, "the connection was lost; nothing was written")
        attempt.position = _position(replication)

    with Fleet(Side.MASTER) as fleet:
        fleet.gather(instances, talk, deadline)


# --- after the write ------------------------------------------------------------------------------------------------


def touched(changes: Iterable[Change]) -> dict[str, list[Key]]:
    """Return, by fqdn, the programs dvbbox's update of the changes looks at: on a Saturday Sunday and Monday too."""
    keys: dict[str, dict[Key, None]] = {}
    for change in changes:
        days = [change.day]
        if change.day.weekday() == 5:
            days += [change.day + timedelta(days=1), change.day + timedelta(days=2)]
        keys.setdefault(change.instance.fqdn, {}).update(((day, change.service_id), None) for day in days)
    return {fqdn: list(found) for fqdn, found in keys.items()}


def read_programs(
    instances: Sequence[Instance], keys: Mapping[str, Sequence[Key]], deadline: float
) -> Gathered[dict[Key, Stored]]:
    """Return the programs each master holds under its own keys (fqdn -> keys), as held."""

    def talk(instance: Instance) -> Talk[dict[Key, Stored]]:
        wanted = keys.get(instance.fqdn, ())
        if not wanted:
            return {}
        replies = yield program_request(wanted)
        return {key: decode_stored(reply) or () for key, reply in zip(wanted, replies, strict=True)}

    with Fleet(Side.MASTER) as fleet:
        return fleet.gather(instances, talk, deadline)


def positions(instances: Sequence[Instance], deadline: float) -> dict[str, Position]:
    """Return where each master's replication stream stands now; a master that does not answer is not in it."""

    def talk(instance: Instance) -> Talk[Position | None]:
        (replication,) = yield Request((_REPLICATION,))
        return _position(replication)

    with Fleet(Side.MASTER) as fleet:
        found = fleet.gather(instances, talk, deadline).values()
    return {fqdn: position for fqdn, position in found.items() if position is not None}


def wait_replicated(instances: Sequence[Instance], wanted: Mapping[str, Position], deadline: float) -> dict[str, bool]:
    """Wait until each local replica has what its master wrote, at most ``deadline`` seconds for all of them.

    Return fqdn -> whether it has. A replica that follows another stream than its master's never has.
    """
    end = time.monotonic() + deadline
    left = [instance for instance in instances if instance.fqdn in wanted]
    there = {instance.fqdn: False for instance in left}

    def talk(instance: Instance) -> Talk[bool]:
        (replication,) = yield Request((_REPLICATION,))
        fields, position = info_fields(replication), wanted[instance.fqdn]
        offset = fields.get("slave_repl_offset", "")
        return fields.get("master_replid") == position.replid and offset.isdigit() and int(offset) >= position.offset

    slice_ = _FIRST_LOOK
    with Fleet(Side.REPLICA) as fleet:
        while left and (remaining := end - time.monotonic()) > 0:
            # In slices: one replica that says nothing must not keep us from looking at the others again.
            slice_ *= 2
            for fqdn, has in fleet.gather(left, talk, min(slice_, remaining)).values().items():
                there[fqdn] = there[fqdn] or has
            left = [instance for instance in left if not there[instance.fqdn]]
            if left:
                time.sleep(min(_PAUSE, max(0.0, end - time.monotonic())))
    return there
