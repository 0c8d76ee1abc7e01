"""The re-match attack: authorized as one route, served by another, because a filter made Envoy look again.

The filter chain is the compiler's own, with one thing added that a later feature could bring: filters behind ext_authz
that change a header which a route matches on, and clear the route cache. Each attack is also run with the guard taken
out, where it must succeed: otherwise the test would prove nothing.
"""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from envoy.config.route.v3 import route_components_pb2 as route_pb
from envoy.extensions.filters.http.header_mutation.v3 import header_mutation_pb2 as header_mutation_pb
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as http_connection_manager_pb,
)
from envoy_data_plane.envoy.config.core.v3 import DataSource, SubstitutionFormatString
from envoy_data_plane.envoy.extensions.filters.common.set_filter_state.v3 import FilterStateValue
from envoy_data_plane.envoy.extensions.filters.http.set_filter_state.v3 import Config
from google.protobuf.any_pb2 import Any as ProtoAny

from control_plane.compile import compile_file, snapshots
from control_plane.envoy_check import static_bootstrap
from control_plane.xds import names
from control_plane.xds.packing import packed
from control_plane.xds.wiring import Wiring
from service_kit.endpoint import parse_endpoint
from tests.support.envoy import static_envoy
from tests.support.issuers import issuers, token
from tests.support.ports import free_port
from tests.support.upstream import Upstream, running_upstream

CONFIG = """
version: 1
listeners: {{public: {{address: "127.0.0.1:{port}"}}}}
identity: {{bearer_tokens: [{{name: ops, token: a-bearer-token-for-tests}}]}}
upstreams: {{echo: {{url: "{upstream}"}}}}
routes:
  - {{name: open, match: {{path: /door}}, upstream: echo, auth: none, rewrite: /open}}
  - {{name: admin, match: {{path: /door/*}}, upstream: echo, auth: [bearer], rewrite: /admin}}
"""
# Envoy judges the token itself, under the demands of the first route.
NATIVE = """
version: 1
listeners: {{public: {{address: "127.0.0.1:{port}"}}}}
identity:
  jwt:
    - name: accounts
      issuer: "https://accounts.example.com"
      audiences: [gateway]
      algorithms: [RS256]
      keys: {{file: accounts.json}}
      enforce: envoy
upstreams: {{echo: {{url: "{upstream}"}}}}
routes:
  - {{name: open, match: {{path: /door}}, upstream: echo, auth: [jwt], rewrite: /open}}
  - {{name: admin, match: {{path: /door/*}}, upstream: echo, auth: [jwt], require: {{scopes: [all]}}, rewrite: /admin}}
"""
SET_FILTER_STATE = "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config"
Manager = http_connection_manager_pb.HttpConnectionManager


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with running_upstream() as running:
        yield running


def test_a_public_request_is_not_served_by_an_admin_route(upstream: Upstream, tmp_path: Path):
    guarded, unguarded = (_asked(upstream, tmp_path, guarded=guarded) for guarded in (True, False))

    assert unguarded.json()["path"] == "/admin"  # the attack is real
    assert guarded.status_code == 403
    assert guarded.json()["error"]["code"] == "route_changed"


def test_a_client_cannot_bring_the_profile_itself(upstream: Upstream, tmp_path: Path):
    gateway = compile_file(_config(upstream, tmp_path, free_port()), {}).gateway
    profile = next(route.demand.profile for route in gateway.routes if route.demand)

    response = _asked(upstream, tmp_path, guarded=True, headers={"x-tollgate-profile": profile})

    assert response.status_code == 403


def test_a_token_that_envoy_judged_is_not_served_by_a_route_that_demands_more(upstream: Upstream, tmp_path: Path):
    issuers(tmp_path, "envoy")  # writes the keys
    bearer = {"authorization": f"Bearer {token()}"}

    guarded, unguarded = (
        _asked(upstream, tmp_path, guarded=guarded, headers=bearer, written=NATIVE) for guarded in (True, False)
    )

    assert unguarded.json()["path"] == "/admin"
    assert (guarded.status_code, guarded.json()["error"]["code"]) == (403, "route_changed")


def _asked(
    upstream: Upstream, folder: Path, *, guarded: bool, headers: dict[str, str] | None = None, written: str = CONFIG
) -> httpx.Response:
    port = free_port()
    envoy, _ = snapshots(compile_file(_config(upstream, folder, port, written), {}).gateway, _wiring(folder))
    bootstrap = static_bootstrap(envoy)
    for listener in bootstrap.static_resources.listeners:
        manager = Manager.FromString(listener.filter_chains[0].filters[0].typed_config.value)
        _open_the_door(manager, guarded=guarded)
        listener.filter_chains[0].filters[0].typed_config.CopyFrom(packed(manager))
    with static_envoy(bootstrap, folder):
        return httpx.get(f"http://127.0.0.1:{port}/door", headers={"x-flag": "1", **(headers or {})}, trust_env=False)


def _open_the_door(manager: Manager, *, guarded: bool) -> None:
    """The public route is matched by a header, which is removed behind the authorizer before Envoy looks again."""
    for host in manager.route_config.virtual_hosts:
        for route in host.routes:
            if route.name == "open":
                route.match.headers.add(name="x-flag").present_match = True
    mutation = header_mutation_pb.HeaderMutation()
    mutation.mutations.request_mutations.add(remove="x-flag")
    # newer than protobuf's generated messages, so from the other library
    look_again = Config(clear_route_cache=True, on_request_headers=[_some_state()])
    packed_look_again = ProtoAny(type_url=SET_FILTER_STATE, value=bytes(look_again))
    chain = list(manager.http_filters)
    behind_authz = next(i for i, link in enumerate(chain) if link.name == names.EXT_AUTHZ) + 1
    added = [
        http_connection_manager_pb.HttpFilter(name="test.mutation", typed_config=packed(mutation)),
        http_connection_manager_pb.HttpFilter(name="test.look_again", typed_config=packed_look_again),
    ]
    del manager.http_filters[:]
    manager.http_filters.extend([*chain[:behind_authz], *added, *chain[behind_authz:]])
    if not guarded:
        _without(manager, names.PROFILE_GUARD)


def _some_state() -> FilterStateValue:
    source = DataSource(inline_string="1")
    return FilterStateValue(
        object_key="tollgate.test",
        factory_key="envoy.string",
        format_string=SubstitutionFormatString(text_format_source=source),
    )


def _without(manager: Manager, name: str) -> None:
    kept = [link for link in manager.http_filters if link.name != name]
    del manager.http_filters[:]
    manager.http_filters.extend(kept)
    for host in manager.route_config.virtual_hosts:
        for route in host.routes:
            _forget(route, name)


def _forget(route: route_pb.Route, name: str) -> None:
    if name in route.typed_per_filter_config:
        del route.typed_per_filter_config[name]


def _config(upstream: Upstream, folder: Path, port: int, written: str = CONFIG) -> Path:
    file = folder / "gateway.yaml"
    file.write_text(written.format(port=port, upstream=upstream.url))
    return file


def _wiring(folder: Path) -> Wiring:
    """Nobody listens there: a request that needs an answer of a service is refused."""
    dead = parse_endpoint(f"unix:{folder}/nobody.sock")
    return Wiring(authz=dead, ratelimit=dead, access_log=str(folder / "access.log"))
