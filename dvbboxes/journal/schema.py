"""The tables of the journal and how an older file becomes a newer one.

The version of a file is the number of migrations it has been through. A migration is never edited once released: what
changes is added as the next one.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Says in the file's header that it is ours: "dvbb".
APPLICATION_ID = 0x64766262

_FIRST = (
    # AUTOINCREMENT: the id of a run that was forgotten is never given to another.
    """
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL,
        who TEXT NOT NULL,
        host TEXT NOT NULL,
        command TEXT NOT NULL,
        file TEXT NOT NULL,
        digest TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        allow TEXT NOT NULL,
        undoes INTEGER,
        started REAL NOT NULL,
        finished REAL,
        state TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE programs (
        id INTEGER PRIMARY KEY,
        sha256 BLOB NOT NULL UNIQUE,
        entries TEXT NOT NULL
    )
    """,
    # No foreign keys on programs: each would need an index of its own, and only `prune` ever removes one.
    """
    CREATE TABLE changes (
        id INTEGER PRIMARY KEY,
        run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        town TEXT NOT NULL,
        instance TEXT NOT NULL,
        day TEXT NOT NULL,
        service_id TEXT NOT NULL,
        looked INTEGER NOT NULL,
        before INTEGER NOT NULL,
        after INTEGER NOT NULL,
        state TEXT NOT NULL,
        detail TEXT NOT NULL,
        update_state TEXT NOT NULL,
        update_text TEXT NOT NULL,
        replicated INTEGER,
        after_update INTEGER,
        changed REAL NOT NULL,
        UNIQUE (day, service_id, instance, run)
    )
    """,
    "CREATE INDEX changes_of_run ON changes (run)",
    """
    CREATE TABLE events (
        id INTEGER PRIMARY KEY,
        run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        change INTEGER,
        at REAL NOT NULL,
        text TEXT NOT NULL
    )
    """,
    "CREATE INDEX events_of_run ON events (run)",
)


@dataclass(frozen=True, slots=True)
class Schema:
    """What a file must be: its application id, and the statements of each migration in order."""

    application_id: int
    migrations: tuple[tuple[str, ...], ...]

    @property
    def version(self) -> int:
        """The version of a file that has been through all migrations."""
        return len(self.migrations)


SCHEMA = Schema(APPLICATION_ID, (_FIRST,))
