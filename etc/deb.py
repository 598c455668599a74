"""`make deb`: the same content as `make install`, as a Debian package in dist/. Needs dpkg-deb, no root, no network."""

from __future__ import annotations

import gzip
import importlib.metadata
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
STAGE = CHECKOUT / "build/deb"
SCRIPTS = ("preinst", "postinst", "prerm", "postrm")


def main() -> None:
    """Stage, describe, pack; says where the package is."""
    os.umask(0o022)
    minor, version = (CHECKOUT / "build/made").read_text().split()
    if shutil.which("dpkg-deb") is None:
        sys.exit("make deb: there is no dpkg-deb here: it needs a Debian")
    system = Path("/usr/bin/python3").resolve()
    if Path(sys.executable).resolve() != system:
        sys.exit("make deb: build with Debian's own Python: make clean all PYTHON=/usr/bin/python3, then make deb")
    shutil.rmtree(STAGE, ignore_errors=True)
    again = f"install a dvbboxes package built for it (this one is for Python {minor})"
    environ = {**os.environ, "DESTDIR": str(STAGE), "PREFIX": "/usr", "NO_COMPILE": "1", "AGAIN": again}
    done = subprocess.run([sys.executable, "-I", "-B", str(HERE / "install.py"), "install"], env=environ, check=False,
                          stdout=subprocess.DEVNULL)  # fmt: skip
    if done.returncode:
        sys.exit(done.returncode)
    trim()
    documents(version)
    architecture = subprocess.run(
        ["dpkg", "--print-architecture"], capture_output=True, text=True, check=True
    ).stdout.strip()
    describe(version, minor, architecture)
    package = CHECKOUT / "dist" / f"dvbboxes_{version}_{architecture}.deb"
    package.parent.mkdir(exist_ok=True)
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(STAGE), str(package)], check=True,
                   stdout=subprocess.DEVNULL)  # fmt: skip
    if maintainer().endswith(".example>"):
        sys.stdout.write(f"note: the maintainer is {maintainer()}, who gets no mail: set MAINTAINER in setup.py\n")
    sys.stdout.write(f"built dist/{package.name} ({package.stat().st_size / 1e6:.1f} MB)\n")


def trim() -> None:
    """Take away what make install leaves for its own next run, and what the build wrote beside the wheels' files."""
    (STAGE / "usr/lib/dvbboxes/made-by-make").unlink()
    for folder in STAGE.rglob("__pycache__"):
        shutil.rmtree(folder)
    strip = shutil.which("strip")
    for library in STAGE.rglob("*.so"):
        library.chmod(0o644)
        if strip:
            subprocess.run([strip, "--strip-unneeded", str(library)], check=True)


def documents(version: str) -> None:
    """Put copyright, changelog and overrides where Debian looks for them."""
    doc = STAGE / "usr/share/doc/dvbboxes"
    doc.mkdir(parents=True)
    (doc / "copyright").write_bytes((HERE / "debian/copyright").read_bytes())
    # The moment of the last change, so that two builds of one checkout are one package.
    moment = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH") or _changed()), UTC)
    text = (
        f"dvbboxes ({version}) unstable; urgency=medium\n\n  * See docs/changelog.rst of the sources.\n\n"
        f" -- {maintainer()}  {format_datetime(moment)}\n"
    )
    (doc / "changelog.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    overrides = STAGE / "usr/share/lintian/overrides/dvbboxes"
    overrides.parent.mkdir(parents=True)
    overrides.write_bytes((HERE / "debian/lintian-overrides").read_bytes())


def maintainer() -> str:
    """Return who answers for the package, as setup.py says it (MAINTAINER there, and nowhere else)."""
    said = importlib.metadata.metadata("dvbboxes")
    return f"{said['Maintainer']} <{said['Maintainer-email']}>"


def _changed() -> float:
    return (CHECKOUT / "docs/changelog.rst").stat().st_mtime


def describe(version: str, minor: str, architecture: str) -> None:
    """Write DEBIAN/: control, conffiles and the maintainer's scripts."""
    folder = STAGE / "DEBIAN"
    folder.mkdir()
    size = sum(one.stat().st_size for one in STAGE.rglob("*") if one.is_file() and not one.is_symlink()) // 1024
    major, small = minor.split(".")
    values = {
        "VERSION": version,
        "ARCHITECTURE": architecture,
        "MINOR": minor,
        "NEXT": f"{major}.{int(small) + 1}",
        "SIZE": str(size),
        "MAINTAINER": maintainer(),
    }
    control = (HERE / "debian/control").read_text()
    for name, value in values.items():
        control = control.replace(f"@{name}@", value)
    (folder / "control").write_text(control)
    shutil.copyfile(HERE / "debian/conffiles", folder / "conffiles")
    for script in SCRIPTS:
        shutil.copyfile(HERE / "debian" / script, folder / script)
        (folder / script).chmod(0o755)


if __name__ == "__main__":
    main()
