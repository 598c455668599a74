"""What is wrong with the instances themselves, and with what else stands in their Redis. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dvbboxes.findings.kinds import Code, Finding, Material, Severity
from dvbboxes.model import Answer, FailureKind, State

_SUSPECT = {FailureKind.EMPTY}


def server_findings(material: Material) -> Iterator[Finding]:
    """Yield the instances that give no answer, or one that is not current: one finding each, whatever hangs on it."""
    for answer in material.gathered.answers:
        found = _missing(answer) if answer.error is not None else _stale(answer)
        if found is not None:
            code, severity, text = found
            fqdn = answer.instance.fqdn
            mend = f"dvbboxes cluster status --instance {fqdn}"
            yield Finding(code, severity, material.now, (fqdn,), text, mend)


def _missing(answer: Answer[Any]) -> tuple[Code, Severity, str] | None:
    if answer.error is None:
        return None
    code = Code.UNAVAILABLE
    if answer.error.kind is FailureKind.TOO_OLD:
        code = Code.STALE
    elif answer.error.kind in _SUSPECT or answer.freshness.state is State.SUSPECT:
        code = Code.SUSPECT
    return code, Severity.CRITICAL, answer.error.message


def _stale(answer: Answer[Any]) -> tuple[Code, Severity, str] | None:
    worth = answer.freshness
    if worth.state is not State.STALE:
        return None
    age = "of unknown age" if worth.age is None else f"{worth.age:.0f} s old"
    return Code.STALE, Severity.WARNING, f"its data are {age}: {worth.reason}"


def key_findings(material: Material) -> Iterator[Finding]:
    """Yield the channels in Redis that the configuration does not know, and the keys that were passed over."""
    holders: dict[str, list[str]] = {}
    passed: dict[int, list[str]] = {}
    for instance, survey in material.voices():
        for service_id in survey.strangers:
            holders.setdefault(service_id, []).append(instance.fqdn)
        if survey.passed_over:
            passed.setdefault(survey.passed_over, []).append(instance.fqdn)
    for service_id, fqdns in sorted(holders.items()):
        said = "has programs, but the configuration does not know this channel"
        mend = "dvbboxes config show"
        yield Finding(Code.UNKNOWN_CHANNEL, Severity.WARNING, material.now, tuple(fqdns), said, mend, (service_id,))
    for number, fqdns in sorted(passed.items()):
        said = "1 key of db 0 is no program" if number == 1 else f"{number} keys of db 0 are no programs"
        yield Finding(
            Code.PASSED_OVER, Severity.NOTE, material.now, tuple(fqdns), f"{said}: passed over", "dvbboxes program list"
        )
