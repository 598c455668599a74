"""What `make demo` (start) and `make demo-stop` (stop) run, with the Python of the checkout's .venv.

The demo belongs to the checkout: its name is made of the checkout's path, so two of them side by side never meet.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import zlib
from datetime import date, timedelta
from pathlib import Path

from dvbboxes.demo import fleet

CHECKOUT = Path(__file__).resolve().parent.parent
BIN = CHECKOUT / ".venv" / "bin"
#: What a shell reads to go on: the command, the demo's name and its configuration.
DOT_DEMO = CHECKOUT / ".demo"
#: Each is an answer, not a failure: a difference was found, somebody did not answer.
ANSWERS = {0, 1, 4}
SHOWN = ("program show tomorrow -s 85 --from 00:30", "check")


def demo_name() -> str:
    """Return the name of this checkout's demo."""
    return f"checkout-{zlib.crc32(os.fsencode(CHECKOUT)):08x}"


def environment(config_path: str) -> dict[str, str]:
    """Return the environment of the commands that are shown: what .demo makes of a shell's."""
    return {
        **os.environ,
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "DVBBOXES_CONFIG": config_path,
        "DVBBOXES_DEMO": demo_name(),
    }


def running() -> fleet.DemoState | None:
    """Return this checkout's demo if it runs and its programs reach beyond tomorrow; an older one is ended."""
    state = fleet.status(demo_name())
    if state is None or state.last_day > date.today() + timedelta(days=1):
        return state
    say(f"The demo of this checkout has programs until {state.last_day:%d-%m-%Y} only: it is started anew.")
    fleet.stop(demo_name())
    return None


def say(line: str) -> None:
    """Write a line for the reader, in its turn with what the commands write."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def run(*words: str, environ: dict[str, str]) -> int:
    """Run one command line of dvbboxes and return its exit status."""
    return subprocess.run(["dvbboxes", *words], env=environ, check=False).returncode


def write_dot_demo(config_path: str) -> None:
    """Write what ``. ./.demo`` reads."""
    folder = shlex.quote(str(BIN))
    DOT_DEMO.write_text(
        "# Made by `make demo`, gone after `make demo-stop`. Read it with:  . ./.demo\n"
        f'case ":$PATH:" in *:{folder}:*) ;; *) PATH={folder}:$PATH ;; esac\n'
        f"DVBBOXES_CONFIG={shlex.quote(config_path)}\n"
        f"DVBBOXES_DEMO={demo_name()}\n"
        "export PATH DVBBOXES_CONFIG DVBBOXES_DEMO\n"
    )


def start() -> None:
    """Start the demo unless it runs, and show what there is to see; the command with the most to say comes last."""
    if (state := running()) is None:
        # As a process of its own: the fleet must outlive this one, and the command is what a reader would type.
        status = run("demo", "start", "--name", demo_name(), "--quiet", environ=environment(os.devnull))
        state = fleet.status(demo_name())
        if status or state is None:
            sys.exit(status or 1)
        say("Two towns of two servers are running here, each with its replica, and some trouble.")
    else:
        say("The demo of this checkout is running already.")
    write_dot_demo(state.config_path)
    for line in SHOWN:
        say(f"\n$ dvbboxes {line}")
        if (status := run(*line.split(), environ=environment(state.config_path))) not in ANSWERS:
            sys.exit(f"make demo: 'dvbboxes {line}' ended with status {status}")
    say("\nTo go on:  . ./.demo       puts the command and this fleet into your shell")
    say("           make demo-stop  ends the fleet")


def stop() -> None:
    """End the demo of this checkout, if there is one."""
    fleet.stop(demo_name())
    DOT_DEMO.unlink(missing_ok=True)


if __name__ == "__main__":
    verbs = {"start": start, "stop": stop}
    if len(sys.argv) != 2 or sys.argv[1] not in verbs:
        sys.exit("usage: demo.py start|stop")
    verbs[sys.argv[1]]()
