"""The registry of benches, the interleaved measuring they share, and the tables they print."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeAlias

from .yard import Yard


@dataclass(frozen=True, slots=True)
class Setting:
    """What a bench runs on: the servers, and how many rounds to measure."""

    yard: Yard
    rounds: int


@dataclass(frozen=True, slots=True)
class Bench:
    """One named bench; ``question`` is the line above its table."""

    name: str
    question: str
    run: Callable[[Setting], None]


Samples: TypeAlias = dict[str, list[float]]

BENCHES: dict[str, Bench] = {}


def bench(name: str, question: str) -> Callable[[Callable[[Setting], None]], Callable[[Setting], None]]:
    """Register a function as the bench ``name``; it prints its own table and goals."""

    def register(run: Callable[[Setting], None]) -> Callable[[Setting], None]:
        if name in BENCHES:
            raise ValueError(f"two benches are called {name}")
        BENCHES[name] = Bench(name, question, run)
        return run

    return register


# --- measuring ------------------------------------------------------------------------------------------------------


def interleave(runs: Mapping[str, Callable[[], object]], rounds: int) -> Samples:
    """Return seconds per run, by name, measured in turn (A B C, A B C, ...) after one round that is not counted.

    In turn, because what else the machine does comes and goes: it then falls on all of them alike.
    """
    samples: Samples = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            kept = run()  # letting go of an answer is no part of giving it
            if number:
                samples[name].append(time.perf_counter() - start)
            del kept
    return samples


def ratio(samples: Mapping[str, Sequence[float]], over: str, under: str) -> float:
    """Return the median over all rounds of ``over`` divided by ``under`` in the same round."""
    return median(a / b for a, b in zip(samples[over], samples[under], strict=True))


# --- showing --------------------------------------------------------------------------------------------------------


def times_table(samples: Mapping[str, Sequence[float]], base: str) -> None:
    """Print one line per name: its median and quickest time, and its time over that of ``base``."""
    rows = [
        (name, _ms(median(times)), _ms(min(times)), f"{ratio(samples, name, base):.2f}")
        for name, times in samples.items()
    ]
    table(("", "median ms", "min ms", f"/ {base}"), rows)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under a header: the first column to the left, the others to the right."""
    lines = [tuple(header), *map(tuple, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        cells = [
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  " + "  ".join(cells).rstrip())


def at_most(what: str, limit: float, measured: float, unit: str = "") -> None:
    """Print a goal that something be no more than ``limit``, and whether it is."""
    _goal(what, f"at most {limit:g}{unit}", f"{measured:.2f}{unit}", measured <= limit)


def at_least(what: str, limit: float, measured: float, unit: str = "") -> None:
    """Print a goal that something be no less than ``limit``, and whether it is."""
    _goal(what, f"at least {limit:g}{unit}", f"{measured:.2f}{unit}", measured >= limit)


def between(what: str, low: float, high: float, measured: float, unit: str = "") -> None:
    """Print a goal that something lie from ``low`` to ``high``, and whether it does."""
    _goal(what, f"{low:g} to {high:g}{unit}", f"{measured:.3f}{unit}", low <= measured <= high)


def _goal(what: str, goal: str, measured: str, met: bool) -> None:
    print(f"  {'ok   ' if met else 'short'}  {what}: {measured} (goal: {goal})")


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f}"
