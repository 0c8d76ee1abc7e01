"""A provider that refuses the gateway's own credential, or its account: the operator's trouble, and no client's.

Clients would take their own credential for wrong, and such an answer tells of the gateway's. So they are told that the
upstream failed, in their own API's words; the log keeps what it said. No script sees who answered, but routes mark
answers with it: those of upstreams, and what the gateway refuses itself. The mark goes no further.
"""

import json
from collections.abc import Iterable
from typing import Final

from control_plane.ir.model import Dialect
from control_plane.xds import names
from control_plane.xds.local_reply import IN_DIALECT, REQUEST_ID, Reply
from service_kit import contract

# What is said of a credential, and of an account without money (RFC 9110, 15.5). 403 is also the answer of a provider
# that does not like what is asked.
STATUSES: Final = (401, 402)
MARK: Final = contract.INTERNAL_HEADER_PREFIX + "answered"
REFUSED: Final = Reply(
    "upstream_refused_credential",
    "The upstream does not accept the gateway's own credential or account: give the operator the request id.",
    answer=502,
)


def mark(ours: Iterable[str]) -> tuple[str, str]:
    """What a route adds to an answer: how many upstreams were asked, and the headers that are our own word."""
    return MARK, " ".join(("%UPSTREAM_REQUEST_ATTEMPT_COUNT%", *ours, ""))


def refusal(dialect: Dialect) -> str:
    """Lua that answers in place of such an upstream: `refused` is whether it did."""
    said = json.dumps(IN_DIALECT[dialect](REFUSED)).replace(REQUEST_ID, "REQUEST_ID")
    statuses = ", ".join(f'["{status}"] = {status}' for status in STATUSES)
    return rf"""
local REFUSALS = {{{statuses}}}
local SAID = [==[{said}]==]

local function refused(handle)
  local headers = handle:headers()
  local status, mark = REFUSALS[headers:get(":status")], headers:get("{MARK}") or "0 "
  headers:remove("{MARK}")
  if not status or mark:sub(1, 2) == "0 " then return false end
  local metadata, theirs = handle:streamInfo():dynamicMetadata(), {{}}
  metadata:set("{names.UPSTREAM_METADATA}", "{names.UPSTREAM_METADATA_STATUS}", status)
  for name in pairs(headers) do
    if name:sub(1, 1) ~= ":" and not mark:find(" " .. name .. " ", 1, true) then theirs[#theirs + 1] = name end
  end
  for _, name in ipairs(theirs) do headers:remove(name) end
  headers:replace(":status", "{REFUSED.answer}")
  headers:replace("content-type", "application/json")
  local asked = metadata:get("{names.CLIENT_METADATA}")
  local id = (asked and asked["{names.CLIENT_METADATA_REQUEST}"] or ""):gsub('[%c"\\]', "")
  handle:body(true):setBytes((SAID:gsub("REQUEST_ID", {{REQUEST_ID = id}})))
  return true
end
"""
