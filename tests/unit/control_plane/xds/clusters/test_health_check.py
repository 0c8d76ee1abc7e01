"""What an upstream is asked about its health."""

import pytest

from control_plane.ir.model import GrpcCheck, HealthCheck, HttpCheck, Protocol, TcpCheck
from control_plane.xds.clusters.health_check import health_check


def check(ask: TcpCheck | HttpCheck | GrpcCheck) -> HealthCheck:
    return HealthCheck(ask, interval=5.0, timeout=1.5, unhealthy_after=4, healthy_after=2)


def ranges(found) -> list[tuple[int, int]]:
    return [(item.start, item.end) for item in found]


def test_an_idle_upstream_is_asked_as_often_as_a_busy_one() -> None:
    built = health_check(check(TcpCheck()), Protocol.HTTP1)

    assert built.interval.ToMilliseconds() == built.no_traffic_interval.ToMilliseconds() == 5000
    assert built.timeout.ToMilliseconds() == 1500
    assert (built.unhealthy_threshold.value, built.healthy_threshold.value) == (4, 2)
    assert built.HasField("tcp_health_check")


@pytest.mark.parametrize(
    ("statuses", "good", "bad"),
    [
        pytest.param((200,), [(200, 201)], [(100, 200), (201, 600)], id="one"),
        pytest.param((200, 201, 204), [(200, 202), (204, 205)], [(100, 200), (202, 204), (205, 600)], id="ranges"),
        pytest.param(tuple(range(100, 600)), [(100, 600)], [], id="any"),
        pytest.param((100, 599), [(100, 101), (599, 600)], [(101, 599)], id="ends"),
    ],
)
def test_every_status_is_good_or_counts_as_one_failure(statuses, good, bad) -> None:
    built = health_check(check(HttpCheck("/health", "a.internal", statuses)), Protocol.HTTP1).http_health_check

    assert (built.path, built.host) == ("/health", "a.internal")
    assert (ranges(built.expected_statuses), ranges(built.retriable_statuses)) == (good, bad)


def test_grpc_is_asked_about_a_service() -> None:
    built = health_check(check(GrpcCheck("mail.v1.Mail", None)), Protocol.HTTP2).grpc_health_check

    assert (built.service_name, built.authority) == ("mail.v1.Mail", "")
