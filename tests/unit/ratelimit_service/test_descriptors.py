"""One shape of call is read; everything else is refused with its first difference."""

import pytest
from envoy.extensions.common.ratelimit.v3 import ratelimit_pb2
from google.protobuf.wrappers_pb2 import UInt64Value

from ratelimit_service.descriptors import Ask, End, Unreadable, read_call
from service_kit.contract import DESCRIPTOR_IP
from tests.support.limits import asked, call, descriptor, done, identified, numbers

ADDRESS = descriptor((DESCRIPTOR_IP, "192.0.2.7"))
FIVE = UInt64Value(value=5)
# field 4 of a descriptor (is_negative_hits) and field 9 of the request, as varint true: newer than the generated code
NEGATIVE_HITS = ratelimit_pb2.RateLimitDescriptor.FromString(identified().SerializeToString() + b"\x20\x01")
NEWER_FIELD = b"\x48\x01"


def entries(found):
    return [(entry.key, entry.value) for entry in found.entries]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(
            call(identified(plan="free")), Ask("email", "alice", "acme", "mailer", "free"), id="route-and-identity"
        ),
        pytest.param(
            call(identified(), ADDRESS),
            Ask("email", "alice", "acme", "mailer", None, ip="192.0.2.7/32"),
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
            Ask("email", "alice", "acme", "mailer", None, ip="192.0.2.7/32", hits=5),
            id="cost",
        ),
    ],
)
def test_read(raw, expected):
    assert read_call(raw) == expected


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        pytest.param(b"\xff\xff", "not a RateLimitRequest", id="not-protobuf"),
        pytest.param(b"", "domain ''", id="empty"),
        pytest.param(call(identified(), domain="other"), "domain 'other'", id="domain"),
        pytest.param(call(), "0 descriptors", id="no-descriptor"),
        pytest.param(call(ADDRESS), f"entries {DESCRIPTOR_IP}", id="address-alone"),
        pytest.param(call(ADDRESS, identified()), f"entries {DESCRIPTOR_IP}", id="wrong-order"),
        pytest.param(call(identified(), identified()), "expected number", id="identity-twice"),
        pytest.param(call(identified(), ADDRESS, ADDRESS), "expected number", id="address-twice"),
        pytest.param(
            call(identified(), descriptor((DESCRIPTOR_IP, "a"), (DESCRIPTOR_IP, "b"))),
            f"{DESCRIPTOR_IP}, {DESCRIPTOR_IP}",
            id="key-twice",
        ),
        pytest.param(call(*asked()[:1], *asked()[2:]), "not expected here: none", id="numbers-without-a-hold"),
        pytest.param(call(*asked()[:2], *reversed(asked()[2:])), "in this order", id="numbers-out-of-order"),
        pytest.param(call(*asked(), *numbers({"sent": 1})), "'sent' is not expected", id="number-of-the-end"),
        pytest.param(call(*asked(), asked()[-1]), "'received' is not expected", id="number-twice"),
        pytest.param(call(*asked()[:2], descriptor(("number", "max_tokens"))), "not from 0 to", id="number-of-no-size"),
        pytest.param(call(*asked(received=10**9 + 1)), "not from 0 to", id="number-too-large"),
        pytest.param(call(*asked("-")), "id of the hold", id="no-hold"),
        pytest.param(call(*asked("h" * 129)), "id of the hold", id="long-hold"),
        pytest.param(call(identified(), descriptor(("hold", "h")), ADDRESS), "expected number", id="hold-first"),
        pytest.param(call(descriptor(("done", "h"))), "expected done, route", id="end-of-nobody"),
        pytest.param(call(*done()[:1], *done()[2:-2]), "no number status", id="end-without-status"),
        pytest.param(call(*done("-")), "id of the hold", id="end-of-no-hold"),
        pytest.param(call(*done(), descriptor(("hold", "h"))), "expected number", id="hold-at-the-end"),
        pytest.param(call(descriptor(*entries(done()[0]), hits_addend=FIVE)), "hits of its own", id="end-with-hits"),
        pytest.param(call(identified(), descriptor(("model", "gpt"))), "entries model", id="unknown-key"),
        pytest.param(call(identified(), descriptor()), "entries none", id="no-entry"),
        pytest.param(call(descriptor(("route", "email"))), "expected route, subject", id="identity-dropped"),
        pytest.param(call(identified(subject="")), "empty value", id="empty-value"),
        pytest.param(call(identified(), descriptor((DESCRIPTOR_IP, ""))), "empty value", id="empty-address"),
        pytest.param(call(identified(), descriptor((DESCRIPTOR_IP, "a"))), "the address is none", id="no-address"),
        pytest.param(
            call(done()[0], descriptor((DESCRIPTOR_IP, "192.0.2.7/32"))), "the address is none", id="network-at-the-end"
        ),
        pytest.param(call(identified(route="-")), "route is missing", id="no-route"),
        pytest.param(call(identified(hits_addend=FIVE), ADDRESS), "same number of hits", id="cost-of-one-descriptor"),
        pytest.param(
            call(identified(hits_addend=FIVE), descriptor((DESCRIPTOR_IP, "::1"), hits_addend=UInt64Value(value=4))),
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
    ask = read_call(raw)

    assert isinstance(ask, Unreadable)
    assert reason in ask.reason


def test_a_metered_call_has_a_hold_and_numbers():
    ask = read_call(call(asked()[0], ADDRESS, *asked("h7", output=4096, received=321)[1:]))

    assert ask == Ask(
        "email", "alice", "acme", "mailer", None, ip="192.0.2.7/32", hold="h7",
        numbers={"max_tokens": 4096, "max_completion_tokens": 0, "num_predict": 0, "n": 0, "received": 321},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("address", "network"),
    [
        pytest.param("192.0.2.7", "192.0.2.7/32", id="old"),
        pytest.param("::ffff:192.0.2.7", "192.0.2.7/32", id="old-as-new"),
        pytest.param("::ffff:c000:207", "192.0.2.7/32", id="old-as-new-in-hexadecimal"),
        pytest.param("2001:db8::ffff:192.0.2.7", "2001:db8::/64", id="new-that-looks-old"),
        pytest.param("2001:db8:0:1:2:3:4:5", "2001:db8:0:1::/64", id="new"),
        pytest.param("fe80::1%eth0", "fe80::/64", id="with-a-zone"),
    ],
)
def test_an_address_counts_as_its_network(address, network):
    assert read_call(call(identified(), descriptor((DESCRIPTOR_IP, address)))).ip == network


def test_a_number_that_envoy_dropped_is_not_there():
    ask = read_call(call(*asked()[:2], *asked()[3:]))

    assert "max_tokens" not in ask.numbers
    assert len(ask.numbers) == 4


def test_a_cost_may_be_on_the_hold_or_not():
    costly = identified(hits_addend=FIVE)
    for hold in (descriptor(("hold", "h")), descriptor(("hold", "h"), hits_addend=FIVE)):
        assert read_call(call(costly, hold)).hits == 5


def test_the_end_of_a_stream_is_read():
    end = read_call(call(*done("h7", prompt=20, output=30, received=80, sent=900, status=200, held=100, plan="free")))

    assert end == End(
        "email", "alice", "acme", "mailer", "free", hold="h7",
        numbers={"input": 20, "output": 30, "total": 50, "cached": 0, "received": 80, "sent": 900, "status": 200,
                 "attempts": 1, "held": 100},
    )  # fmt: skip


def test_an_end_needs_what_envoy_counts_and_no_more():
    first, *others = done()

    assert read_call(call(first)).numbers == {}
    assert read_call(call(first, ADDRESS, *others)).ip == "192.0.2.7/32"
    assert set(read_call(call(first, *others[4:-1])).numbers) == {"received", "sent", "status"}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(call(identified()), 1, id="identity"),
        pytest.param(call(identified(), ADDRESS), 2, id="and-address"),
        pytest.param(call(*asked()), 7, id="metered"),
        pytest.param(call(*done()), 9, id="end"),
    ],
)
def test_descriptors_counts_those_that_came(raw, expected):
    assert read_call(raw).descriptors == expected


def test_an_end_may_say_who_was_asked():
    end = read_call(call(*done("h1", cluster="llm:a:m")))

    assert isinstance(end, End)
    assert (end.cluster, end.descriptors) == ("llm:a:m", 10)


@pytest.mark.parametrize("places", [(0, 2, 1), (0, 1, 1, 2)], ids=["behind-a-number", "twice"])
def test_who_was_asked_stands_in_one_place(places):
    first, cluster, number, *_ = done("h1", cluster="a")
    found = (first, cluster, number)

    assert isinstance(read_call(call(*(found[place] for place in places))), Unreadable)
