"""Where the authorizer is not asked: only behind all that Envoy judges in its place, on the route's own demands."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from envoy.config.rbac.v3 import rbac_pb2 as rbac_pb
from envoy.config.route.v3 import route_components_pb2 as route_pb
from envoy.extensions.filters.http.ext_authz.v3 import ext_authz_pb2 as ext_authz_pb
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as rbac_filter_pb
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as http_connection_manager_pb,
)

from control_plane.consistency.filters import OF_BOTH, OF_OTHERS, OF_OWN
from control_plane.xds import names
from control_plane.xds.filters.ext_authz import not_granted
from control_plane.xds.filters.native.grant import STAT_PREFIX
from control_plane.xds.filters.native.matching import VERDICT
from control_plane.xds.filters.native.own import FILTERS
from control_plane.xds.filters.native.token import STAT_PREFIX as TOKEN_PREFIX
from service_kit.contract import (
    CREDENTIAL_JWT,
    EXTENSION_ACCEPT,
    EXTENSION_PROFILE,
    EXTENSION_ROLES,
    EXTENSION_SCOPES,
)

# The filters that judge tokens: those of other issuers, of the gateway itself, or both.
CHAINS: Final = tuple(
    frozenset({*verdicts, *OF_BOTH, names.NATIVE_CREDENTIAL}) for verdicts in (OF_OTHERS, OF_OWN, OF_OTHERS + OF_OWN)
)
# What a route demands in words, each of which is tested; a plan perhaps by being the default.
PERMISSIONS: Final = (EXTENSION_SCOPES, EXTENSION_ROLES)


def native_chain_faults(listener: str, chain: Sequence[http_connection_manager_pb.HttpFilter]) -> Iterator[str]:
    """What could keep a question from the authorizer that nobody has answered."""
    links = {link.name: link for link in chain}
    there = [link.name for link in chain if link.name in CHAINS[-1]]
    if there and frozenset(there) not in CHAINS:
        yield f"listener {listener!r} has filters {', '.join(there)} without the others that judge tokens"
    for name in OF_OWN:
        if name in links and not _comes_beside(links[name]):
            yield f"listener {listener!r} has filter {name!r}, and does not get its content beside a configuration"
    if names.EXT_AUTHZ not in links:
        return  # said elsewhere
    asked = ext_authz_pb.ExtAuthz.FromString(links[names.EXT_AUTHZ].typed_config.value)
    condition = asked.filter_enabled_metadata.SerializeToString() if asked.HasField("filter_enabled_metadata") else b""
    if condition != (bytes(not_granted()) if there else b""):
        yield f"listener {listener!r} asks the authorizer under another condition than Envoy's own verdict"
    if names.NATIVE_GRANT in links and links[names.NATIVE_GRANT].typed_config.value:
        yield f"listener {listener!r} lets tokens pass on routes that say nothing"


def _comes_beside(link: http_connection_manager_pb.HttpFilter) -> bool:
    """Whether its content is told over ADS, and it is empty until then."""
    told, type_url = link.config_discovery, FILTERS[link.name]
    empty = told.default_config.type_url == type_url and not told.default_config.value
    at_once = told.config_source.HasField("ads") and told.apply_default_config_without_warming
    return list(told.type_urls) == [type_url] and empty and at_once


def native_route_faults(route: route_pb.Route, demands: Mapping[str, str]) -> Iterator[str]:
    """What a route lets pass unasked although its demands say otherwise."""
    said = dict(route.typed_per_filter_config)
    judged = any(said.keys() >= set(verdicts) for verdicts in (OF_OTHERS, OF_OWN))
    if judged != (names.NATIVE_GRANT in said):
        yield f"route {route.name!r} judges tokens and says nothing of what they need, or the other way round"
    if names.NATIVE_GRANT not in said:
        if names.NATIVE_CREDENTIAL in said:
            yield f"route {route.name!r} removes credentials that the authorizer may mean for the upstream"
        return
    rules = rbac_filter_pb.RBACPerRoute.FromString(said[names.NATIVE_GRANT].value).rbac
    if CREDENTIAL_JWT not in demands.get(EXTENSION_ACCEPT, "").split(" "):
        yield f"route {route.name!r} lets Envoy judge tokens, which it does not accept"
        return
    policies = dict(rules.shadow_rules.policies)
    if policies.keys() != {demands[EXTENSION_PROFILE]} or rules.shadow_rules_stat_prefix != STAT_PREFIX:
        yield f"route {route.name!r} lets tokens pass under another profile than its own"
        return
    if rules.HasField("rules") or rules.shadow_rules.action != rbac_pb.RBAC.ALLOW:
        yield f"route {route.name!r} decides about tokens otherwise than by saying yes"
    for policy in policies.values():
        yield from _policy_faults(route.name, policy, demands)


def _policy_faults(route: str, policy: rbac_pb.Policy, demands: Mapping[str, str]) -> Iterator[str]:
    """Each way to pass begins with a verdict on the token, and tests every scope and role that the route names."""
    named = frozenset(word for kind in PERMISSIONS for word in demands[kind].split())
    for principal in policy.principals:
        for way in principal.or_ids.ids or (principal,):
            tested = dict(_tested(way))
            if not any(path[-1:] == (TOKEN_PREFIX + VERDICT,) for path in tested):
                yield f"route {route!r} lets tokens pass on which there is no verdict"
            if missing := named - frozenset().union(*tested.values()):
                yield f"route {route!r} lets tokens pass without asking for {', '.join(sorted(missing))}"


def _tested(condition: rbac_pb.Principal) -> Iterator[tuple[tuple[str, ...], frozenset[str]]]:
    """The paths of metadata that this condition looks at, with the texts that it looks for, at any depth."""
    found: dict[tuple[str, ...], frozenset[str]] = {}
    for item in (*condition.and_ids.ids, *condition.or_ids.ids):
        for path, texts in _tested(item):
            found[path] = found.get(path, frozenset()) | texts
    if condition.HasField("sourced_metadata"):
        matcher = condition.sourced_metadata.metadata_matcher
        value = matcher.value.list_match.one_of if matcher.value.HasField("list_match") else matcher.value
        path = (matcher.filter, *(segment.key for segment in matcher.path))
        found[path] = found.get(path, frozenset()) | {value.string_match.exact}
    yield from found.items()
