#!/bin/sh
# What `make demo` (start) and `make demo-stop` (stop) run. It uses the installed command as anybody would.
set -eu
cd "$(dirname "$0")/.."
PATH=$PWD/.venv/bin:$PATH
export PATH
unset DVBBOXES_CONFIG

# Run a command as if it were typed here. 1 (a difference) and 4 (partial) are answers, not failures.
show() {
    printf '\n$ %s\n' "$*"
    status=0
    "$@" || status=$?
    case $status in
    0 | 1 | 4) ;;
    *)
        echo "make demo: '$*' ended with status $status" >&2
        exit "$status"
        ;;
    esac
}

# .demo is what a shell reads to go on: the command and the configuration of the running demo.
write_dot_demo() {
    python - <<'PYTHON'
import os, shlex, sys
from pathlib import Path

from dvbboxes.demo.fleet import status

demo = status()
if demo is None:
    sys.exit("make demo: the demo fleet is not running")
bin_folder = shlex.quote(os.path.abspath(".venv/bin"))
Path(".demo").write_text(
    "# Made by `make demo`, gone after `make demo-stop`. Read it with:  . ./.demo\n"
    f"""case ":$PATH:" in *:{bin_folder}:*) ;; *) PATH={bin_folder}:$PATH ;; esac\n"""
    f"DVBBOXES_CONFIG={shlex.quote(demo.config_path)}\n"
    "export PATH DVBBOXES_CONFIG\n"
)
PYTHON
}

start() {
    if dvbboxes demo status >/dev/null 2>&1; then
        echo 'The demo fleet is running already (make demo-stop ends it).'
    else
        printf '$ dvbboxes demo start\n'
        dvbboxes demo start
    fi
    write_dot_demo
    . ./.demo
    show dvbboxes cluster status
    show dvbboxes program show today
    show dvbboxes program show tomorrow -s 85 --towns toamasina
    show dvbboxes config show
    cat <<'EOT'

The fleet stays up. To go on:

  . .demo           puts dvbboxes and this configuration in your shell (sh and zsh: . ./.demo)

  dvbboxes program show +2 -s 85,86
  dvbboxes cluster status --towns tana
  dvbboxes program show today -s 85 --format json

  make demo-stop    ends the fleet
EOT
}

stop() {
    status=0
    if [ -x .venv/bin/dvbboxes ]; then
        dvbboxes demo stop || status=$?
    fi
    rm -f .demo
    exit "$status" # 0 where there was none to stop, too
}

case ${1-} in
start | stop) "$1" ;;
*)
    echo "usage: $0 start|stop" >&2
    exit 2
    ;;
esac
