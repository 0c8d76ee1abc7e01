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
from control_plane.ir.native import OWN, envoy_judges, native_marks, own_tokens
from control_plane.xds import names
from control_plane.xds.filters.native import grant
from control_plane.xds.filters.native.matching import VERDICTS
from control_plane.xds.filters.native.verified import header_of
from control_plane.xds.filters.per_route import ON, PerRoute
from service_kit import contract
from service_kit.gateway_tokens import CONSUMER_CLAIM, KEY_ID_CLAIM, MODELS_CLAIM, PLAN_CLAIM, TENANT_CLAIM

SET = HeaderValueOptionHeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD
UNLESS_SET = HeaderValueOptionHeaderAppendAction.ADD_IF_ABSENT
CREDENTIAL = "authorization"
# Whom one of the gateway's own tokens is for: its claims by the parts of the identity. That filter sets no headers: it
# would remove those that the one before it has set.
OWN_PARTS = {
    "subject": "sub",
    "consumer": CONSUMER_CLAIM,
    "tenant": TENANT_CLAIM,
    "plan": PLAN_CLAIM,
    "key_id": KEY_ID_CLAIM,
    "models": MODELS_CLAIM,
}


def identity_filters(gateway: Gateway) -> tuple[HttpFilter, ...]:
    """Before the authorizer is asked: off; on where a route lets Envoy judge."""
    if not envoy_judges(gateway):
        return ()
    own = OWN_PARTS if own_tokens(gateway) is not None else {}
    mutations = [
        *(_header("key_id", _of_token(header_of(mark), "kid"), SET) for mark in native_marks(gateway)),
        *(_header(part, _of_token(OWN, claim), SET) for part, claim in own.items()),
        _header("profile", f"%DYNAMIC_METADATA({VERDICTS}:{grant.GRANTED})%", SET),
        _header("plan", gateway.default_plan or contract.MISSING, UNLESS_SET),
        *(_header(part, contract.MISSING, UNLESS_SET) for part in ("tenant", "consumer", "key_id", "models")),
    ]
    return (_mutating(names.NATIVE_IDENTITY, mutations),)


def identity_per_route(route: Route | None) -> PerRoute:
    """On where Envoy judges tokens."""
    return {} if route is None or route.native is None else {names.NATIVE_IDENTITY: ON}


def credential_filters(gateway: Gateway) -> tuple[HttpFilter, ...]:
    """Behind the authorizer, who must have seen it: off; on where no credential is for the upstream."""
    if not envoy_judges(gateway):
        return ()
    return (_mutating(names.NATIVE_CREDENTIAL, [Mutation(remove=CREDENTIAL)]),)


def credential_per_route(route: Route | None) -> PerRoute:
    """On where Envoy judges tokens that are not for the upstream."""
    on = route is not None and route.native is not None and not route.native.forward
    return {names.NATIVE_CREDENTIAL: ON} if on else {}


def _of_token(kept: str, name: str) -> str:
    """What Envoy keeps of a verified token; nothing where there is none, and nothing sets no header."""
    return f"%DYNAMIC_METADATA({names.JWT_AUTHN}:{kept}:{name})%"


def _mutating(name: str, mutations: list[Mutation]) -> HttpFilter:
    config = HeaderMutation(mutations=Mutations(request_mutations=mutations))
    return HttpFilter(name=name, typed_config=Any.pack(config), disabled=True)


def _header(part: str, value: str, action: HeaderValueOptionHeaderAppendAction) -> Mutation:
    header = HeaderValue(key=contract.identity_header(part), value=value)
    return Mutation(append=HeaderValueOption(header=header, append_action=action))
