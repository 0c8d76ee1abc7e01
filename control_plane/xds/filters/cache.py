"""Answers that Envoy keeps. The last filter: what stands behind it would not run on a hit.

Envoy fetches what it keeps by itself, past the route's own action: what this would switch off is refused when the
representation is built (`ir/checks/cache.py`). It is `cache_v2`, although Envoy calls that unfinished: of Envoy 1.40's
older `cache`, a client that hangs up while an answer is fetched makes the process crash.
"""

from envoy_data_plane.envoy.config.core.v3 import DataSource
from envoy_data_plane.envoy.extensions.filters.http.cache_v2.v3 import CacheV2Config
from envoy_data_plane.envoy.extensions.filters.http.lua.v3 import Lua
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.envoy.extensions.http.cache_v2.simple_http_cache.v3 import SimpleHttpCacheV2Config
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher
from envoy_data_plane.google.protobuf import Any

from control_plane.ir.model import Gateway, Route
from control_plane.xds import names
from control_plane.xds.filters.per_route import ON, PerRoute
from service_kit import contract

# Of answers that differ by other headers, none is kept.
VARIES = ("accept", "accept-encoding", "accept-language", "origin")
LARGEST_ANSWER = 1 << 20
# Requests of routes that keep answers have it up to the last step (EDGE), and from there on their answers (UPSTREAM):
# the error of a fetch that failed is what comes back without.
MARK = contract.INTERNAL_HEADER_PREFIX + "kept"
ERROR = (
    '{"error":{"code":"upstream_unreachable",'
    '"message":"The upstream cannot be reached: retry, or give the operator the request id.","request_id":"'
)
# Before the cache. The router, which would remove the profile and map the error, takes no part in a fetch.
EDGE = f"""\
function envoy_on_request(handle)
  local headers = handle:headers()
  headers:remove("{contract.identity_header("profile")}")
  headers:replace("{MARK}", "1")
  local id = headers:get("{contract.REQUEST_ID_HEADER}")
  handle:streamInfo():dynamicMetadata():set("{names.ROUTE_METADATA}", "request_id", id)
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local answered = headers:get("{MARK}")
  headers:remove("{MARK}")
  if answered or headers:get("content-type") ~= "text/plain" then return end
  local id = handle:streamInfo():dynamicMetadata():get("{names.ROUTE_METADATA}")["request_id"]
  headers:replace(":status", "502")
  headers:replace("content-type", "application/json")
  handle:body(true):setBytes('{ERROR}' .. id .. '"}}}}\\n')
end
"""
# On the last step to an upstream. The cache would keep an answer that sets a cookie, and hand one visitor's session to
# the next. A fetch carries a header that tells upstreams of ours to trust it.
UPSTREAM = f"""\
function envoy_on_request(handle)
  local headers = handle:headers()
  if not headers:get("{MARK}") then return end
  headers:remove("{MARK}")
  headers:remove("x-envoy-internal")
  handle:streamInfo():dynamicMetadata():set("{names.ROUTE_METADATA}", "kept", true)
end

function envoy_on_response(handle)
  local said = handle:streamInfo():dynamicMetadata():get("{names.ROUTE_METADATA}")
  if not said or not said["kept"] then return end
  local headers = handle:headers()
  headers:replace("{MARK}", "1")
  if headers:get("set-cookie") then
    headers:replace("cache-control", "private")
  end
end
"""


def filters(gateway: Gateway) -> tuple[HttpFilter, ...]:
    """Where a route keeps answers; off where it keeps none."""
    if not any(route.cached for route in gateway.routes):
        return ()
    cache = CacheV2Config(
        typed_config=Any.pack(SimpleHttpCacheV2Config()),
        allowed_vary_headers=[StringMatcher(exact=name) for name in VARIES],
        max_body_bytes=LARGEST_ANSWER,
    )
    edge = Lua(default_source_code=DataSource(inline_string=EDGE))
    return (
        HttpFilter(name=names.CACHE_EDGE, typed_config=Any.pack(edge), disabled=True),
        HttpFilter(name=names.CACHE, typed_config=Any.pack(cache), disabled=True),
    )


def per_route(route: Route | None) -> PerRoute:
    """On where the route keeps answers."""
    return {names.CACHE_EDGE: ON, names.CACHE: ON} if route is not None and route.cached else {}
