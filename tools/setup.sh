#!/bin/sh
# Finds a Python that can make .venv and hands over to setup.py. PYTHON=/path/to/python chooses one.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)

# A version manager's shim answers to its name and then fails: only running a candidate tells.
fits() {
    "$1" -c "import sys$2; sys.exit(sys.version_info < (3, 11))" >/dev/null 2>&1
}

if [ -n "${PYTHON:-}" ]; then
    fits "$PYTHON" ', venv' && exec "$PYTHON" "$root/tools/setup.py" "$@"
    echo "setup: PYTHON=$PYTHON is not a Python 3.11 or newer with the module venv." >&2
    exit 1
fi

if fits "$root/.venv/bin/python" ''; then
    exec "$root/.venv/bin/python" "$root/tools/setup.py" "$@"
fi

candidates="python3.13 python3.12 python3.11 python3.14 python3 python"
for directory in "${PYENV_ROOT:-${HOME:-/nonexistent}/.pyenv}"/versions/3.1[1-4].*/bin /usr/local/bin /opt/*/bin; do
    [ -x "$directory/python3" ] && candidates="$candidates $directory/python3"
done

# Debian ships a Python without ensurepip until python3-venv is installed; with pip or uv it serves as well.
for modules in ', venv, ensurepip' ', venv, pip' ', venv'; do
    for candidate in $candidates; do
        fits "$candidate" "$modules" && exec "$candidate" "$root/tools/setup.py" "$@"
    done
done

echo "setup: no Python 3.11 or newer was found (Debian: apt-get install python3 python3-venv; or set PYTHON)." >&2
exit 1
