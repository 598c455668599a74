"""``replicas render``, ``install`` and ``verify`` as text, JSON and CSV. No secret is ever shown. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

from dvbboxes.model import Gathered
from dvbboxes.render.style import Style, aligned, clean, count, coverage
from dvbboxes.replicas import Kit
from dvbboxes.replicas.views import (
    Change,
    Level,
    ReplicasInstalled,
    ReplicasRendered,
    ReplicasVerified,
)

View: TypeAlias = ReplicasRendered | ReplicasInstalled | ReplicasVerified
_LOOKS = {Level.OK: "green", Level.WRONG: "red", Level.UNKNOWN: "dim"}
HIDDEN = "(holds secrets: not shown)"


def text(view: View, gathered: Gathered[Any] | None, style: Style) -> Iterator[str]:
    """Yield the lines for a person."""
    if isinstance(view, ReplicasRendered):
        yield from _rendered(view, style)
    elif isinstance(view, ReplicasInstalled):
        yield from _installed(view, style)
    else:
        yield from _verified(view, gathered, style)


def _rendered(view: ReplicasRendered, style: Style) -> Iterator[str]:
    for kit in view.kits:
        yield style.paint(f"{clean(kit.instance.fqdn)}  {kit.unit}" + (f"  on {kit.host}" if kit.host else ""), "bold")
        for file in kit.files:
            yield f"  {clean(file.path)}{f'  {HIDDEN}' if file.secret else ''}"
            if view.folder is None and not file.secret:
                yield from (f"    {clean(line)}" for line in file.text.splitlines())
        yield from (f"  {clean(line)}" for line in kit.master.splitlines())
        yield from (style.paint(f"! {clean(problem)}", "red") for problem in kit.problems)
    yield from _generated(view.generated, view.folder is not None)
    written = "nothing written (--output DIR writes them)" if view.folder is None else f"written below {view.folder}"
    yield f"{count(len(view.kits), 'replica')}, {clean(written)}"


def _generated(paths: Iterable[str], made: bool) -> Iterator[str]:
    for path in paths:
        yield f"password {'made' if made else 'to be made'}: {clean(path)}"


def _installed(view: ReplicasInstalled, style: Style) -> Iterator[str]:
    for change in view.changes:
        yield style.paint(
            f"{'wrote' if view.done else 'would write'} {clean(change.path)}: {change.found.value}", "bold"
        )
        if change.secret:
            yield f"  {HIDDEN}"
        yield from (style.paint(clean(line), _diff_look(line)) for line in change.diff)
    for path in view.kept:
        yield style.paint(f"! {clean(path)} was made or changed by hand: left alone (--replace replaces it)", "yellow")
    yield from (style.paint(f"! {clean(problem)}", "red") for problem in view.problems)
    yield from _generated(view.generated, True)
    yield from (f"{'ran' if view.done else 'would run'}: {step}" for step in view.steps)
    yield from (f"by hand: {step}" for step in view.by_hand)
    yield from (f"on another host, not installed here: {clean(one)}" for one in view.elsewhere)
    if view.done:
        for lines in view.masters:
            yield from (clean(line) for line in lines.splitlines())
    done = "written" if view.done else "to write"
    yield f"{count(len(view.changes), 'file')} {done}" if view.changes else "no file to change"


def _diff_look(line: str) -> str:
    return {"+": "green", "-": "red"}.get(line[:1], "dim")


def _verified(view: ReplicasVerified, gathered: Gathered[Any] | None, style: Style) -> Iterator[str]:
    for one in view.replicas:
        wrong = one.wrong
        head = (
            f"{clean(one.fqdn)}  {one.unit}  {'as configured' if not wrong else count(len(wrong), 'thing') + ' wrong'}"
        )
        yield style.paint(head, "red" if wrong else "green")
        rows = [(f"  {finding.what}", finding.level.value, clean(finding.says)) for finding in one.findings]
        for line, finding in zip(aligned(rows), one.findings, strict=True):
            yield style.paint(line, _LOOKS[finding.level]) if finding.level is not Level.OK else line
    if gathered is not None:
        yield from coverage(gathered, style)


def data(view: View) -> dict[str, Any]:
    """Return the JSON."""
    if isinstance(view, ReplicasRendered):
        return {
            "folder": view.folder,
            "generated": list(view.generated),
            "replicas": [_kit(kit) for kit in view.kits],
        }
    if isinstance(view, ReplicasInstalled):
        return {
            "done": view.done,
            "changes": [_change(change) for change in view.changes],
            "kept": list(view.kept),
            "generated": list(view.generated),
            "steps": list(view.steps),
            "by_hand": list(view.by_hand),
            "elsewhere": list(view.elsewhere),
            "problems": list(view.problems),
            "masters": list(view.masters),
        }
    return {
        "replicas": [
            {
                "town": one.town,
                "instance": one.fqdn,
                "unit": one.unit,
                "findings": [{"what": f.what, "level": f.level.value, "says": f.says} for f in one.findings],
            }
            for one in view.replicas
        ]
    }


def _kit(kit: Kit) -> dict[str, Any]:
    return {
        "town": kit.instance.cluster,
        "instance": kit.instance.fqdn,
        "unit": kit.unit,
        "host": kit.host or None,
        "files": [{"path": file.path, "text": None if file.secret else file.text} for file in kit.files],
        "master": kit.master,
        "problems": list(kit.problems),
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "path": change.path,
        "found": change.found.value,
        "secret": change.secret,
        "written": change.written,
        "diff": list(change.diff),
    }


def table(view: View) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Return header and rows for CSV: a row a file, or a finding."""
    if isinstance(view, ReplicasRendered):
        header: tuple[str, ...] = ("town", "instance", "unit", "host", "path", "secret")
        return header, [
            (kit.instance.cluster, kit.instance.fqdn, kit.unit, kit.host, file.path, file.secret)
            for kit in view.kits
            for file in kit.files
        ]
    if isinstance(view, ReplicasInstalled):
        rows: list[tuple[object, ...]] = [(c.path, c.found.value, c.secret, c.written) for c in view.changes]
        rows += [(path, "kept", None, False) for path in view.kept]
        return ("path", "found", "secret", "written"), rows
    return ("town", "instance", "unit", "what", "level", "says"), [
        (one.town, one.fqdn, one.unit, finding.what, finding.level.value, finding.says)
        for one in view.replicas
        for finding in one.findings
    ]
