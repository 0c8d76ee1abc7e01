import pytest
from envoy.service.discovery.v3 import discovery_pb2 as discovery_pb

from bench.xds.envelope import Envelope, envelope
from control_plane.server.exchange import Push
from control_plane.server.wire import DELTA, SOTW, Protocol
from control_plane.snapshot import resource

URL = "type.googleapis.com/envoy.config.cluster.v3.Cluster"


@pytest.mark.parametrize("protocol", [SOTW, DELTA], ids=lambda protocol: protocol.name)
@pytest.mark.parametrize("size", [0, 1, 127, 128, 100_000])
def test_what_an_ack_repeats_is_found_past_the_resources(protocol: Protocol, size: int):
    items = tuple(resource(URL, name, name.encode() * size) for name in ("a", "b"))
    push = Push(URL, "version", "nonce", items, removed=("c",) if protocol is DELTA else ())

    found = envelope(protocol.body(push) + protocol.nonce("nonce"))

    assert found == Envelope("version", URL, "nonce")


def test_single_numbers_are_passed_over():
    message = discovery_pb.DiscoveryResponse(version_info="1", canary=True, type_url=URL, nonce="2")

    assert envelope(message.SerializeToString()) == Envelope("1", URL, "2")


def test_what_is_no_response_is_said():
    with pytest.raises(ValueError, match="wire type 5"):
        envelope(b"\x0d\x01\x02\x03\x04")
