"""What a TAB completes: nouns, verbs and options by argcomplete, and here the words only this fleet knows.

Towns, instances and channels come from the configuration, which is read and never prepared. File names come from a
list in the user's cache folder, so that a TAB speaks to nobody; it is made anew behind the scenes when it is old, and
the very first TAB asks a few replicas, of which it takes what is there within :data:`DEADLINE`: a dead one is never
waited for. Whatever goes wrong, a TAB completes less: it says nothing.
"""

from __future__ import annotations

import argparse
import gc
import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

from dvbboxes.config import load, locate
from dvbboxes.errors import DvbboxesError
from dvbboxes.model import Config, Instance
from dvbboxes.parsers import NOUNS, of_all
from dvbboxes.sister import noun_position

#: Seconds that all replicas together may take to name files while somebody waits, and behind the scenes.
DEADLINE = 0.03
DEADLINE_BEHIND = 5.0
#: About so many instances are asked while somebody waits.
FEW = 8
#: Seconds after which the list of file names is made anew.
OLD = 300.0
#: More names than this help nobody who looks at them.
MOST = 500
DAYS = ("today", "tomorrow", "yesterday")

#: Completions of a word: value -> what it is (empty: nothing to say).
Words = Mapping[str, str]


def answer(line: str) -> None:
    """Answer the TAB after ``line`` and end the process; return where only Flask-Script knows the words: its shell.

    Importing Flask takes longer than all the rest, and a TAB has no need of it.
    """
    gc.disable()  # a process of 0.1 s has nothing to collect
    words = line.split()[1:]
    position = noun_position(words, NOUNS)
    noun = "" if position is None else words[position]
    if noun != "shell":
        complete(of_all(noun))


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the TAB that the environment describes (argcomplete's protocol) and end the process.

    Without argcomplete installed nothing is completed. An unreadable
    configuration completes the words that need none.
    """
    try:
        import argcomplete
    except ImportError:
        os._exit(1)
    attach(parser)
    argcomplete.autocomplete(parser, always_complete_options="long")


def attach(parser: argparse.ArgumentParser) -> None:
    """Give each argument of a parser, and of those below it, the completer that its metavar means."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                attach(child)
        elif (completer := _COMPLETERS.get(_meaning(action))) is not None:
            action.completer = completer  # type: ignore[attr-defined]  # argcomplete's own protocol


def _meaning(action: argparse.Action) -> str:
    word = str(action.metavar or "").partition("[")[0]
    # NAME is a file only where it is the argument itself: demo --name is a demo's.
    return "" if word == "NAME" and action.option_strings else word


def towns(config: Config) -> Words:
    """Return the towns, each with how many instances it has."""
    return {town.name: f"{len(town.instances)} instances" for town in config.towns}


def instances(config: Config) -> Words:
    """Return the instances, each with its town."""
    return {instance.fqdn: instance.cluster for instance in config.instances}


def channels(config: Config) -> Words:
    """Return the service ids, each with the channel's name."""
    return config.channels


def listed(prefix: str, known: Words) -> Words:
    """Return the completions of a comma-separated list: what is before the last comma stands, and is not repeated."""
    before, comma, _ = prefix.rpartition(",")
    used = before.split(",")
    return {f"{before}{comma}{word}": said for word, said in known.items() if word not in used}


def media(config: Config, prefix: str) -> Collection[str]:
    """Return the names (without ``.ts``) of files that begin with ``prefix``, as listed, else of who answers now."""
    cache = cache_file(config.path, os.environ)
    try:
        made, names = cache.stat().st_mtime, cache.read_text("utf-8").splitlines()
    except (OSError, ValueError):
        made, names = 0.0, sorted(_asked(config, _spread(config.instances), prefix, DEADLINE))
    if not 0 <= time.time() - made < OLD:
        _behind(config, cache)
    return [name for name in names if name.startswith(prefix)][:MOST]


def cache_file(config_path: str, environ: Mapping[str, str]) -> Path:
    """Return where the names of the files of one configuration's fleet are listed, one a line, for this user."""
    base = environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "dvbboxes" / f"media-{crc32(os.path.abspath(config_path).encode()):08x}"  # noqa: PTH100


def _spread(instances: Sequence[Instance]) -> Sequence[Instance]:
    """Return a few instances from all over the fleet: together they know most names, and somebody waits."""
    return instances[:: max(1, len(instances) // FEW)]


def _asked(config: Config, instances: Sequence[Instance], prefix: str, deadline: float) -> set[str]:
    from dvbboxes import questions
    from dvbboxes.fleet import Fleet
    from dvbboxes.wire import escape_glob, stem

    with Fleet() as fleet:
        found = questions.search(fleet, instances, deadline, escape_glob(prefix))
    return {stem(name) for held in set(found.values().values()) for name in held}


def _behind(config: Config, cache: Path) -> None:
    """Make the list anew in a process of its own, which the shell that waits for our output does not wait for."""
    if os.fork():
        return
    try:
        os.setsid()
        os.nice(10)  # somebody is typing
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2, 8, 9):  # argcomplete's two, which the shell reads to their end
            os.dup2(nowhere, descriptor)
        if names := sorted(_asked(config, config.instances, "", DEADLINE_BEHIND)):
            _write(cache, names)
    finally:
        os._exit(0)


def _write(cache: Path, names: Iterable[str]) -> None:
    cache.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = cache.with_suffix(f".{os.getpid()}")
    fresh.write_text("".join(f"{name}\n" for name in names), "utf-8", "backslashreplace")
    fresh.replace(cache)


def _configured(parsed_args: argparse.Namespace) -> Config | None:
    try:
        return load(locate(getattr(parsed_args, "config", None), os.environ))
    except DvbboxesError:
        return None  # a TAB is no place to complain of it: the command will


def _from_list(known: Callable[[Config], Words]) -> Callable[..., Words]:
    def completer(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> Words:
        config = _configured(parsed_args)
        return listed(prefix, known(config)) if config else {}

    return completer


def _media(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> Collection[str]:
    config = _configured(parsed_args)
    try:
        return media(config, prefix) if config else ()
    except DvbboxesError:
        return ()


def _days(**_: Any) -> Collection[str]:
    return DAYS


_COMPLETERS: Mapping[str, Callable[..., Any]] = {
    "TOWN": _from_list(towns),
    "FQDN": _from_list(instances),
    "SID": _from_list(channels),
    "NAME": _media,
    "OLD": _media,
    "NEW": _media,
    "EXPR": _media,
    "DAY": _days,
}
