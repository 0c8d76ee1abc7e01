"""Who is where: an API key for some networks, used from another by clients who say that they are there."""

import json
from uuid import uuid4

import pytest

from tests.security.conftest import DISTANT_KEY, GOOD_KEY, Besieged
from tests.support.h2_frames import FIRST, WHOLE, Flag, Kind, block, exchanged, frame
from tests.support.wire import answers_to, request

KEY = b"X-Api-Key: " + DISTANT_KEY.text.encode()
THERE = b"203.0.113.7"
CLAIMS = {
    "nothing": (),
    "x-forwarded-for": (b"X-Forwarded-For: " + THERE,),
    "twice": (b"X-Forwarded-For: " + THERE, b"X-Forwarded-For: " + THERE),
    "a list": (b"X-Forwarded-For: 203.0.113.7, 203.0.113.7, 203.0.113.7",),
    "an empty end": (b"X-Forwarded-For: 203.0.113.7,",),
    "in another case": (b"x-FORWARDED-for: " + THERE,),
    "with a port": (b"X-Forwarded-For: 203.0.113.7:80",),
    "mapped": (b"X-Forwarded-For: ::ffff:203.0.113.7",),
    "of the new kind": (b"X-Forwarded-For: 2001:db8::1",),
    "in brackets": (b"X-Forwarded-For: [2001:db8::1]",),
    "with a zone": (b"X-Forwarded-For: 2001:db8::1%eth0",),
    "with a NUL": (b"X-Forwarded-For: 203.0.113.7\x00",),
    "no UTF-8": (b"X-Forwarded-For: 203.0.113.7\xff",),
    "nominated": (b"X-Forwarded-For: " + THERE, b"Connection: x-forwarded-for"),
    "an underscore": (b"X_Forwarded_For: " + THERE,),
    "folded": (b"X-Forwarded-For:\r\n " + THERE,),
    "forwarded": (b"Forwarded: for=203.0.113.7;by=203.0.113.7",),
    "x-real-ip": (b"X-Real-IP: " + THERE,),
    "x-client-ip": (b"X-Client-IP: " + THERE,),
    "true-client-ip": (b"True-Client-IP: " + THERE,),
    "cf-connecting-ip": (b"CF-Connecting-IP: " + THERE,),
    "fastly-client-ip": (b"Fastly-Client-IP: " + THERE,),
    "x-cluster-client-ip": (b"X-Cluster-Client-IP: " + THERE,),
    "a word of envoy": (b"X-Envoy-External-Address: " + THERE, b"X-Envoy-Internal: true"),
    "more hops": (b"X-Forwarded-For: " + b", ".join([THERE] * 50),),
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_client_is_where_its_connection_comes_from(besieged: Besieged, claim: str):
    marker = uuid4().hex
    (answer,) = answers_to(besieged.port, request(f"/private/{marker}", KEY, *CLAIMS[claim]))

    code = json.loads(answer.body)["error"]["code"]
    assert (answer.status, code) in {(403, "address_not_allowed"), (400, "bad_request")}
    assert besieged.private.of(marker) == []


def test_the_upstream_is_told_that_address_alone(besieged: Besieged):
    marker = uuid4().hex
    headers = (b"X-Api-Key: " + GOOD_KEY.text.encode(), *CLAIMS["twice"], *CLAIMS["forwarded"])
    answers_to(besieged.port, request(f"/private/{marker}", *headers))

    (found,) = besieged.private.of(marker)
    assert found.values(b"x-forwarded-for") == [b"127.0.0.1"]
    assert found.values(b"forwarded") == []


def test_nor_do_http2_trailers_and_authorities_say_where(besieged: Besieged):
    head = block(
        "/private/distant", ("x-api-key", DISTANT_KEY.text), ("x-forwarded-for", THERE.decode()), method="POST"
    )
    more = b"\x00\x0fx-forwarded-for\x0b" + THERE
    frames = (frame(Kind.HEADERS, head, Flag.END_HEADERS, FIRST), frame(Kind.HEADERS, more, WHOLE, FIRST))

    assert exchanged(besieged.port, *frames, until=[FIRST]).statuses == {FIRST: 403}
    assert besieged.private.of("distant") == []
