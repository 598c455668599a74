"""What was done: every program that a run is to write, what was there before, and how far it came (docs: the journal).

One SQLite file in the ``[DATA]`` folder. Each method is one transaction; a method that writes has committed and synced
when it returns, so what is called after it is announced in the file already. A :class:`Journal` belongs to the thread
that opened it.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from dvbboxes.errors import DvbboxesError, JournalError, UnknownName
from dvbboxes.journal import queries
from dvbboxes.journal.database import RESTORE, open_database, telling, transaction
from dvbboxes.journal.rows import Programs, change_of, event_of, run_in, run_of, text_in, text_out
from dvbboxes.records import (
    EVERYWHERE,
    REACHED,
    SETTLED,
    Applied,
    ChangeState,
    Event,
    Key,
    NewRun,
    PlannedChange,
    Progress,
    Pruned,
    Run,
    RunState,
    UpdateState,
    Where,
    WholeRun,
)

if TYPE_CHECKING:
    import sqlite3

FILE = "journal.sqlite"
#: A newer run that got this far on a program has taken it over from the older ones, even if it is not known how far.
_TAKEN_OVER = (*REACHED, ChangeState.WRITING, ChangeState.UNKNOWN)
#: From so many changes on, all of a run are looked up at once.
_MANY = 32
_UPDATE_OWED = (UpdateState.PENDING, UpdateState.FAILED)


def stamp() -> float:
    """Return the moment of a line that is written now: a run lasts, so each has its own and not the command's."""
    return time.time()


class Journal:
    """The journal of one data folder, open; also a context manager that closes it. Made by :meth:`open`."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    @classmethod
    def open(cls, folder: str | os.PathLike[str], write: bool = False) -> Journal:
        """Open the journal in the data folder, to read or to ``write``; only the latter creates or migrates the file.

        To read where there is no file gives an empty journal. Raises JournalError where the file is damaged, another
        program's or a newer dvbboxes', or cannot be read (or written); it is never overwritten then.
        """
        path = Path(folder) / FILE
        return cls(path, open_database(path, write=write))

    def close(self) -> None:
        """Close the file; nothing is pending by then."""
        self._connection.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # --- writing ----------------------------------------------------------------------------------------------------

    def begin(self, run: NewRun, changes: Sequence[PlannedChange], now: float) -> int:
        """Record a run and all it is to write, as planned, in one synced transaction; return the run's id.

        ``now`` is Unix seconds, here and below. Raises ValueError where two changes are about the same program of the
        same instance, JournalError where the file cannot be written.
        """
        if len({change.key for change in changes}) != len(changes):
            raise ValueError("a run cannot write the same program of the same instance twice")
        with self._transaction("IMMEDIATE"):
            number = int(self._connection.execute(queries.ADD_RUN, run_in(run)).lastrowid or 0)
            self._tell(number, None, now, f"{run.kind.value} asked by {run.who} on {run.host}: {run.command}")
            programs = Programs(self._connection)
            first = self._connection.execute(queries.NEXT_CHANGE).fetchone()[0]
            planned = [
                (
                    row, number, text_in(change.town), *_key_in(change.key), change.looked,
                    programs.number(change.before), programs.number(change.after), ChangeState.PLANNED.value,
                    text_in(change.detail), UpdateState.NOT_ASKED.value, "", now,
                )
                for row, change in enumerate(changes, first)
            ]  # fmt: skip
            self._connection.executemany(queries.ADD_CHANGE, planned)
            said = (_with(f"planned: {_difference(change)}", change.detail) for change in changes)
            self._tell_all(number, now, enumerate(said, first))
        return number

    def advance(self, run: int, updates: Sequence[Progress], now: float) -> None:
        """Record how far changes of a run have come: one synced transaction for all of them.

        Raises UnknownName for a run that is not there, ValueError for a program that the run does not write.
        """
        with self._transaction("IMMEDIATE"):
            self._check(run)
            programs = Programs(self._connection)
            numbers = self._numbers(run, updates)
            advanced = [
                (*_progress_in(progress, programs), now, number)
                for progress, number in zip(updates, numbers, strict=True)
            ]
            self._connection.executemany(queries.ADVANCE, advanced)
            self._tell_all(run, now, zip(numbers, map(_progress_text, updates), strict=True))

    def _numbers(self, run: int, updates: Sequence[Progress]) -> list[int]:
        """Return the number of each change; raises ValueError for a program that the run does not write."""
        keys = [_key_in((each.instance, each.day, each.service_id)) for each in updates]
        if len(keys) < _MANY:
            rows = [self._connection.execute(queries.FIND_CHANGE, (run, *key)).fetchone() for key in keys]
            found = {key: row[0] for key, row in zip(keys, rows, strict=True) if row is not None}
        else:
            found = {(*key,): number for number, *key in self._connection.execute(queries.FIND_CHANGES, (run,))}
        for each, key in zip(updates, keys, strict=True):
            if key not in found:
                raise ValueError(f"run {run} writes no program {each.day}:{each.service_id} on {each.instance}")
        return [found[key] for key in keys]

    def finish(self, run: int, state: RunState, now: float) -> None:
        """Record how a run ended; a run that is resumed is finished again. Raises UnknownName."""
        with self._transaction("IMMEDIATE"):
            self._check(run)
            self._connection.execute(queries.FINISH, (state.value, None if state is RunState.OPEN else now, run))
            counts = ", ".join(f"{count} {state.value}" for state, count in self._counts([run])[run].items())
            self._tell(run, None, now, _with("reopened" if state is RunState.OPEN else state.value, counts))

    def note(self, run: int, text: str, now: float) -> None:
        """Add a line about a run as a whole to the story, such as who resumed it. Raises UnknownName."""
        with self._transaction("IMMEDIATE"):
            self._check(run)
            self._tell(run, None, now, text)

    def prune(self, older_than: float) -> Pruned:
        """Forget runs that started before that moment, whole; return how much went.

        A run stays while it is open, and while one of its changes matters on a day that is not older than that moment
        itself: it is what was last written there, or it is still owed. So the file holds what is younger, and little
        more.
        """
        horizon = datetime.fromtimestamp(older_than, UTC).date().toordinal() - 1  # a broadcast day ends a date later
        where = Where(first=date.fromordinal(max(horizon, 1)))
        with self._transaction("IMMEDIATE"):
            needed = self._newest(where, REACHED) + self._unsettled(where)
            kept = json.dumps(sorted({row[0] for row in needed}))
            gone = {"before": older_than, "kept": kept, "open": RunState.OPEN.value}
            changes = self._connection.execute(queries.COUNT_PRUNED_CHANGES, gone).fetchone()[0]
            runs = self._connection.execute(queries.PRUNE_RUNS, gone).rowcount
            programs = self._connection.execute(queries.PRUNE_PROGRAMS).rowcount
        with telling(self.path):
            # It is done page by page while it is stepped, and `execute` steps it once only.
            self._connection.executescript("PRAGMA incremental_vacuum")
        return Pruned(runs, int(changes), programs)

    # --- reading ----------------------------------------------------------------------------------------------------

    def runs(self, *, limit: int | None = None, where: Where = EVERYWHERE) -> tuple[Run, ...]:
        """Return the runs that have a change there, newest first, ``limit`` at most (None: all)."""
        with self._reading():
            if where == EVERYWHERE:  # runs that change nothing too
                rows = self._connection.execute(queries.RUNS, (-1 if limit is None else limit,)).fetchall()
            else:
                asked = {**_where_in(where), "limit": -1 if limit is None else limit}
                rows = self._connection.execute(queries.RUNS_WHERE, asked).fetchall()
            counts = self._counts([row[0] for row in rows])
            return tuple(run_of(row, counts[row[0]]) for row in rows)

    def run(self, run: int) -> WholeRun:
        """Return one run with its changes and its events. Raises UnknownName, which says the ids there are."""
        with self._reading():
            self._check(run)
            found = self._runs_by_id([run])[run]
            programs = Programs(self._connection)
            changes = self._connection.execute(queries.CHANGES_OF_RUN, (run,)).fetchall()
            events = self._connection.execute(queries.EVENTS_OF_RUN, (run,)).fetchall()
            return WholeRun(
                found,
                tuple(change_of(row, programs.program) for row in changes),
                tuple(event_of(row) for row in events),
            )

    def last(
        self, instance: str, day: date, service_id: str, *, states: Sequence[ChangeState] = REACHED
    ) -> Applied | None:
        """Return what was last applied there: the newest run's change in one of the states; None if there is none."""
        where = Where(day, day, (instance,), (service_id,))
        return self.last_all(where, states=states).get((instance, day, service_id))

    def last_all(self, where: Where = EVERYWHERE, *, states: Sequence[ChangeState] = REACHED) -> dict[Key, Applied]:
        """Return, for every program on every instance there, what :meth:`last` says; in one query."""
        with self._reading():
            return {found.change.key: found for found in self._applied(self._newest(where, states))}

    def reach(self, where: Where = EVERYWHERE) -> dict[tuple[int, date, str], frozenset[str]]:
        """Return (run, day, service id) -> the towns that the run meant that program for, whatever became of it."""
        found: dict[tuple[int, date, str], set[str]] = {}
        with self._reading():
            for run, day, service_id, town in self._connection.execute(queries.REACH, _where_in(where)):
                key = (run, date.fromisoformat(day), text_out(service_id))
                found.setdefault(key, set()).add(text_out(town))
        return {key: frozenset(towns) for key, towns in found.items()}

    def owed(self, where: Where = EVERYWHERE) -> tuple[Applied, ...]:
        """Return what is still to be written or verified there, oldest run first, then by day, channel, instance.

        That is every change neither verified nor refused, unless a newer run wrote the same program, or may have.
        """
        with self._reading():
            return self._applied(self._unsettled(where))

    def owed_updates(self, where: Where = EVERYWHERE) -> tuple[Applied, ...]:
        """Return what stands on its master but was not updated by dvbbox as asked; order and exception as above."""
        with self._reading():
            return self._applied(self._not_updated(where))

    def story(self, where: Where) -> tuple[Event, ...]:
        """Return all that happened to those programs, in order, with what is said of their runs as a whole."""
        with self._reading():
            rows = self._connection.execute(queries.STORY, _where_in(where)).fetchall()
            return tuple(event_of(row) for row in rows)

    # --- inside a transaction ---------------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self, kind: str = "DEFERRED") -> Iterator[None]:
        with transaction(self._connection, self.path, kind):
            yield

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """One state of the file for several queries; what stands in it and is none of our words is damage."""
        with self._transaction():
            try:
                yield
            except ValueError as error:
                if isinstance(error, DvbboxesError):
                    raise
                raise JournalError(f"{self.path}: it is damaged ({error}): {RESTORE}") from error

    def _tell(self, run: int, change: int | None, now: float, text: str) -> None:
        self._connection.execute(queries.ADD_EVENT, (run, change, now, text_in(text)))

    def _tell_all(self, run: int, now: float, said: Iterable[tuple[int, str]]) -> None:
        """Add a line about each of many changes, told by its number."""
        self._connection.executemany(queries.ADD_EVENT, [(run, change, now, text_in(text)) for change, text in said])

    def _check(self, run: int) -> None:
        # A number beyond SQLite's own is no id; it would raise OverflowError.
        if abs(run) >= 1 << 63 or self._connection.execute(queries.HAS_RUN, (run,)).fetchone() is None:
            ids = self._connection.execute(queries.NEWEST_IDS).fetchall()
            raise UnknownName("run", str(run), [str(row[0]) for row in ids])

    def _newest(self, where: Where, states: Sequence[ChangeState]) -> list[tuple[Any, ...]]:
        asked = {**_where_in(where), "states": _values(states)}
        return [row[1:] for row in self._connection.execute(queries.NEWEST, asked)]

    def _unsettled(self, where: Where) -> list[tuple[Any, ...]]:
        states = [state for state in ChangeState if state not in SETTLED]
        return self._owed(where, states, tuple(UpdateState))

    def _not_updated(self, where: Where) -> list[tuple[Any, ...]]:
        return self._owed(where, REACHED, _UPDATE_OWED)

    def _owed(
        self, where: Where, states: Sequence[ChangeState], updates: Sequence[UpdateState]
    ) -> list[tuple[Any, ...]]:
        asked = {
            **_where_in(where),
            "states": _values(states),
            "updates": _values(updates),
            "taken_over": _values(_TAKEN_OVER),
        }
        return self._connection.execute(queries.OWED, asked).fetchall()

    def _applied(self, rows: Sequence[tuple[Any, ...]]) -> tuple[Applied, ...]:
        programs = Programs(self._connection)
        changes = [change_of(row, programs.program) for row in rows]
        runs = self._runs_by_id(sorted({change.run for change in changes}))
        return tuple(Applied(change, runs[change.run]) for change in changes)

    def _runs_by_id(self, ids: Sequence[int]) -> dict[int, Run]:
        counts = self._counts(ids)
        rows = self._connection.execute(queries.RUNS_BY_ID, (json.dumps(ids),)).fetchall()
        return {row[0]: run_of(row, counts[row[0]]) for row in rows}

    def _counts(self, ids: Sequence[int]) -> dict[int, Counter[ChangeState]]:
        counts: dict[int, Counter[ChangeState]] = {run: Counter() for run in ids}
        for run, state, count in self._connection.execute(queries.COUNTS, (json.dumps(ids),)):
            counts[run][ChangeState(state)] = count
        return counts


def _values(states: Sequence[ChangeState] | Sequence[UpdateState]) -> str:
    return json.dumps([state.value for state in states])


def _key_in(key: Key) -> tuple[str | bytes, str, str | bytes]:
    instance, day, service_id = key
    return text_in(instance), day.isoformat(), text_in(service_id)


def _where_in(where: Where) -> dict[str, str | None]:
    return {
        "first": (where.first or date.min).isoformat(),
        "last": (where.last or date.max).isoformat(),
        "instances": None if where.instances is None else json.dumps(where.instances),
        "service_ids": None if where.service_ids is None else json.dumps(where.service_ids),
    }


def _progress_in(progress: Progress, programs: Programs) -> tuple[Any, ...]:
    """Return the first values of ADVANCE; None leaves what is there."""
    return (
        progress.state and progress.state.value,
        None if progress.detail is None else text_in(progress.detail),
        progress.update and progress.update.value,
        None if progress.update_text is None else text_in(progress.update_text),
        progress.replicated,
        None if progress.after_update is None else programs.number(progress.after_update),
        None if progress.before is None else programs.number(progress.before),
    )


def _progress_text(progress: Progress) -> str:
    said = []
    if progress.state is not None or progress.detail:
        said.append(_with(progress.state.value if progress.state else "", progress.detail or ""))
    if progress.update is not None or progress.update_text:
        said.append(_with(f"update {progress.update.value if progress.update else ''}", progress.update_text or ""))
    if progress.after_update is not None:
        said.append(f"the update left {len(progress.after_update)} entries")
    if progress.replicated is not None:
        said.append("replicated" if progress.replicated else "not replicated in time")
    return "; ".join(said)


def _difference(change: PlannedChange) -> str:
    before, after = len(change.before), len(change.after)
    if not change.looked:
        return f"{after} entries" if after else "delete"
    if not after:
        return f"delete {before}"
    return f"replace {before} by {after}" if before else f"create {after}"


def _with(what: str, detail: str) -> str:
    return f"{what}: {detail}" if what and detail else what or detail
