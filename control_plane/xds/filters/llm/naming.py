"""Puts an upstream's own name of the model into a body, in place of the one that stands at its top.

The rest stays as it is, byte for byte. A body that names no model goes nowhere: all that come here were rewritten
before, and say one.
"""

from envoy.extensions.filters.http.lua.v3 import lua_pb2 as lua_pb
from google.protobuf.any_pb2 import Any as ProtoAny

from control_plane.xds.filters.llm.scanning import KEYS
from control_plane.xds.packing import packed

# What stands between quotes in Lua as itself.
PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/@+-")

SCRIPT = rf"""
local find, byte, sub = string.find, string.byte, string.sub
{KEYS}
-- Where the value of the first `model` begins and closes, if it is a text.
local function named(text)
  local from = of_keys(text, function(depth, at, close, value)
    return depth == 1 and close - at == 6 and sub(text, at, close) == '"model"' and value
  end)
  if from and byte(text, from) == 34 then return from, closing(text, from) end
end

function envoy_on_request(handle)
  local body = handle:body()
  local text = body and body:getBytes(0, body:length()) or ""
  local from, to = named(text)
  if not (from and to) then
    handle:respond({{[":status"] = "502"}}, "the model cannot be named")
  elseif sub(text, from + 1, to - 1) ~= NAME then
    body:setBytes(sub(text, 1, from) .. NAME .. sub(text, to))
  end
end
"""


def naming(model: str) -> ProtoAny:
    """The filter for a model of this name."""
    quoted = "".join(chr(byte) if byte in PLAIN else f"\\{byte:03d}" for byte in model.encode())
    script = lua_pb.Lua()
    script.default_source_code.inline_string = f'local NAME = "{quoted}"{SCRIPT}'
    return packed(script)
