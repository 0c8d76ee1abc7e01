"""Native JWT by hand: the compiled gateway with `jwt_authn` where `ext_authz` stands, and limits in Envoy itself.

The seam: what is written here is what `enforce: envoy` and `scope: instance` stand for. As soon as the configuration
language expresses them, the variant becomes a configuration like the others, and this module goes.
"""

from envoy.config.bootstrap.v3 import bootstrap_pb2 as bootstrap_pb
from envoy.config.core.v3 import base_pb2 as base_pb
from envoy.config.route.v3 import route_components_pb2 as route_pb
from envoy.extensions.common.ratelimit.v3 import ratelimit_pb2 as ratelimit_pb
from envoy.extensions.filters.http.ext_authz.v3 import ext_authz_pb2 as ext_authz_pb
from envoy.extensions.filters.http.header_mutation.v3 import header_mutation_pb2 as header_mutation_pb
from envoy.extensions.filters.http.jwt_authn.v3 import config_pb2 as jwt_authn_pb
from envoy.extensions.filters.http.local_ratelimit.v3 import local_rate_limit_pb2 as local_ratelimit_pb
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as http_connection_manager_pb,
)
from envoy.type.v3 import token_bucket_pb2 as token_bucket_pb
from google.protobuf.message import Message

from bench.ground import AUDIENCE, ISSUER
from control_plane.xds import names
from control_plane.xds.packing import packed, seconds
from service_kit import contract

JWT_AUTHN = "envoy.filters.http.jwt_authn"
PROFILE = "bench.profile"
LOCAL_RATELIMIT = "envoy.filters.http.local_ratelimit"
# As many verified tokens as Envoy remembers; the authorizer remembers its own, too.
CACHED_TOKENS = 1000
# Subjects that are counted at the same time.
COUNTED_SUBJECTS = 10_000


def native(bootstrap: bootstrap_pb.Bootstrap, *, jwks: str, requests_per_minute: int) -> bootstrap_pb.Bootstrap:
    """The bootstrap, changed: it calls neither authorizer nor limiter."""
    by_hand = {
        names.EXT_AUTHZ: (_filter(JWT_AUTHN, _jwt_authn(jwks)), _filter(PROFILE, header_mutation_pb.HeaderMutation())),
        names.RATELIMIT: (_filter(LOCAL_RATELIMIT, _limit_per_subject(requests_per_minute)),),
    }
    for listener in bootstrap.static_resources.listeners:
        manager = http_connection_manager_pb.HttpConnectionManager()
        packed_manager = listener.filter_chains[0].filters[0].typed_config
        packed_manager.Unpack(manager)
        filters = [new for old in manager.http_filters for new in by_hand.get(old.name, (old,))]
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


def _limit_per_subject(requests_per_minute: int) -> local_ratelimit_pb.LocalRateLimit:
    bucket = token_bucket_pb.TokenBucket(max_tokens=requests_per_minute, fill_interval=seconds(60))
    bucket.tokens_per_fill.value = requests_per_minute
    # An entry without a value is a bucket for each value.
    subject = ratelimit_pb.RateLimitDescriptor.Entry(key="subject")
    config = local_ratelimit_pb.LocalRateLimit(
        stat_prefix="bench",
        token_bucket=bucket,
        rate_limits=[route_pb.RateLimit(actions=[_subject_of_identity()])],
        descriptors=[ratelimit_pb.LocalRateLimitDescriptor(entries=[subject], token_bucket=bucket)],
    )
    config.max_dynamic_descriptors.value = COUNTED_SUBJECTS
    for fraction in (config.filter_enabled, config.filter_enforced):
        fraction.default_value.numerator = 100
    return config


def _subject_of_identity() -> route_pb.RateLimit.Action:
    action = route_pb.RateLimit.Action()
    action.metadata.descriptor_key = "subject"
    action.metadata.metadata_key.key = contract.IDENTITY_NAMESPACE
    action.metadata.metadata_key.path.add(key="subject")
    return action


def _ask_nobody(route: route_pb.Route) -> None:
    """What the route told the authorizer and the limiter goes; its profile, which an answer would carry, stays."""
    demands = ext_authz_pb.ExtAuthzPerRoute()
    route.typed_per_filter_config.pop(names.EXT_AUTHZ).Unpack(demands)
    route.typed_per_filter_config.pop(names.RATELIMIT, None)
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
