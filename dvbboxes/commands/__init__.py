"""The nouns: one module each. A verb takes a :class:`Context` and its arguments and returns a :class:`Result`.

Nothing here prints, and nothing here knows Flask: ``main`` makes the manager's commands out of :class:`Verb`, and the
help text, which is the only description of a command, is its function's docstring.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from dvbboxes.errors import ConfigError, ExitStatus, UnknownName, UsageError, worst
from dvbboxes.model import Config, FailureKind, Gathered, Instance

if TYPE_CHECKING:
    from dvbboxes.fleet import Fleet
    from dvbboxes.memory import Memory

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Option:
    """One argument or option of a verb, in argparse's words."""

    names: tuple[str, ...]
    settings: Mapping[str, Any]


def option(*names: str, **settings: Any) -> Option:
    """Return an :class:`Option`."""
    return Option(names, settings)


@dataclass(frozen=True, slots=True)
class Verb:
    """One command of a noun: ``run(context, **arguments)`` returns its :class:`Result`."""

    name: str
    run: Callable[..., Result]
    options: tuple[Option, ...] = ()


def _nobody_to_ask(question: str) -> bool:
    raise UsageError(f"{question} There is no terminal to ask on: --yes says yes")


@dataclass(frozen=True)
class Context:
    """What a verb may know of the world: handed in, so that tests replace it instead of patching globals.

    ``now`` is Unix seconds; ``config_path`` names the configuration, which is read at first use. ``who`` and ``host``
    are written into the journal, with ``command``, the line as typed. ``ask`` puts a question to the operator,
    ``tell`` shows a view before the command ends, ``progress`` how far it is (phase, done, total).
    """

    config_path: str
    now: float
    environ: Mapping[str, str] = field(default_factory=dict)
    warn: Callable[[str], None] = lambda line: None
    who: str = ""
    host: str = ""
    command: str = ""
    ask: Callable[[str], bool] = _nobody_to_ask
    tell: Callable[[object, Gathered[Any] | None], None] = lambda view, gathered: None
    progress: Callable[[str, int, int], None] = lambda phase, done, total: None

    @cached_property
    def _prepared(self) -> tuple[Config, tuple[str, ...]]:
        from dvbboxes.config import exposed, load, prepare

        config = load(self.config_path)
        problems = prepare(config)
        for line in (*config.warnings, *exposed(config), *problems):
            self.warn(line)
        return config, problems

    @property
    def config(self) -> Config:
        """The configuration, with its log file and data folder made; raises ConfigError."""
        return self._prepared[0]

    @property
    def configured(self) -> bool:
        """Whether the configuration has been read, without a mistake."""
        return "_prepared" in self.__dict__

    def must_write(self) -> None:
        """Raise ConfigError unless the log file and the data folder can be written: no write without its journal."""
        if self._prepared[1]:
            raise ConfigError(self._prepared[1])

    @property
    def today(self) -> date:
        """The broadcast day on air."""
        from dvbboxes.schedule import broadcast_day

        schedule = self.config.schedule
        return broadcast_day(self.now, schedule.zone, schedule.day_start)


@dataclass(frozen=True, slots=True)
class Result:
    """What a verb found. ``view`` is what the renderers know; ``gathered`` who answered (None: nobody was asked).

    ``difference``: the answer is "no", or a difference was found. ``refused``: something was refused as unsafe;
    ``partial``: something that was to be done is not. ``exit_status``: the one to end with, whatever else (Nagios'
    numbers). ``silent``: -q shows nothing though something is wrong: it was told before. ``after`` is called once the
    result was written out (or -q kept it back): what is remembered of it must never be what nobody has seen.
    """

    view: object
    gathered: Gathered[Any] | None = None
    difference: bool = False
    refused: bool = False
    partial: bool = False
    exit_status: ExitStatus | None = None
    silent: bool = False
    after: Callable[[], None] | None = None

    @property
    def status(self) -> ExitStatus:
        """The exit status this result means (DESIGN)."""
        if self.exit_status is not None:
            return self.exit_status
        return worst(self._statuses())

    def _statuses(self) -> Iterable[ExitStatus]:
        if self.gathered is not None:
            missing = self.gathered.missing
            too_old = any(answer.error and answer.error.kind is FailureKind.TOO_OLD for answer in missing)
            if too_old:  # somebody did answer: that its data are not wanted is the more useful thing to say
                yield ExitStatus.TOO_OLD
            elif missing and not self.gathered.answered:
                yield ExitStatus.NO_ANSWER
            if missing:
                yield ExitStatus.PARTIAL
        if self.refused:
            yield ExitStatus.REFUSED
        if self.partial:
            yield ExitStatus.PARTIAL
        if self.difference:
            yield ExitStatus.DIFFERENCE


# --- options that many verbs share ----------------------------------------------------------------------------------

TOWNS = option(
    "--towns",
    action="append",
    metavar="TOWN[,TOWN...]",
    help="only these towns, in this order (repeatable; default: all)",
)
INSTANCES = option(
    "--instance",
    "--instances",
    dest="instances",
    action="append",
    metavar="FQDN[,FQDN...]",
    help="only these instances, beside those of --towns (repeatable)",
)
SERVICES = option(
    "-s",
    "--service-id",
    "--service_id",
    dest="services",
    action="append",
    metavar="SID[,SID...]",
    help="only these channels, by service id or name (repeatable; default: all)",
)
TIMEOUT = option(
    "--timeout", metavar="SECONDS", help="how long all instances together may take (default: [REDIS] deadline)"
)
MAX_AGE = option(
    "--max-age", metavar="SECONDS", help="older data is no answer (exit status 6; default: [REDIS] max_age)"
)
SCOPE = (TOWNS, INSTANCES, TIMEOUT, MAX_AGE)


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom a reading verb asks: the instances in order, seconds for all of them, and the age allowed.

    ``recall`` is what the replicas held when last seen.
    """

    instances: tuple[Instance, ...]
    deadline: float
    max_age: float | None
    recall: Memory | None = None

    def fleet(self) -> Fleet:
        """Return a fleet of replicas that takes no older data than is allowed."""
        from dvbboxes.fleet import Fleet  # redis is imported by the commands that ask somebody

        return Fleet(max_age=self.max_age, recall=self.recall)


def asked(
    context: Context,
    towns: Sequence[str] | None,
    instances: Sequence[str] | None,
    timeout: str | None,
    max_age: str | None,
) -> Asked:
    """Return whom to ask, from the options of :data:`SCOPE`; raises UsageError and UnknownName."""
    redis = context.config.redis
    age = seconds("--max-age", max_age, zero=True) if max_age is not None else redis.max_age
    if age is not None and age < 10:
        context.warn(f"an age of {age:g} s cannot be told: ages are good to 10 s, the master's ping period")
    return Asked(
        scope(context.config, towns, instances),
        seconds("--timeout", timeout) if timeout is not None else redis.deadline,
        age,
        memory(context),
    )


def memory(context: Context) -> Memory:
    """Return what is remembered of the replicas: what they held when last seen."""
    from datetime import datetime

    from dvbboxes.memory import Memory

    day = datetime.fromtimestamp(context.now, context.config.schedule.zone).date()
    return Memory(context.config.data_folder, day.isoformat())


def replica_fleet(context: Context) -> Fleet:
    """Return a fleet of replicas for what a command asks besides: one that was wiped is no answer there either."""
    from dvbboxes.fleet import Fleet

    return Fleet(recall=memory(context))


def gather(whom: Asked, question: Callable[..., Gathered[T]], *arguments: Any) -> Gathered[T]:
    """Ask one question of :mod:`dvbboxes.questions` and return what was gathered."""
    with whom.fleet() as fleet:
        return question(fleet, whom.instances, whom.deadline, *arguments)


def scope(config: Config, towns: Sequence[str] | None, instances: Sequence[str] | None) -> tuple[Instance, ...]:
    """Return the instances of the towns and instances named, in the order asked for; all when neither is given."""
    if towns is None and instances is None:
        return config.instances
    by_town = {town.name: town for town in config.towns}
    by_fqdn = {instance.fqdn: instance for instance in config.instances}
    chosen: dict[str, Instance] = {}
    for name in words("--towns", towns) if towns is not None else ():
        if name not in by_town:
            raise UnknownName("town", name, by_town)
        chosen.update((instance.fqdn, instance) for instance in by_town[name].instances)
    for name in words("--instance", instances) if instances is not None else ():
        if name.lower() not in by_fqdn:
            raise UnknownName("instance", name, by_fqdn)
        chosen[name.lower()] = by_fqdn[name.lower()]
    return tuple(chosen.values())


def channels(config: Config, services: Sequence[str] | None) -> tuple[str, ...]:
    """Return the service ids named (by id or by name), in the order asked for; all channels for None."""
    if services is None:
        return tuple(config.channels)
    by_name: dict[str, list[str]] = {}
    for service_id, name in config.channels.items():
        by_name.setdefault(name.casefold(), []).append(service_id)
    chosen = []
    for word in words("--service-id", services):
        if word in config.channels:
            chosen.append(word)
            continue
        named = by_name.get(word.casefold(), [])
        if not named:
            known = [f"{service_id} {name}" for service_id, name in config.channels.items()]
            near = UnknownName("channel", word, config.channels.values())
            raise near if "did you mean" in str(near) else UnknownName("channel", word, known)
        if len(named) > 1:
            raise UsageError(f"more than one channel is called {word!r}: use one of the ids {', '.join(named)}")
        chosen.append(named[0])
    return tuple(dict.fromkeys(chosen))


def words(name: str, values: Sequence[str]) -> list[str]:
    """Return the words of a repeatable, comma-separated option.

    An empty one raises :class:`UsageError`: ``--towns $T`` with T empty must never mean the whole fleet.
    """
    found = [word.strip() for value in values for word in value.split(",")]
    if not found or not all(found):
        raise UsageError(f"{name} is empty: name at least one, or leave the option out")
    return found


def seconds(name: str, value: str, *, zero: bool = False) -> float:
    """Return an option's value as seconds; raises :class:`UsageError`."""
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not (0 < number < 1e6 or (zero and number == 0)):
        raise UsageError(f"{name} {value!r} is no number of seconds")
    return number
