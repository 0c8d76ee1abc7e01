"""Headers that tell the two sides of the gateway about each other.

The authorizer and upstreams get one X-Forwarded-For: the client that was found, without what stood left of it behind
trusted proxies, and not the machine's own address, by which Envoy would name clients on the same one. A client of a
listener with HTTP/3 learns of it by Alt-Svc (RFC 7838).
"""

from envoy_data_plane.envoy.config.common.mutation_rules.v3 import HeaderMutation as Mutation
from envoy_data_plane.envoy.config.core.v3 import (
    HeaderValue,
    HeaderValueOption,
    HeaderValueOptionHeaderAppendAction,
)
from envoy_data_plane.envoy.extensions.filters.http.header_mutation.v3 import HeaderMutation, Mutations
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.google.protobuf import Any

from control_plane.ir.model import Listener
from control_plane.xds import names
from control_plane.xds.access_log import CLIENT_ADDRESS
from service_kit import contract

# Seconds for which a client may remember it: an hour, so that HTTP/3 can be turned off again.
REMEMBERED = 3600


def filters(listener: Listener) -> tuple[HttpFilter, ...]:
    """One, with what this listener has to say."""
    request = [_set(contract.CLIENT_ADDRESS_HEADER, CLIENT_ADDRESS)]
    response = [_set("alt-svc", f'h3=":{listener.address.port}"; ma={REMEMBERED}')] if listener.http3 else []
    mutation = HeaderMutation(mutations=Mutations(request_mutations=request, response_mutations=response))
    return (HttpFilter(name=names.FORWARDING, typed_config=Any.pack(mutation)),)


def _set(name: str, value: str) -> Mutation:
    return Mutation(
        append=HeaderValueOption(
            header=HeaderValue(key=name, value=value),
            append_action=HeaderValueOptionHeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
        )
    )
