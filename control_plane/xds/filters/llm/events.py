"""What a stream of events came to, and has until now; read as it passes, and kept back only where it must not pass.

The gateway asks for the event that tells the usage, to count. Clients that did not ask for it do not get it: its list
of choices is empty, at which programs stumble that take the first one. All events but one or two are looked through for
a word: a parser that reads each of them, as Envoy has one, costs more than all else that a stream costs here.
"""

from envoy_data_plane.envoy.config.core.v3 import DataSource
from envoy_data_plane.envoy.extensions.filters.http.lua.v3 import Lua
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.google.protobuf import Any

from control_plane.ir.model import Dialect, Gateway, Route
from control_plane.xds import names
from control_plane.xds.filters.llm.groups import dialect, has_groups, in_a_group
from control_plane.xds.filters.llm.pieces import COUNTING
from control_plane.xds.filters.llm.refusal import refusal
from control_plane.xds.filters.llm.scanning import CLOSING
from control_plane.xds.filters.metering.fields import INCLUDE_USAGE
from control_plane.xds.filters.per_route import ON, PerRoute
from service_kit import contract

# Bytes of an event that is not whole yet; a longer one tells nothing.
LONGEST = 65_536

# What an event tells: numbers that stand at these places of its JSON, and no text that looks like them. Lines that are
# no data say nothing, and neither do numbers that a limiter would not be told.
NUMBERS = rf"""
local PLACES = {{
  ["usage.prompt_tokens"] = "input",
  ["usage.completion_tokens"] = "output",
  ["usage.total_tokens"] = "total",
  ["usage.prompt_tokens_details.cached_tokens"] = "cached",
  ["usage.completion_tokens_details.reasoning_tokens"] = "{contract.NUMBER_REASONING}",
}}
local DEEPEST = 3
-- Envoy drops a rate limit's descriptor above this.
local MOST = 1000000000

local function number(text, at)
  local found = tonumber((match(text, "^[%d.eE+-]+", at)))
  return found and found >= 0 and found <= MOST and found or nil
end

local function numbers(text, found)
  local at, depth, keys = 1, 0, {{}}
  while true do
    at = find(text, '["{{}}%[%]]', at)
    if not at then return end
    local c = byte(text, at)
    if c == 34 then
      local close = closing(text, at)
      if not close then return end
      local _, colon = find(text, "^%s*:%s*", close + 1)
      if colon and depth <= DEEPEST then
        keys[depth] = sub(text, at + 1, close - 1)
        local name = PLACES[concat(keys, ".", 1, depth)]
        if name then found[name] = number(text, colon + 1) or found[name] end
      end
      at = close
    elseif c == 123 or c == 91 then
      depth = depth + 1
      if depth <= DEEPEST then keys[depth] = c == 91 and "[" or "" end
    else
      depth = depth - 1
    end
    at = at + 1
  end
end

local function data(event)
  local lines = {{}}
  for line in gmatch(event, "[^\r\n]+") do
    lines[#lines + 1] = match(line, "^data:(.*)")
  end
  return concat(lines, "\n")
end
"""

# `st.open` is what has come of an event that is not whole yet, `st.gone` how much of that the client has. An event is
# kept back while it may turn out to be the one that the client did not ask for.
SCRIPT = rf"""
local find, sub, byte, match, gmatch = string.find, string.sub, string.byte, string.match, string.gmatch
local concat = table.concat
local BEGIN = {{"data: {{", "data:{{"}}

-- The plain word is looked for first: that is far faster, and most events have none.
local function has_usage(text)
  return find(text, '"usage"', 1, true) and find(text, '"usage"%s*:%s*{{')
end
{COUNTING}{CLOSING}{NUMBERS}{refusal(Dialect.OPENAI)}
local function tell_usage(handle, event)
  local found = {{}}
  numbers(data(event), found)
  local metadata = handle:streamInfo():dynamicMetadata()
  for name, value in pairs(found) do metadata:set("{contract.USAGE_NAMESPACE}", name, value) end
end

-- Whether the client is not to get this event.
local function taken(st, event)
  if find(event, "^data: ?{{") then piece(st.counted, #event) end
  if st.cut or not has_usage(event) then return false end
  tell_usage(st.handle, event)
  return not st.told and find(event, '"choices"%s*:%s*%[%s*%]') ~= nil
end

local function held_back(st)
  if st.told or st.cut or st.gone > 0 or #st.open > {LONGEST} then return false end
  -- Words, of an answer: a stream may end behind them without saying so, and nothing is sent then.
  if find(st.open, '"choices"%s*:%s*%[%s*{{') then return false end
  for _, begin in ipairs(BEGIN) do
    if sub(begin, 1, #st.open) == sub(st.open, 1, #begin) then return true end
  end
  return false
end

-- What goes on to the client of all that has come.
local function passed(st, chunk)
  local text, from, gone, kept, seen = st.open .. chunk, 1, st.gone, {{}}, math.max(1, #st.open - 1)
  while true do
    local _, to = find(text, "\n\r?\n", seen)
    if not to then break end
    if not taken(st, sub(text, from, to)) or gone > 0 then kept[#kept + 1] = sub(text, from + gone, to) end
    from, seen, gone, st.cut = to + 1, to + 1, 0, false
  end
  st.open, st.gone = sub(text, from), gone
  if held_back(st) then return concat(kept) end
  kept[#kept + 1] = sub(st.open, st.gone + 1)
  st.gone = #st.open
  if #st.open > {LONGEST} then
    if not st.cut then piece(st.counted, #st.open) end
    st.open, st.gone, st.cut = sub(st.open, -2), 2, true
  end
  return concat(kept)
end

-- What the client still gets of an event that nothing ends.
local function ending(st)
  if st.open == "" then return "" end
  local rest = taken(st, st.open) and "" or sub(st.open, st.gone + 1)
  st.open, st.gone = "", 0
  return rest
end

function envoy_on_response(handle)
  if refused(handle) then return end
  local kind = handle:headers():get("content-type")
  if not kind or not find(kind:lower(), "^text/event%-stream") then return end
  local asked = handle:streamInfo():dynamicMetadata():get("{contract.LLM_NAMESPACE}")
  local told = asked ~= nil and asked["{INCLUDE_USAGE}"] == true
  local st = {{open = "", gone = 0, cut = false, told = told, counted = counting(), handle = handle}}
  -- An answer that says how long it is loses the length with the event: its client would wait for the rest.
  if not told then handle:headers():remove("content-length") end
  for chunk in handle:bodyChunks() do
    local length = chunk:length()
    local text = length > 0 and chunk:getBytes(0, length) or ""
    if st.open == "" and find(text, "\n\n", 1, true) == length - 1 and not has_usage(text) then
      if find(text, "^data: ?{{") then piece(st.counted, length) end
    elseif length > 0 then
      local on = passed(st, text)
      if on ~= text then chunk:setBytes(on) end
    else
      -- The end: what came last need not say that it is whole.
      local rest = ending(st)
      if rest ~= "" then chunk:setBytes(rest) end
    end
    tell(st.counted, handle)
  end
  ending(st)
end
"""


def filters(gateway: Gateway) -> tuple[HttpFilter, ...]:
    """Off, and turned on by groups of OpenAI's API."""
    if not has_groups(gateway):
        return ()
    script = Lua(default_source_code=DataSource(inline_string=SCRIPT))
    return (HttpFilter(name=names.EVENTS, typed_config=Any.pack(script), disabled=True),)


def per_route(route: Route | None) -> PerRoute:
    """On where clients speak OpenAI's API."""
    openai = route is not None and in_a_group(route) and dialect(route) is Dialect.OPENAI
    return {names.EVENTS: ON} if openai else {}
