"""Commands on many hosts over the system's OpenSSH client: the only place that starts ssh (SPEC 6, docs/ssh.rst).

All commands of one instance run in one session, in order; a marker line of our own after each says how it ended, so
that the status of a command (255 among them) is never taken for the state of the connection. Sessions run side by
side, bounded in number, output and time, in one loop without threads. Every ssh that is started is waited for
(SPEC 8.7): one that hangs is killed with its process group, and nothing is left when :func:`run` returns or raises.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import IO

from dvbboxes.errors import ConfigError, UnknownName, UsageError
from dvbboxes.model import Failure, FailureKind, Instance, SshSettings, SshTarget
from dvbboxes.wire import day_text, shown

#: Bytes of output kept of each command (its end), unless a job says otherwise.
KEEP = 8192
#: Most bytes of one session's command line: Linux takes no single argument beyond 128 KiB.
LONGEST_SCRIPT = 120_000
#: Seconds within which a connection is made, where the whole session has more.
CONNECT_TIMEOUT = 10
#: Seconds for a session to close once its last command has ended (something it left in the background may hold it).
GRACE = 2.0
#: Seconds an idle shared connection (:class:`Masters`) outlives a process that was killed.
PERSIST = 30
_TICK = 0.1
_CHUNK = 1 << 16
_HOST = re.compile(r"[0-9A-Za-z_:][0-9A-Za-z_.:%-]*\Z")
_USER = re.compile(r"\w[\w.@\\-]*\$?\Z")
_SERVICE_ID = re.compile(r"[0-9]+\Z", re.ASCII)
#: Longest path of a folder for sockets: a socket's has 104 bytes (macOS), our names and ssh's suffix included.
_LONGEST_PARENT = 104 - 50


# --- what is asked, what comes back -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Job:
    """Commands to run in order on one instance's host, each a tuple of words that arrive there unchanged.

    The next one runs whether or not the one before it failed. ``keep`` is how many bytes of each one's output (both
    streams, in order) are kept: the last ones.
    """

    instance: Instance
    commands: tuple[tuple[str, ...], ...]
    keep: int = KEEP


class Progress(Enum):
    """How far one command came; stable codes for JSON."""

    DONE = "done"
    UNFINISHED = "unfinished"  # it began; whether it ended, and how, is not known
    NOT_RUN = "not-run"


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What became of one command. ``status`` is set when it is DONE; ``lines`` are the last of its output."""

    command: tuple[str, ...]
    progress: Progress
    status: int | None = None
    lines: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Return whether it ended with status 0."""
        return self.status == 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one job: one result per command, and ``error`` if the connection kept some from being DONE.

    ``elapsed`` in seconds. A command that fails is no error of the connection.
    """

    instance: Instance
    results: tuple[CommandResult, ...]
    error: Failure | None
    elapsed: float

    @property
    def ok(self) -> bool:
        """Return whether every command ran and ended with status 0."""
        return self.error is None and all(result.ok for result in self.results)


def update_command(
    settings: SshSettings, day: date, service_id: str, channels: Collection[str] | None = None
) -> tuple[str, ...]:
    """Return the words that make dvbbox re-check one program: ``dvbbox program DAY --service_id SID --update``.

    ``channels`` are the configured service ids. Raises UsageError for a service id that is no number, UnknownName for
    one that is not configured, ConfigError if ``[SSH] dvbbox`` is no command (SPEC 6).
    """
    if not _SERVICE_ID.match(service_id):
        raise UsageError(f"{shown(service_id)} is no service id (digits, e.g. 85)")
    if channels is not None and service_id not in channels:
        raise UnknownName("channel", service_id, channels)
    return (*_words(settings.dvbbox, "dvbbox"), "program", day_text(day), "--service_id", service_id, "--update")


# --- the command line -------------------------------------------------------------------------------------------------


def script(commands: Sequence[Sequence[str]], token: str) -> str:
    """Return what the remote shell (any POSIX shell) is given: the commands, each followed by its marker line."""
    # Errors stand among the output in the order in which they came. The input there is ours: nothing.
    parts = ["exec 2>&1", _mark(token, 0)]
    for number, command in enumerate(commands, 1):
        parts += [f"( {_quoted(command)} )", _mark(token, number)]
    return "; ".join(parts)


def _mark(token: str, number: int) -> str:
    return f"printf '\\n%s %d %d\\n' {token} {number} $?"


def _quoted(command: Sequence[str]) -> str:
    first, *rest = command
    # A first word that needs no quotes gets them all the same: `if`, `A=b` or an alias would be more than a word.
    name = f"'{first}'" if shlex.quote(first) == first else shlex.quote(first)
    return " ".join([name, *map(shlex.quote, rest)])


def command_line(target: SshTarget, settings: SshSettings, timeout: float, control: Path | None = None) -> list[str]:
    """Return the local command up to the remote one. Of options given twice, ssh takes the first.

    So what this module depends on comes first, then what is configured for the very host, then the administrator's
    ``[SSH] options``, then defaults of ours. Port 22 is not said, so that ssh's own configuration may know better.
    Raises UsageError for a host or user that ssh would not take for one, ConfigError for a command that is none.
    """
    if not _HOST.match(target.host):
        raise UsageError(f"{shown(target.host)} is no host that ssh could be given")
    if target.user is not None and not _USER.match(target.user):
        raise UsageError(f"{shown(target.user)} is no user that ssh could be given")
    line = [*_words(settings.command, "command"), "-T", "-o", "BatchMode=yes"]
    line += ["-p", str(target.port)] if target.port != 22 else []
    line += ["-l", target.user] if target.user is not None else []
    line += settings.options
    connect = max(1, min(CONNECT_TIMEOUT, int(timeout)))
    defaults = [f"ConnectTimeout={connect}", "ServerAliveInterval=10", "ServerAliveCountMax=3"]
    if control is not None:
        defaults += ["ControlMaster=auto", f"ControlPath={control}", f"ControlPersist={PERSIST}"]
    return [*line, *(word for default in defaults for word in ("-o", default)), "--", target.host]


def _words(text: str, key: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ConfigError([f"[SSH] {key}: {text!r} cannot be split into words: {str(error).lower()}"]) from error
    if not words:
        raise ConfigError([f"[SSH] {key}: {text!r} is no command"])
    return words


def _check(job: Job) -> None:
    """Raise UsageError for commands that no session could be given."""
    if not all(command and command[0] for command in job.commands):
        raise UsageError(f"{job.instance.fqdn}: a command without a name")
    text = script(job.commands, _token())
    if "\0" in text:
        raise UsageError(f"{job.instance.fqdn}: a command with a null character in it")
    if len(os.fsencode(text)) > LONGEST_SCRIPT:
        raise UsageError(f"{job.instance.fqdn}: {len(job.commands)} commands are too long for one session")


def _token() -> str:
    # So random that no output holds it by chance.
    return os.urandom(16).hex()


# --- what one session says --------------------------------------------------------------------------------------------


class Transcript:
    """The output of one session, fed as it comes: cut at the markers, of each part the end kept, never more."""

    def __init__(self, token: str, commands: Sequence[tuple[str, ...]], keep: int) -> None:
        self._commands = tuple(commands)
        self._keep = keep
        self._marker = re.compile(rb"\n%s (\d{1,6}) (\d{1,3})\n" % re.escape(token.encode("ascii")))
        self._longest = len(token) + 13
        self._pending = bytearray()
        self._tail = bytearray()
        self._cut = False
        #: One (status, lines) a marker; the first is the session's own, in front of every command.
        self._ended: list[tuple[int, tuple[str, ...]]] = []

    @property
    def begun(self) -> bool:
        """Return whether the remote shell began with what it was given."""
        return bool(self._ended)

    @property
    def complete(self) -> bool:
        """Return whether the last command has ended."""
        return len(self._ended) > len(self._commands)

    @property
    def current(self) -> tuple[str, ...] | None:
        """The command that began and has not ended; None if there is none."""
        return self._commands[len(self._ended) - 1] if self.begun and not self.complete else None

    def feed(self, data: bytes) -> None:
        """Take in the next bytes."""
        self._pending += data
        start = 0
        while found := self._marker.search(self._pending, start):
            number, status = int(found[1]), int(found[2])
            first, end = found.span()
            if number != len(self._ended):
                start = first + 1
                continue
            self._take(first)
            self._ended.append((status, self._lines()))
            self._tail.clear()
            self._cut = False
            del self._pending[: end - first]
            start = 0
        self._take(len(self._pending) - self._longest)

    def _take(self, count: int) -> None:
        """Move the first ``count`` pending bytes to the end of what is kept of the current command."""
        if count <= 0:
            return
        self._tail += self._pending[:count]
        del self._pending[:count]
        if len(self._tail) > self._keep:
            del self._tail[: -self._keep]
            self._cut = True

    def _lines(self) -> tuple[str, ...]:
        # What moves the cursor or colours the screen is not for ours.
        text = self._tail.decode("utf-8", "replace")
        lines = [
            "".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in line)
            for line in text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
        ]
        if self._cut and len(lines) > 1:
            del lines[0]  # its beginning is gone
        return tuple(lines) if any(lines) else ()

    def results(self) -> tuple[CommandResult, ...]:
        """Return what is known of every command, now that nothing more will come."""
        self._take(len(self._pending))
        said = self._lines()
        done = self._ended[1:]
        results = []
        for number, command in enumerate(self._commands):
            if number < len(done):
                results.append(CommandResult(command, Progress.DONE, *done[number]))
            elif number == len(done) and self.begun:
                results.append(CommandResult(command, Progress.UNFINISHED, None, said))
            else:
                results.append(CommandResult(command, Progress.NOT_RUN))
        return tuple(results)

    def noise(self) -> str:
        """Return the last line that stood where the first marker was expected."""
        lines = self._ended[0][1] if self.begun else self._lines()
        return lines[-1] if lines else ""


# --- why a connection failed ------------------------------------------------------------------------------------------

_REASONS: tuple[tuple[str, FailureKind, str], ...] = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        FailureKind.HOST_KEY,
        "shows another host key than the one that was accepted: if it was reinstalled, replace the key in known_hosts,"
        " else somebody stands between",
    ),
    (
        "Host key verification failed",
        FailureKind.HOST_KEY,
        "has a host key that was never accepted: compare it, then add it to known_hosts",
    ),
    (
        "Permission denied (",
        FailureKind.AUTH,
        "does not let us in: is our public key among the authorized_keys of that user?",
    ),
    ("Too many authentication failures", FailureKind.AUTH, "does not let us in: name one key with -i in [SSH] options"),
    ("Could not resolve hostname", FailureKind.UNKNOWN_HOST, "has a name that cannot be resolved: set ssh_host"),
    ("Connection refused", FailureKind.REFUSED, "refused the ssh connection: does sshd run there, on that port?"),
    ("timed out", FailureKind.TIMEOUT, "did not answer ssh in time: is the host up?"),
    ("not responding", FailureKind.TIMEOUT, "no longer answers ssh: is the host up?"),
    ("No route to host", FailureKind.UNREACHABLE, "cannot be reached by ssh: is the host up?"),
    ("Network is unreachable", FailureKind.UNREACHABLE, "cannot be reached by ssh: is the network up?"),
    ("Connection reset", FailureKind.CLOSED, "closed the ssh connection: what does its sshd log?"),
    ("closed by", FailureKind.CLOSED, "closed the ssh connection: what does its sshd log?"),
)


def explain(status: int, said: str, noise: str, current: tuple[str, ...] | None) -> Failure:
    """Return why a session ended before its commands did.

    ``status`` is that of the ssh client (255 is the connection), ``said`` what it wrote to its error output, ``noise``
    what the host sent before it began with ours, ``current`` the command that ran.
    """
    last = next((line for line in reversed(said.splitlines()) if line.strip()), "")
    if status != 255:
        what = f"ended the session with status {status}"
        return Failure(FailureKind.SERVER, _during(what, current, noise or last))
    for words, kind, message in _REASONS:
        if words in said:
            return Failure(kind, _during(message, current, next(line for line in said.splitlines() if words in line)))
    return Failure(FailureKind.UNREACHABLE, _during("was lost to ssh", current, last or noise))


def _during(message: str, current: tuple[str, ...] | None, said: str) -> str:
    during = f"; {shlex.join(current)} was running, look what became of it" if current else ""
    return f"{message}{during}" + (f" (ssh: {shown(said.strip())})" if said.strip() else "")


def _too_slow(timeout: float, current: tuple[str, ...] | None) -> Failure:
    if current is None:
        return Failure(FailureKind.TIMEOUT, f"did not let us in within {timeout:g} s (ssh): is the host overloaded?")
    return Failure(
        FailureKind.TIMEOUT,
        f"did not finish {shlex.join(current)} within {timeout:g} s: it may still run there, look before the next try",
    )


# --- one session ------------------------------------------------------------------------------------------------------


class _Session:
    """One ssh that runs, with its two outputs; the loop in :func:`run` drives it."""

    def __init__(self, job: Job, line: Sequence[str], timeout: float) -> None:
        token = _token()
        self._job = job
        self._transcript = Transcript(token, job.commands, job.keep)
        self._errors = bytearray()
        self._timeout = timeout
        self._timed_out = False
        self._began = time.monotonic()
        self.deadline = self._began + timeout
        self.process = subprocess.Popen(
            [*line, script(job.commands, token)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # a group to kill as one, and no terminal to ask for a password on
        )
        self._open = {pipe for pipe in (self.process.stdout, self.process.stderr) if pipe is not None}
        for pipe in self._open:
            os.set_blocking(pipe.fileno(), False)

    @property
    def instance(self) -> Instance:
        return self._job.instance

    @property
    def pipes(self) -> tuple[IO[bytes], ...]:
        """Those of its outputs that may still say something."""
        return tuple(self._open)

    def read(self, pipe: IO[bytes]) -> bool:
        """Take what one output has, a mouthful at most; return whether there may be more another time."""
        try:
            data = os.read(pipe.fileno(), _CHUNK)
        except BlockingIOError:
            return True
        if not data:
            self._open.discard(pipe)
            return False
        if pipe is self.process.stdout:
            self._transcript.feed(data)
        else:
            self._errors += data
            del self._errors[:-KEEP]
        return True

    def over(self, now: float) -> bool:
        """Return whether it has ended, on its own or because its time is up."""
        if self._transcript.complete:
            self.deadline = min(self.deadline, now + GRACE)
        if not self._open:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_TICK)  # both outputs closed: it is about to go
        if self.process.poll() is not None:
            return True
        if now < self.deadline:
            return False
        self._timed_out = not self._transcript.complete
        self.kill()
        return True

    def kill(self) -> None:
        """End it, with whatever it started on this machine, and wait for it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def close(self) -> Outcome:
        """Take the last of its output, close it, and return what became of the job."""
        # What it wrote before it went fits in a pipe; a process it left behind may hold the other end for ever.
        for pipe in self.pipes:
            for _ in range(4):
                self.read(pipe)
        for each in (self.process.stdout, self.process.stderr):
            if each is not None:
                each.close()
        results = self._transcript.results()
        return Outcome(self.instance, results, self._failure(), time.monotonic() - self._began)

    @property
    def timed_out(self) -> bool:
        return self._timed_out

    def _failure(self) -> Failure | None:
        if self._transcript.complete:
            return None
        if self._timed_out:
            return _too_slow(self._timeout, self._transcript.current)
        said = self._errors.decode("utf-8", "replace")
        return explain(self.process.returncode, said, self._transcript.noise(), self._transcript.current)


# --- shared connections -----------------------------------------------------------------------------------------------


class Masters:
    """Connections that several :func:`run` of one process share (ssh's ControlMaster) while the ``with`` block lasts.

    Their sockets stand in a folder of this process alone, that only its user can enter. Leaving the block ends them;
    after ``kill -9`` they end by themselves once idle for PERSIST seconds. Where no folder will do, nothing is shared.
    """

    def __init__(self, settings: SshSettings) -> None:
        self._settings = settings
        self._folder: Path | None = None

    def __enter__(self) -> Masters:
        for parent in (os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir()):
            if parent and self._folder is None and len(os.fsencode(parent)) <= _LONGEST_PARENT:
                with contextlib.suppress(OSError):  # the next parent, or no sharing
                    self._folder = Path(tempfile.mkdtemp(prefix="dvbboxes-", dir=parent))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is None:
            return
        for path in self._folder.iterdir():
            self._exit(path)
        shutil.rmtree(self._folder)
        self._folder = None

    def path(self, target: SshTarget) -> Path | None:
        """Return where the socket of the connection to a target stands; None where nothing is shared."""
        if self._folder is None:
            return None
        import hashlib  # only who shares connections pays for it

        name = hashlib.sha256(f"{target.user}@{target.host}:{target.port}".encode()).hexdigest()[:12]
        return self._folder / name

    def end(self, target: SshTarget) -> None:
        """End the connection to a target, if there is one, and whatever still runs over it."""
        path = self.path(target)
        if path is not None and path.exists():
            self._exit(path)

    def _exit(self, path: Path) -> None:
        line = [*_words(self._settings.command, "command"), *self._settings.options]
        with contextlib.suppress(subprocess.TimeoutExpired, OSError):
            subprocess.run(
                # The host is not spoken to: its name is only wanted for form's sake.
                [*line, "-o", f"ControlPath={path}", "-O", "exit", "--", "localhost"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=GRACE,
                check=False,
            )
        path.unlink(missing_ok=True)


# --- many sessions ----------------------------------------------------------------------------------------------------


def run(
    jobs: Sequence[Job],
    settings: SshSettings,
    *,
    parallel: int | None = None,
    timeout: float | None = None,
    on_done: Callable[[Outcome], None] | None = None,
    masters: Masters | None = None,
) -> tuple[Outcome, ...]:
    """Run jobs, one session each, and return their outcomes in the order of the jobs.

    At most ``parallel`` sessions at once, each for at most ``timeout`` seconds (default: those of ``[SSH]``).
    ``on_done`` is called with each outcome as it comes, in the caller's thread. What goes wrong on a host is in its
    outcome and stops no other; UsageError or ConfigError are raised before anything is started. Whatever is raised
    while sessions run (KeyboardInterrupt, an error of ``on_done``), they are killed first.
    """
    limit = settings.timeout if timeout is None else timeout
    lines = [
        command_line(job.instance.ssh, settings, limit, masters.path(job.instance.ssh) if masters else None)
        for job in jobs
    ]
    for job in jobs:
        _check(job)
    loop = _Loop(jobs, lines, limit, masters, on_done)
    return loop.run(max(1, settings.parallel if parallel is None else parallel))


class _Loop:
    """The sessions of one :func:`run`: those that wait, those that run, and what came of the rest."""

    def __init__(
        self,
        jobs: Sequence[Job],
        lines: Sequence[Sequence[str]],
        timeout: float,
        masters: Masters | None,
        on_done: Callable[[Outcome], None] | None,
    ) -> None:
        self._waiting = deque(zip(range(len(jobs)), jobs, lines, strict=True))
        self._timeout = timeout
        self._masters = masters
        self._on_done = on_done
        self._running: dict[int, _Session] = {}
        self._outcomes: dict[int, Outcome] = {}

    def run(self, parallel: int) -> tuple[Outcome, ...]:
        with selectors.DefaultSelector() as selector:
            try:
                while self._waiting or self._running:
                    while self._waiting and len(self._running) < parallel:
                        self._start(selector)
                    self._listen(selector)
                    self._collect(selector)
            finally:
                self._abandon()
        return tuple(self._outcomes[number] for number in range(len(self._outcomes)))

    def _start(self, selector: selectors.BaseSelector) -> None:
        number, job, line = self._waiting.popleft()
        try:
            session = _Session(job, line, self._timeout)
        except OSError as error:
            failure = Failure(
                FailureKind.NO_SSH,
                f"was not asked: {line[0]} cannot be started here ({error.strerror}): see [SSH] command",
            )
            results = tuple(CommandResult(command, Progress.NOT_RUN) for command in job.commands)
            self._finish(number, Outcome(job.instance, results, failure, 0.0))
            return
        self._running[number] = session
        for pipe in session.pipes:
            selector.register(pipe, selectors.EVENT_READ, session)

    def _listen(self, selector: selectors.BaseSelector) -> None:
        if not self._running:
            return
        # An ssh can end while something it left behind holds its outputs open: hence the tick.
        soonest = min(session.deadline for session in self._running.values()) - time.monotonic()
        for key, _ in selector.select(max(0.0, min(soonest, _TICK))):
            if not key.data.read(key.fileobj):
                selector.unregister(key.fileobj)

    def _collect(self, selector: selectors.BaseSelector) -> None:
        now = time.monotonic()
        for number in [number for number, session in self._running.items() if session.over(now)]:
            session = self._running[number]
            for pipe in session.pipes:
                selector.unregister(pipe)
            if session.timed_out:
                self._end_shared(session)
            outcome = session.close()
            del self._running[number]
            self._finish(number, outcome)

    def _finish(self, number: int, outcome: Outcome) -> None:
        self._outcomes[number] = outcome
        if self._on_done is not None:
            self._on_done(outcome)

    def _end_shared(self, session: _Session) -> None:
        # The connection has a process of its own, which killing the session leaves alive.
        if self._masters is not None:
            self._masters.end(session.instance.ssh)

    def _abandon(self) -> None:
        for session in self._running.values():
            session.kill()
        for session in self._running.values():
            self._end_shared(session)
            session.close()
        self._running.clear()
