"""The Flask-Script manager: arguments -> command -> renderer -> exit status; ``cli()`` is the program.

Two functions (STYLE, habit 8): :func:`run` is the program without error handling, :func:`cli` the shell around it that
turns errors into one line on stderr and an exit status.
"""

from __future__ import annotations

import argparse
import gc
import os
import re
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NoReturn, TextIO

import flask
import flask_script_ng

from dvbboxes import __version__
from dvbboxes.commands import Context, Option, Result, Verb, option
from dvbboxes.config import DEFAULT_PATH, locate
from dvbboxes.errors import DvbboxesError, ExitStatus, UsageError, did_you_mean
from dvbboxes.model import Gathered
from dvbboxes.render import FORMATS, render
from dvbboxes.render.style import Style
from dvbboxes.sister import noun_position, rewrite

PROG = "dvbboxes"
PLUGIN_UNKNOWN = "DVBBOXES UNKNOWN - "

#: The nouns, in the order of the help, each with its one line; ``dvbboxes.commands.NOUN`` holds its verbs.
NOUNS = {
    "program": "what a channel plays on a day, on every server",
    "listing": "a month's programs: check a listing, plan it, put it on every server's air",
    "rollback": "the programs that stood before a run, put back exactly",
    "history": "what was written: runs, a day's whole story, what is still owed",
    "check": "the morning check: what will go wrong on air, where, in the order in which it hurts",
    "coverage": "channels across days: what is scheduled, and until when",
    "media": "the files: find them, where they are, when they air",
    "cluster": "the servers themselves: state, link, age",
    "replicas": "this server's own Redis, one per instance: set them up, verify them",
    "config": "the configuration file: check it, show what is in force",
    "demo": "a whole small fleet on this machine, to try everything on",
    "shell": "a Python shell with the API and the fleet at hand",
}

#: Words that are commands by themselves, without verbs.
LONE = frozenset({"check", "coverage", "history", "rollback"})

FORMAT = option("--format", choices=FORMATS, default="text", help="how to show the result (default: text)")
QUIET = option("-q", "--quiet", action="store_true", help="no output when all is well, for cron")


class Parser(argparse.ArgumentParser):
    """An argument parser without abbreviations, whose errors are ours and name the program in full."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)
        self.leaf = True
        # argparse's own pattern knows -1, but a range such as -3..+3 is a DAY as well, not an option.
        self._negative_number_matcher = re.compile(r"-[0-9]+(\.\..*)?\Z")

    def add_subparsers(self, **kwargs: Any) -> Any:
        """Add sub-parsers as argparse does: what is left over is then theirs to complain of."""
        self.leaf = False
        return super().add_subparsers(**kwargs)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse as argparse does, but a parser without sub-parsers names the first word it does not know."""
        found, left = super().parse_known_args(args, namespace)
        if self.leaf and left:
            self.error(self.unknown(left[0]))
        return found, left

    def unknown(self, word: str) -> str:
        """Return the sentence about the first word that nobody took."""
        if not word.startswith("-"):
            return f"{word!r} is one word too many"
        name = word.partition("=")[0]
        if name in ("-c", "--config", "--debug"):
            return f"{name} goes before the noun: {PROG} {name} ..."
        return f"there is no option {name}{did_you_mean(name, self._option_string_actions)}"

    def error(self, message: str) -> NoReturn:
        """Raise :class:`UsageError`: the message, then the usage in one line."""
        words = [str(action.metavar or action.dest) for action in self._actions if not action.option_strings]
        raise UsageError(f"{message}\nusage: {self.prog} [options] {' '.join(words)} (-h shows them)")

    def _print_message(self, message: str, file: Any = None) -> None:
        _write(message)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        # argparse lists every choice in the error; ours says which one was probably meant.
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            raise argparse.ArgumentError(
                None, f"{value!r} is no {self._what(action)}{did_you_mean(str(value), known)}: {', '.join(known)}"
            )

    @staticmethod
    def _what(action: argparse.Action) -> str:
        return f"value of {action.option_strings[-1]}" if action.option_strings else str(action.metavar).lower()


class Manager(flask_script_ng.Manager):  # type: ignore[misc]  # Flask-Script-NG is not typed
    """Flask-Script's manager with strict parsers; it builds the parsers of one noun alone where only that is asked."""

    help_args = ("-h", "--help")

    def create_parser(self, prog: str, func_stack: Any = (), parent: Any = None, only: str | None = None) -> Parser:
        """Return the parser of this manager and its commands (``only``: of that one alone, the others by name)."""
        func_stack = (*func_stack, self)
        parser = Parser(prog=prog, description=self.description, add_help=False, formatter_class=_Help)
        flask_script_ng.add_help(parser, self.help_args)
        for one in self.get_options():
            parser.add_argument(*one.args, **one.kwargs)
        subparsers = parser.add_subparsers(**{"metavar": "COMMAND", "dest": "_command", **self.subparser_kwargs})
        subparsers.required = True
        for name, command in self._commands.items():
            if only is not None and name != only:
                subparsers.add_parser(name, help=_help_line(command), add_help=False)
                continue
            _grow(subparsers, name, command, func_stack, self)
        self.parser = parser
        return parser

    def run(self, commands: Mapping[str, Any] | None = None, default_command: str | None = None) -> NoReturn:
        """Run the command line of this process and exit: what callers of ``MANAGER`` do with a manager (SPEC 7)."""
        self._commands.update(commands or {})
        if default_command is not None and len(sys.argv) == 1:
            sys.argv.append(default_command)
        cli(self)

    def handle(self, prog: str, args: Sequence[str] | None = None) -> Any:
        """Parse ``args`` and run the command they name; return what it returns."""
        words = list(args or ())
        noun = noun_position(words, self._commands)
        parser = self.create_parser(prog, only="" if noun is None else words[noun])
        found, left = parser.parse_known_args(words)
        if left:
            parser.error(parser.unknown(left[0]))
        namespace = vars(found)
        stack = namespace.pop("func_stack")
        app = stack[0](**{one.kwargs["dest"]: namespace.pop(one.kwargs["dest"]) for one in self.get_options()})
        arguments = {key: value for key, value in namespace.items() if key != "_command"}
        return stack[-1](app, **arguments)


def _grow(subparsers: Any, name: str, command: Any, func_stack: Any, parent: Manager) -> None:
    """Add the parser of one command or sub-manager, with its full name in its usage line."""
    grown = command.create_parser(f"{subparsers._prog_prefix} {name}", func_stack=func_stack, parent=parent)
    subparsers._name_parser_map[name] = grown
    subparsers._choices_actions.append(subparsers._ChoicesPseudoAction(name, (), _help_line(command)))


def _help_line(command: Any) -> str:
    """Return the line about a command in the help; one that a caller made by Flask-Script alone has its docstring."""
    return str(getattr(command, "help", None) or (command.__doc__ or "").strip().partition("\n")[0])


class Command(flask_script_ng.Command):  # type: ignore[misc]  # Flask-Script-NG is not typed
    """One verb as a Flask-Script command; calling it returns (command, Result, format, quiet)."""

    def __init__(self, noun: str, verb: Verb) -> None:
        self.noun, self.verb = noun, verb
        self.__doc__ = verb.run.__doc__
        self.help = (verb.run.__doc__ or "").strip().partition("\n")[0]

    def create_parser(self, prog: str, func_stack: Any = (), parent: Any = None) -> Parser:
        """Return the parser of this verb."""
        parser = Parser(prog=prog, description=_plain(self.__doc__), add_help=False, formatter_class=_Help)
        flask_script_ng.add_help(parser, Manager.help_args)
        for one in (*self.verb.options, FORMAT, QUIET):
            parser.add_argument(*one.names, **one.settings)
        parser.set_defaults(func_stack=(*func_stack, self))
        self.parser = parser
        return parser

    def __call__(self, app: Any = None, **arguments: Any) -> Finished:
        """Run the verb with the context that the manager's application carries."""
        form, quiet = arguments.pop("format"), arguments.pop("quiet")
        context: Context = app.extensions[PROG]
        result = self.verb.run(context, **arguments)
        name = self.verb.name if self.verb.name == self.noun else f"{self.noun} {self.verb.name}"
        return Finished(name, result, form, quiet)


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that has run: what it found and how it is to be shown."""

    command: str
    result: Result
    form: str
    quiet: bool


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the terminal, but never wider than is good to read."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=min(100, _width()))


def _plain(doc: str | None) -> str:
    import inspect

    return inspect.cleandoc(doc or "")


def create_app(
    config: str | None = None, debug: bool = False, version: bool = False, environ: Mapping[str, str] | None = None
) -> Any:
    """Return the Flask application every command runs with; ``extensions["dvbboxes"]`` is its Context.

    ``config`` is the path given with ``-c`` (else DVBBOXES_CONFIG, else /etc/dvbboxes/configuration). Nothing is read.
    The manager gives all its options; ``debug`` and ``version`` are acted on before.
    """
    environ = os.environ if environ is None else environ
    app = flask.Flask(PROG, static_folder=None, template_folder=None)
    app.extensions[PROG] = Context(
        locate(config, environ),
        time.time(),
        dict(environ),
        _warn,
        who=_who(environ),
        host=os.uname().nodename,
        command=shlex.join([PROG, *sys.argv[1:]]),
        ask=_ask,
        tell=_tell,
        progress=_progress,
    )
    return app


def make_manager() -> Manager:
    """Return the manager with a sub-manager for each noun."""
    manager = Manager(create_app, description="See and steer many dvbbox playout servers from one machine.")
    manager.add_option(
        "-c",
        "--config",
        dest="config",
        metavar="FILE",
        help=f"the configuration file (default: DVBBOXES_CONFIG, else {DEFAULT_PATH})",
    )
    manager.add_option("--debug", dest="debug", action="store_true", help="show the traceback of an error")
    manager.add_option("--version", dest="version", action="store_true", help="show the version and exit")
    manager.subparser_kwargs = {"title": "nouns", "metavar": "NOUN"}
    for noun, line in NOUNS.items():
        manager.add_command(noun, _Shell(line) if noun == "shell" else _made(noun, line))
    return manager


def _made(noun: str, line: str) -> Any:
    return _Lone(noun, line) if noun in LONE else _Noun(noun, line)


class _Shell(flask_script_ng.Shell):  # type: ignore[misc]  # Flask-Script-NG is not typed
    """Flask-Script's own shell, with the API of SPEC 7 and a fleet of replicas in its context."""

    def __init__(self, line: str) -> None:
        super().__init__(banner=f"{PROG} {__version__}: {', '.join(_SHELL_NAMES)}", make_context=_shell_context)
        self.help = self.description = line

    def create_parser(self, prog: str, func_stack: Any = (), parent: Any = None) -> Parser:
        """Return the parser of the shell: Flask-Script's options on a strict parser."""
        parser = Parser(prog=prog, description=f"{self.help}.", add_help=False, formatter_class=_Help)
        flask_script_ng.add_help(parser, Manager.help_args)
        for one in self.get_options():
            parser.add_argument(*one.args, **one.kwargs)
        parser.set_defaults(func_stack=(*func_stack, self))
        return parser


_SHELL_NAMES = ("TOWNS", "CLUSTER", "CHANNELS", "CONFIG", "LOGGER", "Media", "Program", "Listing", "config", "fleet")


def _shell_context() -> dict[str, Any]:
    """Return what the shell knows: the API, ``config``, and a ``fleet`` to put ``questions`` to."""
    from dvbboxes import api, questions
    from dvbboxes.fleet import Fleet

    context: Context = flask.current_app.extensions[PROG]
    os.environ["DVBBOXES_CONFIG"] = context.config_path  # the API reads the same file
    made = {
        "TOWNS": api.towns(),
        "CLUSTER": api.cluster(),
        "CHANNELS": api.channels(),
        "CONFIG": api.raw_config(),
        "LOGGER": api.logger(),
        "config": context.config,
        "fleet": Fleet(max_age=context.config.redis.max_age),
    }
    return {**made, "Media": api.Media, "Program": api.Program, "Listing": api.Listing, "questions": questions}


class _Lone:
    """A command without verbs, imported when its parser is built."""

    def __init__(self, noun: str, line: str) -> None:
        self.noun, self.help = noun, line

    def create_parser(self, prog: str, func_stack: Any = (), parent: Any = None) -> Parser:
        """Return the parser of this command."""
        verb: Verb = import_module(f"dvbboxes.commands.{self.noun}").COMMAND
        return Command(self.noun, verb).create_parser(prog, func_stack, parent)


class _Noun(Manager):
    """A sub-manager whose verbs are imported when its parser is built."""

    def __init__(self, noun: str, line: str) -> None:
        super().__init__(help=line, description=f"{line[0].upper()}{line[1:]}.")
        self.noun = noun
        self.subparser_kwargs = {"title": "verbs", "metavar": "VERB"}

    def create_parser(self, prog: str, func_stack: Any = (), parent: Any = None, only: str | None = None) -> Parser:
        """Return the parser of this noun and all its verbs."""
        for verb in verbs(self.noun):
            self.add_command(verb.name, Command(self.noun, verb))
        return super().create_parser(prog, func_stack, parent, only)


def verbs(noun: str) -> tuple[Verb, ...]:
    """Return the verbs of a noun; a command without verbs is one of its own name."""
    if noun in LONE:
        return (import_module(f"dvbboxes.commands.{noun}").COMMAND,)
    found: tuple[Verb, ...] = import_module(f"dvbboxes.commands.{noun}").VERBS
    return found


class _Verbs(dict[str, tuple[str, ...]]):
    """noun -> names of its verbs, looked up (and imported) only for the noun that is used."""

    def __missing__(self, noun: str) -> tuple[str, ...]:
        names = tuple(verb.name for verb in verbs(noun))
        self[noun] = names
        return names

    def __contains__(self, noun: object) -> bool:
        return noun in NOUNS


def run(arguments: Sequence[str], manager: Manager | None = None) -> Ended:
    """Run one command line (without the program's name) and return how it ended; raises DvbboxesError."""
    if not arguments:
        sys.stderr.write(make_manager().create_parser(PROG, only="").format_help())
        return Ended(ExitStatus.USAGE)
    if "--version" in arguments[: noun_position(arguments, NOUNS)]:
        _write(f"{PROG} {__version__}\n")
        return Ended(ExitStatus.DONE)
    finished: Finished | None = (manager or make_manager()).handle(PROG, rewrite(arguments, _Verbs()))
    if not isinstance(finished, Finished):  # the shell, or a command that a caller has added
        return Ended(ExitStatus.DONE)
    result = finished.result
    written = True
    if not (finished.quiet and (result.silent or result.status is ExitStatus.DONE)):
        written = _write(render(finished.command, result.view, result.gathered, finished.form, _style()))
        if finished.form == "csv" and result.gathered is not None and not result.gathered.complete:
            for answer in result.gathered.missing:
                _warn(f"{answer.instance.fqdn}: {answer.error.message if answer.error else ''}")
    if result.after is not None and written:
        result.after()
    return Ended(result.status, result.gathered)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command line ended: its exit status, and who was asked (None: nobody)."""

    status: ExitStatus
    gathered: Gathered[Any] | None = None


def _write(text: str) -> bool:
    """Write to stdout, all of it now; return whether it went out.

    A reader that went away (head, less) is no error; a full disk is.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        # What is left in the buffer would fail once more when the process ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise DvbboxesError(f"the result cannot be written to standard output: {error.strerror}") from error
        return False
    return True


def cli(manager: Manager | None = None) -> NoReturn:
    """Run the command line of this process and exit: the ``dvbboxes`` command; ``manager`` may have more of its own."""
    if "_ARGCOMPLETE" in os.environ:
        _complete(os.environ.get("COMP_LINE", ""))
    arguments = sys.argv[1:]
    debug = "--debug" in arguments[: noun_position(arguments, NOUNS)]
    _prepare_streams()
    manager = manager or make_manager()
    try:
        ended = run(arguments, manager)
    except DvbboxesError as error:
        if debug:
            _show_traceback()
        ended = _failed(arguments, str(error), error.status)
    except KeyboardInterrupt:
        _complain("interrupted")
        ended = Ended(ExitStatus.INTERRUPTED)
    except Exception as error:  # noqa: BLE001  # the edge: no traceback ever reaches a user
        if debug:
            _show_traceback()
        _complain(f"this is a bug in {PROG}: {type(error).__name__}: {error} ({PROG} --debug ... shows where)")
        ended = Ended(ExitStatus.FAILED)
    _log(manager, arguments, ended)
    # The process ends: the collector need not walk all that was imported once more, which took a sixth of its life.
    gc.freeze()
    sys.exit(int(ended.status))


def _failed(arguments: Sequence[str], text: str, status: ExitStatus) -> Ended:
    """Say why nothing came of it; a Nagios plugin says so on stdout, and that it is UNKNOWN."""
    if "check" in arguments[:3] and "--nagios" in arguments and _write(f"{PLUGIN_UNKNOWN}{text.splitlines()[0]}\n"):
        return Ended(ExitStatus.CONFIGURATION)  # 3 is Nagios' UNKNOWN
    _complain(text)
    return Ended(status)


def _complete(line: str) -> None:
    """Answer the TAB after ``line``. This is the one place that works around Flask-Script-NG for argcomplete.

    Its ``create_parser`` patches every parser for argcomplete (``_patch_argparser``), and argcomplete 3.7 crashes at
    the top level on what that leaves. ``Manager.create_parser`` above replaces it whole and never patches; here only
    the parsers of the noun in the line are built, as for a run.
    """
    gc.disable()  # a process of 0.2 s has nothing to collect
    from dvbboxes.completion import complete

    words = line.split()[1:]
    noun = noun_position(words, NOUNS)
    complete(make_manager().create_parser(PROG, only="" if noun is None else words[noun]))


def _show_traceback() -> None:
    import traceback

    traceback.print_exc()


def _log(manager: Manager, arguments: Sequence[str], ended: Ended) -> None:
    """Write the command's line into the log, where a configuration was in force: who, what, missing, exit status."""
    context = manager.app.extensions[PROG] if isinstance(manager.app, flask.Flask) else None
    if context is None or not context.configured:
        return
    from dvbboxes.logfile import logger, missing

    absent = missing(ended.gathered) if ended.gathered else "-"
    level = 20 if ended.status in (ExitStatus.DONE, ExitStatus.DIFFERENCE) else 30
    line = "%s: by %s, exit status %d, missing: %s"
    logger(context.config.log).log(level, line, shlex.join([PROG, *arguments]), context.who, ended.status, absent)


def _prepare_streams() -> None:
    """Make both streams take any text; one that was closed before we began (``>&-``) swallows it."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115  # for the process's life
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # they are text files here


def _complain(text: str) -> None:
    from dvbboxes.render.style import clean

    for number, line in enumerate(text.splitlines()):
        sys.stderr.write(f"{'' if number else f'{PROG}: '}{clean(line)}\n")


def _who(environ: Mapping[str, str]) -> str:
    """Return who runs this: behind sudo the one who called it."""
    import pwd

    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user without a name
        name = f"uid {os.getuid()}"
    caller = environ.get("SUDO_USER")
    return f"{caller} (as {name})" if caller and caller != name else name


def _ask(question: str) -> bool:
    """Ask on the terminal; y, yes, o and oui are a yes."""
    if not sys.stdin.isatty():
        raise UsageError(f"{question} There is no terminal to ask on: --yes says yes")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().casefold() in ("y", "yes", "o", "oui")


def _tell(view: object, gathered: Any) -> None:
    """Show a view before the command ends: to a person, whatever the format of the result."""
    sys.stderr.write(render("", view, gathered, "text", _style(sys.stderr)))
    sys.stderr.flush()


def _progress(phase: str, done: int, total: int) -> None:
    """Draw a bar on a terminal, over itself; nothing anywhere else."""
    if not sys.stderr.isatty():
        return
    filled = 30 * done // max(1, total)
    end = "\n" if done >= total else ""
    sys.stderr.write(f"\r{phase:<12} [{'#' * filled}{'.' * (30 - filled)}] {done}/{total}{end}")
    sys.stderr.flush()


def _warn(line: str) -> None:
    _complain(f"warning: {line}")


def _width() -> int:
    import shutil

    return shutil.get_terminal_size().columns


def _style(stream: TextIO | None = None) -> Style:
    terminal = (stream or sys.stdout).isatty()
    return Style(terminal and not os.environ.get("NO_COLOR"), _width() if terminal else 120)


__all__ = ["FORMAT", "NOUNS", "Manager", "Option", "cli", "make_manager", "run", "verbs"]
