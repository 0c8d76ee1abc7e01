"""Which networks may call a route. Denies everybody where a route says nothing; routes without a list turn it off.

It looks at the client's address as the listener resolved it, before anything is asked about the caller.
"""

from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network

from envoy.config.core.v3 import address_pb2 as address_pb
from envoy.config.rbac.v3 import rbac_pb2 as rbac_pb
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as rbac_filter_pb
from envoy_data_plane.envoy.config.rbac.v3 import Permission, Policy, Principal, Rbac, RbacAction
from envoy_data_plane.envoy.extensions.filters.http.rbac.v3 import Rbac as RbacFilter
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.google.protobuf import Any
from google.protobuf.any_pb2 import Any as ProtoAny

from control_plane.ir.model import Gateway, Route
from control_plane.xds import names
from control_plane.xds.filters.per_route import OFF, PerRoute
from control_plane.xds.packing import packed

# A policy's name stands in the response code details, where the error's mapper finds it.
POLICY = "ip-not-allowed"
NOBODY_POLICY = "origin-not-allowed"
STAT_PREFIX = "ip_list."
# IPv4 clients of a socket that takes both families (RFC 4291, 2.5.5.2).
MAPPED = IPv6Network("::ffff:0:0/96")


def filters(_gateway: Gateway) -> tuple[HttpFilter, ...]:
    """Denies everybody; each route replaces that by its own list, or turns it off."""
    everybody = Policy(permissions=[Permission(any=True)], principals=[Principal(any=True)])
    rules = Rbac(action=RbacAction.DENY, policies={POLICY: everybody})
    denial = RbacFilter(rules=rules, rules_stat_prefix=STAT_PREFIX)
    return (HttpFilter(name=names.IP_LIST, typed_config=Any.pack(denial)),)


def per_route(route: Route | None) -> PerRoute:
    """Denies clients of other networks."""
    if route is not None and route.nobody:
        return {names.IP_LIST: NOBODY}
    if route is None or not route.allow_ips:
        return {names.IP_LIST: OFF}
    return {names.IP_LIST: _only(route.allow_ips)}


@lru_cache(maxsize=1024)  # few lists, many routes
def _only(allowed: tuple[str, ...]) -> ProtoAny:
    ranges = [_range(network) for text in allowed for network in _spellings(text)]
    listed = rbac_pb.Principal.Set(ids=[rbac_pb.Principal(remote_ip=item) for item in ranges])
    others = rbac_pb.Principal(not_id=rbac_pb.Principal(or_ids=listed))
    return _denied(POLICY, others)


def _denied(name: str, principal: rbac_pb.Principal) -> ProtoAny:
    policy = rbac_pb.Policy(permissions=[rbac_pb.Permission(any=True)], principals=[principal])
    rules = rbac_pb.RBAC(action=rbac_pb.RBAC.DENY, policies={name: policy})
    rbac = rbac_filter_pb.RBAC(rules=rules, rules_stat_prefix=STAT_PREFIX)
    return packed(rbac_filter_pb.RBACPerRoute(rbac=rbac))


# What the companions of routes with rules for pages say: a preflight that comes here is of a page that may not call.
NOBODY = _denied(NOBODY_POLICY, rbac_pb.Principal(any=True))


def _spellings(text: str) -> Iterator[IPv4Network | IPv6Network]:
    """The network, and what the same clients are called in the other family."""
    network = ip_network(text)
    yield network
    if isinstance(network, IPv4Network):
        base = int(MAPPED.network_address) + int(network.network_address)
        yield IPv6Network((base, MAPPED.prefixlen + network.prefixlen))
    elif network.subnet_of(MAPPED):
        yield IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - MAPPED.prefixlen))


def _range(network: IPv4Network | IPv6Network) -> address_pb.CidrRange:
    item = address_pb.CidrRange(address_prefix=str(network.network_address))
    item.prefix_len.value = network.prefixlen
    return item
