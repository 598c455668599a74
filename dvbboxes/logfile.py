"""The log of ``[LOG]``: one line per command, and what callers of the API should know. Rotation is logrotate's.

The file is opened at the first line written, and again when logrotate has moved it away.
"""

from __future__ import annotations

import contextlib
import logging
from logging.handlers import WatchedFileHandler

from dvbboxes.model import Gathered, LogSettings

NAME = "dvbboxes"


class _Quiet(WatchedFileHandler):
    """A handler that never disturbs an answer: a full disk or a vanished folder costs the line, nothing else."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line, or drop it."""
        with contextlib.suppress(OSError):  # the file is looked for, and opened, before logging minds its errors
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Drop the line."""


def logger(settings: LogSettings) -> logging.Logger:
    """Return the logger ``dvbboxes``, writing to the file of ``[LOG]``; the root logger is left alone (SPEC 7).

    Raises nothing for a file that cannot be written: its lines are lost, and ``config.prepare`` has said so.
    """
    log = logging.getLogger(NAME)
    for old in list(log.handlers):
        if isinstance(old, _Quiet):
            log.removeHandler(old)
            old.close()
    handler = _Quiet(settings.filepath, encoding="utf-8", errors="backslashreplace", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", settings.datefmt))
    log.addHandler(handler)
    log.setLevel(settings.level)
    log.propagate = False
    return log


def missing(gathered: Gathered[object]) -> str:
    """Return the instances that did not answer, for a log line: ``dvb-tana-3 (timeout), ...``; ``-`` for none."""
    said = [f"{answer.instance.fqdn} ({answer.error.kind.value})" for answer in gathered.missing if answer.error]
    return ", ".join(said) or "-"
