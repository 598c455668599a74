"""Carrying out a fetch: rsync where files are needed, dvbbox's look at its disks, ours at the replicas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dvbboxes.apply.run import ShowProgress
from dvbboxes.fleet import Fleet
from dvbboxes.library.fetch import Copy, Fetch, Fetched, FetchLine, FetchPlan
from dvbboxes.library.stock import present
from dvbboxes.media_flows.hosts import counting, update_media
from dvbboxes.model import Config, Duration, DurationKind
from dvbboxes.questions import durations
from dvbboxes.remote import Job, Masters, Outcome, run

#: Seconds after which a copy that was given up and does not end is killed, and those that ssh has beyond that.
_KILL, _GRACE = 10, 20
#: What timeout says of a command that it ended.
_GIVEN_UP = (124, 137)


def fetch(plan: FetchPlan, config: Config, give_up: float, progress: ShowProgress) -> Fetched:
    """Run the copies of a plan, wave by wave, and return what the replicas then say; ``give_up``: seconds for a copy.

    A copy that fails stops no other. dvbbox updates its db 1 wherever something was copied; whether a file is there is
    what the replica says, not what rsync's status was. One that is given up is ended on its instance, not only here:
    rsync keeps what it has, and nothing goes on unseen.
    """
    done: dict[Copy, Outcome] = {}
    on_done = counting(progress, "fetching", len(plan.copies))
    ending = ("timeout", f"--kill-after={_KILL}", f"{give_up:g}")
    with Masters(config.ssh) as masters:
        for wave in plan.waves:
            jobs = [Job(copy.target, ((*ending, "sh", "-c", copy.script),)) for copy in wave]
            longest = give_up + _KILL + _GRACE
            outcomes = run(jobs, config.ssh, parallel=len(jobs), timeout=longest, on_done=on_done, masters=masters)
            done.update(zip(wave, outcomes, strict=True))
    touched = {copy.target.fqdn: copy.target for copy, outcome in done.items() if outcome.ok}
    targets = tuple(touched.values())
    updated = {line.instance: line for line in update_media(targets, config, progress)} if targets else {}
    seen = _seen(plan, config)
    lines = []
    for copy, outcome in done.items():
        update = updated.get(copy.target.fqdn)
        unwell = f"dvbbox media update: {update.said}" if update is not None and not update.ok else ""
        failed = "" if outcome.ok else _why(outcome, give_up)
        lines.append(_line(copy, failed, unwell, seen.get(copy.target.fqdn, {}).get(copy.media)))
    orphans = _not_copied(plan.orphans, Fetch.NO_COPY, "no instance has a copy that could be used")
    withdrawn = _not_copied(plan.withdrawn, Fetch.WITHDRAWN, "it is withdrawn: put another file in its place")
    return Fetched((*lines, *orphans, *withdrawn))


def _not_copied(fqdns: Mapping[str, Sequence[str]], state: Fetch, why: str) -> list[FetchLine]:
    return [FetchLine(fqdn, media, "", state, why) for media, each in fqdns.items() for fqdn in each]


def _seen(plan: FetchPlan, config: Config) -> Mapping[str, Mapping[str, Duration]]:
    """Return what the replicas of the targets say of the files now."""
    targets = tuple({copy.target.fqdn: copy.target for copy in plan.copies}.values())
    media = tuple(dict.fromkeys(copy.media for copy in plan.copies))
    if not targets:
        return {}
    with Fleet() as fleet:
        return durations(fleet, targets, config.redis.master_deadline, media).values()


def _line(copy: Copy, failed: str, unwell: str, seen: Duration | None) -> FetchLine:
    names = (copy.target.fqdn, copy.media, copy.source.fqdn)
    if present(seen) and not failed:
        unmeasured = seen is not None and seen.kind is not DurationKind.MEASURED
        return FetchLine(*names, Fetch.THERE, "dvbbox could not measure it" if unmeasured else "")
    if failed:
        return FetchLine(*names, Fetch.FAILED, failed)
    said = "its replica did not answer" if seen is None else "dvbbox does not see it: look at the disk there"
    return FetchLine(*names, Fetch.UNSEEN, unwell or said)


def _why(outcome: Outcome, give_up: float) -> str:
    (result,) = outcome.results
    if outcome.error is not None:
        return outcome.error.message
    if result.status in _GIVEN_UP:
        return f"given up after {give_up:g} s: what was copied stays for the next run (--give-up waits longer)"
    said: Sequence[str] = result.lines[-2:]
    return f"rsync ended with status {result.status}: {' / '.join(said)}"
