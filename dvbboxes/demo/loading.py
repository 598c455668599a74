"""What a demo fleet is loaded with, and the Redis commands that load it.

Content is the built-in sample or listings of the caller's own; :func:`commands` makes of it, and of the trouble, what
each master is told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from dvbboxes import listing as listings_room
from dvbboxes import wire
from dvbboxes.demo.sample import Content
from dvbboxes.demo.trouble import Trouble
from dvbboxes.errors import UsageError
from dvbboxes.model import Instance, ScheduleSettings
from dvbboxes.schedule import lay_out

CHANNEL_NAMES = "channels.tsv"


def read_content(listings: Sequence[Path], durations: Path, starting: date | None, today: date) -> Content:
    """Return the content of listing files (SPEC 5), each named ``SID_DDMMYYYY_DDMMYYYY``, and a durations file.

    ``durations`` has lines of ``name.ts<TAB>seconds``. Channel names come from a ``channels.tsv`` (id, tab, name)
    beside the listing, else they are the ids. With ``starting``, the first day of all listings becomes that day and
    the later ones follow. Raises UsageError (ListingError is one) that names file and line.
    """
    programs: dict[tuple[date, str], tuple[str, ...]] = {}
    channels: dict[str, str] = {}
    for path in listings:
        named = listings_room.parse_file_name(path.name)
        if named is None:
            raise UsageError(f"{path}: a demo listing is named SID_DDMMYYYY_DDMMYYYY: its channel, first and last day")
        sid = named.service_id
        parsed = listings_room.parse(_read(path), filename=path.name, today=today)
        channels[sid] = _channel_names(path.with_name(CHANNEL_NAMES)).get(sid, sid)
        for day in parsed.days:
            if (day.day, sid) in programs:
                raise UsageError(f"{path}: channel {sid} has {day.day:%d/%m/%Y} in another listing already")
            programs[day.day, sid] = tuple(entry.name for entry in day.entries)
    if starting is not None and programs:
        shift = starting - min(day for day, _ in programs)
        programs = {(day + shift, sid): names for (day, sid), names in programs.items()}
    return Content(channels, programs, read_durations(durations))


def read_durations(path: Path) -> dict[str, float]:
    """Return name (without ``.ts``) -> seconds from a file of ``name.ts<TAB>seconds`` lines; raises UsageError."""
    found: dict[str, float] = {}
    for number, line in enumerate(_read(path).splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        media, _, text = line.partition("\t")
        name = wire.stem(media.strip())
        duration = wire.decode_duration(text.strip().encode()).seconds
        if not wire.is_media_name(name) or duration is None or not math.isfinite(duration):
            raise UsageError(f"{path}:{number}: {wire.shown(line)} is no duration: write name.ts, a tab, seconds")
        found[name] = duration
    return found


def commands(
    content: Content, trouble: Trouble, instances: Sequence[Instance], settings: ScheduleSettings
) -> dict[str, list[wire.Command]]:
    """Return fqdn -> what its master is told: every program (db 0) and every file it has (db 1), trouble included.

    Starts are laid out from the true durations, as a listing is (SPEC 5): an old day keeps the ones it had.
    """
    told: dict[str, list[wire.Command]] = {}
    for instance in instances:
        own = dict(content.programs)
        own.update({(old.day, old.service_id): old.names for old in trouble.old if old.fqdn == instance.fqdn})
        told[instance.fqdn] = [
            *(_program(key, names, content.durations, instance, settings) for key, names in own.items() if names),
            *_media(_durations_on(instance.fqdn, content, trouble)),
        ]
    return told


def _program(
    key: tuple[date, str],
    names: Sequence[str],
    durations: Mapping[str, float],
    instance: Instance,
    settings: ScheduleSettings,
) -> wire.Command:
    day, sid = key
    slots = lay_out(day, names, durations, instance.zone, settings.day_start, instance.media_folder)
    pairs = (part for slot in slots for part in (repr(slot.start), wire.member(slot)))
    return wire.PROGRAMS, ("ZADD", wire.program_key(day, sid), *pairs)


def _durations_on(fqdn: str, content: Content, trouble: Trouble) -> dict[str, float]:
    own = dict(content.durations)
    own.update({differs.name: differs.seconds for differs in trouble.differs if differs.fqdn == fqdn})
    for lacks in trouble.lacks:
        if lacks.fqdn == fqdn:
            own.pop(lacks.name, None)
    return own


def _media(durations: Mapping[str, float]) -> list[wire.Command]:
    if not durations:
        return []
    # `:.15g` writes 3600 as dvbbox does, without the `.0` that is Python's.
    pairs = (part for name, value in durations.items() for part in (wire.media_file(name), f"{value:.15g}"))
    return [(wire.MEDIA, ("MSET", *pairs))]


def _channel_names(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    lines = (line.partition("\t") for line in _read(path).splitlines())
    return {sid.strip(): name.strip() for sid, _, name in lines if sid.strip() and name.strip()}


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no UTF-8 text (byte {error.start})") from error
