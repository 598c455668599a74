"""The configuration file -> one frozen :class:`dvbboxes.model.Config` (SPEC 3). Importing this reads nothing.

``scanner`` finds the lines, ``values``, ``endpoints`` and ``zones`` understand one value each, ``reader`` asks for
them by key and remembers every mistake, ``builder`` makes the Config. This page is where files are touched.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dvbboxes.config.builder import build
from dvbboxes.config.reader import Reader, printable
from dvbboxes.config.scanner import scan
from dvbboxes.errors import ConfigError
from dvbboxes.model import Config

if TYPE_CHECKING:
    from configparser import RawConfigParser

__all__ = ["DEFAULT_PATH", "ENVIRONMENT", "exposed", "load", "locate", "prepare", "raw_parser"]

DEFAULT_PATH = "/etc/dvbboxes/configuration"
ENVIRONMENT = "DVBBOXES_CONFIG"


def locate(option: str | None, environ: Mapping[str, str]) -> str:
    """Return the path of the file to read: the ``-c`` option, else ``DVBBOXES_CONFIG``, else the default.

    An empty option stays empty (and :func:`load` refuses it): ``-c $X`` with X unset must not mean another file.
    """
    if option is not None:
        return option
    return environ.get(ENVIRONMENT) or DEFAULT_PATH


def load(path: str | Path) -> Config:
    """Return the whole checked configuration in ``path`` (SPEC 3). Nothing but that file is read, nothing is created.

    Raises ConfigError with every mistake at once, each ``file:line: [section] key: what is wrong``; a file that
    cannot be read is one ``path: what is wrong and what to do``.
    """
    return build(str(path), scan(_text(path)), os.environ)


def raw_parser(path: str | Path) -> RawConfigParser:
    """Return the standard parser over the same file, for callers of ``CONFIG``: raw text, nothing expanded (SPEC 7).

    It sees the sections, options and values :func:`load` sees. Raises ConfigError for mistakes of form.
    """
    from configparser import RawConfigParser

    text = _text(path)
    Reader(str(path), scan(text)).finish()
    parser = RawConfigParser(
        allow_no_value=True,
        delimiters=("=",),
        comment_prefixes=("#", ";"),
        inline_comment_prefixes=(";",),
        empty_lines_in_values=False,
        interpolation=None,
        # No line can hold this name, so no section is the special one.
        default_section="\n",
    )
    parser.read_string(text, source=str(path))
    return parser


def prepare(config: Config) -> tuple[str, ...]:
    """Create the log file and the data folder, parents too, where they are missing (SPEC 3).

    Returns one line per problem, naming file, line, section and key: a command that reads warns with it and goes on,
    one that writes stops (exit 3). An empty tuple means both are there and can be written to.
    """
    problems = []
    log = Path(config.log.filepath)
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab"):
            pass
    except (OSError, ValueError) as error:
        problems.append(_problem(config, "LOG", "filepath", f"{log} cannot be written", error))
    folder = Path(config.data_folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
    except (OSError, ValueError) as error:
        problems.append(_problem(config, "DATA", "folder", f"{folder} cannot be used", error))
    return tuple(problems)


def exposed(config: Config) -> tuple[str, ...]:
    """Return a warning for each password file that everybody on this machine can read or change."""
    used = {
        (side, path)
        for instance in config.instances
        for side, path in (("", instance.replica.password_file), ("master_", instance.master.password_file))
        if path is not None
    }
    lines = []
    for side, path in sorted(used):
        try:
            mode = Path(path).stat().st_mode
        except OSError:  # whoever needs it says so
            continue
        if mode & 0o006:
            key = f"{side}password_file"
            origins = (s.origin for s in config.settings if (s.section, s.key) == ("REDIS", key))
            what = f"{path} can be read by everybody on this machine: chmod o= {path}"
            lines.append(printable(f"{next(origins, config.path)}: [REDIS] {key}: {what}"))
    return tuple(lines)


def _problem(config: Config, section: str, key: str, what: str, error: OSError | ValueError) -> str:
    origins = (s.origin for s in config.settings if (s.section, s.key) == (section, key))
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    fix = "create it for this user or name another place"
    return printable(f"{next(origins, config.path)}: [{section}] {key}: {what} ({reason}): {fix}")


def _text(path: str | Path) -> str:
    """Return the text of the file; bytes that are no UTF-8 stay in it as surrogates, for the scanner to name."""
    if not str(path):
        raise ConfigError(["the name of the configuration file is empty: give -c a file, or leave -c out"])
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise ConfigError([f"{printable(str(path))}: {_why_unreadable(error)}"]) from error
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ConfigError([f"{printable(str(path))}: it is UTF-16: save the file as UTF-8"])
    return data.decode("utf-8-sig", "surrogateescape")


def _why_unreadable(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"there is no such file: create it, or name another with -c FILE or {ENVIRONMENT}"
    if isinstance(error, IsADirectoryError):
        return f"it is a folder: name a file with -c FILE or {ENVIRONMENT}"
    if isinstance(error, PermissionError):
        return "this user may not read it: have its group or mode changed, or name another with -c FILE"
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return f"it cannot be read ({reason}): name another with -c FILE or {ENVIRONMENT}"
