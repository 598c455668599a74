"""``python -m tests.bench [--instances N] [--rounds N] [--quick] [--list] [NAME ...]``."""

from __future__ import annotations

import argparse
import sys

from . import asking, checking, reading, tabbing, writing  # noqa: F401  # they register their benches
from .registry import BENCHES, Setting
from .yard import Size, open_yard


def main() -> None:
    """Run the benches that were named, or all of them, on one yard of servers."""
    parser = argparse.ArgumentParser("python -m tests.bench", description="Reports; asserts nothing.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which (default: all): {', '.join(BENCHES)}")
    parser.add_argument("--instances", type=int, default=64, metavar="N", help="replicas to ask (default: 64)")
    parser.add_argument("--rounds", type=int, metavar="N", help="how often each is measured (default: 30)")
    parser.add_argument("--quick", action="store_true", help="less data and 5 rounds: to see that it works")
    asked = parser.parse_args()
    for name in asked.names:
        if name not in BENCHES:
            parser.error(f"no bench is called {name}: {', '.join(BENCHES)}")
    if asked.instances < 1 or (asked.rounds is not None and asked.rounds < 1):
        parser.error("there must be at least one instance and one round")
    small = Size(asked.instances, channels=4, media=1000)
    rounds = asked.rounds or (5 if asked.quick else 30)
    with open_yard(small if asked.quick else Size(asked.instances)) as yard:
        for name in asked.names or BENCHES:
            print(f"\n{name}: {BENCHES[name].question}")
            sys.stdout.flush()
            BENCHES[name].run(Setting(yard, rounds))


if __name__ == "__main__":
    main()
