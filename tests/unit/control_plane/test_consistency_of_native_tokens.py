"""Whatever could keep the authorizer from being asked without Envoy's own verdict is refused."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from envoy.config.listener.v3 import listener_pb2 as listener_pb
from envoy.config.rbac.v3 import rbac_pb2 as rbac_pb
from envoy.config.route.v3 import route_components_pb2 as route_pb
from envoy.config.route.v3 import route_pb2 as route_configuration_pb
from envoy.extensions.filters.http.ext_authz.v3 import ext_authz_pb2 as ext_authz_pb
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as rbac_filter_pb
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb

from control_plane.consistency import InconsistentSnapshot, checked
from control_plane.snapshot import Snapshot
from control_plane.xds import names
from control_plane.xds.filters.per_route import ON
from control_plane.xds.packing import packed
from tests.support.authz import rsa_jwk
from tests.support.compiled import IDENTITY, config, private, route, snapshots, with_resource

Routes = dict[str, route_pb.Route]
Links = dict[str, hcm_pb.HttpFilter]
TOKENS = (names.JWT_AUTHN, names.NATIVE_TOKEN, names.OWN_SIGNATURE, names.OWN_TOKEN)


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> tuple[Snapshot, Snapshot]:
    return snapshots(_config(tmp_path_factory.mktemp("keys")))


def _config(folder: Path) -> dict[str, Any]:
    (folder / "jwks.json").write_text(json.dumps({"keys": [rsa_jwk("k1")]}))
    issuer = {
        "name": "accounts",
        "issuer": "https://accounts.example.com",
        "audiences": ["gateway"],
        "algorithms": ["RS256"],
        "keys": {"file": str(folder / "jwks.json")},
        "enforce": "envoy",
    }
    tokens = {"issuer": "https://gateway.example.com", "audiences": ["gateway"], "enforce": "envoy"}
    return config(
        identity={**IDENTITY, "jwt": [issuer], "tokens": tokens},
        routes=[
            route("any", "/any", auth=["jwt"]),
            route("scoped", "/scoped", auth=["jwt", "bearer"], require={"scopes": ["a", "b"], "roles": ["c", "d"]}),
            private("bearers", "/bearers"),
            route("public", "/public"),
        ],
    )


def test_the_right_one_is_right(right: tuple[Snapshot, Snapshot]) -> None:
    assert checked(*right) is right[0]


def _grant(route: route_pb.Route) -> rbac_filter_pb.RBACPerRoute:
    return rbac_filter_pb.RBACPerRoute.FromString(route.typed_per_filter_config[names.NATIVE_GRANT].value)


def _with_grant(name: str, change: Callable[[rbac_filter_pb.RBACPerRoute], None]) -> Callable[[Routes], None]:
    def changed(routes: Routes) -> None:
        grant = _grant(routes[name])
        change(grant)
        routes[name].typed_per_filter_config[names.NATIVE_GRANT].CopyFrom(packed(grant))

    return changed


def _of_another_route(routes: Routes) -> None:
    routes["scoped"].typed_per_filter_config[names.NATIVE_GRANT].CopyFrom(
        routes["any"].typed_per_filter_config[names.NATIVE_GRANT]
    )


def _where_no_token_is_accepted(routes: Routes) -> None:
    for name in (names.OWN_SIGNATURE, names.OWN_TOKEN, names.NATIVE_GRANT, names.NATIVE_IDENTITY):
        routes["bearers"].typed_per_filter_config[name].CopyFrom(routes["any"].typed_per_filter_config[name])


def _without(*dropped: str) -> Callable[[Routes], None]:
    def changed(routes: Routes) -> None:
        for name in dropped:
            routes["any"].typed_per_filter_config.pop(name)

    return changed


def _ways(grant: rbac_filter_pb.RBACPerRoute) -> Iterator[rbac_pb.Principal]:
    for policy in grant.rbac.shadow_rules.policies.values():
        yield from policy.principals[0].or_ids.ids


def _drop(index: int) -> Callable[[rbac_filter_pb.RBACPerRoute], None]:
    def changed(grant: rbac_filter_pb.RBACPerRoute) -> None:
        for way in _ways(grant):
            del way.and_ids.ids[index]

    return changed


def _anybody(grant: rbac_filter_pb.RBACPerRoute) -> None:
    for policy in grant.rbac.shadow_rules.policies.values():
        policy.principals[0].or_ids.ids.add(any=True)


def _enforced(grant: rbac_filter_pb.RBACPerRoute) -> None:
    grant.rbac.rules.CopyFrom(grant.rbac.shadow_rules)


def _another_prefix(grant: rbac_filter_pb.RBACPerRoute) -> None:
    grant.rbac.shadow_rules_stat_prefix = "else_"


def _credential_alone(routes: Routes) -> None:
    routes["bearers"].typed_per_filter_config[names.NATIVE_CREDENTIAL].CopyFrom(ON)


ROUTE_CHANGES = {
    "of-another-route": (_of_another_route, "under another profile than its own"),
    "where-no-token-is-accepted": (_where_no_token_is_accepted, "lets Envoy judge tokens, which it does not accept"),
    "without-verification": (_without(names.JWT_AUTHN), "speaks to one of the filters"),
    "without-verdict-on-the-token": (_without(names.NATIVE_TOKEN), "speaks to one of the filters"),
    "without-verification-of-own": (_without(names.OWN_SIGNATURE), "speaks to one of the filters"),
    "without-verdict-on-own": (_without(names.OWN_TOKEN), "speaks to one of the filters"),
    "without-any-verdict": (_without(*TOKENS), "judges tokens and says nothing of what they need"),
    "without-grant": (_without(names.NATIVE_GRANT), "speaks to one of the filters"),
    "without-any-grant": (_without(names.NATIVE_GRANT, names.NATIVE_IDENTITY), "judges tokens and says nothing"),
    "without-identity": (_without(names.NATIVE_IDENTITY), "speaks to one of the filters"),
    "no-look-at-the-token": (_with_grant("any", _drop(0)), "on which there is no verdict"),
    "a-scope-forgotten": (_with_grant("scoped", _drop(1)), "without asking for a"),
    "roles-forgotten": (_with_grant("scoped", _drop(3)), "without asking for c, d"),
    "anybody": (_with_grant("scoped", _anybody), "on which there is no verdict"),
    "refusing": (_with_grant("any", _enforced), "otherwise than by saying yes"),
    "another-prefix": (_with_grant("any", _another_prefix), "under another profile than its own"),
    "credentials-removed": (_credential_alone, "removes credentials that the authorizer may mean"),
}


@pytest.mark.parametrize("name", ROUTE_CHANGES)
def test_a_wrong_route_is_refused(right: tuple[Snapshot, Snapshot], name: str) -> None:
    envoy, policies = right
    change, fault = ROUTE_CHANGES[name]
    table = route_configuration_pb.RouteConfiguration.FromString(envoy.of(names.ROUTES_TYPE)[names.ROUTES].body)
    change({item.name: item for item in table.virtual_hosts[0].routes})

    with pytest.raises(InconsistentSnapshot, match=fault):
        checked(with_resource(envoy, names.ROUTES_TYPE, names.ROUTES, table), policies)


def _always_skipped(links: Links) -> None:
    asked = ext_authz_pb.ExtAuthz()
    links[names.EXT_AUTHZ].typed_config.Unpack(asked)
    asked.filter_enabled_metadata.invert = False
    links[names.EXT_AUTHZ].typed_config.CopyFrom(packed(asked))


def _by_another_verdict(links: Links) -> None:
    asked = ext_authz_pb.ExtAuthz()
    links[names.EXT_AUTHZ].typed_config.Unpack(asked)
    asked.filter_enabled_metadata.path[0].key = "token_shadow_effective_policy_id"
    links[names.EXT_AUTHZ].typed_config.CopyFrom(packed(asked))


def _granting(links: Links) -> None:
    everybody = rbac_pb.Policy(permissions=[rbac_pb.Permission(any=True)], principals=[rbac_pb.Principal(any=True)])
    rules = rbac_pb.RBAC(action=rbac_pb.RBAC.ALLOW, policies={"p": everybody})
    granting = rbac_filter_pb.RBAC(shadow_rules=rules, shadow_rules_stat_prefix="native_")
    links[names.NATIVE_GRANT].typed_config.CopyFrom(packed(granting))


def _on_for_all(links: Links) -> None:
    links[names.JWT_AUTHN].disabled = False


def _waited_for(links: Links) -> None:
    links[names.OWN_TOKEN].config_discovery.apply_default_config_without_warming = False


def _trusting_at_first(links: Links) -> None:
    _granting(links)
    links[names.OWN_TOKEN].config_discovery.default_config.CopyFrom(links[names.NATIVE_GRANT].typed_config)
    links[names.NATIVE_GRANT].typed_config.CopyFrom(packed(rbac_filter_pb.RBAC()))


def _with_the_listener(links: Links) -> None:
    links[names.OWN_TOKEN].typed_config.CopyFrom(packed(rbac_filter_pb.RBAC()))


def _taken(name: str) -> Callable[[Links], None]:
    return lambda links: links.pop(name) and None


CHAIN_CHANGES = {
    "never-asked": (_always_skipped, "under another condition"),
    "by-another-verdict": (_by_another_verdict, "under another condition"),
    "granting-everywhere": (_granting, "on routes that say nothing"),
    "verifying-everywhere": (_on_for_all, "on for all routes"),
    "no-verdict-on-tokens": (_taken(names.NATIVE_TOKEN), "without the others that judge tokens"),
    "no-verdict-on-own-tokens": (_taken(names.OWN_TOKEN), "without the others that judge tokens"),
    "own-tokens-waited-for": (_waited_for, "beside a configuration"),
    "own-tokens-trusted-at-first": (_trusting_at_first, "beside a configuration"),
    "own-tokens-with-the-listener": (_with_the_listener, "beside a configuration"),
    "no-removal": (_taken(names.NATIVE_CREDENTIAL), "without the others that judge tokens"),
}


@pytest.mark.parametrize("name", CHAIN_CHANGES)
def test_a_wrong_chain_is_refused(right: tuple[Snapshot, Snapshot], name: str) -> None:
    envoy, policies = right
    change, fault = CHAIN_CHANGES[name]
    listener = listener_pb.Listener.FromString(envoy.of(names.LISTENER_TYPE)["public"].body)
    manager = hcm_pb.HttpConnectionManager()
    listener.filter_chains[0].filters[-1].typed_config.Unpack(manager)
    links = {link.name: link for link in manager.http_filters}
    change(links)
    kept = [link for link in manager.http_filters if link.name in links]
    copies = [hcm_pb.HttpFilter.FromString(link.SerializeToString()) for link in kept]
    del manager.http_filters[:]
    manager.http_filters.extend(copies)
    listener.filter_chains[0].filters[-1].typed_config.CopyFrom(packed(manager))

    with pytest.raises(InconsistentSnapshot, match=fault):
        checked(with_resource(envoy, names.LISTENER_TYPE, "public", listener), policies)


def test_without_native_issuers_everybody_is_asked() -> None:
    envoy, policies = snapshots(config(identity=IDENTITY, routes=[private()]))
    listener = listener_pb.Listener.FromString(envoy.of(names.LISTENER_TYPE)["public"].body)
    manager = hcm_pb.HttpConnectionManager()
    listener.filter_chains[0].filters[-1].typed_config.Unpack(manager)
    link = next(link for link in manager.http_filters if link.name == names.EXT_AUTHZ)
    asked = ext_authz_pb.ExtAuthz()
    link.typed_config.Unpack(asked)
    asked.filter_enabled_metadata.filter = "anything"
    link.typed_config.CopyFrom(packed(asked))
    listener.filter_chains[0].filters[-1].typed_config.CopyFrom(packed(manager))

    with pytest.raises(InconsistentSnapshot, match="under another condition"):
        checked(with_resource(envoy, names.LISTENER_TYPE, "public", listener), policies)
