"""``program backup`` and ``program restore``: every program and duration in one plain file. Verbs of ``program``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvbboxes.commands import Context, Result, asked, channels, gather, option, scope
from dvbboxes.commands.writing import Draft, manner, write_wishes
from dvbboxes.days import parse_days
from dvbboxes.errors import DvbboxesError, UsageError
from dvbboxes.files import replace_whole

if TYPE_CHECKING:
    from dvbboxes.archive import Archive
    from dvbboxes.model import Instance
    from dvbboxes.wishes import Wish

FILE = option("file", metavar="FILE", help="the archive; it is written whole or not at all")
ARCHIVE = option("file", metavar="FILE", help="an archive that program backup made")
DAYS = option("--days", metavar="A..B", help="only these days of it (default: from the day on air)")


def backup(context: Context, file: str, services: Sequence[str] | None, **whom: Any) -> Result:
    """Save every program and duration of the chosen fleet in one plain archive, to keep, to compare, or to restore.

    The same fleet gives the same lines, so that two archives can be compared with diff. What did not answer is named in
    it (exit status 4).
    """
    from dvbboxes.apply.contents import contents
    from dvbboxes.archive import Archive, write
    from dvbboxes.report import Saved

    config = context.config
    found = gather(asked(context, **whom), contents, channels(config, services))
    if not found.answered:
        return Result(Saved(file, 0, 0, 0, 0), found)
    held = found.values()
    made = datetime.fromtimestamp(context.now, config.schedule.zone).strftime("%d-%m-%Y %H:%M:%S %z")
    silent = {one.instance.fqdn: one.error.message if one.error else "" for one in found.missing}
    towns = {answer.instance.fqdn: answer.instance.cluster for answer in found.answers}
    _save(Path(file), write(Archive(made, towns, held, silent)).encode())
    programs = sum(len(each.programs) for each in held.values())
    files = len({name for each in held.values() for name in each.media})
    return Result(Saved(file, len(held), programs, files, sum(each.passed for each in held.values())), found)


def _save(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, synced; what stood there stays until then. Raises DvbboxesError."""
    try:
        replace_whole(path, content)
    except OSError as error:
        raise DvbboxesError(f"the archive {path} cannot be written: {error.strerror}") from error


def restore(
    context: Context,
    file: str,
    days: str | None,
    services: Sequence[str] | None,
    towns: Sequence[str] | None,
    instances: Sequence[str] | None,
    **options: Any,
) -> Result:
    """Put back the programs of an archive, exactly: planned, asked, guarded and verified like an apply.

    Programs that are not in the archive stay. Durations are never written: dvbbox measures them. An archive that is
    cut, was changed, or speaks of instances that are not configured is refused, with every bad line.
    """
    from hashlib import sha256

    from dvbboxes.archive import read

    try:
        content = Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"the archive {file} cannot be read: {error.strerror}") from error
    archive = read(content, file)
    chosen = None if towns is None and instances is None else scope(context.config, towns, instances)
    targets = _targets(context, archive, file, chosen)
    sids = channels(context.config, services)
    wanted = None if days is None else frozenset(parse_days(days, context.today))
    wishes = _wishes(context, archive, targets, sids, wanted)
    notes = tuple(f"{fqdn} did not answer when the archive was made" for fqdn in archive.silent if fqdn in targets)
    how = manner(**options)
    return write_wishes(context, how, lambda _: _draft(file, sha256(content).hexdigest(), wishes, notes))


def _draft(file: str, digest: str, wishes: tuple[Wish, ...], notes: tuple[str, ...]) -> Draft:
    from dvbboxes.records import RunKind

    return Draft(
        RunKind.RESTORE, f"restore {file}", wishes, notes, undone=bool(notes), guards_own=True, file=file, digest=digest
    )


def _targets(
    context: Context, archive: Archive, file: str, chosen: Sequence[Instance] | None
) -> Mapping[str, Instance]:
    """Return the instances to restore, by fqdn; raises UsageError for an archive of another fleet."""
    known = {instance.fqdn: instance for instance in context.config.instances}
    strange = [fqdn for fqdn in archive.towns if fqdn not in known]
    if chosen is None and strange:
        names = ", ".join(strange[:5])
        raise UsageError(
            f"{file} is of another fleet: {len(strange)} of its {len(archive.towns)} instances are not in the"
            f" configuration ({names}): --instance or --towns choose those that are"
        )
    wanted = [instance for instance in (chosen or known.values()) if instance.fqdn in archive.towns]
    if not wanted:
        raise UsageError(f"{file} has nothing of the instances asked for: it has {', '.join(list(archive.towns)[:8])}")
    return {instance.fqdn: instance for instance in wanted}


def _wishes(
    context: Context,
    archive: Archive,
    targets: Mapping[str, Instance],
    sids: Sequence[str],
    days: frozenset[Any] | None,
) -> tuple[Wish, ...]:
    from dvbboxes.wishes import Wish

    wishes = []
    for fqdn, instance in targets.items():
        held = archive.contents.get(fqdn)
        for (day, sid), stored in (held.programs if held else {}).items():
            asked_for = day >= context.today if days is None else day in days
            if asked_for and sid in sids and instance.carries(sid):
                _check(f"{day:%d/%m/%Y} {sid} of {fqdn}", stored)
                wishes.append(Wish(instance, day, sid, stored))
    if not wishes and archive.contents:
        raise UsageError("the archive has no program of those days, channels and instances")
    return tuple(wishes)


def _check(where: str, stored: Any) -> None:
    """Raise UsageError for a program that would not be written by us: a name that is none, a folder that climbs."""
    from dvbboxes.wire import is_media_name, shown, slots_of, stem

    slots = slots_of(stored)
    if len(slots) != len(stored):
        raise UsageError(f"{where}: it has entries that are none of a program's: it is not restored; leave it out")
    for slot in slots:
        if not is_media_name(stem(slot.media)) or ".." in slot.path.split("/"):
            raise UsageError(f"{where}: {shown(slot.path + slot.media)} is never written; leave it out")
