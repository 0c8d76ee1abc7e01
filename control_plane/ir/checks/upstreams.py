"""Upstreams whose keys contradict each other."""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Final

from control_plane.config import model as config
from control_plane.config.errors import Path, Problem
from control_plane.ir.checks.headers import INTERNAL
from control_plane.ir.upstreams import tells_health

# Headers that say where a message begins and ends or to whom it goes, and those that the gateway sets itself.
NOT_FOR_CREDENTIALS: Final = re.compile(
    r"host|connection|keep-alive|proxy-connection|te|trailer|transfer-encoding|content-length|upgrade|expect"
    rf"|content-.*|forwarded|x-forwarded-.*|x-envoy-.*|{INTERNAL.pattern}"
)


def upstream_problems(source: config.Config) -> Iterator[Problem]:
    """What keeps upstreams from being reached as written."""
    for name, upstream in source.upstreams.items():
        path: Path = ("upstreams", name)
        yield from _endpoint_problems(upstream, path)
        yield from _client_problems(upstream, path)
        yield from _tls_problems(upstream, path)
        yield from _health_problems(upstream, path)
        yield from _credential_problems(upstream, path)


def _endpoint_problems(upstream: config.Upstream, path: Path) -> Iterator[Problem]:
    first, *others = upstream.addresses
    for other in others:
        if other.tls != first.tls:
            yield Problem((*path, "endpoints"), "some endpoints are http, some https", "make two upstreams of them")
            return
        if other.path != first.path:
            yield Problem((*path, "endpoints"), "the endpoints have different paths", "give all the same path")
            return


def _client_problems(upstream: config.Upstream, path: Path) -> Iterator[Problem]:
    if upstream.kubernetes is not None and find_spec("kubernetes") is None:
        message = "the Python package `kubernetes`, which follows Services, is not installed"
        yield Problem((*path, "kubernetes"), message, "pip install 'tollgate[kubernetes]', or write `url`")


def _tls_problems(upstream: config.Upstream, path: Path) -> Iterator[Problem]:
    if "tls" in upstream.model_fields_set and not any(address.tls for address in upstream.addresses):
        written = "https://HOST:PORT" if upstream.kubernetes is None else "`scheme: https` in `kubernetes`"
        yield Problem((*path, "tls"), "no endpoint is https", f"write {written}, or drop `tls`")


def _health_problems(upstream: config.Upstream, path: Path) -> Iterator[Problem]:
    check = upstream.health_check
    if isinstance(check, str):
        if upstream.readiness == "required":
            message = "nothing tells whether it is well, so nothing can wait for it"
            yield Problem((*path, "readiness"), message, "drop it, or `health_check: none`")
        return
    if check.grpc and upstream.protocol != "http2":
        yield Problem((*path, "health_check", "grpc"), "gRPC needs HTTP/2", "add `protocol: http2` to the upstream")
    if check.path is not None or check.grpc or tells_health(upstream):
        return
    for key in ("host", "statuses"):
        if key in check.model_fields_set:
            message = f"without `path`, the check opens a connection and asks nothing, so `{key}` is of no use"
            yield Problem((*path, "health_check", key), message, "add `path`, or drop it")


def _credential_problems(upstream: config.Upstream, path: Path) -> Iterator[Problem]:
    credential = upstream.credential
    if credential is not None and NOT_FOR_CREDENTIALS.fullmatch(credential.header):
        yield Problem(
            (*path, "credential", "header"),
            f"{credential.header!r} has a meaning of its own on the way to the upstream",
            "use another header, such as authorization or x-api-key",
        )
