"""Who may open a stream, and what is said to those who may not.

Over mutual TLS a node is who its certificate says: an Envoy is never given what services are, which holds secrets, nor
what is kept for another group of Envoys.
"""

from collections.abc import Mapping
from typing import Final

import grpc

from control_plane.server.types import ConsumerGroup
from control_plane.server.wire import Node
from service_kit import contract
from service_kit.peers import Peer, Role, refusal

# What a peer must be to belong to the consumers of this `node.cluster`.
ROLES: Final[Mapping[str, Role]] = {
    contract.ENVOY_NODE_CLUSTER: Role.ENVOY,
    contract.SERVICE_NODE_CLUSTER: Role.SERVICE,
}


class Refused(Exception):  # noqa: N818 - an answer to the client, not a fault of the program
    """A stream that is ended by us, with the status that the client is to see."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def admitted(node: Node, groups: Mapping[str, ConsumerGroup], peer: Peer | None) -> ConsumerGroup:
    """The consumers that the node belongs to, or Refused; `peer` is None on a Unix socket."""
    if not node.id:
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "the first request of a stream must state node.id")
    group = groups.get(node.cluster)
    if group is None:
        known = ", ".join(sorted(groups))
        message = f"node.cluster {node.cluster!r} is served nothing here; known are {known}"
        raise Refused(grpc.StatusCode.PERMISSION_DENIED, message)
    if peer is not None:
        _check(peer, ROLES[group.cluster], node.group)
    return group


def _check(peer: Peer, role: Role, group: str) -> None:
    if not peer.may_be(role, group):
        raise Refused(grpc.StatusCode.PERMISSION_DENIED, refusal(peer, role, group))
