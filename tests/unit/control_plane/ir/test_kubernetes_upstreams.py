"""Upstreams that are Services of Kubernetes, from the file to what is meant."""

import sys

import pytest

from control_plane.config.errors import InvalidConfig
from control_plane.ir.model import KubernetesService
from tests.support.compiled import compiled, config, route


def gateway(**written):
    service = {"service": "email", "port": "http", **written.pop("kubernetes", {})}
    upstreams = {"email": {"kubernetes": service, **written}}
    return compiled(config(upstreams=upstreams, routes=[route()])).gateway


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        pytest.param({}, KubernetesService("default", "email", "http"), id="defaults"),
        pytest.param({"namespace": "mail", "port": 8080}, KubernetesService("mail", "email", 8080), id="number"),
        pytest.param({"port": "8080"}, KubernetesService("default", "email", 8080), id="number in quotes"),
        pytest.param({"port": "h2-8080"}, KubernetesService("default", "email", "h2-8080"), id="name with digits"),
    ],
)
def test_a_service_tells_the_endpoints(written, meant):
    (found,) = gateway(kubernetes=written).upstreams

    assert (found.endpoints, found.kubernetes, found.resolved, found.tls) == ((), meant, True, None)


@pytest.mark.parametrize(
    ("tls", "name"),
    [pytest.param({}, "email.default.svc", id="service"), pytest.param({"server_name": "a.b"}, "a.b", id="own")],
)
def test_certificates_of_pods_name_the_service(tls, name):
    (found,) = gateway(kubernetes={"scheme": "https"}, tls={"verify": False, **tls}).upstreams

    assert found.tls is not None
    assert found.tls.server_name == name


@pytest.mark.parametrize(
    ("written", "host"),
    [
        pytest.param({}, None, id="the client's"),
        pytest.param({"host_header": "upstream"}, "email.default.svc", id="upstream"),
        pytest.param({"kubernetes": {"scheme": "https"}, "tls": {"verify": False}}, "email.default.svc", id="https"),
    ],
)
def test_pods_are_told_the_name_of_their_service_as_host(written, host):
    (found,) = gateway(**written).routes

    assert [item.host for item in found.forward.destinations] == [host]


def test_without_the_client_there_is_a_mistake_with_its_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, "kubernetes", None)

    with pytest.raises(InvalidConfig) as caught:
        gateway()
    (error,) = caught.value.errors
    assert str(error).partition(": ")[2] == (
        "the Python package `kubernetes`, which follows Services, is not installed (upstreams.email.kubernetes); "
        "pip install 'tollgate[kubernetes]', or write `url`"
    )
