"""Who may open a stream, and what is said to those who may not."""

from collections.abc import Mapping

import grpc

from control_plane.server.types import ConsumerGroup
from control_plane.server.wire import Node


class Refused(Exception):  # noqa: N818 - an answer to the client, not a fault of the program
    """A stream that is ended by us, with the status that the client is to see."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def admitted(node: Node, groups: Mapping[str, ConsumerGroup]) -> ConsumerGroup:
    """The consumers that the node belongs to, or Refused."""
    if not node.id:
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "the first request of a stream must state node.id")
    group = groups.get(node.cluster)
    if group is None:
        known = ", ".join(sorted(groups))
        message = f"node.cluster {node.cluster!r} is served nothing here; known are {known}"
        raise Refused(grpc.StatusCode.PERMISSION_DENIED, message)
    return group
