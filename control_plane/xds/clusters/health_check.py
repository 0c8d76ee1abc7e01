"""How Envoy asks an upstream whether it is well."""

from collections.abc import Iterable, Iterator

from envoy.config.core.v3 import health_check_pb2 as health_check_pb
from envoy.type.v3 import http_pb2 as http_pb
from envoy.type.v3 import range_pb2 as range_pb

from control_plane.ir.model import GrpcCheck, HealthCheck, HttpCheck, Protocol, TcpCheck
from control_plane.xds.packing import seconds

# Percent of the interval: many Envoys do not ask in step.
JITTER = 10
EVERY_STATUS = range(100, 600)


def health_check(check: HealthCheck, protocol: Protocol) -> health_check_pb.HealthCheck:
    """The check; asked as often without traffic as with it, or readiness would lag behind by a minute."""
    built = health_check_pb.HealthCheck(
        timeout=seconds(check.timeout),
        interval=seconds(check.interval),
        no_traffic_interval=seconds(check.interval),
        interval_jitter_percent=JITTER,
    )
    built.unhealthy_threshold.value = check.unhealthy_after
    built.healthy_threshold.value = check.healthy_after
    _ask(built, check.ask, protocol)
    return built


def _ask(built: health_check_pb.HealthCheck, ask: TcpCheck | HttpCheck | GrpcCheck, protocol: Protocol) -> None:
    if isinstance(ask, TcpCheck):
        built.tcp_health_check.SetInParent()
    elif isinstance(ask, GrpcCheck):
        built.grpc_health_check.service_name = ask.service
        built.grpc_health_check.authority = ask.host or ""
    else:
        _ask_http(built.http_health_check, ask, protocol)


def _ask_http(built: health_check_pb.HealthCheck.HttpHealthCheck, ask: HttpCheck, protocol: Protocol) -> None:
    built.path = ask.path
    built.host = ask.host or ""
    built.codec_client_type = http_pb.HTTP2 if protocol is Protocol.HTTP2 else http_pb.HTTP1
    built.expected_statuses.extend(_ranges(ask.statuses))
    # Without this, one such answer is the verdict, and `unhealthy_after` counts connections only.
    built.retriable_statuses.extend(_ranges(status for status in EVERY_STATUS if status not in ask.statuses))


def _ranges(statuses: Iterable[int]) -> Iterator[range_pb.Int64Range]:
    """Sorted statuses as ranges; their ends do not belong to them."""
    span: range_pb.Int64Range | None = None
    for status in statuses:
        if span is not None and status == span.end:
            span.end = status + 1
            continue
        if span is not None:
            yield span
        span = range_pb.Int64Range(start=status, end=status + 1)
    if span is not None:
        yield span
