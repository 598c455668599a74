"""The user, the group and the folders of an installation, made by root: for `make install` and for the package.

Members of the group write in two of the folders, so nothing in there is trusted: a file is opened without following
a link, and changed through what was opened.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
import subprocess
import sys
from itertools import chain
from pathlib import Path

NAME = "dvbboxes"
#: The folders that members of the group share.
LOG, DATA = f"/var/log/{NAME}", f"/var/lib/{NAME}"
#: Where cron's user has its ssh key: nobody else may write there, nor in the folder that it is in.
HOME = f"/var/lib/{NAME}-cron"


class Stop(Exception):
    """Nothing can be done; the text is the one line that says why and what to do."""


def say(line: str) -> None:
    """Tell the administrator one thing."""
    sys.stdout.write(f"{line}\n")


def run(*words: str) -> None:
    """Run a program to its end; raises Stop with the last line it said."""
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise Stop(f"{words[0]} failed ({said[-1]}); nothing was changed")


def prepare() -> None:
    """Make what is missing of them all, and mend what an older version made less safe; raises Stop."""
    try:
        grp.getgrnam(NAME)
    except KeyError:
        run("groupadd", "--system", NAME)
    try:
        old = pwd.getpwnam(NAME).pw_dir
    except KeyError:
        old = HOME
        home = ["--home-dir", HOME, "--no-create-home", "--shell", "/usr/sbin/nologin"]
        run("useradd", "--system", "--gid", NAME, *home, "--comment", "dvbboxes under cron", NAME)
    if old == DATA:
        run("usermod", "--home", HOME, NAME)
    user = pwd.getpwnam(NAME)
    if user.pw_dir == HOME:
        make_home(Path(HOME), user.pw_uid, user.pw_gid)
    if old == DATA:
        move_keys(Path(DATA), Path(HOME), user.pw_uid)
    share(grp.getgrnam(NAME).gr_gid)


def make_home(home: Path, user: int, group: int) -> None:
    """Make the home of cron's user, for it alone."""
    home.mkdir(mode=0o700, exist_ok=True)
    os.chown(home, user, group)
    home.chmod(0o700)


def move_keys(data: Path, home: Path, user: int) -> None:
    """Move ``.ssh`` out of the folder that the whole group may write in, which was once the home.

    It is looked at where nobody can change it any more; one that another may have put there is kept aside.
    """
    old, new = data / ".ssh", home / ".ssh"
    if not os.path.lexists(old) or os.path.lexists(new):
        return
    try:
        old.rename(new)
    except OSError as error:
        say(f"note: move {old} to {new} by hand ({error.strerror}): the whole group may write in {data}")
        return
    if is_own(new, user):
        say(f"note: {old}, the ssh key of cron's user, is now {new}: the whole group may write in {data}")
        return
    aside = new.with_name(".ssh.untrusted")
    new.rename(aside)
    say(f"note: another member of the group may have written {old}: it is now {aside}; make a new key (docs/ssh.rst)")


def is_own(folder: Path, user: int) -> bool:
    """Return whether nobody but its user (and root) can have written a folder or anything in it; a link is no folder.

    Links are everybody's by their mode, so that none is let pass, and the folder itself is looked at before its files.
    """
    found = (one.lstat() for one in chain([folder], folder.rglob("*")))
    return folder.is_dir() and all(one.st_uid in (0, user) and not one.st_mode & 0o022 for one in found)


def share(group: int) -> None:
    """Give the two folders, and the files that are in them already, to the group; make the log where there is none."""
    for folder in map(Path, (LOG, DATA)):
        fresh = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        os.chown(folder, -1, group)
        folder.chmod(0o2770 if fresh else folder.stat().st_mode & 0o7777 | 0o2770)
        for one in folder.iterdir():
            share_file(one, group)
    share_file(Path(LOG) / f"{NAME}.log", group, os.O_CREAT)


def share_file(path: Path, group: int, flags: int = 0) -> None:
    """Let the group read and write one file; what is no file, a link, or has a second name is left alone."""
    flags |= os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o660)
    except OSError:  # a link, a socket, gone by now
        return
    try:
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
            os.fchown(descriptor, -1, group)
            os.fchmod(descriptor, found.st_mode & 0o7777 | 0o660)
    finally:
        os.close(descriptor)


def main() -> int:
    """Do it for the Debian package; 0, or 1 after one line on standard error."""
    os.umask(0o022)
    try:
        prepare()
    except (Stop, OSError) as error:
        sys.stderr.write(f"{NAME}: {error}; when that is mended: dpkg --configure {NAME}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
