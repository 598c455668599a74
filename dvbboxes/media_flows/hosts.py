"""dvbbox's own commands on many hosts, side by side, and what they say (SPEC 2, docs/media.rst)."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import TypeAlias

from dvbboxes.apply.masters import positions, read_programs, wait_replicated
from dvbboxes.apply.run import MOST_UPDATES, ShowProgress
from dvbboxes.errors import ConfigError
from dvbboxes.library.hosts import HostLine
from dvbboxes.model import Config, Instance, SshSettings, Stored
from dvbboxes.plan import Key
from dvbboxes.remote import Job, Outcome, Progress, run, update_command
from dvbboxes.wire import program_key

#: What each host's masters held under which key.
Programs: TypeAlias = Mapping[str, Mapping[Key, Stored]]


def dvbbox_command(settings: SshSettings, *words: str) -> tuple[str, ...]:
    """Return the words of a dvbbox command; raises ConfigError where ``[SSH] dvbbox`` is none."""
    try:
        dvbbox = shlex.split(settings.dvbbox)
    except ValueError as error:
        raise ConfigError([f"[SSH] dvbbox: {settings.dvbbox!r} cannot be split into words: {error}"]) from error
    if not dvbbox:
        raise ConfigError([f"[SSH] dvbbox: {settings.dvbbox!r} is no command"])
    return (*dvbbox, *words)


def on_hosts(
    jobs: Sequence[Job], config: Config, progress: ShowProgress, phase: str, timeout: float | None = None
) -> tuple[Outcome, ...]:
    """Run jobs over ssh, side by side, telling how far they are; outcomes are in the order of the jobs."""
    return run(jobs, config.ssh, timeout=timeout, on_done=counting(progress, phase, len(jobs)))


def counting(progress: ShowProgress, phase: str, total: int) -> Callable[[object], None]:
    """Return what is to be called as each of ``total`` things is done."""
    done = 0

    def on_done(_: object) -> None:
        nonlocal done
        done += 1
        progress(phase, done, total)

    return on_done


def lines_of(outcome: Outcome) -> tuple[HostLine, ...]:
    """Return what became of each command of a job."""
    found = []
    for result in outcome.results:
        said = " / ".join(result.lines[-3:])
        if result.progress is not Progress.DONE and outcome.error is not None:
            said = outcome.error.message
        found.append(HostLine(outcome.instance.fqdn, shlex.join(result.command), result.status, said))
    return tuple(found)


def update_media(instances: Sequence[Instance], config: Config, progress: ShowProgress) -> tuple[HostLine, ...]:
    """Have dvbbox look at its disks (``dvbbox media update``), and wait for the replicas to have what came of it."""
    command = dvbbox_command(config.ssh, "media", "update")
    outcomes = on_hosts([Job(one, (command,)) for one in instances], config, progress, "updating")
    followed(instances, config)
    return tuple(line for outcome in outcomes for line in lines_of(outcome))


def followed(instances: Sequence[Instance], config: Config) -> Mapping[str, bool]:
    """Wait until each replica has what its master has now; return fqdn -> whether it has."""
    deadline = config.redis.master_deadline
    return wait_replicated(instances, positions(instances, deadline), deadline)


def update_programs(
    instances: Sequence[Instance], keys: Sequence[Key], config: Config, progress: ShowProgress
) -> tuple[tuple[HostLine, ...], Programs, Programs]:
    """Have dvbbox re-check programs where they are carried; return what it said, and the programs before and after.

    On a Saturday it covers Sunday and Monday too (SPEC 2): they are looked at as well.
    """
    asked = {one.fqdn: [key for key in keys if one.carries(key[1])] for one in instances}
    looked = {fqdn: list(dict.fromkeys(one for key in each for one in _covered(key))) for fqdn, each in asked.items()}
    before = read_programs(instances, looked, config.redis.master_deadline).values()
    commands = {key: update_command(config.ssh, *key, config.channels) for key in keys}
    jobs = [
        Job(one, tuple(commands[key] for key in asked[one.fqdn][n : n + MOST_UPDATES]))
        for one in instances
        for n in range(0, len(asked[one.fqdn]), MOST_UPDATES)
    ]
    outcomes = on_hosts(jobs, config, progress, "updating")
    followed(instances, config)
    after = read_programs(instances, looked, config.redis.master_deadline).values()
    lines: dict[str, list[HostLine]] = {}
    for outcome in outcomes:
        lines.setdefault(outcome.instance.fqdn, []).extend(lines_of(outcome))
    found = []
    for fqdn, each in lines.items():
        for key, line in zip(asked[fqdn], each, strict=True):
            changed = [one for one in _covered(key) if _differs(one, before.get(fqdn), after.get(fqdn))]
            said = tuple(program_key(*one) for one in changed)
            found.append(HostLine(line.instance, line.command, line.status, line.said, said))
    return tuple(found), before, after


def _covered(key: Key) -> tuple[Key, ...]:
    day, service_id = key
    days: tuple[date, ...] = (day,)
    if day.weekday() == 5:
        days = (day, day + timedelta(days=1), day + timedelta(days=2))
    return tuple((one, service_id) for one in days)


def _differs(key: Key, before: Mapping[Key, Stored] | None, after: Mapping[Key, Stored] | None) -> bool:
    return before is not None and after is not None and before.get(key) != after.get(key)
