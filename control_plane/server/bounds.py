"""How much a client may say: what it states of itself ends in logs and in the status, and what it asks for in memory.

Whoever says more is no xDS client, and its stream ends. Long reasons of a refusal are cut, since Envoy gives some.
"""

from typing import Final

import grpc

from control_plane.server.admission import Refused
from control_plane.server.stream import Stream
from control_plane.server.wire import MOST_NAMES, Received

# Characters.
LONGEST_STATED: Final = 1_024
LONGEST_TYPE: Final = 256
LONGEST_NAME: Final = 4_096
# Of a stream; Envoy asks for a dozen.
MOST_TYPES: Final = 100


def check_request(received: Received) -> None:
    """Refused where a request says what no client does."""
    node = received.node
    for what, text in (
        ("node.id", node.id),
        ("node.cluster", node.cluster),
        ("the group of the node", node.group),
        ("the user agent", node.user_agent),
    ):
        _check_length(what, text, LONGEST_STATED)
    _check_length("type_url", received.request.type_url, LONGEST_TYPE)
    for name in received.request.request.mentioned:
        _check_length("a resource name", name, LONGEST_NAME)


def check_stream(stream: Stream, received: Received) -> None:
    """Refused where the stream has come to ask for more than any client does."""
    if len(stream.subscriptions) > MOST_TYPES:
        raise _too_much(f"more than {MOST_TYPES} types are asked for on one stream")
    if stream.subscriptions[received.request.type_url].named > MOST_NAMES:
        raise _too_much(f"more than {MOST_NAMES} resources of one type are named")


def _check_length(what: str, text: str, longest: int) -> None:
    if len(text) > longest:
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"{what} is longer than {longest} characters")


def _too_much(message: str) -> Refused:
    return Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, message)
