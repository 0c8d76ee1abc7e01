"""What operators and probes see."""

import httpx
import pytest

from tests.support.eventually import until
from tests.support.gateway import Gateway


@pytest.mark.parametrize("path", ["/health", "/readyz"])
def test_envoy_answers_probes_on_every_listener(gateway: Gateway, path):
    with gateway.client() as client:
        assert client.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/health", "/readyz", "/metrics"])
def test_the_observability_port_is_open_for_probes_and_prometheus(gateway: Gateway, path):
    assert httpx.get(gateway.admin_url + path, trust_env=False, verify=False).status_code == 200


def test_metrics_of_every_process_in_one_scrape(gateway: Gateway, bearer):
    with gateway.client() as client:
        client.get("/private/x", headers=bearer)

    text = httpx.get(f"{gateway.admin_url}/metrics", trust_env=False, verify=False).text

    for process in ("authz", "ratelimit", "envoy"):
        assert f'tollgate_scrape_up{{process="{process}"}} 1.0' in text
    assert 'tollgate_config_valid{process="control_plane"} 1.0' in text
    assert "tollgate_authz_decisions_total{" in text
    assert "tollgate_ratelimit_decisions_total{" in text
    assert 'envoy_cluster_upstream_rq_total{envoy_cluster_name="echo"}' in text
    assert text.count("# TYPE process_cpu_seconds_total counter") == 1


def test_the_rest_of_the_observability_port_wants_the_token(gateway: Gateway):
    url = f"{gateway.admin_url}/status"
    without = httpx.get(url, trust_env=False, verify=False)
    wrong = httpx.get(url, headers={"authorization": "Bearer wrong"}, trust_env=False, verify=False)

    assert (without.status_code, wrong.status_code) == (401, 401)
    nodes = gateway.status()["nodes"]
    assert sorted({node["cluster"] for node in nodes}) == ["tollgate-envoy", "tollgate-service"]
    assert all(node["converged"] for node in nodes)


def test_the_admin_token_is_readable_by_its_owner_alone(gateway: Gateway):
    file = gateway.folder / "state" / "admin-token"

    assert file.stat().st_mode & 0o777 == 0o600
    assert (gateway.folder / "state").stat().st_mode & 0o777 == 0o700


def test_one_row_a_request_with_who_what_and_how(gateway: Gateway, bearer):
    with gateway.client() as client:
        response = client.post("/private/orders?page=2", headers=bearer, content=b"12345")

    row = gateway.logged(response.headers["x-request-id"])
    wanted = {
        "route": "private", "upstream": "echo", "listener": "public", "method": "POST", "path": "/private/orders",
        "status": 200, "subject": "ops", "tenant": "acme", "bytes_in": 5, "bytes_out": len(response.content),
        "client": "127.0.0.1", "protocol": "HTTP/1.1",
    }  # fmt: skip
    assert {key: row[key] for key in wanted} == wanted


def test_no_credential_in_any_log(gateway: Gateway, bearer):
    with gateway.client() as client:
        done = client.get("/private/x", headers=bearer)
        client.get("/private/x", headers={"authorization": "Bearer a-wrong-but-secret-token"})
    gateway.logged(done.headers["x-request-id"])

    logs = {name: gateway.log(name) for name in ("access", "authz", "control_plane", "envoy", "ratelimit", "store")}
    for name, text in logs.items():
        assert "a-bearer-token-for-tests" not in text, name
        assert "a-wrong-but-secret-token" not in text, name
    until(lambda: "unknown_token" in gateway.log("authz"))
