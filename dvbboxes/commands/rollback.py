"""``rollback``: the programs that stood before a run, put back exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dvbboxes.commands import Context, Result, Verb, option
from dvbboxes.commands.writing import TARGETS, WRITING, Draft, manner, number, reach, write_wishes

if TYPE_CHECKING:
    from dvbboxes.journal import Journal
    from dvbboxes.records import Where

ID = option("id", metavar="ID", help="the run to take back (history lists them)")
DAYS = option("--days", metavar="A..B", help="only these days of it")


def rollback(
    context: Context,
    id: str,  # the word the command line has
    days: str | None,
    services: Sequence[str] | None,
    towns: Sequence[str] | None,
    instances: Sequence[str] | None,
    **options: Any,
) -> Result:
    """Put back what stood before a run, member for member, score for score: shown and asked like an apply.

    Refused (exit status 7) where a program changed since, and as an apply is. What the run still owes is withdrawn. It
    is a run of its own, so it can be rolled back too.
    """
    run = number("ID", id)
    where = reach(context, days, services, towns, instances)
    how = manner(**options)
    return write_wishes(context, how, lambda journal: _draft(context, journal, run, where))


def _draft(context: Context, journal: Journal, run: int, where: Where) -> Draft:
    from dvbboxes.records import ChangeState, Progress, RunKind
    from dvbboxes.undo import rollback

    found = rollback(journal.run(run), context.config, where)
    said = f"withdrawn by a rollback: {context.who} on {context.host}"
    news = tuple(Progress(*change.key, ChangeState.REFUSED, said) for change in found.withdrawn)
    notes = [*found.left, *_before(journal, run)]
    if news:
        notes.append(f"run {run} no longer owes {len(news)} programs that it never wrote")
    return Draft(
        RunKind.ROLLBACK,
        f"take back run {run}",
        found.wishes,
        tuple(notes),
        undone=bool(found.left),
        undoes=run,
        news=news,
    )


def _before(journal: Journal, run: int) -> list[str]:
    """Return a line for each run that took this one back before."""
    earlier = [one.id for one in journal.runs() if one.asked.undoes == run]
    return [f"run {one} took back run {run} before (dvbboxes rollback {one} undoes that)" for one in sorted(earlier)]


COMMAND = Verb("rollback", rollback, (ID, DAYS, *WRITING, *TARGETS))
