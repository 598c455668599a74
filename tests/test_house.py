"""The house stands: imports only go down, one room knows redis, the pure rooms know nothing of the machine (DESIGN).

A *room* is a module or package right below ``dvbboxes``. The checkers take sources, so that each is shown a little
house that is wrong before it is trusted with ours.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

pytestmark = pytest.mark.pure

PACKAGE = "dvbboxes"

#: Room -> floor. A room imports only from floors below its own. The second floor is a staircase: rooms that speak of
#: keys and days do it in the words of `wire` and `schedule`, and `render` and `sister` stand on what those make.
FLOORS = {
    "errors": 1, "model": 1,
    "wire": 2, "schedule": 2, "records": 2,
    "config": 2.4, "days": 2.4, "listing": 2.4, "aggregate": 2.4,
    "simulate": 2.5, "replicas": 2.5, "plan": 2.6, "findings": 2.6, "report": 2.7, "coverage": 2.7,
    "archive": 2.5, "wishes": 2.65, "undo": 2.66, "meant": 2.66, "library": 2.75,
    "render": 2.8, "sister": 2.8,
    "store": 3, "logfile": 3, "files": 3,
    "fleet": 4, "journal": 4, "lock": 4, "memory": 4, "remote": 4, "withdrawn": 4,
    "media_flows": 5.5, "questions": 5, "apply": 5, "audit": 5, "demo": 5, "install": 5,
    "commands": 6, "api": 6, "terminal": 6, "parsers": 6.3, "completion": 6.6,
    "main": 7, "web": 7,
}  # fmt: skip
#: On top of all floors; the first must not cost the importer of anything else a single room.
ROOF = {"__init__", "__main__"}
#: The one step aside: `runserver` imports the pages, inside its function.
ASIDE = {("main", "web")}
#: The roof's only word that rooms may read.
ROOF_NAMES = {"__version__"}

DRIVERS = {
    "redis": {"store"}, "hiredis": {"store"},
    "flask": {"main", "web"}, "flask_script_ng": {"main", "web"},
    "werkzeug": {"main", "web"}, "jinja2": {"main", "web"},
}  # fmt: skip

PURE = {
    "errors",
    "model",
    "wire",
    "days",
    "sister",
    "listing",
    "schedule",
    "aggregate",
    "plan",
    "replicas",
    "report",
    "records",
    "simulate",
    "archive",
    "wishes",
    "undo",
    "meant",
    "findings",
    "coverage",
    "library",
    "render",
}
#: What a pure room never imports: the machine, the clock, the net, other processes.
MACHINE = {
    "asyncio", "builtins", "concurrent", "ctypes", "fcntl", "fileinput", "getpass", "glob", "http",
    "logging", "mmap", "multiprocessing", "os", "pathlib", "platform", "posix", "posixpath", "pwd", "resource",
    "select", "selectors", "shutil", "signal", "socket", "socketserver", "ssl", "subprocess", "syslog", "tempfile",
    "termios", "threading", "time", "urllib.request",
}  # fmt: skip
MACHINE_NAMES = {"io.open", "io.open_code", "io.FileIO", "sys.stdin", "sys.stdout", "sys.stderr", "sys.argv"}
CLOCK = {"now", "utcnow", "today"}


@dataclass(frozen=True)
class Import:
    """One name that a module imports; ``target`` is dotted and absolute, ``name`` what is taken out of it."""

    target: str
    name: str | None
    line: int
    lazy: bool


@dataclass(frozen=True)
class Module:
    """One source file under its dotted name."""

    dotted: str
    text: str
    package: bool = False

    @property
    def room(self) -> str:
        return room_of(self.dotted)

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        return tuple(self._imports(self.tree, lazy=False))

    def _imports(self, node: ast.AST, *, lazy: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(alias.name, None, child.lineno, lazy)
            elif isinstance(child, ast.ImportFrom):
                source = self._absolute(child)
                for alias in child.names:
                    yield Import(source, alias.name, child.lineno, lazy)
            elif (named := _imported_by_call(child)) is not None:
                yield Import(named, None, child.lineno, lazy)  # type: ignore[attr-defined]  # a call has a line
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for_types = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
            yield from self._imports(child, lazy=lazy or function or for_types)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.dotted.split(".")
        base = parts[: len(parts) - node.level + self.package]
        return ".".join([*base, *([node.module] if node.module else [])])


def _imported_by_call(node: ast.AST) -> str | None:
    """Return the module that ``__import__("x")`` or ``import_module("x")`` names."""
    if not isinstance(node, ast.Call) or _dotted(node.func).rpartition(".")[2] not in {"__import__", "import_module"}:
        return None
    first = node.args[0] if node.args else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def room_of(dotted: str) -> str:
    """Return the room of a dotted name of ours; the package itself is ``__init__``."""
    parts = dotted.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


House = Mapping[str, Module]


def ours(house: House, module: Module) -> Iterator[tuple[str, Import]]:
    """Yield (dotted module of ours, import) for what a module imports from the house."""
    for found in module.imports:
        if found.target.partition(".")[0] == PACKAGE:
            inner = f"{found.target}.{found.name}"
            yield (inner if inner in house else found.target), found


# --- the checkers: a house in, complaints out -----------------------------------------------------------------------


def unknown_rooms(house: House) -> list[str]:
    return sorted(
        {f"{m.room}: give it a floor" for m in house.values()} - {f"{r}: give it a floor" for r in {*FLOORS, *ROOF}}
    )


def upward_arrows(house: House) -> list[str]:
    complaints = []
    for module in house.values():
        for target, found in ours(house, module):
            if target not in house:
                complaints.append(f"{module.dotted}:{found.line}: {target} does not exist")
            elif not _goes_down(module.room, room_of(target), found):
                complaints.append(f"{module.dotted}:{found.line}: {module.room} must not import {room_of(target)}")
    return complaints


def _goes_down(room: str, target: str, found: Import) -> bool:
    if room == target or room == "__main__":
        return True
    if room == "__init__":
        return found.lazy
    if target in ROOF:
        return target == "__init__" and found.name in ROOF_NAMES
    if (room, target) in ASIDE:
        return found.lazy
    return FLOORS.get(target, 99) < FLOORS.get(room, 0)


def rings(house: House) -> list[str]:
    """Return one complaint per ring of modules, function-local imports included; the roof looks down on all of them."""
    below = {
        m.dotted: sorted({t for t, _ in ours(house, m)} - {m.dotted}) for m in house.values() if m.room not in ROOF
    }
    done: set[str] = set()
    complaints: list[str] = []

    def walk(dotted: str, path: tuple[str, ...]) -> None:
        if dotted in path:
            complaints.append(" -> ".join([*path[path.index(dotted) :], dotted]))
        elif dotted not in done:
            for target in below.get(dotted, ()):
                walk(target, (*path, dotted))
            done.add(dotted)

    for dotted in below:
        walk(dotted, ())
    return complaints


def strayed_drivers(house: House) -> list[str]:
    return [
        f"{module.dotted}:{found.line}: {found.target} is not for {module.room}"
        for module in house.values()
        for found in module.imports
        if module.room not in DRIVERS.get(found.target.partition(".")[0], {module.room})
    ]


def impure(house: House) -> list[str]:
    complaints = []
    for module in house.values():
        if module.room not in PURE:
            continue
        for found in module.imports:
            names = {found.target.partition(".")[0], found.target, f"{found.target}.{found.name}"}
            if names & (MACHINE | MACHINE_NAMES):
                complaints.append(f"{module.dotted}:{found.line}: {found.target} is not for a pure room")
        for node in ast.walk(module.tree):
            said = _touches(node)
            if said:
                complaints.append(f"{module.dotted}:{said} is not for a pure room")
    return complaints


def _touches(node: ast.AST) -> str:
    if isinstance(node, ast.Name) and node.id in {"open", "input", "__import__"}:
        return f"{node.lineno}: {node.id}"
    if isinstance(node, ast.Attribute):
        dotted = _dotted(node)
        owner = dotted.rpartition(".")[0].rpartition(".")[2]
        if dotted in MACHINE_NAMES or (node.attr in CLOCK and owner in {"date", "datetime"}):
            return f"{node.lineno}: {dotted}"
    return ""


def printing(house: House) -> list[str]:
    return [
        f"{module.dotted}:{node.lineno}: print"
        for module in house.values()
        if module.room != "terminal"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Name) and node.id == "print"
    ]


# --- our house ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def our_house() -> House:
    root = Path(__file__).resolve().parent.parent / PACKAGE
    modules = {}
    for path in sorted(root.rglob("*.py")):
        parts = [PACKAGE, *path.relative_to(root).with_suffix("").parts]
        package = parts[-1] == "__init__"
        dotted = ".".join(parts[:-1] if package else parts)
        modules[dotted] = Module(dotted, path.read_text("utf-8"), package)
    return modules


def test_every_room_has_a_floor(our_house: House) -> None:
    assert {"errors", "model", "__init__"} <= {module.room for module in our_house.values()}
    assert unknown_rooms(our_house) == []


def test_imports_only_go_down(our_house: House) -> None:
    assert upward_arrows(our_house) == []


def test_there_is_no_import_ring(our_house: House) -> None:
    assert rings(our_house) == []


def test_redis_and_flask_stay_in_their_rooms(our_house: House) -> None:
    assert strayed_drivers(our_house) == []


def test_pure_rooms_are_pure(our_house: House) -> None:
    assert impure(our_house) == []


def test_only_main_prints(our_house: House) -> None:
    assert printing(our_house) == []


# --- houses that are wrong: each checker finds what it is for -------------------------------------------------------


def house(**sources: str) -> House:
    """Return a house of single modules; ``a__b`` is the module b of the package a, the roof is ``__init__``."""
    modules = {PACKAGE: Module(PACKAGE, "", package=True)}
    for name, text in sources.items():
        inner = "" if name.startswith("__") else name.replace("__", ".")
        dotted = PACKAGE if name == "__init__" else f"{PACKAGE}.{inner or name}"
        package = name == "__init__" or any(other.startswith(f"{name}__") for other in sources)
        modules[dotted] = Module(dotted, text, package)
    return modules


UPWARD = [
    "from dvbboxes.fleet import gather",
    "from dvbboxes import fleet",
    "import dvbboxes.fleet",
    "import dvbboxes.fleet as f",
    "from .fleet import gather",
    "from . import fleet",
    "def late():\n    from dvbboxes import fleet",
    "if TYPE_CHECKING:\n    from dvbboxes.fleet import Fleet",
    "class A:\n    async def b(self):\n        from . import fleet",
    "import importlib\nimportlib.import_module('dvbboxes.fleet')",
    "__import__('dvbboxes.fleet')",
]


@pytest.mark.parametrize("source", UPWARD)
def test_an_arrow_that_points_up_is_found_however_it_is_written(source: str) -> None:
    assert [said.partition(": ")[2] for said in upward_arrows(house(store=source, fleet=""))] == [
        "store must not import fleet"
    ]
    assert upward_arrows(house(apply=source, fleet="")) == []


def test_an_arrow_to_the_same_floor_is_found() -> None:
    assert upward_arrows(house(listing="from dvbboxes.aggregate import Row", aggregate="")) != []
    assert upward_arrows(house(plan__a="from . import b", plan__b="", plan="")) == []


def test_relative_imports_are_resolved_from_packages_too() -> None:
    wrong = house(render="", render__text="from ..fleet import x", fleet="")
    assert upward_arrows(wrong) == ["dvbboxes.render.text:1: render must not import fleet"]
    assert upward_arrows(house(render="from ..fleet import x", render__text="", fleet="")) == [
        "dvbboxes.render:1: render must not import fleet"
    ]


def test_main_reaches_the_pages_lazily_and_they_never_reach_main() -> None:
    assert upward_arrows(house(main="def runserver():\n    from dvbboxes import web", web="")) == []
    assert upward_arrows(house(main="from dvbboxes import web", web="")) != []
    assert upward_arrows(house(web="def f():\n    from dvbboxes import main", main="")) != []


def test_the_roof_is_lazy_and_lends_only_its_version() -> None:
    assert upward_arrows(house(__init__="from dvbboxes.api import Media", api="")) != []
    assert upward_arrows(house(__init__="def __getattr__(name):\n    from dvbboxes import api", api="")) == []
    assert upward_arrows(house(main="from dvbboxes import __version__")) == []
    assert upward_arrows(house(main="from dvbboxes import CONFIG")) != []
    assert upward_arrows(house(main="import dvbboxes.__main__", __main__="")) != []
    assert upward_arrows(house(__main__="from dvbboxes.main import cli", main="")) == []


def test_an_import_of_a_module_that_is_not_there_is_found() -> None:
    assert upward_arrows(house(main="import dvbboxes.gone")) == ["dvbboxes.main:1: dvbboxes.gone does not exist"]


def test_a_room_without_a_floor_is_found() -> None:
    assert unknown_rooms(house(utils="", errors="")) == ["utils: give it a floor"]
    assert unknown_rooms(house(utils__deep="")) == ["utils: give it a floor"]


def test_a_ring_is_found_inside_a_room_and_through_functions() -> None:
    wrong = house(config="", config__a="from . import b", config__b="def f():\n    from dvbboxes.config.a import g")
    assert rings(wrong) == ["dvbboxes.config.a -> dvbboxes.config.b -> dvbboxes.config.a"]
    assert rings(house(config="from . import a", config__a="from .b import c", config__b="")) == []
    assert rings(house(config="from . import a", config__a="from dvbboxes.config import f")) != []


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("fleet", "import redis"),
        ("fleet", "def f():\n    from redis.connection import Connection"),
        ("demo__servers", "import hiredis as h"),
        ("commands__media", "from flask_script_ng import Manager"),
        ("api", "from flask import Flask"),
    ],
)
def test_a_driver_outside_its_room_is_found(room: str, source: str) -> None:
    assert len(strayed_drivers(house(**{room: source}))) == 1
    assert (
        strayed_drivers(house(store="import redis, hiredis", main="import flask_script_ng", web="import flask")) == []
    )


@pytest.mark.parametrize(
    "source",
    [
        "import socket",
        "import os.path",
        "from pathlib import Path",
        "import time",
        "def f():\n    import subprocess",
        "from urllib.request import urlopen",
        "from urllib import request",
        "import io\nio.open('x')",
        "from io import open",
        "def f():\n    return open('x')",
        "from datetime import date\nd = date.today()",
        "import datetime\nd = datetime.datetime.now()",
        "from datetime import datetime\nclock = datetime.utcnow",
        "import sys\nsys.stdout.write('x')",
    ],
)
def test_a_pure_room_that_touches_the_machine_is_found(source: str) -> None:
    assert impure(house(schedule=source)) != []
    assert impure(house(render="", render__text=source)) != []
    assert impure(house(journal=source)) == []


def test_a_pure_room_may_compute() -> None:
    text = "import io\nfrom datetime import datetime, time\nfrom urllib.parse import quote\nio.StringIO()\nplan.today\n"
    assert impure(house(schedule=text)) == []


@pytest.mark.parametrize("source", ["print(1)", "def f():\n    say = print\n    say(1)"])
def test_print_is_found_anywhere_but_in_the_terminal(source: str) -> None:
    assert printing(house(commands="", commands__media=source)) != []
    assert printing(house(terminal=source)) == []
