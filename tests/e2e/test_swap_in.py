"""The swap-in as its users run it: a process with a directory of rules, and an Envoy that knows nothing of us."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
from envoy.config.bootstrap.v3 import bootstrap_pb2 as bootstrap_pb
from envoy.extensions.filters.http.ratelimit.v3 import rate_limit_pb2  # noqa: F401 - for the Any below
from envoy.extensions.filters.http.router.v3 import router_pb2  # noqa: F401 - the same
from envoy.extensions.filters.network.http_connection_manager.v3 import (  # noqa: F401 - the same
    http_connection_manager_pb2,
)
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2  # noqa: F401 - the same
from google.protobuf.json_format import ParseDict
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.certificates import certificates, client_credentials
from tests.support.envoy import static_envoy
from tests.support.eventually import until
from tests.support.ports import free_port
from tests.support.upstream import running_upstream
from tests.support.valkey import valkey_server

TYPE = "type.googleapis.com"
HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
RULES = "{{domain: edge, descriptors: [{{key: user, rate_limit: {{unit: year, requests_per_unit: {}}}}}]}}"


def cluster(name, port, **fields):
    address = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}
    endpoints = [{"lb_endpoints": [{"endpoint": address}]}]
    return {"name": name, "load_assignment": {"cluster_name": name, "endpoints": endpoints}, **fields}


def bootstrap(port, limits, upstream):
    """An Envoy that asks about every request, by the header `user`."""
    http2 = {"@type": f"{TYPE}/{HTTP}", "explicit_http_config": {"http2_protocol_options": {}}}
    limit = {
        "@type": f"{TYPE}/envoy.extensions.filters.http.ratelimit.v3.RateLimit",
        "domain": "edge",
        "failure_mode_deny": True,
        "timeout": "5s",
        "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
        "rate_limit_service": {
            "transport_api_version": "V3",
            "grpc_service": {"envoy_grpc": {"cluster_name": "ratelimit"}},
        },
    }
    action = {"request_headers": {"header_name": "user", "descriptor_key": "user"}}
    route = {
        "match": {"prefix": "/"},
        "route": {"cluster": "upstream", "rate_limits": [{"actions": [action]}]},
    }
    manager = {
        "@type": f"{TYPE}/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "edge",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {"name": "envoy.filters.http.ratelimit", "typed_config": limit},
            {"name": "router", "typed_config": {"@type": f"{TYPE}/envoy.extensions.filters.http.router.v3.Router"}},
        ],
    }
    listener = {
        "name": "edge",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    clusters = [
        cluster("upstream", upstream),
        cluster("ratelimit", limits, typed_extension_protocol_options={HTTP: http2}),
    ]
    return ParseDict({"static_resources": {"listeners": [listener], "clusters": clusters}}, bootstrap_pb.Bootstrap())


@dataclass
class Running:
    process: "subprocess.Popen[bytes]"
    rules: Path
    port: int


@contextmanager
def swapped_in(folder: Path, *more: object, tls: grpc.ChannelCredentials | None = None) -> Iterator[Running]:
    """The process with these flags beside its own, as soon as it serves."""
    rules, port = folder / "rules", free_port()
    rules.mkdir()
    (rules / "edge.yaml").write_text(RULES.format(2))
    with tempfile.TemporaryDirectory() as data, valkey_server(Path(data)) as store:
        flags = ("--config", rules, "--listen", f"127.0.0.1:{port}", "--store", store.address, "--store-timeout", "0.9")
        command = (sys.executable, "-m", "ratelimit_service", *map(str, (*flags, *more)))
        process = subprocess.Popen(command, env={**os.environ, "LIMIT_RESPONSE_HEADERS_ENABLED": "true"})
        try:
            until(lambda: serves(port, tls))
            yield Running(process, rules, port)
        finally:
            process.kill()
            process.wait()


def serves(port: int, tls: grpc.ChannelCredentials | None = None) -> bool:
    address = f"localhost:{port}"  # as the certificate says
    with grpc.insecure_channel(address) if tls is None else grpc.secure_channel(address, tls) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        except grpc.RpcError:
            return False
        return answer.status == health_pb2.HealthCheckResponse.SERVING


def test_an_envoy_that_is_pointed_at_it(tmp_path):
    port = free_port()
    with (
        swapped_in(tmp_path) as limits,
        running_upstream() as upstream,
        static_envoy(bootstrap(port, limits.port, upstream.port), tmp_path),
        httpx.Client(trust_env=False, verify=False) as client,
    ):

        def ask(user):
            return client.get(f"http://127.0.0.1:{port}/", headers={"user": user})

        alice = [ask("alice") for _ in range(3)]
        # refused calls are counted too, those of this test's own waiting
        (limits.rules / "edge.yaml").write_text(RULES.format(100_000))
        raised = until(lambda: next((answer for answer in [ask("alice")] if answer.status_code == 200), None))

        limits.process.send_signal(signal.SIGTERM)
        ended = limits.process.wait(20)

    assert [answer.status_code for answer in alice] == [200, 200, 429]
    assert [answer.headers["ratelimit-remaining"] for answer in alice] == ["1", "0", "0"]
    assert alice[0].headers["x-ratelimit-limit"].startswith("2, 2;w=")
    assert raised.headers["ratelimit-limit"] == "100000"
    assert ended == 0


def test_with_certificates_it_speaks_mutual_tls_and_the_other_ports_answer(tmp_path):
    files, http, probe, metrics = certificates(tmp_path), free_port(), free_port(), free_port()
    tls = ("--tls-certificate", files.certificate, "--tls-private-key", files.private_key)
    ports = (f"--{name}=127.0.0.1:{port}" for name, port in {"http": http, "probe": probe, "metrics": metrics}.items())
    authority = ("--tls-authority", files.authority)
    with (
        swapped_in(tmp_path, *tls, *authority, *ports, tls=client_credentials(files)) as limits,
        httpx.Client(trust_env=False, verify=False) as client,
    ):
        plaintext = (serves(limits.port), serves(probe))
        healthy = client.get(f"http://127.0.0.1:{http}/healthcheck").status_code
        series = client.get(f"http://127.0.0.1:{metrics}/metrics").text

    assert plaintext == (False, True)
    assert healthy == 200
    assert 'tollgate_ratelimit_swap_in_config_loads_total{result="success"} 1.0' in series
