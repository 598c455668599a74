"""`make install`, `make uninstall` and `make purge`: run by the Python of build/tool, with nothing but what make built.

Everything is prepared beside what is there, checked, and swapped in by renaming: whatever fails, the old one works on.
DESTDIR (a staged install: no user is made, nobody is asked) and PREFIX are taken from the environment.
"""

from __future__ import annotations

import contextlib
import filecmp
import gzip
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # -I leaves it out
from account import DATA, HOME, LOG, NAME, Stop, prepare, run, say  # noqa: E402

BUILD = HERE.parent / "build"
#: Seconds that an apply may go on while an upgrade waits for it (LOCK_WAIT in the environment).
PATIENCE = "600"

LAUNCHER = """\
#!{lib}/bin/python3 -I
import os
import sys

try:
    from dvbboxes.__main__ import cli
except ModuleNotFoundError as error:
    if error.name != "dvbboxes":
        raise
    sys.exit(
        "dvbboxes: it was installed with Python {minor}, and {lib}/bin/python3 is Python %d.%d now: {again}"
        % sys.version_info[:2]
    )
# What one member of the group writes (journal, lock, log), the others and cron go on with.
os.umask(os.umask(0o022) & ~0o070)
cli()
"""
AGAIN = "in the checkout run `make clean all`, then `sudo make install`"


@dataclass(frozen=True)
class Places:
    """Where things go: the paths as the installed system sees them, below ``destdir`` while they are made."""

    destdir: str = ""
    prefix: str = "/usr"
    sysconf: str = "/etc"
    again: str = AGAIN
    lib: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lib", f"{self.prefix}/lib/{NAME}")

    def at(self, path: str) -> Path:
        """Return where a path of the installed system is now."""
        return Path(f"{self.destdir}{path}")

    @property
    def staged(self) -> bool:
        """Whether this is a staged install: users and folders of the machine are not its business."""
        return bool(self.destdir)

    @property
    def files(self) -> dict[str, Path]:
        """Path on the installed system -> what is put there, each of them ours alone."""
        share = f"{self.prefix}/share"
        lib = f"{self.prefix}/lib"
        units = {f"{lib}/systemd/system/{one.name}": one for one in sorted((HERE / "systemd").iterdir())}
        return {
            f"{share}/man/man1/{NAME}.1.gz": BUILD / f"{NAME}.1",
            f"{share}/bash-completion/completions/{NAME}": BUILD / f"{NAME}.bash",
            f"{share}/{NAME}/configuration": HERE / "configuration",
            f"{share}/{NAME}/cron": HERE / "cron",
            f"{share}/{NAME}/logrotate": HERE / "logrotate",
            f"{lib}/sysusers.d/{NAME}.conf": HERE / "sysusers",
            f"{lib}/tmpfiles.d/{NAME}.conf": HERE / "tmpfiles",  # noqa: S108  # no temporary file
            **units,
        }

    @property
    def settings(self) -> dict[str, str]:
        """File in /etc that is the administrator's as soon as it differs -> where its pristine copy is."""
        share = f"{self.prefix}/share/{NAME}"
        return {
            f"{self.sysconf}/cron.d/{NAME}": f"{share}/cron",
            f"{self.sysconf}/logrotate.d/{NAME}": f"{share}/logrotate",
        }

    @property
    def configuration(self) -> str:
        """The one file that is never overwritten."""
        return f"{self.sysconf}/{NAME}/configuration"


# --- install ----------------------------------------------------------------------------------------------------------


def install(places: Places) -> None:
    """Install, or upgrade in place; raises Stop before anything of the old one was touched."""
    check_machine(places)
    new = places.at(f"{places.lib}.new")
    shutil.rmtree(new, ignore_errors=True)
    try:
        make_tree(places, new)
        log, data = check_configuration(places, new)
        if not places.staged:
            prepare()
        with locked(places, new, data):
            swap(places, new)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    place_settings(places)
    place_files(places)
    place_configuration(places)
    clear_path(places)
    if not places.staged:
        say_what_is_left(places, log, data)
    say(f"installed {places.at(places.prefix)}/bin/{NAME} {stamp()[1]}")


def stamp() -> tuple[str, str]:
    """Return the Python (3.11) and the version of the package that make built for."""
    try:
        minor, version = (BUILD / "made").read_text().split()
    except (OSError, ValueError):
        raise Stop("run `make` first, as yourself and not as root") from None
    return minor, version


def check_machine(places: Places) -> None:
    """Raise Stop unless this can succeed here: as whom, with which Python, beside what."""
    if not places.staged and os.geteuid():
        raise Stop("only root may do that: sudo make install")
    now, minor = f"{sys.version_info[0]}.{sys.version_info[1]}", stamp()[0]
    if now != minor:
        raise Stop(
            f"`make` was run with Python {minor}, and this is Python {now}: run `make clean all` first, as yourself"
        )
    if not places.staged and Path(f"/var/lib/dpkg/info/{NAME}.list").exists() and is_package_installed():
        raise Stop(f"{NAME} is installed as a Debian package: `apt-get remove {NAME}` first")
    python = Path(sys.executable).resolve()
    fresh = (BUILD / "made").stat().st_mtime
    if any(one.stat().st_mtime > fresh for one in (HERE.parent / NAME).rglob("*.py")):
        raise Stop("the sources are newer than what was built from them: run `make` first, as yourself")
    closed = next((one for one in python.parents if not one.stat().st_mode & 0o001), None)
    if not places.staged and closed:
        raise Stop(
            f"users may not run {python} ({closed} is closed): `make clean all PYTHON=/usr/bin/python3`, as yourself"
        )


def is_package_installed() -> bool:
    """Return whether dpkg has the package's files in place."""
    asked = ["dpkg-query", "-W", "-f", "${db:Status-Status}", NAME]
    return subprocess.run(asked, stdout=subprocess.PIPE, text=True, check=False).stdout == "installed"


def make_tree(places: Places, new: Path) -> None:
    """Make the whole environment in ``new``, as it will be when it stands in its place."""
    base, system = Path(sys.executable).resolve(), Path("/usr/bin/python3")
    # By that name it is still there after an upgrade of Debian, and the launcher can say what has changed.
    run(str(system if system.resolve() == base else base), "-I", "-m", "venv", "--without-pip", str(new))
    wheelhouse = str(BUILD / "wheelhouse")
    pip = ["-I", "-m", "pip", "--isolated", "--disable-pip-version-check", "--python", str(new / "bin/python3")]
    quietly = ["--quiet", "--no-index", "--no-compile", "--no-cache-dir", "--root-user-action=ignore"]
    run(sys.executable, *pip, "install", *quietly, "--find-links", wheelhouse, f"{NAME}[completion]")
    bare(new)
    launcher = new / "bin" / NAME
    launcher.write_text(LAUNCHER.format(lib=places.lib, minor=stamp()[0], again=places.again))
    launcher.chmod(0o755)
    shutil.copyfile(HERE / "account.py", new / "account.py")
    if not os.environ.get("NO_COMPILE"):
        run(
            str(new / "bin/python3"), "-I", "-m", "compileall", "-q", "-s", str(new), "-p", places.lib, str(new / "lib")
        )


def bare(new: Path) -> None:
    """Take away what names the place where it was made, and what nobody will run."""
    for one in (new / "bin").iterdir():
        if not one.name.startswith("python"):
            one.unlink()
    shutil.rmtree(new / "include", ignore_errors=True)
    config = new / "pyvenv.cfg"
    kept = [line for line in config.read_text().splitlines() if not line.startswith("command")]
    config.write_text("\n".join(kept) + "\n")
    (new / "made-by-make").touch()


def check_configuration(places: Places, new: Path) -> tuple[str, str]:
    """Return log file and data folder of the configuration that is there, as the new version reads it; else empty.

    Raises Stop, with the first mistake, where the new version does not accept it.
    """
    path = places.at(places.configuration)
    if not path.exists():
        return "", ""
    code = "from dvbboxes.config import load; c = load(sys.argv[1]); print(c.log.filepath, c.data_folder, sep='\\n')"
    done = subprocess.run(
        [new / "bin/python3", "-IBc", _SOFT + code, path], capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it cannot be read"]
        more = f" (and {len(said) - 1} more mistakes)" if len(said) > 1 else ""
        raise Stop(f"{said[0]}{more}: correct it and come back; nothing was changed")
    log, data = done.stdout.splitlines()
    return log, data


#: A mistake is said by its text alone.
_SOFT = "import sys; sys.excepthook = lambda kind, error, trace: sys.stderr.write(f'{error}\\n'); "


@contextlib.contextmanager
def locked(places: Places, new: Path, data: str) -> Iterator[None]:
    """Hold the lock of the data folder, so that no apply is at work; wait for one that is.

    It is dvbboxes' own lock, held by a process of the new version that ends with us.
    """
    if places.staged or not data or not Path(data).is_dir():
        yield
        return
    wait = os.environ.get("LOCK_WAIT", PATIENCE)
    command = [new / "bin/python3", "-IBc", _SOFT + _HOLD, data, wait]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as one:
        assert one.stdin and one.stdout and one.stderr  # noqa: S101  # they are pipes
        if (word := one.stdout.readline()).startswith("waiting"):
            say(word.strip())
            word = one.stdout.readline()
        if not word:
            raise Stop(f"{one.stderr.read().strip()}; waited {wait} s, nothing was changed")
        yield
        one.stdin.close()


_HOLD = """
import time
from dvbboxes.errors import Locked
from dvbboxes.lock import hold
end, said = time.monotonic() + float(sys.argv[2]), False
while True:
    try:
        with hold(sys.argv[1], 'root', 'make install', time.time(), patience=0.2):
            sys.stdout.write('held\\n'); sys.stdout.flush(); sys.stdin.read(); sys.exit()
    except Locked as error:
        if time.monotonic() > end:
            raise
        if not said:
            sys.stdout.write(f'waiting: {error}\\n'); sys.stdout.flush(); said = True
        time.sleep(0.1)
"""


def swap(places: Places, new: Path) -> None:
    """Put the new tree where the old one was; where that fails the old one is put back."""
    lib, old = places.at(places.lib), places.at(f"{places.lib}.old")
    shutil.rmtree(old, ignore_errors=True)
    if lib.exists():
        lib.rename(old)
    try:
        new.rename(lib)
        link(places)
    except (OSError, Stop):
        shutil.rmtree(lib, ignore_errors=True)
        if old.exists():
            old.rename(lib)
        raise
    shutil.rmtree(old, ignore_errors=True)


def link(places: Places) -> None:
    """Make the command, replacing whatever file is there at once; what is there and not ours is kept beside it."""
    command = places.at(f"{places.prefix}/bin/{NAME}")
    command.parent.mkdir(parents=True, exist_ok=True)
    fresh = command.with_name(f".{NAME}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(OURS)
    if os.path.lexists(command) and not (command.is_symlink() and str(command.readlink()) == OURS):
        keep(places, command)
    fresh.replace(command)


#: What the command is a link to.
OURS = f"../lib/{NAME}/bin/{NAME}"


def keep(places: Places, command: Path) -> None:
    """Keep a command that is not ours under a second name, and the package that it belongs to informed of that.

    Else the package's removal would take our command away, and its upgrade overwrite it. Raises Stop or OSError.
    """
    aside = aside_of(command)
    aside.unlink(missing_ok=True)
    aside.hardlink_to(command)
    if not places.staged and package_of(command):
        try:
            run("dpkg-divert", "--local", "--no-rename", "--divert", str(aside), "--add", str(command))
        except Stop:
            aside.unlink()
            raise
    say(f"note: {command} was {'the Python 2 original' if is_original(command) else 'not ours'}: kept as {aside}")


def aside_of(command: Path) -> Path:
    """Return under which name a command that is not ours is kept."""
    return command.with_name(f"{NAME}.{'python2' if is_original(command) else 'before'}")


def is_original(command: Path) -> bool:
    """Return whether a file is the command of the Python 2 original, as its package, setup.py or pip wrote it."""
    if command.is_symlink() or not command.is_file():
        return False
    text = command.read_bytes()[:4096].decode("utf-8", "replace")
    # Not the Python of some venv: `python` there is a Python 3.
    found = re.match(r"#! ?(/usr(/local)?/bin/|/usr/bin/env )python(2(\.\d)?)?( -\w+)*\r?\n", text)
    return bool(found) and NAME in text


def package_of(command: Path) -> str:
    """Return the Debian package that has put a file there; empty where there is none, or no dpkg."""
    if shutil.which("dpkg-query") is None:
        return ""
    done = subprocess.run(["dpkg-query", "-S", str(command)], capture_output=True, text=True, check=False)
    return "" if done.returncode else done.stdout.partition(":")[0]


def clear_path(places: Places) -> None:
    """Take the original out of the way where pip put it before ours in PATH; name another command that is there."""
    first = places.at(f"/usr/local/bin/{NAME}")
    if places.prefix != "/usr" or not os.path.lexists(first):
        return
    if not is_original(first):
        say(f"note: {first} is another {NAME} and comes first in PATH: remove it")
        return
    aside = first.replace(aside_of(first))
    say(f"note: {first} was the Python 2 original and came first in PATH: kept as {aside}")


def place_configuration(places: Places) -> None:
    """Put the configuration there where there is none, and beside the one that is there."""
    own = places.at(places.configuration)
    put(places, HERE / "configuration", own.with_name("configuration.dist") if own.exists() else own)


def place_settings(places: Places) -> None:
    """Put the files of cron.d and logrotate.d in their places: new ones, and those that nobody has changed."""
    for path, pristine in places.settings.items():
        target = places.at(path)
        if not target.exists() or unchanged(places, path):
            put(places, places.files[pristine], target)


def unchanged(places: Places, path: str) -> bool:
    """Return whether a file of /etc is as some version of ours has put it there."""
    known = places.at(places.settings[path])
    return known.exists() and filecmp.cmp(places.at(path), known, shallow=False)


def place_files(places: Places) -> None:
    """Put everything that is ours alone in its place, the pristine copies among it."""
    for path, source in places.files.items():
        put(places, source, places.at(path))


def put(places: Places, source: Path, target: Path) -> None:
    """Write one file whole or not at all, readable by all; @PREFIX@ is filled in, a name in .gz is compressed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    data = source.read_bytes().replace(b"@PREFIX@", places.prefix.encode())
    fresh = target.with_name(f".{target.name}.new")
    fresh.write_bytes(gzip.compress(data, 9, mtime=0) if target.suffix == ".gz" else data)
    fresh.chmod(0o644)
    fresh.replace(target)


def say_what_is_left(places: Places, log: str, data: str) -> None:
    """Name what the administrator has to look at: a log or data elsewhere, a key that the configuration names."""
    if log and not log.startswith(f"{LOG}/"):
        say(f"note: [LOG] filepath is {log}: let the group {NAME} write it, or name {LOG}/{NAME}.log")
    if data and data.rstrip("/") != DATA:
        say(f"note: [DATA] folder is {data}: let the group {NAME} write there (chgrp -R {NAME}, chmod -R g+w, g+s)")
    path = places.at(places.configuration)
    if f"{DATA}/.ssh".encode() in path.read_bytes():
        say(f"note: {path} names {DATA}/.ssh: the key of cron's user belongs in {HOME}/.ssh")


# --- uninstall --------------------------------------------------------------------------------------------------------


def uninstall(places: Places) -> None:
    """Remove what install made, but for the configuration, the data, the log, and files of /etc that were changed."""
    if not places.staged and os.geteuid():
        raise Stop("only root may do that: sudo make uninstall")
    remove_command(places)
    for path in places.settings:
        target = places.at(path)
        if target.exists() and not unchanged(places, path):
            kept = places.at(places.configuration).with_name(f"{target.parent.name}.kept")
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(target, kept)
            say(f"{path} was changed: it is kept as {kept}")
        target.unlink(missing_ok=True)
    for path in places.files:
        places.at(path).unlink(missing_ok=True)
    places.at(places.configuration).with_name("configuration.dist").unlink(missing_ok=True)
    for folder in (f"{places.prefix}/share/{NAME}", places.lib, f"{places.lib}.new", f"{places.lib}.old"):
        shutil.rmtree(places.at(folder), ignore_errors=True)
    say(f"removed {NAME}; kept: {places.sysconf}/{NAME}, {DATA}, {LOG} (make purge removes them too)")


def remove_command(places: Places) -> None:
    """Remove the command; a package whose own was kept aside for ours has it back, any other stays aside."""
    command = places.at(f"{places.prefix}/bin/{NAME}")
    if not places.staged and shutil.which("dpkg-divert"):
        asked = ["dpkg-divert", "--truename", str(command)]
        true = Path(subprocess.run(asked, stdout=subprocess.PIPE, text=True, check=True).stdout.strip())
        if true in [command.with_name(f"{NAME}.{word}") for word in ("python2", "before")]:
            run("dpkg-divert", "--local", "--no-rename", "--remove", str(command))
            if true.exists():
                true.replace(command)
                say(f"note: {command} is the one of the package {package_of(command)} again: apt-get remove that too")
                return
    command.unlink(missing_ok=True)


def purge(places: Places) -> None:
    """Uninstall, and remove configuration, data, log, user and group as well."""
    uninstall(places)
    for folder in (f"{places.sysconf}/{NAME}", DATA, LOG, HOME):
        shutil.rmtree(places.at(folder), ignore_errors=True)
    if not places.staged:
        for command in (["userdel", NAME], ["groupdel", NAME]):
            subprocess.run(command, capture_output=True, check=False)  # made by us or gone already
    say(f"removed {places.sysconf}/{NAME}, {DATA}, {LOG} too")


# --- running ----------------------------------------------------------------------------------------------------------


def main(words: list[str]) -> int:
    """Run one of the three; 0, or 1 after one line on standard error."""
    os.umask(0o022)
    word = words[0] if words else ""
    places = Places(
        os.environ.get("DESTDIR", "").rstrip("/"),
        os.environ.get("PREFIX", "").rstrip("/") or "/usr",
        again=os.environ.get("AGAIN") or AGAIN,
    )
    try:
        {"install": install, "uninstall": uninstall, "purge": purge}[word](places)
    except (Stop, OSError) as error:
        sys.stderr.write(f"make {word}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
