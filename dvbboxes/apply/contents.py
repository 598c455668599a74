"""Everything that instances hold, for a backup: read from the replicas, in one gather (DESIGN: reading)."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from datetime import date
from typing import Any

from dvbboxes.archive import Contents
from dvbboxes.fleet import Fleet, Talk
from dvbboxes.model import Gathered, Instance, Stored
from dvbboxes.wire import MEDIA, PROGRAMS, Request, decode_stored, parse_program_key, program_request, text

_KEYS = Request(((PROGRAMS, ("KEYS", "*")), (MEDIA, ("KEYS", "*"))))
#: Names of one MGET, programs of one round trip: enough to be quick, few enough for everybody's memory.
_CHUNK = 5_000
_PROGRAMS = 200


def contents(
    fleet: Fleet, instances: Sequence[Instance], deadline: float, service_ids: Collection[str]
) -> Gathered[Contents]:
    """Return every program of the channels and every duration that each instance holds, exactly as held.

    Keys that are neither are passed over and counted (SPEC 2). ``deadline`` is seconds for all of it.
    """

    def talk(instance: Instance) -> Talk[Contents]:
        programs, names = yield _KEYS
        keys = [found for key in _list(programs) if (found := parse_program_key(key))]
        passed = len(_list(programs)) - len(keys)
        wanted = sorted(key for key in keys if key[1] in service_ids)
        held: dict[tuple[date, str], Stored] = {}
        for start in range(0, len(wanted), _PROGRAMS):
            some = wanted[start : start + _PROGRAMS]
            for key, reply in zip(some, (yield program_request(some)), strict=True):
                stored = decode_stored(reply)
                if stored and all(math.isfinite(entry.start) for entry in stored):
                    held[key] = stored
                else:
                    passed += 1
        files = sorted(name for name in _list(names) if name.endswith(b".ts"))
        passed += len(_list(names)) - len(files)
        media: dict[str, str] = {}
        for start in range(0, len(files), _CHUNK):
            chunk = files[start : start + _CHUNK]
            (values,) = yield Request(((MEDIA, ("MGET", *chunk)),))
            pairs = zip(chunk, _list(values), strict=False)
            media.update((text(name), text(value)) for name, value in pairs if isinstance(value, bytes))
        return Contents(held, media, passed)

    return fleet.gather(instances, talk, deadline)


def _list(reply: Any) -> list[Any]:
    return reply if isinstance(reply, list) else []
