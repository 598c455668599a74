"""The clock of `shim.c`: compiled for one shift, and the environment that hands it down."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")


def compiler() -> str | None:
    """Return the C compiler, None where there is none."""
    return shutil.which(os.environ.get("CC", "cc"))


def compile_shim(folder: Path, shift: int) -> Path:
    """Compile the clock that is ``shift`` seconds ahead into ``folder`` and return the library."""
    library = folder / f"clock{shift:+d}.so"
    line = [compiler() or "cc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", f"-DSHIFT={shift}L"]
    subprocess.run([*line, "-o", str(library), str(SOURCE), "-ldl"], check=True)
    return library


def environment(environ: Mapping[str, str], library: Path, zone: str) -> dict[str, str]:
    """Return an environment whose processes live by that clock, in that zone."""
    preloaded = ":".join(filter(None, [str(library), environ.get("LD_PRELOAD", "")]))
    return {**environ, "LD_PRELOAD": preloaded, "TZ": zone}
