"""Configurations through the server's own compiler, and compiled snapshots with one thing changed in them."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from google.protobuf.message import Message

from control_plane import compile as compiler
from control_plane.checked import Checked
from control_plane.compile import compile_file
from control_plane.snapshot import Snapshot, resource, snapshot
from control_plane.xds.packing import serialized
from control_plane.xds.wiring import Wiring
from service_kit.endpoint import parse_endpoint, unix_endpoint

WIRING = Wiring(
    authz=parse_endpoint("unix:/run/tollgate/authz.sock"),
    ratelimit=parse_endpoint("unix:/run/tollgate/ratelimit.sock"),
    access_log="/dev/stdout",
    oauth=unix_endpoint(Path("/run/tollgate/oauth.sock")),
    usage=unix_endpoint(Path("/run/tollgate/usage.sock")),
    translator=unix_endpoint(Path("/run/tollgate/translator.sock")),
)
JWT_SECRET = "an-hmac-secret-of-at-least-thirty-two-bytes"
TOKEN = "a-bearer-token-of-a-test"
MATCHED = ("methods", "hosts", "headers", "query", "priority")
IDENTITY = {"bearer_tokens": [{"name": "ops", "token": TOKEN}]}


def config(**changes: Any) -> dict[str, Any]:
    """A configuration with one listener and one upstream; the rest is the test's."""
    return {
        "version": 1,
        "listeners": {"public": {"address": "127.0.0.1:8800"}},
        "upstreams": {"email": {"url": "http://127.0.0.1:9001"}},
        **changes,
    }


def route(name: str = "email", path: str = "/email", **changes: Any) -> dict[str, Any]:
    """A public route; what says which requests it takes goes into its match."""
    match = {"path": path} | {key: changes.pop(key) for key in MATCHED if key in changes}
    return {"name": name, "match": match, "upstream": "email", "auth": "none", **changes}


def private(name: str = "email", path: str = "/email", **changes: Any) -> dict[str, Any]:
    """A route that asks for a bearer token."""
    return route(name, path, **{"auth": ["bearer"], **changes})


def written(folder: Path, content: Mapping[str, Any] | str) -> Path:
    """The configuration as a file of this folder."""
    file = folder / "gateway.yaml"
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(dict(content), sort_keys=False))
    return file


def compiled(content: Mapping[str, Any] | str, environ: Mapping[str, str] | None = None) -> Checked:
    with tempfile.TemporaryDirectory(prefix="compiled") as folder:
        return compile_file(written(Path(folder), content), environ or {})


def snapshots(content: Mapping[str, Any] | str) -> tuple[Snapshot, Snapshot]:
    """What Envoy and what the services are told."""
    gateway = compiled(content).gateway
    return compiler.snapshots(gateway, WIRING)


def without(source: Snapshot, type_url: str, name: str) -> Snapshot:
    """The snapshot without one resource."""
    assert name in source.of(type_url)
    return snapshot(
        item
        for named in source.resources.values()
        for item in named.values()
        if (item.type_url, item.name) != (type_url, name)
    )


def with_resource(source: Snapshot, type_url: str, name: str, message: Message) -> Snapshot:
    """The snapshot with one resource added or replaced."""
    kept = without(source, type_url, name) if name in source.of(type_url) else source
    items = [item for named in kept.resources.values() for item in named.values()]
    return snapshot([*items, resource(type_url, name, serialized(message))])
