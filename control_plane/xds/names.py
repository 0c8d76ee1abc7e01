"""Every name of an Envoy resource. Names of users stay as they are; ours hold a colon, which theirs cannot."""

from typing import Final

AUTHZ_CLUSTER: Final = "tollgate:authz"
RATELIMIT_CLUSTER: Final = "tollgate:ratelimit"
ROUTES: Final = "tollgate:routes"
NO_ROUTE: Final = "tollgate:no-route"
ODD_METHOD: Final = "tollgate:odd-method"

# HTTP filters, as typed_per_filter_config names them. A misspelt one would switch the rule off in silence, so every
# use is checked against FILTER_CHAIN before a snapshot is published.
HEALTH: Final = "tollgate.health"
READY: Final = "tollgate.ready"
BODY_LIMIT: Final = "tollgate.body_limit"
EXT_AUTHZ: Final = "envoy.filters.http.ext_authz"
IDENTITY: Final = "tollgate.identity"
PROFILE_GUARD: Final = "rbac.profile"
RATELIMIT: Final = "envoy.filters.http.ratelimit"
ROUTER: Final = "envoy.filters.http.router"


def body_limit(size: int) -> str:
    """The filter of one size class, in bytes."""
    return f"{BODY_LIMIT}.{size}"


LISTENER_TYPE: Final = "type.googleapis.com/envoy.config.listener.v3.Listener"
ROUTES_TYPE: Final = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
CLUSTER_TYPE: Final = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
ENDPOINTS_TYPE: Final = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
