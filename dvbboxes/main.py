"""The Flask-Script manager: arguments -> command -> renderer -> exit status; ``cli()`` is the program.

Two functions (STYLE, habit 8): :func:`run` is the program without error handling, :func:`cli` the shell around it that
turns errors into one line on stderr and an exit status.
"""

from __future__ import annotations

import gc
import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import flask
import flask_script_ng

from dvbboxes import __version__, parsers, terminal
from dvbboxes.commands import Context, Option, Result, Verb
from dvbboxes.config import locate
from dvbboxes.errors import DvbboxesError, ExitStatus
from dvbboxes.model import Gathered
from dvbboxes.parsers import FORMAT, LONE, NOUNS, Parser, Verbs, verbs
from dvbboxes.render import render
from dvbboxes.sister import noun_position, rewrite
from dvbboxes.terminal import PROG

PLUGIN_UNKNOWN = "DVBBOXES UNKNOWN - "


class Manager(flask_script_ng.Manager):  # type: ignore[misc]  # Flask-Script-NG is not typed
    """Flask-Script's manager with strict parsers; it builds the parsers of one noun alone where only that is asked."""

    def create_parser(self, prog: str, func_stack: Any = (), parent: Any = None, only: str | None = None) -> Parser:
        """Return the parser of this manager and its commands (``only``: of that one alone, the others by name)."""
        func_stack = (*func_stack, self)

        def maker(command: Any) -> Callable[[str], Parser]:
            return lambda prog: command.create_parser(prog, func_stack=func_stack, parent=self)

        self.parser = parsers.new(prog, self.description, _options(self))
        children = [
            (name, _help_line(command), maker(command) if only in (None, name) else None)
            for name, command in self._commands.items()
        ]
        parsers.grow(self.parser, children, {"metavar": "COMMAND", "dest": "_command", **self.subparser_kwargs})
        return self.parser

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


def _help_line(command: Any) -> str:
    """Return the line about a command in the help; one that a caller made by Flask-Script alone has its docstring."""
    return str(getattr(command, "help", None) or parsers.first_line(command))


def _options(command: Any) -> list[Option]:
    """Return the options that Flask-Script knows of a command, as ours."""
    return [Option(one.args, one.kwargs) for one in command.get_options()]


class Command(flask_script_ng.Command):  # type: ignore[misc]  # Flask-Script-NG is not typed
    """One verb as a Flask-Script command; calling it returns (command, Result, format, quiet)."""

    def __init__(self, noun: str, verb: Verb) -> None:
        self.noun, self.verb = noun, verb
        self.__doc__ = verb.run.__doc__
        self.help = parsers.first_line(verb.run)

    def create_parser(self, prog: str, func_stack: Any = (), parent: Any = None) -> Parser:
        """Return the parser of this verb."""
        self.parser = parsers.of_verb(prog, self.verb)
        self.parser.set_defaults(func_stack=(*func_stack, self))
        return self.parser

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
        terminal.warn,
        who=_who(environ),
        host=os.uname().nodename,
        command=shlex.join([PROG, *sys.argv[1:]]),
        ask=terminal.ask,
        tell=terminal.tell,
        progress=terminal.progress,
    )
    return app


def make_manager() -> Manager:
    """Return the manager with a sub-manager for each noun."""
    manager = Manager(create_app, description=parsers.DESCRIPTION)
    for one in parsers.TOP:
        manager.add_option(*one.names, **one.settings)
    manager.subparser_kwargs = parsers.NOUN_WORDS
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
        parser = parsers.new(prog, parsers.said_of("shell"), _options(self))
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
        (verb,) = verbs(self.noun)
        return Command(self.noun, verb).create_parser(prog, func_stack, parent)


class _Noun(Manager):
    """A sub-manager whose verbs are imported when its parser is built."""

    def __init__(self, noun: str, line: str) -> None:
        super().__init__(help=line, description=parsers.said_of(noun))
        self.noun = noun
        self.subparser_kwargs = parsers.VERB_WORDS

    def create_parser(self, prog: str, func_stack: Any = (), parent: Any = None, only: str | None = None) -> Parser:
        """Return the parser of this noun and all its verbs."""
        for verb in verbs(self.noun):
            self.add_command(verb.name, Command(self.noun, verb))
        return super().create_parser(prog, func_stack, parent, only)


def run(arguments: Sequence[str], manager: Manager | None = None) -> Ended:
    """Run one command line (without the program's name) and return how it ended; raises DvbboxesError."""
    if not arguments:
        sys.stderr.write(make_manager().create_parser(PROG, only="").format_help())
        return Ended(ExitStatus.USAGE)
    if "--version" in arguments[: noun_position(arguments, NOUNS)]:
        terminal.write(f"{PROG} {__version__}\n")
        return Ended(ExitStatus.DONE)
    finished: Finished | None = (manager or make_manager()).handle(PROG, rewrite(arguments, Verbs()))
    if not isinstance(finished, Finished):  # the shell, or a command that a caller has added
        return Ended(ExitStatus.DONE)
    result = finished.result
    written = True
    if not (finished.quiet and (result.silent or result.status is ExitStatus.DONE)):
        written = terminal.write(
            render(finished.command, result.view, result.gathered, finished.form, terminal.style())
        )
        if finished.form == "csv" and result.gathered is not None and not result.gathered.complete:
            for answer in result.gathered.missing:
                terminal.warn(f"{answer.instance.fqdn}: {answer.error.message if answer.error else ''}")
    if result.after is not None and written:
        result.after()
    return Ended(result.status, result.gathered)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command line ended: its exit status, and who was asked (None: nobody)."""

    status: ExitStatus
    gathered: Gathered[Any] | None = None


def cli(manager: Manager | None = None) -> NoReturn:
    """Run the command line of this process and exit: the ``dvbboxes`` command; ``manager`` may have more of its own."""
    if "_ARGCOMPLETE" in os.environ:
        _complete(manager or make_manager(), os.environ.get("COMP_LINE", ""))
    arguments = sys.argv[1:]
    debug = "--debug" in arguments[: noun_position(arguments, NOUNS)]
    terminal.prepare_streams()
    manager = manager or make_manager()
    try:
        ended = run(arguments, manager)
    except DvbboxesError as error:
        if debug:
            _show_traceback()
        ended = _failed(arguments, str(error), error.status)
    except KeyboardInterrupt:
        ended = _failed(arguments, "interrupted", ExitStatus.INTERRUPTED)
    except Exception as error:  # noqa: BLE001  # the edge: no traceback ever reaches a user
        if debug:
            _show_traceback()
        said = f"this is a bug in {PROG}: {type(error).__name__}: {error} ({PROG} --debug ... shows where)"
        ended = _failed(arguments, said, ExitStatus.FAILED)
    _log(manager, arguments, ended)
    # The process ends: the collector need not walk all that was imported once more, which took a sixth of its life.
    gc.freeze()
    sys.exit(int(ended.status))


def _failed(arguments: Sequence[str], text: str, status: ExitStatus) -> Ended:
    """Say why nothing came of it; a Nagios plugin says so in one line on stdout, and that it is UNKNOWN."""
    if "--nagios" not in arguments:
        terminal.complain(text)
        return Ended(status)
    from dvbboxes.render.style import clean

    line = clean(next(iter(text.splitlines()), "")).replace("|", "/")  # behind a bar stands performance data
    try:
        terminal.write(f"{PLUGIN_UNKNOWN}{line}\n")
    except DvbboxesError as error:
        terminal.complain(str(error))
    return Ended(ExitStatus.CONFIGURATION)  # 3 is Nagios' UNKNOWN


def _complete(manager: Manager, line: str) -> None:
    """Answer the TAB after ``line`` for what only Flask-Script knows: its shell, and the commands of a caller.

    Its ``create_parser`` patches every parser for argcomplete (``_patch_argparser``), and argcomplete 3.7 crashes at
    the top level on what that leaves. ``Manager.create_parser`` above replaces it whole and never patches.
    """
    from dvbboxes.completion import complete

    words = line.split()[1:]
    noun = noun_position(words, manager._commands)
    complete(manager.create_parser(PROG, only="" if noun is None else words[noun]))


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


def _who(environ: Mapping[str, str]) -> str:
    """Return who runs this: behind sudo the one who called it."""
    import pwd

    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user without a name
        name = f"uid {os.getuid()}"
    caller = environ.get("SUDO_USER")
    return f"{caller} (as {name})" if caller and caller != name else name


__all__ = ["FORMAT", "LONE", "NOUNS", "Manager", "Option", "cli", "make_manager", "run", "verbs"]
