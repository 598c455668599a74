"""The archive of ``program backup``: every program and duration of a fleet as plain lines (docs: writing). Pure.

::

    dvbboxes-archive 1 24-11-2026 10:00:00 +0300
    instance<TAB>town<TAB>fqdn                    who is in it, in the order of the configuration
    silent<TAB>fqdn<TAB>why                       who was asked and did not answer: nothing of it is in the archive
    media<TAB>name.ts<TAB>5400.12<TAB>fqdn fqdn   a file and its duration as stored, and who says so
    program<TAB>24112026<TAB>85<TAB>2<TAB>fqdn    a program of so many entries, and who holds it
    entry<TAB>1795411800.0<TAB>/opt/tsfiles/film_a.ts:0
    end<TAB>lines before this one<TAB>sha256 of them

Fields are separated by one tab. A percent sign, a space, and every byte that is not printable ASCII are ``%XX``, so any
member or name comes back byte for byte; starts come back to the last digit.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from urllib.parse import quote_from_bytes, unquote_to_bytes

from dvbboxes.errors import ListingError
from dvbboxes.model import Entry, Stored
from dvbboxes.wire import day_text, encode, parse_day_text, shown, text

MAGIC = "dvbboxes-archive 1"
_PLAIN = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")
#: More mistakes than this are counted.
_MOST = 50


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything one instance holds: its programs by (day, service id), its durations as stored by file name.

    ``passed`` counts the keys of both databases that are neither (SPEC 2).
    """

    programs: Mapping[tuple[date, str], Stored]
    media: Mapping[str, str]
    passed: int = 0


@dataclass(frozen=True, slots=True)
class Archive:
    """A backup: when it was made (text), fqdn -> town, fqdn -> contents, fqdn -> why it did not answer."""

    made: str
    towns: Mapping[str, str]
    contents: Mapping[str, Contents]
    silent: Mapping[str, str]


def write(archive: Archive) -> str:
    """Return an archive as text: the same fleet gives the same lines in the same order, whatever was asked first."""
    lines = list(_lines(archive))
    body = "".join(f"{line}\n" for line in lines)
    return f"{body}end\t{len(lines)}\t{hashlib.sha256(body.encode()).hexdigest()}\n"


def _lines(archive: Archive) -> Iterator[str]:
    yield f"{MAGIC} {archive.made}"
    for fqdn, town in archive.towns.items():
        yield f"instance\t{_out(town)}\t{_out(fqdn)}"
    for fqdn, why in archive.silent.items():
        yield f"silent\t{_out(fqdn)}\t{_out(why)}"
    media: dict[tuple[str, str], list[str]] = {}
    programs: dict[tuple[str, date, Stored], list[str]] = {}
    for fqdn, contents in archive.contents.items():
        for name, value in contents.media.items():
            media.setdefault((name, value), []).append(fqdn)
        for (day, service_id), stored in contents.programs.items():
            programs.setdefault((service_id, day, stored), []).append(fqdn)
    for name, value in sorted(media):
        yield f"media\t{_out(name)}\t{_out(value)}\t{_names(media[name, value])}"
    order = sorted(programs, key=lambda one: (one[0], one[1], [(entry.start, entry.member) for entry in one[2]]))
    for service_id, day, stored in order:
        holders = _names(programs[service_id, day, stored])
        yield f"program\t{day_text(day)}\t{_out(service_id)}\t{len(stored)}\t{holders}"
        for entry in stored:
            yield f"entry\t{entry.start!r}\t{_out(entry.member)}"


def _names(fqdns: Iterable[str]) -> str:
    return " ".join(_out(fqdn) for fqdn in fqdns)


def _out(value: str) -> str:
    return quote_from_bytes(encode(value), safe=_PLAIN)


def _in(value: str) -> str:
    return text(unquote_to_bytes(value))


# --- reading --------------------------------------------------------------------------------------------------------


class _Bad(Exception):
    """One line is wrong; the text says how."""


@dataclass(slots=True)
class _Reader:
    """An archive being read, line by line."""

    towns: dict[str, str] = field(default_factory=dict)
    silent: dict[str, str] = field(default_factory=dict)
    media: dict[str, dict[str, str]] = field(default_factory=dict)
    programs: dict[str, dict[tuple[date, str], Stored]] = field(default_factory=dict)
    begun: tuple[date, str, int, tuple[str, ...]] | None = None
    entries: list[Entry] = field(default_factory=list)
    ended: bool = False

    def take(self, fields: Sequence[str]) -> None:
        if self.ended:
            raise _Bad("something follows the end line")
        takers: dict[str, tuple[int, Callable[..., None]]] = {
            "instance": (2, self._instance), "silent": (2, self._silent), "media": (3, self._media),
            "program": (4, self._program), "entry": (2, self._entry),
        }  # fmt: skip
        kind, *rest = fields
        if kind not in takers:
            raise _Bad(f"{shown(kind)} is no kind of line: {', '.join(takers)} or end")
        count, take = takers[kind]
        if len(rest) != count:
            raise _Bad(f"{kind} has {count} fields after it, not {len(rest)} (they are separated by one tab)")
        if kind != "entry":
            self.close()
        take(*rest)

    def close(self) -> None:
        """End the program whose entries were read; raises _Bad where some are missing."""
        if self.begun is None:
            return
        day, service_id, count, holders = self.begun
        entries, self.begun, self.entries = tuple(self.entries), None, []
        if len(entries) != count:
            raise _Bad(f"the program {day_text(day)}:{service_id} before it has {len(entries)} entries, not {count}")
        ordered = sorted(entries, key=lambda entry: (entry.start, encode(entry.member)))
        for fqdn in holders:
            held = self.programs.setdefault(fqdn, {})
            if (day, service_id) in held:
                raise _Bad(f"the program {day_text(day)}:{service_id} of {fqdn} before it stands twice")
            held[day, service_id] = tuple(ordered)

    def _instance(self, town: str, fqdn: str) -> None:
        if _in(fqdn) in self.towns:
            raise _Bad(f"the instance {shown(_in(fqdn))} stands twice")
        self.towns[_in(fqdn)] = _in(town)

    def _silent(self, fqdn: str, why: str) -> None:
        self.silent[self._known(fqdn)] = _in(why)

    def _media(self, name: str, value: str, fqdns: str) -> None:
        for fqdn in self._holders(fqdns):
            if _in(name) in self.media.setdefault(fqdn, {}):
                raise _Bad(f"{shown(_in(name))} has two durations on {fqdn}")
            self.media[fqdn][_in(name)] = _in(value)

    def _program(self, day: str, service_id: str, count: str, fqdns: str) -> None:
        parsed = parse_day_text(day)
        if parsed is None:
            raise _Bad(f"{shown(day)} is no day: eight digits, ddmmyyyy")
        if not (count.isascii() and count.isdigit() and 0 < int(count) < 10**6):
            raise _Bad(f"{shown(count)} is no number of entries")
        if not service_id or ":" in service_id:
            raise _Bad(f"{shown(service_id)} is no service id")
        self.begun = (parsed, _in(service_id), int(count), self._holders(fqdns))

    def _entry(self, start: str, member: str) -> None:
        if self.begun is None:
            raise _Bad("an entry without its program")
        try:
            moment = float(start)
        except ValueError:
            moment = math.nan
        if not math.isfinite(moment) or repr(moment) != start:
            raise _Bad(f"{shown(start)} is no start: Unix seconds with a point, 1795411800.0")
        name = _in(member)
        if not name:
            raise _Bad("an entry without a name: /path/name.ts:index")
        if any(entry.member == name for entry in self.entries):
            raise _Bad(f"{shown(name)} stands twice in its program")
        self.entries.append(Entry(name, moment))

    def _holders(self, fqdns: str) -> tuple[str, ...]:
        return tuple(self._known(fqdn) for fqdn in fqdns.split(" "))

    def _known(self, fqdn: str) -> str:
        name = _in(fqdn)
        if name not in self.towns:
            raise _Bad(f"{shown(name)} is none of the archive's instances")
        return name


def read(content: bytes, source: str) -> Archive:
    """Return the archive in a file's bytes; ``source`` is its name.

    Every line is checked. Raises ListingError with every mistake and its line; a file that is cut, or was changed since
    it was made, is one.
    """
    body, end = _ended(content, source)
    lines = body.decode("utf-8", "surrogateescape").removesuffix("\n").split("\n")
    made = lines[0].removeprefix(MAGIC).strip()
    reader = _Reader()
    mistakes: list[tuple[int, str]] = []
    for number, line in enumerate(lines[1:], 2):
        try:
            reader.take(line.split("\t"))
        except _Bad as bad:
            mistakes.append((number, str(bad)))
    try:
        reader.close()
    except _Bad as bad:
        mistakes.append((len(lines), str(bad)))
    mistakes += _compared(body, len(lines), end) if not mistakes else []
    if mistakes:
        raise ListingError(mistakes[:_MOST], more=max(0, len(mistakes) - _MOST), source=source)
    contents = {
        fqdn: Contents(reader.programs.get(fqdn, {}), reader.media.get(fqdn, {}))
        for fqdn in reader.towns
        if fqdn not in reader.silent
    }
    return Archive(made, reader.towns, contents, reader.silent)


def _ended(content: bytes, source: str) -> tuple[bytes, list[str]]:
    """Return what the end line speaks of, and its fields; raises ListingError for no archive and for a cut one."""
    if not content.startswith(f"{MAGIC} ".encode()):
        first = content.split(b"\n", 1)[0]
        raise ListingError([(1, f"no archive of dvbboxes: it begins {shown(first)}")], source=source)
    body, newline, last = content.removesuffix(b"\n").rpartition(b"\n")
    fields = last.decode("utf-8", "replace").split("\t")
    if not newline or fields[0] != "end" or len(fields) != 3 or not content.endswith(b"\n"):
        said = "the archive is cut: its end line is not there; take another copy"
        raise ListingError([(content.count(b"\n") + 1, said)], source=source)
    return body + b"\n", fields


def _compared(body: bytes, count: int, end: Sequence[str]) -> list[tuple[int, str]]:
    _, lines, digest = end
    if lines != str(count):
        return [(count + 1, f"the end line speaks of {shown(lines)} lines, and there are {count}")]
    if digest != (found := hashlib.sha256(body).hexdigest()):
        said = f"it was changed since it was made. If that was meant, its digest is now {found}: write it there"
        return [(count + 1, said)]
    return []
