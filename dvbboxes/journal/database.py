"""The journal's SQLite file: opened, known for ours, brought to the present schema, and its errors told as ours.

The rollback journal is DELETE and not WAL, because WAL asks write permission of whoever only reads. Synchronous is
EXTRA: after a power cut a transaction that was acknowledged is there (FULL leaves the removal of the rollback journal
unsynced). `sqlite3` is imported where it is used: most commands never open the journal.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dvbboxes.errors import JournalError
from dvbboxes.journal.schema import SCHEMA, Schema

if TYPE_CHECKING:
    import sqlite3

#: Seconds to wait for another process that reads or writes the file.
BUSY = 10.0
_MODE = 0o664

RESTORE = "move it away and put back a saved copy, or none: a new one is begun"
#: SQLite's name of an error (its beginning) -> what it means and the way out.
_MEANINGS = (
    ("SQLITE_FULL", "the disk is full", "make room on it, then say the command again"),
    ("SQLITE_NOTADB", "it is no SQLite file, so no journal of ours", RESTORE),
    ("SQLITE_CORRUPT", "it is damaged", RESTORE),
    ("SQLITE_BUSY", f"another process has held it for {BUSY:g} s", "see who reads it, then say the command again"),
    ("SQLITE_READONLY_ROLLBACK", "a killed run left it half written, and this user may not repair it",
     "run `dvbboxes history` once as its owner"),
    ("SQLITE_READONLY", "it may only be read", "run this as its owner, or give this user the right to write it"),
    ("SQLITE_CANTOPEN", "it cannot be opened", "look at the rights of the file, and of the folder it is in"),
    ("SQLITE_PERM", "this user may not use it", "look at the rights of the file"),
    ("SQLITE_IOERR", "the disk or a limit of this process failed it", "look at its disk, then say the command again"),
)  # fmt: skip


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """Turn what SQLite or the system says of the file into a JournalError that names it and the way out.

    A mistake of ours in using SQLite (ProgrammingError, IntegrityError) is left as it is.
    """
    import sqlite3

    try:
        yield
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror}: look at [DATA] folder and its rights") from error
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.ProgrammingError | sqlite3.IntegrityError):
            raise
        raise JournalError(f"{path}: {_meaning(error)}") from error


def _meaning(error: sqlite3.DatabaseError) -> str:
    name = getattr(error, "sqlite_errorname", "")
    for beginning, what, way_out in _MEANINGS:
        if name.startswith(beginning):
            return f"{what} ({error}): {way_out}"
    return f"it is not as we left it ({error}): {RESTORE}"


def open_database(path: Path, *, write: bool, schema: Schema = SCHEMA) -> sqlite3.Connection:
    """Return a connection to the journal at ``path``, of the present schema, in autocommit.

    With ``write`` the file is created where there is none, checked through, and migrated in one transaction where it
    is older. Without, nothing is written (but for what SQLite does to undo what a killed run left half written): a
    file that is not there yet is an empty journal, an older one is migrated in memory. Raises JournalError for what
    is no journal of ours, is damaged or of a newer dvbboxes, and for what the system refuses. What is refused is
    never written to.
    """
    import sqlite3

    with telling(path):
        if write:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE))  # SQLite would make it 0644
        size = _size(path)
        if not size and not write:
            return _in_memory(schema)
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY, isolation_level=None
        )
        try:
            return _made_ready(connection, path, schema, write=write, empty=not size)
        except BaseException:
            connection.close()
            raise


def _size(path: Path) -> int:
    """Return the size of the file, 0 where there is none; raises JournalError for what is no file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0
    if not stat.S_ISREG(found.st_mode):
        raise JournalError(f"{path}: it is no file: move it away, and a new journal is begun")
    return found.st_size


def _made_ready(
    connection: sqlite3.Connection, path: Path, schema: Schema, *, write: bool, empty: bool
) -> sqlite3.Connection:
    version = _checked_version(connection, path, schema, empty=empty)
    if not write:
        connection.execute("PRAGMA query_only = ON")
        return connection if version == schema.version else _migrated_copy(connection, schema)
    for pragma in ("journal_mode = DELETE", "synchronous = EXTRA", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    if empty:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # heeded only before the first table
    else:
        _check_through(connection, path)
    if version < schema.version:
        migrate(connection, path, schema)
    return connection


def _checked_version(connection: sqlite3.Connection, path: Path, schema: Schema, *, empty: bool) -> int:
    """Return the version of the file; raises JournalError if it is another's or newer than this dvbboxes."""
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if not empty and application_id != schema.application_id:
        raise JournalError(f"{path}: it belongs to another program: move it away, and a new journal is begun")
    if version > schema.version:
        raise JournalError(
            f"{path}: it is of a newer dvbboxes (schema {version}, this one knows {schema.version}): "
            "upgrade dvbboxes here; it was not touched"
        )
    return version


def _check_through(connection: sqlite3.Connection, path: Path) -> None:
    """Read every page once: to write into a file that is damaged elsewhere would make it worse."""
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise JournalError(f"{path}: it is damaged ({' '.join(str(found).split())}): {RESTORE}")


def migrate(connection: sqlite3.Connection, path: Path, schema: Schema) -> None:
    """Bring the file to the present schema in one transaction; on any failure it stays what it was."""
    with transaction(connection, path, "IMMEDIATE"):
        # Read again under the lock: two processes may have found the same old file.
        version = _checked_version(connection, path, schema, empty=True)
        for statements in schema.migrations[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {schema.application_id:d}")
        connection.execute(f"PRAGMA user_version = {schema.version:d}")


def _in_memory(schema: Schema) -> sqlite3.Connection:
    import sqlite3

    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, Path(":memory:"), schema)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _migrated_copy(connection: sqlite3.Connection, schema: Schema) -> sqlite3.Connection:
    """Return a copy in memory of an older file, migrated: whoever only reads must not change the file."""
    import sqlite3

    copy = sqlite3.connect(":memory:", isolation_level=None)
    connection.backup(copy)
    connection.close()
    migrate(copy, Path(":memory:"), schema)
    copy.execute("PRAGMA query_only = ON")
    return copy


@contextmanager
def transaction(connection: sqlite3.Connection, path: Path, kind: str = "DEFERRED") -> Iterator[None]:
    """One transaction of the given kind: committed and synced when the block ends, rolled back when it raises."""
    with telling(path):
        connection.execute(f"BEGIN {kind}")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # a full disk has ended it already
                connection.execute("ROLLBACK")
            raise
