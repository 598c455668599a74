#!/bin/sh
# What `make` runs, as any user: everything that `sudo make install` will need, in build/. It speaks to PyPI, root will not.
# usage: etc/build.sh PYTHON
set -eu
umask 022
cd "$(dirname "$0")/.."
"$1" -c 'import sys; sys.exit("dvbboxes needs Python 3.11 or newer: make PYTHON=..." if sys.version_info < (3, 11) else 0)'
"$1" -c 'import ensurepip, venv' 2>/dev/null || {
    echo 'make: this Python makes no virtual environments: as root, apt-get install python3-venv' >&2
    exit 1
}
rm -rf build/tool build/wheelhouse build/lib build/bdist.* build/made
mkdir -p build
"$1" -m venv build/tool
tool=build/tool/bin/python
pip() {
    "$tool" -I -m pip --disable-pip-version-check --no-input "$@"
}
pip install --quiet -c etc/constraints.txt setuptools
pip wheel --quiet --no-deps --no-build-isolation -w build/wheelhouse .
rm -rf build/lib build/bdist.*
pip download --quiet --only-binary :all: -c etc/constraints.txt -d build/wheelhouse "$(ls build/wheelhouse/dvbboxes-*.whl)[completion]"
# Made from what is to be installed, by what is to be installed: a wheel that is missing is found now.
pip install --quiet --no-index --find-links build/wheelhouse 'dvbboxes[completion]'
"$tool" -I etc/manpage.py >build/dvbboxes.1
"$tool" -I -c 'import argcomplete, sys; sys.stdout.write(argcomplete.shellcode(["dvbboxes"], shell="bash"))' >build/dvbboxes.bash
"$tool" -I -c 'import sys, dvbboxes; sys.stdout.write("%d.%d %s\n" % (*sys.version_info[:2], dvbboxes.__version__))' >build/made
echo "built dvbboxes $(cut -d' ' -f2 build/made) in build/; next: sudo make install"
