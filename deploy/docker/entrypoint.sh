#!/bin/sh
# `docker run tollgate`: a mounted configuration where there is one, else what the environment says; `docker run
# tollgate ARGUMENT...` is the command of that name.
set -eu
mkdir -p "$TMPDIR"
if [ $# -gt 0 ]; then
    exec tollgate "$@"
fi
if [ -n "$(ls /etc/tollgate)" ]; then
    exec tollgate run /etc/tollgate
fi
exec tollgate run
