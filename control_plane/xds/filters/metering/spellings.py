"""Keys that only some readers take for a name that was counted, told to the guard.

Readers that tell no case apart (Go's encoding/json, so Ollama) fold letters as Unicode does: to them a Kelvin sign is a
k and a long s an s. Where a key stands twice they take the last, and `null` takes the number away. Bodies go on with
keys in order: capitals come before the name itself, and what folds from beyond ASCII behind it. No key of any API has
such a letter, and no reader of Envoy's finds one whose value is null: so the text is looked at. Of the two names of a
number one may not stand in the body at all: then its capitals would count.
"""

from envoy_data_plane.envoy.config.core.v3 import DataSource
from envoy_data_plane.envoy.extensions.filters.http.lua.v3 import Lua
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.google.protobuf import Any

from control_plane.ir.model import Gateway, Route
from control_plane.xds import names
from control_plane.xds.filters.llm.scanning import CLOSING
from control_plane.xds.filters.metering.bodies import metered, reads_bodies
from control_plane.xds.filters.metering.fields import OTHER
from control_plane.xds.filters.per_route import ON, PerRoute
from service_kit import contract

# Kelvin sign and long s, as bytes of UTF-8 and as JSON may write them. The time grows with the body and no faster:
# nothing is tried twice but the end of a text, and places are told by one walk.
SCRIPT = rf"""
local find, byte = string.find, string.byte
{CLOSING}
local COUNTED = {{max_tokens = true, max_completion_tokens = true}}

-- A letter that need not have been escaped; other characters stay as they are.
local function letter(code)
  local found = string.char(tonumber(code, 16))
  return found:find("^[%a_]$") and found or nil
end

-- Whether a key of the top is one of those, but for its capitals.
local function has_capitals(text)
  if find(text, "\\u00", 1, true) then text = text:gsub("\\u00([4-7]%x)", letter) end
  local seen, depth = 1, 0
  for at, key in text:gmatch('()"([%a_]*[tT][oO][kK][eE][nN][sS])"%s*:') do
    local name = key:lower()
    if name ~= key and COUNTED[name] then
      while true do
        local mark = find(text, '["{{}}%[%]]', seen)
        if mark >= at then break end
        local c = byte(text, mark)
        if c == 34 then
          mark = closing(text, mark)
          if not mark then return false end
        elseif c == 123 or c == 91 then
          depth = depth + 1
        else
          depth = depth - 1
        end
        seen = mark + 1
      end
      if depth == 1 then return true end
    end
  end
  return false
end

local function has_foreign_letters(text)
  if find(text, "\\u212", 1, true) then text = text:gsub("\\u212[aA]", "\226\132\170") end
  if find(text, "\\u017", 1, true) then text = text:gsub("\\u017[fF]", "\197\191") end
  if not (find(text, "\226\132\170", 1, true) or find(text, "\197\191", 1, true)) then return false end
  for key in text:gmatch('"([^"]*)"%s*:') do
    if find(key, "\226\132\170", 1, true) or find(key, "\197\191", 1, true) then return true end
  end
  return false
end

function envoy_on_request(handle)
  local body = handle:body()
  if not body then return end
  local text = body:getBytes(0, body:length())
  if has_foreign_letters(text) or has_capitals(text) then
    handle:streamInfo():dynamicMetadata():set("{contract.LLM_NAMESPACE}", "{OTHER}", true)
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
    """On where the route is metered, or one that takes its requests."""
    return {names.TOKEN_SPELLINGS: ON} if reads_bodies(route) else {}
