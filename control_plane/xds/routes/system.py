"""The gateway's own routes as Envoy tries them: before all others of every virtual host, and none takes their place.

Routes are shared by all listeners. Which of these have an endpoint its service knows, and is told which one was asked.
"""

from typing import Final

from envoy.config.core.v3 import base_pb2 as base_pb
from envoy.config.route.v3 import route_components_pb2 as route_pb

from service_kit.contract import LISTENER_HEADER

# Chains of filters are called like their listeners.
LISTENER: Final = "%FILTER_CHAIN_NAME%"


def say_which_listener(built: route_pb.Route) -> None:
    """Adds the header; a client's own was removed before."""
    built.request_headers_to_add.add(
        header=base_pb.HeaderValue(key=LISTENER_HEADER, value=LISTENER),
        append_action=base_pb.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
    )
