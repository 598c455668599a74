"""What gathers waited for in vain, counted: a limit that holds however busy the machine is, where seconds would not."""

from __future__ import annotations

import contextlib
import select
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from types import ModuleType
from typing import Any
from unittest.mock import patch

from dvbboxes import fleet
from dvbboxes.apply import masters
from dvbboxes.model import FailureKind
from dvbboxes.store import Link, Unanswered


class Waits:
    """The waits of a fleet that brought nothing, each as long as it was meant to be, not as long as it took."""

    def __init__(self) -> None:
        self._mine = threading.get_ident()
        self.begin()

    def begin(self) -> None:
        """Count from nothing on."""
        self._seconds: defaultdict[int, float] = defaultdict(float)
        #: Connections that the thread which asks everybody waited for itself, and did not get.
        self.connects = 0

    @property
    def in_vain(self) -> float:
        """Seconds of one thread: fleets that are asked side by side wait for the same time."""
        return max(self._seconds.values(), default=0.0)

    def waited(self, seconds: float) -> None:
        self._seconds[threading.get_ident()] += seconds

    def poll(self) -> _Poll:
        """Stands for ``select.poll``."""
        return _Poll(self)

    def sleep(self, seconds: float) -> None:
        """Stands for ``time.sleep``."""
        time.sleep(seconds)
        self.waited(seconds)

    def connecting(self, link: Link, timeout: float) -> None:
        """Stands for ``Link.connect``."""
        try:
            _connect(link, timeout)
        except Unanswered as failed:
            if failed.failure.kind is FailureKind.TIMEOUT and threading.get_ident() == self._mine:
                self.connects += 1
            raise


_connect = Link.connect


class _Instead:
    """A module with another function in it."""

    def __init__(self, module: ModuleType, **others: Any) -> None:
        self._module, self._others = module, others

    def __getattr__(self, name: str) -> Any:
        return self._others[name] if name in self._others else getattr(self._module, name)


class _Poll:
    def __init__(self, waits: Waits) -> None:
        self._waits, self._poll = waits, select.poll()

    def poll(self, milliseconds: float) -> list[tuple[int, int]]:
        ready = self._poll.poll(milliseconds)
        if not ready:
            self._waits.waited(milliseconds / 1000)
        return ready

    def __getattr__(self, name: str) -> Any:
        return getattr(self._poll, name)


@contextlib.contextmanager
def counted() -> Iterator[Waits]:
    """Count what every fleet of this process waits for in vain."""
    waits = Waits()
    with (
        patch.object(fleet, "select", _Instead(select, poll=waits.poll)),
        patch.object(masters, "time", _Instead(time, sleep=waits.sleep)),
        patch.object(Link, "connect", lambda *given: waits.connecting(*given)),
    ):
        yield waits
