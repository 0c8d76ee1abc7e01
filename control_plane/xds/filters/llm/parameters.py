"""Parameters that a model does not know, told to the guard of numbers, which refuses them by name.

Envoy's reader of bodies takes lists and mappings for missing, and most parameters that some servers lack are such: so
the text is looked at. Parameters are keys of the top, and of a mapping that stands there, as `options.seed`; `null`
asks for nothing.
"""

from envoy.extensions.filters.http.lua.v3 import lua_pb2 as lua_pb
from envoy_data_plane.envoy.config.core.v3 import DataSource
from envoy_data_plane.envoy.extensions.filters.http.lua.v3 import Lua
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.google.protobuf import Any

from control_plane.ir.model import Gateway, Route
from control_plane.xds import names
from control_plane.xds.filters.llm.groups import has_groups, is_last
from control_plane.xds.filters.llm.scanning import KEYS
from control_plane.xds.filters.per_route import ON, PerRoute
from control_plane.xds.packing import packed
from service_kit import contract

# Where the name of a refused parameter stands.
REFUSED = "refused"
# What a route says: the names that it refuses.
NAMES = "names"

# Keys may be written with escapes (RFC 8259, 7); of those that begin a name only ASCII matters. Readers in Go tell no
# case apart.
SCRIPT = rf"""
local find, byte, sub = string.find, string.byte, string.sub
{KEYS}
local function plain(key)
  return (key:gsub("\\u00(%x%x)", function(code) return string.char(tonumber(code, 16)) end)):lower()
end

local function refused(text, names)
  local outer
  return of_keys(text, function(depth, at, close, value)
    if not (depth == 1 or depth == 2 and outer) then return nil end
    local key = plain(sub(text, at + 1, close - 1))
    local name = names[depth == 1 and key or outer .. "." .. key]
    if depth == 1 then outer = byte(text, value) == 123 and key or nil end
    return name and not find(text, '^null', value) and name
  end)
end

function envoy_on_request(handle)
  local names = handle:filterContext():get("{NAMES}")
  if not names then return end
  local body = handle:body()
  if not body then return end
  local found = refused(body:getBytes(0, body:length()), names)
  if found then handle:streamInfo():dynamicMetadata():set("{contract.LLM_NAMESPACE}", "{REFUSED}", found) end
end
"""


def filters(gateway: Gateway) -> tuple[HttpFilter, ...]:
    """Off, and turned on by groups."""
    if not has_groups(gateway):
        return ()
    script = Lua(default_source_code=DataSource(inline_string=SCRIPT))
    return (HttpFilter(name=names.PARAMETERS, typed_config=Any.pack(script), disabled=True),)


def per_route(route: Route | None) -> PerRoute:
    """What a model refuses."""
    if route is None:
        return {}
    if is_last(route):
        return {names.PARAMETERS: ON}
    if route.model is None or not route.model.refused:
        return {}
    said = lua_pb.LuaPerRoute()
    said.filter_context.update({NAMES: {name.lower(): name for name in route.model.refused}})
    return {names.PARAMETERS: packed(said)}
