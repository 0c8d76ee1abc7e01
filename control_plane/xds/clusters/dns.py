"""Endpoints that are names: every address is one, for as long as DNS says so."""

from envoy.config.cluster.v3 import cluster_pb2 as cluster_pb
from envoy.extensions.clusters.common.dns.v3 import dns_pb2 as dns_pb
from envoy.extensions.clusters.dns.v3 import dns_cluster_pb2 as dns_cluster_pb
from envoy.extensions.network.dns_resolver.cares.v3 import cares_dns_resolver_pb2 as cares_pb

from control_plane.xds.packing import packed, seconds

REFRESH = 5.0  # where an answer has no time to live of its own
# Names that do not resolve are asked again soon, then ever more seldom.
RETRY = 1.0
LONGEST_RETRY = 10.0
# Envoy accepts no connection before each name was asked for once. A DNS server that is silent would hold it up for
# minutes by default; so, for six seconds.
QUERY_SECONDS = 1
QUERIES = 2


def resolve_by_dns(cluster: cluster_pb.Cluster) -> None:
    """Makes the cluster ask DNS for the names in its endpoints."""
    cluster.cluster_type.name = "envoy.cluster.dns"
    cluster.cluster_type.typed_config.CopyFrom(packed(_resolution()))


def _resolution() -> dns_cluster_pb.DnsCluster:
    dns = dns_cluster_pb.DnsCluster(
        dns_lookup_family=dns_pb.V4_PREFERRED, respect_dns_ttl=True, dns_refresh_rate=seconds(REFRESH)
    )
    dns.dns_failure_refresh_rate.base_interval.CopyFrom(seconds(RETRY))
    dns.dns_failure_refresh_rate.max_interval.CopyFrom(seconds(LONGEST_RETRY))
    resolver = cares_pb.CaresDnsResolverConfig()
    resolver.query_timeout_seconds.value = QUERY_SECONDS
    resolver.query_tries.value = QUERIES
    dns.typed_dns_resolver_config.name = "envoy.network.dns_resolver.cares"
    dns.typed_dns_resolver_config.typed_config.CopyFrom(packed(resolver))
    return dns
