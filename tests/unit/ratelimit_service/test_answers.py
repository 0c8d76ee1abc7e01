"""What Envoy reads: headers, metadata, one status a descriptor, and the gRPC status of what cannot be decided."""

import grpc
import pytest
from envoy.service.ratelimit.v3 import rls_pb2
from google.protobuf.json_format import MessageToDict

from ratelimit_service.answers import Failure, answer, refusal_message
from ratelimit_service.descriptors import Ask
from ratelimit_service.limiter import Admitted, Refused, Standing, Unavailable, Unidentified, Unknown
from ratelimit_service.policy import Dimension, Rule
from ratelimit_service.windows import MICROSECONDS, Window

ASK = Ask("email", "alice", "acme", "mailer", None)


def rule(requests=30, seconds=60, *per, name="email:30/minute:subject"):
    return Rule("route/email", name, Window(requests, seconds * MICROSECONDS), per or (Dimension.SUBJECT,))


MINUTE = Standing(rule(), remaining=0, reset_seconds=7, retry_seconds=12)
HOUR = Standing(rule(100, 3600, name="hour"), remaining=0, reset_seconds=5, retry_seconds=1800)


def parsed(ask, decision):
    raw = answer(ask, decision)
    assert isinstance(raw, bytes)
    return rls_pb2.RateLimitResponse.FromString(raw)


def headers(response):
    return {header.key: header.value for header in response.response_headers_to_add}


def test_an_admitted_call_shows_the_tightest_rule():
    standing = Standing(rule(), remaining=29, reset_seconds=61, retry_seconds=0)

    response = parsed(ASK, Admitted(standing))

    assert response.overall_code == rls_pb2.RateLimitResponse.OK
    assert headers(response) == {
        "ratelimit-limit": "30",
        "ratelimit-remaining": "29",
        "ratelimit-reset": "61",
        "ratelimit-policy": "30;w=60",
    }


def test_a_call_without_rules_has_no_headers():
    response = parsed(ASK, Admitted(None))

    assert response.overall_code == rls_pb2.RateLimitResponse.OK
    assert headers(response) == {}


def test_a_refused_call_says_when_and_why():
    response = parsed(ASK, Refused(tightest=MINUTE, longest=HOUR))

    assert response.overall_code == rls_pb2.RateLimitResponse.OVER_LIMIT
    assert headers(response) == {
        "ratelimit-limit": "30",
        "ratelimit-remaining": "0",
        "ratelimit-reset": "7",
        "ratelimit-policy": "30;w=60",
        "retry-after": "1800",
    }
    assert MessageToDict(response.dynamic_metadata) == {
        "kind": "limit",
        "rule": "hour",
        "remaining": 0,
        "message": refusal_message(HOUR),
    }
    assert response.raw_body == b""


@pytest.mark.parametrize(
    ("ip", "expected"), [pytest.param(None, 1, id="identity"), pytest.param("::1", 2, id="with-address")]
)
@pytest.mark.parametrize("decision", [Admitted(None), Refused(MINUTE, HOUR)], ids=["admitted", "refused"])
def test_every_descriptor_has_a_status(ip, expected, decision):
    response = parsed(Ask("email", "alice", "acme", "mailer", None, ip=ip), decision)

    assert [status.code for status in response.statuses] == [response.overall_code] * expected


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        pytest.param(rule(), "The limit of 30 requests per minute for this subject", id="minute"),
        pytest.param(rule(1, 1), "The limit of 1 request per second for this subject", id="one"),
        pytest.param(rule(5, 90), "The limit of 5 requests per 90 seconds for this subject", id="odd-period"),
        pytest.param(rule(5, 86400, Dimension.IP), "The limit of 5 requests per day for this address", id="address"),
        pytest.param(
            rule(5, 3600, Dimension.TENANT, Dimension.ROUTE),
            "The limit of 5 requests per hour for this tenant and this route",
            id="two-dimensions",
        ),
    ],
)
def test_message(limit, expected):
    message = refusal_message(Standing(limit, remaining=0, reset_seconds=1, retry_seconds=12))

    assert message == f"{expected} is used up: retry in 12 s (rule email:30/minute:subject)."


@pytest.mark.parametrize(
    ("decision", "code", "words"),
    [
        pytest.param(Unidentified(rule(), Dimension.IP), grpc.StatusCode.INVALID_ARGUMENT, "per ip", id="unidentified"),
        pytest.param(Unknown("plan", "gold"), grpc.StatusCode.UNAVAILABLE, "plan 'gold'", id="unknown"),
        pytest.param(Unavailable("no answer"), grpc.StatusCode.UNAVAILABLE, "no answer", id="unavailable"),
    ],
)
def test_what_cannot_be_decided_is_a_failure(decision, code, words):
    failure = answer(ASK, decision)

    assert isinstance(failure, Failure)
    assert failure.code is code
    assert words in failure.details
