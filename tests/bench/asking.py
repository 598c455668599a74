"""The benches of everything else the fleet is asked: airings of a file, durations, search."""

from __future__ import annotations

from contextlib import closing

from dvbboxes.fleet import Fleet
from dvbboxes.questions import durations, file_facts, search
from dvbboxes.wire import containing

from .clients import Naive, Wire, whole
from .registry import Setting, at_least, at_most, bench, interleave, ratio, times_table

_DEADLINE = 60.0
#: The naive ones take seconds a round: as many rounds are enough.
_FEW = 3
_MANY_NAMES = 1000


@bench("airings", "every airing of a file over all programs of all instances (naive: fetches every program)")
def airings(setting: Setting) -> None:
    instances = setting.yard.instances
    with Fleet() as fleet, closing(Naive(instances, (0,))) as naive:
        name = _names(setting, fleet)[500]

        def ours() -> None:
            found = whole(file_facts(fleet, instances, _DEADLINE, name)).values()
            seen.add(tuple(len(each) for _, each in found.values()))

        def naively() -> None:
            seen.add(tuple(naive.airings(name)))

        seen: set[tuple[int, ...]] = set()
        samples = interleave({"ours": ours, "naive": naively}, min(_FEW, setting.rounds))
    _same(seen)
    times_table(samples, "ours")
    at_least("ours faster than naive", 25, ratio(samples, "naive", "ours"), "x")


@bench("durations", f"the durations of {_MANY_NAMES} files on all instances (naive: a GET per name and instance)")
def many_durations(setting: Setting) -> None:
    instances = setting.yard.instances
    with Fleet() as fleet, closing(Naive(instances, (1,))) as naive, closing(Wire(instances)) as wire:
        names = _names(setting, fleet)[:_MANY_NAMES]
        wire.ask(("SELECT", 1))
        samples = interleave(
            {
                "ours": lambda: whole(durations(fleet, instances, _DEADLINE, names)),
                "naive": lambda: naive.durations(names),
                "wire": lambda: wire.ask(("MGET", *names)),
            },
            min(_FEW, setting.rounds),
        )
    times_table(samples, "wire")
    at_least("ours faster than naive", 30, ratio(samples, "naive", "ours"), "x")


@bench("search", "the files whose names contain an expression, on all instances")
def searching(setting: Setting) -> None:
    instances = setting.yard.instances
    with Fleet() as fleet, closing(Wire(instances)) as wire:
        wire.ask(("SELECT", 1))
        for expression, what in (
            ("isalo_0", "one in twenty"),
            ("jt_00042", "one or none"),
            ("", "every file there is"),
        ):
            pattern = containing(expression)
            samples = interleave(
                {
                    "ours": lambda e=expression: whole(search(fleet, instances, _DEADLINE, e)),  # type: ignore[misc]
                    "wire": lambda p=pattern: wire.ask(("KEYS", p)),  # type: ignore[misc]
                },
                setting.rounds,
            )
            print(f"  {expression!r}, {what}:")
            times_table(samples, "wire")
            at_most("ours over the wire", 1.2, ratio(samples, "ours", "wire"), "x")


def _names(setting: Setting, fleet: Fleet) -> list[str]:
    """Return file names that every instance may have, in an order that is the same each run."""
    held = whole(search(fleet, setting.yard.instances, _DEADLINE, "")).values()
    return sorted(next(iter(held.values())))


def _same(seen: set[tuple[int, ...]]) -> None:
    if len(seen) != 1:
        raise RuntimeError(f"the clients did not find the same: {seen}")
