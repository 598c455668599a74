"""What each replica held when it was last seen: one small file in the ``[DATA]`` folder.

So that a replica that was wiped is *suspect* and not empty (DESIGN: states). The file is no source of any answer and
never in the way of one: what of it cannot be read is not known, what cannot be written is not remembered, and both are
said to the debug log alone. It is written when something changed, which is once a day as a rule.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from dvbboxes.files import SHARED, replace_whole
from dvbboxes.model import Instance

NAME = "seen"
_HEAD = "# what each replica held when last seen; written by dvbboxes, safe to remove\n"
#: A file of 256 replicas has 20 kB; a larger one is not ours.
_LARGEST = 1 << 20


class Memory:
    """The memory of one process. ``day`` (``2026-11-24``) is when what is seen now is seen."""

    def __init__(self, folder: str, day: str) -> None:
        self._path = Path(folder) / NAME
        self._day = day
        self._known: dict[tuple[str, str], dict[int, str]] | None = None
        self._fresh: dict[tuple[str, str], dict[int, str]] = {}

    def held(self, instance: Instance) -> Mapping[int, str]:
        """Return which databases of an instance's replica held something, each with the day that was last seen."""
        return self._all().get(_key(instance), {})

    def saw(self, instance: Instance, databases: Collection[int]) -> None:
        """Remember that these databases of an instance's replica hold something."""
        key = _key(instance)
        known = self._all().setdefault(key, {})
        for database in databases:
            if known.get(database) != self._day:
                known[database] = self._day
                self._fresh.setdefault(key, {})[database] = self._day

    def forget(self, instances: Collection[Instance]) -> None:
        """Forget what replicas held and write that down; raises OSError: this one is done for its own sake."""
        gone = {_key(instance) for instance in instances}
        self._known = {key: seen for key, seen in self._read().items() if key not in gone}
        self._fresh = {}
        self._write(self._known)

    def save(self) -> None:
        """Write down what is new, if anything is."""
        if not self._fresh:
            return
        whole = self._read()  # another process may have written since
        for key, seen in self._fresh.items():
            whole.setdefault(key, {}).update(seen)
        self._fresh = {}
        try:
            self._write(whole)
        except OSError as error:
            _debug("%s cannot be written: %s", self._path, error)

    def _all(self) -> dict[tuple[str, str], dict[int, str]]:
        if self._known is None:
            self._known = self._read()
        return self._known

    def _read(self) -> dict[tuple[str, str], dict[int, str]]:
        try:
            with self._path.open("rb") as file:
                text = file.read(_LARGEST).decode("utf-8", "replace")
        except FileNotFoundError:
            return {}
        except OSError as error:
            _debug("%s cannot be read: %s", self._path, error)
            return {}
        found: dict[tuple[str, str], dict[int, str]] = {}
        for line in text.splitlines():
            parts = line.split("\t")
            if len(parts) == 4 and parts[2] in ("0", "1"):
                found.setdefault((parts[0], parts[1]), {})[int(parts[2])] = parts[3]
        return found

    def _write(self, whole: Mapping[tuple[str, str], Mapping[int, str]]) -> None:
        lines = [
            f"{fqdn}\t{master}\t{db}\t{day}\n" for (fqdn, master), seen in whole.items() for db, day in seen.items()
        ]
        # Not synced: it is written by the way of an answer that nobody should wait for, and may be lost.
        replace_whole(self._path, (_HEAD + "".join(lines)).encode(), SHARED, synced=False)


def _key(instance: Instance) -> tuple[str, str]:
    # With another master it is another replica.
    return instance.fqdn, str(instance.master)


def _debug(text: str, path: Path, error: OSError) -> None:
    import logging  # only a failure pays for it

    logging.getLogger("dvbboxes").debug(text, path, error.strerror or error)
