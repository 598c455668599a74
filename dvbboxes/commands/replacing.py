"""``media replace`` and ``media withdraw``: another file in its place, and a file that nobody is to have. No noun."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dvbboxes.commands import SCOPE, Asked, Context, Result, Verb, asked, channels, gather, option, replica_fleet, scope
from dvbboxes.commands.renaming import named
from dvbboxes.commands.writing import TARGETS, WRITING, Draft, Manner, look_for, manner, write_wishes
from dvbboxes.days import parse_day
from dvbboxes.errors import Refused, UsageError

if TYPE_CHECKING:
    from dvbboxes.aggregate.media import Airing
    from dvbboxes.journal import Journal
    from dvbboxes.library.barred import Withdrawal
    from dvbboxes.model import Gathered, Instance
    from dvbboxes.plan import Held, Key
    from dvbboxes.wishes import Wish

OLD = option("old", metavar="OLD", help="the file to be replaced, with or without .ts")
NEW = option("new", metavar="NEW", help="the file to air in its place")
FROM = option("--from", dest="since", metavar="DAY", default="now", help="from this day on (default: now)")
NAME = option("name", metavar="NAME", nargs="?", help="the file's name, with or without .ts")
LIST = option("--list", dest="listing", action="store_true", help="only show what is withdrawn, and who has it")
UNDO = option("--undo", action="store_true", help="take it back: the file may be held and scheduled again")
REASON = option("--reason", metavar="TEXT", default="", help="why, kept beside the name")


# --- replace ----------------------------------------------------------------------------------------------------------


def replace(
    context: Context,
    old: str,
    new: str,
    since: str,
    services: Sequence[str] | None,
    towns: Sequence[str] | None,
    instances: Sequence[str] | None,
    **options: Any,
) -> Result:
    """Put another file in every airing of a file from a day on: planned, shown, asked and journalled like an apply.

    What follows moves by the difference of the two lengths; gaps stay. From now on means airings that have not begun.
    Refused (exit status 7) as an apply is, and where nobody has measured the new file.
    """
    made = _Replacing(context, named(old), named(new), since, channels(context.config, services))
    if made.old == made.new:
        raise UsageError("OLD and NEW are the same name")
    how = manner(**options)
    chosen = scope(context.config, towns, instances)
    return write_wishes(context, how, lambda journal: made.draft(journal, chosen, how))


class _Replacing:
    """One replacement as asked for; ``since`` is ``now`` or a DAY."""

    def __init__(self, context: Context, old: str, new: str, since: str, sids: Sequence[str]) -> None:
        self.context, self.old, self.new, self.sids = context, old, new, frozenset(sids)
        self.day = None if since == "now" else parse_day(since, context.today)

    def draft(self, _: Journal, chosen: Sequence[Instance], how: Manner) -> Draft:
        """Return what is wanted of each instance, from what its master holds."""
        from dvbboxes.records import RunKind
        from dvbboxes.render.style import length
        from dvbboxes.wire import stem

        was, becomes = self._lengths()
        keys, unseen = self._keys(chosen)
        held = look_for(self.context, chosen, keys, (self.new,))
        silent = tuple(answer.instance.fqdn for answer in held.missing)
        _must_answer(silent, how)
        wishes = self._wishes(held, (was, becomes))
        notes = [f"{stem(self.old)} is {length(was)} long, {stem(self.new)} {length(becomes)}"]
        notes += [f"{fqdn}: its master did not answer, nothing is replaced there" for fqdn in silent]
        notes += [
            f"{fqdn}: its replica did not answer: where it alone airs {stem(self.old)} is not known, and left as it is"
            for fqdn in unseen
        ]
        if not wishes:
            notes.append(f"{stem(self.old)} is not scheduled from then on")
        title = f"replace {stem(self.old)} by {stem(self.new)}"
        return Draft(RunKind.REPLACE, title, wishes, tuple(notes), undone=bool(silent or unseen), held=held)

    def _lengths(self) -> tuple[float | None, float]:
        from dvbboxes.aggregate import largest_duration
        from dvbboxes.questions import durations
        from dvbboxes.wire import stem

        config = self.context.config
        with replica_fleet(self.context) as fleet:
            said = durations(fleet, config.instances, config.redis.deadline, (self.old, self.new)).values().values()
        was, becomes = (largest_duration([media[name] for media in said]) for name in (self.old, self.new))
        if not becomes:
            raise Refused(f"no instance that answered has measured {stem(self.new)}: its length is not known")
        return was, becomes

    def _keys(self, chosen: Sequence[Instance]) -> tuple[list[Key], list[str]]:
        """Return the programs that any replica, of anybody's, has the file in from then on, and who did not say."""
        from dvbboxes.questions import file_facts

        config = self.context.config
        with replica_fleet(self.context) as fleet:
            gathered = file_facts(fleet, config.instances, config.redis.deadline, self.old)
        first = self.day or self.context.today
        keys = {
            (day, sid)
            for _, airings in gathered.values().values()
            for sid, day, _, _ in airings
            if day >= first and sid in self.sids and any(one.carries(sid) for one in chosen)
        }
        mine = {one.fqdn for one in chosen}
        return sorted(keys), [one.instance.fqdn for one in gathered.missing if one.instance.fqdn in mine]

    def _wishes(self, held: Gathered[Held], lengths: tuple[float | None, float]) -> tuple[Wish, ...]:
        from dvbboxes.library.replaced import replaced
        from dvbboxes.schedule import window
        from dvbboxes.wishes import Wish

        start = self.context.config.schedule.day_start
        found = []
        for answer in held.answered:
            one = answer.instance
            since = self.context.now if self.day is None else window(self.day, one.zone, start)[0]
            for key, stored in answer.value.programs.items() if answer.value else ():
                desired, count = replaced(stored, self.old, self.new, lengths, since)
                if count and one.carries(key[1]):
                    found.append(Wish(one, *key, desired, expected=(stored,), source=f"{count} times"))
        return tuple(found)


def _must_answer(silent: Sequence[str], how: Manner) -> None:
    from dvbboxes.plan import Hazard
    from dvbboxes.render.style import names

    if silent and Hazard.UNREACHABLE not in how.released:
        them = "them" if len(silent) > 1 else "it"
        raise Refused(f"no answer from the master of {names(silent)}: --allow unreachable leaves {them} out")


# --- withdraw ---------------------------------------------------------------------------------------------------------


def withdraw(context: Context, name: str | None, listing: bool, undo: bool, reason: str, **wanted: Any) -> Result:
    """Withdraw a file: from then on listings that name it are refused, and check tells who still has or airs it.

    The list is kept in the data folder; nothing is changed on any instance: media delete and media replace do that.
    --undo takes a name off it, --list shows it with who holds what (exit status 1: anybody). An instance that is off
    now is told of when it comes back.
    """
    from dvbboxes.library.barred import Withdrawal
    from dvbboxes.lock import hold
    from dvbboxes.withdrawn import read, write

    folder, whom = context.config.data_folder, asked(context, **wanted)
    if listing or name is None:
        if undo or reason or not listing:
            raise UsageError("name the file to withdraw, or --list")
        media = None if name is None else named(name)
        entries = tuple(entry for entry in read(folder) if media in (None, entry.media))
        return _shown(context, "", entries, whom)
    media = named(name)
    context.must_write()
    with hold(folder, context.who, context.command, context.now):
        before = read(folder)
        mine = tuple(entry for entry in before if entry.media == media)
        if undo:
            if not mine:
                raise UsageError(f"{name} is not withdrawn (media withdraw --list shows what is)")
            write(folder, [entry for entry in before if entry.media != media])
        elif not mine:
            mine = (Withdrawal(media, context.now, context.who, context.host, reason),)
            write(folder, (*before, *mine))
    return _shown(context, "undone" if undo else "withdrawn", mine, whom)


def _shown(context: Context, done: str, entries: Sequence[Withdrawal], whom: Asked) -> Result:
    from dvbboxes.library.barred import Withdrawn

    config = context.config
    holders: dict[str, tuple[str, ...]] = {}
    coming: dict[str, tuple[Airing, ...]] = {}
    gathered: Gathered[Any] | None = None
    if len(entries) == 1:
        gathered = _one(context, entries[0].media, whom, holders, coming)
    elif entries:
        gathered = _many([entry.media for entry in entries], whom, holders)
    view = Withdrawn(done, tuple(entries), holders, coming, config.channels, config.schedule.zone)
    return Result(view, gathered, not done and view.present)


def _one(
    context: Context,
    media: str,
    whom: Asked,
    holders: dict[str, tuple[str, ...]],
    coming: dict[str, tuple[Airing, ...]],
) -> Gathered[Any]:
    """Ask who has one file, and where it airs from now on."""
    from dvbboxes.aggregate.media import folded_airings
    from dvbboxes.library.stock import present
    from dvbboxes.questions import file_facts

    facts = gather(whom, file_facts, media)
    holders[media] = tuple(fqdn for fqdn, (duration, _) in facts.values().items() if present(duration))
    airings = folded_airings(facts.map(lambda _, said: said[1]))
    coming[media] = tuple(one for one in airings if one.start >= context.now)
    return facts


def _many(media: Sequence[str], whom: Asked, holders: dict[str, tuple[str, ...]]) -> Gathered[Any]:
    """Ask who has which of many files."""
    from dvbboxes.library.stock import present
    from dvbboxes.questions import durations

    said = gather(whom, durations, media)
    values: Mapping[str, Any] = said.values()
    for name in media:
        holders[name] = tuple(fqdn for fqdn, held in values.items() if present(held[name]))
    return said


REPLACING = (
    Verb("replace", replace, (OLD, NEW, FROM, *WRITING, *TARGETS)),
    Verb("withdraw", withdraw, (NAME, LIST, UNDO, REASON, *SCOPE)),
)
