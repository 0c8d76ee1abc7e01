"""Keys that only some readers take for a name that was counted, told to the guard.

Readers that tell no case apart (Go's encoding/json, so Ollama) fold letters as Unicode does: to them a Kelvin sign is a
k and a long s an s. Where a key stands twice they take the last, and `null` takes the number away. Bodies go on with
keys in order: capitals come before the name itself, and what folds from beyond ASCII behind it. No key of any API has
such a letter, and no reader of Envoy's finds one whose value is null: so the text is looked at.
"""

from envoy_data_plane.envoy.config.core.v3 import DataSource
from envoy_data_plane.envoy.extensions.filters.http.lua.v3 import Lua
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.google.protobuf import Any

from control_plane.ir.model import Gateway, Route
from control_plane.xds import names
from control_plane.xds.filters.metering.bodies import metered
from control_plane.xds.filters.metering.fields import OTHER
from control_plane.xds.filters.per_route import ON, PerRoute
from service_kit import contract

# Kelvin sign and long s, as bytes of UTF-8 and as JSON may write them. The time grows with the body and no faster:
# nothing is tried twice but the end of a text.
SCRIPT = rf"""
function envoy_on_request(handle)
  local body = handle:body()
  if not body then return end
  local text = body:getBytes(0, body:length())
  text = text:gsub("\\u212[aA]", "\226\132\170"):gsub("\\u017[fF]", "\197\191")
  if not (text:find("\226\132\170", 1, true) or text:find("\197\191", 1, true)) then return end
  for key in text:gmatch('"([^"]*)"%s*:') do
    if key:find("\226\132\170", 1, true) or key:find("\197\191", 1, true) then
      handle:streamInfo():dynamicMetadata():set("{contract.LLM_NAMESPACE}", "{OTHER}", true)
      return
    end
  end
end
"""


def filters(gateway: Gateway) -> tuple[HttpFilter, ...]:
    """Off, and turned on by metered routes."""
    if not metered(gateway):
        return ()
    script = Lua(default_source_code=DataSource(inline_string=SCRIPT))
    return (HttpFilter(name=names.TOKEN_SPELLINGS, typed_config=Any.pack(script), disabled=True),)


def per_route(route: Route | None) -> PerRoute:
    """On where the route is metered."""
    return {} if route is None or route.tokens is None else {names.TOKEN_SPELLINGS: ON}
