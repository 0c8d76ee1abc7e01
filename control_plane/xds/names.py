"""Every name of an Envoy resource. Names of users stay as they are; ours hold a colon, which theirs cannot."""

from typing import Final

AUTHZ_CLUSTER: Final = "tollgate:authz"
RATELIMIT_CLUSTER: Final = "tollgate:ratelimit"
OAUTH_CLUSTER: Final = "tollgate:oauth"
OAUTH: Final = "tollgate:oauth"
USAGE_CLUSTER: Final = "tollgate:usage"
USAGE: Final = "tollgate:usage"
TRANSLATOR_CLUSTER: Final = "tollgate:translator"
ROUTES: Final = "tollgate:routes"
NO_ROUTE: Final = "tollgate:no-route"
ODD_METHOD: Final = "tollgate:odd-method"
ODD_HOST: Final = "tollgate:odd-host"
ODD_CLIENT: Final = "tollgate:odd-client"
ESCAPED_SLASH: Final = "tollgate:escaped-slash"
SYSTEM_CA: Final = "tollgate:system:ca"
OWN_CERTIFICATE: Final = "tollgate:own:certificate"
OWN_CA: Final = "tollgate:own:ca"

# HTTP filters, as typed_per_filter_config names them. A misspelt one would switch the rule off in silence, so every
# use is checked against FILTER_CHAIN before a snapshot is published.
HEALTH: Final = "tollgate.health"
READY: Final = "tollgate.ready"
BODY_LIMIT: Final = "tollgate.body_limit"
CORS: Final = "envoy.filters.http.cors"
CORS_VARY: Final = "tollgate.cors_vary"
IP_LIST: Final = "rbac.ip_list"
JWT_AUTHN: Final = "envoy.filters.http.jwt_authn"
NATIVE_TOKEN: Final = "rbac.native_token"  # noqa: S105 - the name of a filter
OWN_SIGNATURE: Final = "tollgate.own_tokens"
OWN_TOKEN: Final = "rbac.own_token"  # noqa: S105 - the name of a filter
NATIVE_GRANT: Final = "rbac.native"
NATIVE_IDENTITY: Final = "tollgate.native_identity"
EXT_AUTHZ: Final = "envoy.filters.http.ext_authz"
NATIVE_CREDENTIAL: Final = "tollgate.native_credential"
IDENTITY: Final = "tollgate.identity"
OF_PLANS: Final = "tollgate.of_plans"
ANY_TYPE: Final = "tollgate.any_type"
UNUSED_TOKENS: Final = "tollgate.unused_tokens"
TOKEN_SPELLINGS: Final = "tollgate.token_spellings"  # noqa: S105 - the name of a filter
JSON_TOKENS: Final = "tollgate.json_tokens"
PARAMETERS: Final = "tollgate.parameters"
PROFILE_GUARD: Final = "rbac.profile"
MODEL_GUARD: Final = "rbac.model"
FORWARDING: Final = "tollgate.forwarding"
COMPRESSION: Final = "tollgate.compression"
TOKEN_GUARD: Final = "rbac.tokens"  # noqa: S105 - the name of a filter
INSTANCE_LIMITS: Final = "tollgate.instance_limits"
STREAM_ENDS: Final = "tollgate.stream_ends"
RATELIMIT: Final = "envoy.filters.http.ratelimit"
BODY_REWRITE: Final = "envoy.filters.http.transform"
BODY_GUARD: Final = "rbac.body_guard"
FAULT: Final = "envoy.filters.http.fault"
ADAPTIVE_CONCURRENCY: Final = "tollgate.adaptive_concurrency"
BANDWIDTH: Final = "tollgate.bandwidth"
EVENTS: Final = "tollgate.events"
STREAMED_TOKENS: Final = "tollgate.streamed_tokens"
LINES: Final = "tollgate.lines"
CACHE_EDGE: Final = "tollgate.cache_edge"
CACHE: Final = "envoy.filters.http.cache_v2"
ROUTER: Final = "envoy.filters.http.router"

# What a route says about itself to filters that read it from metadata.
ROUTE_METADATA: Final = "tollgate.route"
ROUTE_METADATA_NAME: Final = "name"
ROUTE_METADATA_COST: Final = "cost"
ROUTE_METADATA_USAGE: Final = "usage"
ROUTE_METADATA_POLICY: Final = "policy"
ROUTE_METADATA_HOLDS: Final = "holds"
ROUTE_METADATA_MOST: Final = "most"
ROUTE_METADATA_INPUT_PRICE: Final = "price_in"
ROUTE_METADATA_OUTPUT_PRICE: Final = "price_out"
ROUTE_METADATA_MODEL: Final = "model"
ROUTE_METADATA_DIALECT: Final = "dialect"
ROUTE_METADATA_TARGETS: Final = "targets"

# What a client's request said before it was sent on, for the log.
CLIENT_METADATA: Final = "tollgate.client"
CLIENT_METADATA_HOST: Final = "host"
CLIENT_METADATA_ADDRESS: Final = "address"
CLIENT_METADATA_REQUEST: Final = "request_id"
# What an upstream said where the client is told something else, for the log.
UPSTREAM_METADATA: Final = "tollgate.upstream"
UPSTREAM_METADATA_STATUS: Final = "status"

# Filters on the last step to an upstream.
CREDENTIAL_INJECTOR: Final = "envoy.filters.http.credential_injector"
KEPT_ANSWERS: Final = "tollgate.kept_answers"
COPIES: Final = "tollgate.copies"
CLIENTS_HOST: Final = "tollgate.clients_host"
UPSTREAM_CODEC: Final = "envoy.filters.http.upstream_codec"


def body_limit(size: int) -> str:
    """The filter of one size class, in bytes."""
    return f"{BODY_LIMIT}.{size}"


def compression(encoding: str) -> str:
    """The filter of one encoding."""
    return f"{COMPRESSION}.{encoding}"


def http3_listener(listener: str) -> str:
    """The UDP listener beside a TCP one."""
    return f"tollgate:http3:{listener}"


def https_redirect(port: int) -> str:
    """The routes of listeners that redirect to this port."""
    return f"tollgate:https-redirect:{port}"


# Parts of what is secret, or replaced while the gateway runs.
CERTIFICATE: Final = "certificate"
CA: Final = "ca"
CREDENTIAL: Final = "credential"


def listener_secret(listener: str, part: str) -> str:
    """A secret of a listener."""
    return f"tollgate:listener:{listener}:{part}"


def upstream_secret(upstream: str, part: str) -> str:
    """A secret of an upstream."""
    return f"tollgate:upstream:{upstream}:{part}"


def adaptive_concurrency(route: str) -> str:
    """The filter of one route."""
    return f"{ADAPTIVE_CONCURRENCY}.{route}"


def bandwidth(route: str, direction: str) -> str:
    """The filter of one route and direction."""
    return f"{BANDWIDTH}.{direction}.{route}"


def preflight(route: str) -> str:
    """The route that takes a route's preflights."""
    return f"{route}:preflight"


def other_methods(route: str) -> str:
    """The route that takes what a group of routes does not, on their path."""
    return f"{route}:methods"


VARIANT: Final = "llm:"


def is_variant(cluster: str) -> bool:
    """Whether this is an upstream as calls of a model reach it: a cluster, and the internal listener behind it."""
    return cluster.startswith(VARIANT)


LISTENER_TYPE: Final = "type.googleapis.com/envoy.config.listener.v3.Listener"
ROUTES_TYPE: Final = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
VIRTUAL_HOST_TYPE: Final = "type.googleapis.com/envoy.config.route.v3.VirtualHost"
CLUSTER_TYPE: Final = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
ENDPOINTS_TYPE: Final = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
EXTENSION_TYPE: Final = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"
SECRET_TYPE: Final = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"  # noqa: S105 - a type
