"""Runs commands in turn and says what each cost; a program of its own, started with ``python -I -S``.

It is small on purpose: the kernel counts the memory of the process that starts another as the other's first peak. On
stdin ``{"commands": {name: argv}, "environ": {name: value}, "rounds": N}``, on stdout
``{name: [[seconds, CPU seconds, peak kB, exit status], ...]}``.
"""

from __future__ import annotations

import json
import os
import sys
import time


def once(argv: list[str], environ: dict[str, str]) -> tuple[float, float, int, int]:
    """Return wall and CPU seconds, peak resident kB and exit status of a command; its output is thrown away."""
    with open(os.devnull, "r+b") as nothing:  # noqa: PTH123  # pathlib alone would cost it as much as all the rest
        streams = [(os.POSIX_SPAWN_DUP2, nothing.fileno(), fd) for fd in (0, 1)]
        start = time.perf_counter()
        pid = os.posix_spawn(argv[0], argv, environ, file_actions=streams)
        _, status, usage = os.wait4(pid, 0)
        wall = time.perf_counter() - start
        return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, os.waitstatus_to_exitcode(status)


def main() -> None:
    """Do what stdin says."""
    order = json.load(sys.stdin)
    commands: dict[str, list[str]] = order["commands"]
    results: dict[str, list[tuple[float, float, int, int]]] = {name: [] for name in commands}
    for number in range(order["rounds"] + 1):
        for name, argv in commands.items():
            result = once(argv, order["environ"])
            if number:  # the first compiles, and warms the page cache
                results[name].append(result)
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
