"""Waiting for what comes true beside us: a server that follows, a process that goes, a file that appears."""

from __future__ import annotations

import time
from collections.abc import Callable


def eventually(condition: Callable[[], object], deadline: float = 60.0, *, pause: float = 0.01) -> bool:
    """Return whether a condition comes true within ``deadline`` seconds; it is looked at every ``pause``.

    The deadline unless another is given is far more than it takes where nothing is wrong: a machine may be busy.
    """
    end = time.monotonic() + deadline
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
    return True
