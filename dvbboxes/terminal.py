"""The terminal: what this process writes to whom, asks, and how wide it is. Nothing else prints."""

from __future__ import annotations

import os
import sys
from typing import Any, TextIO

from dvbboxes.errors import DvbboxesError, UsageError
from dvbboxes.render import render
from dvbboxes.render.style import Style, clean

PROG = "dvbboxes"


def prepare_streams() -> None:
    """Make both streams take any text; one that was closed before we began (``>&-``) swallows it."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115  # for the process's life
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # they are text files here


def write(text: str) -> bool:
    """Write to stdout, all of it now; return whether it went out.

    A reader that went away (head, less) is no error; a full disk is.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        # What is left in the buffer would fail once more when the process ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise DvbboxesError(f"the result cannot be written to standard output: {error.strerror}") from error
        return False
    return True


def complain(text: str) -> None:
    """Say what went wrong, in the program's name."""
    for number, line in enumerate(text.splitlines()):
        sys.stderr.write(f"{'' if number else f'{PROG}: '}{clean(line)}\n")


def warn(line: str) -> None:
    """Say what is odd, and go on."""
    complain(f"warning: {line}")


def ask(question: str) -> bool:
    """Ask on the terminal; y, yes, o and oui are a yes."""
    if not sys.stdin.isatty():
        raise UsageError(f"{question} There is no terminal to ask on: --yes says yes")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().casefold() in ("y", "yes", "o", "oui")


def tell(view: object, gathered: Any) -> None:
    """Show a view before the command ends: to a person, whatever the format of the result."""
    sys.stderr.write(render("", view, gathered, "text", style(sys.stderr)))
    sys.stderr.flush()


def progress(phase: str, done: int, total: int) -> None:
    """Draw a bar on a terminal, over itself; nothing anywhere else."""
    if not sys.stderr.isatty():
        return
    filled = 30 * done // max(1, total)
    end = "\n" if done >= total else ""
    sys.stderr.write(f"\r{phase:<12} [{'#' * filled}{'.' * (30 - filled)}] {done}/{total}{end}")
    sys.stderr.flush()


def style(stream: TextIO | None = None) -> Style:
    """Return how text is shown on a stream (None: stdout): with colours and as wide as a terminal, if it is one."""
    terminal = (stream or sys.stdout).isatty()
    return Style(terminal and not os.environ.get("NO_COLOR"), width() if terminal else 120)


def width() -> int:
    """Return the columns of the terminal."""
    import shutil

    return shutil.get_terminal_size().columns
