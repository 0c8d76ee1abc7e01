"""The cluster of an upstream. IP endpoints come by EDS and move without a new cluster; names are asked of DNS."""

from envoy.config.cluster.v3 import circuit_breaker_pb2 as circuit_breaker_pb
from envoy.config.cluster.v3 import cluster_pb2 as cluster_pb
from envoy.config.cluster.v3 import outlier_detection_pb2 as outlier_detection_pb

from control_plane.ir.model import Balancing, CircuitBreaker, OutlierDetection, Upstream
from control_plane.xds.clusters.dns import resolve_by_dns
from control_plane.xds.clusters.endpoints import endpoints
from control_plane.xds.clusters.health_check import health_check
from control_plane.xds.clusters.protocol import HTTP_OPTIONS, http_options
from control_plane.xds.clusters.tls import give_transport
from control_plane.xds.packing import packed, seconds
from control_plane.xds.secrets import over_ads

POLICIES = {
    Balancing.ROUND_ROBIN: cluster_pb.Cluster.ROUND_ROBIN,
    Balancing.LEAST_REQUEST: cluster_pb.Cluster.LEAST_REQUEST,
    Balancing.RANDOM: cluster_pb.Cluster.RANDOM,
    Balancing.RING_HASH: cluster_pb.Cluster.RING_HASH,
    Balancing.MAGLEV: cluster_pb.Cluster.MAGLEV,
}
# In whole percent: with fewer endpoints well, requests go to all of them. So only where not one is well: the error then
# says what is wrong with it, one that has just come back gets its requests at once, and so do those not yet asked for
# the first time. A check that asks for the wrong thing does not take the service down.
PANIC_THRESHOLD = 1.0


def upstream_cluster(upstream: Upstream) -> cluster_pb.Cluster:
    """The cluster of an upstream, named as the admin named it."""
    cluster = cluster_pb.Cluster(
        name=upstream.name,
        connect_timeout=seconds(upstream.connect_timeout),
        lb_policy=POLICIES[upstream.balancing],
        # What is no endpoint any longer gets nothing, however well it is.
        ignore_health_on_host_removal=True,
    )
    cluster.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(packed(http_options(upstream)))
    cluster.common_lb_config.healthy_panic_threshold.value = PANIC_THRESHOLD
    cluster.circuit_breakers.thresholds.append(_thresholds(upstream.circuit_breaker))
    _find_endpoints(cluster, upstream)
    give_transport(cluster, upstream)
    if upstream.health_check is not None:
        cluster.health_checks.append(health_check(upstream.health_check, upstream.protocol))
    if upstream.outlier_detection is not None:
        cluster.outlier_detection.CopyFrom(_outliers(upstream.outlier_detection))
    return cluster


def _find_endpoints(cluster: cluster_pb.Cluster, upstream: Upstream) -> None:
    if upstream.resolved:
        cluster.type = cluster_pb.Cluster.EDS
        cluster.eds_cluster_config.eds_config.CopyFrom(over_ads())
        return
    resolve_by_dns(cluster)
    cluster.load_assignment.CopyFrom(endpoints(upstream))


def _thresholds(breaker: CircuitBreaker) -> circuit_breaker_pb.CircuitBreakers.Thresholds:
    thresholds = circuit_breaker_pb.CircuitBreakers.Thresholds()
    thresholds.max_connections.value = breaker.max_connections
    thresholds.max_pending_requests.value = breaker.max_pending
    thresholds.max_requests.value = breaker.max_requests
    thresholds.retry_budget.budget_percent.value = breaker.retry_budget
    thresholds.retry_budget.min_retry_concurrency.value = breaker.min_retries
    return thresholds


def _outliers(outliers: OutlierDetection) -> outlier_detection_pb.OutlierDetection:
    detection = outlier_detection_pb.OutlierDetection(
        interval=seconds(outliers.interval), base_ejection_time=seconds(outliers.ejection_time)
    )
    detection.consecutive_5xx.value = outliers.consecutive_5xx
    detection.enforcing_consecutive_5xx.value = 100
    detection.max_ejection_percent.value = round(outliers.max_ejected)
    detection.always_eject_one_host.value = True  # of three, one is more than the share
    # Nobody asked for verdicts by comparison, which Envoy gives by default.
    detection.enforcing_success_rate.value = 0
    # A connection that opens says nothing about the answers for which an endpoint is left alone.
    detection.successful_active_health_check_uneject_host.value = False
    return detection
