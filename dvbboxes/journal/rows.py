"""Records <-> rows of the journal: text, programs, runs, changes and events, losing nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any, TypeAlias

from dvbboxes.model import Entry, Stored
from dvbboxes.records import Change, ChangeState, Event, NewRun, Run, RunKind, RunState, UpdateState

if TYPE_CHECKING:
    import sqlite3

Row: TypeAlias = tuple[Any, ...]

RUN_COLUMNS = "id, kind, who, host, command, file, digest, fingerprint, allow, undoes, started, finished, state"
CHANGE_COLUMNS = (
    "run, town, instance, day, service_id, looked, before, after, state, detail, update_state, update_text, "
    "replicated, after_update, changed"
)


def text_in(text: str) -> str | bytes:
    """Return text as SQLite can hold it: as text, or as bytes where it has surrogates (an odd file name)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def text_out(value: str | bytes) -> str:
    """Return what :func:`text_in` was given."""
    return value if isinstance(value, str) else value.decode("utf-8", "surrogatepass")


def program_text(stored: Stored) -> str:
    """Return a program as JSON, ``[[member, start], ...]`` in its order: ASCII, and floats that read back the same."""
    return json.dumps([(entry.member, float(entry.start)) for entry in stored], separators=(",", ":"))


def program_of(text: str) -> Stored:
    """Return the program of :func:`program_text`."""
    return tuple(Entry(member, start) for member, start in json.loads(text))


class Programs:
    """Programs by number, each text stored once: the instances of a run mostly share one program a day.

    It lives for one transaction.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        #: The object is kept beside its number, so that no other one can take its id() meanwhile.
        self._numbers: dict[int, tuple[Stored, int]] = {}
        self._by_text: dict[str, int] = {}
        self._read: dict[int, Stored] = {}

    def number(self, stored: Stored) -> int:
        """Return the number of a program, storing it if it is new."""
        known = self._numbers.get(id(stored))
        if known is None:
            known = self._numbers[id(stored)] = (stored, self._number_of_text(program_text(stored)))
        return known[1]

    def _number_of_text(self, text: str) -> int:
        number = self._by_text.get(text)
        if number is None:
            from hashlib import sha256  # OpenSSL behind it: only a program that is new pays for it

            digest = sha256(text.encode()).digest()
            self._connection.execute(
                "INSERT INTO programs (sha256, entries) VALUES (?, ?) ON CONFLICT (sha256) DO NOTHING", (digest, text)
            )
            row = self._connection.execute("SELECT id FROM programs WHERE sha256 = ?", (digest,)).fetchone()
            number = self._by_text[text] = int(row[0])
        return number

    def program(self, number: int) -> Stored:
        """Return the program with that number; the same object for the same number."""
        if number not in self._read:
            row = self._connection.execute("SELECT entries FROM programs WHERE id = ?", (number,)).fetchone()
            if row is None:
                raise ValueError(f"program {number} is not in it")
            self._read[number] = program_of(row[0])
        return self._read[number]


def run_in(run: NewRun) -> Row:
    """Return the values of a run's columns but its id, as it is begun."""
    words = (run.who, run.host, run.command, run.file, run.digest, run.fingerprint)
    return (
        run.kind.value, *(text_in(word) for word in words), json.dumps(run.allow), run.undoes, run.started, None,
        RunState.OPEN.value,
    )  # fmt: skip


def run_of(row: Row, counts: Mapping[ChangeState, int]) -> Run:
    """Return the run in a row of :data:`RUN_COLUMNS`."""
    number, kind, *words, allow, undoes, started, finished, state = row
    who, host, command, file, digest, fingerprint = (text_out(word) for word in words)
    allowed = tuple(json.loads(allow))
    asked = NewRun(RunKind(kind), who, host, command, file, digest, fingerprint, allowed, started, undoes)
    return Run(number, asked, RunState(state), finished, counts)


def change_of(row: Row, program: Callable[[int], Stored]) -> Change:
    """Return the change in a row of :data:`CHANGE_COLUMNS`; ``program`` finds programs by number."""
    run, town, instance, day, service_id, looked, before, after, *rest = row
    state, detail, update, said, replicated, updated, at = rest
    return Change(
        run, text_out(town), text_out(instance), date.fromisoformat(day), text_out(service_id), program(before),
        program(after), ChangeState(state), text_out(detail), UpdateState(update), text_out(said),
        None if replicated is None else bool(replicated), None if updated is None else program(updated), at,
        bool(looked),
    )  # fmt: skip


def event_of(row: Row) -> Event:
    """Return the event in a row of run, at, text, instance, day, service id."""
    run, at, text, instance, day, service_id = row
    if day is None:
        return Event(run, at, None, None, None, text_out(text))
    return Event(run, at, text_out(instance), date.fromisoformat(day), text_out(service_id), text_out(text))
