"""The noun ``media``: the files, over all instances."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvbboxes.commands import SCOPE, Asked, Context, Result, Verb, asked, gather, option
from dvbboxes.commands.library import MEDIA_VERBS
from dvbboxes.commands.renaming import RENAMING, named
from dvbboxes.commands.replacing import REPLACING
from dvbboxes.errors import UsageError

if TYPE_CHECKING:
    from dvbboxes.aggregate.media import BadLine, MediaShow
    from dvbboxes.fleet import Fleet
    from dvbboxes.model import Duration, Gathered
    from dvbboxes.questions import FoundAiring

EXPRESSION = option("expression", metavar="EXPR", help="what the name contains; * ? and [...] are globs; '' is all")
NAME = option("name", metavar="NAME", help="the file's name, with or without .ts")
FILE = option("file", metavar="FILE", help="a list of names, one a line, with or without .ts; - is standard input")


def search(context: Context, expression: str, **scope: Any) -> Result:
    """List the files whose name contains an expression, and the instances that lack each (exit status 1: none)."""
    from dvbboxes.aggregate.media import searched
    from dvbboxes.questions import search as ask

    gathered = gather(asked(context, **scope), ask, expression)
    view = searched(expression, gathered)
    return Result(view, gathered, bool(gathered.answered) and not view.names)


def show(context: Context, name: str, **scope: Any) -> Result:
    """Show one file: its duration and presence on every instance, and every airing, past and to come.

    A file that no instance has comes with the nearest names. Exit status 1 when it is missing somewhere, or durations
    disagree.
    """
    from dvbboxes.questions import file_facts

    media = named(name)
    whom = asked(context, **scope)
    with whom.fleet() as fleet:
        gathered = file_facts(fleet, whom.instances, whom.deadline, media)
        present = gathered.map(lambda _, facts: facts[0])
        known = _known(fleet, whom, gathered.elapsed) if _nowhere(present) else frozenset()
    view = _shown(context, media, gathered, present, known)
    lacking = any(town.lack for town in view.towns)
    return Result(view, gathered, bool(gathered.answered) and (lacking or view.disagrees))


def check(context: Context, file: str, **scope: Any) -> Result:
    """Check a list of names: which files are missing on which instances (exit status 1: any, or a bad line)."""
    from dvbboxes.aggregate.media import checked
    from dvbboxes.questions import lacking

    names, bad = read_names(_content(file))
    gathered = gather(asked(context, **scope), lacking, names)
    view = checked(names, bad, gathered)
    return Result(view, gathered, bool(bad) or bool(view.missing))


def read_names(content: bytes) -> tuple[tuple[str, ...], tuple[BadLine, ...]]:
    """Return the names (with ``.ts``, each once, in order) in a list, and the lines that are none.

    Blank lines, CRLF, a BOM, surrounding spaces and lines that begin with ``#`` are fine.
    """
    from dvbboxes.aggregate.media import BadLine
    from dvbboxes.wire import is_media_name, media_file, shown, stem

    names: dict[str, None] = {}
    bad = []
    for number, raw in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        line = raw.strip()
        if not line or line.startswith(b"#"):
            continue
        name = line.decode("utf-8", "replace")
        if is_media_name(stem(name)):
            names[media_file(name)] = None
        else:
            bad.append(BadLine(number, shown(line)))
    return tuple(names), tuple(bad)


def _content(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"the list {file} cannot be read: {error.strerror}") from error


def _nowhere(present: Gathered[Duration]) -> bool:
    from dvbboxes.model import DurationKind

    found = present.values().values()
    return bool(found) and all(duration.kind is DurationKind.ABSENT for duration in found)


def _known(fleet: Fleet, whom: Asked, spent: float) -> frozenset[str]:
    """Return every name there is, to find the nearest ones: within what is left of the deadline."""
    from dvbboxes.questions import search as ask

    gathered = ask(fleet, whom.instances, max(0.05, whom.deadline - spent), "")
    return frozenset[str]().union(*gathered.values().values())


def _shown(
    context: Context,
    media: str,
    gathered: Gathered[tuple[Duration, tuple[FoundAiring, ...]]],
    present: Gathered[Duration],
    known: frozenset[str],
) -> MediaShow:
    from dvbboxes.aggregate.media import MediaShow, folded_airings, nearest, town_shares
    from dvbboxes.model import MediaFile

    config = context.config
    return MediaShow(
        MediaFile(media, present.values()),
        town_shares(present),
        folded_airings(gathered.map(lambda _, facts: facts[1])),
        config.channels,
        nearest(media, known),
        config.schedule.tolerance,
        config.schedule.zone,
        context.now,
    )


VERBS = (
    Verb("search", search, (EXPRESSION, *SCOPE)),
    Verb("show", show, (NAME, *SCOPE)),
    Verb("check", check, (FILE, *SCOPE)),
    *MEDIA_VERBS,
    *RENAMING,
    *REPLACING,
)
