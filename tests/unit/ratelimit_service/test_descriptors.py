"""One shape of call is read; everything else is refused with its first difference."""

import pytest
from envoy.extensions.common.ratelimit.v3 import ratelimit_pb2
from google.protobuf.wrappers_pb2 import UInt64Value

from ratelimit_service.descriptors import Ask, Unreadable, read_ask
from service_kit.contract import DESCRIPTOR_IP
from tests.support.limits import call, descriptor, identified

ADDRESS = descriptor((DESCRIPTOR_IP, "192.0.2.7"))
FIVE = UInt64Value(value=5)
# field 4 of a descriptor (is_negative_hits) and field 9 of the request, as varint true: newer than the generated code
NEGATIVE_HITS = ratelimit_pb2.RateLimitDescriptor.FromString(identified().SerializeToString() + b"\x20\x01")
NEWER_FIELD = b"\x48\x01"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(
            call(identified(plan="free")), Ask("email", "alice", "acme", "mailer", "free"), id="route-and-identity"
        ),
        pytest.param(
            call(identified(), ADDRESS),
            Ask("email", "alice", "acme", "mailer", None, ip="192.0.2.7"),
            id="with-address",
        ),
        pytest.param(
            call(identified(subject="-", tenant="-", consumer="-")),
            Ask("email", None, None, None, None),
            id="nobody",
        ),
        pytest.param(
            call(identified(), hits_addend=3), Ask("email", "alice", "acme", "mailer", None, hits=3), id="hits"
        ),
        pytest.param(
            call(identified(hits_addend=FIVE), descriptor((DESCRIPTOR_IP, "192.0.2.7"), hits_addend=FIVE)),
            Ask("email", "alice", "acme", "mailer", None, ip="192.0.2.7", hits=5),
            id="cost",
        ),
    ],
)
def test_read(raw, expected):
    assert read_ask(raw) == expected


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        pytest.param(b"\xff\xff", "not a RateLimitRequest", id="not-protobuf"),
        pytest.param(b"", "domain ''", id="empty"),
        pytest.param(call(identified(), domain="other"), "domain 'other'", id="domain"),
        pytest.param(call(), "0 descriptors", id="no-descriptor"),
        pytest.param(call(ADDRESS), f"entries {DESCRIPTOR_IP}", id="address-alone"),
        pytest.param(call(ADDRESS, identified()), f"entries {DESCRIPTOR_IP}", id="wrong-order"),
        pytest.param(call(identified(), identified()), f"expected {DESCRIPTOR_IP}", id="identity-twice"),
        pytest.param(call(identified(), ADDRESS, ADDRESS), "3 descriptors", id="address-twice"),
        pytest.param(
            call(identified(), descriptor((DESCRIPTOR_IP, "a"), (DESCRIPTOR_IP, "b"))),
            f"{DESCRIPTOR_IP}, {DESCRIPTOR_IP}",
            id="key-twice",
        ),
        pytest.param(call(identified(), descriptor(("model", "gpt"))), "entries model", id="unknown-key"),
        pytest.param(call(identified(), descriptor()), "entries none", id="no-entry"),
        pytest.param(call(descriptor(("route", "email"))), "expected route, subject", id="identity-dropped"),
        pytest.param(call(identified(subject="")), "empty value", id="empty-value"),
        pytest.param(call(identified(), descriptor((DESCRIPTOR_IP, ""))), "empty value", id="empty-address"),
        pytest.param(call(identified(route="-")), "route is missing", id="no-route"),
        pytest.param(call(identified(hits_addend=FIVE), ADDRESS), "same number of hits", id="cost-of-one-descriptor"),
        pytest.param(
            call(identified(hits_addend=FIVE), descriptor((DESCRIPTOR_IP, "a"), hits_addend=UInt64Value(value=4))),
            "same number of hits",
            id="two-costs",
        ),
        pytest.param(call(identified(hits_addend=FIVE), hits_addend=5), "same number of hits", id="cost-twice"),
        pytest.param(call(identified(hits_addend=UInt64Value())), "same number of hits", id="no-cost"),
        pytest.param(
            call(identified(limit=ratelimit_pb2.RateLimitDescriptor.RateLimitOverride(requests_per_unit=1))),
            "its own limit",
            id="own-limit",
        ),
        pytest.param(call(NEGATIVE_HITS), "does not know", id="negative-hits"),
        pytest.param(call(identified()) + NEWER_FIELD, "does not know", id="newer-request"),
    ],
)
def test_unreadable(raw, reason):
    ask = read_ask(raw)

    assert isinstance(ask, Unreadable)
    assert reason in ask.reason


@pytest.mark.parametrize(
    ("raw", "expected"), [(call(identified()), 1), (call(identified(), ADDRESS), 2)], ids=["identity", "and-address"]
)
def test_descriptors_counts_those_that_came(raw, expected):
    assert read_ask(raw).descriptors == expected
