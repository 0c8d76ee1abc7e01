"""Ollama reads every body as JSON, whatever its type is said to be, and `curl -d` says that it is a form.

So that the body is read here as well, and no upstream reads another one, such a request is said to be JSON.
"""

from envoy_data_plane.envoy.config.common.mutation_rules.v3 import HeaderMutation as Mutation
from envoy_data_plane.envoy.config.core.v3 import HeaderValue, HeaderValueOption, HeaderValueOptionHeaderAppendAction
from envoy_data_plane.envoy.extensions.filters.http.header_mutation.v3 import HeaderMutation, Mutations
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.google.protobuf import Any

from control_plane.ir.model import Dialect, Gateway, Route
from control_plane.xds import names
from control_plane.xds.filters.llm.groups import dialect, has_groups, in_a_group
from control_plane.xds.filters.per_route import ON, PerRoute


def filters(gateway: Gateway) -> tuple[HttpFilter, ...]:
    """Off, and turned on by groups of Ollama's API."""
    if not has_groups(gateway):
        return ()
    said = HeaderValueOption(
        header=HeaderValue(key="content-type", value="application/json"),
        append_action=HeaderValueOptionHeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
    )
    mutation = HeaderMutation(mutations=Mutations(request_mutations=[Mutation(append=said)]))
    return (HttpFilter(name=names.ANY_TYPE, typed_config=Any.pack(mutation), disabled=True),)


def per_route(route: Route | None) -> PerRoute:
    """On where clients speak Ollama's API."""
    ollama = route is not None and in_a_group(route) and dialect(route) is Dialect.OLLAMA
    return {names.ANY_TYPE: ON} if ollama else {}
