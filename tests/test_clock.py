"""The clock is a parameter: every place that reads the real one is known by its name, and has a reason.

A command takes the moment it runs at once, as ``Context.now``; whatever depends on the day or the hour is handed it,
so a test gives it any moment and passes at midnight too. The walker takes sources, so that it is shown ones that read
the clock in every way there is before it is trusted with ours.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

import pytest

pytestmark = pytest.mark.pure

ROOT = Path(__file__).resolve().parent.parent

#: What tells the day or the hour. `stamp` is our own one, for the lines of the journal.
WALL = {
    "time.time", "time.time_ns", "time.clock_gettime", "time.clock_gettime_ns",
    "time.localtime", "time.gmtime", "time.ctime", "time.asctime", "time.strftime",
    "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today",
    "dvbboxes.journal.stamp",
}  # fmt: skip
#: What tells how long something lasts, on the wall or of a processor's time, and when a file was written.
OTHERS = {
    "time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.perf_counter_ns", "timeit.default_timer",
    "time.process_time", "time.process_time_ns", "time.thread_time", "time.thread_time_ns",
    "resource.getrusage", "os.times",
    "os.path.getmtime", "os.path.getctime", "os.path.getatime",
}  # fmt: skip
CLOCKS = WALL | OTHERS
#: Those that read the clock only where they are not given a moment: as their first argument, or their second.
FORMATTING = {"time.localtime": 1, "time.gmtime": 1, "time.ctime": 1, "time.asctime": 1, "time.strftime": 2}
FILE_TIMES = {f"st_{which}time{unit}" for which in ("m", "c", "a", "birth") for unit in ("", "_ns")}
#: A date has its class's methods: `day.today()` is the real day, whatever day it is asked of.
OF_ANYTHING = {"now", "utcnow", "today"}
#: Modules and classes that lead to a clock; what a program in a string imports may stand in another string.
LEADING = {name.rpartition(".")[0] for name in CLOCKS} | {"datetime", "os"}
IN_PROGRAMS = {
    "time": {"time"}, "datetime": {"datetime", "datetime.datetime"}, "date": {"datetime.date"},
    "os": {"os"}, "resource": {"resource"}, "timeit": {"timeit"},
    **{name.partition(".")[2]: {name} for name in CLOCKS if name.startswith("time.") and name != "time.time"},
}  # fmt: skip
WORDS = re.compile("|".join(sorted({name.rpartition(".")[2] for name in CLOCKS} | FILE_TIMES)))
#: What is no Python as it stands, but holds some: a line of the shell.
WRITTEN = re.compile(r"\b((?:time|datetime|date|os\.path|resource|timeit)(?:\.\w+)+)\(")


@dataclass(frozen=True, order=True)
class Reading:
    """One place that reads a clock: a function or a name of the module, or of a program in a string it holds."""

    file: str
    scope: str
    what: str


@dataclass
class Walk:
    """One source, walked through; ``named`` holds what each name of it may stand for, dotted."""

    file: str
    tree: ast.Module
    named: dict[str, set[str]] = field(default_factory=dict)
    outer: str = ""

    def __post_init__(self) -> None:
        self.named = {name: set(targets) for name, targets in self.named.items()}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    first = alias.name.partition(".")[0]
                    self._name(alias.asname or first, {alias.name if alias.asname else first})
            elif isinstance(node, ast.ImportFrom):
                self._from(node.module or "", node.names)
        for _ in range(2):  # a name may be given to a name that is given further down
            for node in ast.walk(self.tree):
                if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                    for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                        if isinstance(target, ast.Name):
                            self._name(target.id, self.targets(node.value) & LEADING)
                elif isinstance(node, ast.ClassDef):
                    self._name(node.name, {one for base in node.bases for one in self.targets(base)} & LEADING)

    def _name(self, name: str, targets: set[str]) -> None:
        self.named.setdefault(name, set()).update(targets)

    def _from(self, module: str, names: Iterable[ast.alias]) -> None:
        for alias in names:
            if alias.name == "*":
                for clock in CLOCKS | LEADING:
                    owner, _, name = clock.rpartition(".")
                    if owner == module:
                        self._name(name, {clock})
            else:
                self._name(alias.asname or alias.name, {f"{module}.{alias.name}"})

    def targets(self, node: ast.AST) -> set[str]:
        """Return what an expression may stand for, dotted; nothing where that is not to be seen."""
        if isinstance(node, ast.Name):
            return self.named.get(node.id, set())
        if isinstance(node, ast.Attribute):
            return {f"{owner}.{node.attr}" for owner in self.targets(node.value)}
        if isinstance(node, ast.Call):
            words = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
            called = ast.unparse(node.func)
            if words and called == "getattr":
                return {f"{owner}.{words[0]}" for owner in self.targets(node.args[0])}
            if words and called.rpartition(".")[2] in {"__import__", "import_module"}:
                return {words[0]}
        return set()

    def readings(self) -> Iterator[Reading]:
        """Yield every reading of a clock."""
        for node in self.tree.body:
            yield from self._in(node, "")

    def _in(self, node: ast.AST, scope: str) -> Iterator[Reading]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            scope = f"{scope}.{node.name}" if scope else node.name
        elif not scope and not self.outer and isinstance(node, ast.Assign | ast.AnnAssign):
            first = node.targets[0] if isinstance(node, ast.Assign) else node.target
            scope = ast.unparse(first)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return  # a docstring
        if isinstance(node, ast.Constant | ast.JoinedStr):
            yield from self._in_text(node, scope)
        if isinstance(node, ast.Call) and self._is_given(node):
            children: Iterable[ast.AST] = [*node.args, *node.keywords]
        else:
            children = ast.iter_child_nodes(node)
            yield from (Reading(self.file, self._where(scope), what) for what in self._read(node))
        for child in children:
            yield from self._in(child, scope)

    def _where(self, scope: str) -> str:
        return ".".join(part for part in (self.outer, scope) if part) or "<module>"

    def _is_given(self, node: ast.Call) -> bool:
        """Return whether a function that formats a moment is given one."""
        found = [FORMATTING[name] for name in self.targets(node.func) if name in FORMATTING]
        if not found or len(node.args) < found[0]:
            return False
        moment = node.args[found[0] - 1]
        return not (isinstance(moment, ast.Constant) and moment.value is None)

    def _read(self, node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.Name | ast.Attribute) and not isinstance(node.ctx, ast.Load):
            return
        yield from self.targets(node) & CLOCKS
        if isinstance(node, ast.Attribute) and node.attr in FILE_TIMES:
            yield node.attr
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Attribute) and called.attr in OF_ANYTHING and not self.targets(called.value):
            yield f"any.{called.attr}"

    def _in_text(self, node: ast.Constant | ast.JoinedStr, scope: str) -> Iterator[Reading]:
        text = _text(node)
        if not WORDS.search(text):
            return
        where = self._where(scope)
        try:
            tree = ast.parse(dedent(text))
        except (SyntaxError, ValueError):
            for written in WRITTEN.findall(text):
                yield from Walk(self.file, ast.parse(written), IN_PROGRAMS, where).readings()
            return
        only = tree.body[0] if len(tree.body) == 1 else None
        if not (isinstance(only, ast.Expr) and isinstance(only.value, ast.Name | ast.Attribute | ast.Constant)):
            yield from Walk(self.file, tree, IN_PROGRAMS, where).readings()  # a name alone is a word


def _text(node: ast.AST) -> str:
    """Return the text of a string, with a name where a value is put into it."""
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_text, node.values))
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    return "_"


def readings(file: str, source: str) -> set[Reading]:
    """Return every reading of a clock in one source."""
    return set(Walk(file, ast.parse(source)).readings())


# --- the checkers: readings and a table in, complaints out ------------------------------------------------------------

#: (file, scope, what is read) -> why; a scope of ``*`` is all of the file.
Table = Mapping[tuple[str, str, str], str]
#: What to do instead of reading the day and the hour, and of measuring.
INSTEAD = "take the moment as an argument (Context.now; in a test a fixed one, or upcoming() for a real process)"
OR_ELSE = "count what is meant (round trips, polls), or give a limit that is ten times what is expected"


def unknown(found: Iterable[Reading], table: Table) -> list[str]:
    return [
        f"{one.file}: {one.scope} reads {one.what}: {INSTEAD if one.what in WALL else OR_ELSE};"
        " what must read it has its place and reason in test_clock.py"
        for one in sorted(found)
        if (one.file, one.scope, one.what) not in table and (one.file, "*", one.what) not in table
    ]


def gone(found: Iterable[Reading], table: Table) -> list[str]:
    places = {(one.file, scope, one.what) for one in found for scope in (one.scope, "*")}
    left = sorted(table.keys() - places)
    return [f"{file}: {scope} reads no {what}: take it out of test_clock.py" for file, scope, what in left]


def unreasoned(table: Table) -> list[str]:
    """Return the entries without a reason, and those that let a whole file know the hour."""
    said = [f"{file}: {what} has no reason" for (file, _, what), why in table.items() if len(why.split()) < 3]
    return said + [f"{file}: name who reads {what}" for file, scope, what in table if scope == "*" and what in WALL]


# --- our readings -----------------------------------------------------------------------------------------------------

DEADLINE = "deadline of a poll loop"
MEASURED = "how long something took, said in a result"
PATIENCE = "a test that waits for a condition gives up at last"
LIMIT = "a wide limit on how long something takes"
SHOWN = "a wrong source that a checker is shown"
COMPARED = "the shifted clock is compared with the real one"
PLACES: dict[tuple[str, str, str], str] = {
    # the day and the hour
    ("dvbboxes/main.py", "create_app", "time.time"): "the one moment of a command: it is Context.now from here on",
    ("dvbboxes/api.py", "_calendar_day", "time.time"): "the Python API has no Context; the day is that of the call",
    ("dvbboxes/journal/__init__.py", "stamp", "time.time"): "a run lasts: its journal tells when each step was taken",
    ("dvbboxes/apply/run.py", "carry_out", "dvbboxes.journal.stamp"): "the journal's first lines of a run",
    ("dvbboxes/apply/run.py", "_Flow._journal", "dvbboxes.journal.stamp"): "a step of a run that is under way",
    ("dvbboxes/apply/parsed.py", "apply_parsed", "dvbboxes.journal.stamp"): "the Python API has no Context",
    ("dvbboxes/media_flows/renaming.py", "delete", "dvbboxes.journal.stamp"): "the journal's first line of a delete",
    ("dvbboxes/media_flows/renaming.py", "rename", "dvbboxes.journal.stamp"): "the journal's first lines of a rename",
    ("dvbboxes/media_flows/renaming.py", "_rewrite", "dvbboxes.journal.stamp"): "a step of a rename, ssh lies behind",
    ("dvbboxes/media_flows/renaming.py", "_finished", "dvbboxes.journal.stamp"): "the end of a rename or delete",
    ("dvbboxes/commands/cluster.py", "_probe.masters", "time.time"): "what each master's clock is compared with",
    ("dvbboxes/completion.py", "media", "time.time"): "a TAB has no Context; the age of the file with the names",
    ("etc/install.py", "_HOLD", "time.time"): "since when the lock is held, told to whoever it turns away",
    ("tests/support/processes.py", "upcoming", "datetime.datetime.now"): "the day for what runs by the real clock",
    ("etc/demo.py", "running", "datetime.date.today"): "whether the demo that runs still has programs for its reader",
    ("tests/clocks/__main__.py", "run", "time.time"): "how far the clock has to be shifted",
    ("tests/test_clocks.py", "*", "time.time"): COMPARED,
    ("tests/test_clocks.py", "*", "time.clock_gettime"): COMPARED,
    ("tests/test_clocks.py", "*", "datetime.datetime.now"): COMPARED,
    ("tests/test_house.py", "*", "datetime.date.today"): SHOWN,
    ("tests/test_house.py", "*", "datetime.datetime.now"): SHOWN,
    ("tests/test_house.py", "*", "datetime.datetime.utcnow"): SHOWN,
    # when a file was written
    ("dvbboxes/completion.py", "media", "st_mtime"): "the age of the file with the names",
    ("dvbboxes/install.py", "_newer_binary", "st_ctime"): "a program that is newer than the process that runs it",
    ("dvbboxes/install.py", "_changed_since", "st_mtime"): "a file that is newer than the process that has read it",
    ("etc/deb.py", "_changed", "st_mtime"): "a package is as old as its changelog, whenever it is built",
    ("etc/install.py", "check_machine", "st_mtime"): "sources that are newer than what was made of them",
    ("tests/test_replicas.py", "*", "st_mtime"): "starts of processes are given in seconds from a file's time",
    ("tests/test_clocks.py", "*", "st_mtime"): COMPARED,
    # how long something lasts
    ("dvbboxes/apply/masters.py", "*", "time.monotonic"): DEADLINE,
    ("dvbboxes/commands/cluster.py", "_watch", "time.monotonic"): "Context.now goes on from picture to picture",
    ("dvbboxes/demo/fleet.py", "*", "time.monotonic"): DEADLINE,
    ("dvbboxes/demo/keeper.py", "*", "time.monotonic"): DEADLINE,
    ("dvbboxes/demo/servers.py", "*", "time.monotonic"): DEADLINE,
    ("dvbboxes/fleet.py", "*", "time.monotonic"): "the deadline of a gather, and how long each answer took",
    ("dvbboxes/lock.py", "*", "time.monotonic"): DEADLINE,
    ("dvbboxes/remote.py", "*", "time.monotonic"): "the deadline of ssh sessions, and how long each took",
    ("dvbboxes/store.py", "*", "time.monotonic"): DEADLINE,
    ("etc/install.py", "_HOLD", "time.monotonic"): DEADLINE,
    ("tests/bench/registry.py", "*", "time.perf_counter"): "a bench measures",
    ("tests/bench/stopwatch.py", "*", "time.perf_counter"): "a bench measures",
    ("tests/bench/yard.py", "*", "time.monotonic"): MEASURED,
    ("tests/fuzz/test_fuzz.py", "soon", "time.monotonic"): "tells a hang from a slow machine",
    ("tests/kill/test_kill.py", "*", "time.monotonic"): MEASURED,
    ("tests/clocks/__main__.py", "run", "time.monotonic"): MEASURED,
    ("tests/support/processes.py", "*", "time.monotonic"): MEASURED,
    ("tests/support/waiting.py", "eventually", "time.monotonic"): PATIENCE,
    ("tests/test_clocks.py", "*", "time.monotonic"): COMPARED,
    ("tests/system/run.py", "main", "time.monotonic"): MEASURED,
    ("tests/system/run.py", "until", "time.monotonic"): PATIENCE,
    ("tests/test_apply.py", "on_a_terminal", "time.monotonic"): PATIENCE,
    ("tests/test_apply_faults.py", "*", "time.monotonic"): LIMIT,
    ("tests/test_servers.py", "*", "time.monotonic"): LIMIT,
    ("tests/test_listing.py", "*", "time.process_time"): LIMIT,
    ("tests/test_listing_bad.py", "*", "resource.getrusage"): LIMIT,
    ("tests/support/warm.py", "*", "time.monotonic"): MEASURED,
}  # fmt: skip


def sources() -> Iterator[Path]:
    for folder in ("dvbboxes", "tests"):
        yield from sorted((ROOT / folder).rglob("*.py"))
    for folder in ("docs", "etc"):
        yield from sorted((ROOT / folder).glob("*.py"))


@pytest.fixture(scope="module")
def ours() -> set[Reading]:
    own = Path(__file__).resolve()
    found: set[Reading] = set()
    for path in sources():
        if path != own:  # it holds every way there is, to show them to the walker
            found |= readings(path.relative_to(ROOT).as_posix(), path.read_text("utf-8"))
    return found


def test_every_reading_of_the_clock_is_known(ours: set[Reading]) -> None:
    assert unknown(ours, PLACES) == []


def test_every_place_that_is_known_still_reads_the_clock(ours: set[Reading]) -> None:
    assert gone(ours, PLACES) == []


def test_every_place_has_a_reason_and_whoever_knows_the_hour_a_name() -> None:
    assert unreasoned({place: why for place, why in PLACES.items() if why not in (SHOWN, COMPARED)}) == []


def test_this_file_itself_reads_no_clock() -> None:
    tree = ast.parse(Path(__file__).read_text("utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not imported & {name.partition(".")[0] for name in CLOCKS}


# --- sources that read the clock: each is found -----------------------------------------------------------------------

IN_EVERY_WAY = {
    "time.time": [
        "import time\ntime.time()",
        "import time as t\nt.time()",
        "from time import time\ntime()",
        "from time import time as now\nnow()",
        "from time import *\ntime()",
        "def f():\n    import time\n    return time.time()",
        "import time\nnow = time.time",
        "import time\n@dataclass\nclass A:\n    began: float = field(default_factory=time.time)",
        "import time\ndef f(clock=time.time): ...",
        "import time\nlambda: time.time()",
        "import time\nclock = time\nclock.time()",
        "import time\ngetattr(time, 'time')()",
        "__import__('time').time()",
        "import importlib\nimportlib.import_module('time').time()",
    ],
    "time.time_ns": ["import time\ntime.time_ns() // 10**9", "from time import time_ns\ntime_ns()"],
    "time.clock_gettime": ["import time\ntime.clock_gettime(time.CLOCK_REALTIME)"],
    "datetime.date.today": [
        "from datetime import date\ndate.today()",
        "from datetime import date as d\nd.today()",
        "import datetime\ndatetime.date.today()",
        "import datetime as dt\ndt.date.today()",
        "from datetime import *\ndate.today()",
        "from datetime import date\ntoday = date.today",
        "from datetime import date\nclass Day(date): ...\nDay.today()",
    ],
    "datetime.datetime.now": [
        "from datetime import datetime\ndatetime.now()",
        "from datetime import UTC, datetime\ndatetime.now(UTC)",
        "from datetime import datetime\ndatetime.now(tz=zone).date()",
        "import datetime\ndatetime.datetime.now()",
        "import datetime as dt\nclock = dt.datetime.now",
    ],
    "datetime.datetime.utcnow": ["from datetime import datetime\ndatetime.utcnow()"],
    "datetime.datetime.today": ["from datetime import datetime\ndatetime.today()"],
    "any.today": ["day.today()", "type(day).today()"],
    "any.now": ["moment.now(UTC)"],
    "time.localtime": [
        "import time\ntime.localtime()",
        "import time\ntime.localtime(None)",
        "import time\nlogging.Formatter.converter = time.localtime",
    ],
    "time.gmtime": ["import time\ntime.gmtime()"],
    "time.ctime": ["import time\ntime.ctime()"],
    "time.strftime": ["import time\ntime.strftime('%d')", "from time import strftime\nstrftime('%H:%M')"],
    "time.monotonic": [
        "import time\ntime.monotonic()",
        "from time import monotonic\nmonotonic()",
        "import time\ndef f(clock=time.monotonic): ...",
    ],
    "time.perf_counter": ["import time\ntime.perf_counter()", "from time import perf_counter as p\np()"],
    "time.perf_counter_ns": ["import time\ntime.perf_counter_ns()"],
    "time.process_time": ["import time\ntime.process_time()"],
    "time.thread_time": ["import time\ntime.thread_time()"],
    "resource.getrusage": ["import resource\nresource.getrusage(resource.RUSAGE_SELF)"],
    "os.times": ["import os\nos.times()"],
    "os.path.getmtime": ["import os\nos.path.getmtime('x')", "from os.path import getmtime\ngetmtime('x')"],
    "st_mtime": ["path.stat().st_mtime"],
    "st_ctime_ns": ["import os\nos.stat('x').st_ctime_ns"],
    "dvbboxes.journal.stamp": ["from dvbboxes.journal import Journal, stamp\nstamp()"],
}
READ = [(what, source) for what, every in IN_EVERY_WAY.items() for source in every]


def whats(source: str) -> set[str]:
    return {one.what for one in readings("a.py", source)}


@pytest.mark.parametrize(("what", "source"), READ)
def test_a_reading_is_found_however_it_is_written(what: str, source: str) -> None:
    assert whats(source) == {what}


@pytest.mark.parametrize(("what", "source"), [one for one in READ if "\n" in one[1]])
def test_a_reading_in_a_program_that_is_a_string_is_found(what: str, source: str) -> None:
    assert whats(f"PROGRAM = {source!r}") == {what}
    assert whats(f"run(['python', '-c', {source!r}])") == {what}
    indented = "\n" + "".join(f"    {line}\n" for line in source.splitlines())
    assert whats(f"PROGRAM = {indented!r}") == {what}


@pytest.mark.parametrize(
    ("what", "source"),
    [
        # Another string imports it.
        ("time.time", "code = f'check(Context({path!r}, time.time()), {day})'"),
        ("datetime.date.today", r"code = f'{BEGIN}\nfor day in days:\n    go(day, date.today())\n'"),
        # It is a part of what the shell is given.
        ("time.time", """script = 'exec python -c "import time; print(time.time())"'"""),
        ("datetime.date.today", """script = "cd /; python3 -c 'import datetime; datetime.date.today()'" """),
    ],
)
def test_a_reading_in_a_part_of_a_program_is_found(what: str, source: str) -> None:
    assert whats(source) == {what}


@pytest.mark.parametrize(
    "source",
    [
        "import time\ntime.sleep(1)",
        "import time\ntime.strftime('%d', time.localtime(since))",
        "import time\ntime.gmtime(0)",
        "from datetime import date, datetime, time\ndatetime.fromtimestamp(now, zone).date()\ntime(7, 30)",
        "from datetime import datetime\ndatetime.combine(day, datetime.min.time(), zone).timestamp()",
        "def now(self): return self._now",
        "context.now\ncontext.today\nplan.today",
        "from dvbboxes.commands import program\nprogram.now(context)",
        "'''What time.time() is for.'''",
        "def f():\n    '''Not date.today().'''",
        "words = ['time.time', 'today', 'date.today', 'now']",
        "import os\nos.utime(path, (0, 0))",
        "import time\ntime.time = lambda: 1.8e9",
    ],
)
def test_what_reads_no_clock_is_let_be(source: str) -> None:
    assert whats(source) == set()


def test_a_reading_is_known_by_whose_it_is() -> None:
    source = r"""
import time
FIRST = time.time()
class A:
    made = time.time()
    def b(self):
        def c():
            return time.time()
time.time()
PROGRAM = "import time\ndef start():\n    time.time()\ntime.time()"
def run():
    go("import time; began = time.time()")
"""
    scopes = {one.scope for one in readings("a.py", source)}
    assert scopes == {"FIRST", "A", "A.b.c", "<module>", "PROGRAM.start", "PROGRAM", "run"}


def test_a_reading_that_is_not_known_is_told_with_what_to_do() -> None:
    found = [Reading("a.py", "f", "time.time"), Reading("a.py", "g", "time.monotonic")]
    assert unknown(found, {("a.py", "f", "time.time"): "", ("a.py", "*", "time.monotonic"): ""}) == []
    (said,) = unknown(found, {("a.py", "g", "time.time"): "", ("a.py", "g", "time.monotonic"): ""})
    assert said.startswith("a.py: f reads time.time: take the moment as an argument (Context.now;")


def test_a_place_that_reads_no_more_is_told() -> None:
    found = [Reading("a.py", "f", "time.time")]
    assert gone(found, {("a.py", "f", "time.time"): "", ("a.py", "*", "time.time"): ""}) == []
    assert gone(found, {("a.py", "g", "time.time"): ""}) == ["a.py: g reads no time.time: take it out of test_clock.py"]
    assert gone([], {("a.py", "*", "time.time"): ""}) == ["a.py: * reads no time.time: take it out of test_clock.py"]


def test_a_place_without_a_reason_or_a_whole_file_that_knows_the_hour_is_told() -> None:
    assert unreasoned({("a.py", "f", "time.time"): "it is meant so"}) == []
    assert unreasoned({("a.py", "f", "time.time"): " "}) == ["a.py: time.time has no reason"]
    assert unreasoned({("a.py", "*", "time.time"): "it is meant so"}) == ["a.py: name who reads time.time"]
    assert unreasoned({("a.py", "*", "time.monotonic"): "it is meant so"}) == []
