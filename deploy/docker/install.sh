#!/bin/sh
# Installs what a lock file names, each file checked against its hash: install.sh LOCK (--python PATH | --target FOLDER)
set -eu
lock=$1
shift
if [ -f /run/secrets/cabundle ]; then
    export PIP_CERT=/run/secrets/cabundle
fi
case $1 in
    --python) exec pip --python "$2" install --quiet --no-deps --only-binary :all: --require-hashes -r "$lock" ;;
    *) exec pip install --quiet --no-deps --only-binary :all: --require-hashes -r "$lock" "$@" ;;
esac
