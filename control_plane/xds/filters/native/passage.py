"""What becomes of a request whose token Envoy judged: the headers that the authorizer would set, and the token's end.

The profile is made of the verdict on the route. Where there is none the authorizer is asked, and writes every header
anew.
"""

from envoy_data_plane.envoy.config.common.mutation_rules.v3 import HeaderMutation as Mutation
from envoy_data_plane.envoy.config.core.v3 import HeaderValue, HeaderValueOption, HeaderValueOptionHeaderAppendAction
from envoy_data_plane.envoy.extensions.filters.http.header_mutation.v3 import HeaderMutation, Mutations
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.google.protobuf import Any

from control_plane.ir.model import Gateway, Route
from control_plane.ir.native import native_marks
from control_plane.xds import names
from control_plane.xds.filters.native import grant
from control_plane.xds.filters.native.matching import VERDICTS
from control_plane.xds.filters.native.verified import header_of
from control_plane.xds.filters.per_route import ON, PerRoute
from service_kit import contract

SET = HeaderValueOptionHeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD
UNLESS_SET = HeaderValueOptionHeaderAppendAction.ADD_IF_ABSENT
CREDENTIAL = "authorization"


def identity_filters(gateway: Gateway) -> tuple[HttpFilter, ...]:
    """Before the authorizer is asked: off; on where a route lets Envoy judge."""
    marked = native_marks(gateway)
    if not marked:
        return ()
    mutations = [
        *(_header("key_id", f"%DYNAMIC_METADATA({names.JWT_AUTHN}:{header_of(mark)}:kid)%", SET) for mark in marked),
        _header("profile", f"%DYNAMIC_METADATA({VERDICTS}:{grant.GRANTED})%", SET),
        _header("plan", gateway.default_plan or contract.MISSING, UNLESS_SET),
        *(_header(part, contract.MISSING, UNLESS_SET) for part in ("tenant", "consumer", "key_id")),
    ]
    return (_mutating(names.NATIVE_IDENTITY, mutations),)


def identity_per_route(route: Route | None) -> PerRoute:
    """On where Envoy judges tokens."""
    return {} if route is None or route.native is None else {names.NATIVE_IDENTITY: ON}


def credential_filters(gateway: Gateway) -> tuple[HttpFilter, ...]:
    """Behind the authorizer, who must have seen it: off; on where no credential is for the upstream."""
    if not native_marks(gateway):
        return ()
    return (_mutating(names.NATIVE_CREDENTIAL, [Mutation(remove=CREDENTIAL)]),)


def credential_per_route(route: Route | None) -> PerRoute:
    """On where Envoy judges tokens that are not for the upstream."""
    on = route is not None and route.native is not None and not route.native.forward
    return {names.NATIVE_CREDENTIAL: ON} if on else {}


def _mutating(name: str, mutations: list[Mutation]) -> HttpFilter:
    config = HeaderMutation(mutations=Mutations(request_mutations=mutations))
    return HttpFilter(name=name, typed_config=Any.pack(config), disabled=True)


def _header(part: str, value: str, action: HeaderValueOptionHeaderAppendAction) -> Mutation:
    header = HeaderValue(key=contract.identity_header(part), value=value)
    return Mutation(append=HeaderValueOption(header=header, append_action=action))
