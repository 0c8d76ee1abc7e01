"""What a connected consumer runs, resource by resource, for those who ask about single ones."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from control_plane.server.status import NodeStatus, ResourceState
from control_plane.server.wire import Node
from control_plane.snapshot import Resource


@dataclass(frozen=True)
class Client:
    """One stream: its node, the state of its types, and of its resources at the moment of the call."""

    node: Node
    status: NodeStatus
    resources: Callable[[], Iterable[tuple[Resource, ResourceState]]]
