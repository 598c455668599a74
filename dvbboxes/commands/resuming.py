"""``listing apply --resume ID``: doing what a run has left, nothing twice, never over a newer one. No noun."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from dvbboxes.commands import Context, Result
from dvbboxes.commands.writing import Draft, Manner, look_for, write_wishes

if TYPE_CHECKING:
    from dvbboxes.journal import Journal
    from dvbboxes.model import Gathered
    from dvbboxes.plan import Hazard, Held
    from dvbboxes.records import Applied, Change, Key, Where, WholeRun
    from dvbboxes.undo import Left, Standing

#: Refusals that stay released when a run is resumed: they speak of the programs, not of the moment.
_LASTING = frozenset({"missing", "short", "own"})


def resume(context: Context, number: int, where: Where, how: Manner) -> Result:
    """Do what a run has left to do there, whatever kind of run it is.

    What it is not known to have written is settled by reading the masters first. A master that does not answer stays
    owed. Raises UnknownName for a run that is not there.
    """
    from dataclasses import replace

    from dvbboxes.plan import Hazard

    # A master that does not answer is what resuming is for: it never stands in the way of the others.
    how = replace(how, released=how.released | {Hazard.UNREACHABLE} | _lasting(context, number))
    return write_wishes(context, how, lambda journal: _draft(context, journal, number, where, how))


def _lasting(context: Context, number: int) -> frozenset[Hazard]:
    """Return what was released when the run was asked for and still is."""
    from dvbboxes.journal import Journal
    from dvbboxes.plan import Hazard

    with Journal.open(context.config.data_folder) as journal:
        allowed = journal.run(number).run.asked.allow
    return frozenset(Hazard(word) for word in allowed if word in _LASTING)


def _draft(context: Context, journal: Journal, number: int, where: Where, how: Manner) -> Draft:
    from dvbboxes.plan import Hazard
    from dvbboxes.records import SETTLED
    from dvbboxes.undo import concluded, known, left_of, sort_out, wishes_left

    config, whole = context.config, journal.run(number)
    instances = {instance.fqdn: instance for instance in config.instances}
    left = left_of(whole, _newest(journal, whole), config, where)
    held = _look(context, left)
    past = Hazard.PAST in how.released
    standings = sort_out(left, held.values(), _undone(journal, whole), config, context.now, past=past)
    wishes = wishes_left(left, standings, held.values(), instances, number)
    gone = [one for one in whole.changes if one.state not in SETTLED and not known(one, config)]
    notes = (*_notes(left, standings), *_gone(gone))
    return Draft(
        whole.run.asked.kind,
        f"resume run {number}",
        wishes,
        notes,
        resumes=number,
        news=concluded(left, standings),
        held=held,
        undone=bool(gone),
    )


def _newest(journal: Journal, whole: WholeRun) -> Mapping[Key, Applied]:
    from dvbboxes.records import ChangeState, Where

    if not whole.changes:
        return {}
    days = [change.day for change in whole.changes]
    return journal.last_all(Where(min(days), max(days)), states=tuple(ChangeState))


def _undone(journal: Journal, whole: WholeRun) -> dict[Key, Change]:
    """Return the changes of the run that this one takes back."""
    from dvbboxes.errors import UnknownName

    if whole.run.asked.undoes is None:
        return {}
    try:
        taken_back = journal.run(whole.run.asked.undoes)
    except UnknownName:  # it was pruned since
        return {}
    return {change.key: change for change in taken_back.changes}


def _look(context: Context, left: Sequence[Left]) -> Gathered[Held]:
    from dvbboxes.wire import slots_of

    wanted = {one.change.instance for one in left if one.newer is None}
    instances = tuple(instance for instance in context.config.instances if instance.fqdn in wanted)
    changes = [one.change for one in left if one.newer is None]
    keys = tuple(dict.fromkeys((change.day, change.service_id) for change in changes))
    media = tuple(dict.fromkeys(slot.media for change in changes for slot in slots_of(change.after)))
    return look_for(context, instances, keys, media)


def _notes(left: Sequence[Left], standings: Mapping[Key, Standing]) -> Iterable[str]:
    """Yield what becomes of the changes that are not written now: a line for each instance and reason."""
    from dvbboxes.undo import Standing

    said = {
        Standing.SILENT: "still owed, its master does not answer",
        Standing.PAST: "no longer owed, the day is over",
        Standing.CHANGED: "left as it is, somebody else changed it since",
        Standing.NEWER: "left as it is, a newer run was meant for it",
    }
    counts = Counter((one.change.instance, standings[one.change.key]) for one in left)
    for (fqdn, standing), number in counts.items():
        if standing in said:
            yield f"{fqdn}: {number} {'program' if number == 1 else 'programs'}: {said[standing]}"


def _gone(changes: Sequence[Change]) -> Iterable[str]:
    for fqdn, sid in dict.fromkeys((change.instance, change.service_id) for change in changes):
        yield f"{fqdn}: this instance or its channel {sid} is no longer in the configuration: it is left alone"
