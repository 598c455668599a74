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


def install(machine: Machine) -> None:
    """`sudo make install`: root with umask 077, without network, leaves nothing of root's in the checkout."""
    machine.run(f"cd {CODE} && umask 077 && make install", network=False)
    left = machine.run(f"find {CODE} -user root").out
    expect(not left, f"root left this in the checkout:\n{left}")
    machine.has("/usr/bin/dvbboxes", CONFIGURATION, "/etc/cron.d/dvbboxes", "/etc/logrotate.d/dvbboxes")
    named = machine.run(f"grep -rl {CODE} /usr/lib/dvbboxes /usr/share/dvbboxes /etc/dvbboxes", status=None).out
    expect(not named, f"the checkout is named in:\n{named}")
    machine.run("adduser --quiet member dvbboxes 2>/dev/null || usermod -aG dvbboxes member")


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
    machine.run("find /usr/lib/dvbboxes -name '*.pyc' | grep -q dvbboxes/__pycache__/main")
    machine.run("zcat /usr/share/man/man1/dvbboxes.1.gz | grep -q '^.SH EXIT STATUS'")
    line = "dvbboxes clus"
    completion = (
        f"source /usr/share/bash-completion/completions/dvbboxes; COMP_LINE='{line}'; COMP_POINT={len(line)}; "
        '_python_argcomplete dvbboxes clus dvbboxes; echo "${COMPREPLY[@]}"'
    )
    expect("cluster" in machine.run(f"bash -c {shlex.quote(completion)}", "member").out, "no completion")


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


def replica(machine: Machine) -> None:
    """With a systemd inside: `replicas install` starts a unit, its replica follows a master, the timer is right."""
    if shutil.which("systemd-nspawn") is None:
        expect(os.environ.get("DVBBOXES_TEST_REQUIRE") != "all", "no systemd-nspawn: apt-get install systemd-container")
        say("    skipped: there is no systemd-nspawn (apt-get install systemd-container)")
        return
    apt = "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends"
    machine.run(f"{apt} systemd systemd-sysv redis-server")
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


def deb(machine: Machine) -> None:
    """The package: installed, upgraded over a changed configuration, removed, purged."""
    machine.run(f"cd {CODE} && make deb", "dev", network=False)
    package = next(machine.at(f"{CODE}/dist").glob("*.deb")).name
    machine.run(f"dpkg -i {CODE}/dist/{package}", network=False)
    machine.run("usermod -aG dvbboxes member; dvbboxes --version")
    machine.run("dvbboxes config check", "member")
    machine.run("find /usr/lib/dvbboxes -name '*.pyc' | grep -q dvbboxes/__pycache__/main")
    said = complaint(machine.run(f"cd {CODE} && make install", status=2).out)
    expect("Debian package" in said, f"make install over the package: {said}")
    machine.run(f"echo '# mine' >>{CONFIGURATION}; dpkg -i {CODE}/dist/{package} && grep -q '# mine' {CONFIGURATION}")
    machine.run("dpkg --remove dvbboxes")
    machine.lacks("/usr/lib/dvbboxes", "/usr/bin/dvbboxes")
    machine.has(CONFIGURATION, "/var/lib/dvbboxes")
    said = machine.run("dpkg --purge dvbboxes").out
    machine.lacks("/etc/dvbboxes", "/var/lib/dvbboxes", "/var/log/dvbboxes", "/etc/cron.d/dvbboxes")
    expect("warning" not in said, f"the purge is not clean:\n{said}")


def lintian(machine: Machine) -> None:
    """lintian has no error that is not overridden, where it can be had."""
    machine.run("apt-get update -qq && apt-get install -qq -y --no-install-recommends lintian")
    said = machine.run(f"cd {CODE} && lintian --fail-on error dist/*.deb", "dev", status=None)
    expect(said.status == 0, f"lintian:\n{said.out}")


STAGES: tuple[Callable[[Machine], None], ...] = (
    debian, clone, demo, test, build, install, use, replica, upgrade, remove, deb, lintian
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
