"""The noun ``replicas``: this server's own Redis, one per instance: render, install, verify."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dvbboxes.commands import INSTANCES, SCOPE, TOWNS, Context, Result, Verb, asked, option, scope
from dvbboxes.errors import UsageError

if TYPE_CHECKING:
    from dvbboxes.install import Target
    from dvbboxes.model import Answer
    from dvbboxes.replicas import Kit
    from dvbboxes.replicas.views import Finding, ReplicasInstalled, VerifiedReplica

OUTPUT = option("--output", metavar="DIR", help="write the files below this folder (default: show them, no secrets)")
DRY_RUN = option("--dry-run", action="store_true", help="show what would be changed and change nothing")
YES = option("--yes", action="store_true", help="do not ask")
ROOT = option("--root", metavar="DIR", default="", help="below this folder instead of /; systemd is not spoken to")
REPLACE = option(
    "--replace", action="store_true", help="replace files made or changed by hand too (each is kept as FILE.before)"
)


def render(
    context: Context, towns: Sequence[str] | None, instances: Sequence[str] | None, output: str | None
) -> Result:
    """Show, or write below a folder, everything the replicas need: redis-NAME.conf, systemd drop-ins, masters' users.

    With --output, passwords that do not exist yet are made, in the files that the configuration names.
    """
    from dvbboxes.install import render_here, write_out
    from dvbboxes.replicas.views import ReplicasRendered

    if output is not None and not output.strip():
        raise UsageError("--output is empty: name a folder, or leave it out")
    chosen = scope(context.config, towns, instances)
    kits, known = render_here(context.config, chosen, generate=output is not None)
    if output is not None:
        write_out(kits, output)
    view = ReplicasRendered(kits, output, known.generated)
    return Result(view, refused=any(kit.problems for kit in kits))


def install(
    context: Context,
    towns: Sequence[str] | None,
    instances: Sequence[str] | None,
    dry_run: bool,
    yes: bool,
    root: str,
    replace: bool,
) -> Result:
    """Put the replicas' files into /etc/redis, enable and start what is new. Shows the changes first, and asks.

    Lines of your own in those files are kept. A file that was made by hand, or changed by hand between dvbboxes' marks,
    is left alone (exit status 4) without --replace. Exit status 1: a dry run found something to change.
    """
    from dvbboxes.install import render_here, targets

    config = context.config
    chosen = scope(config, towns, instances)
    kits, _ = render_here(config, chosen, generate=False)
    _refuse(kits)
    whole = len(chosen) == len(config.instances)
    found = targets((kit for kit in kits if kit.here), root)
    view = _intended(kits, found, root, replace, whole)
    if dry_run or not (view.changes or view.steps):
        return Result(view, difference=bool(view.changes or view.steps), partial=bool(view.kept))
    if not yes:
        context.tell(view, None)
        if not context.ask(f"Write {len(view.changes)} files, run {len(view.steps)} systemctl?"):
            return Result(view, difference=True)
    kits, known = render_here(config, chosen, generate=True)
    return _install(view, kits, known.generated, root, replace)


def _refuse(kits: Sequence[Kit]) -> None:
    problems = [f"{kit.instance.fqdn}: {problem}" for kit in kits if kit.here for problem in kit.problems]
    if problems:
        raise UsageError("\n".join(problems))


def _left_alone(target: Target, replace: bool) -> bool:
    from dvbboxes.replicas.block import Found

    return not replace and target.change.found in (Found.FOREIGN, Found.EDITED)


def _to_write(found: Sequence[Target], replace: bool) -> list[Target]:
    from dvbboxes.replicas.block import Found

    return [one for one in found if one.change.found is not Found.SAME and not _left_alone(one, replace)]


def _intended(kits: Sequence[Kit], found: Sequence[Target], root: str, replace: bool, whole: bool) -> ReplicasInstalled:
    """Return what an install would do; ``whole``: every instance is meant, so that what is left over can be told."""
    from dvbboxes.install import enabled, has_systemd, left_over
    from dvbboxes.replicas.views import ReplicasInstalled

    writing = _to_write(found, replace)
    here = [kit for kit in kits if kit.here]
    systemd = has_systemd(root)
    new, changed = _units(here, writing)
    # An install that ended half-way is taken up where it ended.
    new += [kit.unit for kit in here if systemd and kit.unit not in new and not enabled(kit.unit)]
    steps = (["daemon-reload"] if writing else []) + [f"enable --now {unit}" for unit in new]
    by_hand = [f"systemctl restart {unit}" for unit in changed]
    by_hand += [] if systemd else [f"systemctl {step}" for step in steps]
    by_hand += [f"systemctl disable --now {unit}" for unit in (left_over(kits, root) if whole else ())]
    return ReplicasInstalled(
        tuple(one.change for one in writing),
        False,
        tuple(one.change.path for one in found if _left_alone(one, replace)),
        (),
        tuple(f"systemctl {step}" for step in steps) if systemd else (),
        tuple(by_hand),
        tuple(f"{kit.instance.fqdn} ({kit.host})" for kit in kits if not kit.here),
        tuple(f"{kit.instance.fqdn}: {problem}" for kit in kits for problem in kit.problems),
        tuple(kit.master for kit in kits),
    )


def _units(kits: Sequence[Kit], writing: Sequence[Target]) -> tuple[list[str], list[str]]:
    """Return the units that are new, and those whose configuration changes under a replica that is there."""
    from dvbboxes.replicas.block import Found

    found = {one.change.path: one.change.found for one in writing}
    new, changed = [], []
    for kit in kits:
        states = {state for path, state in found.items() if any(path.endswith(file.path) for file in kit.files)}
        main = [state for path, state in found.items() if path.endswith(kit.files[0].path)]
        if main == [Found.NEW]:
            new.append(kit.unit)
        elif states:
            changed.append(kit.unit)
    return new, changed


def _install(
    view: ReplicasInstalled, kits: Sequence[Kit], generated: tuple[str, ...], root: str, replacing: bool
) -> Result:
    from dvbboxes.install import systemctl, targets, write

    written = []
    for target in _to_write(targets((kit for kit in kits if kit.here), root), replacing):
        write(target)
        written.append(replace(target.change, written=True))
    for step in view.steps:
        systemctl(*step.split()[1:])
    masters = tuple(kit.master for kit in kits)
    done = replace(view, changes=tuple(written), done=True, generated=generated, masters=masters)
    return Result(done, partial=bool(view.kept))


def verify(context: Context, **asking: Any) -> Result:
    """Check every running replica against the configuration: master, link, user, version, file and process.

    As root it sees more. Exit status 1: something is not as it should be; 4: a replica gives no answer.
    """
    from dvbboxes.fleet import Fleet, Side
    from dvbboxes.install import render_here
    from dvbboxes.replicas.views import ReplicasVerified
    from dvbboxes.wire import Request

    whom = asked(context, **asking)
    commands = (("INFO", "server"), ("INFO", "replication"), ("ACL", "WHOAMI"))
    request = Request(tuple((0, command) for command in commands), tolerant=True)
    with Fleet(max_age=whom.max_age) as fleet:
        gathered = fleet.ask(whom.instances, request, whom.deadline)
    with Fleet(Side.MASTER) as fleet:
        masters = fleet.ask(whom.instances, Request(((0, ("INFO", "server")),)), context.config.redis.master_deadline)
    kits, _ = render_here(context.config, whom.instances, generate=False)
    view = ReplicasVerified(
        tuple(
            _verified(kit, answer, master, context.now)
            for kit, answer, master in zip(kits, gathered.answers, masters.answers, strict=True)
        )
    )
    return Result(view, gathered, any(one.wrong for one in view.replicas))


def _verified(kit: Kit, answer: Answer[list[Any]], master: Answer[list[Any]], now: float) -> VerifiedReplica:
    from dvbboxes.fleet import info_fields
    from dvbboxes.install import process_facts
    from dvbboxes.replicas.checks import answered, unanswered
    from dvbboxes.replicas.views import ProcessFacts, VerifiedReplica

    if answer.value is None:
        findings: tuple[Finding, ...] = unanswered(answer)
    else:
        server, link = info_fields(answer.value[0]), info_fields(answer.value[1])
        who = answer.value[2].decode("utf-8", "replace") if isinstance(answer.value[2], bytes) else ""
        masters = info_fields(master.value[0]) if master.value else {}
        facts = process_facts(kit, server, now) if kit.here else ProcessFacts()
        findings = answered(kit, server, link, who, masters, facts)
    return VerifiedReplica(kit.instance.cluster, kit.instance.fqdn, kit.unit, findings)


VERBS = (
    Verb("render", render, (TOWNS, INSTANCES, OUTPUT)),
    Verb("install", install, (TOWNS, INSTANCES, DRY_RUN, YES, ROOT, REPLACE)),
    Verb("verify", verify, SCOPE),
)
