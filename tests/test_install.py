"""`make` and `make install`, staged: what stands where, what an upgrade keeps, and that a failure changes nothing.

What needs root and a machine of its own is in tests/system.
"""

from __future__ import annotations

import fcntl
import importlib.util
import marshal
import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, ModuleType

import pytest
from processes import ROOT

#: A whole installation, several times over: run by make test-slow.
pytestmark = pytest.mark.slow

LONG = 300
#: What a make that runs the tests, or whoever typed it, hands on.
OURS = ("DESTDIR", "PREFIX", "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "LOCK_WAIT", "NO_COMPILE", "AGAIN")
LIB = "usr/lib/dvbboxes"
SOURCES = ("Makefile", "setup.py", "pyproject.toml", "README.rst", "LICENSE", "MANIFEST.in", "dvbboxes", "etc")


def make(checkout: Path, *words: str, umask: int = 0o022, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run make in a checkout, as from a shell of its own."""
    kept = {name: value for name, value in os.environ.items() if name not in OURS}
    return subprocess.run(
        ["make", "--no-print-directory", f"PYTHON={sys.executable}", *words],
        cwd=checkout, env=kept | environ, umask=umask, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=LONG, check=False,
    )  # fmt: skip


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line that a failed make says, without make's own."""
    lines = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("make: ***")]
    assert done.returncode and len(lines) == 1, done.stdout + done.stderr
    return lines[0]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, need: Callable[[object, str], None]) -> Path:
    """A copy of this checkout in which `make` has been run; one for all workers."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    checkout = shared / "checkout"
    with (shared / "checkout.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not checkout.exists():
            copy(checkout)
            done = make(checkout)
            (checkout / "said").write_text(done.stdout + done.stderr)
    need((checkout / "build/made").exists(), f"make needs PyPI: {(checkout / 'said').read_text()[-2000:]}")
    return checkout


def copy(checkout: Path) -> None:
    checkout.mkdir()
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy2(source, checkout / name)


@pytest.fixture(scope="session")
def pristine(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A staged install, made under umask 077; tests work on copies of it."""
    folder = tmp_path_factory.mktemp("pristine") / "root"
    done = make(built, "install", f"DESTDIR={folder}", umask=0o077)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def staged(pristine: Path, tmp_path: Path) -> Path:
    """A staged install of a test's own."""
    folder = tmp_path / "root"
    shutil.copytree(pristine, folder, symlinks=True)
    return folder


def files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def command(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command of a staged install as its first line would, were it in its place."""
    python, launcher = root / LIB / "bin/python3", root / LIB / "bin/dvbboxes"
    return subprocess.run([python, "-I", launcher, *words], capture_output=True, text=True, timeout=LONG, check=False)


def test_everything_stands_where_it_should_and_runs(pristine: Path) -> None:
    for path in (
        "etc/dvbboxes/configuration", "etc/cron.d/dvbboxes", "etc/logrotate.d/dvbboxes",
        "usr/share/man/man1/dvbboxes.1.gz", "usr/share/bash-completion/completions/dvbboxes",
        "usr/lib/systemd/system/dvbboxes-check.timer",
        "usr/lib/sysusers.d/dvbboxes.conf", "usr/lib/tmpfiles.d/dvbboxes.conf",
    ):  # fmt: skip
        assert (pristine / path).is_file(), path
    assert (pristine / "usr/bin/dvbboxes").resolve() == pristine / LIB / "bin/dvbboxes"
    assert (pristine / LIB / "bin/dvbboxes").read_text().startswith("#!/usr/lib/dvbboxes/bin/python3 -I\n")
    said = command(pristine, "--version")
    assert (said.returncode, said.stderr) == (0, "") and said.stdout.startswith("dvbboxes ")
    assert not (pristine / "var").exists(), "users and folders of the machine are no business of a staged install"


def test_everybody_may_read_it_whatever_the_umask_of_root(pristine: Path) -> None:
    closed = [path for path in (pristine, *pristine.rglob("*")) if not path.is_symlink() and not _open_to_all(path)]
    assert closed == []


def _open_to_all(path: Path) -> bool:
    mode = path.stat().st_mode
    wanted = stat.S_IROTH | (stat.S_IXOTH if path.is_dir() else 0)
    return mode & wanted == wanted and not mode & stat.S_IWOTH


def test_no_path_of_the_build_is_left_in_anything(pristine: Path, built: Path) -> None:
    places = (str(pristine).encode(), str(built).encode(), b"dvbboxes.new")
    named = [path for path in files(pristine) if any(place in path.read_bytes() for place in places)]
    assert named == []


def test_the_bytecode_is_compiled_for_where_it_will_stand(pristine: Path) -> None:
    site = next((pristine / LIB).glob("lib/python3*/site-packages"))
    compiled = next((site / "dvbboxes/__pycache__").glob("main.cpython-*.pyc"))
    code = marshal.loads(compiled.read_bytes()[16:])
    assert isinstance(code, CodeType)
    assert code.co_filename == f"/{LIB}/lib/{site.parent.name}/site-packages/dvbboxes/main.py"


def test_prefix_is_honoured(built: Path, tmp_path: Path) -> None:
    assert make(built, "install", f"DESTDIR={tmp_path}", "PREFIX=/opt/tv").returncode == 0
    assert (tmp_path / "opt/tv/lib/dvbboxes/bin/dvbboxes").read_text().startswith("#!/opt/tv/lib/dvbboxes/bin/python3")
    unit = (tmp_path / "opt/tv/lib/systemd/system/dvbboxes-check.service").read_text()
    assert "ExecStart=/opt/tv/bin/dvbboxes " in unit
    assert not (tmp_path / "usr").exists()


def test_an_upgrade_keeps_what_is_the_administrators(built: Path, staged: Path) -> None:
    configuration, cron = staged / "etc/dvbboxes/configuration", staged / "etc/cron.d/dvbboxes"
    rotation, pristine = staged / "etc/logrotate.d/dvbboxes", staged / "usr/share/dvbboxes/logrotate"
    for mine in (configuration, cron):
        mine.write_text(mine.read_text() + "# mine\n")
    for old in (rotation, pristine):  # as a version before put it there
        old.write_text("# older\n")
    (staged / LIB / "old").touch()
    done = make(built, "install", f"DESTDIR={staged}")
    assert done.returncode == 0, done.stderr
    assert configuration.read_text().endswith("# mine\n") and cron.read_text().endswith("# mine\n")
    assert configuration.with_name("configuration.dist").read_bytes() == (ROOT / "etc/configuration").read_bytes()
    assert rotation.read_bytes() == (ROOT / "etc/logrotate").read_bytes()
    assert not (staged / LIB / "old").exists()
    assert sorted(path.name for path in (staged / "usr/lib").glob("dvbboxes*")) == ["dvbboxes"]


def test_a_configuration_that_the_new_version_refuses_stops_before_the_swap(built: Path, staged: Path) -> None:
    configuration = staged / "etc/dvbboxes/configuration"
    configuration.write_text(configuration.read_text().replace("level=10", "level=loud"))
    unchanged_by(
        lambda: make(built, "install", f"DESTDIR={staged}"), staged, f"{configuration}:", "nothing was changed"
    )


#: As Debian's packages of Python 2 programs, setup.py and pip wrote it.
PYTHON_2 = "#!/usr/bin/python\n__requires__ = 'dvbboxes==0.1'\nload_entry_point('dvbboxes==0.1')()\n"


def place(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_the_command_of_the_original_is_kept_beside_ours_and_out_of_the_way(built: Path, tmp_path: Path) -> None:
    own = place(tmp_path / "usr/bin/dvbboxes", PYTHON_2)
    first = place(tmp_path / "usr/local/bin/dvbboxes", PYTHON_2.replace("python", "env python2.7"))
    done = make(built, "install", f"DESTDIR={tmp_path}")
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith("note: ")]
    assert said == [
        f"note: {own} was the Python 2 original: kept as {own}.python2",
        f"note: {first} was the Python 2 original and came first in PATH: kept as {first}.python2",
    ]
    assert own.resolve() == tmp_path / LIB / "bin/dvbboxes" and not first.exists()
    assert Path(f"{own}.python2").read_text() == PYTHON_2 and Path(f"{first}.python2").exists()
    assert "note" not in make(built, "install", f"DESTDIR={tmp_path}").stdout, "an upgrade of ours"
    assert make(built, "uninstall", f"DESTDIR={tmp_path}").returncode == 0
    assert not os.path.lexists(own) and not first.exists(), "an original came back"


def test_another_command_is_named_and_nothing_of_it_is_lost(built: Path, tmp_path: Path) -> None:
    own = place(tmp_path / "usr/bin/dvbboxes", "#!/bin/sh\nexec mine\n")
    first = place(tmp_path / "usr/local/bin/dvbboxes", "#!/home/me/venv/bin/python\nimport dvbboxes\n")
    said = make(built, "install", f"DESTDIR={tmp_path}").stdout
    assert f"note: {own} was not ours: kept as {own}.before\n" in said
    assert f"note: {first} is another dvbboxes and comes first in PATH: remove it\n" in said
    assert Path(f"{own}.before").read_text() == "#!/bin/sh\nexec mine\n" and first.exists()


def test_a_wheel_that_is_missing_changes_nothing(built: Path, staged: Path, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    shutil.copytree(built, checkout, symlinks=True)
    next((checkout / "build/wheelhouse").glob("flask-3*.whl")).unlink()
    unchanged_by(lambda: make(checkout, "install", f"DESTDIR={staged}"), staged, "nothing was changed")


def test_a_swap_that_fails_puts_the_old_one_back(built: Path, staged: Path) -> None:
    shutil.rmtree(staged / "usr/bin")
    (staged / "usr/bin").touch()  # no command can be made there
    unchanged_by(lambda: make(built, "install", f"DESTDIR={staged}"), staged, "usr/bin")


def test_what_was_not_there_is_not_half_there_after_a_failure(built: Path, tmp_path: Path) -> None:
    (tmp_path / "usr").mkdir()
    (tmp_path / "usr/bin").touch()
    assert "usr/bin" in complaint(make(built, "install", f"DESTDIR={tmp_path}"))
    assert [path.name for path in (tmp_path / "usr/lib").iterdir()] == [] and not (tmp_path / "etc").exists()


def unchanged_by(action: Callable[[], subprocess.CompletedProcess[str]], root: Path, *words: str) -> None:
    """Assert that a failing install says one line with these words, and leaves the old one whole and working."""
    (root / LIB / "old").touch()
    said = complaint(action())
    assert all(word in said for word in words), said
    assert (root / LIB / "old").exists()
    assert sorted(path.name for path in (root / "usr/lib").glob("dvbboxes*")) == ["dvbboxes"]
    assert command(root, "--version").returncode == 0


def test_install_without_make_says_so_in_one_line(tmp_path: Path) -> None:
    copy(tmp_path / "checkout")
    said = complaint(make(tmp_path / "checkout", "install", f"DESTDIR={tmp_path}/root"))
    assert said == "make install: run `make` first, as yourself and not as root"
    assert not (tmp_path / "root").exists()


def test_sources_newer_than_the_build_are_not_installed_by_halves(built: Path, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    shutil.copytree(built, checkout, symlinks=True)
    os.utime(checkout / "dvbboxes/main.py", (4e9, 4e9))
    assert "run `make` first" in complaint(make(checkout, "install", f"DESTDIR={tmp_path}/root"))


def test_too_old_a_python_says_so_in_one_line(tmp_path: Path) -> None:
    copy(tmp_path / "checkout")
    old = tmp_path / "python3"
    old.write_text(
        f"#!/bin/sh\nexec {sys.executable} -c 'import sys; sys.version_info = (3, 9, 2); exec(sys.argv[1])' \"$2\"\n"
    )
    old.chmod(0o755)
    assert complaint(make(tmp_path / "checkout", f"PYTHON={old}")) == (
        "dvbboxes needs Python 3.11 or newer: make PYTHON=..."
    )


def test_another_python_below_it_says_so_in_one_line(staged: Path) -> None:
    site = next((staged / LIB).glob("lib/python3*"))
    site.rename(site.with_name("python3.9"))
    said = command(staged, "--version")
    assert said.returncode == 1 and len(said.stderr.splitlines()) == 1
    assert "`make clean all`, then `sudo make install`" in said.stderr


def test_uninstall_keeps_configuration_and_what_was_changed_and_purge_nothing(built: Path, staged: Path) -> None:
    cron = staged / "etc/cron.d/dvbboxes"
    cron.write_text("# mine\n")
    (staged / "var/lib/dvbboxes").mkdir(parents=True)
    assert make(built, "uninstall", f"DESTDIR={staged}").returncode == 0
    left = {str(path.relative_to(staged)) for path in staged.rglob("*dvbboxes*")}
    assert left == {"etc/dvbboxes", "var/lib/dvbboxes"}
    assert {path.name for path in (staged / "etc/dvbboxes").iterdir()} == {"configuration", "cron.d.kept"}
    assert make(built, "purge", f"DESTDIR={staged}").returncode == 0
    assert list(staged.rglob("*dvbboxes*")) == []


# --- the installer's own functions, where a machine of its own would be needed ----------------------------------------


@pytest.fixture(scope="module")
def installer() -> Iterator[ModuleType]:
    yield from loaded("install")


@pytest.fixture(scope="module")
def account() -> Iterator[ModuleType]:
    yield from loaded("account")


def loaded(name: str) -> Iterator[ModuleType]:
    path, alias = list(sys.path), f"dvbboxes_etc_{name}"
    spec = importlib.util.spec_from_file_location(alias, ROOT / f"etc/{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[alias] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    yield module
    sys.path[:] = path
    del sys.modules[alias]


def test_only_root_installs_into_the_machine(
    installer: ModuleType, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installer, "BUILD", built / "build")
    monkeypatch.setattr(installer.os, "geteuid", lambda: 1000)
    with pytest.raises(installer.Stop, match="only root may do that: sudo make install"):
        installer.check_machine(installer.Places())


def test_an_apply_that_holds_the_lock_is_waited_for(
    installer: ModuleType, pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, places = pristine / LIB, installer.Places()
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        monkeypatch.setenv("LOCK_WAIT", "0.3")
        refused = pytest.raises(installer.Stop, match=r"another run holds the lock.*nothing was changed")
        with refused, installer.locked(places, new, str(tmp_path)):
            pytest.fail("the lock is held by another")
        monkeypatch.setenv("LOCK_WAIT", "60")
        freed = threading.Timer(0.5, fcntl.flock, (lock, fcntl.LOCK_UN))
        freed.start()
        with installer.locked(places, new, str(tmp_path)):
            assert freed.finished.is_set(), "it did not wait"
            with pytest.raises(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # given back


@pytest.mark.parametrize(
    "shebang",
    ["/usr/bin/python", "/usr/bin/python2", "/usr/bin/python2.7 -E", "/usr/bin/env python", "/usr/local/bin/python2.7"],
)
def test_the_command_of_the_original_is_known(installer: ModuleType, tmp_path: Path, shebang: str) -> None:
    assert installer.is_original(place(tmp_path / "dvbboxes", f"#!{shebang}\nfrom dvbboxes import cli\n"))


@pytest.mark.parametrize(
    "text",
    ["#!/usr/bin/python3\ndvbboxes", "#!/opt/venv/bin/python\ndvbboxes", "#!/bin/sh\ndvbboxes",
     "#!/usr/bin/python\nimport another\n", "", "\x7fELF\xff"],
)  # fmt: skip
def test_nothing_else_is_taken_for_the_original(installer: ModuleType, tmp_path: Path, text: str) -> None:
    command = place(tmp_path / "dvbboxes", text)
    assert not installer.is_original(command)
    original, link = place(tmp_path / "real", PYTHON_2), tmp_path / "link"
    link.symlink_to(original)
    assert not installer.is_original(link) and not installer.is_original(tmp_path)


def test_a_diversion_that_fails_leaves_the_command_where_it_was(
    installer: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installer, "package_of", lambda command: "python-dvbboxes")

    def locked(*words: str) -> None:
        raise installer.Stop(f"{words[0]} failed (locked); nothing was changed")

    monkeypatch.setattr(installer, "run", locked)
    command = place(tmp_path / "bin/dvbboxes", PYTHON_2)
    lib, new = tmp_path / "lib/dvbboxes", tmp_path / "lib/dvbboxes.new"
    for folder in (lib, new):
        folder.mkdir(parents=True)
    (lib / "old").touch()
    with pytest.raises(installer.Stop, match="dpkg-divert failed"):
        installer.swap(installer.Places(prefix=str(tmp_path)), new)
    assert command.read_text() == PYTHON_2 and (lib / "old").exists()
    assert not (tmp_path / "bin/dvbboxes.python2").exists()


# --- the user and the folders: the group may write in them, and root does not trust what it finds there ---------------


def homes(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A data folder with a key of cron's user in it, the key, and the home of its own."""
    data, home = tmp_path / "data", tmp_path / "home"
    (data / ".ssh").mkdir(parents=True, mode=0o700)
    home.mkdir(mode=0o700)
    key = data / ".ssh/id"
    key.write_text("key")
    key.chmod(0o600)
    return data, home, key


def test_the_key_of_crons_user_is_moved_out_of_the_groups_folder(
    account: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, home, _ = homes(tmp_path)
    account.move_keys(data, home, os.geteuid())
    assert (home / ".ssh/id").read_text() == "key" and not (data / ".ssh").exists()
    assert capsys.readouterr().out.startswith(f"note: {data}/.ssh, the ssh key of cron's user, is now {home}/.ssh")


@pytest.mark.parametrize("how", ["written by the group", "a link", "a folder of the group", "another user's"])
def test_a_key_that_another_may_have_written_is_put_aside(
    account: ModuleType, tmp_path: Path, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data, home, key = homes(tmp_path)
    user = os.geteuid()
    if how == "written by the group":
        key.chmod(0o660)
    elif how == "a folder of the group":
        key.parent.chmod(0o770)
    elif how == "a link":
        (data / ".ssh/config").symlink_to(key)
    elif user:
        pytest.skip("only root can make a file another's")
    else:
        os.chown(key, 12345, -1)
    account.move_keys(data, home, user)
    assert not (home / ".ssh").exists() and (home / ".ssh.untrusted/id").exists()
    assert "make a new key" in capsys.readouterr().out


def test_a_link_in_the_place_of_the_key_is_not_followed(account: ModuleType, tmp_path: Path) -> None:
    data, home, key = homes(tmp_path)
    key.parent.rename(tmp_path / "elsewhere")
    (data / ".ssh").symlink_to(tmp_path / "elsewhere")
    account.move_keys(data, home, os.geteuid())
    assert not os.path.lexists(home / ".ssh") and (tmp_path / "elsewhere/id").exists()
    (data / ".ssh").touch(0o600)
    account.move_keys(data, home, os.geteuid())
    assert not os.path.lexists(home / ".ssh"), "a file is no folder"


def test_a_key_that_is_there_already_is_left_alone(account: ModuleType, tmp_path: Path) -> None:
    data, home, _ = homes(tmp_path)
    (home / ".ssh").mkdir()
    account.move_keys(data, home, os.geteuid())
    assert list((home / ".ssh").iterdir()) == [] and (data / ".ssh/id").exists()


def test_what_is_given_to_the_group_is_a_file_of_that_folder_and_no_link(account: ModuleType, tmp_path: Path) -> None:
    secret, plain = tmp_path / "secret", tmp_path / "plain"
    link, second = tmp_path / "link", tmp_path / "second"
    for file in (secret, plain):
        file.touch(0o600)
    link.symlink_to(secret)
    second.hardlink_to(secret)
    group = os.getegid()
    for path in (link, second, plain):
        account.share_file(path, group)
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(plain.stat().st_mode) == 0o660
    (tmp_path / "log").symlink_to(tmp_path / "made")
    account.share_file(tmp_path / "log", group, os.O_CREAT)
    assert not (tmp_path / "made").exists()
    account.share_file(tmp_path / "new", group, os.O_CREAT)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o660


def test_log_and_data_elsewhere_and_an_old_key_are_named(
    installer: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = installer.Places(destdir=str(tmp_path))
    path = place(tmp_path / "etc/dvbboxes/configuration", "options=-i /var/lib/dvbboxes/.ssh/id\n")
    installer.say_what_is_left(places, "/tmp/dvbboxes.log", "/srv/tv")
    assert capsys.readouterr().out.splitlines() == [
        "note: [LOG] filepath is /tmp/dvbboxes.log: let the group dvbboxes write it, or name "
        "/var/log/dvbboxes/dvbboxes.log",
        "note: [DATA] folder is /srv/tv: let the group dvbboxes write there (chgrp -R dvbboxes, chmod -R g+w, g+s)",
        f"note: {path} names /var/lib/dvbboxes/.ssh: the key of cron's user belongs in /var/lib/dvbboxes-cron/.ssh",
    ]
    path.write_text("")
    installer.say_what_is_left(places, "/var/log/dvbboxes/dvbboxes.log", "/var/lib/dvbboxes")
    assert capsys.readouterr().out == ""


def test_the_maintainer_stands_in_one_place() -> None:
    address = "maintainers@dvbboxes.example"
    searched = [*(ROOT / "etc").rglob("*"), *(ROOT / "docs").rglob("*.rst"), ROOT / "setup.py", ROOT / "pyproject.toml"]
    named = [path.name for path in searched if path.is_file() and address.encode() in path.read_bytes()]
    assert named == ["setup.py"]
