"""The Python API of SPEC 7, reading half: callers as they exist, in processes of their own, on real servers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import peers
import pytest
from processes import ROOT, environment
from reading import START, Entries, Stage, clock, files, held

from dvbboxes.demo.world import World

EVENING = (("film_a", "07:30"), ("jt", "19:00"), ("film_a", "20:00"), ("film_ab", "23:00"))
FILES = files(film_a=5400.12, film_ab=3601, jt="1800")


@pytest.fixture
def stage(fleet: World, tmp_path: Path) -> Stage:
    return Stage(fleet, tmp_path)


def call(config: Path | None, script: str, *arguments: str) -> Any:
    """Run a caller's script in a process of its own and return what it assigns to ``said``."""
    done = _run(config, textwrap.dedent(script) + "\nimport json; print(json.dumps(said))", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def _run(config: Path | None, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *arguments],
        env=environment(config, {}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# --- importing --------------------------------------------------------------------------------------------------------

#: Every event by which Python touches a file or a socket, except reading modules, which is what an import is.
WATCHED = """
import os, sys
touched = []
def watch(event, args):
    if event == "open" and isinstance(args[0], (str, bytes, os.PathLike)):
        name = os.fsdecode(args[0])
        if not name.endswith((".py", ".pyc", ".so")) and not os.path.isdir(name):
            touched.append([event, name])
    elif event.startswith(("socket.", "subprocess.", "os.mkdir", "os.remove", "os.rename", "sqlite3.", "shutil.")):
        touched.append([event, repr(args)])
sys.addaudithook(watch)
import dvbboxes
from dvbboxes import Media, Program, cli
Media("film_a"); repr(Media("film_a")); Program("15062017", "85")
import logging
said = [touched, logging.getLogger().handlers, logging.getLogger("dvbboxes").handlers]
"""


def test_importing_needs_no_configuration_and_touches_nothing() -> None:
    assert call(Path("/nowhere/at/all"), WATCHED) == [[], [], []]


def test_importing_alone_loads_no_driver() -> None:
    script = """
    import dvbboxes, sys
    said = sorted({"redis", "flask", "flask_script_ng", "logging", "dvbboxes.api"} & set(sys.modules))
    """
    assert call(None, script) == []


def test_what_is_configured_is_read_at_first_use_and_its_mistakes_are_raised_there(stage: Stage) -> None:
    script = """
    import dvbboxes
    try:
        dvbboxes.TOWNS
    except Exception as error:
        said = [type(error).__name__, str(error)]
    """
    name, said = call(stage.folder / "nowhere", script)
    assert name == "ConfigError"
    assert "there is no such file" in said


def test_a_name_that_the_api_does_not_have_is_an_attribute_error() -> None:
    script = "import dvbboxes\nsaid = [hasattr(dvbboxes, 'TOWN'), 'TOWNS' in dir(dvbboxes)]"
    assert call(None, script) == [False, True]


# --- what is configured -----------------------------------------------------------------------------------------------


def test_the_old_flask_views_read_the_configuration_as_before(stage: Stage) -> None:
    said = call(
        stage.config,
        """
        import dvbboxes
        from dvbboxes import TOWNS, CLUSTER, CHANNELS, CONFIG, LOGGER
        TOWNS.sort(reverse=True)
        said = {
            'towns': TOWNS, 'same': dvbboxes.TOWNS is TOWNS, 'list': type(TOWNS) is list,
            'cluster': list(CLUSTER.items()), 'channels': CHANNELS, 'dict': type(CHANNELS) is dict,
            'datefmt': CONFIG.get('LOG', 'datefmt'), 'sections': CONFIG.sections()[:3],
            'level': CONFIG.getint('LOG', 'level'), 'logger': LOGGER.name,
        }
        """,
    )
    assert said == {
        "towns": ["town2", "town1"],
        "same": True,
        "list": True,
        "cluster": [["town1", ["town1-1", "town1-2"]], ["town2", ["town2-1", "town2-2"]]],
        "channels": {"85": "Ma chaine", "86": "Deuxième chaîne"},
        "dict": True,
        "datefmt": "%d-%m-%Y %H:%M:%S",
        "sections": ["LOG", "DATA", "CHANNELS"],
        "level": 20,
        "logger": "dvbboxes",
    }


def test_the_towns_stand_in_file_order_and_the_cluster_in_the_order_of_its_names(tmp_path: Path) -> None:
    config = tmp_path / "configuration"
    config.write_text(
        f"[LOG]\nfilepath={tmp_path}/log\nlevel=10\ndatefmt=%d\n[DATA]\nfolder={tmp_path}\n[CHANNELS]\n1=ma chaine\n2\n"
        "[CLUSTER:tana]\nb=6381\na=6382\n[CLUSTER:nord:diego]\nC.x=6383\n",
        "utf-8",
    )
    script = "from dvbboxes import *\nsaid = [TOWNS, list(CLUSTER), CLUSTER['tana'], CLUSTER['nord:diego'], CHANNELS]"
    assert call(config, script) == [
        ["tana", "nord:diego"],
        ["nord:diego", "tana"],
        ["b", "a"],
        ["c.x"],
        {"1": "ma chaine", "2": "2"},
    ]


def test_the_manager_and_the_command_are_there() -> None:
    script = """
    from dvbboxes import MANAGER, cli
    import types, dvbboxes
    said = [callable(cli), isinstance(cli, types.ModuleType), 'program' in MANAGER._commands]
    said.append(dvbboxes.MANAGER is MANAGER)
    """
    assert call(None, script) == [True, False, True, True]


def test_a_script_of_one_line_is_the_command(stage: Stage) -> None:
    done = _run(
        stage.config, "import sys; sys.argv[0] = 'dvbboxes'; from dvbboxes import cli; cli()", "config", "check"
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_script_that_runs_the_manager_is_the_command_with_its_own_commands_beside(stage: Stage) -> None:
    script = """
import sys
from dvbboxes import MANAGER
sys.argv[0] = 'dvbboxes'

@MANAGER.command
def hello():
    print('hello')

MANAGER.run()
"""
    done = _run(stage.config, script, "config", "check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{stage.config}: ")
    own = _run(stage.config, script, "hello")
    assert (own.returncode, own.stdout, own.stderr) == (0, "hello\n", "")


# --- Media ------------------------------------------------------------------------------------------------------------


def test_a_media_is_what_it_was(stage: Stage) -> None:
    gone = (1, ("DEL", "film_a.ts"))
    stage.load(
        town1_1=[FILES, files(film_a=5400, jt="1801"), held(EVENING)],
        town2_1=[FILES, gone, held(EVENING)],
        town2_2=[FILES, gone, held([("film_a", "12:00")])],
        others=[FILES, held([("film_a", "07:30"), ("jt", "08:00")], sid="86")],
    )
    said = call(
        stage.config,
        """
        from dvbboxes import Media
        media, same, none = Media('film_a'), Media('film_a.ts'), Media('nobody')
        said = {
            'name': [media.name, same.name], 'repr': repr(media),
            'towns': sorted(media.towns), 'set': type(media.towns) is set,
            'duration': [media.duration, Media('jt').duration, none.duration],
            'types': [type(one.duration).__name__ for one in (media, Media('jt'), none)],
            'schedule': [[sid, sorted(starts), type(starts).__name__] for sid, starts in media.schedule.items()],
            'none': [sorted(none.towns), dict(none.schedule)],
        }
        """,
    )
    assert said == {
        "name": ["film_a.ts", "film_a.ts"],
        "repr": "<Media film_a.ts>",
        "towns": ["town1"],
        "set": True,
        "duration": [5400.12, 1801, 0],
        "types": ["float", "int", "int"],
        # Of town2, where nobody has the file, nothing is said.
        "schedule": [["85", [START, clock("20:00")], "set"], ["86", [START], "set"]],
        "none": [[], {}],
    }


def test_the_schedule_is_over_every_instance_of_a_town_that_has_the_file(stage: Stage) -> None:
    stage.load(
        town1_1=[FILES],
        town1_2=[FILES, (1, ("DEL", "film_a.ts")), held([("film_a", "09:00")])],
        others=[FILES, (1, ("DEL", "film_a.ts")), held([("film_a", "10:00")])],
    )
    script = (
        "from dvbboxes import Media\nsaid = {sid: sorted(starts) for sid, starts in Media('film_a').schedule.items()}"
    )
    assert call(stage.config, script) == {"85": [clock("09:00")]}


def test_the_sentinel_and_garbage_never_win(stage: Stage) -> None:
    stage.load(
        town1_1=[files(film_a="3.14", jt="3.14", film_ab="__import__('os')._exit(9)")],
        others=[files(film_a="2", jt="3.14", film_ab="x")],
    )
    script = "from dvbboxes import Media\nsaid = [Media(name).duration for name in ('film_a', 'jt', 'film_ab')]"
    assert call(stage.config, script) == [2, 3.14, 0]


def test_searching(stage: Stage) -> None:
    stage.load(town1_1=[FILES, files(only_here=1)], others=[FILES, (1, ("SET", "film_a.txt", "x"))])
    said = call(
        stage.config,
        """
        from dvbboxes import Media
        def fails(towns):
            try:
                Media.search('film', towns)
            except KeyError as error:
                return str(error)
        said = [
            Media.search('film'), Media.search(''), Media.search('f*_a?'), Media.search('[jo]'), Media.search('FILM'),
            Media.search('only', 'town2'), Media.search('only', towns=['town2', 'town1']), Media.search('only', ()),
            Media.search('only', towns=(town for town in ['town1', 'town1'])), Media.search('jt', ''), fails('town3'),
            fails(['town1', 'town3']),
        ]
        """,
    )
    everything = ["film_a.ts", "film_ab.ts", "jt.ts", "only_here.ts"]
    assert said[:5] == [everything[:2], everything, ["film_a.ts", "film_ab.ts"], ["jt.ts", "only_here.ts"], []]
    assert said[5:10] == [[], ["only_here.ts"], ["only_here.ts"], ["only_here.ts"], ["jt.ts"]]
    assert all(text.startswith("no town is called 'town3' (did you mean town") for text in said[10:])


# --- Program ----------------------------------------------------------------------------------------------------------


def test_a_program_is_what_it_was(stage: Stage) -> None:
    stage.load(town2_1=[FILES, held(EVENING[:2])], others=[FILES, held(EVENING)])
    said = call(
        stage.config,
        """
        import sys
        from dvbboxes import Program
        program = Program('24112026', '85')
        infos = program.infos()
        said = {
            'repr': repr(program), 'iterator': iter(infos) is infos, 'infos': list(infos),
            'starts': [program.get_start_times(name) for name in ('film_a', 'film_a.ts', 'film', 'jt', 'nobody')],
            'towns': [len(list(program.infos(towns))) for towns in (None, [], 'town1', ['town2'], ('town2', 'town1'))],
            'from': list(Program('24112026', '85', float(sys.argv[1])).infos()),
            'int': repr(Program(24112026, 85)), 'none': list(Program('25112026', '85').infos()),
            'start_times': Program('24112026', '85', timestamp=float(sys.argv[1])).get_start_times('film_a', 'town1'),
        }
        """,
        str(clock("19:30")),
    )
    whole = [[f"{name}.ts:{n}", clock(at)] for n, (name, at) in enumerate(EVENING)]
    assert said == {
        "repr": "<Program 24112026:85>",
        "iterator": True,
        "infos": whole,
        "starts": [[START, clock("20:00")], [START, clock("20:00")], [], [clock("19:00")], []],
        "towns": [4, 4, 4, 4, 4],
        "from": whole[1:],
        "int": "<Program 24112026:85>",
        "none": [],
        "start_times": [clock("20:00")],
    }


@pytest.mark.parametrize(
    "day", ["", "1506", "32012026", "29022026", "2026-11-24", "24112026 ", "٢٤112026", "aujourdhu"]
)
def test_a_day_that_is_no_date_is_a_value_error(day: str) -> None:
    script = """
    import sys
    from dvbboxes import Program
    try:
        Program(sys.argv[1], '85')
    except ValueError as error:
        said = str(error)
    """
    assert "is no day: write it ddmmyyyy" in call(None, script, day)


def test_an_unknown_town_is_a_key_error_of_a_program_too(stage: Stage) -> None:
    script = """
    from dvbboxes import Program
    try:
        Program('24112026', '85').infos('x')
    except KeyError as error:
        said = str(error)
    """
    assert call(stage.config, script) == "no town is called 'x' (there are: town1, town2)"


def test_what_came_before_the_day_is_cut_at_its_start_in_each_instances_zone(stage: Stage) -> None:
    east = ZoneInfo("Indian/Mauritius")
    stage.settings = dict.fromkeys(("town2-1", "town2-2"), f"timezone={east.key}")
    early: Entries = [("jt", START - 3000), ("film_a", START - 1800), ("film_ab", "08:00")]
    stage.load(others=[FILES, held(early)])
    script = """
    from dvbboxes import Program
    said = [[name for name, _ in Program('24112026', '85').infos(town)] for town in ('town1', 'town2')]
    """
    # 07:30 in Mauritius is 06:30 here: nothing has begun then, so nothing is cut.
    assert call(stage.config, script) == [["film_a.ts:1", "film_ab.ts:2"], ["jt.ts:0", "film_a.ts:1", "film_ab.ts:2"]]


def test_one_that_does_not_carry_the_channel_has_no_say_in_it(stage: Stage) -> None:
    stage.settings = {"town1-1": "channels=86"}
    stage.load(town1_1=[FILES, held([*EVENING, ("jt", "23:30")])], others=[FILES, held(EVENING)])
    script = "from dvbboxes import Program\nsaid = len(list(Program('24112026', '85').infos()))"
    assert call(stage.config, script) == 4


# --- who does not answer ----------------------------------------------------------------------------------------------

EVERYTHING = """
from dvbboxes import LOGGER, Media, Program
import logging
class Heard(logging.Handler):
    lines = []
    def emit(self, record):
        self.lines.append([record.levelname, record.getMessage()])
LOGGER.addHandler(Heard())
asked = (
    lambda: sorted(Media('film_a').towns), lambda: Media('film_a').duration, lambda: len(Media('film_a').schedule),
    lambda: Media.search('film'), lambda: len(list(Program('24112026', '85').infos())),
    lambda: Program('24112026', '85').get_start_times('jt'),
)
said = []
for ask in asked:
    Heard.lines = []
    try:
        answer = ask()
    except Exception as error:
        answer = type(error).__name__
    said.append([answer, Heard.lines])
"""


def test_a_dead_replica_does_not_raise_and_a_warning_names_it(stage: Stage) -> None:
    stage.load(others=[FILES, held(EVENING)])
    with peers.nobody() as nowhere:
        stage.ports["town1-2"] = nowhere.port
        said = call(stage.config, EVERYTHING)
    answers = [["town1", "town2"], 5400.12, 1, ["film_a.ts", "film_ab.ts"], 4, [clock("19:00")]]
    assert [answer for answer, _ in said] == answers
    for _, ((level, line),) in said:
        assert level == "WARNING"
        assert line.startswith("town1-2: replica 127.0.0.1:")
        assert "refused the connection" in line


def test_a_replica_that_lost_its_files_is_no_answer_to_a_caller_either(stage: Stage) -> None:
    stage.load(others=[FILES, held(EVENING)])
    script = "from dvbboxes import LOGGER, Media\nLOGGER.info('here')\nsaid = Media.search('')"
    assert len(call(stage.config, script)) == 3
    stage.load(town1_2=[(1, ("FLUSHDB",))])
    log = stage.world.servers.folder / "log" / "dvbboxes.log"
    before = log.read_text("utf-8")
    assert len(call(stage.config, script)) == 3
    assert "WARNING town1-2: replica" in log.read_text("utf-8").removeprefix(before)


def test_when_no_instance_answers_an_error_is_raised(tmp_path: Path) -> None:
    with peers.nobody() as nowhere, peers.Peer(peers.says(b"-LOADING wait")) as loading:
        said = call(_two_towns(tmp_path, nowhere.port, loading.endpoint.port), EVERYTHING)
    assert [answer for answer, _ in said] == ["NoAnswer"] * 6
    assert all(len(lines) == 2 for _, lines in said)


def _two_towns(folder: Path, one: int, other: int) -> Path:
    path = folder / "two"
    path.write_text(
        f"[LOG]\nfilepath={folder}/log\nlevel=20\ndatefmt=%d\n[DATA]\nfolder={folder}\n[CHANNELS]\n85=x\n"
        f"[CLUSTER:a]\none={one}\n[CLUSTER:b]\nother={other}\n",
        "utf-8",
    )
    return path


def test_warnings_stand_in_the_log_file_and_the_root_logger_is_left_alone(stage: Stage) -> None:
    stage.load(others=[FILES])
    script = (
        "import logging\nfrom dvbboxes import Media\nMedia('film_a').duration\nsaid = len(logging.getLogger().handlers)"
    )
    with peers.nobody() as nowhere:
        stage.ports["town1-2"] = nowhere.port
        assert call(stage.config, script) == 0
    log = (stage.world.servers.folder / "log" / "dvbboxes.log").read_text("utf-8")
    assert "WARNING town1-2: replica 127.0.0.1:" in log


def test_a_log_that_cannot_be_written_disturbs_no_caller(stage: Stage) -> None:
    stage.load(others=[FILES])
    text = stage.config.read_text("utf-8")
    broken = stage.folder / "broken"
    broken.write_text("\n".join(_elsewhere(line) for line in text.splitlines()), "utf-8")
    assert call(broken, "from dvbboxes import LOGGER, Media\nLOGGER.warning('x')\nsaid = Media('jt').duration") == 1800


def _elsewhere(line: str) -> str:
    return f"filepath={os.devnull}/no/log" if line.startswith("filepath=") else line


def test_importing_reads_nothing() -> None:
    # The audit hook sees every open; what is left once imports are set aside must be nothing.
    code = (
        "import sys\nopened = []\n"
        "def hook(name, args):\n"
        "    if name in ('open', 'socket.connect') and not str(args[0]).endswith(('.py', '.pyc', '.so')):\n"
        "        opened.append(str(args[0]))\n"
        "sys.addaudithook(hook)\nimport dvbboxes.config\n"
        "print([n for n in opened if not n.endswith('.pth') and '__pycache__' not in n])\n"
        "print([m for m in ('configparser', 'zoneinfo', 'logging', 'redis', 'flask') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "[]\n[]\n"
