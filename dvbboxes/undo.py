"""Taking a run back, and going on with one: from what the journal holds to wishes. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from dvbboxes.model import Config, Instance, Stored
from dvbboxes.plan import Held
from dvbboxes.records import (
    REACHED,
    SETTLED,
    Applied,
    Change,
    ChangeState,
    Key,
    Progress,
    UpdateState,
    Where,
    WholeRun,
)
from dvbboxes.schedule import window
from dvbboxes.wire import slots_of
from dvbboxes.wishes import Wish

#: A change in one of these states stands on its master, or may.
_MAY_STAND = (*REACHED, ChangeState.WRITING, ChangeState.UNKNOWN, ChangeState.FAILED)


def inside(change: Change, where: Where) -> bool:
    """Return whether a change is one of those meant by ``where``."""
    return (
        (where.first is None or where.first <= change.day)
        and (where.last is None or change.day <= where.last)
        and (where.instances is None or change.instance in where.instances)
        and (where.service_ids is None or change.service_id in where.service_ids)
    )


def known(change: Change, config: Config) -> bool:
    """Return whether instance and channel of a change are still in the configuration: nothing else is written."""
    return change.service_id in config.channels and any(one.fqdn == change.instance for one in config.instances)


# --- rolling back ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rollback:
    """What taking a run back comes to: programs to put back, and what it still owes, which nobody is to write now.

    ``left`` says, a line each, what cannot be taken back.
    """

    wishes: tuple[Wish, ...]
    withdrawn: tuple[Change, ...]
    left: tuple[str, ...]


def rollback(whole: WholeRun, config: Config, where: Where) -> Rollback:
    """Return how the run is taken back there, on the instances and channels that are configured.

    A program is put back member for member, score for score, where the run's own still stands; one that somebody
    changed since is refused. Where it is not known whether the run wrote, another program than its own is left alone.
    """
    number, instances = whole.run.id, {instance.fqdn: instance for instance in config.instances}
    wishes, withdrawn, left = [], [], []
    for change in whole.changes:
        if not inside(change, where):
            continue
        if change.state not in SETTLED and change.state not in REACHED:
            withdrawn.append(change)
        if change.state not in _MAY_STAND:
            continue
        at = f"{change.instance} {change.day:%d/%m} {change.service_id}"
        if not known(change, config):
            left.append(f"{at}: the instance or channel is no longer in the configuration: it is left alone")
        elif not change.looked:
            left.append(f"{at}: what was there before run {number} is not known: it is left alone")
        else:
            wishes.append(_back(number, change, instances[change.instance]))
    return Rollback(tuple(wishes), tuple(withdrawn), tuple(left))


def _back(number: int, change: Change, instance: Instance) -> Wish:
    certain = change.state in REACHED
    return Wish(
        instance,
        change.day,
        change.service_id,
        change.before,
        expected=(change.expected, change.after),
        changed=f"the program there changed since run {number}: it is not taken back" if certain else "",
        source=f"before run {number}",
    )


# --- resuming -------------------------------------------------------------------------------------------------------


class Standing(Enum):
    """How one change of a run that is resumed stands, its master looked at."""

    OWED = "owed"  # to be written
    THERE = "there"  # it is on the master: only the update and the replica are left
    SILENT = "silent"  # the master does not answer: it stays owed
    PAST = "past"  # the day is over: nobody will air it
    CHANGED = "changed"  # another program than the one before or the one meant is there
    NEWER = "newer"  # a newer run was meant for that program on that instance


@dataclass(frozen=True, slots=True)
class Left:
    """One change of a run that is not at its end; ``newer`` is the id of the newest run meant for the same."""

    change: Change
    newer: int | None


def left_of(whole: WholeRun, newest: Mapping[Key, Applied], config: Config, where: Where) -> tuple[Left, ...]:
    """Return what a run has left to do there. ``newest`` maps each program to the newest run's change, in any state.

    A newer run takes precedence whatever became of it: it is
    what was meant last. What was written is left over while its update or its replica is missing.
    """
    found = []
    for change in whole.changes:
        if not inside(change, where) or not known(change, config):
            continue
        last = newest[change.key].run.id if change.key in newest else whole.run.id
        newer = last if last > whole.run.id else None
        if change.state not in SETTLED or (newer is None and _unfinished(whole, change, config.ssh.update)):
            found.append(Left(change, newer))
    return tuple(found)


def _unfinished(whole: WholeRun, change: Change, updating: bool) -> bool:
    """Return whether a verified change still wants its update or its replica."""
    if change.state is not ChangeState.VERIFIED:
        return False
    killed = whole.run.finished is None
    unasked = change.update is UpdateState.NOT_ASKED and killed
    update = updating and (unasked or change.update in (UpdateState.PENDING, UpdateState.FAILED))
    return update or change.replicated is False or (change.replicated is None and killed)


def sort_out(
    left: Sequence[Left],
    held: Mapping[str, Held],
    undone: Mapping[Key, Change],
    config: Config,
    now: float,
    *,
    past: bool,
) -> dict[Key, Standing]:
    """Return how each change stands, from what the masters that answered hold (by fqdn).

    ``undone`` are the changes of the run that a rollback takes back. ``now`` is Unix seconds; ``past``: days that are
    over are written all the same.
    """
    instances = {instance.fqdn: instance for instance in config.instances}
    found = {}
    for one in left:
        change = one.change
        _, end = window(change.day, instances[change.instance].zone, config.schedule.day_start)
        if one.newer is not None:
            standing = Standing.NEWER
        elif change.instance not in held:
            over = end <= now and not past and not change.looked  # nothing was ever sent there
            standing = Standing.PAST if over else Standing.SILENT
        else:
            there = held[change.instance].programs.get((change.day, change.service_id), ())
            foreign = (change.day, change.service_id) in held[change.instance].foreign
            standing = Standing.CHANGED if foreign else _standing(change, there, undone.get(change.key))
            if standing is Standing.OWED and end <= now and not past:
                standing = Standing.PAST
        found[change.key] = standing
    return found


def _standing(change: Change, there: Stored, undone: Change | None) -> Standing:
    if there in (change.after, change.expected):
        return Standing.THERE
    if change.state is ChangeState.VERIFIED and same_files(there, change.after):
        return (
            Standing.THERE
        )  # dvbbox's update moved starts and repaired paths, and the run was killed before it was told
    if change.state is ChangeState.VERIFIED:
        return Standing.CHANGED
    if not change.looked:
        expected = undone is None or there in (undone.expected, undone.after)
        return Standing.OWED if expected else Standing.CHANGED
    return Standing.OWED if there == change.before else Standing.CHANGED


def same_files(one: Stored, other: Stored) -> bool:
    """Return whether two programs name the same files in the same order, wherever they lie and whenever they start."""
    return [(s.index, s.media) for s in slots_of(one)] == [(s.index, s.media) for s in slots_of(other)]


_SAID = {
    Standing.PAST: "the day is over: it is no longer owed",
    Standing.CHANGED: "somebody else changed it since: it is left as it is",
}


def concluded(left: Sequence[Left], standings: Mapping[Key, Standing]) -> tuple[Progress, ...]:
    """Return what is to be recorded of changes that nothing is written for: found there, or not to be written."""
    news = []
    for one in left:
        change, standing = one.change, standings[one.change.key]
        if standing is Standing.THERE and change.state is not ChangeState.VERIFIED:
            news.append(Progress(*change.key, ChangeState.VERIFIED, "found on the master: it had been written"))
        if standing not in (Standing.PAST, Standing.CHANGED, Standing.NEWER):
            continue
        said = _SAID.get(standing, f"run {one.newer} is newer there: it gives way")
        if change.state is not ChangeState.VERIFIED:
            news.append(Progress(*change.key, ChangeState.REFUSED, said))
        elif change.update in (UpdateState.PENDING, UpdateState.FAILED):
            news.append(Progress(*change.key, None, said, UpdateState.NOT_ASKED))
    return tuple(news)


def wishes_left(
    left: Sequence[Left],
    standings: Mapping[Key, Standing],
    held: Mapping[str, Held],
    instances: Mapping[str, Instance],
    number: int,
) -> tuple[Wish, ...]:
    """Return wishes for what is to be written, or is there and wants its update or its replica."""
    wishes = []
    for one in left:
        change, standing = one.change, standings[one.change.key]
        if standing in (Standing.OWED, Standing.THERE):
            there = held[change.instance].programs.get((change.day, change.service_id), ())
            same = (there,) if standing is Standing.THERE else ()
            instance = instances[change.instance]
            wish = Wish(instance, change.day, change.service_id, change.after, same, source=f"run {number}")
            wishes.append(wish)
    return tuple(wishes)
