"""`make test-system`, as root: everything README.rst and docs/install.rst promise, in a Debian 12 made for it.

It has python3, python3-venv, make, git, sudo and the host's CA certificates, nothing else. Each stage says how long it
took; the first thing that is not as it should be ends the run with status 1 and what was said.

DVBBOXES_SYSTEM_BASE names a folder with such a Debian to start from a copy of (default: debootstrap or mmdebstrap);
DVBBOXES_SYSTEM_KEEP=1 keeps the machine and says where it is. Words on the command line choose stages.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGES = ("python3", "python3-venv", "make", "git", "sudo", "ca-certificates")
MIRROR = os.environ.get("DVBBOXES_DEBIAN_MIRROR", "http://deb.debian.org/debian")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
LONG = 1200.0
CONFIGURATION = "/etc/dvbboxes/configuration"
#: Environment of the host that pip in the machine needs to reach an index the way the host does.
PASSED = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "PIP_INDEX_URL")


class Wrong(Exception):
    """Something is not as it should be."""


def expect(condition: object, said: str) -> None:
    """Raise Wrong unless the condition holds."""
    if not condition:
        raise Wrong(said)


@dataclass(frozen=True)
class Ran:
    """How a command in the machine ended; ``out`` has both streams."""

    status: int
    out: str


@dataclass(frozen=True)
class Machine:
    """A Debian in a folder."""

    root: Path

    def run(self, line: str, user: str = "root", *, status: int | None = 0, network: bool = True) -> Ran:
        """Run a shell line as a user of the machine; Wrong unless it ends with ``status`` (None: any)."""
        home = "/root" if user == "root" else f"/home/{user}"
        environ = [f"{name}={os.environ[name]}" for name in PASSED if name in os.environ]
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        inner = [
            "env",
            "-i",
            f"HOME={home}",
            f"USER={user}",
            f"PATH={path}",
            "LANG=C.UTF-8",
            *environ,
            "sh",
            "-c",
            line,
        ]
        words = [*([] if network else ["unshare", "--net"]), *self.words(user), *inner]
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LONG, check=False
        )
        out = done.stdout.decode("utf-8", "replace")
        wanted = status is None or done.returncode == status
        expect(wanted, f"[{user}] {line}\nended with status {done.returncode}, not {status}:\n{out[-6000:]}")
        return Ran(done.returncode, out)

    def words(self, user: str) -> list[str]:
        """Return what goes before a command that runs in the machine."""
        # runuser is util-linux's: groups are those of the machine's own /etc/group.
        return ["chroot", str(self.root), *([] if user == "root" else ["runuser", "-u", user, "--"])]

    def at(self, path: str) -> Path:
        """Return where a path of the machine is."""
        return self.root / path.lstrip("/")

    def has(self, *paths: str) -> None:
        """Raise Wrong unless all these are there."""
        gone = [path for path in paths if not os.path.lexists(self.at(path))]
        expect(not gone, f"not there: {', '.join(gone)}")

    def lacks(self, *paths: str) -> None:
        """Raise Wrong unless none of these is there."""
        left = [path for path in paths if os.path.lexists(self.at(path))]
        expect(not left, f"still there: {', '.join(left)}")


# --- the machine ------------------------------------------------------------------------------------------------------


def debian(machine: Machine) -> None:
    """Make the Debian, or copy the one that is given."""
    base = os.environ.get("DVBBOXES_SYSTEM_BASE")
    if base:
        subprocess.run(["cp", "-a", f"{base}/.", str(machine.root)], check=True)
    else:
        bootstrap(machine.root)
    machine.at("/usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
    machine.at("/usr/sbin/policy-rc.d").chmod(0o755)
    shutil.copyfile("/etc/resolv.conf", machine.at("/etc/resolv.conf"))
    machine.at("/etc/ssl/certs").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(CERTIFICATES, machine.at(str(CERTIFICATES)))
    mount(machine.root)
    for user in ("dev", "member", "stranger"):
        machine.run(f"id {user} >/dev/null 2>&1 || useradd --create-home --shell /bin/bash {user}")


def mount(root: Path) -> None:
    """Give the machine what a chroot needs of the kernel."""
    for kind, what in (("proc", "proc"), ("sysfs", "sys")):
        subprocess.run(["mount", "-t", kind, kind, str(root / what)], check=True)
    subprocess.run(["mount", "--rbind", "/dev", str(root / "dev")], check=True)


def unmount(root: Path) -> None:
    """Take it away again."""
    for what in ("proc", "sys", "dev"):
        subprocess.run(["umount", "--recursive", "--lazy", str(root / what)], capture_output=True, check=False)


def bootstrap(root: Path) -> None:
    """Make a bookworm with debootstrap, else mmdebstrap, whichever is here."""
    wanted = ",".join(PACKAGES)
    if shutil.which("debootstrap"):
        words = ["debootstrap", "--variant=minbase", f"--include={wanted}", "bookworm", str(root), MIRROR]
    elif shutil.which("mmdebstrap"):
        words = ["mmdebstrap", "--variant=minbase", f"--include={wanted}", "bookworm", str(root), MIRROR]
    else:
        raise Wrong("there is neither debootstrap nor mmdebstrap: apt-get install debootstrap")
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    expect(done.returncode == 0, f"{words[0]} failed:\n{done.stdout[-2000:]}")


@dataclass(frozen=True)
class Booted(Machine):
    """The same, with its own systemd running; ``leader`` is the process id of that, as seen from here."""

    leader: int

    def words(self, user: str) -> list[str]:
        """Return what goes before a command that runs in the machine."""
        enter = ["nsenter", "--target", str(self.leader), "--mount", "--uts", "--ipc", "--net", "--pid"]
        return [*enter, *([] if user == "root" else ["runuser", "-u", user, "--"])]


@contextlib.contextmanager
def booted(machine: Machine) -> Iterator[Booted]:
    """Boot the machine, and end it."""
    words = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot", "--directory", str(machine.root)]
    console = machine.root.with_suffix(".console")
    unmount(machine.root)  # a systemd makes its own
    with console.open("wb") as log:
        nspawn = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    try:
        one = _up(nspawn, machine, console)
        yield one
        one.run("systemctl --no-block poweroff")
        nspawn.wait(60)
    finally:
        nspawn.terminate()  # never -9: that leaves its children behind
        nspawn.wait(60)
        console.unlink()
        mount(machine.root)


def _up(nspawn: subprocess.Popen[bytes], machine: Machine, console: Path) -> Booted:
    try:
        one = Booted(machine.root, until(lambda: _child(nspawn), "nspawn starts no machine"))
        running = "systemctl is-system-running | grep -qE 'running|degraded'"
        until(lambda: one.run(running, status=None).status == 0, "the machine does not come up")
    except Wrong as wrong:
        raise Wrong(f"{wrong}\n{console.read_text('utf-8', 'replace')[-3000:]}") from wrong
    return one


def _child(process: subprocess.Popen[bytes]) -> int:
    if process.poll() is not None:
        raise Wrong(f"nspawn ended with status {process.returncode}")
    # The one that is process 1 of a namespace of its own; nspawn has a helper beside it.
    for task in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        status = Path(f"/proc/{task}/status").read_text()
        if any(line.split()[-1] == "1" for line in status.splitlines() if line.startswith("NSpid:")):
            return int(task)
    return 0


def until(condition: Callable[[], Any], said: str, seconds: float = 60) -> Any:
    """Return what the condition returns as soon as it is something; Wrong after so many seconds."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        expect(time.monotonic() < end, f"{said}: not within {seconds:g} s")
        time.sleep(0.1)
    return found


# --- the stages, in order ---------------------------------------------------------------------------------------------

CODE = "/home/dev/dvbboxes"


def clone(machine: Machine) -> None:
    """A clone, as its user."""
    source = machine.at("/home/dev/source.git")
    subprocess.run(["git", "clone", "--quiet", "--bare", f"file://{CHECKOUT}", str(source)], check=True)
    machine.run(
        "chown -R dev: /home/dev/source.git && cd /home/dev && runuser -u dev -- git clone -q source.git dvbboxes"
    )


def demo(machine: Machine) -> None:
    """`make demo` on a machine that has nothing, and its end."""
    said = machine.run(f"cd {CODE} && make demo", "dev").out
    expect("instances answered" in said, f"make demo shows no answer:\n{said}")
    machine.run(f"cd {CODE} && . ./.demo && dvbboxes cluster status && make demo-stop", "dev")


def test(machine: Machine) -> None:
    """`make test`."""
    said = machine.run(f"cd {CODE} && make test", "dev").out
    say(said.strip().splitlines()[-1].strip("= "))


def build(machine: Machine) -> None:
    """`make`; and before it `make install` says what to do, in one line, with and without root."""
    first = complaint(machine.run(f"cd {CODE} && make install", status=2).out)
    expect("run `make` first" in first, f"make install before make says: {first}")
    machine.run(f"cd {CODE} && make", "dev")
    again = complaint(machine.run(f"cd {CODE} && make install", "dev", status=2).out)
    expect("sudo make install" in again, f"make install without root says: {again}")


def complaint(out: str) -> str:
    """Return the one line that make install says, without make's own."""
    lines = [line for line in out.splitlines() if not line.startswith("make: ***")]
    expect(len(lines) == 1, f"it says more, or less, than one line:\n{out}")
    return lines[0]


#: A root who has set nothing up: no HOME, no locale, files for itself alone.
BARE = "unset HOME LANG; export LC_ALL=C; umask 077; "


def install(machine: Machine) -> None:
    """`sudo make install`: a bare root, without network, leaves nothing of root's in the checkout."""
    machine.run(f"{BARE} cd {CODE} && make install", network=False)
    everybodys(machine)
    left = machine.run(f"find {CODE} -user root").out
    expect(not left, f"root left this in the checkout:\n{left}")
    machine.has("/usr/bin/dvbboxes", CONFIGURATION, "/etc/cron.d/dvbboxes", "/etc/logrotate.d/dvbboxes")
    named = machine.run(f"grep -rl {CODE} /usr/lib/dvbboxes /usr/share/dvbboxes /etc/dvbboxes", status=None).out
    expect(not named, f"the checkout is named in:\n{named}")
    machine.run("adduser --quiet member dvbboxes 2>/dev/null || usermod -aG dvbboxes member")


def everybodys(machine: Machine) -> None:
    """Raise Wrong unless all users may read all of it, bytecode too, and run it without a home and a locale."""
    ours = "/usr/lib/dvbboxes /usr/share/dvbboxes /usr/share/man/man1/dvbboxes.1.gz /usr/lib/systemd/system/dvbboxes*"
    closed = machine.run(f"find {ours} /etc/dvbboxes ! -type l ! -perm -o+r -o -type d ! -perm -o+x", "stranger").out
    expect(not closed, f"users may not read:\n{closed}")
    machine.run("find /usr/lib/dvbboxes -name '*.pyc' | grep -q dvbboxes/__pycache__/main")
    named = "dvbboxes config check && dvbboxes config show"
    said = machine.run(f"{BARE} {named}", "stranger").out
    expect("Traceback" not in said, f"without a home and a locale:\n{said}")
    machine.run(f"{BARE} {named}")


def use(machine: Machine) -> None:
    """The command as a member of the group, as a stranger, and as cron's user; completion; the man page."""
    for user in ("member", "stranger"):
        machine.run("dvbboxes --version && dvbboxes --help && dvbboxes program show -h", user)
    said = machine.run("dvbboxes config check", "member").out
    expect("warning" not in said, f"a member is warned:\n{said}")
    expect("warning" in machine.run("dvbboxes config check", "stranger").out, "a stranger wrote the log")
    machine.run("test $(stat -c %s /var/log/dvbboxes/dvbboxes.log) -gt 0")
    silent = machine.run("umask 077; dvbboxes config check --quiet", "dvbboxes").out
    expect(not silent, f"cron would mail:\n{silent}")
    machine.run("dvbboxes cluster status", "member", status=5)  # nobody is there yet
    keys(machine)
    machine.run("zcat /usr/share/man/man1/dvbboxes.1.gz | grep -q '^.SH EXIT STATUS'")
    line = "dvbboxes clus"
    completion = (
        f"source /usr/share/bash-completion/completions/dvbboxes; COMP_LINE='{line}'; COMP_POINT={len(line)}; "
        '_python_argcomplete dvbboxes clus dvbboxes; echo "${COMPREPLY[@]}"'
    )
    expect("cluster" in machine.run(f"bash -c {shlex.quote(completion)}", "member").out, "no completion")


def keys(machine: Machine) -> None:
    """Cron's user has a home that no member can enter or replace; an older one is given such a home, with its key."""
    home, old = "/var/lib/dvbboxes-cron", "/var/lib/dvbboxes"
    make = "mkdir -p -m 700 ~dvbboxes/.ssh && echo key >~dvbboxes/.ssh/id && chmod 600 ~dvbboxes/.ssh/id"
    machine.run(f'test "$(getent passwd dvbboxes | cut -d: -f6)" = {home}; {make}', "dvbboxes")
    for attack in (f"ls {home}", f"mv {home} {old}/taken", f"mkdir {home}/.ssh", f"rmdir {home}"):
        expect(machine.run(attack, "member", status=None).status, f"a member may: {attack}")
    machine.run(f"usermod -d {old} dvbboxes && mv {home}/.ssh {old} && rmdir {home}")  # as it was once
    said = machine.run(f"cd {CODE} && make install").out
    expect(f"{old}/.ssh, the ssh key of cron's user, is now {home}/.ssh" in said, f"the key is not moved:\n{said}")
    machine.run(f'test "$(cat ~dvbboxes/.ssh/id)" = key && test "$(stat -c %a:%U {home})" = 700:dvbboxes', "dvbboxes")
    machine.run(f"usermod -d {old} dvbboxes && rm -r {home}")
    machine.run(f"mkdir -m 700 {old}/.ssh && ln -s /etc/crontab.not {old}/evil; mv -f /var/log/dvbboxes/"
                "dvbboxes.log /tmp; ln -s /etc/cron.evil /var/log/dvbboxes/dvbboxes.log", "member")  # fmt: skip
    said = machine.run(f"cd {CODE} && make install").out
    expect(f"is now {home}/.ssh.untrusted" in said, f"a member's .ssh became cron's:\n{said}")
    machine.lacks("/etc/cron.evil", "/etc/crontab.not", f"{home}/.ssh")
    machine.run("rm /var/log/dvbboxes/dvbboxes.log /var/lib/dvbboxes/evil && mv /tmp/dvbboxes.log /var/log/dvbboxes")
    machine.run("rm -r ~dvbboxes/.ssh.untrusted && dvbboxes config check", "dvbboxes")


ONE = """
[LOG]
filepath=/var/log/dvbboxes/dvbboxes.log
level=10
datefmt=%d-%m-%Y %H:%M:%S
[DATA]
folder=/var/lib/dvbboxes
[CHANNELS]
85=Ma chaine
[CLUSTER:tana]
dvb-tana-1=6381
[INSTANCE:dvb-tana-1]
master=127.0.0.1:6379
"""


def checked_by_cron(one: Booted) -> None:
    """The README's last step: the # is taken from cron's line (every minute, not at 05:30), and cron runs the check."""
    table, log = "/etc/cron.d/dvbboxes", one.root / "var/log/dvbboxes/dvbboxes.log"
    kept = one.run(f"cat {table}").out
    one.run(f"sed -i 's/^#30 5 [*] [*] [*]/* * * * */' {table} && systemctl is-active cron")
    ran = "dvbboxes check --changes --quiet: by dvbboxes, exit status 1, missing: -"
    until(lambda: ran in log.read_text("utf-8"), "cron does not run the check", 150)
    one.run("test -s /var/lib/dvbboxes/check.json")
    (one.root / table.lstrip("/")).write_text(kept, "utf-8")


APT = "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends"


def replica(machine: Machine) -> None:
    """With a systemd inside: `replicas install` starts a unit, its replica follows a master, the timer is right."""
    if shutil.which("systemd-nspawn") is None:
        expect(os.environ.get("DVBBOXES_TEST_REQUIRE") != "all", "no systemd-nspawn: apt-get install systemd-container")
        say("    skipped: there is no systemd-nspawn (apt-get install systemd-container)")
        return
    machine.run(f"{APT} systemd systemd-sysv redis-server cron")
    kept = machine.at(CONFIGURATION).read_text("utf-8")
    machine.at(CONFIGURATION).write_text(ONE, "utf-8")
    with booted(machine) as one:
        one.run("redis-cli -n 1 set film_a.ts 5400")
        one.run("dvbboxes replicas install --yes")
        until(
            lambda: one.run("dvbboxes cluster status", "member", status=None).status == 0, "the replica is not current"
        )
        expect("film_a" in one.run("dvbboxes media search film", "member").out, "the replica has not the master's file")
        one.run("systemctl is-active redis-server@dvb-tana-1 && systemctl is-enabled redis-server@dvb-tana-1")
        for unit in ("dvbboxes-check.service", "dvbboxes-check.timer"):
            said = one.run(f"systemd-analyze --man=no verify /usr/lib/systemd/system/{unit}").out
            expect(not said, f"systemd-analyze verify says: {said}")
        one.run("systemctl start dvbboxes-check.timer; systemctl start dvbboxes-check.service", status=None)
        said = one.run("systemctl show -p ExecMainStatus --value dvbboxes-check.service").out.strip()
        expect(said in ("0", "1"), f"the check of the unit ended with {said}")
        checked_by_cron(one)
    machine.at(CONFIGURATION).write_text(kept, "utf-8")
    # Replicas are Redis servers of their own, which purge leaves alone (docs/install.rst).
    machine.run("rm -r /etc/systemd/system/redis-server@dvb-tana-1.service.d")


def upgrade(machine: Machine) -> None:
    """Again, over a changed configuration; over a broken one; while a run holds the lock."""
    machine.run(f"echo '# mine' >>{CONFIGURATION}; echo '#mine' >>/etc/cron.d/dvbboxes")
    machine.run(f"cd {CODE} && make install")
    machine.has(f"{CONFIGURATION}.dist")
    machine.run(f"grep -q '# mine' {CONFIGURATION} && grep -q '#mine' /etc/cron.d/dvbboxes")
    machine.run(f"cp -p {CONFIGURATION} /root/good && sed -i 's/^level=10/level=loud/' {CONFIGURATION}")
    said = complaint(machine.run(f"cd {CODE} && make install", status=2).out)
    expect(f"{CONFIGURATION}:" in said and "nothing was changed" in said, f"a broken configuration: {said}")
    machine.run("dvbboxes --version", "member")
    machine.lacks("/usr/lib/dvbboxes.new", "/usr/lib/dvbboxes.old")
    machine.run(f"cp -p /root/good {CONFIGURATION}")
    held = (
        "flock /var/lib/dvbboxes/lock sh -c 'touch /root/held; until [ -e /root/waited ]; do sleep 0.1; done' & "
        f"until [ -e /root/held ]; do sleep 0.1; done; cd {CODE}; LOCK_WAIT=1 make install; echo status $?; "
        "touch /root/waited; wait; make install"
    )
    said = machine.run(held).out
    expect("status 2" in said and "waited 1 s" in said, f"a lock that is held: {said}")
    other_python(machine)


def other_python(machine: Machine) -> None:
    """A Debian upgrade changed the Python below it: one line says so."""
    machine.run("mv /usr/lib/dvbboxes/lib/python3.11 /usr/lib/dvbboxes/lib/python3.9")
    said = machine.run("dvbboxes --version", "member", status=1).out
    expect(len(said.splitlines()) == 1 and "make clean all" in said, f"another Python: {said}")
    machine.run("mv /usr/lib/dvbboxes/lib/python3.9 /usr/lib/dvbboxes/lib/python3.11")


def remove(machine: Machine) -> None:
    """`make uninstall` keeps configuration, data and log; `make purge` keeps nothing."""
    machine.run(f"echo '#mine' >>/etc/cron.d/dvbboxes && cd {CODE} && make uninstall")
    machine.lacks("/usr/lib/dvbboxes", "/usr/bin/dvbboxes", "/etc/cron.d/dvbboxes", "/usr/share/dvbboxes")
    machine.has(CONFIGURATION, "/var/lib/dvbboxes", "/var/log/dvbboxes/dvbboxes.log", "/etc/dvbboxes/cron.d.kept")
    machine.run(f"cd {CODE} && make install && make purge")
    left = machine.run(
        "find / -xdev -name '*dvbboxes*' -not -path '/home/*' -not -path '/proc/*' -not -path '/tmp/*'"
    ).out
    expect(not left, f"make purge left:\n{left}")


# --- over the original, of Python 2 -----------------------------------------------------------------------------------

#: Where it leaves a mark, however it is run or imported.
RAN = "/var/tmp/the-original-ran"
ORIGINAL_MODULE = f"""\
#!/usr/bin/env python
# encoding: utf-8
open('{RAN}', 'a').close()
import ConfigParser


def cli():
    pass
"""
ORIGINAL_COMMAND = """\
#!/usr/bin/python
# EASY-INSTALL-ENTRY-SCRIPT: 'dvbboxes==0.1','console_scripts','dvbboxes'
__requires__ = 'dvbboxes==0.1'
import sys
from pkg_resources import load_entry_point

if __name__ == '__main__':
    sys.exit(load_entry_point('dvbboxes==0.1', 'console_scripts', 'dvbboxes')())
"""
ORIGINAL_CONTROL = """\
Package: python-dvbboxes
Version: 0.1-1
Architecture: all
Section: python
Maintainer: somebody <somebody@original.example>
Description: dvbbox cluster manager
"""
ORIGINAL_CONFIGURATION = """\
[LOG]
filepath=/var/log/dvbboxes/dvbboxes.log
level=10
datefmt=%d-%m-%Y %H:%M:%S

[DATA]
folder=/var/lib/dvbboxes

[CHANNELS]
85=Ma chaîne ; la première
86

# les villes
[CLUSTER:Nosy Be]
dvb-tana-1=6381
"""
ORIGINAL_CRONTAB = "0 6 * * * dvbboxes program 15062017 --service_id 85 >/root/programme\n"


def lay_original(machine: Machine) -> None:
    """Leave what its README's `make; sudo make install` left on a server (its own .deb), and pip's besides."""
    tree = machine.at("/root/python-dvbboxes")
    libraries = (tree / "usr/lib/python2.7/dist-packages", machine.at("/usr/local/lib/python2.7/dist-packages"))
    for library in libraries:
        egg = library / "dvbboxes-0.1.egg-info"
        egg.mkdir(parents=True)
        (library / "dvbboxes.py").write_text(ORIGINAL_MODULE, "utf-8")
        (egg / "entry_points.txt").write_text("[console_scripts]\ndvbboxes = dvbboxes:cli\n")
        (egg / "top_level.txt").write_text("dvbboxes\n")
    for command in (tree / "usr/bin/dvbboxes", machine.at("/usr/local/bin/dvbboxes")):
        command.parent.mkdir(parents=True, exist_ok=True)
        command.write_text(ORIGINAL_COMMAND)
        command.chmod(0o755)
    (tree / "DEBIAN").mkdir()
    (tree / "DEBIAN/control").write_text(ORIGINAL_CONTROL)
    machine.run("cd /root && dpkg-deb --root-owner-group --build python-dvbboxes && dpkg -i python-dvbboxes.deb")
    machine.at("/usr/bin/python2.7").write_text(f"#!/bin/sh\ntouch {RAN}\n")
    machine.run("chmod 755 /usr/bin/python2.7 && ln -s python2.7 /usr/bin/python")
    for path, text in ((CONFIGURATION, ORIGINAL_CONFIGURATION), ("/var/log/dvbboxes/dvbboxes.log", "[of old] INFO x\n"),
                       ("/var/log/dvbboxes/dvbboxes.log.1", "older\n"), ("/var/lib/dvbboxes/kept", "data\n"),
                       ("/var/spool/cron/crontabs/root", ORIGINAL_CRONTAB)):  # fmt: skip
        machine.at(path).parent.mkdir(parents=True, exist_ok=True)
        machine.at(path).write_text(text, "utf-8")


def original(machine: Machine) -> None:
    """`sudo make install` over the original: its place is taken, its configuration untouched, its cron line works."""
    lay_original(machine)
    before = machine.run(f"stat -c '%a %U %G %Y %i' {CONFIGURATION}").out
    said = machine.run(f"{BARE} cd {CODE} && make install").out
    for path in ("/usr/bin/dvbboxes", "/usr/local/bin/dvbboxes"):
        told = [line for line in said.splitlines() if line.startswith(f"note: {path} was the Python 2 original")]
        expect(len(told) == 1 and f"kept as {path}.python2" in told[0], f"{path} is not told of:\n{said}")
        machine.run(f"head -1 {path}.python2 | grep -qx '#!/usr/bin/python'")
    expect(machine.at(CONFIGURATION).read_text("utf-8") == ORIGINAL_CONFIGURATION, "the configuration is another")
    expect(machine.run(f"stat -c '%a %U %G %Y %i' {CONFIGURATION}").out == before, "the configuration was touched")
    machine.run("usermod -aG dvbboxes member")
    everybodys(machine)
    said = machine.run("dvbboxes config check", "member").out
    expect("warning" not in said and "Nosy Be" in machine.run("dvbboxes config show", "member").out, said)
    log = machine.run("cat /var/log/dvbboxes/dvbboxes.log", "member").out.splitlines()
    expect(log[0] == "[of old] INFO x" and len(log) > 1, f"the log is not written on: {log}")
    old = {"/var/lib/dvbboxes/kept": "data", "/var/log/dvbboxes/dvbboxes.log.1": "older"}
    for path, text in old.items():
        machine.run(f"grep -qx {text} {path} && test -w {path}", "member")
    old_cron_line(machine)
    library = "/usr/lib/python2.7/dist-packages"
    machine.run(f"cd {library} && PYTHONPATH={library} dvbboxes --version", "member")
    machine.lacks(RAN)
    elsewhere(machine)
    leave_original(machine)


def old_cron_line(machine: Machine) -> None:
    """The line of root's crontab says what the replica holds, with cron's environment."""
    machine.run(f"command -v redis-server || {{ {APT} redis-server; }}")
    machine.run("grep -q dvb-tana-1 /etc/hosts || echo 127.0.0.1 dvb-tana-1 >>/etc/hosts")
    start = "redis-server --daemonize yes --save '' --dir /tmp --repl-diskless-sync-delay 0 --port"
    machine.run(f"{start} 6379 && {start} 6381 --replicaof dvb-tana-1 6379")
    try:
        machine.run("redis-cli zadd 15062017:85 1497501000 /opt/tsfiles/film_a.ts:0 && redis-cli -n 1 set film_a.ts 60")
        synced = "redis-cli -p 6381 zcard 15062017:85 | grep -qx 1"
        until(lambda: machine.run(synced, status=None).status == 0, "the replica is not in sync")
        line = machine.at("/var/spool/cron/crontabs/root").read_text().split(maxsplit=5)[5].strip()
        said = machine.run(f"env -i SHELL=/bin/sh HOME=/root LOGNAME=root PATH=/usr/bin:/bin sh -c {shlex.quote(line)}")
        shown = machine.at("/root/programme").read_text("utf-8")
        expect("film_a" in shown and "Ma chaîne" in shown, f"the old cron line says:\n{said.out}{shown}")
        machine.run("dvbboxes program 15062017 --service_id 85", "member")  # its log line after root's
    finally:
        machine.run("redis-cli -p 6381 shutdown nosave; redis-cli shutdown nosave", status=None)
    machine.run("rm -f /root/programme")


def elsewhere(machine: Machine) -> None:
    """A log that is elsewhere, as in the original's example, is named, with what to do."""
    machine.run(f"cp -p {CONFIGURATION} /root/good && sed -i 's,^filepath=.*,filepath=/tmp/old.log,' {CONFIGURATION}")
    said = machine.run(f"cd {CODE} && make install && cp -p /root/good {CONFIGURATION}").out
    expect("note: [LOG] filepath is /tmp/old.log: let the group dvbboxes write it" in said, f"of the log:\n{said}")
    expect("python2" not in said, f"an upgrade of ours speaks of the original:\n{said}")


def leave_original(machine: Machine) -> None:
    """Uninstalling gives the package its command back; its removal takes nothing of ours; pip's stays aside."""
    said = machine.run(f"cd {CODE} && make uninstall").out
    expect("is the one of the package python-dvbboxes again" in said, f"make uninstall says:\n{said}")
    machine.run('test -z "$(dpkg --verify python-dvbboxes)" && test -z "$(dpkg-divert --list "*dvbboxes*")"')
    machine.lacks("/usr/bin/dvbboxes.python2", "/usr/local/bin/dvbboxes", RAN)
    machine.has("/usr/local/bin/dvbboxes.python2")
    machine.run(f"cd {CODE} && make install && dpkg --purge python-dvbboxes")
    machine.run("dvbboxes config check", "member")
    machine.lacks("/usr/bin/dvbboxes.python2", RAN)
    machine.run(f"cd {CODE} && make purge")
    machine.run('test -z "$(dpkg-divert --list "*dvbboxes*")"')
    machine.lacks("/usr/bin/dvbboxes", "/usr/local/bin/dvbboxes", "/var/lib/dvbboxes-cron")
    sweep_original(machine)


def sweep_original(machine: Machine) -> None:
    """Take away what lay_original laid down."""
    machine.run("rm -rf /usr/local/bin/dvbboxes* /usr/local/lib/python2.7 /root/python-dvbboxes* /usr/bin/python*2.7")
    machine.run(
        "rm -rf /usr/bin/python /var/spool/cron/crontabs/root /etc/dvbboxes /var/log/dvbboxes /var/lib/dvbboxes"
    )


# --- the Debian package -----------------------------------------------------------------------------------------------

NEXT = "/home/dev/next"


def deb(machine: Machine) -> None:
    """The package: installed, upgraded to another version over a changed configuration, back, removed, purged."""
    machine.run(f"cd {CODE} && make deb", "dev", network=False)
    package = next(machine.at(f"{CODE}/dist").glob("*.deb")).name
    machine.run(f"{BARE} dpkg -i {CODE}/dist/{package}", network=False)
    machine.run("usermod -aG dvbboxes member; dvbboxes --version")
    machine.run("dvbboxes config check", "member")
    everybodys(machine)
    said = complaint(machine.run(f"cd {CODE} && make install", status=2).out)
    expect("Debian package" in said, f"make install over the package: {said}")
    upgrade_package(machine, f"{CODE}/dist/{package}")
    machine.run("dpkg --remove dvbboxes")
    machine.lacks("/usr/lib/dvbboxes", "/usr/bin/dvbboxes")
    machine.has(CONFIGURATION, "/var/lib/dvbboxes/kept")
    said = machine.run("dpkg --purge dvbboxes").out
    machine.lacks("/etc/dvbboxes", "/var/lib/dvbboxes", "/var/lib/dvbboxes-cron", "/var/log/dvbboxes")
    machine.lacks("/etc/cron.d/dvbboxes")
    expect("warning" not in said, f"the purge is not clean:\n{said}")


def next_package(machine: Machine) -> str:
    """Build the package of a version 9.9.9, whose example configuration and whose modules are others."""
    machine.run(
        f"cd /home/dev && git clone -q source.git {NEXT} && cd {NEXT} && "
        """sed -i -E 's/^(__version__.*= )".*"/\\1"9.9.9"/' dvbboxes/__init__.py && """
        "echo '# of 9.9.9' >>etc/configuration && touch dvbboxes/only_in_9.py && make && make deb",
        "dev",
    )
    return f"{NEXT}/dist/{next(machine.at(f'{NEXT}/dist').glob('dvbboxes_9.9.9_*.deb')).name}"


#: As an administrator types it who wants no questions.
DPKG = "DEBIAN_FRONTEND=noninteractive dpkg --force-confdef --force-confold -i"


def upgrade_package(machine: Machine, older: str) -> None:
    """To a higher version and back; a configuration that the new one refuses."""
    newer = next_package(machine)
    machine.run(f"echo '# mine' >>{CONFIGURATION}; echo kept >/var/lib/dvbboxes/kept; cp -p {CONFIGURATION} /root/good")
    log = machine.run("cat /var/log/dvbboxes/dvbboxes.log").out
    machine.run(f"{BARE} {DPKG} {newer}", network=False)
    stands(machine, "9.9.9")
    machine.has(f"{CONFIGURATION}.dpkg-dist")
    expect(machine.run("cat /var/log/dvbboxes/dvbboxes.log").out.startswith(log), "the log has lost something")
    refused_configuration(machine, newer)
    machine.run(f"{DPKG} {older}", network=False)
    stands(machine, Path(older).name.split("_")[1])


def stands(machine: Machine, version: str) -> None:
    """Raise Wrong unless the package of this version, and nothing of another, is there and works for its users."""
    expect(machine.run("dvbboxes --version", "member").out == f"dvbboxes {version}\n", f"the command is not {version}")
    said = machine.run("dpkg-query -W -f '${db:Status-Status} ${Version}' dvbboxes").out
    expect(said == f"installed {version}", f"dpkg says {said}")
    found = sorted(path.name for path in machine.at("/usr/lib/dvbboxes/lib").rglob("dvbboxes-*.dist-info"))
    expect(found == [f"dvbboxes-{version}.dist-info"], f"another version is left: {found}")
    modules = machine.run("find /usr/lib/dvbboxes -name 'only_in_9*'").out.splitlines()
    expect(len(modules) == (2 if version == "9.9.9" else 0), f"module and bytecode of 9.9.9: {modules}")
    machine.run(f"cmp {CONFIGURATION} /root/good")
    machine.run('test -z "$(dvbboxes config check --quiet)"', "member")
    everybodys(machine)


def refused_configuration(machine: Machine, package: str) -> None:
    """One line says what is wrong and what to do; the package waits half-configured and is done once it is mended."""
    machine.run(f"sed -i 's/^level=10/level=loud/' {CONFIGURATION}")
    said = machine.run(f"{DPKG} {package}", status=1).out
    ours = [line for line in said.splitlines() if line.startswith("dvbboxes: ")]
    wanted = len(ours) == 1 and f"{CONFIGURATION}:" in ours[0] and ours[0].endswith("then: dpkg --configure dvbboxes")
    expect(wanted and "Traceback" not in said, f"a configuration that is refused:\n{said}")
    status = machine.run("dpkg-query -W -f '${db:Status-Status}' dvbboxes; dvbboxes --version").out
    expect(status == "half-configureddvbboxes 9.9.9\n", f"it waits as {status}")
    machine.run(f"cp -p /root/good {CONFIGURATION} && dpkg --configure dvbboxes")
    stands(machine, "9.9.9")


def package_original(machine: Machine) -> None:
    """The package over the original: that one's package is replaced, the configuration kept, pip's command named."""
    lay_original(machine)
    package = next(machine.at(f"{CODE}/dist").glob("*.deb")).name
    said = machine.run(f"{DPKG} {CODE}/dist/{package}", network=False).out
    expect("/usr/local/bin/dvbboxes is another dvbboxes and comes first in PATH: remove it" in said, said)
    expect(machine.at(CONFIGURATION).read_text("utf-8") == ORIGINAL_CONFIGURATION, "the configuration is another")
    gone = machine.run("dpkg-query -W -f '${db:Status-Status}' python-dvbboxes", status=None)
    expect(gone.out != "installed", f"python-dvbboxes is {gone.out}")
    machine.run("rm /usr/local/bin/dvbboxes && usermod -aG dvbboxes member")
    said = machine.run("dvbboxes config check", "member").out
    expect("warning" not in said, f"a member is warned:\n{said}")
    machine.lacks(RAN, "/usr/bin/dvbboxes.python2")
    machine.run("dpkg --purge dvbboxes")
    machine.lacks("/usr/bin/dvbboxes")
    sweep_original(machine)


def lintian(machine: Machine) -> None:
    """lintian has no error that is not overridden, where it can be had."""
    machine.run(f"{APT} lintian")
    said = machine.run(f"cd {CODE} && lintian --fail-on error dist/*.deb", "dev", status=None)
    expect(said.status == 0, f"lintian:\n{said.out}")


STAGES: tuple[Callable[[Machine], None], ...] = (
    debian, clone, demo, test, build, install, use, replica, upgrade, remove, original, deb, package_original, lintian
)  # fmt: skip


def say(line: str) -> None:
    """Say one thing, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(words: list[str]) -> int:
    """Run the stages, each with its time."""
    if os.geteuid():
        sys.stderr.write("make test-system: it makes a machine, and only root may: sudo make test-system\n")
        return 2
    if "DVBBOXES_UNSHARED" not in os.environ:
        # Mounts of our own, and processes of our own: whatever is left ends with us.
        environ = {**os.environ, "DVBBOXES_UNSHARED": "1"}
        unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        return subprocess.run([*unshare, sys.executable, __file__, *words], env=environ, check=False).returncode
    root = Path(tempfile.mkdtemp(prefix="dvbboxes-system-", dir=os.environ.get("DVBBOXES_SYSTEM_TMP")))
    root.chmod(0o755)
    began = time.monotonic()
    try:
        for stage in STAGES:
            if words and stage.__name__ not in (*words, "debian", "clone"):
                continue
            since = time.monotonic()
            stage(Machine(root))
            say(f"ok  {stage.__name__:<10} {time.monotonic() - since:6.1f} s")
    except (Wrong, subprocess.SubprocessError, OSError) as error:
        say(f"FAILED in {stage.__name__}: {error}")
        return 1
    finally:
        clean(root)
    say(f"ok  all of it  {time.monotonic() - began:6.1f} s")
    return 0


def clean(root: Path) -> None:
    """Unmount and remove the machine; nothing of the host's is below a mount by then."""
    unmount(root)
    if os.environ.get("DVBBOXES_SYSTEM_KEEP"):
        say(f"the machine is kept: {root}")
    elif any(os.path.ismount(root / what) for what in ("proc", "sys", "dev")):
        say(f"{root} is still mounted and is left alone")
    else:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
