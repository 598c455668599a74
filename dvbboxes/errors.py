"""Every error this package raises on purpose, and the exit status each one means.

::

    DvbboxesError                 70    the root: nothing else is raised on purpose
    +-- UsageError                 2    what was asked for cannot be understood (a ValueError)
    |   +-- UnknownName            2    a town, instance, channel, option or word (a KeyError too)
    |   +-- BadDay                 2    a day that is no date
    |   +-- ListingError           2    a listing, with every mistake in it
    +-- ConfigError                3    the configuration file, with every mistake in it
    +-- JournalError               3    the journal or the lock in the [DATA] folder cannot be used
    +-- NoAnswer                   5    not one instance answered
    +-- DataTooOld                 6    answers older than the age that was allowed
    +-- Refused                    7    refused as unsafe
    +-- Locked                    75    another run holds the lock
    +-- ServerStartError          70    a Redis server of ours (demo, tests) did not come up

What goes wrong *on one instance* is no exception: it is a :class:`dvbboxes.model.Failure`, a value in its answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class ExitStatus(IntEnum):
    """What the process says when it ends (docs: exit statuses)."""

    DONE = 0
    DIFFERENCE = 1
    USAGE = 2
    CONFIGURATION = 3
    PARTIAL = 4
    NO_ANSWER = 5
    TOO_OLD = 6
    REFUSED = 7
    FAILED = 70  # for a reason of its own: a bug of ours, no room for the output, a server of ours that does not start
    LOCKED = 75
    INTERRUPTED = 130


#: Where several hold, the first of these is the one to report.
PRECEDENCE = (
    ExitStatus.INTERRUPTED,
    ExitStatus.FAILED,
    ExitStatus.USAGE,
    ExitStatus.CONFIGURATION,
    ExitStatus.LOCKED,
    ExitStatus.REFUSED,
    ExitStatus.NO_ANSWER,
    ExitStatus.TOO_OLD,
    ExitStatus.PARTIAL,
    ExitStatus.DIFFERENCE,
    ExitStatus.DONE,
)


def worst(statuses: Iterable[ExitStatus]) -> ExitStatus:
    """Return the status to report where several hold; DONE for none."""
    return min(statuses, key=PRECEDENCE.index, default=ExitStatus.DONE)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean x?)"`` for the nearest known word, or an empty string."""
    import difflib  # only a mistake pays for it

    folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    return f" (did you mean {folded[near[0]]}?)" if near else ""


class DvbboxesError(Exception):
    """The root of the tree; ``str()`` is one line (or one line per mistake) for the operator."""

    status = ExitStatus.FAILED

    def __str__(self) -> str:
        # KeyError would show the repr of its argument; all of ours are sentences.
        return str(self.args[0]) if self.args else type(self).__name__


class UsageError(DvbboxesError, ValueError):
    """Something typed (or passed to the API) cannot be understood."""

    status = ExitStatus.USAGE


class UnknownName(UsageError, KeyError):
    """A town, instance or channel that the configuration does not have."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = list(known)
        some = ", ".join(known[:8]) + (", ..." if len(known) > 8 else "")
        hint = did_you_mean(name, known) or (f" (there are: {some})" if known else "")
        super().__init__(f"no {kind} is called {name!r}{hint}")
        self.kind = kind
        self.name = name


class BadDay(UsageError):
    """A day that is no date."""


class ListingError(UsageError):
    """A listing that cannot be accepted (SPEC 5), in order of lines.

    ``mistakes`` holds ``(line, what is wrong)``, lines counted from 1; line 0 is the file as a whole. ``more`` is how
    many further mistakes were counted and not kept. ``source`` is the file's name, empty where there is none.
    ``bad_names`` are the lines that are no media names (of the mistakes kept); ``undated``: it has no day, or one that
    is no date.
    """

    def __init__(
        self,
        mistakes: Iterable[tuple[int, str]],
        *,
        more: int = 0,
        source: str = "",
        bad_names: Iterable[str] = (),
        undated: bool = False,
    ) -> None:
        self.mistakes = tuple(mistakes)
        self.bad_names = tuple(bad_names)
        self.undated = undated
        self.more = more
        self.source = source
        lines = [self._located(line, text) for line, text in self.mistakes]
        if more:
            lines.append(f"and {more} more {'mistake' if more == 1 else 'mistakes'}")
        super().__init__("\n".join(lines))

    def _located(self, line: int, text: str) -> str:
        if self.source:
            return f"{self.source}:{line}: {text}" if line else f"{self.source}: {text}"
        return f"line {line}: {text}" if line else f"listing: {text}"


class ConfigError(DvbboxesError):
    """The configuration cannot be used. ``mistakes`` holds one ``file:line: [section] key: what`` line each."""

    status = ExitStatus.CONFIGURATION

    def __init__(self, mistakes: Iterable[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(self.mistakes))


class JournalError(DvbboxesError):
    """The journal or the lock in the ``[DATA]`` folder cannot be used; the text names the file and the way out."""

    status = ExitStatus.CONFIGURATION


class NoAnswer(DvbboxesError):
    """Not one of the instances asked answered."""

    status = ExitStatus.NO_ANSWER


class DataTooOld(DvbboxesError):
    """Every answer, or one that was needed, is older than ``--max-age`` allows."""

    status = ExitStatus.TOO_OLD


class Refused(DvbboxesError):
    """Refused as unsafe; the text says what releases it."""

    status = ExitStatus.REFUSED


class Locked(DvbboxesError):
    """Another run holds the lock; the text says who."""

    status = ExitStatus.LOCKED


class ServerStartError(DvbboxesError):
    """A Redis server that we start ourselves did not come up; the text carries the end of its log."""
