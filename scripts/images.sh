#!/usr/bin/env bash
# Builds the three images, tagged with the version of pyproject.toml.
# Usage: scripts/images.sh [ARGUMENTS OF docker build, such as --platform or --network=host]
# Where pip needs settings to reach a package index, they are mounted for the build alone: PIP_CONFIG_FILE and PIP_CERT.
set -euo pipefail
cd "$(dirname "$0")/.."

die() {
    echo "error: $1" >&2
    exit 1
}

command -v docker >/dev/null || die "there is no docker: install it, or run Tollgate without images (make setup)"
docker version --format '{{.Server.Version}}' >/dev/null 2>&1 \
    || die "no container engine answers: start one, or name it in DOCKER_HOST"

version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
secrets=()
[[ -f ${PIP_CONFIG_FILE:-} ]] && secrets+=(--secret "id=pipconf,src=$PIP_CONFIG_FILE")
[[ -f ${PIP_CERT:-} ]] && secrets+=(--secret "id=cabundle,src=$PIP_CERT")

image() { # TARGET NAME
    DOCKER_BUILDKIT=1 docker build --quiet --file deploy/docker/Dockerfile --target "$1" --tag "$2:$version" \
        --build-arg "VERSION=$version" --build-arg "REVISION=$revision" "${secrets[@]}" "${arguments[@]}" . >/dev/null
    echo "$2:$version"
}

arguments=("$@")
image python tollgate-python
image envoy tollgate-envoy
image all tollgate
