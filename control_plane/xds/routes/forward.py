"""Requests that go to upstreams: which of them, as which host, under which path, and for how long."""

import math
from collections.abc import Iterable

from envoy.config.core.v3 import base_pb2 as base_pb
from envoy.config.route.v3 import route_components_pb2 as route_pb
from envoy.type.v3 import percent_pb2 as percent_pb
from google.protobuf import json_format
from xds.type.v3 import typed_struct_pb2 as typed_struct_pb

from control_plane.ir.model import Destination, Forward, Mirror, PathMatch
from control_plane.xds.names import is_variant
from control_plane.xds.packing import JsonValue, packed_struct, seconds
from control_plane.xds.routes.retries import retry_policy
from control_plane.xds.routes.rewrite import path_rewrite
from service_kit import contract

# The host of the endpoint that is chosen, for upstreams whose endpoints have several.
OF_THE_ENDPOINT = "upstream"
PARTS_OF_A_PERCENT = 10_000
PRIORITY_GROUP = "envoy.router.cluster_specifier_plugin.priority_group"
PRIORITY_GROUP_TYPE = "envoy.extensions.router.cluster_specifiers.priority_group.v3.PriorityGroupClusterSpecifier"


def forward(path: PathMatch, action: Forward, *, tells_host: bool = True) -> route_pb.RouteAction:
    """The action of a route to upstreams; it `tells_host`: whom the client asked for, where that is not said to it."""
    built = route_pb.RouteAction(
        timeout=seconds(action.timeouts.total or 0.0),
        idle_timeout=seconds(action.timeouts.idle),
        retry_policy=retry_policy(action),
        regex_rewrite=path_rewrite(path, action.rewrite),
        hash_policy=[hash_policy(key) for key in action.hash_by],
    )
    if action.fallback:
        built.inline_cluster_specifier_plugin.CopyFrom(_groups((action.destinations, *action.fallback)))
    else:
        _send(built, action.destinations, tells_host=tells_host)
    if action.mirror is not None:
        built.request_mirror_policies.append(_mirror(action.mirror))
    if action.timeouts.max_duration is not None:
        built.max_stream_duration.max_stream_duration.CopyFrom(seconds(action.timeouts.max_duration))
    if action.websocket:
        built.upgrade_configs.add(upgrade_type="websocket").enabled.value = True
    return built


def _groups(groups: Iterable[tuple[Destination, ...]]) -> route_pb.ClusterSpecifierPlugin:
    """One of the first group; of the next one when that failed. What is sent to each is the business of its cluster."""
    named: list[JsonValue] = [
        {"name": str(number), "clusters": [{"cluster_name": it.upstream, "weight": it.weight} for it in group]}
        for number, group in enumerate(groups)
    ]
    plugin = route_pb.ClusterSpecifierPlugin()
    plugin.extension.name = PRIORITY_GROUP
    plugin.extension.typed_config.CopyFrom(packed_struct(PRIORITY_GROUP_TYPE, {"priority_groups": named}))
    return plugin


def groups_of(action: route_pb.RouteAction) -> tuple[str, ...]:
    """The clusters of all groups of a route's action; none where it has no groups."""
    config = action.inline_cluster_specifier_plugin.extension.typed_config
    if not config.value:
        return ()
    said = json_format.MessageToDict(typed_struct_pb.TypedStruct.FromString(config.value).value)
    return tuple(item["cluster_name"] for group in said["priority_groups"] for item in group["clusters"])


def _send(built: route_pb.RouteAction, destinations: tuple[Destination, ...], *, tells_host: bool) -> None:
    # The way to a variant of an upstream has its host.
    hosts = {None if is_variant(item.upstream) else item.host for item in destinations}
    if len(destinations) == 1:
        built.cluster = destinations[0].upstream
    else:
        each = len(hosts) > 1
        built.weighted_clusters.clusters.extend(_weighted(item, own_host=each) for item in destinations)
        if built.hash_policy:
            # Without it, a caller would change upstreams, and what he left at an endpoint would be elsewhere.
            built.weighted_clusters.use_hash_policy.value = True
        if each:
            return
    rewrite_host(built, hosts.pop(), tells_host=tells_host)


def rewrite_host(built: route_pb.RouteAction, host: str | None, *, tells_host: bool) -> None:
    if host is None:
        return
    # The access log, and an upstream that makes addresses, still learn what the client asked for.
    built.append_x_forwarded_host = tells_host
    if host == OF_THE_ENDPOINT:
        built.auto_host_rewrite.value = True
    else:
        built.host_rewrite_literal = host


def _weighted(item: Destination, *, own_host: bool) -> route_pb.WeightedCluster.ClusterWeight:
    built = route_pb.WeightedCluster.ClusterWeight(name=item.upstream)
    built.weight.value = item.weight
    if own_host and item.host is not None:
        built.host_rewrite_literal = item.host
        # What `append_x_forwarded_host` does, which does not see this host.
        built.request_headers_to_add.add(
            header=base_pb.HeaderValue(key=contract.FORWARDED_HOST_HEADER, value="%REQ(:AUTHORITY)%"),
            append_action=base_pb.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
        )
    return built


def _mirror(mirror: Mirror) -> route_pb.RouteAction.RequestMirrorPolicy:
    built = route_pb.RouteAction.RequestMirrorPolicy(
        cluster=mirror.upstream,
        # Else the copy would be for a host with "-shadow" in its name.
        disable_shadow_host_suffix_append=True,
        host_rewrite_literal=mirror.host or "",
    )
    built.runtime_fraction.default_value.numerator = math.ceil(mirror.percent * PARTS_OF_A_PERCENT)
    built.runtime_fraction.default_value.denominator = percent_pb.FractionalPercent.MILLION
    return built


def hash_policy(key: str) -> route_pb.RouteAction.HashPolicy:
    """What sends requests to one endpoint; a request that lacks it goes to any."""
    policy = route_pb.RouteAction.HashPolicy()
    kind, _, name = key.partition(" ")
    header = hashed_header(key)
    if header is None:
        policy.connection_properties.source_ip = True
    elif kind == "cookie":
        policy.cookie.name = name
    else:
        policy.header.header_name = header
    return policy


def hashed_header(key: str) -> str | None:
    """The header that is looked at; None where it is the client's address."""
    kind, _, name = key.partition(" ")
    return {"subject": contract.identity_header("subject"), "header": name, "cookie": kind}.get(kind)
