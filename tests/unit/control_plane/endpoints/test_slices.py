"""Which pods get requests: the conditions, ports and families of EndpointSlices, as kube-proxy treats them."""

import pytest

from control_plane.endpoints.slices import Endpoint, Unreadable, endpoint_slice, endpoints_of, offered_ports
from tests.support import kubernetes_api as told

HTTP = ("http", 8080)


def hosts(*slices: told.Json, port: str | int = "http") -> list[str]:
    found = endpoints_of(map(endpoint_slice, slices), port, "email.default.svc")
    return [f"{item.host}:{item.port}" for item in found]


@pytest.mark.parametrize(
    ("conditions", "gets"),
    [
        pytest.param({}, True, id="nothing is known"),
        pytest.param({"ready": None}, True, id="null"),
        pytest.param({"ready": True, "serving": True, "terminating": False}, True, id="ready"),
        pytest.param({"ready": True, "serving": False}, True, id="ready is what counts"),
        pytest.param({"ready": False}, False, id="not ready"),
        pytest.param({"ready": False, "serving": True, "terminating": False}, False, id="serves, and is not ready"),
        pytest.param({"ready": False, "serving": True, "terminating": True}, True, id="the last one, draining"),
        pytest.param({"ready": False, "serving": False, "terminating": True}, False, id="ends without serving"),
        pytest.param({"ready": False, "terminating": True}, False, id="ends, serving is as ready"),
    ],
)
def test_a_pod_alone_gets_requests_by_its_conditions(conditions, gets):
    found = hosts(told.endpoint_slice("a", told.pod("10.0.0.1", **conditions)))

    assert found == (["10.0.0.1:8080"] if gets else [])


def test_pods_that_end_get_requests_only_where_none_is_ready_in_any_slice():
    ending = told.pod("10.0.0.1", ready=False, serving=True, terminating=True)

    assert hosts(told.endpoint_slice("a", ending), told.endpoint_slice("b", "10.0.0.2")) == ["10.0.0.2:8080"]
    assert hosts(told.endpoint_slice("a", ending), told.endpoint_slice("b")) == ["10.0.0.1:8080"]


@pytest.mark.parametrize(
    ("port", "ports", "found"),
    [
        pytest.param("http", [HTTP], [8080], id="name"),
        pytest.param("http", [("grpc", 1), HTTP], [8080], id="name among several"),
        pytest.param("web", [HTTP], [], id="unknown name"),
        pytest.param(8080, [HTTP], [8080], id="number"),
        pytest.param(8080, [(None, 8080)], [8080], id="number of a port without a name"),
        pytest.param(80, [HTTP], [], id="number of the Service, not of the pods"),
        pytest.param(80, [], [80], id="a Service without ports"),
        pytest.param("http", [], [], id="a name, and no ports"),
        pytest.param(80, [(None, None)], [80], id="every port"),
        pytest.param("http", [("http", None)], [], id="a name for every port"),
    ],
)
def test_the_port_is_told_by_name_or_by_the_number_of_the_pods(port, ports, found):
    slices = [told.endpoint_slice("a", "10.0.0.1", ports=ports)]

    assert hosts(*slices, port=port) == [f"10.0.0.1:{number}" for number in found]


def test_only_tcp_counts():
    content = told.endpoint_slice("a", "10.0.0.1")
    content["ports"][0]["protocol"] = "UDP"

    assert hosts(content) == hosts(content, port=8080) == []
    assert offered_ports([endpoint_slice(content)]) == ()


def test_a_named_port_may_be_another_number_in_each_slice_and_each_pod_stands_once():
    slices = [
        told.endpoint_slice("b", "10.0.0.3", "10.0.0.1"),
        told.endpoint_slice("a", "10.0.0.1", "10.0.0.2"),
        told.endpoint_slice("c", "10.0.0.4", ports=[("http", 9090)]),
    ]

    expected = ["10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8080", "10.0.0.4:9090"]
    assert hosts(*slices) == hosts(*reversed(slices)) == expected
    assert offered_ports(map(endpoint_slice, slices)) == ("8080 (http)", "9090 (http)")


def test_a_pod_with_both_families_is_one_endpoint():
    old = told.endpoint_slice("a", "10.0.0.1")
    new = told.endpoint_slice("b", "fd00::1", "FD00:0::2", kind="IPv6")

    assert hosts(old, new) == ["10.0.0.1:8080"]
    assert hosts(new) == ["fd00::1:8080", "fd00::2:8080"]


def test_names_are_no_endpoints():
    assert hosts(told.endpoint_slice("a", "pod.example.com", kind="FQDN")) == []


def test_the_first_address_stands_for_a_pod():
    content = told.endpoint_slice("a", "10.0.0.1")
    content["endpoints"][0]["addresses"].append("10.0.0.9")

    assert endpoints_of([endpoint_slice(content)], "http", "e.d.svc") == (Endpoint("10.0.0.1", 8080, "e.d.svc"),)


def test_nothing_listed_is_nobody():
    content = told.endpoint_slice("a") | {"endpoints": None, "ports": None}

    assert hosts(content) == hosts() == []


def broken(**changes: object) -> object:
    return told.endpoint_slice("a", "10.0.0.1") | changes


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="null"),
        pytest.param([], id="list"),
        pytest.param({}, id="empty"),
        pytest.param(broken(metadata={}), id="no name"),
        pytest.param(broken(metadata={"name": 7}), id="a number for a name"),
        pytest.param(broken(addressType="IPv5"), id="unknown type"),
        pytest.param(broken(endpoints="10.0.0.1"), id="text for pods"),
        pytest.param(broken(endpoints=[7]), id="a number for a pod"),
        pytest.param(broken(endpoints=[{"addresses": []}]), id="no address"),
        pytest.param(broken(endpoints=[told.pod("pod.example.com")]), id="a name for an address"),
        pytest.param(broken(endpoints=[told.pod("10.0.0.01")]), id="octal"),
        pytest.param(broken(endpoints=[told.pod("fd00::1")]), id="another family"),
        pytest.param(broken(addressType="IPv6", endpoints=[told.pod("fe80::1%eth0")]), id="of an interface"),
        pytest.param(broken(endpoints=[told.pod("0.0.0.0")]), id="nobody"),
        pytest.param(broken(endpoints=[told.pod("224.0.0.1")]), id="many"),
        pytest.param(broken(endpoints=[told.pod("10.0.0.1", ready="yes")]), id="text for a condition"),
        pytest.param(broken(ports=[{"name": "http", "port": "8080"}]), id="text for a port"),
        pytest.param(broken(ports=[{"name": "http", "port": 0}]), id="port 0"),
        pytest.param(broken(ports=[{"name": "http", "port": 65536}]), id="a port too large"),
        pytest.param(broken(ports=[{"name": "http", "port": True}]), id="a truth value for a port"),
    ],
)
def test_a_slice_is_read_as_a_whole_or_not_at_all(content):
    with pytest.raises(Unreadable):
        endpoint_slice(content)


def test_what_does_not_matter_may_be_anything():
    content = broken(kind=7, extra=[1], endpoints=[{**told.pod("10.0.0.1"), "zone": 3, "hints": "?", "nodeName": None}])

    assert hosts(content) == ["10.0.0.1:8080"]
