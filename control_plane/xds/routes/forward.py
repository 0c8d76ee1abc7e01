"""Requests that go to upstreams: which of them, as which host, under which path, and for how long."""

import math

from envoy.config.core.v3 import base_pb2 as base_pb
from envoy.config.route.v3 import route_components_pb2 as route_pb
from envoy.type.v3 import percent_pb2 as percent_pb

from control_plane.ir.model import Destination, Forward, Mirror, PathMatch
from control_plane.xds.packing import seconds
from control_plane.xds.routes.retries import retry_policy
from control_plane.xds.routes.rewrite import path_rewrite
from service_kit import contract

# The host of the endpoint that is chosen, for upstreams whose endpoints have several.
OF_THE_ENDPOINT = "upstream"
PARTS_OF_A_PERCENT = 10_000


def forward(path: PathMatch, action: Forward) -> route_pb.RouteAction:
    """The action of a route to upstreams."""
    built = route_pb.RouteAction(
        timeout=seconds(action.timeouts.total or 0.0),
        idle_timeout=seconds(action.timeouts.idle),
        retry_policy=retry_policy(action),
        regex_rewrite=path_rewrite(path, action.rewrite),
        hash_policy=[_hash_policy(key) for key in action.hash_by],
    )
    _send(built, action.destinations)
    if action.mirror is not None:
        built.request_mirror_policies.append(_mirror(action.mirror))
    if action.timeouts.max_duration is not None:
        built.max_stream_duration.max_stream_duration.CopyFrom(seconds(action.timeouts.max_duration))
    if action.websocket:
        built.upgrade_configs.add(upgrade_type="websocket").enabled.value = True
    return built


def _send(built: route_pb.RouteAction, destinations: tuple[Destination, ...]) -> None:
    hosts = {destination.host for destination in destinations}
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
    _rewrite_host(built, hosts.pop())


def _rewrite_host(built: route_pb.RouteAction, host: str | None) -> None:
    if host is None:
        return
    # The access log, and an upstream that makes addresses, still learn what the client asked for.
    built.append_x_forwarded_host = True
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


def _hash_policy(key: str) -> route_pb.RouteAction.HashPolicy:
    """What sends requests to one endpoint; a request that lacks it goes to any."""
    policy = route_pb.RouteAction.HashPolicy()
    kind, _, name = key.partition(" ")
    if kind == "ip":
        policy.connection_properties.source_ip = True
    elif kind == "subject":
        policy.header.header_name = contract.identity_header("subject")
    elif kind == "header":
        policy.header.header_name = name
    else:
        policy.cookie.name = name
    return policy
