"""How Sphinx makes pages of docs/: `make html`, without network and with every warning an error.

The sources stay plain docutils, which every forge shows as they are: links name files, and no page has a toctree. What
Sphinx wants instead is made here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes

HERE = Path(__file__).parent
_VERSION = re.search(
    r'"([^"]+)"', (HERE.parent / "dvbboxes/__init__.py").read_text("utf-8").partition("__version__")[2]
)

project = "dvbboxes"
version = release = _VERSION[1] if _VERSION else ""
copyright = "the dvbboxes authors"
html_theme = "furo"
html_title = f"dvbboxes {release}"
html_show_sourcelink = False
html_copy_source = False
exclude_patterns: list[str] = []


def setup(app: Any) -> None:
    """Hook in what the sources leave to us."""
    app.connect("source-read", _list_pages)
    app.connect("doctree-read", _link_pages)


def _list_pages(app: Any, name: str, source: list[str]) -> None:
    """Give the index a toctree of the pages it links to, in its order."""
    if name == "index":
        pages = dict.fromkeys(re.findall(r"<([a-z0-9/_-]+)\.rst>`_", source[0]))
        source[0] += "\n.. toctree::\n   :hidden:\n\n" + "".join(f"   {page}\n" for page in pages)


def _link_pages(app: Any, doctree: nodes.document) -> None:
    """Let a link to a source lead to the page made of it."""
    for reference in doctree.findall(nodes.reference):
        target = reference.get("refuri", "")
        if target.endswith(".rst") and "://" not in target:
            reference["refuri"] = f"{target.removesuffix('.rst')}.html"
