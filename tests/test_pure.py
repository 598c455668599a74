"""What a test that is marked ``pure`` may not do: conftest sees to it, so that `make quick` stays quick."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable

import pytest

MACHINE: list[Callable[[], object]] = [
    lambda: subprocess.run([sys.executable, "-c", ""], check=False),
    lambda: os.system("true"),
    lambda: os.posix_spawn("/bin/true", ["true"], {}),
    lambda: with_a_socket(lambda one: one.bind(("127.0.0.1", 0))),
    lambda: with_a_socket(lambda one: one.connect(("127.0.0.1", 9))),
]


def with_a_socket(act: Callable[[socket.socket], object]) -> None:
    with socket.socket() as one:
        act(one)


@pytest.mark.pure
@pytest.mark.parametrize("act", MACHINE)
def test_a_pure_test_that_touches_the_machine_fails(act: Callable[[], object]) -> None:
    with pytest.raises(RuntimeError, match=r"test_a_pure_test_that_touches.* is marked pure, and does"):
        act()


def test_another_test_may() -> None:
    assert subprocess.run([sys.executable, "-c", ""], check=False).returncode == 0
