"""Endpoints that others tell, over a compiled snapshot."""

from envoy.config.endpoint.v3 import endpoint_pb2 as endpoint_pb

from control_plane.endpoints.overlay import with_endpoints
from control_plane.endpoints.slices import Endpoint
from control_plane.xds.names import ENDPOINTS_TYPE
from tests.support.compiled import config, snapshots

PODS = (Endpoint("10.0.0.1", 8080, "email.default.svc"), Endpoint("fd00::1", 8080, "email.default.svc"))


def compiled():
    service = {"kubernetes": {"service": "email", "port": "http"}}
    envoy, _ = snapshots(config(upstreams={"email": service, "other": {"url": "http://10.1.0.1"}}))
    return envoy


def test_only_these_endpoints_change_and_all_else_is_the_same_object():
    before = compiled()

    after = with_endpoints(before, {"email": PODS})

    assert after.resources.keys() == before.resources.keys()
    assert [kind for kind in before.resources if after.of(kind) is not before.of(kind)] == [ENDPOINTS_TYPE]
    assert after.of(ENDPOINTS_TYPE)["other"] is before.of(ENDPOINTS_TYPE)["other"]


def test_endpoints_are_known_by_the_name_of_their_service():
    body = with_endpoints(compiled(), {"email": PODS}).of(ENDPOINTS_TYPE)["email"].body

    assignment = endpoint_pb.ClusterLoadAssignment.FromString(body)
    (group,) = assignment.endpoints
    assert assignment.cluster_name == "email"
    found = [item.endpoint for item in group.lb_endpoints]
    assert [item.address.socket_address.address for item in found] == ["10.0.0.1", "fd00::1"]
    assert {item.hostname for item in found} == {item.health_check_config.hostname for item in found}
    assert {item.hostname for item in found} == {"email.default.svc"}


def test_nothing_told_changes_nothing():
    before = compiled()

    assert with_endpoints(before, {}) is before
    assert with_endpoints(before, {"email": ()}) is before
    assert with_endpoints(before, {"unknown": PODS}) is before


def test_of_an_upstream_that_nothing_was_heard_of_nothing_is_said():
    before = compiled()

    after = with_endpoints(before, {"email": None})

    assert after.of(ENDPOINTS_TYPE).keys() == {"other"}
    assert [kind for kind in before.resources if after.of(kind) is not before.of(kind)] == [ENDPOINTS_TYPE]


def test_equal_endpoints_have_equal_versions():
    one, two = (with_endpoints(compiled(), {"email": PODS}) for _ in range(2))

    assert one.version(ENDPOINTS_TYPE) == two.version(ENDPOINTS_TYPE)
    assert one == two
