"""Native JWT by hand: the compiled gateway with `jwt_authn` where `ext_authz` stands.

The seam: what is written here is what `enforce: envoy` stands for. As soon as the configuration language expresses it,
the variant becomes a configuration like the others, and this module goes.
"""

from envoy.config.bootstrap.v3 import bootstrap_pb2 as bootstrap_pb
from envoy.config.core.v3 import base_pb2 as base_pb
from envoy.config.route.v3 import route_components_pb2 as route_pb
from envoy.extensions.filters.http.ext_authz.v3 import ext_authz_pb2 as ext_authz_pb
from envoy.extensions.filters.http.header_mutation.v3 import header_mutation_pb2 as header_mutation_pb
from envoy.extensions.filters.http.jwt_authn.v3 import config_pb2 as jwt_authn_pb
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as http_connection_manager_pb,
)
from google.protobuf.message import Message

from bench.ground import AUDIENCE, ISSUER
from control_plane.xds import names
from control_plane.xds.packing import packed
from service_kit import contract

JWT_AUTHN = "envoy.filters.http.jwt_authn"
PROFILE = "bench.profile"
# As many verified tokens as Envoy remembers; the authorizer remembers its own, too.
CACHED_TOKENS = 1000


def native(bootstrap: bootstrap_pb.Bootstrap, *, jwks: str) -> bootstrap_pb.Bootstrap:
    """The bootstrap, changed: it calls no authorizer."""
    verifier = (_filter(JWT_AUTHN, _jwt_authn(jwks)), _filter(PROFILE, header_mutation_pb.HeaderMutation()))
    for listener in bootstrap.static_resources.listeners:
        manager = http_connection_manager_pb.HttpConnectionManager()
        packed_manager = listener.filter_chains[0].filters[0].typed_config
        packed_manager.Unpack(manager)
        filters = [new for old in manager.http_filters for new in (verifier if old.name == names.EXT_AUTHZ else (old,))]
        del manager.http_filters[:]
        manager.http_filters.extend(filters)
        for host in manager.route_config.virtual_hosts:
            for route in host.routes:
                _ask_nobody(route)
        packed_manager.CopyFrom(packed(manager))
    return bootstrap


def _filter(name: str, config: Message) -> http_connection_manager_pb.HttpFilter:
    return http_connection_manager_pb.HttpFilter(name=name, typed_config=packed(config))


def _jwt_authn(jwks: str) -> jwt_authn_pb.JwtAuthentication:
    provider = jwt_authn_pb.JwtProvider(
        issuer=ISSUER,
        audiences=[AUDIENCE],
        require_expiration=True,
        local_jwks=base_pb.DataSource(inline_string=jwks),
        from_headers=[jwt_authn_pb.JwtHeader(name="authorization", value_prefix="Bearer ")],
        jwt_cache_config=jwt_authn_pb.JwtCacheConfig(jwt_cache_size=CACHED_TOKENS),
        claim_to_headers=[
            jwt_authn_pb.JwtClaimToHeader(header_name=contract.identity_header("subject"), claim_name="sub")
        ],
    )
    everything = jwt_authn_pb.RequirementRule(
        match=route_pb.RouteMatch(prefix="/"), requires=jwt_authn_pb.JwtRequirement(provider_name="accounts")
    )
    return jwt_authn_pb.JwtAuthentication(providers={"accounts": provider}, rules=[everything])


def _ask_nobody(route: route_pb.Route) -> None:
    """What the route told the authorizer goes; its profile, which an answer would carry, stays."""
    demands = ext_authz_pb.ExtAuthzPerRoute()
    route.typed_per_filter_config.pop(names.EXT_AUTHZ).Unpack(demands)
    if demands.disabled:
        route.typed_per_filter_config[JWT_AUTHN].CopyFrom(packed(jwt_authn_pb.PerRouteConfig(disabled=True)))
        return
    profile = demands.check_settings.context_extensions[contract.EXTENSION_PROFILE]
    route.typed_per_filter_config[PROFILE].CopyFrom(packed(_header(contract.identity_header("profile"), profile)))


def _header(name: str, value: str) -> header_mutation_pb.HeaderMutationPerRoute:
    mutation = header_mutation_pb.HeaderMutationPerRoute()
    option = mutation.mutations.request_mutations.add().append
    option.header.key, option.header.value = name, value
    option.append_action = base_pb.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
    return mutation
