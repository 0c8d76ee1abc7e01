"""Pieces of Lua that read JSON as text, for scripts that look for keys."""

# Where the text ends that begins at this quote: at the next quote with an even number of backslashes before it.
CLOSING = r"""
local function closing(text, at)
  while true do
    at = find(text, '"', at + 1, true)
    if not at then return nil end
    local before = at - 1
    while byte(text, before) == 92 do before = before - 1 end
    if (at - before) % 2 == 1 then return at end
  end
end
"""

# The first that `visit` returns for a key, told its depth, where it begins and closes, and where its value begins.
KEYS = rf"""
{CLOSING}
local function of_keys(text, visit)
  local at, depth = 1, 0
  while true do
    at = find(text, '["{{}}%[%]]', at)
    if not at then return nil end
    local c = byte(text, at)
    if c == 34 then
      local close = closing(text, at)
      if not close then return nil end
      local _, colon = find(text, '^%s*:%s*', close + 1)
      local found = colon and visit(depth, at, close, colon + 1)
      if found then return found end
      at = close
    elseif c == 123 or c == 91 then
      depth = depth + 1
    else
      depth = depth - 1
    end
    at = at + 1
  end
end
"""
