"""What crosses to upstreams must not let a client read the gateway's secrets or choose another reading of a rule."""

import codecs
import json
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest

from tests.security.conftest import TOKEN
from tests.support.eventually import until
from tests.support.gateway import Gateway, running_gateway
from tests.support.recorder import Recorded, Recorder, running_recorder
from tests.support.wire import Answer, answers_to, http2, request

CREDENTIAL = f"Authorization: Bearer {TOKEN}".encode()


@dataclass(frozen=True)
class Bordered:
    """A gateway, its upstream, and another one that gets copies."""

    gateway: Gateway
    upstream: Recorder
    shadow: Recorder

    def send(self, path: str, *headers: bytes, method: bytes = b"GET", body: bytes = b"") -> tuple[int, list[Recorded]]:
        """The status of the answer, and what arrived."""
        marker = uuid4().hex
        length = (b"Content-Length: %d" % len(body),) if body else ()
        data = request(f"{path}?{marker}", *headers, *length, method=method, body=body)
        (answer,) = answers_to(self.gateway.port, data)
        return answer.status, self.upstream.of(marker)


@pytest.fixture(scope="module")
def bordered() -> Iterator[Bordered]:
    with running_recorder() as upstream, running_recorder() as shadow:
        config = {
            "identity": {"bearer_tokens": [{"name": "ops", "token": TOKEN}]},
            "upstreams": {
                # A name that anybody may choose, and that one of our own clusters had.
                "control_plane": {"url": upstream.url},
                "main": {"url": upstream.url, "credential": {"header": "x-api-key", "value": "of-the-gateway"}},
                "shadow": {"url": shadow.url},
            },
            "routes": [
                {"name": "named", "match": {"path": "/named"}, "upstream": "control_plane", "auth": "none"},
                {"name": "merged", "match": {"path": "/merged"}, "upstream": "main", "auth": "none",
                 "request_body": {"merge": {"model": "small"}}},
                {"name": "copied", "match": {"path": "/copied"}, "upstream": "main", "auth": "none",
                 "mirror": {"upstream": "shadow"}},
                {"name": "hosted", "match": {"path": "/*", "hosts": ["admin.example.com"]}, "upstream": "main",
                 "auth": ["bearer"]},
                {"name": "rest", "match": {"path": "/*"}, "upstream": "main", "auth": "none"},
            ],
        }  # fmt: skip
        with running_gateway(config) as gateway:
            yield Bordered(gateway, upstream, shadow)


def test_an_upstream_of_any_name_is_the_one_that_was_written(bordered: Bordered):
    """Envoy keeps a cluster of its bootstrap against one of the same name: clients would speak to the ADS server."""
    status, arrived = bordered.send("/named")

    assert (status, len(arrived)) == (200, 1)


@pytest.mark.parametrize("method", ["TRACE"])
def test_a_request_is_not_sent_back_with_what_the_gateway_put_into_it(bordered: Bordered, method: str):
    """RFC 9110, 9.3.8: the final recipient reflects the request that it got, the upstream's credential included."""
    status, arrived = bordered.send("/public", method=method.encode())
    fields = [(":method", method), (":scheme", "http"), (":authority", "gateway"), (":path", "/public")]
    answer: Answer = http2(bordered.gateway.port, fields)

    assert arrived == []
    assert status >= 400
    assert answer.status == 0 or answer.status >= 400


def last_value(body: bytes, charset: str) -> object:
    """What a reader takes that heeds the charset, and of repeated keys the last."""
    return json.loads(codecs.decode(body, charset))["model"]


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        pytest.param(
            [b"Content-Type: application/json; charset=utf-7"],
            b'{"z":"+ACI-,+ACI-model+ACI-:+ACI-large"}',
            id="charset",
        ),
        pytest.param([b"Content-Type: application/json", b"Content-Encoding: br"], b'{"a":1}', id="encoding"),
    ],
)
def test_a_body_that_upstreams_read_otherwise_is_not_taken_for_rewritten(bordered: Bordered, headers, body):
    status, arrived = bordered.send("/merged", *headers, method=b"POST", body=body)

    read = [last_value(found.body, "utf-7") for found in arrived]
    assert (status, read) == (400, [])


@pytest.mark.parametrize(
    "host",
    [
        b"admin.example.com..", b"admin.example.com.:80.", b"admin.example.com:80:80", b"x@admin.example.com",
        b"admin.example.com@x", b"[admin.example.com]", b"gateway,admin.example.com",
    ],
)  # fmt: skip
def test_a_host_that_is_none_chooses_no_route(bordered: Bordered, host: bytes):
    status, arrived = bordered.send("/x", b"Host: " + host)

    assert (status >= 400, arrived) == (True, [])


def test_two_hosts_are_refused(bordered: Bordered):
    """RFC 9112, section 3.2."""
    status, arrived = bordered.send("/x", b"Host: gateway", b"Host: admin.example.com")

    assert (status >= 400, arrived) == (True, [])


def test_a_copy_is_not_marked_as_internal(bordered: Bordered):
    """Envoys behind believe `x-envoy-` headers of a request that has this one."""
    marker = uuid4().hex
    answers_to(bordered.gateway.port, request(f"/copied?{marker}"))
    (copy,) = until(lambda: bordered.shadow.of(marker))

    assert copy.values(b"x-envoy-internal") == []
