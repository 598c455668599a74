"""Write docs/picture.svg, the picture in README.rst: real output of a real command on the demo fleet, with its colours.

``python docs/picture.py CONFIG WORDS ...`` runs ``dvbboxes WORDS ...`` in a terminal of its own and prints the picture.
"""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from html import escape

WIDTH, LINE, CHAR = 124, 17, 7.83
COLORS = {"31": "#e5534b", "32": "#57ab5a", "33": "#c69026", "36": "#39c5cf"}
_SGR = re.compile(r"\x1b\[([0-9;]*)m")


def run(words: list[str], config: str) -> str:
    """Return what the command writes to a terminal of WIDTH columns."""
    ours, theirs = pty.openpty()
    environ = {**os.environ, "DVBBOXES_CONFIG": config, "COLUMNS": str(WIDTH), "TERM": "xterm-256color"}
    command = [sys.executable, "-m", "dvbboxes", *words]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, stdin=theirs, env=environ):
        os.close(theirs)
        output = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            output += part
    os.close(ours)
    return output.decode().replace("\r\n", "\n").rstrip("\n")


def spans(line: str) -> str:
    """Return one line of the picture as SVG spans."""
    parts, look = [], ""
    pieces = _SGR.split(line)
    for number, piece in enumerate(pieces):
        if number % 2:
            look = "" if piece in ("", "0") else piece
        elif piece:
            parts.append(f"<tspan{_style(look)}>{escape(piece)}</tspan>")
    return "".join(parts)


def _style(look: str) -> str:
    if look == "1":
        return ' font-weight="bold"'
    if look == "2":
        return ' fill="#768390"'
    if look == "7":
        return ' fill="#1c2128" filter="url(#on)"'
    return f' fill="{COLORS[look]}"' if look in COLORS else ""


def picture(lines: list[str]) -> str:
    """Return the SVG of the lines."""
    height = LINE * len(lines) + 24
    text = "\n".join(
        f'<text x="14" y="{24 + LINE * n}" xml:space="preserve">{spans(line)}</text>' for n, line in enumerate(lines)
    )
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH * CHAR:.0f}" height="{height}"
  font-family="ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace" font-size="13" fill="#cdd9e5">
<filter id="on" x="0" y="-0.1" width="1" height="1.2"><feFlood flood-color="#adbac7"/>
<feComposite in="SourceGraphic"/></filter>
<rect width="100%" height="100%" rx="8" fill="#1c2128"/>
{text}
</svg>
"""


if __name__ == "__main__":
    config, *words = sys.argv[1:]
    shown = [f"$ dvbboxes {' '.join(words)}", *run(words, config).splitlines()]
    sys.stdout.write(picture(shown))
