"""What an Ollama stream came to, and has until now: a JSON object a line, read as it passes and never buffered.

All that is remembered is a few words, however long a line is: the counts stand at the end of one that may hold the
whole context of a conversation. What is inside of texts, lists and mappings is no count.
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
from control_plane.xds.filters.per_route import ON, PerRoute
from service_kit import contract

# Of the last line, the one that says that it is done. Written while the stream passes: behind the loop nothing runs
# when the client leaves.
SCRIPT = rf"""
local NAMES = {{done = "done", prompt_eval_count = "input", eval_count = "output"}}
local LONGEST = 24
-- Envoy drops a rate limit's descriptor above this: nothing is told, then.
local MOST = 1000000000
local find, byte, sub = string.find, string.byte, string.sub
{COUNTING}{refusal(Dialect.OLLAMA)}
local function fresh()
  return {{depth = 0, text = "", seen = {{}}}}
end

local function take(st, s, from, to)
  if #st.text <= LONGEST then st.text = st.text .. sub(s, from, math.min(to, from + LONGEST)) end
end

local function value(st)
  local name = st.value and st.key and NAMES[st.key]
  if name == "done" then
    st.seen.done = find(st.text, "^%s*true%s*$") ~= nil
  elseif name and #st.text <= LONGEST then
    local number = tonumber(st.text:match("^%s*(%d+)%s*$"))
    st.seen[name] = number and number <= MOST and number or nil
  end
  st.value, st.key, st.text = false, nil, ""
end

local function in_text(st, s, pos, n)
  if st.escaped then
    st.escaped = false
    return pos + 1
  end
  local at = find(s, '["\\\n]', pos)
  if st.named then take(st, s, pos, (at or n + 1) - 1) end
  if not at then return n + 1 end
  local c = byte(s, at)
  if c == 92 then
    st.escaped = true
    if st.named then st.text = st.text .. "\\" end
  elseif c == 10 then
    st.depth, st.string, st.named, st.value, st.key, st.text = 0, false, false, false, nil, ""
  else
    st.string = false
    if st.named then st.named, st.key, st.text = false, st.text, "" end
  end
  return at + 1
end

local function closed(st, found)
  if st.depth == 1 then
    value(st)
    if st.seen.done then
      found = found or {{}}
      for name, number in pairs(st.seen) do found[name] = number end
    end
    st.seen = {{}}
  end
  if st.depth > 0 then st.depth = st.depth - 1 end
  return found
end

local function opened(st)
  if st.depth == 0 then st.seen, st.value, st.key, st.text = {{}}, false, nil, "" end
  if st.depth == 1 then st.key = nil end
  st.depth = st.depth + 1
end

local function quoted(st)
  st.string, st.escaped = true, false
  if st.depth == 1 and not st.value then
    st.named, st.text = true, ""
  elseif st.depth == 1 then
    st.key = nil
  end
end

-- The numbers of the last object that ended here and says "done": true.
local function feed(st, s)
  local pos, n, found = 1, #s, nil
  if st.depth == 0 and byte(s, n) == 10 and not find(s, "eval_count", 1, true) then return end
  while pos <= n do
    if st.string then
      pos = in_text(st, s, pos, n)
    else
      local at = find(s, st.depth == 1 and '["{{}}%[%],:\n]' or '["{{}}%[%]\n]', pos)
      if st.depth == 1 and st.value then take(st, s, pos, (at or n + 1) - 1) end
      if not at then return found end
      local c = byte(s, at)
      if c == 34 then
        quoted(st)
      elseif c == 123 or c == 91 then
        opened(st)
      elseif c == 125 or c == 93 then
        found = closed(st, found)
      elseif c == 58 then
        st.value, st.text = true, ""
      elseif c == 44 then
        value(st)
      else
        st.depth, st.named, st.value, st.key, st.text = 0, false, false, nil, ""
      end
      pos = at + 1
    end
  end
  return found
end

-- Counts the lines that end here; how much of the next one there is.
local function lines(counted, s, open)
  local from = 1
  while true do
    local at = find(s, "\n", from, true)
    if not at then return open + #s - from + 1 end
    piece(counted, open + at - from + 1)
    open, from = 0, at + 1
  end
end

function envoy_on_response(handle)
  if refused(handle) then return end
  local kind = handle:headers():get("content-type")
  if not kind or not find(kind:lower(), "^application/x%-ndjson") then return end
  local st, counted, open = fresh(), counting(), 0
  for chunk in handle:bodyChunks() do
    local length = chunk:length()
    local text = length > 0 and chunk:getBytes(0, length) or ""
    local found = feed(st, text)
    open = lines(counted, text, open)
    tell(counted, handle)
    if found then
      local metadata = handle:streamInfo():dynamicMetadata()
      for _, name in ipairs({{"input", "output"}}) do
        if found[name] then metadata:set("{contract.USAGE_NAMESPACE}", name, found[name]) end
      end
    end
  end
end
"""


def filters(gateway: Gateway) -> tuple[HttpFilter, ...]:
    """Off, and turned on by groups of Ollama's API."""
    if not has_groups(gateway):
        return ()
    script = Lua(default_source_code=DataSource(inline_string=SCRIPT))
    return (HttpFilter(name=names.LINES, typed_config=Any.pack(script), disabled=True),)


def per_route(route: Route | None) -> PerRoute:
    """On where clients speak Ollama's API."""
    ollama = route is not None and in_a_group(route) and dialect(route) is Dialect.OLLAMA
    return {names.LINES: ON} if ollama else {}
