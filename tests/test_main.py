"""The command line as a process: what is wrong is one line that names the thing and the way out, and an exit status."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import peers
import processes
import pytest
from processes import Ran, run, run_many
from waiting import eventually

from dvbboxes import __version__
from dvbboxes.main import LONE, NOUNS, make_manager, verbs

CONFIGURATION = """\
[LOG]
filepath={folder}/log/dvbboxes.log
level=20
datefmt=%d-%m-%Y
[DATA]
folder={folder}/data
[CHANNELS]
85=Ma chaine
86=Deuxième chaîne
[CLUSTER:tana]
dvb-tana-1={ports[0]}
dvb-tana-2={ports[1]}
[CLUSTER:toamasina]
dvb-toamasina-1={ports[2]}
[INSTANCE:dvb-toamasina-1]
channels=85
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a configuration ``good`` of three instances that refuse connections, and some broken ones."""
    where = tmp_path_factory.mktemp("command")
    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(peers.nobody()).port for _ in range(3)]
        good = CONFIGURATION.format(folder=where, ports=ports)
        (where / "good").write_text(good, "utf-8")
        (where / "program").write_text(good, "utf-8")
        (where / "broken").write_text(good.replace("[DATA]", "[DATE]").replace("level=20", "level=x"), "utf-8")
        (where / "no_log").write_text(good.replace(f"{where}/log", f"{where}/good/log"), "utf-8")
        (where / "empty").write_text("", "utf-8")
        yield where


# --- bad input --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bad:
    """A command line that is wrong: its status, and what the line on stderr must hold."""

    typed: str
    says: tuple[str, ...]
    status: int = 2
    usage: str = ""

    @property
    def arguments(self) -> list[str]:
        return ["" if word == "''" else word.replace("~", " ") for word in self.typed.split()]


SHOW = "dvbboxes program show [options] DAY"
BAD = [
    # names
    Bad("program show today --towns tanna", ("no town is called 'tanna'", "did you mean tana?")),
    Bad("program show today --towns tana,zzz", ("no town is called 'zzz'", "there are: tana, toamasina")),
    Bad("program show today --instance dvb-tana-9", ("no instance is called 'dvb-tana-9'", "did you mean dvb-tana-")),
    Bad("cluster status --instance nope", ("no instance is called 'nope'", "there are: dvb-tana-1")),
    Bad("program show today -s Deuxieme~chaine", ("no channel is called", "did you mean Deuxième chaîne?")),
    Bad("program show today -s 99", ("no channel is called '99'", "85 Ma chaine, 86 Deuxième chaîne")),
    # empty ones never mean everything
    Bad("program show today --towns ''", ("--towns is empty", "leave the option out")),
    Bad("program show today --towns tana,", ("--towns is empty",)),
    Bad("program show today --towns=", ("--towns is empty",)),
    Bad("program show today --instance ''", ("--instance is empty",)),
    Bad("program show today -s ''", ("--service-id is empty",)),
    Bad("cluster status --towns ''", ("--towns is empty",)),
    # words and options
    Bad("prgram show today", ("'prgram' is no noun", "did you mean program?"), usage="dvbboxes [options] NOUN"),
    Bad("program shwo today", ("'shwo' is no verb", "did you mean show?"), usage="dvbboxes program [options] VERB"),
    Bad("program", ("required: VERB",), usage="dvbboxes program [options] VERB"),
    Bad("-c good", ("required: NOUN",), usage="dvbboxes [options] NOUN"),
    Bad("program show", ("required: DAY",), usage=SHOW),
    Bad("program show today tomorrow", ("'tomorrow' is one word too many",), usage=SHOW),
    Bad("program today extra", ("'extra' is one word too many",), usage=SHOW),
    Bad("program show today --twons tana", ("there is no option --twons", "did you mean --towns?"), usage=SHOW),
    Bad("program show today --town tana", ("there is no option --town ", "did you mean --towns?"), usage=SHOW),
    Bad("program show today --form json", ("there is no option --form ", "did you mean --format?"), usage=SHOW),
    Bad("program show today --format xml", ("'xml' is no value of --format", "text, json, csv"), usage=SHOW),
    Bad("program show today --format jsn", ("did you mean json?",), usage=SHOW),
    Bad("program show today --timeout", ("--timeout: expected one argument",), usage=SHOW),
    Bad("program show today -c good", ("-c goes before the noun: dvbboxes -c",), usage=SHOW),
    Bad("program show today --config=good", ("--config goes before the noun",), usage=SHOW),
    Bad("program show today --debug", ("--debug goes before the noun",), usage=SHOW),
    Bad("--bogus program show today", ("there is no option --bogus",), usage="dvbboxes [options] NOUN"),
    Bad("program --bogus show today", ("there is no option --bogus",), usage="dvbboxes"),
    Bad("--conf good program show today", ("'good' is no noun",), usage="dvbboxes [options] NOUN"),
    Bad("cluster status now", ("'now' is one word too many",), usage="dvbboxes cluster status [options]"),
    # days, times, numbers
    Bad("program show 31/02", ("'31/02' is no date",)),
    Bad("program show 32012026", ("'32012026' is no day", "15062017, 15/06")),
    Bad("program show 99999999", ("'99999999' is no day",)),
    Bad("program show tomorow", ("'tomorow' is no day", "did you mean tomorrow?")),
    Bad("program show tomorrow..today", ("ends before it begins",)),
    Bad("program show 01/01/2020..01/01/2026", ("days long: at most 400",)),
    Bad("program show ''", ("'' is no day",)),
    Bad("program show today --from 25:00", ("'25:00' is no time of day", "20:00")),
    Bad("program show today --from 21:00 --to 20:00", ("--to 20:00 is not after --from 21:00",)),
    Bad("program show today --timeout 0", ("--timeout '0' is no number of seconds",)),
    Bad("program show today --timeout nan", ("--timeout 'nan' is no number of seconds",)),
    Bad("program show today --timeout -1", ("--timeout '-1' is no number of seconds",)),
    Bad("program show today --max-age old", ("--max-age 'old' is no number of seconds",)),
    # configurations
    Bad("-c absent program show today", ("absent: there is no such file", "-c FILE or DVBBOXES_CONFIG"), 3),
    Bad("--config=absent program show today", ("absent: there is no such file",), 3),
    Bad("-c '' program show today", ("the name of the configuration file is empty",), 3),
    Bad("-c . cluster status", ("it is a folder",), 3),
]


@pytest.fixture(scope="module")
def all_bad(folder: Path) -> dict[Bad, Ran]:
    """What became of all of :data:`BAD`."""
    return dict(zip(BAD, run_many([bad.arguments for bad in BAD], config="good", cwd=folder), strict=True))


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.typed)
def test_bad_input_is_one_line_that_names_the_thing_and_the_way_out(all_bad: dict[Bad, Ran], bad: Bad) -> None:
    ran = all_bad[bad]
    first, *more = ran.err.splitlines()
    assert ran.status == bad.status
    assert first.startswith("dvbboxes: ")
    assert all(part in f"{first} " for part in bad.says), first
    assert len(more) == bool(bad.usage)
    assert all(line.startswith(f"usage: {bad.usage}") for line in more)
    assert ran.out == ""


def test_every_mistake_of_a_broken_configuration_is_told_with_its_line(folder: Path) -> None:
    ran = run("-c", "broken", "program", "show", "today", cwd=folder)
    assert (ran.status, ran.out) == (3, "")
    assert "broken:3: [LOG] level: " in ran.err
    assert "broken:5: [DATE]" in ran.err
    assert "did you mean DATA?" in ran.err
    assert "Traceback" not in ran.err
    assert run("-c", "empty", "config", "check", cwd=folder).status == 3


def test_debug_adds_the_traceback_and_changes_nothing_else(folder: Path) -> None:
    plain = run("program", "show", "31/02", config="good", cwd=folder)
    debug = run("--debug", "program", "show", "31/02", config="good", cwd=folder)
    assert "Traceback" not in plain.err
    assert "Traceback (most recent call last)" in debug.err
    assert debug.err.endswith(plain.err)
    assert (debug.status, debug.out) == (plain.status, plain.out) == (2, "")


def test_without_a_word_the_help_is_the_error() -> None:
    ran = run()
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("usage: dvbboxes ")
    assert all(noun in ran.err for noun in NOUNS)


def test_a_configuration_called_like_a_noun_is_read(folder: Path) -> None:
    lines = [
        [*option, "config", "check"] for option in (["-c", "program"], ["--config", "program"], ["--config=program"])
    ]
    for ran in run_many(lines, config="absent", cwd=folder):
        assert (ran.status, ran.out) == (0, "program: no mistakes: 2 towns, 3 instances, 2 channels\n")


def test_the_option_wins_over_the_environment(folder: Path) -> None:
    assert run("-c", "good", "config", "check", config="absent", cwd=folder).status == 0
    assert run("config", "check", config="good", cwd=folder).out.startswith("good: no mistakes")
    assert run("config", "check", config="absent", cwd=folder).err.startswith("dvbboxes: absent: there is no such file")


# --- help and version -------------------------------------------------------------------------------------------------


def test_every_level_has_its_help(folder: Path) -> None:
    short, long, noun, verb = run_many(
        [["-h"], ["--help"], ["program", "-h"], ["program", "show", "--help"]], config="absent", cwd=folder
    )
    for top in (short, long):
        assert (top.status, top.err) == (0, "")
        assert top.out.startswith("usage: dvbboxes ")
        assert all(noun in top.out and line in " ".join(top.out.split()) for noun, line in NOUNS.items())
    assert (noun.status, noun.err) == (0, "")
    assert noun.out.startswith("usage: dvbboxes program ")
    assert "Show the program of a day" in noun.out
    assert (verb.status, verb.err) == (0, "")
    assert verb.out.startswith("usage: dvbboxes program show ")
    assert "It is the schedule, not the transmission." in " ".join(verb.out.split())
    for one in ("--towns", "--instance", "--service-id", "--service_id", "--timeout", "--max-age", "--format", "-q"):
        assert one in verb.out


@pytest.mark.parametrize("noun", [noun for noun in NOUNS if noun != "shell"])
def test_every_verb_and_every_option_says_what_it_is_for(noun: str, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in verbs(noun):
        assert (verb.run.__doc__ or "").strip()
        assert all(option.settings.get("help") for option in verb.options)
        words = [noun] if noun in LONE else [noun, verb.name]
        with pytest.raises(SystemExit) as ended:
            make_manager().handle("dvbboxes", [*words, "-h"])
        assert ended.value.code == 0
        assert capsys.readouterr().out.startswith(f"usage: dvbboxes {' '.join(words)} ")


def test_the_version_is_told_wherever_it_is_asked_for(folder: Path) -> None:
    lines = [["--version"], ["--debug", "--version"], ["-c", "/nonexistent", "--version"]]
    for ran in run_many(lines, config="absent", cwd=folder):
        assert (ran.status, ran.out, ran.err) == (0, f"dvbboxes {__version__}\n", "")


# --- the streams ------------------------------------------------------------------------------------------------------


def test_results_go_to_stdout_whatever_the_status(folder: Path) -> None:
    ran = run("program", "show", "today", config="good", cwd=folder)
    assert (ran.status, ran.err) == (5, "")
    assert ran.out.splitlines()[0] == "0/3 instances answered; missing: 3"
    assert "  dvb-tana-2: replica 127.0.0.1:" in ran.out
    assert "refused the connection (is redis-server@dvb-tana-2 running?)" in ran.out
    assert "nothing scheduled" not in ran.out


def test_the_json_envelope_is_valid_when_nobody_answers(folder: Path) -> None:
    asked = [["program", "show", "today"], ["cluster", "status"]]
    done = run_many([[*words, "--format", "json"] for words in asked], config="good", cwd=folder)
    for words, ran in zip(asked, done, strict=True):
        envelope = json.loads(ran.out)
        assert ran.status == 5
        assert (envelope["schema"], envelope["command"]) == (1, " ".join(words[:2]))
        if words[0] == "program":
            programs = envelope["data"]["programs"]
            assert [program["agreed"] for program in programs] == [None, None]
            assert [block["entries"] for program in programs for block in program["blocks"]] == [None, None]
        assert (envelope["complete"], envelope["partial"]) == (False, True)
        assert list(envelope["instances"]) == ["dvb-tana-1", "dvb-tana-2", "dvb-toamasina-1"]
        for one in envelope["instances"].values():
            assert (one["state"], one["age"]) == ("unavailable", None)
            assert one["error"].startswith("refused: replica 127.0.0.1:")


def test_csv_has_its_header_and_says_on_stderr_who_is_missing(folder: Path) -> None:
    ran = run("program", "show", "today", "--format", "csv", config="good", cwd=folder)
    rows = list(csv.reader(io.StringIO(ran.out)))
    assert rows[0][:6] == ["day", "service_id", "channel", "towns", "index", "media"]
    assert len(rows) == 1
    assert [line.split(":")[2] for line in ran.err.splitlines()] == [
        " dvb-tana-1",
        " dvb-tana-2",
        " dvb-toamasina-1",
    ]
    assert ran.status == 5


def test_quiet_is_silent_on_success_and_only_then(folder: Path) -> None:
    quiet, loud = run_many([["config", "check", "-q"], ["program", "show", "today", "-q"]], config="good", cwd=folder)
    assert (quiet.status, quiet.out, quiet.err) == (0, "", "")
    assert "0/3 instances answered" in loud.out


def test_a_log_that_cannot_be_written_warns_and_the_reading_goes_on(folder: Path) -> None:
    ran = run("cluster", "status", config="no_log", cwd=folder)
    assert ran.err.startswith("dvbboxes: warning: no_log:2: [LOG] filepath: ")
    assert len(ran.err.splitlines()) == 1
    assert "dvb-tana-1" in ran.out
    assert ran.status == 5


def test_a_max_age_too_small_to_be_told_warns(folder: Path) -> None:
    lines = [["cluster", "status", "--max-age", age] for age in ("3", "30")]
    small, large = run_many(lines, config="good", cwd=folder)
    assert small.err.startswith("dvbboxes: warning: an age of 3 s cannot be told")
    assert (small.status, large.status, large.err) == (5, 5, "")


@pytest.mark.parametrize("locale", [{"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}])
def test_accents_survive_a_locale_without_any(folder: Path, locale: dict[str, str]) -> None:
    ran = run(
        "program", "show", "today", "-s", "Deuxième chaîne", "--format", "csv", config="good", cwd=folder, **locale
    )
    assert (ran.status, "Traceback" in ran.err) == (5, False)
    shown = run("config", "show", config="good", cwd=folder, **locale)
    assert (shown.status, shown.err) == (0, "")
    assert ("Deuxi\\xe8me cha\\xeene" if "PYTHONIOENCODING" in locale else "Deuxième chaîne") in shown.out


@pytest.mark.parametrize("words", [["-h"], ["--version"], ["config", "show"], ["program", "show", "today"]])
def test_a_reader_that_went_away_is_no_error(folder: Path, words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with subprocess.Popen(
        [sys.executable, "-m", "dvbboxes", *words],
        env=processes.environment("good", {}),
        cwd=folder,
        stdout=writing,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(writing)
        _, err = process.communicate(timeout=processes.LONG)
    assert err == b""
    assert process.returncode == (5 if words[0] == "program" else 0)


def test_a_disk_that_is_full_is_said(folder: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "dvbboxes", "config", "show"],
            env=processes.environment("good", {}),
            cwd=folder,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.stderr == b"dvbboxes: the result cannot be written to standard output: No space left on device\n"
    assert done.returncode == 70


def test_a_stdout_closed_before_the_start_is_no_traceback(folder: Path) -> None:
    line = f"exec {sys.executable} -m dvbboxes config show >&-"
    done = subprocess.run(
        ["sh", "-c", line], env=processes.environment("good", {}), cwd=folder, stderr=subprocess.PIPE, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


def on_a_terminal(folder: Path, **environ: str) -> bytes:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "dvbboxes", "program", "show", "today"],
        env=processes.environment("good", environ),
        cwd=folder,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        said = b""
        with contextlib.suppress(OSError):  # a terminal whose other side is gone
            while part := os.read(ours, 4096):
                said += part
        os.close(ours)
    assert process.returncode == 5
    return said


def test_colour_is_for_terminals_that_want_it(folder: Path) -> None:
    assert b"\x1b[31m0/3 instances answered" in on_a_terminal(folder)
    plain = on_a_terminal(folder, NO_COLOR="1")
    assert b"0/3 instances answered" in plain
    assert b"\x1b" not in plain


def _wait_until_it_waits(pid: int) -> None:
    """Return once a process has been asleep at ten looks, one after the other."""
    states: list[str] = []

    def asleep() -> bool:
        states.append(Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0])
        return states[-10:] == ["S"] * 10

    assert eventually(asleep), "it never waits"


def test_an_interruption_is_one_line_and_its_own_status(folder: Path) -> None:
    with peers.Peer(peers.silent) as silent:
        config = folder / "silent"
        config.write_text(CONFIGURATION.format(folder=folder, ports=[silent.endpoint.port, 1, 2]), "utf-8")
        with subprocess.Popen(
            [sys.executable, "-m", "dvbboxes", "cluster", "status", "--timeout", "60"],
            env=processes.environment(config, {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # A shell's background jobs ignore SIGINT, and so would this child of a test run that is one.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        ) as process:
            assert silent.was_asked.wait(processes.LONG)
            _wait_until_it_waits(process.pid)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=processes.LONG)
    assert (process.returncode, out, err) == (130, b"", b"dvbboxes: interrupted\n")


# --- shell and log ----------------------------------------------------------------------------------------------------


def test_the_shell_knows_the_api_and_the_fleet(folder: Path) -> None:
    line = "print(TOWNS, CHANNELS, type(fleet).__name__, config.path, Media, Program, Listing, questions.__name__)"
    ran = run("shell", "--no-ipython", "--no-bpython", "--no-ptipython", "--no-ptpython", config="good", cwd=folder,
              stdin=f"{line}\n")  # fmt: skip
    assert ran.status == 0
    assert "['tana'" in ran.out
    assert "Fleet good" in ran.out
    assert "dvbboxes.questions" in ran.out


def test_the_log_has_a_line_per_command_and_is_opened_again_when_moved(folder: Path) -> None:
    log = next(
        Path(line.partition("=")[2]) for line in (folder / "good").read_text().splitlines() if "filepath" in line
    )
    run("cluster", "status", config="good", cwd=folder)
    run("program", "show", "tody", config="good", cwd=folder)
    lines = (folder / log).read_text().splitlines()
    assert "WARNING dvbboxes cluster status: by " in lines[-2]
    assert "exit status 5, missing: dvb-tana-1 (refused)" in lines[-2]
    assert lines[-1].endswith("exit status 2, missing: -")
    (folder / log).rename(folder / "moved")
    run("cluster", "status", config="good", cwd=folder)
    assert len((folder / log).read_text().splitlines()) == 1
    assert len((folder / "moved").read_text().splitlines()) == len(lines)
