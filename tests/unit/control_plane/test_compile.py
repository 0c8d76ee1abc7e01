"""One file, one result: the same bytes from whatever order it is written in, and from every process."""

import json
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.compile import compile_file, snapshots
from control_plane.config.errors import InvalidConfig
from control_plane.snapshot import Snapshot
from control_plane.xds import names
from control_plane.xds.routes.refusals import REFUSALS
from service_kit.endpoint import TcpEndpoint
from tests.support.compiled import JWT_SECRET, TOKEN, WIRING, compiled, config, private, route, written

ROOT = Path(__file__).resolve().parents[3]
LIMITS = [
    {"requests": "5/second", "per": ["ip", "route"]},
    {"requests": "60/minute"},
    {"requests": "9/day", "per": "ip"},
]
FULL = config(
    listeners={"public": {"address": "127.0.0.1:8800"}, "inner": {"address": "127.0.0.1:8802"}},
    upstreams={
        "email": {"url": "http://127.0.0.1:9001"},
        "chat": {"endpoints": ["http://127.0.0.1:9003", "http://127.0.0.1:9002", "http://[::1]:9002"]},
        "named": {"url": "http://backend.internal:80"},
    },
    identity={
        "jwt": [
            {
                "name": name, "issuer": f"https://{name}.example.com", "audiences": ["gateway", "console"],
                "algorithms": ["HS512", "HS256"], "keys": {"secret": JWT_SECRET * 2},
            }
            for name in ("z", "a")
        ],
        "bearer_tokens": [
            {"name": "ops", "token": TOKEN, "scopes": ["s2", "s1"], "roles": ["r1", "r2"], "consumer": "acme"},
            {"name": "ci", "token": TOKEN + "-2"},
        ],
    },
    plans={"pro": {"limits": LIMITS}, "free": {"limits": LIMITS[:1]}, "none": {}},
    consumers=[{"name": "acme", "plan": "pro"}, {"name": "bob", "tenant": "t"}],
    defaults={"auth": ["jwt", "bearer"], "plan": "free"},
    routes=[
        private("all", "/*"),
        private("api", "/api/*", limits=LIMITS, require={"scopes": ["b", "a"], "roles": ["y", "x"]}),
        route("get", "/api/x", methods=["POST", "GET"], body_limit="1MiB"),
        route("put", "/api/x", methods=["PUT"]),
        route("hosted", "/api/*", hosts=["b.example.com", "*.example.com"], upstream="chat", streaming=True),
        {**private("inherits", "/named"), "upstream": "named", "auth": ["bearer", "jwt"]},
    ],
)  # fmt: skip


def shuffled(node: Any, chance: random.Random) -> Any:
    """The same configuration with its mappings and lists in another order."""
    if isinstance(node, Mapping):
        items = [(key, shuffled(value, chance)) for key, value in node.items()]
        return dict(chance.sample(items, len(items)))
    if isinstance(node, list):
        return chance.sample([shuffled(item, chance) for item in node], len(node))
    return node


def versions(*parts: Snapshot) -> dict[str, str]:
    return {type_url: part.version(type_url) for part in parts for type_url in part.resources}


def versions_of(content: Mapping[str, Any]) -> dict[str, str]:
    gateway = compiled(content).gateway
    return versions(*snapshots(gateway, WIRING))


EXPECTED = versions_of(FULL)


@settings(deadline=None, max_examples=25)
@given(chance=st.randoms(use_true_random=False))
def test_the_order_in_the_file_does_not_matter(chance: random.Random) -> None:
    assert versions_of(shuffled(FULL, chance)) == EXPECTED


def test_every_kind_of_resource_has_a_version() -> None:
    assert len(EXPECTED) == 6


@pytest.mark.parametrize("seed", ["0", "1", "4711"])
def test_another_process_makes_the_same_bytes(seed: str) -> None:
    code = (
        "import json, sys\n"
        "from tests.support.compiled import *\n"
        "envoy, policies = snapshots(sys.stdin.read())\n"
        "found = {t: part.version(t) for part in (envoy, policies) for t in part.resources}\n"
        "print(json.dumps(found))\n"
    )

    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], input=yaml.safe_dump(FULL), capture_output=True, text=True,
        check=True, cwd=ROOT, env={"PYTHONHASHSEED": seed, "PATH": ""},
    )  # fmt: skip

    assert json.loads(result.stdout) == EXPECTED


def test_every_mistake_of_meaning_is_told_at_its_place_with_the_files_that_may_cure_it(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "version: 1\nlisteners: {public: {address: 127.0.0.1:8800}}\nroutes:\n"
        "  - {name: a, match: {path: /a}, upstream: gone, auth: none}\n"
        "  - {name: b, match: {path: /b}, upstream: gone, auth: [jwt]}\n",
    )

    with pytest.raises(InvalidConfig) as refused:
        compile_file(file, {})

    assert [(error.location.line, error.path) for error in refused.value.errors] == [
        (4, ("routes", 0, "upstream")),
        (5, ("routes", 1, "upstream")),
        (5, ("routes", 1, "auth")),
    ]
    assert set(refused.value.files) == {file}


def test_what_was_written_is_kept_beside_what_it_means() -> None:
    checked = compiled(config(admin={"address": "127.0.0.1:9901"}, routes=[route()]))

    assert checked.listeners == {"public": TcpEndpoint("127.0.0.1", 8800)}
    assert checked.admin_address == TcpEndpoint("127.0.0.1", 9901)
    assert [item.name for item in checked.gateway.routes] == ["email"]


def test_a_gateway_without_routes_answers_404_and_compiles() -> None:
    envoy, _ = snapshots(compiled(config(routes=[])).gateway, WIRING)

    configuration = RouteConfiguration.FromString(envoy.of(names.ROUTES_TYPE)[names.ROUTES].body)
    *refused, last = configuration.virtual_hosts[0].routes
    assert [item.name for item in refused] == [item.name for item in REFUSALS]
    assert (last.name, last.direct_response.status) == (names.NO_ROUTE, 404)


def test_what_a_variable_holds_is_never_quoted() -> None:
    written = config(routes=[route(upstream="${UPSTREAM}")], defaults={"plan": "${PLAN}"})
    with pytest.raises(InvalidConfig) as caught:
        compiled(written, {"UPSTREAM": "of-a-secret", "PLAN": "of-a-secret"})

    assert ["there is no plan '${PLAN}'" in str(caught.value), "of-a-secret" in str(caught.value)] == [True, False]
    assert "there is no upstream '${UPSTREAM}'" in str(caught.value)
