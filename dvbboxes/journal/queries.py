"""The journal's SQL. What stands between braces is a constant of ours; every value is a parameter.

Lists of values travel as one JSON text and are unfolded by ``json_each``.
"""

from __future__ import annotations

from dvbboxes.journal.rows import CHANGE_COLUMNS, RUN_COLUMNS

_WHERE = """
    day BETWEEN :first AND :last
    AND (:instances IS NULL OR instance IN (SELECT value FROM json_each(:instances)))
    AND (:service_ids IS NULL OR service_id IN (SELECT value FROM json_each(:service_ids)))
"""

ADD_RUN = """
    INSERT INTO runs
        (kind, who, host, command, file, digest, fingerprint, allow, undoes, started, finished, state)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
ADD_CHANGE = """
    INSERT INTO changes
        (
            id, run, town, instance, day, service_id, looked, before, after, state, detail, update_state, update_text,
            changed
        )
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
#: As SQLite would number them; nobody else writes meanwhile.
NEXT_CHANGE = "SELECT coalesce(max(id), 0) + 1 FROM changes"
ADD_EVENT = "INSERT INTO events (run, change, at, text) VALUES (?, ?, ?, ?)"
FIND_CHANGE = "SELECT id FROM changes WHERE run = ? AND instance = ? AND day = ? AND service_id = ?"
FIND_CHANGES = "SELECT id, instance, day, service_id FROM changes WHERE run = ?"
#: The parameters are those of Journal.advance: NULL leaves what is there.
ADVANCE = """
    UPDATE changes SET
        state = coalesce(?1, state),
        detail = coalesce(?2, detail),
        update_state = coalesce(?3, update_state),
        update_text = coalesce(?4, update_text),
        replicated = coalesce(?5, replicated),
        after_update = coalesce(?6, after_update),
        looked = CASE WHEN ?7 IS NULL THEN looked ELSE 1 END,
        before = coalesce(?7, before),
        changed = ?8
    WHERE id = ?9
"""
FINISH = "UPDATE runs SET state = ?, finished = ? WHERE id = ?"

HAS_RUN = "SELECT 1 FROM runs WHERE id = ?"
NEWEST_IDS = "SELECT id FROM runs ORDER BY id DESC LIMIT 1000"
RUNS = f"SELECT {RUN_COLUMNS} FROM runs ORDER BY id DESC LIMIT ?"  # noqa: S608  # constants only
RUNS_WHERE = f"""
    SELECT {RUN_COLUMNS} FROM runs WHERE id IN (SELECT run FROM changes WHERE {_WHERE}) ORDER BY id DESC LIMIT :limit
"""  # noqa: S608  # constants only
RUNS_BY_ID = f"SELECT {RUN_COLUMNS} FROM runs WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608  # constants
COUNTS = """
    SELECT run, state, count(*) FROM changes WHERE run IN (SELECT value FROM json_each(?))
    GROUP BY run, state ORDER BY run, state
"""
CHANGES_OF_RUN = f"""
    SELECT {CHANGE_COLUMNS} FROM changes WHERE run = ? ORDER BY day, service_id, instance
"""  # noqa: S608  # constants only
REACH = f"SELECT DISTINCT run, day, service_id, town FROM changes WHERE {_WHERE}"  # noqa: S608  # constants only
_EVENTS = """
    SELECT events.run, at, text, instance, day, service_id FROM events LEFT JOIN changes ON changes.id = events.change
"""
EVENTS_OF_RUN = f"{_EVENTS} WHERE events.run = ? ORDER BY events.id"
STORY = f"""
    {_EVENTS} WHERE events.run IN (SELECT run FROM changes WHERE {_WHERE}) AND (events.change IS NULL OR ({_WHERE}))
    ORDER BY events.id
"""  # noqa: S608  # constants only

#: SQLite takes the bare columns from the row that has the maximum.
NEWEST = f"""
    SELECT max(run), {CHANGE_COLUMNS} FROM changes
    WHERE {_WHERE} AND state IN (SELECT value FROM json_each(:states))
    GROUP BY day, service_id, instance ORDER BY day, service_id, instance
"""  # noqa: S608  # constants only
OWED = f"""
    SELECT {CHANGE_COLUMNS} FROM changes AS older
    WHERE {_WHERE}
        AND state IN (SELECT value FROM json_each(:states))
        AND update_state IN (SELECT value FROM json_each(:updates))
        AND NOT EXISTS (
            SELECT 1 FROM changes AS newer
            WHERE newer.day = older.day AND newer.service_id = older.service_id AND newer.instance = older.instance
                AND newer.run > older.run AND newer.state IN (SELECT value FROM json_each(:taken_over))
        )
    ORDER BY run, day, service_id, instance
"""  # noqa: S608  # constants only

_PRUNED = "started < :before AND state <> :open AND id NOT IN (SELECT value FROM json_each(:kept))"
COUNT_PRUNED_CHANGES = f"SELECT count(*) FROM changes WHERE run IN (SELECT id FROM runs WHERE {_PRUNED})"  # noqa: S608  # constants only
PRUNE_RUNS = f"DELETE FROM runs WHERE {_PRUNED}"  # noqa: S608  # constants only
PRUNE_PROGRAMS = """
    DELETE FROM programs WHERE id NOT IN (
        SELECT before FROM changes UNION SELECT after FROM changes
        UNION SELECT after_update FROM changes WHERE after_update IS NOT NULL
    )
"""
