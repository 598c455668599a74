"""``Listing.apply`` of the Python API (SPEC 7): days as ``Listing.parse`` yields them, written to masters."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeAlias

from dvbboxes.aggregate.difference import Change as Difference
from dvbboxes.apply.masters import look
from dvbboxes.apply.run import Order, carry_out
from dvbboxes.config import prepare
from dvbboxes.errors import ConfigError, UnknownName, UsageError
from dvbboxes.fleet import Fleet, Side
from dvbboxes.journal import Journal, stamp
from dvbboxes.lock import hold
from dvbboxes.model import Answer, Config, Instance, Slot, Stored
from dvbboxes.plan import Action, Change, Held, stored_of
from dvbboxes.records import ChangeState, NewRun, RunKind
from dvbboxes.wire import day_text, is_media_name, parse_day_text, shown

#: ``{town: {day: {instance: {'delete': bool, 'insert': bool}}}}``.
Outcome: TypeAlias = dict[str, dict[str, dict[str, dict[str, bool]]]]


@dataclass(frozen=True, slots=True)
class _Day:
    """One day as it was handed over: (name, start in Unix seconds) by index."""

    day: date
    entries: tuple[tuple[str, float], ...]

    def for_instance(self, instance: Instance) -> Stored:
        folder = instance.media_folder.rstrip("/") + "/"
        return stored_of(Slot(n, f"{name}.ts", folder, start) for n, (name, start) in enumerate(self.entries))


def apply_parsed(
    config: Config, parsed: Iterable[str | Mapping[str, Any]], service_id: str, instances: Sequence[Instance]
) -> Outcome:
    """Write the days to the instances' masters and return what stands there as meant (SPEC 7).

    Instances that do not carry the channel are no targets. An instance that fails has False, the others still happen.
    Raises UsageError for an object that is no day, UnknownName for an unknown channel, Locked, JournalError, and
    ConfigError where the log file or the data folder cannot be written.
    """
    if service_id not in config.channels:
        raise UnknownName("channel", service_id, config.channels)
    days = _days(parsed)
    targets = [instance for instance in instances if instance.carries(service_id)]
    result: Outcome = {}
    for instance in targets:
        for day in days:
            result.setdefault(instance.cluster, {}).setdefault(day_text(day.day), {})[instance.fqdn] = _said(False)
    who, now = f"uid {os.getuid()}", stamp()
    command = f"Listing.apply: {', '.join(day_text(day.day) for day in days)} of {service_id}"
    if not days or not targets:
        return result
    problems = prepare(config)
    if problems:
        raise ConfigError(problems)
    folder = config.data_folder
    with hold(folder, who, command, now), Journal.open(folder, write=True) as journal:
        keys = [(day.day, service_id) for day in days]
        with Fleet(Side.MASTER) as fleet:
            held = look(fleet, targets, config.redis.master_deadline, keys, ())
        changes = [change for answer in held.answered for change in _changes(answer, days, service_id)]
        for change in changes:
            if change.action is Action.KEEP:
                result[change.instance.cluster][day_text(change.day)][change.instance.fqdn] = _said(True)
        written = tuple(change for change in changes if change.writes)
        if written:
            run = NewRun(RunKind.APPLY, who, os.uname().nodename, command, "", "", "", (), now)
            report = carry_out(Order(run, written), journal, config)
            for line in report.lines:
                stands = line.state is ChangeState.VERIFIED
                result[line.town][day_text(line.day)][line.instance] = _said(stands)
    return result


def _said(stands: bool) -> dict[str, bool]:
    # One transaction deletes and inserts: they are true together or not at all.
    return {"delete": stands, "insert": stands}


def _changes(answer: Answer[Held], days: Sequence[_Day], service_id: str) -> Iterable[Change]:
    held = answer.value
    for day in days:
        key = (day.day, service_id)
        if held is None or key in held.foreign:
            continue
        existing, desired = held.programs[key], day.for_instance(answer.instance)
        action = Action.KEEP if existing == desired else Action.REPLACE if existing else Action.CREATE
        yield Change(answer.instance, *key, existing, desired, action, Difference(len(desired), 0, 0), ())


# --- understanding what was handed over -----------------------------------------------------------------------------


def _days(parsed: Iterable[str | Mapping[str, Any]]) -> tuple[_Day, ...]:
    days = tuple(_day(one) for one in parsed)
    twice = [day.day for n, day in enumerate(days) if day.day in {other.day for other in days[:n]}]
    if twice:
        raise UsageError(f"{day_text(twice[0])} stands twice")
    return days


def _day(parsed: str | Mapping[str, Any]) -> _Day:
    body = _decoded(parsed)
    day = parse_day_text(str(body.get("day", "")))
    if day is None:
        raise UsageError(f"{shown(str(body.get('day')))} is no day: write it ddmmyyyy")
    entries = sorted(_entry(key, value) for key, value in body.items() if key != "day")
    if not entries:
        raise UsageError(f"{day_text(day)} is empty: an empty day never deletes a program")
    if [index for index, _, _ in entries] != list(range(len(entries))):
        raise UsageError(f"{day_text(day)}: the entries are not numbered from 0 without a gap")
    return _Day(day, tuple((name, start) for _, name, start in entries))


def _decoded(parsed: str | Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        body = json.loads(parsed) if isinstance(parsed, str | bytes) else parsed
    except ValueError as error:
        raise UsageError(f"{shown(parsed)} is no JSON: {error}") from error
    if not isinstance(body, Mapping):
        raise UsageError(f"{shown(str(body))} is no object with a day and its entries")
    return body


def _entry(key: str, value: Any) -> tuple[int, str, float]:
    """Return (index, name, start) of one ``"<start>_<index>": {"filename": name, ...}``."""
    start, _, index = str(key).rpartition("_")
    name = value.get("filename") if isinstance(value, Mapping) else None
    try:
        moment = float(start)
    except ValueError:
        moment = math.nan
    if not (math.isfinite(moment) and index.isascii() and index.isdigit()):
        raise UsageError(f"{shown(str(key))} is no key of an entry: <start>_<index>")
    if not isinstance(name, str) or not is_media_name(name):
        raise UsageError(f"{shown(str(name))} is no media name: small letters, digits and _")
    return int(index), name, moment
