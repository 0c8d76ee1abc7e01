"""Real gRPC through the gateway: calls, streams each way, statuses, trailers, health."""

import queue
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2

from tests.support.certificates import Authority
from tests.support.eventually import until
from tests.support.gateway import Gateway, running_gateway
from tests.support.grpc_echo import SERVICE, grpc_echo
from tests.support.ports import free_port

MEBIBYTE = b"x" * 2**20


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """The service in clear text under its own name, over TLS and dead under others, which routes rewrite."""
    authority = Authority()
    certificate, key = authority.issue("127.0.0.1")
    with ExitStack() as stack:
        port, _ = stack.enter_context(grpc_echo())
        secure, _ = stack.enter_context(grpc_echo(grpc.ssl_server_credentials([(key.encode(), certificate.encode())])))
        check = {"grpc": True, "service": SERVICE, "interval": "200ms"}
        upstreams = {
            "echo": {"url": f"http://127.0.0.1:{port}", "protocol": "http2", "health_check": check},
            "secure": {
                "url": f"https://127.0.0.1:{secure}", "protocol": "http2", "health_check": check,
                "tls": {"ca": authority.pem},
            },
            "dead": {"url": f"http://127.0.0.1:{free_port()}", "protocol": "http2"},
        }  # fmt: skip
        own = f"/{SERVICE}"
        routes = [
            {"name": "calls", "match": {"path": f"{own}/*"}, "upstream": "echo", "auth": "none"},
            {"name": "both", "match": {"path": f"{own}/Both"}, "upstream": "echo", "auth": "none", "streaming": True},
            {"name": "sum", "match": {"path": f"{own}/Sum"}, "upstream": "echo", "auth": "none", "streaming": True},
            {"name": "secure", "match": {"path": "/secure/*"}, "upstream": "secure", "auth": "none", "rewrite": own},
            {"name": "dead", "match": {"path": "/dead/*"}, "upstream": "dead", "auth": "none"},
            {"name": "private", "match": {"path": "/private/*"}, "upstream": "echo", "auth": ["bearer"]},
            {"name": "bounded", "match": {"path": "/bounded/*"}, "upstream": "echo", "auth": "none", "rewrite": own,
             "streaming": True, "body_limit": "1MiB"},
        ]  # fmt: skip
        identity = {"bearer_tokens": [{"name": "ops", "token": "a-bearer-token-for-tests"}]}
        config = {"upstreams": upstreams, "routes": routes, "identity": identity}
        yield stack.enter_context(running_gateway(config))


@pytest.fixture
def channel(gateway: Gateway) -> Iterator[grpc.Channel]:
    options = [("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(f"127.0.0.1:{gateway.port}", options) as channel:
        yield channel


@pytest.mark.parametrize("service", [SERVICE, "secure"])
def test_a_call_is_answered_with_its_trailers(channel: grpc.Channel, service):
    answer, call = channel.unary_unary(f"/{service}/Unary").with_call(b"hello", timeout=10)

    assert answer == b"hello"
    assert call.code() is grpc.StatusCode.OK
    assert ("x-echo", "trailer") in call.trailing_metadata()


def test_an_error_of_the_service_is_the_clients_to_read(channel: grpc.Channel):
    with pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary(f"/{SERVICE}/Fail")(b"not now: \xc3\xa4", timeout=10)

    assert (raised.value.code(), raised.value.details()) == (grpc.StatusCode.FAILED_PRECONDITION, "not now: ä")


def test_a_stream_goes_both_ways_message_by_message(channel: grpc.Channel):
    """Each message is sent only after the one before it has come back."""
    messages: queue.Queue[bytes | None] = queue.Queue()
    answers = channel.stream_stream(f"/{SERVICE}/Both")(iter(messages.get, None), timeout=20)
    received = []
    for text in (b"one", b"two", b"three"):
        messages.put(text)
        received.append(next(answers))
    messages.put(None)

    assert received == [b"one", b"two", b"three"]
    assert answers.code() is grpc.StatusCode.OK


def test_the_sum_of_a_stream_is_not_a_body_too_large(channel: grpc.Channel):
    answer = channel.stream_unary(f"/{SERVICE}/Sum")(iter([MEBIBYTE] * 12), timeout=30)

    assert answer == str(12 * len(MEBIBYTE)).encode()


@pytest.mark.parametrize(
    ("method", "messages", "status"),
    [
        pytest.param("/bounded/Sum", [MEBIBYTE] * 3, 413, id="a limit that is written holds for streams"),
        pytest.param("/dead/Unary", [b""], 502, id="unreachable"),
        pytest.param("/private/Unary", [b""], 401, id="no credential"),
        pytest.param("/nowhere/Unary", [b""], 404, id="no route"),
    ],
)
def test_a_refusal_of_the_gateway_is_a_status_of_grpc(channel: grpc.Channel, method, messages, status):
    """Envoy answers gRPC with trailers only, and maps HTTP's statuses to gRPC's."""
    expected = {
        413: grpc.StatusCode.UNKNOWN, 502: grpc.StatusCode.UNAVAILABLE,
        401: grpc.StatusCode.UNAUTHENTICATED, 404: grpc.StatusCode.UNIMPLEMENTED,
    }  # fmt: skip
    with pytest.raises(grpc.RpcError) as raised:
        channel.stream_unary(method)(iter(messages), timeout=10)

    assert raised.value.code() is expected[status], raised.value.details()


def test_a_service_that_says_it_does_not_serve_makes_the_gateway_not_ready(tmp_path: Path):
    with grpc_echo() as (port, servicer):
        upstream = {
            "url": f"http://127.0.0.1:{port}", "protocol": "http2", "readiness": "required",
            "health_check": {"grpc": True, "service": SERVICE, "interval": "200ms"},
        }  # fmt: skip
        route = {"name": "echo", "match": {"path": f"/{SERVICE}/*"}, "upstream": "echo", "auth": "none"}
        with (
            running_gateway({"upstreams": {"echo": upstream}, "routes": [route]}) as gateway,
            gateway.client() as client,
        ):
            before = client.get("/readyz").status_code
            servicer.set(SERVICE, health_pb2.HealthCheckResponse.NOT_SERVING)
            until(lambda: client.get("/readyz").status_code == 503)

    assert before == 200
