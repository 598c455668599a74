"""The bench of a TAB: the whole process that bash starts to complete a word, with four replicas that stand still."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from dvbboxes.completion import cache_file

from .reading import program_of_ours, timed
from .registry import Setting, at_most, bench, table
from .yard import Yard

_FIRST = "media, the first time"
#: What is typed before TAB; the file names are asked for once without a list of them, and then with one.
_LINES = {
    "nouns": "dvbboxes ",
    "verbs": "dvbboxes program ",
    "options": "dvbboxes program show today --",
    "towns": "dvbboxes program show today --towns ",
    "instances": "dvbboxes cluster status --instance dvb-town3",
    "channels": "dvbboxes program show today -s ",
    "media, listed": "dvbboxes media show film_du",
    _FIRST: "dvbboxes media show film_du",
}
_FROZEN = 4


@bench("tab", f"the whole process that completes a word, {_FROZEN} replicas standing still")
def tab(setting: Setting) -> None:
    yard = setting.yard
    with TemporaryDirectory(prefix="dvbboxes-tab-") as top, yard.frozen(_FROZEN):
        _list_files(yard, Path(top))
        # Below a file there is no folder, so that list is never made.
        caches = {name: Path("/dev/null/none") if name == _FIRST else Path(top) for name in _LINES}
        commands = {name: _command(line, yard.config_path, caches[name]) for name, line in _LINES.items()}
        runs = timed(commands, setting.rounds, yard.config_path.parent / "compiled")
    rows = []
    for name, results in runs.items():
        wall, cpu = ([run[column] * 1000 for run in results] for column in (0, 1))
        rows.append((name, f"{median(wall):.0f}", f"{min(wall):.0f}", f"{max(wall):.0f}", f"{median(cpu):.0f}"))
    table(("", "median ms", "min ms", "max ms", "CPU ms"), rows)
    for name, results in runs.items():
        at_most(name, 250, median(run[0] * 1000 for run in results), " ms")


def _command(line: str, config: Path, cache: Path) -> list[str]:
    """Return what bash's function of argcomplete runs; what it says goes nowhere."""
    given = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": "/dev/null",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9",
        "XDG_CACHE_HOME": str(cache),
        "DVBBOXES_CONFIG": str(config),
    }
    return ["/usr/bin/env", *(f"{name}={value}" for name, value in given.items()), *program_of_ours()]


def _list_files(yard: Yard, cache: Path) -> None:
    listed = cache_file(str(yard.config_path), {"XDG_CACHE_HOME": str(cache)})
    listed.parent.mkdir(parents=True)
    listed.write_text("".join(f"film_du_soir_{n:05d}\n" for n in range(yard.size.media)), "utf-8")
